"""The dashboard's own files: one page, its style and scripts, the same for every node, without a fact of any.

They are read once. Each has an ETag made of its content, so that a browser asks again and
gets 304 until txrepl is another. The policy that goes with them lets a browser load nothing from anywhere else, run
nothing that stands in the page itself, and talk to nobody but this server.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from twisted.web.http import CACHED
from twisted.web.server import Request

from txrepl.admin.answers import answer
from txrepl.admin.bodies import preferred
from txrepl.admin.contract import HTML, TEXT
from txrepl.admin.problems import NotFoundError

FOLDER: Final = "/static/"
PAGE: Final = "index.html"
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
TYPES: Final = {
    ".html": f"{HTML}; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
}

STATUSES: Final = {200: "The page or file.", 304: "It is what If-None-Match names."}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file.

    Attributes:
        content_type: the header's value.
        etag: the header's value, with its quotes.
    """

    body: bytes
    content_type: str
    etag: bytes


@cache
def files() -> dict[str, StaticFile]:
    """All files by name."""
    found = {}
    for path in sorted((Path(__file__).parent / "static").iterdir()):
        if path.suffix in TYPES:
            body = path.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:40]}"'.encode()
            found[path.name] = StaticFile(body, TYPES[path.suffix], etag)
    return found


def is_wanted(method: str, path: str, accept: str) -> bool:
    """Whether a request is for one of these files, and so for nothing that a token guards.

    Parameters:
        accept: the value of the header; empty if there is none.
    """
    return method in {"GET", "HEAD"} and (path.startswith(FOLDER) or (path == "/" and wants_page(accept)))


def wants_page(accept: str) -> bool:
    """Whether an Accept header is a browser's: it likes HTML better than plain text."""
    return preferred(accept, TEXT, HTML) == HTML


def give(request: Request, name: str) -> bytes:
    """Answer with a file, or with 304 where the client has it.

    Raises:
        NotFoundError: there is none of this name.
    """
    found = files().get(name)
    if found is None:
        raise NotFoundError("the dashboard has no such file")
    body = answer(request, found.body, found.content_type)
    for header, value in (
        ("Cache-Control", "no-cache"),
        ("Content-Security-Policy", POLICY),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
    ):
        request.setHeader(header, value)
    if request.setETag(found.etag) is CACHED:
        request.responseHeaders.removeHeader(b"content-length")
        return b""
    return body
