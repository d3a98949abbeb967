"""A keyspace as an RDB, and back.

Writing looks at the keyspace only: it runs in a forked child, or in the foreground for SAVE. Reading fills a
keyspace of its own, which the server adopts when the RDB has proven complete; until then the old data stays.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.database import Database, Keyspace, Limits
from txrepl.keyspace.encoding import mark_large
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import HashValue, Value
from txrepl.rdb import RdbReader, RdbWriter, Sink, required_version
from txrepl.rdb.opcodes import (
    PORTABLE_VERSION,
    VALKEY_MAX_VERSION,
    WITH_CONSUMER_ACTIVITY,
    WITH_DEADLINES,
    WITH_FUNCTIONS,
    Dialect,
)
from txrepl.replication.snapshot_kind import Reads, SnapshotKind

PRESENTED_VERSION: Final = b"7.2.4"
NAMED_KEYS: Final = 5
"""Keys that an objection names; of more it tells the number."""


def origin_aux(replid: str, offset: int, stream_db: int) -> dict[bytes, bytes]:
    """The AUX fields that let a restart go on by partial resync (`rdbSaveInfoAuxFields`).

    Parameters:
        stream_db: the database that the stream has selected; -1 (none) is written as 0.
    """
    return {
        b"repl-stream-db": b"%d" % max(stream_db, 0),
        b"repl-id": replid.encode(),
        b"repl-offset": b"%d" % offset,
    }


def version_for(keyspace: Keyspace, kind: SnapshotKind | None) -> tuple[int, Dialect]:
    """The RDB version and dialect in which a snapshot is written.

    Parameters:
        kind: for a replica, the oldest version that holds what it wants, as far as it reads that; whoever reads
            streams of version 9 alone estimates their later counters. None for ourselves: what loses nothing.
    """
    holds_data = kind is None or kind.data
    if holds_data and keyspace.has_field_deadlines and kind is not None and keyspace.keys_with_volatile_fields():
        if kind.reads is Reads.VALKEY_9:
            return VALKEY_MAX_VERSION, "valkey"
        return WITH_DEADLINES, "redis"
    version = PORTABLE_VERSION
    if keyspace.functions and (kind is None or kind.functions):
        version = WITH_FUNCTIONS
    if kind is not None and kind.data and keyspace.has_streams and kind.reads is not Reads.PORTABLE:
        version = WITH_CONSUMER_ACTIVITY
    if kind is None:
        for db in keyspace.databases:
            for value in db.data.values():
                if type(value) is HashValue or type(value) is StreamValue:
                    version = max(version, required_version(value))
    return version, "redis"


def suited(keyspace: Keyspace, kind: SnapshotKind) -> SnapshotKind:
    """The kind whose snapshot has the same bytes for the present data, and suits the most replicas."""
    if keyspace.has_field_deadlines and kind.data:
        return kind
    counts = keyspace.has_streams and kind.data and kind.reads is not Reads.PORTABLE
    return replace(kind, reads=Reads.VERSION_11 if counts else Reads.PORTABLE)


def objection(keyspace: Keyspace, kind: SnapshotKind) -> str:
    """Why a replica cannot be given a snapshot of this kind: it names the keys that it cannot hold. Empty if it can."""
    if kind.reads in (Reads.REDIS_8, Reads.VALKEY_9) or not kind.data or not keyspace.has_field_deadlines:
        return ""
    found = keyspace.keys_with_volatile_fields()
    if not found:
        return ""
    named = ", ".join(
        f"'{key[:64].decode('utf-8', 'backslashreplace')}' (db {number})" for number, key in found[:NAMED_KEYS]
    )
    more = f" and {len(found) - NAMED_KEYS} more" if len(found) > NAMED_KEYS else ""
    return (
        "a replica that says neither 'REPLCONF version 9.0.0' nor 'REPLCONF capa rdb-channel-repl' cannot hold hash "
        f"fields with deadlines: {named}{more}"
    )


def write_snapshot(
    keyspace: Keyspace,
    write: Callable[[bytes], object],
    aux: Mapping[bytes, bytes],
    *,
    kind: SnapshotKind | None,
    compress: bool,
    checksum: bool,
    now_s: int,
    after_key: Callable[[], None] | None = None,
) -> None:
    """Write the keyspace as one RDB.

    Parameters:
        aux: further AUX fields, such as `origin_aux`.
        kind: what a replica wants and reads; None for ourselves.
        now_s: unix time in seconds for `ctime`.
        after_key: called after every key (for `rdb-key-save-delay`).
    """
    version, dialect = version_for(keyspace, kind)
    writer = RdbWriter(write, version=version, compress=compress, checksum=checksum, dialect=dialect)
    fields = {b"redis-ver": PRESENTED_VERSION, b"redis-bits": b"64", b"ctime": b"%d" % now_s, **aux, b"aof-base": b"0"}
    writer.header(fields)
    for module_id, when, payload in keyspace.module_aux:
        if when == 1:
            writer.module_aux(module_id, when, payload)
    for source in keyspace.functions if kind is None or kind.functions else ():
        writer.function(source)
    for db in keyspace.databases if kind is None or kind.data else ():
        if db.data:
            _write_database(writer, db, after_key)
    for module_id, when, payload in keyspace.module_aux:
        if when != 1:
            writer.module_aux(module_id, when, payload)
    writer.end()


def _write_database(writer: RdbWriter, db: Database, after_key: Callable[[], None] | None) -> None:
    writer.select_db(db.number, len(db.data), len(db.expires))
    deadline = db.expires.get
    put = writer.key
    uses = db.keyspace.saves_uses
    if after_key is None and not uses:
        lasting = db.data.items() if not db.expires else (item for item in db.data.items() if item[0] not in db.expires)
        writer.strings(lasting)
        for key, deadline_ms in db.expires.items():
            put(key, db.data[key], deadline_ms)
        return
    counts = db.keyspace.counts_uses
    for key, value in db.data.items():
        idle_s = db.idle_ms(key) // 1000 if uses and not counts else None
        put(key, value, deadline(key), idle_s, db.frequency(key) if uses and counts else None)
        if after_key is not None:
            after_key()


def save_file(
    keyspace: Keyspace,
    path: str,
    aux: Mapping[bytes, bytes],
    options: Mapping[str, bool | int],
    after_key: Callable[[], None] | None = None,
) -> int:
    """Write the keyspace to a file that appears whole or not at all; returns its size in bytes.

    Parameters:
        options: `compress`, `checksum` and `now_s`, as for `write_snapshot`.
        after_key: called after every key.

    Raises:
        OSError: the disk refused it; nothing is left behind.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            write_snapshot(
                keyspace,
                file.write,
                aux,
                kind=None,
                compress=bool(options["compress"]),
                checksum=bool(options["checksum"]),
                now_s=options["now_s"],
                after_key=after_key,
            )
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
    return size


