"""CLIENT: what the server knows of its connections, and what may be done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from txrepl.commands.arguments import BAD_NAME, integer, integer_between, is_printable
from txrepl.commands.help import help_reply
from txrepl.commands.session import (
    BLOCKED,
    CLOSING,
    IN_MULTI,
    MONITORING,
    NO_EVICT,
    NO_TOUCH,
    PRIMARY,
    REPLICA,
    REPLY_OFF,
    REPLY_SKIP,
    REPLY_SKIP_NEXT,
    SUBSCRIBED,
    WATCH_BROKEN,
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

TYPES: Final = {
    b"normal": "normal",
    b"slave": "replica",
    b"replica": "replica",
    b"pubsub": "pubsub",
    b"master": "master",
    b"primary": "master",
}
"""Words for the classes of clients, Valkey's included."""


# -- what a client is -------------------------------------------------------------------------------------------


def client_type(client: Session) -> str:
    """The class of a client: `normal`, `replica`, `pubsub` or `master` (`getClientType`)."""
    if client.flags & PRIMARY:
        return "master"
    if client.flags & REPLICA and not client.flags & MONITORING:
        return "replica"
    return "pubsub" if client.flags & SUBSCRIBED else "normal"


def everyone(s: Session) -> list[Session]:
    """Every connection by ascending id, the primary's last."""
    clients = list(s.server.sessions.values())
    primary = s.server.primary_session()
    return clients if primary is None else [*clients, primary]


_LETTERS: Final = (
    (PRIMARY, "M"),
    (SUBSCRIBED, "P"),
    (IN_MULTI, "x"),
    (BLOCKED, "b"),
)
_LATER_LETTERS: Final = ((WATCH_BROKEN, "d"), (CLOSING, "c"))


def flag_letters(client: Session) -> str:
    """The `flags=` of CLIENT LIST (`getClientInfoString`)."""
    flags = client.flags
    letters = "O" if flags & MONITORING else "S" if flags & REPLICA else ""
    letters += "".join(letter for bit, letter in _LETTERS if flags & bit)
    if client.tracking is not None:
        letters += "t" + "R" * client.tracking.is_broken + "B" * client.tracking.broadcast
    letters += "".join(letter for bit, letter in _LATER_LETTERS if flags & bit)
    if client.is_unix:
        letters += "U"
    if flags & NO_EVICT:
        letters += "e"
    if flags & NO_TOUCH:
        letters += "T"
    return letters or "N"


