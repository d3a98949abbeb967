"""Requests and answers as every handler needs them: read a query or a body, set status and headers, return bytes."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.web.server import Request

from txrepl.admin import contract
from txrepl.admin.bodies import read_query
from txrepl.admin.problems import CONTENT_TYPE, Problem

TEXT = f"{contract.TEXT}; charset=utf-8"


def answer(request: Request, body: bytes, content_type: str, status: int = 200) -> bytes:
    """Set status and headers; returns the body."""
    request.setResponseCode(status)
    for name, value in (
        ("Content-Type", content_type),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Server", "txrepl"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
    ):
        request.setHeader(name, value)
    return body


def refuse(request: Request, problem: Problem) -> bytes:
    """Set status and headers of a problem; returns the body."""
    for name, value in problem.headers.items():
        request.setHeader(name, value)
    return answer(request, problem.body(), CONTENT_TYPE, problem.kind.status)


def json_answer(request: Request, value: Any, status: int = 200) -> bytes:
    """Answer with JSON, indented for people, ending in a line break."""
    return answer(request, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(), contract.JSON, status)


def client_of(request: Request) -> str:
    """The client as the log names it."""
    address = request.getClientAddress()
    if isinstance(address, IPv4Address | IPv6Address):
        return f"HTTP client {address.host}:{address.port}"
    return "HTTP client"


def query_of(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters, all of them known."""
    return read_query(query_bytes(request), known)


def content_type_of(request: Request) -> str:
    """The header's value; empty if there is none."""
    found: str = request.requestHeaders.getRawHeaders("content-type", [""])[0]
    return found


def accept_of(request: Request) -> str:
    """The values of the Accept header, joined; empty if there is none."""
    return ",".join(request.requestHeaders.getRawHeaders("accept", []))


def body_of(request: Request) -> bytes:
    """The whole body, from its beginning."""
    content: BinaryIO | None = request.content
    assert content is not None
    content.seek(0)
    return content.read()


def query_bytes(request: Request) -> bytes:
    """What follows the `?` of the request line."""
    query: bytes = request.uri.partition(b"?")[2]
    return query
