"""XREAD and XREADGROUP: what is new in streams, at once or as soon as there is something.

A group's reading is a write, but not one that replicas could repeat: they are told whose each entry is now
(`XCLAIM … JUSTID`) and how far the group has come (`XGROUP SETID`).
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Blocked, Session
from txrepl.commands.streams_arguments import GroupAtWork, entries_reply, entry_reply, id_after, id_text, strict_id
from txrepl.commands.table import Family, KeySpec
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.streams import FIRST_ID, LAST_ID, Consumer, StreamId, StreamValue
from txrepl.resp.replies import NULL_ARRAY, Keyed, Reply

family = Family("stream")

_NO_GROUP: Final = b"No such key '%b' or consumer group '%b' in XREADGROUP with GROUP option"
_ONLY_GROUPED: Final = "ERR The %s option is only supported by XREADGROUP. You called XREAD instead."
_MEANINGLESS: Final = (
    "ERR The {0} ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by "
    "specifying a proper ID, or use the > ID to get new messages. The {0} ID would just return an empty result set."
)
_NEWER: Final = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."


class _Request:
    """The words of XREAD or XREADGROUP.

    Attributes:
        patience_ms: how long to wait, 0 = for ever; None = not at all.
        count: how many entries of each stream at most; 0 = any number.
        group, consumer: whose reading it is; None for XREAD.
        keys, ids: the streams, and as written the ids to read from.
        first: the position of the first id.
    """

    __slots__ = ("consumer", "count", "first", "group", "ids", "keys", "noack", "patience_ms")

    def __init__(self, argv: list[bytes], now_ms: int, *, grouped: bool) -> None:
        self.patience_ms: int | None = None
        self.count: int = 0
        self.noack: bool = False
        self.group: bytes | None = None
        self.consumer: bytes = b""
        at = 1
        while True:
            option = argv[at].upper() if at < len(argv) else b""
            more = len(argv) - at - 1
            if option == b"BLOCK" and more:
                self.patience_ms = _patience(argv[at + 1], now_ms)
                at += 2
            elif option == b"COUNT" and more:
                self.count = max(integer(argv[at + 1]), 0)
                at += 2
            elif option == b"STREAMS" and more:
                break
            elif option == b"GROUP" and more >= 2:
                if not grouped:
                    raise CommandError(
                        "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
                    )
                self.group, self.consumer = argv[at + 1], argv[at + 2]
                at += 3
            elif option == b"NOACK":
                if not grouped:
                    raise CommandError(
                        "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
                    )
                self.noack = True
                at += 1
            else:
                raise CommandError(SYNTAX)
        streams, odd = divmod(len(argv) - at - 1, 2)
        if odd:
            name, symbol = ("xreadgroup", ">") if grouped else ("xread", "$")
            raise CommandError(
                f"ERR Unbalanced '{name}' list of streams: for each stream key an ID or '{symbol}' must be specified."
            )
        if grouped and self.group is None:
            raise CommandError("ERR Missing GROUP option for XREADGROUP")
        self.first: int = at + 1 + streams
        self.keys: list[bytes] = argv[at + 1 : self.first]
        self.ids: list[bytes] = argv[self.first :]


def _patience(text: bytes, now_ms: int) -> int:
    """BLOCK's ms (`getTimeoutFromObjectOrReply`)."""
    patience_ms = integer(text, "ERR timeout is not an integer or out of range")
    if patience_ms < 0:
        raise CommandError("ERR timeout is negative")
    if patience_ms > INT64_MAX - now_ms:
        raise CommandError("ERR timeout is out of range")
    return patience_ms


# -- XREAD --------------------------------------------------------------------------------------------------------


def _before_last(stream: StreamValue | None) -> StreamId:
    """What `+` means: the id before that of the last entry that is there (Redis 7.4); without one, the beginning."""
    if stream is None or not stream.length:
        return FIRST_ID if stream is None else stream.last_id
    ms, sequence = stream.top_id
    return (ms, sequence - 1) if sequence else (ms - 1, LAST_ID[1])


