"""The paths: each feature's routes led to its handlers, and every exception made a problem in one place.

Reading never changes anything. A role changes only through `Node.replicate_from`, `Node.promote` and a failover, with
the client's address for the log. Nothing here blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import MethodType
from typing import Any

from klein import Klein
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from txrepl.admin import openapi
from txrepl.admin.answers import refuse
from txrepl.admin.asking import Ask, ask
from txrepl.admin.contract import Route, Scope
from txrepl.admin.encoder_process import EncoderProcess, StartEncoder
from txrepl.admin.features import FEATURES
from txrepl.admin.problems import UNEXPECTED, problem_of
from txrepl.node import Node
from txrepl.peers.dialing import Dial


class Admin:
    """The HTTP interface of one node.

    Parameters:
        node: what is shown and steered.
        clock: the time that requests wait by.
        needs_token: whether the curl lines shown carry a token.
        ask: asks another server where it stands.
        dial: opens connections to other servers.
        start_encoder: starts what writes the change stream's events; a process, by the reactor, if there is none.

    Attributes:
        app: answers the requests.
    """

    def __init__(
        self,
        node: Node,
        clock: IReactorTime,
        *,
        needs_token: bool,
        ask: Ask = ask,
        dial: Dial | None = None,
        start_encoder: StartEncoder | None = None,
    ) -> None:
        seconds: Callable[[], float] = clock.seconds  # type: ignore[misc]  # a method of an Interface has no self
        self._log = Logger(namespace="txrepl.admin")
        self.app: Any = Klein()
        document = openapi.document(needs_token=needs_token)
        start = start_encoder or partial(EncoderProcess, clock)
        scope = Scope(node, clock, seconds, needs_token, document, ask, dial or Dial(clock), start)
        for feature in FEATURES:
            handlers = feature.make(scope)
            for route in feature.routes:
                self._add(route, MethodType(route.handler, handlers))
        self.app.handle_errors(Exception)(self._refused)
        # A path with doubled slashes is no path of ours; a redirect would name whatever the Host header says.
        self.app.url_map.merge_slashes = False

    def _add(self, route: Route, handler: Callable[..., Any]) -> None:
        path = route.path.replace("{", "<").replace("}", ">")
        self.app.route(path, methods=[route.method.upper()], endpoint=route.operation)(handler)

    def _refused(self, request: Request, failure: Failure) -> bytes:
        """Answer with the problem that an exception stands for."""
        assert failure.value is not None
        problem = problem_of(failure.value)
        if problem.kind is UNEXPECTED:
            self._log.failure("HTTP request failed", failure)
        return refuse(request, problem)
