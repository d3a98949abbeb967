"""The connection to the primary: lines while the handshake lasts, each waited for, then bytes for whoever receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer, protocol
from twisted.python.failure import Failure

from txrepl.errors import ReplicationError, SilenceError
from txrepl.node import Node
from txrepl.resp.requests import encode_command

LINE_MAX_BYTES: Final = 64 * 1024


class LinkProtocol(protocol.Protocol):
    """The connection: lines during the handshake, then whatever `receive` is set to."""

    transport: Any

    def __init__(self, node: Node, clock: Any) -> None:
        self._node = node
        self._clock = clock
        self._buffer = bytearray()
        self._wanted: defer.Deferred[bytes] | None = None
        self.receive: Callable[[bytes], None] | None = None
        self.closed: defer.Deferred[None] = defer.Deferred()
        self._lost = False
        self.rests = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes from the primary."""
        self._node.following.primary_spoke(len(data) if self.receive is not None else 0)
        if self.receive is not None:
            self.receive(data)
            return
        self._buffer += data
        if len(self._buffer) > LINE_MAX_BYTES and b"\n" not in self._buffer:
            self.fail(ReplicationError("the primary sent a line without end"))
            return
        self._offer_line()

    def _offer_line(self) -> None:
        if self._wanted is None:
            return
        end = self._buffer.find(b"\n")
        if end >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            wanted, self._wanted = self._wanted, None
            wanted.callback(line)

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
        if not self.closed.called:
            self.closed.callback(None)

    # -- the handshake's wire

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self.transport.write(encode_command(words))

    async def line(self) -> bytes:
        """The next line, within repl-timeout."""
        if self._lost:
            raise ReplicationError("the primary closed the connection")
        wanted: defer.Deferred[bytes] = defer.Deferred()
        self._wanted = wanted
        timeout_s = self._node.settings.timeout_s
        timer = self._clock.callLater(
            timeout_s,
            lambda: self.fail(
                SilenceError(f"Timeout connecting to the MASTER... no answer from the primary within {timeout_s} s")
            ),
        )
        self._offer_line()
        try:
            return await wanted
        finally:
            if timer.active():
                timer.cancel()

    def rest(self) -> None:
        """Read no further for now; the primary's silence is our doing."""
        self.rests = True
        self.transport.pauseProducing()

    def go_on(self) -> None:
        """Read on after `rest`."""
        if self.rests and not self._lost:
            self.rests = False
            self._node.following.primary_spoke(0)
            self.transport.resumeProducing()

    def take_buffer(self) -> bytes:
        """What came after the last line."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._node.stats.primary_input_bytes += len(data)
        return data
