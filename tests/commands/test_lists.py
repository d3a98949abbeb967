"""List commands without a server: ranges against a plain list, waiting, what goes into the stream."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import blocking_lists, lists
from txrepl.commands.session import DENY_BLOCKING, PRIMARY, Blocked
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import ListValue
from txrepl.resp.replies import NULL_ARRAY

INDEX = st.integers(-260, 260)
LENGTH = st.integers(1, 250)


@pytest.fixture
def bench() -> FamilyBench:
    """The list commands over an empty keyspace."""
    return FamilyBench(lists.family, blocking_lists.family)


def numbered(length: int) -> tuple[FamilyBench, list[bytes]]:
    """A bench whose list `l` holds 0, 1, 2 …, and the same as a plain list."""
    bench = FamilyBench(lists.family, blocking_lists.family)
    items = [b"%d" % n for n in range(length)]
    bench.run("RPUSH", "l", *items)
    return bench, items


def listen(bench: FamilyBench) -> list[tuple[bytes, bytes]]:
    """Collect keyspace events as (name, key)."""
    events: list[tuple[bytes, bytes]] = []
    bench.keyspace.notify_flags = Event.LIST | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, db: events.append((event, key))
    return events


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


def span(length: int, start: int, stop: int) -> slice:
    """Redis's inclusive range with negative indexes as a Python slice."""
    first = max(start + length if start < 0 else start, 0)
    last = stop + length if stop < 0 else stop
    return slice(first, max(last + 1, first))


# -- ranges -------------------------------------------------------------------------------------------------------


@given(LENGTH, INDEX, INDEX)
def test_lrange_gives_what_a_slice_gives_wherever_the_range_lies(length: int, start: int, stop: int) -> None:
    """Ranges near the head, near the tail, far from both, and outside take different ways to one answer."""
    bench, items = numbered(length)
    assert bench.run("LRANGE", "l", start, stop) == items[span(length, start, stop)]


@pytest.mark.parametrize("start", [0, 10, 2_000, 4_998, 5_000, 9_000, 9_990])
@pytest.mark.parametrize("count", [1, 2, 10, 63, 64, 300])
def test_lrange_of_a_long_list_gives_what_a_slice_gives(start: int, count: int) -> None:
    """The way by index is only taken by short ranges far from both ends."""
    bench, items = numbered(10_000)
    assert bench.run("LRANGE", "l", start, start + count - 1) == items[start : start + count]


@given(LENGTH, INDEX, INDEX)
def test_ltrim_keeps_what_lrange_gives_and_deletes_an_emptied_list(length: int, start: int, stop: int) -> None:
    """Trimming counts as many changes as elements went."""
    bench, items = numbered(length)
    kept = items[span(length, start, stop)]
    before = bench.keyspace.dirty
    assert bench.run("LTRIM", "l", start, stop) == "OK"
    assert bench.run("LRANGE", "l", 0, -1) == kept
    assert bench.keyspace.databases[0].exists(b"l") == bool(kept)
    assert bench.keyspace.dirty - before == length - len(kept)


@given(st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=20), st.integers(-5, 5))
def test_lrem_takes_the_first_or_the_last_equal_elements(items: list[bytes], count: int) -> None:
    """A positive count works from the head, a negative one from the tail, 0 takes all."""
    bench = FamilyBench(lists.family)
    bench.run("RPUSH", "l", *items)
    equal = [position for position, item in enumerate(items) if item == b"a"]
    gone = set(equal if count == 0 else equal[:count] if count > 0 else equal[count:])
    assert bench.run("LREM", "l", count, "a") == len(gone)
    assert bench.run("LRANGE", "l", 0, -1) == [item for n, item in enumerate(items) if n not in gone]


@given(
    st.lists(st.sampled_from([b"a", b"b"]), min_size=1, max_size=20),
    st.integers(-6, 6).filter(bool),
    st.none() | st.integers(0, 6),
    st.integers(0, 25),
)
def test_lpos_finds_from_a_rank_on_within_maxlen(items: list[bytes], rank: int, count: int | None, most: int) -> None:
    """The answer is an index from the head whichever way it looked; without COUNT a single one."""
    bench = FamilyBench(lists.family)
    bench.run("RPUSH", "l", *items)
    order = list(range(len(items)))
    if rank < 0:
        order.reverse()
    matches = [n for n in order[: most or None] if items[n] == b"a"][abs(rank) - 1 :]
    words = [] if count is None else ["COUNT", count]
    wanted: object = (matches[:count] if count else matches) if count is not None else matches[0] if matches else None
    assert bench.run("LPOS", "l", "a", "RANK", rank, "MAXLEN", most, *words) == wanted


