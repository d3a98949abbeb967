"""Sorted-set commands answer byte for byte as live servers do, and leave the same data, events and stream."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from tests.interop.servers import RawClient, RealServer, start
from tests.support import FamilyBench
from txrepl.commands import sorted_sets, zset_algebra, zset_pops, zset_ranges
from txrepl.commands.session import Blocked
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import SetValue
from txrepl.resp.replies import encode

KINDS = ("redis70", "valkey9")
FAMILIES = (sorted_sets.family, zset_ranges.family, zset_algebra.family, zset_pops.family)
SEEDS = range(4)
ROUNDS = 500

KEYS = ["z1", "z2", "z3", "missing", "set", "text"]
MEMBERS = ["a", "b", "c", "d", "e", "f", "aa", "ab", "é", "10", "-1", "x" * 65]
SCORES = ["0", "1", "2", "-1", "1.5", "-0", "inf", "-inf", "+inf", "3.0", "1e3", "0.1", "0.2", "1e17", "1e22", "5e-324"]
BAD_SCORES = ["", "x", "nan", " 1", "1 ", "1e400", "1e-400", "--1", "0x"]
BOUNDS = ["-inf", "+inf", "inf", "0", "1", "(1", "2", "(2", "-1", "(-inf", "(+inf", "1.5", "("]
BAD_BOUNDS = ["x", "(x", "nan", "1 ", "[1"]
LEX = ["-", "+", "[a", "(a", "[c", "(c", "[ab", "[", "(", "[é"]
BAD_LEX = ["a", "", "-a", "++"]
RANKS = ["0", "1", "2", "-1", "-2", "-100", "100", "5"]
BAD_INTEGERS = ["x", "", "1.5", "9223372036854775808", "01", " 1"]
RANDOM_ORDER = {"zrandmember", "zscan"}
NEWER_OPTIONS = {"zrank", "zrevrank"}
"""Commands that Redis 7.0 takes no options for."""


class Maker:
    """Makes commands: mostly right ones, some wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def some(self, choices: list[str], bad: list[str] | None = None) -> str:
        if bad and self.rng.random() < 0.02:
            return self.rng.choice(bad)
        return self.rng.choice(choices)

    def key(self) -> str:
        return self.rng.choices(KEYS, weights=[8, 8, 8, 2, 1, 1])[0]

    def maybe(self, *words: str, chance: float = 0.3) -> list[str]:
        return list(words) if self.rng.random() < chance else []

    def keys(self) -> list[str]:
        count = self.rng.randint(1, 3)
        given = str(count) if self.rng.random() > 0.04 else self.some(["0", "-1", "9", *BAD_INTEGERS])
        return [given, *(self.rng.choice(["z1", "z2", "z3", "missing", "set", "set"]) for _ in range(count))]

    def limit(self) -> list[str]:
        return self.maybe("LIMIT", self.some(["0", "1", "2"], BAD_INTEGERS), self.some(["0", "1", "2", "-1"]))

    def combining(self, keys: list[str]) -> list[str]:
        words = []
        if self.rng.random() < 0.3:
            words += ["WEIGHTS", *(self.some(SCORES, BAD_SCORES) for _ in keys[1:])]
        words += self.maybe("AGGREGATE", self.some(["SUM", "min", "MAX"], ["avg"]))
        return words

    def command(self) -> list[str]:
        name = self.rng.choice(list(COMMANDS))
        words = [name, *COMMANDS[name](self)]
        if self.rng.random() < 0.02 and name not in NEWER_OPTIONS:
            words.append(self.rng.choice(["x", "WITHSCORES", "LIMIT", "1"]))
        return words

    # One method for each shape of arguments.

    def zadd(self) -> list[str]:
        words = [self.key(), *self.maybe("NX", chance=0.1), *self.maybe("xx", chance=0.1)]
        words += [*self.maybe("GT", chance=0.1), *self.maybe("LT", chance=0.1), *self.maybe("CH")]
        incr = self.rng.random() < 0.15
        count = 1 if incr and self.rng.random() < 0.9 else self.rng.randint(1, 4)
        # Redis 7.0 converts to the large encoding when it adds a long member, 7.2 and Valkey before all else.
        members = MEMBERS if count == 1 and "xx" not in words else MEMBERS[:-1]
        for _ in range(count):
            words += [self.some(SCORES, BAD_SCORES), self.some(members)]
        return [words[0], *(["incr"] if incr else []), *words[1:]]

    def lex_scores(self) -> list[str]:
        """All scores equal, which is what ranges by member are for."""
        return ["lex", *(word for member in self.rng.sample(MEMBERS, 3) for word in ("0", member))]

    def zrange(self, at_least: list[str] | None = None) -> list[str]:
        kind = self.rng.choice(["", "BYSCORE", "bylex"])
        if kind == "bylex":
            bounds = ["lex", self.some(LEX, BAD_LEX), self.some(LEX, BAD_LEX)]
        elif kind:
            bounds = [self.key(), self.some(BOUNDS, BAD_BOUNDS), self.some(BOUNDS, BAD_BOUNDS)]
        else:
            bounds = [self.key(), self.some(RANKS, BAD_INTEGERS), self.some(RANKS, BAD_INTEGERS)]
        limit = self.limit() if kind or self.rng.random() < 0.05 else []
        return [*(at_least or []), *bounds, *([kind] if kind else []), *self.maybe("REV"), *limit]

    def by_score(self) -> list[str]:
        return [self.key(), self.some(BOUNDS, BAD_BOUNDS), self.some(BOUNDS, BAD_BOUNDS)]

    def by_lex(self) -> list[str]:
        return ["lex", self.some(LEX, BAD_LEX), self.some(LEX, BAD_LEX)]

    def by_rank(self) -> list[str]:
        return [self.key(), self.some(RANKS, BAD_INTEGERS), self.some(RANKS, BAD_INTEGERS)]

    def union(self) -> list[str]:
        keys = self.keys()
        return [*keys, *self.combining(keys)]

    def scan_options(self) -> list[str]:
        return [
            *self.maybe("COUNT", self.some(["1000"], ["0", "x"])),
            *self.maybe("match", self.some(["*", "a*", "[b-d]"])),
        ]

    def many_pop(self) -> list[str]:
        where = self.some(["MIN", "max"], ["mid"])
        return [*self.keys(), where, *self.maybe("COUNT", self.some(["1", "2", "9"], ["0", "-1", "x"]))]


