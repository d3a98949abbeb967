"""Which keyspace events are published: the letters of `notify-keyspace-events` as event classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from txrepl.keyspace.database import Event

_LETTERS: Final = {
    "K": Event.KEYSPACE,
    "E": Event.KEYEVENT,
    "g": Event.GENERIC,
    "$": Event.STRING,
    "l": Event.LIST,
    "s": Event.SET,
    "h": Event.HASH,
    "z": Event.ZSET,
    "x": Event.EXPIRED,
    "e": Event.EVICTED,
    "t": Event.STREAM,
    "m": Event.KEYMISS,
    "d": Event.MODULE,
    "n": Event.NEW,
}


def event_flags(letters: Iterable[str]) -> int:
    """The bits of `Keyspace.notify_flags` (`keyspaceEventsStringToFlags`).

    Without `K` or `E` nothing is published, so that no event needs to be looked at: 0.

    Parameters:
        letters: classes as `Config.keyspace_events` has them, `A` spelled out.
    """
    flags = 0
    for letter in letters:
        flags |= _LETTERS[letter]
    return int(flags) if flags & (Event.KEYSPACE | Event.KEYEVENT) else 0
