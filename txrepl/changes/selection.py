"""Which changes a reader wants, and the transactions that hold any of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from txrepl.changes.checkpoint import Checkpoint
from txrepl.changes.decoder import Change, Decoder, Kind
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.numbers import parse_integer

_WHOLE: Final = frozenset((b"FLUSHALL", b"FLUSHDB", b"SWAPDB"))


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
        return place if self._begun else place._replace(transaction=None)
