"""Events on their way to a webhook: a bounded queue, delivered in order, one at a time, tried again when that fails.

    queued ── tried ──┬─ accepted ───────────────> delivered
                      ├─ failed, tries left ─────> waits, twice as long each time
                      └─ refused, or no tries left > dropped

An event that finds the queue full takes the place of the oldest that is not being tried. What was dropped is counted,
and told with the next event that is delivered.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from txrepl.replication.events import Event

TRIES_MAX: Final = 10
FIRST_WAIT_S: Final = 1
WAIT_MAX_S: Final = 60


class Deliveries:
    """What is to be delivered, and what became of the rest.

    Attributes:
        queue_max: how many events may wait.
        delivered, dropped, failures: events delivered and dropped, tries that failed, since the start.
        untold: events dropped since the last one that was delivered.
        is_tried: the event at the head of the queue is on its way, or waits to be tried again.
        tries: of that event, that failed.
        last_error: why the last try failed, in words; empty after one that did not.
    """

    __slots__ = ("_queue", "delivered", "dropped", "failures", "is_tried", "last_error", "queue_max", "tries", "untold")

    def __init__(self) -> None:
        self.queue_max: int = 1
        self.delivered: int = 0
        self.dropped: int = 0
        self.failures: int = 0
        self.untold: int = 0
        self.is_tried: bool = False
        self.tries: int = 0
        self.last_error: str = ""
        self._queue: deque[Event] = deque()

    def __len__(self) -> int:
        """How many events wait."""
        return len(self._queue)

    @property
    def head(self) -> Event | None:
        """The event to deliver next; None if none waits."""
        return self._queue[0] if self._queue else None

    def begin(self) -> Event | None:
        """The head is tried now; None if none waits."""
        self.is_tried = bool(self._queue)
        return self.head

    def add(self, event: Event) -> bool:
        """An event has happened; False if another one had to be dropped for it."""
        self._queue.append(event)
        fits = len(self._queue) <= self.queue_max
        while len(self._queue) > self.queue_max:
            del self._queue[int(self.is_tried)]  # a head that is tried may arrive yet
            self._count_dropped(1)
        return fits

    def accepted(self) -> None:
        """The head has arrived."""
        self._take_head()
        self.delivered += 1
        self.untold = 0
        self.last_error = ""

    def failed(self, error: str, *, for_good: bool = False) -> int | None:
        """The head has not arrived.

        Parameters:
            error: why, in words.
            for_good: it never will.

        Returns:
            how long to wait before it is tried again, in seconds; None if it is dropped.
        """
        self.failures += 1
        self.tries += 1
        self.last_error = error
        if for_good or self.tries >= TRIES_MAX:
            self._take_head()
            self._count_dropped(1)
            return None
        return int(min(WAIT_MAX_S, FIRST_WAIT_S * 2 ** (self.tries - 1)))

    def clear(self) -> None:
        """There is nowhere to deliver to any more."""
        self._count_dropped(len(self._queue))
        self._queue.clear()
        self.is_tried = False
        self.tries = 0

    def _take_head(self) -> None:
        self._queue.popleft()
        self.is_tried = False
        self.tries = 0

    def _count_dropped(self, count: int) -> None:
        self.dropped += count
        self.untold += count
