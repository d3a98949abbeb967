"""Data and writes that reach every core type, small and large encoding, from a seed.

Only what Redis 6.2 knows is used, so that the same commands run against every server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from tests.interop.wire import Argument, RawClient, ReplyError

Command = tuple[Argument, ...]

DATABASES = (0, 1, 9)
FAR_FUTURE_MS = 4_102_444_800_000

_KEYS_PER_TYPE = 60
_ALLOWED_ERRORS = ("WRONGTYPE", "ERR no such key", "ERR source and destination objects are the same")


def fill(client: RawClient, seed: int) -> None:
    """Fill several databases; RDB files of the result are more than 300 kB long."""
    source = random.Random(seed)
    for database in DATABASES:
        _run(client, [("SELECT", database), *_dataset(source)])


def write_randomly(client: RawClient, count: int, seed: int) -> None:
    """Send `count` random writes in pipelines of 500.

    Only the errors that such commands may give are accepted: `_ALLOWED_ERRORS`.
    """
    _run(client, random_writes(random.Random(seed), count))


def _run(client: RawClient, commands: list[Command]) -> None:
    for command, reply in zip(commands, client.pipeline(commands), strict=True):
        if isinstance(reply, ReplyError) and not str(reply).startswith(_ALLOWED_ERRORS):
            raise AssertionError(f"{command!r} was refused: {reply}")


def _dataset(source: random.Random) -> list[Command]:
    binary = bytes(range(256))
    commands: list[Command] = [
        ("SET", b"", "the empty key"),
        ("SET", binary, binary),
        ("SET", b"\r\n\x00\xff key", b"*1\r\n$4\r\nPING\r\n"),
        ("SET", "string:integer", -(2**63)),
        ("SET", "string:short integer", 7),
        ("SET", "string:float", "3.0e3"),
        ("SET", "string:compressible", b"abc" * 5000),
        ("SET", "string:incompressible", source.randbytes(120_000)),
        ("SETBIT", "string:sparse", 40_000, 1),
        ("RPUSH", "list:small", "a", 1, -1, 2**40, b"\xff\x00"),
        ("RPUSH", "list:large", *(source.randbytes(100) for _ in range(400))),
        ("RPUSH", "list:of large ones", source.randbytes(20_000), b"z" * 70_000, "end"),
        ("SADD", "set:integers", *(source.randrange(-(2**40), 2**40) for _ in range(50))),
        ("SADD", "set:many integers", *range(700)),
        ("SADD", "set:small", "a", "b", 1, b"\x80"),
        ("SADD", "set:large", *(f"member-{number}" for number in range(700))),
        ("HSET", "hash:small", "field", "value", 1, 2, b"\xfe", b"\x00" * 30),
        ("HSET", "hash:large", *(word for number in range(700) for word in (f"f{number}", number * number))),
        ("HSET", "hash:long value", "field", source.randbytes(300)),
        ("ZADD", "zset:small", 1, "one", 2.5, "two and a half", "-inf", "low", "inf", "high", 0, "zero", -0.0, "minus"),
        ("ZADD", "zset:large", *(word for number in range(300) for word in (source.uniform(-1e6, 1e6), f"m{number}"))),
        ("ZADD", "zset:exact", 0.1, "a", 1e300, "b", 5e-324, "c", 2**53, "d", 1 / 3, "e", 1e21, "f", 123456789012, "g"),
    ]
    for name in ("string:integer", "list:small", "set:large", "hash:small", "zset:small"):
        commands.append(("COPY", name, f"{name}:with a deadline"))
        commands.append(("PEXPIREAT", f"{name}:with a deadline", FAR_FUTURE_MS + source.randrange(10**6)))
    commands += [("SET", f"string:{number}", source.randbytes(source.randrange(60))) for number in range(100)]
    commands += [("SET", f"soon:{number}", "x", "PX", source.randrange(200, 3000)) for number in range(20)]
    return commands


def random_writes(source: random.Random, count: int) -> list[Command]:
    """`count` commands (a few more to end a transaction): writes of all core types, SELECT, MULTI."""
    commands: list[Command] = []
    writes = _Writes(source)
    while len(commands) < count:
        if source.random() < 0.02:
            commands.append(("SELECT", source.choice(DATABASES)))
        elif source.random() < 0.02:
            inside = [next(writes) for _ in range(source.randrange(4))]
            commands += [("MULTI",), *inside, ("EXEC",)]
        else:
            commands.append(next(writes))
    return commands


class _Writes(Iterator[Command]):
    """Endless random writes; each method below makes one of a family."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._families: list[Callable[[], Command]] = [
            self._string,
            self._counter,
            self._bits,
            self._list,
            self._set,
            self._hash,
            self._sorted_set,
            self._key,
        ]

    def __next__(self) -> Command:
        return self._source.choice(self._families)()

    def _name(self, kind: str) -> str:
        return f"{kind}:{self._source.randrange(_KEYS_PER_TYPE)}"

    def _value(self) -> Argument:
        source = self._source
        values: list[Argument] = [source.randrange(-1000, 1000), f"v{source.randrange(100)}", b"r" * 90]
        return source.choice([*values, source.randbytes(source.randrange(40))])

    def _members(self) -> list[Argument]:
        return [f"m{self._source.randrange(150)}" for _ in range(self._source.randrange(1, 6))]

    def _string(self) -> Command:
        key, value, source = self._name("s"), self._value(), self._source
        return source.choice(
            [
                ("SET", key, value),
                ("SET", key, value, "EX", source.randrange(100, 10_000)),
                ("SET", key, value, "PX", source.randrange(1, 50)),
                ("SET", key, value, "KEEPTTL"),
                ("SET", key, value, "XX", "GET"),
                ("SET", key, value, "EXAT", FAR_FUTURE_MS // 1000),
                ("SETEX", key, 500, value),
                ("PSETEX", key, 500_000, value),
                ("SETNX", key, value),
                ("GETSET", key, value),
                ("GETDEL", key),
                ("GETEX", key, "PX", source.randrange(10**5, 10**6)),
                ("GETEX", key, "PERSIST"),
                ("APPEND", key, value),
                ("SETRANGE", key, source.randrange(60), value),
                ("MSET", key, value, self._name("s"), value),
                ("MSETNX", f"once:{source.randrange(500)}", value, f"once:{source.randrange(500)}", value),
            ]
        )

    def _counter(self) -> Command:
        key, source = self._name("n"), self._source
        return source.choice(
            [
                ("INCR", key),
                ("DECRBY", key, source.randrange(1000)),
                ("INCRBYFLOAT", self._name("f"), round(source.uniform(-10, 10), 3)),
                ("EXPIRE", key, source.randrange(100, 1000)),
            ]
        )

    def _bits(self) -> Command:
        key, source = self._name("b"), self._source
        return source.choice(
            [
                ("SETBIT", key, source.randrange(500), source.randrange(2)),
                (
                    "BITFIELD",
                    key,
                    "INCRBY",
                    "i5",
                    source.randrange(100),
                    source.randrange(1, 9),
                    "SET",
                    "u8",
                    "#2",
                    200,
                ),
                ("BITOP", source.choice(["AND", "OR", "XOR"]), key, self._name("b"), self._name("b")),
                ("BITOP", "NOT", key, self._name("b")),
            ]
        )

    def _list(self) -> Command:
        key, source = self._name("l"), self._source
        return source.choice(
            [
                ("RPUSH", key, self._value(), self._value(), self._value()),
                ("LPUSH", key, *self._members()),
                ("RPUSHX", key, self._value()),
                ("LPOP", key),
                ("RPOP", key, source.randrange(1, 4)),
                ("LSET", key, 0, self._value()),
                ("LINSERT", key, "BEFORE", f"m{source.randrange(150)}", self._value()),
                ("LREM", key, source.randrange(-2, 3), f"m{source.randrange(150)}"),
                ("LTRIM", key, 0, 200),
                ("RPOPLPUSH", key, self._name("l")),
                ("LMOVE", key, self._name("l"), source.choice(["LEFT", "RIGHT"]), source.choice(["LEFT", "RIGHT"])),
                ("SORT", key, "ALPHA", "LIMIT", 0, 20, "STORE", self._name("l")),
            ]
        )

    def _set(self) -> Command:
        key, source = self._name("set"), self._source
        return source.choice(
            [
                ("SADD", key, *self._members()),
                ("SADD", self._name("ints"), *(source.randrange(10**6) for _ in range(8))),
                ("SREM", key, *self._members()),
                ("SPOP", key),
                ("SPOP", self._name("ints"), source.randrange(1, 12)),
                ("SMOVE", key, self._name("set"), f"m{source.randrange(150)}"),
                ("SUNIONSTORE", key, self._name("set"), self._name("ints")),
                ("SINTERSTORE", key, self._name("set"), self._name("set")),
                ("SDIFFSTORE", key, self._name("set"), self._name("set")),
            ]
        )

    def _hash(self) -> Command:
        key, source = self._name("h"), self._source
        return source.choice(
            [
                ("HSET", key, f"f{source.randrange(80)}", self._value(), f"f{source.randrange(80)}", self._value()),
                ("HMSET", key, f"f{source.randrange(80)}", b"long" * 40),
                ("HSETNX", key, f"f{source.randrange(80)}", self._value()),
                ("HINCRBY", key, f"n{source.randrange(9)}", source.randrange(-50, 50)),
                ("HINCRBYFLOAT", key, f"d{source.randrange(9)}", round(source.uniform(-5, 5), 2)),
                ("HDEL", key, f"f{source.randrange(80)}", f"f{source.randrange(80)}"),
            ]
        )

    def _sorted_set(self) -> Command:
        key, source = self._name("z"), self._source
        score = source.choice([source.randrange(100), round(source.uniform(-100, 100), 4), source.random()])
        member = f"m{source.randrange(150)}"
        return source.choice(
            [
                ("ZADD", key, score, member, source.randrange(50), f"m{source.randrange(150)}"),
                ("ZADD", key, source.choice(["NX", "XX", "GT", "LT"]), "CH", score, member),
                ("ZADD", key, "INCR", score, member),
                ("ZINCRBY", key, score, member),
                ("ZREM", key, *self._members()),
                ("ZPOPMIN", key),
                ("ZPOPMAX", key, 2),
                ("ZREMRANGEBYRANK", key, 40, -1),
                ("ZREMRANGEBYSCORE", key, "(10", "(12"),
                ("ZREMRANGEBYLEX", self._name("zlex"), "[a", "(c"),
                ("ZADD", self._name("zlex"), 0, source.choice("abcdefgh"), 0, member),
                ("ZUNIONSTORE", key, 2, self._name("z"), self._name("z"), "WEIGHTS", 1, 2, "AGGREGATE", "MAX"),
                ("ZINTERSTORE", key, 2, self._name("z"), self._name("set")),
                ("ZDIFFSTORE", key, 2, self._name("z"), self._name("z")),
                ("ZRANGESTORE", key, self._name("z"), 0, 20),
            ]
        )

    def _key(self) -> Command:
        source = self._source
        kind = source.choice(["s", "l", "set", "h", "z"])
        key, other = self._name(kind), self._name(kind)
        return source.choice(
            [
                ("DEL", key, other),
                ("UNLINK", key),
                ("EXPIRE", key, source.randrange(1000, 10**6)),
                ("PEXPIRE", key, source.randrange(1, 80)),
                ("EXPIREAT", key, FAR_FUTURE_MS // 1000),
                ("EXPIRE", key, -1),
                ("PERSIST", key),
                ("RENAME", key, other),
                ("RENAMENX", key, other),
                ("COPY", key, other, "REPLACE"),
                ("COPY", key, other, "DB", source.choice(DATABASES)),
                ("MOVE", key, source.choice([5, 6])),
                ("SWAPDB", 5, 6),
                ("PUBLISH", "channel", "message"),
            ]
        )
