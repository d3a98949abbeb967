"""The replication log's memory: the last bytes of the stream, readable from any offset that it still covers.

Offsets count from 1: the first byte of a history has offset 1. The backlog keeps blocks, not one ring, so that a
reader that is behind (an attached replica) pins what it still needs, and N slow readers cost one copy, as in
Redis 7 (`replBacklog`, `incrementalTrimReplicationBacklog`). Nothing before the slowest pin is dropped; whoever owns
a reader bounds how far behind it may be.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

BLOCK_BYTES: Final = 16 * 1024


class Backlog:
    """The bytes first_offset … end_offset - 1 of the stream.

    Parameters:
        size: bytes to keep (`repl-backlog-size`).
        next_offset: offset of the first byte that will be appended.

    Attributes:
        begun_offset: the first byte that it ever held.
    """

    __slots__ = ("_blocks", "_pins", "_starts", "begun_offset", "end_offset", "size")

    def __init__(self, size: int, next_offset: int) -> None:
        self.size = size
        self._starts: list[int] = [next_offset]
        self._blocks: list[bytearray] = [bytearray()]
        self._pins: dict[int, int] = {}
        self.begun_offset: int = next_offset
        self.end_offset: int = next_offset

    @property
    def first_offset(self) -> int:
        """The oldest offset that can be read."""
        return self._starts[0]

    @property
    def length(self) -> int:
        """Bytes held (`repl_backlog_histlen`)."""
        return self.end_offset - self._starts[0]

    def covers(self, offset: int) -> bool:
        """Whether a reader that has everything before `offset` can go on."""
        return self._starts[0] <= offset <= self.end_offset

    def append(self, data: bytes) -> None:
        """Add bytes to the end of the stream."""
        last = self._blocks[-1]
        if len(last) >= BLOCK_BYTES:
            last = bytearray()
            self._blocks.append(last)
            self._starts.append(self.end_offset)
        last += data
        self.end_offset += len(data)
        if self.end_offset - self._starts[0] - len(self._blocks[0]) > self.size:
            self.trim()

    def resize(self, size: int) -> None:
        """Change how many bytes are kept; what is held stays as far as it fits."""
        self.size = size
        self.trim()

    def trim(self) -> None:
        """Drop whole blocks beyond the size that no reader pins."""
        keep_from = min(self._pins.values(), default=self.end_offset)
        drop = 0
        while (
            drop < len(self._blocks) - 1
            and self.end_offset - self._starts[drop + 1] >= self.size
            and self._starts[drop + 1] <= keep_from
        ):
            drop += 1
        if drop:
            del self._blocks[:drop]
            del self._starts[:drop]

    def read(self, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes from `offset` on; empty at the end of the stream.

        Raises:
            ValueError: the offset is not covered.
        """
        if not self.covers(offset):
            raise ValueError(f"offset {offset} is outside of {self.first_offset}..{self.end_offset}")
        index = bisect_right(self._starts, offset) - 1
        start = offset - self._starts[index]
        with memoryview(self._blocks[index]) as block:
            found = bytes(block[start : start + limit])
        if len(found) == limit or index + 1 == len(self._blocks):
            return found
        parts = [found]
        missing = limit - len(found)
        for block_bytes in self._blocks[index + 1 :]:
            parts.append(bytes(block_bytes[:missing]))
            missing -= len(parts[-1])
            if missing == 0:
                break
        return b"".join(parts)

    def block_start(self, offset: int) -> int:
        """The last offset up to `offset`, which is covered, at which an `append` began that began a block too.

        Whoever appends whole commands only, as the feed does, finds one beginning there.
        """
        return self._starts[bisect_right(self._starts, offset) - 1]

    def pin(self, reader: int, offset: int) -> None:
        """A reader needs everything from `offset` on."""
        self._pins[reader] = offset

    def unpin(self, reader: int) -> None:
        """A reader has gone."""
        self._pins.pop(reader, None)
        self.trim()

    def memory_bytes(self) -> int:
        """Bytes of memory that the blocks take."""
        return self.length + 64 * len(self._blocks)
