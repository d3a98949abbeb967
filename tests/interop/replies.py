"""What of a reply two servers have to agree on: everything but order, time and chance, where Redis promises none."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from math import log10
from typing import Any

from tests.interop.grammar import Words, called

_NEAR_MS = 10 * 24 * 3600 * 1000
_TIMES = re.compile(rb"(?<![0-9])[0-9]{10}(?:[0-9]{3})?(?![0-9])")

Value = tuple[bytes, Any]
"""The type byte of RESP, and the payload: bytes, or a tuple of values."""


def without_now(data: bytes) -> bytes:
    """A text with every unix time within ten days of now masked: two servers read two clocks."""
    if not _TIMES.search(data):
        return data
    now_ms = time.time() * 1000

    def mask(found: re.Match[bytes]) -> bytes:
        number = int(found[0])
        return b"<now>" if abs((number if len(found[0]) == 13 else number * 1000) - now_ms) < _NEAR_MS else found[0]

    return _TIMES.sub(mask, data)


def parse(raw: bytes) -> Value:
    """One whole reply as a value in which types are told apart; the null of RESP2 has a type of its own.

    Raises:
        ValueError: something follows the reply.
    """
    value, end = _parse(raw, 0)
    if end != len(raw):
        raise ValueError(f"{raw[end:]!r} after a reply")
    return value


def _masked(value: Value) -> Value:
    kind, payload = value
    return kind, tuple(_masked(item) for item in payload) if isinstance(payload, tuple) else without_now(payload)


def _parse(raw: bytes, at: int) -> tuple[Value, int]:
    end = raw.index(b"\n", at) + 1
    kind, rest = raw[at : at + 1], raw[at + 1 : end - 2]
    if kind in b"$*" and rest == b"-1":
        return (kind + b"-1", b""), end
    if kind in b"$=!":
        size = int(rest)
        return (kind, raw[end : end + size]), end + size + 2
    if kind in b"*~>%|":
        items = []
        at = end
        for _ in range(int(rest) * (2 if kind in b"%|" else 1)):
            item, at = _parse(raw, at)
            items.append(item)
        return (kind, tuple(items)), at
    return (kind, rest), end


_UNORDERED = frozenset(b"KEYS SMEMBERS SINTER SUNION SDIFF HKEYS HVALS PUBSUB".split())
_BY_CHANCE = frozenset(b"SPOP SRANDMEMBER HRANDFIELD ZRANDMEMBER RANDOMKEY".split())
_SCANS = frozenset(b"SCAN HSCAN SSCAN ZSCAN".split())
_PAIRED_SCANS = frozenset((b"HSCAN", b"ZSCAN"))
_UNFLAGGED = re.compile(rb"[*~]\d+\r\n(?=\+)")


def answered(words: Words, raw: bytes, queued: Sequence[Words]) -> list[tuple[Words, Any]]:
    """The commands that a reply answers, each with what of the answer has to be equal.

    Parameters:
        words: the command.
        raw: its reply.
        queued: for EXEC, the commands of the transaction, which have a part of the reply each.
    """
    value = _masked(parse(raw))
    if queued and isinstance(value[1], tuple) and len(value[1]) == len(queued):
        return [
            (called, _shown(called, called[0].upper(), part)) for called, part in zip(queued, value[1], strict=True)
        ]
    return [(words, _shown(words, words[0].upper(), value))]


def _shown(words: Words, name: bytes, value: Value) -> Value:
    kind, payload = value
    inner = called(words)
    if inner is not words:
        if kind == b"-":
            return kind, re.sub(rb" script: .*", b"", payload, flags=re.DOTALL)
        return _shown(inner, inner[0].upper(), value)
    if name == b"FUNCTION" and isinstance(payload, tuple):
        return _keyed(value)
    if kind == b"%" and name.startswith((b"EVAL", b"FCALL")):
        return kind, _pairs(payload)
    if kind in (b"-", b"_", b"$-1", b"*-1"):
        return value
    if name in _UNORDERED and isinstance(payload, tuple):
        return kind, tuple(sorted(payload))
    if name == b"HGETALL":
        return kind, _pairs(payload)
    if name in _SCANS and isinstance(payload, tuple):
        cursor, (shape, items) = payload
        return kind, (cursor, (shape, _pairs(items) if name in _PAIRED_SCANS else tuple(sorted(items))))
    if name in _BY_CHANCE or name == b"TIME":
        return _shape(value)
    if name.startswith(b"SORT") and isinstance(payload, tuple) and _is_unsorted(words):
        return kind, tuple(sorted(payload))
    if name in (b"PTTL", b"TTL") and kind == b":" and int(payload) > 0:
        return kind, round(log10(int(payload)))
    if name in (b"HTTL", b"HPTTL") and isinstance(payload, tuple):
        return kind, tuple(_shown(words, name[1:], item) for item in payload)
    if name == b"OBJECT" and words[1].upper() == b"IDLETIME" and kind == b":":
        return kind, b"<idle>"
    if name == b"DUMP" or (name == b"FUNCTION" and words[1:2] and words[1].upper() == b"DUMP"):
        return kind, b"<payload>"
    if name == b"COMMAND":
        return _sets_sorted(value)
    if name == b"XPENDING":
        return _idle_masked(value)
    if name == b"XINFO":
        return _times_masked(value)
    return value


def _keyed(value: Value) -> Value:
    """Lists of maps, maps and lists in one order: libraries and functions have none."""
    kind, payload = value
    return kind, tuple(sorted(map(_keyed, payload), key=repr)) if isinstance(payload, tuple) else payload


def _pairs(items: tuple[Value, ...]) -> tuple[Value, ...]:
    """Fields with their values, members with their scores, sorted by the former."""
    return tuple(item for pair in sorted(zip(items[::2], items[1::2], strict=True)) for item in pair)


def _shape(value: Value) -> Value:
    kind, payload = value
    return kind, tuple(_shape(item) for item in payload) if isinstance(payload, tuple) else b""


def _is_unsorted(words: Words) -> bool:
    """Whether SORT's order is not promised: with texts that may be alike, or not sorted at all."""
    lower = [word.lower() for word in words]
    return b"by" in lower and (
        b"alpha" in lower or any(b"*" not in words[at + 1] for at, word in enumerate(lower[:-1]) if word == b"by")
    )


def _sets_sorted(value: Value) -> Value:
    """The members of sets (of flags, in COMMAND GETKEYSANDFLAGS and INFO) in one order."""
    kind, payload = value
    if not isinstance(payload, tuple):
        return value
    items = [_sets_sorted(item) for item in payload]
    flags = items and all(item[0] == b"+" for item in items)
    return kind, tuple(sorted(items) if kind == b"~" or flags else items)


def _idle_masked(value: Value) -> Value:
    """XPENDING's entries without the idle time."""
    kind, payload = value
    if not isinstance(payload, tuple):
        return value
    return kind, tuple(
        (item[0], (item[1][0], item[1][1], (b":", b"<idle>"), item[1][3]))
        if isinstance(item[1], tuple) and len(item[1]) == 4 and item[1][2][0] == b":"
        else item
        for item in payload
    )


_TIMED = frozenset((b"idle", b"inactive", b"seen-time", b"active-time"))


def _times_masked(value: Value) -> Value:
    """XINFO's replies without the times of consumers."""
    kind, payload = value
    if not isinstance(payload, tuple):
        return value
    items = list(payload)
    for position in range(len(items) - 1):
        if items[position][1] in _TIMED and items[position + 1][0] == b":" and items[position + 1][1] != b"-1":
            items[position + 1] = (b":", b"<time>")
    return kind, tuple(_times_masked(item) for item in items)
