"""The 80-bit numbers of INCRBYFLOAT and HINCRBYFLOAT.

Redis adds there in x87 `long double` and prints `%.17Lf` without the trailing zeros. Here the same is done
in exact rationals that are rounded to a 64-bit significand where the hardware would, so the text is equal.
Follows `string2ld` and `ld2string` (LD_STR_HUMAN).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_PRECISION: Final = 64
_LEAST_EXPONENT: Final = -16445
"""Binary exponent of the smallest subnormal."""
_BOUND: Final = 1 << 16384
_LONGEST: Final = 5 * 1024
_FAR_EXPONENT: Final = 12_000
"""Decimal exponents beyond it overflow or underflow whatever the (at most 5 KiB of) digits are."""
_PLACES: Final = 17
_HALF: Final = 4000
"""Digits that Python converts at once without complaint."""

_DECIMAL: Final = re.compile(rb"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:e([+-]?[0-9]+))?\Z", re.IGNORECASE)
_HEX: Final = re.compile(rb"([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?(?:p([+-]?[0-9]+))?\Z", re.IGNORECASE)
_INFINITY: Final = re.compile(rb"[+-]?inf(?:inity)?\Z", re.IGNORECASE)


class NotFiniteError(ArithmeticError):
    """A sum that is no number."""


def _rounded(exact: Fraction) -> Fraction | None:
    """The nearest long double, ties to even; None when it is too large."""
    if exact == 0:
        return exact
    numerator, denominator = abs(exact.numerator), exact.denominator
    exponent = numerator.bit_length() - denominator.bit_length() - _PRECISION
    if _scaled(numerator, denominator, exponent) >> _PRECISION:
        exponent += 1
    exponent = max(exponent, _LEAST_EXPONENT)
    scale = Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)
    result = round(abs(exact) / scale) * scale
    if result >= _BOUND:
        return None
    return -result if exact < 0 else result


def _scaled(numerator: int, denominator: int, exponent: int) -> int:
    """numerator / denominator / 2^exponent, rounded down."""
    if exponent >= 0:
        return numerator // (denominator << exponent)
    return (numerator << -exponent) // denominator


def _from_digits(text: bytes) -> int:
    """`int`, for more digits than Python converts at once."""
    if len(text) <= _HALF:
        return int(text)
    rest = text[_HALF:]
    shift: int = 10 ** len(rest)
    return int(text[:_HALF]) * shift + int(rest)


def _to_digits(number: int) -> str:
    """`str`, for more digits than Python converts at once."""
    high, low = divmod(number, 10**_HALF)
    return f"{high}{low:0{_HALF}}" if high else str(low)


def _exact(text: bytes) -> Fraction | None:
    """The number that decimal or hexadecimal text spells; None if it is none, or out of any range."""
    base = 10
    found = _DECIMAL.match(text)
    if found is None:
        base = 16
        found = _HEX.match(text)
        if found is None:
            return None
    sign, whole, part, power_text = found[1], found[2], found[3] or b"", found[4] or b"0"
    if not whole and not part:
        return None
    digits = int(whole + part, 16) if base == 16 else _from_digits(whole + part)
    if digits == 0:
        return Fraction(0)
    if len(power_text) > _HALF:
        return None
    power = int(power_text)
    if abs(power) > (_FAR_EXPONENT if base == 10 else 4 * _FAR_EXPONENT):
        return None
    scale: int = (10 if base == 10 else 2) ** abs(power)
    places: int = base ** len(part)
    number = Fraction(digits, places * scale) if power < 0 else Fraction(digits * scale, places)
    return -number if sign == b"-" else number


def parse_long_double(text: bytes) -> Fraction | None:
    """The long double that `text` spells for Redis; None if it is none, overflows or underflows to 0.

    Raises:
        NotFiniteError: it spells an infinity, which Redis reads but cannot add to.
    """
    if not 0 < len(text) < _LONGEST:
        return None
    if _INFINITY.match(text) is not None:
        raise NotFiniteError
    exact = _exact(text)
    if exact is None:
        return None
    value = _rounded(exact)
    return None if value is None or (value == 0 and exact != 0) else value


def format_long_double(value: Fraction) -> bytes:
    """A long double with up to 17 decimal places and no trailing zeros."""
    units = round(value * 10**_PLACES)
    if units == 0:
        return b"0"
    digits = _to_digits(abs(units)).rjust(_PLACES + 1, "0")
    text = f"{digits[:-_PLACES]}.{digits[-_PLACES:]}".rstrip("0").rstrip(".")
    return f"-{text}".encode() if units < 0 else text.encode()


def format_double_in_full(value: float) -> bytes:
    """A finite double with up to 17 decimal places and no trailing zeros, as it is printed when it is a long double."""
    text = (b"%.17f" % value).rstrip(b"0").rstrip(b".")
    return b"0" if text == b"-0" else text


def add_long_doubles(text: bytes, increment: bytes) -> bytes | None:
    """The sum as Redis prints it; None if one of them is not a valid float.

    Raises:
        NotFiniteError: the sum, or one of them, is no finite number.
    """
    infinite = False
    sum_of = Fraction(0)
    for part in (text, increment):
        try:
            value = parse_long_double(part)
        except NotFiniteError:
            infinite = True
            continue
        if value is None:
            return None
        sum_of += value
    total = None if infinite else _rounded(sum_of)
    if total is None:
        raise NotFiniteError
    return format_long_double(total)
