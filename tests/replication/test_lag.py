"""Bytes told in time: what the notes of a stream's offset say, and when a reader counts as behind."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from txrepl.replication.lag import ACK_OVERDUE_MS, AGE_SHARE, NOTES_MAX, REACH_MS, Timeline, behind_primary
from txrepl.replication.link import Link
from txrepl.replication.states import LinkState

TICK_MS = 100


def steady(seconds: int, bytes_per_tick: int = 50) -> tuple[Timeline, int, int]:
    """A stream that was written to at a steady rate; it, the time, and its offset."""
    made = Timeline()
    now_ms = offset = 0
    for _ in range(seconds * 10):
        made.note(now_ms, offset)
        now_ms += TICK_MS
        offset += bytes_per_tick
    return made, now_ms, offset


def test_a_byte_was_written_when_the_stream_came_to_it() -> None:
    """At a steady rate every byte has its moment, to the note and between notes, and after the last note too."""
    made, now_ms, offset = steady(20)
    for byte in (1, 49, 50, 51, 75, 5_000, offset - 20, offset):
        assert abs(made.written_ms(byte, now_ms, offset) - byte * TICK_MS / 50) <= 1


def test_a_burst_after_silence_was_not_written_during_the_silence() -> None:
    """The stream stood still from 0.1 to 60 s, then moved: the bytes are as old as the burst."""
    made = Timeline()
    made.note(0, 0)
    made.note(100, 10)
    for now_ms in range(200, 60_001, 100):
        made.note(now_ms, 10)
    made.note(60_100, 1_000)
    assert 60_000 <= made.written_ms(11, 60_100, 1_000) <= 60_100
    assert made.written_ms(10, 60_100, 1_000) <= 100


def test_what_was_written_before_all_notes_is_as_old_as_they() -> None:
    """No age is made up."""
    made = Timeline()
    made.begin(5_000, 700)
    made.note(5_100, 800)
    assert made.written_ms(3, 6_000, 800) == 5_000
    assert made.offset_at(1_000, 6_000, 800) == 700


def test_a_stream_without_notes_says_now() -> None:
    """Nothing is behind, and no rate is known."""
    made = Timeline()
    assert made.written_ms(5, 1_000, 10) == 1_000
    assert made.offset_at(5, 1_000, 10) == 10
    assert made.bytes_per_second(1_000, 10) is None
    assert made.busiest_bytes_per_second(1_000, 10) == 0


def test_an_offset_or_a_clock_that_went_back_begins_anew() -> None:
    """Another history, or a clock that was set: the notes before mean nothing now."""
    for now_ms, offset in ((20_000, 10), (10, 10_000)):
        made, _, _ = steady(10)
        made.note(now_ms, offset)
        assert len(made) == 1
        assert made.written_ms(offset, now_ms, offset) == now_ms


# -- a day in a bounded number of notes ---------------------------------------------------------------------------


def test_a_day_of_writes_fits_and_every_age_is_right_to_its_share() -> None:
    """A day at ten notes a second: never more than the bound, and 1/50 of an age is the error at most."""
    made, now_ms, offset = Timeline(), 0, 0
    while now_ms < REACH_MS:
        made.note(now_ms, offset)
        assert len(made) < NOTES_MAX
        now_ms += TICK_MS
        offset += 7
    for age_ms in (100, 1_000, 10_000, 60_000, 600_000, 3_600_000, 6 * 3_600_000, 20 * 3_600_000):
        byte = (now_ms - age_ms) * 7 // TICK_MS
        shown_ms = now_ms - made.written_ms(byte, now_ms, offset)
        assert abs(shown_ms - age_ms) <= TICK_MS + age_ms / AGE_SHARE


@given(st.lists(st.tuples(st.integers(1, 100_000), st.integers(0, 10_000)), min_size=1, max_size=300), st.data())
def test_times_and_offsets_agree(steps: list[tuple[int, int]], data: st.DataObject) -> None:
    """However it was written: later bytes are not older, and the stream had not passed a byte before it was written."""
    made = Timeline()
    now_ms = offset = 0
    for pause_ms, count in steps:
        made.note(now_ms, offset)
        now_ms += pause_ms
        offset += count
    one, other = sorted(data.draw(st.tuples(st.integers(1, offset + 1), st.integers(1, offset + 1))))
    first_ms, second_ms = (made.written_ms(byte, now_ms, offset) for byte in (one, other))
    assert first_ms <= second_ms <= now_ms
    assert made.offset_at(first_ms, now_ms, offset) <= max(one, 0)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_notes_are_bounded_whatever_the_clock_does(pauses_ms: list[int]) -> None:
    """Even if days lie between two notes."""
    made, now_ms = Timeline(), 0
    for offset, pause_ms in enumerate(itertools.islice(itertools.cycle(pauses_ms), 2 * NOTES_MAX)):
        made.note(now_ms, offset)
        assert len(made) < NOTES_MAX
        now_ms += pause_ms


# -- the rate -----------------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_minute() -> None:
    """500 bytes a second; a minute of silence later it is 0, and half of it after half a minute."""
    made, now_ms, offset = steady(120)
    assert made.bytes_per_second(now_ms, offset) == 500
    made.note(now_ms, offset)
    half = made.bytes_per_second(now_ms + 30_000, offset)
    assert half is not None and 240 <= half <= 260
    assert made.bytes_per_second(now_ms + 61_000, offset) == 0


def test_the_rate_is_unknown_in_the_first_second() -> None:
    """Then it is that of the time there was."""
    made = Timeline()
    made.note(0, 0)
    assert made.bytes_per_second(999, 5_000) is None
    assert made.bytes_per_second(2_000, 5_000) == 2_500


def test_the_busiest_minute_is_remembered() -> None:
    """An hour of silence after it changes nothing."""
    made, now_ms, offset = steady(60, bytes_per_tick=1_000)
    for _ in range(36_000):
        made.note(now_ms, offset)
        now_ms += TICK_MS
    assert abs(made.busiest_bytes_per_second(now_ms, offset) - 10_000) <= 200
    assert made.bytes_per_second(now_ms, offset) == 0


# -- a reader -----------------------------------------------------------------------------------------------------


def test_who_has_all_is_not_behind() -> None:
    """However long ago it said so."""
    made, now_ms, offset = steady(10)
    assert made.behind_ms(offset, 0, now_ms, offset) == 0
    assert made.behind_ms(offset + 5, 0, now_ms, offset) == 0


def test_between_two_acknowledgements_nobody_falls_behind() -> None:
    """It had all when it spoke last; that more was written since is no lag before the next one is overdue."""
    made, now_ms, offset = steady(10)
    acknowledged, heard_ms = offset - 500, now_ms - 1_000
    assert made.behind_ms(acknowledged, heard_ms, now_ms, offset) <= 2
    assert made.behind_ms(acknowledged, heard_ms, now_ms + ACK_OVERDUE_MS, offset) > 2_000


def test_who_speaks_and_is_behind_is_so_by_the_age_of_what_it_had_not() -> None:
    """It acknowledges what was written three seconds before."""
    made, now_ms, offset = steady(10)
    assert abs(made.behind_ms(offset - 3 * 500, now_ms, now_ms, offset) - 3_000) <= 2


def test_who_is_silent_falls_behind_with_the_clock() -> None:
    """A millisecond each millisecond."""
    made, now_ms, offset = steady(10)
    heard_ms = now_ms - 5_000
    first = made.behind_ms(offset - 5 * 500, heard_ms, now_ms, offset)
    assert abs(first - 5_000) <= 2
    assert made.behind_ms(offset - 5 * 500, heard_ms, now_ms + 1_234, offset) == first + 1_234


# -- our primary --------------------------------------------------------------------------------------------------


def test_while_the_link_is_up_we_are_behind_by_what_is_unapplied_and_by_the_silence_at_most() -> None:
    """What was written longer ago than the last bytes came is here."""
    link = Link("10.0.0.1", 6379, LinkState.CONNECTED, last_io_ms=1_000)
    shown = behind_primary(link, 37, 1_250)
    assert (shown.least_bytes, shown.most_ms) == (37, 250)


def test_while_the_link_is_down_our_data_ages() -> None:
    """From when the stream broke off; a link that never flowed says nothing."""
    link = Link("10.0.0.1", 6379, LinkState.RECEIVE_PONG, last_io_ms=9_000, current_ms=1_000)
    shown = behind_primary(link, 0, 10_000)
    assert (shown.least_bytes, shown.most_ms) == (None, 9_000)
    link.current_ms = 0
    shown = behind_primary(link, 0, 10_000)
    assert (shown.least_bytes, shown.most_ms) == (None, None)
