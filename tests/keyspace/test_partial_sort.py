"""Partial sorting: the right keys in the right order, whatever the input; which of equal items, live servers tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txrepl.keyspace.partial_sort import _quicksorted, smallest

FEW = st.lists(st.integers(0, 4).map(float), min_size=2, max_size=120)
MANY = st.lists(st.floats(allow_nan=False), min_size=2, max_size=120)


@given(FEW | MANY, st.data())
def test_the_smallest_keys_come_sorted_and_every_item_once(keys: list[float], data: st.DataObject) -> None:
    """With many equal keys and with few."""
    count = data.draw(st.integers(1, len(keys) - 1))
    chosen = smallest(keys, list(range(len(keys))), count)
    assert [keys[i] for i in chosen] == sorted(keys)[:count]
    assert len(set(chosen)) == count


@given(FEW | MANY, st.data())
def test_the_quicksort_is_a_permutation_whose_beginning_is_sorted(keys: list[float], data: st.DataObject) -> None:
    """The steps that Redis repeats, on their own."""
    count = data.draw(st.integers(1, len(keys)))
    order = _quicksorted(keys, count)
    assert sorted(order) == list(range(len(keys)))
    assert [keys[i] for i in order[:count]] == sorted(keys)[:count]


@pytest.mark.parametrize("keys", [[1.0] * 3000, [float(i % 2) for i in range(3000)], [float(-i) for i in range(3000)]])
def test_long_inputs_need_no_deep_recursion(keys: list[float]) -> None:
    """All equal, two values, falling."""
    assert sorted(_quicksorted(keys, 10)) == list(range(3000))
