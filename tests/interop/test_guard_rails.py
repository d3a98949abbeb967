"""Two guard rails of a replica, between real servers: an empty primary does not empty it, and a delayed one can be
stopped before a mistake.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.dataset import fill
from tests.interop.servers import Directive, RealServer, free_port, wait_until

SYNC_TIMEOUT_S = 30.0
NO_PINGS: dict[str, Directive] = {"repl_ping_replica_period": 3600}
"""Where an offset must stand still between two steps of a test."""


@pytest.fixture(params=["redis70", "valkey9"])
def primary(request: pytest.FixtureRequest, run: Run) -> RealServer:
    """A primary with some keys."""
    server = run(request.param, **NO_PINGS)
    server.command("SET", "string", "1")
    server.command("RPUSH", "list", *range(200))
    server.command("ZADD", "zset", "1.5", "a", "2", "b")
    return server


@pytest.fixture
def full_primary(primary: RealServer) -> RealServer:
    """A primary with data of every type."""
    with primary.connect() as client:
        fill(client, 7)
        for database in range(16):
            client.command("SELECT", database)
            for key in client.command("KEYS", "*"):
                client.command("PERSIST", key)  # nothing may expire while digests are compared
    return primary


@pytest.fixture
def replica_of(run: Run) -> Callable[..., RealServer]:
    """Starts txrepl as a replica of a port, with HTTP, and waits until it is in sync."""

    def start(port: int, **directives: Directive) -> RealServer:
        replica = run("txrepl", replicaof=("127.0.0.1", port), http_port=free_port(), **directives)
        wait_until(lambda: link_is_up(replica), SYNC_TIMEOUT_S, "the replica is in sync")
        return replica

    return start


def link_is_up(replica: RealServer) -> bool:
    return replica.info("replication")["master_link_status"] == "up"


def ask(replica: RealServer, path: str, **form: object) -> Any:
    """GET a path, or POST a form to it; the JSON that comes back."""
    url = f"http://127.0.0.1:{replica.directives['http-port']}{path}"
    body = urllib.parse.urlencode(form).encode() if form else None
    with urllib.request.urlopen(url, body, timeout=10) as answer:
        return json.load(answer)


def refusal(replica: RealServer, path: str, **form: object) -> int:
    """The status of a request that is refused."""
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(replica, path, **form)
    with refused.value as answer:
        assert answer.headers["content-type"] == "application/problem+json"
    return refused.value.code


def digest_like(server: RealServer, other: RealServer) -> str:
    """The server's digest in the form that `other` prints."""
    return server.digest(legacy=server.kind == "txrepl" and other.kind == "redis70")


def received(replica: RealServer) -> int:
    return int(replica.info("replication")["slave_read_repl_offset"])


def equal(replica: RealServer, primary: RealServer) -> bool:
    return replica.offset() == primary.offset() and digest_like(replica, primary) == digest_like(primary, primary)


def overflow_backlog(primary: RealServer) -> None:
    """Write more than the smallest backlog holds, and leave nothing behind."""
    for _ in range(20):
        primary.command("SET", "big", "x" * 8192)
    primary.command("DEL", "big")


# The guard.


def stop_at_an_emptied_primary(primary: RealServer, replica: RealServer) -> tuple[str, str, str]:
    """Restart the primary without its data; what the replica has, which is as it was."""

    def state() -> tuple[str, str, str]:
        info = replica.info("replication")
        return replica.digest(), info["master_replid"], info["master_repl_offset"]

    primary.kill()
    wait_until(lambda: not link_is_up(replica), 10, "the link is lost")
    before = state()
    primary.start()
    wait_until(lambda: replica.info("replication")["replica_guard"] == "stopped", SYNC_TIMEOUT_S, "the guard stops it")
    assert state() == before
    return before


