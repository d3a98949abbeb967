"""Bytes of the stream become changes, each with the place after it."""

from __future__ import annotations

import json
from enum import Enum
from json.encoder import encode_basestring as quoted
from typing import Any, Final

from txrepl.changes.checkpoint import NO_LIMIT_BYTES, Checkpoint
from txrepl.commands.registry import build_table
from txrepl.errors import CommandError
from txrepl.keyspace.numbers import parse_integer
from txrepl.rdb.export import text
from txrepl.resp.requests import OddRequest, RequestParser, request_size

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_TABLE: Final = build_table()


class Kind(Enum):
    """What a change is."""

    BEGIN = "begin"
    """A transaction begins."""
    CHANGE = "change"
    END = "end"
    """The transaction ends: its changes count from now on."""


_CHANGE: Final = Kind.CHANGE


class Change:
    """One command of the stream.

    Parameters:
        checkpoint: the place after it.

    Attributes:
        kind: a write, or one end of a transaction.
        transaction: the offset of the MULTI that it belongs to; None = none.
        argv: the command's words.
    """

    __slots__ = ("_id", "_json", "_keys", "argv", "checkpoint", "kind", "transaction")

    def __init__(self, kind: Kind, checkpoint: Checkpoint, transaction: int | None, argv: list[bytes]) -> None:
        self.kind = kind
        self.checkpoint = checkpoint
        self.transaction = transaction
        self.argv = argv
        self._keys: list[bytes] | bool | None = False
        self._id = ""
        self._json = ""

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.argv!r} up to {self.checkpoint}>"

    @property
    def db(self) -> int | None:
        """The database that it ran in."""
        return self.checkpoint.db

    @property
    def id(self) -> str:
        """The place after it as text."""
        if not self._id:
            self._id = str(self.checkpoint)
        return self._id

    @property
    def command(self) -> str:
        """The command's name in upper case."""
        return self.argv[0].decode("utf-8", "backslashreplace").upper()

    @property
    def args(self) -> list[bytes]:
        """The words after the command's name."""
        return self.argv[1:]

    @property
    def keys(self) -> list[bytes] | None:
        """The keys that it names; None where they are not known."""
        if self._keys is False:
            self._keys = keys_of(self.argv)
        assert not isinstance(self._keys, bool)
        return self._keys

    def json(self) -> str:
        """It as one line of JSON, without the line break; made once for all readers.

        Words that are not UTF-8 are `{"base64": …}`.
        """
        if not self._json:
            db, transaction = self.checkpoint.db, self.transaction
            place = f'"id":"{self.id}","db":{"null" if db is None else db}'
            tx = "null" if transaction is None else transaction
            if self.kind is not _CHANGE:
                self._json = f'{{"event":"{self.kind.value}",{place},"tx":{tx}}}'
                return self._json
            args = [_word(word) for word in self.argv[1:]]
            if args and self.argv[0] in _SINGLE_KEYS:
                listed = f"[{args[0]}]"
            else:
                keys = self.keys
                listed = "null" if keys is None else f"[{','.join([_word(key) for key in keys])}]"
            command = quoted(self.command)
            words = f'"command":{command},"keys":{listed},"args":[{",".join(args)}]'
            self._json = f'{{"event":"change",{place},{words},"tx":{tx}}}'
        return self._json


def _word(data: bytes) -> str:
    try:
        return quoted(data.decode())
    except UnicodeDecodeError:
        return dump_json(text(data))


def dump_json(value: Any) -> str:
    """A JSON value in one line."""
    return _encode(value)


def _single_keys() -> frozenset[bytes]:
    """The commands whose one key is their first word: most, and known without a look into the table."""
    names = set()
    for name, entry in _TABLE.by_name.items():
        specs = entry.keys
        if entry.find_keys is None and len(specs) == 1:
            spec = specs[0]
            first = spec.keyword is None and spec.count_at is None and (spec.index, spec.last) == (1, 0)
            if first and not spec.incomplete and "NOT_KEY" not in spec.flags:
                names.add(name)
    return frozenset(names)


_SINGLE_KEYS: Final = _single_keys()


def keys_of(argv: list[bytes]) -> list[bytes] | None:
    """The keys that a command names by the key specifications of the command table; None if they are not known."""
    if argv[0] in _SINGLE_KEYS and len(argv) > 1:
        return [argv[1]]
    entry = _TABLE.resolve(argv)
    if entry is None:
        return None
    try:
        return [argv[position] for position, _ in entry.key_positions(argv)]
    except (CommandError, IndexError):
        return None


class Decoder:
    """Turns bytes of the stream into changes.

    Parameters:
        start: the place before the first byte that is fed.

    Attributes:
        replid: the history; it may go on under another id.
        offset, db, transaction: the place after the last command that is complete.
        error: what is wrong with the bytes that followed, in words; the changes before are good.
    """

    __slots__ = ("_parser", "db", "error", "offset", "replid", "transaction")

    def __init__(self, start: Checkpoint) -> None:
        self.replid = start.replid
        self.offset = start.offset
        self.db = start.db
        self.transaction = start.transaction
        self.error: str | None = None
        self._parser = RequestParser(NO_LIMIT_BYTES)

    @property
    def place(self) -> Checkpoint:
        """The place after the last command that is complete."""
        return Checkpoint(self.replid, self.offset, self.db, self.transaction)

    def feed(self, data: bytes) -> list[Change]:
        """The changes that are complete now."""
        found: list[Change] = []
        if self.error is not None:
            return found
        for argv in self._parser.feed(data):
            if argv.__class__ is OddRequest and argv:
                self.error = f"an inline command in the stream, after offset {self.offset}"
                return found
            begins = self.offset + 1
            self.offset += request_size(argv)
            if not argv:
                continue
            if self.db is not None and argv[0] in _SINGLE_KEYS:
                place = Checkpoint(self.replid, self.offset, self.db, self.transaction)
                found.append(Change(_CHANGE, place, self.transaction, argv))
            elif not self._take(argv, begins, found):
                self.offset = begins - 1
                return found
        if self._parser.error is not None:
            self.error = f"{self._parser.error}, after offset {self.offset}"
        return found

    def _take(self, argv: list[bytes], begins: int, found: list[Change]) -> bool:
        """Take one command; False if the stream cannot be read beyond it."""
        name = argv[0].upper()
        match name:
            case b"SELECT":
                db = parse_integer(argv[1]) if len(argv) == 2 else None
                if db is None or db < 0:
                    self.error = f"a SELECT of no database, after offset {begins - 1}"
                    return False
                self.db = db
            case b"PING" | b"REPLCONF":
                pass
            case b"MULTI":
                self.transaction = begins
                found.append(Change(Kind.BEGIN, self.place, begins, argv))
            case b"EXEC" | b"DISCARD":
                ended, self.transaction = self.transaction, None
                found.append(Change(Kind.END, self.place, ended, argv))
            case _:
                if self.db is None:
                    self.error = (
                        f"which database is selected after offset {begins - 1} is not known: "
                        "give the id with its third part, REPLID:OFFSET:DB"
                    )
                    return False
                found.append(Change(Kind.CHANGE, self.place, self.transaction, argv))
        return True
