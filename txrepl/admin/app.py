"""The paths, each a few lines: read the request, ask `views` or act on the node, answer.

Reading never changes anything. A role changes only through `Node.replicate_from` and `Node.promote`, with the
client's address for the log. Whatever is raised becomes a problem in one place; nothing here blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from klein import Klein
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from txrepl.admin import information, openapi, text, views
from txrepl.admin.bodies import (
    OFFSET_MAX,
    Follow,
    prefers_text,
    read_decision,
    read_delay_order,
    read_follow,
    read_info_query,
    read_query,
    read_wait,
    read_whole,
)
from txrepl.admin.problems import (
    CONTENT_TYPE,
    UNEXPECTED,
    ConflictError,
    NotFoundError,
    NotReachedError,
    Problem,
    UnavailableError,
)
from txrepl.admin.problems import problem_of as find_problem
from txrepl.admin.selves import is_ourselves
from txrepl.admin.waiting import LIMIT, LIMIT_MAX, Listing, Wanted
from txrepl.node import Node
from txrepl.replication.decisions import EndCause

SLICE_S: Final = 0.01
"""How long a request looks through bytes before others get their turn."""

POLL_S: Final = 0.05
"""How often a request that waits looks at the link."""

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"


def answer(request: Request, body: bytes, content_type: str, status: int = 200) -> bytes:
    """Set status and headers; returns the body."""
    request.setResponseCode(status)
    for name, value in (
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Server", "txrepl"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
    ):
        request.setHeader(name, value)
    return body


def refuse(request: Request, problem: Problem) -> bytes:
    """Set status and headers of a problem; returns the body."""
    for name, value in problem.headers.items():
        request.setHeader(name, value)
    return answer(request, problem.body(), CONTENT_TYPE, problem.kind.status)


def json_answer(request: Request, value: Any, status: int = 200) -> bytes:
    """Answer with JSON, indented for people, ending in a line break."""
    return answer(request, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), JSON, status)


def client_of(request: Request) -> str:
    """The client as the log names it."""
    address = request.getClientAddress()
    if isinstance(address, IPv4Address | IPv6Address):
        return f"HTTP client {address.host}:{address.port}"
    return "HTTP client"


class Admin:
    """The HTTP interface of one node.

    Parameters:
        node: what is shown and steered.
        clock: the time that requests wait by.
        needs_token: whether the curl lines shown carry a token.
    """

    app = Klein()

    def __init__(self, node: Node, clock: IReactorTime, *, needs_token: bool) -> None:
        self._node = node
        self._clock = clock
        self._seconds: Callable[[], float] = clock.seconds  # type: ignore[misc]  # a method of an Interface has no self
        self._needs_token = needs_token
        self._log = Logger(namespace="txrepl.admin")
        self._document = openapi.document(needs_token=needs_token)

    @app.handle_errors(Exception)
    def refused(self, request: Request, failure: Failure) -> bytes:
        """Answer with the problem that an exception stands for."""
        assert failure.value is not None
        problem = find_problem(failure.value)
        if problem.kind is UNEXPECTED:
            self._log.failure("HTTP request failed", failure)
        return refuse(request, problem)

    # -- pages --------------------------------------------------------------------------------------------------

    @app.route("/", methods=["GET"])
    def page(self, request: Request) -> bytes:
        """Everything, as text."""
        query_of(request)
        host = request.requestHeaders.getRawHeaders("host", ["localhost"])[0]
        base = f"https://{host}" if request.isSecure() else host
        overview = views.overview(self._node, self._node.now())
        return answer(request, text.page(overview, base, needs_token=self._needs_token).encode(), TEXT)

    @app.route("/syncs.txt", methods=["GET"])
    def syncs_text(self, request: Request) -> bytes:
        """The sync decisions, as text."""
        query_of(request)
        return answer(request, text.syncs_page(views.syncs(self._node)).encode(), TEXT)

    @app.route("/openapi.json", methods=["GET"])
    def openapi(self, request: Request) -> bytes:
        """The contract."""
        query_of(request)
        return json_answer(request, self._document)

    # -- probes -------------------------------------------------------------------------------------------------

    @app.route("/healthz", methods=["GET"])
    def healthz(self, request: Request) -> bytes:
        """The reactor turns."""
        return json_answer(request, {"status": "alive"})

    @app.route("/readyz", methods=["GET"])
    def readyz(self, request: Request) -> bytes:
        """The data can be read, and is being kept current."""
        reason = views.unready(self._node)
        if reason is not None:
            raise UnavailableError(reason)
        return json_answer(request, {"status": "ready"})

    # -- facts --------------------------------------------------------------------------------------------------

    @app.route("/v1/replication", methods=["GET"])
    def replication(self, request: Request) -> bytes:
        """Role, ids, link, replicas, backlog."""
        query_of(request)
        return json_answer(request, views.replication(self._node, self._node.now()))

    @app.route("/v1/backlog", methods=["GET"])
    def backlog(self, request: Request) -> bytes:
        """What the backlog covers."""
        query_of(request)
        return json_answer(request, views.backlog(self._node, self._node.now()))

    @app.route("/v1/replicas", methods=["GET"])
    def replicas(self, request: Request) -> bytes:
        """The attached replicas."""
        query_of(request)
        return json_answer(request, {"replicas": views.replicas(self._node, self._node.now())})

    @app.route("/v1/syncs", methods=["GET"])
    def syncs(self, request: Request) -> bytes:
        """The last sync decisions."""
        query_of(request)
        return json_answer(request, views.syncs(self._node))

    @app.route("/v1/info", methods=["GET"])
    def info(self, request: Request) -> bytes:
        """INFO."""
        wanted = read_info_query(query_bytes(request))
        accepted = ",".join(request.requestHeaders.getRawHeaders("accept", []))
        if prefers_text(accepted):
            return answer(request, information.as_text(self._node, wanted), TEXT)
        return json_answer(request, information.as_json(self._node, wanted))

    @app.route("/v1/guard", methods=["GET"])
    def guard(self, request: Request) -> bytes:
        """Whether the link is stopped."""
        query_of(request)
        return json_answer(request, views.guard(self._node))

    @app.route("/v1/delay", methods=["GET"])
    async def delay(self, request: Request) -> bytes:
        """What a delayed replica holds back, command by command."""
        query = query_of(request, "limit", "command", "from")
        limit = read_whole(query, "limit", 0, LIMIT_MAX, LIMIT)
        from_offset = read_whole(query, "from", 0, OFFSET_MAX, 0)
        node = self._node
        shown = views.delay(node, node.now())
        listing = Listing(node, Wanted(limit, query.get("command", "").upper(), from_offset))
        until = self._seconds() + SLICE_S
        for _ in listing.pieces():
            if self._seconds() >= until:
                await deferLater(self._clock, 0)
                until = self._seconds() + SLICE_S
        return json_answer(request, {"delay": shown, "commands": listing.commands, "more": listing.more})

    # -- actions ------------------------------------------------------------------------------------------------

    @app.route("/v1/guard", methods=["POST"])
    def decide(self, request: Request) -> bytes:
        """Decide what becomes of a stopped link."""
        query_of(request)
        decision = read_decision(content_type_of(request), body_of(request))
        node = self._node
        if node.guard.stop is None:
            raise ConflictError("the link is not stopped: there is nothing to decide")
        if decision == "promote":
            node.promote(client_of(request))
        else:
            node.accept_primary(client_of(request))
        return json_answer(request, self._role_now(True))

    @app.route("/v1/delay", methods=["POST"])
    def order_delay(self, request: Request) -> bytes:
        """Hold a delayed replica, or let it go on."""
        query_of(request)
        order = read_delay_order(content_type_of(request), body_of(request))
        node = self._node
        applied = node.feed.history.offset
        if not node.link.host:
            raise ConflictError("this node is a primary: it holds nothing back")
        if order.stop_before is not None and order.stop_before <= applied:
            raise ConflictError(f"offset {order.stop_before} is applied already: this node is at offset {applied}")
        if order.apply_now:
            node.delay.apply_now()
        if order.stop_before is not None or order.resume:
            node.hold_before(order.stop_before or 0)
        else:
            node.follow_delay()
        return json_answer(request, views.delay(node, node.now()))

    @app.route("/v1/replicaof", methods=["POST"])
    async def replicaof(self, request: Request) -> bytes:
        """Follow another primary, or none."""
        wait_s = read_wait(query_of(request, "wait"))
        target = read_follow(content_type_of(request), body_of(request))
        changed = self._follow(target, client_of(request))
        if not wait_s:
            return json_answer(request, self._role_now(changed), 202)
        await self._reached(target, wait_s)
        return json_answer(request, self._role_now(changed))

    @app.route("/v1/slaveof", methods=["POST"])
    async def slaveof(self, request: Request) -> bytes:
        """The old name of replicaof."""
        return await self.replicaof(request)

    @app.route("/v1/replicas/<id>", methods=["DELETE"])
    def disconnect(self, request: Request, id: str) -> bytes:
        """Close the connection of a replica."""
        query_of(request)
        node = self._node
        number = int(id) if id.isascii() and id.isdigit() and len(id) < 20 else -1
        found = node.primary.replicas.get(number)
        if found is None or found.outlet is None:
            raise NotFoundError("no attached replica has this id; GET /v1/replicas lists them")
        shown = views.replica(node, found, node.now())
        node.log("notice", f"Disconnecting replica {found.name} (user request from '{client_of(request)}')")
        found.drop(EndCause.REQUESTED)
        return json_answer(request, {"disconnected": shown})

    def _follow(self, target: Follow, who: str) -> bool:
        """Change the role; False if it is that already."""
        node = self._node
        if views.is_loading_file(node):
            raise UnavailableError("loading the dataset from disk: the role can change when that is done")
        if node.failover.is_under_way:
            raise ConflictError("a failover is under way: the role can change when it is over")
        if not target.host:
            return node.promote(who)
        if is_ourselves(node.config, node.settings, target.host, target.port):
            raise ConflictError("a node cannot be its own primary")
        return node.replicate_from(target.host, target.port, who)

    def _role_now(self, changed: bool) -> views.Json:
        return {
            "changed": changed,
            "role": views.role(self._node),
            "link": views.link(self._node, self._node.now()),
        }

    async def _reached(self, target: Follow, wait_s: float) -> None:
        """Wait until the node is what was asked for; cancelled when the client goes.

        Raises:
            ConflictError: somebody else changed the role meanwhile.
            NotReachedError: time is up.
        """
        node = self._node
        deadline = self._seconds() + wait_s
        while not views.has_role(node, target.host, target.port):
            if (node.link.host, node.link.port) != (target.host, target.port):
                raise ConflictError("the role was changed again meanwhile", link=views.link(node, node.now()))
            left_s = deadline - self._seconds()
            if left_s <= 0:
                raise NotReachedError(_not_reached(node, wait_s), link=views.link(node, node.now()))
            await deferLater(self._clock, min(POLL_S, left_s))


def _not_reached(node: Node, wait_s: float) -> str:
    detail = f"after {wait_s:g} s the link is in state {node.link.state.role_word}; it goes on trying"
    error = node.link.last_error
    return f"{detail}. The last error: {views.printable(error)}" if error else detail


def query_of(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, all of them known."""
    return read_query(query_bytes(request), known)


def content_type_of(request: Request) -> str:
    """The header's value; empty if there is none."""
    found: str = request.requestHeaders.getRawHeaders("content-type", [""])[0]
    return found


def body_of(request: Request) -> bytes:
    """The whole body, from its beginning."""
    content: BinaryIO | None = request.content
    assert content is not None
    content.seek(0)
    return content.read()


def query_bytes(request: Request) -> bytes:
    """What follows the `?` of the request line."""
    query: bytes = request.uri.partition(b"?")[2]
    return query


Admin.app.url_map.merge_slashes = False
"""A path with doubled slashes is no path of ours; a redirect would name whatever the Host header says."""
