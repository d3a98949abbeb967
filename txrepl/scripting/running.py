"""The script that runs now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from txrepl.resp.replies import Reply

NO_WRITES: Final = 1 << 0
ALLOW_OOM: Final = 1 << 1
ALLOW_STALE: Final = 1 << 2
NO_CLUSTER: Final = 1 << 3
ALLOW_CROSS_SLOT_KEYS: Final = 1 << 4
UNDECLARED: Final = 1 << 5
"""A script without a shebang: what it may do is found out as it does it (`SCRIPT_FLAG_EVAL_COMPAT_MODE`)."""

FLAG_NAMES: Final[dict[bytes, int]] = {
    b"no-writes": NO_WRITES,
    b"allow-oom": ALLOW_OOM,
    b"allow-stale": ALLOW_STALE,
    b"no-cluster": NO_CLUSTER,
    b"allow-cross-slot-keys": ALLOW_CROSS_SLOT_KEYS,
}

REPL_REPLICA: Final = 2
REPL_ALL: Final = 3


class Caller(Protocol):
    """What a running script asks of the server."""

    def call(self, argv: list[bytes]) -> Reply:
        """Run a command (`scriptCall`).

        Raises:
            CommandError: it was refused, or failed.
        """

    def may_run(self, argv: list[bytes]) -> bool | None:
        """redis.acl_check_cmd: whether the caller's user may run the command; None if there is no such command."""


@dataclass(slots=True)
class Request:
    """What a client wants run.

    Attributes:
        argv: the command that says so.
        caller: who answers what the script asks.
        proto: the client's protocol, 2 or 3.
        keys, arguments: KEYS and ARGV.
        read_only: the script may not write.
        from_primary: it came in the stream of our primary: all of it is to be done.
        allows_oom: it says that it may run when memory is out.
    """

    argv: list[bytes]
    caller: Caller
    proto: int
    keys: list[bytes]
    arguments: list[bytes]
    read_only: bool
    from_primary: bool = False
    allows_oom: bool = False


class Run:
    """One run of a script or function (`scriptRunCtx`).

    Parameters:
        name: the script's SHA1, or the function's name.
        request: what is wanted.
        started_ms: when it began, of a monotonic clock.
        is_eval: a script, not a function.

    Attributes:
        resp: the protocol of the replies that the script sees.
        repl: what redis.set_repl chose: the bits `REPL_AOF` and `REPL_REPLICA`.
        wrote: it has run a writing command: it cannot be ended any more.
        killed: SCRIPT KILL or FUNCTION KILL wants it ended.
        was_ended: it has been told to end.
        is_busy: it has run longer than busy-reply-threshold.
    """

    __slots__ = ("is_busy", "is_eval", "killed", "name", "repl", "request", "resp", "started_ms", "was_ended", "wrote")

    def __init__(self, name: bytes, request: Request, started_ms: int, *, is_eval: bool) -> None:
        self.name = name
        self.request = request
        self.started_ms = started_ms
        self.is_eval = is_eval
        self.resp: int = 2
        self.repl: int = REPL_ALL
        self.wrote: bool = False
        self.killed: bool = False
        self.was_ended: bool = False
        self.is_busy: bool = False


Interrupt = Callable[[], int | None]
"""Called every so many instructions; why the script is to end, as a number, or None. It never raises."""
