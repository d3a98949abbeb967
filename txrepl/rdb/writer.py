"""The writer: keys go in, an RDB in pieces of about 64 KB comes out.

What is written is plain: one type number per kind of value (0, 1, 2, 4, 5, 15 in version 9), so that every server
from Redis 5.0 on loads it and packs as it likes; packed is only a sorted set that would lose a score of -0 else.
A higher version is for data that needs it: functions (10), all of a stream's counters (10, 11), hash-field deadlines
(12, or Valkey's 80).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import copysign
from typing import Final

import lzf

from txrepl.errors import RdbError
from txrepl.keyspace.numbers import format_double
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    ModuleValue,
    SetValue,
    SortedSetValue,
    Value,
)
from txrepl.rdb import opcodes
from txrepl.rdb.compact import encode_ziplist
from txrepl.rdb.opcodes import Dialect
from txrepl.rdb.primitives import (
    SHORT_LENGTHS,
    crc64,
    write_double,
    write_integer_string,
    write_length,
    write_signed64,
    write_string,
)
from txrepl.rdb.streams import StreamPacker, stream_type, stream_version

BUFFER_BYTES: Final = 64 * 1024
_BATCH: Final = 512
"""Elements or keys between two looks at the size of the buffer."""

_PACKED_ENTRIES: Final = 1024
"""Sorted sets larger than this are small nowhere."""

_BYTE: Final = SHORT_LENGTHS
_STRING_KEYS: Final[tuple[bytes, ...]] = tuple(b"\x00" + length for length in SHORT_LENGTHS)


def required_version(value: Value, dialect: Dialect = "redis") -> int:
    """The first RDB version that loses nothing of the value.

    Only hash-field deadlines are refused by a writer of a lower version; a stream is written to any, and what its
    version lacks is estimated by the reader.
    """
    if isinstance(value, HashValue) and value.deadlines:
        return opcodes.WITH_DEADLINES if dialect == "redis" else opcodes.VALKEY_MIN_VERSION
    if isinstance(value, StreamValue):
        return stream_version(value)
    return opcodes.PORTABLE_VERSION


class RdbWriter:
    """Writes one RDB.

    Parameters:
        write: takes the bytes, in order; its errors pass through.
        version: RDB version of the file, 9 to 12 (redis) or 80 (valkey).
        compress: LZF for strings of more than 20 bytes where it makes them smaller.
        checksum: False writes a zero for the CRC, which readers take for "not checked".
        dialect: whose magic and type numbers to use.

    Raises:
        RdbError: the dialect has no such version.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        *,
        version: int = opcodes.PORTABLE_VERSION,
        compress: bool = True,
        checksum: bool = True,
        dialect: Dialect = "redis",
    ) -> None:
        self.version = version
        self.dialect: Dialect = dialect
        self.position = 0
        self._write = write
        self._compress = compress
        self._checksum = checksum
        self._crc = 0
        self._parts: list[bytes] = []
        check_version(version, dialect)

    def header(self, aux: Mapping[bytes, bytes] | None = None) -> None:
        """The magic, and facts about the file such as `redis-ver` or `repl-id`."""
        magic = b"REDIS%04d" if self.dialect == "redis" else b"VALKEY%03d"
        self._parts.append(magic % self.version)
        for name, value in (aux or {}).items():
            self._parts += (_AUX, write_string(name, self._compress), write_string(value, self._compress))
        self._look()

    def function(self, source: bytes) -> None:
        """A function library.

        Raises:
            RdbError: the version has no functions.
        """
        if self.version < opcodes.WITH_FUNCTIONS:
            raise RdbError(f"RDB version {self.version} cannot hold functions, 10 can", self.position)
        self._parts += (_FUNCTION, write_string(source, self._compress))
        self._look()

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        """A module's own data, as `Sink.module_aux` got it."""
        self._parts += (_MODULE_AUX, write_length(module_id), _BYTE[opcodes.MODULE_UNSIGNED], write_length(when))
        self._parts.append(payload)
        self._look()

    def select_db(self, index: int, keys: int = 0, expires: int = 0) -> None:
        """The keys that follow are of this database; the numbers help the reader to allocate."""
        self._parts += (_SELECT_DB, write_length(index), _RESIZE_DB, write_length(keys), write_length(expires))
        self._look()

    def key(
        self,
        key: bytes,
        value: Value,
        expire_ms: int | None = None,
        idle_s: int | None = None,
        freq: int | None = None,
    ) -> None:
        """A key; `expire_ms` is unix time in ms, `idle_s` or `freq` its last access or access counter.

        Raises:
            RdbError: the version cannot hold the value; the message names the key.
        """
        parts = self._parts
        if expire_ms is not None:
            parts += (_EXPIRE_MS, write_signed64(expire_ms))
        if idle_s is not None:
            parts += (_IDLE, write_length(idle_s))
        if freq is not None:
            parts.append(bytes((opcodes.FREQ, freq)))
        if isinstance(value, bytes):
            parts += (_BYTE[opcodes.STRING], write_string(key, self._compress), write_string(value, self._compress))
        else:
            parts.append(_BYTE[self._type_of(value, key)])
            parts.append(write_string(key, self._compress))
            self._body(value)
        if len(parts) >= _BATCH:
            self._look()

    def strings(self, items: Iterable[tuple[bytes, Value]]) -> None:
        """Many keys without expiry, mostly strings: the same as `key` for each, at a fraction of its time."""
        compress = self._compress
        squeeze = lzf.compress
        integer = write_integer_string
        heads = _STRING_KEYS
        lengths = SHORT_LENGTHS
        parts = self._parts
        append = parts.append
        for key, value in items:
            if not isinstance(value, bytes):
                self.key(key, value)
                parts = self._parts
                append = parts.append
                continue
            size = len(key)
            if size <= 20 and not (0 < size <= 11 and key[0] < 0x3A):
                append(heads[size])
                append(key)
            else:
                append(b"\x00")
                append(write_string(key, compress))
            size = len(value)
            if size > 20:
                packed = squeeze(value, size - 4) if compress and size < 1 << 30 else None
                if packed is not None:
                    append(b"\xc3" + write_length(len(packed)) + write_length(size))
                    append(packed)
                else:
                    append(lengths[size] if size < 64 else write_length(size))
                    append(value)
            elif 0 < size <= 11 and value[0] < 0x3A and (text := integer(value)) is not None:
                append(text)
            else:
                append(lengths[size])
                append(value)
            if len(parts) > 4 * _BATCH:
                self._look()
                parts = self._parts
                append = parts.append
        self._look()

    def end(self) -> None:
        """The end mark and the checksum; everything is written after this."""
        self._parts.append(_EOF)
        self._flush()
        crc = self._crc if self._checksum else 0
        self._parts.append(crc.to_bytes(8, "little"))
        self._checksum = False
        self._flush()

    # -- values ------------------------------------------------------------------------------------------------------

    def value(self, value: Value) -> None:
        """A value without a key, behind its type number, written at once: the inside of a DUMP payload.

        Raises:
            RdbError: the version cannot hold the value.
        """
        self._parts.append(_BYTE[self._type_of(value, b"")])
        self._body(value)
        self._flush()

    def _type_of(self, value: Value, key: bytes) -> int:
        if isinstance(value, HashValue):
            if not value.deadlines:
                return opcodes.HASH
            if self.version < opcodes.WITH_DEADLINES:
                name = key.decode("utf-8", "backslashreplace")
                reason = f"RDB version {self.version} cannot hold the field deadlines of key '{name}'"
                raise RdbError(f"{reason}, 12 (redis) and 80 (valkey) can", self.position)
            return opcodes.HASH_DEADLINES if self.dialect == "redis" else opcodes.HASH_DEADLINES_VALKEY
        if isinstance(value, StreamValue):
            return stream_type(self.version)
        if isinstance(value, SortedSetValue) and _is_packed_for_zero(value):
            return opcodes.ZSET_ZIPLIST
        return opcodes.STRING if isinstance(value, bytes) else _TYPES[type(value)]

    def _body(self, value: Value) -> None:
        """What follows type and key."""
        if isinstance(value, bytes):
            self._parts.append(write_string(value, self._compress))
        elif isinstance(value, ListValue):
            self._elements(value.items, len(value.items))
        elif isinstance(value, SetValue):
            self._elements(value.members, len(value.members))
        elif isinstance(value, SortedSetValue):
            self._sorted_set(value)
        elif isinstance(value, HashValue):
            if value.deadlines:
                self._deadline_hash(value.fields, value.deadlines)
            else:
                self._hash(value.fields)
        elif isinstance(value, StreamValue):
            self._stream(value)
        else:
            self._parts += (write_length(value.module_id), value.payload)

    def _elements(self, elements: Iterable[bytes], count: int) -> None:
        compress = self._compress
        parts = self._parts
        parts.append(write_length(count))
        for element in elements:
            parts.append(write_string(element, compress))
            if len(parts) >= _BATCH:
                self._look()
                parts = self._parts

    def _sorted_set(self, value: SortedSetValue) -> None:
        compress = self._compress
        if _is_packed_for_zero(value):
            ordered = ((member, format_double(score)) for score, member in value.order())
            self._parts.append(write_string(encode_ziplist([text for pair in ordered for text in pair]), compress))
            return
        parts = self._parts
        parts.append(write_length(len(value.scores)))
        for member, score in value.scores.items():
            parts.append(write_string(member, compress))
            parts.append(write_double(score))
            if len(parts) >= _BATCH:
                self._look()
                parts = self._parts

    def _hash(self, fields: dict[bytes, bytes]) -> None:
        compress = self._compress
        parts = self._parts
        parts.append(write_length(len(fields)))
        for field, text in fields.items():
            parts.append(write_string(field, compress))
            parts.append(write_string(text, compress))
            if len(parts) >= _BATCH:
                self._look()
                parts = self._parts

    def _deadline_hash(self, fields: dict[bytes, bytes], deadlines: dict[bytes, int]) -> None:
        valkey = self.dialect == "valkey"
        earliest = min(deadlines.values())
        if not valkey:
            self._parts.append(write_signed64(earliest))
        self._parts.append(write_length(len(fields)))
        for field, text in fields.items():
            deadline = deadlines.get(field)
            pair = write_string(field, self._compress) + write_string(text, self._compress)
            if valkey:
                self._parts.append(pair + write_signed64(-1 if deadline is None else deadline))
            else:
                self._parts.append(write_length(0 if deadline is None else deadline - earliest + 1) + pair)
            if len(self._parts) >= _BATCH:
                self._look()

    def _stream(self, value: StreamValue) -> None:
        packer = StreamPacker(value, stream_type(self.version), self._compress)
        self._parts.append(write_length(len(value.nodes)))
        for node in value.nodes:
            self._parts.append(packer.node(node))
            self._look()
        self._parts.append(packer.counters())
        for name, group in value.groups.items():
            self._parts.append(packer.group(name, group))
            self._look()

    # -- the buffer --------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Write if the buffer is full; else make it a single part, so that the next look is cheap."""
        if len(self._parts) == 1 and len(self._parts[0]) < BUFFER_BYTES:
            return
        joined = b"".join(self._parts)
        if len(joined) < BUFFER_BYTES:
            self._parts = [joined]
        else:
            self._parts = []
            self._put(joined)

    def _flush(self) -> None:
        joined = b"".join(self._parts)
        self._parts = []
        if joined:
            self._put(joined)

    def _put(self, data: bytes) -> None:
        if self._checksum:
            self._crc = crc64(data, self._crc)
        self.position += len(data)
        self._write(data)