@given(LENGTH, st.integers(1, 300), st.booleans())
def test_a_pop_with_a_count_takes_from_its_end_in_order(length: int, count: int, left: bool) -> None:
    """LPOP takes the head first, RPOP the tail first; the last element takes the key with it."""
    bench, items = numbered(length)
    order = items if left else items[::-1]
    assert bench.run("LPOP" if left else "RPOP", "l", count) == order[:count]
    assert bench.run("LLEN", "l") == max(length - count, 0)
    assert bench.keyspace.databases[0].exists(b"l") == (count < length)


def test_linsert_finds_the_first_pivot_and_says_when_there_is_none(bench: FamilyBench) -> None:
    """-1 for no such element, 0 for no such list."""
    bench.run("RPUSH", "l", "a", "b", "b")
    assert bench.run("LINSERT", "l", "BEFORE", "b", "x") == 4
    assert bench.run("LINSERT", "l", "after", "b", "y") == 5
    assert bench.run("LRANGE", "l", 0, -1) == [b"a", b"x", b"b", b"y", b"b"]
    assert bench.run("LINSERT", "l", "AFTER", "zz", "y") == -1
    assert bench.run("LINSERT", "no", "AFTER", "b", "y") == 0


# -- events -------------------------------------------------------------------------------------------------------


def test_moving_the_last_element_announces_push_pop_and_deletion_in_that_order(bench: FamilyBench) -> None:
    """The destination speaks first, as in Redis."""
    bench.run("RPUSH", "a", "x")
    events = listen(bench)
    assert bench.run("LMOVE", "a", "b", "LEFT", "RIGHT") == b"x"
    assert events == [(b"rpush", b"b"), (b"lpop", b"a"), (b"del", b"a")]


def test_a_list_may_be_rotated_onto_itself_even_with_one_element(bench: FamilyBench) -> None:
    """The list is never deleted in between."""
    bench.run("RPUSH", "l", "x")
    assert bench.run("RPOPLPUSH", "l", "l") == b"x"
    bench.run("RPUSH", "l", "y")
    assert bench.run("LMOVE", "l", "l", "LEFT", "RIGHT") == b"x"
    assert bench.run("LRANGE", "l", 0, -1) == [b"y", b"x"]


def test_a_watched_list_wakes_its_watcher_when_it_changes_and_not_when_it_is_read(bench: FamilyBench) -> None:
    """Each changing command touches the key."""
    bench.run("RPUSH", "l", "a", "b", "c")
    touched: list[int] = []
    bench.keyspace.databases[0].watched[b"l"] = {1: lambda: touched.append(1)}
    for words in (("LRANGE", "l", 0, -1), ("LREM", "l", 0, "zz"), ("LPOP", "l", 0), ("LLEN", "l")):
        bench.run(*words)
    assert touched == []
    for words in (("LPUSH", "l", "x"), ("LSET", "l", 0, "y"), ("LTRIM", "l", 0, 1), ("RPOP", "l"), ("LPOP", "l")):
        bench.run(*words)
    assert len(touched) == 5


# -- waiting ------------------------------------------------------------------------------------------------------

WAITING = [
    (["BLPOP", "a", "b", "1.5"], [b"a", b"b"], 1500, NULL_ARRAY),
    (["BRPOP", "a", "0"], [b"a"], 0, NULL_ARRAY),
    (["BLMPOP", "0.0001", "2", "a", "b", "LEFT", "COUNT", "3"], [b"a", b"b"], 1, NULL_ARRAY),
    (["BLMOVE", "a", "b", "LEFT", "RIGHT", "2"], [b"a"], 2000, None),
    (["BRPOPLPUSH", "a", "b", "2"], [b"a"], 2000, None),
]


