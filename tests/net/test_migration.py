"""MIGRATE's connections, with a clock of their own and no socket."""

from __future__ import annotations

import random
from typing import Any

import pytest
from twisted.internet import defer, task
from twisted.internet.error import ConnectionDone, ConnectionRefusedError, DNSLookupError
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from txrepl.commands.migration import Migration, Order
from txrepl.config import Config
from txrepl.net.migration import KEPT_MAX, KEPT_S, LINE_MAX_BYTES, Migrator, TargetWire
from txrepl.node import Node
from txrepl.resp.replies import Reply, encode

READING = b"-IOERR error or timeout reading to target instance\r\n"
WRITING = b"-IOERR error or timeout writing to target instance\r\n"
CONNECTING = b"-IOERR error or timeout connecting to the client\r\n"


class Pipe(StringTransport):
    """A connection that takes chunks when the test lets it."""

    aborted = False

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
        """Nothing to delay."""

    def abortConnection(self) -> None:  # noqa: N802
        """Noted; the test says when the connection is gone."""
        self.aborted = True

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """The first chunk is asked for at once, as a socket does."""
        super().registerProducer(producer, streaming)
        producer.resumeProducing()

    def drain(self) -> bytes:
        """Take chunks until there are no more; what was sent."""
        while self.producer is not None:
            self.producer.resumeProducing()
        sent = self.value()
        self.clear()
        return sent


class Bench:
    """A migrator, a clock, and the targets it connects to."""

    def __init__(self) -> None:
        self.clock = task.Clock()
        self.node = Node(Config(), lambda: 1_700_000_000_000, random.Random(1), lambda: "0" * 40, lambda *_: None)
        self.migrator = Migrator(self.node, self.clock, self.endpoint)
        self.wires: list[TargetWire] = []
        self.fails: Exception | None = None
        self.answers: list[bytes] = []

    def endpoint(self, host: str, port: int, timeout_s: float) -> Any:
        """One that connects at once, or fails at once, or never does either when `fails` is a TimeoutError."""
        bench = self

        class Endpoint:
            def connect(self, factory: Any) -> defer.Deferred[Any]:
                if isinstance(bench.fails, TimeoutError):
                    return defer.Deferred()
                if bench.fails is not None:
                    return defer.fail(bench.fails)
                wire = factory.buildProtocol(None)
                wire.makeConnection(Pipe())
                bench.wires.append(wire)
                return defer.succeed(wire)

        return Endpoint()

    def begin(self, key: bytes = b"k", port: int = 1, timeout_ms: int = 500) -> None:
        """MIGRATE the key, whose value is `v`."""
        db = self.node.keyspace.databases[0]
        db.put(key, b"v")
        order = Order("h", port, 0, timeout_ms)
        migration: Migration = self.node.migrations.begin(order, db, [key], follows=False)
        migration.answer = self._answered
        self.migrator.migrate(migration)
        self.clock.advance(0)

    def _answered(self, reply: Reply) -> None:
        self.answers.append(encode(reply, 2))

    def move(self, key: bytes = b"k", port: int = 1) -> None:
        """The same, to its good end."""
        before = len(self.answers)
        self.begin(key, port)
        while len(self.answers) == before:
            wire = next(wire for wire in self.wires if wire.transport.producer is not None or wire.transport.value())
            sent = wire.transport.drain()
            wire.dataReceived(b"+OK\r\n" * sent.count(b"\r\nSELECT\r\n") or b"+OK\r\n")
        assert self.answers[-1] == b"+OK\r\n"

    def lose(self, wire: TargetWire) -> None:
        """The target closes."""
        wire.connectionLost(Failure(ConnectionDone()))


def test_a_connection_is_kept_for_the_next_migration_and_closed_when_none_comes() -> None:
    """Ten idle seconds after the last use; INFO's number follows."""
    bench = Bench()
    bench.move()
    bench.clock.advance(KEPT_S - 1)
    bench.move()
    assert len(bench.wires) == 1
    bench.clock.advance(KEPT_S - 0.1)
    assert (bench.node.migrations.cached_sockets, bench.wires[0].transport.aborted) == (1, False)
    bench.clock.advance(0.1)
    assert (bench.node.migrations.cached_sockets, bench.wires[0].transport.aborted) == (0, True)
    bench.lose(bench.wires[0])
    bench.move()
    assert len(bench.wires) == 2


