"""One MIGRATE under way: what is said to the target, which keys it took, and what then becomes of them here.

The conversation, over a connection that may have served another MIGRATE before:

    ours   = [ AUTH ] [ SELECT ]   then, once those are accepted: one RESTORE for each key
    theirs = one line for each: "+OK" or "-" error

Redis sends all of it in one go, so that a refused SELECT or AUTH does not keep the keys from being restored,
elsewhere; here they stay where they are. Redis also stands still until the target has answered, and here others go on
writing. So a key is watched from the moment its payload is made, as WATCH would: the target's copy is the
newest only if nobody has touched the key since, and only then is it deleted. A key that was written, expired, or
given another deadline meanwhile stays as it is, and the target holds the older copy of it (as after COPY).

Follows `migrateCommand` of Redis 7.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from txrepl.errors import CommandError, MigrationError
from txrepl.keyspace.database import Database, Event
from txrepl.keyspace.values import Value
from txrepl.rdb.dump import dump, dump_version
from txrepl.resp.replies import OK, Reply
from txrepl.resp.requests import encode_command

ATTEMPTS: Final = 2
UNKNOWN_DATABASE: Final = -1
CHUNK_BYTES: Final = 64 * 1024
LINE_MAX_BYTES: Final = 64 * 1024
"""The longest line taken from a target."""


def chunks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in chunks of about `CHUNK_BYTES`; a piece is taken when its chunk is."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) > CHUNK_BYTES:
            gathered.append(piece[:CHUNK_BYTES])
            yield b"".join(gathered)
            gathered.clear()
            size = 0
            for start in range(CHUNK_BYTES, len(piece), CHUNK_BYTES):
                yield piece[start : start + CHUNK_BYTES]
            continue
        gathered.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    if gathered:
        yield b"".join(gathered)


class Wire(Protocol):
    """A connection to a target.

    Attributes:
        database: what is selected over it; `UNKNOWN_DATABASE` at first.
    """

    database: int

    async def send(self, pieces: Iterator[bytes]) -> None:
        """Send pieces, each taken when there is room for it.

        Raises:
            MigrationError: it broke, or nothing could be sent for the timeout's length.
        """

    async def line(self) -> bytes:
        """The next line, without its end.

        Raises:
            MigrationError: it broke, or nothing came for the timeout's length.
        """


W = TypeVar("W", bound=Wire)


class Target(Protocol[W]):
    """Where connections to a migration's target come from, and where they go afterwards."""

    async def open(self, order: Order) -> W:
        """A connection.

        Raises:
            MigrationError: there is none to be had.
        """

    def keep(self, order: Order, wire: W) -> None:
        """The conversation is over, and another may follow."""

    def drop(self, wire: W) -> None:
        """The conversation broke off."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a MIGRATE asks for.

    Attributes:
        host, port: the target.
        database: the target's database.
        timeout_ms: how long the target may be silent, in ms.
        copy: the keys stay here too.
        replace: the target's keys of the same name are replaced.
        credentials: AUTH's arguments; empty for none.
    """

    host: str
    port: int
    database: int
    timeout_ms: int
    copy: bool = False
    replace: bool = False
    credentials: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Moving:
    key: bytes
    value: Value
    restored: bool = False


