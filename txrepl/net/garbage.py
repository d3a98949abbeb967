"""Keeps CPython's cycle collector out of the way of large datasets.

A full collection walks every container; with millions of them the loop stands still. The data needs none: it is
freed when its last holder lets go. So what is old is moved to the permanent generation, which is never walked: after a
load, around a fork (the child must not touch what it shares), and whenever a collection took noticeable time.

What is in a cycle and was moved is never freed. So whatever comes and goes in numbers, as connections do, must not
be one when its time is over.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Final

from twisted.internet.task import LoopingCall

PACE_S: Final = 0.1
LONG_S: Final = 0.002
"""A collection that took longer is the last that walked what it has found alive."""
_YOUNG: Final = 10_000
"""Containers made and not freed that start a collection of the youngest; CPython's 700 is made for small programs."""
_NEVER: Final = 1_000_000


@contextmanager
def quiet_collector() -> Iterator[None]:
    """No collection while a dataset grows; what is alive after a load that succeeded is not walked again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


class PacedCollector:
    """Collects whatever is new ten times a second, instead of everything once in a while.

    Parameters:
        reactor: the time.
    """

    def __init__(self, reactor: Any) -> None:
        self._thresholds = gc.get_threshold()
        self._pace = LoopingCall(self._collect)
        self._pace.clock = reactor

    def start(self) -> None:
        """Begin; what there is, is there for good."""
        self._thresholds = gc.get_threshold()
        gc.set_threshold(_YOUNG, self._thresholds[1], _NEVER)
        gc.collect()
        gc.freeze()
        self._pace.start(PACE_S, now=False)

    def stop(self) -> None:
        """Leave the rest to CPython."""
        if self._pace.running:
            self._pace.stop()
            gc.set_threshold(*self._thresholds)

    def _collect(self) -> None:
        if not gc.isenabled():
            return
        started = perf_counter()
        gc.collect()
        if perf_counter() - started > LONG_S:
            gc.freeze()
