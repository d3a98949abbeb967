"""Streams between servers: their replication in every direction, the bytes of it, and clients that wait."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, without_now
from tests.interop.servers import RawClient, RealServer, encode, wait_until
from tests.interop.test_differential_streams import Maker
from tests.interop.topology import NO_PINGS, assert_equal, follow
from tests.interop.wire import ReplyError

SUBJECT = "txrepl"
PRIMARIES = ("redis70", "valkey9")
KEYS = ("s1", "s2", "s3")
NODES = {"stream_node_max_entries": 3}
ROUNDS = 1500
WAIT_S = 20.0

_CLOCKS = (b"seen-time", b"active-time")


def random_writes(seed: int) -> list[Words]:
    """Stream commands of every kind, some wrong."""
    maker = Maker(seed)
    return [["SET", "text", "value"], *(maker.command() for _ in range(ROUNDS))]


def run_all(server: RealServer, commands: Iterable[Words]) -> None:
    """Run the commands, whatever they answer."""
    with server.connect() as client:
        client.pipeline(commands)


def described(server: RealServer, *left_out: bytes) -> Any:
    """All that XINFO tells of the streams, but for the times at which consumers were seen on this server."""
    with server.connect() as client:
        client.command("HELLO", 3)
        found = [client.execute("XINFO", "STREAM", key, "FULL", "COUNT", 0) for key in KEYS]
    return [_without(stream, {*_CLOCKS, *left_out}) for stream in found]


def _without(reply: Any, names: set[bytes]) -> Any:
    if isinstance(reply, ReplyError):
        return str(reply)
    if isinstance(reply, dict):
        return {name: _without(value, names) for name, value in reply.items() if name not in names}
    return [_without(item, names) for item in reply] if isinstance(reply, list) else reply


@pytest.mark.parametrize("primary_kind", PRIMARIES)
def test_stream_writes_of_a_real_primary_are_applied_as_its_own_kind_applies_them(run: Run, primary_kind: str) -> None:
    """Data, nodes, groups, pending entries and counters are those of a real replica beside, and nothing is CRITICAL."""
    primary, beside, replica = run(primary_kind, **NODES), run(primary_kind, **NODES), run(SUBJECT, **NODES)
    follow(beside, primary)
    follow(replica, primary)
    assert_equal(primary, beside, replica)
    for seed in (11, 12):
        run_all(primary, random_writes(seed))
        assert_equal(primary, beside, replica)
        lag = (b"lag",) if primary_kind == "redis70" else ()  # estimated otherwise since 7.2.6
        assert described(replica, *lag) == described(beside, *lag)
    assert primary.command("XLEN", "s1") > 0
    assert "CRITICAL" not in replica.log_text()


@pytest.mark.parametrize("replica_kind", PRIMARIES)
def test_a_real_replica_applies_the_stream_writes_of_txrepl(run: Run, replica_kind: str) -> None:
    """Data, nodes, groups, pending entries and counters are those of txrepl's own replica beside."""
    primary, replica, beside = run(SUBJECT, **NODES), run(replica_kind, **NODES), run(SUBJECT, **NODES)
    follow(replica, primary)
    follow(beside, primary)
    assert_equal(primary, replica, beside)
    for seed in (13, 14):
        run_all(primary, random_writes(seed))
        assert_equal(primary, replica, beside)
        lag = (b"lag",) if replica_kind == "redis70" else ()
        assert described(replica, *lag) == described(beside, *lag)
    assert "CRITICAL" not in primary.log_text() + replica.log_text()


def test_a_real_replica_has_all_that_the_primary_has_when_its_consumers_only_read_what_is_new(run: Run) -> None:
    """XINFO STREAM FULL of a Redis 7.0 is the primary's: reading what is pending is not replicated, the rest is."""
    primary, replica = run(SUBJECT, **NODES), run("redis70", **NODES)
    follow(replica, primary)
    assert_equal(primary, replica)
    with primary.connect() as client:
        for key in KEYS:
            for number in range(1, 41):
                client.command("XADD", key, f"{number}-*", "f", number)
            client.command("XGROUP", "CREATE", key, "g", 0)
            for consumer in ("alice", "bob", "alice"):
                client.command("XREADGROUP", "GROUP", "g", consumer, "COUNT", 7, "STREAMS", key, ">")
            client.command("XREADGROUP", "GROUP", "g", "carol", "NOACK", "COUNT", 2, "STREAMS", key, ">")
            client.command("XACK", key, "g", "1-0", "3-0")
            client.command("XDEL", key, "2-0", "9-0", "40-0")
            client.command("XCLAIM", key, "g", "carol", 0, "2-0", "4-0")
            client.command("XAUTOCLAIM", key, "g", "carol", 0, "5-0", "COUNT", 8)
            client.command("XTRIM", key, "MINID", "~", "6-0")
    assert_equal(primary, replica)
    assert described(replica) == described(primary)


