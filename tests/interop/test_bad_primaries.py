"""A txrepl process under primaries that stall, refuse, talk nonsense, or send a broken RDB or stream.

Whatever the primary does: the log says in words what was wrong, the next attempt follows a second later, the node
answers its clients at once, and its data, replid and offset are as they were. Once the same address speaks properly,
the node syncs with it.
"""

from __future__ import annotations

import itertools
import queue
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.interop.conftest import Run
from tests.interop.fake_primary import (
    OFFSET,
    REPLID,
    STEPS,
    FakePrimary,
    Script,
    Talk,
    answer,
    bulk,
    full_resync,
    speak,
)
from tests.interop.servers import RealServer, encode, txrepl, wait_until

SAMPLE = (Path(__file__).parents[1] / "rdb" / "samples" / "redis-7.2.6-cut.rdb").read_bytes()
"""A file of a real Redis, with its checksum."""

AT_ONCE_S = 1.0
RETRY_AT_LEAST_S = 0.9
RETRY_AT_MOST_S = 4.0
MARK = b"0123456789" * 4
RESET = "the primary closed the connection"


def string_key(key: bytes, value: bytes) -> bytes:
    """A short string as an RDB has it."""
    return b"\x00%c%b%c%b" % (len(key), key, len(value), value)


def rdb_around(body: bytes, magic: bytes = b"REDIS0009", checksum: bytes = bytes(8)) -> bytes:
    """An RDB with this body in database 0; a checksum of zero says that there is none."""
    return magic + b"\xfe\x00" + body + b"\xff" + checksum


GOOD = rdb_around(string_key(b"new", b"good"))


def transfer(data: bytes) -> Script:
    """Promise a full sync, send `data` for the bulk, and close."""

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + data)

    return script


def diskless(rdb: bytes, end: bytes = MARK, split: int = 0) -> Script:
    """A full sync of unknown length that ends with `end`, which comes in two parts when `split` is not 0."""

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + b"$EOF:%b\r\n" % MARK + rdb + end[:split])
        time.sleep(0.02 if split else 0)  # nothing tells a sender that a part was read: the bytes may still join
        talk.send(end[split:])
        talk.until_closed()

    return script


def flipped(rdb: bytes, at: int) -> bytes:
    """The RDB with one bit turned over."""
    return rdb[:at] + bytes((rdb[at] ^ 4,)) + rdb[at + 1 :]


# What a primary may do wrong, and a part of the line in the log that tells the operator.

