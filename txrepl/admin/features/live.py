"""`GET /v1/live`: the whole state of a node, once a second and whenever something happens, as server-sent events.

Every event is a whole state: a reader needs no other, and one that it did not take in time is simply left out. So
nothing is queued, and a connection that has taken nothing for a while is closed. A state is made once for all readers,
and not at all while there is none. Whatever happens within a tenth of a second is one event.
"""

from __future__ import annotations

import json
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import accept_of, json_answer, query_of
from txrepl.admin.bodies import preferred
from txrepl.admin.contract import (
    JSON,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    Scope,
    count,
    number,
    or_null,
    record,
    ref,
    string,
)
from txrepl.admin.features.failover import failover
from txrepl.admin.information import as_json
from txrepl.admin.streaming import STREAMS_MAX, Stream, begin_headers, check_room
from txrepl.admin.views import Json
from txrepl.node import Node

SSE: Final = "text/event-stream"
LOOK_S: Final = 0.1
"""How often it is looked whether something has happened."""
EVERY_S: Final = 1.0
PATIENCE_S: Final = 10.0
"""How long a connection may take nothing."""
DECISIONS_SHOWN: Final = 10


class Reader(Stream):
    """A client that reads states.

    Attributes:
        taken_s: when it last took one.
    """

    taken_s: float = 0.0


class Live(Handlers):
    """All who read states."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._readers: set[Stream] = set()
        self._seen: tuple[Any, ...] = ()
        self._sent_s = 0.0
        self._looking = LoopingCall(self._look)
        self._looking.clock = scope.clock

    def live(self, request: Request) -> Deferred[bytes] | bytes:
        """The state, again and again; once where JSON is preferred."""
        query_of(request)
        if preferred(accept_of(request), SSE, JSON) == JSON:
            return json_answer(request, state(self.node))
        check_room(self._readers)
        begin_headers(request, f"{SSE}; charset=utf-8")
        if request.method == b"HEAD":
            return b""
        reader = Reader(request, self.scope.clock, self._left)
        self._readers.add(reader)
        reader.begin()
        if not self._looking.running:
            self._sent_s, self._seen = self.scope.seconds(), self._signs()
            self._looking.start(LOOK_S, now=False)
        self._give(reader, b"retry: 1000\n\n" + self._written())
        return reader.ended

    def _look(self) -> None:
        now_s, signs = self.scope.seconds(), self._signs()
        if now_s < self._sent_s + EVERY_S - LOOK_S / 2 and signs == self._seen:  # timers are not exact
            return
        self._sent_s, self._seen = now_s, signs
        written = self._written()
        for reader in tuple(self._readers):
            assert isinstance(reader, Reader)
            self._give(reader, written)

    def _signs(self) -> tuple[Any, ...]:
        """What differs when something has happened: events, and the steps of a handshake, which are none."""
        node = self.node
        return node.events.last_number, node.link.state, len(node.link.steps)

    def _written(self) -> bytes:
        body = json.dumps(state(self.node), ensure_ascii=False, separators=(",", ":"))
        return f"event: state\ndata: {body}\n\n".encode()

    def _give(self, reader: Reader, written: bytes) -> None:
        now_s = self.scope.seconds()
        if not reader.full:
            reader.taken_s = now_s
            reader.send(written)
        elif now_s >= reader.taken_s + PATIENCE_S:
            self.node.log("warning", f"{reader.name} reads /v1/live too slowly and is dropped")
            reader.drop(b"event: dropped\ndata: {}\n\n")

    def _left(self, reader: Stream) -> None:
        self._readers.discard(reader)
        if not self._readers and self._looking.running:
            self._looking.stop()


def state(node: Node) -> Json:
    """All that the dashboard shows."""
    now_ms = node.now()
    shown = views.overview(node, now_ms)
    shown["syncs"]["decisions"] = shown["syncs"]["decisions"][:DECISIONS_SHOWN]
    info = as_json(node, ["stats", "memory", "clients"])
    return {
        "at_ms": now_ms,
        **shown,
        "meaning": views.meaning(shown["replication"]),
        "failover": failover(node),
        "load": {
            "commands_per_second": info["stats"]["instantaneous_ops_per_sec"],
            "memory_bytes": info["memory"]["used_memory"],
            "clients": info["clients"]["connected_clients"],
        },
    }


FEATURE: Final = Feature(
    Live,
    (
        Route(
            Live.live,
            "get",
            "/v1/live",
            "live",
            "streams",
            "The whole state, once a second and whenever something happens.",
            {SSE: {"type": "string"}, JSON: "Live"},
            "Server-sent events named `state`; `data` is a `Live` each. With `Accept: application/json` there is one "
            "state and no stream. A client that takes nothing for ten seconds is dropped.",
            {200: "The states; they go on until the client leaves."},
            {503: f"{STREAMS_MAX} clients read it already.", **QUERY_REFUSED},
            streams=True,
        ),
    ),
    {
        "Live": record(
            "A node's whole state.",
            at_ms=count("When, unix milliseconds."),
            version=string("Of txrepl."),
            redis_version=string("The Redis whose commands it has."),
            port=count("Where Redis clients are served."),
            uptime_seconds=number("Since the start."),
            unready=or_null(string("Why readers should not be sent here; null if they may.")),
            replication=ref("Replication"),
            meaning=record(
                "What the ids and the offset mean now.",
                replid=string("Of replid, in a sentence."),
                replid2=string("Of replid2."),
                offset=string("Of the offset."),
            ),
            syncs=ref("Syncs"),
            failover=ref("Failover"),
            load=record(
                "What the server does.",
                commands_per_second=number("Commands executed."),
                memory_bytes=count("Memory used."),
                clients=count("Clients connected, without replicas."),
            ),
        ),
    },
)
