"""MONITOR: a line for every command that is run, to whoever wants to watch.

Not shown are commands for administrators, and passwords. A command shows once it has run, a script before the
commands that it runs. While nobody watches, nothing here is asked: the dispatcher's gate is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.commands.session import DENY_BLOCKING, MONITORING, REPLICA, Session
from txrepl.commands.table import Family
from txrepl.config.quoting import quote_word
from txrepl.errors import CommandError
from txrepl.resp.replies import NO_REPLY, OK, Reply

family = Family("server")

LINES_MAX: Final = 1024
"""Lines that a script, a transaction or a pipeline may make before they are written."""


def monitor_line(argv: list[bytes], database: int, source: str, now_ms: int) -> bytes:
    """A command as monitors see it (`replicationFeedMonitors`).

    Parameters:
        argv: its words, secrets hidden.
        source: the client's address, `unix:` and the path of the socket, or `lua`.
        now_ms: unix time; the line tells µs, to the ms.
    """
    seconds, ms = divmod(now_ms, 1000)
    words = " ".join(map(quote_word, argv))
    return f"+{seconds}.{ms:03}000 [{database} {source}] {words}\r\n".encode("utf-8", "surrogateescape")


class Monitors:
    """Those who watch.

    Lines wait until `flush`, so that a pipeline of commands is one write to each monitor; `LINES_MAX` do not wait.

    Parameters:
        wake: called when there are lines to flush, and there were none.
    """

    __slots__ = ("_pending", "_waiting", "_wake", "_writes")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._writes: dict[int, Callable[[bytes], None]] = {}
        self._pending: dict[int, list[bytes]] = {}
        self._waiting = 0

    def __bool__(self) -> bool:
        return bool(self._writes)

    def add(self, number: int, write: Callable[[bytes], None]) -> None:
        """A client watches from now on."""
        self._writes[number] = write

    def remove(self, number: int, *, gone: bool) -> None:
        """A client watches no more; unless it is `gone`, it gets what came until now."""
        write = self._writes.pop(number, None)
        lines = self._pending.pop(number, None)
        if write is not None and lines and not gone:
            write(b"".join(lines))

    def tell(self, line: bytes) -> None:
        """A command has run."""
        if not self._pending:
            self._wake()
        for number in self._writes:
            self._pending.setdefault(number, []).append(line)
        self._waiting += 1
        if self._waiting >= LINES_MAX:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        pending, self._pending, self._waiting = self._pending, {}, 0
        for number, lines in pending.items():
            write = self._writes.get(number)
            if write is not None:
                write(b"".join(lines))


@family.command(
    "monitor",
    1,
    "admin noscript loading stale",
    since="1.0.0",
    summary="Shows every command that the server runs.",
    complexity="",
)
def monitor(s: Session, argv: list[bytes]) -> Reply:
    """MONITOR."""
    if s.flags & DENY_BLOCKING:
        raise CommandError("ERR MONITOR isn't allowed for DENY BLOCKING client")
    if s.flags & (REPLICA | MONITORING):
        return NO_REPLY
    s.server.monitor(s, watches=True)
    return OK
