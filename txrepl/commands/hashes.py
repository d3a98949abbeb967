"""The hash commands.

A field may have a deadline of its own; once that has passed, the field is hidden from every command here, though
HLEN still counts it (see `hash_values`). Writing a field anew takes its deadline away, counting it up does not.
In a hash that has deadlines a command goes into the stream as what came out of it: the time at which a replica
runs it must not matter.
"""

from __future__ import annotations

from txrepl.commands.arguments import integer
from txrepl.commands.hash_values import (
    GENERIC,
    HASH,
    delete_field,
    expired_over,
    hidden_fields,
    made,
    put_field,
    set_field,
    visible,
)
from txrepl.commands.picks import pick, pick_distinct, pick_repeatedly, signed_count
from txrepl.commands.scan import scan_cursor, scan_members, scan_options
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import NOT_A_FLOAT, SYNTAX, CommandError
from txrepl.keyspace.longdouble import NotFiniteError, add_long_doubles, parse_long_double
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN, parse_integer
from txrepl.keyspace.values import HashValue
from txrepl.resp.replies import OK, Pairs, Reply

family = Family("hash")


# -- writing ------------------------------------------------------------------------------------------------------


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
    if words // 2 - 1 > s.keyspace.limits.hash_entries:
        value.large = True  # Redis takes all fields for new ones
    if value.deadlines is None:
        keyspace = s.keyspace
        before = len(value.fields)
        for position in range(2, words, 2):
            put_field(keyspace, value, argv[position], argv[position + 1])
        new = len(value.fields) - before
    else:
        outcomes = [set_field(s, key, value, argv[at], argv[at + 1]) for at in range(2, words, 2)]
        new = sum(is_new for is_new, _ in outcomes)
        expired_over(s, key, sum(overwritten for _, overwritten in outcomes))
    db.changed(key, HASH, b"hset", words // 2 - 1)
    return new


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
    value = made(s, key)
    if visible(s.keyspace, value, field) is not None:
        return 0
    if value.deadlines is None:
        put_field(s.keyspace, value, field, text)
    else:
        _, overwritten = set_field(s, key, value, field, text)
        expired_over(s, key, overwritten)
        s.propagate(b"HSET", *argv[1:])
    s.db.changed(key, HASH, b"hset")
    return 1


def _count_to(
    s: Session, argv: list[bytes], value: HashValue | None, result: bytes, *, event: bytes, verbatim: bool
) -> None:
    """Store what a field was counted up to; the field keeps its deadline.

    Parameters:
        value: the hash, None if it has to be made.
        verbatim: a hash without deadlines needs no other command in the stream than the one being run.
    """
    _, key, field, _ = argv
    if value is None:
        value = made(s, key)
    if value.deadlines is None:
        put_field(s.keyspace, value, field, result)
        if not verbatim:
            s.propagate(b"HSET", key, field, result)
    else:
        is_seen = visible(s.keyspace, value, field) is not None
        deadline_ms = value.deadlines.get(field) if is_seen else None
        _, overwritten = set_field(s, key, value, field, result, deadline_ms=deadline_ms)
        expired_over(s, key, overwritten)
        if deadline_ms is None:
            s.propagate(b"HSET", key, field, result)
        else:
            s.propagate(b"HSETEX", key, b"PXAT", b"%d" % deadline_ms, b"FIELDS", b"1", field, result)
    s.db.changed(key, HASH, event)


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
    old = None if value is None else visible(s.keyspace, value, field)
    number = 0 if old is None else parse_integer(old)
    if number is None:
        raise CommandError("ERR hash value is not an integer")
    number += increment
    if not INT64_MIN <= number <= INT64_MAX:
        raise CommandError("ERR increment or decrement would overflow")
    _count_to(s, argv, value, b"%d" % number, event=b"hincrby", verbatim=True)
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
    old = None if value is None else visible(s.keyspace, value, field)
    try:
        total = add_long_doubles(b"0" if old is None else old, by)
    except NotFiniteError:
        raise CommandError("ERR increment would produce NaN or Infinity") from None
    if total is None:
        raise CommandError("ERR hash value is not a float")
    _count_to(s, argv, value, total, event=b"hincrbyfloat", verbatim=False)
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
    if value.deadlines is None:
        fields = value.fields
        removed = sum(fields.pop(field, None) is not None for field in argv[2:])
    else:
        removed = sum(delete_field(s, key, value, field) for field in argv[2:])
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
    return visible(s.keyspace, value, argv[2])


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
    return [visible(s.keyspace, value, field) for field in argv[2:]]


@family.command(
    "hexists", 3, "readonly fast", key_at(1, "RO"), since="2.0.0", summary="Tells whether a hash has a field."
)
def hexists(s: Session, argv: list[bytes]) -> Reply:
    """HEXISTS key field"""
    value = s.db.read_hash(argv[1])
    return 0 if value is None or visible(s.keyspace, value, argv[2]) is None else 1


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
    text = None if value is None else visible(s.keyspace, value, argv[2])
    return 0 if text is None else len(text)


# -- reading all --------------------------------------------------------------------------------------------------


def _read(s: Session, key: bytes) -> HashValue | None:
    """The hash for a command that reads all of it: the very one, or what is to be seen of it."""
    value = s.db.read_hash(key)
    if value is None or value.deadlines is None:
        return value
    hidden = hidden_fields(s.keyspace, value)
    if not hidden:
        return value
    return HashValue({field: text for field, text in value.fields.items() if field not in hidden})


@family.command(
    "hlen", 2, "readonly fast", key_at(1, "RO"), since="2.0.0", summary="Gives the number of fields of a hash."
)
def hlen(s: Session, argv: list[bytes]) -> Reply:
    """HLEN key; fields that are hidden but not yet deleted count."""
    value = s.db.read_hash(argv[1])
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
    if not fields:
        return None if count is None else []
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
    """HSCAN key cursor [MATCH pattern] [COUNT count] [NOVALUES]"""
    key = argv[1]
    cursor = scan_cursor(argv[2])
    value = s.db.read_hash(key)
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3, bare="HSCAN")
    hidden = hidden_fields(s.keyspace, value)
    cursor, found, value.index = scan_members(value.fields, value.index, value.large, cursor, options)
    if options.bare:
        return [b"%d" % cursor, [field for field in found if field not in hidden]]
    fields = value.fields
    pairs: list[Reply] = []
    for field in found:
        if field not in hidden:
            pairs += (field, fields[field])
    return [b"%d" % cursor, pairs]
