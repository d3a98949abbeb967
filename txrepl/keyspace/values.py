"""What a key can hold.

A string is plain `bytes` in the database's dict: the hot path has no wrapper. (The subclasses of `bytes` below
tell the rare short strings whose encoding does not follow from what they hold.) The other types are
small classes around Python's own containers; command families reach into the containers directly
and keep these rules:

- an empty container never stays in a database (the family deletes the key);
- `large` is sticky, as Redis's conversion to a big encoding is: whoever adds an element that passes
  the limits in `Limits` sets it; nobody clears it;
- `index` is None until a scan or a random pick needs it, or there are `INDEXED_FROM` members; whoever inserts a
  **new** member while it is not None calls `index.added(member)`; removing a member needs no call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

from txrepl.keyspace.ranking import Ranking
from txrepl.keyspace.scan import INDEXED_FROM, ScanIndex
from txrepl.keyspace.streams import StreamValue

EMBEDDED_BYTES: Final = 44
"""The longest string that Redis keeps together with its header (`OBJ_ENCODING_EMBSTR_SIZE_LIMIT`)."""


class RawString(bytes):
    """A short string that was changed in place, as APPEND does: Redis keeps it `raw` until it is set anew."""

    __slots__ = ()


class EmbeddedString(bytes):
    """A string of digits that Redis does not make an integer: a sum of INCRBYFLOAT."""

    __slots__ = ()


def changed_in_place(value: bytes | bytearray) -> bytes:
    """The value of a string that was changed in place; a long one is `raw` anyway (see `encoding_name`)."""
    return RawString(value) if len(value) <= EMBEDDED_BYTES else bytes(value)


class ListValue:
    """A list: cheap at both ends, tolerable in the middle.

    Attributes:
        items: the elements, head first.
    """

    __slots__ = ("items",)

    def __init__(self, items: deque[bytes] | None = None) -> None:
        self.items: deque[bytes] = deque() if items is None else items


SLACK_HINTS: Final = 64
"""Hints of past deadlines that a hash may keep beside four for every field that expires."""


class HashValue:
    """A hash, some of whose fields may expire (Redis 7.4, Valkey 9).

    Deadlines change through `set_deadline`, `drop_deadline` and `take_due` alone; whoever gives one also tells the
    database (`Database.heed`). What a deadline that has passed means is the business of whoever reads.

    Attributes:
        fields: field to value.
        deadlines: field to unix time in ms, for fields that expire; None when none does.
    """

    __slots__ = ("_order", "deadlines", "fields", "index", "large")

    def __init__(self, fields: dict[bytes, bytes] | None = None, deadlines: dict[bytes, int] | None = None) -> None:
        self.fields: dict[bytes, bytes] = {} if fields is None else fields
        self.deadlines: dict[bytes, int] | None = deadlines or None
        self._order: list[tuple[int, bytes]] | None = None
        self.large: bool = False
        self.index: ScanIndex | None = None

    def set_deadline(self, field: bytes, deadline_ms: int) -> None:
        """Let a field that is there expire at a unix time in ms."""
        if self.deadlines is None:
            self.deadlines = {}
        self.deadlines[field] = deadline_ms
        order = self._order
        if order is not None:
            heappush(order, (deadline_ms, field))
            if len(order) > 4 * len(self.deadlines) + SLACK_HINTS:
                self._order = None

    def drop_deadline(self, field: bytes) -> bool:
        """Let a field last; False if it did so already."""
        deadlines = self.deadlines
        if deadlines is None or deadlines.pop(field, None) is None:
            return False
        if not deadlines:
            self.deadlines = self._order = None
        return True

    def earliest(self) -> int | None:
        """The unix time in ms at which the first field expires; None when none does."""
        deadlines = self.deadlines
        if deadlines is None:
            return None
        if self._order is None:
            self._order = [(deadline_ms, field) for field, deadline_ms in deadlines.items()]
            heapify(self._order)
        order = self._order
        while deadlines.get(order[0][1]) != order[0][0]:
            heappop(order)
        return order[0][0]

    def take_due(self, now_ms: int, limit: int) -> list[bytes]:
        """Delete up to `limit` fields whose deadline is before `now_ms`, the earliest first; returns them."""
        taken: list[bytes] = []
        while len(taken) < limit:
            deadline_ms = self.earliest()
            if deadline_ms is None or deadline_ms >= now_ms:
                break
            assert self._order is not None
            field = self._order[0][1]
            del self.fields[field]
            self.drop_deadline(field)
            taken.append(field)
        return taken

    def deadline_hints(self) -> list[tuple[int, bytes]]:
        """What the order of deadlines consists of, for who takes the value apart."""
        return self._order or []


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
        self._order: Ranking | None = None
        self.large: bool = False
        self.index: ScanIndex | None = None

    def set_score(self, member: bytes, score: float) -> None:
        """Insert the member or move it."""
        scores = self.scores
        old = scores.get(member)
        order = self._order
        if old is not None:
            if order is not None and old != score:
                order.remove(old, member)
                order.add(score, member)
            scores[member] = score
            return
        scores[member] = score
        if order is not None:
            order.add(score, member)
        elif len(scores) == ORDERED_FROM:
            self.order()
        if self.index is not None:
            self.index.added(member)
        elif len(scores) == INDEXED_FROM:
            self.index = ScanIndex(scores)

    def discard(self, member: bytes) -> bool:
        """Remove the member; False if it was not there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        if self._order is not None:
            self._order.remove(score, member)
        return True

    def take(self, start: int, stop: int) -> list[tuple[float, bytes]]:
        """Remove the ranks start..stop-1 and return them as (score, member), ascending.

        Parameters:
            start: first rank, 0 is the lowest score.
            stop: rank after the last.
        """
        taken = self.order().take(start, stop)
        scores = self.scores
        for _, member in taken:
            del scores[member]
        return taken

    def order(self) -> Ranking:
        """The members as (score, member), sorted; do not change it."""
        if self._order is None:
            self._order = Ranking(self.scores)
        return self._order

    def order_blocks(self) -> list[list[bytes]]:
        """What the order consists of, for who takes the value apart."""
        return [] if self._order is None else self._order.members


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
    return "string" if isinstance(value, bytes) else TYPE_NAMES[type(value)]


TYPE_NAMES: Final[dict[type, str]] = {
    bytes: "string",
    ListValue: "list",
    HashValue: "hash",
    SetValue: "set",
    SortedSetValue: "zset",
    StreamValue: "stream",
    ModuleValue: "module",
}


def equip(value: Value) -> None:
    """Give a value that was made whole what its large kind has (see `index`, and `ORDERED_FROM`)."""
    if isinstance(value, HashValue):
        members: Collection[bytes] = value.fields
    elif isinstance(value, SetValue):
        members = value.members
    elif isinstance(value, SortedSetValue):
        members = value.scores
        if len(members) >= ORDERED_FROM:
            value.order()
    else:
        return
    if value.index is None and len(members) >= INDEXED_FROM:
        value.index = ScanIndex(members)
