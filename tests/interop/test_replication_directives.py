"""The directives of replication, and what clients see of it, on a live Redis 7.0 and on txrepl alike.

A test that takes `server_kind` makes the same claims of both, so that none of them is only our own opinion.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import Directive, RawClient, RealServer, ReplyError, encode, free_port, wait_until

TIMEOUT_S = 10.0
READONLY = ReplyError("READONLY You can't write against a read only replica.")
STALE = ReplyError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
NOREPLICAS = ReplyError("NOREPLICAS Not enough good replicas to write.")
UNBLOCKED = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
QUIET: dict[str, Directive] = {"repl_ping_replica_period": 3600}


@pytest.fixture(params=["redis70", "txrepl"])
def server_kind(request: pytest.FixtureRequest) -> str:
    """The real server first, which says what is right, and then ours."""
    name: str = request.param
    return name


def is_up(replica: RealServer) -> bool:
    """Whether the stream flows."""
    return replica.info("replication").get("master_link_status") == "up"


def follow(replica: RealServer, primary: RealServer) -> None:
    """REPLICAOF, and wait for the link."""
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up")


def set_directives(server: RealServer, *words: str | int) -> None:
    """CONFIG SET name value …"""
    assert server.command("CONFIG", "SET", *words) == "OK"


def replica_states(primary: RealServer) -> list[str]:
    """The `state=` of each attached replica."""
    told = primary.info("replication")
    return [value.split("state=")[1].split(",")[0] for name, value in told.items() if re.fullmatch(r"slave\d+", name)]


def same_offset(primary: RealServer, replica: RealServer) -> bool:
    """Whether the replica has applied everything."""
    return primary.offset() == replica.offset()


def child_of(server: RealServer) -> int:
    """The pid of its snapshot child, 0 if there is none."""
    found = subprocess.run(
        ["ps", "--ppid", str(server.pid), "-o", "pid=,stat="], capture_output=True, text=True, check=False
    )
    alive = [line.split()[0] for line in found.stdout.splitlines() if "Z" not in line]
    return int(alive[0]) if alive else 0


def said(server: RealServer, since: int, *texts: str) -> list[str]:
    """Which of these texts the log has from a place on, in the order of the log."""
    log = server.log_text()[since:]
    return sorted((text for text in texts if text in log), key=log.index)


# -- snapshots for replicas ---------------------------------------------------------------------------------------


def test_a_diskless_snapshot_waits_for_replicas_and_outlives_all_but_the_last(run: Run, server_kind: str) -> None:
    """It starts when max-replicas are there before the delay is over; the child is killed with the last replica."""
    primary = run(
        server_kind, rdb_key_save_delay=5000, repl_diskless_sync_delay=60, repl_diskless_sync_max_replicas=2, **QUIET
    )
    first, second = run("redis70"), run("redis70")
    primary.command("DEBUG", "POPULATE", 2000, "key", 100)
    first.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: replica_states(primary) == ["wait_bgsave"], TIMEOUT_S, "the first waits")
    assert child_of(primary) == 0
    second.command("REPLICAOF", "127.0.0.1", primary.port)
    child = wait_until(lambda: child_of(primary), TIMEOUT_S, "a snapshot for both")
    assert replica_states(primary) == ["wait_bgsave", "wait_bgsave"]
    assert primary.info("persistence")["rdb_bgsave_in_progress"] == "1"
    first.command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: len(replica_states(primary)) == 1, TIMEOUT_S, "the first is gone")
    assert child_of(primary) == child
    second.command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: child_of(primary) == 0, TIMEOUT_S, "the child is killed")
    assert "Diskless rdb transfer, last replica dropped, killing fork child." in primary.log_text()
    assert "Background RDB transfer terminated with success" not in primary.log_text()


def test_flushall_kills_a_diskless_snapshot_and_who_waits_gets_a_new_one(run: Run, server_kind: str) -> None:
    """The replica of the stale snapshot comes back; the one that waited behind it is served without coming back."""
    primary = run(server_kind, rdb_key_save_delay=5000, repl_diskless_sync="yes", **QUIET)
    first, second = run("redis70"), run("redis70")
    primary.command("DEBUG", "POPULATE", 2000, "key", 100)
    first.command("REPLICAOF", "127.0.0.1", primary.port)
    stale = wait_until(lambda: child_of(primary), TIMEOUT_S, "the first snapshot")
    second.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: len(replica_states(primary)) == 2, TIMEOUT_S, "the second waits")
    primary.command("FLUSHALL")
    wait_until(lambda: child_of(primary) != stale, TIMEOUT_S, "the stale child is gone")
    wait_until(lambda: is_up(first) and is_up(second), TIMEOUT_S, "both are in sync")
    assert (first.command("DBSIZE"), second.command("DBSIZE")) == (0, 0)
    assert second.log_text().count("Trying a partial resynchronization") == 1


def test_a_replica_joins_a_disk_snapshot_and_a_killed_child_is_told_to_all_of_them(run: Run, server_kind: str) -> None:
    """One child for two; after SIGKILL each is told `BGSAVE failed` or cut off, comes back, and gets in sync."""
    primary = run(server_kind, rdb_key_save_delay=5000, repl_diskless_sync="no", **QUIET)
    first, second = run("redis70"), run("txrepl")
    primary.command("DEBUG", "POPULATE", 2000, "key", 10)
    first.command("REPLICAOF", "127.0.0.1", primary.port)
    child = wait_until(lambda: child_of(primary), TIMEOUT_S, "the snapshot")
    second.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: "Waiting for end of BGSAVE for SYNC" in primary.log_text(), TIMEOUT_S, "the second joins it")
    assert child_of(primary) == child
    set_directives(primary, "rdb-key-save-delay", 0)
    os.kill(child, signal.SIGKILL)
    wait_until(lambda: is_up(first) and is_up(second), TIMEOUT_S, "both come back")
    assert primary.log_text().count("SYNC failed. BGSAVE child returned an error") == 2
    assert (first.command("DBSIZE"), second.command("DBSIZE")) == (2000, 2000)


# -- backlog, timeouts, names ---------------------------------------------------------------------------------------


def test_the_backlog_has_a_floor_is_resized_live_and_ends_with_its_ttl(run: Run, server_kind: str) -> None:
    """At least 16 kB; a smaller size drops bytes at once; without replicas it is freed, and the id changes."""
    primary, replica = run(server_kind, **QUIET), run("redis70")
    follow(replica, primary)
    set_directives(primary, "repl-backlog-size", 1)
    assert primary.command("CONFIG", "GET", "repl-backlog-size") == [b"repl-backlog-size", b"16384"]
    set_directives(primary, "repl-backlog-size", "100kb")
    for _ in range(150):
        primary.command("SET", "key", "x" * 1000)
    wait_until(lambda: same_offset(primary, replica), TIMEOUT_S, "the replica has everything")
    told = primary.info("replication")
    assert int(told["repl_backlog_size"]) == 100 * 1024 <= int(told["repl_backlog_histlen"]) < 125 * 1024
    assert int(told["repl_backlog_first_byte_offset"]) == (
        int(told["master_repl_offset"]) - int(told["repl_backlog_histlen"]) + 1
    )
    set_directives(primary, "repl-backlog-size", "16kb")
    assert int(primary.info("replication")["repl_backlog_histlen"]) < 40 * 1024
    replica.command("REPLICAOF", "NO", "ONE")
    set_directives(primary, "repl-backlog-ttl", 1)
    after = wait_until(
        lambda: (i := primary.info("replication"))["repl_backlog_active"] == "0" and i, TIMEOUT_S, "the backlog's end"
    )
    assert after["master_replid"] != told["master_replid"]
    assert (after["master_replid2"], after["second_repl_offset"], after["repl_backlog_histlen"]) == (
        "0" * 40,
        "-1",
        "0",
    )
    assert "Replication backlog freed after 1 seconds without connected replicas." in primary.log_text()
    assert primary.command("SET", "key", 1) == "OK"


def test_repl_timeout_ends_a_silent_link_from_both_ends(run: Run, server_kind: str) -> None:
    """A replica that acknowledges nothing is dropped, a primary that sends nothing is left; both changed live."""
    primary, replica = run(server_kind, **QUIET), run("redis70" if server_kind == "txrepl" else "txrepl")
    follow(replica, primary)
    set_directives(primary, "repl-timeout", 2)
    replica.pause()
    line = f"Disconnecting timedout replica (streaming sync): 127.0.0.1:{replica.port}"
    wait_until(lambda: line in primary.log_text(), TIMEOUT_S, "the primary gives up")
    replica.resume()
    set_directives(primary, "repl-timeout", 60)
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up again")
    set_directives(replica, "repl-timeout", 1)
    line = "MASTER timeout: no data nor PING received..."
    wait_until(lambda: line in replica.log_text(), TIMEOUT_S, "the replica gives up")
    since = len(replica.log_text())
    set_directives(primary, "repl-ping-replica-period", 1)
    set_directives(replica, "repl-timeout", 3)
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up again")
    offset = primary.offset()
    wait_until(lambda: primary.offset() >= offset + 14 and same_offset(primary, replica), TIMEOUT_S, "PINGs flow")
    assert line not in replica.log_text()[since:]


def test_a_replica_is_known_by_what_it_announces(run: Run) -> None:
    """A real primary shows address and port as announced; priority and replica-announced stand in INFO."""
    primary, replica = run("redis70"), run("txrepl")
    follow(replica, primary)
    set_directives(replica, "replica-announce-ip", "1.2.3.4", "replica-announce-port", 777)
    set_directives(replica, "replica-priority", 7, "replica-announced", "no")
    assert replica.command("CLIENT", "KILL", "TYPE", "master") == 1
    wait_until(
        lambda: primary.info("replication").get("slave0", "").startswith("ip=1.2.3.4,port=777,state=online"),
        TIMEOUT_S,
        "the primary knows the replica by its announced address",
    )
    told = replica.info("replication")
    assert (told["slave_priority"], told["replica_announced"]) == ("7", "0")


def test_masteruser_needs_no_more_than_psync_replconf_and_ping(run: Run) -> None:
    """An ACL user of a real primary with these three commands; a wrong password is named in the log."""
    primary, replica = run("redis70"), run("txrepl")
    primary.command("ACL", "SETUSER", "default", "off", "resetpass", "nopass", "on")
    primary.command("ACL", "SETUSER", "sync", "on", ">secret", "+psync", "+replconf", "+ping")
    primary.command("SET", "a", 1)
    set_directives(replica, "masteruser", "sync", "masterauth", "wrong")
    primary.command("CONFIG", "SET", "requirepass", "other")
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: "WRONGPASS" in replica.log_text(), TIMEOUT_S, "the log names the refusal")
    set_directives(replica, "masterauth", "secret")
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up")
    assert replica.command("GET", "a") == b"1"


# -- writes that need replicas ----------------------------------------------------------------------------------------


def test_min_replicas_refuses_writes_in_and_outside_of_transactions(run: Run, server_kind: str) -> None:
    """Alone, queued, and where the directive came between MULTI and EXEC; reads pass. A good replica lifts it."""
    primary, replica = run(server_kind, **QUIET), run("redis70")
    set_directives(primary, "min-replicas-to-write", 1, "min-replicas-max-lag", 2)
    assert primary.info("replication")["min_slaves_good_slaves"] == "0"
    with primary.connect() as client:
        assert client.execute("SET", "a", 1) == NOREPLICAS
        assert [client.execute(*words) for words in (["MULTI"], ["SET", "a", 1], ["EXEC"])] == [
            "OK",
            NOREPLICAS,
            ReplyError("EXECABORT Transaction discarded because of previous errors."),
        ]
        assert [client.execute(*words) for words in (["MULTI"], ["GET", "a"], ["EXEC"])] == ["OK", "QUEUED", [None]]
        set_directives(primary, "min-replicas-to-write", 0)
        assert [client.execute(*words) for words in (["MULTI"], ["SET", "a", 1])] == ["OK", "QUEUED"]
        set_directives(primary, "min-replicas-to-write", 1)
        assert client.execute("EXEC") == ReplyError(f"EXECABORT Transaction discarded because of: {NOREPLICAS}")
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: primary.info("replication")["min_slaves_good_slaves"] == "1", TIMEOUT_S, "a good replica")
    assert primary.command("SET", "a", 1) == "OK"
    replica.pause()
    wait_until(lambda: primary.info("replication")["min_slaves_good_slaves"] == "0", TIMEOUT_S, "it lags too much")
    with primary.connect() as client:
        assert client.execute("SET", "a", 1) == NOREPLICAS
    replica.resume()


def test_wait_counts_acknowledgements_and_blocks_only_outside_of_transactions(run: Run, server_kind: str) -> None:
    """One replica: WAIT 1 is served, WAIT 2 times out with what there is, and in MULTI it answers at once."""
    primary, replica = run(server_kind, **QUIET), run("redis70")
    follow(replica, primary)
    with primary.connect() as client:
        assert [client.execute(*words) for words in (["SET", "a", 1], ["WAIT", 1, 5000], ["WAIT", 2, 50])] == [
            "OK",
            1,
            1,
        ]
        replica.pause()
        commands = (["SET", "a", 2], ["MULTI"], ["WAIT", 1, 0], ["EXEC"])
        assert [client.execute(*words) for words in commands] == ["OK", "OK", "QUEUED", [0]]
        replica.resume()
        assert client.execute("WAIT", "x", 1) == ReplyError("ERR value is not an integer or out of range")
        assert client.execute("WAIT", 1, -1) == ReplyError("ERR timeout is negative")
    with replica.connect() as client:
        assert str(client.execute("WAIT", 0, 1)).startswith("ERR WAIT cannot be used with replica instances.")


# -- what a replica serves --------------------------------------------------------------------------------------------


SERVED_STALE = (
    ("INFO", "server"), ("ROLE",), ("CONFIG", "GET", "port"), ("TIME",), ("SELECT", 0), ("ECHO", "x"),
    ("PUBLISH", "c", "m"), ("CLIENT", "ID"), ("COMMAND", "COUNT"), ("UNWATCH",), ("WATCH", "a"), ("HELLO",),
    ("LASTSAVE",), ("OBJECT", "HELP"), ("MULTI",), ("DISCARD",),
)  # fmt: skip
REFUSED_STALE = (
    ("GET", "a"), ("PING",), ("KEYS", "*"), ("DBSIZE",), ("WAIT", 0, 0), ("PSYNC", "?", -1), ("BGSAVE",), ("LOLWUT",),
    ("TTL", "a"), ("SCAN", 0), ("TYPE", "a"), ("DUMP", "a"),
)  # fmt: skip


def test_serve_stale_data_no_leaves_just_the_commands_that_redis_leaves(run: Run, server_kind: str) -> None:
    """While the link is down; a write is refused as one against a replica first. `yes` takes effect at once."""
    replica = run(server_kind, replica_serve_stale_data="no", replicaof=("127.0.0.1", free_port()))
    with replica.connect() as client:
        assert [w for w in SERVED_STALE if isinstance(client.execute(*w), ReplyError)] == []
        assert [w for w in REFUSED_STALE if client.execute(*w) != STALE] == []
        assert client.execute("SET", "a", 1) == READONLY
        replies = [client.execute(*words) for words in (["MULTI"], ["GET", "a"], ["EXEC"])]
        assert replies == ["OK", STALE, ReplyError("EXECABORT Transaction discarded because of previous errors.")]
        client.execute("CONFIG", "SET", "replica-serve-stale-data", "yes")
        assert client.execute("GET", "a") is None


def test_due_keys_read_as_gone_on_a_replica_until_the_primary_deletes_them(run: Run, server_kind: str) -> None:
    """Every reading command, while DBSIZE and RANDOMKEY still know them; then the primary's DEL comes."""
    primary, replica = run("redis70", **QUIET), run(server_kind)
    follow(replica, primary)
    primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    for number in range(20):
        primary.command("SET", f"k{number}", "v", "PX", 30)
    wait_until(lambda: same_offset(primary, replica), TIMEOUT_S, "the keys are there")
    wait_until(lambda: replica.command("EXISTS", "k19") == 0, TIMEOUT_S, "they are due")
    reads = (
        ("GET", "k1"), ("TTL", "k1"), ("PTTL", "k1"), ("EXPIRETIME", "k1"), ("TYPE", "k1"), ("DUMP", "k1"),
        ("TOUCH", "k1"), ("OBJECT", "ENCODING", "k1"), ("KEYS", "*"), ("SCAN", 0, "COUNT", 100), ("STRLEN", "k1"),
    )  # fmt: skip
    assert [replica.command(*words) for words in reads] == (
        [None, -2, -2, -2, "none", None, 0, None, [], [b"0", []], 0]
    )
    assert replica.command("RANDOMKEY") in {b"k%d" % number for number in range(20)}
    assert replica.command("DBSIZE") == 20
    primary.command("GET", "k1")
    wait_until(lambda: same_offset(primary, replica), TIMEOUT_S, "the primary's DEL")
    assert replica.command("DBSIZE") == 19


