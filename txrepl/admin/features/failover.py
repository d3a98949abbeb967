"""`/v1/failover`: this primary and one of its replicas change places, and no write is lost."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin.answers import body_of, client_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import HOST_PATTERN, read_fields
from txrepl.admin.contract import (
    FORM,
    JSON,
    ORDER_REFUSED,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    Schema,
    count,
    flag,
    or_null,
    record,
    ref,
    string,
    values,
)
from txrepl.admin.problems import ConflictError, InvalidError
from txrepl.admin.views import Json, printable
from txrepl.errors import ReplicationError
from txrepl.node import Node
from txrepl.replication.failover import FailoverState

TIMEOUT_MAX_MS: Final = 2**53 - 1


class Failovers(Handlers):
    """Begin a failover, see how far it is, give it up."""

    def show(self, request: Request) -> bytes:
        """Where it stands."""
        query_of(request)
        return json_answer(request, failover(self.node))

    def begin(self, request: Request) -> bytes:
        """FAILOVER."""
        query_of(request)
        fields = read_fields(
            content_type_of(request), body_of(request), frozenset({"host", "port", "timeout_ms", "force"})
        )
        host, port = fields.host("host"), fields.whole("port", 1, 65535)
        timeout_ms = fields.whole("timeout_ms", 1, TIMEOUT_MAX_MS) or 0
        force = fields.flag("force")
        if (host is None) != (port is None):
            raise InvalidError("port" if port is None else "host", "missing: host and port belong together")
        target = None if host is None or port is None else (host, port)
        if force and target is None:
            raise InvalidError("host", "missing: force needs host, port and timeout_ms")
        if force and not timeout_ms:
            raise InvalidError("timeout_ms", "missing: force needs host, port and timeout_ms")
        self.node.log("notice", f"Failover asked for (user request from '{client_of(request)}')")
        try:
            self.node.failover.begin(target, timeout_ms, force=force)
        except ReplicationError as error:
            raise ConflictError(str(error)) from None
        return json_answer(request, failover(self.node), 202)

    def abort(self, request: Request) -> bytes:
        """FAILOVER ABORT."""
        query_of(request)
        if not self.node.failover.is_under_way:
            raise ConflictError("no failover is under way")
        self.node.failover.abort(f"Failover manually aborted (user request from '{client_of(request)}')")
        return json_answer(request, failover(self.node))


def failover(node: Node) -> Json:
    """Where the node's failover stands."""
    found = node.failover
    host, port = found.target or (None, None)
    left_ms = None if found.deadline_ms is None else max(0, found.deadline_ms - node.now())
    return {
        "state": found.state.value,
        "host": None if host is None else printable(host),
        "port": port,
        "left_ms": left_ms,
        "force": found.forced,
    }


_ORDER: Final[Schema] = {
    "type": "object",
    "description": "The replica that is to take over; any that has everything if none is named.",
    "properties": {
        "host": string("Its address as GET /v1/replicas shows it.", pattern=f"^{HOST_PATTERN}$"),
        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
        "timeout_ms": {
            "type": "integer",
            "minimum": 1,
            "maximum": TIMEOUT_MAX_MS,
            "description": "How long to wait for it at most; for ever if not given.",
        },
        "force": flag("When time is up it takes over, in sync or not; needs host, port and timeout_ms."),
    },
    "additionalProperties": False,
    "dependentRequired": {"host": ["port"], "port": ["host"]},
}

FEATURE: Final = Feature(
    Failovers,
    (
        Route(
            Failovers.show,
            "get",
            "/v1/failover",
            "failover",
            "facts",
            "Where a failover stands.",
            {JSON: "Failover"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            Failovers.begin,
            "post",
            "/v1/failover",
            "begin_failover",
            "actions",
            "Change places with a replica.",
            {JSON: "Failover"},
            "Writes are held until the replica has everything; then it is the primary, and this node its replica.",
            {202: "It has begun; GET /v1/failover and /v1/events show how far it is."},
            {409: "There is one already, the node is a replica, or it has no such replica online.", **ORDER_REFUSED},
            body={"required": True, "content": {JSON: {"schema": ref("FailoverOrder")}, FORM: {"schema": _ORDER}}},
        ),
        Route(
            Failovers.abort,
            "delete",
            "/v1/failover",
            "abort_failover",
            "actions",
            "Give a failover up.",
            {JSON: "Failover"},
            statuses={200: "It is given up; the node is a primary."},
            refusals={409: "There is none.", **QUERY_REFUSED},
        ),
    ),
    {
        "Failover": record(
            "A failover, or that there is none.",
            state=string("Where it stands.", enum=values(FailoverState)),
            host=or_null(string("The replica that is to take over; null while any may.")),
            port=or_null(count("Its port.")),
            left_ms=or_null(count("How long it still waits; null if for ever, or if there is none.")),
            force=flag("When time is up the replica takes over, in sync or not."),
        ),
        "FailoverOrder": _ORDER,
    },
)
