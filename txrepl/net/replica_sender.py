"""Sends the stream (and before it a snapshot file) to one attached replica.

A replica that keeps up gets the bytes that the backlog got, at once. One that does not is paused by its transport and
reads on from the backlog, where its cursor is pinned: its delay costs no memory of its own.
"""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.interfaces import IPushProducer
from twisted.protocols.basic import FileSender
from twisted.python.failure import Failure
from zope.interface import implementer

from txrepl.node import Node
from txrepl.replication.decisions import EndCause
from txrepl.replication.replica import Replica

READ_BYTES: Final = 64 * 1024


class SnapshotSender(FileSender):
    """Sends a file in pieces larger than Twisted's."""

    CHUNK_SIZE = 256 * 1024


@implementer(IPushProducer)
class ReplicaSender:
    """The sending half of a replica's connection.

    Parameters:
        transport: the connection.
    """

    def __init__(self, node: Node, replica: Replica, transport: Any) -> None:
        self._node = node
        self._replica = replica
        self._transport = transport
        self._cursor = 0
        self._paused = False
        self._producing = False

    def send_file(self, path: str, size_bytes: int) -> None:
        """Send `$size` and the file, then tell the primary; if it cannot be opened, the replica is dropped."""
        try:
            file = open(path, "rb")  # noqa: SIM115 - closed when the transfer ends
        except OSError as error:
            self._node.log("warning", f"SYNC failed. Can't open/stat DB after BGSAVE: {error.strerror}")
            self._replica.drop(EndCause.SNAPSHOT_FAILED)
            return
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        self._transport.write(self._counted(b"$%d\r\n" % size_bytes))
        transfer = SnapshotSender().beginFileTransfer(file, self._transport, self._counted)

        def sent(_: bytes) -> None:
            self._replica.snapshot_moved(file.tell())
            file.close()
            self._node.primary.file_sent(self._replica)

        def broken(failure: Failure) -> None:
            self._replica.snapshot_moved(file.tell())
            file.close()
            self._transport.abortConnection()

        transfer.addCallbacks(sent, broken)

    def _counted(self, data: bytes) -> bytes:
        stats = self._node.stats
        stats.writes += 1
        stats.replica_output_bytes += len(data)
        return data

    def stream_from(self, offset: int) -> None:
        """Send the stream from `offset` on."""
        self._cursor = offset
        self._producing = True
        self._transport.registerProducer(self, True)
        if not self._producing:
            return  # the transport is gone, and said so
        self._node.feed.listeners[self._replica.number] = self._heard
        self._pump()

    def _heard(self, data: bytes, start: int) -> None:
        """The stream has grown."""
        if self._paused or not self._producing:
            return
        if self._cursor == start:
            self._advance(data)
        else:
            self._pump()

    def _advance(self, data: bytes) -> None:
        self._cursor += len(data)
        self._replica.sent_offset = self._cursor - 1
        backlog = self._node.feed.backlog
        if backlog is not None:
            backlog.pin(self._replica.number, self._cursor)
        self._transport.write(self._counted(data))

    def _pump(self) -> None:
        backlog = self._node.feed.backlog
        while not self._paused and self._producing and backlog is not None and self._cursor < backlog.end_offset:
            self._advance(backlog.read(self._cursor, READ_BYTES))

    def pauseProducing(self) -> None:  # noqa: N802
        """The socket takes no more."""
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802
        """The socket takes bytes again."""
        self._paused = False
        self._pump()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone, or is to go."""
        if self._producing:
            self._producing = False
            self._node.feed.listeners.pop(self._replica.number, None)
            self._transport.unregisterProducer()