REFUSALS: dict[str, tuple[Script, str]] = {
    "closed at once": (Talk.close, "the primary closed the connection"),
    "reset at once": (Talk.reset, RESET),
    "an error for PING": (answer("ping", b"-BUSY running a script\r\n"), "Error reply to PING from master: '-BUSY"),
    "HTTP for PING": (answer("ping", b"HTTP/1.1 400 Bad Request\r\n\r\n"), "Error reply to PING from master: 'HTTP/1."),
    "NUL bytes for PING": (answer("ping", b"\0\0\xff\r\n"), r"Error reply to PING from master: '\x00\x00\xff'"),
    "a line without end": (answer("ping", b"x" * 70_000), "the primary sent a line without end"),
    "closed after PONG": (answer("port", b""), "the primary closed the connection"),
    "nonsense for the port": (answer("port", b":17\r\n"), "Unexpected reply to REPLCONF listening-port"),
    "nonsense for capa": (answer("capa", b"$3\r\nabc\r\n"), "Unexpected reply to REPLCONF capa from master: $3"),
    "try later": (
        answer("psync", b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n"),
        "Master is currently unable to PSYNC but should be in the future: -NOMASTERLINK",
    ),
    "loading": (answer("psync", b"-LOADING Redis is loading\r\n"), "Master is currently unable to PSYNC but should be"),
}


def _closing(script: Script) -> Script:
    """The script, whose last word is a closed connection instead of silence."""

    def closing(talk: Talk) -> None:
        talk.until_closed = lambda: None  # type: ignore[method-assign]
        script(talk)

    return closing


REFUSALS["closed after PONG"] = (_closing(REFUSALS["closed after PONG"][0]), REFUSALS["closed after PONG"][1])
REFUSALS["closed before PSYNC's answer"] = (_closing(answer("psync", b"")), "the primary closed the connection")

BULKS: dict[str, tuple[Script, str]] = {
    "no bulk": (
        transfer(b"*1\r\n$4\r\nPING\r\n"),
        "Bad protocol from MASTER, the first byte is not '$' (we received '*1')",
    ),
    "a bulk of no number": (transfer(b"$abc\r\n"), "Bad protocol from MASTER, the bulk's length is malformed"),
    "a negative bulk": (transfer(b"$-1\r\n"), "Bad protocol from MASTER, the bulk's length is malformed"),
    "an empty bulk": (transfer(b"$0\r\n"), "Bad protocol from MASTER, the bulk is empty"),
    "a bulk of absurd length": (transfer(b"$" + b"9" * 40 + b"\r\n"), "the bulk's length is malformed"),
    "a short mark": (transfer(b"$EOF:abc\r\n"), "the bulk's length is malformed"),
    "an endless preamble": (transfer(b"y" * 5000), "the first byte is not '$'"),
    "an abort": (
        transfer(b"-ERR BGSAVE failed, replication can't continue\r\n"),
        "MASTER aborted replication with an error: ERR BGSAVE failed",
    ),
    "closed before the bulk": (transfer(b"\n\n"), "I/O error trying to sync with MASTER: connection lost"),
    "closed within the bulk": (
        transfer(b"$%d\r\n" % len(SAMPLE) + SAMPLE[:9000]),
        "I/O error trying to sync with MASTER",
    ),
    "no RDB": (transfer(bulk(b"GIF89a-and-so-on")), "Internal error in RDB reading offset 0 -> Wrong signature"),
    "a future version": (
        transfer(bulk(rdb_around(b"", b"REDIS9999"))),
        "Internal error in RDB reading offset 0 -> Can't handle RDB format version 9999",
    ),
    "an unknown type": (transfer(bulk(rdb_around(b"\x21\x01k"))), "-> Unknown RDB type or opcode 33"),
    "a wrong checksum": (transfer(bulk(flipped(SAMPLE, len(SAMPLE) - 3))), "Wrong RDB checksum"),
    "cut after SELECT": (transfer(bulk(GOOD[:11])), "the RDB is not complete at the announced length"),
    "cut before EOF": (transfer(bulk(GOOD[:-9])), "the RDB is not complete at the announced length"),
    "cut in the checksum": (transfer(bulk(GOOD[:-3])), "the RDB is not complete at the announced length"),
    "longer than its RDB": (transfer(bulk(GOOD + b"more")), "the RDB ends before the announced length"),
    "a database too many": (transfer(bulk(rdb_around(b"\xfe\x40\xff"))), "more than 16 databases"),
    "a string of exabytes": (
        transfer(bulk(rdb_around(b"\x00\x01k\x81" + b"\x7f" * 8))),
        "-> String of 9187201950435737471 bytes is longer than",
    ),
    "closed in the mark": (
        _closing(diskless(GOOD, MARK[:39])),
        "I/O error trying to sync with MASTER: connection lost",
    ),
}

for _at in (12, 2_000, 11_111, len(SAMPLE) - 10):
    BULKS[f"a bit flipped at byte {_at}"] = (
        transfer(bulk(flipped(SAMPLE, _at))),
        "Internal error in RDB reading offset",
    )


NODES = 6


@pytest.fixture(scope="module")
def nodes() -> Iterator[queue.SimpleQueue[RealServer]]:
    """Some txrepls, for tests that need no directives of their own; what is taken is put back."""
    with ExitStack() as stack, ThreadPoolExecutor(NODES) as pool:
        free: queue.SimpleQueue[RealServer] = queue.SimpleQueue()
        for server in pool.map(lambda _: txrepl(repl_timeout=30), range(NODES)):
            free.put(stack.enter_context(server))
        yield free
        for _ in range(NODES):
            assert_no_traceback(free.get(timeout=30))


@pytest.fixture
def node(nodes: queue.SimpleQueue[RealServer]) -> Iterator[RealServer]:
    """One of the nodes, for the length of a test."""
    taken = nodes.get(timeout=30)
    yield taken
    taken.command("REPLICAOF", "NO", "ONE")
    nodes.put(taken)


def assert_no_traceback(server: RealServer) -> None:
    """The log is written for an operator."""
    text = server.log_text()
    for sign in ("Traceback", "Unexpected error", "unexpectedly", "Internal error in command", '  File "'):
        assert sign not in text, text[-3000:]


def assert_answers_at_once(node: RealServer, key: str, value: bytes | None) -> None:
    """PING, INFO and GET take no time to speak of, and the data is what it was."""
    started_s = time.monotonic()
    assert node.command("PING") == "PONG"
    assert node.info("replication")["role"] == "slave"
    assert node.command("GET", key) == value
    assert time.monotonic() - started_s < AT_ONCE_S


def standing(node: RealServer) -> tuple[str, str, str, str]:
    """What a failed sync must not change: data and history."""
    told = node.info("replication")
    return node.digest(), told["master_replid"], told["master_repl_offset"], told["master_replid2"]


def begin_alone(node: RealServer, value: str) -> tuple[int, tuple[str, str, str, str]]:
    """Make the node a primary with data of its own: where its log stands, and where it stands itself."""
    node.command("REPLICAOF", "NO", "ONE")
    node.command("FLUSHALL")
    node.command("SET", "old", value)
    return len(node.log_text()), standing(node)


def assert_synced(node: RealServer, offset: int = OFFSET) -> None:
    """The node has the data and the history of `speak(GOOD)`."""
    wait_until(lambda: node.info("replication").get("master_link_status") == "up", RETRY_AT_MOST_S, "the link is up")
    wait_until(lambda: node.offset() == offset, 5, "the whole stream is applied")
    assert node.command("KEYS", "*") == [b"new"]
    assert node.command("GET", "new") == b"good"
    assert node.info("replication")["master_replid"] == REPLID


def go_wrong(nodes: queue.SimpleQueue[RealServer], name: str) -> None:
    """Follow a primary that goes wrong in the named way, then right."""
    script, text = (REFUSALS | BULKS)[name]
    said = re.escape(text) if text != RESET else f"{text}|Error condition on socket for SYNC"
    node = nodes.get()
    try:
        at, before = begin_alone(node, name)
        with FakePrimary(script) as primary:
            node.command("REPLICAOF", "127.0.0.1", primary.port)
            wait_until(lambda: re.search(said, node.log_text()[at:]), RETRY_AT_MOST_S, f"the log says {said!r}")
            primary.script = speak(GOOD)
            assert_answers_at_once(node, "old", name.encode())
            assert standing(node) == before
            assert node.info("replication")["master_link_status"] == "down"
            assert_synced(node)
            assert primary.shortest_pause_s > RETRY_AT_LEAST_S
            node.command("REPLICAOF", "NO", "ONE")
    finally:
        nodes.put(node)


@pytest.fixture(scope="module")
def outcomes(nodes: queue.SimpleQueue[RealServer]) -> Iterator[dict[str, Future[None]]]:
    """Every way to go wrong, as many at a time as there are nodes: each waits a second for the next attempt."""
    with ThreadPoolExecutor(NODES) as pool:
        yield {name: pool.submit(go_wrong, nodes, name) for name in REFUSALS | BULKS}


@pytest.mark.parametrize("name", REFUSALS | BULKS)
def test_a_primary_that_goes_wrong_is_named_in_the_log_retried_and_changes_nothing(
    outcomes: dict[str, Future[None]], name: str
) -> None:
    """For each way: the line, the data and history of before, the pause, and the sync when all is well again."""
    outcomes[name].result(60)


STALLS: dict[str, tuple[Script, str, str]] = {
    "ping": (answer("ping", b""), "receive_pong", "no answer from the primary within 1 s"),
    "port": (answer("port", b""), "receive_port", "no answer from the primary within 1 s"),
    "capa": (answer("capa", b"+O"), "receive_capa", "no answer from the primary within 1 s"),
    "psync": (answer("psync", b""), "receive_psync", "no answer from the primary within 1 s"),
    "before the bulk": (answer("psync", full_resync()), "transfer", "Timeout receiving bulk data from MASTER..."),
    "in the bulk": (
        answer("psync", full_resync() + b"$%d\r\n" % len(SAMPLE) + SAMPLE[:5000]),
        "transfer",
        "Timeout receiving bulk data from MASTER...",
    ),
}


def test_a_primary_that_falls_silent_at_any_step_is_left_after_repl_timeout_and_tried_again() -> None:
    """All steps at once, each with a node of its own; while a node waits it answers, with the data that it has."""

    def stall(step: str) -> None:
        script, _, said = STALLS[step]
        with txrepl(repl_timeout=1) as node, FakePrimary(script) as primary:
            at, before = begin_alone(node, step)
            node.command("REPLICAOF", "127.0.0.1", primary.port)
            wait_until(lambda: primary.talks, RETRY_AT_MOST_S, "it connects")
            assert_answers_at_once(node, "old", step.encode())
            wait_until(lambda: said in node.log_text()[at:], 5, f"the log says {said!r}")
            assert_answers_at_once(node, "old", step.encode())
            assert standing(node) == before
            wait_until(lambda: len(primary.talks) == 2, 5, "it is tried again")
            assert primary.shortest_pause_s > 1 + RETRY_AT_LEAST_S
            assert_no_traceback(node)

    with ThreadPoolExecutor(len(STALLS)) as pool:
        list(pool.map(stall, STALLS))


def test_a_node_serves_its_old_data_while_a_bulk_trickles_in(node: RealServer) -> None:
    """Reads and CONFIG work in the middle of a transfer, INFO tells how far it is, and REPLICAOF ends it."""
    _, before = begin_alone(node, "kept")
    half = full_resync() + b"$%d\r\n" % len(SAMPLE) + SAMPLE[:5000]
    with FakePrimary(answer("psync", half)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: node.info().get("master_sync_read_bytes") == "5000", 5, "half of the bulk is there")
        assert_answers_at_once(node, "old", b"kept")
        assert node.command("CONFIG", "SET", "repl-backlog-ttl", "3600") == "OK"
        told = node.info()
        assert (told["master_sync_in_progress"], told["loading"], told["async_loading"]) == ("1", "0", "0")
        assert standing(node) == before
        node.command("REPLICAOF", "NO", "ONE")
        assert node.digest() == before[0]


def test_a_primary_that_hangs_up_is_tried_once_a_second(node: RealServer) -> None:
    """Connections are counted over time: no busy loop, no giving up, no second loop beside the first."""
    begin_alone(node, "kept")
    with FakePrimary(Talk.close) as former, FakePrimary(Talk.close) as primary:
        for _ in range(5):  # each change of mind ends the attempt under way, at whatever point it is
            node.command("REPLICAOF", "127.0.0.1", former.port)
            node.command("REPLICAOF", "127.0.0.2", former.port)
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: len(primary.talks) == 2, 5, "it connects, and the last connection to the former is over")
        left = len(former.talks)
        wait_until(lambda: len(primary.talks) == 4, 3 * RETRY_AT_MOST_S, "it goes on trying")
        pauses = [after - before for before, after in itertools.pairwise(primary.connected_s)]
        assert all(RETRY_AT_LEAST_S < pause < RETRY_AT_MOST_S for pause in pauses), pauses
        assert len(former.talks) == left


