"""Files of real servers, cut at every byte and with every bit turned over: an RdbError with a position, nothing else.

A small file is made of the samples: of each type and encoding in them the shortest record, byte for byte as the server
wrote it, so that every bit of it can be tried.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.rdb.support import SAMPLES, Record, expectations, raw, refusal
from txrepl.errors import RdbError
from txrepl.rdb import RdbReader, Sink
from txrepl.rdb.primitives import crc64, write_length

NAMES = sorted(expectations())

HEADER_BYTES = 9
CHECKSUM_BYTES = 8
LONGEST_RECORD_BYTES = 400
EXPIRE_MS = 0xFC
OLD_VERSIONS = (b"0001", b"0002", b"0003", b"0004")
ALLOCATED_MOST_BYTES = 4 << 20
READ_MOST_S = 2.0


class Ends(Record):
    """Counts what was handed on, keys apart."""

    @property
    def handed_on(self) -> int:
        return len(self.keys) + len(self.others)


def records(rdb: bytes) -> Iterator[bytes]:
    """The records of a file that hold a key, found by feeding it byte by byte."""
    reader, sink = RdbReader(), Ends()
    start, keys, before = HEADER_BYTES, 0, 0
    for at in range(len(rdb)):
        reader.feed(rdb[at : at + 1], sink)
        if sink.handed_on > before:
            if len(sink.keys) > keys:
                yield rdb[start : at + 1]
            start, keys, before = at + 1, len(sink.keys), sink.handed_on


def small_file(name: str) -> bytes:
    """A file with the shortest record of each type that a sample has, with and without a deadline."""
    rdb = (SAMPLES / name).read_bytes()
    shortest: dict[tuple[int, int], bytes] = {}
    for record in records(rdb):
        kind = (record[0], record[9] if record[0] == EXPIRE_MS else -1)
        if len(record) <= LONGEST_RECORD_BYTES and (kind not in shortest or len(record) < len(shortest[kind])):
            shortest[kind] = record
    body = rdb[:HEADER_BYTES] + b"\xfe\x00" + b"".join(shortest.values()) + b"\xff"
    return body + crc64(body).to_bytes(CHECKSUM_BYTES, "little")


def read(rdb: bytes, *, verify: bool) -> RdbError | None:
    """Read a whole file; what it is refused for, or None. Any other error fails the test."""
    reader = RdbReader(verify_checksum=verify)
    try:
        reader.feed(rdb, Record())
        reader.finish()
    except RdbError as error:
        assert 0 <= error.position <= len(rdb), error
        assert error.reason
        return error
    return None


@pytest.mark.parametrize("name", NAMES)
def test_the_small_file_holds_what_it_promises(name: str) -> None:
    """Several types of a real server, and it reads well: what follows tries something."""
    rdb = small_file(name)
    assert read(rdb, verify=True) is None
    assert 300 < len(rdb) < 3000
    assert len({record[0] for record in records(rdb)}) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_sample_cut_at_any_byte_is_truncated(name: str) -> None:
    """Fed byte by byte, the reader says before the last one that the file is not complete, and where it ends."""
    rdb = (SAMPLES / name).read_bytes()
    reader, sink = RdbReader(), Sink()
    for at in range(len(rdb)):
        with pytest.raises(RdbError, match="truncated") as caught:
            reader.finish()
        assert caught.value.position == at
        assert not reader.done
        reader.feed(rdb[at : at + 1], sink)
    reader.finish()


@pytest.mark.parametrize("name", NAMES)
def test_a_small_file_cut_at_any_byte_is_truncated_when_it_comes_whole(name: str) -> None:
    """As a file of that length has it."""
    rdb = small_file(name)
    for size in range(len(rdb)):
        error = refusal(rdb[:size])
        assert "truncated" in error.reason
        assert error.position == size


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_turned_over_is_noticed_with_the_checksum_on(name: str) -> None:
    """Where the data still reads, the checksum does not; but a version made older than 5 says that there is none."""
    rdb = small_file(name)
    for at in range(len(rdb)):
        for bit in range(8):
            broken = bytearray(rdb)
            broken[at] ^= 1 << bit
            if broken[5:HEADER_BYTES] in OLD_VERSIONS:
                continue
            assert read(bytes(broken), verify=True) is not None, f"bit {bit} of byte {at} went unnoticed"


@pytest.mark.parametrize("name", NAMES)
def test_every_bit_turned_over_is_refused_or_read_with_the_checksum_off(name: str) -> None:
    """Never another exception; most are still noticed, by what a value must look like."""
    rdb = small_file(name)
    refused = 0
    for at in range(HEADER_BYTES, len(rdb) - CHECKSUM_BYTES):
        for bit in range(8):
            broken = bytearray(rdb)
            broken[at] ^= 1 << bit
            refused += read(bytes(broken), verify=False) is not None
    assert refused > len(rdb)


@pytest.mark.parametrize("name", NAMES)
def test_damage_anywhere_in_a_whole_sample_is_noticed(name: str) -> None:
    """A bit here and there: each place by the checksum at the latest."""
    rdb = (SAMPLES / name).read_bytes()
    for at in range(HEADER_BYTES, len(rdb), 307):
        broken = bytearray(rdb)
        broken[at] ^= 1 << (at % 8)
        assert read(bytes(broken), verify=True) is not None, at


LENGTHS = (2**31, 2**32 - 1, 2**32, 2**40, 2**63, 2**64 - 1)
STRINGS = {"string": b"\x00", "aux": b"\xfa", "function": b"\xf5"}
COUNTS = {number: bytes((number,)) + raw(b"k") for number in (1, 2, 3, 4, 5, 14, 15, 18, 19, 21)}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("start", [*STRINGS.values(), *COUNTS.values()], ids=[*STRINGS, *map(str, COUNTS)])
def test_a_forged_length_allocates_nothing_and_ends_at_once(start: bytes, length: int) -> None:
    """A string of that length, or a collection of that many elements, and then little that follows."""
    rdb = b"REDIS0011" + start + write_length(length) + bytes(64)
    tracemalloc.start()
    started_s = time.monotonic()
    try:
        assert read(rdb, verify=True) is not None
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < ALLOCATED_MOST_BYTES
    assert time.monotonic() - started_s < READ_MOST_S


@pytest.mark.parametrize("length", LENGTHS)
def test_forged_lengths_inside_a_compressed_string_and_a_database_allocate_nothing(length: int) -> None:
    """LZF's two lengths, and the sizes that RESIZEDB announces, measured on the process and not on Python alone."""
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = write_length(length)
    for body in (
        b"\x00\x01k\xc3" + size + b"\x40\x10" + bytes(64),
        b"\x00\x01k\xc3\x04" + size + b"\x03aaa" + bytes(64),
        b"\xfb" + size + size + b"\x00\x01k",
    ):
        assert read(b"REDIS0011" + body, verify=True) is not None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 64 * 1024
