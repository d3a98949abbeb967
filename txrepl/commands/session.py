"""One client as commands see it: its database, protocol, transaction, subscriptions, and what it waits for.

A session knows no socket: the shell that owns one gives it an `Outlet`. A handler gets the session and the
words of the command and returns a `Reply`; to wait, it returns a `Blocked`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from txrepl.keyspace.database import Database, Keyspace
from txrepl.resp.replies import NULL_ARRAY, NoReply, Reply

# What a session is in the middle of; any bit set takes a command off the fast path.
IN_MULTI: Final = 1 << 0
MULTI_FAILED: Final = 1 << 1
"""A command was refused while queueing: EXEC aborts."""
WATCH_BROKEN: Final = 1 << 2
"""A watched key changed: EXEC answers null."""
SUBSCRIBED: Final = 1 << 3
UNAUTHENTICATED: Final = 1 << 4
PRIMARY: Final = 1 << 5
"""The session applies the primary's stream."""
REPLICA: Final = 1 << 6
BLOCKED: Final = 1 << 7
CLOSING: Final = 1 << 8
"""No further command is run; the connection closes when its output is sent."""
REPLY_OFF: Final = 1 << 9
REPLY_SKIP_NEXT: Final = 1 << 10
REPLY_SKIP: Final = 1 << 11
DENY_BLOCKING: Final = 1 << 12
"""Inside EXEC (or a script): a blocking command answers as at its timeout."""
MONITORING: Final = 1 << 13
NO_EVICT: Final = 1 << 14
NO_TOUCH: Final = 1 << 15
WATCHING: Final = 1 << 16

SLOW_PATH: Final = (
    IN_MULTI | SUBSCRIBED | UNAUTHENTICATED | PRIMARY | REPLICA | CLOSING | REPLY_OFF | REPLY_SKIP_NEXT | REPLY_SKIP
)


class Outlet(Protocol):
    """Where a session's output goes."""

    def write(self, data: bytes) -> None:
        """Send bytes outside of the reply to the running command."""

    def close(self, *, flush: bool) -> None:
        """Close the connection, after pending output if `flush`."""


class NoOutlet:
    """The outlet of a session that nobody listens to."""

    def write(self, data: bytes) -> None:
        """Drop the bytes."""

    def close(self, *, flush: bool) -> None:
        """Nothing to close."""


class Blocked(NoReply):
    """What a blocking handler returns when it has to wait.

    The command is run again, words unchanged, when one of the keys gets an element (`Database.signal_ready`),
    as Redis 7.2 does; it answers then or goes on waiting.

    Parameters:
        keys: the keys waited for, in the client's database.
        timeout_ms: how long at most, in ms; 0 = for ever.
        on_timeout: the reply when time is up or the client is unblocked by CLIENT UNBLOCK … TIMEOUT.
        kind: what is waited for: `key`, or `replicas` (WAIT).
    """

    __slots__ = ("keys", "kind", "on_timeout", "timeout_ms")

    def __init__(
        self, keys: list[bytes], timeout_ms: int, on_timeout: Callable[[], Reply] | None = None, kind: str = "key"
    ) -> None:
        self.keys = keys
        self.timeout_ms = timeout_ms
        self.on_timeout: Callable[[], Reply] = on_timeout or (lambda: NULL_ARRAY)
        self.kind = kind


class Server(Protocol):
    """What commands may ask of the server; `node.Node` is it."""

    @property
    def keyspace(self) -> Keyspace:
        """The databases."""


class Session:
    """The state of one client.

    Parameters:
        server: the server it talks to.
        number: the client id, unique and ascending.
        outlet: where out-of-band output goes.

    Attributes:
        db: the selected database.
        proto: 2 or 3.
        flags: the bits above.
        queue: MULTI's queued commands.
        watched: (database number, key) that WATCH guards.
        waiting: what the session is blocked on, and the command to run again.
    """

    __slots__ = (
        "address",
        "created_ms",
        "db",
        "flags",
        "keyspace",
        "last_active_ms",
        "last_command",
        "lib_name",
        "lib_version",
        "local_address",
        "name",
        "number",
        "outlet",
        "proto",
        "queue",
        "server",
        "user",
        "waiting",
        "waiting_argv",
        "watched",
    )

    def __init__(self, server: Server, number: int, outlet: Outlet | None = None) -> None:
        self.server = server
        self.keyspace: Keyspace = server.keyspace
        self.number = number
        self.outlet: Outlet = NoOutlet() if outlet is None else outlet
        self.db: Database = self.keyspace.databases[0]
        self.proto: int = 2
        self.flags: int = 0
        self.queue: list[list[bytes]] = []
        self.watched: list[tuple[int, bytes]] = []
        self.waiting: Blocked | None = None
        self.waiting_argv: list[bytes] = []
        self.name: bytes = b""
        self.user: bytes = b"default"
        self.lib_name: bytes = b""
        self.lib_version: bytes = b""
        self.address: str = ""
        self.local_address: str = ""
        self.created_ms: int = 0
        self.last_active_ms: int = 0
        self.last_command: str = ""

    def propagate(self, *command: bytes) -> None:
        """Put this command into the stream instead of the one being run; may be called several times."""
        keyspace = self.keyspace
        keyspace.verbatim = False
        keyspace.effects.append((self.db.number, command))

    def suppress(self) -> None:
        """Keep the command being run out of the stream."""
        self.keyspace.verbatim = False

    @property
    def may_block(self) -> bool:
        """False inside EXEC, and for the primary's stream: a blocking command answers at once there."""
        return not self.flags & (DENY_BLOCKING | PRIMARY)
