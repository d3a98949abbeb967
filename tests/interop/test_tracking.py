"""CLIENT TRACKING beside a live Redis 7.0, word for word, and under a real client that caches: redis-py."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

from tests.interop.conftest import Run
from tests.interop.differential import without_now
from tests.interop.servers import RawClient, RealServer, start, wait_until
from tests.interop.topology import attach, follow, in_sync
from tests.interop.wire import Argument

Words = list[Argument]

NULLS = (b"invalidate\r\n_\r\n", b"invalidate\r\n$-1\r\n")
"""Redis takes that of the client that redirects, though the one that is told may speak the other protocol."""


@pytest.fixture(scope="module", params=["txrepl", "redis70"])
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """What is said of one must hold for the other."""
    with start(request.param) as running:
        yield running


@pytest.fixture
def pair() -> Iterator[tuple[RealServer, RealServer]]:
    """txrepl and Redis 7.0, to be compared."""
    with ExitStack() as stack:
        yield stack.enter_context(start("txrepl")), stack.enter_context(start("redis70"))


class Side:
    """Clients of one server: three that speak RESP3, one RESP2, one RESP2 that listens, and one that always tracks.

    Parameters:
        server: it is emptied.
        first_id: of its clients, so that two servers' have the same.
    """

    def __init__(self, server: RealServer, first_id: int) -> None:
        self._pings = 0
        client = server.connect()
        while (number := client.command("CLIENT", "ID")) < first_id:
            client.close()
            client = server.connect()
        assert number == first_id
        self.clients = [client, *(server.connect() for _ in range(5))]
        client.command("FLUSHALL")
        for client in self.clients[:3]:
            client.command("HELLO", 3)
        self.clients[4].command("SUBSCRIBE", "__redis__:invalidate")
        self.clients[5].command("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "nothing")

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def run(self, number: int, words: Words) -> list[list[bytes]]:
        """What each client gets when one of them runs a command: replies and messages."""
        first = self.clients[number].raw_command(*words)
        heard = [self._until_quiet(client) for client in self.clients]
        heard[number].insert(0, first)
        return [[_alike(data) for data in parts] for parts in heard]

    def _until_quiet(self, client: RawClient) -> list[bytes]:
        """Everything up to the answer to a PING that is sent now; in a transaction, to its being queued."""
        self._pings += 1
        token = b"$10\r\n%010d\r\n" % self._pings
        client.send(b"*2\r\n$4\r\nPING\r\n" + token)
        parts = []
        while (part := client.read_raw_reply()) not in (token, b"*2\r\n$4\r\npong\r\n" + token, b"+QUEUED\r\n"):
            parts.append(part)
        return parts


def _alike(data: bytes) -> bytes:
    """The bytes without what two servers cannot have in common: clocks, and nulls of the wrong protocol."""
    for form in NULLS:
        data = data.replace(form, b"invalidate\r\nnull")
    return without_now(data)


FIRST_ID = 200
WRITES: list[Words] = [
    ["SET", "k1", "v"],
    ["SET", "k2", "v", "EX", 1000],
    ["SET", "k1", "v", "XX", "GET"],
    ["SETNX", "k1", "v"],
    ["MSET", "k1", 1, "k3", 2],
    ["INCR", "k1"],
    ["APPEND", "k2", "x"],
    ["APPEND", "k2", ""],
    ["SETRANGE", "k2", 1, ""],
    ["GETDEL", "k2"],
    ["GETEX", "k1", "PERSIST"],
    ["GETEX", "k1", "EX", 1000],
    ["DEL", "k1", "k2", "none"],
    ["UNLINK", "k3"],
    ["EXPIRE", "k1", 1000],
    ["EXPIRE", "k1", -1],
    ["PERSIST", "k1"],
    ["RENAME", "k1", "k2"],
    ["COPY", "k1", "k3", "REPLACE"],
    ["MOVE", "k3", 1],
    ["RPUSH", "p:list", 1, 2],
    ["LPOP", "p:list"],
    ["LPOP", "p:list", 0],
    ["LREM", "p:list", 0, "none"],
    ["LTRIM", "p:list", 0, -1],
    ["LSET", "p:list", 0, 1],
    ["SADD", "p:set", 1, 2],
    ["SADD", "p:set", 1],
    ["SREM", "p:set", 9],
    ["SREM", "p:set", 2],
    ["SMOVE", "p:set", "q:set", 1],
    ["SINTERSTORE", "q:set", "p:set", "none"],
    ["SUNIONSTORE", "q:set", "p:set"],
    ["HSET", "p:hash", "f", 1],
    ["HDEL", "p:hash", "none"],
    ["HDEL", "p:hash", "f"],
    ["HSETNX", "p:hash", "f", 1],
    ["HINCRBY", "p:hash", "n", 1],
    ["ZADD", "p:zset", 1, "m"],
    ["ZADD", "p:zset", "NX", 1, "m"],
    ["ZINCRBY", "p:zset", 1, "m"],
    ["ZREM", "p:zset", "m", "none"],
    ["ZPOPMIN", "p:zset"],
    ["ZUNIONSTORE", "q:zset", 1, "p:zset"],
    ["ZREMRANGEBYRANK", "p:zset", 0, 0],
    ["XADD", "p:stream", "*", "f", "v"],
    ["XTRIM", "p:stream", "MAXLEN", 0],
    ["XGROUP", "CREATE", "p:stream", "g", 0, "MKSTREAM"],
    ["XGROUP", "DESTROY", "p:stream", "g"],
    ["XSETID", "p:stream", "9999999999999-0"],
    ["PFADD", "q:hll", "a"],
    ["PFMERGE", "q:hll", "q:hll"],
    ["PFCOUNT", "q:hll"],
    ["SETBIT", "k1", 7, 1],
    ["BITOP", "AND", "k3", "k1", "k2"],
    ["BITFIELD", "k1", "GET", "u8", 0],
    ["BITFIELD", "k1", "SET", "u8", 0, 1],
    ["GEOADD", "q:geo", 1, 1, "m"],
    ["SORT", "p:list", "STORE", "q:sorted"],
    ["RESTORE", "k4", 0, b"\x00\xc0\x01\x0a\x00\x6f\x5b\xa2\x08\xd8\x2f\x8e\xf8", "REPLACE"],
    ["FLUSHDB"],
    ["FLUSHALL", "ASYNC"],
    ["SWAPDB", 0, 1],
]
READS: list[Words] = [
    ["GET", "k1"],
    ["MGET", "k1", "k2", "k1", "none"],
    ["EXISTS", "k2", "k3"],
    ["TTL", "k1"],
    ["TYPE", "p:list"],
    ["STRLEN", "p:list"],
    ["LRANGE", "p:list", 0, -1],
    ["SINTER", "p:set", "q:set"],
    ["SINTERCARD", 2, "p:set", "q:set"],
    ["HMGET", "p:hash", "f", "n"],
    ["ZRANGE", "p:zset", 0, -1],
    ["ZUNION", 2, "p:zset", "q:zset"],
    ["XRANGE", "p:stream", "-", "+", "COUNT", 0],
    ["XREAD", "COUNT", 1, "STREAMS", "p:stream", "none", "9999999999999-1", "0"],
    ["SORT_RO", "p:list"],
    ["BITCOUNT", "k1"],
    ["SCARD", "p:set"],
    ["DBSIZE"],
    ["GET"],
]
MODES: list[Words] = [
    [],
    [],
    ["NOLOOP"],
    ["OPTIN"],
    ["OPTOUT"],
    ["OPTIN", "NOLOOP"],
    ["OPTIN", "OPTOUT"],
    ["BCAST"],
    ["BCAST", "PREFIX", "p:"],
    ["bcast", "prefix", "p:", "PREFIX", "k"],
    ["BCAST", "PREFIX", "p:", "PREFIX", "p:s"],
    ["BCAST", "NOLOOP"],
    ["BCAST", "OPTIN"],
    ["PREFIX", "p:"],
    ["REDIRECT", FIRST_ID + 2],
    ["REDIRECT", FIRST_ID + 4],
    ["REDIRECT", FIRST_ID + 4, "BCAST", "PREFIX", "q:"],
    ["REDIRECT", "99999"],
    ["REDIRECT", "x"],
    ["REDIRECT"],
    ["NONE"],
]


def random_step(rng: random.Random) -> tuple[int, Words]:
    """A client and a command; the one that hears for others does not write, for Redis tells it amid its own reply."""
    number, roll = rng.randrange(4), rng.random()
    if number == 2:
        roll *= 0.6
    if roll < 0.07:
        return number, ["CLIENT", "TRACKING", "ON", *rng.choice(MODES)]
    if roll < 0.1:
        return number, ["CLIENT", "TRACKING", rng.choice(["OFF", "off", "bad"])]
    if roll < 0.14:
        return number, ["CLIENT", "CACHING", rng.choice(["YES", "no", "bad"])]
    if roll < 0.17:
        return number, ["CLIENT", rng.choice(["TRACKINGINFO", "GETREDIR"])]
    if roll < 0.22:
        return number, [rng.choice(["MULTI", "EXEC", "EXEC", "DISCARD"])]
    if roll < 0.24:
        return number, ["SELECT", rng.choice([0, 0, 1])]
    return number, rng.choice(READS if roll < 0.6 else WRITES)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_clients_hear_what_they_hear_of_redis(pair: tuple[RealServer, RealServer], seed: int) -> None:
    """Four clients track in every way, read and write at random: each gets the same bytes in the same order."""
    rng = random.Random(seed)
    sides = [Side(server, FIRST_ID) for server in pair]
    said: list[tuple[int, Words]] = []
    try:
        for _ in range(800):
            said.append(random_step(rng))
            mine, theirs = (side.run(*said[-1]) for side in sides)
            assert mine == theirs, said[-5:][::-1]
        kept = [
            [line for line in server.command("INFO").splitlines() if line.startswith(b"tracking_")] for server in pair
        ]
        assert kept[0] == kept[1]
    finally:
        for side in sides:
            side.close()


def test_flags_and_redirect_are_listed(pair: tuple[RealServer, RealServer]) -> None:
    """t, B, and R once the client that is redirected to is gone."""
    seen = []
    for server in pair:
        with server.connect() as client, server.connect() as other:
            client.command("HELLO", 3)
            number = client.command("CLIENT", "ID")
            lines = [client.command("CLIENT", "INFO")]
            client.command("CLIENT", "TRACKING", "ON", "BCAST")
            lines.append(client.command("CLIENT", "INFO"))
            client.command("CLIENT", "TRACKING", "OFF")
            client.command("CLIENT", "TRACKING", "ON", "REDIRECT", other.command("CLIENT", "ID"))
            client.command("GET", "k")
            other.close()
            wait_until(
                lambda server=server: server.info("clients")["connected_clients"] == "2", 10, "one client is gone"
            )
            server.command("SET", "k", "v")
            assert client.read_reply()[0] == b"tracking-redir-broken"
            lines.append(server.command("CLIENT", "LIST", "ID", number))
        words = [dict(word.split(b"=", 1) for word in line.split()) for line in lines]
        seen.append([(word[b"flags"], word[b"redir"] in (b"0", b"-1") or b"another") for word in words])
    assert seen[0] == seen[1] == [(b"N", True), (b"tB", True), (b"tR", b"another")]


def test_keys_that_expire_and_too_many_keys_are_told(server: RealServer) -> None:
    """By active expiry, by being looked at, and by tracking-table-max-keys."""
    server.command("FLUSHALL")
    with server.connect() as client:
        client.command("HELLO", 3)
        client.command("CLIENT", "TRACKING", "ON")
        server.command("SET", "brief", "v", "PX", 800)
        assert client.command("GET", "brief") == b"v"
        assert client.read_reply() == [b"invalidate", [b"brief"]]
        server.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        server.command("SET", "brief", "v", "PX", 800)
        assert client.command("GET", "brief") == b"v"
        wait_until(lambda: server.command("GET", "brief") is None, 10, "it is found expired")
        assert client.read_reply() == [b"invalidate", [b"brief"]]
        server.command("DEBUG", "SET-ACTIVE-EXPIRE", 1)
        server.command("CONFIG", "SET", "tracking-table-max-keys", 10)
        told = []
        with server.connect() as reader:
            reader.command("HELLO", 3)
            reader.command("CLIENT", "TRACKING", "ON")
            for number in range(30):
                reader.send(b"*2\r\n$3\r\nGET\r\n$%d\r\nk%d\r\n" % (len(str(number)) + 1, number))
            reader.send(b"*1\r\n$4\r\nPING\r\n")
            while (answer := reader.read_reply()) != "PONG":
                if isinstance(answer, list):
                    told += answer[1]
        assert len(set(told)) == 20
        assert int(server.info("stats")["tracking_total_keys"]) == 10
        server.command("CONFIG", "SET", "tracking-table-max-keys", 1000000)


def test_a_replicas_clients_hear_of_the_primarys_writes(run: Run) -> None:
    """And of a full sync, which replaces everything, as an emptied database."""
    primary, replica = run("redis70"), run("txrepl")
    attach(replica, primary)
    with replica.connect() as client:
        client.command("HELLO", 3)
        client.command("CLIENT", "TRACKING", "ON")
        client.command("GET", "k")
        primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        primary.command("SET", "k", "v", "PX", 50)
        assert client.read_reply() == [b"invalidate", [b"k"]]
        client.command("GET", "k")
        wait_until(lambda: primary.command("GET", "k") is None, 10, "it expires, and the DEL goes into the stream")
        assert client.read_reply() == [b"invalidate", [b"k"]]
        wait_until(lambda: in_sync(primary, replica), 10, "in sync")
        other = run("redis70")
        follow(replica, other)
        assert client.read_reply() == [b"invalidate", None]


@pytest.mark.parametrize("kind", ["txrepl", "valkey9"])
def test_what_a_script_reads_is_tracked_and_what_it_writes_told_after_its_reply(run: Run, kind: str) -> None:
    """Keys that it really reads, as since Redis 7.2, not those that were declared."""
    server = run(kind)
    with server.connect() as client:
        client.command("HELLO", 3)
        client.command("CLIENT", "TRACKING", "ON")
        reading = "return redis.call('get', 'read')"
        for words in (["EVAL", reading, 1, "declared"], ["EVAL_RO", reading, 1, "declared"]):
            assert client.command(*words) is None
            server.command("MSET", "declared", 1, "read", 1)
            server.command("DEL", "read")
            assert client.read_reply() == [b"invalidate", [b"read"]]
        writing = (
            "redis.call('get', 'a') redis.call('set', 'a', 1) redis.call('get', 'b') return redis.call('set', 'b', 1)"
        )
        assert client.command("EVAL", writing, 0) == "OK"
        assert [client.read_reply() for _ in "ab"] == [[b"invalidate", [b"a"]], [b"invalidate", [b"b"]]]
        assert client.command("PING") == "PONG"


@pytest.fixture
def caching(server: RealServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """redis-py with its client-side cache, which it would only use with a server that calls itself 7.4 or later."""
    monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    server.command("FLUSHALL")
    with redis.Redis(port=server.port, protocol=3, cache_config=CacheConfig()) as client:
        yield client


def test_redis_py_caches_what_it_reads_and_drops_what_changes(server: RealServer, caching: redis.Redis) -> None:
    """Reads are answered from the cache until another client changes the key."""
    server.command("MSET", "a", 1, "b", 2)
    assert (caching.get("a"), caching.mget("a", "b")) == (b"1", [b"1", b"2"])
    cache = caching.get_cache()
    assert cache is not None and cache.size == 2
    calls = _calls(server, "get")
    assert [caching.get("a") for _ in range(50)] == [b"1"] * 50
    assert _calls(server, "get") == calls
    server.command("SET", "a", 3)
    wait_until(lambda: caching.get("a") == b"3", 10, "the cache drops what changed")
    assert caching.mget("a", "b") == [b"3", b"2"]
    server.command("FLUSHALL")
    wait_until(lambda: caching.get("a") is None, 10, "the cache drops everything")


def test_redis_py_never_reads_its_own_write_stale(server: RealServer, caching: redis.Redis) -> None:
    """The invalidation of an own write follows the reply, and is read before the next read."""
    for number in range(100):
        caching.set("own", number)
        assert caching.get("own") == str(number).encode()
        assert caching.get("own") == str(number).encode()
    with caching.pipeline() as pipe:
        pipe.set("own", "in a transaction").get("own")
        assert pipe.execute() == [True, b"in a transaction"]
    assert caching.get("own") == b"in a transaction"


def _calls(server: RealServer, name: str) -> str:
    """How often a command was called."""
    return server.info("commandstats").get(f"cmdstat_{name}", "calls=0").split(",")[0]
