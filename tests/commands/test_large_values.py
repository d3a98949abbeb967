"""What a command costs does not grow with the value, but where it must; dropping a value holds nobody up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.large_values import BY_NATURE, CASES, DROPS, SAME_AS, SMALL, WHOLE, Bench, collecting, costs
from txrepl.commands.registry import build_table

LARGE = 70_000
STALL_MS = 20
RATIO = 3
FAMILIES = ("list", "set", "hash", "sorted-set", "stream")


@pytest.fixture(scope="module")
def benches() -> Iterator[tuple[Bench, Bench]]:
    """Values of few members and of many, under the collector as a server has it."""
    with collecting() as beat:
        yield Bench(SMALL, beat), Bench(LARGE, beat)


def test_a_command_on_one_element_costs_about_the_same_whatever_the_size(benches: tuple[Bench, Bench]) -> None:
    """Up to three times as much, for memory that is not in a cache and for searching a tree."""
    small, large = benches
    dear = [cost for cost in costs(small, large) if cost.ratio > RATIO]
    again = [cost for cost in costs(small, large, [cost.case for cost in dear]) if cost.ratio > RATIO]
    assert [cost for cost in costs(small, large, [cost.case for cost in again]) if cost.ratio > RATIO] == []


def test_neither_a_command_nor_the_collector_holds_up_the_server(benches: tuple[Bench, Bench]) -> None:
    """Growing a value, the commands above, and going through half of a list or through all nodes of a stream."""
    _, large = benches
    for words in WHOLE:
        large.run(*words)
    assert large.worst_ms[0] < STALL_MS, large.worst_ms
    assert large.longest_beat_ms < STALL_MS


def test_dropping_a_value_of_any_size_holds_up_nobody(benches: tuple[Bench, Bench]) -> None:
    """Deleted, overwritten, expired or flushed: it goes in slices."""
    _, large = benches
    for words in DROPS:
        assert large.run(*words) < STALL_MS * 1e6, words
        assert large.free() < STALL_MS, words


def test_every_command_of_the_families_is_measured_or_listed_with_a_reason() -> None:
    """Those of Redis 7.2."""
    names = {
        one.name.replace("|", " ")
        for command in build_table().commands.values()
        if command.group in FAMILIES and command.since <= "7.2.4"
        for one in (command.subcommands or {b"": command}).values()
    }
    known = {case.command for case in CASES} | set(SAME_AS) | set(BY_NATURE)
    assert set(SAME_AS.values()) <= {case.command for case in CASES}
    assert names - known - {"xgroup help", "xinfo help"} == set()
