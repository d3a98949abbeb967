"""CLIENT TRACKING and the subcommands that go with it. Follows networking.c of Redis 7.2."""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.client import family
from txrepl.commands.session import TRACKING, Session
from txrepl.commands.tracking import Mode
from txrepl.commands.tracking_table import overlap
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import OK, Reply, SetReply

_ANYONE: Final = "noscript loading stale"
_SWITCHING: Final = "before disabling tracking for this client, and then re-enabling it with a different mode."


def _mode(s: Session, words: list[bytes]) -> tuple[Mode, list[bytes]]:
    """The options of CLIENT TRACKING, and its prefixes in order, repeated ones too.

    Raises:
        CommandError: an unknown option, or a client to redirect to that does not exist.
    """
    mode = Mode()
    prefixes: list[bytes] = []
    i = 0
    while i < len(words):
        word = words[i].lower()
        has_more = i + 1 < len(words)
        if word == b"redirect" and has_more:
            i += 1
            if mode.redirect:
                raise CommandError("ERR A client can only redirect to a single other client")
            mode.redirect = integer(words[i])
            if not s.server.tracking.exists(mode.redirect):
                raise CommandError("ERR The client ID you want redirect to does not exist")
        elif word == b"prefix" and has_more:
            i += 1
            prefixes.append(words[i])
        elif word == b"bcast":
            mode.broadcast = True
        elif word == b"optin":
            mode.opt_in = True
        elif word == b"optout":
            mode.opt_out = True
        elif word == b"noloop":
            mode.no_loop = True
        else:
            raise CommandError(SYNTAX)
        i += 1
    mode.prefixes.update(prefixes)
    return mode, prefixes


def _check(mode: Mode, old: Mode | None, prefixes: list[bytes]) -> None:
    """Refuse what does not go together, or not with how the client tracks now.

    Raises:
        CommandError: with Redis's words.
    """
    if prefixes and not mode.broadcast:
        raise CommandError("ERR PREFIX option requires BCAST mode to be enabled")
    if old is not None and old.broadcast != mode.broadcast:
        raise CommandError(f"ERR You can't switch BCAST mode on/off {_SWITCHING}")
    if mode.broadcast and (mode.opt_in or mode.opt_out):
        raise CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST")
    if mode.opt_in and mode.opt_out:
        raise CommandError("ERR You can't specify both OPTIN mode and OPTOUT mode")
    if old is not None and ((mode.opt_in and old.opt_out) or (mode.opt_out and old.opt_in)):
        raise CommandError(f"ERR You can't switch OPTIN/OPTOUT mode {_SWITCHING}")
    found = overlap(prefixes, old.prefixes if old is not None else ())
    if found is not None:
        prefix, other, is_followed = found
        whose = b"an existing" if is_followed else b"another provided"
        raise CommandError(
            b"ERR Prefix '%b' overlaps with %b prefix '%b'. Prefixes for a single client must not overlap."
            % (prefix, whose, other)
        )


@family.command(
    "client tracking",
    -3,
    _ANYONE,
    since="6.0.0",
    summary="Lets the connection be told of changes of the keys that it has read.",
    complexity="O(1). Some options may introduce additional complexity.",
)
def client_tracking(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix …] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]."""
    mode, prefixes = _mode(s, argv[3:])
    switch = argv[2].lower()
    if switch == b"off":
        s.stop_tracking()
    elif switch == b"on":
        _check(mode, s.tracking, prefixes)
        if mode.broadcast and not mode.prefixes:
            mode.prefixes.add(b"")
        s.server.tracking.start(s, mode)
        s.flags |= TRACKING
    else:
        raise CommandError(SYNTAX)
    return OK


@family.command(
    "client caching", 3, _ANYONE, since="6.0.0", summary="Lets the next command's keys be tracked, or not be."
)
def client_caching(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT CACHING YES | NO."""
    mode = s.tracking
    if mode is None:
        raise CommandError(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
            "enabled"
        )
    word = argv[2].lower()
    if word == b"yes" and not mode.opt_in:
        raise CommandError("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    if word == b"no" and not mode.opt_out:
        raise CommandError("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    if word not in (b"yes", b"no"):
        raise CommandError(SYNTAX)
    mode.caching = True
    return OK


@family.command(
    "client getredir", 2, _ANYONE, since="6.0.0", summary="Tells where invalidation messages of the connection go."
)
def client_getredir(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT GETREDIR: the client's id, 0 = to this connection, -1 = it does not track."""
    return -1 if s.tracking is None else s.tracking.redirect


@family.command("client trackinginfo", 2, _ANYONE, since="6.2.0", summary="Tells how the connection tracks keys.")
def client_trackinginfo(s: Session, argv: list[bytes]) -> Reply:
    """CLIENT TRACKINGINFO."""
    mode = s.tracking
    if mode is None:
        return {b"flags": SetReply([b"off"]), b"redirect": -1, b"prefixes": []}
    names = (
        (True, b"on"),
        (mode.broadcast, b"bcast"),
        (mode.opt_in, b"optin"),
        (mode.opt_in and mode.caching, b"caching-yes"),
        (mode.opt_out, b"optout"),
        (mode.opt_out and mode.caching, b"caching-no"),
        (mode.no_loop, b"noloop"),
        (mode.is_broken, b"broken_redirect"),
    )
    flags = SetReply([name for applies, name in names if applies])
    return {b"flags": flags, b"redirect": mode.redirect, b"prefixes": [*sorted(mode.prefixes)]}
