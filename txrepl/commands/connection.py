"""The connection itself: who the client is, which protocol it speaks, which database it uses.

There is one user, `default`; its password is `requirepass`, and without one it needs none.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.pubsub import end_subscriptions
from txrepl.commands.session import (
    MONITORING,
    NO_EVICT,
    NO_TOUCH,
    PRIMARY,
    REPLICA,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    SUBSCRIBED,
    UNAUTHENTICATED,
    Session,
)
from txrepl.commands.table import Family
from txrepl.commands.transactions import discard_transaction
from txrepl.config import PRESENTED_VERSION
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import OK, Reply

family = Family("connection")

_ANY_STATE: Final = "noscript loading stale fast no_auth allow_busy"
_INT_MAX: Final = 2**31 - 1
BAD_NAME: Final = "ERR Client names cannot contain spaces, newlines or special characters."
WRONG_PASSWORD: Final = "WRONGPASS invalid username-password pair or user is disabled."


def is_printable(text: bytes) -> bool:
    """Whether a name shows as one word in CLIENT LIST (`validateClientAttr`)."""
    return all(0x21 <= byte <= 0x7E for byte in text)


def authenticate(s: Session, user: bytes, password: bytes) -> None:
    """Let the client in, or refuse it.

    Raises:
        CommandError: the pair of name and password is wrong.
    """
    wanted = s.server.config.get_str("requirepass").encode("utf-8", "surrogateescape")
    # Digests are compared, in constant time, so that not even the length of the password shows.
    same = hmac.compare_digest(hashlib.sha256(password).digest(), hashlib.sha256(wanted).digest())
    if user != b"default" or (wanted and not same):
        s.server.stats.acl_denied_auth += 1
        raise CommandError(WRONG_PASSWORD)
    s.user = user
    s.flags &= ~UNAUTHENTICATED


@family.command(
    "ping",
    -1,
    "fast",
    since="1.0.0",
    summary="Answers, to show that the server is there.",
    tips=("request_policy:all_shards", "response_policy:all_succeeded"),
)
def ping(s: Session, argv: list[bytes]) -> Reply:
    """PING [message]."""
    if len(argv) > 2:
        raise CommandError("ERR wrong number of arguments for 'ping' command")
    if s.flags & SUBSCRIBED and s.proto == 2:
        return [b"pong", argv[1] if len(argv) == 2 else b""]
    return argv[1] if len(argv) == 2 else "PONG"


@family.command("echo", 2, "loading stale fast", since="1.0.0", summary="Gives the message back.")
def echo(s: Session, argv: list[bytes]) -> Reply:
    """ECHO message."""
    return argv[1]


@family.command("select", 2, "loading stale fast", since="1.0.0", summary="Changes the selected database.")
def select(s: Session, argv: list[bytes]) -> Reply:
    """SELECT index."""
    index = integer(argv[1])
    if not -_INT_MAX - 1 <= index <= _INT_MAX:
        raise CommandError(f"ERR value is out of range, value must between {-_INT_MAX - 1} and {_INT_MAX}")
    databases = s.keyspace.databases
    if not 0 <= index < len(databases):
        raise CommandError("ERR DB index is out of range")
    s.db = databases[index]
    return OK


@family.command("quit", -1, _ANY_STATE, since="1.0.0", summary="Closes the connection.")
def quit_(s: Session, argv: list[bytes]) -> Reply:
    """QUIT."""
    s.server.disconnect(s)
    return OK


@family.command("reset", 1, _ANY_STATE, since="6.2.0", summary="Makes the connection like a new one.")
def reset(s: Session, argv: list[bytes]) -> Reply:
    """RESET."""
    if s.flags & (REPLICA | PRIMARY):
        raise CommandError("ERR can only reset normal client connections")
    discard_transaction(s)
    end_subscriptions(s)
    s.flags &= ~(SUBSCRIBED | MONITORING | REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT | NO_EVICT | NO_TOUCH)
    s.db = s.keyspace.databases[0]
    s.proto = 2
    s.name = b""
    s.user = b"default"
    if s.server.config.get_str("requirepass"):
        s.flags |= UNAUTHENTICATED
    return "RESET"


@family.command(
    "auth",
    -2,
    _ANY_STATE,
    since="1.0.0",
    summary="Proves who the client is.",
    complexity="O(N) where N is the number of passwords defined for the user",
)
def auth(s: Session, argv: list[bytes]) -> Reply:
    """AUTH [username] password."""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    if len(argv) == 2:
        if not s.server.config.get_str("requirepass"):
            raise CommandError(
                "ERR AUTH <password> called without any password configured for the default user. "
                "Are you sure your configuration is correct?"
            )
        authenticate(s, b"default", argv[1])
    else:
        authenticate(s, argv[1], argv[2])
    return OK


@family.command("hello", -1, _ANY_STATE, since="6.0.0", summary="Agrees on the protocol, and who is who.")
def hello(s: Session, argv: list[bytes]) -> Reply:
    """HELLO [protover [AUTH username password] [SETNAME name]]."""
    proto = 0
    if len(argv) > 1:
        proto = integer(argv[1], "ERR Protocol version is not an integer or out of range")
        if proto not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    credentials, name = _hello_options(argv)
    if credentials is not None:
        authenticate(s, *credentials)
    if s.flags & UNAUTHENTICATED:
        raise CommandError(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
            "same time"
        )
    if name is not None:
        s.name = name
    if proto:
        s.proto = proto
    return {
        b"server": b"redis",
        b"version": PRESENTED_VERSION.encode(),
        b"proto": s.proto,
        b"id": s.number,
        b"mode": b"standalone",
        b"role": b"replica" if s.server.link.host else b"master",
        b"modules": [],
    }


def _hello_options(argv: list[bytes]) -> tuple[tuple[bytes, bytes] | None, bytes | None]:
    """User and password, and the name, as far as they are given."""
    credentials: tuple[bytes, bytes] | None = None
    name: bytes | None = None
    at = 2
    while at < len(argv):
        option = argv[at].lower()
        if option == b"auth" and at + 2 < len(argv):
            credentials = (argv[at + 1], argv[at + 2])
            at += 3
        elif option == b"setname" and at + 1 < len(argv):
            name = argv[at + 1]
            if not is_printable(name):
                raise CommandError(BAD_NAME)
            at += 2
        else:
            raise CommandError(b"ERR Syntax error in HELLO option '%b'" % argv[at])
    return credentials, name
