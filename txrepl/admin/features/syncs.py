"""`GET /v1/syncs`: what was answered to each PSYNC, and why."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import json_answer, query_of
from txrepl.admin.contract import (
    JSON,
    QUERY_REFUSED,
    REPLID,
    Feature,
    Handlers,
    Route,
    Schema,
    array,
    count,
    flag,
    or_null,
    record,
    ref,
    ref_or_null,
    string,
    values,
)
from txrepl.replication.advice import LoopCause
from txrepl.replication.decisions import Answer, Direction, EndCause, Stage
from txrepl.replication.psync import Condition


class Syncs(Handlers):
    """The last sync decisions."""

    def syncs(self, request: Request) -> bytes:
        """The last sync decisions."""
        query_of(request)
        return json_answer(request, views.syncs(self.node))


SCHEMAS: Final[dict[str, Schema]] = {
    "Syncs": record(
        "What this node answered to replicas that asked for synchronization, and its primary to it.",
        full=count("Full syncs."),
        partial_ok=count("Partial syncs."),
        partial_err=count("Requests for a partial sync that were answered with a full one."),
        advice=array(ref("Loop"), "Replicas that need one full sync after the other, and what to set."),
        decisions=array(ref("Decision"), "The last decisions on PSYNC and SYNC, newest first."),
    ),
    "Decision": record(
        "The answer to one PSYNC or SYNC.",
        at_ms=count("When, unix milliseconds."),
        direction=string("By this node to a replica, or by its primary to it.", enum=values(Direction)),
        peer=string("The replica that asked, or the primary that was asked."),
        asked=ref("Asked"),
        answer=string("What was answered.", enum=values(Answer)),
        condition=or_null(string("The condition that failed; null if partial.", enum=[*values(Condition), None])),
        reason=string("Why, in words."),
        avoidance=or_null(string("What would have avoided a full sync, naming the setting; null if nothing would.")),
        missing_bytes=count("By how much the backlog fell short; 0 if that was not the reason."),
        saving_backlog_bytes=count("The least backlog size that would have made it partial; 0 if none would."),
        ours=ref("Standing"),
        times=count("How often in a row it was answered so (refusals).", 1),
        last_ms=count("When it was last answered so, unix milliseconds."),
        cost=ref_or_null("Cost"),
        end=ref_or_null("End"),
    ),
    "Standing": record(
        "Where this node stood when the decision was made.",
        replid=string("Its history.", **REPLID),
        replid2=or_null(string("The history before.", **REPLID)),
        second_offset=or_null(count("The first offset at which replid2 was no longer its own.")),
        offset=count("Its offset."),
        backlog_first_offset=or_null(count("The oldest offset in its backlog; null without one.")),
        backlog_next_offset=or_null(count("The offset after its backlog's last.")),
        backlog_size_bytes=count("The backlog's size; 0 without one."),
    ),
    "Cost": record(
        "What a full sync took.",
        bytes=count("Bytes of the snapshot handed to the connection (given), or received."),
        duration_ms=count("From the decision to the last byte sent (given) or loaded (received)."),
        stage=string("How far it came.", enum=values(Stage)),
    ),
    "End": record(
        "How the connection ended that the decision was for.",
        cause=string("Why.", enum=values(EndCause)),
        at_ms=count("When, unix milliseconds."),
        behind_bytes=count("Bytes of the stream that were still to be sent."),
    ),
    "Loop": record(
        "A replica that needs one full sync after the other.",
        replica=string("Which."),
        cause=string("Why.", enum=values(LoopCause)),
        full_syncs=count("How many it got."),
        since_ms=count("Since when, unix milliseconds."),
        last_ms=count("The last of them, unix milliseconds."),
        setting=string("The directive to set."),
        value=string("What to set it to, as CONFIG SET takes it."),
        on_replica=flag("It is to be set on the replica, not here."),
        text=string("The same in a sentence."),
    ),
    "Asked": record(
        "What a replica asked for.",
        replid=or_null(string("The history that it followed; null if none.")),
        offset={"type": "integer", "description": "The next offset that it needs."},
    ),
}

FEATURE: Final = Feature(
    Syncs,
    (
        Route(
            Syncs.syncs,
            "get",
            "/v1/syncs",
            "syncs",
            "facts",
            "The last sync decisions, with their reasons.",
            {JSON: "Syncs"},
            refusals=QUERY_REFUSED,
        ),
    ),
    SCHEMAS,
)