def test_a_writable_replica_keeps_its_writes_to_itself_and_expires_only_them(run: Run, server_kind: str) -> None:
    """No byte into the stream; its own key with a TTL goes by itself, the primary's due keys wait for the DEL."""
    primary, replica, below = run("redis70", **QUIET), run(server_kind), run("redis70")
    follow(replica, primary)
    follow(below, replica)
    primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    primary.command("MSET", "theirs", 1, "counter", 5)
    for key in ("theirs", "counter"):
        primary.command("PEXPIRE", key, 30)
    wait_until(lambda: same_offset(primary, replica), TIMEOUT_S, "the keys are there")
    wait_until(lambda: replica.command("EXISTS", "theirs", "counter") == 0, TIMEOUT_S, "they are due")
    offset = replica.offset()
    with replica.connect() as client:
        assert client.execute("SET", "own", 1) == READONLY
    set_directives(replica, "replica-read-only", "no")
    assert replica.command("SET", "own", 1, "PX", 50) == "OK"
    assert replica.info("stats")["slave_expires_tracked_keys"] == "1"
    assert (replica.command("INCR", "counter"), replica.command("TTL", "counter")) == (1, -1)
    wait_until(lambda: replica.command("DBSIZE") == 2, TIMEOUT_S, "its own key is gone, the primary's is not")
    assert replica.info("stats")["slave_expires_tracked_keys"] == "0"
    assert replica.offset() == offset
    assert below.command("EXISTS", "own") == 0


