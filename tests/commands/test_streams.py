"""Stream commands without a server: ids, trimming, groups, effects, waiting, and what they cost in a large stream."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter

import pytest

from tests.support import FamilyBench
from txrepl.commands import streams, streams_claims, streams_groups, streams_info, streams_reads
from txrepl.commands.session import PRIMARY, Blocked
from txrepl.errors import CommandError
from txrepl.keyspace.streams import StreamValue
from txrepl.resp.replies import NULL_ARRAY, Reply, encode

FAMILIES = (streams.family, streams_reads.family, streams_groups.family, streams_claims.family, streams_info.family)
LAST = "18446744073709551615-18446744073709551615"


@pytest.fixture
def bench() -> FamilyBench:
    return FamilyBench(*FAMILIES)


def stream_of_key(bench: FamilyBench, key: bytes = b"s") -> StreamValue:
    """The stream behind a key."""
    value = bench.keyspace.databases[0].data[key]
    assert isinstance(value, StreamValue)
    return value


def fill(bench: FamilyBench, count: int) -> None:
    """Entries 1-0 to count-0."""
    for number in range(1, count + 1):
        assert bench.run("XADD", "s", f"{number}-0", "field", "value") == b"%d-0" % number


def ids(reply: Reply) -> list[bytes]:
    """The ids of entries."""
    assert isinstance(reply, list)
    return [entry[0] for entry in reply]  # type: ignore[index, misc]


# -- ids ----------------------------------------------------------------------------------------------------------


def test_ids_are_made_from_the_clock_and_never_go_back(bench: FamilyBench) -> None:
    """A clock that is set back leaves the last id's time in place; the sequence number goes on."""
    bench.keyspace.now_ms = 1000
    assert bench.run("XADD", "s", "*", "f", "v") == b"1000-0"
    assert bench.run("XADD", "s", "*", "f", "v") == b"1000-1"
    bench.keyspace.now_ms = 500
    assert bench.run("XADD", "s", "*", "f", "v") == b"1000-2"
    assert bench.run("XADD", "s", "1000-*", "f", "v") == b"1000-3"
    assert bench.run("XADD", "s", "1001-*", "f", "v") == b"1001-0"
    assert [command[1][2] for command in bench.effects()] == [b"1000-0", b"1000-1", b"1000-2", b"1000-3", b"1001-0"]


def test_a_new_stream_can_begin_at_0_1_and_end_at_the_last_id(bench: FamilyBench) -> None:
    """Behind the last id there is none, with `*` neither."""
    assert bench.run("XADD", "s", "0-*", "f", "v") == b"0-1"
    assert bench.run("XADD", "s", LAST, "f", "v") == LAST.encode()
    for wanted in ("*", LAST, "18446744073709551615-*"):
        error = bench.run("XADD", "s", wanted, "f", "v")
        assert isinstance(error, CommandError) and error.message.startswith(b"ERR The stream has exhausted")


@pytest.mark.parametrize("words", [("0-0", "f", "v"), ("x", "f", "v"), ("1-0", "f"), ("MAXLEN", "-1", "*", "f", "v")])
def test_a_refused_xadd_makes_no_stream(bench: FamilyBench, words: tuple[str, ...]) -> None:
    """Neither key nor effect is left."""
    assert isinstance(bench.run("XADD", "s", *words), CommandError)
    assert not bench.keyspace.databases[0].data and not bench.effects() and bench.keyspace.dirty == 0


# -- trimming -----------------------------------------------------------------------------------------------------


def test_approximate_trimming_drops_whole_nodes_and_tells_replicas_the_exact_length(bench: FamilyBench) -> None:
    """A hundred entries fill a node."""
    fill(bench, 250)
    bench.effects()
    assert bench.run("XTRIM", "s", "MAXLEN", "~", 120) == 100
    assert bench.effects() == [(0, (b"XTRIM", b"s", b"MAXLEN", b"=", b"150"))]
    assert bench.run("XTRIM", "s", "MINID", "~", "199-0") == 0
    assert not bench.effects()
    assert bench.run("XTRIM", "s", "MINID", "199-0") == 98
    assert ids(bench.run("XRANGE", "s", "-", "+", "COUNT", 1)) == [b"199-0"]


def test_the_primarys_stream_is_trimmed_without_a_limit(bench: FamilyBench) -> None:
    """LIMIT stands in the words still, beside the exact length: it has been heeded by the primary."""
    fill(bench, 10)
    words = ("XADD", "s", "MAXLEN", "=", "3", "LIMIT", "1", "11-0", "f", "v")
    assert isinstance(bench.run(*words), CommandError)
    bench.session.flags |= PRIMARY
    assert bench.run(*words) == b"11-0"
    assert bench.run("XLEN", "s") == 3