COMMANDS = {
    "zadd": Maker.zadd,
    "ZADD": Maker.zadd,
    "Zadd": Maker.lex_scores,
    "zincrby": lambda m: [m.key(), m.some(SCORES, BAD_SCORES), m.some(MEMBERS)],
    "zrem": lambda m: [m.key(), m.some(MEMBERS), *m.maybe(m.some(MEMBERS))],
    "zcard": lambda m: [m.key()],
    "zscore": lambda m: [m.key(), m.some(MEMBERS)],
    "zmscore": lambda m: [m.key(), m.some(MEMBERS), m.some(MEMBERS)],
    "zrank": lambda m: [m.key(), m.some(MEMBERS)],
    "zrevrank": lambda m: [m.key(), m.some(MEMBERS)],
    "zcount": Maker.by_score,
    "zlexcount": Maker.by_lex,
    "zrange": lambda m: [*m.zrange(), *m.maybe("WITHSCORES")],
    "zrevrange": lambda m: [*m.by_rank(), *m.maybe("WITHSCORES")],
    "zrangebyscore": lambda m: [*m.by_score(), *m.maybe("withscores"), *m.limit()],
    "zrevrangebyscore": lambda m: [*m.by_score(), *m.maybe("withscores"), *m.limit()],
    "zrangebylex": lambda m: [*m.by_lex(), *m.limit()],
    "zrevrangebylex": lambda m: [*m.by_lex(), *m.limit()],
    "zrangestore": lambda m: m.zrange([m.key()]),
    "zremrangebyrank": Maker.by_rank,
    "zremrangebyscore": Maker.by_score,
    "zremrangebylex": Maker.by_lex,
    "zunion": lambda m: [*m.union(), *m.maybe("WITHSCORES")],
    "zinter": lambda m: [*m.union(), *m.maybe("WITHSCORES")],
    "zdiff": lambda m: [*m.keys(), *m.maybe("WITHSCORES")],
    "zintercard": lambda m: [*m.keys(), *m.maybe("LIMIT", m.some(["0", "1", "2"], ["-1", "x"]))],
    "zunionstore": lambda m: [m.key(), *m.union()],
    "zinterstore": lambda m: [m.key(), *m.union()],
    "zdiffstore": lambda m: [m.key(), *m.keys()],
    "zpopmin": lambda m: [m.key(), *m.maybe(m.some(["0", "1", "2", "9"], ["-1", "x"]))],
    "zpopmax": lambda m: [m.key(), *m.maybe(m.some(["0", "1", "2", "9"], ["-1", "x"]))],
    "zmpop": Maker.many_pop,
    "bzpopmin": lambda m: [m.key(), m.key(), m.some(["0.001"], ["x", "-1"])],
    "bzpopmax": lambda m: [m.key(), m.some(["0.001"], ["x", "-1"])],
    "bzmpop": lambda m: [m.some(["0.001"], ["x", "-1"]), *m.many_pop()],
    "zscan": lambda m: [m.some(["z1", "z2", "missing", "set"]), m.some(["0"], ["x", "-"]), *m.scan_options()],
    "zrandmember": lambda m: [m.key(), m.some(["0", "100", "50"], ["x"]), *m.maybe("withscores")],
}

