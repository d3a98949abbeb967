"""Keys of any type: deadlines, scans, sorting, DUMP, and what reaches the replicas."""

from __future__ import annotations

import random
from collections import deque

import pytest

from tests.support import FamilyBench, stream_of
from txrepl.commands import expire, keys, objects, scan, serialization, sort, strings
from txrepl.commands.scan import ScanOptions, scan_members
from txrepl.errors import CommandError
from txrepl.keyspace.database import Expiry
from txrepl.keyspace.duplicate import duplicate
from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.streams import Consumer, ConsumerGroup, PendingEntry, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    SetValue,
    SortedSetValue,
)

FAMILIES = (
    keys.family,
    expire.family,
    scan.family,
    objects.family,
    sort.family,
    serialization.family,
    strings.family,
)


@pytest.fixture
def bench() -> FamilyBench:
    return FamilyBench(*FAMILIES)


@pytest.mark.parametrize(
    ("command", "stream"),
    [
        ("EXPIRE k 10", [(b"PEXPIREAT", b"k", b"1700000010000")]),
        ("PEXPIRE k 10 NX", [(b"PEXPIREAT", b"k", b"1700000000010", b"NX")]),
        ("EXPIREAT k 1800000000", [(b"PEXPIREAT", b"k", b"1800000000000")]),
        ("EXPIRE k -1", [(b"DEL", b"k")]),
        ("PEXPIREAT k 1800000000000", []),
        ("EXPIRE k 10 XX", []),
    ],
)
def test_deadlines_reach_the_replicas_as_unix_times(
    bench: FamilyBench, command: str, stream: list[tuple[bytes, ...]]
) -> None:
    """PEXPIREAT goes as received, and what is past is a deletion."""
    bench.run("SET", "k", "v")
    bench.run(*command.split())
    assert [written for _, written in bench.effects()] == stream


def test_the_remaining_time_is_rounded_and_never_negative(bench: FamilyBench) -> None:
    """TTL rounds to the nearest second; a replica's reader does not see a due key at all."""
    bench.run("SET", "k", "v", "PX", "1500")
    assert (bench.run("TTL", "k"), bench.run("PTTL", "k")) == (2, 1500)
    bench.keyspace.now_ms += 1001
    assert (bench.run("TTL", "k"), bench.run("PTTL", "k")) == (0, 499)
    bench.keyspace.expiry = Expiry.HIDE
    bench.keyspace.now_ms += 500
    assert bench.run("TTL", "k") == -2
    assert b"k" in bench.keyspace.databases[0].data
    assert bench.run("KEYS", "*") == [] and bench.run("SCAN", "0") == [b"0", []]


def test_random_key_of_a_replica_ends_though_all_keys_are_due(bench: FamilyBench) -> None:
    """A replica may not delete them; it gives one at last, as Redis does."""
    bench.run("SET", "k", "v", "PX", "5")
    bench.effects()
    bench.keyspace.now_ms += 10
    bench.keyspace.expiry = Expiry.HIDE
    assert bench.run("RANDOMKEY") == b"k"
    bench.keyspace.expiry = Expiry.DELETE
    assert bench.run("RANDOMKEY") is None
    assert bench.effects() == [(0, (b"DEL", b"k"))]


def test_a_scan_meets_every_key_that_stays() -> None:
    """Keys come and go between the calls; those that stay are met, and the scan ends."""
    rng = random.Random(7)
    for _ in range(20):
        bench = FamilyBench(*FAMILIES)
        staying = {b"stay:%d" % i for i in range(rng.randrange(1, 200))}
        for key in sorted(staying):
            bench.run("SET", key, "")
        met: set[bytes] = set()
        cursor, calls = b"0", 0
        while calls == 0 or cursor != b"0":
            reply = bench.run("SCAN", cursor, "COUNT", rng.randrange(1, 30))
            assert isinstance(reply, list) and isinstance(reply[0], bytes) and isinstance(reply[1], list)
            cursor = reply[0]
            met.update(key for key in reply[1] if isinstance(key, bytes))
            for _ in range(rng.randrange(20)):
                bench.run("SET", f"come:{rng.randrange(50)}", "")
                bench.run("DEL", f"come:{rng.randrange(50)}")
            calls += 1
            assert calls < 1000
        assert staying <= met


