"""The transport that writes at once, over a socket that takes as much as a test lets it."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from txrepl.net.transport import WriteThroughServer


class Socket:
    """Takes `room` bytes; None = all, and -1 = fails."""

    def __init__(self) -> None:
        self.taken = b""
        self.room: int | None = None
        self.calls = 0

    def send(self, data: bytes) -> int:
        """Take what there is room for."""
        self.calls += 1
        if self.room == -1:
            raise OSError(errno.EPIPE, "Broken pipe")
        if self.room == 0:
            raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable")
        count = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= count
        self.taken += bytes(data[:count])
        return count

    def sendmsg(self, pieces: list[bytes]) -> int:
        """The same for several pieces."""
        return self.send(b"".join(pieces))

    def setblocking(self, flag: bool) -> None:
        """Of no matter here."""

    def shutdown(self, how: int) -> None:
        """Of no matter here."""

    def setsockopt(self, *option: int) -> None:
        """Of no matter here."""

    def close(self) -> None:
        """Of no matter here."""

    def fileno(self) -> int:
        """No descriptor."""
        return 99


class Reactor(Clock):
    """Notes who waits to write."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addReader(self, reader: Any) -> None:  # noqa: N802
        """Of no matter here."""

    def removeReader(self, reader: Any) -> None:  # noqa: N802
        """Of no matter here."""

    def addWriter(self, writer: Any) -> None:  # noqa: N802
        """Someone waits for room."""
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:  # noqa: N802
        """Someone waits no more."""
        self.writers.discard(writer)


class Port:
    """A listening port, as far as a connection's name needs it."""

    _realPortNumber = 6379  # noqa: N815


class Lost(Protocol):
    """Notes the end of the connection."""

    reason: Failure | None = None

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008, N802
        """The connection is gone."""
        self.reason = reason


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Notes what the transport says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def pauseProducing(self) -> None:  # noqa: N802
        """No more for now."""
        self.said.append("pause")

    def resumeProducing(self) -> None:  # noqa: N802
        """More."""
        self.said.append("resume")

    def stopProducing(self) -> None:  # noqa: N802
        """No more, ever."""
        self.said.append("stop")


class Wire:
    """A connection, its socket and its reactor."""

    def __init__(self) -> None:
        self.socket = Socket()
        self.reactor = Reactor()
        self.protocol = Lost()
        self.transport = WriteThroughServer(self.socket, self.protocol, ("127.0.0.1", 50000), Port(), 1, self.reactor)
        self.protocol.makeConnection(self.transport)

    @property
    def waits(self) -> bool:
        """Whether the reactor is asked for room."""
        return self.transport in self.reactor.writers

    def turn(self) -> None:
        """The socket has room, says the reactor."""
        failure = self.transport.doWrite()
        if failure is not None:
            self.transport.connectionLost(Failure(failure))


@pytest.fixture
def wire() -> Wire:
    """A connection with an empty socket."""
    return Wire()


def test_bytes_go_to_the_socket_at_once_while_nothing_is_pending(wire: Wire) -> None:
    """Without asking the reactor."""
    wire.transport.write(b"one")
    wire.transport.write(b"two")
    assert wire.socket.taken == b"onetwo" and wire.socket.calls == 2
    assert not wire.waits and wire.transport.pending_bytes == 0


@pytest.mark.parametrize("room", [0, 1, 4, 9])
def test_what_the_socket_does_not_take_follows_in_order(wire: Wire, room: int) -> None:
    """Bytes written later wait behind it, even when there is room again."""
    wire.socket.room = room
    wire.transport.write(b"0123456789")
    assert wire.socket.taken == b"0123456789"[:room] and wire.waits
    assert wire.transport.pending_bytes == 10 - room
    wire.socket.room = None
    calls = wire.socket.calls
    wire.transport.write(b"abc")
    assert wire.socket.calls == calls and wire.transport.pending_bytes == 13 - room
    wire.turn()
    assert wire.socket.taken == b"0123456789abc"
    assert wire.transport.pending_bytes == 0
    wire.transport.write(b"d")
    assert wire.socket.taken == b"0123456789abcd"


