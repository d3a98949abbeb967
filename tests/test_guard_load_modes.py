"""The guard against empty primaries comes before every way to load a full sync."""

from __future__ import annotations

import pytest

from tests.replication.test_delay import A
from tests.test_guard_rails import World
from txrepl.errors import ReplicationError
from txrepl.replication.handshake import Outcome, Resync


@pytest.mark.parametrize("load", ["disabled", "on-empty-db", "swapdb", "flush-before-load"])
def test_the_guard_comes_before_every_way_to_load(load: str) -> None:
    """Also before the one that drops the old data first; and a primary with data is loaded as ever."""
    world = World(replica_empty_primary_guard="yes", repl_diskless_load=load)
    world.node.delaying.receive_stream(A)
    world.node.following.link_lost("a test")
    outcome = Outcome(Resync.FULL, "f" * 40, 5)
    world.node.full_sync.promised(outcome)
    world.node.full_sync.transfer_begun(0)
    loader = world.node.full_sync.load_begun(0, outcome)
    with pytest.raises(ReplicationError, match="the primary is empty"):
        world.node.full_sync.resynchronized(loader, outcome)
    world.node.following.link_failed("a test")
    assert world.value(b"a") == b"aaa"
    world.node.full_sync.accept_primary("a test")
    world.sync("f" * 40, 5, b"new")
    assert world.node.keyspace.databases[0].data == {b"new": b"1"}
