"""Replicas that ask for nonsense, lie, stall or leave: txrepl as primary, beside Redis 7.0 given the same bytes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.interop.conftest import Run
from tests.interop.fake_replica import FakeReplica, without_ids
from tests.interop.servers import Directive, RealServer, encode, redis70, txrepl, wait_until

QUIET: dict[str, Directive] = {"repl_ping_replica_period": 3600, "repl_timeout": 60}
TRANSFERS = {"disk": "no", "diskless": "yes"}
MEGABYTE = 1024 * 1024

Pair = tuple[RealServer, RealServer]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Redis 7.0 and txrepl, each a primary with the same directives."""
    with redis70(**QUIET) as real, txrepl(**QUIET) as subject:
        yield real, subject
        assert_no_accident(subject)


@pytest.fixture(params=["redis70", "txrepl"])
def primary(request: pytest.FixtureRequest, pair: Pair) -> RealServer:
    """Each of the two in turn, so that a test says what is true of both."""
    return pair[request.param == "txrepl"]


def assert_no_accident(server: RealServer) -> None:
    """No traceback, no error that nobody expected."""
    text = server.log_text()
    for sign in ("Traceback", "Unexpected error", "Internal error", '  File "'):
        assert sign not in text, text[-3000:]


def said_since(server: RealServer, at: int, text: str) -> None:
    """Wait for a line in the log."""
    wait_until(lambda: text in server.log_text()[at:], 5, f"{server!r} logs {text!r}")


def attached(server: RealServer) -> int:
    """How many replicas the primary counts."""
    return int(server.info("replication")["connected_slaves"])


REQUESTS = {
    "PSYNC without arguments": [encode("PSYNC")],
    "PSYNC with one argument": [encode("PSYNC", "?")],
    "PSYNC with a word for an offset": [encode("PSYNC", "?", "abc")],
    "PSYNC with a float for an offset": [encode("PSYNC", "?", "1.5")],
    "PSYNC with an empty offset": [encode("PSYNC", "?", "")],
    "PSYNC with an offset beyond 64 bits": [encode("PSYNC", "?", "9223372036854775808")],
    "PSYNC in MULTI": [encode("MULTI"), encode("PSYNC", "?", "-1"), encode("EXEC")],
    "SYNC in MULTI": [encode("MULTI"), encode("SYNC"), encode("EXEC")],
    "PSYNC of a subscriber": [encode("SUBSCRIBE", "c"), encode("PSYNC", "?", "-1")],
    "SYNC with arguments": [encode("SYNC", "now")],
    "REPLCONF without arguments": [encode("REPLCONF")],
    "REPLCONF with an odd argument": [encode("REPLCONF", "listening-port")],
    "REPLCONF with an odd second argument": [encode("REPLCONF", "capa", "eof", "capa")],
    "an unknown option": [encode("REPLCONF", "no-such", "1")],
    "a long unknown option": [encode("REPLCONF", "x" * 5000, "1")],
    "an option of any bytes": [encode("REPLCONF", b"\xff\r\nx\0y", b"\xff")],
    "an unknown option after a known one": [encode("REPLCONF", "capa", "eof", "no-such", "1")],
    "an unknown capability": [encode("REPLCONF", "capa", "telepathy")],
    "a capability of a megabyte": [encode("REPLCONF", "capa", "x" * MEGABYTE)],
    "a port that is no number": [encode("REPLCONF", "listening-port", "abc")],
    "a port beyond 64 bits": [encode("REPLCONF", "listening-port", "99999999999999999999")],
    "an address that is too long": [encode("REPLCONF", "ip-address", "a" * 300)],
    "rdb-only of no number": [encode("REPLCONF", "rdb-only", "x")],
    "ACK from who is no replica": [encode("REPLCONF", "ack", "1"), encode("PING")],
    "an ACK that is no number": [encode("REPLCONF", "ack", "x"), encode("PING")],
    "GETACK from who is no replica": [encode("REPLCONF", "getack", "*"), encode("PING")],
}
"""Commands, and each is answered but ACK and GETACK."""


