"""Views as aligned plain text, at most 80 columns wide, for `curl` and for people.

Nothing is computed here but widths and units; the facts come from `views`. Each block stands alone, so that it can
be shown alone; the page ends with the curl lines that act.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from txrepl.admin.views import Json, meaning

COLUMNS: Final = 80
LABEL: Final = 11
SYNCS_SHOWN: Final = 5
_UNITS: Final = (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1))


def page(overview: Json, base: str, *, needs_token: bool) -> str:
    """The whole page.

    Parameters:
        overview: of `views.overview`.
        base: scheme, host and port under which the client reached us, for the curl lines.
        needs_token: the curl lines carry a token.
    """
    replication = overview["replication"]
    blocks = [
        head(overview),
        guard_rails(replication["link"], base, needs_token=needs_token),
        identity(replication),
        link(replication["link"]),
        backlog(replication["backlog"], replication["replicas"]),
        replicas(replication["replicas"]),
        syncs(overview["syncs"]),
        acts(replication, base, needs_token=needs_token),
    ]
    return "\n".join("\n".join(block) + "\n" for block in blocks if block)


# -- blocks -----------------------------------------------------------------------------------------------------


def head(overview: Json) -> list[str]:
    """What runs here, since when, and whether it is ready."""
    replication = overview["replication"]
    found = replication["link"]
    role = f"replica of {_address(found['host'], found['port'])}" if found else "primary"
    title = f"txrepl {overview['version']} on port {overview['port']}, Redis {overview['redis_version']}'s commands"
    up = f"up {duration(overview['uptime_seconds'])}"
    ready = "yes" if overview["unready"] is None else f"no: {overview['unready']}"
    return [f"{title}{up:>{max(len(up) + 1, COLUMNS - len(title))}}", "", *_line("role", role), *_line("ready", ready)]


def guard_rails(found: Json | None, base: str, *, needs_token: bool) -> list[str]:
    """A replica that waits for a decision, loudly and with the lines that decide; how far a delayed one is."""
    if found is None:
        return []
    guard, delay = found["guard"], found["delay"]
    lines: list[str] = []
    if guard["state"] == "stopped":
        lines += _line("GUARD", "STOPPED: nothing is replicated until you decide", guard["reason"])
        lines += ["take what the primary has, and lose what is here:"]
        lines += _curl(needs_token, "-X POST", f"{base}/v1/guard", "-d decision=accept")
        lines += ["become a primary with what is here:"]
        lines += _curl(needs_token, "-X POST", f"{base}/v1/guard", "-d decision=promote")
    if delay["state"] == "off":
        return lines
    waits = f"{size(delay['pending_bytes'])} received and not applied"
    if delay["oldest_seconds"] is not None:
        waits += f", the oldest {_ago(delay['oldest_seconds'])}"
    if delay["full"]:
        waits += "; FULL: the primary is read no further"
    if delay["state"] == "held":
        lines += _line(
            "DELAY", f"HELD before offset {delay['stop_before']}: nothing is applied until you decide", waits
        )
        lines += ["become a primary with what is applied:"]
        lines += _curl(needs_token, "-X POST", f"{base}/v1/replicaof", "-d no_one=true")
        lines += ["go on:"]
        lines += _curl(needs_token, "-X POST", f"{base}/v1/delay", "-d resume=true")
    else:
        stop = f"; stops before offset {delay['stop_before']}" if delay["stop_before"] else ""
        lines += _line("delay", f"{duration(delay['delay_seconds'])}{stop}", waits)
    lines += ["what waits:"]
    lines += _curl(needs_token, f"{base}/v1/delay")
    return lines


def identity(replication: Json) -> list[str]:
    """The ids and the offset, each with what it means now."""
    says = meaning(replication)
    return [
        *_line("replid", replication["replid"], says["replid"]),
        *_line("replid2", replication["replid2"] or "none", says["replid2"]),
        *_line("offset", str(replication["offset"]), says["offset"]),
    ]


def link(found: Json | None) -> list[str]:
    """The link to the primary: where it stands, and a full sync's progress."""
    if found is None:
        return []
    lines = _line("link", _link_state(found))
    if found["sync"] is not None:
        lines += _line("sync", _progress(found["sync"]))
        if found["sync"]["percent"] is not None:
            lines += _line("", bar(found["sync"]["percent"] / 100))
    if found["last_error"] and found["guard"]["state"] != "stopped":
        lines += _line("last error", found["last_error"])
    return lines


