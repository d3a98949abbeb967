"""Commands on keys of any type answer byte for byte as live servers do, and leave the same data, stream and events."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import TypeVar

import pytest

from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start
from txrepl.commands import expire, hashes, keys, lists, objects, scan, serialization, sets, sort, sorted_sets, strings

T = TypeVar("T")

KINDS = ("redis70", "valkey9")
FAMILIES = (
    keys.family,
    expire.family,
    scan.family,
    objects.family,
    sort.family,
    serialization.family,
    strings.family,
    lists.family,
    sets.family,
    hashes.family,
    sorted_sets.family,
)
SEEDS = range(6)
ROUNDS = 600

FAR_MS = "32503680000000"
FAR_S = "32503680000"
KEYS = ["s", "l", "t", "z", "h", "k1", "k2", "w_1", "w_2", "nope"]
SETUP: list[Words] = [
    ["set", "s", "hello"],
    ["rpush", "l", "3", "1", "2", "10", "1.5", "-7"],
    ["sadd", "t", "1", "2", "3", "10"],
    ["zadd", "z", "1", "3", "2", "2", "3", "1", "0", "10"],
    ["hset", "h", "f", "1", "g", "x"],
    ["mset", "w_1", "9", "w_2", "-4", "w_3", "0.5", "w_10", "abc", "o_1", "b", "o_2", "a"],
    ["hset", "h_1", "f", "5"],
    ["hset", "h_2", "f", "4", "g", ""],
]


class Maker:
    """Makes commands: mostly right ones, some wrong."""

    def __init__(self, seed: int, kind: str) -> None:
        self.rng = random.Random(seed)
        self.older = kind == "redis70"

    def some(self, *choices: T) -> T:
        return self.rng.choice(choices)

    def key(self) -> str:
        return self.rng.choice(KEYS)

    def many(self) -> list[str]:
        return [self.key() for _ in range(self.rng.randint(1, 3))]

    def conditions(self) -> list[str]:
        return [self.some("NX", "xx", "GT", "LT", "bad") for _ in range(self.rng.choice([0, 0, 1, 1, 2]))]

    def copy(self) -> list[str]:
        words = [self.key(), self.key()]
        for _ in range(self.rng.choice([0, 1, 2])):
            words += self.some(["REPLACE"], ["DB", self.database()], ["bad"], ["DB"])
        return words

    def database(self) -> str:
        return self.some("0", "1", "2", "15", "16", "-1", "x", "99999999999")

    def sort(self) -> list[str]:
        words = [self.some("l", "t", "z", "l", "t", "z", "s", "h", "nope")]
        for _ in range(self.rng.choice([0, 1, 2, 3, 4])):
            words += self.some(
                ["ALPHA"],
                ["asc"],
                ["DESC"],
                ["LIMIT", self.some("0", "1", "-1", "2", "x"), self.some("0", "2", "-1", "100")],
                ["BY", self.some("w_*", "h_*->f", "o_*", "w_*->x", "h_*->")],
                ["GET", self.some("#", "w_*", "h_*->f", "nostar", "h_*->g", "o_*")],
                ["STORE", self.some("k1", "k2", "l")],
                ["bad"],
            )
        return words

    def scan(self) -> list[str]:
        words = ["0", "COUNT", "1000"]
        for _ in range(self.rng.choice([0, 1, 2])):
            words += self.some(
                ["MATCH", self.some("*", "w_*", "?", "[hst]")],
                ["TYPE", self.some("string", "LIST", "set", "zset", "hash", "stream")],
                ["COUNT", self.some("1000", "0", "x", "-1")],
                ["bad", "x"],
                ["MATCH"],
            )
        return words

    def relative(self) -> str:
        return self.some("1000", "100000", "0", "-1", "x", "9223372036854775807", "-9223372036854775808", "")

    def absolute(self) -> str:
        return self.some(FAR_MS, FAR_S, "0", "-1", "x", "9223372036854775807", "1")

    def restore(self) -> list[str | bytes]:
        payload = self.some(
            b"\x00\x05hello\t\x00\xb3\x80\x8e\xba1\xb2C\xbb", b"\x00\x05hellx\t\x00\xb3\x80\x8e\xba1\xb2C\xbb", b""
        )
        words: list[str | bytes] = [self.key(), self.some("0", "1000", "-1", "x", "100000"), payload]
        for _ in range(self.rng.choice([0, 1, 1, 2])):
            words += self.some(["REPLACE"], ["absttl"], ["IDLETIME", "5"], ["FREQ", "300"], ["FREQ", "3"], ["bad"])
        return words

    def filling(self) -> list[str]:
        return self.some(
            ["set", self.some("s", "k1", "k2"), self.some("1", "9999", "10000", "x" * 44, "x" * 45, "")],
            ["rpush", "l", self.some("1", "2", "7")],
            ["sadd", "t", self.some("1", "5", "8")],
            ["zadd", "z", self.some("1", "2.5", "8"), self.some("4", "5")],
            ["hset", "h", "f", "x"],
        )

    def command(self) -> Words:
        if self.rng.random() < 0.15:
            return self.filling()
        name = self.rng.choice(list(COMMANDS))
        return [*name.split(), *COMMANDS[name](self)]


COMMANDS = {
    "del": Maker.many,
    "unlink": Maker.many,
    "exists": Maker.many,
    "touch": Maker.many,
    "type": lambda m: [m.key()],
    "keys": lambda m: [m.some("*", "w_*", "s", "?", "[hs]", "\\s")],
    "scan": Maker.scan,
    "rename": lambda m: [m.key(), m.key()],
    "renamenx": lambda m: [m.key(), m.key()],
    "copy": Maker.copy,
    "move": lambda m: [m.key(), m.database()],
    "expire": lambda m: [m.key(), m.relative(), *m.conditions()],
    "pexpire": lambda m: [m.key(), m.relative(), *m.conditions()],
    "expireat": lambda m: [m.key(), m.absolute(), *m.conditions()],
    "pexpireat": lambda m: [m.key(), m.absolute(), *m.conditions()],
    "expiretime": lambda m: [m.some("nope", "w_1")],
    "pexpiretime": lambda m: [m.key()],
    "persist": lambda m: [m.key()],
    "object encoding": lambda m: [m.some("s", "t", "z", "h", "nope", "w_1")],
    "object refcount": lambda m: [m.key() if m.older else "nope"],
    "object freq": lambda m: [m.key()],
    "sort": Maker.sort,
    "SORT": Maker.sort,
    "sort_ro": Maker.sort,
    "restore": Maker.restore,
}


def is_unordered(words: Words) -> bool:
    """Whether the reply's order is not promised: equal weights and unsorted sets among them."""
    lower = [str(word).lower() for word in words]
    return lower[0] in ("keys", "scan") or (lower[0].startswith("sort") and "by" in lower)


def shown(words: Words, raw: bytes) -> object:
    """A reply without an order where none is promised; small lists are quicklists before Redis 7.2."""
    raw = raw.replace(b"$9\r\nquicklist", b"$8\r\nlistpack")
    return sorted(re.split(rb"\r\n", raw)) if is_unordered(words) else raw


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A live server to compare with."""
    with start(request.param) as running:
        yield running


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_random_commands_do_alike(server: RealServer, seed: int, proto: int) -> None:
    """Hundreds of right and wrong commands in a row give the same bytes, data, stream and events."""
    maker = Maker(seed, server.kind)
    run_both(server, FAMILIES, [*SETUP, *(maker.command() for _ in range(ROUNDS))], proto, shown)
