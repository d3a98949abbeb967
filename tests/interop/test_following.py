"""Following a real primary from a program: `txrepl.follow` in asyncio and in Twisted, and `txrepl-follow`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import txrepl
from tests.interop.conftest import Proxy, Run
from tests.interop.dataset import fill, write_randomly
from tests.interop.following import Mirror, empty_rdb
from tests.interop.servers import RealServer, child_environment, free_port, wait_until
from txrepl.changes import Checkpoint
from txrepl.following import Change, Entry, Follower, FollowError, FullSync, Synced

SEED = 33
WRITES = 20_000
TIMEOUT_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]
QUIET: dict[str, Any] = {"repl_ping_replica_period": 3600, "repl_backlog_size": "64mb"}


class Restarting(threading.Thread):
    """A program that follows a port into a mirror, and begins anew at random, with nothing but its last checkpoint."""

    def __init__(self, port: int, mirror: Mirror) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._mirror = mirror
        self._source = random.Random(SEED)
        self.saved: Checkpoint | None = None
        self.full_syncs: list[FullSync] = []
        self.restarts = 0
        self.stopped = False
        self.failure: BaseException | None = None
        self.start()

    @property
    def offset(self) -> int:
        return self.saved.offset if self.saved is not None else -1

    def run(self) -> None:
        """Follow until told to stop."""
        try:
            while not self.stopped:
                asyncio.run(self._follow_a_while())
                self.restarts += 1
        except BaseException as error:
            self.failure = error

    async def _follow_a_while(self) -> None:
        left = self._source.randrange(200, 5000)
        follower = txrepl.follow("127.0.0.1", self._port, checkpoint=None if self.saved is None else str(self.saved))
        try:
            while left > 0 and not self.stopped:
                try:
                    async with asyncio.timeout(0.5):
                        event = await anext(follower)
                except TimeoutError:
                    return  # what waits is cancelled in the middle: one more way to end
                self._mirror.take(json.loads(event.json()))
                if isinstance(event, FullSync):
                    self.full_syncs.append(event)
                if event.checkpoint is not None:
                    left -= 1
                    if isinstance(event, Change):
                        assert event.checkpoint.offset > self.offset, f"{event} again, after {self.saved}"
                    self.saved = event.checkpoint
        finally:
            await follower.aclose()


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_a_program_that_restarts_with_its_checkpoint_makes_a_copy(run: Run, proxy: Proxy, kind: str) -> None:
    """20,000 random writes, links cut, the program begun anew again and again: one full sync, no change twice."""
    primary, target = run(kind, **QUIET), run(kind)
    way = proxy(primary.port)
    source = random.Random(SEED)
    with primary.connect() as client, Mirror(target, empty_rdb()) as mirror:
        fill(client, SEED)
        program = Restarting(way.port, mirror)
        wait_until(lambda: program.failure or program.saved, TIMEOUT_S, "the dataset is read")
        way.cut_after(*(source.randrange(1000, 200_000) for _ in range(8)))
        write_randomly(client, WRITES, SEED)
        wait_until(
            lambda: program.failure or (program.offset, target.digest()) == (primary.offset(), primary.digest()),
            TIMEOUT_S,
            "the copy equals the primary",
        )
        program.stopped = True
        program.join(TIMEOUT_S)
        assert program.failure is None
        assert [event.condition for event in program.full_syncs] == ["no_history"]
        assert way.cuts > 2 and program.restarts > 2


async def until(follower: Follower, kind: type, command: str = "") -> Any:
    """The next event of a kind, within bounds."""
    async with asyncio.timeout(TIMEOUT_S):
        async for event in follower:
            if isinstance(event, kind) and (not command or event.command == command):
                return event
    raise AssertionError("the follower has ended")


def test_a_full_sync_in_the_middle_is_an_event_that_says_why(run: Run) -> None:
    """When the backlog does not reach back, and when the primary has another history: never a silent gap."""
    primary = run("redis70", repl_backlog_size="16kb", repl_ping_replica_period=3600)

    async def follow() -> None:
        follower = txrepl.follow("127.0.0.1", primary.port, snapshot=False)
        first = await until(follower, Synced)
        await follower.aclose()
        for _ in range(10):
            primary.command("SET", "k", "x" * 10_000)
        again = txrepl.follow("127.0.0.1", primary.port, checkpoint=first.checkpoint)
        lost = await until(again, FullSync)
        assert lost.condition == "backlog_short" and "backlog no longer holds" in lost.reason
        assert lost.before == first.checkpoint and again.checkpoint is None
        entry = await until(again, Entry)
        assert (entry.db, entry.key) == (0, b"k")
        await until(again, Synced)
        await asyncio.to_thread(primary.restart)
        lost = await until(again, FullSync)
        assert lost.condition == "replid_mismatch"
        await again.aclose()

    asyncio.run(follow())


def test_filters_choose_keys_of_the_dataset_and_changes(run: Run) -> None:
    """By glob, database and command."""
    primary = run("valkey9")
    for db in (0, 1):
        with primary.connect() as client:
            client.pipeline([("SELECT", db), ("SET", "user:1", db), ("SET", "other", db)])

    async def follow() -> list[tuple[Any, ...]]:
        follower = txrepl.follow("127.0.0.1", primary.port, match="user:*", db=1, command=("set", "del", "flushall"))
        seen: list[tuple[Any, ...]] = []
        async with asyncio.timeout(TIMEOUT_S):
            async for event in follower:
                if isinstance(event, Entry):
                    seen.append((event.db, event.key, event.value))
                elif isinstance(event, Synced):
                    with primary.connect() as client:
                        client.pipeline([("SET", "user:1", 2), ("SELECT", 1), ("SET", "user:2", 2), ("INCR", "user:2")])
                        client.pipeline([("SET", "other", 2), ("DEL", "user:2"), ("FLUSHALL",)])
                elif isinstance(event, Change):
                    seen.append((event.db, event.command, event.keys))
                    if event.command == "FLUSHALL":
                        break
        await follower.aclose()
        return seen

    assert asyncio.run(follow()) == [
        (1, b"user:1", b"1"),
        (1, "SET", [b"user:2"]),
        (1, "DEL", [b"user:2"]),
        (1, "FLUSHALL", []),
    ]


def test_a_server_that_refuses_us_is_an_error_and_no_endless_loop(run: Run) -> None:
    """A wrong password, none where one is needed; the right one works, as a user with three permissions too."""
    primary = run("redis70", requirepass="secret")
    primary.command("ACL", "SETUSER", "reader", "on", ">word", "+psync", "+replconf", "+ping")

    async def follow(**more: Any) -> None:
        follower = txrepl.follow("127.0.0.1", primary.port, **more)
        try:
            await until(follower, Synced)
        finally:
            await follower.aclose()

    with pytest.raises(FollowError, match="WRONGPASS"):
        asyncio.run(follow(password="wrong"))
    with pytest.raises(FollowError, match="NOAUTH"):
        asyncio.run(follow())
    asyncio.run(follow(password="secret"))
    asyncio.run(follow(user="reader", password="word"))


def test_a_program_that_takes_its_time_slows_the_primarys_socket_down_and_stays_attached(run: Run) -> None:
    """It is read no further, acknowledges all the same, and gets everything in the end."""
    primary = run("redis70", repl_timeout=2, client_output_buffer_limit=("replica", 0, 0, 0))
    value = b"x" * 100_000

    async def follow() -> int:
        follower = txrepl.follow("127.0.0.1", primary.port)
        await until(follower, Synced)
        with primary.connect() as client:
            client.pipeline([("SET", "k", value)] * 300)
        loop = asyncio.get_running_loop()
        stalled_until = loop.time() + 5  # longer than repl-timeout
        while loop.time() < stalled_until:
            await asyncio.sleep(0.1)
            assert "slave0" in primary.info("replication")
        assert int(primary.info("memory")["mem_clients_slaves"]) > 10_000_000  # it waits there, and not with us
        seen = 0
        async with asyncio.timeout(TIMEOUT_S):
            while seen < 300:
                seen += isinstance(await anext(follower), Change)
        await follower.aclose()
        return seen

    assert asyncio.run(follow()) == 300
    assert "Disconnecting timedout replica" not in primary.log_text()


IN_TWISTED = """
import sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
import txrepl

