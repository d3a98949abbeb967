"""Sync decisions are kept with all that explains them: those given, and those received."""

from __future__ import annotations

import pytest

from tests.admin.support import Bench, FakeOutlet
from txrepl.commands.session import Session
from txrepl.replication.decisions import (
    DECISIONS_KEPT,
    ENDED_HISTORIES_KEPT,
    REPLID_SHOWN,
    Answer,
    Decision,
    Decisions,
    Direction,
    EndCause,
    HistoryEnd,
    Stage,
    Standing,
)
from txrepl.replication.handshake import Introduction, Outcome, Resync
from txrepl.replication.history import NO_REPLID
from txrepl.replication.psync import Condition, PsyncDecision, understand

OURS, THEIRS = "a1" * 20, "b2" * 20
STANDING = Standing(OURS, None, None, 100, 1, 101, 1024)


def decided(
    at_ms: int = 0,
    peer: str = "r:1",
    answer: Answer = Answer.FULL,
    condition: Condition | None = Condition.BACKLOG_SHORT,
    saving_bytes: int = 0,
) -> Decision:
    """A decision given."""
    made = PsyncDecision(answer is Answer.PARTIAL, OURS, 5, "a test", saving_bytes=saving_bytes)
    return Decision.of(
        made, at_ms, direction=Direction.GIVEN, peer=peer, ours=STANDING, answer=answer, condition=condition
    )


def newest(bench: Bench) -> Decision:
    """The last decision of a node."""
    return next(iter(bench.node.primary.decisions))


# -- what is kept -------------------------------------------------------------------------------------------------


def test_the_last_ones_are_kept_the_newest_first() -> None:
    """A bounded number, and none is lost before that."""
    kept = Decisions(lambda level, message: None)
    for at_ms in range(DECISIONS_KEPT + 10):
        kept.add(decided(at_ms))
    assert [one.at_ms for one in kept] == list(range(DECISIONS_KEPT + 9, 9, -1))


def test_each_is_one_line_of_the_log() -> None:
    """Who, what, the condition, the reason, and what would have avoided it."""
    lines: list[str] = []
    kept = Decisions(lambda level, message: lines.append(f"{level} {message}"))
    made = decided()
    made.avoidance = "`repl-backlog-size 1mb`"
    kept.add(made)
    kept.add(decided(answer=Answer.PARTIAL, condition=None))
    assert lines == [
        "notice Sync decision given to replica r:1: full (backlog_short), a test. To avoid it: `repl-backlog-size 1mb`",
        "notice Sync decision given to replica r:1: partial, a test",
    ]


def test_a_refusal_that_repeats_is_counted() -> None:
    """One record and one line for a replica that asks every second; another replica or condition is another record."""
    lines: list[str] = []
    kept = Decisions(lambda level, message: lines.append(message))
    for at_ms in range(1000):
        kept.add(decided(at_ms, answer=Answer.REFUSED, condition=Condition.TRY_LATER))
        kept.add(decided(at_ms, "r:2", answer=Answer.REFUSED, condition=Condition.TRY_LATER))
    kept.add(decided(answer=Answer.REFUSED, condition=Condition.WRONG_OFFSET))
    assert len(kept) == len(lines) == 3
    assert [(one.times, one.last_ms) for one in kept] == [(1, 0), (1000, 999), (1000, 999)]


def test_a_peers_words_take_bounded_room() -> None:
    """An id as long as a request may be is not kept as it is."""
    bench = Bench()
    bench.attach(replid="z" * 1_000_000, offset=7)
    made = newest(bench)
    assert made.replid == "z" * REPLID_SHOWN
    assert len(made.reason) < 300
    assert all(len(line) < 600 for line in bench.lines)


def test_ended_histories_are_remembered_and_bounded() -> None:
    """The last ones, whatever the case of their letters."""
    kept = Decisions(lambda level, message: None)
    for number in range(ENDED_HISTORIES_KEPT + 5):
        kept.history_ended(f"{number:040X}", HistoryEnd.REPLACED)
    assert kept.why_ended(f"{4:040x}") is None
    assert kept.why_ended(f"{20:040x}") is HistoryEnd.REPLACED


# -- what follows a decision --------------------------------------------------------------------------------------


def test_a_full_sync_is_timed_to_its_last_byte_and_loaded_at_the_acknowledgement() -> None:
    """Later stages do not change what it cost."""
    made = decided(1_000)
    made.moved(300)
    made.moved(200)
    made.reached(Stage.SENT, 1_250)
    made.reached(Stage.LOADED, 9_000)
    assert made.cost is not None
    assert (made.cost.bytes_moved, made.cost.duration_ms, made.cost.stage) == (500, 250, Stage.LOADED)
    made.ended(EndCause.CONNECTION_LOST, 10_000)
    assert made.cost.stage is Stage.LOADED


