"""What makes random commands: right ones mostly, wrong ones often enough, and who makes which.

A `Grammar` belongs to one family and holds a generator for each of its commands; `Maker` is what generators draw
from. Nothing here knows a server. What two clocks or two random generators would tell apart is made so that it
does not show: deadlines are far away or past, what is taken by chance is deleted afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")
Words = list[bytes]
Given = Sequence[str | bytes | int]

FAR_MS: Final = "32503680000000"
FAR_S: Final = "32503680000"
LARGEST: Final = "9223372036854775807"
SMALLEST: Final = "-9223372036854775808"
TOO_LARGE: Final = "9223372036854775808"

POOLS: Final[dict[str, tuple[str, ...]]] = {
    "string": ("s1", "s2", "s3", "s4"),
    "list": ("l1", "l2", "l3"),
    "hash": ("h1", "h2"),
    "set": ("t1", "t2", "t3"),
    "zset": ("z1", "z2", "z3"),
    "stream": ("x1", "x2"),
    "geo": ("g1", "g2"),
    "hll": ("p1", "p2", "p3"),
    "none": ("none", ""),
}
CALLS: Final = ("return redis.call(unpack(ARGV))", "return redis.pcall(unpack(ARGV))")
"""Scripts that call their arguments."""
EVERY_KEY: Final = tuple(key for pool in POOLS.values() for key in pool)

TEXTS: Final = (
    "", "a", "b", "c", "d", "e", "f", "aa", "ab", "hello", "the quick brown fox", "é", b"\x00\xff\r\n", b"\x7f\x00\x01",
    "x" * 43, "x" * 44, "x" * 45, "y" * 63, "y" * 64, "z" * 65, "007", "-0", " 1", "1 ", "foobared", "ohmytext",
    "mynewtext", "3.5", "1e3", "inf", "nan",
)  # fmt: skip
NUMBERS: Final = ("0", "1", "2", "3", "5", "7", "10", "17", "100", "127", "128", "-1", "-2", "-5", "-100", "32768")
BIG_NUMBERS: Final = (LARGEST, SMALLEST, "9223372036854775806", "4294967296", "-2147483649", "2147483648")
BAD_NUMBERS: Final = (
    "",
    "x",
    "1.5",
    TOO_LARGE,
    "-9223372036854775809",
    " 1",
    "1 ",
    "01",
    "+1",
    "-0",
    "--1",
    "0x10",
    "1e2",
)
FLOATS: Final = (
    "0", "1", "-1", "1.5", "-1.5", "3.0e3", "0.1", "0.2", "10.25", "1e5", "-7", "1e17", "1e-3", "5e-324", "1e22",
    "3.0", "100", "1e300", "-1e300", "123456789.123456789", "0.30000000000000004", "17179869184", "1e15", "1e16",
)  # fmt: skip
BAD_FLOATS: Final = (
    "",
    "x",
    "nan",
    "-nan",
    "1e400",
    "1e-400",
    " 1",
    "1 ",
    "--1",
    "0x",
    "inf",
    "-inf",
    "infinity",
    "1.5x",
    "(1",
)
ODD_WORDS: Final = (
    "", "x", "0", "-1", "1.5", LARGEST, SMALLEST, TOO_LARGE, "nan", "inf", " 1", "01", "+1", "COUNT",
    "LIMIT", "WITHSCORES", "GET", "NX", "STORE", "é", b"\x00", "a\0b", "x" * 200,
)  # fmt: skip


def as_words(given: Given) -> Words:
    """The words as bytes."""
    return [word if isinstance(word, bytes) else str(word).encode() for word in given]


def called(words: Words) -> Words:
    """The command that a script is told to call by its arguments, or the command itself."""
    is_call = (
        len(words) > 3 and words[0].upper() == b"EVAL" and words[1].decode("latin-1") in CALLS and words[2] == b"0"
    )
    return words[3:] if is_call else words


class Maker:
    """Draws for generators.

    Parameters:
        rng: decides everything.
        modern: make what Redis 7.0 does not have, too.

    Attributes:
        clock: the ms of stream ids.
    """

    def __init__(self, rng: random.Random, modern: bool = False) -> None:
        self.rng = rng
        self.modern = modern
        self.clock = 5

    def chance(self, probability: float) -> bool:
        """Yes, as often as that."""
        return self.rng.random() < probability

    def some(self, *choices: T) -> T:
        """One of these."""
        return self.rng.choice(choices)

    def maybe(self, *words: str | bytes, chance: float = 0.3) -> list[str | bytes]:
        """These words, or none."""
        return list(words) if self.chance(chance) else []

    def mostly(self, good: Sequence[T], bad: Sequence[T], chance: float = 0.05) -> T:
        """One of the good ones, now and then a bad one."""
        return self.rng.choice(bad if self.chance(chance) else good)

    def key(self, pool: str, foreign: float = 0.06) -> str:
        """A key of the pool, now and then one of another type or one that never is."""
        return self.rng.choice(EVERY_KEY if self.chance(foreign) else POOLS[pool])

    def keys(self, pool: str, most: int = 3, foreign: float = 0.06) -> list[str | bytes]:
        """A few keys."""
        return [self.key(pool, foreign) for _ in range(self.rng.randint(1, most))]

    def any_key(self) -> str:
        """A key of any pool."""
        return self.rng.choice(EVERY_KEY)

    def counted(self, pool: str, most: int = 3) -> list[str | bytes]:
        """A count and so many keys; now and then another count."""
        keys = self.keys(pool, most)
        given = str(len(keys)) if self.chance(0.95) else self.some("0", "-1", "9", "x", "", LARGEST)
        return [given, *keys]

    def text(self) -> str | bytes:
        """A value, member, field or element."""
        return self.rng.choice(TEXTS if self.chance(0.6) else NUMBERS)

    def texts(self, most: int = 4) -> list[str | bytes]:
        """A few values; now and then hundreds."""
        if self.chance(0.02):
            prefix = self.some("", "m", "member:")
            return [f"{prefix}{number}" for number in range(self.some(100, 129, 130, 300, 513))]
        return [self.text() for _ in range(self.rng.randint(1, most))]

    def integer(self, bad: float = 0.08) -> str:
        """An integer, small mostly."""
        return self.mostly(NUMBERS, BAD_NUMBERS + BIG_NUMBERS, bad)

    def index(self) -> str:
        """A position in a short sequence."""
        return self.mostly(("0", "1", "2", "3", "5", "-1", "-2", "-3", "100", "-100"), BAD_NUMBERS + BIG_NUMBERS, 0.06)

    def count(self) -> str:
        """How many."""
        return self.mostly(("0", "1", "2", "3", "10"), (*BAD_NUMBERS, "-1", LARGEST, SMALLEST), 0.08)

    def floating(self, bad: float = 0.08) -> str:
        """A number with a fraction."""
        return self.mostly(FLOATS, BAD_FLOATS, bad)

    def milliseconds(self) -> str:
        """A time to live in ms: long, or over, or wrong."""
        return self.mostly(("100000", "9000000", "500000000"), ("0", "-1", "-100", *BIG_NUMBERS[:3], *BAD_NUMBERS), 0.2)

    def seconds(self) -> str:
        """A time to live in s."""
        return self.mostly(("100", "9000", "500000"), ("0", "-1", "-100", *BIG_NUMBERS[:3], *BAD_NUMBERS), 0.2)

    def deadline_ms(self) -> str:
        """A unix time in ms: far away, or past, or wrong."""
        return self.mostly((FAR_MS, "32503680000001"), ("0", "-1", "1", FAR_S, *BIG_NUMBERS[:3], *BAD_NUMBERS), 0.2)

    def future_ms(self) -> str:
        """`deadline_ms`, but none that is past."""
        return self.mostly((FAR_MS, "32503680000001"), ("0", "-1", SMALLEST, *BAD_NUMBERS), 0.2)

    def future_s(self) -> str:
        """`deadline_s`, but none that is past."""
        return self.mostly((FAR_S, "32503680001"), ("0", "-1", SMALLEST, *BAD_NUMBERS), 0.2)

    def deadline_s(self) -> str:
        """A unix time in s."""
        return self.mostly((FAR_S, "32503680001"), ("0", "-1", "1", *BIG_NUMBERS[:3], *BAD_NUMBERS), 0.2)

    def timeout(self) -> str:
        """How long a blocking command waits: hardly at all, or wrong."""
        return self.mostly(("0.001", "0.002"), ("-1", "x", "", "nan", "inf", "1e300", "0x"), 0.1)

    def mixed_case(self, word: str) -> str:
        """The word in capitals mostly."""
        return self.mostly((word,), (word.lower(), word.capitalize()), 0.2)

    def shuffled(self, options: Sequence[Sequence[str | bytes]], chance: float = 0.3) -> list[str | bytes]:
        """Some of the options in any order, now and then one twice."""
        taken = [option for option in options if self.chance(chance)]
        if taken and self.chance(0.05):
            taken.append(self.rng.choice(taken))
        self.rng.shuffle(taken)
        words: list[str | bytes] = []
        for option in taken:
            words += [self.mixed_case(option[0]) if isinstance(option[0], str) else option[0], *option[1:]]
        return words


Generator = Callable[[Maker], Given]
Scene = Callable[[Maker], Sequence[Given]]


@dataclass(slots=True)
class Entry:
    """How one command is made.

    Attributes:
        name: in capitals, a subcommand's with its container (`XGROUP CREATE`).
        weight: how often, beside the family's others.
        make: gives one or more commands in a row.
        mutable: whether its words may be dropped, changed and swapped at random.
    """

    name: str
    weight: float
    make: Scene
    mutable: bool = True


@dataclass(slots=True)
class Grammar:
    """The commands of one family.

    Parameters:
        name: what a failure says.
        weight: how often, beside the other families.
        modern: whether Redis 7.0 has none of them.
    """

    name: str
    weight: float = 1.0
    modern: bool = False
    entries: list[Entry] = field(default_factory=list)

    def command(self, name: str, weight: float = 1.0, *, mutable: bool = True) -> Callable[[Generator], Generator]:
        """Declare the generator of a command: it gives the words behind the name."""

        def declare(generator: Generator) -> Generator:
            self.entries.append(Entry(name, weight, lambda maker: [[*name.split(), *generator(maker)]], mutable))
            return generator

        return declare

    def scene(self, name: str, weight: float = 1.0) -> Callable[[Scene], Scene]:
        """Declare the generator of a command that goes with others: it gives whole commands."""

        def declare(generator: Scene) -> Scene:
            self.entries.append(Entry(name, weight, generator, mutable=False))
            return generator

        return declare

    def simple(self, weight: float = 1.0, *, mutable: bool = True, **commands: Generator) -> None:
        """Declare many generators of one line each; `_` in a name stands for a blank, `__` for `_`."""
        for name, generator in commands.items():
            spelled = name.replace("__", "\0").replace("_", " ").replace("\0", "_").upper()
            self.command(spelled, weight, mutable=mutable)(generator)

    def make(self, maker: Maker) -> list[Words]:
        """The next command, or a few that belong together."""
        entry = maker.rng.choices(self.entries, weights=[entry.weight for entry in self.entries])[0]
        made = [as_words(given) for given in entry.make(maker)]
        for words in made:
            if maker.chance(0.2):
                words[0] = words[0].lower()
        if entry.mutable and maker.chance(0.08):
            return [mutated(maker, made[0])]
        return made


_RACING: Final = frozenset((b"PX", b"PEXPIRE", b"PSETEX", b"RESTORE", b"HPEXPIRE", b"IDLE"))


def mutated(maker: Maker, words: Words) -> Words:
    """The command with one word dropped, doubled, swapped, replaced or added."""
    rng = maker.rng
    if words[0].endswith((b"SCAN", b"scan")):
        return words  # any other cursor than 0 begins where it likes
    changed = list(words)
    position = rng.randrange(1, len(words)) if len(words) > 1 else 1
    odd = as_words([rng.choice(ODD_WORDS)])[0]
    match rng.randrange(6 if len(words) > 1 else 2):
        case 0:
            changed.append(odd)
        case 1:
            changed.insert(position, odd)
        case 2:
            del changed[position]
        case 3:
            changed.insert(position, changed[position])
        case 4:
            changed[position] = odd
        case _:
            other = rng.randrange(1, len(words))
            changed[position], changed[other] = changed[other], changed[position]
    return words if _races(changed) else changed


def _races(words: Words) -> bool:
    """Whether something could expire in the middle of a sequence."""
    return any(word.upper() in _RACING for word in words) and any(
        word.isdigit() and 0 < int(word) < 60_000 for word in words
    )
