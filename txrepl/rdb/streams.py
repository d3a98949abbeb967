"""Streams: nodes of entries packed in listpacks, then counters, then consumer groups.

A node is keyed by its master id (16 bytes, big-endian); its listpack opens with the master entry `count deleted
fields… 0` and goes on with entries `flags ms-diff seq-diff [count fields] values items`. Three type numbers differ
only in what follows the nodes: 15 has no counters, 19 (Redis 7.0) has them, 21 (7.2) adds when a consumer was active.
"""

from __future__ import annotations

import struct
from operator import itemgetter
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.streams import (
    Consumer,
    ConsumerGroup,
    PendingEntry,
    StreamId,
    StreamNode,
    StreamValue,
    signed_difference,
)
from txrepl.rdb import opcodes
from txrepl.rdb.compact import decode_listpack, encode_listpack
from txrepl.rdb.primitives import Cursor, write_length, write_signed64, write_string

_ID: Final = struct.Struct(">QQ")
_MASK: Final = (1 << 64) - 1

_NODES: Final = 0
_COUNTERS: Final = 1
_GROUP: Final = 2
_PENDING: Final = 3
_CONSUMERS: Final = 4
_CONSUMER: Final = 5
_CONSUMER_PENDING: Final = 6
_COMPLETE: Final = 7


class StreamBuilder:
    """Reads a stream from a cursor, keeping what is read when bytes run out.

    Parameters:
        type_number: 15, 19 or 21.
        nodes: how many nodes follow.
    """

    __slots__ = ("_consumer", "_group", "_left", "_left_consumers", "_left_groups", "_state", "_type", "stream")

    def __init__(self, type_number: int, nodes: int) -> None:
        self.stream = StreamValue()
        self._type = type_number
        self._state: int = _NODES
        self._left = nodes
        self._left_groups = 0
        self._left_consumers = 0
        self._group = ConsumerGroup((0, 0))
        self._consumer = Consumer(b"", 0)

    def run(self, cursor: Cursor) -> StreamValue:
        """Read to the stream's end, committing on the way.

        Raises:
            NeedMore: bytes are missing; call again when there are more.
            RdbError: the stream is corrupt.
        """
        while self._state != _COMPLETE:
            if self._state == _NODES:
                self._read_nodes(cursor)
            elif self._state == _COUNTERS:
                self._read_counters(cursor)
            elif self._state == _GROUP:
                self._read_group(cursor)
            elif self._state == _PENDING:
                self._read_pending(cursor)
            elif self._state == _CONSUMERS:
                self._left_consumers = cursor.length()
                self._next_consumer()
            elif self._state == _CONSUMER:
                self._read_consumer(cursor)
            else:
                self._read_consumer_pending(cursor)
            cursor.commit()
        return self.stream

    def _read_nodes(self, cursor: Cursor) -> None:
        while self._left:
            at = cursor.base + cursor.position
            key = cursor.string()
            pack = cursor.string()
            if len(key) != 16:
                raise RdbError("Stream node key entry is not the size of a stream ID", at)
            last_id = self.stream.nodes[-1].last_id if self.stream.nodes else (-1, -1)
            node = _unpacked(_ID.unpack(key), decode_listpack(pack, at), last_id, at)
            node.body_bytes += len(pack) - node.size_bytes
            self.stream.add_node(node)
            self._left -= 1
            cursor.commit()
        self._state = _COUNTERS

    def _read_counters(self, cursor: Cursor) -> None:
        stream = self.stream
        count = cursor.length()
        stream.last_id = (cursor.length(), cursor.length())
        if self._type >= opcodes.STREAM_2:
            cursor.length()  # the first id: known from the entries
            cursor.length()
            stream.max_deleted_id = (cursor.length(), cursor.length())
            stream.entries_added = cursor.length()
        else:
            stream.entries_added = count
        if count != stream.length:
            raise cursor.error(f"Stream length inconsistent: {count} announced, {stream.length} found")
        if stream.top_id > stream.last_id:
            raise cursor.error("Stream's last ID is before its last entry")
        self._left_groups = cursor.length()
        self._next_group()

    def _next_group(self) -> None:
        if self._left_groups == 0:
            self._state = _COMPLETE
        else:
            self._left_groups -= 1
            self._state = _GROUP

    def _read_group(self, cursor: Cursor) -> None:
        name = cursor.string()
        last_id = (cursor.length(), cursor.length())
        if self._type >= opcodes.STREAM_2:
            raw = cursor.length()
            entries_read = raw - (1 << 64) if raw >> 63 else raw
        else:
            entries_read = self.stream.estimated_reads(last_id)
        left = cursor.length()
        if name in self.stream.groups:
            raise cursor.error("Duplicated consumer group name")
        self._group = self.stream.groups[name] = ConsumerGroup(last_id, entries_read)
        self._left = left
        self._state = _PENDING

    def _read_pending(self, cursor: Cursor) -> None:
        pending = self._group.pending
        nobody = Consumer(b"", 0)
        while self._left:
            entry_id = _read_id(cursor)
            delivered_ms = cursor.signed64()
            deliveries = cursor.length()
            if entry_id in pending:
                raise cursor.error("Duplicated global PEL entry loading stream consumer group")
            pending[entry_id] = PendingEntry(nobody, delivered_ms, deliveries)
            self._left -= 1
            cursor.committed = cursor.position
        self._state = _CONSUMERS

    def _next_consumer(self) -> None:
        if self._left_consumers:
            self._left_consumers -= 1
            self._state = _CONSUMER
        else:
            self._next_group()

    def _read_consumer(self, cursor: Cursor) -> None:
        name = cursor.string()
        seen_ms = cursor.signed64()
        active_ms = cursor.signed64() if self._type >= opcodes.STREAM_3 else seen_ms
        left = cursor.length()
        if name in self._group.consumers:
            raise cursor.error("Duplicated consumer name in a consumer group")
        self._consumer = self._group.consumers[name] = Consumer(name, seen_ms, active_ms)
        self._left = left
        self._state = _CONSUMER_PENDING

    def _read_consumer_pending(self, cursor: Cursor) -> None:
        consumer = self._consumer
        while self._left:
            entry_id = _read_id(cursor)
            entry = self._group.pending.get(entry_id)
            if entry is None:
                raise cursor.error("Consumer entry not found in group global PEL")
            if entry.consumer.name == consumer.name and entry_id in consumer.pending:
                raise cursor.error("Duplicated consumer PEL entry loading a stream consumer group")
            entry.consumer = consumer
            consumer.pending[entry_id] = entry
            self._left -= 1
            cursor.committed = cursor.position
        if self._left_consumers == 0 and sum(len(c.pending) for c in self._group.consumers.values()) != len(
            self._group.pending
        ):
            raise cursor.error("A pending entry belongs to no consumer or to several")
        self._next_consumer()


