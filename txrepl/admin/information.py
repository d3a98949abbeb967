"""INFO over HTTP: the sections that `commands.info` gives, as JSON or as Redis's own text."""

from __future__ import annotations


def as_text(node: object, wanted: list[str]) -> bytes:
    return b"x"


def as_json(node: object, wanted: list[str]) -> dict[str, object]:
    return {}
