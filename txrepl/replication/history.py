"""Who we are in replication: the pair of ids and the offset.

A history is a replid and an offset into it. A node that stops following its primary keeps the old id as
`replid2`, good up to the offset where the histories part, so that siblings may go on with it (PSYNC2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

NO_REPLID: Final = "0" * 40


class History:
    """Replication ids and the offset (`server.replid`, `replid2`, `master_repl_offset`).

    Parameters:
        random_id: makes a new id of 40 hexadecimal digits.

    Attributes:
        replid: the id of the history.
        replid2: the id of the history before it, 40 zeros if none.
        second_offset: the first offset at which replid2 is no longer ours; -1 if none.
        offset: bytes of the history so far.
    """

    __slots__ = ("_random_id", "offset", "replid", "replid2", "second_offset")

    def __init__(self, random_id: Callable[[], str]) -> None:
        self._random_id = random_id
        self.replid: str = random_id()
        self.replid2: str = NO_REPLID
        self.second_offset: int = -1
        self.offset: int = 0

    def change_id(self) -> None:
        """Begin a history of our own and forget the one before (`changeReplicationId`, `clearReplicationId2`)."""
        self.replid = self._random_id()
        self.clear_second()

    def clear_second(self) -> None:
        """Forget the history before (`clearReplicationId2`)."""
        self.replid2 = NO_REPLID
        self.second_offset = -1

    def shift(self) -> None:
        """Part from the primary's history (`shiftReplicationId`)."""
        self.take_over(self._random_id())

    def take_over(self, replid: str) -> None:
        """The history goes on under another id; the present one becomes the second."""
        self.replid2 = self.replid
        self.second_offset = self.offset + 1
        self.replid = replid

    def adopt(self, replid: str, offset: int) -> None:
        """Become a copy of another node's history (after a full sync)."""
        self.replid = replid
        self.offset = offset
        self.clear_second()
