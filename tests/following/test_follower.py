"""The follower's conversation without a network: every split of what the primary says, every way in which it ends."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.support import byte_by_byte, every_split
from txrepl.changes import Checkpoint, Selection
from txrepl.errors import RdbError
from txrepl.following.command import CheckpointFile, Progress, arguments
from txrepl.following.events import Event
from txrepl.following.follower import Follower, FollowError, Options
from txrepl.rdb import RdbWriter
from txrepl.resp.requests import encode_command

REPLID, OTHER = "a" * 40, "b" * 40
MARK = b"m" * 40
HELLO = b"+PONG\r\n+OK\r\n+OK\r\n-ERR Unrecognized REPLCONF option: version\r\n"


def rdb() -> bytes:
    """A dataset of two keys, of a node in a chain whose stream is in database 5."""
    parts: list[bytes] = []
    writer = RdbWriter(parts.append)
    writer.header({b"repl-stream-db": b"5"})
    writer.select_db(2, 2, 0)
    writer.key(b"user:1", b"Ada", None)
    writer.key(b"other", b"x", 4_000_000_000_000)
    writer.end()
    return b"".join(parts)


STREAM = b"".join(
    encode_command(words)
    for words in (
        [b"SET", b"user:2", b"Bob"],
        [b"PING"],
        [b"MULTI"],
        [b"SELECT", b"0"],
        [b"DEL", b"user:1"],
        [b"EXEC"],
        [b"REPLCONF", b"GETACK", b"*"],
    )
)
FULL = HELLO + b"\n+FULLRESYNC %b 100\r\n\n\n$EOF:%b\r\n" % (REPLID.encode(), MARK) + rdb() + MARK + STREAM


Piece = bytes | Callable[[bytes], bytes]
"""What a connection says; or what makes it, of what was said to it so far."""


class FakeConnection:
    """Says what it is given, piece by piece, then closes."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces: Iterator[Piece] = iter([piece for piece in pieces if piece])
        self.written = b""
        self.closed = False

    async def read(self, timeout_s: float) -> bytes:
        piece = next(self._pieces, b"")
        return piece if isinstance(piece, bytes) else piece(self.written)

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True


class EndedError(Exception):
    """Nothing more is to be connected to."""


class FakeNetwork:
    """Gives one connection after the other; the end is an error that nobody expects."""

    def __init__(self, *talks: Sequence[Piece]) -> None:
        self._talks = list(talks)
        self.connections: list[FakeConnection] = []
        self.beats: list[Callable[[], None]] = []

    async def connect(self, host: str, port: int, timeout_s: float) -> FakeConnection:
        if len(self.connections) == len(self._talks):
            raise EndedError
        self.connections.append(FakeConnection(self._talks[len(self.connections)]))
        return self.connections[-1]

    async def sleep(self, seconds: float) -> None:
        assert self.connections[-1].closed

    def every(self, seconds: float, action: Callable[[], None]) -> Callable[[], None]:
        self.beats.append(action)
        return lambda: self.beats.remove(action)


def options(
    start: Checkpoint | None = None,
    *,
    snapshot: bool = True,
    selection: Selection = Selection(),  # noqa: B008
    password: str = "",
) -> Options:
    return Options(start, snapshot, selection, "", password, 10, lambda level, message: None)


def events(network: FakeNetwork, how: Options) -> list[Event]:
    """All events until nothing more can be connected to."""
    found: list[Event] = []

    async def follow() -> None:
        follower = Follower(network, "h", 1, how)
        with pytest.raises(EndedError):
            async for event in follower:
                found.append(event)
                assert follower.checkpoint == event.checkpoint

    asyncio.run(follow())
    assert not network.beats and all(one.closed for one in network.connections)
    return found


def lines(found: list[Event]) -> list[str]:
    """What was told, without how far the stream is."""
    return [event.json() for event in found if '"position"' not in event.json()]


WHOLE = lines(events(FakeNetwork([FULL]), options()))


def test_dataset_and_changes_follow_a_full_resync() -> None:
    """In the database that the snapshot names, since a chain's stream need not begin with SELECT."""
    assert [line.split('"')[3] for line in WHOLE] == [
        "full_sync", "key", "key", "synced", "change", "begin", "change", "end",
    ]  # fmt: skip
    assert f'"id":"{REPLID}:100:5"' in WHOLE[3]
    assert '"db":5,"command":"SET"' in WHOLE[4] and '"db":0,"command":"DEL"' in WHOLE[6]


def test_every_split_of_what_the_primary_says_tells_the_same() -> None:
    """The handshake, the marks of the bulk, the RDB and the stream may be cut anywhere."""
    assert lines(events(FakeNetwork(byte_by_byte(FULL)), options())) == WHOLE
    for pieces in every_split(FULL):
        assert lines(events(FakeNetwork(pieces), options())) == WHOLE


def continued(written: bytes) -> bytes:
    """What a primary says that goes on where it was asked to, under another id."""
    asked = re.search(rb"PSYNC\r\n\$40\r\n%b\r\n\$\d+\r\n(\d+)" % REPLID.encode(), written)
    assert asked is not None
    return b"+CONTINUE %b\r\n" % OTHER.encode() + STREAM[int(asked[1]) - 101 :]


