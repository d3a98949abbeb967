"""A TCP proxy whose links a test can cut, stall or refuse at a moment or byte of its choice."""

from __future__ import annotations

import socket
import struct
import threading
from collections import deque
from types import TracebackType

_CHUNK_BYTES = 16384
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Link:
    """One proxied connection: two sockets and the two threads that pump between them."""

    def __init__(self, proxy: CutProxy, client: socket.socket, server: socket.socket) -> None:
        self.closed = threading.Event()
        self._proxy = proxy
        self._client = client
        self._server = server
        for source, target, down in ((client, server, False), (server, client, True)):
            threading.Thread(target=self._pump, args=(source, target, down), daemon=True).start()

    def cut(self) -> None:
        """Reset both sides; bytes under way are lost."""
        self.closed.set()
        for side in (self._client, self._server):
            try:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already by its pump or its peer
            side.close()

    def _pump(self, source: socket.socket, target: socket.socket, down: bool) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                self._proxy._wait_for_flow(self)
                allowed = self._proxy._count(len(data), down)
                if allowed > 0:
                    target.sendall(data[:allowed])
                if allowed < len(data) or self.closed.is_set():
                    break
        except OSError:
            pass  # either side is gone: the link ends
        self.cut()
        self._proxy._forget(self)


class CutProxy:
    """Forwards 127.0.0.1:`port` to 127.0.0.1:`target_port`, until told otherwise.

    Parameters:
        target_port: where the connections go; may be assigned anew for those that follow.

    Attributes:
        port: where to connect to; it stays the same over `refuse` and `accept`.
        connections: how many connections were accepted so far.
        bytes_down: bytes forwarded from the target to the clients so far.
        bytes_up: bytes forwarded from the clients to the target so far.
        cuts: how many of the cuts that `cut_after` asked for have happened.
    """

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.connections = 0
        self.bytes_down = 0
        self.bytes_up = 0
        self.cuts = 0
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._budgets_bytes: deque[int] = deque()
        self._links: set[_Link] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self.accept()

    def __enter__(self) -> CutProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def open_links(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._links)

    def cut(self) -> None:
        """Reset every connection that is open now; new ones are still accepted."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()
            self._forget(link)

    def cut_after(self, *counts: int) -> None:
        """Cut when `count` more bytes went from the target to the clients; the next count starts there.

        Parameters:
            counts: bytes until each cut, one after the other; what was asked for before is dropped.
        """
        with self._lock:
            self._budgets_bytes = deque(counts)

    def stall(self) -> None:
        """Hold all bytes in both directions; connections stay open."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a stall; what was held goes on."""
        self._flowing.set()

    def refuse(self) -> None:
        """Stop listening (connection refused) and cut what is open, until `accept`."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            try:
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not supported on a listening socket everywhere; close suffices there
            listener.close()
        self.cut()

    def accept(self) -> None:
        """Listen, on the same port as before."""
        with self._lock:
            if self._listener is not None:
                return
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(64)
            self.port = listener.getsockname()[1]
            self._listener = listener
        threading.Thread(target=self._accept_loop, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Stop for good."""
        self.refuse()
        self.flow()

    def _accept_loop(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port), timeout=5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._listener is not listener:
                    client.close()
                    server.close()
                    return
                self.connections += 1
                self._links.add(_Link(self, client, server))

    def _wait_for_flow(self, link: _Link) -> None:
        while not self._flowing.wait(0.05):
            if link.closed.is_set():
                return

    def _count(self, size: int, down: bool) -> int:
        """How many of `size` bytes may pass; counts them."""
        with self._lock:
            if not down:
                self.bytes_up += size
                return size
            allowed = size
            if self._budgets_bytes:
                allowed = min(size, self._budgets_bytes[0])
                self._budgets_bytes[0] -= allowed
                if allowed < size:
                    self._budgets_bytes.popleft()
                    self.cuts += 1
            self.bytes_down += allowed
            return allowed

    def _forget(self, link: _Link) -> None:
        with self._lock:
            self._links.discard(link)
