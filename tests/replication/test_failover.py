"""The states of a failover: what begins one, what moves it on, and what ends it, without IO."""

from __future__ import annotations

import pytest

from txrepl.errors import ReplicationError
from txrepl.replication.failover import Failover, FailoverState
from txrepl.replication.feed import Feed
from txrepl.replication.history import History
from txrepl.replication.primary import Primary
from txrepl.replication.replica import Replica
from txrepl.replication.settings import Settings
from txrepl.replication.states import ReplicaState

ONLINE = ReplicaState.ONLINE


class Bench:
    """A primary at offset 100 with a clock, and a node that notes what it is told to do."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.lines: list[str] = []
        self.asked: list[str] = []
        history = History(lambda: "a" * 40)
        history.offset = 100
        self.primary = Primary(Feed(history), Settings(), lambda level, text: None, lambda: self.now_ms)
        self.failover = Failover(self.primary, self, lambda level, text: self.lines.append(text), lambda: self.now_ms)

    def attach(self, port: int, acknowledged: int, state: ReplicaState = ONLINE, announced: str = "") -> Replica:
        """A replica on 10.0.0.1."""
        replica = Replica(port, "10.0.0.1")
        replica.port = port
        replica.announced = announced
        replica.state = state
        replica.ack_offset = acknowledged
        self.primary.replicas[port] = replica
        return replica

    def hold_writes(self) -> None:
        self.asked.append("hold" if self.failover.is_under_way else "release")

    def hand_over(self, host: str, port: int) -> None:
        self.asked.append(f"hand over to {host}:{port}")

    def take_back(self) -> None:
        self.asked.append("take back")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def in_state(bench: Bench, state: FailoverState) -> None:
    """Bring the bench's failover into a state."""
    if state is not FailoverState.NONE:
        bench.attach(1, 50)
        bench.failover.begin(None, 0, force=False)
    if state is FailoverState.IN_PROGRESS:
        bench.primary.replicas[1].ack_offset = 100
        bench.failover.check()
    assert bench.failover.state is state
    bench.asked.clear()


NONE, WAITING, IN_PROGRESS = FailoverState

# For every state and whatever can happen: the state after it, and what the node is asked to do.
MOVES = {
    (NONE, "check"): (NONE, []),
    (NONE, "taken over"): (NONE, []),
    (NONE, "abort"): (NONE, []),
    (WAITING, "check"): (WAITING, []),
    (WAITING, "taken over"): (WAITING, []),
    (WAITING, "abort"): (NONE, ["release"]),
    (IN_PROGRESS, "check"): (IN_PROGRESS, []),
    (IN_PROGRESS, "taken over"): (NONE, ["release"]),
    (IN_PROGRESS, "abort"): (NONE, ["take back", "release"]),
}


@pytest.mark.parametrize(("before", "event"), MOVES, ids=lambda value: getattr(value, "value", value))
def test_every_event_in_every_state(bench: Bench, before: FailoverState, event: str) -> None:
    """The table above is complete and true; PINGs are silenced as long as it lasts."""
    assert len(MOVES) == len(FailoverState) * 3
    in_state(bench, before)
    {
        "check": bench.failover.check,
        "taken over": bench.failover.taken_over,
        "abort": lambda: bench.failover.abort("a reason"),
    }[event]()
    assert (bench.failover.state, bench.asked) == MOVES[before, event]
    assert bench.primary.is_quiet is bench.failover.is_under_way


@pytest.mark.parametrize("state", [WAITING, IN_PROGRESS])
def test_a_second_one_is_refused(bench: Bench, state: FailoverState) -> None:
    """There is one at a time, and the second changes nothing."""
    in_state(bench, state)
    with pytest.raises(ReplicationError, match=r"^FAILOVER already in progress\.$"):
        bench.failover.begin(None, 0, force=False)
    assert (bench.failover.state, bench.asked) == (state, [])


def test_who_may_not_begin_one(bench: Bench) -> None:
    """A replica, a primary without replicas, and one whose target is not there or not in sync yet."""
    begin = bench.failover.begin
    with pytest.raises(ReplicationError, match="requires connected replicas"):
        begin(None, 0, force=False)
    bench.attach(1, 0, ReplicaState.SEND_BULK)
    with pytest.raises(ReplicationError, match="is not a replica"):
        begin(("10.0.0.1", 2), 0, force=False)
    with pytest.raises(ReplicationError, match="target replica is not online"):
        begin(("10.0.0.1", 1), 0, force=False)
    for target, timeout_ms in ((None, 1), (("10.0.0.1", 1), 0)):
        with pytest.raises(ReplicationError, match="requires both a timeout and target"):
            begin(target, timeout_ms, force=True)
    bench.primary.follows = True
    with pytest.raises(ReplicationError, match="not valid when server is a replica"):
        begin(None, 0, force=False)
    assert (bench.failover.state, bench.asked, bench.lines) == (NONE, [], [])


def test_any_replica_that_has_everything_is_taken(bench: Bench) -> None:
    """One that is behind, one still loading and one that cannot be reached are passed over."""
    bench.attach(1, 99)
    bench.attach(2, 100, ReplicaState.SEND_BULK)
    bench.attach(0, 100)
    bench.attach(3, 100).awaits_ack = True
    bench.failover.begin(None, 0, force=False)
    bench.failover.check()
    assert bench.failover.state is WAITING
    bench.attach(4, 100, announced="replica.example")
    bench.failover.check()
    assert bench.asked == ["hold", "hand over to replica.example:4"]
    assert bench.lines == [
        "FAILOVER requested to any replica.",
        "Failover target replica.example:4 is synced, failing over.",
    ]


def test_only_the_target_is_taken_and_it_may_come_back(bench: Bench) -> None:
    """Others may have everything: the target is waited for, also when its connection was lost meanwhile."""
    bench.attach(1, 100)
    bench.attach(2, 50, announced="Two.example")
    bench.failover.begin(("two.EXAMPLE", 2), 0, force=False)
    bench.failover.check()
    del bench.primary.replicas[2]
    bench.failover.check()
    assert bench.asked == ["hold"]
    bench.attach(2, 100, announced="Two.example")
    bench.failover.check()
    assert bench.asked == ["hold", "hand over to two.EXAMPLE:2"]


@pytest.mark.parametrize("forced", [False, True])
def test_what_happens_when_time_is_up(bench: Bench, forced: bool) -> None:
    """Not a millisecond before the deadline: given up without FORCE, handed over as it stands with it."""
    bench.attach(7, 50)
    bench.failover.begin(("10.0.0.1", 7), 500, force=forced)
    bench.now_ms += 499
    bench.failover.check()
    assert bench.failover.state is WAITING
    bench.now_ms += 1
    bench.failover.check()
    if forced:
        assert bench.asked == ["hold", "hand over to 10.0.0.1:7"]
        assert bench.lines[-1] == "FAILOVER to 10.0.0.1:7 time out exceeded, failing over."
    else:
        assert bench.asked == ["hold", "release"]
        assert bench.lines[-1] == "FAILOVER to 10.0.0.1:7 aborted: Replica never caught up before timeout"


def test_the_next_one_knows_nothing_of_the_last(bench: Bench) -> None:
    """Target, deadline and FORCE end with the failover that they were given for."""
    bench.attach(7, 50)
    bench.attach(8, 100)
    bench.failover.begin(("10.0.0.1", 7), 500, force=True)
    bench.failover.abort("a reason")
    bench.now_ms += 1_000
    bench.failover.begin(None, 0, force=False)
    bench.failover.check()
    assert bench.asked[2:] == ["hold", "hand over to 10.0.0.1:8"]
