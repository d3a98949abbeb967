"""A live Redis to compare with, on a Unix socket."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

Start = Callable[..., redis.Redis]


@contextmanager
def _running(binary: str, directory: Path, arguments: tuple[str, ...]) -> Iterator[redis.Redis]:
    socket = directory / "redis.sock"
    process = subprocess.Popen(
        [binary, *arguments, "--port", "0", "--unixsocket", str(socket)],
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            if "ready to accept connections" in line.lower():
                break
        else:
            pytest.fail("the server did not start:\n" + "".join(seen))
        yield redis.Redis(unix_socket_path=str(socket), decode_responses=True)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[Start]:
    """Starts the installed redis-server with some arguments in the test's directory; gives a client of it."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs redis-server (Debian package redis-server)")
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(_running(binary, tmp_path, arguments))
