"""The stream as changes: ids that resume exactly, in every split; transactions; filters; what each JSON line says."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest

from tests.support import byte_by_byte, cut, every_split
from txrepl.changes import Change, Checkpoint, Decoder, Kind, Selection, Sieve, keys_of, locate
from txrepl.replication.backlog import BLOCK_BYTES, Backlog
from txrepl.resp.requests import encode_command

REPLID = "c" * 40
BEGIN = Checkpoint(REPLID, 0)
EVERYTHING = Selection()


def command(*words: str | bytes | int) -> bytes:
    return encode_command([word if isinstance(word, bytes) else str(word).encode() for word in words])


STREAM = [
    command("SELECT", 0),
    command("SET", "a", "*1\r\n$4\r\nPING\r\n"),
    command("PING"),
    command("SELECT", 9),
    command("MULTI"),
    command("SET", b"\xff", b"\x00\xfe"),
    command("SELECT", 1),
    command("del", "a", "b"),
    command("EXEC"),
    command("REPLCONF", "GETACK", "*"),
    command("MULTI"),
    command("EXEC"),
    command("FLUSHALL"),
    command("ZUNIONSTORE", "to", 2, "x", "y"),
]
BYTES = b"".join(STREAM)


def shown(changes: list[Change]) -> list[tuple[str, str, list[bytes]]]:
    """What a reader is told of changes."""
    return [(one.kind.value, str(one.checkpoint), one.argv) for one in changes]


def read(pieces: list[bytes], start: Checkpoint = BEGIN, selection: Selection = EVERYTHING) -> list[Change]:
    """The changes that a reader gets from a place on."""
    decoder = Decoder(start)
    sieve = Sieve(selection, in_transaction=start.transaction is not None)
    found = [change for piece in pieces for change in sieve.take(decoder.feed(piece))]
    assert decoder.error is None
    return found


def test_each_command_is_a_change_with_its_place_database_and_transaction() -> None:
    """PING, SELECT and REPLCONF are folded away and counted; an empty transaction says nothing."""
    ends = [sum(map(len, STREAM[: index + 1])) for index in range(len(STREAM))]
    multi = ends[3] + 1
    assert shown(read([BYTES])) == [
        ("change", f"{REPLID}:{ends[1]}:0", [b"SET", b"a", b"*1\r\n$4\r\nPING\r\n"]),
        ("begin", f"{REPLID}:{ends[4]}:9:{multi}", [b"MULTI"]),
        ("change", f"{REPLID}:{ends[5]}:9:{multi}", [b"SET", b"\xff", b"\x00\xfe"]),
        ("change", f"{REPLID}:{ends[7]}:1:{multi}", [b"del", b"a", b"b"]),
        ("end", f"{REPLID}:{ends[8]}:1", [b"EXEC"]),
        ("change", f"{REPLID}:{ends[12]}:1", [b"FLUSHALL"]),
        ("change", f"{REPLID}:{ends[13]}:1", [b"ZUNIONSTORE", b"to", b"2", b"x", b"y"]),
    ]


def test_every_split_of_the_bytes_gives_the_same_changes() -> None:
    """However the reads fall."""
    whole = shown(read([BYTES]))
    assert shown(read(byte_by_byte(BYTES))) == whole
    for pieces in every_split(BYTES):
        assert shown(read(pieces)) == whole
    source = random.Random(3)
    for _ in range(200):
        assert shown(read(cut(BYTES, sorted(source.sample(range(1, len(BYTES)), 5))))) == whole


def test_every_id_resumes_with_exactly_what_follows() -> None:
    """Inside of transactions too: no change twice, none missing, the transaction's end included."""
    whole = read([BYTES])
    for index, change in enumerate(whole):
        place = Checkpoint.parse(str(change.checkpoint))
        assert shown(read([BYTES[place.offset :]], place)) == shown(whole[index + 1 :])


