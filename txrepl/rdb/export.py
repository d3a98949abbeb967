"""Keys as text: JSON lines, CSV rows, or the commands that make them anew.

JSON writes text as a string, and what is not UTF-8 as `{"base64": "…"}`; every kind of value has one shape, whatever
its bytes: lists of objects, not objects keyed by data. Commands are RESP arrays for `redis-cli --pipe`; they name
absolute times, and fall back to RESTORE where no command can make the value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from math import isinf
from typing import Final

from txrepl.keyspace.numbers import format_double
from txrepl.keyspace.streams import ConsumerGroup, StreamId, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    ModuleValue,
    SetValue,
    SortedSetValue,
    Value,
    type_name,
)
from txrepl.rdb.dump import dump, dump_version

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

CSV_HEADER: Final = ("db", "type", "key", "bytes", "elements", "largest_element_bytes", "expire_ms")

_BATCH: Final = 64
"""Elements in one command, as Redis's own rewrite of the append-only file has it."""


def text(data: bytes) -> Json:
    """A string for JSON; base64 if it is not UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def json_line(db: int, key: bytes, value: Value, expire_ms: int | None) -> str:
    """A key as one line of JSON, without the line break; `expire_ms` is there only if it has a deadline."""
    row: dict[str, Json] = {"db": db, "key": text(key), "type": type_name(value)}
    if expire_ms is not None:
        row["expire_ms"] = expire_ms
    row["value"] = _json_value(value)
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def json_function(source: bytes) -> str:
    """A function library as one line of JSON."""
    return json.dumps({"function": text(source)}, ensure_ascii=False, separators=(",", ":"))


def _json_value(value: Value) -> Json:
    if isinstance(value, bytes):
        return text(value)
    if isinstance(value, ListValue):
        return [text(item) for item in value.items]
    if isinstance(value, SetValue):
        return [text(member) for member in sorted(value.members)]
    if isinstance(value, SortedSetValue):
        return [{"member": text(member), "score": _score(score)} for score, member in value.order()]
    if isinstance(value, HashValue):
        return _json_hash(value)
    if isinstance(value, StreamValue):
        return _json_stream(value)
    payload = base64.b64encode(value.payload).decode("ascii")
    return {"module": module_name(value.module_id), "payload": {"base64": payload}}


def _score(score: float) -> Json:
    """JSON has no infinities."""
    return str(score) if isinf(score) else score


def _json_hash(value: HashValue) -> Json:
    deadlines = value.deadlines or {}
    rows: list[Json] = []
    for field, content in value.fields.items():
        row: dict[str, Json] = {"field": text(field), "value": text(content)}
        if field in deadlines:
            row["expire_ms"] = deadlines[field]
        rows.append(row)
    return rows


def _json_stream(value: StreamValue) -> Json:
    entries: list[Json] = []
    for entry_id, flat in value.range():
        pairs: list[Json] = [
            {"field": text(field), "value": text(content)} for field, content in zip(flat[::2], flat[1::2], strict=True)
        ]
        entries.append({"id": _id(entry_id), "fields": pairs})
    return {
        "last_id": _id(value.last_id),
        "max_deleted_id": _id(value.max_deleted_id),
        "entries_added": value.entries_added,
        "entries": entries,
        "groups": [_json_group(name, group) for name, group in value.groups.items()],
    }


def _json_group(name: bytes, group: ConsumerGroup) -> Json:
    consumers: list[Json] = [
        {"name": text(consumer.name), "seen_ms": consumer.seen_ms, "active_ms": consumer.active_ms}
        for consumer in group.consumers.values()
    ]
    pending: list[Json] = [
        {
            "id": _id(entry_id),
            "consumer": text(entry.consumer.name),
            "delivered_ms": entry.delivered_ms,
            "deliveries": entry.deliveries,
        }
        for entry_id, entry in group.pending.items()
    ]
    return {
        "name": text(name),
        "last_id": _id(group.last_id),
        "entries_read": group.entries_read,
        "consumers": consumers,
        "pending": pending,
    }


def _id(stream_id: StreamId) -> str:
    return f"{stream_id[0]}-{stream_id[1]}"


_MODULE_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(module_id: int) -> str:
    """The nine characters that a module's id spells (`moduleTypeNameByID`)."""
    return "".join(_MODULE_ALPHABET[module_id >> shift & 63] for shift in range(58, 9, -6))


def measure(value: Value) -> tuple[int, int, int]:
    """Bytes of content, number of elements, bytes of the largest element.

    A hash counts fields, a stream entries; an element of those is field and value, or all of an entry.
    """
    if isinstance(value, bytes):
        sizes = [len(value)]
    elif isinstance(value, ListValue):
        sizes = list(map(len, value.items))
    elif isinstance(value, SetValue):
        sizes = list(map(len, value.members))
    elif isinstance(value, SortedSetValue):
        sizes = [len(member) + 8 for member in value.scores]
    elif isinstance(value, HashValue):
        sizes = [len(field) + len(content) for field, content in value.fields.items()]
    elif isinstance(value, StreamValue):
        sizes = [16 + sum(map(len, flat)) for _, flat in value.range()]
    else:
        sizes = [len(value.payload)]
    return sum(sizes), len(sizes), max(sizes, default=0)


