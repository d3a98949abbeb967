"""The stream over HTTP: `GET /v1/changes`, `/v1/snapshot`, `/v1/backlog/commands`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from twisted.internet.task import deferLater
from twisted.web.server import Request

from txrepl.admin.answers import json_answer, query_of
from txrepl.admin.bodies import OFFSET_MAX, preferred, read_whole
from txrepl.admin.changes import READERS_MAX, ChangeStreams
from txrepl.admin.contract import (
    JSON,
    Feature,
    Handlers,
    Route,
    Schema,
    Scope,
    array,
    count,
    flag,
    or_null,
    record,
    ref,
    string,
)
from txrepl.admin.downloads import Downloads
from txrepl.admin.problems import ConflictError, GoneError, InvalidError, UnavailableError
from txrepl.admin.resuming import SNAPSHOT, DatabaseSearch, accepted, check_boundary, present, settled_backlog
from txrepl.admin.streaming import begin_headers
from txrepl.admin.views import Json
from txrepl.admin.waiting import ARGUMENT_SHOWN_BYTES, ARGUMENTS_SHOWN, LIMIT, LIMIT_MAX, command_shown
from txrepl.changes import ID_PATTERN, NO_LIMIT_BYTES, Checkpoint, Selection
from txrepl.changes.encoder import Format
from txrepl.node import Node
from txrepl.replication.backlog import Backlog
from txrepl.resp.requests import RequestParser, request_size

SLICE_S: Final = 0.01
READ_BYTES: Final = 16 * 1024
RDB: Final = "application/octet-stream"
DATABASE_MAX: Final = 2**31 - 1
COMMANDS_MAX: Final = 64
WORD_MAX_BYTES: Final = 1024


class Changes(Handlers):
    """The stream, read by programs."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._streams = ChangeStreams(scope)
        self._downloads = Downloads(scope)

    async def changes(self, request: Request) -> bytes:
        """Every change, as it happens."""
        query = query_of(request, "from", "db", "match", "command")
        selection = read_selection(query)
        format = Format(preferred(_header(request, "accept"), *(one.value for one in Format)))
        start = await self._start(_header(request, "last-event-id"), query.get("from", ""))
        if self._streams.count >= READERS_MAX:
            raise UnavailableError(f"{READERS_MAX} clients read the changes already")
        begin_headers(request, format.value)
        if request.method == b"HEAD":
            return b""
        return await self._streams.add(request, format, selection, start)

    async def _start(self, last_id: str, from_id: str) -> Checkpoint:
        """Where the stream is to begin. What a client has seen counts more than what it was once told to begin with."""
        node = self.node
        name = "Last-Event-ID" if last_id else "from"
        if not last_id and not from_id:
            settled_backlog(node)
            return present(node)
        try:
            start = accepted(node, Checkpoint.parse(last_id or from_id))
        except ValueError as error:
            raise InvalidError(name, str(error)) from None
        if start.db is None:
            search = DatabaseSearch(node, start)
            await self._in_slices(search.pieces())
            start = accepted(node, start)._replace(db=search.db)
        return start

    async def snapshot(self, request: Request) -> bytes:
        """The dataset."""
        query_of(request)

        def announce(place: Checkpoint) -> None:
            begin_headers(request, RDB)
            request.setHeader("X-Replication-Id", str(place))
            request.setHeader("Content-Disposition", 'attachment; filename="dump.rdb"')

        if request.method == b"HEAD":
            settled_backlog(self.node)
            announce(present(self.node))
            return b""
        return await self._downloads.add(request, announce)

    async def commands(self, request: Request) -> bytes:
        """What the backlog holds, command by command."""
        query = query_of(request, "from", "limit")
        limit = read_whole(query, "limit", 0, LIMIT_MAX, LIMIT)
        backlog = self.node.feed.backlog
        if backlog is None:
            raise ConflictError("there is no backlog: it is made when the first replica or reader comes")
        self.node.feed.flush()
        first = read_whole(query, "from", 0, OFFSET_MAX, backlog.first_offset)
        if first < backlog.first_offset:
            raise GoneError(
                f"offset {first} is not in the backlog any more: it begins at {backlog.first_offset}", snapshot=SNAPSHOT
            )
        if first > backlog.end_offset:
            raise ConflictError(f"offset {first} is not written yet: the next will be {backlog.end_offset}")
        check_boundary(backlog, first, "from")
        listing = BacklogListing(self.node, backlog, first, limit)
        await self._in_slices(listing.pieces())
        return json_answer(
            request, {"commands": listing.commands, "next_offset": listing.next_offset, "more": listing.more}
        )

    async def _in_slices(self, pieces: Iterator[None]) -> None:
        """Do something piece by piece, so that others get their turn."""
        seconds = self.scope.seconds
        until = seconds() + SLICE_S
        for _ in pieces:
            if seconds() >= until:
                await deferLater(self.scope.clock, 0)
                until = seconds() + SLICE_S


