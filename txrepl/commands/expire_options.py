"""Options of commands that set values: conditions, and deadlines in seconds or milliseconds, all kept as unix ms.

The error texts are those of Redis's `getExpireMillisecondsOrReply` and `parseExtendedStringArgumentsOrReply`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

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
IFEQ: Final = 1 << 9
IFNE: Final = 1 << 10
IFDEQ: Final = 1 << 11
IFDNE: Final = 1 << 12
FNX: Final = 1 << 13
FXX: Final = 1 << 14

RELATIVE: Final = EX | PX
ABSOLUTE: Final = EXAT | PXAT
_SECONDS: Final = EX | EXAT
_DEADLINES: Final = RELATIVE | ABSOLUTE
COMPARISONS: Final = IFEQ | IFNE | IFDEQ | IFDNE

# option → (its bit, bits it cannot stand beside)
Known = dict[bytes, tuple[int, int]]


def _with_deadlines(options: Known, beside: int) -> Known:
    """The options, and EX, PX, EXAT and PXAT, none of which stands beside another or what is named."""
    bits = {b"ex": EX, b"px": PX, b"exat": EXAT, b"pxat": PXAT}
    return {**options, **{name: (bit, beside | _DEADLINES & ~bit) for name, bit in bits.items()}}


MSETEX_OPTIONS: Final[Known] = _with_deadlines(
    {b"nx": (NX, XX), b"xx": (XX, NX), b"keepttl": (KEEPTTL, _DEADLINES)}, KEEPTTL
)
SET_OPTIONS: Final[Known] = {
    **MSETEX_OPTIONS,
    b"nx": (NX, XX | COMPARISONS),
    b"xx": (XX, NX | COMPARISONS),
    b"get": (GET, 0),
    b"ifeq": (IFEQ, NX | XX | COMPARISONS),
    b"ifne": (IFNE, NX | XX | COMPARISONS),
    b"ifdeq": (IFDEQ, NX | XX | COMPARISONS),
    b"ifdne": (IFDNE, NX | XX | COMPARISONS),
}
GETEX_OPTIONS: Final[Known] = _with_deadlines({b"persist": (PERSIST, _DEADLINES)}, PERSIST)
HSETEX_OPTIONS: Final[Known] = {**MSETEX_OPTIONS, b"fnx": (FNX, FXX), b"fxx": (FXX, FNX)}


class Options(NamedTuple):
    """What a command was given.

    Attributes:
        bits: those above.
        time: the argument of the deadline among them, None without one.
        other: the argument of the comparison among them, None without one.
    """

    bits: int
    time: bytes | None
    other: bytes | None


def string_options(argv: list[bytes], start: int, known: Known) -> Options:
    """The options of SET, GETEX or one of their kind (`parseExtendedStringArgumentsOrReply`).

    Parameters:
        argv: the command.
        start: where the options begin.
        known: the command's options, one of the tables above.

    Raises:
        CommandError: an unknown option, or two that exclude each other.
    """
    bits = 0
    time: bytes | None = None
    other: bytes | None = None
    i = start
    while i < len(argv):
        bit, excluded = known.get(argv[i].lower(), (0, 0))
        if not bit or bits & excluded:
            raise CommandError(SYNTAX)
        if bit & (_DEADLINES | COMPARISONS):
            i += 1
            if i == len(argv):
                raise CommandError(SYNTAX)
            if bit & _DEADLINES:
                time = argv[i]
            else:
                other = argv[i]
        bits |= bit
        i += 1
    return Options(bits, time, other)


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
