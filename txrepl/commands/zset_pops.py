"""Popping the lowest or highest members, at once or as soon as there are some.

Into the stream goes what was done: a blocking or many-key pop propagates as ZPOPMIN or ZPOPMAX of the one key.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer_between, positive, timeout_ms
from txrepl.commands.session import Blocked, Session
from txrepl.commands.table import Family, counted_keys, key_at, keys_from
from txrepl.commands.zset_values import settle_removal
from txrepl.errors import SYNTAX, WRONG_TYPE, CommandError
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.ranking import Scored
from txrepl.keyspace.values import SortedSetValue
from txrepl.resp.replies import NULL_ARRAY, Pairs, Reply

family = Family("sorted-set")

_BAD_NUMKEYS: Final = "ERR numkeys should be greater than 0"
_BAD_COUNT: Final = "ERR count should be greater than 0"


def _take(s: Session, key: bytes, value: SortedSetValue, count: int, highest: bool) -> list[Scored]:
    """Remove up to `count` members from one end and say so; they come in the order of popping."""
    size = len(value.scores)
    if highest:
        taken = value.take(max(size - count, 0), size)
        taken.reverse()
    else:
        taken = value.take(0, min(count, size))
    settle_removal(s.db, key, value, b"zpopmax" if highest else b"zpopmin", len(taken))
    return taken


def _first_with_members(s: Session, keys: list[bytes]) -> tuple[bytes, SortedSetValue] | None:
    """The first key that holds a sorted set.

    A client that waited is not told of a key that got another type meanwhile: it is served from the next one.

    Raises:
        CommandError: an earlier key holds another type.
    """
    for key in keys:
        value = s.db.write(key)
        if isinstance(value, SortedSetValue):
            return key, value
        if value is not None and s.waiting is None:
            raise CommandError(WRONG_TYPE)
    return None


# -- one key ----------------------------------------------------------------------------------------------------


@family.command(
    "zpopmin",
    -2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="5.0.0",
    summary="Removes and returns the members with the lowest scores.",
    complexity="O(log(N)*M), N being the size of the sorted set and M the number of members popped.",
)
def zpopmin(s: Session, argv: list[bytes]) -> Reply:
    """ZPOPMIN key [count]."""
    return _pop(s, argv, highest=False)


@family.command(
    "zpopmax",
    -2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="5.0.0",
    summary="Removes and returns the members with the highest scores.",
    complexity="O(log(N)*M), N being the size of the sorted set and M the number of members popped.",
)
def zpopmax(s: Session, argv: list[bytes]) -> Reply:
    """ZPOPMAX key [count]."""
    return _pop(s, argv, highest=True)


def _pop(s: Session, argv: list[bytes], *, highest: bool) -> Reply:
    """Without a count RESP3 gets one flat pair, with a count pairs (`zpopMinMaxCommand`)."""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    count = positive(argv[2], "ERR value is out of range, must be positive") if len(argv) == 3 else 1
    value = s.db.write_zset(argv[1])
    if value is None or count == 0:
        return []
    taken = _take(s, argv[1], value, count, highest)
    if len(argv) == 2:
        score, member = taken[0]
        return [member, score]
    return Pairs((member, score) for score, member in taken)


# -- several keys -----------------------------------------------------------------------------------------------


@family.command(
    "zmpop",
    -4,
    "write",
    counted_keys(1, "RW ACCESS DELETE"),
    since="7.0.0",
    summary="Removes and returns members of the first of several sorted sets that has any.",
    complexity="O(K) + O(M*log(N)), K being the number of keys, N the size of the sorted set, M the members popped.",
)
def zmpop(s: Session, argv: list[bytes]) -> Reply:
    """ZMPOP numkeys key [key …] MIN|MAX [COUNT count]."""
    keys, highest, count = _many_arguments(argv, 1)
    reply = _pop_many(s, keys, highest, count)
    return NULL_ARRAY if reply is None else reply


@family.command(
    "bzmpop",
    -5,
    "write blocking",
    counted_keys(2, "RW ACCESS DELETE"),
    since="7.0.0",
    summary="Removes and returns members of the first of several sorted sets that has any, or waits for some.",
    complexity="O(K) + O(M*log(N)), K being the number of keys, N the size of the sorted set, M the members popped.",
)
def bzmpop(s: Session, argv: list[bytes]) -> Reply:
    """BZMPOP timeout numkeys key [key …] MIN|MAX [COUNT count]."""
    keys, highest, count = _many_arguments(argv, 2)
    timeout = timeout_ms(argv[1])
    reply = _pop_many(s, keys, highest, count)
    return _wait(s, keys, timeout) if reply is None else reply


def _many_arguments(argv: list[bytes], at: int) -> tuple[list[bytes], bool, int]:
    """Keys, whether the highest scores are wanted, and the count; `at` is the position of numkeys."""
    numkeys = integer_between(argv[at], 1, INT64_MAX, _BAD_NUMKEYS)
    where = at + numkeys + 1
    if where >= len(argv):
        raise CommandError(SYNTAX)
    end = argv[where].lower()
    if end not in (b"min", b"max"):
        raise CommandError(SYNTAX)
    count = 1
    options = argv[where + 1 :]
    if options:
        if options[0].lower() != b"count" or len(options) == 1:
            raise CommandError(SYNTAX)
        count = integer_between(options[1], 1, INT64_MAX, _BAD_COUNT)
        if len(options) > 2:
            raise CommandError(SYNTAX)
    return argv[at + 1 : where], end == b"max", count


def _pop_many(s: Session, keys: list[bytes], highest: bool, count: int) -> Reply:
    """[key, [[member, score] …]] from the first key that has any, else None."""
    found = _first_with_members(s, keys)
    if found is None:
        return None
    key, value = found
    taken = _take(s, key, value, count, highest)
    s.propagate(b"ZPOPMAX" if highest else b"ZPOPMIN", key, b"%d" % len(taken))
    return [key, [[member, score] for score, member in taken]]


# -- waiting ----------------------------------------------------------------------------------------------------


@family.command(
    "bzpopmin",
    -3,
    "write blocking fast",
    keys_from(1, "RW ACCESS DELETE", last=-2),
    since="5.0.0",
    summary="Removes and returns the lowest member of the first sorted set that has any, or waits for one.",
    complexity="O(log(N)), N being the size of the sorted set.",
)
def bzpopmin(s: Session, argv: list[bytes]) -> Reply:
    """BZPOPMIN key [key …] timeout."""
    return _pop_or_wait(s, argv, highest=False)


@family.command(
    "bzpopmax",
    -3,
    "write blocking fast",
    keys_from(1, "RW ACCESS DELETE", last=-2),
    since="5.0.0",
    summary="Removes and returns the highest member of the first sorted set that has any, or waits for one.",
    complexity="O(log(N)), N being the size of the sorted set.",
)
def bzpopmax(s: Session, argv: list[bytes]) -> Reply:
    """BZPOPMAX key [key …] timeout."""
    return _pop_or_wait(s, argv, highest=True)


def _pop_or_wait(s: Session, argv: list[bytes], *, highest: bool) -> Reply:
    timeout = timeout_ms(argv[-1])
    keys = argv[1:-1]
    found = _first_with_members(s, keys)
    if found is None:
        return _wait(s, keys, timeout)
    key, value = found
    score, member = _take(s, key, value, 1, highest)[0]
    s.propagate(b"ZPOPMAX" if highest else b"ZPOPMIN", key)
    return [key, member, score]


def _wait(s: Session, keys: list[bytes], timeout: int) -> Reply:
    return Blocked(keys, timeout) if s.may_block else NULL_ARRAY
