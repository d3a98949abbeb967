"""Notes by how much the reactor is late: a timer that should fire eight times a second, and when it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.task import LoopingCall

BEAT_S: Final = 0.125


class StallWatch:
    """Watches the reactor.

    Parameters:
        note: called with how late a beat was, and the reactor's time, both in s.
        reactor: the time.
    """

    def __init__(self, note: Callable[[float, float], None], reactor: Any) -> None:
        self._note = note
        self._reactor = reactor
        self._last_s = 0.0
        self._beat = LoopingCall(self._noted)
        self._beat.clock = reactor

    def start(self) -> None:
        """Watch from now on."""
        self._last_s = self._reactor.seconds()
        self._beat.start(BEAT_S, now=False)

    def stop(self) -> None:
        """Watch no more."""
        if self._beat.running:
            self._beat.stop()

    def _noted(self) -> None:
        now_s = self._reactor.seconds()
        self._note(now_s - self._last_s - BEAT_S, now_s)  # after a late beat the next comes early
        self._last_s = now_s
