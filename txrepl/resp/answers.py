"""Replies of another server, read incrementally: bytes in, values out, everything bounded.

RESP2 alone, since nobody here says HELLO. A bulk string is `bytes`, a simple string `str`, an error a `CommandError`
(a value, not raised), a null None. Nothing is made room for before it has come.
"""

from __future__ import annotations

from typing import Final

from txrepl.errors import CommandError, ProtocolError

LINE_MAX_BYTES: Final = 64 * 1024
ELEMENTS_MAX: Final = 1024 * 1024
DEPTH_MAX: Final = 8

Answer = bytes | str | int | None | CommandError | list["Answer"]


class AnswerReader:
    """Turns received bytes into replies.

    Parameters:
        most_bytes: how many bytes one reply may have, all that is nested in it included.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()
        self._position = 0
        self._searched = 0
        self._spent = 0
        self._bulk = -1
        self._open: list[tuple[list[Answer], int]] = []

    def feed(self, data: bytes) -> list[Answer]:
        """The replies that are complete with these bytes.

        Raises:
            ProtocolError: they are no RESP2, or over a bound; nothing more can be read.
        """
        self._buffer += data
        found: list[Answer] = []
        while self._step(found):
            pass
        del self._buffer[: self._position]
        self._searched = max(0, self._searched - self._position)
        self._position = 0
        if self._spent + len(self._buffer) > self._most_bytes and (self._buffer or self._open):
            raise ProtocolError(f"a reply has more than {self._most_bytes} bytes")
        return found

    def _step(self, found: list[Answer]) -> bool:
        """Read one value, or the head of one; False if more bytes are needed."""
        if self._bulk >= 0:
            end = self._position + self._bulk
            if len(self._buffer) < end + 2:
                return False
            value = bytes(self._buffer[self._position : end])
            self._advance(end + 2)
            self._bulk = -1
            self._value(value, found)
            return True
        end = self._buffer.find(b"\r\n", max(self._position, self._searched))
        if end < 0:
            self._searched = max(self._position, len(self._buffer) - 1)
            if len(self._buffer) - self._position > LINE_MAX_BYTES:
                raise ProtocolError("a line without end")
            return False
        line = bytes(self._buffer[self._position : end])
        self._advance(end + 2)
        self._head(line, found)
        return True

    def _advance(self, position: int) -> None:
        self._spent += position - self._position
        self._position = position

    def _head(self, line: bytes, found: list[Answer]) -> None:
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            self._value(rest.decode("utf-8", "surrogateescape"), found)
            return
        if kind == b"-":
            self._value(CommandError(rest), found)
            return
        try:
            number = int(rest)
        except ValueError:
            raise ProtocolError("a reply is not RESP") from None
        if kind == b":":
            self._value(number, found)
        elif kind in (b"$", b"*") and number < 0:
            self._value(None, found)
        elif kind == b"$" and number <= self._most_bytes:
            self._bulk = number
        elif kind == b"*" and number <= ELEMENTS_MAX and len(self._open) < DEPTH_MAX:
            self._open.append(([], number))
            self._close(found)
        else:
            raise ProtocolError("a reply is not RESP, or too large")

    def _value(self, value: Answer, found: list[Answer]) -> None:
        """A value is complete: it belongs to the innermost array that is open, or stands alone."""
        if self._open:
            self._open[-1][0].append(value)
            self._close(found)
        else:
            self._spent = 0
            found.append(value)

    def _close(self, found: list[Answer]) -> None:
        """Close the innermost array if it is complete."""
        values, count = self._open[-1]
        if len(values) == count:
            self._open.pop()
            self._value(values, found)
