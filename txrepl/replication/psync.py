"""May this replica go on from where it stands? A pure decision (`masterTryPartialResynchronization`).

The answer carries the condition that failed, in words and with numbers, because that is what an operator asks
when a resync was full.
"""

from __future__ import annotations

from dataclasses import dataclass

from txrepl.replication.backlog import Backlog
from txrepl.replication.history import History


@dataclass(frozen=True, slots=True)
class PsyncDecision:
    """The answer to one PSYNC.

    Attributes:
        accepted: partial if True, else full.
        replid, offset: what the replica asked for (the next offset that it needs).
        reason: why, in words.
        log: the line that Redis logs for a refusal; empty when none.
        missing_bytes: by how much the backlog fell short; 0 if that was not the reason.
    """

    accepted: bool
    replid: str
    offset: int
    reason: str
    log: str = ""
    missing_bytes: int = 0


def decide(replid: str, offset: int, history: History, backlog: Backlog | None, replica: str) -> PsyncDecision:
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
        )
    if not backlog.covers(offset):
        missing = backlog.first_offset - offset
        ahead = offset > backlog.end_offset
        if ahead:
            reason = f"it asked for offset {offset}, which is beyond our last, {backlog.end_offset - 1}"
        else:
            reason = f"it asked for {offset}, but the backlog begins at {backlog.first_offset}: {missing} bytes short"
        log = f"Unable to partial resync with replica {replica} for lack of backlog (Replica request was: {offset})."
        return PsyncDecision(False, replid, offset, reason, log, 0 if ahead else missing)
    reason = "the backlog holds all it needs" if first else "the backlog holds all it needs of the history before"
    return PsyncDecision(True, replid, offset, reason)


def _other_history(replid: str, offset: int, history: History, second: bool) -> PsyncDecision:
    if second:
        return PsyncDecision(
            False,
            replid,
            offset,
            f"the histories parted at offset {history.second_offset}, and it asked for {offset}",
            "Partial resynchronization not accepted: Requested offset for second ID was "
            f"{offset}, but I can reply up to {history.second_offset}",
        )
    return PsyncDecision(
        False,
        replid,
        offset,
        f"its history {replid} is not ours ({history.replid}, before that {history.replid2})",
        f"Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{replid}', "
        f"my replication IDs are '{history.replid}' and '{history.replid2}')",
    )
