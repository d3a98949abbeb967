"""XINFO: what a stream, its groups and their consumers are like."""

from __future__ import annotations

from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.streams_arguments import entries_reply, existing_group, id_text, wrong_subcommand_words
from txrepl.commands.table import Family, key_at
from txrepl.errors import NO_SUCH_KEY, CommandError
from txrepl.keyspace.streams import UNKNOWN_READS, Consumer, ConsumerGroup, StreamValue
from txrepl.resp.replies import Reply

family = Family("stream")

family.container("xinfo", since="5.0.0", summary="A container for stream introspection commands.")

_SHOWN: Final = 10
"""How many entries FULL shows of each list without COUNT."""


def _stream(s: Session, key: bytes) -> StreamValue:
    stream = s.db.read_stream(key)
    if stream is None:
        raise CommandError(NO_SUCH_KEY)
    return stream


# -- XINFO STREAM -------------------------------------------------------------------------------------------------


@family.command(
    "xinfo stream",
    -3,
    "readonly",
    key_at(2, "RO ACCESS"),
    since="5.0.0",
    summary="Describes a stream, in short or in full.",
)
def xinfo_stream(s: Session, argv: list[bytes]) -> Reply:
    """XINFO STREAM key [FULL [COUNT count]]"""
    stream = _stream(s, argv[2])
    count = _full_count(argv)
    reply: dict[Reply, Reply] = {
        b"length": stream.length,
        b"radix-tree-keys": len(stream.nodes),
        b"radix-tree-nodes": stream.radix_nodes(),
        b"last-generated-id": id_text(stream.last_id),
        b"max-deleted-entry-id": id_text(stream.max_deleted_id),
        b"entries-added": stream.entries_added,
        b"recorded-first-entry-id": id_text(stream.first_id),
    }
    if count is None:
        reply[b"groups"] = len(stream.groups)
        reply[b"first-entry"] = next(iter(entries_reply(islice(stream.range(), 1))), None)
        reply[b"last-entry"] = next(iter(entries_reply(islice(stream.range_down(), 1))), None)
    else:
        reply[b"entries"] = entries_reply(islice(stream.range(), count or None))
        reply[b"groups"] = [
            _full_group(stream, name, group, count or None) for name, group in sorted(stream.groups.items())
        ]
    return reply


def _full_count(argv: list[bytes]) -> int | None:
    """How many entries FULL shows of each list, 0 = all; None without FULL."""
    options = argv[3:]
    if not options:
        return None
    words = [word.upper() for word in options[:2]]
    if len(options) == 1 and words == [b"FULL"]:
        return _SHOWN
    if len(options) != 3 or words != [b"FULL", b"COUNT"]:
        raise wrong_subcommand_words(argv)
    count = integer(options[2])
    return count if count >= 0 else _SHOWN


def _full_group(stream: StreamValue, name: bytes, group: ConsumerGroup, count: int | None) -> Reply:
    pending: list[Reply] = [
        [id_text(entry_id), entry.consumer.name, entry.delivered_ms, entry.deliveries]
        for entry_id, entry in islice(group.pending.items(), count)
    ]
    return {
        b"name": name,
        b"last-delivered-id": id_text(group.last_id),
        b"entries-read": _reads(group),
        b"lag": stream.lag(group),
        b"pel-count": len(group.pending),
        b"pending": pending,
        b"consumers": [_full_consumer(consumer, count) for _, consumer in sorted(group.consumers.items())],
    }


def _full_consumer(consumer: Consumer, count: int | None) -> Reply:
    pending: list[Reply] = [
        [id_text(entry_id), entry.delivered_ms, entry.deliveries]
        for entry_id, entry in islice(consumer.pending.items(), count)
    ]
    return {
        b"name": consumer.name,
        b"seen-time": consumer.seen_ms,
        b"active-time": consumer.active_ms,
        b"pel-count": len(consumer.pending),
        b"pending": pending,
    }


def _reads(group: ConsumerGroup) -> int | None:
    return None if group.entries_read == UNKNOWN_READS else group.entries_read


# -- XINFO GROUPS, CONSUMERS --------------------------------------------------------------------------------------


@family.command(
    "xinfo groups",
    3,
    "readonly",
    key_at(2, "RO ACCESS"),
    since="5.0.0",
    summary="Describes the groups of a stream.",
)
def xinfo_groups(s: Session, argv: list[bytes]) -> Reply:
    """XINFO GROUPS key"""
    stream = _stream(s, argv[2])
    return [
        {
            b"name": name,
            b"consumers": len(group.consumers),
            b"pending": len(group.pending),
            b"last-delivered-id": id_text(group.last_id),
            b"entries-read": _reads(group),
            b"lag": stream.lag(group),
        }
        for name, group in sorted(stream.groups.items())
    ]


@family.command(
    "xinfo consumers",
    4,
    "readonly",
    key_at(2, "RO ACCESS"),
    since="5.0.0",
    summary="Describes the consumers of a group.",
    tips=("nondeterministic_output",),
)
def xinfo_consumers(s: Session, argv: list[bytes]) -> Reply:
    """XINFO CONSUMERS key group"""
    group = existing_group(_stream(s, argv[2]), argv[2], argv[3])
    now_ms = s.keyspace.now_ms
    return [
        {
            b"name": name,
            b"pending": len(consumer.pending),
            b"idle": max(now_ms - consumer.seen_ms, 0),
            b"inactive": now_ms - consumer.active_ms if consumer.active_ms != -1 else -1,
        }
        for name, consumer in sorted(group.consumers.items())
    ]


@family.command("xinfo help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.")
def xinfo_help(s: Session, argv: list[bytes]) -> Reply:
    """XINFO HELP"""
    return help_reply(
        "XINFO",
        ("CONSUMERS <key> <groupname>", "What the group's consumers are like."),
        ("GROUPS <key>", "What the stream's groups are like."),
        ("STREAM <key> [FULL [COUNT <count>]", "What the stream is like."),
    )
