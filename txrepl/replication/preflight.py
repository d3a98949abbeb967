"""What would happen if this node followed a certain primary: the handshake held for once without taking the data.

    connect → introduce (PING, AUTH, REPLCONF) → INFO replication, else ROLE → the right to PSYNC, or PSYNC itself

The right to PSYNC is tried without asking for a resync: `PSYNC id 1 FAILOVER` with an id that nobody has is refused by
a primary (`can't be sent to a master`) and by a replica (`must match my replid`) alike, but only to those who may send
PSYNC at all (`syncCommand`); it leaves a line in that server's log, and nothing else. What PSYNC itself would say is
then told by the very decision that a primary takes (`psync.decide`), made on what INFO says of its history and backlog.

A PSYNC that is really sent and accepted makes us an attached replica for an instant. After `+FULLRESYNC` the primary
begins a snapshot, at once if `repl-diskless-sync-delay` is 0 or a save goes to disk; it gives it up when it notices
that we have gone, unless another replica waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from txrepl.errors import ReplicationError, SyncRefusedError
from txrepl.replication.advice import rounded_up_mb
from txrepl.replication.handshake import Introduction, Resync, Wire, ask_psync, introduce, read_psync
from txrepl.replication.history import NO_REPLID
from txrepl.replication.psync import Condition, decide, understand
from txrepl.replication.remedies import FULL_BECAUSE, GOOD, Remedy, refusal
from txrepl.replication.states import LinkState
from txrepl.replication.transcripts import LINE_SHOWN_BYTES, Exchange, Recorded, Transcript

REPLY_MAX_BYTES: Final = 256 * 1024
"""The longest bulk that a question's reply may hold."""
_ELEMENTS_MAX: Final = 1024
_DEPTH_MAX: Final = 4
_FULL_LENGTH: Final = 0.9
"""A backlog that is filled so far has dropped bytes, as far as INFO tells."""
_OPTIONAL: Final = ("INFO replication", "ROLE")

Reply = bytes | int | None | list["Reply"]


class Line(Protocol):
    """A connection to the server in question: a `Wire` that also reads bulks."""

    def send(self, *words: bytes) -> None: ...

    async def line(self) -> bytes: ...

    async def exactly(self, count: int) -> bytes: ...


class Would(Enum):
    """What would happen."""

    PARTIAL = "partial"
    FULL = "full"
    REFUSED = "refused"
    UNCLEAR = "unclear"
    """It cannot be told without asking."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A step, and what came of it.

    Attributes:
        ok: it went as it should.
        says: what that means, in words.
    """

    step: str
    sent: str
    received: str | None
    took_ms: int | None
    ok: bool
    says: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would happen.

    Attributes:
        why: in words.
        count: bytes that a partial resync would send; None if unknown, or if it is none.
    """

    would: Would
    why: str
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Theirs:
    """The other server, as its INFO or ROLE shows it.

    Attributes:
        replid: empty if only ROLE told.
        offset: -1 if unknown.
        first_offset, backlog_length, backlog_bytes: of its backlog; all 0 without one.
        follows: its own primary, as host and port; None if it is one.
        link_up: it is a primary, or in sync with its own.
        fails_over: it is handing its role over now.
    """

    replid: str = ""
    replid2: str = NO_REPLID
    second_offset: int = -1
    offset: int = -1
    first_offset: int = 0
    backlog_length: int = 0
    backlog_bytes: int = 0
    follows: tuple[str, int] | None = None
    link_up: bool = True
    fails_over: bool = False

    @property
    def end_offset(self) -> int:
        """The offset after its backlog's last."""
        return self.first_offset + self.backlog_length

    @property
    def begun_offset(self) -> int:
        """The first byte that its backlog ever held, as far as can be told: one that is full has held more."""
        return 1 if self.backlog_length >= _FULL_LENGTH * self.backlog_bytes else self.first_offset

    def covers(self, offset: int) -> bool:
        """Whether its backlog holds all from an offset on."""
        return self.first_offset <= offset <= self.end_offset


