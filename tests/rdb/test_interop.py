"""Live servers load what is written, and what they write is read: equal DEBUG DIGEST both ways."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.servers import KINDS, RealServer, ReplyError, require, start
from tests.rdb.support import SAMPLES, Fill, copy_of, plain, read_every_way, read_pieces
from txrepl.keyspace.digest import dataset_digest, value_digest
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import SortedSetValue, Value
from txrepl.rdb import RdbReader, RdbWriter, dump, restore
from txrepl.rdb.__main__ import RespPrinter, Selection

FUTURE_MS = 4102444800000
VERSIONS = {"redis62": [9], "redis70": [9, 10], "valkey9": [9, 10, 11, 80]}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """Each real server in turn, one for all tests here."""
    with start(request.param) as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(server: RealServer) -> None:
    server.command("FLUSHALL")
    if server.kind != "redis62":
        server.command("FUNCTION", "FLUSH")


def fill(server: RealServer) -> None:
    """Every type in small and large encodings, several dbs, deadlines, binary keys, streams with groups."""
    rng = random.Random(11)
    batch: list[list[Any]] = []
    for db in (0, 2, 15):
        batch.append(["SELECT", db])
        for n in (0, 1, 20, 21, 63, 64, 500, 16383, 16384, 70000):
            batch.append(["SET", f"string:{n}", b"ab" * (n // 2) + b"c" * (n % 2)])
            batch.append(["SET", b"\xff\x00 binary:%d" % n, rng.randbytes(n)])
        for number in (
            0,
            -1,
            127,
            -128,
            128,
            32767,
            -32769,
            2**31 - 1,
            2**31,
            -(2**31),
            -(2**31) - 1,
            2**63 - 1,
            "-0",
            "007",
        ):
            batch.append(["SET", f"number:{number}", str(number)])
        for size in (1, 5, 200, 3000):
            words = [b"item %d " % n + b"x" * rng.randrange(30) for n in range(size)]
            batch.append(["RPUSH", f"list:{size}", *words, -5, 70000, 2**40])
            batch.append(["SADD", f"set:{size}", *words])
            batch.append(["SADD", f"ints:{size}", *(n * 7 - 5 for n in range(size)), -(2**40)])
            batch.append(
                ["HSET", f"hash:{size}", *(word for n, item in enumerate(words) for word in (b"f%d" % n, item))]
            )
            batch.append(
                ["ZADD", f"zset:{size}", *(word for n, item in enumerate(words) for word in (n / 7 - 3, item))]
            )
        batch.append(["RPUSH", "list:wide", "a" * 20000, "b", "c" * 9000])
        batch.append(
            [
                "ZADD",
                "zset:edges",
                "inf",
                "pinf",
                "-inf",
                "ninf",
                1e300,
                "big",
                5e-324,
                "tiny",
                0.1,
                "tenth",
                2**53,
                "whole",
            ]
        )
        batch.append(["HSET", "hash:wide", "field", "w" * 5000, b"\x00\xff", "", "", "empty"])
        batch.append(["SET", "expires", "v", "PX", 10**9])
        batch.append(["PEXPIREAT", "list:5", FUTURE_MS])
        batch.append(["PEXPIREAT", "hash:200", FUTURE_MS])
        for n in range(1, 320):
            batch.append(["XADD", "stream", f"{n}-{n % 3}", "a", n, *(["b", "c" * (n % 50)] if n % 5 == 0 else [])])
        batch.append(["XDEL", "stream", "1-1", "7-1", "319-1"])
        batch.append(["XGROUP", "CREATE", "stream", "g1", "0"])
        batch.append(["XGROUP", "CREATE", "stream", "g2", "100-1"])
        batch.append(["XGROUP", "CREATECONSUMER", "stream", "g2", "idle one"])
        batch.append(["XREADGROUP", "GROUP", "g1", "alice", "COUNT", 30, "STREAMS", "stream", ">"])
        batch.append(["XREADGROUP", "GROUP", "g1", "bob", "COUNT", 10, "STREAMS", "stream", ">"])
        batch.append(["XDEL", "stream", "5-2"])
        batch.append(["XACK", "stream", "g1", "3-0"])
        batch.append(["XGROUP", "CREATE", "stream:empty", "g", "$", "MKSTREAM"])
        batch.append(["XADD", "stream:maxid", "18446744073709551615-18446744073709551615", "f", "v"])
        batch.append(["XADD", "stream:trimmed", "5-5", "f", "v"])
        batch.append(["XTRIM", "stream:trimmed", "MAXLEN", 0])
    with server.connect() as client:
        for words in batch:
            client.command(*words)
        if server.kind != "redis62":
            client.command("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 1 end)")


def saved(server: RealServer) -> bytes:
    """The server's own file of its data."""
    server.command("SAVE")
    return (server.dir / "dump.rdb").read_bytes()


