"""One attached replica, as its primary sees it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from txrepl.replication.decisions import Decision, EndCause
from txrepl.replication.snapshot_kind import SnapshotKind, parse_version, what_it_reads
from txrepl.replication.states import Capability, ReplicaEvent, ReplicaState, next_state


@runtime_checkable
class ReplicaOutlet(Protocol):
    """The shell's end of a replica's connection."""

    def write(self, data: bytes) -> None:
        """Send bytes that are not part of the stream: `+FULLRESYNC`, keepalives, a bulk."""

    def begin_bulk(self, flow: object) -> None:
        """A diskless snapshot is about to be written; `flow` is told when the connection is full."""

    def end_bulk(self) -> None:
        """The diskless snapshot is written."""

    def stream_from(self, offset: int) -> None:
        """Send the stream from `offset` on, for good."""

    def send_file(self, path: str, size_bytes: int) -> None:
        """Send `$size` and the file; tells the primary when that is done."""

    def close(self, *, flush: bool) -> None:
        """Drop the connection, after pending output if `flush`."""


class Replica:
    """An attached replica.

    Parameters:
        number: the id of its connection.
        address: the peer's address.

    Attributes:
        state: None until it asks for synchronization; then see `states`.
        port: what it says it listens on, 0 if it did not say.
        announced: the address that it says to be reached at, empty if none.
        capabilities: what it understands.
        version: what it says its version is, empty if it did not.
        wants_data, wants_functions: what of the dataset its snapshot is to include.
        psync: it came by PSYNC, so that it expects `+FULLRESYNC`.
        start_offset: the offset that it stands at when its stream begins, of its full sync or before its first byte
            of a partial one; -1 before that is known.
        awaits_ack: its stream begins when it first acknowledges (diskless full sync).
        held_since_ms: since when its connection takes no more of a diskless snapshot (unix ms); None while it does.
        sent_offset: the last byte of the stream handed to its connection.
        ack_offset, ack_ms: what it last acknowledged, and when (unix ms).
        aof_ack_offset: what it acknowledged to be in its append-only file for good; 0 if it keeps none.
        since_ms: when it came.
        decision: the last answer to its PSYNC or SYNC.
        end_cause: why we close its connection; None while we do not.
    """

    __slots__ = (
        "ack_ms",
        "ack_offset",
        "address",
        "announced",
        "aof_ack_offset",
        "awaits_ack",
        "capabilities",
        "decision",
        "end_cause",
        "held_since_ms",
        "number",
        "outlet",
        "port",
        "psync",
        "rdb_only",
        "sent_offset",
        "since_ms",
        "start_offset",
        "state",
        "streaming",
        "version",
        "wants_data",
        "wants_functions",
    )

    def __init__(self, number: int, address: str) -> None:
        self.number = number
        self.address = address
        self.outlet: ReplicaOutlet | None = None
        self.state: ReplicaState | None = None
        self.port: int = 0
        self.announced: str = ""
        self.capabilities: Capability = Capability.NONE
        self.version: str = ""
        self.wants_data: bool = True
        self.wants_functions: bool = True
        self.psync: bool = True
        self.rdb_only: bool = False
        self.start_offset: int = -1
        self.awaits_ack: bool = False
        self.streaming: bool = False
        self.held_since_ms: int | None = None
        self.sent_offset: int = 0
        self.ack_offset: int = 0
        self.aof_ack_offset: int = 0
        self.ack_ms: int = 0
        self.since_ms: int = 0
        self.decision: Decision | None = None
        self.end_cause: EndCause | None = None

    def happen(self, event: ReplicaEvent) -> None:
        """Move to the next state.

        Raises:
            ReplicationError: the event cannot happen now.
        """
        assert self.state is not None
        self.state = next_state(self.state, event)

    @property
    def snapshot_kind(self) -> SnapshotKind:
        """What its snapshot has to be."""
        reads = what_it_reads(parse_version(self.version), bool(self.capabilities & Capability.RDB_CHANNEL))
        return SnapshotKind(reads, self.wants_data, self.wants_functions)

    def drop(self, cause: EndCause, *, flush: bool = False) -> None:
        """Close its connection, after pending output if `flush`."""
        self.end_cause = self.end_cause or cause
        if self.outlet is not None:
            self.outlet.close(flush=flush)

    def snapshot_moved(self, count: int) -> None:
        """So many bytes more of its snapshot were handed to its connection."""
        if self.decision is not None:
            self.decision.moved(count)

    @property
    def host(self) -> str:
        """Where it is reached."""
        return self.announced or self.address

    @property
    def name(self) -> str:
        """What it is called in the log (`replicationGetSlaveName`)."""
        if not self.host:
            return f"client id #{self.number}"
        return f"{self.host}:{self.port}" if self.port else f"{self.host}:<unknown-replica-port>"

    @property
    def is_online(self) -> bool:
        """Whether the stream is (or is about to be) sent to it."""
        return self.state is ReplicaState.ONLINE

    @property
    def is_live(self) -> bool:
        """Whether it is online and acknowledges, so that it counts for WAIT and min-replicas."""
        return self.state is ReplicaState.ONLINE and not self.awaits_ack

    def lag_seconds(self, now_ms: int) -> int:
        """Whole seconds since its last acknowledgement, as INFO shows."""
        return max(0, (now_ms - self.ack_ms) // 1000)
