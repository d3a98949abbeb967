"""The server as a value: keyspace, commands and replication joined, without IO.

Shells tell the node what happened (bytes came, time passed, a link broke) and do what it asks through `Host`.
Roles change here and nowhere else: `replicate_from`, `promote`, a failover's `hand_over` and `take_back`, and the
steps of a resync that end in `resynchronized` or `resumed`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from txrepl.commands.dispatch import EVERY_COMMAND, Dispatcher
from txrepl.commands.migration import Migration, Migrations
from txrepl.commands.propagation import Propagation
from txrepl.commands.registry import build_table
from txrepl.commands.session import CLOSING, PRIMARY, UNAUTHENTICATED, Outlet, Session, Timer
from txrepl.commands.stats import Loading, Stats
from txrepl.commands.subscriptions import PubSub, publish_keyspace_event
from txrepl.commands.table import MAY_REPLICATE, WRITE
from txrepl.commands.transactions import discard_transaction
from txrepl.config import Config
from txrepl.errors import CommandError, RdbError, ReplicationError
from txrepl.keyspace.database import Expiry, Keyspace
from txrepl.persistence.saver import Saver
from txrepl.persistence.snapshot import Loader, origin_aux
from txrepl.replication.decisions import (
    Answer,
    Decision,
    Direction,
    EndCause,
    HistoryEnd,
    Stage,
    Standing,
    why_no_history,
)
from txrepl.replication.delay import SLICE_MS, Delay
from txrepl.replication.events import EventKind, Events
from txrepl.replication.failover import Failover
from txrepl.replication.feed import GETACK, Feed
from txrepl.replication.guard import Cause, Guard
from txrepl.replication.handshake import Introduction, Outcome, Resync
from txrepl.replication.history import NO_REPLID, History
from txrepl.replication.lag import Behind, behind_primary
from txrepl.replication.link import Link, Step, Transfer
from txrepl.replication.primary import Primary, Snapshots
from txrepl.replication.psync import Condition, PsyncDecision, understand
from txrepl.replication.replica import Replica, ReplicaOutlet
from txrepl.replication.settings import Settings
from txrepl.replication.shutdown import Shutdown
from txrepl.replication.states import LinkState
from txrepl.replication.stream import Stream
from txrepl.replication.transcripts import Transcripts
from txrepl.resp.replies import Reply

EXPIRE_SLICE: Final = 400
"""Keys that one tick deletes of a database at most; the next tick goes on."""

WRITES: Final = WRITE | MAY_REPLICATE
"""The commands that a pause of writes holds back."""

SHUTDOWN_FAILED: Final = "ERR Errors trying to SHUTDOWN. Check logs."
UNBLOCKED: Final = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"


class Host(Protocol):
    """What the shell around a node does for it."""

    @property
    def snapshots(self) -> SaveHost:
        """What makes snapshots."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after a while."""

    def connect_primary(self) -> None:
        """Begin to connect to the link's primary."""

    def drop_primary(self) -> None:
        """Close the connection to the primary, in whatever state, and try no further."""

    def cut_primary(self) -> None:
        """Close the connection to the primary, which is then opened anew."""

    def acknowledge(self, offset: int) -> None:
        """Send `REPLCONF ACK offset` to the primary."""

    def migrate(self, migration: Migration) -> None:
        """Run a migration; ends in `Node.migrated`, never before this returns."""

    def migrate_now(self, migration: Migration) -> None:
        """Run a migration to its end, and nothing else meanwhile."""

    def stop(self, *, save: bool, force: bool) -> None:
        """End the server."""

    def panic(self, reason: str) -> None:
        """End the process on the spot, as one whose data may be wrong; does not return."""


class SaveHost(Snapshots, Protocol):
    """Snapshots for replicas, and for ourselves."""

    def start_save(self) -> None:
        """Fork a child that saves to the dump file; ends in `Node.save_ended`.

        Raises:
            OSError: it cannot be started.
        """

    def save_now(self) -> None:
        """Save to the dump file in the foreground.

        Raises:
            OSError: the disk refused it.
        """

    def load_now(self) -> Loader:
        """Load the dump file in the foreground.

        Raises:
            OSError, RdbError: it cannot be read.
        """


