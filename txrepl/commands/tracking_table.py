"""Which client may hold which key in a cache of its own, and which prefixes are followed: what tracking remembers.

The rule: a key is remembered with the clients that read it until it changes, then all of them are handed out at
once and forgotten. Prefixes work the other way: keys that change are collected for each until they are taken. Keys
are not told apart by database, and a client that left is forgotten when its keys change. Follows tracking.c of
Redis 7.2, but that the key to be given up is the one that was remembered longest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable


class Prefix:
    """What happened below a prefix that clients follow.

    Attributes:
        clients: ids of the followers, in order.
        changed: key → id of the client that changed it last, 0 if none did.
    """

    __slots__ = ("changed", "clients")

    def __init__(self) -> None:
        self.clients: dict[int, None] = {}
        self.changed: dict[bytes, int] = {}


class TrackingTable:
    """Keys and prefixes with client ids.

    Attributes:
        items: how many pairs of key and client are remembered.
        prefixes: prefix → its followers and changes.
    """

    __slots__ = ("_keys", "_lengths", "items", "prefixes")

    def __init__(self) -> None:
        self._keys: OrderedDict[bytes, dict[int, None]] = OrderedDict()
        self._lengths: list[int] = []
        self.items: int = 0
        self.prefixes: dict[bytes, Prefix] = {}

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return len(self._keys)

    def remember(self, client: int, keys: Iterable[bytes]) -> None:
        """The client has read these keys."""
        for key in keys:
            readers = self._keys.get(key)
            if readers is None:
                readers = self._keys[key] = {}
            if client not in readers:
                readers[client] = None
                self.items += 1

    def readers_of(self, key: bytes) -> Iterable[int]:
        """Who has read the key since it was last asked for; the key is forgotten."""
        readers = self._keys.pop(key, None)
        if readers is None:
            return ()
        self.items -= len(readers)
        return readers

    def oldest(self) -> bytes | None:
        """The key that was remembered longest, None when there is none; it is not forgotten yet."""
        return next(iter(self._keys), None)

    def forget_keys(self) -> None:
        """Forget every key, not the prefixes."""
        self._keys = OrderedDict()
        self.items = 0

    def follow(self, client: int, prefix: bytes) -> None:
        """The client wants to hear of every change below the prefix."""
        followed = self.prefixes.get(prefix)
        if followed is None:
            followed = self.prefixes[prefix] = Prefix()
            self._lengths = sorted({len(known) for known in self.prefixes})
        followed.clients[client] = None

    def unfollow(self, client: int, prefix: bytes) -> None:
        """The client follows the prefix no more; nobody's is forgotten with its changes."""
        followed = self.prefixes[prefix]
        followed.clients.pop(client, None)
        if not followed.clients:
            del self.prefixes[prefix]
            self._lengths = sorted({len(known) for known in self.prefixes})

    def note_change(self, key: bytes, client: int) -> bool:
        """Collect a changed key for the prefixes above it; whether there is one."""
        is_followed = False
        for length in self._lengths:
            if length > len(key):
                break
            followed = self.prefixes.get(key[:length])
            if followed is not None:
                followed.changed[key] = client
                is_followed = True
        return is_followed

    def take_changes(self) -> list[tuple[list[int], dict[bytes, int]]]:
        """For each prefix with changes its followers, and the keys with who changed them, both in order; then none."""
        taken = []
        for _, followed in sorted(self.prefixes.items()):
            if followed.changed:
                taken.append((list(followed.clients), dict(sorted(followed.changed.items()))))
                followed.changed = {}
        return taken


def overlap(prefixes: list[bytes], followed: Iterable[bytes]) -> tuple[bytes, bytes, bool] | None:
    """Two prefixes of which one begins with the other, so that a key could be told twice; None if there are none.

    Parameters:
        prefixes: those asked for.
        followed: those that the client follows already.

    Returns:
        The two, and whether the second is among `followed`.
    """
    for position, prefix in enumerate(prefixes):
        for other in sorted(followed):
            if _collide(prefix, other):
                return prefix, other, True
        for other in prefixes[position + 1 :]:
            if _collide(prefix, other):
                return prefix, other, False
    return None


def _collide(first: bytes, second: bytes) -> bool:
    return first.startswith(second) or second.startswith(first)
