"""Events on their way to a webhook: order, waits, and a queue that is bounded and counts what it drops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from txrepl.replication.deliveries import TRIES_MAX, WAIT_MAX_S, Deliveries
from txrepl.replication.events import Event, EventKind


def event(number: int) -> Event:
    """An event with this id."""
    return Event(number, 0, EventKind.LINK_UP, "up", {})


def filled(count: int, queue_max: int) -> Deliveries:
    """So many events in a queue of that size."""
    found = Deliveries()
    found.queue_max = queue_max
    for number in range(1, count + 1):
        found.add(event(number))
    return found


def numbers(found: Deliveries) -> list[int]:
    """The ids of what is delivered, in order, when nothing fails any more."""
    taken = []
    while (head := found.begin()) is not None:
        taken.append(head.number)
        found.accepted()
    return taken


def test_waits_double_up_to_a_minute_and_end() -> None:
    """Then the event is dropped, and the next one begins anew."""
    found = filled(2, 10)
    waits = []
    for _ in range(TRIES_MAX):
        assert found.begin() == event(1)
        waits.append(found.failed("no answer"))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, None]
    assert max(wait or 0 for wait in waits) == WAIT_MAX_S
    assert (found.head, found.dropped, found.failures, found.tries) == (event(2), 1, TRIES_MAX, 0)
    assert found.last_error == "no answer"


def test_what_is_refused_for_good_is_not_tried_again() -> None:
    """And counted."""
    found = filled(2, 10)
    found.begin()
    assert found.failed("status 404", for_good=True) is None
    assert (found.dropped, found.untold, len(found)) == (1, 1, 1)
    assert numbers(found) == [2]
    assert found.untold == 0 and found.dropped == 1


def test_a_full_queue_drops_the_oldest_but_not_what_is_tried() -> None:
    """One that is on its way may arrive: it would be delivered and counted as dropped."""
    found = filled(5, 3)
    assert (found.dropped, numbers(found)) == (2, [3, 4, 5])
    found = filled(3, 3)
    found.begin()
    assert not found.add(event(4))
    assert numbers(found) == [1, 3, 4]
    found = filled(1, 1)
    found.begin()
    assert not found.add(event(2))
    assert found.head == event(1) and found.dropped == 1


@given(st.lists(st.sampled_from(["add", "begin", "accepted", "failed", "refused", "clear"])), st.integers(1, 4))
def test_every_event_is_delivered_or_dropped_or_waits(steps: list[str], queue_max: int) -> None:
    """Whatever happens in whatever order; and never more wait than may."""
    found = Deliveries()
    found.queue_max = queue_max
    added = 0
    for step in steps:
        if step == "add":
            added += 1
            found.add(event(added))
        elif step == "begin":
            found.begin()
        elif step == "clear":
            found.clear()
        elif found.is_tried and found.head is not None:
            if step == "accepted":
                found.accepted()
            else:
                found.failed("no", for_good=step == "refused")
        assert added == found.delivered + found.dropped + len(found)
        assert len(found) <= queue_max
