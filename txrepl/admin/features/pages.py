"""Pages for people, as text or as a browser shows them, and the contract for programs.

`/watch` sends the page again every second for as long as the client stays; one that reads slower misses some of them.
Colours and the cursor are moved only where `color=1` asks for it.
"""

from __future__ import annotations

from typing import Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from txrepl.admin import static_files, text, views
from txrepl.admin.answers import TEXT, accept_of, answer, json_answer, query_of
from txrepl.admin.bodies import read_whole
from txrepl.admin.contract import HTML, JSON, PLAIN, QUERY_REFUSED, Feature, Handlers, Route, Schema, Scope
from txrepl.admin.streaming import STREAMS_MAX, Stream, begin_headers, check_room

REDRAW_S: Final = 1.0


class Spectator(Stream):
    """A client of `/watch`: the host that it reached us by, and whether it wants colours."""

    base: str = ""
    color: bool = False


class Pages(Handlers):
    """Text pages."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._spectators: set[Stream] = set()
        self._redraw = LoopingCall(self._draw_all)
        self._redraw.clock = scope.clock

    def page(self, request: Request) -> bytes:
        """Everything: as text, or the dashboard."""
        color = _color(request)
        if static_files.wants_page(accept_of(request)):
            return static_files.give(request, static_files.PAGE)
        return _page(request, self._overview(_base(request)), color)

    def replicas_text(self, request: Request) -> bytes:
        """The attached replicas, as text."""
        color = _color(request)
        found = views.replicas(self.node, self.node.now())
        return _page(request, text.replicas_page(found, _base(request), needs_token=self.scope.needs_token), color)

    def backlog_text(self, request: Request) -> bytes:
        """The backlog, as text."""
        color = _color(request)
        now_ms = self.node.now()
        found, attached = views.backlog(self.node, now_ms), views.replicas(self.node, now_ms)
        shown = text.backlog_page(found, attached, _base(request), needs_token=self.scope.needs_token)
        return _page(request, shown, color)

    def syncs_text(self, request: Request) -> bytes:
        """The sync decisions, as text."""
        color = _color(request)
        shown = text.syncs_page(views.syncs(self.node), _base(request), needs_token=self.scope.needs_token)
        return _page(request, shown, color)

    def watch(self, request: Request) -> Deferred[bytes] | bytes:
        """The page, every second."""
        color = _color(request)
        check_room(self._spectators)
        begin_headers(request, TEXT)
        if request.method == b"HEAD":
            return b""
        spectator = Spectator(request, self.scope.clock, self._left)
        spectator.base, spectator.color = _base(request), color
        self._spectators.add(spectator)
        spectator.begin()
        if color:
            spectator.send(b"\x1b[2J")
        self._draw(spectator, {})
        if not self._redraw.running:
            self._redraw.start(REDRAW_S, now=False)
        return spectator.ended

    def openapi(self, request: Request) -> bytes:
        """The contract."""
        query_of(request)
        return json_answer(request, self.scope.document)

    def _overview(self, base: str) -> str:
        overview = views.overview(self.node, self.node.now())
        return text.page(overview, base, needs_token=self.scope.needs_token)

    def _draw_all(self) -> None:
        drawn: dict[tuple[str, bool], bytes] = {}
        for spectator in tuple(self._spectators):
            assert isinstance(spectator, Spectator)
            self._draw(spectator, drawn)

    def _draw(self, spectator: Spectator, drawn: dict[tuple[str, bool], bytes]) -> None:
        """Send the page; those who see the same share it."""
        if spectator.full:
            return  # the next page says all that this one would
        kind = (spectator.base, spectator.color)
        if kind not in drawn:
            page = self._overview(spectator.base)
            shown = text.redrawn(text.painted(page)) if spectator.color else f"{page}{'=' * text.COLUMNS}\n"
            drawn[kind] = shown.encode()
        spectator.send(drawn[kind])

    def _left(self, spectator: Stream) -> None:
        self._spectators.discard(spectator)
        if not self._spectators and self._redraw.running:
            self._redraw.stop()


def _base(request: Request) -> str:
    """Scheme, host and port that the client reached us by, as its curl lines are to have them."""
    host = request.requestHeaders.getRawHeaders("host", ["localhost"])[0]
    return f"https://{host}" if request.isSecure() else host


def _color(request: Request) -> bool:
    return bool(read_whole(query_of(request, "color"), "color", 0, 1, 0))


def _page(request: Request, page: str, color: bool) -> bytes:
    return answer(request, (text.painted(page) if color else page).encode(), TEXT)


_COLOR: Final[tuple[Schema, ...]] = (
    {
        "name": "color",
        "in": "query",
        "description": "1 for the colours of a terminal.",
        "schema": {"type": "integer", "minimum": 0, "maximum": 1, "default": 0},
    },
)


def _text_route(handler: object, path: str, operation: str, summary: str) -> Route:
    assert callable(handler)
    return Route(handler, "get", path, operation, "pages", summary, PLAIN, refusals=QUERY_REFUSED, parameters=_COLOR)


FEATURE: Final = Feature(
    Pages,
    (
        Route(
            Pages.page,
            "get",
            "/",
            "page",
            "pages",
            "Everything at a glance: as aligned text of 80 columns, or for browsers as a live dashboard.",
            {**PLAIN, HTML: {"type": "string"}},
            "A browser, which likes text/html better than text/plain, gets a page without any fact, and needs no token "
            "for it; the page reads /v1/live.",
            static_files.STATUSES,
            QUERY_REFUSED,
            _COLOR,
        ),
        _text_route(Pages.replicas_text, "/replicas.txt", "replicas_text", "The attached replicas as text."),
        _text_route(Pages.backlog_text, "/backlog.txt", "backlog_text", "The backlog as text."),
        _text_route(Pages.syncs_text, "/syncs.txt", "syncs_text", "The sync decisions as text."),
        Route(
            Pages.watch,
            "get",
            "/watch",
            "watch",
            "streams",
            "Everything as text, every second.",
            PLAIN,
            "For `curl -N`. With `color=1` a page takes the place of the one before; else a line of `=` follows it.",
            {200: "The pages; they go on until the client leaves."},
            {503: f"{STREAMS_MAX} clients read it already.", **QUERY_REFUSED},
            _COLOR,
            streams=True,
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
