"""Scripts that attack: whatever they try, they get an error, the server lives, and nothing of it is in their reach."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.servers import RawClient, RealServer, ReplyError, start


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    with start("txrepl") as ours:
        yield ours


@pytest.fixture
def client(server: RealServer) -> Iterator[RawClient]:
    with server.connect() as connection:
        yield connection


def answer(client: RawClient, script: str, *arguments: str) -> object:
    """The script's reply, or its error as text."""
    client.socket.settimeout(60)
    reply = client.execute("EVAL", script, 0, *arguments)
    return str(reply) if isinstance(reply, ReplyError) else reply


CRASHES: list[tuple[str, str]] = [
    ("return unpack({}, 0, 2147483647)", "too many results to unpack"),
    ("return unpack({}, -1, 2147483647)", "too many results to unpack"),
    ("return unpack({}, -2147483648, 2147483647)", "too many results to unpack"),
    ("return unpack({}, 1, 1e300)", "too many results to unpack"),
    ("return string.find(string.rep('a', 2^20), string.rep('a?', 2^20))", "pattern too complex"),
    ("return (('a'):rep(2^20)):gsub(string.rep('a*', 2^20), '')", "pattern too complex"),
    ("for w in (('a'):rep(2^20)):gmatch(string.rep('a-', 2^20)) do end", "pattern too complex"),
    ("return #string.rep('x', 2^40)", "not enough memory"),
    ("return #string.rep('xy', 5e8)", "not enough memory"),
    ("local s='x' while true do s=s..s end", "not enough memory"),
    ("local t={} for i=1,1e10 do t[i]={1,2,3,4,5,6,7,8,9,i} end", "not enough memory"),
    ("local t={} for i=1,40 do t[i]=string.rep('x', 3e7)..i end return table.concat(t)", "not enough memory"),
    ("local function f() return f() + 1 end return f()", "stack overflow"),
    ("local t={} setmetatable(t, {__index=function(t, k) return t[k] end}) return t.x", "C stack overflow"),
    ("local function f(s) return s:gsub('.', f) end return f('x')", "C stack overflow"),
    ("local function f() return coroutine.wrap(f)() end return f()", "C stack overflow"),
    ("local function f() return pcall(f) end f() return 'through'", "through"),
    ("return loadstring(string.rep('(', 100000)..'1')()", "attempt to call a nil value"),
    ("return loadstring('return '..string.rep('{', 100000))()", "attempt to call a nil value"),
    ("return cjson.decode(string.rep('[', 1e6))", "too many nested data structures"),
    ("cjson.decode_max_depth(2^30) local ok = pcall(cjson.decode, string.rep('[', 1e6)) "
     "cjson.decode_max_depth(1000) return ok and 1 or 'refused'", "refused"),
    ("return cmsgpack.unpack(string.rep('\\145', 1e6))", "stack overflow"),
    ("return cmsgpack.unpack('\\221\\255\\255\\255\\255')", "Missing bytes in input"),
    ("return struct.unpack(string.rep('b', 1e5), string.rep('x', 1e5))", "stack overflow"),
    ("return string.byte(string.rep('x', 1e6), 1, -1)", "string slice too long"),
    ("return redis.call(unpack({}, 1, 7000))", "must be strings or integers"),
    ("return {math.random(0/0)}", "interval is empty"),
    ("return string.format('%99999d', 1)", "invalid format"),
    ("local x = string.rep('x', 5e7) return load(function() return x end)", "not enough memory"),
    ("error(setmetatable({}, {__index=error, __newindex=error}))", "ERR unknown error"),
    ("error(redis)", "ERR table: "),
    ("error({err={}})", "ERR unknown error"),
    ("return setmetatable({}, {__index=function() while true do end end})", "[]"),
]  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), CRASHES, ids=[str(number) for number in range(len(CRASHES))])
def test_what_would_crash_or_fill_the_memory_is_an_error(client: RawClient, script: str, expected: str) -> None:
    """Ranges that turn integers around, patterns too deep for the stack, endless growth, deep recursion."""
    assert expected in str(answer(client, script)), script
    assert answer(client, "return cjson.encode({1, 'still here'})") == b'[1,"still here"]'


