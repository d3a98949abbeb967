"""One diskless snapshot to several replicas: real client connections in memory, a pipe that notes what is asked."""

from __future__ import annotations

import pytest

from tests.net.support import Bench, Transport
from txrepl.net.clients import Client
from txrepl.net.relay import SnapshotRelay
from txrepl.replication.states import ReplicaState
from txrepl.resp.requests import encode_command

MARK = b"m" * 40
BEGIN = b"$EOF:" + MARK + b"\r\n"


class Pipe:
    """The child's pipe."""

    def __init__(self) -> None:
        self.is_paused = False
        self.is_closed = False

    def pause(self) -> None:
        """Read no further."""
        self.is_paused = True

    def resume(self) -> None:
        """Read on."""
        self.is_paused = False

    def close(self) -> None:
        """Read nothing any more."""
        self.is_closed = True


class Relaying:
    """Two replicas, one more that came too late, and their snapshot on its way."""

    def __init__(self) -> None:
        self.bench = Bench()
        node = self.bench.node
        self.bench.host.snapshots.busy = True
        self.peers: list[tuple[Client, Transport]] = [self.bench.replica() for _ in range(2)]
        self.bench.host.snapshots.busy = False
        node.primary.snapshot_ended()
        self.late = self.bench.replica()
        self.replicas = list(node.primary.promised())
        self.over = 0
        self.relay = SnapshotRelay(node, self.replicas, MARK, self._end)
        self.pipe = Pipe()
        for _, transport in self.peers:
            transport.take()
        self.relay.attach(self.pipe)  # type: ignore[arg-type]

    def _end(self) -> None:
        self.over += 1

    def taken(self) -> list[bytes]:
        """What each of the two was sent since the last call."""
        return [transport.take() for _, transport in self.peers]

    def finish(self) -> None:
        """The child has written everything, and exits well."""
        self.relay.pipe_ended()
        self.relay.child_ended(True)


@pytest.fixture
def relaying() -> Relaying:
    """A snapshot that has begun."""
    return Relaying()


def test_each_replica_gets_the_snapshot_between_marks(relaying: Relaying) -> None:
    """Who came too late gets none of it."""
    before = relaying.late[1].value()
    relaying.relay.received(b"REDIS")
    relaying.relay.received(b"0009")
    relaying.finish()
    assert relaying.taken() == [BEGIN + b"REDIS0009" + MARK] * 2
    assert all(replica.is_online and replica.awaits_ack for replica in relaying.replicas)
    assert relaying.late[1].value() == before
    assert relaying.bench.said("Diskless rdb transfer, done reading from pipe, 2 replicas still up.") == 1


def test_nothing_is_sent_behind_the_mark_before_the_first_ack(relaying: Relaying) -> None:
    """A Redis replica that loads to disk would take it for a part of the snapshot."""
    relaying.finish()
    relaying.taken()
    relaying.bench.run(b"SET", b"k", b"v")
    assert relaying.taken() == [b"", b""]
    client, _ = relaying.peers[0]
    client.dataReceived(encode_command([b"REPLCONF", b"ACK", b"0"]))
    stream = encode_command([b"SELECT", b"0"]) + encode_command([b"SET", b"k", b"v"])
    assert relaying.taken() == [stream, b""]


def test_the_pipe_waits_for_the_slowest(relaying: Relaying) -> None:
    """It is read on when all have room again."""
    (_, first), (_, second) = relaying.peers
    first.producer.pauseProducing()
    assert relaying.pipe.is_paused
    assert relaying.replicas[0].held_since_ms == relaying.bench.node.now()
    second.producer.pauseProducing()
    first.producer.resumeProducing()
    assert relaying.pipe.is_paused and relaying.replicas[0].held_since_ms is None
    second.producer.resumeProducing()
    assert not relaying.pipe.is_paused


def test_a_replica_that_is_gone_holds_up_nobody(relaying: Relaying) -> None:
    """The others get the rest."""
    (_, first), _ = relaying.peers
    first.producer.pauseProducing()
    first.lose()
    assert not relaying.pipe.is_paused
    relaying.relay.received(b"REDIS")
    relaying.finish()
    assert relaying.taken() == [BEGIN, BEGIN + b"REDIS" + MARK]
    assert relaying.bench.said("1 replicas still up") == 1


def test_the_marks_are_sent_when_pipe_and_child_have_ended_in_either_order(relaying: Relaying) -> None:
    """The pipe may still hold what the child wrote last."""
    relaying.relay.child_ended(True)
    relaying.relay.received(b"REDIS")
    assert relaying.taken() == [BEGIN + b"REDIS"] * 2
    assert relaying.over == 0
    relaying.relay.pipe_ended()
    assert relaying.taken() == [MARK] * 2
    assert relaying.over == 1


@pytest.mark.parametrize("pipe_first", [True, False])
def test_a_child_that_failed_costs_its_replicas_their_connections(relaying: Relaying, pipe_first: bool) -> None:
    """Half a snapshot must never end in a mark."""
    if pipe_first:
        relaying.relay.pipe_ended()
    relaying.relay.child_ended(False)
    assert relaying.taken() == [BEGIN] * 2
    assert [transport.ended for _, transport in relaying.peers] == ["aborted"] * 2
    assert relaying.pipe.is_closed
    assert relaying.over == 1
    assert not relaying.late[1].ended
    assert all(replica.state is ReplicaState.WAIT_BGSAVE_END for replica in relaying.replicas)


def test_after_the_marks_the_connection_is_the_streams(relaying: Relaying) -> None:
    """A full connection then pauses the stream and not the pipe."""
    relaying.finish()
    assert [transport.producer for _, transport in relaying.peers] == [None, None]
    client, transport = relaying.peers[0]
    client.dataReceived(encode_command([b"REPLCONF", b"ACK", b"0"]))
    transport.producer.pauseProducing()
    assert not relaying.pipe.is_paused
