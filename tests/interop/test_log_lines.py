"""The log lines of replication, beside those of Redis 7.0 for the same event: same words, same order, once.

An event is provoked twice, with Redis 7.0 and with txrepl in the role that is looked at. Numbers, ids, addresses and
the description of a client are taken out of the lines; what remains must be equal, up to the line that ends the event,
but for what stands below. Levels are not compared: 7.2, as which txrepl presents itself, calls many of 7.0's warnings
notices.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.conftest import Run
from tests.interop.fake_primary import FakePrimary, Script, Talk, answer, bulk, full_resync, speak
from tests.interop.servers import CutProxy, Directive, RawClient, RealServer, encode, free_port, redis70, wait_until
from tests.interop.topology import NO_PINGS, attach, follow

MODEL, SUBJECT = "redis70", "txrepl"
WAIT_S = 20.0

LEFT_OUT = (
    "Fork CoW for RDB: ",  # memory that a child copied: not measured
    "Latest backlog is: ",  # GET /v1/backlog/commands shows it
    "Protocol error (Master using the inline protocol. Desync?) from client: ",  # a second line for one event
    "signal-handler ",  # the child of a Redis says which signal it got
)
"""How lines begin that only Redis writes."""

ADDED = ("Sync decision ",)
"""How lines begin that only txrepl writes: the decision, in words."""

MOVED = (
    # txrepl keeps the old history until the new data has proven readable
    "Discarding previously cached master state.",
    # a child's line, in a race with those of its parent; the end of its data, in one with its own
    "DB saved on disk",
    "replicas still up.",
)
"""How lines end whose place differs."""

REWORDED = (
    # 7.2's words
    (
        r"Streamed RDB transfer with replica (\S+) succeeded \(socket\). Waiting for REPLCONF ACK from slave to",
        r"Streamed replica with replica \1 succeeded (socket). Waiting for REPLCONF ACK from replica to",
    ),
    # txrepl says more
    (r"(Timeout connecting to the MASTER\.\.\.) no answer from the primary within N s", r"\1"),
    (r"(Master replied with wrong \+FULLRESYNC syntax).*", r"\1"),
    (r"(after processing the command '\w+') \(at offset N\)", r"\1"),
    # whose connection was reset has no address any more, if Redis asks for it so late
    (r"replica client id #N lost", "replica HOST:PORT lost"),
    # a link is lost: Redis has forgotten its role already when it is told to go, txrepl has not
    (r"^[MS] (Connection with master lost|Caching the disconnected master state)", r"\1"),
)
"""What makes lines equal that differ in words, and on purpose."""

_LINE = re.compile(r"\d+:([A-Z]) \d\d \w{3} \d{4} [\d:.]+ [.\-*#] (.*)")
_CLIENT = re.compile(r"id=\d+ addr=\S+ .*?(?= scheduled|'\)|$)")


def said(text: str) -> list[str]:
    """Log lines as they can be compared: the role's letter and the words."""
    lines = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None or match[2].startswith(LEFT_OUT + ADDED):
            continue
        words = _CLIENT.sub("CLIENT", match[2])
        words = re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", words)
        words = re.sub(r"\b[0-9a-f]{40}\b", "ID", words)
        words = f"{match[1]} " + re.sub(r"-?\d+", "N", words)
        for pattern, replacement in REWORDED:
            words = re.sub(pattern, replacement, words)
        lines.append(words)
    return lines


# -- events -----------------------------------------------------------------------------------------------------------


