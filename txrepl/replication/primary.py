"""The primary's side: who is attached, who waits for a snapshot, and what each is sent.

A replica that cannot go on partially waits for a snapshot; one snapshot serves all who wait when it starts, and
those who come while one is being written to disk for others share it. From the offset of the snapshot on the
backlog keeps the stream for each waiting replica (a pin), so a joining replica needs no copied buffer.

Follows `syncCommand`, `startBgsaveForReplication`, `replicationSetupSlaveForFullResync`,
`updateSlavesWaitingBgsave`, `replicaPutOnline` and the primary's half of `replicationCron`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from txrepl.replication.advice import Advisor
from txrepl.replication.decisions import (
    REPLID_SHOWN,
    Answer,
    Decision,
    Decisions,
    Direction,
    EndCause,
    HistoryEnd,
    Stage,
    Standing,
    why_no_history,
)
from txrepl.replication.events import EventKind, Events, Fact
from txrepl.replication.feed import PING, Feed
from txrepl.replication.psync import Condition, PsyncDecision, decide
from txrepl.replication.replica import Replica
from txrepl.replication.settings import Settings
from txrepl.replication.snapshot_kind import SnapshotKind
from txrepl.replication.states import Capability, ReplicaEvent, ReplicaState

_SHARED: Final = Capability.EOF | Capability.PSYNC2
"""Capabilities that whoever joins a snapshot has to have in common with those that it is for."""

FAILED: Final = b"-ERR BGSAVE failed, replication can't continue\r\n"


class Snapshots(Protocol):
    """Makes snapshots in a child process; tells the primary when one is done or lost."""

    @property
    def busy(self) -> bool:
        """A child is at work."""

    @property
    def to_sockets(self) -> bool:
        """The child at work writes for the replicas' connections."""

    def objection(self, kind: SnapshotKind) -> str:
        """Why there can be no snapshot of this kind, in words; empty if there can."""

    def suited(self, kind: SnapshotKind) -> SnapshotKind:
        """The kind whose snapshot has the same bytes for the present dataset, and suits the most replicas."""

    def start_for_replicas(self, *, to_sockets: bool, replicas: list[Replica], kind: SnapshotKind) -> None:
        """Fork.

        Raises:
            OSError: it cannot be started.
        """

    def kill(self) -> None:
        """End the child at work."""


