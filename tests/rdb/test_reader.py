"""The reader on forms that the writer does not make, and on bytes that are wrong."""

from __future__ import annotations

import random
import struct
import time

import pytest

from tests.rdb.support import (
    SAMPLES,
    Record,
    expectations,
    listpack_of,
    plain,
    raw,
    rdb_of,
    read_every_way,
    read_pieces,
    read_value,
    refusal,
    write,
)
from tests.support import stream_of
from txrepl.errors import RdbError
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    ModuleValue,
    SetValue,
    SortedSetValue,
    Value,
)
from txrepl.rdb import RdbReader, Sink
from txrepl.rdb.compact import encode_listpack, encode_ziplist
from txrepl.rdb.primitives import crc64, unpack_lzf, write_length

SAMPLE_NAMES = sorted(expectations())


def every_value() -> list[tuple[bytes, Value]]:
    """A few keys of each type, small enough to break at every byte."""
    stream = stream_of({(1, 1): (b"a", b"1"), (1, 2): (b"b", b"2", b"c", b"3")})
    return [
        (b"string", b"value"),
        (b"number", b"12345"),
        (b"compressed", b"abc" * 20),
        (b"set", SetValue({b"x", b"y"})),
        (b"zset", SortedSetValue({b"m": 1.5, b"n": -0.0})),
        (b"hash", HashValue({b"f": b"v", b"g": b"w"})),
        (b"deadlines", HashValue({b"f": b"v", b"g": b"w"}, {b"f": 4102444800000})),
        (b"module", ModuleValue(77 << 10, b"\x02\x05\x05\x02hi\x00")),
        (b"stream", stream),
    ]


# -- types that only other writers make ------------------------------------------------------------------------------


def test_old_text_scores() -> None:
    """Type 3 writes scores as text, with three lengths set aside for what is no number."""
    body = b"\x04" + raw(b"a") + b"\x031.5" + raw(b"b") + b"\xfe" + raw(b"c") + b"\xff" + raw(b"d") + b"\x061e+300"
    value = read_value(3, body)
    assert isinstance(value, SortedSetValue)
    assert value.scores == {b"a": 1.5, b"b": float("inf"), b"c": float("-inf"), b"d": 1e300}
    for bad in (b"\xfd", b"\x031_0", b"\x01x", b"\x00", b"\x03nan"):
        assert "scor" in refusal(rdb_of(b"\x03" + raw(b"k") + b"\x01" + raw(b"a") + bad)).reason.lower()


@pytest.mark.parametrize(
    ("type_number", "pack"),
    [(13, encode_ziplist), (16, encode_listpack)],
)
def test_packed_hashes(type_number: int, pack: object) -> None:
    """Fields and values alternate, whatever the pack."""
    assert callable(pack)
    elements = [b"f", b"-5", b"long" * 100, b"x" * 20000, b"", b"123456789012"]
    value = read_value(type_number, raw(pack(elements)))
    assert isinstance(value, HashValue)
    assert value.fields == dict(zip(elements[::2], elements[1::2], strict=True))


def test_ziplist_integers() -> None:
    """All seven forms of a number in a ziplist."""
    forms = [
        (b"\xf1", b"0"),
        (b"\xfd", b"12"),
        (b"\xfe\x80", b"-128"),
        (b"\xc0" + struct.pack("<h", -300), b"-300"),
        (b"\xf0" + (-70000).to_bytes(3, "little", signed=True), b"-70000"),
        (b"\xd0" + struct.pack("<i", 2**31 - 1), b"2147483647"),
        (b"\xe0" + struct.pack("<q", -(2**63)), b"-9223372036854775808"),
    ]
    body, previous, last = b"", 0, 10
    for code, _ in forms:
        last = 10 + len(body)
        body += bytes((previous,)) + code
        previous = 1 + len(code)
    pack = struct.pack("<IIH", len(body) + 11, last, len(forms)) + body + b"\xff"
    value = read_value(10, raw(pack))
    assert isinstance(value, ListValue)
    assert list(value.items) == [text for _, text in forms]


def test_listpack_integers() -> None:
    """All six forms of a number in a listpack, at both ends of their ranges."""
    numbers = [0, 127, -4096, 4095, -32768, 32767, -(2**23), 2**23 - 1, -(2**31), 2**31 - 1, -(2**63), 2**63 - 1]
    forms = [b"\x00", b"\x7f", b"\xd0\x00", b"\xcf\xff"]
    for mark, size in ((b"\xf1", 2), (b"\xf2", 3), (b"\xf3", 4), (b"\xf4", 8)):
        forms += [
            mark + (sign).to_bytes(size, "little", signed=True)
            for sign in (-(1 << 8 * size - 1), (1 << 8 * size - 1) - 1)
        ]
    value = read_value(18, b"\x01\x02" + raw(listpack_of(forms)))
    assert isinstance(value, ListValue)
    assert list(value.items) == [b"%d" % number for number in numbers]
    assert encode_listpack(value.items) == listpack_of(forms)


