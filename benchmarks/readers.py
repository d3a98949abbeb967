"""What readers of the change stream cost those who write: SETs of many clients with and without readers, in turn.

    python benchmarks/readers.py [--quick] [--idle 200] [--fast 5] [--pairs 3]

Idle readers wait with a filter that lets nothing through; fast ones read every change. The server has a core to itself;
the load, the readers, the process that writes their events, and a real Redis that follows all the while (so that there
is a replication stream either way) share the others. So what is seen is what readers take from the path of commands.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import selectors
import socket
import statistics
import sys
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.compare import Cost, attach, cpu_s, requests_cost
from tests.interop.servers import RealServer, free_port, start

MARKER = b"the-last-one"
IDLE_PATH = "/v1/changes?match=no-such-key"
PATIENCE_S = 30
FAST_PATH = "/v1/changes"


def read_streams(port: int, idle: int, fast: int, control: Connection) -> None:
    """Open that many streams, say so, and read until each fast one has come to the marker."""
    chosen = selectors.DefaultSelector()
    for path in (*[IDLE_PATH] * idle, *[FAST_PATH] * fast):
        connection = socket.create_connection(("127.0.0.1", port), 30)
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        connection.sendall(request.encode())
        if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
            raise ConnectionError(f"{path} is refused")
        connection.setblocking(False)
        chosen.register(connection, selectors.EVENT_READ, b"")
    control.send(0)
    while fast:
        ready = chosen.select(PATIENCE_S)
        if not ready:
            raise TimeoutError(f"nothing has come for {PATIENCE_S} s, and {fast} readers lack something")
        for key, _ in ready:
            assert isinstance(key.fileobj, socket.socket)
            data = key.fileobj.recv(1024 * 1024)
            if not data:
                raise ConnectionError("a reader was let go")
            if MARKER in key.data + data:
                fast -= 1
            chosen.modify(key.fileobj, selectors.EVENT_READ, data[-len(MARKER) :])
    control.send(0)
    control.recv()


def settle(node: RealServer, others: list[int]) -> None:
    """Give the server the first core, and all others, this process and those that it will start too, the rest."""
    first, *rest = sorted(os.sched_getaffinity(node.pid) | os.sched_getaffinity(0))
    if rest:
        os.sched_setaffinity(node.pid, {first})
        for pid in (0, *others):
            os.sched_setaffinity(pid, rest)


def encoders(node: RealServer) -> list[int]:
    """The processes that write events for the server's readers."""
    children = Path(f"/proc/{node.pid}/task/{node.pid}/children").read_text("ascii").split()
    return [int(pid) for pid in children if b"txrepl.changes" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def cost(node: RealServer, pipeline: int, requests: int, idle: int = 0, fast: int = 0) -> Cost:
    """The cost of one request while so many read: CPU until all have been given everything."""
    ours, theirs = multiprocessing.Pipe()
    port = int(str(node.directives["http-port"]))
    process = multiprocessing.get_context("spawn").Process(target=read_streams, args=(port, idle, fast, theirs))
    process.start()
    theirs.close()
    ours.recv()
    for pid in encoders(node):
        os.sched_setaffinity(pid, os.sched_getaffinity(0))
    before = cpu_s(node)
    wall_s = requests_cost(node, "set", pipeline, requests).wall_s
    node.command("SET", MARKER, 1)
    ours.recv()
    used = (cpu_s(node) - before) / requests
    ours.send("leave")
    process.join()
    return Cost(wall_s, used)


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="what readers of the change stream cost those who write")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one pair each")
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--fast", type=int, default=5)
    parser.add_argument("--pairs", type=int, help="how often each comparison is repeated (3, quick 1)")
    options = parser.parse_args()
    pairs = options.pairs or (1 if options.quick else 3)
    with start("txrepl", http_port=free_port(), repl_backlog_size="64mb") as node, start("redis70") as replica:
        attach(node, replica)
        settle(node, [replica.pid])
        for pipeline, full in ((1, 200_000), (16, 800_000)):
            requests = full // 10 if options.quick else full
            alone: list[Cost] = []
            read: list[Cost] = []
            cost(node, pipeline, requests // 4)
            for _ in range(pairs):
                alone.append(cost(node, pipeline, requests))
                read.append(cost(node, pipeline, requests, options.idle, options.fast))
            cpu = [statistics.median(one.cpu_s * 1e6 for one in costs) for costs in (alone, read)]
            rate = [statistics.median(1 / one.wall_s for one in costs) for costs in (alone, read)]
            more, less = cpu[1] / cpu[0] - 1, rate[1] / rate[0] - 1
            print(
                f"SET, pipeline {pipeline}: server CPU {cpu[0]:.2f} us alone, {cpu[1]:.2f} us with readers "
                f"({more:+.1%}); {rate[0]:,.0f}/s alone, {rate[1]:,.0f}/s with readers ({less:+.1%})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
