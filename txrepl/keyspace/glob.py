"""Redis's glob patterns, as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET understand them.

Follows `stringmatchlen` of Redis: `*`, `?`, `[abc]`, `[a-z]`, `[^…]`, and `\\` to take the next byte literally.
The matcher is compiled to a regular expression; runs of `*` are folded so that matching stays polynomial
in practice, and the plain forms (`*`, `literal`, `prefix*`) do not use one at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_SPECIAL = frozenset(b"*?[\\")


def _class(pattern: bytes, start: int) -> tuple[bytes, int]:
    """The regular expression of a `[…]` that begins after `start`, and where the pattern goes on."""
    i = start
    negated = i < len(pattern) and pattern[i] == ord("^")
    if negated:
        i += 1
    wanted: set[int] = set()
    while True:
        if i >= len(pattern):
            i -= 1  # an unterminated class ends with the pattern, as in Redis
            break
        c = pattern[i]
        if c == ord("\\") and i + 1 < len(pattern):
            i += 1
            wanted.add(pattern[i])
        elif c == ord("]"):
            break
        elif i + 2 < len(pattern) and pattern[i + 1] == ord("-"):
            low, high = sorted((c, pattern[i + 2]))
            wanted.update(range(low, high + 1))
            i += 2
        else:
            wanted.add(c)
        i += 1
    accepted = set(range(256)) - wanted if negated else wanted
    if not accepted:
        return b"(?!)", i + 1
    return b"[" + b"".join(b"\\x%02x" % c for c in sorted(accepted)) + b"]", i + 1


def _regex(pattern: bytes) -> bytes:
    out: list[bytes] = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        i += 1
        if c == ord("*"):
            if not out or out[-1] != b".*":
                out.append(b".*")
        elif c == ord("?"):
            out.append(b".")
        elif c == ord("["):
            part, i = _class(pattern, i)
            out.append(part)
        else:
            if c == ord("\\") and i < len(pattern):
                c = pattern[i]
                i += 1
            out.append(re.escape(bytes((c,))))
    return b"".join(out)


@lru_cache(maxsize=512)
def compile_glob(pattern: bytes) -> Callable[[bytes], bool]:
    """A predicate that tells whether a byte string matches the pattern.

    Parameters:
        pattern: the glob, case-sensitive.
    """
    if pattern == b"*":
        return lambda text: True
    if not _SPECIAL.intersection(pattern):
        return pattern.__eq__
    if pattern.endswith(b"*") and not _SPECIAL.intersection(pattern[:-1]):
        prefix = pattern[:-1]
        return lambda text: text.startswith(prefix)
    expression = re.compile(_regex(pattern), re.DOTALL)
    return lambda text: expression.fullmatch(text) is not None
