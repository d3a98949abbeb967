"""Numbers are printed as live servers print them; the texts here are theirs."""

from __future__ import annotations

import struct
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txrepl.keyspace.longdouble import NotFiniteError, add_long_doubles
from txrepl.keyspace.numbers import format_double, format_double_short, parse_integer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (3.0, b"3"),
        (0.1, b"0.1"),
        (-3e-05, b"-0.00003"),
        (1e-07, b"1e-7"),
        (5e-324, b"5e-324"),
        (1e21, b"1e+21"),
        (2.65485501590702e18, b"2654855015907019776"),
        (9007199254740994.0, b"9007199254740994"),
        (697173976036345.25, b"697173976036345.3"),
        (float("inf"), b"inf"),
        (float("-inf"), b"-inf"),
    ],
)
def test_a_reply_prints_a_double_as_valkey_9_does(value: float, text: bytes) -> None:
    """Whole numbers in full up to 2^62, else the digits of Grisu2, which rounds a tie up."""
    assert format_double(value) == text


def test_the_digest_prints_large_whole_numbers_in_the_short_form() -> None:
    """There Redis does not print whole numbers in full."""
    assert format_double_short(1e8) == b"1e+8" and format_double(1e8) == b"100000000"
    assert format_double_short(12345678.0) == b"12345678"


@given(st.integers(0, 2**64 - 1))
def test_a_printed_double_reads_back_equal(bits: int) -> None:
    """Whatever its 64 bits are."""
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    if not isnan(value):
        assert float(format_double(value)) == value == float(format_double_short(value))


@given(st.one_of(st.integers(-(2**65), 2**65).map(lambda n: b"%d" % n), st.binary(max_size=22)))
def test_only_canonical_64_bit_integers_are_integers(text: bytes) -> None:
    """No blanks, plus, leading zeros, underscores or -0."""
    value = parse_integer(text)
    canonical = text.lstrip(b"-").isdigit() and b"%d" % int(text) == text if text.count(b"-") <= 1 else False
    if value is None:
        assert not canonical or not -(2**63) <= int(text) < 2**63
    else:
        assert canonical and int(text) == value


@pytest.mark.parametrize(
    ("text", "increment", "total"),
    [
        (b"3.0", b"1.000000000000000005", b"4.00000000000000001"),
        (b"10.50", b"0.1", b"10.6"),
        (b"5.0e3", b"2.0e2", b"5200"),
        (b"0.1", b"0.2", b"0.3"),
        (b"1e-17", b"0", b"0.00000000000000001"),
        (b"4e-18", b"0", b"0"),
        (b"-4e-18", b"0", b"0"),
        (b"18446744073709551615", b"0", b"18446744073709551615"),
        (b"36893488147419103233", b"0", b"36893488147419103232"),
        (b"0x1p3", b"0x.8", b"8.5"),
        (b"x", b"1", None),
        (b"1", b"", None),
        (b" 1", b"1", None),
        (b"nan", b"1", None),
        (b"1e4933", b"1", None),
        (b"1e-5000", b"1", None),
        (b"1e999999999999", b"1", None),
        (b"0e999999999999", b"1", b"1"),
    ],
)
def test_long_doubles_add_as_in_live_servers(text: bytes, increment: bytes, total: bytes | None) -> None:
    """64 bits of precision, 17 places, no trailing zeros; None is Redis's "not a valid float"."""
    assert add_long_doubles(text, increment) == total


@pytest.mark.parametrize(("text", "increment"), [(b"1", b"inf"), (b"-inf", b"inf"), (b"1.1e4932", b"1.1e4932")])
def test_a_sum_beyond_all_numbers_is_refused(text: bytes, increment: bytes) -> None:
    """It would be NaN or infinity."""
    with pytest.raises(NotFiniteError):
        add_long_doubles(text, increment)


def test_a_long_double_of_thousands_of_digits_is_printed_whole() -> None:
    """Python's own limit on digits does not show."""
    total = add_long_doubles(b"1e4932", b"0")
    assert total is not None and len(total) == 4933
