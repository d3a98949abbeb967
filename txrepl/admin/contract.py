"""What a feature says about itself in the contract: its routes, each with its handler, and the schemas they need.

A feature is a module of `admin.features`: one `Feature`, made of a class whose methods are the handlers (one instance
for each HTTP interface), the table of its routes, and its schemas. `openapi` joins all into the document, `app` routes
them; neither knows any feature.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from twisted.internet.interfaces import IReactorTime

from txrepl.admin.asking import Ask
from txrepl.admin.encoder_process import StartEncoder
from txrepl.node import Node
from txrepl.peers.dialing import Dial

Schema = dict[str, Any]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
TEXT: Final = "text/plain"
HTML: Final = "text/html"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a feature works on.

    Attributes:
        node: what is shown and steered.
        clock: the time that requests wait by.
        seconds: its time.
        needs_token: whether the curl lines shown carry a token.
        document: the contract itself.
        ask: asks another server where it stands: host, port, user, password.
        dial: opens connections to other servers.
        start_encoder: starts what writes the change stream's events.
    """

    node: Node
    clock: IReactorTime
    seconds: Callable[[], float]
    needs_token: bool
    document: dict[str, Any]
    ask: Ask
    dial: Dial
    start_encoder: StartEncoder

    def call_later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` after a while."""
        call_later: Any = self.clock.callLater
        call_later(delay_s, action)


class Handlers:
    """The handlers of a feature; one instance for each HTTP interface.

    Parameters:
        scope: what they work on.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.node = scope.node


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    Attributes:
        handler: called with the feature's instance, the request, and the path's parameters by name; returns the
            body, or an awaitable of it.
        content: schema by media type of the success; a schema name, or a whole schema.
        statuses: what a success may be.
        streams: the success goes on until the client leaves.
        refusals: the statuses that it is refused with, beyond those that every path has.
    """

    handler: Callable[..., Any]
    method: str
    path: str
    operation: str
    tag: str
    summary: str
    content: dict[str, str | Schema]
    description: str = ""
    statuses: dict[int, str] = field(default_factory=lambda: {200: "The facts."})
    refusals: dict[int, str] = field(default_factory=dict)
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None
    deprecated: bool = False
    streams: bool = False


@dataclass(frozen=True, slots=True)
class Feature:
    """A part of the HTTP interface.

    Attributes:
        make: its handlers.
        routes: its paths.
        schemas: by name, those that its routes need and no feature before it has.
    """

    make: Callable[[Scope], Any]
    routes: tuple[Route, ...]
    schemas: dict[str, Schema]


# -- schemas ----------------------------------------------------------------------------------------------------

REPLID: Final = {"minLength": 40, "maxLength": 40}


def string(description: str, **more: Any) -> Schema:
    """A text."""
    return {"type": "string", "description": description, **more}


def count(description: str, minimum: int = 0) -> Schema:
    """A whole number."""
    return {"type": "integer", "minimum": minimum, "description": description}


def number(description: str) -> Schema:
    """A number that is not negative."""
    return {"type": "number", "minimum": 0, "description": description}


def flag(description: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": description}


def or_null(schema: Schema) -> Schema:
    """What a schema allows, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def array(items: Schema, description: str) -> Schema:
    """A list."""
    return {"type": "array", "items": items, "description": description}


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def ref_or_null(name: str) -> Schema:
    """A schema by its name, or null."""
    return {"anyOf": [ref(name), {"type": "null"}]}


def values(words: type[Enum]) -> list[str]:
    """The words of an enumeration."""
    return [word.value for word in words]


def record(description: str, **properties: Schema) -> Schema:
    """An object that has exactly these members."""
    return {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# -- what many routes share -------------------------------------------------------------------------------------

PLAIN: Final[dict[str, str | Schema]] = {TEXT: {"type": "string"}}
QUERY_REFUSED: Final = {422: "A parameter is unknown or out of range."}
ORDER_REFUSED: Final = {
    413: "The body is too large.",
    415: "The body is neither JSON nor a form.",
    422: "A field is missing, unknown, or not valid.",
}


def order(schema: str) -> Schema:
    """The body of a request that acts, as JSON or as a form."""
    return {"required": True, "content": {JSON: {"schema": ref(schema)}, FORM: {"schema": ref(schema)}}}
