"""What a replica knows of its primary and of the link to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from txrepl.replication.states import LinkState


@dataclass(slots=True)
class Transfer:
    """Progress of a full sync.

    Attributes:
        total_bytes: its length; 0 while unknown (diskless).
        read_bytes: received so far.
        started_ms, last_io_ms: unix ms.
        bulk_ms: when the bulk itself began, unix ms; 0 before.
        how: the `repl-diskless-load` that it goes by; `on-empty-db` only if there was no key when it began.
    """

    started_ms: int
    last_io_ms: int
    bulk_ms: int = 0
    total_bytes: int = 0
    read_bytes: int = 0
    how: str = "disabled"

    @property
    def to_disk(self) -> bool:
        """The RDB is received to a file, and loaded when it is complete."""
        return self.how == "disabled"


@dataclass(slots=True)
class Step:
    """A step of a handshake, for people to read: when it was entered, unix ms."""

    state: LinkState
    at_ms: int


@dataclass(slots=True)
class Link:
    """The link to the primary.

    Attributes:
        host, port: the primary; host is empty when there is none.
        local_address: our end of the connection, as `host:port`.
        state: where the link stands.
        resumable: the history is the primary's, so that PSYNC may go on with it (the cached primary).
        stream_db: the database that the primary's stream has selected; -1 = none.
        last_io_ms: when the primary was last heard, unix ms.
        down_since_ms: when the link was lost; 0 if it is up or never was.
        current_ms: when this primary's stream last broke off, so that our data is as old; 0 if it never flowed.
        read_offset: bytes of the stream received (applied or not).
        failures: connection attempts that failed since the link was last up.
        last_error: why the last attempt failed, in words.
        steps: the states of the last handshake.
    """

    host: str = ""
    port: int = 0
    state: LinkState = LinkState.NONE
    resumable: bool = False
    stream_db: int = -1
    last_io_ms: int = 0
    down_since_ms: int = 0
    current_ms: int = 0
    read_offset: int = 0
    failures: int = 0
    last_error: str = ""
    local_address: str = ""
    transfer: Transfer | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def is_up(self) -> bool:
        """The stream flows."""
        return self.state is LinkState.CONNECTED
