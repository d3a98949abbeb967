"""Keeps CPython's cycle collector out of the way of large datasets.

A full collection walks every container; with millions of them the loop stands still. Data is therefore moved to the
permanent generation after a load and around a fork, where the child must not touch what it shares.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_collector() -> Iterator[None]:
    """No collection while a dataset grows; afterwards what is alive is not walked again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