def test_a_kept_connection_that_the_target_closes_or_speaks_on_is_not_used_again() -> None:
    """Neither can be trusted to answer what is asked next."""
    bench = Bench()
    bench.move()
    bench.lose(bench.wires[0])
    assert bench.node.migrations.cached_sockets == 0
    bench.move()
    bench.wires[1].dataReceived(b"+what?\r\n")
    assert bench.wires[1].transport.aborted
    assert bench.node.migrations.cached_sockets == 0
    bench.move()
    assert len(bench.wires) == 3


def test_two_migrations_to_one_target_have_a_connection_each() -> None:
    """And one of the two is kept."""
    bench = Bench()
    bench.begin(b"a")
    bench.begin(b"b")
    for wire in bench.wires:
        wire.transport.drain()
        wire.dataReceived(b"+OK\r\n")
        wire.transport.drain()
        wire.dataReceived(b"+OK\r\n")
    assert bench.answers == [b"+OK\r\n"] * 2
    assert [wire.transport.aborted for wire in bench.wires] == [False, True]
    assert bench.node.migrations.cached_sockets == 1


def test_kept_connections_are_bounded() -> None:
    """The one kept longest makes room."""
    bench = Bench()
    for port in range(1, KEPT_MAX + 2):
        bench.move(port=port)
    assert bench.node.migrations.cached_sockets == KEPT_MAX
    assert [wire.transport.aborted for wire in bench.wires] == [True] + [False] * KEPT_MAX
    bench.migrator.stop()
    assert all(wire.transport.aborted for wire in bench.wires)
    assert not bench.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("failure", "reply"),
    [
        (ConnectionRefusedError(), WRITING),
        (DNSLookupError(), CONNECTING),
        (OSError(113, "No route to host"), CONNECTING),
        (ValueError("embedded null byte"), CONNECTING),
        (TimeoutError(), CONNECTING),
    ],
)
def test_what_cannot_be_connected_is_an_error_in_redis_words(failure: Exception, reply: bytes) -> None:
    """At once, or when the timeout is over."""
    bench = Bench()
    bench.fails = failure
    bench.begin()
    bench.clock.advance(0.5)
    assert bench.answers == [reply]
    assert bench.node.keyspace.databases[0].data == {b"k": b"v"}
    assert not bench.clock.getDelayedCalls()


def test_a_silent_target_is_given_up_after_the_timeout() -> None:
    """Its connection is closed; each answer begins the time anew."""
    bench = Bench()
    bench.begin()
    (wire,) = bench.wires
    wire.transport.drain()
    bench.clock.advance(0.4)
    wire.dataReceived(b"+OK\r\n")
    wire.transport.drain()
    bench.clock.advance(0.4)
    wire.dataReceived(b"+O")
    assert bench.answers == []
    bench.clock.advance(0.1)
    assert bench.answers == [READING]
    assert wire.transport.aborted
    assert bench.node.migrations.cached_sockets == 0
    wire.dataReceived(b"K\r\n")
    bench.lose(wire)
    assert bench.node.keyspace.databases[0].data == {b"k": b"v"}


def test_a_target_that_takes_nothing_is_an_error_of_writing() -> None:
    """As long as chunks go out, time begins anew."""
    bench = Bench()
    bench.begin()
    (wire,) = bench.wires
    bench.clock.advance(0.4)
    wire.transport.producer.resumeProducing()
    wire.dataReceived(b"+OK\r\n")
    bench.clock.advance(0.5)
    assert bench.answers == [WRITING]


def test_a_line_without_end_closes_the_connection() -> None:
    """What is no Redis may not fill the memory."""
    bench = Bench()
    bench.begin()
    (wire,) = bench.wires
    wire.transport.drain()
    wire.dataReceived(b"x" * (LINE_MAX_BYTES + 1))
    assert wire.transport.aborted
    bench.lose(wire)
    assert len(bench.wires) == 2  # it is tried once more
    bench.lose(bench.wires[1])
    assert bench.answers[0].startswith(b"-IOERR")
