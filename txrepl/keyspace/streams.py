"""Streams: entries in nodes as Redis packs them, and consumer groups.

The rule: a stream is a list of nodes, a node holds up to a hundred entries, and what Redis's node would weigh as a
listpack is counted along. So every change touches one node, and `~` trimming, which drops whole nodes only, drops
what Redis drops. A deleted entry stays in its node, out of the way, until the last live one is gone: it takes up
room as in Redis, and it is in the RDB.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import islice, pairwise
from operator import attrgetter
from typing import Final

from sortedcontainers import SortedDict

from txrepl.keyspace.numbers import parse_integer

StreamId = tuple[int, int]
Entry = tuple[bytes, ...]
"""The flat field, value, field, value …"""

FIRST_ID: Final[StreamId] = (0, 0)
LAST_ID: Final[StreamId] = ((1 << 64) - 1, (1 << 64) - 1)

NODE_ENTRIES: Final = 100
NODE_BYTES: Final = 4096
"""Redis's defaults of stream-node-max-entries and stream-node-max-bytes."""
MOST_NODE_BYTES: Final = 1 << 30
"""What a node may hold at most, and an entry (`STREAM_LISTPACK_MAX_SIZE`)."""

UNKNOWN_READS: Final = -1
"""A group's read counter while nobody can know it (`SCG_INVALID_ENTRIES_READ`)."""

_KEY_BYTES: Final = 16
_FRAME_BYTES: Final = 7
"""A listpack's header and end."""
_SIGN: Final = 1 << 63
_MASK: Final = (1 << 64) - 1


def signed_difference(number: int, base: int) -> int:
    """`number - base` of two unsigned 64-bit integers as the signed one of the same bits, as a node stores it."""
    difference = (number - base) & _MASK
    return difference - (1 << 64) if difference & _SIGN else difference


def _integer_bytes(number: int) -> int:
    """What an integer takes in a listpack, its back-length included."""
    if 0 <= number <= 127:
        return 2
    if -4096 <= number <= 4095:
        return 3
    magnitude = number if number >= 0 else ~number
    if magnitude < 1 << 15:
        return 4
    if magnitude < 1 << 23:
        return 5
    return 6 if magnitude < 1 << 31 else 10


def _text_bytes(text: bytes) -> int:
    """What a string takes in a listpack, its back-length included."""
    size = len(text)
    if 0 < size <= 20 and text[0] < 0x3A:
        number = parse_integer(text)
        if number is not None:
            return _integer_bytes(number)
    if size < 64:
        return size + 2
    size += 2 if size < 4096 else 5
    if size <= 127:
        return size + 1
    groups = 2
    while groups < 5 and size >= (1 << (7 * groups)) - 1:
        groups += 1
    return size + groups


class PendingEntry:
    """A stream entry delivered to a consumer and not acknowledged.

    Attributes:
        consumer: whose it is.
        delivered_ms: unix time of the last delivery, ms.
        deliveries: how often it was delivered.
    """

    __slots__ = ("consumer", "delivered_ms", "deliveries")

    def __init__(self, consumer: Consumer, delivered_ms: int, deliveries: int) -> None:
        self.consumer = consumer
        self.delivered_ms = delivered_ms
        self.deliveries = deliveries


class Consumer:
    """A consumer of a group.

    Attributes:
        seen_ms: unix time of its last try, ms.
        active_ms: unix time of its last success, ms; -1 if never.
        pending: the entries that it holds, by id.
    """

    __slots__ = ("active_ms", "name", "pending", "seen_ms")

    def __init__(self, name: bytes, seen_ms: int, active_ms: int = -1) -> None:
        self.name = name
        self.seen_ms = seen_ms
        self.active_ms = active_ms
        self.pending: SortedDict[StreamId, PendingEntry] = SortedDict()


class ConsumerGroup:
    """A stream's consumer group.

    Attributes:
        entries_read: the logical read counter; `UNKNOWN_READS` when it is not known.
        pending: the group's pending entries list, by id.
    """

    __slots__ = ("consumers", "entries_read", "last_id", "pending")

    def __init__(self, last_id: StreamId, entries_read: int = UNKNOWN_READS) -> None:
        self.last_id = last_id
        self.entries_read = entries_read
        self.consumers: dict[bytes, Consumer] = {}
        self.pending: SortedDict[StreamId, PendingEntry] = SortedDict()

    def assign(self, entry_id: StreamId, consumer: Consumer, delivered_ms: int, deliveries: int) -> PendingEntry:
        """Make the entry pending for this consumer, whoever had it."""
        entry: PendingEntry | None = self.pending.get(entry_id)
        if entry is None:
            entry = self.pending[entry_id] = PendingEntry(consumer, delivered_ms, deliveries)
            consumer.pending[entry_id] = entry
            return entry
        if entry.consumer is not consumer:
            del entry.consumer.pending[entry_id]
            consumer.pending[entry_id] = entry
            entry.consumer = consumer
        entry.delivered_ms = delivered_ms
        entry.deliveries = deliveries
        return entry

    def release(self, entry_id: StreamId) -> bool:
        """Make the entry pending no more; False if it was not."""
        entry = self.pending.pop(entry_id, None)
        if entry is None:
            return False
        del entry.consumer.pending[entry_id]
        return True

    def drop(self, consumer: Consumer) -> int:
        """Remove the consumer and what is pending for it; returns how much that was."""
        for entry_id in consumer.pending:
            del self.pending[entry_id]
        pending = len(consumer.pending)
        consumer.pending.clear()  # those refer to it, and it to them
        del self.consumers[consumer.name]
        return pending


