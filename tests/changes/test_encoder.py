"""The encoder of many readers' events: whatever is fed in whatever pieces, each lane gets what it would get alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import cut
from txrepl.changes import Checkpoint, Decoder, Selection, Sieve
from txrepl.changes.encoder import (
    Encoder,
    Fed,
    Format,
    Frames,
    Renamed,
    close_lane,
    feed_lanes,
    frame,
    join_lanes,
    open_lane,
    read_answer,
    rename_history,
    written,
)
from txrepl.errors import TxreplError
from txrepl.resp.requests import encode_command

REPLID = "d" * 40
BEGIN = Checkpoint(REPLID, 0)
SELECTIONS = [
    Selection(),
    Selection(match=b"a*"),
    Selection(databases=frozenset({1}), match=b"\xff*"),
    Selection(commands=frozenset({b"DEL", b"FLUSHALL"})),
]

words = st.sampled_from([b"a", b"ab", b"b", b"\xff\x00", b'"\n'])
plain = st.one_of(
    st.tuples(st.just(b"SET"), words, words),
    st.tuples(st.just(b"DEL"), words, words),
    st.tuples(st.just(b"SELECT"), st.sampled_from([b"0", b"1"])),
    st.tuples(st.just(b"PING")),
    st.tuples(st.just(b"FLUSHALL")),
)
transactions = st.lists(plain, max_size=3).map(lambda inner: [(b"MULTI",), *inner, (b"EXEC",)])
streams = st.lists(st.one_of(plain.map(lambda one: [one]), transactions), max_size=8).map(
    lambda groups: [(b"SELECT", b"0"), *(command for group in groups for command in group)]
)


def ask(encoder: Encoder, message: bytes) -> Fed | Renamed | None:
    answer = encoder.take(memoryview(message))
    return None if answer is None else read_answer(memoryview(answer))


def alone(data: bytes, start: Checkpoint, selection: Selection, format: Format) -> bytes:
    """What one reader gets of the stream, fed in one piece."""
    sieve = Sieve(selection, in_transaction=start.transaction is not None)
    return written(sieve.take(Decoder(start).feed(data)), format)


@given(streams, st.lists(st.integers(0, 500), max_size=6), st.sampled_from(list(Format)))
def test_lanes_that_are_fed_together_get_what_each_would_get_alone(
    commands: list[tuple[bytes, ...]], cuts: list[int], format: Format
) -> None:
    """In any pieces; and the place that each is told after any piece goes on exactly."""
    data = b"".join(encode_command(command) for command in commands)
    encoder = Encoder()
    for number, selection in enumerate(SELECTIONS):
        ask(encoder, open_lane(number, BEGIN, selection, format))
        if number:
            ask(encoder, join_lanes(number, 0))
    got = dict.fromkeys(range(len(SELECTIONS)), b"")
    for piece in cut(data, sorted({at for at in cuts if 0 < at < len(data)})):
        answer = ask(encoder, feed_lanes(list(got), piece))
        assert isinstance(answer, Fed) and answer.error is None
        for number, selection in enumerate(SELECTIONS):
            place, text = answer.told.get(number, (answer.place, b""))
            got[number] += text
            rest = alone(data[place.offset :], place, selection, format)
            assert got[number] + rest == alone(data, BEGIN, selection, format)
    assert got == {number: alone(data, BEGIN, selection, format) for number, selection in enumerate(SELECTIONS)}


def test_a_lane_that_comes_later_is_joined_where_it_has_caught_up() -> None:
    """From then on the same pieces go to both."""
    first, second, third = (encode_command((b"SET", b"a", value)) for value in (b"1", b"2", b"3"))
    start = Checkpoint(REPLID, 0, 0)
    encoder = Encoder()
    ask(encoder, open_lane(1, start, Selection(), Format.NDJSON))
    ask(encoder, feed_lanes([1], first + second[:5]))
    ask(encoder, open_lane(2, Checkpoint(REPLID, len(first), 0), Selection(), Format.SSE))
    ask(encoder, feed_lanes([2], second[:5]))
    ask(encoder, join_lanes(2, 1))
    answer = ask(encoder, feed_lanes([1, 2], second[5:] + third))
    assert isinstance(answer, Fed)
    assert {number: text.count(b'"SET"') for number, (_, text) in answer.told.items()} == {1: 2, 2: 2}
    assert answer.place == Checkpoint(REPLID, len(first + second + third), 0)


def test_lanes_that_are_not_joined_cannot_be_fed_together() -> None:
    """Nor can one that is closed be fed: a fault of the node's, told as one."""
    encoder = Encoder()
    for number in (1, 2):
        ask(encoder, open_lane(number, BEGIN, Selection(), Format.SSE))
    with pytest.raises(TxreplError, match="not joined"):
        ask(encoder, feed_lanes([1, 2], b""))
    ask(encoder, close_lane(2))
    with pytest.raises(TxreplError, match="KeyError"):
        ask(encoder, feed_lanes([2], b""))


def test_a_new_name_of_the_history_counts_for_what_is_fed_after_it() -> None:
    """And it is answered in its turn."""
    encoder = Encoder()
    ask(encoder, open_lane(7, Checkpoint(REPLID, 0, 0), Selection(), Format.NDJSON))
    assert ask(encoder, rename_history("e" * 40)) == Renamed("e" * 40)
    answer = ask(encoder, feed_lanes([7], encode_command((b"SET", b"a", b"1"))))
    assert isinstance(answer, Fed) and answer.place.replid == "e" * 40


def test_what_cannot_be_decoded_is_said_with_the_good_events_before_it() -> None:
    """The place is the end of the last good command."""
    good = encode_command((b"SET", b"a", b"1"))
    encoder = Encoder()
    ask(encoder, open_lane(1, Checkpoint(REPLID, 0, 0), Selection(), Format.NDJSON))
    answer = ask(encoder, feed_lanes([1], good + b"*1\r\n:5\r\n"))
    assert isinstance(answer, Fed) and answer.error is not None and "Protocol error" in answer.error
    assert answer.place.offset == len(good) and answer.told[1][1].count(b"\n") == 1


@pytest.mark.parametrize("message", [b"", b"F", b"X{}\n", b"O{}\n", b"O[]\n", b"J\n", b"C9\n", b'F"x"\nabc', b"\xff\n"])
def test_what_is_no_message_is_refused(message: bytes) -> None:
    """With what it was."""
    with pytest.raises(TxreplError, match="not a message"):
        Encoder().take(memoryview(message))


@pytest.mark.parametrize("message", [b"", b"x[]\n", b"f{}", b"\xff\n"])
def test_what_is_no_answer_is_refused(message: bytes) -> None:
    """A process that is not ours, say."""
    with pytest.raises(TxreplError, match="not an encoder's answer"):
        read_answer(memoryview(message))


@given(st.lists(st.binary(max_size=20), max_size=5), st.lists(st.integers(0, 120), max_size=8))
def test_messages_come_off_a_pipe_as_they_went_in(messages: list[bytes], cuts: list[int]) -> None:
    """In any split of the bytes."""
    data = b"".join(map(frame, messages))
    frames = Frames()
    places = [0, *sorted({at for at in cuts if 0 < at < len(data)}), len(data)]
    assert [bytes(one) for a, b in pairwise(places) for one in frames.feed(data[a:b])] == messages
