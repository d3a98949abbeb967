"""Passes a diskless snapshot from the child's pipe to all replicas that wait for it, at the pace of the slowest.

Each gets `$EOF:` and a mark of 40 bytes, the RDB, and the mark again (`rdbPipeReadHandler`). The pipe is read no
further while any of them is behind; one that is dropped holds up nobody.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from txrepl.net.child import PipeReader
from txrepl.node import Node
from txrepl.replication.decisions import EndCause
from txrepl.replication.replica import Replica
from txrepl.replication.states import ReplicaState


@implementer(IPushProducer)
class _Flow:
    """Tells the relay when one replica's connection is full, drained, or gone."""

    def __init__(self, relay: SnapshotRelay, replica: Replica) -> None:
        self._relay = relay
        self._replica = replica

    def pauseProducing(self) -> None:  # noqa: N802
        self._relay.hold(self._replica)

    def resumeProducing(self) -> None:  # noqa: N802
        self._relay.release(self._replica)

    def stopProducing(self) -> None:  # noqa: N802
        self._relay.release(self._replica)


class SnapshotRelay:
    """One diskless snapshot on its way.

    Parameters:
        replicas: who it is for.
        mark: 40 random bytes that end it.
        over: called once nothing of it is left to pass on, well or not.
    """

    def __init__(self, node: Node, replicas: list[Replica], mark: bytes, over: Callable[[], None]) -> None:
        self._node = node
        self._mark = mark
        self._over = over
        self._all = list(replicas)
        self._behind: set[int] = set()
        self._pipe: PipeReader | None = None
        self._pipe_done = False
        self._child_ok: bool | None = None

    @property
    def replicas(self) -> list[Replica]:
        """Those that are still there."""
        known = self._node.primary.replicas
        return [
            replica
            for replica in self._all
            if known.get(replica.number) is replica and replica.state is ReplicaState.WAIT_BGSAVE_END
        ]

    def attach(self, pipe: PipeReader) -> None:
        """Begin: announce the bulk to each replica."""
        self._pipe = pipe
        for replica in self.replicas:
            outlet = replica.outlet
            assert outlet is not None
            outlet.begin_bulk(_Flow(self, replica))
            outlet.write(b"$EOF:" + self._mark + b"\r\n")

    def received(self, data: bytes) -> None:
        """A piece of the RDB."""
        for replica in self.replicas:
            assert replica.outlet is not None
            replica.outlet.write(data)
            replica.snapshot_moved(len(data))

    def hold(self, replica: Replica) -> None:
        """A replica's connection is full."""
        self._behind.add(replica.number)
        replica.held_since_ms = self._node.now()
        if self._pipe is not None:
            self._pipe.pause()

    def release(self, replica: Replica) -> None:
        """A replica's connection has room again, or is gone."""
        self._behind.discard(replica.number)
        replica.held_since_ms = None
        if not self._behind and self._pipe is not None:
            self._pipe.resume()

    def pipe_ended(self) -> None:
        """The whole RDB was read."""
        self._node.log(
            "notice", f"Diskless rdb transfer, done reading from pipe, {len(self.replicas)} replicas still up."
        )
        self._pipe_done = True
        self._finish()

    def child_ended(self, ok: bool) -> None:
        """The child has exited; the pipe may still hold what it wrote last."""
        self._child_ok = ok
        self._finish()

    def _finish(self) -> None:
        if self._child_ok is False:
            if self._pipe is not None:
                self._pipe.close()
            for replica in self.replicas:
                self._node.log("warning", "SYNC failed. BGSAVE child returned an error")
                replica.drop(EndCause.SNAPSHOT_FAILED)
            self._over()
            return
        if not self._pipe_done or self._child_ok is None:
            return
        for replica in self.replicas:
            outlet = replica.outlet
            assert outlet is not None
            outlet.write(self._mark)
            outlet.end_bulk()
            self._node.primary.snapshot_streamed(replica)
        self._over()


class SnapshotStream:
    """A snapshot on its way from the child's pipe to a reader that is no replica.

    Parameters:
        ended: called once: True if the RDB is whole.
        kill: ends the child.

    Attributes:
        pipe: the child's; set once it is forked.
    """

    def __init__(self, ended: Callable[[bool], None], kill: Callable[[], None]) -> None:
        self.pipe: PipeReader | None = None
        self._ended = ended
        self._kill = kill
        self._pipe_done = False
        self._child_ok: bool | None = None

    def pause(self) -> None:
        """Read the pipe no further for now."""
        if self.pipe is not None:
            self.pipe.pause()

    def resume(self) -> None:
        """Read on."""
        if self.pipe is not None:
            self.pipe.resume()

    def stop(self) -> None:
        """Nobody needs it any more."""
        if self._child_ok is None:
            self._kill()

    def pipe_ended(self) -> None:
        """Everything was read."""
        self._pipe_done = True
        self._finish()

    def child_ended(self, ok: bool) -> None:
        """The child has exited; the pipe may still hold what it wrote last."""
        self._child_ok = ok
        if not ok and self.pipe is not None:
            self.pipe.close()
        self._finish()

    def _finish(self) -> None:
        if self._child_ok is False or (self._child_ok and self._pipe_done):
            self._ended(self._child_ok)
