"""What stream commands have in common: ids, entries as replies, and the commands that stand for what a group did."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from txrepl.commands.session import Session
from txrepl.errors import WRONG_TYPE, CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.numbers import parse_integer
from txrepl.keyspace.streams import (
    FIRST_ID,
    LAST_ID,
    Consumer,
    ConsumerGroup,
    Entry,
    PendingEntry,
    StreamId,
    StreamValue,
)
from txrepl.keyspace.values import Value
from txrepl.resp.replies import NULL_ARRAY, Reply

STREAM: Final = int(Event.STREAM)

_BAD_ID: Final = "ERR Invalid stream ID specified as stream command argument"
_BAD_START: Final = "ERR invalid start ID for the interval"
_BAD_END: Final = "ERR invalid end ID for the interval"
_LONGEST_ID: Final = 127
_NUMBER_MAX: Final = LAST_ID[0]
_SPELLED_NUMBER: Final = re.compile(rb"[ \t-\r]*([+-]?[0-9]+)\Z")


def _unsigned(text: bytes) -> int | None:
    """An unsigned 64-bit integer as C reads it where it is not canonical (`string2ull`): blanks, signs, zeros."""
    number = parse_integer(text)
    if number is not None:
        return number if number >= 0 else None
    spelled = _SPELLED_NUMBER.match(text)
    if spelled is None:
        return None
    number = int(spelled[1])
    return number & _NUMBER_MAX if -_NUMBER_MAX <= number <= _NUMBER_MAX else None


def id_text(entry_id: StreamId) -> bytes:
    """An id as clients see it."""
    return b"%d-%d" % entry_id


def open_id(text: bytes, missing_seq: int = 0) -> tuple[int, int | None]:
    """The id of XADD, without `*`: milliseconds and sequence number, None for `ms-*`.

    Parameters:
        missing_seq: the sequence number where only milliseconds are given.

    Raises:
        CommandError: it is no id.
    """
    if len(text) > _LONGEST_ID:
        raise CommandError(_BAD_ID)
    first, dash, second = text.partition(b"\0")[0].partition(b"-")  # a C string: nothing is read from a NUL on
    ms = _unsigned(first)
    if ms is None:
        raise CommandError(_BAD_ID)
    if not dash:
        return ms, missing_seq
    if second == b"*":
        return ms, None
    seq = _unsigned(second)
    if seq is None:
        raise CommandError(_BAD_ID)
    return ms, seq


def strict_id(text: bytes, missing_seq: int = 0) -> StreamId:
    """An id that is neither `-` nor `+` (`streamParseStrictIDOrReply`); as `open_id`, without `ms-*`."""
    ms, seq = open_id(text, missing_seq)
    if seq is None:
        raise CommandError(_BAD_ID)
    return ms, seq


def loose_id(text: bytes, missing_seq: int = 0) -> StreamId:
    """An id, or `-` or `+` for the least and the greatest (`streamParseIDOrReply`); raises CommandError."""
    if text == b"-":
        return FIRST_ID
    return LAST_ID if text == b"+" else strict_id(text, missing_seq)


def id_after(entry_id: StreamId) -> StreamId | None:
    """The next id (`streamIncrID`); None after the last."""
    ms, seq = entry_id
    if seq < _NUMBER_MAX:
        return ms, seq + 1
    return (ms + 1, 0) if ms < _NUMBER_MAX else None


def interval_start(text: bytes) -> StreamId:
    """The first id of a range: an id, `-` or `+`, with `(` before an id that is not included.

    Raises:
        CommandError: it is no id, or nothing is above it.
    """
    if len(text) < 2 or text[:1] != b"(":
        return loose_id(text)
    after = id_after(strict_id(text[1:]))
    if after is None:
        raise CommandError(_BAD_START)
    return after


def interval_end(text: bytes) -> StreamId:
    """The last id of a range; see `interval_start`."""
    if len(text) < 2 or text[:1] != b"(":
        return loose_id(text, _NUMBER_MAX)
    ms, seq = strict_id(text[1:], _NUMBER_MAX)
    if seq:
        return ms, seq - 1
    if not ms:
        raise CommandError(_BAD_END)
    return ms - 1, _NUMBER_MAX


def wrong_subcommand_words(argv: list[bytes]) -> CommandError:
    """What Redis says to words that a subcommand does not take (`addReplySubcommandSyntaxError`)."""
    shown = argv[1][:128].partition(b"\0")[0]
    return CommandError(
        b"ERR unknown subcommand or wrong number of arguments for '%b'. Try %b HELP." % (shown, argv[0].upper())
    )


# -- replies ------------------------------------------------------------------------------------------------------


def entry_reply(entry_id: StreamId, entry: Entry | None) -> Reply:
    """An entry with its id; None for one that is gone."""
    return [id_text(entry_id), NULL_ARRAY if entry is None else list(entry)]


def entries_reply(entries: Iterable[tuple[StreamId, Entry]]) -> list[Reply]:
    """Entries with their ids."""
    return [[b"%d-%d" % entry_id, list(entry)] for entry_id, entry in entries]


# -- groups and consumers -----------------------------------------------------------------------------------------


def existing_group(stream: StreamValue, key: bytes, name: bytes) -> ConsumerGroup:
    """A group of a stream that there is; raises CommandError if it has no such group."""
    group = stream.groups.get(name)
    if group is None:
        raise no_group(b"No such consumer group '%b' for key name '%b'", name, key)
    return group


def no_group(message: bytes, *names: bytes) -> CommandError:
    """NOGROUP with names in it, which C's printf ends at a NUL."""
    return CommandError(b"NOGROUP " + message % tuple(name.partition(b"\0")[0] for name in names))


