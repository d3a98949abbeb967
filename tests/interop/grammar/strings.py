"""Strings and their bits."""

from __future__ import annotations

from tests.interop.grammar.maker import BAD_NUMBERS, BIG_NUMBERS, LARGEST, SMALLEST, Given, Grammar, Maker

strings = Grammar("strings")
bits = Grammar("bits")


def _key(maker: Maker) -> str:
    return maker.key("string")


@strings.command("SET", 3)
def set_(maker: Maker) -> Given:
    """Not with a deadline in the past, which deletes the key at once since Valkey 9."""
    options = [
        ["NX"],
        ["XX"],
        ["GET"],
        ["KEEPTTL"],
        ["EX", maker.seconds()],
        ["PX", maker.milliseconds()],
        ["EXAT", maker.future_s()],
        ["PXAT", maker.future_ms()],
        ["PERSIST"],
    ]
    return [_key(maker), maker.text(), *maker.shuffled(options, maker.some(0, 0.1, 0.25))]


@strings.command("GETEX")
def getex(maker: Maker) -> Given:
    options = [
        ["EX", maker.seconds()],
        ["PX", maker.milliseconds()],
        ["EXAT", maker.deadline_s()],
        ["PXAT", maker.deadline_ms()],
        ["PERSIST"],
        ["NX"],
        ["KEEPTTL"],
    ]
    return [_key(maker), *maker.shuffled(options, 0.18)]


@strings.command("LCS")
def lcs(maker: Maker) -> Given:
    options = [["IDX"], ["LEN"], ["WITHMATCHLEN"], ["MINMATCHLEN", maker.some("0", "2", "4", "-1", "x")], ["bad"]]
    return [_key(maker), _key(maker), *maker.shuffled(options, 0.35)]


def _pairs(maker: Maker) -> Given:
    words = [word for _ in range(maker.rng.randint(1, 3)) for word in (_key(maker), maker.text())]
    return words[:-1] if maker.chance(0.06) else words


strings.simple(
    setex=lambda m: [_key(m), m.seconds(), m.text()],
    psetex=lambda m: [_key(m), m.milliseconds(), m.text()],
    setnx=lambda m: [_key(m), m.text()],
    get=lambda m: [_key(m)],
    getset=lambda m: [_key(m), m.text()],
    getdel=lambda m: [_key(m)],
    mget=lambda m: m.keys("string", 4),
    mset=_pairs,
    msetnx=_pairs,
    append=lambda m: [_key(m), m.text()],
    strlen=lambda m: [_key(m)],
    getrange=lambda m: [_key(m), m.index(), m.index()],
    substr=lambda m: [_key(m), m.index(), m.index()],
    setrange=lambda m: [
        _key(m),
        m.mostly(("0", "1", "5", "70"), ("-1", "x", "536870912", LARGEST, SMALLEST, *BAD_NUMBERS), 0.15),
        m.text() if m.chance(0.9) else "",
    ],
    incr=lambda m: [_key(m)],
    decr=lambda m: [_key(m)],
    incrby=lambda m: [_key(m), m.integer(0.15)],
    decrby=lambda m: [_key(m), m.integer(0.15)],
    incrbyfloat=lambda m: [_key(m), m.floating(0.12)],
)


@strings.scene("SET", 2)
def set_number(maker: Maker) -> list[Given]:
    number = maker.some(
        "0", "1", "-1", "10", "9999", "10000", "9223372036854775807", "-9223372036854775808", "0.1", "5.0e3"
    )
    key = _key(maker)
    return [["SET", key, number], maker.some(["INCR", key], ["DECR", key], ["INCRBYFLOAT", key, maker.floating()])]


def _bit(maker: Maker) -> str:
    return maker.mostly(("0", "1"), ("2", "x", "", "-1", "01"), 0.08)


def _offset(maker: Maker) -> str:
    return maker.mostly(
        ("0", "1", "3", "7", "8", "9", "20", "100"), ("-1", "x", "4294967296", "", "1.5", LARGEST, SMALLEST), 0.1
    )


def _range(maker: Maker, *lengths: int) -> list[str | bytes]:
    words: list[str | bytes] = [maker.index() for _ in range(maker.rng.choice(lengths))]
    return [*words, maker.mostly(("BIT", "byte", "BYTE"), ("nibble", ""))] if maker.chance(0.4) else words


def _field(maker: Maker) -> Given:
    words: list[str | bytes] = [_key(maker)]
    types = ("i8", "u8", "i5", "u4", "i64", "u63", "u1", "i1", "i16", "u16", "i32", "u32")
    offsets = ("0", "1", "3", "8", "#0", "#1", "#2", "100", "17", "#7")
    for _ in range(maker.rng.randint(0, 4)):
        kind = maker.mostly(types, ("u64", "i65", "u0", "x8", "i0", "u", "", "I8", "i8x", "u08", "i-8"), 0.06)
        offset = maker.mostly(offsets, ("-1", "#-1", "x", "#x", "", "#", "4294967296", LARGEST, SMALLEST), 0.06)
        number = maker.mostly(("0", "1", "-1", "100", "255", "300", "-300", "7", *BIG_NUMBERS), BAD_NUMBERS)
        words += maker.some(
            ["GET", kind, offset],
            ["set", kind, offset, number],
            ["INCRBY", kind, offset, number],
            ["incrby", kind, offset, number],
            ["OVERFLOW", maker.mostly(("wrap", "SAT", "sat"), ("bad", ""))],
        )
    return words


@bits.scene("BITFIELD")
def failing(maker: Maker) -> list[Given]:
    """On a string that is long enough: one that only grows, and changes no field, does so behind replicas' backs."""
    key, field = _key(maker), _field(maker)
    return [["SETRANGE", key, "90", "x"], ["BITFIELD", key, "OVERFLOW", maker.some("FAIL", "fail"), *field[1:]]]


bits.simple(
    setbit=lambda m: [_key(m), _offset(m), _bit(m)],
    getbit=lambda m: [_key(m), _offset(m)],
    bitcount=lambda m: [_key(m), *_range(m, 0, 2, 2, 2, 1)],
    bitpos=lambda m: [_key(m), _bit(m), *_range(m, 0, 1, 2, 2, 3)],
    bitop=lambda m: [m.mostly(("AND", "or", "XOR"), ("not", "NOT", "bad")), _key(m), *m.keys("string")],
    bitfield=_field,
    bitfield__ro=_field,
)
bits.command("BITOP")(lambda m: ["NOT", _key(m), _key(m)])
bits.command("SET", 2)(lambda m: [_key(m), m.text()])
bits.command("GET")(lambda m: [_key(m)])
bits.command("APPEND")(lambda m: [_key(m), m.text()])
