"""Strings as arrays of bits: bit 0 is the highest bit of the first byte. Follows bitops.c of Redis 7.2.

Whole strings are read as one big integer, so that counting and combining run at the speed of Python's integers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_, xor
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.strings import MAX_STRING_BYTES
from txrepl.commands.table import Family, KeySpec, key_at, keys_from
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Database, Event
from txrepl.keyspace.numbers import parse_integer
from txrepl.keyspace.values import changed_in_place
from txrepl.resp.replies import Reply

family = Family("bitmap")

_BAD_OFFSET: Final = "ERR bit offset is not an integer or out of range"
_BAD_TYPE: Final = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."


def _bit_offset(text: bytes, width: int = 0) -> int:
    """An offset in bits; `#n` means n times `width`, where a width is given (`getBitOffsetFromArgument`).

    Raises:
        CommandError: no integer, or beyond the longest string.
    """
    counted = bool(width) and text.startswith(b"#")
    offset = parse_integer(text[1:] if counted else text)
    if offset is None:
        raise CommandError(_BAD_OFFSET)
    if counted:
        offset *= width
    if not 0 <= offset >> 3 < MAX_STRING_BYTES:
        raise CommandError(_BAD_OFFSET)
    return offset


# -- single bits ------------------------------------------------------------------------------------------------


@family.command(
    "setbit",
    4,
    "write denyoom",
    key_at(1, "RW ACCESS UPDATE"),
    since="2.2.0",
    summary="Sets or clears a bit of a string and gives its old value.",
)
def setbit(s: Session, argv: list[bytes]) -> Reply:
    """SETBIT key offset value; only a change counts as one."""
    db, key = s.db, argv[1]
    offset = _bit_offset(argv[2])
    if argv[3] not in (b"0", b"1"):
        raise CommandError("ERR bit is not an integer or out of range")
    value = db.write_string(key)
    place, mask = offset >> 3, 0x80 >> (offset & 7)
    old = 1 if value is not None and place < len(value) and value[place] & mask else 0
    if value is None or place >= len(value) or old != (argv[3] == b"1"):
        data = bytearray((value or b"").ljust(place + 1, b"\0"))
        data[place] = data[place] | mask if argv[3] == b"1" else data[place] & ~mask
        db.put(key, changed_in_place(data))
        db.changed(key, Event.STRING, b"setbit")
    else:
        _make_raw(db, key, value)
    return old


def _make_raw(db: Database, key: bytes, value: bytes | None) -> None:
    """The string was opened for writing and not changed: only its encoding is another one then."""
    if value is not None:
        db.data[key] = changed_in_place(value)


@family.command(
    "getbit",
    3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.2.0",
    summary="Gives a bit of a string.",
)
def getbit(s: Session, argv: list[bytes]) -> Reply:
    """GETBIT key offset."""
    offset = _bit_offset(argv[2])
    value = s.db.read_string(argv[1])
    place = offset >> 3
    return 1 if value is not None and place < len(value) and value[place] & 0x80 >> (offset & 7) else 0


# -- ranges -----------------------------------------------------------------------------------------------------


class _Range:
    """The optional `start [end [BIT | BYTE]]` of BITCOUNT and BITPOS."""

    __slots__ = ("by_bit", "end", "start")

    def __init__(self, words: list[bytes]) -> None:
        self.start = integer(words[0])
        self.by_bit = False
        if len(words) == 3:
            unit = words[2].lower()
            if unit not in (b"bit", b"byte"):
                raise CommandError(SYNTAX)
            self.by_bit = unit == b"bit"
        self.end: int | None = integer(words[1]) if len(words) > 1 else None

    @property
    def is_reversed(self) -> bool:
        """Whether it ends before it begins, both counted from the end: empty to BITCOUNT, not to BITPOS."""
        return self.end is not None and self.end < self.start < 0

    def bits(self, value: bytes) -> tuple[int, int]:
        """First and last bit of the range in this value; last < first when it is empty."""
        size = len(value) * 8 if self.by_bit else len(value)
        start, end = self.start, size - 1 if self.end is None else self.end
        start = max(start + size, 0) if start < 0 else start
        end = min(max(end + size, 0) if end < 0 else end, size - 1)
        if start > end:
            return 0, -1
        return (start, end) if self.by_bit else (start * 8, end * 8 + 7)


@family.command(
    "bitcount",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.6.0",
    summary="Counts the bits that are set in a string.",
    complexity="O(N)",
)
def bitcount(s: Session, argv: list[bytes]) -> Reply:
    """BITCOUNT key [start end [BYTE | BIT]]; bad arguments are refused whether or not the key exists."""
    if len(argv) not in (2, 4, 5):
        raise CommandError(SYNTAX)
    span = _Range(argv[2:]) if len(argv) > 2 else None
    value = s.db.read_string(argv[1])
    if not value:
        return 0
    if span is None:
        return int.from_bytes(value, "big").bit_count()
    if span.is_reversed:
        return 0
    first, last = span.bits(value)
    if last < first:
        return 0
    return _bits_of(value, first, last).bit_count()


def _bits_of(value: bytes | bytearray, first: int, last: int) -> int:
    """Bits first..last as an integer, the last one lowest; bits past the end are 0."""
    part = value[first >> 3 : (last >> 3) + 1]
    number = int.from_bytes(part.ljust((last >> 3) - (first >> 3) + 1, b"\0"), "big")
    return number >> (7 - (last & 7)) & ((1 << (last - first + 1)) - 1)


@family.command(
    "bitpos",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.7",
    summary="Finds the first bit that is set, or clear, in a string.",
    complexity="O(N)",
)
def bitpos(s: Session, argv: list[bytes]) -> Reply:
    """BITPOS key bit [start [end [BYTE | BIT]]]; without an end a string goes on with zeros for ever."""
    bit = integer(argv[2])
    if bit not in (0, 1):
        raise CommandError("ERR The bit argument must be 1 or 0.")
    if len(argv) > 6:
        raise CommandError(SYNTAX)
    span = _Range(argv[3:]) if len(argv) > 3 else None
    value = s.db.read_string(argv[1])
    if value is None:
        return -1 if bit else 0
    first, last = (0, len(value) * 8 - 1) if span is None else span.bits(value)
    if last < first:
        return -1
    place = _first_bit(value, bit, first, last)
    if place < 0 and not bit and (span is None or span.end is None):
        return last + 1
    return place


def _first_bit(value: bytes, bit: int, first: int, last: int) -> int:
    """The first bit equal to `bit` among first..last, -1 if there is none."""
    dull = b"\x00" if bit else b"\xff"
    part = bytearray(value[first >> 3 : (last >> 3) + 1])
    head, tail = 0xFF >> (first & 7), 0xFF << (7 - (last & 7)) & 0xFF
    if bit:
        part[0] &= head
        part[-1] &= tail
    else:
        part[0] |= ~head & 0xFF
        part[-1] |= ~tail & 0xFF
    rest = part.lstrip(dull)
    if not rest:
        return -1
    byte = rest[0] if bit else ~rest[0] & 0xFF
    return (first & ~7) + (len(part) - len(rest)) * 8 + 8 - byte.bit_length()


# -- combining --------------------------------------------------------------------------------------------------

_OPERATIONS: Final[dict[bytes, Callable[[int, int], int]]] = {b"and": and_, b"or": or_, b"xor": xor}


def _in_one(numbers: list[int]) -> int:
    once = more = 0
    for number in numbers:
        more |= once & number
        once |= number
    return once & ~more


_COMBINATIONS: Final[dict[bytes, Callable[[list[int]], int]]] = {
    b"diff": lambda numbers: numbers[0] & ~reduce(or_, numbers[1:]),
    b"diff1": lambda numbers: reduce(or_, numbers[1:]) & ~numbers[0],
    b"andor": lambda numbers: numbers[0] & reduce(or_, numbers[1:]),
    b"one": _in_one,
}
"""Operations in which the first string, or how many have a bit, matters."""


@family.command(
    "bitop",
    -4,
    "write denyoom",
    key_at(2, "OW UPDATE"),
    keys_from(3, "RO ACCESS"),
    since="2.6.0",
    summary="Combines strings bit by bit and keeps the result in a key.",
    complexity="O(N)",
)
def bitop(s: Session, argv: list[bytes]) -> Reply:
    """BITOP operation destkey key [key …]; absent keys and missing ends are zeros.

    Operations are AND, OR, XOR and NOT, and those of Redis 8.2: DIFF, DIFF1, ANDOR, ONE.
    """
    operation = argv[1].lower()
    if operation != b"not" and operation not in _OPERATIONS and operation not in _COMBINATIONS:
        raise CommandError(SYNTAX)
    if operation == b"not" and len(argv) != 4:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    if operation in (b"diff", b"diff1", b"andor") and len(argv) < 5:
        raise CommandError(b"ERR BITOP %b must be called with at least two source keys." % operation.upper())
    db, target = s.db, argv[2]
    strings = [db.read_string(key) or b"" for key in argv[3:]]
    size = max(map(len, strings))
    if not size:
        if db.remove(target):
            db.changed(target, Event.GENERIC, b"del")
        return 0
    numbers = [int.from_bytes(string, "little") for string in strings]
    if operation == b"not":
        result = numbers[0] ^ ((1 << size * 8) - 1)
    elif operation in _COMBINATIONS:
        result = _COMBINATIONS[operation](numbers)
    else:
        result = reduce(_OPERATIONS[operation], numbers)
    if db.expires:
        db.write(target)
        db.persist(target)
    db.put(target, changed_in_place(result.to_bytes(size, "little")))
    db.changed(target, Event.STRING, b"set")
    return size


# -- bit fields -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _FieldStep:
    """One subcommand of BITFIELD.

    Attributes:
        operation: `get`, `set` or `incrby`.
        signed: whether the field is two's complement.
        width: its bits.
        offset: its first bit.
        operand: the value to set or to add.
        overflow: `wrap`, `sat` or `fail`.
    """

    operation: bytes
    signed: bool
    width: int
    offset: int
    operand: int
    overflow: bytes

    def bounded(self, number: int) -> int | None:
        """The number as the field can hold it; None where `fail` forbids what does not fit."""
        low = -(1 << (self.width - 1)) if self.signed else 0
        high = (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1
        if low <= number <= high:
            return number
        if self.overflow == b"fail":
            return None
        if self.overflow == b"sat":
            return high if number > high else low
        wrapped = number & ((1 << self.width) - 1)
        return wrapped - (1 << self.width) if wrapped > high else wrapped

    def read(self, data: bytes | bytearray) -> int:
        """The field's value."""
        number = _bits_of(data, self.offset, self.offset + self.width - 1)
        return number - (1 << self.width) if self.signed and number >> (self.width - 1) else number

    def write(self, data: bytearray, number: int) -> None:
        """Put the value into the field; `data` is long enough."""
        last = self.offset + self.width - 1
        start, stop = self.offset >> 3, (last >> 3) + 1
        shift = 7 - (last & 7)
        mask = (1 << self.width) - 1
        old = int.from_bytes(data[start:stop], "big")
        new = old & ~(mask << shift) | (number & mask) << shift
        data[start:stop] = new.to_bytes(stop - start, "big")


