"""Places in a sorted set: adding, asking, and searching around a point. Follows geo.c of Redis 7.2.

A place's score is its geohash (`keyspace.geohash`), so a search is a few ranges of the sorted set. GEOADD goes into the
stream as the ZADD that it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from txrepl.commands.arguments import integer, integer_between, number
from txrepl.commands.session import Session
from txrepl.commands.sorted_sets import zadd
from txrepl.commands.table import Family, KeySpec, key_at
from txrepl.commands.zset_values import store
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.geohash import (
    LATITUDE_MAX,
    LONGITUDE_MAX,
    Box,
    Circle,
    Coordinates,
    Polygon,
    Shape,
    decode,
    distance_m,
    encode,
    geohash_text,
    search_spans,
)
from txrepl.keyspace.longdouble import format_double_in_full
from txrepl.keyspace.numbers import format_double_short
from txrepl.keyspace.partial_sort import smallest
from txrepl.keyspace.values import SortedSetValue
from txrepl.resp.replies import NULL_ARRAY, DoubleText, Reply

family = Family("geo")

_UNITS_M: Final = {b"m": 1.0, b"km": 1000.0, b"ft": 0.3048, b"mi": 1609.34}
_NO_MEMBER: Final = "ERR could not decode requested zset member"


def _unit_m(text: bytes) -> float:
    unit = _UNITS_M.get(text.lower())
    if unit is None:
        raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")
    return unit


def _place(longitude_text: bytes, latitude_text: bytes) -> Coordinates:
    longitude, latitude = number(longitude_text), number(latitude_text)
    if abs(longitude) > LONGITUDE_MAX or abs(latitude) > LATITUDE_MAX:
        raise CommandError(f"ERR invalid longitude,latitude pair {longitude:f},{latitude:f}")
    return longitude, latitude


def _distance_text(distance: float) -> bytes:
    """A distance with four decimals, halves to even (`fixedpoint_d2string`)."""
    digits = b"%05d" % round(distance * 10_000)
    return digits[:-4] + b"." + digits[-4:]


def _coordinates_reply(place: Coordinates) -> Reply:
    return [DoubleText(format_double_in_full(degrees)) for degrees in place]


# -- adding and asking ------------------------------------------------------------------------------------------

_ADD_OPTIONS: Final = (b"nx", b"xx", b"ch")


@family.command(
    "geoadd",
    -5,
    "write denyoom",
    key_at(1, "RW UPDATE"),
    since="3.2.0",
    summary="Adds members with their places to a sorted set.",
    complexity="O(log(N)) for each member, N being the size of the sorted set.",
)
def geoadd(s: Session, argv: list[bytes]) -> Reply:
    """GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member …]."""
    first = 2
    while first < len(argv) and argv[first].lower() in _ADD_OPTIONS:
        first += 1
    options = {word.lower() for word in argv[2:first]}
    if (len(argv) - first) % 3 or {b"nx", b"xx"} <= options:
        raise CommandError(SYNTAX)
    words = [b"zadd", *argv[1:first]]
    for i in range(first, len(argv), 3):
        words += (b"%d" % encode(*_place(argv[i], argv[i + 1])), argv[i + 2])
    dirty = s.keyspace.dirty
    reply = zadd(s, words)
    if s.keyspace.dirty != dirty:
        s.propagate(*words)
    return reply


@family.command(
    "geodist",
    -4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="3.2.0",
    summary="Tells how far two members are from each other.",
)
def geodist(s: Session, argv: list[bytes]) -> Reply:
    """GEODIST key member1 member2 [M | KM | FT | MI]."""
    if len(argv) > 5:
        raise CommandError(SYNTAX)
    unit_m = _unit_m(argv[4]) if len(argv) == 5 else 1.0
    value = s.db.read_zset(argv[1])
    if value is None:
        return None
    start, end = value.scores.get(argv[2]), value.scores.get(argv[3])
    if start is None or end is None:
        return None
    return _distance_text(distance_m(decode(start), decode(end)) / unit_m)


def _for_each(s: Session, argv: list[bytes], tell: Callable[[float], Reply], absent: Reply) -> Reply:
    """What `tell` makes of the score of each member asked for."""
    value = s.db.read_zset(argv[1])
    scores = {} if value is None else value.scores
    found = (scores.get(member) for member in argv[2:])
    return [absent if score is None else tell(score) for score in found]


@family.command(
    "geohash",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="3.2.0",
    summary="Tells members' places as standard geohashes.",
    complexity="O(1) for each member.",
)
def geohash(s: Session, argv: list[bytes]) -> Reply:
    """GEOHASH key [member …]."""
    return _for_each(s, argv, geohash_text, None)


@family.command(
    "geopos",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="3.2.0",
    summary="Tells members' places as longitude and latitude.",
    complexity="O(1) for each member.",
)
def geopos(s: Session, argv: list[bytes]) -> Reply:
    """GEOPOS key [member …]."""
    return _for_each(s, argv, lambda score: _coordinates_reply(decode(score)), NULL_ARRAY)


# -- what is searched -------------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A member that a search found.

    Attributes:
        distance_m: metres from the centre.
        place: longitude and latitude.
    """

    member: bytes
    score: float
    distance_m: float
    place: Coordinates


