"""`GET /static/…`: the files of the dashboard, which `GET /` gives to browsers and which reads `/v1/live`."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import static_files
from txrepl.admin.answers import query_of
from txrepl.admin.contract import QUERY_REFUSED, Feature, Handlers, Route, Schema


class Dashboard(Handlers):
    """The files."""

    def static(self, request: Request, name: str) -> bytes:
        """A file."""
        query_of(request)
        return static_files.give(request, name)


_NAME: Final[Schema] = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "Its name.",
    "schema": {"type": "string"},
}

FEATURE: Final = Feature(
    Dashboard,
    (
        Route(
            Dashboard.static,
            "get",
            f"{static_files.FOLDER}{{name}}",
            "static_file",
            "pages",
            "A file of the dashboard.",
            {kind.partition(";")[0]: {"type": "string"} for kind in static_files.TYPES.values()},
            "The same for every node, so no token is needed.",
            static_files.STATUSES,
            {404: "The dashboard has no such file.", **QUERY_REFUSED},
            (_NAME,),
        ),
    ),
    {},
)
