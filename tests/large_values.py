"""Commands against values of very different size: what one costs, and whether any holds up the server.

Everything runs through the dispatcher of a node without sockets, with the collector at the pace of a server's, and
is measured in CPU time of this thread. `tests/commands/test_large_values.py` does it at a size that a test can bear,
`benchmarks/large_values.py` with a million members.

What no command is to blame for: the one that makes a set or a hash outgrow its table waits while CPython copies it, 5
ms at a hundred thousand members, 50 to 80 ms at a million.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from time import thread_time_ns
from typing import Final

from twisted.internet.task import Clock

from tests.admin.support import FakeHost, NoTimer
from txrepl.commands.session import Session
from txrepl.config import Config
from txrepl.net.garbage import PACE_S, PacedCollector
from txrepl.node import Node

SMALL: Final = 1000
ROUNDS: Final = 7
CALLS: Final = 40
"""Calls in a round: few enough to leave a value of `SMALL` members about as large as it was."""

Words = tuple[object, ...]
Make = Callable[["Bench", int], Words]
"""The words of a call, of a bench whose values have so many members, and the number of the call."""

BY_NATURE: Final[dict[str, str]] = {
    "lindex": "passes the elements between an end and the index, 64 in a step",
    "lset": "passes the elements between an end and the index, 64 in a step",
    "linsert": "compares every element before the pivot, and moves up to half of the list by blocks",
    "lpos": "compares every element up to the match",
    "lrem": "compares every element",
    "ltrim": "removes or keeps elements one by one, whichever are fewer",
    "smembers": "gives every member",
    "sinter": "asks for every member of the smallest set",
    "sintercard": "asks for every member of the smallest set, up to LIMIT",
    "sinterstore": "asks for every member of the smallest set",
    "sunion": "gives every member of every set",
    "sunionstore": "copies every member of every set",
    "sdiff": "asks for every member of the first set",
    "sdiffstore": "asks for every member of the first set",
    "hgetall": "gives every field",
    "hkeys": "gives every field",
    "hvals": "gives every value",
    "zunion": "reads every member of every set",
    "zunionstore": "reads every member of every set",
    "zinter": "reads every member of the smallest set",
    "zintercard": "reads every member of the smallest set, up to LIMIT",
    "zinterstore": "reads every member of the smallest set",
    "zdiff": "reads every member of the first set",
    "zdiffstore": "reads every member of the first set",
    "zrangestore": "copies every member of the range",
    "zremrangebyscore": "removes every member of the range",
    "zremrangebylex": "removes every member of the range",
    "xgroup destroy": "lets go of everything pending in the group",
    "xgroup delconsumer": "lets go of everything pending for the consumer",
    "xtrim": "removes every entry before the first that stays",
    "xpending": "without a range: counts what is pending for each consumer; else looks at what is idle long enough",
    "xinfo stream": "after entries went: counts the nodes of the radix tree anew, one for each hundred entries",
}
"""Commands whose cost, for a whole value, grows with its size; what they do is bounded by that alone."""

SAME_AS: Final[dict[str, str]] = {
    "rpush": "lpush",
    "rpushx": "lpushx",
    "hmset": "hset",
    "zrevrank": "zrank",
    "blmove": "lmove",
    "brpoplpush": "lmove",
    "blpop": "lpop",
    "brpop": "lpop",
    "lmpop": "lpop",
    "blmpop": "lpop",
    "bzpopmin": "zpopmin",
    "bzpopmax": "zpopmin",
    "zmpop": "zpopmin",
    "bzmpop": "zpopmin",
    "zrevrangebyscore": "zrangebyscore",
    "zrevrangebylex": "zrangebylex",
    "hincrbyfloat": "hincrby",
    "xgroup setid": "xgroup createconsumer",
    "xinfo consumers": "xinfo groups",
}
"""Commands that take the same way through a value as another one."""


@dataclass(frozen=True)
class Case:
    """A command that is to cost the same whatever the size of the value.

    Attributes:
        name: the command, and behind a colon what is special.
        make: its words.
    """

    name: str
    make: Make

    @property
    def command(self) -> str:
        """The command's name."""
        return self.name.partition(":")[0]


def _case(name: str, *words: object) -> Case:
    """A case whose words are the same at every call; callables give one of each call's own."""

    def make(bench: Bench, number: int) -> Words:
        return tuple(word(bench, number) if callable(word) else word for word in words)

    return Case(name, make)


