"""The examples of docs/http.md: found, run against live servers in the scene that they are of, compared, written anew.

A block of the page is a fence with `$ curl` lines, each followed by what it answers, the rest of which `…` may stand
for. The comment `<!-- scene: NAME -->` before a block says what runs from there on; see `SCENES`. In all of them txrepl
serves HTTP on 8379 and Redis on 6380, a Redis before it is on 6379, one behind it on 6381; the real ports take their
places.

    python -m tests.interop.http_docs          # runs all and writes the page with the answers of now
    python -m tests.interop.http_docs new      # the same, but writes only answers where there are none yet
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.interop.servers import RealServer, free_port, redis70, txrepl, wait_until

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "http.md"
MORE: Final = "…"
TIMEOUT_S: Final = 30.0
LINES_KEPT: Final = 12
"""How much of a long answer is written."""

PASSING: Final = frozenset({"furthest", "last"})
"""First words of lines of text that depend on the moment."""

DOCUMENTED: Final = {"8379": "http", "6379": "above", "6380": "port", "6381": "below"}


@dataclass(frozen=True)
class Example:
    """A curl line of the page, and what it answers.

    Attributes:
        scene: what runs.
        command: the line.
        answer: as the page has it.
        start, end: of the answer, in the page.
    """

    scene: str
    command: str
    answer: str
    start: int
    end: int


def examples(page: str) -> Iterator[Example]:
    """All examples, in order."""
    scene = "middle"
    for found in re.finditer(r"^<!-- scene: (\w+) -->$|^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        if found[1]:
            scene = found[1]
            continue
        lines = list(re.finditer(r"^\$ (.*)\n", found[2], re.MULTILINE))
        for number, line in enumerate(lines):
            end = lines[number + 1].start() if number + 1 < len(lines) else len(found[2])
            answer = found[2][line.end() : end]
            if line[1].startswith("curl "):
                offset = found.start(2)
                yield Example(scene, line[1], answer, offset + line.end(), offset + end)


class Scene:
    """Servers, and the ports that the page has for them.

    Parameters:
        stack: ends them.
        ports: the real ports by what DOCUMENTED calls them.
    """

    def __init__(self, node: RealServer, **ports: int) -> None:
        self.node = node
        self.ports = {"http": int(node.directives["http-port"]), "port": node.port, **ports}

    def run(self, command: str) -> str:
        """What a line answers, with the page's ports in it."""
        real = {number: str(self.ports.get(name, 1)) for number, name in DOCUMENTED.items()}
        line = re.sub(r"\b(8379|6379|6380|6381)\b", lambda found: real[found[0]], command.partition("  #")[0])
        line = re.sub(r"(/v1/replicas/)\d+", lambda found: f"{found[1]}{self.replica_id()}", line)
        words = shlex.split(line)
        streams = "-N" in words
        bound = ["--max-time", "2"] if streams else ["--max-time", str(TIMEOUT_S)]
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [words[0], "-s", *bound, *words[1:]], capture_output=True, text=True, cwd=directory, check=False,
                timeout=2 * TIMEOUT_S,
            )  # fmt: skip
        assert done.returncode in ((0, 28) if streams else (0,)), (line, done.returncode, done.stderr)
        names = {str(self.ports[name]): number for number, name in DOCUMENTED.items() if name in self.ports}
        answer = done.stdout.replace("\r\n", "\n")
        return re.sub(r"\b\d{4,5}\b", lambda found: names.get(found[0], found[0]), answer)

    def ask(self, path: str) -> Any:
        """The JSON at a path."""
        done = subprocess.run(
            ["curl", "-s", f"127.0.0.1:{self.ports['http']}{path}"], capture_output=True, text=True, check=True,
            timeout=TIMEOUT_S,
        )  # fmt: skip
        return json.loads(done.stdout)

    def replica_id(self) -> int:
        """The id of the replica that is attached, once there is one."""
        wait_until(self.is_calm, TIMEOUT_S, "a replica")
        return int(self.ask("/v1/replicas")["replicas"][0]["id"])

    def is_calm(self) -> bool:
        """The replica behind is online and has everything."""
        replicas = self.ask("/v1/replicas")["replicas"]
        return bool(replicas) and replicas[0]["state"] == "online" and replicas[0]["lag_bytes"] is not None


def _http() -> dict[str, Any]:
    return {"http_port": free_port(), "repl_diskless_sync_delay": 0, "save": ""}


def middle(stack: ExitStack) -> Scene:
    """A Redis, txrepl behind it, a Redis behind that; some writes."""
    above = stack.enter_context(redis70(repl_diskless_sync_delay=0, save=""))
    node = stack.enter_context(txrepl(replicaof=("127.0.0.1", above.port), **_http()))
    below = stack.enter_context(redis70(replicaof=("127.0.0.1", node.port), save=""))
    scene = Scene(node, above=above.port, below=below.port)
    wait_until(scene.is_calm, TIMEOUT_S, "the replicas")
    for number in range(20):
        above.command("SET", f"key:{number}", "v" * 100)
    wait_until(lambda: below.command("GET", "key:19"), TIMEOUT_S, "the writes")
    return scene


def primary(stack: ExitStack) -> Scene:
    """txrepl, and a Redis behind it."""
    node = stack.enter_context(txrepl(**_http()))
    below = stack.enter_context(redis70(replicaof=("127.0.0.1", node.port), save=""))
    scene = Scene(node, below=below.port)
    wait_until(scene.is_calm, TIMEOUT_S, "the replica")
    node.command("SET", "key", "v")
    return scene


