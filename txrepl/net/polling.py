"""Twisted's epoll reactor without a log context around every event.

Twisted gives each event of each connection a context of its own for its logging, which nobody here reads and which
takes a tenth of a small request's time.
"""

from __future__ import annotations

from twisted.internet import epollreactor, main
from twisted.logger import Logger


class EpollReactor(epollreactor.EPollReactor):
    """The reactor of `txrepl-server`."""

    _failures = Logger()

    def doPoll(self, timeout: float | None) -> None:  # noqa: N802
        """Wait for events, up to so many seconds (None: for ever), and let the connections act on them."""
        selectables = self._selectables
        for descriptor, event in self._poller.poll(-1 if timeout is None else timeout, len(selectables)):
            selectable = selectables.get(descriptor)
            if selectable is not None:
                try:
                    self._doReadOrWrite(selectable, descriptor, event)
                except Exception:
                    self._failures.failure("Unexpected error in a connection")

    doIteration = doPoll  # noqa: N815


def install() -> None:
    """Make it the process's reactor, which has none yet."""
    main.installReactor(EpollReactor())
