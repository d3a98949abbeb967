"""Serving the other clients from within a busy script (`processEventsWhileBlocked`).

The script was started from within a turn of the reactor, which is not made to be entered twice. So nothing of it is
entered: here is a poll of our own over the sockets of clients and of the ports, and the transports are told what
Twisted would tell them. Timers, signals, the link to our primary, snapshots and HTTP wait until the script has ended;
what the clients send who run it stays in their sockets.
"""

from __future__ import annotations

import select
from typing import Any, Final

from twisted.internet import main
from twisted.python import log
from twisted.python.failure import Failure

from txrepl.net.clients import Client, ClientFactory

_BROKEN: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class OtherClients:
    """Serves who is ready now.

    Parameters:
        reactor: whose readers and writers are looked at.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def serve(self) -> None:
        """One look at the sockets, without waiting."""
        poll = select.poll()
        found: dict[int, Any] = {}
        wanted: dict[int, int] = {}
        for selectables, event in (
            (self._reactor.getReaders(), select.POLLIN),
            (self._reactor.getWriters(), select.POLLOUT),
        ):
            for selectable in selectables:
                if _is_clients(selectable, event):
                    descriptor = selectable.fileno()
                    found[descriptor] = selectable
                    wanted[descriptor] = wanted.get(descriptor, 0) | event
        for descriptor, events in wanted.items():
            poll.register(descriptor, events)
        for descriptor, events in poll.poll(0):
            self._tell(found[descriptor], events & wanted[descriptor] | events & _BROKEN)

    def _tell(self, selectable: Any, events: int) -> None:
        """Let a transport read and write; it is closed when it says that it has ended."""
        ended: BaseException | None = None
        try:
            if events & select.POLLIN:
                ended = selectable.doRead()
            if ended is None and events & select.POLLOUT and selectable.fileno() >= 0:
                ended = selectable.doWrite()
            if ended is None and events & _BROKEN and not events & select.POLLIN:
                ended = main.CONNECTION_LOST
        except Exception:
            log.err()
            ended = main.CONNECTION_LOST
        if ended is not None:
            self._reactor.removeReader(selectable)
            self._reactor.removeWriter(selectable)
            selectable.connectionLost(Failure(ended))


def _is_clients(selectable: Any, event: int) -> bool:
    """Whether it is a client's connection, or a port for such; not that of one whose request is being run."""
    client = getattr(selectable, "protocol", None)
    if isinstance(client, Client):
        return event == select.POLLOUT or not client.is_running
    return isinstance(getattr(selectable, "factory", None), ClientFactory)
