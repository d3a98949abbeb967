"""The link to the primary: the conversation up to the stream, and the stream, which one session applies.

    connect ─ link_entered … ─┬─ resumed ────────────────────────────────┬─ the stream ─ link_lost ─ connect
                              └─ a full sync (`full_sync`), begin_stream ┘
                 link_failed, at any step before the stream ─ connect

The session and its stream outlive the link only while bytes wait that were received and are not applied (`delaying`).
"""

from __future__ import annotations

from txrepl.commands.session import PRIMARY, Session
from txrepl.commands.transactions import discard_transaction
from txrepl.errors import ReplicationError
from txrepl.keyspace.database import Expiry
from txrepl.node.answers import Answers
from txrepl.node.core import Core
from txrepl.replication.decisions import Answer, Stage
from txrepl.replication.events import EventKind
from txrepl.replication.handshake import Introduction, Outcome
from txrepl.replication.lag import Behind, behind_primary
from txrepl.replication.link import Step
from txrepl.replication.psync import Condition, PsyncDecision, understand
from txrepl.replication.states import LinkState
from txrepl.replication.stream import Stream


class Following:
    """The link to the primary, and what comes over it.

    Attributes:
        stream: what takes the primary's bytes; None while none are to come.
        session: who applies them; None while there is no stream.
    """

    def __init__(self, core: Core, answers: Answers) -> None:
        self._core = core
        self._answers = answers
        self._link = core.link
        self._feed = core.feed
        self.stream: Stream | None = None
        self.session: Session | None = None

    # -- the connection -----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Connect to the primary that the configuration names."""
        self._link.state = LinkState.CONNECT
        self._core.refresh_gate()
        self.connect()

    def connect(self) -> None:
        """Connect to the link's primary."""
        self._core.log("notice", f"Connecting to MASTER {self._link.host}:{self._link.port}")
        self._core.host.connect_primary()

    def drop_link(self) -> None:
        """Close the connection to the primary; the history stays good for a partial resync."""
        self._core.transcripts.failed(self._core.now(), "given up: the role changed")
        self._core.host.drop_primary()
        if self._link.is_up:
            self._core.log("notice", "Connection with master lost.")
            self._core.log("notice", "Caching the disconnected master state.")
        self.end_stream()
        if self._link.transfer is not None:
            self._abandon_transfer("the primary is left")

    # -- the conversation ---------------------------------------------------------------------------------------

    def introduction(self) -> Introduction:
        """What we tell the primary of ourselves."""
        settings, link = self._core.settings, self._link
        history = self._feed.history
        return Introduction(
            port=settings.announce_port or settings.listening_port,
            address=settings.announce_ip,
            user=settings.user,
            password=settings.password,
            replid=history.replid if link.resumable else None,
            offset=self._core.delay.received_offset + 1 if link.resumable else -1,
            failover=self._core.failover.is_under_way,
        )

    def link_entered(self, state: LinkState) -> None:
        """The conversation with the primary reached a state."""
        link = self._link
        link.state = state
        link.last_io_ms = self._core.now()
        if state is LinkState.CONNECTING:
            link.steps = []
        link.steps.append(Step(state, link.last_io_ms))

    def primary_spoke(self, count: int) -> None:
        """Something came from the primary: so many bytes of a bulk or of the stream."""
        self._link.last_io_ms = self._core.now()
        self._core.stats.reads += 1
        self._core.stats.primary_input_bytes += count

    def sync_refused(self, reason: str) -> None:
        """The primary cannot bring us up to date now; `link_failed` follows."""
        asked = self.introduction()
        made = PsyncDecision(False, asked.replid or "?", asked.offset, reason, condition=Condition.TRY_LATER)
        self._answers.received(made, Answer.REFUSED)

    def resumed(self, outcome: Outcome) -> None:
        """The primary goes on where we stand (`replicationResurrectCachedMaster`)."""
        core = self._core
        core.failover.taken_over()
        self._answers.received(understand(self.introduction(), outcome), Answer.PARTIAL)
        if outcome.replid:
            self._feed.history.take_over(outcome.replid)
            core.primary.drop_all()
        self._feed.open_backlog(core.settings.backlog_bytes)
        self._answers.note_sync(
            EventKind.SYNC_DONE, "the primary goes on where this node stands", answer=Answer.PARTIAL
        )
        core.log("notice", "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
        self.begin_stream(max(self._link.stream_db, 0))

    def link_failed(self, reason: str) -> None:
        """The conversation ended before the stream flowed; it will be begun again."""
        core, link = self._core, self._link
        if not link.failures or reason != link.last_error:
            core.events.note(EventKind.LINK_FAILED, reason, host=link.host, port=link.port)
        link.failures += 1
        link.last_error = reason
        core.transcripts.failed(core.now(), reason)
        if link.transfer is not None:
            self._abandon_transfer(reason)
        if core.failover.is_under_way and link.state is LinkState.RECEIVE_PSYNC:
            core.later(0, lambda: core.failover.abort("Failover target rejected psync request"))
        if link.host:
            link.state = LinkState.CONNECT
        core.refresh_gate()

    def link_lost(self, reason: str) -> None:
        """The stream broke off: keep the history for a partial resync (`replicationHandleMasterDisconnection`)."""
        core, link = self._core, self._link
        self.end_stream()
        link.current_ms = link.last_io_ms
        core.log("notice", "Connection with master lost.")
        if link.resumable:
            core.log("notice", "Caching the disconnected master state.")
        link.last_error = reason
        link.state = LinkState.CONNECT
        link.down_since_ms = core.now()
        core.refresh_gate()
        core.events.note(EventKind.LINK_DOWN, reason, host=link.host, port=link.port)

    def discard_history(self) -> None:
        """What the primary sent cannot be trusted: the next resync is full."""
        self._link.resumable = False

    def _abandon_transfer(self, reason: str) -> None:
        assert self._link.transfer is not None
        self._answers.note_sync(EventKind.SYNC_FAILED, reason, size_bytes=self._link.transfer.read_bytes)
        self._answers.transfer_ended(Stage.BROKEN)
        self._link.transfer = None
        self._core.loading = None
        self._core.refresh_gate()

    # -- the stream ---------------------------------------------------------------------------------------------

    def begin_stream(self, database: int) -> None:
        """The primary's stream begins, or goes on where bytes of it wait still.

        Parameters:
            database: the one that a stream which begins has selected.
        """
        core, link = self._core, self._link
        core.settle_guard("the stream flows")
        session = self.session
        if session is None:
            session = self._open_stream(database)
        session.address = f"{link.host}:{link.port}"
        session.local_address = link.local_address
        session.created_ms = session.last_active_ms = core.now()
        link.down_since_ms = 0
        link.failures = 0
        link.last_error = ""
        self.link_entered(LinkState.CONNECTED)
        core.refresh_gate()
        core.events.note(EventKind.LINK_UP, "the primary's stream flows", host=link.host, port=link.port)

    def _open_stream(self, database: int) -> Session:
        session = Session(self._core.dispatcher.server, self._core.next_session())
        session.flags |= PRIMARY
        session.db = self._core.keyspace.databases[database]
        self.session = session
        self.stream = Stream(
            self._feed,
            self._apply,
            lambda: bool(session.flags & 1),
            self._acknowledge,
        )
        return session

    def end_stream(self) -> None:
        """The link is gone; what a delayed replica has received lives on, and is applied in its time."""
        if self._core.delay.pending_bytes:
            return
        session = self.session
        if session is not None:
            self._link.stream_db = session.db.number
            discard_transaction(session)
        self.stream = None
        self.session = None
        self._link.read_offset = 0

    def apply_stream(self, stream: Stream, data: bytes) -> None:
        """Apply bytes of the stream now.

        Raises:
            ReplicationError: they are no stream of commands.
        """
        keyspace = self._core.keyspace
        keyspace.set_time(self._core.now())
        keyspace.expiry = int(Expiry.IGNORE)
        try:
            stream.receive(data)
        finally:
            keyspace.expiry = int(Expiry.HIDE if self._link.host else Expiry.DELETE)
        keyspace.settle_count()
        self._link.read_offset = self._feed.history.offset + stream.unapplied_bytes

    def _apply(self, argv: list[bytes]) -> None:
        core, session = self._core, self.session
        if session is None:
            raise ReplicationError("The primary's stream told us to leave it: what follows is not for us")
        failed = core.dispatcher.apply(session, argv)
        if failed is not None:
            name = argv[0].decode("utf-8", "backslashreplace").lower()
            text = failed.quoted
            core.log(
                "warning",
                f"== CRITICAL == This replica is sending an error to its master: '{text}' "
                f"after processing the command '{name}' (at offset {self._feed.history.offset})",
            )
            if core.settings.read_only and core.config.get_str("propagation-error-behavior") != "ignore":
                core.host.panic(
                    f"This replica panicked sending an error to its master after processing the command '{name}'"
                )

    def _acknowledge(self, offset: int) -> None:
        if not self._core.delay.is_active:  # else it was acknowledged when it came
            self._core.host.acknowledge(offset)

    # -- where it stands ----------------------------------------------------------------------------------------

    def behind(self) -> Behind:
        """How far we are behind our primary."""
        delay, now_ms = self._core.delay, self._core.now()
        unapplied_bytes = self.stream.unapplied_bytes if self.stream is not None else 0
        found = behind_primary(self._link, unapplied_bytes + delay.pending_bytes, now_ms)
        oldest_ms = delay.oldest_ms
        if oldest_ms is None:
            return found
        return Behind(found.least_bytes, max(found.most_ms or 0, now_ms - oldest_ms))

    @property
    def stream_database(self) -> int:
        """The database that our stream has selected, as a snapshot records it; -1 = none."""
        if self.session is not None:
            return self.session.db.number
        return self._link.stream_db if self._link.host else self._feed.selected_db
