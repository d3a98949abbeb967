"""Freeing what is large in slices: the server answers its clients in between.

A value of a million elements takes CPython tens of milliseconds to free, and as long a whole database. Whoever takes
such a thing out of a database leaves it here; the node's tick drains it. Values are emptied in place, so nobody may
hold on to one that was left here beyond the command that removed it: a value that moves is taken out by
`Database.detach`. Follows Redis's lazyfree.c, which has a thread for this.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from sortedcontainers import SortedDict

from txrepl.keyspace.ranking import BLOCK
from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.streams import NODE_ENTRIES, ConsumerGroup, StreamValue
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue

FREED_AT_ONCE: Final = 1024
"""Elements up to which a value is freed on the spot: about a tenth of a millisecond."""
SLICE: Final = 4096
"""Elements that one slice frees: one to two milliseconds."""
_SORTED: Final = 8
"""Taking something out of a dict that is sorted costs as much as so many elements of another."""

_SIZES: Final[dict[type, Callable[[Any], int]]] = {
    ListValue: lambda value: len(value.items),
    HashValue: lambda value: len(value.fields),
    SetValue: lambda value: len(value.members),
    SortedSetValue: lambda value: len(value.scores),
    StreamValue: lambda value: value.length + sum(len(group.pending) for group in value.groups.values()),
    ConsumerGroup: lambda value: len(value.pending),
}

_Part = tuple[Any, int]
"""A container, and how many elements one of its items is."""


class LazyFree:
    """What waits to be freed.

    Attributes:
        pending: objects that wait, a dropped database counting as its keys (`lazyfree_pending_objects`).
        freed: objects freed so far (`lazyfreed_objects`).
    """

    __slots__ = ("_waiting", "freed", "pending")

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, list[_Part]]] = deque()
        self.pending: int = 0
        self.freed: int = 0

    def value(self, value: object) -> None:
        """Leave a value, or a consumer group, that nobody reaches any more; a small one is freed by its last holder."""
        size = _SIZES.get(type(value))
        if size is None:
            return
        if size(value) > FREED_AT_ONCE:
            self._wait(1, _parts(value))
        elif isinstance(value, StreamValue | ConsumerGroup):
            for container, _ in _parts(value):
                container.clear()  # consumers and what is pending for them refer to each other

    def database(self, data: dict[bytes, Any], notes: Iterable[dict[bytes, int]], index: ScanIndex | None) -> None:
        """Leave a whole database's keys, and what was noted for them."""
        if len(data) > FREED_AT_ONCE or any(type(value) is not bytes for value in data.values()):
            self._wait(len(data), [*((one, 1) for one in notes), *_index_parts(index), (data, 1)])

    def _wait(self, objects: int, parts: list[_Part]) -> None:
        self.pending += objects
        self._waiting.append((objects, parts))

    def drain(self, limit: int = SLICE) -> None:
        """Free about `limit` elements of what waits."""
        while self._waiting and limit > 0:
            objects, parts = self._waiting[0]
            while parts and limit > 0:
                container, weight = parts[0]
                count = min(len(container), max(1, limit // weight))
                self._empty(container, count)
                limit -= count * weight
                if not container:
                    del parts[0]
            if not parts:
                self._waiting.popleft()
                self.pending -= objects
                self.freed += objects

    def _empty(self, container: Any, count: int) -> None:
        """Take `count` items out of a container."""
        if isinstance(container, list):
            del container[len(container) - count :]
        elif isinstance(container, SortedDict):
            for _ in range(count):
                container.popitem()
        elif isinstance(container, dict):
            for _ in range(count):
                value = container.popitem()[1]
                if value.__class__ is not bytes:
                    self.value(value)
        else:
            for _ in range(count):
                container.pop()


def _index_parts(index: ScanIndex | None) -> list[_Part]:
    return [] if index is None else [(index.entries, 1)]


def _parts(value: object) -> list[_Part]:
    """The containers that a value consists of."""
    if isinstance(value, ListValue):
        return [(value.items, 1)]
    if isinstance(value, HashValue):
        deadlines: list[_Part] = [] if value.deadlines is None else [(value.deadlines, 1)]
        return [(value.deadline_hints(), 1), *deadlines, *_index_parts(value.index), (value.fields, 1)]
    if isinstance(value, SetValue):
        return [*_index_parts(value.index), (value.members, 1)]
    if isinstance(value, SortedSetValue):
        return [(value.order_blocks(), BLOCK), *_index_parts(value.index), (value.scores, 1)]
    if isinstance(value, ConsumerGroup):
        pending = [consumer.pending for consumer in value.consumers.values()]
        return [(one, _SORTED) for one in (*pending, value.pending)]
    assert isinstance(value, StreamValue)
    return [*(part for group in value.groups.values() for part in _parts(group)), (value.nodes, NODE_ENTRIES)]
