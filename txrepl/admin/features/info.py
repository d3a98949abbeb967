"""`GET /v1/info`: INFO, as JSON or as Redis's own text."""

from __future__ import annotations

from typing import Final

from twisted.web.server import Request

from txrepl.admin import information
from txrepl.admin.answers import TEXT, accept_of, answer, json_answer, query_bytes
from txrepl.admin.bodies import prefers_text, read_info_query
from txrepl.admin.contract import JSON, PLAIN, QUERY_REFUSED, Feature, Handlers, Route, Schema


class Info(Handlers):
    """INFO."""

    def info(self, request: Request) -> bytes:
        """INFO."""
        wanted = read_info_query(query_bytes(request))
        if prefers_text(accept_of(request)):
            return answer(request, information.as_text(self.node, wanted), TEXT)
        return json_answer(request, information.as_json(self.node, wanted))


SCHEMAS: Final[dict[str, Schema]] = {
    "Info": {
        "type": "object",
        "description": "INFO: sections by name, in lower case, each with its fields. Numbers are numbers.",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": {
                "type": ["string", "number", "object"],
                "additionalProperties": {"type": ["string", "number"]},
                "description": "What Redis packs into one field (`slave0`, `db0`, `cmdstat_get`) is an object.",
            },
        },
    },
}

_SECTION: Final[Schema] = {
    "name": "section",
    "in": "query",
    "description": "Sections of INFO; also `default`, `all`, `everything`. The default ones where nothing is asked.",
    "style": "form",
    "explode": False,
    "schema": {"type": "array", "items": {"type": "string", "enum": list(information.NAMES)}},
}

FEATURE: Final = Feature(
    Info,
    (
        Route(
            Info.info,
            "get",
            "/v1/info",
            "info",
            "facts",
            "INFO: as JSON, or as Redis's own text.",
            {JSON: "Info", **PLAIN},
            "`Accept: text/plain` gives the reply of the INFO command, byte for byte.",
            refusals=QUERY_REFUSED,
            parameters=(_SECTION,),
        ),
    ),
    SCHEMAS,
)