def describe(client: Session, running: Sequence[bytes] = ()) -> bytes:
    """The line of CLIENT LIST, in Redis 7.2's order (`catClientInfoString`).

    Parameters:
        running: the command of this client that is being run.

    Sizes are bytes. What only a C server has (`fd`, the sizes of its buffers) is -1 or 0.
    """
    now_ms = client.keyspace.now_ms
    name, user, lib_name, lib_version = (
        text.decode("utf-8", "surrogateescape")
        for text in (
            client.name,
            client.user.name if client.user is not None else b"(superuser)",
            client.lib_name,
            client.lib_version,
        )
    )
    queued = sum(sum(map(len, argv)) for argv in client.queue)
    waiting = sum(map(len, running or client.waiting_argv))
    pending_in = client.outlet.pending_input()
    pending_out = client.outlet.pending_output()
    fields = (
        ("id", client.number),
        ("addr", client.address),
        ("laddr", client.local_address),
        ("fd", -1),
        ("name", name),
        ("age", max(0, now_ms - client.created_ms) // 1000),
        ("idle", max(0, now_ms - client.last_active_ms) // 1000),
        ("flags", flag_letters(client)),
        ("db", client.db.number),
        ("sub", len(client.channels or ())),
        ("psub", len(client.patterns or ())),
        ("ssub", len(client.shard_channels or ())),
        ("multi", len(client.queue) if client.flags & IN_MULTI else -1),
        ("qbuf", pending_in),
        ("qbuf-free", 0),
        ("argv-mem", waiting),
        ("multi-mem", queued),
        ("rbs", 0),
        ("rbp", 0),
        ("obl", 0),
        ("oll", 1 if pending_out else 0),
        ("omem", pending_out),
        ("tot-mem", pending_in + waiting + queued + pending_out),
        ("events", "rw" if pending_out else "r"),
        ("cmd", client.last_command or "NULL"),
        ("user", user),
        ("redir", -1 if client.tracking is None else client.tracking.redirect),
        ("resp", client.proto),
        ("lib-name", lib_name),
        ("lib-ver", lib_version),
    )
    return " ".join(f"{field}={value}" for field, value in fields).encode("utf-8", "surrogateescape") + b"\n"


def client_line(client: Session) -> str:
    """The same as log lines name a client."""
    return describe(client).decode("utf-8", "backslashreplace").rstrip()


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
    """CLIENT LIST [TYPE type | ID client-id …]."""
    clients: Iterable[Session] = everyone(s)
    if len(argv) == 4 and argv[2].lower() == b"type":
        wanted = _type(argv[3])
        clients = [client for client in clients if client_type(client) == wanted]
    elif len(argv) > 3 and argv[2].lower() == b"id":
        by_number = {client.number: client for client in clients}
        numbers = [integer(text, "ERR Invalid client ID") for text in argv[3:]]
        clients = [by_number[number] for number in numbers if number in by_number]
    elif len(argv) != 2:
        raise CommandError(SYNTAX)
    return Verbatim(b"".join(describe(client, argv if client is s else ()) for client in clients))


def _type(text: bytes) -> str:
    found = TYPES.get(text.lower())
    if found is None:
        raise CommandError(b"ERR Unknown client type '%b'" % text)
    return found


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
    """CLIENT KILL ip:port | option value …"""
    if len(argv) == 3:
        address = argv[2].decode("utf-8", "surrogateescape")
        if not _kill(s, [lambda client: client.address == address], skip_me=False):
            raise CommandError("ERR No such client")
        return OK
    tests, skip_me = _kill_options(s, argv)
    return _kill(s, tests, skip_me=skip_me)


_Test = Callable[[Session], bool]


def _kill_options(s: Session, argv: list[bytes]) -> tuple[list[_Test], bool]:
    """What a client must be like to be killed, and whether the asking one is spared."""
    tests: list[_Test] = []
    skip_me = True
    for at in range(2, len(argv), 2):
        if at + 1 == len(argv):
            raise CommandError(SYNTAX)
        option, value = argv[at].lower(), argv[at + 1]
        if option == b"skipme":
            if value.lower() not in (b"yes", b"no"):
                raise CommandError(SYNTAX)
            skip_me = value.lower() == b"yes"
        else:
            tests.append(_kill_test(s, option, value))
    return tests, skip_me


def _kill_test(s: Session, option: bytes, value: bytes) -> _Test:
    text = value.decode("utf-8", "surrogateescape")
    if option == b"id":
        number = integer_between(value, 1, _LONG_MAX, "ERR client-id should be greater than 0")
        return lambda client: client.number == number
    if option == b"type":
        wanted = _type(value)
        return lambda client: client_type(client) == wanted
    if option == b"addr":
        return lambda client: client.address == text
    if option == b"laddr":
        return lambda client: client.local_address == text
    if option == b"user":
        user = s.server.users.find(value)
        if user is None:
            raise CommandError(b"ERR No such user '%b'" % value)
        return lambda client: client.user is user
    raise CommandError(SYNTAX)


def _kill(s: Session, tests: list[_Test], *, skip_me: bool) -> int:
    """Close the connections that pass every test; returns how many they are."""
    doomed = [
        client
        for client in everyone(s)
        if not (skip_me and client is s) and all(test(client) for test in tests) and not client.flags & CLOSING
    ]
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
    how = argv[3].lower() if len(argv) == 4 else b"timeout"
    if how not in (b"timeout", b"error") or len(argv) > 4:
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
        raise CommandError(SYNTAX)
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
            "KILL <option> <value> [<option> <value> [...]]",
            "Close connections by ID, TYPE (NORMAL|MASTER|REPLICA|PUBSUB), USER, ADDR, LADDR; "
            "SKIPME (YES|NO) spares this one, which is the default.",
        ),
        ("LIST [TYPE <type> | ID <client-id> ...]", "A line for each connection."),
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
