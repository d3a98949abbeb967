"""Histories over restarts and changes of role: partial wherever the histories allow, full wherever they do not."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.servers import Directive, RealServer, wait_until
from tests.interop.topology import NO_PINGS, assert_equal, follow, load, stand_still, stat, write

SUBJECT = "txrepl"
SAVING: dict[str, Directive] = {"save": ("86400", "1000000"), **NO_PINGS}
"""A save point that never comes by itself: SIGTERM saves because there is one."""


def ids(server: RealServer) -> tuple[str, str, int]:
    """replid, replid2 and second offset."""
    shown = server.info("replication")
    return shown["master_replid"], shown["master_replid2"], int(shown["second_repl_offset"])


def test_a_restarted_txrepl_replica_goes_on_partially(run: Run, kind: str) -> None:
    """SIGTERM stores id, offset and selected database; after the start PSYNC goes on from there."""
    primary = run(kind, **NO_PINGS)
    load(primary, 101)
    replica = run(SUBJECT, replicaof=("127.0.0.1", primary.port), **SAVING)
    assert_equal(primary, replica)
    write(primary, 102, 2_000)
    assert_equal(primary, replica)
    replica.restart()
    write(primary, 103, 2_000)
    assert_equal(primary, replica)
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (1, 1)


def test_a_killed_txrepl_replica_goes_on_from_its_last_save(run: Run, kind: str) -> None:
    """BGSAVE on a replica stores where it stood; kill −9 later costs the writes since, not a full sync."""
    primary = run(kind, **NO_PINGS)
    load(primary, 104)
    replica = run(SUBJECT, replicaof=("127.0.0.1", primary.port), **NO_PINGS)
    assert_equal(primary, replica)
    saves = int(replica.info("persistence")["rdb_saves"])
    replica.command("BGSAVE")
    wait_until(lambda: int(replica.info("persistence")["rdb_saves"]) > saves, 10, "the save begins")
    wait_until(lambda: replica.info("persistence")["rdb_bgsave_in_progress"] == "0", 10, "the save ends")
    write(primary, 105, 1_000)
    assert_equal(primary, replica)
    replica.kill()
    write(primary, 106, 1_000)
    replica.start()
    assert_equal(primary, replica)
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (1, 1)


def test_replicas_of_a_restarted_txrepl_primary_go_on_partially(run: Run, kind: str) -> None:
    """The restarted primary has a new id, offers the old one as its second, and stands at the same offset."""
    primary = run(SUBJECT, **SAVING)
    load(primary, 107)
    replicas = [run(one, replicaof=("127.0.0.1", primary.port), **NO_PINGS) for one in (kind, SUBJECT)]
    assert_equal(primary, *replicas)
    write(primary, 108, 1_000)
    stand_still(primary)
    assert_equal(primary, *replicas)
    old_id, offset = ids(primary)[0], primary.offset()
    primary.restart()
    new_id, second_id, second_offset = ids(primary)
    assert (second_id, second_offset) == (old_id, offset + 1)
    assert new_id != old_id
    write(primary, 109, 1_000)
    assert_equal(primary, *replicas)
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (0, 2)


def test_a_primary_that_lost_writes_since_its_save_answers_with_a_full_sync(run: Run, kind: str) -> None:
    """After kill −9 the file is behind the replicas: what they have beyond it must not survive."""
    primary = run(SUBJECT, **SAVING)
    load(primary, 110)
    replica = run(kind, replicaof=("127.0.0.1", primary.port), **NO_PINGS)
    assert_equal(primary, replica)
    primary.command("SAVE")
    primary.command("SET", "lost", "by the crash")
    assert_equal(primary, replica)
    primary.kill()
    primary.start()
    assert_equal(primary, replica)
    assert replica.command("GET", "lost") is None
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (1, 0)


@pytest.mark.parametrize("diverged", [False, True], ids=["in step", "diverged"])
@pytest.mark.parametrize("promoted", ["real", "txrepl"])
def test_an_old_primary_returns_partially_unless_it_diverged(
    run: Run, proxy: Proxy, kind: str, promoted: str, diverged: bool
) -> None:
    """After a promotion the siblings and the old primary come back partially; one that wrote alone goes full."""
    old, new = (SUBJECT, kind) if promoted == "real" else (kind, SUBJECT)
    first = run(old, **NO_PINGS)
    first.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)  # a key that expires alone would be a history of its own
    load(first, 111)
    gate = proxy(first.port)
    second, third = run(new, **NO_PINGS), run(old, **NO_PINGS)
    for replica in (second, third):
        follow(replica, first, gate.port)
    assert_equal(first, second, third)
    gate.refuse()
    gate.cut()
    if diverged:
        write(first, 112, 50)
    second.command("REPLICAOF", "NO", "ONE")
    write(second, 113, 500)
    follow(third, second)
    assert_equal(second, third)
    follow(first, second)
    assert_equal(second, first, third)
    assert stat(second, "sync_full") == int(diverged)
    assert stat(second, "sync_partial_ok") == (1 if diverged else 2)


def test_a_chain_survives_the_restart_of_its_middle(run: Run, kind: str) -> None:
    """The middle comes back partially from its file, and so does its own replica from it."""
    primary = run(kind, **NO_PINGS)
    load(primary, 117)
    middle = run(SUBJECT, replicaof=("127.0.0.1", primary.port), **SAVING)
    assert_equal(primary, middle)
    end = run(kind, replicaof=("127.0.0.1", middle.port), **NO_PINGS)
    assert_equal(primary, middle, end)
    write(primary, 118, 1_000)
    assert_equal(primary, middle, end)
    middle.restart()
    write(primary, 119, 1_000)
    assert_equal(primary, middle, end)
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (1, 1)
    assert stat(middle, "sync_full") == 0
