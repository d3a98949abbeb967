"""Probes for supervisors and load balancers, which know no token."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import views
from txrepl.admin.answers import json_answer
from txrepl.admin.contract import JSON, Feature, Handlers, Route, record, string
from txrepl.admin.problems import UnavailableError


class Probes(Handlers):
    """Whether the server lives, and whether it is of use."""

    def healthz(self, request: Request) -> bytes:
        """The reactor turns."""
        return json_answer(request, {"status": "alive"})

    def readyz(self, request: Request) -> bytes:
        """The data can be read, and is being kept current."""
        reason = views.unready(self.node)
        if reason is not None:
            raise UnavailableError(reason)
        return json_answer(request, {"status": "ready"})


FEATURE: Final = Feature(
    Probes,
    (
        Route(Probes.healthz, "get", "/healthz", "healthz", "probes", "Whether the server is alive.", {JSON: "Status"}),
        Route(
            Probes.readyz,
            "get",
            "/readyz",
            "readyz",
            "probes",
            "Whether readers may be sent here.",
            {JSON: "Status"},
            refusals={503: "Loading, or the link to the primary is down: `detail` says which."},
        ),
    ),
    {
        "Status": record("A probe's answer.", status=string("The state.", enum=["alive", "ready"])),
    },
)
