"""The count of bytes: what is counted, that it is kept, and that counting what is there already goes in slices."""

from __future__ import annotations

import tracemalloc
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commands.nodes import Caller, Place
from txrepl.keyspace import memory
from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.memory import blob_bytes, estimate, recount, size_of
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value

KEYS = ("a", "b", "c")
WORDS = ("x", "7", "1-1", "long" * 30, "middling value")
LINES = (
    "SET {k} {w}", "SET {k} {w} PX 5", "GETSET {k} {w}", "APPEND {k} {w}", "SETRANGE {k} 90 {w}", "INCR {k}",
    "MSET {k} {w} {j} {w}", "SETBIT {k} 900 1", "BITOP OR {k} {j} {k}", "PFADD {k} {w}", "PFMERGE {k} {j}",
    "BITFIELD {k} SET u8 0 3", "GETEX {k} PX 3", "GETDEL {k}", "INCRBYFLOAT {k} 1.5", "SETNX {k} {w}",
    "LPUSH {k} {w} {w}", "RPUSH {k} {w}", "LPOP {k}", "RPOP {k} 2", "LSET {k} 0 {w}", "LTRIM {k} 0 1", "LREM {k} 1 {w}",
    "LINSERT {k} BEFORE {w} {w}", "LMOVE {k} {j} LEFT RIGHT", "SORT {k} ALPHA STORE {j}",
    "SADD {k} {w} 1 2 3", "SREM {k} {w} 1", "SPOP {k}", "SMOVE {k} {j} {w}", "SUNIONSTORE {k} {j} {k}",
    "SINTERSTORE {k} {j} {k}", "SDIFFSTORE {k} {k} {j}",
    "ZADD {k} 1 {w} 2 {k}", "ZINCRBY {k} 2 {w}", "ZREM {k} {w}", "ZPOPMIN {k}", "ZREMRANGEBYRANK {k} 0 0",
    "ZUNIONSTORE {k} 2 {j} {k}", "ZRANGESTORE {k} {j} 0 1", "GEOADD {k} 1 2 {w}", "ZRANGE {k} 0 -1",
    "HSET {k} {w} {w} f {w}", "HDEL {k} {w}", "HINCRBY {k} n 3", "HSETNX {k} {w} {w}", "HSCAN {k} 0",
    "HINCRBYFLOAT {k} n 0.5", "HEXPIRE {k} 1 FIELDS 1 f", "HPERSIST {k} FIELDS 1 f",
    "XADD {k} * f {w}", "XADD {k} 1-1 f {w}", "XTRIM {k} MAXLEN 1", "XDEL {k} 1-1", "XGROUP CREATE {k} g 0 MKSTREAM",
    "XREADGROUP GROUP g me COUNT 2 STREAMS {k} >", "XACK {k} g 1-1", "XGROUP DESTROY {k} g",
    "XSETID {k} 9999999999999-1",
    "XGROUP CREATECONSUMER {k} g you", "XAUTOCLAIM {k} g you 0 0", "XCLAIM {k} g you 0 1-1",
    "XGROUP DELCONSUMER {k} g me",
    "DEL {k}", "UNLINK {k} {j}", "RENAME {k} {j}", "RENAMENX {k} {j}", "COPY {k} {j}", "COPY {k} {j} REPLACE",
    "MOVE {k} 1", "EXPIRE {k} 1", "PEXPIRE {k} 1", "PERSIST {k}", "EXPIREAT {k} 1", "GET {k}",
    "SELECT 1", "SELECT 0", "SWAPDB 0 1", "FLUSHDB", "FLUSHALL", "MULTI", "EXEC", "DISCARD",
    "DEBUG POPULATE 3", "TIME",
)  # fmt: skip
"""TIME stands for some that passes."""

lines = st.builds(
    lambda line, k, j, w: line.format(k=k, j=j, w=f'"{w}"'),
    st.sampled_from(LINES),
    st.sampled_from(KEYS),
    st.sampled_from(KEYS),
    st.sampled_from(WORDS),
)


def run(place: Place, client: Caller, line: str) -> None:
    """Run a command; TIME lets some pass."""
    if line == "TIME":
        place.advance(400)
    assert b"internal error" not in client.say(line), line


