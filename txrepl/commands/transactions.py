"""Transactions: commands queue until EXEC, which runs them in a row.

What they did goes into the stream as one unit when EXEC ends (`execCommand`); a command refused while queueing
aborts the whole, a watched key that changed makes EXEC answer null.
"""

from __future__ import annotations

from txrepl.commands.session import IN_MULTI, MULTI_FAILED, WATCH_BROKEN, Session
from txrepl.commands.table import Family, keys_from
from txrepl.errors import CommandError
from txrepl.resp.replies import NULL_ARRAY, OK, Reply

family = Family("transactions")


def discard_transaction(s: Session) -> None:
    """Forget the queue and the watches."""
    s.queue = []
    s.queued_bytes = 0
    s.flags &= ~(IN_MULTI | MULTI_FAILED)
    s.unwatch()


@family.command(
    "multi",
    1,
    "noscript loading stale fast allow_busy",
    since="1.2.0",
    summary="Starts a transaction.",
)
def multi(s: Session, argv: list[bytes]) -> Reply:
    """MULTI."""
    if s.flags & IN_MULTI:
        raise CommandError("ERR MULTI calls can not be nested")
    s.flags |= IN_MULTI
    return OK


@family.command(
    "exec",
    1,
    "noscript loading stale skip_slowlog",
    since="1.2.0",
    summary="Runs the commands of a transaction.",
    complexity="Depends on commands in the transaction",
)
def exec_(s: Session, argv: list[bytes]) -> Reply:
    """EXEC."""
    if not s.flags & IN_MULTI:
        raise CommandError("ERR EXEC without MULTI")
    flags = s.flags
    if not flags & MULTI_FAILED and not flags & WATCH_BROKEN:
        for (number, key), had_expired in s.watched.items():
            if not had_expired and s.keyspace.databases[number].is_due(key):
                flags |= WATCH_BROKEN
    queue = s.queue
    discard_transaction(s)
    if flags & MULTI_FAILED:
        raise CommandError("EXECABORT Transaction discarded because of previous errors.")
    if flags & WATCH_BROKEN:
        return NULL_ARRAY
    replies = [s.server.call(s, queued) for queued in queue]
    s.keyspace.now_ms = s.server.now()  # it stood still meanwhile
    s.keyspace.verbatim = False
    return replies


@family.command(
    "discard",
    1,
    "noscript loading stale fast allow_busy",
    since="2.0.0",
    summary="Drops the commands of a transaction.",
    complexity="O(N), when N is the number of queued commands",
)
def discard(s: Session, argv: list[bytes]) -> Reply:
    """DISCARD."""
    if not s.flags & IN_MULTI:
        raise CommandError("ERR DISCARD without MULTI")
    discard_transaction(s)
    return OK


@family.command(
    "watch",
    -2,
    "noscript loading stale fast allow_busy",
    keys_from(1, "RO"),
    since="2.2.0",
    summary="Makes the next EXEC depend on keys staying unchanged.",
    complexity="O(1) for every key.",
)
def watch(s: Session, argv: list[bytes]) -> Reply:
    """WATCH key …"""
    if s.flags & IN_MULTI:
        raise CommandError("ERR WATCH inside MULTI is not allowed")
    if not s.flags & WATCH_BROKEN:
        for key in argv[1:]:
            s.watch(key)
    return OK


@family.command(
    "unwatch",
    1,
    "noscript loading stale fast allow_busy",
    since="2.2.0",
    summary="Forgets the keys watched.",
)
def unwatch(s: Session, argv: list[bytes]) -> Reply:
    """UNWATCH."""
    s.unwatch()
    return OK
