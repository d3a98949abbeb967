"""A raw RESP client: what goes over the socket is under the test's eye, byte for byte.

Nothing here shares code with txrepl, so that a mistake in one cannot hide a mistake in the other.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from types import TracebackType
from typing import Any

Argument = bytes | str | int | float

_CHUNK_BYTES = 65536


class ReplyError(Exception):
    """An error reply; `str()` of it is the whole text, code first, without the leading `-`."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReplyError) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


def encode(*args: Argument) -> bytes:
    """One command as an array of bulks."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        data = arg if isinstance(arg, bytes) else str(arg).encode("utf-8", "surrogateescape")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


class RawClient:
    """A blocking connection to one server.

    Parameters:
        port: TCP port on 127.0.0.1.
        timeout_s: bound of every single socket operation, in seconds; `TimeoutError` after it.
        host: another address than 127.0.0.1.
    """

    def __init__(self, port: int, timeout_s: float = 20.0, host: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = bytearray()
        self._position = 0

    def __enter__(self) -> RawClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; harmless when it is closed already."""
        self.socket.close()

    # Raw bytes.

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self.socket.sendall(data)

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes; raises `ConnectionError` when the peer closes before them."""
        while len(self._pending) - self._position < count:
            self._fill()
        data = bytes(self._pending[self._position : self._position + count])
        self._position += count
        return data

    def read_line(self) -> bytes:
        """The next line, its CRLF included; raises `ConnectionError` when the peer closes before it."""
        while (end := self._pending.find(b"\n", self._position)) < 0:
            self._fill()
        return self.read_exactly(end + 1 - self._position)

    def read_to_end(self) -> bytes:
        """Everything until the peer closes (also by a reset)."""
        while True:
            try:
                self._fill()
            except ConnectionError:
                return self.read_exactly(len(self._pending) - self._position)

    def read_raw_reply(self) -> bytes:
        """The bytes of exactly one whole reply, RESP2 or RESP3, aggregates included."""
        line = self.read_line()
        kind, rest = line[:1], line[1:-2]
        if kind in b"$=!":
            size = int(rest)
            return line if size < 0 else line + self.read_exactly(size + 2)
        if kind in b"*%~>|":
            count = max(int(rest), 0) * (2 if kind in b"%|" else 1)
            parts = [line, *(self.read_raw_reply() for _ in range(count))]
            if kind == b"|":
                parts.append(self.read_raw_reply())
            return b"".join(parts)
        return line

    # Values.

    def read_reply(self) -> Any:
        """The next reply as a value.

        Simple strings are `str`, bulks `bytes`, nulls None, maps `dict`, sets and pushes lists,
        doubles `float`; an error is returned (not raised) as `ReplyError`.
        """
        line = self.read_line()
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest.decode("utf-8", "surrogateescape")
            case b"-":
                return ReplyError(rest.decode("utf-8", "surrogateescape"))
            case b":" | b"(":
                return int(rest)
            case b"$" | b"=" | b"!":
                if int(rest) < 0:
                    return None
                data = self.read_exactly(int(rest) + 2)[:-2]
                if kind == b"!":
                    return ReplyError(data.decode("utf-8", "surrogateescape"))
                return data[4:] if kind == b"=" else data
            case b"*" | b"~" | b">":
                return None if int(rest) < 0 else [self.read_reply() for _ in range(int(rest))]
            case b"%":
                return {_hashable(self.read_reply()): self.read_reply() for _ in range(int(rest))}
            case b"|":
                for _ in range(2 * int(rest)):
                    self.read_reply()
                return self.read_reply()
            case b"_":
                return None
            case b"#":
                return rest == b"t"
            case b",":
                return float(rest)
        raise ValueError(f"not a reply: {line!r}")

    def execute(self, *args: Argument) -> Any:
        """Send one command and return its reply, an error as a `ReplyError` value."""
        self.send(encode(*args))
        return self.read_reply()

    def command(self, *args: Argument) -> Any:
        """Send one command and return its reply; an error reply is raised as `ReplyError`."""
        reply = self.execute(*args)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def raw_command(self, *args: Argument) -> bytes:
        """Send one command and return the bytes of its reply."""
        self.send(encode(*args))
        return self.read_raw_reply()

    def pipeline(self, commands: Iterable[Iterable[Argument]], batch: int = 500) -> list[Any]:
        """Send commands in batches and return all replies in order, errors as `ReplyError` values."""
        replies: list[Any] = []
        waiting: list[bytes] = []
        for args in commands:
            waiting.append(encode(*args))
            if len(waiting) == batch:
                replies += self._round_trip(waiting)
                waiting = []
        return replies + self._round_trip(waiting)

    def _round_trip(self, encoded: list[bytes]) -> list[Any]:
        self.send(b"".join(encoded))
        return [self.read_reply() for _ in encoded]

    def _fill(self) -> None:
        if self._position > _CHUNK_BYTES:
            del self._pending[: self._position]
            self._position = 0
        data = self.socket.recv(_CHUNK_BYTES)
        if not data:
            raise ConnectionError("the peer closed the connection")
        self._pending += data


def _hashable(value: Any) -> Any:
    return tuple(_hashable(item) for item in value) if isinstance(value, list) else value
