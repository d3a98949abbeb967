"""Trees of two and three levels that mix txrepl with every real server, while everything happens to them.

A failure prints its seed (the test's parameter) and the steps; the same seed takes the same steps.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from random import Random

import pytest

from tests.interop.trees import Tree

EVENTS = 8

SHAPES = {"two levels": [-1, 0, 0, 0], "three levels": [-1, 0, 0, 1, 1]}

MIXES: dict[str, tuple[str, list[str]]] = {
    "txrepl on top": ("two levels", ["txrepl", "redis62", "redis70", "valkey9"]),
    "txrepl below redis62": ("two levels", ["redis62", "txrepl", "redis70", "valkey9"]),
    "txrepl below redis70": ("two levels", ["redis70", "txrepl", "valkey9", "txrepl"]),
    "txrepl below valkey9": ("two levels", ["valkey9", "txrepl", "valkey9", "txrepl"]),
    "txrepl in the middle of redis70": ("three levels", ["redis70", "txrepl", "redis70", "redis62", "valkey9"]),
    "txrepl in the middle of valkey9": ("three levels", ["valkey9", "txrepl", "txrepl", "redis70", "txrepl"]),
    "txrepl at the ends": ("three levels", ["redis62", "redis70", "txrepl", "txrepl", "valkey9"]),
    "txrepl on top of chains": ("three levels", ["txrepl", "redis62", "valkey9", "txrepl", "redis70"]),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.replace(" ", "-"))
@pytest.mark.parametrize("seed", [3])
def test_a_tree_that_is_shaken_ends_equal_and_resyncs_no_more_than_it_must(mix: str, seed: int) -> None:
    """Links cut, replicas stopped, restarted and killed, roles changed, under load: data, offsets, ids, counts."""
    shape, kinds = MIXES[mix]
    with ExitStack() as stack:
        tree = Tree(stack, SHAPES[shape], kinds, Random(f"{mix} {seed}"), seed)
        for _ in range(EVENTS):
            tree.happen()
        sys.stdout.write(f"seed {seed}: {tree.steps}\n")
        tree.assert_at_rest()
