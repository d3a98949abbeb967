"""What servers tell of the commands they ran, txrepl beside real ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.interop.servers import RealServer, encode, start, txrepl, wait_until

KINDS = ("redis70", "valkey9")


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    """One txrepl for the module."""
    with txrepl() as server:
        yield server


@pytest.fixture(scope="module", params=KINDS)
def live(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A real server of each kind."""
    with start(request.param) as server:
        yield server


# -- the slow log and the latency monitor -----------------------------------------------------------------------

SLOW: list[tuple[Any, ...]] = [
    ("SET", "a", "1"),
    ("AUTH", "secret"),
    ("AUTH", "user", "secret"),
    ("HELLO", "2", "AUTH", "user", "secret", "SETNAME", "me"),
    ("CONFIG", "SET", "masterauth", "secret", "hz", "10", "masteruser", "user"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "10", "AUTH2", "user", "secret"),
    ("ACL", "SETUSER", "user", ">secret"),
    ("MULTI",),
    ("SET", "b", "2"),
    ("INCR", "a"),
    ("EXEC",),
    ("NOSUCH",),
    ("GET",),
    ("LPUSH", "a", "1"),
    ("SET", "k", "v" * 200),
    ("SADD", "s", *range(50)),
    ("CLIENT", "SETNAME", "it"),
    ("OBJECT", "HELP"),
    ("INFO", "server"),
    ("EVAL", "redis.call('set', KEYS[1], 'v'); return redis.pcall('get')", "1", "k"),
]


def slow_words(server: RealServer) -> list[list[Any]]:
    """What the slow log has of `SLOW` and of a BLPOP that was served: words, and the client's name."""
    with server.connect() as client, server.connect() as other:
        client.command("CONFIG", "SET", "slowlog-log-slower-than", "0")
        client.command("SLOWLOG", "RESET")
        for words in SLOW:
            client.execute(*words)
        client.send(encode("BLPOP", "q", "0"))
        wait_until(lambda: b" cmd=blpop " in other.command("CLIENT", "LIST"), 5, "BLPOP waits")
        other.command("LPUSH", "q", "x")
        client.read_reply()
        entries = client.command("SLOWLOG", "GET", "-1")
        client.command("CONFIG", "SET", "slowlog-log-slower-than", "-1")
    numbers = [entry[0] for entry in entries]
    assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
    return [
        [entry[3], entry[5] if entry[3][0] != b"set" else b"a script's client, whom Redis 7.0 does not name"]
        for entry in reversed(entries)
        if entry[3] != [b"CLIENT", b"LIST"]
    ]


def test_the_slow_log_holds_what_a_real_one_holds(live: RealServer, ours: RealServer) -> None:
    """Which commands, in which order, trimmed and without passwords, and whose."""
    theirs = slow_words(live)
    assert slow_words(ours) == theirs
    assert len(theirs) > 15


def test_spikes_are_told_as_a_real_server_tells_them(live: RealServer, ours: RealServer) -> None:
    """The same commands, the same threshold: equal events, and a graph in equal lines but for the numbers."""
    told = []
    for server in (live, ours):
        with server.connect() as client:
            client.command("CONFIG", "SET", "latency-monitor-threshold", "20")
            client.command("LATENCY", "RESET")
            client.command("DEBUG", "SLEEP", "0.03")
            (event,) = [event for event in client.command("LATENCY", "LATEST") if event[0] != b"event-loop"]
            (spike,) = client.command("LATENCY", "HISTORY", "command")
            assert event[1:3] == spike and spike[1] >= 30 <= event[3]
            graph = client.command("LATENCY", "GRAPH", "command").decode()
            told.append((event[0], re.sub(r"\d+", "N", graph)))
            client.command("CONFIG", "SET", "latency-monitor-threshold", "0")
    assert told[0] == told[1]


def test_histograms_have_the_form_of_real_ones(live: RealServer, ours: RealServer) -> None:
    """In RESP3 a map of maps; calls are exact, the µs are among the real server's steps."""
    told = []
    for server in (live, ours):
        with server.connect() as client:
            client.command("HELLO", "3")
            client.command("CONFIG", "RESETSTAT")
            for _ in range(3):
                client.command("SET", "k", "v")
            client.command("DEBUG", "SLEEP", "0.017")
            found = client.command("LATENCY", "HISTOGRAM", "set", "debug", "client", "nosuch")
            told.append({name: (list(one), one[b"calls"]) for name, one in found.items()})
            steps = list(found[b"debug"][b"histogram_usec"])
            assert steps[0] in (33816, 67633, 135266, 270532), "2 significant digits above a power of two"
            assert re.search(
                rb"latency_percentiles_usec_debug:p50=\d+\.\d{3},p99=\d+\.\d{3},p99\.9=\d+\.\d{3}\r\n",
                client.command("INFO", "latencystats"),
            )
    assert told[0] == told[1]