def _distance(text: bytes, what: str) -> float:
    return number(text, f"ERR need numeric {what}")


def _circle(radius_text: bytes, unit: bytes) -> Circle:
    radius = _distance(radius_text, "radius")
    if radius < 0:
        raise CommandError("ERR radius cannot be negative")
    return Circle(radius, _unit_m(unit))


def _box(width_text: bytes, height_text: bytes, unit: bytes) -> Box:
    width, height = _distance(width_text, "width"), _distance(height_text, "height")
    if width < 0 or height < 0:
        raise CommandError("ERR height or width cannot be negative")
    return Box(width, height, _unit_m(unit))


_NOT_BESIDE_POLYGON: Final = frozenset((b"frommember", b"fromlonlat", b"byradius", b"bybox"))


def _polygon(argv: list[bytes], at: int) -> tuple[Polygon, int]:
    """BYPOLYGON's vertices, whose number stands at `at`, and the position behind them."""
    count = integer_between(argv[at], -(2**31), 2**31 - 1, "ERR invalid number of vertices")
    end = at + 1 + 2 * count
    if count < 3 or end > len(argv):
        raise CommandError("ERR GEOSEARCH BYPOLYGON must have at least 3 vertices")
    return Polygon([_place(argv[i], argv[i + 1]) for i in range(at + 1, end, 2)]), end


