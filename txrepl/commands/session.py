"""One client as commands see it: its database, protocol, transaction, subscriptions, and what it waits for.

A session knows no socket: the shell that owns one gives it an `Outlet`. A handler gets the session and the
words of the command and returns a `Reply`; to wait, it returns a `Blocked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from txrepl.commands.access.record import Record
from txrepl.commands.access.users import User, Users
from txrepl.commands.memory_use import MemoryUse
from txrepl.commands.migration import Migration, Migrations
from txrepl.commands.observations import Observations
from txrepl.commands.stats import Loading, Stats
from txrepl.commands.subscriptions import PubSub
from txrepl.commands.table import Command, CommandTable
from txrepl.commands.tracking import Mode, Tracking
from txrepl.config import Config
from txrepl.errors import CommandError
from txrepl.keyspace.database import Database, Keyspace
from txrepl.persistence.saver import Saver
from txrepl.replication.delay import Delay
from txrepl.replication.failover import Failover
from txrepl.replication.feed import Feed
from txrepl.replication.guard import Guard
from txrepl.replication.link import Link
from txrepl.replication.primary import Primary
from txrepl.replication.replica import Replica
from txrepl.replication.settings import Settings
from txrepl.replication.shutdown import Shutdown
from txrepl.resp.replies import NULL_ARRAY, NoReply, Reply
from txrepl.scripting.engine import Engine

# What a session is in the middle of; any bit set takes a command off the fast path.
IN_MULTI: Final = 1 << 0
MULTI_FAILED: Final = 1 << 1
"""A command was refused while queueing: EXEC aborts."""
WATCH_BROKEN: Final = 1 << 2
"""A watched key changed: EXEC answers null."""
SUBSCRIBED: Final = 1 << 3
UNAUTHENTICATED: Final = 1 << 4
"""The client has not said who it is; it matters only while the default user wants that."""
PRIMARY: Final = 1 << 5
"""The session applies the primary's stream."""
REPLICA: Final = 1 << 6
BLOCKED: Final = 1 << 7
CLOSING: Final = 1 << 8
"""No further command is run; the connection closes when its output is sent."""
REPLY_OFF: Final = 1 << 9
REPLY_SKIP_NEXT: Final = 1 << 10
REPLY_SKIP: Final = 1 << 11
DENY_BLOCKING: Final = 1 << 12
"""Inside EXEC (or a script): a blocking command answers as at its timeout."""
MONITORING: Final = 1 << 13
NO_EVICT: Final = 1 << 14
NO_TOUCH: Final = 1 << 15
WATCHING: Final = 1 << 16
RESTRICTED: Final = 1 << 17
"""There is something that the session's user may not do."""
TRACKING: Final = 1 << 18
"""The client is told of changes of keys that it has read, or of all below some prefixes (CLIENT TRACKING)."""
REDIRECTS: Final = 1 << 19
"""The client wants to be sent to the primary by a replica (CLIENT CAPA redirect)."""
READS_HERE: Final = 1 << 20
"""Such a client reads from the replica all the same (READONLY)."""

SLOW_PATH: Final = (
    IN_MULTI
    | SUBSCRIBED
    | UNAUTHENTICATED
    | PRIMARY
    | REPLICA
    | CLOSING
    | REPLY_OFF
    | REPLY_SKIP_NEXT
    | REPLY_SKIP
    | RESTRICTED
    | NO_TOUCH
    | TRACKING
    | REDIRECTS
)


QUEUED_BYTES: Final = 200
"""What a queued command takes beside the length of its words."""


class Outlet(Protocol):
    """Where a session's output goes."""

    def write(self, data: bytes) -> None:
        """Send bytes outside of the reply to the running command."""

    def close(self, *, flush: bool) -> None:
        """Close the connection, after pending output if `flush`."""

    def resume(self) -> None:
        """Go on with the requests that came while the session was blocked."""

    def pending_input(self) -> int:
        """Bytes received that are no whole request yet."""

    def pending_output(self) -> int:
        """Bytes that wait for the socket."""


class NoOutlet:
    """The outlet of a session that nobody listens to."""

    def write(self, data: bytes) -> None:
        """Drop the bytes."""

    def close(self, *, flush: bool) -> None:
        """Nothing to close."""

    def resume(self) -> None:
        """Nothing is waiting."""

    def pending_input(self) -> int:
        """Nothing comes in."""
        return 0

    def pending_output(self) -> int:
        """Nothing goes out."""
        return 0


