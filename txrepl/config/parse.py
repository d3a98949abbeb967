"""Configuration text to directives: redis.conf's syntax.

A line is a comment (`#` first), blank, or words: a directive's name, in any case, and its values. A `#` later
on a line is no comment. `include PATH` is replaced by the directives of that file, or of all files that a glob
finds. Names and the number of words are checked here; values are checked when a `Config` loads them.
"""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from txrepl.config.quoting import split_words, to_bytes, to_text
from txrepl.config.table import BY_NAME, FILE_ONLY, TABLE, find
from txrepl.errors import ConfigError

#: The version that the server presents itself as, here in the headline of a configuration error.
PRESENTED_VERSION: Final = "7.2.4"

_PASSWORDS: Final = (">", "<")
"""How the rules of a `user` line begin that hold a password in clear."""
_WRONG_NUMBER: Final = "wrong number of arguments"
_BAD_DIRECTIVE: Final = "Bad directive or wrong number of arguments"


@dataclass(frozen=True)
class Directive:
    """One directive as it was written.

    Parameters:
        name: its name in lower case, as used (perhaps an old one).
        words: its values, unquoted.
        origin: the file's path, `standard input` or `the command line`.
        line_number: from 1.
        line: the line's text.
    """

    name: str
    words: tuple[str, ...]
    origin: str
    line_number: int
    line: str


def fatal(directive: Directive, reason: str, hint: str = "") -> ConfigError:
    """The error that stops the start: the block that Redis prints, then where it was and a hint."""
    # A misspelt secret is one too.
    spec = find(directive.name) or find(nearest_name(directive.name) or "")
    line = f"{directive.name} ***" if spec is not None and spec.secret else directive.line
    if directive.name == "user" and any(word.startswith(_PASSWORDS) for word in directive.words):
        words = (f"{word[0]}***" if word.startswith(_PASSWORDS) else word for word in directive.words)
        line = " ".join((directive.name, *words))
    return ConfigError(
        f"*** FATAL CONFIG FILE ERROR (Redis {PRESENTED_VERSION}) ***\n"
        f"Reading the configuration file, at line {directive.line_number}\n"
        f">>> '{line}'\n"
        f"{reason}\n"
        f"({directive.origin}, line {directive.line_number}{hint})"
    )


def nearest_name(name: str) -> str | None:
    """The known directive that looks most like an unknown one, or None when none does."""
    names = [*BY_NAME, *FILE_ONLY]
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return close[0] if close else None


def read_text(path: str) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: it cannot be read; the message is Redis's log line.
    """
    try:
        with open(path, "rb") as file:
            return to_text(file.read())
    except OSError as error:
        raise ConfigError(f"Fatal error, can't open config file '{path}': {error.strerror}") from None


def parse_text(text: str, origin: str) -> list[Directive]:
    """The directives of a text, those of included files in their place.

    Parameters:
        text: the whole text.
        origin: where it is from; for a file its path.
    Raises:
        ConfigError: an unknown directive, a wrong number of words, quotes that do not balance, a file that
            cannot be read or that includes itself.
    """
    return _parse(text, origin, (os.path.abspath(origin),))


def _parse(text: str, origin: str, chain: Sequence[str]) -> list[Directive]:
    directives: list[Directive] = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t\r\n")
        if not line or line.startswith("#"):
            continue
        words = split_words(to_bytes(line))
        if words is None:
            name = line.split(maxsplit=1)[0].lower()
            raise fatal(Directive(name, (), origin, number, line), "Unbalanced quotes in configuration line")
        if not words:
            continue
        directive = Directive(to_text(words[0]).lower(), tuple(map(to_text, words[1:])), origin, number, line)
        _check_form(directive)
        if directive.name == "include":
            directives += _included(directive, chain)
        else:
            directives.append(directive)
    return directives


def _check_form(directive: Directive) -> None:
    """Raise unless the name is known and the number of words can be right."""
    spec = find(directive.name)
    if spec is not None:
        if not spec.kind.multi and len(directive.words) != 1:
            raise fatal(directive, _WRONG_NUMBER)
        return
    extra = FILE_ONLY.get(directive.name)
    if extra is not None:
        count = len(directive.words)
        if count < extra.least or (extra.most is not None and count > extra.most):
            raise fatal(directive, _BAD_DIRECTIVE)
        return
    if directive.name == "sentinel":
        raise fatal(directive, "sentinel directive while not in sentinel mode")
    near = nearest_name(directive.name)
    hint = f": unknown directive '{directive.name}'" + (f"; the nearest known name is '{near}'" if near else "")
    raise fatal(directive, _BAD_DIRECTIVE, hint)


def _included(directive: Directive, chain: Sequence[str]) -> list[Directive]:
    """The directives of the files that an `include` names; a glob may find none."""
    pattern = directive.words[0]
    paths = sorted(glob.glob(pattern)) if any(c in pattern for c in "*?[") else [pattern]
    found: list[Directive] = []
    for path in paths:
        absolute = os.path.abspath(path)
        if absolute in chain:
            raise fatal(directive, "the file includes itself")
        found += _parse(read_text(path), path, (*chain, absolute))
    return found


def known_names() -> list[str]:
    """The modern names of all directives, in the table's order."""
    return [spec.name for spec in TABLE]
