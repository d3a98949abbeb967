"""May this replica go on from where it stands? A pure decision (`masterTryPartialResynchronization`).

The answer carries the condition that failed, in words and with numbers, because that is what an operator asks
when a resync was full.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from txrepl.replication.handshake import Introduction, Outcome, Resync
from txrepl.replication.history import NO_REPLID


class Ids(Protocol):
    """The ids of a history, ours or what another server says of its own; see `History`."""

    @property
    def replid(self) -> str: ...

    @property
    def replid2(self) -> str: ...

    @property
    def second_offset(self) -> int: ...


class Reach(Protocol):
    """Which offsets a backlog holds, ours or another server's; see `Backlog`."""

    @property
    def begun_offset(self) -> int: ...

    @property
    def first_offset(self) -> int: ...

    @property
    def end_offset(self) -> int: ...

    def covers(self, offset: int) -> bool: ...


class Condition(Enum):
    """The condition that failed, so that a resync was not partial; the values are stable."""

    FIRST_SYNC = "first_sync"
    """A replica that never had a history of ours."""
    NO_HISTORY = "no_history"
    """A replica that had one, and has lost it."""
    TRANSFER_BROKEN = "transfer_broken"
    """A replica whose last full sync did not end."""
    RDB_ONLY = "rdb_only"
    """A client that wants a snapshot and no stream."""
    REPLID_MISMATCH = "replid_mismatch"
    """Another history."""
    SECOND_OFFSET = "second_offset"
    """The history before ours, beyond where ours left it."""
    NO_BACKLOG = "no_backlog"
    BEFORE_BACKLOG = "before_backlog"
    """Bytes from before the backlog began: it never held them, whatever its size."""
    BACKLOG_SHORT = "backlog_short"
    """Bytes that the backlog held and has dropped."""
    BEYOND_END = "beyond_end"
    """Bytes that were not written yet: the replica is ahead."""
    SYNC_COMMAND = "sync_command"
    """The old SYNC, which knows nothing but full."""
    WRONG_OFFSET = "wrong_offset"
    """An offset that is no number."""
    TRY_LATER = "try_later"
    """A primary that cannot serve replicas now (its own link is down, it is loading); they are to ask again."""
    UNCLEAR = "unclear"
    """A primary's answer that does not say which history it is of."""


@dataclass(frozen=True, slots=True)
class PsyncDecision:
    """The answer to one PSYNC.

    Attributes:
        accepted: partial if True, else full.
        replid, offset: what the replica asked for (the next offset that it needs).
        reason: why, in words.
        log: the line that Redis logs for a refusal; empty when none.
        missing_bytes: by how much the backlog fell short; 0 if that was not the reason.
        condition: the one that failed; None if accepted.
        saving_bytes: the least backlog size that would have made it partial; 0 if none would.
    """

    accepted: bool
    replid: str
    offset: int
    reason: str
    log: str = ""
    missing_bytes: int = 0
    condition: Condition | None = None
    saving_bytes: int = 0


def decide(replid: str, offset: int, history: Ids, backlog: Reach | None, replica: str) -> PsyncDecision:
    """Decide on `PSYNC replid offset`.

    Parameters:
        replid: the history that the replica followed; one that begins with `?` is none.
        offset: the next byte that it needs.
        replica: its name for the log.
    """
    if replid.startswith("?"):
        return PsyncDecision(
            False,
            replid,
            offset,
            "the replica has no history to go on with",
            f"Full resync requested by replica {replica}",
            condition=Condition.NO_HISTORY,
        )
    wanted = replid.lower()
    first = wanted == history.replid.lower()
    second = wanted == history.replid2.lower()
    if not first and not (second and offset <= history.second_offset):
        return _other_history(replid, offset, history, second)
    if backlog is None:
        return PsyncDecision(
            False,
            replid,
            offset,
            "there is no backlog",
            f"Unable to partial resync with replica {replica} for lack of backlog (Replica request was: {offset}).",
            condition=Condition.NO_BACKLOG,
        )
    if not backlog.covers(offset):
        return _not_covered(replid, offset, backlog, replica)
    reason = "the backlog holds all it needs" if first else "the backlog holds all it needs of the history before"
    return PsyncDecision(True, replid, offset, reason)


