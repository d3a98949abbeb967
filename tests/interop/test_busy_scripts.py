"""A script that takes too long: others are served as Redis serves them, and it can be ended unless it has written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.interop.servers import RawClient, RealServer, encode, start, wait_until

THRESHOLD_MS = 100
LOOP = "while true do end"
FUNCTION = "#!lua name=lib\nredis.register_function('loop', function() while true do end end)"
_IDS = re.compile(rb"(?<=\$2\r\nid\r\n:)\d+|(?<=7\r\nversion\r\n\$)[^\r]*\r\n[^\r]*")


@pytest.fixture(scope="module")
def redis() -> Iterator[RealServer]:
    with start("redis70", busy_reply_threshold=THRESHOLD_MS) as server:
        server.command("FUNCTION", "LOAD", FUNCTION)
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    with start("txrepl", busy_reply_threshold=THRESHOLD_MS) as server:
        server.command("FUNCTION", "LOAD", FUNCTION)
        yield server


def is_busy(client: RawClient) -> bool:
    """Whether the server says that a script is busy."""
    return client.raw_command("PING").startswith(b"-BUSY")


def begin(server: RealServer, *words: str | int) -> RawClient:
    """A client that runs this, and the server is busy with it."""
    running = server.connect()
    running.send(encode(*words))
    with server.connect() as other:
        wait_until(lambda: is_busy(other), 20, "the script is busy")
    return running


WHILE_BUSY: list[tuple[str, ...]] = [
    ("GET", "x"),
    ("INFO",),
    ("MULTI",),
    ("SET", "x", "1"),
    ("EXEC",),
    ("MULTI",),
    ("DISCARD",),
    ("WATCH", "k"),
    ("UNWATCH",),
    ("AUTH", "wrong"),
    ("HELLO", "3"),
    ("GET", "x"),
    ("HELLO", "2"),
    ("REPLCONF", "listening-port", "1"),
    ("SUBSCRIBE", "c"),
    ("EVAL", "return 1", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("SCRIPT", "EXISTS", "x"),
    ("FUNCTION", "LIST"),
    ("FCALL", "loop", "0"),
    ("SHUTDOWN",),
    ("SHUTDOWN", "SAVE"),
    ("CLIENT", "ID"),
    ("NOSUCH",),
    ("GET",),
    ("RESET",),
]


@pytest.mark.parametrize(
    ("words", "wrong", "right"),
    [
        (("EVAL", LOOP, 0), ("FUNCTION", "KILL"), ("SCRIPT", "KILL")),
        (("FCALL", "loop", 0), ("SCRIPT", "KILL"), ("FUNCTION", "KILL")),
    ],
    ids=["script", "function"],
)
def test_others_are_answered_as_by_redis_and_the_script_is_ended(
    redis: RealServer, ours: RealServer, words: tuple[str | int, ...], wrong: tuple[str, ...], right: tuple[str, ...]
) -> None:
    """Commands allowed while busy work, all else is told BUSY; only the right kind of KILL ends it, with an error."""
    answers = []
    for server in (redis, ours):
        running = begin(server, *words)
        with server.connect() as other:
            found = [_IDS.sub(b"", other.raw_command(*asked)) for asked in (*WHILE_BUSY, wrong, right)]
            found.append(running.read_raw_reply())
            found.append(other.raw_command("PING"))
            found.append(running.raw_command("PING"))
            answers.append(found)
        running.close()
    for asked, theirs, mine in zip((*WHILE_BUSY, wrong, right, "killed", "after", "after"), *answers, strict=True):
        assert mine == theirs, asked


@pytest.mark.parametrize(
    "script",
    [
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do end end while true do pcall(coroutine.wrap(f)) end",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
        "while true do coroutine.wrap(function() for i=1,1000 do end end)() end",
        "while true do xpcall(error, function() while true do end end) end",
        "local t = setmetatable({}, {__index = function() while true do end end}) "
        "while true do pcall(function() return t.x end) end",
        "while true do redis.pcall('get', 'k') end",
        "while true do pcall(cjson.decode, '[') end",
        "while true do pcall(loadstring('while true do end')) end",
        "local t={} for i=1,2000 do t[i]=i end while true do table.sort(t, function(a, b) return a > b end) end",
    ],
)
def test_no_loop_escapes_the_end(ours: RealServer, script: str) -> None:
    """Errors caught, coroutines, metamethods, comparisons: SCRIPT KILL ends them all."""
    with begin(ours, "EVAL", script, 0) as running, ours.connect() as other:
        assert other.command("SCRIPT", "KILL") == "OK"
        assert running.read_raw_reply().startswith(b"-ERR Script killed by user with SCRIPT KILL...")
        assert other.command("PING") == "PONG"


def test_function_stats_tell_of_the_function_that_is_busy(ours: RealServer) -> None:
    """Its name, the command that runs it, and for how long."""
    with begin(ours, "FCALL", "loop", 1, "key", "argument") as running, ours.connect() as other:
        stats = other.command("FUNCTION", "STATS")
        script = dict(zip(stats[1][::2], stats[1][1::2], strict=True))
        assert script[b"name"] == b"loop"
        assert script[b"command"] == [b"FCALL", b"loop", b"1", b"key", b"argument"]
        assert script[b"duration_ms"] >= THRESHOLD_MS
        other.command("FUNCTION", "KILL")
        assert running.read_raw_reply().startswith(b"-ERR Script killed")


def test_clients_come_and_go_while_a_script_is_busy(ours: RealServer) -> None:
    """New connections are taken, broken ones are cleared away, and the one that runs it may leave, too."""
    with begin(ours, "EVAL", LOOP, 0) as running, ours.connect() as other:
        for _ in range(20):
            with ours.connect() as visitor:
                visitor.send(encode("GET", "x") * 50)
                assert all(visitor.read_raw_reply().startswith(b"-BUSY") for _ in range(50))
        broken = ours.connect()
        broken.send(b"*1\r\n$3\r\nGE")
        broken.close()
        running.close()
        assert other.command("SCRIPT", "KILL") == "OK"
        wait_until(lambda: other.raw_command("PING") == b"+PONG\r\n", 10, "the server serves")
        wait_until(lambda: int(ours.info("clients")["connected_clients"]) <= 2, 10, "those who left are gone")


def test_what_was_sent_ahead_is_answered_in_order_afterwards(ours: RealServer) -> None:
    """A pipeline behind the script waits for it."""
    with ours.connect() as running, ours.connect() as other:
        running.send(encode("SET", "k", "1") + encode("EVAL", LOOP, 0) + encode("INCR", "k"))
        wait_until(lambda: is_busy(other), 20, "the script is busy")
        running.send(encode("INCR", "k"))
        other.command("SCRIPT", "KILL")
        assert running.read_reply() == "OK"
        assert running.read_raw_reply().startswith(b"-ERR Script killed")
        assert [running.read_reply(), running.read_reply()] == [2, 3]


def test_a_script_that_has_written_goes_on_and_its_effects_stay_whole() -> None:
    """It cannot be ended; all its writes come in one transaction of the stream, whatever others do meanwhile."""
    script = (
        "redis.call('set','a','1') local t=os.clock() while os.clock()-t<0.6 do end "
        "redis.call('rpush','awaited','x') redis.call('set','b','2') return 'done'"
    )
    with (
        start("txrepl", busy_reply_threshold=THRESHOLD_MS, enable_debug_command="yes") as primary,
        start("redis70", replicaof=("127.0.0.1", primary.port), enable_debug_command="yes") as replica,
    ):
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
        with primary.connect() as waiting, primary.connect() as other:
            waiting.send(encode("BLPOP", "awaited", 0))
            wait_until(lambda: primary.info("clients")["blocked_clients"] == "1", 10, "the other waits")
            with begin(primary, "EVAL", script, 0) as running:
                assert other.raw_command("SCRIPT", "KILL").startswith(b"-UNKILLABLE Sorry the script already executed")
                assert other.command("WATCH", "a", "b") == "OK"
                assert running.read_reply() == b"done"
            assert waiting.read_reply() == [b"awaited", b"x"]
            other.command("MULTI")
            other.command("PING")
            assert other.command("EXEC") is None, "b, which it watched, has changed"
            digest = primary.command("DEBUG", "DIGEST", "LEGACY")
            wait_until(lambda: replica.command("DEBUG", "DIGEST") == digest, 10, "the digests agree")


def test_shutdown_nosave_ends_a_server_whose_script_has_written() -> None:
    """The hard way out that the message names."""
    with start("txrepl", busy_reply_threshold=THRESHOLD_MS) as server:
        with (
            begin(server, "EVAL", "redis.call('set','k','v') " + LOOP, 0),
            server.connect() as other,
        ):
            assert other.raw_command("SCRIPT", "KILL").startswith(b"-UNKILLABLE")
            other.send(encode("SHUTDOWN", "NOSAVE"))
            assert other.read_to_end() == b""
        assert server.wait_exit(10) == 0


def test_a_replica_with_a_busy_script_catches_up_afterwards(ours: RealServer) -> None:
    """Its stream waits in the socket, the link stays."""
    with start("txrepl", replicaof=("127.0.0.1", ours.port), busy_reply_threshold=THRESHOLD_MS) as replica:
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
        syncs = ours.info("stats")["sync_full"]
        with begin(replica, "EVAL", LOOP, 0) as running, replica.connect() as other:
            for number in range(200):
                ours.command("SET", f"key{number}", "x" * 1000)
            other.command("SCRIPT", "KILL")
            running.read_raw_reply()
            wait_until(
                lambda: other.raw_command("GET", "key199") == b"$1000\r\n" + b"x" * 1000 + b"\r\n", 10, "it is here"
            )
        assert ours.info("stats")["sync_full"] == syncs


def test_a_threshold_of_zero_means_never(ours: RealServer) -> None:
    """busy-reply-threshold, and its old name lua-time-limit."""
    with ours.connect() as client, ours.connect() as other:
        client.command("CONFIG", "SET", "lua-time-limit", "0")
        try:
            client.send(encode("EVAL", "local t=os.clock() while os.clock()-t<0.4 do end return 'done'", 0))
            assert other.command("PING") == "PONG"
            assert client.read_reply() == b"done"
        finally:
            other.command("CONFIG", "SET", "busy-reply-threshold", THRESHOLD_MS)