async def main(reactor, port, start):
    follower = txrepl.follow("127.0.0.1", int(port), checkpoint=start or None, reactor=reactor)
    async for event in follower:
        print(event.json(), flush=True)
        if getattr(event, "command", "") == "DEL":
            break
    await follower.aclose()

react(lambda reactor, *words: Deferred.fromCoroutine(main(reactor, *words)), sys.argv[1:3])
"""


def test_a_program_of_twisted_follows_too(run: Run) -> None:
    """The same events in a coroutine of Twisted's, from a checkpoint as well."""
    primary = run("redis70")
    primary.command("SET", "a", "1")

    def follow(start: str) -> Iterator[dict[str, Any]]:
        with subprocess.Popen(
            [sys.executable, "-c", IN_TWISTED, str(primary.port), start], stdout=subprocess.PIPE, cwd=REPOSITORY
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
        assert process.returncode == 0

    first = follow("")
    events = [next(first) for _ in range(3)]
    assert [event["event"] for event in events] == ["full_sync", "key", "synced"]
    primary.command("SET", "b", "2")
    primary.command("DEL", "b")
    changes = [event for event in first if event["event"] == "change"]
    assert [event["command"] for event in changes] == ["SET", "DEL"]
    primary.command("DEL", "a")
    again = [event["command"] for event in follow(changes[0]["id"]) if event["event"] == "change"]
    assert again == ["DEL"]


@pytest.mark.parametrize("page", ["README.md", "docs/follow.md"])
def test_the_example_that_is_shown_survives_a_restart(run: Run, tmp_path: Path, page: str) -> None:
    """It is killed; started again, it goes on behind what it has printed."""
    found = re.search(r"```python\n(import asyncio\b.*?)```", (REPOSITORY / page).read_text("utf-8"), re.DOTALL)
    assert found is not None
    primary = run("redis70", repl_ping_replica_period=3600)
    saved = tmp_path / "checkpoint"
    program = [sys.executable, "-u", "-c", found[1].replace("6379", str(primary.port))]

    def first_change() -> dict[str, Any]:
        with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=tmp_path, env=child_environment()) as process:
            assert process.stdout is not None
            for line in process.stdout:
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "synced":
                    primary.command("SET", "number", 1)
                if event["event"] == "change":
                    wait_until(
                        lambda event=event: saved.exists() and saved.read_text() == event["id"],
                        TIMEOUT_S,
                        "it is stored",
                    )
                    process.kill()
                    return event
        raise AssertionError("the example has ended")

    assert first_change()["args"] == ["number", "1"]
    primary.command("SET", "number", 2)
    assert first_change()["args"] == ["number", "2"]


