"""docs/commands.md: what txrepl has of every command of Redis 7.0 and Valkey 9, found by asking and trying.

Commands and the tree of their arguments come from `COMMAND DOCS` of live servers, txrepl among them; what an option
is worth is tried: a call is made of the tree with this option and as little else as it takes, and txrepl must not
refuse it as it refuses a word that nobody knows. So what the page says is true of the code at hand. What is written
by hand is here too: `DEVIATIONS`, `ABSENT`, `UNSUPPORTED`, each with its reason, and `CALLS` for options that take
more than the tree tells.

    python -m tests.interop.command_table      # writes the page
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.interop.servers import RealServer, start, wait_until

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "commands.md"
SERVERS: Final = {"redis70": "Redis 7.0", "valkey9": "Valkey 9"}

NEWER: Final = "of Valkey, newer than the Redis 7.2 that txrepl presents itself as"
NO_CLUSTER: Final = "answers as a server whose `cluster-enabled` is `no`: what needs a cluster is refused"
NO_MODULES: Final = "no module can be loaded"

DEVIATIONS: Final[dict[str, str]] = {
    "bgrewriteaof": "refused: no append-only file is written",
    "cluster": NO_CLUSTER,
    "command|docs": "summaries are txrepl's own; there is no `history`",
    "config|set": "directives that have no effect here are accepted with a warning (`etc/txrepl.conf` says which)",
    "debug": "what concerns the inside of a server written in C is refused in words; `DEBUG HELP` lists the rest",
    "flushall": "`SYNC` and `ASYNC` are alike: what is dropped is freed in slices, between the clients' commands",
    "flushdb": "as `FLUSHALL`",
    "lolwut": "draws a tree, whatever version of the art is asked for",
    "module|load": NO_MODULES,
    "module|loadex": NO_MODULES,
    "module|unload": NO_MODULES,
    "unlink": "frees as `DEL` does: what is large in slices, between the clients' commands",
}
"""What a command does otherwise than a real server, and why."""

ABSENT: Final[dict[str, str]] = {
    "clusterscan": "of Valkey 9: for clusters",
    "cluster|cancelslotmigrations": "of Valkey 9: for clusters",
    "cluster|flushslot": "of Valkey 9: for clusters",
    "cluster|getslotmigrations": "of Valkey 9: for clusters",
    "cluster|migrateslots": "of Valkey 9: for clusters",
    "cluster|slot-stats": "of Valkey 8: for clusters",
    "cluster|syncslots": "of Valkey 9: for clusters",
    "commandlog": "of Valkey 8.1: SLOWLOG under another name, with logs of large requests and replies",
    "script|show": "of Valkey 8",
}
"""Commands of the servers that txrepl does not have, and why; a container stands for its subcommands."""

UNSUPPORTED: Final[dict[tuple[str, str], str]] = {
    ("bgsave", "CANCEL"): NEWER,
    ("script|debug", "YES"): "there is no debugger for scripts",
    ("script|debug", "SYNC"): "there is no debugger for scripts",
    ("shutdown", "SAFE"): NEWER,
    ("shutdown", "FAILOVER"): NEWER,
}
"""Options that txrepl refuses, and why."""

CALLS: Final[dict[tuple[str, str], str]] = {
    ("client|caching", "YES"): "CLIENT TRACKING on OPTIN ; CLIENT CACHING YES",
    ("client|caching", "NO"): "CLIENT TRACKING on OPTOUT ; CLIENT CACHING NO",
    ("client|kill", "SKIPME"): "CLIENT KILL SKIPME yes ID 999999",
    ("geosearch", "BYPOLYGON"): "GEOSEARCH k BYPOLYGON 3 0 0 0 2 2 2",
    ("geosearchstore", "BYPOLYGON"): "GEOSEARCHSTORE d k BYPOLYGON 3 0 0 0 2 2 2",
    ("xadd", "LIMIT"): "XADD k MAXLEN ~ 1 LIMIT 1 * f v",
    ("xsetid", "MAXDELETEDID"): "XSETID k 9-9 ENTRIESADDED 1 MAXDELETEDID 1-1",
    ("xtrim", "LIMIT"): "XTRIM k MAXLEN ~ 1 LIMIT 1",
    ("client|tracking", "PREFIX"): "CLIENT TRACKING on BCAST PREFIX x",
    ("copy", "REPLACE"): "COPY k d REPLACE",
    ("zrange", "BYLEX"): "ZRANGE k - + BYLEX",
    ("zrangebylex", "LIMIT"): "ZRANGEBYLEX k - + LIMIT 0 1",
    ("zrevrangebylex", "LIMIT"): "ZREVRANGEBYLEX k + - LIMIT 0 1",
    ("zrangestore", "BYLEX"): "ZRANGESTORE d k - + BYLEX",
    ("zrange", "LIMIT"): "ZRANGE k 0 1 BYSCORE LIMIT 0 1",
    ("zrangestore", "LIMIT"): "ZRANGESTORE d k 0 1 BYSCORE LIMIT 0 1",
}
"""Calls where the tree alone does not give one; ` ; ` parts commands of one connection, the last of which counts."""

UNTRIED: Final = {
    "cluster": "without a cluster all of them are refused alike",
    "module": "without modules all of them are refused alike",
    "client|import-source": "outside of an import, which there is none of here, all of them are refused alike",
}
"""Commands (with their subcommands) whose options make no difference, and why."""

Arguments = list[dict[str, Any]]


@dataclass
class Entry:
    """A command or subcommand, as the servers tell it.

    Attributes:
        trees: the arguments that each of the servers tells.
        documented: what the first server that knows it tells.
    """

    name: str
    documented: dict[str, Any]
    trees: dict[str, Arguments] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """The name as it is typed."""
        return self.name.replace("|", " ").upper()

    @property
    def group(self) -> str:
        return str(self.documented["group"])

    @property
    def untried(self) -> str:
        """Why its options are not tried; empty if they are."""
        return UNTRIED.get(self.name) or UNTRIED.get(self.name.partition("|")[0], "")

    def tokens(self) -> dict[str, str]:
        """The options, and a server that tells each."""
        return {token: kind for kind, tree in reversed(self.trees.items()) for token in tokens(tree)}


def plain(reply: Any) -> Any:
    """A reply as text, maps and lists."""
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, dict):
        return {plain(key): plain(value) for key, value in reply.items()}
    return [plain(item) for item in reply] if isinstance(reply, list | tuple) else reply


def entries(servers: dict[str, RealServer]) -> dict[str, Entry]:
    """All commands and subcommands that any of the servers has, by name."""
    found: dict[str, Entry] = {}
    for kind, server in servers.items():
        with server.connect(30) as client:
            client.command("HELLO", "3")
            for name, told in plain(client.command("COMMAND", "DOCS")).items():
                for one, own in {name: told, **told.get("subcommands", {})}.items():
                    found.setdefault(one, Entry(one, own)).trees[kind] = own.get("arguments", [])
    return found


def tokens(tree: Arguments) -> Iterator[str]:
    """The options that a tree of arguments holds, in order."""
    for argument in tree:
        if argument.get("token"):
            yield argument["token"]
        yield from tokens(argument.get("arguments", []))


# -- trying -------------------------------------------------------------------------------------------------------

VALUES: Final = {"key": "k", "string": "x", "integer": "1", "double": "1", "pattern": "*", "unix-time": "99999999999"}
NAMED: Final = {
    "timeout": "0.01",
    "milliseconds": "1",
    "cursor": "0",
    "id": "1-1",
    "start": "0",
    "stop": "1",
    "end": "1",
    "min": "0",
    "max": "1",
    "host": "127.0.0.1",
    "username": "default",
    "bit": "1",
    "encoding": "u8",
    "unit": "m",
    "threshold": "1",
    "min-idle-time": "1",
    "last-id": "9-9",
    "max-deleted-id": "1-1",
    "lastid": "1-1",
    "protover": "3",
    "iterations": "1",
    "numkeys": "1",
}
PRESENT: Final = {
    "list": "RPUSH k a b",
    "set": "SADD k a b",
    "hash": "HSET k x 1 y 2",
    "sorted-set": "ZADD k 1 x 2 y",
    "geo": "GEOADD k 1 1 x",
    "stream": "XADD k 1-1 f v",
    "string": "SET k 1",
    "bitmap": "SET k 1",
    "generic": "SET k 1",
}
"""What the key holds that commands of a group are tried on."""
SORTED: Final = "RPUSH k 1 2"
"""What it holds for SORT, which is of no type's group."""


