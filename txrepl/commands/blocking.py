"""Who waits for which key, first come first served.

A blocked session is kept under each of its keys in order of arrival. When keys got elements, `ready` names the
sessions to try again; a session that is served or whose time is up is forgotten everywhere (`blockForKeys`,
`handleClientsBlockedOnKeys`).
"""

from __future__ import annotations

from txrepl.commands.session import BLOCKED, Blocked, Session


def _counts(session: Session, blocked: Blocked) -> list[dict[bytes, int]]:
    """Where the database counts those who wait for its keys."""
    return [session.db.waiting, session.db.guarded] if blocked.on_any_change else [session.db.waiting]


class Waiters:
    """The blocked sessions of a server."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[int, bytes], dict[int, Session]] = {}
        self.sessions: dict[int, Session] = {}

    def add(self, session: Session, blocked: Blocked, argv: list[bytes]) -> None:
        """The session waits, and its command is to be run again when a key is ready."""
        session.waiting = blocked
        session.waiting_argv = argv
        session.flags |= BLOCKED
        self.sessions[session.number] = session
        counts = _counts(session, blocked)
        for key in dict.fromkeys(blocked.keys):
            self._by_key.setdefault((session.db.number, key), {})[session.number] = session
            for waiting in counts:
                waiting[key] = waiting.get(key, 0) + 1

    def remove(self, session: Session) -> None:
        """The session waits no more."""
        blocked = session.waiting
        if blocked is None:
            return
        session.waiting = None
        session.waiting_argv = []
        session.flags &= ~BLOCKED
        del self.sessions[session.number]
        counts = _counts(session, blocked)
        for key in dict.fromkeys(blocked.keys):
            place = (session.db.number, key)
            del self._by_key[place][session.number]
            if not self._by_key[place]:
                del self._by_key[place]
            for waiting in counts:
                waiting[key] -= 1
                if not waiting[key]:
                    del waiting[key]

    def on(self, database: int, key: bytes) -> list[Session]:
        """The sessions that wait for a key, in order of arrival."""
        return list(self._by_key.get((database, key), {}).values())

    def of_kind(self, kind: str) -> list[Session]:
        """The sessions that wait for something of a kind."""
        return [session for session in self.sessions.values() if session.waiting and session.waiting.kind == kind]