class BacklogListing:
    """The backlog's commands from an offset on, found piece by piece.

    Attributes:
        commands: what was found so far.
        next_offset: where the next command begins.
        more: there are more than the limit allows.
    """

    def __init__(self, node: Node, backlog: Backlog, first: int, limit: int) -> None:
        self.commands: list[Json] = []
        self.next_offset = self._cursor = first
        self.more = False
        self._node = node
        self._backlog = backlog
        self._limit = limit
        self._db: int | None = None

    def pieces(self) -> Iterator[None]:
        """Look into one piece after the other.

        Raises:
            GoneError: what comes next was dropped meanwhile.
        """
        backlog, parser = self._backlog, RequestParser(NO_LIMIT_BYTES)
        end = backlog.end_offset
        while self._cursor < end:
            if not backlog.covers(self._cursor):
                raise GoneError(f"offset {self._cursor} was dropped from the backlog meanwhile", snapshot=SNAPSHOT)
            data = backlog.read(self._cursor, min(READ_BYTES, end - self._cursor))
            self._cursor += len(data)
            for argv in parser.feed(data):
                if len(self.commands) == self._limit:
                    self.more = True
                    return
                size = request_size(argv)
                if argv:
                    self.commands.append(self._shown(argv, size))
                self.next_offset += size
            if parser.error is not None:
                return
            yield

    def _shown(self, argv: list[bytes], size: int) -> Json:
        if argv[0].upper() == b"SELECT" and len(argv) == 2 and argv[1].isdigit():
            self._db = int(argv[1])
        return {
            "offset": self.next_offset,
            "end_offset": self.next_offset + size - 1,
            "db": self._db,
            **command_shown(argv),
        }


def read_selection(query: dict[str, str]) -> Selection:
    """The filters `db`, `command` (both may be lists with commas) and `match`.

    Raises:
        InvalidError: one of them makes no sense.
    """
    databases: set[int] = set()
    for word in query["db"].split(",") if "db" in query else ():
        if not (word.isascii() and word.isdigit() and len(word) < 11 and int(word) <= DATABASE_MAX):
            raise InvalidError("db", "the number of a database is needed, or several with commas between them")
        databases.add(int(word))
    commands = [word.strip().upper().encode() for word in query["command"].split(",")] if "command" in query else []
    if len(commands) > COMMANDS_MAX or not all(0 < len(name) <= WORD_MAX_BYTES for name in commands):
        raise InvalidError("command", f"a command's name is needed, or up to {COMMANDS_MAX} with commas between them")
    match = query["match"].encode() if "match" in query else None
    if match is not None and len(match) > WORD_MAX_BYTES:
        raise InvalidError("match", f"a pattern has at most {WORD_MAX_BYTES} bytes")
    return Selection(frozenset(databases), frozenset(commands), match)


def _header(request: Request, name: str) -> str:
    values: Any = request.requestHeaders.getRawHeaders(name, [])
    return ",".join(values)


# -- the contract -----------------------------------------------------------------------------------------------

_WORD: Final[Schema] = {
    "description": "A text, or bytes that are not UTF-8.",
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"base64": {"type": "string"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ],
}
_ID: Final = string("The place after it, to go on from.", pattern=f"^{ID_PATTERN}$")

