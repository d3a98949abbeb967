"""The stream as it is written: history and backlog joined, one entry point for every byte.

Writes are collected while a batch of commands runs and appended to the backlog once, by `flush`; readers hear
of it then and get the very same bytes object. Without a backlog (no replica ever came) nothing is written and
the offset stands still, as in Redis (`replicationFeedSlaves`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.replication.backlog import Backlog
from txrepl.replication.history import History
from txrepl.replication.lag import Timeline
from txrepl.resp.requests import encode_command

PING: Final = encode_command((b"PING",))
GETACK: Final = encode_command((b"REPLCONF", b"GETACK", b"*"))
MULTI: Final = encode_command((b"MULTI",))
EXEC: Final = encode_command((b"EXEC",))

Listener = Callable[[bytes, int], None]
"""Called with bytes of the stream and the offset of the first of them."""


class Feed:
    """Writes the replication stream.

    Parameters:
        history: whose offset advances.

    Attributes:
        backlog: None until the first replica comes.
        selected_db: the database that readers have selected; -1 = none, the next write selects.
        listeners: the readers that follow the stream as it is written, by id.
        timeline: where the stream stood when; whoever has the time notes it.
    """

    __slots__ = ("_last_reader", "_pending", "backlog", "history", "listeners", "selected_db", "timeline")

    def __init__(self, history: History) -> None:
        self.history = history
        self.backlog: Backlog | None = None
        self.selected_db: int = -1
        self.listeners: dict[int, Listener] = {}
        self.timeline = Timeline()
        self._pending: list[bytes] = []
        self._last_reader: int = 0

    def new_reader(self) -> int:
        """An id for a reader that is no replica: below 0, as those of replicas are above."""
        self._last_reader -= 1
        return self._last_reader

    def open_backlog(self, size: int) -> Backlog:
        """Create the backlog if there is none (`createReplicationBacklog`)."""
        if self.backlog is None:
            self.backlog = Backlog(size, self.history.offset + 1)
        return self.backlog

    def close_backlog(self) -> None:
        """Free the backlog (`freeReplicationBacklog`); pending bytes go with it."""
        self.backlog = None
        self._pending.clear()

    def write(self, database: int, command: bytes) -> None:
        """Append an encoded write that belongs to a database, with SELECT before it where needed."""
        if self.backlog is None:
            return
        if database != self.selected_db:
            self.selected_db = database
            self.raw(encode_command((b"SELECT", b"%d" % database)))
        self._pending.append(command)
        self.history.offset += len(command)

    def raw(self, data: bytes) -> None:
        """Append bytes as they are: PING, GETACK, MULTI, EXEC, or a primary's own stream."""
        if self.backlog is None:
            return
        self._pending.append(data)
        self.history.offset += len(data)

    def flush(self) -> None:
        """Hand what was collected to the backlog and the readers."""
        pending = self._pending
        if not pending or self.backlog is None:
            return
        data = pending[0] if len(pending) == 1 else b"".join(pending)
        pending.clear()
        start = self.backlog.end_offset
        self.backlog.append(data)
        if self.listeners:
            for listener in list(self.listeners.values()):
                listener(data, start)
