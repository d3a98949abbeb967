"""Fixtures of the browser's tests: one browser for all of them, servers for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.chrome import Browser
from tests.interop.conftest import Run, _stack, run

__all__ = ["_stack", "run"]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser; it takes a second to start."""
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium: Browser, run: Run) -> Iterator[Browser]:
    """The browser; after the test nothing may stand in its console, and it must have asked nobody else.

    It leaves the page before the servers of `run` end.
    """
    chromium.tolerated = ()
    chromium.look()
    chromium.complaints()
    chromium.strangers()
    yield chromium
    assert chromium.complaints() == []
    assert chromium.strangers() == []
    chromium.run("sessionStorage.clear()")
    chromium.leave()