def _link_state(found: Json) -> str:
    if found["up"]:
        behind = found["behind"]["least_bytes"]
        waits = f", {size(behind)} not applied yet" if behind else ""
        return f"up, last heard {_ago(found['last_io_seconds'])}{waits}"
    parts = ["down" if found["state"] == "connect" else found["state"]]
    if found["state"] == "handshake":
        parts.append(f"at {found['step']}")
    if found["down_seconds"] is not None:
        parts.append(f"lost {_ago(found['down_seconds'])}")
    if found["failures"]:
        parts.append(f"{found['failures']} failed attempts" if found["failures"] > 1 else "1 failed attempt")
    return ", ".join(parts)


def _progress(sync: Json) -> str:
    total, read = sync["total_bytes"], sync["read_bytes"]
    parts = [f"{size(read)} of {size(total)} ({sync['percent']:.1f} %)" if total else f"{size(read)} so far"]
    if not read and not total:
        return f"waiting for the primary's snapshot, {duration(sync['elapsed_seconds'])}"
    if sync["bytes_per_second"]:
        parts.append(f"{size(sync['bytes_per_second'])}/s")
    if sync["eta_seconds"] is not None:
        parts.append(f"{duration(sync['eta_seconds'])} left")
    return ", ".join(parts)


def backlog(found: Json, attached: list[Json]) -> list[str]:
    """What the backlog covers."""
    if not found["active"]:
        return _line("backlog", f"none yet: made when the first replica comes ({size(found['size_bytes'])})")
    share = min(1.0, found["length_bytes"] / found["size_bytes"])
    covers = f", covers {duration(found['covers_seconds'])} of writes" if found["covers_seconds"] is not None else ""
    lines = _line("backlog", f"{size(found['length_bytes'])} of {size(found['size_bytes'])}{covers}")
    lines += _line("", bar(share))
    first, last = found["first_offset"], found["next_offset"] - 1
    lines += _line("", f"offsets {first} to {last}" if first <= last else f"empty; the next offset is {first}")
    behind = [one for one in attached if one["lag_bytes"] is not None]
    worst = max(behind, key=lambda one: int(one["lag_bytes"]), default=None)
    if worst is not None and worst["lag_bytes"]:
        lines += _line("", f"furthest behind: replica {worst['id']}, by {size(worst['lag_bytes'])}")
    if found["recommended_bytes"] > found["size_bytes"]:
        lines += _line("", f"recommended: repl-backlog-size {found['recommended_bytes'] // 2**20}mb")
    return lines


def replicas(found: list[Json]) -> list[str]:
    """The attached replicas as a table."""
    if not found:
        return _line("replicas", "none")
    rows = [("ID", "ADDRESS", "STATE", "OFFSET", "LAG", "BEHIND")]
    for one in found:
        lag = "-" if one["lag_bytes"] is None else size(one["lag_bytes"])
        behind = "-" if one["lag_ms"] is None else milliseconds(one["lag_ms"])
        address = _crop(_address(one["address"], one["port"]), 24)
        rows.append((str(one["id"]), address, one["state"], str(one["offset"]), lag, behind))
    return [*_line("replicas", str(len(found))), "", *_table(rows, right={0, 3, 4, 5})]


def syncs_page(found: Json, base: str, *, needs_token: bool) -> str:
    """All sync decisions that are known, and how to see them as JSON."""
    lines = [*syncs(found, len(found["decisions"])), "", "the same facts for programs:"]
    return _joined([*lines, *_curl(needs_token, f"{base}/v1/syncs")])


def replicas_page(found: list[Json], base: str, *, needs_token: bool) -> str:
    """The attached replicas, and how to disconnect one or change places with it."""
    first = found[0] if found else {"id": "ID", "address": "HOST", "port": "PORT"}
    lines = [*replicas(found), "", "disconnect a replica:"]
    lines += _curl(needs_token, "-X DELETE", f"{base}/v1/replicas/{first['id']}")
    lines += ["change places with a replica:"]
    lines += _curl(
        needs_token, "-X POST", f"{base}/v1/failover", f"-d host={first['address']}", f"-d port={first['port']}"
    )
    return _joined(lines)


