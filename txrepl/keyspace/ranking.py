"""A sorted set's order: members by score and, where scores are equal, by member.

The order is cut into blocks of some hundred members. A block keeps its scores side by side as plain doubles, apart
from its members, so that searching it touches little memory; that, and not the number of steps, is what a search in
a million members takes its time with. The tops of the blocks tell which block to search. How many members are before
a block is kept as a Fenwick tree, and only once somebody asks for a rank.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

BLOCK: Final = 512
"""Members of a block when it is made; it is cut when it has twice as many."""

Scored = tuple[float, bytes]
"""A member with its score, in the order of sorting."""


class Ranking:
    """Members with scores, in order.

    Parameters:
        scores: the first members.
        block: how many members make a block.

    Attributes:
        members: the members, block by block; do not change them.
    """

    __slots__ = ("_before", "_block", "_scores", "_size", "_sparse", "_top_members", "_top_scores", "members")

    def __init__(self, scores: Mapping[bytes, float], block: int = BLOCK) -> None:
        ordered = sorted(zip(scores.values(), scores, strict=True))
        pieces = [ordered[start : start + block] for start in range(0, len(ordered), block)]
        self._block: int = block
        self._sparse: int = block // 4
        self._size: int = len(ordered)
        self._scores: list[array[float]] = [array("d", [score for score, _ in piece]) for piece in pieces]
        self.members: list[list[bytes]] = [[member for _, member in piece] for piece in pieces]
        self._top_scores: list[float] = [piece[-1][0] for piece in pieces]
        self._top_members: list[bytes] = [piece[-1][1] for piece in pieces]
        self._before: list[int] = []

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Scored]:
        return zip(chain.from_iterable(self._scores), chain.from_iterable(self.members), strict=True)

    def __getitem__(self, rank: int) -> Scored:
        at, place = self._at_rank(rank)
        return self._scores[at][place], self.members[at][place]

    # -- searching --------------------------------------------------------------------------------------------------

    def _block_of(self, score: float, member: bytes) -> int:
        """The first block whose top is this member or above; the number of blocks if there is none."""
        tops = self._top_scores
        at = bisect_left(tops, score)
        if at < len(tops) and tops[at] == score:
            at = bisect_left(self._top_members, member, at, bisect_right(tops, score, at))
        return at

    def _place_in(self, at: int, score: float, member: bytes) -> int:
        """Where the member is in the block, or would be."""
        scores = self._scores[at]
        place = bisect_left(scores, score)
        if place < len(scores) and scores[place] == score:
            place = bisect_left(self.members[at], member, place, bisect_right(scores, score, place))
        return place

    def rank(self, score: float, member: bytes) -> int:
        """How many members come before this one."""
        at = self._block_of(score, member)
        return self._size if at == len(self.members) else self._members_before(at) + self._place_in(at, score, member)

    def below(self, score: float) -> int:
        """How many members have a lower score."""
        at = bisect_left(self._top_scores, score)
        return (
            self._size if at == len(self.members) else self._members_before(at) + bisect_left(self._scores[at], score)
        )

    def between(self, least: float, after: float) -> Iterator[Scored]:
        """The members with scores from `least` on and below `after`."""
        first = bisect_left(self._top_scores, least)
        for at in range(first, len(self.members)):
            scores, members = self._scores[at], self.members[at]
            for place in range(bisect_left(scores, least) if at == first else 0, bisect_left(scores, after)):
                yield scores[place], members[place]
            if self._top_scores[at] >= after:
                return

    def span(self, start: int, stop: int) -> list[Scored]:
        """The members of the ranks start..stop-1."""
        stop = min(stop, self._size)
        if start >= stop:
            return []
        found: list[Scored] = []
        at, place = self._at_rank(start)
        while len(found) < stop - start:
            end = place + stop - start - len(found)
            found += zip(self._scores[at][place:end], self.members[at][place:end], strict=True)
            at, place = at + 1, 0
        return found

    # -- counting ---------------------------------------------------------------------------------------------------

    def _members_before(self, at: int) -> int:
        """How many members the blocks before this one have."""
        if at == 0:
            return 0
        tree = self._before or self._count()
        total = 0
        while at:
            total += tree[at]
            at &= at - 1
        return total

    def _at_rank(self, rank: int) -> tuple[int, int]:
        """Block and place of a rank that there is; at either end this needs no counting."""
        if rank < len(self.members[0]):
            return 0, rank
        last = len(self.members) - 1
        if rank >= self._size - len(self.members[last]):
            return last, rank - self._size + len(self.members[last])
        tree = self._before or self._count()
        at = 0
        step = 1 << (len(tree) - 1).bit_length()
        while step:
            if at + step < len(tree) and tree[at + step] <= rank:
                at += step
                rank -= tree[at]
            step >>= 1
        return at, rank

    def _count(self) -> list[int]:
        """Make the tree: the element i has the members of the (i & -i) blocks up to i, blocks counted from 1."""
        tree = [0, *map(len, self.members)]
        for at in range(1, len(tree)):
            above = at + (at & -at)
            if above < len(tree):
                tree[above] += tree[at]
        self._before = tree
        return tree

    def _counted(self, at: int, change: int) -> None:
        """A block has got or lost members: tell the tree."""
        tree = self._before
        at += 1
        while at < len(tree):
            tree[at] += change
            at += at & -at

    # -- changing ---------------------------------------------------------------------------------------------------

    def add(self, score: float, member: bytes) -> None:
        """Put in a member that is not there."""
        at = self._block_of(score, member)
        if at < len(self.members):
            scores, members = self._scores[at], self.members[at]
            place = bisect_left(scores, score)
            if place < len(scores) and scores[place] == score:
                place = bisect_left(members, member, place, bisect_right(scores, score, place))
            scores.insert(place, score)
            members.insert(place, member)
        elif at:
            at -= 1
            scores, members = self._scores[at], self.members[at]
            scores.append(score)
            members.append(member)
            self._top_scores[at], self._top_members[at] = score, member
        else:
            scores, members = array("d", [score]), [member]
            self._insert_block(0, scores, members)
        self._size += 1
        if self._before:
            self._counted(at, 1)
        if len(members) >= 2 * self._block:
            self._insert_block(at + 1, scores[self._block :], members[self._block :])
            del scores[self._block :], members[self._block :]
            self._top_scores[at], self._top_members[at] = scores[-1], members[-1]

    def remove(self, score: float, member: bytes) -> None:
        """Take out a member that is there with this score."""
        at = self._block_of(score, member)
        place = self._place_in(at, score, member)
        members = self.members[at]
        del self._scores[at][place]
        del members[place]
        self._size -= 1
        if self._before:
            self._counted(at, -1)
        if place == len(members) and place:
            self._top_scores[at], self._top_members[at] = self._scores[at][-1], members[-1]
        if len(members) <= self._sparse:
            self._join(at)

    def take(self, start: int, stop: int) -> list[Scored]:
        """Remove the ranks start..stop-1 and return them."""
        if stop - start == 1 and 0 <= start < self._size:
            at, place = self._at_rank(start)
            one = self._scores[at][place], self.members[at][place]
            self._cut(at, place, place + 1)
            self._join(at)
            return [one]
        taken = self.span(start, stop)
        left = len(taken)
        at, place = self._at_rank(start) if taken else (0, 0)
        first = at
        while left:
            count = min(left, len(self.members[at]) - place)
            self._cut(at, place, place + count)
            left -= count
            at, place = at + 1, 0
        for emptied in range(at - 1, first - 1, -1):
            self._join(emptied)
        return taken

    def _insert_block(self, at: int, scores: array[float], members: list[bytes]) -> None:
        self._scores.insert(at, scores)
        self.members.insert(at, members)
        self._top_scores.insert(at, scores[-1])
        self._top_members.insert(at, members[-1])
        self._before = []

    def _cut(self, at: int, start: int, stop: int) -> None:
        """Remove the places start..stop-1 of a block, all of them perhaps."""
        scores, members = self._scores[at], self.members[at]
        del scores[start:stop]
        del members[start:stop]
        self._size -= stop - start
        if self._before:
            self._counted(at, start - stop)
        if start == len(members) and members:
            self._top_scores[at], self._top_members[at] = scores[-1], members[-1]

    def _join(self, at: int) -> None:
        """Let a block that has become small be a part of the next one, or of the one before."""
        size = len(self.members[at])
        if size > self._sparse or (size and len(self.members) == 1):
            return
        other = at + 1 if at + 1 < len(self.members) else at - 1
        if size and size + len(self.members[other]) >= 2 * self._block:
            return
        if size and other > at:
            self._scores[other][:0] = self._scores[at]
            self.members[other][:0] = self.members[at]
        elif size:
            self._scores[other] += self._scores[at]
            self.members[other] += self.members[at]
            self._top_scores[other], self._top_members[other] = self._top_scores[at], self._top_members[at]
        del self._scores[at], self.members[at], self._top_scores[at], self._top_members[at]
        self._before = []
