"""Redis's glob patterns, as KEYS, SCAN MATCH, PSUBSCRIBE and CONFIG GET understand them.

Follows `stringmatchlen` of Redis: `*`, `?`, `[abc]`, `[a-z]`, `[^…]`, and `\\` to take the next byte literally.
The matcher is compiled to a regular expression that does not backtrack over what it has matched, so that no pattern
takes more than time proportional to pattern and text; the plain forms (`*`, `literal`, `prefix*`) use none at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_SPECIAL = frozenset(b"*?[\\")


def _signed(c: int) -> int:
    """A byte as a C char, as which Redis compares the ends of a range."""
    return c - 256 if c > 127 else c


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
            low, high = sorted((_signed(c), _signed(pattern[i + 2])))
            wanted.update(byte & 255 for byte in range(low, high + 1))
            i += 2
        else:
            wanted.add(c)
        i += 1
    accepted = set(range(256)) - wanted if negated else wanted
    if not accepted:
        return b"(?!)", i + 1
    return b"[" + b"".join(b"\\x%02x" % c for c in sorted(accepted)) + b"]", i + 1


def _segments(pattern: bytes) -> list[bytes]:
    """The pattern as regular expressions of fixed length, between which any number of bytes may stand."""
    segments: list[list[bytes]] = [[]]
    i = 0
    while i < len(pattern):
        c = pattern[i]
        i += 1
        if c == ord("*"):
            segments.append([])
        elif c == ord("?"):
            segments[-1].append(b".")
        elif c == ord("["):
            part, i = _class(pattern, i)
            segments[-1].append(part)
        else:
            if c == ord("\\") and i < len(pattern):
                c = pattern[i]
                i += 1
            segments[-1].append(re.escape(bytes((c,))))
    return [b"".join(parts) for parts in segments]


def _regex(pattern: bytes) -> bytes:
    """A regular expression that never tries again what it has matched.

    Segments are of fixed length, so the first place where one fits is as good as any later; an atomic group keeps
    that place, and only the last segment is tied to the end.
    """
    first, *others = _segments(pattern)
    if not others:
        return first
    *middle, last = others
    return first + b"".join(b"(?>.*?%b)" % segment for segment in middle if segment) + b".*" + last


@lru_cache(maxsize=512)
def compile_glob(pattern: bytes) -> Callable[[bytes], bool]:
    """A predicate that tells whether a byte string matches the pattern.

    An empty string matches the empty pattern only, not even `*`, as in Redis; commands that treat `*` as "all" do
    not ask.

    Parameters:
        pattern: the glob, case-sensitive.
    """
    if pattern == b"*":
        return bool
    if not _SPECIAL.intersection(pattern):
        return pattern.__eq__
    if pattern.endswith(b"*") and not _SPECIAL.intersection(pattern[:-1]):
        prefix = pattern[:-1]
        return lambda text: text.startswith(prefix)
    expression = re.compile(_regex(pattern), re.DOTALL)
    return lambda text: bool(text) and expression.fullmatch(text) is not None
