"""DUMP and RESTORE: one value as the bytes that an RDB would hold for it. Follows cluster.c of Redis 7.2.

A payload is written in the lowest version that loses nothing, so that older servers restore it too.
"""

from __future__ import annotations

from dataclasses import dataclass

from txrepl.commands.arguments import integer
from txrepl.commands.expire_options import is_past
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import SYNTAX, CommandError, RdbError
from txrepl.keyspace.database import Event
from txrepl.keyspace.encoding import mark_large
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.values import Value
from txrepl.rdb.dump import REFUSED, dump_version, restore
from txrepl.rdb.dump import dump as dump_payload
from txrepl.resp.replies import OK, Reply

family = Family("generic")


@family.command(
    "dump",
    2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.6.0",
    summary="Gives the value of a key as bytes that RESTORE takes.",
    complexity="O(N) for a value of N elements.",
    categories="keyspace",
    tips=("nondeterministic_output",),
)
def dump(s: Session, argv: list[bytes]) -> Reply:
    """DUMP key."""
    value = s.db.read(argv[1])
    return None if value is None else dump_payload(value, dump_version(value))


@dataclass(slots=True)
class _RestoreOptions:
    replace: bool = False
    absolute: bool = False
    idle_s: int | None = None
    frequency: int | None = None


def _options(argv: list[bytes]) -> _RestoreOptions:
    """RESTORE's options."""
    options = _RestoreOptions()
    i = 4
    while i < len(argv):
        word = argv[i].lower()
        if word == b"replace":
            options.replace = True
        elif word == b"absttl":
            options.absolute = True
        elif word == b"idletime" and i + 1 < len(argv) and options.frequency is None:
            i += 1
            options.idle_s = integer(argv[i])
            if options.idle_s < 0:
                raise CommandError("ERR Invalid IDLETIME value, must be >= 0")
        elif word == b"freq" and i + 1 < len(argv) and options.idle_s is None:
            i += 1
            options.frequency = integer(argv[i])
            if not 0 <= options.frequency <= 255:
                raise CommandError("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise CommandError(SYNTAX)
        i += 1
    return options


def _restored(payload: bytes) -> Value:
    try:
        return restore(payload)
    except RdbError as error:
        text = REFUSED if error.reason == REFUSED else "Bad data format"
        raise CommandError(f"ERR {text}") from None


@family.command(
    "restore",
    -4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    since="2.6.0",
    summary="Makes a key from the bytes that DUMP gave.",
    complexity="O(N) for a value of N elements.",
    categories="keyspace dangerous",
)
def restore_key(s: Session, argv: list[bytes]) -> Reply:
    """RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]."""
    options = _options(argv)
    db, key = s.db, argv[1]
    if not options.replace and db.write(key) is not None:
        raise CommandError("BUSYKEY Target key name already exists.")
    when_ms = integer(argv[2])
    if when_ms < 0:
        raise CommandError("ERR Invalid TTL value, must be >= 0")
    value = _restored(argv[3])
    deleted = options.replace and db.remove(key)
    if when_ms and not options.absolute:
        when_ms += s.keyspace.now_ms
        if when_ms > INT64_MAX:
            when_ms -= 1 << 64  # it overflows in Redis, and so is past
    if when_ms and is_past(s.keyspace, when_ms):
        if deleted:
            s.propagate(b"DEL", key)
            db.changed(key, Event.GENERIC, b"del")
        return OK
    mark_large(value, s.keyspace.limits)
    db.put(key, value)
    db.heed(key, value)
    db.set_use(key, options.idle_s, options.frequency)
    if when_ms:
        db.set_expire(key, when_ms)
        if not options.absolute:
            s.propagate(argv[0], key, b"%d" % when_ms, *argv[3:], b"ABSTTL")
    db.changed(key, Event.GENERIC, b"restore")
    return OK


family.command(
    "restore-asking",
    -4,
    "write denyoom asking",
    key_at(1, "OW UPDATE"),
    since="3.0.0",
    summary="RESTORE as a cluster's nodes send it to each other.",
    complexity="O(N) for a value of N elements.",
    categories="keyspace dangerous",
    group="server",
)(restore_key)