def test_quicklists_of_both_generations() -> None:
    """Type 14 has ziplists; type 18 says of each node whether it is packed or one plain element."""
    old = read_value(14, b"\x02" + raw(encode_ziplist([b"a", b"b"])) + raw(encode_ziplist([b"c"])))
    new = read_value(18, b"\x02\x02" + raw(encode_listpack([b"a", b"b"])) + b"\x01" + raw(b"c"))
    assert plain(old) == plain(new) == ("list", [b"a", b"b", b"c"])
    assert "Quicklist" in refusal(rdb_of(b"\x12" + raw(b"k") + b"\x01\x03" + raw(b"c"))).reason


@pytest.mark.parametrize(("code", "size"), [("h", 2), ("i", 4), ("q", 8)])
def test_intsets_of_every_width(code: str, size: int) -> None:
    """Members are numbers, ascending."""
    edge = 1 << (8 * size - 1)
    value = read_value(11, raw(struct.pack(f"<II3{code}", size, 3, -edge, 0, edge - 1)))
    assert plain(value) == ("set", {b"%d" % -edge, b"0", b"%d" % (edge - 1)})
    for numbers in ((1, 1), (2, 1)):
        assert (
            "Intset" in refusal(rdb_of(b"\x0b" + raw(b"k") + raw(struct.pack(f"<II2{code}", size, 2, *numbers)))).reason
        )


def test_zipmap() -> None:
    """The hash of Redis before 2.6, with spare bytes behind a value and a long length."""
    value = read_value(
        9, raw(b"\x02" + b"\x01f\x02\x03vwxyz" + b"\x01g\xfe\x03\x00\x00\x00\x00abc" + b"\xff"), b"REDIS0002"
    )
    assert plain(value) == ("hash", {b"f": b"vw", b"g": b"abc"}, {})


def test_packed_sets_and_sorted_sets() -> None:
    """Types 20, 12 and 17; a score in a listpack may be an integer or text."""
    assert plain(read_value(20, raw(encode_listpack([b"a", b"1"])))) == ("set", {b"a", b"1"})
    for number, pack in ((12, encode_ziplist), (17, encode_listpack)):
        value = read_value(number, raw(pack([b"m", b"3", b"n", b"0.10000000000000001", b"z", b"-0", b"i", b"-inf"])))
        assert plain(value) == ("zset", {b"m": "3.0", b"n": "0.1", b"z": "-0.0", b"i": "-inf"})


def test_field_deadlines_in_all_forms_of_both_dialects() -> None:
    """Type 22 is one thing in Redis's release candidates and another in Valkey."""
    fields = raw(b"f") + raw(b"v")
    late = write_length(4102444800000)
    forms = [
        (b"REDIS0012", 22, b"\x02" + late + fields + b"\x00" + raw(b"g") + raw(b"w")),
        (b"REDIS0012", 23, raw(encode_listpack([b"f", b"v", b"4102444800000", b"g", b"w", b"0"]))),
        (b"REDIS0012", 24, struct.pack("<q", 4102444800000) + b"\x02\x01" + fields + b"\x00" + raw(b"g") + raw(b"w")),
        (b"REDIS0012", 25, bytes(8) + raw(encode_listpack([b"f", b"v", b"4102444800000", b"g", b"w", b"0"]))),
        (b"VALKEY080", 22, b"\x02" + fields + struct.pack("<q", 4102444800000) + raw(b"g") + raw(b"w") + b"\xff" * 8),
    ]
    for magic, number, body in forms:
        assert plain(read_value(number, body, magic)) == ("hash", {b"f": b"v", b"g": b"w"}, {b"f": 4102444800000})
    assert "Unknown RDB type" in refusal(rdb_of(b"\x18" + raw(b"k"), b"VALKEY080")).reason


def test_opcodes_that_carry_no_key() -> None:
    """Slot hints of Redis and slot imports of Valkey are stepped over; module data and functions are handed on."""
    body = b"\xf4\x05\x41\x00\x02" + b"\xf7\x81" + b"\x11" * 8 + b"\x02\x02\x05\x03abc\x00" + b"\xf5\x03lib"
    record = read_every_way(rdb_of(body))
    assert record.others == [("module_aux", 0x1111111111111111, 2, b"\x05\x03abc\x00"), ("function", b"lib")]
    read_every_way(rdb_of(b"\xf3" + raw(b"job") + b"\x02\x00\x01\x05\x06", b"VALKEY080"))
    assert "Unknown RDB type or opcode 243" in refusal(rdb_of(b"\xf3" + raw(b"job") + b"\x00")).reason
    assert "Pre-release function" in refusal(rdb_of(b"\xf6\x00")).reason


