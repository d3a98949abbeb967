"""A delayed replica: what it has received and acknowledged, and does not apply yet.

    primary ── received ──> pending ── old enough, and before the stop ──> applied, forwarded
                 └ acknowledged at once         └ whole units only

A unit is a command, or a transaction from MULTI to EXEC; only whole ones are taken out, so what is applied always ends
between two units, and our history's offset is that place. Bytes wait with the time of their arrival, in pieces of a
few kilobytes or a tenth of a second, whichever is less; a piece is due when its last byte is old enough. It is looked
into only then, so that waiting costs nothing.

A stop holds before the first unit that ends at a given offset or beyond it, until it is lifted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from txrepl.replication.history import History
from txrepl.resp.requests import OddRequest, RequestParser, request_size

PIECE_BYTES: Final = 16 * 1024
PIECE_MS: Final = 100
STEP_BYTES: Final = 8 * 1024
"""About how much is taken at once, so that whoever applies it can look at the clock in between."""

SLICE_MS: Final = 5
"""How long due bytes are applied before others get their turn."""

MAX_BYTES: Final = 1024**3
NO_LIMIT_BYTES: Final = 2**62

_OPENS: Final = b"MULTI"
_CLOSES: Final = frozenset((b"EXEC", b"DISCARD"))


@dataclass(slots=True)
class _Piece:
    """Bytes that arrived about together.

    Attributes:
        data: a bytearray while more may join.
        first_ms, last_ms: when the first and the last of them came, unix ms.
        at_once: they are due, whatever their age.
    """

    data: bytes | bytearray
    first_ms: int
    last_ms: int
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that waits.

    Attributes:
        offset, end_offset: of its first and its last byte.
        transaction_offset: the offset of the MULTI that it stands behind; None outside of a transaction.
        arrived_ms: when its last byte came, unix ms.
    """

    offset: int
    end_offset: int
    transaction_offset: int | None
    arrived_ms: int
    argv: list[bytes]


