"""Follow the changes of any Redis or Valkey from a Python program, without running a server.

    async for event in txrepl.follow("localhost", 6379, checkpoint=saved):
        ...

First comes the dataset, then every change as it happens; after each event `event.checkpoint` is what to store, and to
hand back after a restart. This is a replica to the primary: see `follow`.

    events      what a follower is told
    network     what it needs of a network; asyncio's
    follower    the conversation: resync, snapshot, stream, and again when the link breaks
    command     `txrepl-follow`
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from txrepl.changes import Change, Checkpoint, Selection
from txrepl.following.events import Entry, Event, FullSync, Function, Position, Synced
from txrepl.following.follower import Follower, FollowError, Options
from txrepl.following.network import AsyncioNetwork
from txrepl.net.following import TwistedNetwork

__all__ = [
    "Change",
    "Checkpoint",
    "Entry",
    "Event",
    "FollowError",
    "Follower",
    "FullSync",
    "Function",
    "Position",
    "Synced",
    "follow",
]


def follow(
    host: str,
    port: int = 6379,
    *,
    checkpoint: Checkpoint | str | None = None,
    snapshot: bool = True,
    match: str | bytes | None = None,
    db: int | Collection[int] = (),
    command: str | Collection[str] = (),
    user: str = "",
    password: str = "",
    timeout_s: float = 60.0,
    log: Callable[[str, str], None] | None = None,
    reactor: Any = None,
) -> Follower:
    """Follow a primary (or a replica, whose stream is the same).

    The result is an async iterator of events, to be used in asyncio, or in a coroutine of Twisted's if a reactor is
    given. It never ends by itself: a link that breaks is made anew, and goes on by a partial resync; where that cannot
    be, a `FullSync` says why, and the dataset follows again.

    A program that takes its time is waited for: the primary is read no further, and told that we are alive. When it
    waits longer than its `client-output-buffer-limit` allows, it closes the link, and a resync follows.

    Parameters:
        host, port: the server.
        checkpoint: where to go on, as an earlier event gave it; None begins with the dataset.
        snapshot: False leaves the dataset out: what happened before, and while no partial resync was possible, is then
            not told.
        match: only keys like this glob; what reaches beyond keys, such as FLUSHALL, is told too.
        db: only these databases.
        command: only these commands.
        user, password: for AUTH; no AUTH without a password. The user needs `+psync +replconf +ping`.
        timeout_s: how long a primary may be silent, in seconds.
        log: called as log(level, message) with what happens to the link.
        reactor: Twisted's; None is asyncio.

    Raises (while it is iterated):
        FollowError: the server refuses us for good.
        RdbError: its dataset cannot be read.
        ValueError: the checkpoint is none (at once).
    """
    start = Checkpoint.parse(checkpoint) if isinstance(checkpoint, str) else checkpoint
    commands = [command] if isinstance(command, str) else command
    selection = Selection(
        frozenset([db] if isinstance(db, int) else db),
        frozenset(name.upper().encode() for name in commands),
        match.encode() if isinstance(match, str) else match,
    )
    options = Options(start, snapshot, selection, user, password, timeout_s, log or (lambda level, message: None))
    return Follower(TwistedNetwork(reactor) if reactor is not None else AsyncioNetwork(), host, port, options)
