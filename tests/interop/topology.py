"""Steps that tests of several servers share: fill one, write to it, follow, and wait until all are equal.

Equal means: the same DEBUG DIGEST and the same master_repl_offset. The digest of txrepl is asked for in
the form that the other server prints (`LEGACY` up to Redis 7.0; it differs in how scores are written).
"""

from __future__ import annotations

from tests.interop.dataset import fill, write_randomly
from tests.interop.servers import Directive, RealServer, wait_until

SYNC_TIMEOUT_S = 30.0

BIG_BACKLOG: dict[str, Directive] = {"repl_backlog_size": "32mb"}
NO_PINGS: dict[str, Directive] = {"repl_ping_replica_period": 3600}
"""Where an offset must stand still between two steps of a test."""


def load(server: RealServer, seed: int) -> None:
    """The whole dataset of `fill`."""
    with server.connect() as client:
        fill(client, seed)


def write(server: RealServer, seed: int, count: int) -> None:
    """Random writes over a connection of their own."""
    with server.connect() as client:
        write_randomly(client, count, seed)


def follow(replica: RealServer, primary: RealServer, port: int | None = None) -> None:
    """REPLICAOF, through a proxy's port if one is given."""
    replica.command("REPLICAOF", "127.0.0.1", port or primary.port)


def attach(replica: RealServer, primary: RealServer) -> None:
    """Follow, and wait until both know that the replica is in sync; the primary learns it a little later."""
    follow(replica, primary)
    wait_until(lambda: in_sync(primary, replica), SYNC_TIMEOUT_S, f"{replica!r} is in sync")
    wait_until(lambda: _all_online(primary), SYNC_TIMEOUT_S, f"{primary!r} knows it")


def _all_online(primary: RealServer) -> bool:
    found = primary.info("replication")
    lines = [found[f"slave{number}"] for number in range(int(found["connected_slaves"]))]
    return bool(lines) and all(",state=online," in line for line in lines)


def digest_like(server: RealServer, other: RealServer) -> str:
    """The server's digest in the form that `other` prints."""
    legacy = server.kind == "txrepl" and other.kind in {"redis62", "redis70"}
    return server.digest(legacy=legacy)


def stand_still(primary: RealServer) -> None:
    """Let no key of the primary expire by itself any more, so that its offset stays where it is."""
    primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)


def assert_equal(primary: RealServer, *replicas: RealServer) -> None:
    """Wait until each replica is in sync and equal to the primary, in offset and in data.

    A key that expires between two digests, or a PING between two offsets, is why it asks again.
    """
    for replica in replicas:
        _assert_one_equal(primary, replica)


def _assert_one_equal(primary: RealServer, replica: RealServer) -> None:
    # The older form is the only one that both of such a pair print.
    like = next((one for one in (primary, replica) if one.kind in {"redis62", "redis70"}), primary)
    wait_until(lambda: in_sync(primary, replica), SYNC_TIMEOUT_S, f"{replica!r} is at {primary!r}'s offset")
    wait_until(
        lambda: digest_like(primary, like) == digest_like(replica, like) and in_sync(primary, replica),
        SYNC_TIMEOUT_S,
        f"{replica!r} has the data of {primary!r}",
    )


def in_sync(primary: RealServer, replica: RealServer) -> bool:
    """Whether the replica's link is up and both name the same history and offset."""
    below, above = replica.info("replication"), primary.info("replication")
    return (
        below.get("master_link_status") == "up"  # a primary has none
        and below["master_repl_offset"] == above["master_repl_offset"]
        and below["master_replid"] == above["master_replid"]
    )


def stat(server: RealServer, name: str) -> int:
    """A counter of INFO stats."""
    return int(server.info("stats")[name])