class Node:
    """A server.

    Parameters:
        config: the directives; the node follows their changes.
        now: unix time in ms.
        rng: randomness for commands.
        random_id: makes ids of 40 hexadecimal digits.
        log: called as log(level, message).
    """

    def __init__(
        self,
        config: Config,
        now: Callable[[], int],
        rng: random.Random,
        random_id: Callable[[], str],
        log: Callable[[str, str], None],
    ) -> None:
        self.config = config
        self.now = now
        self.random_id = random_id
        self.log = log
        self.run_id = random_id()
        self.started_ms = now()
        self.multiplexing_api = ""
        self.keyspace = Keyspace(config.get_int("databases"), rng)
        self.keyspace.now_ms = self.started_ms
        self.stats = Stats()
        self.saver = Saver(self.started_ms)
        self.settings = Settings()
        self.link = Link()
        self.feed = Feed(History(random_id))
        self.feed.timeline.begin(self.started_ms, self.feed.history.offset)
        self.events = Events(now)
        self.transcripts = Transcripts()
        self.primary = Primary(self.feed, self.settings, log, now, self.events)
        self.pubsub = PubSub()
        self.migrations = Migrations(now)
        self.sessions: dict[int, Session] = {}
        self.table = build_table()
        self.propagation = Propagation(self.keyspace, self.feed)
        self.dispatcher = Dispatcher(self, self.table, self.propagation)
        self.loading: Loading | None = None
        self.host: Host | None = None
        self.expires_actively = True
        self.cron_paused = False
        self.failover = Failover(self.primary, self, log, now)
        self.shutdown = Shutdown(self.primary, self, log, now)
        self._pause_until_ms = 0
        self._pause_flags = 0
        self._pause_timer: Timer | None = None
        self._acks_wanted = False
        self.keyspace.notify = self._notify
        self.guard = Guard()
        self.delay = Delay(self.feed.history)
        self._delay_timer: Timer | None = None
        self._delay_was_full = False
        self._delay_was_held = False
        self._last_number = 0
        self._stream: Stream | None = None
        self._stream_session: Session | None = None
        self._ticks = 0

    # -- clients ------------------------------------------------------------------------------------------------

    def open_session(self, outlet: Outlet, address: str, local_address: str) -> Session:
        """A client has connected."""
        self._last_number += 1
        session = Session(self, self._last_number, outlet)
        session.address = address
        session.local_address = local_address
        session.created_ms = session.last_active_ms = self.now()
        if self.config.get_str("requirepass"):
            session.flags |= UNAUTHENTICATED
        self.sessions[session.number] = session
        self.stats.connections += 1
        return session

    def close_session(self, session: Session) -> None:
        """A client's connection is gone."""
        self.sessions.pop(session.number, None)
        self.dispatcher.stop_waiting(session)
        discard_transaction(session)
        self.pubsub.forget(session)
        if session.replica is not None:
            self.primary.detach(session.replica)
            self.refresh_gate()

    def disconnect(self, session: Session, *, flush: bool = True) -> None:
        """Close a client's connection, after its pending output if `flush`; the primary's is opened anew."""
        if session is self._stream_session:
            assert self.host is not None
            self.host.cut_primary()
            return
        session.flags |= CLOSING
        if session.replica is not None:
            session.replica.end_cause = session.replica.end_cause or EndCause.REQUESTED
        session.outlet.close(flush=flush)

    def primary_session(self) -> Session | None:
        """The session that applies the primary's stream, None while there is none."""
        return self._stream_session if self.link.is_up else None

    def pause(self, duration_ms: int, *, everything: bool) -> None:
        """CLIENT PAUSE: hold back the clients' commands; a pause under way is never shortened (`pauseActions`)."""
        self._pause_until_ms = max(self._pause_until_ms, self.now() + duration_ms)
        if self._pause_timer is not None:
            self._pause_timer.cancel()
        self._pause_timer = self.later(self._pause_until_ms - self.now(), self.unpause)
        everything = everything or self._pause_flags == EVERY_COMMAND
        self._pause_flags = EVERY_COMMAND if everything else WRITES
        self._hold_back()

    def unpause(self) -> None:
        """CLIENT UNPAUSE: let what was held back go on."""
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        self._pause_until_ms = 0
        self._pause_flags = 0
        self._hold_back()

    def _hold_back(self) -> None:
        """Hold back what CLIENT PAUSE, a failover and a shutdown want held back; what none of them wants goes on."""
        before = self.dispatcher.pause_flags
        still = self.failover.is_under_way or self.shutdown.is_waiting
        flags = self._pause_flags | (WRITES if still else 0)
        self.dispatcher.pause_flags = flags
        self.refresh_gate()
        if flags & before != before:
            self.dispatcher.release_paused()
        if not flags:
            for migration in self.migrations.take_held():
                self.later(0, partial(self.migrated, migration))  # not now: it would be a part of UNPAUSE
        if not flags and self._acks_wanted:
            self.request_acknowledgements()
            self.feed.flush()

    def request_acknowledgements(self) -> None:
        """Ask the replicas for their offsets, after a pause if there is one: it promises that our own stands still."""
        self._acks_wanted = bool(self.dispatcher.pause_flags)
        if not self._acks_wanted and not self.link.host:
            self.feed.raw(GETACK)

    def serve(self, session: Session, batch: list[list[bytes]], out: list[bytes]) -> int:
        """Run a client's requests (see `Dispatcher.serve`) and tell the replicas."""
        self.keyspace.now_ms = session.last_active_ms = self.now()
        used = self.dispatcher.serve(session, batch, out)
        self.feed.flush()
        return used

    def call(self, session: Session, argv: list[bytes]) -> Reply:
        """Run a queued command inside EXEC."""
        return self.dispatcher.call(session, argv)

    def unblock(self, session: Session, reply: Reply) -> None:
        """Answer a blocked session and let it go on."""
        self.dispatcher.unblock(session, reply)

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after a while, at the time that then is."""
        assert self.host is not None

        def act() -> None:
            self.keyspace.now_ms = self.now()
            action()
            self.feed.flush()

        return self.host.later(delay_ms, act)

    # -- keys that move to another server -----------------------------------------------------------------------

    def migrate(self, migration: Migration) -> None:
        """Let a migration take its course; its `answer` is called once, later."""
        assert self.host is not None
        self.host.migrate(migration)

    def migrate_now(self, migration: Migration) -> None:
        """Let a migration take its course, and wait for it with the whole server."""
        assert self.host is not None
        self.host.migrate_now(migration)

    def migrated(self, migration: Migration) -> None:
        """A migration is over, well or not: delete what has moved, tell the replicas, answer; after a pause if any."""
        if self.dispatcher.pause_flags:
            self.migrations.held.append(migration)
            return
        self.keyspace.now_ms = self.now()
        self.migrations.end(migration)
        moved = migration.settle(keep=bool(self.link.host) and not migration.follows)
        if moved:
            self.keyspace.emit(migration.db.number, b"DEL", *moved)
            self.propagation.flush(atomic=False)
        reply = migration.reply()
        if isinstance(reply, CommandError):
            self.table.commands["migrate"].failed += 1
            self.stats.count_error(reply.code)
        migration.answer(reply)
        self.dispatcher.release_paused()
        self.feed.flush()

    def _notify(self, event_class: int, event: bytes, key: bytes, database: int) -> None:
        publish_keyspace_event(self.pubsub, self.keyspace.notify_flags, event_class, event, key, database)

    def refresh_gate(self) -> None:
        """Tell the dispatcher what the server refuses in its present state."""
        link = self.link
        follows = bool(link.host)
        still = follows or self.dispatcher.pause_flags  # a pause promises that the dataset does not change
        self.keyspace.expiry = int(Expiry.HIDE if still else Expiry.DELETE)
        self.propagation.muted = follows
        if not follows or self.settings.read_only:
            self.keyspace.local_expires = None
        elif self.keyspace.local_expires is None:
            self.keyspace.local_expires = []
        self.primary.follows = follows
        self.dispatcher.set_gate(
            read_only=follows and self.settings.read_only,
            stale=follows and not link.is_up and not self.settings.serve_stale,
            loading=self.loading is not None,
            save_failed=not self.saver.last_ok
            and bool(self.saver.points)
            and self.config.get_bool("stop-writes-on-bgsave-error"),
            min_replicas=not follows and bool(self.settings.min_replicas and self.settings.min_replicas_max_lag_s),
        )

    # -- attached replicas --------------------------------------------------------------------------------------

    def attach_replica(self, session: Session) -> Replica:
        """The session's replica record, made when it first speaks as one."""
        if session.replica is None:
            session.replica = Replica(session.number, session.address.rpartition(":")[0].strip("[]"))
            outlet = session.outlet
            if isinstance(outlet, ReplicaOutlet):
                session.replica.outlet = outlet
        return session.replica

    def replica_acknowledged(self) -> None:
        """Serve those who WAIT for an offset that is acknowledged now."""
        for session in self.dispatcher.waiters.of_kind("replicas"):
            blocked = session.waiting
            if blocked is not None and blocked.is_met():
                self.unblock(session, blocked.on_timeout())
        if self.failover.is_waiting:
            self.later(0, self.failover.check)  # not now: it would close the connection that is being served

    # -- roles --------------------------------------------------------------------------------------------------

    def replicate_from(self, host: str, port: int, who: str) -> bool:
        """Become a replica of host:port; False if that is our primary already (`replicationSetMaster`)."""
        link = self.link
        if (link.host.lower(), link.port) == (host.lower(), port):
            if self.guard.stop is not None:
                self.accept_primary(who)
                return True
            self.log(
                "notice",
                "REPLICAOF would result into synchronization with the master we are already connected with. "
                "No operation performed.",
            )
            return False
        self._turn_to(host, port)
        self._connect()
        self.log("notice", f"REPLICAOF {host}:{port} enabled (user request from '{who}')")
        return True

    def _turn_to(self, host: str, port: int) -> None:
        """Follow another primary, without connecting to it yet."""
        link = self.link
        was_primary = not link.host
        self._settle_guard("another primary is followed")
        self._drop_link()
        for session in list(self.dispatcher.waiters.sessions.values()):
            if session.waiting is not None and session.waiting.kind == "pause":
                continue
            self.unblock(session, CommandError(UNBLOCKED))
            self.disconnect(session)
        link.host = host
        link.port = port
        if was_primary:
            self.log(
                "notice",
                "Before turning into a replica, using my own master parameters to synthesize a cached master: "
                "I may be able to synchronize with the new master with just a partial transfer.",
            )
            self.feed.flush()
            link.resumable = True
            link.stream_db = -1
            self._forget_delay_stop()  # an offset of our own history
        link.state = LinkState.CONNECT
        link.down_since_ms = 0
        link.current_ms = 0
        link.failures = 0
        link.last_error = ""
        self.refresh_gate()
        self.primary.drop_all()
        self._remember_role()
        self.events.note(EventKind.ROLE_CHANGED, f"a replica of {host}:{port}", role="replica", host=host, port=port)

    def promote(self, who: str, *, asked: str = "user request") -> bool:
        """Become a primary; False if we are one. `asked` says for the log what `who` asked for."""
        if not self.link.host:
            return False
        self._leave_primary()
        self.log("notice", f"MASTER MODE enabled ({asked} from '{who}')")
        return True

    def _leave_primary(self) -> None:
        """Follow nobody, with a history of our own from here on (`replicationUnsetMaster`)."""
        link = self.link
        self._settle_guard("this node becomes a primary")
        self._drop_pending()
        self._drop_link()
        link.host = ""
        link.port = 0
        link.state = LinkState.NONE
        if link.resumable:
            self.log("notice", "Discarding previously cached master state.")
        link.resumable = False
        link.down_since_ms = 0
        self.primary.drop_all()
        history = self.feed.history
        self.feed.flush()
        history.shift()
        self.feed.selected_db = -1
        self.log(
            "notice",
            f"Setting secondary replication ID to {history.replid2}, valid up to offset: {history.second_offset}. "
            f"New replication ID is {history.replid}",
        )
        self.primary.left_alone()
        self.refresh_gate()
        self._remember_role()
        self.events.note(EventKind.ROLE_CHANGED, "a primary", role="primary", replid=history.replid)

    def hold_writes(self) -> None:
        """A failover has begun or ended, or the wait of a shutdown."""
        self._hold_back()
        if self.failover.is_waiting:
            self.later(0, self.failover.check)

    def hand_over(self, host: str, port: int) -> None:
        """A failover's target has everything, or is to go on as it is: follow it, and ask it to be the primary."""
        self._turn_to(host, port)
        self._connect()

    def take_back(self) -> None:
        """A failover's target did not take over: be a primary again."""
        self._leave_primary()

    def _remember_role(self) -> None:
        self.config.assign("replicaof", (self.link.host, self.link.port) if self.link.host else None)

    def begin_following(self) -> None:
        """Connect to the primary that the configuration names."""
        self.link.state = LinkState.CONNECT
        self.refresh_gate()
        self._connect()

    def _connect(self) -> None:
        assert self.host is not None
        self.log("notice", f"Connecting to MASTER {self.link.host}:{self.link.port}")
        self.host.connect_primary()

    def _drop_link(self) -> None:
        """Close the connection to the primary; the history stays good for a partial resync."""
        assert self.host is not None
        self.transcripts.failed(self.now(), "given up: the role changed")
        self.host.drop_primary()
        if self.link.is_up:
            self.log("notice", "Connection with master lost.")
            self.log("notice", "Caching the disconnected master state.")
        self._end_stream()
        if self.link.transfer is not None:
            self._abandon_transfer("the primary is left")

    # -- the link to the primary --------------------------------------------------------------------------------

    def introduction(self) -> Introduction:
        """What we tell the primary of ourselves."""
        settings, link = self.settings, self.link
        history = self.feed.history
        return Introduction(
            port=settings.announce_port or settings.listening_port,
            address=settings.announce_ip,
            user=settings.user,
            password=settings.password,
            replid=history.replid if link.resumable else None,
            offset=self.delay.received_offset + 1 if link.resumable else -1,
            failover=self.failover.is_under_way,
        )

    def link_entered(self, state: LinkState) -> None:
        """The conversation with the primary reached a state."""
        link = self.link
        link.state = state
        link.last_io_ms = self.now()
        if state is LinkState.CONNECTING:
            link.steps = []
        link.steps.append(Step(state, link.last_io_ms))

    def primary_spoke(self, count: int) -> None:
        """Something came from the primary: so many bytes of a bulk or of the stream."""
        self.link.last_io_ms = self.now()
        self.stats.reads += 1
        self.stats.primary_input_bytes += count

    def link_failed(self, reason: str) -> None:
        """The conversation ended before the stream flowed; it will be begun again."""
        link = self.link
        if not link.failures or reason != link.last_error:
            self.events.note(EventKind.LINK_FAILED, reason, host=link.host, port=link.port)
        link.failures += 1
        link.last_error = reason
        self.transcripts.failed(self.now(), reason)
        if link.transfer is not None:
            self._abandon_transfer(reason)
        if self.failover.is_under_way and link.state is LinkState.RECEIVE_PSYNC:
            self.later(0, lambda: self.failover.abort("Failover target rejected psync request"))
        if link.host:
            link.state = LinkState.CONNECT
        self.refresh_gate()

    def sync_refused(self, reason: str) -> None:
        """The primary cannot bring us up to date now; `link_failed` follows."""
        asked = self.introduction()
        made = PsyncDecision(False, asked.replid or "?", asked.offset, reason, condition=Condition.TRY_LATER)
        self._received(made, Answer.REFUSED)

    def link_lost(self, reason: str) -> None:
        """The stream broke off: keep the history for a partial resync (`replicationHandleMasterDisconnection`)."""
        link = self.link
        self._end_stream()
        link.current_ms = link.last_io_ms
        self.log("notice", "Connection with master lost.")
        if link.resumable:
            self.log("notice", "Caching the disconnected master state.")
        link.last_error = reason
        link.state = LinkState.CONNECT
        link.down_since_ms = self.now()
        self.refresh_gate()
        self.events.note(EventKind.LINK_DOWN, reason, host=link.host, port=link.port)

    def discard_history(self) -> None:
        """What the primary sent cannot be trusted: the next resync is full."""
        self.link.resumable = False

    def _end_stream(self) -> None:
        """The link is gone; what a delayed replica has received lives on, and is applied in its time."""
        if self.delay.pending_bytes:
            return
        session = self._stream_session
        if session is not None:
            self.link.stream_db = session.db.number
            discard_transaction(session)
        self._stream = None
        self._stream_session = None
        self.link.read_offset = 0

    # -- a full sync --------------------------------------------------------------------------------------------

    def full_sync_promised(self, outcome: Outcome) -> None:
        """The primary will send everything; until that has proven readable our data and history stay.

        Raises:
            ReplicationError: it must not, as `guard` says.
        """
        self.failover.taken_over()
        made = understand(self.introduction(), outcome)
        self._received(made, Answer.SYNC if outcome.resync is Resync.SYNC else Answer.FULL)
        now_ms = self.now()
        if self.link.resumable:
            keys = self.keyspace.counts()[0]
            refused = self.guard.check_promised(self.delay.stop_before, outcome, keys, now_ms)
            self._heed_guard(refused)
        self._note_sync(EventKind.SYNC_STARTED, "the primary sends a full sync")
        self.link.transfer = Transfer(now_ms, now_ms)
        self.link_entered(LinkState.TRANSFER)

    def transfer_begun(self, total_bytes: int) -> bool:
        """The bulk begins (`useDisklessLoad`).

        Returns:
            True if it is to be received to a file first.
        """
        transfer = self.link.transfer
        assert transfer is not None
        transfer.bulk_ms = self.now()
        transfer.total_bytes = total_bytes
        how = self.config.get_str("repl-diskless-load")
        transfer.how = "disabled" if how == "on-empty-db" and self.keyspace.counts()[0] else how
        if transfer.how == "flush-before-load" and self.guard.is_watching:
            transfer.how = "disabled"  # nothing may be dropped before it is known that something comes
        what = f"{total_bytes} bytes from master" if total_bytes else "streamed RDB from master with EOF"
        target = "disk" if transfer.to_disk else "parser"
        self.log("notice", f"MASTER <-> REPLICA sync: receiving {what} to {target}")
        return transfer.to_disk

    def load_begun(self, total_bytes: int, outcome: Outcome) -> Loader:
        """The RDB is loaded from here on, into a keyspace of its own.

        With `swapdb` the old data is served meanwhile if it is of the same history; with `flush-before-load` it is
        dropped now, for want of memory for both; else it stays, unserved, until the new data is complete.
        """
        transfer = self.link.transfer
        assert transfer is not None
        self._stop_save(transfer)
        if transfer.how != "swapdb":
            self.log("notice", "MASTER <-> REPLICA sync: Flushing old data")
        if transfer.how == "flush-before-load":
            self._part_from_history()
            self.keyspace.adopt(Keyspace(len(self.keyspace.databases), self.keyspace.rng))
        self.log("notice", "MASTER <-> REPLICA sync: Loading DB in memory")
        same_history = self.feed.history.replid == outcome.replid
        self.loading = Loading(self.now(), total_bytes, served=transfer.how == "swapdb" and same_history)
        self.refresh_gate()
        return Loader(
            len(self.keyspace.databases),
            self.now(),
            self.keyspace.limits,
            drop_expired=False,
            checksum=self.config.get_bool("rdbchecksum"),
        )

    def transfer_moved(self, read_bytes: int) -> None:
        """So many bytes of the bulk have come."""
        transfer = self.link.transfer
        assert transfer is not None
        transfer.read_bytes = read_bytes
        transfer.last_io_ms = self.now()
        if self.loading is not None:
            self.loading.read_bytes = read_bytes

    def load_moved(self, read_bytes: int) -> None:
        """So many bytes of a file are loaded."""
        if self.loading is not None:
            self.loading.read_bytes = read_bytes

    def load_failed(self, error: RdbError) -> None:
        """The RDB cannot be read."""
        transfer = self.link.transfer
        assert transfer is not None
        self.log("warning", f"Internal error in RDB reading offset {error.position} -> {error.reason}")
        source = "disk" if transfer.to_disk else "socket"
        kept = "the old data is gone" if transfer.how == "flush-before-load" else "the old data is kept"
        self.log("warning", f"Failed trying to load the MASTER synchronization DB from {source}, {kept}")
        if transfer.how == "swapdb":
            self.log("notice", "MASTER <-> REPLICA sync: Discarding temporary DB in background")

    def keeps_sync_file(self) -> bool:
        """Whether the file of a full sync becomes the dump file: unless the server is to leave none behind."""
        if self.config.get_bool("rdb-del-sync-files") and not self.saver.points:
            self.log("notice", "Removing the RDB file obtained from the master. This replica has persistence disabled")
            return False
        return True

    def _stop_save(self, transfer: Transfer) -> None:
        """End a background save of the old data: it would take the place of the new (`killRDBChild`)."""
        assert self.host is not None
        if self.saver.started_ms is None:
            return
        if transfer.to_disk:
            self.log(
                "notice",
                "Replica is about to load the RDB file received from the master, but there is a pending RDB child "
                "running. Killing it to avoid any race",
            )
        self.saver.abandon()
        self.host.snapshots.kill()

    def _part_from_history(self) -> None:
        """Our data will be another's: nobody can go on from what we were (`replicationAttachToNewMaster`)."""
        if self.link.resumable:
            self.log("notice", "Discarding previously cached master state.")
        self.link.resumable = False
        self.delay.clear()
        self._end_stream()
        self.primary.drop_all()
        self.feed.close_backlog()

    def _heed_guard(self, refused: str) -> None:
        """Raise ReplicationError if there is a reason why a full sync must not be taken."""
        stop = self.guard.stop
        if refused and stop is not None:
            self.events.note(EventKind.GUARD_STOPPED, refused, cause=stop.cause.value, keys=stop.keys)
            raise ReplicationError(refused)

    def _note_sync(self, kind: EventKind, text: str, *, answer: Answer = Answer.FULL, size_bytes: int = 0) -> None:
        self.events.note(
            kind,
            text,
            direction=Direction.RECEIVED.value,
            peer=f"{self.link.host}:{self.link.port}",
            answer=answer.value,
            bytes=size_bytes,
        )

    def _abandon_transfer(self, reason: str) -> None:
        assert self.link.transfer is not None
        self._note_sync(EventKind.SYNC_FAILED, reason, size_bytes=self.link.transfer.read_bytes)
        self._count_transfer(Stage.BROKEN)
        self.link.transfer = None
        self.loading = None
        self.refresh_gate()

    def _count_transfer(self, stage: Stage) -> None:
        """The full sync that is being received has come to its end: note what it cost."""
        transfer, decision = self.link.transfer, self.primary.decisions.last(Direction.RECEIVED)
        if transfer is not None and decision is not None:
            decision.moved(transfer.read_bytes)
            decision.reached(stage, self.now())

    def _received(self, made: PsyncDecision, answer: Answer) -> None:
        """Keep the primary's answer to our PSYNC, explained."""
        decisions, peer = self.primary.decisions, f"{self.link.host}:{self.link.port}"
        before = decisions.last(Direction.RECEIVED, refusals=False)
        condition = made.condition
        if condition in (Condition.NO_HISTORY, Condition.FIRST_SYNC):
            condition = why_no_history(before)
        if condition is Condition.NO_HISTORY and made.condition is Condition.FIRST_SYNC:
            condition = Condition.REPLID_MISMATCH  # one that we had from a primary, and that this one has not
        decision = Decision.of(
            made,
            self.now(),
            direction=Direction.RECEIVED,
            peer=peer,
            ours=Standing.of(self.feed.history, self.feed.backlog),
            answer=answer,
            condition=condition,
        )
        decision.avoidance = self.primary.advisor.avoidance(decision, before)
        decisions.add(decision)

    def resynchronized(self, loader: Loader, outcome: Outcome) -> None:
        """The bulk is loaded: its data and history are ours now.

        Raises:
            ReplicationError: they must not be, as `guard` says; nothing has changed.
        """
        transfer = self.link.transfer
        assert transfer is not None
        keys = self.keyspace.counts()[0]
        refused = self.guard.check_received(loader.keys_loaded, outcome, keys, self.feed.history, self.now())
        self._heed_guard(refused)
        self._remember_load(loader)
        self._part_from_history()
        if transfer.how == "swapdb":
            self.log("notice", "MASTER <-> REPLICA sync: Swapping active DB with loaded DB")
        self.keyspace.adopt(loader.keyspace)
        if transfer.how == "swapdb":
            self.log("notice", "MASTER <-> REPLICA sync: Discarding old DB in background")
        if not transfer.to_disk:
            self.keyspace.dirty += 1  # no file holds the new data
        history = self.feed.history
        if history.replid != outcome.replid:
            self.primary.decisions.history_ended(history.replid, HistoryEnd.REPLACED)
        self._count_transfer(Stage.LOADED)
        if outcome.offset >= 0 and outcome.replid != NO_REPLID:
            history.adopt(outcome.replid, outcome.offset)
            self.link.resumable = True
        else:
            history.change_id()
            history.offset = 0
            self.link.resumable = False
        self.feed.timeline.begin(self.now(), history.offset)
        self.feed.open_backlog(self.settings.backlog_bytes)
        self.link.transfer = None
        self.loading = None
        self._note_sync(EventKind.SYNC_DONE, "the full sync is loaded", size_bytes=transfer.read_bytes)
        self.log("notice", "MASTER <-> REPLICA sync: Finished with success")
        self._begin_stream(loader.stream_database)

    def resumed(self, outcome: Outcome) -> None:
        """The primary goes on where we stand (`replicationResurrectCachedMaster`)."""
        self.failover.taken_over()
        self._received(understand(self.introduction(), outcome), Answer.PARTIAL)
        history = self.feed.history
        if outcome.replid:
            history.take_over(outcome.replid)
            self.primary.drop_all()
        self.feed.open_backlog(self.settings.backlog_bytes)
        self._note_sync(EventKind.SYNC_DONE, "the primary goes on where this node stands", answer=Answer.PARTIAL)
        self.log("notice", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
        self._begin_stream(max(self.link.stream_db, 0))

    def _begin_stream(self, database: int) -> None:
        link = self.link
        self._settle_guard("the stream flows")
        session = self._stream_session
        if session is None:
            session = self._open_stream(database)
        session.address = f"{link.host}:{link.port}"
        session.local_address = link.local_address
        session.user = b"(superuser)"
        session.created_ms = session.last_active_ms = self.now()
        link.down_since_ms = 0
        link.failures = 0
        link.last_error = ""
        self.link_entered(LinkState.CONNECTED)
        self.refresh_gate()
        self.events.note(EventKind.LINK_UP, "the primary's stream flows", host=link.host, port=link.port)

    def _open_stream(self, database: int) -> Session:
        self._last_number += 1
        session = Session(self, self._last_number)
        session.flags |= PRIMARY
        session.db = self.keyspace.databases[database]
        self._stream_session = session
        self._stream = Stream(
            self.feed,
            self._apply,
            lambda: bool(session.flags & 1),
            self._acknowledge,
        )
        return session

    def receive_stream(self, data: bytes) -> None:
        """Bytes of the primary's stream.

        Raises:
            ReplicationError: they are no stream of commands.
        """
        stream = self._stream
        if stream is None:
            raise ReplicationError("Bytes from the primary after the stream ended")
        if self.delay.is_active:
            self._receive_delayed(data)
        else:
            self._apply_stream(stream, data)

    def _apply_stream(self, stream: Stream, data: bytes) -> None:
        keyspace = self.keyspace
        keyspace.now_ms = self.now()
        keyspace.expiry = int(Expiry.IGNORE)
        try:
            stream.receive(data)
        finally:
            keyspace.expiry = int(Expiry.HIDE if self.link.host else Expiry.DELETE)
        self.link.read_offset = self.feed.history.offset + stream.unapplied_bytes

    def _apply(self, argv: list[bytes]) -> None:
        session = self._stream_session
        if session is None:
            raise ReplicationError("The primary's stream told us to leave it: what follows is not for us")
        failed = self.dispatcher.apply(session, argv)
        if failed is not None:
            name = argv[0].decode("utf-8", "backslashreplace").lower()
            text = failed.quoted
            self.log(
                "warning",
                f"== CRITICAL == This replica is sending an error to its master: '{text}' "
                f"after processing the command '{name}' (at offset {self.feed.history.offset})",
            )
            if self.settings.read_only and self.config.get_str("propagation-error-behavior") != "ignore":
                assert self.host is not None
                self.host.panic(
                    f"This replica panicked sending an error to its master after processing the command '{name}'"
                )

    def _acknowledge(self, offset: int) -> None:
        assert self.host is not None
        if not self.delay.is_active:  # else it was acknowledged when it came
            self.host.acknowledge(offset)

    def behind(self) -> Behind:
        """How far we are behind our primary."""
        unapplied_bytes = self._stream.unapplied_bytes if self._stream is not None else 0
        found = behind_primary(self.link, unapplied_bytes + self.delay.pending_bytes, self.now())
        oldest_ms = self.delay.oldest_ms
        if oldest_ms is None:
            return found
        return Behind(found.least_bytes, max(found.most_ms or 0, self.now() - oldest_ms))

    # -- guard rails --------------------------------------------------------------------------------------------

    def accept_primary(self, who: str) -> None:
        """The guard has stopped the link: follow the primary all the same, and take what it has, once."""
        stop = self.guard.stop
        if stop is None:
            return
        self.guard.accept()
        self.events.note(EventKind.GUARD_SETTLED, "the full sync that was stopped is accepted")
        self.log("notice", f"The full sync that was stopped is accepted (user request from '{who}')")
        self._forget_delay_stop()
        self._connect()

    def guard_empty_primary(self, is_on: bool) -> None:
        """`replica-empty-primary-guard`: switched off, it lets a link go on that it has stopped."""
        self.guard.is_on = is_on
        stop = self.guard.stop
        if not is_on and stop is not None and stop.cause is Cause.EMPTY_PRIMARY:
            self.accept_primary("CONFIG SET replica-empty-primary-guard no")

    def hold_before(self, offset: int) -> None:
        """`replica-delay-stop-before`: apply what ends before an offset, then nothing; 0 lifts the stop."""
        self.config.assign("replica-delay-stop-before", offset)
        self.delay.set_stop(offset)
        applied = self.feed.history.offset
        if self.link.host and 0 < offset <= applied:
            self.log(
                "warning",
                f"replica-delay-stop-before {offset}: offset {applied} is applied already; holding there",
            )
        self.follow_delay()

    def follow_delay(self) -> None:
        """Delay or stop were changed: go by them from now on, for what has come already too."""
        delay, stream, session = self.delay, self._stream, self._stream_session
        if delay.is_active and stream is not None and session is not None and stream.unapplied_bytes:
            discard_transaction(session)
            delay.receive(stream.withdraw(), self.now())
        stop = self.guard.stop
        if stop is not None and stop.cause is Cause.DELAY_STOP and not delay.stop_before:
            self._settle_guard("the stop before an offset is lifted")
            self._connect()
        if delay.pending_bytes:
            self._apply_soon()
        self._note_delay()

    def _settle_guard(self, how: str) -> None:
        if self.guard.stop is not None:
            self.events.note(EventKind.GUARD_SETTLED, how)
        self.guard.settle()

    def _note_delay(self) -> None:
        """Tell when a stop before an offset is reached, and when it is no more."""
        is_held = self.delay.is_held and bool(self.link.host)
        if is_held == self._delay_was_held:
            return
        self._delay_was_held = is_held
        applied = self.feed.history.offset
        if is_held:
            before = self.delay.stop_before
            text = f"held before offset {before}: nothing is applied until somebody decides"
            self.events.note(EventKind.DELAY_HELD, text, stop_before=before, applied_offset=applied)
        else:
            self.events.note(EventKind.DELAY_RESUMED, "the stop before an offset is lifted", applied_offset=applied)

    def _receive_delayed(self, data: bytes) -> None:
        assert self.host is not None
        delay = self.delay
        delay.receive(data, self.now())
        if b"GETACK" in data:
            self.host.acknowledge(delay.received_offset)
        if delay.is_full and not self._delay_was_full:
            self._delay_was_full = True
            self.events.note(
                EventKind.DELAY_FULL,
                "the primary is read no further until there is room",
                pending_bytes=delay.pending_bytes,
                max_bytes=delay.max_bytes,
            )
            self.log(
                "warning",
                f"{delay.pending_bytes} bytes wait to be applied (replica-delay-max-bytes is {delay.max_bytes}): "
                "the primary is read no further until there is room, and may give up on this replica",
            )

    def apply_due(self) -> None:
        """Apply what a delayed replica has held long enough, for a slice of time, and go on soon if there is more."""
        self._delay_timer = None
        delay = self.delay
        if self.link.transfer is not None:
            return
        until_ms = self.now() + SLICE_MS
        while self._stream is not None:
            data = delay.take(self.now())
            if data is None:
                self._end_delay()
                break
            if data and not self._apply_delayed(data):
                break
            if self.now() >= until_ms:
                self._apply_soon()
                break
        if self._delay_was_full and delay.pending_bytes <= delay.max_bytes // 2:
            self._delay_was_full = False
        self._note_delay()

    def _apply_soon(self) -> None:
        if self._delay_timer is None:
            self._delay_timer = self.later(0, self.apply_due)

    def _apply_delayed(self, data: bytes) -> bool:
        """Apply bytes; False if the stream has ended with them."""
        stream = self._stream
        assert stream is not None and self.host is not None
        try:
            self._apply_stream(stream, data)
        except ReplicationError as error:
            self.log("warning", str(error))
            self.discard_history()
            self.delay.clear()
            self._end_stream()
            if self.link.is_up:
                self.host.cut_primary()
            return False
        return self._stream is stream

    def _end_delay(self) -> None:
        """Nothing more is due: if nothing is delayed any more either, the beginning of a command goes to the stream."""
        rest = self.delay.remainder()
        if rest is None:
            return
        if not self.link.is_up:
            self._end_stream()
        elif rest:
            self._apply_delayed(rest)

    def _drop_pending(self) -> None:
        """What waits will not be applied: this node's history ends at what is."""
        if self.delay.pending_bytes:
            self.log("notice", f"{self.delay.pending_bytes} bytes that were received and not applied are dropped")
        self.delay.clear()
        self._forget_delay_stop()

    def _forget_delay_stop(self) -> None:
        if self.delay.stop_before:
            self.config.assign("replica-delay-stop-before", 0)
            self.delay.set_stop(0)
            self._note_delay()

    @property
    def stream_database(self) -> int:
        """The database that our stream has selected, as a snapshot records it; -1 = none."""
        if self._stream_session is not None:
            return self._stream_session.db.number
        return self.link.stream_db if self.link.host else self.feed.selected_db

    def origin(self) -> dict[bytes, bytes]:
        """The AUX fields by which a restart goes on with a partial resync."""
        if not self.link.host and self.feed.backlog is None:
            return {}
        history = self.feed.history
        return origin_aux(history.replid, history.offset, self.stream_database)

    # -- persistence --------------------------------------------------------------------------------------------

    def save(self) -> None:
        """SAVE, in the foreground.

        Raises:
            CommandError: it failed.
        """
        assert self.host is not None
        if self.saver.started_ms is not None:
            raise CommandError("ERR Background save already in progress")
        try:
            self.host.snapshots.save_now()
        except OSError as error:
            self.log("warning", f"Error saving DB on disk: {error.strerror or error}")
            self.saver.last_ok = False
            self.refresh_gate()
            raise CommandError("ERR") from error
        self.saver.saved(self.now(), self.keyspace.dirty)
        self.log("notice", "DB saved on disk")
        self.refresh_gate()

    def background_save(self, *, schedule: bool) -> str:
        """BGSAVE; the reply.

        Raises:
            CommandError: it cannot be started.
        """
        assert self.host is not None
        if self.saver.started_ms is not None:
            raise CommandError("ERR Background save already in progress")
        if self.host.snapshots.busy:
            if not schedule:
                raise CommandError(
                    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order "
                    "to schedule a BGSAVE whenever possible."
                )
            self.saver.scheduled = True
            return "Background saving scheduled"
        self.saver.begun(self.now(), self.keyspace.dirty)
        try:
            self.host.snapshots.start_save()
        except OSError as error:
            self.log("warning", f"Can't save in background: fork: {error.strerror or error}")
            self.save_ended(False)
            raise CommandError("ERR") from error
        return "Background saving started"

    def save_ended(self, ok: bool) -> None:
        """A background save is over."""
        self.saver.ended(self.now(), ok)
        self.refresh_gate()

    def shut_down(self, *, save: bool | None, now: bool, force: bool, final: bool = False) -> bool:
        """SHUTDOWN: end the server, now or when its replicas have everything; saved if asked to or by save points.

        Parameters:
            save: None leaves it to the save points.
            now: wait for no replica.
            force: end it even if it cannot be saved.
            final: it cannot be aborted.

        Returns:
            True if it waits for replicas.

        Raises:
            CommandError: the save failed, and it was not forced.
        """
        wants_save = bool(self.saver.points) if save is None else save
        timeout_ms = 0 if now else self.config.get_int("shutdown-timeout") * 1000
        wants_save = wants_save and self.loading is None
        if not self.shutdown.begin(timeout_ms, save=wants_save, force=force, final=final):
            raise CommandError(SHUTDOWN_FAILED)
        return self.shutdown.is_waiting

    def shutdown_given_up(self) -> None:
        """The server goes on: tell those who wait for its end."""
        for session in self.dispatcher.waiters.of_kind("shutdown"):
            self.unblock(session, CommandError(SHUTDOWN_FAILED))

    def end(self, *, save: bool, force: bool) -> bool:
        """Save if asked to, and end the server; False if it cannot be saved, and so goes on (`finishShutdown`)."""
        assert self.host is not None
        if self.host.snapshots.busy:
            self.log("warning", "There is a child saving an .rdb. Killing it!")
            self.saver.abandon()
            self.host.snapshots.kill()
        if save:
            self.log("notice", "Saving the final RDB snapshot before exiting.")
            try:
                self.host.snapshots.save_now()
                self.log("notice", "DB saved on disk")
            except OSError as error:
                self.log("warning", f"Error saving DB on disk: {error.strerror or error}")
                if not force:
                    self.log("warning", "Error trying to save the DB, can't exit.")
                    return False
                self.log("warning", "Error trying to save the DB. Exit anyway.")
        self.host.stop(save=save, force=force)
        return True

    def flushed_all(self) -> None:
        """FLUSHALL has run: stop a snapshot of what is gone, save the empty dataset (`flushAllDataAndResetRDB`)."""
        assert self.host is not None
        snapshots = self.host.snapshots
        if snapshots.busy:
            self.saver.abandon()
            snapshots.kill()
        if self.saver.points:
            try:
                snapshots.save_now()
            except OSError as error:
                self.log("warning", f"Error saving DB on disk: {error.strerror or error}")
            else:
                self.saver.saved(self.now(), self.keyspace.dirty)
                self.log("notice", "DB saved on disk")

    def reload(self, *, save: bool, flush: bool, merge: bool = True) -> None:
        """DEBUG RELOAD: save, then load what was saved.

        Parameters:
            save: save first; without it, an existing file is loaded.
            flush: drop what there is; without it, add the file's keys to it.
            merge: keys of the file replace keys of the same name, instead of being an error.

        Raises:
            CommandError: it failed; the dataset is as it was.
        """
        assert self.host is not None
        try:
            if save:
                self.host.snapshots.save_now()
            loader = self.host.snapshots.load_now()
        except Exception as error:
            self.log("warning", f"DEBUG RELOAD failed: {error}")
            raise CommandError("ERR Error trying to load the RDB dump, check server logs.") from error
        self.log("warning", "DB reloaded by DEBUG RELOAD")
        if flush:
            self.keyspace.adopt(loader.keyspace)
            return
        pairs = list(zip(self.keyspace.databases, loader.keyspace.databases, strict=True))
        twice = next((key for mine, theirs in pairs for key in theirs.data if key in mine.data), None)
        if twice is not None and not merge:
            shown = twice.decode("utf-8", "backslashreplace")
            self.log("warning", f"RDB has duplicated key '{shown}' in DB")
            raise CommandError("ERR Error trying to load the RDB dump, check server logs.")
        for mine, theirs in pairs:
            for key, value in theirs.data.items():
                mine.put(key, value)
                mine.persist(key)
                if key in theirs.expires:
                    mine.set_expire(key, theirs.expires[key])

    def restore_origin(self, loader: Loader) -> None:
        """A file was loaded at start: go on with the history that it names (`loadDataFromDisk`)."""
        self._remember_load(loader)
        replid = loader.fact(b"repl-id")
        offset_text = loader.fact(b"repl-offset")
        if len(replid) != 40 or not offset_text.isdigit():
            return
        self.feed.timeline.begin(self.now(), int(offset_text))
        history = self.feed.history
        if self.link.host:
            history.adopt(replid, int(offset_text))
            self.link.stream_db = loader.stream_database
            self.link.resumable = True
            self.log("notice", "Using the replication ID and offset of the RDB file for a partial resynchronization.")
            return
        history.replid2 = replid
        history.second_offset = int(offset_text) + 1
        history.offset = int(offset_text)
        self.feed.open_backlog(self.settings.backlog_bytes)
        self.feed.selected_db = -1
        for number, key in loader.expired:
            self.keyspace.emit(number, b"DEL", key)
        self.propagation.flush(atomic=False)
        self.feed.flush()
        self.primary.left_alone()

    def _remember_load(self, loader: Loader) -> None:
        version = loader.fact(b"redis-ver") or loader.fact(b"valkey-ver")
        if version:
            self.log("notice", f"Loading RDB produced by version {version}")
        made, memory = loader.fact(b"ctime"), loader.fact(b"used-mem")
        if made.isdigit():
            self.log("notice", f"RDB age {max(0, self.now() // 1000 - int(made))} seconds")
        if memory.isdigit():
            self.log("notice", f"RDB memory usage when created {int(memory) / 1024 / 1024:.2f} Mb")
        keys, expired = loader.keys_loaded, len(loader.expired)
        self.log("notice", f"Done loading RDB, keys loaded: {keys}, keys expired: {expired}.")
        self.saver.loaded_keys = loader.keys_loaded
        self.saver.loaded_expired = len(loader.expired)

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Called ten times a second (`serverCron`)."""
        if self.cron_paused:
            return
        now_ms = self.now()
        self.keyspace.now_ms = now_ms
        self._ticks += 1
        still = self.link.host or self.loading is not None or self.dispatcher.pause_flags
        if self.expires_actively and self.keyspace.local_expires:
            self.keyspace.expire_local(EXPIRE_SLICE)
            self.propagation.flush(atomic=False)
        if self.expires_actively and not still:
            for db in self.keyspace.databases:
                if db.expires:
                    db.expire_due(EXPIRE_SLICE)
            self.propagation.flush(atomic=False)
            self.feed.flush()
        if self.delay.is_active and self._delay_timer is None:
            self.apply_due()
        self.feed.timeline.note(now_ms, self.feed.history.offset)
        self.stats.sample(now_ms)
        self._tick_saver(now_ms)
        self.failover.check()
        self.shutdown.check()
        if self._ticks % 10 == 0:
            self.primary.tick()
        elif self.primary.waiting():
            self.primary.start_if_due()

    def _tick_saver(self, now_ms: int) -> None:
        saver = self.saver
        assert self.host is not None
        if saver.started_ms is not None or self.host.snapshots.busy or self.loading is not None:
            return
        point = saver.due(now_ms, self.keyspace.dirty)
        if point is not None:
            self.log("notice", f"{point[1]} changes in {point[0]} seconds. Saving...")
        if point is not None or saver.scheduled:
            saver.scheduled = False
            try:
                self.background_save(schedule=False)
            except CommandError:
                saver.last_try_ms = now_ms
