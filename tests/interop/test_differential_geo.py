"""Geo commands do on txrepl what they do on live servers: scores to the bit, distances and coordinates to the digit."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start, wait_until
from tests.interop.test_command_metadata import plain
from txrepl.commands import geo, keys, lists, sorted_sets, strings, zset_ranges
from txrepl.keyspace.geohash import Polygon

KINDS = ("redis70", "valkey9")
FAMILIES = (geo.family, sorted_sets.family, zset_ranges.family, strings.family, lists.family, keys.family)
SEEDS = range(6)
ROUNDS = 600

CENTRES = [(0.0, 0.0), (13.361389, 38.115556), (-122.4194, 37.7749), (179.9, 10.0), (-179.9, -10.0), (20.0, 84.0)]
CENTRES += [(-60.0, -84.9), (100.0, 66.5), (0.0, -0.5), (151.2, -33.9)]
RADII = ["0", "1", "100", "5000", "2e5", "1000000", "8000000", "30000000", "0.5", "inf", "1e300"]
BAD_RADII = ["x", "-1", "", "nan", "-inf"]
BAD_PLACES = [("181", "0"), ("0", "86"), ("x", "0"), ("0", ""), ("inf", "0"), ("-180.1", "-85.06"), ("1e300", "5")]
EDGES = [("180", "85.05112878"), ("-180", "-85.05112878"), ("180", "0"), ("0", "85.05112878"), ("0", "0"), ("-0", "-0")]


class Maker:
    """Makes commands: mostly right ones, some wrong.

    What 7.2 prints and computes otherwise than 7.0 (halves of the fourth decimal, the distance between places of one
    longitude) is too rare to be met.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def some(self, *choices: str) -> str:
        return self.rng.choice(choices)

    def maybe(self, *words: str, chance: float = 0.3) -> list[str]:
        return list(words) if self.rng.random() < chance else []

    def key(self) -> str:
        return self.rng.choices(["g1", "g2", "big", "missing", "text", "scores"], weights=[8, 6, 6, 2, 1, 2])[0]

    def source(self) -> str:
        return self.rng.choices(["g1", "g2", "big", "missing", "text", "out"], weights=[8, 6, 8, 2, 1, 1])[0]

    def member(self) -> str:
        return self.some("a", "b", "c", "d", "é", "10", "x" * 70, *(f"m{self.rng.randrange(200)}" for _ in range(12)))

    def place(self) -> list[str]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.02:
            return list(rng.choice(BAD_PLACES))
        if kind < 0.06:
            return list(rng.choice(EDGES))
        if kind < 0.4:
            return [repr(rng.uniform(-180, 180)), repr(rng.uniform(-85, 85))]
        longitude, latitude = rng.choice(CENTRES)
        spread = rng.choice([1e-5, 0.01, 0.1])
        return [repr(longitude + rng.uniform(-spread, spread)), repr(latitude + rng.uniform(-spread, spread))]

    def radius(self) -> str:
        return self.some(*RADII) if self.rng.random() > 0.03 else self.some(*BAD_RADII)

    def unit(self) -> str:
        return self.some("m", "km", "ft", "mi", "M", "Km") if self.rng.random() > 0.02 else self.some("x", "", "mm")

    def geoadd(self) -> list[str]:
        words = [self.some("g1", "g2", "big", "big")]
        words += [*self.maybe(self.some("NX", "xx"), chance=0.2), *self.maybe("CH", chance=0.2)]
        words += self.maybe("XX", chance=0.02)
        count = self.rng.choice([1, 1, 2, 5, 0]) if len(words) > 2 else self.rng.choice([1, 1, 2, 5])
        for _ in range(count):
            words += [*self.place(), self.member()]
        if len(words) < 4 or self.rng.random() < 0.01:
            words += ["1", "2"]
        return words

    def options(self) -> list[str]:
        """Options of all searches. Without an order or a count what is found comes cell by cell, which is compared."""
        words = self.maybe(self.some("asc", "DESC"), chance=0.5)
        if self.rng.random() < 0.4:
            words += [
                "COUNT",
                self.some("1", "2", "3", "10", "50") if self.rng.random() > 0.05 else self.some("0", "x"),
            ]
            words += self.maybe("ANY", chance=0.3)
        words += self.maybe("any", "bad", chance=0.01)
        return words

    def with_options(self) -> list[str]:
        words = [*self.options(), *self.maybe("WITHCOORD"), *self.maybe("withdist"), *self.maybe("WithHash")]
        self.rng.shuffle(words) if self.rng.random() < 0.05 else None
        return words

    def centre(self) -> list[str]:
        words = ["FROMMEMBER", self.member()] if self.rng.random() < 0.3 else ["fromlonlat", *self.place()]
        return [*words, *self.maybe("FROMMEMBER", "a", chance=0.02)] if self.rng.random() > 0.02 else []

    def shape(self) -> list[str]:
        if self.rng.random() < 0.5:
            words = ["BYRADIUS", self.radius(), self.unit()]
        else:
            words = ["bybox", self.radius(), self.radius(), self.unit()]
        return [*words, *self.maybe("BYBOX", "1", "1", "m", chance=0.02)] if self.rng.random() > 0.02 else []

    def search(self) -> list[str]:
        parts = [self.centre(), self.shape()]
        self.rng.shuffle(parts)
        return [word for part in parts for word in part]

    def stored(self) -> list[str]:
        return self.maybe(self.some("STORE", "storedist"), self.some("out", "out2", "g2", "text"), chance=0.4)

    def around_place(self) -> list[str]:
        return [self.source(), *self.place(), self.radius(), self.unit()]

    def around_member(self) -> list[str]:
        return [self.source(), self.member(), self.radius(), self.unit()]

    def command(self) -> Words:
        name = self.rng.choice(list(COMMANDS))
        return [name, *COMMANDS[name](self)]