@family.command(
    "xread",
    -4,
    "readonly blocking",
    KeySpec("RO ACCESS", 1, keyword="STREAMS", last=-1, limit=2),
    since="5.0.0",
    summary="Gives the entries of streams above given ids, waiting for some.",
)
def xread(s: Session, argv: list[bytes]) -> Reply:
    """XREAD [COUNT count] [BLOCK milliseconds] STREAMS key [key …] id [id …]"""
    request = _Request(argv, s.keyspace.now_ms, grouped=False)
    starts: list[StreamId] = []
    for key, text in zip(request.keys, request.ids, strict=True):
        stream = s.db.read_stream(key)
        if text == b"$":
            starts.append(FIRST_ID if stream is None else stream.last_id)
        elif text == b"+":
            starts.append(_before_last(stream))
        elif text == b">":
            raise CommandError(_NEWER)
        else:
            starts.append(strict_id(text))
    found = Keyed()
    for key, start in zip(request.keys, starts, strict=True):
        stream = s.db.read_stream(key)
        if stream is not None and stream.length and stream.top_id > start:
            entries = stream.range(id_after(start) or LAST_ID)
            found.append((key, entries_reply(islice(entries, request.count or None))))
    if found:
        return found
    if request.patience_ms is None or not s.may_block:
        return NULL_ARRAY
    # The command is run again when there is something new: `$` is the end as it was when the waiting began.
    argv[request.first :] = [
        id_text(start) if text in (b"$", b"+") else text for text, start in zip(request.ids, starts, strict=True)
    ]
    return Blocked(request.keys, request.patience_ms)


# -- XREADGROUP ---------------------------------------------------------------------------------------------------


@family.command(
    "xreadgroup",
    -7,
    "write blocking",
    KeySpec("RO ACCESS", 4, keyword="STREAMS", last=-1, limit=2),
    since="5.0.0",
    summary="Gives a consumer the new entries of its group, or those pending for it, waiting for new ones.",
    complexity="For each stream mentioned: O(M) with M being the number of elements returned.",
)
def xreadgroup(s: Session, argv: list[bytes]) -> Reply:
    """XREADGROUP GROUP group consumer [COUNT count] [BLOCK milliseconds] [NOACK] STREAMS key [key …] id [id …]"""
    request = _Request(argv, s.keyspace.now_ms, grouped=True)
    name = request.group
    assert name is not None
    asked: list[tuple[GroupAtWork, StreamId]] = []
    for key, text in zip(request.keys, request.ids, strict=True):
        work = GroupAtWork(s, s.db.read(key), key, name, missing=_NO_GROUP)
        if text in (b"$", b"+"):
            raise CommandError(_MEANINGLESS.format(text.decode()))
        asked.append((work, LAST_ID if text == b">" else strict_id(text)))
    s.suppress()
    found = Keyed()
    for work, start in asked:
        is_new = request.consumer not in work.group.consumers
        consumer = work.consumer(request.consumer)
        if is_new and request.noack:
            work.propagate_consumer(consumer)
        if start != LAST_ID:
            found.append((work.key, _history(work, consumer, id_after(start) or LAST_ID, request.count)))
        elif work.stream.length and work.stream.top_id > work.group.last_id:
            found.append((work.key, _deliver(work, consumer, request)))
        else:
            continue
        s.keyspace.dirty += 1
    if found:
        return found
    if request.patience_ms is None or not s.may_block:
        return NULL_ARRAY
    return Blocked(request.keys, request.patience_ms, on_any_change=True)


def _history(work: GroupAtWork, consumer: Consumer, start: StreamId, count: int) -> list[Reply]:
    """What is pending for the consumer (`streamReplyWithRangeFromConsumerPEL`)."""
    now_ms = work.session.keyspace.now_ms
    reply: list[Reply] = []
    for entry_id in islice(consumer.pending.irange(start), count or None):
        entry = work.stream.get(entry_id)
        if entry is not None:
            place = consumer.pending[entry_id]
            place.delivered_ms = now_ms
            place.deliveries += 1
        reply.append(entry_reply(entry_id, entry))
    return reply


def _deliver(work: GroupAtWork, consumer: Consumer, request: _Request) -> list[Reply]:
    """What the group has not been given yet, now pending for the consumer unless NOACK (`streamReplyWithRange`)."""
    now_ms = work.session.keyspace.now_ms
    stream, group = work.stream, work.group
    taken = list(islice(stream.range(id_after(group.last_id) or LAST_ID), request.count or None))
    for entry_id, _ in taken:
        stream.advance(group, entry_id)
        if not request.noack:
            work.propagate_claim(id_text(entry_id), group.assign(entry_id, consumer, now_ms, 1))
            consumer.active_ms = now_ms
    work.propagate_position()
    return entries_reply(taken)
