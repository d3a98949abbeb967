"""One Lua 5.1 with Redis's globals, in bounds.

The bounds are the point. Lua tells of a lack of memory by a long jump, which only Lua code may be in the way of: were a
value pushed from Python with no memory left, the jump would go through Python, or end the process. So whatever goes
into Lua is measured first, and nothing goes in without room for it; a script that fills its memory meets the limit in
Lua's own code, where an error is just an error. Nothing but strings, numbers, booleans and tables made here ever goes
in, and no callable given to Lua ever raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any, Final

from lupa.lua51 import LuaError, LuaRuntime

from txrepl.errors import CommandError
from txrepl.keyspace.numbers import format_double
from txrepl.resp.replies import OK, Reply, Wire
from txrepl.scripting.arithmetic import Random, compute, float_bytes, float_value
from txrepl.scripting.bytecode import make_safe
from txrepl.scripting.conversion import ITEM_BYTES, lua_value, size_bytes
from txrepl.scripting.running import Interrupt, Run

MEMORY_MAX_BYTES: Final = 512 << 20
"""What all scripts' values may take; more is an error in the script that asks for it."""
RESERVE_BYTES: Final = 4 << 20
"""Kept free for what goes into Lua unmeasured: numbers, short texts, the tables of errors."""
SMALL_BYTES: Final = 16 << 10
NO_ROOM: Final = (None, True)
VERSION: Final = b"7.2.4"
VERSION_NUMBER: Final = 0x070204
_INT64_MIN: Final = -(1 << 63)
_EXACT: Final = 1 << 62

LogLine = Callable[[int, bytes], None]
"""redis.log: level 0 to 3, and the message."""
Register = Callable[[bytes, bytes | None, list[bytes]], int | bytes]
"""redis.register_function: name, description, flags; gives the callback's number, or the problem."""


class ScriptError(CommandError):
    """A script ended with an error, which is the reply."""

    def __init__(self, message: bytes, *, counted: bool) -> None:
        super().__init__(message)
        self.counted = counted


def _refuse_attribute(*_: Any) -> str:
    raise AttributeError("no attribute of a Python object is for Lua")


@cache
def _source(name: str) -> bytes:
    return files("txrepl.scripting").joinpath("lua", f"{name}.lua").read_bytes()


def number_word(value: float) -> bytes:
    """A number as an argument of a command: whole numbers in full, else the shortest text that reads back equal."""
    if isinstance(value, int) or (-_EXACT < value < _EXACT and value == int(value)):
        return b"%d" % int(value)
    return format_double(value)


