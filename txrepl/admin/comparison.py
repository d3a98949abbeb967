"""This node's data against another server's, key by key, until every difference is certain.

The keys of each database are gone through page by page (SCAN there), and each value is compared by its digest, its
deadline as it is; then the keys here that are not there are looked for. The whole dataset's DEBUG DIGEST is not used:
it stops the other server for as long as hashing takes, and does not see when a key expires. The digest of a value comes

    digest  from DEBUG DIGEST-VALUE, in the form in which that server counts, where it allows DEBUG
    dump    from DUMP, read and hashed here, else; only of values that are as long there as here

What differs is a candidate, and looked at again until it is certain. Of one history: the key is watched here as WATCH
would, read here, read there in a transaction that says at which offset, and this node waits until it has come to that
offset. If nothing touched the key here all the while, then it held at that very offset what was read here, and the two
differed; else it is looked at once more. A key that is always being written stays undecided. Servers without a common
history have no common offset: there a candidate is reported if it differs a moment later too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Final, Protocol

from txrepl.admin.sampling import (
    ABSENT,
    OTHER,
    SKIPPED,
    TORN,
    Sample,
    about_size,
    facts,
    length_asked,
    milliseconds,
    module_digest,
    payload_digest,
    sample_of,
    undated,
)
from txrepl.errors import CommandError, ReplicationError
from txrepl.keyspace.digest import value_digest_steps
from txrepl.keyspace.values import (
    ModuleValue,
    Value,
    type_name,
)
from txrepl.node import Node
from txrepl.resp.answers import Answer

PAGE: Final = 200
CANDIDATES: Final = 100
"""How many keys are looked at together."""
ROUNDS: Final = 10
TOGETHER_S: Final = 30.0
"""How long the two may take to come to a common offset."""
POLL_S: Final = 0.02
MOMENT_S: Final = 0.1
SLICE_S: Final = 0.005
UNDECIDED_SHOWN: Final = 100
DUE_MS: Final = 1000
"""A key that expires within so long is taken for expired."""
PTTL_TOLERANCE_MS: Final = 1000
"""How exact a deadline is where only PTTL tells it (before Redis 7.0)."""
BATCH_BYTES: Final = 1024 * 1024
OFFLOADED_BYTES: Final = 16 * 1024
"""Dumps larger than this are read beside the reactor."""
DUMPED_MAX_BYTES: Final = 64 * 1024 * 1024


class Other(Protocol):
    """The other server; see `peers.asking.Peer`."""

    async def pipeline(self, commands: list[tuple[bytes, ...]]) -> list[Answer]: ...

    async def ask(self, *words: bytes) -> Answer: ...

    async def atomically(self, commands: list[tuple[bytes, ...]]) -> list[Answer]: ...


class Phase(Enum):
    """How far a comparison is."""

    CONNECTING = "connecting"
    WAITING = "waiting"
    """For both to stand at one offset."""
    COMPARING = "comparing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        """Nothing more will happen."""
        return self in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)


class Kind(Enum):
    """How a key differs; the first that fits."""

    MISSING_HERE = "missing_here"
    MISSING_THERE = "missing_there"
    VALUE = "value"
    TTL = "ttl"


@dataclass(frozen=True, slots=True)
class Difference:
    """A key that differs."""

    database: int
    key: bytes
    kind: Kind
    type_here: str | None
    type_there: str | None
    deadline_here: int | None
    deadline_there: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """What to compare.

    Attributes:
        databases: None = all.
        limit: how many differences are looked for.
    """

    host: str
    port: int
    user: str
    password: str
    databases: tuple[int, ...] | None
    limit: int


@dataclass(frozen=True, slots=True)
class Shell:
    """What a comparison needs of the outside.

    Attributes:
        seconds: time that only grows.
        pause: wait for so many seconds.
        offload: compute something beside the reactor.
    """

    seconds: Callable[[], float]
    pause: Callable[[float], Awaitable[None]]
    offload: Callable[[Callable[[], int]], Awaitable[int]]


_Key = tuple[int, bytes]


@dataclass(slots=True)
class _Server:
    """What is known of the other server."""

    form: tuple[bool, bool] = (False, True)
    by_digest: bool = False
    exact_deadlines: bool = True
    keys: dict[int, int] = field(default_factory=dict)


class Comparison:
    """One comparison.

    Parameters:
        node: this node.

    Attributes:
        related: both are of one history; None before that is known.
        way: `digest` or `dump`; empty before that is known.
        offset: the last at which both stood; None without.
        more: there are more differences than were asked for.
        skipped: keys that are not compared: modules' values, and dumps over the bound.
    """

    def __init__(self, node: Node, order: Order, shell: Shell) -> None:
        self.order = order
        self.phase = Phase.CONNECTING
        self.error = ""
        self.related: bool | None = None
        self.way = ""
        self.offset: int | None = None
        self.database: int | None = None
        self.keys_done = 0
        self.keys_total = 0
        self.differences: list[Difference] = []
        self.undecided: list[_Key] = []
        self.undecided_count = 0
        self.skipped = 0
        self.more = False
        self._node = node
        self._shell = shell
        self._server = _Server()
        self._candidates: dict[_Key, None] = {}
        self._decided: set[_Key] = set()
        self._until = 0.0
        self._selected = -1

    @property
    def equal(self) -> bool | None:
        """Whether the two hold the same; None if that cannot be said (yet)."""
        if self.differences:
            return False
        sure = self.phase is Phase.DONE and not self.undecided_count and not self.skipped
        return True if sure else None

    async def run(self, other: Other) -> None:
        """Compare.

        Raises:
            ReplicationError, CommandError: it cannot be done.
        """
        await self._greet(other)
        if self.related:
            self.phase = Phase.WAITING
            await self._reach(other, 0)
        self.phase = Phase.COMPARING
        for number in self._databases():
            await self._compare(other, number)
            if self.more:
                break
        await self._settle(other)
        self.phase = Phase.DONE

    # -- who they are -------------------------------------------------------------------------------------------

    async def _greet(self, other: Other) -> None:
        order, server = self.order, self._server
        if order.password:
            user = (order.user.encode(),) if order.user else ()
            await other.ask(b"AUTH", *user, order.password.encode())
        about = facts(await other.ask(b"INFO", b"server"))
        standing = facts(await other.ask(b"INFO", b"replication"))
        keyspace = facts(await other.ask(b"INFO", b"keyspace"))
        version = tuple(int(part) for part in about.get("redis_version", "0").split(".")[:2] if part.isdigit())
        server.form = (False, False) if about.get("server_name") == "valkey" else (version < (7, 2), True)
        server.exact_deadlines = version >= (7, 0)
        server.keys = {
            int(name[2:]): int(text.split(",")[0].removeprefix("keys="))
            for name, text in keyspace.items()
            if name.startswith("db") and name[2:].isdigit()
        }
        self.related = standing.get("master_replid") == self._node.feed.history.replid
        try:
            await other.ask(b"DEBUG", b"DIGEST-VALUE", b"txrepl")
            server.by_digest = True
        except CommandError:
            server.by_digest = False
        self.way = "digest" if server.by_digest else "dump"

    def _databases(self) -> list[int]:
        ours = {db.number for db in self._node.keyspace.databases if db.data}
        wanted = self.order.databases
        numbers = sorted(ours | self._server.keys.keys()) if wanted is None else sorted(wanted)
        databases = self._node.keyspace.databases
        for number in numbers:
            here = len(databases[number].data) if number < len(databases) else 0
            self.keys_total += here + self._server.keys.get(number, 0)
        return numbers

    async def _reach(self, other: Other, offset: int) -> None:
        """Wait until both have an offset; 0 = the one at which the later of them stands now."""
        give_up = self._shell.seconds() + TOGETHER_S
        history = self._node.feed.history
        while True:
            standing = facts(await other.ask(b"INFO", b"replication"))
            if standing.get("master_replid") != history.replid:
                raise ReplicationError("the two are no longer of one history: a role changed meanwhile")
            here, there = history.offset, int(standing.get("master_repl_offset", "-1"))
            offset = offset or max(here, there)
            if min(here, there) >= offset:
                self.offset = offset
                return
            if self._shell.seconds() >= give_up:
                raise ReplicationError(
                    f"the two did not both come to offset {offset} within {TOGETHER_S:g} s: this node is at {here}, "
                    f"the other at {there}; is the link between them up?"
                )
            await self._shell.pause(POLL_S)

    async def _select(self, other: Other, number: int) -> bool:
        """Use a database there; False if it has none of that number."""
        if self._selected != number:
            try:
                await other.ask(b"SELECT", b"%d" % number)
            except CommandError as error:
                if error.code == "NOPERM":
                    raise
                return False
            self._selected = number
        return True

    # -- going through the keys ---------------------------------------------------------------------------------

    async def _compare(self, other: Other, number: int) -> None:
        self.database = number
        exists = await self._select(other, number)
        cursor = b"0"
        while exists and not self.more:
            found = await other.ask(b"SCAN", cursor, b"COUNT", b"%d" % PAGE)
            match found:
                case [bytes() as cursor, list() as names]:
                    keys = [name for name in names if isinstance(name, bytes)]
                case _:
                    raise ReplicationError("SCAN there is not as Redis has it")
            await self._page(other, number, list(dict.fromkeys(keys)))
            if cursor == b"0":
                break
        databases = self._node.keyspace.databases
        if number < len(databases):
            await self._missing_there(other, number, list(databases[number].data), exists=exists)

    async def _page(self, other: Other, number: int, keys: list[bytes]) -> None:
        there = await self._there(other, number, keys, atomic=False)
        for key in keys:
            here = await self._here(number, key)
            if SKIPPED in (here.digest, there[key].digest) and None not in (here.digest, there[key].digest):
                self.skipped += 1
            elif not self._is_same(here, there[key]):
                self._candidates[number, key] = None
        self.keys_done += len(keys)
        await self._settle_some(other, number)

    async def _missing_there(self, other: Other, number: int, keys: list[bytes], *, exists: bool) -> None:
        for start in range(0, len(keys), PAGE):
            if self.more:
                return
            batch = keys[start : start + PAGE]
            if not exists:
                absent = batch
            elif await other.ask(b"EXISTS", *batch) == len(batch):
                absent = []
            else:
                found = await other.pipeline([(b"EXISTS", key) for key in batch])
                absent = [key for key, count in zip(batch, found, strict=True) if count == 0]
            for key in absent:
                if (await self._here(number, key)).digest is not None:
                    self._candidates[number, key] = None
            self.keys_done += len(batch)
            await self._settle_some(other, number)
            await self._breathe()

    async def _settle_some(self, other: Other, number: int) -> None:
        if len(self._candidates) >= CANDIDATES:
            await self._settle(other)
            await self._select(other, number)

    async def _breathe(self) -> None:
        """Let others have their turn, if it is time."""
        if self._shell.seconds() >= self._until:
            await self._shell.pause(0)
            self._until = self._shell.seconds() + SLICE_S

    # -- looking ------------------------------------------------------------------------------------------------

    def _value(self, number: int, key: bytes) -> tuple[Value | None, int | None]:
        """What a key holds here, and its deadline; a due one holds nothing."""
        databases = self._node.keyspace.databases
        if number >= len(databases):
            return None, None
        db = databases[number]
        deadline = db.expires.get(key)
        if deadline is not None and deadline <= self._node.now():
            return None, None
        return db.data.get(key), deadline

    async def _here(self, number: int, key: bytes) -> Sample:
        value, deadline = self._value(number, key)
        if value is None:
            return Sample(None)
        if isinstance(value, ModuleValue):
            return Sample(SKIPPED if self._server.by_digest else module_digest(value), deadline)
        if not self._server.by_digest and about_size(value) > DUMPED_MAX_BYTES:
            return Sample(SKIPPED, deadline)
        form = self._server.form if self._server.by_digest else (False, True)
        steps = value_digest_steps(value, *form)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                digest: int = stop.value
                break
            except (RuntimeError, IndexError):
                digest = TORN
                break
            await self._breathe()
        return Sample(digest, deadline)

    async def _there(self, other: Other, number: int, keys: list[bytes], *, atomic: bool) -> dict[bytes, Sample]:
        """The keys as they are there; with `atomic` each with the offset at which it is so."""
        if not keys or not await self._select(other, number):
            return {key: Sample(None) for key in keys}
        if self._server.by_digest:
            asked = [(b"DEBUG", b"DIGEST-VALUE", *keys)]
            (digests,), deadlines, offset = await self._round(other, asked, keys, atomic=atomic)
            if not isinstance(digests, list) or len(digests) != len(keys):
                raise ReplicationError("DEBUG DIGEST-VALUE there is not as Redis has it")
            return {
                key: sample_of(undated(digest, deadline), deadline, offset)
                for key, digest, deadline in zip(keys, digests, deadlines, strict=True)
            }
        return await self._dumped(other, number, keys, atomic=atomic)

    async def _dumped(self, other: Other, number: int, keys: list[bytes], *, atomic: bool) -> dict[bytes, Sample]:
        """First how long each is; then the values of those that are as long as here."""
        lengths = [length_asked(self._value(number, key)[0], key) for key in keys]
        replies, deadlines, offset = await self._round(other, [one for one, _ in lengths], keys, atomic=atomic)
        found: dict[bytes, Sample] = {}
        wanted: list[bytes] = []
        for key, (_, length), reply, deadline in zip(keys, lengths, replies, deadlines, strict=True):
            if deadline != ABSENT and length >= 0 and reply == length:
                wanted.append(key)
            found[key] = sample_of(OTHER, deadline, offset)
        for batch in self._batches(number, wanted):
            asked: list[tuple[bytes, ...]] = [(b"DUMP", key) for key in batch]
            payloads, deadlines, offset = await self._round(other, asked, batch, atomic=atomic)
            for key, payload, deadline in zip(batch, payloads, deadlines, strict=True):
                digest = await self._payload_digest(payload) if isinstance(payload, bytes) else OTHER
                found[key] = sample_of(digest, deadline if payload is not None else ABSENT, offset)
        return found

    def _batches(self, number: int, keys: list[bytes]) -> Iterator[list[bytes]]:
        """The keys in groups of not much more than `BATCH_BYTES`, without those over the bound."""
        batch: list[bytes] = []
        size = 0
        for key in keys:
            value = self._value(number, key)[0]
            own = about_size(value) if value is not None else 0
            if own > DUMPED_MAX_BYTES:
                continue
            if batch and size + own > BATCH_BYTES:
                yield batch
                batch, size = [], 0
            batch.append(key)
            size += own
        if batch:
            yield batch

    async def _payload_digest(self, payload: bytes) -> int:
        if len(payload) > OFFLOADED_BYTES:
            return await self._shell.offload(lambda: payload_digest(payload))
        await self._breathe()
        return payload_digest(payload)

    async def _round(
        self, other: Other, asked: list[tuple[bytes, ...]], keys: list[bytes], *, atomic: bool
    ) -> tuple[list[Answer], list[int | None], int]:
        """Ask, and for the keys' deadlines (None = there is none, `ABSENT` = no key), and for the offset if atomic."""
        exact = self._server.exact_deadlines
        commands = [*asked, *((b"PEXPIRETIME" if exact else b"PTTL", key) for key in keys), (b"TIME",)]
        if atomic:
            commands.append((b"INFO", b"replication"))
            replies = await other.atomically(commands)
            offset = int(facts(replies.pop()).get("master_repl_offset", "-1"))
        else:
            replies, offset = await other.pipeline(commands), -1
        now_ms = milliseconds(replies.pop())
        split = len(asked)
        deadlines: list[int | None] = []
        for reply in replies[split:]:
            if isinstance(reply, CommandError):
                raise reply
            if not isinstance(reply, int):
                raise ReplicationError("the deadline of a key there is not as Redis has it")
            deadlines.append(reply if reply == ABSENT else None if reply < 0 else reply + (0 if exact else now_ms))
        for reply in replies[:split]:
            if isinstance(reply, CommandError) and reply.code != "WRONGTYPE":
                raise reply
        return replies[:split], deadlines, offset

    def _is_same(self, one: Sample, another: Sample) -> bool:
        if one.digest != another.digest or one.digest in (OTHER, TORN):
            return False
        if one.deadline is None or another.deadline is None:
            return one.deadline == another.deadline
        tolerance_ms = 0 if self._server.exact_deadlines else PTTL_TOLERANCE_MS
        return abs(one.deadline - another.deadline) <= tolerance_ms

    # -- making sure --------------------------------------------------------------------------------------------

    async def _settle(self, other: Other) -> None:
        """Look at the candidates until each is the same, different, or given up."""
        pending = [key for key in self._candidates if key not in self._decided]
        self._candidates.clear()
        for group in (pending[start : start + CANDIDATES] for start in range(0, len(pending), CANDIDATES)):
            left = group
            for turn in range(ROUNDS):
                if not left or self.more:
                    break
                left = await self._round_of(other, left, last=turn == ROUNDS - 1)
            self.undecided_count += len(left)
            self.undecided += left[: UNDECIDED_SHOWN - len(self.undecided)]

    async def _round_of(self, other: Other, keys: list[_Key], *, last: bool) -> list[_Key]:
        """Look again; the keys of which nothing is certain yet."""
        if not self.related:
            return await self._look_later(other, keys, last=last)
        start = self._node.feed.history.offset
        with self._watched(keys) as touched:
            here = {key: await self._here(*key) for key in keys}
            await self._reach(other, start)
            there = await self._look_there(other, keys)
            latest = max(sample.offset for sample in there.values())
            if latest > 0:
                await self._reach(other, latest)
            pending: list[_Key] = []
            for key in keys:
                ours, theirs = here[key], there[key]
                if key in touched and not self._is_same(ours, theirs):
                    ours = await self._here(*key)
                if self._is_same(ours, theirs) or self._is_due(ours) or self._is_due(theirs):
                    continue
                if key in touched or ours.digest == TORN:
                    pending.append(key)
                else:
                    await self._report(other, key, ours, theirs)
        return pending

    @contextmanager
    def _watched(self, keys: list[_Key]) -> Iterator[set[_Key]]:
        """The keys that were touched here since."""
        touched: set[_Key] = set()
        databases = self._node.keyspace.databases
        watcher = -id(self)
        ours = [key for key in keys if key[0] < len(databases)]
        for number, name in ours:
            databases[number].watched.setdefault(name, {})[watcher] = partial(touched.add, (number, name))
        try:
            yield touched
        finally:
            for number, name in ours:
                watched = databases[number].watched
                watched[name].pop(watcher, None)
                if not watched[name]:
                    del watched[name]

    def _is_due(self, sample: Sample) -> bool:
        """It expires about now: clocks differ, and what is deleted first is no difference."""
        return sample.deadline is not None and sample.deadline <= self._node.now() + DUE_MS

    async def _look_there(self, other: Other, keys: list[_Key]) -> dict[_Key, Sample]:
        found: dict[_Key, Sample] = {}
        for number in dict.fromkeys(number for number, _ in keys):
            names = [key for at, key in keys if at == number]
            samples = await self._there(other, number, names, atomic=True)
            found.update({(number, name): samples[name] for name in names})
        return found

    async def _look_later(self, other: Other, keys: list[_Key], *, last: bool) -> list[_Key]:
        """Look now and a moment later; the keys that changed meanwhile."""
        looks: list[dict[_Key, tuple[Sample, Sample]]] = []
        for _ in range(2):
            await self._shell.pause(MOMENT_S)
            there = await self._look_there(other, keys)
            looks.append({key: (await self._here(*key), there[key]) for key in keys})
        pending: list[_Key] = []
        for key in keys:
            (here, there_then), (here_now, there_now) = looks[0][key], looks[1][key]
            pairs = ((here, there_then), (here_now, there_now), (here, there_now), (here_now, there_then))
            if any(self._is_same(*pair) for pair in pairs) or self._is_due(here_now) or self._is_due(there_now):
                continue
            if last or (_unchanged(here, here_now) and _unchanged(there_then, there_now)):
                await self._report(other, key, here_now, there_now)
            else:
                pending.append(key)
        return pending

    async def _report(self, other: Other, key: _Key, here: Sample, there: Sample) -> None:
        if len(self.differences) >= self.order.limit:
            self.more = True
            return
        self._decided.add(key)
        number, name = key
        value = self._value(number, name)[0]
        type_there: str | None = None
        if there.digest is not None and await self._select(other, number):
            told = await other.ask(b"TYPE", name)
            type_there = told if isinstance(told, str) and told != "none" else None
        type_here = None if value is None else type_name(value)
        kind = _kind(here, there)
        self.differences.append(Difference(number, name, kind, type_here, type_there, here.deadline, there.deadline))


def _kind(here: Sample, there: Sample) -> Kind:
    if here.digest is None:
        return Kind.MISSING_HERE
    if there.digest is None:
        return Kind.MISSING_THERE
    return Kind.TTL if here.digest == there.digest else Kind.VALUE


def _unchanged(one: Sample, later: Sample) -> bool:
    return one.digest != TORN and (one.digest, one.deadline) == (later.digest, later.deadline)