_SCORE = re.compile(rb"(?P<bulk>\$\d+\r\n)?(?P<mark>,)?(?P<score>-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\r\n")


def same_scores(raw: bytes) -> bytes:
    """The reply with its scores in one form.

    Redis 7.0 prints a score with `%.17g`, Redis 7.2 and Valkey 9 in the shortest form: this is the one
    place that allows the difference.
    """

    def shorten(match: re.Match[bytes]) -> bytes:
        score = match["score"]
        if match["bulk"] is None and match["mark"] is None:
            return match[0]
        if not re.search(rb"[.e]", score) and len(score) < 16:
            return match[0]
        return b"<score %r>\r\n" % float(score)

    return _SCORE.sub(shorten, raw)


def in_any_order(raw: bytes) -> list[bytes]:
    """The reply's lines sorted, where no order is promised."""
    return sorted(raw.split(b"\r\n"))


def ours(bench: FamilyBench, words: list[str], proto: int) -> bytes:
    """The bytes that txrepl answers; a command that would wait answers as at its timeout."""
    reply = bench.run(*words)
    if isinstance(reply, Blocked):
        reply = reply.on_timeout()
    return encode(reply, proto)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A live server to compare with."""
    with start(request.param) as running:
        yield running


def prepare(client: RawClient, bench: FamilyBench, proto: int) -> None:
    """An empty database but for one key of a foreign type and one plain set, on both sides."""
    if proto == 3:
        client.execute("HELLO", 3)
    client.command("FLUSHALL")
    client.command("SET", "text", "value")
    client.command("SADD", "set", "a", "b", "10")
    bench.keyspace.databases[0].put(b"text", b"value")
    bench.keyspace.databases[0].put(b"set", SetValue({b"a", b"b", b"10"}))
    bench.session.proto = proto


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_answer_alike(server: RealServer, seed: int, proto: int) -> None:
    """Hundreds of right and wrong commands in a row give the same bytes and leave the same data."""
    maker = Maker(seed)
    bench = FamilyBench(*FAMILIES)
    with server.connect() as client:
        prepare(client, bench, proto)
        for number in range(ROUNDS):
            words = maker.command()
            theirs, mine = client.raw_command(*words), ours(bench, words, proto)
            where = f"seed {seed}, command {number}: {words}"
            if words[0] in RANDOM_ORDER:
                assert in_any_order(same_scores(mine)) == in_any_order(same_scores(theirs)), where
            else:
                assert same_scores(mine) == same_scores(theirs), where
        for key in ["z1", "z2", "z3", "lex"]:
            words = ["zrange", key, "0", "-1", "withscores"]
            assert same_scores(ours(bench, words, proto)) == same_scores(client.raw_command(*words)), key


def attach(port: int) -> RawClient:
    """A connection that reads the server's replication stream, at its beginning."""
    replica = RawClient(port)
    replica.send(b"PSYNC ? -1\r\n")
    while not replica.read_line().startswith(b"+FULLRESYNC"):
        pass
    while not (line := replica.read_line()).startswith(b"$"):
        pass
    replica.read_exactly(int(line[1:]))
    return replica