class StreamNode:
    """Entries that Redis keeps in one listpack.

    Attributes:
        master: the id that the others are told relative to: that of the first entry ever in it.
        fields: the first entry's fields; entries with the same ones do not repeat them.
        ids, entries: the live entries, ascending.
        dead: the deleted ones, in order of deletion.
        last_id: the last id ever put into it.
        body_bytes: size of the listpack without its frame and the two counts of entries.
    """

    __slots__ = ("body_bytes", "dead", "entries", "fields", "ids", "last_id", "master")

    def __init__(self, master: StreamId, fields: Entry) -> None:
        self.master = master
        self.fields = fields
        self.ids: list[StreamId] = []
        self.entries: list[Entry] = []
        self.dead: list[tuple[StreamId, Entry]] = []
        self.last_id = master
        self.body_bytes = 2 + _integer_bytes(len(fields)) + sum(map(_text_bytes, fields))

    @property
    def size_bytes(self) -> int:
        """The size of the listpack."""
        return self.body_bytes + _FRAME_BYTES + _integer_bytes(len(self.ids)) + _integer_bytes(len(self.dead))

    def append(self, entry_id: StreamId, entry: Entry) -> None:
        """Put an entry at the end."""
        size = _integer_bytes(signed_difference(entry_id[0], self.master[0])) + 2
        size += _integer_bytes(signed_difference(entry_id[1], self.master[1]))
        count = len(entry) // 2
        if entry[::2] == self.fields:
            size += sum(map(_text_bytes, entry[1::2])) + _integer_bytes(count + 3)
        else:
            size += sum(map(_text_bytes, entry)) + _integer_bytes(count) + _integer_bytes(2 * count + 4)
        self.body_bytes += size
        self.ids.append(entry_id)
        self.entries.append(entry)
        self.last_id = entry_id

    def bury(self, start: int, stop: int) -> None:
        """Mark the live entries start..stop-1 as deleted."""
        self.dead.extend(zip(self.ids[start:stop], self.entries[start:stop], strict=True))
        del self.ids[start:stop]
        del self.entries[start:stop]

    def copy(self) -> StreamNode:
        """A node that can be changed without changing this one."""
        copy = StreamNode(self.master, self.fields)
        copy.ids = self.ids.copy()
        copy.entries = self.entries.copy()
        copy.dead = self.dead.copy()
        copy.last_id = self.last_id
        copy.body_bytes = self.body_bytes
        return copy


class RadixSize:
    """The size of a compressed radix tree of 16-byte keys that come in ascending order, as `rax.c` builds it.

    Each key ends in a node of its own, each place where keys part is a node that holds the parting bytes, and what
    lies between two such places, if anything, is one more. Places where keys part are found as the lengths of common
    prefixes, nested as brackets are.

    Attributes:
        keys: how many there are.
    """

    __slots__ = ("_before", "_last", "_nodes", "_partings", "keys")

    def __init__(self) -> None:
        self.keys: int = 0
        self._nodes: int = 0
        self._last: int = 0
        self._before: int = -1
        self._partings: list[int] = []

    def add(self, key: int) -> None:
        """Put in a key above all others."""
        if self.keys:
            shared = (8 * _KEY_BYTES - (self._last ^ key).bit_length()) // 8
            self._nodes += _KEY_BYTES - max(self._before, shared) > 1
            partings = self._partings
            while partings and partings[-1] > shared:
                inner = partings.pop()
                self._nodes += 1 + (inner - max(partings[-1] if partings else -1, shared) > 1)
            if not partings or partings[-1] < shared:
                partings.append(shared)
            self._before = shared
        self._nodes += 1
        self._last = key
        self.keys += 1

    def nodes(self) -> int:
        """How many nodes there are; an empty tree is one."""
        if not self.keys:
            return 1
        open_ones = [-1, *self._partings]
        return (
            self._nodes
            + (_KEY_BYTES - self._before > 1)
            + sum(1 + (inner - outer > 1) for outer, inner in pairwise(open_ones))
        )


