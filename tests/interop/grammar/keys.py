"""Keys of any type, expiry, databases, scanning, sorting, dumps, HyperLogLog."""

from __future__ import annotations

from tests.interop.grammar.maker import FAR_MS, Given, Grammar, Maker

keys = Grammar("keys", 1.5)
databases = Grammar("databases", 0.4)
hyperloglog = Grammar("hyperloglog", 0.6)

PAYLOADS = (
    b"\x00\x05hello\t\x00\xb3\x80\x8e\xba1\xb2C\xbb",
    b"\x00\x05hellx\t\x00\xb3\x80\x8e\xba1\xb2C\xbb",
    b"",
    b"\x00",
)


def _key(maker: Maker) -> str:
    return maker.any_key()


def _database(maker: Maker) -> str:
    return maker.mostly(("0", "1", "2"), ("15", "16", "-1", "x", "99999999999", "", "1.5"), 0.08)


def _conditions(maker: Maker) -> list[str | bytes]:
    return maker.shuffled([["NX"], ["XX"], ["GT"], ["LT"], ["bad"]], maker.some(0, 0.15, 0.3))


for _name in ("EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"):
    _when = {
        "EXPIRE": Maker.seconds,
        "PEXPIRE": Maker.milliseconds,
        "EXPIREAT": Maker.deadline_s,
        "PEXPIREAT": Maker.deadline_ms,
    }[_name]
    keys.command(_name, 1.5)(lambda m, when=_when: [_key(m), when(m), *_conditions(m)])  # type: ignore[misc]


@keys.scene("PEXPIRE", 1)
def expired(maker: Maker) -> list[Given]:
    """A key that expires and is then met by another command."""
    key = _key(maker)
    return [["PEXPIRE", key, "1"], ["DEBUG", "SLEEP", "0.004"]]


@keys.command("SORT", 3)
def sort(maker: Maker) -> Given:
    words: list[str | bytes] = [maker.key(maker.some("list", "set", "zset"), 0.1)]
    for _ in range(maker.some(0, 1, 2, 3, 4)):
        words += maker.some(
            ["ALPHA"],
            ["asc"],
            ["DESC"],
            ["LIMIT", maker.index(), maker.index()],
            ["BY", maker.some("w_*", "h*->f1", "s*", "w_*->x", "h*->", "nosort", "l*", "*")],
            ["GET", maker.some("#", "s*", "h*->f1", "nostar", "h*->a", "h*", "*->a")],
            ["STORE", maker.some("l1", "l2", "s1")],
            ["bad"],
        )
    if "STORE" in words and "BY" in words:
        return [word for word in words if word not in ("ALPHA", "nosort")]  # elements alike are stored in any order
    return words


@keys.command("SORT_RO")
def sort_ro(maker: Maker) -> Given:
    return [word for word in sort(maker) if maker.chance(0.9) or word not in ("STORE", "l1")]


@keys.command("SCAN", mutable=False)
def scan(maker: Maker) -> Given:
    words = ["0", "COUNT", "100000"]
    for _ in range(maker.some(0, 1, 2)):
        words += maker.some(
            ["MATCH", maker.some("*", "s*", "?", "[hst]*", "\\s*")],
            ["TYPE", maker.some("string", "LIST", "set", "zset", "hash", "stream", "none")],
            ["COUNT", maker.some("100000", "0", "x", "-1")],
            ["bad", "x"],
            ["MATCH"],
        )
    return words


@keys.command("RESTORE", mutable=False)
def restore(maker: Maker) -> Given:
    payload = maker.some(*PAYLOADS)
    when = maker.mostly(("0", "0", "100000"), ("-1", "x", ""), 0.15)
    options = [
        ["REPLACE"],
        ["ABSTTL"],
        ["IDLETIME", maker.some("5", "-1", "x")],
        ["FREQ", maker.some("3", "300", "-1")],
        ["bad"],
    ]
    return [_key(maker), when, payload, *maker.shuffled(options, 0.25)]


@keys.command("COPY", 2)
def copy(maker: Maker) -> Given:
    return [_key(maker), _key(maker), *maker.shuffled([["REPLACE"], ["DB", _database(maker)], ["bad"]], 0.3)]


keys.simple(
    **{"del": lambda m: m.keys("string", foreign=1)},
    unlink=lambda m: m.keys("string", foreign=1),
    exists=lambda m: m.keys("string", foreign=1),
    touch=lambda m: m.keys("string", foreign=1),
    type=lambda m: [_key(m)],
    keys=lambda m: [m.some("*", "s*", "?1", "[hs]*", "\\s*", "[^s]*", "*1", "[a-z]?", "[", "[a", "", "s[1-3]", "s\\")],
    rename=lambda m: [_key(m), _key(m)],
    renamenx=lambda m: [_key(m), _key(m)],
    move=lambda m: [_key(m), _database(m)],
    ttl=lambda m: [_key(m)],
    pttl=lambda m: [_key(m)],
    expiretime=lambda m: [_key(m)],
    pexpiretime=lambda m: [_key(m)],
    persist=lambda m: [_key(m)],
    object_encoding=lambda m: [_key(m)],
    object_refcount=lambda m: [_key(m)],
    object_freq=lambda m: [_key(m)],
    object_idletime=lambda m: [_key(m)],
    dbsize=lambda m: [],
)
keys.command("RANDOMKEY", 0.3)(lambda m: [])
keys.command("DUMP", 0.5)(lambda m: [_key(m)])
keys.command("SET", 2)(lambda m: [m.some("w_1", "w_2", "w_3", "w_a", "w_b", "w_10"), m.text()])

databases.simple(
    select=lambda m: [_database(m)],
    swapdb=lambda m: [_database(m), _database(m)],
    move=lambda m: [_key(m), _database(m)],
    dbsize=lambda m: [],
    flushdb=lambda m: m.mostly(([], ["ASYNC"], ["sync"]), (["x"], ["ASYNC", "SYNC"])),
    flushall=lambda m: m.mostly(([], ["ASYNC"], ["sync"]), (["x"], ["ASYNC", "SYNC"])),
    keys=lambda m: ["*"],
    copy=lambda m: [_key(m), _key(m), "DB", _database(m), *m.maybe("REPLACE")],
)


def _sketch(maker: Maker) -> str:
    return maker.key("hll")


def _elements(maker: Maker) -> list[str | bytes]:
    count = maker.some(0, 1, 1, 1, 2, 5, 5, 60)
    return [maker.mostly((str(maker.rng.randrange(10**9)),), ("", "é", "x" * 20)) for _ in range(count)]


hyperloglog.command("PFADD", 5)(lambda m: [_sketch(m), *_elements(m)])
hyperloglog.command("SET", 0.5)(
    lambda m: [_sketch(m), m.some("x", "12345678901234567890", "HYLL", "HYLL\0\0\0\0" + "\0" * 8)]
)
hyperloglog.simple(
    pfcount=lambda m: m.keys("hll"),
    pfmerge=lambda m: m.keys("hll", 4),
    pfdebug=lambda m: [m.some("GETREG", "Decode", "encoding", "TODENSE", "nothing", ""), _sketch(m)],
    get=lambda m: [_sketch(m)],
    strlen=lambda m: [_sketch(m)],
    pexpireat=lambda m: [_sketch(m), FAR_MS],
)