def backlog_page(found: Json, attached: list[Json], base: str, *, needs_token: bool) -> str:
    """What the backlog covers, where each replica stands in it, and how to resize it."""
    lines = backlog(found, attached)
    behind = [one for one in attached if one["lag_bytes"] is not None]
    if found["active"] and behind:
        rows = [("ID", "ADDRESS", "OFFSET", "LEFT BEFORE A FULL SYNC")]
        for one in behind:
            left = max(0, found["size_bytes"] - one["lag_bytes"])
            rows.append(
                (str(one["id"]), _crop(_address(one["address"], one["port"]), 32), str(one["offset"]), size(left))
            )
        lines += ["", *_table(rows, right={0, 2, 3})]
    return _joined([*lines, "", *_resize(found, base, needs_token)])


def _resize(found: Json, base: str, needs_token: bool) -> Iterator[str]:
    yield "resize the backlog:"
    yield from _curl(needs_token, "-X PATCH", f"{base}/v1/backlog", f"-d size_bytes={found['recommended_bytes']}")


def _joined(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


def syncs(found: Json, shown: int = SYNCS_SHOWN) -> list[str]:
    """The last sync decisions, each explained, and what to set where a replica needs one full sync after the other."""
    counts = f"{found['full']} full, {found['partial_ok']} partial, {found['partial_err']} partial refused"
    lines = _line("syncs", f"{counts} (given by this node)")
    for one in found["advice"]:
        lines += ["", *_wrap("! " + one["text"], "  ")]
    for one in found["decisions"][:shown]:
        lines += ["", *_decision(one)]
    return lines


def _decision(one: Json) -> Iterator[str]:
    arrow = "to" if one["direction"] == "given" else "from"
    yield f"  {_moment(one['at_ms'])}  {one['answer']:<7}  {arrow} {_crop(one['peer'], 44)}"
    yield from _wrap(f"{one['condition']}: {one['reason']}" if one["condition"] else one["reason"], " " * 4)
    if one["avoidance"]:
        yield from _wrap(f"To avoid it: {one['avoidance']}", " " * 4)
    if one["times"] > 1:
        yield f"    {one['times']} times, the last at {_moment(one['last_ms'])}"
    if one["cost"] is not None:
        cost = one["cost"]
        took = f", {milliseconds(cost['duration_ms'])}" if cost["stage"] != "running" else ""
        yield f"    {size(cost['bytes'])}{took}, {cost['stage']}"
    if one["end"] is not None:
        yield f"    the connection ended at {_moment(one['end']['at_ms'])}: {one['end']['cause']}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def acts(replication: Json, base: str, *, needs_token: bool) -> list[str]:
    """The curl lines that act, and those that look closer."""
    first = replication["replicas"][0]["id"] if replication["replicas"] else "ID"

    def curl(*words: str) -> Iterator[str]:
        return _curl(needs_token, *words)

    lines = ["follow another primary (add '?wait=30' to wait until the link is up):"]
    lines += curl("-X POST", f"{base}/v1/replicaof", "-d host=HOST", "-d port=PORT")
    lines += ["become a primary:"]
    lines += curl("-X POST", f"{base}/v1/replicaof", "-d no_one=true")
    lines += ["disconnect a replica:"]
    lines += curl("-X DELETE", f"{base}/v1/replicas/{first}")
    lines += ["change places with a replica that has everything:"]
    lines += curl("-X POST", f"{base}/v1/failover", "-d timeout_ms=10000")
    lines += _resize(replication["backlog"], base, needs_token)
    lines += ["the same page every second, and what happens as it happens:"]
    lines += curl("-N", f"{base}/watch?color=1")
    lines += curl("-N", f"{base}/v1/events?from=0")
    lines += ["the same facts for programs:"]
    for path in ("replication", "backlog", "replicas", "syncs", "topology", "handshakes", "config", "info"):
        lines += curl(f"{base}/v1/{path}")
    return lines


# -- colours ----------------------------------------------------------------------------------------------------

_GOOD, _BAD, _WARN, _BOLD, _DIM, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"
_PAINTED: Final = (
    (re.compile(r"^(GUARD|DELAY)  .*$", re.MULTILINE), _BAD),
    (re.compile(r"^(txrepl [\w.]+)", re.MULTILINE), _BOLD),
    (re.compile(r"(?<=^ready      )yes$", re.MULTILINE), _GOOD),
    (re.compile(r"(?<=^ready      )no: .*$", re.MULTILINE), _BAD),
    (re.compile(r"(?<=^link       )up\b", re.MULTILINE), _GOOD),
    (re.compile(r"(?<=^link       )(down|connecting|handshake|sync)\b", re.MULTILINE), _WARN),
    (re.compile(r"(?<=  )online(?=  )"), _GOOD),
    (re.compile(r"(?<=  )(wait_bgsave_start|wait_bgsave_end|send_bulk)(?=  )"), _WARN),
    (re.compile(r"(?<=Z  )(partial)(?=  )"), _GOOD),
    (re.compile(r"(?<=Z  )(full|sync|refused)(?= +  )"), _WARN),
    (re.compile(r"^  ! .*$", re.MULTILINE), _WARN),
    (re.compile(r"^last error .*$", re.MULTILINE), _BAD),
    (re.compile(r"^( {2}curl | {6}-).*$", re.MULTILINE), _DIM),
)


def painted(text: str) -> str:
    """A page with colours, for a terminal."""
    for pattern, colour in _PAINTED:
        text = pattern.sub(lambda match, colour=colour: f"{colour}{match[0]}{_PLAIN}", text)  # type: ignore[misc]
    return text


def redrawn(text: str) -> str:
    """A page that takes the place of the one before on a terminal, without flicker: each line's rest is cleared."""
    return "\x1b[H" + text.replace("\n", "\x1b[K\n") + "\x1b[J"


# -- layout -----------------------------------------------------------------------------------------------------


def _line(label: str, value: str, says: str = "") -> list[str]:
    """A labelled value, and a sentence below it; long ones are wrapped."""
    wrapped = list(_wrap(value, " " * LABEL))
    wrapped[0] = f"{label:<{LABEL}}{wrapped[0][LABEL:]}"
    return [line.rstrip() for line in wrapped] + (list(_wrap(says, " " * LABEL)) if says else [])


def _wrap(text: str, indent: str) -> Iterator[str]:
    """Lines of at most 80 columns; a word that is longer is cut."""
    width = COLUMNS - len(indent)
    line = ""
    for word in text.split(" "):
        while len(word) > width:
            if line:
                yield indent + line
                line = ""
            yield indent + word[:width]
            word = word[width:]
        joined = f"{line} {word}" if line else word
        if len(joined) > width:
            yield indent + line
            joined = word
        line = joined
    yield indent + line


def _table(rows: Sequence[tuple[str, ...]], right: set[int]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            f"{cell:>{width}}" if column in right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines


def _curl(needs_token: bool, *words: str) -> Iterator[str]:
    token = ['-H "Authorization: Bearer $TOKEN"'] if needs_token else []
    return _command(["curl", *token, *words])


def _command(words: list[str]) -> Iterator[str]:
    """A shell command, indented; broken by backslashes where it would be too wide."""
    line = "  " + words[0]
    for word in words[1:]:
        if len(line) + 1 + len(word) > COLUMNS - 2 and line.strip():
            yield line + " \\"
            line = "      " + word
        else:
            line += " " + word
    yield line


def bar(share: float, width: int = 50) -> str:
    """A share from 0 to 1 as a bar."""
    full = round(max(0.0, min(1.0, share)) * width)
    return f"[{'#' * full}{'.' * (width - full)}] {100 * share:5.1f} %"


def size(count: int) -> str:
    """Bytes with a unit, as people read them."""
    unit = min(max(count.bit_length() - 1, 0) // 10, 4)
    return f"{count / 1024**unit:.1f} {'_KMGT'[unit]}iB" if unit else f"{count} B"


def duration(seconds: float) -> str:
    """Seconds as people read them, two units at most."""
    whole = int(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if whole < 10 and seconds != whole else f"{whole} s"
    for unit, unit_s, small, small_s in _UNITS:
        if whole >= unit_s:
            rest = whole % unit_s // small_s
            return f"{whole // unit_s} {unit} {rest} {small}" if rest else f"{whole // unit_s} {unit}"
    raise AssertionError("a minute is the last unit")


def milliseconds(count: int) -> str:
    """Milliseconds as people read them."""
    return f"{count} ms" if count < 1000 else duration(count / 1000)


def _ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{duration(seconds)} ago"


def _crop(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
