"""How long a command takes: counts of durations, each in a bucket that is at most 1/128 wider than its lowest value.

That is the layout of HdrHistogram with two significant digits, which Redis uses: durations below 256 ns have a bucket
each, from there on every power of two is divided into 128. A histogram is a list of counts, empty until its first
duration; what is longer than a second counts as a second.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
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

_LAST_EDGE_NS: Final = (1 << 30) - 1
_STEP: Final = 1 << _DIGIT_BITS - 1


def count(histogram: list[int], duration_ns: int) -> None:
    """Count a duration in ns, of any length; the histogram grows to hold it."""
    number = bucket(min(duration_ns, LONGEST_NS))
    if number >= len(histogram):
        histogram.extend([0] * ((number // _STEP + 1) * _STEP - len(histogram)))
    histogram[number] += 1


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


def percentiles_ns(histogram: list[int], percents: Sequence[float]) -> list[int]:
    """What so many per cent of the durations do not exceed (`hdr_value_at_percentile`), for each; 0 without any."""
    sums = list(accumulate(histogram))
    found: list[int] = []
    for percent in percents:
        number = bisect_left(sums, max(1, int(percent / 100 * sums[-1] + 0.5))) if sums else 0
        found.append(0 if number == len(sums) else longest_ns(number) if percent else lowest_ns(number))
    return found


def doubling(histogram: list[int]) -> Iterator[tuple[int, int]]:
    """How many durations are at most 1, 2, 4, 8 … µs long: (µs, all up to there), where it grows (`hdr_iter_log`)."""
    edge_ns, start, seen = 1024, 0, 0
    while start < len(histogram):
        end = bucket(edge_ns) + 1
        more = sum(histogram[start:end])
        if more:
            seen += more
            yield min(longest_ns(end - 1), _LAST_EDGE_NS) // 1000, seen  # the bucket of the edge itself is counted, too
        edge_ns, start = edge_ns * 2, end
