"""What is pending in a group, and taking it over from another consumer.

Each entry that changes hands goes into the stream as an XCLAIM that says all of it; so does one that is found
deleted: replicas drop it from their pending entries when they do not find it either.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer, integer_between
from txrepl.commands.session import Session
from txrepl.commands.streams_arguments import (
    GroupAtWork,
    entry_reply,
    id_after,
    id_text,
    interval_end,
    interval_start,
    strict_id,
)
from txrepl.commands.table import Family, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.streams import FIRST_ID, LAST_ID, ConsumerGroup, PendingEntry, StreamId
from txrepl.resp.replies import NULL_ARRAY, Reply

family = Family("stream")

_NO_GROUP: Final = b"No such key '%b' or consumer group '%b'"
_ATTEMPTS: Final = 10
"""How many pending entries XAUTOCLAIM looks at for each that it may claim."""
_SLICE: Final = 256
_MOST_CLAIMS: Final = INT64_MAX // 16


def _at_work(s: Session, argv: list[bytes]) -> GroupAtWork:
    return GroupAtWork(s, s.db.read(argv[1]), argv[1], argv[2], missing=_NO_GROUP)


# -- XPENDING -----------------------------------------------------------------------------------------------------


@family.command(
    "xpending",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="5.0.0",
    summary="Tells which entries are pending in a group, in short or one by one.",
    complexity="O(N) with N being the number of elements returned.",
    tips=("nondeterministic_output",),
)
def xpending(s: Session, argv: list[bytes]) -> Reply:
    """XPENDING key group [[IDLE min-idle-time] start end count [consumer]]"""
    if len(argv) == 3:
        return _summary(_at_work(s, argv).group)
    if not 6 <= len(argv) <= 9:
        raise CommandError(SYNTAX)
    at, min_idle_ms = 3, 0
    if argv[3].upper() == b"IDLE":
        min_idle_ms = integer(argv[4])
        at = 5
        if len(argv) < 8:
            raise CommandError(SYNTAX)
    count = max(integer(argv[at + 2]), 0)
    start, end = interval_start(argv[at]), interval_end(argv[at + 1])
    group = _at_work(s, argv).group
    pending = group.pending
    if len(argv) > at + 3:
        consumer = group.consumers.get(argv[at + 3])
        if consumer is None:
            return []
        pending = consumer.pending
    now_ms = s.keyspace.now_ms
    reply: list[Reply] = []
    if start > end:
        return reply
    for entry_id in pending.irange(start, end):
        if len(reply) >= count:
            break
        entry = pending[entry_id]
        idle_ms = now_ms - entry.delivered_ms
        if min_idle_ms and idle_ms < min_idle_ms:
            continue
        reply.append([id_text(entry_id), entry.consumer.name, max(idle_ms, 0), entry.deliveries])
    return reply


def _summary(group: ConsumerGroup) -> Reply:
    """How many are pending, the first and the last, and how many for each consumer."""
    pending = group.pending
    if not pending:
        return [0, None, None, NULL_ARRAY]
    consumers: list[Reply] = [
        [name, b"%d" % len(consumer.pending)] for name, consumer in sorted(group.consumers.items()) if consumer.pending
    ]
    return [len(pending), id_text(pending.peekitem(0)[0]), id_text(pending.peekitem(-1)[0]), consumers]


# -- XCLAIM -------------------------------------------------------------------------------------------------------


class _Claim:
    """The options of XCLAIM.

    Attributes:
        delivered_ms: when the entries count as delivered, unix ms.
        deliveries: how often they count as delivered; None = once more than before.
        force: make entries pending that are not.
        just_id: reply with ids, and do not count a delivery.
        last_id: where the group's last id is to be at least.
    """

    __slots__ = ("_now_ms", "delivered_ms", "deliveries", "force", "just_id", "last_id")

    def __init__(self, options: list[bytes], now_ms: int) -> None:
        self.deliveries: int | None = None
        self.force: bool = False
        self.just_id: bool = False
        self.last_id: StreamId = FIRST_ID
        delivered_ms = -1
        words = iter(options)
        left = len(options)
        for word in words:
            left -= 1
            option = word.upper()
            if option == b"FORCE":
                self.force = True
            elif option == b"JUSTID":
                self.just_id = True
            elif option in (b"IDLE", b"TIME", b"RETRYCOUNT", b"LASTID") and left:
                value = next(words)
                left -= 1
                if option == b"LASTID":
                    self.last_id = strict_id(value)
                    continue
                number = integer(value, f"ERR Invalid {option.decode()} option argument for XCLAIM")
                if option == b"RETRYCOUNT":
                    self.deliveries = number if number >= 0 else None
                else:
                    delivered_ms = now_ms - number if option == b"IDLE" else number
            else:
                raise CommandError(b"ERR Unrecognized XCLAIM option '%b'" % word.partition(b"\0")[0])
        # Clients compute these by clocks of their own: what makes no sense means now.
        self.delivered_ms = delivered_ms if 0 <= delivered_ms <= now_ms else now_ms
        self._now_ms = now_ms

    def wants(self, pending: PendingEntry | None, min_idle_ms: int) -> bool:
        """Whether an entry of the stream is to be taken over, from how it is pending so far."""
        if pending is None:
            return self.force
        return min_idle_ms <= 0 or self._now_ms - pending.delivered_ms >= min_idle_ms


@family.command(
    "xclaim",
    -6,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="5.0.0",
    summary="Takes pending entries over for a consumer.",
    complexity="O(log N) with N being the number of messages in the PEL of the consumer group.",
    tips=("nondeterministic_output",),
)
def xclaim(s: Session, argv: list[bytes]) -> Reply:
    """XCLAIM key group consumer min-idle-time id [id …] [IDLE ms] [TIME ms] [RETRYCOUNT n] [FORCE] [JUSTID] …"""
    work = _at_work(s, argv)
    min_idle_ms = integer(argv[4], "ERR Invalid min-idle-time argument for XCLAIM")
    ids = _leading_ids(argv[5:])
    claim = _Claim(argv[5 + len(ids) :], s.keyspace.now_ms)
    s.suppress()
    advanced = claim.last_id > work.group.last_id
    if advanced:
        work.group.last_id = claim.last_id
    consumer = work.consumer(argv[3])
    reply: list[Reply] = []
    dirty = s.keyspace.dirty
    for word, entry_id in zip(argv[5:], ids, strict=False):
        pending = work.group.pending.get(entry_id)
        if entry_id not in work.stream:
            if pending is not None:
                _forget(work, word, entry_id)
        elif claim.wants(pending, min_idle_ms):
            deliveries = claim.deliveries
            if deliveries is None:
                deliveries = (1 if pending is None else pending.deliveries) + (not claim.just_id)
            pending = work.group.assign(entry_id, consumer, claim.delivered_ms, deliveries)
            reply.append(_taken(work, word, entry_id, pending, claim.just_id))
    if advanced and s.keyspace.dirty == dirty:  # else each XCLAIM says how far the group has come
        work.propagate_position()
        s.keyspace.dirty += 1
    return reply


def _forget(work: GroupAtWork, word: bytes, entry_id: StreamId) -> None:
    """A pending entry is not in the stream any more: pending it is not either."""
    work.propagate_claim(word, work.group.pending[entry_id])
    work.group.release(entry_id)
    work.session.keyspace.dirty += 1


def _taken(work: GroupAtWork, word: bytes, entry_id: StreamId, pending: PendingEntry, just_id: bool) -> Reply:
    """An entry has another consumer now: tell so, and give it."""
    pending.consumer.active_ms = work.session.keyspace.now_ms
    work.propagate_claim(word, pending)
    work.session.keyspace.dirty += 1
    return id_text(entry_id) if just_id else entry_reply(entry_id, work.stream.get(entry_id))


def _leading_ids(words: list[bytes]) -> list[StreamId]:
    """The ids that the words begin with; what is none begins the options."""
    ids: list[StreamId] = []
    for word in words:
        try:
            ids.append(strict_id(word))
        except CommandError:
            break
    return ids


# -- XAUTOCLAIM ---------------------------------------------------------------------------------------------------


@family.command(
    "xautoclaim",
    -6,
    "write fast",
    key_at(1, "RW DELETE"),
    since="6.2.0",
    summary="Takes over for a consumer what has been pending for long.",
    complexity="O(1) if COUNT is small.",
    tips=("nondeterministic_output",),
)
def xautoclaim(s: Session, argv: list[bytes]) -> Reply:
    """XAUTOCLAIM key group consumer min-idle-time start [COUNT count] [JUSTID]"""
    value = s.db.read(argv[1])
    min_idle_ms = integer(argv[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM")
    start = interval_start(argv[5])
    count, just_id = _autoclaim_options(argv)
    work = GroupAtWork(s, value, argv[1], argv[2], missing=_NO_GROUP)
    s.suppress()
    consumer = work.consumer(argv[3])
    now_ms = s.keyspace.now_ms
    claimed: list[Reply] = []
    deleted: list[Reply] = []
    following = FIRST_ID
    for number, entry_id in enumerate(_first_pending(work.group, start, count * _ATTEMPTS + 1)):
        if len(claimed) + len(deleted) == count or number == count * _ATTEMPTS:
            following = entry_id  # where the next call is to go on
            break
        pending = work.group.pending[entry_id]
        if entry_id not in work.stream:
            _forget(work, id_text(entry_id), entry_id)
            deleted.append(id_text(entry_id))
        elif min_idle_ms <= 0 or now_ms - pending.delivered_ms >= min_idle_ms:
            pending = work.group.assign(entry_id, consumer, now_ms, pending.deliveries + (not just_id))
            claimed.append(_taken(work, id_text(entry_id), entry_id, pending, just_id))
    return [id_text(following), claimed, deleted]


def _first_pending(group: ConsumerGroup, start: StreamId, most: int) -> Iterator[StreamId]:
    """Up to so many pending ids from a start on; entries may be taken out on the way."""
    while most > 0:
        some = list(islice(group.pending.irange(start), min(most, _SLICE)))
        yield from some
        if len(some) < _SLICE:
            return
        most -= len(some)
        start = id_after(some[-1]) or LAST_ID


def _autoclaim_options(argv: list[bytes]) -> tuple[int, bool]:
    count, just_id = 100, False
    at = 6
    while at < len(argv):
        option = argv[at].upper()
        if option == b"COUNT" and at + 1 < len(argv):
            count = integer_between(argv[at + 1], 1, _MOST_CLAIMS, "ERR COUNT must be > 0")
            at += 2
        elif option == b"JUSTID":
            just_id = True
            at += 1
        else:
            raise CommandError(SYNTAX)
    return count, just_id
