"""Keys of any type: deleting, testing, renaming, moving, copying. Follows db.c of Redis 7.2.

A value moves as the object that it is; only COPY duplicates it.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at, keys_from
from txrepl.errors import NO_SUCH_KEY, SYNTAX, CommandError
from txrepl.keyspace.database import Database, Event
from txrepl.keyspace.duplicate import duplicate
from txrepl.keyspace.values import Value, type_name
from txrepl.resp.replies import OK, Reply

family = Family("generic")

_SAME_OBJECT: Final = "ERR source and destination objects are the same"


@family.command(
    "del",
    -2,
    "write",
    keys_from(1, "RM DELETE"),
    since="1.0.0",
    summary="Deletes keys.",
    complexity="O(N) for N keys.",
    categories="keyspace",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def delete(s: Session, argv: list[bytes]) -> Reply:
    """DEL key [key …]; counts those that were there."""
    db = s.db
    deleted = 0
    for key in argv[1:]:
        if db.expires:
            db.exists(key)
        if db.remove(key):
            db.changed(key, Event.GENERIC, b"del")
            deleted += 1
    return deleted


family.command(
    "unlink",
    -2,
    "write fast",
    keys_from(1, "RM DELETE"),
    since="4.0.0",
    summary="Deletes keys and frees their memory later.",
    complexity="O(1) for each key.",
    categories="keyspace",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)(delete)


@family.command(
    "exists",
    -2,
    "readonly fast",
    keys_from(1, "RO"),
    since="1.0.0",
    summary="Counts how many of the keys exist.",
    complexity="O(N) for N keys.",
    categories="keyspace",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def exists(s: Session, argv: list[bytes]) -> Reply:
    """EXISTS key [key …]; a key named twice counts twice."""
    peek = s.db.peek
    return sum(peek(key) is not None for key in argv[1:])


@family.command(
    "touch",
    -2,
    "readonly fast",
    keys_from(1, "RO"),
    since="3.2.1",
    summary="Counts how many of the keys exist and marks them as just used.",
    complexity="O(N) for N keys.",
    categories="keyspace",
    tips=("request_policy:multi_shard", "response_policy:agg_sum"),
)
def touch(s: Session, argv: list[bytes]) -> Reply:
    """TOUCH key [key …]: what it is for works for a NO-TOUCH client, too."""
    keyspace, read = s.keyspace, s.db.read
    held = keyspace.holds_uses
    if held:
        keyspace.hold_uses(False)
    try:
        return sum(read(key) is not None for key in argv[1:])
    finally:
        if held:
            keyspace.hold_uses(True)


@family.command(
    "type",
    2,
    "readonly fast",
    key_at(1, "RO"),
    since="1.0.0",
    summary="Names the type of a key's value.",
    categories="keyspace",
)
def type_of(s: Session, argv: list[bytes]) -> Reply:
    """TYPE key."""
    value = s.db.peek(argv[1])
    return "none" if value is None else type_name(value)


# -- under another name, in another database --------------------------------------------------------------------


def _place(db: Database, key: bytes, value: Value, deadline_ms: int | None, use: int | None = None) -> None:
    """Put a value under a key that is free, with its deadline and its note of use."""
    db.put(key, value)
    db.heed(key, value)
    if use is not None:
        db.used[key] = use
    if deadline_ms is not None:
        db.set_expire(key, deadline_ms)


def _rename(s: Session, source: bytes, target: bytes, *, only_new: bool) -> bool:
    """`renameGenericCommand`; False if the target exists and must not be overwritten.

    Raises:
        CommandError: there is no such key.
    """
    db = s.db
    value = db.write(source)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    if source == target:
        return not only_new
    if db.write(target) is not None:
        if only_new:
            return False
        db.remove(target)
    deadline_ms, use = db.expires.get(source), db.used.get(source)
    db.detach(source)
    db.remove(target)
    _place(db, target, value, deadline_ms, use)
    db.changed(source, Event.GENERIC, b"rename_from")
    db.changed(target, Event.GENERIC, b"rename_to", 0)
    return True


@family.command(
    "rename",
    3,
    "write",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "OW UPDATE"),
    since="1.0.0",
    summary="Gives a key another name, overwriting what is there.",
    categories="keyspace",
)
def rename(s: Session, argv: list[bytes]) -> Reply:
    """RENAME key newkey."""
    _rename(s, argv[1], argv[2], only_new=False)
    return OK


@family.command(
    "renamenx",
    3,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "OW INSERT"),
    since="1.0.0",
    summary="Gives a key another name that is not taken.",
    categories="keyspace",
)
def renamenx(s: Session, argv: list[bytes]) -> Reply:
    """RENAMENX key newkey."""
    return int(_rename(s, argv[1], argv[2], only_new=True))


def _database(s: Session, text: bytes) -> Database:
    number = integer(text)
    if not -(2**31) <= number < 2**31:
        raise CommandError("ERR value is out of range, value must between -2147483648 and 2147483647")
    if not 0 <= number < len(s.keyspace.databases):
        raise CommandError("ERR DB index is out of range")
    return s.keyspace.databases[number]


@family.command(
    "move",
    3,
    "write fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.0.0",
    summary="Moves a key to another database.",
    categories="keyspace",
)
def move(s: Session, argv: list[bytes]) -> Reply:
    """MOVE key db; 0 if there is no such key here or one there already."""
    source, target, key = s.db, _database(s, argv[2]), argv[1]
    if source is target:
        raise CommandError(_SAME_OBJECT)
    value = source.write(key)
    if value is None:
        return 0
    if target.write(key) is not None:
        return 0
    target.remove(key)
    _place(target, key, value, source.expires.get(key), source.used.get(key))
    source.detach(key)
    source.changed(key, Event.GENERIC, b"move_from")
    target.changed(key, Event.GENERIC, b"move_to", 0)
    return 1


@family.command(
    "copy",
    -3,
    "write denyoom",
    key_at(1, "RO ACCESS"),
    key_at(2, "OW UPDATE"),
    since="6.2.0",
    summary="Copies the value of a key to another key.",
    complexity="O(N) for a collection of N elements, O(1) for a string.",
    categories="keyspace",
)
def copy(s: Session, argv: list[bytes]) -> Reply:
    """COPY source destination [DB destination-db] [REPLACE]."""
    source, target = s.db, s.db
    replace = False
    i = 3
    while i < len(argv):
        word = argv[i].lower()
        if word == b"replace":
            replace = True
        elif word == b"db" and i + 1 < len(argv):
            i += 1
            target = _database(s, argv[i])
        else:
            raise CommandError(SYNTAX)
        i += 1
    key, new = argv[1], argv[2]
    if source is target and key == new:
        raise CommandError(_SAME_OBJECT)
    value = source.read(key)
    if value is None:
        return 0
    if target.write(new) is not None and not replace:
        return 0
    target.remove(new)
    _place(target, new, duplicate(value), source.expires.get(key))
    target.changed(new, Event.GENERIC, b"copy_to")
    return 1
