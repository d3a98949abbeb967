"""HyperLogLogs as strings: hashes, both encodings, the estimator, and strings that are corrupt."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txrepl.errors import CommandError
from txrepl.keyspace.hyperloglog import (
    CORRUPT,
    EMPTY,
    NOT_A_HYPERLOGLOG,
    REGISTERS,
    HyperLogLog,
    estimate,
    greatest,
    murmur_hash,
    pack,
    place,
)
from txrepl.keyspace.numbers import INT64_MIN

LIMIT = 3000
HEADER = EMPTY[:16]


def filled(elements: int, *, dense: bool = False) -> HyperLogLog:
    """A HyperLogLog that counted so many elements."""
    sketch = HyperLogLog()
    if dense:
        sketch.make_dense()
    for number in range(elements):
        sketch.add(b"element:%d" % number, LIMIT)
    return sketch


def test_the_hash_is_murmurhash64a_with_its_published_values() -> None:
    """Lengths with and without a rest of less than 8 bytes, with the seed 0 of the published values and Redis's."""
    assert murmur_hash(b"", 0) == 0
    assert murmur_hash(b"hello, world", 0) == 0x9659AD0699A8465F
    assert place(b"") != place(b"\0") != place(b"\0\0")


def test_the_first_element_makes_the_bytes_that_redis_makes() -> None:
    """What Redis 7.0 holds after `PFADD key a b c` (taken from one)."""
    sketch = HyperLogLog()
    for element in (b"a", b"b", b"c"):
        assert sketch.add(element, LIMIT)
    assert bytes(sketch.data) == b"HYLL\x01" + bytes(10) + b"\x80" + b"`\xf3\x80P\xb1\x84K\xfb\x80BZ"


@pytest.mark.parametrize("seed", range(5))
def test_packed_registers_are_six_bits_each_from_the_lowest_up(seed: int) -> None:
    """Against the definition, bit by bit, and back."""
    registers = bytes(random.Random(seed).choices(range(64), k=REGISTERS))
    whole = 0
    for value in reversed(registers):
        whole = whole << 6 | value
    packed = pack(registers)
    assert packed == whole.to_bytes(len(packed), "little")
    dense = HyperLogLog(HEADER[:4] + b"\0" + HEADER[5:] + packed)
    assert dense.registers() == registers


@pytest.mark.parametrize("seed", range(5))
def test_the_greatest_of_two_registers_is_taken_for_each(seed: int) -> None:
    """Against `max`."""
    rng = random.Random(seed)
    first, second = (bytes(rng.choices(range(64), k=REGISTERS)) for _ in range(2))
    assert greatest(first, second) == bytes(map(max, first, second))


@given(st.lists(st.tuples(st.integers(0, REGISTERS - 1), st.integers(1, 32)), max_size=200))
@settings(max_examples=50, deadline=None)
def test_sparse_and_dense_hold_the_same_whatever_is_set_in_which_order(steps: list[tuple[int, int]]) -> None:
    """Both say alike whether a register was lower, and a string built in one go equals one reopened at every step."""
    near = [(index % 300, value) for index, value in steps]
    for sequence in (steps, near):
        sparse, reopened, dense = HyperLogLog(), HyperLogLog(), HyperLogLog()
        dense.make_dense()
        for index, value in sequence:
            reopened = HyperLogLog(bytes(reopened.data))
            changed = dense.set(index, value, LIMIT)
            assert sparse.set(index, value, LIMIT) == reopened.set(index, value, LIMIT) == changed
        assert sparse.registers() == dense.registers()
        assert sparse.data == reopened.data


def test_raising_all_registers_gives_the_bytes_of_raising_one_by_one() -> None:
    """PFMERGE's loop finds its place in one go, and that makes no difference; nor does becoming dense on the way."""
    for elements in (0, 1, 10, 200, 1000, 1660, 3000):
        registers = filled(elements, dense=True).registers()
        whole, single = filled(30), filled(30)
        registers = greatest(registers, whole.registers())
        whole.raise_all(registers, LIMIT)
        for index, value in enumerate(registers):
            if value:
                single = HyperLogLog(bytes(single.data))
                single.set(index, value, LIMIT)
        assert whole.data == single.data, elements


