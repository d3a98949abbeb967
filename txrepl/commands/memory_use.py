"""What `used_memory` is made of; INFO, MEMORY STATS and the limit all go by this.

`used_memory` is what the data and the connections take: keys and values, the tables that they stand in, deadlines,
the replication backlog, the sources of scripts and functions, and connections with their buffers. The interpreter and
the code are not in it, nor is what CPython's allocator keeps for later; `used_memory_rss` has all of that. So a
`maxmemory` of 100 MB means 100 MB of data, as it does in Redis, and the process is some 60 MB larger than that.

With `maxmemory` set, keys and values are counted exactly as `keyspace.memory` tells; without it they are estimated
from a sample when somebody asks, and counted for datasets of up to 2048 keys. Against the limit counts `used_memory`
without what replicas keep of the backlog beyond `repl-backlog-size` (`freeMemoryGetNotCountedMemory`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from txrepl.keyspace.database import Keyspace
from txrepl.replication.feed import Feed

CLIENT_BYTES: Final = 6 * 1024
"""A connection without what is in its buffers: session, protocol, parser, socket."""


@dataclass(frozen=True, slots=True)
class DatabaseUse:
    """Bytes of the tables of a database that has keys."""

    number: int
    tables: int
    deadlines: int


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Sizes in bytes.

    Attributes:
        keys: how many there are.
        data: of keys and values.
        databases: tables.
        backlog: what the replication backlog takes.
        not_counted: of it, what does not count against `maxmemory`.
        clients, replicas: connections of the two kinds, with their buffers.
        scripts, functions: cached scripts, and function libraries.
        base: what the process took before it had data, interpreter and code.
        peak: the highest total seen.
    """

    keys: int
    data: int
    databases: tuple[DatabaseUse, ...]
    backlog: int
    not_counted: int
    clients: int
    replicas: int
    scripts: int
    functions: int
    base: int = 0
    peak: int = 0

    @property
    def overhead(self) -> int:
        """What is not the dataset."""
        tables = sum(db.tables + db.deadlines for db in self.databases)
        return tables + self.backlog + self.clients + self.replicas + self.scripts + self.functions

    @property
    def total(self) -> int:
        """`used_memory`."""
        return self.data + self.overhead

    @property
    def data_percentage(self) -> float:
        """The share of keys and values."""
        return 100 * self.data / self.total if self.total else 0.0

    @property
    def peak_percentage(self) -> float:
        """The share of the peak that is used now."""
        return 100 * self.total / self.peak if self.peak else 100.0

    def fragmentation_bytes(self, resident: int) -> int:
        """What of the resident memory is neither used nor there from the start."""
        return resident - self.base - self.total

    def fragmentation(self, resident: int) -> float:
        """How much resident memory there is for each used byte, without what is there from the start."""
        return (resident - self.base) / self.total if self.total else 1.0


def backlog_bytes(feed: Feed) -> int:
    """What the backlog takes."""
    return 0 if feed.backlog is None else feed.backlog.memory_bytes()


def not_counted_bytes(feed: Feed, backlog_size: int) -> int:
    """What replicas that are behind keep of it beyond its size; that is no reason to evict keys."""
    return max(0, backlog_bytes(feed) - backlog_size) if feed.listeners else 0


def data_and_tables_bytes(keyspace: Keyspace) -> int:
    """What all databases take."""
    total = 0
    for db in keyspace.databases:
        if db.data:
            total += db.data_bytes() + db.table_bytes() + db.deadline_bytes()
    return total
