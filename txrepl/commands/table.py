"""The command table: what Redis knows of each command, beside the function that runs it.

A family module makes one `Family` and declares its commands with the decorator; `registry` joins the
families. Arity, flags and key specifications are those of Redis 7.2's `COMMAND INFO`; categories follow from
group and flags as in Redis (`setImplicitACLCategories`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final

from txrepl.errors import CommandError
from txrepl.resp.replies import Reply

Handler = Callable[[Any, list[bytes]], Reply]
"""Called with the `Session` (which imports this module, hence Any) and the words of the command."""

WRITE: Final = 1 << 0
READONLY: Final = 1 << 1
DENYOOM: Final = 1 << 2
ADMIN: Final = 1 << 3
PUBSUB: Final = 1 << 4
NOSCRIPT: Final = 1 << 5
BLOCKING: Final = 1 << 6
LOADING: Final = 1 << 7
STALE: Final = 1 << 8
SKIP_MONITOR: Final = 1 << 9
SKIP_SLOWLOG: Final = 1 << 10
ASKING: Final = 1 << 11
FAST: Final = 1 << 12
NO_AUTH: Final = 1 << 13
MAY_REPLICATE: Final = 1 << 14
NO_ASYNC_LOADING: Final = 1 << 15
NO_MULTI: Final = 1 << 16
MOVABLEKEYS: Final = 1 << 17
ALLOW_BUSY: Final = 1 << 18
NO_MANDATORY_KEYS: Final = 1 << 19
PROTECTED: Final = 1 << 20

FLAG_NAMES: Final[dict[str, int]] = {
    "write": WRITE,
    "readonly": READONLY,
    "denyoom": DENYOOM,
    "admin": ADMIN,
    "pubsub": PUBSUB,
    "noscript": NOSCRIPT,
    "blocking": BLOCKING,
    "loading": LOADING,
    "stale": STALE,
    "skip_monitor": SKIP_MONITOR,
    "skip_slowlog": SKIP_SLOWLOG,
    "asking": ASKING,
    "fast": FAST,
    "no_auth": NO_AUTH,
    "may_replicate": MAY_REPLICATE,
    "no_mandatory_keys": NO_MANDATORY_KEYS,
    "no_async_loading": NO_ASYNC_LOADING,
    "no_multi": NO_MULTI,
    "movablekeys": MOVABLEKEYS,
    "allow_busy": ALLOW_BUSY,
}


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Where a command's keys stand (one element of COMMAND INFO's key specifications).

    Attributes:
        flags: `RW ACCESS UPDATE` and the like; ` INCOMPLETE` at the end where it may miss keys.
        index: position of the first argument to look at, or of the keyword's search start.
        keyword: begin the search after this keyword instead of at `index` itself.
        last: for a range: the last key relative to the first (negative: from the end).
        step: for a range: distance between keys.
        limit: for a range to the end: 0 or 1 = no limit, 2 = half of the remaining arguments, …
        count_at: for a counted list: position of the count relative to the begin; None for a range.
        first: for a counted list: position of the first key relative to the begin.
        incomplete: the specification cannot name all keys (`unknown`).
        note: Redis's note to the specification.
        varies: gives the flags that hold for a call, where they depend on its arguments (`VARIABLE_FLAGS`).
    """

    flags: str
    index: int = 1
    keyword: str | None = None
    last: int = 0
    step: int = 1
    limit: int = 0
    count_at: int | None = None
    first: int = 1
    incomplete: bool = False
    note: str = ""
    varies: Callable[[list[bytes]], str] | None = None


def key_at(index: int, flags: str) -> KeySpec:
    """One key at a fixed position."""
    return KeySpec(flags, index)


def keys_from(index: int, flags: str, last: int = -1, step: int = 1) -> KeySpec:
    """Keys from `index` on; `last` is relative to the first key, or from the end when negative."""
    return KeySpec(flags, index, last=last, step=step)


def counted_keys(count_index: int, flags: str) -> KeySpec:
    """A `numkeys` argument at `count_index` and that many keys after it."""
    return KeySpec(flags, count_index, count_at=0, first=1)


