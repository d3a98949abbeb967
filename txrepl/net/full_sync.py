"""One full sync: the bulk received, to a file or straight to the parser, and loaded.

Where and how is the node's to say (`repl-diskless-load`); here are the connection, the file, and the pace. When the
bulk is complete the connection is read no further until the data is the node's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import defer, task

from txrepl.errors import RdbError, ReplicationError
from txrepl.net.bulk import Pace, SyncFile, load_file
from txrepl.net.garbage import quiet_collector
from txrepl.net.snapshots import dump_path
from txrepl.node import Node
from txrepl.persistence.snapshot import Loader
from txrepl.replication.handshake import Outcome
from txrepl.replication.transfer import BulkReader, RdbTarget, Spool


class Wire(Protocol):
    """The connection to the primary.

    Attributes:
        receive: what is called with the bytes that come.
        closed: called back when it is closed.
    """

    receive: Callable[[bytes], None] | None
    closed: defer.Deferred[None]

    def rest(self) -> None:
        """Read no further for now."""

    def go_on(self) -> None:
        """Read on."""

    def take_buffer(self) -> bytes:
        """What came and was not received."""


class FullSync:
    """A full sync that the primary has promised.

    Parameters:
        clock: time.
        wire: what the bulk comes from.
        outcome: the promise.
    """

    def __init__(self, node: Node, clock: Any, wire: Wire, outcome: Outcome) -> None:
        self._node = node
        self._clock = clock
        self._wire = wire
        self._outcome = outcome
        self._bulk = BulkReader(self._begin)
        self._file: SyncFile | None = None
        self._loader: Loader | None = None
        self._pace: Pace | None = None
        self._finished: defer.Deferred[None] = defer.Deferred()

    async def run(self) -> bytes:
        """Receive, load, and make the data the node's; the bytes that came behind the bulk.

        Raises:
            ReplicationError: the transfer broke off.
            RdbError: the RDB cannot be read.
        """
        node = self._node
        node.full_sync.promised(self._outcome)
        try:
            await self._receive()
            if self._file is not None:
                self._loader = node.full_sync.load_begun(self._file.size_bytes, self._outcome)
                await load_file(self._file.rewind(), self._loader, node.config, self._clock, node.storage.load_moved)
                await self._file.settle()
            assert self._loader is not None
            node.full_sync.resynchronized(self._loader, self._outcome)
            if self._file is not None and node.full_sync.keeps_file():
                self._keep(self._file)
        except RdbError as error:
            node.full_sync.load_failed(error)
            raise
        finally:
            if self._file is not None:
                self._file.close()
        return self._bulk.rest

    def _begin(self, total_bytes: int, mark: bytes) -> RdbTarget:
        node = self._node
        if node.full_sync.transfer_begun(total_bytes):
            self._file = SyncFile(node.config.get_str("dir"), node.now() // 1000)
            return Spool(self._file.write, mark)
        self._loader = node.full_sync.load_begun(total_bytes, self._outcome)
        self._pace = Pace(node.config, self._loader)
        return self._loader

    async def _receive(self) -> None:
        wire, finished = self._wire, self._finished
        wire.receive = self._take
        wire.closed.addCallback(self._closed)
        rest = wire.take_buffer()
        if rest:
            self._take(rest)
        with quiet_collector():
            await finished
        pause_s = self._pace.pause_s() if self._pace is not None else 0
        if pause_s:
            await task.deferLater(self._clock, pause_s)

    def _closed(self, _: None) -> None:
        if not self._finished.called:
            self._finished.errback(ReplicationError("I/O error trying to sync with MASTER: connection lost"))

    def _take(self, data: bytes) -> None:
        wire, bulk = self._wire, self._bulk
        try:
            bulk.feed(data)
        except (RdbError, ReplicationError) as error:
            wire.receive = ignore
            self._finished.errback(error)
            return
        self._node.full_sync.transfer_moved(bulk.read_bytes)
        if bulk.done:
            wire.receive = None
            wire.rest()
            self._finished.callback(None)
        elif self._pace is not None:
            pause_s = self._pace.pause_s()
            if pause_s:
                wire.rest()
                self._clock.callLater(pause_s, wire.go_on)

    def _keep(self, file: SyncFile) -> None:
        """Make the received file the dump file, as which a restart finds it."""
        path = dump_path(self._node.config)
        try:
            file.keep(path)
        except OSError as error:
            self._node.log(
                "warning",
                f"Failed trying to rename the temp DB into {path} in MASTER <-> REPLICA synchronization: "
                f"{error.strerror}",
            )


def ignore(data: bytes) -> None:
    """Bytes that nobody waits for any more."""