def test_a_small_collection_is_scanned_whole_and_a_large_one_in_steps() -> None:
    """As with Redis's compact encodings: cursor 0 at once, whatever COUNT says."""
    members = {b"%d" % i for i in range(100)}
    options = ScanOptions()
    cursor, found, index = scan_members(members, None, False, 0, options)
    assert (cursor, set(found), index) == (0, members, None)
    met: list[bytes] = []
    cursor, found, index = scan_members(members, None, True, 0, options)
    assert isinstance(index, ScanIndex)
    while cursor:
        assert len(found) == options.count
        met += found
        cursor, found, index = scan_members(members, index, True, cursor, options)
    assert sorted(met + found) == sorted(members)


def test_a_rename_takes_the_deadline_along(bench: FamilyBench) -> None:
    """And drops that of the key it overwrites."""
    bench.run("SET", "a", "1", "PXAT", "1800000000000")
    bench.run("SET", "b", "2", "PXAT", "1900000000000")
    assert bench.run("RENAME", "a", "b") == "OK"
    assert bench.run("PEXPIRETIME", "b") == 1_800_000_000_000
    assert bench.run("EXISTS", "a") == 0
    bench.run("SET", "c", "3")
    bench.run("RENAME", "c", "b")
    assert bench.run("PEXPIRETIME", "b") == -1


def test_a_key_is_moved_with_its_deadline(bench: FamilyBench) -> None:
    """It is in one database only, and not where the name is taken."""
    bench.run("SET", "k", "v", "PXAT", "1800000000000")
    assert bench.run("MOVE", "k", "3") == 1
    assert bench.keyspace.databases[3].expires == {b"k": 1_800_000_000_000}
    assert not bench.keyspace.databases[0].data and not bench.keyspace.databases[0].expires
    bench.run("SET", "k", "w")
    assert bench.run("MOVE", "k", "3") == 0


def group_with_an_entry() -> StreamValue:
    stream = stream_of({(1, 0): (b"f", b"v")})
    group = ConsumerGroup((1, 0), 1)
    consumer = Consumer(b"c", 5, 6)
    entry = PendingEntry(consumer, 7, 2)
    group.consumers[b"c"] = consumer
    group.pending[(1, 0)] = consumer.pending[(1, 0)] = entry
    stream.groups[b"g"] = group
    return stream


def test_a_copy_shares_nothing_that_can_change() -> None:
    """Changing the copy of each type leaves the original alone."""
    items = duplicate(original_list := ListValue(deque([b"a"])))
    assert isinstance(items, ListValue)
    items.items.append(b"b")
    assert list(original_list.items) == [b"a"]
    fields = duplicate(original_hash := HashValue({b"f": b"v"}, {b"f": 5}))
    assert isinstance(fields, HashValue) and fields.deadlines == {b"f": 5}
    fields.fields[b"g"] = b"w"
    fields.deadlines.clear()
    assert (original_hash.fields, original_hash.deadlines) == ({b"f": b"v"}, {b"f": 5})
    members = duplicate(original_set := SetValue({b"m"}))
    assert isinstance(members, SetValue)
    members.members.clear()
    assert original_set.members == {b"m"}
    scores = duplicate(original_zset := SortedSetValue({b"m": 1.0}))
    assert isinstance(scores, SortedSetValue)
    scores.set_score(b"m", 2.0)
    assert original_zset.scores == {b"m": 1.0}


def test_a_copied_stream_has_its_own_groups() -> None:
    """A pending entry belongs to the copied consumer, once in the group and once there."""
    original = group_with_an_entry()
    copy = duplicate(original)
    assert isinstance(copy, StreamValue)
    group = copy.groups[b"g"]
    entry = group.pending[(1, 0)]
    assert entry is group.consumers[b"c"].pending[(1, 0)] and entry.consumer is group.consumers[b"c"]
    assert entry is not original.groups[b"g"].pending[(1, 0)]
    assert (entry.delivered_ms, entry.deliveries, group.entries_read) == (7, 2, 1)