class _Search:
    """The words of a search, and the search itself (`georadiusGeneric`).

    Parameters:
        s: the session, for looking up the source.
        argv: the command.
        source_at: position of the source key.

    Attributes:
        value: the sorted set; None when it is absent.
        destination: the key to store in, if any.
        by_distance: distances are stored as scores, in the search's unit.
    """

    __slots__ = (
        "_any",
        "_centre",
        "_count",
        "_has_centre",
        "_name",
        "_order",
        "_shape",
        "_with_coordinates",
        "_with_distance",
        "_with_hash",
        "by_distance",
        "destination",
        "value",
    )

    def __init__(self, s: Session, argv: list[bytes], source_at: int) -> None:
        self.value: SortedSetValue | None = s.db.read_zset(argv[source_at])
        self.destination: bytes | None = None
        self.by_distance: bool = False
        self._name = argv[0].partition(b"\0")[0]
        self._centre: Coordinates = (0.0, 0.0)
        self._has_centre: bytes = b""
        self._shape: Circle | Box | Polygon | None = None
        self._any: bool = False
        self._count: int = 0
        self._order: bytes = b""
        self._with_coordinates: bool = False
        self._with_distance: bool = False
        self._with_hash: bool = False

    def around_place(self, argv: list[bytes]) -> None:
        """GEORADIUS's fixed words."""
        self._centre = _place(argv[2], argv[3])
        self._shape = _circle(argv[4], argv[5])

    def around_member(self, argv: list[bytes]) -> None:
        """GEORADIUSBYMEMBER's fixed words; of an absent key nothing is looked at."""
        if self.value is not None:
            self._centre = self._place_of(self.value, argv[2])
            self._shape = _circle(argv[3], argv[4])

    def radius_options(self, argv: list[bytes], at: int, *, may_store: bool) -> None:
        """The options of the GEORADIUS family from `at` on."""
        while at < len(argv):
            word = argv[at].lower()
            if may_store and word in (b"store", b"storedist") and at + 1 < len(argv):
                self.destination, self.by_distance = argv[at + 1], word == b"storedist"
                at += 2
            else:
                at = self._common_option(argv, at)
        self._refuse_contradictions("STORE option in GEORADIUS")

    def search_options(self, argv: list[bytes], at: int) -> None:
        """The options of GEOSEARCH, and with a destination those of GEOSEARCHSTORE, from `at` on."""
        while at < len(argv):
            word, left = argv[at].lower(), len(argv) - at - 1
            if word == b"storedist" and self.destination is not None:
                self.by_distance = True
                at += 1
            elif isinstance(self._shape, Polygon) and word in _NOT_BESIDE_POLYGON:
                raise CommandError(SYNTAX)
            elif (
                word == b"bypolygon"
                and left >= 2
                and not self._has_centre
                and not isinstance(self._shape, Circle | Box)
            ):
                self._shape, at = _polygon(argv, at + 1)
            elif word == b"frommember" and left >= 1 and self._has_centre != b"fromlonlat":
                if self.value is not None:
                    self._centre = self._place_of(self.value, argv[at + 1])
                self._has_centre = word
                at += 2
            elif word == b"fromlonlat" and left >= 2 and self._has_centre != b"frommember":
                self._centre = _place(argv[at + 1], argv[at + 2])
                self._has_centre = word
                at += 3
            elif word == b"byradius" and left >= 2 and not isinstance(self._shape, Box):
                self._shape = _circle(argv[at + 1], argv[at + 2])
                at += 3
            elif word == b"bybox" and left >= 3 and not isinstance(self._shape, Circle):
                self._shape = _box(argv[at + 1], argv[at + 2], argv[at + 3])
                at += 4
            else:
                at = self._common_option(argv, at)
        self._refuse_contradictions("GEOSEARCHSTORE")

    def _place_of(self, value: SortedSetValue, member: bytes) -> Coordinates:
        score = value.scores.get(member)
        if score is None:
            raise CommandError(_NO_MEMBER)
        return decode(score)

    def _common_option(self, argv: list[bytes], at: int) -> int:
        """One of the options that all searches have; the position after it."""
        word = argv[at].lower()
        if word == b"withdist":
            self._with_distance = True
        elif word == b"withhash":
            self._with_hash = True
        elif word == b"withcoord":
            self._with_coordinates = True
        elif word == b"any":
            self._any = True
        elif word in (b"asc", b"desc"):
            self._order = word
        elif word == b"count" and at + 1 < len(argv):
            self._count = integer(argv[at + 1])
            if self._count <= 0:
                raise CommandError("ERR COUNT must be > 0")
            return at + 2
        else:
            raise CommandError(SYNTAX)
        return at + 1

    def _refuse_contradictions(self, storing: str) -> None:
        with_more = self._with_distance or self._with_hash or self._with_coordinates
        if self.destination is not None and with_more:
            raise CommandError(f"ERR {storing} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")

    def require_centre_and_shape(self) -> None:
        """Refuse a GEOSEARCH that does not say where, or how far."""
        if isinstance(self._shape, Polygon):
            self._centre = self._shape.centre
        elif not self._has_centre:
            raise CommandError(
                b"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %b" % self._name,
            )
        if self._shape is None:
            raise CommandError(b"ERR exactly one of BYRADIUS and BYBOX can be specified for %b" % self._name)

    def run(self) -> list[_Found]:
        """What is found, in the order asked for, or else in that of the cells.

        Raises:
            CommandError: ANY without COUNT.
        """
        if self._any and not self._count:
            raise CommandError("ERR the ANY argument requires COUNT argument")
        if self.value is None or self._shape is None:
            return []
        found = _within(self.value, self._shape, self._centre, self._count if self._any else 0)
        order = self._order or (b"asc" if self._count and not self._any else b"")
        count = self._count or len(found)
        if not order:
            return found[:count]
        sign = 1.0 if order == b"asc" else -1.0
        keys = [sign * one.distance_m for one in found]
        if count < len(found):
            return smallest(keys, found, count)
        return [found[i] for i in sorted(range(len(found)), key=keys.__getitem__)]

    def answer(self) -> Reply:
        """The members, with what was asked for beside them."""
        found = self.run()
        if not (self._with_distance or self._with_hash or self._with_coordinates):
            return [one.member for one in found]
        lines: list[Reply] = []
        for one in found:
            line: list[Reply] = [one.member]
            if self._with_distance:
                line.append(_distance_text(one.distance_m / self._unit_m))
            if self._with_hash:
                line.append(int(one.score))
            if self._with_coordinates:
                line.append(_coordinates_reply(one.place))
            lines.append(line)
        return lines

    def keep(self, s: Session, destination: bytes, event: bytes) -> int:
        """Store what is found; every member counts as a change."""
        if self.by_distance:
            scores = {one.member: one.distance_m / self._unit_m for one in self.run()}
        else:
            scores = {one.member: one.score for one in self.run()}
        dirty = s.keyspace.dirty
        stored = store(s, destination, scores, event, changes=len(scores))
        if isinstance(self._shape, Polygon) and s.keyspace.dirty != dirty:
            s.propagate(b"DEL", destination)  # only Valkey 9 knows polygons
            if scores:
                words = [word for member, score in scores.items() for word in (format_double_short(score), member)]
                s.propagate(b"ZADD", destination, *words)
        return stored

    @property
    def _unit_m(self) -> float:
        return 1.0 if self._shape is None else self._shape.unit_m


