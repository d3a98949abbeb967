"""Scripts and functions."""

from __future__ import annotations

import hashlib

from tests.interop.grammar.maker import CALLS, Grammar, Maker

scripting = Grammar("scripting", 0.5)
functions = Grammar("functions", 0.3)

_SCRIPTS = (
    *CALLS,
    "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('GET', KEYS[1])",
    "redis.call('INCR', KEYS[1]); redis.call('RPUSH', KEYS[2], ARGV[1]); return redis.call('EXPIRE', KEYS[1], 100)",
    "return {1, 2.9, 'x', true, false, nil, 3}",
    "return {1, 2, {3, 'a', {err='E bad'}, {ok='fine'}}}",
    "return {err='MY error'}",
    "return {err='noCode'}",
    "return {ok='status'}",
    "return redis.error_reply('MY err')",
    "return redis.status_reply('all well')",
    "return nil",
    "return true",
    "return false",
    "return 3.99",
    "return -0.5",
    "return 1/0",
    "return 'abc'",
    "return {double=3.5}",
    "return {map={a=1}}",
    "redis.setresp(3); return {double=3.25}",
    "redis.setresp(3); return redis.call('HGETALL', KEYS[1])",
    "redis.setresp(3); return redis.call('ZSCORE', KEYS[1], ARGV[1])",
    "redis.setresp(3); return {map={a=1}}",
    "redis.setresp(3); return {set={a=true}}",
    "return #KEYS .. ':' .. #ARGV",
    "return KEYS[1] .. ARGV[1]",
    "return error('oops')",
    "error({err='TABLE error'})",
    "return redis.call('NOSUCH')",
    "return redis.call('GET')",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('SELECT', '1')",
    "redis.call('SELECT', '1'); return redis.call('SET', KEYS[1], '1')",
    "return redis.call('MULTI')",
    "return redis.pcall('LPUSH', KEYS[1], 1)",
    "local r = redis.pcall('INCR', KEYS[1] or 'x'); if type(r) == 'table' then return r['err'] end; return r",
    "return syntax error",
    "return undefined_variable",
    "x = 1",
    "return redis.sha1hex(ARGV[1])",
    "return tostring(cjson.encode({1, 'a', {b=2}}))",
    "return cjson.decode('[1,2.5,\"x\",null,true]')[2]",
    "return cmsgpack.pack({1,'a'})",
    "return cmsgpack.unpack(cmsgpack.pack({1,'a',{2}}))",
    "return {bit.band(5, 3), bit.bor(5, 3), bit.bxor(5, 3), bit.tohex(255)}",
    "return struct.pack('>I2s', 7, 'x')",
    "return {struct.unpack('>I2', '\\0\\7')}",
    "return math.floor(3.7)",
    "return string.format('%5.2f|%d|%s', 3.14159, 42, 'x')",
    "return tonumber('0x10')",
    "return redis.log(redis.LOG_DEBUG, 'x')",
    "return type(redis.call('TIME')[1])",
    "return redis.replicate_commands()",
    "redis.set_repl(redis.REPL_NONE); return redis.call('SET', KEYS[1], 'hidden') and redis.call('DEL', KEYS[1])",
    "return redis.REDIS_VERSION ~= nil",
    "#!lua\nreturn redis.call('SET', KEYS[1], 'a')",
    "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'a')",
    "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])",
    "#!lua flags=nosuch\nreturn 1",
    "#!python\nreturn 1",
)


def _call(maker: Maker) -> list[str | bytes]:
    """Keys and arguments for any of the scripts."""
    keys = [maker.any_key() for _ in range(maker.some(0, 1, 1, 2, 2))]
    given = str(len(keys)) if maker.chance(0.95) else maker.some("-1", "9", "x", "")
    return [given, *keys, *(maker.text() for _ in range(maker.some(0, 1, 1, 2)))]


def _sha(script: str) -> str:
    return hashlib.sha1(script.encode()).hexdigest()


for _name in ("EVAL", "EVAL_RO"):
    scripting.command(_name, 4, mutable=False)(lambda m: [m.some(*_SCRIPTS[2:]), *_call(m)])
for _name in ("EVALSHA", "EVALSHA_RO"):
    scripting.command(_name, 2, mutable=False)(
        lambda m: [_sha(m.some(*_SCRIPTS[2:])) if m.chance(0.9) else "x", *_call(m)]
    )
scripting.command("SCRIPT LOAD", mutable=False)(lambda m: [m.some(*_SCRIPTS)])
scripting.simple(
    script_exists=lambda m: [_sha(m.some(*_SCRIPTS)), *m.maybe(_sha(m.some(*_SCRIPTS)))],
    script_flush=lambda m: m.mostly(([], ["SYNC"], ["async"]), (["x"],)),
    script_kill=lambda m: [],
)

_LIBRARY = """#!lua name={name}
local function write(keys, args) return redis.call('SET', keys[1], args[1] or 'none') end
redis.register_function('write_{name}', write)
redis.register_function{{function_name='read_{name}', callback=function(keys) return redis.call('GET', keys[1]) end,
    flags={{'no-writes'}}, description='reads'}}
redis.register_function('many_{name}', function(keys, args)
    for i = 1, #keys do redis.call('INCR', keys[i]) end
    return #keys
end)"""
_LIBRARIES = (
    _LIBRARY.format(name="one"),
    _LIBRARY.format(name="two"),
    "#!lua name=three\nredis.register_function('write_three', function() return {err='bad'} end)",
    "#!lua name=bad\nreturn 1",
    "#!lua\nredis.register_function('f', function() end)",
    "#!lua name=twice\nredis.register_function('write_one', function() return 1 end)",
    "#!lua name=a-b\nredis.register_function('f', function() return 1 end)",
    "#!python name=x\n",
    "no header",
    "#!lua name=broken\nsyntax error",
    "#!lua name=calls\nredis.call('SET', 'a', 'b')",
)
_FUNCTIONS = ("write_one", "read_one", "many_one", "write_two", "read_two", "write_three", "none")

for _name in ("FCALL", "FCALL_RO"):
    functions.command(_name, 4, mutable=False)(lambda m: [m.some(*_FUNCTIONS), *_call(m)])
functions.command("FUNCTION LOAD", 4, mutable=False)(
    lambda m: [
        *m.maybe("REPLACE"),
        *m.maybe("x", chance=0.03),
        m.some(*_LIBRARIES[:2]) if m.chance(0.6) else m.some(*_LIBRARIES),
    ]
)
functions.simple(
    function_delete=lambda m: [m.some("one", "two", "none")],
    function_flush=lambda m: m.mostly(([], ["SYNC"], ["async"]), (["x"],)),
    function_list=lambda m: m.shuffled([["LIBRARYNAME", m.some("one", "*", "t*")], ["WITHCODE"], ["x"]], 0.3),
    function_dump=lambda m: [],
    function_restore=lambda m: [m.some("", "x", "\0" * 20), *m.maybe(m.some("FLUSH", "append", "REPLACE", "x"))],
    function_stats=lambda m: [],
    function_kill=lambda m: [],
)
