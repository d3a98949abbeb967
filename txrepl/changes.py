"""The replication stream as changes: its bytes go in, in any split; what each command did comes out, and where it ends.

    bytes ─ Decoder ─ Change … ─ Sieve (filters, transactions) ─ Change … ─ one JSON object each

A `Checkpoint` names a place between two commands so that the stream goes on from there exactly: the history, the offset
of the last byte before the place, the database that is selected there, and the transaction that is open there. As text
it is the id of a change:

    id = replid ":" offset [ ":" db [ ":" transaction ] ]

PING, SELECT and REPLCONF are no changes; their bytes count. MULTI and EXEC become the begin and the end of a
transaction, which is known by the offset of its MULTI; one that holds no change that is wanted is left out.

A filter by key, or by database, lets through what reaches beyond a key: FLUSHALL, FLUSHDB and SWAPDB, and commands
whose keys are not known. Otherwise a reader would believe in keys that are gone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from itertools import pairwise
from typing import Any, Final

from txrepl.commands.registry import build_table
from txrepl.errors import CommandError
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.numbers import parse_integer
from txrepl.rdb.export import text
from txrepl.replication.backlog import Backlog
from txrepl.resp.requests import OddRequest, RequestParser, request_size

NO_LIMIT_BYTES: Final = 2**62
OFFSET_MAX: Final = 2**63 - 1
ID_PATTERN: Final = r"[0-9a-fA-F]{40}:\d{1,19}(:\d{1,9}(:\d{1,19})?)?"

_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
_TABLE: Final = build_table()
_WHOLE: Final = frozenset((b"FLUSHALL", b"FLUSHDB", b"SWAPDB"))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a history from which the stream can go on.

    Attributes:
        replid: the history.
        offset: the last byte before the place.
        db: the database that is selected there; None = not known, a SELECT has to follow.
        transaction: the offset of the MULTI that is open there; None = none is.
    """

    replid: str
    offset: int
    db: int | None = None
    transaction: int | None = None

    def __str__(self) -> str:
        if self.db is None:
            return f"{self.replid}:{self.offset}"
        if self.transaction is None:
            return f"{self.replid}:{self.offset}:{self.db}"
        return f"{self.replid}:{self.offset}:{self.db}:{self.transaction}"

    @classmethod
    def parse(cls, id: str) -> Checkpoint:
        """The checkpoint that an id names.

        Raises:
            ValueError: it is no id; the message says what one looks like.
        """
        if re.fullmatch(ID_PATTERN, id, re.ASCII) is None:
            raise ValueError("an id is REPLID:OFFSET, REPLID:OFFSET:DB or REPLID:OFFSET:DB:TRANSACTION")
        replid, *words = id.split(":")
        numbers = [int(word) for word in words]
        if max(numbers) > OFFSET_MAX:
            raise ValueError(f"no offset is greater than {OFFSET_MAX}")
        return cls(replid.lower(), *numbers)


class Kind(Enum):
    """What a change is."""

    BEGIN = "begin"
    """A transaction begins."""
    CHANGE = "change"
    END = "end"
    """The transaction ends: its changes count from now on."""


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
        """It as one line of JSON, without the line break; made once for all readers."""
        if not self._json:
            self._json = dump_json(self._fields())
        return self._json

    def _fields(self) -> dict[str, Any]:
        """It as JSON has it. Words that are not UTF-8 are `{"base64": …}`."""
        shown: dict[str, Any] = {"event": self.kind.value, "id": self.id, "db": self.db}
        if self.kind is Kind.CHANGE:
            keys = self.keys
            shown["command"] = self.command
            shown["keys"] = None if keys is None else [text(key) for key in keys]
            shown["args"] = [text(word) for word in self.args]
        shown["tx"] = self.transaction
        return shown


def dump_json(value: dict[str, Any]) -> str:
    """A JSON object in one line."""
    return _encode(value)


def keys_of(argv: list[bytes]) -> list[bytes] | None:
    """The keys that a command names by the key specifications of the command table; None if they are not known."""
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
            if argv and not self._take(argv, begins, found):
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


