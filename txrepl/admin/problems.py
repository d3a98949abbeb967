"""Every way in which a request is refused, and the one table that makes it an answer (RFC 9457).

Who refuses raises one of the types below, or lets werkzeug's and the node's own pass; `problem_of` finds the row.
The `type` of a problem is stable and names the row; `detail` is for people; other members are for programs. What
nobody expected becomes a bare 500: the log has the traceback, the client has none.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.exceptions import NotFound as NoRoute

from txrepl.errors import CommandError, TxreplError

CONTENT_TYPE: Final = "application/problem+json"


class RefusedError(TxreplError):
    """A request is refused.

    Parameters:
        detail: why, in a sentence.
        members: further members of the problem.
    """

    def __init__(self, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members: dict[str, Any] = members


class MalformedError(RefusedError):
    """The request cannot be read: its body, query, path or Host is no such thing."""


class UnauthorizedError(RefusedError):
    """The token is missing or wrong."""


class ForbiddenError(RefusedError):
    """The request comes from where none is accepted: a foreign Origin, a Host that is not ours."""


class NotFoundError(RefusedError):
    """What the path names does not exist."""


class ConflictError(RefusedError):
    """The node's state does not allow it."""


class GoneError(RefusedError):
    """What is asked for is not there any more, and will not be again."""


class TooLargeError(RefusedError):
    """The body is over the bound."""


class UnsupportedTypeError(RefusedError):
    """The body is of a type that is not read here."""


class InvalidError(RefusedError):
    """A field or parameter is missing, unknown, of the wrong type, or out of range.

    Parameters:
        field: its name.
        detail: what is wrong with it.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}", errors=[{"field": field, "detail": detail}])


class UnavailableError(RefusedError):
    """Not now; the same request may succeed later."""


class NotReachedError(RefusedError):
    """The awaited state was not reached in time."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table: the status, the last word of `type`, and the title."""

    status: int
    word: str
    title: str


TABLE: Final[tuple[tuple[type[Exception], Kind], ...]] = (
    (MalformedError, Kind(400, "malformed", "The request cannot be read")),
    (UnauthorizedError, Kind(401, "unauthorized", "A bearer token is needed")),
    (ForbiddenError, Kind(403, "forbidden", "The request comes from a foreign place")),
    (NotFoundError, Kind(404, "not-found", "There is no such thing")),
    (NoRoute, Kind(404, "not-found", "There is no such thing")),
    (MethodNotAllowed, Kind(405, "method-not-allowed", "The path does not have this method")),
    (ConflictError, Kind(409, "conflict", "The node's state does not allow it")),
    (CommandError, Kind(409, "conflict", "The node's state does not allow it")),
    (GoneError, Kind(410, "gone", "It is not there any more")),
    (TooLargeError, Kind(413, "too-large", "The body is too large")),
    (UnsupportedTypeError, Kind(415, "unsupported-type", "The body's type is not read here")),
    (InvalidError, Kind(422, "invalid", "A field is not valid")),
    (UnavailableError, Kind(503, "unavailable", "Not now")),
    (NotReachedError, Kind(504, "not-reached", "The state was not reached in time")),
    (HTTPException, Kind(400, "malformed", "The request cannot be read")),
)
"""The first row whose type matches counts."""

UNEXPECTED: Final = Kind(500, "internal", "Something went wrong here")


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that says no."""

    kind: Kind
    detail: str
    members: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The JSON, ending in a line break."""
        shown = {
            "type": f"urn:txrepl:problem:{self.kind.word}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.members,
        }
        return (json.dumps(shown, indent=2, ensure_ascii=False) + "\n").encode()


def problem_of(error: BaseException) -> Problem:
    """The answer to an exception that a request raised."""
    kind = next((kind for known, kind in TABLE if isinstance(error, known)), UNEXPECTED)
    if isinstance(error, RefusedError):
        return Problem(kind, error.detail, error.members, _headers(kind))
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        return Problem(kind, f"allowed here: {allowed}", {}, {"Allow": allowed})
    if isinstance(error, CommandError):
        return Problem(kind, error.message.decode("utf-8", "backslashreplace"))
    if isinstance(error, NoRoute):
        return Problem(kind, "no such path; GET /openapi.json lists all")
    if isinstance(error, HTTPException):
        return Problem(kind, "the path or method cannot be understood")
    return Problem(kind, "the server's log says more")


def _headers(kind: Kind) -> dict[str, str]:
    if kind.status == 401:
        return {"WWW-Authenticate": 'Bearer realm="txrepl"'}
    if kind.status == 503:
        return {"Retry-After": "1"}
    return {}
