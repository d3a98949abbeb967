"""Requests: bytes → commands, with the exact size of each.

The grammar, as a server and as a replica reads it:

    request = "*" count CRLF { "$" length CRLF bytes CRLF } | inline
    inline  = words separated by blanks, quoted as in a shell, LF

Two readers share the work. hiredis parses what is complete, in C; that nothing is left over is proven by adding
up what the commands take in canonical form. Whatever fails that proof (a request that is split over reads, an
inline command, a malformed one) goes to the exact reader, which finds the same errors in the same words as Redis
(`processInlineBuffer`, `processMultibulkBuffer`) and hands back to hiredis at the next boundary. So the size of
each command is always known, which replication offsets depend on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Final

import hiredis

from txrepl.errors import ProtocolError
from txrepl.keyspace.numbers import parse_integer


class OddRequest(list[bytes]):
    """A request that was not sent in canonical form: an inline command, an empty line, `*0`.

    Attributes:
        size: its length in bytes as received.
    """

    __slots__ = ("size",)

    def __init__(self, words: list[bytes], size: int) -> None:
        super().__init__(words)
        self.size = size


_SMALL: Final = 1024
_HEADER_SIZE: Final = [len(b"*%d\r\n" % n) for n in range(_SMALL)]
_BULK_SIZE: Final = [len(b"$%d\r\n" % n) + n + 2 for n in range(_SMALL)]
_header_size = _HEADER_SIZE.__getitem__
_bulk_size = _BULK_SIZE.__getitem__


def request_size(argv: list[bytes]) -> int:
    """Bytes that a parsed request took."""
    if isinstance(argv, OddRequest):
        return argv.size
    return len(b"*%d\r\n" % len(argv)) + sum(len(b"$%d\r\n" % len(word)) + len(word) + 2 for word in argv)


def _batch_size(batch: list[list[bytes]]) -> int:
    """Bytes that canonical requests take; -1 if one holds anything but bulk strings."""
    try:
        if len(batch) == 1:
            argv = batch[0]
            size = _HEADER_SIZE[len(argv)]
            for word in argv:
                size += _BULK_SIZE[len(word)]
            b"".join(argv)  # a nested reply has a length too: this refuses it
            return size
        b"".join(chain.from_iterable(batch))
        return sum(map(_bulk_size, map(len, chain.from_iterable(batch)))) + sum(map(_header_size, map(len, batch)))
    except IndexError:
        return sum(map(request_size, batch))
    except TypeError:
        return -1


def _take_canonical(batch: list[list[bytes]], data: bytes, found: list[list[bytes]]) -> int:
    """Move to `found` the requests that stand in data in canonical form; how many bytes they take."""
    position = 0
    for argv in batch:
        try:
            raw = encode_command(argv)
        except TypeError:
            break
        if not argv or not data.startswith(raw, position):
            break
        found.append(argv)
        position += len(raw)
    return position


def encode_command(words: Iterable[bytes]) -> bytes:
    """A command as an array of bulk strings."""
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
    return b"*%d\r\n%b" % (len(parts), b"".join(parts))


INLINE_MAX_BYTES: Final = 64 * 1024
ARGUMENTS_MAX: Final = 2**31 - 1
LARGE_READ_BYTES: Final = 16 * 1024
"""A read of this size and more is expected to end within a request."""

UNAUTHENTICATED_ARGUMENTS_MAX: Final = 10
UNAUTHENTICATED_BULK_MAX_BYTES: Final = 16 * 1024

# hiredis makes room for as many elements as an array's header announces, before any has come: with this many or more
# it does not get to see the bytes. No request of that size fits into one read anyway.
_announces_many = re.compile(rb"\*\d{5}").search


class RequestParser:
    """Turns received bytes into requests.

    Parameters:
        max_bulk_bytes: the longest argument (`proto-max-bulk-len`).

    Attributes:
        error: Redis's text of what broke the protocol; the requests before it are still good.
        authenticated: False bounds counts and lengths much lower.
        is_amiss: the last bytes fed are an incomplete request, or none.
    """

    __slots__ = ("_exact", "_reader", "authenticated", "error", "is_amiss", "max_bulk_bytes")

    def __init__(self, max_bulk_bytes: int = 512 * 1024 * 1024) -> None:
        self.max_bulk_bytes = max_bulk_bytes
        self.authenticated: bool = True
        self.error: str | None = None
        self.is_amiss: bool = False
        self._reader = hiredis.Reader()
        self._exact: _ExactReader | None = None

    @property
    def pending_bytes(self) -> int:
        """Bytes of a request that is not complete yet."""
        return 0 if self._exact is None else self._exact.pending_bytes

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The requests that are complete now; sets `error` when the bytes after them break the protocol."""
        if not self.is_amiss and self._may_be_canonical(data):
            reader = self._reader
            try:
                reader.feed(data)
                argv = reader.gets()
                if argv.__class__ is list:  # one request, whole: the common case
                    size = _HEADER_SIZE[len(argv)]
                    for word in argv:
                        size += _BULK_SIZE[len(word)]
                    if size == len(data) and not _may_hold_other_types(data):
                        b"".join(argv)  # a nested reply has a length too: this refuses it
                        return [argv]
                    if len(data) >= LARGE_READ_BYTES:
                        return self._feed_large(data)
                    batch: list[list[bytes]] = [argv, *iter(reader.gets, False)]
                    if _batch_size(batch) == len(data) and not _may_hold_other_types(data):
                        return batch
                    return self._feed_odd(data, batch)
            except (hiredis.HiredisError, IndexError, TypeError):
                pass  # whatever it is, the exact reader finds and names it
        return self._feed_odd(data, [])

    def _feed_large(self, data: bytes) -> list[list[bytes]]:
        """A read that filled the buffer mostly ends within a request: prove what comes before that one as a whole."""
        self._reader = hiredis.Reader()
        cut = data.rfind(b"\r\n*") + 2  # inside of a payload, this proves nothing, and costs the long way
        head = data[:cut]
        batch = _try_hiredis(head)
        if cut < 2 or _batch_size(batch) != cut or _may_hold_other_types(head):
            return self._feed_odd(data, [])
        batch += self._feed_odd(data[cut:], [])
        return batch

    def _may_be_canonical(self, data: bytes) -> bool:
        return (
            data.startswith(b"*")
            and self.authenticated
            and len(data) <= self.max_bulk_bytes
            and ((data.find(b"\r", 1, 6) > 0 and data.find(b"*", 1) < 0) or _announces_many(data) is None)
        )

    def _feed_odd(self, data: bytes, batch: list[list[bytes]]) -> list[list[bytes]]:
        """The long way; `batch` is what hiredis made of data, believed as far as it is canonical."""
        found = self._find_odd(data, batch)
        self.is_amiss = self._exact is not None or self.error is not None
        return found

    def _find_odd(self, data: bytes, batch: list[list[bytes]]) -> list[list[bytes]]:
        found: list[list[bytes]] = []
        if self.error is not None:
            return found
        if self._exact is not None:
            data = self._feed_exact(self._exact, data, found, 1)
            if len(data) >= LARGE_READ_BYTES and self.error is None and self._may_be_canonical(data):
                return found + self._feed_large(data)
        if data and self.error is None:
            if not batch and self._may_be_canonical(data):
                batch = _try_hiredis(data)
            data = data[_take_canonical(batch, data, found) :]
        if data:
            # One try a read with hiredis: whoever mixes odd requests in costs linear time, not quadratic.
            self._feed_exact(_ExactReader(self), data, found, len(data))
        self._reader = hiredis.Reader()
        return found

    def _feed_exact(self, exact: _ExactReader, data: bytes, found: list[list[bytes]], most: int) -> bytes:
        """Complete up to `most` requests; returns the bytes after them. What is incomplete stays in the reader."""
        self._exact = exact
        exact.add(data)
        try:
            for _ in range(most):
                request = exact.next()
                if request is None:
                    exact.compact()
                    if not exact.pending_bytes:
                        self._exact = None
                    return b""
                found.append(request)
        except ProtocolError as error:
            self.error = str(error)
            return b""
        self._exact = None
        return exact.rest()


