"""A follower's connections in Twisted (`txrepl.following.network`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import protocol, task
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

AHEAD_BYTES: Final = 256 * 1024


class TwistedConnection(protocol.Protocol):
    """A connection that reads ahead up to `AHEAD_BYTES`."""

    transport: Any

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._closed = False
        self._paused = False
        self._wanted: Deferred[None] | None = None

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes came."""
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes >= AHEAD_BYTES and not self._paused:
            self._paused = True
            self.transport.pauseProducing()
        self._tell()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        self._closed = True
        self._tell()

    def _tell(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.callback(None)

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes; empty when the peer has closed."""
        if not self._pieces and not self._closed:
            wanted = self._wanted = Deferred()
            wanted.addTimeout(timeout_s, self._clock)
            try:
                await wanted
            except DeferredTimeoutError as error:
                raise TimeoutError("nothing came in time") from error
            finally:
                self._wanted = None
        pieces, self._pieces, self._held_bytes = self._pieces, [], 0
        if self._paused and not self._closed:
            self._paused = False
            self.transport.resumeProducing()
        return b"".join(pieces)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._closed:
            self.transport.write(data)

    def close(self) -> None:
        """Close it at once."""
        if not self._closed:
            self.transport.abortConnection()


class TwistedNetwork:
    """Twisted's.

    Parameters:
        reactor: makes the connections.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    async def connect(self, host: str, port: int, timeout_s: float) -> TwistedConnection:
        """Connect."""
        factory: Any = protocol.Factory.forProtocol(lambda: TwistedConnection(self._reactor))
        factory.noisy = False
        try:
            connection: TwistedConnection = await HostnameEndpoint(
                self._reactor, host, port, timeout=timeout_s
            ).connect(factory)
        except (ConnectError, DNSLookupError) as error:
            raise OSError(str(error)) from error
        connection.transport.setTcpNoDelay(True)
        return connection

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await task.deferLater(self._reactor, seconds)

    def every(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` again and again."""
        loop = task.LoopingCall(action)
        loop.clock = self._reactor
        loop.start(seconds, now=False)
        return loop.stop
