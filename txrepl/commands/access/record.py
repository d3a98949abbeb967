"""What was denied of late (ACL LOG): alike denials within a minute are one entry that counts them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from txrepl.commands.access.checks import Reason

_GROUPED_MS: Final = 60_000
_LOOKED_AT: Final = 10
"""How many of the newest entries a denial is compared with."""
_SUBJECT_MAX_BYTES: Final = 4096
"""What an entry keeps of a key or a name: nobody fills memory with what is denied to them."""


@dataclass(slots=True)
class Entry:
    """One or more alike denials.

    Attributes:
        number: ascending; goes on after ACL LOG RESET.
        reason: what was denied.
        context: where: `toplevel`, `multi` or `lua`.
        subject: the command, key or channel, or for a failed login the command that tried.
        username: who, or as whom somebody tried to log in.
        client: the client's line of CLIENT LIST, the last one's.
        created_ms, updated_ms: unix ms of the first and the last.
        count: how many.
    """

    number: int
    reason: Reason
    context: str
    subject: bytes
    username: bytes
    client: bytes
    created_ms: int
    updated_ms: int
    count: int = 1

    def is_like(self, other: Entry) -> bool:
        """Whether both are the same thing, and less than a minute apart (`ACLLogMatchEntry`)."""
        return (
            self.reason is other.reason
            and self.context == other.context
            and abs(self.updated_ms - other.updated_ms) <= _GROUPED_MS
            and self.subject == other.subject
            and self.username == other.username
        )


class Record:
    """The entries, newest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._next = 0

    def add(  # noqa: PLR0917
        self, reason: Reason, context: str, subject: bytes, username: bytes, client: bytes, now_ms: int, most: int
    ) -> None:
        """Note a denial (`addACLLogEntry`).

        Parameters: as `Entry`'s.
            most: how many entries are kept (`acllog-max-len`).
        """
        subject, username = subject[:_SUBJECT_MAX_BYTES], username[:_SUBJECT_MAX_BYTES]
        fresh = Entry(self._next, reason, context, subject, username, client, now_ms, now_ms)
        for at, entry in enumerate(islice(self._entries, _LOOKED_AT)):
            if entry.is_like(fresh):
                entry.client, entry.updated_ms = client, now_ms
                entry.count += 1
                del self._entries[at]
                self._entries.appendleft(entry)
                return
        self._next += 1
        self._entries.appendleft(fresh)
        while len(self._entries) > most:
            self._entries.pop()

    def newest(self, count: int) -> Iterator[Entry]:
        """At most so many entries."""
        return islice(self._entries, count)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
