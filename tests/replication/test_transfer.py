"""The bulk of a full sync in every split: both forms, what comes before and behind, and what is no bulk."""

from __future__ import annotations

import pytest

from tests.support import byte_by_byte, every_split
from txrepl.errors import RdbError, ReplicationError
from txrepl.replication.transfer import BulkReader

RDB = b"REDIS0009" + b"\n$" * 10 + b"\xff"
MARK = b"m" * 20 + b"M" * 20
STREAM = b"*1\r\n$4\r\nPING\r\n"


class Rdb:
    """An RDB of a known length that may turn out corrupt at a byte."""

    def __init__(self, length: int = len(RDB), corrupt_at: int | None = None) -> None:
        self.length = length
        self.corrupt_at = corrupt_at
        self.fed = b""

    def feed(self, data: bytes) -> None:
        """Take a piece."""
        self.fed += data
        if self.corrupt_at is not None and len(self.fed) > self.corrupt_at:
            raise RdbError("bad opcode", self.corrupt_at)

    @property
    def done(self) -> bool:
        """All of it is there."""
        return len(self.fed) >= self.length

    def leftover(self) -> bytes:
        """What came after it."""
        return self.fed[self.length :]


def read(pieces: list[bytes], rdb: Rdb) -> tuple[BulkReader, list[int], bytes]:
    """Feed a reader until it is done; also the totals that were announced, and all bytes after the bulk."""
    announced: list[int] = []

    def begin(total_bytes: int, _: bytes = b"") -> Rdb:
        announced.append(total_bytes)
        return rdb

    reader = BulkReader(begin)
    behind = b""
    for piece in pieces:
        if reader.done:
            behind += piece
        else:
            reader.feed(piece)
            behind += reader.rest
    return reader, announced, behind


COUNTED = b"$%d\r\n%b" % (len(RDB), RDB)
MARKED = b"$EOF:%b\r\n%b%b" % (MARK, RDB, MARK)


@pytest.mark.parametrize(("bulk", "total"), [(COUNTED, len(RDB)), (MARKED, 0)], ids=["counted", "marked"])
@pytest.mark.parametrize("before", [b"", b"\n", b"\n\n\n", b"\r\n\n"], ids=repr)
@pytest.mark.parametrize("behind", [b"", STREAM, b"\n", MARK], ids=["nothing", "stream", "newline", "mark"])
def test_a_bulk_is_read_in_every_split_and_what_follows_is_handed_on(
    bulk: bytes, total: int, before: bytes, behind: bytes
) -> None:
    """Keepalives before it are no part of it; the stream behind it keeps every byte."""
    for pieces in every_split(before + bulk + behind):
        rdb = Rdb()
        reader, announced, rest = read(pieces, rdb)
        assert reader.done, pieces
        assert announced == [total]
        assert (reader.total_bytes, reader.read_bytes) == (total, len(RDB))
        assert rdb.fed[: rdb.length] == RDB
        assert rest == behind


def test_the_mark_may_be_split_at_every_place_with_a_stream_behind_it() -> None:
    """Each piece may also end exactly with it."""
    begin = len(MARKED) - len(MARK)
    for place in range(begin, len(MARKED) + 1):
        reader, _, rest = read([MARKED[:place], MARKED[place:] + STREAM], Rdb())
        assert reader.done and rest == STREAM


@pytest.mark.parametrize("bulk", [COUNTED, MARKED], ids=["counted", "marked"])
def test_a_truncated_bulk_is_never_done(bulk: bytes) -> None:
    """Whatever is missing."""
    for length in range(len(bulk)):
        for pieces in ([bulk[:length]], byte_by_byte(bulk[:length])):
            reader, _, rest = read(pieces, Rdb())
            assert not reader.done and rest == b""


def test_progress_counts_the_rdbs_bytes_only() -> None:
    """Neither preamble nor mark."""
    reader = BulkReader(lambda *_: Rdb())
    reader.feed(MARKED[:47])
    assert reader.read_bytes == 0
    reader.feed(MARKED[47:57])
    assert reader.read_bytes == 10
    reader.feed(MARKED[57:])
    assert reader.read_bytes == len(RDB)


def test_another_mark_than_the_announced_one_is_refused_in_every_split() -> None:
    """Any byte of it may be the wrong one."""
    for wrong in (b"x" + MARK[1:], MARK[:-1] + b"x", MARK[1:] + b"m"):
        for pieces in every_split(MARKED[: -len(MARK)] + wrong):
            with pytest.raises(RdbError, match="not followed by the announced end mark"):
                read(pieces, Rdb())


def test_an_rdb_longer_than_announced_is_refused() -> None:
    """It is not complete where the bulk ends."""
    for pieces in every_split(COUNTED):
        with pytest.raises(RdbError, match="not complete at the announced length"):
            read(pieces, Rdb(len(RDB) + 1))


def test_an_rdb_shorter_than_announced_is_refused() -> None:
    """The bytes between its end and the bulk's belong to nothing."""
    for pieces in every_split(COUNTED):
        with pytest.raises(RdbError, match="ends before the announced length"):
            read(pieces, Rdb(len(RDB) - 1))


@pytest.mark.parametrize("bulk", [COUNTED, MARKED], ids=["counted", "marked"])
def test_a_corrupt_rdb_is_told_as_such(bulk: bytes) -> None:
    """The reader's own error comes through."""
    for pieces in every_split(bulk):
        with pytest.raises(RdbError, match="bad opcode"):
            read(pieces, Rdb(corrupt_at=15))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"-ERR BGSAVE failed\r\n", "MASTER aborted replication with an error: ERR BGSAVE failed"),
        (b"-\xff\n", r"MASTER aborted replication with an error: \\xff"),
        (b"+FULLRESYNC\r\n", r"the first byte is not '\$' \(we received '\+FULLRESYNC'\)"),
        (b"HTTP/1.1 200 OK\r\n", r"the first byte is not '\$'"),
        (STREAM, r"the first byte is not '\$'"),
        (b"$\r\n", "length is malformed"),
        (b"$-1\r\n", "length is malformed"),
        (b"$12x\r\n", "length is malformed"),
        (b"$ 12\r\n", "length is malformed"),
        (b"$" + b"9" * 30 + b"\r\n", "length is malformed"),
        (b"$0\r\n", "the bulk is empty"),
        (b"$EOF:short\r\n", "length is malformed"),
        (b"$EOF:" + b"m" * 41 + b"\r\n", "length is malformed"),
        (b"$ENDOFF:12 " + b"a" * 40 + b" 0 7\r\n", "length is malformed"),
    ],
)
def test_what_is_no_bulk_is_refused_in_every_split(data: bytes, error: str) -> None:
    """With a reason that says what came instead."""
    for pieces in every_split(b"\n" + data):
        with pytest.raises(ReplicationError, match=error):
            read(pieces, Rdb())


def test_a_first_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    """A kilobyte is enough to see that it is none."""
    reader = BulkReader(lambda *_: Rdb())
    reader.feed(b"$" + b"1" * 1000)
    with pytest.raises(ReplicationError, match="the first byte is not"):
        reader.feed(b"1" * 1000)


def test_keepalives_may_come_for_as_long_as_the_snapshot_takes() -> None:
    """Far more of them than the longest first line."""
    reader, _, rest = read([b"\n" * 5000, b"\n" * 5000 + COUNTED + STREAM], Rdb())
    assert reader.done and rest == STREAM
