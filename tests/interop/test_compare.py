"""Comparisons with real servers: equal data is equal, every planted difference is found, and writes are none."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.dataset import FAR_FUTURE_MS, fill, write_randomly
from tests.interop.servers import Argument, RawClient, RealServer, free_port, wait_until
from tests.interop.web import request

SYNC_TIMEOUT_S = 30.0
COMPARE_TIMEOUT_S = 90.0
SECRET = "open sesame"

PLANTS: list[tuple[int, tuple[Argument, ...]]] = [
    (0, ("SET", "string:short integer", 8)),
    (0, ("RPUSH", "list:small", "more")),
    (0, ("LSET", "list:large", 399, "other")),
    (0, ("SREM", "set:integers", "x")),  # nothing
    (0, ("SADD", "set:small", "more")),
    (0, ("HSET", "hash:large", "f5", "other")),
    (0, ("ZADD", "zset:small", 1.25, "one")),
    (0, ("ZADD", "zset:large", 5, "m7")),
    (0, ("DEL", "hash:small")),
    (0, ("SET", b"\xff only", "here")),
    (0, ("PEXPIREAT", "string:float", FAR_FUTURE_MS)),
    (0, ("PERSIST", "string:integer:with a deadline")),
    (0, ("PEXPIREAT", "list:small:with a deadline", FAR_FUTURE_MS + 10**8)),
    (0, ("DEL", "zset:exact")),
    (0, ("RPUSH", "zset:exact", "another type")),
    (9, ("SET", "string:5", "nine")),
    (7, ("SET", "in a database of its own", "x")),
]
"""Writes to one of two servers that hold the same."""

EXPECTED = {
    (0, "string:short integer"): "value",
    (0, "list:small"): "value",
    (0, "list:large"): "value",
    (0, "set:small"): "value",
    (0, "hash:large"): "value",
    (0, "zset:small"): "value",
    (0, "zset:large"): "value",
    (0, "stream"): "value",
    (0, "hash:small"): "missing",
    (0, "\\xff only"): "extra",
    (0, "string:float"): "ttl",
    (0, "string:integer:with a deadline"): "ttl",
    (0, "list:small:with a deadline"): "ttl",
    (0, "zset:exact"): "value",
    (9, "string:5"): "value",
    (7, "in a database of its own"): "extra",
}
"""What they make; `extra` and `missing` as seen from the server that was written to."""


@pytest.fixture
def streams(run: Run) -> tuple[bytes, bytes]:
    """A stream as every server reads it, and the same with one more entry."""
    server = run("redis62")
    server.command("XADD", "stream", "1-1", "field", "value")
    first = server.command("DUMP", "stream")
    server.command("XADD", "stream", "9-9", "f", "v")
    return first, server.command("DUMP", "stream")


@pytest.fixture
def following(run: Run, streams: tuple[bytes, bytes]) -> Callable[[str], tuple[RealServer, RealServer]]:
    """A real primary with data of every type, and txrepl as its replica."""

    def start(kind: str) -> tuple[RealServer, RealServer]:
        primary = run(kind)
        with primary.connect() as client:
            fill(client, 11)
            client.command("SELECT", 0)
            client.command("RESTORE", "stream", 0, streams[0])
        replica = run("txrepl", replicaof=("127.0.0.1", primary.port), http_port=free_port(), replica_read_only="no")
        wait_until(lambda: in_sync(replica), SYNC_TIMEOUT_S, "the replica is in sync")
        return primary, replica

    return start


def in_sync(replica: RealServer) -> bool:
    return replica.info("replication")["master_link_status"] == "up"


def without_debug(server: RealServer) -> dict[str, str]:
    """A user that may do everything but DEBUG."""
    server.command("ACL", "SETUSER", "plain", "on", f">{SECRET}", "~*", "+@all", "-debug")
    return {"user": "plain", "password": SECRET}


def begin(node: RealServer, port: int, **more: object) -> str:
    """Begin a comparison; its path."""
    status, headers, found = request(node, "POST", "/v1/compare", {"host": "127.0.0.1", "port": port, **more})
    assert status == 202, found
    assert SECRET not in str(found)
    return headers["location"]


def end(node: RealServer, path: str) -> Any:
    """The comparison when it has ended."""

    def ended() -> Any:
        found = request(node, "GET", path)[2]
        return found if found["ended_ms"] is not None else None

    return wait_until(ended, COMPARE_TIMEOUT_S, "the comparison ends")


def compare(node: RealServer, port: int, **more: object) -> Any:
    found = end(node, begin(node, port, **more))
    assert found["state"] == "done", found
    return found


def plant(client: RawClient, streams: tuple[bytes, bytes]) -> None:
    for database, words in [*PLANTS, (0, ("RESTORE", "stream", 0, streams[1], "REPLACE"))]:
        client.command("SELECT", database)
        client.command(*words)


def seen(found: Any, *, written: str) -> dict[tuple[int, str], str]:
    """The differences, from the point of view of the server that was written to: `here` or `there`."""
    other = {"here": "there", "there": "here"}[written]
    words = {f"missing_{written}": "missing", f"missing_{other}": "extra"}
    return {
        (one["database"], one["key"]): words.get(one["difference"], one["difference"]) for one in found["differences"]
    }


@contextmanager
def writing(primary: RealServer) -> Iterator[None]:
    """Random writes to the primary, to keys that no test plants in, until it is left."""
    stop = threading.Event()
    failures: list[BaseException] = []

    def write() -> None:
        try:
            with primary.connect() as client:
                for seed in itertools.count(1):
                    if stop.is_set():
                        return
                    write_randomly(client, 200, seed)
                    client.pipeline([("SELECT", 0), ("INCR", "counter"), ("RPUSH", "growing", seed)])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not failures, failures


@pytest.mark.parametrize("way", ["digest", "dump"])
def test_a_replica_equals_its_primary_until_somebody_writes_to_it(
    kind: str, way: str, following: Callable[[str], tuple[RealServer, RealServer]], streams: tuple[bytes, bytes]
) -> None:
    """Every type, several databases, deadlines; then each planted difference by name, and nothing else."""
    primary, replica = following(kind)
    login = without_debug(primary) if way == "dump" else {}
    found = compare(replica, primary.port, **login)
    assert found["equal"] is True, found
    assert found["way"] == way and found["one_history"] is True
    assert found["offset"] is not None and found["keys_done"] > 500
    assert not found["undecided_count"] and not found["skipped_count"] and not found["more"]
    with replica.connect() as client:
        plant(client, streams)
    found = compare(replica, primary.port, **login)
    assert seen(found, written="here") == EXPECTED, found
    assert found["equal"] is False
    only = next(one for one in found["differences"] if one["key"].endswith("only"))
    assert (only["key_base64"], only["type_here"], only["type_there"]) == ("/yBvbmx5", "string", None)
    other_type = next(one for one in found["differences"] if one["key"] == "zset:exact")
    assert (other_type["type_here"], other_type["type_there"]) == ("list", "zset")


@pytest.mark.parametrize("way", ["digest", "dump"])
def test_writes_under_way_are_no_differences(
    kind: str, way: str, following: Callable[[str], tuple[RealServer, RealServer]], streams: tuple[bytes, bytes]
) -> None:
    """The primary is written to all the time; what is reported is what was planted, no more and no less."""
    primary, replica = following(kind)
    login = without_debug(primary) if way == "dump" else {}
    with replica.connect() as client:
        plant(client, streams)
    with writing(primary):
        found = compare(replica, primary.port, **login)
    planted = {key: what for key, what in EXPECTED.items() if key[0] != 9}
    reported = {key: what for key, what in seen(found, written="here").items() if key[0] != 9}
    assert reported == planted, found


def test_a_primary_finds_what_its_replica_was_made_to_hold(kind: str, run: Run, streams: tuple[bytes, bytes]) -> None:
    """The other way round: txrepl asks its real replica, while clients write."""
    primary = run("txrepl", http_port=free_port())
    with primary.connect() as client:
        fill(client, 12)
        client.command("SELECT", 0)
        client.command("RESTORE", "stream", 0, streams[0])
    replica = run(kind, replicaof=("127.0.0.1", primary.port), replica_read_only="no")
    wait_until(lambda: in_sync(replica), SYNC_TIMEOUT_S, "the replica is in sync")
    assert compare(primary, replica.port)["equal"] is True
    with replica.connect() as client:
        plant(client, streams)
    assert seen(compare(primary, replica.port), written="there") == EXPECTED
    with writing(primary):
        found = compare(primary, replica.port, databases=[0, 7])
    assert seen(found, written="there") == {key: what for key, what in EXPECTED.items() if key[0] != 9}, found


def test_servers_without_a_common_history_are_compared_as_they_are(kind: str, run: Run) -> None:
    """By what is there; it is said that they are unrelated."""
    node, other = run("txrepl", http_port=free_port()), run(kind)
    for server in (node, other):
        with server.connect() as client:
            client.pipeline([("SET", f"k{number}", number) for number in range(1000)])
    found = compare(node, other.port)
    assert found["equal"] is True and found["one_history"] is False and found["offset"] is None
    other.command("DEL", "k500")
    other.command("SET", "new", 1)
    found = compare(node, other.port)
    assert {one["key"]: one["difference"] for one in found["differences"]} == {
        "k500": "missing_there",
        "new": "missing_here",
    }
    other.command("FLUSHALL")
    found = compare(node, other.port, limit=10)
    assert len(found["differences"]) == 10 and found["more"] is True and found["equal"] is False


def test_large_values_are_compared_whole(kind: str, run: Run) -> None:
    """A long list, hash and string, by either way; the last element counts."""
    node, other = run("txrepl", http_port=free_port()), run(kind)
    for server in (node, other):
        with server.connect() as client:
            client.pipeline(
                [("RPUSH", "list", *range(start, start + 500)) for start in range(0, 60_000, 500)]
                + [
                    ("HSET", "hash", *(word for n in range(start, start + 250) for word in (n, n * n)))
                    for start in range(0, 20_000, 250)
                ]
                + [("SETRANGE", "string", 3_000_000, "end")]
            )
    for login in ({}, without_debug(other)):
        assert compare(node, other.port, **login)["equal"] is True
    other.command("LSET", "list", -1, "other")
    other.command("HSET", "hash", 19_999, "other")
    other.command("SETRANGE", "string", 3_000_000, "END")
    for login in ({}, without_debug(other)):
        found = compare(node, other.port, **login)
        assert {one["key"] for one in found["differences"]} == {"list", "hash", "string"}


def test_a_user_without_the_rights_is_given_them_by_the_named_line(run: Run) -> None:
    """It fails in words; then the line is run as it stands."""
    node, other = run("txrepl", http_port=free_port()), run("redis70")
    other.command("SET", "k", "v")
    other.command("ACL", "SETUSER", "poor", "on", f">{SECRET}", "+ping")
    login = {"user": "poor", "password": SECRET}
    found = end(node, begin(node, other.port, **login))
    assert found["state"] == "failed" and found["equal"] is None
    line = found["error"].split("There: ")[1]
    other.command(*line.split(" "))
    found = compare(node, other.port, **login)
    assert [one["difference"] for one in found["differences"]] == ["missing_here"]


def test_what_cannot_be_compared_fails_in_words(run: Run) -> None:
    """Nobody there, a wrong password, no such comparison, ourselves, orders that make no sense."""
    node, other = run("txrepl", http_port=free_port()), run("redis70", requirepass=SECRET)
    for port, more, words in (
        (free_port(), {}, "nobody listens"),
        (other.port, {}, "masterauth"),
        (other.port, {"password": "wrong"}, "WRONGPASS"),
        (int(str(node.directives["http-port"])), {}, "RESP"),
    ):
        found = end(node, begin(node, port, **more))
        assert found["state"] == "failed" and words in found["error"], found
    assert request(node, "GET", "/v1/compare/99")[0] == 404
    assert request(node, "DELETE", "/v1/compare/x")[0] == 404
    for status, body in (
        (409, {"host": "localhost", "port": node.port}),
        (422, {"host": "localhost"}),
        (422, {"host": "localhost", "port": 1, "limit": 0}),
        (422, {"host": "localhost", "port": 1, "databases": []}),
        (422, {"host": "localhost", "port": 1, "databases": ["x"]}),
    ):
        assert request(node, "POST", "/v1/compare", body)[0] == status, body


def test_comparisons_are_few_at_once_and_can_be_cancelled(run: Run) -> None:
    """Two that wait for a server that is silent; a third is refused until one is cancelled; results are dropped."""
    node, silent = run("txrepl", http_port=free_port()), run("redis70")
    silent.pause()
    paths = [begin(node, silent.port), begin(node, silent.port)]
    body = {"host": "127.0.0.1", "port": silent.port}
    assert request(node, "POST", "/v1/compare", body)[0] == 503
    assert request(node, "DELETE", paths[0])[2]["state"] == "cancelled"
    assert end(node, paths[0])["state"] == "cancelled"
    third = begin(node, silent.port)
    for path in (paths[1], third):
        assert request(node, "DELETE", path)[2]["state"] == "cancelled"
    silent.resume()
    assert [one["state"] for one in request(node, "GET", "/v1/compare")[2]["comparisons"]] == ["cancelled"] * 3
    assert request(node, "DELETE", third)[0] == 200
    assert request(node, "GET", third)[0] == 404
    for _ in range(10):
        compare(node, silent.port)
    assert len(request(node, "GET", "/v1/compare")[2]["comparisons"]) == 8


def test_a_link_that_is_down_is_waited_for_and_named(run: Run) -> None:
    """Both are of one history, and the replica cannot come to where the primary stands."""
    primary = run("redis70")
    node = run("txrepl", replicaof=("127.0.0.1", primary.port), http_port=free_port())
    wait_until(lambda: in_sync(node), SYNC_TIMEOUT_S, "the replica is in sync")
    node.command("CONFIG", "SET", "masterauth", "wrong on purpose")
    primary.command("CLIENT", "KILL", "TYPE", "replica")
    wait_until(lambda: not in_sync(node), SYNC_TIMEOUT_S, "the link is down")
    primary.command("SET", "k", "v")
    path = begin(node, primary.port, user="default", password="any is right")
    found = wait_until(lambda: next(iter([request(node, "GET", path)[2]]), None), 5, "it is under way")
    wait_until(lambda: request(node, "GET", path)[2]["state"] == "waiting", 10, "it waits")
    assert found["equal"] is None
    found = end(node, path)
    assert found["state"] == "failed" and "is the link between them up?" in found["error"], found
