"""`python -m txrepl.rdb FILE`: what is in an RDB file, as text on standard output.

Standard output carries the keys and nothing else; errors and the progress bar go to standard error. A bad file ends
with one line that says what is wrong and at which byte, and exit code 1; what was read before it is printed.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from txrepl.errors import RdbError
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.values import TYPE_NAMES, Value, type_name
from txrepl.rdb.export import (
    CSV_HEADER,
    commands,
    csv_row,
    encode_command,
    json_function,
    json_line,
    measure,
)
from txrepl.rdb.opcodes import WITH_STREAM_COUNTERS
from txrepl.rdb.reader import RdbReader
from txrepl.rdb.sink import Sink

_PIECE_BYTES: Final = 256 * 1024
_BAR_COLUMNS: Final = 30
_BAR_INTERVAL_S: Final = 0.1


class Selection:
    """Which keys are wanted.

    Parameters:
        match: glob over the key, None for all.
        db: database, None for all.
        type_wanted: type name, None for all.
    """

    def __init__(self, match: bytes | None, db: int | None, type_wanted: str | None) -> None:
        self._matches: Callable[[bytes], bool] | None = None if match is None else compile_glob(match)
        self._db = db
        self._type = type_wanted

    def wants(self, db: int, key: bytes, value: Value) -> bool:
        """Whether this key is to be shown."""
        if self._db is not None and db != self._db:
            return False
        if self._type is not None and type_name(value) != self._type:
            return False
        return self._matches is None or self._matches(key)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out, functions included."""
        return self._matches is None and self._db is None and self._type is None


class Printer(Sink, ABC):
    """Base of the formats: knows the database, asks the selection."""

    def __init__(self, selection: Selection, out: BinaryIO) -> None:
        self.db = 0
        self.selection = selection
        self.out = out

    def select_db(self, index: int) -> None:
        self.db = index

    def key(self, key: bytes, value: Value, expire_ms: int | None, idle_s: int | None, freq: int | None) -> None:
        if self.selection.wants(self.db, key, value):
            self.show(key, value, expire_ms)

    @abstractmethod
    def show(self, key: bytes, value: Value, expire_ms: int | None) -> None:
        """Print a key that was selected."""

    def close(self) -> None:
        """Print what comes after the last key."""


class JsonPrinter(Printer):
    """One JSON object a line."""

    def function(self, source: bytes) -> None:
        if self.selection.is_all:
            self.out.write(json_function(source).encode() + b"\n")

    def show(self, key: bytes, value: Value, expire_ms: int | None) -> None:
        self.out.write(json_line(self.db, key, value, expire_ms).encode() + b"\n")


class CsvPrinter(Printer):
    """One row a key: sizes, not contents."""

    def __init__(self, selection: Selection, out: BinaryIO) -> None:
        super().__init__(selection, out)
        self._rows = csv.writer(_Utf8(out))
        self._rows.writerow(CSV_HEADER)

    def show(self, key: bytes, value: Value, expire_ms: int | None) -> None:
        self._rows.writerow(csv_row(self.db, key, value, expire_ms))