def test_functions_that_would_leave_their_stack_are_refused(client: RawClient) -> None:
    """Those with many parameters beside `...` (CVE-2014-5461), by every door; two are allowed, called in every way."""
    many = ",".join(f"p{number}" for number in range(150))
    for script in (
        f"local function f({many}, ...) return ... end return 1",
        "local function g() return function(a, b, c, ...) return ... end end return 1",
        f"return loadstring('local function f({many}, ...) return ... end')()",
    ):
        found = str(answer(client, script))
        assert "may have two parameters" in found or "attempt to call a nil value" in found
    assert answer(client, f"local function f({many}, ...) return p149 end return f() == nil") == 1
    script = (
        "local function f(a, b, ...) return select('#', ...) + (a or 0) end local function g(n) f() f(1) f(1, 2) "
        "if n > 0 then return 1 + g(n - 1) end return f(1, 2, 3, 4) end local sum = 0 "
        "for depth = 1, 2000, 7 do coroutine.wrap(function() sum = sum + g(depth) end)() end return sum"
    )
    assert answer(client, script) == sum(depth + 3 for depth in range(1, 2001, 7))


def test_replies_too_deep_end_in_an_error_as_in_redis(client: RawClient) -> None:
    """Tables in tables, and a table in itself."""
    for script in ("local t={} for i=1,20000 do t={t} end return t", "local t={} t[1]=t return t"):
        client.send(b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(script), script.encode()))
        depth = 0
        while (line := client.read_line()) == b"*1\r\n":
            depth += 1
        assert (line, depth > 7000) == (b"-ERR reached lua stack limit\r\n", True)


def test_large_arguments_are_taken(client: RawClient) -> None:
    """What a client sends, its script gets."""
    assert answer(client, "return #ARGV[1] + #ARGV[2]", "x" * 70_000_000, "y" * 70_000_000) == 140_000_000


def test_memory_of_ended_scripts_is_given_back(server: RealServer, client: RawClient) -> None:
    """After all of the above, and garbage on purpose, the next script finds an empty machine."""
    answer(client, "local t={} for i=1,3e5 do t[i]='k'..i end return #t")
    answer(client, "collectgarbage() return 1")
    assert int(server.info("memory")["used_memory_vm_eval"]) < 64 << 20


HIDDEN = (
    "python", "debug", "io", "package", "require", "module", "dofile", "loadfile", "print", "getfenv", "setfenv",
    "newproxy",
)  # fmt: skip


def test_nothing_of_the_host_is_in_reach(client: RawClient) -> None:
    """No name, no metatable, no error value leads to Python, and os has a clock only."""
    for name in HIDDEN:
        assert "nonexistent global variable" in str(answer(client, f"return {name}")), name
        assert answer(client, f"return tostring(rawget(_G, '{name}'))") == b"nil", name
    assert answer(client, "local n = {} for k in pairs(os) do n[#n+1] = k end return n") == [b"clock"]
    walk = """
    local seen, bad = {}, {}
    local function look(value, path, depth)
      local kind = type(value)
      if kind == 'userdata' and value ~= cjson.null then bad[#bad + 1] = path end
      if seen[value] or kind ~= 'table' and kind ~= 'function' and kind ~= 'userdata' then return end
      seen[value] = true
      local meta = getmetatable(value)
      if meta then look(meta, path .. '<meta>', depth + 1) end
      if kind == 'table' then
        for k, v in pairs(value) do
          look(k, path .. '.key', depth + 1)
          look(v, path .. '.' .. tostring(k), depth + 1)
        end
      end
    end
    look(_G, '_G', 0)
    look(getmetatable(''), 'string', 0)
    for _, f in ipairs({redis.call, redis.pcall, cjson.decode, cmsgpack.unpack, struct.pack, bit.band, redis.log,
                        string.rep, table.insert, loadstring, setmetatable, coroutine.wrap, math.random, unpack}) do
      for _, a in ipairs({{}, {{}}, {f}, {nil, 1}, {cjson.null}, {'x', {}}, {-1, 1e300}, {'set'},
                          {coroutine.create(function() end)}}) do
        local r = {pcall(f, unpack(a))}
        for i = 2, #r do look(r[i], 'result', 0) end
        local ok, e = xpcall(function() return f(unpack(a)) end, function(e) return e end)
        look(e, 'error', 0)
      end
    end
    return bad
    """
    assert answer(client, walk) == []


