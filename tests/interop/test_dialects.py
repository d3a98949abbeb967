"""As primary, txrepl writes what the replica can read, and refuses, naming the keys, what it cannot hold."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RawClient, RealServer, wait_until
from tests.interop.topology import NO_PINGS, SYNC_TIMEOUT_S, assert_equal, follow, in_sync, load

SUBJECT = "txrepl"
FAR_S = 4_102_444_800


@pytest.fixture
def holding(run: Run) -> RealServer:
    """A txrepl primary that has hash fields with deadlines, from a live Valkey 9, beside everything else."""
    source = run("valkey9", **NO_PINGS)
    load(source, 301)
    for name in ("expiring", "expiring too"):
        source.command("HSET", name, "lasting", "1", "passing", "2")
        assert source.command("HEXPIREAT", name, FAR_S, "FIELDS", 1, "passing") == [1]
    subject = run(SUBJECT, **NO_PINGS)
    subject.command("RESTORE", "expiring", 0, source.command("DUMP", "expiring"))
    load(subject, 302)
    return subject


@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_valkey_9_gets_the_deadlines_of_fields(run: Run, holding: RealServer, diskless: str) -> None:
    """It says its version, and gets Valkey's RDB 80 with deadlines, the large and the small values, all databases."""
    holding.command("CONFIG", "SET", "repl-diskless-sync", diskless)
    replica = run("valkey9", **NO_PINGS)
    follow(replica, holding)
    _assert_equal_as_valkey_counts(holding, replica)
    assert replica.command("HEXPIRETIME", "expiring", "FIELDS", 2, "lasting", "passing") == [-1, FAR_S]


def test_redis_7_is_refused_with_the_names_of_the_keys_until_they_are_gone(run: Run, holding: RealServer) -> None:
    """Nothing is cut off in silence: both logs name the key; once it is deleted the full sync goes through."""
    replica = run("redis70", **NO_PINGS)
    follow(replica, holding)
    told = "cannot hold hash fields with deadlines: 'expiring' (db 0)"
    wait_until(lambda: told in replica.log_text(), 10, "the replica is told")
    assert "MASTER aborted replication with an error: ERR a replica that says neither" in replica.log_text()
    assert told in holding.log_text()
    assert "Retrying with SYNC" not in replica.log_text()
    holding.command("DEL", "expiring")
    assert_equal(holding, replica)


