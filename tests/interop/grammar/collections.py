"""Lists, hashes and sets."""

from __future__ import annotations

from tests.interop.grammar.maker import Given, Grammar, Maker

lists = Grammar("lists")
hashes = Grammar("hashes")
sets = Grammar("sets")


def _list(maker: Maker) -> str:
    return maker.key("list")


def _side(maker: Maker) -> str:
    return maker.mostly(("LEFT", "RIGHT", "left", "Right"), ("up", ""), 0.05)


def _count_option(maker: Maker) -> list[str | bytes]:
    return maker.maybe("COUNT", maker.count())


for _name in ("LPUSH", "RPUSH"):
    lists.command(_name, 3)(lambda m: [_list(m), *m.texts()])
for _name in ("LPUSHX", "RPUSHX"):
    lists.command(_name)(lambda m: [_list(m), *m.texts()])
for _name in ("LPOP", "RPOP"):
    lists.command(_name)(lambda m: [_list(m), *m.maybe(m.count())])
for _name in ("BLPOP", "BRPOP"):
    lists.command(_name, 0.4, mutable=False)(lambda m: [*m.keys("list"), m.timeout()])


@lists.command("LPOS")
def lpos(maker: Maker) -> Given:
    options = [["RANK", maker.index()], ["COUNT", maker.count()], ["MAXLEN", maker.count()], ["bad"]]
    return [_list(maker), maker.text(), *maker.shuffled(options, 0.3)]


lists.simple(
    llen=lambda m: [_list(m)],
    lindex=lambda m: [_list(m), m.index()],
    lset=lambda m: [_list(m), m.index(), m.text()],
    linsert=lambda m: [_list(m), m.mostly(("before", "AFTER"), ("mid",)), m.text(), m.text()],
    lrange=lambda m: [_list(m), m.index(), m.index()],
    ltrim=lambda m: [_list(m), m.index(), m.index()],
    lrem=lambda m: [_list(m), m.index(), m.text()],
    lmove=lambda m: [_list(m), _list(m), _side(m), _side(m)],
    rpoplpush=lambda m: [_list(m), _list(m)],
    lmpop=lambda m: [*m.counted("list"), _side(m), *_count_option(m)],
)
for _name, _made in {
    "BLMPOP": lambda m: [m.timeout(), *m.counted("list"), _side(m), *_count_option(m)],
    "BLMOVE": lambda m: [_list(m), _list(m), _side(m), _side(m), m.timeout()],
    "BRPOPLPUSH": lambda m: [_list(m), _list(m), m.timeout()],
}.items():
    lists.command(_name, 0.4, mutable=False)(_made)


def _hash(maker: Maker) -> str:
    return maker.key("hash")


def _pairs(maker: Maker) -> Given:
    words = [word for field in maker.texts() for word in (field, maker.text())]
    return words[:-1] if maker.chance(0.05) else words


def _scan_options(maker: Maker) -> list[str | bytes]:
    count = maker.mostly(("100000",), ("0", "x", "-1", ""), 0.1)
    options = [["MATCH", maker.some("*", "[a-c]", "?", "a*", "\\*", "[^a]*", "m*1")], ["bad", "x"]]
    return ["COUNT", count, *maker.shuffled(options[:1], 0.5), *maker.maybe("bad", "x", chance=0.02)]


def _cursor(maker: Maker) -> str:
    return maker.mostly(("0",), ("x", "-1", "", " 0", "1.5", "18446744073709551616", "99999999999999999999"), 0.08)


for _name in ("HSET", "HMSET"):
    hashes.command(_name, 3)(lambda m: [_hash(m), *_pairs(m)])


@hashes.command("HRANDFIELD")
def hrandfield(maker: Maker) -> Given:
    how: list[list[str]] = [
        [],
        [maker.count()],
        [maker.some("-3", "2", "-1"), "withvalues"],
        ["1", "x"],
        ["100000", "WITHVALUES"],
    ]
    return [_hash(maker), *maker.some(*how)]


hashes.simple(
    hsetnx=lambda m: [_hash(m), m.text(), m.text()],
    hget=lambda m: [_hash(m), m.text()],
    hmget=lambda m: [_hash(m), *m.texts()],
    hgetall=lambda m: [_hash(m)],
    hdel=lambda m: [_hash(m), *m.texts()],
    hlen=lambda m: [_hash(m)],
    hexists=lambda m: [_hash(m), m.text()],
    hkeys=lambda m: [_hash(m)],
    hvals=lambda m: [_hash(m)],
    hincrby=lambda m: [_hash(m), m.some("a", "f1", "0", "d"), m.integer(0.15)],
    hincrbyfloat=lambda m: [_hash(m), m.some("a", "f1", "f2", "d"), m.floating(0.12)],
    hstrlen=lambda m: [_hash(m), m.text()],
    hscan=lambda m: [_hash(m), _cursor(m), *_scan_options(m)],
)


def _set(maker: Maker) -> str:
    return maker.key("set")


sets.command("SADD", 4)(lambda m: [_set(m), *m.texts()])
sets.command("SADD", 3)(lambda m: [_set(m), *(m.integer() for _ in range(m.rng.randint(1, 5)))])


@sets.scene("SPOP")
def spop(maker: Maker) -> list[Given]:
    key = _set(maker)
    return [["SPOP", key, *maker.maybe(maker.count(), chance=0.6)], ["SPOP", key, "100000"]]


sets.simple(
    srem=lambda m: [_set(m), *m.texts()],
    sismember=lambda m: [_set(m), m.text()],
    smismember=lambda m: [_set(m), *m.texts()],
    scard=lambda m: [_set(m)],
    smembers=lambda m: [_set(m)],
    srandmember=lambda m: [_set(m), *m.maybe(m.some("3", "-4", "0", "2000", "x", "1", "-1", m.count()))],
    smove=lambda m: [_set(m), _set(m), m.text()],
    sinter=lambda m: m.keys("set"),
    sunion=lambda m: m.keys("set"),
    sdiff=lambda m: m.keys("set"),
    sinterstore=lambda m: [_set(m), *m.keys("set")],
    sunionstore=lambda m: [_set(m), *m.keys("set")],
    sdiffstore=lambda m: [_set(m), *m.keys("set")],
    sintercard=lambda m: [*m.counted("set"), *m.maybe("LIMIT", m.count())],
    sscan=lambda m: [_set(m), _cursor(m), *_scan_options(m)],
)
