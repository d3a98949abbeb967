"""The follower's side of replication: resync, dataset, stream; and again when the link breaks.

What it says is what a replica says (`replication.handshake`); what it gets it hands to whoever iterates, in batches. It
reads no further before a batch was taken, so that a slow program slows down the primary's socket and nothing waits in
memory; once a second it says that it is alive all the same. What it acknowledges is what was taken: when the next batch
is asked for, the one before is dealt with.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from txrepl.changes import Checkpoint, Decoder, Selection, Sieve
from txrepl.errors import AuthenticationRefusedError, RdbError, ReplicationError, TxreplError
from txrepl.following.events import Entry, Event, FullSync, Function, Position, Synced
from txrepl.following.network import Connection, Network
from txrepl.keyspace.values import Value
from txrepl.rdb import RdbReader, Sink
from txrepl.replication.handshake import Introduction, Outcome, Resync, ask_psync, introduce, read_psync
from txrepl.replication.history import NO_REPLID
from txrepl.replication.psync import Condition, understand
from txrepl.replication.states import LinkState
from txrepl.replication.transfer import BulkReader
from txrepl.resp.requests import encode_command

RETRY_S: Final = 1.0
HEARTBEAT_S: Final = 1.0
LINE_MAX_BYTES: Final = 64 * 1024


class FollowError(TxreplError):
    """The server will not let us follow it, however often we ask; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to follow; see `txrepl.following.follow`."""

    start: Checkpoint | None
    snapshot: bool
    selection: Selection
    user: str
    password: str
    timeout_s: float
    log: Callable[[str, str], None]


class LineWire:
    """A connection as the handshake speaks over it (`handshake.Wire`)."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._buffer = bytearray()

    def send(self, *words: bytes) -> None:
        """Send a command."""
        self._connection.write(encode_command(words))

    async def line(self) -> bytes:
        """The next line."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_MAX_BYTES:
                raise ReplicationError("the primary sent a line without end")
            self._buffer += await self._more()
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    def put_back(self, data: bytes) -> None:
        """Bytes that were read and are to be read again."""
        self._buffer[:0] = data

    async def read(self) -> bytes:
        """The next bytes, after what is buffered.

        Raises:
            ReplicationError: the primary closed the connection.
            OSError: it broke, or nothing came in time.
        """
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data
        return await self._more()

    async def _more(self) -> bytes:
        data = await self._connection.read(self._timeout_s)
        if not data:
            raise ReplicationError("the primary closed the connection")
        return data


class Collector(Sink):
    """The target of a bulk: its keys as events.

    Parameters:
        wanted: which of them; None = none.

    Attributes:
        found: those since the last time it was emptied.
        stream_db: the database that the stream goes on in; None if the RDB does not say.
    """

    def __init__(self, wanted: Selection | None) -> None:
        self.found: list[Event] = []
        self.stream_db: int | None = None
        self._wanted = wanted
        self._db = 0
        self._reader = RdbReader()

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        self._reader.feed(data, self)

    @property
    def done(self) -> bool:
        """The RDB is complete."""
        return self._reader.done

    def leftover(self) -> bytes:
        """Bytes fed after its end."""
        return self._reader.leftover()

    def aux(self, name: bytes, value: bytes) -> None:
        """Note the stream's database."""
        if name == b"repl-stream-db" and value.isdigit():
            self.stream_db = int(value)

    def select_db(self, index: int) -> None:
        """Go on in another database."""
        self._db = index

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        """Keep a key if it is wanted."""
        wanted = self._wanted
        if wanted is None or (wanted.databases and self._db not in wanted.databases) or not wanted.wants_any([key]):
            return
        self.found.append(Entry(self._db, key, value, expire_ms))

    def function(self, source: bytes) -> None:
        """Keep a function library, where all of the dataset is wanted."""
        if self._wanted is not None and self._wanted.is_all:
            self.found.append(Function(source))


