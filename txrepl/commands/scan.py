"""Iterating: KEYS, SCAN, RANDOMKEY, and what HSCAN, SSCAN and ZSCAN share with SCAN.

The rule: what stays in a container from the first call to the last is reported at least once; a small
container answers whole in one call, as Redis's compact encodings do, a large one by its `ScanIndex`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Database, Expiry
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.scan import ScanIndex
from txrepl.keyspace.values import type_name
from txrepl.resp.replies import Reply

family = Family("generic")

DEFAULT_COUNT: Final = 10
RANDOM_TRIES: Final = 100
_CURSOR: Final = re.compile(rb"[ \t-\r]*(?:\+?([0-9]+)|-(0+))\Z")


class ScanOptions:
    """The options of a scan.

    Attributes:
        count: members to visit in a call, at least 1.
        match: whether a member is wanted; None when all are.
        type: the name of the wanted type; None when all are (SCAN only).
        bare: only fields or members are wanted, without values or scores (HSCAN, ZSCAN).
    """

    __slots__ = ("bare", "count", "match", "type")

    def __init__(self) -> None:
        self.count: int = DEFAULT_COUNT
        self.match: Callable[[bytes], bool] | None = None
        self.type: str | None = None
        self.bare: bool = False


_BARE: Final = {b"novalues": "HSCAN", b"noscores": "ZSCAN"}
"""Options of one scan alone (Redis 7.4, Valkey 8), and whose they are."""


def scan_cursor(text: bytes) -> int:
    """A cursor as clients send it (`parseScanCursorOrReply`).

    Raises:
        CommandError: it is not an unsigned 64-bit integer.
    """
    found = _CURSOR.match(text)
    cursor = -1 if found is None or len(text) > 40 else int(found[1] or 0)
    if not 0 <= cursor < 2**64:
        raise CommandError("ERR invalid cursor")
    return cursor


def scan_options(argv: list[bytes], start: int, *, allow_type: bool = False, bare: str = "") -> ScanOptions:
    """The MATCH, COUNT and TYPE options of a scan, NOVALUES and NOSCORES (`scanGenericCommand`).

    Parameters:
        argv: the command.
        start: where the options begin: 2 for SCAN, 3 for HSCAN, SSCAN and ZSCAN.
        allow_type: whether TYPE is one of them (SCAN only).
        bare: HSCAN or ZSCAN, if it is that.

    Raises:
        CommandError: an unknown option, a count that is no integer or below 1.
    """
    options = ScanOptions()
    i = start
    while i < len(argv):
        name = argv[i].lower()
        if name in _BARE:
            if _BARE[name] != bare:
                option = name.decode().upper()
                raise CommandError(f"ERR {option} option can only be used in {_BARE[name]}")
            options.bare = True
            i += 1
            continue
        if i + 1 == len(argv):
            raise CommandError(SYNTAX)
        if name == b"count":
            options.count = integer(argv[i + 1])
            if options.count < 1:
                raise CommandError(SYNTAX)
        elif name == b"match":
            options.match = None if argv[i + 1] == b"*" else compile_glob(argv[i + 1])
        elif name == b"type" and allow_type:
            options.type = argv[i + 1].decode("latin-1").lower()
        else:
            raise CommandError(SYNTAX)
        i += 2
    return options


def scan_members(
    members: Collection[bytes], index: ScanIndex | None, large: bool, cursor: int, options: ScanOptions
) -> tuple[int, list[bytes], ScanIndex | None]:
    """One call of HSCAN, SSCAN or ZSCAN over a live container.

    Parameters:
        members: the live dict or set itself, not a copy: an index made here keeps asking it who is alive.
        index: the container's index, None if it has none yet.
        large: whether the container has its large encoding; a small one is answered whole, whatever the cursor.
        cursor: 0 to begin, else what the last call returned (see `scan_cursor`).
        options: from `scan_options`.

    Returns:
        The next cursor (0 at the end), the members that match, and the index to keep with the container.
    """
    if large:
        if index is None:
            index = ScanIndex(members)
        cursor, found = _step(index.scan(cursor, options.count))
    else:
        cursor, found = 0, list(members)
    match = options.match
    if match is not None:
        found = [member for member in found if match(member)]
    return cursor, found, index


def _step(found: tuple[int, list[bytes]]) -> tuple[int, list[bytes]]:
    """A step without repeats: a member that left and came back has two numbers in its index."""
    return found[0], list(dict.fromkeys(found[1]))


@family.command(
    "scan",
    -2,
    "readonly",
    since="2.8.0",
    summary="Walks over the keys of the database with a cursor.",
    complexity="O(1) per call, O(N) for a whole walk over N keys.",
    categories="keyspace",
    tips=("nondeterministic_output", "request_policy:special", "response_policy:special"),
)
def scan(s: Session, argv: list[bytes]) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]. A type that nobody knows matches nothing, as in 7.2."""
    cursor = scan_cursor(argv[1])
    options = scan_options(argv, 2, allow_type=True)
    db = s.db
    cursor, keys = _step(db.scan(cursor, options.count))
    if options.match is not None:
        match = options.match
        keys = [key for key in keys if match(key)]
    if options.type is not None:
        keys = [key for key in keys if key in db.data and type_name(db.data[key]) == options.type]
    return [b"%d" % cursor, [key for key in keys if db.exists(key)] if db.expires else list(keys)]


@family.command(
    "keys",
    2,
    "readonly",
    since="1.0.0",
    summary="Lists all keys that match a pattern.",
    complexity="O(N) for N keys in the database.",
    categories="keyspace dangerous",
    tips=("request_policy:all_shards", "nondeterministic_output_order"),
)
def keys_matching(s: Session, argv: list[bytes]) -> Reply:
    """KEYS pattern. Due keys are left out but not deleted."""
    db = s.db
    match = compile_glob(argv[1])
    found: list[Reply] = [key for key in db.data if match(key)] if argv[1] != b"*" else list(db.data)
    if db.expires and s.keyspace.expiry != Expiry.IGNORE:
        expires, now_ms = db.expires, s.keyspace.now_ms
        found = [key for key in found if key not in expires or expires[key] >= now_ms]
    return found


@family.command(
    "randomkey",
    1,
    "readonly",
    since="1.0.0",
    summary="Names a random key.",
    categories="keyspace",
    tips=("request_policy:all_shards", "response_policy:special", "nondeterministic_output"),
)
def randomkey(s: Session, argv: list[bytes]) -> Reply:
    """RANDOMKEY."""
    return random_live_key(s.db)


def random_live_key(db: Database) -> bytes | None:
    """A random key that is not due; None when there is none (`dbRandomKey`).

    A replica may not delete: where all keys have deadlines it gives a due key after 100 tries, as Redis does.
    """
    tries = RANDOM_TRIES
    while True:
        key = db.random_key()
        if key is None or db.exists(key):
            return key
        if db.keyspace.expiry == Expiry.HIDE and len(db.expires) == len(db.data):
            tries -= 1
            if tries == 0:
                return key
