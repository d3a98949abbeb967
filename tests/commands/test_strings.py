"""Strings and bits: what comes of a command beside its reply."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import bits, expire, lcs, strings
from txrepl.errors import CommandError
from txrepl.keyspace.database import Expiry

FAMILIES = (strings.family, lcs.family, bits.family, expire.family)
NOW_MS = 1_700_000_000_000


@pytest.fixture
def bench() -> FamilyBench:
    return FamilyBench(*FAMILIES)


@pytest.mark.parametrize(
    ("before", "command", "stream"),
    [
        ([], "SET k v EX 10", [(b"SET", b"k", b"v", b"PXAT", b"1700000010000")]),
        ([], "SET k v PX 10 NX", [(b"SET", b"k", b"v", b"PXAT", b"1700000000010")]),
        ([], "SET k v EXAT 1800000000", [(b"SET", b"k", b"v", b"PXAT", b"1800000000000")]),
        ([], "SETEX k 10 v", [(b"SET", b"k", b"v", b"PXAT", b"1700000010000")]),
        ([], "PSETEX k 10 v", [(b"SET", b"k", b"v", b"PXAT", b"1700000000010")]),
        (["SET k old"], "SET k v GET KEEPTTL get", [(b"SET", b"k", b"v", b"KEEPTTL")]),
        (["SET k old"], "GETSET k v", [(b"SET", b"k", b"v")]),
        (["SET k old"], "GETDEL k", [(b"DEL", b"k")]),
        (["SET k v"], "GETEX k EX 10", [(b"PEXPIREAT", b"k", b"1700000010000")]),
        (["SET k v EX 5"], "GETEX k PERSIST", [(b"PERSIST", b"k")]),
        (["SET k v"], "GETEX k PERSIST", []),
        (["SET k v"], "GETEX k PXAT 5", [(b"DEL", b"k")]),
        (["SET k 1"], "INCRBYFLOAT k 0.5", [(b"SET", b"k", b"1.5", b"KEEPTTL")]),
    ],
)
def test_what_is_relative_reaches_the_replicas_as_its_effect(
    bench: FamilyBench, before: list[str], command: str, stream: list[tuple[bytes, ...]]
) -> None:
    """The stream has absolute deadlines and results, and nothing where nothing changed."""
    for words in before:
        bench.run(*words.split())
    bench.effects()
    bench.run(*command.split())
    assert [written for _, written in bench.effects()] == stream
    assert not stream or not bench.keyspace.verbatim


def test_a_key_that_is_due_is_deleted_before_it_is_overwritten(bench: FamilyBench) -> None:
    """The replicas get the DEL of the old value, and the new one has no deadline."""
    bench.run("SET", "k", "old", "PX", "5")
    bench.effects()
    bench.keyspace.now_ms += 10
    assert bench.run("SET", "k", "new") == "OK"
    assert bench.effects() == [(0, (b"DEL", b"k"))]
    assert bench.keyspace.expired_keys == 1
    assert bench.run("PTTL", "k") == -1


def test_a_replica_keeps_what_its_primary_lets_expire_in_the_past(bench: FamilyBench) -> None:
    """GETEX and EXPIRE with a deadline that has passed set it there; the primary's DEL will come."""
    bench.keyspace.expiry = Expiry.IGNORE
    bench.run("SET", "k", "v")
    assert bench.run("GETEX", "k", "PXAT", "5") == b"v"
    assert bench.run("EXPIRE", "k", "-1") == 1
    assert bench.keyspace.databases[0].data[b"k"] == b"v"
    assert bench.keyspace.databases[0].expires[b"k"] == NOW_MS - 1000


def test_a_string_cannot_grow_beyond_the_limit(bench: FamilyBench) -> None:
    """The offset is refused before memory is asked for."""
    refusal = bench.run("SETRANGE", "k", 512 * 1024 * 1024, "x")
    assert isinstance(refusal, CommandError)
    assert refusal.message == b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
    refusal = bench.run("SETBIT", "k", 512 * 1024 * 1024 * 8, "1")
    assert isinstance(refusal, CommandError)
    assert refusal.message == b"ERR bit offset is not an integer or out of range"


def test_a_bit_that_does_not_change_is_no_change(bench: FamilyBench) -> None:
    """SETBIT counts as a write only where the string is another one afterwards."""
    bench.run("SETBIT", "k", "7", "1")
    dirty = bench.keyspace.dirty
    assert bench.run("SETBIT", "k", "7", "1") == 1
    assert bench.keyspace.dirty == dirty
    assert bench.run("SETBIT", "k", "7", "0") == 1
    assert bench.keyspace.dirty == dirty + 1


def test_a_field_that_overflows_under_fail_leaves_no_key(bench: FamilyBench) -> None:
    """Nothing is written, so nothing may be there that the replicas do not have."""
    assert bench.run("BITFIELD", "k", "OVERFLOW", "FAIL", "INCRBY", "u2", "0", "4") == [None]
    assert not bench.keyspace.databases[0].data


def table_lcs(a: bytes, b: bytes) -> int:
    """The length of the longest common subsequence by the textbook's table."""
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], diagonal + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


@given(st.binary(max_size=24).map(lambda data: bytes(byte % 3 for byte in data)), st.binary(max_size=24))
def test_the_longest_common_subsequence_is_one(a: bytes, b: bytes) -> None:
    """It is in both strings, has the textbook's length, and the ranges of IDX add up to it."""
    b = bytes(byte % 3 for byte in b)
    bench = FamilyBench(*FAMILIES)
    bench.run("MSET", "a", a, "b", b)
    found = bench.run("LCS", "a", "b")
    assert isinstance(found, bytes) and len(found) == table_lcs(a, b) == bench.run("LCS", "a", "b", "LEN")
    for text in (a, b):
        rest = iter(text)
        assert all(byte in rest for byte in found)
    ranges = bench.run("LCS", "a", "b", "IDX", "WITHMATCHLEN")
    assert isinstance(ranges, dict)
    matches = ranges[b"matches"]
    assert isinstance(matches, list)
    assert b"".join(a[m[0][0] : m[0][1] + 1] for m in reversed(matches)) == found  # type: ignore[index]


def test_bit_ranges_agree_with_counting_one_by_one() -> None:
    """BITCOUNT and BITPOS over every kind of range of random strings."""
    rng = random.Random(4)
    bench = FamilyBench(*FAMILIES)
    for _ in range(300):
        data = rng.choice([b"\0", b"\xff", bytes([rng.randrange(256)])]) * rng.randrange(3) + rng.randbytes(2)
        bench.run("SET", "k", data)
        text = "".join(f"{byte:08b}" for byte in data)
        start, end = sorted((rng.randrange(len(text)), rng.randrange(len(text))))
        part = text[start : end + 1]
        assert bench.run("BITCOUNT", "k", start, end, "BIT") == part.count("1")
        for bit in "01":
            place = part.find(bit)
            assert bench.run("BITPOS", "k", bit, start, end, "BIT") == (-1 if place < 0 else start + place)
