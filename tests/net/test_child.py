"""The reading end of a child's pipe: whatever the reactor tells it, only an end that is one counts."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from txrepl.net.child import PipeReader


class Reactor:
    """Keeps the readers."""

    def __init__(self) -> None:
        self.readers: set[object] = set()

    def addReader(self, reader: object) -> None:  # noqa: N802
        """It wants to be told."""
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:  # noqa: N802
        """It does not."""
        self.readers.discard(reader)


class Pipe:
    """A pipe whose reading end is in a reactor."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.got = b""
        self.ended = 0
        reading, self.writing = os.pipe()
        self.reader = PipeReader(self.reactor, reading, self.receive, self.end)

    def receive(self, data: bytes) -> None:
        """Bytes came."""
        self.got += data

    def end(self) -> None:
        """It is over."""
        self.ended += 1

    def hang_up(self) -> None:
        """What the reactor does on a hang-up: it takes the reader out and says that the connection is lost."""
        self.reactor.removeReader(self.reader)
        self.reader.connectionLost(None)

    def close(self) -> None:
        """Close what is open."""
        self.reader.close()
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_a_hang_up_meant_for_a_descriptor_of_the_same_number_is_no_end(pipe: Pipe) -> None:
    """A pipe that was closed in the same turn may have had the number: the new one lives on and is read on."""
    pipe.hang_up()
    assert pipe.ended == 0
    assert pipe.reader in pipe.reactor.readers
    os.write(pipe.writing, b"snapshot")
    pipe.reader.doRead()
    assert pipe.got == b"snapshot"


@pytest.mark.parametrize("how", ["hang_up", "read"])
def test_the_writers_end_is_told_once_however_the_reactor_tells_it(pipe: Pipe, how: str) -> None:
    """What was written last comes first."""
    os.write(pipe.writing, b"last")
    os.close(pipe.writing)
    pipe.writing = -1
    for _ in range(3):
        if how == "hang_up":
            pipe.hang_up()
        elif pipe.reader.fileno() >= 0:
            pipe.reader.doRead()
    assert (pipe.got, pipe.ended) == (b"last", 1)
    assert pipe.reactor.readers == set()
    assert pipe.reader.fileno() == -1
