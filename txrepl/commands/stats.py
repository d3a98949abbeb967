"""Counters that INFO shows and CONFIG RESETSTAT clears, and the progress of a load."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

RATE_SAMPLES: Final = 16


@dataclass(slots=True)
class Rate:
    """Events per second over the last samples (`trackInstantaneousMetric`)."""

    last_total: int = 0
    last_ms: int = 0
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=RATE_SAMPLES))

    def sample(self, total: int, now_ms: int) -> None:
        """Note the counter's value at a moment."""
        if self.last_ms and now_ms > self.last_ms:
            self.samples.append((total - self.last_total) * 1000 / (now_ms - self.last_ms))
        self.last_total = total
        self.last_ms = now_ms

    @property
    def per_second(self) -> float:
        """The mean of the samples."""
        return sum(self.samples) / len(self.samples) if self.samples else 0.0


@dataclass(slots=True)
class Stats:
    """Counters since the start or the last CONFIG RESETSTAT."""

    connections: int = 0
    rejected_connections: int = 0
    commands: int = 0
    reads: int = 0
    writes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0
    replica_output_bytes: int = 0
    primary_input_bytes: int = 0
    error_replies: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    unexpected_errors: int = 0
    forks: int = 0
    last_fork_us: int = 0
    output_limit_disconnections: int = 0
    query_limit_disconnections: int = 0
    denials: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("auth", "command", "key", "channel"), 0))
    expire_cycle_us: int = 0
    evicted_keys: int = 0
    evicted_clients: int = 0
    eviction_exceeded_ms: int = 0
    commands_rate: Rate = field(default_factory=Rate)
    input_rate: Rate = field(default_factory=Rate)
    output_rate: Rate = field(default_factory=Rate)
    primary_input_rate: Rate = field(default_factory=Rate)
    replica_output_rate: Rate = field(default_factory=Rate)

    def sample(self, now_ms: int) -> None:
        """Feed the rates; called several times a second."""
        self.commands_rate.sample(self.commands, now_ms)
        self.input_rate.sample(self.input_bytes, now_ms)
        self.output_rate.sample(self.output_bytes, now_ms)
        self.primary_input_rate.sample(self.primary_input_bytes, now_ms)
        self.replica_output_rate.sample(self.replica_output_bytes, now_ms)

    def reset(self) -> None:
        """Begin to count anew (CONFIG RESETSTAT)."""
        fresh = Stats()
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def count_denial(self, kind: str) -> None:
        """Something was denied to a user: `auth`, `command`, `key` or `channel`."""
        self.denials[kind] += 1

    def count_error(self, code: str) -> None:
        """An error was sent; kinds are bounded as in Redis, so that no client can fill memory with new ones."""
        self.error_replies += 1
        if code in self.errors or len(self.errors) < 128:
            self.errors[code] = self.errors.get(code, 0) + 1


@dataclass(slots=True)
class Loading:
    """A load in progress: from the file at start, or from the primary.

    Attributes:
        total_bytes: 0 while unknown.
        served: the old data is served meanwhile (`async_loading`).
    """

    started_ms: int
    total_bytes: int = 0
    read_bytes: int = 0
    served: bool = False