def _try_hiredis(data: bytes) -> list[list[bytes]]:
    """What hiredis makes of data before it stumbles."""
    reader = hiredis.Reader()
    batch: list[list[bytes]] = []
    try:
        reader.feed(data)
        batch.extend(iter(reader.gets, False))
    except hiredis.HiredisError:
        pass  # what came before the error is in the batch
    return batch


def _may_hold_other_types(data: bytes) -> bool:
    """Whether a line may begin with a type that hiredis turns into what a request's array would give.

    Sets, pushes and attributes read as arrays of the same size; simple strings take less than the bulk strings that
    they read as, so that a part of a request after them goes unnoticed; maps and verbatim strings take more. A
    payload may look alike: then the slower proof is asked.
    """
    return (
        (43 in data and b"\n+" in data)
        or (61 in data and b"\n=" in data)
        or (62 in data and b"\n>" in data)
        or (126 in data and b"\n~" in data)
        or (124 in data and b"\n|" in data)
        or (37 in data and b"\n%" in data)
    )


class _ExactReader:
    """Reads requests, byte-exact and incrementally."""

    __slots__ = ("_argv", "_bulk", "_data", "_limits", "_missing", "_position", "_start")

    def __init__(self, limits: RequestParser) -> None:
        self._limits = limits
        self._data = bytearray()
        self._start: int = 0  # where the request that is being read begins
        self._position: int = 0
        self._missing: int = -1  # arguments still to come; -1 before the header
        self._bulk: int = -1  # length of the argument being read; -1 before its header
        self._argv: list[bytes] = []

    @property
    def pending_bytes(self) -> int:
        return len(self._data) - self._start

    def rest(self) -> bytes:
        """The bytes after the last request that `next` returned."""
        return bytes(memoryview(self._data)[self._start :])

    def compact(self) -> None:
        """Drop the bytes of the requests that were returned."""
        if self._start:
            del self._data[: self._start]
            self._position -= self._start
            self._start = 0

    def add(self, data: bytes) -> None:
        """Take bytes."""
        self._data += data

    def next(self) -> list[bytes] | None:
        """The next request, or None while it is incomplete.

        Raises:
            ProtocolError: with Redis's text.
        """
        if self._missing < 0:
            if self._start == len(self._data):
                return None
            if self._data[self._start] != 42:
                return self._inline()
            if not self._header():
                return None
        while self._missing > 0:
            if self._bulk < 0 and not self._bulk_header():
                return None
            end = self._position + self._bulk
            if len(self._data) < end + 2:
                return None
            self._argv.append(bytes(memoryview(self._data)[self._position : end]))
            self._position = end + 2
            self._bulk = -1
            self._missing -= 1
        argv, self._argv = self._argv, []
        size = self._position - self._start
        self._missing = -1
        self._start = self._position
        return argv or OddRequest([], size)

    def _inline(self) -> OddRequest | None:
        end = self._find(b"\n")
        if end < 0:
            if len(self._data) - self._start > INLINE_MAX_BYTES:
                raise ProtocolError("Protocol error: too big inline request")
            return None
        line = bytes(self._data[self._start : end])
        size = end + 1 - self._start
        self._start = self._position = end + 1
        return OddRequest(split_words(line.removesuffix(b"\r")), size)

    def _find(self, end: bytes) -> int:
        """Where the line at the position ends, -1 while it does not; a NUL hides what follows (`strchr`)."""
        found = self._data.find(end, self._position)
        return -1 if found >= 0 and self._data.find(b"\0", self._position, found) >= 0 else found

    def _line(self, what: str) -> bytes | None:
        """The header line at the position, which moves past it."""
        end = self._find(b"\r")
        if end < 0:
            if len(self._data) - self._position > INLINE_MAX_BYTES:
                raise ProtocolError(f"Protocol error: too big {what} count string")
            return None
        if len(self._data) < end + 2:
            return None
        line = bytes(self._data[self._position : end])
        self._position = end + 2
        return line

    def _header(self) -> bool:
        line = self._line("mbulk")
        if line is None:
            return False
        count = parse_integer(line[1:])
        if count is None or count > ARGUMENTS_MAX:
            raise ProtocolError("Protocol error: invalid multibulk length")
        if count > UNAUTHENTICATED_ARGUMENTS_MAX and not self._limits.authenticated:
            raise ProtocolError("Protocol error: unauthenticated multibulk length")
        self._missing = max(count, 0)
        return True

    def _bulk_header(self) -> bool:
        first = self._position
        line = self._line("bulk")
        if line is None:
            return False
        if self._data[first] != 36:  # "$"
            got = bytes(self._data[first : first + 1]).decode("utf-8", "surrogateescape")
            raise ProtocolError(f"Protocol error: expected '$', got '{got}'")
        length = parse_integer(line[1:])
        if length is None or not 0 <= length <= self._limits.max_bulk_bytes:
            raise ProtocolError("Protocol error: invalid bulk length")
        if length > UNAUTHENTICATED_BULK_MAX_BYTES and not self._limits.authenticated:
            raise ProtocolError("Protocol error: unauthenticated bulk length")
        self._bulk = length
        return True


