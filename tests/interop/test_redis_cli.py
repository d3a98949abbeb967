"""redis-cli's own modes, which ask for more than one command, work with txrepl as with a real server."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.servers import RealServer, start

CLI = shutil.which("redis-cli")
pytestmark = pytest.mark.skipif(CLI is None, reason="needs redis-cli (Debian package redis-tools)")


def filled(kind: str) -> Iterator[RealServer]:
    """A server with some keys of every type, one of them used more than the others."""
    with start(kind, maxmemory_policy="allkeys-lfu") as server, server.connect() as client:
        for number in range(50):
            client.command("SET", f"k{number}", "v" * number)
        client.command("RPUSH", "l", *range(20))
        client.command("SADD", "s", *range(300))
        client.command("ZADD", "z", 1, "a", 2, "b")
        client.command("HSET", "h", "a", "b")
        client.command("XADD", "x", "1-1", "a", "b")
        for _ in range(200):
            client.command("GET", "k3")
        yield server


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    """txrepl."""
    yield from filled("txrepl")


@pytest.fixture(scope="module")
def real() -> Iterator[RealServer]:
    """Redis 7.0."""
    yield from filled("redis70")


def cli(server: RealServer, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """What redis-cli says; it has to end by itself."""
    assert CLI is not None
    return subprocess.run(
        [CLI, "-p", str(server.port), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def summary(output: str) -> list[str]:
    """The lines behind `summary`, which are in no promised order."""
    return sorted(output.partition("-------- summary -------")[2].splitlines())


def test_bigkeys_finds_the_same(ours: RealServer, real: RealServer) -> None:
    """The biggest of every type, and counts and sizes of all."""
    own, other = cli(ours, "--bigkeys"), cli(real, "--bigkeys")
    assert own.returncode == 0 and own.stderr == ""
    assert summary(own.stdout) == summary(other.stdout)
    assert "Biggest    set found '\"s\"' has 300 members" in own.stdout


def test_memkeys_weighs_every_key(ours: RealServer) -> None:
    """By MEMORY USAGE: as many of each type as there are, none of them without a size."""
    found = cli(ours, "--memkeys")
    assert found.returncode == 0 and found.stderr == ""
    assert sorted(re.findall(r"^(\d+) (\w+) with [1-9]\d* bytes", found.stdout, re.MULTILINE)) == [
        *(("1", f"{kind}s") for kind in ("hash", "list", "set", "stream", "zset")),
        ("50", "strings"),
    ]


def test_hotkeys_finds_the_one_that_is_used(ours: RealServer) -> None:
    """By OBJECT FREQ, with an LFU policy."""
    hottest = next(line for line in cli(ours, "--hotkeys").stdout.splitlines() if line.startswith("hot key found"))
    assert hottest.endswith('keyname: "k3"')


def test_scan_lists_every_key_once(ours: RealServer) -> None:
    """Of a pattern."""
    assert sorted(cli(ours, "--scan", "--pattern", "k4*").stdout.split()) == ["k4", *(f"k4{n}" for n in range(10))]


def test_pipe_counts_replies_and_errors(ours: RealServer, real: RealServer) -> None:
    """The end of the transfer is known by an ECHO of its own."""
    commands = "SET piped 1\r\nINCR piped\r\nNOSUCH\r\nDEL piped\r\n"
    own, other = cli(ours, "--pipe", text=commands), cli(real, "--pipe", text=commands)
    assert (own.returncode, own.stdout) == (other.returncode, other.stdout)
    assert "errors: 1, replies: 4" in own.stdout


@pytest.mark.parametrize("mode", ["--rdb", "--functions-rdb"])
def test_rdb_is_fetched_whole(mode: str, ours: RealServer, tmp_path: Path) -> None:
    """As a replica that wants nothing but the file; a Redis loads it."""
    fetched = cli(ours, mode, str(tmp_path / "dump.rdb"))
    assert fetched.returncode == 0 and "Transfer finished with success" in fetched.stderr
    with start("redis70") as loads:
        (loads.dir / "dump.rdb").write_bytes((tmp_path / "dump.rdb").read_bytes())
        loads.command("DEBUG", "RELOAD", "NOSAVE")
        assert loads.command("DBSIZE") == (ours.command("DBSIZE") if mode == "--rdb" else 0)


def test_latency_is_measured(ours: RealServer) -> None:
    """Without a terminal it measures for a second and prints once."""
    assert re.fullmatch(r"\d+ \d+ \d+\.\d\d \d+\n", cli(ours, "--latency").stdout)


def test_commands_repeat_and_replies_are_formatted(ours: RealServer) -> None:
    """-r, -3, --json and -x."""
    assert cli(ours, "-r", "3", "PING").stdout == "PONG\n" * 3
    assert cli(ours, "--json", "-3", "HGETALL", "h").stdout == '{"a":"b"}\n'
    assert cli(ours, "-x", "ECHO", text="hello").stdout == "hello\n"


def test_monitor_starts(ours: RealServer) -> None:
    """It prints what others do, until it is ended."""
    assert CLI is not None
    with subprocess.Popen([CLI, "-p", str(ours.port), "MONITOR"], stdout=subprocess.PIPE, text=True) as monitor:
        assert monitor.stdout is not None
        try:
            assert monitor.stdout.readline() == "OK\n"
            ours.command("GET", "seen")
            assert monitor.stdout.readline().endswith('] "GET" "seen"\n')
        finally:
            monitor.terminate()
