"""Places on the globe as sorted-set scores, and searches as ranges of scores.

A score is a geohash of 52 bits: longitude and latitude are each halved 26 times, and the halves' bits take turns,
longitude first. All that lies in one cell of a coarser grid is one range of scores, so a search is at most nine
ranges: the cell of its centre, at a step that fits, and the cells around. Which cells, in which order, and every
distance are Redis's to the last bit, for what a search stores must be the same on every replica. Follows geohash.c
and geohash_helper.c of Redis 7.2.
"""

from __future__ import annotations

from math import asin, atan2, cos, isfinite, nan, pi, sin, sqrt
from typing import Final, Protocol

LONGITUDE_MAX: Final = 180.0
LATITUDE_MAX: Final = 85.05112878
"""Beyond it Mercator maps have no room."""

STEPS: Final = 26
_EARTH_RADIUS_M: Final = 6372797.560856
_MERCATOR_MAX_M: Final = 20037726.37
_RADIANS: Final = pi / 180.0
_WORD: Final = (1 << 64) - 1
_HALF_WORD: Final = (1 << 32) - 1
_ALPHABET: Final = b"0123456789bcdefghjkmnpqrstuvwxyz"
_POLE: Final = 90.0

Coordinates = tuple[float, float]
"""Longitude and latitude in degrees."""

ScoreSpan = tuple[float, float]
"""The least score of a cell, and the first one after it."""

# -- scores -----------------------------------------------------------------------------------------------------

_SPREAD: Final = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333))
_EVEN: Final = 0x5555555555555555
_ODD: Final = _EVEN << 1


def _spread(bits: int) -> int:
    """Move the 32 lowest bits to the even places."""
    for shift, mask in _SPREAD:
        bits = (bits | bits << shift) & mask
    return (bits | bits << 1) & _EVEN


def _gather(bits: int) -> int:
    """The bits of the even places."""
    bits &= _EVEN
    bits = (bits | bits >> 1) & 0x3333333333333333
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0F
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FF
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFF
    return (bits | bits >> 16) & _HALF_WORD


def encode(longitude: float, latitude: float, step: int = STEPS, latitude_max: float = LATITUDE_MAX) -> int:
    """The geohash of 2 × step bits of a place that lies within the bounds (`geohashEncode`)."""
    across = (longitude + LONGITUDE_MAX) / (2 * LONGITUDE_MAX)
    up = (latitude + latitude_max) / (latitude_max + latitude_max)
    cells = 1 << step
    return _spread(int(up * cells)) | _spread(int(across * cells)) << 1


def _area(bits: int, step: int) -> tuple[float, float, float, float]:
    """Least and greatest longitude, least and greatest latitude of a cell (`geohashDecode`)."""
    cells = 1 << step
    across, up = _gather(bits >> 1), _gather(bits)
    return (
        -LONGITUDE_MAX + across / cells * 360.0,
        -LONGITUDE_MAX + (across + 1 & _HALF_WORD) / cells * 360.0,
        -LATITUDE_MAX + up / cells * (LATITUDE_MAX + LATITUDE_MAX),
        -LATITUDE_MAX + (up + 1 & _HALF_WORD) / cells * (LATITUDE_MAX + LATITUDE_MAX),
    )


def decode(score: float) -> Coordinates:
    """The middle of the cell that a score names; any score names one, as in C on x86 (`decodeGeohash`)."""
    west, east, south, north = _area(_unsigned(score), STEPS)
    longitude, latitude = (west + east) / 2, (south + north) / 2
    return (
        min(max(longitude, -LONGITUDE_MAX), LONGITUDE_MAX),
        min(max(latitude, -LATITUDE_MAX), LATITUDE_MAX),
    )


def _unsigned(score: float) -> int:
    """A double as a 64-bit unsigned integer, where it has none as the conversion of x86 leaves it."""
    if score < 2.0**63:
        return int(score) & _WORD if score >= -(2.0**63) else 1 << 63
    return int(score) if score < 2.0**64 else 0


def geohash_text(score: float) -> bytes:
    """The standard geohash of a score's place in 11 letters, the last one always 0 (GEOHASH)."""
    longitude, latitude = decode(score)
    bits = encode(longitude, latitude, STEPS, _POLE)
    letters = [bits >> 52 - 5 * (place + 1) & 31 for place in range(10)]
    return bytes(_ALPHABET[letter] for letter in (*letters, 0))


# -- distances --------------------------------------------------------------------------------------------------


