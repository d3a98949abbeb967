"""What keeps a replica's data: `/v1/guard` for a link that is stopped, `/v1/delay` for a stream that is held back."""

from __future__ import annotations

from typing import Final

from twisted.internet.task import deferLater
from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import body_of, client_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import DECISIONS, OFFSET_MAX, read_decision, read_delay_order, read_whole
from txrepl.admin.contract import (
    JSON,
    ORDER_REFUSED,
    QUERY_REFUSED,
    REPLID,
    Feature,
    Handlers,
    Route,
    Schema,
    array,
    count,
    flag,
    number,
    or_null,
    order,
    record,
    ref,
    string,
    values,
)
from txrepl.admin.problems import ConflictError
from txrepl.admin.waiting import ARGUMENT_SHOWN_BYTES, ARGUMENTS_SHOWN, LIMIT, LIMIT_MAX, Listing, Wanted
from txrepl.replication.guard import Cause

SLICE_S: Final = 0.01
"""How long a request looks through bytes before others get their turn."""


class GuardRails(Handlers):
    """Whether a link is stopped, and what is held back."""

    def guard(self, request: Request) -> bytes:
        """Whether the link is stopped."""
        query_of(request)
        return json_answer(request, views.guard(self.node))

    def decide(self, request: Request) -> bytes:
        """Decide what becomes of a stopped link."""
        query_of(request)
        decision = read_decision(content_type_of(request), body_of(request))
        node = self.node
        if node.guard.stop is None:
            raise ConflictError("the link is not stopped: there is nothing to decide")
        if decision == "promote":
            node.promote(client_of(request))
        else:
            node.full_sync.accept_primary(client_of(request))
        return json_answer(request, views.role_now(node, changed=True))

    async def delay(self, request: Request) -> bytes:
        """What a delayed replica holds back, command by command."""
        query = query_of(request, "limit", "command", "from")
        limit = read_whole(query, "limit", 0, LIMIT_MAX, LIMIT)
        from_offset = read_whole(query, "from", 0, OFFSET_MAX, 0)
        node = self.node
        shown = views.delay(node, node.now())
        listing = Listing(node, Wanted(limit, query.get("command", "").upper(), from_offset))
        until = self.scope.seconds() + SLICE_S
        for _ in listing.pieces():
            if self.scope.seconds() >= until:
                await deferLater(self.scope.clock, 0)
                until = self.scope.seconds() + SLICE_S
        return json_answer(request, {"delay": shown, "commands": listing.commands, "more": listing.more})

    def order_delay(self, request: Request) -> bytes:
        """Hold a delayed replica, or let it go on."""
        query_of(request)
        order = read_delay_order(content_type_of(request), body_of(request))
        node = self.node
        applied = node.feed.history.offset
        if not node.link.host:
            raise ConflictError("this node is a primary: it holds nothing back")
        if order.stop_before is not None and order.stop_before <= applied:
            raise ConflictError(f"offset {order.stop_before} is applied already: this node is at offset {applied}")
        if order.apply_now:
            node.delay.apply_now()
        if order.stop_before is not None or order.resume:
            node.delaying.hold_before(order.stop_before or 0)
        else:
            node.delaying.follow_delay()
        return json_answer(request, views.delay(node, node.now()))