# -- clients --------------------------------------------------------------------------------------------------------


def client_fields(server: RealServer, kind: str) -> dict[str, str]:
    """The only line of CLIENT LIST TYPE kind, as fields."""
    (line,) = server.command("CLIENT", "LIST", "TYPE", kind).decode().splitlines()
    return dict(field.split("=", 1) for field in line.split())


def test_client_list_and_kill_know_both_ends_of_a_link(run: Run, server_kind: str) -> None:
    """Flags M and S, the primary's user, NO-EVICT's e; who is killed comes back by a partial resync."""
    primary, replica = run(server_kind, **QUIET), run(server_kind)
    follow(replica, primary)
    assert client_fields(primary, "replica")["flags"] == "S"
    link = client_fields(replica, "master")
    assert (link["flags"], link["user"], link["addr"]) == ("M", "(superuser)", f"127.0.0.1:{primary.port}")
    assert int(link["age"]) < 60
    with primary.connect() as client:
        assert client.command("CLIENT", "NO-EVICT", "ON") == "OK"
        assert b" flags=e " in client.command("CLIENT", "INFO")
    for number, (server, word) in enumerate(((primary, "slave"), (primary, "replica"), (replica, "master")), 1):
        assert server.command("CLIENT", "KILL", "TYPE", word) == 1
        wait_until(
            lambda number=number: primary.info("stats")["sync_partial_ok"] == str(number) and is_up(replica),
            TIMEOUT_S,
            f"it is back after CLIENT KILL TYPE {word}",
        )
    assert primary.info("stats")["sync_full"] == "1"


