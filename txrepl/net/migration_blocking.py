"""MIGRATE inside a transaction: a connection whose calls return when they are done, so that the whole server waits."""

from __future__ import annotations

import errno
import socket
from collections.abc import Coroutine, Iterator
from typing import Any

from txrepl.commands.migration import LINE_MAX_BYTES, UNKNOWN_DATABASE, Order, chunks
from txrepl.errors import MigrationError


class BlockingWire:
    """A connection whose calls return when they are done."""

    def __init__(self, connection: socket.socket) -> None:
        self.database = UNKNOWN_DATABASE
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._received = connection.makefile("rb")

    async def send(self, pieces: Iterator[bytes]) -> None:
        """Send pieces."""
        try:
            for chunk in chunks(pieces):
                self._connection.sendall(chunk)
        except OSError as error:
            raise MigrationError("writing", timed_out=isinstance(error, socket.timeout)) from None

    async def line(self) -> bytes:
        """The next line."""
        try:
            line = self._received.readline(LINE_MAX_BYTES)
        except OSError as error:
            raise MigrationError("reading", timed_out=isinstance(error, socket.timeout)) from None
        if not line.endswith(b"\n"):
            raise MigrationError("reading")
        return line.rstrip(b"\r\n")

    def close(self) -> None:
        """Close it."""
        self._received.close()
        self._connection.close()


class BlockingTarget:
    """Makes such connections, one for each migration."""

    async def open(self, order: Order) -> BlockingWire:
        """A new one."""
        try:
            return BlockingWire(socket.create_connection((order.host, order.port), order.timeout_ms / 1000))
        except OSError as error:
            doing = "writing" if error.errno == errno.ECONNREFUSED else "connecting"
            raise MigrationError(doing, timed_out=True) from None
        except ValueError:
            raise MigrationError("connecting", timed_out=True) from None

    def keep(self, order: Order, wire: BlockingWire) -> None:
        """None is kept."""
        self.drop(wire)

    def drop(self, wire: BlockingWire) -> None:
        """Close it."""
        wire.close()


def run_blocking(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never waits for the reactor."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise RuntimeError("a coroutine that was to run at once waits for the reactor")
