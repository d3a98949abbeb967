"""DUMP payloads: one value, then the RDB version (2 bytes, little-endian) and the CRC-64 of all before it.

Version and checksum are checked before a byte of the value is looked at. A payload has no magic: versions from 80 on
are Valkey's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.values import Value
from txrepl.rdb import opcodes
from txrepl.rdb.collections import is_packed, read_packed, start_builder
from txrepl.rdb.opcodes import Dialect
from txrepl.rdb.primitives import Cursor, NeedMore, crc64, write_string
from txrepl.rdb.writer import RdbWriter, required_version

REFUSED: Final = "DUMP payload version or checksum are wrong"
"""What RESTORE answers (after `ERR `) when the frame around the value is wrong."""

_FOOTER_BYTES: Final = 10


def dump(value: Value, version: int = opcodes.PORTABLE_VERSION, *, compress: bool = True) -> bytes:
    """The payload of a value.

    Parameters:
        version: RDB version of the payload; 80 makes it Valkey's.

    Raises:
        RdbError: that version cannot hold the value.
    """
    dialect: Dialect = "valkey" if version >= opcodes.VALKEY_MIN_VERSION else "redis"
    pieces: list[bytes] = []
    writer = RdbWriter(pieces.append, version=version, compress=compress, checksum=False, dialect=dialect)
    writer.value(value)
    payload = b"".join(pieces) + version.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def dump_version(value: Value) -> int:
    """The lowest redis version whose payload loses nothing of the value."""
    return required_version(value, "redis")


def restore(
    payload: bytes,
    *,
    max_version_redis: int = opcodes.REDIS_MAX_VERSION,
    max_version_valkey: int = opcodes.VALKEY_MAX_VERSION,
) -> Value:
    """The value of a payload that `dump`, a Redis or a Valkey made.

    Raises:
        RdbError: `reason` is `REFUSED` if version or checksum are wrong, else it says what is corrupt.
    """
    cursor, dialect = _unframed(payload, max_version_redis, max_version_valkey)
    try:
        value = _read_value(cursor, dialect)
    except NeedMore:
        raise RdbError("Bad data format: the value is cut off", len(payload) - _FOOTER_BYTES) from None
    if value is None:
        raise RdbError("Bad data format: the collection is empty", len(payload) - _FOOTER_BYTES)
    return value


def _unframed(payload: bytes, max_version_redis: int, max_version_valkey: int) -> tuple[Cursor, Dialect]:
    """What a payload holds before its version and checksum, which are right, and whose it is."""
    size = len(payload) - _FOOTER_BYTES
    if size < 0:
        raise RdbError(REFUSED, 0)
    version = int.from_bytes(payload[size : size + 2], "little")
    is_valkey = opcodes.VALKEY_MIN_VERSION <= version <= max_version_valkey
    if not is_valkey and not version <= max_version_redis:
        raise RdbError(REFUSED, size)
    if int.from_bytes(payload[size + 2 :], "little") != crc64(payload[: size + 2]):
        raise RdbError(REFUSED, size + 2)
    return Cursor(payload[:size]), "valkey" if is_valkey else "redis"


def dump_functions(sources: Sequence[bytes]) -> bytes:
    """The payload of function libraries (FUNCTION DUMP), which Redis 7.0 and all later servers restore."""
    parts = [bytes((opcodes.FUNCTION,)) + write_string(source, True) for source in sources]
    payload = b"".join(parts) + opcodes.WITH_FUNCTIONS.to_bytes(2, "little")
    return payload + crc64(payload).to_bytes(8, "little")


def restore_functions(payload: bytes) -> list[bytes]:
    """The sources of the libraries in a payload of FUNCTION DUMP.

    Raises:
        RdbError: `reason` is `REFUSED` if version or checksum are wrong, else it says what is no library.
    """
    cursor, _ = _unframed(payload, opcodes.REDIS_MAX_VERSION, opcodes.VALKEY_MAX_VERSION)
    sources = []
    try:
        while cursor.position < len(cursor.buffer):
            kind = cursor.byte()
            if kind == opcodes.FUNCTION_PRE_RELEASE:
                raise RdbError("Pre-GA function format not supported", 0)
            if kind != opcodes.FUNCTION:
                raise RdbError("given type is not a function", 0)
            sources.append(cursor.string())
    except NeedMore:
        raise RdbError("Failed loading library code", 0) from None
    return sources


def _read_value(cursor: Cursor, dialect: Dialect) -> Value | None:
    type_number = cursor.byte()
    if type_number not in opcodes.KNOWN_TYPES[dialect]:
        raise RdbError(f"Bad data format: unknown type {type_number}", 0)
    if type_number == opcodes.STRING:
        return cursor.string()
    if is_packed(type_number, dialect):
        return read_packed(type_number, cursor)
    return start_builder(type_number, dialect, cursor).run(cursor)
