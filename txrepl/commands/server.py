"""The dataset as a whole: emptying it, swapping databases, saving it, ending the server."""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Blocked, Session
from txrepl.commands.table import Family
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Database
from txrepl.resp.replies import NO_REPLY, OK, Reply

family = Family("server")

_ALL_SHARDS: Final = ("request_policy:all_shards", "response_policy:all_succeeded")
_INT_MAX: Final = 2**31 - 1


@family.command(
    "dbsize",
    1,
    "readonly fast",
    since="1.0.0",
    summary="Counts the keys of the selected database.",
    categories="keyspace",
    tips=("request_policy:all_shards", "response_policy:agg_sum"),
)
def dbsize(s: Session, argv: list[bytes]) -> Reply:
    """DBSIZE."""
    return len(s.db.data)


# -- emptying and swapping --------------------------------------------------------------------------------------


def _check_flush_options(argv: list[bytes]) -> None:
    """SYNC and ASYNC are the same here: dropping a database is one step (`getFlushCommandFlags`)."""
    if len(argv) > 2 or (len(argv) == 2 and argv[1].lower() not in (b"sync", b"async")):
        raise CommandError(SYNTAX)


def _empty(db: Database) -> None:
    """Drop a database's keys; their watchers see them change (`signalFlushedDb`)."""
    for key in list(db.watched):
        if key in db.data:
            db.wake(key)
    db.keyspace.dirty += db.clear()


@family.command(
    "flushdb",
    -1,
    "write",
    since="1.0.0",
    summary="Deletes every key of the selected database.",
    complexity="O(N) where N is the number of keys in the selected database",
    categories="keyspace dangerous",
    tips=_ALL_SHARDS,
)
def flushdb(s: Session, argv: list[bytes]) -> Reply:
    """FLUSHDB [ASYNC | SYNC]."""
    _check_flush_options(argv)
    _empty(s.db)
    s.keyspace.emptied()
    s.propagate(*argv)  # even when there was nothing: a replica may hold more than we do
    return OK


@family.command(
    "flushall",
    -1,
    "write",
    since="1.0.0",
    summary="Deletes every key of every database.",
    complexity="O(N) where N is the total number of keys in all databases",
    categories="keyspace dangerous",
    tips=_ALL_SHARDS,
)
def flushall(s: Session, argv: list[bytes]) -> Reply:
    """FLUSHALL [ASYNC | SYNC]."""
    _check_flush_options(argv)
    for db in s.keyspace.databases:
        _empty(db)
    s.keyspace.emptied()
    s.propagate(*argv)
    s.server.flushed_all()
    return OK


@family.command(
    "swapdb",
    3,
    "write fast",
    since="4.0.0",
    summary="Exchanges the contents of two databases.",
    complexity="O(N) where N is the count of clients watching or blocking on keys from both databases.",
    categories="keyspace dangerous",
)
def swapdb(s: Session, argv: list[bytes]) -> Reply:
    """SWAPDB index1 index2."""
    first = _index(argv[1], "ERR invalid first DB index")
    second = _index(argv[2], "ERR invalid second DB index")
    databases = s.keyspace.databases
    if not (0 <= first < len(databases) and 0 <= second < len(databases)):
        raise CommandError("ERR DB index is out of range")
    pair = (databases[first], databases[second])
    if first != second:
        for db in pair:
            for key in list(db.watched):
                if key in pair[0].data or key in pair[1].data:
                    db.wake(key)
        s.keyspace.swap(first, second)
        for db in pair:
            for key in db.waiting:
                if key in db.data or key in db.guarded:
                    db.signal_ready(key)
    s.keyspace.dirty += 1
    return OK


def _index(text: bytes, error: str) -> int:
    index = integer(text, error)
    if not -_INT_MAX - 1 <= index <= _INT_MAX:
        raise CommandError(error)
    return index


# -- time and saving --------------------------------------------------------------------------------------------


@family.command(
    "time",
    1,
    "loading stale fast",
    since="2.6.0",
    summary="Gives the server's time.",
    tips=("nondeterministic_output",),
)
def time(s: Session, argv: list[bytes]) -> Reply:
    """TIME: unix seconds, and microseconds (to the millisecond)."""
    seconds, ms = divmod(s.keyspace.now_ms, 1000)
    return [b"%d" % seconds, b"%d" % (ms * 1000)]


@family.command(
    "lastsave",
    1,
    "loading stale fast",
    since="1.0.0",
    summary="Gives the time of the last successful save.",
    categories="admin dangerous",
    tips=("nondeterministic_output",),
)
def lastsave(s: Session, argv: list[bytes]) -> Reply:
    """LASTSAVE: unix seconds."""
    return s.server.saver.last_save_ms // 1000


@family.command(
    "save",
    1,
    "admin noscript no_async_loading no_multi",
    since="1.0.0",
    summary="Saves the dataset while everybody waits.",
    complexity="O(N) where N is the total number of keys in all databases",
)
def save(s: Session, argv: list[bytes]) -> Reply:
    """SAVE."""
    s.server.save()
    return OK


@family.command(
    "bgsave",
    -1,
    "admin noscript no_async_loading",
    since="1.0.0",
    summary="Saves the dataset in a child process.",
)
def bgsave(s: Session, argv: list[bytes]) -> Reply:
    """BGSAVE [SCHEDULE]."""
    schedule = len(argv) == 2 and argv[1].lower() == b"schedule"
    if len(argv) > 1 and not schedule:
        raise CommandError(SYNTAX)
    return s.server.background_save(schedule=schedule)


@family.command(
    "bgrewriteaof",
    1,
    "admin noscript no_async_loading",
    since="1.0.0",
    summary="Would rewrite the append-only file; there is none here.",
)
def bgrewriteaof(s: Session, argv: list[bytes]) -> Reply:
    """BGREWRITEAOF: an error, where Redis would write a file that nobody here could load."""
    raise CommandError("ERR txrepl writes no append-only file, so that there is none to rewrite. Use BGSAVE")


@family.command(
    "shutdown",
    -1,
    "admin noscript loading stale no_multi allow_busy",
    since="1.0.0",
    summary="Ends the server, saving the dataset first where that is configured or asked for.",
    complexity="O(N) when saving, where N is the total number of keys in all databases when saving data, "
    "otherwise O(1)",
)
def shutdown(s: Session, argv: list[bytes]) -> Reply:
    """SHUTDOWN [NOSAVE | SAVE] [NOW] [FORCE] [ABORT]."""
    words = {word.lower() for word in argv[1:]}
    if not words <= {b"nosave", b"save", b"now", b"force", b"abort"}:
        raise CommandError(SYNTAX)
    if {b"nosave", b"save"} <= words or (b"abort" in words and len(words) > 1):
        raise CommandError(SYNTAX)
    if b"abort" in words:
        if not s.server.shutdown.abort():
            raise CommandError("ERR No shutdown in progress.")
        return OK
    wants_save = True if b"save" in words else False if b"nosave" in words else None
    busy = s.server.scripting.busy_refusal()
    if busy is not None:
        if wants_save is not False:
            raise busy
        words.add(b"now")
    waits = s.server.shut_down(save=wants_save, now=b"now" in words, force=b"force" in words)
    return Blocked([], 0, kind="shutdown") if waits else NO_REPLY
