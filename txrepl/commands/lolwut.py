"""LOLWUT: a picture, and the version. Ours is a primary with its replicas, and theirs, as chance has them grow."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Final

from txrepl import __version__
from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.table import Family
from txrepl.config import PRESENTED_VERSION
from txrepl.resp.replies import Reply, Verbatim

family = Family("server")

COLUMNS: Final = 66
GENERATIONS: Final = 5
_COLUMNS_MAX: Final = 1000
_GENERATIONS_MAX: Final = 50
_NARROWEST: Final = 4
"""Columns that one server needs to stand apart from the next."""

_CORNERS: Final = {
    (False, True, False, True): "┌",
    (False, True, True, False): "┐",
    (False, True, True, True): "┬",
    (True, True, True, True): "┼",
    (True, False, True, True): "┴",
    (True, True, True, False): "┤",
    (True, True, False, True): "├",
    (True, True, False, False): "│",
    (False, False, True, True): "─",
}
"""(a line goes up, down, left, right) → how they meet."""


def draw(rng: random.Random, columns: int, generations: int) -> str:
    """A tree of servers, the primary on top, every line of at most so many columns.

    Parameters:
        rng: the chance.
        columns: width of the picture.
        generations: rows of servers.
    """
    lines: list[str] = []
    spans = [(0, columns)]  # each server has some columns for itself and all that follow it
    for generation in range(generations):
        row = [" "] * columns
        for start, end in spans:
            row[(start + end) // 2] = "●" if not generation else "○"
        lines.append("".join(row).rstrip())
        branches = [(span, _divided(rng, span)) for span in spans] if generation + 1 < generations else []
        spans = [child for _, children in branches for child in children]
        if not spans:
            break
        lines.append(_connections(columns, branches))
    return "\n".join(lines)


def _divided(rng: random.Random, span: tuple[int, int]) -> list[tuple[int, int]]:
    """A server's columns, shared out among those that follow it; it may be that nobody does."""
    start, end = span
    most = min(4, (end - start) // _NARROWEST)
    children = rng.randint(0 if end - start < COLUMNS // 2 else 1, most) if most else 0
    edges = [start + (end - start) * number // children for number in range(children + 1)] if children else []
    return list(pairwise(edges))


def _connections(columns: int, branches: list[tuple[tuple[int, int], list[tuple[int, int]]]]) -> str:
    row = [" "] * columns
    for (start, end), children in branches:
        if not children:
            continue
        above = (start + end) // 2
        below = {(left + right) // 2 for left, right in children}
        first, last = min(below | {above}), max(below | {above})
        for column in range(first, last + 1):
            row[column] = _CORNERS[column == above, column in below, column > first, column < last]
    return "".join(row).rstrip()


@family.command(
    "lolwut",
    -1,
    "readonly fast",
    since="5.0.0",
    summary="Draws a picture, and tells the version.",
    complexity="",
)
def lolwut(s: Session, argv: list[bytes]) -> Reply:
    """LOLWUT [VERSION version] [columns [generations]]; every version is the same picture."""
    words = argv[1:]
    if len(words) > 1 and words[0].lower() == b"version":
        integer(words[1])
        words = words[2:]
    columns = max(1, min(integer(words[0]), _COLUMNS_MAX)) if words else COLUMNS
    generations = max(1, min(integer(words[1]), _GENERATIONS_MAX)) if len(words) > 1 else GENERATIONS
    picture = draw(s.keyspace.rng, columns, generations)
    return Verbatim(
        f"{picture}\n\nOne history, many readers. txrepl {__version__}, as Redis ver. {PRESENTED_VERSION}\n".encode()
    )