class _Utf8:
    """A binary file as `csv.writer` wants it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode())


class RespPrinter(Printer):
    """The commands that rebuild the dataset, for `redis-cli --pipe`."""

    def __init__(self, selection: Selection, out: BinaryIO, reader: RdbReader) -> None:
        super().__init__(selection, out)
        self._selected = -1
        self._reader = reader

    def function(self, source: bytes) -> None:
        if self.selection.is_all:
            self.out.write(encode_command([b"FUNCTION", b"LOAD", b"REPLACE", source]))

    def show(self, key: bytes, value: Value, expire_ms: int | None) -> None:
        if self._selected != self.db:
            self._selected = self.db
            self.out.write(encode_command([b"SELECT", b"%d" % self.db]))
        counters = self._reader.version >= WITH_STREAM_COUNTERS
        for words in commands(key, value, expire_ms, counters):
            self.out.write(encode_command(words))


class StatsPrinter(Printer):
    """Counts and sizes per database and type, aligned."""

    def __init__(self, selection: Selection, out: BinaryIO, reader: RdbReader) -> None:
        super().__init__(selection, out)
        self._reader = reader
        self._aux: list[tuple[bytes, bytes]] = []
        self._functions = 0
        self._rows: dict[tuple[int, str], list[int]] = {}
        self._largest: dict[tuple[int, str], bytes] = {}

    def aux(self, name: bytes, value: bytes) -> None:
        self._aux.append((name, value))

    def function(self, source: bytes) -> None:
        self._functions += 1

    def show(self, key: bytes, value: Value, expire_ms: int | None) -> None:
        size, elements, _ = measure(value)
        size += len(key)
        place = (self.db, type_name(value))
        row = self._rows.setdefault(place, [0, 0, 0, 0, -1])
        row[0] += 1
        row[1] += expire_ms is not None
        row[2] += elements
        row[3] += size
        if size > row[4]:
            row[4] = size
            self._largest[place] = key

    def close(self) -> None:
        lines = [f"version {self._reader.version} ({self._reader.dialect}), {self._reader.position} bytes"]
        for name, value in self._aux:
            lines.append(f"{_printable(name)} {_printable(value)}")
        lines.append(f"functions {self._functions}")
        table: list[tuple[str, ...]] = [
            ("db", "type", "keys", "expiring", "elements", "bytes", "largest_bytes", "largest_key")
        ]
        totals = [0, 0, 0, 0]
        for (db, kind), row in sorted(self._rows.items()):
            table.append((str(db), kind, *map(str, row), _printable(self._largest[db, kind])))
            totals = [total + number for total, number in zip(totals, row, strict=False)]
        table.append(("all", "", *map(str, totals), "", ""))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        for cells in table:
            lines.append(
                "  ".join(
                    _align(cell, width, at) for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
                ).rstrip()
            )
        self.out.write("".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace"))


def _align(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if 2 <= column <= 6 else cell.ljust(width)


def _printable(data: bytes) -> str:
    """Text for a terminal: no control characters, no bytes that are not UTF-8."""
    decoded = data.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in decoded)


class ProgressBar:
    """How far the file is read, redrawn in place; silent where nobody watches.

    Parameters:
        total: size of the file in bytes, 0 if not known.
        stream: where to draw; nothing is drawn unless it is a terminal.
    """

    def __init__(self, total: int, stream: TextIO) -> None:
        self._total = total
        self._stream = stream
        self._drawn = False
        self._next = 0.0
        self._active = stream.isatty()

    def update(self, done: int) -> None:
        """So many bytes are read."""
        now = time.monotonic()
        if not self._active or now < self._next:
            return
        self._next = now + _BAR_INTERVAL_S
        megabytes = done / 1e6
        if self._total:
            filled = _BAR_COLUMNS * done // self._total
            bar = "#" * filled + "." * (_BAR_COLUMNS - filled)
            line = f"[{bar}] {100 * done // self._total:3d}% {megabytes:.1f} MB"
        else:
            line = f"{megabytes:.1f} MB"
        self._stream.write("\r" + line)
        self._stream.flush()
        self._drawn = True

    def clear(self) -> None:
        """Take the bar away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m txrepl.rdb", description="Print what is in an RDB file.")
    parser.add_argument(
        "file", metavar="FILE", help="RDB file of Redis (versions 1-12) or Valkey (80); - is standard input"
    )
    parser.add_argument(
        "--format",
        choices=("json", "resp", "csv"),
        default="json",
        help="json: a line per key (default); resp: commands for redis-cli --pipe; csv: sizes per key",
    )
    parser.add_argument("--match", metavar="GLOB", help="only keys that match the pattern, as in KEYS")
    parser.add_argument("--db", type=int, metavar="N", help="only this database")
    parser.add_argument(
        "--type", choices=sorted(TYPE_NAMES.values()), metavar="T", help="only keys of this type: %(choices)s"
    )
    parser.add_argument("--stats", action="store_true", help="counts and sizes per database and type, instead of keys")
    return parser.parse_args(argv)


def _printer(options: argparse.Namespace, reader: RdbReader, out: BinaryIO) -> Printer:
    match = None if options.match is None else os.fsencode(options.match)
    selection = Selection(match, options.db, options.type)
    if options.stats:
        return StatsPrinter(selection, out, reader)
    if options.format == "resp":
        return RespPrinter(selection, out, reader)
    return CsvPrinter(selection, out) if options.format == "csv" else JsonPrinter(selection, out)


def _read(source: BinaryIO, total: int, reader: RdbReader, printer: Printer) -> None:
    bar = ProgressBar(total, sys.stderr)
    read_bytes = 0
    try:
        while not reader.done and (piece := source.read(_PIECE_BYTES)):
            reader.feed(piece, printer)
            read_bytes += len(piece)
            bar.update(read_bytes)
        reader.finish()
    finally:
        bar.clear()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _arguments(argv)
    out = sys.stdout.buffer
    reader = RdbReader()
    try:
        printer = _printer(options, reader, out)
        if options.file == "-":
            _read(sys.stdin.buffer, 0, reader, printer)
        else:
            path = Path(options.file)
            with path.open("rb") as source:
                _read(source, path.stat().st_size, reader, printer)
        printer.close()
        out.flush()
    except BrokenPipeError:
        # The reader of our output left (`| head`): point stdout nowhere, so that Python's exit does not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except RdbError as failure:
        out.flush()
        sys.stderr.write(f"{options.file}: {failure}\n")
        return 1
    except OSError as failure:
        sys.stderr.write(f"{options.file}: {failure.strerror or failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