class Delay:
    """Received bytes on their way to being applied.

    Parameters:
        history: ours; its offset is what is applied.

    Attributes:
        delay_ms: how old bytes must be (`replica-delay`).
        max_bytes: from how many on no more should be read (`replica-delay-max-bytes`).
        stop_before: hold before the unit that ends here or later; 0 = no stop (`replica-delay-stop-before`).
        is_active: bytes have to go through here; False costs an undelayed replica one look a read.
        pending_bytes: received and not applied.
    """

    __slots__ = (
        "_at_once",
        "_head",
        "_head_ms",
        "_history",
        "_is_stopped",
        "_open_bytes",
        "_parser",
        "_pieces",
        "_transaction",
        "_units",
        "delay_ms",
        "is_active",
        "max_bytes",
        "pending_bytes",
        "stop_before",
    )

    def __init__(self, history: History) -> None:
        self._history = history
        self.delay_ms: int = 0
        self.max_bytes: int = MAX_BYTES
        self.stop_before: int = 0
        self.is_active: bool = False
        self.clear()

    def clear(self) -> None:
        """Drop what waits; delay and stop stay."""
        self._pieces: deque[_Piece] = deque()
        self._head = bytearray()  # of due pieces: whole units, then the beginning of one
        self._head_ms: int = 0
        self._at_once: bool = False
        self._units: deque[int] = deque()  # sizes of the whole units in the head
        self._open_bytes: int = 0  # whole commands of a transaction that is not whole
        self._transaction: bool = False
        self._parser = RequestParser(NO_LIMIT_BYTES)
        self._is_stopped: bool = False
        self.pending_bytes: int = 0
        self._refresh()

    def _refresh(self) -> None:
        self.is_active = bool(self.delay_ms or self.stop_before or self.pending_bytes)

    # -- what is known ------------------------------------------------------------------------------------------

    @property
    def received_offset(self) -> int:
        """The last byte received, or applied where nothing waits."""
        return self._history.offset + self.pending_bytes

    @property
    def is_full(self) -> bool:
        """No more should be read for now."""
        return self.pending_bytes >= self.max_bytes

    @property
    def is_held(self) -> bool:
        """The stop is reached: nothing goes on until it is lifted."""
        return bool(self.stop_before) and (self._is_stopped or self._history.offset + 1 >= self.stop_before)

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest bytes that wait arrived, unix ms; None if none wait."""
        if self._head:
            return self._head_ms
        return self._pieces[0].first_ms if self._pieces else None

    @property
    def next_due_ms(self) -> int | None:
        """When bytes that wait will be old enough, unix ms; None if none wait, or they are held."""
        if self.is_held or not self.pending_bytes:
            return None
        if self._units:
            return self._head_ms if self._at_once else self._head_ms + self.delay_ms
        if not self._pieces:
            return None
        first = self._pieces[0]
        return first.last_ms if first.at_once else first.last_ms + self.delay_ms

    def parts(self) -> list[tuple[int, bytes]]:
        """What waits, in order: pairs of arrival (unix ms) and bytes; the pieces are not copied, save the last."""
        head = [(self._head_ms, bytes(self._head))] if self._head else []
        return head + [(piece.last_ms, bytes(piece.data)) for piece in self._pieces]

    # -- what happens -------------------------------------------------------------------------------------------

    def set_delay(self, delay_ms: int) -> None:
        """Apply bytes when they are this old; for those that wait already, too."""
        self.delay_ms = delay_ms
        self._refresh()

    def set_stop(self, offset: int) -> None:
        """Hold before the first unit that ends at this offset or later; 0 lifts the stop."""
        self.stop_before = offset
        self._is_stopped = False
        self._refresh()

    def apply_now(self) -> None:
        """What waits now is old enough; the stop still counts."""
        self._at_once = True
        for piece in self._pieces:
            piece.at_once = True

    def receive(self, data: bytes, now_ms: int) -> None:
        """Bytes came from the primary."""
        self.pending_bytes += len(data)
        self.is_active = True
        last = self._pieces[-1] if self._pieces else None
        if last is not None and isinstance(last.data, bytearray):
            fits = len(last.data) + len(data) <= PIECE_BYTES
            if fits and not last.at_once and 0 <= now_ms - last.first_ms < PIECE_MS:
                last.data += data
                last.last_ms = now_ms
                return
            last.data = bytes(last.data)
        self._pieces.append(_Piece(bytearray(data) if len(data) < PIECE_BYTES else data, now_ms, now_ms))

    def take(self, now_ms: int) -> bytes | None:
        """The next units that are to be applied, a step's worth; None if there are none now.

        Empty when a piece was looked into and no unit is whole yet: ask again. Bytes that are no commands come out as
        they are: whoever applies them finds what is wrong.
        """
        units = self._units
        if not units:
            if not self._pieces:
                return None
            first = self._pieces[0]
            if not first.at_once and first.last_ms + self.delay_ms > now_ms:
                return None
            self._pieces.popleft()
            self._head_ms = first.last_ms
            self._at_once = first.at_once
            self._take_apart(bytes(first.data))
        elif not self._at_once and self._head_ms + self.delay_ms > now_ms:
            return None
        size = 0
        while units and (not size or size + units[0] <= STEP_BYTES):
            if self.stop_before and self._history.offset + size + units[0] >= self.stop_before:
                self._is_stopped = True
                break
            size += units.popleft()
        return None if self._is_stopped and not size else self._cut(size)

    def _take_apart(self, data: bytes) -> None:
        """Add a due piece to the head, and note which units are whole now."""
        self._head += data
        broken = False
        for argv in self._parser.feed(data):
            broken = broken or (argv.__class__ is OddRequest and bool(argv))
            self._open_bytes += request_size(argv)
            self._transaction = _stays_open(self._transaction, argv)
            if not self._transaction:
                self._units.append(self._open_bytes)
                self._open_bytes = 0
        if broken or self._parser.error is not None:
            self._units.append(len(self._head) - sum(self._units))
            self._open_bytes = 0

    def _cut(self, size: int) -> bytes:
        with memoryview(self._head) as view:
            data = bytes(view[:size])
        del self._head[:size]
        self.pending_bytes -= size
        return data

    def remainder(self) -> bytes | None:
        """When nothing is delayed any more and no whole unit waits: the beginning of one that does, and this is empty.

        None while it still has to hold something back.
        """
        if self.delay_ms or self.stop_before or self._pieces or self._units:
            return None
        data = bytes(self._head)
        self.clear()
        return data


def _stays_open(is_open: bool, argv: list[bytes]) -> bool:
    """Whether a transaction is open after a command, which the stream's session will see the same way."""
    if len(argv) != 1 or len(argv[0]) > 7:
        return is_open
    name = argv[0].upper()
    return name not in _CLOSES if is_open else name == _OPENS


def decode(parts: Iterable[tuple[int, bytes]], offset: int) -> Iterator[list[Pending]]:
    """The whole commands in bytes that wait: one list a part, so that the reader can pause in between.

    Parameters:
        parts: of `Delay.parts`.
        offset: the offset of their first byte.
    """
    parser = RequestParser(NO_LIMIT_BYTES)
    is_open = False
    opened: int | None = None
    for arrived_ms, data in parts:
        found: list[Pending] = []
        for argv in parser.feed(data):
            size = request_size(argv)
            was_open, is_open = is_open, _stays_open(is_open, argv)
            if is_open and not was_open:
                opened = offset
            if argv:
                inside = opened if is_open or was_open else None
                found.append(Pending(offset, offset + size - 1, inside, arrived_ms, argv))
            offset += size
        yield found
        if parser.error is not None:
            return