SCHEMAS: Final[dict[str, Schema]] = {
    "Guard": record(
        "Whether the link is stopped because a full sync must not be taken without being asked for.",
        state=string("`watching`: an empty primary would be refused.", enum=["off", "watching", "stopped"]),
        cause=or_null(string("Why it is stopped.", enum=[*values(Cause), None])),
        reason=or_null(string("The same in words.")),
        at_ms=or_null(count("Since when, unix milliseconds.")),
        keys=or_null(count("Keys that are kept here.")),
        primary_replid=or_null(string("The history that the primary offered; null if it named none.", **REPLID)),
        primary_offset=or_null(count("The offset in it.")),
    ),
    "Decide": {
        "type": "object",
        "description": "What to do with a stopped link.",
        "properties": {
            "decision": string(
                "`accept`: take the primary's full sync, once. `promote`: be a primary with the data kept.",
                enum=list(DECISIONS),
            )
        },
        "required": ["decision"],
        "additionalProperties": False,
    },
    "Delay": record(
        "What a delayed replica holds back.",
        state=string("`held`: stopped before an offset until it is told to go on.", enum=["off", "running", "held"]),
        delay_seconds=count("How old a write must be to be applied (`replica-delay`)."),
        stop_before=or_null(count("It holds before what ends here or later.")),
        applied_offset=count("The last byte applied."),
        received_offset=count("The last byte received, and acknowledged to the primary."),
        pending_bytes=count("Bytes between the two."),
        max_bytes=count("From how many on the primary is read no further (`replica-delay-max-bytes`)."),
        full=flag("It is read no further now."),
        oldest_seconds=or_null(number("The age of the oldest that waits.")),
        next_in_seconds=or_null(number("When the next of it is old enough; null if nothing waits, or it is held.")),
    ),
    "DelayOrder": {
        "type": "object",
        "description": "What a delayed replica is to do; at least one of them, `resume` not with `stop_before`.",
        "properties": {
            "stop_before": {
                "type": "integer",
                "minimum": 1,
                "maximum": OFFSET_MAX,
                "description": "Apply what ends before this offset, then hold. A transaction is never split.",
            },
            "resume": flag("Lift the stop."),
            "apply_now": flag("What has come so far does not have to get older; a stop still counts."),
        },
        "additionalProperties": False,
    },
    "Waiting": record(
        "What a delayed replica holds back, command by command.",
        delay=ref("Delay"),
        commands=array(ref("PendingCommand"), "The whole commands that wait, in order."),
        more=flag("There are more than `limit`: ask again with `from` after the last one's `end_offset`."),
    ),
    "PendingCommand": record(
        "A command that waits. To hold before it, give its `offset` as `stop_before`.",
        offset=count("Of its first byte.", 1),
        end_offset=count("Of its last byte.", 1),
        transaction_offset=or_null(count("The offset of the MULTI that it belongs to, which is never split.")),
        arrived_ms=count("When it came, unix milliseconds."),
        due_ms=count("When it is old enough."),
        command=string("Its name."),
        arguments=array(
            {"type": "string"},
            f"The first {ARGUMENTS_SHOWN}, each up to {ARGUMENT_SHOWN_BYTES} bytes, what is not printable escaped.",
        ),
        argument_count=count("How many it has."),
    ),
}

_LISTED: Final[tuple[Schema, ...]] = (
    {
        "name": "limit",
        "in": "query",
        "description": "How many commands at most.",
        "schema": {"type": "integer", "minimum": 0, "maximum": LIMIT_MAX, "default": LIMIT},
    },
    {
        "name": "command",
        "in": "query",
        "description": "Only commands of this name, such as FLUSHALL.",
        "schema": {"type": "string"},
    },
    {
        "name": "from",
        "in": "query",
        "description": "Only commands that begin at this offset or later.",
        "schema": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX, "default": 0},
    },
)

FEATURE: Final = Feature(
    GuardRails,
    (
        Route(
            GuardRails.delay,
            "get",
            "/v1/delay",
            "delay",
            "facts",
            "What a delayed replica has received and not applied.",
            {JSON: "Waiting"},
            "The commands that wait are decoded, each with its offset: find the one to stop before.",
            refusals=QUERY_REFUSED,
            parameters=_LISTED,
        ),
        Route(
            GuardRails.order_delay,
            "post",
            "/v1/delay",
            "order_delay",
            "actions",
            "Hold a delayed replica before an offset, let it go on, or let it apply at once.",
            {JSON: "Delay"},
            statuses={200: "It is told."},
            refusals={409: "The node is a primary, or the offset is applied already.", **ORDER_REFUSED},
            body=order("DelayOrder"),
        ),
        Route(
            GuardRails.guard,
            "get",
            "/v1/guard",
            "guard",
            "facts",
            "Whether the link is stopped.",
            {JSON: "Guard"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            GuardRails.decide,
            "post",
            "/v1/guard",
            "decide",
            "actions",
            "Decide what becomes of a stopped link.",
            {JSON: "Role"},
            statuses={200: "It is being done; `link` shows how far it is."},
            refusals={409: "The link is not stopped.", **ORDER_REFUSED},
            body=order("Decide"),
        ),
    ),
    SCHEMAS,
)
