"""The arguments of a command as COMMAND DOCS gives them: a short notation, and the trees that it stands for.

    key#0                   a key, that of the first key specification
    value                   a string; other types stand behind the name: `count:integer`
    EX seconds:integer      an argument with a word before it, by which it is known
    NX                      a word alone; `NX=not-there` if its name is not the word in small letters
    condition(NX | XX)      one of several
    limit{offset count}     several in a row; `LIMIT limit{…}` with a word before them
    [ … ]                   may be left out
    …*  …**                 repeated; `**` with its word repeated too
    name@6.2.0  name!7.0.0  since; deprecated since
    name=shown              shown to people under another name

A word without small letters is a token, and so is what stands in single quotes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from txrepl.resp.replies import Reply, SetReply

_LEXEME: Final = re.compile(r"\*\*?(?=[\s\]}|)]|$)|[\[\](){}|]|(?:'[^']*'|[^\s\[\](){}|*'])[^\s\[\](){}|*]*")
_WORD: Final = re.compile(
    r"(?P<name>'[^']*'|[A-Za-z0-9_-]+)(?::(?P<kind>[a-z-]+))?(?:#(?P<spec>\d+))?(?:=(?P<shown>[^@!]+))?"
    r"(?:@(?P<since>[\d.]+))?(?:!(?P<deprecated>[\d.]+))?"
)


@dataclass(slots=True)
class Argument:
    """An argument of a command.

    Attributes:
        kind: `string`, `integer`, `double`, `key`, `pattern`, `unix-time`, `pure-token`, `oneof` or `block`.
        token: the word before it, or for a pure token the word that it is.
        spec: index of the key specification.
        arguments: those of a `oneof` or a `block`.
    """

    name: str
    kind: str
    token: str | None = None
    spec: int | None = None
    shown: str | None = None
    since: str | None = None
    deprecated: str | None = None
    optional: bool = False
    multiple: bool = False
    multiple_token: bool = False
    arguments: list[Argument] = field(default_factory=list)

    def reply(self) -> Reply:
        """Its map in COMMAND DOCS (`addReplyCommandArgList`)."""
        told: dict[Reply, Reply] = {b"name": self.name.encode(), b"type": self.kind.encode()}
        if self.kind not in ("oneof", "block"):
            told[b"display_text"] = (self.shown or self.name).encode()
        if self.spec is not None:
            told[b"key_spec_index"] = self.spec
        for name, text in ((b"token", self.token), (b"since", self.since), (b"deprecated_since", self.deprecated)):
            if text is not None:
                told[name] = text.encode()
        flags = SetReply(name for name in ("optional", "multiple", "multiple_token") if getattr(self, name))
        if flags:
            told[b"flags"] = flags
        if self.arguments:
            told[b"arguments"] = [argument.reply() for argument in self.arguments]
        return told


def parse(notation: str) -> list[Argument]:
    """The arguments that a notation stands for.

    Raises:
        ValueError: it is none (a programmer's error).
    """
    lexemes: list[str] = _LEXEME.findall(notation)
    lexemes.reverse()
    found = _row(lexemes)
    if lexemes:
        raise ValueError(f"{lexemes[-1]!r} is too much in {notation!r}")
    return found


def _row(lexemes: list[str]) -> list[Argument]:
    """The arguments up to the end, or to what closes or parts them."""
    found: list[Argument] = []
    while lexemes and lexemes[-1] not in ("]", ")", "}", "|"):
        found.append(_argument(lexemes))
    return found


def _argument(lexemes: list[str]) -> Argument:
    if lexemes[-1] == "[":
        lexemes.pop()
        argument = _argument(lexemes)
        argument.optional = True
        _expect(lexemes, "]")
        return argument
    word = lexemes.pop()
    token = None
    if _is_token(word):
        if not lexemes or not lexemes[-1][0].islower():
            return _repeated(_pure_token(word), lexemes)
        token, word = word.strip("'"), lexemes.pop()
    argument = _named(word)
    argument.token = token
    if lexemes and lexemes[-1] == "(":
        argument.kind = "oneof"
        while lexemes[-1:] == (["|"] if argument.arguments else ["("]):
            lexemes.pop()
            argument.arguments.append(_argument(lexemes))
        _expect(lexemes, ")")
    elif lexemes and lexemes[-1] == "{":
        lexemes.pop()
        argument.kind = "block"
        argument.arguments = _row(lexemes)
        _expect(lexemes, "}")
    return _repeated(argument, lexemes)


def _expect(lexemes: list[str], closing: str) -> None:
    if not lexemes or lexemes.pop() != closing:
        raise ValueError(f"{closing!r} is missing")


def _is_token(word: str) -> bool:
    return word.startswith("'") or not any(map(str.islower, word.partition("=")[0]))


def _fields(word: str) -> re.Match[str]:
    found = _WORD.fullmatch(word)
    if found is None:
        raise ValueError(f"{word!r} is no argument")
    return found


def _pure_token(word: str) -> Argument:
    found = _fields(word)
    token = found["name"].strip("'")
    return Argument(found["shown"] or token.lower(), "pure-token", token, since=found["since"])


def _named(word: str) -> Argument:
    found = _fields(word)
    spec = found["spec"]
    kind = found["kind"] or ("string" if spec is None else "key")
    return Argument(
        found["name"],
        kind,
        spec=None if spec is None else int(spec),
        shown=found["shown"],
        since=found["since"],
        deprecated=found["deprecated"],
    )


def _repeated(argument: Argument, lexemes: list[str]) -> Argument:
    if lexemes and lexemes[-1] in ("*", "**"):
        argument.multiple = True
        argument.multiple_token = lexemes.pop() == "**"
    return argument