def _latitude_distance_m(first: float, second: float) -> float:
    return _EARTH_RADIUS_M * abs(second * _RADIANS - first * _RADIANS)


def distance_m(start: Coordinates, end: Coordinates) -> float:
    """Metres between two places on a sphere, by the haversine formula (`geohashGetDistance`)."""
    v = sin((end[0] * _RADIANS - start[0] * _RADIANS) / 2)
    if v == 0:
        return _latitude_distance_m(start[1], end[1])
    first, second = start[1] * _RADIANS, end[1] * _RADIANS
    u = sin((second - first) / 2)
    share = u * u + cos(first) * cos(second) * v * v
    return 2.0 * _EARTH_RADIUS_M * asin(sqrt(min(share, 1.0)))


# -- searches ---------------------------------------------------------------------------------------------------


_Bounds = tuple[float, float, float, float]
"""West, east, south and north, in degrees."""


class Shape(Protocol):
    """What a search covers, without its centre.

    Attributes:
        unit_m: metres of the unit that the search was given in.
    """

    unit_m: float

    def bounds(self, centre: Coordinates) -> _Bounds:
        """What is around the shape (`geohashBoundingBox`)."""

    def reach_m(self) -> float:
        """Metres from the centre to the furthest place."""

    def distance_within(self, centre: Coordinates, place: Coordinates) -> float | None:
        """Metres from the centre, None for a place outside."""


class Circle:
    """All within a radius.

    Parameters:
        radius: in units.
        unit_m: metres of a unit.
    """

    __slots__ = ("_radius_m", "unit_m")

    def __init__(self, radius: float, unit_m: float) -> None:
        self.unit_m = unit_m
        self._radius_m = radius * unit_m

    def bounds(self, centre: Coordinates) -> _Bounds:
        """The radius, all ways."""
        return _bounds_around(self._radius_m, self._radius_m, centre)

    def reach_m(self) -> float:
        """The radius."""
        return self._radius_m

    def distance_within(self, centre: Coordinates, place: Coordinates) -> float | None:
        """Metres from the centre, None for a place outside (`geohashGetDistanceIfInRadius`)."""
        distance = distance_m(centre, place)
        return distance if distance <= self._radius_m else None


class Box:
    """All within a box whose sides run with meridians and parallels.

    Parameters:
        width: from west to east, in units.
        height: from south to north, in units.
        unit_m: metres of a unit.
    """

    __slots__ = ("_height", "_width", "unit_m")

    def __init__(self, width: float, height: float, unit_m: float) -> None:
        self.unit_m = unit_m
        self._width = width
        self._height = height

    def bounds(self, centre: Coordinates) -> _Bounds:
        """Half of its sides, both ways."""
        return _bounds_around(self.unit_m * (self._width / 2), self.unit_m * (self._height / 2), centre)

    def reach_m(self) -> float:
        """From the centre to a corner."""
        width, height = self._width / 2, self._height / 2
        return sqrt(width * width + height * height) * self.unit_m

    def distance_within(self, centre: Coordinates, place: Coordinates) -> float | None:
        """Metres from the centre, None for a place outside (`geohashGetDistanceIfInRectangle`)."""
        if _latitude_distance_m(place[1], centre[1]) > self._height * self.unit_m / 2:
            return None
        if distance_m(place, (centre[0], place[1])) > self._width * self.unit_m / 2:
            return None
        return distance_m(centre, place)


class Polygon:
    """All within a polygon of longitudes and latitudes (Valkey 9).

    Parameters:
        vertices: at least three, in order.

    Attributes:
        centre: the mean of the vertices, on the globe: distances are from there.
    """

    __slots__ = ("_bounds", "_vertices", "centre", "unit_m")

    def __init__(self, vertices: list[Coordinates]) -> None:
        self.unit_m = 1.0
        self._vertices = vertices
        longitudes, latitudes = zip(*vertices, strict=True)
        self._bounds: _Bounds = (min(longitudes), max(longitudes), min(latitudes), max(latitudes))
        self.centre: Coordinates = self._mean()

    def _mean(self) -> Coordinates:
        x = y = z = 0.0
        for longitude, latitude in self._vertices:
            across, up = longitude * _RADIANS, latitude * _RADIANS
            x += cos(up) * cos(across)
            y += cos(up) * sin(across)
            z += sin(up)
        return atan2(y, x) / _RADIANS, atan2(z, sqrt(x * x + y * y)) / _RADIANS

    def bounds(self, centre: Coordinates) -> _Bounds:
        """The outermost vertices, all ways."""
        return self._bounds

    def reach_m(self) -> float:
        """From the centre to the furthest corner of the bounds."""
        west, east, south, north = self._bounds
        corners = ((west, north), (east, north), (west, south), (east, south))
        return max(distance_m(self.centre, corner) for corner in corners)

    def distance_within(self, centre: Coordinates, place: Coordinates) -> float | None:
        """Metres from the centre, None for a place outside (`geohashGetDistanceIfInPolygon`)."""
        longitude, latitude = place
        is_inside = False
        last = self._vertices[-1]
        for one in self._vertices:
            if (one[1] > latitude) != (last[1] > latitude):
                edge = (last[0] - one[0]) * (latitude - one[1]) / (last[1] - one[1]) + one[0]
                is_inside ^= longitude < edge
            last = one
        return distance_m(centre, place) if is_inside else None


