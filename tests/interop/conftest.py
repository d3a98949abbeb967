"""Fixtures of the interop tests: servers that end with the test that started them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.interop.servers import KINDS, CutProxy, Directive, RealServer, start

_LOG_LINES = 25
_LOG_COLUMNS = 300


class Run(Protocol):
    """Starts a server by kind; it is stopped at the end of the test."""

    def __call__(self, kind: str, **directives: Directive) -> RealServer:
        """Parameters as in `tests.interop.servers.start`."""


class Proxy(Protocol):
    """Opens a `CutProxy` to a port; it is closed at the end of the test."""

    def __call__(self, target_port: int) -> CutProxy:
        """Forward to this port of 127.0.0.1."""


@pytest.fixture
def _stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def run(_stack: ExitStack) -> Iterator[Run]:
    """`run("redis70", appendonly="yes")` starts a server for the length of the test.

    The end of each server's log goes to the captured output, which a failed test shows.
    """
    servers: list[RealServer] = []

    def run_one(kind: str, **directives: Directive) -> RealServer:
        servers.append(_stack.enter_context(start(kind, ready=True, **directives)))
        return servers[-1]

    yield run_one
    for server in servers:
        lines = server.log_text().splitlines()[-_LOG_LINES:]
        sys.stdout.write("\n".join([f"-- {server!r}", *(line[:_LOG_COLUMNS] for line in lines), ""]))


@pytest.fixture
def proxy(_stack: ExitStack) -> Proxy:
    """`proxy(port)` opens a proxy for the length of the test."""

    def open_one(target_port: int) -> CutProxy:
        return _stack.enter_context(CutProxy(target_port))

    return open_one


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each real server in turn, by its short name."""
    name: str = request.param
    return name
