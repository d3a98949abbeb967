"""What happened in a node's replication, in order: the one source that whoever watches reads from.

    node, primary, failover ── note ──> Events ─┬─ held: the last few hundred, each with an id
                                                └─ told: listeners (HTTP streams, webhooks)

Ids count from 1 and never skip, so that whoever knows the last one he has seen can be given the rest. What repeats
itself without anything new (an attempt to reach a primary that fails as the one before it did) is one event. A
listener is called at once, in the middle of what happens: it keeps the event for later and does no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

EVENTS_MAX: Final = 512
"""How many events are held; older ones are forgotten."""

Fact = str | int | bool | None


class EventKind(Enum):
    """What can happen, by the name that watchers see."""

    ROLE_CHANGED = "role_changed"
    LINK_UP = "link_up"
    LINK_DOWN = "link_down"
    LINK_FAILED = "link_failed"
    SYNC_STARTED = "sync_started"
    SYNC_DONE = "sync_done"
    SYNC_FAILED = "sync_failed"
    REPLICA_ATTACHED = "replica_attached"
    REPLICA_ONLINE = "replica_online"
    REPLICA_LOST = "replica_lost"
    FAILOVER_STARTED = "failover_started"
    FAILOVER_HANDED_OVER = "failover_handed_over"
    FAILOVER_DONE = "failover_done"
    FAILOVER_ABORTED = "failover_aborted"
    GUARD_STOPPED = "guard_stopped"
    GUARD_SETTLED = "guard_settled"
    DELAY_HELD = "delay_held"
    DELAY_RESUMED = "delay_resumed"
    DELAY_FULL = "delay_full"


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened.

    Attributes:
        number: its id.
        at_ms: when, unix ms.
        text: the same in a sentence.
        facts: what belongs to it, by name, units last: a peer's address, a reason, an offset.
    """

    number: int
    at_ms: int
    kind: EventKind
    text: str
    facts: Mapping[str, Fact]


class Events:
    """The last events, and who is told of new ones.

    Parameters:
        now: unix time in ms.
        limit: how many are held.

    Attributes:
        listeners: each called with every new event.
        counts: how many there were of each kind.
    """

    __slots__ = ("_held", "_now", "counts", "last_number", "listeners")

    def __init__(self, now: Callable[[], int], limit: int = EVENTS_MAX) -> None:
        self._now = now
        self._held: deque[Event] = deque(maxlen=limit)
        self.last_number: int = 0
        self.counts: dict[EventKind, int] = dict.fromkeys(EventKind, 0)
        self.listeners: list[Callable[[Event], None]] = []

    def note(self, kind: EventKind, text: str, **facts: Fact) -> None:
        """Something has happened now."""
        self.last_number += 1
        event = Event(self.last_number, self._now(), kind, text, facts)
        self._held.append(event)
        self.counts[kind] += 1
        for listener in tuple(self.listeners):
            listener(event)

    @property
    def oldest_number(self) -> int:
        """The oldest id that is held; the next one if none is."""
        return self._held[0].number if self._held else self.last_number + 1

    def after(self, number: int) -> list[Event]:
        """The events behind an id that are held, in order."""
        return [event for event in self._held if event.number > number]
