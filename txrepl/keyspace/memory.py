"""How many bytes keys and values take, and a running total of them.

What is counted is what CPython allocates, rounded as its allocator does:

- a byte string (a key, a string value, an element): its 33 bytes and its length, up to a multiple of 16;
- a container: its own objects as `sys.getsizeof` says, and its elements. Up to `SAMPLES` elements are looked at; of a
  larger container as many as a sample, half from either end, so that a write to a value of a million elements stays
  O(1) (Redis's `objectComputeSize` samples likewise). Elements far larger than most of the sample are counted once,
  not for all: one large field does not weigh as a million;
- an entry of a table (`ENTRY_BYTES`), a note of use, a deadline (`DEADLINE_BYTES`): their mean while a dict grows, and
  not the table's present size, which would double at one key and shrink at none.

What a scan or a sorted set adds for a while (an index, an order that was asked for) is not counted.

`Tally` is the total of one database. It exists only while somebody needs it (`maxmemory`); a count of what is there
already goes in slices (`Count`), beside the commands that change it meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice
from statistics import median_low
from sys import getsizeof
from typing import Any, Final

from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import (
    ORDERED_FROM,
    HashValue,
    ListValue,
    SetValue,
    SortedSetValue,
    Value,
)

SAMPLES: Final = 16
"""Elements of a container that are looked at for the total."""
ENTRY_BYTES: Final = 44
"""An entry of a dict: 24 bytes and its place in the index, in a table that is between a third and two thirds full."""
DEADLINE_BYTES: Final = 130
"""A deadline: its entry, its number, the key's second copy, and its place in the wheel."""
SLICE_KEYS: Final = 256
"""Keys that are counted between two looks at the clock."""

_FLOAT_BYTES: Final = 32
_ORDER_BYTES: Final = 18
"""A member's place in the order of a large sorted set."""
_BLOCK_ITEMS: Final = 64
_BLOCK_BYTES: Final = 528
_NODE_BYTES: Final = 320
_STREAM_ENTRY_BYTES: Final = 160
"""An entry's id, tuple and places, without its fields."""
_GROUP_BYTES: Final = 1800
_PENDING_BYTES: Final = 225
_OUTLIER_BYTES: Final = 1024
_OUTLIER_FACTOR: Final = 8


def blob_bytes(length: int) -> int:
    """What a byte string of so many bytes takes."""
    return length + 48 & -16


def size_of(value: Value, samples: int = SAMPLES) -> int:
    """What a value takes, in bytes.

    Parameters:
        samples: how many elements of a container are looked at; 0 = all.
    """
    if isinstance(value, bytes):
        return blob_bytes(len(value))
    if isinstance(value, HashValue):
        fields = value.fields
        size = 72 + getsizeof(fields) + 2 * len(fields) * blob_bytes(0)
        if value.deadlines:
            size += getsizeof(value.deadlines) + _FLOAT_BYTES * len(value.deadlines)
        pairs = _ends(fields.items(), len(fields), samples)
        return size + _extrapolated([_extra(field) + _extra(content) for field, content in pairs], len(fields))
    if isinstance(value, ListValue):
        items = value.items
        size = 40 + getsizeof(_NO_ITEMS) + len(items) // _BLOCK_ITEMS * _BLOCK_BYTES + len(items) * blob_bytes(0)
        return size + _extrapolated(list(map(_extra, _ends(items, len(items), samples))), len(items))
    if isinstance(value, SetValue):
        members = value.members
        size = 56 + getsizeof(members) + len(members) * blob_bytes(0)
        few = members if not samples else islice(members, samples)
        return size + _extrapolated(list(map(_extra, few)), len(members))
    if isinstance(value, SortedSetValue):
        scores = value.scores
        size = 64 + getsizeof(scores) + len(scores) * (blob_bytes(0) + _FLOAT_BYTES)
        if len(scores) >= ORDERED_FROM:
            size += _ORDER_BYTES * len(scores)
        return size + _extrapolated(list(map(_extra, _ends(scores, len(scores), samples))), len(scores))
    if isinstance(value, StreamValue):
        return _stream_bytes(value, samples)
    return 48 + blob_bytes(len(value.payload))


_NO_ITEMS: Final[deque[bytes]] = deque()


def _extra(text: bytes) -> int:
    """What a byte string takes beyond what an empty one does."""
    return (len(text) + 48 & -16) - 48


