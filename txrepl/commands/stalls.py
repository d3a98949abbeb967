"""How long the event loop is away: while it is, no client is served.

A timer that should fire at a certain moment and fires later shows a stall; only a part of one that began before that
moment is seen, and short ones between two beats not at all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""The upper bounds of the histogram's buckets; a last one takes what is longer."""

RECENT_S: Final = 60


class Stalls:
    """Stalls seen so far.

    Attributes:
        counts: how many fell into each bucket, the last being without bound.
        total_s: all of them together.
        longest_s: the longest since the start.
    """

    __slots__ = ("_recent", "counts", "longest_s", "total_s")

    def __init__(self) -> None:
        self.counts: list[int] = [0] * (len(BOUNDS_S) + 1)
        self.total_s: float = 0.0
        self.longest_s: float = 0.0
        self._recent: deque[tuple[int, float]] = deque()  # second, and its longest

    def note(self, late_s: float, now_s: float) -> None:
        """A timer was late by so much.

        Parameters:
            now_s: of a clock that never goes back.
        """
        late_s = max(0.0, late_s)
        self.counts[bisect_left(BOUNDS_S, late_s)] += 1
        self.total_s += late_s
        self.longest_s = max(self.longest_s, late_s)
        second = int(now_s)
        if self._recent and self._recent[-1][0] == second:
            late_s = max(late_s, self._recent.pop()[1])
        self._recent.append((second, late_s))
        while self._recent[0][0] <= second - RECENT_S:
            self._recent.popleft()

    @property
    def recent_longest_s(self) -> float:
        """The longest of the last minute."""
        return max((longest for _, longest in self._recent), default=0.0)
