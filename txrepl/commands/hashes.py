"""The hash commands.

A field may have a deadline of its own; once that has passed, the field reads as gone in every command here. A
primary deletes it when it is met, and the HDEL goes into the stream before the command that met it; elsewhere
it is only hidden. Writing a field anew takes its deadline away, counting it up does not.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.picks import pick, pick_distinct, pick_repeatedly, signed_count
from txrepl.commands.scan import scan_cursor, scan_members, scan_options
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import NOT_A_FLOAT, SYNTAX, CommandError
from txrepl.keyspace.database import Event, Expiry
from txrepl.keyspace.longdouble import NotFiniteError, add_long_doubles, parse_long_double
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN, parse_integer
from txrepl.keyspace.values import HashValue
from txrepl.resp.replies import OK, Pairs, Reply

family = Family("hash")

HASH: Final = int(Event.HASH)
GENERIC: Final = int(Event.GENERIC)


# -- deadlines of fields ------------------------------------------------------------------------------------------


def _due_fields(s: Session, value: HashValue) -> list[bytes]:
    """The fields whose deadline has passed, none while the primary's stream is applied."""
    deadlines = value.deadlines
    keyspace = s.keyspace
    if deadlines is None or keyspace.expiry == Expiry.IGNORE:
        return []
    now_ms = keyspace.now_ms
    return [field for field, deadline_ms in deadlines.items() if deadline_ms < now_ms]


def _is_due(s: Session, value: HashValue, field: bytes) -> bool:
    """Whether this field's deadline has passed; never while the primary's stream is applied."""
    deadlines = value.deadlines
    keyspace = s.keyspace
    if deadlines is None or keyspace.expiry == Expiry.IGNORE:
        return False
    deadline_ms = deadlines.get(field)
    return deadline_ms is not None and deadline_ms < keyspace.now_ms


def _forget_deadline(value: HashValue, field: bytes) -> None:
    if value.deadlines is not None and value.deadlines.pop(field, None) is not None and not value.deadlines:
        value.deadlines = None


def _expire_fields(s: Session, key: bytes, value: HashValue, due: Collection[bytes]) -> None:
    """Take due fields out of the hash; on a primary that is an effect, and an emptied hash stays for the caller."""
    for field in due:
        del value.fields[field]
        _forget_deadline(value, field)
    if s.keyspace.expiry == Expiry.DELETE:
        s.keyspace.emit(s.db.number, b"HDEL", key, *due)
        s.db.changed(key, HASH, b"hexpired", 0)


def _delete_if_empty(s: Session, key: bytes, value: HashValue) -> bool:
    if value.fields:
        return False
    s.db.remove(key)
    s.db.notify(GENERIC, b"del", key)
    return True


def _read(s: Session, key: bytes) -> HashValue | None:
    """The hash for a command that reads all of it, as if due fields were gone."""
    value = s.db.read_hash(key)
    if value is None or value.deadlines is None:
        return value
    due = _due_fields(s, value)
    if not due:
        return value
    if s.keyspace.expiry == Expiry.DELETE:
        _expire_fields(s, key, value, due)
        return None if _delete_if_empty(s, key, value) else value
    hidden = set(due)
    live = HashValue({field: text for field, text in value.fields.items() if field not in hidden})
    live.large = value.large
    return live if live.fields else None


def _read_field(s: Session, key: bytes, value: HashValue, field: bytes) -> bytes | None:
    """The field's value for a command that reads it; None if it is absent or due."""
    if value.deadlines is not None and _is_due(s, value, field):
        if s.keyspace.expiry == Expiry.DELETE:
            _expire_fields(s, key, value, [field])
            _delete_if_empty(s, key, value)
        return None
    return value.fields.get(field)


def _write_field(s: Session, key: bytes, value: HashValue, field: bytes) -> bytes | None:
    """The field's value for a command that will write it; None if it is absent or was due."""
    if value.deadlines is not None and _is_due(s, value, field):
        _expire_fields(s, key, value, [field])
        return None
    return value.fields.get(field)


# -- writing ------------------------------------------------------------------------------------------------------


def _write(s: Session, key: bytes) -> HashValue:
    """The hash for a command that will add to it, made if there was none."""
    value = s.db.write_hash(key)
    if value is None:
        value = HashValue()
        s.db.put(key, value)
    return value


def _put_field(s: Session, value: HashValue, field: bytes, text: bytes) -> None:
    """Set a field, whatever it held; its deadline stays (`hashTypeSet`)."""
    fields = value.fields
    if value.index is not None and field not in fields:
        fields[field] = text
        value.index.added(field)
    else:
        fields[field] = text
    if not value.large:
        limits = s.keyspace.limits
        longest = limits.hash_value
        if len(text) > longest or len(field) > longest or len(fields) > limits.hash_entries:
            value.large = True


