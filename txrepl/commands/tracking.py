"""Client-side caching: clients that are told which of the keys that they hold have changed.

A client's own change is told after the reply to the command that made it (after EXEC's, for a transaction), other
clients hear of it at once, and followers of prefixes together once the present requests are done. Nothing here costs
anything while no client is tracking: `Keyspace.report_changes` is off then. Follows tracking.c of Redis 7.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from txrepl.commands.tracking_table import TrackingTable
from txrepl.keyspace.database import Keyspace
from txrepl.resp.replies import Push, Reply, encode

CHANNEL: Final = b"__redis__:invalidate"
"""Where a client that speaks RESP2 hears of the keys of those who redirect to it."""

_EFFORT: Final = 100
"""Keys that are given up at once when there are too many, times how often that was not enough."""


@dataclass(slots=True)
class Mode:
    """How a client tracks.

    Attributes:
        redirect: id of the client that is told in its stead; 0 = itself.
        is_broken: that client is gone, as was noticed when there was something to tell.
        broadcast: it follows prefixes, whatever it reads.
        opt_in: only what is read after CLIENT CACHING YES is tracked.
        opt_out: all but what is read after CLIENT CACHING NO.
        caching: CLIENT CACHING was said, for the next command or transaction.
        no_loop: it is not told of its own changes.
        prefixes: what it follows.
    """

    redirect: int = 0
    is_broken: bool = False
    broadcast: bool = False
    opt_in: bool = False
    opt_out: bool = False
    caching: bool = False
    no_loop: bool = False
    prefixes: set[bytes] = field(default_factory=set)


class Outlet(Protocol):
    """Where messages go."""

    def write(self, data: bytes) -> None:
        """Send bytes outside of any reply."""


class Client(Protocol):
    """What tracking needs of a session."""

    number: int
    proto: int
    tracking: Mode | None
    channels: set[bytes] | None
    patterns: set[bytes] | None
    shard_channels: set[bytes] | None

    @property
    def outlet(self) -> Outlet:
        """Where messages go."""


class Tracking:
    """The clients that track, and what they are told.

    Parameters:
        keyspace: whose changes are reported.
        clients: every client by its id.
        soon: has something done once the requests being served are done.

    Attributes:
        max_keys: how many keys are remembered (`tracking-table-max-keys`); 0 = any number.
        table: keys and prefixes.
        current: id of the tracking client whose command is being run, 0 if there is none.
    """

    def __init__(
        self, keyspace: Keyspace, clients: Mapping[int, Client], soon: Callable[[Callable[[], None]], object]
    ) -> None:
        self.max_keys: int = 0
        self.table = TrackingTable()
        self.current: int = 0
        self._keyspace = keyspace
        self._clients = clients
        self._soon = soon
        self._tracking: dict[int, Client] = {}
        self._own: list[tuple[bytes | None, Mode]] = []
        self._is_due: bool = False
        self._shortages: int = 0

    @property
    def count(self) -> int:
        """How many clients track."""
        return len(self._tracking)

    # -- who tracks ---------------------------------------------------------------------------------------------

    def start(self, client: Client, mode: Mode) -> None:
        """Let a client track, or track in another way, by its present command; prefixes stay (`enableTracking`)."""
        if client.tracking is not None:
            mode.prefixes |= client.tracking.prefixes
        client.tracking = mode
        for prefix in mode.prefixes:
            self.table.follow(client.number, prefix)
        self._tracking[client.number] = client
        self.current = client.number
        self._keyspace.report_changes(self.changed, self.emptied)

    def stop(self, client: Client) -> None:
        """The client tracks no more, or is gone (`disableTracking`); harmless if it does not track."""
        if client.tracking is None:
            return
        for prefix in client.tracking.prefixes:
            self.table.unfollow(client.number, prefix)
        client.tracking = None
        del self._tracking[client.number]
        if not self._tracking:
            self.table.forget_keys()  # changes are not heard of any more
            self._keyspace.report_changes(None, None)

    def exists(self, number: int) -> bool:
        """Whether there is such a client, to redirect to."""
        return number in self._clients

    # -- what is read and changed -------------------------------------------------------------------------------

    def remember(self, client: Client, keys: list[bytes]) -> None:
        """A client has read these keys by a command that only reads (`trackingRememberKeys`)."""
        mode = client.tracking
        if mode is None or mode.broadcast or (mode.opt_in and not mode.caching) or (mode.opt_out and mode.caching):
            return
        self.table.remember(client.number, keys)
        if self.max_keys and self.table.keys > self.max_keys:
            self._give_up_keys()

    def _give_up_keys(self) -> None:
        """Too many keys: tell the readers of some as if they had changed (`trackingLimitUsedSlots`)."""
        for _ in range(_EFFORT * (self._shortages + 1)):
            key = self.table.oldest()
            if key is None or self.table.keys <= self.max_keys:
                break
            self._invalidate(key)
        self._shortages = self._shortages + 1 if self.table.keys > self.max_keys else 0

    def changed(self, key: bytes) -> None:
        """A key has changed, expired, or is gone (`trackingInvalidateKey`)."""
        if self.table.prefixes and self.table.note_change(key, self.current) and not self._is_due:
            self._is_due = True
            self._soon(self._broadcast)
        self._invalidate(key)

    def _invalidate(self, key: bytes) -> None:
        for number in self.table.readers_of(key):
            client = self._tracking.get(number)
            if client is None or client.tracking is None or client.tracking.broadcast:
                continue
            if number != self.current:
                self._tell(client, [key])
            elif not client.tracking.no_loop:
                self._own.append((key, client.tracking))

    def emptied(self) -> None:
        """All keys of a database, or of all, are gone: whoever tracks forgets everything."""
        self.table.forget_keys()
        for client in list(self._tracking.values()):
            if client.number == self.current and client.tracking is not None:
                self._own.append((None, client.tracking))
            else:
                self._tell(client, None)

    def _broadcast(self) -> None:
        """Tell followers of prefixes what has changed (`trackingBroadcastInvalidationMessages`)."""
        self._is_due = False
        for followers, changed in self.table.take_changes():
            for number in followers:
                client = self._tracking.get(number)
                if client is None or client.tracking is None:
                    continue
                no_loop = client.tracking.no_loop
                keys = [key for key, by in changed.items() if not (no_loop and by == number)]
                if keys:
                    self._tell(client, keys)

    # -- telling ------------------------------------------------------------------------------------------------

    def own_messages(self, client: Client) -> list[Reply]:
        """What the client that was `current` has to be told of its own command, to follow the reply."""
        messages: list[Reply] = []
        if self._own:
            own, self._own = self._own, []
            for key, mode in own:  # what ended tracking, in the same transaction, does not take back what was due
                target, message = self._message(client, client.tracking or mode, None if key is None else [key])
                if target is client:
                    messages.append(message)
                elif target is not None:
                    target.outlet.write(encode(message, target.proto))
        return messages

    def _tell(self, client: Client, keys: list[bytes] | None) -> None:
        target, message = self._message(client, client.tracking or Mode(), keys)
        if target is not None:
            target.outlet.write(encode(message, target.proto))

    def _message(self, client: Client, mode: Mode, keys: list[bytes] | None) -> tuple[Client | None, Push]:
        """Who is told, None if nobody can be, and what; `keys` None means all (`sendTrackingMessage`)."""
        target: Client | None = client
        told: Reply = None if keys is None else [*keys]
        if mode.redirect:
            target = self._clients.get(mode.redirect)
            if target is None:
                mode.is_broken = True
                is_told = client.proto > 2
                return client if is_told else None, Push([b"tracking-redir-broken", mode.redirect])
            if target.proto == 2 and (target.channels or target.patterns or target.shard_channels):
                return target, Push([b"message", CHANNEL, told])
        return target if target is not None and target.proto > 2 else None, Push([b"invalidate", told])
