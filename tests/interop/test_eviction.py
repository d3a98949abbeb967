"""Clocks of use, eviction and memory limits as live servers have them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RealServer, ReplyError, start, wait_until

WAIT_S = 20.0

_USES = """
SET s 0123456789012345678901234567890123456789012345678901234567890123456789|GET s|STRLEN s|GETRANGE s 0 1|APPEND s x
SETRANGE s 0 x|SETBIT s 1 1|GETBIT s 1|BITCOUNT s|BITPOS s 1|BITFIELD s GET u8 0|BITFIELD s SET u8 0 7|DUMP s
TYPE s|EXISTS s|TTL s|PTTL s|EXPIRETIME s|OBJECT ENCODING s|OBJECT REFCOUNT s|OBJECT FREQ s|DEBUG OBJECT s|SCAN 0
KEYS *|RANDOMKEY|TOUCH s|TOUCH s s|MGET s s|SETNX s 1|MSETNX s 1|GETEX s|GETEX s EX 100|PERSIST s|EXPIRE s 100
SET s v XX|SET s v KEEPTTL|SET s v GET|GETSET s qq|MSET s aaaaaaaaaaa|SETEX s 100 aaaaaaaaa|PSETEX s 100000 aaaaa
SET n notshared|SET n 100000|INCR n|INCRBY n 5|DECR n|INCRBYFLOAT n 1.5
LPUSH l a b c|LPUSH l a|LPUSHX l a|RPUSH l d|LRANGE l 0 -1|LLEN l|LINDEX l 0|LPOS l a|LSET l 0 z|LREM l 1 y|LPOP l
LTRIM l 0 5|LMOVE l l LEFT RIGHT|LMPOP 1 l LEFT|BLPOP l 1|SORT l ALPHA|RPUSH l a b c|SORT l ALPHA STORE l
HSET h a 1 b 2|HSET h a 1|HSETNX h a 1|HGET h a|HMGET h a b|HGETALL h|HLEN h|HDEL h nope|HINCRBY h a 1|HSCAN h 0
SADD t a b c|SADD t a|SISMEMBER t a|SCARD t|SMEMBERS t|SREM t nope|SPOP t|SINTER t t|SUNION t|SADD u q|SMOVE u t q
ZADD z 1 a 2 b 3 c|ZADD z 1 a|ZINCRBY z 1 a|ZSCORE z a|ZCARD z|ZRANGE z 0 -1|ZRANK z a|ZREM z nope|ZUNION 1 z|ZPOPMIN z
XADD x 1-1 a b|XADD x 1-2 a b|XLEN x|XRANGE x - +|XREAD STREAMS x 0|XTRIM x MAXLEN 5|XDEL x 9-9|XGROUP CREATE x g 0
PFADD p a|PFADD p a|PFCOUNT p|GEOADD g 1 1 a|GEODIST g a a|GEOSEARCH g FROMMEMBER a BYRADIUS 1 m
RENAME s s|RENAMENX s s|COPY s s2|RENAME s s3|RENAME s3 s|MOVE s 0|WATCH s|UNWATCH|COPY s s2 REPLACE|BITOP AND s s s
"""
_KEYS = ("s", "s2", "s3", "n", "l", "h", "t", "u", "z", "x", "p", "g")


@pytest.fixture(scope="module")
def redis() -> Iterator[RealServer]:
    """A live Redis 7.0, which says what is right."""
    with start("redis70") as server:
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    """A txrepl."""
    with start("txrepl") as server:
        yield server


@pytest.fixture(autouse=True)
def fresh(redis: RealServer, ours: RealServer) -> None:
    """Both empty, and with the usual directives."""
    for server in (redis, ours):
        usual = {
            "maxmemory": "0", "maxmemory-policy": "noeviction", "maxmemory-samples": "5", "lfu-log-factor": "10",
            "lfu-decay-time": "1", "maxmemory-clients": "0", "lazyfree-lazy-eviction": "no",
        }  # fmt: skip
        server.command("CONFIG", "SET", *(word for pair in usual.items() for word in pair))
        server.command("FLUSHALL")
        server.command("CONFIG", "RESETSTAT")


# -- clocks of use ----------------------------------------------------------------------------------------------


def _counts_after_each(server: RealServer) -> list[tuple[str, dict[str, Any]]]:
    """After each command, the counter of every key: with factor 0 each use counts one."""
    server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu", "lfu-log-factor", 0, "lfu-decay-time", 0)
    server.command("CONFIG", "SET", "maxmemory", "1gb")  # so that Redis does not share small integers
    seen = []
    with server.connect() as client:
        for command in _USES.strip().replace("\n", "|").split("|"):
            client.execute(*shlex.split(command))
            seen.append((command, {key: client.execute("OBJECT", "FREQ", key) for key in _KEYS}))
    return seen


def test_the_same_commands_are_uses_of_the_same_keys(redis: RealServer, ours: RealServer) -> None:
    """Looking a value up counts, asking about a key does not, values keep their counter or begin anew: as in Redis."""
    for right, found in zip(_counts_after_each(redis), _counts_after_each(ours), strict=True):
        assert found == right


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_uses_travel_with_a_full_sync(redis: RealServer, ours: RealServer, run: Run, policy: str) -> None:
    """Idle times and counters that a primary has are those of its new replica, from either to the other."""
    word, option = ("IDLETIME", "5000") if policy.endswith("lru") else ("FREQ", "99")
    for primary, kind in ((redis, "txrepl"), (ours, "redis70")):
        primary.command("CONFIG", "SET", "maxmemory-policy", policy, "lfu-decay-time", 0)
        primary.command("SET", "source", "a value")
        payload = primary.command("DUMP", "source")
        primary.command("RESTORE", "k", 0, payload, word, option)
        primary.command("RESTORE", "dying", 1_000_000, payload, word, option)
        replica = run(
            kind, replicaof=("127.0.0.1", primary.port), maxmemory_policy=policy, lfu_decay_time=0
        )  # fmt: skip
        wait_until(lambda r=replica: r.command("EXISTS", "k", "dying") == 2, WAIT_S, "the full sync is done")
        for key in ("k", "dying"):
            known = replica.command("OBJECT", word, key)
            assert int(option) <= known <= int(option) + WAIT_S
        fresh = replica.command("OBJECT", word, "source")
        assert fresh < WAIT_S + 10


def test_the_texts_of_errors_are_the_same(redis: RealServer, ours: RealServer) -> None:
    """OBJECT IDLETIME and FREQ with either kind of policy, and RESTORE's limits."""

    def answers(server: RealServer) -> list[Any]:
        found = []
        server.command("SET", "k", "a value")
        for policy in ("noeviction", "volatile-lfu"):
            server.command("CONFIG", "SET", "maxmemory-policy", policy)
            for word in ("IDLETIME", "FREQ"):
                with server.connect() as client:
                    found += [client.execute("OBJECT", word, "k"), client.execute("OBJECT", word, "nokey")]
        return [answer if isinstance(answer, ReplyError | None) else "a number" for answer in found]

    assert answers(ours) == answers(redis)
