"""Why a resync was full, what would have avoided it, and how far behind a replica is: told right, with live servers.

Where the answer names a setting, the test sets it and does the same again.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.servers import CutProxy, Directive, RealServer, free_port, wait_until
from tests.interop.topology import NO_PINGS, SYNC_TIMEOUT_S, assert_equal, follow, stat

SUBJECT = "txrepl"
SMALL_BACKLOG: dict[str, Directive] = {"repl_backlog_size": 16 * 1024}


class Watched:
    """A txrepl and its HTTP interface."""

    def __init__(self, run: Run, **directives: Directive) -> None:
        self._http_port = free_port()
        self.server = run(SUBJECT, http_port=self._http_port, **directives)

    def text(self, path: str) -> str:
        """A page."""
        answer = urllib.request.urlopen(f"http://127.0.0.1:{self._http_port}{path}", timeout=10)
        return str(answer.read().decode())

    def get(self, path: str) -> Any:
        """What a path answers."""
        return json.loads(self.text(path))

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """The sync decisions, newest first."""
        return list(self.get("/v1/syncs")["decisions"])

    @property
    def log_lines(self) -> list[str]:
        """The log."""
        return self.server.log_text().splitlines()


def fill_gap(server: RealServer) -> None:
    """The same 100 kB of writes each time."""
    with server.connect() as client:
        for number in range(100):
            client.command("SET", f"gap:{number % 10}", "x" * 1000)


def cut_off_while_writing(primary: RealServer, link: CutProxy) -> None:
    """The replica loses its link, misses writes, and comes back."""
    answers = stat(primary, "sync_full") + stat(primary, "sync_partial_ok")
    link.refuse()
    wait_until(lambda: primary.info("replication").get("connected_slaves", "0") == "0", 10, "the replica is gone")
    fill_gap(primary)
    link.accept()
    wait_until(
        lambda: stat(primary, "sync_full") + stat(primary, "sync_partial_ok") == answers + 1,
        SYNC_TIMEOUT_S,
        "the replica was answered",
    )


def test_a_gap_that_the_backlog_cannot_bridge_is_told_to_the_byte(run: Run, proxy: Proxy) -> None:
    """A Redis replica is away for more than 16 kB: one full sync, explained; with the size named, a partial one."""
    watched = Watched(run, **SMALL_BACKLOG, **NO_PINGS)
    primary, replica = watched.server, run("redis70")
    link = proxy(primary.port)
    follow(replica, primary, link.port)
    assert_equal(primary, replica)
    reached = primary.offset()
    cut_off_while_writing(primary, link)
    assert_equal(primary, replica)
    assert stat(primary, "sync_full") == 2
    decision, first = watched.decisions
    name = f"127.0.0.1:{replica.port}"
    assert (first["condition"], first["peer"], first["avoidance"]) == ("first_sync", name, None)
    assert first["end"]["cause"] == "connection_lost"
    ours = decision["ours"]
    assert decision["asked"] == {"replid": ours["replid"], "offset": reached + 1}
    assert (decision["answer"], decision["condition"], decision["peer"]) == ("full", "backlog_short", name)
    assert ours["offset"] == primary.offset()
    assert decision["missing_bytes"] == ours["backlog_first_offset"] - (reached + 1) > 0
    saving = decision["saving_backlog_bytes"]
    assert saving == ours["offset"] - reached > 100_000
    assert f"`repl-backlog-size 1mb` ({saving} bytes would have done)" in decision["avoidance"]
    assert watched.get("/v1/backlog")["recommended_bytes"] >= saving
    told = [line for line in watched.log_lines if "Sync decision given to replica" in line]
    assert len(told) == 2
    assert f"{name}: full (backlog_short)" in told[1]
    assert "repl-backlog-size 1mb" in re.sub(r"\s+", " ", watched.text("/syncs.txt"))
    primary.command("CONFIG", "SET", "repl-backlog-size", saving)
    cut_off_while_writing(primary, link)
    assert_equal(primary, replica)
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (2, 1)
    assert watched.decisions[0]["answer"] == "partial"


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_a_full_sync_is_told_with_its_cost(run: Run, diskless: str) -> None:
    """Bytes and time, on the primary that gave it and on the replica that received it, from disk and diskless."""
    above, below = Watched(run, repl_diskless_sync=diskless), Watched(run)
    for number in range(200):
        above.server.command("SET", f"key:{number}", f"{number}-" * 300)
    follow(below.server, above.server)
    assert_equal(above.server, below.server)
    wait_until(lambda: above.decisions[0]["cost"]["stage"] == "loaded", 10, "the replica has acknowledged")
    given, received = above.decisions[0], below.decisions[0]
    assert (given["direction"], received["direction"]) == ("given", "received")
    assert given["cost"]["bytes"] == received["cost"]["bytes"] > 5_000
    assert received["cost"]["stage"] == "loaded"
    assert 0 < given["cost"]["duration_ms"] < 10_000


def test_a_redis_primarys_full_sync_is_explained_from_below(run: Run, proxy: Proxy) -> None:
    """txrepl comes back to a Redis whose backlog is too short, says how long it had to be, and that is enough."""
    primary, watched = run("redis70", **SMALL_BACKLOG, **NO_PINGS), Watched(run)
    replica, link = watched.server, proxy(primary.port)
    follow(replica, primary, link.port)
    assert_equal(primary, replica)
    reached = primary.offset()
    cut_off_while_writing(primary, link)
    assert_equal(primary, replica)
    decision, first = watched.decisions
    assert first["condition"] == "first_sync"
    assert (decision["direction"], decision["answer"]) == ("received", "full")
    assert (decision["condition"], decision["peer"]) == ("backlog_short", f"127.0.0.1:{link.port}")
    saving = decision["saving_backlog_bytes"]
    assert saving == primary.offset() - reached
    assert "`repl-backlog-size 1mb` on the primary" in decision["avoidance"]
    primary.command("CONFIG", "SET", "repl-backlog-size", saving)
    cut_off_while_writing(primary, link)
    assert_equal(primary, replica)
    assert watched.decisions[0]["answer"] == "partial"


def test_a_freed_backlog_is_named_as_the_reason(run: Run, proxy: Proxy) -> None:
    """A replica that was away for longer than repl-backlog-ttl; with 0, as advised, it may be away for that long."""
    watched = Watched(run, repl_backlog_ttl=1, **NO_PINGS)
    primary, replica = watched.server, run("redis70")
    link = proxy(primary.port)
    follow(replica, primary, link.port)
    assert_equal(primary, replica)
    link.refuse()
    wait_until(lambda: "Replication backlog freed" in primary.log_text(), 20, "the backlog is freed")
    link.accept()
    assert_equal(primary, replica)
    decision = watched.decisions[0]
    assert (decision["answer"], decision["condition"]) == ("full", "replid_mismatch")
    assert "`repl-backlog-ttl 0`" in decision["avoidance"]
    primary.command("CONFIG", "SET", "repl-backlog-ttl", 0)
    link.refuse()
    wait_until(lambda: primary.info("replication")["connected_slaves"] == "0", 10, "the replica is gone")
    gone = time.monotonic()
    wait_until(lambda: time.monotonic() - gone > 3, 10, "three times the ttl is over")
    link.accept()
    assert_equal(primary, replica)
    assert watched.decisions[0]["answer"] == "partial"


def test_a_refusal_is_counted_not_repeated(run: Run) -> None:
    """A replica of a txrepl whose own primary is away asks every second; both sides show one refusal."""
    upper, lower = Watched(run), Watched(run)
    upper.server.command("REPLICAOF", "127.0.0.1", free_port())
    follow(lower.server, upper.server)
    wait_until(lambda: bool(upper.decisions) and upper.decisions[0]["times"] >= 3, 15, "it was refused three times")
    for side in (upper, lower):
        assert [(one["answer"], one["condition"]) for one in side.decisions] == [("refused", "try_later")]
        assert "NOMASTERLINK" in side.decisions[0]["reason"]


def test_a_loop_of_output_buffer_kills_is_named_once_with_a_limit_that_ends_it(run: Run) -> None:
    """A replica that stops reading is dropped and synced in full again and again, until the limit is set as advised."""
    watched = Watched(
        run, **SMALL_BACKLOG, client_output_buffer_limit=("replica", "1mb", "1mb", 0), repl_ping_replica_period=1
    )
    primary, replica = watched.server, run("redis70")
    follow(replica, primary)
    assert_equal(primary, replica)
    for number in range(1, 4):
        replica.pause()
        write_much(primary)
        wait_until(lambda wanted=number: kills(watched) == wanted, 20, "the replica is dropped")  # type: ignore[misc]
        replica.resume()
        wait_until(lambda wanted=number: stat(primary, "sync_full") == wanted + 1, 20, "it came back")  # type: ignore[misc]
        assert_equal(primary, replica)
    warnings = [line for line in watched.log_lines if "needs one full sync after the other" in line]
    assert len(warnings) == 1
    assert f"127.0.0.1:{replica.port}" in warnings[0]
    (advice,) = watched.get("/v1/syncs")["advice"]
    assert (advice["cause"], advice["full_syncs"]) == ("output_limit", 4)
    assert advice["setting"] == "client-output-buffer-limit"
    assert f'CONFIG SET client-output-buffer-limit "{advice["value"]}"' in advice["text"]
    assert {one["end"]["cause"] for one in watched.decisions[1:]} == {"output_limit"}
    primary.command("CONFIG", "SET", advice["setting"], advice["value"])
    replica.pause()
    write_much(primary)
    written = primary.offset()
    wait_until(lambda: primary.offset() >= written + 2 * 14, 20, "two more PINGs were sent, so limits were checked")
    replica.resume()
    assert_equal(primary, replica)
    assert (stat(primary, "sync_full"), kills(watched)) == (4, 3)


def kills(watched: Watched) -> int:
    """How often a replica was dropped for its output."""
    return sum("overcoming of output buffer limits" in line for line in watched.log_lines)


def write_much(server: RealServer) -> None:
    """More than sockets hold."""
    with server.connect() as client:
        for _ in range(200):
            client.command("SET", "big", "x" * 100_000)


@contextmanager
def steady_writes(server: RealServer) -> Iterator[None]:
    """Small writes all the while, from another thread."""
    stop = threading.Event()

    def write() -> None:
        with server.connect() as client:
            while not stop.wait(0.005):
                client.command("INCR", "counter")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_lag_is_real_time_while_a_replica_is_stopped(run: Run) -> None:
    """Under load it is next to nothing, grows with the clock while the replica is stopped, and is nothing again."""
    watched = Watched(run)
    primary, replica = watched.server, run("redis70")
    follow(replica, primary)
    assert_equal(primary, replica)

    def lag_ms() -> int:
        return int(watched.get("/v1/replicas")["replicas"][0]["lag_ms"])

    with steady_writes(primary):
        wait_until(lambda: int(replica.command("GET", "counter") or 0) > 300, 20, "writes flow")
        assert max(lag_ms() for _ in range(20)) < 500
        replica.pause()
        stopped = time.monotonic()
        wait_until(lambda: lag_ms() > 2_500, 20, "the lag shows")
        waited_ms = (time.monotonic() - stopped) * 1000
        assert 1_400 < waited_ms < 3_000  # it had acknowledged up to a second before it was stopped
        first, first_at = lag_ms(), time.monotonic()
        wait_until(lambda: lag_ms() > first + 2_000, 20, "the lag grows")
        grown, passed_ms = lag_ms() - first, (time.monotonic() - first_at) * 1000
        assert abs(grown - passed_ms) < 300
        shown = watched.get("/v1/replicas")["replicas"][0]
        assert shown["lag_bytes"] > 0
        replica.resume()
        wait_until(lambda: lag_ms() < 500, 20, "the replica has caught up")
    wait_until(lambda: lag_ms() == 0, 20, "nothing is missing")


@pytest.mark.parametrize("replica_kind", ["redis70", SUBJECT])
def test_an_idle_replica_is_not_behind(run: Run, replica_kind: str) -> None:
    """PINGs move the offset every second, and replicas acknowledge once a second: that is no lag."""
    watched = Watched(run, repl_ping_replica_period=1)
    primary, replica = watched.server, run(replica_kind)
    follow(replica, primary)
    wait_until(lambda: replica.info("replication").get("master_link_status") == "up", SYNC_TIMEOUT_S, "in sync")
    start = primary.offset()
    seen: list[int] = []

    def watch() -> bool:
        seen.append(int(watched.get("/v1/replicas")["replicas"][0]["lag_ms"]))
        return primary.offset() >= start + 4 * 14

    wait_until(watch, 20, "four PINGs were sent")
    assert max(seen) <= 20


def test_a_backlogs_seconds_and_size_follow_the_rate(run: Run) -> None:
    """What it covers is its size at the rate of writes; what is recommended covers twice the longest absence."""
    watched = Watched(run, repl_backlog_size="1mb", repl_timeout=60)
    primary, replica = watched.server, run("redis70")
    follow(replica, primary)
    assert_equal(primary, replica)
    began = primary.offset()
    with primary.connect() as client:
        for _ in range(300):
            client.command("SET", "big", "x" * 10_000)
    written = primary.offset() - began
    wait_until(lambda: watched.get("/v1/backlog")["bytes_per_second"] is not None, 10, "the rate is known")
    shown = watched.get("/v1/backlog")
    assert shown["covers_seconds"] == pytest.approx(shown["size_bytes"] / shown["bytes_per_second"], abs=0.06)
    assert shown["recommended_bytes"] >= 2 * written > shown["size_bytes"]
    assert f"recommended: repl-backlog-size {shown['recommended_bytes'] // 2**20}mb" in watched.text("/")