def test_a_link_cut_anywhere_in_the_stream_goes_on_without_gap_or_repeat() -> None:
    """By PSYNC with the next byte needed, under another id too."""
    begins = len(FULL) - len(STREAM)
    for size in range(len(STREAM) + 1):
        found = lines(events(FakeNetwork([FULL[: begins + size]], [HELLO, continued]), options()))
        assert [line.replace(OTHER, REPLID) for line in found] == WHOLE, size


def test_the_dataset_is_left_out_where_it_is_not_wanted() -> None:
    """The server is asked to send none; one that does not know how is read all the same."""
    reply = b"-ERR Unrecognized REPLCONF option: rdb-filter-only\r\n"
    network = FakeNetwork([HELLO, reply, FULL[len(HELLO) :]])
    found = lines(events(network, options(snapshot=False)))
    assert found == [line for line in WHOLE if '"key"' not in line]
    assert b"rdb-filter-only" in network.connections[0].written


def test_keys_that_do_not_match_are_left_out_of_the_dataset_too() -> None:
    """And the places of what is left out are told, so that a program can store them."""
    found = events(FakeNetwork([FULL]), options(selection=Selection(match=b"user:*", databases=frozenset({2}))))
    assert [line.split('"')[3] for line in lines(found)] == ["full_sync", "key", "synced"]
    assert found[-1].checkpoint is not None and found[-1].checkpoint.offset > 100


def test_it_acknowledges_what_was_dealt_with_and_shows_life_while_it_loads() -> None:
    """An acknowledgement would begin the stream of a diskless sync too early."""
    network = FakeNetwork([FULL[:-60], FULL[-60:]])

    async def follow() -> None:
        follower = Follower(network, "h", 1, options())
        await follower.batch()
        (connection,) = network.connections
        written = len(connection.written)
        network.beats[0]()
        assert connection.written[written:] == b"\n"
        batch = await follower.batch()
        while follower.checkpoint is None or follower.checkpoint.offset == 100:
            batch = await follower.batch()
        written = len(connection.written)
        network.beats[0]()
        assert connection.written[written:] == encode_command([b"REPLCONF", b"ACK", b"100"]), batch
        await follower.aclose()
        assert connection.closed

    asyncio.run(follow())


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (HELLO + b"-NOAUTH Authentication required.\r\n", FollowError, "NOAUTH"),
        (HELLO + b"-ERR unknown command 'PSYNC'\r\n", FollowError, "unknown command"),
        (b"+PONG\r\n-WRONGPASS invalid\r\n", FollowError, "WRONGPASS"),
        (HELLO + b"+FULLRESYNC %b 1\r\n$20\r\nREDIS0099" % REPLID.encode() + b"x" * 11, RdbError, "version 99"),
        (FULL + b"SET a inline\r\n", FollowError, "inline"),
        (FULL + b"*x\r\n", FollowError, "cannot be read"),
    ],
)
def test_what_no_retry_would_mend_is_an_error(said: bytes, error: type[Exception], words: str) -> None:
    """The iteration ends with it, and the connection is closed."""
    network = FakeNetwork([said])

    async def follow() -> None:
        how = options(password="word" if "WRONGPASS" in words else "")
        async for _ in Follower(network, "h", 1, how):
            pass

    with pytest.raises(error, match=words):
        asyncio.run(follow())
    assert network.connections[0].closed and not network.beats


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"-LOADING wait\r\n",
        HELLO + b"-NOMASTERLINK later\r\n",
        HELLO + b"-LOADING later\r\n",
        HELLO + b"+FULLRESYNC x 1\r\n",
        HELLO + b"+FULLRESYNC %b 1\r\n-ERR BGSAVE failed\r\n" % REPLID.encode(),
        HELLO + b"+FULLRESYNC %b 1\r\n$1000\r\nREDIS0009" % REPLID.encode(),
        b"x" * 70_000,
    ],
)
def test_what_may_pass_is_tried_again(said: bytes) -> None:
    """The next connection tells everything from the beginning."""
    found = lines(events(FakeNetwork([said], [FULL]), options()))
    assert found[-len(WHOLE) :] == WHOLE


def test_a_checkpoint_file_is_whole_or_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """No file is no checkpoint; anything else in it is an error that names it."""
    file = CheckpointFile(tmp_path / "cp")
    assert file.read() is None
    place = Checkpoint(REPLID, 7, 3, 2)
    file.write(place)
    assert file.read() == place and [path.name for path in tmp_path.iterdir()] == ["cp"]
    (tmp_path / "cp").write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="cp holds no checkpoint"):
        file.read()


def test_progress_is_drawn_on_a_terminal_alone() -> None:
    """With a bar where the length is known, and gone when it is done."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    silent, watched = io.StringIO(), Terminal()
    for stream in (silent, watched):
        progress = Progress(stream)
        progress.move(500_000, 1_000_000)
        progress.move(1_000_000, 1_000_000)
        progress.say("done")
    assert silent.getvalue() == "txrepl-follow: done\n"
    assert "###############..............." in watched.getvalue() and " 50%" in watched.getvalue()
    assert watched.getvalue().endswith("\r\x1b[Ktxrepl-follow: done\n")


@pytest.mark.parametrize(
    ("place", "means"),
    [("6379", ("127.0.0.1", 6379)), ("db.example:7000", ("db.example", 7000)), ("[::1]:1", ("::1", 1))],
)
def test_a_place_is_a_host_and_a_port(place: str, means: tuple[str, int]) -> None:
    """A port alone is one of this machine."""
    assert arguments([place]).place == means
