"""What a key can hold.

A string is plain `bytes` in the database's dict: the hot path has no wrapper. The other types are
small classes around Python's own containers; command families reach into the containers directly
and keep these rules:

- an empty container never stays in a database (the family deletes the key);
- `large` is sticky, as Redis's conversion to a big encoding is: whoever adds an element that passes
  the limits in `Limits` sets it; nobody clears it;
- `index` is None until a scan or a random pick needs it; whoever inserts a **new** member while it is
  not None calls `index.added(member)`; removing a member needs no call.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from sortedcontainers import SortedList

from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.streams import StreamValue


class ListValue:
    """A list: cheap at both ends, tolerable in the middle.

    Attributes:
        items: the elements, head first.
    """

    __slots__ = ("items",)

    def __init__(self, items: deque[bytes] | None = None) -> None:
        self.items: deque[bytes] = deque() if items is None else items


class HashValue:
    """A hash.

    Attributes:
        fields: field to value.
        deadlines: field to unix time in ms, for fields that expire (Redis 7.4, Valkey 9); None when none does.
    """

    __slots__ = ("deadlines", "fields", "index", "large")

    def __init__(self, fields: dict[bytes, bytes] | None = None, deadlines: dict[bytes, int] | None = None) -> None:
        self.fields: dict[bytes, bytes] = {} if fields is None else fields
        self.deadlines: dict[bytes, int] | None = deadlines
        self.large: bool = False
        self.index: ScanIndex | None = None


class SetValue:
    """A set of members."""

    __slots__ = ("index", "large", "members")

    def __init__(self, members: set[bytes] | None = None) -> None:
        self.members: set[bytes] = set() if members is None else members
        self.large: bool = False
        self.index: ScanIndex | None = None


ORDERED_FROM: Final = 1024
"""Sorted sets larger than this keep their order at every change; smaller ones sort when asked."""


class SortedSetValue:
    """A sorted set: member to score, and the order by (score, member) once somebody asks for it.

    All changes go through `set_score`, `discard` and `take`, which keep both views equal. Scores are never NaN.
    """

    __slots__ = ("_order", "index", "large", "scores")

    def __init__(self, scores: dict[bytes, float] | None = None) -> None:
        self.scores: dict[bytes, float] = {} if scores is None else scores
        self._order: SortedList[tuple[float, bytes]] | None = None
        self.large: bool = False
        self.index: ScanIndex | None = None

    def set_score(self, member: bytes, score: float) -> None:
        """Insert the member or move it."""
        order = self._order
        if order is None:
            if member not in self.scores and self.index is not None:
                self.scores[member] = score
                self.index.added(member)
            else:
                self.scores[member] = score
            if len(self.scores) == ORDERED_FROM:
                self.order()
            return
        old = self.scores.get(member)
        if old is not None:
            if old == score:
                return
            order.remove((old, member))
        self.scores[member] = score
        order.add((score, member))
        if old is None and self.index is not None:
            self.index.added(member)

    def discard(self, member: bytes) -> bool:
        """Remove the member; False if it was not there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        if self._order is not None:
            self._order.remove((score, member))
        return True

    def take(self, start: int, stop: int) -> list[tuple[float, bytes]]:
        """Remove the ranks start..stop-1 and return them as (score, member), ascending.

        Parameters:
            start: first rank, 0 is the lowest score.
            stop: rank after the last.
        """
        order = self.order()
        taken: list[tuple[float, bytes]] = list(order.islice(start, stop))
        if len(taken) == 1:
            del order[start]
        else:
            del order[start:stop]
        scores = self.scores
        for _, member in taken:
            del scores[member]
        return taken

    def order(self) -> SortedList[tuple[float, bytes]]:
        """The members as (score, member), sorted; do not change it."""
        if self._order is None:
            self._order = SortedList(zip(self.scores.values(), self.scores, strict=True))
        return self._order


class ModuleValue:
    """A module's value, kept as the bytes of the RDB so that nothing a primary holds is lost.

    Attributes:
        module_id: the 64-bit id that names module and encoding version.
        payload: everything between the id and the end marker, the marker included.
    """

    __slots__ = ("module_id", "payload")

    def __init__(self, module_id: int, payload: bytes) -> None:
        self.module_id = module_id
        self.payload = payload


Value = bytes | ListValue | HashValue | SetValue | SortedSetValue | StreamValue | ModuleValue


def type_name(value: Value) -> str:
    """The name that TYPE answers."""
    return TYPE_NAMES[type(value)]


TYPE_NAMES: Final[dict[type, str]] = {
    bytes: "string",
    ListValue: "list",
    HashValue: "hash",
    SetValue: "set",
    SortedSetValue: "zset",
    StreamValue: "stream",
    ModuleValue: "module",
}
