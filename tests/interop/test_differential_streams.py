"""Streams against real servers: replies, effects on the stream, events, digests.

Random sequences of valid and invalid commands run on a real server and on the families alone. Nodes are small, so
that trimming with `~` meets many; what clocks would tell apart (idle times below a day) is masked.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator

import pytest

from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start
from txrepl.commands import (
    keys,
    objects,
    sort,
    streams,
    streams_claims,
    streams_groups,
    streams_info,
    streams_reads,
    strings,
)
from txrepl.keyspace.database import Keyspace

KINDS = ("redis70", "valkey9")
FAMILIES = (
    streams.family,
    streams_reads.family,
    streams_groups.family,
    streams_claims.family,
    streams_info.family,
    keys.family,
    objects.family,
    sort.family,
    strings.family,
)
SEEDS = range(3)
ROUNDS = 1200

KEYS = ["s1", "s2", "s3", "missing", "text"]
GROUPS = ["g1", "g2", "none"]
CONSUMERS = ["alice", "bob", "carol", "al\0ice"]
FIELDS = ["f", "g", "h", "a longer field name", "-1", "100000"]
VALUES = ["v", "", "1", "127", "128", "-4097", "70000", "9000000000", "x" * 63, "y" * 64, "z" * 130, "\x00\xff"]
MAX_NUMBER = "18446744073709551615"
ODD_IDS = [
    "0",
    "0-0",
    "0-1",
    "-",
    "+",
    f"{MAX_NUMBER}-{MAX_NUMBER}",
    f"{MAX_NUMBER}-0",
    MAX_NUMBER,
    "1-0",
    " 7-1",
    "+7-01",
]
BAD_IDS = ["", "x", "1-", "-1", "1-x", "18446744073709551616", "1-2-3", "1--5", "1--05", "(1-1", "(", "1-*", "7-1\0x"]
BAD_INTEGERS = ["", "x", "1.5", "9223372036854775808", " 1", "-1"]
LONG_AGO = "100000000"
"""A minimum idle time that only entries of a claimed long idle time pass."""


class Maker:
    """Makes commands: mostly right ones, some wrong."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.clock = 5

    def some(self, choices: list[str], bad: list[str] | None = None, chance: float = 0.03) -> str:
        if bad and self.rng.random() < chance:
            return self.rng.choice(bad)
        return self.rng.choice(choices)

    def maybe(self, *words: str, chance: float = 0.3) -> list[str]:
        return list(words) if self.rng.random() < chance else []

    def key(self) -> str:
        return self.rng.choices(KEYS, weights=[10, 8, 6, 1, 1])[0]

    def group(self) -> str:
        return self.rng.choices(GROUPS, weights=[8, 5, 1])[0]

    def consumer(self) -> str:
        return self.rng.choice(CONSUMERS)

    def seen_id(self) -> str:
        """An id that may well be there."""
        if self.rng.random() < 0.05:
            return self.some(ODD_IDS, BAD_IDS, 0.5)
        ms = max(self.clock - int(self.rng.expovariate(0.08)), 0)
        return self.some([f"{ms}-0", f"{ms}-1", f"{ms}-2", str(ms)])

    def new_id(self) -> str:
        roll = self.rng.random()
        if roll < 0.06:
            return self.some(ODD_IDS[:3] + ODD_IDS[-2:], BAD_IDS)
        self.clock += self.rng.choice([0, 0, 1, 1, 2])
        return self.some([f"{self.clock}-*", f"{self.clock}-{self.rng.randint(0, 9)}", f"{self.clock}-*"])

    def bound(self) -> str:
        return self.rng.choice(["", "", "("]) + self.seen_id() if self.rng.random() < 0.7 else self.some(["-", "+"])

    def integer(self, *choices: str) -> str:
        return self.some(list(choices), BAD_INTEGERS)

    def trimming(self) -> list[str]:
        how = self.maybe(self.some(["~", "="]), chance=0.7)
        if self.rng.random() < 0.5:
            words = [self.some(["MAXLEN", "maxlen"]), *how, self.integer("0", "3", "9", "20", "21", "22", "23")]
        else:
            words = ["MINID", *how, self.seen_id()]
        chance = 0.3 if how == ["~"] else 0.04
        return [*words, *self.maybe("LIMIT", self.integer("0", "1", "3", "5", "10"), chance=chance)]

    def xadd(self) -> list[str]:
        words = [self.key(), *self.maybe("NOMKSTREAM", chance=0.1)]
        if self.rng.random() < 0.12:
            words += self.trimming()
            words += self.trimming() if self.rng.random() < 0.03 else []
        words.append(self.new_id())
        if self.rng.random() < 0.6:
            words += ["f", self.some(VALUES), "g", self.some(VALUES)]
        else:
            for _ in range(self.rng.randint(1, 3)):
                words += [self.some(FIELDS), self.some(VALUES)]
        return words[:-1] if self.rng.random() < 0.02 else words

    def xrange(self) -> list[str]:
        return [self.key(), self.bound(), self.bound(), *self.maybe("COUNT", self.integer("0", "1", "3", "1000"))]

    def read_options(self) -> list[str]:
        return [
            *self.maybe("COUNT", self.integer("0", "1", "2", "5")),
            *self.maybe("BLOCK", self.some(["1"], ["x", "-1", ""])),
        ]

    def xread(self) -> list[str]:
        count = self.rng.randint(1, 2)
        names = [self.key() for _ in range(count)]
        ids = [self.some(["$", self.seen_id(), "0"], [">"]) for _ in range(count)]
        if self.rng.random() < 0.03:
            ids.pop()
        return [*self.read_options(), *self.maybe("NOACK", chance=0.02), "STREAMS", *names, *ids]

    def xreadgroup(self) -> list[str]:
        count = self.rng.choice([1, 1, 1, 2])
        names = [self.key() for _ in range(count)]
        ids = [self.some([">", ">", "0", self.seen_id()], ["$"]) for _ in range(count)]
        words = ["GROUP", self.group(), self.consumer()] if self.rng.random() < 0.98 else []
        return [*words, *self.read_options(), *self.maybe("NOACK", chance=0.15), "STREAMS", *names, *ids]

    def ids(self) -> list[str]:
        return [self.seen_id() for _ in range(self.rng.randint(1, 4))]

    def xpending(self) -> list[str]:
        words = [self.key(), self.group()]
        if self.rng.random() < 0.3:
            return words
        idle = self.maybe("IDLE", self.integer("0", LONG_AGO))
        return [
            *words,
            *idle,
            self.bound(),
            self.bound(),
            self.integer("0", "1", "5", "100"),
            *self.maybe(self.consumer()),
        ]

    def xclaim(self) -> list[str]:
        words = [self.key(), self.group(), self.consumer(), self.integer("0", "0", LONG_AGO), *self.ids()]
        for option in (
            ["IDLE", self.integer("200000000", "0")],
            ["TIME", self.integer("1000", "1", "99999999999999")],
            ["RETRYCOUNT", self.integer("0", "7")],
            ["FORCE"],
            ["JUSTID"],
            ["LASTID", self.seen_id()],
            ["WRONG"],
        ):
            words += self.maybe(*option, chance=0.02 if option == ["WRONG"] else 0.2)
        return words

    def xautoclaim(self) -> list[str]:
        words = [self.key(), self.group(), self.consumer(), self.integer("0", LONG_AGO), self.bound()]
        return [
            *words,
            *self.maybe("COUNT", self.integer("1", "2", "5", "0")),
            *self.maybe("JUSTID"),
            *self.maybe("x", chance=0.02),
        ]

    def xgroup(self) -> list[str]:
        key, group = self.key(), self.group()
        reads = self.maybe("ENTRIESREAD", self.integer("0", "3", "-1", "-2"))
        place = self.some([self.seen_id(), "0", "$"])
        return self.rng.choice(
            [
                ["CREATE", key, group, place, *self.maybe("MKSTREAM"), *reads],
                ["create", key, group, place, *reads, *self.maybe("mkstream"), *self.maybe("MKSTREAM")],
                ["SETID", key, group, place, *reads, *self.maybe("MKSTREAM", chance=0.05)],
                ["CREATECONSUMER", key, group, self.consumer()],
                ["DELCONSUMER", key, group, self.consumer()],
                ["DESTROY", key, self.some([group, "none", "none", "none"])],
            ]
        )

    def xsetid(self) -> list[str]:
        ms = self.clock + self.rng.choice([-2, 0, 0, 1])
        added = self.maybe("ENTRIESADDED", self.integer("0", "10", "1000"), chance=0.2)
        return [self.key(), f"{ms}-9", *added, *self.maybe("MAXDELETEDID", self.seen_id(), chance=0.2)]

    def xinfo(self) -> list[str]:
        count = self.maybe("COUNT", self.integer("0", "1", "3"))
        full = [*self.maybe("FULL", *count, *self.maybe("x", chance=0.02), chance=0.8)]
        return self.rng.choice(
            [
                ["STREAM", self.key(), *full],
                ["GROUPS", self.key()],
                ["CONSUMERS", self.key(), self.group()],
            ]
        )

    def command(self) -> list[str]:
        name = self.rng.choices(list(COMMANDS), weights=[weight for weight, _ in COMMANDS.values()])[0]
        return [name, *COMMANDS[name][1](self)]