_ESCAPES: Final = {ord("n"): 10, ord("r"): 13, ord("t"): 9, ord("b"): 8, ord("a"): 7}
_BLANKS: Final = frozenset(b" \n\r\t\v\f")
_WORD_ENDS: Final = frozenset(b" \n\r\t")


def split_words(line: bytes) -> list[bytes]:
    """Split an inline command into words (`sdssplitargs`).

    Raises:
        ProtocolError: quotes are not balanced.
    """
    words: list[bytes] = []
    line = line.partition(b"\0")[0]  # a C string
    i = 0
    while True:
        while i < len(line) and line[i] in _BLANKS:
            i += 1
        if i >= len(line):
            return words
        word = bytearray()
        while i < len(line) and line[i] not in _WORD_ENDS:
            c = line[i]
            if c == 34:
                i = _double_quoted(line, i + 1, word)
                break
            if c == 39:
                i = _single_quoted(line, i + 1, word)
                break
            word.append(c)
            i += 1
        words.append(bytes(word))


def _double_quoted(line: bytes, i: int, word: bytearray) -> int:
    while i < len(line):
        c = line[i]
        if c == 92 and line[i + 1 : i + 2] == b"x" and _is_hex(line[i + 2 : i + 4]):
            word.append(int(line[i + 2 : i + 4], 16))
            i += 4
        elif c == 92 and i + 1 < len(line):
            word.append(_ESCAPES.get(line[i + 1], line[i + 1]))
            i += 2
        elif c == 34:
            return _closed(line, i)
        else:
            word.append(c)
            i += 1
    raise ProtocolError("Protocol error: unbalanced quotes in request")


def _single_quoted(line: bytes, i: int, word: bytearray) -> int:
    while i < len(line):
        if line[i : i + 2] == b"\\'":
            word.append(39)
            i += 2
        elif line[i] == 39:
            return _closed(line, i)
        else:
            word.append(line[i])
            i += 1
    raise ProtocolError("Protocol error: unbalanced quotes in request")


def _closed(line: bytes, i: int) -> int:
    """The position after a closing quote, which a blank or the end must follow."""
    if i + 1 < len(line) and line[i + 1] not in _BLANKS:
        raise ProtocolError("Protocol error: unbalanced quotes in request")
    return i + 1


def _is_hex(text: bytes) -> bool:
    return len(text) == 2 and all(c in b"0123456789abcdefABCDEF" for c in text)