def test_every_old_version_is_read_and_those_before_5_have_no_checksum() -> None:
    """Versions 1 to 4 end at the end mark."""
    for version in range(1, 13):
        magic = b"REDIS%04d" % version
        rdb = rdb_of(b"\x00\x01k\x01v", magic)
        assert rdb.endswith(b"\xff") == (version < 5)
        assert read_every_way(rdb).keys == [(0, b"k", b"v", None, None, None)]


def test_empty_collections_are_skipped_but_an_empty_stream_is_a_stream() -> None:
    """Redis 7 skips them on load; so is their deadline, which must not fall to the next key."""
    empty = [b"\x01" + raw(b"l") + b"\x00", b"\x02" + raw(b"s") + b"\x00", b"\x04" + raw(b"h") + b"\x00"]
    empty += [
        b"\x05" + raw(b"z") + b"\x00",
        b"\x10" + raw(b"p") + raw(encode_listpack([])),
        b"\x0e" + raw(b"q") + b"\x00",
    ]
    body = b"".join(b"\xfc" + struct.pack("<q", 5) + one + b"\x00\x01k\x01v" for one in empty)
    record = read_every_way(rdb_of(body))
    assert [one[0] for one in record.others] == ["empty"] * 6
    assert record.keys == [(0, b"k", b"v", None, None, None)] * 6
    assert len(read_every_way(write([(b"s", StreamValue())])).keys) == 1


# -- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", [b"REDIS0013", b"REDIS9999", b"REDIS0000", b"VALKEY081", b"VALKEY011", b"REDIS0080"])
def test_a_version_that_is_not_read_is_named_before_any_data(magic: bytes) -> None:
    """By number, in Redis's words."""
    version = int(magic[-4:].removeprefix(b"Y"))
    assert refusal(magic + b"\x00\x01k\x01v").reason == f"Can't handle RDB format version {version}"


def test_a_reader_may_be_told_to_read_less() -> None:
    """A server presents the versions that it wants to take."""
    with pytest.raises(RdbError, match="format version 12"):
        RdbReader(max_version_redis=11).feed(rdb_of(b""), Sink())


@pytest.mark.parametrize("magic", [b"RADIS0011", b"\x00" * 9, b"REDISabcd", b"+PONG\r\n\r\n", b"VALKEY8\xb2\xb3"])
def test_what_is_no_rdb_is_refused(magic: bytes) -> None:
    """The signature is checked first."""
    assert refusal(magic + b"\xff").reason.startswith("Wrong signature")


def test_a_wrong_checksum_is_a_crc_error_unless_it_is_not_wanted() -> None:
    """Zero means not checked; a reader can leave the rest unchecked too."""
    rdb = write([(b"k", b"v")])
    broken = rdb[:-1] + bytes((rdb[-1] ^ 1,))
    assert "CRC error" in refusal(broken).reason
    reader = RdbReader(verify_checksum=False)
    reader.feed(broken, Sink())
    assert reader.done
    read_every_way(rdb[:-8] + bytes(8))


DUPLICATES = {
    "set": b"\x02" + raw(b"k") + b"\x02\x01a\x01a",
    "packed set": b"\x14" + raw(b"k") + raw(encode_listpack([b"a", b"a"])),
    "hash": b"\x04" + raw(b"k") + b"\x02\x01a\x01b\x01a\x01b",
    "packed hash": b"\x10" + raw(b"k") + raw(encode_listpack([b"a", b"b"] * 2)),
    "hash with deadlines": b"\x16" + raw(b"k") + b"\x02\x00\x01a\x01b\x00\x01a\x01b",
    "packed hash with deadlines": b"\x17" + raw(b"k") + raw(encode_listpack([b"a", b"b", b"0"] * 2)),
    "sorted set": b"\x05" + raw(b"k") + b"\x02\x01a" + bytes(8) + b"\x01a" + bytes(8),
    "packed sorted set": b"\x11" + raw(b"k") + raw(encode_listpack([b"a", b"1"] * 2)),
}


@pytest.mark.parametrize("body", DUPLICATES.values(), ids=DUPLICATES.keys())
def test_duplicates_in_a_collection_are_corruption(body: bytes) -> None:
    """No type swallows a member that comes twice."""
    assert "uplicate" in refusal(rdb_of(body)).reason


