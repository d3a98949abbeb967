"""INFO over HTTP: the sections of `commands.info`, as JSON or as Redis's own text."""

from __future__ import annotations

import re
from typing import Any, Final

from txrepl.admin.problems import InvalidError
from txrepl.admin.views import Json, printable
from txrepl.commands.info import as_text as info_text
from txrepl.commands.info import chosen, read_process, sections
from txrepl.node import Node

NAMES: Final = ("default", "all", "everything", *chosen(["everything"]))
"""What may be asked for."""

_NUMBER: Final = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,9})?", re.ASCII)
_FIELDS: Final = re.compile(r"(slave|db)\d+|(cmdstat|errorstat)_.*", re.DOTALL)
"""What Redis packs several values into: `name=value,name=value`."""
_TEXTS: Final = re.compile(r".*(_version|_host|_file|_id|_replid2?|_sha1)|ip|os|executable")
"""What is text even where it looks like a number."""


def as_text(node: Node, wanted: list[str]) -> bytes:
    """Redis's text.

    Parameters:
        wanted: as `as_json` has it.
    """
    return info_text(sections(node, read_process(), _known(wanted)))


def as_json(node: Node, wanted: list[str]) -> Json:
    """Sections by name in lower case, with numbers as numbers, and `slave0`, `db0`, `cmdstat_…` taken apart.

    Parameters:
        wanted: names of sections, `default`, `all`, `everything`; the default ones if empty.

    Raises:
        InvalidError: there is no such section.
    """
    found = sections(node, read_process(), _known(wanted))
    return {
        section: {printable(name): _value(name, text) for name, text in fields.items()}
        for section, fields in found.items()
    }


def _known(wanted: list[str]) -> list[str]:
    if not all(chosen([word]) for word in wanted):
        raise InvalidError("section", f"unknown section; known: {', '.join(NAMES)}")
    return wanted


def _value(name: str, text: str) -> Any:
    if _TEXTS.fullmatch(name):
        return printable(text)
    if _FIELDS.fullmatch(name):
        pairs = [pair.partition("=") for pair in text.split(",")]
        return {printable(key): _value(key, value) for key, _, value in pairs}
    match = _NUMBER.fullmatch(text)
    if match is None:
        return printable(text)
    return float(text) if match[2] else int(text)