def call(tree: Arguments, wanted: str) -> list[str]:
    """The words of the shortest call with an option."""
    words: list[str] = []
    for argument in tree:
        holds = wanted in tokens([argument])
        if holds or "optional" not in argument.get("flags", ()):
            words += _words(argument, wanted if holds else "")
    return words


def _words(argument: dict[str, Any], wanted: str) -> list[str]:
    inner = argument.get("arguments", [])
    kind = argument["type"]
    own = [argument["token"]] if "token" in argument else []
    if kind == "oneof":
        return own + _words(next((one for one in inner if wanted in tokens([one])), inner[0]), wanted)
    if kind == "block":
        return own + call(inner, wanted)
    if kind == "pure-token":
        return own
    value = NAMED.get(argument["name"], VALUES[kind])
    return [*own, VALUES[kind] if kind == "integer" and not value.isdigit() else value]


@dataclass(frozen=True)
class Trial:
    """An option that was tried.

    Attributes:
        accepted: it was understood; None when the call shows nothing.
        said: what txrepl answered.
    """

    accepted: bool | None
    said: str


REFUSALS: Final = (
    "syntax error",
    "wrong number of arguments",
    "unknown command",
    "unknown subcommand",
    "unsupported option",
    "unrecognized",
    "invalid arguments",
    "is not supported by this server",
)
UNKNOWN: Final = "NOSUCHOPTION"


