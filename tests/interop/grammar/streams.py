"""Streams, consumer groups and their pending entries."""

from __future__ import annotations

from tests.interop.grammar.maker import Given, Grammar, Maker

streams = Grammar("streams", 1.5)

_GROUPS = ("g1", "g2")
_CONSUMERS = ("alice", "bob", "carol")
_FIELDS = ("f", "g", "h", "a longer field name", "-1", "100000")
_VALUES = ("v", "", "1", "127", "128", "-4097", "70000", "9000000000", "x" * 63, "y" * 64, "z" * 130, b"\x00\xff")
_LARGEST = "18446744073709551615"
_ODD_IDS = (
    "0",
    "0-0",
    "0-1",
    "-",
    "+",
    "$",
    ">",
    f"{_LARGEST}-{_LARGEST}",
    f"{_LARGEST}-0",
    _LARGEST,
    "1-0",
    " 7-1",
    "+7-01",
)
_BAD_IDS = ("", "x", "1-", "-1", "1-x", "18446744073709551616", "1-2-3", "1--5", "(1-1", "(", "1-*", "7-1\0x")
_BAD = ("", "x", "1.5", "9223372036854775808", " 1", "-1")
_LONG_AGO = "100000000"


def _key(maker: Maker) -> str:
    return maker.key("stream", 0.04)


def _group(maker: Maker) -> str:
    return maker.mostly(_GROUPS, ("none", ""), 0.05)


def _consumer(maker: Maker) -> str:
    return maker.some(*_CONSUMERS)


def _seen(maker: Maker) -> str:
    if maker.chance(0.05):
        return maker.mostly(_ODD_IDS, _BAD_IDS, 0.5)
    ms = max(maker.clock - int(maker.rng.expovariate(0.1)), 0)
    return maker.some(f"{ms}-0", f"{ms}-1", f"{ms}-2", str(ms))


def _new(maker: Maker) -> str:
    if maker.chance(0.05):
        return maker.mostly(_ODD_IDS[:3] + _ODD_IDS[-2:], _BAD_IDS, 0.4)
    maker.clock += maker.some(0, 0, 1, 1, 2)
    return maker.some(f"{maker.clock}-*", f"{maker.clock}-{maker.rng.randint(0, 9)}", f"{maker.clock}-*")


def _bound(maker: Maker) -> str:
    return maker.some("", "", "(") + _seen(maker) if maker.chance(0.7) else maker.some("-", "+")


def _integer(maker: Maker, *choices: str) -> str:
    return maker.mostly(choices, _BAD, 0.04)


def _trimming(maker: Maker) -> list[str | bytes]:
    how = maker.maybe(maker.some("~", "="), chance=0.7)
    if maker.chance(0.5):
        words = ["MAXLEN", *how, _integer(maker, "0", "3", "9", "20", "21", "22", "23")]
    else:
        words = ["MINID", *how, _seen(maker)]
    return [
        *words,
        *maker.maybe("LIMIT", _integer(maker, "0", "1", "3", "5", "10"), chance=0.3 if how == ["~"] else 0.04),
    ]


@streams.command("XADD", 14)
def xadd(maker: Maker) -> Given:
    parts = [maker.maybe("NOMKSTREAM", chance=0.1), _trimming(maker) if maker.chance(0.15) else []]
    maker.rng.shuffle(parts)
    words: list[str | bytes] = [_key(maker), *parts[0], *parts[1], _new(maker)]
    for _ in range(maker.some(1, 2, 2, 3)):
        words += [maker.some(*_FIELDS), maker.some(*_VALUES)]
    return words[:-1] if maker.chance(0.02) else words


@streams.scene("XADD", 0.3)
def xadd_now(maker: Maker) -> list[Given]:
    key = _key(maker)
    return [["XADD", key, "*", "f", "v"], ["DEL", key]]


@streams.scene("XGROUP CREATE", 4)
def xgroup_create(maker: Maker) -> list[Given]:
    """With all consumers, since 7.0 does not make one that gets nothing."""
    key, group = _key(maker), maker.some(*_GROUPS)
    place = maker.mostly(("0", "$", "5", _seen(maker)), _BAD_IDS, 0.06)
    options = [["MKSTREAM"], ["ENTRIESREAD", _integer(maker, "0", "3", "-1", "-2")]]
    return [
        ["XGROUP", "CREATE", key, group, place, *maker.shuffled(options, 0.5)],
        *([] if maker.modern else (["XGROUP", "CREATECONSUMER", key, group, consumer] for consumer in _CONSUMERS)),
    ]


def _read_options(maker: Maker) -> list[str | bytes]:
    return [
        *maker.maybe("COUNT", _integer(maker, "0", "1", "2", "5")),
        *maker.maybe("BLOCK", maker.mostly(("1", "2"), ("x", "-1", ""), 0.1), chance=0.15),
    ]


@streams.command("XREAD", 3, mutable=False)
def xread(maker: Maker) -> Given:
    count = maker.some(1, 1, 2)
    names = [_key(maker) for _ in range(count)]
    ids = [maker.mostly(("$", _seen(maker), "0"), (">", "x", "-")) for _ in range(count)]
    return [
        *_read_options(maker),
        *maker.maybe("NOACK", chance=0.02),
        "STREAMS",
        *names,
        *ids[: count - maker.chance(0.03)],
    ]