def _field_type(text: bytes) -> tuple[bool, int]:
    width = parse_integer(text[1:])
    if text[:1] not in (b"i", b"u") or width is None or not 1 <= width <= (64 if text[:1] == b"i" else 63):
        raise CommandError(_BAD_TYPE)
    return text[:1] == b"i", width


def _as_limits_see_it(number: int, signed: bool, width: int) -> int:
    """A number to set, as Redis compares it with the field's limits.

    A negative one is huge to an unsigned field, and so is to a signed one what is so far below its greatest value
    that the difference overflows (`checkUnsignedBitfieldOverflow`, `checkSignedBitfieldOverflow`).
    """
    if signed and width == 64:
        return number
    least = (1 << (width - 1)) - (1 << 63) if signed else 0
    return number if number >= least else number + (1 << 64)


def _field_steps(argv: list[bytes]) -> list[_FieldStep]:
    """BITFIELD's subcommands.

    Raises:
        CommandError: as Redis words it.
    """
    steps: list[_FieldStep] = []
    overflow = b"wrap"
    i = 2
    while i < len(argv):
        operation, left = argv[i].lower(), len(argv) - i - 1
        if operation == b"overflow" and left >= 1:
            overflow = argv[i + 1].lower()
            if overflow not in (b"wrap", b"sat", b"fail"):
                raise CommandError("ERR Invalid OVERFLOW type specified")
            i += 2
            continue
        reads = operation == b"get"
        if not ((reads and left >= 2) or (operation in (b"set", b"incrby") and left >= 3)):
            raise CommandError(SYNTAX)
        signed, width = _field_type(argv[i + 1])
        offset = _bit_offset(argv[i + 2], width)
        operand = 0 if reads else integer(argv[i + 3])
        if operation == b"set":
            operand = _as_limits_see_it(operand, signed, width)
        steps.append(_FieldStep(operation, signed, width, offset, operand, overflow))
        i += 3 if reads else 4
    return steps


