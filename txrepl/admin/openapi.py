"""The contract as OpenAPI 3.1: one table of routes, one of schemas, and the builder that joins them.

A path or a field that is not written here does not exist: the tests compare the routes with the app's, and every
answer with its schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from txrepl import __version__
from txrepl.admin.auth import OPEN_PATHS
from txrepl.admin.bodies import DECISIONS, HOST_PATTERN, OFFSET_MAX, WAIT_MAX_S
from txrepl.admin.problems import CONTENT_TYPE
from txrepl.admin.waiting import ARGUMENT_SHOWN_BYTES, ARGUMENTS_SHOWN, LIMIT, LIMIT_MAX
from txrepl.replication.advice import LoopCause
from txrepl.replication.decisions import Answer, Direction, EndCause, Stage
from txrepl.replication.guard import Cause
from txrepl.replication.psync import Condition

Schema = dict[str, Any]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
TEXT: Final = "text/plain"


# -- schemas ----------------------------------------------------------------------------------------------------


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _count(description: str, minimum: int = 0) -> Schema:
    return {"type": "integer", "minimum": minimum, "description": description}


def _number(description: str) -> Schema:
    return {"type": "number", "minimum": 0, "description": description}


def _flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _or_null(schema: Schema) -> Schema:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _ref_or_null(name: str) -> Schema:
    return {"anyOf": [_ref(name), {"type": "null"}]}


def _values(words: type[Enum]) -> list[str]:
    return [word.value for word in words]


def _object(description: str, **properties: Schema) -> Schema:
    """An object that has exactly these members."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_REPLID: Final = {"minLength": 40, "maxLength": 40}
_STATES: Final = ["none", "connect", "connecting", "handshake", "sync", "connected"]

