"""What a delayed replica holds back, and for how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import cut, cuts
from txrepl.replication.delay import PIECE_MS, STEP_BYTES, Delay, decode
from txrepl.replication.history import History
from txrepl.resp.requests import encode_command

REPLID = "d" * 40


def command(*words: str) -> bytes:
    return encode_command([word.encode() for word in words])


A, B, C = (command("SET", name, name * 3) for name in "abc")
TRANSACTION = command("MULTI") + A + B + command("EXEC")
UNITS = [A, TRANSACTION, b"\r\n", command("multi") + C + command("discard"), B, command("EXEC"), command("PING"), C]


def made(delay_ms: int = 1000, offset: int = 100) -> tuple[Delay, History]:
    history = History(lambda: REPLID)
    history.offset = offset
    delay = Delay(history)
    delay.set_delay(delay_ms)
    return delay, history


def taken(delay: Delay, history: History, now_ms: int) -> list[bytes]:
    """All that may be applied now, step by step, as if it were."""
    steps = []
    while (data := delay.take(now_ms)) is not None:
        if data:
            steps.append(data)
            history.offset += len(data)
    return steps


def test_nothing_is_active_without_delay_stop_or_bytes() -> None:
    """An undelayed replica does not come here."""
    delay, _ = made(0)
    assert not delay.is_active
    delay.set_delay(1)
    assert delay.is_active
    delay.set_delay(0)
    delay.set_stop(5)
    assert delay.is_active
    delay.set_stop(0)
    assert not delay.is_active
    delay.receive(A, 0)
    assert delay.is_active
    assert delay.take(0) == A
    assert delay.remainder() == b""
    assert not delay.is_active


def test_bytes_come_out_when_they_are_old_enough_and_count_as_received_at_once() -> None:
    """At the very millisecond, each for itself."""
    delay, history = made(1000)
    delay.receive(A, 5000)
    delay.receive(B, 5000 + PIECE_MS)
    assert delay.received_offset == 100 + len(A + B)
    assert delay.oldest_ms == 5000 and delay.next_due_ms == 6000
    assert taken(delay, history, 5999) == []
    assert taken(delay, history, 6000) == [A]
    assert delay.received_offset == 100 + len(A + B)
    assert taken(delay, history, 5999 + PIECE_MS) == []
    assert taken(delay, history, 6000 + PIECE_MS) == [B]
    assert delay.pending_bytes == 0 and delay.next_due_ms is None and delay.oldest_ms is None


def test_small_reads_are_kept_together_and_none_of_them_comes_out_too_early() -> None:
    """They are due with the last of them, a tenth of a second later at most."""
    delay, history = made(1000)
    for moment in range(0, PIECE_MS, 10):
        delay.receive(A, moment)
    assert len(delay.parts()) == 1
    assert taken(delay, history, 1000 + PIECE_MS - 11) == []
    assert b"".join(taken(delay, history, 1000 + PIECE_MS - 10)) == A * 10
    delay.receive(A, 5000)
    delay.receive(A, 4000)  # the clock went back
    assert len(delay.parts()) == 2


@given(places=cuts(400), delay_ms=st.integers(0, 50))
def test_only_whole_commands_and_transactions_come_out_in_every_split(places: list[int], delay_ms: int) -> None:
    """Whatever the reads are: each step ends between two units, and all steps are the stream."""
    ends, end = set(), 0
    for unit in UNITS:
        end += len(unit)
        ends.add(end)
    delay, history = made(delay_ms, 0)
    stream = b"".join(UNITS)
    for moment, data in enumerate(cut(stream, places)):
        delay.receive(data, moment * PIECE_MS)
        taken(delay, history, moment * PIECE_MS)
        assert history.offset in ends | {0}
        assert delay.received_offset == history.offset + delay.pending_bytes
    taken(delay, history, 10**9)
    assert history.offset == len(stream)


@given(places=cuts(400), offset=st.integers(1, 400))
def test_a_stop_lets_through_what_ends_before_it_and_no_more(places: list[int], offset: int) -> None:
    """At every offset, in every split; lifted, the rest follows."""
    delay, history = made(0, 0)
    delay.set_stop(offset)
    for data in cut(b"".join(UNITS), places):
        delay.receive(data, 0)
        taken(delay, history, 0)
    expected = 0
    for unit in UNITS:
        if expected + len(unit) >= offset:
            break
        expected += len(unit)
    assert history.offset == expected
    if expected < sum(map(len, UNITS)):
        assert delay.is_held
    delay.set_stop(0)
    taken(delay, history, 0)
    assert history.offset == sum(map(len, UNITS))
    assert delay.remainder() == b""


def test_a_stop_at_the_next_offset_holds_at_once_and_one_further_on_when_it_is_reached() -> None:
    """Nothing has to come for the first."""
    delay, history = made(1000, 100)
    delay.set_stop(101)
    assert delay.is_held
    delay.set_stop(100 + len(A) + 1)
    assert not delay.is_held
    delay.receive(A + B, 0)
    assert taken(delay, history, 1000) == [A]
    assert delay.is_held and delay.next_due_ms is None
    delay.set_stop(100 + len(A + B) + 1)
    assert taken(delay, history, 1000) == [B]


def test_apply_now_makes_due_what_has_come_and_not_what_comes() -> None:
    """With a stop, up to that."""
    delay, history = made(10**6)
    delay.receive(A + B, 0)
    delay.set_stop(100 + len(A) + 5)
    delay.apply_now()
    delay.receive(C, 1)
    assert delay.next_due_ms == 0
    assert taken(delay, history, 1) == [A]
    delay.set_stop(0)
    assert taken(delay, history, 1) == [B]
    assert taken(delay, history, 10**6) == []
    assert taken(delay, history, 10**6 + 1) == [C]


def test_another_delay_counts_for_what_waits() -> None:
    """Longer and shorter, also for what has been looked into and is held."""
    delay, history = made(1000)
    delay.receive(A, 0)
    delay.set_delay(2000)
    assert taken(delay, history, 1500) == []
    delay.set_delay(1500)
    delay.set_stop(101)
    assert taken(delay, history, 1500) == []
    delay.set_delay(9000)
    delay.set_stop(0)
    assert taken(delay, history, 1500) == []
    delay.set_delay(0)
    assert taken(delay, history, 1500) == [A]


def test_steps_are_small_and_a_big_command_is_one() -> None:
    """So that whoever applies them can look at the clock."""
    delay, history = made(0)
    big = command("SET", "big", "x" * (3 * STEP_BYTES))
    delay.receive(A * 2000 + big + A, 0)
    steps = taken(delay, history, 0)
    assert b"".join(steps) == A * 2000 + big + A
    assert big in steps
    assert all(len(step) <= STEP_BYTES or step == big for step in steps)


def test_the_beginning_of_a_command_goes_on_when_nothing_is_delayed_any_more() -> None:
    """But neither while there is a delay, a stop, nor something whole."""
    delay, history = made(1000)
    delay.receive(A + B[:5], 0)
    assert delay.remainder() is None
    delay.set_delay(0)
    assert delay.remainder() is None
    assert taken(delay, history, 0) == [A]
    delay.set_stop(9999)
    assert delay.remainder() is None
    delay.set_stop(0)
    assert delay.remainder() == B[:5]
    assert not delay.is_active and delay.received_offset == history.offset


@pytest.mark.parametrize("bad", [b"*1\r\n+x\r\n", b"SET a b\r\n", b"*9999999999\r\n"])
def test_what_is_no_command_comes_out_after_what_is(bad: bytes) -> None:
    """The stream behind finds what is wrong with it."""
    delay, history = made(0)
    delay.receive(A + bad, 0)
    assert b"".join(taken(delay, history, 0)) == A + bad
    assert delay.pending_bytes == 0


def test_full_is_a_matter_of_bytes() -> None:
    """From the bound on."""
    delay, _ = made()
    delay.max_bytes = len(A) + 1
    delay.receive(A, 0)
    assert not delay.is_full
    delay.receive(b"*", 0)
    assert delay.is_full
    delay.clear()
    assert not delay.is_full and delay.delay_ms == 1000


def test_what_waits_is_listed_with_offsets_arrival_and_transaction() -> None:
    """Partly looked into, in several pieces, with the beginning of a command at the end."""
    delay, history = made(1000, 100)
    delay.receive(A + TRANSACTION, 0)
    delay.receive(command("FLUSHALL") + B[:7], PIECE_MS)
    delay.set_stop(100 + len(A) + 1)
    taken(delay, history, 1000)
    found = [one for part in decode(delay.parts(), history.offset + 1) for one in part]
    multi = 101 + len(A)
    assert [one.argv[0] for one in found] == [b"MULTI", b"SET", b"SET", b"EXEC", b"FLUSHALL"]
    assert [one.transaction_offset for one in found] == [multi] * 4 + [None]
    assert [one.arrived_ms for one in found] == [0] * 4 + [PIECE_MS]
    assert [one.offset for one in found[1:]] == [one.end_offset + 1 for one in found[:-1]]
    assert found[0].offset == multi
    assert found[-1].end_offset == multi + len(TRANSACTION) + len(command("FLUSHALL")) - 1