@pytest.mark.parametrize("refused", ["ping", "port", "capa"])
def test_what_a_primary_need_not_understand_does_not_stop_the_handshake(node: RealServer, refused: str) -> None:
    """An error for PING that asks for a password, and errors for REPLCONF, are said in the log and passed over."""
    at, _ = begin_alone(node, "gone")

    def script(talk: Talk) -> None:
        talk.until(refused)
        talk.send(b"-NOAUTH Authentication required.\r\n")
        speak(GOOD)(talk)

    with FakePrimary(script) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        assert_synced(node)
        said = node.log_text()[at:]
        assert (
            refused == "ping" or f"(Non critical) Master does not understand REPLCONF {STEPS[refused].decode()}" in said
        )


def test_a_refused_password_is_said_in_the_log(run: Run) -> None:
    """AUTH is sent with masterauth; its refusal ends the attempt, and the next one follows."""
    with FakePrimary(Talk.close) as primary:
        node = run("txrepl", masterauth="secret", masteruser="fred")

        def script(talk: Talk) -> None:
            assert talk.command() == [b"PING"]
            talk.send(b"-NOAUTH Authentication required.\r\n")
            assert talk.command() == [b"AUTH", b"fred", b"secret"]
            talk.send(b"-WRONGPASS invalid username-password pair or user is disabled.\r\n")
            talk.until_closed()

        primary.script = script
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: "Unable to AUTH to MASTER: -WRONGPASS" in node.log_text(), 5, "the refusal is logged")
        primary.script = speak(GOOD)
        assert_synced(node)
        assert "secret" not in node.log_text()