_VALKEY_MEMBER = re.compile(rb"\A-ERR member .* does not exist\r\n", re.DOTALL)

COMMANDS = {
    "geoadd": Maker.geoadd,
    "GEOADD": Maker.geoadd,
    "Geoadd": Maker.geoadd,
    "zadd": lambda m: [
        "scores",
        m.some("0", "-1", "1e18", "4503599627370496", "-inf", "inf", "2.5", "1e300"),
        m.member(),
    ],
    "geodist": lambda m: [m.key(), m.member(), m.member(), *m.maybe(m.unit()), *m.maybe("x", "y", chance=0.02)],
    "geohash": lambda m: [m.key(), *m.maybe(m.member()), *m.maybe(m.member(), m.member())],
    "geopos": lambda m: [m.key(), *m.maybe(m.member()), *m.maybe(m.member(), m.member())],
    "geosearch": lambda m: [m.source(), *m.search(), *m.with_options()],
    "GEOSEARCH": lambda m: [m.source(), *m.search(), *m.with_options()],
    "geosearchstore": lambda m: ["out", m.source(), *m.search(), *m.options(), *m.maybe("STOREDIST")],
    "GeoSearchStore": lambda m: [m.some("out", "g2"), m.source(), *m.search(), *m.with_options()],
    "georadius": lambda m: [*m.around_place(), *m.options(), *m.stored()],
    "GEORADIUS": lambda m: [*m.around_place(), *m.with_options(), *m.maybe("STORE", "out", chance=0.05)],
    "georadius_ro": lambda m: [*m.around_place(), *m.with_options(), *m.maybe("STORE", "out", chance=0.05)],
    "georadiusbymember": lambda m: [*m.around_member(), *m.options(), *m.stored()],
    "georadiusbymember_ro": lambda m: [*m.around_member(), *m.with_options()],
    "zrange": lambda m: [m.some("out", "out2", "g1"), "0", "-1"],
    "set": lambda m: ["text", "value"],
    "del": lambda m: [m.some("g2", "out")],
}


