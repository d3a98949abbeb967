"""Snapshots by real children, with replicas whose connections are in memory and a reactor that a test turns."""

from __future__ import annotations

import re
import select
from pathlib import Path
from typing import Any

import pytest

from tests.net.support import Bench, Transport
from txrepl.net.clients import Client
from txrepl.net.snapshots import SnapshotShell
from txrepl.replication.states import ReplicaState
from txrepl.resp.requests import encode_command

WAIT_MOST_S = 30


class Reactor:
    """Keeps the readers, and tells those that have something."""

    def __init__(self) -> None:
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:  # noqa: N802
        """It wants to be told."""
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:  # noqa: N802
        """It does not."""
        self.readers.discard(reader)

    def turn(self) -> None:
        """Wait until one of them has something, and tell it."""
        ready, _, _ = select.select(list(self.readers), [], [], WAIT_MOST_S)
        assert ready, "nothing came"
        for reader in ready:
            if reader in self.readers:
                reader.doRead()


class Snapshots:
    """A node whose snapshots are real."""

    def __init__(self, directory: Path) -> None:
        self.reactor = Reactor()
        self.bench = Bench()
        self.shell = SnapshotShell(self.bench.node, self.reactor)
        self.bench.host.snapshots = self.shell  # type: ignore[assignment]
        self.bench.node.primary.snapshots = self.shell
        self.bench.node.config.assign("dir", str(directory))

    def without_eof(self) -> tuple[Client, Transport]:
        """A replica that only takes a file."""
        client, transport = self.bench.connect()
        client.dataReceived(encode_command([b"REPLCONF", b"capa", b"psync2"]))
        client.dataReceived(encode_command([b"PSYNC", b"?", b"-1"]))
        return client, transport

    def states(self) -> list[ReplicaState | None]:
        """Where the replicas stand, in order of arrival."""
        return [replica.state for replica in self.bench.node.primary.replicas.values()]


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    """A node with a key."""
    made = Snapshots(tmp_path)
    made.bench.run(b"SET", b"k", b"v")
    return made


def promised(transport: Transport) -> int:
    """The offset of the snapshot that a replica was promised."""
    found = re.search(rb"\+FULLRESYNC [0-9a-f]{40} (\d+)\r\n", transport.value())
    assert found is not None
    return int(found[1])


def test_a_snapshot_that_a_slow_replica_still_takes_is_not_mixed_up_with_the_next(snapshots: Snapshots) -> None:
    """The child is gone, what it wrote is not: who comes now waits, and shares neither its bytes nor its offset."""
    _, slow = snapshots.bench.replica()
    slow.room_bytes = 1
    while snapshots.bench.node.saver.child_since_ms is not None:
        snapshots.reactor.turn()
    assert snapshots.shell.busy
    snapshots.bench.run(b"SET", b"k", b"w")
    _, late = snapshots.without_eof()
    assert snapshots.states() == [ReplicaState.WAIT_BGSAVE_END, ReplicaState.WAIT_BGSAVE_START]
    slow.drain()
    while snapshots.states() != [ReplicaState.ONLINE, ReplicaState.SEND_BULK]:
        snapshots.reactor.turn()
    while snapshots.states()[1] is ReplicaState.SEND_BULK:
        late.drain()
    mark, bulk = slow.value().partition(b"$EOF:")[2].split(b"\r\n", 1)
    assert bulk.startswith(b"REDIS") and bulk.endswith(mark)
    assert promised(late) > promised(slow)
    assert not snapshots.shell.busy and not snapshots.shell.to_sockets