class Machine:
    """A Lua, with a sandbox in it.

    Parameters:
        interrupt: called every 100,000 instructions.
        ending: the same question without letting anybody do anything meanwhile.
        log_line: where redis.log writes.
        numbers: where math.random draws.
        register: FUNCTION LOAD's side of redis.register_function; None for a machine of EVAL.
        memory_max_bytes: the limit.

    Attributes:
        run: the script that runs now, None if none.
    """

    def __init__(
        self,
        interrupt: Interrupt,
        ending: Interrupt,
        log_line: LogLine,
        numbers: Random,
        register: Register | None = None,
        *,
        memory_max_bytes: int = MEMORY_MAX_BYTES,
    ) -> None:
        self.run: Run | None = None
        self._random = numbers
        self._log_line = log_line
        self._register_function = register
        self._again: Any = None
        self._limit = memory_max_bytes
        self._is_raised = False
        self._lua: Any = LuaRuntime(
            encoding=None,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            attribute_filter=_refuse_attribute,
            max_memory=memory_max_bytes,
        )
        self._entry = self._build(interrupt, ending, memory_max_bytes)
        self._run_script = self._entry[b"run_script"]
        self._run_function = self._entry[b"run_function"]
        self._after_run = self._entry[b"after_run"]

    def _build(self, interrupt: Interrupt, ending: Interrupt, memory_max_bytes: int) -> Any:
        lua = self._lua

        def has_room(need_bytes: int) -> bool:
            return bool(lua.get_memory_used(total=True) + need_bytes <= self._limit - RESERVE_BYTES)

        def given(function: Callable[..., Any]) -> Any:
            def guarded(*arguments: Any) -> Any:
                try:
                    if not has_room(0):
                        return NO_ROOM
                    found = function(*arguments)
                    if found.__class__ is bytes and len(found) > SMALL_BYTES and not has_room(2 * len(found)):
                        return NO_ROOM
                    return found
                except Exception as error:
                    self._log_line(3, b"Internal error in a script's call: " + repr(error).encode())
                    return None

            return guarded

        load = lua.eval(b"function(code, name, ...) return assert(loadstring(code, name))(...) end")

        def part(name: str, *arguments: Any) -> Any:
            return load(_source(name), b"=(redis)", *arguments)

        support = part("support")
        guard = support[b"guard"]
        to_bytes, to_value = guard(given(float_bytes)), guard(given(float_value))
        null = lua.eval(b"newproxy(true)")
        numbers = part("numbers")
        libraries = lua.table_from(
            {
                b"null": null,
                b"cjson": part("cjson", support, null),
                b"cmsgpack": part("cmsgpack", support, numbers, to_bytes, to_value),
                b"struct": part("struct", support, numbers, to_bytes, to_value),
                b"bit": part("bit", support, guard(given(compute))),
            }
        )
        host = lua.table_from(
            {
                b"version": VERSION,
                b"version_number": VERSION_NUMBER,
                b"call": self._call,
                b"again": self._call_again,
                b"interrupt": interrupt,
                b"ending": ending,
                b"running": lambda: self.run is not None,
                b"resp": lambda: self.run.resp if self.run is not None else 2,
                b"set_resp": given(self._set_resp),
                b"set_repl": given(self._set_repl),
                b"acl_check": given(self._may_run),
                b"log": given(self._log),
                b"make_safe": given(make_safe),
                b"memory_max": memory_max_bytes,
                b"sha1hex": given(lambda text: hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()),
                b"double": given(lambda value: format_double(float(value))),
                b"random": given(lambda: self._random.draw() if self.run is not None else None),
                b"seed": given(self._seed),
                b"register": given(self._registered),
            }
        )
        return part("sandbox", support, libraries, host, self._register_function is not None)

    # -- what Lua calls -----------------------------------------------------------------------------------------

    def _call(self, *words: Any) -> Any:
        """redis.call: the reply, or nil and an error table, or `NO_ROOM`; then it is to be fetched once more."""
        try:
            run = self.run
            if run is None:
                return None, 1
            argv = [word if word.__class__ is bytes else number_word(word) for word in words]
            try:
                reply = run.request.caller.call(argv)
            except CommandError as error:
                reply = error
            if (
                reply.__class__ is bytes
                and len(reply) < SMALL_BYTES
                and self._lua.get_memory_used(total=True) < self._limit - RESERVE_BYTES
            ):
                return reply
            if reply is OK:
                return None, 3
            if reply.__class__ is int:
                return reply
            return self._give(lua_value(reply, run.resp), failed=isinstance(reply, CommandError))
        except Exception as error:
            self._log_line(3, b"Internal error in redis.call: " + repr(error).encode())
            return None, 2

    def _give(self, value: Any, *, failed: bool) -> Any:
        """A value for Lua, if there is room for it; that of an error goes second."""
        if value.__class__ is bytes or isinstance(value, list | dict):
            need = 2 * size_bytes(value)
            if self._lua.get_memory_used(total=True) + need > self._limit - RESERVE_BYTES // 2:
                self._again = (value, failed)
                return NO_ROOM
            if value.__class__ is not bytes:
                value = self._lua.table_from(value, recursive=True)
        return (None, value) if failed else value

    def _call_again(self) -> Any:
        if self._again is None:
            return NO_ROOM
        (value, failed), self._again = self._again, None
        found = self._give(value, failed=failed)
        self._again = None
        return found

    def _set_resp(self, version: int) -> None:
        if self.run is not None:
            self.run.resp = int(version)

    def _set_repl(self, flags: int) -> None:
        if self.run is not None:
            self.run.repl = int(flags)

    def _may_run(self, *words: Any) -> bool | None:
        assert self.run is not None
        return self.run.request.caller.may_run(
            [word if isinstance(word, bytes) else number_word(word) for word in words]
        )

    def _log(self, level: int, message: bytes) -> None:
        self._log_line(int(level), message)

    def _seed(self, seed: float) -> bool:
        if self.run is None:
            return False
        self._random.seed(seed)
        return True

    def _registered(self, name: bytes, description: bytes | bool, flags: bytes) -> Any:
        if self._register_function is None:
            return None, b"redis.register_function can only be called on FUNCTION LOAD command"
        words = [flag for flag in flags.split(b",") if flag]
        found = self._register_function(name, description if isinstance(description, bytes) else None, words)
        return (None, found) if isinstance(found, bytes) else found

    # -- memory -------------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """What Lua's values take."""
        return int(self._lua.get_memory_used(total=True))

    def _make_room(self, need_bytes: int) -> None:
        """Have room for what goes in next, whatever the limit: nothing runs now, so nothing else takes it."""
        lua = self._lua
        if lua.get_memory_used(total=True) + need_bytes > self._limit - 2 * RESERVE_BYTES:
            lua.gccollect()
            used = lua.get_memory_used(total=True)
            lua.set_max_memory(max(self._limit, used + need_bytes + 2 * RESERVE_BYTES), total=True)
            self._is_raised = True
        elif self._is_raised:
            lua.set_max_memory(self._limit, total=True)
            self._is_raised = False

    # -- programs -----------------------------------------------------------------------------------------------

    def compile(self, code: bytes, name: bytes) -> Any:
        """A program as a Lua function.

        Parameters:
            code: its text.
            name: what errors call it, as `@user_script`.

        Raises:
            CommandError: it is no program; the message is Lua's, without a code.
        """
        self._make_room(20 * len(code) + SMALL_BYTES)
        try:
            compiled = self._entry[b"compile"](code, name)
            if isinstance(compiled, tuple):
                raise CommandError(compiled[1])
            safe = make_safe(compiled)
            if safe is None:
                raise CommandError("a function that uses '...' may have two parameters beside it")
            return self._entry[b"adopt"](safe)
        except LuaError as error:
            raise CommandError(str(error)) from None

    def run_script(self, run: Run, program: Any) -> Reply:
        """Run an EVAL script's program; its reply.

        Raises:
            ScriptError: it ended with an error.
        """
        return self._finish(run, self._run_script, program)

    def run_function(self, run: Run, callback: Any) -> Reply:
        """Run a function; its reply.

        Raises:
            ScriptError: it ended with an error.
        """
        return self._finish(run, self._run_function, callback)

    def _finish(self, run: Run, start: Any, program: Any) -> Reply:
        lua, request = self._lua, run.request
        keys, arguments = request.keys, request.arguments
        items = len(keys) + len(arguments)
        self._make_room(2 * (sum(map(len, keys)) + sum(map(len, arguments)) + ITEM_BYTES * items))
        self.run = run
        try:
            result = start(
                program,
                request.proto,
                lua.table_from(keys) if keys else None,
                lua.table_from(arguments) if arguments else None,
            )
        except LuaError:  # not in the script, which would have got the error, but behind it, where its reply is made
            lua.gccollect()
            if run.killed:
                raise ScriptError(b"ERR Script killed by user with SCRIPT KILL...", counted=False) from None
            result = (b"failure", b"not enough memory")
        finally:
            self.run = None
            self._again = None
            if run.killed or run.is_busy:
                self._make_room(SMALL_BYTES)
                self._after_run()
        if result.__class__ is bytes or result is None:
            return result
        if result is True or result is False:
            if run.resp == 3:
                return result
            return 1 if result else None
        if isinstance(result, tuple):
            return self._outcome(run, result)
        return int(result) if -_EXACT <= result <= _EXACT else _cast(result)

    def _outcome(self, run: Run, result: tuple[Any, ...]) -> Reply:
        kind = result[0]
        if kind == b"ok":
            return OK
        if kind == b"reply":
            return Wire(result[1])
        if kind == b"failure":
            self._lua.gccollect()
            raise ScriptError(b"ERR Error running script %b, %b" % (run.name, result[1][:100]), counted=False)
        message: bytes = result[1]
        if len(result) > 3 and result[3]:
            message += b" script: %b, on %b." % (run.name, result[3])
        raise ScriptError(message, counted=bool(result[2]))

    # -- libraries ----------------------------------------------------------------------------------------------

    def load_library(self, program: Any) -> bytes | None:
        """Run a library's program, which registers its functions; the problem if there is one."""
        self._make_room(SMALL_BYTES)
        try:
            problem: bytes | None = self._entry[b"load_library"](program)
        except LuaError:
            problem = b"ERR not enough memory"
        self._make_room(SMALL_BYTES)
        self._after_run()
        return problem

    def callback(self, number: int) -> Any:
        """The function that was registered under a number."""
        self._make_room(SMALL_BYTES)
        return self._entry[b"callback"](number)

    def forget(self, number: int) -> None:
        """The function is not to be called any more."""
        self._make_room(SMALL_BYTES)
        self._entry[b"forget"](number)


def _cast(value: float) -> int:
    """A double as C casts it to 64 bits on x86: what does not fit is the least."""
    if -(2.0**63) <= value < 2.0**63:
        return int(value)
    return _INT64_MIN