# -- monitoring -------------------------------------------------------------------------------------------------

MONITORED: list[tuple[Any, ...]] = [
    ("SET", "a", "1"),
    ("SELECT", "3"),
    ("GET", b'a\r\n"\\\x07\x00\xff\xc3\xa9 '),
    ("SELECT", "0"),
    ("AUTH", "secret"),
    ("AUTH", "user", "secret"),
    ("HELLO", "2", "AUTH", "user", "secret"),
    ("HELLO", "3", "SETNAME", "me"),
    ("HELLO", "2"),
    ("CONFIG", "GET", "x"),
    ("MULTI",),
    ("SET", "b", "2"),
    ("INCR", "a"),
    ("CLIENT", "LIST"),
    ("EXEC",),
    ("MULTI",),
    ("MONITOR",),
    ("EXEC",),
    ("NOSUCH",),
    ("GET",),
    ("LPUSH", "a", "1"),
    ("CLIENT", "ID"),
    ("CLIENT", "NO-EVICT", "off"),
    ("OBJECT", "ENCODING", "a"),
    ("INFO", "server"),
    ("SLOWLOG", "LEN"),
    ("MIGRATE", "127.0.0.1", "1", "none", "0", "10", "AUTH", "secret"),
    ("WATCH", "x"),
    ("UNWATCH",),
    ("DISCARD",),
    ("MULTI",),
    ("NOSUCH",),
    ("EXEC",),
    ("SUBSCRIBE", "c"),
    ("UNSUBSCRIBE", "c"),
    ("PUBLISH", "a", "b"),
    ("DEBUG", "SLEEP", "0"),
    ("WAIT", "0", "1"),
    ("BLPOP", "none", "0.01"),
    ("COMMAND", "COUNT"),
    ("ROLE",),
    ("EVAL", "redis.call('set', KEYS[1], 'v'); redis.call('select', 2); return redis.pcall('get')", "1", "k"),
    ("QUIT",),
]


def monitored(server: RealServer) -> list[bytes]:
    """The lines of a monitor while `MONITORED` runs, and what it gets when it asks for things itself."""
    with server.connect() as monitor, server.connect() as client:
        assert monitor.command("MONITOR") == "OK"
        for words in MONITORED:
            client.execute(*words)
        seen: list[bytes] = []
        while b'"QUIT"' not in (seen or [b""])[-1]:
            seen.append(monitor.read_line())
        monitor.send(encode("GET", "a") + encode("RESET"))
        while seen[-1] != b"+RESET\r\n":
            seen.append(monitor.read_line())
        assert monitor.command("GET", "b") == b"2"
    return [re.sub(rb"^\+\d{10}\.\d{6} \[(\d) (?:127\.0\.0\.1:\d+|(lua))\] ", rb"\1 \2 ", line) for line in seen]


def test_a_monitor_sees_what_one_of_a_real_server_sees(live: RealServer, ours: RealServer) -> None:
    """Every line, in the same order and escaped alike."""
    theirs = monitored(live)
    assert monitored(ours) == theirs
    assert len(theirs) > 30


def test_a_monitor_that_does_not_read_is_dropped_by_the_limit() -> None:
    """The server goes on, and counts it."""
    with txrepl(client_output_buffer_limit=("normal", "100000", "0", "0")) as server, server.connect() as monitor:
        monitor.command("MONITOR")
        value = "x" * 50_000

        def dropped() -> bool:
            server.command("SET", "k", value)
            return server.info("stats")["client_output_buffer_limit_disconnections"] == "1"

        wait_until(dropped, 20, "the monitor is dropped")
        assert b"flags=O" not in server.command("CLIENT", "LIST")
        assert server.command("GET", "k") == value.encode()


