"""Starts that cannot succeed: one clear last line that names the thing, exit code 1, no traceback, whoever starts it.

Through `txrepl-server` (`python -m txrepl.cli`) and through `twistd -n txrepl`; and over HTTP, requests that a running
process must refuse.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.interop.servers import RealServer, child_environment, free_port, txrepl

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = (REPOSITORY / "tests" / "rdb" / "samples" / "redis-7.2.6-cut.rdb").read_bytes()
START_MOST_S = 20
LAST_LINES = 5
"""What Redis takes to say what is wrong in a configuration: the place, the line, the reason."""


def by_server(directory: Path, directives: dict[str, str], config: Path | None) -> list[str]:
    """How txrepl-server is told."""
    argv = [sys.executable, "-m", "txrepl.cli", *([str(config)] if config else [])]
    for name, value in {"port": "0", "dir": str(directory), **directives}.items():
        argv += [f"--{name}", value]
    return argv


def by_twistd(directory: Path, directives: dict[str, str], config: Path | None) -> list[str]:
    """How twistd is told."""
    argv = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "txrepl", "--http", "off"]
    argv += ["--config", str(config)] if config else []
    for name, value in {"port": "0", "dir": str(directory), **directives}.items():
        argv += ["--set", f"{name} {value}"]
    return argv


Starter = Callable[[Path, dict[str, str], Path | None], list[str]]


@pytest.fixture(params=[by_server, by_twistd], ids=["txrepl-server", "twistd"])
def starter(request: pytest.FixtureRequest) -> Starter:
    """Each way to start."""
    found: Starter = request.param
    return found


def refused(starter: Starter, directory: Path, config: Path | None = None, **directives: str) -> str:
    """Start, see it end with exit code 1 and without a traceback; the last words that it wrote."""
    named = {name.replace("_", "-"): value for name, value in directives.items()}
    done = subprocess.run(
        starter(directory, named, config),
        capture_output=True,
        text=True,
        errors="replace",
        cwd=directory if os.access(directory, os.X_OK) else REPOSITORY,
        env=child_environment(),
        timeout=START_MOST_S,
        check=False,
    )
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert lines
    whole = "\n".join(lines)
    assert done.returncode == 1, whole
    assert "Traceback" not in whole and "Error:" not in whole, whole
    return "\n".join(lines[-LAST_LINES:])


def test_a_port_in_use(starter: Starter, tmp_path: Path) -> None:
    """Its number, in the words that test harnesses look for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"Failed listening on port {port} (tcp), aborting." in refused(starter, tmp_path, port=str(port))


def test_a_directory_that_is_not_there(starter: Starter, tmp_path: Path) -> None:
    """Its path."""
    absent = str(tmp_path / "absent")
    last = refused(starter, tmp_path, dir=absent)
    assert absent in last and "No such file or directory" in last


@pytest.mark.parametrize("path", ["nowhere/s", ""], ids=["no such directory", "a directory"])
def test_a_unix_socket_that_cannot_be_made(starter: Starter, tmp_path: Path, path: str) -> None:
    """Named as Redis does."""
    line = refused(starter, tmp_path, unixsocket=str(tmp_path / path))
    assert "Unix socket" in line, line


def test_a_file_for_a_directory(tmp_path: Path) -> None:
    """Its path."""
    (tmp_path / "file").write_text("")
    last = refused(by_server, tmp_path, dir=str(tmp_path / "file"))
    assert str(tmp_path / "file") in last and "directory" in last.lower()


def test_a_dump_file_that_is_a_directory(tmp_path: Path) -> None:
    """What cannot be read is not taken for an empty dataset."""
    (tmp_path / "dump.rdb").mkdir()
    last = refused(by_server, tmp_path)
    assert "Fatal error loading the DB" in last and "dump.rdb" in last and "directory" in last.lower()


BAD_LINES = {
    "an unknown directive": ("repl-backlog-siz 1mb", "repl-backlog-size"),
    "a value that is no number": ("hz many", "hz"),
    "a value out of range": ("databases 0", "databases"),
    "a value that is no choice": ("loglevel loud", "loglevel"),
    "a memory unit": ("maxmemory 1zb", "maxmemory"),
    "too few words": ("replicaof 127.0.0.1", "replicaof"),
    "an open quote": ('requirepass "abc', "requirepass"),
}