CORRUPT = {
    "not a number of a score": b"\x05" + raw(b"k") + b"\x01\x01a" + struct.pack("<d", float("nan")),
    "odd hash": b"\x10" + raw(b"k") + raw(encode_listpack([b"a", b"b", b"c"])),
    "odd sorted set": b"\x11" + raw(b"k") + raw(encode_listpack([b"a"])),
    "deadline out of range": b"\x17" + raw(b"k") + raw(encode_listpack([b"a", b"b", b"281474976710656"])),
    "negative deadline": b"\x16" + raw(b"k") + b"\x01\x81" + b"\xff" * 8 + b"\x01a\x01b",
    "unknown length": b"\x00" + b"\x82abc",
    "unknown string encoding": b"\x00" + raw(b"k") + b"\xc4abc",
    "encoded length of a list": b"\x01" + raw(b"k") + b"\xc0\x01",
    "bad LZF": b"\x00" + raw(b"k") + b"\xc3\x03\x10\xff\xff\xff",
    "huge LZF": b"\x00" + raw(b"k") + b"\xc3\x03\x80\xf0\x00\x00\x00\x00ab",
    "empty LZF": b"\x00" + raw(b"k") + b"\xc3\x00\x00",
    "LZF of another size": b"\x00" + raw(b"k") + b"\xc3\x04\x05\x02abc",
    "string beyond all bounds": b"\x00" + raw(b"k") + b"\x81" + b"\x7f" + b"\xff" * 7,
    "type 6": b"\x06" + raw(b"k"),
    "type 8": b"\x08" + raw(b"k"),
    "type 200": b"\xc8" + raw(b"k"),
    "module opcode": b"\x07" + raw(b"k") + b"\x05\x09",
    "module aux without occasion": b"\xf7\x05\x01\x00",
    "ziplist cut off": b"\x0d" + raw(b"k") + raw(encode_ziplist([b"a", b"b"])[:-1]),
    "listpack cut off": b"\x10" + raw(b"k") + raw(encode_listpack([b"a", b"b"])[:-1]),
    "intset of no width": b"\x0b" + raw(b"k") + raw(struct.pack("<II", 3, 0)),
    "intset without header": b"\x0b" + raw(b"k") + raw(b"\x02"),
    "zipmap without end": b"\x09" + raw(b"k") + raw(b"\x01\x01a\x01\x00b"),
    "stream node key": b"\x0f" + raw(b"k") + b"\x01" + raw(b"short") + raw(encode_listpack([b"0"] * 4)),
    "stream length": b"\x0f" + raw(b"k") + b"\x00\x05\x01\x01\x00",
}


@pytest.mark.parametrize("body", CORRUPT.values(), ids=CORRUPT.keys())
def test_corruption_is_an_rdb_error_with_a_position(body: bytes) -> None:
    """Never another exception, never a huge allocation, and the same when it comes byte by byte."""
    rdb = rdb_of(body)
    whole = refusal(rdb)
    reader = RdbReader()
    with pytest.raises(RdbError) as caught:
        for at in range(len(rdb)):
            reader.feed(rdb[at : at + 1], Sink())
    assert caught.value.reason == whole.reason
    with pytest.raises(RdbError):  # a broken reader stays broken
        reader.feed(b"", Sink())
    with pytest.raises(RdbError):
        reader.finish()


def test_a_collection_that_claims_to_be_endless_is_only_truncated() -> None:
    """A count is not believed: nothing is allocated for elements that have not come."""
    for number in (1, 2, 4, 5, 14, 15, 18, 19, 21, 22):
        body = b"REDIS0012" + bytes((number,)) + raw(b"k") + b"\x81" + b"\xff" * 8
        assert "truncated" in refusal(body).reason


@pytest.mark.parametrize("version", [9, 12, 80])
def test_truncation_at_every_byte_is_noticed(version: int) -> None:
    """No prefix of a file passes for the file."""
    keys = [row for row in every_value() if version != 9 or row[0] != b"deadlines"]
    rdb = write(keys, version=version, dialect="valkey" if version == 80 else "redis")
    for size in range(len(rdb)):
        assert "truncated" in refusal(rdb[:size]).reason


def survives(rdb: bytes, verify: bool) -> None:
    """Whatever the bytes are: a valid read or an RdbError."""
    reader = RdbReader(verify_checksum=verify)
    try:
        reader.feed(rdb, Record())
        reader.finish()
    except RdbError as error:
        assert 0 <= error.position <= len(rdb)