ODD_HISTORIES = {
    "short id": b"+FULLRESYNC abc 1000\r\n",
    "no offset": b"+FULLRESYNC " + REPLID.encode() + b"\r\n",
    "negative offset": b"+FULLRESYNC " + REPLID.encode() + b" -5\r\n",
    "offset beyond 64 bits": b"+FULLRESYNC " + REPLID.encode() + b" 99999999999999999999\r\n",
    "nothing": b"+FULLRESYNC\r\n",
}


@pytest.mark.parametrize("line", ODD_HISTORIES.values(), ids=ODD_HISTORIES.keys())
def test_a_full_sync_with_an_unusable_history_is_taken_but_never_gone_on_with(node: RealServer, line: bytes) -> None:
    """The data is good; the id is not, so that the next request is for everything."""
    at, _ = begin_alone(node, "gone")
    with FakePrimary(answer("psync", line + bulk(GOOD) + encode("SET", "more", "1"))) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: node.command("GET", "more") == b"1", 5, "data and stream are applied")
        assert "Master replied with wrong +FULLRESYNC syntax: +FULLRESYNC" in node.log_text()[at:]
        assert node.command("GET", "new") == b"good"
        assert node.info("replication")["master_replid"] not in {REPLID, "0" * 40}
        primary.script = speak(GOOD)
        primary.talks[0].close()
        assert_synced(node)
        assert primary.talks[1].commands[-1][:3] in ([b"PSYNC", b"?", b"-1"], [b"REPLCONF", b"ACK", b"1000"])
        assert [b"PSYNC", b"?", b"-1"] in primary.talks[1].commands