@pytest.mark.parametrize(("line", "named"), BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_line_of_the_configuration_file(tmp_path: Path, line: str, named: str) -> None:
    """File, line and the directive, by its nearest known name where it is unknown."""
    config = tmp_path / "bad.conf"
    config.write_text(f"# a comment\n\nport 0\n{line}\n")
    last = refused(by_server, tmp_path, config)
    assert named in last
    assert re.search(rf"{re.escape(str(config))}, line 4\b", last), last


def test_a_bad_line_stops_twistd_too(tmp_path: Path) -> None:
    """The same words."""
    config = tmp_path / "bad.conf"
    config.write_text("repl-backlog-siz 1mb\n")
    last = refused(by_twistd, tmp_path, config)
    assert "repl-backlog-size" in last and f"{config}, line 1" in last


def test_a_configuration_file_that_is_not_there(starter: Starter, tmp_path: Path) -> None:
    """Its path."""
    assert "absent.conf" in refused(starter, tmp_path, tmp_path / "absent.conf")


def test_a_bad_directive_on_the_command_line(starter: Starter, tmp_path: Path) -> None:
    """Its name, and the value that was refused."""
    last = refused(starter, tmp_path, **{"repl-timeout": "soon"})
    assert "repl-timeout" in last
    assert "repl-timeout" in refused(starter, tmp_path, **{"repl-timeou": "5"})


def test_http_for_everybody_without_a_token(tmp_path: Path) -> None:
    """The directive that is missing."""
    directives = {"http-port": str(free_port()), "http-bind": "0.0.0.0"}
    assert "http-token" in refused(by_server, tmp_path, **directives)


FILES = {
    "a bit turned over": (SAMPLE[:-20] + bytes((SAMPLE[-20] ^ 1,)) + SAMPLE[-19:], "at byte"),
    "a wrong checksum": (SAMPLE[:-1] + bytes((SAMPLE[-1] ^ 1,)), "CRC error"),
    "truncated": (SAMPLE[:9999], "truncated (at byte 9999)"),
    "empty": (b"", "truncated (at byte 0)"),
    "of the future": (b"REDIS0099" + SAMPLE[9:], "Can't handle RDB format version 99"),
    "no RDB": (b"PK\x03\x04" + bytes(100), "Wrong signature"),
}


STARTS = [*((by_server, name) for name in FILES), (by_twistd, "truncated")]


@pytest.mark.parametrize(("starter", "name"), STARTS, ids=[f"{starter.__name__} {name}" for starter, name in STARTS])
def test_a_dump_file_that_cannot_be_loaded(starter: Starter, name: str, tmp_path: Path) -> None:
    """The file, the reason and the place; the file stays as it is, for who wants to save what can be saved."""
    data, said = FILES[name]
    file = tmp_path / "dump.rdb"
    file.write_bytes(data)
    last = refused(starter, tmp_path)
    assert f"Fatal error loading the DB {file}" in last
    assert said in last
    assert file.read_bytes() == data


# -- HTTP, over the wire -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[RealServer, int]]:
    """A running txrepl and its HTTP port."""
    port = free_port()
    with txrepl(http_port=port) as server:
        yield server, port
        text = server.log_text()
        assert "Traceback" not in text and "Unexpected error" not in text


HTTP: list[tuple[str, str, bytes | None, int]] = [
    ("GET", "/v1/nosuch", None, 404),
    ("GET", "/v1/config/nosuch", None, 404),
    ("DELETE", "/v1/replicas/99", None, 404),
    ("PUT", "/v1/replication", b"", 405),
    ("DELETE", "/v1/info", None, 405),
    ("POST", "/v1/replicaof", b"{not json", 400),
    ("POST", "/v1/replicaof", b"[1,2]", 422),
    ("POST", "/v1/replicaof", b'{"host":"a","port":"x"}', 422),
    ("POST", "/v1/replicaof", b'{"host":"a","port":99999}', 422),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), HTTP, ids=[f"{c[3]} {c[0]} {c[1]}" for c in HTTP])
def test_a_bad_request_over_http_gets_a_problem_in_json(
    served: tuple[RealServer, int], method: str, path: str, body: bytes | None, status: int
) -> None:
    """RFC 9457: the status in the body too, a title, and words; the server is as it was."""
    server, port = served
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"}, method=method
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    with caught.value as answer:
        assert answer.code == status
        assert answer.headers.get_content_type() == "application/problem+json"
        problem = json.loads(answer.read())
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    assert server.info("replication")["role"] == "master"


@pytest.mark.parametrize(
    "data",
    [b"\x00\xff\x00\r\n\r\n", b"GET\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"],
)
def test_bytes_that_are_no_http_are_answered_400_or_closed(served: tuple[RealServer, int], data: bytes) -> None:
    """And the next request is served."""
    server, port = served
    with socket.create_connection(("127.0.0.1", port), 10) as raw:
        raw.sendall(data)
        raw.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := raw.recv(65536):
                answer += piece
        except ConnectionError:
            pass  # closed without a word is an answer too
    assert not answer or answer.startswith(b"HTTP/1.1 400")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as healthy:
        assert healthy.status == 200
    assert server.command("PING") == "PONG"
