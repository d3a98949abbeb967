"""What came after Redis 7.0: deadlines of a hash's fields, and conditions of deletion."""

from __future__ import annotations

from tests.interop.grammar.maker import Given, Grammar, Maker

deadlines = Grammar("deadlines of fields", 0.7, modern=True)
conditions = Grammar("conditions", 0.3, modern=True)

_FIELDS = ("a", "b", "c", "d", "f1")


def _key(maker: Maker) -> str:
    return maker.key("hash")


def _fields(maker: Maker, *, with_values: bool = False) -> list[str | bytes]:
    fields = [maker.some(*_FIELDS) for _ in range(maker.rng.randint(1, 3))]
    given = str(len(fields)) if maker.chance(0.95) else maker.some("0", "-1", "9", "x", "")
    words = [word for field in fields for word in ((field, maker.text()) if with_values else (field,))]
    return [maker.mostly(("FIELDS",), ("fields", "FIELD"), 0.05), given, *words]


def _condition(maker: Maker) -> list[str | bytes]:
    return maker.shuffled([["NX"], ["XX"], ["GT"], ["LT"]], maker.some(0, 0.15))


def _deadline(maker: Maker, *more: list[str]) -> list[str | bytes]:
    options = [
        ["EX", maker.seconds()],
        ["PX", maker.milliseconds()],
        ["EXAT", maker.deadline_s()],
        ["PXAT", maker.deadline_ms()],
    ]
    return maker.shuffled([*options, *more], 0.15)


deadlines.simple(  # what is wrong with their words Valkey 9 sees in another order than Redis 8
    mutable=False,
    hexpire=lambda m: [_key(m), m.seconds(), *_condition(m), *_fields(m)],
    hpexpire=lambda m: [_key(m), m.milliseconds(), *_condition(m), *_fields(m)],
    hexpireat=lambda m: [_key(m), m.deadline_s(), *_condition(m), *_fields(m)],
    hpexpireat=lambda m: [_key(m), m.deadline_ms(), *_condition(m), *_fields(m)],
    httl=lambda m: [_key(m), *_fields(m)],
    hpttl=lambda m: [_key(m), *_fields(m)],
    hexpiretime=lambda m: [_key(m), *_fields(m)],
    hpexpiretime=lambda m: [_key(m), *_fields(m)],
    hpersist=lambda m: [_key(m), *_fields(m)],
    hgetdel=lambda m: [_key(m), *_fields(m)],
    hgetex=lambda m: [_key(m), *_deadline(m, ["PERSIST"]), *_fields(m)],
    hsetex=lambda m: [
        _key(m), *_deadline(m, ["KEEPTTL"], ["FNX"], ["FXX"], ["NX"], ["XX"]), *_fields(m, with_values=True),
    ],
)  # fmt: skip
deadlines.command("HSET", 3)(lambda m: [_key(m), *(word for _ in range(2) for word in (m.some(*_FIELDS), m.text()))])
deadlines.simple(
    hdel=lambda m: [_key(m), m.some(*_FIELDS)],
    hgetall=lambda m: [_key(m)],
    hincrby=lambda m: [_key(m), m.some(*_FIELDS), m.integer()],
    hget=lambda m: [_key(m), m.some(*_FIELDS)],
    hsetnx=lambda m: [_key(m), m.some(*_FIELDS), m.text()],
    hlen=lambda m: [_key(m)],
    copy=lambda m: [_key(m), _key(m), *m.maybe("REPLACE")],
)


@deadlines.scene("HPEXPIRE")
def expired(maker: Maker) -> list[Given]:
    """Fields that expire and are then met by another command."""
    return [["HPEXPIRE", _key(maker), "1", *_fields(maker)], ["DEBUG", "SLEEP", "0.004"]]


conditions.simple(
    delifeq=lambda m: [m.key("string"), m.text()],
    set=lambda m: [
        m.key("string"),
        m.text(),
        *m.shuffled([["IFEQ", m.text()], ["GET"], ["NX"], ["XX"], ["KEEPTTL"]], 0.3),
    ],
)
