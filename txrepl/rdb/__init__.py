"""RDB files, read and written; usable alone, without the rest of txrepl.

Reading is incremental: feed bytes in any split, get keys. Every version from 1 to 12 and Valkey's 80 is read.

    from txrepl.rdb import RdbReader, Sink

    class Names(Sink):
        def key(self, key, value, expire_ms, idle_s, freq):
            print(key, value)

    reader, sink = RdbReader(), Names()
    with open("dump.rdb", "rb") as file:
        while piece := file.read(65536):
            reader.feed(piece, sink)
    reader.finish()

Writing makes version 9 unless told otherwise, which Redis 5.0 and all later servers load:

    from txrepl.rdb import RdbWriter

    with open("dump.rdb", "wb") as file:
        writer = RdbWriter(file.write)
        writer.header({b"redis-ver": b"7.2.4"})
        writer.select_db(0, keys=1, expires=0)
        writer.key(b"greeting", b"hello", None)
        writer.end()

Rows of a keyspace are the classes of `txrepl.keyspace.values`; a string is plain bytes. Anything wrong with an RDB
is an `RdbError` that says what and at which byte. `python -m txrepl.rdb FILE` prints a file.

    opcodes      the format's numbers
    primitives   lengths, strings, doubles, LZF, CRC
    compact      ziplist, listpack, intset, zipmap
    collections  values that come element by element or packed
    streams      streams with groups and pending entries
    sink         what a reader calls
    reader       the incremental reader
    writer       the writer
    dump         DUMP and RESTORE payloads
    export       keys as JSON, CSV and commands
    __main__     the command line
"""

from __future__ import annotations

from txrepl.errors import RdbError
from txrepl.rdb.dump import dump, dump_version, restore
from txrepl.rdb.reader import RdbReader
from txrepl.rdb.sink import Sink
from txrepl.rdb.writer import RdbWriter, required_version

__all__ = ["RdbError", "RdbReader", "RdbWriter", "Sink", "dump", "dump_version", "required_version", "restore"]
