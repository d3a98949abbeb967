"""Lists, sets, sorted sets, hashes and module values, as the RDB spells each out.

A plain collection arrives element by element: a builder keeps what it has when bytes run out, so a huge collection
is never parsed twice and never waits for its last byte. A packed one (ziplist, listpack, intset, zipmap) is a single
string and is decoded at once. Both refuse duplicates; both answer None for an empty collection, which no keyspace
may hold: Redis skips such a key in a file and refuses it in RESTORE.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from math import isnan
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.numbers import parse_float, parse_integer
from txrepl.keyspace.values import HashValue, ListValue, ModuleValue, SetValue, SortedSetValue, Value
from txrepl.rdb import opcodes
from txrepl.rdb.compact import decode_intset, decode_listpack, decode_ziplist, decode_zipmap
from txrepl.rdb.opcodes import Dialect
from txrepl.rdb.primitives import Cursor
from txrepl.rdb.streams import StreamBuilder

MAX_DEADLINE_MS: Final = (1 << 48) - 1
"""The latest field deadline of Redis 7.4 (`EB_EXPIRE_TIME_MAX`)."""


class Builder(ABC):
    """A value on its way in."""

    __slots__ = ()

    @abstractmethod
    def run(self, cursor: Cursor) -> Value | None:
        """Read to the value's end, committing element by element; None if the collection is empty.

        Raises:
            NeedMore: bytes are missing; call again when there are more.
            RdbError: the value is corrupt.
        """


class _ListBuilder(Builder):
    __slots__ = ("_count", "_items")

    def __init__(self, count: int) -> None:
        self._count = count
        self._items: deque[bytes] = deque()

    def run(self, cursor: Cursor) -> Value | None:
        items = self._items
        count = self._count
        while len(items) < count:
            items.append(cursor.string())
            cursor.committed = cursor.position
        return ListValue(items) if items else None


class _QuicklistBuilder(Builder):
    __slots__ = ("_items", "_left", "_tagged")

    def __init__(self, nodes: int, tagged: bool) -> None:
        self._left = nodes
        self._tagged = tagged
        self._items: deque[bytes] = deque()

    def run(self, cursor: Cursor) -> Value | None:
        while self._left:
            self._read_node(cursor)
            self._left -= 1
            cursor.commit()
        return ListValue(self._items) if self._items else None

    def _read_node(self, cursor: Cursor) -> None:
        container = cursor.length() if self._tagged else opcodes.QUICKLIST_PACKED
        at = cursor.base + cursor.position
        node = cursor.string()
        if not self._tagged:
            self._items.extend(decode_ziplist(node, at))
        elif container == opcodes.QUICKLIST_PACKED:
            self._items.extend(decode_listpack(node, at))
        elif container == opcodes.QUICKLIST_PLAIN:
            self._items.append(node)
        else:
            raise RdbError("Quicklist integrity check failed", at)


class _SetBuilder(Builder):
    __slots__ = ("_count", "_members")

    def __init__(self, count: int) -> None:
        self._count = count
        self._members: set[bytes] = set()

    def run(self, cursor: Cursor) -> Value | None:
        members = self._members
        count = self._count
        while len(members) < count:
            member = cursor.string()
            if member in members:
                raise cursor.error("Duplicate set members detected")
            members.add(member)
            cursor.committed = cursor.position
        return SetValue(members) if members else None


class _SortedSetBuilder(Builder):
    __slots__ = ("_count", "_scores", "_text")

    def __init__(self, count: int, text: bool) -> None:
        self._count = count
        self._text = text
        self._scores: dict[bytes, float] = {}

    def run(self, cursor: Cursor) -> Value | None:
        scores = self._scores
        count = self._count
        while len(scores) < count:
            member = cursor.string()
            score = cursor.text_double() if self._text else cursor.double()
            if isnan(score):
                raise cursor.error("Zset with NAN score detected")
            if member in scores:
                raise cursor.error("Duplicate zset fields detected")
            scores[member] = score
            cursor.committed = cursor.position
        return SortedSetValue(scores) if scores else None


class _HashBuilder(Builder):
    __slots__ = ("_count", "_fields")

    def __init__(self, count: int) -> None:
        self._count = count
        self._fields: dict[bytes, bytes] = {}

    def run(self, cursor: Cursor) -> Value | None:
        fields = self._fields
        count = self._count
        while len(fields) < count:
            field = cursor.string()
            value = cursor.string()
            if field in fields:
                raise cursor.error("Duplicate hash fields detected")
            fields[field] = value
            cursor.committed = cursor.position
        return HashValue(fields) if fields else None


_VALKEY_FORM: Final = 0
_RELATIVE_FORM: Final = 1
_ABSOLUTE_FORM: Final = 2


class _DeadlineHashBuilder(Builder):
    """A hash whose fields carry deadlines, in one of three forms.

    Valkey: field, value, int64 ms (-1 none). Redis: deadline, field, value, where the deadline is 0 for none, else
    relative to the hash's earliest (7.4) or absolute (its release candidates).
    """

    __slots__ = ("_deadlines", "_earliest", "_fields", "_form", "_left")

    def __init__(self, count: int, form: int, earliest: int) -> None:
        self._left = count
        self._form = form
        self._earliest = earliest
        self._fields: dict[bytes, bytes] = {}
        self._deadlines: dict[bytes, int] = {}

    def run(self, cursor: Cursor) -> Value | None:
        while self._left:
            self._read_field(cursor)
            self._left -= 1
            cursor.commit()
        return HashValue(self._fields, self._deadlines or None) if self._fields else None

    def _read_field(self, cursor: Cursor) -> None:
        if self._form == _VALKEY_FORM:
            field = cursor.string()
            value = cursor.string()
            deadline = cursor.signed64()
            if deadline < -1:
                raise cursor.error("Hash field deadline is out of range")
        else:
            ttl = cursor.length()
            field = cursor.string()
            value = cursor.string()
            deadline = -1
            if ttl:
                deadline = ttl + self._earliest - 1 if self._form == _RELATIVE_FORM else ttl
                if deadline > MAX_DEADLINE_MS:
                    raise cursor.error("Hash field deadline is out of range")
        if field in self._fields:
            raise cursor.error("Duplicate hash fields detected")
        self._fields[field] = value
        if deadline != -1:
            self._deadlines[field] = deadline


class _ModuleBuilder(Builder):
    """A module's value: its opcodes are walked to find the end, and kept as they are."""

    __slots__ = ("_module_id", "_pieces")

    def __init__(self, module_id: int) -> None:
        self._module_id = module_id
        self._pieces: list[bytes] = []

    def run(self, cursor: Cursor) -> Value | None:
        while True:
            start = cursor.position
            more = skip_module_item(cursor)
            self._pieces.append(cursor.buffer[start : cursor.position])
            cursor.commit()
            if not more:
                return ModuleValue(self._module_id, b"".join(self._pieces))


