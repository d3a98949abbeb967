"""A full sync from the primary: received, loaded, and at the end ours.

    promised ─ transfer_begun ─ load_begun ─ transfer_moved … ─ resynchronized       straight to the parser
    promised ─ transfer_begun ─ transfer_moved … ─ load_begun … ─ resynchronized     to a file first

Until the last step our data and history stay, unless `repl-diskless-load flush-before-load` says otherwise. The guard
is asked twice, at the promise and when everything is read; what it refuses waits for `accept_primary`. A transfer that
breaks off is `Following.link_failed`.
"""

from __future__ import annotations

from txrepl.commands.stats import Loading
from txrepl.errors import RdbError, ReplicationError
from txrepl.keyspace.database import Keyspace
from txrepl.node.answers import Answers
from txrepl.node.core import Core
from txrepl.node.delaying import Delaying
from txrepl.node.following import Following
from txrepl.node.storage import Storage
from txrepl.persistence.snapshot import Loader
from txrepl.replication.decisions import Answer, HistoryEnd, Stage
from txrepl.replication.events import EventKind
from txrepl.replication.guard import Cause
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.history import NO_REPLID
from txrepl.replication.link import Transfer
from txrepl.replication.psync import understand
from txrepl.replication.states import LinkState


class FullSync:
    """What a full sync does to the node that receives it."""

    def __init__(
        self, core: Core, following: Following, answers: Answers, delaying: Delaying, storage: Storage
    ) -> None:
        self._core = core
        self._following = following
        self._answers = answers
        self._delaying = delaying
        self._storage = storage
        self._link = core.link
        self._keyspace = core.keyspace

    # -- receiving ----------------------------------------------------------------------------------------------

    def promised(self, outcome: Outcome) -> None:
        """The primary will send everything; until that has proven readable our data and history stay.

        Raises:
            ReplicationError: it must not, as `guard` says.
        """
        core, following = self._core, self._following
        core.failover.taken_over()
        made = understand(following.introduction(), outcome)
        self._answers.received(made, Answer.SYNC if outcome.resync is Resync.SYNC else Answer.FULL)
        now_ms = core.now()
        if self._link.resumable:
            keys = self._keyspace.counts()[0]
            refused = core.guard.check_promised(core.delay.stop_before, outcome, keys, now_ms)
            self._heed_guard(refused)
        self._answers.note_sync(EventKind.SYNC_STARTED, "the primary sends a full sync")
        self._link.transfer = Transfer(now_ms, now_ms)
        following.link_entered(LinkState.TRANSFER)

    def transfer_begun(self, total_bytes: int) -> bool:
        """The bulk begins (`useDisklessLoad`).

        Returns:
            True if it is to be received to a file first.
        """
        core, transfer = self._core, self._link.transfer
        assert transfer is not None
        transfer.bulk_ms = core.now()
        transfer.total_bytes = total_bytes
        how = core.config.get_str("repl-diskless-load")
        transfer.how = "disabled" if how == "on-empty-db" and self._keyspace.counts()[0] else how
        if transfer.how == "flush-before-load" and core.guard.is_watching:
            transfer.how = "disabled"  # nothing may be dropped before it is known that something comes
        what = f"{total_bytes} bytes from master" if total_bytes else "streamed RDB from master with EOF"
        target = "disk" if transfer.to_disk else "parser"
        core.log("notice", f"MASTER <-> REPLICA sync: receiving {what} to {target}")
        return transfer.to_disk

    def transfer_moved(self, read_bytes: int) -> None:
        """So many bytes of the bulk have come."""
        core, transfer = self._core, self._link.transfer
        assert transfer is not None
        transfer.read_bytes = read_bytes
        transfer.last_io_ms = core.now()
        if core.loading is not None:
            core.loading.read_bytes = read_bytes

    # -- loading ------------------------------------------------------------------------------------------------

    def load_begun(self, total_bytes: int, outcome: Outcome) -> Loader:
        """The RDB is loaded from here on, into a keyspace of its own.

        With `swapdb` the old data is served meanwhile if it is of the same history; with `flush-before-load` it is
        dropped now, for want of memory for both; else it stays, unserved, until the new data is complete.
        """
        core, keyspace, transfer = self._core, self._keyspace, self._link.transfer
        assert transfer is not None
        self._stop_save(transfer)
        if transfer.how != "swapdb":
            core.log("notice", "MASTER <-> REPLICA sync: Flushing old data")
        if transfer.how == "flush-before-load":
            self._part_from_history()
            keyspace.adopt(Keyspace(len(keyspace.databases), keyspace.rng))
        core.log("notice", "MASTER <-> REPLICA sync: Loading DB in memory")
        same_history = core.feed.history.replid == outcome.replid
        core.loading = Loading(core.now(), total_bytes, served=transfer.how == "swapdb" and same_history)
        core.refresh_gate()
        return Loader(
            len(keyspace.databases),
            core.now(),
            keyspace.limits,
            drop_expired=False,
            checksum=core.config.get_bool("rdbchecksum"),
            counts_uses=keyspace.counts_uses,
        )

    def load_failed(self, error: RdbError) -> None:
        """The RDB cannot be read."""
        log, transfer = self._core.log, self._link.transfer
        assert transfer is not None
        log("warning", f"Internal error in RDB reading offset {error.position} -> {error.reason}")
        source = "disk" if transfer.to_disk else "socket"
        kept = "the old data is gone" if transfer.how == "flush-before-load" else "the old data is kept"
        log("warning", f"Failed trying to load the MASTER synchronization DB from {source}, {kept}")
        if transfer.how == "swapdb":
            log("notice", "MASTER <-> REPLICA sync: Discarding temporary DB in background")

    def resynchronized(self, loader: Loader, outcome: Outcome) -> None:
        """The bulk is loaded: its data and history are ours now.

        Raises:
            ReplicationError: they must not be, as `guard` says; nothing has changed.
        """
        core, keyspace, transfer = self._core, self._keyspace, self._link.transfer
        assert transfer is not None
        history = core.feed.history
        keys = keyspace.counts()[0]
        refused = core.guard.check_received(loader.keys_loaded, outcome, keys, history, core.now())
        self._heed_guard(refused)
        self._storage.note_load(loader)
        self._part_from_history()
        if transfer.how == "swapdb":
            core.log("notice", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
        keyspace.adopt(loader.keyspace)
        if transfer.how == "swapdb":
            core.log("notice", "MASTER <-> REPLICA sync: Discarding old DB in background")
        if not transfer.to_disk:
            keyspace.dirty += 1  # no file holds the new data
        if history.replid != outcome.replid:
            core.primary.decisions.history_ended(history.replid, HistoryEnd.REPLACED)
        self._answers.transfer_ended(Stage.LOADED)
        if outcome.offset >= 0 and outcome.replid != NO_REPLID:
            history.adopt(outcome.replid, outcome.offset)
            self._link.resumable = True
        else:
            history.change_id()
            history.offset = 0
            self._link.resumable = False
        core.feed.timeline.begin(core.now(), history.offset)
        core.feed.open_backlog(core.settings.backlog_bytes)
        self._link.transfer = None
        core.loading = None
        self._answers.note_sync(EventKind.SYNC_DONE, "the full sync is loaded", size_bytes=transfer.read_bytes)
        core.log("notice", "MASTER <-> REPLICA sync: Finished with success")
        self._following.begin_stream(loader.stream_database)

    def keeps_file(self) -> bool:
        """Whether the file of a full sync becomes the dump file: unless the server is to leave none behind."""
        core = self._core
        if core.config.get_bool("rdb-del-sync-files") and not core.saver.points:
            core.log("notice", "Removing the RDB file obtained from the master. This replica has persistence disabled")
            return False
        return True

    def _stop_save(self, transfer: Transfer) -> None:
        """End a background save of the old data: it would take the place of the new (`killRDBChild`)."""
        core = self._core
        if core.saver.started_ms is None:
            return
        if transfer.to_disk:
            core.log(
                "notice",
                "Replica is about to load the RDB file received from the master, but there is a pending RDB child "
                "running. Killing it to avoid any race",
            )
        core.saver.abandon()
        core.host.snapshots.kill()

    def _part_from_history(self) -> None:
        """Our data will be another's: nobody can go on from what we were (`replicationAttachToNewMaster`)."""
        core = self._core
        if self._link.resumable:
            core.log("notice", "Discarding previously cached master state.")
        self._link.resumable = False
        core.delay.clear()
        self._following.end_stream()
        core.primary.drop_all()
        core.feed.close_backlog()

    # -- what the guard stops -----------------------------------------------------------------------------------

    def _heed_guard(self, refused: str) -> None:
        """Raise ReplicationError if there is a reason why a full sync must not be taken."""
        stop = self._core.guard.stop
        if refused and stop is not None:
            self._core.events.note(EventKind.GUARD_STOPPED, refused, cause=stop.cause.value, keys=stop.keys)
            raise ReplicationError(refused)

    def accept_primary(self, who: str) -> None:
        """The guard has stopped the link: follow the primary all the same, and take what it has, once."""
        core = self._core
        stop = core.guard.stop
        if stop is None:
            return
        core.guard.accept()
        core.events.note(EventKind.GUARD_SETTLED, "the full sync that was stopped is accepted")
        core.log("notice", f"The full sync that was stopped is accepted (user request from '{who}')")
        self._delaying.forget_stop()
        self._following.connect()

    def guard_empty_primary(self, is_on: bool) -> None:
        """`replica-empty-primary-guard`: switched off, it lets a link go on that it has stopped."""
        guard = self._core.guard
        guard.is_on = is_on
        if not is_on and guard.stop is not None and guard.stop.cause is Cause.EMPTY_PRIMARY:
            self.accept_primary("CONFIG SET replica-empty-primary-guard no")
