"""DEBUG DIGEST: forty hex digits that are equal exactly when two servers hold the same data.

The rule: what has an order is mixed (each step hashes all before it), what has none is XORed, so neither the
order of keys, members and fields nor their encoding matters. Follows `computeDatasetDigest` and
`xorObjectDigest` of Redis's debug.c, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from txrepl.keyspace.database import Database, Keyspace
from txrepl.keyspace.numbers import format_double_legacy, format_double_short
from txrepl.keyspace.streams import StreamId, StreamValue
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value

try:  # the interpreter's own SHA-1 takes half the time of OpenSSL's for inputs as short as keys
    from _sha1 import sha1  # type: ignore[import-not-found]
except ImportError:  # pragma: no cover - an interpreter built without it
    from hashlib import sha1

SIZE: Final = 20


def _sum(data: bytes) -> int:
    """SHA-1 as an integer, so that XOR is one operation."""
    return int.from_bytes(sha1(data).digest(), "big")


def _mixed(digest: int, data: bytes) -> int:
    """`mixDigest`: XOR the hash of the data in, then hash the result."""
    return int.from_bytes(
        sha1((digest ^ int.from_bytes(sha1(data).digest(), "big")).to_bytes(SIZE, "big")).digest(), "big"
    )


def _fresh(data: bytes) -> int:
    """`mixDigest` of a digest that is all zeros."""
    return int.from_bytes(sha1(sha1(data).digest()).digest(), "big")


def _type_sum(number: int) -> int:
    return _sum(number.to_bytes(4, "big"))


STRING: Final = _type_sum(0)
LIST: Final = _type_sum(1)
SET: Final = _type_sum(2)
SORTED_SET: Final = _type_sum(3)
HASH: Final = _type_sum(4)
MODULE: Final = _type_sum(5)
STREAM: Final = _type_sum(6)
EXPIRES: Final = _sum(b"!!expire!!")
FIELD_EXPIRES: Final = _sum(b"!!hexpire!!")


def _opened(digest: int, type_sum: int) -> int:
    """The digest after the value's type was mixed in."""
    return int.from_bytes(sha1((digest ^ type_sum).to_bytes(SIZE, "big")).digest(), "big")


def _list_items(digest: int, items: Iterable[bytes]) -> int:
    for item in items:
        digest = _mixed(digest, item)
    return digest


def _set_members(digest: int, members: Iterable[bytes]) -> int:
    for member in members:
        digest ^= _sum(member)
    return digest


def _scored_members(digest: int, scores: Iterable[tuple[bytes, float]], legacy: bool) -> int:
    form = format_double_legacy if legacy else format_double_short
    for member, score in scores:
        digest ^= _sum(_mixed(_fresh(member), form(score)).to_bytes(SIZE, "big"))
    return digest


def _hash_fields(digest: int, fields: Iterable[tuple[bytes, bytes]], deadlines: dict[bytes, int] | None) -> int:
    for field, content in fields:
        pair = _mixed(_fresh(field), content)
        if deadlines and field in deadlines:
            pair ^= FIELD_EXPIRES
        digest ^= _sum(pair.to_bytes(SIZE, "big"))
    return digest


def _stream_entries(digest: int, entries: Iterable[tuple[StreamId, Iterable[bytes]]]) -> int:
    for entry_id, parts in entries:
        digest = _mixed(digest, b"%d.%d" % entry_id)
        for part in parts:
            digest = _mixed(digest, part)
    return digest


def _value_mixed(digest: int, value: Value, legacy: bool, field_deadlines: bool) -> int:
    """`xorObjectDigest` without the deadline. Of a module's value only the type counts: its digest is the module's."""
    if isinstance(value, bytes):
        return _mixed(_opened(digest, STRING), value)
    if isinstance(value, HashValue):
        deadlines = value.deadlines if field_deadlines else None
        return _hash_fields(_opened(digest, HASH), value.fields.items(), deadlines)
    if isinstance(value, SortedSetValue):
        return _scored_members(_opened(digest, SORTED_SET), value.scores.items(), legacy)
    if isinstance(value, SetValue):
        return _set_members(_opened(digest, SET), value.members)
    if isinstance(value, ListValue):
        return _list_items(_opened(digest, LIST), value.items)
    if isinstance(value, StreamValue):
        return _stream_entries(_opened(digest, STREAM), value.range())
    return _opened(digest, MODULE)


