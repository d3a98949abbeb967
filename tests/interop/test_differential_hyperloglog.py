"""HyperLogLog commands do on txrepl what they do on live servers, and leave strings that are equal to the byte."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start, wait_until
from txrepl.commands import expire, hyperloglog, keys, lists, strings
from txrepl.keyspace.hyperloglog import EMPTY, HyperLogLog

KINDS = ("redis70", "valkey9")
FAMILIES = (hyperloglog.family, strings.family, keys.family, expire.family, lists.family)
SEEDS = range(3)
ROUNDS = 700
FAR_MS = "32503680000000"


def _made(elements: int, *, dense: bool = False) -> bytes:
    """The string that so many elements make."""
    sketch = HyperLogLog()
    for number in range(elements):
        sketch.add(b"base:%d" % number, 3000)
    if dense:
        sketch.make_dense()
    sketch.invalidate()
    return bytes(sketch.data)


BASES = [EMPTY, _made(5), _made(60), _made(300), _made(50, dense=True)]


class Maker:
    """Makes commands: mostly right ones, some wrong, on strings of which some are corrupt.

    A string whose last opcode lacks its second byte is not made: there Redis reads what happens to lie in memory.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def key(self) -> str:
        return self.rng.choices(["a", "b", "c", "bad", "missing", "text", "list"], weights=[6, 6, 6, 3, 1, 1, 1])[0]

    def elements(self) -> list[str]:
        count = self.rng.choice([0, 1, 1, 1, 2, 5, 5, 60])
        return [self.rng.choice(["", "é", "x" * 20, *[str(self.rng.randrange(10**9))] * 20]) for _ in range(count)]

    def many(self) -> list[str]:
        return [self.key() for _ in range(self.rng.choice([0, 1, 1, 2, 3]))]

    def debug(self) -> list[str]:
        return [self.rng.choice(["GETREG", "Decode", "encoding", "TODENSE", "nothing", ""]), self.key()]

    def corrupt(self) -> list[str | bytes]:
        rng = self.rng
        while True:
            value = bytearray(rng.choice(BASES))
            match rng.randrange(6):
                case 0:
                    value = value[: rng.randrange(len(value) + 1)]
                case 1:
                    value[rng.randrange(len(value))] = rng.randrange(256)
                case 2:
                    value[4] = rng.choice([0, 1, 2, 255])
                case 3:
                    value[16:] = rng.randbytes(rng.randrange(40))
                case 4:
                    del value[rng.randrange(16, len(value))]
                case 5:
                    value += rng.randbytes(3)
            if not _ends_inside_an_opcode(value):
                return ["bad", bytes(value)]

    def command(self) -> Words:
        name = self.rng.choices(list(COMMANDS), weights=[weight for weight, _ in COMMANDS.values()])[0]
        return [name, *COMMANDS[name][1](self)]


def _ends_inside_an_opcode(value: bytearray) -> bool:
    at = 16
    while at < len(value):
        at += 2 if 0x40 <= value[at] < 0x80 else 1
    return at > len(value)


COMMANDS = {
    "pfadd": (8, lambda m: [m.key(), *m.elements()]),
    "PFADD": (8, lambda m: [m.key(), *m.elements()]),
    "pfcount": (4, lambda m: [m.key()]),
    "PFCOUNT": (1, lambda m: [m.key(), *m.many()]),
    "pfmerge": (2, lambda m: [m.key(), *m.many()]),
    "pfdebug": (1, Maker.debug),
    "get": (4, lambda m: [m.key()]),
    "set": (3, Maker.corrupt),
    "SET": (1, lambda m: ["text", m.rng.choice(["x", "12345678901234567890", "HYLL"])]),
    "rpush": (1, lambda m: ["list", "x"]),
    "del": (1, lambda m: [m.rng.choice(["a", "b", "c"])]),
    "pexpireat": (1, lambda m: [m.key(), FAR_MS]),
    "pexpiretime": (1, lambda m: [m.key()]),
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
    maker = Maker(seed)
    run_both(server, FAMILIES, [maker.command() for _ in range(ROUNDS)], proto)


def test_strings_stay_equal_from_the_first_element_until_long_after_they_are_dense(server: RealServer) -> None:
    """After every addition on the way, and at merges of every pair of sizes."""
    rng = random.Random(7)
    commands: list[Words] = []
    for number in range(600):
        commands += [["pfadd", "h", *(f"{rng.randrange(10**12)}" for _ in range(4))], ["get", "h"]]
        if number % 40 == 0:
            commands += [["pfcount", "h"], ["pfmerge", "sum", "h", "other"], ["get", "sum"]]
            commands += [["pfadd", "other", *(f"{rng.randrange(10**12)}" for _ in range(number))], ["pfcount", "other"]]
    commands += [["pfdebug", "encoding", "h"], ["pfdebug", "getreg", "h"], ["pfdebug", "decode", "h"]]
    run_both(server, FAMILIES, commands, 2)


def test_the_string_becomes_dense_where_the_directive_says(run: Run) -> None:
    """At any limit, at the same element as on Redis 7.0."""
    other, ours = run("redis70"), run("txrepl")
    for limit in (0, 18, 21, 40, 300, 15000):
        for one in (other, ours):
            one.command("CONFIG", "SET", "hll-sparse-max-bytes", limit)
        for number in range(150):
            words = ["PFADD", f"h{limit}", f"element:{number}"]
            assert ours.command(*words) == other.command(*words)
            assert ours.command("GET", words[1]) == other.command("GET", words[1]), (limit, number)
    assert ours.command("PFDEBUG", "ENCODING", "h300") == "dense"
    assert ours.command("PFDEBUG", "ENCODING", "h15000") == "sparse"


def _written(server: RealServer) -> None:
    """Write HyperLogLogs of every kind."""
    rng = random.Random(11)
    for number in range(300):
        server.command("PFADD", f"h{number % 5}", *(f"{rng.randrange(10**12)}" for _ in range(number % 40)))
        if number % 20 == 0:
            server.command("PFCOUNT", f"h{number // 20 % 5}")
            server.command("PFMERGE", f"m{number % 3}", f"h{number % 5}", f"h{(number + 1) % 5}")
    server.command("PFCOUNT", "m0")
    server.command("PFCOUNT", "h0", "h1")
    server.command("PFDEBUG", "TODENSE", "h1")


@pytest.mark.parametrize(("upper", "lower"), [("redis70", "txrepl"), ("valkey9", "txrepl"), ("txrepl", "redis70")])
def test_a_replica_holds_the_same_strings(run: Run, upper: str, lower: str) -> None:
    """Estimates that PFCOUNT keeps included, which come as PFCOUNT; and nobody's stream makes an error."""
    primary = run(upper)
    replica = run(lower, replicaof=("127.0.0.1", primary.port))
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
    _written(primary)
    wait_until(lambda: replica.offset() == primary.offset(), 20, "the replica has everything")
    for key in ("h0", "h1", "h2", "h3", "h4", "m0", "m1", "m2"):
        assert replica.command("GET", key) == primary.command("GET", key), key
    assert replica.command("PFCOUNT", "m0") == primary.command("PFCOUNT", "m0")
    legacy = "redis70" in (upper, lower)
    digests = [one.digest(legacy and one.kind == "txrepl") for one in (primary, replica)]
    assert digests[0] == digests[1]
    assert "CRITICAL" not in replica.log_text()
