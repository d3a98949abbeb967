"""A TCP transport that writes at once.

Twisted's `write` waits for the next turn of the reactor, which costs two system calls and a wake-up for each reply.
Here bytes go straight to the socket while nothing is pending; what the socket does not take is buffered as usual.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any, Final

from twisted.internet import tcp

SENT: Final = object()
"""What `write` returns when the socket took everything: who counts what is pending need not ask."""


class WriteThroughServer(tcp.Server):
    """The server side of a connection."""

    def write(self, data: bytes) -> object:  # type: ignore[override]
        """Send now what the socket takes, buffer the rest.

        A pull producer lives on turns of the reactor, so its bytes are always buffered.

        Returns:
            `SENT` if nothing is left.
        """
        if self._may_send():
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # the buffered write meets the same error and reports it
            if sent == len(data):
                return SENT
            if sent:
                data = data[sent:]
        super().write(data)
        return None

    def writeSequence(self, iovec: Iterable[bytes]) -> None:  # noqa: N802
        """The same for several pieces, which are not copied together."""
        pieces = list(iovec)
        if self._may_send():
            try:
                sent = self.socket.sendmsg(pieces)
            except OSError:
                sent = 0
            while pieces and sent >= len(pieces[0]):
                sent -= len(pieces.pop(0))
            if sent:
                pieces[0] = pieces[0][sent:]
        if pieces:
            super().writeSequence(pieces)

    def _may_send(self) -> bool:
        if self._tempDataLen or self.offset != len(self.dataBuffer) or self.disconnecting or not self.connected:
            return False
        return self.producer is None or bool(self.streamingProducer)

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait for the socket."""
        pending: int = self._tempDataLen + len(self.dataBuffer) - self.offset
        return pending


class WriteThroughPort(tcp.Port):
    """A listening port whose connections write at once."""

    transport = WriteThroughServer

    def createInternetSocket(self) -> Any:  # noqa: N802
        """A socket that may share its port with connections in TIME_WAIT, and nobody else."""
        listening = super().createInternetSocket()
        if self.addressFamily == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        return listening
