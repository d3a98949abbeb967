"""The stream, and the file before it, on their way to one replica whose connection is in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.net.support import Bench, Transport
from txrepl.net.replica_sender import READ_BYTES, ReplicaSender, SnapshotSender
from txrepl.replication.decisions import EndCause
from txrepl.replication.replica import Replica
from txrepl.replication.states import ReplicaState


class Sending:
    """A sender at a node whose stream is 100 bytes long."""

    def __init__(self) -> None:
        bench = Bench()
        self.node = bench.node
        self.backlog = self.node.feed.open_backlog(10**6)
        self.replica = Replica(1, "10.0.0.2")
        self.transport = Transport()
        self.sender = ReplicaSender(self.node, self.replica, self.transport)
        self.grow(b"a" * 100)

    def grow(self, data: bytes) -> None:
        """The stream grows."""
        self.node.feed.raw(data)
        self.node.feed.flush()


@pytest.fixture
def sending() -> Sending:
    """A sender that has not begun."""
    return Sending()


def test_a_replica_gets_what_it_lacks_and_then_what_comes(sending: Sending) -> None:
    """From the offset on that it asked for."""
    sending.grow(b"b" * 10)
    sending.sender.stream_from(96)
    assert sending.transport.take() == b"aaaaa" + b"b" * 10
    sending.grow(b"c")
    assert sending.transport.take() == b"c"
    assert sending.replica.sent_offset == 111
    assert sending.node.stats.replica_output_bytes == 16


def test_a_replica_that_keeps_up_gets_the_very_bytes_of_the_stream(sending: Sending) -> None:
    """Nothing is copied for it."""
    sending.sender.stream_from(101)
    data = bytes(bytearray(b"hello"))
    sending.grow(data)
    assert sending.transport.writes[0] is data


def test_a_replica_whose_connection_is_full_reads_on_from_the_backlog(sending: Sending) -> None:
    """What it missed costs no memory of its own; the backlog keeps it however small it is."""
    sending.backlog.resize(1)
    sending.sender.stream_from(101)
    sending.transport.room_bytes = 10
    sending.grow(b"b" * 10)
    missed = b"".join(b"%07d\n" % n for n in range(20_000))
    for start in range(0, len(missed), 8000):
        sending.grow(missed[start : start + 8000])
    assert sending.transport.take() == b"b" * 10
    assert sending.replica.sent_offset == 110 and sending.backlog.first_offset <= 111
    sending.transport.drain()
    assert all(len(piece) <= READ_BYTES for piece in sending.transport.writes)
    assert sending.transport.take() == missed
    sending.grow(b"c" * 20_000)
    assert sending.transport.take() == b"c" * 20_000
    assert sending.backlog.length < 60_000


def test_catching_up_stops_whenever_the_connection_is_full_again(sending: Sending) -> None:
    """One piece at a time."""
    sending.grow(b"x" * (3 * READ_BYTES))
    sending.transport.room_bytes = 1
    sending.sender.stream_from(1)
    taken = [len(sending.transport.take())]
    while sending.replica.sent_offset < sending.node.feed.history.offset:
        sending.transport.drain(1)
        taken.append(len(sending.transport.take()))
    assert taken == [READ_BYTES, READ_BYTES, READ_BYTES, 100]


def test_a_sender_that_is_stopped_hears_and_sends_nothing_more(sending: Sending) -> None:
    """Stopping twice does no harm."""
    sending.sender.stream_from(101)
    sending.sender.stopProducing()
    sending.sender.stopProducing()
    assert sending.node.feed.listeners == {} and sending.transport.producer is None
    sending.grow(b"b")
    sending.sender.resumeProducing()
    assert sending.transport.take() == b""


def test_a_connection_that_is_gone_already_gets_no_stream(sending: Sending) -> None:
    """It stops the sender at once."""
    sending.transport.ended = "aborted"
    sending.sender.stream_from(1)
    assert sending.node.feed.listeners == {} and sending.transport.take() == b""


def test_a_stream_that_loses_its_backlog_does_not_break(sending: Sending) -> None:
    """The node begins another history, and is about to drop the replica."""
    sending.sender.stream_from(101)
    sending.node.feed.close_backlog()
    sending.sender.resumeProducing()
    assert sending.transport.take() == b""


# -- the file -------------------------------------------------------------------------------------------------------


def bulk(sending: Sending) -> Replica:
    """The replica waits for its bulk from disk."""
    sending.replica.state = ReplicaState.SEND_BULK
    sending.replica.start_offset = 100
    sending.replica.outlet = Outlet(sending.sender)
    sending.node.primary.replicas[1] = sending.replica
    return sending.replica


class Outlet:
    """What the primary needs of a connection once the file is sent."""

    def __init__(self, sender: ReplicaSender) -> None:
        self.stream_from = sender.stream_from


def test_a_file_is_sent_in_pieces_with_its_length_before_it_and_the_stream_behind_it(
    sending: Sending, tmp_path: Path
) -> None:
    """Each piece when the connection has room, so that a large file takes no memory."""
    replica = bulk(sending)
    path = tmp_path / "temp.rdb"
    content = bytes(range(256)) * 3000
    path.write_bytes(content)
    sending.sender.send_file(str(path), len(content))
    path.unlink()  # as the node does at once
    sending.grow(b"bb")
    written = [sending.transport.take()]
    while sending.replica.state is ReplicaState.SEND_BULK:
        sending.transport.drain()
        written.append(sending.transport.take())
    assert max(map(len, written)) <= SnapshotSender.CHUNK_SIZE + 20
    assert b"".join(written) == b"$%d\r\n%b" % (len(content), content) + b"bb"
    assert replica.is_live
    sending.grow(b"c")
    assert sending.transport.take() == b"c"


def test_a_connection_lost_while_a_file_is_sent_is_aborted_and_not_online(sending: Sending, tmp_path: Path) -> None:
    """The primary is told nothing."""
    replica = bulk(sending)
    path = tmp_path / "temp.rdb"
    path.write_bytes(b"x" * (2 * SnapshotSender.CHUNK_SIZE))
    sending.sender.send_file(str(path), 2 * SnapshotSender.CHUNK_SIZE)
    producer, sending.transport.producer = sending.transport.producer, None
    producer.stopProducing()
    assert replica.state is ReplicaState.SEND_BULK
    assert sending.transport.ended == "aborted"


def test_a_file_that_cannot_be_opened_costs_only_its_replica_the_link(sending: Sending, tmp_path: Path) -> None:
    """Redis's words; the replica does not wait for ever for a bulk that will not come."""
    replica = bulk(sending)
    dropped: list[bool] = []
    replica.outlet.close = lambda *, flush: dropped.append(flush)  # type: ignore[union-attr, method-assign]
    sending.sender.send_file(str(tmp_path / "gone.rdb"), 5)
    assert dropped == [False]
    assert replica.end_cause is EndCause.SNAPSHOT_FAILED
    assert sending.transport.take() == b""
