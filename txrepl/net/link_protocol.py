"""The connection to the primary: lines while the handshake lasts, each waited for, then bytes for whoever receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import defer, protocol
from twisted.python.failure import Failure

from txrepl.node import Node
from txrepl.peers.line_wire import LineWire


class LinkProtocol(LineWire):
    """The connection: lines during the handshake, then whatever `receive` is set to."""

    def __init__(self, node: Node, clock: Any) -> None:
        super().__init__(clock, lambda: node.settings.timeout_s)
        self._node = node
        self.receive: Callable[[bytes], None] | None = None
        self.closed: defer.Deferred[None] = defer.Deferred()
        self.rests = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes from the primary."""
        self._node.following.primary_spoke(len(data) if self.receive is not None else 0)
        if self.receive is not None:
            self.receive(data)
        else:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        super().connectionLost(reason)
        if not self.closed.called:
            self.closed.callback(None)

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