def test_a_demotion_in_a_transaction_frees_the_blocked_clients(run: Run, server_kind: str) -> None:
    """BLPOP and WAIT end with -UNBLOCKED and a closed connection; REPLICAOF NO ONE works in MULTI too."""
    primary, server = run("redis70"), run(server_kind)
    with server.connect() as popping, server.connect() as waiting, server.connect() as client:
        popping.send(encode("BLPOP", "queue", 0))
        waiting.send(encode("WAIT", 1, 0))
        wait_until(lambda: server.info("clients")["blocked_clients"] == "2", TIMEOUT_S, "two are blocked")
        commands = (["MULTI"], ["SET", "a", 1], ["REPLICAOF", "127.0.0.1", primary.port], ["EXEC"])
        assert [client.execute(*words) for words in commands] == ["OK", "QUEUED", "QUEUED", ["OK", "OK"]]
        assert (popping.read_to_end(), waiting.read_to_end()) == (UNBLOCKED, UNBLOCKED)
        wait_until(lambda: is_up(server), TIMEOUT_S, "the link is up")
        commands = (["MULTI"], ["REPLICAOF", "NO", "ONE"], ["EXEC"])
        assert [client.execute(*words) for words in commands] == ["OK", "QUEUED", ["OK"]]
        assert server.info("replication")["role"] == "master"