def _set_pairs(s: Session, argv: list[bytes], name: str) -> int:
    """HSET and HMSET: set the pairs from the third word on; returns how many fields are new."""
    words = len(argv)
    if words & 1:
        raise CommandError(f"ERR wrong number of arguments for '{name}' command")
    db = s.db
    key = argv[1]
    value = db.write_hash(key)
    if value is None:
        value = HashValue()
        db.put(key, value)
    before = len(value.fields)
    for position in range(2, words, 2):
        field = argv[position]
        if value.deadlines is not None:
            before -= field in value.fields and _write_field(s, key, value, field) is None
            _forget_deadline(value, field)
        _put_field(s, value, field, argv[position + 1])
    db.changed(key, HASH, b"hset", words // 2 - 1)
    return len(value.fields) - before


@family.command(
    "hset",
    -4,
    "write denyoom fast",
    key_at(1, "RW UPDATE"),
    since="2.0.0",
    summary="Sets fields of a hash, making the hash if there is none.",
    complexity="O(1) for each field set",
)
def hset(s: Session, argv: list[bytes]) -> Reply:
    """HSET key field value [field value …]"""
    return _set_pairs(s, argv, "hset")


@family.command(
    "hmset",
    -4,
    "write denyoom fast",
    key_at(1, "RW UPDATE"),
    since="2.0.0",
    summary="Sets fields of a hash; the older form of HSET.",
    complexity="O(N), N being the number of fields set",
)
def hmset(s: Session, argv: list[bytes]) -> Reply:
    """HMSET key field value [field value …]"""
    _set_pairs(s, argv, "hmset")
    return OK


@family.command(
    "hsetnx",
    4,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="2.0.0",
    summary="Sets a field of a hash if it has no such field.",
)
def hsetnx(s: Session, argv: list[bytes]) -> Reply:
    """HSETNX key field value"""
    _, key, field, text = argv
    value = _write(s, key)
    if _write_field(s, key, value, field) is not None:
        return 0
    _put_field(s, value, field, text)
    s.db.changed(key, HASH, b"hset")
    return 1


@family.command(
    "hincrby",
    4,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="2.0.0",
    summary="Adds to the integer in a field, 0 if there is no such field.",
)
def hincrby(s: Session, argv: list[bytes]) -> Reply:
    """HINCRBY key field increment"""
    _, key, field, by = argv
    increment = integer(by)
    value = s.db.write_hash(key)
    old = None if value is None else _write_field(s, key, value, field)
    number = 0 if old is None else parse_integer(old)
    if number is None:
        raise CommandError("ERR hash value is not an integer")
    number += increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise CommandError("ERR increment or decrement would overflow")
    _put_field(s, _write(s, key) if value is None else value, field, b"%d" % number)
    s.db.changed(key, HASH, b"hincrby")
    return number


@family.command(
    "hincrbyfloat",
    4,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="2.6.0",
    summary="Adds to the decimal number in a field, 0 if there is no such field.",
)
def hincrbyfloat(s: Session, argv: list[bytes]) -> Reply:
    """HINCRBYFLOAT key field increment"""
    _, key, field, by = argv
    try:
        if parse_long_double(by) is None:
            raise CommandError(NOT_A_FLOAT)
    except NotFiniteError:
        raise CommandError("ERR value is NaN or Infinity") from None
    value = s.db.write_hash(key)
    old = None if value is None else _write_field(s, key, value, field)
    try:
        total = add_long_doubles(b"0" if old is None else old, by)
    except NotFiniteError:
        raise CommandError("ERR increment would produce NaN or Infinity") from None
    if total is None:
        raise CommandError("ERR hash value is not a float")
    if value is None:
        value = _write(s, key)
    _put_field(s, value, field, total)
    s.db.changed(key, HASH, b"hincrbyfloat")
    if value.deadlines is None or field not in value.deadlines:
        # HSET would take the deadline away at the replicas; HINCRBYFLOAT itself keeps it there too.
        s.propagate(b"HSET", key, field, total)
    return total


@family.command(
    "hdel",
    -3,
    "write fast",
    key_at(1, "RW DELETE"),
    since="2.0.0",
    summary="Deletes fields of a hash.",
    complexity="O(N), N being the number of fields to delete",
)
def hdel(s: Session, argv: list[bytes]) -> Reply:
    """HDEL key field [field …]"""
    db = s.db
    key = argv[1]
    value = db.write_hash(key)
    if value is None:
        return 0
    removed = 0
    for field in argv[2:]:
        if value.deadlines is not None:
            if _write_field(s, key, value, field) is None:
                continue
            _forget_deadline(value, field)
        if value.fields.pop(field, None) is not None:
            removed += 1
    emptied = not value.fields
    if emptied:
        db.remove(key)
    if removed:
        db.changed(key, HASH, b"hdel", removed)
    if emptied:
        db.notify(GENERIC, b"del", key)
    return removed


# -- reading fields -----------------------------------------------------------------------------------------------


@family.command(
    "hget", 3, "readonly fast", key_at(1, "RO ACCESS"), since="2.0.0", summary="Gives the value of a field."
)
def hget(s: Session, argv: list[bytes]) -> Reply:
    """HGET key field"""
    value = s.db.read_hash(argv[1])
    if value is None:
        return None
    if value.deadlines is None:
        return value.fields.get(argv[2])
    return _read_field(s, argv[1], value, argv[2])


@family.command(
    "hmget",
    -3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Gives the values of several fields.",
    complexity="O(N), N being the number of fields asked for",
)
def hmget(s: Session, argv: list[bytes]) -> Reply:
    """HMGET key field [field …]"""
    value = s.db.read_hash(argv[1])
    if value is None:
        return [None] * (len(argv) - 2)
    if value.deadlines is None:
        return [*map(value.fields.get, argv[2:])]
    return [_read_field(s, argv[1], value, field) for field in argv[2:]]


@family.command(
    "hexists", 3, "readonly fast", key_at(1, "RO"), since="2.0.0", summary="Tells whether a hash has a field."
)
def hexists(s: Session, argv: list[bytes]) -> Reply:
    """HEXISTS key field"""
    value = s.db.read_hash(argv[1])
    return 0 if value is None or _read_field(s, argv[1], value, argv[2]) is None else 1


@family.command(
    "hstrlen",
    3,
    "readonly fast",
    key_at(1, "RO"),
    since="3.2.0",
    summary="Gives the length of a field's value in bytes.",
)
def hstrlen(s: Session, argv: list[bytes]) -> Reply:
    """HSTRLEN key field"""
    value = s.db.read_hash(argv[1])
    text = None if value is None else _read_field(s, argv[1], value, argv[2])
    return 0 if text is None else len(text)


# -- reading all --------------------------------------------------------------------------------------------------


@family.command(
    "hlen", 2, "readonly fast", key_at(1, "RO"), since="2.0.0", summary="Gives the number of fields of a hash."
)
def hlen(s: Session, argv: list[bytes]) -> Reply:
    """HLEN key"""
    value = _read(s, argv[1])
    return 0 if value is None else len(value.fields)


@family.command(
    "hgetall",
    2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Gives all fields of a hash with their values.",
    complexity="O(N), N being the number of fields",
    tips=("nondeterministic_output_order",),
)
def hgetall(s: Session, argv: list[bytes]) -> Reply:
    """HGETALL key"""
    value = _read(s, argv[1])
    return {} if value is None else dict[Reply, Reply](value.fields.items())


@family.command(
    "hkeys",
    2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Gives all fields of a hash.",
    complexity="O(N), N being the number of fields",
    tips=("nondeterministic_output_order",),
)
def hkeys(s: Session, argv: list[bytes]) -> Reply:
    """HKEYS key"""
    value = _read(s, argv[1])
    return [] if value is None else [*value.fields]


@family.command(
    "hvals",
    2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Gives the values of all fields of a hash.",
    complexity="O(N), N being the number of fields",
    tips=("nondeterministic_output_order",),
)
def hvals(s: Session, argv: list[bytes]) -> Reply:
    """HVALS key"""
    value = _read(s, argv[1])
    return [] if value is None else [*value.fields.values()]


@family.command(
    "hrandfield",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="6.2.0",
    summary="Gives random fields of a hash.",
    complexity="O(N), N being the number of fields given",
    tips=("nondeterministic_output",),
)
def hrandfield(s: Session, argv: list[bytes]) -> Reply:
    """HRANDFIELD key [count [WITHVALUES]]"""
    count, with_values = _random_options(argv)
    value = _read(s, argv[1])
    if value is None:
        return None if count is None else []
    fields, rng = value.fields, s.keyspace.rng
    if count is None:
        return pick(value, fields, rng)
    if count < 0:
        found = pick_repeatedly(value, fields, -count, rng)
    else:
        found = pick_distinct(value, fields, count, rng)
    return Pairs((field, fields[field]) for field in found) if with_values else [*found]


def _random_options(argv: list[bytes]) -> tuple[int | None, bool]:
    if len(argv) == 2:
        return None, False
    count = signed_count(argv[2])
    if len(argv) > 4 or (len(argv) == 4 and argv[3].upper() != b"WITHVALUES"):
        raise CommandError(SYNTAX)
    if len(argv) == 3:
        return count, False
    if abs(count) > INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    return count, True


@family.command(
    "hscan",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.0",
    summary="Goes through the fields of a hash, with their values, step by step.",
    complexity="O(1) for every call, O(N) for a whole pass",
    tips=("nondeterministic_output",),
)
def hscan(s: Session, argv: list[bytes]) -> Reply:
    """HSCAN key cursor [MATCH pattern] [COUNT count]"""
    key = argv[1]
    cursor = scan_cursor(argv[2])
    value = s.db.read_hash(key)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    due = set(_due_fields(s, value))
    if due and s.keyspace.expiry == Expiry.DELETE:
        _expire_fields(s, key, value, due)
        _delete_if_empty(s, key, value)
    cursor, found, value.index = scan_members(value.fields, value.index, value.large, cursor, options)
    fields = value.fields
    pairs: list[Reply] = []
    for field in found:
        if field not in due:
            pairs += (field, fields[field])
    return [b"%d" % cursor, pairs]