def worded_alike(words: Words, raw: bytes) -> bytes:
    """The reply with the errors that Valkey 9 words otherwise in the words of Redis 7.2; all else as it is.

    Valkey tells which member does not exist, and has a third way to say how far a search goes.
    """
    raw = _VALKEY_MEMBER.sub(b"-ERR could not decode requested zset member\r\n", raw)
    return raw.replace(b"exactly one of BYRADIUS, BYBOX and BYPOLYGON", b"exactly one of BYRADIUS and BYBOX")


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
    run_both(server, FAMILIES, [maker.command() for _ in range(ROUNDS)], proto, worded_alike)


def _vertices(rng: random.Random, count: int) -> list[tuple[float, float]]:
    """Places around a place, near or far, whose middle is not at a pole, where Valkey's search is undefined."""
    longitude, latitude = rng.choice(CENTRES)
    spread = rng.choice([0.2, 5.0, 40.0, 150.0])
    while True:
        around = [
            (
                min(max(longitude + rng.uniform(-spread, spread), -180.0), 180.0),
                min(max(latitude + rng.uniform(-spread, spread), -85.0), 85.0),
            )
            for _ in range(count)
        ]
        if abs(Polygon(around).centre[1]) < 85:
            return around


def _polygon(rng: random.Random) -> list[str]:
    """BYPOLYGON around a place: large and small, convex or crossing itself, sometimes wrong."""
    count = rng.choice([3, 3, 4, 5, 8])
    vertices = [repr(degrees) for place in _vertices(rng, count) for degrees in place]
    told = str(count) if rng.random() < 0.95 else rng.choice(["2", "x", "0", "-3", "9", "99999999999"])
    wrong = rng.choice([["FROMLONLAT", "0", "0"], ["BYRADIUS", "5", "km"], ["FROMMEMBER", "m1"], ["BYPOLYGON", "3"]])
    words = [rng.choice(["BYPOLYGON", "bypolygon"]), told, *vertices]
    if rng.random() < 0.08:
        words = [*wrong, *words] if rng.random() < 0.5 else [*words, *wrong]
    return words


@pytest.mark.parametrize("seed", range(2))
def test_polygons_hold_what_they_hold_on_valkey(run: Run, seed: int) -> None:
    """What is found, in which order, how far from the middle; what is stored; and what is refused.

    What was stored stands in txrepl's stream as members with scores, for only Valkey 9 knows polygons.
    """

    def without_stores(stream: list[list[bytes]]) -> list[list[bytes]]:
        return [command for command in stream if command[1] != b"out"]

    maker = Maker(seed)
    rng = maker.rng
    commands: list[Words] = [["geoadd", "g1", *maker.place(), f"m{number}"] for number in range(200)]
    for _ in range(400):
        key = rng.choice(["g1", "g1", "g1", "missing"])
        commands.append(["geosearch", key, *_polygon(rng), *maker.with_options()])
        commands.append(["geosearchstore", "out", key, *_polygon(rng), *maker.options(), *maker.maybe("STOREDIST")])
        commands.append(["geoadd", "g1", *maker.place(), maker.member()])
    run_both(run("valkey9"), FAMILIES, commands, 2, worded_alike, written=without_stores)


@pytest.mark.parametrize("seed", range(3))
def test_members_equally_far_come_and_are_stored_in_the_same_order(server: RealServer, seed: int) -> None:
    """Dozens of members at few places, so that which of them a COUNT takes shows the sorting step by step."""
    rng = random.Random(seed)
    places = [[repr(rng.uniform(-1, 1)), repr(rng.uniform(-1, 1))] for _ in range(12)]
    commands: list[Words] = []
    for number in range(150):
        commands.append(["geoadd", "g", *rng.choice(places), f"m{number}"])
        search = ["g", "FROMLONLAT", "0.1", "0.1", "BYRADIUS", "500", "km", rng.choice(["ASC", "DESC"])]
        commands.append(["geosearch", *search])
        for count in {rng.randint(1, number + 2), rng.randint(1, 8)}:
            commands.append(["geosearch", *search, "COUNT", count, "WITHDIST"])
            commands.append(["geosearchstore", "out", *search, "COUNT", count, *rng.choice([[], ["STOREDIST"]])])
            commands.append(["zrange", "out", "0", "-1"])
    run_both(server, FAMILIES, commands, 2)


