"""Places in a history, as text and back; and where the commands of a backlog begin."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from txrepl.replication.backlog import Backlog
from txrepl.resp.requests import RequestParser, request_size

NO_LIMIT_BYTES: Final = 2**62
OFFSET_MAX: Final = 2**63 - 1
ID_PATTERN: Final = r"[0-9a-fA-F]{40}:\d{1,19}(:\d{1,9}(:\d{1,19})?)?"


class Checkpoint(NamedTuple):
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
