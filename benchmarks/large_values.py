"""What commands cost on values of a million members, next to values of a thousand; and what holds the server up.

    python benchmarks/large_values.py             a million members, about two minutes and 2 GB
    python benchmarks/large_values.py 100000      so many

Costs are CPU time of the handlers through the dispatcher, medians of interleaved rounds. Behind them stand the longest
single call and the longest beat of the collector, and what dropping the values takes, whole and in slices.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import thread_time_ns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.large_values import DROPS, SMALL, WHOLE, Bench, collecting, costs

NOTABLE = 3.0


def longest(bench: Bench, when: str) -> str:
    """What held the server up longest."""
    took_ms, what = bench.worst_ms
    beat_ms = bench.longest_beat_ms
    return f"{when}: longest call {took_ms:.2f} ms ({what}), longest beat of the collector {beat_ms:.2f} ms"


def main() -> int:
    """Measure and print; returns the exit code."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with collecting() as beat:
        small, large = Bench(SMALL, beat), Bench(size, beat)
        print(longest(large, "while filling"))
        large.forget()
        print(f"{'command':<26}{SMALL:>9,}{size:>12,}  ratio   us a call")
        for cost in costs(small, large):
            mark = "  <--" if cost.ratio > NOTABLE else ""
            print(
                f"{cost.case.name:<26}{cost.small_us:>9.2f}{cost.large_us:>12.2f}  {cost.ratio:5.2f}{mark}", flush=True
            )
        print(longest(large, "since then"))
        for words in WHOLE:
            print(f"{' '.join(map(str, words)):<36}{large.run(*words) / 1e6:8.2f} ms")
        for words in DROPS:
            started = thread_time_ns()
            dropped_ms = large.run(*words) / 1e6
            slice_ms = large.free()
            whole_ms = (thread_time_ns() - started) / 1e6
            what = " ".join(map(str, words))
            print(f"{what:<26}{dropped_ms:8.2f} ms, longest slice {slice_ms:.2f}, in all {whole_ms:.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
