"""MIGRATE's connections: open them, keep them for the next MIGRATE to the same target, give up on a silent one.

What is said over them stands in `commands.migration`. A connection serves one migration at a time; two at once to one
target have one each. Like Redis's (`migrateGetSocket`) a connection is kept for 10 seconds, and at most 64 are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet import defer, protocol
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionRefusedError, DNSLookupError
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from txrepl.commands.migration import LINE_MAX_BYTES, UNKNOWN_DATABASE, Migration, Order, chunks
from txrepl.errors import MigrationError
from txrepl.net.migration_blocking import BlockingTarget, run_blocking
from txrepl.node import Node

KEPT_S: Final = 10
KEPT_MAX: Final = 64
NEXT_ADDRESS_S: Final = 0.05
"""How long one address of a name may take before the next is tried beside it."""


class TargetWire(LineOnlyReceiver):
    """A connection to a target.

    Parameters:
        place: host and port.
        clock: time.
        gone: called with it when it has closed.
    """

    MAX_LENGTH = LINE_MAX_BYTES
    transport: Any

    def __init__(self, place: tuple[str, int], clock: Any, gone: Callable[[TargetWire], None]) -> None:
        self.place = place
        self.database = UNKNOWN_DATABASE
        self.timeout_s: float = 0
        self.timer: Any = None
        self._clock = clock
        self._gone = gone
        self._doing = "writing"
        self._lines: deque[bytes] = deque()
        self._chunks: Iterator[bytes] = iter(())
        self._waiting: defer.Deferred[None] | None = None
        self._lost = False

    @property
    def is_idle(self) -> bool:
        """Open, and nothing is left over from the last conversation."""
        return not self._lost and not self._lines and self._waiting is None

    async def send(self, pieces: Iterator[bytes]) -> None:
        """Send pieces as the connection takes them."""
        self._doing = "writing"
        self._chunks = chunks(pieces)
        waiting = self._wait()
        self.transport.registerProducer(self, False)
        await waiting

    async def line(self) -> bytes:
        """The next line."""
        if not self._lines:
            self._doing = "reading"
            await self._wait()
        return self._lines.popleft()

    def _wait(self) -> defer.Deferred[None]:
        if self._lost:
            raise MigrationError(self._doing)
        self._waiting = defer.Deferred()
        self.timer = self._clock.callLater(self.timeout_s, self._timed_out)
        return self._waiting

    def _done(self, error: MigrationError | None = None) -> None:
        waiting, self._waiting = self._waiting, None
        self.stop_timer()
        if waiting is None:
            return
        if error is None:
            waiting.callback(None)
        else:
            waiting.errback(error)

    def stop_timer(self) -> None:
        """Whatever the timer was for has happened."""
        if self.timer is not None and self.timer.active():
            self.timer.cancel()
        self.timer = None

    def _timed_out(self) -> None:
        self._done(MigrationError(self._doing, timed_out=True))

    # -- what Twisted calls

    def resumeProducing(self) -> None:  # noqa: N802
        """There is room for the next chunk."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self.transport.unregisterProducer()
            self._done()
        else:
            if self.timer is not None and self.timer.active():
                self.timer.reset(self.timeout_s)
            self.transport.write(chunk)

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone; `connectionLost` says so too."""

    def lineReceived(self, line: bytes) -> None:  # noqa: N802
        """A line of the target."""
        self._lines.append(line)
        if self._waiting is None:  # nobody has asked: what is answered next cannot be told
            self.transport.abortConnection()
            self._gone(self)
        elif self._doing == "reading":
            self._done()

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: N802
        """No Redis is there."""
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        self._lost = True
        self._done(MigrationError(self._doing))
        self._gone(self)


class Migrator:
    """Runs a node's migrations.

    Parameters:
        reactor: Twisted's reactor.
        connect: makes an endpoint of host, port and timeout in s; for tests.
    """

    def __init__(self, node: Node, reactor: Any, connect: Callable[[str, int, float], Any] | None = None) -> None:
        self._node = node
        self._clock = reactor
        self._endpoint = connect or self._endpoint_of
        self._kept: dict[tuple[str, int], TargetWire] = {}

    def migrate(self, migration: Migration) -> None:
        """Run a migration, from the next turn of the reactor on."""
        self._clock.callLater(0, lambda: defer.Deferred.fromCoroutine(self._run(migration)).addErrback(self._failed))

    async def _run(self, migration: Migration) -> None:
        try:
            await migration.run(self)
        finally:
            self._node.migrating.migrated(migration)

    def _failed(self, failure: Failure) -> None:
        self._node.log("warning", f"A MIGRATE ended unexpectedly: {failure.getErrorMessage()}")

    def migrate_now(self, migration: Migration) -> None:
        """Run a migration over a connection of its own, blocking the reactor."""
        run_blocking(migration.run(BlockingTarget()))

    def stop(self) -> None:
        """Close what is kept."""
        for wire in list(self._kept.values()):
            self.drop(wire)

    # -- connections

    async def open(self, order: Order) -> TargetWire:
        """The kept connection to the target, or a new one."""
        place = (order.host, order.port)
        timeout_s = order.timeout_ms / 1000
        wire = self._kept.pop(place, None)
        if wire is None:
            wire = await self._connect(place, timeout_s)
        else:
            wire.stop_timer()
        wire.timeout_s = timeout_s
        self._count()
        return wire

    def _endpoint_of(self, host: str, port: int, timeout_s: float) -> Any:
        if isIPAddress(host):
            return TCP4ClientEndpoint(self._clock, host, port, timeout_s)
        if isIPv6Address(host):
            return TCP6ClientEndpoint(self._clock, host, port, timeout_s)
        return HostnameEndpoint(self._clock, host, port, timeout_s, attemptDelay=NEXT_ADDRESS_S)

    async def _connect(self, place: tuple[str, int], timeout_s: float) -> TargetWire:
        made = TargetWire(place, self._clock, self._closed)
        factory: Any = protocol.Factory.forProtocol(lambda: made)
        factory.noisy = False
        try:
            connecting = self._endpoint(*place, timeout_s).connect(factory)
            wire: TargetWire = await connecting.addTimeout(timeout_s, self._clock)
        except ConnectionRefusedError:
            raise MigrationError("writing") from None  # as Redis has it, which connects without looking
        except (ConnectError, ConnectingCancelledError, DNSLookupError, defer.TimeoutError, OSError, ValueError):
            raise MigrationError("connecting", timed_out=True) from None
        wire.transport.setTcpNoDelay(True)
        return wire

    def keep(self, order: Order, wire: TargetWire) -> None:
        """Keep the connection for the next migration to its target, unless there is one already."""
        if not wire.is_idle or wire.place in self._kept:
            self.drop(wire)
            return
        if len(self._kept) == KEPT_MAX:
            self.drop(next(iter(self._kept.values())))
        self._kept[wire.place] = wire
        wire.timer = self._clock.callLater(KEPT_S, lambda: self.drop(wire))
        self._count()

    def drop(self, wire: TargetWire) -> None:
        """Close the connection."""
        self._closed(wire)
        wire.transport.abortConnection()

    def _closed(self, wire: TargetWire) -> None:
        wire.stop_timer()
        if self._kept.get(wire.place) is wire:
            del self._kept[wire.place]
        self._count()

    def _count(self) -> None:
        self._node.migrations.cached_sockets = len(self._kept)