def _any(bench: Bench, _: int) -> bytes:
    """A member that was there from the beginning."""
    return b"member:%d" % bench.rng.randrange(bench.size)


def _each(bench: Bench, number: int) -> bytes:
    """A member that was there from the beginning, another one at each call."""
    return b"member:%d" % (number * 7919 % bench.size)


def _new(bench: Bench, number: int) -> bytes:
    return b"new:%d" % number


def _score(bench: Bench, _: int) -> int:
    return bench.rng.randrange(bench.size)


def _entry(bench: Bench, _: int) -> bytes:
    """The id of an entry in the later part of the stream."""
    return b"%d-0" % bench.rng.randrange(bench.size // 2, bench.size)


def _each_entry(bench: Bench, number: int) -> bytes:
    """The id of an entry, another one at each call."""
    return b"%d-0" % (number * 7919 % bench.size + 1)


CASES: Final = (
    _case("lpush", "LPUSH", "list", "x"),
    _case("rpush", "RPUSH", "list", "x"),
    _case("lpushx", "LPUSHX", "list", "x"),
    _case("lpop", "LPOP", "list"),
    _case("rpop", "RPOP", "list"),
    _case("llen", "LLEN", "list"),
    _case("lindex:head", "LINDEX", "list", 10),
    _case("lindex:tail", "LINDEX", "list", -10),
    _case("lset:tail", "LSET", "list", -10, "x"),
    _case("lrange:head", "LRANGE", "list", 0, 9),
    _case("lrange:tail", "LRANGE", "list", -10, -1),
    _case("lmove", "LMOVE", "list", "list", "LEFT", "RIGHT"),
    _case("rpoplpush", "RPOPLPUSH", "list", "list"),
    _case("lpos:head", "LPOS", "list", "member:5", "MAXLEN", 10),
    _case("sadd", "SADD", "set", _new),
    _case("sadd:there", "SADD", "set", _any),
    _case("srem", "SREM", "set", _each),
    _case("sismember", "SISMEMBER", "set", _any),
    _case("smismember", "SMISMEMBER", "set", _any, "none"),
    _case("scard", "SCARD", "set"),
    _case("spop", "SPOP", "set"),
    _case("spop:several", "SPOP", "set", 3),
    _case("srandmember", "SRANDMEMBER", "set"),
    _case("srandmember:several", "SRANDMEMBER", "set", 10),
    _case("srandmember:repeated", "SRANDMEMBER", "set", -10),
    _case("smove", "SMOVE", "set", "moved", _any),
    _case("sscan", "SSCAN", "set", 0),
    _case("hset", "HSET", "hash", _new, "x"),
    _case("hset:there", "HSET", "hash", _any, "x"),
    _case("hsetnx", "HSETNX", "hash", _any, "x"),
    _case("hget", "HGET", "hash", _any),
    _case("hmget", "HMGET", "hash", _any, "none"),
    _case("hexists", "HEXISTS", "hash", _any),
    _case("hstrlen", "HSTRLEN", "hash", _any),
    _case("hincrby", "HINCRBY", "hash", "number", 3),
    _case("hlen", "HLEN", "hash"),
    _case("hdel", "HDEL", "hash", _each),
    _case("hrandfield", "HRANDFIELD", "hash"),
    _case("hrandfield:several", "HRANDFIELD", "hash", 10, "WITHVALUES"),
    _case("hscan", "HSCAN", "hash", 0),
    _case("zadd", "ZADD", "zset", _score, _new),
    _case("zadd:there", "ZADD", "zset", _score, _any),
    _case("zincrby", "ZINCRBY", "zset", 1.5, _any),
    _case("zrem", "ZREM", "zset", _each),
    _case("zscore", "ZSCORE", "zset", _any),
    _case("zmscore", "ZMSCORE", "zset", _any, "none"),
    _case("zcard", "ZCARD", "zset"),
    _case("zrank", "ZRANK", "zset", _any),
    _case("zcount", "ZCOUNT", "zset", _score, _score),
    _case("zrange:head", "ZRANGE", "zset", 0, 9),
    _case("zrange:tail", "ZRANGE", "zset", -10, -1, "WITHSCORES"),
    _case("zrange:middle", "ZRANGE", "zset", 400, 409),
    _case("zrevrange", "ZREVRANGE", "zset", 400, 409),
    _case("zrangebyscore", "ZRANGEBYSCORE", "zset", _score, "+inf", "LIMIT", 0, 10),
    _case("zrangebylex", "ZRANGEBYLEX", "lex", lambda b, n: b"[" + _any(b, n), "+", "LIMIT", 0, 10),
    _case("zlexcount", "ZLEXCOUNT", "lex", lambda b, n: b"[" + _any(b, n), "+"),
    _case("zpopmin", "ZPOPMIN", "zset"),
    _case("zpopmax", "ZPOPMAX", "zset"),
    _case("zremrangebyrank", "ZREMRANGEBYRANK", "zset", 400, 400),
    _case("zrandmember", "ZRANDMEMBER", "zset"),
    _case("zrandmember:several", "ZRANDMEMBER", "zset", 10),
    _case("zscan", "ZSCAN", "zset", 0),
    _case("xadd", "XADD", "stream", "*", "field", "value"),
    _case("xlen", "XLEN", "stream"),
    _case("xrange", "XRANGE", "stream", _entry, "+", "COUNT", 10),
    _case("xrevrange", "XREVRANGE", "stream", _entry, "-", "COUNT", 10),
    _case("xread", "XREAD", "COUNT", 10, "STREAMS", "stream", _entry),
    _case("xreadgroup", "XREADGROUP", "GROUP", "readers", "r", "COUNT", 1, "STREAMS", "stream", ">"),
    _case("xack", "XACK", "stream", "holders", _each_entry),
    _case("xclaim", "XCLAIM", "stream", "holders", "d", 0, _entry),
    _case("xautoclaim", "XAUTOCLAIM", "stream", "holders", "e", 0, _entry, "COUNT", 1),
    _case("xpending:range", "XPENDING", "stream", "holders", _entry, "+", 10),
    _case("xdel", "XDEL", "stream", _each_entry),
    _case("xsetid", "XSETID", "stream", "99999999999999-0"),
    _case("xgroup create", "XGROUP", "CREATE", "stream", _new, "$"),
    _case("xgroup createconsumer", "XGROUP", "CREATECONSUMER", "stream", "readers", _new),
    _case("xinfo groups", "XINFO", "GROUPS", "readers_only"),
    _case("type", "TYPE", "stream"),
    _case("exists", "EXISTS", "list", "set", "hash", "zset", "stream"),
    _case("object encoding", "OBJECT", "ENCODING", "list"),
    _case("expire", "EXPIRE", "zset", 100_000),
    _case("persist", "PERSIST", "zset"),
    _case("rename", "RENAME", "hash", "hash"),
)
"""What is to cost the same, in an order that leaves the values about as they were."""

WHOLE: Final = (
    ("LINDEX", "list", "MIDDLE"),
    ("LSET", "list", "MIDDLE", "x"),
    ("LINSERT", "list", "BEFORE", "none", "x"),
    ("LPOS", "list", "none"),
    ("LREM", "list", 1, "none"),
    ("LRANGE", "list", "MIDDLE", "MIDDLE"),
    ("XINFO", "STREAM", "stream"),
    ("XPENDING", "stream", "holders"),
    ("SINTERCARD", 2, "set", "set"),
)
"""What goes through a whole value, or half of it, and takes little time all the same; MIDDLE is an index."""

DROPS: Final = (
    ("UNLINK", "zset"),
    ("DEL", "hash"),
    ("SET", "set", "text"),
    ("PEXPIREAT", "list", 1),
    ("RENAME", "readers_only", "lex"),
    ("SPOP", "moved", 2),
    ("FLUSHALL",),
)
"""What drops values of any size, one way or the other, in this order."""


class Later(FakeHost):
    """A host that keeps what is to be done later, for the bench to do."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Callable[[], None]] = []

    def later(self, delay_ms: int, action: Callable[[], None]) -> NoTimer:
        """Keep it."""
        self.waiting.append(action)
        return NoTimer()


class Bench:
    """A node with a value of each type of so many members.

    Parameters:
        beat: lets the collector work, as `collecting` gives it.

    Attributes:
        size: how many.
        worst_ms: the longest single call so far, and which.
        longest_beat_ms: the longest that the collector took so far.
    """

    def __init__(self, size: int, beat: Callable[[], float]) -> None:
        self.size = size
        self._beat = beat
        self._spent_ns = 0
        self.longest_beat_ms = 0.0
        self.rng = random.Random(size)
        self.host = Later()
        self._now_ms = 1_700_000_000_000
        self.node = Node(Config(), lambda: self._now_ms, self.rng, lambda: "0" * 40, lambda level, message: None)
        self.node.host = self.host
        self.session = Session(self.node, 1)
        self.calls = 0
        self.worst_ms: tuple[float, str] = (0.0, "")
        beat()
        self._fill()

    def run(self, *words: object) -> int:
        """Run a command; the CPU time that it took in ns."""
        middle = self.size // 2
        argv = [
            word if isinstance(word, bytes) else str(middle if word == "MIDDLE" else word).encode() for word in words
        ]
        out: list[bytes] = []
        started = thread_time_ns()
        self.node.serve(self.session, [argv], out)
        spent = thread_time_ns() - started
        assert not out[0].startswith(b"-"), (words, out)
        self.worst_ms = max(self.worst_ms, (spent / 1e6, " ".join(map(str, words[:3]))))
        self._spent_ns += spent
        if self._spent_ns > PACE_S * 1e9:
            self._spent_ns = 0
            self.longest_beat_ms = max(self.longest_beat_ms, self._beat())
        return spent

    def _fill(self) -> None:
        """Put in every member; those that are there stay as they are."""
        self.run("DEL", "list")
        numbers = array("L", range(self.size))  # which the collector does not walk
        self.rng.shuffle(numbers)
        step = 500
        for start in range(0, self.size, step):
            members = [b"member:%d" % number for number in numbers[start : start + step]]
            self.run("RPUSH", "list", *members)
            self.run("SADD", "set", *members)
            self.run("HSET", "hash", *(word for member in members for word in (member, b"some value")))
            self.run("ZADD", "zset", *(word for m in members for word in (self.rng.randrange(self.size), m)))
            self.run("ZADD", "lex", *(word for member in members for word in (0, member)))
        self.run("DEL", "stream", "readers_only")
        for number in range(1, self.size + 1):
            self.run("XADD", "stream", b"%d-0" % number, "field", "value")
        self.run("XGROUP", "CREATE", "stream", "holders", "0")
        for _ in range(0, self.size, step):
            self.run("XREADGROUP", "GROUP", "holders", "c", "COUNT", step, "STREAMS", "stream", ">")
        self.run("XGROUP", "CREATE", "stream", "readers", "0")
        self.run("XADD", "readers_only", "1-0", "f", "v")
        self.run("XGROUP", "CREATE", "readers_only", "g", "0")

    def forget(self) -> None:
        """What was longest so far does not count."""
        self.worst_ms, self.longest_beat_ms = (0.0, ""), 0.0

    def refill(self) -> None:
        """Make the values what they were, which the cases change noticeably when they are small."""
        if self.size <= SMALL:
            self._fill()

    def round(self, case: Case) -> float:
        """Run a case some times; the CPU time of a call in us."""
        calls = [case.make(self, number) for number in range(self.calls, self.calls + CALLS)]
        self.calls += CALLS
        return sum(self.run(*words) for words in calls) / CALLS / 1000

    def free(self) -> float:
        """Let everything be freed that waits for it; the longest slice in ms."""
        longest = 0
        lazyfree = self.node.keyspace.lazyfree
        while lazyfree.pending:
            started = thread_time_ns()
            if self.host.waiting:
                self.host.waiting.pop()()
            else:
                self.node.tick()
            longest = max(longest, thread_time_ns() - started)
        return longest / 1e6


@contextmanager
def collecting() -> Iterator[Callable[[], float]]:
    """CPython's collector as a server runs it; call what is given for each beat, for the ms that it took."""
    clock = Clock()
    collector = PacedCollector(clock)
    collector.start()

    def beat() -> float:
        started = thread_time_ns()
        clock.advance(PACE_S)
        return (thread_time_ns() - started) / 1e6

    beat()
    try:
        yield beat
    finally:
        collector.stop()


@dataclass(frozen=True)
class Cost:
    """What a case costs in us, with few members and with many."""

    case: Case
    small_us: float
    large_us: float

    @property
    def ratio(self) -> float:
        """How much dearer the large value is."""
        return self.large_us / self.small_us


def costs(small: Bench, large: Bench, cases: Iterable[Case] = CASES) -> Iterator[Cost]:
    """Cases, each in turn with few and with many members, medians."""
    for case in cases:
        small.refill()
        rounds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for bench, spent in zip((small, large), rounds, strict=True):
                spent.append(bench.round(case))
        yield Cost(case, median(rounds[0]), median(rounds[1]))