def _ends(elements: Any, length: int, samples: int) -> Iterable[Any]:
    """As many elements as wanted, half of them from either end."""
    if not samples or length <= samples:
        return elements  # type: ignore[no-any-return]
    return chain(islice(elements, samples - samples // 2), islice(reversed(elements), samples // 2))


def _extrapolated(sizes: list[int], length: int) -> int:
    """The sum of all, of whose sizes some are known; what is far larger than most counts as often as it was seen."""
    if len(sizes) >= length:
        return sum(sizes)
    limit = max(_OUTLIER_BYTES, _OUTLIER_FACTOR * median_low(sizes))
    usual = [size for size in sizes if size <= limit]
    seen = len(sizes) - len(usual)
    return sum(sizes) - sum(usual) + sum(usual) * (length - seen) // len(usual)


def _stream_bytes(value: StreamValue, samples: int) -> int:
    nodes = value.nodes
    size = 88 + len(nodes) * _NODE_BYTES + value.length * _STREAM_ENTRY_BYTES
    for group in value.groups.values():
        size += _GROUP_BYTES * (1 + len(group.consumers)) + _PENDING_BYTES * len(group.pending)
    every = chain.from_iterable(node.entries for node in nodes)
    if samples and value.length > samples:
        last = islice(reversed(nodes[-1].entries), samples // 2)
        entries = chain(islice(every, samples - samples // 2), last)
    else:
        entries = every
    return size + _extrapolated([sum(blob_bytes(len(text)) + 8 for text in entry) for entry in entries], value.length)


class Tally:
    """The bytes of a database's keys and values, kept up to date by whoever changes it.

    Strings are counted when they are put and when they go. A container is measured when it has changed, once for all
    that a command did to it, when the total is asked for.

    Parameters:
        data: the database's keys and values.

    Attributes:
        keys, strings, containers: bytes of each kind.
        stale: containers to measure anew.
        closed: nobody needs it any more; a count under way ends.
    """

    __slots__ = ("_data", "_sizes", "closed", "containers", "keys", "stale", "strings")

    def __init__(self, data: dict[bytes, Value]) -> None:
        self._data = data
        self._sizes: dict[bytes, int] = {}
        self.keys: int = 0
        self.strings: int = 0
        self.containers: int = 0
        self.stale: dict[bytes, None] = {}
        self.closed: bool = False

    def put(self, key: bytes, value: Value) -> None:
        """The value is about to be put under the key, whatever that holds."""
        old = self._data.get(key)
        if old is None:
            self.keys += len(key) + 48 & -16
        elif type(old) is bytes:
            self.strings -= len(old) + 48 & -16
        elif key in self._sizes:
            self.containers -= self._sizes.pop(key)
        if type(value) is bytes:
            self.strings += len(value) + 48 & -16
        else:
            self.stale[key] = None

    def removed(self, key: bytes, value: Value) -> None:
        """The key is gone, and the value that it held."""
        self.keys -= len(key) + 48 & -16
        if type(value) is bytes:
            self.strings -= len(value) + 48 & -16
        else:
            self.containers -= self._sizes.pop(key, 0)

    def total(self) -> int:
        """Bytes of all keys and values."""
        if self.stale:
            self._settle()
        return self.keys + self.strings + self.containers

    def _settle(self) -> None:
        sizes = self._sizes
        for key in self.stale:
            value = self._data.get(key)
            if value is not None and type(value) is not bytes:
                size = size_of(value)
                self.containers += size - sizes.get(key, 0)
                sizes[key] = size
        self.stale.clear()

    @property
    def overhead_bytes(self) -> int:
        """What the tally itself takes."""
        return len(self._sizes) * (ENTRY_BYTES + 32)

    def count(self) -> Iterator[None]:
        """Count what is in the database, a slice at a step, while commands go on; use it once, from the start.

        Strings and keys are listed at one moment each, from which on `put` and `removed` have told of every change;
        containers are measured when the count comes by, unless a change came before.
        """
        if self.closed:
            return
        self.strings = 0
        values = list(self._data.values())
        yield
        while values and not self.closed:
            part = values[-SLICE_KEYS:]
            del values[-SLICE_KEYS:]
            self.strings += sum([len(value) + 48 & -16 for value in part if type(value) is bytes])
            yield
        del values
        self.keys = 0
        keys = list(self._data)
        yield
        while keys and not self.closed:
            named = keys[-SLICE_KEYS:]
            del keys[-SLICE_KEYS:]
            self.keys += sum([len(key) + 48 & -16 for key in named])
            for key in named:
                value = self._data.get(key)
                if value is not None and type(value) is not bytes and key not in self._sizes:
                    self.stale[key] = None
            if self.stale:
                self._settle()
            yield


def recount(data: Collection[tuple[bytes, Value]]) -> int:
    """The total of keys and values from the beginning: what a `Tally` of the same data must say."""
    return sum(blob_bytes(len(key)) + size_of(value) for key, value in data)


def estimate(data: dict[bytes, Value], looks: int = 2048) -> int:
    """Bytes of keys and values: exact for up to `looks` of them, else from so many, half of them from either end."""
    if len(data) <= looks:
        return recount(data.items())
    sample = recount(list(_ends(data.items(), len(data), looks)))
    return sample * len(data) // looks