@pytest.mark.parametrize("replica_kind", PRIMARIES)
def test_a_full_sync_gives_a_real_replica_the_nodes_groups_and_pending_entries(run: Run, replica_kind: str) -> None:
    """All but the counters of 7.0, which a file that Redis 6.2 can load has no room for: the replica estimates them."""
    primary, replica = run(SUBJECT, **NODES), run(replica_kind, **NODES)
    run_all(primary, random_writes(15))
    follow(replica, primary)
    assert_equal(primary, replica)
    counters = (b"entries-added", b"max-deleted-entry-id", b"entries-read", b"lag")
    assert described(replica, *counters) == described(primary, *counters)


# -- bytes ----------------------------------------------------------------------------------------------------------

WRITES: list[list[str]] = [
    ["XADD", "a", "*", "f", "v"],
    ["XADD", "s", "1-1", "f", "v"],
    ["xadd", "s", "2-*", "f", "v", "g", "w"],
    ["XADD", "s", "NOMKSTREAM", "MAXLEN", "~", "2", "3-*", "f", "v"],
    ["XADD", "s", "MAXLEN", "~", "1", "LIMIT", "10", "4-1", "f", "v"],
    ["XADD", "s", "MINID", "~", "2-0", "5-1", "f", "v"],
    ["XADD", "s", "MINID", "=", "2-0", "6", "f", "v"],
    *(["XADD", "s", f"{number}", "f", "v"] for number in range(7, 15)),
    ["XTRIM", "s", "MAXLEN", "~", "5"],
    ["XTRIM", "s", "MINID", "~", "12", "LIMIT", "3"],
    ["XTRIM", "s", "MAXLEN", "=", "4"],
    ["XTRIM", "s", "MAXLEN", "100"],
    ["XDEL", "s", "12-0", "99"],
    ["XDEL", "s", "99"],
    ["XGROUP", "CREATE", "s", "g", "$"],
    ["XGROUP", "CREATE", "t", "g", "0", "MKSTREAM", "ENTRIESREAD", "0"],
    ["xgroup", "setid", "s", "g", "0", "ENTRIESREAD", "1"],
    ["XGROUP", "CREATECONSUMER", "s", "g", "alice"],
    ["XGROUP", "CREATECONSUMER", "s", "g", "alice"],
    ["XREADGROUP", "GROUP", "g", "bob", "NOACK", "COUNT", "1", "STREAMS", "s", ">"],
    ["XREADGROUP", "GROUP", "g", "alice", "STREAMS", "s", "0"],
    ["XCLAIM", "s", "g", "alice", "0", "11", "14-0", "FORCE", "TIME", "1000", "RETRYCOUNT", "3"],
    ["XCLAIM", "s", "g", "bob", "0", "14", "JUSTID", "LASTID", "13-0"],
    ["XACK", "s", "g", "14", "14"],
    ["XACK", "s", "g", "14"],
    ["XCLAIM", "s", "g", "alice", "0", "14-0", "FORCE"],
    ["XDEL", "s", "14-0"],
    ["XAUTOCLAIM", "s", "g", "bob", "0", "0"],
    ["XCLAIM", "s", "g", "bob", "0", "0", "LASTID", "14-0"],
    ["XSETID", "s", "20-0", "ENTRIESADDED", "100", "MAXDELETEDID", "15-0"],
    ["XGROUP", "DELCONSUMER", "s", "g", "bob"],
    ["XGROUP", "DESTROY", "s", "g"],
    ["XGROUP", "DESTROY", "s", "g"],
    ["COPY", "s", "u"],
    ["RENAME", "u", "w"],
]
READS: list[list[str]] = [
    ["XADD", "r", "MAXLEN", "5", "1-1", "f", "v"],
    ["XADD", "r", "2-1", "f", "v"],
    ["XGROUP", "CREATE", "r", "g", "0"],
    ["XREADGROUP", "GROUP", "g", "alice", "COUNT", "1", "STREAMS", "r", ">"],
    ["XREADGROUP", "GROUP", "g", "bob", "STREAMS", "r", ">"],
    ["XREADGROUP", "GROUP", "g", "carol", "STREAMS", "r", ">"],
    ["XAUTOCLAIM", "r", "g", "carol", "0", "0", "COUNT", "5"],
]
"""Since 7.2, XREADGROUP also puts the group's position into the stream behind what was read."""


def stream_bytes(server: RealServer, commands: Iterable[Words]) -> bytes:
    """What the commands put into the replication stream, but for the primary's own PING."""
    with server.connect() as client, RawClient(server.port, WAIT_S) as replica:
        replica.send(b"PSYNC ? -1\r\n")
        while not (line := replica.read_line()).startswith(b"$"):
            assert line == b"\n" or line.startswith(b"+FULLRESYNC"), line
        replica.read_exactly(int(line[1:]))
        for words in commands:
            client.execute(*words)
        end = encode("SET", "the", "end")
        client.command("SET", "the", "end")
        read = b""
        while not read.endswith(end):
            read += replica.read_exactly(1)
        return without_now(read.replace(encode("ping"), b"").replace(encode("PING"), b""))