def csv_row(db: int, key: bytes, value: Value, expire_ms: int | None) -> tuple[str, ...]:
    """A key as a row below `CSV_HEADER`; bytes that are not UTF-8 are written as `\\xNN`."""
    size, elements, largest = measure(value)
    name = key.decode("utf-8", "backslashreplace")
    expiry = "" if expire_ms is None else str(expire_ms)
    return str(db), type_name(value), name, str(size), str(elements), str(largest), expiry


# -- commands --------------------------------------------------------------------------------------------------------


def encode_command(words: Iterable[bytes]) -> bytes:
    """A command as RESP."""
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


def commands(key: bytes, value: Value, expire_ms: int | None, counters: bool) -> Iterator[list[bytes]]:
    """The commands that make a key that is not there yet.

    Parameters:
        counters: whether stream counters may be set, which servers before 7.0 do not know; they are left out
            where they are what the server would arrive at anyway.
    """
    if isinstance(value, bytes):
        yield [b"SET", key, value]
    elif isinstance(value, ModuleValue) or (isinstance(value, StreamValue) and _is_beyond_commands(value)):
        version = max(dump_version(value), 10 if counters else 9)
        yield [b"RESTORE", key, b"%d" % (expire_ms or 0), dump(value, version), b"REPLACE", b"ABSTTL"]
        return
    elif isinstance(value, ListValue):
        yield from _batches([b"RPUSH", key], [(item,) for item in value.items])
    elif isinstance(value, SetValue):
        yield from _batches([b"SADD", key], [(member,) for member in value.members])
    elif isinstance(value, SortedSetValue):
        yield from _batches([b"ZADD", key], [(format_double(s), member) for member, s in value.scores.items()])
    elif isinstance(value, HashValue):
        yield from _batches([b"HSET", key], list(value.fields.items()))
        yield from _field_deadlines(key, value)
    else:
        yield from _stream_commands(key, value, counters)
    if expire_ms is not None:
        yield [b"PEXPIREAT", key, b"%d" % expire_ms]


def _batches(head: list[bytes], elements: Sequence[tuple[bytes, ...]]) -> Iterator[list[bytes]]:
    for start in range(0, len(elements), _BATCH):
        yield head + [word for element in elements[start : start + _BATCH] for word in element]


def _field_deadlines(key: bytes, value: HashValue) -> Iterator[list[bytes]]:
    by_time: dict[int, list[bytes]] = {}
    for field, deadline in (value.deadlines or {}).items():
        by_time.setdefault(deadline, []).append(field)
    for deadline, fields in by_time.items():
        yield [b"HPEXPIREAT", key, b"%d" % deadline, b"FIELDS", b"%d" % len(fields), *fields]


def _is_beyond_commands(stream: StreamValue) -> bool:
    """Whether an entry that is gone is still pending: XCLAIM would drop it."""
    return any(entry_id not in stream for group in stream.groups.values() for entry_id in group.pending)


def _stream_commands(key: bytes, stream: StreamValue, counters: bool) -> Iterator[list[bytes]]:
    for entry_id, flat in stream.range():
        yield [b"XADD", key, _id(entry_id).encode(), *flat]
    last_id = _id(stream.last_id).encode()
    if not stream.length:
        # An empty stream is made by an entry that is trimmed at once; 0-0 is no id for one.
        first = last_id if stream.last_id > (0, 0) else b"0-1"
        yield [b"XADD", key, b"MAXLEN", b"0", first, b"x", b"y"]
    if counters:
        added, deleted = b"%d" % stream.entries_added, _id(stream.max_deleted_id).encode()
        yield [b"XSETID", key, last_id, b"ENTRIESADDED", added, b"MAXDELETEDID", deleted]
    elif stream.top_id != stream.last_id or not stream.length:
        yield [b"XSETID", key, last_id]
    for name, group in stream.groups.items():
        created = [b"XGROUP", b"CREATE", key, name, _id(group.last_id).encode()]
        if counters:
            created += [b"ENTRIESREAD", b"%d" % group.entries_read]
        yield created
        for consumer in group.consumers.values():
            yield [b"XGROUP", b"CREATECONSUMER", key, name, consumer.name]
        for entry_id, entry in group.pending.items():
            claim = [b"XCLAIM", key, name, entry.consumer.name, b"0", _id(entry_id).encode()]
            yield [
                *claim,
                b"TIME",
                b"%d" % entry.delivered_ms,
                b"RETRYCOUNT",
                b"%d" % entry.deliveries,
                b"FORCE",
                b"JUSTID",
            ]
