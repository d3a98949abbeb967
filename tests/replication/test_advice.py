"""What to set: sizes that would have done, loops that are named once, and values that end them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txrepl.replication.advice import (
    HEADROOM,
    LOOP_WINDOW_MS,
    LOOPS_KEPT,
    MEGABYTE,
    Advisor,
    LoopCause,
    rounded_up_mb,
)
from txrepl.replication.decisions import (
    Answer,
    Decision,
    Decisions,
    Direction,
    EndCause,
    HistoryEnd,
    Stage,
    Standing,
)
from txrepl.replication.feed import Feed
from txrepl.replication.history import History
from txrepl.replication.psync import Condition, PsyncDecision
from txrepl.replication.settings import Settings

REPLICA = "10.0.0.2:6380"


class Desk:
    """An advisor, and what it advises on."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.feed = Feed(History(lambda: "a1" * 20))
        self.settings = Settings()
        self.decisions = Decisions(lambda level, message: None)
        self.advisor = Advisor(
            self.feed, self.settings, self.decisions, lambda level, message: self.lines.append(f"{level} {message}")
        )

    def decide(
        self,
        at_ms: int,
        condition: Condition | None = Condition.BACKLOG_SHORT,
        *,
        peer: str = REPLICA,
        answer: Answer = Answer.FULL,
        saving_bytes: int = 0,
        direction: Direction = Direction.GIVEN,
        replid: str = "b2" * 20,
    ) -> Decision:
        """A decision is made, explained, kept and heeded."""
        made = PsyncDecision(answer is Answer.PARTIAL, replid, 5, "a test", saving_bytes=saving_bytes)
        ours = Standing("a1" * 20, None, None, 100, 1, 101, self.settings.backlog_bytes)
        before = self.decisions.last(direction, peer, refusals=False)
        decision = Decision.of(
            made, at_ms, direction=direction, peer=peer, ours=ours, answer=answer, condition=condition
        )
        decision.avoidance = self.advisor.avoidance(decision, before)
        self.decisions.add(decision)
        if direction is Direction.GIVEN:
            self.advisor.heed(decision)
        return decision

    def loop(self, end: EndCause | None, condition: Condition = Condition.BACKLOG_SHORT, behind_bytes: int = 0) -> None:
        """Three full syncs, a minute apart, each connection ended the same way."""
        for number in range(3):
            made = self.decide(
                number * 60_000, condition if number else Condition.FIRST_SYNC, saving_bytes=3 * MEGABYTE
            )
            made.reached(Stage.SENT, made.at_ms + 5_000)
            if end is not None:
                made.ended(end, made.at_ms + 30_000, behind_bytes)


# -- one decision -------------------------------------------------------------------------------------------------


def test_a_short_backlog_is_told_the_size_that_would_have_done() -> None:
    """As one sets it, and to the byte; a size that is there by now is not told as news."""
    desk = Desk()
    made = desk.decide(0, saving_bytes=3 * MEGABYTE + 1)
    assert made.avoidance == f"`repl-backlog-size 4mb` ({3 * MEGABYTE + 1} bytes would have done)"
    assert "had it been set earlier" in desk.decide(0, saving_bytes=1000).avoidance
    received = desk.decide(0, saving_bytes=1000, direction=Direction.RECEIVED)
    assert received.avoidance == "`repl-backlog-size 1mb` on the primary"


def test_every_condition_that_a_setting_could_have_avoided_names_one() -> None:
    """All but those that nothing would have avoided, or that are somebody's wish."""
    free = {Condition.FIRST_SYNC, Condition.RDB_ONLY, Condition.WRONG_OFFSET, Condition.TRY_LATER, Condition.UNCLEAR}
    for condition in Condition:
        for direction in Direction:
            said = Desk().decide(0, condition, direction=direction, saving_bytes=2 * MEGABYTE).avoidance
            if condition in free:
                assert said == "", condition
            elif (condition, direction) not in {
                (Condition.SECOND_OFFSET, Direction.RECEIVED),  # a primary tells neither of these apart
                (Condition.BEFORE_BACKLOG, Direction.RECEIVED),
            }:
                assert said, (condition, direction)
                assert not said.endswith(".")


def test_partial_resyncs_and_refusals_need_no_advice() -> None:
    """There is nothing to avoid."""
    assert Desk().decide(0, None, answer=Answer.PARTIAL).avoidance == ""
    assert Desk().decide(0, Condition.TRY_LATER, answer=Answer.REFUSED).avoidance == ""