COMMANDS = {
    "XADD": (30, Maker.xadd),
    "xtrim": (3, lambda m: [m.key(), *m.trimming(), *m.maybe("x", chance=0.03)]),
    "XDEL": (6, lambda m: [m.key(), *m.ids()]),
    "xlen": (1, lambda m: [m.key()]),
    "XRANGE": (4, Maker.xrange),
    "XREVRANGE": (4, Maker.xrange),
    "xread": (5, Maker.xread),
    "XREADGROUP": (14, Maker.xreadgroup),
    "XACK": (5, lambda m: [m.key(), m.group(), *m.ids()]),
    "XPENDING": (5, Maker.xpending),
    "XCLAIM": (8, Maker.xclaim),
    "XAUTOCLAIM": (6, Maker.xautoclaim),
    "XGROUP": (8, Maker.xgroup),
    "XSETID": (2, Maker.xsetid),
    "XINFO": (8, Maker.xinfo),
    "COPY": (1, lambda m: [m.key(), m.key(), *m.maybe("REPLACE")]),
    "RENAME": (0.5, lambda m: [m.key(), m.key()]),
    "SORT": (0.3, lambda m: [m.key()]),
    "TYPE": (0.5, lambda m: [m.key()]),
    "OBJECT": (0.5, lambda m: ["ENCODING", m.key()]),
    "GET": (0.3, lambda m: [m.key()]),
    "DEL": (0.2, lambda m: [m.some(KEYS[:4])]),
    "SET": (0.5, lambda m: ["text", "value"]),
}

