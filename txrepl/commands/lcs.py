"""LCS: the longest common subsequence of two strings, found with one big integer per byte of the first.

Bit j-1 of row i is 0 where the subsequence grows from j-1 to j bytes of the second string, which is all that
the way back needs. The choice among equally long subsequences is that of Redis's `lcsCommand`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.session import Session
from txrepl.commands.strings import MAX_STRING_BYTES
from txrepl.commands.table import Family, keys_from
from txrepl.errors import SYNTAX, CommandError
from txrepl.resp.replies import Reply

family = Family("string")

_CELL_BYTES: Final = 4
"""What a cell of Redis's table takes; its limit is kept, so that the same inputs are refused."""


def _rows(a: bytes, b: bytes) -> list[int]:
    """For each byte of `a` the bits of its row (Hyyrö's bit-parallel form)."""
    positions: dict[int, int] = {}
    for j, byte in enumerate(b):
        positions[byte] = positions.get(byte, 0) | 1 << j
    full = (1 << len(b)) - 1
    row = full
    rows: list[int] = []
    for byte in a:
        hits = row & positions.get(byte, 0)
        row = ((row + hits) | (row - hits)) & full
        rows.append(row)
    return rows


def _matches(a: bytes, b: bytes, rows: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of positions that match, from the ends to the beginnings."""
    i, j = len(a), len(b)
    while i and j:
        if a[i - 1] == b[j - 1]:
            i -= 1
            j -= 1
            yield i, j
        elif rows[i - 1] >> (j - 1) & 1:
            j -= 1
        else:
            i -= 1


def _ranges(pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Runs of matches as (start in a, start in b, length), in the order of `pairs`."""
    start_a = start_b = length = 0
    for i, j in pairs:
        if length and (i + 1, j + 1) == (start_a, start_b):
            length += 1
        else:
            if length:
                yield start_a, start_b, length
            length = 1
        start_a, start_b = i, j
    if length:
        yield start_a, start_b, length


@family.command(
    "lcs",
    -3,
    "readonly",
    keys_from(1, "RO ACCESS", last=1),
    since="7.0.0",
    summary="Finds the longest common subsequence of two strings.",
    complexity="O(N*M) for strings of N and M bytes.",
)
def lcs(s: Session, argv: list[bytes]) -> Reply:
    """LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]."""
    values = (s.db.read(argv[1]), s.db.read(argv[2]))
    strings = [b"" if value is None else value for value in values]
    a, b = strings
    if not isinstance(a, bytes) or not isinstance(b, bytes):
        raise CommandError("ERR The specified keys must contain string values")
    words, least = _options(argv)
    if b"idx" in words and b"len" in words:
        raise CommandError("ERR If you want both the length and indexes, please just use IDX.")
    if (len(a) + 1) * (len(b) + 1) * _CELL_BYTES > MAX_STRING_BYTES:
        raise CommandError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    rows = _rows(a, b)
    length = len(b) - rows[-1].bit_count() if rows else 0
    if b"len" in words:
        return length
    pairs = _matches(a, b, rows)
    if b"idx" not in words:
        return bytes(a[i] for i, _ in pairs)[::-1]
    found: list[Reply] = []
    for start_a, start_b, size in _ranges(pairs):
        if size >= least:
            match: list[Reply] = [[start_a, start_a + size - 1], [start_b, start_b + size - 1]]
            found.append([*match, size] if b"withmatchlen" in words else match)
    return {b"matches": found, b"len": length}


def _options(argv: list[bytes]) -> tuple[set[bytes], int]:
    words: set[bytes] = set()
    least = 0
    i = 3
    while i < len(argv):
        word = argv[i].lower()
        if word == b"minmatchlen" and i + 1 < len(argv):
            i += 1
            least = integer(argv[i])
        elif word not in (b"idx", b"len", b"withmatchlen"):
            raise CommandError(SYNTAX)
        words.add(word)
        i += 1
    return words, least
