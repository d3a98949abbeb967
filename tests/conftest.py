"""Where every dependency is promised, a skipped test is a failed one."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest

_NO_SKIPS = os.environ.get("TXREPL_REQUIRE_ALL") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With TXREPL_REQUIRE_ALL=1 turn a skip into a failure that says so; an expected failure stays one."""
    report = yield
    if _NO_SKIPS and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and TXREPL_REQUIRE_ALL=1 allows no skip: {report.longrepr}"
    return report
