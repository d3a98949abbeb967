"""The types of directive values: how one is read, shown and rewritten.

A kind turns the words of a directive into a Python value (`parse`), a value into the text of
CONFIG GET (`show`), and a value into the lines of CONFIG REWRITE (`lines`). It knows no directive by name.
Follows the type interfaces of Redis's `config.c`; the refusal texts are Redis's own.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from txrepl.config.quoting import quote_word, to_bytes
from txrepl.errors import ConfigError

T = TypeVar("T")

INT_MAX: Final = 2**31 - 1
INT_MIN: Final = -(2**31)
UINT_MAX: Final = 2**32 - 1
LONG_MAX: Final = 2**63 - 1
LONG_MIN: Final = -(2**63)
ULONG_MAX: Final = 2**64 - 1

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_MEMORY = re.compile(r"([0-9]*)([a-zA-Z]*)")
_OCTAL = re.compile(r"[ \t]*([+-]?[0-7]+)|")
_LOOSE_INTEGER = re.compile(r"[ \t\n]*[+-]?[0-9]+")
_UNITS = {
    "": 1,
    "b": 1,
    "k": 1000,
    "kb": 1024,
    "m": 1000**2,
    "mb": 1024**2,
    "g": 1000**3,
    "gb": 1024**3,
}


class Line(NamedTuple):
    """One line that CONFIG REWRITE may write.

    Fields:
        text: what follows the directive's name.
        force: append it when the old file has no line for it.
    """

    text: str
    force: bool


@dataclass(frozen=True)
class Kind(ABC, Generic[T]):
    """What all kinds share.

    `multi` kinds take any number of words on a line of the file, and split the one argument of
    CONFIG SET at each space; the others take exactly one word.
    """

    @property
    def multi(self) -> bool:
        return False

    @abstractmethod
    def parse(self, words: Sequence[str], current: T) -> T:
        """The value that the words spell.

        Parameters:
            words: the words after the name.
            current: the value so far, for kinds that are set in parts.
        Raises:
            ConfigError: with Redis's reason, without the directive's name.
        """

    @abstractmethod
    def show(self, value: T) -> str:
        """The text that CONFIG GET gives."""

    def lines(self, value: T, default: T) -> list[Line]:
        """The lines that CONFIG REWRITE keeps; none means that the file must not mention it."""
        return [Line(self.show(value), value != default)]


def parse_integer(text: str) -> int | None:
    """A signed 64-bit integer in the one spelling that `string2ll` takes, or None."""
    if _INTEGER.fullmatch(text) is None:
        return None
    value = int(text)
    return value if LONG_MIN <= value <= LONG_MAX else None


def parse_loose_integer(text: str) -> int | None:
    """An integer as C's `strtoll` with an end check takes it (signs, leading zeros), or None."""
    return int(text) if _LOOSE_INTEGER.fullmatch(text) else None


def parse_memory(text: str) -> int | None:
    """A size in bytes with an optional unit (k, m, g: powers of 1000; kb, mb, gb: of 1024), or None.

    Follows `memtoull`: no sign, no fraction, any case; no digits at all are 0; digits past 64 bits saturate.
    """
    match = _MEMORY.fullmatch(text)
    if match is None:
        return None
    unit = _UNITS.get(match[2].lower())
    if unit is None:
        return None
    return (min(int(match[1] or "0"), ULONG_MAX) * unit) & ULONG_MAX


def format_memory(value: int) -> str:
    """Bytes in the largest power-of-1024 unit that divides them, as CONFIG REWRITE writes sizes."""
    for unit, factor in (("gb", 1024**3), ("mb", 1024**2), ("kb", 1024)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


@dataclass(frozen=True)
class YesNo(Kind[bool]):
    """`yes` or `no`; the value is a bool."""

    def parse(self, words: Sequence[str], current: bool) -> bool:
        word = words[0].lower()
        if word not in ("yes", "no"):
            raise ConfigError("argument must be 'yes' or 'no'")
        return word == "yes"

    def show(self, value: bool) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True)
