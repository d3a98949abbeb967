"""The link to the primary on a clock, against a primary that a test plays by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError

from tests.net.support import Bench, Endpoint, Transport
from tests.support import byte_by_byte
from txrepl.keyspace.database import Keyspace
from txrepl.net.primary_link import PrimaryLink
from txrepl.peers.line_wire import LINE_MAX_BYTES
from txrepl.persistence.snapshot import write_snapshot
from txrepl.replication.snapshot_kind import SnapshotKind
from txrepl.replication.states import LinkState
from txrepl.resp.requests import encode_command

THEIRS, OTHERS = "b" * 40, "c" * 40
MARK = b"m" * 40


def rdb(keyspace: Keyspace, value: bytes) -> bytes:
    """A snapshot with one key."""
    keyspace.databases[0].data[b"key"] = value
    pieces: list[bytes] = []
    write_snapshot(keyspace, pieces.append, {}, kind=SnapshotKind(), compress=False, checksum=True, now_s=1)
    return b"".join(pieces)


class Linked(Bench):
    """A node that has been told to follow a primary."""

    def __init__(self) -> None:
        super().__init__()
        self.node.config.assign("repl-diskless-load", "swapdb")
        self.node.settings.listening_port = 6380
        self.attempts: list[Endpoint] = []
        self.host.link = PrimaryLink(self.node, self.clock, self._endpoint)
        other = Bench().node.keyspace
        self.rdb = rdb(other, b"theirs")

    def _endpoint(self, host: str, port: int) -> Endpoint:
        self.attempts.append(Endpoint((host, port)))
        return self.attempts[-1]

    def follow(self, host: str = "primary.example", port: int = 6379) -> None:
        """REPLICAOF."""
        self.node.replicate_from(host, port, "a test")

    @property
    def state(self) -> LinkState:
        """Where the link stands."""
        return self.node.link.state

    def accept(self) -> Transport:
        """The primary accepts the last attempt."""
        return self.attempts[-1].accept(self.clock)

    def say(self, wire: Transport, data: bytes) -> bytes:
        """The primary sends bytes; what we send in turn."""
        wire.take()
        wire.protocol.dataReceived(data)
        return wire.take()

    def ask(self) -> Transport:
        """Come as far as PSYNC."""
        wire = self.accept()
        for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n", b"+OK\r\n"):
            wire.protocol.dataReceived(answer)
        assert self.state is LinkState.RECEIVE_PSYNC
        return wire

    def full_sync(self, offset: int = 100) -> Transport:
        """Follow a primary and be connected with it by a full sync."""
        wire = self.ask()
        self.say(wire, b"+FULLRESYNC %b %d\r\n" % (THEIRS.encode(), offset))
        self.say(wire, b"$%d\r\n%b" % (len(self.rdb), self.rdb))
        self.clock.advance(0)
        assert self.state is LinkState.CONNECTED
        return wire

    def get(self) -> object:
        """The value of the snapshot's key."""
        return self.node.keyspace.databases[0].data.get(b"key")


@pytest.fixture
def linked() -> Linked:
    """A node with a value of its own that follows a primary."""
    made = Linked()
    made.run(b"SET", b"key", b"ours")
    made.follow()
    return made


PSYNC_NOTHING = encode_command([b"PSYNC", b"?", b"-1"])


