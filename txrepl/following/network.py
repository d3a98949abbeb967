"""What a follower needs of a network, and asyncio's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

READ_BYTES: Final = 64 * 1024


class Connection(Protocol):
    """A connection to the primary. It reads ahead a bounded number of bytes, and then no further until asked."""

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes; empty when the peer has closed.

        Raises:
            OSError: the connection broke, or nothing came in time (`TimeoutError`).
        """

    def write(self, data: bytes) -> None:
        """Send bytes; what cannot be sent is dropped with the connection."""

    def close(self) -> None:
        """Close it at once."""


class Network(Protocol):
    """Makes connections, and knows the time."""

    async def connect(self, host: str, port: int, timeout_s: float) -> Connection:
        """Connect.

        Raises:
            OSError: it failed.
        """

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def every(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` again and again, until what is returned is called."""


class AsyncioConnection:
    """A connection of asyncio's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, timeout_s: float) -> bytes:
        """The next bytes."""
        async with asyncio.timeout(timeout_s):
            return await self._reader.read(READ_BYTES)

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def close(self) -> None:
        """Close it at once."""
        self._writer.transport.abort()


class AsyncioNetwork:
    """asyncio's."""

    async def connect(self, host: str, port: int, timeout_s: float) -> Connection:
        """Connect."""
        async with asyncio.timeout(timeout_s):
            return AsyncioConnection(*await asyncio.open_connection(host, port))

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def every(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        """Call `action` again and again."""

        async def repeat() -> None:
            while True:
                await asyncio.sleep(seconds)
                action()

        task = asyncio.get_running_loop().create_task(repeat())
        return lambda: void(task.cancel())


def void(result: object) -> None:
    """Drop a result."""