@dataclass(slots=True)
class Command:
    """One command or subcommand.

    Attributes:
        name: lower case; a subcommand's is `container|sub`.
        arity: number of words with the name; negative: at least that many.
        flags: the bits above.
        groups: Redis's group (`string`, `list`, …).
        find_keys: for commands whose keys no specification can name (SORT, MIGRATE), or not all calls of which
            (GEORADIUS): positions of the keys in argv.
        secrets: positions in argv of what no log may show (passwords); None where nothing is secret.
        flags_of: for commands that run a script: the flags of one call, from server, argv and the command's flags.
        calls, nanoseconds, rejected, failed: for INFO commandstats.
        durations: how long its calls took, as `durations` counts them.
        least, most: how many words a call may have, from the arity.
    """

    name: str
    handler: Handler | None
    arity: int
    flags: int
    keys: tuple[KeySpec, ...]
    group: str
    since: str
    complexity: str = ""
    categories: str = ""
    tips: tuple[str, ...] = ()
    summary: str = ""
    find_keys: Callable[[list[bytes]], list[int]] | None = None
    secrets: Callable[[list[bytes]], Iterable[int]] | None = None
    flags_of: Callable[[Any, list[bytes], int], int] | None = None
    subcommands: dict[bytes, Command] = field(default_factory=dict)
    parent: Command | None = None
    calls: int = 0
    nanoseconds: int = 0
    rejected: int = 0
    failed: int = 0
    durations: list[int] = field(default_factory=list)
    least: int = field(init=False)
    most: int = field(init=False)

    def __post_init__(self) -> None:
        self.least = abs(self.arity)
        self.most = self.arity if self.arity > 0 else sys.maxsize

    def accepts(self, words: int) -> bool:
        """Whether a call of so many words has the right arity."""
        return self.least <= words <= self.most

    def shown(self, argv: list[bytes]) -> list[bytes]:
        """The words of a call as others may see them (`redactClientCommandArgument`)."""
        if self.secrets is None:
            return argv
        words = list(argv)
        for position in self.secrets(argv):
            words[position] = b"(redacted)"
        return words

    def reset_counters(self) -> None:
        """Begin to count anew (`resetCommandTableStats`)."""
        self.calls = self.nanoseconds = self.rejected = self.failed = 0
        self.durations = []

    def key_positions(self, argv: list[bytes]) -> list[tuple[int, str]]:
        """Positions of the keys in a call, each with its specification's flags (`getKeysFromCommandWithSpecs`).

        A channel, which a specification tells as `NOT_KEY`, is none.

        Raises:
            CommandError: the arguments do not name keys as the specification says.
        """
        if self.find_keys is not None:
            known = {
                position: spec.flags.removesuffix(" INCOMPLETE")
                for spec in self.keys
                if not spec.incomplete
                for position in _positions(spec, argv)
            }
            others = next((spec.flags for spec in reversed(self.keys) if spec.incomplete), self.keys[-1].flags)
            return [(position, known.get(position, others)) for position in self.find_keys(argv)]
        found: list[tuple[int, str]] = []
        for spec in self.keys:
            if not spec.incomplete and "NOT_KEY" not in spec.flags:
                flags = spec.flags if spec.varies is None else spec.varies(argv)
                found.extend((position, flags) for position in _positions(spec, argv))
        return found


def _positions(spec: KeySpec, argv: list[bytes]) -> list[int]:
    begin = spec.index
    if spec.keyword is not None:
        wanted = spec.keyword.lower().encode()
        start = spec.index if spec.index > 0 else len(argv) + spec.index
        order = range(start, len(argv) - 1) if spec.index > 0 else range(start, 0, -1)
        found = [i for i in order if argv[i].lower() == wanted]
        if not found:
            return []
        begin = found[0] + 1
    if spec.count_at is not None:
        try:
            count = int(argv[begin + spec.count_at])
        except (IndexError, ValueError):
            raise CommandError("ERR Invalid arguments specified for command") from None
        first = begin + spec.first
        last = first + (count - 1) * spec.step
        if count <= 0 or last >= len(argv):
            raise CommandError("ERR Invalid arguments specified for command")
        return list(range(first, last + 1, spec.step))
    if spec.last >= 0:
        last = begin + spec.last
    elif spec.limit <= 1:
        last = len(argv) + spec.last
    else:
        last = begin + (len(argv) - begin) // spec.limit + spec.last
    if last >= len(argv) or last < begin:
        raise CommandError("ERR Invalid arguments specified for command")
    return list(range(begin, last + 1, spec.step))


