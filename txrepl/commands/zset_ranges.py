"""Ranges of sorted sets: by rank, by score, by member; read, counted, stored or removed.

Every kind of range becomes a span of ranks (start, stop); what follows from there is the same for all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from enum import Enum
from math import inf, isnan, nextafter
from typing import Final, Protocol

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.commands.zset_values import scored_reply, settle_removal, store
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import parse_float
from txrepl.keyspace.ranking import Scored
from txrepl.keyspace.values import SortedSetValue
from txrepl.resp.replies import Reply

family = Family("sorted-set")

_BAD_SCORE: Final = "ERR min or max is not a float"
_BAD_ITEM: Final = "ERR min or max not valid string range item"
_LIMIT_WITH_RANK: Final = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
_SCORES_WITH_LEX: Final = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"

Span = tuple[int, int]
"""Ranks start..stop-1; empty when start ≥ stop."""


class Range(Protocol):
    """A range whose bounds have been parsed."""

    def span(self, value: SortedSetValue, *, reverse: bool = False) -> Span:
        """The ranks within the range; `reverse` tells that it will be walked from its upper end."""


class RankRange:
    """Positions first..last, both included; negative ones count from the end.

    Parameters:
        first, last: as in the command, for REV counted from the highest score.
    """

    __slots__ = ("_first", "_last")

    def __init__(self, first: bytes, last: bytes) -> None:
        self._first = integer(first)
        self._last = integer(last)

    def span(self, value: SortedSetValue, *, reverse: bool = False) -> Span:
        """The ranks, counted from the lowest score."""
        size = len(value.scores)
        first = max(self._first + size if self._first < 0 else self._first, 0)
        last = min(self._last + size if self._last < 0 else self._last, size - 1)
        return (size - 1 - last, size - first) if reverse else (first, last + 1)


class ScoreRange:
    """Scores low..high, each bound open after `(` (`zslParseRange`).

    Raises:
        CommandError: a bound is not a number.
    """

    __slots__ = ("_start", "_stop")

    def __init__(self, low: bytes, high: bytes) -> None:
        bound, is_open = _score_bound(low)
        self._start: float | None = _after(bound) if is_open else bound
        bound, is_open = _score_bound(high)
        self._stop: float | None = bound if is_open else _after(bound)

    def span(self, value: SortedSetValue, *, reverse: bool = False) -> Span:
        """The ranks whose scores are within the bounds."""
        order = value.order()
        size = len(value.scores)
        start = size if self._start is None else order.below(self._start)
        stop = size if self._stop is None else order.below(self._stop)
        return start, stop


def _after(score: float) -> float | None:
    """The next score above; None: there is none."""
    return None if score == inf else nextafter(score, inf)


def _score_bound(text: bytes) -> tuple[float, bool]:
    """A bound as C's `strtod` reads it: leading blanks and an empty text (0) are allowed, nan is not."""
    is_open = text.startswith(b"(")
    digits = (text[1:] if is_open else text).partition(b"\0")[0].lstrip(b" \t\n\v\f\r")
    value = parse_float(digits) if digits else 0.0
    if value is None or isnan(value):
        raise CommandError(_BAD_SCORE)
    return value, is_open


_LexBound = tuple[int, bytes]
"""(-1, b"") is before every member, (1, b"") after every member, (0, text) is text itself."""


class LexRange:
    """Members low..high as `-`, `+`, `[text` or `(text` (`zslParseLexRange`).

    Means something only where all scores are equal. Where they are not, a small set is walked as Redis
    walks its small encoding, so that both sides of a replication link do the same.

    Raises:
        CommandError: a bound has none of the four forms.
    """

    __slots__ = ("_high", "_high_open", "_low", "_low_open")

    def __init__(self, low: bytes, high: bytes) -> None:
        self._low, self._low_open = _lex_bound(low)
        self._high, self._high_open = _lex_bound(high)

    def span(self, value: SortedSetValue, *, reverse: bool = False) -> Span:
        """The ranks whose members are within the bounds."""
        low, high = self._low, self._high
        if low > high or (low == high and (self._low_open or self._high_open)):
            return 0, 0
        return self._search(value) if value.large else self._walk(value, reverse)

    def _search(self, value: SortedSetValue) -> Span:
        size = len(value.scores)
        start = 0
        if self._low[0] >= 0:
            start = size if self._low[0] else _lex_rank(value, self._low[1], behind=self._low_open)
        stop = size
        if self._high[0] <= 0:
            stop = 0 if self._high[0] else _lex_rank(value, self._high[1], behind=not self._high_open)
        return start, stop

    def _walk(self, value: SortedSetValue, reverse: bool) -> Span:
        members = [(0, member) for _, member in value.order()]
        if not (self._above(members[-1]) and self._below(members[0])):
            return 0, 0
        if reverse:
            stop = len(members)
            while not self._below(members[stop - 1]):
                stop -= 1
            start = stop
            while start and self._above(members[start - 1]):
                start -= 1
            return start, stop
        start = 0
        while not self._above(members[start]):
            start += 1
        stop = start
        while stop < len(members) and self._below(members[stop]):
            stop += 1
        return start, stop

    def _above(self, member: _LexBound) -> bool:
        return member > self._low or (member == self._low and not self._low_open)

    def _below(self, member: _LexBound) -> bool:
        return member < self._high or (member == self._high and not self._high_open)


