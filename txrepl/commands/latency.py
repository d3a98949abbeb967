"""LATENCY: what kept clients waiting, and how long each command takes. Follows latency.c of Redis 7.2.

Events are spikes of at least `latency-monitor-threshold` ms: `command` and `fast-command`, as Redis names them,
`fork`, `expire-cycle`, `eviction-cycle`, and of our own `rdb-save` and `rdb-load` (in the foreground) and `event-loop`
(whatever kept it from its clients). The histograms are those of `durations`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from txrepl.commands.durations import doubling
from txrepl.commands.help import help_reply
from txrepl.commands.observations import Event
from txrepl.commands.session import Server, Session
from txrepl.commands.table import Command, Family
from txrepl.errors import CommandError
from txrepl.resp.replies import Reply, Verbatim

family = Family("server")
family.container("latency", since="2.8.13", summary="What kept clients waiting.")

_ADMIN: Final = "admin noscript loading stale"
_ALL_NODES: Final = ("nondeterministic_output", "request_policy:all_nodes", "response_policy:special")
_COLUMNS: Final = 80
_ROWS: Final = 4
_FILLED: Final = "_o#"
"""What stands for the lower, the middle and the upper third of a row; whole rows below it are bars."""


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


# -- spikes -----------------------------------------------------------------------------------------------------


@family.command(
    "latency latest", 2, _ADMIN, since="2.8.13", summary="Gives the last spike of each event.", tips=_ALL_NODES
)
def latency_latest(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY LATEST: name, unix time and ms of the last spike, ms of the longest."""
    return [
        [name.encode(), *event.samples[-1], event.longest_ms]
        for name, event in s.server.observations.latency.events.items()
    ]


