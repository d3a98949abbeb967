"""Strings compared before they change: DELIFEQ (Valkey 9), DELEX and DIGEST (Redis 8.4), MSETEX (both).

What passed its condition goes into the stream without it, as commands that every server knows: DEL, SET, MSET.
"""

from __future__ import annotations

from typing import Final

from xxhash import xxh3_64_hexdigest

from txrepl.commands.arguments import integer_between
from txrepl.commands.expire_options import (
    IFDEQ,
    IFDNE,
    IFEQ,
    IFNE,
    KEEPTTL,
    MSETEX_OPTIONS,
    NX,
    XX,
    deadline_ms,
    string_options,
)
from txrepl.commands.session import Session
from txrepl.commands.table import Family, KeySpec, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import UNLINK_OR_DEL, Event
from txrepl.resp.replies import Reply

family = Family("string")


def string_digest(value: bytes) -> bytes:
    """What DIGEST answers: the string's XXH3 in 64 bits, as 16 hexadecimal digits."""
    return xxh3_64_hexdigest(value).encode()


def is_met(value: bytes | None, comparison: int, other: bytes) -> bool:
    """Whether a string is as a condition wants it; one that is absent differs from all.

    Parameters:
        comparison: the bits of the command's options, IFEQ, IFNE, IFDEQ or IFDNE among them.
        other: the string or digest that it is compared with.
    """
    if value is None:
        return bool(comparison & (IFNE | IFDNE))
    if comparison & (IFEQ | IFNE):
        return (value == other) == bool(comparison & IFEQ)
    return (string_digest(value) == other.lower()) == bool(comparison & IFDEQ)


@family.command(
    "digest",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="8.4.0",
    summary="Gives the XXH3 digest of a key's string.",
    complexity="O(N), N being the length of the string",
)
def digest(s: Session, argv: list[bytes]) -> Reply:
    """DIGEST key."""
    value = s.db.read_string(argv[1])
    return None if value is None else string_digest(value)


_CONDITIONS: Final = {b"ifeq": IFEQ, b"ifne": IFNE, b"ifdeq": IFDEQ, b"ifdne": IFDNE}


def _delete(s: Session, key: bytes) -> int:
    s.db.remove(key)
    s.propagate(UNLINK_OR_DEL[s.keyspace.lazy_user_del], key)
    s.db.changed(key, Event.GENERIC, b"del")
    return 1


@family.command(
    "delex",
    -2,
    "write fast",
    KeySpec("RW DELETE VARIABLE_FLAGS", 1),
    since="8.4.0",
    summary="Deletes a key if its string, or the digest of that, is the one given or another.",
    complexity="O(1), O(N) with a digest, N being the length of the string",
)
def delex(s: Session, argv: list[bytes]) -> Reply:
    """DELEX key [IFEQ value | IFNE value | IFDEQ digest | IFDNE digest]."""
    key = argv[1]
    value = s.db.write(key)
    if value is None:
        return 0
    if len(argv) == 2:
        return _delete(s, key)
    if len(argv) != 4:
        raise CommandError("ERR wrong number of arguments for 'delex' command")
    condition = _CONDITIONS.get(argv[2].lower())
    if condition is None:
        raise CommandError("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE")
    if not isinstance(value, bytes):
        raise CommandError("ERR Key should be of string type if conditions are specified")
    return _delete(s, key) if is_met(value, condition, argv[3]) else 0


@family.command(
    "delifeq",
    3,
    "write fast",
    key_at(1, "RM DELETE"),
    since="9.0.0",
    summary="Deletes a key if its string is the one given.",
)
def delifeq(s: Session, argv: list[bytes]) -> Reply:
    """DELIFEQ key value."""
    value = s.db.write_string(argv[1])
    return _delete(s, argv[1]) if value is not None and value == argv[2] else 0


@family.command(
    "msetex",
    -4,
    "write denyoom",
    KeySpec("OW UPDATE", 1, count_at=0, first=1, step=2),
    since="8.4.0",
    summary="Sets several keys to strings at once, with a condition and a deadline for all.",
    complexity="O(N), N being the number of keys",
    tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
)
def msetex(s: Session, argv: list[bytes]) -> Reply:
    """MSETEX numkeys key value [key value …] [NX | XX] [EX seconds | PX ms | EXAT seconds | PXAT ms | KEEPTTL]."""
    count = integer_between(argv[1], 1, 2**31 - 1, "ERR invalid numkeys value or out of range")
    end = 2 + 2 * count
    if len(argv) < end:
        raise CommandError(SYNTAX)
    bits, time, _ = string_options(argv, end, MSETEX_OPTIONS)
    when_ms = None if time is None else deadline_ms(time, bits, s.keyspace.now_ms, "msetex")
    db = s.db
    keys = argv[2:end:2]
    if bits & NX and any(db.write(key) is not None for key in keys):
        return 0
    if bits & XX and any(db.write(key) is None for key in keys):
        return 0
    for key, value in zip(keys, argv[3:end:2], strict=True):
        db.write(key)
        if not bits & KEEPTTL:
            db.persist(key)
        db.put(key, value)
        db.changed(key, Event.STRING, b"set")
        if when_ms is not None:
            db.set_expire(key, when_ms)
            db.notify(Event.GENERIC, b"expire", key)
            s.propagate(b"SET", key, value, b"PXAT", b"%d" % when_ms)
        elif bits & KEEPTTL:
            s.propagate(b"SET", key, value, b"KEEPTTL")
    if when_ms is None and not bits & KEEPTTL:
        s.propagate(b"MSET", *argv[2:end])
    return 1
