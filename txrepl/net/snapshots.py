"""Snapshots in a forked child: to our own file, to a file for replicas, or straight to their connections."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any, Final

from txrepl.config import Config
from txrepl.net.bulk import key_delay_s
from txrepl.net.child import PipeReader, fork_child
from txrepl.net.garbage import quiet_collector
from txrepl.net.relay import SnapshotRelay, SnapshotStream
from txrepl.node import Node
from txrepl.node.host import SnapshotFlow
from txrepl.persistence.snapshot import Loader, objection, save_file, suited, write_snapshot
from txrepl.replication.replica import Replica
from txrepl.replication.snapshot_kind import SnapshotKind

LOAD_BYTES: Final = 1024 * 1024


def dump_path(config: Config) -> str:
    """The dump file."""
    return os.path.join(config.get_str("dir"), config.get_str("dbfilename"))


class SnapshotShell:
    """Makes a node's snapshots, one at a time.

    Attributes:
        to_sockets: the present one goes to connections, of replicas or of others.
    """

    def __init__(self, node: Node, reactor: Any) -> None:
        self._node = node
        self._reactor = reactor
        self._pid = 0
        self._ended: Callable[[bool], None] | None = None
        self._relay: SnapshotRelay | None = None
        self.to_sockets = False

    @property
    def busy(self) -> bool:
        """A child is at work, or what it has written is still on its way to replicas: until then they wait for it."""
        return bool(self._pid) or self._relay is not None

    @property
    def path(self) -> str:
        """The dump file."""
        return dump_path(self._node.config)

    def _options(self) -> dict[str, bool | int]:
        config = self._node.config
        return {
            "compress": config.get_bool("rdbcompression"),
            "checksum": config.get_bool("rdbchecksum"),
            "now_s": self._node.now() // 1000,
        }

    # -- in the foreground

    def save_now(self) -> None:
        """Save to the dump file.

        Raises:
            OSError: the disk refused it.
        """
        node = self._node
        with node.timed("rdb-save"):
            save_file(node.keyspace, self.path, node.storage.origin(), self._options())

    def load_now(self) -> Loader:
        """Load the dump file.

        Raises:
            OSError, RdbError: it cannot be read.
        """
        node = self._node
        keyspace = node.keyspace
        loader = Loader(
            len(keyspace.databases),
            node.now(),
            keyspace.limits,
            drop_expired=not node.link.host,
            counts_uses=keyspace.counts_uses,
        )
        with node.timed("rdb-load"), open(self.path, "rb") as file, quiet_collector():
            while data := file.read(LOAD_BYTES):
                loader.feed(data)
        loader.reader.finish()
        return loader

    # -- in a child

    def start_save(self) -> None:
        """Fork a child that saves to the dump file.

        Raises:
            OSError: it cannot be started.
        """
        node = self._node
        path, aux, options = self.path, node.storage.origin(), self._options()
        self._fork(lambda: self._save(path, aux, options), self._save_ended)
        node.log("notice", f"Background saving started by pid {self._pid}")

    def _save(self, path: str, aux: dict[bytes, bytes], options: dict[str, bool | int]) -> None:
        save_file(self._node.keyspace, path, aux, options, self._key_delay())
        self._node.log("child", "DB saved on disk")

    def _save_ended(self, ok: bool) -> None:
        self._node.storage.save_ended(ok)
        self._node.primary.snapshot_ended()

    def objection(self, kind: SnapshotKind) -> str:
        """Why there can be no snapshot of this kind, in words; empty if there can."""
        return objection(self._node.keyspace, kind)

    def suited(self, kind: SnapshotKind) -> SnapshotKind:
        """The kind whose snapshot has the same bytes for the present dataset, and suits the most replicas."""
        return suited(self._node.keyspace, kind)

    def start_for_replicas(self, *, to_sockets: bool, replicas: list[Replica], kind: SnapshotKind) -> None:
        """Fork a child that writes for replicas.

        Raises:
            OSError: it cannot be started.
        """
        if to_sockets:
            self._start_relayed(replicas, kind)
        else:
            self._start_file(kind)

    def _start_file(self, kind: SnapshotKind) -> None:
        node = self._node
        path = os.path.join(node.config.get_str("dir"), f"temp-sync-{os.getpid()}.rdb")
        aux, options = node.storage.origin(), self._options()

        def work() -> None:
            with open(path, "wb") as file:
                self._write(file.write, aux, options, kind)
            node.log("child", "DB saved on disk")

        def ended(ok: bool) -> None:
            try:
                size_bytes = os.path.getsize(path) if ok else 0
            except OSError as error:
                node.log("warning", f"SYNC failed. Can't open/stat DB after BGSAVE: {error.strerror}")
                ok = False
            if ok:
                node.primary.snapshot_saved(path, size_bytes)
            else:
                node.primary.snapshot_failed()
            if os.path.exists(path):
                os.unlink(path)  # those who are being sent it have it open
            node.primary.snapshot_ended()

        self._fork(work, ended)
        node.log("notice", f"Background saving started by pid {self._pid}")

    def _start_relayed(self, replicas: list[Replica], kind: SnapshotKind) -> None:
        node = self._node

        def over() -> None:
            self._relay = None
            self.to_sockets = False
            node.primary.snapshot_ended()

        relay = SnapshotRelay(node, replicas, node.random_id().encode(), over)
        pipe = self._fork_to_pipe(kind, relay.received, relay.pipe_ended, relay.child_ended)
        self._relay = relay
        relay.attach(pipe)
        node.log("notice", f"Background RDB transfer started by pid {self._pid}")

    def start_stream(self, received: Callable[[bytes], None], ended: Callable[[bool], None]) -> SnapshotFlow:
        """Fork a child that writes for a reader of our own (see `SaveHost`)."""
        stream = SnapshotStream(ended, self.kill)

        def child_ended(ok: bool) -> None:
            stream.child_ended(ok)
            self._node.primary.snapshot_ended()

        stream.pipe = self._fork_to_pipe(None, received, stream.pipe_ended, child_ended)
        self._node.log("notice", f"Background RDB transfer started by pid {self._pid}")
        return stream

    def _fork_to_pipe(
        self,
        kind: SnapshotKind | None,
        received: Callable[[bytes], None],
        pipe_ended: Callable[[], None],
        ended: Callable[[bool], None],
    ) -> PipeReader:
        aux, options = self._node.storage.origin(), self._options()
        reading, writing = os.pipe()

        def work() -> None:
            with open(writing, "wb", buffering=0) as pipe:
                self._write(_whole(pipe.write), aux, options, kind)

        try:
            self._fork(work, ended, keep=(writing,), to_sockets=True)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        return PipeReader(self._reactor, reading, received, pipe_ended)

    def _write(
        self,
        write: Callable[[bytes], object],
        aux: dict[bytes, bytes],
        options: dict[str, bool | int],
        kind: SnapshotKind | None,
    ) -> None:
        write_snapshot(
            self._node.keyspace,
            write,
            aux,
            kind=kind,
            compress=bool(options["compress"]),
            checksum=bool(options["checksum"]),
            now_s=options["now_s"],
            after_key=self._key_delay(),
        )

    def _key_delay(self) -> Callable[[], None] | None:
        """What a child does after each key by `rdb-key-save-delay`."""
        delay_us = self._node.config.get_int("rdb-key-save-delay")
        if not delay_us:
            return None
        pause_s = key_delay_s(delay_us, 1)
        return lambda: time.sleep(pause_s)

    def _fork(
        self,
        work: Callable[[], None],
        ended: Callable[[bool], None],
        *,
        keep: tuple[int, ...] = (),
        to_sockets: bool = False,
    ) -> None:
        alive, hold = os.pipe()
        try:
            with self._node.timed("fork") as elapsed:
                self._pid = fork_child(work, (*keep, hold))
        except OSError:
            os.close(alive)
            raise
        finally:
            os.close(hold)
        stats = self._node.stats
        stats.forks += 1
        stats.last_fork_us = elapsed.microseconds
        self._node.saver.forked(self._node.now(), to_file=not to_sockets)
        self.to_sockets = to_sockets
        self._ended = ended
        PipeReader(self._reactor, alive, lambda _: None, self._child_ended)

    def _child_ended(self) -> None:
        """The child has closed its pipe: it has exited, or is about to."""
        _, status = os.waitpid(self._pid, 0)
        ok = os.waitstatus_to_exitcode(status) == 0
        kind = "RDB transfer" if self.to_sockets else "saving"
        if ok:
            self._node.log("notice", f"Background {kind} terminated with success")
        elif os.WIFSIGNALED(status):
            kind = kind.removeprefix("RDB ")
            self._node.log("warning", f"Background {kind} terminated by signal {os.WTERMSIG(status)}")
        else:
            kind = kind.removeprefix("RDB ")
            self._node.log("warning", f"Background {kind} error")
        self._node.saver.exited(self._node.now())
        self.to_sockets = self._relay is not None
        self._pid = 0
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(ok)

    def kill(self) -> None:
        """End the child at work; its end is noticed as any other."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)


def _whole(write: Callable[[bytes], int | None]) -> Callable[[bytes], None]:
    """A write to a pipe that takes everything, as many calls as it needs."""

    def put(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[write(view) or 0 :]  # type: ignore[arg-type]

    return put
