"""The reader: bytes in any split go in, keys come out, whatever follows the RDB is handed on.

Grammar: magic, then opcodes and keys in any order, then EOF and (from version 5) eight bytes of CRC-64:

    file  = magic *(aux | function | module-aux | select | resize | slot | key) EOF [crc]
    key   = [expire] [idle | freq] type name value

Nothing is kept of what was handed to the sink. Runs of plain strings, the bulk of most datasets, take a loop of
their own; everything else goes through a `Cursor`, element by element.
"""

from __future__ import annotations

from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.values import Value
from txrepl.rdb import opcodes
from txrepl.rdb.collections import Builder, is_packed, read_packed, skip_module_item, start_builder
from txrepl.rdb.opcodes import Dialect
from txrepl.rdb.primitives import MAX_STRING_BYTES, Cursor, NeedMore, crc64
from txrepl.rdb.sink import Sink

_HEADER: Final = 0
_BODY: Final = 1
_CHECKSUM: Final = 2
_DONE: Final = 3

_INT8_TEXTS: Final[tuple[bytes, ...]] = tuple(b"%d" % (n - 256 if n > 127 else n) for n in range(256))

_HEAD_BYTES: Final = 16
"""More than expiry, type and key length of a string take together."""

_MAX_SLOTS: Final = 16384


