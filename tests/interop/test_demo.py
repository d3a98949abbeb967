"""`make run` shows a live replica, and leaves nothing behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RawClient, free_port, require, wait_until
from txrepl.demo import DemoError, parse_address, writes

REPOSITORY = Path(__file__).resolve().parents[2]


class Demo:
    """The demo as a process, with ports chosen here."""

    def __init__(self, log: Path, *words: str) -> None:
        self.port, self.http_port = free_port(), free_port()
        self.log = log
        argv = [sys.executable, "-m", "txrepl.demo", "--port", str(self.port), "--http", str(self.http_port), *words]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env={**os.environ, "TMPDIR": str(log.parent)},
            )

    def await_data(self, what: str, key: str | None = None) -> None:
        """Wait until txrepl's link is up and it holds keys (or the named one)."""

        def there() -> bool:
            assert self.process.poll() is None, self.log.read_text("utf-8", "replace")
            with RawClient(self.port, 5) as client:
                up = b"master_link_status:up" in client.command("INFO", "replication")
                return up and bool(client.command("EXISTS", key) if key else client.command("DBSIZE"))

        wait_until(there, 30, what)


@pytest.fixture
def demos() -> Iterator[list[Demo]]:
    """Demos that are ended after the test if it did not end them."""
    started: list[Demo] = []
    yield started
    for demo in started:
        if demo.process.poll() is None:
            demo.process.terminate()
            demo.process.wait(30)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_replicates_a_live_valkey_and_cleans_up(
    tmp_path: Path, demos: list[Demo], how: signal.Signals
) -> None:
    """Data flows, the output names what to look at, and a signal ends every process and file of it."""
    require("valkey9")
    require("txrepl")
    demo = Demo(tmp_path / "demo.log")
    demos.append(demo)
    demo.await_data("the demo's replica has data")
    assert f"curl http://127.0.0.1:{demo.http_port}/v1/replication" in demo.log.read_text("utf-8")
    demo.process.send_signal(how)
    assert demo.process.wait(30) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["demo.log"]
    assert str(tmp_path) not in "".join(_command_lines())


def test_the_demo_follows_the_user_s_own_primary(tmp_path: Path, demos: list[Demo], run: Run) -> None:
    """With --primary nothing else is started, and nothing is written to the user's server."""
    require("txrepl")
    primary = run("redis62")
    primary.command("SET", "mine", "value")
    demo = Demo(tmp_path / "demo.log", "--primary", f"127.0.0.1:{primary.port}")
    demos.append(demo)
    demo.await_data("the user's key is on the replica", "mine")
    assert primary.command("DBSIZE") == 1
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(30) == 0


@pytest.mark.parametrize("text", ["", "localhost", ":6379", "host:", "host:port", "host:0", "host:65536", "host:-1"])
def test_an_address_that_is_none_is_refused_in_words(text: str) -> None:
    """PRIMARY without a host or a port says what form is expected."""
    with pytest.raises(DemoError, match=r"must be host:port"):
        parse_address(text)


def test_addresses_of_both_families_are_taken() -> None:
    """Names, IPv4 and bracketed IPv6."""
    assert parse_address("redis.example:6379") == ("redis.example", 6379)
    assert parse_address("[::1]:7000") == ("::1", 7000)


def test_a_real_server_takes_every_write_of_the_trickle(run: Run, kind: str) -> None:
    """2,000 of the demo's writes give no error, reach two databases and leave a small dataset."""
    server = run(kind)
    with server.connect() as client:
        replies = client.pipeline(islice(writes(random.Random(1)), 2_000))
        assert not [reply for reply in replies if isinstance(reply, Exception)]
        for database in (0, 1):
            client.command("SELECT", database)
            assert 0 < client.command("DBSIZE") < 500


def _command_lines() -> list[str]:
    lines: list[str] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue  # it ended meanwhile
    return lines