SCHEMAS: Final[dict[str, Schema]] = {
    "BacklogCommands": record(
        "What the backlog holds, command by command.",
        commands=array(ref("BacklogCommand"), "In order, from `from` on."),
        next_offset=count("Where the next command begins: `from` for the next page."),
        more=flag("There are more than `limit`."),
    ),
    "BacklogCommand": record(
        "A command of the stream.",
        offset=count("Of its first byte.", 1),
        end_offset=count("Of its last byte.", 1),
        db=or_null(count("The database that is selected after it; null while no SELECT was seen.")),
        command=string("Its name."),
        arguments=array(
            {"type": "string"},
            f"The first {ARGUMENTS_SHOWN}, each up to {ARGUMENT_SHOWN_BYTES} bytes, what is not printable escaped.",
        ),
        argument_count=count("How many it has."),
    ),
    "Event": {
        "type": "object",
        "description": "One line of the stream: a change (`change`), the begin or end of a transaction (`begin`, "
        "`end`), how far the stream is although nothing of it was wanted (`position`), a new name of the history "
        "(`history`), or why the stream ends here (`closed`).",
        "properties": {
            "event": {"type": "string", "enum": ["change", "begin", "end", "position", "history", "closed"]},
            "id": _ID,
            "db": or_null(count("The database that it ran in.")),
            "command": string("The command's name, in upper case."),
            "keys": {
                "anyOf": [array(ref("Word"), "The keys that it names."), {"type": "null"}],
                "description": "null where they are not known.",
            },
            "args": array(ref("Word"), "The words after the command's name."),
            "tx": or_null(count("The transaction that it belongs to: the offset of its MULTI; null = none.")),
            "before": string("The history's name before (`history`)."),
            "cause": string("Why the stream ends (`closed`).", enum=["too_slow", "history_ended", "unreadable"]),
            "reason": string("The same in words."),
        },
        "required": ["event", "id"],
        "additionalProperties": False,
    },
    "Word": _WORD,
}

_FILTERS: Final[tuple[Schema, ...]] = (
    {
        "name": "from",
        "in": "query",
        "description": "Begin after this id; without it, with what is written from now on. "
        "The header Last-Event-ID, as browsers send it when they come back, counts more.",
        "schema": {"type": "string", "pattern": f"^{ID_PATTERN}$"},
    },
    {
        "name": "db",
        "in": "query",
        "description": "Only changes in these databases. What reaches into them from others passes too.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": DATABASE_MAX}, "minItems": 1},
    },
    {
        "name": "match",
        "in": "query",
        "description": "Only changes that name a key like this glob, or empty or swap whole databases, or whose keys "
        "are not known.",
        "schema": {"type": "string", "maxLength": WORD_MAX_BYTES},
    },
    {
        "name": "command",
        "in": "query",
        "description": "Only these commands.",
        "style": "form",
        "explode": False,
        "schema": {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
    },
)

FEATURE: Final = Feature(
    Changes,
    (
        Route(
            Changes.changes,
            "get",
            "/v1/changes",
            "changes",
            "stream",
            "Every change as it happens, resumable.",
            {
                Format.SSE.value: {"type": "string", "description": "The data of each event is an Event."},
                Format.NDJSON.value: "Event",
            },
            "With NDJSON each line that is not empty is an Event. The stream goes on until the client leaves, or is "
            "too slow for the backlog (a last event says so).",
            statuses={200: "The stream."},
            refusals={
                409: "The id's offset lies inside of a command, or its database is not known.",
                410: "The stream cannot go on from this id: `condition` and `detail` say why, `snapshot` where to go.",
                422: "A parameter is unknown or not valid.",
                503: "There is no history yet, or there are too many readers.",
            },
            parameters=_FILTERS,
            streams=True,
        ),
        Route(
            Changes.snapshot,
            "get",
            "/v1/snapshot",
            "snapshot",
            "stream",
            "The dataset as an RDB.",
            {RDB: {"type": "string"}},
            "The header X-Replication-Id is the id from which GET /v1/changes goes on, without gap or repeat. "
            "An answer that breaks off is not whole.",
            statuses={200: "The RDB."},
            refusals={
                422: "A parameter is unknown.",
                503: "There is no dataset yet, no snapshot can be made, or there are too many readers.",
            },
            streams=True,
        ),
        Route(
            Changes.commands,
            "get",
            "/v1/backlog/commands",
            "backlog_commands",
            "facts",
            "What the backlog holds, command by command.",
            {JSON: "BacklogCommands"},
            refusals={
                409: "There is no backlog, or the offset is not written yet or inside of a command.",
                410: "The offset is not in the backlog any more.",
                422: "A parameter is unknown or out of range.",
            },
            parameters=(
                {
                    "name": "from",
                    "in": "query",
                    "description": "The offset of the first command; the oldest held where it is not given.",
                    "schema": {"type": "integer", "minimum": 0, "maximum": OFFSET_MAX},
                },
                {
                    "name": "limit",
                    "in": "query",
                    "description": "How many commands at most.",
                    "schema": {"type": "integer", "minimum": 0, "maximum": LIMIT_MAX, "default": LIMIT},
                },
            ),
        ),
    ),
    SCHEMAS,
)