def test_replicas_that_read_different_rdbs_are_served_one_after_the_other(run: Run, holding: RealServer) -> None:
    """A Valkey 9 and a peer that speaks as Redis 8 wait together: two snapshots, in versions 80 and 12."""
    holding.command("CONFIG", "SET", "repl-diskless-sync-delay", 1)
    replica = run("valkey9", **NO_PINGS)
    with holding.connect() as peer:
        peer.command("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "rdb-channel-repl")
        follow(replica, holding)
        wait_until(lambda: holding.info("replication")["connected_slaves"] == "1", 10, "the Valkey waits")
        peer.send(b"PSYNC ? -1\r\n")
        assert _bulk(peer).startswith(b"REDIS0012")
        _assert_equal_as_valkey_counts(holding, replica)
    assert holding.log_text().count("Starting BGSAVE for SYNC with target: replicas sockets") == 2


@pytest.mark.parametrize(("wanted", "keys", "functions"), [(b"functions", False, True), (b"", False, False)])
def test_a_filtered_snapshot_holds_what_was_asked_for(run: Run, wanted: bytes, keys: bool, functions: bool) -> None:
    """REPLCONF rdb-filter-only: the functions alone, or nothing, as redis-cli --functions-rdb asks a Redis 7.0."""
    source = run("redis70")
    source.command("FUNCTION", "LOAD", "#!lua name=mine\nredis.register_function('f', function() return 1 end)")
    source.command("SET", "a key", "a value")
    subject = run(SUBJECT, replicaof=("127.0.0.1", source.port))
    assert_equal(source, subject)
    for server in (source, subject):
        with server.connect() as peer:
            peer.command("REPLCONF", "capa", "eof", "rdb-only", 1, "rdb-filter-only", wanted)
            peer.send(b"SYNC\r\n")
            payload = _bulk(peer)
            assert (b"a key" in payload, b"#!lua name=mine" in payload) == (keys, functions), server


def test_a_filter_needs_the_capability_eof(run: Run) -> None:
    """Redis's own refusals, to the letter."""
    for server in (run("redis70"), run(SUBJECT)):
        with server.connect() as peer:
            assert str(peer.execute("REPLCONF", "rdb-filter-only", "keys")) == (
                "ERR Unsupported rdb-filter-only option: keys"
            )
            assert str(peer.execute("REPLCONF", "rdb-filter-only", '"')) == "ERR Missing rdb-filter-only values"
            assert peer.execute("REPLCONF", "rdb-filter-only", "") == "OK"
            assert str(peer.execute("PSYNC", "?", "-1")) == "ERR Filtered replica requires EOF capability"


def test_the_deadlines_of_fields_come_from_a_valkey_9_and_go_on_to_the_next(run: Run) -> None:
    """txrepl says what it reads, so that Valkey leaves nothing out; a Valkey behind it has the deadlines too."""
    primary = run("valkey9", **NO_PINGS)
    load(primary, 303)
    primary.command("HSET", "expiring", "lasting", "1", "passing", "2")
    primary.command("HEXPIREAT", "expiring", FAR_S, "FIELDS", 1, "passing")
    middle = run(SUBJECT, replicaof=("127.0.0.1", primary.port), **NO_PINGS)
    wait_until(lambda: in_sync(primary, middle), SYNC_TIMEOUT_S, "the middle is in sync")
    end = run("valkey9", replicaof=("127.0.0.1", middle.port), **NO_PINGS)
    _assert_equal_as_valkey_counts(middle, end)
    assert end.command("HEXPIRETIME", "expiring", "FIELDS", 2, "lasting", "passing") == [-1, FAR_S]


def test_a_valkey_9_gets_all_counters_of_a_stream(run: Run) -> None:
    """XINFO STREAM FULL after a full sync is as on the primary: nothing is estimated."""
    subject = run(SUBJECT, **NO_PINGS)
    for number in range(1, 8):
        subject.command("XADD", "stream", f"{number}-0", "f", number)
    subject.command("XDEL", "stream", "3-0", "7-0")
    subject.command("XGROUP", "CREATE", "stream", "group", "2-0", "ENTRIESREAD", 2)
    replica = run("valkey9", replicaof=("127.0.0.1", subject.port), **NO_PINGS)
    assert_equal(subject, replica)
    ours, theirs = (server.command("XINFO", "STREAM", "stream", "FULL") for server in (subject, replica))
    assert ours == theirs
    assert ours[ours.index(b"entries-added") + 1] == 7 and ours[ours.index(b"max-deleted-entry-id") + 1] == b"7-0"


def _assert_equal_as_valkey_counts(subject: RealServer, replica: RealServer) -> None:
    """Equal in offset and data; Valkey's digest leaves the deadlines of fields out."""
    wait_until(lambda: in_sync(subject, replica), SYNC_TIMEOUT_S, "the replica is in sync")
    wait_until(
        lambda: subject.command("DEBUG", "DIGEST", "VALKEY") == replica.digest(), SYNC_TIMEOUT_S, "the data is equal"
    )


def _bulk(peer: RawClient) -> bytes:
    """The RDB of a transfer with an end mark, behind whatever precedes it."""
    line = b""
    while not line.startswith(b"$EOF:"):
        line = peer.read_line()
    mark = line[5:45]
    received = bytearray()
    while not received.endswith(mark):
        received += peer.read_exactly(1)
    return bytes(received[: -len(mark)])
