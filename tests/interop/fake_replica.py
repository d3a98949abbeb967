"""A replica that says what a test tells it to, byte by byte, and shows what the primary makes of it."""

from __future__ import annotations

import itertools
import re
import socket

from tests.interop.servers import RawClient, RealServer, encode, wait_until

_ports = itertools.count(7001)  # what a replica says it listens on tells it from others
_ID = re.compile(rb"[0-9a-f]{40}")


class FakeReplica(RawClient):
    """A connection that behaves as a replica, as far as it is told to.

    Parameters:
        server: the primary.
        receive_bytes: size of the socket's receive buffer; small ones make a replica that never reads felt soon.
    """

    def __init__(self, server: RealServer, *, receive_bytes: int | None = None) -> None:
        super().__init__(server.port, 20)
        self._server = server
        self.port = next(_ports)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)

    def introduce(self, *capabilities: str) -> None:
        """PING and REPLCONF, as a replica begins."""
        assert self.command("PING") == "PONG"
        assert self.command("REPLCONF", "listening-port", self.port) == "OK"
        for capability in capabilities:
            assert self.command("REPLCONF", "capa", capability) == "OK"

    def ask(self, replid: str = "?", offset: int | str = -1) -> bytes:
        """PSYNC; the line that answers it."""
        self.send(encode("PSYNC", replid, offset))
        return self.answer_line()

    def answer_line(self) -> bytes:
        """The next line that is no sign of life."""
        while (line := self.read_line()) == b"\n":
            pass
        return line

    def read_bulk(self) -> bytes:
        """The RDB of a full sync, from disk or diskless."""
        line = self.answer_line()
        assert line[:1] == b"$", line
        if not line.startswith(b"$EOF:"):
            return self.read_exactly(int(line[1:]))
        return self.hear(line[5:45])[:-40]

    def join(self, *capabilities: str) -> int:
        """A whole full sync; the offset that it stands at. The stream begins when it acknowledges that."""
        self.introduce(*capabilities)
        line = self.ask()
        assert line.startswith(b"+FULLRESYNC "), line
        offset = int(line.split()[2])
        assert self.read_bulk().startswith(b"REDIS")
        online = f"port={self.port},state=online"
        wait_until(lambda: online in str(self._server.info("replication")), 5, "the primary takes it for online")
        self.acknowledge(offset)
        return offset

    def acknowledge(self, offset: int | str) -> None:
        """REPLCONF ACK, which is not answered."""
        self.send(encode("REPLCONF", "ACK", offset))

    def hear(self, data: bytes) -> bytes:
        """Read until these bytes have come; everything up to their end."""
        while (at := self._pending.find(data, self._position)) < 0:
            self._fill()
        return self.read_exactly(at + len(data) - self._position)

    def is_closed(self) -> bool:
        """Wait until the primary closes; False if it goes on sending or stays for the socket's time limit."""
        try:
            self.read_to_end()
        except TimeoutError:
            return False
        return True


def without_ids(reply: bytes) -> bytes:
    """A reply in which an id is any id, so that two servers' answers compare."""
    return _ID.sub(b"<id>", reply)