def test_metatables_and_globals_cannot_be_changed_for_others(client: RawClient) -> None:
    """What CVE-2022-24735 did: a later script of somebody else finds everything as it was."""
    for attack in (
        "getmetatable('').__index = function() return 'mine' end",
        "getmetatable('').__add = function() return 'mine' end",
        "rawset(getmetatable(''), '__index', nil)",
        "setmetatable(getmetatable(''), {})",
        "getmetatable(_G).__index = function() return 'mine' end",
        "setmetatable(_G, {})",
        "rawset(_G, 'mine', 1)",
        "_G.mine = 1",
        "redis.call = function() return 'mine' end",
        "rawset(redis, 'call', 1)",
        "string.upper = nil",
        "rawset(string, 'upper', nil)",
        "table.insert(string, 1)",
        "table.remove(redis, 1) cjson.null = 1",
        "table.sort(redis) cjson.encode = 1",
        "for k, v in pairs(_G) do if type(v) == 'table' and v ~= KEYS and v ~= ARGV then v.mine = 1 end end",
        "setmetatable(cjson, {__index = 1})",
        "next(redis) redis.mine = 1",
        "error(redis) ",
        "table.foreach(_G, function(k, v) if k == 'math' then v.mine = 1 end end)",
    ):
        assert isinstance(answer(client, attack), str), attack
    assert answer(
        client, "return {('x'):upper(), type(redis.call), tostring(rawget(redis, 'mine')), redis.source or 'none'}"
    ) == [
        b"X",
        b"function",
        b"nil",
        b"none",
    ]


def test_bytecode_is_not_read(client: RawClient) -> None:
    """By no door: loadstring, load, EVAL, FUNCTION LOAD; what string.dump gives is only bytes."""
    for script in (
        "return loadstring(string.dump(function() return 1 end))()",
        "local s = string.dump(function() return 1 end) local d = false "
        "return load(function() if not d then d = true return s end end)()",
        "local s = string.dump(redis.call) return loadstring(s)()",
    ):
        assert "attempt to call a nil value" in str(answer(client, script))
    assert "unexpected symbol" in str(answer(client, "\x1bLua"))
    reply = client.execute("FUNCTION", "LOAD", "#!lua name=a\n\x1bLua")
    assert isinstance(reply, ReplyError)


def test_a_script_named_as_ours_is_not_taken_for_ours(client: RawClient) -> None:
    """The name of a chunk gives it nothing."""
    found = answer(client, "return loadstring('error(\"x\")', '=(redis)')()")
    assert "(script):1: x" in str(found)


def test_the_collector_is_not_left_stopped(client: RawClient) -> None:
    """collectgarbage('stop') has no effect on those who come after."""
    answer(client, "collectgarbage('stop') collectgarbage('setpause', 1e9) return 1")
    for _ in range(2):
        assert answer(client, "for i=1,1e6 do local t={i} end return collectgarbage('count') < 80000") == 1


def test_the_process_stays_small(server: RealServer) -> None:
    """The limit of Lua's memory and what replies take beside it: nothing has piled up."""
    pages = int(Path(f"/proc/{server.pid}/statm").read_text("ascii").split()[1])
    assert pages * resource.getpagesize() < 4 << 30