def _read_id(cursor: Cursor) -> StreamId:
    first, second = _ID.unpack(cursor.take(16))
    return (first, second)


def _unpacked(master: StreamId, items: list[bytes], after: StreamId, position: int) -> StreamNode:
    """A node from its key and the elements of its listpack.

    Parameters:
        after: the last id of the node before.

    Raises:
        RdbError: the node is corrupt.
    """
    try:
        return _unpacked_node(master, items, after)
    except (ValueError, IndexError) as problem:
        raise RdbError(f"Stream listpack integrity check failed: {problem}", position) from None


def _unpacked_node(master: StreamId, items: list[bytes], last: StreamId) -> StreamNode:
    """An index beyond the items is an IndexError, text that is no number a ValueError."""
    live, deleted, size = int(items[0]), int(items[1]), _count(items, 2)
    at = 3 + size
    master_fields = items[3:at]
    node = StreamNode(master, tuple(master_fields))
    if int(items[at]) != 0:
        raise ValueError("the master entry has no terminator")
    at += 1
    master_ms, master_seq = master
    end = len(items)
    while at < end:
        flags = int(items[at])
        entry_id = ((master_ms + int(items[at + 1])) & _MASK, (master_seq + int(items[at + 2])) & _MASK)
        start = at
        if flags & opcodes.STREAM_ITEM_SAME_FIELDS:
            at += 3 + size
            values = items[start + 3 : at]
            flat = tuple([text for pair in zip(master_fields, values, strict=True) for text in pair])
        else:
            at += 4 + 2 * _count(items, at + 3)
            flat = tuple(items[start + 4 : at])
        if int(items[at]) != at - start:
            raise ValueError("an entry's size is wrong")
        at += 1
        node.last_id = entry_id
        if flags & opcodes.STREAM_ITEM_DELETED:
            node.dead.append((entry_id, flat))
            continue
        if entry_id <= last:
            raise ValueError("IDs are not ascending")
        last = entry_id
        node.ids.append(entry_id)
        node.entries.append(flat)
    if (live, deleted) != (len(node.ids), len(node.dead)):
        raise ValueError("the number of entries is wrong")
    return node