_IDLE = re.compile(rb"(\$\d+\r\n[^\r]*\r\n:)\d{1,6}(\r\n:\d+\r\n)")
_CONSUMER_TIMES = re.compile(rb"(\$(?:4\r\nidle|8\r\ninactive)\r\n:)\d{1,6}\r\n")
_ACTIVITY = re.compile(rb"\$8\r\ninactive\r\n:[^\r]*\r\n|\$11\r\nactive-time\r\n:[^\r]*\r\n")
_MAP_BEFORE = re.compile(rb"([*%])(\d+)(\r\n\$4\r\nname\r\n\$\d+\r\n[^\r]*\r\n\$(?:7\r\npending|9\r\nseen-time)\r\n)")
_COUNTERS = re.compile(rb"(\$(?:12\r\nentries-read|3\r\nlag)\r\n)(?::-?\d+|\$-1|_)\r\n")


def name_of(words: Words) -> str:
    """The command's name in capitals."""
    return str(words[0]).upper()


def times_masked(words: Words, raw: bytes) -> bytes:
    """The reply without what two clocks tell apart."""
    if name_of(words) == "XPENDING":
        return _IDLE.sub(rb"\1<idle>\2", raw)
    return _CONSUMER_TIMES.sub(rb"\1<idle>\r\n", raw) if name_of(words) == "XINFO" else raw


# -- the versions' differences --------------------------------------------------------------------------------------
# 7.2: consumers have a time of activity; XREADGROUP, XCLAIM and XAUTOCLAIM make the consumer even if it gets nothing;
# XSETID does not go below a deleted id; errors say `Unbalanced 'xread' list`, not `Unbalanced XREAD list`.
# 7.2: a group's position goes into the stream behind the XCLAIMs of what was read, its counter with it.
# 7.2.6, Valkey 8: a group's read counter sees what was deleted or trimmed below the entry that is read.
# 7.4, Valkey 8.1: XREAD takes the id `+`.