def _within(value: SortedSetValue, shape: Shape, centre: Coordinates, limit: int) -> list[_Found]:
    """The members within a shape, cell by cell; no more than `limit` unless that is 0 (`membersOfAllNeighbors`)."""
    order = value.order()
    found: list[_Found] = []
    for least, after in search_spans(shape, centre):
        for score, member in order.between(least, after):
            place = decode(score)
            distance = shape.distance_within(centre, place)
            if distance is not None:
                found.append(_Found(member, score, distance, place))
                if len(found) == limit:
                    return found
    return found


# -- searching --------------------------------------------------------------------------------------------------

_COST: Final = "O(N+log(M)), N being the number of members in the cells around and M the number of those found."


@family.command(
    "geosearch",
    -7,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="6.2.0",
    summary="Finds the members within a circle or a box.",
    complexity=_COST,
)
def geosearch(s: Session, argv: list[bytes]) -> Reply:
    """GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX width height unit
    | BYPOLYGON vertices longitude latitude … [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]."""
    search = _Search(s, argv, 1)
    search.search_options(argv, 2)
    search.require_centre_and_shape()
    return search.answer()


@family.command(
    "geosearchstore",
    -8,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    key_at(2, "RO ACCESS"),
    since="6.2.0",
    summary="Finds the members within a circle or a box and stores them.",
    complexity=_COST,
)
def geosearchstore(s: Session, argv: list[bytes]) -> Reply:
    """GEOSEARCHSTORE destination source …, with GEOSEARCH's options but the WITH ones, and STOREDIST."""
    search = _Search(s, argv, 2)
    search.destination = argv[1]
    search.search_options(argv, 3)
    search.require_centre_and_shape()
    return search.keep(s, argv[1], b"geosearchstore")


def _stored_at(begin: int) -> tuple[KeySpec, KeySpec]:
    return (
        KeySpec("OW UPDATE", begin, keyword="STORE"),
        KeySpec("OW UPDATE", begin, keyword="STOREDIST"),
    )


def _keys_from(begin: int) -> Callable[[list[bytes]], list[int]]:
    """Finds the keys of a GEORADIUS whose options begin there: of several destinations the last one counts.

    The specifications tell the first; who may write that one need not be allowed to write the other.
    """

    def find(argv: list[bytes]) -> list[int]:
        positions, at = [1], begin
        while at < len(argv) - 1:
            if argv[at].lower() in (b"store", b"storedist"):
                at += 1
                positions[1:] = [at]
            at += 1
        return positions

    return find


def _radius(s: Session, search: _Search) -> Reply:
    if search.destination is not None:
        return search.keep(s, search.destination, b"georadiusstore")
    return search.answer()


def _around_place(s: Session, argv: list[bytes], *, may_store: bool) -> Reply:
    search = _Search(s, argv, 1)
    search.around_place(argv)
    search.radius_options(argv, 6, may_store=may_store)
    return _radius(s, search)


def _around_member(s: Session, argv: list[bytes], *, may_store: bool) -> Reply:
    search = _Search(s, argv, 1)
    search.around_member(argv)
    search.radius_options(argv, 5, may_store=may_store)
    return _radius(s, search)


@family.command(
    "georadius",
    -6,
    "write denyoom",
    key_at(1, "RO ACCESS"),
    *_stored_at(6),
    since="3.2.0",
    summary="Finds the members around a place and answers or stores them.",
    complexity=_COST,
    find_keys=_keys_from(6),
)
def georadius(s: Session, argv: list[bytes]) -> Reply:
    """GEORADIUS key longitude latitude radius unit [ASC | DESC] [COUNT count [ANY]] [WITHCOORD] [WITHDIST] [WITHHASH]
    [STORE key | STOREDIST key]."""
    return _around_place(s, argv, may_store=True)


@family.command(
    "georadius_ro",
    -6,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="3.2.10",
    summary="Finds the members around a place.",
    complexity=_COST,
)
def georadius_ro(s: Session, argv: list[bytes]) -> Reply:
    """GEORADIUS_RO: GEORADIUS without storing."""
    return _around_place(s, argv, may_store=False)


@family.command(
    "georadiusbymember",
    -5,
    "write denyoom",
    key_at(1, "RO ACCESS"),
    *_stored_at(5),
    since="3.2.0",
    summary="Finds the members around another member and answers or stores them.",
    complexity=_COST,
    find_keys=_keys_from(5),
)
def georadiusbymember(s: Session, argv: list[bytes]) -> Reply:
    """GEORADIUSBYMEMBER key member radius unit …, with GEORADIUS's options."""
    return _around_member(s, argv, may_store=True)


@family.command(
    "georadiusbymember_ro",
    -5,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="3.2.10",
    summary="Finds the members around another member.",
    complexity=_COST,
)
def georadiusbymember_ro(s: Session, argv: list[bytes]) -> Reply:
    """GEORADIUSBYMEMBER_RO: GEORADIUSBYMEMBER without storing."""
    return _around_member(s, argv, may_store=False)
