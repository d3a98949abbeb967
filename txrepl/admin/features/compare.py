"""`/v1/compare`: this node's data against another server's, as a job that is looked at and cancelled over HTTP."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web.server import Request

from txrepl.admin.answers import body_of, content_type_of, json_answer, query_of
from txrepl.admin.bodies import Fields, read_fields
from txrepl.admin.comparison import PTTL_TOLERANCE_MS, Comparison, Difference, Kind, Order, Phase, Shell
from txrepl.admin.contract import (
    FORM,
    JSON,
    ORDER_REFUSED,
    QUERY_REFUSED,
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
    values,
)
from txrepl.admin.features.preflight import LOGIN, login_of, place_of
from txrepl.admin.problems import ConflictError, InvalidError, NotFoundError, UnavailableError
from txrepl.admin.selves import is_ourselves
from txrepl.admin.views import Json, is_loading_file, printable
from txrepl.errors import CommandError, ReplicationError
from txrepl.peers.asking import Peer

RUNNING_MAX: Final = 2
KEPT_MAX: Final = 8
LIMIT: Final = 100
LIMIT_MAX: Final = 1000
KEY_SHOWN_BYTES: Final = 1024
_FIELDS: Final = frozenset({"host", "port", "user", "password", "databases", "limit"})
_RIGHTS: Final = (
    "+auth +info +select +scan +exists +type +time +pttl +pexpiretime +multi +exec +dump "
    "+strlen +llen +scard +hlen +zcard +xlen ~*"
)


class Job:
    """A comparison under way, or its result.

    Parameters:
        number: its id.
        started_ms: unix ms.
    """

    def __init__(self, number: int, comparison: Comparison, started_ms: int) -> None:
        self.number = number
        self.comparison = comparison
        self.started_ms = started_ms
        self.ended_ms: int | None = None
        self.running: Deferred[None] | None = None
        self.is_cancelled = False


class Compare(Handlers):
    """Comparisons."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._jobs: dict[int, Job] = {}
        self._last = 0

    def compare(self, request: Request) -> bytes:
        """Begin a comparison."""
        query_of(request)
        order = self._order(read_fields(content_type_of(request), body_of(request), _FIELDS))
        node = self.node
        if is_loading_file(node):
            raise UnavailableError("loading the dataset from disk: compare when that is done")
        if is_ourselves(node.config, node.settings, order.host, order.port):
            raise ConflictError("a node is always equal to itself")
        if sum(job.ended_ms is None for job in self._jobs.values()) >= RUNNING_MAX:
            raise UnavailableError(f"{RUNNING_MAX} comparisons are under way: wait for one, or cancel it")
        while len(self._jobs) >= KEPT_MAX:
            del self._jobs[next(number for number, job in self._jobs.items() if job.ended_ms is not None)]
        self._last += 1
        job = Job(self._last, Comparison(node, order, self._shell()), node.now())
        self._jobs[job.number] = job
        job.running = Deferred.fromCoroutine(self._run(job))
        job.running.addErrback(self._broken, job)
        request.setHeader("Location", f"/v1/compare/{job.number}")
        return json_answer(request, _shown(job), 202)

    def comparisons(self, request: Request) -> bytes:
        """The comparisons that are kept."""
        query_of(request)
        return json_answer(request, {"comparisons": [_shown(job) for job in reversed(self._jobs.values())]})

    def comparison(self, request: Request, number: str) -> bytes:
        """How far a comparison is, and what it found."""
        query_of(request)
        return json_answer(request, _shown(self._job(number)))

    def cancel(self, request: Request, number: str) -> bytes:
        """Cancel a comparison, or drop its result."""
        query_of(request)
        job = self._job(number)
        if job.running is not None and job.ended_ms is None:
            job.is_cancelled = True
            job.running.cancel()
        else:
            del self._jobs[job.number]
        return json_answer(request, _shown(job))

    def _job(self, number: str) -> Job:
        found = self._jobs.get(int(number)) if number.isascii() and number.isdigit() and len(number) < 16 else None
        if found is None:
            raise NotFoundError("no such comparison; GET /v1/compare lists those that are kept")
        return found

    def _order(self, fields: Fields) -> Order:
        host, port = place_of(fields)
        settings = self.node.settings
        user, password = login_of(fields) or (settings.user, settings.password)
        limit = fields.whole("limit", 1, LIMIT_MAX)
        return Order(host, port, user, password, _databases(fields), LIMIT if limit is None else limit)

    # -- running ------------------------------------------------------------------------------------------------

    def _shell(self) -> Shell:
        clock: Any = self.scope.dial.clock

        async def pause(delay_s: float) -> None:
            await deferLater(self.scope.clock, delay_s)

        async def offload(work: Callable[[], int]) -> int:
            found: int = await deferToThreadPool(clock, clock.getThreadPool(), work)
            return found

        return Shell(self.scope.seconds, pause, offload)

    async def _run(self, job: Job) -> None:
        comparison, order = job.comparison, job.comparison.order
        peer = Peer(self.scope.dial.clock)
        self.node.log("notice", f"Comparing with {printable(order.host)}:{order.port}")
        try:
            await self.scope.dial.open(order.host, order.port, peer)
            await comparison.run(peer)
        except ReplicationError as error:
            comparison.phase, comparison.error = Phase.FAILED, str(error)
        except CommandError as error:
            comparison.phase, comparison.error = Phase.FAILED, _refused(error, order.user)
        except ValueError:
            comparison.phase, comparison.error = Phase.FAILED, "INFO there is not as Redis has it"
        except (CancelledError, ConnectingCancelledError):
            comparison.phase = Phase.CANCELLED
        finally:
            if job.is_cancelled:  # the end of an attempt to connect may look like any failure
                comparison.phase, comparison.error = Phase.CANCELLED, ""
            peer.close()
            job.ended_ms = self.node.now()

    def _broken(self, failure: Failure, job: Job) -> None:
        job.comparison.phase, job.comparison.error = Phase.FAILED, "something went wrong here: the log says more"
        job.ended_ms = self.node.now()
        self.node.log("warning", f"A comparison ended unexpectedly: {failure.getErrorMessage()}")


