"""MEMORY: what values and the server take, and whether something about it is amiss. Follows object.c of Redis 7.2.

Sizes are those of `keyspace.memory`: CPython's, which are larger than those of a C server for the same value.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.help import help_reply
from txrepl.commands.info import read_process
from txrepl.commands.memory_use import CLIENT_BYTES, MemoryUse
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.memory import DEADLINE_BYTES, ENTRY_BYTES, blob_bytes, size_of
from txrepl.resp.replies import OK, Reply, Verbatim

family = Family("server")
family.container("memory", since="4.0.0", summary="What memory is used for.")

DEFAULT_SAMPLES: Final = 5
_LITTLE_BYTES: Final = 5 * 1024 * 1024
_MUCH_FRAGMENTATION: Final = 1.4
_MUCH_WASTE_BYTES: Final = 10 * 1024 * 1024
_BIG_CLIENT_BYTES: Final = 200 * 1024
_MANY: Final = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")


@family.command(
    "memory usage",
    -3,
    "readonly",
    key_at(2, "RO"),
    since="4.0.0",
    summary="Estimates the bytes that a key and its value take.",
    complexity="O(N) where N is the number of samples.",
)
def usage(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY USAGE key [SAMPLES count]; 0 samples look at every element."""
    samples = DEFAULT_SAMPLES
    at = 3
    while at < len(argv):
        if argv[at].lower() != b"samples" or at + 1 == len(argv):
            raise CommandError(SYNTAX)
        samples = integer(argv[at + 1])
        if samples < 0:
            raise CommandError(SYNTAX)
        at += 2
    db, key = s.db, argv[2]
    if not db.exists(key):
        return None
    size = size_of(db.data[key], samples) + blob_bytes(len(key)) + ENTRY_BYTES
    return size + ENTRY_BYTES * (key in db.used) + DEADLINE_BYTES * (key in db.expires)


@family.command("memory stats", 2, "", since="4.0.0", summary="Details what memory is used for.", tips=_MANY)
def stats(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY STATS."""
    use, resident = s.server.memory_use(), read_process().resident
    fields: dict[Reply, Reply] = {
        b"peak.allocated": use.peak,
        b"total.allocated": use.total,
        b"startup.allocated": 0,
        b"replication.backlog": use.backlog - use.not_counted,
        b"clients.slaves": use.replicas,
        b"clients.normal": use.clients,
        b"cluster.links": 0,
        b"aof.buffer": 0,
        b"lua.caches": use.scripts,
        b"functions.caches": use.functions,
    }
    for db in use.databases:
        fields[b"db.%d" % db.number] = {
            b"overhead.hashtable.main": db.tables,
            b"overhead.hashtable.expires": db.deadlines,
            b"overhead.hashtable.slot-to-keys": 0,
        }
    fields |= {
        b"overhead.total": use.overhead,
        b"keys.count": use.keys,
        b"keys.bytes-per-key": use.total // use.keys if use.keys else 0,
        b"dataset.bytes": use.data,
        b"dataset.percentage": use.data_percentage,
        b"peak.percentage": use.peak_percentage,
        b"allocator.allocated": use.total,
        b"allocator.active": resident,
        b"allocator.resident": resident,
        b"allocator-fragmentation.ratio": use.fragmentation(resident),
        b"allocator-fragmentation.bytes": use.fragmentation_bytes(resident),
        b"allocator-rss.ratio": 1.0,
        b"allocator-rss.bytes": 0,
        b"rss-overhead.ratio": 1.0,
        b"rss-overhead.bytes": 0,
        b"fragmentation": use.fragmentation(resident),
        b"fragmentation.bytes": use.fragmentation_bytes(resident),
    }
    return fields


def diagnosis(use: MemoryUse, resident: int, clients: int) -> str:
    """What is amiss with the use of memory, in words (`getMemoryDoctorReport`).

    Parameters:
        resident: bytes of the process.
        clients: how many connections there are, those of replicas left out.
    """
    if use.total < _LITTLE_BYTES:
        return (
            "Hi Sam, this instance is empty or is using very little memory, my issues detector can't be used in these "
            "conditions. Please, leave for your mission on Earth and fill it with some data. The new Sam and I will be "
            "back to our programming as soon as I finished rebooting.\n"
        )
    found = []
    if use.peak > 1.5 * use.total:
        found.append(
            "Peak memory: more than half as much again as now was used before. CPython keeps freed memory for new "
            "data, so the process stays as large as it was; a restart makes it smaller."
        )
    wasted = use.fragmentation_bytes(resident)
    if use.fragmentation(resident) > _MUCH_FRAGMENTATION and wasted > _MUCH_WASTE_BYTES:
        found.append(
            f"High fragmentation: the process takes {wasted // 2**20} MB that hold no data. They are used for new data "
            "first; MEMORY PURGE gives back what can be given back."
        )
    if clients and (use.clients - clients * CLIENT_BYTES) / clients > _BIG_CLIENT_BYTES:
        found.append(
            "Big client buffers: connections hold more than 200 kB each on average, of requests that are not complete "
            "or of replies that nobody reads. CLIENT LIST shows whose (qbuf, omem); maxmemory-clients bounds them."
        )
    if not found:
        return (
            "Hi Sam, I can't find any memory issue in your instance. I can only account for what occurs on this base.\n"
        )
    lines = "".join(f" * {text}\n\n" for text in found)
    return f"Sam, I detected a few issues in this instance's memory:\n\n{lines}I'm here to keep you safe, Sam.\n"


@family.command("memory doctor", 2, "", since="4.0.0", summary="Says what is amiss with the use of memory.", tips=_MANY)
def doctor(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY DOCTOR."""
    use = s.server.memory_use()
    clients = len(s.server.sessions) - use.replicas // CLIENT_BYTES
    return Verbatim(diagnosis(use, read_process().resident, clients).encode())


@family.command("memory malloc-stats", 2, "", since="4.0.0", summary="Tells what the allocator tells.", tips=_MANY)
def malloc_stats(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY MALLOC-STATS: what CPython knows of itself."""
    generations = ", ".join(map(str, gc.get_count()))
    text = (
        f"allocator: CPython {sys.version.split()[0]}, pymalloc for objects up to 512 bytes\n"
        f"allocated blocks: {sys.getallocatedblocks()}\n"
        f"containers not watched by the cycle collector: {gc.get_freeze_count()}\n"
        f"cycle collector, new containers by generation: {generations}\n"
        f"resident bytes: {read_process().resident}\n"
    )
    return Verbatim(text.encode())


@family.command(
    "memory purge",
    2,
    "",
    since="4.0.0",
    summary="Gives unused memory back to the operating system.",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
)
def purge(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY PURGE: glibc's `malloc_trim`, where there is one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return OK


@family.command("memory help", 2, "loading stale", since="4.0.0", summary="Describes the subcommands.")
def memory_help(s: Session, argv: list[bytes]) -> Reply:
    """MEMORY HELP."""
    return help_reply(
        "MEMORY",
        ("DOCTOR", "What is amiss with the use of memory."),
        ("MALLOC-STATS", "What CPython's allocator tells."),
        ("PURGE", "Give unused memory back to the operating system."),
        ("STATS", "What memory is used for."),
        ("USAGE <key> [SAMPLES <count>]", "Bytes of a key and its value; 0 samples look at every element."),
    )
