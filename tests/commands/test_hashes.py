"""Hash commands without a server: encodings, fields with deadlines, what goes into the stream."""

from __future__ import annotations

import pytest

from tests.support import FamilyBench
from txrepl.commands import hashes
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import HashValue
from txrepl.resp.replies import Pairs

DEL_F = (0, (b"HDEL", b"h", b"f"))


@pytest.fixture
def bench() -> FamilyBench:
    """The hash commands over an empty keyspace."""
    return FamilyBench(hashes.family)


def value_of(bench: FamilyBench) -> HashValue:
    value = bench.keyspace.databases[0].data[b"h"]
    assert isinstance(value, HashValue)
    return value


def with_deadlines(bench: FamilyBench, **in_ms: int) -> None:
    """Make the hash `h` of f=1, g=2 with deadlines so many ms from now."""
    bench.run("HSET", "h", "f", 1, "g", 2)
    now_ms = bench.keyspace.now_ms
    value_of(bench).deadlines = {name.encode(): now_ms + ms for name, ms in in_ms.items()}


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


# -- writing ------------------------------------------------------------------------------------------------------


def test_hset_counts_new_fields_and_hmset_says_ok(bench: FamilyBench) -> None:
    """A field named twice is new once."""
    assert bench.run("HSET", "h", "a", 1, "b", 2, "a", 3) == 2
    assert bench.run("HSET", "h", "a", 4, "c", 5) == 1
    assert bench.run("HMSET", "h", "a", 6, "d", 7) == "OK"
    assert bench.run("HGETALL", "h") == {b"a": b"6", b"b": b"2", b"c": b"5", b"d": b"7"}
    assert error(bench.run("HMSET", "h", "a", 6, "d")) == "ERR wrong number of arguments for 'hmset' command"


def test_hincrby_stays_within_64_bits_and_leaves_what_is_no_integer(bench: FamilyBench) -> None:
    """Errors change nothing, and make no hash."""
    bench.run("HSET", "h", "max", 2**63 - 1, "text", "1x")
    assert error(bench.run("HINCRBY", "h", "max", 1)) == "ERR increment or decrement would overflow"
    assert error(bench.run("HINCRBY", "h", "text", 1)) == "ERR hash value is not an integer"
    assert bench.run("HINCRBY", "h", "max", -1) == 2**63 - 2
    assert error(bench.run("HINCRBY", "no", "f", "x")) == "ERR value is not an integer or out of range"
    assert not bench.keyspace.databases[0].exists(b"no")
    assert bench.run("HINCRBY", "h", "new", -5) == -5


def test_hincrbyfloat_goes_into_the_stream_as_its_result(bench: FamilyBench) -> None:
    """HSET with the sum as printed, so that no replica has to add."""
    assert bench.run("HINCRBYFLOAT", "h", "f", "10.5") == b"10.5"
    assert bench.run("HINCRBYFLOAT", "h", "f", "0.1") == b"10.6"
    assert bench.effects() == [(0, (b"HSET", b"h", b"f", b"10.5")), (0, (b"HSET", b"h", b"f", b"10.6"))]
    assert error(bench.run("HINCRBYFLOAT", "h", "f", "inf")) == "ERR value is NaN or Infinity"
    bench.run("HSET", "h", "text", "x", "inf", "inf")
    assert error(bench.run("HINCRBYFLOAT", "h", "text", 1)) == "ERR hash value is not a float"
    assert error(bench.run("HINCRBYFLOAT", "h", "inf", 1)) == "ERR increment would produce NaN or Infinity"


def test_hdel_of_the_last_field_deletes_the_key(bench: FamilyBench) -> None:
    """Events are hdel and del; a field named twice counts once."""
    bench.run("HSET", "h", "a", 1, "b", 2)
    events: list[bytes] = []
    bench.keyspace.notify_flags = Event.HASH | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, db: events.append(event)
    assert bench.run("HDEL", "h", "a", "a", "zz", "b") == 2
    assert events == [b"hdel", b"del"]
    assert not bench.keyspace.databases[0].exists(b"h")


@pytest.mark.parametrize(
    ("pairs", "large"),
    [
        ([(b"f", b"v" * 64)], False),
        ([(b"f", b"v" * 65)], True),
        ([(b"f" * 65, b"v")], True),
        ([(b"%d" % n, b"v") for n in range(100)], False),
        ([(b"%d" % n, b"v") for n in range(101)], True),
    ],
    ids=["short", "long value", "long field", "few", "many"],
)
@pytest.mark.parametrize("command", ["HSET", "HSETNX"])
def test_a_hash_becomes_a_hash_table_by_length_or_number(
    bench: FamilyBench, command: str, pairs: list[tuple[bytes, bytes]], large: bool
) -> None:
    """And stays one when the reason is gone."""
    bench.keyspace.limits.hash_entries = 100
    for pair in pairs:
        bench.run(command, "h", *pair)
    assert value_of(bench).large is large
    if large:
        bench.run("HSET", "h", "stays", 1)
        bench.run("HDEL", "h", *(field for field, _ in pairs))
        assert value_of(bench).large


# -- chance and scanning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [5, 300])
def test_hrandfield_repeats_only_with_a_negative_count(bench: FamilyBench, size: int) -> None:
    """WITHVALUES gives each field with its own value."""
    bench.run("HSET", "h", *(word for n in range(size) for word in (f"f{n}", n)))
    for count in (1, 2, size, size + 1):
        found = bench.run("HRANDFIELD", "h", count)
        assert isinstance(found, list) and len(set(found)) == len(found) == min(count, size)
    pairs = bench.run("HRANDFIELD", "h", -2 * size, "WITHVALUES")
    assert isinstance(pairs, Pairs) and len(pairs) == 2 * size
    assert all(field == b"f" + value for field, value in pairs)  # type: ignore[operator]
    single = bench.run("HRANDFIELD", "h")
    assert isinstance(single, bytes) and single.startswith(b"f")


def test_hscan_meets_all_who_stay_while_others_come_and_go(bench: FamilyBench) -> None:
    """A large hash in small steps, changed at every one; values are the present ones."""
    bench.run("HSET", "h", *(word for n in range(600) for word in (f"stay{n}", n)))
    met: dict[object, object] = {}
    cursor, step = b"0", 0
    while True:
        reply = bench.run("HSCAN", "h", cursor, "COUNT", 11)
        assert isinstance(reply, list)
        cursor, found = reply  # type: ignore[assignment]
        assert isinstance(found, list)
        met.update(zip(found[::2], found[1::2], strict=True))
        if cursor == b"0":
            break
        step += 1
        bench.run("HSET", "h", f"new{step}", "x")
        bench.run("HDEL", "h", f"new{step - 1}")
    assert step > 20
    assert {b"stay%d" % n: b"%d" % n for n in range(600)}.items() <= met.items()
