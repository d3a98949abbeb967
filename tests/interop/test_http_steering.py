"""Steering and watching a server over HTTP, among real ones: directives, failovers, the tree, events, handshakes."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RealServer, free_port, wait_until

SUBJECT = "txrepl"
TIMEOUT_S = 30.0
SECRET = "hush-hush"


def ask(server: RealServer, method: str, path: str, body: Any = None) -> Any:
    """The JSON that a request is answered with; a refusal raises HTTPError."""
    url = f"http://127.0.0.1:{server.directives['http-port']}{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.loads(answer.read())


class Watcher:
    """A client that reads events in a thread, with a plain socket.

    Attributes:
        events: those that came.
    """

    def __init__(self, server: RealServer, path: str) -> None:
        self.events: list[Any] = []
        self._socket = socket.create_connection(("127.0.0.1", int(server.directives["http-port"])), timeout=TIMEOUT_S)
        self._socket.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._socket.makefile("rb"):
                if line.startswith(b"data: "):
                    self.events.append(json.loads(line[6:]))
        except OSError:
            pass

    def names(self) -> list[str]:
        """The kinds of events that came."""
        return [event["event"] for event in self.events]

    def close(self) -> None:
        """Leave."""
        self._socket.close()


@pytest.fixture
def tree(run: Run) -> Iterator[tuple[RealServer, RealServer, RealServer, RealServer]]:
    """A Redis, below it a txrepl and a Valkey, below the txrepl a Redis 6.2; all want the same password."""
    secrets = {"requirepass": SECRET, "masterauth": SECRET, "repl-diskless-sync-delay": 0}
    top = run("redis70", **secrets)
    middle = run(SUBJECT, replicaof=("127.0.0.1", top.port), http_port=free_port(), **secrets)
    beside = run("valkey9", replicaof=("127.0.0.1", top.port), **secrets)
    below = run("redis62", replicaof=("127.0.0.1", middle.port), **secrets)
    for server in (middle, beside, below):
        wait_until(lambda s=server: s.info("replication")["master_link_status"] == "up", TIMEOUT_S, "the link")
    yield top, middle, beside, below


def test_the_tree_is_found_from_its_middle(tree: tuple[RealServer, RealServer, RealServer, RealServer]) -> None:
    """Redis above, Valkey beside, Redis 6.2 below; one that is gone is shown as such; no password anywhere."""
    top, middle, beside, below = tree

    def found() -> Any:
        return ask(middle, "GET", "/v1/topology")["root"]

    def ports(server: Any) -> set[int]:
        return {one["port"] for one in server["replicas"] if one["reachable"]}

    wait_until(lambda: ports(found()) == {middle.port, beside.port}, TIMEOUT_S, "both replicas in the tree")
    root = found()
    assert (root["port"], root["role"], root["version"]) == (top.port, "primary", "7.0.15")
    here = next(one for one in root["replicas"] if one["this"])
    assert here["edge"]["state"] == "online"
    (lowest,) = here["replicas"]
    assert (lowest["port"], lowest["role"], lowest["link_up"], lowest["replicas"]) == (below.port, "replica", True, [])
    assert lowest["version"].startswith("6.2")
    top.kill()
    wait_until(lambda: not found()["reachable"], TIMEOUT_S, "the root to be unreachable")
    root = found()
    assert root["port"] == top.port and root["error"]
    assert [one["this"] for one in root["replicas"]] == [True]
    for path in ("/v1/topology", "/v1/handshakes", "/v1/config", "/v1/replication", "/v1/events?from=0&event=link_up"):
        if "events" not in path:
            assert SECRET not in json.dumps(ask(middle, "GET", path))
    assert SECRET not in middle.log_text()


def test_a_handshake_with_a_real_primary_is_written_down(
    tree: tuple[RealServer, RealServer, RealServer, RealServer],
) -> None:
    """From PING to PSYNC's answer, the password masked."""
    _, middle, _, _ = tree
    shown = ask(middle, "GET", "/v1/handshakes")["handshakes"][0]
    assert (shown["outcome"], shown["error"]) == ("full", None)
    sent = [exchange["sent"] for exchange in shown["exchanges"]]
    assert sent[:2] == ["PING", "AUTH ***"]
    assert shown["exchanges"][0]["received"].startswith("-NOAUTH")
    assert shown["exchanges"][-1]["received"].startswith("+FULLRESYNC ")


