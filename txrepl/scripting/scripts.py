"""EVAL's scripts: found by their SHA1, compiled once; the first line may say what they do.

Of scripts that came by EVAL the last ones used are kept (`LRU_LIST_LENGTH` of Redis 7.4); before, the texts of those
who put values into their scripts filled the memory. What came by SCRIPT LOAD stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from txrepl.errors import CommandError
from txrepl.scripting.machine import Machine
from txrepl.scripting.running import FLAG_NAMES, UNDECLARED

EVALS_MAX: Final = 500
"""Scripts that are kept of those which came by EVAL."""
_OVERHEAD_BYTES: Final = 150
"""What a cached script takes beside its text."""


class Script:
    """A script that can be run.

    Attributes:
        sha: its SHA1, 40 hexadecimal digits.
        body: its text.
        flags: what it declares of itself.
        program: what the machine made of it.
    """

    __slots__ = ("body", "flags", "program", "sha")

    def __init__(self, sha: bytes, body: bytes, flags: int, program: Any) -> None:
        self.sha = sha
        self.body = body
        self.flags = flags
        self.program = program


def shebang(body: bytes) -> tuple[int, int]:
    """What a script declares in its first line (`evalExtractShebangFlags`): flags, and the line's length in bytes.

    Raises:
        CommandError: the line is none that we know.
    """
    if not body.startswith(b"#!"):
        return UNDECLARED, 0
    end = body.find(b"\n")
    if end < 0:
        raise CommandError("ERR Invalid script shebang")
    parts = body[:end].split(b" ")
    if parts[0] != b"#!lua":
        raise CommandError(b"ERR Unexpected engine in script shebang: " + parts[0])
    flags = 0
    for part in parts[1:]:
        if not part:
            continue
        if not part.startswith(b"flags="):
            raise CommandError(b"ERR Unknown lua shebang option: " + part)
        for word in part[6:].split(b","):
            if word:
                if word not in FLAG_NAMES:
                    raise CommandError(b"ERR Unexpected flag in script shebang: " + word)
                flags |= FLAG_NAMES[word]
    return flags, end


class Scripts:
    """The cache of scripts.

    Parameters:
        machine: gives the machine, made when it is first needed.
    """

    def __init__(self, machine: Callable[[], Machine]) -> None:
        self._machine = machine
        self._by_sha: dict[bytes, Script] = {}
        self._by_body: dict[bytes, Script] = {}
        self._passing: dict[bytes, Script] = {}  # those that came by EVAL, the last used at the end

    def __len__(self) -> int:
        return len(self._by_sha)

    def find(self, sha: bytes) -> Script | None:
        """The script of that SHA1, in any case."""
        return self._by_sha.get(sha) or self._by_sha.get(sha.lower())

    def load(self, body: bytes, *, keep: bool) -> Script:
        """The script of that text, compiled if it is new (`luaCreateFunction`).

        Parameters:
            body: the text.
            keep: it is to stay until it is flushed.

        Raises:
            CommandError: it is none.
        """
        known = self._by_body.get(body)
        if known is not None:
            if self._passing.pop(known.sha, None) is not None and not keep:
                self._passing[known.sha] = known
            return known
        sha = hashlib.sha1(body, usedforsecurity=False).hexdigest().encode()
        flags, skipped = shebang(body)
        try:
            program = self._machine().compile(body[skipped:], b"@user_script")
        except CommandError as error:
            raise CommandError(b"ERR Error compiling script (new function): " + error.message) from None
        script = Script(sha, body, flags, program)
        self._by_sha[sha] = self._by_body[body] = script
        if not keep:
            self._passing[sha] = script
            if len(self._passing) > EVALS_MAX:
                oldest = self._passing.pop(next(iter(self._passing)))
                del self._by_sha[oldest.sha], self._by_body[oldest.body]
        return script

    def flush(self) -> None:
        """Forget all."""
        self._by_sha.clear()
        self._by_body.clear()
        self._passing.clear()

    @property
    def size_bytes(self) -> int:
        """What the cache takes, but for Lua's part."""
        return sum(len(script.body) + _OVERHEAD_BYTES for script in self._by_sha.values())
