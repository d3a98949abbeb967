"""`GET /v1/topology`: the tree of replication around this node, found by asking.

First upwards, from primary to primary, to the root; then downwards, from each server to the replicas that it knows.
This node answers for itself. All is bounded: how many servers, how deep, how many at a time, how long in all; whoever
cannot be asked is shown with the reason. `masteruser` and `masterauth` are what is authenticated with, as for the link
to the primary, so servers of the tree get to know them. Requests that come meanwhile share the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.defer import TimeoutError as TookTooLongError
from twisted.web.server import Request

from txrepl.admin.answers import json_answer, query_of
from txrepl.admin.asking import ASK_S, Standing, Told
from txrepl.admin.contract import (
    JSON,
    QUERY_REFUSED,
    Feature,
    Handlers,
    Route,
    Scope,
    array,
    count,
    flag,
    or_null,
    record,
    ref,
    ref_or_null,
    string,
)
from txrepl.admin.views import Json, printable
from txrepl.config import PRESENTED_VERSION
from txrepl.errors import ReplicationError
from txrepl.node import Node

SERVERS_MAX: Final = 64
DEPTH_MAX: Final = 8
AT_ONCE: Final = 8
WHOLE_S: Final = 10.0


@dataclass(slots=True)
class Server:
    """A server of the tree.

    Attributes:
        told: what it told; None if it was not asked, or did not answer.
        error: why; empty if it told.
        edge: how its primary sees it; None at the root, or if the primary does not know it.
    """

    host: str
    port: int
    told: Told | None = None
    error: str = ""
    edge: Standing | None = None
    replicas: list[Server] = field(default_factory=list)


class Survey:
    """One walk through the tree.

    Parameters:
        scope: the node, how others are asked, and the time.
    """

    def __init__(self, scope: Scope) -> None:
        self._node = node = scope.node
        self._ask = scope.ask
        self._clock: Any = scope.clock
        self._seconds = scope.seconds
        self._until = scope.seconds() + WHOLE_S
        self._room: DeferredSemaphore = DeferredSemaphore(AT_ONCE)
        self._seen: set[str] = set()
        self.left = SERVERS_MAX
        self.truncated = False
        settings = node.settings
        self.ourselves = Server(settings.announce_ip or "127.0.0.1", settings.announce_port or settings.listening_port)
        self.ourselves.told = self_told(node)

    async def run(self) -> Server:
        """The root, with all below it."""
        root = await self._climb()
        self._seen = {root.told.run_id} if root.told is not None else set()
        await self._descend(root, 1)
        if self.ourselves is not root and self._node.run_id not in self._seen:
            self._adopt(root)
        return root

    async def _climb(self) -> Server:
        """From this node to the topmost server."""
        here = self.ourselves
        self._seen.add(self._node.run_id)
        for _ in range(DEPTH_MAX):
            assert here.told is not None
            if here.told.primary is None:
                return here
            above = Server(*here.told.primary)
            await self._fill(above)
            if above.told is None:
                above.replicas.append(here)
                return above
            if above.told.run_id in self._seen:
                here.error = "its primary follows it, over others"
                return here
            self._seen.add(above.told.run_id)
            here = above
        self.truncated = True
        return here

    async def _descend(self, above: Server, depth: int) -> None:
        """Ask the replicas of a server, and theirs."""
        if above.told is None:
            for child in above.replicas:  # the way that we came
                if child.told is not None:
                    self._seen.add(child.told.run_id)
                    await self._descend(child, depth + 1)
            return
        below = [Server(edge.host, edge.port, edge=edge) for edge in above.told.replicas]
        if depth > DEPTH_MAX or len(below) > self.left:
            self.truncated = True
            below = [] if depth > DEPTH_MAX else below[: self.left]
        self.left -= len(below)
        above.replicas = below
        await gatherResults([Deferred.fromCoroutine(self._fill(server)) for server in below])
        for index, server in enumerate(below):
            if server.told is None:
                continue
            if server.told.run_id == self._node.run_id:
                self.ourselves.host, self.ourselves.port = server.host, server.port
                self.ourselves.edge = server.edge
                below[index] = server = self.ourselves
            assert server.told is not None
            if server.told.run_id in self._seen:
                server.error = "it is in the tree already"
                continue
            self._seen.add(server.told.run_id)
            await self._descend(server, depth + 1)

    async def _fill(self, server: Server) -> None:
        """Ask a server."""
        if not server.port:
            server.error = "it did not say where it listens"
            return
        await self._room.acquire()
        try:
            if self._seconds() >= self._until:
                self.truncated = True
                server.error = "not asked: the time for all was over"
                return
            settings = self._node.settings
            asked = Deferred.fromCoroutine(self._ask(server.host, server.port, settings.user, settings.password))
            server.told = await asked.addTimeout(2 * ASK_S, self._clock)
        except ReplicationError as error:
            server.error = str(error)
        except TookTooLongError:
            server.error = "it does not answer in time"
        finally:
            self._room.release()

    def _adopt(self, root: Server) -> None:
        """This node was not met under any address, so it is put where it says that it is."""
        waiting = [root]
        while waiting:
            server = waiting.pop()
            waiting += server.replicas
            told = self.ourselves.told
            assert told is not None
            if (server.host, server.port) == told.primary:
                for index, child in enumerate(server.replicas):
                    if child.told is None and child.port == self.ourselves.port:
                        self.ourselves.edge = child.edge
                        server.replicas[index] = self.ourselves
                        return
                server.replicas.append(self.ourselves)
                return
        self.truncated = True


def self_told(node: Node) -> Told:
    """What this node would tell."""
    link, offset = node.link, node.feed.history.offset
    now_ms = node.now()
    return Told(
        run_id=node.run_id,
        version=PRESENTED_VERSION,
        replid=node.feed.history.replid,
        offset=offset,
        primary=(link.host, link.port) if link.host else None,
        link_up=link.is_up if link.host else None,
        replicas=tuple(
            Standing(
                one.host,
                one.port,
                one.state.info_name if one.state is not None else "",
                one.ack_offset,
                max(0, offset - max(one.ack_offset, one.start_offset)) if one.is_live else None,
                one.lag_seconds(now_ms) if one.is_live else None,
            )
            for _, one in sorted(node.primary.replicas.items())
        ),
    )


class Topology(Handlers):
    """The tree."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._waiting: list[Deferred[Json]] | None = None

    async def topology(self, request: Request) -> bytes:
        """The tree, as it is now."""
        query_of(request)
        return json_answer(request, await self._found())

    def _found(self) -> Deferred[Json]:
        """What a walk finds; one that is under way is shared."""
        wanted: Deferred[Json] = Deferred()
        if self._waiting is not None:
            self._waiting.append(wanted)
            return wanted
        self._waiting = [wanted]
        walk = Deferred.fromCoroutine(self._walk())
        walk.addBoth(self._tell)
        return wanted

    def _tell(self, found: Any) -> None:
        waiting, self._waiting = self._waiting or [], None
        for wanted in waiting:
            if not wanted.called:  # else its client has left
                wanted.callback(found)  # a Failure fails it

    async def _walk(self) -> Json:
        survey = Survey(self.scope)
        root = await survey.run()
        return {
            "root": shown(root, survey.ourselves),
            "truncated": survey.truncated,
        }