def _member(scored: Scored) -> bytes:
    return scored[1]


def _lex_rank(value: SortedSetValue, member: bytes, *, behind: bool) -> int:
    """How many members come before this one, itself included if `behind`; a guess where scores differ."""
    order = value.order()
    score = order[0][0]
    if score == order[len(order) - 1][0]:
        return order.rank(score, member) + (behind and member in value.scores)
    return bisect_right(order, member, key=_member) if behind else bisect_left(order, member, key=_member)


def _lex_bound(text: bytes) -> tuple[_LexBound, bool]:
    if text == b"-":
        return (-1, b""), True
    if text == b"+":
        return (1, b""), True
    if text[:1] not in (b"[", b"("):
        raise CommandError(_BAD_ITEM)
    return (0, text[1:]), text[:1] == b"("


# -- reading ----------------------------------------------------------------------------------------------------


class By(Enum):
    """What a range's bounds are."""

    RANK = "rank"
    SCORE = "score"
    LEX = "lex"


_PARSERS: Final[dict[By, Callable[[bytes, bytes], Range]]] = {
    By.RANK: RankRange,
    By.SCORE: ScoreRange,
    By.LEX: LexRange,
}


class _Query:
    """The words of a range command from the key on (`zrangeGenericCommand`).

    Parameters:
        argv: the command.
        at: position of the source key.
        by, reverse: what the command's name fixes; None where options BYSCORE, BYLEX and REV may.
        storing: WITHSCORES is not an option then.

    Raises:
        CommandError: options or bounds are wrong.
    """

    __slots__ = ("kind", "limit", "offset", "range", "reverse", "with_scores")

    def __init__(self, argv: list[bytes], at: int, by: By | None, reverse: bool | None, storing: bool) -> None:
        self.offset = 0
        self.limit = -1
        self.with_scores = False
        i = at + 3
        while i < len(argv):
            word = argv[i].lower()
            if word == b"withscores" and not storing:
                self.with_scores = True
            elif word == b"limit" and i + 2 < len(argv):
                self.offset = integer(argv[i + 1])
                self.limit = integer(argv[i + 2])
                i += 2
            elif word == b"rev" and reverse is None:
                reverse = True
            elif word == b"bylex" and by is None:
                by = By.LEX
            elif word == b"byscore" and by is None:
                by = By.SCORE
            else:
                raise CommandError(SYNTAX)
            i += 1
        self.kind = kind = by or By.RANK
        if self.limit != -1 and kind is By.RANK:
            raise CommandError(_LIMIT_WITH_RANK)
        if self.with_scores and kind is By.LEX:
            raise CommandError(_SCORES_WITH_LEX)
        self.reverse = bool(reverse)
        low, high = argv[at + 1], argv[at + 2]
        if self.reverse and kind is not By.RANK:
            low, high = high, low
        self.range = _PARSERS[kind](low, high)

    def find(self, value: SortedSetValue) -> list[Scored]:
        """The members within the range, in the direction asked for, LIMIT applied."""
        start, stop = self.range.span(value, reverse=self.reverse)
        if self.offset and self.kind is not By.RANK:  # LIMIT offset -1 passes for none with ranks
            if self.offset < 0:
                return []
            if self.reverse:
                stop -= self.offset
            else:
                start += self.offset
        if 0 <= self.limit < stop - start:
            if self.reverse:
                start = stop - self.limit
            else:
                stop = start + self.limit
        if start >= stop:
            return []
        found = value.order().span(max(start, 0), stop)
        if self.reverse:
            found.reverse()
        return found


def _read_range(s: Session, argv: list[bytes], by: By | None, reverse: bool | None) -> Reply:
    query = _Query(argv, 1, by, reverse, storing=False)
    value = s.db.read_zset(argv[1])
    return [] if value is None else scored_reply(query.find(value), query.with_scores)


