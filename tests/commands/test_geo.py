"""Geo commands without a server: what the differential tests cannot see, and the rules in words."""

from __future__ import annotations

import random

import pytest

from tests.support import FamilyBench
from txrepl.commands import geo, sorted_sets, strings
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.geohash import encode
from txrepl.resp.replies import encode as encode_reply

SICILY = ("GEOADD", "sicily", "13.361389", "38.115556", "Palermo", "15.087269", "37.502669", "Catania")


@pytest.fixture
def bench() -> FamilyBench:
    """The commands over a keyspace with two towns."""
    bench = FamilyBench(geo.family, sorted_sets.family, strings.family)
    bench.run(*SICILY)
    bench.effects()
    return bench


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


def test_geoadd_goes_into_the_stream_as_the_zadd_that_it_is(bench: FamilyBench) -> None:
    """With its options; and not at all when nothing changed."""
    assert bench.run("GEOADD", "sicily", "CH", "13.5", "38", "Palermo") == 1
    assert bench.effects() == [(0, (b"zadd", b"sicily", b"CH", b"%d" % encode(13.5, 38.0), b"Palermo"))]
    assert not bench.keyspace.verbatim
    assert bench.run("GEOADD", "sicily", "NX", "1", "1", "Palermo") == 0
    assert bench.effects() == []


def test_distances_have_four_decimals_and_coordinates_up_to_seventeen(bench: FamilyBench) -> None:
    """In RESP3 coordinates are doubles and distances stay text, as in Redis."""
    assert bench.run("GEODIST", "sicily", "Palermo", "Catania") == b"166274.1516"
    assert bench.run("GEODIST", "sicily", "Palermo", "Catania", "MI") == b"103.3182"
    assert bench.run("GEODIST", "sicily", "Palermo", "Palermo") == b"0.0000"
    places = bench.run("GEOPOS", "sicily", "Palermo", "none")
    assert encode_reply(places, 2) == (
        b"*2\r\n*2\r\n$20\r\n13.36138933897018433\r\n$20\r\n38.11555639549629859\r\n*-1\r\n"
    )
    assert encode_reply(places, 3) == b"*2\r\n*2\r\n,13.36138933897018433\r\n,38.11555639549629859\r\n_\r\n"


def test_a_search_answers_what_was_asked_for_in_a_fixed_order(bench: FamilyBench) -> None:
    """Distance, hash and coordinates, whatever the order of the options."""
    found = bench.run(
        "GEOSEARCH", "sicily", "FROMLONLAT", "15", "37", "BYBOX", "400", "400", "km", "ASC", "WITHHASH", "WITHDIST"
    )
    assert found == [[b"Catania", b"56.4413", 3479447370796909], [b"Palermo", b"190.4424", 3479099956230698]]
    assert bench.run("GEORADIUS_RO", "sicily", "15", "37", "200", "km", "COUNT", "1") == [b"Catania"]
    assert bench.run("GEORADIUSBYMEMBER", "sicily", "Palermo", "10", "m") == [b"Palermo"]


