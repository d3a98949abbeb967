"""RDBs that are read in slices: the file that a full sync is received to, and the pace of every load.

While a load waits for its next slice the server answers its clients. `key-load-delay` holds back the next slice and
not the loop; a slice is never longer than `loading-process-events-interval-bytes`, the bytes after which Redis looks
after its clients (`rdbLoadProgressCallback`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO, Final

from twisted.internet import task
from twisted.internet.threads import deferToThread

from txrepl.config import Config
from txrepl.errors import ReplicationError
from txrepl.net.garbage import quiet_collector
from txrepl.persistence.snapshot import Loader
from txrepl.replication.transfer import check_whole

SLICE_BYTES: Final = 64 * 1024


def key_delay_s(delay_us: int, keys: int) -> float:
    """How long so many keys are held back by `key-load-delay` or `rdb-key-save-delay` (`debugDelay`), in seconds.

    Parameters:
        delay_us: microseconds a key; negative: so many keys a microsecond.
    """
    return (keys * delay_us if delay_us >= 0 else keys / -delay_us) / 1_000_000


class Pace:
    """How long a load waits before it goes on.

    Parameters:
        loader: whose keys count.
    """

    def __init__(self, config: Config, loader: Loader) -> None:
        self._config = config
        self._loader = loader
        self._counted = 0

    def pause_s(self) -> float:
        """Seconds that the keys loaded since the last call cost."""
        keys = self._loader.keys_loaded - self._counted
        self._counted += keys
        return key_delay_s(self._config.get_int("key-load-delay"), keys)


async def load_file(
    file: BinaryIO, loader: Loader, config: Config, clock: Any, loaded: Callable[[int], object]
) -> None:
    """Load an RDB file from where it stands, in slices.

    Parameters:
        clock: time.
        loaded: called with the bytes loaded so far.

    Raises:
        OSError, RdbError: it cannot be read.
    """
    pace = Pace(config, loader)
    read_bytes = 0
    with quiet_collector():
        while data := file.read(min(SLICE_BYTES, config.get_int("loading-process-events-interval-bytes"))):
            loader.feed(data)
            read_bytes += len(data)
            loaded(read_bytes)
            await task.deferLater(clock, pace.pause_s())
    check_whole(loader, read_bytes)


class SyncFile:
    """The file that a full sync is received to; it is gone after `close`, unless `keep` made it another file.

    Parameters:
        directory: where it is made.
        now_s: unix time in seconds, for its name.

    Raises:
        ReplicationError: it cannot be made.
    """

    def __init__(self, directory: str, now_s: int) -> None:
        self.path = os.path.join(directory, f"temp-{now_s}.{os.getpid()}.rdb")
        self.size_bytes = 0
        try:
            self._file: BinaryIO = open(self.path, "w+b")  # noqa: SIM115 - `close` closes it
        except OSError as error:
            raise ReplicationError(
                f"Opening the temp file needed for MASTER <-> REPLICA synchronization: {error.strerror} ({self.path})"
            ) from error

    def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            ReplicationError: the disk refused them.
        """
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refused(error) from error
        self.size_bytes += len(data)

    def rewind(self) -> BinaryIO:
        """The file, to be read from its beginning.

        Raises:
            ReplicationError: the disk refused what was written last.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error
        self._file.seek(0)
        return self._file

    async def settle(self) -> None:
        """Bring it to the disk; the loop does not wait for that.

        Raises:
            ReplicationError: the disk refused it.
        """
        try:
            await deferToThread(os.fsync, self._file.fileno())
        except OSError as error:
            raise ReplicationError(
                f"Failed trying to sync the temp DB to disk in MASTER <-> REPLICA synchronization: {error.strerror}"
            ) from error

    def keep(self, path: str) -> None:
        """Make it the file of another name.

        Raises:
            OSError: the disk refused it.
        """
        os.replace(self.path, path)

    def close(self) -> None:
        """Close it, and remove it if it was not kept."""
        try:
            self._file.close()
        except OSError:
            pass  # what could not be written is not wanted any more
        if os.path.exists(self.path):
            os.unlink(self.path)

    def _refused(self, error: OSError) -> ReplicationError:
        return ReplicationError(
            "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: "
            f"{error.strerror}"
        )