def test_an_offset_at_the_end_of_64_bits_is_taken_as_it_is(node: RealServer) -> None:
    """The largest one that the protocol can say."""
    begin_alone(node, "gone")
    with FakePrimary(speak(GOOD, offset=2**63 - 1 - 14, stream=encode("PING"))) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        assert_synced(node, 2**63 - 1)


def test_a_continue_that_nobody_asked_for_is_refused() -> None:
    """A node that starts without a file has no cached primary; +CONTINUE then has nothing to go on with."""
    wrong = answer("psync", b"+CONTINUE " + REPLID.encode() + b"\r\n" + encode("SET", "old", "wrong"))
    with FakePrimary(wrong) as primary, txrepl(replicaof=("127.0.0.1", primary.port)) as node:
        said = "Master answered +CONTINUE, but no partial resynchronization was asked for"
        wait_until(lambda: said in node.log_text(), 5, f"the log says {said!r}")
        assert_answers_at_once(node, "old", None)
        primary.script = speak(GOOD)
        assert_synced(node)


@pytest.mark.parametrize("reply", [b"-ERR unknown command 'PSYNC'\r\n", b"+WHAT\r\n", b":1\r\n"])
def test_a_primary_without_psync_is_asked_to_sync(node: RealServer, reply: bytes) -> None:
    """As a server before 2.8: the bulk follows SYNC at once, and there is no history to go on with."""
    at, _ = begin_alone(node, "gone")

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(reply)
        assert talk.command() == [b"SYNC"]
        talk.send(b"\n" + bulk(GOOD))
        talk.until_closed()

    with FakePrimary(script) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: node.info("replication")["master_link_status"] == "up", 5, "the link is up")
        assert node.command("GET", "new") == b"good"
        said = node.log_text()[at:]
        assert "Retrying with SYNC..." in said
        assert (
            "Master does not support PSYNC or is in error state (reply: -ERR" in said
            or "Unexpected reply to PSYNC" in said
        )