def attempt(server: RealServer, entry: Entry, calls: list[list[str]]) -> str:
    """What a server answers to the last of these calls, by a connection of their own; empty if it does not."""
    with server.connect(30) as client:
        client.command("FLUSHALL")
        present = SORTED if entry.name.startswith("sort") else PRESENT.get(entry.group)
        if present is not None:
            client.command(*present.split())
        if entry.group == "stream":
            client.command("XGROUP", "CREATE", "k", "x", "0")
    said = ""
    try:
        with server.connect(0.5) as client:
            for words in calls:
                said = repr(plain(client.execute(*words)))
    except OSError:
        said = ""
    if entry.name == "shutdown" and not said:
        wait_until(lambda: server.exit_code is not None, 30, "the end of the server")
        server.start()
    return said


def tried(servers: dict[str, RealServer], entry: Entry, token: str, kind: str) -> Trial:
    """Try an option as a server's tree has it."""
    given = CALLS.get((entry.name, token))
    if given is not None:
        calls = [part.split() for part in given.split(" ; ")]
    else:
        calls = [[*entry.shown.split(), *call(entry.trees[kind], token)]]
    said = attempt(servers["txrepl"], entry, calls)
    if "Error" not in said:
        return Trial(True, said)
    if any(refusal in said.lower() for refusal in REFUSALS):
        theirs = attempt(servers[kind], entry, calls)
        return Trial(None if any(refusal in theirs.lower() for refusal in REFUSALS) else False, said)
    last = calls[-1]
    place = max(at for at, word in enumerate(last) if word == token)
    nobodys = attempt(servers["txrepl"], entry, [*calls[:-1], [*last[:place], UNKNOWN, *last[place + 1 :]]])
    return Trial(None if said == nobodys.replace(UNKNOWN, token) else True, said)