def load(server: RealServer, rdb: bytes) -> None:
    """Make the server load a file in place of its data."""
    (server.dir / "dump.rdb").write_bytes(rdb)
    assert server.command("DEBUG", "RELOAD", "NOSAVE") in (b"OK", "OK")


def ask(server: RealServer, db: int, *words: Any) -> Any:
    """One command in a database."""
    with server.connect() as client:
        client.command("SELECT", db)
        return client.command(*words)


def groups_of(server: RealServer, full: bool) -> Any:
    """What the server knows of the stream's groups, pending entries and counters, apart from times of access.

    Parameters:
        full: include what only 7.0 and later keep.
    """
    found: dict[Any, Any] = {}
    with server.connect() as client:
        for key in ("stream", "stream:empty", "stream:trimmed", "stream:maxid"):
            reply = client.command("XINFO", "STREAM", key, "FULL", "COUNT", 0)
            facts = dict(zip(reply[::2], reply[1::2], strict=True))
            for name in (b"radix-tree-keys", b"radix-tree-nodes"):
                del facts[name]
            groups = []
            for raw_group in facts.pop(b"groups"):
                group = dict(zip(raw_group[::2], raw_group[1::2], strict=True))
                consumers = [dict(zip(c[::2], c[1::2], strict=True)) for c in group.pop(b"consumers")]
                for consumer in consumers:
                    if not full:
                        consumer.pop(b"active-time", None)
                if not full:
                    for name in (b"entries-read", b"lag"):
                        group.pop(name, None)
                groups.append((group, sorted(consumers, key=lambda c: c[b"name"])))
            if not full:
                for name in (b"max-deleted-entry-id", b"entries-added", b"recorded-first-entry-id"):
                    facts.pop(name, None)
            found[key] = (facts, groups)
    return found


def digest_of(rdb: bytes, legacy: bool) -> str:
    """The digest that we print for a file's data."""
    reader, sink = RdbReader(), Fill()
    for at in range(0, len(rdb), 16384):
        reader.feed(rdb[at : at + 16384], sink)
    reader.finish()
    return dataset_digest(sink.keyspace, legacy=legacy)


def value_digest_of(server: RealServer, key: bytes) -> str:
    """DEBUG DIGEST-VALUE of a key, which comes as a simple string."""
    (reply,) = server.command("DEBUG", "DIGEST-VALUE", key)
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def is_legacy(server: RealServer) -> bool:
    """Whether the server prints scores as Redis before 7.2."""
    return server.kind != "valkey9"


def writes(server: RealServer, rdb: bytes) -> list[tuple[int, bytes]]:
    """The file written anew in each version that the server loads."""
    anew = []
    for version in VERSIONS[server.kind]:
        dialect = "valkey" if version == 80 else "redis"
        anew.append((version, copy_of(rdb, functions=version >= 10, version=version, dialect=dialect)))
    return anew


def test_what_a_server_saves_is_read_and_what_is_written_is_loaded(server: RealServer) -> None:
    """Digest, groups with pending entries, deadlines and functions go from server to us and back."""
    fill(server)
    digest = server.digest()
    groups, fewer = groups_of(server, True), groups_of(server, False)
    rdb = saved(server)
    record, reader = read_pieces(rdb[at : at + 1000] for at in range(0, len(rdb), 1000))
    assert reader.dialect == ("valkey" if server.kind == "valkey9" else "redis")
    assert digest_of(rdb, is_legacy(server)) == digest
    size = sum(int(ask(server, db, "DBSIZE")) for db in (0, 2, 15))
    assert len(record.keys) == size
    for version, anew in writes(server, rdb):
        server.command("FLUSHALL")
        load(server, anew)
        assert server.digest() == digest
        assert sum(int(ask(server, db, "DBSIZE")) for db in (0, 2, 15)) == size
        keeps_all = version >= {"redis62": 9, "redis70": 10, "valkey9": 11}[server.kind]
        assert groups_of(server, keeps_all) == (groups if keeps_all else fewer)
        for key in ("list:5", "hash:200"):
            assert ask(server, 2, "PTTL", key) > 10**10
        if version >= 10:
            assert ask(server, 0, "FCALL", "f", 0) == 1