class Stage:
    """Where an event happens.

    Parameters:
        start: what starts servers.
        kind: the server that is looked at.
        stack: what closes the rest.
        rdb: an empty RDB by Redis.
    """

    def __init__(self, start: Run, kind: str, stack: ExitStack, rdb: bytes) -> None:
        self._start = start
        self._stack = stack
        self._kind = kind
        self.rdb = rdb
        self.subject: RealServer
        self.mark = 0

    def subjects(self, **directives: Directive) -> RealServer:
        """Start the server that is looked at."""
        self.subject = self.peer(self._kind, **directives)
        self.look()
        return self.subject

    def peer(self, kind: str = MODEL, **directives: Directive) -> RealServer:
        """Start another server."""
        return self._start(kind, **{**NO_PINGS, **directives})

    def primary(self, script: Script) -> FakePrimary:
        """A scripted primary."""
        return self._stack.enter_context(FakePrimary(script))

    def proxy(self, port: int) -> CutProxy:
        """A link that can be cut."""
        return self._stack.enter_context(CutProxy(port))

    def client(self) -> RawClient:
        """A connection to the subject."""
        return self._stack.enter_context(RawClient(self.subject.port))

    def look(self) -> None:
        """The event begins here."""
        self.mark = len(self.subject.log_text())

    def text(self) -> str:
        """What was logged since."""
        return self.subject.log_text()[self.mark :]

    def lines(self, ending: str) -> list[str]:
        """What was said, up to the first line with `ending`, which is waited for."""

        def complete() -> list[str]:
            lines = said(self.text())
            ends = [index for index, line in enumerate(lines) if ending in line]
            return lines[: ends[0] + 1] if ends else []

        found: list[str] = wait_until(complete, WAIT_S, f"{self.subject!r} says '{ending}'")
        return found

    def replica_of(self, script: Script, **directives: Directive) -> None:
        """The subject follows a scripted primary."""
        self.subjects(**directives)
        self.subject.command("REPLICAOF", "127.0.0.1", self.primary(script).port)

    def replica(self, diskless: str = "no", **directives: Directive) -> RealServer:
        """The subject follows a Redis; returns that."""
        primary = self.peer(repl_diskless_sync=diskless)
        primary.command("SET", "k", "v")
        follow(self.subjects(**directives), primary)
        return primary

    def attached(self, **directives: Directive) -> RealServer:
        """The subject has a Redis as its replica, in sync; returns that."""
        replica = self.peer()
        attach(replica, self.subjects(**directives))
        self.look()
        return replica


@dataclass(frozen=True)
class Event:
    """What happens, what the last line of it says, and which lines come earlier or later than Redis has them."""

    provoke: Callable[[Stage], object]
    ending: str
    moved: tuple[str, ...] = ()


FULL, PARTIAL = "Finished with success", "Master accepted a Partial Resynchronization"


def _linked(stage: Stage) -> RealServer:
    primary = stage.replica()
    stage.lines(FULL)
    wait_until(lambda: stage.subject.offset() == primary.offset(), WAIT_S, "it is in sync")
    stage.look()
    return primary


def _link_is_cut(stage: Stage) -> None:
    link = stage.proxy(stage.peer().port)
    stage.subjects().command("REPLICAOF", "127.0.0.1", link.port)
    stage.lines(FULL)
    stage.look()
    link.cut()


def _primary_gets_another_id(stage: Stage) -> None:
    top, middle = stage.peer(), stage.peer()
    attach(middle, top)
    attach(stage.subjects(), middle)
    stage.look()
    middle.command("REPLICAOF", "NO", "ONE")


def _same_primary(stage: Stage) -> None:
    primary = _linked(stage)
    follow(stage.subject, primary)


def _silent_before_pong(stage: Stage) -> None:
    stage.replica_of(answer("ping", b""), repl_timeout=1)


def _refuses_replconf(talk: Talk, rdb: bytes) -> None:
    talk.until("port")
    while b"PSYNC" not in talk.commands[-1]:
        talk.send(b"-ERR no\r\n")
        talk.command()
    talk.send(full_resync() + bulk(rdb))
    talk.until_closed()


def _breaks_off(talk: Talk) -> None:
    talk.until("psync")
    talk.send(full_resync() + b"$1000\r\nREDIS")


def _failing_stream() -> bytes:
    return encode("SELECT", 0) + encode("SET", "k", "v") + encode("LPUSH", "k", "v")