def test_sort_reads_weights_and_results_from_other_keys(bench: FamilyBench) -> None:
    """BY and GET with keys and fields; what is missing weighs 0 and reads as null."""
    db = bench.keyspace.databases[0]
    db.put(b"l", ListValue(deque([b"1", b"2", b"3"])))
    db.put(b"h2", HashValue({b"w": b"-1", b"n": b"two"}))
    db.put(b"h3", HashValue({b"w": b"5"}))
    assert bench.run("SORT", "l", "BY", "h*->w") == [b"2", b"1", b"3"]
    assert bench.run("SORT", "l", "BY", "h*->w", "GET", "#", "GET", "h*->n", "DESC", "LIMIT", "1", "2") == [
        b"1",
        None,
        b"2",
        b"two",
    ]
    assert bench.run("SORT", "l", "BY", "h*->n", "ALPHA", "STORE", "out") == 3
    stored = db.data[b"out"]
    assert isinstance(stored, ListValue) and list(stored.items) == [b"1", b"3", b"2"]


@pytest.mark.parametrize("text", [b"abc", b"1 ", b"nan", b"1e400", b"1e-400", b" "])
def test_sort_refuses_what_is_no_number(bench: FamilyBench, text: bytes) -> None:
    """Without ALPHA every weight must be a double."""
    bench.keyspace.databases[0].put(b"l", ListValue(deque([text, b"1"])))
    refusal = bench.run("SORT", "l")
    assert isinstance(refusal, CommandError)
    assert refusal.message == b"ERR One or more scores can't be converted into double"


def test_a_key_is_restored_from_its_dump(bench: FamilyBench) -> None:
    """Type, content and size survive; a relative deadline reaches the replicas as an absolute one."""
    db = bench.keyspace.databases[0]
    db.put(b"s", SetValue({b"m%d" % i for i in range(200)}))
    payload = bench.run("DUMP", "s")
    assert isinstance(payload, bytes)
    assert bench.run("RESTORE", "t", "500", payload) == "OK"
    made = db.data[b"t"]
    assert isinstance(made, SetValue) and len(made.members) == 200 and made.large
    assert bench.effects() == [(0, (b"RESTORE", b"t", b"1700000000500", payload, b"ABSTTL"))]
    assert bench.run("OBJECT", "ENCODING", "t") == b"hashtable"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda payload: payload[:-1] + b"\0", b"ERR DUMP payload version or checksum are wrong"),
        (lambda payload: b"", b"ERR DUMP payload version or checksum are wrong"),
    ],
)
def test_a_spoilt_dump_is_refused(bench: FamilyBench, spoil: object, text: bytes) -> None:
    """And the key stays as it was."""
    bench.run("SET", "k", "hello")
    payload = bench.run("DUMP", "k")
    refusal = bench.run("RESTORE", "k", "0", spoil(payload), "REPLACE")  # type: ignore[operator]
    assert isinstance(refusal, CommandError) and refusal.message == text
    assert bench.run("GET", "k") == b"hello"


def test_either_the_time_or_the_number_of_uses_is_told(bench: FamilyBench) -> None:
    """IDLETIME and FREQ answer null for no key; of a key's two facts the policy decides which one is an error."""
    bench.run("SET", "k", "v")
    assert bench.run("OBJECT", "IDLETIME", "k") == 0
    assert isinstance(bench.run("OBJECT", "FREQ", "k"), CommandError)
    bench.keyspace.count_uses(True)
    assert bench.run("OBJECT", "FREQ", "k") == 5
    assert isinstance(bench.run("OBJECT", "IDLETIME", "k"), CommandError)
    for word in ("IDLETIME", "FREQ"):
        assert bench.run("OBJECT", word, "none") is None
