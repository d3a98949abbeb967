"""The commands by which nodes and operators speak of replication."""

from __future__ import annotations

from collections.abc import Callable

from txrepl.commands.arguments import integer, integer_between, positive
from txrepl.commands.client_lines import client_line
from txrepl.commands.session import IN_MULTI, PRIMARY, REPLICA, Blocked, Session
from txrepl.commands.table import Family
from txrepl.errors import CommandError, ProtocolError
from txrepl.keyspace.numbers import parse_integer
from txrepl.replication.link import Link
from txrepl.replication.psync import Condition
from txrepl.replication.snapshot_kind import parse_version
from txrepl.replication.states import CAPABILITY_NAMES, Capability
from txrepl.resp.replies import NO_REPLY, OK, Reply
from txrepl.resp.requests import split_words

family = Family("server")

_PORT_MAX = 65535


def _who(s: Session, argv: list[bytes]) -> str:
    """The client, with the command that it is just running, as log lines name it."""
    s.last_command = argv[0].decode("latin-1").lower()
    return client_line(s)


@family.command(
    "replicaof",
    3,
    "admin noscript stale no_async_loading",
    since="5.0.0",
    summary="Makes the server a replica of another, or a primary.",
)
def replicaof(s: Session, argv: list[bytes]) -> Reply:
    """REPLICAOF host port | NO ONE."""
    if s.server.failover.is_under_way:
        raise CommandError("ERR REPLICAOF not allowed while failing over.")
    if argv[1].lower() == b"no" and argv[2].lower() == b"one":
        s.server.promote(_who(s, argv))
        return OK
    if s.flags & REPLICA:
        raise CommandError("ERR Command is not valid when client is a replica.")
    port = integer_between(argv[2], 0, _PORT_MAX, "ERR Invalid master port")
    if not argv[1]:
        raise CommandError("ERR Invalid master host")  # an empty one would read as having no primary
    if not s.server.replicate_from(argv[1].decode("utf-8", "surrogateescape"), port, _who(s, argv)):
        return "OK Already connected to specified master"
    return OK


family.command(
    "slaveof",
    3,
    "admin noscript stale no_async_loading",
    since="1.0.0",
    summary="The old name of REPLICAOF.",
)(replicaof)


@family.command(
    "psync",
    -3,
    "admin noscript no_async_loading no_multi",
    since="2.8.0",
    summary="A replica's request to be brought up to date, in part where possible.",
    complexity="",
)
def psync(s: Session, argv: list[bytes]) -> Reply:
    """PSYNC replid offset [FAILOVER]."""
    if s.flags & REPLICA:
        return NO_REPLY
    if len(argv) > 3 and argv[3].lower() == b"failover":
        _take_over(s, argv)
    replid = argv[1].decode("latin-1")
    _check_may_sync(s, replid)
    replica = s.server.attach_replica(s)
    try:
        offset = integer(argv[2])
    except CommandError:
        s.server.log("notice", f"Replica {replica.name} asks for synchronization")
        s.server.log("warning", f"Replica {replica.name} asks for synchronization but with a wrong offset")
        s.server.primary.refused(replica, replid, Condition.WRONG_OFFSET, "the offset that it asked for is no number")
        raise
    s.flags |= REPLICA
    s.server.primary.psync(replica, replid, offset)
    return NO_REPLY


@family.command(
    "sync",
    1,
    "admin noscript no_async_loading no_multi",
    since="1.0.0",
    summary="A replica's request for the whole dataset and the stream after it.",
    complexity="",
)
def sync(s: Session, argv: list[bytes]) -> Reply:
    """SYNC."""
    if s.flags & REPLICA:
        return NO_REPLY
    _check_may_sync(s, "?")
    replica = s.server.attach_replica(s)
    s.flags |= REPLICA
    s.server.primary.sync(replica)
    return NO_REPLY