@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS.keys())
def test_odd_requests_get_the_same_answers_as_from_redis(pair: Pair, requests: list[bytes]) -> None:
    """To the letter, and the connection stays: ECHO is answered in the end."""
    answers = []
    for server in pair:
        with FakeReplica(server) as peer:
            peer.send(b"".join(requests) + encode("RESET") + encode("ECHO", "end"))
            found = []
            while not found or found[-1] != b"$3\r\nend\r\n":
                found.append(without_ids(peer.read_raw_reply()))
            answers.append(found)
        assert attached(server) == 0
    assert answers[0] == answers[1]


def test_a_wrong_offset_is_said_in_the_log(primary: RealServer) -> None:
    """With the replica's name, in Redis's words."""
    at = len(primary.log_text())
    with FakeReplica(primary) as peer:
        peer.introduce()
        assert peer.ask(offset="abc") == b"-ERR value is not an integer or out of range\r\n"
    said_since(primary, at, f"Replica 127.0.0.1:{peer.port} asks for synchronization but with a wrong offset")


ASKED = {
    "an id of one character": ("x", 1),
    "an id of a thousand characters": ("x" * 1000, 1),
    "an id of any bytes": ("\udcff\udcfe", 1),
    "a negative offset": ("0" * 40, -5),
    "the largest offset": ("0" * 40, 2**63 - 1),
    "the id before there was one": ("0" * 40, 0),
}


@pytest.mark.parametrize(("replid", "offset"), ASKED.values(), ids=ASKED.keys())
def test_a_history_that_is_not_ours_is_answered_by_a_full_sync(primary: RealServer, replid: str, offset: int) -> None:
    """Whatever it is called; the primary goes on."""
    with FakeReplica(primary) as peer:
        peer.introduce("eof", "psync2")
        line = peer.ask(replid, offset)
        assert without_ids(line) == b"+FULLRESYNC <id> %d\r\n" % primary.offset()
        assert peer.read_bulk().startswith(b"REDIS")
    wait_until(lambda: attached(primary) == 0, 5, "it is gone")


@pytest.mark.parametrize("offset", [-1, 10**12])
def test_our_id_with_an_offset_that_we_do_not_have_is_a_full_sync(primary: RealServer, offset: int) -> None:
    """Before the backlog, and beyond what was ever written."""
    with FakeReplica(primary) as first, FakeReplica(primary) as second:
        first.join("eof", "psync2")
        second.introduce("eof", "psync2")
        line = second.ask(primary.info("replication")["master_replid"], offset)
        assert line.startswith(b"+FULLRESYNC ")
    wait_until(lambda: attached(primary) == 0, 5, "they are gone")


@pytest.mark.parametrize("capabilities", [(), ("eof", "psync2")])
def test_acks_that_lie_do_no_harm(primary: RealServer, capabilities: tuple[str, ...]) -> None:
    """Backwards, beyond our offset, negative, no number: the stream goes on, our offset stays ours."""
    with FakeReplica(primary) as peer:
        offset = peer.join(*capabilities)
        primary.command("SET", "k", "1")
        peer.hear(encode("SET", "k", "1"))
        now = primary.offset()
        for lie in (offset - 10, -5, 0, "x", "", "99999999999999999999", now):
            peer.acknowledge(lie)
        primary.command("SET", "k", "2")
        peer.hear(encode("SET", "k", "2"))
        assert primary.offset() == now + len(encode("SET", "k", "2"))
        wait_until(lambda: f"offset={now}," in primary.info("replication")["slave0"], 5, "the true one counts")
        peer.acknowledge(10**15)
        primary.command("SET", "k", "3")
        peer.hear(encode("SET", "k", "3"))
        assert primary.offset() < 10**6
        assert "state=online" in primary.info("replication")["slave0"]
    wait_until(lambda: attached(primary) == 0, 5, "it is gone")


