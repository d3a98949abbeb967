"""txrepl side by side with a real Redis 7.0, both in one run on one machine; only the ratios mean something.

    python benchmarks/compare.py                  everything, about a quarter of an hour
    python benchmarks/compare.py --quick          a tenth of the work, one pair each
    python benchmarks/compare.py --only sync      commands, families, sync or stream
    python benchmarks/compare.py --subject valkey9   another server in txrepl's place

Runs alternate (redis, subject, redis, subject …) and each figure is the median over the pairs. Wall-clock
time on a shared machine is noisy; the ratio of CPU seconds is the steadier one.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.interop.servers import RawClient, RealServer, require, start

REFERENCE = "redis70"
COMMANDS = ("get", "set", "incr", "lpush", "hset", "zadd")
FAMILIES = ("rpush", "lpop", "rpop", "sadd", "spop", "zpopmin", "lrange_100", "mset")
CLIENTS = 50
KEY_RANGE = 100_000
VALUE_BYTES = 16
_SYNC_TIMEOUT_S = 120.0
_POLL_S = 0.02
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What one run took: wall-clock seconds and CPU seconds of the server under measurement."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Row:
    """One line of the result.

    Attributes:
        name: what was measured.
        reference: median cost of the real Redis.
        subject: median cost of the server compared with it.
        is_speed: whether the ratio is one of speed (Redis's cost / ours, higher is better) or of time
            (ours / Redis's, lower is better).
    """

    name: str
    reference: Cost
    subject: Cost
    is_speed: bool

    @property
    def wall_ratio(self) -> float:
        """Ratio of wall-clock time."""
        return _ratio(self.reference.wall_s, self.subject.wall_s, self.is_speed)

    @property
    def cpu_ratio(self) -> float:
        """Ratio of the server's CPU time."""
        return _ratio(self.reference.cpu_s, self.subject.cpu_s, self.is_speed)


def _ratio(reference: float, subject: float, is_speed: bool) -> float:
    numerator, denominator = (reference, subject) if is_speed else (subject, reference)
    return numerator / denominator if denominator else float("nan")


def interleaved(
    name: str, pairs: int, is_speed: bool, reference: Callable[[], Cost], subject: Callable[[], Cost]
) -> Row:
    """Run reference and subject in turn, `pairs` times, and take the medians."""
    references: list[Cost] = []
    subjects: list[Cost] = []
    for _ in range(pairs):
        references.append(reference())
        subjects.append(subject())
    return Row(name, _median(references), _median(subjects), is_speed)


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(cost.wall_s for cost in costs), statistics.median(cost.cpu_s for cost in costs))


def cpu_s(server: RealServer) -> float:
    """CPU seconds of a server and of its children that ended (its snapshots)."""
    fields = Path(f"/proc/{server.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS_PER_S


# Commands of many clients.


def requests_cost(server: RealServer, command: str, pipeline: int, requests: int) -> Cost:
    """The cost of one request, in seconds, as redis-benchmark sees it with `CLIENTS` clients."""
    argv = [require("redis-benchmark"), "-p", str(server.port), "-t", command, "-n", str(requests), "-P", str(pipeline)]
    argv += ["-c", str(CLIENTS), "-r", str(KEY_RANGE), "-d", str(VALUE_BYTES), "--csv"]
    before = cpu_s(server)
    output = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    used = cpu_s(server) - before
    row = next(row for row in csv.DictReader(io.StringIO(output)) if row["test"].lower().startswith(command))
    return Cost(1 / float(row["rps"]), used / requests)


def commands(subject_kind: str, pairs: int, scale: float) -> Iterator[Row]:
    """Each command of COMMANDS without pipelining and with 16 requests in flight per client."""
    with start(REFERENCE) as reference, start(subject_kind) as subject:
        for server in (reference, subject):
            requests_cost(server, "set", 16, int(KEY_RANGE * 4 * scale))  # so that GET finds values
        for pipeline, full in ((1, 120_000), (16, 480_000)):
            requests = int(full * scale)
            for command in COMMANDS:
                yield interleaved(
                    f"{command.upper()}, {CLIENTS} clients, pipeline {pipeline}",
                    pairs,
                    True,
                    lambda c=command, p=pipeline, n=requests: requests_cost(reference, c, p, n),  # type: ignore[misc]
                    lambda c=command, p=pipeline, n=requests: requests_cost(subject, c, p, n),  # type: ignore[misc]
                )
            for server in (reference, subject):
                with server.connect(60) as client:
                    client.command("DEL", "mylist", "myzset", "myhash")


def families(subject_kind: str, pairs: int, scale: float) -> Iterator[Row]:
    """The rest of redis-benchmark's own commands, with 16 requests in flight per client."""
    with start(REFERENCE) as reference, start(subject_kind) as subject:
        for command in FAMILIES:
            heavy = command in ("lrange_100", "mset")
            requests = int((48_000 if heavy else 240_000) * scale)
            if command in ("spop", "zpopmin"):  # so that there is something to pop
                for server in (reference, subject):
                    requests_cost(server, "sadd" if command == "spop" else "zadd", 16, requests)
            yield interleaved(
                f"{command.upper()}, {CLIENTS} clients, pipeline 16",
                pairs,
                True,
                lambda c=command, n=requests: requests_cost(reference, c, 16, n),  # type: ignore[misc]
                lambda c=command, n=requests: requests_cost(subject, c, 16, n),  # type: ignore[misc]
            )


# Full sync.


def populate(server: RealServer, keys: int) -> None:
    """Give a server that many small string keys."""
    with server.connect(_SYNC_TIMEOUT_S) as client:
        client.command("FLUSHALL")
        client.command("DEBUG", "POPULATE", keys, "key", VALUE_BYTES)


def attach(primary: RealServer, replica: RealServer) -> float:
    """Make `replica` follow `primary`; returns the seconds until the link is up and the primary says online."""
    with replica.connect(_SYNC_TIMEOUT_S) as down, primary.connect(_SYNC_TIMEOUT_S) as up:
        started = time.monotonic()
        down.command("REPLICAOF", "127.0.0.1", primary.port)
        while not ("master_link_status:up" in _replication(down) and "state=online" in _replication(up)):
            if time.monotonic() - started > _SYNC_TIMEOUT_S:
                raise TimeoutError(f"{replica!r} is not in sync with {primary!r} after {_SYNC_TIMEOUT_S:g} s")
            time.sleep(_POLL_S)
        return time.monotonic() - started


def detach(primary: RealServer, replica: RealServer) -> None:
    """Empty the replica and wait until the primary has forgotten it."""
    with replica.connect(_SYNC_TIMEOUT_S) as down, primary.connect(_SYNC_TIMEOUT_S) as up:
        down.command("REPLICAOF", "NO", "ONE")
        down.command("FLUSHALL")
        while "connected_slaves:0" not in _replication(up):
            time.sleep(_POLL_S)


def _replication(client: RawClient) -> str:
    text: bytes = client.command("INFO", "replication")
    return text.decode("utf-8", "replace")


def sync_cost(primary: RealServer, replica: RealServer, measured: RealServer) -> Cost:
    """One full sync; CPU is that of the server under measurement."""
    before = cpu_s(measured)
    wall_s = attach(primary, replica)
    # A primary reaps its snapshot child a moment later; until then the child's time is not in its account.
    with primary.connect() as client:
        while b"rdb_bgsave_in_progress:0" not in client.command("INFO", "persistence"):
            time.sleep(_POLL_S)
    used = cpu_s(measured) - before
    detach(primary, replica)
    return Cost(wall_s, used)


def full_sync(subject_kind: str, pairs: int, keys: int) -> Iterator[Row]:
    """A full sync of `keys` keys: the subject as replica, then as primary, of a real Redis."""
    with ExitStack() as stack:
        primary = stack.enter_context(start(REFERENCE))
        reference = stack.enter_context(start(REFERENCE))
        populate(primary, keys)
        with start(subject_kind) as subject:
            yield interleaved(
                f"full sync of {keys:,} keys, as replica of Redis",
                pairs,
                False,
                lambda: sync_cost(primary, reference, reference),
                lambda: sync_cost(primary, subject, subject),
            )
        with start(subject_kind) as subject:
            populate(subject, keys)
            yield interleaved(
                f"full sync of {keys:,} keys, as primary of Redis",
                pairs,
                False,
                lambda: sync_cost(primary, reference, primary),
                lambda: sync_cost(subject, reference, subject),
            )


# The stream.


def _load(primary: RealServer, count: int) -> None:
    argv = [require("redis-benchmark"), "-p", str(primary.port), "-t", "set", "-n", str(count), "-P", "64", "-c", "8"]
    subprocess.run([*argv, "-r", "1000000", "-d", str(VALUE_BYTES), "-q"], capture_output=True, check=True)


def _await_offset(primary: RealServer, replica: RealServer) -> None:
    target = primary.offset()
    with replica.connect(_SYNC_TIMEOUT_S) as client:
        while _offset(client) < target:
            time.sleep(_POLL_S)


def _offset(client: RawClient) -> int:
    lines = dict(line.split(":", 1) for line in _replication(client).splitlines() if ":" in line)
    return int(lines["slave_repl_offset"])


def live_cost(primary: RealServer, replica: RealServer, count: int) -> Cost:
    """`count` SETs through the primary, until the replica has them all; CPU of the replica."""
    attach(primary, replica)
    before, started = cpu_s(replica), time.monotonic()
    _load(primary, count)
    _await_offset(primary, replica)
    cost = Cost(time.monotonic() - started, cpu_s(replica) - before)
    detach(primary, replica)
    return cost


def catch_up_cost(primary: RealServer, replica: RealServer, count: int) -> Cost:
    """`count` SETs while the replica stands still; the cost from its first move until it has them all."""
    attach(primary, replica)
    replica.pause()
    try:
        _load(primary, count)
    finally:
        before, started = cpu_s(replica), time.monotonic()
        replica.resume()
    _await_offset(primary, replica)
    cost = Cost(time.monotonic() - started, cpu_s(replica) - before)
    detach(primary, replica)
    return cost


def stream(subject_kind: str, pairs: int, count: int) -> Iterator[Row]:
    """The rate at which a replica applies its primary's writes."""
    with ExitStack() as stack:
        no_limit = ("replica", 0, 0, 0)
        primary = stack.enter_context(start(REFERENCE, client_output_buffer_limit=no_limit))
        reference = stack.enter_context(start(REFERENCE))
        subject = stack.enter_context(start(subject_kind))
        for name, cost in (("live", live_cost), ("catching up", catch_up_cost)):
            primary.command("FLUSHALL")
            yield interleaved(
                f"applying {count:,} SETs of a primary, {name}",
                pairs,
                False,
                lambda c=cost: c(primary, reference, count),  # type: ignore[misc]
                lambda c=cost: c(primary, subject, count),  # type: ignore[misc]
            )


# The table.


def line_of(row: Row) -> str:
    """A row as text: ratios first, then what they are made of."""
    if row.is_speed:
        costs = [f"{1 / cost.wall_s:>9,.0f}/s {cost.cpu_s * 1e6:6.2f} us" for cost in (row.reference, row.subject)]
    else:
        costs = [f"{cost.wall_s:>9.2f} s  {cost.cpu_s:6.2f} s " for cost in (row.reference, row.subject)]
    better = "higher" if row.is_speed else "lower"
    return f"{row.name:<52} {row.wall_ratio:5.2f}  {row.cpu_ratio:5.2f}  {better:<7} {'   '.join(costs)}"


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="txrepl side by side with a real Redis 7.0 in one run")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, one pair each")
    parser.add_argument("--subject", default="txrepl", help="txrepl (default), redis62, redis70 or valkey9")
    parser.add_argument("--only", choices=("commands", "families", "sync", "stream"), help="one part instead of all")
    parser.add_argument("--pairs", type=int, help="how often each comparison is repeated (3, quick 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # so that the servers are stopped
    pairs = options.pairs or (1 if options.quick else 3)
    scale = 0.1 if options.quick else 1.0
    parts: dict[str, Callable[[], Iterator[Row]]] = {
        "commands": lambda: commands(options.subject, pairs, scale),
        "families": lambda: families(options.subject, pairs, scale),
        "sync": lambda: full_sync(options.subject, pairs, int(1_000_000 * scale)),
        "stream": lambda: stream(options.subject, pairs, int(1_000_000 * scale)),
    }
    print(f"{options.subject} compared with {REFERENCE}, medians of {pairs} interleaved pair(s)")
    print(f"{'':<52} {'wall':>5}  {'cpu':>5}  {'better':<7} {REFERENCE + ' wall, cpu':<22} {options.subject} wall, cpu")
    rows: list[Row] = []
    for name, part in parts.items():
        if options.only in (None, name):
            for row in part():
                rows.append(row)
                print(line_of(row), flush=True)
    if options.json:
        ratios = [{**asdict(row), "wall_ratio": row.wall_ratio, "cpu_ratio": row.cpu_ratio} for row in rows]
        options.json.write_text(json.dumps(ratios, indent=2) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
