"""OBJECT: how a value is kept and used. Follows object.c of Redis 7.2; nothing here is a use of the key."""

from __future__ import annotations

from typing import Final

from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import CommandError
from txrepl.keyspace.encoding import encoding_name, reference_count
from txrepl.keyspace.values import Value
from txrepl.resp.replies import Reply

family = Family("generic")
family.container("object", since="2.2.3", summary="Looks into the representation of values.")

_TIPS: Final = ("nondeterministic_output",)
_TAKES_TIME: Final = (
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)
_HELP: Final = (
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Name the encoding of the value at <key>.",
    "FREQ <key>",
    "    Logarithmic counter of the uses of <key>, with an LFU policy.",
    "IDLETIME <key>",
    "    Seconds since <key> was used, unless with an LFU policy.",
    "REFCOUNT <key>",
    "    Count the references to the value at <key>.",
    "HELP",
    "    Print this help.",
)


def _untouched(s: Session, key: bytes) -> Value | None:
    """The value, looked up without counting a hit or a miss."""
    return s.db.data[key] if s.db.exists(key) else None


@family.command(
    "object encoding",
    3,
    "readonly",
    key_at(2, "RO"),
    since="2.2.3",
    summary="Names the encoding of a value.",
    categories="keyspace",
    tips=_TIPS,
)
def encoding(s: Session, argv: list[bytes]) -> Reply:
    """OBJECT ENCODING key."""
    value = _untouched(s, argv[2])
    return None if value is None else encoding_name(value, s.keyspace.limits).encode()


@family.command(
    "object refcount",
    3,
    "readonly",
    key_at(2, "RO"),
    since="2.2.3",
    summary="Counts the references to a value.",
    categories="keyspace",
    tips=_TIPS,
)
def refcount(s: Session, argv: list[bytes]) -> Reply:
    """OBJECT REFCOUNT key."""
    value = _untouched(s, argv[2])
    return None if value is None else reference_count(value)


@family.command(
    "object idletime",
    3,
    "readonly",
    key_at(2, "RO"),
    since="2.2.3",
    summary="Tells how many seconds a key was not used.",
    categories="keyspace",
    tips=_TIPS,
)
def idletime(s: Session, argv: list[bytes]) -> Reply:
    """OBJECT IDLETIME key."""
    if _untouched(s, argv[2]) is None:
        return None
    if s.keyspace.counts_uses:
        raise CommandError(f"ERR An LFU maxmemory policy is selected, idle time not tracked. {_TAKES_TIME}")
    return s.db.idle_ms(argv[2]) // 1000


@family.command(
    "object freq",
    3,
    "readonly",
    key_at(2, "RO"),
    since="4.0.0",
    summary="Tells how often a key is used, as a logarithmic counter.",
    categories="keyspace",
    tips=_TIPS,
)
def freq(s: Session, argv: list[bytes]) -> Reply:
    """OBJECT FREQ key."""
    if _untouched(s, argv[2]) is None:
        return None
    if not s.keyspace.counts_uses:
        raise CommandError(f"ERR An LFU maxmemory policy is not selected, access frequency not tracked. {_TAKES_TIME}")
    return s.db.frequency(argv[2])


@family.command(
    "object help",
    2,
    "loading stale",
    since="6.2.0",
    summary="Describes the subcommands.",
    categories="keyspace",
)
def object_help(s: Session, argv: list[bytes]) -> Reply:
    """OBJECT HELP."""
    return list(_HELP)
