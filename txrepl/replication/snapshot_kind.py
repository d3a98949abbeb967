"""What a replica's snapshot has to be: which RDB it reads, and which part of the dataset it wants.

Replicas share a snapshot only if they want the same kind. What one reads is told by what it says of itself: Valkey
sends `REPLCONF version`, Redis 8 the capability `rdb-channel-repl`, everybody else nothing, so that the oldest that
is supported has to be assumed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Reads(Enum):
    """The newest RDB that a replica is known to read."""

    PORTABLE = "portable"
    """Version 9, or 10 where there are functions: Redis 5.0 or 7.0 and later."""
    VERSION_11 = "version 11"
    """With all of a stream's counters: Redis 7.2, Valkey 7.2 and 8, if they say so."""
    REDIS_8 = "redis 8"
    """Version 12, which knows deadlines of hash fields."""
    VALKEY_9 = "valkey 9"
    """Valkey's version 80, which knows them too."""


@dataclass(frozen=True, slots=True)
class SnapshotKind:
    """One kind of snapshot.

    Attributes:
        reads: who will read it.
        data, functions: what it includes (`REPLCONF rdb-filter-only`).
    """

    reads: Reads = Reads.PORTABLE
    data: bool = True
    functions: bool = True

    @property
    def is_filtered(self) -> bool:
        """It is a part of the dataset, so that it goes to sockets alone."""
        return not (self.data and self.functions)


def parse_version(text: str) -> tuple[int, int, int] | None:
    """The numbers of a `major.minor.patch`, None if it is none (`REPLCONF version` in Valkey)."""
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", text)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))


def what_it_reads(version: tuple[int, int, int] | None, has_rdb_channel: bool) -> Reads:
    """What a replica reads, by what it says of itself.

    Parameters:
        version: by `REPLCONF version`, None if it did not say.
        has_rdb_channel: it said `REPLCONF capa rdb-channel-repl`.
    """
    if version is not None and version >= (9, 0, 0):
        return Reads.VALKEY_9
    if version is not None and version >= (7, 2, 0):
        return Reads.VERSION_11
    return Reads.REDIS_8 if has_rdb_channel else Reads.PORTABLE
