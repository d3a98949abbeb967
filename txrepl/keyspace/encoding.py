"""The names that OBJECT ENCODING gives, by the rules of Redis 7.2.

txrepl has one form for each type; what Redis would use for the same value follows from the value and the
directives in `Limits`; of strings also from how they came about, which `RawString` and `EmbeddedString` tell.
"""

from __future__ import annotations

from typing import Final

from txrepl.keyspace.database import Limits
from txrepl.keyspace.numbers import parse_integer
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import (
    EMBEDDED_BYTES,
    EmbeddedString,
    HashValue,
    ListValue,
    RawString,
    SetValue,
    SortedSetValue,
    Value,
    equip,
)

_SHARED_INTEGERS: Final = 10_000
_SHARED_REFERENCES: Final = 2**31 - 1
_LIST_SIZES: Final = {-1: 4096, -2: 8192, -3: 16384, -4: 32768, -5: 65536}
_SAFE_BYTES: Final = 8192
_LISTPACK_FRAME_BYTES: Final = 7
_LEAST_ENTRY_BYTES: Final = 2


def encoding_name(value: Value, limits: Limits) -> str:
    """What OBJECT ENCODING answers for the value."""
    if isinstance(value, bytes):
        if type(value) is RawString:
            return "raw"
        if type(value) is not EmbeddedString and len(value) <= 20 and parse_integer(value) is not None:
            return "int"
        return "embstr" if len(value) <= EMBEDDED_BYTES else "raw"
    if isinstance(value, ListValue):
        return "listpack" if _fits_listpack(value, limits.list_size) else "quicklist"
    if isinstance(value, HashValue):
        return "hashtable" if value.large else "listpack"
    if isinstance(value, SetValue):
        return _set_encoding(value, limits)
    if isinstance(value, SortedSetValue):
        return "skiplist" if value.large else "listpack"
    return "stream" if isinstance(value, StreamValue) else "raw"


def mark_large(value: Value, limits: Limits) -> None:
    """Give a collection that was made whole (RESTORE, a load) the size that `Limits` says it has, and its index."""
    if isinstance(value, HashValue):
        limit = limits.hash_value
        value.large = (
            value.deadlines is not None
            or len(value.fields) > limits.hash_entries
            or any(len(field) > limit or len(content) > limit for field, content in value.fields.items())
        )
    elif isinstance(value, SetValue):
        value.large = _is_large_set(value.members, limits)
    elif isinstance(value, SortedSetValue):
        limit = limits.zset_value
        value.large = len(value.scores) > limits.zset_entries or any(len(member) > limit for member in value.scores)
    equip(value)


def _is_large_set(members: set[bytes], limits: Limits) -> bool:
    if len(members) <= limits.set_intset_entries and all(parse_integer(member) is not None for member in members):
        return False
    return len(members) > limits.set_entries or any(len(member) > limits.set_value for member in members)


def _set_encoding(value: SetValue, limits: Limits) -> str:
    if value.large:
        return "hashtable"
    members = value.members
    if len(members) <= limits.set_intset_entries and all(parse_integer(member) is not None for member in members):
        return "intset"
    return "listpack"


def _fits_listpack(value: ListValue, fill: int) -> bool:
    """Whether a list is one listpack: by bytes for a negative list-max-listpack-size, else by elements."""
    limit = _LIST_SIZES.get(fill, _SAFE_BYTES if fill >= 0 else _LIST_SIZES[-5])
    if fill >= 0 and len(value.items) > max(fill, 1):
        return False
    if len(value.items) * _LEAST_ENTRY_BYTES > limit:
        return False
    size = _LISTPACK_FRAME_BYTES
    for item in value.items:
        size += listpack_entry_bytes(item)
        if size > limit:
            return False
    return True


def listpack_entry_bytes(item: bytes) -> int:
    """How many bytes an element takes in a listpack."""
    size = len(item)
    number = parse_integer(item) if size <= 20 else None
    if number is not None:
        body = _integer_bytes(number)
    elif size < 64:
        body = 1 + size
    else:
        body = (2 if size < 4096 else 5) + size
    back = 1
    while body >> 7 * back and back < 5:
        back += 1
    return body + back


def _integer_bytes(number: int) -> int:
    if 0 <= number <= 127:
        return 1
    for body, bits in ((2, 12), (3, 15), (4, 23), (5, 31)):
        if -(1 << bits) <= number < 1 << bits:
            return body
    return 9


def reference_count(value: Value) -> int:
    """What OBJECT REFCOUNT answers: small integers are shared objects in Redis."""
    if type(value) is bytes and len(value) <= 4:
        number = parse_integer(value)
        if number is not None and 0 <= number < _SHARED_INTEGERS:
            return _SHARED_REFERENCES
    return 1