@pytest.mark.parametrize("split", [1, 20, 39])
def test_a_mark_in_two_parts_ends_the_bulk_and_the_stream_follows(node: RealServer, split: int) -> None:
    """What comes after the mark in the same packet is stream."""
    begin_alone(node, "gone")
    stream = encode("SELECT", "0") + encode("APPEND", "new", "")
    with FakePrimary(diskless(GOOD, MARK + stream, split)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        assert_synced(node, OFFSET + len(stream))


BROKEN_STREAMS = {
    "inline": (b"SET old wrong\r\n", "WARNING: Receiving inline protocol from master, master stream corruption?"),
    "binary": (bytes(range(1, 64)) + b"\n", "WARNING: Receiving inline protocol from master"),
    "a bad count": (b"*abc\r\n", "Protocol error from master: Protocol error: invalid multibulk length"),
    "a huge count": (b"*3000000000\r\n", "Protocol error from master: Protocol error: invalid multibulk length"),
    "no bulk": (b"*1\r\n:5\r\n", "Protocol error from master: Protocol error: expected '$', got ':'"),
    "a bad length": (b"*1\r\n$-1\r\n", "Protocol error from master: Protocol error: invalid bulk length"),
}


@pytest.mark.parametrize(("garbage", "said"), BROKEN_STREAMS.values(), ids=BROKEN_STREAMS.keys())
def test_a_stream_that_turns_to_garbage_ends_the_link_and_the_cached_primary(
    node: RealServer, garbage: bytes, said: str
) -> None:
    """What came before it stays applied; nothing of it is; the next request is for everything."""
    at, _ = begin_alone(node, "gone")
    good = encode("SET", "k", "1")
    with FakePrimary(speak(GOOD, good + garbage + encode("SET", "k", "2"))) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: said in node.log_text()[at:], 5, f"the log says {said!r}")
        primary.script = speak(GOOD)
        assert_answers_at_once(node, "k", b"1")
        assert node.offset() == OFFSET + len(good)
        assert_synced(node)
        assert primary.shortest_pause_s > RETRY_AT_LEAST_S
        assert [b"PSYNC", b"?", b"-1"] in primary.talks[1].commands


FAILING = [
    ("NOSUCH",),
    ("",),
    ("GET",),
    ("LPUSH", "new", "x"),
    ("SELECT", "99"),
    ("EXEC",),
    ("PSYNC", "?", "-1"),
    ("SYNC",),
    ("RESET",),
    ("REPLCONF", "no-such-option", "1"),
    ("AUTH", "x"),
]


