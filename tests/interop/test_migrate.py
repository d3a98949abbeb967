"""MIGRATE between txrepl and real servers, in both directions."""

from __future__ import annotations

import random
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.dataset import DATABASES, fill
from tests.interop.servers import Argument, RawClient, RealServer, ReplyError, encode, free_port, wait_until

SUBJECT = "txrepl"
DIRECTIONS = ("to", "from")
TIMEOUT_MS = 5_000
SHORT_MS = 200
BIG_BYTES = 10_000_000
READING = "IOERR error or timeout reading to target instance"
WRITING = "IOERR error or timeout writing to target instance"


@pytest.fixture(params=DIRECTIONS)
def pair(request: pytest.FixtureRequest, run: Run, kind: str) -> tuple[RealServer, RealServer]:
    """Source and target: txrepl and a real server, each way."""
    subject, other = run(SUBJECT), run(kind)
    return (subject, other) if request.param == "to" else (other, subject)


def migrate(
    source: RealServer | RawClient, target: RealServer | int, *words: Argument, database: int = 0, ms: int = TIMEOUT_MS
) -> object:
    """MIGRATE's reply, an error as its text; words are the keys if none of them is an option, else options."""
    port = target if isinstance(target, int) else target.port
    options = ("COPY", "REPLACE", "AUTH", "AUTH2", "KEYS")
    named = any(word in options for word in words[:1]) or len(words) != 1
    key, rest = ("", words) if named else (words[0], ())
    try:
        reply: object = source.command("MIGRATE", "127.0.0.1", port, key, database, ms, *rest)
    except ReplyError as error:
        return str(error)
    return reply


def like(server: RealServer, other: RealServer) -> str:
    """The server's digest in the form that both print."""
    return server.digest(legacy=server.kind == SUBJECT and other.kind in {"redis62", "redis70"})


# -- what moves -------------------------------------------------------------------------------------------------------


def test_every_type_arrives_whole(pair: tuple[RealServer, RealServer]) -> None:
    """A copy of a dataset of every core type has the digest of the original; without COPY nothing stays."""
    source, target = pair
    with source.connect() as client:
        fill(client, 1)
        *others, database = DATABASES
        for other in others:
            client.command("SELECT", other)
            client.command("FLUSHDB")
        client.command("SELECT", database)
        client.command("DEL", *client.command("KEYS", "soon:*"))  # what expires on the way would differ
        keys = client.command("KEYS", "*")
        assert len(keys) > 100
        assert migrate(client, target, "COPY", "KEYS", *keys, database=database) == "OK"
        assert like(source, target) == like(target, source)
        before = like(target, source)
        assert migrate(client, target, "REPLACE", "KEYS", *keys, database=database) == "OK"
        assert client.command("DBSIZE") == 0
        assert like(target, source) == before


def test_a_time_to_live_and_a_database_are_carried_over(pair: tuple[RealServer, RealServer]) -> None:
    """What is left of the one; the other by number."""
    source, target = pair
    source.command("SET", "k", "v", "PX", 100_000)
    source.command("SET", "for ever", "v")
    assert migrate(source, target, "KEYS", "k", "for ever", database=5) == "OK"
    with target.connect() as client:
        assert client.command("DBSIZE") == 0
        client.command("SELECT", 5)
        assert 80_000 < client.command("PTTL", "k") <= 100_000
        assert client.command("PTTL", "for ever") == -1
    assert source.command("DBSIZE") == 0


def test_keys_that_the_target_has_stay_unless_replaced(pair: tuple[RealServer, RealServer]) -> None:
    """BUSYKEY for one of three: the others move."""
    source, target = pair
    source.command("MSET", "a", "1", "b", "2", "c", "3")
    target.command("SET", "b", "old")
    busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists."
    assert migrate(source, target, "KEYS", "a", "b", "c") == busy
    assert source.command("KEYS", "*") == [b"b"]
    assert target.command("MGET", "a", "b", "c") == [b"1", b"old", b"3"]
    assert migrate(source, target, "COPY", "REPLACE", "KEYS", "b") == "OK"
    assert (source.command("GET", "b"), target.command("GET", "b")) == (b"2", b"2")
    assert migrate(source, target, "REPLACE", "KEYS", "b") == "OK"
    assert migrate(source, target, "b") == "NOKEY"


def test_a_large_value_moves(pair: tuple[RealServer, RealServer]) -> None:
    """More than the sockets buffer, and no repeats that compression makes small."""
    source, target = pair
    value = random.Random(2).randbytes(BIG_BYTES)
    source.command("SET", "big", value)
    assert migrate(source, target, "big") == "OK"
    assert target.command("GET", "big") == value
    assert source.command("EXISTS", "big") == 0