def _refused(error: CommandError, user: str) -> str:
    text = error.message.decode("utf-8", "backslashreplace")
    if error.code == "NOPERM":
        return f"the other server refused: {text}. There: ACL SETUSER {user or 'default'} {_RIGHTS}"
    if error.code == "NOAUTH":
        return f"the other server refused: {text} Give user and password, or set masterauth here"
    return f"the other server refused: {text}"


def _databases(fields: Fields) -> tuple[int, ...] | None:
    """`databases`: a list in JSON, numbers with commas in a form."""
    given = fields.given.get("databases")
    if given is None:
        return None
    numbers = given.split(",") if fields.is_form else given
    if not isinstance(numbers, list) or not 0 < len(numbers) <= 64:
        raise InvalidError("databases", "from 1 to 64 numbers of databases are needed")
    found = set()
    for number in numbers:
        text = number if fields.is_form else str(number) if type(number) is int else ""
        if not (text.isascii() and text.isdigit() and len(text) <= 9):
            raise InvalidError("databases", "the numbers of databases are needed")
        found.add(int(text))
    return tuple(sorted(found))


def _shown(job: Job) -> Json:
    found = job.comparison
    return {
        "id": job.number,
        "state": found.phase.value,
        "host": printable(found.order.host),
        "port": found.order.port,
        "started_ms": job.started_ms,
        "ended_ms": job.ended_ms,
        "error": printable(found.error) or None,
        "one_history": found.related,
        "way": found.way or None,
        "offset": found.offset,
        "database": found.database,
        "keys_done": found.keys_done,
        "keys_total": max(found.keys_total, found.keys_done),
        "equal": found.equal,
        "differences": [_difference(one) for one in found.differences],
        "more": found.more,
        "undecided": [{"database": number, **_key(key)} for number, key in found.undecided],
        "undecided_count": found.undecided_count,
        "skipped_count": found.skipped,
    }


def _key(key: bytes) -> Json:
    """A key as text, and its bytes where the text does not tell them."""
    try:
        text = key.decode()
        whole = len(key) <= KEY_SHOWN_BYTES
    except UnicodeDecodeError:
        text, whole = key.decode("utf-8", "surrogateescape"), False
    encoded = None if whole and text.isprintable() else b64encode(key[:KEY_SHOWN_BYTES]).decode()
    return {"key": printable(text), "key_base64": encoded}


def _difference(one: Difference) -> Json:
    return {
        "database": one.database,
        **_key(one.key),
        "difference": one.kind.value,
        "type_here": one.type_here,
        "type_there": None if one.type_there is None else printable(one.type_there),
        "expires_here_ms": one.deadline_here,
        "expires_there_ms": one.deadline_there,
    }


_KEY: Final[dict[str, Schema]] = {
    "database": count("Its database."),
    "key": string("The key as text, what is not printable escaped."),
    "key_base64": or_null(
        string(f"Its first {KEY_SHOWN_BYTES} bytes, where the text does not tell them all; else null.")
    ),
}

_NUMBERS: Final[Schema] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "minItems": 1,
    "maxItems": 64,
}