def test_a_primary_that_lost_its_data_does_not_empty_a_guarded_replica(
    primary: RealServer, replica_of: Callable[..., RealServer]
) -> None:
    """Data, id and offset stay, everything says so, and it does not ask again and again."""
    replica = replica_of(primary.port, replica_empty_primary_guard="yes")
    assert replica.info("replication")["replica_guard"] == "watching"
    stop_at_an_emptied_primary(primary, replica)
    info = replica.info("replication")
    assert info["master_link_status"] == "down"
    assert info["replica_guard_reason"].startswith("replica-empty-primary-guard: the primary is empty")
    assert replica.command("ROLE")[3] == b"connect"
    link = ask(replica, "/v1/replication")["link"]
    assert link["state"] == "connect"
    assert link["guard"]["state"] == "stopped"
    assert link["guard"]["keys"] == sum(
        int(text.split(",")[0].removeprefix("keys=")) for text in replica.info("keyspace").values()
    )
    assert replica.log_text().count("replica-empty-primary-guard: the primary is empty") == 1
    asked = primary.info("stats")["sync_full"]
    wait_until(
        lambda: int(replica.info("replication")["master_link_down_since_seconds"]) >= 3, 10, "retries would have come"
    )
    assert primary.info("stats")["sync_full"] == asked
    page = urllib.request.urlopen(f"http://127.0.0.1:{replica.directives['http-port']}/", timeout=10).read().decode()
    assert "GUARD      STOPPED" in page and "decision=accept" in page


def by_http(replica: RealServer, port: int) -> None:
    assert ask(replica, "/v1/guard", decision="accept")["changed"] is True


def by_replicaof(replica: RealServer, port: int) -> None:
    assert replica.command("REPLICAOF", "127.0.0.1", port) == "OK"


def by_config(replica: RealServer, port: int) -> None:
    replica.command("CONFIG", "SET", "replica-empty-primary-guard", "no")


@pytest.mark.parametrize("decide", [by_http, by_replicaof, by_config])
def test_an_empty_primary_is_followed_once_somebody_accepts_it(
    primary: RealServer, replica_of: Callable[..., RealServer], decide: Callable[[RealServer, int], None]
) -> None:
    """The dataset is taken over as it is, empty; the guard watches again, unless it was switched off."""
    replica = replica_of(primary.port, replica_empty_primary_guard="yes")
    stop_at_an_emptied_primary(primary, replica)
    decide(replica, primary.port)
    wait_until(lambda: link_is_up(replica) and replica.command("DBSIZE") == 0, SYNC_TIMEOUT_S, "it is taken over")
    primary.command("SET", "after", "1")
    wait_until(lambda: equal(replica, primary), SYNC_TIMEOUT_S, "and followed")
    assert replica.info("replication").get("replica_guard") == (None if decide is by_config else "watching")
    assert refusal(replica, "/v1/guard", decision="accept") == 409
    if decide is by_http:
        stop_at_an_emptied_primary(primary, replica)


@pytest.mark.parametrize("by", ["http", "command"])
def test_a_stopped_replica_can_be_promoted_with_its_data(
    full_primary: RealServer, replica_of: Callable[..., RealServer], by: str
) -> None:
    """It is a primary with the data that it kept, and the lost one can follow it."""
    primary = full_primary
    replica = replica_of(primary.port, replica_empty_primary_guard="yes")
    kept = stop_at_an_emptied_primary(primary, replica)
    if by == "http":
        assert ask(replica, "/v1/guard", decision="promote")["role"] == "primary"
    else:
        replica.command("REPLICAOF", "NO", "ONE")
    assert replica.digest() == kept[0]
    primary.command("REPLICAOF", "127.0.0.1", replica.port)
    wait_until(lambda: link_is_up(primary) and equal(replica, primary), SYNC_TIMEOUT_S, "the lost primary has it all")


