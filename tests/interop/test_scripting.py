"""Scripts give what they give on live servers: replies to the byte, errors with their lines, effects in the stream."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.servers import RawClient, RealServer, ReplyError, start, wait_until

SCRIPTS = Path(__file__).with_name("scripts.lua").read_text("utf-8").split("\n---\n")[1:]
_SHA = re.compile(rb"[0-9a-f]{40}")

LATER: dict[str, str] = {
    "return redis.call('echo',0.1)": "numbers as short as they read back since 7.2",
    "return redis.call('echo',-0)": "whole numbers as integers since 7.2",
    "return {double=0.1}": "doubles as short as they read back since 7.2",
    "redis.setresp(3) return redis.call('geopos','g','x')": "doubles as short as they read back since 7.2",
    "return redis.call('blpop','nol',0)": "blocking commands may be called, and do not wait, since 7.2",
    "return redis.call('xread','block',0,'streams','nost','$')": "BLOCK is ignored since 7.2",
    "return redis.call('wait',1,0)": "may be called since 7.2",
}
"""What a later Redis than 7.0 answers differently."""

OURS: dict[str, str] = {
    "local t={} for i=1,3 do t[i]=redis.call end return t[2]('foo')": "the line of a tail call from a table is lost",
}
"""What we answer differently, and why."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RealServer]:
    with start("redis70", enable_debug_command="yes") as server:
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    with start("txrepl", enable_debug_command="yes") as server:
        yield server


@pytest.fixture
def fresh(redis: RealServer, ours: RealServer) -> Iterator[tuple[RawClient, RawClient]]:
    """A client of each, their data and scripts emptied."""
    with redis.connect() as one, ours.connect() as other:
        for client in (one, other):
            client.command("FLUSHALL")
            client.command("SCRIPT", "FLUSH")
            client.command("FUNCTION", "FLUSH")
        yield one, other


def masked(reply: bytes) -> bytes:
    """The reply without a script's SHA1, which is the same anyway, and so that a failure is easy to read."""
    return _SHA.sub(b"<sha>", reply)


@pytest.mark.parametrize("proto", [2, 3])
def test_scripts_answer_byte_for_byte_as_redis(fresh: tuple[RawClient, RawClient], proto: int) -> None:
    """Hundreds of small scripts, one after another: conversions, errors, libraries, the sandbox."""
    theirs, ours = fresh
    for client in fresh:
        client.execute("HELLO", proto)
    wrong = []
    for script in SCRIPTS:
        expected, found = (masked(client.raw_command("EVAL", script, 0)) for client in (theirs, ours))
        is_listed = script in LATER or script in OURS
        if expected != found and not is_listed:
            wrong.append(f"{script}\n  redis {expected!r}\n  ours  {found!r}")
        if expected == found and script in OURS:
            wrong.append(f"{script}\n  is listed as different, and is not")
    assert not wrong, "\n" + "\n".join(wrong)