@family.command(
    "zrange",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.2.0",
    summary="Reads a range of members by rank, score or member, in either direction.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrange(s: Session, argv: list[bytes]) -> Reply:
    """ZRANGE key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]."""
    return _read_range(s, argv, None, None)


@family.command(
    "zrevrange",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.2.0",
    summary="Reads a range of members by rank, from the highest score down.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrevrange(s: Session, argv: list[bytes]) -> Reply:
    """ZREVRANGE key start stop [WITHSCORES]."""
    return _read_range(s, argv, By.RANK, True)


@family.command(
    "zrangebyscore",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.5",
    summary="Reads the members whose scores are within bounds.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrangebyscore(s: Session, argv: list[bytes]) -> Reply:
    """ZRANGEBYSCORE key min max [WITHSCORES] [LIMIT offset count]."""
    return _read_range(s, argv, By.SCORE, False)


@family.command(
    "zrevrangebyscore",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.2.0",
    summary="Reads the members whose scores are within bounds, from the highest down.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrevrangebyscore(s: Session, argv: list[bytes]) -> Reply:
    """ZREVRANGEBYSCORE key max min [WITHSCORES] [LIMIT offset count]."""
    return _read_range(s, argv, By.SCORE, True)


@family.command(
    "zrangebylex",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.9",
    summary="Reads the members between two strings, where all scores are equal.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrangebylex(s: Session, argv: list[bytes]) -> Reply:
    """ZRANGEBYLEX key min max [LIMIT offset count]."""
    return _read_range(s, argv, By.LEX, False)


@family.command(
    "zrevrangebylex",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.9",
    summary="Reads the members between two strings from the last down, where all scores are equal.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members read.",
)
def zrevrangebylex(s: Session, argv: list[bytes]) -> Reply:
    """ZREVRANGEBYLEX key max min [LIMIT offset count]."""
    return _read_range(s, argv, By.LEX, True)


@family.command(
    "zrangestore",
    -5,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    key_at(2, "RO ACCESS"),
    since="6.2.0",
    summary="Stores a range of a sorted set's members in another key.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members stored.",
)
def zrangestore(s: Session, argv: list[bytes]) -> Reply:
    """ZRANGESTORE dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]."""
    query = _Query(argv, 2, None, None, storing=True)
    value = s.db.read_zset(argv[2])
    found = [] if value is None else query.find(value)
    return store(s, argv[1], {member: score for score, member in found}, b"zrangestore")


# -- counting ---------------------------------------------------------------------------------------------------


@family.command(
    "zcount",
    4,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Counts the members whose scores are within bounds.",
    complexity="O(log(N)), N being the size of the sorted set.",
)
def zcount(s: Session, argv: list[bytes]) -> Reply:
    """ZCOUNT key min max."""
    return _count(s, argv[1], ScoreRange(argv[2], argv[3]))


@family.command(
    "zlexcount",
    4,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.8.9",
    summary="Counts the members between two strings, where all scores are equal.",
    complexity="O(log(N)), N being the size of the sorted set.",
)
def zlexcount(s: Session, argv: list[bytes]) -> Reply:
    """ZLEXCOUNT key min max."""
    return _count(s, argv[1], LexRange(argv[2], argv[3]))


def _count(s: Session, key: bytes, wanted: Range) -> int:
    value = s.db.read_zset(key)
    if value is None:
        return 0
    start, stop = wanted.span(value)
    return max(stop - start, 0)


# -- removing ---------------------------------------------------------------------------------------------------


@family.command(
    "zremrangebyrank",
    4,
    "write",
    key_at(1, "RW DELETE"),
    since="2.0.0",
    summary="Removes the members at a range of ranks.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members removed.",
)
def zremrangebyrank(s: Session, argv: list[bytes]) -> Reply:
    """ZREMRANGEBYRANK key start stop."""
    return _remove(s, argv[1], RankRange(argv[2], argv[3]), b"zremrangebyrank")


@family.command(
    "zremrangebyscore",
    4,
    "write",
    key_at(1, "RW DELETE"),
    since="1.2.0",
    summary="Removes the members whose scores are within bounds.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members removed.",
)
def zremrangebyscore(s: Session, argv: list[bytes]) -> Reply:
    """ZREMRANGEBYSCORE key min max."""
    return _remove(s, argv[1], ScoreRange(argv[2], argv[3]), b"zremrangebyscore")


@family.command(
    "zremrangebylex",
    4,
    "write",
    key_at(1, "RW DELETE"),
    since="2.8.9",
    summary="Removes the members between two strings, where all scores are equal.",
    complexity="O(log(N)+M), N being the size of the sorted set and M the number of members removed.",
)
def zremrangebylex(s: Session, argv: list[bytes]) -> Reply:
    """ZREMRANGEBYLEX key min max."""
    return _remove(s, argv[1], LexRange(argv[2], argv[3]), b"zremrangebylex")


def _remove(s: Session, key: bytes, wanted: Range, event: bytes) -> int:
    value = s.db.write_zset(key)
    if value is None:
        return 0
    start, stop = wanted.span(value)
    if start >= stop:
        return 0
    count = len(value.take(start, stop))
    settle_removal(s.db, key, value, event, count)
    return count
