"""Which keys are due: a wheel of time slots, so that active expiry never searches.

Each deadline is filed under its slot of 256 ms; a tick looks only at slots that have passed. An entry is
a hint: the database's `expires` dict is the truth, and a key whose deadline moved is skipped when its old
slot comes up. When hints outnumber real deadlines four to one the wheel is rebuilt, so memory is bounded
by the number of keys that expire, not by the number of EXPIRE commands.
"""

from __future__ import annotations

from typing import Final

SLOT_BITS: Final = 8
SLACK_HINTS: Final = 10_000


class ExpiryWheel:
    """Hints of deadlines by slot.

    Parameters:
        expires: the database's key → deadline in unix ms.
    """

    __slots__ = ("_expires", "_hints", "_next_slot", "_slots")

    def __init__(self, expires: dict[bytes, int]) -> None:
        self._expires = expires
        self._slots: dict[int, list[bytes]] = {}
        self._hints: int = 0
        self._next_slot: int = 0

    def add(self, key: bytes, deadline_ms: int) -> None:
        """File a deadline that was just set in `expires`."""
        slot = deadline_ms >> SLOT_BITS
        slot = max(slot, self._next_slot)
        keys = self._slots.get(slot)
        if keys is None:
            self._slots[slot] = [key]
        else:
            keys.append(key)
        self._hints += 1
        if self._hints > 4 * len(self._expires) + SLACK_HINTS:
            self._rebuild()

    def _rebuild(self) -> None:
        self._slots = {}
        self._hints = 0
        for key, deadline_ms in self._expires.items():
            slot = max(deadline_ms >> SLOT_BITS, self._next_slot)
            self._slots.setdefault(slot, []).append(key)
            self._hints += 1

    def due(self, now_ms: int, limit: int) -> list[bytes]:
        """Up to about `limit` keys whose deadline is before `now_ms`; each is handed out once."""
        slots = self._slots
        if not slots:
            return []
        last = now_ms >> SLOT_BITS
        if self._next_slot == 0 or last - self._next_slot > len(slots):
            passed = sorted(slot for slot in slots if slot < last)
        else:
            passed = [slot for slot in range(self._next_slot, last) if slot in slots]
        found: list[bytes] = []
        expires = self._expires
        for slot in passed:
            if len(found) >= limit:
                self._next_slot = slot
                return found
            keys = slots.pop(slot)
            room = limit - len(found)
            if len(keys) > 2 * room:
                slots[slot] = keys[2 * room :]
                keys = keys[: 2 * room]
            self._hints -= len(keys)
            for key in keys:
                deadline = expires.get(key)
                if deadline is not None and deadline < now_ms:
                    found.append(key)
            if slot in slots:
                self._next_slot = slot
                return found
        self._next_slot = last
        return found
