"""The change stream over HTTP, of a replica of a real server: with a snapshot it makes an exact copy."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.readers import encoders
from tests.interop.conftest import Run
from tests.interop.dataset import fill, write_randomly
from tests.interop.following import CutReader, Mirror, get, ndjson
from tests.interop.servers import Directive, RealServer, free_port, wait_until

SEED = 20
WRITES = 20_000
SYNC_TIMEOUT_S = 60.0


def http_port(node: RealServer) -> int:
    return int(str(node.directives["http-port"]))


def link_is_up(replica: RealServer) -> bool:
    return replica.info("replication")["master_link_status"] == "up"


def node_of(run: Run, primary: RealServer, **directives: Directive) -> RealServer:
    """txrepl as a replica, with HTTP, in sync."""
    directives = {"repl_backlog_size": "64mb", **directives}
    node = run("txrepl", replicaof=("127.0.0.1", primary.port), http_port=free_port(), **directives)
    wait_until(lambda: link_is_up(node), SYNC_TIMEOUT_S, "the node is in sync")
    return node


def snapshot(node: RealServer) -> tuple[bytes, str]:
    """The dataset over HTTP, and where the stream goes on."""
    answer = get(http_port(node), "/v1/snapshot")
    rdb = answer.read()
    assert answer.status == 200, rdb
    return rdb, answer.headers["X-Replication-Id"]


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_snapshot_and_changes_of_a_reader_that_is_cut_at_random_make_a_copy(run: Run, kind: str) -> None:
    """20,000 random writes, some before the snapshot, the rest after: none is missed, none is there twice."""
    primary = run(kind, repl_ping_replica_period=3600)
    node = node_of(run, primary)
    with primary.connect() as client:
        fill(client, SEED)
        write_randomly(client, 1000, SEED)
        rdb, id = snapshot(node)
        target = run(kind)
        with Mirror(target, rdb) as mirror:
            reader = CutReader(http_port(node), mirror, id, SEED)
            write_randomly(client, WRITES, SEED + 1)
            wait_until(
                lambda: reader.failure or (reader.offset, target.digest()) == (primary.offset(), primary.digest()),
                SYNC_TIMEOUT_S,
                "the copy equals the primary",
            )
            reader.stopped = True
            assert reader.failure is None
            assert reader.cuts > 5


def test_changes_of_a_primary_itself_make_a_copy_across_its_demotion(run: Run) -> None:
    """A reader goes on at the new primary's replica, with the ids of before, by replid2."""
    first = run("txrepl", http_port=free_port(), repl_backlog_size="64mb")
    with first.connect() as client:
        fill(client, SEED)
        rdb, id = snapshot(first)
        second = node_of(run, first)
        target = run("redis70")
        with Mirror(target, rdb) as mirror:
            reader = CutReader(http_port(first), mirror, id, SEED)
            write_randomly(client, 1500, SEED)
            first.command("FAILOVER")
            wait_until(lambda: second.info("replication")["role"] == "master", SYNC_TIMEOUT_S, "they change places")
            with second.connect() as other:
                write_randomly(other, 1500, SEED + 1)
            wait_until(
                lambda: reader.failure or (link_is_up(first) and target.digest() == second.digest(legacy=True)),
                SYNC_TIMEOUT_S,
                "the copy equals the primary",
            )
            reader.stopped = True
            assert reader.failure is None


def test_a_killed_encoder_loses_and_repeats_no_change(run: Run) -> None:
    """Readers go on with the next one, exactly after the last event that they got; the node does not stop for it."""
    node = run("txrepl", http_port=free_port(), repl_backlog_size="64mb")
    target = run("redis70")
    with node.connect() as client:
        fill(client, SEED)
        rdb, id = snapshot(node)
        with Mirror(target, rdb) as mirror:
            reader = CutReader(http_port(node), mirror, id, SEED)
            for kills in range(3):
                write_randomly(client, 1000, SEED + kills)
                wait_until(lambda: encoders(node), SYNC_TIMEOUT_S, "an encoder is at work")
                for pid in encoders(node):
                    os.kill(pid, signal.SIGKILL)
            wait_until(
                lambda: reader.failure or target.digest() == node.digest(legacy=True),
                SYNC_TIMEOUT_S,
                "the copy equals the primary",
            )
            reader.stopped = True
            assert reader.failure is None
    assert node.log_text().count("The process for readers of changes has ended") >= 1


