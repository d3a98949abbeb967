"""A conversation of lines: a command is sent, the next line is waited for, and silence ends it.

The `Wire` of `replication.handshake` over a connection of Twisted's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer, protocol
from twisted.python.failure import Failure

from txrepl.errors import ReplicationError, SilenceError
from txrepl.resp.requests import encode_command

LINE_MAX_BYTES: Final = 64 * 1024


class LineWire(protocol.Protocol):
    """The connection.

    Parameters:
        clock: the time.
        timeout_s: how long an answer may take, in seconds; asked anew for every answer.
    """

    transport: Any

    def __init__(self, clock: Any, timeout_s: Callable[[], float]) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._wanted: defer.Deferred[bytes] | None = None
        self._wanted_bytes = 0
        self._lost = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes from the peer."""
        self._buffer += data
        if not self._wanted_bytes and len(self._buffer) > LINE_MAX_BYTES and b"\n" not in self._buffer:
            self.fail(ReplicationError("the primary sent a line without end"))
            return
        self._offer()

    def _offer(self) -> None:
        """Hand out what is waited for, if it has come."""
        if self._wanted is None:
            return
        if self._wanted_bytes:
            end = self._wanted_bytes if len(self._buffer) >= self._wanted_bytes else 0
        else:
            end = self._buffer.find(b"\n") + 1
        if end:
            found = bytes(self._buffer[:end])
            del self._buffer[:end]
            wanted, self._wanted = self._wanted, None
            wanted.callback(found if self._wanted_bytes else found[:-1].rstrip(b"\r"))

    def fail(self, error: ReplicationError) -> None:
        """Give up on the connection."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.errback(error)
        if self.transport is not None:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        self._lost = True
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.errback(ReplicationError("the primary closed the connection"))

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self.transport.write(encode_command(words))

    async def line(self) -> bytes:
        """The next line, in time.

        Raises:
            ReplicationError: it did not come, or the connection was closed.
        """
        return await self._wait(0)

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes, in time; errors as in `line`."""
        return await self._wait(count) if count else b""

    async def _wait(self, count: int) -> bytes:
        if self._lost and not self._buffer:
            raise ReplicationError("the primary closed the connection")
        wanted: defer.Deferred[bytes] = defer.Deferred()
        self._wanted = wanted
        self._wanted_bytes = count
        timeout_s = self._timeout_s()
        timer = self._clock.callLater(
            timeout_s,
            lambda: self.fail(
                SilenceError(f"Timeout connecting to the MASTER... no answer from the primary within {timeout_s} s")
            ),
        )
        self._offer()
        if self._lost and self._wanted is wanted:
            self.connectionLost()
        try:
            return await wanted
        finally:
            self._wanted_bytes = 0
            if timer.active():
                timer.cancel()