def _bitfield_key_flags(argv: list[bytes]) -> str:
    """What happens to the key of a BITFIELD; wrong options count as writing (`bitfieldGetKeys`)."""
    at = 2
    while at < len(argv):
        option, left = argv[at].lower(), len(argv) - at - 1
        if option == b"get" and left >= 2:
            at += 3
        elif option == b"overflow" and left >= 1:
            at += 2
        else:
            return "RW ACCESS UPDATE"
    return "RO ACCESS"


@family.command(
    "bitfield",
    -2,
    "write denyoom",
    KeySpec(
        "RW ACCESS UPDATE VARIABLE_FLAGS",
        1,
        note="This command allows both access and modification of the key",
        varies=_bitfield_key_flags,
    ),
    since="3.2.0",
    summary="Reads and changes integers of any width inside a string.",
    complexity="O(1) for each subcommand.",
)
def bitfield(s: Session, argv: list[bytes]) -> Reply:
    """BITFIELD key [GET type offset | [OVERFLOW WRAP | SAT | FAIL] SET type offset value | INCRBY …]…

    A string that would only grow because every subcommand overflowed under FAIL stays as it is: replicas would
    never learn of it.
    """
    steps = _field_steps(argv)
    writes = [step for step in steps if step.operation != b"get"]
    db, key = s.db, argv[1]
    value = db.write_string(key) if writes else db.read_string(key)
    if not writes:
        return [step.read(value or b"") for step in steps]
    size = max(step.offset + step.width + 7 >> 3 for step in writes)
    data = bytearray((value or b"").ljust(size, b"\0"))
    grown = value is None or len(data) > len(value)
    changes = 0
    replies: list[Reply] = []
    for step in steps:
        old = step.read(data)
        if step.operation == b"get":
            replies.append(old)
            continue
        new = step.bounded(step.operand if step.operation == b"set" else old + step.operand)
        if new is None:
            replies.append(None)
            continue
        step.write(data, new)
        changes += grown or new != old
        replies.append(old if step.operation == b"set" else new)
    if changes:
        db.put(key, changed_in_place(data))
        db.changed(key, Event.STRING, b"setbit", changes)
    else:
        _make_raw(db, key, value)
    return replies


@family.command(
    "bitfield_ro",
    -2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="6.0.0",
    summary="Reads integers of any width inside a string.",
    complexity="O(1) for each subcommand.",
)
def bitfield_ro(s: Session, argv: list[bytes]) -> Reply:
    """BITFIELD_RO key [GET type offset …]."""
    steps = _field_steps(argv)
    if any(step.operation != b"get" for step in steps):
        raise CommandError("ERR BITFIELD_RO only supports the GET subcommand")
    value = s.db.read_string(argv[1]) or b""
    return [step.read(value) for step in steps]
