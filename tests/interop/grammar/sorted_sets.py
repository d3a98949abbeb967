"""Sorted sets and places."""

from __future__ import annotations

from collections.abc import Callable

from tests.interop.grammar.collections import _cursor as cursor
from tests.interop.grammar.collections import _scan_options as scan_options
from tests.interop.grammar.maker import BAD_FLOATS, BAD_NUMBERS, FLOATS, Given, Grammar, Maker

sorted_sets = Grammar("sorted sets", 1.5)
geo = Grammar("geo")

_SCORES = (*FLOATS, "0", "1", "2", "+inf", "-inf", "inf", "1", "2", "2", "Infinity")
_BAD_SCORES = tuple(score for score in BAD_FLOATS if "inf" not in score)
_BOUNDS = (
    "-inf",
    "+inf",
    "inf",
    "0",
    "1",
    "(1",
    "2",
    "(2",
    "-1",
    "(-inf",
    "(+inf",
    "1.5",
    "(",
    "1e17",
    "(0.1",
    "5e-324",
)
_BAD_BOUNDS = ("x", "(x", "nan", "1 ", "[1", "((1", "(nan", "", " 1")
_LEX = ("-", "+", "[a", "(a", "[c", "(c", "[ab", "[", "(", "[é", "[f")
_BAD_LEX = ("a", "", "-a", "++", "+a", "0")
_MEMBERS = ("a", "b", "c", "d", "e", "f", "aa", "ab", "é", "10", "-1", "", "x" * 64, "x" * 65)


def _key(maker: Maker) -> str:
    return maker.key("zset")


def _score(maker: Maker) -> str:
    if maker.modern and maker.chance(0.05):
        return "-0"  # 7.0 loses the sign in a listpack
    return maker.mostly(_SCORES, _BAD_SCORES, 0.03)


def _member(maker: Maker) -> str:
    return maker.some(*_MEMBERS)


def _by_score(maker: Maker) -> list[str | bytes]:
    return [maker.mostly(_BOUNDS, _BAD_BOUNDS, 0.04), maker.mostly(_BOUNDS, _BAD_BOUNDS, 0.04)]


def _by_lex(maker: Maker) -> list[str | bytes]:
    return [maker.mostly(_LEX, _BAD_LEX, 0.04), maker.mostly(_LEX, _BAD_LEX, 0.04)]


def _by_rank(maker: Maker) -> list[str | bytes]:
    return [maker.index(), maker.index()]


def _limit(maker: Maker) -> list[str]:
    return [
        "LIMIT",
        maker.mostly(("0", "1", "2"), (*BAD_NUMBERS, "-1")),
        maker.mostly(("0", "1", "2", "-1"), BAD_NUMBERS),
    ]


@sorted_sets.command("ZADD", 5)
def zadd(maker: Maker) -> Given:
    flags = maker.shuffled([["NX"], ["XX"], ["GT"], ["LT"], ["CH"], ["INCR"]], maker.some(0, 0.12, 0.25))
    count = 1 if "INCR" in flags and maker.chance(0.9) else maker.rng.randint(1, 4)
    pairs = [word for _ in range(count) for word in (_score(maker), _member(maker))]
    return [_key(maker), *flags, *pairs]


@sorted_sets.command("ZADD", 0.2)
def zadd_many(maker: Maker) -> Given:
    count = maker.some(100, 128, 129, 200)
    return [_key(maker), *(word for number in range(count) for word in (str(number % 7), f"m{number}"))]


def _zrange(maker: Maker) -> list[str | bytes]:
    kind = maker.some("", "BYSCORE")
    bounds = _by_score(maker) if kind else _by_rank(maker)
    options: list[list[str]] = [["REV"]]
    limit = [_limit(maker)] if (kind and maker.chance(0.4)) or maker.chance(0.04) else []
    both = [["BYLEX"], ["BYSCORE"]] if maker.chance(0.02) else []
    taken = [*([[kind]] if kind else []), *(options if maker.chance(0.3) else []), *limit, *both]
    maker.rng.shuffle(taken)
    return [*bounds, *(maker.mixed_case(word) for option in taken for word in option)]


_LEX_OPTIONS: dict[str, Callable[[Maker], list[str | bytes]]] = {
    "ZRANGEBYLEX": lambda m: m.shuffled([_limit(m), ["WITHSCORES"]], 0.2),
    "ZREVRANGEBYLEX": lambda m: m.shuffled([_limit(m), ["WITHSCORES"]], 0.2),
    "ZLEXCOUNT": lambda m: m.maybe("x", chance=0.03),
    "ZREMRANGEBYLEX": lambda m: m.maybe("x", chance=0.03),
    "ZRANGE": lambda m: ["BYLEX", *m.shuffled([["REV"], _limit(m), ["WITHSCORES"]], 0.2)],
    "ZRANGESTORE": lambda m: ["BYLEX", *m.shuffled([["REV"], _limit(m)], 0.3)],
}


