"""The first items of a sorted order, with Redis's own choice among items that sort alike.

Redis sorts no more than what it will answer, by a quicksort that is not stable (`pqsort`). Which of several equal
items comes first then depends on its exact steps; replicas repeat them, so they are repeated here, though only where
equal items make a difference.
"""

from __future__ import annotations

from typing import Final, TypeVar

T = TypeVar("T")

_INSERTION_BELOW: Final = 7
_NINTHER_ABOVE: Final = 40


def smallest(keys: list[float], items: list[T], count: int) -> list[T]:
    """The `count` items with the least keys, sorted as Redis does.

    Parameters:
        keys: of the items, in the same order; none is NaN.
        items: what to choose from.
        count: how many; at least 1, and fewer than there are.
    """
    order = sorted(range(len(keys)), key=keys.__getitem__)
    if any(keys[order[i]] == keys[order[i + 1]] for i in range(count)):
        order = _quicksorted(keys, count)
    return [items[i] for i in order[:count]]


def _quicksorted(keys: list[float], count: int) -> list[int]:
    """Positions of the keys, the first `count` of them sorted (`_pqsort` with the range 0..count-1)."""
    order = list(range(len(keys)))
    pending = [(0, len(keys))]
    while pending:
        start, size = pending.pop()
        if size < _INSERTION_BELOW:
            _insert(keys, order, start, size)
            continue
        below, above = _partition(keys, order, start, size)
        if below > 1 and start < count:
            pending.append((start, below))
        if above > 1 and start + size - above < count:
            pending.append((start + size - above, above))
    return order


def _insert(keys: list[float], order: list[int], start: int, size: int) -> None:
    for end in range(start + 1, start + size):
        at = end
        while at > start and keys[order[at - 1]] > keys[order[at]]:
            order[at - 1], order[at] = order[at], order[at - 1]
            at -= 1


def _partition(keys: list[float], order: list[int], start: int, size: int) -> tuple[int, int]:
    """Split a range at one of its keys, whose equals end in the middle; how many are below and above it."""
    pivot = _pivot(keys, order, start, size)
    order[start], order[pivot] = order[pivot], order[start]
    key = keys[order[start]]
    equal_low = low = start + 1
    equal_high = high = start + size - 1
    while True:
        while low <= high and keys[order[low]] <= key:
            if keys[order[low]] == key:
                order[equal_low], order[low] = order[low], order[equal_low]
                equal_low += 1
            low += 1
        while low <= high and keys[order[high]] >= key:
            if keys[order[high]] == key:
                order[high], order[equal_high] = order[equal_high], order[high]
                equal_high -= 1
            high -= 1
        if low > high:
            break
        order[low], order[high] = order[high], order[low]
        low += 1
        high -= 1
    end = start + size
    below, above = low - equal_low, equal_high - high
    _exchange(order, start, low, min(equal_low - start, below))
    _exchange(order, low, end, min(above, end - equal_high - 1))
    return below, above


def _exchange(order: list[int], start: int, end: int, count: int) -> None:
    """Exchange the first and the last `count` of a range."""
    if count:
        order[start : start + count], order[end - count : end] = order[end - count : end], order[start : start + count]


def _pivot(keys: list[float], order: list[int], start: int, size: int) -> int:
    middle = start + size // 2
    if size == _INSERTION_BELOW:
        return middle
    first, last = start, start + size - 1
    if size > _NINTHER_ABOVE:
        apart = size // 8
        first = _median(keys, order, first, first + apart, first + 2 * apart)
        middle = _median(keys, order, middle - apart, middle, middle + apart)
        last = _median(keys, order, last - 2 * apart, last - apart, last)
    return _median(keys, order, first, middle, last)


def _median(keys: list[float], order: list[int], first: int, second: int, third: int) -> int:
    """The place with the key in the middle, chosen among equals as `med3` does."""
    a, b, c = keys[order[first]], keys[order[second]], keys[order[third]]
    if a < b:
        if b < c:
            return second
        return third if a < c else first
    if b > c:
        return second
    return first if a < c else third