def test_a_replica_sends_those_away_who_can_be_redirected() -> None:
    """CLIENT CAPA redirect as on a replica of Valkey: reads stay with READONLY, writes never; RESET does not end it."""
    asked: list[tuple[Any, ...]] = [
        ("CLIENT", "CAPA", "foo", "REDIRECT"),
        ("PING",),
        ("GET", "k"),
        ("SET", "k", "v"),
        ("MULTI",),
        ("GET", "k"),
        ("EXEC",),
        ("READONLY",),
        ("GET", "k"),
        ("SET", "k", "v"),
        ("READWRITE",),
        ("GET", "k"),
        ("RESET",),
        ("GET", "k"),
        ("CLIENT", "CAPA", "redirect"),
        ("REPLICAOF", "NO", "ONE"),
        ("SET", "k", "v"),
    ]
    with start("valkey9") as primary:
        told = []
        for kind in ("valkey9", "txrepl"):
            with start(kind, replicaof=("127.0.0.1", primary.port)) as replica, replica.connect() as client:
                wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 15, "the link is up")
                told.append([str(client.execute(*words)) for words in asked])
    assert told[1] == told[0]
    assert told[1][2] == f"REDIRECT 127.0.0.1:{primary.port}"


def test_a_monitor_on_a_replica_sees_the_primarys_stream() -> None:
    """As on a real replica: with the primary's address, its databases, transactions in their order."""
    told = []
    with start("redis70") as primary:
        for kind in ("redis70", "txrepl"):
            with start(kind, replicaof=("127.0.0.1", primary.port)) as replica, replica.connect() as monitor:
                wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 15, "the link is up")
                monitor.command("MONITOR")
                with primary.connect() as client:
                    for words in (
                        ("SELECT", 2),
                        ("SET", "k", "v"),
                        ("MULTI",),
                        ("INCR", "n"),
                        ("INCR", "n"),
                        ("EXEC",),
                    ):
                        client.command(*words)
                    client.command("DEL", "k", "n")
                seen: list[bytes] = []
                while not seen or b'"DEL"' not in seen[-1]:
                    line = monitor.read_line().partition(b" ")[2]
                    if f"127.0.0.1:{primary.port}".encode() in line and b'"ping"' not in line.lower():
                        seen.append(line)
            told.append(seen)
    assert told[0] == told[1]
    assert len(told[1]) >= 7


# -- clients ----------------------------------------------------------------------------------------------------

SHOWN = ("name", "flags", "db", "sub", "psub", "ssub", "multi", "argv-mem", "events", "cmd", "user", "redir", "resp")


def listed(server: RealServer) -> list[list[str]]:
    """What CLIENT LIST shows of connections in the middle of something."""
    busy: list[list[tuple[Any, ...]]] = [
        [("CLIENT", "SETNAME", "idle")],
        [("MULTI",), ("SET", "a", "1"), ("GET", "a")],
        [("HELLO", "3"), ("SUBSCRIBE", "a")],
        [("PSUBSCRIBE", "a*")],
        [("SSUBSCRIBE", "a")],
        [("WATCH", "w")],
        [("SET", "w", "1"), ("CLIENT", "NO-EVICT", "ON"), ("CONFIG", "GET", "x")],
        [("MONITOR",)],
        [("CLIENT", "REPLY", "ON"), ("CLIENT", "TRACKING", "ON", "BCAST")],
        [("HELLO", "3"), ("CLIENT", "TRACKING", "ON")],
        [("CLIENT", "LIST")],
    ]
    with ExitStack() as stack:
        for commands in busy:
            client = stack.enter_context(server.connect())
            for words in commands:
                client.execute(*words)
        waiting, asking = stack.enter_context(server.connect()), stack.enter_context(server.connect())
        waiting.command("SELECT", "4")
        waiting.send(encode("BLPOP", "q", "0"))
        wait_until(lambda: b" cmd=blpop " in asking.command("CLIENT", "LIST"), 5, "BLPOP waits")
        lines = asking.command("CLIENT", "LIST").decode().splitlines()
    fields = [dict(field.split("=", 1) for field in line.split(" ")) for line in lines]
    for one in fields:
        if one["cmd"] == "watch":
            del one["multi"]  # Valkey tells 0 of who watches
    return sorted([one.get(name, "") for name in SHOWN] for one in fields)


def test_clients_are_shown_as_a_real_server_shows_them(live: RealServer, ours: RealServer) -> None:
    """In a transaction, subscribed, waiting, watching what has changed, monitoring, tracking …"""
    theirs = listed(live)
    assert listed(ours) == theirs
    assert len(theirs) > 12
