"""The reactor of `txrepl-server`: events reach the connections, and a bad one harms no other."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import LogEvent, globalLogPublisher
from zope.interface import implementer

if not sys.platform.startswith("linux"):
    pytest.skip("epoll is Linux's", allow_module_level=True)

from txrepl.net.polling import EpollReactor


@implementer(IReadDescriptor)
class Reader:
    """One end of a pair of sockets; what came in, and why it ended."""

    def __init__(self, *, fails: bool = False) -> None:
        self.far, self._near = socket.socketpair()
        self.fails = fails
        self.received = b""
        self.ended = False

    def fileno(self) -> int:
        return self._near.fileno()

    def logPrefix(self) -> str:  # noqa: N802
        raise AssertionError("nobody asks for a context")

    def doRead(self) -> None:  # noqa: N802
        if self.fails:
            raise ValueError("no reading here")
        self.received += self._near.recv(100)

    def connectionLost(self, reason: object) -> None:  # noqa: N802
        self.ended = True
        if self.fails:
            raise ValueError("no ending either")

    def close(self) -> None:
        self.far.close()
        self._near.close()


@pytest.fixture
def reactor() -> Iterator[EpollReactor]:
    made = EpollReactor()
    yield made
    made.removeAll()
    made._poller.close()


def test_a_connection_that_fails_twice_harms_no_other(reactor: EpollReactor) -> None:
    """It is disconnected, that is logged, and the others read on."""
    bad, good = Reader(fails=True), Reader()
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        for reader in (bad, good):
            reactor.addReader(reader)
            reader.far.send(b"x")
        reactor.doIteration(5.0)
        reactor.doIteration(0)
        assert good.received == b"x" and bad.ended and not good.ended
        assert reactor.getReaders().count(bad) == 0 and good in reactor.getReaders()
        failures = [event["log_failure"].getErrorMessage() for event in seen if "log_failure" in event]
        assert failures[-1] == "no ending either"
    finally:
        globalLogPublisher.removeObserver(seen.append)
        reactor.removeReader(good)
        bad.close()
        good.close()


def test_waiting_ends_with_its_time(reactor: EpollReactor) -> None:
    """Nothing has come."""
    quiet = Reader()
    reactor.addReader(quiet)
    reactor.doIteration(0.01)
    assert quiet.received == b""
    reactor.removeReader(quiet)
    quiet.close()