@pytest.mark.parametrize("command", FAILING, ids=" ".join)
def test_a_command_of_the_stream_that_fails_is_critical_and_the_stream_goes_on(
    node: RealServer, command: tuple[str, ...]
) -> None:
    """One line with the command's name and offset, no answer to the primary, every byte counted."""
    at, _ = begin_alone(node, "gone")
    stream = encode(*command) + encode("SET", "after", "1")
    with FakePrimary(speak(GOOD, stream)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: node.command("GET", "after") == b"1", 5, "what follows is applied")
        assert node.offset() == OFFSET + len(stream)
        critical = [line for line in node.log_text()[at:].splitlines() if "== CRITICAL ==" in line]
        assert len(critical) == 1
        assert f"after processing the command '{command[0].lower()}' (at offset {OFFSET})" in critical[0]
        wait_until(lambda: [b"REPLCONF", b"ACK", b"%d" % node.offset()] in _heard(primary), 5, "it acknowledges")
        assert all(words[0] in {b"PING", b"REPLCONF", b"PSYNC"} for words in _heard(primary))


def _heard(primary: FakePrimary) -> list[list[bytes]]:
    return [words for talk in primary.talks for words in talk.commands]


LEAVING = {
    "QUIT": ("QUIT",),
    "CLIENT KILL": ("CLIENT", "KILL", "TYPE", "master", "SKIPME", "no"),
}


@pytest.mark.parametrize("command", LEAVING.values(), ids=LEAVING.keys())
def test_a_stream_that_closes_itself_is_applied_whole_and_taken_up_a_second_later(
    node: RealServer, command: tuple[str, ...]
) -> None:
    """By partial resync from the byte after it, never in a busy loop."""
    begin_alone(node, "gone")
    stream = encode(*command) + encode("SET", "after", "1")
    with FakePrimary(speak(GOOD, stream)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: primary.talks, 5, "it connects")
        primary.script = answer("psync", b"+CONTINUE\r\n" + encode("SET", "more", "2"))
        wait_until(lambda: node.command("GET", "more") == b"2", 5, "it has come back")
        assert node.command("GET", "after") == b"1"
        asked = [b"PSYNC", REPLID.encode(), b"%d" % (OFFSET + len(stream) + 1)]
        assert asked in primary.talks[1].commands
        assert primary.shortest_pause_s > RETRY_AT_LEAST_S


def test_a_stream_that_promotes_its_replica_leaves_one_primary_and_no_loop(node: RealServer) -> None:
    """REPLICAOF NO ONE in the stream: the role changes, nothing after it is applied, and nobody connects again."""
    at, _ = begin_alone(node, "gone")
    with FakePrimary(speak(GOOD, encode("REPLICAOF", "NO", "ONE") + encode("SET", "new", "wrong"))) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: "MASTER MODE enabled" in node.log_text()[at:], 5, "it is promoted")
        assert node.command("GET", "new") == b"good"
        with FakePrimary(speak(GOOD)) as other:
            node.command("REPLICAOF", "127.0.0.1", other.port)
            assert_synced(node)
        assert len(primary.talks) == 1


@pytest.mark.parametrize("host", ["bad host", b"\xff\xfe", "a" * 300, "x..y", "127.0.0.1\0"])
def test_a_host_that_is_no_host_is_said_in_the_log_and_tried_like_any_other(
    node: RealServer, host: str | bytes
) -> None:
    """It is data from a client: no traceback, no end of the link, and the next REPLICAOF works."""
    at, _ = begin_alone(node, "kept")
    assert node.command("REPLICAOF", host, "1") == "OK"
    said = "Error condition on socket for SYNC: "
    wait_until(lambda: said in node.log_text()[at:], 5, "the reason is logged")
    assert_answers_at_once(node, "old", b"kept")
    with FakePrimary(speak(GOOD)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        assert_synced(node)
