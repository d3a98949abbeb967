"""Lua bytecode, as the compiler made it, changed and checked before it runs.

Tail calls of what is ours are made ordinary calls. `return redis.call(…)` is a tail call: the caller's frame is gone
before the callee fails, and with it the line that an error names. The original's `redis.call` is a C function, whose
callers keep their frames; ours is Lua. So the calls of what is ours (a global, a field of one, a local that was made of
such, the result of a call) are changed: OP_TAILCALL and OP_CALL take the same operands, and the OP_RETURN behind it
returns whatever the call gave. Calls of a script's own functions stay as they are: those recurse without end that way.

Functions that use `…` may have two named parameters. Where such a function is called with fewer arguments than it has
parameters, Lua 5.1 goes past the end of its stack by as many as are missing (CVE-2014-5461); two there is room for.
"""

from __future__ import annotations

import struct
from typing import Final

_HEADER_BYTES: Final = 12
_MOVE: Final = 0
_GETUPVAL: Final = 4
_GETGLOBAL: Final = 5
_GETTABLE: Final = 6
_CALL: Final = 28
_TAILCALL: Final = 29
_CLOSURE: Final = 36
_WRITES_NOTHING: Final = frozenset((7, 8, 9, 22, 23, 24, 25, 26, 30, 34, 35))
"""Instructions whose first operand is no register that they write."""
_USES_DOTS: Final = 2
_WANTS_TABLE: Final = 4
"""The function has `…` and does not use it: its stack is looked at later, and is large enough."""
_NAMED_MAX: Final = 2
_CONSTANT_BYTES: Final = {0: 0, 1: 1, 3: 8}


def make_safe(code: bytes) -> bytes | None:
    """The same program, changed as said above; None if it has a function that may not be called.

    Parameters:
        code: what `string.dump` gave: luac 5.1, 64-bit, little-endian.
    """
    changed = bytearray(code)
    program = _Function(changed, _HEADER_BYTES)
    program.keep_frames(())
    return bytes(changed) if program.stays_in_its_stack() else None


class _Function:
    """One function of a dump.

    Parameters:
        code: the whole dump.
        at: where the function begins in it.

    Attributes:
        end: where the next thing begins.
        upvalues: how many it has.
    """

    def __init__(self, code: bytearray, at: int) -> None:
        self._code = code
        self._at = at
        self._skip_string()  # the source's name
        self.upvalues = code[self._at + 8]
        self._parameters_at = self._at + 9
        self._at += 8 + 4  # first and last line; counts of upvalues and parameters, vararg flag, stack size
        count = self._int()
        self._start = self._at
        self._instructions: tuple[int, ...] = struct.unpack_from(f"<{count}I", code, self._at)
        self._at += 4 * count
        for _ in range(self._int()):
            kind = code[self._at]
            self._at += 1
            if kind == 4:
                self._skip_string()
            else:
                self._at += _CONSTANT_BYTES[kind]
        self._inner: list[_Function] = []
        for _ in range(self._int()):
            self._inner.append(_Function(code, self._at))
            self._at = self._inner[-1].end
        lines = self._int()
        self._at += 4 * lines
        for _ in range(self._int()):
            self._skip_string()
            self._at += 8
        for _ in range(self._int()):
            self._skip_string()
        self.end: int = self._at
        self._captures = self._find_captures()

    def _int(self) -> int:
        (found,) = struct.unpack_from("<i", self._code, self._at)
        self._at += 4
        return int(found)

    def _skip_string(self) -> None:
        (size,) = struct.unpack_from("<Q", self._code, self._at)
        self._at += 8 + size

    def _find_captures(self) -> set[int]:
        """Positions of what looks like instructions behind an OP_CLOSURE, and tells what its function captures."""
        found: set[int] = set()
        for index, instruction in enumerate(self._instructions):
            if instruction & 63 == _CLOSURE and index not in found:
                found.update(range(index + 1, index + 1 + self._inner[instruction >> 14].upvalues))
        return found

    def stays_in_its_stack(self) -> bool:
        """Whether neither it nor a function inside of it has too many parameters beside `…`."""
        parameters, varies = self._code[self._parameters_at : self._parameters_at + 2]
        if parameters > _NAMED_MAX and varies & _USES_DOTS and not varies & _WANTS_TABLE:
            return False
        return all(inner.stays_in_its_stack() for inner in self._inner)

    def keep_frames(self, ours: tuple[bool, ...]) -> None:
        """Change the calls, those of inner functions too.

        Parameters:
            ours: of each upvalue, whether it is ours.
        """
        for index, instruction in enumerate(self._instructions):
            operation = instruction & 63
            if index in self._captures:
                continue
            if operation == _TAILCALL and self._is_ours(index, instruction >> 6 & 255, ours):
                struct.pack_into("<I", self._code, self._start + 4 * index, instruction & ~63 | _CALL)
            elif operation == _CLOSURE:
                inner = self._inner[instruction >> 14]
                captured = self._instructions[index + 1 : index + 1 + inner.upvalues]
                inner.keep_frames(tuple(self._captures_ours(index, one, ours) for one in captured))

    def _captures_ours(self, index: int, capture: int, ours: tuple[bool, ...]) -> bool:
        source = capture >> 23
        if capture & 63 == _GETUPVAL:
            return source < len(ours) and ours[source]
        return self._is_ours(index + 1, source, ours)

    def _is_ours(self, index: int, register: int, ours: tuple[bool, ...]) -> bool:
        """Whether what a register holds before an instruction is ours, as far as the code before it shows."""
        for at in range(index - 1, -1, -1):
            earlier = self._instructions[at]
            operation = earlier & 63
            if at in self._captures or operation in _WRITES_NOTHING or earlier >> 6 & 255 != register:
                continue
            if operation in (_MOVE, _GETTABLE):
                register = earlier >> 23
                continue  # what that register held, or a field of it
            if operation == _GETUPVAL:
                source = earlier >> 23
                return source < len(ours) and ours[source]
            return operation in (_GETGLOBAL, _CALL)
        return False
