"""What the RDB tests share: values by hypothesis, a sink that remembers, readers fed in every split."""

from __future__ import annotations

import json
import random
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from txrepl.errors import RdbError
from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.streams import Consumer, ConsumerGroup, PendingEntry, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    ModuleValue,
    SetValue,
    SortedSetValue,
    Value,
)
from txrepl.rdb import RdbReader, RdbWriter, Sink
from txrepl.rdb.primitives import crc64, write_length

SAMPLES = Path(__file__).parent / "samples"

Key = tuple[int, bytes, Any, int | None, int | None, int | None]


def plain(value: Value) -> Any:
    """A value as plain Python data, for comparing; -0.0 and 0.0 differ."""
    if isinstance(value, ListValue):
        return ("list", list(value.items))
    if isinstance(value, SetValue):
        return ("set", value.members)
    if isinstance(value, SortedSetValue):
        return ("zset", {member: repr(score) for member, score in value.scores.items()})
    if isinstance(value, HashValue):
        return ("hash", value.fields, value.deadlines or {})
    if isinstance(value, ModuleValue):
        return ("module", value.module_id, value.payload)
    if isinstance(value, StreamValue):
        groups = {name: plain_group(group) for name, group in value.groups.items()}
        counters = (value.last_id, value.max_deleted_id, value.entries_added)
        return ("stream", list(value.range()), counters, groups)
    return value


def plain_group(group: ConsumerGroup) -> Any:
    """A consumer group as plain data; each consumer's own list must agree with the group's."""
    for name, consumer in group.consumers.items():
        assert consumer.name == name
        for entry_id, entry in consumer.pending.items():
            assert entry is group.pending[entry_id] and entry.consumer is consumer
    pending = {i: (e.consumer.name, e.delivered_ms, e.deliveries) for i, e in group.pending.items()}
    consumers = {name: (c.seen_ms, c.active_ms, sorted(c.pending)) for name, c in group.consumers.items()}
    return (group.last_id, group.entries_read, pending, consumers)


class Record(Sink):
    """Remembers every call."""

    def __init__(self) -> None:
        self.db = 0
        self.keys: list[Key] = []
        self.others: list[tuple[Any, ...]] = []
        self.values: list[Value] = []

    def aux(self, name: bytes, value: bytes) -> None:
        self.others.append(("aux", name, value))

    def select_db(self, index: int) -> None:
        self.db = index
        self.others.append(("select", index))

    def resize_db(self, keys: int, expires: int) -> None:
        self.others.append(("resize", keys, expires))

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        self.keys.append((self.db, key, plain(value), expire_ms, idle_s, freq))
        self.values.append(value)

    def empty_key(self, key: bytes) -> None:
        self.others.append(("empty", key))

    def function(self, source: bytes) -> None:
        self.others.append(("function", source))

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        self.others.append(("module_aux", module_id, when, payload))


class Fill(Sink):
    """Fills a keyspace, so that its digest can be taken."""

    def __init__(self) -> None:
        self.keyspace = Keyspace(16, random.Random(1))
        self._db = 0

    def select_db(self, index: int) -> None:
        self._db = index

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        database = self.keyspace.databases[self._db]
        assert key not in database.data
        if isinstance(value, SortedSetValue):
            value.large = True  # the digest is to see a score of -0 as the file has it
        database.data[key] = value
        if expire_ms is not None:
            database.expires[key] = expire_ms


def read_pieces(pieces: Iterable[bytes]) -> tuple[Record, RdbReader]:
    """Feed the pieces; the RDB must end within them."""
    reader, sink = RdbReader(), Record()
    for piece in pieces:
        reader.feed(piece, sink)
    reader.finish()
    return sink, reader


def read_every_way(rdb: bytes) -> Record:
    """Read whole, byte by byte, in odd pieces and with trailing bytes: all must agree, and no byte may be lost."""
    whole, reader = read_pieces([rdb])
    assert reader.done and reader.position == len(rdb) and reader.leftover() == b""
    tail = b"*1\r\n$4\r\nPING\r\n"
    fed = rdb + tail
    for size in (1, 7, 4096):
        other, reader = read_pieces(fed[at : at + size] for at in range(0, len(fed), size))
        assert other.keys == whole.keys and other.others == whole.others
        assert reader.leftover() == tail and reader.position == len(rdb)
    joined, reader = read_pieces([fed])
    assert joined.keys == whole.keys and reader.leftover() == tail
    return whole


def rdb_of(body: bytes, magic: bytes = b"REDIS0012") -> bytes:
    """A file around opcodes written by hand; versions before 5 have no checksum."""
    data = magic + body + b"\xff"
    if b"REDIS" in magic and int(magic[5:]) < 5:
        return data
    return data + crc64(data).to_bytes(8, "little")


def raw(data: bytes) -> bytes:
    """A string in plain form."""
    return write_length(len(data)) + data


def read_value(type_number: int, body: bytes, magic: bytes = b"REDIS0012") -> Value:
    """The value of the only key of a file made around `body`."""
    record = read_every_way(rdb_of(bytes((type_number,)) + raw(b"key") + body, magic))
    assert len(record.values) == 1
    return record.values[0]


def refusal(data: bytes) -> RdbError:
    """The error that a whole file raises."""
    reader = RdbReader()
    try:
        reader.feed(data, Record())
        reader.finish()
    except RdbError as error:
        assert 0 <= error.position <= len(data)
        return error
    raise AssertionError("the file was read")


