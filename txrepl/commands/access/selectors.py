"""A selector: commands, keys and channels that are allowed together.

A user's root selector is what its own rules make; further ones stand in parentheses. A request passes if one selector
allows all of it. The commands allowed are a set of names, so that a check is one look-up; the rules that made it are
kept in order as well, because they are what ACL LIST shows (as Redis 7.2 does; 7.0 made up equivalent ones).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from txrepl.commands.access.rules import (
    AFTER_ALL_CHANNELS,
    AFTER_ALL_KEYS,
    ARGUMENT_OF_SUBCOMMAND,
    SYNTAX,
    UNKNOWN,
    RuleError,
    c_string,
    has_blanks,
)
from txrepl.commands.categories import CATEGORIES, categories
from txrepl.commands.table import Command, CommandTable
from txrepl.config.quoting import quote_word, split_words
from txrepl.keyspace.glob import compile_glob

READ: Final = 1
WRITE: Final = 2
READ_WRITE: Final = READ | WRITE
_PREFIXES: Final = {READ: b"%R~", WRITE: b"%W~", READ_WRITE: b"~"}
_PERMISSION_LETTERS: Final = {ord("R"): READ, ord("W"): WRITE}


class Selector:
    """What is allowed together.

    Parameters:
        table: the commands that rules can name.
        all_channels: whether all channels are allowed to begin with (`acl-pubsub-default`).

    Attributes:
        starts_with_all: `+@all` was said last of all rules for all commands: what is listed is what was taken away.
        all_commands, all_keys, all_channels: nothing of that kind needs to be looked at.
        commands: the full names of the allowed commands and subcommands.
        first_arguments: by a command's full name, the first arguments with which it is allowed all the same.
        command_rules: the rules since the last one for all commands, in order, those left out that have no effect.
        keys: glob → `READ`, `WRITE`, or both.
        channels: globs, in order.
    """

    __slots__ = (
        "_key_tests",
        "_table",
        "all_channels",
        "all_commands",
        "all_keys",
        "channels",
        "command_rules",
        "commands",
        "first_arguments",
        "keys",
        "starts_with_all",
    )

    def __init__(self, table: CommandTable, *, all_channels: bool = False) -> None:
        self._table = table
        self.starts_with_all = False
        self.all_commands = False
        self.all_keys = False
        self.all_channels = all_channels
        self.commands: set[str] = set()
        self.first_arguments: dict[str, list[bytes]] = {}
        self.command_rules: list[bytes] = []
        self.keys: dict[bytes, int] = {}
        self.channels: dict[bytes, None] = {}
        self._key_tests: list[tuple[int, Callable[[bytes], bool]]] = []

    def copy(self) -> Selector:
        """A selector of its own with the same rights."""
        made = Selector(self._table, all_channels=self.all_channels)
        made.starts_with_all = self.starts_with_all
        made.all_commands = self.all_commands
        made.all_keys = self.all_keys
        made.commands = set(self.commands)
        made.first_arguments = {name: list(words) for name, words in self.first_arguments.items()}
        made.command_rules = list(self.command_rules)
        made._set_keys(dict(self.keys))
        made.channels = dict(self.channels)
        return made

    @property
    def is_unrestricted(self) -> bool:
        """Whether everything is allowed."""
        return self.all_commands and self.all_keys and self.all_channels

    # -- rules --------------------------------------------------------------------------------------------------

    def apply(self, rule: bytes, log: Callable[[str], None]) -> None:
        """Change the selector by one rule (`ACLSetSelector`).

        Parameters:
            rule: one word.
            log: takes a warning.

        Raises:
            RuleError: the rule is refused, nothing has changed.
        """
        word = c_string(rule)
        whole = _WHOLE.get(word.lower())
        if whole is not None:
            whole(self)
        elif word[:1] in (b"~", b"%"):
            self._allow_keys(rule)
        elif word[:1] == b"&":
            self._allow_channels(rule)
        elif word[:2] in (b"+@", b"-@"):
            self._change_category(word[1:], allow=word[:1] == b"+")
        elif word[:1] == b"+" and b"|" in word:
            self._allow_part(word[1:], log)
        elif word[:1] in (b"+", b"-"):
            command = self._known(word[1:])
            self._change(command, allow=word[:1] == b"+")
            self._note_rule(command.name.encode(), allow=word[:1] == b"+")
        else:
            raise RuleError(SYNTAX)

    def allow_all_keys(self) -> None:
        """`allkeys`."""
        self.all_keys = True
        self._set_keys({})

    def reset_keys(self) -> None:
        """`resetkeys`."""
        self.all_keys = False
        self._set_keys({})

    def allow_all_channels(self) -> None:
        """`allchannels`."""
        self.all_channels = True
        self.channels = {}

    def reset_channels(self) -> None:
        """`resetchannels`."""
        self.all_channels = False
        self.channels = {}

    def allow_all_commands(self) -> None:
        """`allcommands`."""
        self._set_commands(allow=True)

    def deny_all_commands(self) -> None:
        """`nocommands`."""
        self._set_commands(allow=False)

    def _set_commands(self, *, allow: bool) -> None:
        self.starts_with_all = self.all_commands = allow
        self.commands = {one.name for one in _everything(self._table)} if allow else set()
        self.first_arguments = {}
        self.command_rules = []

    def _allow_keys(self, rule: bytes) -> None:
        if self.all_keys:
            raise RuleError(AFTER_ALL_KEYS)
        permissions, start = READ_WRITE, 1
        if rule.startswith(b"%"):
            permissions, start = _permissions(rule)
        pattern = rule[start:]
        if has_blanks(pattern):
            raise RuleError(SYNTAX)
        self._set_keys({**self.keys, pattern: self.keys.get(pattern, 0) | permissions})

    def _set_keys(self, keys: dict[bytes, int]) -> None:
        self.keys = keys
        self._key_tests = [(permissions, compile_glob(pattern)) for pattern, permissions in keys.items()]

    def _allow_channels(self, rule: bytes) -> None:
        if self.all_channels:
            raise RuleError(AFTER_ALL_CHANNELS)
        if has_blanks(rule[1:]):
            raise RuleError(SYNTAX)
        self.channels[rule[1:]] = None

    def _change_category(self, category: bytes, *, allow: bool) -> None:
        """`+@category`, `-@category`; `category` has its `@`."""
        name = category[1:].lower().decode("latin-1")
        if name not in CATEGORIES:
            raise RuleError(UNKNOWN)
        self._note_rule(category.lower(), allow=allow)
        for command in _everything(self._table):
            if name in categories(command):
                self._change(command, allow=allow)

    def _allow_part(self, word: bytes, log: Callable[[str], None]) -> None:
        """`+command|sub`: a subcommand, or a command with this first argument only."""
        container, _, part = word.rpartition(b"|")
        command = self._known(container)
        if command.parent is not None:
            raise RuleError(ARGUMENT_OF_SUBCOMMAND)
        if not part or has_blanks(part):
            raise RuleError(SYNTAX)
        if command.subcommands:
            self._change(self._known(word), allow=True)
        else:
            log(
                "Deprecation warning: Allowing a first arg of an otherwise blocked command is a misuse of ACL and may "
                f"get disabled in the future (offender: +{word.decode('utf-8', 'backslashreplace')})"
            )
            words = self.first_arguments.setdefault(command.name, [])
            if part.lower() not in map(bytes.lower, words):
                words.append(part)
        self._note_rule(word.lower(), allow=True)

    def _known(self, name: bytes) -> Command:
        """The command of a full name (`ACLLookupCommand`)."""
        container, bar, sub = name.partition(b"|")
        command = self._table.find(container)
        if command is not None and bar:
            command = command.subcommands.get(sub.lower())
        if command is None:
            raise RuleError(UNKNOWN)
        return command

    def _change(self, command: Command, *, allow: bool) -> None:
        """Allow or deny a command with all its subcommands (`ACLChangeSelectorPerm`)."""
        names = {command.name, *(sub.name for sub in command.subcommands.values())}
        if allow:
            self.commands |= names
        else:
            self.commands -= names
            self.all_commands = False
        self.first_arguments.pop(command.name, None)

    def _note_rule(self, rule: bytes, *, allow: bool) -> None:
        """Remember a rule; earlier ones for the same, or for parts of it, have no effect any more."""
        part = rule + b"|"
        self.command_rules = [
            known for known in self.command_rules if known[1:] != rule and not known[1:].startswith(part)
        ]
        self.command_rules.append((b"+" if allow else b"-") + rule)

    # -- asking -------------------------------------------------------------------------------------------------

    def allows_command(self, command: Command, argv: list[bytes]) -> bool:
        """Whether the command may be run, whatever its keys and channels."""
        if self.all_commands or command.name in self.commands:
            return True
        words = self.first_arguments.get(command.name)
        if words is None or len(argv) < 2:
            return False
        given = c_string(argv[1]).lower()
        return any(given == word.lower() for word in words)

    def allows_key(self, key: bytes, permissions: int) -> bool:
        """Whether a key may be used in these ways (`READ`, `WRITE`, both, or 0: named only)."""
        if self.all_keys:
            return True
        return any(granted & permissions == permissions and matches(key) for granted, matches in self._key_tests)

    def allows_every_key(self, permissions: int) -> bool:
        """Whether any key at all may be used in these ways (`ACLSelectorHasUnrestrictedKeyAccess`)."""
        return self.all_keys or self.keys.get(b"*", 0) & permissions == permissions

    def allows_channel(self, channel: bytes, *, is_pattern: bool) -> bool:
        """Whether a channel may be used; a pattern must itself be among the allowed ones."""
        return self.all_channels or matches_channel(self.channels, channel, is_pattern=is_pattern)

    # -- showing ------------------------------------------------------------------------------------------------

    def shown_commands(self) -> bytes:
        """The rules that make these commands, beginning with `+@all` or `-@all`."""
        return b" ".join((b"+@all" if self.starts_with_all else b"-@all", *self.command_rules))

    def shown_keys(self) -> bytes:
        """The key patterns as rules."""
        if self.all_keys:
            return b"~*"
        return b" ".join(_PREFIXES[permissions] + pattern for pattern, permissions in self.keys.items())

    def shown_channels(self) -> bytes:
        """The channel patterns as rules."""
        return b"&*" if self.all_channels else b" ".join(b"&" + pattern for pattern in self.channels)

    def shown(self) -> bytes:
        """All rules that make such a selector out of an empty one (`ACLDescribeSelector`)."""
        keys, channels = self.shown_keys(), self.shown_channels()
        if not self.all_channels:
            channels = b"resetchannels " + channels if channels else b"resetchannels"
        return b" ".join(part for part in (keys, channels, self.shown_commands()) if part)

    def shown_in_parentheses(self) -> bytes:
        """The selector as one rule; a word that quotes or a parenthesis would change stands in quotes."""
        return b"(" + b" ".join(map(_in_parentheses, self.shown().split(b" "))) + b")"


_WHOLE: Final[dict[bytes, Callable[[Selector], None]]] = {
    b"allkeys": Selector.allow_all_keys,
    b"~*": Selector.allow_all_keys,
    b"resetkeys": Selector.reset_keys,
    b"allchannels": Selector.allow_all_channels,
    b"&*": Selector.allow_all_channels,
    b"resetchannels": Selector.reset_channels,
    b"allcommands": Selector.allow_all_commands,
    b"+@all": Selector.allow_all_commands,
    b"nocommands": Selector.deny_all_commands,
    b"-@all": Selector.deny_all_commands,
}


def _in_parentheses(word: bytes) -> bytes:
    if split_words(word) == [word] and not word.endswith(b")"):
        return word
    return quote_word(word).replace(")", r"\x29").encode()


def matches_channel(patterns: dict[bytes, None], channel: bytes, *, is_pattern: bool) -> bool:
    """Whether a channel matches one of the patterns; a pattern must be one of them (`ACLCheckChannelAgainstList`)."""
    if is_pattern:
        return c_string(channel) in patterns
    return any(compile_glob(pattern)(channel) for pattern in patterns)


def _permissions(rule: bytes) -> tuple[int, int]:
    """What the letters of `%RW~pattern` grant, and where the pattern begins."""
    permissions, at = 0, 1
    while at < len(rule):
        letter = _PERMISSION_LETTERS.get(ord(rule[at : at + 1].upper()), 0)
        if letter and not permissions & letter:
            permissions |= letter
        elif rule[at] == ord("~") and permissions:
            return permissions, at + 1
        else:
            raise RuleError(SYNTAX)
        at += 1
    if not permissions:
        raise RuleError(SYNTAX)
    return permissions, at


def _everything(table: CommandTable) -> Iterator[Command]:
    """All commands and subcommands."""
    for command in table.commands.values():
        yield command
        yield from command.subcommands.values()
