"""Log lines in Redis's format: `PID:ROLE DD Mon YYYY HH:MM:SS.mmm LEVEL message`."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

from twisted.logger import globalLogBeginner

_LEVELS: Final = {"debug": (0, "."), "verbose": (1, "-"), "notice": (2, "*"), "warning": (3, "#"), "nothing": (4, "#")}
_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Log:
    """Writes lines to standard output or to a file.

    Parameters:
        now: unix time in ms.

    Attributes:
        level: the lowest level that is written.
        path: the log file; empty = standard output.
        role: gives `M`, `S` or `X`; a child's lines say `C`.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.level: str = "notice"
        self.path: str = ""
        self.role: Callable[[], str] = lambda: "X"

    def __call__(self, level: str, message: str) -> None:
        """Write a line; the level `child` marks a snapshot child's notice."""
        role = "C" if level == "child" else self.role()
        if level == "child":
            level = "notice"
        if not self.admits(level):
            return
        mark = _LEVELS[level][1]
        now_ms = self._now()
        moment = time.localtime(now_ms / 1000)
        stamp = (
            f"{moment.tm_mday:02d} {_MONTHS[moment.tm_mon - 1]} {moment.tm_year} "
            f"{moment.tm_hour:02d}:{moment.tm_min:02d}:{moment.tm_sec:02d}.{now_ms % 1000:03d}"
        )
        text = message.replace("\n", " ").replace("\r", " ")
        self.write(f"{os.getpid()}:{role} {stamp} {mark} {text}\n")

    def admits(self, level: str) -> bool:
        """Whether lines of that level are written."""
        return _LEVELS[level][0] >= _LEVELS[self.level][0]

    def write(self, text: str) -> None:
        """Write text as it is; a log that cannot be written stops nobody."""
        data = text.encode("utf-8", "backslashreplace")
        try:
            if self.path:
                with open(self.path, "ab") as file:
                    file.write(data)
            else:
                os.write(sys.stdout.fileno(), data)
        except OSError:
            pass

    def hear_twisted(self) -> None:
        """Write what Twisted has to say, above all errors that nobody handled, as lines of this log."""
        observer: Any = self._observe
        globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)

    def _observe(self, event: dict[str, Any]) -> None:
        failure = event.get("log_failure")
        if failure is None:
            return
        frames = traceback.extract_tb(failure.getTracebackObject())[-3:]
        places = " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
        self("warning", f"Unexpected error: {failure.type.__name__}: {failure.getErrorMessage()} ({places})")