def read_info(text: str) -> Theirs:
    """What INFO's section `replication` says.

    Raises:
        ReplicationError: it is none.
    """
    found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    try:
        is_replica = found["role"] == "slave"
        active = int(found.get("repl_backlog_active", 0))
        return Theirs(
            found["master_replid"],
            found.get("master_replid2", NO_REPLID),
            int(found.get("second_repl_offset", -1)),
            int(found["master_repl_offset"]),
            int(found["repl_backlog_first_byte_offset"]) if active else 0,
            int(found["repl_backlog_histlen"]) if active else 0,
            int(found["repl_backlog_size"]) if active else 0,
            (found["master_host"], int(found["master_port"])) if is_replica else None,
            not is_replica or found.get("master_link_status") == "up",
            found.get("master_failover_state", "no-failover") != "no-failover",
        )
    except (KeyError, ValueError):
        raise ReplicationError("INFO replication there is not as Redis has it") from None


def read_role(reply: Reply) -> Theirs:
    """What ROLE says: less, but enough to see a link that is down.

    Raises:
        ReplicationError: it is no such answer.
    """
    match reply:
        case [b"master", int() as offset, list()]:
            return Theirs(offset=offset)
        case [b"slave", bytes() as host, int() as port, bytes() as state, int() as offset]:
            follows = (host.decode("utf-8", "backslashreplace"), port)
            return Theirs(offset=offset, follows=follows, link_up=state == b"connected")
    raise ReplicationError("ROLE there is not as Redis has it")


@dataclass(frozen=True, slots=True)
class Us:
    """This node.

    Attributes:
        introduction: what it says of itself.
        is_us: whether an address is its own.
        replid: an id that nobody has.
        now: unix time in ms.
    """

    introduction: Introduction
    is_us: Callable[[str, int], bool]
    replid: str
    now: Callable[[], int]


