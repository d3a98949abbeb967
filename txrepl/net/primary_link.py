"""The link to the primary: connects, speaks the handshake, receives the bulk and the stream, comes back when it breaks.

One coroutine makes one attempt after the other; what a step is and what it means stands in `replication.handshake`,
here are sockets and time. After a failure the next attempt follows a second later, for ever; after the loss of a link
that had lasted that long it follows at once (`replicationHandleMasterDisconnection`). A coroutine that is told
to stop while it runs (the stream itself may hold a REPLICAOF), or whose cancellation comes out as another error, knows
by its turn that it is no longer meant.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

from twisted.internet import defer, protocol, task
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError
from twisted.python.failure import Failure

from txrepl.errors import RdbError, ReplicationError, SilenceError, SyncRefusedError
from txrepl.net.clients import printable
from txrepl.net.full_sync import FullSync, ignore
from txrepl.net.link_protocol import LinkProtocol
from txrepl.node import Node
from txrepl.replication.handshake import Resync, handshake
from txrepl.replication.states import LinkState
from txrepl.replication.transcripts import Recorded
from txrepl.resp.requests import encode_command

RETRY_S: Final = 1.0
HEARTBEAT_S: Final = 1.0


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
        self._silence: SilenceError | None = None
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
        self._silence = None
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
            stats, data = self._node.stats, encode_command((b"REPLCONF", b"ACK", b"%d" % offset))
            stats.writes += 1
            stats.output_bytes += len(data)
            self._wire.transport.write(data)

    # -- one attempt after the other

    async def _keep_linked(self, turn: int) -> None:
        node = self._node
        while True:
            lasted_s = 0.0
            place = f"MASTER {node.link.host}:{node.link.port}"
            again = f"Reconnecting to {place}"
            try:
                lasted_s = await self._link_once(turn)
            except Exception as failure:
                if turn != self._turn:
                    return
                error, self._silence = self._silence or failure, None
                in_vain = node.link.state is LinkState.TRANSFER or isinstance(error, SilenceError | TimeoutError)
                again = f"Reconnecting to {place} after failure" if in_vain else f"Connecting to {place}"
                self._report(error)
                if isinstance(error, SyncRefusedError):
                    node.following.sync_refused(str(error))
                node.following.link_failed(str(error))
            if turn != self._turn:
                return
            self._drop_wire()
            if node.guard.stop is not None:
                return  # until somebody decides
            await task.deferLater(self._clock, 0 if lasted_s >= RETRY_S else RETRY_S)
            node.log("notice", again)

    def _report(self, error: Exception) -> None:
        if isinstance(error, ConnectError | DNSLookupError | TimeoutError | OSError | ValueError):
            number = getattr(error, "osError", None)
            what: object = os.strerror(number) if number else error
            if isinstance(error, TimeoutError):
                what = "Timeout connecting to the MASTER..."
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
        node.following.link_entered(LinkState.CONNECTING)
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
        node.link.local_address = printable(wire.transport.getHost(), "")
        wire.transport.setTcpNoDelay(True)
        node.log("notice", "Non blocking connect for SYNC fired the event.")
        recorded = Recorded(wire, transcript, lambda: node.link.state, node.now)
        outcome = await handshake(recorded, node.following.introduction(), node.following.link_entered, node.log)
        transcript.ended(node.now(), outcome=outcome.resync.value)
        self._beat.start(HEARTBEAT_S, now=False)
        if outcome.resync is Resync.PARTIAL:
            node.following.resumed(outcome)
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
                node.delaying.receive_stream(data)
            except ReplicationError as error:
                wire.receive = ignore
                node.following.discard_history()
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
        node.following.link_lost(reason)

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
                self._silence = SilenceError(
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
