"""Random keys of a dict that keeps changing, for eviction to choose from.

A list of the keys, made when the first one is wanted and told of those that come later. The dead ones leave it as they
are met, so removing a key costs nothing; a list that has grown to twice as many as there are keys is made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

_SLACK: Final = 64


class Sampler:
    """Draws keys.

    Parameters:
        members: the live dict.
        chance: gives a random number from 0 up to 1.
    """

    __slots__ = ("_chance", "_keys", "_members")

    def __init__(self, members: Mapping[bytes, object], chance: Callable[[], float]) -> None:
        self._members = members
        self._chance = chance
        self._keys: list[bytes] = list(members)

    def added(self, key: bytes) -> None:
        """A key that was not there has come."""
        keys = self._keys
        keys.append(key)
        if len(keys) > 2 * len(self._members) + _SLACK:
            self._keys = list(self._members)

    def draw(self) -> bytes | None:
        """A random live key, None when there is none."""
        keys, members = self._keys, self._members
        while keys:
            place = int(self._chance() * len(keys))
            key = keys[place]
            if key in members:
                return key
            keys[place] = keys[-1]
            keys.pop()
        return None
