"""May a replica go on? Each condition, its boundaries, and a model for the rest."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txrepl.replication.backlog import Backlog
from txrepl.replication.history import NO_REPLID, History
from txrepl.replication.psync import PsyncDecision, decide

OURS, BEFORE, FOREIGN = "a1" * 20, "b2" * 20, "c3" * 20


def history(offset: int, *, replid2: str = NO_REPLID, second_offset: int = -1) -> History:
    """A history that stands at an offset."""
    made = History(lambda: OURS)
    made.offset = offset
    made.replid2 = replid2
    made.second_offset = second_offset
    return made


def backlog(first: int, end: int) -> Backlog:
    """A backlog that holds these offsets, end not included."""
    made = Backlog(10**6, first)
    made.append(b"x" * (end - first))
    return made


def ask(replid: str, offset: int, first: int = 11, end: int = 101) -> PsyncDecision:
    """Ask a node at offset end - 1 whose history parted from BEFORE at 51."""
    return decide(
        replid, offset, history(end - 1, replid2=BEFORE, second_offset=51), backlog(first, end), "10.0.0.2:6380"
    )


@pytest.mark.parametrize(("offset", "accepted"), [(10, False), (11, True), (100, True), (101, True), (102, False)])
def test_our_history_goes_on_from_any_offset_that_the_backlog_covers(offset: int, accepted: bool) -> None:
    """The next byte to come is covered, one more is not."""
    decision = ask(OURS, offset)
    assert decision.accepted is accepted
    assert (decision.replid, decision.offset) == (OURS, offset)
    assert decision.reason
    if not accepted:
        assert decision.log == (
            f"Unable to partial resync with replica 10.0.0.2:6380 for lack of backlog (Replica request was: {offset})."
        )


def test_a_backlog_that_was_too_short_is_told_in_bytes() -> None:
    """By how much it is short of what it once held."""
    held = Backlog(1000, 1)
    for _ in range(100):
        held.append(b"x" * 1000)
    first = held.first_offset
    assert first > 1000
    for offset in (1, 500, first - 1):
        decision = decide(OURS, offset, history(100_000), held, "r")
        assert (decision.accepted, decision.missing_bytes) == (False, first - offset)
    assert decide(OURS, first, history(100_000), held, "r").missing_bytes == 0


@pytest.mark.parametrize(("offset", "accepted"), [(10, False), (11, True), (50, True), (51, True), (52, False)])
def test_after_promotion_the_history_before_goes_on_up_to_where_they_parted(offset: int, accepted: bool) -> None:
    """As a live 7.0.15: with second_replid_offset 51, 51 is continued and 52 is full."""
    decision = ask(BEFORE, offset)
    assert decision.accepted is accepted
    if offset == 52:
        assert decision.log == (
            "Partial resynchronization not accepted: Requested offset for second ID was 52, but I can reply up to 51"
        )


def test_promotion_itself_sets_that_boundary() -> None:
    """A node promoted at offset 50 continues a sibling that asks for 51."""
    ids = itertools.count(1)
    promoted = History(lambda: f"{next(ids):040x}")
    old = promoted.replid
    promoted.offset = 50
    promoted.shift()
    for offset, accepted in ((51, True), (52, False)):
        assert decide(old, offset, promoted, backlog(1, 51), "r").accepted is accepted


def test_another_history_is_refused_with_all_ids_named() -> None:
    """So that the operator sees which two did not match."""
    decision = ask(FOREIGN, 50)
    assert not decision.accepted
    assert decision.log == (
        f"Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{FOREIGN}', "
        f"my replication IDs are '{OURS}' and '{BEFORE}')"
    )


@pytest.mark.parametrize("replid", ["?", "?anything"])
def test_a_question_mark_asks_for_everything(replid: str) -> None:
    """Whatever the offset."""
    for offset in (-1, 50):
        decision = ask(replid, offset)
        assert not decision.accepted
        assert decision.log == "Full resync requested by replica 10.0.0.2:6380"


def test_without_a_backlog_nothing_goes_on() -> None:
    """Even at the very offset where we stand."""
    decision = decide(OURS, 101, history(100), None, "10.0.0.2:6380")
    assert not decision.accepted
    assert decision.reason == "there is no backlog"
    assert "for lack of backlog (Replica request was: 101)" in decision.log


def test_ids_compare_case_insensitively() -> None:
    """As strcasecmp does."""
    assert ask(OURS.upper(), 50).accepted
    assert ask(BEFORE.upper(), 50).accepted
    assert not ask(FOREIGN.upper(), 50).accepted


@pytest.mark.parametrize("offset", [-(2**63), -5, -1, 0, 1, 50, 2**63 - 1])
def test_forty_zeros_are_no_history(offset: int) -> None:
    """A node without a second history must not take the mark of none for one."""
    assert not decide(NO_REPLID, offset, history(100), backlog(1, 101), "r").accepted


offsets = st.integers(-5, 130)


@settings(deadline=None)
@given(
    st.sampled_from([OURS, OURS.upper(), BEFORE, BEFORE.upper(), FOREIGN, NO_REPLID, "?", ""]),
    offsets,
    st.one_of(st.none(), st.tuples(st.integers(1, 100), st.integers(0, 100))),
    st.one_of(st.none(), st.integers(1, 110)),
)
def test_the_decision_is_the_models(
    replid: str, offset: int, held: tuple[int, int] | None, second_offset: int | None
) -> None:
    """Known history, and all bytes from the one asked for at hand."""
    first, end = (held[0], sum(held)) if held else (1, 101)
    second = BEFORE if second_offset is not None else NO_REPLID
    ours = history(end - 1, replid2=second, second_offset=-1 if second_offset is None else second_offset)
    known = replid.lower() == OURS or (
        replid.lower() == BEFORE and second_offset is not None and offset in range(-5, second_offset + 1)
    )
    has_bytes = held is not None and offset in range(first, end + 1)
    decision = decide(replid, offset, ours, backlog(first, end) if held else None, "r")
    assert decision.accepted is (known and has_bytes)
    assert bool(decision.log) is not decision.accepted
    assert decision.missing_bytes >= 0