@dataclass(frozen=True, slots=True)
class Selection:
    """Which changes are wanted; an empty attribute wants all.

    Attributes:
        databases: only those in these.
        commands: only those of these names, in upper case.
        match: only those that name a key like this glob.
    """

    databases: frozenset[int] = frozenset()
    commands: frozenset[bytes] = frozenset()
    match: bytes | None = None

    @property
    def is_all(self) -> bool:
        """Everything is wanted."""
        return not self.databases and not self.commands and self.match is None

    def wants(self, change: Change) -> bool:
        """Whether a change passes."""
        name = change.argv[0].upper()
        if self.commands and name not in self.commands:
            return False
        if self.databases and change.db not in self.databases and not self.databases & _reached(name, change.argv):
            return name == b"FLUSHALL"
        return self.match is None or name in _WHOLE or self.wants_any(change.keys)

    def wants_any(self, keys: Iterable[bytes] | None) -> bool:
        """Whether one of the keys is wanted, whatever its database; keys that are not known are."""
        if self.match is None or keys is None:
            return True
        fits = compile_glob(self.match)
        # As in SCAN, `*` is everything, the empty key too.
        return any(self.match == b"*" or fits(key) for key in keys)


def _reached(name: bytes, argv: list[bytes]) -> frozenset[int]:
    """The databases that a command names beside the one that it runs in."""
    words: list[bytes] = []
    if name == b"SWAPDB":
        words = argv[1:]
    elif name == b"MOVE":
        words = argv[2:3]
    elif name == b"COPY":
        words = [word for option, word in pairwise(argv[3:]) if option.upper() == b"DB"]
    numbers = (parse_integer(word) for word in words)
    return frozenset(number for number in numbers if number is not None)


class Sieve:
    """Lets wanted changes through, and of transactions those that hold any.

    Parameters:
        selection: what is wanted.
        in_transaction: the stream goes on inside of a transaction whose beginning was let through.
    """

    __slots__ = ("_begun", "_held", "_wants_all", "selection")

    def __init__(self, selection: Selection, *, in_transaction: bool = False) -> None:
        self.selection = selection
        self._wants_all = selection.is_all
        self._begun = in_transaction
        self._held: Change | None = None

    @property
    def holds(self) -> bool:
        """The beginning of a transaction waits for a change of it that is wanted."""
        return self._held is not None

    def take(self, changes: list[Change]) -> list[Change]:
        """Those of the changes, which follow one another, that are let through."""
        found: list[Change] = []
        for change in changes:
            if change.kind is Kind.BEGIN:
                self._held = change
            elif change.kind is Kind.END:
                if self._begun:
                    found.append(change)
                self._held = None
                self._begun = False
            elif self._wants_all or self.selection.wants(change):
                if self._held is not None:
                    found.append(self._held)
                    self._held = None
                    self._begun = True
                found.append(change)
        return found

    def checkpoint(self, decoder: Decoder) -> Checkpoint:
        """The place to go on from, once all that was let through is dealt with.

        Parameters:
            decoder: whose changes were taken, all of them.
        """
        held = self._held
        if held is not None and held.transaction is not None:  # nothing of it was let through yet
            return Checkpoint(decoder.replid, held.transaction - 1, held.db)
        place = decoder.place
        return place if self._begun else replace(place, transaction=None)


def locate(backlog: Backlog, offset: int) -> tuple[int, int]:
    """Where the command that a byte of the backlog belongs to begins, and where the one after it does.

    Every block of a backlog begins with a command, so that few bytes are looked at.

    Parameters:
        offset: one that the backlog covers; the end of the stream is a beginning too.
    """
    begins = at = backlog.block_start(offset)
    parser = RequestParser(NO_LIMIT_BYTES)
    while at < backlog.end_offset:
        data = backlog.read(at, 64 * 1024)
        at += len(data)
        for argv in parser.feed(data):
            ends = begins + request_size(argv)
            if ends > offset:
                return begins, ends
            begins = ends
    return begins, begins
