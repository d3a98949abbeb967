"""HyperLogLog commands without a server: the rules in words."""

from __future__ import annotations

import pytest

from tests.support import FamilyBench
from txrepl.commands import hyperloglog, strings
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.hyperloglog import CORRUPT, EMPTY, HyperLogLog


@pytest.fixture
def bench() -> FamilyBench:
    """The commands over an empty keyspace."""
    return FamilyBench(hyperloglog.family, strings.family)


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


def test_pfadd_tells_a_change_and_counts_changes(bench: FamilyBench) -> None:
    """A new key is one, even without elements; an element that was counted is none."""
    assert bench.run("PFADD", "h") == 1
    assert bench.run("PFADD", "h") == 0
    assert bench.run("PFADD", "h", "a", "b", "a") == 1
    assert bench.run("PFADD", "h", "a") == 0
    assert bench.keyspace.dirty == 3


def test_pfcount_keeps_its_estimate_in_the_string_and_replicates_that(bench: FamilyBench) -> None:
    """The first PFCOUNT after a change writes, wakes watchers and tells nobody else; the next one only reads."""
    bench.run("PFADD", "h", "a", "b", "c")
    db, events, woken = bench.session.db, [], []
    bench.keyspace.notify_flags = (1 << 15) - 1
    bench.keyspace.notify = lambda _, event, key, number: events.append((event, key))
    db.watched[b"h"] = {1: lambda: woken.append(b"h")}
    before, dirty = db.data[b"h"], bench.keyspace.dirty
    assert bench.run("PFCOUNT", "h") == 3
    assert bench.keyspace.dirty == dirty + 1 and bench.keyspace.verbatim
    after = db.data[b"h"]
    assert isinstance(after, bytes) and isinstance(before, bytes)
    assert before[15] & 0x80 and after[8:16] == (3).to_bytes(8, "little")
    assert bench.run("PFCOUNT", "h") == 3
    assert bench.keyspace.dirty == dirty + 1
    assert (events, woken) == ([], [b"h"])


def test_pfcount_of_several_keys_counts_the_union_and_writes_nothing(bench: FamilyBench) -> None:
    """Absent keys are empty ones, but they are misses."""
    bench.run("PFADD", "one", "a", "b")
    bench.run("PFADD", "two", "b", "c", "d")
    dirty = bench.keyspace.dirty
    assert bench.run("PFCOUNT", "one", "two", "none") == 4
    assert bench.run("PFCOUNT", "none") == 0
    assert bench.keyspace.dirty == dirty
    assert bench.keyspace.misses == 2


def test_pfmerge_unites_into_its_first_key_and_is_dense_if_one_is(bench: FamilyBench) -> None:
    """The event is PFADD's, as in Redis."""
    bench.run("PFADD", "one", "a", "b")
    bench.run("PFADD", "two", "c")
    events: list[tuple[bytes, bytes]] = []
    bench.keyspace.notify_flags = int(Event.STRING)
    bench.keyspace.notify = lambda _, event, key, number: events.append((event, key))
    assert bench.run("PFMERGE", "all", "one", "two") == "OK"
    assert events == [(b"pfadd", b"all")]
    assert bench.run("PFCOUNT", "all") == 3
    assert bench.run("PFDEBUG", "ENCODING", "all") == "sparse"
    assert bench.run("PFDEBUG", "TODENSE", "two") == 1
    bench.run("PFMERGE", "all", "two")
    assert bench.run("PFDEBUG", "ENCODING", "all") == "dense"
    assert bench.run("PFCOUNT", "all") == 3


def test_what_was_added_before_a_corrupt_place_stays_and_is_not_told(bench: FamilyBench) -> None:
    """As in Redis: the error comes without the change being counted."""
    good = HyperLogLog()
    good.add(b"a", 3000)
    value = bytes(good.data)[:-2]  # the registers behind the element's are gone
    elements = [b"%d" % number for number in range(50)]
    bench.run("SET", "h", value)
    dirty = bench.keyspace.dirty
    assert error(bench.run("PFADD", "h", *elements)) == CORRUPT
    assert bench.keyspace.dirty == dirty
    assert error(bench.run("PFCOUNT", "h")) == CORRUPT
    assert error(bench.run("PFMERGE", "other", "h")) == CORRUPT
    assert bench.session.db.data.get(b"other") is None


def test_pfdebug_shows_the_registers_and_the_opcodes(bench: FamilyBench) -> None:
    """GETREG makes the string dense on the way, which is a change."""
    bench.run("SET", "h", EMPTY)
    assert bench.run("PFDEBUG", "decode", "h") == b"Z:16384"
    bench.run("PFADD", "h", "a")
    decoded = bench.run("PFDEBUG", "DECODE", "h")
    dirty = bench.keyspace.dirty
    registers = bench.run("PFDEBUG", "GETREG", "h")
    assert isinstance(registers, list) and isinstance(decoded, bytes)
    index = next(i for i, value in enumerate(registers) if value)
    assert decoded == b"Z:%d v:%d,1 Z:%d" % (index, registers[index], 16384 - index - 1)
    assert bench.keyspace.dirty == dirty + 1
    assert error(bench.run("PFDEBUG", "DECODE", "h")) == "ERR HLL encoding is not sparse"
    assert error(bench.run("PFDEBUG", "nothing", "h")) == "ERR Unknown PFDEBUG subcommand 'nothing'"


def test_pfselftest_passes(bench: FamilyBench) -> None:
    """With the random numbers of the bench, which are always the same."""
    assert bench.run("PFSELFTEST") == "OK"


def test_pfselftest_finds_registers_that_do_not_hold(bench: FamilyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A register that is lost is told, so the test can fail."""
    monkeypatch.setattr(HyperLogLog, "_set_dense", lambda self, index, value: True)
    assert error(bench.run("PFSELFTEST")).startswith("ERR TESTFAILED")
