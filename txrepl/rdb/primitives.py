"""Lengths, strings, numbers and LZF: the atoms of the format.

Reading goes through a `Cursor`: it never reads past its buffer, it raises `NeedMore` where more bytes must come
first, and an `RdbError` where they cannot help. What was read for good is committed; after `NeedMore` reading
starts over at the last commit. Writing is functions from a value to bytes.
"""

from __future__ import annotations

import struct
from math import isnan
from typing import Final

import anycrc
import lzf

from txrepl.errors import RdbError

MAX_STRING_BYTES: Final = 4 << 30
"""The longest string that is believed; a longer one is a corrupt length, not data."""

LZF_MAX_RATIO: Final = 132
"""No LZF input byte yields more (3 bytes make 264 at most); a larger claim is refused before it is allocated."""

_CRC64 = anycrc.Model("CRC64-REDIS")
_DOUBLE: Final = struct.Struct("<d")


class NeedMore(Exception):  # noqa: N818  (it is no error: it is answered with more bytes)
    """The buffer ends too early.

    Parameters:
        stop: how many bytes of the buffer must be there before another try can get further.
    """

    def __init__(self, stop: int) -> None:
        super().__init__(stop)
        self.stop = stop


def crc64(data: bytes, crc: int = 0) -> int:
    """The CRC-64 (Jones) of RDB files, going on from `crc`."""
    return int(_CRC64.calc(data, crc))


class Cursor:
    """A place in a buffer of RDB bytes.

    Attributes:
        buffer: the bytes at hand.
        end: their number.
        position: the next byte to read, as an index into `buffer`.
        committed: everything before this index was read for good.
        base: offset in the file of the buffer's first byte.
    """

    __slots__ = ("base", "buffer", "committed", "end", "max_string_bytes", "position")

    def __init__(self, buffer: bytes, base: int = 0, max_string_bytes: int = MAX_STRING_BYTES) -> None:
        self.buffer = buffer
        self.end = len(buffer)
        self.position = 0
        self.committed = 0
        self.base = base
        self.max_string_bytes = max_string_bytes

    def commit(self) -> None:
        """What was read up to here need not be read again."""
        self.committed = self.position

    def error(self, reason: str) -> RdbError:
        """An error at the present position, to be raised by the caller."""
        return RdbError(reason, self.base + self.position)

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self.position
        stop = start + count
        if stop > self.end:
            raise NeedMore(stop)
        self.position = stop
        return self.buffer[start:stop]

    def byte(self) -> int:
        """The next byte."""
        position = self.position
        if position >= self.end:
            raise NeedMore(position + 1)
        self.position = position + 1
        return self.buffer[position]

    def length(self) -> int:
        """A length (`rdbLoadLen`): 6, 14, 32 or 64 bits, unsigned."""
        first = self.byte()
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first == 0x80:
            return int.from_bytes(self.take(4), "big")
        if first == 0x81:
            return int.from_bytes(self.take(8), "big")
        self.position -= 1
        raise self.error(f"Unknown length encoding {first:#04x}")

    def string(self) -> bytes:
        """A string (`rdbGenericLoadStringObject`): plain, integer or LZF."""
        position = self.position
        if position >= self.end:
            raise NeedMore(position + 1)
        first = self.buffer[position]
        if first < 0x40:
            start = position + 1
            stop = start + first
            if stop > self.end:
                raise NeedMore(stop)
            self.position = stop
            return self.buffer[start:stop]
        if first < 0xC0:
            count = self.length()
            if count > self.max_string_bytes:
                self.position = position
                raise self.error(f"String of {count} bytes is longer than the {self.max_string_bytes} allowed")
            return self.take(count)
        return self._encoded_string()

    def _encoded_string(self) -> bytes:
        encoding = self.byte()
        if encoding == 0xC0:
            return b"%d" % int.from_bytes(self.take(1), "little", signed=True)
        if encoding == 0xC1:
            return b"%d" % int.from_bytes(self.take(2), "little", signed=True)
        if encoding == 0xC2:
            return b"%d" % int.from_bytes(self.take(4), "little", signed=True)
        if encoding == 0xC3:
            packed_bytes = self.length()
            count = self.length()
            if packed_bytes > self.max_string_bytes or count > self.max_string_bytes:
                raise self.error(f"Compressed string of {packed_bytes} to {count} bytes is longer than allowed")
            return unpack_lzf(self.take(packed_bytes), count, self.base + self.position)
        self.position -= 1
        raise self.error(f"Unknown RDB string encoding type {encoding & 0x3F}")

    def double(self) -> float:
        """A binary double, little-endian."""
        return float(_DOUBLE.unpack(self.take(8))[0])

    def text_double(self) -> float:
        """A double of the old text form (`rdbLoadDoubleValue`); NaN where the file says so."""
        count = self.byte()
        if count == 255:
            return float("-inf")
        if count == 254:
            return float("inf")
        if count == 253:
            return float("nan")
        text = self.take(count)
        try:
            if b"_" in text:
                raise ValueError
            return float(text)
        except ValueError:
            raise self.error("A sorted set's score is not a number") from None

    def signed64(self) -> int:
        """A signed 64-bit integer, little-endian: how times in ms are kept."""
        return int.from_bytes(self.take(8), "little", signed=True)


