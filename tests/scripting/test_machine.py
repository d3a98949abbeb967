"""One Lua with little memory: wherever its limit is met, the script gets an error and the process goes on."""

from __future__ import annotations

import hashlib
import random

import pytest

from txrepl.errors import CommandError
from txrepl.resp.replies import Reply, Wire
from txrepl.scripting.arithmetic import Random
from txrepl.scripting.libraries import Libraries, Loader
from txrepl.scripting.machine import Machine, ScriptError
from txrepl.scripting.running import Request, Run
from txrepl.scripting.scripts import EVALS_MAX, Scripts

MEMORY_BYTES = 16 << 20


class Echo:
    """A server that gives replies of any size."""

    def call(self, argv: list[bytes]) -> Reply:
        """`bulk N`, `list N`, anything else fails."""
        if argv[0] == b"bulk":
            return b"x" * int(argv[1])
        if argv[0] == b"list":
            return [b"item %d" % number for number in range(int(argv[1]))]
        raise CommandError("ERR refused")

    def may_run(self, argv: list[bytes]) -> bool | None:
        """Everybody may run everything."""
        return True


class Bench:
    """Runs scripts in a machine of their own."""

    def __init__(self) -> None:
        self.logged: list[bytes] = []
        self.machine = Machine(
            lambda: None,
            lambda: None,
            lambda level, message: self.logged.append(message),
            Random(),
            memory_max_bytes=MEMORY_BYTES,
        )

    def run(self, script: bytes, *arguments: bytes) -> Reply:
        """The reply, or its error as text."""
        program = self.machine.compile(script, b"@user_script")
        request = Request([b"eval", script, b"0"], Echo(), 2, [], list(arguments), False)
        try:
            return self.machine.run_script(Run(b"sha", request, 0, is_eval=True), program)
        except ScriptError as error:
            return error.message


CALLS = (
    b"redis.pcall('bulk', 20000)",
    b"redis.pcall('bulk', 3000000)",
    b"redis.pcall('bulk', 100)",
    b"redis.pcall('list', 1000)",
    b"redis.pcall('list', 30000)",
    b"redis.pcall('fails')",
    b"redis.sha1hex('x'..i)",
    b"bit.tohex(i)",
    b"cmsgpack.pack(i + 0.1)",
    b"struct.pack('d', i)",
    b"loadstring('return '..i)",
    b"cjson.encode({i})",
    b"cjson.decode('['..i..']')",
    b"coroutine.wrap(function() return i end)()",
    b"{pcall(error, {err='x'})}",
)


@pytest.mark.parametrize("call", CALLS, ids=[call.decode() for call in CALLS])
def test_what_comes_from_the_host_never_meets_the_limit_unguarded(call: bytes) -> None:
    """A script fills its memory in small and large steps and calls the server all the way: it ends with an error."""
    bench = Bench()
    for step in (3000, 60_000):
        script = (
            b"local kept, i = {}, 0 local ok, e = pcall(function() while true do i = i + 1 "
            b"kept[i] = string.rep('x', %d)..i if i %% 50 == 0 or %d > 1000 then kept[-i] = %b end end end) "
            b"kept = nil return tostring(e)" % (step, step, call)
        )
        assert b"not enough memory" in bench.run(script), call  # type: ignore[operator]
        assert bench.run(b"return {1, 'two'}").data == b"*2\r\n:1\r\n$3\r\ntwo\r\n"  # type: ignore[union-attr]
    assert not bench.logged


def test_a_full_machine_that_catches_its_errors_still_ends() -> None:
    """Every error caught, every call tried again: the script goes on as long as it likes, and hurts nobody."""
    bench = Bench()
    rng = random.Random(5)
    for _ in range(6):
        calls = b" ".join(
            b"pcall(function() kept[#kept+1] = %b end)" % rng.choice(CALLS) for _ in range(rng.randrange(1, 5))
        )
        script = (
            b"local kept = {} for i = 1, 60 do pcall(function() kept[#kept+1] = string.rep('y', %d)..i end) %b end "
            b"return 'done'" % (rng.choice([100, 20_000, 200_000]), calls)
        )
        reply = bench.run(script)
        assert reply == b"done" or b"not enough memory" in reply, reply  # type: ignore[operator]
    assert bench.run(b"return 1") == 1
    assert not bench.logged


