"""Stream commands that need no consumer group: adding, trimming, deleting, ranges.

Into the stream of replication goes what was done: the id that was made, and for trimming with `~` the exact length
or first id that came of it (`streamRewriteTrimArgument`).
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import PRIMARY, Session
from txrepl.commands.streams_arguments import (
    STREAM,
    entries_reply,
    id_after,
    id_text,
    interval_end,
    interval_start,
    open_id,
    strict_id,
)
from txrepl.commands.streams_references import (
    ACKED,
    KEEPREF,
    POLICIES,
    is_needed,
    propagate_deleted,
    propagate_released,
    release_everywhere,
)
from txrepl.commands.table import Family, KeySpec, key_at
from txrepl.errors import NO_SUCH_KEY, SYNTAX, CommandError
from txrepl.keyspace.streams import FIRST_ID, LAST_ID, MOST_NODE_BYTES, StreamId, StreamValue
from txrepl.resp.replies import NULL_ARRAY, OK, Reply

family = Family("stream")

_TWO_STRATEGIES: Final = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
_LEAST_LIMIT: Final = 10_000
_MOST_LIMIT: Final = 1_000_000
_LIMIT_NODES: Final = 100
_NOT_ABOVE: Final = "ERR The ID specified in XADD is equal or smaller than the target stream top item"


# -- trimming -----------------------------------------------------------------------------------------------------


class _Trimming:
    """How a stream is to be trimmed.

    Attributes:
        length: at most so many entries are to be left; None if `first` says it.
        first: the first id that may stay.
        approximately: only whole nodes are dropped.
        limit: how many entries may be deleted, 0 = any number.
        argument: the position of the length or id in the command.
        policy: KEEPREF, DELREF or ACKED, lower case; empty without.
        policy_at: its position in the command.
        released: what the trimming took out of groups (DELREF), by group.
        picks: entries are deleted one by one (ACKED where there are groups): no trimming of another server does that.
        picked: those entries.
    """

    __slots__ = (
        "approximately",
        "argument",
        "first",
        "length",
        "limit",
        "picked",
        "picks",
        "policy",
        "policy_at",
        "released",
    )

    def __init__(self) -> None:
        self.length: int | None = None
        self.first: StreamId = FIRST_ID
        self.approximately: bool = False
        self.limit: int = 0
        self.argument: int = 0
        self.policy: bytes = b""
        self.policy_at: int = 0
        self.released: dict[bytes, list[StreamId]] = {}
        self.picks: bool = False
        self.picked: list[StreamId] = []

    def set_policy(self, policy: bytes, at: int) -> int:
        """Read KEEPREF, DELREF or ACKED, which stands at `at`; returns the position behind."""
        if self.policy:
            raise CommandError(SYNTAX)
        self.policy = policy
        self.policy_at = at
        return at + 1

    def parse(self, argv: list[bytes], at: int, option: bytes) -> int:
        """Read MAXLEN or MINID, which stands at `at`; returns the position behind."""
        if self.argument:
            raise CommandError(_TWO_STRATEGIES)
        at += 1
        self.approximately = False
        if at + 1 < len(argv) and argv[at] in (b"~", b"="):
            self.approximately = argv[at] == b"~"
            at += 1
        if option == b"maxlen":
            self.length = integer(argv[at])
            if self.length < 0:
                raise CommandError("ERR The MAXLEN argument must be >= 0.")
        else:
            self.first = strict_id(argv[at])
        self.argument = at
        return at + 1

    def settle_limit(self, s: Session, limit: int | None) -> None:
        """Take over LIMIT, or Redis's own where `~` comes without; the primary's stream knows none.

        Raises:
            CommandError: LIMIT stands where it may not.
        """
        if limit and not self.argument:
            raise CommandError("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")
        if s.flags & PRIMARY:
            return
        if limit is not None:
            if not self.approximately:
                raise CommandError("ERR syntax error, LIMIT cannot be used without the special ~ option")
            self.limit = limit
        elif self.approximately:
            limit = _LIMIT_NODES * s.keyspace.limits.stream_node_entries
            self.limit = min(limit, _MOST_LIMIT) if limit > 0 else _LEAST_LIMIT

    def run(self, stream: StreamValue) -> int:
        """Trim; returns how many entries were deleted."""
        if not self.argument:
            return 0
        if not stream.groups or self.policy in (b"", KEEPREF):
            return self._trim(stream)
        if self.policy == ACKED:
            return self._pick(stream)
        pending = {entry_id for group in stream.groups.values() for entry_id in group.pending if entry_id in stream}
        deleted = self._trim(stream)
        gone = sorted(entry_id for entry_id in pending if entry_id not in stream) if deleted else []
        self.released = release_everywhere(stream, gone)
        return deleted

    def _pick(self, stream: StreamValue) -> int:
        """Delete what no group needs of what is to be trimmed, exactly whatever was allowed."""
        self.picks = True
        excess = stream.length if self.length is None else stream.length - self.length
        most = min(excess, self.limit) if self.limit else excess
        for entry_id in stream.ids():
            if len(self.picked) >= most or (self.length is None and entry_id >= self.first):
                break
            if not is_needed(stream, entry_id):
                self.picked.append(entry_id)
        for entry_id in self.picked:
            stream.discard(entry_id)
        return len(self.picked)

    def _trim(self, stream: StreamValue) -> int:
        if self.length is None:
            return stream.trim_before(self.first, approximately=self.approximately, limit=self.limit)
        return stream.trim_to(self.length, approximately=self.approximately, limit=self.limit)

    @property
    def says_less(self) -> bool:
        """Whether the words of the command do not say to every server what was done."""
        return self.approximately or bool(self.policy)

    def rewrite(self, words: list[bytes], stream: StreamValue) -> None:
        """Make the words of the command say exactly what was left, as every server understands it."""
        if self.approximately:
            words[self.argument - 1] = b"="
            if self.length is None:
                # The id of the first entry that the first node ever had: a deleted one counts (`streamGetEdgeID`).
                words[self.argument] = id_text(stream.nodes[0].master if stream.nodes else LAST_ID)
            else:
                words[self.argument] = b"%d" % stream.length
        if self.policy:
            del words[self.policy_at]


def _limit(text: bytes) -> int:
    limit = integer(text)
    if limit < 0:
        raise CommandError("ERR The LIMIT argument must be >= 0.")
    return limit


@family.command(
    "xtrim",
    -4,
    "write",
    key_at(1, "RW DELETE"),
    since="5.0.0",
    summary="Deletes the oldest entries of a stream.",
    complexity="O(N), with N being the number of evicted entries.",
    tips=("nondeterministic_output",),
)
def xtrim(s: Session, argv: list[bytes]) -> Reply:
    """XTRIM key MAXLEN|MINID [=|~] threshold [LIMIT count] [KEEPREF|DELREF|ACKED]"""
    trimming = _Trimming()
    limit: int | None = None
    at = 2
    while at < len(argv):
        option = argv[at].lower()
        if option in POLICIES:
            at = trimming.set_policy(option, at)
            continue
        if at + 1 == len(argv):
            raise CommandError(SYNTAX)
        if option in (b"maxlen", b"minid"):
            at = trimming.parse(argv, at, option)
        elif option == b"limit":
            limit = _limit(argv[at + 1])
            at += 2
        else:
            raise CommandError(SYNTAX)
    if not trimming.argument and not limit:
        raise CommandError("ERR syntax error, XTRIM must be called with a trimming strategy")
    trimming.settle_limit(s, limit)
    stream = s.db.write_stream(argv[1])
    if stream is None:
        return 0
    deleted = trimming.run(stream)
    if deleted:
        s.db.changed(argv[1], STREAM, b"xtrim", deleted)
        propagate_released(s, argv[1], trimming.released)
        if trimming.picks:
            propagate_deleted(s, argv[1], trimming.picked)
        elif trimming.says_less:
            words = argv.copy()
            trimming.rewrite(words, stream)
            s.propagate(*words)
    return deleted


# -- adding -------------------------------------------------------------------------------------------------------


def _new_id(stream: StreamValue, wanted: tuple[int, int | None] | None, now_ms: int) -> StreamId:
    """The id of a new entry (`streamAppendItem`, `streamNextID`).

    Parameters:
        wanted: the id asked for; without a sequence number for `ms-*`, None for `*`.

    Raises:
        CommandError: it is not above the last one.
    """
    last = stream.last_id
    if wanted is None:
        if now_ms > last[0]:
            return now_ms, 0
        after = id_after(last)
        assert after is not None  # xadd has refused a stream whose last id is the greatest
        return after
    ms, seq = wanted
    if seq is None:
        seq = last[1] + 1 if ms == last[0] else 0
    if seq > LAST_ID[1] or (ms, seq) <= last:
        raise CommandError(_NOT_ABOVE)
    return ms, seq


class _Addition:
    """The words of XADD.

    Attributes:
        wanted: the id asked for; without a sequence number for `ms-*`, None for `*`.
        at: the position of the id.
        make: whether a stream is made where there is none.
        trimming: what to do afterwards; None without.
    """

    __slots__ = ("at", "make", "trimming", "wanted")

    def __init__(self, s: Session, argv: list[bytes]) -> None:
        self.wanted: tuple[int, int | None] | None = None
        self.make: bool = True
        self.trimming: _Trimming | None = None
        limit: int | None = None
        at = 2
        last = len(argv) - 1
        while at <= last and argv[at] != b"*":
            option = argv[at].lower()
            if option in (b"maxlen", b"minid") and at < last:
                self.trimming = self.trimming or _Trimming()
                at = self.trimming.parse(argv, at, option)
            elif option == b"limit" and at < last:
                limit = _limit(argv[at + 1])
                at += 2
            elif option in POLICIES:
                self.trimming = self.trimming or _Trimming()
                at = self.trimming.set_policy(option, at)
            elif option == b"nomkstream":
                self.make = False
                at += 1
            else:
                self.wanted = open_id(argv[at])
                break
        if self.trimming is not None or limit is not None:
            (self.trimming or _Trimming()).settle_limit(s, limit)
        if last - at < 2 or (last - at) & 1:
            raise CommandError("ERR wrong number of arguments for 'xadd' command")
        if self.wanted == FIRST_ID:
            raise CommandError("ERR The ID specified in XADD must be greater than 0-0")
        self.at: int = at


@family.command(
    "xadd",
    -5,
    "write denyoom fast",
    KeySpec("RW UPDATE", 1, note="UPDATE instead of INSERT because of the optional trimming feature"),
    since="5.0.0",
    summary="Adds an entry to a stream, making the stream if there is none.",
    complexity="O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
    tips=("nondeterministic_output",),
)
def xadd(s: Session, argv: list[bytes]) -> Reply:
    """XADD key [NOMKSTREAM] [KEEPREF|DELREF|ACKED] [MAXLEN|MINID [=|~] threshold [LIMIT count]] *|id field value …"""
    addition = _Addition(s, argv)
    db = s.db
    key = argv[1]
    found = db.write_stream(key)
    if found is None and not addition.make:
        return None
    stream = StreamValue() if found is None else found
    if stream.last_id == LAST_ID:
        raise CommandError("ERR The stream has exhausted the last possible ID, unable to add more items")
    entry_id = _new_id(stream, addition.wanted, s.keyspace.now_ms)
    entry = tuple(argv[addition.at + 1 :])
    if sum(map(len, entry)) > MOST_NODE_BYTES:
        raise CommandError("ERR Elements are too large to be stored")
    if found is None:
        db.put(key, stream)
        db.heed(key, stream)
    limits = s.keyspace.limits
    stream.append(entry_id, entry, limits.stream_node_entries, limits.stream_node_bytes)
    db.changed(key, STREAM, b"xadd")
    reply = id_text(entry_id)
    _trim_and_rewrite(s, argv, stream, addition, reply)
    db.signal_ready(key)
    return reply


def _trim_and_rewrite(s: Session, argv: list[bytes], stream: StreamValue, addition: _Addition, made: bytes) -> None:
    """Trim after adding, and propagate what came of it where the words do not say it."""
    trimming, wanted = addition.trimming, addition.wanted
    if trimming is not None and trimming.run(stream):
        s.db.notify(STREAM, b"xtrim", argv[1])
    is_vague = trimming is not None and trimming.says_less
    is_made = wanted is None or wanted[1] is None
    if trimming is not None and trimming.picks:
        s.propagate(b"XADD", argv[1], made, *argv[addition.at + 1 :])
        propagate_deleted(s, argv[1], trimming.picked)
    elif is_vague or is_made:
        words = argv.copy()
        if is_made:
            words[addition.at] = made
        if trimming is not None and is_vague:
            propagate_released(s, argv[1], trimming.released)
            trimming.rewrite(words, stream)
        s.propagate(*words)


# -- deleting, setting the last id --------------------------------------------------------------------------------


@family.command(
    "xdel",
    -3,
    "write fast",
    key_at(1, "RW DELETE"),
    since="5.0.0",
    summary="Deletes entries of a stream by their ids.",
    complexity="O(1) for each single item to delete in the stream, regardless of the stream size.",
)
def xdel(s: Session, argv: list[bytes]) -> Reply:
    """XDEL key id [id …]"""
    stream = s.db.write_stream(argv[1])
    if stream is None:
        return 0
    ids = [strict_id(word) for word in argv[2:]]
    deleted = sum(map(stream.discard, ids))
    if deleted:
        s.db.changed(argv[1], STREAM, b"xdel", deleted)
    return deleted


@family.command(
    "xsetid",
    -3,
    "write denyoom fast",
    key_at(1, "RW UPDATE"),
    since="5.0.0",
    summary="Sets the last id of a stream, and its counters: an internal command for replication.",
)
def xsetid(s: Session, argv: list[bytes]) -> Reply:
    """XSETID key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]"""
    last_id = strict_id(argv[2])
    added: int | None = None
    deleted_id = FIRST_ID
    for at in range(3, len(argv), 2):
        option = argv[at].upper()
        if at + 1 == len(argv) or option not in (b"ENTRIESADDED", b"MAXDELETEDID"):
            raise CommandError(SYNTAX)
        if option == b"ENTRIESADDED":
            added = integer(argv[at + 1])
            if added < 0:
                raise CommandError("ERR entries_added must be positive")
        else:
            deleted_id = strict_id(argv[at + 1])
            if last_id < deleted_id:
                raise CommandError("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id")
    stream = s.db.write_stream(argv[1])
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    if last_id < stream.max_deleted_id and not s.flags & PRIMARY:  # Redis 7.0 as the primary lets it
        raise CommandError("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id")
    if stream.length:
        if last_id < stream.top_id:
            raise CommandError("ERR The ID specified in XSETID is smaller than the target stream top item")
        if added is not None and stream.length > added:
            raise CommandError("ERR The entries_added specified in XSETID is smaller than the target stream length")
    stream.last_id = last_id
    if added is not None:
        stream.entries_added = added
    if deleted_id != FIRST_ID:
        stream.max_deleted_id = deleted_id
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xsetid", argv[1])
    return OK


# -- reading ------------------------------------------------------------------------------------------------------


@family.command(
    "xlen",
    2,
    "readonly fast",
    key_at(1, "RO"),
    since="5.0.0",
    summary="Gives the number of entries of a stream.",
)
def xlen(s: Session, argv: list[bytes]) -> Reply:
    """XLEN key"""
    stream = s.db.read_stream(argv[1])
    return 0 if stream is None else stream.length


def _range(s: Session, argv: list[bytes], start: bytes, end: bytes, *, down: bool) -> Reply:
    first, last = interval_start(start), interval_end(end)
    count: int | None = None
    for at in range(4, len(argv), 2):
        if at + 1 == len(argv) or argv[at].upper() != b"COUNT":
            raise CommandError(SYNTAX)
        count = max(integer(argv[at + 1]), 0)
    stream = s.db.read_stream(argv[1])
    if stream is None:
        return []
    if count == 0:
        return NULL_ARRAY
    entries = stream.range_down(first, last) if down else stream.range(first, last)
    return entries_reply(islice(entries, count))


@family.command(
    "xrange",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="5.0.0",
    summary="Gives the entries of a stream with ids in a range.",
    complexity="O(N) with N being the number of elements being returned.",
)
def xrange_(s: Session, argv: list[bytes]) -> Reply:
    """XRANGE key start end [COUNT count]"""
    return _range(s, argv, argv[2], argv[3], down=False)


@family.command(
    "xrevrange",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="5.0.0",
    summary="Gives the entries of a stream with ids in a range, the last first.",
    complexity="O(N) with N being the number of elements returned.",
)
def xrevrange(s: Session, argv: list[bytes]) -> Reply:
    """XREVRANGE key end start [COUNT count]"""
    return _range(s, argv, argv[3], argv[2], down=True)
