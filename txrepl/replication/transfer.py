"""The bulk of a full sync, as it arrives from the primary.

    bulk = { LF } ( "$" length CRLF rdb | "$EOF:" mark CRLF rdb mark ) | "-" error CRLF

An RDB that is parsed as it comes says itself where it ends, so the mark of 40 bytes is checked, not searched for; one
that is put aside unread (`Spool`) ends where the mark is found. What follows the bulk is stream and is handed on
(`readSyncBulkPayload`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from txrepl.errors import RdbError, ReplicationError

MARK_BYTES: Final = 40
PREAMBLE_MAX_BYTES: Final = 1024


class RdbTarget(Protocol):
    """What the RDB is fed to."""

    def feed(self, data: bytes) -> None:
        """Take a piece.

        Raises:
            RdbError: it is corrupt.
        """

    @property
    def done(self) -> bool:
        """The RDB is complete."""

    def leftover(self) -> bytes:
        """Bytes fed after its end."""


class Spool:
    """A target that puts the RDB aside without reading it.

    Parameters:
        write: takes the bytes of the RDB.
        mark: what ends it; empty where the length is announced.
    """

    def __init__(self, write: Callable[[bytes], object], mark: bytes) -> None:
        self._write = write
        self._mark = mark
        self._tail = b""
        self.done: bool = not mark

    def feed(self, data: bytes) -> None:
        """Take a piece; the last bytes are held back as long as they may be the beginning of the mark."""
        if not self._mark:
            self._write(data)
            return
        data = self._tail + data
        end = data.find(self._mark)
        self.done = end >= 0
        if not self.done:
            end = max(len(data) - len(self._mark) + 1, 0)
        self._write(data[:end])
        self._tail = data[end:]

    def leftover(self) -> bytes:
        """The mark and what came after it."""
        return self._tail if self.done else b""


def check_whole(target: RdbTarget, size_bytes: int) -> None:
    """Hold a target against the length that was announced, once that much was fed to it.

    Raises:
        RdbError: the RDB is longer or shorter than that.
    """
    if target.done and target.leftover():
        raise RdbError("the RDB ends before the announced length", size_bytes)
    if not target.done:
        raise RdbError("the RDB is not complete at the announced length: truncated", size_bytes)


class BulkReader:
    """Reads one bulk.

    Parameters:
        begin: called as begin(total bytes, mark) when the preamble was read: one of them is 0 or empty; gives the
            target.

    Attributes:
        total_bytes: the RDB's length, 0 while unknown or diskless.
        read_bytes: bytes of the RDB received.
        done: the bulk is complete; `rest` holds what came after it.
    """

    def __init__(self, begin: Callable[[int, bytes], RdbTarget]) -> None:
        self._begin = begin
        self._line = bytearray()
        self._target: RdbTarget | None = None
        self._mark: bytes = b""
        self._tail = bytearray()
        self.total_bytes: int = 0
        self.read_bytes: int = 0
        self.done: bool = False
        self.rest: bytes = b""

    def feed(self, data: bytes) -> None:
        """Take received bytes.

        Raises:
            ReplicationError: the primary aborted, or this is no bulk.
            RdbError: the RDB in it is corrupt.
        """
        if self._target is None:
            data = self._preamble(data)
            if self._target is None or not data:
                return
        if self._mark:
            self._until_mark(self._target, data)
        else:
            self._counted(self._target, data)

    def _preamble(self, data: bytes) -> bytes:
        """Read up to the line that begins the bulk; returns what follows it."""
        self._line += data
        while self._target is None:
            end = self._line.find(b"\n")
            if end < 0:
                if len(self._line) > PREAMBLE_MAX_BYTES:
                    raise ReplicationError("Bad protocol from MASTER, the first byte is not '$'")
                return b""
            line = bytes(self._line[:end]).rstrip(b"\r")
            del self._line[: end + 1]
            if line:
                self._start(line)
        return bytes(self._line)

    def _start(self, line: bytes) -> None:
        if line.startswith(b"-"):
            text = line[1:257].decode("utf-8", "backslashreplace")
            raise ReplicationError(f"MASTER aborted replication with an error: {text}")
        if not line.startswith(b"$"):
            text = line[:64].decode("utf-8", "backslashreplace")
            raise ReplicationError(
                f"Bad protocol from MASTER, the first byte is not '$' (we received '{text}'), "
                "are you sure the host and port are right?"
            )
        if line.startswith(b"$EOF:") and len(line) == 5 + MARK_BYTES:
            self._mark = line[5:]
        elif line[1:].isdigit() and len(line) < 20:
            self.total_bytes = int(line[1:])
            if not self.total_bytes:
                raise ReplicationError("Bad protocol from MASTER, the bulk is empty")
        else:
            raise ReplicationError("Bad protocol from MASTER, the bulk's length is malformed")
        self._target = self._begin(self.total_bytes, self._mark)

    def _counted(self, target: RdbTarget, data: bytes) -> None:
        missing = self.total_bytes - self.read_bytes
        piece = data[:missing]
        self.read_bytes += len(piece)
        target.feed(piece)
        if target.done and target.leftover():
            raise RdbError("the RDB ends before the announced length", self.read_bytes)
        if self.read_bytes == self.total_bytes:
            check_whole(target, self.read_bytes)
            self.done = True
            self.rest = data[missing:]

    def _until_mark(self, target: RdbTarget, data: bytes) -> None:
        if not target.done:
            self.read_bytes += len(data)
            target.feed(data)
            if not target.done:
                return
            data = target.leftover()
            self.read_bytes -= len(data)
        self._tail += data
        if len(self._tail) < MARK_BYTES:
            return
        if bytes(self._tail[:MARK_BYTES]) != self._mark:
            raise RdbError("the RDB is not followed by the announced end mark", self.read_bytes)
        self.done = True
        self.rest = bytes(self._tail[MARK_BYTES:])
