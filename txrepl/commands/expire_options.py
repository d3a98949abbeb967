"""Deadlines as commands give them: seconds or milliseconds, relative or absolute, all kept as unix ms.

The error texts are those of Redis's `getExpireMillisecondsOrReply` and `parseExtendedStringArgumentsOrReply`.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Expiry, Keyspace
from txrepl.keyspace.numbers import INT64_MAX

NX: Final = 1 << 0
XX: Final = 1 << 1
GET: Final = 1 << 2
KEEPTTL: Final = 1 << 3
PERSIST: Final = 1 << 4
EX: Final = 1 << 5
PX: Final = 1 << 6
EXAT: Final = 1 << 7
PXAT: Final = 1 << 8

RELATIVE: Final = EX | PX
ABSOLUTE: Final = EXAT | PXAT
_SECONDS: Final = EX | EXAT
_DEADLINES: Final = RELATIVE | ABSOLUTE

# option → (its bit, bits it cannot stand beside)
SET_OPTIONS: Final[dict[bytes, tuple[int, int]]] = {
    b"nx": (NX, XX),
    b"xx": (XX, NX),
    b"get": (GET, 0),
    b"keepttl": (KEEPTTL, _DEADLINES),
    b"ex": (EX, KEEPTTL | _DEADLINES & ~EX),
    b"px": (PX, KEEPTTL | _DEADLINES & ~PX),
    b"exat": (EXAT, KEEPTTL | _DEADLINES & ~EXAT),
    b"pxat": (PXAT, KEEPTTL | _DEADLINES & ~PXAT),
}
GETEX_OPTIONS: Final[dict[bytes, tuple[int, int]]] = {
    b"persist": (PERSIST, _DEADLINES),
    b"ex": (EX, PERSIST | _DEADLINES & ~EX),
    b"px": (PX, PERSIST | _DEADLINES & ~PX),
    b"exat": (EXAT, PERSIST | _DEADLINES & ~EXAT),
    b"pxat": (PXAT, PERSIST | _DEADLINES & ~PXAT),
}


def string_options(argv: list[bytes], start: int, known: dict[bytes, tuple[int, int]]) -> tuple[int, bytes | None]:
    """The options of SET or GETEX.

    Parameters:
        argv: the command.
        start: where the options begin.
        known: `SET_OPTIONS` or `GETEX_OPTIONS`.

    Returns:
        The bits above, and the argument of the deadline among them (None without one).

    Raises:
        CommandError: an unknown option, or two that exclude each other.
    """
    bits = 0
    time: bytes | None = None
    i = start
    while i < len(argv):
        bit, excluded = known.get(argv[i].lower(), (0, 0))
        if not bit or bits & excluded:
            raise CommandError(SYNTAX)
        if bit & _DEADLINES:
            i += 1
            if i == len(argv):
                raise CommandError(SYNTAX)
            time = argv[i]
        bits |= bit
        i += 1
    return bits, time


def deadline_ms(text: bytes, bits: int, now_ms: int, command: str) -> int:
    """The deadline in unix ms that an EX, PX, EXAT or PXAT argument means.

    Parameters:
        text: the argument.
        bits: which of the four it belongs to.
        now_ms: unix time in ms.
        command: the command's name for the error text.

    Raises:
        CommandError: no integer, not positive, or beyond 64 bits.
    """
    value = integer(text)
    if bits & _SECONDS:
        value *= 1000
    limit = INT64_MAX - now_ms if bits & RELATIVE else INT64_MAX
    if value <= 0 or value > limit:
        raise CommandError(f"ERR invalid expire time in '{command}' command")
    return value + now_ms if bits & RELATIVE else value


def is_past(keyspace: Keyspace, when_ms: int) -> bool:
    """Whether a key given this deadline is deleted at once (`checkAlreadyExpired`): only a primary does that."""
    return keyspace.expiry == Expiry.DELETE and when_ms <= keyspace.now_ms