def test_deleted_entries_take_up_their_node_until_it_is_empty(bench: FamilyBench) -> None:
    """As in Redis: a node is full by all that was ever put into it, and gone with its last live entry."""
    fill(bench, 100)
    assert bench.run("XDEL", "s", *(f"{number}-0" for number in range(1, 100))) == 99
    bench.run("XADD", "s", "101-0", "f", "v")
    assert len(stream_of_key(bench).nodes) == 2
    assert bench.run("XDEL", "s", "100-0", "100-0") == 1
    assert len(stream_of_key(bench).nodes) == 1


# -- groups -------------------------------------------------------------------------------------------------------


def test_reading_in_a_group_goes_into_the_stream_as_claims_and_position(bench: FamilyBench) -> None:
    """The command itself does not."""
    bench.keyspace.now_ms = 5000
    fill(bench, 2)
    bench.run("XGROUP", "CREATE", "s", "g", 0)
    bench.effects()
    reply = bench.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", ">")
    assert encode(reply, 3).startswith(b"%1\r\n$1\r\ns\r\n*2\r\n") and encode(reply, 2).startswith(b"*1\r\n*2\r\n")
    assert not bench.keyspace.verbatim
    told = [b" ".join(words) for _, words in bench.effects()]
    assert told == [
        b"XCLAIM s g c 0 1-0 TIME 5000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-0",
        b"XCLAIM s g c 0 2-0 TIME 5000 RETRYCOUNT 1 FORCE JUSTID LASTID 2-0",
        b"XGROUP SETID s g 2-0 ENTRIESREAD 2",
    ]


def test_a_claim_moves_the_entry_between_the_consumers_lists(bench: FamilyBench) -> None:
    """Whoever had it has it no more, and what was deleted meanwhile is dropped."""
    fill(bench, 3)
    bench.run("XGROUP", "CREATE", "s", "g", 0)
    bench.run("XREADGROUP", "GROUP", "g", "one", "STREAMS", "s", ">")
    bench.run("XDEL", "s", "2-0")
    assert bench.run("XAUTOCLAIM", "s", "g", "two", 0, "-", "COUNT", 2, "JUSTID") == [b"3-0", [b"1-0"], [b"2-0"]]
    group = stream_of_key(bench).groups[b"g"]
    assert {name: list(consumer.pending) for name, consumer in group.consumers.items()} == {
        b"one": [(3, 0)],
        b"two": [(1, 0)],
    }
    assert bench.run("XGROUP", "DELCONSUMER", "s", "g", "one") == 1
    assert list(group.pending) == [(1, 0)]


def test_the_same_stream_may_be_read_twice_in_one_command(bench: FamilyBench) -> None:
    """Each mention is answered; in RESP3 the map has the key twice, as Redis's has."""
    fill(bench, 1)
    reply = bench.run("XREAD", "STREAMS", "s", "s", 0, 0)
    assert encode(reply, 3).startswith(b"%2\r\n") and encode(reply, 3).count(b"$1\r\ns\r\n") == 2


# -- waiting ------------------------------------------------------------------------------------------------------


def test_a_waiting_reader_reads_from_where_the_stream_ended_when_it_came(bench: FamilyBench) -> None:
    """`$` is replaced in the words that will be run again."""
    fill(bench, 2)
    argv = [b"XREAD", b"BLOCK", b"1500", b"STREAMS", b"s", b"none", b"$", b"$"]
    waits = streams_reads.xread(bench.session, argv)
    assert isinstance(waits, Blocked) and waits.keys == [b"s", b"none"] and waits.timeout_ms == 1500
    assert argv[-2:] == [b"2-0", b"0-0"] and waits.on_timeout() is NULL_ARRAY and not waits.on_any_change


def test_a_wait_that_would_end_after_the_end_of_time_is_refused(bench: FamilyBench) -> None:
    """The clock is part of the sum, as in Valkey 9; Redis 7.0 lets it overflow."""
    error = bench.run("XREAD", "BLOCK", 2**63 - 1, "STREAMS", "s", 0)
    assert isinstance(error, CommandError) and error.message == b"ERR timeout is out of range"
    assert isinstance(bench.run("XREAD", "BLOCK", 2**62, "STREAMS", "s", 0), Blocked)


