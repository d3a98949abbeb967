"""Clocks of use, eviction and memory limits as live servers have them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RawClient, RealServer, ReplyError, start, wait_until

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


# -- the limit --------------------------------------------------------------------------------------------------


def _reach(server: RealServer, policy: str, spare_bytes: int) -> None:
    """Set the policy, and a limit of so many bytes above what is used."""
    server.command("CONFIG", "SET", "maxmemory-policy", policy)
    used = int(server.info("memory")["used_memory"])
    server.command("CONFIG", "SET", "maxmemory", used + spare_bytes)


_OUT_OF_MEMORY = """
SET k v|GET big:1|DEL nothing|APPEND k v|LPUSH l v|LPOP l|EXPIRE big:1 1000|HSET h f v|SETRANGE k 5 v|RENAME big:1 big:x
COPY big:x big:y|MULTI|GET k|SET k v|EXEC|MULTI|DISCARD|MULTI|PING|RESET|WATCH k|UNWATCH|PUBLISH c m|SORT big:x STORE l
EVAL "return redis.call('SET', KEYS[1], 'v')" 1 k|EVAL "return redis.call('GET', KEYS[1])" 1 k
EVAL "return redis.pcall('SET', KEYS[1], 'v')" 1 k|EVAL "return redis.call('DEL', KEYS[1])" 1 k
EVAL "#!lua\\nreturn 1" 0|EVAL "#!lua flags=no-writes\\nreturn 1" 0|EVAL_RO "return 1" 0
EVAL "#!lua flags=allow-oom\\nreturn redis.call('SET', KEYS[1], 'v')" 1 allowed
EVAL "redis.call('DEL', 'none') return redis.call('SET', KEYS[1], 'v')" 1 dirty|CONFIG SET maxmemory 0|SET k v
""".strip().replace("\n", "|")


def test_what_is_refused_without_memory_is_the_same(redis: RealServer, ours: RealServer) -> None:
    """Commands, transactions and scripts; with Redis's texts."""

    def answers(server: RealServer) -> list[tuple[str, Any]]:
        for number in range(100):
            server.command("SET", f"big:{number}", "x" * 10_000)
        server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        server.command("CONFIG", "SET", "maxmemory", "1kb")
        with server.connect() as client:
            commands = _OUT_OF_MEMORY.split("|")
            found = [(text, client.execute(*shlex.split(text.replace("\\n", "\n")))) for text in commands]
        return [(text, _error_of(answer)) for text, answer in found]

    assert answers(ours) == answers(redis)


def _error_of(answer: Any) -> Any:
    """An answer, but for what the line of a script that failed is called."""
    return str(answer).partition(" script: ")[0] if isinstance(answer, ReplyError) else answer


@pytest.mark.parametrize("lazy", ["no", "yes"])
def test_evictions_reach_a_redis_replica(ours: RealServer, run: Run, lazy: str) -> None:
    """As DEL or UNLINK: the replica holds what the primary holds, no more and no less."""
    ours.command("CONFIG", "SET", "lazyfree-lazy-eviction", lazy)
    replica = run("redis70", replicaof=("127.0.0.1", ours.port), maxmemory="1kb", maxmemory_policy="allkeys-random")
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", WAIT_S, "the link is up")
    _reach(ours, "allkeys-lru", 300_000)
    with ours.connect() as client:
        client.pipeline([("SET", f"key:{number}", "x" * 100) for number in range(3_000)])
        client.pipeline([("RPUSH", f"list:{number % 300}", "y" * 100) for number in range(3_000)])
    evicted = int(ours.info("stats")["evicted_keys"])
    assert evicted > 2_000
    wait_until(lambda: replica.offset() == ours.offset(), WAIT_S, "the replica has all")
    assert replica.digest() == ours.digest(legacy=True)
    told = replica.info("commandstats")
    word, other = ("cmdstat_unlink", "cmdstat_del") if lazy == "yes" else ("cmdstat_del", "cmdstat_unlink")
    assert f"calls={evicted}," in told[word] and other not in told
    assert int(replica.info("stats")["evicted_keys"]) == 0


@pytest.mark.parametrize("word", ["DEL", "UNLINK"])
def test_redis_tells_its_replicas_the_same_word(redis: RealServer, run: Run, word: str) -> None:
    """A Redis primary's evictions empty a txrepl replica likewise, which evicts nothing by itself."""
    redis.command("CONFIG", "SET", "lazyfree-lazy-eviction", "yes" if word == "UNLINK" else "no")
    replica = run("txrepl", replicaof=("127.0.0.1", redis.port), maxmemory="1kb", maxmemory_policy="allkeys-random")
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", WAIT_S, "the link is up")
    _reach(redis, "allkeys-lru", 300_000)
    with redis.connect() as client:
        client.pipeline([("SET", f"key:{number}", "x" * 100) for number in range(4_000)])
    evicted = int(redis.info("stats")["evicted_keys"])
    wait_until(lambda: replica.offset() == redis.offset(), WAIT_S, "the replica has all")
    assert replica.digest(legacy=True) == redis.digest()
    assert f"calls={evicted}," in replica.info("commandstats")[f"cmdstat_{word.lower()}"]
    assert int(replica.info("stats")["evicted_keys"]) == 0