def test_a_stopped_replica_goes_on_partially_with_its_old_history(
    primary: RealServer, run: Run, replica_of: Callable[..., RealServer], proxy: Proxy
) -> None:
    """A wrong, empty primary at the same address loses it nothing: the right one goes on where it stood."""
    door = proxy(primary.port)
    replica = replica_of(door.port, replica_empty_primary_guard="yes")
    door.target_port = run("redis70").port
    door.cut()
    wait_until(lambda: replica.info("replication")["replica_guard"] == "stopped", SYNC_TIMEOUT_S, "the guard stops it")
    door.target_port = primary.port
    primary.command("SET", "meanwhile", "1")
    replica.command("REPLICAOF", "127.0.0.1", door.port)
    wait_until(lambda: link_is_up(replica) and equal(replica, primary), SYNC_TIMEOUT_S, "it goes on")
    assert (primary.info("stats")["sync_full"], primary.info("stats")["sync_partial_ok"]) == ("1", "1")


def test_a_flush_in_our_own_history_is_followed_by_full_sync_too(
    run: Run, replica_of: Callable[..., RealServer], proxy: Proxy
) -> None:
    """The guard is for a primary that lost its data, not for one that was told to drop it."""
    primary = run("redis70", repl_backlog_size="16kb", **NO_PINGS)
    primary.command("SET", "k", "v")
    door = proxy(primary.port)
    replica = replica_of(door.port, replica_empty_primary_guard="yes")
    door.refuse()
    primary.command("FLUSHALL")
    overflow_backlog(primary)
    door.accept()
    wait_until(lambda: link_is_up(replica) and equal(replica, primary), SYNC_TIMEOUT_S, "it is empty too")
    assert primary.info("stats")["sync_full"] == "2"
    assert replica.command("DBSIZE") == 0


# The delay.


def test_a_flushall_is_undone_by_promoting_a_delayed_replica_stopped_before_it(
    full_primary: RealServer, run: Run, replica_of: Callable[..., RealServer]
) -> None:
    """Find it, stop before it, promote: the dataset of before, in a real Redis behind the delayed replica as well."""
    primary = full_primary
    replica = replica_of(primary.port, replica_delay=3600)
    behind = run("redis70", replicaof=("127.0.0.1", replica.port))
    wait_until(lambda: link_is_up(behind), SYNC_TIMEOUT_S, "the sub-replica is in sync")
    start = replica.offset()
    primary.command("SET", "last-good", "1")
    primary.command("INCRBY", "guarded-counter", 41)
    wanted, before = digest_like(primary, primary), primary.offset()
    primary.command("FLUSHALL")
    primary.command("SET", "after", "1")
    assert primary.command("WAIT", 1, 5000) == 1
    wait_until(lambda: received(replica) == primary.offset(), 10, "it is received")
    assert replica.offset() == behind.offset() == start

    found = ask(replica, "/v1/delay?command=flushall")
    assert [one["command"] for one in found["commands"]] == ["FLUSHALL"] and not found["more"]
    offset = found["commands"][0]["offset"]
    assert before < offset <= primary.offset()
    ask(replica, "/v1/delay", stop_before=offset, apply_now="true")
    wait_until(lambda: ask(replica, "/v1/delay")["delay"]["state"] == "held", 10, "it holds before the FLUSHALL")
    info = replica.info("replication")
    assert info["replica_delay_state"] == "held"
    assert int(info["slave_repl_offset"]) < offset <= int(info["slave_read_repl_offset"])
    assert replica.command("GET", "last-good") == b"1"

    replica.command("REPLICAOF", "NO", "ONE")
    assert digest_like(replica, primary) == wanted
    assert replica.offset() == int(info["slave_repl_offset"])
    wait_until(lambda: link_is_up(behind) and equal(replica, behind), SYNC_TIMEOUT_S, "the real one too")
    assert replica.info("stats")["sync_partial_ok"] == "1"


def test_a_write_is_applied_when_it_is_old_enough(
    primary: RealServer, run: Run, replica_of: Callable[..., RealServer]
) -> None:
    """Not before a second has passed, and then, there and behind it."""
    replica = replica_of(primary.port, replica_delay=1)
    behind = run("redis70", replicaof=("127.0.0.1", replica.port))
    wait_until(lambda: link_is_up(behind), SYNC_TIMEOUT_S, "the sub-replica is in sync")
    written_s = time.monotonic()
    primary.command("SET", "late", "1")
    wait_until(lambda: behind.command("GET", "late") == b"1", 10, "it arrives at the end of the chain")
    assert time.monotonic() - written_s >= 0.95
    wait_until(lambda: equal(replica, primary) and behind.offset() == primary.offset(), 10, "all are equal")