class _StreamReader(Builder):
    __slots__ = ("_builder",)

    def __init__(self, builder: StreamBuilder) -> None:
        self._builder = builder

    def run(self, cursor: Cursor) -> Value | None:
        return self._builder.run(cursor)


def skip_module_item(cursor: Cursor) -> bool:
    """Step over one item of a module's data; False when it was the end mark."""
    kind = cursor.length()
    if kind == opcodes.MODULE_EOF:
        return False
    if kind in (opcodes.MODULE_SIGNED, opcodes.MODULE_UNSIGNED):
        cursor.length()
    elif kind == opcodes.MODULE_FLOAT:
        cursor.take(4)
    elif kind == opcodes.MODULE_DOUBLE:
        cursor.take(8)
    elif kind == opcodes.MODULE_STRING:
        cursor.string()
    else:
        raise cursor.error(f"Unknown module data opcode {kind}")
    return True


def start_builder(type_number: int, dialect: Dialect, cursor: Cursor) -> Builder:
    """Read the head of a value that comes element by element.

    Parameters:
        type_number: one of the dialect's known types that is neither a string nor packed.
    """
    if type_number == opcodes.LIST:
        return _ListBuilder(cursor.length())
    if type_number == opcodes.SET:
        return _SetBuilder(cursor.length())
    if type_number in (opcodes.ZSET, opcodes.ZSET_TEXT):
        return _SortedSetBuilder(cursor.length(), type_number == opcodes.ZSET_TEXT)
    if type_number == opcodes.HASH:
        return _HashBuilder(cursor.length())
    if type_number in (opcodes.LIST_QUICKLIST, opcodes.LIST_QUICKLIST_2):
        return _QuicklistBuilder(cursor.length(), type_number == opcodes.LIST_QUICKLIST_2)
    if type_number in (opcodes.STREAM, opcodes.STREAM_2, opcodes.STREAM_3):
        return _StreamReader(StreamBuilder(type_number, cursor.length()))
    if type_number == opcodes.MODULE:
        return _ModuleBuilder(cursor.length())
    if dialect == "valkey":
        return _DeadlineHashBuilder(cursor.length(), _VALKEY_FORM, 0)
    if type_number == opcodes.HASH_DEADLINES_PRE_RELEASE:
        return _DeadlineHashBuilder(cursor.length(), _ABSOLUTE_FORM, 0)
    earliest = _earliest_deadline(cursor)
    return _DeadlineHashBuilder(cursor.length(), _RELATIVE_FORM, earliest)