def parse_flags(text: str) -> int:
    """Flag bits from names separated by blanks.

    Raises:
        KeyError: a name is unknown (a programmer's error).
    """
    bits = 0
    for name in text.split():
        bits |= FLAG_NAMES[name]
    return bits


class Family:
    """The commands of one module.

    Parameters:
        group: Redis's group name, as COMMAND DOCS gives it (`string`, `sorted-set`, `connection`, …).
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self.commands: list[Command] = []

    def command(
        self,
        name: str,
        arity: int,
        flags: str,
        *keys: KeySpec,
        since: str,
        summary: str,
        complexity: str = "O(1)",
        categories: str = "",
        tips: tuple[str, ...] = (),
        group: str | None = None,
        find_keys: Callable[[list[bytes]], list[int]] | None = None,
        secrets: Callable[[list[bytes]], Iterable[int]] | None = None,
        flags_of: Callable[[Any, list[bytes], int], int] | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare a command; `categories` names ACL categories beyond the implicit ones.

        A name `container sub` declares a subcommand of a container made with `container`.
        """
        bits = parse_flags(flags)
        if find_keys is not None or any(spec.keyword or spec.count_at is not None for spec in keys):
            bits |= MOVABLEKEYS

        def register(handler: Handler) -> Handler:
            entry = Command(
                name,
                handler,
                arity,
                bits,
                keys,
                group or self.group,
                since,
                complexity,
                categories,
                tips,
                summary,
                find_keys,
                secrets,
                flags_of,
            )
            self._add(entry)
            return handler

        return register

    def container(self, name: str, flags: str = "", *, since: str, summary: str, group: str | None = None) -> None:
        """Declare a command that only has subcommands."""
        complexity = "Depends on subcommand."
        bits = parse_flags(flags)
        self._add(Command(name, None, -2, bits, (), group or self.group, since, complexity, summary=summary))

    def _add(self, entry: Command) -> None:
        container, _, sub = entry.name.partition(" ")
        if sub:
            parent = next(known for known in self.commands if known.name == container)
            entry.name = f"{container}|{sub}"
            entry.parent = parent
            parent.subcommands[sub.encode()] = entry
        else:
            self.commands.append(entry)


class CommandTable:
    """All commands by name, with counters of its own.

    Attributes:
        by_name: lower- and upper-case name → command: one look-up for the usual spellings. A command with
            subcommands is not in it: which of them is called takes `resolve`.
        commands: lower-case name → command, in order of declaration.
    """

    def __init__(self, *families: Family) -> None:
        self.commands: dict[str, Command] = {}
        self.by_name: dict[bytes, Command] = {}
        for family in families:
            for declared in family.commands:
                entry = copy(declared)
                entry.subcommands = {word: copy(sub) for word, sub in declared.subcommands.items()}
                self.commands[entry.name] = entry
                if not entry.subcommands:
                    self.by_name[entry.name.encode()] = entry
                    self.by_name[entry.name.upper().encode()] = entry
        for entry in self.every():
            entry.reset_counters()

    def every(self) -> Iterator[Command]:
        """Each command, followed by its subcommands."""
        for command in self.commands.values():
            yield command
            yield from command.subcommands.values()

    def find(self, name: bytes) -> Command | None:
        """The command of that name in any case."""
        return self.by_name.get(name) or self.commands.get(name.lower().decode("latin-1"))

    def named(self, name: bytes) -> Command | None:
        """The command or subcommand of a name such as `get` or `config|get` (`lookupCommandBySds`)."""
        container, bar, sub = name.partition(b"|")
        found = self.find(container)
        return found.subcommands.get(sub.lower()) if found is not None and bar else found

    def resolve(self, argv: list[bytes]) -> Command | None:
        """The command, or its subcommand, that argv calls; None if there is none such."""
        entry = self.find(argv[0])
        if entry is not None and entry.subcommands and len(argv) > 1:
            return entry.subcommands.get(argv[1].lower())
        return entry
