"""The primary's stream: applied in order, forwarded byte for byte, and counted exactly, in any split."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import byte_by_byte, cut, cuts, every_split
from txrepl.errors import ReplicationError
from txrepl.replication.feed import EXEC, GETACK, MULTI, PING, Feed
from txrepl.replication.history import History
from txrepl.replication.stream import Stream
from txrepl.resp.requests import encode_command

BEGIN = 1000
UNAPPLIED = (GETACK, b"\r\n")


class Replica:
    """A stream with what it does: commands applied, bytes forwarded, acknowledgements.

    Parameters:
        starts: where each command to apply begins; none is counted before it has run.
    """

    def __init__(self, starts: Iterable[int] = ()) -> None:
        self.feed = Feed(History(lambda: "a" * 40))
        self.feed.history.offset = BEGIN
        self.feed.open_backlog(10**7)
        self.feed.listeners[1] = self.hear
        self.applied: list[list[bytes]] = []
        self.starts = list(starts)
        self.acknowledged: list[int] = []
        self.forwarded = b""
        self.in_multi = False
        self.stream = Stream(self.feed, self.apply, lambda: self.in_multi, self.acknowledged.append)

    def hear(self, data: bytes, start: int) -> None:
        """A sub-replica gets bytes."""
        assert start == BEGIN + 1 + len(self.forwarded)
        self.forwarded += data

    def apply(self, argv: list[bytes]) -> None:
        """Run a command."""
        if self.starts:
            assert self.feed.history.offset <= BEGIN + self.starts[len(self.applied)]
        self.applied.append(argv)
        if argv[0].upper() in (b"MULTI", b"EXEC"):
            self.in_multi = argv[0].upper() == b"MULTI"

    def receive(self, data: bytes) -> int:
        """Bytes come; the offset after them."""
        self.stream.receive(data)
        assert self.feed.history.offset == BEGIN + len(self.forwarded)
        return self.feed.history.offset - BEGIN


def model(commands: list[bytes], received: int) -> tuple[int, list[int]]:
    """The offset and the acknowledgements after so many bytes."""
    position = offset = 0
    in_multi = False
    acknowledged = []
    for command in commands:
        if command == GETACK:
            if position + len(command) <= received:
                acknowledged.append(BEGIN + offset)
        elif command in (MULTI, EXEC) and position + len(command) <= received:
            in_multi = command == MULTI
        position += len(command)
        if position > received:
            break
        if not in_multi:
            offset = position
    return offset, acknowledged


def check(commands: list[bytes], pieces: list[bytes]) -> None:
    """Feed pieces, and compare with the model after each."""
    ends = list(accumulate(map(len, commands), initial=0))
    replica = Replica(start for start, command in zip(ends, commands, strict=False) if command not in UNAPPLIED)
    received = 0
    for piece in pieces:
        received += len(piece)
        offset, acknowledged = model(commands, received)
        assert replica.receive(piece) == offset
        assert replica.acknowledged == acknowledged
    whole = b"".join(commands)
    assert replica.forwarded == whole[: model(commands, len(whole))[0]]
    assert [encode_command(argv) for argv in replica.applied] == [c for c in commands if c not in UNAPPLIED]


SET = encode_command([b"SET", b"k", b"v\r\n*1"])
SELECT = encode_command([b"SELECT", b"3"])
TRANSACTION = [MULTI, SELECT, SET, SET, EXEC]


@pytest.mark.parametrize(
    "commands",
    [
        [SET],
        [SELECT, SET, PING],
        TRANSACTION,
        [SET, *TRANSACTION, SET],
        [*TRANSACTION, *TRANSACTION],
        [GETACK],
        [SET, GETACK, GETACK, SET],
        [*TRANSACTION, GETACK, *TRANSACTION],
        [MULTI, SET, GETACK, SET, EXEC, GETACK, SET],
        [SET, MULTI, EXEC, SET],
        [SET, MULTI, SET, SET],
        [SET, b"\r\n", SET, b"\r\n", GETACK],
    ],
    ids=lambda commands: " ".join(command.split(b"\r\n")[2].decode() for command in commands if len(command) > 2),
)
def test_offset_acks_and_forwarded_bytes_are_exact_in_every_split(commands: list[bytes]) -> None:
    """Cut in two anywhere, and byte by byte."""
    for pieces in every_split(b"".join(commands)):
        check(commands, pieces)


pieces_of_stream = st.lists(
    st.one_of(st.sampled_from([[SET], [SELECT], [PING], [GETACK], [b"\r\n"]]), st.just(TRANSACTION)), max_size=30
)


@settings(deadline=None)
@given(
    pieces_of_stream.map(lambda parts: [command for part in parts for command in part]),
    st.sampled_from([[], [MULTI], [MULTI, SET, GETACK, SET]]),
    cuts(2000),
)
def test_any_stream_in_any_split_is_exact(commands: list[bytes], ending: list[bytes], places: list[int]) -> None:
    """A transaction that is still open at the end included."""
    whole = [*commands, *ending]
    check(whole, cut(b"".join(whole), places))


def test_a_transaction_holds_the_offset_until_its_exec_has_run() -> None:
    """Nothing of it is forwarded before, so that a link lost in between repeats and loses nothing."""
    replica = Replica()
    assert replica.receive(SET) == len(SET)
    for piece in (MULTI, SET, SET, PING):
        assert replica.receive(piece) == len(SET)
    assert replica.receive(EXEC[:-1]) == len(SET)
    assert replica.receive(EXEC[-1:]) == len(SET + MULTI + SET + SET + PING + EXEC)
    assert replica.forwarded == SET + MULTI + SET + SET + PING + EXEC


def test_the_ack_to_getack_excludes_the_getack() -> None:
    """As Redis answers it; its 37 bytes count right after."""
    replica = Replica()
    assert replica.receive(SET + GETACK) == len(SET) + 37
    assert replica.acknowledged == [BEGIN + len(SET)]


@pytest.mark.parametrize("words", [[b"replconf", b"getack", b"*"], [b"ReplConf", b"GetAck", b"x"]])
def test_getack_is_understood_in_any_case(words: list[bytes]) -> None:
    """And is never applied as a command."""
    replica = Replica()
    replica.receive(GETACK[:0] + encode_command(words))
    assert replica.acknowledged == [BEGIN] and replica.applied == []


def test_other_replconf_in_the_stream_is_applied_as_a_command() -> None:
    """Some clouds send them; whoever applies them may ignore them, the bytes count."""
    replica = Replica()
    command = encode_command([b"REPLCONF", b"TIMESTAMP", b"1"])
    assert replica.receive(command) == len(command)
    assert replica.acknowledged == [] and len(replica.applied) == 1


def test_one_read_of_whole_commands_is_forwarded_as_the_very_same_object() -> None:
    """The hot path copies nothing."""
    replica = Replica()
    heard: list[bytes] = []
    replica.feed.listeners[2] = lambda data, start: heard.append(data)
    data = SET * 50
    replica.receive(data)
    assert heard[0] is data


@pytest.mark.parametrize("pieces", [lambda data: [data], byte_by_byte], ids=["whole", "bytes"])
def test_inline_commands_break_the_stream_after_what_came_before_them(pieces: Callable[[bytes], list[bytes]]) -> None:
    """A primary never sends them; the commands before are applied and counted."""
    replica = Replica()
    with pytest.raises(ReplicationError, match="Receiving inline protocol from master"):
        for piece in pieces(SET + SET + b"SET a b\r\n" + SET):
            replica.receive(piece)
    assert replica.forwarded == SET + SET
    assert replica.feed.history.offset == BEGIN + len(SET + SET)
    assert len(replica.applied) == 2


def test_inline_commands_inside_of_a_transaction_leave_it_unforwarded() -> None:
    """It can still come whole over the next link."""
    replica = Replica()
    with pytest.raises(ReplicationError):
        replica.receive(SET + MULTI + SET + b"PING\r\n")
    assert replica.forwarded == SET


@pytest.mark.parametrize("bad", [b"*1\r\n:1\r\n", b"*x\r\n", b"*1\r\n$-1\r\n"])
def test_malformed_bytes_break_the_stream_after_what_came_before_them(bad: bytes) -> None:
    """In every split, with the parser's reason."""
    for pieces in every_split(SET + bad):
        replica = Replica()
        with pytest.raises(ReplicationError, match="Protocol error from master: Protocol error: "):
            for piece in pieces:
                replica.receive(piece)
        assert replica.forwarded == SET


def test_an_argument_may_be_longer_than_any_client_may_send() -> None:
    """proto-max-bulk-len does not bind the primary."""
    replica = Replica()
    assert replica.receive(b"*2\r\n$3\r\nGET\r\n$1073741824\r\nxxx") == 0


def test_received_bytes_count_at_once() -> None:
    """Applied or not."""
    replica = Replica()
    replica.receive(SET[:7])
    replica.receive(SET[7:] + MULTI)
    assert replica.stream.received_bytes == len(SET + MULTI)