@dataclass(slots=True)
class Preflight:
    """One preflight.

    Parameters:
        us: this node.
        transcript: where the conversation is written down.

    Attributes:
        asked: PSYNC was really sent.
        theirs: the other server; None if it did not say.
    """

    us: Us
    transcript: Transcript
    asked: bool = False
    theirs: Theirs | None = None
    _state: LinkState = LinkState.CONNECTING
    _psync: bytes = b""
    _remedies: list[Remedy] = field(default_factory=list)

    async def run(self, line: Line, *, psync: bool) -> None:
        """Hold the conversation.

        Parameters:
            psync: really ask for a resync.

        Raises:
            ReplicationError: it broke off, or the server refused; the transcript has it.
        """
        wire = Recorded(line, self.transcript, lambda: self._state, self.us.now)
        await introduce(wire, self.us.introduction, self._enter, _no_log)
        self.theirs = await self._their_standing(line)
        if psync:
            self.asked = True
            self._psync = await ask_psync(wire, self.us.introduction, self._enter, _no_log)
        else:
            wire.send(b"PSYNC", self.us.replid.encode(), b"1", b"FAILOVER")
            self._psync = await _line(wire)

    def _enter(self, state: LinkState) -> None:
        self._state = state

    # -- questions ----------------------------------------------------------------------------------------------

    async def _their_standing(self, line: Line) -> Theirs | None:
        info = await self._ask(line, b"INFO", b"replication")
        if isinstance(info, bytes):
            return read_info(info.decode("utf-8", "backslashreplace"))
        role = await self._ask(line, b"ROLE")
        return None if role is None else read_role(role)

    async def _ask(self, line: Line, *words: bytes) -> Reply:
        """A question and its reply; None if it is refused."""
        exchange = Exchange(self._state, self.us.now(), b" ".join(words).decode())
        self.transcript.exchanges.append(exchange)
        line.send(*words)
        reply, error = await read_reply(line)
        exchange.took_ms = self.us.now() - exchange.at_ms
        exchange.received = error[:LINE_SHOWN_BYTES].decode("utf-8", "backslashreplace") or "answered"
        return reply

    # -- what it means ------------------------------------------------------------------------------------------

    @property
    def user(self) -> str:
        """Who we log in as, in the other server's words."""
        return self.us.introduction.user or "default"

    def steps(self) -> list[Seen]:
        """What happened, step by step."""
        return [self._seen(one) for one in self.transcript.exchanges]

    def _seen(self, one: Exchange) -> Seen:
        name = _step_of(one.sent)
        received = one.received
        if received is None:
            return Seen(name, one.sent, None, one.took_ms, False, self.transcript.error or "no answer came")
        harmless = self._harmless(one)
        if harmless:
            return Seen(name, one.sent, received, one.took_ms, True, harmless)
        if received.startswith("-") and not self._is_proof(one):
            return Seen(name, one.sent, received, one.took_ms, False, refusal(received, self.user)[0])
        return Seen(name, one.sent, received, one.took_ms, *self._success(name, received))

    def _is_proof(self, one: Exchange) -> bool:
        """An error that shows that PSYNC is allowed."""
        return one.sent.endswith(" FAILOVER") and "PSYNC FAILOVER" in (one.received or "")

    def _harmless(self, one: Exchange) -> str:
        """What an error means that is no trouble; empty if it is one, or no error."""
        received = one.received or ""
        if one.sent == "PING" and self.us.introduction.password and received.startswith("-NOAUTH"):
            return "a Redis or Valkey answers, and wants a login first"
        if received.startswith("-ERR Unrecognized REPLCONF option"):
            return "it does not know this option, and needs not"
        return ""

    def _is_trouble(self, one: Exchange) -> bool:
        """An error that something has to be set for."""
        is_error = (one.received or "").startswith("-") and one.sent not in _OPTIONAL
        return is_error and not self._is_proof(one) and not self._harmless(one)

    def _success(self, name: str, received: str) -> tuple[bool, str]:
        if name == "psync" and not self.asked:
            return True, f"user {self.user} may send PSYNC (this one asked for nothing)"
        if name == "psync":
            known = received.startswith(("+FULLRESYNC", "+CONTINUE"))
            return known, "it answered, and was left at once" if known else "it answered what no primary does"
        if name in ("info", "role"):
            return True, "it told where it stands"
        known = received.startswith("+")
        return known, GOOD[name] if known else "no Redis or Valkey answers so"

    def verdict(self) -> Verdict:
        """What would happen."""
        refused = self._refused()
        if refused is not None:
            return Verdict(Would.REFUSED, refused)
        if self.asked:
            return self._answered()
        return self._predicted()

    def _refused(self) -> str | None:
        """Why no resync would come about; None if one would."""
        if self.transcript.error:
            last = self.transcript.exchanges[-1] if self.transcript.exchanges else None
            answer = (last.received if last is not None else None) or ""
            return refusal(answer, self.user)[0] if answer.startswith("-") else self.transcript.error
        theirs = self.theirs
        if theirs is not None and theirs.follows is not None:
            if self.us.is_us(*theirs.follows):
                return "that server is a replica of this node: the two would follow each other"
            if not theirs.link_up:
                primary = f"{theirs.follows[0]}:{theirs.follows[1]}"
                return f"that server is a replica itself, and its link to its own primary, {primary}, is down"
        if theirs is not None and theirs.fails_over:
            return "that server is failing over; it takes no replica until that is done"
        final = self.transcript.exchanges[-1]
        if (final.received or "").startswith("-") and not self._is_proof(final):
            return refusal(final.received or "", self.user)[0]
        return None

    def _answered(self) -> Verdict:
        asked = self.us.introduction
        try:
            outcome = read_psync(self._psync, asked, _no_log)
        except (SyncRefusedError, ReplicationError) as error:
            return Verdict(Would.REFUSED, str(error))
        if outcome is None:
            return Verdict(Would.REFUSED, "the answer to PSYNC is none that a primary gives")
        if outcome.resync is Resync.PARTIAL:
            return self._partial()
        predicted = self._predicted()
        if predicted.would is Would.FULL:
            return predicted
        return Verdict(Would.FULL, understand(asked, outcome).reason)

    def _partial(self) -> Verdict:
        asked, theirs = self.us.introduction, self.theirs
        if theirs is None or theirs.offset < 0:
            return Verdict(Would.PARTIAL, "the primary goes on where this node stands")
        count = max(0, theirs.offset + 1 - asked.offset)
        return Verdict(Would.PARTIAL, f"its backlog holds all that this node lacks: {count} bytes", count)

    def _predicted(self) -> Verdict:
        asked, theirs = self.us.introduction, self.theirs
        if asked.replid is None:
            return Verdict(Would.FULL, FULL_BECAUSE[Condition.NO_HISTORY])
        if theirs is None or not theirs.replid:
            return Verdict(
                Would.UNCLEAR,
                f"user {self.user} may not read INFO there, so it cannot be told whether a resync would be partial or "
                "full without asking for one: `psync=true` does",
            )
        decision = decide(asked.replid, asked.offset, theirs, theirs if theirs.backlog_bytes else None, "")
        if decision.accepted:
            return self._partial()
        assert decision.condition is not None
        why = FULL_BECAUSE[decision.condition].format(
            asked=asked, theirs=theirs, missing=decision.missing_bytes, kept=theirs.backlog_bytes
        )
        return Verdict(Would.FULL, why)

    def remedies(self) -> list[Remedy]:
        """What to set, on which side."""
        found: list[Remedy] = []
        for one in self.transcript.exchanges:
            if self._is_trouble(one):
                found += refusal(one.received or "", self.user)[1]
        verdict = self.verdict()
        theirs, asked = self.theirs, self.us.introduction
        if theirs is not None and theirs.follows is not None and self.us.is_us(*theirs.follows):
            found.append(Remedy(False, "REPLICAOF NO ONE", "let it be a primary before this node follows it"))
        elif theirs is not None and not theirs.link_up:
            found.append(Remedy(False, "", "mend its own link first, or follow its primary instead"))
        if verdict.would is Would.UNCLEAR:
            found.append(Remedy(False, f"ACL SETUSER {self.user} +info", "to have the resync predicted"))
        if verdict.would is Would.FULL and theirs is not None and asked.replid is not None and theirs.replid:
            found += _fuller_backlog(asked, theirs)
        return list(dict.fromkeys(found))


