"""A bulk that is put aside unread: in every split the file has the RDB, and what follows goes to the stream."""

from __future__ import annotations

import pytest

from tests.support import every_split
from txrepl.errors import RdbError
from txrepl.replication.transfer import BulkReader, RdbTarget, Spool, check_whole

MARK = b"m" * 20 + b"M" * 20
RDB = b"REDIS0009" + b"m" * 30 + b"M" * 19 + MARK[:39] + b"\xff"
"""Not the mark, but much of it, several times."""

BULKS = {"counted": b"$%d\r\n%b" % (len(RDB), RDB), "marked": b"$EOF:%b\r\n%b%b" % (MARK, RDB, MARK)}


@pytest.mark.parametrize("bulk", BULKS.values(), ids=BULKS)
@pytest.mark.parametrize("behind", [b"", b"*1\r\n$4\r\nPING\r\n", MARK], ids=["nothing", "stream", "mark"])
def test_a_spooled_bulk_is_complete_in_every_split(bulk: bytes, behind: bytes) -> None:
    """Not a byte of the mark is in the file, not a byte of the stream is lost."""
    for pieces in every_split(bulk + behind):
        kept, rest = bytearray(), b""
        reader = BulkReader(lambda _, mark, kept=kept: Spool(kept.extend, mark))
        for piece in pieces:
            if reader.done:
                rest += piece
            else:
                reader.feed(piece)
                rest += reader.rest
        assert reader.done, pieces
        assert bytes(kept) == RDB
        assert rest == behind
        assert reader.read_bytes == len(RDB)


class Target:
    """A target in a given state."""

    def __init__(self, done: bool, left: bytes) -> None:
        self.done = done
        self._left = left

    def feed(self, data: bytes) -> None:
        """Nothing more comes."""

    def leftover(self) -> bytes:
        """What came after its end."""
        return self._left


def test_a_target_is_held_against_the_announced_length() -> None:
    """Complete to the byte, or an error that says in which way it is not, and where."""
    whole: RdbTarget = Target(True, b"")
    check_whole(whole, 10)
    for target, reason in ((Target(False, b""), "not complete"), (Target(True, b"x"), "ends before")):
        with pytest.raises(RdbError, match=reason) as caught:
            check_whole(target, 10)
        assert caught.value.position == 10
