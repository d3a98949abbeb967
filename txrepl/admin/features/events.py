"""`GET /v1/events`: what happens in the node's replication, as it happens, as server-sent events.

An id is RUN_ID:NUMBER; run ids change when the server starts, numbers count from 1. A client that comes back with the
last id it has seen gets what it missed; when some of that is not held any more, or was of another run, an event
`missed` says so first.
"""

from __future__ import annotations

import json
import re
from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import json_answer, query_of
from txrepl.admin.bodies import shown_name
from txrepl.admin.contract import (
    JSON,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    Schema,
    Scope,
    count,
    flag,
    or_null,
    record,
    string,
)
from txrepl.admin.problems import InvalidError
from txrepl.admin.streaming import STREAMS_MAX, Stream, begin_headers, check_room
from txrepl.replication.events import Event, EventKind

SSE: Final = "text/event-stream"
HEARTBEAT_S: Final = 10.0
_ID: Final = re.compile(r"(?:([0-9a-f]{40}):)?(\d{1,18})", re.ASCII)
_KINDS: Final = {kind.value: kind for kind in EventKind}


class Watcher(Stream):
    """A client that watches some kinds of events."""

    kinds: frozenset[EventKind] = frozenset(EventKind)


class EventStreams(Handlers):
    """All who watch events."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._watchers: set[Stream] = set()
        self._fresh: list[Event] = []
        self._beat = LoopingCall(self._heartbeat)
        self._beat.clock = scope.clock
        self.node.events.listeners.append(self._happened)

    def events(self, request: Request) -> Deferred[bytes] | bytes:
        """The events from now on, or from an id on."""
        query = query_of(request, "from", "event")
        seen = request.requestHeaders.getRawHeaders("last-event-id", [""])[0]
        name, text = ("Last-Event-ID", seen) if seen else ("from", query.get("from", ""))
        kinds = _kinds(query.get("event", ""))
        begin, missed = self._start(name, text)
        check_room(self._watchers)
        begin_headers(request, f"{SSE}; charset=utf-8")
        if request.method == b"HEAD":
            return b""
        self._flush()
        watcher = Watcher(request, self.scope.clock, self._left)
        watcher.kinds = kinds
        self._watchers.add(watcher)
        if not self._beat.running:
            self._beat.start(HEARTBEAT_S, now=False)
        watcher.begin()
        watcher.send(b": txrepl events\nretry: 1000\n\n")
        if missed:
            self._give(watcher, self._word("missed", begin, missed))
        for event in self.node.events.after(begin):
            if event.kind in kinds:
                self._give(watcher, self._written(event))
        return watcher.ended

    def webhook(self, request: Request) -> bytes:
        """What became of the events for the webhook."""
        query_of(request)
        return json_answer(request, views.webhook(self.node))

    def _start(self, name: str, text: str) -> tuple[int, str]:
        """The id after which to begin, and what is to be said of events that are lost; empty if none are."""
        events = self.node.events
        if not text:
            return events.last_number, ""
        match = _ID.fullmatch(text)
        if match is None:
            raise InvalidError(name, "an event's id is needed, RUN_ID:NUMBER, or a number; 0 for all that are held")
        run, number = match[1], int(match[2])
        oldest = events.oldest_number
        if run is not None and run != self.node.run_id:
            return oldest - 1, "the server was started anew since; these are all events that it holds"
        if number > events.last_number:
            raise InvalidError(name, f"there is no such event yet; the last is {events.last_number}")
        if run is not None and number < oldest - 1:
            return oldest - 1, f"events {number + 1} to {oldest - 1} are not held any more"
        return number, ""

    def _happened(self, event: Event) -> None:
        """Keep it until whatever it is a part of is over."""
        if not self._watchers:
            return
        if not self._fresh:
            self.scope.call_later(0, self._flush)
        self._fresh.append(event)

    def _flush(self) -> None:
        fresh, self._fresh = self._fresh, []
        for event in fresh:
            written = self._written(event)
            for watcher in tuple(self._watchers):
                assert isinstance(watcher, Watcher)
                if event.kind in watcher.kinds:
                    self._give(watcher, written)

    def _give(self, watcher: Stream, data: bytes) -> None:
        if not watcher.send(data):
            self.node.log("warning", f"{watcher.name} reads events too slowly and is dropped")
            last = self.node.events.last_number
            watcher.drop(self._word("dropped", last, "too slow: come back with the last id that you have seen"))

    def _word(self, name: str, number: int, text: str) -> bytes:
        """An event about the stream itself; it has no id, so that a client comes back with the last real one."""
        return f"event: {name}\ndata: {json.dumps({'event': name, 'text': text, 'number': number})}\n\n".encode()

    def _written(self, event: Event) -> bytes:
        body = json.dumps(views.event(self.node, event), ensure_ascii=False)
        return f"id: {self.node.run_id}:{event.number}\nevent: {event.kind.value}\ndata: {body}\n\n".encode()

    def _heartbeat(self) -> None:
        for watcher in tuple(self._watchers):
            self._give(watcher, b": alive\n\n")

    def _left(self, watcher: Stream) -> None:
        self._watchers.discard(watcher)
        if not self._watchers and self._beat.running:
            self._beat.stop()


def _kinds(text: str) -> frozenset[EventKind]:
    words = [word for word in text.split(",") if word]
    for word in words:
        if word not in _KINDS:
            raise InvalidError("event", f"no kind of event is called {shown_name(word)}; known: {', '.join(_KINDS)}")
    return frozenset(_KINDS[word] for word in words) or frozenset(EventKind)


_PARAMETERS: Final[tuple[Schema, ...]] = (
    {
        "name": "from",
        "in": "query",
        "description": "Begin after this id; 0 gives all events that are held. From now on, where it is not given.",
        "schema": {"type": "string", "pattern": "^([0-9a-f]{40}:)?[0-9]{1,18}$"},
    },
    {
        "name": "event",
        "in": "query",
        "description": "Only these kinds.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "string", "enum": list(_KINDS)}},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The last id that was seen; counts more than `from`.",
        "schema": {"type": "string", "pattern": "^([0-9a-f]{40}:)?[0-9]{1,18}$"},
    },
)

FEATURE: Final = Feature(
    EventStreams,
    (
        Route(
            EventStreams.events,
            "get",
            "/v1/events",
            "events",
            "streams",
            "What happens in the replication, as it happens.",
            {SSE: {"type": "string"}},
            "Server-sent events; `data` is JSON with id, at_ms, event, text and facts. A client that reads too slowly "
            "is dropped, with a last event `dropped`.",
            {200: "The stream; it goes on until the client leaves."},
            {503: f"{STREAMS_MAX} clients read it already.", **QUERY_REFUSED},
            _PARAMETERS,
            streams=True,
        ),
        Route(
            EventStreams.webhook,
            "get",
            "/v1/webhook",
            "webhook",
            "facts",
            "What became of the events that are posted to `event-webhook`.",
            {JSON: "Webhook"},
            refusals=QUERY_REFUSED,
        ),
    ),
    {
        "Webhook": record(
            "The webhook, without its URL.",
            configured=flag("There is one."),
            signed=flag("Its posts are signed."),
            waiting=count("Events that wait, the one that is tried among them."),
            waiting_max=count("How many may (`event-webhook-queue`).", 1),
            delivered=count("Events that were accepted."),
            dropped=count("Events that were not, and never will be."),
            failures=count("Tries that failed."),
            tries=count("Those of the event that is tried."),
            last_error=or_null(string("Why the last try failed; null after one that did not.")),
        )
    },
)