def test_replicas_of_both_ends_follow(run: Run, kind: str) -> None:
    """The source's replica gets DEL, the target's RESTORE; a COPY changes nothing at the source."""
    source, target = run(SUBJECT, repl_ping_replica_period=3600), run(SUBJECT)
    above, below = run(kind), run(kind)
    for replica, primary in ((above, source), (below, target)):
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda r=replica: r.info("replication")["master_link_status"] == "up", 20, "the link is up")
    source.command("MSET", "a", "1", "b", "2")
    wait_until(lambda: above.command("DBSIZE") == 2, 10, "the keys arrive")
    offset = source.offset()
    assert migrate(source, target, "COPY", "KEYS", "a") == "OK"
    assert source.offset() == offset
    assert migrate(source, target, "REPLACE", "KEYS", "a", "b") == "OK"
    wait_until(lambda: above.command("DBSIZE") == 0, 10, "they are gone there too")
    wait_until(lambda: below.command("MGET", "a", "b") == [b"1", b"2"], 10, "they arrive there too")


def test_replies_are_those_of_a_real_server(run: Run, kind: str) -> None:
    """The same questions to txrepl and to a real server, word for word."""
    subject, other, target = run(SUBJECT), run(kind), run(kind)
    down = free_port()
    questions: list[tuple[Argument, ...]] = [
        ("127.0.0.1", target.port, "missing", 0, 100),
        ("127.0.0.1", target.port, "k", "x", 100),
        ("127.0.0.1", target.port, "k", 0, "x"),
        ("127.0.0.1", target.port, "k", 0, 100, "FOO"),
        ("127.0.0.1", target.port, "k", 0, 100, "AUTH"),
        ("127.0.0.1", target.port, "k", 0, 100, "AUTH2", "u"),
        ("127.0.0.1", target.port, "k", 0, 100, "KEYS", "k"),
        ("127.0.0.1", target.port, "", 0, 100, "KEYS"),
        ("127.0.0.1", target.port, "k", 99, TIMEOUT_MS),
        ("127.0.0.1", target.port, "k", -1, TIMEOUT_MS),
        ("127.0.0.1", target.port, "k", 0, TIMEOUT_MS, "COPY", "REPLACE", "AUTH", "pw"),
        ("127.0.0.1", target.port, "k", 0, TIMEOUT_MS, "COPY", "REPLACE", "AUTH2", "nobody", "pw"),
        ("127.0.0.1", target.port, "k", 0, -7, "COPY", "REPLACE"),
        ("127.0.0.1", target.port, "k", 0, TIMEOUT_MS),
        ("127.0.0.1", down, "k", 0, TIMEOUT_MS),
        ("127.0.0.1", "abc", "k", 0, TIMEOUT_MS),
        ("nowhere.invalid", 1, "k", 0, TIMEOUT_MS),
        ("127.0.0.1", target.port),
    ]
    answers: list[list[str]] = []
    for server in (subject, other):
        target.command("FLUSHALL")
        server.command("SET", "k", "v")
        target.command("SET", "k", "busy")
        with server.connect() as client:
            answers.append([repr(client.execute("MIGRATE", *words)) for words in questions])
    assert answers[0] == answers[1]


# -- auth -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_password_opens_the_target(run: Run, kind: str, direction: str) -> None:
    """None, a wrong one, the right one by AUTH and by AUTH2; the kept connection stays usable."""
    kinds = (SUBJECT, kind) if direction == "to" else (kind, SUBJECT)
    source, target = run(kinds[0]), run(kinds[1], requirepass="secret")
    source.command("MSET", "a", "1", "b", "2")
    said = "ERR Target instance replied with error: "
    assert migrate(source, target, "a") == said + "NOAUTH Authentication required."
    assert str(migrate(source, target, "AUTH", "wrong", "KEYS", "a")).startswith(said + "WRONGPASS ")
    assert migrate(source, target, "AUTH", "secret", "KEYS", "a") == "OK"
    assert migrate(source, target, "AUTH2", "default", "secret", "KEYS", "b") == "OK"
    with target.connect() as client:
        assert client.command("MGET", "a", "b") == [b"1", b"2"]
    assert source.command("DBSIZE") == 0


# -- connections ------------------------------------------------------------------------------------------------------


def test_a_kept_connection_that_the_target_closed_is_replaced(run: Run, kind: str) -> None:
    """INFO counts the kept one; after a restart of the target the next MIGRATE just works."""
    source, target = run(SUBJECT), run(kind)
    source.command("MSET", "a", "1", "b", "2", "c", "3")
    assert migrate(source, target, "a", database=2) == "OK"
    assert source.info("stats")["migrate_cached_sockets"] == "1"
    assert migrate(source, target, "b") == "OK"
    assert target.command("GET", "b") == b"2"
    target.restart()
    wait_until(lambda: source.info("stats")["migrate_cached_sockets"] == "0", 5, "the closed one is forgotten")
    assert migrate(source, target, "c") == "OK"
    target.kill()
    source.command("SET", "d", "4")
    assert migrate(source, target, "d") == WRITING
    assert source.command("GET", "d") == b"4"


def test_a_target_that_closes_before_it_answers_gets_a_second_try(run: Run) -> None:
    """Both connections are closed without a word: then it is an error, and the key stays."""
    source = run(SUBJECT)
    source.command("SET", "k", "v")
    with closing_target() as (port, served):
        assert migrate(source, port, "k") == READING
        assert len(served) == 2
    assert source.command("GET", "k") == b"v"


