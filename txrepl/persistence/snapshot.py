"""A keyspace as an RDB, and back.

Writing looks at the keyspace only: it runs in a forked child, or in the foreground for SAVE. Reading fills a
keyspace of its own, which the server adopts when the RDB has proven complete; until then the old data stays.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping
from typing import Final

from txrepl.errors import RdbError
from txrepl.keyspace.database import Database, Keyspace, Limits
from txrepl.keyspace.encoding import mark_large
from txrepl.keyspace.values import HashValue, StreamValue, Value
from txrepl.rdb import RdbReader, RdbWriter, Sink, required_version
from txrepl.rdb.opcodes import PORTABLE_VERSION, WITH_FUNCTIONS

PRESENTED_VERSION: Final = b"7.2.4"


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


def needed_version(keyspace: Keyspace, *, portable: bool) -> int:
    """The RDB version that holds the whole keyspace.

    Parameters:
        portable: prefer version 9 for streams, whose later counters any reader estimates, so that old replicas
            can load it.
    """
    version = WITH_FUNCTIONS if keyspace.functions else PORTABLE_VERSION
    for db in keyspace.databases:
        for value in db.data.values():
            kind = type(value)
            if kind is HashValue or (kind is StreamValue and not portable):
                version = max(version, required_version(value))
    return version


def write_snapshot(
    keyspace: Keyspace,
    write: Callable[[bytes], object],
    aux: Mapping[bytes, bytes],
    *,
    portable: bool,
    compress: bool,
    checksum: bool,
    now_s: int,
    after_keys: Callable[[int], None] | None = None,
) -> None:
    """Write the keyspace as one RDB.

    Parameters:
        aux: further AUX fields, such as `origin_aux`.
        portable: for a replica of unknown age rather than for ourselves.
        now_s: unix time in seconds for `ctime`.
        after_keys: called after every 64 keys with the number written since (for `rdb-key-save-delay`).
    """
    writer = RdbWriter(write, version=needed_version(keyspace, portable=portable), compress=compress, checksum=checksum)
    fields = {b"redis-ver": PRESENTED_VERSION, b"redis-bits": b"64", b"ctime": b"%d" % now_s, **aux, b"aof-base": b"0"}
    writer.header(fields)
    for module_id, when, payload in keyspace.module_aux:
        if when == 1:
            writer.module_aux(module_id, when, payload)
    for source in keyspace.functions:
        writer.function(source)
    for db in keyspace.databases:
        if db.data:
            _write_database(writer, db, after_keys)
    for module_id, when, payload in keyspace.module_aux:
        if when != 1:
            writer.module_aux(module_id, when, payload)
    writer.end()


def _write_database(writer: RdbWriter, db: Database, after_keys: Callable[[int], None] | None) -> None:
    writer.select_db(db.number, len(db.data), len(db.expires))
    deadline = db.expires.get
    put = writer.key
    if after_keys is None:
        lasting = db.data.items() if not db.expires else (item for item in db.data.items() if item[0] not in db.expires)
        writer.strings(lasting)
        for key, deadline_ms in db.expires.items():
            put(key, db.data[key], deadline_ms)
        return
    for count, (key, value) in enumerate(db.data.items(), 1):
        put(key, value, deadline(key))
        if count % 64 == 0:
            after_keys(64)


def save_file(keyspace: Keyspace, path: str, aux: Mapping[bytes, bytes], **options: bool | int) -> int:
    """Write the keyspace to a file that appears whole or not at all; returns its size in bytes.

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
                portable=False,
                compress=bool(options["compress"]),
                checksum=bool(options["checksum"]),
                now_s=options["now_s"],
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

    Attributes:
        keyspace: what was loaded.
        facts: the file's AUX fields.
        expired: (database, key) of those skipped.
    """

    def __init__(
        self, databases: int, now_ms: int, limits: Limits, *, drop_expired: bool, checksum: bool = True
    ) -> None:
        self.keyspace = Keyspace(databases, random.Random(0))
        self.keyspace.limits = limits
        self.keyspace.now_ms = now_ms
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

    @property
    def stream_database(self) -> int:
        """The database that the stream has selected where the RDB was made, 0 if it does not say.

        A replica in a chain forwards its primary's bytes: what follows its snapshot need not begin with a SELECT.
        """
        text = self.fact(b"repl-stream-db")
        return int(text) if text.isdigit() and int(text) < len(self.keyspace.databases) else 0

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
        if expire_ms is None:
            self._data[key] = value
        elif self._drop_expired and expire_ms < self._now_ms:
            self.expired.append((self._db.number, key))
            return
        else:
            self._data[key] = value
            self._db.set_expire(key, expire_ms)
        self.keys_loaded += 1

    def function(self, source: bytes) -> None:
        """Keep a function library."""
        self.keyspace.functions.append(source)

    def module_aux(self, module_id: int, when: int, payload: bytes) -> None:
        """Keep a module's own data."""
        self.keyspace.module_aux.append((module_id, when, payload))