class Migration:
    """One MIGRATE under way.

    Parameters:
        number: of this migration, unique and ascending.
        order: what is asked for.
        db: where the keys are.
        keys: the keys; those that are gone when their turn comes are passed over.
        now: unix time in ms.
        follows: the server is a (writable) replica.

    Attributes:
        refusal: the first error of the target, without its `-`.
        broken: how the connection failed; None once all was said.
        answer: called with the reply once all is done.
    """

    def __init__(
        self, number: int, order: Order, db: Database, keys: list[bytes], now: Callable[[], int], *, follows: bool
    ) -> None:
        self.order = order
        self.db = db
        self.keys = keys
        self.follows = follows
        self.refusal: bytes | None = None
        self.broken: MigrationError | None = None
        self.answer: Callable[[Reply], None] = lambda reply: None
        self._watcher = -number
        self._now = now
        self._moving: list[_Moving] = []
        self._watched: set[bytes] = set()
        self._changed: set[bytes] = set()
        self._answered: int = 0

    # -- the conversation ---------------------------------------------------------------------------------------

    async def run(self, target: Target[W]) -> None:
        """Move the keys; how it went is in `reply`.

        A connection that breaks before the first RESTORE is answered may have been a kept one that the target had
        closed: that is tried once more.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self.broken = MigrationError("connecting")
            try:
                wire = await target.open(self.order)
            except MigrationError as error:
                self.broken = error
                return
            self.broken = MigrationError("reading")
            try:
                await self._converse(wire)
            except MigrationError as error:
                target.drop(wire)
                self.broken = error
                if error.timed_out or self._answered or self.refusal is not None or attempt == ATTEMPTS:
                    return
            except BaseException:
                target.drop(wire)
                raise
            else:
                target.keep(self.order, wire)
                self.broken = None
                return

    async def _converse(self, wire: Wire) -> None:
        order = self.order
        self._unwatch()
        self._changed.clear()
        self._moving.clear()
        opening: list[bytes] = []
        if order.credentials:
            opening.append(encode_command((b"AUTH", *order.credentials)))
        if wire.database != order.database:
            opening.append(encode_command((b"SELECT", b"%d" % order.database)))
        if opening:
            await wire.send(iter(opening))
            accepted = [self._is_accepted(await wire.line()) for _ in opening]
            wire.database = order.database if all(accepted) else UNKNOWN_DATABASE
            if not all(accepted):
                return
        await wire.send(self._restores())
        for moving in self._moving:
            line = await wire.line()
            self._answered += 1
            moving.restored = self._is_accepted(line)

    def _is_accepted(self, line: bytes) -> bool:
        if line.startswith(b"+"):
            return True
        if not line.startswith(b"-"):
            raise MigrationError("reading")  # no Redis is there: nothing may be deleted on its word
        if self.refusal is None:
            self.refusal = line[1:]
        return False

    def _restores(self) -> Iterator[bytes]:
        """RESTORE for each key that is there, made when it is sent."""
        db = self.db
        options = (b"REPLACE",) if self.order.replace else ()
        for key in self.keys:
            value = db.data.get(key)
            if value is None:
                continue
            deadline_ms = db.expires.get(key)
            ttl_ms = 0
            if deadline_ms is not None:
                left_ms = deadline_ms - self._now()
                if left_ms < 0:
                    continue
                ttl_ms = max(left_ms, 1)
            self._watch(key)
            self._moving.append(_Moving(key, value))
            yield encode_command((b"RESTORE", key, b"%d" % ttl_ms, dump(value, dump_version(value)), *options))

    # -- what happens to the keys meanwhile ---------------------------------------------------------------------

    def _watch(self, key: bytes) -> None:
        if key in self._watched:
            return  # a second payload of a key is no newer than the first
        self._watched.add(key)
        self.db.watched.setdefault(key, {})[self._watcher] = lambda: self._changed.add(key)

    def _unwatch(self) -> None:
        watched = self.db.watched
        for key in self._watched:
            watched[key].pop(self._watcher, None)
            if not watched[key]:
                del watched[key]
        self._watched.clear()

    def settle(self, *, keep: bool) -> list[bytes]:
        """Delete here what the target has taken, unless it is a copy or was changed meanwhile.

        Parameters:
            keep: the dataset is not ours to change any more (the server has become a replica).

        Returns:
            The keys that were deleted.
        """
        self._unwatch()
        if keep or self.order.copy:
            return []
        moved: list[bytes] = []
        db = self.db
        for moving in self._moving:
            key = moving.key
            if moving.restored and key not in self._changed and db.data.get(key) is moving.value:
                db.remove(key)
                db.changed(key, Event.GENERIC, b"del")
                moved.append(key)
        return moved

    def reply(self) -> Reply:
        """What the client is told."""
        if self.refusal is not None:
            return CommandError(b"ERR Target instance replied with error: " + self.refusal)
        if self.broken is not None:
            return CommandError(f"IOERR error or timeout {self.broken}")
        return OK


class Migrations:
    """The migrations of a server.

    Parameters:
        now: unix time in ms.

    Attributes:
        held: those that are over but may not change the dataset yet (CLIENT PAUSE).
        cached_sockets: how many connections are kept for the next MIGRATE to the same target.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.held: list[Migration] = []
        self.cached_sockets: int = 0
        self._now = now
        self._last_number: int = 0
        self._leaving: set[tuple[int, bytes]] = set()

    def begin(self, order: Order, db: Database, keys: list[bytes], *, follows: bool) -> Migration:
        """A new one; its keys are on their way until `end`."""
        self._last_number += 1
        migration = Migration(self._last_number, order, db, keys, self._now, follows=follows)
        if not order.copy:
            self._leaving.update((db.number, key) for key in keys)
        return migration

    def end(self, migration: Migration) -> None:
        """It is over."""
        if not migration.order.copy:
            self._leaving.difference_update((migration.db.number, key) for key in migration.keys)

    def take_held(self) -> list[Migration]:
        """Those that were held, which are held no more."""
        held, self.held = self.held, []
        return held

    def is_leaving(self, db: Database, keys: list[bytes]) -> bool:
        """Whether one of the keys is on its way to some target: a second MIGRATE of it has to wait."""
        return bool(self._leaving) and any((db.number, key) in self._leaving for key in keys)
