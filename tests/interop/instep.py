"""txrepl, a Redis 7.0 and a Valkey 9 that run the same commands in step, and all that can be seen of each.

Compared are the bytes of replies, the replication stream, the keyspace events, the number of changes, the dataset's
digest and the encoding of every key. Where the two live servers agree, txrepl has to; where they do not, a line of
`versions` has to say why and whom txrepl follows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from tests.interop import versions
from tests.interop.grammar import Words
from tests.interop.replies import answered
from tests.interop.servers import RawClient, RealServer, encode, start

KINDS: Final = ("redis70", "valkey9", "txrepl")
DIGEST_FORMS: Final = {"redis70": "LEGACY", "valkey9": "VALKEY"}
"""What txrepl's DEBUG DIGEST calls the form of a live server."""
DATABASES: Final = (0, 1, 2, 15)
TIMEOUT_S: Final = 10.0
_CONTROL_DATABASE: Final = 9
_MARKER: Final = b"the end of the sequence"
_QUIET: Final = {"lazyfree-lazy-expire": "no", "lazyfree-lazy-user-del": "no", "lazyfree-lazy-server-del": "no"}

DEFAULTS: Final[dict[str, str | int]] = {
    **_QUIET,
    "hash-max-listpack-entries": 128,
    "hash-max-listpack-value": 64,
    "set-max-intset-entries": 512,
    "zset-max-listpack-entries": 128,
    "zset-max-listpack-value": 64,
    "list-max-listpack-size": -2,
    "stream-node-max-entries": 100,
    "stream-node-max-bytes": 4096,
    "hll-sparse-max-bytes": 3000,
}

PROFILES: Final[tuple[dict[str, str | int], ...]] = (
    {},
    {
        "hash-max-listpack-entries": 3,
        "hash-max-listpack-value": 5,
        "zset-max-listpack-entries": 3,
        "list-max-listpack-size": 3,
        "stream-node-max-entries": 3,
        "hll-sparse-max-bytes": 40,
    },
    {
        "lazyfree-lazy-expire": "yes",
        "lazyfree-lazy-user-del": "yes",
        "lazyfree-lazy-server-del": "yes",
        "stream-node-max-bytes": 150,
        "zset-max-listpack-value": 4,
    },
)
"""Directives that change what becomes of the same commands."""


@dataclass(slots=True)
class Seen:
    """What one server showed of a sequence.

    Attributes:
        replies: the bytes of each reply.
        stream: the bytes of each command that replicas were sent.
        events: channel and key of each keyspace event.
        changes: how many changes it counted.
        digest: of the dataset, by the live server whose form it has.
        encodings: by database and key.
        queued: for each reply, the commands that it answers: those of the transaction for EXEC.
    """

    replies: list[bytes]
    stream: list[bytes]
    events: list[tuple[bytes, bytes]]
    changes: int
    digest: dict[str, str]
    encodings: dict[tuple[int, bytes], str]
    queued: list[list[Words]] = field(default_factory=list)


