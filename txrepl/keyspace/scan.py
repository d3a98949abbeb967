"""A stateless cursor and a random member for any dict or set that keeps changing.

Python's containers have no stable position that a SCAN cursor could name. A `ScanIndex` numbers
members in order of insertion; a cursor is the number below which a scan goes on, downwards, so new
members (higher numbers) never prolong a scan, and a member that stays throughout is met once at
least: Redis's guarantee. Removal is free: dead entries are dropped when they outnumber the live.

The index is built when the first scan or random pick asks for it; until then a container pays nothing.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Collection
from typing import Protocol


class Members(Protocol):
    """What an index is made over: a dict or a set of bytes."""

    def __contains__(self, key: object, /) -> bool: ...

    def __len__(self) -> int: ...


class ScanIndex:
    """Insertion numbers of a container's members.

    Parameters:
        members: the live container; the index asks it who is alive.
    """

    __slots__ = ("_keys", "_members", "_next", "_numbers")

    def __init__(self, members: Collection[bytes]) -> None:
        self._members: Collection[bytes] = members
        self._keys: list[bytes] = list(members)
        self._numbers: array[int] = array("Q", range(1, len(self._keys) + 1))
        self._next: int = len(self._keys) + 1

    def added(self, key: bytes) -> None:
        """A member that was not there has been inserted into the container."""
        if len(self._keys) > 2 * len(self._members) + 64:
            self._compact()
        self._keys.append(key)
        self._numbers.append(self._next)
        self._next += 1

    def _compact(self) -> None:
        seen: set[bytes] = set()
        keys: list[bytes] = []
        numbers: array[int] = array("Q")
        for position in range(len(self._keys) - 1, -1, -1):
            key = self._keys[position]
            if key in self._members and key not in seen:
                seen.add(key)
                keys.append(key)
                numbers.append(self._numbers[position])
        keys.reverse()
        numbers.reverse()
        self._keys = keys
        self._numbers = numbers

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """Visit up to `count` entries below `cursor`.

        Parameters:
            cursor: 0 to begin, else what the last call returned.
            count: entries to visit; dead ones count too, which bounds the work.

        Returns:
            The next cursor (0 at the end) and the live members met.
        """
        end = len(self._keys) if cursor == 0 else bisect_left(self._numbers, cursor)
        start = max(0, end - count)
        members = self._members
        found = [key for key in reversed(self._keys[start:end]) if key in members]
        return (self._numbers[start] if start else 0), found

    def pick(self, below: Callable[[int], int]) -> bytes:
        """A random live member of a container that is not empty.

        Parameters:
            below: `below(n)` gives a random integer of 0..n-1.
        """
        if len(self._keys) > 2 * len(self._members) + 64:
            self._compact()
        while True:
            position = below(len(self._keys))
            key = self._keys[position]
            if key in self._members:
                return key