def peak_bytes(node: RealServer) -> int:
    """The most memory that a process has had."""
    text = Path(f"/proc/{node.pid}/status").read_text("ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) * 1024


def test_a_reader_slower_than_the_backlog_is_let_go_and_costs_no_memory(run: Run) -> None:
    """Its last event says why, and at which id; from there it is gone."""
    primary = run("redis70", repl_ping_replica_period=3600)
    node = node_of(run, primary, repl_backlog_size="1mb")
    value = os.urandom(50_000)
    writes = [("SET", "k", value)] * 100
    with closing(socket.socket()) as slow, primary.connect() as client:
        for _ in range(4):
            client.pipeline(writes)
        wait_until(lambda: node.offset() == primary.offset(), SYNC_TIMEOUT_S, "the node has it all")
        before = peak_bytes(node)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(30)
        slow.connect(("127.0.0.1", http_port(node)))
        slow.sendall(b"GET /v1/changes HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-ndjson\r\n\r\n")
        read = slow.recv(200)
        assert read.startswith(b"HTTP/1.1 200")
        client.command("SET", "k", "first")
        while b'"first"' not in read:
            read += slow.recv(200)

        def is_let_go() -> bool:
            client.pipeline(writes)
            return "reads no more changes" in node.log_text()

        wait_until(is_let_go, SYNC_TIMEOUT_S, "the reader is let go")
        while data := slow.recv(65536):
            read += data
            if b'"event":"closed"' in read and read.endswith(b"0\r\n\r\n"):
                break
        assert peak_bytes(node) - before < 25_000_000
    events = [json.loads(line) for line in re.findall(rb'^\{"event".*\}$', read, re.MULTILINE)]
    last = events[-1]
    assert (last["event"], last["cause"]) == ("closed", "too_slow")
    changes = [event["id"] for event in events if event["event"] == "change"]
    assert changes[-1] == last["id"]
    gone = get(http_port(node), f"/v1/changes?from={last['id']}")
    problem = json.loads(gone.read())
    assert (gone.status, problem["condition"], problem["snapshot"]) == (410, "backlog_short", "/v1/snapshot")


def test_the_child_of_a_snapshot_ends_with_its_last_reader(run: Run) -> None:
    """A client that reads nothing pauses the pipe; when it leaves, the child is killed, and the next one is served."""
    node = run("txrepl", http_port=free_port())
    node.command("DEBUG", "POPULATE", 200_000, "key", 200)
    left = get(http_port(node), "/v1/snapshot")
    assert left.read(9).startswith(b"REDIS")
    assert node.info("persistence")["rdb_saves"] == "0"
    left.close()
    wait_until(lambda: "terminated by signal 9" in node.log_text(), SYNC_TIMEOUT_S, "the child is killed")
    rdb, _ = snapshot(node)
    target = run("redis70")
    with Mirror(target, rdb):
        wait_until(lambda: target.command("DBSIZE") == 200_000, SYNC_TIMEOUT_S, "the snapshot is whole")
        assert target.digest() == node.digest(legacy=True)


def test_a_filtered_reader_gets_only_what_it_wants_of_a_real_primary(run: Run) -> None:
    """By glob of keys and database, of writes that Redis itself has put into the stream."""
    primary = run("redis70")
    node = node_of(run, primary)
    answer = get(http_port(node), "/v1/changes?match=user:*&db=0,3", Accept="application/x-ndjson")
    with primary.connect() as client:
        client.pipeline(
            [
                ("SET", "user:1", "a"),
                ("SET", "other", "user:1"),
                ("SELECT", 3),
                ("SADD", "user:2", "only"),
                ("SPOP", "user:2"),
                ("SELECT", 4),
                ("SET", "user:3", "c"),
                ("FLUSHALL",),
            ]
        )
    seen = []
    for event in ndjson(answer):
        if event["event"] == "change":
            seen.append((event["db"], event["command"], event["keys"]))
        if event.get("command") == "FLUSHALL":
            break
    answer.close()
    assert seen == [
        (0, "SET", ["user:1"]),
        (3, "SADD", ["user:2"]),
        (3, "SREM", ["user:2"]),
        (4, "FLUSHALL", []),
    ]