def test_a_sparse_string_becomes_dense_where_it_would_pass_the_limit_or_cannot_hold_a_value() -> None:
    """The limit is of the whole string; 33 is the first value that a VAL cannot hold. The header is kept."""
    sketch = HyperLogLog()
    assert sketch.set(5, 32, LIMIT) and not sketch.is_dense
    sketch.keep(77)
    assert sketch.set(5, 33, LIMIT) and sketch.is_dense
    assert sketch.cardinality == 77
    small = HyperLogLog()
    assert small.set(100, 1, len(EMPTY) + 3) and not small.is_dense
    assert small.set(200, 1, len(EMPTY) + 3) and small.is_dense
    assert small.registers()[100] == small.registers()[200] == 1


@pytest.mark.parametrize("count", [0, 1, 10, 100, 1000, 20_000])
def test_the_estimate_is_near_the_truth_and_the_same_in_both_encodings(count: int) -> None:
    """Within three standard errors of 0.81%."""
    sketch, dense = filled(count), filled(count, dense=True)
    assert estimate(sketch.registers()) == estimate(dense.registers())
    assert abs(estimate(dense.registers()) - count) <= max(1, 0.0243 * count)


def test_registers_that_no_hash_can_fill_have_an_estimate() -> None:
    """All beyond 51: Redis divides by zero, and so answers the least integer."""
    assert estimate(bytes([63]) * REGISTERS) == INT64_MIN
    assert estimate(bytes(REGISTERS)) == 0


@pytest.mark.parametrize(
    "value",
    [b"", b"HYLL", EMPTY[:15], b"HYLX" + EMPTY[4:], HEADER[:4] + b"\x02" + EMPTY[5:], HEADER[:4] + b"\0" + EMPTY[5:]],
    ids=["empty", "magic", "short", "other magic", "encoding", "dense of another size"],
)
def test_a_string_that_is_none_is_refused(value: bytes) -> None:
    """Too short, another magic, an encoding that does not exist, dense but not of the one size."""
    with pytest.raises(CommandError, match=NOT_A_HYPERLOGLOG):
        HyperLogLog(value)


@given(st.binary(max_size=60), st.integers(0, REGISTERS - 1), st.integers(1, 51))
@settings(max_examples=300, deadline=None)
def test_corrupt_opcodes_end_every_operation_with_an_answer_or_redis_s_error(
    opcodes: bytes, index: int, value: int
) -> None:
    """Never another exception, and what was set is set."""
    for operation in ("set", "registers", "make_dense", "decode"):
        sketch = HyperLogLog(HEADER + opcodes)
        try:
            if operation == "set":
                sketch.set(index, value, LIMIT)
            else:
                getattr(sketch, operation)()
        except CommandError as error:
            assert error.message.decode() == CORRUPT


def test_a_huge_corrupt_string_is_refused_at_once() -> None:
    """Millions of opcodes that cover far too many registers: nobody walks or builds them all."""
    sketch = HyperLogLog(HEADER + b"\x7f\xff" * 4_000_000)
    started = time.monotonic()
    for operation in (sketch.registers, sketch.make_dense, sketch.decode):
        with pytest.raises(CommandError, match=CORRUPT):
            operation()
    assert time.monotonic() - started < 1


def test_adding_to_a_dense_one_does_not_read_it_all() -> None:
    """One element in less than 100 microseconds, opening and closing the string included; the best of many."""
    value = bytes(filled(20_000).data)
    best = 1.0
    for number in range(200):
        started = time.perf_counter()
        sketch = HyperLogLog(value)
        sketch.add(b"new:%d" % number, LIMIT)
        bytes(sketch.data)
        best = min(best, time.perf_counter() - started)
    assert best < 100e-6
