"""Change the role: `POST /v1/replicaof`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.task import deferLater
from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import body_of, client_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import HOST_PATTERN, WAIT_MAX_S, Follow, read_follow, read_wait
from txrepl.admin.contract import FORM, JSON, Feature, Handlers, Route, Schema, flag, record, ref, ref_or_null, string
from txrepl.admin.problems import ConflictError, NotReachedError, UnavailableError
from txrepl.admin.selves import is_ourselves
from txrepl.node import Node

POLL_S: Final = 0.05
"""How often a request that waits looks at the link."""


class Roles(Handlers):
    """Follow another primary, or none."""

    async def replicaof(self, request: Request) -> bytes:
        """Follow another primary, or none."""
        wait_s = read_wait(query_of(request, "wait"))
        target = read_follow(content_type_of(request), body_of(request))
        changed = self._follow(target, client_of(request))
        if not wait_s:
            return json_answer(request, views.role_now(self.node, changed=changed), 202)
        await self._reached(target, wait_s)
        return json_answer(request, views.role_now(self.node, changed=changed))

    async def slaveof(self, request: Request) -> bytes:
        """The old name of replicaof."""
        return await self.replicaof(request)

    def _follow(self, target: Follow, who: str) -> bool:
        """Change the role; False if it is that already."""
        node = self.node
        if views.is_loading_file(node):
            raise UnavailableError("loading the dataset from disk: the role can change when that is done")
        if node.failover.is_under_way:
            raise ConflictError("a failover is under way: the role can change when it is over")
        if not target.host:
            return node.promote(who)
        if is_ourselves(node.config, node.settings, target.host, target.port):
            raise ConflictError("a node cannot be its own primary")
        return node.replicate_from(target.host, target.port, who)

    async def _reached(self, target: Follow, wait_s: float) -> None:
        """Wait until the node is what was asked for; cancelled when the client goes.

        Raises:
            ConflictError: somebody else changed the role meanwhile.
            NotReachedError: time is up.
        """
        node = self.node
        deadline = self.scope.seconds() + wait_s
        while not views.has_role(node, target.host, target.port):
            if (node.link.host, node.link.port) != (target.host, target.port):
                raise ConflictError("the role was changed again meanwhile", link=views.link(node, node.now()))
            left_s = deadline - self.scope.seconds()
            if left_s <= 0:
                raise NotReachedError(_not_reached(node, wait_s), link=views.link(node, node.now()))
            await deferLater(self.scope.clock, min(POLL_S, left_s))


def _not_reached(node: Node, wait_s: float) -> str:
    detail = f"after {wait_s:g} s the link is in state {node.link.state.role_word}; it goes on trying"
    error = node.link.last_error
    return f"{detail}. The last error: {views.printable(error)}" if error else detail


SCHEMAS: Final[dict[str, Schema]] = {
    "Follow": {
        "description": "The primary to follow, or none.",
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "host": string("Its host name or address.", pattern=f"^{HOST_PATTERN}$"),
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
    "Role": record(
        "The role after a request to change it.",
        changed=flag("False if it was that already."),
        role=string("What the node is now.", enum=["primary", "replica"]),
        link=ref_or_null("Link"),
    ),
}

_WAIT: Final[Schema] = {
    "name": "wait",
    "in": "query",
    "description": "Answer only when the link is up: 200, or 504 when this many seconds are over.",
    "schema": {"type": "number", "minimum": 0, "maximum": WAIT_MAX_S, "default": 0},
}
_FOLLOW_BODY: Final[Schema] = {
    "required": True,
    "description": "`host` and `port`, or `no_one=true`.",
    "content": {JSON: {"schema": ref("Follow")}, FORM: {"schema": ref("Follow")}},
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


def _follow_route(handler: Callable[..., Any], name: str, summary: str, *, deprecated: bool) -> Route:
    return Route(
        handler,
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


FEATURE: Final = Feature(
    Roles,
    (
        _follow_route(Roles.replicaof, "replicaof", "Follow another primary, or become one.", deprecated=False),
        _follow_route(Roles.slaveof, "slaveof", "The old name of replicaof.", deprecated=True),
    ),
    SCHEMAS,
)
