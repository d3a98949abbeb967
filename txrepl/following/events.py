"""What a follower is told, in this order: a full sync, its keys and functions, its end; then changes and positions.

Each has a `checkpoint`: the place to go on from once it is dealt with. During a full sync there is none: whoever stops
in the middle of one begins anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from txrepl.changes import Change, Checkpoint, dump_json
from txrepl.keyspace.values import Value
from txrepl.rdb.export import json_function, json_line


@dataclass(frozen=True, slots=True)
class FullSync:
    """The dataset follows, and replaces everything told before.

    Attributes:
        reason: why, in words.
        condition: the condition of a partial resync that failed (`psync.Condition`).
        replid, offset: the place that the dataset is of.
        before: where we stood; None if nowhere. What was written since, up to that place, is not told.
    """

    reason: str
    condition: str
    replid: str
    offset: int
    before: Checkpoint | None
    checkpoint: None = None

    def json(self) -> str:
        """It as one line of JSON."""
        before = None if self.before is None else str(self.before)
        shown = {"event": "full_sync", "reason": self.reason, "condition": self.condition, "before": before}
        return dump_json({**shown, "replid": self.replid, "offset": self.offset})


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of the dataset.

    Attributes:
        value: bytes for a string, else one of the classes of `txrepl.keyspace.values`.
        expire_ms: its deadline, unix time in ms; None = never.
    """

    db: int
    key: bytes
    value: Value
    expire_ms: int | None
    checkpoint: None = None

    def json(self) -> str:
        """It as one line of JSON."""
        return '{"event":"key",' + json_line(self.db, self.key, self.value, self.expire_ms)[1:]


@dataclass(frozen=True, slots=True)
class Function:
    """The source of a function library."""

    source: bytes
    checkpoint: None = None

    def json(self) -> str:
        """It as one line of JSON."""
        return dump_json({"event": "function", "source": json.loads(json_function(self.source))["function"]})


@dataclass(frozen=True, slots=True)
class Synced:
    """The dataset is complete; changes follow."""

    checkpoint: Checkpoint

    def json(self) -> str:
        """It as one line of JSON."""
        return dump_json({"event": "synced", "id": str(self.checkpoint), "db": self.checkpoint.db})


@dataclass(frozen=True, slots=True)
class Position:
    """The stream is as far, although nothing of it was wanted, or it has another name."""

    checkpoint: Checkpoint

    def json(self) -> str:
        """It as one line of JSON."""
        return dump_json({"event": "position", "id": str(self.checkpoint), "db": self.checkpoint.db})


Event = FullSync | Entry | Function | Synced | Change | Position
