"""Which full syncs are not taken without being asked for."""

from __future__ import annotations

import itertools

import pytest

from txrepl.replication.guard import Cause, Guard
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.history import NO_REPLID, History

OURS, BEFORE, FOREIGN = "a" * 40, "b" * 40, "c" * 40


def our_history() -> History:
    """A history that was promoted once: it has parted from the one before."""
    history = History(lambda: OURS)
    history.replid2 = BEFORE
    history.second_offset = 100
    return history


def offer(replid: str, offset: int = 7) -> Outcome:
    """A full sync in that history."""
    return Outcome(Resync.FULL, replid, offset)


def test_only_an_empty_dataset_of_another_history_is_refused_and_only_while_keys_would_be_lost() -> None:
    """Every combination: the guard on or off, keys received, keys held, whose history."""
    for is_on, sent, held, replid in itertools.product(
        (False, True), (0, 3), (0, 5), (OURS, BEFORE, FOREIGN, NO_REPLID)
    ):
        guard = Guard()
        guard.is_on = is_on
        reason = guard.check_received(sent, offer(replid), held, our_history(), 1000)
        refused = is_on and not sent and bool(held) and replid != OURS
        assert bool(reason) == refused, (is_on, sent, held, replid)
        assert (guard.stop is not None) == refused


def test_a_stop_says_what_was_offered_and_what_is_kept() -> None:
    """For INFO, HTTP and the log."""
    guard = Guard()
    guard.is_on = True
    reason = guard.check_received(0, offer(FOREIGN, 42), 5, our_history(), 1234)
    stop = guard.stop
    assert stop is not None
    assert (stop.cause, stop.at_ms, stop.reason) == (Cause.EMPTY_PRIMARY, 1234, reason)
    assert (stop.replid, stop.offset, stop.keys) == (FOREIGN, 42, 5)
    assert "5 keys" in reason


def test_a_primary_that_names_no_history_is_a_foreign_one() -> None:
    """SYNC has no id; and a node without a second id does not take the zeros for one."""
    guard = Guard()
    guard.is_on = True
    assert guard.check_received(0, offer(NO_REPLID, -1), 1, History(lambda: OURS), 0)
    assert guard.stop is not None and guard.stop.replid is None


def test_acceptance_counts_once() -> None:
    """Until the stream flows; the next empty primary is refused again."""
    guard = Guard()
    guard.is_on = True
    assert guard.check_received(0, offer(FOREIGN), 5, our_history(), 0)
    guard.accept()
    assert guard.stop is None
    assert not guard.is_watching
    for _ in range(2):  # a transfer may break off in between
        assert not guard.check_received(0, offer(FOREIGN), 5, our_history(), 0)
    guard.settle()
    assert guard.check_received(0, offer(FOREIGN), 5, our_history(), 0)


@pytest.mark.parametrize("is_on", [False, True])
def test_a_held_replica_refuses_every_full_sync_until_it_is_accepted(is_on: bool) -> None:
    """With the guard on or off, whatever the history; without a stop none is refused."""
    guard = Guard()
    guard.is_on = is_on
    assert not guard.check_promised(0, offer(FOREIGN), 5, 0)
    assert "replica-delay-stop-before 77" in guard.check_promised(77, offer(OURS), 5, 9)
    assert guard.stop is not None
    assert guard.stop.cause is Cause.DELAY_STOP
    guard.accept()
    assert not guard.check_promised(77, offer(OURS), 5, 9)