def _bounds_around(width_m: float, height_m: float, centre: Coordinates) -> _Bounds:
    """The bounds of what reaches so many metres from the centre (`geohashBoundingBox`)."""
    longitude, latitude = centre
    up = height_m / _EARTH_RADIUS_M / _RADIANS
    edge = latitude - up if latitude < 0 else latitude + up
    angle = edge * _RADIANS
    across = width_m / _EARTH_RADIUS_M / (cos(angle) if isfinite(angle) else nan) / _RADIANS
    return longitude - across, longitude + across, latitude - up, latitude + up


def _estimated_step(reach_m: float, latitude: float) -> int:
    """The finest grid of which nine cells should cover a search (`geohashEstimateStepsByRadius`)."""
    if reach_m == 0:
        return STEPS
    step = -1
    while reach_m < _MERCATOR_MAX_M:
        reach_m *= 2
        step += 1
    if abs(latitude) > 66:
        step -= 2 if abs(latitude) > 80 else 1
    return min(max(step, 1), STEPS)


def _moved(bits: int, step: int, east: int, north: int) -> int:
    """A cell's neighbour, round the globe if need be (`geohash_move_x`, `geohash_move_y`)."""
    odd, even = bits & _ODD, bits & _EVEN
    unused = 64 - 2 * step
    if east:
        gaps = _EVEN >> unused
        odd = odd + gaps + 1 if east > 0 else (odd | gaps) - gaps - 1
        odd &= _ODD >> unused
    if north:
        gaps = _ODD >> unused
        even = even + gaps + 1 if north > 0 else (even | gaps) - gaps - 1
        even &= _EVEN >> unused
    return odd | even


_NEIGHBOURS: Final = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""The steps east and north to the cells of a search, in Redis's order."""


def search_spans(shape: Shape, centre: Coordinates) -> list[ScoreSpan]:
    """The ranges of scores that hold all of a search, in the order in which Redis reads them.

    Parameters:
        shape: what is searched.
        centre: around where. All places are searched when it is nearer to a pole than they are, as a polygon's middle
            can be: there is no cell for it (Valkey then searches somewhere or other).
    """
    if abs(centre[1]) > LATITUDE_MAX:
        return [(0.0, float(1 << 52))]
    west, east, south, north = shape.bounds(centre)
    step = _estimated_step(shape.reach_m(), centre[1])
    bits = encode(*centre, step)
    if step > 1 and (
        _area(_moved(bits, step, 0, 1), step)[3] < north
        or _area(_moved(bits, step, 0, -1), step)[2] > south
        or _area(_moved(bits, step, 1, 0), step)[1] < east
        or _area(_moved(bits, step, -1, 0), step)[0] > west
    ):
        step -= 1
        bits = encode(*centre, step)
    useless: set[tuple[int, int]] = set()
    if step >= 2:
        cell_west, cell_east, cell_south, cell_north = _area(bits, step)
        for axis, way, is_useless in (
            (1, -1, cell_south < south),
            (1, 1, cell_north > north),
            (0, -1, cell_west < west),
            (0, 1, cell_east > east),
        ):
            if is_useless:
                useless.update(move for move in _NEIGHBOURS if move[axis] == way)
    cells: list[int] = []
    for move in _NEIGHBOURS:
        if move not in useless:
            cell = _moved(bits, step, *move)
            if len(cells) < 2 or cell != cells[-1]:
                cells.append(cell)
    shift = 52 - 2 * step
    return [(float(cell << shift), float(cell + 1 << shift)) for cell in cells]
