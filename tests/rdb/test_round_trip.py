"""Whatever the writer writes, the reader reads back equal: every type, version and split."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rdb.support import (
    copy_of,
    deadline_hashes,
    plain,
    rdb_of,
    read_every_way,
    read_pieces,
    streams,
    texts,
    times,
    values,
    write,
)
from txrepl.errors import RdbError
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import HashValue, SortedSetValue, Value
from txrepl.rdb import RdbWriter, dump, required_version, restore
from txrepl.rdb.dump import REFUSED
from txrepl.rdb.primitives import crc64

keyed = st.dictionaries(texts, values, max_size=6)


def expected(value: Value, version: int) -> object:
    """What a version keeps of a value: a stream's later fields are estimated where it has none."""
    if isinstance(value, StreamValue):
        for group in value.groups.values():
            if version < 11:
                for consumer in group.consumers.values():
                    consumer.active_ms = consumer.seen_ms
        if version < 10:
            value.max_deleted_id = (0, 0)
            value.entries_added = value.length
            for group in value.groups.values():
                group.entries_read = value.estimated_reads(group.last_id)
    return plain(value)


@settings(max_examples=60, deadline=None)
@given(keyed, st.sampled_from([9, 10, 11, 12, 80]), st.booleans())
def test_what_is_written_is_read_back_equal(data: dict[bytes, Value], version: int, compress: bool) -> None:
    """Every type in every version, compressed or not, in every split."""
    dialect = "valkey" if version == 80 else "redis"
    rdb = write(list(data.items()), version=version, compress=compress, dialect=dialect)
    record = read_every_way(rdb)
    assert record.keys == [(0, key, expected(value, version), None, None, None) for key, value in data.items()]


@settings(max_examples=60, deadline=None)
@given(keyed)
def test_strings_writes_the_same_bytes_as_key(data: dict[bytes, Value]) -> None:
    """The fast way for many keys and the way for one key cannot be told apart."""
    out: list[bytes] = []
    writer = RdbWriter(out.append)
    writer.header()
    writer.select_db(0, len(data), 0)
    writer.strings(data.items())
    writer.end()
    assert b"".join(out) == write(list(data.items()))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(texts, texts, st.none() | times, st.none() | st.integers(0, 2**40), st.none() | st.integers(0, 255)),
        max_size=8,
    )
)
def test_deadline_idle_time_and_frequency_belong_to_their_key_alone(
    rows: list[tuple[bytes, bytes, int | None, int | None, int | None]],
) -> None:
    """What is said before a key is forgotten after it."""
    out: list[bytes] = []
    writer = RdbWriter(out.append)
    writer.header({b"repl-id": b"a" * 40, b"repl-offset": b"12"})
    writer.select_db(3, len(rows), 1)
    for key, value, expire_ms, idle_s, freq in rows:
        writer.key(key, value, expire_ms, idle_s, freq)
    writer.end()
    record = read_every_way(b"".join(out))
    assert record.keys == [(3, *row) for row in rows]
    head = [("aux", b"repl-id", b"a" * 40), ("aux", b"repl-offset", b"12"), ("select", 3), ("resize", len(rows), 1)]
    assert record.others == head


@settings(max_examples=40, deadline=None)
@given(deadline_hashes(), st.sampled_from([12, 80]))
def test_field_deadlines_are_kept_from_redis_12_and_valkey_80_on(value: HashValue, version: int) -> None:
    """Both dialects bring every deadline back; lower versions refuse, naming the key."""
    dialect = "valkey" if version == 80 else "redis"
    rdb = write([(b"sessions", value)], version=version, dialect=dialect)
    assert read_every_way(rdb).keys == [(0, b"sessions", plain(value), None, None, None)]
    assert required_version(value) == 12 and required_version(value, "valkey") == 80
    with pytest.raises(RdbError, match="cannot hold the field deadlines of key 'sessions'"):
        write([(b"sessions", value)], version=11)


@settings(max_examples=60, deadline=None)
@given(streams())
def test_the_required_version_of_a_stream_loses_nothing(value: StreamValue) -> None:
    """Written in the version it asks for, a stream comes back with every counter."""
    before = plain(value)
    assert read_every_way(write([(b"s", value)], version=required_version(value))).keys[0][2] == before


@settings(max_examples=60, deadline=None)
@given(values, st.sampled_from([9, 10, 11, 12, 80]), st.integers(0, 10**6), st.integers(1, 255))
def test_a_dump_restores_equal_and_any_changed_byte_is_refused(value: Value, version: int, at: int, flip: int) -> None:
    """DUMP and RESTORE are inverse; the checksum covers value and version."""
    payload = dump(value, version)
    assert plain(restore(payload)) == expected(value, version)
    at %= len(payload)
    broken = payload[:at] + bytes((payload[at] ^ flip,)) + payload[at + 1 :]
    with pytest.raises(RdbError) as caught:
        restore(broken)
    assert caught.value.reason == REFUSED


