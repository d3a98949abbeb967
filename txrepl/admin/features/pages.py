"""Pages for people, and the contract for programs."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import text, views
from txrepl.admin.answers import TEXT, answer, json_answer, query_of
from txrepl.admin.contract import JSON, PLAIN, QUERY_REFUSED, Feature, Handlers, Route


class Pages(Handlers):
    """Text pages."""

    def page(self, request: Request) -> bytes:
        """Everything, as text."""
        query_of(request)
        host = request.requestHeaders.getRawHeaders("host", ["localhost"])[0]
        base = f"https://{host}" if request.isSecure() else host
        overview = views.overview(self.node, self.node.now())
        return answer(request, text.page(overview, base, needs_token=self.scope.needs_token).encode(), TEXT)

    def syncs_text(self, request: Request) -> bytes:
        """The sync decisions, as text."""
        query_of(request)
        return answer(request, text.syncs_page(views.syncs(self.node)).encode(), TEXT)

    def openapi(self, request: Request) -> bytes:
        """The contract."""
        query_of(request)
        return json_answer(request, self.scope.document)


FEATURE: Final = Feature(
    Pages,
    (
        Route(
            Pages.page,
            "get",
            "/",
            "page",
            "pages",
            "Everything as aligned text, 80 columns.",
            PLAIN,
            refusals=QUERY_REFUSED,
        ),
        Route(
            Pages.syncs_text,
            "get",
            "/syncs.txt",
            "syncs_text",
            "pages",
            "The sync decisions as text, 80 columns.",
            PLAIN,
            refusals=QUERY_REFUSED,
        ),
        Route(
            Pages.openapi,
            "get",
            "/openapi.json",
            "openapi",
            "pages",
            "This document.",
            {JSON: {"type": "object"}},
            statuses={200: "The contract."},
            refusals=QUERY_REFUSED,
        ),
    ),
    {},
)