AS_REPLICA: dict[str, Event] = {
    "full sync, to disk": Event(lambda s: s.replica(), FULL),
    "full sync, diskless": Event(lambda s: s.replica("yes"), FULL),
    "full sync, loaded from the socket": Event(lambda s: s.replica("yes", repl_diskless_load="swapdb"), FULL),
    "the link is cut": Event(_link_is_cut, PARTIAL),
    "CLIENT KILL TYPE master": Event(
        lambda s: (_linked(s), s.subject.command("CLIENT", "KILL", "TYPE", "master")), PARTIAL
    ),
    "promotion": Event(lambda s: (_linked(s), s.subject.command("REPLICAOF", "NO", "ONE")), "MASTER MODE enabled"),
    "another primary": Event(lambda s: (_linked(s), follow(s.subject, s.peer())), FULL),
    "the same primary": Event(_same_primary, "No operation performed"),
    "the primary's id changes": Event(_primary_gets_another_id, PARTIAL),
    "nobody listens": Event(lambda s: s.subjects().command("REPLICAOF", "127.0.0.1", free_port()), "Error condition"),
    "an error to PING": Event(lambda s: s.replica_of(answer("ping", b"-ERR no\r\n")), "Error reply to PING"),
    "silence in the handshake": Event(_silent_before_pong, "after failure"),
    "silence in the bulk": Event(
        lambda s: s.replica_of(answer("psync", full_resync() + b"$1000\r\nREDIS"), repl_timeout=1), "after failure"
    ),
    "silence in the stream": Event(lambda s: s.replica_of(speak(s.rdb), repl_timeout=1), "Reconnecting to MASTER"),
    "a bulk that breaks off": Event(lambda s: s.replica_of(_breaks_off), "after failure"),
    "NOMASTERLINK": Event(lambda s: s.replica_of(answer("psync", b"-NOMASTERLINK not now\r\n")), "unable to PSYNC"),
    "no PSYNC": Event(lambda s: s.replica_of(answer("psync", b"-ERR unknown command\r\n")), "Retrying with SYNC..."),
    "a wrong FULLRESYNC": Event(lambda s: s.replica_of(answer("psync", b"+FULLRESYNC abc 7\r\n")), "wrong +FULLRESYNC"),
    "no REPLCONF": Event(lambda s: s.replica_of(lambda talk: _refuses_replconf(talk, s.rdb)), FULL),
    "a wrong password": Event(
        lambda s: follow(s.subjects(masterauth="y"), s.peer(requirepass="x")), "Unable to AUTH to MASTER"
    ),
    "no password": Event(
        lambda s: follow(s.subjects(), s.peer(requirepass="x")), "MASTER aborted replication with an error"
    ),
    "inline words in the stream": Event(lambda s: s.replica_of(speak(s.rdb, b"hello there\r\n")), "Reconnecting to"),
    "a command that fails": Event(lambda s: s.replica_of(speak(s.rdb, _failing_stream())), "== CRITICAL =="),
}


def _psync(stage: Stage, replid: str, offset: int | str) -> None:
    client = stage.client()
    client.send(encode("PSYNC", replid, offset))
    client.read_line()


def _partial(stage: Stage) -> None:
    replica = stage.peer()
    link = stage.proxy(stage.subjects().port)
    replica.command("REPLICAOF", "127.0.0.1", link.port)
    stage.lines("Synchronization with replica")
    stage.look()
    link.cut()


def _second_id(stage: Stage) -> None:
    primary = _linked(stage)
    replid = primary.info("replication")["master_replid"]
    stage.subject.command("REPLICAOF", "NO", "ONE")
    stage.look()
    _psync(stage, replid, 500)


def _beyond_the_end(stage: Stage) -> None:
    stage.attached(repl_diskless_sync="no")
    _psync(stage, stage.subject.info("replication")["master_replid"], 5_000)


def _backlog_expires(stage: Stage) -> None:
    stage.attached(repl_backlog_ttl=1).command("REPLICAOF", "NO", "ONE")


def _output_limit(stage: Stage) -> None:
    stage.subjects(client_output_buffer_limit=("replica", "1mb", "1mb", 0), repl_backlog_size="16kb")
    _psync(stage, "?", -1)
    stage.lines("Synchronization with replica")
    stage.look()
    with stage.subject.connect() as writer:
        while "overcoming" not in stage.text():
            writer.command("SET", "k", b"x" * 100_000)


def _replica_asks(stage: Stage) -> None:
    stage.subjects(repl_diskless_sync="no")
    client = stage.client()
    client.send(encode("PSYNC", "?", -1))
    client.read_line()
    stage.lines("Synchronization with replica")
    stage.look()
    client.send(encode("GET", "k"))


def _slow_snapshot(stage: Stage, diskless: str) -> RealServer:
    stage.subjects(repl_diskless_sync=diskless, rdb_key_save_delay=50_000)
    stage.subject.command("DEBUG", "POPULATE", 20)
    replica = stage.peer()
    follow(replica, stage.subject)
    stage.lines("started by pid")
    return replica


def _child_is_killed(stage: Stage, diskless: str) -> None:
    _slow_snapshot(stage, diskless)
    children = Path(f"/proc/{stage.subject.pid}/task/{stage.subject.pid}/children").read_text("ascii").split()
    os.kill(int(children[0]), signal.SIGKILL)


