"""COMMAND: the command table as clients read it.

Everything here is derived from `table.Command`, such as the legacy key range from the key specifications
(`populateCommandLegacyRangeSpec`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from txrepl.commands.categories import categories
from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.syntax import Argument, parse
from txrepl.commands.syntaxes import DEPRECATED, SYNTAXES, SYSTEM
from txrepl.commands.table import FLAG_NAMES, MAY_REPLICATE, NO_MANDATORY_KEYS, Command, Family, KeySpec
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.glob import compile_glob
from txrepl.resp.replies import Reply, SetReply

family = Family("server")


def flag_names(command: Command) -> list[str]:
    """The names of a command's flags, in Redis's order; `may_replicate` is one that COMMAND does not tell."""
    return [name for name, bit in FLAG_NAMES.items() if command.flags & bit & ~MAY_REPLICATE]


def key_range(command: Command) -> tuple[int, int, int]:
    """First key, last key and step: what clients used before there were key specifications."""
    specs = [spec for spec in command.keys if _is_range(spec)]
    if len(command.keys) == 1 and specs:
        spec = specs[0]
        return spec.index, spec.last + spec.index if spec.last >= 0 else spec.last, spec.step
    first, last = 0, 0
    for spec in specs:
        if spec.step != 1 or (last and last != spec.index - 1):
            continue
        first = first or spec.index
        end = spec.last + spec.index if spec.last >= 0 else spec.last
        last = end if end < 0 or (last >= 0 and end > last) else last
    return first, last, 1 if first else 0


def _is_range(spec: KeySpec) -> bool:
    return spec.keyword is None and spec.count_at is None and not spec.incomplete


# -- replies ----------------------------------------------------------------------------------------------------


def _names(names: list[str]) -> SetReply:
    return SetReply(names)


def _access(flags: str) -> SetReply:
    """What happens to a key: how it is accessed in capitals, the rest in lower case."""
    return _names([name if name in ("RO", "RW", "OW", "RM") else name.lower() for name in flags.upper().split()])


def _key_spec(spec: KeySpec) -> Reply:
    reply: dict[Reply, Reply] = {}
    if spec.note:
        reply[b"notes"] = spec.note.encode()
    reply[b"flags"] = _access(spec.flags)
    begin: dict[Reply, Reply]
    find: dict[Reply, Reply]
    if spec.incomplete:
        begin, find = {b"type": b"unknown", b"spec": {}}, {b"type": b"unknown", b"spec": {}}
    else:
        if spec.keyword is not None:
            where: dict[Reply, Reply] = {b"keyword": spec.keyword.encode(), b"startfrom": spec.index}
            begin = {b"type": b"keyword", b"spec": where}
        else:
            begin = {b"type": b"index", b"spec": {b"index": spec.index}}
        if spec.count_at is not None:
            counted: dict[Reply, Reply] = {
                b"keynumidx": spec.count_at,
                b"firstkey": spec.first,
                b"keystep": spec.step,
            }
            find = {b"type": b"keynum", b"spec": counted}
        else:
            span: dict[Reply, Reply] = {b"lastkey": spec.last, b"keystep": spec.step, b"limit": spec.limit}
            find = {b"type": b"range", b"spec": span}
    reply[b"begin_search"] = begin
    reply[b"find_keys"] = find
    return reply


def shown_name(command: Command) -> bytes:
    """The name as COMMAND shows it: `get`, `config|get`."""
    return command.name.encode()


def facts(command: Command) -> Reply:
    """The ten elements of COMMAND INFO."""
    first, last, step = key_range(command)
    return [
        shown_name(command),
        command.arity,
        _names(flag_names(command)),
        first,
        last,
        step,
        _names(["@" + name for name in categories(command)]),
        SetReply([tip.encode() for tip in command.tips]),
        SetReply([_key_spec(spec) for spec in command.keys]),
        [facts(sub) for sub in command.subcommands.values()] if command.subcommands else SetReply(),
    ]


@cache
def _arguments(name: str) -> list[Argument]:
    return parse(SYNTAXES[name])


def docs(command: Command) -> Reply:
    """The map of COMMAND DOCS for one command."""
    reply: dict[Reply, Reply] = {
        b"summary": command.summary.encode(),
        b"since": command.since.encode(),
        b"group": command.group.encode(),
    }
    if command.complexity:
        reply[b"complexity"] = command.complexity.encode()
    if command.name in SYSTEM:
        reply[b"doc_flags"] = _names(["syscmd"])
    if command.name in DEPRECATED:
        since, by = DEPRECATED[command.name]
        reply |= {
            b"doc_flags": _names(["deprecated"]),
            b"deprecated_since": since.encode(),
            b"replaced_by": by.encode(),
        }
    if command.name in SYNTAXES:
        reply[b"arguments"] = [argument.reply() for argument in _arguments(command.name)]
    if command.subcommands:
        reply[b"subcommands"] = {shown_name(sub): docs(sub) for sub in command.subcommands.values()}
    return reply


# -- commands ---------------------------------------------------------------------------------------------------


@family.command(
    "command",
    -1,
    "loading stale",
    since="2.8.13",
    summary="Describes every command.",
    complexity="O(N) where N is the total number of commands",
    categories="connection",
    tips=("nondeterministic_output_order",),
)
def command_(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND."""
    return [facts(command) for command in s.server.table.commands.values()]