def _not_covered(replid: str, offset: int, backlog: Reach, replica: str) -> PsyncDecision:
    missing = saving = 0
    if offset > backlog.end_offset:
        condition = Condition.BEYOND_END
        reason = f"it asked for offset {offset}, which is beyond our last, {backlog.end_offset - 1}"
    elif offset < backlog.begun_offset:
        condition = Condition.BEFORE_BACKLOG
        reason = f"it asked for {offset}, but the backlog was only begun at {backlog.begun_offset}"
    else:
        condition = Condition.BACKLOG_SHORT
        missing = backlog.first_offset - offset
        saving = backlog.end_offset - offset
        reason = f"it asked for {offset}, but the backlog begins at {backlog.first_offset}: {missing} bytes short"
    log = f"Unable to partial resync with replica {replica} for lack of backlog (Replica request was: {offset})."
    return PsyncDecision(False, replid, offset, reason, log, missing, condition, saving)


def _other_history(replid: str, offset: int, history: Ids, second: bool) -> PsyncDecision:
    if second:
        return PsyncDecision(
            False,
            replid,
            offset,
            f"the histories parted at offset {history.second_offset}, and it asked for {offset}",
            "Partial resynchronization not accepted: Requested offset for second ID was "
            f"{offset}, but I can reply up to {history.second_offset}",
            condition=Condition.SECOND_OFFSET,
        )
    if offset <= 1:
        condition, reason = Condition.FIRST_SYNC, "nothing was written yet in the history that it comes with"
    else:
        condition = Condition.REPLID_MISMATCH
        reason = f"its history {replid} is not ours ({history.replid}, before that {history.replid2})"
    return PsyncDecision(
        False,
        replid,
        offset,
        reason,
        f"Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{replid}', "
        f"my replication IDs are '{history.replid}' and '{history.replid2}')",
        condition=condition,
    )


def understand(asked: Introduction, outcome: Outcome) -> PsyncDecision:
    """What a primary's answer to our own PSYNC says, as far as it can be seen from here.

    A primary does not say why it sends everything: the id and the offset that it names tell most of it.
    """
    replid, offset = asked.replid or "?", asked.offset
    if outcome.resync is Resync.PARTIAL:
        reason = "the primary goes on where we stand"
        return PsyncDecision(True, replid, offset, f"{reason}, under another id" if outcome.replid else reason)
    saving = 0
    if outcome.resync is Resync.SYNC:
        condition, reason = Condition.SYNC_COMMAND, "the primary did not understand PSYNC"
    elif asked.replid is None:
        condition, reason = Condition.NO_HISTORY, "we had no history to go on with"
    elif outcome.replid == NO_REPLID:
        condition, reason = Condition.UNCLEAR, "the primary's answer names no history"
    elif outcome.replid.lower() != asked.replid.lower() and offset <= 1:
        condition, reason = Condition.FIRST_SYNC, "nothing was written yet in the history that we came with"
    elif outcome.replid.lower() != asked.replid.lower():
        condition = Condition.REPLID_MISMATCH
        reason = f"the primary's history is {outcome.replid} now, and it cannot go on with {asked.replid} at {offset}"
    elif outcome.offset + 1 < offset:
        condition = Condition.BEYOND_END
        reason = f"we asked for offset {offset}, which is beyond the primary's last, {outcome.offset}"
    elif outcome.offset + 1 == offset:
        condition, reason = Condition.NO_BACKLOG, "the primary stands where we do, but has no backlog to go on from"
    else:
        condition = Condition.BACKLOG_SHORT
        saving = outcome.offset + 1 - offset
        reason = f"the primary's backlog no longer holds the {saving} bytes from offset {offset} on"
    return PsyncDecision(False, replid, offset, reason, condition=condition, saving_bytes=saving)
