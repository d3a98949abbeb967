"""Consumer groups: making and removing them and their consumers, and acknowledging."""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.help import help_reply
from txrepl.commands.session import Session
from txrepl.commands.streams_arguments import (
    STREAM,
    create_consumer,
    existing_group,
    loose_id,
    strict_id,
    wrong_subcommand_words,
)
from txrepl.commands.table import Family, key_at
from txrepl.errors import CommandError
from txrepl.keyspace.streams import FIRST_ID, UNKNOWN_READS, ConsumerGroup, StreamId, StreamValue
from txrepl.resp.replies import OK, Reply

family = Family("stream")

_NO_KEY: Final = (
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option "
    "to create an empty stream automatically."
)

family.container("xgroup", since="5.0.0", summary="A container for consumer groups commands.")


def _options(argv: list[bytes], *, may_make: bool) -> tuple[bool, int]:
    """MKSTREAM and ENTRIESREAD: whether the stream is to be made, and the group's read counter."""
    make, reads = False, UNKNOWN_READS
    at = 5
    while at < len(argv):
        option = argv[at].upper()
        if option == b"MKSTREAM" and may_make:
            make = True
            at += 1
        elif option == b"ENTRIESREAD" and at + 1 < len(argv):
            reads = integer(argv[at + 1])
            if reads < 0 and reads != UNKNOWN_READS:
                raise CommandError("ERR value for ENTRIESREAD must be positive or -1")
            at += 2
        else:
            raise wrong_subcommand_words(argv)
    return make, reads


def _stream(s: Session, key: bytes) -> StreamValue:
    stream = s.db.write_stream(key)
    if stream is None:
        raise CommandError(_NO_KEY)
    return stream


def _group(s: Session, key: bytes, name: bytes) -> tuple[StreamValue, ConsumerGroup]:
    stream = _stream(s, key)
    return stream, existing_group(stream, key, name)


@family.command(
    "xgroup create",
    -5,
    "write denyoom",
    key_at(2, "RW INSERT"),
    since="5.0.0",
    summary="Creates a consumer group.",
)
def xgroup_create(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP CREATE key group id|$ [MKSTREAM] [ENTRIESREAD entries-read]"""
    make, reads = _options(argv, may_make=True)
    _, _, key, name, start = argv[:5]
    stream = s.db.write_stream(key) if make else _stream(s, key)
    if len(argv) > 8:
        raise wrong_subcommand_words(argv)
    position: StreamId
    if start == b"$":
        position = FIRST_ID if stream is None else stream.last_id
    else:
        position = strict_id(start)
    if stream is None:
        stream = StreamValue()
        s.db.put(key, stream)
        s.db.heed(key, stream)
        s.db.touch(key)
    if name in stream.groups:
        raise CommandError("BUSYGROUP Consumer Group name already exists")
    stream.groups[name] = ConsumerGroup(position, reads)
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xgroup-create", key)
    return OK


@family.command(
    "xgroup setid",
    -5,
    "write",
    key_at(2, "RW UPDATE"),
    since="5.0.0",
    summary="Sets the last-delivered id of a consumer group.",
)
def xgroup_setid(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP SETID key group id|$ [ENTRIESREAD entries-read]"""
    _, reads = _options(argv, may_make=False)
    stream, group = _group(s, argv[2], argv[3])
    if len(argv) > 7:
        raise wrong_subcommand_words(argv)
    group.last_id = stream.last_id if argv[4] == b"$" else loose_id(argv[4])
    group.entries_read = reads
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xgroup-setid", argv[2])
    return OK


@family.command(
    "xgroup destroy",
    4,
    "write",
    key_at(2, "RW DELETE"),
    since="5.0.0",
    summary="Destroys a consumer group.",
    complexity="O(N) where N is the number of entries in the group's pending entries list (PEL).",
)
def xgroup_destroy(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP DESTROY key group"""
    stream = _stream(s, argv[2])
    group = stream.groups.pop(argv[3], None)
    if group is None:
        return 0
    s.keyspace.lazyfree.value(group)
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xgroup-destroy", argv[2])
    s.db.signal_ready(argv[2])  # whoever waits in the group is told that it is gone
    return 1


@family.command(
    "xgroup createconsumer",
    5,
    "write denyoom",
    key_at(2, "RW INSERT"),
    since="6.2.0",
    summary="Creates a consumer in a consumer group.",
)
def xgroup_createconsumer(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP CREATECONSUMER key group consumer"""
    _, group = _group(s, argv[2], argv[3])
    if argv[4] in group.consumers:
        return 0
    create_consumer(s, argv[2], group, argv[4])
    return 1


@family.command(
    "xgroup delconsumer",
    5,
    "write",
    key_at(2, "RW DELETE"),
    since="5.0.0",
    summary="Deletes a consumer from a consumer group.",
)
def xgroup_delconsumer(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP DELCONSUMER key group consumer"""
    _, group = _group(s, argv[2], argv[3])
    consumer = group.consumers.get(argv[4])
    if consumer is None:
        return 0
    pending = group.drop(consumer)
    s.keyspace.dirty += 1
    s.db.notify(STREAM, b"xgroup-delconsumer", argv[2])
    return pending


@family.command("xgroup help", 2, "loading stale", since="5.0.0", summary="Lists the subcommands.")
def xgroup_help(s: Session, argv: list[bytes]) -> Reply:
    """XGROUP HELP"""
    return help_reply(
        "XGROUP",
        ("CREATE <key> <groupname> <id|$> [option]", "Create a new consumer group. Options are:"),
        ("* MKSTREAM", "Create the empty stream if it does not exist."),
        ("* ENTRIESREAD entries_read", "Set the group's counter of entries read."),
        ("CREATECONSUMER <key> <groupname> <consumer>", "Create a new consumer in the group."),
        ("DELCONSUMER <key> <groupname> <consumer>", "Remove the consumer from the group."),
        ("DESTROY <key> <groupname>", "Remove the group."),
        ("SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]", "Set the group's last id and counter."),
    )


@family.command(
    "xack",
    -4,
    "write fast",
    key_at(1, "RW UPDATE"),
    since="5.0.0",
    summary="Acknowledges entries: they are pending in the group no more.",
    complexity="O(1) for each message ID processed.",
)
def xack(s: Session, argv: list[bytes]) -> Reply:
    """XACK key group id [id …]"""
    stream = s.db.read_stream(argv[1])
    group = None if stream is None else stream.groups.get(argv[2])
    if group is None:
        return 0
    ids = [strict_id(word) for word in argv[3:]]
    acknowledged = sum(map(group.release, ids))
    s.keyspace.dirty += acknowledged
    return acknowledged
