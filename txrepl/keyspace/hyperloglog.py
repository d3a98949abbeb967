"""HyperLogLogs as Redis keeps them: a string of a header and 16384 registers, sparse or dense, equal to the byte.

    string  = "HYLL" encoding 3*unused cardinality registers
    encoding: 0 dense, 1 sparse
    cardinality: the last estimate, 64 bits, lowest byte first; its highest bit says that it holds no more
    dense   = 12288 bytes, each register 6 bits, from the lowest bit of each byte up
    sparse  = (ZERO | XZERO | VAL)*         a register's run, all registers together
    ZERO    = 00xxxxxx                      x+1 registers of 0
    XZERO   = 01xxxxxx yyyyyyyy             xy+1 registers of 0
    VAL     = 1vvvvvxx                      x+1 registers of v+1

How a sparse string is split and joined depends on the order of additions, and replicas of Redis repeat them: so does
`HyperLogLog.set`, step by step. Follows hyperloglog.c of Redis 7.2, the estimator being Otmar Ertl's
("New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284).
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from itertools import accumulate
from math import inf, sqrt
from typing import Final

from txrepl.errors import CommandError
from txrepl.keyspace.numbers import INT64_MIN

REGISTERS: Final = 1 << 14

NOT_A_HYPERLOGLOG: Final = "WRONGTYPE Key is not a valid HyperLogLog string value."
CORRUPT: Final = "INVALIDOBJ Corrupted HLL object detected"

_MAGIC: Final = b"HYLL"
_HEADER_BYTES: Final = 16
_ENCODING_AT: Final = 4
_CARDINALITY_AT: Final = 8
_DENSE: Final = 0
_SPARSE: Final = 1
_STALE: Final = 1 << 63
_REGISTER_BITS: Final = 6
_REGISTER_MAX: Final = 63
_DENSE_BYTES: Final = _HEADER_BYTES + REGISTERS * _REGISTER_BITS // 8

_ZERO_LONGEST: Final = 64
_VAL: Final = 0x80
_VAL_LONGEST: Final = 4
_VAL_GREATEST: Final = 32

EMPTY: Final = _MAGIC + bytes([_SPARSE]) + bytes(11) + b"\x7f\xff"
"""What Redis creates: sparse, one XZERO over all registers."""

# -- hashing ----------------------------------------------------------------------------------------------------

_SEED: Final = 0xADC83B19
_MULTIPLIER: Final = 0xC6A4A7935BD1E995
_MASK: Final = (1 << 64) - 1
_SHIFT: Final = 47
_WORD: Final = struct.Struct("<Q")
_INDEX_BITS: Final = 14
_PATTERN_BITS: Final = 64 - _INDEX_BITS


def murmur_hash(data: bytes, seed: int = _SEED) -> int:
    """MurmurHash64A, which reads 8 bytes at a time, lowest first."""
    size = len(data)
    value = seed ^ (size * _MULTIPLIER & _MASK)
    whole = size >> 3
    for (word,) in _WORD.iter_unpack(memoryview(data)[: whole << 3]):
        word = word * _MULTIPLIER & _MASK
        word ^= word >> _SHIFT
        value = ((value ^ (word * _MULTIPLIER & _MASK)) * _MULTIPLIER) & _MASK
    if size & 7:
        value = ((value ^ int.from_bytes(data[whole << 3 :], "little")) * _MULTIPLIER) & _MASK
    value ^= value >> _SHIFT
    value = value * _MULTIPLIER & _MASK
    return value ^ (value >> _SHIFT)


def place(element: bytes) -> tuple[int, int]:
    """An element's register and what it should hold at least: the position of the hash's first 1 bit (`hllPatLen`)."""
    value = murmur_hash(element)
    pattern = value >> _INDEX_BITS | 1 << _PATTERN_BITS
    return value & (REGISTERS - 1), (pattern & -pattern).bit_length()


# -- registers as bytes -----------------------------------------------------------------------------------------

_DOWN: Final = [bytes(b >> n for b in range(256)) for n in range(8)]
_UP_IN_REGISTER: Final = [bytes(b << n & _REGISTER_MAX for b in range(256)) for n in range(8)]
_UP_IN_BYTE: Final = [bytes(b << n & 0xFF for b in range(256)) for n in range(8)]
"""Tables for `bytes.translate` that shift each byte."""

_SPANS: Final = bytes((b & 63) + 1 if b < 0x40 else 0 if b < _VAL else (b & 3) + 1 for b in range(256))
"""How many registers an opcode of one byte covers; 0 for XZERO."""
_VALUES: Final = bytes((b >> 2 & 31) + 1 if b & _VAL else 0 for b in range(256))
_OPCODES: Final = re.compile(rb"[^\x40-\x7f]{1,64}|[\x40-\x7f].?", re.DOTALL)
"""Up to 64 opcodes of one byte, or a XZERO."""
_RUNS: Final = [bytes([_VALUES[b]]) * _SPANS[b] for b in range(256)]


def _either(first: bytes, second: bytes) -> bytes:
    """Byte by byte or."""
    return (int.from_bytes(first, "little") | int.from_bytes(second, "little")).to_bytes(len(first), "little")


def _unpack(packed: bytes) -> bytes:
    """Registers of 6 bits as one byte each."""
    first, second, third = packed[0::3], packed[1::3], packed[2::3]
    registers = bytearray(len(packed) // 3 * 4)
    registers[0::4] = first.translate(_UP_IN_REGISTER[0])
    registers[1::4] = _either(first.translate(_DOWN[6]), second.translate(_UP_IN_REGISTER[2]))
    registers[2::4] = _either(second.translate(_DOWN[4]), third.translate(_UP_IN_REGISTER[4]))
    registers[3::4] = third.translate(_DOWN[2])
    return bytes(registers)


def pack(registers: bytes) -> bytes:
    """Registers of one byte each as 6 bits each."""
    first, second, third, fourth = (registers[i::4] for i in range(4))
    packed = bytearray(len(registers) // 4 * 3)
    packed[0::3] = _either(first, second.translate(_UP_IN_BYTE[6]))
    packed[1::3] = _either(second.translate(_DOWN[2]), third.translate(_UP_IN_BYTE[4]))
    packed[2::3] = _either(third.translate(_DOWN[4]), fourth.translate(_UP_IN_BYTE[2]))
    return bytes(packed)


_ONES: Final = int.from_bytes(b"\x01" * REGISTERS, "little")
_TOPS: Final = _ONES << 7


def greatest(first: bytes, second: bytes) -> bytes:
    """The greater of each two registers, one byte each."""
    a, b = int.from_bytes(first, "little"), int.from_bytes(second, "little")
    not_less = ((a | _TOPS) - b) >> 7 & _ONES
    mask = (not_less << 8) - not_less
    return (b ^ ((a ^ b) & mask)).to_bytes(REGISTERS, "little")


# -- estimating -------------------------------------------------------------------------------------------------

_ALPHA: Final = 0.721347520444481703680


def estimate(registers: bytes) -> int:
    """The cardinality (`hllCount`); registers that no hash can fill give INT64_MIN, as on x86."""
    count = float(REGISTERS)
    z = count * _tau((count - registers.count(_PATTERN_BITS + 1)) / count)
    for value in range(_PATTERN_BITS, 0, -1):
        z += registers.count(value)
        z *= 0.5
    z += count * _sigma(registers.count(0) / count)
    if z == 0:
        return INT64_MIN
    exact = _ALPHA * count * count / z
    whole = int(exact)
    return whole + (exact - whole >= 0.5)


def _sigma(x: float) -> float:
    if x == 1:
        return inf
    y, z, before = 1.0, x, -1.0
    while before != z:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while before != z:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1 - x) * (1 - x) * y
    return z / 3


# -- the string -------------------------------------------------------------------------------------------------


class HyperLogLog:
    """A HyperLogLog that is being read or changed.

    Parameters:
        value: the string; taken as corrupt only where an operation meets the place that is.

    Attributes:
        data: the string as it is now.

    Raises:
        CommandError: it is none (`isHLLObjectOrReply`).
    """

    __slots__ = ("_at", "_before", "_first", "data")

    def __init__(self, value: bytes = EMPTY) -> None:
        if len(value) < _HEADER_BYTES or not value.startswith(_MAGIC) or value[_ENCODING_AT] > _SPARSE:
            raise CommandError(NOT_A_HYPERLOGLOG)
        if value[_ENCODING_AT] == _DENSE and len(value) != _DENSE_BYTES:
            raise CommandError(NOT_A_HYPERLOGLOG)
        self.data = bytearray(value)
        self._rewind()

    @property
    def is_dense(self) -> bool:
        """Whether the registers stand at fixed places."""
        return self.data[_ENCODING_AT] == _DENSE

    @property
    def cardinality(self) -> int | None:
        """The estimate that the header keeps; None when it holds no more."""
        kept = int.from_bytes(self.data[_CARDINALITY_AT:_HEADER_BYTES], "little")
        return None if kept & _STALE else kept

    def keep(self, cardinality: int) -> None:
        """Put an estimate into the header."""
        self.data[_CARDINALITY_AT:_HEADER_BYTES] = (cardinality & _MASK).to_bytes(8, "little")

    def invalidate(self) -> None:
        """Say in the header that its estimate holds no more."""
        self.data[_HEADER_BYTES - 1] |= 0x80

    def registers(self) -> bytes:
        """All registers, one byte each.

        Raises:
            CommandError: the sparse string does not cover them exactly.
        """
        if self.is_dense:
            return _unpack(bytes(self.data[_HEADER_BYTES:]))
        data, end = self.data, len(self.data)
        runs: list[bytes] = []
        covered, at = 0, _HEADER_BYTES
        while at < end and covered <= REGISTERS:
            run = _RUNS[data[at]]
            if not run:
                run = bytes(_xzero_span(data, at))
                at += 1
            at += 1
            covered += len(run)
            runs.append(run)
        if covered != REGISTERS or at < end:
            raise CommandError(CORRUPT)
        return b"".join(runs)

    def make_dense(self) -> None:
        """Give the string the dense encoding, its header kept (`hllSparseToDense`).

        Raises:
            CommandError: the sparse string is corrupt; it stays as it is.
        """
        if not self.is_dense:
            self.data[_HEADER_BYTES:] = pack(self.registers())
            self.data[_ENCODING_AT] = _DENSE

    def add(self, element: bytes, sparse_max_bytes: int) -> bool:
        """Count an element; see `set`."""
        return self.set(*place(element), sparse_max_bytes)

    def set(self, index: int, value: int, sparse_max_bytes: int) -> bool:
        """Raise a register to a value; whether it was lower (`hllDenseSet`, `hllSparseSet`).

        A sparse string becomes dense when it cannot hold the value or would pass `sparse_max_bytes`. Registers that
        are set in ascending order are each found from where the last one was.

        Raises:
            CommandError: the sparse string does not reach the register, or is corrupt when it is to become dense.
        """
        return self._set_dense(index, value) if self.is_dense else self._set_sparse(index, value, sparse_max_bytes)

    def raise_all(self, registers: bytes, sparse_max_bytes: int) -> None:
        """Raise every register to what it is in `registers`, which are nowhere lower than its own (PFMERGE)."""
        for index, value in enumerate(registers):
            if self.is_dense:
                self.data[_HEADER_BYTES:] = pack(registers)
                break
            if value:
                self._set_sparse(index, value, sparse_max_bytes)

    def decode(self) -> bytes:
        """The sparse encoding in words, as PFDEBUG DECODE gives it.

        Raises:
            CommandError: it is longer than any that is valid.
        """
        data, end = self.data, len(self.data)
        if end > _HEADER_BYTES + 2 * REGISTERS:
            raise CommandError(CORRUPT)
        words: list[bytes] = []
        at = _HEADER_BYTES
        while at < end:
            opcode = data[at]
            if opcode & _VAL:
                words.append(b"v:%d,%d" % (_VALUES[opcode], _SPANS[opcode]))
            elif _SPANS[opcode]:
                words.append(b"z:%d" % _SPANS[opcode])
            else:
                words.append(b"Z:%d" % _xzero_span(data, at))
                at += 1
            at += 1
        return b" ".join(words)

    def _set_dense(self, index: int, value: int) -> bool:
        data = self.data
        at, shift = divmod(index * _REGISTER_BITS, 8)
        at += _HEADER_BYTES
        if shift <= 2:
            if value <= data[at] >> shift & _REGISTER_MAX:
                return False
            data[at] = data[at] & ~(_REGISTER_MAX << shift) & 0xFF | value << shift
            return True
        both = data[at] | data[at + 1] << 8
        if value <= both >> shift & _REGISTER_MAX:
            return False
        both = both & ~(_REGISTER_MAX << shift) | value << shift
        data[at] = both & 0xFF
        data[at + 1] = both >> 8
        return True

    # -- the sparse encoding ------------------------------------------------------------------------------------

    def _rewind(self) -> None:
        """Look for the next register from the beginning.

        `_at` is the place of an opcode, `_first` the first register that it covers, `_before` the opcode before it.
        """
        self._at, self._first, self._before = _HEADER_BYTES, 0, -1

    def _set_sparse(self, index: int, value: int, sparse_max_bytes: int) -> bool:
        if value > _VAL_GREATEST:
            return self._promote(index, value)
        data = self.data
        at, first, previous, span = self._find(index)
        opcode = data[at]
        if opcode & _VAL and _VALUES[opcode] >= value:
            return False
        size = 1 if _SPANS[opcode] else 2
        if span == 1 and size == 1:
            data[at] = _val(value, 1)
        else:
            run = _val_run if opcode & _VAL else _zero_run
            old = _VALUES[opcode]
            split = run(old, index - first) + bytes([_val(value, 1)]) + run(old, first + span - 1 - index)
            end = len(data) + len(split) - size
            if len(split) > size and end > sparse_max_bytes:
                return self._promote(index, value)
            data[at : at + size] = split
            del data[end:]  # a XZERO that lacked its second byte
        self._join(previous)
        self.invalidate()
        return True

    def _find(self, index: int) -> tuple[int, int, int, int]:
        """The opcode of a register: its place, first register, the opcode before it (or -1), its registers."""
        if index < self._first:
            self._rewind()
        data = self.data
        first, previous, earlier = self._first, self._before, -1
        known = False
        for found in _OPCODES.finditer(data, self._at):
            at, end = found.span()
            spans = found[0].translate(_SPANS)
            covered = sum(spans) if spans[0] else _xzero_span(data, at)
            if index < first + covered:
                break
            first += covered
            earlier = end - 2 if end - at > 1 and spans[0] else previous
            previous = end - 1 if spans[0] else at
            known = True
        else:
            raise CommandError(CORRUPT)
        if not spans[0]:
            span = covered
        else:
            bounds = list(accumulate(spans, initial=first))
            inside = bisect_right(bounds, index) - 1
            span, first = spans[inside], bounds[inside]
            if inside:
                earlier = at + inside - 2 if inside > 1 else previous
                previous = at + inside - 1
                known = True
            at += inside
        if known:
            self._at, self._before = previous, earlier
            self._first = first - (_SPANS[data[previous]] or _xzero_span(data, previous))
        elif previous >= 0:
            self._rewind()  # the opcode before may be joined to this one, and what is before that is not known here
        return at, first, previous, span

    def _join(self, previous: int) -> None:
        """Join neighbouring VALs of one value, from the opcode before a changed one on, as far as Redis looks."""
        data = self.data
        at = previous if previous >= 0 else _HEADER_BYTES
        for _ in range(5):
            if at >= len(data):
                break
            opcode = data[at]
            if not opcode & _VAL:
                at += 1 if _SPANS[opcode] else 2
                continue
            if at + 1 < len(data) and data[at + 1] & _VAL and _VALUES[data[at + 1]] == _VALUES[opcode]:
                span = _SPANS[opcode] + _SPANS[data[at + 1]]
                if span <= _VAL_LONGEST:
                    data[at + 1] = _val(_VALUES[opcode], span)
                    del data[at]
                    continue
            at += 1

    def _promote(self, index: int, value: int) -> bool:
        self.make_dense()
        return self._set_dense(index, value)


def _xzero_span(data: bytearray, at: int) -> int:
    """How many registers the XZERO there covers; a second byte that is missing counts as 0."""
    low = data[at + 1] if at + 1 < len(data) else 0
    return ((data[at] & 0x3F) << 8 | low) + 1


def _val(value: int, span: int) -> int:
    return _VAL | (value - 1) << 2 | span - 1


def _val_run(value: int, span: int) -> bytes:
    return bytes([_val(value, span)]) if span else b""


def _zero_run(_value: int, span: int) -> bytes:
    if not span:
        return b""
    if span <= _ZERO_LONGEST:
        return bytes([span - 1])
    return bytes([0x40 | (span - 1) >> 8, (span - 1) & 0xFF])
