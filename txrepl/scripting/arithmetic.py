"""Numbers that Lua 5.1 cannot take apart itself: bytes of doubles, 32-bit operations, random numbers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

_WORD: Final = 0xFFFFFFFF
_TOBIT: Final = 6755399441055744.0
"""2^52 + 2^51: added to a double, it leaves the integer in the lowest 32 bits (`tobit` of BitOp)."""


def float_bytes(value: float, size: float) -> bytes:
    """A double as 4 or 8 big-endian bytes; what is too large for 4 is infinite, as C casts it."""
    if size == 8:
        return struct.pack(">d", value)
    try:
        return struct.pack(">f", value)
    except OverflowError:
        return struct.pack(">f", float("inf") if value > 0 else float("-inf"))


def float_value(data: bytes) -> float:
    """The double in 4 or 8 big-endian bytes."""
    found: float = struct.unpack(">d" if len(data) == 8 else ">f", data)[0]
    return found


def _word(value: float) -> int:
    """The low 32 bits of a number, rounded to an integer."""
    bits: int = struct.unpack("<Q", struct.pack("<d", value + _TOBIT))[0]
    return bits & _WORD


def _signed(word: int) -> int:
    return word - (1 << 32) if word & 0x80000000 else word


def _shifts(a: int, n: int) -> dict[bytes, int]:
    signed = _signed(a)
    return {
        b"lshift": a << n & _WORD,
        b"rshift": a >> n,
        b"arshift": signed >> n & _WORD,
        b"rol": (a << n | a >> (32 - n)) & _WORD,
        b"ror": (a >> n | a << (32 - n)) & _WORD,
    }


_UNARY: Final[dict[bytes, Callable[[int], int]]] = {
    b"tobit": lambda a: a,
    b"bnot": lambda a: ~a & _WORD,
    b"bswap": lambda a: int.from_bytes(a.to_bytes(4, "little"), "big"),
}
_BINARY: Final[dict[bytes, Callable[[int, int], int]]] = {
    b"band": lambda a, b: a & b,
    b"bor": lambda a, b: a | b,
    b"bxor": lambda a, b: a ^ b,
}


def compute(operation: bytes, first: float, second: float = 0.0) -> int | bytes:
    """A 32-bit operation of the `bit` library by its name; the result is signed, `tohex` gives text."""
    a = _word(first)
    if operation in _UNARY:
        return _signed(_UNARY[operation](a))
    b = _word(second)
    if operation in _BINARY:
        return _signed(_BINARY[operation](a, b))
    if operation == b"tohex":
        digits = _signed(b)
        text = b"%08X" % a if digits < 0 else b"%08x" % a
        return text[8 - min(abs(digits), 8) :]
    return _signed(_shifts(a, b & 31)[operation])


class Random:
    """The same numbers on every machine for one seed (`redisLrand48`): drand48's 48-bit congruence."""

    __slots__ = ("_state",)

    def __init__(self) -> None:
        self.seed(0x1234ABCD)

    def seed(self, seed: float) -> None:
        """Begin anew."""
        self._state: int = ((int(seed) & _WORD) << 16) + 0x330E

    def draw(self) -> int:
        """31 random bits."""
        self._state = (self._state * 0x5DEECE66D + 0xB) & 0xFFFFFFFFFFFF
        return self._state >> 17
