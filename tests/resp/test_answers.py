"""Replies of another server: whole, byte by byte, nested, garbled, and over every bound."""

from __future__ import annotations

from typing import Any

import pytest

from txrepl.errors import CommandError, ProtocolError
from txrepl.resp.answers import DEPTH_MAX, ELEMENTS_MAX, LINE_MAX_BYTES, AnswerReader

REPLIES: list[tuple[bytes, Any]] = [
    (b"+OK\r\n", "OK"),
    (b":-7\r\n", -7),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\na\r\nb\r\n", b"a\r\nb"),
    (b"*0\r\n", []),
    (b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n*0\r\n", [b"0", [b"a", []]]),
    (b"+\xff\r\n", "\udcff"),
]


def test_replies_are_read_whole_byte_by_byte_and_with_others_behind() -> None:
    """Each in its turn, whatever the pieces."""
    data = b"".join(raw for raw, _ in REPLIES)
    values = [value for _, value in REPLIES]
    assert AnswerReader(1000).feed(data) == values
    reader = AnswerReader(1000)
    assert [value for position in range(len(data)) for value in reader.feed(data[position : position + 1])] == values
    for cut in range(len(data)):
        reader = AnswerReader(1000)
        assert reader.feed(data[:cut]) + reader.feed(data[cut:]) == values


def test_errors_are_values() -> None:
    """Within an array too."""
    alone, (inside,) = AnswerReader(100).feed(b"-ERR no\r\n*1\r\n-NOPERM x\r\n")
    assert isinstance(alone, CommandError) and alone.message == b"ERR no"
    assert isinstance(inside, CommandError) and inside.code == "NOPERM"


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b":x\r\n",
        b"%1\r\n",
        b"$1001\r\n",
        b"*%d\r\n" % (ELEMENTS_MAX + 1),
        b"*1\r\n" * (DEPTH_MAX + 1),
        b"+" + b"x" * (LINE_MAX_BYTES + 1),
    ],
)
def test_what_is_no_reply_or_over_a_bound_is_refused(data: bytes) -> None:
    """Before any memory is taken for it."""
    with pytest.raises(ProtocolError):
        AnswerReader(1000).feed(data)


def test_an_array_of_small_parts_is_bounded_as_a_whole() -> None:
    """And what is complete does not count against the next."""
    reader = AnswerReader(1000)
    assert len(reader.feed(b"$4\r\nabcd\r\n" * 500)) == 500
    with pytest.raises(ProtocolError):
        reader.feed(b"*500\r\n" + b"$4\r\nabcd\r\n" * 499)
