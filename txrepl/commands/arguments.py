"""Arguments of commands: numbers and options with Redis's own error texts."""

from __future__ import annotations

from math import isinf, isnan
from typing import Final

from txrepl.errors import NOT_A_FLOAT, NOT_AN_INTEGER, CommandError
from txrepl.keyspace.numbers import parse_float, parse_integer

BAD_NAME: Final = "ERR Client names cannot contain spaces, newlines or special characters."


def is_printable(text: bytes) -> bool:
    """Whether a name shows as one word in CLIENT LIST (`validateClientAttr`)."""
    return all(0x21 <= byte <= 0x7E for byte in text)


def integer(text: bytes, error: str = NOT_AN_INTEGER) -> int:
    """A 64-bit integer (`getLongLongFromObjectOrReply`).

    Raises:
        CommandError: with `error`.
    """
    value = parse_integer(text)
    if value is None:
        raise CommandError(error)
    return value


def integer_between(text: bytes, low: int, high: int, error: str | None = None) -> int:
    """An integer of low..high (`getRangeLongFromObjectOrReply`).

    Raises:
        CommandError: with `error`, or Redis's `value is out of range, value must between …`.
    """
    value = integer(text, error or NOT_AN_INTEGER)
    if not low <= value <= high:
        raise CommandError(error or f"ERR value is out of range, value must between {low} and {high}")
    return value


def positive(text: bytes, error: str | None = None) -> int:
    """An integer ≥ 0 (`getPositiveLongFromObjectOrReply`).

    Raises:
        CommandError: with `error`, or Redis's `value is out of range, must be positive`.
    """
    value = integer(text, error or NOT_AN_INTEGER)
    if value < 0:
        raise CommandError(error or "ERR value is out of range, must be positive")
    return value


def number(text: bytes, error: str = NOT_A_FLOAT) -> float:
    """A double, infinities included (`getDoubleFromObjectOrReply`).

    Raises:
        CommandError: with `error`.
    """
    value = parse_float(text)
    if value is None or isnan(value):
        raise CommandError(error)
    return value


def timeout_ms(text: bytes) -> int:
    """A blocking command's timeout in seconds as ms; 0 means for ever (`getTimeoutFromObjectOrReply`).

    Raises:
        CommandError: not a number, negative, or too large.
    """
    seconds = parse_float(text)
    if seconds is None or isnan(seconds):
        raise CommandError("ERR timeout is not a float or out of range")
    if seconds < 0:
        raise CommandError("ERR timeout is negative")
    if isinf(seconds) or seconds * 1000 > 2**63 - 1:
        raise CommandError("ERR timeout is out of range")
    return -int(-seconds * 1000 // 1)