def test_a_second_psync_on_a_link_that_is_online_is_ignored(primary: RealServer) -> None:
    """And so is SYNC: the stream goes on as if nothing had been said."""
    with FakeReplica(primary) as peer:
        peer.join("eof", "psync2")
        peer.send(encode("PSYNC", "?", "-1") + encode("SYNC"))
        primary.command("SET", "k", "after")
        peer.hear(encode("SET", "k", "after"))
        assert attached(primary) == 1
    wait_until(lambda: attached(primary) == 0, 5, "it is gone")


@pytest.mark.parametrize("introduced", [False, True])
def test_a_peer_that_knows_only_sync_gets_the_bulk_at_once(primary: RealServer, introduced: bool) -> None:
    """No +FULLRESYNC, the length first, and the stream without an acknowledgement."""
    primary.command("SET", "k", "before")
    with FakeReplica(primary) as peer:
        if introduced:
            peer.introduce()
        peer.send(encode("SYNC"))
        assert b"before" in peer.read_bulk()
        primary.command("SET", "k", "after")
        peer.hear(encode("SET", "k", "after"))
    wait_until(lambda: attached(primary) == 0, 5, "it is gone")


REPLYING = {
    "PING": (encode("PING"), "ping", "+PONG"),
    "GET": (encode("GET", "k"), "get", "-ERR Replica can't interact with the keyspace"),
    "SET": (encode("SET", "k", "stolen"), "set", "-ERR Replica can't interact with the keyspace"),
    "an unknown command": (encode("NOSUCH"), "", "-ERR unknown command"),
    "a good REPLCONF": (encode("REPLCONF", "capa", "eof"), "replconf", "+OK"),
    "REPLICAOF": (
        encode("REPLICAOF", "127.0.0.1", "1"),
        "replicaof",
        "-ERR Command is not valid when client is a replica",
    ),
}


@pytest.mark.parametrize(("data", "name", "reply"), REPLYING.values(), ids=REPLYING.keys())
def test_a_replica_that_sends_a_command_with_a_reply_is_disconnected(
    primary: RealServer, data: bytes, name: str, reply: str
) -> None:
    """With the command and the reply in the log; nothing of it takes effect."""
    primary.command("SET", "k", "mine")
    at = len(primary.log_text())
    with FakeReplica(primary) as peer:
        peer.join("eof", "psync2")
        primary.command("SET", "k", "still mine")
        peer.hear(b"still mine\r\n")
        peer.send(data)
        assert peer.is_closed()
    said_since(primary, at, f"Replica generated a reply to command '{name}")
    assert primary.command("GET", "k") == b"still mine"
    assert primary.info("replication")["role"] == "master"
    wait_until(lambda: attached(primary) == 0, 5, "it is gone")


@pytest.mark.parametrize("garbage", [b"*1\r\n:5\r\n", b"x" * 70_000, b"*1\r\n$-1\r\n"])
def test_a_replica_that_sends_garbage_is_disconnected(primary: RealServer, garbage: bytes) -> None:
    """Only it: the primary and another replica go on."""
    with FakeReplica(primary) as good, FakeReplica(primary) as bad:
        good.join("eof", "psync2")
        bad.join("eof", "psync2")
        bad.send(garbage)
        assert bad.is_closed()
        primary.command("SET", "k", "after")
        good.hear(encode("SET", "k", "after"))
    wait_until(lambda: attached(primary) == 0, 5, "both are gone")


