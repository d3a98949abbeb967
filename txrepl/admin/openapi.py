"""The contract as OpenAPI 3.1: what all features say about themselves, joined.

A path or a field that is not written there does not exist: the tests compare the routes with the app's, and every
answer with its schema.
"""

from __future__ import annotations

from typing import Any, Final

from txrepl import __version__
from txrepl.admin.auth import OPEN_PATHS
from txrepl.admin.contract import Route, Schema, array, count, record, ref, ref_or_null, string, values
from txrepl.admin.features import FEATURES
from txrepl.admin.problems import CONTENT_TYPE
from txrepl.admin.static_files import FOLDER
from txrepl.replication.psync import Condition

ROUTES: Final[tuple[Route, ...]] = tuple(route for feature in FEATURES for route in feature.routes)

_PROBLEM: Final[dict[str, Schema]] = {
    "Problem": {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": string("Names the kind of problem; stable.", pattern="^urn:txrepl:problem:[a-z-]+$"),
            "title": string("The kind in words."),
            "status": count("The status code.", 400),
            "detail": string("What is wrong with this request."),
            "errors": array(
                record("A field that is not valid.", field=string("Its name."), detail=string("What is wrong.")),
                "The fields that are not valid (422).",
            ),
            "link": ref_or_null("Link"),
            "condition": string("Which condition of a partial resync failed (410).", enum=values(Condition)),
            "snapshot": string("Where the dataset of now is, with the id to go on from (410)."),
            "command_offset": count("The offset at which the command begins that the offset lies in (409)."),
            "next_offset": count("The offset at which the command after it begins (409)."),
        },
        "required": ["type", "title", "status", "detail"],
        "additionalProperties": False,
    },
}

SCHEMAS: Final[dict[str, Schema]] = {
    name: schema
    for schemas in (*(feature.schemas for feature in FEATURES), _PROBLEM)
    for name, schema in schemas.items()
}


def document(*, needs_token: bool) -> dict[str, Any]:
    """The OpenAPI document.

    Parameters:
        needs_token: whether this server wants a bearer token.
    """
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route, needs_token=needs_token)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "txrepl",
            "version": __version__,
            "summary": "See a node's replication, and steer it.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(route.tag for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "The value of `http-token`."}
            },
        },
    }


def _operation(route: Route, *, needs_token: bool) -> dict[str, Any]:
    guarded = route.path not in OPEN_PATHS
    refusals = {400: "The request cannot be read.", **route.refusals}
    if guarded:
        refusals[403] = "The Host is not ours, or the Origin is foreign."
    wants_token = guarded and needs_token and not route.path.startswith(FOLDER)
    if wants_token:
        refusals[401] = "The token is missing or wrong."
    operation: dict[str, Any] = {
        "operationId": route.operation,
        "summary": route.summary,
        "tags": [route.tag],
        "responses": {
            **{str(status): _success(route, says) for status, says in sorted(route.statuses.items())},
            **{str(status): _refusal(says) for status, says in sorted(refusals.items())},
        },
        "security": [{"token": []}] if wants_token else [],
    }
    if route.description:
        operation["description"] = route.description
    if route.parameters:
        operation["parameters"] = list(route.parameters)
    if route.body is not None:
        operation["requestBody"] = route.body
    if route.deprecated:
        operation["deprecated"] = True
    return operation


def _success(route: Route, says: str) -> Schema:
    content = {
        media: {"schema": ref(schema) if isinstance(schema, str) else schema} for media, schema in route.content.items()
    }
    return {"description": says, "content": content}


def _refusal(says: str) -> Schema:
    return {"description": says, "content": {CONTENT_TYPE: {"schema": ref("Problem")}}}
