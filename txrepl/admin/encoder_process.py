"""A change stream's encoder as a process of its own: `python -m txrepl.changes`, over a socket pair."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol, cast

from twisted.internet import protocol, tcp
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure

import txrepl
from txrepl.changes.encoder import Frames, frame

LINGER_S: Final = 2
"""How long the process may take to end once its socket is closed."""


class EncoderLink(Protocol):
    """A connection with an encoder."""

    def send(self, message: bytes) -> None:
        """Send it a message."""

    def close(self) -> None:
        """It is wanted no longer; nothing is heard of it any more."""


StartEncoder = Callable[[Callable[[memoryview], None], Callable[[str], None]], EncoderLink]
"""Starts an encoder: called with what takes its answers, and what is told, in words, when it is lost.

Raises:
    OSError: it cannot be started.
"""


class _Connection(tcp.Connection):
    """Our end of the socket pair. Much comes at once, so much is read at once."""

    bufferSize = 512 * 1024  # noqa: N815
    connected = 1


class EncoderProcess(protocol.Protocol):
    """The connection with one process.

    Parameters:
        reactor: Twisted's reactor.
        received: called with each answer.
        lost: called with the reason when the process ends by itself.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, reactor: Any, received: Callable[[memoryview], None], lost: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._received = received
        self._lost: Callable[[str], None] | None = lost
        self._frames = Frames()
        ours, theirs = socket.socketpair()
        with theirs:
            # Not from the working directory, which is the data's (-P), but from where this very package is.
            paths = [str(Path(txrepl.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-P", "-m", "txrepl.changes"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)},
            )
        ours.setblocking(False)
        connection: Any = _Connection(ours, cast(IProtocol, self), reactor)
        self.makeConnection(connection)
        connection.startReading()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def send(self, message: bytes) -> None:
        """Send it a message."""
        transport: Any = self.transport
        transport.write(frame(message))

    def close(self) -> None:
        """It is wanted no longer."""
        self._lost = None
        transport: Any = self.transport
        transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Answers."""
        for message in self._frames.feed(data):
            if self._lost is not None:
                self._received(message)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The process has ended, or is about to."""
        if self._process.poll() is None:
            self._reactor.callLater(LINGER_S, self._reap)
        if self._lost is not None:
            lost, self._lost = self._lost, None
            lost(reason.getErrorMessage())

    def _reap(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
