"""Where a reader of the stream may begin: the rules of a partial resync, and a little more.

A replica is believed that its offset lies between two commands, and knows which database is selected there. A reader
over HTTP need not: an offset that lies inside of a command is refused, with its neighbours; and an id without a
database is good where a SELECT follows, or where none was sent since, so that it is the one of now.
"""

from __future__ import annotations

from collections.abc import Iterator

from txrepl.admin import views
from txrepl.admin.problems import ConflictError, GoneError, UnavailableError
from txrepl.changes import NO_LIMIT_BYTES, Checkpoint, locate
from txrepl.node import Node
from txrepl.replication.backlog import Backlog
from txrepl.replication.psync import decide
from txrepl.resp.requests import RequestParser

READ_BYTES = 64 * 1024
SNAPSHOT = "/v1/snapshot"
_NO_DATABASE = frozenset((b"PING", b"REPLCONF", b"MULTI", b"EXEC"))


def settled_backlog(node: Node) -> Backlog:
    """The backlog, with everything written in it; made where a primary has none yet, so that its history begins.

    Raises:
        UnavailableError: there is no history yet, or not now.
    """
    if views.is_loading_file(node):
        raise UnavailableError("loading the dataset from disk")
    if not node.link.host:
        node.primary.begin_history()
    node.feed.flush()
    backlog = node.feed.backlog
    if backlog is None:
        raise UnavailableError("not in sync with the primary yet: there is no history to read")
    return backlog


def present(node: Node) -> Checkpoint:
    """The end of the stream as it is now; to be asked when everything is flushed."""
    history, db = node.feed.history, node.following.stream_database
    return Checkpoint(history.replid, history.offset, db if db >= 0 else None)


def accepted(node: Node, asked: Checkpoint) -> Checkpoint:
    """The same place, in the present history.

    Raises:
        GoneError: the stream cannot go on there, as PSYNC would find.
        ConflictError: the place is inside of a command.
        UnavailableError: there is no history yet.
    """
    if node.link.host or node.feed.backlog is not None or views.is_loading_file(node):
        settled_backlog(node)
    feed = node.feed
    decision = decide(asked.replid, asked.offset + 1, feed.history, feed.backlog, "HTTP client")
    if not decision.accepted:
        assert decision.condition is not None
        raise GoneError(
            f"this id cannot be resumed: {decision.reason}. "
            f"GET {SNAPSHOT} gives the dataset of now, and the id to go on from",
            condition=decision.condition.value,
            snapshot=SNAPSHOT,
        )
    assert feed.backlog is not None
    check_boundary(feed.backlog, asked.offset + 1, "the byte after the id's offset")
    return asked._replace(replid=feed.history.replid)


def check_boundary(backlog: Backlog, offset: int, what: str) -> None:
    """Refuse an offset, which the backlog covers, at which no command begins.

    Raises:
        ConflictError: it is inside of one.
    """
    begins, next_offset = locate(backlog, offset)
    if begins != offset:
        raise ConflictError(
            f"{what} is {offset}, inside of the command that begins at {begins}; the next begins at {next_offset}",
            command_offset=begins,
            next_offset=next_offset,
        )


class DatabaseSearch:
    """Finds the database that is selected at a place, from what follows it.

    Attributes:
        db: the result; None where a SELECT follows before it matters.

    Raises (`pieces`):
        ConflictError: it cannot be told.
    """

    def __init__(self, node: Node, place: Checkpoint) -> None:
        self.db: int | None = None
        self._node = node
        self._cursor = place.offset + 1

    def pieces(self) -> Iterator[None]:
        """Look at one piece of the backlog after the other, up to its end."""
        parser = RequestParser(NO_LIMIT_BYTES)
        feed, needed = self._node.feed, False
        backlog = feed.backlog
        while backlog is not None and backlog is feed.backlog and backlog.covers(self._cursor):
            data = backlog.read(self._cursor, READ_BYTES)
            self._cursor += len(data)
            for argv in parser.feed(data):
                name = argv[0].upper() if argv else b"PING"
                if name == b"SELECT":
                    if needed:
                        raise ConflictError(
                            "which database is selected at this id's offset is not known: "
                            "give its third part too, REPLID:OFFSET:DB"
                        )
                    return
                needed = needed or name not in _NO_DATABASE
            if not data:
                database = self._node.following.stream_database
                self.db = database if database >= 0 else None
                return
            yield
        raise GoneError("the backlog no longer reaches back to this id", snapshot=SNAPSHOT)
