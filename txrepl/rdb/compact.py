"""Ziplist, listpack, intset, zipmap: whole collections in one string.

Each decoder gets the string and answers its elements, all as bytes; each trusts nothing: every header, length and
back-length is checked against the string's end, and whatever is wrong is an `RdbError` at the position given.
Redis keeps integers in these packs as numbers; they come out as the text that a client would see.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.numbers import parse_integer

_UNKNOWN_COUNT: Final = 0xFFFF
_END: Final = 0xFF
_LISTPACK_HEADER: Final = 6
_ZIPLIST_HEADER: Final = 10


def _listpack_wide(pack: bytes, at: int) -> tuple[bytes, int]:
    """An element whose first byte is 0xF0 or more: the element and where its back-length begins."""
    first = pack[at]
    if first == 0xF0:
        start = at + 5
        stop = start + int.from_bytes(pack[at + 1 : start], "little")
        return pack[start:stop], stop
    if 0xF1 <= first <= 0xF4:
        stop = at + 1 + (2, 3, 4, 8)[first - 0xF1]
        return b"%d" % int.from_bytes(pack[at + 1 : stop], "little", signed=True), stop
    raise ValueError(f"unknown encoding {first:#04x}")


def back_length(size: int) -> bytes:
    """How a listpack writes an entry's size behind the entry, to be read backwards (`lpEncodeBacklen`)."""
    if size <= 127:
        return bytes((size,))
    groups = 2
    while groups < 5 and size >= (1 << (7 * groups)) - 1:
        groups += 1
    out = bytearray((size >> (7 * (groups - 1)),))
    for group in range(groups - 2, -1, -1):
        out.append((size >> (7 * group)) & 0x7F | 0x80)
    return bytes(out)


def decode_listpack(pack: bytes, position: int) -> list[bytes]:
    """The elements of a listpack.

    Raises:
        RdbError: the pack is not well-formed.
    """
    try:
        return _listpack(pack)
    except (ValueError, IndexError) as problem:
        raise RdbError(f"Listpack integrity check failed: {problem}", position) from None


def _listpack(pack: bytes) -> list[bytes]:
    end = len(pack) - 1
    if end < _LISTPACK_HEADER or int.from_bytes(pack[:4], "little") != end + 1 or pack[end] != _END:
        raise ValueError("size or end mark is wrong")
    elements: list[bytes] = []
    at = _LISTPACK_HEADER
    while at < end:
        first = pack[at]
        if first < 0x80:
            element = b"%d" % first
            stop = at + 1
        elif first < 0xC0:
            stop = at + 1 + (first & 0x3F)
            element = pack[at + 1 : stop]
        elif first < 0xE0:
            number = (first & 0x1F) << 8 | pack[at + 1]
            element = b"%d" % (number - 8192 if number > 4095 else number)
            stop = at + 2
        elif first < 0xF0:
            stop = at + 2 + ((first & 0x0F) << 8 | pack[at + 1])
            element = pack[at + 2 : stop]
        else:
            element, stop = _listpack_wide(pack, at)
        if stop >= end:
            raise ValueError("an entry reaches beyond the end")
        size = stop - at
        if size <= 127:
            if pack[stop] != size:
                raise ValueError("an entry's back-length is wrong")
            at = stop + 1
        else:
            tail = back_length(size)
            at = stop + len(tail)
            if pack[stop:at] != tail:
                raise ValueError("an entry's back-length is wrong")
        elements.append(element)
    count = int.from_bytes(pack[4:6], "little")
    if at != end or (count not in (_UNKNOWN_COUNT, len(elements))):
        raise ValueError("the number of entries is wrong")
    return elements


def encode_listpack(elements: Iterable[bytes]) -> bytes:
    """A listpack of the elements; those that spell an integer are kept as one, as Redis does."""
    body: list[bytes] = []
    count = 0
    for element in elements:
        entry = _listpack_entry(element)
        body.append(entry)
        body.append(back_length(len(entry)))
        count += 1
    packed = b"".join(body)
    return struct.pack("<IH", len(packed) + 7, min(count, _UNKNOWN_COUNT)) + packed + b"\xff"


def _listpack_entry(element: bytes) -> bytes:
    size = len(element)
    if 0 < size <= 20 and element[0] < 0x3A:
        number = parse_integer(element)
        if number is not None:
            return _listpack_integer(number)
    if size < 64:
        return bytes((0x80 | size,)) + element
    if size < 4096:
        return (0xE000 | size).to_bytes(2, "big") + element
    return b"\xf0" + size.to_bytes(4, "little") + element


def _listpack_integer(number: int) -> bytes:
    if 0 <= number <= 127:
        return bytes((number,))
    if -4096 <= number <= 4095:
        return (0xC000 | (number & 0x1FFF)).to_bytes(2, "big")
    for mark, size in ((b"\xf1", 2), (b"\xf2", 3), (b"\xf3", 4)):
        if -(1 << (8 * size - 1)) <= number < 1 << (8 * size - 1):
            return mark + number.to_bytes(size, "little", signed=True)
    return b"\xf4" + number.to_bytes(8, "little", signed=True)


def decode_ziplist(pack: bytes, position: int) -> list[bytes]:
    """The elements of a ziplist (Redis before 7.0).

    Raises:
        RdbError: the list is not well-formed.
    """
    try:
        return _ziplist(pack)
    except (ValueError, IndexError) as problem:
        raise RdbError(f"Ziplist integrity check failed: {problem}", position) from None