@pytest.mark.parametrize(
    "selection",
    [
        Selection(match=b"a*"),
        Selection(databases=frozenset({9})),
        Selection(commands=frozenset({b"DEL"})),
        Selection(commands=frozenset({b"NONE"})),
    ],
)
def test_the_place_after_any_byte_resumes_with_what_is_wanted_of_the_rest(selection: Selection) -> None:
    """What a reader is told of how far the stream is can be gone on from, whatever was left out before."""
    whole = read([BYTES], selection=selection)
    for size in range(len(BYTES) + 1):
        decoder, sieve = Decoder(BEGIN), Sieve(selection)
        before = sieve.take(decoder.feed(BYTES[:size]))
        place = Checkpoint.parse(str(sieve.checkpoint(decoder)))
        after = read([BYTES[place.offset :]], place, selection)
        assert shown(before + after) == shown(whole), size


def test_a_transaction_is_told_only_where_it_holds_a_change_that_is_wanted() -> None:
    """Its begin comes before the first of them, its end once it ends."""
    kinds = [one.kind for one in read([BYTES], selection=Selection(commands=frozenset({b"DEL"})))]
    assert kinds == [Kind.BEGIN, Kind.CHANGE, Kind.END]
    assert read([BYTES], selection=Selection(commands=frozenset({b"INCR"}))) == []


def wanted(selection: Selection, *words: str | int, db: int = 0) -> bool:
    return selection.wants(Change(Kind.CHANGE, Checkpoint(REPLID, 1, db), None, [str(word).encode() for word in words]))


def test_a_match_lets_through_what_names_such_a_key_and_what_reaches_all_keys() -> None:
    """Any of the keys counts; a value that looks like one does not; unknown keys pass."""
    users = Selection(match=b"user:*")
    assert wanted(users, "SET", "user:1", "x") and wanted(users, "DEL", "other", "user:2")
    assert not wanted(users, "SET", "other", "user:1") and not wanted(users, "PUBLISH", "user:1", "x")
    for whole in (("FLUSHALL",), ("FLUSHDB",), ("SWAPDB", 0, 1), ("NO.SUCH", "other")):
        assert wanted(users, *whole)
    assert wanted(Selection(match=b"*"), "SET", "", "x")
    assert not wanted(Selection(match=b"*"), "PUBLISH", "channel", "x")


def test_a_database_lets_through_what_reaches_into_it() -> None:
    """MOVE, COPY and SWAPDB name another database, FLUSHALL reaches all."""
    two = Selection(databases=frozenset({2}))
    assert wanted(two, "SET", "k", "v", db=2) and not wanted(two, "SET", "k", "2", db=1)
    assert wanted(two, "MOVE", "k", 2) and not wanted(two, "MOVE", "2", 3)
    assert wanted(two, "COPY", "a", "b", "REPLACE", "DB", 2) and not wanted(two, "COPY", "DB", 2)
    assert wanted(two, "SWAPDB", 1, 2) and not wanted(two, "SWAPDB", 0, 1)
    assert wanted(two, "FLUSHALL") and not wanted(two, "FLUSHDB", db=1) and wanted(two, "FLUSHDB", db=2)


def test_filters_are_joined_by_and() -> None:
    """A command by name is left out even where it reaches all keys: that filter is about commands."""
    both = Selection(databases=frozenset({1}), commands=frozenset({b"SET"}), match=b"a")
    assert wanted(both, "set", "a", 1, db=1)
    assert not wanted(both, "SET", "a", 1, db=0) and not wanted(both, "SET", "b", 1, db=1)
    assert not wanted(both, "FLUSHALL", db=1)


def test_keys_are_those_of_the_command_tables_specifications() -> None:
    """Fixed places, ranges, counted lists; none where there are none; None where nobody knows."""
    assert keys_of([b"MSET", b"a", b"1", b"b", b"2"]) == [b"a", b"b"]
    assert keys_of([b"ZUNIONSTORE", b"to", b"2", b"x", b"y", b"WEIGHTS", b"1", b"2"]) == [b"to", b"x", b"y"]
    assert keys_of([b"flushall"]) == []
    assert keys_of([b"NO.SUCH", b"a"]) is None
    assert keys_of([b"ZUNIONSTORE", b"to", b"9", b"x"]) is None


