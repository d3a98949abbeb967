"""The states of a shutdown: when it waits for replicas, what ends the wait, and what the log says, without IO."""

from __future__ import annotations

import pytest

from txrepl.replication.feed import Feed
from txrepl.replication.history import History
from txrepl.replication.primary import Primary
from txrepl.replication.replica import Replica
from txrepl.replication.settings import Settings
from txrepl.replication.shutdown import Shutdown
from txrepl.replication.states import ReplicaState

WAITING = "Waiting for replicas before shutting down."


class Bench:
    """A primary at offset 100 with a clock, and a node that notes what it is told to do and may fail to save."""

    def __init__(self) -> None:
        self.now_ms = 10_000
        self.lines: list[str] = []
        self.asked: list[str] = []
        self.can_save = True
        history = History(lambda: "a" * 40)
        history.offset = 100
        self.primary = Primary(Feed(history), Settings(), lambda level, text: None, lambda: self.now_ms)
        self.shutdown = Shutdown(self.primary, self, lambda level, text: self.lines.append(text), lambda: self.now_ms)

    def attach(self, port: int, acknowledged: int, state: ReplicaState = ReplicaState.ONLINE) -> Replica:
        """A replica on 10.0.0.1, heard of 2 s ago."""
        replica = Replica(port, "10.0.0.1")
        replica.port = port
        replica.state = state
        replica.ack_offset = acknowledged
        replica.ack_ms = self.now_ms - 2_000
        self.primary.replicas[port] = replica
        return replica

    def hold_writes(self) -> None:
        self.asked.append("hold" if self.shutdown.is_waiting else "release")

    def end(self, *, save: bool, force: bool) -> bool:
        self.asked.append("save and end" if save else "end")
        return self.can_save or not save or force

    def shutdown_given_up(self) -> None:
        self.asked.append("given up")


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("acknowledged", [None, 100])
def test_it_ends_at_once_where_nobody_lags(bench: Bench, acknowledged: int | None) -> None:
    """Without replicas, or with one that has everything."""
    if acknowledged is not None:
        bench.attach(1, acknowledged)
    assert bench.shutdown.begin(5_000, save=True, force=False)
    assert bench.asked == ["save and end"]
    assert WAITING not in bench.lines
    assert ("1 of 1 replicas are in sync when shutting down." in bench.lines) == (acknowledged is not None)


def test_it_waits_for_no_replica_when_told_so(bench: Bench) -> None:
    """NOW, or shutdown-timeout 0: the log says who lags, by how much, and since when."""
    bench.attach(1, 40)
    bench.attach(2, 0, ReplicaState.WAIT_BGSAVE_END)
    bench.attach(3, 100)
    assert bench.shutdown.begin(0, save=False, force=False)
    assert bench.asked == ["end"]
    assert bench.lines == [
        "User requested shutdown...",
        "Lagging replica 10.0.0.1:1 reported offset 60 behind master, lag=2, state=online.",
        "Lagging replica 10.0.0.1:2 reported offset 100 behind master, lag=0, state=wait_bgsave.",
        "1 of 3 replicas are in sync when shutting down.",
    ]


def test_it_ends_when_the_last_replica_has_everything(bench: Bench) -> None:
    """Writes are held back meanwhile, so that the offset stands still."""
    first, second = bench.attach(1, 40), bench.attach(2, 99)
    assert bench.shutdown.begin(5_000, save=False, force=False)
    assert (bench.asked, bench.lines[-1], bench.shutdown.is_waiting) == (["hold"], WAITING, True)
    first.ack_offset = 100
    bench.shutdown.check()
    assert bench.asked == ["hold"]
    second.ack_offset = 100
    bench.shutdown.check()
    assert bench.asked == ["hold", "end"]


def test_it_ends_when_time_is_up_or_the_lagging_replica_is_gone(bench: Bench) -> None:
    """Not a millisecond before the deadline; a replica that left is not waited for."""
    bench.attach(1, 40)
    bench.shutdown.begin(5_000, save=False, force=False)
    bench.now_ms += 4_999
    bench.shutdown.check()
    assert bench.asked == ["hold"]
    bench.now_ms += 1
    bench.shutdown.check()
    assert bench.asked == ["hold", "end"]
    other = Bench()
    other.attach(1, 40)
    other.shutdown.begin(5_000, save=False, force=False)
    del other.primary.replicas[1]
    other.shutdown.check()
    assert other.asked == ["hold", "end"]


def test_an_abort_lets_everybody_go_on(bench: Bench) -> None:
    """Once; and there is nothing to abort where nothing waits, or where who runs the server is ending already."""
    assert not bench.shutdown.abort()
    bench.attach(1, 40)
    bench.shutdown.begin(5_000, save=False, force=False)
    assert bench.shutdown.abort()
    assert bench.asked == ["hold", "release", "given up"]
    assert bench.lines[-1] == "Shutdown manually aborted."
    assert not bench.shutdown.abort()
    bench.shutdown.begin(5_000, save=False, force=True, final=True)
    assert not bench.shutdown.abort()
    assert bench.shutdown.is_waiting


def test_a_second_request_waits_with_the_first(bench: Bench) -> None:
    """It neither begins anew nor prolongs the wait; a final one takes the first's chance to be aborted."""
    bench.attach(1, 40)
    bench.shutdown.begin(5_000, save=False, force=False)
    deadline_ms = bench.shutdown.deadline_ms
    bench.now_ms += 1_000
    assert bench.shutdown.begin(5_000, save=True, force=False, final=True)
    assert (bench.asked, bench.shutdown.deadline_ms) == (["hold"], deadline_ms)
    assert not bench.shutdown.abort()


@pytest.mark.parametrize("waits", [False, True])
def test_a_save_that_fails_keeps_the_server_unless_forced(bench: Bench, waits: bool) -> None:
    """Those who wait for the end are told, and writes go on."""
    bench.can_save = False
    if waits:
        bench.attach(1, 40)
    assert bench.shutdown.begin(1_000, save=True, force=False) is waits
    bench.now_ms += 1_000
    bench.shutdown.check()
    assert bench.lines[-1] == "Errors trying to shut down the server. Check the logs for more information."
    assert bench.asked == (["hold", "save and end", "release", "given up"] if waits else ["save and end", "given up"])
    assert not bench.shutdown.is_waiting
    assert bench.shutdown.begin(0, save=True, force=True)
