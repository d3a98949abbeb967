"""What many tests share: a session without a server, and parsers fed in every split."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping

from hypothesis import strategies as st

from txrepl.commands.session import Session
from txrepl.commands.table import CommandTable, Family
from txrepl.errors import CommandError
from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.streams import Entry, StreamId, StreamValue
from txrepl.resp.replies import Reply


def stream_of(entries: Mapping[StreamId, Entry]) -> StreamValue:
    """A stream of these entries, given in ascending order."""
    stream = StreamValue()
    for entry_id, entry in entries.items():
        stream.append(entry_id, entry)
    return stream


class BareServer:
    """A server with a keyspace and nothing else, for command families that need no more."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.keyspace = Keyspace(16, random.Random(1), now_ms)

    def now(self) -> int:
        """The time stands still."""
        return self.keyspace.now_ms


class FamilyBench:
    """Runs commands of some families against a bare keyspace.

    Parameters:
        families: what is in the command table.
    """

    def __init__(self, *families: Family) -> None:
        self.server = BareServer()
        self.table = CommandTable(*families)
        self.session = Session(self.server, 1)

    @property
    def keyspace(self) -> Keyspace:
        """The keyspace that the commands change."""
        return self.server.keyspace

    def run(self, *words: str | bytes | int | float) -> Reply:
        """Run one command; a refused one gives its CommandError as the reply."""
        argv = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        entry = self.table.resolve(argv)
        assert entry is not None and entry.handler is not None, argv
        self.keyspace.verbatim = True
        if not entry.accepts(len(argv)):
            return CommandError(f"ERR wrong number of arguments for '{entry.name}' command")
        try:
            return entry.handler(self.session, argv)
        except CommandError as error:
            return error

    def effects(self) -> list[tuple[int, tuple[bytes, ...]]]:
        """What was put into the stream since the last call."""
        taken = list(self.keyspace.effects)
        self.keyspace.effects.clear()
        return taken


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Data in pieces that end at these places, and at its end."""
    ends = sorted({place for place in places if 0 < place < len(data)})
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def byte_by_byte(data: bytes) -> list[bytes]:
    """Data in pieces of one byte."""
    return cut(data, range(len(data)))


def every_split(data: bytes) -> Iterator[list[bytes]]:
    """Data whole, in two pieces cut at every place, and byte by byte."""
    yield [data]
    for place in range(1, len(data)):
        yield cut(data, [place])
    yield byte_by_byte(data)


def cuts(longest: int = 4096) -> st.SearchStrategy[list[int]]:
    """Places to cut at, for `cut`: few or many."""
    return st.lists(st.integers(1, longest), max_size=24)