def test_a_failover_over_http_to_a_real_replica(run: Run) -> None:
    """Asked for by its address; the steps come as events, and both have changed places in the end."""
    primary = run(SUBJECT, http_port=free_port(), repl_diskless_sync_delay=0)
    replica = run("redis70", replicaof=("127.0.0.1", primary.port))
    watcher = Watcher(primary, "/v1/events")
    wait_until(
        lambda: [one["lag_bytes"] for one in ask(primary, "GET", "/v1/replicas")["replicas"]] == [0],
        TIMEOUT_S,
        "the replica is in sync",
    )
    primary.command("SET", "k", "v")
    begun = ask(primary, "POST", "/v1/failover", {"host": "127.0.0.1", "port": replica.port, "timeout_ms": 20_000})
    assert begun["state"] != "no-failover" and begun["port"] == replica.port
    wait_until(lambda: primary.info("replication")["role"] == "slave", TIMEOUT_S, "the old primary to follow")
    wait_until(lambda: "link_up" in watcher.names(), TIMEOUT_S, "the link to be up")
    assert replica.info("replication")["role"] == "master"
    assert replica.command("GET", "k") == b"v"
    names = watcher.names()
    steps = ["failover_started", "failover_handed_over", "role_changed", "failover_done", "link_up"]
    places = [names.index(step) for step in steps if step != "role_changed"]
    assert places == sorted(places), names
    assert "role_changed" in names and "replica_lost" in names
    watcher.close()


def test_directives_changed_over_http_are_seen_by_everybody(run: Run) -> None:
    """CONFIG GET shows them, the server goes by them, and a bad one changes nothing."""
    server = run(SUBJECT, http_port=free_port())
    changed = ask(server, "PATCH", "/v1/config", {"repl-backlog-size": "2mb", "masterauth": SECRET})
    assert sorted(changed["changed"]) == ["masterauth", "repl-backlog-size"]
    assert server.command("CONFIG", "GET", "repl-backlog-size") == [b"repl-backlog-size", b"2097152"]
    assert ask(server, "PATCH", "/v1/backlog", {"size_bytes": 3_000_000})["size_bytes"] == 3_000_000
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(server, "PATCH", "/v1/config", {"repl-backlog-size": "4mb", "repl-timeout": "x"})
    assert refused.value.code == 422
    assert server.info("replication")["repl_backlog_size"] == "3000000"
    assert SECRET not in server.log_text()


def test_events_of_a_link_that_breaks_and_comes_back(run: Run) -> None:
    """Down, attempts that fail once for each reason, in sync again, up; a reader that returns misses none."""
    primary = run("redis70")
    replica = run(SUBJECT, replicaof=("127.0.0.1", primary.port), http_port=free_port())
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", TIMEOUT_S, "the link")
    watcher = Watcher(replica, "/v1/events")
    wait_until(lambda: ask(replica, "GET", "/healthz"), TIMEOUT_S, "the watcher to be heard")
    primary.kill()
    wait_until(lambda: "link_failed" in watcher.names(), TIMEOUT_S, "an attempt to fail")
    last = watcher.events[-1]["id"]
    watcher.close()
    primary.restart()
    again = Watcher(replica, f"/v1/events?from={last}")
    wait_until(lambda: "link_up" in again.names(), TIMEOUT_S, "the link to be up again")
    numbers = [int(event["id"].rpartition(":")[2]) for event in again.events]
    assert numbers == list(range(int(last.rpartition(":")[2]) + 1, numbers[-1] + 1))
    assert again.names().index("sync_done") < again.names().index("link_up")
    again.close()


def test_a_reader_that_reads_nothing_is_dropped_and_the_server_goes_on(run: Run) -> None:
    """Events without end to a client that does not read: it is let go, and named in the log."""
    server = run(SUBJECT, http_port=free_port())
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", int(server.directives["http-port"])))
    deaf.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    wait_until(lambda: deaf.recv(1, socket.MSG_PEEK), TIMEOUT_S, "the stream to begin")
    client = server.connect()
    nowhere = str(free_port())

    def dropped() -> bool:
        for _ in range(500):
            client.command("REPLICAOF", "127.0.0.1", nowhere)
            client.command("REPLICAOF", "NO", "ONE")
        return "reads events too slowly and is dropped" in server.log_text()

    wait_until(dropped, 90.0, "the deaf reader to be dropped")
    assert server.command("PING") in (b"PONG", "PONG")
    client.close()
    deaf.close()