SCHEMAS: Final[dict[str, Schema]] = {
    "Replication": _object(
        "A node's replication.",
        role=_text("What the node is.", enum=["primary", "replica"]),
        replid=_text("The id of its history.", **_REPLID),
        replid2=_or_null(_text("The id of the history before, if a replica may still go on with it.", **_REPLID)),
        offset=_count("Bytes of the history so far."),
        second_offset=_or_null(_count("The first offset at which replid2 is no longer ours.")),
        link=_ref_or_null("Link"),
        replicas=_list(_ref("Replica"), "The attached replicas."),
        backlog=_ref("Backlog"),
    ),
    "Link": _object(
        "The link to the primary.",
        host=_text("The primary's host."),
        port=_count("The primary's port."),
        up=_flag("The stream flows."),
        state=_text("The word that ROLE answers.", enum=_STATES),
        step=_text("The state in full: the handshake's step."),
        last_io_seconds=_or_null(_number("Seconds since the primary was last heard.")),
        down_seconds=_or_null(_number("Seconds since the link was lost.")),
        failures=_count("Attempts that failed since the link was last up."),
        last_error=_or_null(_text("Why the last attempt failed.")),
        resumable=_flag("A partial resync may be asked for."),
        behind=_ref("Behind"),
        guard=_ref("Guard"),
        delay=_ref("Delay"),
        sync=_ref_or_null("Sync"),
        handshake=_list(_ref("Step"), "The steps of the last handshake, in order."),
    ),
    "Behind": _object(
        "How far this node is behind its primary, as far as it can know by itself.",
        least_bytes=_or_null(_count("Bytes received and not applied yet; null while the link is down.")),
        most_ms=_or_null(
            _count("All that the primary wrote longer ago than this is here; null if its stream never flowed.")
        ),
    ),
    "Guard": _object(
        "Whether the link is stopped because a full sync must not be taken without being asked for.",
        state=_text("`watching`: an empty primary would be refused.", enum=["off", "watching", "stopped"]),
        cause=_or_null(_text("Why it is stopped.", enum=[*_values(Cause), None])),
        reason=_or_null(_text("The same in words.")),
        at_ms=_or_null(_count("Since when, unix milliseconds.")),
        keys=_or_null(_count("Keys that are kept here.")),
        primary_replid=_or_null(_text("The history that the primary offered; null if it named none.", **_REPLID)),
        primary_offset=_or_null(_count("The offset in it.")),
    ),
    "Delay": _object(
        "What a delayed replica holds back.",
        state=_text("`held`: stopped before an offset until it is told to go on.", enum=["off", "running", "held"]),
        delay_seconds=_count("How old a write must be to be applied (`replica-delay`)."),
        stop_before=_or_null(_count("It holds before what ends here or later.")),
        applied_offset=_count("The last byte applied."),
        received_offset=_count("The last byte received, and acknowledged to the primary."),
        pending_bytes=_count("Bytes between the two."),
        max_bytes=_count("From how many on the primary is read no further (`replica-delay-max-bytes`)."),
        full=_flag("It is read no further now."),
        oldest_seconds=_or_null(_number("The age of the oldest that waits.")),
        next_in_seconds=_or_null(_number("When the next of it is old enough; null if nothing waits, or it is held.")),
    ),
    "Waiting": _object(
        "What a delayed replica holds back, command by command.",
        delay=_ref("Delay"),
        commands=_list(_ref("PendingCommand"), "The whole commands that wait, in order."),
        more=_flag("There are more than `limit`: ask again with `from` after the last one's `end_offset`."),
    ),
    "PendingCommand": _object(
        "A command that waits. To hold before it, give its `offset` as `stop_before`.",
        offset=_count("Of its first byte.", 1),
        end_offset=_count("Of its last byte.", 1),
        transaction_offset=_or_null(_count("The offset of the MULTI that it belongs to, which is never split.")),
        arrived_ms=_count("When it came, unix milliseconds."),
        due_ms=_count("When it is old enough."),
        command=_text("Its name."),
        arguments=_list(
            {"type": "string"},
            f"The first {ARGUMENTS_SHOWN}, each up to {ARGUMENT_SHOWN_BYTES} bytes, what is not printable escaped.",
        ),
        argument_count=_count("How many it has."),
    ),
    "Decide": {
        "type": "object",
        "description": "What to do with a stopped link.",
        "properties": {
            "decision": _text(
                "`accept`: take the primary's full sync, once. `promote`: be a primary with the data kept.",
                enum=list(DECISIONS),
            )
        },
        "required": ["decision"],
        "additionalProperties": False,
    },
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
            "resume": _flag("Lift the stop."),
            "apply_now": _flag("What has come so far does not have to get older; a stop still counts."),
        },
        "additionalProperties": False,
    },
    "Step": _object(
        "A step of the handshake.", step=_text("Its name."), at_ms=_count("When it was entered, unix milliseconds.")
    ),
    "Sync": _object(
        "A full sync that is being received.",
        total_bytes=_or_null(_count("Its length; null while unknown (diskless).")),
        read_bytes=_count("Bytes received."),
        percent=_or_null(_number("The share received.")),
        bytes_per_second=_or_null(_count("The mean rate since the first byte.")),
        eta_seconds=_or_null(_number("Seconds left at that rate.")),
        elapsed_seconds=_number("Seconds since the primary promised it."),
        last_io_seconds=_number("Seconds since the last bytes came."),
    ),
    "Replica": _object(
        "An attached replica.",
        id=_count("The id of its connection."),
        address=_text("Where it is reached."),
        port=_count("Where it says it listens; 0 if it did not say."),
        state=_or_null(
            _text("Where it stands.", enum=["wait_bgsave_start", "wait_bgsave_end", "send_bulk", "online", None])
        ),
        offset=_count("The last offset that it acknowledged."),
        sent_offset=_or_null(_count("The last byte of the stream handed to its connection.")),
        lag_bytes=_or_null(_count("Bytes of the history that it has not acknowledged; null until it is online.")),
        lag_ms=_or_null(
            _count("How long ago the first byte that it has not got was written; 0 if it has all; null until online.")
        ),
        lag_seconds=_or_null(_number("Seconds since it last acknowledged; null until it is online.")),
        attached_seconds=_number("Seconds since it came."),
        capabilities=_list({"type": "string"}, "What it says it understands."),
        version=_or_null(_text("The version that it says it is.")),
    ),
    "Replicas": _object("The attached replicas.", replicas=_list(_ref("Replica"), "By id.")),
    "Backlog": _object(
        "The last bytes of the history, from which a replica may go on.",
        active=_flag("There is one; it is made when the first replica comes."),
        size_bytes=_count("How many bytes are kept at least."),
        length_bytes=_count("Bytes held; a slow replica may pin more than the size."),
        first_offset=_or_null(_count("The oldest offset that it holds.")),
        next_offset=_or_null(_count("The offset of the next byte.")),
        bytes_per_second=_or_null(_number("The rate of writes of the last minute; null while unknown.")),
        held_seconds=_or_null(_number("The age of the oldest byte held.")),
        covers_seconds=_or_null(_number("How long a replica may be away from now on, at that rate, and still go on.")),
        recommended_bytes=_count(
            "The repl-backlog-size to set: for the busiest minute's rate over repl-timeout (at least 60 s), twice, and "
            "never less than what would have saved the full syncs below /v1/syncs."
        ),
    ),
    "Syncs": _object(
        "What this node answered to replicas that asked for synchronization, and its primary to it.",
        full=_count("Full syncs."),
        partial_ok=_count("Partial syncs."),
        partial_err=_count("Requests for a partial sync that were answered with a full one."),
        advice=_list(_ref("Loop"), "Replicas that need one full sync after the other, and what to set."),
        decisions=_list(_ref("Decision"), "The last decisions on PSYNC and SYNC, newest first."),
    ),
    "Decision": _object(
        "The answer to one PSYNC or SYNC.",
        at_ms=_count("When, unix milliseconds."),
        direction=_text("By this node to a replica, or by its primary to it.", enum=_values(Direction)),
        peer=_text("The replica that asked, or the primary that was asked."),
        asked=_ref("Asked"),
        answer=_text("What was answered.", enum=_values(Answer)),
        condition=_or_null(_text("The condition that failed; null if partial.", enum=[*_values(Condition), None])),
        reason=_text("Why, in words."),
        avoidance=_or_null(_text("What would have avoided a full sync, naming the setting; null if nothing would.")),
        missing_bytes=_count("By how much the backlog fell short; 0 if that was not the reason."),
        saving_backlog_bytes=_count("The least backlog size that would have made it partial; 0 if none would."),
        ours=_ref("Standing"),
        times=_count("How often in a row it was answered so (refusals).", 1),
        last_ms=_count("When it was last answered so, unix milliseconds."),
        cost=_ref_or_null("Cost"),
        end=_ref_or_null("End"),
    ),
    "Standing": _object(
        "Where this node stood when the decision was made.",
        replid=_text("Its history.", **_REPLID),
        replid2=_or_null(_text("The history before.", **_REPLID)),
        second_offset=_or_null(_count("The first offset at which replid2 was no longer its own.")),
        offset=_count("Its offset."),
        backlog_first_offset=_or_null(_count("The oldest offset in its backlog; null without one.")),
        backlog_next_offset=_or_null(_count("The offset after its backlog's last.")),
        backlog_size_bytes=_count("The backlog's size; 0 without one."),
    ),
    "Cost": _object(
        "What a full sync took.",
        bytes=_count("Bytes of the snapshot handed to the connection (given), or received."),
        duration_ms=_count("From the decision to the last byte sent (given) or loaded (received)."),
        stage=_text("How far it came.", enum=_values(Stage)),
    ),
    "End": _object(
        "How the connection ended that the decision was for.",
        cause=_text("Why.", enum=_values(EndCause)),
        at_ms=_count("When, unix milliseconds."),
        behind_bytes=_count("Bytes of the stream that were still to be sent."),
    ),
    "Loop": _object(
        "A replica that needs one full sync after the other.",
        replica=_text("Which."),
        cause=_text("Why.", enum=_values(LoopCause)),
        full_syncs=_count("How many it got."),
        since_ms=_count("Since when, unix milliseconds."),
        last_ms=_count("The last of them, unix milliseconds."),
        setting=_text("The directive to set."),
        value=_text("What to set it to, as CONFIG SET takes it."),
        on_replica=_flag("It is to be set on the replica, not here."),
        text=_text("The same in a sentence."),
    ),
    "Asked": _object(
        "What a replica asked for.",
        replid=_or_null(_text("The history that it followed; null if none.")),
        offset={"type": "integer", "description": "The next offset that it needs."},
    ),
    "Info": {
        "type": "object",
        "description": "INFO: sections by name, in lower case, each with its fields. Numbers are numbers.",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "object"],
                "additionalProperties": {"type": ["string", "number"]},
                "description": "What Redis packs into one field (`slave0`, `db0`, `cmdstat_get`) is an object.",
            },
        },
    },
    "Status": _object("A probe's answer.", status=_text("The state.", enum=["alive", "ready"])),
    "Follow": {
        "description": "The primary to follow, or none.",
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "host": _text("Its host name or address.", pattern=f"^{HOST_PATTERN}$"),
                    "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                    "no_one": {"const": False},
                },
                "required": ["host", "port"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {"no_one": {"const": True}},
                "required": ["no_one"],
                "additionalProperties": False,
            },
        ],
    },
    "Role": _object(
        "The role after a request to change it.",
        changed=_flag("False if it was that already."),
        role=_text("What the node is now.", enum=["primary", "replica"]),
        link=_ref_or_null("Link"),
    ),
    "Disconnected": _object("A replica that was disconnected; it may come back.", disconnected=_ref("Replica")),
    "Problem": {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": _text("Names the kind of problem; stable.", pattern="^urn:txrepl:problem:[a-z-]+$"),
            "title": _text("The kind in words."),
            "status": _count("The status code.", 400),
            "detail": _text("What is wrong with this request."),
            "errors": _list(
                _object("A field that is not valid.", field=_text("Its name."), detail=_text("What is wrong.")),
                "The fields that are not valid (422).",
            ),
            "link": _ref_or_null("Link"),
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": False,
    },
}