SCHEMAS: Final[dict[str, Schema]] = {
    "CompareOrder": {
        "type": "object",
        "description": "The server to compare with.",
        "properties": {
            **LOGIN,
            "databases": {**_NUMBERS, "description": "The databases to compare; all by default."},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": LIMIT_MAX,
                "default": LIMIT,
                "description": "How many differences are looked for; with one more found it ends.",
            },
        },
        "required": ["host", "port"],
        "additionalProperties": False,
    },
    "CompareForm": {
        "type": "object",
        "description": "The server to compare with.",
        "properties": {
            **LOGIN,
            "databases": string("The databases to compare, with commas between them; all by default."),
            "limit": {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT},
        },
        "required": ["host", "port"],
        "additionalProperties": False,
    },
    "Comparisons": record(
        "The comparisons that are kept.",
        comparisons=array(ref("Comparison"), f"Newest first, at most {KEPT_MAX}."),
    ),
    "Comparison": record(
        "How far a comparison is, and what it found.",
        id=count("Its id.", 1),
        state=string("`waiting`: for both to stand at one offset.", enum=values(Phase)),
        host=string("The other server."),
        port=count("Its port.", 1),
        started_ms=count("When it began, unix milliseconds."),
        ended_ms=or_null(count("When it ended; null while it goes on.")),
        error=or_null(string("Why it failed; null if it did not.")),
        one_history=or_null(
            flag("Both are of one replication history. If not, they may move while they are compared. Null at first.")
        ),
        way=or_null(
            string(
                "How values are compared: by DEBUG DIGEST-VALUE there, or by DUMP where DEBUG is not allowed.",
                enum=["digest", "dump", None],
            )
        ),
        offset=or_null(count("The last offset at which both stood.")),
        database=or_null(count("The database that it is at, or was last.")),
        keys_done=count("Keys gone through, there and here."),
        keys_total=count("How many there are, about."),
        equal=or_null(flag("Whether both hold the same; null if that cannot be said (yet).")),
        differences=array(ref("Difference"), "The keys that differ."),
        more=flag("There are more than `limit`; the rest was not looked at."),
        undecided=array(ref("Undecided"), "Keys that were written too often to be compared; the first of them."),
        undecided_count=count("How many those are."),
        skipped_count=count("Keys that cannot be compared: values of modules, and values too large to be fetched."),
    ),
    "Difference": record(
        "A key that differs.",
        **_KEY,
        difference=string("How; the first that fits.", enum=values(Kind)),
        type_here=or_null(string("What it holds here; null if it is not there.")),
        type_there=or_null(string("What it holds there.")),
        expires_here_ms=or_null(count("When it expires here, unix milliseconds; null if never.")),
        expires_there_ms=or_null(
            count(f"When it expires there; before Redis 7.0 to be told to {PTTL_TOLERANCE_MS} ms only.")
        ),
    ),
    "Undecided": record("A key that could not be compared.", **_KEY),
}

_NUMBER: Final[tuple[Schema, ...]] = (
    {
        "name": "number",
        "in": "path",
        "required": True,
        "description": "The comparison's id.",
        "schema": {"type": "integer", "minimum": 1},
    },
)
_GONE: Final = {404: "There is no such comparison, or it is no longer kept."}

FEATURE: Final = Feature(
    Compare,
    (
        Route(
            Compare.compare,
            "post",
            "/v1/compare",
            "compare",
            "actions",
            "Compare this node's data with another server's.",
            {JSON: "Comparison"},
            "Answers at once; `Location` names where to see how far it is.",
            {202: "It has begun."},
            {
                **ORDER_REFUSED,
                409: "The address is the node's own.",
                503: "The dataset is being loaded, or too many comparisons are under way.",
            },
            (),
            {
                "required": True,
                "content": {JSON: {"schema": ref("CompareOrder")}, FORM: {"schema": ref("CompareForm")}},
            },
        ),
        Route(
            Compare.comparisons,
            "get",
            "/v1/compare",
            "comparisons",
            "facts",
            "The comparisons that are kept.",
            {JSON: "Comparisons"},
            refusals=QUERY_REFUSED,
        ),
        Route(
            Compare.comparison,
            "get",
            "/v1/compare/{number}",
            "comparison",
            "facts",
            "How far a comparison is, and what it found.",
            {JSON: "Comparison"},
            refusals={**QUERY_REFUSED, **_GONE},
            parameters=_NUMBER,
        ),
        Route(
            Compare.cancel,
            "delete",
            "/v1/compare/{number}",
            "cancelComparison",
            "actions",
            "Cancel a comparison; drop the result of one that has ended.",
            {JSON: "Comparison"},
            "",
            {200: "As it was."},
            {**QUERY_REFUSED, **_GONE},
            _NUMBER,
        ),
    ),
    SCHEMAS,
)
