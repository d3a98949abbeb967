"""The last decisions on how to resynchronize, given by this node or received from its primary, kept for people to read.

A decision is kept with all that it was made from: what was asked, where this node stood, the condition that failed
and what would have avoided a full sync. What follows is noted in it: what the full sync cost, and how the connection
ended that it opened, since that is why the replica asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from txrepl.replication.backlog import Backlog
from txrepl.replication.history import NO_REPLID, History
from txrepl.replication.psync import Condition, PsyncDecision

DECISIONS_KEPT: Final = 128
ENDED_HISTORIES_KEPT: Final = 16
REPLID_SHOWN: Final = 64
"""Characters of an id that a peer sent; a true one has 40."""


class Direction(Enum):
    """Whose decision it was."""

    GIVEN = "given"
    """Ours, to a replica."""
    RECEIVED = "received"
    """Our primary's, to us."""


class Answer(Enum):
    """What was answered."""

    FULL = "full"
    PARTIAL = "partial"
    SYNC = "sync"
    """A full sync by the old SYNC."""
    REFUSED = "refused"
    """Nothing: to be asked again later."""

    @property
    def sends_everything(self) -> bool:
        """The whole dataset follows."""
        return self in (Answer.FULL, Answer.SYNC)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where this node stood when a decision was made.

    Attributes:
        replid2, second_offset: the history before; None if there was none.
        backlog_first, backlog_end: its oldest offset and the next to be written; None without a backlog.
        backlog_bytes: its size; 0 without a backlog.
    """

    replid: str
    replid2: str | None
    second_offset: int | None
    offset: int
    backlog_first: int | None
    backlog_end: int | None
    backlog_bytes: int

    @classmethod
    def of(cls, history: History, backlog: Backlog | None) -> Standing:
        """Where a node stands now."""
        has_second = history.replid2 != NO_REPLID
        return cls(
            history.replid,
            history.replid2 if has_second else None,
            history.second_offset if has_second else None,
            history.offset,
            None if backlog is None else backlog.first_offset,
            None if backlog is None else backlog.end_offset,
            0 if backlog is None else backlog.size,
        )


class Stage(Enum):
    """How far a full sync came."""

    RUNNING = "running"
    SENT = "sent"
    """All of it went to the replica's connection; the replica has not acknowledged it."""
    LOADED = "loaded"
    BROKEN = "broken"


@dataclass(slots=True)
class Cost:
    """What a full sync took.

    Attributes:
        bytes_moved: of the snapshot, so far.
        duration_ms: from the decision to the snapshot's last byte (given) or until it was loaded (received).
    """

    bytes_moved: int = 0
    duration_ms: int = 0
    stage: Stage = Stage.RUNNING


