"""The notation of arguments, and that every command's is one."""

from __future__ import annotations

import re

import pytest

from txrepl.commands.registry import build_table
from txrepl.commands.syntax import Argument, parse
from txrepl.commands.syntaxes import DEPRECATED, SYNTAXES, SYSTEM


def test_every_form_of_the_notation() -> None:
    """Tokens, types, choices, blocks, repeats, versions and names that are shown."""
    text = (
        "key#1 [NX] [AS=like@6.0.0] by:pattern#2=pattern GET item** EX seconds:integer@2.6.12!7.0.0 "
        "how@7.0.0('='=equal | '*' | n:integer) [LIMIT limit{offset:integer [count:integer]}*]"
    )
    assert parse(text) == [
        Argument("key", "key", spec=1),
        Argument("nx", "pure-token", "NX", optional=True),
        Argument("like", "pure-token", "AS", since="6.0.0", optional=True),
        Argument("by", "pattern", spec=2, shown="pattern"),
        Argument("item", "string", "GET", multiple=True, multiple_token=True),
        Argument("seconds", "integer", "EX", since="2.6.12", deprecated="7.0.0"),
        Argument(
            "how",
            "oneof",
            since="7.0.0",
            arguments=[
                Argument("equal", "pure-token", "="),
                Argument("*", "pure-token", "*"),
                Argument("n", "integer"),
            ],
        ),
        Argument(
            "limit",
            "block",
            "LIMIT",
            optional=True,
            multiple=True,
            arguments=[Argument("offset", "integer"), Argument("count", "integer", optional=True)],
        ),
    ]


@pytest.mark.parametrize("text", ["[key#0", "a(b | c", "a(b c)", "a{b", "a)", "a]b", "key#x", "a@b", "**"])
def test_what_is_no_notation_is_refused(text: str) -> None:
    """A bracket is missing or too much, or a word is none."""
    with pytest.raises((ValueError, IndexError)):
        parse(text)


def test_every_command_with_arguments_has_its_syntax() -> None:
    """And none else; a key that is told refers to a key specification that there is."""
    for command in build_table().every():
        words = command.name.count("|") + 1
        if command.least > words and not command.subcommands and command.name not in SYSTEM:
            assert command.name in SYNTAXES, command.name
        for number in re.findall(r"#(\d+)", SYNTAXES.get(command.name, "")):
            assert int(number) < len(command.keys), command.name


def test_names_are_of_commands() -> None:
    """No deprecated or internal command, and no syntax of a container's subcommand, is misspelt."""
    known = {command.name for command in build_table().every()}
    assert set(DEPRECATED) | set(SYSTEM) <= known
    containers = {name.partition("|")[0] for name in known if "|" in name}
    assert {name for name in SYNTAXES if name.partition("|")[0] in containers and "|" in name} <= known | {
        f"client|{sub}" for sub in ("caching", "tracking")
    }