class Integer(Kind[int]):
    """A whole number between two bounds, inclusive.

    Parameters:
        low, high: a value outside is refused.
        clamp_low, clamp_high: a value that is allowed but outside these is moved to them (`hz`).
    """

    low: int = 0
    high: int = INT_MAX
    clamp_low: int | None = None
    clamp_high: int | None = None

    def parse(self, words: Sequence[str], current: int) -> int:
        return self._bounded(self._read(words[0]))

    def _read(self, word: str) -> int:
        value = parse_integer(word)
        if value is None:
            raise ConfigError("argument couldn't be parsed into an integer")
        return value

    def _bounded(self, value: int) -> int:
        if not self.low <= value <= self.high:
            low, high = self._bound(self.low), self._bound(self.high)
            raise ConfigError(f"argument must be between {low} and {high} inclusive")
        if self.clamp_low is not None:
            value = max(value, self.clamp_low)
        if self.clamp_high is not None:
            value = min(value, self.clamp_high)
        return value

    def _bound(self, value: int) -> str:
        return str(value)

    def show(self, value: int) -> str:
        return str(value)


@dataclass(frozen=True)
class Octal(Integer):
    """File permissions in octal."""

    def _read(self, word: str) -> int:
        match = _OCTAL.fullmatch(word)
        if match is None:
            raise ConfigError("argument couldn't be parsed as an octal number")
        return int(match[1] or "0", 8)

    def _bound(self, value: int) -> str:
        return f"{value:o}"

    def show(self, value: int) -> str:
        return f"{value:o}"


@dataclass(frozen=True)
class Memory(Integer):
    """A size in bytes.

    Parameters:
        percent: also take `N%`, held as the negative number -N (as Redis holds `maxmemory-clients`).
    """

    percent: bool = False

    def _read(self, word: str) -> int:
        value = parse_memory(word)
        if value is not None:
            # Sizes are read unsigned; a directive with a signed upper bound sees them wrapped, as Redis does.
            return value if self.high > LONG_MAX or value <= LONG_MAX else value - 2**64
        if self.percent and word.endswith("%"):
            percentage = parse_integer(word[:-1])
            if percentage is not None and percentage >= 0:
                return -percentage
        raise ConfigError(f"argument must be a memory{' or percent' if self.percent else ''} value")

    def _bounded(self, value: int) -> int:
        if self.percent and value < 0:
            if value < self.low:
                raise ConfigError(f"percentage argument must be less or equal to {-self.low}")
            return value
        return super()._bounded(value)

    def show(self, value: int) -> str:
        return f"{-value}%" if self.percent and value < 0 else str(value)

    def lines(self, value: int, default: int) -> list[Line]:
        text = self.show(value) if value < 0 else format_memory(value)
        return [Line(text, value != default)]


@dataclass(frozen=True)
class Choice(Kind[str]):
    """One of a few words, in any case.

    Parameters:
        names: every word, in the order in which Redis lists them.
        same: words that mean another one (`yes` for `relative`), as pairs of word and meaning.
        quiet: further words (Valkey's), which the refusal of others does not list.
    """

    names: tuple[str, ...]
    same: tuple[tuple[str, str], ...] = ()
    quiet: tuple[str, ...] = ()

    def parse(self, words: Sequence[str], current: str) -> str:
        word = words[0].lower()
        if word not in self.names and word not in self.quiet:
            raise ConfigError("argument(s) must be one of the following: " + ", ".join(self.names))
        return dict(self.same).get(word, word)

    def show(self, value: str) -> str:
        return value


@dataclass(frozen=True)
class Flags(Kind[tuple[str, ...]]):
    """Any of a few words together; the value is the tuple of them in the order of `names`.

    Parameters:
        names: every word; the first one means none of the others.
        exclusive: a pair of words that cannot be combined.
        conflict: the refusal when they are.
    """

    names: tuple[str, ...]
    exclusive: tuple[str, str]
    conflict: str

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[str, ...]) -> tuple[str, ...]:
        given = {word.lower() for word in words}
        if not given or not given.issubset(self.names):
            raise ConfigError("argument(s) must be one of the following: " + ", ".join(self.names))
        if given.issuperset(self.exclusive):
            raise ConfigError(self.conflict)
        return tuple(name for name in self.names[1:] if name in given)

    def show(self, value: tuple[str, ...]) -> str:
        return " ".join(value) or self.names[0]


def anything(text: str) -> None:
    """The check of a text that may be anything."""


@dataclass(frozen=True)
class Text(Kind[str]):
    """A string.

    Parameters:
        check: raises ConfigError when the text will not do.
        may_be_empty: False when an empty text means "not set", so that CONFIG REWRITE leaves it out.
    """

    check: Callable[[str], None] = anything
    may_be_empty: bool = True

    def parse(self, words: Sequence[str], current: str) -> str:
        self.check(words[0])
        return words[0]

    def show(self, value: str) -> str:
        return value

    def lines(self, value: str, default: str) -> list[Line]:
        if not value and not self.may_be_empty:
            return []
        return [Line(quote_word(to_bytes(value)), value != default)]
