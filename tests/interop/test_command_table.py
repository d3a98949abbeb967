"""docs/commands.md says the truth: every option that it claims is understood, and nothing is left out of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.command_table import (
    ABSENT,
    DEVIATIONS,
    PAGE,
    SERVERS,
    UNSUPPORTED,
    Entry,
    Found,
    all_servers,
    entries,
    find,
    page,
    tried,
)
from tests.interop.servers import RealServer

NEW_IN_7_2 = {"client|no-touch", "client|setinfo", "cluster|myshardid", "waitaof"}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RealServer]]:
    with all_servers() as running:
        yield running


@pytest.fixture(scope="module")
def found(servers: dict[str, RealServer]) -> Found:
    """What the servers have, every option tried on txrepl."""
    return find(servers)


def test_every_option_is_understood_or_refused_for_a_reason(found: Found) -> None:
    """Tried one by one; none leaves it open, and no reason is for an option that is understood."""
    unclear = {place: trial.said for place, trial in found.trials.items() if trial.accepted is None}
    refused = {place: trial.said for place, trial in found.trials.items() if trial.accepted is False}
    assert unclear == {}
    assert refused.keys() == UNSUPPORTED.keys(), refused
    assert len(found.trials) > 450


def test_every_command_is_there_or_absent_for_a_reason(found: Found) -> None:
    """And no reason is for a command that is there."""
    assert {entry.name for entry in found.absent} == ABSENT.keys()
    own = {entry.name for entry in found.own}
    assert NEW_IN_7_2 | DEVIATIONS.keys() <= own
    assert all(any(kind in found.entries[name].trees for kind in SERVERS) for name in ABSENT)


def test_the_page_is_what_would_be_written_now(found: Found) -> None:
    """`python -m tests.interop.command_table` writes it."""
    assert PAGE.read_text("utf-8") == page(found), "write it anew: python -m tests.interop.command_table"


@pytest.mark.parametrize("name", ["set", "zadd", "client|list", "xadd", "hscan"])
def test_an_option_that_nobody_has_is_not_taken_for_understood(servers: dict[str, RealServer], name: str) -> None:
    """So that the trial can fail."""
    entry = entries({"redis70": servers["redis70"]})[name]
    made_up = {"name": "made-up", "type": "pure-token", "token": "MADEUP", "flags": ["optional"]}
    tree = [*entry.trees["redis70"]]
    tree.insert(1 if name in ("zadd", "xadd") else len(tree), made_up)
    trial = tried(servers, Entry(entry.name, entry.documented, {"redis70": tree}), "MADEUP", "redis70")
    assert trial.accepted is not True, trial.said