def test_what_is_stored_counts_each_member_as_a_change_and_takes_the_deadline_away(bench: FamilyBench) -> None:
    """And an empty result deletes the destination."""
    events: list[tuple[bytes, bytes]] = []
    bench.run("SET", "out", "x")
    bench.session.db.set_expire(b"out", bench.keyspace.now_ms + 1000)
    bench.keyspace.notify_flags = Event.ZSET | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, number: events.append((event, key))
    dirty = bench.keyspace.dirty
    search = ["FROMMEMBER", "Palermo", "BYRADIUS", "200", "km"]
    assert bench.run("GEOSEARCHSTORE", "out", "sicily", *search, "STOREDIST") == 2
    assert bench.keyspace.dirty == dirty + 2 and bench.session.db.expires == {}
    assert bench.run("ZSCORE", "out", "Catania") == pytest.approx(166.2741516)
    assert bench.run("GEORADIUS", "sicily", "100", "0", "1", "m", "STORE", "out") == 0
    assert bench.run("GEORADIUS", "none", "100", "0", "1", "m", "STORE", "out") == 0
    assert events == [(b"geosearchstore", b"out"), (b"del", b"out")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["GEOADD", "g", "181", "0", "a"], "ERR invalid longitude,latitude pair 181.000000,0.000000"),
        (["GEOADD", "g", "1", "0", "a", "1"], "ERR syntax error"),
        (["GEOADD", "g", "NX", "XX", "1", "0", "a"], "ERR syntax error"),
        (["GEODIST", "sicily", "a", "b", "x"], "ERR unsupported unit provided. please use M, KM, FT, MI"),
        (["GEOSEARCH", "sicily", "BYRADIUS", "1", "m", "ASC", "ASC"], "ERR exactly one of FROMMEMBER or FROMLONLAT "
         "can be specified for GEOSEARCH"),
        (["GEOSEARCH", "sicily", "FROMMEMBER", "Palermo", "ASC", "ASC", "ASC"], "ERR exactly one of BYRADIUS and BYBOX "
         "can be specified for GEOSEARCH"),
        (["GEOSEARCH", "sicily", "FROMMEMBER", "none", "BYRADIUS", "1", "m"],
         "ERR could not decode requested zset member"),
        (["GEOSEARCH", "sicily", "FROMLONLAT", "1", "1", "BYRADIUS", "-1", "m"], "ERR radius cannot be negative"),
        (["GEOSEARCH", "sicily", "FROMLONLAT", "1", "1", "BYBOX", "1", "-1", "m"],
         "ERR height or width cannot be negative"),
        (["GEORADIUS", "sicily", "1", "1", "x", "m"], "ERR need numeric radius"),
        (["GEORADIUS", "sicily", "1", "1", "1", "m", "ANY"], "ERR the ANY argument requires COUNT argument"),
        (["GEORADIUS", "sicily", "1", "1", "1", "m", "COUNT", "0"], "ERR COUNT must be > 0"),
        (["GEORADIUS", "sicily", "1", "1", "1", "m", "STORE", "o", "WITHDIST"],
         "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"),
        (["GEORADIUS_RO", "sicily", "1", "1", "1", "m", "STORE", "o"], "ERR syntax error"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused_in_redis_s_words(bench: FamilyBench, words: list[str], message: str) -> None:
    """And nothing is written."""
    dirty = bench.keyspace.dirty
    assert error(bench.run(*words)) == message
    assert bench.keyspace.dirty == dirty


def test_a_search_looks_at_what_is_near_and_not_at_all_members(
    bench: FamilyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 000 members all over the globe, a search of 10 km reads a handful."""
    rng = random.Random(1)
    for number in range(20_000):
        bench.run("GEOADD", "all", repr(rng.uniform(-180, 180)), repr(rng.uniform(-85, 85)), f"m{number}")
    looked_at: list[float] = []
    decode = geo.decode

    def counting(score: float) -> tuple[float, float]:
        looked_at.append(score)
        return decode(score)

    monkeypatch.setattr(geo, "decode", counting)
    bench.run("GEOADD", "all", "13", "38", "here")
    assert b"here" in bench.run("GEOSEARCH", "all", "FROMLONLAT", "13", "38", "BYRADIUS", "10", "km")  # type: ignore[operator]
    assert 1 <= len(looked_at) < 50


TRIANGLE = ("BYPOLYGON", "3", "12", "37", "16", "37", "14", "40")


def test_a_polygon_is_searched_and_its_result_stored_for_servers_that_know_none(bench: FamilyBench) -> None:
    """Distances are from the middle of the vertices; in the stream stands what is stored."""
    bench.run("GEOADD", "sicily", "2.35", "48.85", "Paris")
    bench.effects()
    found = bench.run("GEOSEARCH", "sicily", *TRIANGLE, "DESC", "WITHDIST")
    assert found == [[b"Catania", b"111096.0599"], [b"Palermo", b"57112.6019"]]
    assert bench.run("GEOSEARCHSTORE", "out", "sicily", *TRIANGLE) == 2
    stored = [command for _, command in bench.effects()]
    assert stored == [
        (b"DEL", b"out"),
        (b"ZADD", b"out", b"3479099956230698", b"Palermo", b"3479447370796909", b"Catania"),
    ]
    assert bench.run("GEOSEARCHSTORE", "out", "none", *TRIANGLE) == 0
    assert bench.effects() == [(0, (b"DEL", b"out"))]
    assert bench.run("GEOSEARCHSTORE", "out", "none", *TRIANGLE) == 0
    assert bench.effects() == []


def test_a_polygon_around_a_pole_finds_what_is_in_it(bench: FamilyBench) -> None:
    """Though its middle is where no place can be."""
    bench.run("GEOADD", "north", "30", "84", "in", "100", "50", "out")
    south = [word for longitude in range(-180, 181, 60) for word in (str(longitude), "70")]
    assert bench.run("GEOSEARCH", "north", "BYPOLYGON", "9", *south, "180", "85", "-180", "85") == [b"in"]