@family.command(
    "command count",
    2,
    "loading stale",
    since="2.8.13",
    summary="Counts the commands.",
    categories="connection",
)
def command_count(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND COUNT."""
    return len(s.server.table.commands)


@family.command(
    "command info",
    -2,
    "loading stale",
    since="2.8.13",
    summary="Describes commands.",
    complexity="O(N) where N is the number of commands to look up",
    categories="connection",
    tips=("nondeterministic_output_order",),
)
def command_info(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND INFO [name …]."""
    table = s.server.table
    if len(argv) == 2:
        return [facts(command) for command in table.commands.values()]
    found = [table.named(name) for name in argv[2:]]
    return [None if command is None else facts(command) for command in found]


@family.command(
    "command docs",
    -2,
    "loading stale",
    since="7.0.0",
    summary="Gives the documentation of commands.",
    complexity="O(N) where N is the number of commands to look up",
    categories="connection",
    tips=("nondeterministic_output_order",),
)
def command_docs(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND DOCS [name …]."""
    table = s.server.table
    wanted = [table.named(name) for name in argv[2:]] if len(argv) > 2 else list(table.commands.values())
    reply: dict[Reply, Reply] = {shown_name(command): docs(command) for command in wanted if command is not None}
    return reply


@family.command(
    "command list",
    -2,
    "loading stale",
    since="7.0.0",
    summary="Lists the names of commands.",
    complexity="O(N) where N is the total number of commands",
    categories="connection",
    tips=("nondeterministic_output_order",),
)
def command_list(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]."""
    wanted: Callable[[Command], bool] = lambda command: True  # noqa: E731
    if len(argv) == 5 and argv[2].lower() == b"filterby":
        wanted = _filter(argv[3].lower(), argv[4])
    elif len(argv) > 2:
        raise CommandError(SYNTAX)
    return [shown_name(command) for command in s.server.table.every() if wanted(command)]


def _filter(kind: bytes, value: bytes) -> Callable[[Command], bool]:
    if kind == b"module":
        return lambda command: False  # no command comes from a module
    if kind == b"aclcat":
        category = value.decode("latin-1").lower()
        return lambda command: category in categories(command)
    if kind == b"pattern":
        matches = compile_glob(value.lower())
        return lambda command: matches(shown_name(command))
    raise CommandError(SYNTAX)


@family.command(
    "command getkeys",
    -3,
    "loading stale",
    since="2.8.13",
    summary="Finds the keys in the words of a command.",
    complexity="O(N) where N is the number of arguments to the command",
    categories="connection",
)
def command_getkeys(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND GETKEYS command [arg …]."""
    words = argv[2:]
    return [words[position] for position, _ in _keys(s, words)]


@family.command(
    "command getkeysandflags",
    -3,
    "loading stale",
    since="7.0.0",
    summary="Finds the keys in the words of a command, and what happens to each.",
    complexity="O(N) where N is the number of arguments to the command",
    categories="connection",
)
def command_getkeysandflags(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND GETKEYSANDFLAGS command [arg …]."""
    words = argv[2:]
    return [[words[position], _access(flags)] for position, flags in _keys(s, words)]


def _keys(s: Session, words: list[bytes]) -> list[tuple[int, str]]:
    """The positions of the keys of the command that the words call, with the flags of each."""
    command = s.server.table.resolve(words)
    if command is None:
        raise CommandError("ERR Invalid command specified")
    if all("NOT_KEY" in spec.flags for spec in command.keys) and command.find_keys is None:
        raise CommandError("ERR The command has no key arguments")
    if not command.accepts(len(words)):
        raise CommandError("ERR Invalid number of arguments specified for command")
    try:
        found = command.key_positions(words)
    except CommandError:
        if not command.flags & NO_MANDATORY_KEYS:
            raise
        return []
    if not found and not command.flags & NO_MANDATORY_KEYS:
        raise CommandError("ERR Invalid arguments specified for command")
    return found


@family.command(
    "command help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.", categories="connection"
)
def command_help(s: Session, argv: list[bytes]) -> Reply:
    """COMMAND HELP."""
    return help_reply(
        "COMMAND",
        ("(no subcommand)", "Describe every command."),
        ("COUNT", "How many commands there are."),
        ("LIST [FILTERBY MODULE <name> | ACLCAT <category> | PATTERN <pattern>]", "The names of commands."),
        ("INFO [<command-name> ...]", "Describe commands, or all."),
        ("DOCS [<command-name> ...]", "The documentation of commands, or of all."),
        ("GETKEYS <full-command>", "The keys in the words of a command."),
        ("GETKEYSANDFLAGS <full-command>", "The keys in the words of a command, and what happens to each."),
    )
