"""The stream as it is written: where SELECT goes, when readers hear of it, and what the offset counts."""

from __future__ import annotations

import pytest

from txrepl.replication.feed import EXEC, GETACK, MULTI, PING, Feed
from txrepl.replication.history import History
from txrepl.resp.requests import encode_command


def select(database: int) -> bytes:
    """A SELECT as it stands in the stream."""
    return encode_command([b"SELECT", b"%d" % database])


SET = encode_command([b"SET", b"k", b"v"])


class Heard:
    """A feed with a backlog, and what a reader of it hears."""

    def __init__(self) -> None:
        self.feed = Feed(History(lambda: "a" * 40))
        self.feed.open_backlog(10**6)
        self.pieces: list[tuple[bytes, int]] = []
        self.feed.listeners[1] = lambda data, start: self.pieces.append((data, start))

    def take(self) -> bytes:
        """What was heard since the last call."""
        self.feed.flush()
        data = b"".join(piece for piece, _ in self.pieces)
        self.pieces.clear()
        return data


@pytest.fixture
def heard() -> Heard:
    """A feed with one reader."""
    return Heard()


def test_select_precedes_a_write_to_another_database_only(heard: Heard) -> None:
    """The first write selects, the next to the same database does not."""
    for database in (0, 0, 3, 3, 0):
        heard.feed.write(database, SET)
    assert heard.take() == select(0) + SET + SET + select(3) + SET + SET + select(0) + SET


def test_what_belongs_to_no_database_neither_selects_nor_forgets(heard: Heard) -> None:
    """PING, GETACK, MULTI and EXEC; so a SELECT may fall inside MULTI."""
    heard.feed.write(0, SET)
    for command in (PING, GETACK, MULTI):
        heard.feed.raw(command)
    heard.feed.write(0, SET)
    heard.feed.write(1, SET)
    heard.feed.raw(EXEC)
    assert heard.take() == select(0) + SET + PING + GETACK + MULTI + SET + select(1) + SET + EXEC


def test_a_forgotten_database_is_selected_again(heard: Heard) -> None:
    """At every full-sync setup, at promotion and at start."""
    heard.feed.write(2, SET)
    heard.feed.selected_db = -1
    heard.feed.write(2, SET)
    assert heard.take() == (select(2) + SET) * 2


def test_getack_takes_37_bytes() -> None:
    """Offsets in chains of real servers depend on it."""
    assert len(GETACK) == 37 and GETACK == b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"


def test_a_batch_reaches_backlog_and_readers_once(heard: Heard) -> None:
    """Nothing before flush, one piece with it, and nothing by a second flush."""
    heard.feed.raw(PING)
    heard.feed.raw(SET)
    assert heard.pieces == [] and heard.feed.backlog is not None and heard.feed.backlog.length == 0
    heard.feed.flush()
    heard.feed.flush()
    assert heard.pieces == [(PING + SET, 1)]
    heard.feed.raw(PING)
    heard.feed.flush()
    assert heard.pieces[1:] == [(PING, 1 + len(PING + SET))]
    assert heard.feed.backlog.read(1, 1000) == PING + SET + PING


def test_all_readers_get_the_very_same_bytes_object(heard: Heard) -> None:
    """Nothing is copied for a reader."""
    others: list[bytes] = []
    heard.feed.listeners[2] = lambda data, start: others.append(data)
    written = bytes(bytearray(SET))
    heard.feed.raw(written)
    heard.feed.flush()
    assert heard.pieces[0][0] is others[0] is written


def test_a_reader_may_leave_while_it_hears(heard: Heard) -> None:
    """The others still hear the piece."""
    heard.feed.listeners[0] = lambda data, start: heard.feed.listeners.clear()
    heard.feed.raw(PING)
    assert heard.take() == PING


def test_the_offset_moves_with_every_byte_written_before_the_flush(heard: Heard) -> None:
    """SELECT counts too."""
    heard.feed.write(0, SET)
    assert heard.feed.history.offset == len(select(0) + SET)
    heard.feed.raw(GETACK)
    assert heard.feed.history.offset == len(select(0) + SET) + 37


def test_without_a_backlog_nothing_is_written_and_the_offset_stands_still() -> None:
    """No replica ever came."""
    feed = Feed(History(lambda: "a" * 40))
    feed.write(0, SET)
    feed.raw(PING)
    feed.flush()
    assert feed.history.offset == 0 and feed.selected_db == -1 and feed.backlog is None
    assert feed.open_backlog(1000).end_offset == 1


def test_a_backlog_begins_behind_the_present_offset_and_is_opened_once() -> None:
    """Opening an open one changes nothing."""
    feed = Feed(History(lambda: "a" * 40))
    feed.history.offset = 500
    backlog = feed.open_backlog(1000)
    assert backlog.first_offset == backlog.end_offset == 501
    assert feed.open_backlog(77) is backlog and backlog.size == 1000


def test_bytes_pending_when_the_backlog_is_freed_never_come_up_again(heard: Heard) -> None:
    """Not in the next backlog either."""
    heard.feed.raw(PING)
    heard.feed.close_backlog()
    heard.feed.flush()
    heard.feed.open_backlog(1000)
    assert heard.take() == b""