def test_the_replicas_output_limit_is_never_smaller_than_the_backlog(run: Run, server_kind: str) -> None:
    """A hard limit of 1 kB does not hurt within a backlog of 1 MB; beyond it the replica that does not read is cut."""
    primary, replica = run(server_kind, **QUIET), run("redis70")
    follow(replica, primary)
    set_directives(primary, "client-output-buffer-limit", "replica 1kb 0 0")
    wait_until(lambda: replica_states(primary) == ["online"], TIMEOUT_S, "it is online")
    replica.pause()
    for _ in range(4):
        primary.command("SET", "key", "x" * 100_000)
    assert replica_states(primary) == ["online"]
    with primary.connect() as client:
        client.pipeline([["SET", "key", "x" * 1_000_000]] * 8, batch=1)
    wait_until(lambda: replica_states(primary) == [], TIMEOUT_S, "it is cut off")
    assert "scheduled to be closed ASAP for overcoming of output buffer limits." in primary.log_text()
    replica.resume()


# -- shutdown ---------------------------------------------------------------------------------------------------------

SHUTDOWN_LINES = (
    "User requested shutdown...",
    "Waiting for replicas before shutting down.",
    "Lagging replica 127.0.0.1:",
    "0 of 1 replicas are in sync when shutting down.",
    "1 of 1 replicas are in sync when shutting down.",
    "Saving the final RDB snapshot before exiting.",
    "Shutdown manually aborted.",
    "Redis is now ready to exit, bye bye...",
)


