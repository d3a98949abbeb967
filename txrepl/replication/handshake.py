"""The replica's half of the conversation that ends in a resync.

    replica                                   primary
    PING                                      +PONG | -NOAUTH … | -NOPERM … | -ERR operation not permitted …
    AUTH [user] password                      +OK                      only with masterauth
    REPLCONF listening-port N                 +OK | -ERR               an error is not fatal
    REPLCONF ip-address A                     +OK | -ERR               only with an announced address
    REPLCONF capa eof capa psync2             +OK | -ERR
    REPLCONF version 9.0.0                    +OK | -ERR               still a capability; only Valkey knows it
    PSYNC replid offset [FAILOVER]            +FULLRESYNC replid offset | +CONTINUE [replid]
                                              -NOMASTERLINK … | -LOADING …     try again later | -ERR …
    SYNC                                      (the bulk follows)       when PSYNC is refused

With no history to go on with, replid is `?` and offset -1. FAILOVER tells the peer, a replica of ours so far, to take
our place; if it refuses, there is no SYNC: it stays what it is.

Every step is reported before it waits (`syncWithMaster`, `slaveTryPartialResynchronization`); empty lines are the
primary's sign of life. Time limits belong to the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from txrepl.errors import AuthenticationRefusedError, ReplicationError, SyncRefusedError
from txrepl.replication.history import NO_REPLID
from txrepl.replication.states import LinkState


class Wire(Protocol):
    """A connection to the primary during the handshake."""

    def send(self, *words: bytes) -> None:
        """Send a command as an array of bulk strings."""

    async def line(self) -> bytes:
        """The next line without its line end.

        Raises:
            ReplicationError: nothing came in time, or the connection was closed.
        """


class Resync(Enum):
    """How the primary will bring us up to date."""

    FULL = "full"
    PARTIAL = "partial"
    SYNC = "sync"
    """The primary knows no PSYNC: a bulk follows, and no offset is known."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a replica says of itself.

    Attributes:
        port: the port that it listens on (or announces).
        address: the address that it announces; empty = what the primary sees.
        user, password: for AUTH; no AUTH without a password, the default user without a user.
        replid, offset: the history to go on with and the next offset needed; None = none.
        failover: the peer is to take our place as the primary.
    """

    port: int
    address: str = ""
    user: str = ""
    password: str = ""
    replid: str | None = None
    offset: int = -1
    failover: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The primary's answer to PSYNC.

    Attributes:
        replid: its history; 40 zeros if it gave none that can be used, empty if it kept ours (`+CONTINUE`).
        offset: the last byte that the snapshot includes (full only); -1 if unknown.
    """

    resync: Resync
    replid: str
    offset: int


READS_AS = b"9.0.0"
"""The newest Valkey whose RDB we read: one that does not hear so leaves the deadlines of hash fields out."""

_TRY_LATER = (b"-NOMASTERLINK", b"-LOADING")


async def handshake(
    wire: Wire, introduction: Introduction, step: Callable[[LinkState], None], log: Callable[[str, str], None]
) -> Outcome:
    """Introduce ourselves and ask for a resync.

    Parameters:
        step: told of every state that is entered.
        log: called as log(level, message) with Redis's own lines.

    Raises:
        SyncRefusedError: the primary is to be tried again later.
        ReplicationError: it refused, or talks nonsense.
    """
    await introduce(wire, introduction, step, log)
    return await _resync(wire, introduction, step, log)


async def introduce(
    wire: Wire, introduction: Introduction, step: Callable[[LinkState], None], log: Callable[[str, str], None]
) -> None:
    """The handshake up to, and without, PSYNC. Parameters and errors as in `handshake`."""
    step(LinkState.RECEIVE_PONG)
    wire.send(b"PING")
    await _pong(wire, log)
    if introduction.password:
        step(LinkState.SEND_AUTH)
        user = (introduction.user.encode("utf-8", "surrogateescape"),) if introduction.user else ()
        wire.send(b"AUTH", *user, introduction.password.encode("utf-8", "surrogateescape"))
        step(LinkState.RECEIVE_AUTH)
        await _authenticated(wire)
    step(LinkState.SEND_PORT)
    wire.send(b"REPLCONF", b"listening-port", b"%d" % introduction.port)
    step(LinkState.RECEIVE_PORT)
    await _tolerated(wire, log, "REPLCONF listening-port")
    if introduction.address:
        step(LinkState.SEND_IP)
        wire.send(b"REPLCONF", b"ip-address", introduction.address.encode("utf-8", "surrogateescape"))
        step(LinkState.RECEIVE_IP)
        await _tolerated(wire, log, "REPLCONF ip-address")
    step(LinkState.SEND_CAPA)
    wire.send(b"REPLCONF", b"capa", b"eof", b"capa", b"psync2")
    step(LinkState.RECEIVE_CAPA)
    await _tolerated(wire, log, "REPLCONF capa")
    wire.send(b"REPLCONF", b"version", READS_AS)
    await _tolerated(wire, log, "REPLCONF version", "debug")


