"""A client as one line of text: what CLIENT LIST and the log show of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from txrepl.commands.session import (
    BLOCKED,
    CLOSING,
    IN_MULTI,
    MONITORING,
    NO_EVICT,
    NO_TOUCH,
    PRIMARY,
    READS_HERE,
    REPLICA,
    SUBSCRIBED,
    WATCH_BROKEN,
    Session,
)

TYPES: Final = {
    b"normal": "normal",
    b"slave": "replica",
    b"replica": "replica",
    b"pubsub": "pubsub",
    b"master": "master",
    b"primary": "master",
}
"""Words for the classes of clients, Valkey's included."""


def client_type(client: Session) -> str:
    """The class of a client: `normal`, `replica`, `pubsub` or `master` (`getClientType`)."""
    if client.flags & PRIMARY:
        return "master"
    if client.flags & REPLICA and not client.flags & MONITORING:
        return "replica"
    return "pubsub" if client.flags & SUBSCRIBED else "normal"


_LETTERS: Final = (
    (PRIMARY, "M"),
    (SUBSCRIBED, "P"),
    (IN_MULTI, "x"),
    (BLOCKED, "b"),
)
_LATER_LETTERS: Final = ((WATCH_BROKEN, "d"), (CLOSING, "c"))


def flag_letters(client: Session) -> str:
    """The `flags=` of CLIENT LIST (`getClientInfoString`)."""
    flags = client.flags
    letters = "O" if flags & MONITORING else "S" if flags & REPLICA else ""
    letters += "".join(letter for bit, letter in _LETTERS if flags & bit)
    if client.tracking is not None:
        letters += "t" + "R" * client.tracking.is_broken + "B" * client.tracking.broadcast
    letters += "".join(letter for bit, letter in _LATER_LETTERS if flags & bit)
    if client.is_unix:
        letters += "U"
    if flags & READS_HERE:
        letters += "r"
    if flags & NO_EVICT:
        letters += "e"
    if flags & NO_TOUCH:
        letters += "T"
    return letters or "N"


def describe(client: Session, running: Sequence[bytes] = ()) -> bytes:
    """The line of CLIENT LIST, in Redis 7.2's order (`catClientInfoString`).

    Parameters:
        running: the command of this client that is being run.

    Sizes are bytes. What only a C server has (`fd`, the sizes of its buffers) is -1 or 0.
    """
    now_ms = client.keyspace.now_ms
    name, user, lib_name, lib_version = (
        text.decode("utf-8", "surrogateescape")
        for text in (
            client.name,
            client.user.name if client.user is not None else b"(superuser)",
            client.lib_name,
            client.lib_version,
        )
    )
    queued = client.queued_bytes
    waiting = sum(map(len, running or client.waiting_argv))
    pending_in = client.outlet.pending_input()
    pending_out = client.outlet.pending_output()
    fields = (
        ("id", client.number),
        ("addr", client.address),
        ("laddr", client.local_address),
        ("fd", -1),
        ("name", name),
        ("age", max(0, now_ms - client.created_ms) // 1000),
        ("idle", max(0, now_ms - client.last_active_ms) // 1000),
        ("flags", flag_letters(client)),
        ("db", client.db.number),
        ("sub", len(client.channels or ())),
        ("psub", len(client.patterns or ())),
        ("ssub", len(client.shard_channels or ())),
        ("multi", len(client.queue) if client.flags & IN_MULTI else -1),
        ("qbuf", pending_in),
        ("qbuf-free", 0),
        ("argv-mem", waiting),
        ("multi-mem", queued),
        ("rbs", 0),
        ("rbp", 0),
        ("obl", 0),
        ("oll", 1 if pending_out else 0),
        ("omem", pending_out),
        ("tot-mem", pending_in + waiting + queued + pending_out),
        ("events", "rw" if pending_out else "r"),
        ("cmd", client.last_command or "NULL"),
        ("user", user),
        ("redir", -1 if client.tracking is None else client.tracking.redirect),
        ("resp", client.proto),
        ("lib-name", lib_name),
        ("lib-ver", lib_version),
    )
    return " ".join(f"{field}={value}" for field, value in fields).encode("utf-8", "surrogateescape") + b"\n"


def client_line(client: Session) -> str:
    """The same as log lines name a client."""
    return describe(client).decode("utf-8", "backslashreplace").rstrip()