def lagging_pair(run: Run, kind: str, **directives: Directive) -> tuple[RealServer, RealServer]:
    """A primary and a stopped replica that lacks its last write."""
    primary, replica = run(kind, **QUIET, **directives), run("redis70")
    follow(replica, primary)
    replica.pause()
    primary.command("SET", "last", "write")
    return primary, replica


def begin_shutdown(server: RealServer, *words: str) -> RawClient:
    """SHUTDOWN from a connection of its own, which waits for the replicas."""
    client = server.connect()
    client.send(encode("SHUTDOWN", *words))
    wait_until(lambda: "shutdown_in_milliseconds" in server.info("server"), TIMEOUT_S, "it waits")
    return client


def test_shutdown_waits_for_a_lagging_replica_with_writes_held_back(run: Run, server_kind: str) -> None:
    """Reads go on, ABORT frees everybody, and at last the replica has the write before the server is gone."""
    primary, replica = lagging_pair(run, server_kind)
    with begin_shutdown(primary, "NOSAVE") as leaving, primary.connect() as writing, primary.connect() as other:
        assert other.execute("GET", "last") == b"write"
        writing.send(encode("SET", "held", 1))
        wait_until(lambda: primary.info("clients")["blocked_clients"] == "2", TIMEOUT_S, "the write is held back")
        assert other.execute("SHUTDOWN", "ABORT") == "OK"
        assert leaving.read_reply() == ReplyError("ERR Errors trying to SHUTDOWN. Check logs.")
        assert writing.read_reply() == "OK"
        assert other.execute("SHUTDOWN", "ABORT") == ReplyError("ERR No shutdown in progress.")
        assert other.execute("SHUTDOWN", "NOSAVE", "SAVE") == ReplyError("ERR syntax error")
    since = len(primary.log_text())
    with begin_shutdown(primary, "NOSAVE") as leaving:
        replica.resume()
        assert primary.wait_exit() == 0
        assert leaving.read_to_end() == b""
    assert replica.command("MGET", "last", "held") == [b"write", b"1"]
    assert said(primary, since, *SHUTDOWN_LINES) == [SHUTDOWN_LINES[at] for at in (0, 1, 4, 7)]


