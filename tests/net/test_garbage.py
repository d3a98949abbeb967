"""The pace of CPython's collector, and that what comes and goes does not need it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from tests.net.support import Bench
from txrepl.net.garbage import PACE_S, PacedCollector, quiet_collector
from txrepl.resp.requests import encode_command


class Node:
    """Something that can be in a cycle."""

    def __init__(self) -> None:
        self.other: Node | None = None


def cycle() -> weakref.ref[Node]:
    """A cycle that nobody holds."""
    one, two = Node(), Node()
    one.other, two.other = two, one
    return weakref.ref(one)


@pytest.fixture
def paced() -> Iterator[Clock]:
    """A collector that runs; everything is as it was afterwards."""
    clock = Clock()
    thresholds = gc.get_threshold()
    collector = PacedCollector(clock)
    collector.start()
    yield clock
    collector.stop()
    gc.unfreeze()
    assert gc.get_threshold() == thresholds


def test_cycles_are_collected_at_every_beat(paced: Clock) -> None:
    """So nothing waits for a full collection, and there is none otherwise."""
    assert gc.get_threshold()[2] >= 1_000_000
    gone = cycle()
    paced.advance(PACE_S)
    assert gone() is None


def test_what_was_walked_once_at_length_is_not_walked_again(paced: Clock) -> None:
    """A beat that took long is the last that cares for what it found."""
    paced.advance(PACE_S)
    frozen = gc.get_freeze_count()
    data = [{number: set[int]()} for number in range(100_000)]
    paced.advance(PACE_S)
    assert gc.get_freeze_count() - frozen > len(data)


def test_the_collector_rests_during_a_load_and_what_was_loaded_is_not_walked(paced: Clock) -> None:
    """A load that failed leaves garbage, which is to be collected."""
    frozen = gc.get_freeze_count()
    with quiet_collector():
        gone = cycle()
        paced.advance(PACE_S)
        assert gone() is not None
    assert gc.get_freeze_count() > frozen and gc.isenabled()
    with pytest.raises(OSError, match="no load"), quiet_collector():
        gone = cycle()
        raise OSError("no load")
    paced.advance(PACE_S)
    assert gone() is None


@pytest.mark.parametrize(
    "requests",
    [
        [[b"PING"]],
        [[b"SUBSCRIBE", b"a"], [b"PSUBSCRIBE", b"*"]],
        [[b"WATCH", b"k"], [b"MULTI"], [b"SET", b"k", b"v"]],
        [[b"BLPOP", b"list", b"0"]],
        [[b"BLPOP", b"list", b"1"], [b"PING"]],
        [[b"REPLCONF", b"listening-port", b"6380"], [b"PSYNC", b"?", b"-1"]],
    ],
    ids=("plain", "subscriber", "transaction", "blocked", "blocked for a while", "replica"),
)
def test_a_connection_that_is_gone_leaves_no_cycle(requests: list[list[bytes]]) -> None:
    """It is freed with its last reference, whatever it was in the middle of."""
    bench = Bench()
    gc.collect()
    gc.disable()
    try:
        client, transport = bench.connect()
        for argv in requests:
            client.dataReceived(encode_command(argv))
        session = next(iter(bench.node.sessions.values()))
        gone = weakref.ref(client)
        transport.lose()
        transport.protocol = None  # as Twisted's transports do
        flags = session.flags
        del client, transport, session
        assert flags and bench.node.sessions == {}
        assert gone() is None
    finally:
        gc.enable()
