"""From what a command did to what the replicas are told.

A command that changed something goes into the stream as received, unless it replaced itself by its effects.
More than one write from one command (or transaction) is wrapped in MULTI/EXEC, a single one goes bare
(`propagatePendingCommands`). SELECT belongs to the first write inside, MULTI and EXEC carry no database.
"""

from __future__ import annotations

from txrepl.keyspace.database import Keyspace
from txrepl.replication.feed import EXEC, MULTI, Feed
from txrepl.resp.requests import encode_command


class Propagation:
    """Moves effects from the keyspace into the stream.

    Parameters:
        keyspace: whose effects they are.
        feed: where they go.

    Attributes:
        muted: the node follows a primary, whose bytes alone make its stream.
    """

    __slots__ = ("_feed", "_keyspace", "muted")

    def __init__(self, keyspace: Keyspace, feed: Feed) -> None:
        self._keyspace = keyspace
        self._feed = feed
        self.muted: bool = False

    def command(self, database: int, argv: list[bytes], changed: bool) -> None:
        """A command has run; `changed` says whether it changed the data."""
        keyspace = self._keyspace
        effects = keyspace.effects
        if changed and keyspace.verbatim:
            if not effects:
                if self._feed.backlog is not None and not self.muted:
                    self._feed.write(database, encode_command(argv))
                return
            effects.append((database, tuple(argv)))
        self.flush()

    def collect(self, database: int, argv: list[bytes], changed: bool) -> None:
        """A command inside a transaction has run: keep what it did until the end."""
        keyspace = self._keyspace
        if changed and keyspace.verbatim:
            keyspace.effects.append((database, tuple(argv)))

    def flush(self, *, atomic: bool = True) -> None:
        """Write the effects collected so far; several as one transaction if `atomic`."""
        effects = self._keyspace.effects
        if not effects:
            return
        feed = self._feed
        if feed.backlog is not None and not self.muted:
            wrapped = atomic and len(effects) > 1
            if wrapped:
                feed.raw(MULTI)
            for database, command in effects:
                feed.write(database, encode_command(command))
            if wrapped:
                feed.raw(EXEC)
        effects.clear()