class Command:
    """`txrepl-follow` as a process that can be killed at any moment; its lines count up to its checkpoint.

    Parameters:
        words: its arguments.
    """

    def __init__(self, directory: Path, *words: str) -> None:
        self.file = directory / "checkpoint"
        self._out = directory / "out"
        self._words = words
        self._seen = ""
        self._start()

    def _start(self) -> None:
        self._out.write_bytes(b"")
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "txrepl.following.command", *self._words, "--checkpoint-file", str(self.file)],
                stdout=out,
                cwd=REPOSITORY,
            )

    @property
    def size_bytes(self) -> int:
        return self._out.stat().st_size

    @property
    def saved_offset(self) -> int:
        return Checkpoint.parse(self.file.read_text().strip()).offset if self.file.exists() else -1

    def kill(self, how: signal.Signals, restart: bool) -> list[dict[str, Any]]:
        """End it; the events that it wrote up to its checkpoint, since it was started."""
        self.process.send_signal(how)
        self.process.wait(TIMEOUT_S)
        lines = self._out.read_bytes().split(b"\n")[:-1]  # the last may be cut off
        events = [json.loads(line) for line in lines]
        checkpoint = self.file.read_text().strip() if self.file.exists() else ""
        ends = [index for index, event in enumerate(events) if event.get("id") == checkpoint]
        assert ends or checkpoint == self._seen, f"{checkpoint} was written to the file, and not to the output"
        self._seen = checkpoint
        if restart:
            self._start()
        return events[: ends[-1] + 1] if ends else []


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_the_command_survives_being_killed_at_any_moment(run: Run, tmp_path: Path, kind: str) -> None:
    """Its lines up to the checkpoint file's id make a copy: no change is lost, none repeated."""
    primary, target = run(kind, **QUIET), run(kind)
    source = random.Random(SEED)
    offset = -1
    with primary.connect() as client, Mirror(target, empty_rdb()) as mirror:
        fill(client, SEED)
        command = Command(tmp_path, f"127.0.0.1:{primary.port}")

        def take(events: list[dict[str, Any]]) -> int:
            last = offset
            for event in events:
                mirror.take(event)
                if event["event"] in ("change", "begin", "end"):
                    assert int(event["id"].split(":")[1]) > last
                    last = int(event["id"].split(":")[1])
            return last

        for number in range(6):
            write_randomly(client, WRITES // 6, SEED + number)
            size = source.randrange(1, 400_000)
            wait_until(
                lambda size=size: command.size_bytes > size or command.saved_offset == primary.offset(),
                TIMEOUT_S,
                "some is written",
            )
            offset = take(command.kill(signal.SIGKILL, restart=True))
        primary.command(
            "DEBUG", "SET-ACTIVE-EXPIRE", 0
        )  # what expires once the command has ended cannot be in its lines
        wait_until(lambda: command.saved_offset == primary.offset(), TIMEOUT_S, "everything is written")
        offset = take(command.kill(signal.SIGTERM, restart=False))
        assert command.process.returncode == 0
        wait_until(lambda: target.digest() == primary.digest(), TIMEOUT_S, "the copy equals the primary")


def run_command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "txrepl.following.command", *words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        check=False,
    )


