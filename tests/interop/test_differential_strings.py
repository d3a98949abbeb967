"""String and bit commands answer byte for byte as live servers do, and leave the same data, stream and events."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeVar

import pytest

from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start
from txrepl.commands import bits, expire, keys, lcs, lists, strings

T = TypeVar("T")

KINDS = ("redis70", "valkey9")
FAMILIES = (strings.family, lcs.family, bits.family, keys.family, expire.family, lists.family)
SEEDS = range(6)
ROUNDS = 700

FAR_MS = "32503680000000"
FAR_S = "32503680000"


class Maker:
    """Makes commands: mostly right ones, some wrong.

    Not made are those that Redis 7.2 answers otherwise than the live server. Redis 7.0 looks for a key before it
    reads the range of BITCOUNT and BITPOS. Valkey 9 deletes a key SET with a deadline in the past, checks the
    deadline of GETEX before it looks for the key, and has an event of its own for one in the past.
    """

    def __init__(self, seed: int, kind: str) -> None:
        self.rng = random.Random(seed)
        self.older = kind == "redis70"

    def some(self, *choices: T) -> T:
        return self.rng.choice(choices)

    def key(self) -> str:
        return self.some("a", "b", "c", "d", "e", "list")

    def value(self) -> str:
        return self.some(
            "", "0", "1", "-1", "10", "hello", "the quick brown fox", "3.5", "1e3", "9223372036854775807", " 1", "01",
            "x" * 50, "-9223372036854775808", "foobared", "\x7f\x00\x01", "0.1", "5.0e3", "inf", "ohmytext",
            "mynewtext",
        )  # fmt: skip

    def integer(self) -> str:
        return self.some(
            "0", "1", "2", "-1", "-2", "5", "100", "-100", "7", "8", "17", "x", "", "1.5", "9223372036854775807",
            "-9223372036854775808", "9223372036854775808", " 1",
        )  # fmt: skip

    def position(self) -> str:
        return self.some(
            "0", "1", "2", "-1", "-2", "3", "5", "7", "9", "20", "100", "-100", *([] if self.older else ["x"])
        )

    def small(self) -> str:
        return self.some("0", "1", "2", "-1", "-2", "3", "5", "7", "8", "9", "20", "100", "-100", "x", "1.5")

    def duration(self) -> str:
        return self.some("1000", "100000", "0", "-1", "x", "9223372036854775807", "5000")

    def deadline(self) -> str:
        return self.some(FAR_MS, FAR_S, "0", "-5", "x", "9223372036854775807", "1")

    def set_words(self) -> list[str]:
        words = [self.key(), self.value()]
        for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
            option = self.some("NX", "xx", "GET", "KEEPTTL", "EX", "PX", "EXAT", "PXAT", "PERSIST", "bad")
            words.append(option)
            if option in ("EX", "PX"):
                words.append(self.duration())
            elif option in ("EXAT", "PXAT"):
                words.append(self.some(FAR_MS, FAR_S if self.older else FAR_MS, "0", "-5", "x"))
        return words

    def getex_words(self) -> list[str]:
        words = [self.key()]
        for _ in range(self.rng.choice([0, 1, 1, 1, 2])):
            option = self.some("EX", "PX", "EXAT", "PXAT", "PERSIST", "NX", "KEEPTTL")
            words.append(option)
            if option in ("EX", "PX"):
                words.append(self.duration() if self.older else "100000")
            elif option in ("EXAT", "PXAT"):
                words.append(self.deadline() if self.older else FAR_MS)
        return words

    def lcs_words(self) -> list[str]:
        words = [self.key(), self.key()]
        for _ in range(self.rng.choice([0, 1, 2, 3])):
            words.append(self.some("IDX", "LEN", "WITHMATCHLEN", "MINMATCHLEN", "bad", "idx"))
            if words[-1] == "MINMATCHLEN":
                words.append(self.some("0", "2", "4", "-1", "x"))
        return words

    def pairs(self) -> list[str]:
        words = [word for _ in range(self.rng.randint(1, 3)) for word in (self.key(), self.value())]
        return words[:-1] if self.rng.random() < 0.1 else words

    def many(self) -> list[str]:
        return [self.key() for _ in range(self.rng.randint(1, 4))]

    def bit_range(self, *lengths: int) -> list[str]:
        words = [self.position() for _ in range(self.rng.choice(lengths))]
        units = ("BIT", "byte") if self.older else ("BIT", "byte", "nibble")
        return [*words, self.some(*units)] if len(words) == 2 and self.rng.random() < 0.5 else words

    def field(self) -> list[str]:
        words = [self.key()]
        for _ in range(self.rng.randint(0, 4)):
            kind = self.some("i8", "u8", "i5", "u4", "i64", "u63", "u1", "i1", "u64", "i65", "u0", "x8", "i16", "u16")
            offset = self.some("0", "1", "3", "8", "#1", "#2", "100", "-1", "#-1", "x", "17")
            number = self.some("0", "1", "-1", "100", "255", "300", "-300", "9223372036854775807", "x", "7")
            match self.rng.randrange(5):
                case 0:
                    words += ["GET", kind, offset]
                case 1:
                    words += ["set", kind, offset, number]
                case 2 | 3:
                    words += ["INCRBY", kind, offset, number]
                case _:
                    words += ["OVERFLOW", self.some("wrap", "SAT", "FAIL", "bad")]
        return words

    def command(self) -> Words:
        name = self.rng.choice(list(COMMANDS))
        return [name, *COMMANDS[name](self)]


COMMANDS = {
    "set": Maker.set_words,
    "SET": lambda m: [m.key(), m.value()],
    "setex": lambda m: [m.key(), m.duration(), m.value()],
    "psetex": lambda m: [m.key(), m.duration(), m.value()],
    "setnx": lambda m: [m.key(), m.value()],
    "get": lambda m: [m.key()],
    "getset": lambda m: [m.key(), m.value()],
    "getdel": lambda m: [m.key()],
    "getex": Maker.getex_words,
    "mget": Maker.many,
    "mset": Maker.pairs,
    "msetnx": Maker.pairs,
    "append": lambda m: [m.key(), m.value()],
    "strlen": lambda m: [m.key()],
    "getrange": lambda m: [m.key(), m.integer(), m.integer()],
    "substr": lambda m: [m.key(), m.small(), m.small()],
    "setrange": lambda m: [m.key(), m.some("0", "1", "5", "70", "-1", "x", "536870912"), m.value()],
    "incr": lambda m: [m.key()],
    "decr": lambda m: [m.key()],
    "incrby": lambda m: [m.key(), m.integer()],
    "decrby": lambda m: [m.key(), m.integer()],
    "incrbyfloat": lambda m: [m.key(), m.some("1", "0.1", "-2.5", "1e-3", "inf", "nan", "x", "5.0e3", "1e17", "1e400")],
    "lcs": Maker.lcs_words,
    "setbit": lambda m: [m.key(), m.some("0", "1", "7", "8", "100", "-1", "x", "4294967296"), m.some("0", "1", "2")],
    "getbit": lambda m: [m.key(), m.small()],
    "bitcount": lambda m: [m.key(), *m.bit_range(0, 2, 2)],
    "bitpos": lambda m: [m.key(), m.some("0", "1", "2", "x"), *m.bit_range(0, 1, 2, 2)],
    "bitop": lambda m: [m.some("AND", "or", "XOR", "not", "bad"), m.key(), *m.many()],
    "bitfield": Maker.field,
    "bitfield_ro": Maker.field,
    "persist": lambda m: [m.key()],
    "pexpiretime": lambda m: [m.key()],
    "rpush": lambda m: ["list", "x"],
    "del": lambda m: [m.key()],
}


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
    run_both(server, FAMILIES, [maker.command() for _ in range(ROUNDS)], proto)
