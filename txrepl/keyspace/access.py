"""When keys were used, and how often: what OBJECT IDLETIME and FREQ tell, and what eviction goes by.

The rule: a look-up notes the key in `Database.on_use`, putting a value notes it in `Database.on_put`, each with one
item assignment `notes[key] = clock`. Which object stands there decides what that means:

- by time (every policy but the LFU ones): both are the table `Database.used` itself, key → unix time in ms. The cost
  is one dict store a look-up, and the clock of a batch is one object that all its keys share. A key without an entry
  was loaded and not used since: it counts from `Database.since_ms`, so that a loaded dataset takes no memory here;
- by frequency (an LFU policy): `Frequencies` keeps Redis's logarithmic counter with its decay in the same table;
- for a client with CLIENT NO-TOUCH, look-ups are noted in `NOTHING`, and values only where there was no key.

Follows evict.c (`LFULogIncr`, `LFUDecrAndReturn`, `estimateObjectIdleTime`) and `lookupKey`. Two things are better
than there: a change between the two kinds of policies starts every key anew instead of reading one's bits as the
other's, and times do not wrap around.
"""

from __future__ import annotations

import random
from collections.abc import Container
from typing import Final, Protocol

FIRST_COUNT: Final = 5
"""The counter of a new key (`LFU_INIT_VAL`): it would be the first to go else, before it had a chance to be used."""
MOST_COUNTS: Final = 255
_COUNT_BITS: Final = 8
_MINUTE_MS: Final = 60_000


class Notes(Protocol):
    """Where uses of keys are noted."""

    def __setitem__(self, key: bytes, clock: int, /) -> None:
        """The key is used at a time in unix ms."""


class _Nothing:
    """Notes that nobody keeps."""

    def __setitem__(self, key: bytes, clock: int, /) -> None:
        """The key is used, and that leaves no trace."""


NOTHING: Final = _Nothing()


class FirstDates:
    """Notes new keys only: what a client that leaves no trace overwrites stays as old as it was.

    Parameters:
        used: key → unix time in ms.
        present: the live keys.
    """

    __slots__ = ("_present", "_used")

    def __init__(self, used: dict[bytes, int], present: Container[bytes]) -> None:
        self._used = used
        self._present = present

    def __setitem__(self, key: bytes, clock: int, /) -> None:
        """A value is about to be put under the key."""
        if key not in self._present:
            self._used[key] = clock


class LfuSettings:
    """How the counter of uses goes up and down.

    Attributes:
        log_factor: how slowly it saturates (`lfu-log-factor`).
        decay_minutes: after how many minutes it goes down by one (`lfu-decay-time`); 0 = never.
    """

    __slots__ = ("decay_minutes", "log_factor", "rng")

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.log_factor: int = 10
        self.decay_minutes: int = 1

    def decayed(self, packed: int, now_ms: int) -> int:
        """What is left of a packed counter by now (`LFUDecrAndReturn`)."""
        count = packed & MOST_COUNTS
        if not self.decay_minutes:
            return count
        periods = max(0, now_ms // _MINUTE_MS - (packed >> _COUNT_BITS)) // self.decay_minutes
        return max(0, count - periods)

    def incremented(self, count: int) -> int:
        """The counter after one more use: the higher it is, the less likely it moves (`LFULogIncr`)."""
        if count >= MOST_COUNTS:
            return MOST_COUNTS
        above = max(0, count - FIRST_COUNT)
        return count + (self.rng.random() < 1.0 / (above * self.log_factor + 1))


def pack(count: int, now_ms: int) -> int:
    """A counter and the minute in which it was right, as one number."""
    return now_ms // _MINUTE_MS << _COUNT_BITS | count


class Frequencies:
    """Notes uses by counting them.

    Parameters:
        settings: how.
        used: key → packed counter.
        present: the live keys.
        since_ms: when those without an entry were loaded.
    """

    __slots__ = ("_present", "_settings", "_since", "_used")

    def __init__(self, settings: LfuSettings, used: dict[bytes, int], present: Container[bytes], since_ms: int) -> None:
        self._settings = settings
        self._used = used
        self._present = present
        self._since = pack(FIRST_COUNT, since_ms)

    def __setitem__(self, key: bytes, clock: int, /) -> None:
        """Count a use; a key that is not there yet begins with `FIRST_COUNT`."""
        packed = self._used.get(key)
        if packed is None:
            if key not in self._present:
                self._used[key] = pack(FIRST_COUNT, clock)
                return
            packed = self._since
        settings = self._settings
        self._used[key] = pack(settings.incremented(settings.decayed(packed, clock)), clock)


class FirstCounts:
    """Notes new keys with the counter that they begin with; the use of one that is there was noted at the look-up."""

    __slots__ = ("_used",)

    def __init__(self, used: dict[bytes, int]) -> None:
        self._used = used

    def __setitem__(self, key: bytes, clock: int, /) -> None:
        """A value is put under the key."""
        if key not in self._used:
            self._used[key] = pack(FIRST_COUNT, clock)