def _take_over(s: Session, argv: list[bytes]) -> None:
    """Our primary asks us to take its place: we share its history, so that it can go on as our replica."""
    server = s.server
    shown = argv[1].decode("utf-8", "backslashreplace")
    server.log("notice", f"Failover request received for replid {shown}.")
    if not server.link.host:
        raise CommandError("ERR PSYNC FAILOVER can't be sent to a master.")
    if shown.lower() != server.feed.history.replid.lower():
        raise CommandError("ERR PSYNC FAILOVER replid must match my replid.")
    if server.delay.is_active:
        raise CommandError("ERR PSYNC FAILOVER can't be sent to a delayed replica: it has not applied all it received.")
    server.promote(_who(s, argv), asked="failover request")


def _check_may_sync(s: Session, replid: str) -> None:
    if s.flags & PRIMARY:
        raise CommandError("ERR SYNC and PSYNC are for replicas, not for our master")
    try:
        _check_can_sync(s)
    except CommandError as refusal:
        reason = refusal.message.decode("utf-8", "backslashreplace")
        s.server.primary.refused(s.server.attach_replica(s), replid, Condition.TRY_LATER, reason)
        raise


def _check_can_sync(s: Session) -> None:
    if s.server.failover.is_under_way:
        raise CommandError("NOMASTERLINK Can't SYNC while failing over")
    link = s.server.link
    if link.host and not link.is_up:
        raise CommandError("NOMASTERLINK Can't SYNC while not connected with my master")
    replica = s.replica
    if replica is not None and replica.snapshot_kind.is_filtered and not replica.capabilities & Capability.EOF:
        raise CommandError("ERR Filtered replica requires EOF capability")


@family.command(
    "replconf",
    -1,
    "admin noscript loading stale allow_busy",
    since="3.0.0",
    summary="What a replica and its primary tell each other about the link.",
    complexity="",
)
def replconf(s: Session, argv: list[bytes]) -> Reply:
    """REPLCONF option value …"""
    if len(argv) % 2 == 0:
        raise CommandError("ERR syntax error")
    for position in range(1, len(argv), 2):
        option = argv[position].lower()
        if option == b"ack":
            return _acknowledge(s, argv[position + 1 :])
        if option == b"getack":
            return NO_REPLY
        known = _OPTIONS.get(option)
        if known is None:
            shown = argv[position].partition(b"\0")[0].decode("utf-8", "surrogateescape")
            raise CommandError(f"ERR Unrecognized REPLCONF option: {shown}")
        known(s, argv[position + 1])
    return OK


def _acknowledge(s: Session, words: list[bytes]) -> Reply:
    """ACK's words: what is applied, and with FACK what is in the append-only file for good."""
    if not s.flags & REPLICA or s.replica is None:
        return NO_REPLY
    offset = parse_integer(words[0])
    if offset is None:
        return NO_REPLY
    fsynced = parse_integer(words[2]) if len(words) > 2 and words[1].lower() == b"fack" else None
    if fsynced is not None:
        s.replica.aof_ack_offset = max(s.replica.aof_ack_offset, fsynced)
    s.server.primary.acknowledged(s.replica, offset)
    s.server.replica_acknowledged()
    return NO_REPLY


def _listening_port(s: Session, text: bytes) -> None:
    s.server.attach_replica(s).port = integer_between(text, 0, _PORT_MAX)


def _ip_address(s: Session, text: bytes) -> None:
    if len(text) >= 256:
        raise CommandError(f"ERR REPLCONF ip-address provided by replica instance is too long: {len(text)} bytes")
    s.server.attach_replica(s).announced = text.decode("utf-8", "surrogateescape")


def _capability(s: Session, text: bytes) -> None:
    known = CAPABILITY_NAMES.get(text.lower())
    if known is not None:
        s.server.attach_replica(s).capabilities |= known


def _version(s: Session, text: bytes) -> None:
    shown = text.decode("utf-8", "surrogateescape")
    if parse_version(shown) is None:
        raise CommandError(f"ERR Unrecognized version format: {shown}")
    s.server.attach_replica(s).version = shown


def _rdb_only(s: Session, text: bytes) -> None:
    s.server.attach_replica(s).rdb_only = integer_between(text, 0, 1) == 1