def _second_joins(stage: Stage) -> None:
    _slow_snapshot(stage, "no")
    follow(stage.peer(), stage.subject)


def _bgsave_is_under_way(stage: Stage) -> None:
    stage.subjects(repl_diskless_sync="no", rdb_key_save_delay=20_000)
    stage.subject.command("DEBUG", "POPULATE", 20)
    stage.subject.command("BGSAVE")
    follow(stage.peer(), stage.subject)


def _rdb_only(stage: Stage) -> None:
    stage.subjects(repl_diskless_sync="no")
    client = stage.client()
    client.command("REPLCONF", "rdb-only", 1)
    client.send(encode("SYNC"))
    client.read_to_end()


AS_PRIMARY: dict[str, Event] = {
    "first sync, on disk": Event(
        lambda s: follow(s.peer(), s.subjects(repl_diskless_sync="no")), "Synchronization with replica"
    ),
    "first sync, diskless": Event(
        lambda s: follow(s.peer(), s.subjects(repl_diskless_sync="yes")), "Synchronization with replica"
    ),
    "first sync, delayed": Event(
        lambda s: follow(s.peer(), s.subjects(repl_diskless_sync="yes", repl_diskless_sync_delay=1)),
        "Synchronization with replica",
    ),
    "a partial resync": Event(_partial, "Partial resynchronization request"),
    "another history": Event(lambda s: (s.attached(repl_diskless_sync="no"), _psync(s, "e" * 40, 5)), "succeeded"),
    "beyond the second id": Event(_second_id, "Requested offset for second ID"),
    "beyond the end": Event(_beyond_the_end, "Starting BGSAVE"),
    "an offset that is none": Event(lambda s: (s.subjects(), _psync(s, "?", "abc")), "with a wrong offset"),
    "a replica leaves": Event(lambda s: s.attached().command("REPLICAOF", "NO", "ONE"), "lost."),
    "the backlog expires": Event(_backlog_expires, "Replication backlog freed"),
    "a replica is silent": Event(
        lambda s: s.attached(repl_timeout=2, repl_ping_replica_period=1).pause(), "Connection with replica"
    ),
    "a replica does not read": Event(_output_limit, "Connection with replica"),
    "a replica asks for data": Event(_replica_asks, "Connection with replica"),
    "the child is killed, on disk": Event(lambda s: _child_is_killed(s, "no"), "Connection with replica"),
    "a second replica joins": Event(_second_joins, "Waiting for end of BGSAVE for SYNC"),
    "a BGSAVE is under way": Event(_bgsave_is_under_way, "Can't attach the replica to the current BGSAVE"),
    "an RDB only": Event(_rdb_only, "lost."),
    # Redis 7.0 keeps its replicas when it becomes one, until they go by themselves
    "FAILOVER": Event(lambda s: (s.attached(), s.subject.command("FAILOVER")), PARTIAL, moved=("lost.",)),
}

EVENTS = {**AS_REPLICA, **AS_PRIMARY}


@pytest.fixture(scope="module")
def rdb() -> bytes:
    """An empty RDB."""
    with redis70() as server:
        server.command("SAVE")
        return (server.dir / "dump.rdb").read_bytes()


@pytest.fixture
def stage_of(run: Run, rdb: bytes) -> Iterator[Callable[[str], Stage]]:
    """A stage for each kind."""
    with ExitStack() as stack:
        yield lambda kind: Stage(run, kind, stack, rdb)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS.keys())
def test_an_event_is_told_in_the_words_of_redis_and_once(stage_of: Callable[[str], Stage], event: Event) -> None:
    """The same lines in the same order; none more than once unless Redis repeats it too."""

    def tell(kind: str) -> list[str]:
        stage = stage_of(kind)
        event.provoke(stage)
        return stage.lines(event.ending)

    with ThreadPoolExecutor() as both:
        told = [both.submit(tell, kind) for kind in (MODEL, SUBJECT)]
    wanted, lines = (each.result() for each in told)
    moved = MOVED + event.moved
    assert [line for line in lines if not line.endswith(moved)] == [line for line in wanted if not line.endswith(moved)]
    assert sorted(line for line in lines if line.endswith(moved)) == sorted(
        line for line in wanted if line.endswith(moved)
    )
