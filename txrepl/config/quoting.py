"""Words of a configuration line and back: the quoting rules shared by redis.conf and CONFIG REWRITE.

Follows `sdssplitargs` and `sdscatrepr` of Redis. Words are bytes, since `"\\xHH"` can spell any byte.
"""

from __future__ import annotations

_BLANK = frozenset(b" \t\n\r\x0b\x0c\0")
_ESCAPES = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_NAMES = {value: name for name, value in _ESCAPES.items()}
_HEX = frozenset(b"0123456789abcdefABCDEF")
_BACKSLASH, _DOUBLE, _SINGLE = b"\\\"'"
_ESCAPED = {
    **{c: f"\\x{c:02x}" for c in range(256) if not 32 <= c < 127},
    **{c: "\\" + chr(name) for c, name in _NAMES.items()},
    **{c: "\\" + chr(c) for c in (_BACKSLASH, _DOUBLE)},
}


def split_words(line: bytes) -> list[bytes] | None:
    """The words of a line, or None when its quotes do not balance.

    Parameters:
        line: one line; `"…"` knows `\\xHH`, `\\n`, `\\r`, `\\t`, `\\b`, `\\a`, and `\\` before any other
            byte; `'…'` knows only `\\'`. A closing quote must be followed by a blank or the end.
    """
    words: list[bytes] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANK:
            at += 1
        if at == len(line):
            return words
        word = bytearray()
        while at < len(line) and line[at] not in _BLANK:
            if line[at] == _DOUBLE or line[at] == _SINGLE:
                end = _double(line, at + 1, word) if line[at] == _DOUBLE else _single(line, at + 1, word)
                if end < 0 or (end < len(line) and line[end] not in _BLANK):
                    return None
                at = end
                break
            word.append(line[at])
            at += 1
        words.append(bytes(word))


def _double(line: bytes, at: int, word: bytearray) -> int:
    """Take what `"` opened; the index after the closing quote, or -1."""
    while at < len(line):
        c = line[at]
        if c == _DOUBLE:
            return at + 1
        if c == _BACKSLASH and at + 1 < len(line):
            digits = line[at + 2 : at + 4]
            if line[at + 1] == ord("x") and len(digits) == 2 and _HEX.issuperset(digits):
                word.append(int(digits, 16))
                at += 4
                continue
            at += 1
            c = _ESCAPES.get(line[at], line[at])
        word.append(c)
        at += 1
    return -1


def _single(line: bytes, at: int, word: bytearray) -> int:
    """Take what `'` opened; the index after the closing quote, or -1."""
    while at < len(line):
        c = line[at]
        if c == _SINGLE:
            return at + 1
        if c == _BACKSLASH and line[at + 1 : at + 2] == b"'":
            at += 1
            c = _SINGLE
        word.append(c)
        at += 1
    return -1


def quote_word(word: bytes) -> str:
    """The word in double quotes, printable ASCII only, so that `split_words` gives it back."""
    return f'"{word.decode("latin-1").translate(_ESCAPED)}"'


def to_text(word: bytes) -> str:
    """Bytes as the text that directives hold: UTF-8, every other byte kept as a surrogate."""
    return word.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes that `to_text` took."""
    return text.encode("utf-8", "surrogateescape")