def _rdb_filter_only(s: Session, text: bytes) -> None:
    try:
        wanted = split_words(text)
    except ProtocolError:
        raise CommandError("ERR Missing rdb-filter-only values") from None
    for word in wanted:
        if word.lower() != b"functions":
            shown = word.decode("utf-8", "surrogateescape")
            raise CommandError(f"ERR Unsupported rdb-filter-only option: {shown}")
    replica = s.server.attach_replica(s)
    replica.wants_data = False
    replica.wants_functions = bool(wanted)


_OPTIONS: dict[bytes, Callable[[Session, bytes], None]] = {
    b"listening-port": _listening_port,
    b"ip-address": _ip_address,
    b"capa": _capability,
    b"version": _version,
    b"rdb-only": _rdb_only,
    b"rdb-filter-only": _rdb_filter_only,
}


@family.command(
    "role",
    1,
    "noscript loading stale fast",
    since="2.8.12",
    summary="The server's role in replication, and its peers.",
    categories="admin dangerous",
)
def role(s: Session, argv: list[bytes]) -> Reply:
    """ROLE."""
    server = s.server
    history = server.feed.history
    if server.link.host:
        return _replica_role(server.link, history.offset)
    replicas: list[Reply] = [
        [replica.host.encode("utf-8", "surrogateescape"), b"%d" % replica.port, b"%d" % replica.ack_offset]
        for replica in server.primary.replicas.values()
        if replica.is_online
    ]
    return [b"master", history.offset, replicas]


def _replica_role(link: Link, offset: int) -> Reply:
    shown = offset if link.is_up else -1
    return [b"slave", link.host.encode("utf-8", "surrogateescape"), link.port, link.state.role_word.encode(), shown]


@family.command(
    "wait",
    3,
    "blocking",
    since="3.0.0",
    summary="Waits until replicas have acknowledged the client's writes.",
    group="generic",
    categories="connection",
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
def wait(s: Session, argv: list[bytes]) -> Reply:
    """WAIT numreplicas timeout."""
    if s.server.link.host:
        raise CommandError(
            "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is "
            "configured to be writable (which is not the default) writes to replicas are just local and are not "
            "propagated."
        )
    wanted = integer(argv[1])
    limit_ms = _wait_timeout(argv[2])
    primary = s.server.primary
    offset = s.written_offset
    reached = primary.acknowledging(offset)
    if reached >= wanted or not s.may_block or s.flags & IN_MULTI:
        return reached
    s.server.request_acknowledgements()
    return Blocked(
        [],
        limit_ms,
        lambda: primary.acknowledging(offset),
        kind="replicas",
        is_met=lambda: primary.acknowledging(offset) >= wanted,
    )


@family.command(
    "waitaof",
    4,
    "blocking",
    since="7.2.0",
    summary="Waits until the client's writes are in append-only files, here and on replicas.",
    group="generic",
    categories="connection",
    tips=("request_policy:all_shards", "response_policy:agg_min"),
)
def waitaof(s: Session, argv: list[bytes]) -> Reply:
    """WAITAOF numlocal numreplicas timeout; there is no append-only file here, so the first count is always 0."""
    local = integer_between(argv[1], 0, 1)
    wanted = positive(argv[2], "ERR value is out of range, must be positive")
    limit_ms = _wait_timeout(argv[3])
    if s.server.link.host:
        raise CommandError(
            "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just "
            "local and are not propagated."
        )
    if local:
        raise CommandError("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
    primary = s.server.primary
    offset = s.written_offset
    reached = primary.fsyncing(offset)
    if reached >= wanted or not s.may_block or s.flags & IN_MULTI:
        return [0, reached]
    s.server.request_acknowledgements()
    return Blocked(
        [],
        limit_ms,
        lambda: [0, primary.fsyncing(offset)],
        kind="replicas",
        is_met=lambda: primary.fsyncing(offset) >= wanted,
    )


def _wait_timeout(text: bytes) -> int:
    try:
        limit_ms = integer(text)
    except CommandError:
        raise CommandError("ERR timeout is not an integer or out of range") from None
    if limit_ms < 0:
        raise CommandError("ERR timeout is negative")
    return limit_ms
