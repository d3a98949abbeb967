"""Strings. A string is `bytes` in the database itself: whoever changes one puts a new one.

What is relative or depends on how a number is printed goes into the stream as its effect: a deadline as
PXAT or PEXPIREAT, INCRBYFLOAT as SET … KEEPTTL. Follows t_string.c of Redis 7.2.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.comparisons import is_met
from txrepl.commands.expire_options import (
    ABSOLUTE,
    EX,
    GET,
    GETEX_OPTIONS,
    KEEPTTL,
    NX,
    PERSIST,
    PX,
    PXAT,
    SET_OPTIONS,
    XX,
    Options,
    deadline_ms,
    is_past,
    string_options,
)
from txrepl.commands.session import Session
from txrepl.commands.table import Family, KeySpec, key_at, keys_from
from txrepl.errors import NOT_A_FLOAT, NOT_AN_INTEGER, CommandError
from txrepl.keyspace.database import UNLINK_OR_DEL, Database, Event
from txrepl.keyspace.longdouble import NotFiniteError, add_long_doubles
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN, parse_integer
from txrepl.keyspace.values import EMBEDDED_BYTES, EmbeddedString, changed_in_place
from txrepl.resp.replies import OK, Reply

family = Family("string")

MAX_STRING_BYTES: Final = 512 * 1024 * 1024
"""The default of proto-max-bulk-len: how long APPEND, SETRANGE and SETBIT may make a string."""
_TOO_LONG: Final = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
_OVERFLOW: Final = "ERR increment or decrement would overflow"


def check_length(offset: int, added: int) -> None:
    """Refuse a string that would become longer than `MAX_STRING_BYTES` (`checkStringLength`).

    Raises:
        CommandError: it would.
    """
    if offset + added > MAX_STRING_BYTES:
        raise CommandError(_TOO_LONG)


def overwrite(db: Database, key: bytes, value: bytes) -> None:
    """Set the key whatever it held and drop its deadline (`setKey`); a due key is deleted as an effect first."""
    if db.expires and key in db.expires:
        db.write(key)
        db.persist(key)
    keyspace = db.keyspace
    held = db.data.get(key)
    if held is not None:
        db.on_use[key] = keyspace.clock
    if held.__class__ is bytes and not db.guarded and not keyspace.attention:
        db.data[key] = value
    else:
        db.put(key, value)
    db.changed(key, Event.STRING, b"set")


# -- whole values -----------------------------------------------------------------------------------------------


@family.command(
    "get",
    2,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the string of a key.",
)
def get(s: Session, argv: list[bytes]) -> Reply:
    """GET key."""
    return s.db.read_string(argv[1])


def _set_key_flags(argv: list[bytes]) -> str:
    """What happens to the key of a SET: it is read only with GET (`setGetKeys`)."""
    return "RW ACCESS UPDATE" if any(word.lower() == b"get" for word in argv[3:]) else "OW UPDATE"


@family.command(
    "set",
    -3,
    "write denyoom",
    KeySpec(
        "RW ACCESS UPDATE VARIABLE_FLAGS",
        1,
        note="RW and ACCESS due to the optional `GET` argument",
        varies=_set_key_flags,
    ),
    since="1.0.0",
    summary="Sets a key to a string, whatever it held, with conditions and a deadline if wanted.",
)
def set_string(s: Session, argv: list[bytes]) -> Reply:
    """SET key value [condition] [GET] [EX seconds | PX ms | EXAT seconds | PXAT ms | KEEPTTL].

    The condition is NX, XX, IFEQ value (Valkey 8.1, Redis 8.4), or IFNE value, IFDEQ digest, IFDNE digest (Redis 8.4).
    """
    if len(argv) == 3:
        overwrite(s.db, argv[1], argv[2])
        return OK
    return _set(s, argv, argv[2], string_options(argv, 3, SET_OPTIONS))


def _set(s: Session, argv: list[bytes], value: bytes, options: Options) -> Reply:
    """The long form of SET, and SETEX and PSETEX (`setGenericCommand`)."""
    db, key = s.db, argv[1]
    bits, time, other = options
    command = argv[0].decode("latin-1").lower()
    when_ms = None if time is None else deadline_ms(time, bits, s.keyspace.now_ms, command)
    reply: Reply = OK
    if bits & GET:
        reply = db.read_string(key)
    found = db.write(key) is not None
    if (bits & NX and found) or (bits & XX and not found):
        return reply if bits & GET else None
    if other is not None and not is_met(db.write_string(key), bits, other):
        return reply if bits & GET else None
    if when_ms is None and not bits & KEEPTTL:
        db.persist(key)
    db.put(key, value)
    db.changed(key, Event.STRING, b"set")
    if when_ms is not None:
        db.set_expire(key, when_ms)
        if not bits & PXAT or len(argv) != 5:
            s.propagate(b"SET", key, value, b"PXAT", b"%d" % when_ms)
        db.notify(Event.GENERIC, b"expire", key)
    elif other is not None:
        s.propagate(b"SET", key, value, *((b"KEEPTTL",) if bits & KEEPTTL else ()))
    elif bits & GET:
        s.propagate(*(word for i, word in enumerate(argv) if i < 3 or word.lower() != b"get"))
    return reply


@family.command(
    "setex",
    4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    since="2.0.0",
    summary="Sets a key to a string that expires after some seconds.",
)
def setex(s: Session, argv: list[bytes]) -> Reply:
    """SETEX key seconds value."""
    return _set(s, argv, argv[3], Options(EX, argv[2], None))


@family.command(
    "psetex",
    4,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    since="2.6.0",
    summary="Sets a key to a string that expires after some milliseconds.",
)
def psetex(s: Session, argv: list[bytes]) -> Reply:
    """PSETEX key milliseconds value."""
    return _set(s, argv, argv[3], Options(PX, argv[2], None))


@family.command(
    "setnx",
    3,
    "write denyoom fast",
    key_at(1, "OW INSERT"),
    since="1.0.0",
    summary="Sets a key to a string if the key does not exist.",
)
def setnx(s: Session, argv: list[bytes]) -> Reply:
    """SETNX key value."""
    if s.db.write(argv[1]) is not None:
        return 0
    overwrite(s.db, argv[1], argv[2])
    return 1


@family.command(
    "getset",
    3,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Sets a key to a string and gives the one it held.",
)
def getset(s: Session, argv: list[bytes]) -> Reply:
    """GETSET key value."""
    old = s.db.read_string(argv[1])
    overwrite(s.db, argv[1], argv[2])
    s.propagate(b"SET", argv[1], argv[2])
    return old


@family.command(
    "getdel",
    2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="6.2.0",
    summary="Gives the string of a key and deletes the key.",
)
def getdel(s: Session, argv: list[bytes]) -> Reply:
    """GETDEL key."""
    db, key = s.db, argv[1]
    value = db.read_string(key)
    if value is not None and db.remove(key):
        s.propagate(UNLINK_OR_DEL[s.keyspace.lazy_user_del], key)
        db.changed(key, Event.GENERIC, b"del")
    return value


@family.command(
    "getex",
    -2,
    "write fast",
    KeySpec("RW ACCESS UPDATE", 1, note="RW and UPDATE because it changes the TTL"),
    since="6.2.0",
    summary="Gives the string of a key and sets or drops the key's deadline.",
)
def getex(s: Session, argv: list[bytes]) -> Reply:
    """GETEX key [EX seconds | PX ms | EXAT seconds | PXAT ms | PERSIST]."""
    bits, time, _ = string_options(argv, 2, GETEX_OPTIONS)
    db, key, keyspace = s.db, argv[1], s.keyspace
    value = db.read_string(key)
    if value is None:
        return None
    if time is not None:
        when_ms = deadline_ms(time, bits, keyspace.now_ms, "getex")
        if bits & ABSOLUTE and is_past(keyspace, when_ms):
            db.remove(key)
            s.propagate(UNLINK_OR_DEL[keyspace.lazy_expire], key)
            db.changed(key, Event.GENERIC, b"del")
        else:
            db.set_expire(key, when_ms)
            s.propagate(b"PEXPIREAT", key, b"%d" % when_ms)
            db.changed(key, Event.GENERIC, b"expire")
    elif bits & PERSIST and db.persist(key):
        s.propagate(b"PERSIST", key)
        db.changed(key, Event.GENERIC, b"persist")
    return value


@family.command(
    "mget",
    -2,
    "readonly fast",
    keys_from(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the strings of several keys.",
    complexity="O(N) for N keys.",
    tips=("request_policy:multi_shard",),
)
def mget(s: Session, argv: list[bytes]) -> Reply:
    """MGET key [key …]; what is no string reads as null."""
    read = s.db.read
    found: list[Reply] = []
    for key in argv[1:]:
        value = read(key)
        found.append(value if isinstance(value, bytes) else None)
    return found


@family.command(
    "mset",
    -3,
    "write denyoom",
    keys_from(1, "OW UPDATE", step=2),
    since="1.0.1",
    summary="Sets several keys to strings at once.",
    complexity="O(N) for N keys.",
    tips=("request_policy:multi_shard", "response_policy:all_succeeded"),
)
def mset(s: Session, argv: list[bytes]) -> Reply:
    """MSET key value [key value …]."""
    _set_all(s.db, argv)
    return OK


@family.command(
    "msetnx",
    -3,
    "write denyoom",
    keys_from(1, "OW INSERT", step=2),
    since="1.0.1",
    summary="Sets several keys to strings at once, if none of them exists.",
    complexity="O(N) for N keys.",
)
def msetnx(s: Session, argv: list[bytes]) -> Reply:
    """MSETNX key value [key value …]."""
    db = s.db
    if len(argv) % 2 and any(db.write(key) is not None for key in argv[1::2]):
        return 0
    _set_all(db, argv)
    return 1


def _set_all(db: Database, argv: list[bytes]) -> None:
    if len(argv) % 2 == 0:
        raise CommandError(f"ERR wrong number of arguments for '{argv[0].decode('latin-1').lower()}' command")
    for i in range(1, len(argv), 2):
        overwrite(db, argv[i], argv[i + 1])


# -- parts of values --------------------------------------------------------------------------------------------


@family.command(
    "append",
    3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="2.0.0",
    summary="Appends to the string of a key; makes the key if it does not exist.",
    complexity="O(N) for a resulting string of N bytes.",
)
def append(s: Session, argv: list[bytes]) -> Reply:
    """APPEND key value."""
    db, key = s.db, argv[1]
    value = db.write_string(key)
    if value is None:
        value = argv[2]
    else:
        check_length(len(value), len(argv[2]))
        value = changed_in_place(value + argv[2])
    db.put(key, value)
    db.changed(key, Event.STRING, b"append")
    return len(value)


@family.command(
    "strlen",
    2,
    "readonly fast",
    key_at(1, "RO"),
    since="2.2.0",
    summary="Gives the length of a string.",
)
def strlen(s: Session, argv: list[bytes]) -> Reply:
    """STRLEN key."""
    return len(s.db.read_string(argv[1]) or b"")


@family.command(
    "getrange",
    4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.4.0",
    summary="Gives a part of a string.",
    complexity="O(N) for a part of N bytes.",
)
def getrange(s: Session, argv: list[bytes]) -> Reply:
    """GETRANGE key start end; both inclusive, negative ones count from the end."""
    start, end = integer(argv[2]), integer(argv[3])
    value = s.db.read_string(argv[1])
    if not value or (start < 0 and end < 0 and start > end):
        return b""
    size = len(value)
    start = max(start + size, 0) if start < 0 else start
    end = max(end + size, 0) if end < 0 else end
    return value[start : end + 1]


family.command(
    "substr",
    4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives a part of a string; the old name of GETRANGE.",
    complexity="O(N) for a part of N bytes.",
)(getrange)


@family.command(
    "setrange",
    4,
    "write denyoom",
    key_at(1, "RW UPDATE"),
    since="2.2.0",
    summary="Overwrites a part of a string, padding it with zero bytes where it is too short.",
    complexity="O(N) for a resulting string of N bytes.",
)
def setrange(s: Session, argv: list[bytes]) -> Reply:
    """SETRANGE key offset value."""
    db, key, part = s.db, argv[1], argv[3]
    offset = integer(argv[2])
    if offset < 0:
        raise CommandError("ERR offset is out of range")
    value = db.write_string(key) or b""
    if not part:
        return len(value)
    check_length(offset, len(part))
    value = changed_in_place(b"".join((value[:offset].ljust(offset, b"\0"), part, value[offset + len(part) :])))
    db.put(key, value)
    db.changed(key, Event.STRING, b"setrange")
    return len(value)


# -- numbers ----------------------------------------------------------------------------------------------------


def _add(s: Session, key: bytes, increment: int) -> int:
    """INCR and its kin (`incrDecrCommand`).

    Raises:
        CommandError: wrong type, no integer, or overflow.
    """
    db = s.db
    text = db.write_string(key)
    if text is None:
        number = increment
    else:
        value = parse_integer(text)
        if value is None:
            raise CommandError(NOT_AN_INTEGER)
        number = value + increment
        if not INT64_MIN <= number <= INT64_MAX:
            raise CommandError(_OVERFLOW)
    db.put(key, b"%d" % number)
    db.changed(key, Event.STRING, b"incrby")
    return number


@family.command(
    "incr",
    2,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Adds one to the integer of a key, 0 if it does not exist.",
)
def incr(s: Session, argv: list[bytes]) -> Reply:
    """INCR key."""
    return _add(s, argv[1], 1)


@family.command(
    "decr",
    2,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Takes one from the integer of a key, 0 if it does not exist.",
)
def decr(s: Session, argv: list[bytes]) -> Reply:
    """DECR key."""
    return _add(s, argv[1], -1)


@family.command(
    "incrby",
    3,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Adds to the integer of a key, 0 if it does not exist.",
)
def incrby(s: Session, argv: list[bytes]) -> Reply:
    """INCRBY key increment."""
    return _add(s, argv[1], integer(argv[2]))


@family.command(
    "decrby",
    3,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Takes from the integer of a key, 0 if it does not exist.",
)
def decrby(s: Session, argv: list[bytes]) -> Reply:
    """DECRBY key decrement."""
    decrement = integer(argv[2])
    if decrement == INT64_MIN:
        raise CommandError("ERR decrement would overflow")
    return _add(s, argv[1], -decrement)


@family.command(
    "incrbyfloat",
    3,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="2.6.0",
    summary="Adds to the decimal number of a key, 0 if it does not exist.",
)
def incrbyfloat(s: Session, argv: list[bytes]) -> Reply:
    """INCRBYFLOAT key increment; replicas get the sum, so that its rounding is the primary's."""
    db, key = s.db, argv[1]
    text = db.write_string(key)
    try:
        value = add_long_doubles(b"0" if text is None else text, argv[2])
    except NotFiniteError:
        raise CommandError("ERR increment would produce NaN or Infinity") from None
    if value is None:
        raise CommandError(NOT_A_FLOAT)
    db.put(key, EmbeddedString(value) if len(value) <= EMBEDDED_BYTES else value)
    s.propagate(b"SET", key, value, b"KEEPTTL")
    db.changed(key, Event.STRING, b"incrbyfloat")
    return value