def test_the_handshake_sends_each_command_when_the_one_before_is_answered(linked: Linked) -> None:
    """The bytes on the wire, and the state that INFO shows meanwhile."""
    assert linked.attempts[0].address == ("primary.example", 6379)
    assert linked.state is LinkState.CONNECTING
    wire = linked.accept()
    assert wire.take() == encode_command([b"PING"]) and linked.state is LinkState.RECEIVE_PONG
    assert linked.say(wire, b"+PO") == b""
    assert linked.say(wire, b"NG\r\n") == encode_command([b"REPLCONF", b"listening-port", b"6380"])
    assert linked.say(wire, b"+OK\r\n") == encode_command([b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"])
    assert linked.say(wire, b"+OK\r\n") == encode_command([b"REPLCONF", b"version", b"9.0.0"])
    asked = linked.say(wire, b"\n\n+OK\r\n")
    assert asked == encode_command([b"PSYNC", linked.node.feed.history.replid.encode(), b"1"])
    assert linked.state is LinkState.RECEIVE_PSYNC


def test_answers_that_come_together_are_taken_one_by_one(linked: Linked) -> None:
    """A primary may be fast."""
    wire = linked.accept()
    linked.say(wire, b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+FULLRESYNC %b 7\r\n" % THEIRS.encode())
    assert linked.state is LinkState.TRANSFER


# -- attempts that fail ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Refused(), DNSLookupError("no such name"), OSError("no route")])
def test_an_attempt_that_fails_is_followed_by_another_a_second_later(linked: Linked, error: Exception) -> None:
    """For ever."""
    for count in range(1, 4):
        linked.attempts[-1].refuse(error)
        assert linked.state is LinkState.CONNECT and linked.node.link.failures == count
        assert linked.said("Error condition on socket for SYNC: ") == count
        linked.clock.advance(0.99)
        assert len(linked.attempts) == count
        linked.clock.advance(0.01)
        assert len(linked.attempts) == count + 1
        assert linked.said("Connecting to MASTER primary.example:6379") == count + 1
    linked.full_sync()
    assert linked.node.link.failures == 0


def steps(linked: Linked) -> list[Callable[[Transport], object]]:
    """What the primary does, step by step, until the stream flows."""
    half = linked.rdb[: len(linked.rdb) // 2]
    return [
        lambda wire: linked.say(wire, b"+PONG\r\n"),
        lambda wire: linked.say(wire, b"+OK\r\n"),
        lambda wire: linked.say(wire, b"+OK\r\n"),
        lambda wire: linked.say(wire, b"+OK\r\n"),
        lambda wire: linked.say(wire, b"+FULLRESYNC %b 100\r\n" % THEIRS.encode()),
        lambda wire: linked.say(wire, b"$%d\r\n%b" % (len(linked.rdb), half)),
    ]


@pytest.mark.parametrize("count", range(7))
def test_a_primary_that_closes_at_any_step_is_tried_again(linked: Linked, count: int) -> None:
    """The old data is kept, and so is what the next attempt goes on with."""
    wire = linked.accept()
    for step in steps(linked)[:count]:
        step(wire)
    wire.lose()
    assert linked.state is LinkState.CONNECT and linked.node.link.last_error
    assert linked.node.link.transfer is None and linked.node.loading is None
    assert linked.get() == b"ours"
    linked.clock.advance(1)
    linked.full_sync()
    assert linked.get() == b"theirs"


@pytest.mark.parametrize("count", range(5))
def test_a_primary_that_does_not_answer_a_step_is_left_after_repl_timeout(linked: Linked, count: int) -> None:
    """Each step has that time."""
    wire = linked.accept()
    for step in steps(linked)[:count]:
        linked.clock.advance(59)
        step(wire)
    if count == 4:
        assert linked.state is LinkState.RECEIVE_PSYNC
    linked.clock.advance(59.9)
    assert not wire.ended
    linked.clock.advance(0.1)
    assert wire.ended == "aborted"
    assert linked.node.link.last_error == "Timeout connecting to the MASTER... no answer from the primary within 60 s"
    linked.clock.advance(1)
    assert len(linked.attempts) == 2


@pytest.mark.parametrize("count", range(-1, 8))
def test_stopping_at_any_step_ends_everything(linked: Linked, count: int) -> None:
    """REPLICAOF NO ONE: no reconnect, no timer, no late bytes."""
    if count >= 0:
        wire = linked.accept()
        for step in steps(linked)[:count]:
            step(wire)
        if count == 6:
            linked.say(wire, linked.rdb[len(linked.rdb) // 2 :])
            linked.clock.advance(0)
    linked.node.promote("a test")
    if count >= 0:
        assert wire.ended == "aborted"
        wire.protocol.dataReceived(b"+OK\r\n" * 4)
    else:
        assert linked.attempts[0].cancelled
    linked.clock.pump([1] * 120)
    assert len(linked.attempts) == 1
    assert linked.clock.getDelayedCalls() == []
    assert linked.state is LinkState.NONE and linked.node.loading is None and linked.node.link.transfer is None
    assert linked.get() == (b"theirs" if count == 6 else b"ours")
    assert linked.said("unexpectedly") == 0


@pytest.mark.parametrize("count", range(-1, 6))
def test_following_another_primary_leaves_the_first_at_any_step(linked: Linked, count: int) -> None:
    """The new conversation begins at once."""
    if count >= 0:
        wire = linked.accept()
        for step in steps(linked)[:count]:
            step(wire)
    linked.follow("other.example", 6390)
    assert [attempt.address for attempt in linked.attempts] == [("primary.example", 6379), ("other.example", 6390)]
    linked.clock.advance(0)
    linked.full_sync()
    assert linked.get() == b"theirs"
    linked.clock.pump([1] * 30)
    assert len(linked.attempts) == 2 and linked.state is LinkState.CONNECTED


def test_a_wait_for_the_next_attempt_can_be_stopped(linked: Linked) -> None:
    """Between two attempts nothing is open, but a timer runs."""
    linked.attempts[0].refuse(Refused())
    linked.node.promote("a test")
    linked.clock.advance(10)
    assert len(linked.attempts) == 1 and linked.clock.getDelayedCalls() == []


def test_a_line_without_end_is_not_stored_for_ever(linked: Linked) -> None:
    """Something else listens on that port."""
    wire = linked.accept()
    linked.say(wire, b"x" * LINE_MAX_BYTES)
    assert not wire.ended
    linked.say(wire, b"x")
    assert wire.ended == "aborted"
    assert linked.node.link.last_error == "the primary sent a line without end"


# -- full sync ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("ways", [lambda data: [data], byte_by_byte], ids=["whole", "bytes"])
def test_a_full_sync_and_the_stream_behind_it_may_come_in_any_pieces(
    linked: Linked, marked: bool, ways: Callable[[bytes], list[bytes]]
) -> None:
    """Down to the line of the handshake before it."""
    wire = linked.ask()
    bulk = b"$EOF:%b\r\n%b%b" % (MARK, linked.rdb, MARK) if marked else b"$%d\r\n%b" % (len(linked.rdb), linked.rdb)
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"after", b"1"])
    for piece in ways(b"\n+FULLRESYNC %b 100\r\n\n\n%b%b" % (THEIRS.encode(), bulk, stream)):
        wire.protocol.dataReceived(piece)
        linked.clock.advance(0)
    assert linked.state is LinkState.CONNECTED
    history = linked.node.feed.history
    assert (history.replid, history.offset) == (THEIRS, 100 + len(stream))
    assert linked.get() == b"theirs" and linked.node.keyspace.databases[0].data[b"after"] == b"1"
    assert linked.said("Finished with success") == 1
    assert encode_command([b"REPLCONF", b"ACK", b"100"]) in wire.take()


def test_a_newline_shows_the_primary_that_we_live_while_we_receive(linked: Linked) -> None:
    """Once a second."""
    wire = linked.accept()
    for step in steps(linked):
        step(wire)
    linked.clock.pump([1, 1, 1])
    assert wire.take() == b"\n\n\n"


def test_a_primary_that_falls_silent_in_the_transfer_is_left(linked: Linked) -> None:
    """The old data is kept."""
    wire = linked.accept()
    for step in steps(linked):
        step(wire)
    linked.clock.pump([1] * 60)
    assert not wire.ended
    linked.clock.pump([1, 0])
    assert wire.ended == "aborted" and linked.said("Timeout receiving bulk data from MASTER...") == 1
    assert linked.state is LinkState.CONNECT and linked.get() == b"ours"


def test_a_corrupt_snapshot_leaves_the_old_data_in_place(linked: Linked) -> None:
    """And is asked for again a second later."""
    wire = linked.ask()
    linked.say(wire, b"+FULLRESYNC %b 100\r\n" % THEIRS.encode())
    broken = linked.rdb[:20] + b"\xee" * 30
    linked.say(wire, b"$%d\r\n%b" % (len(broken), broken))
    assert wire.ended == "aborted" and linked.get() == b"ours"
    assert linked.said("Internal error in RDB reading offset") == 1
    linked.clock.advance(1)
    linked.full_sync()
    assert linked.get() == b"theirs"


# -- the stream -----------------------------------------------------------------------------------------------------


def test_the_offset_is_acknowledged_every_second(linked: Linked) -> None:
    """What was applied of the stream."""
    wire = linked.full_sync()
    wire.take()
    linked.clock.advance(1)
    assert wire.take() == encode_command([b"REPLCONF", b"ACK", b"100"])
    ping = encode_command([b"PING"])
    assert linked.say(wire, ping) == b""
    linked.clock.advance(1)
    assert wire.take() == encode_command([b"REPLCONF", b"ACK", b"%d" % (100 + len(ping))])


def test_getack_is_answered_at_once(linked: Linked) -> None:
    """Without its own bytes."""
    wire = linked.full_sync()
    answer = linked.say(wire, encode_command([b"REPLCONF", b"GETACK", b"*"]))
    assert answer == encode_command([b"REPLCONF", b"ACK", b"100"])
    linked.clock.advance(1)
    assert wire.take() == encode_command([b"REPLCONF", b"ACK", b"137"])


def test_a_primary_that_falls_silent_is_left_and_gone_on_with(linked: Linked) -> None:
    """After repl-timeout without a byte; the next attempt asks for the next byte."""
    wire = linked.full_sync()
    linked.clock.pump([1] * 30)
    linked.say(wire, encode_command([b"PING"]))
    linked.clock.pump([1] * 60)
    assert not wire.ended
    linked.clock.pump([1, 0])
    assert wire.ended == "aborted" and linked.said("MASTER timeout: no data nor PING received...") == 1
    linked.clock.advance(1)
    again = linked.accept()
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n"):
        linked.say(again, answer)
    assert linked.say(again, b"+OK\r\n") == encode_command([b"PSYNC", THEIRS.encode(), b"115"])
    linked.say(again, b"+CONTINUE\r\n" + encode_command([b"SET", b"key", b"later"]))
    assert linked.state is LinkState.CONNECTED and linked.get() == b"later"


def test_a_lost_stream_goes_on_under_the_primarys_new_id(linked: Linked) -> None:
    """Ours becomes the second one, from the next byte on."""
    linked.full_sync().lose()
    assert linked.said("Connection with master lost.") == 1 and linked.said("Caching the disconnected") == 1
    linked.clock.advance(1)
    linked.say(linked.ask(), b"+CONTINUE %b\r\n" % OTHERS.encode())
    history = linked.node.feed.history
    assert (history.replid, history.replid2, history.second_offset) == (OTHERS, THEIRS, 101)


@pytest.mark.parametrize(("lasted_s", "wait_s"), [(0.99, 1), (1, 0)])
def test_a_link_that_lasted_is_opened_anew_at_once(linked: Linked, lasted_s: float, wait_s: float) -> None:
    """One that is lost as soon as it is up waits, or two peers could keep each other busy."""
    wire = linked.full_sync()
    linked.clock.advance(lasted_s)
    wire.lose()
    attempts = len(linked.attempts)
    linked.clock.advance(0)
    assert len(linked.attempts) == attempts + (not wait_s)
    linked.clock.advance(wait_s)
    assert len(linked.attempts) == attempts + 1


@pytest.mark.parametrize("bad", [b"SET a b\r\n", b"*1\r\n:1\r\n"])
def test_a_corrupt_stream_is_left_and_not_gone_on_with(linked: Linked, bad: bytes) -> None:
    """Inline commands or nonsense: the next resync is full."""
    wire = linked.full_sync()
    linked.say(wire, encode_command([b"SET", b"key", b"good"]) + bad + encode_command([b"SET", b"key", b"bad"]))
    assert wire.ended == "aborted" and linked.get() == b"good"
    linked.clock.advance(1)
    again = linked.accept()
    for answer in (b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n"):
        linked.say(again, answer)
    assert linked.say(again, b"+OK\r\n") == PSYNC_NOTHING


def test_a_primary_that_is_not_ready_is_asked_again_for_the_same(linked: Linked) -> None:
    """Nothing is given up."""
    linked.full_sync().lose()
    for answer in (b"-NOMASTERLINK Can't SYNC while not connected with my master\r\n", b"-LOADING wait\r\n"):
        linked.clock.advance(1)
        wire = linked.ask()
        linked.say(wire, answer)
        assert wire.ended == "aborted" and linked.said("Master is currently unable to PSYNC")
    linked.clock.advance(1)
    linked.say(linked.ask(), b"+CONTINUE\r\n")
    assert linked.state is LinkState.CONNECTED and linked.node.feed.history.offset == 100


def test_a_full_sync_by_the_old_sync_gives_no_history_to_go_on_with(linked: Linked) -> None:
    """The primary names none; the stream is followed all the same."""
    wire = linked.ask()
    assert linked.say(wire, b"-ERR unknown command\r\n") == encode_command([b"SYNC"])
    linked.say(wire, b"$%d\r\n%b" % (len(linked.rdb), linked.rdb))
    linked.say(wire, encode_command([b"SET", b"key", b"later"]))
    assert linked.get() == b"later"
    assert not linked.node.link.resumable