@contextmanager
def closing_target() -> Iterator[tuple[int, list[bytes]]]:
    """A port where each connection is closed after its first request."""
    served: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with closing(connection):
                    served.append(connection.recv(1024))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1], served
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_a_connection_cut_within_the_payload_moves_nothing(run: Run, proxy: Proxy) -> None:
    """Neither here nor there is half a key. The payload is larger than what all sockets on the way take."""
    source, target = run(SUBJECT), run("redis70")
    middle = proxy(target.port)
    source.command("SET", "small", "v")
    assert migrate(source, middle.port, "small") == "OK"  # so that the next is sent at once
    size = 4 * BIG_BYTES
    source.command("SET", "big", random.Random(1).randbytes(size))
    target.pause()
    before = middle.bytes_up
    with source.connect() as client:
        client.send(encode("MIGRATE", "127.0.0.1", middle.port, "big", 0, 10 * TIMEOUT_MS))
        wait_until(lambda: middle.bytes_up - before > 100_000, 10, "a part is on its way")
        middle.refuse()
        assert str(client.read_reply()) == WRITING
    target.resume()
    assert source.command("STRLEN", "big") == size
    assert target.command("KEYS", "*") == [b"small"]


# -- a target that does not answer ------------------------------------------------------------------------------------


def test_others_are_served_while_a_target_is_silent(run: Run, kind: str) -> None:
    """The client waits for its timeout, nobody else does; its later requests come after."""
    source, target = run(SUBJECT), run(kind)
    source.command("SET", "k", "v")
    target.pause()
    with source.connect() as client:
        client.send(encode("MIGRATE", "127.0.0.1", target.port, "k", 0, 2_000))
        client.send(encode("GET", "k"))
        assert source.command("PING") == "PONG"
        assert select.select([client.socket], [], [], 0)[0] == []
        assert str(client.read_reply()) == READING
        assert client.read_reply() == b"v"
    assert source.info("stats")["migrate_cached_sockets"] == "0"
    target.resume()


@pytest.mark.parametrize("write", [("SET", "k", "new"), ("PEXPIRE", "k", 100_000), ("SADD", "s", "y")])
def test_a_key_written_while_it_moves_stays(run: Run, kind: str, write: tuple[Argument, ...]) -> None:
    """The target has the older copy, the source the newest; the other key has moved."""
    source, target = run(SUBJECT), run(kind)
    with source.connect() as client:
        client.command("SET", "k", "v")
        client.command("SADD", "s", "x")
        assert migrate(client, target, "COPY", "KEYS", "k") == "OK"  # so that the next is sent at once
        target.pause()
        client.send(encode("MIGRATE", "127.0.0.1", target.port, "", 0, TIMEOUT_MS, "REPLACE", "KEYS", "k", "s"))
        wait_until(lambda: queued_bytes(target.port), 5, "the payloads, one small chunk, are with the target")
        source.command(*write)
        target.resume()
        assert client.read_reply() == "OK"
    kept = str(write[1])
    assert source.command("KEYS", "*") == [kept.encode()]
    if kept == "s":
        assert source.command("SCARD", "s") == 2
    assert target.command("EXISTS", "k", "s") == 2


def queued_bytes(port: int) -> int:
    """Bytes that wait in the kernel to be read by the server that listens there (`/proc/net/tcp`)."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    established = (row for row in rows if row[1].endswith(f":{port:04X}") and row[3] == "01")
    return sum(int(row[4].split(":")[1], 16) for row in established)


# -- inside a transaction ---------------------------------------------------------------------------------------------


def test_a_transaction_waits_for_the_target(pair: tuple[RealServer, RealServer]) -> None:
    """EXEC's replies as a real server gives them: moved, refused, and not reachable."""
    source, target = pair
    source.command("MSET", "a", "1", "b", "2")
    target.command("SET", "b", "old")
    with source.connect() as client:
        client.command("MULTI")
        client.command("MIGRATE", "127.0.0.1", target.port, "a", 0, TIMEOUT_MS)
        client.command("EXISTS", "a")
        client.command("MIGRATE", "127.0.0.1", target.port, "b", 0, TIMEOUT_MS)
        client.command("MIGRATE", "127.0.0.1", free_port(), "b", 0, TIMEOUT_MS)
        replies = [str(reply) for reply in client.command("EXEC")]
    busy = "ERR Target instance replied with error: BUSYKEY Target key name already exists."
    assert replies == ["OK", "0", busy, WRITING]
    assert target.command("GET", "a") == b"1"


def test_a_transaction_waits_no_longer_than_the_timeout(run: Run, kind: str) -> None:
    """A silent target is an error of that command alone."""
    source, target = run(SUBJECT), run(kind)
    source.command("SET", "k", "v")
    target.pause()
    with source.connect() as client:
        client.command("MULTI")
        client.command("MIGRATE", "127.0.0.1", target.port, "k", 0, SHORT_MS)
        client.command("GET", "k")
        replies = client.command("EXEC")
    target.resume()
    assert [str(replies[0]), replies[1]] == [READING, b"v"]