def value_digest_steps(
    value: Value, legacy: bool = False, field_deadlines: bool = True, every: int = 1000
) -> Generator[None, None, int]:
    """`value_digest` without a deadline, in slices of `every` elements or KiB; returns it as a number.

    Parameters:
        value, legacy, field_deadlines: as there. The value may change meanwhile: then the result is of no state of it.

    Raises:
        RuntimeError, IndexError: it got or lost elements between two steps.
    """
    if isinstance(value, bytes):
        return (yield from _bytes_steps(value, every * 1024))
    if isinstance(value, HashValue):
        deadlines = value.deadlines if field_deadlines else None
        digest, items, fold = _opened(0, HASH), iter(value.fields.items()), partial(_hash_fields, deadlines=deadlines)
        return (yield from _folded(digest, items, fold, every))
    if isinstance(value, SortedSetValue):
        scores, score = iter(value.scores.items()), partial(_scored_members, legacy=legacy)
        return (yield from _folded(_opened(0, SORTED_SET), scores, score, every))
    if isinstance(value, SetValue):
        return (yield from _folded(_opened(0, SET), iter(value.members), _set_members, every))
    if isinstance(value, ListValue):
        return (yield from _folded(_opened(0, LIST), iter(value.items), _list_items, every))
    if isinstance(value, StreamValue):
        return (yield from _folded(_opened(0, STREAM), value.range(), _stream_entries, every))
    return _opened(0, MODULE)


def _bytes_steps(value: bytes, size: int) -> Generator[None, None, int]:
    inner = sha1()
    with memoryview(value) as whole:
        for start in range(0, len(value), size):
            inner.update(whole[start : start + size])
            yield
    digest = _opened(0, STRING) ^ int.from_bytes(inner.digest(), "big")
    return int.from_bytes(sha1(digest.to_bytes(SIZE, "big")).digest(), "big")


_Item = TypeVar("_Item")


def _folded(
    digest: int, items: Iterator[_Item], fold: Callable[[int, Iterable[_Item]], int], every: int
) -> Generator[None, None, int]:
    while chunk := list(islice(items, every)):
        digest = fold(digest, chunk)
        yield
    return digest


def _database_steps(
    db: Database, final: int, legacy: bool, field_deadlines: bool, every: int
) -> Generator[int, None, int]:
    """Fold one database into `final`, yielding how many keys were done after each `every` keys."""
    expires = db.expires
    new = sha1
    from_bytes = int.from_bytes
    done = 0
    for key, value in db.data.items():
        if type(value) is bytes:  # the usual case, unrolled: a million times a call would cost more than the hashing
            digest = from_bytes(new(new(key).digest()).digest(), "big") ^ STRING
            digest = from_bytes(new(digest.to_bytes(20, "big")).digest(), "big")
            digest ^= from_bytes(new(value).digest(), "big")
            if expires and key in expires:
                mixed = from_bytes(new(digest.to_bytes(20, "big")).digest(), "big") ^ EXPIRES
                final ^= from_bytes(new(mixed.to_bytes(20, "big")).digest(), "big")
            else:
                final ^= from_bytes(new(new(digest.to_bytes(20, "big")).digest()).digest(), "big")
        else:
            digest = _value_mixed(_fresh(key), value, legacy, field_deadlines)
            if key in expires:
                digest ^= EXPIRES
            final ^= _sum(digest.to_bytes(SIZE, "big"))
        done += 1
        if done == every:
            yield done
            done = 0
    yield done
    return final


def dataset_digest_steps(
    keyspace: Keyspace, legacy: bool = False, field_deadlines: bool = True, every: int = 1000
) -> Generator[int, None, str]:
    """DEBUG DIGEST in slices: yields how many keys were folded in since the last step, returns the forty hex digits.

    Keys that are due but not yet deleted count, as in Redis.

    Parameters:
        keyspace: the databases; nothing may change in them between the first step and the last.
        legacy: print scores as Redis before 7.2 does.
        field_deadlines: let it count which fields of hashes expire, as Redis from 7.4 does and Valkey does not.
        every: keys per slice.

    Raises:
        RuntimeError: a database got or lost a key between two steps.
    """
    final = 0
    for db in keyspace.databases:
        if db.data:
            final = _mixed(final, db.number.to_bytes(4, "big"))
            final = yield from _database_steps(db, final, legacy, field_deadlines, every)
    return final.to_bytes(SIZE, "big").hex()


def dataset_digest(keyspace: Keyspace, legacy: bool = False, field_deadlines: bool = True) -> str:
    """DEBUG DIGEST: forty hex digits; zeros for an empty dataset (`computeDatasetDigest`).

    Parameters:
        keyspace: the databases.
        legacy: print scores as Redis before 7.2 does, to compare with 6.2 and 7.0.
        field_deadlines: let it count which fields of hashes expire, as Redis from 7.4 does and Valkey does not.
    """
    steps = dataset_digest_steps(keyspace, legacy, field_deadlines, 1 << 62)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: str = stop.value
            return result


def value_digest(
    value: Value, deadline_ms: int | None = None, legacy: bool = False, field_deadlines: bool = True
) -> str:
    """DEBUG DIGEST-VALUE of one key: forty hex digits (`xorObjectDigest`); of an absent key Redis says forty zeros.

    Parameters:
        value: what the key holds.
        deadline_ms: the key's deadline (unix ms), None without; only whether there is one counts.
        legacy: print scores as Redis before 7.2 does.
        field_deadlines: let it count which fields of hashes expire, as Redis from 7.4 does and Valkey does not.
    """
    digest = _value_mixed(0, value, legacy, field_deadlines)
    if deadline_ms is not None:
        digest ^= EXPIRES
    return digest.to_bytes(SIZE, "big").hex()