def _count(items: list[bytes], at: int) -> int:
    count = int(items[at])
    if not 0 <= count <= len(items):
        raise ValueError("a count is out of range")
    return count


# -- writing ---------------------------------------------------------------------------------------------------------


def stream_version(stream: StreamValue) -> int:
    """The first RDB version that keeps all that this stream knows.

    An older version can be written too: what it lacks (counters, times of activity) is then estimated by the reader,
    just as a server of that age does. No entry, group or pending entry is ever lost.
    """
    groups = stream.groups.values()
    if any(c.active_ms != c.seen_ms for group in groups for c in group.consumers.values()):
        return opcodes.WITH_CONSUMER_ACTIVITY
    if stream.max_deleted_id != (0, 0) or stream.entries_added != stream.length:
        return opcodes.WITH_STREAM_COUNTERS
    if any(group.entries_read != stream.estimated_reads(group.last_id) for group in groups):
        return opcodes.WITH_STREAM_COUNTERS
    return opcodes.PORTABLE_VERSION


def stream_type(version: int) -> int:
    """The type number of streams in that RDB version."""
    if version >= opcodes.WITH_CONSUMER_ACTIVITY:
        return opcodes.STREAM_3
    if version >= opcodes.WITH_STREAM_COUNTERS:
        return opcodes.STREAM_2
    return opcodes.STREAM


class StreamPacker:
    """A stream as RDB bytes, in pieces.

    Parameters:
        type_number: 15, 19 or 21.
        compress: whether nodes are compressed with LZF.
    """

    __slots__ = ("_compress", "_stream", "_type")

    def __init__(self, stream: StreamValue, type_number: int, compress: bool) -> None:
        self._stream = stream
        self._type = type_number
        self._compress = compress

    def node(self, node: StreamNode) -> bytes:
        """One node: its key and its listpack."""
        master, master_fields = node.master, node.fields
        items = [b"%d" % len(node.ids), b"%d" % len(node.dead), b"%d" % len(master_fields), *master_fields, b"0"]
        rows = [(entry_id, flat, 0) for entry_id, flat in zip(node.ids, node.entries, strict=True)]
        if node.dead:
            rows += [(entry_id, flat, opcodes.STREAM_ITEM_DELETED) for entry_id, flat in node.dead]
            rows.sort(key=itemgetter(0))
        for entry_id, flat, flags in rows:
            same = flat[::2] == master_fields
            items.append(b"%d" % (flags | (opcodes.STREAM_ITEM_SAME_FIELDS if same else 0)))
            items.append(b"%d" % signed_difference(entry_id[0], master[0]))
            items.append(b"%d" % signed_difference(entry_id[1], master[1]))
            if same:
                items.extend(flat[1::2])
                items.append(b"%d" % (len(master_fields) + 3))
            else:
                items.append(b"%d" % (len(flat) // 2))
                items.extend(flat)
                items.append(b"%d" % (len(flat) + 4))
        return write_string(_ID.pack(*master), False) + write_string(encode_listpack(items), self._compress)

    def counters(self) -> bytes:
        """What follows the nodes, up to the number of groups."""
        stream = self._stream
        numbers = [stream.length, *stream.last_id]
        if self._type >= opcodes.STREAM_2:
            numbers += [*stream.first_id, *stream.max_deleted_id, stream.entries_added]
        numbers.append(len(stream.groups))
        return b"".join(map(write_length, numbers))

    def group(self, name: bytes, group: ConsumerGroup) -> bytes:
        """A consumer group with its consumers and pending entries."""
        out = [write_string(name, self._compress), write_length(group.last_id[0]), write_length(group.last_id[1])]
        if self._type >= opcodes.STREAM_2:
            out.append(write_length(group.entries_read & _MASK))
        out.append(write_length(len(group.pending)))
        for entry_id, entry in group.pending.items():
            out += (_ID.pack(*entry_id), write_signed64(entry.delivered_ms), write_length(entry.deliveries))
        out.append(write_length(len(group.consumers)))
        for consumer in group.consumers.values():
            out += (write_string(consumer.name, self._compress), write_signed64(consumer.seen_ms))
            if self._type >= opcodes.STREAM_3:
                out.append(write_signed64(consumer.active_ms))
            out.append(write_length(len(consumer.pending)))
            out += [_ID.pack(*entry_id) for entry_id in consumer.pending]
        return b"".join(out)
