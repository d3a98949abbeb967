"""The end of the server: SHUTDOWN and signals, the wait for replicas, the last save."""

from __future__ import annotations

from typing import Final

from txrepl.errors import CommandError
from txrepl.node.core import Core
from txrepl.node.pauses import Pauses

SHUTDOWN_FAILED: Final = "ERR Errors trying to SHUTDOWN. Check logs."


class Ending:
    """How the server ends; a shutdown's `Ending`."""

    def __init__(self, core: Core, pauses: Pauses) -> None:
        self._core = core
        self._pauses = pauses

    def shut_down(self, *, save: bool | None, now: bool, force: bool, final: bool = False) -> bool:
        """SHUTDOWN: end the server, now or when its replicas have everything; saved if asked to or by save points.

        Parameters:
            save: None leaves it to the save points.
            now: wait for no replica.
            force: end it even if it cannot be saved.
            final: it cannot be aborted.

        Returns:
            True if it waits for replicas.

        Raises:
            CommandError: the save failed, and it was not forced.
        """
        core = self._core
        wants_save = bool(core.saver.points) if save is None else save
        timeout_ms = 0 if now else core.config.get_int("shutdown-timeout") * 1000
        wants_save = wants_save and core.loading is None
        if not core.shutdown.begin(timeout_ms, save=wants_save, force=force, final=final):
            raise CommandError(SHUTDOWN_FAILED)
        return core.shutdown.is_waiting

    # -- a shutdown's -------------------------------------------------------------------------------------------

    def hold_writes(self) -> None:
        """The wait of a shutdown has begun or ended."""
        self._pauses.hold_writes()

    def shutdown_given_up(self) -> None:
        """The server goes on: tell those who wait for its end."""
        dispatcher = self._core.dispatcher
        for session in dispatcher.waiters.of_kind("shutdown"):
            dispatcher.unblock(session, CommandError(SHUTDOWN_FAILED))

    def end(self, *, save: bool, force: bool) -> bool:
        """Save if asked to, and end the server; False if it cannot be saved, and so goes on (`finishShutdown`)."""
        host, log = self._core.host, self._core.log
        if host.snapshots.busy:
            log("warning", "There is a child saving an .rdb. Killing it!")
            self._core.saver.abandon()
            host.snapshots.kill()
        if save:
            log("notice", "Saving the final RDB snapshot before exiting.")
            try:
                host.snapshots.save_now()
                log("notice", "DB saved on disk")
            except OSError as error:
                log("warning", f"Error saving DB on disk: {error.strerror or error}")
                if not force:
                    log("warning", "Error trying to save the DB, can't exit.")
                    return False
                log("warning", "Error trying to save the DB. Exit anyway.")
        host.stop(save=save, force=force)
        return True