def test_a_replica_behind_a_delayed_one_comes_back_partially_from_its_silence(
    primary: RealServer, run: Run, replica_of: Callable[..., RealServer]
) -> None:
    """The primary's PINGs are late too: who waits less than the delay reconnects, and loses nothing."""
    replica = replica_of(primary.port, replica_delay=3600)
    behind = run("redis70", replicaof=("127.0.0.1", replica.port), repl_timeout=2)
    wait_until(lambda: link_is_up(behind), SYNC_TIMEOUT_S, "the sub-replica is in sync")
    primary.command("SET", "waits", "1")
    wait_until(lambda: replica.info("stats")["sync_partial_ok"] != "0", 20, "it has come back")
    assert replica.info("stats")["sync_full"] == "1"
    ask(replica, "/v1/delay", apply_now="true")
    wait_until(lambda: link_is_up(behind) and equal(replica, behind), SYNC_TIMEOUT_S, "it has everything")
    assert behind.command("GET", "waits") == b"1"


def test_what_waits_survives_a_lost_link(
    primary: RealServer, replica_of: Callable[..., RealServer], proxy: Proxy
) -> None:
    """It goes on from what it received; nothing is sent twice, and without delay everything is there."""
    door = proxy(primary.port)
    replica = replica_of(door.port, replica_delay=3600)
    applied = replica.offset()
    for number in range(50):
        primary.command("SET", f"waits-{number}", "x" * 100)
    wait_until(lambda: received(replica) == primary.offset(), 10, "it is received")
    asks_for = primary.offset() + 1
    door.cut()
    wait_until(lambda: door.connections == 2 and link_is_up(replica), SYNC_TIMEOUT_S, "it is back")
    asked = re.findall(r"Trying a partial resynchronization \(request \w+:(\d+)\)", replica.log_text())
    assert len(asked) == 1 and int(asked[0]) >= asks_for  # a PING may have come in between
    assert primary.info("stats")["sync_partial_ok"] == "1"
    assert replica.offset() == applied
    primary.command("SET", "more", "1")
    replica.command("CONFIG", "SET", "replica-delay", 0)
    wait_until(lambda: equal(replica, primary), SYNC_TIMEOUT_S, "it has everything")
    assert "replica_delay" not in replica.info("replication")


def test_after_a_restart_it_goes_on_from_what_it_applied(
    primary: RealServer, replica_of: Callable[..., RealServer]
) -> None:
    """What waited is sent again, by partial resync."""
    replica = replica_of(primary.port, replica_delay=3600, save=("3600", "1000000"))
    applied = replica.offset()
    primary.command("SET", "waits", "1")
    wait_until(lambda: received(replica) == primary.offset(), 10, "it is received")
    replica.restart()
    wait_until(lambda: link_is_up(replica), SYNC_TIMEOUT_S, "it is back")
    assert primary.info("stats")["sync_partial_ok"] == "1"
    wait_until(lambda: received(replica) == primary.offset(), 10, "it is received again")
    assert (replica.offset(), replica.command("GET", "waits")) == (applied, None)


