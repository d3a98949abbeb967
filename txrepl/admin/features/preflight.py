"""`POST /v1/preflight`: what would happen if this node followed a certain primary."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from twisted.web.server import Request

from txrepl.admin.answers import body_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import HOST_PATTERN, Fields, read_fields
from txrepl.admin.contract import (
    JSON,
    ORDER_REFUSED,
    Feature,
    Handlers,
    Route,
    Schema,
    Scope,
    array,
    count,
    flag,
    or_null,
    order,
    record,
    ref,
    ref_or_null,
    string,
    values,
)
from txrepl.admin.problems import ConflictError, InvalidError, UnavailableError
from txrepl.admin.selves import is_ourselves
from txrepl.admin.views import Json, printable
from txrepl.errors import ReplicationError
from txrepl.peers.dialing import UnreachableError
from txrepl.peers.line_wire import LineWire
from txrepl.replication.handshake import Introduction
from txrepl.replication.preflight import Preflight, Seen, Theirs, Us, Would
from txrepl.replication.remedies import Remedy
from txrepl.replication.transcripts import Transcript

STEP_S: Final = 5.0
"""How long a step may take."""
AT_ONCE_MAX: Final = 4
SECRET_MAX: Final = 4096
_FIELDS: Final = frozenset({"host", "port", "user", "password", "tls", "psync"})


class Preflights(Handlers):
    """Preflights."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._running = 0

    async def preflight(self, request: Request) -> bytes:
        """What would happen if this node followed a primary."""
        query_of(request)
        fields = read_fields(content_type_of(request), body_of(request), _FIELDS)
        host, port = place_of(fields)
        login = login_of(fields)
        if fields.flag("tls"):
            raise InvalidError("tls", "not supported: this node speaks plain TCP to its primary")
        psync = fields.flag("psync")
        node = self.node
        if is_ourselves(node.config, node.settings, host, port):
            raise ConflictError("a node cannot be its own primary")
        if self._running >= AT_ONCE_MAX:
            raise UnavailableError(f"{AT_ONCE_MAX} preflights are under way")
        self._running += 1
        try:
            return json_answer(request, await self._fly(host, port, login, psync=psync))
        finally:
            self._running -= 1

    async def _fly(self, host: str, port: int, login: tuple[str, str] | None, *, psync: bool) -> Json:
        node = self.node
        introduction = self._introduction(login)
        us = Us(introduction, self._is_us, node.random_id(), node.now)
        transcript = Transcript(host, port, node.now())
        flight = Preflight(us, transcript)
        wire = LineWire(self.scope.dial.clock, lambda: STEP_S)
        unreachable: UnreachableError | None = None
        try:
            await self.scope.dial.open(host, port, wire)
            connected_ms = node.now() - transcript.at_ms
            await flight.run(wire, psync=psync)
        except UnreachableError as error:
            unreachable = error
            connected_ms = node.now() - transcript.at_ms
            transcript.ended(node.now(), error=str(error))
        except ReplicationError as error:
            transcript.ended(node.now(), error=str(error))
        finally:
            if wire.transport is not None:
                wire.transport.abortConnection()
        transcript.ended(node.now())
        said = "connected" if unreachable is None else str(unreachable)
        connect = Seen("connect", f"{host}:{port}", None, connected_ms, unreachable is None, said)
        remedies = flight.remedies() + (_way_in(unreachable, port) if unreachable is not None else [])
        verdict = flight.verdict()
        if login is not None and verdict.would is not Would.REFUSED:
            remedies += self._login_here(introduction)
        return {
            "host": printable(host),
            "port": port,
            "user": printable(flight.user),
            "psync_sent": flight.asked,
            "verdict": {"would": verdict.would.value, "why": printable(verdict.why), "bytes": verdict.count},
            "remedies": [_remedy(one) for one in remedies],
            "asked": {"replid": introduction.replid, "offset": introduction.offset},
            "steps": [_seen(one) for one in [connect, *flight.steps()]],
            "target": None if flight.theirs is None else _target(flight.theirs),
        }

    def _introduction(self, login: tuple[str, str] | None) -> Introduction:
        """What this node would say of itself after REPLICAOF."""
        node = self.node
        found = replace(node.following.introduction(), failover=False)
        if login is not None:
            found = replace(found, user=login[0], password=login[1])
        if not node.link.host:  # a primary that turns into a replica tries to go on with its own history
            history = node.feed.history
            found = replace(found, replid=history.replid, offset=history.offset + 1)
        return found

    def _is_us(self, host: str, port: int) -> bool:
        return is_ourselves(self.node.config, self.node.settings, host, port)

    def _login_here(self, used: Introduction) -> list[Remedy]:
        """What is still to be set here for REPLICAOF to log in as this preflight did."""
        settings = self.node.settings
        found = []
        if used.password != settings.password:
            found.append(Remedy(True, "CONFIG SET masterauth …", "the password that this preflight used"))
        if used.user != settings.user:
            found.append(Remedy(True, f'CONFIG SET masteruser "{used.user}"', "the user that this preflight used"))
        return found


def place_of(fields: Fields) -> tuple[str, int]:
    """`host` and `port` of a body.

    Raises:
        InvalidError: one is missing, or not valid.
    """
    host, port = fields.host("host"), fields.whole("port", 1, 65535)
    if host is None:
        raise InvalidError("host", "missing: give host and port")
    if port is None:
        raise InvalidError("port", "missing: give host and port")
    return host, port


