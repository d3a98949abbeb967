"""What is freed later, in slices, and what must not be."""

from __future__ import annotations

import gc
import random
from collections import deque
from collections.abc import Callable

import pytest

from tests.support import FamilyBench, stream_of
from txrepl.commands import keys, server, sets, streams, streams_groups, streams_reads, strings
from txrepl.keyspace.database import Database, Keyspace
from txrepl.keyspace.lazyfree import FREED_AT_ONCE
from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.streams import Consumer, ConsumerGroup, StreamValue
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value

SIZE = FREED_AT_ONCE + 100


def words(size: int = SIZE) -> list[bytes]:
    return [b"word:%d" % number for number in range(size)]


def large_hash() -> HashValue:
    value = HashValue(dict.fromkeys(words(), b""), dict.fromkeys(words(), 1))
    value.index = ScanIndex(value.fields)
    return value


def large_zset() -> SortedSetValue:
    value = SortedSetValue({word: float(number) for number, word in enumerate(words())})
    value.order()
    return value


def large_stream() -> StreamValue:
    stream = stream_of({(number, 0): (b"f", b"v") for number in range(1, SIZE)})
    group = stream.groups[b"g"] = ConsumerGroup((0, 0))
    consumer = group.consumers[b"c"] = Consumer(b"c", 0)
    for number in range(1, SIZE):
        group.assign((number, 0), consumer, 1, 1)
    return stream


def left_of(value: Value) -> int:
    """How many elements a value still holds, in all its containers."""
    match value:
        case ListValue():
            return len(value.items)
        case HashValue():
            return len(value.fields) + len(value.deadlines or ()) + (len(value.index.entries) if value.index else 0)
        case SetValue():
            return len(value.members)
        case SortedSetValue():
            return len(value.scores) + sum(map(len, value.order_blocks()))
        case StreamValue():
            group = value.groups[b"g"]
            return len(value.nodes) + len(group.pending) + len(group.consumers[b"c"].pending)
    raise AssertionError(value)


LARGE = (
    lambda: ListValue(deque(words())),
    large_hash,
    lambda: SetValue(set(words())),
    large_zset,
    large_stream,
)


@pytest.fixture
def keyspace() -> Keyspace:
    return Keyspace(2, random.Random(1))


@pytest.mark.parametrize("make", LARGE, ids=("list", "hash", "set", "zset", "stream"))
@pytest.mark.parametrize("drop", (lambda db: db.remove(b"k"), lambda db: db.put(b"k", b"text")), ids=("del", "set"))
def test_a_large_value_is_freed_in_slices_of_a_bounded_size(
    keyspace: Keyspace, make: Callable[[], Value], drop: Callable[[Database], object]
) -> None:
    """Whether its key was deleted or got another value."""
    db, lazyfree = keyspace.databases[0], keyspace.lazyfree
    value = make()
    db.put(b"k", value)
    drop(db)
    assert lazyfree.pending == 1 and lazyfree.freed == 0
    slices = 0
    while lazyfree.pending:
        before = left_of(value)
        lazyfree.drain(100)
        assert 0 < before - left_of(value) <= 1024
        slices += 1
    assert left_of(value) == 0 and lazyfree.freed == 1 and slices > 3


def test_a_small_value_is_freed_at_once(keyspace: Keyspace) -> None:
    """It costs nothing that a queue would save."""
    db = keyspace.databases[0]
    db.put(b"k", SetValue(set(words(FREED_AT_ONCE))))
    db.remove(b"k")
    assert keyspace.lazyfree.pending == 0


def test_a_dropped_database_is_freed_in_slices_with_all_that_is_in_it(keyspace: Keyspace) -> None:
    """A large value in it is queued in its turn."""
    db, lazyfree = keyspace.databases[0], keyspace.lazyfree
    for word in words():
        db.put(word, b"")
        db.set_expire(word, 5)
    large = SetValue(set(words()))
    db.put(b"large", large)
    assert keyspace.clear() == SIZE + 1 and lazyfree.pending == SIZE + 1
    slices = 0
    while lazyfree.pending:
        lazyfree.drain(500)
        slices += 1
    assert not large.members and lazyfree.freed == SIZE + 2 and slices > 5


def test_a_value_that_moves_is_not_freed() -> None:
    """RENAME, MOVE, and a database that is swapped keep what they move; what RENAME overwrites goes."""
    bench = FamilyBench(keys.family, server.family, sets.family, strings.family)
    bench.run("SADD", "s", *words())
    bench.run("SADD", "other", *words(FREED_AT_ONCE + 1))
    assert bench.run("RENAME", "s", "other") == "OK"
    assert bench.run("MOVE", "other", 1) == 1
    bench.run("SWAPDB", 0, 1)
    lazyfree = bench.keyspace.lazyfree
    assert lazyfree.pending == 1
    while lazyfree.pending:
        lazyfree.drain()
    assert bench.run("SCARD", "other") == SIZE


def test_taking_over_a_dataset_frees_the_old_one_and_leaves_none_behind(keyspace: Keyspace) -> None:
    """The keyspace that was loaded is a cycle and may stay; its data is the other's alone."""
    loaded = Keyspace(2, random.Random(1))
    loaded.databases[0].put(b"new", b"1")
    for word in words():
        keyspace.databases[0].put(word, b"")
    keyspace.adopt(loaded)
    assert keyspace.databases[0].data == {b"new": b"1"} and keyspace.lazyfree.pending == SIZE
    assert loaded.databases[0].data == {} and loaded.databases[0].wheel is not keyspace.databases[0].wheel


@pytest.mark.parametrize(
    "words",
    [["DEL", "s"], ["XGROUP", "DESTROY", "s", "g"], ["XGROUP", "DELCONSUMER", "s", "g", "c"], ["FLUSHDB"]],
    ids=("DEL", "XGROUP DESTROY", "XGROUP DELCONSUMER", "FLUSHDB"),
)
def test_consumers_that_are_gone_leave_no_cycle(words: list[str]) -> None:
    """They and what is pending for them refer to each other, and the collector may never look at them again."""
    bench = FamilyBench(keys.family, server.family, streams.family, streams_groups.family, streams_reads.family)
    bench.run("XADD", "s", "1-1", "f", "v")
    bench.run("XGROUP", "CREATE", "s", "g", "0")
    bench.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    gc.collect()
    gc.disable()
    try:
        before = consumers()
        bench.run(*words)
        bench.keyspace.lazyfree.drain()
        assert before - consumers() == 1
    finally:
        gc.enable()


def consumers() -> int:
    """How many consumers there are in this process, in whatever is not freed."""
    return sum(isinstance(one, Consumer) for one in gc.get_objects())
