"""Directives with a form of their own: save points, buffer limits, addresses, percentiles, events.

Each kind follows the function pair of the same directive in Redis's `config.c`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from txrepl.config.kinds import Kind, Line, format_memory, parse_loose_integer, parse_memory
from txrepl.config.quoting import quote_word, to_bytes
from txrepl.errors import ConfigError

_WRONG_NUMBER = "wrong number of arguments"
_BIND_MAX: Final = 16
_HOSTNAME_MAX: Final = 256


@dataclass(frozen=True)
class SavePoints(Kind[tuple[tuple[int, int], ...]]):
    """`save SECONDS CHANGES …`: pairs; an empty argument means no save point."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        if len(words) == 0 or (len(words) == 1 and not words[0]):
            return ()
        numbers = [parse_loose_integer(word) for word in words]
        points: list[tuple[int, int]] = []
        for seconds, changes in zip(numbers[::2], numbers[1::2], strict=False):
            if seconds is None or changes is None or seconds < 1 or changes < 0:
                raise ConfigError("Invalid save parameters")
            points.append((seconds, changes))
        if len(numbers) % 2:
            raise ConfigError("Invalid save parameters")
        return tuple(points)

    def show(self, value: tuple[tuple[int, int], ...]) -> str:
        return " ".join(f"{seconds} {changes}" for seconds, changes in value)

    def lines(self, value: tuple[tuple[int, int], ...], default: tuple[tuple[int, int], ...]) -> list[Line]:
        # Always written: a file without a save line would bring the default points back.
        return [Line(f"{seconds} {changes}", True) for seconds, changes in value] or [Line('""', True)]


class BufferLimit(NamedTuple):
    """When a client is closed for output that it does not read; 0 means no limit.

    Fields:
        hard_bytes: closed at once above this.
        soft_bytes, soft_seconds: closed when it stays above soft_bytes for soft_seconds.
    """

    hard_bytes: int
    soft_bytes: int
    soft_seconds: int


class BufferLimits(NamedTuple):
    """The limit of each class of clients."""

    normal: BufferLimit
    replica: BufferLimit
    pubsub: BufferLimit


@dataclass(frozen=True)
class OutputLimits(Kind[BufferLimits]):
    """`client-output-buffer-limit CLASS HARD SOFT SECONDS …`; classes not named keep their limits."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: BufferLimits) -> BufferLimits:
        if len(words) % 4:
            raise ConfigError("Wrong number of arguments in buffer limit configuration.")
        limits = current._asdict()
        for at in range(0, len(words), 4):
            name = words[at].lower().replace("slave", "replica")
            if name not in limits:
                raise ConfigError("Invalid client class specified in buffer limit configuration.")
            hard, soft = parse_memory(words[at + 1]), parse_memory(words[at + 2])
            seconds = parse_loose_integer(words[at + 3])
            if hard is None or soft is None or seconds is None or seconds < 0:
                raise ConfigError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            limits[name] = BufferLimit(hard, soft, seconds)
        return BufferLimits(**limits)

    def show(self, value: BufferLimits) -> str:
        names = ("normal", "slave", "pubsub")
        return " ".join(f"{name} {x[0]} {x[1]} {x[2]}" for name, x in zip(names, value, strict=True))

    def lines(self, value: BufferLimits, default: BufferLimits) -> list[Line]:
        return [
            Line(f"{name} {format_memory(x.hard_bytes)} {format_memory(x.soft_bytes)} {x.soft_seconds}", x != usual)
            for name, x, usual in zip(value._fields, value, default, strict=True)
        ]


@dataclass(frozen=True)
class Addresses(Kind[tuple[str, ...]]):
    """`bind ADDRESS …`: `-` before an address lets it be missing on this machine, `*` is every address."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[str, ...]) -> tuple[str, ...]:
        if len(words) > _BIND_MAX:
            raise ConfigError("Too many bind addresses specified.")
        return () if list(words) == [""] else tuple(words)

    def show(self, value: tuple[str, ...]) -> str:
        return " ".join(value)

    def lines(self, value: tuple[str, ...], default: tuple[str, ...]) -> list[Line]:
        return [] if value == default else [Line(self.show(value) or '""', True)]


@dataclass(frozen=True)
class PrimaryAddress(Kind[tuple[str, int] | None]):
    """`replicaof HOST PORT`, or `no one`: the value is the pair, or None for a primary."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[str, int] | None) -> tuple[str, int] | None:
        if len(words) != 2:
            raise ConfigError(_WRONG_NUMBER)
        host, port_text = words
        if host.lower() == "no" and port_text.lower() == "one":
            return None
        port = parse_loose_integer(port_text)
        if port is None or not 0 <= port <= 65535:
            raise ConfigError("Invalid master port")
        return host, port

    def show(self, value: tuple[str, int] | None) -> str:
        return f"{value[0]} {value[1]}" if value else ""

    def lines(self, value: tuple[str, int] | None, default: tuple[str, int] | None) -> list[Line]:
        return [Line(self.show(value), True)] if value else []


@dataclass(frozen=True)
class OomScores(Kind[tuple[int, ...]]):
    """`oom-score-adj-values PRIMARY REPLICA CHILD`."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[int, ...]) -> tuple[int, ...]:
        if len(words) != 3:
            raise ConfigError(_WRONG_NUMBER)
        scores: list[int] = []
        for word in words:
            score = parse_loose_integer(word)
            if score is None or not -2000 <= score <= 2000:
                raise ConfigError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
            scores.append(score)
        return tuple(scores)

    def show(self, value: tuple[int, ...]) -> str:
        return " ".join(map(str, value))