def short(stack: ExitStack) -> Scene:
    """A replica that was away for longer than a small backlog reaches."""
    node = stack.enter_context(txrepl(repl_backlog_size="16kb", **_http()))
    below = stack.enter_context(redis70(replicaof=("127.0.0.1", node.port), save=""))
    scene = Scene(node, below=below.port)
    wait_until(scene.is_calm, TIMEOUT_S, "the replica")
    below.pause()
    node.command("CLIENT", "KILL", "TYPE", "replica")
    for number in range(20):
        node.command("SET", f"key:{number}", "v" * 10_000)
    below.resume()
    wait_until(lambda: node.info("stats")["sync_partial_err"] == "1", TIMEOUT_S, "the full sync")
    wait_until(lambda: scene.ask("/v1/syncs")["decisions"][0]["cost"]["stage"] == "loaded", TIMEOUT_S, "its end")
    return scene


def stopped(stack: ExitStack) -> Scene:
    """A replica with a key whose primary turned out to be empty."""
    above = stack.enter_context(redis70(repl_diskless_sync_delay=0, save=""))
    node = stack.enter_context(txrepl(replica_empty_primary_guard="yes", **_http()))
    node.command("SET", "key", "v")
    scene = Scene(node, above=above.port)
    node.command("REPLICAOF", "127.0.0.1", str(above.port))
    wait_until(lambda: scene.ask("/v1/guard")["state"] == "stopped", TIMEOUT_S, "the guard")
    return scene


def delayed(stack: ExitStack) -> Scene:
    """A replica that is an hour late, and a FLUSHALL on its way."""
    above = stack.enter_context(redis70(repl_diskless_sync_delay=0, save=""))
    node = stack.enter_context(txrepl(replicaof=("127.0.0.1", above.port), replica_delay=3600, **_http()))
    scene = Scene(node, above=above.port)
    wait_until(lambda: node.info("replication")["master_link_status"] == "up", TIMEOUT_S, "the link")
    above.command("SET", "key", "v")
    above.command("FLUSHALL")
    wait_until(lambda: scene.ask("/v1/delay?command=FLUSHALL")["commands"], TIMEOUT_S, "the FLUSHALL")
    return scene


def down(stack: ExitStack) -> Scene:
    """A replica whose primary is not there."""
    scene = Scene(stack.enter_context(txrepl(replicaof=("127.0.0.1", free_port()), **_http())))
    wait_until(lambda: scene.ask("/v1/replication")["link"]["failures"], TIMEOUT_S, "an attempt to fail")
    return scene


SCENES: Final[dict[str, Callable[[ExitStack], Scene]]] = {
    make.__name__: make for make in (middle, primary, short, stopped, delayed, down)
}


def answered(page: str) -> Iterator[tuple[Example, str]]:
    """Every example with what it answers now, run in the order of the page; a scene lasts until another one begins."""
    present = ""
    with ExitStack() as stack:
        scene: Scene | None = None
        for example in examples(page):
            if scene is None or example.scene != present:
                stack.close()
                scene, present = SCENES[example.scene](stack), example.scene
            yield example, scene.run(example.command)


def differences(documented: str, real: str) -> list[str]:
    """What of an answer on the page is not so; numbers, ids and times may be others."""
    head, cut, _ = documented.partition(MORE)
    if not cut:
        try:
            return list(_json_differences(json.loads(documented), json.loads(real), "$"))
        except ValueError:
            pass
    wanted, found = _masked(head), _masked(real)
    if documented.startswith("HTTP/"):
        return [line for line in wanted if line and line not in found]
    return [line for line in _first_words(wanted) if line not in _first_words(found)]


def _masked(text: str) -> list[str]:
    text = re.sub(r"\b[0-9a-f]{40}\b", "ID", text)
    text = re.sub(r"(?m)^Date: .*$", "Date", text)
    text = text.replace("(connecting)", "(connect)")  # it tries once a second
    return [re.sub(r"\d+(\.\d+)?", "N", line.strip()) for line in text.split("\n")]


def _first_words(lines: list[str]) -> list[str]:
    """What a line is about: the first word of each, numbers masked; without those that come and go."""
    words = [re.split(r"[\s:=,({]", line)[0] for line in lines if line and not line.startswith(("[", "N"))]
    return [word for word in words if word not in PASSING]


def _json_differences(documented: Any, real: Any, at: str) -> Iterator[str]:
    if documented is None or real is None:
        return
    if isinstance(documented, dict) and isinstance(real, dict):
        if "config" not in at:
            for name in documented.keys() ^ real.keys():
                yield f"{at}.{name}: {'only on the page' if name in documented else 'not on the page'}"
        for name in documented.keys() & real.keys():
            yield from _json_differences(documented[name], real[name], f"{at}.{name}")
    elif isinstance(documented, list) and isinstance(real, list):
        for one, other in zip(documented[:1], real[:1], strict=False):
            yield from _json_differences(one, other, f"{at}[]")
    elif isinstance(documented, int | float) and isinstance(real, int | float):
        if isinstance(documented, bool) != isinstance(real, bool) or (at == "$.status" and documented != real):
            yield f"{at}: {documented!r} is {real!r}"
    elif type(documented) is not type(real) or (
        at in ("$.type", "$.title", "$.detail") and _masked(documented) != _masked(real)
    ):
        yield f"{at}: {documented!r} is {real!r}"


def main() -> None:
    """Write the page with the answers of now."""
    page = PAGE.read_text("utf-8")
    done = [(one, answer) for one, answer in answered(page) if sys.argv[1:] != ["new"] or not one.answer]
    for example, answer in reversed(done):
        lines = answer.rstrip("\n").split("\n")
        if MORE in example.answer or not example.answer:
            kept = max(len(example.answer.split("\n")) - 2, LINES_KEPT) if example.answer else 30
            if len(lines) > kept + 5:
                lines = [*lines[:kept], MORE]
        page = page[: example.start] + "\n".join(lines) + "\n" + page[example.end :]
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