def shown(server: Server, ourselves: Server) -> Json:
    """A server and all below it."""
    told, edge = server.told, server.edge
    primary = told.primary if told is not None else None
    return {
        "host": printable(server.host),
        "port": server.port,
        "this": server is ourselves,
        "reachable": told is not None,
        "error": printable(server.error) or None,
        "role": None if told is None else "replica" if primary else "primary",
        "version": printable(told.version) if told is not None else None,
        "replid": printable(told.replid) if told is not None else None,
        "offset": told.offset if told is not None else None,
        "link_up": told.link_up if told is not None else None,
        "edge": None
        if edge is None
        else {
            "state": printable(edge.state),
            "offset": edge.offset,
            "lag_bytes": edge.lag_bytes,
            "lag_seconds": edge.lag_seconds,
        },
        "replicas": [shown(one, ourselves) for one in server.replicas],
    }


FEATURE: Final = Feature(
    Topology,
    (
        Route(
            Topology.topology,
            "get",
            "/v1/topology",
            "topology",
            "facts",
            "The replication tree, found by asking.",
            {JSON: "Topology"},
            f"Up to {SERVERS_MAX} servers, {DEPTH_MAX} levels, {WHOLE_S:g} s; asked with masteruser and masterauth.",
            refusals=QUERY_REFUSED,
        ),
    ),
    {
        "Topology": record(
            "The replication tree.",
            root=ref("Server"),
            truncated=flag("There is more than was looked at."),
        ),
        "Server": record(
            "A server, and all below it.",
            host=string("Where it is reached; as its primary or its replicas name it."),
            port=count("Its port; 0 if it did not say."),
            this=flag("It is this node."),
            reachable=flag("It answered."),
            error=or_null(string("Why it did not, or what is odd.")),
            role=or_null(string("What it is; null if unknown.", enum=["primary", "replica", None])),
            version=or_null(string("Its version.")),
            replid=or_null(string("The id of its history.")),
            offset=or_null(count("Bytes of its history.")),
            link_up=or_null(flag("Its link to its primary is up; null on a primary.")),
            edge=ref_or_null("Edge"),
            replicas=array(ref("Server"), "Its replicas."),
        ),
        "Edge": record(
            "A replica as its primary sees it.",
            state=string("Its state, as INFO has it."),
            offset=count("The last offset that it acknowledged."),
            lag_bytes=or_null(count("Bytes that it has not acknowledged; null until it is online.")),
            lag_seconds=or_null(count("Seconds since it last acknowledged.")),
        ),
    },
)
