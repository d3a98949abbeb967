"""Union, intersection and difference of sorted sets; plain sets take part with a score of 1 each.

Inputs are combined from the smallest to the largest, as Redis does: floating-point sums depend on the order.
A result that is not a number becomes 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isnan
from typing import Final

from txrepl.commands.arguments import integer, positive
from txrepl.commands.session import Session
from txrepl.commands.table import Family, counted_keys, key_at
from txrepl.commands.zset_values import score_argument, scored_reply, store
from txrepl.errors import SYNTAX, WRONG_TYPE, CommandError
from txrepl.keyspace.database import Database
from txrepl.keyspace.values import SetValue, SortedSetValue
from txrepl.resp.replies import Reply

family = Family("sorted-set")

Scores = dict[bytes, float]
Aggregate = Callable[[float, float], float]


class Source:
    """One input of an operation.

    Parameters:
        value: what the key holds; None when it is absent.
    """

    __slots__ = ("_members", "_scores", "size", "weight")

    def __init__(self, value: SortedSetValue | SetValue | None) -> None:
        self._scores: Scores | None = None
        self._members: set[bytes] = set()
        if isinstance(value, SortedSetValue):
            self._scores = value.scores
        elif value is not None:
            self._members = value.members
        self.size = len(self._members if self._scores is None else self._scores)
        self.weight: float = 1.0

    def __contains__(self, member: bytes) -> bool:
        return member in (self._members if self._scores is None else self._scores)

    def scored(self) -> Iterator[tuple[bytes, float]]:
        """Members with their scores, unweighted."""
        if self._scores is not None:
            return iter(self._scores.items())
        return ((member, 1.0) for member in self._members)

    def weighted(self) -> Iterator[tuple[bytes, float]]:
        """Members with weighted scores; not a number counts as 0."""
        weight = self.weight
        if weight == 1.0:
            return self.scored()
        return ((member, _or_zero(weight * score)) for member, score in self.scored())

    def weighted_score(self, member: bytes) -> float:
        """A contained member's weighted score."""
        return self.weight * (1.0 if self._scores is None else self._scores[member])


def _or_zero(score: float) -> float:
    return 0.0 if isnan(score) else score


def _sum(first: float, second: float) -> float:
    return _or_zero(first + second)


def _least(first: float, second: float) -> float:
    return second if second < first else first


def _greatest(first: float, second: float) -> float:
    return second if second > first else first


_AGGREGATES: Final[dict[bytes, Aggregate]] = {b"sum": _sum, b"min": _least, b"max": _greatest}


def union(sources: list[Source], aggregate: Aggregate) -> Scores:
    """Every member of any source."""
    result: Scores = {}
    for source in sorted(sources, key=_size):
        for member, score in source.weighted():
            known = result.get(member)
            result[member] = score if known is None else aggregate(known, score)
    return result


def intersection(sources: list[Source], aggregate: Aggregate) -> Scores:
    """The members that all sources have."""
    smallest, *others = sorted(sources, key=_size)
    result: Scores = {}
    for member, score in smallest.weighted():
        for source in others:
            if member not in source:
                break
            score = aggregate(score, source.weighted_score(member))
        else:
            result[member] = score
    return result


def difference(sources: list[Source], aggregate: Aggregate) -> Scores:
    """The first source's members that no other source has."""
    first, *others = sources
    return {member: score for member, score in first.scored() if not any(member in source for source in others)}


def _size(source: Source) -> int:
    return source.size


Operation = Callable[[list[Source], Aggregate], Scores]


# -- arguments --------------------------------------------------------------------------------------------------


def _sources(db: Database, argv: list[bytes], at: int, name: str) -> list[Source]:
    """Look up the keys that follow the count at `at`.

    Raises:
        CommandError: a bad count, or a key that holds neither a sorted set nor a set.
    """
    count = integer(argv[at])
    if count < 1:
        raise CommandError(f"ERR at least 1 input key is needed for '{name}' command")
    if count > len(argv) - at - 1:
        raise CommandError(SYNTAX)
    found: list[Source] = []
    for key in argv[at + 1 : at + 1 + count]:
        value = db.read(key)
        if value is not None and not isinstance(value, SortedSetValue | SetValue):
            raise CommandError(WRONG_TYPE)
        found.append(Source(value))
    return found


def _combine(s: Session, argv: list[bytes], operation: Operation, name: str, *, storing: bool) -> tuple[Scores, bool]:
    """Parse and run ZUNION, ZINTER, ZDIFF or their STORE form.

    Returns:
        The result, and whether WITHSCORES was given.
    """
    at = 2 if storing else 1
    sources = _sources(s.db, argv, at, name)
    aggregate: Aggregate = _sum
    with_scores = False
    plain = operation is difference
    i = at + 1 + len(sources)
    while i < len(argv):
        word = argv[i].lower()
        remaining = len(argv) - i
        if word == b"weights" and not plain and remaining > len(sources):
            for source in sources:
                i += 1
                source.weight = score_argument(argv[i], "ERR weight value is not a float")
        elif word == b"aggregate" and not plain and remaining > 1:
            i += 1
            chosen = _AGGREGATES.get(argv[i].lower())
            if chosen is None:
                raise CommandError(SYNTAX)
            aggregate = chosen
        elif word == b"withscores" and not storing:
            with_scores = True
        else:
            raise CommandError(SYNTAX)
        i += 1
    return operation(sources, aggregate), with_scores