class Blocked(NoReply):
    """What a blocking handler returns when it has to wait.

    The command is run again, words unchanged, when one of the keys gets an element (`Database.signal_ready`),
    as Redis 7.2 does; it answers then or goes on waiting.

    Parameters:
        keys: the keys waited for, in the client's database.
        timeout_ms: how long at most, in ms; 0 = for ever.
        on_timeout: the reply when time is up or the client is unblocked by CLIENT UNBLOCK … TIMEOUT.
        kind: what is waited for: `key`, `replicas` (WAIT, WAITAOF), `migrate` (the target of a MIGRATE), or `pause`
            (the end of CLIENT PAUSE or of another MIGRATE of the key; the request is then run as if it came anew).
        is_met: for `replicas`: whether so many have acknowledged by now; the reply is then `on_timeout`'s.
        on_any_change: the command is also run again when a key is deleted or gets another type (XREADGROUP).

    Attributes:
        nanoseconds: how long the command was at work until now, waiting not counted.
    """

    __slots__ = ("is_met", "keys", "kind", "nanoseconds", "on_any_change", "on_timeout", "timeout_ms")

    def __init__(
        self,
        keys: list[bytes],
        timeout_ms: int,
        on_timeout: Callable[[], Reply] | None = None,
        kind: str = "key",
        is_met: Callable[[], bool] | None = None,
        *,
        on_any_change: bool = False,
    ) -> None:
        self.keys = keys
        self.timeout_ms = timeout_ms
        self.on_timeout: Callable[[], Reply] = on_timeout or (lambda: NULL_ARRAY)
        self.kind = kind
        self.is_met: Callable[[], bool] = is_met or (lambda: False)
        self.on_any_change = on_any_change
        self.nanoseconds = 0


class Timer(Protocol):
    """Something that will happen, unless it is cancelled."""

    def cancel(self) -> None:
        """Make it not happen."""


