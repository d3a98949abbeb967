"""Databases, and what all of them share.

The rule of reading: `read` and `write` hide or delete a key that is due, so nothing past them ever sees an
expired value. The rule of changing: whoever changed a key says so once with `changed`; that counts the
change, wakes WATCH and notifies. Deleting an expired key is an effect like any other: it is queued in
`Keyspace.effects` and reaches the replicas with the command that found it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from itertools import chain
from typing import Final

from txrepl.errors import WRONG_TYPE, CommandError
from txrepl.keyspace.access import FIRST_COUNT, NOTHING, FirstCounts, FirstDates, Frequencies, LfuSettings, Notes, pack
from txrepl.keyspace.expiry import ExpiryWheel
from txrepl.keyspace.lazyfree import LazyFree
from txrepl.keyspace.memory import DEADLINE_BYTES, ENTRY_BYTES, Tally, estimate
from txrepl.keyspace.sampler import Sampler
from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.streams import NODE_BYTES, NODE_ENTRIES, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    SetValue,
    SortedSetValue,
    Value,
    type_name,
)


class Expiry(IntEnum):
    """What a due key means to whoever looks at it (Redis's `expireIfNeeded`)."""

    DELETE = 0
    """A primary: it is deleted, and the deletion is an effect."""
    HIDE = 1
    """A replica's reader: it reads as gone; the primary's DEL will come."""
    IGNORE = 2
    """The primary's own stream being applied, or a load: time does not count here."""


class Event(IntEnum):
    """Classes of keyspace notifications, with Redis's flag values."""

    KEYSPACE = 1 << 0
    KEYEVENT = 1 << 1
    GENERIC = 1 << 2
    STRING = 1 << 3
    LIST = 1 << 4
    SET = 1 << 5
    HASH = 1 << 6
    ZSET = 1 << 7
    EXPIRED = 1 << 8
    EVICTED = 1 << 9
    STREAM = 1 << 10
    KEYMISS = 1 << 11
    LOADED = 1 << 12
    MODULE = 1 << 13
    NEW = 1 << 14


class Limits:
    """Sizes from which a small encoding becomes a large one, by directive (Redis 7.2's defaults)."""

    __slots__ = (
        "hash_entries",
        "hash_value",
        "hll_sparse_bytes",
        "list_size",
        "set_entries",
        "set_intset_entries",
        "set_value",
        "stream_node_bytes",
        "stream_node_entries",
        "zset_entries",
        "zset_value",
    )

    def __init__(self) -> None:
        self.hash_entries: int = 512
        self.hash_value: int = 64
        self.hll_sparse_bytes: int = 3000
        self.list_size: int = -2
        self.set_entries: int = 128
        self.set_value: int = 64
        self.set_intset_entries: int = 512
        self.zset_entries: int = 128
        self.zset_value: int = 64
        self.stream_node_bytes: int = NODE_BYTES
        self.stream_node_entries: int = NODE_ENTRIES


Effect = tuple[int, tuple[bytes, ...]]
"""A write to put into the replication stream: database index and command."""

UNLINK_OR_DEL: Final = (b"DEL", b"UNLINK")

EVERY_EVENT: Final = (1 << 15) - 1
HOLDS_USES: Final = 1 << 15
"""In `Keyspace.attention`: look-ups leave no trace at present."""
REPORTS_CHANGES: Final = 1 << 16
"""In `Keyspace.attention`: changed keys are reported (`Keyspace.report_changes`)."""
TALLIES: Final = 1 << 17
"""In `Keyspace.attention`: databases have a tally of their bytes, or samplers."""

CLOCK_MS: Final = 100
"""How far `Keyspace.clock` may be behind."""


class Keyspace:
    """All databases of a server and the state that commands share.

    Parameters:
        databases: how many there are.
        rng: the source of randomness (SPOP, RANDOMKEY, …).
        now_ms: what time it is, unix ms.

    Attributes:
        now_ms: unix time in ms, set by the shell once per batch of commands.
        clock: the same for notes of use; it moves in steps of `CLOCK_MS`, so that many keys share one number.
        counts_uses: an LFU policy is selected: uses are counted (`lfu` says how) instead of dated.
        dirty: how many changes were made since the last successful save.
        effects: what the command being run puts into the stream beside (or instead of) itself.
        verbatim: False when a command has been replaced by its effects.
        expiry: what due keys mean now.
        count: steps that are left until the bytes of what there is are counted, None when they are.
        attention: not 0 while a change of a key concerns more than the key: the one test of the hot path. It holds
            `notify_flags` and the bits above them.
        notify: called as notify(event class, event name, key, database index) when `notify_flags` admits it.
        saves_uses: when or how often keys were used goes into files and snapshots, as the policy needs it.
        functions: sources of function libraries, kept for replicas and files.
        has_streams: there may be a stream; who makes one sets it.
        expired_fields: how many fields of hashes expired.
        module_aux: (module id, when, payload) of modules' own data, kept alike.
        lazyfree: what was taken out of the databases and waits to be freed.
        ready: keys that got elements while clients were blocked on them, in order.
        local_expires: a heap of (deadline, database, key) that clients of a writable replica set, for no primary will
            delete those keys (`slaveKeysWithExpire`); None everywhere else.
    """

    __slots__ = (
        "attention",
        "clock",
        "count",
        "counts_uses",
        "databases",
        "dirty",
        "effects",
        "expired_fields",
        "expired_keys",
        "expiry",
        "functions",
        "has_streams",
        "hits",
        "lazy_eviction",
        "lazy_expire",
        "lazy_user_del",
        "lazy_user_flush",
        "lazyfree",
        "lfu",
        "limits",
        "local_expires",
        "misses",
        "module_aux",
        "notify",
        "now_ms",
        "ready",
        "report_emptied",
        "report_modified",
        "rng",
        "saves_uses",
        "verbatim",
    )

    def __init__(self, databases: int, rng: random.Random, now_ms: int = 0) -> None:
        self.rng = rng
        self.limits = Limits()
        self.now_ms: int = now_ms
        self.clock: int = now_ms
        self.lfu = LfuSettings(rng)
        self.counts_uses: bool = False
        self.saves_uses: bool = False
        self.dirty: int = 0
        self.effects: list[Effect] = []
        self.verbatim: bool = True
        self.expiry: int = int(Expiry.DELETE)
        self.hits: int = 0
        self.misses: int = 0
        self.expired_keys: int = 0
        self.expired_fields: int = 0
        self.lazy_eviction: bool = False
        self.lazy_expire: bool = False
        self.lazy_user_del: bool = False
        self.lazy_user_flush: bool = False
        self.attention: int = 0
        self.count: Iterator[None] | None = None
        self.notify: Callable[[int, bytes, bytes, int], None] | None = None
        self.report_modified: Callable[[bytes], None] | None = None
        self.report_emptied: Callable[[], None] | None = None
        self.functions: list[bytes] = []
        self.has_streams: bool = False
        self.module_aux: list[tuple[int, int, bytes]] = []
        self.ready: dict[tuple[int, bytes], None] = {}
        self.local_expires: list[tuple[int, int, bytes]] | None = None
        self.lazyfree = LazyFree()
        self.databases: list[Database] = [Database(self, index) for index in range(databases)]

    @property
    def notify_flags(self) -> int:
        """`Event` classes that somebody listens to; 0 when none."""
        return self.attention & EVERY_EVENT

    @notify_flags.setter
    def notify_flags(self, flags: int) -> None:
        self.attention = self.attention & ~EVERY_EVENT | flags

    def set_time(self, now_ms: int) -> None:
        """Tell what time it is, unix ms."""
        self.now_ms = now_ms
        if not 0 <= now_ms - self.clock < CLOCK_MS:
            self.clock = now_ms

    def count_uses(self, counts_uses: bool) -> None:
        """Keep how often keys are used (True) or when (False); what was kept of the other kind is forgotten."""
        if counts_uses != self.counts_uses:
            self.counts_uses = counts_uses
            for db in self.databases:
                db.forget_uses()

    def hold_uses(self, hold: bool) -> None:
        """While held, look-ups leave no trace (CLIENT NO-TOUCH); new keys still have an age."""
        self.attention = self.attention | HOLDS_USES if hold else self.attention & ~HOLDS_USES
        for db in self.databases:
            db.heed_uses()

    @property
    def holds_uses(self) -> bool:
        """Whether look-ups leave no trace at present."""
        return bool(self.attention & HOLDS_USES)

    def report_changes(self, modified: Callable[[bytes], None] | None, emptied: Callable[[], None] | None) -> None:
        """Report every key that changes, expires or goes, and whole databases that are emptied; None ends it.

        Parameters:
            modified: called with the key.
            emptied: called once for each time that a database, or all, lost every key.
        """
        self.report_modified = modified
        self.report_emptied = emptied
        self.attention = self.attention & ~REPORTS_CHANGES | (0 if modified is None else REPORTS_CHANGES)

    def emptied(self) -> None:
        """A database, or all, lost every key at once."""
        if self.report_emptied is not None:
            self.report_emptied()

    # -- bytes --------------------------------------------------------------------------------------------------

    def begin_count(self) -> None:
        """Keep a total of the bytes of each database from now on; `count` is what to step through until it is None."""
        self.attention |= TALLIES
        for db in self.databases:
            db.close_tally()
            db.tally = Tally(db.data)
        self.count = chain.from_iterable([db.tally.count() for db in self.databases if db.tally is not None])

    def settle_count(self) -> None:
        """Measure what has changed; who applies a long stream says so now and then, so that little is left at once."""
        if self.attention & TALLIES:
            for db in self.databases:
                if db.tally is not None:
                    db.tally.total()

    def end_count(self) -> None:
        """Nobody needs the totals any more."""
        self.attention &= ~TALLIES
        self.count = None
        for db in self.databases:
            db.close_tally()

    def emit(self, index: int, *command: bytes) -> None:
        """Put a command into the stream as an effect of the one being run."""
        self.effects.append((index, command))

    def swap(self, first: int, second: int) -> None:
        """SWAPDB: exchange two databases' contents; their observers stay where they are."""
        a, b = self.databases[first], self.databases[second]
        if a is b:
            return
        a.data, b.data = b.data, a.data
        a.expires, b.expires = b.expires, a.expires
        a.wheel, b.wheel = b.wheel, a.wheel
        a.index, b.index = b.index, a.index
        a.volatile, b.volatile = b.volatile, a.volatile
        a.volatile_wheel, b.volatile_wheel = b.volatile_wheel, a.volatile_wheel
        a.used, b.used = b.used, a.used
        a.since_ms, b.since_ms = b.since_ms, a.since_ms
        a.tally, b.tally = b.tally, a.tally
        for db in (a, b):
            db.heed_uses()
            db.drop_samplers()

    def clear(self) -> int:
        """Drop every key of every database; returns how many there were."""
        return sum(db.clear() for db in self.databases)

    def adopt(self, other: Keyspace) -> None:
        """Take over another keyspace's contents, whole; watchers see every key of either as changed.

        The other is empty afterwards: it is a cycle, which the collector may never look at again.
        """
        for mine, theirs in zip(self.databases, other.databases, strict=True):
            for key in list(mine.watched):
                if key in mine.data or key in theirs.data:
                    mine.wake(key)
            mine.drop_contents()
            mine.data, mine.expires, mine.wheel, mine.index = theirs.data, theirs.expires, theirs.wheel, theirs.index
            mine.volatile, mine.volatile_wheel = theirs.volatile, theirs.volatile_wheel
            mine.used, mine.since_ms = theirs.used, theirs.since_ms
            mine.drop_samplers()
            if self.counts_uses != other.counts_uses:
                mine.forget_uses()
            mine.heed_uses()
            theirs.data, theirs.expires, theirs.volatile, theirs.index = {}, {}, {}, None
            theirs.wheel, theirs.volatile_wheel = ExpiryWheel(theirs.expires), ExpiryWheel(theirs.volatile)
            theirs.forget_uses()
        if self.local_expires is not None:
            self.local_expires = []
        if self.attention & TALLIES:
            self.begin_count()
        self.functions = other.functions
        self.has_streams = other.has_streams
        self.module_aux = other.module_aux
        self.emptied()

    @property
    def has_field_deadlines(self) -> bool:
        """Whether some hash may have fields that expire; `keys_with_volatile_fields` tells it exactly."""
        return any(db.volatile for db in self.databases)

    def keys_with_volatile_fields(self) -> list[tuple[int, bytes]]:
        """(database, key) of the hashes that have fields that expire; takes time in proportion to their number."""
        found: list[tuple[int, bytes]] = []
        for db in self.databases:
            for key in list(db.volatile):
                value = db.data.get(key)
                if type(value) is HashValue and value.deadlines is not None:
                    found.append((db.number, key))
                else:
                    del db.volatile[key]
        return found

    def expire_local(self, limit: int) -> None:
        """Delete up to `limit` due keys of a writable replica's own (`expireSlaveKeys`)."""
        local = self.local_expires
        while local and local[0][0] < self.now_ms and limit:
            deadline_ms, number, key = heappop(local)
            db = self.databases[number]
            if db.expires.get(key) == deadline_ms:
                db.expire_now(key)
                limit -= 1

    def counts(self) -> tuple[int, int]:
        """How many keys there are, and how many of them expire."""
        return sum(len(db.data) for db in self.databases), sum(len(db.expires) for db in self.databases)


class Database:
    """One database: keys, deadlines, and who watches or waits for a key.

    Attributes:
        data: key → value. Iterate it only through `scan`, or over a copy.
        expires: key → unix time in ms; always a subset of `data`'s keys.
        wheel: active expiry's hints; go through `set_expire`.
        volatile: key → unix time in ms before which none of its fields expires, for every hash that has fields with
            deadlines; of other keys at most for such as are in `data` and once held such a hash.
        volatile_wheel: its hints; go through `heed`.
        index: for SCAN and RANDOMKEY, None until one is asked.
        used: key → when or how often it was used, for those used since `since_ms` (see `access`).
        since_ms: when the keys that are not in `used` were loaded, unix ms.
        on_use, on_put: where look-ups and new values are noted.
        tally: the bytes of keys and values, None while nobody wants to know.
        key_sampler, deadline_sampler: random keys of `data` and of `expires` for eviction, None until it needs them.
        watched: key → watchers' callbacks by client id; see `changed`.
        waiting: keys that clients are blocked on (count of clients).
        guarded: those of them whose loss, too, ends the waiting (count of clients).
    """

    __slots__ = (
        "data",
        "deadline_sampler",
        "expires",
        "guarded",
        "index",
        "key_sampler",
        "keyspace",
        "number",
        "on_put",
        "on_use",
        "since_ms",
        "tally",
        "used",
        "volatile",
        "volatile_wheel",
        "waiting",
        "watched",
        "wheel",
    )

    def __init__(self, keyspace: Keyspace, number: int) -> None:
        self.keyspace = keyspace
        self.number = number
        self.data: dict[bytes, Value] = {}
        self.expires: dict[bytes, int] = {}
        self.wheel = ExpiryWheel(self.expires)
        self.volatile: dict[bytes, int] = {}
        self.volatile_wheel = ExpiryWheel(self.volatile)
        self.index: ScanIndex | None = None
        self.used: dict[bytes, int] = {}
        self.since_ms: int = keyspace.now_ms
        self.on_use: Notes = self.used
        self.on_put: Notes = self.used
        self.tally: Tally | None = None
        self.key_sampler: Sampler | None = None
        self.deadline_sampler: Sampler | None = None
        self.watched: dict[bytes, dict[int, Callable[[], None]]] = {}
        self.waiting: dict[bytes, int] = {}
        self.guarded: dict[bytes, int] = {}

    # -- looking up ---------------------------------------------------------------------------------------------

    def read(self, key: bytes) -> Value | None:
        """The value for a reading command, None if absent or due; counts a hit or a miss."""
        value = self.data.get(key)
        keyspace = self.keyspace
        if value is not None and (not self.expires or key not in self.expires or not self._is_gone(key)):
            keyspace.hits += 1
            self.on_use[key] = keyspace.clock
            return value
        self._missed(key)
        return None

    def peek(self, key: bytes) -> Value | None:
        """Like `read`, but it is no use of the key (`LOOKUP_NOTOUCH`)."""
        value = self.data.get(key)
        if value is None or (self.expires and key in self.expires and self._is_gone(key)):
            self._missed(key)
            return None
        self.keyspace.hits += 1
        return value

    def _missed(self, key: bytes) -> None:
        keyspace = self.keyspace
        keyspace.misses += 1
        if keyspace.notify_flags & Event.KEYMISS:
            self.notify(Event.KEYMISS, b"keymiss", key)

    def write(self, key: bytes) -> Value | None:
        """The value for a writing command, None if absent or due."""
        value = self.data.get(key)
        if value is None:
            return None
        if self.expires and key in self.expires and self._is_gone(key):
            if self.keyspace.local_expires is not None and key in self.data:
                self.expire_now(key)  # a writable replica: what is written now is no part of the old value
            return None
        self.on_use[key] = self.keyspace.clock
        return value

    def exists(self, key: bytes) -> bool:
        """Whether the key is there and not due; counts nothing."""
        return key in self.data and not (self.expires and key in self.expires and self._is_gone(key))

    def is_due(self, key: bytes) -> bool:
        """Whether the key is there and past its deadline; unlike `exists` it deletes nothing (`keyIsExpired`)."""
        keyspace = self.keyspace
        deadline_ms = self.expires.get(key)
        return deadline_ms is not None and deadline_ms < keyspace.now_ms and keyspace.expiry != Expiry.IGNORE

    def _is_gone(self, key: bytes) -> bool:
        """Whether a key that has a deadline is due; on a primary it is deleted then."""
        keyspace = self.keyspace
        if self.expires[key] >= keyspace.now_ms or keyspace.expiry == 2:
            return False
        if keyspace.expiry == 0:
            self.expire_now(key)
        return True

    def read_string(self, key: bytes) -> bytes | None:
        """`read` for a string command; raises CommandError WRONGTYPE."""
        value = self.data.get(key)
        if type(value) is bytes and (not self.expires or key not in self.expires):
            keyspace = self.keyspace  # what `read` does then, without a call of its own: this is GET
            keyspace.hits += 1
            self.on_use[key] = keyspace.clock
            return value
        value = self.read(key)
        if value is None or isinstance(value, bytes):
            return value
        raise CommandError(WRONG_TYPE)

    def write_string(self, key: bytes) -> bytes | None:
        """`write` for a string command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or isinstance(value, bytes):
            return value
        raise CommandError(WRONG_TYPE)

    def read_hash(self, key: bytes) -> HashValue | None:
        """`read` for a hash command; raises CommandError WRONGTYPE."""
        value = self.read(key)
        if value is None or type(value) is HashValue:
            return value
        raise CommandError(WRONG_TYPE)

    def write_hash(self, key: bytes) -> HashValue | None:
        """`write` for a hash command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or type(value) is HashValue:
            return value
        raise CommandError(WRONG_TYPE)

    def read_list(self, key: bytes) -> ListValue | None:
        """`read` for a list command; raises CommandError WRONGTYPE."""
        value = self.read(key)
        if value is None or type(value) is ListValue:
            return value
        raise CommandError(WRONG_TYPE)

    def write_list(self, key: bytes) -> ListValue | None:
        """`write` for a list command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or type(value) is ListValue:
            return value
        raise CommandError(WRONG_TYPE)

    def read_set(self, key: bytes) -> SetValue | None:
        """`read` for a set command; raises CommandError WRONGTYPE."""
        value = self.read(key)
        if value is None or type(value) is SetValue:
            return value
        raise CommandError(WRONG_TYPE)

    def write_set(self, key: bytes) -> SetValue | None:
        """`write` for a set command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or type(value) is SetValue:
            return value
        raise CommandError(WRONG_TYPE)

    def read_zset(self, key: bytes) -> SortedSetValue | None:
        """`read` for a sorted-set command; raises CommandError WRONGTYPE."""
        value = self.read(key)
        if value is None or type(value) is SortedSetValue:
            return value
        raise CommandError(WRONG_TYPE)

    def write_zset(self, key: bytes) -> SortedSetValue | None:
        """`write` for a sorted-set command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or type(value) is SortedSetValue:
            return value
        raise CommandError(WRONG_TYPE)

    def read_stream(self, key: bytes) -> StreamValue | None:
        """`read` for a stream command; raises CommandError WRONGTYPE."""
        value = self.read(key)
        if value is None or type(value) is StreamValue:
            self.resized(key)
            return value
        raise CommandError(WRONG_TYPE)

    def write_stream(self, key: bytes) -> StreamValue | None:
        """`write` for a stream command; raises CommandError WRONGTYPE."""
        value = self.write(key)
        if value is None or type(value) is StreamValue:
            self.resized(key)
            return value
        raise CommandError(WRONG_TYPE)

    # -- changing -----------------------------------------------------------------------------------------------

    def put(self, key: bytes, value: Value) -> None:
        """Set the key to a value, whatever it held; its deadline is kept (use `persist` to drop it).

        Does not call `changed`: the family does, with its own event.
        """
        data = self.data
        self.on_put[key] = self.keyspace.clock
        old = data.get(key)
        if self.tally is not None:
            self.tally.put(key, value)
        data[key] = value
        if old is None:
            if self.index is not None or self.waiting or self.keyspace.attention:
                self._added(key, value)
            return
        if old.__class__ is not bytes and old is not value:
            self.keyspace.lazyfree.value(old)
        if self.guarded:
            self._signal_lost(key)

    def heed(self, key: bytes, value: Value) -> None:
        """Note what a value just put, or a hash whose deadlines changed, asks of active expiry and of RDBs to come."""
        if type(value) is StreamValue:
            self.keyspace.has_streams = True
        elif type(value) is HashValue:
            deadline_ms = value.earliest()
            if deadline_ms is None:
                self.volatile.pop(key, None)
                return
            known_ms = self.volatile.get(key)
            if known_ms is None or deadline_ms < known_ms:
                self.volatile[key] = deadline_ms
                self.volatile_wheel.add(key, deadline_ms)

    def _added(self, key: bytes, value: Value) -> None:
        if self.index is not None:
            self.index.added(key)
        if self.key_sampler is not None:
            self.key_sampler.added(key)
        if self.waiting:
            self.signal_ready(key)
        if self.keyspace.notify_flags & Event.NEW:
            self.notify(Event.NEW, b"new", key)

    def signal_ready(self, key: bytes) -> None:
        """Clients blocked on the key may be served now; call after adding elements to an existing key too."""
        if key in self.waiting:
            self.keyspace.ready[(self.number, key)] = None

    def _signal_lost(self, key: bytes) -> None:
        """The key is gone or has another value: who reads in a group of it is told (`signalDeletedKeyAsReady`)."""
        if key in self.guarded:
            self.keyspace.ready[(self.number, key)] = None

    def remove(self, key: bytes) -> bool:
        """Delete the key and its deadline; False if it was not there. Does not call `changed`.

        The value is freed, perhaps later and piece by piece: only the running command may still look at it.
        """
        value = self.detach(key)
        if value is None:
            return False
        if value.__class__ is not bytes:
            self.keyspace.lazyfree.value(value)
        return True

    def detach(self, key: bytes) -> Value | None:
        """`remove` for a value that will be put under another key, or in another database."""
        value = self.data.pop(key, None)
        if value is not None:
            self.used.pop(key, None)
            if self.tally is not None:
                self.tally.removed(key, value)
            if self.expires:
                self.expires.pop(key, None)
            if self.volatile:
                self.volatile.pop(key, None)
            if self.guarded:
                self._signal_lost(key)
        return value

    def set_expire(self, key: bytes, deadline_ms: int) -> None:
        """Give an existing key a deadline (unix ms)."""
        if self.deadline_sampler is not None and key not in self.expires:
            self.deadline_sampler.added(key)
        self.expires[key] = deadline_ms
        self.wheel.add(key, deadline_ms)
        local = self.keyspace.local_expires
        if local is not None and self.keyspace.expiry == Expiry.HIDE:
            heappush(local, (deadline_ms, self.number, key))

    def persist(self, key: bytes) -> bool:
        """Take the key's deadline away; False if it had none."""
        return bool(self.expires) and self.expires.pop(key, None) is not None

    def changed(self, key: bytes, event_class: int, event: bytes, count: int = 1) -> None:
        """Count a change of the key, wake its watchers, notify."""
        keyspace = self.keyspace
        keyspace.dirty += count
        if self.watched and key in self.watched:
            self.wake(key)
        if keyspace.attention:
            if self.tally is not None:
                self.tally.stale[key] = None
            if keyspace.report_modified is not None:
                keyspace.report_modified(key)
            self.notify(event_class, event, key)

    def touch(self, key: bytes) -> None:
        """Tell who watches or caches the key of a change that is no event (`signalModifiedKey`)."""
        self.wake(key)
        if self.keyspace.report_modified is not None:
            self.keyspace.report_modified(key)

    def wake(self, key: bytes) -> None:
        """Wake the clients that WATCH the key."""
        for wake in list(self.watched.get(key, {}).values()):
            wake()

    def notify(self, event_class: int, event: bytes, key: bytes) -> None:
        """Publish a keyspace event if its class is listened to."""
        keyspace = self.keyspace
        if keyspace.notify is not None and keyspace.notify_flags & event_class:
            keyspace.notify(event_class, event, key, self.number)

    def expire_now(self, key: bytes) -> None:
        """Delete a due key on a primary and queue the deletion as an effect (`deleteExpiredKeyAndPropagate`)."""
        keyspace = self.keyspace
        self.remove(key)
        keyspace.expired_keys += 1
        keyspace.emit(self.number, UNLINK_OR_DEL[keyspace.lazy_expire], key)
        self.changed(key, Event.EXPIRED, b"expired", 0)

    def evict_now(self, key: bytes) -> None:
        """Delete a key to free its memory, and queue the deletion as an effect (`performEvictions`)."""
        keyspace = self.keyspace
        self.remove(key)
        keyspace.emit(self.number, UNLINK_OR_DEL[keyspace.lazy_eviction], key)
        self.changed(key, Event.EVICTED, b"evicted", 0)

    def expire_due(self, limit: int) -> int:
        """One slice of active expiry on a primary: delete up to about `limit` due keys; returns how many."""
        keys = self.wheel.due(self.keyspace.now_ms, limit)
        for key in keys:
            if key in self.expires:
                self.expire_now(key)
        return len(keys)

    def due_volatile(self, limit: int) -> list[bytes]:
        """Up to about `limit` keys whose hashes may have due fields; give each to `expire_fields` at once."""
        return self.volatile_wheel.due(self.keyspace.now_ms, limit)

    def expire_fields(self, key: bytes, limit: int) -> int:
        """Active expiry of a hash's fields on a primary: delete up to `limit` due ones (`dbReclaimExpiredFields`).

        The deletion is an effect, as is that of a hash that lost all its fields.

        Returns:
            How many were deleted.
        """
        value = self.data.get(key)
        self.volatile.pop(key, None)
        if type(value) is not HashValue:
            return 0
        keyspace = self.keyspace
        due = value.take_due(keyspace.now_ms, limit)
        self.heed(key, value)
        if due:
            keyspace.expired_fields += len(due)
            keyspace.emit(self.number, b"HDEL", key, *due)
            if not value.fields:
                self.remove(key)
                keyspace.emit(self.number, UNLINK_OR_DEL[keyspace.lazy_expire], key)
            self.changed(key, Event.HASH, b"hexpired", 0)
            if not value.fields:
                self.notify(Event.GENERIC, b"del", key)
        return len(due)

    def clear(self) -> int:
        """Drop all keys; returns how many there were."""
        count = len(self.data)
        for key in self.guarded:
            if key in self.data:
                self._signal_lost(key)
        self.drop_contents()
        return count

    def drop_contents(self) -> None:
        """Be empty; what was there is freed piece by piece. Tells nobody."""
        self.keyspace.lazyfree.database(self.data, (self.expires, self.used, self.volatile), self.index)
        self.data = {}
        self.expires = {}
        self.wheel = ExpiryWheel(self.expires)
        self.volatile = {}
        self.volatile_wheel = ExpiryWheel(self.volatile)
        self.index = None
        self.forget_uses()
        self.drop_samplers()
        if self.tally is not None:
            self.close_tally()
            self.tally = Tally(self.data)

    # -- bytes --------------------------------------------------------------------------------------------------

    def resized(self, key: bytes) -> None:
        """The value may take other bytes in a moment, without a change of the key: reading in a group does that."""
        if self.tally is not None:
            self.tally.stale[key] = None

    def close_tally(self) -> None:
        """Keep no total any more."""
        if self.tally is not None:
            self.tally.closed = True
            self.tally = None
        self.drop_samplers()

    def drop_samplers(self) -> None:
        """Forget what random keys were drawn from; it is made anew when one is needed."""
        self.key_sampler = self.deadline_sampler = None

    def data_bytes(self) -> int:
        """Bytes of keys and values: counted while there is a tally, else an estimate from a sample."""
        return estimate(self.data) if self.tally is None else self.tally.total()

    def table_bytes(self) -> int:
        """Bytes of the tables that keys and values stand in."""
        size = (len(self.data) + len(self.used)) * ENTRY_BYTES
        if self.index is not None:
            size += 16 * len(self.data)
        if self.tally is not None:
            size += self.tally.overhead_bytes
        return size

    def deadline_bytes(self) -> int:
        """Bytes that deadlines of keys, and of fields of hashes, take beside them."""
        return (len(self.expires) + len(self.volatile)) * DEADLINE_BYTES

    # -- use ----------------------------------------------------------------------------------------------------

    def heed_uses(self) -> None:
        """Note uses as the keyspace wants it: call when `used`, `data` or that has changed."""
        keyspace = self.keyspace
        if keyspace.counts_uses:
            self.on_use = Frequencies(keyspace.lfu, self.used, self.data, self.since_ms)
            self.on_put = FirstCounts(self.used)
        else:
            self.on_use = self.on_put = self.used
        if keyspace.holds_uses:
            self.on_use = NOTHING
            if not keyspace.counts_uses:
                self.on_put = FirstDates(self.used, self.data)

    def forget_uses(self) -> None:
        """From now on, no key was ever used."""
        self.used = {}
        self.since_ms = self.keyspace.now_ms
        self.heed_uses()

    def idle_ms(self, key: bytes) -> int:
        """How long ago the key was used, in ms, while uses are dated (`estimateObjectIdleTime`)."""
        return max(0, self.keyspace.now_ms - self.used.get(key, self.since_ms))

    def frequency(self, key: bytes) -> int:
        """How often the key was used, as the logarithmic counter of 0 to 255, while uses are counted."""
        packed = self.used.get(key)
        if packed is None:
            packed = pack(FIRST_COUNT, self.since_ms)
        return self.keyspace.lfu.decayed(packed, self.keyspace.now_ms)

    def set_use(self, key: bytes, idle_s: int | None, frequency: int | None) -> None:
        """Take over what a file or a RESTORE says, if it is of the kind that is kept (`objectSetLRUOrLFU`)."""
        now_ms = self.keyspace.now_ms
        if self.keyspace.counts_uses:
            if frequency is not None:
                self.used[key] = pack(frequency, now_ms)
        elif idle_s is not None:
            self.used[key] = max(0, now_ms - idle_s * 1000)

    # -- iterating ----------------------------------------------------------------------------------------------

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """SCAN's step over all keys, due ones included (see `ScanIndex.scan`)."""
        if self.index is None:
            self.index = ScanIndex(self.data)
        return self.index.scan(cursor, count)

    def random_key(self) -> bytes | None:
        """A random key, due ones included; None when the database is empty."""
        if not self.data:
            return None
        if self.index is None:
            self.index = ScanIndex(self.data)
        return self.index.pick(self.keyspace.rng.random)

    def type_of(self, key: bytes) -> str:
        """TYPE's answer, `none` for an absent key."""
        value = self.peek(key)
        return "none" if value is None else type_name(value)
