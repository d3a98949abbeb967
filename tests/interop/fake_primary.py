"""A primary that does what a script says, byte by byte, so that a replica meets every way in which one can go wrong.

    with FakePrimary(speak(rdb)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)

A script is called once a connection, in a thread of its own, with the `Talk` that the replica began; when it returns
the connection is closed. Nothing here shares code with txrepl.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from types import TracebackType

_CHUNK_BYTES = 65536
_TIMEOUT_S = 20.0

STEPS = {"ping": b"PING", "port": b"listening-port", "capa": b"capa", "psync": b"PSYNC"}
"""The steps of a handshake in their order, and a word of the command that begins each."""

REPLID = "ab" * 20
OFFSET = 1000


class Talk:
    """One connection from a replica.

    Attributes:
        commands: what the replica has said so far.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pending = bytearray()
        self.commands: list[list[bytes]] = []

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        self._socket.sendall(data)

    def command(self) -> list[bytes]:
        """The replica's next command; raises `ConnectionError` when it closes. Its newlines are signs of life."""
        while (line := self._line()) == b"":
            pass
        if line == b"SYNC":  # the one command that Redis sends inline
            self.commands.append([line])
            return [line]
        assert line[:1] == b"*", f"a replica speaks in arrays, not {line!r}"
        words = []
        for _ in range(int(line[1:])):
            size = int(self._line()[1:])
            words.append(self._take(size + 2)[:-2])
        self.commands.append(words)
        return words

    def until(self, step: str) -> list[bytes]:
        """Answer the handshake properly up to a step of `STEPS`; the command of that step, not yet answered."""
        while True:
            words = self.command()
            if STEPS[step] in words:
                return words
            self.send(b"+PONG\r\n" if words == [b"PING"] else b"+OK\r\n")

    def until_closed(self) -> None:
        """Say nothing until the replica closes, and hear what it says."""
        try:
            while True:
                self.command()
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Close the connection by a reset."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the connection."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the replica was first
        self._socket.close()

    def _line(self) -> bytes:
        while (end := self._pending.find(b"\n")) < 0:
            self._fill()
        return self._take(end + 1).rstrip(b"\r\n")

    def _take(self, count: int) -> bytes:
        while len(self._pending) < count:
            self._fill()
        data = bytes(self._pending[:count])
        del self._pending[:count]
        return data

    def _fill(self) -> None:
        data = self._socket.recv(_CHUNK_BYTES)
        if not data:
            raise ConnectionError("the replica closed the connection")
        self._pending += data


Script = Callable[[Talk], None]


class FakePrimary:
    """Listens on 127.0.0.1 and plays a script with every replica that connects.

    Parameters:
        script: what to do with a connection; assign another for those that follow.

    Attributes:
        port: where it listens, for as long as it lives.
        talks: the conversations so far.
        connected_s: when each began, monotonic seconds.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.talks: list[Talk] = []
        self.connected_s: list[float] = []
        self._failures: list[BaseException] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> FakePrimary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if value is None and self._failures:
            raise self._failures[0]

    def close(self) -> None:
        """Listen no more and close every conversation."""
        try:
            self._listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed before
        self._listening.close()
        for talk in self.talks:
            talk.close()

    @property
    def shortest_pause_s(self) -> float:
        """The shortest time between two connections, in seconds."""
        return min(after - before for before, after in zip(self.connected_s, self.connected_s[1:], strict=False))

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return  # closed
            self.connected_s.append(time.monotonic())
            talk = Talk(connection)
            self.talks.append(talk)
            threading.Thread(target=self._play, args=(talk, self.script), daemon=True).start()

    def _play(self, talk: Talk, script: Script) -> None:
        try:
            script(talk)
        except (OSError, ValueError):
            pass  # the replica is gone: what that means is the test's to say
        except AssertionError as failure:
            self._failures.append(failure)
        finally:
            talk.close()


# Scripts that more than one test needs.


def answer(step: str, data: bytes) -> Script:
    """Speak properly up to a step, answer that with `data`, and then say nothing."""

    def script(talk: Talk) -> None:
        talk.until(step)
        talk.send(data)
        talk.until_closed()

    return script


def full_resync(replid: str = REPLID, offset: int = OFFSET) -> bytes:
    """The line that promises a full sync."""
    return f"+FULLRESYNC {replid} {offset}\r\n".encode()


def bulk(rdb: bytes) -> bytes:
    """An RDB with its length, as from disk."""
    return b"$%d\r\n%b" % (len(rdb), rdb)


def speak(rdb: bytes, stream: bytes = b"", replid: str = REPLID, offset: int = OFFSET) -> Script:
    """Be a proper primary with this dataset, and send `stream` after it."""
    return answer("psync", full_resync(replid, offset) + bulk(rdb) + stream)
