"""From words to a reply: which command, may it run now, run it, pass on what it did.

The common case is one dictionary look-up, one flag test, one call. Whatever needs more (a transaction, a
subscriber, a server that is loading or follows a primary, an unknown name) takes the long way, whose checks stand
in the order of Redis's `processCommand`.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Final

from txrepl.commands.access.checks import Denial, Reason, check
from txrepl.commands.authentication import denied
from txrepl.commands.blocking import Waiters
from txrepl.commands.client_lines import client_line
from txrepl.commands.durations import BUCKETS, count, uncount
from txrepl.commands.monitor import Monitors, monitor_line
from txrepl.commands.observations import DISABLED
from txrepl.commands.propagation import Propagation
from txrepl.commands.session import (
    BLOCKED,
    CLOSING,
    DENY_BLOCKING,
    IN_MULTI,
    MONITORING,
    MULTI_FAILED,
    NO_TOUCH,
    PRIMARY,
    READS_HERE,
    REDIRECTS,
    REPLICA,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    RESTRICTED,
    SLOW_PATH,
    SUBSCRIBED,
    TRACKING,
    UNAUTHENTICATED,
    Blocked,
    Server,
    Session,
)
from txrepl.commands.table import (
    ADMIN,
    ALLOW_BUSY,
    DENYOOM,
    FAST,
    LOADING,
    MAY_REPLICATE,
    NO_ASYNC_LOADING,
    NO_AUTH,
    NO_MULTI,
    PUBSUB,
    READONLY,
    SKIP_MONITOR,
    SKIP_SLOWLOG,
    STALE,
    WRITE,
    Command,
    CommandTable,
)
from txrepl.errors import OUT_OF_MEMORY, CommandError
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import ListValue, SortedSetValue
from txrepl.resp.replies import NO_REPLY, OK, QUEUED, Many, NoReply, Reply, encode

EVERY_COMMAND: Final = -1
"""A gate that no command passes unchecked."""

_ENDS_MULTI: Final = frozenset(("exec", "discard", "quit", "reset"))
_READING_SCRIPTS: Final = frozenset(("eval_ro", "evalsha_ro", "fcall_ro"))
_UNQUEUED: Final = frozenset(("exec", "discard", "multi", "watch", "quit", "reset"))
_SUBSCRIBER_MAY: Final = frozenset(
    (
        "subscribe",
        "ssubscribe",
        "psubscribe",
        "unsubscribe",
        "sunsubscribe",
        "punsubscribe",
        "ping",
        "quit",
        "reset",
    )
)
_WAITS_FOR: Final = {"list": ListValue, "sorted-set": SortedSetValue, "stream": StreamValue}
"""What each family of blocking commands waits for: a key of another type wakes nobody."""

_LOST_RIGHTS: Final = {
    Reason.COMMAND: "no permission to execute the command or subcommand",
    Reason.KEY: "no permission to touch the specified keys",
    Reason.CHANNEL: "no permission to access one of the channels used as arguments",
}

_HTTP_WORDS: Final = frozenset((b"post", b"host:"))
"""What a browser says that was led to take us for a web server."""
_HTTP_LOG_PAUSE_MS: Final = 60_000

STOP: Final = BLOCKED | CLOSING


class Dispatcher:
    """Runs commands for sessions.

    Parameters:
        server: whose commands they are.
        propagation: where effects go.

    Attributes:
        gate: flag bits of commands that may be refused in the server's present state; whoever changes that
            state (loading, roles, the link, failed saves) calls `set_gate`.
        waiters: the blocked sessions.
        pause_flags: flag bits of the commands held back (`EVERY_COMMAND`: all), 0 when none are; whoever changes
            them calls `set_gate`, and `release_paused` when they became fewer.
        slow_ns: commands that take so long, in ns, interest somebody; whoever changes a threshold calls
            `follow_observations`.
        memory_gate: flag bits of commands that are looked at for the memory that they may need.
    """

    def __init__(self, server: Server, table: CommandTable, propagation: Propagation) -> None:
        self.server = server
        self.keyspace = server.keyspace
        self.table = table
        self.waiters = Waiters()
        self.gate: int = 0
        self.link_is_stale: bool = False
        self.read_only: bool = False
        self.save_failed: bool = False
        self.pause_flags: int = 0
        self.observations = server.observations
        self.slow_ns: int = DISABLED
        self._counts_durations: bool = True
        self.memory_gate: int = 0
        self._state_gate: int = 0
        self._serving: bool = False
        self._released: list[Session] = []
        self.monitors = Monitors(self._flush_monitors_soon)
        self._http_logged_ms: int | None = None
        self._propagation = propagation
        self.follow_observations()

    def follow_observations(self) -> None:
        """What is to be noted of commands has changed."""
        self.slow_ns = self.observations.threshold_ns
        self._counts_durations = self.observations.counts_durations

    def set_gate(self, *, read_only: bool, stale: bool, loading: bool, save_failed: bool, min_replicas: bool) -> None:
        """Tell what the server refuses now."""
        self.read_only = read_only
        self.link_is_stale = stale
        self.save_failed = save_failed
        if stale or loading:
            self._state_gate = EVERY_COMMAND
        elif read_only or save_failed or min_replicas:
            self._state_gate = WRITE | MAY_REPLICATE
        else:
            self._state_gate = 0
        self.refresh_gate()

    def refresh_gate(self) -> None:
        """Monitors have come or gone, or a script is busy or over."""
        self.gate = (
            self._state_gate
            | self.pause_flags
            | self.memory_gate
            | (EVERY_COMMAND if self.monitors or self.server.scripting.busy_refusal() is not None else 0)
        )

    def set_memory_gate(self, is_near: bool) -> None:
        """Tell whether the limit of memory is so near that it is looked at before each command that may need some."""
        self.memory_gate = DENYOOM | MAY_REPLICATE if is_near else 0
        self.refresh_gate()

    def _flush_monitors_soon(self) -> None:
        self.server.later(0, self.monitors.flush)

    def monitor(self, session: Session, *, watches: bool, gone: bool = False) -> None:
        """A session begins to watch every command, or ends it; `gone`: because its connection has ended."""
        if watches:
            session.flags |= MONITORING
            self.monitors.add(session.number, session.outlet.write)
        else:
            session.flags &= ~MONITORING
            self.monitors.remove(session.number, gone=gone)
        self.refresh_gate()

    def release_paused(self) -> None:
        """Fewer commands are held back as of now: let those who wait try again."""
        for session in self.waiters.of_kind("pause"):
            self.unblock(session, NO_REPLY)

    # -- serving ------------------------------------------------------------------------------------------------

    def serve(self, session: Session, batch: list[list[bytes]], out: list[bytes]) -> int:
        """Run a batch of requests and append the replies' bytes to `out`.

        Returns:
            How many requests were used: fewer than given when one of them blocks or closes the connection.
        """
        find = self.table.by_name.get
        keyspace = self.keyspace
        append = out.append
        buckets = BUCKETS if self._counts_durations else None
        started = perf_counter_ns()
        command: Command | None = None
        used = 0
        outermost = not self._serving
        self._serving = True
        try:
            for argv in batch:
                used += 1
                if not argv:
                    if session.replica is not None:
                        session.replica.ack_ms = keyspace.now_ms  # a replica that loads shows life by newlines
                    continue
                command = find(argv[0])
                if (
                    command is None
                    or command.handler is None
                    or session.flags & SLOW_PATH
                    or command.flags & self.gate
                    or not command.least <= len(argv) <= command.most
                ):
                    reply = self._long_way(session, argv)
                    elapsed = -1
                    started = perf_counter_ns()
                else:
                    keyspace.verbatim = True
                    dirty = keyspace.dirty
                    try:
                        reply = command.handler(session, argv)
                    except CommandError as error:
                        reply = self._failed(command, error)
                    except Exception as error:
                        reply = self._broken(command, error)
                    if keyspace.dirty != dirty or keyspace.effects:
                        self._propagation.command(session.db.number, argv, keyspace.dirty != dirty)
                        session.written_offset = self.server.feed.history.offset
                    command.calls += 1
                    now = perf_counter_ns()
                    elapsed = now - started
                    started = now
                    command.nanoseconds += elapsed
                    if buckets is not None:
                        try:
                            command.durations[buckets[elapsed]] += 1
                        except IndexError:
                            count(command.durations, elapsed)
                    if elapsed >= self.slow_ns and not isinstance(reply, Blocked):
                        self._note_slow(session, command, argv, elapsed)
                if reply.__class__ is bytes:
                    append(b"$%d\r\n%b\r\n" % (len(reply), reply))
                elif reply is OK:
                    append(b"+OK\r\n")
                elif isinstance(reply, NoReply):
                    if isinstance(reply, Blocked):
                        if reply.kind == "pause":
                            used -= 1
                        if elapsed >= 0 and command is not None:
                            self._take_back(command, reply, elapsed)
                        self._block(session, reply, argv)
                else:
                    append(encode(reply, session.proto))
                if keyspace.ready:
                    self.serve_ready()
                    started = perf_counter_ns()
                if session.flags & STOP:
                    break
        finally:
            if outermost:
                if self._released:
                    self._release()
                self._serving = False
        if command is not None:
            session.last_command = command.name
        self.server.stats.commands += used
        return used

    def _release(self) -> None:
        """Let those go on who were unblocked while commands were run: one session's commands end before another's."""
        try:
            while self._released:
                self._released.pop(0).outlet.resume()
        finally:
            self._serving = False

    def _long_way(self, session: Session, argv: list[bytes]) -> Reply:
        """Run one request with every check; the reply as the client is to see it, and what follows it."""
        tracking = self.server.tracking
        if session.flags & TRACKING:
            tracking.current = session.number
        reply = self._one(session, argv)
        if not tracking.current:
            return reply
        messages = self._own_messages(session)
        if messages and isinstance(reply, NoReply):
            self._write_all(session, messages)
        elif messages:
            return Many([reply, *messages])
        return reply

    def _own_messages(self, session: Session) -> list[Reply]:
        """A command of a session that tracks keys has run: what it has to be told after the reply."""
        tracking = self.server.tracking
        tracking.current = 0
        mode = session.tracking
        if mode is not None and not session.flags & IN_MULTI and not session.last_command.startswith("client"):
            mode.caching = False
        return tracking.own_messages(session)

    @staticmethod
    def _write_all(session: Session, messages: list[Reply]) -> None:
        for message in messages:
            session.outlet.write(encode(message, session.proto))

    def _remember_keys(self, command: Command, argv: list[bytes]) -> None:
        """The session that tracks keys has read some, or its script has: that is remembered as it reads."""
        session = self.server.sessions.get(self.server.tracking.current)
        if session is None or command.flags & (READONLY | PUBSUB) != READONLY or command.name in _READING_SCRIPTS:
            return
        try:
            positions = command.key_positions(argv)
        except CommandError:
            return
        self.server.tracking.remember(session, [argv[position] for position, _ in positions])

    def _one(self, session: Session, argv: list[bytes]) -> Reply:
        """Run one request with every check; the reply as the client is to see it."""
        flags = session.flags
        if flags & CLOSING:
            return NO_REPLY
        started = perf_counter_ns()
        if flags & NO_TOUCH:
            self.keyspace.hold_uses(True)
            try:
                reply = self._checked(session, argv, started)
            finally:
                self.keyspace.hold_uses(False)
        else:
            reply = self._checked(session, argv, started)
        if isinstance(reply, Blocked) and reply.kind == "pause":
            return reply
        if flags & REPLICA and not isinstance(reply, NoReply):
            return self._replica_replied(session, argv, reply)
        if session.flags & (REPLY_OFF | REPLY_SKIP):
            session.flags &= ~REPLY_SKIP
            if not isinstance(reply, Blocked):
                reply = NO_REPLY
        if session.flags & REPLY_SKIP_NEXT:
            session.flags = session.flags & ~REPLY_SKIP_NEXT | REPLY_SKIP
        return reply

    def _replica_replied(self, session: Session, argv: list[bytes], reply: Reply) -> Reply:
        """An attached replica has no business with replies (`afterErrorReply`, `logInvalidUseAndFreeClientAsync`)."""
        name, whose = argv[0].decode("utf-8", "backslashreplace").lower(), client_line(session)
        self.server.log("warning", f"Replica generated a reply to command '{name}', disconnecting it: {whose}")
        if isinstance(reply, CommandError):
            self.server.log(
                "warning",
                f"== CRITICAL == This master is sending an error to its replica: '{reply.quoted}' "
                f"after processing the command '{name}'",
            )
        self.server.disconnect(session, flush=False)
        return NO_REPLY

    def _checked(self, session: Session, argv: list[bytes], started: int) -> Reply:
        command = self.table.resolve(argv)
        if command is None and argv[0].lower() in _HTTP_WORDS:
            return self._cross_protocol(session)
        session.last_command = command.name if command is not None else ""
        refusal = self._refusal(session, command, argv)
        if refusal is not None:
            if command is not None:
                command.rejected += 1
            if command is not None and command.name == "exec":
                self.abort_transaction(session)
                reason = refusal.message.removeprefix(b"ERR ")
                refusal = CommandError(b"EXECABORT Transaction discarded because of: " + reason)
            elif session.flags & IN_MULTI:
                session.flags |= MULTI_FAILED
            self.server.stats.count_error(refusal.code)
            return refusal
        assert command is not None
        if self.pause_flags and self._is_paused(session, command):
            return Blocked([], 0, kind="pause")
        if session.flags & IN_MULTI and command.name not in _UNQUEUED:
            session.queue.append(argv)
            session.queued_bytes += sum(map(len, argv))
            return QUEUED
        keyspace = self.keyspace
        keyspace.verbatim = True
        dirty = keyspace.dirty
        reply = self._run(session, command, argv)
        if keyspace.dirty != dirty or keyspace.effects:
            self._propagation.command(session.db.number, argv, keyspace.dirty != dirty)
            session.written_offset = self.server.feed.history.offset
        elapsed = perf_counter_ns() - started
        if self.monitors and not command.flags & (ADMIN | SKIP_MONITOR):
            self._show(session, command, argv)
        if isinstance(reply, Blocked):
            reply.nanoseconds += elapsed
        else:
            self._account(session, command, argv, elapsed)
        return reply

    def _cross_protocol(self, session: Session) -> Reply:
        """Somebody speaks HTTP: close at once, so that nothing else of the request runs (`securityWarningCommand`)."""
        now_ms = self.keyspace.now_ms
        if self._http_logged_ms is None or now_ms - self._http_logged_ms > _HTTP_LOG_PAUSE_MS:
            self._http_logged_ms = now_ms
            self.server.log(
                "warning",
                "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. "
                "This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis "
                f"instance. Connection from {session.address} aborted.",
            )
        self.server.disconnect(session, flush=False)
        return NO_REPLY

    def _show(self, session: Session, command: Command, argv: list[bytes]) -> None:
        """Let monitors see a command."""
        source = session.address
        if session.is_unix:
            source = f"unix:{source.removesuffix(':0')}"
        line = monitor_line(command.shown(argv), session.db.number, source, self.keyspace.now_ms)
        self.monitors.tell(line)

    def _run(self, session: Session, command: Command, argv: list[bytes]) -> Reply:
        assert command.handler is not None
        if self.monitors and command.flags & SKIP_MONITOR:
            self._show(session, command, argv)  # before the commands of the script that it is
        try:
            return command.handler(session, argv)
        except CommandError as error:
            return self._failed(command, error)
        except Exception as error:
            return self._broken(command, error)
        finally:
            if session.flags & TRACKING:
                self._remember_keys(command, argv)

    # -- what commands cost -------------------------------------------------------------------------------------

    def _account(self, session: Session, command: Command, argv: list[bytes], elapsed: int) -> None:
        """Count a call that is over, after so many ns of work; `serve` does the same for the common case."""
        command.calls += 1
        command.nanoseconds += elapsed
        if self._counts_durations:
            count(command.durations, elapsed)
        if elapsed >= self.slow_ns:
            self._note_slow(session, command, argv, elapsed)

    def _take_back(self, command: Command, blocked: Blocked, elapsed: int) -> None:
        """A call was counted that is not over: it waits, and is counted when it is served."""
        command.calls -= 1
        command.nanoseconds -= elapsed
        blocked.nanoseconds += elapsed
        if self._counts_durations:
            uncount(command.durations, elapsed)

    def _note_slow(self, session: Session, command: Command, argv: list[bytes], elapsed: int) -> None:
        """A command took so long that the slow log or the latency monitor may want it."""
        now_ms = self.keyspace.now_ms
        slow_log, latency = self.observations.slow_log, self.observations.latency
        if elapsed >= slow_log.threshold_ns and not command.flags & SKIP_SLOWLOG:
            slow_log.note(command.shown(argv), elapsed, now_ms, session.address, session.name)
        if elapsed >= latency.threshold_ns and command.name != "exec":
            latency.note("fast-command" if command.flags & FAST else "command", elapsed // 1_000_000, now_ms)

    # -- errors -------------------------------------------------------------------------------------------------

    def _failed(self, command: Command, error: CommandError) -> CommandError:
        command.failed += 1
        if not error.counted:
            self.server.stats.count_error(error.code)
        return error

    def _broken(self, command: Command, error: Exception) -> CommandError:
        """A handler raised what it must not: the client gets an error, the log the place; the server lives on."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "?"
        self.server.log(
            "warning", f"Internal error in command '{command.name}': {type(error).__name__}: {error} ({where})"
        )
        self.server.stats.unexpected_errors += 1
        return self._failed(command, CommandError("ERR internal error, see the server's log"))

    # -- may it run ---------------------------------------------------------------------------------------------

    def _refusal(self, session: Session, command: Command | None, argv: list[bytes]) -> CommandError | None:
        """Why the command may not run now; None if it may."""
        if command is None or command.handler is None:
            return self._unknown(command, argv)
        if not command.accepts(len(argv)):
            return CommandError(f"ERR wrong number of arguments for '{command.name}' command")
        flags = self._flags(command, argv)
        if session.flags & UNAUTHENTICATED and not flags & NO_AUTH and session.must_log_in:
            return CommandError("NOAUTH Authentication required.")
        if session.flags & IN_MULTI and flags & NO_MULTI:
            return CommandError("ERR Command not allowed inside a transaction")
        if session.flags & RESTRICTED:
            denial = check(session.user, command, argv)
            if denial is not None:
                return self._no_permission(session, denial)
        if self.memory_gate and not session.flags & PRIMARY and not self.server.free_memory():
            wants_more = session.flags & IN_MULTI and command.name not in _ENDS_MULTI  # a longer queue
            if wants_more or flags & DENYOOM or (command.name == "exec" and self._queue_has(session, DENYOOM)):
                return CommandError(OUT_OF_MEMORY)
        if command.name == "exec" and self._queue_has(session, WRITE):
            flags |= WRITE
        if session.flags & REDIRECTS and self.server.link.host:
            elsewhere = WRITE if session.flags & READS_HERE else WRITE | READONLY
            if flags & elsewhere:
                return CommandError(f"REDIRECT {self.server.link.host}:{self.server.link.port}")
        if flags & (WRITE | MAY_REPLICATE) and not session.flags & PRIMARY:
            refusal = self._write_refusal(flags)
            if refusal is not None:
                return refusal
        if session.flags & SUBSCRIBED and session.proto == 2 and command.name not in _SUBSCRIBER_MAY:
            return CommandError(
                f"ERR Can't execute '{command.name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
                "are allowed in this context"
            )
        if self.link_is_stale and not flags & STALE:
            return CommandError("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
        loading = self.server.loading
        if loading is not None and not flags & LOADING and (not loading.served or flags & NO_ASYNC_LOADING):
            return CommandError("LOADING Redis is loading the dataset in memory")
        busy = self.server.scripting.busy_refusal()
        if busy is not None and not flags & ALLOW_BUSY:
            return busy
        if session.flags & (REPLICA | MONITORING) and flags & (WRITE | READONLY | MAY_REPLICATE):
            return CommandError("ERR Replica can't interact with the keyspace")
        return None

    @staticmethod
    def _no_permission(session: Session, denial: Denial) -> CommandError:
        denied(session, denial)
        return CommandError(b"NOPERM " + denial.text())

    def _write_refusal(self, flags: int) -> CommandError | None:
        settings = self.server.settings
        follows = bool(self.server.link.host)
        if self.save_failed and not follows and flags & (WRITE | DENYOOM):
            return CommandError(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
                "Commands that may modify the data set are disabled, because this instance is configured to report "
                "errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check "
                "the Redis logs for details about the RDB error."
            )
        guarded = not follows and settings.min_replicas and settings.min_replicas_max_lag_s
        if guarded and flags & WRITE and self.server.primary.good_replicas() < settings.min_replicas:
            return CommandError("NOREPLICAS Not enough good replicas to write.")
        if self.read_only and flags & WRITE:
            return CommandError("READONLY You can't write against a read only replica.")
        return None

    def _is_paused(self, session: Session, command: Command) -> bool:
        """Whether CLIENT PAUSE holds the command back; replicas and the primary are never paused."""
        if session.flags & (REPLICA | PRIMARY):
            return False
        flags = command.flags
        if command.name == "exec" and self._queue_has(session, WRITE):
            flags |= WRITE
        return bool(self.pause_flags == EVERY_COMMAND or flags & self.pause_flags)

    def _flags(self, command: Command, argv: list[bytes]) -> int:
        """The command's flags, or those that the script which it runs declares."""
        if command.flags_of is None:
            return command.flags
        return command.flags_of(self.server, argv, command.flags)

    def _queue_has(self, session: Session, flag: int) -> bool:
        return any((known := self.table.resolve(argv)) is not None and known.flags & flag for argv in session.queue)

    def _unknown(self, container: Command | None, argv: list[bytes]) -> CommandError:
        name = argv[0]
        found = self.table.find(name)
        name = name.partition(b"\0")[0]  # C strings: nothing is shown from a NUL on
        if found is not None and found.subcommands and len(argv) > 1:
            shown = argv[1][:128].partition(b"\0")[0].decode("utf-8", "surrogateescape")
            return CommandError(f"ERR unknown subcommand '{shown}'. Try {found.name.upper()} HELP.")
        if container is not None:
            return CommandError(f"ERR wrong number of arguments for '{container.name}' command")
        shown_arguments = b""
        for argument in argv[1:]:
            if len(shown_arguments) >= 128:
                break
            shown_arguments += b"'%b' " % argument[: 128 - len(shown_arguments)].partition(b"\0")[0]
        return CommandError(b"ERR unknown command '%b', with args beginning with: %b" % (name[:128], shown_arguments))

    # -- transactions -------------------------------------------------------------------------------------------

    def call(self, session: Session, argv: list[bytes]) -> Reply:
        """Run a queued command inside EXEC; its effects wait for the end of the transaction."""
        command = self.table.resolve(argv)
        assert command is not None
        keyspace = self.keyspace
        keyspace.verbatim = True
        dirty = keyspace.dirty
        started = perf_counter_ns()
        session.flags |= DENY_BLOCKING
        refusal = self._lost_right(session, command, argv) if session.flags & RESTRICTED else None
        if refusal is None and not session.flags & PRIMARY and command.flags & ADMIN == 0 and self.gate & command.flags:
            flags = self._flags(command, argv)
            refusal = self._write_refusal(flags) if flags & WRITE else None
        reply: Reply = refusal if refusal is not None else self._run(session, command, argv)
        session.flags &= ~DENY_BLOCKING
        self._propagation.collect(session.db.number, argv, keyspace.dirty != dirty)
        if self.monitors and not command.flags & (ADMIN | SKIP_MONITOR):
            self._show(session, command, argv)
        self._account(session, command, argv, perf_counter_ns() - started)
        return reply

    def call_inside(self, session: Session, command: Command, argv: list[bytes]) -> Reply:
        """Run a command of a script, whose effects wait for the end of the script; its reply, which may be an error."""
        keyspace = self.keyspace
        keyspace.verbatim = True
        dirty = keyspace.dirty
        started = perf_counter_ns()
        reply = self._run(session, command, argv)
        if keyspace.dirty != dirty:
            self._propagation.collect(session.db.number, argv, True)
        self._account(session, command, argv, perf_counter_ns() - started)
        if self.monitors and not command.flags & (ADMIN | SKIP_MONITOR):
            self.monitors.tell(monitor_line(command.shown(argv), session.db.number, "lua", keyspace.now_ms))
        return reply

    def script_refusal(self, session: Session, flags: int) -> CommandError | None:
        """Why the server's state forbids a script to run a command of such flags; None if it does not."""
        if not self.gate or session.flags & PRIMARY:
            return None
        if self.link_is_stale and not flags & STALE:
            return CommandError("ERR Can not execute the command on a stale replica")
        return self._write_refusal(flags) if flags & WRITE else None

    def _lost_right(self, session: Session, command: Command, argv: list[bytes]) -> CommandError | None:
        """Why a queued command may not be run any more: the rules are others than when it was queued."""
        denial = check(session.user, command, argv)
        if denial is None:
            return None
        denied(session, denial)
        error = CommandError(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This "
            f"command is no longer allowed for the following reason: {_LOST_RIGHTS[denial.reason]}"
        )
        self.server.stats.count_error(error.code)
        return error

    def abort_transaction(self, session: Session) -> None:
        """Forget a session's queue and watches (`discardTransaction`)."""
        session.queue = []
        session.queued_bytes = 0
        session.flags &= ~(IN_MULTI | MULTI_FAILED)
        session.unwatch()

    # -- the primary's stream -----------------------------------------------------------------------------------

    def apply(self, session: Session, argv: list[bytes]) -> CommandError | None:
        """Run a command of the primary's stream; an error is returned, the stream's bytes are the only propagation."""
        command = self.table.by_name.get(argv[0]) or self.table.resolve(argv)
        if command is None or command.handler is None:
            return self._unknown(command, argv)
        if not command.least <= len(argv) <= command.most:
            return CommandError(f"ERR wrong number of arguments for '{command.name}' command")
        if session.flags & IN_MULTI and command.name not in _UNQUEUED:
            session.queue.append(argv)
            return None
        started = perf_counter_ns()
        self.server.stats.commands += 1
        keyspace = self.keyspace
        session.last_command = command.name
        failed: CommandError | None = None
        try:
            reply = command.handler(session, argv)
            if isinstance(reply, list):  # EXEC's
                failed = next((answer for answer in reply if isinstance(answer, CommandError)), None)
        except CommandError as error:
            failed = self._failed(command, error)
        except Exception as error:
            failed = self._broken(command, error)
        self._account(session, command, argv, perf_counter_ns() - started)
        if self.monitors and not command.flags & ADMIN:
            self._show(session, command, argv)
        if keyspace.effects:
            keyspace.effects.clear()
        if keyspace.ready:
            self.serve_ready()
        return failed

    # -- waiting ------------------------------------------------------------------------------------------------

    def _block(self, session: Session, blocked: Blocked, argv: list[bytes]) -> None:
        self.waiters.add(session, blocked, argv)
        if blocked.timeout_ms:
            session.timer = self.server.later(blocked.timeout_ms, lambda: self._timed_out(session, blocked))

    def _timed_out(self, session: Session, blocked: Blocked) -> None:
        if session.waiting is blocked:
            session.timer = None
            self.unblock(session, blocked.on_timeout())

    def unblock(self, session: Session, reply: Reply) -> None:
        """Answer a blocked session and let it go on with what it sent meanwhile: once no command is being run."""
        waiting, command = session.waiting, self.table.resolve(session.waiting_argv) if session.waiting_argv else None
        if waiting is not None and waiting.kind != "pause" and command is not None:
            self._account(session, command, session.waiting_argv, waiting.nanoseconds)
        self.stop_waiting(session)
        if not isinstance(reply, NoReply):
            session.outlet.write(encode(reply, session.proto))
        if self._serving:
            self._released.append(session)
        else:
            session.outlet.resume()

    def disconnect_blocked(self, error: CommandError) -> None:
        """Answer those who wait with an error and close their connections, but for those whom a pause holds back.

        Follows `disconnectAllBlockedClients`.
        """
        for session in list(self.waiters.sessions.values()):
            if session.waiting is not None and session.waiting.kind == "pause":
                continue
            session.flags |= CLOSING  # what it sent ahead is not run any more
            self.unblock(session, error)
            self.server.disconnect(session)

    def stop_waiting(self, session: Session) -> None:
        """A blocked session is served, timed out, or gone."""
        self.waiters.remove(session)
        if session.timer is not None:
            session.timer.cancel()
            session.timer = None

    def serve_ready(self) -> None:
        """Serve the sessions blocked on keys that got elements, until no key is ready."""
        keyspace = self.keyspace
        while keyspace.ready:
            ready = list(keyspace.ready)
            keyspace.ready.clear()
            for database, key in ready:
                value = keyspace.databases[database].data.get(key)
                for session in self.waiters.on(database, key):
                    self._try_again(session, type(value))

    def _try_again(self, session: Session, kind: type) -> None:
        """Run a blocked command again, if the ready key holds what its family waits for."""
        argv = session.waiting_argv
        command = self.table.resolve(argv)
        waiting = session.waiting
        if waiting is None or command is None:
            return
        if _WAITS_FOR.get(command.group) is not kind and not waiting.on_any_change:
            return
        denial = check(session.user, command, argv) if session.flags & RESTRICTED else None
        if denial is not None:  # its user's rules have changed while it waited
            command.rejected += 1
            refusal = self._no_permission(session, denial)
            self.server.stats.count_error(refusal.code)
            self.unblock(session, refusal)
            return
        keyspace = self.keyspace
        keyspace.verbatim = True
        dirty = keyspace.dirty
        started = perf_counter_ns()
        if session.flags & TRACKING:
            self.server.tracking.current = session.number
        reply = self._run(session, command, argv)
        if keyspace.dirty != dirty or keyspace.effects:
            self._propagation.command(session.db.number, argv, keyspace.dirty != dirty)
            session.written_offset = self.server.feed.history.offset
        waiting.nanoseconds += perf_counter_ns() - started
        messages = self._own_messages(session) if session.flags & TRACKING else []
        if messages and not isinstance(reply, Blocked):
            reply = Many([reply, *messages])
        elif messages:
            self._write_all(session, messages)
        if not isinstance(reply, Blocked):
            self.unblock(session, reply)