class RdbReader:
    """An incremental reader of one RDB.

    Parameters:
        max_version_redis: newest version that is read of files with the magic REDIS.
        max_version_valkey: newest version that is read of files with the magic VALKEY.
        verify_checksum: False leaves the CRC unread (and saves its time).
        max_string_bytes: a longer string is an error, before any of it is allocated.

    Attributes:
        version: RDB version, 0 until the magic was read.
        dialect: whose numbering of types it follows.
        done: whether EOF and checksum were read.
    """

    def __init__(
        self,
        max_version_redis: int = opcodes.REDIS_MAX_VERSION,
        max_version_valkey: int = opcodes.VALKEY_MAX_VERSION,
        verify_checksum: bool = True,
        max_string_bytes: int = MAX_STRING_BYTES,
    ) -> None:
        self.version = 0
        self.dialect: Dialect = "redis"
        self.done = False
        self._max_version_redis = max_version_redis
        self._max_version_valkey = max_version_valkey
        self._verify = verify_checksum
        self._crc = 0
        self._state: int = _HEADER
        self._cursor = Cursor(b"", 0, max_string_bytes)
        self._max_string_bytes = max_string_bytes
        self._waiting: list[bytes] = []
        self._missing = 0
        self._left: list[bytes] = []
        self._failure: RdbError | None = None
        self._builder: Builder | None = None
        self._builder_key = b""
        self._expire_ms: int | None = None
        self._idle_s: int | None = None
        self._freq: int | None = None
        self._marked = False

    @property
    def position(self) -> int:
        """Bytes of the RDB consumed so far; its size, once done."""
        return self._cursor.base + self._cursor.committed

    def leftover(self) -> bytes:
        """All bytes that were fed after the end of the RDB: the replication stream goes on there."""
        if len(self._left) > 1:
            self._left = [b"".join(self._left)]
        return self._left[0] if self._left else b""

    def finish(self) -> None:
        """Say that no more bytes come.

        Raises:
            RdbError: the RDB is not complete.
        """
        if self._failure is not None:
            raise self._failure
        if not self.done:
            at = self.position + sum(map(len, self._waiting))
            raise RdbError("Unexpected end of RDB: the file is truncated", at)

    def feed(self, data: bytes | bytearray | memoryview, sink: Sink) -> None:
        """Read as far as the bytes reach, calling the sink for what was found.

        Raises:
            RdbError: the RDB is corrupt, or of a version that is not read; the reader is of no use from then on.
        """
        if self._failure is not None:
            raise self._failure
        piece = data if isinstance(data, bytes) else bytes(data)
        if self.done:
            if piece:
                self._left.append(piece)
            return
        if self._missing > len(piece):
            self._missing -= len(piece)
            self._waiting.append(piece)
            return
        if self._waiting:
            self._waiting.append(piece)
            piece = b"".join(self._waiting)
            self._waiting = []
        cursor = Cursor(piece, self.position, self._max_string_bytes)
        self._cursor = cursor
        try:
            self._read(cursor, sink)
        except NeedMore as short:
            if self._state != _CHECKSUM:
                self._sum(cursor)
            rest = piece[cursor.committed :]
            self._missing = max(short.stop - len(piece), 1)
            if rest:
                self._waiting.append(rest)
        except RdbError as failure:
            self._failure = failure
            raise

    def _sum(self, cursor: Cursor) -> None:
        """Take the committed bytes of this buffer into the checksum."""
        if self._verify and cursor.committed:
            self._crc = crc64(cursor.buffer[: cursor.committed], self._crc)

    def _read(self, cursor: Cursor, sink: Sink) -> None:
        if self._state == _HEADER:
            self._read_header(cursor)
        if self._state == _BODY:
            self._read_body(cursor, sink)
            if self.version < opcodes.WITH_CHECKSUM:
                self._state = _DONE
            else:
                self._state = _CHECKSUM
                self._sum(cursor)
        if self._state == _CHECKSUM:
            self._read_checksum(cursor)
        self.done = True
        if cursor.position < cursor.end:
            self._left.append(cursor.buffer[cursor.position :])

    def _read_header(self, cursor: Cursor) -> None:
        magic = cursor.take(9)
        if magic.startswith(b"REDIS"):
            digits = magic[5:]
        elif magic.startswith(b"VALKEY"):
            digits = magic[6:]
            self.dialect = "valkey"
        else:
            raise RdbError("Wrong signature trying to load DB from file", 0)
        if not digits.isdigit():
            raise RdbError("Wrong signature trying to load DB from file: the version is no number", 0)
        version = int(digits)
        if self.dialect == "valkey":
            readable = opcodes.VALKEY_MIN_VERSION <= version <= self._max_version_valkey
        else:
            readable = 1 <= version <= self._max_version_redis
        if not readable:
            raise RdbError(f"Can't handle RDB format version {version}", 0)
        self.version = version
        cursor.commit()
        self._state = _BODY

    def _read_checksum(self, cursor: Cursor) -> None:
        start = cursor.position
        expected = int.from_bytes(cursor.take(8), "little")
        if self._verify and expected not in (0, self._crc):
            cursor.position = start
            raise cursor.error(
                f"Wrong RDB checksum expected: ({expected:016x}) but got ({self._crc:016x}): CRC error. Aborting now"
            )
        cursor.commit()
        self._state = _DONE

    def _read_body(self, cursor: Cursor, sink: Sink) -> None:
        """Read up to EOF, included."""
        while True:
            if self._builder is not None:
                self._emit(sink, self._builder_key, self._builder.run(cursor))
                self._builder = None
                cursor.commit()
            if not self._marked:
                self._read_strings(cursor, sink)
            number = cursor.byte()
            if number < opcodes.SLOT_IMPORT:
                self._read_key(cursor, sink, number)
            elif number == opcodes.EOF:
                cursor.commit()
                return
            else:
                self._read_opcode(cursor, sink, number)
            cursor.commit()

    def _emit(self, sink: Sink, key: bytes, value: Value | None) -> None:
        """Hand a key to the sink with what was said about it before."""
        if value is None:
            sink.empty_key(key)
        else:
            sink.key(key, value, self._expire_ms, self._idle_s, self._freq)
        if self._marked:
            self._expire_ms = self._idle_s = self._freq = None
            self._marked = False

    def _read_strings(self, cursor: Cursor, sink: Sink) -> None:
        """Read keys as long as they are strings of the usual forms and wholly there; stop before anything else."""
        emit = sink.key
        integer = int.from_bytes
        buffer = cursor.buffer
        end = cursor.end
        last = end - _HEAD_BYTES
        start = at = cursor.committed
        while at < last:
            number = buffer[at]
            expire_ms: int | None
            if number == opcodes.STRING:
                expire_ms = None
                at += 1
            elif number == opcodes.EXPIRE_MS and buffer[at + 9] == opcodes.STRING:
                expire_ms = integer(buffer[at + 1 : at + 9], "little", signed=True)
                at += 10
            else:
                break
            size = buffer[at]
            if size < 0x40:
                at += 1
            elif size < 0x80:
                size = (size & 0x3F) << 8 | buffer[at + 1]
                at += 2
            else:
                break
            stop = at + size
            if stop >= last:
                break
            key = buffer[at:stop]
            size = buffer[stop]
            if size < 0x40:
                stop += 1
                at = stop + size
                if at > end:
                    break
                value = buffer[stop:at]
            elif size < 0x80:
                size = (size & 0x3F) << 8 | buffer[stop + 1]
                stop += 2
                at = stop + size
                if at > end:
                    break
                value = buffer[stop:at]
            elif size == 0xC0:
                value = _INT8_TEXTS[buffer[stop + 1]]
                at = stop + 2
            elif size == 0xC1:
                at = stop + 3
                value = b"%d" % integer(buffer[stop + 1 : at], "little", signed=True)
            elif size == 0xC2:
                at = stop + 5
                value = b"%d" % integer(buffer[stop + 1 : at], "little", signed=True)
            else:
                break
            emit(key, value, expire_ms, None, None)
            start = at
        cursor.position = cursor.committed = start

    def _read_key(self, cursor: Cursor, sink: Sink, number: int) -> None:
        if number not in opcodes.KNOWN_TYPES[self.dialect]:
            raise self._unknown(cursor, number)
        key = cursor.string()
        if number == opcodes.STRING:
            self._emit(sink, key, cursor.string())
        elif is_packed(number, self.dialect):
            self._emit(sink, key, read_packed(number, cursor))
        else:
            self._builder = start_builder(number, self.dialect, cursor)
            self._builder_key = key

    def _read_opcode(self, cursor: Cursor, sink: Sink, number: int) -> None:
        if number == opcodes.EXPIRE_MS:
            self._expire_ms = cursor.signed64()
            self._marked = True
        elif number == opcodes.EXPIRE_SECONDS:
            self._expire_ms = 1000 * int.from_bytes(cursor.take(4), "little", signed=True)
            self._marked = True
        elif number == opcodes.IDLE:
            self._idle_s = cursor.length()
            self._marked = True
        elif number == opcodes.FREQ:
            self._freq = cursor.byte()
            self._marked = True
        elif number == opcodes.SELECT_DB:
            sink.select_db(cursor.length())
        elif number == opcodes.RESIZE_DB:
            keys = cursor.length()
            sink.resize_db(keys, cursor.length())
        elif number == opcodes.AUX:
            name = cursor.string()
            sink.aux(name, cursor.string())
        elif number == opcodes.FUNCTION:
            sink.function(cursor.string())
        elif number == opcodes.MODULE_AUX:
            self._read_module_aux(cursor, sink)
        elif number == opcodes.SLOT_INFO:
            for _ in range(3):
                cursor.length()
        elif number == opcodes.SLOT_IMPORT and self.dialect == "valkey":
            self._skip_slot_import(cursor)
        else:
            if number == opcodes.FUNCTION_PRE_RELEASE:
                raise cursor.error("Pre-release function format not supported")
            raise self._unknown(cursor, number)

    def _unknown(self, cursor: Cursor, number: int) -> RdbError:
        cursor.position -= 1
        return cursor.error(f"Unknown RDB type or opcode {number} in {self.dialect} version {self.version}")

    def _read_module_aux(self, cursor: Cursor, sink: Sink) -> None:
        module_id = cursor.length()
        if cursor.length() != opcodes.MODULE_UNSIGNED:
            raise cursor.error("Module auxiliary data does not begin with its occasion")
        when = cursor.length()
        start = cursor.position
        while skip_module_item(cursor):
            pass
        sink.module_aux(module_id, when, cursor.buffer[start : cursor.position])

    def _skip_slot_import(self, cursor: Cursor) -> None:
        """A slot migration under way concerns the primary's cluster alone."""
        cursor.string()
        ranges = cursor.length()
        if ranges > _MAX_SLOTS:
            raise cursor.error("Slot import names more slot ranges than there are slots")
        for _ in range(2 * ranges):
            cursor.length()