@family.command("latency history", 3, _ADMIN, since="2.8.13", summary="Gives the spikes of an event.", tips=_ALL_NODES)
def latency_history(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY HISTORY event: (unix time, ms), the oldest first."""
    event = s.server.observations.latency.events.get(_text(argv[2]))
    return [] if event is None else [list(sample) for sample in event.samples]


@family.command(
    "latency reset",
    -2,
    _ADMIN,
    since="2.8.13",
    summary="Forgets the spikes of events.",
    tips=("request_policy:all_nodes", "response_policy:all_succeeded"),
)
def latency_reset(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY RESET [event …]: how many events were forgotten."""
    return s.server.observations.latency.reset([_text(word) for word in argv[2:]])


@family.command("latency graph", 3, _ADMIN, since="2.8.13", summary="Draws the spikes of an event.", tips=_ALL_NODES)
def latency_graph(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY GRAPH event."""
    name = _text(argv[2])
    event = s.server.observations.latency.events.get(name)
    if event is None:
        raise CommandError(f"ERR No samples available for event '{name}'")
    return Verbatim(graph(name, event, s.keyspace.now_ms // 1000).encode("utf-8", "surrogateescape"))


def graph(name: str, event: Event, now_s: int) -> str:
    """The spikes as columns, each with its age below (`latencyCommandGenSparkeline`)."""
    heights = [height for _, height in event.samples]
    lines = [
        f"{name} - high {max(heights)} ms, low {min(heights)} ms (all time high {event.longest_ms} ms)",
        "-" * _COLUMNS,
    ]
    steps = _steps(heights)
    labels = [_age(now_s - at_s) for at_s, _ in event.samples]
    for start in range(0, len(steps), _COLUMNS):
        if start:
            lines.append("")
        lines += _columns(steps[start : start + _COLUMNS], labels[start : start + _COLUMNS])
    return "".join(line + "\n" for line in lines)


def _steps(heights: Sequence[int]) -> list[int]:
    """Heights in thirds of a row, the highest just below the top."""
    lowest, span = min(heights), max(heights) - min(heights) or 1
    most = len(_FILLED) * _ROWS
    return [min((height - lowest) * most // span, most - 1) for height in heights]


def _columns(steps: Sequence[int], labels: Sequence[str]) -> Iterator[str]:
    for row in range(_ROWS):
        base = (_ROWS - 1 - row) * len(_FILLED)
        yield "".join(
            " " if step < base else _FILLED[step - base] if step < base + len(_FILLED) else "|" for step in steps
        )
    yield " " * len(steps)
    for at in range(max(map(len, labels))):
        yield "".join(label[at : at + 1] or " " for label in labels)


def _age(seconds: int) -> str:
    for unit, size_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size_s:
            return f"{seconds // size_s}{unit}"
    return f"{max(0, seconds)}s"


@family.command("latency doctor", 2, _ADMIN, since="2.8.13", summary="Explains the spikes.", tips=_ALL_NODES)
def latency_doctor(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY DOCTOR."""
    return Verbatim((report(s.server) + "\n").encode())


_LARGE_VALUES: Final = "A large value takes long to delete, to expire or to evict. Keep values that go often small."
_SWEEPS: Final = "Many keys come due together. Spread their deadlines, so that fewer go in one sweep."
_ADVICE: Final = {
    "command": ("SLOWLOG GET tells which commands they were.", _LARGE_VALUES),
    "fast-command": (
        "Commands of constant time do not take long by themselves: look for other processes on this machine, for "
        "virtual machines that are not given their time, and for swapping.",
    ),
    "fork": (
        "A fork takes as long as there is memory to map. Give the machine less to hold or several servers a part each; "
        "huge pages and virtual machines make it slower.",
    ),
    "expire-cycle": (_SWEEPS, _LARGE_VALUES),
    "eviction-cycle": ("Memory is short all the time. Raise maxmemory, or let keys expire earlier.", _LARGE_VALUES),
    "rdb-save": ("SAVE and DEBUG RELOAD keep everybody waiting. Use BGSAVE.",),
    "rdb-load": ("DEBUG RELOAD keeps everybody waiting while it loads.",),
    "event-loop": (
        "The event loop was away from its clients: for a command, a fork, a garbage collection, or because the machine "
        "gave the process no time. Events of the same second tell which.",
    ),
}


def report(server: Server) -> str:
    """What was seen, and what may help."""
    latency, slow_log = server.observations.latency, server.observations.slow_log
    if not latency.events:
        if not latency.threshold_ms:
            return (
                "Latency is not monitored. CONFIG SET latency-monitor-threshold <milliseconds> notes whatever keeps "
                "clients waiting that long."
            )
        return f"Nothing has kept clients waiting for {latency.threshold_ms} ms or more."
    now_s = server.keyspace.now_ms // 1000
    lines = ["What has kept clients waiting:", ""]
    advice: list[str] = []
    for number, (name, event) in enumerate(latency.events.items(), 1):
        lines.append(f"{number}. {name}: {_summary(event, now_s)}")
        if name == "command":
            advice += _slow_log_advice(slow_log.slower_than_us, latency.threshold_ms)
        advice += _ADVICE.get(name, ())
    return "\n".join([*lines, "", "What may help:", "", *(f"- {line}" for line in dict.fromkeys(advice))])


def _summary(event: Event, now_s: int) -> str:
    """Mean, mean deviation and period of the spikes (`analyzeLatencyForEvent`)."""
    heights = [height for _, height in event.samples]
    mean = sum(heights) // len(heights)
    deviation = sum(abs(mean - height) for height in heights) // len(heights)
    period_s = (now_s - event.samples[0][0] or 1) / len(heights)
    return (
        f"{len(heights)} latency spikes (average {mean}ms, mean deviation {deviation}ms, period {period_s:.2f} sec). "
        f"Worst all time event {event.longest_ms}ms."
    )


def _slow_log_advice(slower_than_us: int, threshold_ms: int) -> list[str]:
    set_it = f"CONFIG SET slowlog-log-slower-than {threshold_ms * 1000}"
    if slower_than_us < 0:
        return [f"The slow log is off. Turn it on: {set_it}."]
    if slower_than_us // 1000 > threshold_ms:
        return [f"The slow log takes only slower commands than the latency monitor. Let it take the same: {set_it}."]
    return []


# -- histograms -------------------------------------------------------------------------------------------------


@family.command(
    "latency histogram",
    -2,
    _ADMIN,
    since="7.0.0",
    summary="Gives the durations of commands.",
    complexity="O(N) where N is the number of commands with latency information being retrieved.",
    tips=_ALL_NODES,
)
def latency_histogram(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY HISTOGRAM [command …]: how many calls took at most so many µs, in powers of two."""
    table = s.server.table
    commands: Iterable[Command | None] = map(table.named, argv[2:]) if len(argv) > 2 else table.commands.values()
    reply: dict[Reply, Reply] = {}
    for command in commands:
        for entry in () if command is None else command.subcommands.values() or (command,):
            if any(entry.durations):
                reply[entry.name.encode()] = _distribution(entry.durations)
    return reply


def _distribution(histogram: list[int]) -> Reply:
    counts: dict[Reply, Reply] = dict(doubling(histogram))
    return {b"calls": sum(histogram), b"histogram_usec": counts}


@family.command("latency help", 2, "loading stale", since="2.8.13", summary="Lists the subcommands.")
def latency_help(s: Session, argv: list[bytes]) -> Reply:
    """LATENCY HELP."""
    return help_reply(
        "LATENCY",
        ("DOCTOR", "What was seen, and what may help."),
        ("GRAPH <event>", "The spikes of an event as a drawing."),
        ("HISTORY <event>", "The spikes of an event: unix time and milliseconds."),
        ("LATEST", "The last and the longest spike of each event."),
        ("RESET [<event> ...]", "Forget the spikes of events, or all."),
        ("HISTOGRAM [COMMAND ...]", "How many calls of commands took at most 1, 2, 4 ... microseconds."),
    )
