"""What the shell around a node does for it: the other half of the contract, of which no part knows who keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from txrepl.commands.migration import Migration
from txrepl.commands.session import Timer
from txrepl.persistence.snapshot import Loader
from txrepl.replication.primary import Snapshots


class Host(Protocol):
    """What the shell around a node does for it."""

    @property
    def snapshots(self) -> SaveHost:
        """What makes snapshots."""

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after a while."""

    def connect_primary(self) -> None:
        """Begin to connect to the link's primary."""

    def drop_primary(self) -> None:
        """Close the connection to the primary, in whatever state, and try no further."""

    def cut_primary(self) -> None:
        """Close the connection to the primary, which is then opened anew."""

    def acknowledge(self, offset: int) -> None:
        """Send `REPLCONF ACK offset` to the primary."""

    def migrate(self, migration: Migration) -> None:
        """Run a migration; ends in `Migrating.migrated`, never before this returns."""

    def migrate_now(self, migration: Migration) -> None:
        """Run a migration to its end, and nothing else meanwhile."""

    def serve_others(self) -> bool:
        """Serve the clients that are ready, from within a busy script; whether the server goes on."""

    def stop(self, *, save: bool, force: bool) -> None:
        """End the server."""

    def panic(self, reason: str) -> None:
        """End the process on the spot, as one whose data may be wrong; does not return."""


class SnapshotFlow(Protocol):
    """A snapshot on its way to a reader that is no replica."""

    def pause(self) -> None:
        """Send nothing for now; the child waits."""

    def resume(self) -> None:
        """Go on."""

    def stop(self) -> None:
        """End the child: nobody needs the snapshot any more."""


class SaveHost(Snapshots, Protocol):
    """Snapshots for replicas, for readers of other kinds, and for ourselves."""

    def start_stream(self, received: Callable[[bytes], None], ended: Callable[[bool], None]) -> SnapshotFlow:
        """Fork a child that writes the dataset as it is now.

        Parameters:
            received: called with bytes of the RDB, later.
            ended: called once in the end, True if the RDB is whole.

        Raises:
            OSError: it cannot be started.
        """

    def start_save(self) -> None:
        """Fork a child that saves to the dump file; ends in `Storage.save_ended`.

        Raises:
            OSError: it cannot be started.
        """

    def save_now(self) -> None:
        """Save to the dump file in the foreground.

        Raises:
            OSError: the disk refused it.
        """

    def load_now(self) -> Loader:
        """Load the dump file in the foreground.

        Raises:
            OSError, RdbError: it cannot be read.
        """
