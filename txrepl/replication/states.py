"""The states of both ends of a link, with Redis's names and numbers, and every transition of an attached replica."""

from __future__ import annotations

from enum import Enum, IntEnum, IntFlag
from typing import Final

from txrepl.errors import ReplicationError


class LinkState(IntEnum):
    """Where a replica stands with its primary (`REPL_STATE_*`)."""

    NONE = 0
    CONNECT = 1
    CONNECTING = 2
    RECEIVE_PONG = 3
    SEND_AUTH = 4
    RECEIVE_AUTH = 5
    SEND_PORT = 6
    RECEIVE_PORT = 7
    SEND_IP = 8
    RECEIVE_IP = 9
    SEND_CAPA = 10
    RECEIVE_CAPA = 11
    SEND_PSYNC = 12
    RECEIVE_PSYNC = 13
    TRANSFER = 14
    CONNECTED = 15

    @property
    def in_handshake(self) -> bool:
        """`slaveIsInHandshakeState`."""
        return LinkState.RECEIVE_PONG <= self <= LinkState.RECEIVE_PSYNC

    @property
    def role_word(self) -> str:
        """The word that ROLE answers."""
        if self.in_handshake:
            return "handshake"
        return _ROLE_WORDS[self]


_ROLE_WORDS: Final = {
    LinkState.NONE: "none",
    LinkState.CONNECT: "connect",
    LinkState.CONNECTING: "connecting",
    LinkState.TRANSFER: "sync",
    LinkState.CONNECTED: "connected",
}


class ReplicaState(Enum):
    """Where an attached replica stands, by the name that INFO shows."""

    WAIT_BGSAVE_START = "wait_bgsave_start"
    WAIT_BGSAVE_END = "wait_bgsave_end"
    SEND_BULK = "send_bulk"
    ONLINE = "online"

    @property
    def info_name(self) -> str:
        """The word of INFO replication's `state=`."""
        return "wait_bgsave" if self.value.startswith("wait_bgsave") else self.value


class ReplicaEvent(Enum):
    """What can happen to an attached replica."""

    SNAPSHOT_STARTED = "snapshot started"
    TRANSFER_STARTED = "transfer started"
    TRANSFERRED = "transferred"
    CONTINUED = "continued"


_NEXT: Final[dict[tuple[ReplicaState, ReplicaEvent], ReplicaState]] = {
    (ReplicaState.WAIT_BGSAVE_START, ReplicaEvent.SNAPSHOT_STARTED): ReplicaState.WAIT_BGSAVE_END,
    (ReplicaState.WAIT_BGSAVE_START, ReplicaEvent.CONTINUED): ReplicaState.ONLINE,
    (ReplicaState.WAIT_BGSAVE_END, ReplicaEvent.TRANSFER_STARTED): ReplicaState.SEND_BULK,
    (ReplicaState.WAIT_BGSAVE_END, ReplicaEvent.TRANSFERRED): ReplicaState.ONLINE,
    (ReplicaState.SEND_BULK, ReplicaEvent.TRANSFERRED): ReplicaState.ONLINE,
}


def next_state(state: ReplicaState, event: ReplicaEvent) -> ReplicaState:
    """The state after an event.

    Raises:
        ReplicationError: the event cannot happen in that state.
    """
    found = _NEXT.get((state, event))
    if found is None:
        raise ReplicationError(f"{event.value} cannot happen to a replica in state {state.value}")
    return found


class Capability(IntFlag):
    """What a replica says it understands (`SLAVE_CAPA_*`)."""

    NONE = 0
    EOF = 1
    PSYNC2 = 2
    RDB_CHANNEL = 4
    """Redis 8 says so; it is not served on a channel of its own, but it reads what Redis 8 writes."""


CAPABILITY_NAMES: Final = {
    b"eof": Capability.EOF,
    b"psync2": Capability.PSYNC2,
    b"rdb-channel-repl": Capability.RDB_CHANNEL,
}