def test_a_full_sync_whose_connection_ends_first_is_broken() -> None:
    """With what it had cost by then."""
    made = decided(1_000)
    made.moved(300)
    made.ended(EndCause.TIMEOUT, 3_000, 77)
    made.reached(Stage.LOADED, 4_000)
    assert made.cost is not None and made.end is not None
    assert (made.cost.bytes_moved, made.cost.duration_ms, made.cost.stage) == (300, 2_000, Stage.BROKEN)
    assert (made.end.cause, made.end.at_ms, made.end.behind_bytes) == (EndCause.TIMEOUT, 3_000, 77)


def test_a_partial_one_costs_nothing() -> None:
    """Only full syncs have a cost."""
    made = decided(answer=Answer.PARTIAL, condition=None)
    made.moved(10)
    made.reached(Stage.SENT, 1)
    assert made.cost is None


# -- given ones ---------------------------------------------------------------------------------------------------


def online(bench: Bench, port: int = 6381) -> tuple[Session, FakeOutlet]:
    """A replica whose full sync has ended well."""
    session, outlet = bench.attach(port)
    replica = bench.node.primary.replicas[session.number]
    bench.node.primary.start_snapshot()
    bench.node.primary.snapshot_streamed(replica)
    bench.run(session, "REPLCONF", "ACK", replica.start_offset)
    bench.host.snapshots.busy = False
    return session, outlet


def test_where_we_stood_is_kept_as_it_was_before_the_answer() -> None:
    """The first replica changes our id; the decision shows the one that it was made with."""
    bench = Bench()
    before = bench.node.feed.history.replid
    bench.attach(replid=THEIRS, offset=5)
    made = newest(bench)
    assert bench.node.feed.history.replid != before
    assert made.ours == Standing(before, None, None, 0, None, None, 0)
    assert (made.replid, made.offset, made.answer) == (THEIRS, 5, Answer.FULL)


def test_why_a_replica_has_no_history_depends_on_what_it_was_given_before() -> None:
    """New; then with a full sync that broke off; then with one that it had loaded."""
    bench = Bench()
    _, outlet = bench.attach(6381)
    assert newest(bench).condition is Condition.FIRST_SYNC
    outlet.close(flush=False)
    _, outlet = online(bench, 6381)
    assert newest(bench).condition is Condition.TRANSFER_BROKEN
    outlet.close(flush=False)
    bench.attach(6381)
    made = newest(bench)
    assert made.condition is Condition.NO_HISTORY
    assert "SHUTDOWN SAVE" in made.avoidance and "on the replica" in made.avoidance


def test_a_history_of_which_nothing_was_written_is_a_first_sync() -> None:
    """A server that was just made a replica offers its own."""
    bench = Bench()
    bench.attach(6381, replid=THEIRS, offset=1)
    assert newest(bench).condition is Condition.FIRST_SYNC
    bench.attach(6382, replid=THEIRS, offset=2)
    assert newest(bench).condition is Condition.REPLID_MISMATCH


def test_a_client_that_wants_a_snapshot_only_is_told_apart() -> None:
    """However often it comes."""
    bench = Bench()
    for _ in range(2):
        session = bench.node.open_session(FakeOutlet(), "10.0.0.7:50000", "127.0.0.1:6379")
        bench.run(session, "REPLCONF", "rdb-only", 1)
        bench.run(session, "PSYNC", "?", -1)
        assert newest(bench).condition is Condition.RDB_ONLY


def test_sync_and_refusals_are_decisions_too() -> None:
    """The old command, an offset that is no number, and a node whose own primary is away."""
    bench = Bench()

    def ask(*words: str) -> Decision:
        bench.run(bench.node.open_session(FakeOutlet(), "10.0.0.7:50000", "127.0.0.1:6379"), *words)
        return newest(bench)

    assert (ask("SYNC").answer, newest(bench).condition) == (Answer.SYNC, Condition.SYNC_COMMAND)
    assert (ask("PSYNC", OURS, "x").answer, newest(bench).condition) == (Answer.REFUSED, Condition.WRONG_OFFSET)
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    for words in (("PSYNC", OURS, "7"), ("SYNC",)):
        assert (ask(*words).answer, newest(bench).condition) == (Answer.REFUSED, Condition.TRY_LATER)
        assert newest(bench).reason.startswith("NOMASTERLINK")