def _by_member(name: str) -> Callable[[Maker], list[Given]]:
    """A range by member, on a sorted set whose scores are all equal: of others nothing is promised."""

    def make(maker: Maker) -> list[Given]:
        key, score = _key(maker), maker.some("0", "1", "-1.5")
        members = [word for member in maker.rng.sample(_MEMBERS, 6) for word in (score, member)]
        target = [_key(maker)] if name == "ZRANGESTORE" else []
        return [
            ["DEL", key],
            ["ZADD", key, *members],
            [name, *target, key, *_by_lex(maker), *_LEX_OPTIONS[name](maker)],
        ]

    return make


for _name in _LEX_OPTIONS:
    sorted_sets.scene(_name, 0.7)(_by_member(_name))


def _combining(maker: Maker, keys: list[str | bytes]) -> list[str | bytes]:
    options: list[list[str]] = []
    if maker.chance(0.3):
        options.append(["WEIGHTS", *(_score(maker) for _ in keys[1:])])
    if maker.chance(0.3):
        options.append(["AGGREGATE", maker.mostly(("SUM", "min", "MAX"), ("avg", ""))])
    maker.rng.shuffle(options)
    return [word for option in options for word in option]


def _union(maker: Maker) -> list[str | bytes]:
    keys = maker.counted("zset") if maker.chance(0.8) else maker.counted("set")
    return [*keys, *_combining(maker, keys)]


def _pop_many(maker: Maker) -> list[str | bytes]:
    where = maker.mostly(("MIN", "max"), ("mid", ""))
    return [*maker.counted("zset"), where, *maker.maybe("COUNT", maker.count())]


for _name in ("ZREVRANGEBYSCORE", "ZRANGEBYSCORE"):
    sorted_sets.command(_name)(
        lambda m: [_key(m), *_by_score(m), *m.shuffled([["WITHSCORES"], _limit(m)], 0.4)],
    )
for _name in ("ZUNION", "ZINTER"):
    sorted_sets.command(_name)(lambda m: [*_union(m), *m.maybe("WITHSCORES", chance=0.6)])
for _name in ("ZUNIONSTORE", "ZINTERSTORE"):
    sorted_sets.command(_name)(lambda m: [_key(m), *_union(m), *m.maybe("WITHSCORES", chance=0.03)])
for _name in ("ZPOPMIN", "ZPOPMAX"):
    sorted_sets.command(_name)(lambda m: [_key(m), *m.maybe(m.count())])
for _name in ("BZPOPMIN", "BZPOPMAX"):
    sorted_sets.command(_name, 0.4, mutable=False)(lambda m: [*m.keys("zset"), m.timeout()])
for _name in ("ZRANK", "ZREVRANK"):
    sorted_sets.command(_name)(lambda m: [_key(m), _member(m), *m.maybe("WITHSCORE", chance=0.3 if m.modern else 0.03)])

sorted_sets.command("BZMPOP", 0.4, mutable=False)(lambda m: [m.timeout(), *_pop_many(m)])
sorted_sets.simple(
    zincrby=lambda m: [_key(m), _score(m), _member(m)],
    zrem=lambda m: [_key(m), _member(m), *m.maybe(_member(m))],
    zcard=lambda m: [_key(m)],
    zscore=lambda m: [_key(m), _member(m)],
    zmscore=lambda m: [_key(m), _member(m), _member(m)],
    zcount=lambda m: [_key(m), *_by_score(m)],
    zrange=lambda m: [_key(m), *_zrange(m), *m.maybe("WITHSCORES", chance=0.5)],
    zrevrange=lambda m: [_key(m), *_by_rank(m), *m.maybe("WITHSCORES")],
    zrangestore=lambda m: [_key(m), _key(m), *_zrange(m), *m.maybe("WITHSCORES", chance=0.02)],
    zremrangebyrank=lambda m: [_key(m), *_by_rank(m)],
    zremrangebyscore=lambda m: [_key(m), *_by_score(m)],
    zdiff=lambda m: [*m.counted("zset"), *m.maybe("WITHSCORES", chance=0.6)],
    zdiffstore=lambda m: [_key(m), *m.counted("zset")],
    zintercard=lambda m: [*m.counted("zset"), *m.maybe("LIMIT", m.count())],
    zmpop=_pop_many,
    zscan=lambda m: [_key(m), cursor(m), *scan_options(m)],
    zrandmember=lambda m: [_key(m), *m.maybe(m.some("0", "100", "-3", "x", "2", m.count()), *m.maybe("withscores"))],
)
sorted_sets.command("SADD")(lambda m: [m.key("set"), _member(m), _member(m)])