def unpack_lzf(packed: bytes, count: int, position: int) -> bytes:
    """The `count` bytes that `packed` was made from.

    Raises:
        RdbError: it is no LZF, or makes another number of bytes; `position` is where to say it was found.
    """
    if 0 < count <= len(packed) * LZF_MAX_RATIO:
        try:
            unpacked = lzf.decompress(packed, count)
        except (ValueError, MemoryError):
            unpacked = None
        if unpacked is not None and len(unpacked) == count:
            return bytes(unpacked)
    raise RdbError("Invalid LZF compressed string", position)


# -- writing ---------------------------------------------------------------------------------------------------------

SHORT_LENGTHS: Final[tuple[bytes, ...]] = tuple(bytes((n,)) for n in range(64))
_INT8_STRINGS: Final[dict[bytes, bytes]] = {b"%d" % n: struct.pack("<Bb", 0xC0, n) for n in range(-128, 128)}
_LZF_FROM_BYTES: Final = 20
_LZF_UP_TO_BYTES: Final = 1 << 30


def write_length(value: int) -> bytes:
    """A length in its shortest form (`rdbSaveLen`); 0 to 2**64 - 1."""
    if value < 64:
        return SHORT_LENGTHS[value]
    if value < 16384:
        return (0x4000 | value).to_bytes(2, "big")
    if value < 1 << 32:
        return b"\x80" + value.to_bytes(4, "big")
    return b"\x81" + value.to_bytes(8, "big")


def write_integer_string(text: bytes) -> bytes | None:
    """The integer form of a string of at most 11 bytes that spells a 32-bit integer canonically, else None."""
    found = _INT8_STRINGS.get(text)
    if found is not None:
        return found
    try:
        value = int(text)
    except ValueError:
        return None
    if b"%d" % value != text:
        return None
    if -0x8000 <= value < 0x8000:
        return b"\xc1" + value.to_bytes(2, "little", signed=True)
    if -0x80000000 <= value < 0x80000000:
        return b"\xc2" + value.to_bytes(4, "little", signed=True)
    return None


def write_string(text: bytes, compress: bool) -> bytes:
    """A string in the form that Redis gives it (`rdbSaveRawString`): integer, LZF if it gets smaller, or plain."""
    count = len(text)
    if count <= _LZF_FROM_BYTES:
        if 0 < count <= 11 and text[0] < 0x3A:
            integer = write_integer_string(text)
            if integer is not None:
                return integer
        return SHORT_LENGTHS[count] + text
    if compress and count <= _LZF_UP_TO_BYTES:
        packed = lzf.compress(text, count - 4)
        if packed is not None:
            return b"\xc3" + write_length(len(packed)) + write_length(count) + bytes(packed)
    return write_length(count) + text


def write_double(value: float) -> bytes:
    """A binary double, little-endian; NaN is refused, as no sorted set can hold it."""
    if isnan(value):
        raise RdbError("Zset with NAN score detected", 0)
    return _DOUBLE.pack(value)


def write_signed64(value: int) -> bytes:
    """A signed 64-bit integer, little-endian."""
    return value.to_bytes(8, "little", signed=True)
