"""`GET /v1/handshakes`: the last handshakes with primaries, word for word."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin.answers import json_answer, query_of
from txrepl.admin.contract import (
    JSON,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    array,
    count,
    or_null,
    record,
    ref,
    string,
    values,
)
from txrepl.admin.views import Json, printable
from txrepl.replication.handshake import Resync
from txrepl.replication.transcripts import Exchange, Transcript


class Handshakes(Handlers):
    """Transcripts."""

    def handshakes(self, request: Request) -> bytes:
        """The last handshakes, newest first."""
        query_of(request)
        return json_answer(request, {"handshakes": [_shown(one) for one in reversed(self.node.transcripts.held)]})


def _shown(one: Transcript) -> Json:
    return {
        "host": printable(one.host),
        "port": one.port,
        "at_ms": one.at_ms,
        "took_ms": one.took_ms,
        "outcome": one.outcome,
        "error": printable(one.error) or None,
        "exchanges": [_exchange(exchange) for exchange in one.exchanges],
    }


def _exchange(one: Exchange) -> Json:
    return {
        "step": one.step.name.lower(),
        "at_ms": one.at_ms,
        "sent": printable(one.sent),
        "received": None if one.received is None else printable(one.received),
        "ms": one.took_ms,
    }


FEATURE: Final = Feature(
    Handshakes,
    (
        Route(
            Handshakes.handshakes,
            "get",
            "/v1/handshakes",
            "handshakes",
            "facts",
            "The last handshakes with primaries, word for word.",
            {JSON: "Handshakes"},
            "Names and passwords of AUTH are `***`.",
            refusals=QUERY_REFUSED,
        ),
    ),
    {
        "Handshakes": record("Handshakes.", handshakes=array(ref("Handshake"), "Newest first.")),
        "Handshake": record(
            "One attempt to be brought up to date by a primary.",
            host=string("The primary's host."),
            port=count("The primary's port."),
            at_ms=count("When the connecting began, unix milliseconds."),
            took_ms=or_null(count("How long it took until its outcome or failure; null while it goes on.")),
            outcome=or_null(string("What the primary agreed to.", enum=[*values(Resync), None])),
            error=or_null(string("Why it failed.")),
            exchanges=array(ref("Exchange"), "In order; none if there was no connection."),
        ),
        "Exchange": record(
            "A command and its answer.",
            step=string("The state that the link was in."),
            at_ms=count("When it was sent, unix milliseconds."),
            sent=string("The command."),
            received=or_null(string("The line that came back; null if none has.")),
            ms=or_null(count("How long that took.")),
        ),
    },
)