# -- the page -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What there is, as tried.

    Attributes:
        entries: every command by name.
        trials: what became of every option, by command and option.
    """

    entries: dict[str, Entry]
    trials: dict[tuple[str, str], Trial]

    @property
    def own(self) -> list[Entry]:
        """Those that txrepl has."""
        return [entry for entry in self.entries.values() if "txrepl" in entry.trees]

    @property
    def absent(self) -> list[Entry]:
        """Those that it has not; a container without its subcommands."""
        missing = {name for name, entry in self.entries.items() if "txrepl" not in entry.trees}
        return [self.entries[name] for name in sorted(missing) if name.partition("|")[0] not in missing - {name}]


@contextmanager
def all_servers() -> Iterator[dict[str, RealServer]]:
    """The servers that are compared, and txrepl, running."""
    with ExitStack() as stack:
        yield {kind: stack.enter_context(start(kind)) for kind in (*SERVERS, "txrepl")}


def find(servers: dict[str, RealServer]) -> Found:
    """Ask the servers, and try every option."""
    known = entries(servers)
    trials = {
        (entry.name, token): tried(servers, entry, token, kind)
        for entry in known.values()
        if "txrepl" in entry.trees and not entry.untried
        for token, kind in entry.tokens().items()
    }
    return Found(known, trials)


def page(found: Found) -> str:
    """The whole of docs/commands.md."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(found.own, key=lambda entry: entry.name):
        groups.setdefault(entry.group, []).append(entry)
    newer = [entry for entry in found.own if not any(kind in entry.trees for kind in SERVERS)]
    count = sum(bool(entry.trees.keys() & SERVERS.keys()) for entry in found.own)
    lines = [
        "# Commands",
        "",
        "What txrepl has of every command and option of Redis 7.0 and Valkey 9 (and so of Redis 7.2, which is between",
        "them). `python -m tests.interop.command_table` writes this page: it asks live servers for `COMMAND DOCS`, and",
        "tries every option on a live txrepl. A test holds that the page is what would be written now. Options that",
        "are ~~struck out~~ are refused, for the reason that stands beside them.",
        "",
        f"{count} commands and subcommands of theirs, and {len(newer)} of newer servers:"
        f" {', '.join(f'`{entry.shown}`' for entry in sorted(newer, key=lambda entry: entry.name))}.",
        "",
    ]
    for group in sorted(groups):
        lines += [
            f"## {group}",
            "",
            "| command | since | options | otherwise than there |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_row(entry, found) for entry in groups[group]]
        lines += [""]
    lines += ["## Absent", "", "| command | of | why |", "| --- | --- | --- |"]
    for entry in found.absent:
        kinds = ", ".join(SERVERS[kind] for kind in SERVERS if kind in entry.trees)
        lines.append(f"| `{entry.shown}` | {kinds} | {ABSENT.get(entry.name, '')} |")
    return "\n".join(lines) + "\n"


def _row(entry: Entry, found: Found) -> str:
    refused = {token for token in entry.tokens() if _refused(found, entry, token)}
    options = " ".join(f"~~`{token}`~~" if token in refused else f"`{token}`" for token in entry.tokens())
    notes = [DEVIATIONS[entry.name]] if entry.name in DEVIATIONS else []
    if entry.untried and entry.tokens():
        notes.append(f"options not tried: {entry.untried}")
    for why in dict.fromkeys(UNSUPPORTED.get((entry.name, token), "") for token in entry.tokens() if token in refused):
        named = ", ".join(f"`{one}`" for one in entry.tokens() if UNSUPPORTED.get((entry.name, one)) == why)
        notes.append(f"{named}: {why}")
    since = entry.documented["since"]
    return f"| `{entry.shown}` | {since} | {options.replace('|', chr(92) + '|')} | {'; '.join(notes)} |"


def _refused(found: Found, entry: Entry, token: str) -> bool:
    trial = found.trials.get((entry.name, token))
    return trial is not None and trial.accepted is False


def main() -> int:
    """Write the page; returns the exit code."""
    with all_servers() as servers:
        PAGE.write_text(page(find(servers)), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
