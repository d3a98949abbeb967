"""Numbers as Redis reads and prints them.

Redis accepts fewer spellings than Python (`string2ll`, `getLongDoubleFromObject`) and prints doubles in
forms of its own (`fpconv_dtoa` since 7.2, `%.17g` before), which replies and DEBUG DIGEST depend on.
"""

from __future__ import annotations

import re
import struct
from functools import cache
from math import isinf, isnan
from typing import Final

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

_WHOLE: Final = 2.0**62
_SHORT_WHOLE: Final = 1e8
_ROUND: Final = 1 << 63
_DOUBLE: Final = struct.Struct("<d")
_BITS: Final = struct.Struct("<Q")

_FLOAT: Final = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|inf(?:inity)?)\Z", re.IGNORECASE)
_HEX_FLOAT: Final = re.compile(rb"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?\Z", re.IGNORECASE)

_ZERO: Final = ord("0")


def parse_integer(text: bytes) -> int | None:
    """The 64-bit integer that `text` spells in canonical form (Redis's `string2ll`), else None."""
    if text.isdigit() and len(text) < 19:
        return int(text) if text[0] != _ZERO or len(text) == 1 else None
    if not 0 < len(text) <= 20 or not b"-" <= text[:1] <= b"9":
        return None
    try:
        value = int(text)
    except ValueError:
        return None
    return value if INT64_MIN <= value <= INT64_MAX and b"%d" % value == text else None


def parse_float(text: bytes) -> float | None:
    """The double that `text` spells for Redis (`string2d`): no blanks, no nan; inf in any case; else None."""
    if _FLOAT.match(text) is not None:
        return float(text)
    if _HEX_FLOAT.match(text) is not None:
        try:
            return float.fromhex(text.decode("ascii"))
        except OverflowError:
            return None
    return None


def format_double(value: float) -> bytes:
    """A double as Redis 7.2 prints it in replies: short text that reads back equal (`d2string`).

    Whole numbers up to 2^62 are printed in full, all else as `format_double_short` does.
    """
    if -_WHOLE <= value <= _WHOLE and value == (whole := int(value)):
        if whole == 0 and str(value)[0] == "-":
            return b"-0"
        return b"%d" % whole
    return format_double_short(value)


def format_double_short(value: float) -> bytes:
    """A double as `fpconv_dtoa` prints it, which DEBUG DIGEST hashes: Grisu2's digits, that read back equal.

    Grisu2 is not always shortest and breaks ties upwards, so this is not Python's `repr`.
    """
    if -_SHORT_WHOLE < value < _SHORT_WHOLE and value != 0 and value == (whole := int(value)):
        return b"%d" % whole
    if isnan(value):
        return b"nan"
    if isinf(value):
        return b"inf" if value > 0 else b"-inf"
    if value == 0:
        return b"-0" if str(value)[0] == "-" else b"0"
    digits, power = _grisu2(abs(value))
    text = _layout(digits, power)
    return b"-" + text if value < 0 else text


def _scaled_power(exponent: int) -> tuple[int, int]:
    """10^exponent as a 64-bit significand, rounded to nearest, and a binary exponent."""
    if exponent >= 0:
        exact, binary = 10**exponent, 0
    else:
        binary = -(64 - exponent * 4)
        exact = (1 << -binary) // 10**-exponent
    shift = exact.bit_length() - 64
    if shift <= 0:
        return exact << -shift, binary + shift
    significand = ((exact >> (shift - 1)) + 1) >> 1
    if significand >> 64:
        return significand >> 1, binary + shift + 1
    return significand, binary + shift


_FIRST_POWER: Final = -348
_POWER_STEP: Final = 8
_POWERS: Final = [_scaled_power(k) for k in range(_FIRST_POWER, 341, _POWER_STEP)]
_HIDDEN: Final = 1 << 52
_TENS: Final = [10**k for k in range(20)]


@cache
def _power_for(exponent: int) -> tuple[int, int, int]:
    """The cached power of ten that brings a 64-bit significand × 2^exponent to a binary exponent of -60..-32.

    Returns:
        Its significand, the fraction bits of the product, and the decimal exponent.
    """
    index = (int(-(exponent + 87) * 0.30102999566398114) - _FIRST_POWER) // _POWER_STEP
    while True:
        significand, binary = _POWERS[index]
        current = exponent + binary + 64
        if current < -60:
            index += 1
        elif current > -32:
            index -= 1
        else:
            return significand, -current, _FIRST_POWER + index * _POWER_STEP


def _grisu2(value: float) -> tuple[str, int]:
    """Digits and decimal exponent of a positive finite double (Loitsch's Grisu2, as fpconv has it)."""
    (bits,) = _BITS.unpack(_DOUBLE.pack(value))
    fraction = bits & (_HIDDEN - 1)
    if bits >> 52:
        fraction += _HIDDEN
        exponent = (bits >> 52) - 1075
    else:
        exponent = -1074
    shift = 64 - fraction.bit_length()
    exponent -= shift
    half = 1 << (shift - 1)
    ten, places, decimal = _power_for(exponent)
    middle = fraction << shift
    below = half if fraction != _HIDDEN else half >> 1
    upper = (((middle + half) * ten + _ROUND) >> 64) - 1
    delta = upper - (((middle - below) * ten + _ROUND) >> 64) - 1
    distance = upper - ((middle * ten + _ROUND) >> 64)
    return _shortest(upper, delta, distance, places, -decimal)


def _shortest(upper: int, delta: int, distance: int, places: int, power: int) -> tuple[str, int]:
    """The fewest digits of `upper` that stay within `delta` of it, then as near as they can to the value.

    Parameters:
        upper: the upper bound, a binary fraction of `places` bits after the point.
        delta: how far below the lower bound is.
        distance: how far below the value itself is.
        places: fraction bits.
        power: decimal exponent of the digit before the point.
    """
    mask = (1 << places) - 1
    whole = upper >> places
    if upper & mask <= delta:
        kappa = 0
        while kappa < 9 and upper % (_TENS[kappa + 1] << places) <= delta:
            kappa += 1
        unit = _TENS[kappa] << places
        digits, rest = divmod(upper, unit)
    else:
        kappa = 0
        unit = 1 << places
        digits, rest = whole, upper & mask
        while rest >= delta or kappa == 0:
            rest *= 10
            delta *= 10
            distance *= 10
            kappa -= 1
            digits = digits * 10 + (rest >> places)
            rest &= mask
    while (
        rest < distance
        and delta - rest >= unit
        and (rest + unit < distance or distance - rest > rest + unit - distance)
    ):
        digits -= 1
        rest += unit
    return str(digits), power + kappa


def _layout(digits: str, power: int) -> bytes:
    """Place the decimal point of digits × 10^power as `emit_digits` of fpconv does."""
    count = len(digits)
    exponent = abs(power + count - 1)
    if power >= 0 and exponent < count + 7:
        return (digits + "0" * power).encode()
    if power < 0 and (power > -7 or exponent < 4):
        point = count + power
        if point <= 0:
            return ("0." + "0" * -point + digits).encode()
        return (digits[:point] + "." + digits[point:]).encode()
    mantissa = digits[0] + ("." + digits[1:] if count > 1 else "")
    sign = "-" if power + count - 1 < 0 else "+"
    return f"{mantissa}e{sign}{exponent}".encode()


def format_double_legacy(value: float) -> bytes:
    """A double as `%.17g`: so Redis before 7.2 prints it in DEBUG DIGEST, and every version in ZSCAN of a skiplist."""
    return b"%.17g" % value