def _ziplist(pack: bytes) -> list[bytes]:
    end = len(pack) - 1
    if end < _ZIPLIST_HEADER or int.from_bytes(pack[:4], "little") != end + 1 or pack[end] != _END:
        raise ValueError("size or end mark is wrong")
    elements: list[bytes] = []
    at = _ZIPLIST_HEADER
    previous = last = at
    while at < end:
        start = at
        if pack[at] < 0xFE:
            previous_size = pack[at]
            at += 1
        else:
            previous_size = int.from_bytes(pack[at + 1 : at + 5], "little")
            at += 5
        if at >= end or previous_size != start - previous:
            raise ValueError("an entry's link to the one before is wrong")
        element, at = _ziplist_entry(pack, at)
        if at > end:
            raise ValueError("an entry reaches beyond the end")
        elements.append(element)
        previous = last = start
    count = int.from_bytes(pack[8:10], "little")
    if at != end or count not in (_UNKNOWN_COUNT, len(elements)):
        raise ValueError("the number of entries is wrong")
    if int.from_bytes(pack[4:8], "little") != last:
        raise ValueError("the link to the last entry is wrong")
    return elements


def encode_ziplist(elements: Iterable[bytes]) -> bytes:
    """A ziplist of the elements, each as a string, which every server since Redis 2.6 reads."""
    body: list[bytes] = []
    count = 0
    previous = 0
    size = _ZIPLIST_HEADER
    for element in elements:
        entry = bytes((previous,)) if previous < 0xFE else b"\xfe" + previous.to_bytes(4, "little")
        entry += _ziplist_length(len(element)) + element
        body.append(entry)
        previous = len(entry)
        size += previous
        count += 1
    header = struct.pack("<IIH", size + 1, size - previous, min(count, _UNKNOWN_COUNT))
    return header + b"".join(body) + b"\xff"


def _ziplist_length(size: int) -> bytes:
    if size < 0x40:
        return bytes((size,))
    if size < 0x4000:
        return (0x4000 | size).to_bytes(2, "big")
    return b"\x80" + size.to_bytes(4, "big")


_ZIPLIST_INTEGER_BYTES: Final[dict[int, int]] = {0xC0: 2, 0xD0: 4, 0xE0: 8, 0xF0: 3, 0xFE: 1}


def _ziplist_entry(pack: bytes, at: int) -> tuple[bytes, int]:
    """The element whose encoding begins at `at`, and where it ends."""
    first = pack[at]
    if first < 0x40:
        stop = at + 1 + first
        return pack[at + 1 : stop], stop
    if first < 0x80:
        stop = at + 2 + ((first & 0x3F) << 8 | pack[at + 1])
        return pack[at + 2 : stop], stop
    if first == 0x80:
        stop = at + 5 + int.from_bytes(pack[at + 1 : at + 5], "big")
        return pack[at + 5 : stop], stop
    size = _ZIPLIST_INTEGER_BYTES.get(first)
    if size is not None:
        stop = at + 1 + size
        return b"%d" % int.from_bytes(pack[at + 1 : stop], "little", signed=True), stop
    if 0xF1 <= first <= 0xFD:
        return b"%d" % ((first & 0x0F) - 1), at + 1
    raise ValueError(f"unknown encoding {first:#04x}")


def decode_intset(pack: bytes, position: int) -> list[bytes]:
    """The members of an intset, ascending.

    Raises:
        RdbError: the set is not well-formed.
    """
    code = {2: "h", 4: "i", 8: "q"}.get(int.from_bytes(pack[:4], "little"))
    count = int.from_bytes(pack[4:8], "little")
    if len(pack) < 8 or code is None or 8 + count * struct.calcsize("<" + code) != len(pack):
        raise RdbError("Intset integrity check failed: encoding or size is wrong", position)
    numbers: Sequence[int] = struct.unpack_from(f"<{count}{code}", pack, 8)
    if any(a >= b for a, b in pairwise(numbers)):
        raise RdbError("Intset integrity check failed: the members are not ascending", position)
    return [b"%d" % number for number in numbers]


def decode_zipmap(pack: bytes, position: int) -> list[bytes]:
    """Fields and values, alternating, of a zipmap (hashes of Redis before 2.6).

    Raises:
        RdbError: the map is not well-formed.
    """
    try:
        return _zipmap(pack)
    except (ValueError, IndexError) as problem:
        raise RdbError(f"Zipmap integrity check failed: {problem}", position) from None


def _zipmap(pack: bytes) -> list[bytes]:
    end = len(pack) - 1
    if end < 1 or pack[end] != _END:
        raise ValueError("end mark is missing")
    elements: list[bytes] = []
    at = 1
    while at < end:
        for is_value in (False, True):
            size = pack[at]
            at += 1
            if size == 254:
                size = int.from_bytes(pack[at : at + 4], "little")
                at += 4
            elif size == 255:
                raise ValueError("a field has no value")
            free = 0
            if is_value:
                free = pack[at]
                at += 1
            stop = at + size
            if stop + free > end:
                raise ValueError("an entry reaches beyond the end")
            elements.append(pack[at:stop])
            at = stop + free
    if pack[0] < 254 and pack[0] * 2 != len(elements):
        raise ValueError("the number of entries is wrong")
    return elements
