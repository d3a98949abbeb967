"""The link to the primary: connects, speaks the handshake, receives the bulk and the stream, comes back when it breaks.

One coroutine makes one attempt after the other; what a step is and what it means stands in `replication.handshake`,
here are sockets and time. After a failure the next attempt follows a second later, for ever; after the loss of a link
that had lasted that long it follows at once (`replicationHandleMasterDisconnection`). A coroutine that is told
to stop while it runs (the stream itself may hold a REPLICAOF), or whose cancellation comes out as another error, knows
by its turn that it is no longer meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer, protocol, task
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError
from twisted.python.failure import Failure

from txrepl.errors import RdbError, ReplicationError, SyncRefusedError
from txrepl.net.full_sync import FullSync, ignore
from txrepl.node import Node
from txrepl.replication.handshake import Resync, handshake
from txrepl.replication.states import LinkState
from txrepl.replication.transcripts import Recorded
from txrepl.resp.requests import encode_command

RETRY_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
LINE_MAX_BYTES: Final = 64 * 1024


class LinkProtocol(protocol.Protocol):
    """The connection: lines during the handshake, then whatever `receive` is set to."""

    transport: Any

    def __init__(self, node: Node, clock: Any) -> None:
        self._node = node
        self._clock = clock
        self._buffer = bytearray()
        self._wanted: defer.Deferred[bytes] | None = None
        self.receive: Callable[[bytes], None] | None = None
        self.closed: defer.Deferred[None] = defer.Deferred()
        self._lost = False
        self.rests = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes from the primary."""
        self._node.primary_spoke(len(data))
        if self.receive is not None:
            self.receive(data)
            return
        self._buffer += data
        if len(self._buffer) > LINE_MAX_BYTES and b"\n" not in self._buffer:
            self.fail(ReplicationError("the primary sent a line without end"))
            return
        self._offer_line()

    def _offer_line(self) -> None:
        if self._wanted is None:
            return
        end = self._buffer.find(b"\n")
        if end >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            wanted, self._wanted = self._wanted, None
            wanted.callback(line)

    def fail(self, error: ReplicationError) -> None:
        """Give up on the connection."""
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.errback(error)
        if self.transport is not None:
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        self._lost = True
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted.errback(ReplicationError("the primary closed the connection"))
        if not self.closed.called:
            self.closed.callback(None)

    # -- the handshake's wire

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self.transport.write(encode_command(words))

    async def line(self) -> bytes:
        """The next line, within repl-timeout."""
        if self._lost:
            raise ReplicationError("the primary closed the connection")
        wanted: defer.Deferred[bytes] = defer.Deferred()
        self._wanted = wanted
        timeout_s = self._node.settings.timeout_s
        timer = self._clock.callLater(
            timeout_s,
            lambda: self.fail(
                ReplicationError(f"Timeout connecting to the MASTER... no answer from the primary within {timeout_s} s")
            ),
        )
        self._offer_line()
        try:
            return await wanted
        finally:
            if timer.active():
                timer.cancel()

    def rest(self) -> None:
        """Read no further for now; the primary's silence is our doing."""
        self.rests = True
        self.transport.pauseProducing()

    def go_on(self) -> None:
        """Read on after `rest`."""
        if self.rests and not self._lost:
            self.rests = False
            self._node.primary_spoke(0)
            self.transport.resumeProducing()

    def take_buffer(self) -> bytes:
        """What came after the last line."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data


class PrimaryLink:
    """Keeps a node linked to its primary.

    Parameters:
        clock: time.
        connect: makes an endpoint of host and port; for tests.
    """

    def __init__(self, node: Node, reactor: Any, connect: Callable[[str, int], Any] | None = None) -> None:
        self._node = node
        self._clock = reactor
        self._endpoint = connect or (
            lambda host, port: HostnameEndpoint(reactor, host, port, timeout=node.settings.timeout_s)
        )
        self._attempt: defer.Deferred[None] | None = None
        self._wire: LinkProtocol | None = None
        self._turn = 0
        self._beat = task.LoopingCall(self._heartbeat)
        self._beat.clock = reactor

    def start(self) -> None:
        """Connect, and go on until `stop`."""
        self.stop()
        turn = self._turn
        self._attempt = defer.Deferred.fromCoroutine(self._keep_linked(turn))
        self._attempt.addErrback(self._stopped, turn)

    def stop(self) -> None:
        """Close whatever is open and try no further."""
        self._turn += 1
        attempt, self._attempt = self._attempt, None
        self._drop_wire()
        if attempt is not None:
            attempt.cancel()

    def cut(self) -> None:
        """Close the connection; the next attempt follows as after any other loss."""
        if self._wire is not None:
            self._wire.transport.abortConnection()

    def _stopped(self, failure: Failure, turn: int) -> None:
        if turn == self._turn and failure.check(defer.CancelledError) is None:
            self._node.log("warning", f"The link to the primary ended unexpectedly: {failure.getErrorMessage()}")

    def acknowledge(self, offset: int) -> None:
        """Send `REPLCONF ACK offset`."""
        if self._wire is not None:
            self._wire.send(b"REPLCONF", b"ACK", b"%d" % offset)

    # -- one attempt after the other

    async def _keep_linked(self, turn: int) -> None:
        node = self._node
        while True:
            lasted_s = 0.0
            try:
                lasted_s = await self._link_once(turn)
            except Exception as error:
                if turn != self._turn:
                    return
                self._report(error)
                if isinstance(error, SyncRefusedError):
                    node.sync_refused(str(error))
                node.link_failed(str(error))
            if turn != self._turn:
                return
            self._drop_wire()
            if node.guard.stop is not None:
                return  # until somebody decides
            at_once = lasted_s >= RETRY_S
            await task.deferLater(self._clock, 0 if at_once else RETRY_S)
            where = f"{node.link.host}:{node.link.port}"
            node.log("notice", f"Reconnecting to MASTER {where}" + ("" if at_once else " after failure"))

    def _report(self, error: Exception) -> None:
        if isinstance(error, ConnectError | DNSLookupError | TimeoutError | OSError | ValueError):
            what = "Timeout connecting to the MASTER..." if isinstance(error, TimeoutError) else error
            self._node.log("warning", f"Error condition on socket for SYNC: {what}")
        elif isinstance(error, RdbError):
            pass  # the node has told
        elif isinstance(error, ReplicationError):
            self._node.log("warning", str(error))
        else:
            self._node.log("warning", f"The link to the primary broke unexpectedly: {type(error).__name__}: {error}")

    def _drop_wire(self) -> None:
        wire, self._wire = self._wire, None
        if self._beat.running:
            self._beat.stop()
        if wire is not None and wire.transport is not None:
            wire.receive = ignore
            wire.transport.abortConnection()

    async def _link_once(self, turn: int) -> float:
        """Connect, resync, and stay until the stream breaks off; how long it flowed, in seconds."""
        node = self._node
        node.link_entered(LinkState.CONNECTING)
        transcript = node.transcripts.begin(node.link.host, node.link.port, node.now())
        node.log("notice", "MASTER <-> REPLICA sync started")
        wire = LinkProtocol(node, self._clock)
        factory: Any = protocol.Factory.forProtocol(lambda: wire)
        factory.noisy = False
        await self._endpoint(node.link.host, node.link.port).connect(factory)
        if turn != self._turn:
            wire.transport.abortConnection()
            return 0.0
        self._wire = wire
        wire.transport.setTcpNoDelay(True)
        node.log("notice", "Non blocking connect for SYNC fired the event.")
        recorded = Recorded(wire, transcript, lambda: node.link.state, node.now)
        outcome = await handshake(recorded, node.introduction(), node.link_entered, node.log)
        transcript.ended(node.now(), outcome=outcome.resync.value)
        self._beat.start(HEARTBEAT_S, now=False)
        if outcome.resync is Resync.PARTIAL:
            node.resumed(outcome)
            rest = wire.take_buffer()
        else:
            rest = await FullSync(node, self._clock, wire, outcome).run()
            self.acknowledge(node.delay.received_offset)
            wire.go_on()
            rest += wire.take_buffer()
        linked_s = self._clock.seconds()
        await self._follow(wire, rest)
        return float(self._clock.seconds() - linked_s)

    async def _follow(self, wire: LinkProtocol, rest: bytes) -> None:
        """Apply the stream until it breaks off."""
        node = self._node
        broken: defer.Deferred[str] = defer.Deferred()

        def receive(data: bytes) -> None:
            try:
                node.receive_stream(data)
            except ReplicationError as error:
                wire.receive = ignore
                node.discard_history()
                node.log("warning", str(error))
                broken.callback(str(error))
            if node.delay.is_full:
                wire.rest()  # the heartbeat sees when there is room

        wire.receive = receive
        if rest:
            receive(rest)
        wire.closed.addCallback(lambda _: None if broken.called else broken.callback("the connection was closed"))
        reason = await broken
        if self._wire is not wire:
            return
        self._drop_wire()
        node.link_lost(reason)

    def _heartbeat(self) -> None:
        """Once a second: acknowledge, or show life while loading; notice a primary that has gone silent."""
        node, wire = self._node, self._wire
        if wire is None:
            return
        if wire.rests and node.link.is_up and not node.delay.is_full:
            wire.go_on()
        silent_ms = 0 if wire.rests else node.now() - node.link.last_io_ms
        if silent_ms > node.settings.timeout_s * 1000:
            if node.link.state is LinkState.TRANSFER:
                node.log(
                    "warning",
                    "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' "
                    "parameter in redis.conf to a larger value.",
                )
            else:
                node.log("warning", "MASTER timeout: no data nor PING received...")
            wire.transport.abortConnection()
        elif node.link.state is LinkState.TRANSFER:
            wire.transport.write(b"\n")
        elif node.link.state is LinkState.CONNECTED:
            self.acknowledge(node.delay.received_offset)
