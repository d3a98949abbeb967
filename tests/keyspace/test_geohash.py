"""Geohashes as scores, distances, and the ranges of scores that a search reads."""

from __future__ import annotations

from math import cos, inf, isfinite, pi, radians, sin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from txrepl.keyspace.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    Box,
    Circle,
    decode,
    distance_m,
    encode,
    geohash_text,
    search_spans,
)

PLACES = st.tuples(st.floats(-LONGITUDE_MAX, LONGITUDE_MAX), st.floats(-LATITUDE_MAX, LATITUDE_MAX))
PALERMO = (13.361389, 38.115556)
CATANIA = (15.087269, 37.502669)
EARTH_RADIUS_M = 6372797.560856


def test_the_places_of_redis_s_documentation_have_its_scores_hashes_and_distance() -> None:
    """Palermo and Catania, as in the pages of GEOADD, GEOHASH and GEODIST."""
    assert encode(*PALERMO) == 3479099956230698
    assert encode(*CATANIA) == 3479447370796909
    assert geohash_text(encode(*PALERMO)) == b"sqc8b49rny0"
    assert geohash_text(encode(*CATANIA)) == b"sqdtr74hyu0"
    assert round(distance_m(decode(encode(*PALERMO)), decode(encode(*CATANIA))), 4) == 166274.1516


@given(PLACES)
@example((LONGITUDE_MAX, LATITUDE_MAX))
@example((-LONGITUDE_MAX, -LATITUDE_MAX))
def test_a_place_comes_back_from_its_score_within_a_metre(place: tuple[float, float]) -> None:
    """A cell of 52 bits is 60 cm wide."""
    score = encode(*place)
    assert distance_m(place, decode(float(score))) < 1


@given(st.floats(allow_nan=False))
@example(inf)
@example(-inf)
@example(2.0**63)
@example(2.0**64)
@example(-1.0)
def test_any_score_names_a_place_within_the_bounds(score: float) -> None:
    """ZADD may have set it to anything."""
    longitude, latitude = decode(score)
    assert abs(longitude) <= LONGITUDE_MAX and abs(latitude) <= LATITUDE_MAX
    assert len(geohash_text(score)) == 11


@given(PLACES, PLACES)
def test_distances_are_the_same_both_ways_and_never_more_than_half_round_the_globe(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    """Two ends of the globe included, where the formula's sum may pass 1."""
    there = distance_m(start, end)
    assert 0 <= there <= pi * EARTH_RADIUS_M * (1 + 1e-12)
    assert there == distance_m(end, start)
    assert distance_m(start, start) == 0


def test_the_two_ends_of_the_globe_have_a_distance() -> None:
    """Here the sum in the formula is 1.0000000000000002."""
    half_m = distance_m((-9.851274800293993, 68.2426677939522), (170.148725199706, -68.2426677939522))
    assert half_m == pytest.approx(pi * EARTH_RADIUS_M)


def _holds(spans: list[tuple[float, float]], score: int) -> bool:
    return any(least <= score < after for least, after in spans)


@given(PLACES, st.floats(0, 3e5), st.floats(0, 2 * pi), st.floats(0, 1))
def test_what_is_near_is_in_one_of_the_ranges(
    centre: tuple[float, float], radius_m: float, direction: float, share: float
) -> None:
    """Any place within the shape that is not beyond the antimeridian or the bounds, which no search crosses."""
    if abs(centre[1]) > 60:
        return
    # Plain plane geometry: good enough far from the poles, and the shape itself says what is within.
    reach = radius_m * share
    north = reach * cos(direction) / 111_000
    east = reach * sin(direction) / (111_000 * cos(radians(centre[1])))
    place = (centre[0] + east, centre[1] + north)
    if abs(place[0]) > 179.9:
        return
    for shape in (Circle(radius_m, 1.0), Box(2 * radius_m, 2 * radius_m, 1.0)):
        if shape.distance_within(centre, place) is not None:
            assert _holds(search_spans(shape, centre), encode(*place))


@given(PLACES, st.floats(0, allow_nan=False), st.floats(0, allow_nan=False))
@example((0.0, 0.0), inf, inf)
@example((0.0, 84.0), 1e308, 0.0)
def test_every_search_is_at_most_nine_ranges_that_do_not_overlap(
    centre: tuple[float, float], width: float, height: float
) -> None:
    """Whatever its size, and none of them is empty or endless."""
    for shape in (Circle(width, 1609.34), Box(width, height, 0.3048)):
        spans = search_spans(shape, centre)
        assert 1 <= len(spans) <= 9
        assert all(isfinite(least) and 0 <= least < after for least, after in spans)
        ordered = sorted(spans)
        assert all(ordered[i][1] <= ordered[i + 1][0] for i in range(len(ordered) - 1))


def test_a_small_search_reads_a_small_part_of_the_globe() -> None:
    """100 m around Palermo: less than a square of 10 km."""
    share = sum(after - least for least, after in search_spans(Circle(100, 1.0), PALERMO)) / 2.0**52
    assert share < 1e8 / 5.1e14
