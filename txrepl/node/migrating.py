"""Keys that move to another server: what a MIGRATE does here once the target has answered, or has not."""

from __future__ import annotations

from txrepl.commands.migration import Migration
from txrepl.errors import CommandError
from txrepl.node.core import Core


class Migrating:
    """The ends of migrations."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def migrated(self, migration: Migration) -> None:
        """A migration is over, well or not: delete what has moved, tell the replicas, answer; after a pause if any."""
        core = self._core
        if core.dispatcher.pause_flags:
            core.migrations.held.append(migration)
            return
        core.keyspace.set_time(core.now())
        core.migrations.end(migration)
        moved = migration.settle(keep=bool(core.link.host) and not migration.follows)
        if moved:
            core.keyspace.emit(migration.db.number, b"DEL", *moved)
            core.propagation.flush(atomic=False)
        reply = migration.reply()
        if isinstance(reply, CommandError):
            core.table.commands["migrate"].failed += 1
            core.stats.count_error(reply.code)
        migration.answer(reply)
        core.dispatcher.release_paused()
        core.feed.flush()