def test_shutdown_now_and_shutdown_timeout_bound_the_wait(run: Run, server_kind: str) -> None:
    """SIGTERM waits for shutdown-timeout and says who lags; NOW does not wait; what was told to be saved is saved."""
    primary, replica = lagging_pair(run, server_kind, shutdown_timeout=1, shutdown_on_sigterm="save")
    os.kill(primary.pid, signal.SIGTERM)
    assert primary.wait_exit() == 0
    expected = [SHUTDOWN_LINES[at] for at in (0, 1, 2, 3, 5, 7)]
    assert said(primary, 0, *SHUTDOWN_LINES) == expected
    replica.resume()
    since = len(primary.log_text())
    primary.start()
    assert primary.command("GET", "last") == b"write"
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up")
    replica.pause()
    primary.command("SET", "last", "other")
    with primary.connect() as client:
        client.send(encode("SHUTDOWN", "NOSAVE", "NOW"))
        assert client.read_to_end() == b""
    assert primary.wait_exit() == 0
    assert said(primary, since, *SHUTDOWN_LINES) == [SHUTDOWN_LINES[at] for at in (0, 2, 3, 7)]
    replica.resume()


def test_a_server_that_cannot_save_stays_unless_forced(run: Run, server_kind: str) -> None:
    """A directory stands where the dump file should be."""
    server = run(server_kind, save=("900", "1"), dbfilename="taken.rdb")
    (server.dir / "taken.rdb").mkdir()
    server.command("SET", "a", 1)
    with server.connect() as client:
        assert client.execute("SHUTDOWN") == ReplyError("ERR Errors trying to SHUTDOWN. Check logs.")
        assert client.execute("GET", "a") == b"1"
        assert "Error trying to save the DB, can't exit." in server.log_text()
        client.send(encode("SHUTDOWN", "FORCE"))
        assert client.read_to_end() == b""
    assert server.wait_exit() == 0
    assert "Error trying to save the DB. Exit anyway." in server.log_text()


def test_under_twistd_sigterm_waits_for_the_replica_too(run: Run) -> None:
    """The reactor ends when the replica has the last write; the command line differs, the end does not."""
    replica, probe = run("redis70"), run("txrepl")
    port = free_port()
    log = (probe.dir / "twistd.log").open("wb")
    argv = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "txrepl", "--http", "off"]
    argv += ["--port", str(port), "--dir", str(probe.dir)]
    process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, cwd=probe.dir)
    try:
        client = wait_until(lambda: RawClient(port), TIMEOUT_S, "it listens")
        wait_until(lambda: client.command("CONFIG", "SET", "repl-diskless-sync-delay", 0) == "OK", TIMEOUT_S, "loaded")
        replica.command("REPLICAOF", "127.0.0.1", port)
        wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up")
        replica.pause()
        client.command("SET", "last", "write")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: b"shutdown_in_milliseconds" in client.command("INFO", "server"), TIMEOUT_S, "it waits")
        assert client.execute("SHUTDOWN", "ABORT") == ReplyError("ERR No shutdown in progress.")
        replica.resume()
        assert process.wait(TIMEOUT_S) == -signal.SIGTERM  # twistd ends by the signal that it got
        wait_until(lambda: not is_up(replica), TIMEOUT_S, "the link is down")
        assert replica.command("GET", "last") == b"write"
    finally:
        process.kill()
        process.wait()
        log.close()