async def _answer(wire: Wire) -> bytes:
    """The next line that is not empty."""
    while True:
        line = await wire.line()
        if line:
            return line


def _text(line: bytes) -> str:
    """A peer's line, safe to log."""
    shown = line[:256].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)


async def _pong(wire: Wire, log: Callable[[str, str], None]) -> None:
    line = await _answer(wire)
    known = line.startswith((b"+", b"-NOAUTH", b"-NOPERM", b"-ERR operation not permitted"))
    if not known:
        raise ReplicationError(f"Error reply to PING from master: '{_text(line)}'")
    log("notice", "Master replied to PING, replication can continue...")


async def _authenticated(wire: Wire) -> None:
    line = await _answer(wire)
    if not line.startswith(b"+"):
        raise AuthenticationRefusedError(f"Unable to AUTH to MASTER: {_text(line)}")


async def _tolerated(wire: Wire, log: Callable[[str, str], None], what: str, level: str = "notice") -> None:
    line = await _answer(wire)
    if line.startswith(b"-"):
        log(level, f"(Non critical) Master does not understand {what}: {_text(line)}")
    elif not line.startswith(b"+"):
        raise ReplicationError(f"Unexpected reply to {what} from master: {_text(line)}")


async def _resync(
    wire: Wire, introduction: Introduction, step: Callable[[LinkState], None], log: Callable[[str, str], None]
) -> Outcome:
    line = await ask_psync(wire, introduction, step, log)
    outcome = read_psync(line, introduction, log)
    if outcome is not None:
        return outcome
    if introduction.failover:
        raise ReplicationError(f"The failover target did not take over: {_text(line)}")
    if not line.startswith(b"-ERR"):
        log("warning", f"Unexpected reply to PSYNC from master: {_text(line)}")
    else:
        log("notice", f"Master does not support PSYNC or is in error state (reply: {_text(line)})")
    log("notice", "Retrying with SYNC...")
    wire.send(b"SYNC")
    return Outcome(Resync.SYNC, NO_REPLID, -1)


async def ask_psync(
    wire: Wire, introduction: Introduction, step: Callable[[LinkState], None], log: Callable[[str, str], None]
) -> bytes:
    """Send PSYNC; the line that answers it. Parameters and errors as in `handshake`."""
    step(LinkState.SEND_PSYNC)
    if introduction.replid is None:
        log("notice", "Partial resynchronization not possible (no cached master)")
        wire.send(b"PSYNC", b"?", b"-1")
    else:
        log("notice", f"Trying a partial resynchronization (request {introduction.replid}:{introduction.offset}).")
        ending = (b"FAILOVER",) if introduction.failover else ()
        wire.send(b"PSYNC", introduction.replid.encode(), b"%d" % introduction.offset, *ending)
    step(LinkState.RECEIVE_PSYNC)
    return await _answer(wire)


def read_psync(line: bytes, introduction: Introduction, log: Callable[[str, str], None]) -> Outcome | None:
    """What a line says that answers PSYNC; None if it refuses it for good.

    Raises:
        SyncRefusedError: the primary is to be tried again later.
        ReplicationError: it goes on with what was not asked for.
    """
    if line.startswith(b"+FULLRESYNC"):
        return _full(line, log)
    if line.startswith(b"+CONTINUE"):
        return _continued(line, introduction, log)
    if line.startswith(_TRY_LATER):
        raise SyncRefusedError(f"Master is currently unable to PSYNC but should be in the future: {_text(line)}")
    return None


def _full(line: bytes, log: Callable[[str, str], None]) -> Outcome:
    match = re.fullmatch(rb"\+FULLRESYNC ([!-~]{40}) (\d{1,19})\s*", line)
    if match is None or int(match[2]) >= 2**63:
        log("warning", f"Master replied with wrong +FULLRESYNC syntax: {_text(line)}")
        return Outcome(Resync.FULL, NO_REPLID, -1)
    replid, offset = match[1].decode(), int(match[2])
    log("notice", f"Full resync from master: {replid}:{offset}")
    return Outcome(Resync.FULL, replid, offset)


def _continued(line: bytes, introduction: Introduction, log: Callable[[str, str], None]) -> Outcome:
    if introduction.replid is None:
        raise ReplicationError("Master answered +CONTINUE, but no partial resynchronization was asked for")
    log("notice", "Successful partial resynchronization with master.")
    match = re.fullmatch(rb"\+CONTINUE[ \t]+([!-~]{40})\s*", line)
    replid = match[1].decode() if match else ""
    if replid in ("", introduction.replid):
        return Outcome(Resync.PARTIAL, "", -1)
    log("notice", f"Master replication ID changed to {replid}")
    return Outcome(Resync.PARTIAL, replid, -1)
