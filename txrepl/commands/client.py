"""CLIENT: what the server knows of its connections, and what may be done to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from txrepl.commands.arguments import BAD_NAME, integer, is_printable
from txrepl.commands.client_filters import Filter, is_filter, parse_filters
from txrepl.commands.client_lines import describe
from txrepl.commands.help import help_reply
from txrepl.commands.session import (
    CLOSING,
    NO_EVICT,
    NO_TOUCH,
    REDIRECTS,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    Session,
)
from txrepl.commands.table import Family
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import NO_REPLY, OK, Reply, Verbatim

family = Family("connection")
family.container("client", since="2.4.0", summary="The connections.")

_ANYONE: Final = "noscript loading stale"
_ADMIN: Final = "admin noscript loading stale"
_ALL_NODES: Final = ("request_policy:all_nodes", "response_policy:all_succeeded")
_LONG_MAX: Final = 2**63 - 1


def everyone(s: Session) -> list[Session]:
    """Every connection by ascending id, the primary's last."""
    clients = list(s.server.sessions.values())
    primary = s.server.primary_session()
    return clients if primary is None else [*clients, primary]


# -- asking -----------------------------------------------------------------------------------------------------


@family.command("client id", 2, _ANYONE, since="5.0.0", summary="Gives the connection's id.")
def client_id(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT ID."""
    return s.number


@family.command("client getname", 2, _ANYONE, since="2.6.9", summary="Gives the connection's name.")
def client_getname(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT GETNAME."""
    return s.name or None


@family.command(
    "client info",
    2,
    _ANYONE,
    since="6.2.0",
    summary="Describes the connection.",
    tips=("nondeterministic_output",),
)
def client_info(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT INFO."""
    return Verbatim(describe(s, argv))


@family.command(
    "client list",
    -2,
    _ADMIN,
    since="2.4.0",
    summary="Describes connections.",
    complexity="O(N) where N is the number of client connections",
    tips=("nondeterministic_output",),
)
def client_list(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT LIST [TYPE type | ID client-id … | filter value …]."""
    clients: Iterable[Session] = everyone(s)
    if len(argv) > 3 and argv[2].lower() == b"id" and not is_filter(argv[-2]):
        by_number = {client.number: client for client in clients}
        numbers = [integer(text, "ERR Invalid client ID") for text in argv[3:]]
        clients = [by_number[number] for number in numbers if number in by_number]
    elif len(argv) > 2:
        chosen = parse_filters(s, argv[2:], skip_me=False)
        clients = [client for client in clients if chosen(client)]
    return Verbatim(b"".join(describe(client, argv if client is s else ()) for client in clients))


# -- the connection's own settings ------------------------------------------------------------------------------


@family.command("client setname", 3, _ANYONE, since="2.6.9", summary="Names the connection.", tips=_ALL_NODES)
def client_setname(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT SETNAME name; an empty one takes it away."""
    if not is_printable(argv[2]):
        raise CommandError(BAD_NAME)
    s.name = argv[2]
    return OK


@family.command(
    "client setinfo",
    4,
    _ANYONE,
    since="7.2.0",
    summary="Tells which library the client is.",
    tips=_ALL_NODES,
)
def client_setinfo(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT SETINFO LIB-NAME name | LIB-VER version."""
    option = argv[2].lower()
    if option not in (b"lib-name", b"lib-ver"):
        raise CommandError(b"ERR Unrecognized option '%b'" % argv[2])
    if not is_printable(argv[3]):
        raise CommandError(b"ERR %b cannot contain spaces, newlines or special characters." % option)
    if option == b"lib-name":
        s.lib_name = argv[3]
    else:
        s.lib_version = argv[3]
    return OK


@family.command("client reply", 3, _ANYONE, since="3.2.0", summary="Turns replies to the connection on or off.")
def client_reply(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT REPLY ON | OFF | SKIP."""
    mode = argv[2].lower()
    if mode == b"on":
        s.flags &= ~(REPLY_OFF | REPLY_SKIP | REPLY_SKIP_NEXT)
        return OK
    if mode == b"off":
        s.flags |= REPLY_OFF
    elif mode == b"skip":
        if not s.flags & REPLY_OFF:
            s.flags |= REPLY_SKIP_NEXT
    else:
        raise CommandError(SYNTAX)
    return NO_REPLY


def _switch(s: Session, flag: int, text: bytes) -> Reply:
    word = text.lower()
    if word == b"on":
        s.flags |= flag
    elif word == b"off":
        s.flags &= ~flag
    else:
        raise CommandError(SYNTAX)
    return OK


@family.command(
    "client no-evict", 3, _ADMIN, since="7.0.0", summary="Keeps the connection when memory for clients is short."
)
def client_no_evict(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT NO-EVICT ON | OFF."""
    return _switch(s, NO_EVICT, argv[2])


@family.command(
    "client no-touch",
    3,
    _ANYONE,
    since="7.2.0",
    summary="Makes the connection's commands leave access times alone.",
)
def client_no_touch(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT NO-TOUCH ON | OFF."""
    return _switch(s, NO_TOUCH, argv[2])


@family.command(
    "client capa",
    -3,
    "noscript loading stale allow_busy",
    since="8.0.0",
    summary="Tells what the client can do.",
)
def client_capa(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT CAPA capability …: `redirect`: as a replica, send the client to the primary; others are ignored."""
    if any(word.lower() == b"redirect" for word in argv[2:]):
        s.flags |= REDIRECTS
    return OK


@family.command(
    "client import-source",
    3,
    _ANYONE,
    since="8.1.0",
    summary="Would mark the connection as one that imports data.",
)
def client_import_source(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT IMPORT-SOURCE ON | OFF: there is no import mode."""
    if argv[2].lower() != b"off":
        raise CommandError("ERR Server is not in import mode")
    return OK


# -- other connections ------------------------------------------------------------------------------------------


@family.command(
    "client kill",
    -3,
    _ADMIN,
    since="2.4.0",
    summary="Closes connections.",
    complexity="O(N) where N is the number of client connections",
)
def client_kill(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT KILL ip:port | filter value …"""
    if len(argv) == 3:
        address = argv[2].decode("utf-8", "surrogateescape")
        if not _kill(s, lambda client: client.address == address):
            raise CommandError("ERR No such client")
        return OK
    return _kill(s, parse_filters(s, argv[2:], skip_me=True))


def _kill(s: Session, chosen: Filter) -> int:
    """Close the connections that are chosen; returns how many they are."""
    doomed = [client for client in everyone(s) if chosen(client) and not client.flags & CLOSING]
    for client in doomed:
        s.server.disconnect(client, flush=client is s)
    return len(doomed)


@family.command(
    "client unblock",
    -3,
    _ADMIN,
    since="5.0.0",
    summary="Ends the waiting of a connection in a blocking command.",
    complexity="O(log N) where N is the number of client connections",
)
def client_unblock(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT UNBLOCK client-id [TIMEOUT | ERROR]."""
    if len(argv) > 4:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.")
    how = argv[3].lower() if len(argv) == 4 else b"timeout"
    if how not in (b"timeout", b"error"):
        raise CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
    client = s.server.sessions.get(integer(argv[2]))
    if client is None or client.waiting is None or client.waiting.kind in ("pause", "migrate"):
        return 0
    if how == b"timeout":
        s.server.unblock(client, client.waiting.on_timeout())
    else:
        error = CommandError("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        s.server.stats.count_error(error.code)
        s.server.unblock(client, error)
    return 1


@family.command("client pause", -3, _ADMIN, since="2.9.50", summary="Holds back the clients' commands for a while.")
def client_pause(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT PAUSE timeout [WRITE | ALL]; the timeout is in ms."""
    everything = True
    if len(argv) == 4:
        mode = argv[3].lower()
        if mode not in (b"write", b"all"):
            raise CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL")
        everything = mode == b"all"
    elif len(argv) > 4:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.")
    duration_ms = integer(argv[2], "ERR timeout is not an integer or out of range")
    if duration_ms < 0:
        raise CommandError("ERR timeout is negative")
    if duration_ms > _LONG_MAX - s.keyspace.now_ms:
        raise CommandError("ERR timeout is out of range")
    s.server.pause(duration_ms, everything=everything)
    return OK


@family.command(
    "client unpause",
    2,
    _ADMIN,
    since="6.2.0",
    summary="Ends CLIENT PAUSE.",
    complexity="O(N) Where N is the number of paused clients",
)
def client_unpause(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT UNPAUSE."""
    s.server.unpause()
    return OK


@family.command("client help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.")
def client_help(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT HELP."""
    return help_reply(
        "CLIENT",
        ("CACHING (YES|NO)", "Whether the keys of the next command are tracked (OPTIN) or not (OPTOUT)."),
        ("GETREDIR", "Where invalidation messages go; -1 when keys are not tracked."),
        ("GETNAME", "The name of this connection."),
        ("ID", "The id of this connection."),
        ("INFO", "A description of this connection."),
        ("KILL <ip:port>", "Close the connection made from there."),
        (
            "KILL <filter> <value> [<filter> <value> [...]]",
            "Close connections; SKIPME (YES|NO) spares this one, which is the default.",
        ),
        (
            "LIST [ID <client-id> ... | <filter> <value> ...]",
            "A line for each connection. Filters: ID, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER, ADDR, LADDR, IP, "
            "NAME, FLAGS, LIB-NAME, LIB-VER, DB, CAPA, each also with NOT- before it; MAXAGE, IDLE (seconds), SKIPME.",
        ),
        ("CAPA <capability> ...", "Tell what this client can do: REDIRECT, be sent to the primary by a replica."),
        ("IMPORT-SOURCE (ON|OFF)", "ON is refused: there is no import mode."),
        ("UNPAUSE", "End a pause."),
        ("PAUSE <timeout> [WRITE|ALL]", "Hold back all commands, or those that write, for <timeout> milliseconds."),
        ("REPLY (ON|OFF|SKIP)", "Whether this connection gets replies."),
        ("SETNAME <name>", "Name this connection."),
        ("SETINFO <option> <value>", "Tell LIB-NAME or LIB-VER of the client's library."),
        ("UNBLOCK <clientid> [TIMEOUT|ERROR]", "End the waiting of a connection in a blocking command."),
        (
            "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
            "Whether this connection is told of changes of the keys that it read.",
        ),
        ("TRACKINGINFO", "How this connection tracks keys."),
        ("NO-EVICT (ON|OFF)", "Whether this connection is kept when memory for clients is short."),
        ("NO-TOUCH (ON|OFF)", "Whether commands of this connection leave access times alone."),
    )
