"""The server as a value: keyspace, commands and replication joined, without IO.

Shells tell the node what happened (bytes came, time passed, a link broke), each to the part that it concerns
(`node.following.link_lost(…)`), and do what the node asks through `Host`. The parts, from the bottom up; each knows
only parts above it in this list:

    host        what the shell does for a node
    core        the state that all parts share, and what the server refuses in it
    answers     the primary's answers to our PSYNC, explained
    following   the link to the primary: the conversation, and the stream as it is applied
    delaying    when the stream is applied: at once, after `replica-delay`, or up to an offset
    storage     SAVE, BGSAVE, save points; the history that a file is of
    full_sync   a full sync received, from the promise to `resynchronized`; what the guard stops
    migrating   keys that move to another server
    memory      maxmemory: what is used, what is evicted, and the memory of connections
    pauses      CLIENT PAUSE, and what a failover or a shutdown holds back
    roles       primary or replica, and whose
    ending      SHUTDOWN, and the last save
    busy        a script that takes too long

The node joins them; its own are the clients, the tick, and what commands may ask of a server.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from txrepl.commands.dispatch import Dispatcher
from txrepl.commands.memory_use import MemoryUse
from txrepl.commands.migration import Migration
from txrepl.commands.session import CLOSING, MONITORING, Outlet, Session
from txrepl.commands.subscriptions import PubSub, publish_keyspace_event
from txrepl.commands.table import Command
from txrepl.commands.tracking import Tracking
from txrepl.commands.transactions import discard_transaction
from txrepl.config import Config
from txrepl.errors import CommandError
from txrepl.keyspace.database import CLOCK_MS
from txrepl.node.answers import Answers
from txrepl.node.busy import Busy
from txrepl.node.core import Core
from txrepl.node.delaying import Delaying
from txrepl.node.ending import Ending
from txrepl.node.following import Following
from txrepl.node.full_sync import FullSync
from txrepl.node.memory import Memory
from txrepl.node.migrating import Migrating
from txrepl.node.pauses import Pauses
from txrepl.node.roles import Roles
from txrepl.node.storage import Storage
from txrepl.replication.decisions import EndCause
from txrepl.replication.failover import Failover
from txrepl.replication.replica import Replica, ReplicaOutlet
from txrepl.replication.shutdown import Shutdown
from txrepl.resp.replies import Reply

FREE_PAUSE_MS: Final = 1
"""Between two slices of what is freed."""
EXPIRE_SLICE: Final = 400
"""Keys, and fields of hashes, that one tick deletes of a database at most; the next tick goes on."""


class Node(Core):
    """A server.

    Parameters:
        config: the directives; the node follows their changes.
        now: unix time in ms.
        rng: randomness for commands.
        random_id: makes ids of 40 hexadecimal digits.
        log: called as log(level, message).

    Attributes:
        following, delaying, storage, full_sync, migrating, memory, pauses, roles, ending, busy: the parts.
    """

    def __init__(
        self,
        config: Config,
        now: Callable[[], int],
        rng: random.Random,
        random_id: Callable[[], str],
        log: Callable[[str, str], None],
    ) -> None:
        super().__init__(config, now, rng, random_id, log)
        self.multiplexing_api = ""
        self.pubsub = PubSub()
        self.sessions: dict[int, Session] = {}
        self.tracking = Tracking(self.keyspace, self.sessions, lambda action: self.later(0, action))
        self.expires_actively = True
        self.cron_paused = False
        self._ticks = 0
        self._freeing = False
        self.script_session = Session(self, 0)
        self.dispatcher = Dispatcher(self, self.table, self.propagation)
        answers = Answers(self)
        self.following = Following(self, answers)
        self.delaying = Delaying(self, self.following)
        self.storage = Storage(self, self.following)
        self.full_sync = FullSync(self, self.following, answers, self.delaying, self.storage)
        self.migrating = Migrating(self)
        self.pauses = Pauses(self, self.migrating)
        self.roles = Roles(self, self.following, self.delaying, self.full_sync, self.pauses)
        self.ending = Ending(self, self.pauses)
        self.memory = Memory(self, self.sessions, lambda session: self.disconnect(session, flush=False))
        self.failover = Failover(self.primary, self.roles, log, now)
        self.shutdown = Shutdown(self.primary, self.ending, log, now)
        self.busy = Busy(self)
        self.keyspace.notify = self._notify

    def _notify(self, event_class: int, event: bytes, key: bytes, database: int) -> None:
        publish_keyspace_event(self.pubsub, self.keyspace.notify_flags, event_class, event, key, database)

    # -- clients ------------------------------------------------------------------------------------------------

    def open_session(self, outlet: Outlet, address: str, local_address: str) -> Session:
        """A client has connected."""
        session = Session(self, self.next_session(), outlet)
        session.address = address
        session.local_address = local_address
        session.created_ms = session.last_active_ms = self.now()
        session.begin_as(self.users.default)
        self.sessions[session.number] = session
        self.stats.connections += 1
        return session

    def close_session(self, session: Session) -> None:
        """A client's connection is gone."""
        self.sessions.pop(session.number, None)
        self.dispatcher.stop_waiting(session)
        discard_transaction(session)
        self.pubsub.forget(session)
        if session.flags & MONITORING:
            self.dispatcher.monitor(session, watches=False, gone=True)
        self.tracking.stop(session)
        if session.replica is not None:
            self.primary.detach(session.replica)
            self.refresh_gate()

    def disconnect(self, session: Session, *, flush: bool = True) -> None:
        """Close a client's connection, after its pending output if `flush`; the primary's is opened anew."""
        if session is self.following.session:
            self.host.cut_primary()
            return
        session.flags |= CLOSING
        if session.replica is not None:
            session.replica.end_cause = session.replica.end_cause or EndCause.REQUESTED
        session.outlet.close(flush=flush)

    def primary_session(self) -> Session | None:
        """The session that applies the primary's stream, None while there is none."""
        return self.following.session if self.link.is_up else None

    def serve(self, session: Session, batch: list[list[bytes]], out: list[bytes]) -> int:
        """Run a client's requests (see `Dispatcher.serve`) and tell the replicas."""
        keyspace = self.keyspace
        keyspace.now_ms = session.last_active_ms = now_ms = self.now()
        if now_ms - keyspace.clock >= CLOCK_MS:
            keyspace.clock = now_ms
        if self.memory.limit_bytes:
            self.memory.before_batch()
        used = self.dispatcher.serve(session, batch, out)
        self.feed.flush()
        return used

    def call(self, session: Session, argv: list[bytes]) -> Reply:
        """Run a queued command inside EXEC."""
        return self.dispatcher.call(session, argv)

    def call_inside(self, session: Session, command: Command, argv: list[bytes]) -> Reply:
        """Run a command of a script; its reply, which may be an error."""
        return self.dispatcher.call_inside(session, command, argv)

    def script_refusal(self, session: Session, flags: int) -> CommandError | None:
        """Why the server's state forbids a script to run a command of such flags; None if it does not."""
        return self.dispatcher.script_refusal(session, flags)

    def unblock(self, session: Session, reply: Reply) -> None:
        """Answer a blocked session and let it go on."""
        self.dispatcher.unblock(session, reply)

    def monitor(self, session: Session, *, watches: bool) -> None:
        """MONITOR, and its end by RESET."""
        self.dispatcher.monitor(session, watches=watches)

    def attach_replica(self, session: Session) -> Replica:
        """The session's replica record, made when it first speaks as one."""
        if session.replica is None:
            host = session.address.rpartition(":")[0].strip("[]")
            session.replica = Replica(session.number, "/unixsocket" if session.is_unix else host)
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

    # -- what commands ask for (see `Server`), each the work of a part ------------------------------------------

    def replicate_from(self, host: str, port: int, who: str) -> bool:
        """REPLICAOF; False if that is the primary already."""
        return self.roles.replicate_from(host, port, who)

    def promote(self, who: str, *, asked: str = "user request") -> bool:
        """REPLICAOF NO ONE; False if there is no primary."""
        return self.roles.promote(who, asked=asked)

    def pause(self, duration_ms: int, *, everything: bool) -> None:
        """CLIENT PAUSE."""
        self.pauses.pause(duration_ms, everything=everything)

    def unpause(self) -> None:
        """CLIENT UNPAUSE."""
        self.pauses.unpause()

    def request_acknowledgements(self) -> None:
        """Ask the replicas for their offsets, after a pause if there is one."""
        self.pauses.request_acknowledgements()

    def migrate(self, migration: Migration) -> None:
        """Let a migration take its course; its `answer` is called once, later."""
        self.host.migrate(migration)

    def migrate_now(self, migration: Migration) -> None:
        """Let a migration take its course, and wait for it with the whole server."""
        self.host.migrate_now(migration)

    @property
    def out_of_memory(self) -> bool:
        """More is used than `maxmemory` allows, and nothing can be evicted."""
        return self.memory.out_of_memory

    @property
    def exceeded_ms(self) -> int:
        """For how long `maxmemory` has been passed, in ms; 0 when it is not."""
        return self.memory.exceeded_ms

    def free_memory(self) -> bool:
        """Evict keys if more is used than `maxmemory` allows; False if nothing could be done about it."""
        return self.memory.free()

    def memory_use(self) -> MemoryUse:
        """What memory is used for."""
        return self.memory.use()

    def save(self) -> None:
        """SAVE; raises CommandError if it failed."""
        self.storage.save()

    def background_save(self, *, schedule: bool) -> str:
        """BGSAVE, and its reply; raises CommandError if it cannot be started."""
        return self.storage.background_save(schedule=schedule)

    def flushed_all(self) -> None:
        """FLUSHALL has run."""
        self.storage.flushed_all()

    def reload(self, *, save: bool, flush: bool, merge: bool = True) -> None:
        """DEBUG RELOAD; raises CommandError if it failed."""
        self.storage.reload(save=save, flush=flush, merge=merge)

    def shut_down(self, *, save: bool | None, now: bool, force: bool) -> bool:
        """SHUTDOWN; True if it waits for replicas; raises CommandError if it was refused."""
        return self.ending.shut_down(save=save, now=now, force=force)

    def _free(self) -> None:
        """Free a slice of what waits for it; the rest between the clients' commands, until nothing waits."""
        lazyfree = self.keyspace.lazyfree
        lazyfree.drain()
        if lazyfree.pending and not self._freeing:
            self._freeing = True
            self.later(FREE_PAUSE_MS, self._free_on)

    def _free_on(self) -> None:
        self._freeing = False
        self._free()

    # -- time ---------------------------------------------------------------------------------------------------

    def _expire_fields(self) -> None:
        """Delete due fields of hashes; what becomes of one hash is one unit in the stream."""
        for db in self.keyspace.databases:
            room = EXPIRE_SLICE
            for key in db.due_volatile(EXPIRE_SLICE) if db.volatile else ():
                room -= db.expire_fields(key, max(room, 1))
                self.propagation.flush()

    def tick(self) -> None:
        """Called ten times a second (`serverCron`)."""
        now_ms = self.now()
        self.keyspace.set_time(now_ms)
        if self.cron_paused:
            return
        self._ticks += 1
        still = self.link.host or self.loading is not None or self.dispatcher.pause_flags
        if self.expires_actively:
            with self.timed("expire-cycle") as elapsed:
                self._expire(actively=not still)
            self.stats.expire_cycle_us += elapsed.microseconds
        if self.keyspace.lazyfree.pending:
            self._free()
        self.memory.tick()
        self.delaying.tick()
        self.feed.timeline.note(now_ms, self.feed.history.offset)
        self.stats.sample(now_ms)
        self.storage.tick(now_ms)
        self.failover.check()
        self.shutdown.check()
        if self._ticks % 10 == 0:
            self.primary.tick()
        elif self.primary.waiting():
            self.primary.start_if_due()

    def _expire(self, *, actively: bool) -> None:
        """Delete keys that are due: those that a writable replica made itself, and if `actively` all."""
        if self.keyspace.local_expires:
            self.keyspace.expire_local(EXPIRE_SLICE)
            self.propagation.flush(atomic=False)
        if actively:
            for db in self.keyspace.databases:
                if db.expires:
                    db.expire_due(EXPIRE_SLICE)
            self.propagation.flush(atomic=False)
            self._expire_fields()
            self.feed.flush()
