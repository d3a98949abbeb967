"""Who a client is: AUTH, and what a refusal leaves behind.

Every denial, of a login or of a command, is counted in INFO and noted for ACL LOG, whoever finds it.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.access.checks import Denial, Reason
from txrepl.commands.access.rules import DEFAULT
from txrepl.commands.client_lines import describe
from txrepl.commands.session import DENY_BLOCKING, IN_MULTI, Session
from txrepl.commands.table import Family
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import OK, Reply

family = Family("connection")

WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."


def note_denial(s: Session, reason: Reason, subject: bytes, *, user: bytes, context: str | None = None) -> None:
    """Count a denial, and keep it for ACL LOG (`addACLLogEntry`).

    Parameters:
        s: who asked.
        reason, subject: what was denied.
        user: to whom, or as whom somebody tried to log in.
        context: `toplevel`, `multi` or `lua`; of these the first two are seen by themselves.
    """
    server = s.server
    server.stats.count_denial(reason.name.lower())
    if context is None:
        context = "multi" if s.flags & (IN_MULTI | DENY_BLOCKING) else "toplevel"
    line = describe(s).rstrip(b"\n")
    most = server.config.get_int("acllog-max-len")
    server.denials.add(reason, context, subject, user, line, s.keyspace.now_ms, most)


def denied(s: Session, denial: Denial, *, context: str | None = None) -> None:
    """Note that a client may not run a command; `context` as in `note_denial`."""
    user = s.user.name if s.user is not None else b""
    note_denial(s, denial.reason, denial.subject, user=user, context=context)


def authenticate(s: Session, name: bytes, password: bytes, command: bytes) -> None:
    """Let the client in as a user, or refuse it (`ACLAuthenticateUser`).

    Parameters:
        command: the word by which it tried, as it was sent.

    Raises:
        CommandError: the pair of name and password is wrong.
    """
    user = s.server.users.find(name)
    if user is None or not user.accepts(password):
        note_denial(s, Reason.AUTH, command, user=name)
        raise CommandError(WRONG_PASSWORD)
    s.log_in(user)


@family.command(
    "auth",
    -2,
    "noscript loading stale fast no_auth allow_busy",
    since="1.0.0",
    summary="Proves who the client is.",
    complexity="O(N) where N is the number of passwords defined for the user",
    secrets=lambda argv: range(1, len(argv)),
)
def auth(s: Session, argv: list[bytes]) -> Reply:
    """AUTH [username] password."""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    if len(argv) == 2:
        if s.server.users.default.without_password:
            raise CommandError(
                "ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?"
            )
        authenticate(s, DEFAULT, argv[1], argv[0])
    else:
        authenticate(s, argv[1], argv[2], argv[0])
    return OK