# -- routes -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        content: schema by media type of the success; a schema name, or a whole schema.
        statuses: what a success may be.
        refusals: the statuses that it is refused with, beyond those that every path has.
    """

    method: str
    path: str
    operation: str
    tag: str
    summary: str
    content: dict[str, str | Schema]
    description: str = ""
    statuses: dict[int, str] = field(default_factory=lambda: {200: "The facts."})
    refusals: dict[int, str] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    deprecated: bool = False


_PLAIN: Final[dict[str, str | Schema]] = {TEXT: {"type": "string"}}
_QUERY: Final = {422: "A parameter is unknown or out of range."}
_WAIT: Final[Schema] = {
    "name": "wait",
    "in": "query",
    "description": "Answer only when the link is up: 200, or 504 when this many seconds are over.",
    "schema": {"type": "number", "minimum": 0, "maximum": WAIT_MAX_S, "default": 0},
}
_SECTION: Final[Schema] = {
    "name": "section",
    "in": "query",
    "description": "Sections of INFO; also `default`, `all`, `everything`. The default ones where nothing is asked.",
    "style": "form",
    "explode": False,
    "schema": {"type": "array", "items": {"type": "string"}},
}
_ID: Final[Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The replica's id, as GET /v1/replicas shows it.",
    "schema": {"type": "integer", "minimum": 0},
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
_ORDER_REFUSED: Final = {
    413: "The body is too large.",
    415: "The body is neither JSON nor a form.",
    422: "A field is missing, unknown, or not valid.",
}


def _body(schema: str) -> Schema:
    return {"required": True, "content": {JSON: {"schema": _ref(schema)}, FORM: {"schema": _ref(schema)}}}


_FORM_FOLLOW: Final[Schema] = {
    "type": "object",
    "properties": {
        "host": _text("The primary's host name or address.", pattern=f"^{HOST_PATTERN}$"),
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "no_one": {"type": "boolean", "description": "Become a primary; then without host and port."},
    },
    "additionalProperties": False,
}
_FOLLOW_BODY: Final[Schema] = {
    "required": True,
    "description": "`host` and `port`, or `no_one=true`.",
    "content": {JSON: {"schema": _ref("Follow")}, FORM: {"schema": _FORM_FOLLOW}},
}
_FOLLOW_DONE: Final = {
    200: "The role is reached: with `wait`, once the link is up.",
    202: "It is being done; GET /v1/replication shows how far it is.",
}
_FOLLOW_REFUSED: Final = {
    409: "The address is the node's own, a failover is under way, or the role was changed again while waiting.",
    413: "The body is too large.",
    415: "The body is neither JSON nor a form.",
    422: "A field or parameter is missing, unknown, or not valid.",
    503: "The dataset is being loaded from disk.",
    504: "Waiting was in vain so far; `link` shows the state reached.",
}


def _follow_route(name: str, summary: str, *, deprecated: bool) -> Route:
    return Route(
        "post",
        f"/v1/{name}",
        name,
        "actions",
        summary,
        {JSON: "Role"},
        "Answers at once; `wait` makes it wait for the outcome. Waiting that ends or is cut off undoes nothing.",
        _FOLLOW_DONE,
        _FOLLOW_REFUSED,
        (_WAIT,),
        _FOLLOW_BODY,
        deprecated,
    )


ROUTES: Final[tuple[Route, ...]] = (
    Route("get", "/", "page", "pages", "Everything as aligned text, 80 columns.", _PLAIN, refusals=_QUERY),
    Route(
        "get",
        "/syncs.txt",
        "syncs_text",
        "pages",
        "The sync decisions as text, 80 columns.",
        _PLAIN,
        refusals=_QUERY,
    ),
    Route(
        "get",
        "/openapi.json",
        "openapi",
        "pages",
        "This document.",
        {JSON: {"type": "object"}},
        statuses={200: "The contract."},
        refusals=_QUERY,
    ),
    Route("get", "/healthz", "healthz", "probes", "Whether the server is alive.", {JSON: "Status"}),
    Route(
        "get",
        "/readyz",
        "readyz",
        "probes",
        "Whether readers may be sent here.",
        {JSON: "Status"},
        refusals={503: "Loading, or the link to the primary is down: `detail` says which."},
    ),
    Route(
        "get",
        "/v1/replication",
        "replication",
        "facts",
        "Role, ids, link, replicas, backlog.",
        {JSON: "Replication"},
        refusals=_QUERY,
    ),
    Route("get", "/v1/backlog", "backlog", "facts", "What the backlog covers.", {JSON: "Backlog"}, refusals=_QUERY),
    Route("get", "/v1/replicas", "replicas", "facts", "The attached replicas.", {JSON: "Replicas"}, refusals=_QUERY),
    Route(
        "get",
        "/v1/syncs",
        "syncs",
        "facts",
        "The last sync decisions, with their reasons.",
        {JSON: "Syncs"},
        refusals=_QUERY,
    ),
    Route(
        "get",
        "/v1/info",
        "info",
        "facts",
        "INFO: as JSON, or as Redis's own text.",
        {JSON: "Info", **_PLAIN},
        "`Accept: text/plain` gives the reply of the INFO command, byte for byte.",
        refusals=_QUERY,
        parameters=(_SECTION,),
    ),
    Route(
        "get",
        "/v1/delay",
        "delay",
        "facts",
        "What a delayed replica has received and not applied.",
        {JSON: "Waiting"},
        "The commands that wait are decoded, each with its offset: find the one to stop before.",
        refusals=_QUERY,
        parameters=_LISTED,
    ),
    Route(
        "post",
        "/v1/delay",
        "order_delay",
        "actions",
        "Hold a delayed replica before an offset, let it go on, or let it apply at once.",
        {JSON: "Delay"},
        statuses={200: "It is told."},
        refusals={409: "The node is a primary, or the offset is applied already.", **_ORDER_REFUSED},
        body=_body("DelayOrder"),
    ),
    Route("get", "/v1/guard", "guard", "facts", "Whether the link is stopped.", {JSON: "Guard"}, refusals=_QUERY),
    Route(
        "post",
        "/v1/guard",
        "decide",
        "actions",
        "Decide what becomes of a stopped link.",
        {JSON: "Role"},
        statuses={200: "It is being done; `link` shows how far it is."},
        refusals={409: "The link is not stopped.", **_ORDER_REFUSED},
        body=_body("Decide"),
    ),
    _follow_route("replicaof", "Follow another primary, or become one.", deprecated=False),
    _follow_route("slaveof", "The old name of replicaof.", deprecated=True),
    Route(
        "delete",
        "/v1/replicas/{id}",
        "disconnect",
        "actions",
        "Disconnect a replica.",
        {JSON: "Disconnected"},
        "Its connection is closed; it will come back and ask for a partial resync.",
        {200: "It is disconnected."},
        {404: "No attached replica has this id.", **_QUERY},
        (_ID,),
    ),
)


# -- the document -----------------------------------------------------------------------------------------------


def document(*, needs_token: bool) -> dict[str, Any]:
    """The OpenAPI document.

    Parameters:
        needs_token: whether this server wants a bearer token.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route, needs_token=needs_token)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "txrepl",
            "version": __version__,
            "summary": "See a node's replication, and steer it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The value of `http-token`."}
            },
        },
    }


def _operation(route: Route, *, needs_token: bool) -> dict[str, Any]:
    guarded = route.path not in OPEN_PATHS
    refusals = {400: "The request cannot be read.", **route.refusals}
    if guarded:
        refusals[403] = "The Host is not ours, or the Origin is foreign."
    if guarded and needs_token:
        refusals[401] = "The token is missing or wrong."
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {
            **{str(status): _success(route, says) for status, says in sorted(route.statuses.items())},
            **{str(status): _refusal(says) for status, says in sorted(refusals.items())},
        },
        "security": [{"token": []}] if guarded and needs_token else [],
    }
    if route.description:
        operation["description"] = route.description
    if route.parameters:
        operation["parameters"] = list(route.parameters)
    if route.body is not None:
        operation["requestBody"] = route.body
    if route.deprecated:
        operation["deprecated"] = True
    return operation


def _success(route: Route, says: str) -> Schema:
    content = {
        media: {"schema": _ref(schema) if isinstance(schema, str) else schema}
        for media, schema in route.content.items()
    }
    return {"description": says, "content": content}


def _refusal(says: str) -> Schema:
    return {"description": says, "content": {CONTENT_TYPE: {"schema": _ref("Problem")}}}
