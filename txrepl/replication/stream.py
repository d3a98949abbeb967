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
from txrepl.resp.requests import RequestParser, request_size

NO_LIMIT_BYTES: Final = 2**62


class Stream:
    """Applies what the primary sends after a resync.

    Parameters:
        feed: our own stream, which the bytes go on to.
        apply: runs one command.
        in_transaction: whether a MULTI is open after the last command.
        acknowledge: called with an offset when the primary asks for it (GETACK).
    """

    __slots__ = ("_acknowledge", "_apply", "_feed", "_held", "_in_transaction", "_parser", "received_bytes")

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
        self._held: bytes = b""
        self.received_bytes: int = 0

    def receive(self, data: bytes) -> None:
        """Apply the commands that are complete and forward their bytes.

        Raises:
            ReplicationError: the bytes are no stream of commands.
        """
        self.received_bytes += len(data)
        ready_size = len(self._held) - self._parser.pending_bytes
        batch = self._parser.feed(data)
        held = self._held + data if self._held else data
        done = 0
        apply = self._apply
        was_open = self._in_transaction()
        for index, argv in enumerate(batch):
            if not argv:
                continue
            if len(argv) == 3 and len(argv[0]) == 8 and _is_getack(argv):
                ready_size += sum(map(request_size, batch[done:index]))
                done = index
                if not self._in_transaction():
                    held = self._forward(held, ready_size)
                    ready_size = 0
                self._acknowledge(self._feed.history.offset)
            else:
                apply(argv)
                if not was_open and self._in_transaction():
                    ready_size += sum(map(request_size, batch[done:index]))
                    held = self._forward(held, ready_size)
                    ready_size = 0
                    done = index
                    was_open = True
                elif was_open and not self._in_transaction():
                    was_open = False
        if not self._in_transaction():
            held = self._forward(held, len(held) - self._parser.pending_bytes)
        self._held = held
        self._feed.flush()
        if self._parser.error is not None:
            raise ReplicationError(f"Protocol error from master: {self._parser.error}")

    def _forward(self, held: bytes, size: int) -> bytes:
        """Put applied bytes into our own stream; returns those that are not applied yet."""
        if size <= 0:
            return held
        self._feed.raw(held[:size] if size < len(held) else held)
        return held[size:]


def _is_getack(argv: list[bytes]) -> bool:
    return argv[0].upper() == b"REPLCONF" and argv[1].upper() == b"GETACK"