def _no_log(level: str, message: str) -> None:
    """The transcript has it all."""


async def _line(wire: Wire) -> bytes:
    while True:
        line = await wire.line()
        if line:
            return line


async def read_reply(line: Line, depth: int = 0) -> tuple[Reply, bytes]:
    """A whole reply, and the error if it is one: then the reply is None.

    Raises:
        ReplicationError: it is no reply, or a larger one than any question here has.
    """
    head = await line.line()
    kind, rest = head[:1], head[1:]
    if kind == b"+":
        return rest, b""
    if kind == b"-":
        return None, head
    try:
        count = int(rest)
    except ValueError:
        raise ReplicationError("the server's reply is not RESP") from None
    if kind == b":":
        return count, b""
    if kind == b"$" and count <= REPLY_MAX_BYTES:
        return (None if count < 0 else (await line.exactly(count + 2))[:-2]), b""
    if kind == b"*" and count <= _ELEMENTS_MAX and depth < _DEPTH_MAX:
        return [(await read_reply(line, depth + 1))[0] for _ in range(count)], b""
    raise ReplicationError("the server's reply is not RESP, or larger than any such reply")


def _step_of(sent: str) -> str:
    """The name of a step by what was sent."""
    words = sent.lower().split(" ")
    return " ".join(words[:2]) if words[0] == "replconf" else words[0]


def _fuller_backlog(asked: Introduction, theirs: Theirs) -> list[Remedy]:
    assert asked.replid is not None
    decision = decide(asked.replid, asked.offset, theirs, theirs if theirs.backlog_bytes else None, "")
    if decision.condition is Condition.BACKLOG_SHORT:
        size = rounded_up_mb(2 * decision.saving_bytes)
        why = f"so that the next such gap is partial; these {decision.saving_bytes} bytes are dropped already"
        return [Remedy(False, f"CONFIG SET repl-backlog-size {size}mb", why)]
    if decision.condition is Condition.NO_BACKLOG:
        return [Remedy(False, "CONFIG SET repl-backlog-ttl 0", "to keep a backlog while no replica is connected")]
    return []