def _survivors(server: RealServer, policy: str) -> tuple[float, float]:
    """The share of the hot and of the cold keys that survive when a third of all has to go."""
    server.command("CONFIG", "SET", "lfu-log-factor", 1)
    keys = 3_000
    _reach(server, policy, 10**9)
    with server.connect() as client:
        client.pipeline([("SET", f"key:{number}", "x" * 200) for number in range(keys)])
        if policy.endswith("lru"):
            client.command("DEBUG", "SLEEP", 1.2)  # clocks of use go by the second
        for _ in range(1 if policy.endswith("lru") else 8):
            client.pipeline([("GET", f"key:{number}") for number in range(0, keys, 4)])
        _reach(server, policy, 0)
        client.pipeline([("SET", f"new:{number}", "x" * 200) for number in range(keys // 3)])
        left = client.pipeline([("EXISTS", f"key:{number}") for number in range(keys)])
    hot, cold = left[::4], [found for number, found in enumerate(left) if number % 4]
    return sum(hot) / len(hot), sum(cold) / len(cold)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu"])
def test_hot_keys_survive_as_they_do_in_redis(redis: RealServer, ours: RealServer, policy: str) -> None:
    """No fewer of them, but for a margin, and clearly more than of the cold ones."""
    right, found = _survivors(redis, policy), _survivors(ours, policy)
    assert found[0] > 0.9 and found[0] > found[1] + 0.2
    assert found[0] >= right[0] - 0.05


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_keys_without_deadline_stay(ours: RealServer, policy: str) -> None:
    """With a volatile policy, whatever comes; when no other key is left, writes are refused."""
    with ours.connect() as client:
        client.pipeline([("SET", f"lasting:{number}", "x" * 100) for number in range(500)])
        client.pipeline([("SET", f"dying:{number}", "x" * 100, "EX", 10_000) for number in range(500)])
        _reach(ours, policy, 0)
        answers = client.pipeline([("SET", f"new:{number}", "x" * 100) for number in range(1_500)])
        assert isinstance(answers[-1], ReplyError) and str(answers[-1]).startswith("OOM ")
        assert client.command("EXISTS", *(f"lasting:{number}" for number in range(500))) == 500
        assert client.command("EXISTS", *(f"dying:{number}" for number in range(500))) == 0


def test_the_answers_of_memory_are_formed_alike(redis: RealServer, ours: RealServer) -> None:
    """Errors to the letter, MEMORY STATS field by field, the rest by type."""
    commands = (
        "MEMORY", "MEMORY FOO", "MEMORY USAGE", "MEMORY USAGE nokey", "MEMORY USAGE k SAMPLES", "MEMORY USAGE k FOO 1",
        "MEMORY USAGE k SAMPLES -1", "MEMORY USAGE k SAMPLES x", "MEMORY USAGE nokey SAMPLES x", "MEMORY DOCTOR",
        "MEMORY DOCTOR x", "MEMORY STATS x", "MEMORY PURGE", "MEMORY PURGE x", "MEMORY MALLOC-STATS x",
    )  # fmt: skip

    def answers(server: RealServer) -> list[Any]:
        server.command("SET", "k", "a value", "EX", 1000)
        with server.connect() as client:
            found = [client.execute(*command.split(" ")) for command in commands]
            found.append(client.execute("MEMORY", "USAGE", "k", "SAMPLES", 0) > 20)
            found.append(client.execute("MEMORY", "STATS")[::2])
            return found

    assert answers(ours) == answers(redis)


# -- connections ------------------------------------------------------------------------------------------------


def test_who_is_closed_for_the_memory_of_connections_is_the_same(redis: RealServer, ours: RealServer) -> None:
    """The one that holds most, unless it said NO-EVICT; then the others have to go."""

    def names(server: RealServer) -> set[str]:
        lines = server.command("CLIENT", "LIST").decode().splitlines()
        return {line.split(" name=")[1].split(" ")[0] for line in lines} - {""}

    def half_a_request(client: RawClient) -> None:
        try:
            client.send(b"*2\r\n$3\r\nGET\r\n$5000000\r\n" + b"x" * 4_000_000)
        except OSError:
            pass  # it is closed while it sends

    for server in (redis, ours):
        server.command("CONFIG", "SET", "maxmemory-clients", "3mb")
        with server.connect() as greedy, server.connect() as modest, server.connect() as kept:
            for client, name in ((greedy, "greedy"), (modest, "modest"), (kept, "kept")):
                client.command("CLIENT", "SETNAME", name)
            half_a_request(greedy)
            wait_until(lambda s=server: names(s) == {"modest", "kept"}, WAIT_S, "the greedy one is closed")
            kept.command("CLIENT", "NO-EVICT", "ON")
            half_a_request(kept)
            wait_until(lambda s=server: names(s) == {"kept"}, WAIT_S, "the modest one has to go")
        assert int(server.info("stats")["evicted_clients"]) >= 2
