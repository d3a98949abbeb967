"""A node with a clock of the test's own, and connections that keep what they are sent."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable

from tests.admin.support import FakeSnapshots
from txrepl.commands.session import Session, Timer
from txrepl.config import Config
from txrepl.directives import follow_directives
from txrepl.node import Node
from txrepl.resp.replies import encode_error

NOW_MS = 1_700_000_000_000


class Scheduled:
    """A timer of the test's clock."""

    def __init__(self, at_ms: int, action: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        """Do not happen."""
        self.cancelled = True


class Place:
    """A node, its host and its clock.

    Parameters:
        directives: as in a configuration file, with `_` for `-`.
    """

    def __init__(self, **directives: str) -> None:
        config = Config()
        config.set_many({name.replace("_", "-"): value for name, value in directives.items()})
        config.assign("enable-debug-command", "local")
        self.now_ms = NOW_MS
        self.lines: list[str] = []
        self.snapshots = FakeSnapshots()
        self._timers: list[Scheduled] = []
        self.node = Node(
            config,
            lambda: self.now_ms,
            random.Random(1),
            lambda: "1" * 40,
            lambda level, text: self.lines.append(text),
        )
        self.node.host = self  # type: ignore[assignment]
        self.node.primary.snapshots = self.snapshots
        self.node.memory.timer = lambda: 0  # counting and evicting take no time, unless a test says so
        follow_directives(self.node)
        self.node.refresh_gate()

    def advance(self, ms: int) -> None:
        """Let time pass, and happen what is due, a tick at last."""
        self.now_ms += ms
        self.run_timers()
        self.node.tick()

    def run_timers(self) -> int:
        """Let happen what is due by now; how much that was."""
        due = [timer for timer in self._timers if timer.at_ms <= self.now_ms and not timer.cancelled]
        self._timers = [timer for timer in self._timers if timer not in due]
        for timer in due:
            timer.action()
        return len(due)

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """What the node asks of its host."""
        self._timers.append(Scheduled(self.now_ms + delay_ms, action))
        return self._timers[-1]

    def connect_primary(self) -> None:
        """Nobody is there."""

    def drop_primary(self) -> None:
        """Nobody was there."""

    def client(self) -> Caller:
        """A new connection."""
        return Caller(self.node)


class Caller:
    """A connection; its buffers are as long as the test says."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.closed = False
        self.pending_in = 0
        self.pending_out = 0
        self.pushed = b""
        self.session: Session = node.open_session(self, "127.0.0.1:5000", "127.0.0.1:6379")

    def say(self, *lines: str | list[bytes]) -> bytes:
        """Send commands in one batch; the bytes that came back for them."""
        out: list[bytes] = []
        batch = [[word.encode() for word in shlex.split(line)] if isinstance(line, str) else line for line in lines]
        self.node.serve(self.session, batch, out)
        return b"".join(out)

    def write(self, data: bytes) -> None:
        """Bytes for the client."""
        self.pushed += data

    def close(self, *, flush: bool) -> None:
        """The server closes."""
        self.closed = True
        self.node.close_session(self.session)

    def resume(self) -> None:
        """Nothing was sent ahead."""

    def pending_input(self) -> int:
        """Bytes of half a request."""
        return self.pending_in

    def pending_output(self) -> int:
        """Bytes that were not taken."""
        return self.pending_out


def refusal(text: str) -> bytes:
    """An error's bytes."""
    return encode_error(text.encode())