def test_a_dump_of_the_future_is_refused_before_it_is_parsed() -> None:
    """A good checksum does not help an unknown version; nor a bare footer."""
    for version in (13, 79, 81, 65535):
        body = b"\x00\x01a" + version.to_bytes(2, "little")
        with pytest.raises(RdbError, match="version or checksum"):
            restore(body + crc64(body).to_bytes(8, "little"))
    for payload in (b"", b"123456789", b"1234567890"):
        with pytest.raises(RdbError, match="version or checksum"):
            restore(payload)


@pytest.mark.parametrize(
    "body", [b"", b"\x01\x00", b"\x01\x02\x01a", b"\x08", b"\x00\x05ab", b"\x10\x03abc", b"\x18\x00"]
)
def test_a_dump_with_a_good_checksum_and_a_bad_value_is_an_rdb_error(body: bytes) -> None:
    """Cut off, empty, unknown, corrupt: one kind of error."""
    framed = body + (12).to_bytes(2, "little")
    with pytest.raises(RdbError) as caught:
        restore(framed + crc64(framed).to_bytes(8, "little"))
    assert caught.value.reason != REFUSED


def test_functions_need_version_10() -> None:
    """Version 9 says so instead of dropping them; 10 keeps them."""
    source = b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"
    out: list[bytes] = []
    with pytest.raises(RdbError, match="cannot hold functions"):
        RdbWriter(out.append, version=9).function(source)
    writer = RdbWriter(out.append, version=10)
    writer.header()
    writer.function(source)
    writer.module_aux(1 << 60, 2, b"\x05\x03abc\x00")
    writer.end()
    rdb = b"".join(out)
    assert read_every_way(rdb).others == [("function", source), ("module_aux", 1 << 60, 2, b"\x05\x03abc\x00")]
    assert copy_of(rdb, version=10) == rdb


def test_versions_that_are_not_written_are_refused() -> None:
    """Each dialect has its own range."""
    for version, dialect in ((8, "redis"), (13, "redis"), (80, "redis"), (12, "valkey"), (81, "valkey")):
        with pytest.raises(RdbError, match=f"version {version} is not written for {dialect}"):
            RdbWriter(lambda data: None, version=version, dialect=dialect)  # type: ignore[arg-type]


def test_output_comes_in_pieces_and_a_missing_checksum_is_zero() -> None:
    """A large collection is written while it is packed; `checksum=False` writes eight zeros, which readers accept."""
    out: list[bytes] = []
    writer = RdbWriter(out.append, checksum=False)
    writer.header()
    writer.key(b"big", HashValue({b"field %d" % n: b"value %d" % n for n in range(50_000)}), None)
    writer.strings((b"key %d" % n, b"%d" % n) for n in range(50_000))
    writer.end()
    assert len(out) > 20 and max(map(len, out)) < 128 * 1024
    assert b"".join(out).endswith(b"\xff" + bytes(8))
    record, reader = read_pieces(out)
    assert len(record.keys) == 50_001 and reader.version == 9


def test_a_score_of_minus_zero_survives() -> None:
    """A small sorted set with it is packed, so that servers from 7.0 on keep the sign."""
    scores = {b"m": -0.0, b"": 0.0, b"inf": float("-inf"), b"long" * 100: 0.1}
    rdb = write([(b"z", SortedSetValue(scores))])
    assert read_every_way(rdb).keys[0][2] == plain(SortedSetValue(scores))
    assert b"\x0c\x01z" in rdb


def test_nan_is_not_written() -> None:
    """No server would load it."""
    with pytest.raises(RdbError, match="NAN"):
        write([(b"z", SortedSetValue({b"m": float("nan")}))])


def test_strings_are_compressed_only_when_that_saves_bytes() -> None:
    """As in Redis: more than 20 bytes, and smaller by what the two lengths cost."""
    assert b"\xc3" not in write([(b"k", b"a" * 20)])
    assert b"\x00\x01k\xc3" in write([(b"k", b"a" * 21)])
    assert b"a" * 21 in write([(b"k", b"a" * 21)], compress=False)


def test_a_list_is_read_from_plain_form_with_expiry_in_seconds() -> None:
    """The old opcode 253 counts seconds, signed."""
    body = b"\xfd\x0a\x00\x00\x00" + b"\x01\x01l\x02\x01a\x01b" + b"\xfd\xff\xff\xff\xff" + b"\x00\x01s\x01x"
    keys = read_every_way(rdb_of(body, b"REDIS0005")).keys
    assert keys == [(0, b"l", ("list", [b"a", b"b"]), 10_000, None, None), (0, b"s", b"x", -1000, None, None)]
