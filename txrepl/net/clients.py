"""Client connections: bytes in, requests to the node, replies out in one write a batch."""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import protocol
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from txrepl.commands.session import BLOCKED, CLOSING, REPLICA, SUBSCRIBED, UNAUTHENTICATED, Session
from txrepl.net.replica_sender import ReplicaSender
from txrepl.net.transport import SENT
from txrepl.node import Node
from txrepl.resp.replies import encode_error
from txrepl.resp.requests import RequestParser

QUEUED_MAX: Final = 1024
"""Requests that a blocked client may send ahead before its socket is read no further."""

DENIED: Final = (
    b"DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
    b"default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
    b"from external computers, set a password (requirepass), or disable protected mode with 'CONFIG SET "
    b"protected-mode no' from the loopback interface, or start the server with the protected-mode directive set to no."
)


def printable(address: Any, unix_path: str) -> str:
    """An address as CLIENT LIST shows it (`genClientAddrString`)."""
    host = getattr(address, "host", None)
    if host is None:
        return f"{unix_path}:0"
    return f"[{host}]:{address.port}" if ":" in host else f"{host}:{address.port}"


class Client(protocol.Protocol):
    """One client connection; the outlet of its session, and of the replica that it may turn into."""

    transport: Any

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stats = node.stats
        self._parser = RequestParser(node.config.get_int("proto-max-bulk-len"))
        self._session: Session | None = None
        self._sender: ReplicaSender | None = None
        self._out: list[bytes] = []
        self._queue: list[list[bytes]] = []
        self._running = False
        self._over_soft_since_ms = 0

    @property
    def is_running(self) -> bool:
        """Whether a request of this client is being run."""
        return self._running

    # -- Twisted's side

    def connectionMade(self) -> None:  # noqa: N802
        """Open a session, unless there are too many or the peer may not come in."""
        node, transport = self._node, self.transport
        peer = transport.getPeer()
        refusal = self._refusal(getattr(peer, "host", "127.0.0.1"))
        if refusal is not None:
            node.stats.rejected_connections += 1
            transport.write(encode_error(refusal))
            transport.loseConnection()
            return
        if hasattr(transport, "setTcpNoDelay"):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(bool(node.config.get_int("tcp-keepalive")))
        path = node.config.get_str("unixsocket")
        self._session = node.open_session(self, printable(peer, path), printable(transport.getHost(), path))
        self._parser.authenticated = not self._session.must_log_in

    def _refusal(self, host: str) -> bytes | None:
        node = self._node
        if len(node.sessions) >= node.config.get_int("maxclients"):
            return b"ERR max number of clients reached"
        is_local = host.startswith("127.") or host in ("::1", "::ffff:127.0.0.1")
        if node.config.get_bool("protected-mode") and node.users.default.without_password and not is_local:
            return DENIED
        return None

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Run the requests that are complete."""
        session = self._session
        if session is None or session.flags & CLOSING:
            return
        stats = self._stats
        stats.reads += 1
        stats.input_bytes += len(data)
        parser = self._parser
        batch = parser.feed(data)
        if session.flags & BLOCKED or self._queue:
            self._queue += batch
            if len(self._queue) > QUEUED_MAX:
                self.transport.pauseProducing()
        else:
            self._run(session, batch)
        if parser.is_amiss:
            self._check_input(session)

    def _check_input(self, session: Session) -> None:
        """The last request is malformed, or not complete: it must not grow without end."""
        if session.flags & CLOSING:
            return
        if self._parser.error is not None:
            if not session.flags & BLOCKED:
                self._refuse_protocol(session, self._parser.error)
        elif self._parser.pending_bytes > self._node.config.get_int("client-query-buffer-limit"):
            self._node.stats.query_limit_disconnections += 1
            self._node.log("warning", f"Closing client that reached max query buffer length: {session.address}")
            self._node.disconnect(session, flush=False)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """End the session; nothing that is left refers to itself (see `net.garbage`)."""
        sender, self._sender = self._sender, None
        session, self._session = self._session, None
        if sender is not None:
            sender.stopProducing()
        if session is not None:
            session.flags |= CLOSING
            self._node.close_session(session)

    # -- running requests

    def _run(self, session: Session, batch: list[list[bytes]]) -> None:
        """Run requests until one blocks or closes the connection; the rest are queued."""
        out = self._out
        while batch:
            self._running = True
            try:
                used = self._node.serve(session, batch, out)
            finally:
                self._running = False
            if used < len(batch):
                self._queue = batch[used:]
            if out:
                self._send(session, out[0] if len(out) == 1 else b"".join(out))
                out.clear()
            if session.flags & (CLOSING | UNAUTHENTICATED) or not self._parser.authenticated:
                self._parser.authenticated = not session.must_log_in
                if session.flags & CLOSING:
                    self._queue.clear()
            if not self._queue or session.flags & BLOCKED:
                return
            batch, self._queue = self._queue, []  # blocked, and served before its batch had returned

    def _send(self, session: Session, data: bytes) -> None:
        stats = self._stats
        stats.writes += 1
        if session.flags & REPLICA:
            stats.replica_output_bytes += len(data)
        else:
            stats.output_bytes += len(data)
        if self.transport.write(data) is SENT:
            self._over_soft_since_ms = 0
            return
        pending = getattr(self.transport, "pending_bytes", 0)
        if pending:
            self._check_output(session, pending)
        else:
            self._over_soft_since_ms = 0

    def _check_output(self, session: Session, pending: int) -> None:
        """Drop a client that does not read what it asked for (`checkClientOutputBufferLimits`)."""
        limits = self._node.config.buffer_limits
        if session.flags & REPLICA:
            return  # the primary bounds replicas by their distance
        limit = limits.pubsub if session.flags & SUBSCRIBED else limits.normal
        over = bool(limit.hard_bytes) and pending > limit.hard_bytes
        if limit.soft_bytes and pending > limit.soft_bytes:
            now_ms = self._node.now()
            self._over_soft_since_ms = self._over_soft_since_ms or now_ms
            over = over or now_ms - self._over_soft_since_ms > limit.soft_seconds * 1000
        else:
            self._over_soft_since_ms = 0
        if over:
            self._node.stats.output_limit_disconnections += 1
            self._node.log(
                "warning",
                f"Client id={session.number} addr={session.address} omem={pending} scheduled to be closed ASAP for "
                "overcoming of output buffer limits.",
            )
            self._node.disconnect(session, flush=False)

    def _refuse_protocol(self, session: Session, error: str) -> None:
        self._node.log("verbose", f"{error} from client: {session.address}")
        self._send(session, encode_error(f"ERR {error}".encode("utf-8", "surrogateescape")))
        self._node.disconnect(session)

    # -- the session's outlet

    def write(self, data: bytes) -> None:
        """Send bytes beside the replies, in order with them."""
        if self._running:
            self._out.append(data)
        elif self._session is not None:
            self._send(self._session, data)

    def close(self, *, flush: bool) -> None:
        """Close the connection."""
        if self._sender is not None:
            self._sender.stopProducing()
        if not flush:
            self._out.clear()
            self.transport.abortConnection()
            return
        if self._out:
            self.transport.write(b"".join(self._out))
            self._out.clear()
        self.transport.loseConnection()

    def resume(self) -> None:
        """Go on with what came while the session was blocked."""
        session = self._session
        if session is None or self._running:
            return
        queue, self._queue = self._queue, []
        self.transport.resumeProducing()
        if queue and not session.flags & CLOSING:
            self._run(session, queue)
        if self._parser.error is not None:
            self._check_input(session)

    def pending_input(self) -> int:
        """Bytes of a request that is not complete."""
        return self._parser.pending_bytes

    def pending_output(self) -> int:
        """Bytes that wait for the socket."""
        return int(getattr(self.transport, "pending_bytes", 0))

    # -- the replica's outlet

    def _replica_sender(self) -> ReplicaSender:
        if self._sender is None:
            assert self._session is not None and self._session.replica is not None
            self._sender = ReplicaSender(self._node, self._session.replica, self.transport)
        return self._sender

    def stream_from(self, offset: int) -> None:
        """Send the stream from `offset` on."""
        self._flush_out()
        self._replica_sender().stream_from(offset)

    def send_file(self, path: str, size_bytes: int) -> None:
        """Send a snapshot file."""
        self._begin_sync()
        self._replica_sender().send_file(path, size_bytes)

    def begin_bulk(self, flow: Any) -> None:
        """A snapshot is about to be written; `flow` is told when the connection is full."""
        self._begin_sync()
        self.transport.registerProducer(flow, True)

    def end_bulk(self) -> None:
        """The snapshot is written."""
        self.transport.unregisterProducer()

    def _begin_sync(self) -> None:
        if self._node.config.get_bool("repl-disable-tcp-nodelay") and hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(False)
        self._flush_out()

    def _flush_out(self) -> None:
        if self._out:
            data = b"".join(self._out)
            self._node.stats.replica_output_bytes += len(data)
            self.transport.write(data)
            self._out.clear()


class ClientFactory(protocol.Factory):
    """Makes client connections."""

    noisy = False

    def __init__(self, node: Node) -> None:
        self._node = node

    def buildProtocol(self, addr: IAddress | None) -> Client:  # noqa: N802
        """A connection has come in."""
        return Client(self._node)