class EndCause(Enum):
    """Why the connection ended that a decision was for; the values are stable."""

    OUTPUT_LIMIT = "output_limit"
    TIMEOUT = "timeout"
    SNAPSHOT_FAILED = "snapshot_failed"
    TRANSFER_BROKEN = "transfer_broken"
    """The connection was lost before the replica had the whole snapshot."""
    CONNECTION_LOST = "connection_lost"
    HISTORY_CHANGED = "history_changed"
    """Closed by us, so that the replica comes back and learns our new history."""
    REQUESTED = "requested"
    """Closed by us, on somebody's command."""
    CANNOT_HOLD = "cannot_hold"
    """Closed by us: the dataset has what the replica cannot read."""
    COMPLETED = "completed"
    """A client that wanted a snapshot has it."""


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended.

    Attributes:
        behind_bytes: how much of the stream the replica had still to be sent.
    """

    cause: EndCause
    at_ms: int
    behind_bytes: int


class HistoryEnd(Enum):
    """Why this node has a history no longer."""

    BACKLOG_FREED = "no replica was connected for repl-backlog-ttl seconds"
    REPLACED = "a full sync from another primary took its place"


@dataclass(slots=True)
class Decision:
    """One answer to PSYNC or SYNC.

    Attributes:
        at_ms: when, unix ms.
        peer: the replica that asked (given), or the primary that was asked (received).
        replid, offset: what was asked for; None for a replica without history.
        ours: where this node stood.
        condition: the one that failed; None if partial.
        reason: the same in words.
        missing_bytes: by how much the backlog fell short; 0 if that was not the reason, or is not known.
        saving_bytes: the least backlog size that would have made it partial; 0 if none would.
        avoidance: what would have avoided it, naming the setting; empty if nothing would.
        times, last_ms: how often in a row, and when last, it was made (refusals only).
        cost: of a full sync; None otherwise.
        end: of the connection; None while it lasts, and for decisions received.
    """

    at_ms: int
    direction: Direction
    peer: str
    replid: str | None
    offset: int
    ours: Standing
    answer: Answer
    condition: Condition | None
    reason: str
    missing_bytes: int = 0
    saving_bytes: int = 0
    avoidance: str = ""
    times: int = 1
    last_ms: int = 0
    cost: Cost | None = None
    end: End | None = None

    @classmethod
    def of(
        cls,
        made: PsyncDecision,
        at_ms: int,
        *,
        direction: Direction,
        peer: str,
        ours: Standing,
        answer: Answer,
        condition: Condition | None,
    ) -> Decision:
        """The record of a decision made; `condition` may say more than the decision could know."""
        return cls(
            at_ms,
            direction,
            peer,
            None if made.replid.startswith("?") else made.replid[:REPLID_SHOWN],
            made.offset,
            ours,
            answer,
            condition,
            made.reason,
            made.missing_bytes,
            made.saving_bytes,
            last_ms=at_ms,
            cost=Cost() if answer.sends_everything else None,
        )

    def moved(self, count: int) -> None:
        """So many bytes more of the snapshot."""
        if self.cost is not None:
            self.cost.bytes_moved += count

    def reached(self, stage: Stage, now_ms: int) -> None:
        """The full sync has come so far; what it cost is known."""
        cost = self.cost
        if cost is None or cost.stage in (stage, Stage.LOADED, Stage.BROKEN):
            return
        if cost.stage is Stage.RUNNING:
            cost.duration_ms = max(0, now_ms - self.at_ms)
        cost.stage = stage

    def ended(self, cause: EndCause, now_ms: int, behind_bytes: int = 0) -> None:
        """The connection is gone."""
        self.end = End(cause, now_ms, behind_bytes)
        if self.cost is not None and self.cost.stage is Stage.RUNNING:
            self.reached(Stage.BROKEN, now_ms)


def why_no_history(before: Decision | None) -> Condition:
    """Why a replica has no history to go on with, from the last answer it had that was no refusal."""
    if before is None:
        return Condition.FIRST_SYNC
    if before.cost is not None and before.cost.stage is not Stage.LOADED:
        return Condition.TRANSFER_BROKEN
    return Condition.NO_HISTORY


class Decisions:
    """The last decisions, and what is remembered to explain the next ones.

    Parameters:
        log: called as log(level, message).

    Attributes:
        counts: how often each answer was given or received, by its condition, since the start.
    """

    def __init__(self, log: Callable[[str, str], None]) -> None:
        self._log = log
        self._kept: deque[Decision] = deque(maxlen=DECISIONS_KEPT)
        self._ended_histories: dict[str, HistoryEnd] = {}
        self.counts: dict[tuple[Direction, Answer, Condition | None], int] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Decision]:
        """The newest first."""
        return reversed(self._kept)

    def add(self, decision: Decision) -> None:
        """Keep a decision and log it; one that only repeats the refusal before it is counted there."""
        kind = (decision.direction, decision.answer, decision.condition)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        before = self.last(decision.direction, decision.peer)
        if (
            before is not None
            and before.answer is decision.answer is Answer.REFUSED
            and before.condition is decision.condition
        ):
            before.times += 1
            before.last_ms = decision.at_ms
            return
        self._kept.append(decision)
        given = decision.direction is Direction.GIVEN
        code = f" ({decision.condition.value})" if decision.condition is not None else ""
        advice = f". To avoid it: {decision.avoidance}" if decision.avoidance else ""
        self._log(
            "notice",
            f"Sync decision {'given to replica' if given else 'received from master'} {decision.peer}: "
            f"{decision.answer.value}{code}, {decision.reason}{advice}",
        )

    def last(self, direction: Direction, peer: str = "", *, refusals: bool = True) -> Decision | None:
        """The last decision kept of that direction, and of that peer if one is given; with or without refusals."""
        for decision in self:
            if (
                decision.direction is direction
                and peer in ("", decision.peer)
                and (refusals or decision.answer is not Answer.REFUSED)
            ):
                return decision
        return None

    def given_to(self, peer: str) -> list[Decision]:
        """The decisions kept that a replica was given, the oldest first."""
        return [one for one in self._kept if one.direction is Direction.GIVEN and one.peer == peer]

    def saving_bytes(self) -> int:
        """The backlog size that would have saved every full sync kept that a size could have saved."""
        return max((one.saving_bytes for one in self._kept if one.direction is Direction.GIVEN), default=0)

    # -- histories that this node had

    def history_ended(self, replid: str, why: HistoryEnd) -> None:
        """This node has a history no longer; who asks for it gets to know why."""
        self._ended_histories[replid.lower()] = why
        while len(self._ended_histories) > ENDED_HISTORIES_KEPT:
            del self._ended_histories[next(iter(self._ended_histories))]

    def why_ended(self, replid: str) -> HistoryEnd | None:
        """Why a history is ours no longer; None if it is, or never was as far as is known."""
        return self._ended_histories.get(replid.lower())