def test_the_command_says_in_a_line_what_is_wrong(run: Run, tmp_path: Path) -> None:
    """Bad arguments, a file that holds no checkpoint, a refused password, no such variable: no traceback."""
    primary: RealServer = run("redis70", requirepass="secret")
    place = f"127.0.0.1:{primary.port}"
    broken = tmp_path / "broken"
    broken.write_text("nonsense")
    for words, code, says in (
        (("nowhere",), 2, "HOST:PORT"),
        ((place, "--from", "x"), 2, "REPLID:OFFSET"),
        ((place, "--db", "x"), 2, "database"),
        ((place, "--password-env", "NO_SUCH_VARIABLE"), 2, "NO_SUCH_VARIABLE"),
        ((place, "--checkpoint-file", str(broken)), 1, "holds no checkpoint"),
        ((place, "--password-env", "WORD"), 1, "WRONGPASS"),
        ((place,), 1, "NOAUTH"),
        ((f"127.0.0.1:{primary.port}", "--from", "a" * 40 + ":1", "--password-env", "WORD"), 1, "WRONGPASS"),
    ):
        ended = run_command(*words, WORD="wrong")
        assert ended.returncode == code, (words, ended)
        assert says in ended.stderr and "Traceback" not in ended.stderr, (words, ended.stderr)
        assert not ended.stdout


def test_the_command_ends_when_its_reader_does(run: Run) -> None:
    """As with `| head -3`, without a word."""
    primary = run("redis70")
    with primary.connect() as client:
        fill(client, SEED)
    line = f"{sys.executable} -m txrepl.following.command 127.0.0.1:{primary.port} | head -3"
    ended = subprocess.run(
        line, shell=True, capture_output=True, text=True, timeout=TIMEOUT_S, cwd=REPOSITORY, check=False
    )
    assert len(ended.stdout.splitlines()) == 3 and not ended.stderr


def test_a_lost_primary_is_waited_for(run: Run) -> None:
    """What comes once it is back is told, and the words about it go to the log."""
    said: list[str] = []
    port = free_port()

    async def follow() -> None:
        follower = txrepl.follow("127.0.0.1", port, log=lambda level, message: said.append(message))
        event = asyncio.ensure_future(until(follower, FullSync))
        while not said:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(run, "redis70", port=port)
        assert (await event).condition == "no_history"
        await follower.aclose()

    asyncio.run(follow())
    assert str(port) in said[0]