class GroupAtWork:
    """A group that a command works on, and what replicas are told of it.

    Parameters:
        value: what the key holds.
        key, name: of the stream and of the group.
        missing: what to say if either is missing, after `NOGROUP `, with a place for key and name.

    Raises:
        CommandError: there is no such stream or group, or the key holds another type.
    """

    __slots__ = ("group", "key", "name", "session", "stream")

    def __init__(self, session: Session, value: Value | None, key: bytes, name: bytes, *, missing: bytes) -> None:
        if value is not None and not isinstance(value, StreamValue):
            raise CommandError(WRONG_TYPE)
        group = None if value is None else value.groups.get(name)
        if value is None or group is None:
            raise no_group(missing, key, name)
        session.db.resized(key)
        self.session = session
        self.key = key
        self.name = name
        self.stream: StreamValue = value
        self.group: ConsumerGroup = group

    def consumer(self, name: bytes) -> Consumer:
        """The consumer, made if there is none, and seen now."""
        consumer = self.group.consumers.get(name)
        if consumer is None:
            consumer = create_consumer(self.session, self.key, self.group, name)
        consumer.seen_ms = self.session.keyspace.now_ms
        return consumer

    def propagate_claim(self, entry_id: bytes, entry: PendingEntry) -> None:
        """Whose an entry is now, and that the group has come so far (`streamPropagateXCLAIM`)."""
        words = (b"XCLAIM", self.key, self.name, entry.consumer.name, b"0", entry_id)
        delivered = (b"TIME", b"%d" % entry.delivered_ms, b"RETRYCOUNT", b"%d" % entry.deliveries)
        self.session.propagate(*words, *delivered, b"FORCE", b"JUSTID", b"LASTID", id_text(self.group.last_id))

    def propagate_position(self) -> None:
        """How far the group has come (`streamPropagateGroupID`)."""
        reads = b"%d" % self.group.entries_read
        position = id_text(self.group.last_id)
        self.session.propagate(b"XGROUP", b"SETID", self.key, self.name, position, b"ENTRIESREAD", reads)

    def propagate_consumer(self, consumer: Consumer) -> None:
        """That there is such a consumer (`streamPropagateConsumerCreation`)."""
        self.session.propagate(b"XGROUP", b"CREATECONSUMER", self.key, self.name, consumer.name)


def create_consumer(s: Session, key: bytes, group: ConsumerGroup, name: bytes) -> Consumer:
    """A new consumer, announced and counted as a change (`streamCreateConsumer`)."""
    consumer = group.consumers[name] = Consumer(name, s.keyspace.now_ms)
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xgroup-createconsumer", key)
    return consumer
