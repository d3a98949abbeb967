"""Preflights against real servers: what is foretold is what then happens, and a named remedy is one that works."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import KINDS, RealServer, ReplyError, free_port, wait_until
from tests.interop.web import request

SYNC_TIMEOUT_S = 30.0
SECRET = "open sesame"


@pytest.fixture
def node(run: Run) -> RealServer:
    """The server that may follow another, with HTTP."""
    return run("txrepl", http_port=free_port())


def preflight(node: RealServer, port: int, **more: object) -> Any:
    """The answer of POST /v1/preflight; no secret is in it."""
    status, _, found = request(node, "POST", "/v1/preflight", {"host": "127.0.0.1", "port": port, **more})
    assert status == 200, found
    assert SECRET not in str(found)
    return found


def lines(found: Any, side: str) -> list[str]:
    return [remedy["line"] for remedy in found["remedies"] if remedy["side"] == side]


def steps(found: Any) -> dict[str, bool]:
    return {step["step"]: step["ok"] for step in found["steps"]}


def follow(node: RealServer, primary: RealServer) -> None:
    node.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: link_is_up(node), SYNC_TIMEOUT_S, "the node follows")


def link_is_up(node: RealServer) -> bool:
    return node.info("replication")["master_link_status"] == "up"


def full_syncs(primary: RealServer) -> int:
    return int(primary.info("stats")["sync_full"])


def test_a_primary_that_would_send_everything(kind: str, run: Run, node: RealServer) -> None:
    """Foretold without a snapshot being begun there, and so it is."""
    primary = run(kind)
    primary.command("SET", "k", "v")
    found = preflight(node, primary.port)
    assert found["verdict"]["would"] == "full", found
    assert found["psync_sent"] is False and found["remedies"] == []
    assert all(steps(found).values()) and list(steps(found))[:2] == ["connect", "ping"]
    assert found["target"]["role"] == "primary"
    assert found["target"]["offset"] == primary.offset()
    assert full_syncs(primary) == 0 and primary.info("replication")["connected_slaves"] == "0"
    assert node.info("replication")["role"] == "master"
    follow(node, primary)
    assert full_syncs(primary) == 1


def test_a_primary_that_would_go_on_where_the_node_stands(kind: str, run: Run, node: RealServer) -> None:
    """Foretold with the number of bytes that are then sent, by asking and without."""
    primary = run(kind, repl_ping_replica_period=3600)
    follow(node, primary)
    primary.command("SET", "k", "v")
    wait_until(lambda: node.offset() == primary.offset(), SYNC_TIMEOUT_S, "the node has the write")
    primary.command("CLIENT", "PAUSE", 1)
    node.command("CONFIG", "SET", "masterauth", "wrong on purpose")
    primary.command("CONFIG", "SET", "requirepass", SECRET)
    with primary.connect() as client:
        client.command("AUTH", SECRET)
        client.command("CLIENT", "KILL", "TYPE", "replica")
        wait_until(lambda: not link_is_up(node), SYNC_TIMEOUT_S, "the link is down")
        client.command("SET", "k", "x" * 500)
        missing = client.command("INFO", "replication").decode()
        offset = int(missing.split("master_repl_offset:")[1].split()[0])
        for psync in (False, True):
            found = preflight(node, primary.port, password=SECRET, psync=psync)
            assert found["verdict"]["would"] == "partial", found
            assert found["verdict"]["bytes"] == offset - node.offset() > 500
            assert found["psync_sent"] is psync
            assert lines(found, "here") == ["CONFIG SET masterauth …"]
        node.command("CONFIG", "SET", "masterauth", SECRET)
        wait_until(lambda: link_is_up(node), SYNC_TIMEOUT_S, "the node follows again")
        assert client.command("INFO", "stats").decode().split("sync_full:")[1].split()[0] == "1"
    assert node.command("GET", "k") == b"x" * 500


def test_a_backlog_that_is_too_short_is_named_with_the_size_to_set(kind: str, run: Run, node: RealServer) -> None:
    """The gap, and the directive, as the primary takes it."""
    primary = run(kind, repl_backlog_size=16384)
    follow(node, primary)
    node.command("CONFIG", "SET", "masterauth", "wrong on purpose")
    primary.command("CLIENT", "KILL", "TYPE", "replica")
    for _ in range(20):
        primary.command("SET", "big", "x" * 20_000)
    wait_until(lambda: not link_is_up(node), SYNC_TIMEOUT_S, "the link is down")
    found = preflight(node, primary.port, password="")
    assert found["verdict"]["would"] == "full" and "bytes short" in found["verdict"]["why"], found
    (line,) = lines(found, "there")
    assert line.startswith("CONFIG SET repl-backlog-size")
    assert primary.command(*shlex.split(line)) == "OK"


def test_a_password_that_is_right_wrong_missing_or_too_much(kind: str, run: Run, node: RealServer) -> None:
    """Each is told apart, with what to set here."""
    primary = run(kind, requirepass=SECRET)
    assert preflight(node, primary.port, password=SECRET)["verdict"]["would"] == "full"
    for login in ({}, {"password": "wrong"}, {"user": "nobody", "password": "wrong"}):
        found = preflight(node, primary.port, **login)
        assert found["verdict"]["would"] == "refused", found
        assert "CONFIG SET masterauth …" in lines(found, "here")
        assert ("auth" in steps(found)) == bool(login)
    open_to_all = run(kind)
    found = preflight(node, open_to_all.port, password="too much")
    if kind == "redis62":  # and later: the default user without a password
        assert found["verdict"]["would"] == "refused"
    assert 'CONFIG SET masterauth ""' in lines(found, "here"), found


@pytest.mark.parametrize("kind", [*KINDS, "txrepl"])
def test_a_user_without_the_right_to_psync_is_given_it_by_the_named_line(kind: str, run: Run, node: RealServer) -> None:
    """Refused; then the line is run there as it stands, and the node follows."""
    primary = run(kind)
    primary.command("SET", "k", "v")
    primary.command("ACL", "SETUSER", "repl", "on", f">{SECRET}", "+ping", "+replconf")
    login = {"user": "repl", "password": SECRET}
    found = preflight(node, primary.port, **login)
    assert found["verdict"]["would"] == "refused", found
    assert found["steps"][-1]["step"] == "psync" and not found["steps"][-1]["ok"]
    (line,) = lines(found, "there")
    assert primary.command(*shlex.split(line)) == "OK"
    found = preflight(node, primary.port, **login)
    assert found["verdict"]["would"] == "unclear", found
    (line,) = lines(found, "there")
    assert primary.command(*shlex.split(line)) == "OK"
    found = preflight(node, primary.port, **login)
    assert found["verdict"]["would"] == "full", found
    assert lines(found, "here") == ["CONFIG SET masterauth …", 'CONFIG SET masteruser "repl"']
    node.command("CONFIG", "SET", "masterauth", SECRET)
    node.command(*shlex.split(lines(found, "here")[1]))
    assert preflight(node, primary.port)["remedies"] == []
    follow(node, primary)


def test_nobody_listens(node: RealServer) -> None:
    """Told by its first step, with where to look."""
    port = free_port()
    found = preflight(node, port)
    assert found["verdict"] == {"would": "refused", "why": f"nobody listens on 127.0.0.1:{port}", "bytes": None}
    assert "CONFIG SET bind …" in lines(found, "there")
    assert steps(found) == {"connect": False}


def test_a_replica_whose_own_link_is_down(kind: str, run: Run, node: RealServer) -> None:
    """It takes no replica: told by INFO, by ROLE, and by asking."""
    orphan = run(kind, replicaof=("127.0.0.1", free_port()))
    for psync in (False, True):
        found = preflight(node, orphan.port, psync=psync)
        assert found["verdict"]["would"] == "refused", found
        assert "link to its own primary" in found["verdict"]["why"]
        assert found["target"]["link_up"] is False
    assert found["steps"][-1]["received"].startswith("-NOMASTERLINK")
    orphan.command("ACL", "SETUSER", "repl", "on", f">{SECRET}", "+ping", "+replconf", "+psync", "+role")
    found = preflight(node, orphan.port, user="repl", password=SECRET)
    assert found["verdict"]["would"] == "refused" and "link to its own primary" in found["verdict"]["why"], found


def test_asking_for_real_leaves_no_replica_behind(kind: str, run: Run, node: RealServer) -> None:
    """A full resync is promised, and the node is gone again; neither side has changed."""
    primary = run(kind, repl_diskless_sync_delay=5)
    primary.command("SET", "k", "v")
    before = node.info("replication")["master_replid"]
    found = preflight(node, primary.port, psync=True)
    assert found["verdict"]["would"] == "full" and found["psync_sent"], found
    assert found["steps"][-1]["received"].startswith("+FULLRESYNC")
    wait_until(lambda: primary.info("replication")["connected_slaves"] == "0", 10, "it is detached")
    assert node.info("replication")["role"] == "master"
    assert node.info("replication")["master_replid"] == before


def test_a_replica_of_ours_is_no_primary_for_us(kind: str, run: Run, node: RealServer) -> None:
    """The two would follow each other; the line that ends it works."""
    replica = run(kind, replicaof=("127.0.0.1", node.port))
    wait_until(lambda: link_is_up(replica), SYNC_TIMEOUT_S, "the replica is in sync")
    found = preflight(node, replica.port)
    assert found["verdict"]["would"] == "refused" and "replica of this node" in found["verdict"]["why"]
    (line,) = lines(found, "there")
    replica.command(*shlex.split(line))
    found = preflight(node, replica.port)
    assert found["verdict"]["would"] in ("partial", "full"), found
    assert preflight(node, replica.port, psync=True)["verdict"]["would"] == found["verdict"]["would"]


def test_what_is_no_redis(node: RealServer) -> None:
    """HTTP answers something else; said so."""
    found = preflight(node, int(str(node.directives["http-port"])))
    assert found["verdict"]["would"] == "refused"
    assert not steps(found)["ping"]


def test_orders_that_make_no_sense(node: RealServer) -> None:
    """Ourselves, TLS, a port that is none, a user without a password: nothing is dialled."""
    for status, body in (
        (409, {"host": "localhost", "port": node.port}),
        (422, {"host": "127.0.0.1", "port": 1, "tls": True}),
        (422, {"host": "127.0.0.1", "port": 70000}),
        (422, {"host": "127.0.0.1", "port": 1, "user": "u"}),
        (422, {"host": "127.0.0.1", "port": 1, "user": "\ud800", "password": "p"}),
    ):
        assert request(node, "POST", "/v1/preflight", body)[0] == status, body
    with pytest.raises(ReplyError):
        node.command("NOTHING")
