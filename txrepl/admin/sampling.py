"""A key as it is seen on either server, and another server's replies read as what they should be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from txrepl.errors import CommandError, RdbError, ReplicationError
from txrepl.keyspace.digest import EXPIRES, value_digest_steps
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import HashValue, ListValue, ModuleValue, SetValue, SortedSetValue, Value
from txrepl.rdb.dump import restore
from txrepl.resp.answers import Answer

_SAMPLED: Final = 50
"""How many elements of a value tell how large it is."""

OTHER, SKIPPED, TORN = -1, -2, -3
"""In place of a digest: it is surely another value; it is not compared; it changed while it was read."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A key as it was seen.

    Attributes:
        digest: None if it was absent.
        deadline: unix ms; None without.
        offset: of the other server's history, then; -1 if it was not asked for, or read here.
    """

    digest: int | None
    deadline: int | None = None
    offset: int = -1


ABSENT: Final = -2
"""What PTTL and PEXPIRETIME say of a key that is not there."""


def sample_of(digest: int, deadline: int | None, offset: int) -> Sample:
    """What was seen; nothing if its deadline says that there is no key."""
    return Sample(None, None, offset) if deadline == ABSENT else Sample(digest, deadline, offset)


def facts(reply: Answer) -> dict[str, str]:
    """The lines of INFO."""
    if not isinstance(reply, bytes):
        raise ReplicationError("INFO there is not as Redis has it")
    lines = reply.decode("utf-8", "backslashreplace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def milliseconds(reply: Answer) -> int:
    """What TIME says, in unix ms."""
    match reply:
        case [bytes() as seconds, bytes() as micros] if seconds.isdigit() and micros.isdigit():
            return int(seconds) * 1000 + int(micros) // 1000
    if isinstance(reply, CommandError):
        raise reply
    raise ReplicationError("TIME there is not as Redis has it")


def undated(digest: Answer, deadline: int | None) -> int:
    """A digest without the mark that DEBUG DIGEST-VALUE puts on keys that expire."""
    text = digest.decode("latin-1") if isinstance(digest, bytes) else digest
    if not isinstance(text, str) or len(text) != 40:
        raise ReplicationError("DEBUG DIGEST-VALUE there is not as Redis has it")
    try:
        number = int(text, 16)
    except ValueError:
        raise ReplicationError("DEBUG DIGEST-VALUE there is not as Redis has it") from None
    return number if deadline is None else number ^ EXPIRES


def length_asked(value: Value | None, key: bytes) -> tuple[tuple[bytes, ...], int]:
    """The command that says how long a value of this type is there, and how long it is here; -1 if there is none."""
    match value:
        case bytes():
            return (b"STRLEN", key), len(value)
        case ListValue():
            return (b"LLEN", key), len(value.items)
        case SetValue():
            return (b"SCARD", key), len(value.members)
        case HashValue():
            return (b"HLEN", key), len(value.fields)
        case SortedSetValue():
            return (b"ZCARD", key), len(value.scores)
        case StreamValue():
            return (b"XLEN", key), value.length
        case ModuleValue():
            return (b"EXISTS", key), 1
    return (b"EXISTS", key), -1


def about_size(value: Value) -> int:
    """About how many bytes a value takes, told by its first elements."""
    match value:
        case bytes():
            return len(value)
        case ListValue():
            return _about(len(value.items), (len(item) for item in islice(value.items, _SAMPLED)))
        case SetValue():
            return _about(len(value.members), (len(item) for item in islice(value.members, _SAMPLED)))
        case SortedSetValue():
            return _about(len(value.scores), (len(item) + 8 for item in islice(value.scores, _SAMPLED)))
        case HashValue():
            pairs = islice(value.fields.items(), _SAMPLED)
            return _about(len(value.fields), (len(name) + len(text) for name, text in pairs))
        case StreamValue():
            entries = islice(value.range(), _SAMPLED)
            return _about(value.length, (16 + sum(map(len, parts)) for _, parts in entries))
        case ModuleValue():
            return len(value.payload)


def _about(count: int, sizes: Iterator[int]) -> int:
    found = list(sizes)
    return count * (8 + sum(found) // max(1, len(found)))


def module_digest(value: ModuleValue) -> int:
    return int.from_bytes(hashlib.sha1(b"%d %b" % (value.module_id, value.payload)).digest(), "big")


def payload_digest(payload: bytes) -> int:
    """The digest of a dumped value; `SKIPPED` if it cannot be read."""
    try:
        value = restore(payload)
    except RdbError:
        return SKIPPED
    if isinstance(value, ModuleValue):
        return module_digest(value)
    steps = value_digest_steps(value)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            digest: int = stop.value
            return digest
