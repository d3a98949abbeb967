"""FAILOVER: an operator has the primary and one of its replicas change places."""

from __future__ import annotations

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.errors import SYNTAX, CommandError, ReplicationError
from txrepl.resp.replies import OK, Reply

family = Family("server")


@family.command(
    "failover",
    -1,
    "admin noscript stale",
    since="6.2.0",
    summary="Has the server and one of its replicas change places.",
)
def failover(s: Session, argv: list[bytes]) -> Reply:
    """FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds] (`failoverCommand`)."""
    current = s.server.failover
    if len(argv) == 2 and argv[1].lower() == b"abort":
        if not current.is_under_way:
            raise CommandError("ERR No failover in progress.")
        current.abort("Failover manually aborted")
        return OK
    target, timeout_ms, force = _options(argv)
    try:
        current.begin(target, timeout_ms, force=force)
    except ReplicationError as error:
        raise CommandError(f"ERR {error}") from None
    return OK


def _options(argv: list[bytes]) -> tuple[tuple[str, int] | None, int, bool]:
    """The target, the timeout in ms (0 = none), and whether FORCE was said; each option at most once, in any order."""
    target: tuple[str, int] | None = None
    timeout_ms = 0
    force = False
    at = 1
    while at < len(argv):
        option = argv[at].lower()
        if option == b"timeout" and at + 1 < len(argv) and not timeout_ms:
            timeout_ms = integer(argv[at + 1])
            if timeout_ms <= 0:
                raise CommandError("ERR FAILOVER timeout must be greater than 0")
            at += 2
        elif option == b"to" and at + 2 < len(argv) and target is None:
            target = (argv[at + 1].decode("utf-8", "surrogateescape"), integer(argv[at + 2]))
            at += 3
        elif option == b"force" and not force:
            force = True
            at += 1
        else:
            raise CommandError(SYNTAX)
    return target, timeout_ms, force
