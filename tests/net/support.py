"""A node on a clock with connections in memory, and a primary that a test plays by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.admin.support import FakeHost
from txrepl.config import Config
from txrepl.directives import follow_directives
from txrepl.net.clients import Client
from txrepl.net.primary_link import PrimaryLink
from txrepl.node import Node
from txrepl.resp.requests import encode_command

START_MS = 1_700_000_000_000


class Transport(StringTransport):
    """A connection in memory.

    Attributes:
        pending_bytes: what the socket has not taken.
        room_bytes: how much it takes before it pauses a producer; None = anything.
        writes: each write on its own.
        ended: `closed` after pending output, or `aborted`; empty while it is open.
    """

    def __init__(self, peer: str = "127.0.0.1") -> None:
        super().__init__(IPv4Address("TCP", "127.0.0.1", 6379), IPv4Address("TCP", peer, 50000))
        self.pending_bytes = 0
        self.room_bytes: int | None = None
        self.writes: list[bytes] = []
        self.ended = ""
        self.protocol: Any = None
        self.is_gone = False
        self.on_end: Callable[[], None] = lambda: None

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Of no matter here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
        """Of no matter here."""

    def write(self, data: bytes) -> None:
        """Take bytes, and pause the producer when there is no more room."""
        assert not self.is_gone
        super().write(data)
        self.writes.append(data)
        if self.room_bytes is not None:
            self.room_bytes -= len(data)
            if self.room_bytes <= 0 and self.producer is not None and self.streaming:
                self.producer.pauseProducing()

    def drain(self, room_bytes: int | None = None) -> None:
        """The peer has read everything."""
        self.room_bytes = room_bytes
        if self.producer is not None:
            self.producer.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """As Twisted's: a connection that is gone stops the producer at once."""
        if self.is_gone or self.ended:
            producer.stopProducing()
            return
        super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:  # noqa: N802
        """As Twisted's: none is needed."""
        self.producer = None

    def loseConnection(self) -> None:  # noqa: N802
        """Close after pending output."""
        self._end("closed")

    def abortConnection(self) -> None:  # noqa: N802
        """Close at once."""
        self._end("aborted")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            self.on_end()

    def lose(self) -> None:
        """The connection is gone, as Twisted tells it: first the producer, then the protocol."""
        if self.is_gone:
            return
        self.is_gone = True
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(ConnectionDone()))

    def take(self) -> bytes:
        """What was written since the last call."""
        data: bytes = self.value()
        self.clear()
        self.writes.clear()
        return data


class Timers(FakeHost):
    """A host whose timers are a clock's, and whose primary is linked by a `PrimaryLink`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.link: PrimaryLink | None = None

    def later(self, delay_ms: int, action: Callable[[], None]) -> Any:
        """Call an action after a while."""
        timer = self.clock.callLater(delay_ms / 1000, action)

        class Cancellable:
            def cancel(self) -> None:
                if timer.active():
                    timer.cancel()

        return Cancellable()

    def connect_primary(self) -> None:
        """Begin to connect."""
        super().connect_primary()
        if self.link is not None:
            self.link.start()

    def drop_primary(self) -> None:
        """Close the link."""
        super().drop_primary()
        if self.link is not None:
            self.link.stop()

    def acknowledge(self, offset: int) -> None:
        """Send an acknowledgement."""
        super().acknowledge(offset)
        if self.link is not None:
            self.link.acknowledge(offset)


class Bench:
    """A node, and whoever connects to it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.host = Timers(self.clock)
        ids = itertools.count(1)
        self.node = Node(
            Config(),
            lambda: START_MS + round(self.clock.seconds() * 1000),
            random.Random(1),
            lambda: f"{next(ids):040x}",
            lambda level, message: self.lines.append(message),
        )
        self.node.host = self.host
        self.node.primary.snapshots = self.host.snapshots
        follow_directives(self.node)

    def connect(self, peer: str = "127.0.0.1") -> tuple[Client, Transport]:
        """A client connects."""
        client, transport = Client(self.node), Transport(peer)
        transport.protocol = client
        client.makeConnection(transport)
        return client, transport

    def replica(self) -> tuple[Client, Transport]:
        """A client connects and asks for a full sync, which starts at once."""
        self.node.settings.diskless_delay_s = 0
        client, transport = self.connect()
        client.dataReceived(encode_command([b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"]))
        client.dataReceived(encode_command([b"PSYNC", b"?", b"-1"]))
        return client, transport

    def run(self, *words: bytes) -> bytes:
        """Some client sends a command; its reply."""
        client, transport = self.connect()
        client.dataReceived(encode_command(words))
        transport.lose()
        return transport.take()

    def said(self, text: str) -> int:
        """In how many lines a text was logged."""
        return sum(text in line for line in self.lines)


class Endpoint:
    """A primary's address: connecting waits until a test accepts or refuses it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.cancelled = False
        self.factory: Any = None
        self._connected: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, _: Any) -> None:
        self.cancelled = True

    def connect(self, factory: Any) -> Deferred[Any]:
        """Begin to connect."""
        self.factory = factory
        return self._connected

    def accept(self, clock: Clock) -> Transport:
        """The primary accepts; closing the connection is noticed a turn later."""
        transport = Transport()
        transport.protocol = self.factory.buildProtocol(None)
        transport.on_end = lambda: clock.callLater(0, transport.lose) and None
        transport.protocol.makeConnection(transport)
        self._connected.callback(transport.protocol)
        return transport

    def refuse(self, error: Exception) -> None:
        """The primary cannot be reached."""
        self._connected.errback(error)
