"""Deadlines of a hash's fields: giving, taking and reading them, as Redis from 7.4 and Valkey from 9 have them.

What the two servers spell differently is taken in both ways: `FIELDS numfields field …` may stand before or behind
the options. Every way to give a deadline goes into the stream as HPEXPIREAT or HSETEX with PXAT, a deadline that has
passed as HDEL, and HGETDEL as HDEL, which every server knows. Where they answer or notify differently, Valkey's
way is followed (t_hash.c), for replies, events and errors alike.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.expire import conditions, refused
from txrepl.commands.expire_options import (
    FNX,
    FXX,
    GETEX_OPTIONS,
    HSETEX_OPTIONS,
    KEEPTTL,
    NX,
    PERSIST,
    PX,
    PXAT,
    RELATIVE,
    XX,
    is_past,
    string_options,
)
from txrepl.commands.hash_values import (
    HASH,
    KEEP,
    delete_field,
    delete_if_empty,
    drop_deadline,
    expired_over,
    made,
    set_deadline,
    set_field,
    visible,
)
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.values import HashValue
from txrepl.resp.replies import Reply

family = Family("hash")

_BAD_COUNT: Final = "ERR numfields should be greater than 0 and match the provided number of fields"


# -- arguments ----------------------------------------------------------------------------------------------------


def _split(argv: list[bytes], start: int, words_each: int) -> tuple[list[bytes], list[bytes], bytes, list[bytes]]:
    """Part a command into the options before FIELDS and those behind, the count as text, and the fields.

    Parameters:
        start: where options begin.
        words_each: how many words a field takes.

    Raises:
        CommandError: there is no FIELDS.
    """
    at = next((at for at in range(start, len(argv) - 1) if argv[at].lower() == b"fields"), None)
    if at is None:
        raise CommandError(_BAD_COUNT)
    count = argv[at + 1]
    end = at + 2 + words_each * int(count) if len(count) < 10 and count.isdigit() else len(argv)
    return argv[start:at], argv[end:], count, argv[at + 2 : end]


def _check_count(count: bytes, fields: list[bytes], words_each: int) -> None:
    number = integer(count)
    if number <= 0 or number * words_each != len(fields):
        raise CommandError(_BAD_COUNT)


def _options(
    argv: list[bytes], words_each: int, known: dict[bytes, tuple[int, int]]
) -> tuple[int, bytes | None, list[bytes]]:
    """The options of HSETEX or HGETEX as bits, the argument of the deadline among them, and the fields.

    Raises:
        CommandError: the options or the count are wrong.
    """
    before, behind, count, fields = _split(argv, 2, words_each)
    bits, time, _ = string_options(before, 0, known)
    _check_count(count, fields, words_each)
    if behind:
        if behind[0].lower() not in known:
            raise CommandError(_BAD_COUNT)
        bits, time, _ = string_options(before + behind, 0, known)
    return bits, time, fields


def _unix_ms(text: bytes, unit_ms: int, base_ms: int, command: str) -> int:
    """The deadline that an argument means (`convertExpireArgumentToUnixTime`).

    Parameters:
        unit_ms: 1 or 1000.
        base_ms: what it is relative to, unix ms; 0 if it is absolute.

    Raises:
        CommandError: no integer, negative, or beyond 64 bits.
    """
    when_ms = integer(text) * unit_ms
    if not 0 <= when_ms <= INT64_MAX - base_ms:
        raise CommandError(f"ERR invalid expire time in '{command}' command")
    return when_ms + base_ms


def _option_ms(s: Session, bits: int, time: bytes, command: str) -> int:
    """The deadline that EX, PX, EXAT or PXAT means."""
    return _unix_ms(time, 1 if bits & (PX | PXAT) else 1000, s.keyspace.now_ms if bits & RELATIVE else 0, command)


# -- giving and taking --------------------------------------------------------------------------------------------

_GONE: Final = -2
_REFUSED: Final = 0
_GIVEN: Final = 1
_DELETED: Final = 2
_LASTING: Final = -1


def _give(s: Session, key: bytes, value: HashValue | None, field: bytes, when_ms: int, given: set[bytes]) -> int:  # noqa: PLR0917
    """Give a field a deadline, if it is there and the conditions allow; one in the past deletes it."""
    if value is None or visible(s.keyspace, value, field) is None:
        return _GONE
    if given and refused(given, None if value.deadlines is None else value.deadlines.get(field), when_ms):
        return _REFUSED
    if is_past(s.keyspace, when_ms):
        delete_field(s, key, value, field)
        return _DELETED
    set_deadline(s, key, value, field, when_ms)
    return _GIVEN


def _hexpire(s: Session, argv: list[bytes], unit_ms: int, *, relative: bool) -> Reply:
    """All four of the HEXPIRE family (`hexpireGenericCommand`)."""
    before, behind, count, fields = _split(argv, 3, 1)
    given = conditions(before)
    _check_count(count, fields, 1)
    if behind:
        if behind[0].lower() not in (b"nx", b"xx", b"gt", b"lt"):
            raise CommandError(_BAD_COUNT)
        given = conditions(before + behind)
    name = argv[0].decode("latin-1").lower()
    when_ms = _unix_ms(argv[2], unit_ms, s.keyspace.now_ms if relative else 0, name)
    key = argv[1]
    value = s.db.write_hash(key)
    results = [_give(s, key, value, field, when_ms, given) for field in fields]
    deleted = [field for field, result in zip(fields, results, strict=True) if result == _DELETED]
    if deleted:
        s.keyspace.expired_fields += len(deleted)
        s.propagate(b"HDEL", key, *deleted)
        s.db.changed(key, HASH, b"hexpired", len(deleted))
    elif _GIVEN in results:
        if relative or unit_ms != 1:
            s.propagate(b"HPEXPIREAT", key, b"%d" % when_ms, *argv[3:])
        s.db.changed(key, HASH, b"hexpire", results.count(_GIVEN))
    if value is not None:
        delete_if_empty(s, key, value)
    return [*results]


@family.command(
    "hexpire",
    -6,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="7.4.0",
    summary="Lets fields of a hash expire after some seconds.",
    complexity="O(N), N being the number of fields given",
)
def hexpire(s: Session, argv: list[bytes]) -> Reply:
    """HEXPIRE key seconds [NX | XX | GT | LT] FIELDS numfields field [field …]"""
    return _hexpire(s, argv, 1000, relative=True)


@family.command(
    "hpexpire",
    -6,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="7.4.0",
    summary="Lets fields of a hash expire after some milliseconds.",
    complexity="O(N), N being the number of fields given",
)
def hpexpire(s: Session, argv: list[bytes]) -> Reply:
    """HPEXPIRE key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field …]"""
    return _hexpire(s, argv, 1, relative=True)


@family.command(
    "hexpireat",
    -6,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="7.4.0",
    summary="Lets fields of a hash expire at a unix time in seconds.",
    complexity="O(N), N being the number of fields given",
)
def hexpireat(s: Session, argv: list[bytes]) -> Reply:
    """HEXPIREAT key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field …]"""
    return _hexpire(s, argv, 1000, relative=False)


@family.command(
    "hpexpireat",
    -6,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="7.4.0",
    summary="Lets fields of a hash expire at a unix time in milliseconds.",
    complexity="O(N), N being the number of fields given",
)
def hpexpireat(s: Session, argv: list[bytes]) -> Reply:
    """HPEXPIREAT key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field …]"""
    return _hexpire(s, argv, 1, relative=False)


def _named_fields(argv: list[bytes], bad_count: str = _BAD_COUNT) -> list[bytes]:
    """The fields of a command that has no options: `key FIELDS numfields field …`.

    Raises:
        CommandError: another word than FIELDS, or a wrong count: the latter with `bad_count`.
    """
    if argv[2].lower() != b"fields":
        raise CommandError(SYNTAX)
    if integer(argv[3]) != len(argv) - 4:
        raise CommandError(bad_count)
    return argv[4:]


@family.command(
    "hpersist",
    -5,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="7.4.0",
    summary="Takes the deadlines of fields away.",
    complexity="O(N), N being the number of fields given",
)
def hpersist(s: Session, argv: list[bytes]) -> Reply:
    """HPERSIST key FIELDS numfields field [field …]"""
    fields = _named_fields(argv)
    key = argv[1]
    value = s.db.write_hash(key)
    results: list[Reply] = []
    for field in fields:
        if value is None or visible(s.keyspace, value, field) is None:
            results.append(_GONE)
        else:
            results.append(1 if drop_deadline(s, key, value, field) else _LASTING)
    if 1 in results:
        s.db.changed(key, HASH, b"hpersist", results.count(1))
    return results


# -- reading deadlines --------------------------------------------------------------------------------------------


def _deadlines(s: Session, argv: list[bytes], unit_ms: int, *, relative: bool) -> Reply:
    """All four of the HTTL family (`httlGenericCommand`)."""
    fields = _named_fields(argv, SYNTAX)
    value = s.db.read_hash(argv[1])
    if value is None:
        return [_GONE] * len(fields)
    base_ms = s.keyspace.now_ms if relative else 0
    results: list[Reply] = []
    for field in fields:
        deadline_ms = None if value.deadlines is None else value.deadlines.get(field)
        if visible(s.keyspace, value, field) is None:
            results.append(_GONE)
        elif deadline_ms is None:
            results.append(_LASTING)
        else:
            left_ms = max(deadline_ms - base_ms, 0)
            results.append(left_ms if unit_ms == 1 else (left_ms + 500) // 1000)
    return results


@family.command(
    "httl",
    -5,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.4.0",
    summary="Tells in how many seconds fields of a hash expire.",
    complexity="O(N), N being the number of fields given",
)
def httl(s: Session, argv: list[bytes]) -> Reply:
    """HTTL key FIELDS numfields field [field …]"""
    return _deadlines(s, argv, 1000, relative=True)


@family.command(
    "hpttl",
    -5,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.4.0",
    summary="Tells in how many milliseconds fields of a hash expire.",
    complexity="O(N), N being the number of fields given",
)
def hpttl(s: Session, argv: list[bytes]) -> Reply:
    """HPTTL key FIELDS numfields field [field …]"""
    return _deadlines(s, argv, 1, relative=True)


@family.command(
    "hexpiretime",
    -5,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.4.0",
    summary="Tells at which unix times in seconds fields of a hash expire.",
    complexity="O(N), N being the number of fields given",
)
def hexpiretime(s: Session, argv: list[bytes]) -> Reply:
    """HEXPIRETIME key FIELDS numfields field [field …]"""
    return _deadlines(s, argv, 1000, relative=False)


@family.command(
    "hpexpiretime",
    -5,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="7.4.0",
    summary="Tells at which unix times in milliseconds fields of a hash expire.",
    complexity="O(N), N being the number of fields given",
)
def hpexpiretime(s: Session, argv: list[bytes]) -> Reply:
    """HPEXPIRETIME key FIELDS numfields field [field …]"""
    return _deadlines(s, argv, 1, relative=False)


# -- with values --------------------------------------------------------------------------------------------------


def _may_set(s: Session, value: HashValue | None, bits: int, fields: list[bytes]) -> bool:
    """Whether NX, XX, FNX and FXX allow HSETEX to go on."""
    if (bits & NX and value is not None) or (bits & XX and value is None):
        return False
    if bits & (FNX | FXX):
        wanted = bool(bits & FXX)
        return all((value is not None and visible(s.keyspace, value, field) is not None) == wanted for field in fields)
    return True


@family.command(
    "hsetex",
    -6,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="8.0.0",
    summary="Sets fields of a hash and lets them expire.",
    complexity="O(N), N being the number of fields set",
)
def hsetex(s: Session, argv: list[bytes]) -> Reply:
    """HSETEX key [NX | XX] [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS numfields field value …"""
    bits, time, words = _options(argv, 2, HSETEX_OPTIONS)
    key, pairs = argv[1], list(zip(words[::2], words[1::2], strict=True))
    value = s.db.write_hash(key)
    when_ms = None if time is None else _option_ms(s, bits, time, "hsetex")
    if not _may_set(s, value, bits, words[::2]):
        return 0
    if value is None:
        value = made(s, key)
    if when_ms is not None and is_past(s.keyspace, when_ms):
        _delete_with_events(s, key, value, words[::2])
        return 1
    deadline_ms = KEEP if bits & KEEPTTL else when_ms
    outcomes = [set_field(s, key, value, field, text, deadline_ms=deadline_ms) for field, text in pairs]
    overwritten = [field for (field, _), outcome in zip(pairs, outcomes, strict=True) if outcome[1]]
    expired_over(s, key, len(overwritten))
    if overwritten and bits & KEEPTTL:  # a replica cannot tell that they had expired: it would keep their deadlines
        s.keyspace.emit(s.db.number, b"HDEL", key, *overwritten)
    if bits & ~(PXAT | KEEPTTL) or (overwritten and bits & KEEPTTL):
        option = (b"KEEPTTL",) if bits & KEEPTTL else () if when_ms is None else (b"PXAT", b"%d" % when_ms)
        s.propagate(b"HSETEX", key, *option, b"FIELDS", b"%d" % len(pairs), *words)
    s.db.changed(key, HASH, b"hset", len(pairs))
    if when_ms is not None:
        s.db.notify(HASH, b"hexpire", key)
    return 1


def _delete_with_events(s: Session, key: bytes, value: HashValue, fields: list[bytes]) -> None:
    """HSETEX with a deadline that has passed: the fields are deleted, hidden ones too, as if they had expired."""
    deleted = [field for field in dict.fromkeys(fields) if value.fields.pop(field, None) is not None]
    for field in deleted:
        drop_deadline(s, key, value, field)
    if deleted:
        s.keyspace.expired_fields += len(deleted)
        s.propagate(b"HDEL", key, *deleted)
        s.db.changed(key, HASH, b"hset", len(deleted))
    else:
        s.db.notify(HASH, b"hset", key)
    s.db.notify(HASH, b"hexpire", key)
    s.db.notify(HASH, b"hexpired", key)
    delete_if_empty(s, key, value)


@family.command(
    "hgetex",
    -5,
    "write fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="8.0.0",
    summary="Gives the values of fields and sets or takes away their deadlines.",
    complexity="O(N), N being the number of fields given",
)
def hgetex(s: Session, argv: list[bytes]) -> Reply:
    """HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field …]"""
    bits, time, fields = _options(argv, 1, GETEX_OPTIONS)
    key = argv[1]
    value = s.db.read_hash(key)
    when_ms = None if time is None else _option_ms(s, bits, time, "hgetex")
    if value is None:
        return [None] * len(fields)
    replies: list[Reply] = []
    changed: list[bytes] = []
    for field in fields:
        replies.append(visible(s.keyspace, value, field))
        if when_ms is not None:
            is_changed = _give(s, key, value, field, when_ms, set()) > 0
        else:
            is_changed = bool(bits & PERSIST) and replies[-1] is not None and drop_deadline(s, key, value, field)
        if is_changed:
            changed.append(field)
    if changed:
        _tell_hgetex(s, key, when_ms, changed)
        delete_if_empty(s, key, value)
    return replies


def _tell_hgetex(s: Session, key: bytes, when_ms: int | None, changed: list[bytes]) -> None:
    """Stream and event of an HGETEX that changed fields."""
    counted = (b"FIELDS", b"%d" % len(changed), *changed)
    if when_ms is None:
        s.propagate(b"HPERSIST", key, *counted)
        s.db.changed(key, HASH, b"hpersist", len(changed))
    elif is_past(s.keyspace, when_ms):
        s.keyspace.expired_fields += len(changed)
        s.propagate(b"HDEL", key, *changed)
        s.db.changed(key, HASH, b"hexpired", len(changed))
    else:
        s.propagate(b"HPEXPIREAT", key, b"%d" % when_ms, *counted)
        s.db.changed(key, HASH, b"hexpire", len(changed))


@family.command(
    "hgetdel",
    -5,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="8.0.0",
    summary="Gives the values of fields and deletes them.",
    complexity="O(N), N being the number of fields given",
)
def hgetdel(s: Session, argv: list[bytes]) -> Reply:
    """HGETDEL key FIELDS numfields field [field …]"""
    fields = _named_fields(argv)
    key = argv[1]
    value = s.db.write_hash(key)
    if value is None:
        return [None] * len(fields)
    replies: list[Reply] = []
    deleted: list[bytes] = []
    for field in fields:
        text = visible(s.keyspace, value, field)
        replies.append(text)
        if text is not None:
            delete_field(s, key, value, field)
            deleted.append(field)
    if deleted:
        s.propagate(b"HDEL", key, *deleted)
        s.db.changed(key, HASH, b"hdel", len(deleted))
        delete_if_empty(s, key, value)
    return replies
