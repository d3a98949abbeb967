"""A node with a host that only notes what it is asked for, and a client of its HTTP interface without sockets."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import treq
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txrepl.admin import make_site
from txrepl.admin.asking import Ask, Told
from txrepl.changes.encoder import Encoder
from txrepl.commands.session import NoOutlet, Session
from txrepl.config import Config
from txrepl.errors import ReplicationError
from txrepl.node import Node
from txrepl.persistence.snapshot import Loader
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.replica import Replica, ReplicaOutlet
from txrepl.replication.snapshot_kind import Reads, SnapshotKind
from txrepl.replication.states import LinkState

BASE = "http://localhost:8379"
START_MS = 1_700_000_000_000


class NoTimer:
    """A timer that nothing will fire."""

    def cancel(self) -> None:
        """Nothing to cancel."""


class FakeSnapshots:
    """Snapshots that are started and never end."""

    def __init__(self) -> None:
        self.busy = False
        self.to_sockets = False

    def objection(self, kind: SnapshotKind) -> str:
        """Everyone can read everything here."""
        return ""

    def suited(self, kind: SnapshotKind) -> SnapshotKind:
        """One snapshot suits all readers here."""
        return replace(kind, reads=Reads.PORTABLE)

    def start_for_replicas(self, *, to_sockets: bool, replicas: list[Replica], kind: SnapshotKind) -> None:
        self.busy = True
        self.to_sockets = to_sockets

    def kill(self) -> None:
        self.busy = False

    def start_save(self) -> None:
        self.busy = True

    def save_now(self) -> None:
        raise OSError("no disk here")

    def load_now(self) -> Loader:
        raise OSError("no disk here")


class FakeHost:
    """Notes what the node asks of its shell."""

    def __init__(self) -> None:
        self.snapshots = FakeSnapshots()
        self.asked: list[str] = []

    def later(self, delay_ms: int, action: Callable[[], None]) -> NoTimer:
        return NoTimer()

    def connect_primary(self) -> None:
        self.asked.append("connect")

    def drop_primary(self) -> None:
        self.asked.append("drop")

    def acknowledge(self, offset: int) -> None:
        self.asked.append(f"ack {offset}")

    def stop(self, *, save: bool, force: bool) -> None:
        self.asked.append("stop")


class FakeOutlet(NoOutlet, ReplicaOutlet):
    """A replica's connection: keeps what was written; closing it closes the session, as a shell does."""

    def __init__(self) -> None:
        self.written = b""
        self.streams_from: int | None = None
        self.on_close: Callable[[], None] = lambda: None
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def stream_from(self, offset: int) -> None:
        self.streams_from = offset

    def send_file(self, path: str, size_bytes: int) -> None:
        self.written += b"%d" % size_bytes

    def resume(self) -> None:
        """Nothing waits."""

    def close(self, *, flush: bool) -> None:
        self.closed = True
        self.on_close()


class InMemoryEncoder:
    """An encoder that answers at the next turn of the clock.

    Attributes:
        asked: the messages that it got.
    """

    def __init__(self, clock: Clock, received: Callable[[memoryview], None], lost: Callable[[str], None]) -> None:
        self.asked: list[bytes] = []
        self.closed = False
        self._encoder = Encoder()
        self._clock = clock
        self._received = received
        self._lost = lost

    def send(self, message: bytes) -> None:
        assert not self.closed
        self.asked.append(message)
        answer = self._encoder.take(memoryview(message))
        if answer is not None:
            self._clock.callLater(0, self._answer, answer)

    def _answer(self, answer: bytes) -> None:
        if not self.closed:
            self._received(memoryview(answer))

    def close(self) -> None:
        self.closed = True

    @property
    def streams(self) -> Any:
        """Whose encoder it is."""
        owner: Any = self._received
        return owner.__self__

    def die(self) -> None:
        """The process ends by itself."""
        self.closed = True
        self._lost("Connection was closed cleanly.")


