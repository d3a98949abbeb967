"""Events: what happens to a node is told once, in order, with an id, and is held within bounds."""

from __future__ import annotations

from tests.admin.support import Bench
from txrepl.replication.events import Event, EventKind, Events
from txrepl.replication.handshake import Outcome, Resync


def kinds(bench: Bench, after: int = 0) -> list[str]:
    """The names of the events behind an id."""
    return [event.kind.value for event in bench.node.events.after(after)]


def test_ids_count_and_old_events_are_forgotten() -> None:
    """Who knows the last id he saw gets the rest; what is gone can be told from the oldest id held."""
    events = Events(lambda: 5, limit=3)
    assert (events.oldest_number, events.after(0)) == (1, [])
    for number in range(5):
        events.note(EventKind.LINK_UP, f"number {number}", port=number)
    assert [event.number for event in events.after(0)] == [3, 4, 5]
    assert events.after(4) == [Event(5, 5, EventKind.LINK_UP, "number 4", {"port": 4})]
    assert (events.oldest_number, events.last_number) == (3, 5)


def test_listeners_are_told_and_may_leave_meanwhile() -> None:
    """A listener that goes away while it is told does not keep the next one from being told."""
    events = Events(lambda: 5)
    told: list[str] = []

    def first(event: Event) -> None:
        events.listeners.remove(first)
        told.append("first")

    events.listeners += [first, lambda event: told.append("second")]
    events.note(EventKind.LINK_UP, "up")
    events.note(EventKind.LINK_UP, "up")
    assert told == ["first", "second", "second"]


def test_a_replicas_life_is_told_in_order() -> None:
    """Re-pointed, in sync, cut off, refused twice for the same reason, in sync again, promoted."""
    bench = Bench()
    bench.become_replica()
    bench.node.following.link_lost("the connection was closed")
    bench.node.following.link_failed("Connection refused")
    bench.node.following.link_failed("Connection refused")
    bench.node.following.link_failed("No route to host")
    bench.come_online()
    bench.node.promote("a test")
    assert kinds(bench) == [
        "role_changed",
        "sync_done",
        "link_up",
        "link_down",
        "link_failed",
        "link_failed",
        "sync_done",
        "link_up",
        "role_changed",
    ]
    first, last = bench.node.events.after(0)[0], bench.node.events.after(0)[-1]
    assert first.facts == {"role": "replica", "host": "10.0.0.1", "port": 6379}
    assert last.facts == {"role": "primary", "replid": bench.node.feed.history.replid}


def test_a_full_sync_that_breaks_off_is_told() -> None:
    """It started, it failed, and why."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(100)
    bench.node.full_sync.transfer_moved(60)
    bench.node.following.link_failed("the primary closed the connection")
    assert kinds(bench) == ["role_changed", "sync_started", "link_failed", "sync_failed"]
    failed = bench.node.events.after(0)[-1]
    assert failed.text == "the primary closed the connection"
    assert failed.facts == {"direction": "received", "peer": "10.0.0.1:6379", "answer": "full", "bytes": 60}


def test_attached_replicas_are_told_of() -> None:
    """A full sync promised and cut off; a partial one that streams at once; each with the replica's name."""
    bench = Bench()
    bench.node.settings.diskless_delay_s = 0
    _, outlet = bench.attach(6381)
    seen = bench.node.events.last_number
    assert kinds(bench) == ["replica_attached", "sync_started"]
    outlet.close(flush=False)
    assert kinds(bench, seen) == ["sync_failed", "replica_lost"]
    bench.write("SET", "k", "v")
    seen = bench.node.events.last_number
    _, outlet = bench.attach(6382, replid=bench.node.feed.history.replid, offset=1)
    outlet.close(flush=False)
    assert kinds(bench, seen) == ["replica_attached", "replica_online", "sync_done", "replica_lost"]
    lost = bench.node.events.after(seen)[-1]
    assert lost.facts["peer"] == "10.0.0.132:6382"
    assert lost.facts["cause"] == "connection_lost"


def test_a_failover_is_told_step_by_step() -> None:
    """Asked for, given up."""
    bench = Bench()
    bench.attach()
    seen = bench.node.events.last_number
    bench.node.failover.begin(None, 0, force=False)
    bench.node.failover.abort("Failover manually aborted")
    assert kinds(bench, seen) == ["failover_started", "failover_aborted"]


def test_a_stop_before_an_offset_is_told_when_it_is_reached_and_lifted() -> None:
    """Held, and resumed."""
    bench = Bench()
    bench.become_replica()
    seen = bench.node.events.last_number
    bench.node.delaying.hold_before(1)
    bench.node.delaying.hold_before(0)
    assert kinds(bench, seen) == ["delay_held", "delay_resumed"]