def test_a_reply_that_does_not_fit_is_an_error() -> None:
    """The value fits, its bytes do not."""
    bench = Bench()
    script = b"local t, s = {}, string.rep('x', 1e6) for i = 1, 200 do t[i] = s end return t"
    reply = bench.run(script)
    assert isinstance(reply, bytes)
    assert b"not enough memory" in reply
    assert bench.run(b"return 1") == 1


def test_arguments_and_scripts_larger_than_the_limit_are_taken() -> None:
    """The limit is one for what scripts make, not for what clients send."""
    bench = Bench()
    assert bench.run(b"return #ARGV[1] + #ARGV", b"x" * (2 * MEMORY_BYTES)) == 2 * MEMORY_BYTES + 1
    assert bench.run(b"return #ARGV", *[b"y"] * 300_000) == 300_000
    assert bench.run(b"return 1 --" + b"z" * 8_000_000) == 1
    assert bench.machine.used_bytes < 4 * MEMORY_BYTES
    assert bench.run(b"return 1") == 1


def test_what_a_caller_raises_unexpectedly_stays_outside_of_lua() -> None:
    """An error of the server's own is logged, and the script sees a text."""
    bench = Bench()
    reply = bench.run(b"return redis.pcall('bulk', 'many')")
    assert isinstance(reply, bytes)
    assert reply.startswith(b"ERR internal error")
    assert len(bench.logged) == 1


def test_replies_are_values_of_python_where_they_can_be() -> None:
    """Strings and numbers need no encoding of their own."""
    bench = Bench()
    replies = [bench.run(b"return " + value) for value in (b"'text'", b"3.9", b"true", b"false", b"nil", b"2^63")]
    assert replies == [b"text", 3, 1, None, None, -(2**63)]
    assert isinstance(bench.run(b"return {}"), Wire)


def test_scripts_of_eval_make_room_for_later_ones() -> None:
    """The last ones used are kept, and all that SCRIPT LOAD brought."""
    bench = Bench()
    scripts = Scripts(lambda: bench.machine)
    loaded = scripts.load(b"return 'loaded'", keep=True)
    first = scripts.load(b"return 0", keep=False)
    promoted = scripts.load(b"return -1", keep=False)
    assert scripts.load(b"return -1", keep=True) is promoted
    for number in range(1, EVALS_MAX + 200):
        scripts.load(b"return %d" % number, keep=False)
        scripts.load(b"return 0", keep=False)
    assert len(scripts) == EVALS_MAX + 2
    assert [scripts.find(one.sha) for one in (loaded, first, promoted)] == [loaded, first, promoted]
    assert scripts.find(hashlib.sha1(b"return 1").hexdigest().encode()) is None


def test_a_library_that_keeps_all_memory_hurts_itself_only() -> None:
    """It fills the machine up to the last bytes: others find no room until it is removed, and nothing breaks."""
    machines: list[Machine] = []
    loader = Loader(lambda: machines[0])
    logged: list[bytes] = []
    machines.append(
        Machine(
            lambda: None,
            lambda: None,
            lambda level, message: logged.append(message),
            Random(),
            loader.register,
            memory_max_bytes=MEMORY_BYTES,
        )
    )
    libraries = Libraries(loader)
    source = (
        b"#!lua name=greedy\nlocal kept = {}\n"
        b"redis.register_function('fill', function() for i = 1, 1e9 do kept[i] = {i} end end)\n"
        b"redis.register_function('count', function() return #kept end)\n"
    )
    libraries.load(source, replace=False)

    def call(name: bytes) -> Reply:
        request = Request([b"fcall", name, b"0"], Echo(), 2, [], [b"argument"] * 10, False)
        try:
            return machines[0].run_function(Run(name, request, 0, is_eval=False), libraries.functions[name].callback)
        except ScriptError as error:
            return error.message

    for _ in range(3):
        assert b"not enough memory" in call(b"fill")  # type: ignore[operator]
    for number in range(5):
        name = b"lib%d" % number
        with pytest.raises(CommandError, match="not enough memory"):
            libraries.load(
                b"#!lua name=%b\nredis.register_function('%b', function() end)" % (name, name), replace=False
            )
        assert call(b"count") > 100_000  # type: ignore[operator]
    libraries.delete(b"greedy")
    libraries.load(b"#!lua name=lib\nredis.register_function('lib', function() return 7 end)", replace=False)
    assert call(b"lib") == 7
    assert not logged
