"""What a server tells of itself and of its clients' commands, against a node without IO and a clock that stands."""

from __future__ import annotations

import random

import pytest

from tests.commands.test_server_families import World, error
from txrepl.commands.lolwut import draw

# -- cluster, modules, the picture ------------------------------------------------------------------------------


def test_a_module_is_refused_first_by_the_directive_and_then_for_what_it_is() -> None:
    """Without enable-module-command nobody may ask; with it, the log says why there are no modules."""
    world = World()
    refused = world.client().say("MODULE LOAD /x.so a")
    assert refused.startswith(b"-ERR MODULE command not allowed.")
    world.node.config.assign("enable-module-command", "local")
    assert world.client("10.1.1.1:5").say("MODULE LOAD /x.so a") == refused, "not local"
    client = world.client()
    failed = error("ERR Error loading the extension. Please check the server logs.")
    assert client.say("MODULE LOAD /x.so a") == client.say("MODULE LOADEX /x.so CONFIG a b") == failed
    assert client.say("MODULE UNLOAD x") == error("ERR Error unloading module: no such module with that name")
    assert world.lines == ["Module /x.so failed to load: txrepl cannot run modules made for Redis"] * 2


def test_lolwut_draws_a_tree_of_the_size_asked_for_and_ends_with_the_version() -> None:
    """The primary is the one filled dot, every row keeps within the columns, the last line names the version."""
    picture, _, last = World().client().say("LOLWUT VERSION 5 40 3").partition(b"\r\n")[2].decode().rpartition("\n\n")
    assert picture.count("●") == 1
    assert len(picture.splitlines()) <= 5
    assert last.endswith("Redis ver. 7.2.4\n\r\n")


@pytest.mark.parametrize("columns", [1, 2, 7, 66, 1000])
def test_every_tree_fits_and_every_server_has_a_line_from_above(columns: int) -> None:
    """Whatever the chance, no row is wider than asked, and below each line ends a server."""
    for seed in range(50):
        rows = draw(random.Random(seed), columns, 8).splitlines()
        assert max(map(len, rows)) <= columns
        for above, below in zip(rows[1::2], rows[2::2], strict=False):
            assert [at for at, sign in enumerate(below) if sign == "○"] == [
                at for at, sign in enumerate(above) if sign in "┌┐┬┼│├┤"
            ]
