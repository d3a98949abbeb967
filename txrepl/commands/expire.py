"""Deadlines of keys: giving, taking, reading them.

Every way to give a deadline reaches the replicas as PEXPIREAT, and on a primary a deadline that has passed
is a deletion. Follows expire.c of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.expire_options import is_past
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import CommandError
from txrepl.keyspace.database import UNLINK_OR_DEL, Event
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN
from txrepl.resp.replies import Reply

family = Family("generic")

_CONDITIONS: Final = frozenset((b"nx", b"xx", b"gt", b"lt"))


def conditions(words: list[bytes]) -> set[bytes]:
    """NX, XX, GT and LT of an EXPIRE (`parseExtendedExpireArgumentsOrReply`).

    Raises:
        CommandError: another word, or two that exclude each other.
    """
    found: set[bytes] = set()
    for word in words:
        option = word.lower()
        if option not in _CONDITIONS:
            raise CommandError(b"ERR Unsupported option " + word.partition(b"\0")[0])
        found.add(option)
    if b"nx" in found and len(found) > 1:
        raise CommandError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"gt" in found and b"lt" in found:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return found


def refused(conditions: set[bytes], current_ms: int | None, when_ms: int) -> bool:
    """Whether a condition forbids the deadline; no deadline counts as one at infinity."""
    if current_ms is None:
        return b"xx" in conditions or b"gt" in conditions
    return (
        b"nx" in conditions
        or (b"gt" in conditions and when_ms <= current_ms)
        or (b"lt" in conditions and when_ms >= current_ms)
    )


def _expire(s: Session, argv: list[bytes], unit_ms: int, *, relative: bool) -> Reply:
    """All four of the EXPIRE family (`expireGenericCommand`)."""
    given = conditions(argv[3:]) if len(argv) > 3 else None
    when_ms = integer(argv[2]) * unit_ms
    base_ms = s.keyspace.now_ms if relative else 0
    if not INT64_MIN <= when_ms <= INT64_MAX - base_ms:
        raise CommandError(f"ERR invalid expire time in '{argv[0].decode('latin-1').lower()}' command")
    when_ms += base_ms
    db, key = s.db, argv[1]
    if db.write(key) is None or (given and refused(given, db.expires.get(key), when_ms)):
        return 0
    if is_past(s.keyspace, when_ms):
        db.remove(key)
        s.propagate(UNLINK_OR_DEL[s.keyspace.lazy_expire], key)
        db.changed(key, Event.GENERIC, b"del")
        return 1
    db.set_expire(key, when_ms)
    if relative or unit_ms != 1:
        s.propagate(b"PEXPIREAT", key, b"%d" % when_ms, *argv[3:])
    db.changed(key, Event.GENERIC, b"expire")
    return 1


@family.command(
    "expire",
    -3,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="1.0.0",
    summary="Lets a key expire after some seconds.",
    categories="keyspace",
)
def expire(s: Session, argv: list[bytes]) -> Reply:
    """EXPIRE key seconds [NX | XX | GT | LT]."""
    return _expire(s, argv, 1000, relative=True)


@family.command(
    "pexpire",
    -3,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="2.6.0",
    summary="Lets a key expire after some milliseconds.",
    categories="keyspace",
)
def pexpire(s: Session, argv: list[bytes]) -> Reply:
    """PEXPIRE key milliseconds [NX | XX | GT | LT]."""
    return _expire(s, argv, 1, relative=True)


@family.command(
    "expireat",
    -3,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="1.2.0",
    summary="Lets a key expire at a unix time in seconds.",
    categories="keyspace",
)
def expireat(s: Session, argv: list[bytes]) -> Reply:
    """EXPIREAT key unix-time-seconds [NX | XX | GT | LT]."""
    return _expire(s, argv, 1000, relative=False)


@family.command(
    "pexpireat",
    -3,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="2.6.0",
    summary="Lets a key expire at a unix time in milliseconds.",
    categories="keyspace",
)
def pexpireat(s: Session, argv: list[bytes]) -> Reply:
    """PEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT]."""
    return _expire(s, argv, 1, relative=False)


@family.command(
    "persist",
    2,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="2.2.0",
    summary="Takes the deadline of a key away.",
    categories="keyspace",
)
def persist(s: Session, argv: list[bytes]) -> Reply:
    """PERSIST key."""
    db, key = s.db, argv[1]
    if db.write(key) is None or not db.persist(key):
        return 0
    db.changed(key, Event.GENERIC, b"persist")
    return 1


# -- reading ----------------------------------------------------------------------------------------------------

_NO_KEY: Final = -2
_NO_DEADLINE: Final = -1


def _deadline(s: Session, key: bytes) -> int:
    """The key's deadline in unix ms, or -1 or -2 as TTL tells them."""
    db = s.db
    if db.peek(key) is None:
        return _NO_KEY
    return db.expires.get(key, _NO_DEADLINE)


def _left_ms(s: Session, key: bytes) -> int:
    deadline = _deadline(s, key)
    return deadline if deadline in (_NO_KEY, _NO_DEADLINE) else max(deadline - s.keyspace.now_ms, 0)


def _seconds(value_ms: int) -> int:
    """Rounded to the nearest second; -1 and -2 stay."""
    return value_ms if value_ms < 0 else (value_ms + 500) // 1000


@family.command(
    "ttl",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Tells in how many seconds a key expires.",
    categories="keyspace",
    tips=("nondeterministic_output",),
)
def ttl(s: Session, argv: list[bytes]) -> Reply:
    """TTL key."""
    return _seconds(_left_ms(s, argv[1]))


@family.command(
    "pttl",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.6.0",
    summary="Tells in how many milliseconds a key expires.",
    categories="keyspace",
    tips=("nondeterministic_output",),
)
def pttl(s: Session, argv: list[bytes]) -> Reply:
    """PTTL key."""
    return _left_ms(s, argv[1])


@family.command(
    "expiretime",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.0.0",
    summary="Tells at which unix time in seconds a key expires.",
    categories="keyspace",
)
def expiretime(s: Session, argv: list[bytes]) -> Reply:
    """EXPIRETIME key."""
    return _seconds(_deadline(s, argv[1]))


@family.command(
    "pexpiretime",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.0.0",
    summary="Tells at which unix time in milliseconds a key expires.",
    categories="keyspace",
)
def pexpiretime(s: Session, argv: list[bytes]) -> Reply:
    """PEXPIRETIME key."""
    return _deadline(s, argv[1])