class Runner:
    """One server of the three.

    Parameters:
        server: it is emptied; nobody else may use it meanwhile.
    """

    def __init__(self, server: RealServer) -> None:
        self.server = server
        self.kind = server.kind
        self.client = server.connect(TIMEOUT_S)
        self.control = server.connect()
        control = self.control
        control.command("CONFIG", "SET", "notify-keyspace-events", "EAmn")
        control.command("CONFIG", "SET", "repl-ping-replica-period", 3600, "repl-timeout", 36000)
        control.command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        control.command("SELECT", _CONTROL_DATABASE)
        self._events = server.connect()
        self._events.command("PSUBSCRIBE", "__keyevent@*")
        self._replica = server.connect()
        self._replica.send(b"PSYNC ? -1\r\n")
        assert self._line().startswith(b"+FULLRESYNC")
        self._replica.read_exactly(int(self._line()[1:]))

    def close(self) -> None:
        """Close the connections."""
        for client in (self.client, self.control, self._events, self._replica):
            client.close()

    def begin(self, proto: int, settings: Mapping[str, str | int]) -> None:
        """An empty server with these settings, and a client that speaks this protocol."""
        self.control.command("FLUSHALL")
        self.control.command("FUNCTION", "FLUSH")
        self.control.command("SCRIPT", "FLUSH")
        for name, value in settings.items():
            self.control.command("CONFIG", "SET", name, value)
        self.client.command("RESET")
        self.client.command("HELLO", proto)
        self._until_marker()
        self._changes = self._changes_now()

    def send(self, commands: Sequence[Words]) -> None:
        """Send the commands in one go."""
        self.client.send(b"".join(encode(*words) for words in commands))

    def finish(self, count: int) -> Seen:
        """Read so many replies, and what else there is to see."""
        replies = [self.client.read_raw_reply() for _ in range(count)]
        self.client.command("RESET")
        changes = self._changes_now() - self._changes
        if self.kind == "txrepl":
            digest = {kind: self.server_digest(form) for kind, form in DIGEST_FORMS.items()}
        else:
            digest = {self.kind: self.server_digest()}
        stream, events = self._until_marker()
        return Seen(replies, stream, events, changes, digest, self._encodings())

    def server_digest(self, *form: str) -> str:
        """DEBUG DIGEST."""
        answer = self.control.command("DEBUG", "DIGEST", *form)
        return answer.decode() if isinstance(answer, bytes) else str(answer)

    def digest_values(self, kind: str) -> dict[tuple[int, bytes], Any]:
        """DEBUG DIGEST-VALUE of every key, in the form of a live server."""
        form = [DIGEST_FORMS[kind]] if self.kind == "txrepl" else []
        found = {}
        for database, key in self._encodings():
            self.control.command("SELECT", database)
            found[database, key] = self.control.command("DEBUG", "DIGEST-VALUE", *form, key)[0]
        self.control.command("SELECT", _CONTROL_DATABASE)
        return found

    def _changes_now(self) -> int:
        text: bytes = self.control.command("INFO", "persistence")
        found = re.search(rb"rdb_changes_since_last_save:(\d+)", text)
        assert found is not None
        return int(found[1])

    def _encodings(self) -> dict[tuple[int, bytes], str]:
        """Type and encoding of every key."""
        ask = self.control
        ask.send(b"".join(encode("SELECT", number) + encode("KEYS", "*") for number in DATABASES))
        places = []
        for number in DATABASES:
            ask.read_reply()
            places += [(number, key) for key in ask.read_reply()]
        ask.send(
            b"".join(
                encode("SELECT", number) + encode("TYPE", key) + encode("OBJECT", "ENCODING", key)
                for number, key in places
            )
            + encode("SELECT", _CONTROL_DATABASE)
        )
        found = {}
        for place in places:
            ask.read_reply()
            kind, encoding = ask.read_reply(), ask.read_reply()
            found[place] = f"{kind} {encoding.decode() if isinstance(encoding, bytes) else encoding}"
        ask.read_reply()
        return found

    def _until_marker(self) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
        """The stream and the events so far."""
        self.control.command("SET", _MARKER, "")
        self.control.command("DEL", _MARKER)
        stream: list[bytes] = []
        end = encode("SET", _MARKER, "")
        while (command := self._replica.read_raw_reply()) != end:
            stream.append(command)
        self._replica.read_raw_reply()
        events: list[tuple[bytes, bytes]] = []
        while True:
            message = self._events.read_reply()
            channel, key = message[2], message[3]
            if key != _MARKER:
                events.append((channel, key))
            elif channel.endswith(b":del"):
                return stream, events

    def _line(self) -> bytes:
        while (line := self._replica.read_line()) == b"\n":
            pass
        return line


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One difference that no line of `versions` explains.

    Attributes:
        where: what differs, short enough to count by: the command, or `stream`, `events`, …
        text: what each said.
    """

    where: str
    text: str


class Trio:
    """The three servers.

    Parameters:
        runners: by kind.
    """

    def __init__(self, runners: Mapping[str, Runner]) -> None:
        self.runners = runners

    def run(
        self,
        commands: Sequence[Words],
        proto: int = 2,
        settings: Mapping[str, str | int] = DEFAULTS,
        *,
        modern: bool = False,
    ) -> Disagreement | None:
        """Run the commands on all three; the first disagreement, if there is one.

        Parameters:
            commands: what one client sends.
            proto: which protocol it speaks.
            settings: directives.
            modern: leave Redis 7.0 out: the commands use what it does not have.

        After a command that makes the live servers' data differ nothing can be compared: the sequence is run again
        up to it, and without it.
        """
        commands = versions.promised(commands)
        while True:
            seen = self.observe(commands, proto, settings, ("valkey9", "txrepl") if modern else KINDS)
            forked, found = _replies_differ(commands, {**seen, "redis70": seen["txrepl"]} if modern else seen)
            if forked is None:
                return found or self._state_differs(seen, versions.has_stable_digest(commands))
            commands = [*commands[:forked], *commands[forked + 1 :]]

    def observe(
        self, commands: Sequence[Words], proto: int, settings: Mapping[str, str | int], kinds: Sequence[str] = KINDS
    ) -> dict[str, Seen]:
        """What each server shows of these commands."""
        runners = [self.runners[kind] for kind in kinds]
        for runner in runners:
            runner.begin(proto, settings)
        for runner in runners:
            runner.send(commands)
        return {runner.kind: runner.finish(len(commands)) for runner in runners}

    def _state_differs(self, seen: Mapping[str, Seen], digests: bool) -> Disagreement | None:
        for what, shown in (
            ("encodings", versions.encodings),
            ("stream", versions.stream),
            ("events", versions.events),
        ):
            for kind in seen.keys() - {"txrepl"}:
                theirs, own = shown(seen[kind], kind), shown(seen["txrepl"], kind)
                if own != theirs:
                    return Disagreement(what, f"{what}: {_first_difference(own, theirs)} ({kind})")
        for kind in seen.keys() - {"txrepl"}:
            if digests and seen["txrepl"].digest[kind] != seen[kind].digest[kind]:
                mine = self.runners["txrepl"].digest_values(kind)
                theirs = self.runners[kind].digest_values(kind)
                different = {place for place in mine.keys() | theirs.keys() if mine.get(place) != theirs.get(place)}
                return Disagreement("digest", f"digest: {sorted(different)} ({kind})")
        changes = {kind: one.changes for kind, one in seen.items()}
        if changes["txrepl"] not in {changes[kind] for kind in seen.keys() - {"txrepl"}}:
            return Disagreement("changes", f"number of changes: {changes}")
        return None


def _first_difference(mine: Any, theirs: Any) -> str:
    if isinstance(mine, dict):
        mine, theirs = sorted(mine.items()), sorted(theirs.items())
    for own, other in zip(mine, theirs, strict=False):
        if own != other:
            return f"txrepl {own!r}, live {other!r}"
    longer, who = (mine, "txrepl") if len(mine) > len(theirs) else (theirs, "live")
    return f"only {who} {longer[min(len(mine), len(theirs))]!r}"


def _replies_differ(commands: Sequence[Words], seen: Mapping[str, Seen]) -> tuple[int | None, Disagreement | None]:
    """The position of a command that forks the live servers, or the first disagreement."""
    queue: list[Words] = []
    for number, words in enumerate(commands):
        redis, valkey, mine = (seen[kind].replies[number] for kind in ("redis70", "valkey9", "txrepl"))
        name = words[0].upper()
        if name in (b"MULTI", b"DISCARD"):
            queue = []
        elif redis == b"+QUEUED\r\n" and mine == redis:
            queue.append(words)
        queued, queue = (queue, []) if name == b"EXEC" else ([], queue)
        if redis == valkey == mine:
            continue
        parts = [answered(words, raw, queued) for raw in (redis, valkey, mine)]
        if len({len(part) for part in parts}) > 1:
            parts = [answered(words, raw, ()) for raw in (redis, valkey, mine)]
        triples = [(own[0], one[1], other[1], own[1]) for one, other, own in zip(*parts, strict=True)]
        for called, of_redis, of_valkey, of_mine in triples:
            if of_redis == of_valkey == of_mine:
                continue
            if of_redis == of_valkey:
                return None, _disagreement(number, called, (redis, valkey, mine))
            line = versions.explain(called, of_redis, of_valkey)
            if line is None:
                where = f"live servers: {called[0].upper().decode()}"
                return None, Disagreement(
                    where, f"unexplained {called}: redis70 {redis!r}, valkey9 {valkey!r}, txrepl {mine!r}"
                )
            if of_mine != (of_redis if line.follows == "redis70" else of_valkey):
                return None, _disagreement(number, called, (redis, valkey, mine))
            if line.forks:
                return number, None
    return None, None


def _disagreement(number: int, called: Words, replies: tuple[bytes, bytes, bytes]) -> Disagreement:
    redis, valkey, mine = replies
    where = b" ".join(called[: 2 if called[0].upper() in (b"XGROUP", b"XINFO", b"OBJECT", b"COMMAND") else 1])
    text = f"command {number} {called}: txrepl {mine!r}, redis70 {redis!r}, valkey9 {valkey!r}"
    return Disagreement(where.decode("latin-1").upper(), text)


def minimized(
    commands: Sequence[Words], fails: Callable[[Sequence[Words]], bool], seconds: float = 20.0
) -> list[Words]:
    """A shorter sequence that still fails: pieces are left out, larger ones first, until none can be."""
    kept = list(commands)
    size = max(len(kept) // 2, 1)
    deadline = time.monotonic() + seconds
    while size >= 1 and time.monotonic() < deadline:
        position = 0
        while position < len(kept):
            shorter = kept[:position] + kept[position + size :]
            if shorter and fails(shorter):
                kept = shorter
            else:
                position += size
        size //= 2
    return kept


@contextmanager
def trio() -> Iterator[Trio]:
    """The three servers, started for the length of the block."""
    with ExitStack() as stack:
        runners = {}
        for kind in KINDS:
            runners[kind] = Runner(stack.enter_context(start(kind)))
            stack.callback(runners[kind].close)
        yield Trio(runners)


__all__ = ["DEFAULTS", "Disagreement", "RawClient", "Runner", "Seen", "Trio", "minimized", "trio"]