def test_a_stop_inside_of_a_transaction_holds_before_all_of_it(
    primary: RealServer, replica_of: Callable[..., RealServer]
) -> None:
    """The MULTI is where it holds, and its commands are listed with that offset."""
    replica = replica_of(primary.port, replica_delay=3600)
    with primary.connect() as client:
        client.command("SET", "t0", "0")
        client.command("MULTI")
        client.command("SET", "t1", "1")
        client.command("SET", "t2", "2")
        client.command("EXEC")
    wait_until(lambda: received(replica) == primary.offset(), 10, "it is received")
    listed = ask(replica, "/v1/delay?command=SET")["commands"]
    assert [one["arguments"][0] for one in listed] == ["t0", "t1", "t2"]
    assert listed[0]["transaction_offset"] is None
    assert listed[1]["transaction_offset"] == listed[2]["transaction_offset"] < listed[1]["offset"]
    replica.command("CONFIG", "SET", "replica-delay-stop-before", listed[2]["offset"], "replica-delay", 0)
    wait_until(lambda: ask(replica, "/v1/delay")["delay"]["state"] == "held", 10, "it holds")
    assert replica.command("MGET", "t0", "t1", "t2") == [b"0", None, None]
    assert replica.offset() == listed[1]["transaction_offset"] - 1
    assert refusal(replica, "/v1/delay", stop_before=listed[0]["offset"]) == 409
    ask(replica, "/v1/delay", resume="true")
    wait_until(lambda: equal(replica, primary), SYNC_TIMEOUT_S, "it goes on")


def test_what_waits_is_bounded_and_nothing_is_lost_by_it(
    primary: RealServer, replica_of: Callable[..., RealServer]
) -> None:
    """Beyond the bound the socket is read no further, with one warning; without delay everything comes."""
    replica = replica_of(primary.port, replica_delay=3600, replica_delay_max_bytes="256kb")
    with primary.connect() as client:
        for number in range(1000):
            client.command("SET", f"bulk-{number % 100}", "x" * 8192)
    wait_until(lambda: ask(replica, "/v1/delay")["delay"]["full"], 10, "it is full")
    waits = ask(replica, "/v1/delay")["delay"]["pending_bytes"]
    assert 256 * 1024 <= waits <= 256 * 1024 + 64 * 1024
    assert received(replica) < primary.offset()
    assert link_is_up(replica)
    replica.command("CONFIG", "SET", "replica-delay", 0)
    wait_until(lambda: equal(replica, primary), SYNC_TIMEOUT_S, "everything is there")
    assert replica.log_text().count("bytes wait to be applied (replica-delay-max-bytes is 262144)") == 1
    assert primary.info("stats")["sync_full"] == "1"


def test_a_held_replica_takes_no_full_sync_until_it_is_told(
    run: Run, replica_of: Callable[..., RealServer], proxy: Proxy
) -> None:
    """What it is held for would be lost: the link stops, and going on by accepting takes everything."""
    primary = run("redis70", repl_backlog_size="16kb", **NO_PINGS)
    primary.command("SET", "good", "1")
    door = proxy(primary.port)
    replica = replica_of(door.port, replica_delay=3600)
    replica.command("CONFIG", "SET", "replica-delay-stop-before", replica.offset() + 1)
    primary.command("FLUSHALL")
    door.refuse()
    overflow_backlog(primary)
    door.accept()
    guard = wait_until(
        lambda: (found := ask(replica, "/v1/guard"))["state"] == "stopped" and found, SYNC_TIMEOUT_S, "it stops"
    )
    assert guard["cause"] == "delay_stop"
    assert replica.command("GET", "good") == b"1"
    replica.command("REPLICAOF", "127.0.0.1", door.port)
    wait_until(lambda: link_is_up(replica) and replica.command("DBSIZE") == 0, SYNC_TIMEOUT_S, "it is as the primary")
    assert replica.command("CONFIG", "GET", "replica-delay-stop-before")[1] == b"0"


def test_a_delayed_replica_is_not_taken_for_a_failover(run: Run, replica_of: Callable[..., RealServer]) -> None:
    """It acknowledged what it has not applied: it refuses, and the primary goes on as it was."""
    primary = run("redis70", **NO_PINGS)
    replica_of(primary.port, replica_delay=3600)
    primary.command("SET", "k", "v")
    primary.command("FAILOVER")
    wait_until(
        lambda: (
            primary.info("replication")["master_failover_state"] == "no-failover"
            and "rejected psync request" in primary.log_text()
        ),
        SYNC_TIMEOUT_S,
        "the failover is given up",
    )
    assert primary.info("replication")["role"] == "master"
    assert primary.command("GET", "k") == b"v"
