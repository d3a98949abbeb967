"""Streams of changes to HTTP clients: each reader is a cursor into the backlog.

A reader that keeps up is live: what the stream gains is decoded once for all of them, and written once for all who want
the same. One whose connection is full falls behind: it has a decoder of its own then, and reads on from the backlog
when there is room, up to the end, where it is live again. It pins nothing: when the backlog no longer holds what it
needs, it is told so in a last event, with the id to ask elsewhere from, and is let go. So no reader costs more memory
than one piece of the stream, as JSON, and what its connection holds.

A stream ends with the history that it is of: a full sync of this node ends it. When the history goes on under another
id (a promotion, here or above), so does the stream, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from txrepl.admin.contract import Scope
from txrepl.admin.streaming import Stream
from txrepl.changes import Change, Checkpoint, Decoder, Kind, Selection, Sieve, dump_json
from txrepl.replication.backlog import Backlog

READERS_MAX: Final = 256
READ_BYTES: Final = 16 * 1024
"""How much of the stream is decoded at once."""
TURN_S: Final = 0.005
"""How long readers are served before others get their turn."""
GATHER_S: Final = 0.005
"""How long the stream is let grow before live readers are served, so that many small writes cost one turn."""
PRESS_CHECKS: Final = 8
"""How often while the backlog is filled once it is seen whether somebody is about to fall out of it."""
TICK_S: Final = 1.0
HEARTBEAT_TICKS: Final = 10


class Format(Enum):
    """How events are written."""

    SSE = "text/event-stream"
    NDJSON = "application/x-ndjson"


class End(Enum):
    """Why a stream ended; the values are stable."""

    TOO_SLOW = "too_slow"
    """The backlog no longer holds what the reader has not read."""
    HISTORY_ENDED = "history_ended"
    """The node has another history now: a full sync, or a backlog that was freed."""
    UNREADABLE = "unreadable"
    """The stream cannot be decoded beyond here."""


class Piece:
    """A piece of the stream for many readers: chosen from once for each selection, and written once for each format.

    Attributes:
        is_plain: no transaction begins or ends in it.
    """

    def __init__(self, changes: list[Change]) -> None:
        self.is_plain = all(one.kind is Kind.CHANGE for one in changes)
        self._changes = changes
        self._chosen: dict[Selection, list[Change]] = {}
        self._texts: dict[tuple[Selection, Format], bytes] = {}

    def chosen(self, selection: Selection) -> list[Change]:
        """The changes that are wanted, and the ends of all transactions."""
        found = self._chosen.get(selection)
        if found is None:
            found = self._changes
            if not selection.is_all:
                found = [one for one in found if one.kind is not Kind.CHANGE or selection.wants(one)]
            self._chosen[selection] = found
        return found

    def text(self, selection: Selection, format: Format) -> bytes:
        """All that is chosen, as it is sent."""
        found = self._texts.get((selection, format))
        if found is None:
            found = self._texts[selection, format] = written(self.chosen(selection), format)
        return found


def written(changes: list[Change], format: Format) -> bytes:
    """Changes as they are sent."""
    if format is Format.SSE:
        return "".join(f"id: {one.id}\ndata: {one.json()}\n\n" for one in changes).encode()
    return "".join(one.json() + "\n" for one in changes).encode()


class Reader(Stream):
    """One client that reads changes.

    Parameters:
        start: where it begins.

    Attributes:
        decoder: its own, while it is behind; None while it is live.
        cursor: the next byte of the stream that it reads; of no meaning while it is live.
    """

    def __init__(
        self, streams: ChangeStreams, request: Request, format: Format, selection: Selection, start: Checkpoint
    ) -> None:
        super().__init__(request, streams.clock, streams.left)
        self._streams = streams
        self._format = format
        self._sieve = Sieve(selection, in_transaction=start.transaction is not None)
        self.decoder: Decoder | None = Decoder(start)
        self.cursor = start.offset + 1
        self._told = start

    def greet(self) -> None:
        """Send what precedes all events, so that the client knows that it is heard."""
        self._send([self._position(self._told)])

    def give(self, piece: Piece) -> None:
        """Send what it wants of the next piece of the stream."""
        selection = self._sieve.selection
        wanted = piece.chosen(selection)
        if not wanted:
            return
        if piece.is_plain and not self._sieve.holds:
            data = piece.text(selection, self._format)
        else:
            wanted = self._sieve.take(wanted)
            data = written(wanted, self._format)
        if wanted:
            self._told = wanted[-1].checkpoint
            self.send(data)

    def checkpoint(self, live: Decoder | None) -> Checkpoint:
        """The place that it has read up to; `live` is the decoder of those who are."""
        decoder = self.decoder or live
        assert decoder is not None
        return self._sieve.checkpoint(decoder)

    def heartbeat(self, place: Checkpoint) -> None:
        """Show life, and how far the stream is although nothing of it was wanted."""
        if place == self._told:
            self._send([": alive\n\n" if self._format is Format.SSE else "\n"])
        else:
            self._told = place
            self._send([self._position(place)])

    def _position(self, place: Checkpoint) -> str:
        if self._format is Format.SSE:
            return f": at offset {place.offset}\nid: {place}\n\n"  # no data: a browser notes the id and says nothing
        return dump_json({"event": "position", "id": str(place), "db": place.db}) + "\n"

    def tell(self, event: str, place: Checkpoint, **more: Any) -> bool:
        """Send an event that is no change; False if too much waits already."""
        self._told = place
        return self.send(self._word(event, place, more))

    def close(self, place: Checkpoint, cause: str, reason: str) -> None:
        """Let the client go, with a last event."""
        self.drop(self._word("closed", place, {"cause": cause, "reason": reason}))

    def _word(self, event: str, place: Checkpoint, more: dict[str, Any]) -> bytes:
        body = dump_json({"event": event, "id": str(place), **more})
        text = f"event: {event}\nid: {place}\ndata: {body}\n\n" if self._format is Format.SSE else body + "\n"
        return text.encode()

    def _send(self, parts: list[str]) -> None:
        self.send("".join(parts).encode())

    def resumeProducing(self) -> None:  # noqa: N802
        """The connection takes bytes again."""
        super().resumeProducing()
        self._streams.wake()


class ChangeStreams:
    """All readers of a node's changes."""

    def __init__(self, scope: Scope) -> None:
        self._node = scope.node
        self.clock: Any = scope.clock
        self._seconds: Callable[[], float] = scope.seconds
        self._number = self._node.feed.new_reader()
        self.readers: dict[int, Reader] = {}
        self._order = 0
        self._live: Decoder | None = None  # of the live readers; None while there are none
        self._live_cursor = 0
        self._backlog: Backlog | None = None
        self._pressed_offset = 0
        self._replid = ""
        self._turn: Any = None
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = self.clock
        self._ticks = 0

    # -- readers come and go ------------------------------------------------------------------------------------

    def add(self, request: Request, format: Format, selection: Selection, start: Checkpoint) -> Deferred[bytes]:
        """Stream from a place that the backlog covers, until the client leaves or has to be let go.

        Parameters:
            start: between two commands; its replid is the present one.
        """
        feed = self._node.feed
        assert feed.backlog is not None
        if not self.readers:
            self._backlog, self._replid = feed.backlog, feed.history.replid
            self._pressed_offset = feed.backlog.end_offset
            feed.listeners[self._number] = self._heard
            self._ticker.start(TICK_S, now=False)
        else:
            self._look()
        self._order += 1
        reader = Reader(self, request, format, selection, start)
        self.readers[self._order] = reader
        reader.begin()
        if not reader.gone:
            reader.greet()
        self.wake()
        return reader.ended

    def left(self, reader: Stream) -> None:
        """A client is gone."""
        self.readers = {number: one for number, one in self.readers.items() if one is not reader}
        if self.readers:
            return
        feed = self._node.feed
        self._live = self._backlog = None
        feed.listeners.pop(self._number, None)
        if self._ticker.running:
            self._ticker.stop()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._node.primary.left_alone()

    def _end(self, reader: Reader, end: End, reason: str, place: Checkpoint) -> None:
        self._node.log("notice", f"{reader.name} reads no more changes, after offset {place.offset}: {end.value}")
        reader.close(place, end.value, reason)

    # -- the stream grows ---------------------------------------------------------------------------------------

    def _heard(self, data: bytes, start: int) -> None:
        if self._turn is None:
            self._turn = self.clock.callLater(GATHER_S, self._serve)
        backlog = self._node.feed.backlog
        if backlog is not None and start - self._pressed_offset > backlog.size // PRESS_CHECKS:
            self._pressed_offset = start
            self._press(backlog)

    def _press(self, backlog: Backlog) -> None:
        """Serve at once those who could be read to and are half a backlog behind, so that our own haste loses none."""
        while self._look() and self._most_behind() > backlog.size // 2 and self._step():
            pass

    def _most_behind(self) -> int:
        """How many bytes the last of those who have room has to be given still."""
        backlog = self._backlog
        assert backlog is not None
        cursors = [
            self._live_cursor if reader.decoder is None else reader.cursor
            for reader in self.readers.values()
            if not reader.full
        ]
        return backlog.end_offset - min(cursors, default=backlog.end_offset)

    def wake(self) -> None:
        """There is something to do for a reader."""
        if self._turn is None and self.readers:
            self._turn = self.clock.callLater(0, self._serve)

    def _serve(self) -> None:
        """Give the readers what there is, for a while."""
        self._turn = None
        until = self._seconds() + TURN_S
        while self._look() and self._step():
            if self._seconds() >= until:
                self.wake()
                return

    def _step(self) -> bool:
        """Give each reader that is not full one piece; False if there is nothing to give."""
        moved = self._step_live()
        for reader in list(self.readers.values()):
            if reader.decoder is not None and not reader.full and not reader.gone:
                moved = self._step_behind(reader, reader.decoder) or moved
        return moved

    def _step_live(self) -> bool:
        backlog, decoder = self._backlog, self._live
        if backlog is None or decoder is None or self._live_cursor >= backlog.end_offset:
            return False
        live = [reader for reader in self.readers.values() if reader.decoder is None]
        for reader in live:
            if reader.full:  # from here on it goes at its own pace
                self._set_back(reader, decoder)
        live = [reader for reader in live if reader.decoder is None]
        if not live or not backlog.covers(self._live_cursor):
            for reader in live:
                self._set_back(reader, decoder)
            self._live = None
            return True
        data = backlog.read(self._live_cursor, READ_BYTES)
        self._live_cursor += len(data)
        piece = Piece(decoder.feed(data))
        for reader in live:
            reader.give(piece)
            if decoder.error is not None and not reader.gone:
                self._end(reader, End.UNREADABLE, decoder.error, reader.checkpoint(decoder))
        return True

    def _set_back(self, reader: Reader, decoder: Decoder) -> None:
        reader.decoder = Decoder(decoder.place)
        reader.cursor = decoder.offset + 1

    def _step_behind(self, reader: Reader, decoder: Decoder) -> bool:
        backlog = self._backlog
        assert backlog is not None
        if not backlog.covers(reader.cursor):
            self._drop_slow(reader, decoder, backlog)
            return True
        data = backlog.read(reader.cursor, READ_BYTES)
        reader.cursor += len(data)
        if data:
            reader.give(Piece(decoder.feed(data)))
            if decoder.error is not None and not reader.gone:
                self._end(reader, End.UNREADABLE, decoder.error, reader.checkpoint(decoder))
                return True
        if reader.cursor == backlog.end_offset:  # which is between two commands
            if self._live is None:
                self._live = Decoder(decoder.place)
                self._live_cursor = reader.cursor
            if self._live_cursor == reader.cursor:
                reader.decoder = None
        return bool(data)

    def _drop_slow(self, reader: Reader, decoder: Decoder, backlog: Backlog) -> None:
        place = reader.checkpoint(decoder)
        reason = (
            f"this reader was too slow: it has read up to offset {place.offset}, and the backlog begins at "
            f"{backlog.first_offset} now; GET /v1/snapshot gives a new beginning, a larger repl-backlog-size more time"
        )
        self._end(reader, End.TOO_SLOW, reason, place)

    # -- time, and the node's own changes -----------------------------------------------------------------------

    def _look(self) -> bool:
        """Whether the readers' history goes on; if it has ended, so have they."""
        feed = self._node.feed
        if not self.readers:
            return False
        if feed.backlog is not self._backlog:
            for reader in list(self.readers.values()):
                place = reader.checkpoint(self._live)
                reason = (
                    f"the history {self._replid} has ended here: this node's is {feed.history.replid} now, at offset "
                    f"{feed.history.offset}; GET /v1/snapshot gives a new beginning"
                )
                self._end(reader, End.HISTORY_ENDED, reason, place)
            return False
        if feed.history.replid != self._replid:
            before, self._replid = self._replid, feed.history.replid
            for decoder in (self._live, *(reader.decoder for reader in self.readers.values())):
                if decoder is not None:
                    decoder.replid = self._replid
            for reader in list(self.readers.values()):
                place = reader.checkpoint(self._live)
                reader.tell("history", place, before=before, reason="the history goes on under another id")
        return True

    def _tick(self) -> None:
        """Once a second: let go who is too slow, see where the history went, show life."""
        if not self._look():
            return
        backlog = self._backlog
        assert backlog is not None
        self._ticks += 1
        for reader in list(self.readers.values()):
            decoder = reader.decoder
            if decoder is not None and not backlog.covers(reader.cursor):
                self._drop_slow(reader, decoder, backlog)
            elif self._ticks % HEARTBEAT_TICKS == 0 and not reader.full:
                reader.heartbeat(reader.checkpoint(self._live))
