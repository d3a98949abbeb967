"""A coordinated failover: this primary and one of its replicas change places, and no write is lost.

    no-failover           ── FAILOVER ──────────────────────────────────> waiting-for-sync
    waiting-for-sync      ── a replica has everything, or FORCE ────────> failover-in-progress
    waiting-for-sync      ── ABORT, or time is up ──────────────────────> no-failover
    failover-in-progress  ── the replica took over ─────────────────────> no-failover, as its replica
    failover-in-progress  ── ABORT, or the replica refused ─────────────> no-failover, a primary again

Writes are held back from the command on until the end. While it waits, the offset stands still; once the replica (the
named one, or any) acknowledged all of it, the node turns into that replica's replica and asks it to take over with
`PSYNC replid offset FAILOVER`. With FORCE that happens when time is up, in sync or not.

Follows `failoverCommand`, `updateFailoverStatus`, `abortFailover` and `clearFailoverState`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from txrepl.errors import ReplicationError
from txrepl.replication.events import EventKind
from txrepl.replication.primary import Primary
from txrepl.replication.replica import Replica


class FailoverState(Enum):
    """Where a failover stands, by the word that INFO shows (`getFailoverStateString`)."""

    NONE = "no-failover"
    WAITING = "waiting-for-sync"
    IN_PROGRESS = "failover-in-progress"


class Roles(Protocol):
    """What a failover has its node do."""

    def hold_writes(self) -> None:
        """A failover has begun or ended: hold writes back, or let them go on."""

    def hand_over(self, host: str, port: int) -> None:
        """Become the replica of host:port, and ask it to be the primary."""

    def take_back(self) -> None:
        """Be a primary again."""


class Failover:
    """The failover of a node, or that there is none.

    Parameters:
        primary: the attached replicas.
        roles: the node.
        log: called as log(level, message).
        now: unix time in ms.

    Attributes:
        state: where it stands.
        target: host and port of the replica that is to take over; None while any may.
        deadline_ms: when waiting ends, unix ms; None = never.
        forced: at the deadline the target takes over, in sync or not.
    """

    __slots__ = ("_log", "_now", "_primary", "_roles", "deadline_ms", "forced", "state", "target")

    def __init__(self, primary: Primary, roles: Roles, log: Callable[[str, str], None], now: Callable[[], int]) -> None:
        self._primary = primary
        self._roles = roles
        self._log = log
        self._now = now
        self.state: FailoverState = FailoverState.NONE
        self.target: tuple[str, int] | None = None
        self.deadline_ms: int | None = None
        self.forced: bool = False

    @property
    def is_under_way(self) -> bool:
        """Whether there is one."""
        return self.state is not FailoverState.NONE

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for a replica to have everything."""
        return self.state is FailoverState.WAITING

    def begin(self, target: tuple[str, int] | None, timeout_ms: int, *, force: bool) -> None:
        """FAILOVER: hold writes back and wait for the target, or for any replica.

        Parameters:
            target: host and port as the replica is known by in INFO.
            timeout_ms: how long to wait at most; 0 = for ever.
            force: take the target when time is up, in sync or not.

        Raises:
            ReplicationError: it cannot begin; the text is Redis's.
        """
        if self.is_under_way:
            raise ReplicationError("FAILOVER already in progress.")
        if self._primary.follows:
            raise ReplicationError("FAILOVER is not valid when server is a replica.")
        if not self._primary.replicas:
            raise ReplicationError("FAILOVER requires connected replicas.")
        if force and not (timeout_ms and target):
            raise ReplicationError("FAILOVER with force option requires both a timeout and target HOST and IP.")
        if target is None:
            self._log("notice", "FAILOVER requested to any replica.")
        else:
            replica = self._find(target)
            if replica is None:
                raise ReplicationError("FAILOVER target HOST and PORT is not a replica.")
            if not replica.is_online:
                raise ReplicationError("FAILOVER target replica is not online.")
            self._log("notice", f"FAILOVER requested to {target[0]}:{target[1]}.")
        self.target = target
        self.deadline_ms = self._now() + timeout_ms if timeout_ms else None
        self.forced = force
        self.state = FailoverState.WAITING
        self._primary.is_quiet = True
        self._note(EventKind.FAILOVER_STARTED, "writes are held until a replica has everything", force=force)
        self._roles.hold_writes()

    def check(self) -> None:
        """Hand over if the time has come; to be called after acknowledgements and ten times a second."""
        if not self.is_waiting:
            return
        if self.deadline_ms is not None and self.deadline_ms <= self._now():
            if not self.forced or self.target is None:
                self.abort("Replica never caught up before timeout")
                return
            host, port = self.target
            self._log("notice", f"FAILOVER to {host}:{port} time out exceeded, failing over.")
            self._hand_over(host, port)
            return
        replica = self._synced()
        if replica is not None:
            host, port = self.target or (replica.host, replica.port)
            self._log("notice", f"Failover target {host}:{port} is synced, failing over.")
            self._hand_over(host, port)

    def _hand_over(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.state = FailoverState.IN_PROGRESS
        self._note(EventKind.FAILOVER_HANDED_OVER, f"{host}:{port} is asked to take over")
        self._roles.hand_over(host, port)

    def _find(self, target: tuple[str, int]) -> Replica | None:
        host, port = target
        for replica in self._primary.replicas.values():
            if replica.host.lower() == host.lower() and replica.port == port:
                return replica
        return None

    def _synced(self) -> Replica | None:
        """The target, or else the first replica, if it acknowledged all there is."""
        found = self._find(self.target) if self.target is not None else None
        candidates = [found] if found is not None else []
        if self.target is None:  # one that never said its port cannot be followed
            candidates = [replica for replica in self._primary.replicas.values() if replica.port]
        offset = self._primary.history.offset
        return next((one for one in candidates if one.is_live and one.ack_offset == offset), None)

    def taken_over(self) -> None:
        """The target accepted us as its replica: it is the primary now."""
        if self.state is FailoverState.IN_PROGRESS:
            self._note(EventKind.FAILOVER_DONE, "the target took over")
            self._clear()

    def abort(self, reason: str) -> None:
        """Give up; a node that has already handed over takes its role back, under a new replication id.

        Parameters:
            reason: for the log.
        """
        if not self.is_under_way:
            return
        place = f"{self.target[0]}:{self.target[1]}" if self.target is not None else "any replica"
        self._log("notice", f"FAILOVER to {place} aborted: {reason}")
        self._note(EventKind.FAILOVER_ABORTED, reason)
        if self.state is FailoverState.IN_PROGRESS:
            self._roles.take_back()
        self._clear()

    def _note(self, kind: EventKind, text: str, **facts: bool) -> None:
        host, port = self.target or (None, None)
        self._primary.events.note(kind, text, host=host, port=port, **facts)

    def _clear(self) -> None:
        self.state = FailoverState.NONE
        self.target = None
        self.deadline_ms = None
        self.forced = False
        self._primary.is_quiet = False
        self._roles.hold_writes()