class Primary:
    """The attached replicas of a node.

    Parameters:
        feed: the stream.
        settings: the directives.
        log: called as log(level, message).
        now: unix time in ms.
        events: told what becomes of the replicas.

    Attributes:
        snapshots: the shell that forks; set by the owner before the first replica comes.
        follows: whether the node itself has a primary (a link in a chain).
        is_quiet: no PING goes into the stream, since a failover waits for a replica to have all of it.
        full_syncs, partial_ok, partial_err: INFO's counters.
        decisions: the last decisions on resyncs; the node adds those that it receives.
        advisor: what to set, to avoid full syncs.
    """

    def __init__(
        self,
        feed: Feed,
        settings: Settings,
        log: Callable[[str, str], None],
        now: Callable[[], int],
        events: Events | None = None,
    ) -> None:
        self.feed = feed
        self.events = events or Events(now)
        self.history = feed.history
        self.settings = settings
        self.snapshots: Snapshots | None = None
        self.replicas: dict[int, Replica] = {}
        self.follows: bool = False
        self.is_quiet: bool = False
        self.full_syncs: int = 0
        self.partial_ok: int = 0
        self.partial_err: int = 0
        self.decisions = Decisions(log)
        self.advisor = Advisor(feed, settings, self.decisions, log)
        self._log = log
        self._now = now
        self._last_ping_ms: int = now()
        self._alone_since_ms: int | None = None
        self._soft_since_ms: dict[int, int] = {}
        self._kind_under_way = SnapshotKind()

    # -- a replica asks -----------------------------------------------------------------------------------------

    def psync(self, replica: Replica, replid: str, offset: int) -> bool:
        """Answer PSYNC; True if it was accepted as partial. The answer goes out through the replica's outlet."""
        self._log("notice", f"Replica {replica.name} asks for synchronization")
        self.feed.flush()
        decision = decide(replid[:REPLID_SHOWN], offset, self.history, self.feed.backlog, replica.name)
        if not decision.accepted:
            if not replid.startswith("?"):
                self.partial_err += 1
            self._log("notice", decision.log)
            if decision.condition is Condition.BEYOND_END:
                self._log(
                    "warning",
                    f"Warning: replica {replica.name} tried to PSYNC with an offset that is greater than the master "
                    "replication offset.",
                )
            self._decided(replica, decision, Answer.FULL)
            self._attach_for_full(replica)
            return False
        self.partial_ok += 1
        backlog = self.feed.backlog
        assert backlog is not None and replica.outlet is not None
        self._attach(replica)
        replica.start_offset = offset - 1
        replica.happen(ReplicaEvent.CONTINUED)
        replica.ack_ms = self._now()
        backlog.pin(replica.number, offset)
        self._log(
            "notice",
            f"Partial resynchronization request from {replica.name} accepted. "
            f"Sending {backlog.end_offset - offset} bytes of backlog starting from offset {offset}.",
        )
        self._decided(replica, decision, Answer.PARTIAL)
        if replica.capabilities & Capability.PSYNC2:
            replica.outlet.write(f"+CONTINUE {self.history.replid}\r\n".encode())
        else:
            replica.outlet.write(b"+CONTINUE\r\n")
        self._stream(replica, offset)
        self._note(EventKind.SYNC_DONE, replica, "goes on where it stood", answer=Answer.PARTIAL.value)
        return True

    def sync(self, replica: Replica) -> None:
        """Answer the old SYNC: a bulk without `+FULLRESYNC`."""
        self._log("notice", f"Replica {replica.name} asks for synchronization")
        replica.psync = False
        reason = "it asked with SYNC, which knows no partial resync"
        self._decided(replica, PsyncDecision(False, "?", -1, reason, condition=Condition.SYNC_COMMAND), Answer.SYNC)
        self._attach_for_full(replica)

    def refused(self, replica: Replica, replid: str, condition: Condition, reason: str) -> None:
        """The replica was answered with an error, and has to ask again."""
        self._decided(
            replica, PsyncDecision(False, replid[:REPLID_SHOWN], -1, reason, condition=condition), Answer.REFUSED
        )

    def _decided(self, replica: Replica, made: PsyncDecision, answer: Answer) -> None:
        """Keep the decision, explained by what is remembered of the replica."""
        name = replica.name
        before = self.decisions.last(Direction.GIVEN, name, refusals=False)
        condition = made.condition
        if condition is Condition.FIRST_SYNC and self.decisions.why_ended(made.replid) is not None:
            condition = Condition.REPLID_MISMATCH  # it was ours
        elif condition in (Condition.NO_HISTORY, Condition.FIRST_SYNC):
            condition = Condition.RDB_ONLY if replica.rdb_only else why_no_history(before)
        decision = Decision.of(
            made,
            self._now(),
            direction=Direction.GIVEN,
            peer=name,
            ours=Standing.of(self.history, self.feed.backlog),
            answer=answer,
            condition=condition,
        )
        decision.avoidance = self.advisor.avoidance(decision, before)
        replica.decision = decision
        self.decisions.add(decision)
        self.advisor.heed(decision)
        if answer is not Answer.REFUSED:
            self._note(EventKind.REPLICA_ATTACHED, replica, f"was answered: {answer.value}", answer=answer.value)

    def _note(self, kind: EventKind, replica: Replica, what: str, **facts: Fact) -> None:
        if kind in (EventKind.SYNC_STARTED, EventKind.SYNC_DONE, EventKind.SYNC_FAILED):
            facts["direction"] = Direction.GIVEN.value
        self.events.note(kind, f"replica {replica.name} {what}", peer=replica.name, id=replica.number, **facts)

    def _attach(self, replica: Replica) -> None:
        replica.state = ReplicaState.WAIT_BGSAVE_START
        replica.since_ms = self._now()
        self.replicas[replica.number] = replica
        self._alone_since_ms = None

    def _attach_for_full(self, replica: Replica) -> None:
        self.full_syncs += 1
        first = not self.replicas and self.feed.backlog is None
        self._attach(replica)
        replica.ack_ms = self._now()
        if first:
            self.begin_history()
        snapshots = self.snapshots
        assert snapshots is not None
        if not snapshots.busy:
            if self.settings.diskless and replica.capabilities & Capability.EOF and self.settings.diskless_delay_s:
                self._log("notice", "Delay next BGSAVE for diskless SYNC")
            else:
                self.start_snapshot()
        elif snapshots.to_sockets:
            self._log("notice", "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
        else:
            self._share_snapshot(replica)

    def begin_history(self) -> None:
        """Make the backlog if there is none: nothing was written to it so far, so that a history begins."""
        if self.feed.backlog is None:
            self.history.change_id()
            self.feed.open_backlog(self.settings.backlog_bytes)
            self._log(
                "notice",
                "Replication backlog created, my new replication IDs are "
                f"'{self.history.replid}' and '{self.history.replid2}'",
            )

    def _share_snapshot(self, replica: Replica) -> None:
        """Join the replicas that the present disk snapshot is for, if there are any that it suits."""
        assert self.snapshots is not None
        if self.snapshots.suited(replica.snapshot_kind) == self._kind_under_way:
            for other in self.promised():
                if _SHARED & other.capabilities & ~replica.capabilities == 0:
                    self._set_up_full(replica, other.start_offset)
                    self._log("notice", "Waiting for end of BGSAVE for SYNC")
                    return
        self._log("notice", "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")

    def _set_up_full(self, replica: Replica, offset: int) -> None:
        """Promise the snapshot of `offset` to a waiting replica (`replicationSetupSlaveForFullResync`)."""
        assert replica.outlet is not None and self.feed.backlog is not None
        replica.happen(ReplicaEvent.SNAPSHOT_STARTED)
        replica.start_offset = offset
        self.feed.backlog.pin(replica.number, offset + 1)
        self.feed.selected_db = -1
        self._note(EventKind.SYNC_STARTED, replica, "is given a full sync", answer=Answer.FULL.value)
        if replica.psync:
            replica.outlet.write(f"+FULLRESYNC {self.history.replid} {offset}\r\n".encode())

    # -- snapshots ----------------------------------------------------------------------------------------------

    def waiting(self) -> list[Replica]:
        """The replicas that wait for a snapshot to start, but for those whose connection is being closed."""
        return [
            replica
            for replica in self.replicas.values()
            if replica.state is ReplicaState.WAIT_BGSAVE_START and replica.end_cause is None
        ]

    @property
    def is_snapshot_under_way(self) -> bool:
        """Whether a child is at work, for replicas or for ourselves."""
        return self.snapshots is not None and self.snapshots.busy

    def promised(self) -> list[Replica]:
        """The replicas that the present snapshot is for."""
        return [replica for replica in self.replicas.values() if replica.state is ReplicaState.WAIT_BGSAVE_END]

    def start_snapshot(self) -> None:
        """Start a snapshot for all who wait and want the same kind (`startBgsaveForReplication`)."""
        snapshots = self.snapshots
        assert snapshots is not None
        if snapshots.busy:
            return
        waiting = [replica for replica in self.waiting() if self._can_be_given(replica, snapshots)]
        if not waiting:
            return
        kind = self._kind_under_way = snapshots.suited(waiting[0].snapshot_kind)
        waiting = [replica for replica in waiting if snapshots.suited(replica.snapshot_kind) == kind]
        wants_sockets = self.settings.diskless or kind.is_filtered
        to_sockets = wants_sockets and all(replica.capabilities & Capability.EOF for replica in waiting)
        target = "replicas sockets" if to_sockets else "disk"
        self._log("notice", f"Starting BGSAVE for SYNC with target: {target}")
        self.feed.flush()
        try:
            for replica in waiting:
                self._set_up_full(replica, self.history.offset)
            snapshots.start_for_replicas(to_sockets=to_sockets, replicas=waiting, kind=kind)
        except OSError as error:
            self._log("warning", f"BGSAVE for replication failed: {error.strerror or error}")
            self._refuse(waiting)

    def _can_be_given(self, replica: Replica, snapshots: Snapshots) -> bool:
        """Whether a waiting replica can read the dataset; one that cannot is told what it is that it cannot hold."""
        objection = snapshots.objection(replica.snapshot_kind)
        if objection:
            self._log("warning", f"Full resync with replica {replica.name} refused: {objection}")
            self._set_up_full(replica, self.history.offset)  # as an answer to PSYNC, an error would make it try SYNC
            self._forget(replica)
            assert replica.outlet is not None
            replica.outlet.write(f"-ERR {objection}\r\n".encode("utf-8", "backslashreplace"))
            replica.drop(EndCause.CANNOT_HOLD, flush=True)
        return not objection

    def _refuse(self, replicas: list[Replica]) -> None:
        for replica in replicas:
            assert replica.outlet is not None
            replica.end_cause = EndCause.SNAPSHOT_FAILED
            self._forget(replica)  # while its last output drains, no other snapshot is meant for it
            replica.outlet.write(FAILED)
            replica.drop(EndCause.SNAPSHOT_FAILED, flush=True)

    def snapshot_streamed(self, replica: Replica) -> None:
        """The last byte of a diskless snapshot and its marker went to this replica."""
        self._sent(replica)
        replica.awaits_ack = True
        replica.ack_ms = self._now()
        replica.held_since_ms = None
        if self._wants_rdb_only(replica):
            return
        self._log(
            "notice",
            f"Streamed replica with replica {replica.name} succeeded (socket). "
            "Waiting for REPLCONF ACK from replica to enable streaming",
        )

    def snapshot_saved(self, path: str, size_bytes: int) -> None:
        """The snapshot on disk is complete: send it."""
        for replica in self.promised():
            replica.happen(ReplicaEvent.TRANSFER_STARTED)
            assert replica.outlet is not None
            replica.outlet.send_file(path, size_bytes)

    def file_sent(self, replica: Replica) -> None:
        """A replica has got its whole bulk: the stream follows (`replicaPutOnline`)."""
        self._sent(replica)
        replica.ack_ms = self._now()
        if self._wants_rdb_only(replica):
            return
        self._log("notice", f"Synchronization with replica {replica.name} succeeded")
        self._stream(replica, replica.start_offset + 1)

    def _sent(self, replica: Replica) -> None:
        replica.happen(ReplicaEvent.TRANSFERRED)
        if replica.decision is not None:
            replica.decision.reached(Stage.SENT, self._now())

    def _wants_rdb_only(self, replica: Replica) -> bool:
        """Take leave of a replica that wanted the RDB and no stream (`redis-cli --rdb`)."""
        if not replica.rdb_only:
            return False
        self._log(
            "notice",
            f"RDB transfer completed, rdb only replica ({replica.name}) should be disconnected asap",
        )
        replica.drop(EndCause.COMPLETED, flush=True)
        return True

    def snapshot_failed(self) -> None:
        """The snapshot broke: those it was promised to are told and dropped."""
        for _ in self.promised():
            self._log("warning", "SYNC failed. BGSAVE child returned an error")
        self._refuse(self.promised())

    def snapshot_ended(self) -> None:
        """The child is gone, one way or the other: serve those who came meanwhile."""
        if self.waiting() and not self._delayed():
            self.start_snapshot()

    def _stream(self, replica: Replica, offset: int) -> None:
        replica.streaming = True
        replica.sent_offset = offset - 1
        assert replica.outlet is not None
        replica.outlet.stream_from(offset)
        self._note(EventKind.REPLICA_ONLINE, replica, "is sent the stream", offset=offset)

    # -- a replica speaks or goes -------------------------------------------------------------------------------

    def acknowledged(self, replica: Replica, offset: int) -> None:
        """`REPLCONF ACK offset`."""
        replica.ack_offset = max(replica.ack_offset, offset)
        replica.ack_ms = self._now()
        decision = replica.decision
        if decision is not None and replica.is_online and offset >= replica.start_offset:
            if decision.cost is not None and decision.cost.stage is Stage.SENT:
                self._note(
                    EventKind.SYNC_DONE,
                    replica,
                    "has loaded its full sync",
                    answer=Answer.FULL.value,
                    bytes=decision.cost.bytes_moved,
                )
            decision.reached(Stage.LOADED, replica.ack_ms)
        if replica.awaits_ack and replica.is_online:
            replica.awaits_ack = False
            self._log("notice", f"Synchronization with replica {replica.name} succeeded")
            self._stream(replica, replica.start_offset + 1)

    def detach(self, replica: Replica) -> None:
        """Its connection is gone."""
        if replica.number not in self.replicas:
            if replica.end_cause is EndCause.SNAPSHOT_FAILED:
                self._log("notice", f"Connection with replica {replica.name} lost.")
            return
        self._forget(replica)
        self._log("notice", f"Connection with replica {replica.name} lost.")
        snapshots = self.snapshots
        if (
            replica.state is ReplicaState.WAIT_BGSAVE_END
            and snapshots is not None
            and snapshots.busy
            and snapshots.to_sockets
            and not self.promised()
        ):
            self._log("notice", "Diskless rdb transfer, last replica dropped, killing fork child.")
            snapshots.kill()

    def _forget(self, replica: Replica) -> None:
        if self.replicas.pop(replica.number, None) is None:
            return
        lost = EndCause.CONNECTION_LOST if replica.is_live else EndCause.TRANSFER_BROKEN
        cause = (replica.end_cause or lost).value
        if replica.decision is not None:
            replica.decision.ended(replica.end_cause or lost, self._now(), self._unsent_bytes(replica))
        if replica.start_offset >= 0 and not replica.is_live and cause != EndCause.COMPLETED.value:
            self._note(EventKind.SYNC_FAILED, replica, "did not get its full sync", cause=cause)
        self._note(EventKind.REPLICA_LOST, replica, f"is gone: {cause}", cause=cause)
        self._soft_since_ms.pop(replica.number, None)
        self.feed.listeners.pop(replica.number, None)
        if self.feed.backlog is not None:
            self.feed.backlog.unpin(replica.number)
        self.left_alone()

    def left_alone(self) -> None:
        """There are no readers as of now: the backlog's time to live begins."""
        if not self.replicas and not self.feed.listeners:
            self._alone_since_ms = self._now()

    def drop_all(self) -> None:
        """Disconnect every replica; they come back by PSYNC and learn the new history (`disconnectSlaves`)."""
        for replica in list(self.replicas.values()):
            replica.drop(EndCause.HISTORY_CHANGED)

    # -- time ---------------------------------------------------------------------------------------------------

    def _delayed(self) -> bool:
        """Whether the waiting replicas are to wait longer, for others to come (`shouldStartChildReplication`)."""
        waiting = self.waiting()
        settings = self.settings
        if not settings.diskless or not all(replica.capabilities & Capability.EOF for replica in waiting):
            return False
        if 0 < settings.diskless_max_replicas <= len(waiting):
            return False
        longest_ms = max(self._now() - replica.since_ms for replica in waiting)
        return longest_ms < settings.diskless_delay_s * 1000

    def tick(self) -> None:
        """Once a second: PING, keepalives, timeouts, the delayed snapshot, the backlog's end."""
        now_ms = self._now()
        pings = self.replicas and not self.follows and not self.is_quiet
        if pings and now_ms - self._last_ping_ms >= self.settings.ping_period_s * 1000:
            self._last_ping_ms = now_ms
            self.feed.raw(PING)
            self.feed.flush()
        for replica in list(self.replicas.values()):
            self._tick_replica(replica, now_ms)
        self.start_if_due()
        self._tick_backlog(now_ms)

    def start_if_due(self) -> None:
        """Start the snapshot that replicas wait for, unless it is to wait for more of them."""
        if self.waiting() and self.snapshots is not None and not self.snapshots.busy and not self._delayed():
            self.start_snapshot()

    def _tick_replica(self, replica: Replica, now_ms: int) -> None:
        assert replica.outlet is not None
        waits = replica.state is ReplicaState.WAIT_BGSAVE_START or (
            replica.state is ReplicaState.WAIT_BGSAVE_END
            and self.snapshots is not None
            and not self.snapshots.to_sockets
        )
        if waits:
            replica.outlet.write(b"\n")
        if self.output_exceeded(replica, now_ms):
            return
        timeout_ms = self.settings.timeout_s * 1000
        held = replica.held_since_ms
        if replica.is_online and replica.psync and now_ms - replica.ack_ms > timeout_ms:
            phase = "streaming sync"  # one that came by SYNC never acknowledges
        elif held is not None and replica.state is ReplicaState.WAIT_BGSAVE_END and now_ms - held > timeout_ms:
            phase = "full sync"  # it takes nothing, and all others of the transfer wait for it
        else:
            return
        self._log("warning", f"Disconnecting timedout replica ({phase}): {replica.name}")
        replica.drop(EndCause.TIMEOUT)

    def output_exceeded(self, replica: Replica, now_ms: int) -> bool:
        """Drop a replica whose unsent stream passes the output buffer limits, never lower than the backlog's size."""
        behind = self._unsent_bytes(replica)
        settings = self.settings
        hard = settings.output_hard_bytes and behind > max(settings.output_hard_bytes, settings.backlog_bytes)
        soft = settings.output_soft_bytes and behind > max(settings.output_soft_bytes, settings.backlog_bytes)
        if not soft:
            self._soft_since_ms.pop(replica.number, None)
        elif now_ms - self._soft_since_ms.setdefault(replica.number, now_ms) > settings.output_soft_s * 1000:
            hard = True
        if not hard:
            return False
        self._log(
            "warning",
            f"Client id={replica.number} addr={replica.name} flags=S omem={behind} scheduled to be closed ASAP "
            "for overcoming of output buffer limits.",
        )
        replica.drop(EndCause.OUTPUT_LIMIT)
        return True

    def _unsent_bytes(self, replica: Replica) -> int:
        """How much of the stream is still to be sent to a replica; 0 while it waits for a snapshot to start."""
        if replica.start_offset < 0 and not replica.streaming:
            return 0
        return self.history.offset - (replica.sent_offset if replica.streaming else replica.start_offset)

    def _tick_backlog(self, now_ms: int) -> None:
        alone = self._alone_since_ms
        ttl_s = self.settings.backlog_ttl_s
        read = self.replicas or self.feed.listeners
        if self.follows or read or self.feed.backlog is None or alone is None or not ttl_s:
            return
        if now_ms - alone > ttl_s * 1000:
            self.decisions.history_ended(self.history.replid, HistoryEnd.BACKLOG_FREED)
            self.history.change_id()
            self.feed.close_backlog()
            self._log("notice", f"Replication backlog freed after {ttl_s} seconds without connected replicas.")

    # -- what others ask ----------------------------------------------------------------------------------------

    def good_replicas(self) -> int:
        """Replicas online whose last acknowledgement is recent enough (`refreshGoodSlavesCount`)."""
        now_ms = self._now()
        lag_ms = self.settings.min_replicas_max_lag_s * 1000
        return sum(replica.is_online and now_ms - replica.ack_ms <= lag_ms for replica in self.replicas.values())

    def acknowledging(self, offset: int) -> int:
        """How many replicas acknowledged `offset` (`replicationCountAcksByOffset`)."""
        return sum(replica.is_online and replica.ack_offset >= offset for replica in self.replicas.values())

    def fsyncing(self, offset: int) -> int:
        """How many replicas have `offset` in their append-only files (`replicationCountAOFAcksByOffset`)."""
        return sum(replica.is_online and replica.aof_ack_offset >= offset for replica in self.replicas.values())