def test_small_encodings_differ_in_the_file_not_in_the_values(server: RealServer) -> None:
    """The same data saved packed and unpacked is read as the same."""
    fill(server)
    packed = {key[:2]: key[2] for key in read_pieces([saved(server)])[0].keys}
    names = ("list-max-ziplist-size", "hash-max-ziplist-entries", "zset-max-ziplist-entries", "set-max-intset-entries")
    old = [server.command("CONFIG", "GET", name)[1] for name in names]
    try:
        for name in names:
            server.command("CONFIG", "SET", name, "1" if name.startswith("list") else "0")
        server.command("CONFIG", "SET", "rdbcompression", "no")
        server.command("DEBUG", "RELOAD")
        unpacked = {key[:2]: key[2] for key in read_pieces([saved(server)])[0].keys}
        assert unpacked == packed
    finally:
        server.command("CONFIG", "SET", "rdbcompression", "yes")
        for name, value in zip(names, old, strict=True):
            server.command("CONFIG", "SET", name, value)


@pytest.mark.parametrize("name", ["redis-5.0.14-cut.rdb", "redis-7.2.6-cut.rdb"])
def test_samples_of_other_servers_written_anew_are_loaded_with_our_digest(server: RealServer, name: str) -> None:
    """A file that the server may be too old for is one that it loads once we wrote it."""
    rdb = (SAMPLES / name).read_bytes()
    for _, anew in writes(server, rdb):
        load(server, anew)
        assert server.digest() == digest_of(rdb, is_legacy(server))


def test_an_idle_time_and_a_frequency_reach_the_server(server: RealServer) -> None:
    """OBJECT IDLETIME and FREQ are what the file said."""
    for policy, words, idle_s, freq in (("allkeys-lru", "IDLETIME", 5000, None), ("allkeys-lfu", "FREQ", None, 77)):
        server.command("CONFIG", "SET", "maxmemory-policy", policy)
        out: list[bytes] = []
        writer = RdbWriter(out.append)
        writer.header()
        writer.select_db(0)
        writer.key(b"k", b"v", FUTURE_MS, idle_s, freq)
        writer.end()
        load(server, b"".join(out))
        found = server.command("OBJECT", words, "k")
        assert found == 77 if freq else 5000 <= found < 5060
        assert read_pieces([saved(server)])[0].keys[0][4 if idle_s else 5] == found
    server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_dump_and_restore_work_in_both_directions(server: RealServer) -> None:
    """The server's DUMP is read, ours is restored, value by value."""
    fill(server)
    version = {"redis62": 9, "redis70": 10, "valkey9": 80}[server.kind]
    for key in server.command("KEYS", "*"):
        value = restore(server.command("DUMP", key))
        digest = value_digest_of(server, key)
        deadline = FUTURE_MS if server.command("PTTL", key) > 0 else None
        assert value_digest(value, deadline, legacy=is_legacy(server)) == digest, key
        server.command("RESTORE", b"copy", FUTURE_MS if deadline else 0, dump(value, version), "REPLACE", "ABSTTL")
        assert value_digest_of(server, b"copy") == digest, key
    with pytest.raises(ReplyError, match="DUMP payload version or checksum are wrong"):
        server.command("RESTORE", b"bad", 0, dump(b"x", version)[:-1] + b"\x00")


def test_minus_zero_is_loaded_with_its_sign(server: RealServer) -> None:
    """In a small sorted set, where a plain form would lose it from 7.0 on, and in a large one."""
    out: list[bytes] = []
    writer = RdbWriter(out.append)
    writer.header()
    writer.select_db(0)
    small: Value = SortedSetValue({b"m": -0.0, b"n": 1.0})
    large: Value = SortedSetValue({b"m%d" % n: -0.0 if n % 2 else float(n) for n in range(2000)})
    writer.strings([(b"small", small), (b"large", large)])
    writer.end()
    load(server, b"".join(out))
    assert server.command("ZSCORE", "small", "m") == server.command("ZSCORE", "large", "m1") == b"-0"
    assert [plain(value) for value in read_pieces([saved(server)])[0].values] in (
        [plain(small), plain(large)],
        [plain(large), plain(small)],
    )


