"""The direction of imports, read from the source itself: imports under TYPE_CHECKING and inside functions count too."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "txrepl"

RANKS = {
    "errors": 0,
    "config": 1,
    "keyspace": 2,
    "resp": 3,
    "rdb": 4,
    "replication": 4,
    "persistence": 5,
    "scripting": 5,
    "commands": 6,
    "changes": 7,
    "node": 7,
    "peers": 7,
    "directives": 8,
    "net": 8,
    "admin": 8,
    "following": 9,
    "service": 9,
    "cli": 10,
    "tap": 10,
    "demo": 10,
}
"""Each room's height. A room imports lower ones and itself; rooms of one height do not know each other.

cli stands on service, which builds what both `twistd` and `txrepl-server` run.
"""

EXCEPTIONS: set[tuple[str, str]] = set()
"""(a module or its package, what it may import all the same)."""

PUBLIC = "following"
"""The room that the package itself shows to programs."""

TWISTED_ROOMS = {"peers", "net", "admin", "service", "cli", "tap"}
TWISTED_NAMES = {"twisted", "klein", "treq", "txredisapi"}

NET_FILE_LINES_AIM = 150
NET_FILE_LINES_MAX = 300
"""A Twisted shell holds no logic worth testing without a reactor; the aim is about as long as one gets."""


class Import(NamedTuple):
    """One import: where it stands and what it names."""

    module: str
    path: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.module} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module: str, path: Path, text: str) -> Iterator[Import]:
    """Every import in the text, each at the most precise module that it names."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(text, str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, path, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                is_module = full in SOURCES or (base == "txrepl" and alias.name in RANKS)
                yield Import(module, path, node.lineno, full if is_module else base)


IMPORTS = [found for module, path in SOURCES.items() for found in imports_of(module, path, path.read_text("utf-8"))]


def room(module: str) -> str:
    """`txrepl.net.clients` is in `net`; the package itself is in the room with the empty name."""
    return module.split(".")[1] if "." in module else ""


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def is_wrong(found: Import) -> bool:
    """Whether an import inside txrepl does not point downward."""
    source, target = room(found.module), room(found.target)
    if not within(found.target, "txrepl") or target in {source, ""}:
        return False
    if any(within(found.module, one) and within(found.target, other) for one, other in EXCEPTIONS):
        return False
    if source == "":
        return target != PUBLIC
    return RANKS[target] >= RANKS[source]


def test_every_room_has_a_rank() -> None:
    """A new module at the top gets its place in RANKS before anything else."""
    rooms = {room(module) for module in SOURCES} - {""}
    assert rooms <= RANKS.keys(), f"without a rank: {rooms - RANKS.keys()}"


def test_imports_point_downward_only() -> None:
    """No room imports one of its own height or above, not even for types."""
    wrong = [str(found) for found in IMPORTS if is_wrong(found)]
    assert not wrong, "\n".join(wrong)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    """Inside a room, too, there is an order."""
    edges: dict[str, set[str]] = {module: set() for module in SOURCES}
    for found in IMPORTS:
        if found.target in SOURCES and found.target != found.module != "txrepl":  # which imports when it is asked to
            edges[found.module].add(found.target)
    left = dict(edges)
    while free := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in free:
            del left[module]
    circle = {module: sorted(targets & left.keys()) for module, targets in left.items()}
    assert not circle, f"in or above a circle: {circle}"


def test_twisted_stays_in_the_shells() -> None:
    """Twisted and what is built on it appear in peers, net, admin, service and cli only; the cores do no IO."""
    wrong = [
        str(found)
        for found in IMPORTS
        if found.target.split(".")[0] in TWISTED_NAMES and room(found.module) not in TWISTED_ROOMS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_module_takes_the_global_reactor() -> None:
    """The reactor is passed in; only the composition roots may name the global one."""
    wrong = [
        str(found)
        for found in imports_by_name("twisted.internet", "reactor")
        if room(found.module) not in {"service", "cli", "tap"}
    ]
    assert not wrong, "\n".join(wrong)


def imports_by_name(base: str, name: str) -> Iterator[Import]:
    """Every `from base import name` and `import base.name`."""
    for module, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
            from_base = isinstance(node, ast.ImportFrom) and node.module == base
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if (name if from_base else f"{base}.{name}") in names:
                assert isinstance(node, ast.Import | ast.ImportFrom)
                yield Import(module, path, node.lineno, f"{base}.{name}")


def test_shells_stay_short() -> None:
    """A file in net is at most NET_FILE_LINES_MAX lines long; one over the aim is a warning."""
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in sorted((PACKAGE / "net").glob("*.py"))}
    for name, count in lengths.items():
        if count > NET_FILE_LINES_AIM:
            warnings.warn(f"net/{name} has {count} lines, {NET_FILE_LINES_AIM} is the aim", stacklevel=1)
    too_long = {name: count for name, count in lengths.items() if count > NET_FILE_LINES_MAX}
    assert not too_long, f"more than {NET_FILE_LINES_MAX} lines: {too_long}"


def test_the_check_itself_sees_a_wrong_import() -> None:
    """Each way to write an upward import is found: plain, from, relative, under TYPE_CHECKING, in a function."""
    path = PACKAGE / "keyspace" / "example.py"
    lines = [
        "import txrepl.node",
        "from txrepl import net",
        "from ..commands import table",
        "if TYPE_CHECKING: from txrepl.admin.routes import Routes",
        "def f():",
        "    from txrepl.resp.replies import Reply",
        "from txrepl.config import Config",
        "from .values import Hash",
    ]
    found = list(imports_of("txrepl.keyspace.example", path, "\n".join(lines)))
    assert [one.line for one in sorted(found, key=lambda one: one.line) if is_wrong(one)] == [1, 2, 3, 4, 6]