class Follower:
    """Follows one server; an async iterator of events.

    Attributes:
        checkpoint: the place after the last event given; None while there is none.
    """

    def __init__(self, network: Network, host: str, port: int, options: Options) -> None:
        self.checkpoint = options.start
        self._network = network
        self._host = host
        self._port = port
        self._options = options
        self._log = options.log
        self._place = options.start  # after the last batch made
        self._dealt_offset = options.start.offset if options.start else 0
        self._loading = False
        self._progress: Callable[[int, int], None] = lambda done, total: None
        self._batches = self._follow()
        self._given: list[Event] = []
        self._index = 0

    def on_progress(self, progress: Callable[[int, int], None]) -> None:
        """Have progress(bytes read, total bytes, 0 if unknown) called while the dataset comes."""
        self._progress = progress

    def __aiter__(self) -> Follower:
        return self

    async def __anext__(self) -> Event:
        while self._index >= len(self._given):
            self._given = await self.batch()
            self._index = 0
        event = self._given[self._index]
        self._index += 1
        self.checkpoint = event.checkpoint
        return event

    async def batch(self) -> list[Event]:
        """The next events, as many as came together: instead of iterating, for programs that deal with many at once."""
        batch = await anext(self._batches)
        self.checkpoint = batch[-1].checkpoint
        return batch

    async def aclose(self) -> None:
        """Close the link."""
        await self._batches.aclose()

    async def _follow(self) -> AsyncGenerator[list[Event], None]:
        while True:
            try:
                async with aclosing(self._link()) as link:
                    async for batch in link:
                        yield batch
            except TimeoutError:
                self._log("warning", f"{self._host}:{self._port}: nothing was heard of it in time")
            except (ReplicationError, OSError) as error:
                self._log("warning", f"{self._host}:{self._port}: {error}")
            await self._network.sleep(RETRY_S)

    async def _link(self) -> AsyncGenerator[list[Event], None]:
        """Connect, resync, and stay until the link breaks."""
        options = self._options
        connection = await self._network.connect(self._host, self._port, options.timeout_s)
        stop = self._network.every(HEARTBEAT_S, lambda: self._show_life(connection))
        try:
            wire = LineWire(connection, options.timeout_s)
            place = self._place
            asked = Introduction(
                port=0,
                user=options.user,
                password=options.password,
                replid=place.replid if place else None,
                offset=place.offset + 1 if place else -1,
            )
            outcome = await self._resync(wire, asked)
            if outcome.resync is Resync.PARTIAL:
                assert place is not None
                if outcome.replid:
                    place = place._replace(replid=outcome.replid)
                self._log("notice", f"going on after offset {place.offset}")
            else:
                async with aclosing(self._receive(wire, asked, outcome)) as full:
                    async for batch in full:
                        yield batch
                place = self._place
                assert place is not None
            self._place = place
            self._acknowledge(connection, place.offset)
            async with aclosing(self._read(wire, connection, place)) as stream:
                async for batch in stream:
                    yield batch
        finally:
            stop()
            connection.close()

    async def _resync(self, wire: LineWire, asked: Introduction) -> Outcome:
        try:
            await introduce(wire, asked, _no_step, self._heard)
        except AuthenticationRefusedError as error:
            raise FollowError(f"{self._host}:{self._port}: {error}") from error
        if not self._options.snapshot:  # from 7.0 on a server leaves the dataset out; others send what is then skipped
            wire.send(b"REPLCONF", b"rdb-filter-only", b"")
            while not (line := await wire.line()):
                pass
        line = await ask_psync(wire, asked, _no_step, self._heard)
        outcome = read_psync(line, asked, self._heard)
        if outcome is None:
            said = line[:256].decode("utf-8", "backslashreplace")
            raise FollowError(f"{self._host}:{self._port} refuses to be followed: {said}")
        if outcome.resync is Resync.FULL and outcome.replid == NO_REPLID:
            raise ReplicationError("the primary's answer names no history")
        return outcome

    def _heard(self, level: str, message: str) -> None:
        self._log("debug", message)

    async def _receive(
        self, wire: LineWire, asked: Introduction, outcome: Outcome
    ) -> AsyncGenerator[list[Event], None]:
        """The dataset."""
        made = understand(asked, outcome)
        condition = made.condition or Condition.UNCLEAR
        before, self._place = self._place, None
        self._loading = True
        try:
            yield [FullSync(made.reason, condition.value, outcome.replid, outcome.offset, before)]
            collector = Collector(self._options.selection if self._options.snapshot else None)
            bulk = BulkReader(lambda total_bytes, mark: collector)
            while not bulk.done:
                bulk.feed(await wire.read())
                self._progress(bulk.read_bytes, bulk.total_bytes)
                if collector.found:
                    found, collector.found = collector.found, []
                    yield found
        except RdbError as error:
            self._log("warning", str(error))
            raise
        finally:
            self._loading = False
        wire.put_back(bulk.rest)
        self._place = Checkpoint(outcome.replid, outcome.offset, collector.stream_db)
        self._dealt_offset = outcome.offset
        yield [Synced(self._place)]

    async def _read(
        self, wire: LineWire, connection: Connection, start: Checkpoint
    ) -> AsyncGenerator[list[Event], None]:
        """The stream."""
        decoder = Decoder(start)
        sieve = Sieve(self._options.selection, in_transaction=start.transaction is not None)
        told = start
        while True:
            data = await wire.read()
            batch: list[Event] = list(sieve.take(decoder.feed(data)))
            self._place = sieve.checkpoint(decoder)
            if not batch and self._place != told:
                batch.append(Position(self._place))
            if batch:
                told = self._place
                yield batch
            self._dealt_offset = max(self._dealt_offset, self._place.offset)
            if decoder.error is not None:
                raise FollowError(f"the stream of {self._host}:{self._port} cannot be read: {decoder.error}")
            if b"GETACK" in data:
                self._acknowledge(connection, self._dealt_offset)

    def _show_life(self, connection: Connection) -> None:
        if self._place is not None and not self._loading:
            self._acknowledge(connection, self._dealt_offset)
        elif self._loading:
            connection.write(b"\n")

    def _acknowledge(self, connection: Connection, offset: int) -> None:
        connection.write(encode_command((b"REPLCONF", b"ACK", b"%d" % offset)))


def _no_step(state: LinkState) -> None:
    """Nobody watches the steps of a follower's handshake."""
