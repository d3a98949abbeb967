"""A stateless cursor and a random member for any dict or set that keeps changing.

Python's containers have no stable position that a SCAN cursor could name. A `ScanIndex` lists the members in order
of insertion; a cursor is the position below which a scan goes on, downwards. New members come at the end and never
prolong a scan. A removed member leaves a dead entry, and whoever meets one may put the last entry in its place: an
entry only ever moves down, so a member that stays throughout is met once at least, which is Redis's guarantee.

Nothing here takes longer the more members there are, but for making the index and, when members came and went so
often that there are four entries to each, making it anew: the cursors handed out before then begin again.

A small container has no index until a scan or a random pick asks for one; `INDEXED_FROM` members make it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Protocol

INDEXED_FROM: Final = 65_536
"""Members from which a container has its index at once: made any later it would take more than some ms."""

_POSITION_BITS: Final = 40
_GENERATIONS: Final = 1 << 23
_TIDIED_AT_ONCE: Final = 4
"""Entries looked at for every one that is added while more than half are dead."""


class Members(Protocol):
    """What an index is made over: a dict or a set of bytes."""

    def __contains__(self, key: object, /) -> bool: ...

    def __len__(self) -> int: ...


class ScanIndex:
    """The members of a container by position.

    Parameters:
        members: the live container; the index asks it who is alive.

    Attributes:
        entries: every member, and some that are members no more.
    """

    __slots__ = ("_generation", "_hand", "_members", "entries")

    def __init__(self, members: Collection[bytes]) -> None:
        self._members: Collection[bytes] = members
        self._generation: int = 0
        self._hand: int = 0
        self.entries: list[bytes] = list(members)

    def added(self, key: bytes) -> None:
        """A member that was not there has been inserted into the container."""
        self.entries.append(key)
        if len(self.entries) > 2 * len(self._members) + 64:
            self._tidy()

    def _tidy(self) -> None:
        """Drop a few dead entries; begin anew where members have many, since those are never dead."""
        members = self._members
        if len(self.entries) > 4 * len(members) + 64:
            self.entries = list(members)
            self._generation = (self._generation + 1) % _GENERATIONS
            return
        for _ in range(_TIDIED_AT_ONCE):
            self._hand = (self._hand if 0 < self._hand <= len(self.entries) else len(self.entries)) - 1
            if self.entries[self._hand] not in members:
                self._fill(self._hand)

    def _fill(self, position: int) -> None:
        """Put the last entry in the place of a dead one."""
        last = self.entries.pop()
        if position < len(self.entries):
            self.entries[position] = last

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Visit up to `count` entries below `cursor`.

        Parameters:
            cursor: 0 to begin, else what the last call returned.
            count: entries to visit; dead ones count too, which bounds the work.

        Returns:
            The next cursor (0 at the end) and the live members met.
        """
        end = len(self.entries)
        generation, position = divmod(cursor, 1 << _POSITION_BITS)
        if position and generation == self._generation:
            end = min(end, position)
        start = max(0, end - count)
        members = self._members
        found = [key for key in reversed(self.entries[start:end]) if key in members]
        return (self._generation << _POSITION_BITS | start if start else 0), found

    def pick(self, random: Callable[[], float]) -> bytes:
        """A random live member of a container that is not empty.

        Parameters:
            random: gives a random number of at least 0 and below 1.
        """
        entries = self.entries
        while True:
            position = int(random() * len(entries))
            key = entries[position]
            if key in self._members:
                return key
            self._fill(position)

    def take(self, random: Callable[[], float]) -> bytes:
        """`pick` for who removes the member from the container then."""
        entries = self.entries
        while True:
            position = int(random() * len(entries))
            key = entries[position]
            self._fill(position)
            if key in self._members:
                return key