def assert_exact(keyspace: Keyspace) -> None:
    """Every tally is what a count from the beginning gives."""
    for db in keyspace.databases:
        assert db.tally is not None
        assert db.tally.total() == recount(db.data.items())


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, min_size=40, max_size=80))
def test_the_total_after_any_commands_is_that_of_a_full_count(commands: list[str]) -> None:
    """Whatever a command did to whatever key, and however the key went."""
    place = Place(maxmemory="100gb")
    client = place.client()
    for command in commands:
        run(place, client, command)
        assert_exact(place.node.keyspace)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(lines, min_size=20, max_size=40), st.lists(st.tuples(lines, st.integers(0, 2)), min_size=20, max_size=40)
)
def test_a_count_in_slices_agrees_with_what_changed_meanwhile(
    before: list[str], meanwhile: list[tuple[str, int]]
) -> None:
    """Steps of two keys each, with commands between them that change counted and uncounted keys alike."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "SLICE_KEYS", 2)
        place = Place()
        client = place.client()
        for command in before:
            run(place, client, command)
        keyspace = place.node.keyspace
        keyspace.begin_count()
        count = keyspace.count
        assert count is not None
        for command, steps in meanwhile:
            run(place, client, command)
            for _ in range(steps):
                next(count, None)
        for _ in count:
            pass
        assert_exact(keyspace)


def values_of(length: int, content: bytes = b"some content") -> list[Value]:
    """A value of each kind of so many elements."""
    elements = [b"element:%d" % number for number in range(length)]
    return [
        HashValue(dict.fromkeys(elements, content)),
        ListValue(deque(elements)),
        SetValue(set(elements)),
        SortedSetValue({element: float(number) for number, element in enumerate(elements)}),
    ]


@pytest.mark.parametrize("length", [1, 16, 17, 5000])
def test_a_sample_tells_what_all_elements_do(length: int) -> None:
    """Elements of like sizes: within a few percent, and to the byte where the sample is all."""
    for value in values_of(length):
        exact = size_of(value, 0)
        assert size_of(value) == pytest.approx(exact, rel=0.04)
        if length <= 16:
            assert size_of(value) == exact


def test_one_huge_element_does_not_count_for_all() -> None:
    """Nor is it overlooked where the sample sees it."""
    value = values_of(10_000)[0]
    assert isinstance(value, HashValue)
    usual = size_of(value)
    value.fields = {b"huge": bytes(1_000_000), **value.fields}
    assert usual + 1_000_000 <= size_of(value) <= usual + 1_100_000


def test_what_a_value_is_said_to_take_is_what_cpython_allocates() -> None:
    """Within a fifth of what tracemalloc sees, for each kind of value."""
    for kind in range(4):
        tracemalloc.start()
        try:
            value = values_of(5000)[kind]
            if isinstance(value, SortedSetValue):
                value.order()
            if isinstance(value, HashValue):
                value.fields = {field: field + b"'s value" for field in value.fields}
            taken = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert size_of(value, 0) == pytest.approx(taken, rel=0.2), type(value)


def test_an_estimate_is_exact_for_few_keys_and_near_for_many() -> None:
    """Without a limit nobody counts."""
    data: dict[bytes, Value] = {b"key:%05d" % number: bytes(number % 100) for number in range(20_000)}
    exact = sum(blob_bytes(len(key)) + size_of(value) for key, value in data.items())
    assert estimate(data) == pytest.approx(exact, rel=0.05)
    assert estimate(data, looks=20_000) == exact


def test_nothing_is_counted_without_a_limit() -> None:
    """No tally, and no attention on the way of a write; both end with the limit."""
    place = Place()
    client = place.client()
    keyspace = place.node.keyspace
    assert (keyspace.attention, keyspace.databases[0].tally) == (0, None)
    client.say("CONFIG SET maxmemory 1gb")
    assert keyspace.attention and keyspace.databases[0].tally is not None
    client.say("CONFIG SET maxmemory 0")
    assert (keyspace.attention, keyspace.databases[0].tally) == (0, None)