@pytest.mark.parametrize(
    ("kind", "commands"), [("redis70", WRITES), ("valkey9", WRITES + READS)], ids=["redis70", "valkey9"]
)
def test_the_same_commands_make_the_same_bytes_in_the_stream(run: Run, kind: str, commands: list[Words]) -> None:
    """Ids that were made, exact trimming, claims and transactions around several effects, byte by byte."""
    real, own = (
        stream_bytes(run(name, repl_diskless_sync="no", **NODES, **NO_PINGS), commands) for name in (kind, SUBJECT)
    )
    assert re.split(rb"(?=\*\d+\r\n)", own) == re.split(rb"(?=\*\d+\r\n)", real)


# -- waiting --------------------------------------------------------------------------------------------------------

READ_GROUP = ("XREADGROUP", "GROUP", "g")
SCENES: dict[str, tuple[list[Words], list[Words], list[Words]]] = {
    "readers get all that is new, each from its own place": (
        [["XADD", "s", "1-0", "f", "v"]],
        [
            ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"],
            ["XREAD", "BLOCK", 0, "STREAMS", "none", "s", "0", "1-0"],
            ["XREAD", "BLOCK", 0, "COUNT", 1, "STREAMS", "s", "2-0"],
        ],
        [["XADD", "s", "2-0", "f", "v"], ["XADD", "s", "3-0", "f", "v"]],
    ),
    "a group's entries go to who came first": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, name, "BLOCK", 0, "COUNT", 1, "STREAMS", "s", ">"] for name in ("one", "two", "three")],
        [
            ["MULTI"],
            ["XADD", "s", "1-0", "f", "a"],
            ["XADD", "s", "2-0", "f", "b"],
            ["EXEC"],
            ["XADD", "s", "3-0", "f", "c"],
        ],
    ),
    "a deleted stream ends the waiting in its groups, not the reader's": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"], ["XREAD", "BLOCK", 0, "STREAMS", "s", "$"]],
        [["DEL", "s"], ["XADD", "s", "5-0", "f", "v"]],
    ),
    "a destroyed group ends the waiting in it": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"], ["XGROUP", "CREATE", "s", "h", "$"]],
        [
            [*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"],
            ["XREADGROUP", "GROUP", "h", "two", "BLOCK", 0, "STREAMS", "s", ">"],
        ],
        [["XGROUP", "DESTROY", "s", "g"], ["XADD", "s", "1-0", "f", "v"]],
    ),
    "another type in the stream's place ends it with WRONGTYPE": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"]],
        [["SET", "s", "text"]],
    ),
    "so does a stream that is renamed over, if it has no such group": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"], ["XADD", "other", "7-0", "f", "v"]],
        [[*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"]],
        [["RENAME", "other", "s"]],
    ),
    "FLUSHALL ends it": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"]],
        [["FLUSHALL"]],
    ),
    "so does SWAPDB": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, "one", "BLOCK", 0, "STREAMS", "s", ">"]],
        [["SWAPDB", 0, 1]],
    ),
    "time is up for readers and consumers alike": (
        [["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]],
        [[*READ_GROUP, "one", "BLOCK", 300, "STREAMS", "s", ">"], ["XREAD", "BLOCK", 300, "STREAMS", "s", "$"]],
        [],
    ),
}


def play(server: RealServer, before: list[Words], waiting: list[Words], then: list[Words]) -> list[bytes]:
    """The replies of clients that wait, one after the other in line, while something happens."""
    clients = [server.connect() for _ in waiting]
    try:
        server.command("FLUSHALL")
        for words in before:
            server.command(*words)
        for number, (client, words) in enumerate(zip(clients, waiting, strict=True), 1):
            client.send(encode(*words))
            wait_until(lambda n=number: int(server.info("clients")["blocked_clients"]) == n, WAIT_S, "the client waits")
        for words in then:
            server.command(*words)
        return [client.read_raw_reply() for client in clients]
    finally:
        for client in clients:
            client.close()


def test_clients_that_wait_are_woken_as_by_a_real_server(run: Run) -> None:
    """In order of arrival, and with the errors of 7.2 when stream or group is gone."""
    real, own = run("valkey9"), run(SUBJECT)
    for name, scene in SCENES.items():
        assert play(own, *scene) == play(real, *scene), name
        assert own.command("XINFO", "GROUPS", "s") == real.command("XINFO", "GROUPS", "s") if "first" in name else True


def test_a_reader_on_a_replica_is_woken_by_the_primary(run: Run) -> None:
    """XREAD BLOCK is a read: it waits on a replica, for what comes down the link."""
    primary, replica = run("redis70"), run(SUBJECT)
    follow(replica, primary)
    assert_equal(primary, replica)
    with replica.connect() as reader:
        reader.send(encode("XREAD", "BLOCK", 0, "STREAMS", "s", "$"))
        wait_until(lambda: replica.info("clients")["blocked_clients"] == "1", WAIT_S, "the reader waits")
        primary.command("XADD", "s", "1-0", "f", "v")
        assert reader.read_reply() == [[b"s", [[b"1-0", [b"f", b"v"]]]]]