def write(values: Sequence[tuple[bytes, Value]], **options: Any) -> bytes:
    """A file with the values as keys of database 0."""
    out: list[bytes] = []
    writer = RdbWriter(out.append, **options)
    writer.header()
    writer.select_db(0, len(values), 0)
    for key, value in values:
        writer.key(key, value, None)
    writer.end()
    return b"".join(out)


def copy_of(rdb: bytes, functions: bool = True, **options: Any) -> bytes:
    """Read a file and write it anew."""
    out: list[bytes] = []
    copy = Copy(RdbWriter(out.append, **options), functions)
    reader = RdbReader()
    copy.writer.header()
    reader.feed(rdb, copy)
    reader.finish()
    copy.writer.end()
    return b"".join(out)


class Copy(Sink):
    """Writes what it is given."""

    def __init__(self, writer: RdbWriter, functions: bool) -> None:
        self.writer = writer
        self._functions = functions

    def function(self, source: bytes) -> None:
        if self._functions:
            self.writer.function(source)

    def select_db(self, index: int) -> None:
        self.writer.select_db(index)

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        self.writer.key(key, value, expire_ms, idle_s, freq)

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        self.writer.module_aux(module_id, when, payload)


def expectations() -> dict[str, dict[str, Any]]:
    """What is known of the committed samples, by file name."""
    found: dict[str, dict[str, Any]] = json.loads((SAMPLES / "expected.json").read_text("utf-8"))
    return found


# -- values ----------------------------------------------------------------------------------------------------------

small_ints = st.integers(-(2**33), 2**33).map(lambda n: b"%d" % n)
edge_ints = st.sampled_from(
    [0, 127, 128, -128, -129, 4095, 4096, -4096, -4097, 2**15, 2**23, 2**31, 2**31 - 1, -(2**31)]
)
texts = st.one_of(
    st.binary(max_size=24),
    small_ints,
    edge_ints.map(lambda n: b"%d" % n),
    st.sampled_from([b"", b"-", b"-0", b"00", b"+1", b"1 ", b"9223372036854775807", b"9223372036854775808"]),
    st.builds(lambda piece, n: piece * n, st.binary(min_size=1, max_size=3), st.integers(1, 200)),
    st.builds(
        lambda seed, n: random.Random(seed).randbytes(n), st.integers(0, 99), st.sampled_from([63, 64, 300, 17000])
    ),
)
scores = st.floats(allow_nan=False)
uint64 = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
ids = st.tuples(uint64, uint64)
times = st.integers(0, 2**42)

lists = st.lists(texts, min_size=1, max_size=12).map(lambda items: ListValue(deque(items)))
sets = st.sets(texts, min_size=1, max_size=12).map(SetValue)
sorted_sets = st.dictionaries(texts, scores, min_size=1, max_size=12).map(SortedSetValue)
hashes = st.dictionaries(texts, texts, min_size=1, max_size=12).map(HashValue)
modules = st.builds(
    lambda module_id, number, text: ModuleValue(
        module_id,
        b"\x02"
        + write_length(number)
        + b"\x03abcd\x04abcdefgh\x01"
        + write_length(number)
        + b"\x05"
        + raw(text)
        + b"\x00",
    ),
    uint64,
    uint64,
    texts,
)


@st.composite
def deadline_hashes(draw: st.DrawFn) -> HashValue:
    """Hashes of which some fields expire."""
    fields = draw(st.dictionaries(texts, texts, min_size=1, max_size=8))
    expiring = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, unique=True))
    return HashValue(fields, {field: draw(times) for field in expiring})


@st.composite
def streams(draw: st.DrawFn) -> StreamValue:
    """Streams with counters, groups, consumers and pending entries."""
    value = StreamValue()
    common = draw(st.lists(texts, min_size=1, max_size=3))
    for entry_id in sorted(draw(st.sets(ids, max_size=10))):
        names = common if draw(st.booleans()) else draw(st.lists(texts, min_size=1, max_size=3))
        value.append(entry_id, tuple(text for name in names for text in (name, draw(texts))), node_entries=4)
        if draw(st.integers(0, 5)) == 0:
            value.discard(entry_id)
    value.last_id = max(draw(ids), value.last_id)
    value.max_deleted_id = draw(ids)
    value.entries_added = draw(st.integers(0, 2**63 - 1))
    for name in draw(st.sets(texts, max_size=2)):
        group = ConsumerGroup(draw(ids), draw(st.integers(-1, 2**62)))
        for consumer_name in draw(st.sets(texts, max_size=3)):
            group.consumers[consumer_name] = Consumer(consumer_name, draw(times), draw(st.one_of(st.just(-1), times)))
        for entry_id in draw(st.sets(ids, max_size=5)) if group.consumers else ():
            consumer = group.consumers[draw(st.sampled_from(sorted(group.consumers)))]
            entry = PendingEntry(consumer, draw(times), draw(st.integers(0, 1000)))
            group.pending[entry_id] = consumer.pending[entry_id] = entry
        value.groups[name] = group
    return value


values = st.one_of(texts, lists, sets, sorted_sets, hashes, modules, streams())


def listpack_of(entries: Sequence[bytes]) -> bytes:
    """A listpack of entries encoded by hand (short ones, without back-lengths)."""
    body = b"".join(entry + bytes((len(entry),)) for entry in entries)
    return struct.pack("<IH", len(body) + 7, len(entries)) + body + b"\xff"