_CENTRES = (
    (0.0, 0.0),
    (13.361389, 38.115556),
    (-122.4194, 37.7749),
    (179.9, 10.0),
    (-179.9, -10.0),
    (20.0, 84.0),
    (-60.0, -84.9),
)
_BAD_PLACES = (
    ("181", "0"),
    ("0", "86"),
    ("x", "0"),
    ("0", ""),
    ("inf", "0"),
    ("-180.1", "-85.06"),
    ("1e300", "5"),
    ("nan", "0"),
)
_EDGES = (
    ("180", "85.05112878"),
    ("-180", "-85.05112878"),
    ("180", "0"),
    ("0", "85.05112878"),
    ("0", "0"),
    ("-0", "-0"),
)


def _geo(maker: Maker) -> str:
    return maker.key("geo")


def _placed(maker: Maker) -> str:
    return maker.some("a", "b", "c", "d", "é", "10", "x" * 70, *(f"m{number}" for number in range(12)))


def _place(maker: Maker) -> list[str | bytes]:
    kind = maker.rng.random()
    if kind < 0.03:
        return list(maker.some(*_BAD_PLACES))
    if kind < 0.08:
        return list(maker.some(*_EDGES))
    if kind < 0.4:
        return [repr(maker.rng.uniform(-180, 180)), repr(maker.rng.uniform(-85, 85))]
    longitude, latitude = maker.some(*_CENTRES)
    spread = maker.some(1e-5, 0.01, 0.1)
    return [repr(longitude + maker.rng.uniform(-spread, spread)), repr(latitude + maker.rng.uniform(-spread, spread))]


def _radius(maker: Maker) -> str:
    radii = ("0", "1", "100", "5000", "2e5", "1000000", "8000000", "30000000", "0.5", "inf", "1e300")
    return maker.mostly(radii, ("x", "-1", "", "nan", "-inf"), 0.03)


def _unit(maker: Maker) -> str:
    return maker.mostly(("m", "km", "ft", "mi", "M", "Km"), ("x", "", "mm"), 0.03)


@geo.command("GEOADD", 5)
def geoadd(maker: Maker) -> Given:
    flags = maker.shuffled([["NX"], ["XX"], ["CH"]], 0.15)
    places = [word for _ in range(maker.some(1, 1, 2, 5)) for word in (*_place(maker), _placed(maker))]
    return [_geo(maker), *flags, *places, *maker.maybe("1", chance=0.01)]


def _found(maker: Maker, *more: list[str]) -> list[str | bytes]:
    count = [
        "COUNT",
        maker.mostly(("1", "2", "3", "10"), ("0", "x", "-1"), 0.06),
        *(["ANY"] if maker.chance(0.2) else []),
    ]
    order = [maker.some("asc", "DESC")]
    return maker.shuffled([order, count, *more, *([["ANY"]] if maker.chance(0.03) else [])], 0.4)


_WITH = (["WITHCOORD"], ["WITHDIST"], ["WITHHASH"])


def _search(maker: Maker) -> list[str | bytes]:
    centre = ["FROMMEMBER", _placed(maker)] if maker.chance(0.3) else ["FROMLONLAT", *_place(maker)]
    if maker.chance(0.5):
        shape: list[str | bytes] = ["BYRADIUS", _radius(maker), _unit(maker)]
    else:
        shape = ["bybox", _radius(maker), _radius(maker), _unit(maker)]
    parts = [part for part in (centre, shape) if maker.chance(0.98)]
    maker.rng.shuffle(parts)
    return [word for part in parts for word in part]


def _stored(maker: Maker) -> list[str | bytes]:
    return maker.maybe(maker.some("STORE", "storedist"), maker.some("g1", "g2", "z1", "s1"), chance=0.3)


for _name in ("GEORADIUS", "GEORADIUS_RO"):
    geo.command(_name)(
        lambda m: [
            _geo(m),
            *_place(m),
            _radius(m),
            _unit(m),
            *(_found(m) if m.chance(0.5) else _found(m, *_WITH)),
            *_stored(m),
        ]
    )
for _name in ("GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"):
    geo.command(_name)(
        lambda m: [
            _geo(m),
            _placed(m),
            _radius(m),
            _unit(m),
            *(_found(m) if m.chance(0.5) else _found(m, *_WITH)),
            *_stored(m),
        ]
    )
geo.simple(
    geodist=lambda m: [_geo(m), _placed(m), _placed(m), *m.maybe(_unit(m))],
    geohash=lambda m: [_geo(m), *m.maybe(_placed(m)), *m.maybe(_placed(m), _placed(m))],
    geopos=lambda m: [_geo(m), *m.maybe(_placed(m)), *m.maybe(_placed(m), _placed(m))],
    geosearch=lambda m: [_geo(m), *_search(m), *_found(m, *_WITH)],
    geosearchstore=lambda m: [
        _geo(m),
        _geo(m),
        *_search(m),
        *_found(m, ["STOREDIST"]),
        *m.maybe("WITHDIST", chance=0.03),
    ],
    zadd=lambda m: [_geo(m), m.some("0", "-1", "1e18", "4503599627370496", "-inf", "inf", "2.5", "1e300"), _placed(m)],
    zrange=lambda m: [_geo(m), "0", "-1"],
)
