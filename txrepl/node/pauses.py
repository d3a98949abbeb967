"""What stands still for a while: by CLIENT PAUSE, a failover, or a shutdown that waits for replicas.

The three are independent, and what none of them wants held back goes on. While writes are held back nothing moves the
offset, so a request for acknowledgements and the ends of migrations wait too.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from txrepl.commands.dispatch import EVERY_COMMAND
from txrepl.commands.session import Timer
from txrepl.commands.table import MAY_REPLICATE, WRITE
from txrepl.node.core import Core
from txrepl.node.migrating import Migrating
from txrepl.replication.feed import GETACK

WRITES: Final = WRITE | MAY_REPLICATE
"""The commands that a pause of writes holds back."""


class Pauses:
    """What is held back."""

    def __init__(self, core: Core, migrating: Migrating) -> None:
        self._core = core
        self._migrating = migrating
        self._until_ms = 0
        self._flags = 0
        self._timer: Timer | None = None
        self._acks_wanted = False

    def pause(self, duration_ms: int, *, everything: bool) -> None:
        """CLIENT PAUSE: hold back the clients' commands; a pause under way is never shortened (`pauseActions`).

        Parameters:
            everything: hold back every command, not only the writing ones.
        """
        core = self._core
        self._until_ms = max(self._until_ms, core.now() + duration_ms)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = core.later(self._until_ms - core.now(), self.unpause)
        everything = everything or self._flags == EVERY_COMMAND
        self._flags = EVERY_COMMAND if everything else WRITES
        self._hold_back()

    def unpause(self) -> None:
        """CLIENT UNPAUSE: let what was held back go on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._until_ms = 0
        self._flags = 0
        self._hold_back()

    def hold_writes(self) -> None:
        """A failover has begun or ended, or the wait of a shutdown."""
        failover = self._core.failover
        self._hold_back()
        if failover.is_waiting:
            self._core.later(0, failover.check)

    def _hold_back(self) -> None:
        """Hold back what CLIENT PAUSE, a failover and a shutdown want held back; what none of them wants goes on."""
        core = self._core
        before = core.dispatcher.pause_flags
        still = core.failover.is_under_way or core.shutdown.is_waiting
        flags = self._flags | (WRITES if still else 0)
        core.dispatcher.pause_flags = flags
        core.refresh_gate()
        if flags & before != before:
            core.dispatcher.release_paused()
        if not flags:
            for migration in core.migrations.take_held():
                # not now: it would be a part of UNPAUSE
                core.later(0, partial(self._migrating.migrated, migration))
        if not flags and self._acks_wanted:
            self.request_acknowledgements()
            core.feed.flush()

    def request_acknowledgements(self) -> None:
        """Ask the replicas for their offsets, after a pause if there is one: it promises that our own stands still."""
        core = self._core
        self._acks_wanted = bool(core.dispatcher.pause_flags)
        if not self._acks_wanted and not core.link.host:
            core.feed.raw(GETACK)
