"""The connection itself: which protocol the client speaks, and which database it uses."""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import BAD_NAME, integer, is_printable
from txrepl.commands.authentication import authenticate
from txrepl.commands.pubsub import end_subscriptions
from txrepl.commands.session import (
    MONITORING,
    NO_EVICT,
    NO_TOUCH,
    PRIMARY,
    READS_HERE,
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
from txrepl.errors import CommandError
from txrepl.resp.replies import OK, Reply

family = Family("connection")

_ANY_STATE: Final = "noscript loading stale fast no_auth allow_busy"
_INT_MAX: Final = 2**31 - 1


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
    s.stop_tracking()
    if s.flags & MONITORING:
        s.server.monitor(s, watches=False)
    s.flags &= ~(SUBSCRIBED | REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT | NO_EVICT | NO_TOUCH | READS_HERE)
    s.db = s.keyspace.databases[0]
    s.proto = 2
    s.name = b""
    s.begin_as(s.server.users.default)
    return "RESET"


def _credentials(argv: list[bytes]) -> list[int]:
    """The user and the password behind AUTH, where there are both."""
    return [at + n for at, word in enumerate(argv[2:-2], 2) if word.lower() == b"auth" for n in (1, 2)]


@family.command(
    "hello",
    -1,
    _ANY_STATE,
    since="6.0.0",
    summary="Agrees on the protocol, and who is who.",
    secrets=_credentials,
)
def hello(s: Session, argv: list[bytes]) -> Reply:
    """HELLO [protover [AUTH username password] [SETNAME name]]."""
    proto = 0
    if len(argv) > 1:
        proto = integer(argv[1], "ERR Protocol version is not an integer or out of range")
        if proto not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version")
    credentials, name = _hello_options(argv)
    if credentials is not None:
        authenticate(s, *credentials, argv[0])
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