def test_a_history_whose_backlog_was_freed_is_explained_by_that() -> None:
    """The replica is away for longer than repl-backlog-ttl."""
    bench = Bench()
    bench.node.settings.backlog_ttl_s = 10
    _, outlet = online(bench)
    replid, offset = bench.node.feed.history.replid, bench.node.feed.history.offset
    outlet.close(flush=False)
    bench.clock.advance(11)
    bench.node.primary.tick()
    bench.attach(6381, replid=replid, offset=offset + 5)
    made = newest(bench)
    assert made.condition is Condition.REPLID_MISMATCH
    assert made.avoidance.startswith("`repl-backlog-ttl 0`")


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("lost", EndCause.CONNECTION_LOST),
        ("kill", EndCause.REQUESTED),
        ("limit", EndCause.OUTPUT_LIMIT),
        ("timeout", EndCause.TIMEOUT),
        ("role", EndCause.HISTORY_CHANGED),
        ("http", EndCause.REQUESTED),
    ],
)
def test_how_the_connection_ended_is_kept(how: str, cause: EndCause) -> None:
    """Lost, or closed by us, and then why; with what was still to be sent."""
    bench = Bench()
    session, outlet = online(bench)
    made = newest(bench)
    match how:
        case "lost":
            outlet.close(flush=False)
        case "kill":
            killer = bench.node.open_session(FakeOutlet(), "127.0.0.1:1", "127.0.0.1:6379")
            bench.run(killer, "CLIENT", "KILL", "TYPE", "replica")
        case "limit":
            bench.node.settings.output_hard_bytes = bench.node.settings.backlog_bytes = 1_000
            bench.write("SET", "key", "x" * 5_000)
            bench.node.primary.tick()
        case "timeout":
            bench.clock.advance(61)
            bench.node.primary.tick()
        case "role":
            bench.node.replicate_from("10.0.0.1", 6379, "a test")
        case "http":
            bench.ask("DELETE", f"/v1/replicas/{session.number}")
    assert outlet.closed
    assert made.end is not None and made.end.cause is cause
    if how == "limit":
        assert made.end.behind_bytes > 5_000


def test_a_connection_that_ends_before_the_replica_has_everything_broke_the_transfer() -> None:
    """While it waits for the snapshot, and when the snapshot failed."""
    bench = Bench()
    _, outlet = bench.attach()
    made = newest(bench)
    outlet.close(flush=False)
    assert made.end is not None and made.end.cause is EndCause.TRANSFER_BROKEN
    assert made.cost is not None and made.cost.stage is Stage.BROKEN
    bench.attach()
    bench.node.primary.start_snapshot()
    bench.node.primary.snapshot_failed()
    end = newest(bench).end
    assert end is not None and end.cause is EndCause.SNAPSHOT_FAILED


# -- received ones ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "condition", "saving_bytes"),
    [
        (Outcome(Resync.FULL, OURS, 500), Condition.BACKLOG_SHORT, 401),
        (Outcome(Resync.FULL, OURS.upper(), 100), Condition.BACKLOG_SHORT, 1),
        (Outcome(Resync.FULL, OURS, 99), Condition.NO_BACKLOG, 0),
        (Outcome(Resync.FULL, OURS, 98), Condition.BEYOND_END, 0),
        (Outcome(Resync.FULL, THEIRS, 500), Condition.REPLID_MISMATCH, 0),
        (Outcome(Resync.FULL, NO_REPLID, -1), Condition.UNCLEAR, 0),
        (Outcome(Resync.SYNC, NO_REPLID, -1), Condition.SYNC_COMMAND, 0),
    ],
)
def test_a_primarys_answer_says_why_it_was_full(outcome: Outcome, condition: Condition, saving_bytes: int) -> None:
    """From the id and the offset that it names, for a replica that asked for 100."""
    made = understand(Introduction(6379, replid=OURS, offset=100), outcome)
    assert (made.accepted, made.condition, made.saving_bytes) == (False, condition, saving_bytes)
    assert made.reason


def test_a_replica_without_history_knows_why_its_sync_is_full() -> None:
    """It had none, or an empty one."""
    full = Outcome(Resync.FULL, THEIRS, 500)
    assert understand(Introduction(6379), full).condition is Condition.NO_HISTORY
    assert understand(Introduction(6379, replid=OURS, offset=1), full).condition is Condition.FIRST_SYNC
    shared = understand(Introduction(6379, replid=THEIRS, offset=1), full)
    assert (shared.condition, shared.saving_bytes) == (Condition.BACKLOG_SHORT, 500)


def test_what_a_primary_sends_is_counted_and_what_breaks_is_told() -> None:
    """A transfer that fails is broken; the next answer is kept beside it."""
    bench = Bench()
    bench.become_replica()
    assert (newest(bench).direction, newest(bench).answer) == (Direction.RECEIVED, Answer.PARTIAL)
    bench.node.following.link_lost("a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, THEIRS, 500))
    bench.clock.advance(2)
    bench.node.full_sync.transfer_begun(1000)
    bench.node.full_sync.transfer_moved(400)
    bench.clock.advance(1)
    bench.node.following.link_failed("a test")
    made = newest(bench)
    assert made.cost is not None
    assert (made.cost.bytes_moved, made.cost.duration_ms, made.cost.stage) == (400, 3_000, Stage.BROKEN)
    assert made.peer == "10.0.0.1:6379"
