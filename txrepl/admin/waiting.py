"""What a delayed replica has received and not applied, command by command, as `GET /v1/delay` shows it.

Up to `replica-delay-max-bytes` may wait, so they are read in slices; what arrives or is applied meanwhile changes
nothing in the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from txrepl.admin.views import Json, printable
from txrepl.node import Node
from txrepl.replication.delay import Pending, decode

LIMIT: Final = 20
LIMIT_MAX: Final = 1000
ARGUMENTS_SHOWN: Final = 16
ARGUMENT_SHOWN_BYTES: Final = 128
NAME_SHOWN_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which commands are asked for.

    Attributes:
        limit: how many at most.
        command: only those of this name, in upper case; empty = all.
        from_offset: only those that begin here or later.
    """

    limit: int = LIMIT
    command: str = ""
    from_offset: int = 0


class Listing:
    """The commands that wait, found piece by piece.

    Parameters:
        node: whose they are, as of now.

    Attributes:
        commands: what was found so far.
        more: there are more than the limit allows.
    """

    def __init__(self, node: Node, wanted: Wanted) -> None:
        self.commands: list[Json] = []
        self.more = False
        self._wanted = wanted
        self._name = wanted.command.encode("utf-8", "surrogateescape")
        self._delay_ms = node.delay.delay_ms
        self._found = decode(node.delay.parts(), node.feed.history.offset + 1)

    def pieces(self) -> Iterator[None]:
        """Look into one piece after the other, until the limit is reached or the end."""
        for commands in self._found:
            for found in commands:
                if found.offset < self._wanted.from_offset or (self._name and found.argv[0].upper() != self._name):
                    continue
                if len(self.commands) == self._wanted.limit:
                    self.more = True
                    return
                self.commands.append(_shown(found, self._delay_ms))
            yield


def _shown(found: Pending, delay_ms: int) -> Json:
    return {
        "offset": found.offset,
        "end_offset": found.end_offset,
        "transaction_offset": found.transaction_offset,
        "arrived_ms": found.arrived_ms,
        "due_ms": found.arrived_ms + delay_ms,
        **command_shown(found.argv),
    }


def command_shown(argv: list[bytes]) -> Json:
    """A command for people to read: its name, and the beginning of its arguments."""
    name, *arguments = argv
    return {
        "command": _text(name[:NAME_SHOWN_BYTES]).upper(),
        "arguments": [_text(word[:ARGUMENT_SHOWN_BYTES]) for word in arguments[:ARGUMENTS_SHOWN]],
        "argument_count": len(arguments),
    }


def _text(word: bytes) -> str:
    return printable(word.decode("utf-8", "surrogateescape"))