def login_of(fields: Fields) -> tuple[str, str] | None:
    """`user` and `password` of a body; None if neither is given.

    Raises:
        InvalidError: one is no text, too long, or a user is given without a password.
    """
    user, password = fields.text("user", SECRET_MAX), fields.text("password", SECRET_MAX)
    if user and not password:
        raise InvalidError("password", "missing: a user logs in with one")
    return None if user is None and password is None else (user or "", password or "")


def _way_in(error: UnreachableError, port: int) -> list[Remedy]:
    if error.unknown:
        return [Remedy(True, "", "check the name, and this machine's resolver")]
    why = "it listens on loopback alone by default: bind it to an address that this node reaches"
    found = [Remedy(False, "CONFIG SET bind …", why)] if error.refused else []
    if error.refused:
        return [*found, Remedy(False, "", f"or it is not running, or listens on another port than {port}")]
    return [Remedy(False, "", "a firewall may drop what comes from here, or the machine is down")]


def _remedy(one: Remedy) -> Json:
    return {"side": "here" if one.here else "there", "line": printable(one.line) or None, "why": printable(one.why)}


def _seen(one: Seen) -> Json:
    return {
        "step": one.step,
        "ok": one.ok,
        "says": printable(one.says),
        "sent": printable(one.sent),
        "received": None if one.received is None else printable(one.received),
        "ms": one.took_ms,
    }


def _target(theirs: Theirs) -> Json:
    has_second = bool(theirs.replid) and theirs.second_offset >= 0
    return {
        "role": "primary" if theirs.follows is None else "replica",
        "primary": None if theirs.follows is None else printable(f"{theirs.follows[0]}:{theirs.follows[1]}"),
        "link_up": theirs.link_up if theirs.follows is not None else None,
        "replid": printable(theirs.replid) or None,
        "replid2": printable(theirs.replid2) if has_second else None,
        "second_offset": theirs.second_offset if has_second else None,
        "offset": theirs.offset if theirs.offset >= 0 else None,
        "backlog_first_offset": theirs.first_offset if theirs.backlog_bytes else None,
        "backlog_size_bytes": theirs.backlog_bytes,
    }


LOGIN: Final[dict[str, Schema]] = {
    "host": string("Its host name or address.", pattern=f"^{HOST_PATTERN}$"),
    "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Its port."},
    "user": string("Who to log in as; without user and password it is `masteruser` and `masterauth`."),
    "password": string("The password. It is never shown."),
}

SCHEMAS: Final[dict[str, Schema]] = {
    "PreflightOrder": {
        "type": "object",
        "description": "The primary to try.",
        "properties": {
            **LOGIN,
            "tls": flag("Not supported: true is refused."),
            "psync": flag("Really ask for a resync, which may begin a snapshot there; false by default."),
        },
        "required": ["host", "port"],
        "additionalProperties": False,
    },
    "Preflight": record(
        "What would happen if this node followed that primary.",
        host=string("The primary."),
        port=count("Its port.", 1),
        user=string("Who was logged in as; `default` without a user."),
        psync_sent=flag("A resync was really asked for."),
        verdict=ref("Verdict"),
        remedies=array(ref("Remedy"), "What is missing, and what to set on which side; empty if nothing is."),
        asked=ref("Asked"),
        steps=array(ref("PreflightStep"), "What happened, step by step."),
        target=ref_or_null("Target"),
    ),
    "Verdict": record(
        "What would happen.",
        would=string("`unclear`: it cannot be told without asking.", enum=values(Would)),
        why=string("Why, in words."),
        bytes=or_null(count("How many bytes a partial resync would send; null if unknown, or if it is none.")),
    ),
    "Remedy": record(
        "Something to set.",
        side=string("On this node, or on the other.", enum=["here", "there"]),
        line=or_null(string("The command that sets it; `…` stands for a secret or a choice. Null if no command does.")),
        why=string("What it is for."),
    ),
    "PreflightStep": record(
        "A step of a preflight.",
        step=string("Its name."),
        ok=flag("It went as it should."),
        says=string("What that means."),
        sent=string("What was sent; secrets are masked."),
        received=or_null(string("The line that came back.")),
        ms=or_null(count("How long it took, milliseconds; null if no answer came.")),
    ),
    "Target": record(
        "Where the other server stands, as it says itself.",
        role=string("What it is.", enum=["primary", "replica"]),
        primary=or_null(string("Its own primary, if it is a replica.")),
        link_up=or_null(flag("Its link to that primary is up; null if it is a primary.")),
        replid=or_null(string("Its history; null if it may not be asked.")),
        replid2=or_null(string("The history before.")),
        second_offset=or_null(count("The first offset at which replid2 was no longer its own.")),
        offset=or_null(count("Its offset.")),
        backlog_first_offset=or_null(count("The oldest offset in its backlog; null without one.")),
        backlog_size_bytes=count("The backlog's size; 0 without one."),
    ),
}

_TOO_MANY: Final[dict[int, str]] = {
    409: "The address is the node's own.",
    503: "Too many preflights are under way.",
}

FEATURE: Final = Feature(
    Preflights,
    (
        Route(
            Preflights.preflight,
            "post",
            "/v1/preflight",
            "preflight",
            "actions",
            "What would happen if this node followed a certain primary, and what is missing.",
            {JSON: "Preflight"},
            "Holds the handshake without taking the data; this node stays what it is.",
            {200: "What would happen, be it good or bad."},
            {**ORDER_REFUSED, **_TOO_MANY},
            (),
            order("PreflightOrder"),
        ),
    ),
    SCHEMAS,
)
