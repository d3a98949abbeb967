"""Streams of changes to HTTP clients: each reader is a cursor into the backlog.

What the stream gains is handed to an encoder, a process of its own (`changes.encoder`), which decodes it, chooses for
each reader and writes the events; here they are passed on to the connections. So readers cost those who write a few
copies of memory, and nothing is decoded before a command's reply.

Readers who want the same at the same place stand in one lane. A lane that has come to the end of the stream is live:
all live lanes are fed the same pieces, which are decoded once. A reader whose connection takes no more falls out of its
lane into one of its own, which reads on from the backlog when there is room, up to the end, where it is live again and
joined with its like. Nobody pins anything: when the backlog no longer holds what a lane needs, its readers are told so
in a last event, with the id to ask elsewhere from, and are let go. So no reader costs more memory than what is at the
encoder for it, and what its connection holds.

A stream ends with the history that it is of: a full sync of this node ends it. When the history goes on under another
id (a promotion, here or above), so does the stream, and says so. An encoder that is lost is started anew: each lane
goes on from the last place that was passed on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.web.server import Request

from txrepl.admin.contract import Scope
from txrepl.admin.encoder_process import EncoderLink
from txrepl.admin.streaming import Stream
from txrepl.changes import Checkpoint, Selection, dump_json
from txrepl.changes.encoder import (
    Fed,
    Format,
    close_lane,
    feed_lanes,
    join_lanes,
    open_lane,
    read_answer,
    rename_history,
)
from txrepl.replication.backlog import Backlog

READERS_MAX: Final = 256
READ_BYTES: Final = 64 * 1024
"""How much of the stream is handed to the encoder at once."""
WINDOW_BYTES: Final = 128 * 1024
"""How much of it may be at the encoder for a lane, or for all live ones."""
PRESSED_BYTES: Final = 8 * 1024 * 1024
"""How much may be there in all when readers are about to fall out of the backlog by no fault of theirs."""
TURN_S: Final = 0.005
"""How long lanes are fed before others get their turn."""
GATHER_S: Final = 0.02
"""How long after live readers were served the stream is let grow, so that many small writes cost one turn."""
PRESS_CHECKS: Final = 8
"""How often while the backlog is filled once it is seen whether somebody is about to fall out of it."""
TICK_S: Final = 1.0
HEARTBEAT_TICKS: Final = 10
RESTART_S: Final = 1.0
"""How long after an encoder was lost the next one is started."""
IDLE_S: Final = 30.0
"""How long an encoder is kept when the last reader has left."""


class End(Enum):
    """Why a stream ended; the values are stable."""

    TOO_SLOW = "too_slow"
    """The backlog no longer holds what the reader has not read."""
    HISTORY_ENDED = "history_ended"
    """The node has another history now: a full sync, or a backlog that was freed."""
    UNREADABLE = "unreadable"
    """The stream cannot be decoded beyond here."""


class Reader(Stream):
    """One client that reads changes.

    Attributes:
        lane: where it stands.
    """

    def __init__(self, streams: ChangeStreams, request: Request, format: Format, start: Checkpoint) -> None:
        super().__init__(request, streams.clock, streams.left)
        self.lane: Lane | None = None
        self._streams = streams
        self._format = format
        self._told = start

    def greet(self) -> None:
        """Send what precedes all events, so that the client knows that it is heard."""
        self.send(self._position(self._told).encode())

    def give(self, events: bytes, place: Checkpoint) -> bool:
        """Send events, up to a place; False if too much waits already."""
        if not self.send(events):
            return False
        self._told = place
        return True

    def heartbeat(self, place: Checkpoint) -> None:
        """Show life, and how far the stream is although nothing of it was wanted."""
        if place == self._told:
            self.send(b": alive\n\n" if self._format is Format.SSE else b"\n")
        else:
            self._told = place
            self.send(self._position(place).encode())

    def _position(self, place: Checkpoint) -> str:
        if self._format is Format.SSE:
            return f": at offset {place.offset}\nid: {place}\n\n"  # no data: a browser notes the id and says nothing
        return dump_json({"event": "position", "id": str(place), "db": place.db}) + "\n"

    def tell(self, event: str, place: Checkpoint, **more: Any) -> bool:
        """Send an event that is no change; False if too much waits already."""
        self._told = place
        return self.send(self._word(event, place, more))

    def close(self, place: Checkpoint, cause: str, reason: str) -> None:
        """Let the client go, with a last event, after all that it was given."""
        self.drop(self.unsent + self._word("closed", place, {"cause": cause, "reason": reason}))

    def _word(self, event: str, place: Checkpoint, more: dict[str, Any]) -> bytes:
        body = dump_json({"event": event, "id": str(place), **more})
        text = f"event: {event}\nid: {place}\ndata: {body}\n\n" if self._format is Format.SSE else body + "\n"
        return text.encode()

    def resumeProducing(self) -> None:  # noqa: N802
        """The connection takes bytes again."""
        super().resumeProducing()
        self._streams.wake()


class Lane:
    """Readers who want the same, in the same form, and stand at the same place.

    Attributes:
        number: what the encoder calls it.
        wants: what its readers want, and how it is written.
        readers: who stands there.
        place: what they were given reaches up to here.
        cursor: the next byte of the stream that the encoder gets for it.
        at_encoder: bytes that are there without an answer yet.
        is_open: the encoder knows it.
        live: it is fed with all the others who are.
    """

    __slots__ = ("at_encoder", "cursor", "is_open", "live", "number", "place", "readers", "wants")

    def __init__(self, number: int, wants: tuple[Selection, Format], place: Checkpoint) -> None:
        self.number = number
        self.wants = wants
        self.readers: list[Reader] = []
        self.place = place
        self.cursor = place.offset + 1
        self.at_encoder = 0
        self.is_open = False
        self.live = False

    @property
    def has_room(self) -> bool:
        """Some reader's connection takes bytes."""
        return any(not reader.full for reader in self.readers)

    def take(self, reader: Reader) -> None:
        """A reader who stands at the same place comes."""
        self.readers.append(reader)
        reader.lane = self

    def begin_again(self) -> None:
        """Nothing that is at the encoder counts any more."""
        self.cursor = self.place.offset + 1
        self.at_encoder = 0
        self.is_open = self.live = False


