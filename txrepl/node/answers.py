"""What the primary answered to our PSYNC, why, and what it came to: kept where the answers that we give are kept."""

from __future__ import annotations

from txrepl.node.core import Core
from txrepl.replication.decisions import Answer, Decision, Direction, Stage, Standing, why_no_history
from txrepl.replication.events import EventKind
from txrepl.replication.psync import Condition, PsyncDecision


class Answers:
    """The answers of our primaries."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._decisions = core.primary.decisions

    def received(self, made: PsyncDecision, answer: Answer) -> None:
        """Keep the primary's answer to our PSYNC, explained."""
        core, decisions = self._core, self._decisions
        before = decisions.last(Direction.RECEIVED, refusals=False)
        condition = made.condition
        if condition in (Condition.NO_HISTORY, Condition.FIRST_SYNC):
            condition = why_no_history(before)
        if condition is Condition.NO_HISTORY and made.condition is Condition.FIRST_SYNC:
            condition = Condition.REPLID_MISMATCH  # one that we had from a primary, and that this one has not
        decision = Decision.of(
            made,
            core.now(),
            direction=Direction.RECEIVED,
            peer=f"{core.link.host}:{core.link.port}",
            ours=Standing.of(core.feed.history, core.feed.backlog),
            answer=answer,
            condition=condition,
        )
        decision.avoidance = core.primary.advisor.avoidance(decision, before)
        decisions.add(decision)

    def note_sync(self, kind: EventKind, text: str, *, answer: Answer = Answer.FULL, size_bytes: int = 0) -> None:
        """Tell the watchers that a sync from the primary has begun or ended."""
        link = self._core.link
        self._core.events.note(
            kind,
            text,
            direction=Direction.RECEIVED.value,
            peer=f"{link.host}:{link.port}",
            answer=answer.value,
            bytes=size_bytes,
        )

    def transfer_ended(self, stage: Stage) -> None:
        """The full sync that is being received has come to its end: note what it cost."""
        transfer, decision = self._core.link.transfer, self._decisions.last(Direction.RECEIVED)
        if transfer is not None and decision is not None:
            decision.moved(transfer.read_bytes)
            decision.reached(stage, self._core.now())