def _earliest_deadline(cursor: Cursor) -> int:
    earliest = cursor.signed64()
    if not 0 <= earliest <= MAX_DEADLINE_MS + 1:
        raise cursor.error("Hash has an earliest deadline that is out of range")
    return earliest


# -- packed collections ----------------------------------------------------------------------------------------------


def is_packed(type_number: int, dialect: Dialect) -> bool:
    """Whether the type's whole value is one packed string."""
    return type_number in _PACKED or (
        dialect == "redis"
        and type_number in (opcodes.HASH_LISTPACK_DEADLINES, opcodes.HASH_LISTPACK_DEADLINES_PRE_RELEASE)
    )


def read_packed(type_number: int, cursor: Cursor) -> Value | None:
    """Read a collection of a type for which `is_packed` is true; None if it is empty."""
    if type_number == opcodes.HASH_LISTPACK_DEADLINES:
        _earliest_deadline(cursor)
    at = cursor.base + cursor.position
    pack = cursor.string()
    found = _PACKED.get(type_number)
    if found is None:
        return _deadline_hash(decode_listpack(pack, at), at)
    decode, make = found
    elements = decode(pack, at)
    return make(elements, at) if elements else None


def _list(elements: list[bytes], position: int) -> Value:
    return ListValue(deque(elements))


def _set(elements: list[bytes], position: int) -> Value:
    members = set(elements)
    if len(members) != len(elements):
        raise RdbError("Duplicate set members detected", position)
    return SetValue(members)


def _hash(elements: list[bytes], position: int) -> Value:
    if len(elements) & 1:
        raise RdbError("Hash has a field without a value", position)
    fields = dict(zip(elements[::2], elements[1::2], strict=True))
    if len(fields) * 2 != len(elements):
        raise RdbError("Duplicate hash fields detected", position)
    return HashValue(fields)


def _sorted_set(elements: list[bytes], position: int) -> Value:
    if len(elements) & 1:
        raise RdbError("Sorted set has a member without a score", position)
    scores: dict[bytes, float] = {}
    for at in range(0, len(elements), 2):
        score = parse_float(elements[at + 1])
        if score is None:
            raise RdbError("A sorted set's score is not a number", position)
        scores[elements[at]] = score
    if len(scores) * 2 != len(elements):
        raise RdbError("Duplicate zset fields detected", position)
    return SortedSetValue(scores)


def _deadline_hash(elements: list[bytes], position: int) -> Value | None:
    """A hash from triples of field, value and deadline (absolute ms, 0 for none)."""
    if len(elements) % 3:
        raise RdbError("Hash has a field without a value or deadline", position)
    fields: dict[bytes, bytes] = {}
    deadlines: dict[bytes, int] = {}
    for at in range(0, len(elements), 3):
        field = elements[at]
        deadline = parse_integer(elements[at + 2])
        if deadline is None or not 0 <= deadline <= MAX_DEADLINE_MS:
            raise RdbError("Hash field deadline is out of range", position)
        if field in fields:
            raise RdbError("Duplicate hash fields detected", position)
        fields[field] = elements[at + 1]
        if deadline:
            deadlines[field] = deadline
    return HashValue(fields, deadlines or None) if fields else None


_Decode = Callable[[bytes, int], list[bytes]]
_Make = Callable[[list[bytes], int], Value]

_PACKED: Final[dict[int, tuple[_Decode, _Make]]] = {
    opcodes.HASH_ZIPMAP: (decode_zipmap, _hash),
    opcodes.LIST_ZIPLIST: (decode_ziplist, _list),
    opcodes.SET_INTSET: (decode_intset, _set),
    opcodes.ZSET_ZIPLIST: (decode_ziplist, _sorted_set),
    opcodes.HASH_ZIPLIST: (decode_ziplist, _hash),
    opcodes.HASH_LISTPACK: (decode_listpack, _hash),
    opcodes.ZSET_LISTPACK: (decode_listpack, _sorted_set),
    opcodes.SET_LISTPACK: (decode_listpack, _set),
}
