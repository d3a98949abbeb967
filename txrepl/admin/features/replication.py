"""A node's replication in facts: `GET /v1/replication`, `/v1/backlog`, `/v1/replicas`; disconnect a replica."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import body_of, client_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import OFFSET_MAX, read_fields
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
    ref_or_null,
    string,
)
from txrepl.admin.problems import InvalidError, NotFoundError
from txrepl.errors import ConfigError
from txrepl.replication.decisions import EndCause

_STATES: Final = ["none", "connect", "connecting", "handshake", "sync", "connected"]


class Replication(Handlers):
    """Role, ids, link, replicas, backlog."""

    def replication(self, request: Request) -> bytes:
        """Role, ids, link, replicas, backlog."""
        query_of(request)
        return json_answer(request, views.replication(self.node, self.node.now()))

    def backlog(self, request: Request) -> bytes:
        """What the backlog covers."""
        query_of(request)
        return json_answer(request, views.backlog(self.node, self.node.now()))

    def resize(self, request: Request) -> bytes:
        """Keep more or less of the history."""
        query_of(request)
        fields = read_fields(content_type_of(request), body_of(request), frozenset({"size_bytes"}))
        size = fields.whole("size_bytes", 1, OFFSET_MAX)
        if size is None:
            raise InvalidError("size_bytes", "missing")
        node = self.node
        try:
            changed = node.config.set_many({"repl-backlog-size": str(size)})
        except ConfigError as error:
            raise InvalidError("size_bytes", str(error)) from None
        if changed:
            size = node.config.get_int("repl-backlog-size")
            node.log("notice", f"repl-backlog-size is {size} now (user request from '{client_of(request)}')")
        return json_answer(request, views.backlog(node, node.now()))

    def replicas(self, request: Request) -> bytes:
        """The attached replicas."""
        query_of(request)
        return json_answer(request, {"replicas": views.replicas(self.node, self.node.now())})

    def disconnect(self, request: Request, id: str) -> bytes:
        """Close the connection of a replica."""
        query_of(request)
        node = self.node
        number = int(id) if id.isascii() and id.isdigit() and len(id) < 20 else -1
        found = node.primary.replicas.get(number)
        if found is None or found.outlet is None:
            raise NotFoundError("no attached replica has this id; GET /v1/replicas lists them")
        shown = views.replica(node, found, node.now())
        node.log("notice", f"Disconnecting replica {found.name} (user request from '{client_of(request)}')")
        found.drop(EndCause.REQUESTED)
        return json_answer(request, {"disconnected": shown})


SCHEMAS: Final[dict[str, Schema]] = {
    "Replication": record(
        "A node's replication.",
        role=string("What the node is.", enum=["primary", "replica"]),
        replid=string("The id of its history.", **REPLID),
        replid2=or_null(string("The id of the history before, if a replica may still go on with it.", **REPLID)),
        offset=count("Bytes of the history so far."),
        second_offset=or_null(count("The first offset at which replid2 is no longer ours.")),
        link=ref_or_null("Link"),
        replicas=array(ref("Replica"), "The attached replicas."),
        backlog=ref("Backlog"),
    ),
    "Link": record(
        "The link to the primary.",
        host=string("The primary's host."),
        port=count("The primary's port."),
        up=flag("The stream flows."),
        state=string("The word that ROLE answers.", enum=_STATES),
        step=string("The state in full: the handshake's step."),
        last_io_seconds=or_null(number("Seconds since the primary was last heard.")),
        down_seconds=or_null(number("Seconds since the link was lost.")),
        failures=count("Attempts that failed since the link was last up."),
        last_error=or_null(string("Why the last attempt failed.")),
        resumable=flag("A partial resync may be asked for."),
        behind=ref("Behind"),
        guard=ref("Guard"),
        delay=ref("Delay"),
        sync=ref_or_null("Sync"),
        handshake=array(ref("Step"), "The steps of the last handshake, in order."),
    ),
    "Behind": record(
        "How far this node is behind its primary, as far as it can know by itself.",
        least_bytes=or_null(count("Bytes received and not applied yet; null while the link is down.")),
        most_ms=or_null(
            count("All that the primary wrote longer ago than this is here; null if its stream never flowed.")
        ),
    ),
    "Step": record(
        "A step of the handshake.", step=string("Its name."), at_ms=count("When it was entered, unix milliseconds.")
    ),
    "Sync": record(
        "A full sync that is being received.",
        total_bytes=or_null(count("Its length; null while unknown (diskless).")),
        read_bytes=count("Bytes received."),
        percent=or_null(number("The share received.")),
        bytes_per_second=or_null(count("The mean rate since the first byte.")),
        eta_seconds=or_null(number("Seconds left at that rate.")),
        elapsed_seconds=number("Seconds since the primary promised it."),
        last_io_seconds=number("Seconds since the last bytes came."),
    ),
    "Replica": record(
        "An attached replica.",
        id=count("The id of its connection."),
        address=string("Where it is reached."),
        port=count("Where it says it listens; 0 if it did not say."),
        state=or_null(
            string("Where it stands.", enum=["wait_bgsave_start", "wait_bgsave_end", "send_bulk", "online", None])
        ),
        offset=count("The last offset that it acknowledged."),
        sent_offset=or_null(count("The last byte of the stream handed to its connection.")),
        lag_bytes=or_null(count("Bytes of the history that it has not acknowledged; null until it is online.")),
        lag_ms=or_null(
            count("How long ago the first byte that it has not got was written; 0 if it has all; null until online.")
        ),
        lag_seconds=or_null(number("Seconds since it last acknowledged; null until it is online.")),
        attached_seconds=number("Seconds since it came."),
        capabilities=array({"type": "string"}, "What it says it understands."),
        version=or_null(string("The version that it says it is.")),
    ),
    "Replicas": record("The attached replicas.", replicas=array(ref("Replica"), "By id.")),
    "Backlog": record(
        "The last bytes of the history, from which a replica may go on.",
        active=flag("There is one; it is made when the first replica comes."),
        size_bytes=count("How many bytes are kept at least."),
        length_bytes=count("Bytes held; a slow replica may pin more than the size."),
        first_offset=or_null(count("The oldest offset that it holds.")),
        next_offset=or_null(count("The offset of the next byte.")),
        bytes_per_second=or_null(number("The rate of writes of the last minute; null while unknown.")),
        held_seconds=or_null(number("The age of the oldest byte held.")),
        covers_seconds=or_null(number("How long a replica may be away from now on, at that rate, and still go on.")),
        recommended_bytes=count(
            "The repl-backlog-size to set: for the busiest minute's rate over repl-timeout (at least 60 s), twice, and "
            "never less than what would have saved the full syncs below /v1/syncs."
        ),
    ),
    "BacklogOrder": {
        "type": "object",
        "description": "A size for the backlog.",
        "properties": {
            "size_bytes": {
                "type": "integer",
                "minimum": 1,
                "maximum": OFFSET_MAX,
                "description": "How many bytes to keep at least.",
            }
        },
        "required": ["size_bytes"],
        "additionalProperties": False,
    },
    "Disconnected": record("A replica that was disconnected; it may come back.", disconnected=ref("Replica")),
}

_ID: Final[Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The replica's id, as GET /v1/replicas shows it.",
    "schema": {"type": "integer", "minimum": 0},
}

FEATURE: Final = Feature(
    Replication,
    (
        Route(
            Replication.replication,
            "get",
            "/v1/replication",
            "replication",
            "facts",
            "Role, ids, link, replicas, backlog.",
            {JSON: "Replication"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            Replication.backlog,
            "get",
            "/v1/backlog",
            "backlog",
            "facts",
            "What the backlog covers.",
            {JSON: "Backlog"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            Replication.resize,
            "patch",
            "/v1/backlog",
            "resize_backlog",
            "actions",
            "Resize the backlog.",
            {JSON: "Backlog"},
            "Sets repl-backlog-size; less than 16 kB becomes 16 kB. A smaller one drops the oldest bytes.",
            {200: "It is resized."},
            ORDER_REFUSED,
            body=order("BacklogOrder"),
        ),
        Route(
            Replication.replicas,
            "get",
            "/v1/replicas",
            "replicas",
            "facts",
            "The attached replicas.",
            {JSON: "Replicas"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            Replication.disconnect,
            "delete",
            "/v1/replicas/{id}",
            "disconnect",
            "actions",
            "Disconnect a replica.",
            {JSON: "Disconnected"},
            "Its connection is closed; it will come back and ask for a partial resync.",
            {200: "It is disconnected."},
            {404: "No attached replica has this id.", **QUERY_REFUSED},
            (_ID,),
        ),
    ),
    SCHEMAS,
)