class Bench:
    """A node on a clock, its site, and a client.

    Parameters:
        token: the bearer token of the site.
        bound_host: what the site is bound to.

    Attributes:
        encoders: those that were started, in order.
        no_encoder: none can be started.
    """

    def __init__(self, token: str = "", bound_host: str = "127.0.0.1") -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.answer_with: Ask | None = None
        self.servers: dict[tuple[str, int], Told] = {}
        self.asked: list[tuple[str, int, str, str]] = []
        self.encoders: list[InMemoryEncoder] = []
        self.no_encoder = False
        self.host = FakeHost()
        ids = itertools.count(1)
        self.node = Node(
            Config(),
            lambda: START_MS + int(self.clock.seconds() * 1000),
            random.Random(1),
            lambda: f"{next(ids):040x}",
            lambda level, message: self.lines.append(f"{level} {message}"),
        )
        self.node.host = self.host
        self.node.primary.snapshots = self.host.snapshots
        self.site = make_site(
            self.node, self.clock, token=token, bound_host=bound_host, ask=self._ask, start_encoder=self._start_encoder
        )
        self.stub = StubTreq(self.site.resource)

    def _start_encoder(self, received: Callable[[memoryview], None], lost: Callable[[str], None]) -> InMemoryEncoder:
        if self.no_encoder:
            raise OSError(11, "Resource temporarily unavailable")
        self.encoders.append(InMemoryEncoder(self.clock, received, lost))
        return self.encoders[-1]

    async def _ask(self, host: str, port: int, user: str, password: str) -> Told:
        """Another server, of those that there are."""
        self.asked.append((host, port, user, password))
        if self.answer_with is not None:
            return await self.answer_with(host, port, user, password)
        if (host, port) not in self.servers:
            raise ReplicationError("Connection refused")
        return self.servers[host, port]

    # -- requests -----------------------------------------------------------------------------------------------

    def begin(self, method: str, path: str, **more: Any) -> Deferred[Any]:
        """Send a request; what comes back is the answer, once there is one."""
        return self.stub.request(method, path if "://" in path else BASE + path, **more)

    def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Send a request that is answered at once."""
        return self.end(self.begin(method, path, **more))

    def is_answered(self, sent: Deferred[Any]) -> bool:
        """Whether a request that was sent has its answer."""
        self.stub.flush()
        return sent.called and not sent.paused

    def end(self, sent: Deferred[Any]) -> Answer:
        """The answer to a request that was sent."""
        self.stub.flush()
        response = result_of(sent)
        body = result_of(response.content())
        headers = {name.decode().lower(): values[0].decode() for name, values in response.headers.getAllRawHeaders()}
        return Answer(response.code, headers, body)

    def get(self, path: str, **more: Any) -> Answer:
        """GET a path."""
        return self.ask("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        """POST JSON."""
        return self.ask("POST", path, json=body, **more)

    # -- what happens to the node -------------------------------------------------------------------------------

    def become_replica(self, host: str = "10.0.0.1", port: int = 6379) -> None:
        """Follow a primary, and be connected with it by a partial resync of our own history."""
        self.node.replicate_from(host, port, "a test")
        self.come_online()

    def come_online(self) -> None:
        """The link's handshake ends in a partial resync."""
        self.node.following.link_entered(LinkState.CONNECTING)
        self.node.following.link_entered(LinkState.RECEIVE_PONG)
        self.node.following.resumed(Outcome(Resync.PARTIAL, "", -1))

    def attach(self, port: int = 6380, *, replid: str = "?", offset: int = -1) -> tuple[Session, FakeOutlet]:
        """A replica connects and asks for synchronization."""
        outlet = FakeOutlet()
        session = self.node.open_session(outlet, f"10.0.0.{port % 250}:50000", "127.0.0.1:6379")
        outlet.on_close = lambda: self.node.close_session(session)
        self.run(session, "REPLCONF", "listening-port", port, "capa", "eof", "capa", "psync2")
        self.run(session, "PSYNC", replid, offset)
        return session, outlet

    def run(self, session: Session, *words: str | int) -> bytes:
        """A client sends a command; returns the reply's bytes."""
        out: list[bytes] = []
        self.node.serve(session, [[str(word).encode() for word in words]], out)
        return b"".join(out)

    def write(self, *words: str | int) -> None:
        """Some client sends a command."""
        session = self.node.open_session(FakeOutlet(), "127.0.0.1:40000", "127.0.0.1:6379")
        reply = self.run(session, *words)
        assert not reply.startswith(b"-"), reply
        self.node.close_session(session)


class Following:
    """A client that reads an answer that goes on.

    Parameters:
        bench: where it reads.

    Attributes:
        pieces: what has come, as it came.
    """

    def __init__(self, bench: Bench, path: str, **more: Any) -> None:
        self._bench = bench
        self.pieces: list[bytes] = []
        self.ended = False
        sent = bench.begin("GET", path, unbuffered=True, **more)
        bench.stub.flush()
        response = result_of(sent)
        self.headers = {name.decode().lower(): found[0].decode() for name, found in response.headers.getAllRawHeaders()}
        self.status = response.code
        treq.collect(response, self.pieces.append).addBoth(self._end)

    def _end(self, _: Any) -> None:
        self.ended = True

    def take(self) -> str:
        """What has come since it was last asked for."""
        self._bench.stub.flush()
        text = b"".join(self.pieces).decode()
        self.pieces.clear()
        return text

    def take_events(self) -> list[tuple[str, str, Any]]:
        """The server-sent events that have come: id, name and data; without comments."""
        found = []
        for block in self.take().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if "data" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
        return found


class Answer:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def refuses(self, status: int, *, field: str | None = None) -> bool:
        """It is a well-formed problem of that status, about that field."""
        assert self.headers["content-type"] == "application/problem+json", (self.status, self.body)
        problem = self.json
        assert problem["status"] == self.status, problem
        assert problem["type"].startswith("urn:txrepl:problem:")
        assert problem["title"] and problem["detail"]
        assert "Traceback" not in self.text
        fields = [error["field"] for error in problem.get("errors", [])]
        return self.status == status and (field is None or fields == [field])


def result_of(deferred: Deferred[Any]) -> Any:
    """The value that a deferred already has."""
    found: list[Any] = []
    failed: list[Any] = []
    deferred.addCallbacks(found.append, failed.append)
    if failed:
        failed[0].raiseException()
    assert found, "no answer yet"
    return found[0]
