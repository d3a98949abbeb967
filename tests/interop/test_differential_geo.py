"""Geo commands do on txrepl what they do on live servers: scores to the bit, distances and coordinates to the digit."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start, wait_until
from tests.interop.test_command_metadata import plain
from txrepl.commands import geo, keys, lists, sorted_sets, strings, zset_ranges

KINDS = ("redis70", "valkey9")
FAMILIES = (geo.family, sorted_sets.family, zset_ranges.family, strings.family, lists.family, keys.family)


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A live server to compare with."""
    with start(request.param) as running:
        yield running


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