class Pipe(RespPrinter):
    """The commands of a file, in memory."""

    def __init__(self, path: Path, reader: RdbReader) -> None:
        self.path = path
        super().__init__(Selection(None, None, None), path.open("wb"), reader)


def test_resp_output_rebuilds_the_dataset_through_redis_cli(server: RealServer, tmp_path: Path) -> None:
    """`redis-cli --pipe` takes every command, and the digest and the groups are as before."""
    client = require("redis-cli")
    fill(server)
    digest, groups = server.digest(), groups_of(server, False)
    rdb = saved(server)
    reader = RdbReader()
    pipe = Pipe(tmp_path / "commands", reader)
    reader.feed(rdb, pipe)
    pipe.out.close()
    server.command("FLUSHALL")
    with pipe.path.open("rb") as commands:
        done = subprocess.run(
            [client, "-p", str(server.port), "--pipe"], stdin=commands, capture_output=True, text=True, check=False
        )
    assert "errors: 0," in done.stdout, done.stdout + done.stderr
    assert server.digest() == digest
    rebuilt = groups_of(server, False)
    for key, (facts, found) in groups.items():
        assert rebuilt[key][0] == facts
        assert [without_times(group) for group in rebuilt[key][1]] == [without_times(group) for group in found]


def without_times(group: tuple[dict[bytes, Any], list[dict[bytes, Any]]]) -> Any:
    """A group without when its consumers were seen, which no command can set."""
    facts, consumers = group
    return facts, [{name: value for name, value in c.items() if name != b"seen-time"} for c in consumers]


def test_a_stream_read_and_written_again_can_go_on(server: RealServer) -> None:
    """After a load the server adds, reads and acknowledges as if it had never been away."""
    fill(server)
    load(
        server,
        copy_of(
            saved(server),
            functions=False,
            version=9 if server.kind != "valkey9" else 80,
            dialect="valkey" if server.kind == "valkey9" else "redis",
        ),
    )
    assert server.command("XADD", "stream", "400-0", "a", "1") == b"400-0"
    with pytest.raises(ReplyError, match="equal or smaller"):
        server.command("XADD", "stream", "400-0", "a", "1")
    assert server.command("XACK", "stream", "g1", "4-1") == 1
    assert len(server.command("XREADGROUP", "GROUP", "g1", "alice", "COUNT", 500, "STREAMS", "stream", ">")[0][1]) > 200
    value = next(v for v in read_pieces([saved(server)])[0].values if isinstance(v, StreamValue) and v.length > 300)
    assert value.last_id == (400, 0) and value.groups[b"g1"].last_id == (400, 0)
    assert (4, 1) not in value.groups[b"g1"].pending


def test_field_deadlines_go_to_valkey_and_back(tmp_path: Path) -> None:
    """As RDB 80, as a DUMP payload and as commands; a Redis file with deadlines is one for Valkey once written anew."""
    with start("valkey9") as server:

        def deadlines(key: str) -> Any:
            return server.command("HPEXPIRETIME", key, "FIELDS", 3, "a", "b", "c")

        server.command("HSET", "h", "a", "1", "b", "2", "c", "3")
        server.command("HPEXPIREAT", "h", FUTURE_MS, "FIELDS", 1, "a")
        server.command("HPEXPIREAT", "h", FUTURE_MS + 5, "FIELDS", 1, "c")
        expected = [FUTURE_MS, -1, FUTURE_MS + 5]
        assert deadlines("h") == expected
        rdb = saved(server)
        assert read_every_way(rdb).keys[0][2][2] == {b"a": FUTURE_MS, b"c": FUTURE_MS + 5}
        redis = copy_of(rdb, version=12)
        load(server, copy_of(redis, version=80, dialect="valkey"))
        assert deadlines("h") == expected
        server.command("RESTORE", "copy", 0, dump(restore(server.command("DUMP", "h")), 80))
        assert deadlines("copy") == expected
        server.command("FLUSHALL")
        reader = RdbReader()
        pipe = Pipe(tmp_path / "commands", reader)
        reader.feed(redis, pipe)
        pipe.out.close()
        with pipe.path.open("rb") as commands:
            subprocess.run(
                [require("redis-cli"), "-p", str(server.port), "--pipe"],
                stdin=commands,
                capture_output=True,
                check=True,
            )
        assert deadlines("h") == expected