@pytest.mark.parametrize("kind", ["redis70", "txrepl"])
def test_a_replica_that_never_reads_is_dropped_at_its_limit_and_memory_stays_bounded(run: Run, kind: str) -> None:
    """`client-output-buffer-limit replica`; the writer is not slowed down, and the others are served."""
    primary = run(kind, client_output_buffer_limit="replica 4mb 0 0", repl_backlog_size="1mb", **QUIET)
    with FakeReplica(primary, receive_bytes=4096) as deaf, FakeReplica(primary) as good, primary.connect() as writer:
        deaf.join("eof", "psync2")
        good.join("eof", "psync2")
        before_kb = resident_kb(primary)
        for _ in range(24):
            writer.command("SET", "k", b"v" * MEGABYTE)
            good.hear(b"v" * 100 + b"\r\n")
        said_since(primary, 0, "scheduled to be closed ASAP for overcoming of output buffer limits")
        wait_until(lambda: attached(primary) == 1, 5, "it is dropped")
        assert resident_kb(primary) - before_kb < 32 * 1024
        writer.command("SET", "k", "after")
        good.hear(encode("SET", "k", "after"))
    assert_no_accident(primary)


def resident_kb(server: RealServer) -> int:
    """Memory of the process that is in RAM, in kB."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


@pytest.mark.parametrize("diskless", TRANSFERS.values(), ids=TRANSFERS.keys())
def test_a_replica_that_closes_during_the_transfer_leaves_nothing_behind(run: Run, diskless: str) -> None:
    """Before, in and just after the bulk: no child, no file, and the next replica is served."""
    primary = run("txrepl", repl_diskless_sync=diskless, rdbcompression="no", **QUIET)
    primary.command("DEBUG", "POPULATE", "200", "key", "10000")
    for read in (0, 100, 20_000):
        with FakeReplica(primary, receive_bytes=4096) as peer:
            peer.introduce("eof", "psync2")
            peer.ask()
            if read:
                peer.answer_line()
                peer.read_exactly(read)
        wait_until(lambda: attached(primary) == 0, 5, "the primary notices")
    with FakeReplica(primary) as peer:
        offset = peer.join("eof", "psync2")
        assert offset == primary.offset()
        primary.command("SET", "k", "after")
        peer.hear(encode("SET", "k", "after"))
    wait_until(lambda: not any(primary.dir.glob("*temp*")) and not any(primary.dir.glob("*.rdb")), 5, "no file is left")
    assert primary.command("PING") == "PONG"
    assert_no_accident(primary)


@pytest.mark.parametrize("diskless", TRANSFERS.values(), ids=TRANSFERS.keys())
def test_a_replica_that_leaves_does_not_spoil_the_snapshot_of_another(run: Run, diskless: str) -> None:
    """They share it; one closes in the middle, the other gets all."""
    primary = run("txrepl", repl_diskless_sync=diskless, rdbcompression="no", **QUIET, repl_diskless_sync_delay=1)
    primary.command("DEBUG", "POPULATE", "200", "key", "10000")
    with FakeReplica(primary) as good:
        good.introduce("eof", "psync2")
        good.send(encode("PSYNC", "?", "-1"))
        with FakeReplica(primary, receive_bytes=4096) as leaving:
            leaving.introduce("eof", "psync2")
            leaving.ask()
            leaving.answer_line()
            leaving.read_exactly(1000)
        offset = int(good.answer_line().split()[2])
        rdb = good.read_bulk()
        assert rdb.startswith(b"REDIS") and len(rdb) > 100_000
        good.acknowledge(offset)
        primary.command("SET", "k", "after")
        good.hear(encode("SET", "k", "after"))
    assert_no_accident(primary)


def test_a_replica_of_a_replica_without_its_link_is_asked_to_wait(run: Run) -> None:
    """-NOMASTERLINK, in Redis's words, from both."""
    answers = []
    for kind in ("redis70", "txrepl"):
        server = run(kind, replicaof=("127.0.0.1", 1))
        with FakeReplica(server) as peer:
            peer.introduce()
            answers.append((peer.ask(), peer.raw_command("SYNC")))
    assert answers[0] == answers[1]
    assert answers[0][0].startswith(b"-NOMASTERLINK")