WORDS: list[tuple[str, ...]] = [
    ("EVAL", "return 1"),
    ("EVAL", "return 1", "a"),
    ("EVAL", "return 1", "-1"),
    ("EVAL", "return 1", "2", "x"),
    ("EVAL", "return {KEYS,ARGV}", "1", "k", "a", "b"),
    ("EVAL_RO", "return redis.call('set',KEYS[1],'v')", "1", "k"),
    ("EVAL_RO", "return redis.call('get',KEYS[1])", "1", "k"),
    ("EVAL_RO", "#!lua\nreturn 1", "0"),
    ("EVAL_RO", "#!lua flags=no-writes\nreturn redis.call('get',KEYS[1])", "1", "k"),
    ("EVAL", "#!lua flags=no-writes\nreturn redis.call('set',KEYS[1],'v')", "1", "k"),
    ("EVAL", "#!lua flags=no-writes,allow-stale,allow-oom,no-cluster\nreturn 2", "0"),
    ("EVAL", "#!lua flags=allow-oom\nreturn redis.call('set',KEYS[1],'v')", "1", "k"),
    ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"),
    ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x"),
    ("EVALSHA", "e0e1", "0"),
    ("SCRIPT", "LOAD", "return 1"),
    ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"),
    ("EVALSHA", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "0"),
    ("EVALSHA_RO", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"),
    ("SCRIPT", "EXISTS", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "x", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB"),
    ("SCRIPT", "EXISTS"),
    ("SCRIPT", "LOAD", "return("),
    ("SCRIPT", "LOAD"),
    ("SCRIPT", "KILL"),
    ("SCRIPT", "FOO"),
    ("SCRIPT",),
    ("SCRIPT", "FLUSH", "LATER"),
    ("SCRIPT", "FLUSH", "SYNC", "x"),
    ("SCRIPT", "FLUSH", "ASYNC"),
    ("EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"),
    ("SCRIPT", "DEBUG", "NO"),
    ("SCRIPT", "DEBUG", "PERHAPS"),
    ("MULTI",),
    ("EVAL", "return redis.call('incr',KEYS[1])", "1", "n"),
    ("EVAL", "return redis.call('nosuch')", "0"),
    ("EVAL", "return {1,{err='MY err'}}", "0"),
    ("EXEC",),
    ("GET", "n"),
]


def test_commands_of_scripts_answer_byte_for_byte_as_redis(fresh: tuple[RawClient, RawClient]) -> None:
    """EVAL's own arguments, shebangs, the cache by SHA1, transactions."""
    theirs, ours = fresh
    wrong = []
    for words in WORDS:
        expected, found = theirs.raw_command(*words), ours.raw_command(*words)
        if expected != found:
            wrong.append(f"{words}\n  redis {expected!r}\n  ours  {found!r}")
    assert not wrong, "\n" + "\n".join(wrong)


# -- the libraries, at random -----------------------------------------------------------------------------------

_TEXTS = ["", "a", "é", '"\\/', "\x00\x01\x1f\x7f", "x" * 40, "1", "-0", "null"]


def _number(rng: random.Random) -> str:
    value = rng.choice(
        [rng.randrange(-40, 300), rng.randrange(-(2**40), 2**40), rng.uniform(-5, 5), 10.0 ** rng.randrange(-9, 25)]
    )
    return repr(value)


def _literal(rng: random.Random, depth: int) -> str:
    """A Lua expression for a random value."""
    kind = rng.randrange(8 if depth else 5)
    if kind == 0:
        return _number(rng)
    if kind == 1:
        return rng.choice(["true", "false", "cjson.null"])
    if kind < 5:
        text = rng.choice(_TEXTS)
        return '"' + "".join(f"\\{byte:03}" for byte in text.encode()) + '"'
    items = [_literal(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 5:
        return "{" + ",".join(items) + "}"
    if kind == 6:
        # one key only: the order of several is the allocator's
        return f"{{[{_number(rng)}]={items[0]}}}" if items else "{}"
    return f"{{k{rng.randrange(9)}={items[0]}}}" if items else "{}"


def test_json_and_messagepack_of_random_values_are_the_same_bytes(fresh: tuple[RawClient, RawClient]) -> None:
    """What each writes, and what comes of reading it again, is alike; NaN and broken arrays give the same errors."""
    theirs, ours = fresh
    rng = random.Random(20240701)
    script = (
        "local v={} local a={{pcall(cjson.encode,v)}} local b=cmsgpack.pack(v) "
        "if a[1] then a[2]=a[2]..cjson.encode(cjson.decode(a[2])) end "
        "return {{a[2],b,cmsgpack.pack(cmsgpack.unpack(b))}}"
    )
    for _ in range(400):
        words = ("EVAL", script.format(_literal(rng, 3)), "0")
        expected, found = theirs.raw_command(*words), ours.raw_command(*words)
        assert expected == found, words[1]


def test_broken_json_gives_the_same_errors(fresh: tuple[RawClient, RawClient]) -> None:
    """Documents with one byte changed, dropped or doubled are refused with the same words at the same character."""
    theirs, ours = fresh
    rng = random.Random(77)
    document = b'{"a":[1,-2.5e3,true,false,null,"x\\u00e9\\n"],"b":{"c":[]}, "d" : "\\ud83d\\ude00"}'
    script = "return cjson.encode({cjson.decode(ARGV[1]).a})"
    for _ in range(400):
        at = rng.randrange(len(document))
        change = rng.choice(
            [b"", document[at : at + 1] * 2, rng.choice([b'"', b"\\", b"u", b"0", b"}", b"]", b",", b"\0"])]
        )
        words = ("EVAL", script, "0", document[:at] + change + document[at + 1 :])
        expected, found = masked(theirs.raw_command(*words)), masked(ours.raw_command(*words))
        assert expected == found, words[3]


def test_broken_messagepack_gives_the_same_errors(fresh: tuple[RawClient, RawClient]) -> None:
    """Random bytes are read, or refused, alike."""
    theirs, ours = fresh
    rng = random.Random(78)
    script = "local t={cmsgpack.unpack(ARGV[1])} local r={} for i=1,8 do r[i]=cmsgpack.pack(t[i]) end return r"
    for _ in range(600):
        data = bytes(rng.choice([rng.randrange(256), rng.randrange(0x80, 0xE0), 1]) for _ in range(rng.randrange(1, 9)))
        if any(0x81 < code < 0x90 or code in (0xDE, 0xDF) for code in data):
            continue  # maps of several keys: their order is the allocator's
        words = ("EVAL", script, "0", data)
        expected, found = masked(theirs.raw_command(*words)), masked(ours.raw_command(*words))
        assert expected == found, data


def test_structs_of_random_formats_are_the_same_bytes(fresh: tuple[RawClient, RawClient]) -> None:
    """Sizes, signs, byte orders, alignment: packing and unpacking are alike, errors too."""
    theirs, ours = fresh
    rng = random.Random(79)
    script = (
        "local p={pcall(struct.pack,ARGV[1],unpack(ARGV,3))} local u={pcall(struct.unpack,ARGV[1],ARGV[2])} "
        "for i=1,#u do u[i]=tostring(u[i]) end return {p[2],u,{pcall(struct.size,ARGV[1])}}"
    )
    options = [
        "b",
        "B",
        "h",
        "H",
        "l",
        "L",
        "T",
        "i3",
        "I5",
        "i8",
        "I",
        "f",
        "d",
        "x",
        "c3",
        "c0",
        "s",
        ">",
        "<",
        "!",
        "!4",
        " ",
        "q",
    ]
    for _ in range(500):
        fmt = "".join(rng.choice(options) for _ in range(rng.randrange(1, 6)))
        data = bytes(rng.choice([0, 1, 127, 128, 255, 65]) for _ in range(rng.randrange(40)))
        values = [
            rng.choice(["1", "-1", "3.7", "-2.5", "70000", "abc", "4294967296", "-9007199254740993"]) for _ in range(5)
        ]
        words = ("EVAL", script, "0", fmt, data, *values)
        expected, found = masked(theirs.raw_command(*words)), masked(ours.raw_command(*words))
        assert expected == found, (fmt, data, values)


def test_bit_operations_on_random_numbers_are_alike(fresh: tuple[RawClient, RawClient]) -> None:
    """Every operation, on numbers of every size."""
    theirs, ours = fresh
    rng = random.Random(80)
    script = (
        "local a,b=tonumber(ARGV[1]),tonumber(ARGV[2]) local r={} for _,n in ipairs({'band','bor','bxor','lshift',"
        "'rshift','arshift','rol','ror'}) do r[#r+1]=bit[n](a,b) end r[#r+1]=bit.bnot(a) r[#r+1]=bit.bswap(a) "
        "r[#r+1]=bit.tobit(a) r[#r+1]=bit.tohex(a,b%20-10) return r"
    )
    for _ in range(100):
        numbers = [
            rng.choice([rng.randrange(-40, 40), rng.uniform(-1e10, 1e10), rng.getrandbits(52), 2.5]) for _ in "ab"
        ]
        words = ("EVAL", script, "0", *map(repr, numbers))
        assert theirs.raw_command(*words) == ours.raw_command(*words), numbers


def test_random_numbers_are_those_of_redis(fresh: tuple[RawClient, RawClient]) -> None:
    """math.random gives the same sequence from the same seed."""
    script = "math.randomseed(ARGV[1]) local r={} for i=1,50 do r[i]=math.random(1,1e9) end return r"
    for seed in ("0", "7", "-3", "123456"):
        expected, found = (client.command("EVAL", script, 0, seed) for client in fresh)
        assert expected == found


# -- effects ----------------------------------------------------------------------------------------------------

EFFECTS: list[tuple[Any, ...]] = [
    ("EVAL", "redis.call('set',KEYS[1],'1') redis.call('set',KEYS[2],'2') return 1", 2, "a", "b"),
    ("EVAL", "return redis.call('incrbyfloat',KEYS[1],'1.5')", 1, "f"),
    ("EVAL", "return redis.call('get',KEYS[1])", 1, "a"),
    ("EVAL", "redis.call('select',3) redis.call('set','in3','x')", 0),
    ("EVAL", "redis.call('sadd',KEYS[1],1,2,3,4) redis.call('spop',KEYS[1]) redis.call('spop',KEYS[1])", 1, "s"),
    ("EVAL", "redis.call('set',KEYS[1],'1') return redis.call('nosuch')", 1, "partly"),
    ("EVAL", "redis.call('set',KEYS[1],'1','px',10000000) redis.call('expire',KEYS[1],2000000)", 1, "ttl"),
    ("EVAL", "redis.set_repl(redis.REPL_NONE) redis.call('set','never','1') redis.set_repl(redis.REPL_ALL)", 0),
    ("EVAL", "redis.call('del','never') redis.call('rpush','l',unpack(ARGV)) redis.call('lpop','l')", 0, "1", "2", "3"),
    ("EVAL", "for i=1,20 do redis.call('xadd','st','*','f',i) end", 0),
    ("EVAL", "redis.call('publish','ch','m')", 0),
    ("MULTI",),
    ("SET", "before", "1"),
    ("EVAL", "redis.call('hset','h','f','v') redis.call('hincrby','h','n',3)", 0),
    ("EVAL", "return 1", 0),
    ("EXEC",),
    ("EVAL", "redis.setresp(3) redis.call('zadd','z',math.random(1000),'m')", 0),
    ("EVAL", "redis.call('flushdb') redis.call('set','only','1')", 0),
    ("SCRIPT", "LOAD", "return 1"),
    ("SCRIPT", "FLUSH"),
]


class Stream:
    """The replication stream of a server, as commands."""

    def __init__(self, server: RealServer) -> None:
        self._link = server.connect()
        self._link.send(b"PSYNC ? -1\r\n")
        line = b"\n"
        while not line.startswith(b"$"):
            line = self._link.read_line()
        self._link.read_exactly(int(line[1:]))

    def until(self, marker: bytes) -> list[list[bytes]]:
        """The commands up to the SET of a marker."""
        found: list[list[bytes]] = []
        while True:
            command = self._link.read_reply()
            if command[:2] == [b"SET", marker]:
                return found
            if command[0].upper() not in (b"PING", b"REPLCONF"):
                found.append(command)

    def close(self) -> None:
        self._link.close()


def shape(commands: list[list[bytes]]) -> list[list[bytes]]:
    """The commands with their databases; what two servers choose by chance or by the clock is masked.

    SELECT stands before MULTI up to 7.0, and behind it since 7.2.
    """
    found = []
    database = b""
    for words in commands:
        name = words[0].upper()
        if name == b"SELECT":
            database = words[1]
            continue
        if name in (b"SREM",):
            words = [*words[:2], b"%d members" % (len(words) - 2)]
        elif name == b"XADD":
            words = [*words[:2], b"<id>", *words[3:]]
        found.append(
            [
                b"" if name in (b"MULTI", b"EXEC") else database,
                name,
                *(re.sub(rb"^[0-9]{13}$", b"<ms>", word) for word in words[1:]),
            ]
        )
    return found


def test_effects_of_scripts_reach_the_stream_as_from_redis(redis: RealServer, ours: RealServer) -> None:
    """Each script's writes, in MULTI/EXEC if there are several, and nothing of EVAL or SCRIPT itself."""
    streams = []
    for server in (redis, ours):
        with server.connect() as client:
            client.command("FLUSHALL")
            client.command("SELECT", 0)
            stream = Stream(server)
            for words in EFFECTS:
                client.execute(*words)
            client.command("SET", "the end", "")
            streams.append(shape(stream.until(b"the end")))
            stream.close()
    assert streams[1] == streams[0]


def test_a_live_replica_of_ours_has_the_same_data_after_scripts(ours: RealServer) -> None:
    """Effects suffice: a Redis that follows us has the same digest."""
    with (
        start("redis70", replicaof=("127.0.0.1", ours.port), enable_debug_command="yes") as replica,
        ours.connect() as client,
    ):
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
        for words in EFFECTS[:-3]:
            client.execute(*words)
        client.command("DEL", "never")
        digest = client.command("DEBUG", "DIGEST", "LEGACY")
        wait_until(lambda: replica.command("DEBUG", "DIGEST") == digest, 10, "the digests agree")


def test_scripts_on_a_replica_read_and_do_not_write(ours: RealServer) -> None:
    """A read-only replica runs what reads; what would write is refused as Redis refuses it."""
    answers: list[list[Any]] = []
    for kind in ("redis70", "txrepl"):
        with start(kind, replicaof=("127.0.0.1", ours.port)) as replica, replica.connect() as client:
            wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
            answers.append(
                [
                    masked(client.raw_command("EVAL", script, 1, "k"))
                    for script in (
                        "return redis.call('exists',KEYS[1])",
                        "return redis.call('set',KEYS[1],'v')",
                        "#!lua\nreturn redis.call('exists',KEYS[1])",
                        "#!lua flags=no-writes\nreturn redis.call('exists',KEYS[1])",
                        "return redis.pcall('set',KEYS[1],'v')",
                    )
                ]
            )
    assert answers[1] == answers[0]


def test_time_stands_still_in_a_script(ours: RealServer) -> None:
    """A key that comes due while a script runs is there until it ends."""
    with ours.connect() as client:
        found = client.command(
            "EVAL",
            "redis.call('set','k','v','px',20) local t=os.clock() while os.clock()-t<0.06 do end "
            "return redis.call('get','k')",
            0,
        )
        assert found == b"v"
        wait_until(lambda: client.command("GET", "k") is None, 5, "the key is gone")


def test_errors_are_counted_once(fresh: tuple[RawClient, RawClient]) -> None:
    """INFO errorstats and commandstats count a script's failed command under the command and EVAL, the error once."""
    counts = []
    for client in fresh:
        client.command("CONFIG", "RESETSTAT")
        client.command("SET", "k", "v")
        for script in (
            "return redis.call('lpush','k','x')",
            "return redis.pcall('nosuch')",
            "return {err='MY own'}",
            "return x",
        ):
            with pytest.raises(ReplyError):
                client.command("EVAL", script, 0)
        text = client.command("INFO", "errorstats", "commandstats")
        assert isinstance(text, bytes)
        errors = sorted(re.findall(rb"errorstat_\w+:count=\d+", text))
        commands = re.findall(rb"cmdstat_(eval|lpush):calls=(\d+).*,(rejected_calls=\d+,failed_calls=\d+)", text)
        counts.append((errors, sorted(commands)))
    assert counts[1] == counts[0]


# -- functions --------------------------------------------------------------------------------------------------


def library(name: str, code: str) -> tuple[str, ...]:
    """FUNCTION LOAD of a library."""
    return ("FUNCTION", "LOAD", f"#!lua name={name}\n{code}")


def function(name: str, body: str) -> str:
    """A line that registers a function."""
    return f"redis.register_function('{name}', function(keys, args) {body} end)\n"


def named(arguments: str) -> tuple[str, ...]:
    """FUNCTION LOAD of a library that registers by named arguments."""
    return library("a", f"redis.register_function{{{arguments}}}")


CALLBACK = "callback=function(k, a) return {k, a} end"
SEVERAL = (
    ("g", "x=1"),
    ("h", "return nosuch"),
    ("i", "error('boom')"),
    ("j", "return redis.call('nosuch')"),
    ("k", "return KEYS"),
    ("m", "return redis.register_function('z', function() end)"),
    ("n", "return {#keys, #args, type(cjson), tostring(redis.breakpoint)}"),
    ("o", "local function f() return redis.call('get') end\n return f()"),
    ("p", "return redis.setresp(3)"),
    ("q", "return {redis.call('get', 'k'), redis.sha1hex(''), math.random(1, 1)}"),
)
FUNCTIONS: list[tuple[str, ...]] = [
    ("FUNCTION", "LOAD", "#!lua"),
    ("FUNCTION", "LOAD", "#!lua\n"),
    ("FUNCTION", "LOAD", "#!lua name=\nx"),
    ("FUNCTION", "LOAD", "#!lua name=a-b\nx"),
    ("FUNCTION", "LOAD", "#!lua name=a name=b\nx"),
    ("FUNCTION", "LOAD", "#!lua nam=a\nx"),
    ("FUNCTION", "LOAD", '#!lua name="a\nx'),
    ("FUNCTION", "LOAD", "#!foo name=a\nx"),
    ("FUNCTION", "LOAD", "lua name=a\n"),
    ("FUNCTION", "LOAD", "later", "x"),
    ("FUNCTION", "LOAD"),
    library("a", "return 1"),
    library("a", "x ="),
    library("a", "foo()"),
    library("a", "redis.call('ping')"),
    library("a", "x=1"),
    library("a", "function f() end"),
    library("a", "local x=tonumber('1')"),
    library("a", "redis.foo=1"),
    library("a", "redis.log(redis.LOG_WARNING)"),
    library("a", "redis.register_function()"),
    library("a", "redis.register_function('x')"),
    library("a", "redis.register_function('x', 1)"),
    library("a", "redis.register_function(1, function() end)"),
    library("a", "redis.register_function({}, function() end)"),
    library("a", "redis.register_function('x', function() end, 3)"),
    library("a", "redis.register_function('bad-name', function() end)"),
    named(""),
    named("function_name='x'"),
    named(CALLBACK),
    named("function_name={}, " + CALLBACK),
    named("function_name='x', callback=1"),
    named("function_name='x', flags='x', " + CALLBACK),
    named("function_name='x', flags={'x'}, " + CALLBACK),
    named("function_name='x', flags={{}}, " + CALLBACK),
    named("function_name='x', foo=1, " + CALLBACK),
    named("function_name='x', description={}, " + CALLBACK),
    library("a", function("x", "return 1") + function("x", "return 2")),
    named("FUNCTION_NAME='x', flags={'no-writes', 'allow-stale'}, description='d', " + CALLBACK),
    ("FUNCTION", "LIST"),
    ("FUNCTION", "LIST", "WITHCODE"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "A*", "WITHCODE"),
    ("FUNCTION", "LIST", "LIBRARYNAME", "b"),
    ("FUNCTION", "LIST", "LIBRARYNAME"),
    ("FUNCTION", "LIST", "WITHCODE", "WITHCODE"),
    ("FCALL", "x", "1", "k", "a", "b"),
    ("FCALL", "x", "2", "k"),
    ("FCALL", "x", "-1", "k"),
    ("FCALL", "x", "y", "k"),
    ("FCALL", "X", "0"),
    ("FCALL_RO", "x", "0"),
    library("a", function("x", "return 1")),
    library("b", function("x", "return 1")),
    ("FUNCTION", "LOAD", "REPLACE", "#!lua name=a\n" + function("w", "return redis.call('set', keys[1], args[1])")),
    ("FCALL", "x", "0"),
    ("FCALL", "w", "1", "k", "v"),
    ("FCALL_RO", "w", "1", "k", "v"),
    ("FUNCTION", "LOAD", "REPLACE", "#!lua name=a\nfoo("),
    ("FCALL", "w", "1", "k", "v2"),
    library("b", function("w", "return 1")),
    library("b", "local n=0\n" + function("count", "n=n+1 return n")),
    ("FCALL", "count", "0"),
    ("FCALL", "count", "0"),
    library("c", "".join(function(*one) for one in SEVERAL)),
    *(("FCALL", name, "0") for name, _ in SEVERAL),
    library("d", "redis.register_function{function_name='ro', flags={'no-writes'}, callback=function() "
            "return redis.call('set', 'a', 'b') end}"),
    ("FCALL", "ro", "0"),
    ("EVAL", "return redis.register_function", "0"),
    ("EVAL", "return redis.call('fcall', 'w', 1, 'k', 'v')", "0"),
    ("FUNCTION", "DELETE", "c"),
    ("FUNCTION", "DELETE", "c"),
    ("FCALL", "g", "0"),
    ("FUNCTION", "STATS"),
    ("FUNCTION", "KILL"),
    ("FUNCTION", "FLUSH", "x"),
    ("FUNCTION", "FLUSH", "SYNC", "x"),
    ("FUNCTION", "RESTORE", "x"),
    ("FUNCTION", "RESTORE", "x", "y"),
    ("FUNCTION", "RESTORE", "x", "APPEND", "y"),
    ("FUNCTION", "NOSUCH"),
    ("FUNCTION", "FLUSH", "ASYNC"),
    ("FUNCTION", "STATS"),
    library("q", "while true do end"),
    ("MULTI",),
    library("m", function("mm", "return 5")),
    ("FCALL", "mm", "0"),
    ("FUNCTION", "DELETE", "m"),
    ("FCALL", "mm", "0"),
    ("EXEC",),
]  # fmt: skip


@pytest.mark.parametrize("proto", [2, 3])
def test_functions_answer_byte_for_byte_as_redis(fresh: tuple[RawClient, RawClient], proto: int) -> None:
    """Libraries loaded, refused, replaced, listed and removed, and their functions called."""
    theirs, ours = fresh
    for client in fresh:
        client.execute("HELLO", proto)
    wrong = []
    for words in FUNCTIONS:
        expected, found = theirs.raw_command(*words), ours.raw_command(*words)
        if expected != found:
            wrong.append(f"{words}\n  redis {expected!r}\n  ours  {found!r}")
    assert not wrong, "\n" + "\n".join(wrong)


ONE, TWO = library("one", function("f1", "return 1"))[2], library("two", function("f2", "return 2"))[2]


def names(client: RawClient) -> list[bytes]:
    """The names of the libraries."""
    return sorted(entry[1] for entry in client.command("FUNCTION", "LIST"))


def test_dumps_of_libraries_are_restored_in_both_directions(fresh: tuple[RawClient, RawClient]) -> None:
    """What FUNCTION DUMP gives here, Redis restores, and the other way; a collision changes nothing."""
    for giver, taker in (fresh, fresh[::-1]):
        for client in fresh:
            client.command("FUNCTION", "FLUSH")
        giver.command("FUNCTION", "LOAD", ONE)
        one = giver.command("FUNCTION", "DUMP")
        giver.command("FUNCTION", "LOAD", TWO)
        both = giver.command("FUNCTION", "DUMP")
        assert taker.command("FUNCTION", "RESTORE", one) == "OK"
        assert taker.command("FCALL", "f1", 0) == 1
        assert taker.raw_command("FUNCTION", "RESTORE", both) == b"-ERR Library one already exists\r\n"
        assert names(taker) == [b"one"]
        assert taker.command("FUNCTION", "RESTORE", both, "REPLACE") == "OK"
        assert (names(taker), taker.command("FCALL", "f2", 0)) == ([b"one", b"two"], 2)
        assert taker.command("FUNCTION", "RESTORE", one, "FLUSH") == "OK"
        assert names(taker) == [b"one"]
        taker.command("FUNCTION", "FLUSH")
        taker.command("FUNCTION", "LOAD", library("other", function("f1", "return 9"))[2])
        assert taker.raw_command("FUNCTION", "RESTORE", both) == b"-ERR Function f1 already exists\r\n"
        assert (names(taker), taker.command("FCALL", "f1", 0)) == ([b"other"], 9)


FUNCTION_WRITES: list[tuple[Any, ...]] = [
    ("FUNCTION", "LOAD", ONE),
    ("FUNCTION", "LOAD", library("w", function("w", "redis.call('set', 'x', 1) redis.call('set', 'y', 2)"))[2]),
    ("FCALL", "w", 0),
    ("FUNCTION", "LOAD", "REPLACE", library("one", function("f1", "return 11"))[2]),
    ("FUNCTION", "DELETE", "w"),
    ("FUNCTION", "LOAD", "broken"),
]


@pytest.mark.parametrize(("above", "below"), [("redis70", "txrepl"), ("txrepl", "redis70"), ("valkey9", "txrepl")])
def test_libraries_travel_by_full_sync_and_by_the_stream(above: str, below: str) -> None:
    """A replica has those of the snapshot, follows every change of them, and runs what only reads."""
    with start(above) as primary, primary.connect() as client:
        client.command("FUNCTION", "LOAD", TWO)
        with start(below, replicaof=("127.0.0.1", primary.port)) as replica, replica.connect() as reader:
            wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 20, "the link is up")
            assert names(reader) == [b"two"]
            for words in FUNCTION_WRITES:
                client.execute(*words)
            wait_until(lambda: names(reader) == [b"one", b"two"], 10, "the libraries are the same")
            wait_until(lambda: reader.command("MGET", "x", "y") == [b"1", b"2"], 10, "so are the data")
            assert reader.raw_command("FCALL", "f1", 0).startswith(b"-READONLY")
            assert reader.raw_command("FCALL_RO", "f1", 0).startswith(b"-READONLY")
            client.command("FUNCTION", "FLUSH")
            wait_until(lambda: names(reader) == [], 10, "they are gone")
            assert "CRITICAL" not in replica.log_text()


def test_libraries_outlive_a_restart_and_a_reload(ours: RealServer) -> None:
    """They are in the dump file, and work when they are loaded from it; INFO counts them."""
    with ours.connect() as client:
        client.command("FUNCTION", "FLUSH")
        client.command("FUNCTION", "LOAD", ONE)
        client.command("FUNCTION", "LOAD", TWO)
        client.command("DEBUG", "RELOAD")
        assert names(client) == [b"one", b"two"]
        assert client.command("FCALL", "f2", 0) == 2
    memory = ours.info("memory")
    assert (memory["number_of_libraries"], memory["number_of_functions"]) == ("2", "2")
    assert int(memory["used_memory_vm_functions"]) > 0
    ours.command("FUNCTION", "FLUSH")
    assert ours.info("memory")["number_of_functions"] == "0"