def test_adding_wakes_readers_and_losing_the_key_wakes_the_groups_consumers(bench: FamilyBench) -> None:
    """Only those who said that they want to know of the loss."""
    bench.run("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
    waits = bench.run("XREADGROUP", "GROUP", "g", "c", "BLOCK", 0, "STREAMS", "s", ">")
    assert isinstance(waits, Blocked) and waits.on_any_change
    db, ready = bench.keyspace.databases[0], bench.keyspace.ready
    db.waiting[b"s"] = 1
    bench.run("XADD", "s", "1-0", "f", "v")
    assert list(ready) == [(0, b"s")]
    ready.clear()
    db.remove(b"s")
    assert not ready
    db.guarded[b"s"] = 1
    bench.run("XADD", "s", "1-0", "f", "v")
    ready.clear()
    db.put(b"s", b"text")
    assert list(ready) == [(0, b"s")]
    ready.clear()
    db.clear()
    assert list(ready) == [(0, b"s")]


# -- cost ---------------------------------------------------------------------------------------------------------

SMALL, LARGE = 1000, 300_000
AT_MOST = 3.0


def large(entries: int) -> FamilyBench:
    """A stream of so many entries, with a group that has been given the first half of them."""
    bench = FamilyBench(*FAMILIES)
    fill(bench, entries)
    bench.run("XGROUP", "CREATE", "s", "g", 0)
    bench.run("XREADGROUP", "GROUP", "g", "c", "COUNT", entries // 2, "STREAMS", "s", ">")
    bench.effects()
    return bench


def cost_us(bench: FamilyBench, step: Callable[[FamilyBench, int], object], entries: int) -> float:
    """The least time of a step over several rounds, in µs: the least is the one that nothing else disturbed."""
    least = float("inf")
    for turn in range(20):
        began = perf_counter()
        for number in range(10):
            step(bench, entries // 4 + turn * 10 + number)
        least = min(least, (perf_counter() - began) / 10)
        bench.effects()
    return least * 1e6


STEPS: dict[str, Callable[[FamilyBench, int], object]] = {
    "XADD": lambda bench, n: bench.run("XADD", "s", f"{10**9}-*", "field", "value"),
    "XADD MAXLEN": lambda bench, n: bench.run(
        "XADD", "s", "MAXLEN", stream_of_key(bench).length, f"{10**9}-*", "f", "v"
    ),
    "XDEL": lambda bench, n: bench.run("XDEL", "s", f"{n}-0"),
    "XTRIM": lambda bench, n: bench.run("XTRIM", "s", "MAXLEN", stream_of_key(bench).length - 1),
    "XRANGE": lambda bench, n: bench.run("XRANGE", "s", f"{n}-0", "+", "COUNT", 3),
    "XREVRANGE": lambda bench, n: bench.run("XREVRANGE", "s", f"{n}-0", "-", "COUNT", 3),
    "XREADGROUP": lambda bench, n: bench.run("XREADGROUP", "GROUP", "g", "c", "COUNT", 1, "STREAMS", "s", ">"),
    "XCLAIM": lambda bench, n: bench.run("XCLAIM", "s", "g", "d", 0, f"{n}-0"),
    "XACK": lambda bench, n: bench.run("XACK", "s", "g", f"{n}-0"),
    "XPENDING": lambda bench, n: bench.run("XPENDING", "s", "g", f"{n}-0", "+", 3),
}


def test_commands_on_single_entries_cost_the_same_in_a_large_stream() -> None:
    """Within three times of their cost at a thousand entries."""
    gc.collect()
    gc.disable()
    try:
        small, big = large(SMALL), large(LARGE)
        ratios = {}
        for name, step in STEPS.items():
            ratios[name] = cost_us(big, step, LARGE) / cost_us(small, step, SMALL)
    finally:
        gc.enable()
    assert max(ratios.values()) <= AT_MOST, ratios


def test_xread_with_a_plus_gives_the_last_entry_that_is_there(bench: FamilyBench) -> None:
    """Also when later ones were deleted; XREADGROUP says why it does not take it."""
    fill(bench, 3)
    bench.run("XADD", "s", "4-7", "f", "v")
    assert ids(bench.run("XREAD", "STREAMS", "s", "+")[0][1]) == [b"4-7"]  # type: ignore[index]
    bench.run("XDEL", "s", "4-7")
    assert ids(bench.run("XREAD", "COUNT", 5, "STREAMS", "s", "+")[0][1]) == [b"3-0"]  # type: ignore[index]
    bench.run("XDEL", "s", "1-0", "2-0", "3-0")
    assert bench.run("XREAD", "STREAMS", "s", "none", "+", "+") is NULL_ARRAY
    bench.run("XGROUP", "CREATE", "s", "g", 0)
    error = bench.run("XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "+")
    assert isinstance(error, CommandError) and error.message.startswith(b"ERR The + ID is meaningless")
