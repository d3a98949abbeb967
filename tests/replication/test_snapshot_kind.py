"""What replicas are taken to read, and which of them share a snapshot."""

from __future__ import annotations

import random

import pytest

from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import HashValue
from txrepl.persistence.snapshot import objection, suited, version_for
from txrepl.replication.replica import Replica
from txrepl.replication.snapshot_kind import Reads, SnapshotKind, parse_version
from txrepl.replication.states import Capability


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("9.0.1", (9, 0, 1)), ("8.1.0", (8, 1, 0)), ("9", None), ("9.0", None), ("9.0.x", None), ("", None)],
)
def test_a_version_has_three_numbers(text: str, numbers: tuple[int, int, int] | None) -> None:
    """As Valkey parses REPLCONF version."""
    assert parse_version(text) == numbers


@pytest.mark.parametrize(
    ("version", "capabilities", "reads"),
    [
        ("", Capability.EOF | Capability.PSYNC2, Reads.PORTABLE),
        ("7.0.0", Capability.EOF, Reads.PORTABLE),
        ("8.1.0", Capability.EOF, Reads.VERSION_11),
        ("9.0.0", Capability.EOF, Reads.VALKEY_9),
        ("10.2.0", Capability.NONE, Reads.VALKEY_9),
        ("", Capability.EOF | Capability.RDB_CHANNEL, Reads.REDIS_8),
    ],
)
def test_a_replica_reads_what_it_says_it_does(version: str, capabilities: Capability, reads: Reads) -> None:
    """Who says nothing is taken for the oldest that is supported."""
    replica = Replica(1, "127.0.0.1")
    replica.version, replica.capabilities = version, capabilities
    assert replica.snapshot_kind == SnapshotKind(reads)


def _keyspace(deadlines: bool) -> Keyspace:
    keyspace = Keyspace(16, random.Random(1))
    for number in range(7):
        value = HashValue({b"f": b"v"}, {b"f": 4_102_444_800_000} if deadlines else None)
        keyspace.databases[number].put(b"hash %d" % number, value)
        keyspace.databases[number].heed(b"hash %d" % number, value)
    return keyspace


def test_without_deadlines_one_snapshot_suits_all_readers() -> None:
    """Version 9, for whoever reads it; filters still differ."""
    keyspace = _keyspace(deadlines=False)
    kinds = {suited(keyspace, SnapshotKind(reads)) for reads in Reads}
    assert kinds == {SnapshotKind()}
    assert version_for(keyspace, SnapshotKind()) == (9, "redis")
    assert suited(keyspace, SnapshotKind(Reads.VALKEY_9, data=False)) == SnapshotKind(data=False)


def test_with_streams_who_reads_their_counters_shares_a_snapshot_that_has_them() -> None:
    """Version 11 for whoever says that it reads it, 9 for the others."""
    keyspace = _keyspace(deadlines=False)
    keyspace.databases[0].heed(b"s", StreamValue())
    kinds = {reads: suited(keyspace, SnapshotKind(reads)) for reads in Reads}
    assert kinds.pop(Reads.PORTABLE) == SnapshotKind()
    assert set(kinds.values()) == {SnapshotKind(Reads.VERSION_11)}
    assert version_for(keyspace, SnapshotKind(Reads.VERSION_11)) == (11, "redis")
    assert version_for(keyspace, SnapshotKind()) == (9, "redis")


def test_with_deadlines_each_reader_has_its_version_and_the_others_an_objection() -> None:
    """12 for Redis 8, 80 for Valkey 9; the objection names five keys and counts the rest."""
    keyspace = _keyspace(deadlines=True)
    assert version_for(keyspace, SnapshotKind(Reads.REDIS_8)) == (12, "redis")
    assert version_for(keyspace, SnapshotKind(Reads.VALKEY_9)) == (80, "valkey")
    assert [objection(keyspace, SnapshotKind(reads)) for reads in (Reads.REDIS_8, Reads.VALKEY_9)] == ["", ""]
    told = objection(keyspace, SnapshotKind())
    assert told.endswith("'hash 3' (db 3), 'hash 4' (db 4) and 2 more")
    assert objection(keyspace, SnapshotKind(data=False)) == ""


def test_the_objection_ends_with_the_last_hash_that_had_deadlines() -> None:
    """Deleted, written over, or without deadlines now: what is left is named, and nothing when nothing is left."""
    keyspace = _keyspace(deadlines=True)
    for number in range(3):
        keyspace.databases[number].remove(b"hash %d" % number)
    keyspace.databases[3].put(b"hash 3", b"a string")
    value = keyspace.databases[4].read_hash(b"hash 4")
    assert value is not None and value.drop_deadline(b"f")
    keyspace.databases[4].heed(b"hash 4", value)
    assert objection(keyspace, SnapshotKind()).endswith("deadlines: 'hash 5' (db 5), 'hash 6' (db 6)")
    for number in (5, 6):
        keyspace.databases[number].clear()
    assert objection(keyspace, SnapshotKind()) == ""
    assert not keyspace.has_field_deadlines