def test_any_flipped_bit_is_an_rdb_error_or_a_valid_read() -> None:
    """Every bit of a file with every type, with the checksum unread."""
    rdb = write(every_value(), version=12)
    for at in range(len(rdb)):
        for bit in range(8):
            broken = bytearray(rdb)
            broken[at] ^= 1 << bit
            survives(bytes(broken), verify=False)
            assert at < 9 or at >= len(rdb) - 8 or refusal(bytes(broken))


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_damaged_files_of_real_servers_never_raise_anything_else(name: str) -> None:
    """Random bytes of real files, packed encodings included, are overwritten, removed or doubled."""
    rdb = (SAMPLES / name).read_bytes()
    rng = random.Random(7)
    for _ in range(400):
        broken = bytearray(rdb)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(9, len(broken))
            change = rng.randrange(3)
            if change == 0:
                broken[at] = rng.choice((0, 1, 0x7F, 0x80, 0x81, 0xC3, 0xFE, 0xFF, rng.randrange(256)))
            elif change == 1:
                del broken[at : at + rng.randint(1, 9)]
            else:
                broken[at:at] = broken[at - 4 : at]
        survives(bytes(broken), verify=False)


def test_packs_that_lie_inside_are_refused_not_followed() -> None:
    """Every byte of every pack takes several wrong values."""
    elements = [b"field", b"1", b"x" * 70, b"300", b"e" * 300, b"-1"]
    packs = [(16, encode_listpack(elements)), (13, encode_ziplist(elements)), (17, encode_listpack([b"m", b"1.5"]))]
    packs.append((9, b"\x01\x01f\x02\x03vwxyz\xff"))
    packs.append((11, struct.pack("<II3h", 2, 3, 1, 2, 3)))
    for number, pack in packs:
        for at in range(len(pack)):
            for wrong in (0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xE0, 0xF0, 0xF4, 0xFE, 0xFF):
                broken = pack[:at] + bytes((wrong,)) + pack[at + 1 :]
                survives(rdb_of(bytes((number,)) + raw(b"k") + raw(broken)), verify=True)


def test_lzf_input_of_any_kind_is_refused_in_words() -> None:
    """The C decoder is never asked for more than its input can make."""
    rng = random.Random(3)
    for size in (0, 1, 3, 40):
        for claimed in (0, 1, 50, 5000, 1 << 40):
            try:
                assert len(unpack_lzf(rng.randbytes(size), claimed, 0)) == claimed
            except RdbError as error:
                assert "LZF" in error.reason


# -- how it reads ----------------------------------------------------------------------------------------------------


def test_crc64_is_the_one_of_redis() -> None:
    """The check value that Redis's own test prints, in one go and in two."""
    assert crc64(b"123456789") == crc64(b"6789", crc64(b"12345")) == 0xE9C6D914C4B8D9CA


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_can_be_fed(kind: type) -> None:
    """What a transport hands over need not be bytes; it is not kept."""
    rdb = write(every_value(), version=12)
    reader, record = RdbReader(), Record()
    for at in range(0, len(rdb), 10):
        piece = bytearray(rdb[at : at + 10])
        reader.feed(kind(piece), record)
        piece[:] = bytes(len(piece))
    assert reader.done and len(record.keys) == 9


def test_a_large_collection_fed_in_pieces_takes_linear_time() -> None:
    """Progress inside a collection is kept: 64 KB pieces and one piece cost the same order of time."""
    rdb = write([(b"h", HashValue({b"field:%d" % n: b"v%d" % n for n in range(120_000)}))])
    started = time.process_time()
    read_pieces([rdb])
    whole = time.process_time() - started
    started = time.process_time()
    read_pieces(rdb[at : at + 8192] for at in range(0, len(rdb), 8192))
    assert time.process_time() - started < 5 * whole + 0.5


def test_a_large_string_fed_in_small_pieces_takes_linear_time() -> None:
    """Its pieces are joined once."""
    value = random.Random(1).randbytes(8 << 20)
    rdb = write([(b"k", value), (b"after", b"x")])
    started = time.process_time()
    record, _ = read_pieces(rdb[at : at + 1024] for at in range(0, len(rdb), 1024))
    assert time.process_time() - started < 2
    assert [key[1:3] for key in record.keys] == [(b"k", value), (b"after", b"x")]


def test_an_error_of_the_sink_passes_through() -> None:
    """An IndexError of the caller's own is not taken for bytes that are missing."""

    class Faulty(Sink):
        def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
            raise IndexError("mine")

    with pytest.raises(IndexError, match="mine"):
        RdbReader().feed(write([(b"k%d" % n, b"v") for n in range(9)]), Faulty())