@pytest.mark.parametrize("room", [None, 0, 1, 4, 5, 9])
def test_pieces_are_sent_together_and_what_is_left_of_them_follows(wire: Wire, room: int | None) -> None:
    """In one call of the system; wherever the socket was full."""
    wire.socket.room = room
    wire.transport.writeSequence([b"0123", b"", b"45678", b"9"])
    assert wire.socket.calls == 1 and wire.socket.taken == b"0123456789"[: 10 if room is None else room]
    wire.socket.room = None
    wire.transport.writeSequence([b"a", b"b"])
    if room is not None:
        wire.turn()
    assert wire.socket.taken == b"0123456789ab" and wire.transport.pending_bytes == 0


def test_bytes_written_after_a_turn_that_did_not_take_everything_wait_too(wire: Wire) -> None:
    """What is left of the turn goes first."""
    wire.socket.room = 0
    wire.transport.write(b"0123456789")
    wire.socket.room = 4
    wire.turn()
    assert wire.socket.taken == b"0123" and wire.transport.pending_bytes == 6
    wire.socket.room = None
    wire.transport.write(b"abc")
    wire.turn()
    wire.turn()
    assert wire.socket.taken == b"0123456789abc"


def test_pending_bytes_count_down_as_the_socket_takes_them(wire: Wire) -> None:
    """Through buffers of both kinds."""
    wire.socket.room = 0
    wire.transport.write(b"x" * 100)
    wire.transport.write(b"y" * 100)
    for pending in (150, 100, 50, 0):
        wire.socket.room = 50
        wire.turn()
        assert wire.transport.pending_bytes == pending
    assert wire.socket.taken == b"x" * 100 + b"y" * 100


def test_a_broken_socket_is_reported_by_the_reactors_turn(wire: Wire) -> None:
    """Not by an exception out of write, which runs in the middle of a command."""
    wire.socket.room = -1
    wire.transport.write(b"one")
    assert wire.protocol.reason is None and wire.waits
    wire.turn()
    assert wire.protocol.reason is not None


def test_a_connection_that_is_closed_sends_its_pending_bytes_first(wire: Wire) -> None:
    """An error reply reaches the client that is closed for it."""
    wire.socket.room = 2
    wire.transport.write(b"error")
    wire.transport.loseConnection()
    wire.socket.room = None
    wire.turn()
    assert wire.socket.taken == b"error"


def test_a_pull_producers_bytes_are_buffered(wire: Wire) -> None:
    """It writes the next piece when the reactor finds the buffer empty; writing through would leave it waiting."""
    producer = Producer()
    wire.transport.registerProducer(producer, False)
    asked = len(producer.said)
    wire.transport.write(b"piece")
    assert wire.socket.taken == b"" and wire.waits
    wire.turn()
    assert wire.socket.taken == b"piece" and producer.said[asked:] == ["resume"]


def test_a_push_producers_bytes_are_written_through_until_the_socket_is_full(wire: Wire) -> None:
    """It is paused by what cannot be written, and resumed when that is gone."""
    producer = Producer()
    wire.transport.registerProducer(producer, True)
    wire.transport.write(b"piece")
    assert wire.socket.taken == b"piece" and producer.said == []
    wire.socket.room = 0
    wire.transport.write(b"x" * 100_000)
    assert producer.said == ["pause"]
    wire.socket.room = None
    wire.turn()
    wire.turn()
    assert producer.said == ["pause", "resume"] and wire.transport.pending_bytes == 0


def test_nothing_is_written_to_a_connection_that_is_gone(wire: Wire) -> None:
    """Silently, as Twisted does."""
    wire.transport.connectionLost(Failure(Exception("gone")))
    wire.transport.write(b"late")
    assert wire.socket.taken == b""
