"""The primary's stream: commands to apply, raw bytes to forward.

The bytes reach our own backlog and replicas verbatim, after the commands in them have run; that keeps the history
one. A transaction moves the offset when its EXEC has run, and not before: a link lost in between loses nothing and
repeats nothing (`processInputBuffer`, `replicationFeedStreamFromMasterStream`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.errors import ReplicationError
from txrepl.replication.feed import Feed
from txrepl.resp.requests import OddRequest, RequestParser, request_size

NO_LIMIT_BYTES: Final = 2**62


class Stream:
    """Applies what the primary sends after a resync.

    Parameters:
        feed: our own stream, which the bytes go on to.
        apply: runs one command.
        in_transaction: whether a MULTI is open after the last command.
        acknowledge: called with an offset when the primary asks for it (GETACK).
    """

    __slots__ = (
        "_acknowledge",
        "_apply",
        "_at",
        "_feed",
        "_held",
        "_in_transaction",
        "_more",
        "_more_bytes",
        "_parser",
        "received_bytes",
    )

    def __init__(
        self,
        feed: Feed,
        apply: Callable[[list[bytes]], None],
        in_transaction: Callable[[], bool],
        acknowledge: Callable[[int], None],
    ) -> None:
        self._feed = feed
        self._apply = apply
        self._in_transaction = in_transaction
        self._acknowledge = acknowledge
        self._parser = RequestParser(NO_LIMIT_BYTES)
        self._held: bytes = b""  # received and not forwarded, from _at on; then what is in _more
        self._at: int = 0
        self._more: list[bytes] = []
        self._more_bytes: int = 0
        self.received_bytes: int = 0

    @property
    def unapplied_bytes(self) -> int:
        """Bytes received and not applied: of a command that is not complete, of a transaction that is open."""
        return len(self._held) - self._at + self._more_bytes

    def withdraw(self) -> bytes:
        """The bytes received and not applied, which are forgotten here; whoever ends the transaction takes them."""
        data = b"".join((self._held[self._at :], *self._more))
        self._parser = RequestParser(NO_LIMIT_BYTES)
        self._held = b""
        self._at = 0
        self._more.clear()
        self._more_bytes = 0
        return data

    def receive(self, data: bytes) -> None:
        """Apply the commands that are complete and forward their bytes.

        Raises:
            ReplicationError: the bytes are no stream of commands.
        """
        self.received_bytes += len(data)
        ready_size = len(self._held) - self._at + self._more_bytes - self._parser.pending_bytes
        batch = self._parser.feed(data)
        self._more.append(data)
        self._more_bytes += len(data)
        done = 0
        apply = self._apply
        was_open = self._in_transaction()
        for index, argv in enumerate(batch):
            if not argv:
                continue
            if argv.__class__ is OddRequest:
                if not self._in_transaction():
                    self._forward(ready_size + sum(map(request_size, batch[done:index])))
                self._feed.flush()
                raise ReplicationError(
                    "WARNING: Receiving inline protocol from master, master stream corruption? Closing the master "
                    "connection and discarding the cached master."
                )
            if len(argv) == 3 and len(argv[0]) == 8 and _is_getack(argv):
                ready_size += sum(map(request_size, batch[done:index]))
                done = index
                if not self._in_transaction():
                    self._forward(ready_size)
                    ready_size = 0
                self._acknowledge(self._feed.history.offset)
            else:
                apply(argv)
                if len(argv) != 1:
                    continue  # neither MULTI nor EXEC
                if not was_open and self._in_transaction():
                    ready_size += sum(map(request_size, batch[done:index]))
                    self._forward(ready_size)
                    ready_size = 0
                    done = index
                    was_open = True
                elif was_open and not self._in_transaction():
                    was_open = False
        if not self._in_transaction():
            self._forward(len(self._held) - self._at + self._more_bytes - self._parser.pending_bytes)
        self._feed.flush()
        if self._parser.error is not None:
            raise ReplicationError(f"Protocol error from master: {self._parser.error}")

    def _forward(self, size: int) -> None:
        """Put the first `size` bytes held, which are applied, into our own stream."""
        if size <= 0:
            return
        if self._more:
            if self._at < len(self._held):
                self._more.insert(0, self._held[self._at :])
            self._held = self._more[0] if len(self._more) == 1 else b"".join(self._more)
            self._at = 0
            self._more.clear()
            self._more_bytes = 0
        end = self._at + size
        if end < len(self._held):
            self._feed.raw(self._held[self._at : end])
            self._at = end
        else:
            self._feed.raw(self._held[self._at :] if self._at else self._held)
            self._held = b""
            self._at = 0


def _is_getack(argv: list[bytes]) -> bool:
    return argv[0].upper() == b"REPLCONF" and argv[1].upper() == b"GETACK"
