"""Answers that go on until the client leaves: text sent as it comes about, in bounded memory.

A connection that takes no more is written to no further; what comes meanwhile waits, up to a bound. A client that is
over it is told so in a last word, which the log repeats, and is let go: nothing is buffered without end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.web.server import Request
from zope.interface import implementer

from txrepl.admin.answers import client_of
from txrepl.admin.problems import UnavailableError

STREAMS_MAX: Final = 256
"""Clients of one kind of stream at the same time."""
WAITING_MAX_BYTES: Final = 256 * 1024
LINGER_S: Final = 10
"""How long a client that is let go may take to read the last word."""


@implementer(IPushProducer)
class Stream:
    """One client.

    Parameters:
        left: called when it is gone, for whatever reason.

    Attributes:
        full: its connection takes no more for now.
        gone: nothing can be sent any more.
        ended: what its handler returns: fires when the answer is at its end; cancelled when the client goes.
    """

    def __init__(self, request: Request, clock: IReactorTime, left: Callable[[Stream], None]) -> None:
        self.name = client_of(request)
        self.full = False
        self.gone = False
        self.ended: Deferred[bytes] = Deferred(lambda _: self._leave())
        self._request = request
        self._clock = clock
        self._left = left
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0

    def begin(self) -> None:
        """From now on the connection says whether it takes more."""
        self._request.registerProducer(self, True)

    def send(self, data: bytes) -> bool:
        """Send bytes, or let them wait.

        Returns:
            False if too much waits already: the client has to be let go.
        """
        if self.gone:
            return True
        if not self.full:
            self._request.write(data)
            return True
        if self._waiting_bytes + len(data) > WAITING_MAX_BYTES:
            return False
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        return True

    @property
    def unsent(self) -> bytes:
        """What waits."""
        return b"".join(self._waiting)

    def drop(self, last_word: bytes) -> None:
        """Let the client go; what waited is not sent, the last word is."""
        if self.gone:
            return
        self._waiting.clear()
        self._request.write(last_word)
        transport: Any = getattr(self._request.channel, "transport", None)
        self._request.unregisterProducer()
        self._leave()
        self.ended.callback(b"")
        if transport is not None and hasattr(transport, "abortConnection"):
            call_later: Any = self._clock.callLater
            call_later(LINGER_S, transport.abortConnection)

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._left(self)

    def pauseProducing(self) -> None:  # noqa: N802
        """The connection takes no more."""
        self.full = True

    def resumeProducing(self) -> None:  # noqa: N802
        """The connection takes bytes again."""
        self.full = False
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        for data in waiting:
            self.send(data)

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone."""
        self._leave()


def check_room(streams: set[Any]) -> None:
    """Refuse one client more than there may be.

    Raises:
        UnavailableError: there are as many already.
    """
    if len(streams) >= STREAMS_MAX:
        raise UnavailableError(f"{STREAMS_MAX} clients read this already")


def begin_headers(request: Request, content_type: str) -> None:
    """The headers of an answer that goes on."""
    for name, value in (
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("Server", "txrepl"),
        ("X-Accel-Buffering", "no"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
    ):
        request.setHeader(name, value)
