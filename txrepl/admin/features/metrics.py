"""`GET /metrics`: for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from twisted.web.server import Request

from txrepl.admin.answers import answer, query_of
from txrepl.admin.contract import PLAIN, QUERY_REFUSED, Feature, Handlers, Route, Scope
from txrepl.admin.metrics import metrics
from txrepl.node import Node


class NodeCollector(Collector):
    """The node, as prometheus_client asks for it."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """What there is now."""
        return metrics(self._node)


class Metrics(Handlers):
    """Metrics."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._registry = CollectorRegistry()
        self._registry.register(NodeCollector(scope.node))

    def metrics(self, request: Request) -> bytes:
        """All of them."""
        query_of(request)
        return answer(request, generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4)


FEATURE: Final = Feature(
    Metrics,
    (
        Route(
            Metrics.metrics,
            "get",
            "/metrics",
            "metrics",
            "facts",
            "Metrics for Prometheus.",
            PLAIN,
            "Names and labels of redis_exporter where it has one, `txrepl_` for what it has none.",
            refusals=QUERY_REFUSED,
        ),
    ),
    {},
)