def _answer(s: Session, argv: list[bytes], operation: Operation, name: str) -> Reply:
    result, with_scores = _combine(s, argv, operation, name, storing=False)
    return scored_reply(sorted((score, member) for member, score in result.items()), with_scores)


def _store(s: Session, argv: list[bytes], operation: Operation, name: str) -> Reply:
    result, _ = _combine(s, argv, operation, name, storing=True)
    return store(s, argv[1], result, name.encode())


# -- commands ---------------------------------------------------------------------------------------------------

_UNION_COST: Final = "O(N)+O(M*log(M)), N being the sizes of all inputs together and M the size of the result."
_INTER_COST: Final = (
    "O(N*K)+O(M*log(M)) at worst, N being the size of the smallest of K inputs and M the size of the result."
)
_DIFF_COST: Final = (
    "O(L + (N-K)log(N)) at worst, L being the sizes of all inputs together, N the size of the first "
    "and K the size of the result."
)


@family.command(
    "zunion",
    -3,
    "readonly",
    counted_keys(1, "RO ACCESS"),
    since="6.2.0",
    summary="Unites sorted sets.",
    complexity=_UNION_COST,
)
def zunion(s: Session, argv: list[bytes]) -> Reply:
    """ZUNION numkeys key [key …] [WEIGHTS w [w …]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]."""
    return _answer(s, argv, union, "zunion")


@family.command(
    "zinter",
    -3,
    "readonly",
    counted_keys(1, "RO ACCESS"),
    since="6.2.0",
    summary="Intersects sorted sets.",
    complexity=_INTER_COST,
)
def zinter(s: Session, argv: list[bytes]) -> Reply:
    """ZINTER numkeys key [key …] [WEIGHTS w [w …]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]."""
    return _answer(s, argv, intersection, "zinter")


@family.command(
    "zdiff",
    -3,
    "readonly",
    counted_keys(1, "RO ACCESS"),
    since="6.2.0",
    summary="Takes other sorted sets' members away from the first one.",
    complexity=_DIFF_COST,
)
def zdiff(s: Session, argv: list[bytes]) -> Reply:
    """ZDIFF numkeys key [key …] [WITHSCORES]."""
    return _answer(s, argv, difference, "zdiff")


@family.command(
    "zunionstore",
    -4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    counted_keys(2, "RO ACCESS"),
    since="2.0.0",
    summary="Unites sorted sets and stores the result.",
    complexity=_UNION_COST,
)
def zunionstore(s: Session, argv: list[bytes]) -> Reply:
    """ZUNIONSTORE destination numkeys key [key …] [WEIGHTS w [w …]] [AGGREGATE SUM|MIN|MAX]."""
    return _store(s, argv, union, "zunionstore")


@family.command(
    "zinterstore",
    -4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    counted_keys(2, "RO ACCESS"),
    since="2.0.0",
    summary="Intersects sorted sets and stores the result.",
    complexity=_INTER_COST,
)
def zinterstore(s: Session, argv: list[bytes]) -> Reply:
    """ZINTERSTORE destination numkeys key [key …] [WEIGHTS w [w …]] [AGGREGATE SUM|MIN|MAX]."""
    return _store(s, argv, intersection, "zinterstore")


@family.command(
    "zdiffstore",
    -4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    counted_keys(2, "RO ACCESS"),
    since="6.2.0",
    summary="Takes other sorted sets' members away from the first one and stores the result.",
    complexity=_DIFF_COST,
)
def zdiffstore(s: Session, argv: list[bytes]) -> Reply:
    """ZDIFFSTORE destination numkeys key [key …]."""
    return _store(s, argv, difference, "zdiffstore")


@family.command(
    "zintercard",
    -3,
    "readonly",
    counted_keys(1, "RO ACCESS"),
    since="7.0.0",
    summary="Counts the members that all of several sorted sets have.",
    complexity="O(N*K) at worst, N being the size of the smallest of K inputs.",
)
def zintercard(s: Session, argv: list[bytes]) -> Reply:
    """ZINTERCARD numkeys key [key …] [LIMIT limit]; limit 0 means none."""
    sources = _sources(s.db, argv, 1, "zintercard")
    limit = 0
    i = 2 + len(sources)
    while i < len(argv):
        if argv[i].lower() != b"limit" or i + 1 >= len(argv):
            raise CommandError(SYNTAX)
        limit = positive(argv[i + 1], "ERR LIMIT can't be negative")
        i += 2
    smallest, *others = sorted(sources, key=_size)
    count = 0
    for member, _ in smallest.scored():
        if all(member in source for source in others):
            count += 1
            if count == limit:
                break
    return count
