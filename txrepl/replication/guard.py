"""When a full sync must not happen without being asked for: the link stops instead, with everything kept.

A full sync replaces the data, so there are two cases in which it is not taken:

- `replica-empty-primary-guard yes`: the primary turns out to have no key, in a history that is not ours, while we have
  keys. It was restarted without its data, or it is a wrong one. The same history that became empty (FLUSHALL) is
  followed, as ever; one that we parted from by a promotion is not ours any more.
- `replica-delay-stop-before` holds a delayed replica: it would lose what it is held for.

The link stays down until somebody decides: to accept this primary once, to be a primary with the data kept, or to
follow another one. Data, replication id, offset and the way to a partial resync stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from txrepl.replication.handshake import Outcome
from txrepl.replication.history import NO_REPLID, History


class Cause(Enum):
    """Why the link stopped."""

    EMPTY_PRIMARY = "empty_primary"
    DELAY_STOP = "delay_stop"


@dataclass(frozen=True, slots=True)
class Stop:
    """The link is stopped.

    Attributes:
        at_ms: since when, unix ms.
        reason: in words.
        replid, offset: the history that the primary offered; replid is None if it named none (SYNC).
        keys: how many we hold.
    """

    cause: Cause
    at_ms: int
    reason: str
    replid: str | None
    offset: int
    keys: int


class Guard:
    """Whether full syncs are taken.

    Attributes:
        is_on: `replica-empty-primary-guard`.
        stop: why the link is stopped; None if it is not.
        accepts: the next full sync is taken as it is, until the stream flows.
    """

    __slots__ = ("accepts", "is_on", "stop")

    def __init__(self) -> None:
        self.is_on: bool = False
        self.stop: Stop | None = None
        self.accepts: bool = False

    @property
    def is_watching(self) -> bool:
        """A full sync from an empty primary would not be taken."""
        return self.is_on and not self.accepts

    def settle(self) -> None:
        """Follow another primary, or none, or the stream flows: what was decided before is over."""
        self.stop = None
        self.accepts = False

    def accept(self) -> None:
        """Take the next full sync, whatever is in it."""
        self.stop = None
        self.accepts = True

    def check_received(self, keys_received: int, offered: Outcome, keys: int, ours: History, now_ms: int) -> str:
        """A full sync is complete and not adopted yet; the reason why it must not be, empty if it may.

        Parameters:
            keys_received: in the RDB.
            offered: the history that the primary named.
            keys: how many we hold.
            ours: our own history.
        """
        if not self.is_watching or keys_received or not keys or offered.replid == ours.replid:
            return ""
        return self._stopped(
            Cause.EMPTY_PRIMARY,
            f"replica-empty-primary-guard: the primary is empty and has another history; what is here ({_count(keys)}) "
            "stays, and the link is stopped until somebody decides",
            offered,
            keys,
            now_ms,
        )

    def check_promised(self, stop_before: int, offered: Outcome, keys: int, now_ms: int) -> str:
        """A full sync is promised to a replica whose history is held; the reason why it must not begin, or empty.

        Parameters:
            stop_before: `replica-delay-stop-before`; 0 = none.
        """
        if not stop_before or self.accepts:
            return ""
        return self._stopped(
            Cause.DELAY_STOP,
            f"replica-delay-stop-before {stop_before}: the primary has only a full sync for us, which would replace "
            "what is held here; the link is stopped until somebody decides",
            offered,
            keys,
            now_ms,
        )

    def _stopped(self, cause: Cause, reason: str, offered: Outcome, keys: int, now_ms: int) -> str:
        replid = None if offered.replid == NO_REPLID else offered.replid
        self.stop = Stop(cause, now_ms, reason, replid, offered.offset, keys)
        return reason


def _count(keys: int) -> str:
    return "1 key" if keys == 1 else f"{keys} keys"
