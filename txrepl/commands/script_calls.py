"""What scripts ask of the server: commands, run by a session of their own (`scriptCall`)."""

from __future__ import annotations

from typing import Final

from txrepl.commands.access.checks import check
from txrepl.commands.authentication import denied
from txrepl.commands.session import DENY_BLOCKING, PRIMARY, RESTRICTED, TRACKING, Server, Session
from txrepl.commands.table import DENYOOM, NOSCRIPT, WRITE, Command
from txrepl.errors import OUT_OF_MEMORY, CommandError
from txrepl.resp.replies import Reply
from txrepl.scripting.running import REPL_REPLICA, Run

_INHERITED: Final = PRIMARY | RESTRICTED | TRACKING

UNKNOWN: Final = "ERR Unknown Redis command called from script"
WRONG_NUMBER: Final = "ERR Wrong number of args calling Redis command from script"
NOT_ALLOWED: Final = "ERR This Redis command is not allowed from script"
NO_WRITES: Final = "ERR Write commands are not allowed from read-only scripts."


class ScriptCalls:
    """Runs the commands of a script: the `Caller` of its run.

    The session that runs them has the database, the user and the rights of the client that wants the script.

    Parameters:
        client: who wants it.
    """

    __slots__ = ("_client", "_server", "_session")

    def __init__(self, client: Session) -> None:
        self._client = client
        self._server: Server = client.server
        self._session = session = client.server.script_session
        session.db = client.db
        session.user = client.user
        session.address, session.name = client.address, client.name  # for the slow log
        session.flags = DENY_BLOCKING | client.flags & _INHERITED

    def call(self, argv: list[bytes]) -> Reply:
        """Run a command; what it did waits for the end of the script.

        Raises:
            CommandError: it may not run now, or failed.
        """
        server = self._server
        run = server.scripting.run
        assert run is not None
        command = server.table.by_name.get(argv[0]) or server.table.resolve(argv)
        refusal = self._refusal(run, command, argv)
        if refusal is not None:
            if command is not None:
                command.rejected += 1
            server.stats.count_error(refusal.code)
            raise refusal
        assert command is not None
        if command.flags & WRITE:
            run.wrote = True
        keyspace = server.keyspace
        if run.repl & REPL_REPLICA:
            return server.call_inside(self._session, command, argv)
        effects, expired = len(keyspace.effects), keyspace.expired_keys
        reply = server.call_inside(self._session, command, argv)
        del keyspace.effects[effects + keyspace.expired_keys - expired :]  # what was due is gone for everybody
        return reply

    def _refusal(self, run: Run, command: Command | None, argv: list[bytes]) -> CommandError | None:
        """Why a script may not run the command; None if it may."""
        if command is None:
            return CommandError(UNKNOWN)
        if command.handler is None or not command.least <= len(argv) <= command.most:
            return CommandError(WRONG_NUMBER)
        flags = command.flags
        if flags & NOSCRIPT:
            return CommandError(NOT_ALLOWED)
        session = self._session
        if session.flags & RESTRICTED:
            denial = check(session.user, command, argv)
            if denial is not None:
                denied(self._client, denial, context="lua")
                return CommandError(b"ERR ACL failure in script: " + denial.text())
        if flags & WRITE and run.request.read_only:
            return CommandError(NO_WRITES)
        must_run = run.wrote or run.request.from_primary or run.request.allows_oom
        if flags & DENYOOM and self._server.out_of_memory and not must_run:
            return CommandError(OUT_OF_MEMORY)
        return self._server.script_refusal(session, flags)

    def may_run(self, argv: list[bytes]) -> bool | None:
        """redis.acl_check_cmd."""
        command = self._server.table.by_name.get(argv[0]) or self._server.table.resolve(argv)
        if command is None or command.handler is None:
            return None
        return check(self._session.user, command, argv) is None
