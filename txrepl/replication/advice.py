"""What to set, and to what: to avoid a full sync, to size the backlog, to end a loop of full syncs.

A loop is a replica that got `LOOP_SYNCS` full syncs within `LOOP_WINDOW_MS`. Its cause is why the connections before
them ended, since that is why the replica asked again, or else why a partial resync could not be. It is named once in
the log; a loop that has been quiet for a whole window is over.

A backlog should hold what is written while a replica is away: the rate of the busiest minute, for `repl-timeout` or
a minute, whichever is longer, times `HEADROOM`; never less than what would have saved the last full syncs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from txrepl.replication.decisions import Answer, Decision, Decisions, Direction, EndCause, HistoryEnd
from txrepl.replication.feed import Feed
from txrepl.replication.psync import Condition
from txrepl.replication.settings import Settings

MEGABYTE: Final = 1024 * 1024
HEADROOM: Final = 2
AWAY_LEAST_S: Final = 60

LOOP_SYNCS: Final = 3
LOOP_WINDOW_MS: Final = 10 * 60 * 1000
LOOPS_KEPT: Final = 32

KEEP_ID: Final = "save points (`save 3600 1`) or SHUTDOWN SAVE"


class LoopCause(Enum):
    """Why a replica needs one full sync after the other; the values are stable."""

    OUTPUT_LIMIT = "output_limit"
    BACKLOG_SHORT = "backlog_short"
    TIMEOUT = "timeout"
    TRANSFER_BROKEN = "transfer_broken"
    SNAPSHOT_FAILED = "snapshot_failed"
    HISTORY_LOST = "history_lost"
    """The replica, or this node, comes back without the history that they shared."""


_SAYS: Final = {
    LoopCause.OUTPUT_LIMIT: "it was disconnected for overcoming the output buffer limit",
    LoopCause.BACKLOG_SHORT: "it came back for more than the backlog holds",
    LoopCause.TIMEOUT: "it was disconnected for not answering within repl-timeout",
    LoopCause.TRANSFER_BROKEN: "its connection was lost during the transfer; its own log says why",
    LoopCause.SNAPSHOT_FAILED: "the snapshot for it failed; the log says why",
    LoopCause.HISTORY_LOST: "it and this node came back without a history that they share",
}

_BY_END: Final = {
    EndCause.OUTPUT_LIMIT: LoopCause.OUTPUT_LIMIT,
    EndCause.TIMEOUT: LoopCause.TIMEOUT,
    EndCause.SNAPSHOT_FAILED: LoopCause.SNAPSHOT_FAILED,
    EndCause.TRANSFER_BROKEN: LoopCause.TRANSFER_BROKEN,
}


@dataclass(slots=True)
class Loop:
    """A replica that needs one full sync after the other.

    Attributes:
        full_syncs: how many, since `since_ms`.
        setting, value: what to set, as CONFIG SET takes it; on the replica where `on_replica`.
        text: all of it in a sentence.
    """

    replica: str
    cause: LoopCause
    full_syncs: int
    since_ms: int
    last_ms: int
    setting: str
    value: str
    on_replica: bool
    text: str


def rounded_up_mb(count: float) -> int:
    """Bytes as the next power of two of megabytes, at least 1."""
    megabytes = 1
    while megabytes * MEGABYTE < count:
        megabytes *= 2
    return megabytes


class Advisor:
    """Knows what to set.

    Parameters:
        feed: the stream and its timeline.
        settings: the directives as they are.
        decisions: what was decided.
        log: called as log(level, message).

    Attributes:
        loops: the last loop of each replica that had one; `current` are those that go on.
    """

    def __init__(self, feed: Feed, settings: Settings, decisions: Decisions, log: Callable[[str, str], None]) -> None:
        self._feed = feed
        self._settings = settings
        self._decisions = decisions
        self._log = log
        self.loops: dict[str, Loop] = {}

    # -- the backlog --------------------------------------------------------------------------------------------

    def backlog_bytes(self, now_ms: int) -> int:
        """The recommended `repl-backlog-size`, in bytes: a power of two of megabytes."""
        timeline, end = self._feed.timeline, self._feed.history.offset
        rate = max(timeline.busiest_bytes_per_second(now_ms, end), timeline.bytes_per_second(now_ms, end) or 0.0)
        away_s = max(self._settings.timeout_s, AWAY_LEAST_S)
        return rounded_up_mb(max(rate * away_s * HEADROOM, self._decisions.saving_bytes())) * MEGABYTE

    # -- one decision -------------------------------------------------------------------------------------------

    def avoidance(self, decision: Decision, before: Decision | None) -> str:
        """What would have avoided a full sync, in a sentence that names the setting; empty if nothing would.

        Parameters:
            before: the decision before it of the same direction and peer.
        """
        if decision.condition is None or not decision.answer.sends_everything:
            return ""
        if decision.condition is Condition.BACKLOG_SHORT:
            return self._larger_backlog(decision)
        if decision.condition is Condition.TRANSFER_BROKEN:
            return self._unbroken_transfer(decision, before)
        if decision.direction is Direction.RECEIVED:
            return _RECEIVED.get(decision.condition, "")
        if decision.condition is Condition.REPLID_MISMATCH and decision.replid is not None:
            why = self._decisions.why_ended(decision.replid)
            if why is not None:
                return _ENDED[why]
        return _GIVEN.get(decision.condition, "")

    def _larger_backlog(self, decision: Decision) -> str:
        needed = decision.saving_bytes
        if decision.direction is Direction.RECEIVED:
            return f"`repl-backlog-size {rounded_up_mb(needed)}mb` on the primary"
        if needed <= decision.ours.backlog_bytes:
            return f"the present `repl-backlog-size {decision.ours.backlog_bytes}`, had it been set earlier"
        return f"`repl-backlog-size {rounded_up_mb(needed)}mb` ({needed} bytes would have done)"

    def _unbroken_transfer(self, decision: Decision, before: Decision | None) -> str:
        cause = LoopCause.TRANSFER_BROKEN
        if before is not None and before.end is not None:
            cause = _BY_END.get(before.end.cause, cause)
        if decision.direction is Direction.RECEIVED:
            return "a transfer that lasts to its end: the primary's log says why it closed the connection"
        if cause is LoopCause.SNAPSHOT_FAILED:
            return "a snapshot that succeeds: the log says why the last one failed"
        setting, value, on_replica = self._remedy(cause, [one for one in (before, decision) if one is not None])
        return f"`{setting} {value}`{' on the replica' if on_replica else ''}, so that the last one had ended well"

    # -- loops --------------------------------------------------------------------------------------------------

    def current(self, now_ms: int) -> list[Loop]:
        """The loops that are not over."""
        return [one for one in self.loops.values() if now_ms - one.last_ms <= LOOP_WINDOW_MS]

    def heed(self, decision: Decision) -> None:
        """A replica was given a decision: see whether it needs one full sync after the other."""
        if decision.answer is not Answer.FULL or decision.condition is Condition.RDB_ONLY:
            return
        since_ms = decision.at_ms - LOOP_WINDOW_MS
        given = self._decisions.given_to(decision.peer)
        recent = [one for one in given if one.at_ms >= since_ms and one.answer is not Answer.REFUSED]
        full = [one for one in recent if one.answer is Answer.FULL and one.condition is not Condition.RDB_ONLY]
        known = self.loops.get(decision.peer)
        if known is not None and known.last_ms < since_ms:
            del self.loops[decision.peer]
            known = None
        if len(full) < LOOP_SYNCS:
            return
        loop = self._loop(recent, full)
        if known is not None:
            loop.full_syncs, loop.since_ms = known.full_syncs + 1, known.since_ms
        loop.text = _told(loop)
        self.loops[decision.peer] = loop
        if known is None:
            self._log("warning", loop.text)
            while len(self.loops) > LOOPS_KEPT:
                del self.loops[next(iter(self.loops))]

    def _loop(self, recent: list[Decision], full: list[Decision]) -> Loop:
        causes = Counter(_cause(before, one) for before, one in pairwise(recent) if one.answer is Answer.FULL)
        cause = causes.most_common(1)[0][0]
        setting, value, on_replica = self._remedy(cause, recent)
        last = full[-1]
        return Loop(last.peer, cause, len(full), full[0].at_ms, last.at_ms, setting, value, on_replica, "")

    def _remedy(self, cause: LoopCause, recent: list[Decision]) -> tuple[str, str, bool]:
        """The setting to change, its value, and whether on the replica."""
        settings = self._settings
        longest_s = max((one.cost.duration_ms // 1000 for one in recent if one.cost is not None), default=0)
        match cause:
            case LoopCause.OUTPUT_LIMIT:
                behind = max((one.end.behind_bytes for one in recent if one.end is not None), default=0)
                least = 2 * HEADROOM * behind
                hard, soft = settings.output_hard_bytes, settings.output_soft_bytes
                hard_value = f"{rounded_up_mb(max(hard, least))}mb" if hard else "0"
                soft_value = f"{rounded_up_mb(max(soft, least))}mb" if soft else "0"
                value = f"replica {hard_value} {soft_value} {settings.output_soft_s}"
                return "client-output-buffer-limit", value, False
            case LoopCause.BACKLOG_SHORT:
                return "repl-backlog-size", f"{self.backlog_bytes(recent[-1].at_ms) // MEGABYTE}mb", False
            case LoopCause.TIMEOUT:
                return "repl-timeout", str(HEADROOM * max(settings.timeout_s, longest_s)), False
            case LoopCause.TRANSFER_BROKEN:
                return "repl-timeout", str(HEADROOM * max(settings.timeout_s, longest_s)), True
            case LoopCause.SNAPSHOT_FAILED:
                return "repl-diskless-sync", "no" if settings.diskless else "yes", False
            case LoopCause.HISTORY_LOST:
                return "save", "3600 1", True


def _cause(before: Decision, decision: Decision) -> LoopCause:
    """Why a full sync followed the decision before it."""
    if before.end is not None and before.end.cause in _BY_END:
        return _BY_END[before.end.cause]
    if decision.condition is Condition.BACKLOG_SHORT:
        return LoopCause.BACKLOG_SHORT
    return LoopCause.TRANSFER_BROKEN if decision.condition is Condition.TRANSFER_BROKEN else LoopCause.HISTORY_LOST


def _told(loop: Loop) -> str:
    where = " on the replica" if loop.on_replica else ""
    return (
        f"Replica {loop.replica} needs one full sync after the other: {loop.full_syncs} in "
        f"{max(1, (loop.last_ms - loop.since_ms) // 1000)} seconds, because {_SAYS[loop.cause]}. "
        f'To end it{where}: CONFIG SET {loop.setting} "{loop.value}"'
    )


_GIVEN: Final = {
    Condition.NO_HISTORY: f"{KEEP_ID} on the replica, so that its RDB file keeps the history over a restart",
    Condition.REPLID_MISMATCH: f"if this node was restarted, {KEEP_ID}, so that its replication id survives it",
    Condition.SECOND_OFFSET: "FAILOVER in place of REPLICAOF NO ONE: it waits until the new primary has every write",
    Condition.NO_BACKLOG: "`repl-backlog-ttl 0`, which keeps a backlog while no replica is connected",
    Condition.BEFORE_BACKLOG: "holding writes back (CLIENT PAUSE) until the replica has them all, before a restart",
    Condition.BEYOND_END: "SHUTDOWN SAVE when this node was stopped, so that it comes back with all that it had sent",
    Condition.SYNC_COMMAND: "a replica that asks with PSYNC (Redis 2.8 and later)",
}

_RECEIVED: Final = {
    Condition.NO_HISTORY: f"{KEEP_ID} here, so that the RDB file keeps the history over a restart",
    Condition.REPLID_MISMATCH: f"if the primary was restarted, {KEEP_ID} there; if it had no replica, "
    "`repl-backlog-ttl 0` there",
    Condition.NO_BACKLOG: "`repl-backlog-ttl 0` on the primary",
    Condition.BEYOND_END: "SHUTDOWN SAVE when the primary was stopped, so that it comes back with all that it had sent",
    Condition.SYNC_COMMAND: "a primary that knows PSYNC, and allows it (`ACL SETUSER … +psync`)",
}

_ENDED: Final = {
    HistoryEnd.BACKLOG_FREED: "`repl-backlog-ttl 0`, which keeps the backlog and its id while no replica is connected",
    HistoryEnd.REPLACED: "nothing here: this node's data is another primary's since",
}
