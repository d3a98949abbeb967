"""Deleting entries of streams with regard to the groups that still refer to them (Redis 8.2): XDELEX, XACKDEL, and the
same words for the trimming of XADD and XTRIM.

KEEPREF deletes and leaves what is pending pending; DELREF takes it out of every group; ACKED deletes only what every
group has read and acknowledged. In the stream stands what was done, as XACK and XDEL, which every server knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from txrepl.commands.arguments import integer_between
from txrepl.commands.session import Session
from txrepl.commands.streams_arguments import id_text, strict_id
from txrepl.commands.table import Family, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.streams import StreamId, StreamValue
from txrepl.resp.replies import Reply

family = Family("stream")

KEEPREF: Final = b"keepref"
DELREF: Final = b"delref"
ACKED: Final = b"acked"
POLICIES: Final = frozenset((KEEPREF, DELREF, ACKED))

_ABSENT: Final = -1
_DELETED: Final = 1
_STILL_NEEDED: Final = 2


def is_needed(stream: StreamValue, entry_id: StreamId) -> bool:
    """Whether some group has not read the entry yet, or not acknowledged it (`streamEntryIsReferenced`)."""
    return any(group.last_id < entry_id or entry_id in group.pending for group in stream.groups.values())


def release_everywhere(stream: StreamValue, ids: Iterable[StreamId]) -> dict[bytes, list[StreamId]]:
    """Take entries out of what is pending in any group; returns what was pending, by group."""
    released: dict[bytes, list[StreamId]] = {}
    wanted = list(ids)
    for name, group in stream.groups.items():
        gone = [entry_id for entry_id in wanted if group.release(entry_id)]
        if gone:
            released[name] = gone
    return released


def propagate_released(s: Session, key: bytes, released: dict[bytes, list[StreamId]]) -> None:
    """Put what was taken out of groups into the stream."""
    for name, ids in released.items():
        s.propagate(b"XACK", key, name, *map(id_text, ids))
        s.keyspace.dirty += len(ids)


def propagate_deleted(s: Session, key: bytes, deleted: list[StreamId]) -> None:
    """Put deletions into the stream."""
    if deleted:
        s.propagate(b"XDEL", key, *map(id_text, deleted))


def _arguments(argv: list[bytes], start: int) -> tuple[bytes, list[StreamId]]:
    """The policy and the ids; `IDS numids id …` may stand before the policy or behind it.

    Raises:
        CommandError: other words, or a wrong count.
    """
    policy = b""
    words: list[bytes] = []
    at = start
    while at < len(argv):
        word = argv[at].lower()
        if word in POLICIES and not policy:
            policy = word
            at += 1
        elif word == b"ids" and at + 1 < len(argv) and not words:
            count = integer_between(argv[at + 1], 1, INT64_MAX, "ERR Number of IDs must be a positive integer")
            words = argv[at + 2 : at + 2 + count]
            if len(words) < count:
                raise CommandError("ERR The `numids` parameter must match the number of arguments")
            at += 2 + count
        else:
            raise CommandError(SYNTAX)
    if not words:
        raise CommandError("ERR IDS option is required")
    return policy or KEEPREF, [strict_id(word) for word in words]


class _Deletion:
    """What one command deletes, and what it takes out of groups.

    Parameters:
        stream: where.
        policy: one of `POLICIES`.

    Attributes:
        deleted: the entries that are gone.
        released: what was pending and is no more, by group.
    """

    def __init__(self, stream: StreamValue, policy: bytes) -> None:
        self._stream = stream
        self._policy = policy
        self.deleted: list[StreamId] = []
        self.released: dict[bytes, list[StreamId]] = {}

    def release(self, name: bytes, entry_id: StreamId) -> bool:
        """Acknowledge an entry in one group; False if it was not pending there."""
        if not self._stream.groups[name].release(entry_id):
            return False
        self.released.setdefault(name, []).append(entry_id)
        return True

    def delete(self, entry_id: StreamId) -> int:
        """Delete an entry if the policy allows; what happened, as the reply tells it."""
        stream = self._stream
        if self._policy == ACKED and is_needed(stream, entry_id):
            return _STILL_NEEDED if entry_id in stream else _ABSENT
        if self._policy == DELREF:
            for name, ids in release_everywhere(stream, [entry_id]).items():
                self.released.setdefault(name, []).extend(ids)
        if not stream.discard(entry_id):
            return _ABSENT
        self.deleted.append(entry_id)
        return _DELETED

    def tell(self, s: Session, key: bytes) -> None:
        """Effects, counts and the event."""
        propagate_released(s, key, self.released)
        propagate_deleted(s, key, self.deleted)
        if self.deleted:
            s.db.changed(key, Event.STREAM, b"xdel", len(self.deleted))


@family.command(
    "xdelex",
    -5,
    "write fast",
    key_at(1, "RW DELETE"),
    since="8.2.0",
    summary="Deletes entries of a stream, with regard to the groups that refer to them.",
    complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
)
def xdelex(s: Session, argv: list[bytes]) -> Reply:
    """XDELEX key [KEEPREF | DELREF | ACKED] IDS numids id [id …]"""
    policy, ids = _arguments(argv, 2)
    stream = s.db.write_stream(argv[1])
    if stream is None:
        return [_ABSENT] * len(ids)
    deletion = _Deletion(stream, policy)
    replies: list[Reply] = [deletion.delete(entry_id) for entry_id in ids]
    deletion.tell(s, argv[1])
    return replies


@family.command(
    "xackdel",
    -6,
    "write fast",
    key_at(1, "RW UPDATE DELETE"),
    since="8.2.0",
    summary="Acknowledges entries in a group and deletes them, with regard to the other groups.",
    complexity="O(1) for each message ID processed.",
)
def xackdel(s: Session, argv: list[bytes]) -> Reply:
    """XACKDEL key group [KEEPREF | DELREF | ACKED] IDS numids id [id …]"""
    policy, ids = _arguments(argv, 3)
    stream = s.db.write_stream(argv[1])
    if stream is None or argv[2] not in stream.groups:
        return [_ABSENT] * len(ids)
    deletion = _Deletion(stream, policy)
    replies: list[Reply] = [
        deletion.delete(entry_id) if deletion.release(argv[2], entry_id) else _ABSENT for entry_id in ids
    ]
    deletion.tell(s, argv[1])
    return replies
