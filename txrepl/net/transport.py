"""A TCP transport that writes at once.

Twisted's `write` waits for the next turn of the reactor, which costs two system calls and a wake-up for each reply.
Here bytes go straight to the socket while nothing is pending; what the socket does not take is buffered as usual.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp


class WriteThroughServer(tcp.Server):
    """The server side of a connection."""

    def write(self, data: bytes) -> None:
        """Send now what the socket takes, buffer the rest.

        A pull producer lives on turns of the reactor, so its bytes are always buffered.
        """
        if (
            not self._tempDataLen
            and self.offset == len(self.dataBuffer)
            and self.connected
            and not self.disconnecting
            and (self.producer is None or self.streamingProducer)
        ):
            try:
                sent = self.socket.send(data)
            except OSError:
                sent = 0  # the buffered write meets the same error and reports it
            if sent == len(data):
                return
            if sent:
                data = data[sent:]
        super().write(data)

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
