"""The dataset over HTTP, as an RDB that a forked child writes while the node goes on.

One child serves all who wait when it starts, at the pace of the slowest, as a diskless sync does; there is one child at
a time, whatever it is for, so a download may have to wait. Who takes nothing for `repl-timeout` is cut off. When the
last one leaves, the child is killed. A snapshot that fails breaks the answer off: its last chunk is never sent.

The backlog keeps what follows the snapshot until it is sent, and for a while after, so that the reader can go on there;
but no more of it than an attached replica may be behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import LoopingCall
from twisted.web.server import Request
from zope.interface import implementer

from txrepl.admin.contract import Scope
from txrepl.admin.problems import UnavailableError
from txrepl.admin.resuming import present, settled_backlog
from txrepl.changes import Checkpoint
from txrepl.node import Node
from txrepl.node.host import SnapshotFlow
from txrepl.replication.backlog import Backlog

DOWNLOADS_MAX: Final = 16
POLL_S: Final = 0.05
TICK_S: Final = 1.0
KEPT_S: Final = 60
"""How long the backlog keeps what follows a snapshot after it was sent."""
UNLIMITED_BYTES: Final = 256 * 1024 * 1024
"""How much it keeps where replicas may be behind without limit."""


@implementer(IPushProducer)
class Download:
    """One client that gets a snapshot.

    Parameters:
        announce: called with the place that the snapshot is of, before its first byte; sets the headers.
    """

    def __init__(self, downloads: Downloads, request: Request, announce: Callable[[Checkpoint], None]) -> None:
        self._downloads = downloads
        self._request = request
        self._announce = announce
        self.held_s: float | None = None
        self.ended: Deferred[bytes] = Deferred(lambda _: downloads.left(self))

    def begin(self, place: Checkpoint) -> None:
        """The snapshot is of this place."""
        self._announce(place)
        self._request.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """A piece of the RDB."""
        self._request.write(data)

    def finish(self) -> None:
        """It is whole."""
        self._request.unregisterProducer()
        self.ended.callback(b"")

    def refuse(self, error: Exception) -> None:
        """There will be none."""
        self.ended.errback(error)

    def break_off(self) -> None:
        """It will never be whole: close the connection so that the client sees it."""
        self._request.unregisterProducer()
        channel: Any = self._request.channel
        if channel is not None:
            channel.transport.abortConnection()

    def pauseProducing(self) -> None:  # noqa: N802
        """The connection takes no more."""
        self._downloads.hold(self)

    def resumeProducing(self) -> None:  # noqa: N802
        """The connection takes bytes again."""
        self._downloads.release(self)

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone."""
        self._downloads.left(self)


class Downloads:
    """All downloads of a node's dataset."""

    def __init__(self, scope: Scope) -> None:
        self._node = scope.node
        self._clock: Any = scope.clock
        self._seconds: Callable[[], float] = scope.seconds
        self._waiting: list[Download] = []
        self._served: list[Download] = []
        self._flow: SnapshotFlow | None = None
        self._poll: Any = None
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = self._clock

    def add(self, request: Request, announce: Callable[[Checkpoint], None]) -> Deferred[bytes]:
        """Send a snapshot of now, or of as soon as a child can be forked.

        Raises:
            UnavailableError: there are too many, or the node has no dataset to show.
        """
        if len(self._waiting) + len(self._served) >= DOWNLOADS_MAX:
            raise UnavailableError(f"{DOWNLOADS_MAX} clients are being sent the dataset already")
        settled_backlog(self._node)
        download = Download(self, request, announce)
        self._waiting.append(download)
        self._start()
        return download.ended

    def _start(self) -> None:
        self._poll = None
        node = self._node
        if not self._waiting:
            return
        assert node.host is not None
        snapshots = node.host.snapshots
        if snapshots.busy or self._served or node.loading is not None:
            self._poll = self._clock.callLater(POLL_S, self._start)
            return
        waiting, self._waiting = self._waiting, []
        try:
            backlog = settled_backlog(node)
            if not node.link.host:
                node.feed.selected_db = -1  # the next write selects, so that whoever loads the RDB knows where it goes
            flow = snapshots.start_stream(self._received, self._ended)
        except UnavailableError as error:
            for download in waiting:
                download.refuse(error)
            return
        except OSError as error:
            for download in waiting:
                download.refuse(UnavailableError(f"no snapshot can be made: {error.strerror or error}"))
            return
        place = present(node)
        Pin(node, self._clock, backlog, place.offset + 1, lambda: self._flow is flow)
        self._flow, self._served = flow, waiting
        if not self._ticker.running:
            self._ticker.start(TICK_S, now=False)
        for download in list(waiting):
            download.begin(place)

    def _received(self, data: bytes) -> None:
        for download in list(self._served):
            download.write(data)

    def _ended(self, ok: bool) -> None:
        served, self._served, self._flow = self._served, [], None
        for download in served:
            if ok:
                download.finish()
            else:
                download.break_off()
        self._rest()

    def _rest(self) -> None:
        if self._waiting and self._poll is None:
            self._poll = self._clock.callLater(0, self._start)
        if not self._served and self._ticker.running:
            self._ticker.stop()

    def left(self, download: Download) -> None:
        """A client is gone."""
        self._waiting = [one for one in self._waiting if one is not download]
        if not self._waiting and self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if download in self._served:
            self._served.remove(download)
            if not self._served and self._flow is not None:
                self._flow.stop()
            self._go_on()

    def hold(self, download: Download) -> None:
        """A client's connection is full: all wait for it."""
        download.held_s = self._seconds()
        if self._flow is not None:
            self._flow.pause()

    def release(self, download: Download) -> None:
        """It has room again."""
        download.held_s = None
        self._go_on()

    def _go_on(self) -> None:
        if self._flow is not None and all(one.held_s is None for one in self._served):
            self._flow.resume()

    def _tick(self) -> None:
        """Once a second: cut off who takes nothing."""
        limit_s = self._node.settings.timeout_s
        for download in list(self._served):
            if download.held_s is not None and self._seconds() - download.held_s > limit_s:
                self._node.log("warning", f"A download of the dataset took nothing for {limit_s} s: cut off")
                download.break_off()
                self.left(download)


class Pin:
    """Keeps in the backlog what follows a snapshot, while it is sent and for `KEPT_S` after, within bounds.

    Parameters:
        offset: of the first byte to keep.
        is_sent: whether the snapshot is still being sent.
    """

    def __init__(self, node: Node, clock: Any, backlog: Backlog, offset: int, is_sent: Callable[[], bool]) -> None:
        self._node = node
        self._backlog = backlog
        self._offset = offset
        self._number = node.feed.new_reader()
        self._is_sent = is_sent
        self._left_s = KEPT_S
        backlog.pin(self._number, offset)
        self._ticker = LoopingCall(self._tick)
        self._ticker.clock = clock
        self._ticker.start(TICK_S, now=False)

    def _tick(self) -> None:
        limit = self._node.settings.output_hard_bytes or UNLIMITED_BYTES
        held = self._backlog.end_offset - self._offset
        if not self._is_sent():
            self._left_s -= 1
        if self._left_s <= 0 or held > max(limit, self._backlog.size) or self._node.feed.backlog is not self._backlog:
            self._ticker.stop()
            self._backlog.unpin(self._number)
