"""How fast a history grows: samples of the offset, so that bytes can be told in seconds."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SAMPLES: Final = 60


class Pace:
    """Bytes a second over the last samples.

    Samples of another history than the last one's do not count: an offset that jumps was not written.
    """

    __slots__ = ("_replid", "_samples")

    def __init__(self) -> None:
        self._replid: str = ""
        self._samples: deque[tuple[float, int]] = deque(maxlen=WINDOW_SAMPLES)

    def sample(self, at_seconds: float, replid: str, offset: int) -> None:
        """Note where the history stands; called once a second."""
        if replid != self._replid or (self._samples and offset < self._samples[-1][1]):
            self._samples.clear()
            self._replid = replid
        self._samples.append((at_seconds, offset))

    def bytes_per_second(self) -> float | None:
        """The mean rate over the window (at most a minute); None before there are two samples."""
        if len(self._samples) < 2:
            return None
        (first_s, first_offset), (last_s, last_offset) = self._samples[0], self._samples[-1]
        return (last_offset - first_offset) / (last_s - first_s) if last_s > first_s else None