def test_a_history_that_is_known_to_have_ended_is_explained_by_its_end() -> None:
    """In place of a guess that this node was restarted."""
    desk = Desk()
    assert "if this node was restarted" in desk.decide(0, Condition.REPLID_MISMATCH).avoidance
    desk.decisions.history_ended("b2" * 20, HistoryEnd.BACKLOG_FREED)
    assert "`repl-backlog-ttl 0`" in desk.decide(0, Condition.REPLID_MISMATCH).avoidance
    desk.decisions.history_ended("b2" * 20, HistoryEnd.REPLACED)
    assert desk.decide(0, Condition.REPLID_MISMATCH).avoidance.startswith("nothing here")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        (EndCause.OUTPUT_LIMIT, "`client-output-buffer-limit replica 256mb 64mb 60`"),
        (EndCause.TIMEOUT, "`repl-timeout 120`,"),
        (EndCause.TRANSFER_BROKEN, "`repl-timeout 120` on the replica"),
        (EndCause.SNAPSHOT_FAILED, "a snapshot that succeeds"),
    ],
)
def test_a_broken_transfer_is_explained_by_how_it_broke(end: EndCause, says: str) -> None:
    """The replica comes back without a history, since the last full sync did not end well."""
    desk = Desk()
    desk.decide(0, Condition.FIRST_SYNC).ended(end, 1_000, 2 * MEGABYTE)
    assert desk.decide(2_000, Condition.TRANSFER_BROKEN).avoidance.startswith(says)


# -- the backlog --------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**40))
def test_sizes_are_powers_of_two_of_megabytes(count: int) -> None:
    """The least that is enough."""
    megabytes = rounded_up_mb(count)
    assert megabytes & (megabytes - 1) == 0
    assert megabytes * MEGABYTE >= count
    assert megabytes == 1 or megabytes // 2 * MEGABYTE < count


@pytest.mark.parametrize(("timeout_s", "away_s"), [(10, 60), (60, 60), (600, 600)])
def test_the_backlog_is_to_hold_what_is_written_while_a_replica_is_away(timeout_s: int, away_s: int) -> None:
    """For repl-timeout or a minute, twice over, at the rate of the busiest minute."""
    desk = Desk()
    desk.settings.timeout_s = timeout_s
    rate = 100_000
    for second in range(121):
        desk.feed.timeline.note(second * 1000, second * rate)
    desk.feed.history.offset = 120 * rate
    assert desk.advisor.backlog_bytes(120_000) == rounded_up_mb(rate * away_s * HEADROOM) * MEGABYTE
    assert desk.advisor.backlog_bytes(3_600_000) == desk.advisor.backlog_bytes(120_000)


def test_the_backlog_is_to_hold_what_would_have_saved_the_last_full_syncs() -> None:
    """Where nothing is written, that is what counts; and a megabyte where there was none."""
    desk = Desk()
    assert desk.advisor.backlog_bytes(0) == MEGABYTE
    desk.decide(0, saving_bytes=5 * MEGABYTE)
    desk.decide(0, saving_bytes=2 * MEGABYTE)
    assert desk.advisor.backlog_bytes(0) == 8 * MEGABYTE


# -- loops --------------------------------------------------------------------------------------------------------


def test_the_third_full_sync_within_the_window_is_a_loop_and_is_named_once() -> None:
    """What follows is counted, not logged again."""
    desk = Desk()
    for number in range(2):
        desk.decide(number * 1_000)
    assert desk.lines == [] and desk.advisor.loops == {}
    desk.decide(2_000)
    for number in range(3, 10):
        desk.decide(number * 1_000)
    assert len(desk.lines) == 1
    assert desk.lines[0].startswith(
        f"warning Replica {REPLICA} needs one full sync after the other: 3 in 2 seconds, because it came back"
    )
    found = desk.advisor.loops[REPLICA]
    assert (found.full_syncs, found.since_ms, found.last_ms) == (10, 0, 9_000)