def test_words_that_are_not_utf8_are_marked_as_base64() -> None:
    """A reader can tell bytes from a text that looks like base64."""
    (change,) = read([command("SELECT", 3), command("set", b"\xff\x00", "grüße")])
    assert json.loads(change.json()) == {
        "event": "change",
        "id": f"{REPLID}:{change.checkpoint.offset}:3",
        "db": 3,
        "command": "SET",
        "keys": [{"base64": "/wA="}],
        "args": [{"base64": "/wA="}, "grüße"],
        "tx": None,
    }
    assert "\n" not in change.json()


def test_an_unknown_database_is_an_error_only_where_it_matters() -> None:
    """A SELECT that follows makes it known; a write before it cannot be told."""
    assert len(read([command("PING"), command("SELECT", 1), command("SET", "a", 1)])) == 1
    decoder = Decoder(Checkpoint(REPLID, 10))
    assert decoder.feed(command("SET", "a", 1)) == []
    assert decoder.error is not None and "REPLID:OFFSET:DB" in decoder.error
    assert decoder.offset == 10 and decoder.feed(command("SELECT", 0)) == []


@pytest.mark.parametrize(
    "bad", [b"SET a b\r\n", b"*1\r\n+OK\r\n", command("SELECT", "x"), command("SELECT"), b"*x\r\n"]
)
def test_what_is_no_stream_is_an_error_after_the_good_changes(bad: bytes) -> None:
    """They come out, and the place stays after the last of them."""
    good = command("SELECT", 0) + command("SET", "a", 1)
    decoder = Decoder(BEGIN)
    assert len(decoder.feed(good + bad)) == 1
    assert decoder.error is not None and decoder.offset == len(good)
    assert decoder.feed(command("SET", "a", 1)) == []


@pytest.mark.parametrize("id", [f"{REPLID}:7", f"{REPLID}:7:0", f"{REPLID}:7:3:2"])
def test_an_id_reads_back_as_it_was_written(id: str) -> None:
    """With and without database and transaction."""
    assert str(Checkpoint.parse(id)) == id


@pytest.mark.parametrize(
    "id", ["", REPLID, f"{REPLID}:", f"{REPLID}:-1", f"{REPLID}:1:", f"{REPLID}:1:1:1:1", f"{REPLID}:{2**63}", "?:-1",
           f"{REPLID}:1\n", f"{REPLID}:\u0661", f"x{REPLID[1:]}:1"],
)  # fmt: skip
def test_what_is_no_id_is_refused_in_words(id: str) -> None:
    """With ValueError, and nothing else."""
    with pytest.raises(ValueError, match=r"REPLID:OFFSET|greater"):
        Checkpoint.parse(id)


def test_every_byte_of_a_backlog_is_located_in_its_command() -> None:
    """From the block that it is in; so also when older blocks are gone."""
    source = random.Random(5)
    backlog = Backlog(3 * BLOCK_BYTES, 1)
    begins = [1]
    for _ in range(4000):
        batch = [command("SET", source.randrange(99), source.randbytes(source.randrange(60))) for _ in range(3)]
        begins += [begins[-1] + sum(map(len, batch[: n + 1])) for n in range(3)]
        backlog.append(b"".join(batch))
    assert backlog.first_offset > 1
    held = [begin for begin in begins if begin >= backlog.first_offset]
    assert held[0] == backlog.first_offset
    for begin, after in pairwise(held):
        assert locate(backlog, begin) == locate(backlog, after - 1) == (begin, after)
    assert locate(backlog, backlog.end_offset) == (backlog.end_offset, backlog.end_offset)