@dataclass(frozen=True)
class Percentiles(Kind[tuple[float, ...]]):
    """`latency-tracking-info-percentiles P …`, each from 0 to 100; an empty argument means none."""

    @property
    def multi(self) -> bool:
        return True

    def parse(self, words: Sequence[str], current: tuple[float, ...]) -> tuple[float, ...]:
        if list(words) == [""]:
            return ()
        values: list[float] = []
        for word in words:
            if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", word):
                raise ConfigError("Invalid latency-tracking-info-percentiles parameters")
            values.append(float(word))
            if not 0.0 <= values[-1] <= 100.0:
                raise ConfigError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return tuple(values)

    def show(self, value: tuple[float, ...]) -> str:
        return " ".join(f"{percentile:f}".rstrip("0").rstrip(".") for percentile in value)

    def lines(self, value: tuple[float, ...], default: tuple[float, ...]) -> list[Line]:
        return [Line(self.show(value) or '""', True)]


_ALL_EVENTS: Final = "g$lshzxetd"


@dataclass(frozen=True)
class KeyspaceEvents(Kind[frozenset[str]]):
    """`notify-keyspace-events CLASSES`: the value is the set of class letters, `A` spelled out.

    `m` (key miss) and `n` (new key) are not part of `A`.
    """

    def parse(self, words: Sequence[str], current: frozenset[str]) -> frozenset[str]:
        letters = set(words[0])
        if not letters.issubset(_ALL_EVENTS + "AKEmn"):
            raise ConfigError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        if "A" in letters:
            letters.update(_ALL_EVENTS)
            letters.discard("A")
        return frozenset(letters)

    def show(self, value: frozenset[str]) -> str:
        # Like Redis, `n` is shown only beside single classes.
        classes = "A" if value.issuperset(_ALL_EVENTS) else "".join(x for x in _ALL_EVENTS + "n" if x in value)
        return classes + "".join(x for x in "KEm" if x in value)

    def lines(self, value: frozenset[str], default: frozenset[str]) -> list[Line]:
        return [Line(quote_word(self.show(value).encode()), value != default)]


@dataclass(frozen=True)
class Directory(Kind[str]):
    """An existing directory; the value is its absolute path, a relative one starting from the value so far."""

    def parse(self, words: Sequence[str], current: str) -> str:
        path = os.path.normpath(os.path.join(current or os.getcwd(), words[0]))
        if not words[0] or not os.path.exists(path):
            raise ConfigError("No such file or directory")
        if not os.path.isdir(path):
            raise ConfigError("Not a directory")
        if not os.access(path, os.X_OK):
            raise ConfigError("Permission denied")
        return path

    def show(self, value: str) -> str:
        return value

    def lines(self, value: str, default: str) -> list[Line]:
        return [Line(quote_word(to_bytes(value)), True)]


def check_snapshot_name(text: str) -> None:
    """`dbfilename` names a file in `dir`."""
    if "/" in text or "\\" in text:
        raise ConfigError("dbfilename can't be a path, just a filename")


def check_append_name(text: str) -> None:
    """`appendfilename` names files in `appenddirname`."""
    if not text:
        raise ConfigError("appendfilename can't be empty")
    if "/" in text or "\\" in text:
        raise ConfigError("appendfilename can't be a path, just a filename")


def check_append_directory(text: str) -> None:
    """`appenddirname` names a directory in `dir`."""
    if not text:
        raise ConfigError("appenddirname can't be empty")
    if "/" in text or "\\" in text:
        raise ConfigError("appenddirname can't be a path, just a dirname")


def check_hostname(text: str) -> None:
    """A host name to announce: letters, digits, hyphens and dots."""
    if len(text) >= _HOSTNAME_MAX:
        raise ConfigError(f"Hostnames must be less than {_HOSTNAME_MAX} characters")
    if not re.fullmatch(r"[A-Za-z0-9.-]*", text):
        raise ConfigError("Hostnames may only contain alphanumeric characters, hyphens or dots")


_WEB_ADDRESS = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?([/?][!-~]*)?")


def check_web_address(text: str) -> None:
    """A URL of http or https that somebody can be reached by, or nothing."""
    if text and not _WEB_ADDRESS.fullmatch(text):
        raise ConfigError("argument must be a URL: http://HOST[:PORT]/PATH or https://…")


_TITLE_VARIABLES = r"\{(title|listen-addr|server-mode|port|tls-port|unixsocket|config-file)\}"


def check_title(text: str) -> None:
    """A process title: text with known variables in braces."""
    if re.search(r"[{}]", re.sub(_TITLE_VARIABLES, "", text)):
        raise ConfigError("template format is invalid or contains unknown variables")