def _consumers_first(maker: Maker, command: list[str | bytes], keys: list[str], group: str, name: str) -> list[Given]:
    """The command, and before it the making of its consumer, since 7.0 makes none that gets nothing."""
    made: list[Given] = [] if maker.modern else [["XGROUP", "CREATECONSUMER", key, group, name] for key in keys]
    return [*made, command]


@streams.scene("XREADGROUP", 8)
def xreadgroup(maker: Maker) -> list[Given]:
    count = maker.some(1, 1, 1, 2)
    names = [_key(maker) for _ in range(count)]
    ids = [maker.mostly((">", ">", "0", _seen(maker)), ("$", "x")) for _ in range(count)]
    group, consumer = _group(maker), _consumer(maker)
    words = ["GROUP", group, consumer] if maker.chance(0.98) else []
    options = [*_read_options(maker), *maker.maybe("NOACK", chance=0.15)]
    command = ["XREADGROUP", *words, *options, "STREAMS", *names, *ids]
    return _consumers_first(maker, command, names, group, consumer)


def _ids(maker: Maker) -> list[str | bytes]:
    return [_seen(maker) for _ in range(maker.rng.randint(1, 4))]


@streams.command("XPENDING", 2)
def xpending(maker: Maker) -> Given:
    words: list[str | bytes] = [_key(maker), _group(maker)]
    if maker.chance(0.3):
        return words
    words += [*maker.maybe("IDLE", _integer(maker, "0", _LONG_AGO)), _bound(maker), _bound(maker)]
    return [*words, _integer(maker, "0", "1", "5", "100"), *maker.maybe(_consumer(maker))]


@streams.scene("XCLAIM", 4)
def xclaim(maker: Maker) -> list[Given]:
    options = [
        ["IDLE", _integer(maker, "200000000", "0")],
        ["TIME", _integer(maker, "1000", "1", "99999999999999")],
        ["RETRYCOUNT", _integer(maker, "0", "7")],
        ["FORCE"],
        ["JUSTID"],
        ["LASTID", _seen(maker)],
    ]
    key, group, consumer = _key(maker), _group(maker), _consumer(maker)
    words = ["XCLAIM", key, group, consumer, _integer(maker, "0", "0", _LONG_AGO), *_ids(maker)]
    words += [*maker.shuffled(options, 0.2), *maker.maybe("WRONG", chance=0.02)]
    return _consumers_first(maker, words, [key], group, consumer)


@streams.scene("XAUTOCLAIM", 3)
def xautoclaim(maker: Maker) -> list[Given]:
    key, group, consumer = _key(maker), _group(maker), _consumer(maker)
    words = ["XAUTOCLAIM", key, group, consumer, _integer(maker, "0", _LONG_AGO), _bound(maker)]
    words += maker.shuffled([["COUNT", _integer(maker, "1", "2", "5", "0")], ["JUSTID"]])
    return _consumers_first(maker, [*words, *maker.maybe("x", chance=0.02)], [key], group, consumer)


@streams.command("XGROUP SETID")
def xgroup_setid(maker: Maker) -> Given:
    place = maker.some(_seen(maker), "0", "$")
    reads = maker.maybe("ENTRIESREAD", _integer(maker, "0", "3", "-1", "-2"))
    return [_key(maker), _group(maker), place, *reads, *maker.maybe("MKSTREAM", chance=0.04)]


@streams.command("XSETID", 2)
def xsetid(maker: Maker) -> Given:
    ms = maker.clock + maker.some(-2, 0, 0, 1, 5)
    options = [["ENTRIESADDED", _integer(maker, "0", "10", "1000")], ["MAXDELETEDID", _seen(maker)]]
    return [_key(maker), maker.mostly((f"{ms}-9",), ("0", "0-0", "x", "$", "+"), 0.06), *maker.shuffled(options, 0.3)]


@streams.command("XINFO STREAM", 2)
def xinfo_stream(maker: Maker) -> Given:
    return [_key(maker), *maker.maybe("FULL", *maker.maybe("COUNT", _integer(maker, "0", "1", "3")), chance=0.6)]


for _name in ("XRANGE", "XREVRANGE"):
    streams.command(_name, 2)(
        lambda m: [_key(m), _bound(m), _bound(m), *m.maybe("COUNT", _integer(m, "0", "1", "3", "1000"))]
    )
streams.simple(
    xtrim=lambda m: [_key(m), *_trimming(m)],
    xdel=lambda m: [_key(m), *_ids(m)],
    xlen=lambda m: [_key(m)],
    xack=lambda m: [_key(m), _group(m), *_ids(m)],
    xgroup_createconsumer=lambda m: [_key(m), _group(m), _consumer(m)],
    xgroup_delconsumer=lambda m: [_key(m), _group(m), m.mostly(("dave",), _CONSUMERS, 0.3)],
    xgroup_destroy=lambda m: [_key(m), m.mostly(("none",), _GROUPS, 0.3)],
    xinfo_groups=lambda m: [_key(m)],
    xinfo_consumers=lambda m: [_key(m), _group(m)],
)