class ChangeStreams:
    """All readers of a node's changes.

    Attributes:
        lanes: where they stand, by number.
    """

    def __init__(self, scope: Scope) -> None:
        self._node = scope.node
        self.clock: Any = scope.clock
        self._seconds: Callable[[], float] = scope.seconds
        self._start_encoder = scope.start_encoder
        self._number = self._node.feed.new_reader()
        self.lanes: dict[int, Lane] = {}
        self._order = 0
        self._encoder: EncoderLink | None = None
        self._asked: deque[tuple[list[Lane], int] | None] = deque()  # what answers are due for; None: a new name
        self._backlog: Backlog | None = None
        self._pressed_offset = 0
        self._served_s = 0.0
        self._replid = ""
        self._turn: Any = None
        self._restart: Any = None
        self._idle: Any = None
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = self.clock
        self._ticks = 0

    # -- readers come and go ------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many readers there are."""
        return sum(len(lane.readers) for lane in self.lanes.values())

    def add(self, request: Request, format: Format, selection: Selection, start: Checkpoint) -> Deferred[bytes]:
        """Stream from a place that the backlog covers, until the client leaves or has to be let go.

        Parameters:
            start: between two commands; its replid is the present one.
        """
        feed = self._node.feed
        assert feed.backlog is not None
        if not self.lanes:
            self._backlog, self._replid = feed.backlog, feed.history.replid
            self._pressed_offset = feed.backlog.end_offset
            feed.listeners[self._number] = self._heard
            self._ticker.start(TICK_S, now=False)
            if self._idle is not None:
                self._idle.cancel()
                self._idle = None
        else:
            self._look()
        reader = Reader(self, request, format, start)
        self._new_lane((selection, format), start).take(reader)
        reader.begin()
        if not reader.gone:
            reader.greet()
        self.wake()
        return reader.ended

    def _new_lane(self, wants: tuple[Selection, Format], place: Checkpoint) -> Lane:
        self._order += 1
        lane = self.lanes[self._order] = Lane(self._order, wants, place)
        return lane

    def left(self, reader: Stream) -> None:
        """A client is gone."""
        assert isinstance(reader, Reader)
        lane, reader.lane = reader.lane, None
        if lane is None:
            return
        lane.readers = [one for one in lane.readers if one is not reader]
        if not lane.readers:
            self._close(lane)
        if not self.lanes:
            self._all_left()

    def _all_left(self) -> None:
        self._backlog = None
        self._node.feed.listeners.pop(self._number, None)
        if self._ticker.running:
            self._ticker.stop()
        for call in (self._turn, self._restart):
            if call is not None:
                call.cancel()
        self._turn = self._restart = None
        if self._encoder is not None:
            self._idle = self.clock.callLater(IDLE_S, self._stop_encoder)
        self._node.primary.left_alone()

    def _close(self, lane: Lane) -> None:
        del self.lanes[lane.number]
        if lane.is_open and self._encoder is not None:
            self._encoder.send(close_lane(lane.number))
        lane.is_open = False

    def _end(self, reader: Reader, end: End, reason: str, place: Checkpoint) -> None:
        self._node.log("notice", f"{reader.name} reads no more changes, after offset {place.offset}: {end.value}")
        reader.close(place, end.value, reason)

    def _end_lane(self, lane: Lane, end: End, reason: str) -> None:
        for reader in list(lane.readers):
            self._end(reader, end, reason, lane.place)

    # -- the stream grows ---------------------------------------------------------------------------------------

    def _heard(self, data: bytes, start: int) -> None:
        if self._turn is None:
            self._schedule(max(0.0, self._served_s + GATHER_S - self._seconds()))
        backlog = self._node.feed.backlog
        if backlog is not None and start - self._pressed_offset > backlog.size // PRESS_CHECKS:
            self._pressed_offset = start
            self._press(backlog)

    def _press(self, backlog: Backlog) -> None:
        """Feed at once those who could be read to and are half a backlog behind, so that our own haste loses none."""
        while self._look() and self._most_behind() > backlog.size // 2 and self._step(pressed=True):
            pass

    def _most_behind(self) -> int:
        """How many bytes the last of those who have room has to be given still."""
        backlog = self._backlog
        if backlog is None:
            return 0
        cursors = [lane.cursor for lane in self.lanes.values() if lane.has_room]
        return backlog.end_offset - min(cursors, default=backlog.end_offset)

    def _schedule(self, delay_s: float) -> None:
        self._turn = self.clock.callLater(delay_s, self._serve)

    def wake(self) -> None:
        """There is something to do for a reader."""
        if self._turn is None and self.lanes:
            self._schedule(0)

    def _serve(self) -> None:
        """Feed the lanes what there is, for a while."""
        self._turn = None
        self._served_s = self._seconds()
        until = self._served_s + TURN_S
        while self._look() and self._step(pressed=False):
            if self._seconds() >= until:
                self.wake()
                return

    def _step(self, *, pressed: bool) -> bool:
        """Feed one piece to each lane that may be; False if there is nothing to feed."""
        encoder = self._encoder
        if encoder is None:
            encoder = self._encoder = self._started()
            if encoder is None:
                return False
        moved = self._step_live(encoder, pressed=pressed)
        for lane in list(self.lanes.values()):
            if not lane.live and lane.has_room:
                moved = self._step_behind(encoder, lane, pressed=pressed) or moved
        return moved

    def _may_feed(self, at_encoder: int, *, pressed: bool) -> bool:
        if pressed:
            return sum(asked[1] for asked in self._asked if asked is not None) < PRESSED_BYTES
        return at_encoder < WINDOW_BYTES

    def _live(self) -> list[Lane]:
        return [lane for lane in self.lanes.values() if lane.live]

    def _step_live(self, encoder: EncoderLink, *, pressed: bool) -> bool:
        backlog, live = self._backlog, self._live()
        if backlog is None or not live or not any(lane.has_room for lane in live):
            return False
        if not backlog.covers(live[0].cursor):
            for lane in live:
                self._drop_slow(lane, backlog)
            return True
        at_encoder = max(lane.at_encoder for lane in live)
        if live[0].cursor == backlog.end_offset or not self._may_feed(at_encoder, pressed=pressed):
            return False
        self._feed(encoder, live, backlog.read(live[0].cursor, READ_BYTES))
        return True

    def _step_behind(self, encoder: EncoderLink, lane: Lane, *, pressed: bool) -> bool:
        backlog = self._backlog
        assert backlog is not None
        if not backlog.covers(lane.cursor):
            self._drop_slow(lane, backlog)
            return True
        if not self._may_feed(lane.at_encoder, pressed=pressed):
            return False
        if not lane.is_open:
            encoder.send(open_lane(lane.number, lane.place._replace(replid=self._replid), *lane.wants))
            lane.is_open = True
        data = backlog.read(lane.cursor, READ_BYTES)
        if data:
            self._feed(encoder, [lane], data)
        live = self._live()
        if lane.cursor == (live[0].cursor if live else backlog.end_offset):
            if live:
                encoder.send(join_lanes(lane.number, live[0].number))
            lane.live = True
        return bool(data)

    def _feed(self, encoder: EncoderLink, lanes: list[Lane], data: bytes) -> None:
        encoder.send(feed_lanes([lane.number for lane in lanes], data))
        self._asked.append((lanes, len(data)))
        for lane in lanes:
            lane.cursor += len(data)
            lane.at_encoder += len(data)

    def _drop_slow(self, lane: Lane, backlog: Backlog) -> None:
        reason = (
            f"this reader was too slow: it has read up to offset {lane.place.offset}, and the backlog begins at "
            f"{backlog.first_offset} now; GET /v1/snapshot gives a new beginning, a larger repl-backlog-size more time"
        )
        self._end_lane(lane, End.TOO_SLOW, reason)

    # -- the encoder --------------------------------------------------------------------------------------------

    def _started(self) -> EncoderLink | None:
        """A new encoder; None if there can be none now."""
        if self._restart is not None:
            return None
        try:
            return self._start_encoder(self._answered, self._lost)
        except OSError as error:
            self._node.log("warning", f"Can't start a process for readers of changes: {error.strerror or error}")
            self._restart = self.clock.callLater(RESTART_S, self._start_again)
            return None

    def _start_again(self) -> None:
        self._restart = None
        self.wake()

    def _stop_encoder(self) -> None:
        self._idle = None
        encoder, self._encoder = self._encoder, None
        self._asked.clear()
        if encoder is not None:
            encoder.close()

    def _lost(self, reason: str) -> None:
        """The encoder has ended: another goes on where it was."""
        self._node.log("warning", f"The process for readers of changes has ended: {reason}")
        self._encoder = None
        self._asked.clear()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        for lane in self.lanes.values():
            lane.begin_again()
        if self.lanes:
            self._renamed(self._replid)
            self._restart = self.clock.callLater(RESTART_S, self._start_again)

    def _answered(self, message: memoryview) -> None:
        """The encoder has dealt with the oldest of what it was asked."""
        asked, answer = self._asked.popleft(), read_answer(message)
        if asked is None or not isinstance(answer, Fed):
            assert asked is None and not isinstance(answer, Fed)
            self._renamed(answer.replid)
            return
        lanes, size = asked
        for lane in lanes:
            lane.at_encoder -= size
            if lane.number in self.lanes:
                self._pass_on(lane, *answer.told.get(lane.number, (answer.place, b"")))
                if answer.error is not None:
                    self._end_lane(lane, End.UNREADABLE, answer.error)
        if len(lanes) > 1:
            self._unite(lanes)
        if self._turn is None and (left := self._most_behind()):
            self._schedule(0 if left >= READ_BYTES else GATHER_S)

    def _pass_on(self, lane: Lane, place: Checkpoint, events: bytes) -> None:
        if events:
            for reader in list(lane.readers):
                if not reader.give(events, place):  # from here on it goes at its own pace
                    lane.readers.remove(reader)
                    self._new_lane(lane.wants, lane.place).take(reader)
            if not lane.readers:
                self._close(lane)
        lane.place = place

    def _unite(self, lanes: list[Lane]) -> None:
        """Lanes that are fed together, want the same and stand at the same place are one."""
        first: dict[tuple[tuple[Selection, Format], Checkpoint], Lane] = {}
        for lane in lanes:
            if lane.number in self.lanes:
                one = first.setdefault((lane.wants, lane.place), lane)
                if one is not lane:
                    for reader in lane.readers:
                        one.take(reader)
                    lane.readers = []
                    self._close(lane)

    # -- time, and the node's own changes -----------------------------------------------------------------------

    def _look(self) -> bool:
        """Whether the readers' history goes on; if it has ended, so have they."""
        feed = self._node.feed
        if not self.lanes:
            return False
        if feed.backlog is not self._backlog:
            reason = (
                f"the history {self._replid} has ended here: this node's is {feed.history.replid} now, at offset "
                f"{feed.history.offset}; GET /v1/snapshot gives a new beginning"
            )
            for lane in list(self.lanes.values()):
                self._end_lane(lane, End.HISTORY_ENDED, reason)
            return False
        if feed.history.replid != self._replid:
            self._replid = feed.history.replid
            if self._encoder is not None:
                self._encoder.send(rename_history(self._replid))
                self._asked.append(None)  # what is there already is of the name before
            else:
                self._renamed(self._replid)
        return True

    def _renamed(self, replid: str) -> None:
        for lane in list(self.lanes.values()):
            before = lane.place.replid
            if before != replid:
                lane.place = lane.place._replace(replid=replid)
                for reader in list(lane.readers):
                    reader.tell("history", lane.place, before=before, reason="the history goes on under another id")

    def _tick(self) -> None:
        """Once a second: let go who is too slow, see where the history went, show life."""
        if not self._look():
            return
        backlog = self._backlog
        assert backlog is not None
        self._ticks += 1
        for lane in list(self.lanes.values()):
            if not backlog.covers(lane.cursor):
                self._drop_slow(lane, backlog)
            elif self._ticks % HEARTBEAT_TICKS == 0:
                for reader in lane.readers:
                    if not reader.full:
                        reader.heartbeat(lane.place)
