"""How long a command takes: counts of durations, each in a bucket that is at most 1/128 wider than its lowest value.

That is the layout of HdrHistogram with two significant digits, which Redis uses: durations below 256 ns have a bucket
each, from there on every power of two is divided into 128. A histogram is a list of counts, empty until its first
duration; what is longer than a second counts as a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

LONGEST_NS: Final = 1_000_000_000
_DIGIT_BITS: Final = 8
_SHORT_NS: Final = 1 << 16


def bucket(duration_ns: int) -> int:
    """The bucket of a duration."""
    shift = max(duration_ns.bit_length() - _DIGIT_BITS, 0)
    return (shift << _DIGIT_BITS - 1) + (duration_ns >> shift)


BUCKETS: Final = tuple(map(list(range(bucket(_SHORT_NS))).__getitem__, map(bucket, range(_SHORT_NS))))
"""The buckets of short durations, to be looked up where every nanosecond counts: equal numbers are one object, so that
the processor's caches hold them."""

_SIZE: Final = bucket((1 << 30) - 1) + 1


def count(histogram: list[int], duration_ns: int) -> None:
    """Count a duration in ns, of any length."""
    if not histogram:
        histogram.extend([0] * _SIZE)
    histogram[bucket(min(duration_ns, LONGEST_NS))] += 1


def uncount(histogram: list[int], duration_ns: int) -> None:
    """Take back a duration that was counted."""
    histogram[bucket(min(duration_ns, LONGEST_NS))] -= 1


def lowest_ns(number: int) -> int:
    """The shortest duration of a bucket."""
    shift = max((number >> _DIGIT_BITS - 1) - 1, 0)
    return number - (shift << _DIGIT_BITS - 1) << shift


def longest_ns(number: int) -> int:
    """The longest duration of a bucket."""
    return lowest_ns(number + 1) - 1


def percentile_ns(histogram: list[int], percent: float) -> int:
    """What so many per cent of the durations do not exceed (`hdr_value_at_percentile`); 0 without any."""
    wanted = max(1, int(percent / 100 * sum(histogram) + 0.5))
    seen = 0
    for number, times in enumerate(histogram):
        seen += times
        if seen >= wanted:
            return longest_ns(number) if percent else lowest_ns(number)
    return 0


def doubling(histogram: list[int]) -> Iterator[tuple[int, int]]:
    """How many durations are at most 1, 2, 4, 8 … µs long: (µs, all up to there), where it grows (`hdr_iter_log`)."""
    level_ns, seen, told, total = 1024, 0, 0, sum(histogram)
    for number, times in enumerate(histogram):
        if told == total:
            return
        seen += times
        if lowest_ns(number) >= level_ns:
            if seen > told:
                yield longest_ns(number) // 1000, seen
                told = seen
            level_ns *= 2
    if seen > told:
        yield longest_ns(len(histogram) - 1) // 1000, seen
