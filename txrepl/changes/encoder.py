"""Changes written for many readers, apart from where they are read: messages go in, answers come out.

A *lane* is where readers stand who want the same in the same form. What follows their place is fed to it, and answered
with their events. Lanes that stand at the same place of the stream are joined: what is fed to them all is decoded once.

    node (bytes of the backlog) ─ OPEN JOIN FEED RENAME CLOSE ─ Encoder ─ FED, RENAMED ─ node (events to connections)

Each FEED is answered with one FED, each RENAME with one RENAMED, in their order. A lane's place after each FED is all
that is needed to open it anew, so an encoder that is lost loses nothing. On a pipe a message is preceded by its length,
four bytes (`frame`, `Frames`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from struct import Struct
from typing import Any, Final

from txrepl.changes.checkpoint import Checkpoint
from txrepl.changes.decoder import Change, Decoder, Kind
from txrepl.changes.selection import Selection, Sieve
from txrepl.errors import TxreplError

_LENGTH: Final = Struct("!I")
_HEADER_LIKELY_BYTES: Final = 1024

OPEN: Final = b"O"
JOIN: Final = b"J"
FEED: Final = b"F"
RENAME: Final = b"R"
CLOSE: Final = b"C"
FED: Final = b"f"
RENAMED: Final = b"r"


class Format(Enum):
    """How events are written."""

    SSE = "text/event-stream"
    NDJSON = "application/x-ndjson"


def written(changes: list[Change], format: Format) -> bytes:
    """Changes as they are sent."""
    if format is Format.SSE:
        return "".join([f"id: {one.id}\ndata: {one.json()}\n\n" for one in changes]).encode()
    return "".join([one.json() + "\n" for one in changes]).encode()


# -- messages ---------------------------------------------------------------------------------------------------


def frame(message: bytes) -> bytes:
    """A message as it stands on a pipe."""
    return _LENGTH.pack(len(message)) + message


class Frames:
    """Messages from the bytes of a pipe, in any split."""

    __slots__ = ("_bytes", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._bytes = 0

    def feed(self, data: bytes) -> list[memoryview]:
        """The messages that are complete now, not copied once more."""
        self._parts.append(data)
        self._bytes += len(data)
        found: list[memoryview] = []
        if self._bytes < _LENGTH.size:
            return found
        if len(self._parts[0]) < _LENGTH.size:
            self._parts = [b"".join(self._parts)]
        if self._bytes < _LENGTH.size + _LENGTH.unpack_from(self._parts[0])[0]:
            return found
        joined = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        at, whole = 0, memoryview(joined)
        while len(joined) - at >= _LENGTH.size:
            begins = at + _LENGTH.size
            ends: int = begins + _LENGTH.unpack_from(joined, at)[0]
            if ends > len(joined):
                break
            found.append(whole[begins:ends])
            at = ends
        rest = joined[at:]
        self._parts, self._bytes = [rest] if rest else [], len(rest)
        return found


def _with_header(kind: bytes, header: Any, body: bytes = b"") -> bytes:
    return kind + json.dumps(header, separators=(",", ":")).encode() + b"\n" + body


def open_lane(lane: int, start: Checkpoint, selection: Selection, format: Format) -> bytes:
    """Open a lane at a place."""
    wanted = {
        "databases": sorted(selection.databases),
        "commands": [name.decode("latin-1") for name in sorted(selection.commands)],
        "match": None if selection.match is None else selection.match.decode("latin-1"),
    }
    return _with_header(OPEN, {"lane": lane, "start": str(start), "format": format.value, **wanted})


def join_lanes(lane: int, other: int) -> bytes:
    """What both have been fed ends at the same byte, and they are fed together from now on."""
    return _with_header(JOIN, {"lane": lane, "other": other})


def feed_lanes(lanes: list[int], data: bytes) -> bytes:
    """What follows in the stream, for lanes that were joined (or for a single one)."""
    return _with_header(FEED, lanes, data)


def rename_history(replid: str) -> bytes:
    """The history goes on under another id."""
    return _with_header(RENAME, replid)


def close_lane(lane: int) -> bytes:
    """Nobody stands there any more."""
    return _with_header(CLOSE, lane)


@dataclass(frozen=True, slots=True)
class Fed:
    """What became of a FEED.

    Attributes:
        place: where its lanes stand now, those that are not in `told`.
        error: why the stream cannot be decoded beyond here; None if it can.
        told: of the lanes that have events, or stand elsewhere (before a transaction that is open, say): the place,
            and the events as they are to be sent, empty if there are none.
    """

    place: Checkpoint
    error: str | None
    told: dict[int, tuple[Checkpoint, bytes]]


@dataclass(frozen=True, slots=True)
class Renamed:
    """What is fed from now on is of a history of this id."""

    replid: str


def _header_of(message: memoryview) -> tuple[bytes, Any, int]:
    """Kind and header of a message, and where its body begins."""
    head = bytes(message[:_HEADER_LIKELY_BYTES])
    ends = head.find(b"\n")
    if ends < 0:
        head = bytes(message)
        ends = head.index(b"\n")
    return head[:1], json.loads(head[1:ends]), ends + 1


def read_answer(message: memoryview) -> Fed | Renamed:
    """An answer of the encoder.

    Raises:
        TxreplError: it is none.
    """
    try:
        kind, header, at = _header_of(message)
        if kind not in (FED, RENAMED):
            raise ValueError("unknown kind")
    except ValueError:
        raise TxreplError(f"not an encoder's answer: {bytes(message[:32])!r}") from None
    if kind == RENAMED:
        return Renamed(header)
    told: dict[int, tuple[Checkpoint, bytes]] = {}
    for lane, place, size in header["told"]:
        told[lane] = Checkpoint.parse(place), bytes(message[at : at + size])
        at += size
    return Fed(Checkpoint.parse(header["place"]), header["error"], told)


# -- the encoder ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Lane:
    decoder: Decoder
    sieve: Sieve
    format: Format


class Encoder:
    """Decodes, chooses and writes for its lanes."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Lane] = {}

    def take(self, message: memoryview) -> bytes | None:
        """Do what a message says; the answer, if there is one.

        Raises:
            TxreplError: the message is none, or of a lane that there is not.
        """
        try:
            kind, header, begins = _header_of(message)
            if kind == FEED:
                return self._feed([(number, self._lanes[number]) for number in header], bytes(message[begins:]))
            if kind == OPEN:
                self._open(header)
            elif kind == JOIN:
                self._lanes[header["lane"]].decoder = self._lanes[header["other"]].decoder
            elif kind == CLOSE:
                del self._lanes[header]
            elif kind == RENAME:
                for lane in self._lanes.values():
                    lane.decoder.replid = header
                return _with_header(RENAMED, header)
            else:
                raise ValueError("unknown kind")
        except (KeyError, TypeError, ValueError) as error:
            raise TxreplError(f"not a message to an encoder: {bytes(message[:64])!r} ({error!r})") from None
        return None

    def _open(self, header: Any) -> None:
        start = Checkpoint.parse(header["start"])
        selection = Selection(
            frozenset(header["databases"]),
            frozenset(name.encode("latin-1") for name in header["commands"]),
            None if header["match"] is None else header["match"].encode("latin-1"),
        )
        sieve = Sieve(selection, in_transaction=start.transaction is not None)
        self._lanes[header["lane"]] = _Lane(Decoder(start), sieve, Format(header["format"]))

    def _feed(self, lanes: list[tuple[int, _Lane]], data: bytes) -> bytes:
        decoder = lanes[0][1].decoder
        changes = decoder.feed(data)
        is_plain = all(one.kind is Kind.CHANGE for one in changes)
        common = str(decoder.place)
        chosen: dict[Selection, list[Change]] = {}
        texts: dict[tuple[Selection, Format], bytes] = {}
        told: list[tuple[int, str, int]] = []
        parts: list[bytes] = []
        for number, lane in lanes:
            if lane.decoder is not decoder:
                raise ValueError(f"lane {number} is not joined with those it is fed with")
            sieve, selection = lane.sieve, lane.sieve.selection
            wanted = chosen.get(selection)
            if wanted is None:
                wanted = chosen[selection] = self._wanted(changes, selection)
            if is_plain and not sieve.holds:  # what the sieve would let through: the same for all such lanes
                text = texts.get((selection, lane.format))
                if text is None:
                    text = texts[selection, lane.format] = written(wanted, lane.format)
            else:
                text = written(sieve.take(wanted), lane.format)
            place = str(sieve.checkpoint(decoder)) if sieve.holds or decoder.transaction is not None else common
            if text or place != common:
                told.append((number, place, len(text)))
                parts.append(text)
        header = {"place": common, "error": decoder.error, "told": told}
        return _with_header(FED, header, parts[0] if len(parts) == 1 else b"".join(parts))

    @staticmethod
    def _wanted(changes: list[Change], selection: Selection) -> list[Change]:
        """The changes that are wanted, and the ends of all transactions."""
        if selection.is_all:
            return changes
        return [one for one in changes if one.kind is not Kind.CHANGE or selection.wants(one)]
