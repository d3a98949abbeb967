"""When to save, and what became of the last save."""

from __future__ import annotations

from collections.abc import Sequence


class Saver:
    """The state of RDB persistence.

    Attributes:
        points: (seconds, changes): save when both are reached.
        last_save_ms: when the dataset was last saved, unix ms.
        last_ok: whether the last background save succeeded.
        last_duration_s: how long the last snapshot's child took, for ourselves or for replicas; -1 if there was none.
        saved_dirty: the change counter at the last save.
        started_ms: when the save in progress was started; None if none is.
        child_since_ms: when the child at work was forked, for ourselves or for replicas; None if none is.
        scheduled: BGSAVE SCHEDULE waits for a child to end.
        saves: how many files were begun since the start, for replicas too.
        loaded_keys, loaded_expired: keys that the last load brought, and those that were due and left out.
    """

    __slots__ = (
        "child_since_ms",
        "last_duration_s",
        "last_ok",
        "last_save_ms",
        "last_try_ms",
        "loaded_expired",
        "loaded_keys",
        "points",
        "saved_dirty",
        "saves",
        "scheduled",
        "started_dirty",
        "started_ms",
    )

    RETRY_MS = 5000

    def __init__(self, now_ms: int) -> None:
        self.points: Sequence[tuple[int, int]] = ()
        self.last_save_ms: int = now_ms
        self.last_try_ms: int = 0
        self.last_ok: bool = True
        self.last_duration_s: int = -1
        self.saved_dirty: int = 0
        self.started_dirty: int = 0
        self.started_ms: int | None = None
        self.child_since_ms: int | None = None
        self.scheduled: bool = False
        self.saves: int = 0
        self.loaded_keys: int = 0
        self.loaded_expired: int = 0

    def changes(self, dirty: int) -> int:
        """Changes since the last save."""
        return dirty - self.saved_dirty

    def due(self, now_ms: int, dirty: int) -> tuple[int, int] | None:
        """The save point that is reached, if any; after a failure not before 5 s have passed."""
        if not self.last_ok and now_ms - self.last_try_ms < self.RETRY_MS:
            return None
        for seconds, changes in self.points:
            if self.changes(dirty) >= changes and now_ms - self.last_save_ms > seconds * 1000:
                return seconds, changes
        return None

    def forked(self, now_ms: int, *, to_file: bool) -> None:
        """A child begins to write a snapshot, to a file or to replicas' connections."""
        self.child_since_ms = now_ms
        self.saves += to_file

    def exited(self, now_ms: int) -> None:
        """The child is gone, one way or the other."""
        if self.child_since_ms is not None:
            self.last_duration_s = (now_ms - self.child_since_ms) // 1000
        self.child_since_ms = None

    def begun(self, now_ms: int, dirty: int) -> None:
        """A background save has started."""
        self.started_ms = now_ms
        self.last_try_ms = now_ms
        self.started_dirty = dirty

    def abandon(self) -> None:
        """The background save is not wanted any more; how it ends says nothing."""
        self.started_ms = None

    def ended(self, now_ms: int, ok: bool) -> None:
        """The background save is over."""
        if self.started_ms is None:
            return
        self.started_ms = None
        self.last_ok = ok
        if ok:
            self._is_saved(now_ms, self.started_dirty)

    def saved(self, now_ms: int, dirty: int) -> None:
        """The dataset as of `dirty` was saved to disk in the foreground."""
        self.saves += 1
        self._is_saved(now_ms, dirty)

    def _is_saved(self, now_ms: int, dirty: int) -> None:
        self.saved_dirty = dirty
        self.last_save_ms = now_ms
        self.last_ok = True
