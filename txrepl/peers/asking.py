"""Questions to another server: commands sent in pipelines, whole replies waited for, in bounded time and memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from twisted.internet import defer, protocol
from twisted.python.failure import Failure

from txrepl.errors import CommandError, ProtocolError, ReplicationError, SilenceError
from txrepl.resp.answers import Answer, AnswerReader
from txrepl.resp.requests import encode_command

REPLY_MAX_BYTES: Final = 128 * 1024 * 1024
"""How large one reply may be."""
SILENCE_S: Final = 30.0
"""How long nothing may come while replies are waited for."""


class Peer(protocol.Protocol):
    """A connection to ask by; one pipeline at a time.

    Parameters:
        clock: the time.
    """

    transport: Any

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self._reader = AnswerReader(REPLY_MAX_BYTES)
        self._replies: deque[Answer] = deque()
        self._missing = 0
        self._waiting: defer.Deferred[None] | None = None
        self._timer: Any = None
        self._error: ReplicationError | None = None

    async def pipeline(self, commands: Iterable[tuple[bytes, ...]]) -> list[Answer]:
        """Send commands; their replies, errors among them as values.

        Raises:
            ReplicationError: the connection is gone, silent, or speaks no RESP.
        """
        encoded = [encode_command(words) for words in commands]
        if self._error is not None:
            raise self._error
        if not encoded:
            return []
        self._missing = len(encoded)
        waiting: defer.Deferred[None] = defer.Deferred()
        self._waiting = waiting
        self._timer = self._clock.callLater(SILENCE_S, self._silent)
        self.transport.write(b"".join(encoded))
        try:
            await waiting
        finally:
            self._waiting = None
            if self._timer.active():
                self._timer.cancel()
        found = list(self._replies)
        self._replies.clear()
        return found

    async def ask(self, *words: bytes) -> Answer:
        """Send a command; its reply. Errors as in `pipeline`, and

        Raises:
            CommandError: the reply is an error.
        """
        (reply,) = await self.pipeline([words])
        if isinstance(reply, CommandError):
            raise reply
        return reply

    async def atomically(self, commands: list[tuple[bytes, ...]]) -> list[Answer]:
        """Run commands as one transaction; their replies. Errors as in `ask`."""
        *queued, replies = await self.pipeline([(b"MULTI",), *commands, (b"EXEC",)])
        for reply in (*queued, replies):
            if isinstance(reply, CommandError):
                raise reply
        if not isinstance(replies, list) or len(replies) != len(commands):
            raise ReplicationError("the server's answer to EXEC is not as Redis has it")
        return replies

    def close(self) -> None:
        """Drop the connection."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _silent(self) -> None:
        self._fail(SilenceError(f"the server did not answer within {SILENCE_S:g} s"))

    def _fail(self, error: ReplicationError) -> None:
        self._error = self._error or error
        self.close()
        if self._waiting is not None and not self._waiting.called:
            self._waiting.errback(self._error)

    # -- what Twisted calls

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Bytes from the server."""
        if self._error is not None:
            return
        try:
            found = self._reader.feed(data)
        except ProtocolError as error:
            self._fail(ReplicationError(str(error)))
            return
        self._missing -= len(found)
        if self._missing < 0:
            self._fail(ReplicationError("the server sent what nobody asked for"))
            return
        self._replies += found
        if self._waiting is not None and not self._waiting.called:
            if not self._missing:
                self._waiting.callback(None)
            else:
                self._timer.reset(SILENCE_S)

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: N802
        """The connection is gone."""
        self._fail(ReplicationError("the server closed the connection"))