def activity_masked(words: Words, raw: bytes) -> bytes:
    """The reply of XINFO without the times of activity."""
    if raw.startswith(b"-ERR Unbalanced "):
        return raw.lower().replace(b"'xread", b"xread").replace(b"' list", b" list")
    if name_of(words) != "XINFO" or _ACTIVITY.search(raw) is None:
        return times_masked(words, raw)

    def one_less(match: re.Match[bytes]) -> bytes:
        return match[1] + b"%d" % (int(match[2]) - (1 if match[1] == b"%" else 2)) + match[3]

    return times_masked(words, _ACTIVITY.sub(b"", _MAP_BEFORE.sub(one_less, raw)))


def counters_masked(words: Words, raw: bytes) -> bytes:
    """The reply of XINFO without the times of activity and the groups' counters."""
    return _COUNTERS.sub(rb"\1<counter>\r\n", activity_masked(words, raw))


def positions_left_out(stream: list[list[bytes]]) -> list[list[bytes]]:
    """The stream without XGROUP SETID behind the XCLAIM of what was read, and without counters in the others."""
    kept: list[list[bytes]] = []
    for command in stream:
        if command[:2] == [b"XGROUP", b"SETID"] and len(command) == 7:
            claim = kept[-1] if kept else []
            if claim[:1] == [b"XCLAIM"] and claim[1:3] == command[2:4] and claim[-1] == command[4]:
                continue
            command = [*command[:-1], b"<counter>"]
        kept.append(command)
    return kept


def for_redis70(commands: Iterable[Words]) -> Iterator[Words]:
    """The commands with every reading or claiming consumer made first, and XSETID with ids above all."""
    for words in commands:
        if name_of(words) in ("XCLAIM", "XAUTOCLAIM"):
            yield ["XGROUP", "CREATECONSUMER", *words[1:4]]
        if name_of(words) == "XREADGROUP" and "GROUP" in words and "STREAMS" in words:
            names = words[words.index("STREAMS") + 1 :]
            yield from (["XGROUP", "CREATECONSUMER", key, *words[2:4]] for key in names[: len(names) // 2])
        if name_of(words) == "XSETID":
            words = [*words[:2], f"{int(str(words[2]).split('-')[0]) + 5}-9", *words[3:]]
        yield words


def without_plus(commands: Iterable[Words]) -> Iterator[Words]:
    """The commands without those that read from `+`: Valkey 9 means the id before the last one, deleted or not."""
    return (words for words in commands if not (name_of(words).startswith("XREAD") and "+" in words))


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A live server to compare with."""
    with start(request.param) as running:
        yield running


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_do_what_they_do_on_a_real_server(server: RealServer, seed: int, proto: int) -> None:
    """Replies, stream, events and data, with nodes that are full after a few entries or a few bytes."""
    maker = Maker(100 * proto + seed)
    entries, size = [(3, 4096), (100, 150), (10, 0)][seed]
    server.command("CONFIG", "SET", "stream-node-max-entries", entries)
    server.command("CONFIG", "SET", "stream-node-max-bytes", size)

    def prepare(keyspace: Keyspace) -> None:
        keyspace.limits.stream_node_entries = entries
        keyspace.limits.stream_node_bytes = size

    commands: list[Words] = [["SET", "text", "value"], *(maker.command() for _ in range(ROUNDS))]
    if server.kind == "redis70":
        commands = list(for_redis70(without_plus(commands)))
        run_both(server, FAMILIES, commands, proto, counters_masked, prepare=prepare, written=positions_left_out)
    else:
        run_both(server, FAMILIES, list(without_plus(commands)), proto, times_masked, prepare=prepare)


DELETES = {"XDEL", "xtrim", "XSETID", "DEL", "COPY", "RENAME"}


def test_without_deletions_counters_agree_with_every_version(server: RealServer) -> None:
    """Read counters and lag of groups, in replies and in the stream."""
    maker = Maker(7)
    commands: list[Words] = [["SET", "text", "value"]]
    while len(commands) < ROUNDS:
        words = maker.command()
        if words[0] not in DELETES and not {"maxlen", "MAXLEN", "MINID", "ENTRIESREAD"} & {*words}:
            commands.append(words)
    for name, value in (("stream-node-max-entries", 100), ("stream-node-max-bytes", 4096)):
        server.command("CONFIG", "SET", name, value)
    if server.kind == "redis70":
        run_both(
            server, FAMILIES, list(for_redis70(without_plus(commands))), 2, activity_masked, written=positions_left_out
        )
    else:
        run_both(server, FAMILIES, list(without_plus(commands)), 2, times_masked)