class Server(Protocol):
    """What commands may ask of the server; `node.Node` is it.

    Attributes:
        keyspace: the databases.
        config: the directives.
        table: the commands.
        users, denials: who there is, and what was denied to them.
        sessions: the connected clients by id.
        scripting, script_session: scripts and functions, and the session that runs their commands.
        tracking: those of them that track keys.
        feed, primary, link, settings, failover, delay, guard: replication.
        saver: what was saved when.
        migrations: the MIGRATEs under way.
        stats: INFO's counters.
        observations: the slow log and the latency monitor.
        loading: the load that goes on, None if none.
        run_id: 40 hexadecimal digits of this run.
        started_ms: when the server started, unix ms.
        random_id: makes 40 random hexadecimal digits.
        multiplexing_api: how it waits for its sockets, as `epoll`.
        expires_actively: due keys are deleted without being looked at (DEBUG SET-ACTIVE-EXPIRE).
        cron_paused: periodic work is stopped (DEBUG PAUSE-CRON).
    """

    keyspace: Keyspace
    config: Config
    table: CommandTable
    users: Users
    denials: Record
    sessions: dict[int, Session]
    pubsub: PubSub
    scripting: Engine
    script_session: Session
    tracking: Tracking
    feed: Feed
    primary: Primary
    link: Link
    settings: Settings
    failover: Failover
    shutdown: Shutdown
    delay: Delay
    guard: Guard
    saver: Saver
    migrations: Migrations
    stats: Stats
    observations: Observations
    loading: Loading | None
    run_id: str
    random_id: Callable[[], str]
    started_ms: int
    multiplexing_api: str
    expires_actively: bool
    cron_paused: bool

    @property
    def out_of_memory(self) -> bool:
        """More is used than `maxmemory` allows, and nothing can be evicted: what needs memory is to be refused.

        It is as of the last look, which was taken before the command that is being run (`pre_command_oom_state`).
        """

    @property
    def exceeded_ms(self) -> int:
        """For how long `maxmemory` has been passed, in ms; 0 when it is not."""

    def free_memory(self) -> bool:
        """Evict keys if more is used than `maxmemory` allows; False if `out_of_memory` now."""

    def memory_use(self) -> MemoryUse:
        """What memory is used for."""

    def log(self, level: str, message: str) -> None:
        """Write a line; levels are `debug`, `verbose`, `notice`, `warning`."""

    def monitor(self, session: Session, *, watches: bool) -> None:
        """A session begins to watch every command, or ends it."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Do something after a while."""

    def call(self, session: Session, argv: list[bytes]) -> Reply:
        """Run a command inside of another (EXEC), with its effects kept until the outer one ends."""

    def call_inside(self, session: Session, command: Command, argv: list[bytes]) -> Reply:
        """Run a command of a script, with its effects kept until the script ends; its reply, which may be an error."""

    def script_refusal(self, session: Session, flags: int) -> CommandError | None:
        """Why the server's state forbids a script to run a command of such flags; None if it does not."""

    def unblock(self, session: Session, reply: Reply) -> None:
        """Answer a blocked session and let it go on."""

    def disconnect(self, session: Session, *, flush: bool = True) -> None:
        """Close a client's connection, after its pending output if `flush`."""

    def now(self) -> int:
        """Unix time in ms of this moment; `keyspace.now_ms` is that of the commands being run."""

    def primary_session(self) -> Session | None:
        """The session that applies the primary's stream, None while there is none."""

    def pause(self, duration_ms: int, *, everything: bool) -> None:
        """CLIENT PAUSE: hold back the clients' commands (only writing ones unless `everything`) for a while."""

    def unpause(self) -> None:
        """CLIENT UNPAUSE."""

    def flushed_all(self) -> None:
        """FLUSHALL has run: a snapshot under way is stale, and save points want the empty dataset on disk."""

    def replicate_from(self, host: str, port: int, who: str) -> bool:
        """REPLICAOF; False if that is the primary already. `who` describes the client for the log."""

    def promote(self, who: str, *, asked: str = "user request") -> bool:
        """REPLICAOF NO ONE; False if there is no primary. `asked` says for the log what `who` asked for."""

    def request_acknowledgements(self) -> None:
        """Ask the replicas for their offsets (`replicationRequestAckFromSlaves`)."""

    def attach_replica(self, session: Session) -> Replica:
        """The session's replica record, made when it first speaks as one."""

    def replica_acknowledged(self) -> None:
        """Replicas acknowledged an offset: whoever waits for that may be served."""

    def migrate(self, migration: Migration) -> None:
        """Let a migration take its course; its `answer` is called once, later, when it is over."""

    def migrate_now(self, migration: Migration) -> None:
        """Let a migration take its course, and wait for it with the whole server."""

    def save(self) -> None:
        """SAVE, in the foreground.

        Raises:
            CommandError: it failed.
        """

    def background_save(self, *, schedule: bool) -> str:
        """BGSAVE; the reply.

        Raises:
            CommandError: it cannot be started.
        """

    def shut_down(self, *, save: bool | None, now: bool, force: bool) -> bool:
        """SHUTDOWN; True if it waits for replicas.

        Raises:
            CommandError: it was refused.
        """

    def reload(self, *, save: bool, flush: bool, merge: bool = True) -> None:
        """DEBUG RELOAD: save, then load what was saved.

        Parameters:
            save: save first; without it, an existing file is loaded.
            flush: drop what there is; without it, add the file's keys to it.
            merge: keys of the file replace keys of the same name, instead of being an error.

        Raises:
            CommandError: it failed.
        """


