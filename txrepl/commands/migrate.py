"""MIGRATE: keys move to another server. Follows cluster.c of Redis 7.0; the conversation is in `migration`.

The client waits, the server does not. Inside a transaction nothing may run between two commands, so there the
server stands still until the target has answered or the timeout is over, as Redis does for every MIGRATE.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.migration import Migration, Order
from txrepl.commands.session import PRIMARY, Blocked, Session
from txrepl.commands.table import Family, KeySpec, key_at
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import Reply

family = Family("generic")

_OPTIONS_AT: Final = 6
_DEFAULT_TIMEOUT_MS: Final = 1000
_MAX_TIMEOUT_MS: Final = 2**31 - 1
_ARGUMENTS_OF: Final = {b"auth": 1, b"auth2": 2}


def _find_keys(argv: list[bytes]) -> list[int]:
    """Positions of the keys (`migrateGetKeys`)."""
    i = _OPTIONS_AT
    while i < len(argv):
        word = argv[i].lower()
        if word == b"keys":
            if argv[3]:
                raise CommandError("ERR Invalid arguments specified for command")
            return list(range(i + 1, len(argv))) or [3]
        i += 1 + _ARGUMENTS_OF.get(word, 0)
    return [3]


def _credentials(argv: list[bytes]) -> list[int]:
    """Positions of what AUTH and AUTH2 are followed by."""
    i = _OPTIONS_AT
    found: list[int] = []
    while i < len(argv) and argv[i].lower() != b"keys":
        wanted = _ARGUMENTS_OF.get(argv[i].lower(), 0)
        found += range(i + 1, min(i + 1 + wanted, len(argv)))
        i += 1 + wanted
    return found


def _port(text: bytes) -> int:
    """The number that a text begins with, as `atoi` reads it; 0 if there is none or it is no port."""
    digits = text.strip()
    length = next((i for i, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
    port = int(digits[: min(length, 6)] or b"0")
    return port if port <= 65535 else 0


def _parse(argv: list[bytes]) -> tuple[Order, list[bytes]]:
    copy = replace = False
    credentials: tuple[bytes, ...] = ()
    keys = [argv[3]]
    i = _OPTIONS_AT
    while i < len(argv):
        word = argv[i].lower()
        wanted = _ARGUMENTS_OF.get(word, 0)
        if word == b"keys":
            if argv[3]:
                raise CommandError(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
                )
            keys = argv[i + 1 :]
            break
        if word == b"copy":
            copy = True
        elif word == b"replace":
            replace = True
        elif wanted and i + wanted < len(argv):
            credentials = tuple(argv[i + 1 : i + 1 + wanted])
        else:
            raise CommandError(SYNTAX)
        i += 1 + wanted
    timeout_ms = integer(argv[5])
    database = integer(argv[4])
    if timeout_ms <= 0:
        timeout_ms = _DEFAULT_TIMEOUT_MS
    host = argv[1].decode("utf-8", "surrogateescape")
    order = Order(host, _port(argv[2]), database, min(timeout_ms, _MAX_TIMEOUT_MS), copy, replace, credentials)
    return order, keys


@family.command(
    "migrate",
    -6,
    "write",
    key_at(3, "RW ACCESS DELETE"),
    KeySpec("RW ACCESS DELETE INCOMPLETE", -2, keyword="KEYS", last=-1),
    since="2.6.0",
    summary="Moves keys to another server.",
    complexity="DUMP and DEL here, RESTORE there, for each key, and the way between: O(N) for a value of N elements.",
    categories="keyspace dangerous",
    tips=("nondeterministic_output",),
    find_keys=_find_keys,
    secrets=_credentials,
)
def migrate(s: Session, argv: list[bytes]) -> Reply:
    """MIGRATE host port key|"" database timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key …].

    A key that is written while it is on its way stays here, whatever the target holds of it by then.
    """
    order, named = _parse(argv)
    if s.flags & PRIMARY:
        raise CommandError("ERR MIGRATE is not taken from a primary: what it moved comes as DEL")
    server = s.server
    if s.may_block and server.migrations.is_leaving(s.db, named):
        return Blocked([], 0, kind="pause")
    keys = [key for key in named if s.db.read(key) is not None]
    if not keys:
        return "NOKEY"
    migration = server.migrations.begin(order, s.db, keys, follows=bool(server.link.host))
    if not s.may_block:
        return _migrate_now(s, migration)
    blocked = Blocked([], 0, kind="migrate")

    def answer(reply: Reply) -> None:
        if s.waiting is blocked:
            server.unblock(s, reply)

    migration.answer = answer
    server.migrate(migration)
    return blocked


def _migrate_now(s: Session, migration: Migration) -> Reply:
    try:
        s.server.migrate_now(migration)
    finally:
        s.server.migrations.end(migration)
        moved = migration.settle(keep=False)
    s.suppress()
    if moved:
        s.propagate(b"DEL", *moved)
    reply = migration.reply()
    if isinstance(reply, CommandError):
        raise reply
    return reply