class Loader(Sink):
    """Fills a fresh keyspace from an RDB that is fed in pieces.

    Parameters:
        databases: how many the server has; a key beyond is an error of the file.
        now_ms: unix time in ms.
        limits: from which sizes encodings are large.
        drop_expired: skip keys that are due (a primary loading its own file); a replica keeps them for the
            primary's DEL.
        counts_uses: keep how often keys were used, where the file says it, instead of when.

    Attributes:
        keyspace: what was loaded.
        facts: the file's AUX fields.
        expired: (database, key) of those skipped.
    """

    def __init__(
        self,
        databases: int,
        now_ms: int,
        limits: Limits,
        *,
        drop_expired: bool,
        checksum: bool = True,
        counts_uses: bool = False,
    ) -> None:
        self.keyspace = Keyspace(databases, random.Random(0), now_ms)
        self.keyspace.limits = limits
        self.keyspace.count_uses(counts_uses)
        self.facts: dict[bytes, bytes] = {}
        self.expired: list[tuple[int, bytes]] = []
        self.keys_loaded = 0
        self._drop_expired = drop_expired
        self._now_ms = now_ms
        self._db = self.keyspace.databases[0]
        self._data = self._db.data
        self.reader = RdbReader(verify_checksum=checksum)

    def feed(self, data: bytes) -> None:
        """Take a piece of the RDB.

        Raises:
            RdbError: it is corrupt.
        """
        self.reader.feed(data, self)

    @property
    def done(self) -> bool:
        """The RDB is complete."""
        return self.reader.done

    def leftover(self) -> bytes:
        """Bytes fed after the end of the RDB."""
        return self.reader.leftover()

    def fact(self, name: bytes) -> str:
        """An AUX field as text, empty if the file has none."""
        return self.facts.get(name, b"").decode("ascii", "replace")

    def number(self, name: bytes) -> int | None:
        """An AUX field that is a number from 0 to 2^63 - 1; None if the file has none, or no such number there."""
        text = self.fact(name)
        return int(text) if text.isdigit() and len(text) < 20 and int(text) < 2**63 else None

    @property
    def stream_database(self) -> int:
        """The database that the stream has selected where the RDB was made, 0 if it does not say.

        A replica in a chain forwards its primary's bytes: what follows its snapshot need not begin with a SELECT.
        """
        database = self.number(b"repl-stream-db") or 0
        return database if database < len(self.keyspace.databases) else 0

    def aux(self, name: bytes, value: bytes) -> None:
        """Keep an AUX field."""
        self.facts[name] = value

    def select_db(self, index: int) -> None:
        """Go on in another database.

        Raises:
            RdbError: the server has no such database.
        """
        if index >= len(self.keyspace.databases):
            raise RdbError(
                f"FATAL: Data file was created with a Redis server configured to handle more than "
                f"{len(self.keyspace.databases)} databases. Exiting",
                self.reader.position,
            )
        self._db = self.keyspace.databases[index]
        self._data = self._db.data

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        """Insert a key."""
        if type(value) is not bytes:
            mark_large(value, self.keyspace.limits)
            self._db.heed(key, value)
        if expire_ms is None:
            self._data[key] = value
        elif self._drop_expired and expire_ms < self._now_ms:
            self.expired.append((self._db.number, key))
            return
        else:
            self._data[key] = value
            self._db.set_expire(key, expire_ms)
        if idle_s is not None or freq is not None:
            self._db.set_use(key, idle_s, freq)
        self.keys_loaded += 1

    def function(self, source: bytes) -> None:
        """Keep a function library."""
        self.keyspace.functions.append(source)

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        """Keep a module's own data."""
        self.keyspace.module_aux.append((module_id, when, payload))