@pytest.mark.parametrize(("words", "keys", "timeout_ms", "refused"), WAITING, ids=str)
def test_with_nothing_there_a_blocking_command_waits_unless_it_may_not(
    bench: FamilyBench, words: list[str], keys: list[bytes], timeout_ms: int, refused: object
) -> None:
    """It says for which keys and how long; in a transaction and in the primary's stream it answers at once."""
    reply = bench.run(*words)
    assert isinstance(reply, Blocked)
    assert (reply.keys, reply.timeout_ms, reply.kind) == (keys, timeout_ms, "key")
    assert reply.on_timeout() is NULL_ARRAY
    for flag in (DENY_BLOCKING, PRIMARY):
        bench.session.flags = flag
        assert bench.run(*words) is refused
    assert bench.effects() == []


@pytest.mark.parametrize(
    ("words", "reply", "effect"),
    [
        (["BLPOP", "no", "l", "1"], [b"l", b"a"], (b"LPOP", b"l")),
        (["BRPOP", "no", "l", "1"], [b"l", b"c"], (b"RPOP", b"l")),
        (["LMPOP", "2", "no", "l", "right"], [b"l", [b"c"]], (b"RPOP", b"l", b"1")),
        (["LMPOP", "2", "no", "l", "left", "COUNT", "9"], [b"l", [b"a", b"b", b"c"]], (b"LPOP", b"l", b"3")),
        (["BLMPOP", "0", "1", "l", "right", "COUNT", "2"], [b"l", [b"c", b"b"]], (b"RPOP", b"l", b"2")),
        (["BLMOVE", "l", "m", "left", "right", "1"], b"a", (b"LMOVE", b"l", b"m", b"left", b"right")),
        (["BRPOPLPUSH", "l", "m", "1"], b"c", (b"RPOPLPUSH", b"l", b"m")),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_what_was_taken_goes_into_the_stream_as_a_command_that_never_waits(
    bench: FamilyBench, words: list[str], reply: object, effect: tuple[bytes, ...]
) -> None:
    """The words as received are replaced."""
    bench.run("RPUSH", "l", "a", "b", "c")
    assert bench.run(*words) == reply
    assert bench.effects() == [(0, effect)]
    assert not bench.keyspace.verbatim


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["BLPOP", "str", "x"], "ERR timeout is not a float or out of range"),
        (["BLPOP", "no", "-1"], "ERR timeout is negative"),
        (["BLMOVE", "no", "m", "UP", "LEFT", "x"], "ERR syntax error"),
        (["BLMOVE", "no", "m", "LEFT", "LEFT", "x"], "ERR timeout is not a float or out of range"),
        (["BLMPOP", "x", "0", "no", "LEFT"], "ERR numkeys should be greater than 0"),
        (["BLMPOP", "0", "1", "no", "LEFT", "COUNT", "0"], "ERR count should be greater than 0"),
        (["BLMPOP", "x", "1", "no", "LEFT"], "ERR timeout is not a float or out of range"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_blocking_command_is_refused_before_it_waits(
    bench: FamilyBench, words: list[str], message: str
) -> None:
    """A command that waits can no longer be wrong."""
    assert error(bench.run(*words)) == message


def test_new_elements_make_the_key_ready_for_those_who_wait(bench: FamilyBench) -> None:
    """Pushing to a new or an existing list, and moving into one, all wake."""
    keyspace = bench.keyspace
    keyspace.databases[0].waiting = {b"l": 1, b"m": 1}
    for words in (("RPUSH", "l", "a"), ("LPUSH", "l", "b"), ("RPUSHX", "l", "c")):
        keyspace.ready.clear()
        bench.run(*words)
        assert list(keyspace.ready) == [(0, b"l")]
    for _ in range(2):
        keyspace.ready.clear()
        bench.run("LMOVE", "l", "m", "LEFT", "LEFT")
        assert list(keyspace.ready) == [(0, b"m")]
    keyspace.ready.clear()
    bench.run("RPUSHX", "no", "c")
    assert not keyspace.ready


def test_a_list_that_is_due_is_gone_and_its_deletion_comes_first(bench: FamilyBench) -> None:
    """The stream tells of the DEL before the push that made the key anew."""
    bench.run("RPUSH", "l", "old")
    db = bench.keyspace.databases[0]
    db.set_expire(b"l", bench.keyspace.now_ms - 1)
    assert bench.run("RPUSH", "l", "new") == 1
    assert bench.effects() == [(0, (b"DEL", b"l"))]
    value = db.data[b"l"]
    assert isinstance(value, ListValue) and list(value.items) == [b"new"]
    assert b"l" not in db.expires