def test_three_full_syncs_over_a_longer_time_are_no_loop() -> None:
    """Nor are other replicas' counted together, nor partial resyncs, snapshots on request, or the old SYNC."""
    desk = Desk()
    for number in range(10):
        at_ms = number * (LOOP_WINDOW_MS // 2 + 1)
        desk.decide(at_ms)
        desk.decide(at_ms, peer=f"10.0.0.3:{number}")
        desk.decide(at_ms, None, answer=Answer.PARTIAL)
        for _ in range(3):
            desk.decide(at_ms, Condition.RDB_ONLY)
            desk.decide(at_ms, Condition.SYNC_COMMAND, answer=Answer.SYNC)
    assert desk.lines == []


def test_a_loop_that_was_quiet_for_a_window_is_over_and_may_be_named_again() -> None:
    """An alert that comes back is a new one."""
    desk = Desk()
    for start_ms in (0, 3 * LOOP_WINDOW_MS):
        for number in range(4):
            desk.decide(start_ms + number)
        last_ms = start_ms + 3
        assert [one.replica for one in desk.advisor.current(last_ms + LOOP_WINDOW_MS)] == [REPLICA]
        assert desk.advisor.current(last_ms + LOOP_WINDOW_MS + 1) == []
    assert len(desk.lines) == 2
    assert desk.advisor.loops[REPLICA].full_syncs == 4


def test_a_refusal_in_between_hides_no_cause() -> None:
    """The replica is told to ask again; why its connection ended before that still counts."""
    desk = Desk()
    for number in range(3):
        desk.decide(number * 10_000, Condition.TRY_LATER, answer=Answer.REFUSED)
        desk.decide(number * 10_000).ended(EndCause.TIMEOUT, number * 10_000 + 5_000)
    assert desk.advisor.loops[REPLICA].cause is LoopCause.TIMEOUT


@pytest.mark.parametrize(
    ("end", "condition", "cause", "remedy"),
    [
        (EndCause.OUTPUT_LIMIT, Condition.BACKLOG_SHORT, LoopCause.OUTPUT_LIMIT,
         'client-output-buffer-limit "replica 512mb 512mb 60"'),
        (EndCause.OUTPUT_LIMIT, Condition.TRANSFER_BROKEN, LoopCause.OUTPUT_LIMIT,
         'client-output-buffer-limit "replica 512mb 512mb 60"'),
        (EndCause.CONNECTION_LOST, Condition.BACKLOG_SHORT, LoopCause.BACKLOG_SHORT, 'repl-backlog-size "4mb"'),
        (None, Condition.BACKLOG_SHORT, LoopCause.BACKLOG_SHORT, 'repl-backlog-size "4mb"'),
        (EndCause.TIMEOUT, Condition.BACKLOG_SHORT, LoopCause.TIMEOUT, 'repl-timeout "120"'),
        (EndCause.TRANSFER_BROKEN, Condition.TRANSFER_BROKEN, LoopCause.TRANSFER_BROKEN, 'repl-timeout "120"'),
        (EndCause.SNAPSHOT_FAILED, Condition.TRANSFER_BROKEN, LoopCause.SNAPSHOT_FAILED, 'repl-diskless-sync "no"'),
        (EndCause.CONNECTION_LOST, Condition.NO_HISTORY, LoopCause.HISTORY_LOST, 'save "3600 1"'),
    ],
)  # fmt: skip
def test_a_loops_cause_is_how_the_connections_ended_or_why_no_partial_resync_could_be(
    end: EndCause | None, condition: Condition, cause: LoopCause, remedy: str
) -> None:
    """With the setting to change and a value; what the replica has to set is said to be its."""
    desk = Desk()
    desk.loop(end, condition, behind_bytes=100 * MEGABYTE)
    found = desk.advisor.loops[REPLICA]
    assert (found.cause, f'{found.setting} "{found.value}"') == (cause, remedy)
    assert found.on_replica is (cause in {LoopCause.TRANSFER_BROKEN, LoopCause.HISTORY_LOST})
    where = " on the replica" if found.on_replica else ""
    assert found.text.endswith(f"To end it{where}: CONFIG SET {remedy}")
    assert desk.lines == [f"warning {found.text}"]


def test_a_limit_that_is_off_stays_off() -> None:
    """Only the one that dropped the replica is raised."""
    desk = Desk()
    desk.settings.output_hard_bytes = 0
    desk.loop(EndCause.OUTPUT_LIMIT, behind_bytes=100 * MEGABYTE)
    assert desk.advisor.loops[REPLICA].value == "replica 0 512mb 60"


def test_a_timeout_is_raised_over_the_longest_transfer_seen() -> None:
    """Twice what the slowest full sync took, if that is more than the present value."""
    desk = Desk()
    for number in range(3):
        made = desk.decide(number * 200_000, Condition.TRANSFER_BROKEN)
        made.ended(EndCause.TIMEOUT, made.at_ms + 90_000)
    assert desk.advisor.loops[REPLICA].value == "180"


def test_loops_kept_are_bounded() -> None:
    """The oldest go; decisions that are kept are bounded elsewhere."""
    desk = Desk()
    for number in range(LOOPS_KEPT + 5):
        for at_ms in range(3):
            desk.decide(at_ms, peer=f"10.0.0.4:{number}")
    assert len(desk.advisor.loops) == LOOPS_KEPT
    assert "10.0.0.4:0" not in desk.advisor.loops