def _is_packed_for_zero(value: SortedSetValue) -> bool:
    """Whether a sorted set must be packed to keep a score of -0.

    Servers from 7.0 on that load a small plain sorted set turn -0 into 0, and its digest with it; a packed one they
    take over as text.
    """
    scores = value.scores.values()
    return len(scores) <= _PACKED_ENTRIES and 0.0 in scores and any(s == 0.0 and copysign(1.0, s) < 0 for s in scores)


def check_version(version: int, dialect: Dialect) -> None:
    """Refuse a version that is not written.

    Raises:
        RdbError: the dialect has no such version.
    """
    if dialect == "redis":
        known = opcodes.PORTABLE_VERSION <= version <= opcodes.REDIS_MAX_VERSION
    else:
        known = opcodes.VALKEY_MIN_VERSION <= version <= opcodes.VALKEY_MAX_VERSION
    if not known:
        raise RdbError(f"RDB version {version} is not written for {dialect}", 0)


_EOF: Final = bytes((opcodes.EOF,))
_SELECT_DB: Final = bytes((opcodes.SELECT_DB,))
_RESIZE_DB: Final = bytes((opcodes.RESIZE_DB,))
_EXPIRE_MS: Final = bytes((opcodes.EXPIRE_MS,))
_IDLE: Final = bytes((opcodes.IDLE,))
_AUX: Final = bytes((opcodes.AUX,))
_FUNCTION: Final = bytes((opcodes.FUNCTION,))
_MODULE_AUX: Final = bytes((opcodes.MODULE_AUX,))

_TYPES: Final[dict[type, int]] = {
    ListValue: opcodes.LIST,
    SetValue: opcodes.SET,
    SortedSetValue: opcodes.ZSET,
    ModuleValue: opcodes.MODULE,
}
