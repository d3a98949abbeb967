"""The backlog against a model that keeps everything."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from txrepl.replication.backlog import BLOCK_BYTES, Backlog

EVERYTHING = random.Random(1).randbytes(4 * 1024 * 1024)
BEGIN = 1001
LARGEST_BYTES = 3 * BLOCK_BYTES
SIZES = st.sampled_from([1, 1000, BLOCK_BYTES - 1, BLOCK_BYTES, 5 * BLOCK_BYTES, 10**6])


def model(offset: int, limit: int, end: int) -> bytes:
    """The bytes of the stream from an offset on."""
    return EVERYTHING[offset - BEGIN : min(offset + limit, end) - BEGIN]


class BacklogAgainstModel(RuleBasedStateMachine):
    """Appends, reads, pins and resizes in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog(5 * BLOCK_BYTES, BEGIN)
        self.end = BEGIN
        self.kept_from = BEGIN  # what must still be there, by size and pins
        self.pins: dict[int, int] = {}

    def settle(self) -> None:
        """Work out what may be gone now, and see that not much more than that is kept."""
        may_go = min([self.end - self.backlog.size, *self.pins.values()])
        self.kept_from = max(self.kept_from, may_go)
        slack = BLOCK_BYTES + LARGEST_BYTES
        assert self.backlog.first_offset >= min(may_go, self.end) - slack

    @precondition(lambda self: self.end - BEGIN < len(EVERYTHING) - LARGEST_BYTES)
    @rule(count=st.one_of(st.integers(0, 50), st.integers(0, LARGEST_BYTES)))
    def append(self, count: int) -> None:
        """The stream grows."""
        self.backlog.append(EVERYTHING[self.end - BEGIN : self.end - BEGIN + count])
        self.end += count
        self.settle()

    @rule(size=SIZES)
    def resize(self, size: int) -> None:
        """CONFIG SET repl-backlog-size."""
        self.backlog.resize(size)
        self.settle()

    @rule(reader=st.integers(1, 3), part=st.floats(0, 1))
    def pin(self, reader: int, part: float) -> None:
        """A reader attaches, or moves on."""
        first = max(self.backlog.first_offset, self.pins.get(reader, 0))
        offset = first + int((self.end - first) * part)
        self.backlog.pin(reader, offset)
        self.pins[reader] = offset
        self.kept_from = min(self.kept_from, offset)

    @rule(reader=st.integers(1, 3))
    def unpin(self, reader: int) -> None:
        """A reader leaves, if it was there at all."""
        self.backlog.unpin(reader)
        self.pins.pop(reader, None)
        self.settle()

    @rule(part=st.floats(0, 1), limit=st.one_of(st.integers(0, 100), st.integers(0, 10 * BLOCK_BYTES)))
    def read(self, part: float, limit: int) -> None:
        """A read from any covered offset gives the stream's bytes, as many as asked for or as there are."""
        offset = self.backlog.first_offset + int(self.backlog.length * part)
        assert self.backlog.read(offset, limit) == model(offset, limit, self.end)

    @invariant()
    def holds_what_it_says(self) -> None:
        """`first_byte_offset = end - histlen`; nothing that is needed is gone."""
        backlog = self.backlog
        assert backlog.end_offset == self.end
        assert backlog.first_offset == backlog.end_offset - backlog.length
        assert backlog.first_offset <= self.kept_from
        assert backlog.memory_bytes() >= backlog.length
        assert backlog.read(backlog.first_offset, backlog.length + 1) == model(
            backlog.first_offset, backlog.length, self.end
        )

    @invariant()
    def covers_its_bytes_and_the_next(self) -> None:
        """A reader may stand at the end; before the first byte and beyond the end none may."""
        backlog = self.backlog
        assert backlog.covers(backlog.first_offset) and backlog.covers(self.end)
        for outside in (backlog.first_offset - 1, self.end + 1):
            assert not backlog.covers(outside)
            with pytest.raises(ValueError, match="outside of"):
                backlog.read(outside, 1)
        assert backlog.read(self.end, 10) == b""


TestBacklogAgainstModel = BacklogAgainstModel.TestCase
TestBacklogAgainstModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def filled(count: int, size: int) -> Backlog:
    """A backlog after so many appends of 1000 bytes."""
    backlog = Backlog(size, 1)
    for _ in range(count):
        backlog.append(b"x" * 1000)
    return backlog


def test_a_backlog_keeps_its_size_and_less_than_a_block_more() -> None:
    """Small writes for a long time."""
    backlog = filled(1000, 100_000)
    assert 100_000 <= backlog.length < 100_000 + BLOCK_BYTES + 1000


@pytest.mark.parametrize("offset", [1, 2, BLOCK_BYTES, BLOCK_BYTES + 1, 40_000, 99_999])
@pytest.mark.parametrize("limit", [1, BLOCK_BYTES, 3 * BLOCK_BYTES, 50_000, 200_000])
def test_a_read_goes_on_over_as_many_blocks_as_it_needs(offset: int, limit: int) -> None:
    """And ends where it was told to, or with the stream."""
    backlog = Backlog(10**6, 1)
    stream = EVERYTHING[:100_000]
    for start in range(0, len(stream), 3000):
        backlog.append(stream[start : start + 3000])
    assert backlog.read(offset, limit) == stream[offset - 1 : offset - 1 + limit]


def test_a_pin_keeps_bytes_until_it_moves_or_goes() -> None:
    """Whatever the size."""
    backlog = filled(1, 1000)
    backlog.pin(7, 500)
    for _ in range(200):
        backlog.append(b"y" * 1000)
    assert backlog.first_offset <= 500
    assert backlog.read(500, 502) == b"x" * 501 + b"y"
    backlog.pin(7, 150_000)
    backlog.append(b"z")
    assert 500 < backlog.first_offset <= 150_000
    backlog.unpin(7)
    assert backlog.first_offset > 150_000


def test_a_smaller_size_lets_go_at_once_and_a_larger_one_brings_nothing_back() -> None:
    """CONFIG SET repl-backlog-size."""
    backlog = filled(500, 400_000)
    backlog.resize(50_000)
    first = backlog.first_offset
    assert 50_000 <= backlog.length < 50_000 + BLOCK_BYTES + 1000
    backlog.resize(400_000)
    assert backlog.first_offset == first
