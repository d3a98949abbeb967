"""Offsets and time: when which byte of our stream was written, so that bytes behind can be told as time behind.

The stream is never stamped as it is written: the node's tick (ten times a second) notes where it stands if it has
moved. A moment between two notes is read off the straight line between them, so it is right to a tenth of a second,
and for older ones to 1/50 of their age: notes are thinned as they age, which lets a bounded number reach back a day.

A replica acknowledges once a second. While it does, it is as far behind as it was when it last spoke, which is
nothing if it had everything by then; once an acknowledgement is overdue, it is behind since the first byte that it
has not acknowledged was written. So an idle link shows 0, PINGs in the stream or not, and one that hangs grows with
the clock.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from txrepl.replication.link import Link

NOTES_MAX: Final = 1024
REACH_MS: Final = 24 * 3600 * 1000
AGE_SHARE: Final = 50
"""Two notes stand no closer than this share (one part of so many) of their age."""

ACK_OVERDUE_MS: Final = 1500
"""Replicas acknowledge once a second; this much later, one is late."""

RATE_WINDOW_MS: Final = 60_000
RATE_LEAST_MS: Final = 1000
"""A rate over less time than this says nothing."""


class Timeline:
    """Where a stream stood when.

    A note says that the stream stood at an offset from one moment to another; it moved between notes.
    """

    __slots__ = ("_from_ms", "_offsets", "_until_ms")

    def __init__(self) -> None:
        self._offsets: list[int] = []
        self._from_ms: list[int] = []
        self._until_ms: list[int] = []

    def __len__(self) -> int:
        return len(self._offsets)

    def begin(self, now_ms: int, offset: int) -> None:
        """The offset jumps without having been written (a full sync, a file loaded): begin anew."""
        self._offsets = [offset]
        self._from_ms = [now_ms]
        self._until_ms = [now_ms]

    def note(self, now_ms: int, offset: int) -> None:
        """The stream stands at `offset`; an offset or a clock that went back begins anew."""
        offsets = self._offsets
        if not offsets or offset < offsets[-1] or now_ms < self._until_ms[-1]:
            self.begin(now_ms, offset)
            return
        if offset == offsets[-1]:
            self._until_ms[-1] = now_ms
            return
        offsets.append(offset)
        self._from_ms.append(now_ms)
        self._until_ms.append(now_ms)
        if len(offsets) >= NOTES_MAX:
            self._thin(now_ms)

    def _thin(self, now_ms: int) -> None:
        """Keep notes as far apart as their age allows; the newest always stays."""
        kept: list[int] = []
        last = len(self._offsets) - 1
        for index, until_ms in enumerate(self._until_ms):
            age_ms = now_ms - until_ms
            if index == last or (
                age_ms <= REACH_MS and (not kept or until_ms - self._until_ms[kept[-1]] >= age_ms // AGE_SHARE)
            ):
                kept.append(index)
        kept = kept[-NOTES_MAX // 2 - NOTES_MAX // 4 :]  # room for those to come, whatever the clock did
        self._offsets = [self._offsets[index] for index in kept]
        self._from_ms = [self._from_ms[index] for index in kept]
        self._until_ms = [self._until_ms[index] for index in kept]

    def written_ms(self, offset: int, now_ms: int, end: int) -> int:
        """When the byte at `offset` was written, unix ms; what is older than all notes is taken to be as old as they.

        Parameters:
            end: where the stream stands now.
        """
        offsets = self._offsets
        index = bisect_left(offsets, offset)
        if not offsets or offset > end:
            return now_ms
        if index == 0:
            return self._from_ms[0]
        high_ms, high = (self._from_ms[index], offsets[index]) if index < len(offsets) else (now_ms, end)
        low_ms, low = self._until_ms[index - 1], offsets[index - 1]
        return low_ms + (offset - low) * (high_ms - low_ms) // max(1, high - low)

    def offset_at(self, at_ms: int, now_ms: int, end: int) -> int:
        """Where the stream stood at a moment; its first note where the moment is before all of them."""
        index = bisect_right(self._from_ms, at_ms) - 1
        if not self._offsets:
            return end
        if index < 0:
            return self._offsets[0]
        low_ms, low = self._until_ms[index], self._offsets[index]
        if at_ms <= low_ms:
            return low
        following = index + 1
        is_last = following == len(self._offsets)
        high_ms, high = (now_ms, end) if is_last else (self._from_ms[following], self._offsets[following])
        return low + (high - low) * (at_ms - low_ms) // max(1, high_ms - low_ms)

    def bytes_per_second(self, now_ms: int, end: int) -> float | None:
        """The mean rate of the last minute, or of the time since the first note; None while that is too short."""
        since_ms = max(now_ms - RATE_WINDOW_MS, self._from_ms[0]) if self._from_ms else now_ms
        if now_ms - since_ms < RATE_LEAST_MS:
            return None
        return (end - self.offset_at(since_ms, now_ms, end)) * 1000 / (now_ms - since_ms)

    def busiest_bytes_per_second(self, now_ms: int, end: int) -> float:
        """The mean rate of the busiest minute that is still known."""
        most = end - self.offset_at(now_ms - RATE_WINDOW_MS, now_ms, end)
        for at_ms, offset in zip(self._from_ms, self._offsets, strict=True):
            most = max(most, offset - self.offset_at(at_ms - RATE_WINDOW_MS, now_ms, end))
        return most * 1000 / RATE_WINDOW_MS

    def behind_ms(self, offset: int, heard_ms: int, now_ms: int, end: int) -> int:
        """How far behind in time a reader is.

        Parameters:
            offset: the last byte that it has acknowledged.
            heard_ms: when it did, unix ms.
            end: where the stream stands now.
        """
        if offset >= end:
            return 0
        missing_since_ms = self.written_ms(offset + 1, now_ms, end)
        seen_ms = heard_ms if now_ms - heard_ms <= ACK_OVERDUE_MS else now_ms
        return max(0, seen_ms - missing_since_ms)


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a replica is behind its primary, as far as it can know by itself.

    Attributes:
        least_bytes: received and not applied yet; more may be on its way. None before the first stream.
        most_ms: everything that the primary wrote longer ago than this is here; None before the first stream.
    """

    least_bytes: int | None
    most_ms: int | None


def behind_primary(link: Link, unapplied_bytes: int, now_ms: int) -> Behind:
    """How far we are behind our primary: while the link is up, it was last heard so long ago at most; while it is
    down, we are where we were when it broke.

    Parameters:
        unapplied_bytes: of the stream, received and not applied.
    """
    if link.is_up:
        return Behind(unapplied_bytes, max(0, now_ms - link.last_io_ms))
    if link.current_ms:
        return Behind(None, max(0, now_ms - link.current_ms))
    return Behind(None, None)
