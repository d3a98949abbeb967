"""The end of a server, which waits for its replicas to have everything.

    none     ── SHUTDOWN, a signal ──> waiting   if a replica lags; writes are held back, the offset stands still
    none     ── the same ────────────> ended     with NOW, `shutdown-timeout 0`, or if all have everything
    waiting  ── all have everything, or time is up ──> ended
    waiting  ── ABORT ───────────────> none
    ended    ── it cannot be saved ──> none      unless it was forced

Follows `prepareForShutdown`, `isReadyToShutdown`, `finishShutdown` and `abortShutdown`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from txrepl.replication.primary import Primary
from txrepl.replication.replica import Replica


class Ending(Protocol):
    """What a shutdown has its node do."""

    def hold_writes(self) -> None:
        """Waiting has begun or ended: hold writes back, or let them go on."""

    def end(self, *, save: bool, force: bool) -> bool:
        """Save if asked to, and end the server; False if it cannot be saved, and so goes on."""

    def shutdown_given_up(self) -> None:
        """The server goes on: answer those who wait for its end."""


class Shutdown:
    """The shutdown of a node, or that there is none.

    Parameters:
        primary: the attached replicas.
        node: what ends.
        log: called as log(level, message).
        now: unix time in ms.

    Attributes:
        deadline_ms: until when it waits for replicas, unix ms; None while none waits.
    """

    __slots__ = ("_final", "_force", "_log", "_node", "_now", "_primary", "_save", "deadline_ms")

    def __init__(self, primary: Primary, node: Ending, log: Callable[[str, str], None], now: Callable[[], int]) -> None:
        self._primary = primary
        self._node = node
        self._log = log
        self._now = now
        self._save = False
        self._force = False
        self._final = False
        self.deadline_ms: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether replicas are waited for."""
        return self.deadline_ms is not None

    def lagging(self) -> list[Replica]:
        """The replicas that have not acknowledged everything."""
        offset = self._primary.history.offset
        return [replica for replica in self._primary.replicas.values() if replica.ack_offset != offset]

    def begin(self, timeout_ms: int, *, save: bool, force: bool, final: bool = False) -> bool:
        """End the server, now or once its replicas have everything.

        Parameters:
            timeout_ms: how long to wait for replicas; 0 = not at all.
            save: save the dataset before.
            force: end it even if it cannot be saved.
            final: it cannot be aborted, for who runs the server is ending already.

        Returns:
            False if it could not be saved, so that the server goes on; True else.
        """
        if self.is_waiting:
            self._final = self._final or final
            return True
        self._save, self._force, self._final = save, force, final
        self._log("warning", "User requested shutdown...")
        if timeout_ms and self.lagging():
            self.deadline_ms = self._now() + timeout_ms
            self._node.hold_writes()
            self._log("notice", "Waiting for replicas before shutting down.")
            return True
        return self._finish()

    def check(self) -> None:
        """Go on if the replicas have everything, or time is up."""
        if self.deadline_ms is not None and (self._now() >= self.deadline_ms or not self.lagging()):
            self._finish()

    def abort(self) -> bool:
        """SHUTDOWN ABORT; False if there is nothing to abort."""
        if not self.is_waiting or self._final:
            return False
        self._log("notice", "Shutdown manually aborted.")
        self._give_up()
        return True

    def _finish(self) -> bool:
        replicas, lagging = self._primary.replicas, self.lagging()
        now_ms, offset = self._now(), self._primary.history.offset
        for replica in lagging:
            assert replica.state is not None
            lag = replica.lag_seconds(now_ms) if replica.is_online else 0
            self._log(
                "warning",
                f"Lagging replica {replica.name} reported offset {offset - replica.ack_offset} behind master, "
                f"lag={lag}, state={replica.state.info_name}.",
            )
        if replicas:
            in_sync = len(replicas) - len(lagging)
            self._log("notice", f"{in_sync} of {len(replicas)} replicas are in sync when shutting down.")
        if self._node.end(save=self._save, force=self._force):
            return True
        self._log("warning", "Errors trying to shut down the server. Check the logs for more information.")
        self._give_up()
        return False

    def _give_up(self) -> None:
        if self.is_waiting:
            self.deadline_ms = None
            self._node.hold_writes()
        self._node.shutdown_given_up()