_master: Final = attrgetter("master")


class StreamValue:
    """A stream.

    Attributes:
        nodes: the nodes, ascending; go through the methods to change them.
        length: how many entries there are.
        last_id: the last id given; new ones are above it.
        max_deleted_id: the highest id that was deleted by XDEL.
        entries_added: how many entries were ever added.
    """

    __slots__ = ("_radix", "entries_added", "groups", "last_id", "length", "max_deleted_id", "nodes")

    def __init__(self) -> None:
        self.nodes: list[StreamNode] = []
        self.length: int = 0
        self.last_id: StreamId = FIRST_ID
        self.max_deleted_id: StreamId = FIRST_ID
        self.entries_added: int = 0
        self.groups: dict[bytes, ConsumerGroup] = {}
        self._radix: RadixSize | None = None

    # -- looking ----------------------------------------------------------------------------------------------------

    @property
    def first_id(self) -> StreamId:
        """The id of the first entry, 0-0 when there is none."""
        for node in self.nodes:
            if node.ids:
                return node.ids[0]
        return FIRST_ID

    @property
    def top_id(self) -> StreamId:
        """The id of the last entry, 0-0 when there is none (`streamLastValidID`)."""
        for node in reversed(self.nodes):
            if node.ids:
                return node.ids[-1]
        return FIRST_ID

    def get(self, entry_id: StreamId) -> Entry | None:
        """The entry of that id."""
        at = bisect_right(self.nodes, entry_id, key=_master) - 1
        if at < 0:
            return None
        node = self.nodes[at]
        place = bisect_left(node.ids, entry_id)
        return node.entries[place] if place < len(node.ids) and node.ids[place] == entry_id else None

    def __contains__(self, entry_id: StreamId) -> bool:
        return self.get(entry_id) is not None

    def ids(self) -> Iterator[StreamId]:
        """The ids of all entries, ascending."""
        for node in self.nodes:
            yield from node.ids

    def range(self, start: StreamId = FIRST_ID, end: StreamId = LAST_ID) -> Iterator[tuple[StreamId, Entry]]:
        """The entries from start to end, both included, ascending."""
        nodes = self.nodes
        first = max(bisect_right(nodes, start, key=_master) - 1, 0)
        for at in range(first, len(nodes)):
            node = nodes[at]
            if node.master > end:
                return
            low = bisect_left(node.ids, start) if at == first else 0
            high = bisect_right(node.ids, end) if node.last_id > end else len(node.ids)
            for place in range(low, high):
                yield node.ids[place], node.entries[place]

    def range_down(self, start: StreamId = FIRST_ID, end: StreamId = LAST_ID) -> Iterator[tuple[StreamId, Entry]]:
        """The entries from start to end, both included, descending."""
        nodes = self.nodes
        for at in range(bisect_right(nodes, end, key=_master) - 1, -1, -1):
            node = nodes[at]
            if node.last_id < start:
                return
            low = bisect_left(node.ids, start)
            for place in range(bisect_right(node.ids, end) - 1, low - 1, -1):
                yield node.ids[place], node.entries[place]

    # -- changing ---------------------------------------------------------------------------------------------------

    def append(
        self, entry_id: StreamId, entry: Entry, node_entries: int = NODE_ENTRIES, node_bytes: int = NODE_BYTES
    ) -> None:
        """Add an entry whose id is above `last_id` (`streamAppendItem`).

        Parameters:
            node_entries: how many entries fill a node, deleted ones included; 0 = any number.
            node_bytes: how many bytes fill a node; 0 = as many as Redis can keep in one.
        """
        node = self.nodes[-1] if self.nodes else None
        if node is not None:
            full = 0 < node_entries <= len(node.ids) + len(node.dead)
            if not 0 < node_bytes <= MOST_NODE_BYTES:
                node_bytes = MOST_NODE_BYTES
            if full or node.size_bytes + sum(map(len, entry)) >= node_bytes:
                node = None
        if node is None:
            node = StreamNode(entry_id, entry[::2])
            self.nodes.append(node)
        node.append(entry_id, entry)
        self.length += 1
        self.entries_added += 1
        self.last_id = entry_id

    def add_node(self, node: StreamNode) -> None:
        """Take over a node whose ids are above all others; counters and `last_id` stay."""
        self.nodes.append(node)
        self.length += len(node.ids)

    def discard(self, entry_id: StreamId) -> bool:
        """Delete an entry; False if it was not there (`streamDeleteItem`). `max_deleted_id` follows."""
        at = bisect_right(self.nodes, entry_id, key=_master) - 1
        if at < 0:
            return False
        node = self.nodes[at]
        place = bisect_left(node.ids, entry_id)
        if place == len(node.ids) or node.ids[place] != entry_id:
            return False
        if len(node.ids) == 1:
            del self.nodes[at]
            self._radix = None
        else:
            node.bury(place, place + 1)
        self.length -= 1
        self.max_deleted_id = max(self.max_deleted_id, entry_id)
        return True

    def trim_to(self, length: int, *, approximately: bool = False, limit: int = 0) -> int:
        """Delete the first entries until no more than `length` are left (`streamTrim` with MAXLEN).

        Parameters:
            approximately: drop whole nodes only, so that some more may be left.
            limit: how many entries may be deleted at most; 0 = any number.

        Returns:
            How many were deleted.
        """
        before = self.length
        whole = 0
        for node in self.nodes:
            live = len(node.ids)
            if self.length <= length or (limit and before - self.length + live > limit):
                break
            if self.length - live < length:
                if not approximately:
                    node.bury(0, self.length - length)
                    self.length = length
                break
            self.length -= live
            whole += 1
        self._drop_first(whole)
        return before - self.length

    def trim_before(self, first: StreamId, *, approximately: bool = False, limit: int = 0) -> int:
        """Delete the entries below an id (`streamTrim` with MINID); see `trim_to`."""
        before = self.length
        whole = 0
        for node in self.nodes:
            live = len(node.ids)
            if limit and before - self.length + live > limit:
                break
            if node.last_id >= first:
                if not approximately:
                    gone = bisect_left(node.ids, first)
                    node.bury(0, gone)
                    self.length -= gone
                break
            self.length -= live
            whole += 1
        self._drop_first(whole)
        return before - self.length

    def _drop_first(self, count: int) -> None:
        if count:
            del self.nodes[:count]
            self._radix = None

    # -- what Redis tells of its representation and of progress -----------------------------------------------------

    def radix_nodes(self) -> int:
        """How many nodes Redis's radix tree over the nodes' keys has (XINFO STREAM)."""
        tree = self._radix
        if tree is None:
            tree = self._radix = RadixSize()
        for node in islice(self.nodes, tree.keys, None):
            tree.add(node.master[0] << 64 | node.master[1])
        return tree.nodes()

    def estimated_reads(self, entry_id: StreamId) -> int:
        """How many entries were ever added up to this id (`streamEstimateDistanceFromFirstEverEntry`).

        Returns:
            `UNKNOWN_READS` if nobody can know.
        """
        if self.entries_added == 0:
            return 0
        if (self.length == 0 and entry_id <= self.last_id) or entry_id == self.last_id:
            return self.entries_added
        if entry_id > self.last_id:
            return UNKNOWN_READS
        first = self.first_id
        if FIRST_ID < entry_id < self.max_deleted_id:
            return UNKNOWN_READS  # as later versions say: nobody knows which of those in between were deleted
        if self.max_deleted_id == FIRST_ID or self.max_deleted_id < first:
            if entry_id < first:
                return self.entries_added - self.length
            if entry_id == first:
                return self.entries_added - self.length + 1
        return UNKNOWN_READS

    def advance(self, group: ConsumerGroup, entry_id: StreamId) -> None:
        """The group is given an entry above its last one: move on, and count if that can be known.

        Counts as Redis does since 7.2.6, which sees entries deleted or trimmed between the last one and this.
        """
        if (
            group.entries_read != UNKNOWN_READS
            and group.last_id >= self.first_id
            and not self.has_gap_from(group.last_id)
        ):
            group.entries_read += 1
        elif self.entries_added:
            group.entries_read = self.estimated_reads(entry_id)
        group.last_id = entry_id

    def has_gap_from(self, entry_id: StreamId) -> bool:
        """Whether an entry at or above this id was deleted (`streamRangeHasTombstones`)."""
        return self.length > 0 and self.max_deleted_id != FIRST_ID and entry_id <= self.max_deleted_id

    def lag(self, group: ConsumerGroup) -> int | None:
        """How many entries the group has not been given yet; None if nobody can know (`streamReplyWithCGLag`)."""
        if self.entries_added == 0:
            return 0
        if group.entries_read != UNKNOWN_READS and not self.has_gap_from(group.last_id):
            return self.entries_added - group.entries_read
        reads = self.estimated_reads(group.last_id)
        return None if reads == UNKNOWN_READS else self.entries_added - reads

    def copy(self) -> StreamValue:
        """A copy without its groups; entries are immutable and stay shared."""
        copy = StreamValue()
        copy.nodes = [node.copy() for node in self.nodes]
        copy.length = self.length
        copy.last_id = self.last_id
        copy.max_deleted_id = self.max_deleted_id
        copy.entries_added = self.entries_added
        return copy