def written_until(replica: RawClient, end: list[bytes]) -> list[list[bytes]]:
    """The writes of the stream up to a known one."""
    writes: list[list[bytes]] = []
    while (words := replica.read_reply()) != end:
        if words[0].upper() not in (b"PING", b"SELECT"):
            writes.append(words)
    return writes


def our_writes(bench: FamilyBench, words: list[str], dirty: int) -> list[list[bytes]]:
    """What one command puts into the stream: its effects, or itself if it changed something."""
    effects = [list(command) for _, command in bench.effects()]
    if bench.keyspace.verbatim and bench.keyspace.dirty != dirty:
        effects.append([word.encode() for word in words])
    return effects


@pytest.mark.parametrize("seed", SEEDS)
def test_stream_events_and_count_of_changes_are_alike(server: RealServer, seed: int) -> None:
    """What replicas read, what listeners of keyspace events hear, and what the save points count."""
    maker = Maker(1000 + seed)
    bench = FamilyBench(*FAMILIES)
    with server.connect() as client, server.connect() as listener, attach(server.port) as replica:
        prepare(client, bench, 2)
        client.command("CONFIG", "SET", "notify-keyspace-events", "Ezg")
        listener.command("PSUBSCRIBE", "__keyevent@0__:*")
        client.command("SET", "marker", "begin")
        written_until(replica, [b"SET", b"marker", b"begin"])
        events: list[list[bytes]] = []
        bench.keyspace.notify_flags = Event.ZSET | Event.GENERIC
        bench.keyspace.notify = lambda _, event, key, db: events.append([b"__keyevent@0__:" + event, key])
        before = int(server.info("persistence")["rdb_changes_since_last_save"])
        writes: list[list[bytes]] = []
        for _ in range(ROUNDS // 2):
            words = maker.command()
            client.raw_command(*words)
            dirty = bench.keyspace.dirty
            bench.run(*words)
            writes += our_writes(bench, words, dirty)
        assert int(server.info("persistence")["rdb_changes_since_last_save"]) - before == bench.keyspace.dirty
        client.command("SET", "marker", "end")
        client.command("DEL", "marker")
        assert written_until(replica, [b"SET", b"marker", b"end"]) == writes
        heard: list[list[bytes]] = []
        while not heard or heard[-1] != [b"__keyevent@0__:del", b"marker"]:
            heard.append(listener.read_reply()[2:])
        assert heard[:-1] == events


def test_rank_with_score_answers_as_valkey_does() -> None:
    """The option of 7.2 that Redis 7.0 does not have, right and wrong."""
    with start("valkey9") as server, server.connect() as client:
        for proto in (2, 3):
            bench = FamilyBench(*FAMILIES)
            prepare(client, bench, proto)
            for words in (
                ["zadd", "z1", "1", "a", "2.5", "b"],
                ["zrank", "z1", "b", "withscore"],
                ["zrevrank", "z1", "b", "WITHSCORE"],
                ["zrank", "z1", "x", "withscore"],
                ["zrank", "none", "x", "withscore"],
                ["zrank", "text", "x", "withscore"],
                ["zrank", "z1", "x", "withscores"],
                ["zrevrank", "z1", "x", "withscore", "y"],
            ):
                assert ours(bench, words, proto) == client.raw_command(*words), words
