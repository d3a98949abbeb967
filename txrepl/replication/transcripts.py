"""The last handshakes with primaries word for word, for people who ask why one failed.

What is sent is recorded when it is sent, an answer when it has come, with how long it took. Names and passwords of
AUTH are never kept. Everything is bounded: how many handshakes, how many lines of one, how long a line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from txrepl.replication.handshake import Wire
from txrepl.replication.states import LinkState

TRANSCRIPTS_MAX: Final = 16
EXCHANGES_MAX: Final = 32
LINE_SHOWN_BYTES: Final = 256
MASKED: Final = "***"


@dataclass(slots=True)
class Exchange:
    """A command and its answer.

    Attributes:
        step: the state that the link was in.
        at_ms: when it was sent, unix ms.
        sent: the words, with blanks between them.
        received: the line that came back; None while none has come.
        took_ms: from sending to the answer; None while there is none.
    """

    step: LinkState
    at_ms: int
    sent: str
    received: str | None = None
    took_ms: int | None = None


@dataclass(slots=True)
class Transcript:
    """A handshake.

    Attributes:
        host, port: of the primary.
        at_ms: when the connecting began, unix ms.
        outcome: `full`, `partial`, `sync`; None while it goes on, or if it failed.
        error: why it failed, in words; empty if it did not.
        took_ms: from the beginning to the outcome or failure; None while it goes on.
    """

    host: str
    port: int
    at_ms: int
    exchanges: list[Exchange] = field(default_factory=list)
    outcome: str | None = None
    error: str = ""
    took_ms: int | None = None

    def ended(self, now_ms: int, *, outcome: str | None = None, error: str = "") -> None:
        """It came to its end; only the first end counts."""
        if self.took_ms is None:
            self.took_ms = now_ms - self.at_ms
            self.outcome = outcome
            self.error = error


class Transcripts:
    """The last handshakes, oldest first."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: deque[Transcript] = deque(maxlen=TRANSCRIPTS_MAX)

    def begin(self, host: str, port: int, now_ms: int) -> Transcript:
        """A handshake begins."""
        found = Transcript(host, port, now_ms)
        self.held.append(found)
        return found

    def failed(self, now_ms: int, error: str) -> None:
        """The attempt that goes on, if any, has failed."""
        if self.held:
            self.held[-1].ended(now_ms, error=error)


class Recorded:
    """A wire whose conversation is written down.

    Parameters:
        wire: the wire.
        transcript: where to.
        state: the state that the link is in.
        now: unix time in ms.
    """

    def __init__(
        self, wire: Wire, transcript: Transcript, state: Callable[[], LinkState], now: Callable[[], int]
    ) -> None:
        self._wire = wire
        self._transcript = transcript
        self._state = state
        self._now = now

    def send(self, *words: bytes) -> None:
        """Send a command."""
        if len(self._transcript.exchanges) < EXCHANGES_MAX:
            self._transcript.exchanges.append(Exchange(self._state(), self._now(), _shown(words)))
        self._wire.send(*words)

    async def line(self) -> bytes:
        """The next line; see `Wire.line`."""
        line = await self._wire.line()
        exchange = self._transcript.exchanges[-1]
        if line and exchange.received is None:
            exchange.received = line[:LINE_SHOWN_BYTES].decode("utf-8", "surrogateescape")
            exchange.took_ms = self._now() - exchange.at_ms
        return line


def _shown(words: tuple[bytes, ...]) -> str:
    """The words of a command, without the secrets of AUTH."""
    if words[0].upper() == b"AUTH":
        return " ".join(["AUTH", *(MASKED for _ in words[1:])])
    return b" ".join(words)[:LINE_SHOWN_BYTES].decode("utf-8", "surrogateescape")
