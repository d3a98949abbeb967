"""Questions to a server that a test plays by hand."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from txrepl.errors import CommandError, ReplicationError, SilenceError
from txrepl.peers.asking import SILENCE_S, Peer
from txrepl.resp.requests import encode_command


class Line:
    """A connection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.peer = Peer(self.clock)
        self.transport = StringTransport()
        self.peer.makeConnection(self.transport)

    def begin(self, conversation: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(conversation)

    def say(self, data: bytes) -> None:
        self.peer.dataReceived(data)


@pytest.fixture
def line() -> Line:
    return Line()


def fails(asked: Deferred[Any], kind: type[Exception]) -> str:
    found: list[Failure] = []
    asked.addErrback(found.append)
    assert found and found[0].check(kind), found
    return found[0].getErrorMessage()


def result(asked: Deferred[Any]) -> Any:
    found: list[Any] = []
    asked.addCallback(found.append)
    assert found, "no answer yet"
    return found[0]


def test_a_pipeline_is_one_write_and_as_many_replies(line: Line) -> None:
    """In order, and only when all have come; errors are values."""
    asked = line.begin(line.peer.pipeline([(b"GET", b"a"), (b"GET", b"b")]))
    assert line.transport.value() == encode_command((b"GET", b"a")) + encode_command((b"GET", b"b"))
    line.say(b"$1\r\n1\r\n")
    assert not asked.called
    line.say(b"-ERR no\r\n")
    first, second = result(asked)
    assert first == b"1" and isinstance(second, CommandError)
    assert line.clock.getDelayedCalls() == []


def test_asking_raises_an_error_reply(line: Line) -> None:
    """And the connection goes on."""
    asked = line.begin(line.peer.ask(b"AUTH", b"x"))
    line.say(b"-WRONGPASS no\r\n")
    assert "WRONGPASS" in fails(asked, CommandError)
    asked = line.begin(line.peer.ask(b"PING"))
    line.say(b"+PONG\r\n")
    assert result(asked) == "PONG"


def test_a_transaction_gives_what_exec_answers(line: Line) -> None:
    """An error at queueing time, and an EXEC that answers nothing, are raised."""
    asked = line.begin(line.peer.atomically([(b"GET", b"a"), (b"TIME",)]))
    line.say(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n1\r\n*0\r\n")
    assert result(asked) == [b"1", []]
    asked = line.begin(line.peer.atomically([(b"GET", b"a")]))
    line.say(b"+OK\r\n-NOPERM get\r\n-EXECABORT x\r\n")
    assert "NOPERM" in fails(asked, CommandError)
    asked = line.begin(line.peer.atomically([(b"GET", b"a")]))
    line.say(b"+OK\r\n+QUEUED\r\n*-1\r\n")
    fails(asked, ReplicationError)


def test_silence_ends_it_and_every_piece_puts_it_off(line: Line) -> None:
    """A slow answer is fine; none is not."""
    asked = line.begin(line.peer.pipeline([(b"A",), (b"B",)]))
    line.clock.advance(SILENCE_S - 1)
    line.say(b"+OK\r\n")
    line.clock.advance(SILENCE_S - 1)
    assert not asked.called
    line.clock.advance(1)
    fails(asked, SilenceError)
    assert line.transport.disconnected or line.transport.disconnecting


def test_a_connection_that_ends_or_talks_nonsense(line: Line) -> None:
    """Whoever waits hears it, and so does who asks later."""
    asked = line.begin(line.peer.ask(b"PING"))
    line.peer.connectionLost(Failure(ConnectionDone()))
    assert "closed" in fails(asked, ReplicationError)
    fails(line.begin(line.peer.ask(b"PING")), ReplicationError)
    for nonsense in (b"HTTP/1.1 400\r\n", b"+OK\r\n+and more\r\n"):
        other = Line()
        asked = other.begin(other.peer.ask(b"PING"))
        other.say(nonsense)
        fails(asked, ReplicationError)


def test_cancelling_leaves_no_timer(line: Line) -> None:
    """A comparison that is cancelled is over at once."""
    asked = line.begin(line.peer.ask(b"PING"))
    asked.cancel()
    fails(asked, CancelledError)
    assert line.clock.getDelayedCalls() == []