class Session:
    """The state of one client.

    Parameters:
        server: the server it talks to.
        number: the client id, unique and ascending.
        outlet: where out-of-band output goes.

    Attributes:
        db: the selected database.
        proto: 2 or 3.
        flags: the bits above.
        user: who the client is; None may do everything (the primary's stream).
        queue: MULTI's queued commands.
        queued_bytes: what their words take.
        watched: (database number, key) that WATCH guards → whether it is a key that had expired by then.
        channels, patterns, shard_channels: what it is subscribed to; None until it subscribes.
        tracking: how it tracks keys, None if it does not.
        waiting, waiting_argv: what the session is blocked on, and the command to run again.
        written_offset: the last byte of the stream that its last write took (`woff`): what WAIT wants acknowledged.
        replica: what the peer said of itself by REPLCONF, and its state once it is attached.
    """

    __slots__ = (
        "address",
        "channels",
        "created_ms",
        "db",
        "flags",
        "keyspace",
        "last_active_ms",
        "last_command",
        "lib_name",
        "lib_version",
        "local_address",
        "name",
        "number",
        "outlet",
        "patterns",
        "proto",
        "queue",
        "queued_bytes",
        "replica",
        "server",
        "shard_channels",
        "timer",
        "tracking",
        "user",
        "waiting",
        "waiting_argv",
        "watched",
        "written_offset",
    )

    def __init__(self, server: Server, number: int, outlet: Outlet | None = None) -> None:
        self.server = server
        self.keyspace: Keyspace = server.keyspace
        self.number = number
        self.outlet: Outlet = NoOutlet() if outlet is None else outlet
        self.db: Database = self.keyspace.databases[0]
        self.proto: int = 2
        self.flags: int = 0
        self.queue: list[list[bytes]] = []
        self.queued_bytes: int = 0
        self.watched: dict[tuple[int, bytes], bool] = {}
        self.channels: set[bytes] | None = None
        self.patterns: set[bytes] | None = None
        self.shard_channels: set[bytes] | None = None
        self.replica: Replica | None = None
        self.timer: Timer | None = None
        self.tracking: Mode | None = None
        self.waiting: Blocked | None = None
        self.waiting_argv: list[bytes] = []
        self.written_offset: int = 0
        self.name: bytes = b""
        self.user: User | None = None
        self.lib_name: bytes = b""
        self.lib_version: bytes = b""
        self.address: str = ""
        self.local_address: str = ""
        self.created_ms: int = 0
        self.last_active_ms: int = 0
        self.last_command: str = ""

    def buffer_bytes(self) -> int:
        """Bytes that wait on this connection: requests that came, replies that have not gone, a transaction's queue."""
        held = self.queued_bytes + QUEUED_BYTES * len(self.queue) + sum(map(len, self.waiting_argv))
        return self.outlet.pending_input() + self.outlet.pending_output() + held

    def propagate(self, *command: bytes) -> None:
        """Put this command into the stream instead of the one being run; may be called several times."""
        keyspace = self.keyspace
        keyspace.verbatim = False
        keyspace.effects.append((self.db.number, command))

    def suppress(self) -> None:
        """Keep the command being run out of the stream."""
        self.keyspace.verbatim = False

    def log_in(self, user: User) -> None:
        """The client has proved that it is this user."""
        self.user = user
        self.flags &= ~UNAUTHENTICATED
        self.take_rights()

    def log_out(self, default: User) -> None:
        """The client is nobody any more, whatever the default user wants."""
        self.user = default
        self.flags |= UNAUTHENTICATED
        self.take_rights()

    def begin_as(self, default: User) -> None:
        """Be the default user, as a new connection is (`clientSetDefaultAuth`)."""
        if default.needs_login:
            self.log_out(default)
        else:
            self.log_in(default)

    def take_rights(self) -> None:
        """The user, or what it may do, is another one."""
        if self.user is None or self.user.is_unrestricted:
            self.flags &= ~RESTRICTED
        else:
            self.flags |= RESTRICTED

    @property
    def must_log_in(self) -> bool:
        """Whether nothing is done for the client before it has logged in (`authRequired`)."""
        return bool(self.flags & UNAUTHENTICATED and self.server.users.default.needs_login)

    def watch(self, key: bytes) -> None:
        """WATCH a key of the selected database: a change of it breaks the next EXEC (`watchForKey`).

        That a key which has expired already is deleted is no change.
        """
        db = self.db
        place = (db.number, key)
        if place not in self.watched:
            self.watched[place] = db.is_due(key)
            db.watched.setdefault(key, {})[self.number] = lambda: self._touched(db, place)

    def _touched(self, db: Database, place: tuple[int, bytes]) -> None:
        if not self.watched[place]:
            self.flags |= WATCH_BROKEN
        elif place[1] not in db.data:
            self.watched[place] = False

    def stop_tracking(self) -> None:
        """End the tracking of keys, if there is any (CLIENT TRACKING OFF, RESET)."""
        self.server.tracking.stop(self)
        self.flags &= ~TRACKING

    def unwatch(self) -> None:
        """Forget every watched key."""
        for number, key in self.watched:
            watched = self.keyspace.databases[number].watched
            watched[key].pop(self.number, None)
            if not watched[key]:
                del watched[key]
        self.watched = {}
        self.flags &= ~WATCH_BROKEN

    @property
    def is_unix(self) -> bool:
        """Whether the client came over the Unix socket, whose path and `:0` are then its address."""
        return self.address.endswith(":0")

    @property
    def is_local(self) -> bool:
        """Whether the client came over loopback or a Unix socket (`connIsLocal`)."""
        host = self.address.rpartition(":")[0].strip("[]")
        return self.is_unix or host.startswith(("127.", "::ffff:127.")) or host == "::1"

    @property
    def may_block(self) -> bool:
        """False inside EXEC, and for the primary's stream: a blocking command answers at once there."""
        return not self.flags & (DENY_BLOCKING | PRIMARY)
