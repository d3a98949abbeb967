"""A forked child that writes a snapshot and never touches the reactor.

The child inherits the dataset copy on write. It closes every descriptor but its own, dies with its parent, and tells
of its end by closing a pipe, so that the parent waits for an event and not for time.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def fork_child(work: Callable[[], None], keep: tuple[int, ...]) -> int:
    """Run `work` in a forked child; its pid.

    Parameters:
        work: ends the child with status 0 by returning, with 1 by raising.
        keep: descriptors that the child needs; all others but the standard ones are closed there.

    Raises:
        OSError: the system cannot fork.
    """
    parent = os.getpid()
    was_frozen = gc.get_freeze_count() > 0  # a loaded dataset, which stays so
    gc.freeze()
    try:
        pid = os.fork()
        if pid:
            return pid
    finally:
        if os.getpid() == parent and not was_frozen:
            gc.unfreeze()
    status = 1
    try:
        _settle(parent, keep)
        work()
        status = 0
    except BaseException as error:
        os.write(2, f"{os.getpid()}: snapshot child failed: {error}\n".encode())
    finally:
        os._exit(status)


def _settle(parent: int, keep: tuple[int, ...]) -> None:
    """Make the child independent of its parent's descriptors and signals, and of its death."""
    gc.disable()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    wanted = {0, 1, 2, *keep}
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else map(str, range(3, 1024)):
        if int(name) not in wanted:
            try:
                os.close(int(name))
            except OSError:
                pass


@implementer(IReadDescriptor)
class PipeReader:
    """The reading end of a pipe in the reactor.

    Parameters:
        received: called with bytes.
        ended: called once when the writer has closed it.
        chunk_bytes: how much to read at once.
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        received: Callable[[bytes], None],
        ended: Callable[[], None],
        chunk_bytes: int = 256 * 1024,
    ) -> None:
        os.set_blocking(descriptor, False)
        self._reactor = reactor
        self._descriptor = descriptor
        self._received = received
        self._ended = ended
        self._chunk_bytes = chunk_bytes
        self._open = True
        reactor.addReader(self)

    def fileno(self) -> int:
        """The descriptor, -1 when closed."""
        return self._descriptor if self._open else -1

    def logPrefix(self) -> str:  # noqa: N802
        """What the reactor calls it in its log."""
        return "pipe"

    def doRead(self) -> None:  # noqa: N802
        """Bytes, or the end, are there."""
        try:
            data = os.read(self._descriptor, self._chunk_bytes)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._received(data)
        else:
            self._end()

    def connectionLost(self, reason: Any) -> None:  # noqa: N802
        """The reactor saw a hang-up, of this pipe or of one that had the same descriptor a moment ago: look."""
        if self._open:
            self._reactor.addReader(self)
            self.doRead()

    def _end(self) -> None:
        if self._open:
            self.close()
            self._ended()

    def pause(self) -> None:
        """Read no further for now."""
        if self._open:
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read on."""
        if self._open:
            self._reactor.addReader(self)

    def close(self) -> None:
        """Read nothing any more."""
        if self._open:
            self._reactor.removeReader(self)
            self._open = False
            os.close(self._descriptor)
