"""What is noted while commands run: the slow ones, the spikes of latency, and who watches every command.

The dispatcher notes commands; whoever does other work that keeps clients waiting notes it as an event of its own.
Everything here is bounded: the slow log by its directive and the trimming of arguments, an event by its 160 samples.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

ARGUMENTS_MAX: Final = 32
"""Words of a command that the slow log keeps."""
ARGUMENT_BYTES_MAX: Final = 128
"""Bytes of each that it keeps."""
SAMPLES: Final = 160
"""Samples that an event of latency keeps, at most one a second."""
DISABLED: Final = 1 << 62
"""A threshold in ns that no command reaches."""


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """An entry of the slow log.

    Attributes:
        number: counts the entries since the start.
        at_s: when it ended, unix s.
        duration_us: how long it took, in µs.
        words: the command, trimmed.
        address, name: of the client.
    """

    number: int
    at_s: int
    duration_us: int
    words: tuple[bytes, ...]
    address: str
    name: bytes


def trimmed(argv: list[bytes]) -> tuple[bytes, ...]:
    """Words as the slow log keeps them (`slowlogCreateEntry`)."""
    kept = argv if len(argv) <= ARGUMENTS_MAX else argv[: ARGUMENTS_MAX - 1]
    words = [
        word
        if len(word) <= ARGUMENT_BYTES_MAX
        else b"%b... (%d more bytes)" % (word[:ARGUMENT_BYTES_MAX], len(word) - ARGUMENT_BYTES_MAX)
        for word in kept
    ]
    if len(argv) > len(kept):
        words.append(b"... (%d more arguments)" % (len(argv) - len(kept)))
    return tuple(words)


class SlowLog:
    """The last commands that took long.

    Attributes:
        slower_than_us: commands from this duration on are noted, in µs; negative: none.
        length_max: how many entries are kept; 0: none is noted.
        entries: the newest first.
        last_number: of the newest entry that there was, -1 before the first.
        last_duration_us: how long the last one took; 0 before the first.
    """

    __slots__ = ("entries", "last_duration_us", "last_number", "length_max", "slower_than_us")

    def __init__(self) -> None:
        self.slower_than_us: int = 10_000
        self.length_max: int = 128
        self.entries: deque[SlowCommand] = deque()
        self.last_number: int = -1
        self.last_duration_us: int = 0

    @property
    def threshold_ns(self) -> int:
        """The duration in ns from which on a command is noted."""
        return self.slower_than_us * 1000 if self.slower_than_us >= 0 and self.length_max else DISABLED

    def note(self, argv: list[bytes], duration_ns: int, now_ms: int, address: str, name: bytes) -> None:
        """A command was slow; secrets in its words are hidden already."""
        self.last_number += 1
        self.last_duration_us = duration_ns // 1000
        entry = SlowCommand(self.last_number, now_ms // 1000, self.last_duration_us, trimmed(argv), address, name)
        self.entries.appendleft(entry)
        while len(self.entries) > self.length_max:
            self.entries.pop()


@dataclass(slots=True)
class Event:
    """The spikes of one kind.

    Attributes:
        samples: (unix s, ms): the longest spike of a second.
        longest_ms: the longest of all since the reset.
    """

    samples: deque[tuple[int, int]]
    longest_ms: int = 0

    def note(self, duration_ms: int, now_s: int) -> None:
        """It happened again (`latencyAddSample`)."""
        self.longest_ms = max(self.longest_ms, duration_ms)
        if self.samples and self.samples[-1][0] == now_s:
            duration_ms = max(duration_ms, self.samples.pop()[1])
        self.samples.append((now_s, duration_ms))


class Latency:
    """The latency monitor: what kept clients waiting for at least `threshold_ms`.

    Attributes:
        threshold_ms: 0: nothing is noted.
        events: by name, in the order in which they were first seen.
    """

    __slots__ = ("events", "threshold_ms")

    def __init__(self) -> None:
        self.threshold_ms: int = 0
        self.events: dict[str, Event] = {}

    @property
    def threshold_ns(self) -> int:
        """The duration in ns from which on a command is noted."""
        return self.threshold_ms * 1_000_000 or DISABLED

    def note(self, event: str, duration_ms: float, now_ms: int) -> None:
        """Something took so long; it is kept if that is long enough (`latencyAddSampleIfNeeded`).

        Parameters:
            event: its kind, as `fork`.
            now_ms: unix time.
        """
        if self.threshold_ms and duration_ms >= self.threshold_ms:
            known = self.events.get(event)
            if known is None:
                known = self.events[event] = Event(deque(maxlen=SAMPLES))
            known.note(int(duration_ms), now_ms // 1000)

    def reset(self, names: list[str]) -> int:
        """Forget events of these names in any case, or all if there are none; returns how many."""
        wanted = {name.lower() for name in names}
        doomed = [name for name in self.events if not names or name.lower() in wanted]
        for name in doomed:
            del self.events[name]
        return len(doomed)


class Observations:
    """All of it.

    Attributes:
        slow_log, latency: what was noted.
        counts_durations: every command has a histogram of its durations (`latency-tracking`).
        percentiles: those that INFO shows of them.
    """

    __slots__ = ("counts_durations", "latency", "percentiles", "slow_log")

    def __init__(self) -> None:
        self.slow_log = SlowLog()
        self.latency = Latency()
        self.counts_durations: bool = True
        self.percentiles: tuple[float, ...] = (50.0, 99.0, 99.9)

    @property
    def threshold_ns(self) -> int:
        """The duration in ns from which on a command interests anybody here."""
        return min(self.slow_log.threshold_ns, self.latency.threshold_ns)