def test_places_at_opposite_ends_have_a_distance(server: RealServer) -> None:
    """The formula's sum may pass 1 by rounding there."""
    rng = random.Random(3)
    commands: list[Words] = []
    for _ in range(300):
        longitude, latitude = rng.uniform(-180, 0), rng.uniform(-85, 85)
        commands.append(["geoadd", "g", repr(longitude), repr(latitude), "a"])
        commands.append(["geoadd", "g", repr(longitude + 180), repr(-latitude), "b"])
        commands.append(["geodist", "g", "a", "b", "km"])
    run_both(server, FAMILIES, commands, 2)


def _written(server: RealServer) -> None:
    """Write places and results of searches of every kind, with many places that are equally far."""
    rng = random.Random(11)
    for number in range(200):
        place = (rng.randint(-2, 2), rng.randint(-2, 2)) if number % 2 else (rng.uniform(-5, 5), rng.uniform(-5, 5))
        server.command("GEOADD", f"g{number % 2}", *place, f"m{number}")
        search = ["FROMLONLAT", 0, 0, "BYRADIUS", 400, "km", "COUNT", rng.randint(1, 30)]
        server.command("GEOSEARCHSTORE", f"near{number % 5}", f"g{number % 2}", *search)
        server.command("GEORADIUS", "g0", 0, 0, 300, "km", "COUNT", 5, "ANY", "STORE", "any")
        server.command("GEORADIUSBYMEMBER", "g0", "m0", 3000, "mi", "STOREDIST", "far")


@pytest.mark.parametrize(("upper", "lower"), [("redis70", "txrepl"), ("valkey9", "txrepl"), ("txrepl", "redis70")])
def test_a_replica_holds_the_same_places_and_results(run: Run, upper: str, lower: str) -> None:
    """Searches that store are repeated by the replica, which must find the same members; nothing fails there."""
    primary = run(upper)
    replica = run(lower, replicaof=("127.0.0.1", primary.port))
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
    _written(primary)
    wait_until(lambda: replica.offset() == primary.offset(), 20, "the replica has everything")
    legacy = "redis70" in (upper, lower)
    digests = [one.digest(legacy and one.kind == "txrepl") for one in (primary, replica)]
    assert digests[0] == digests[1]
    assert replica.command("ZCARD", "far") == primary.command("ZCARD", "far") > 0
    assert "CRITICAL" not in replica.log_text()


GETKEYS: list[tuple[str, ...]] = [
    ("GEORADIUS", "g", "1", "1", "1", "m"),
    ("GEORADIUS", "g", "1", "1", "1", "m", "STORE", "a"),
    ("GEORADIUS", "g", "1", "1", "1", "m", "STORE"),
    ("GEORADIUSBYMEMBER", "g", "store", "1", "m", "STOREDIST", "a"),
    ("GEOSEARCHSTORE", "a", "g", "FROMMEMBER", "m", "BYRADIUS", "1", "m"),
]


GETKEYS_OF: dict[str, list[tuple[str, ...]]] = {
    "valkey9": [("GEORADIUS", "g", "1", "1", "1", "m", "STORE", "a", "storedist", "b")],
    "redis70": [("GEORADIUS", "g", "1", "1", "1", "STORE", "STORE", "a")],
}
"""Where they differ: Redis also finds a key that is not written, Valkey takes the unit for an option."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_keys_of_searches_are_found_as_a_real_server_finds_them(run: Run, kind: str) -> None:
    """Behind STORE and STOREDIST."""
    calls = [*GETKEYS, *GETKEYS_OF.get(kind, [])]
    answers = []
    for one in (run(kind), run("txrepl")):
        with one.connect() as client:
            answers.append(
                [
                    plain(client.execute("COMMAND", how, *words))
                    for how in ("GETKEYS", "GETKEYSANDFLAGS")
                    for words in calls
                ]
            )
    assert answers[0] == answers[1]
