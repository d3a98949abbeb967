"""Requests are read alike however their bytes come, and refused in Redis's words (seen on live 7.0.15 and Valkey 9)."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import byte_by_byte, cut, cuts, every_split
from txrepl.resp.replies import encode_error
from txrepl.resp.requests import (
    ARGUMENTS_MAX,
    INLINE_MAX_BYTES,
    OddRequest,
    RequestParser,
    encode_command,
    request_size,
    split_words,
)

Fed = tuple[list[list[bytes]], str | None]


def feed(pieces: list[bytes], parser: RequestParser | None = None) -> Fed:
    """What comes out of a parser that gets these pieces, and its error."""
    parser = parser or RequestParser()
    found: list[list[bytes]] = []
    for piece in pieces:
        found += parser.feed(piece)
    return found, parser.error


def unauthenticated() -> RequestParser:
    """A parser before AUTH."""
    parser = RequestParser()
    parser.authenticated = False
    return parser


SET = encode_command([b"SET", b"k", b"v"])
PING = encode_command([b"PING"])

WORKING = [
    (b"*1\r\n$4\r\nPING\r\n", [[b"PING"]]),
    (SET + PING, [[b"SET", b"k", b"v"], [b"PING"]]),
    (encode_command([b"ECHO", b""]), [[b"ECHO", b""]]),
    (encode_command([b"ECHO", b"\r\n*1\r\n$4\r\nPING\r\n"]), [[b"ECHO", b"\r\n*1\r\n$4\r\nPING\r\n"]]),
    (encode_command([b"ECHO", b"\n~2\n=\n>\n%1\n|"]), [[b"ECHO", b"\n~2\n=\n>\n%1\n|"]]),
    (encode_command([b"ECHO", b"*99999"]) + PING, [[b"ECHO", b"*99999"], [b"PING"]]),
    (b"PING\r\n", [[b"PING"]]),
    (b"PING\n", [[b"PING"]]),
    (b"  SET \t a  b \r\n", [[b"SET", b"a", b"b"]]),
    (b'ECHO "\\x41\\n\\r\\t\\b\\a\\q\\\\\\""\r\n', [[b"ECHO", b'A\n\r\t\b\aq\\"']]),
    (b"ECHO 'it\\'s \\n'\r\n", [[b"ECHO", b"it's \\n"]]),
    (b"ECHO \"\" ''\r\n", [[b"ECHO", b"", b""]]),
    (b'ECHO a"b c"\r\n', [[b"ECHO", b"ab c"]]),
    (b'ECHO "\\xZZ"\r\n', [[b"ECHO", b"xZZ"]]),
    (b"ECHO a\x0bb\r\n", [[b"ECHO", b"a\x0bb"]]),
    (b"\r\n\r\nPING\r\n", [[], [], [b"PING"]]),
    (b"*0\r\nPING\r\n", [[], [b"PING"]]),
    (b"*-5\r\n" + PING, [[], [b"PING"]]),
    (b"PING\r\n" + SET + b"PING\r\n" + SET, [[b"PING"], [b"SET", b"k", b"v"]] * 2),
    (b"*1\r\n$4\r\nPINGxx" + PING, [[b"PING"], [b"PING"]]),
    (b"*1\rX$4\rXPING\r\n", [[b"PING"]]),
]


@pytest.mark.parametrize(("data", "expected"), WORKING)
def test_requests_are_the_same_in_every_split(data: bytes, expected: list[list[bytes]]) -> None:
    """Arrays, inline commands and empty requests, in two pieces cut anywhere and byte by byte."""
    for pieces in every_split(data):
        parser = RequestParser()
        found, error = feed(pieces, parser)
        assert (found, error) == (expected, None), pieces
        assert not parser.is_amiss and parser.pending_bytes == 0
        assert sum(map(request_size, found)) == len(data) or b"xx" in data or b"\rX" in data


MALFORMED = [
    (b"*abc\r\n", "Protocol error: invalid multibulk length"),
    (b"*+1\r\n", "Protocol error: invalid multibulk length"),
    (b"*2147483648\r\n", "Protocol error: invalid multibulk length"),
    (b"*99999999999999999999\r\n", "Protocol error: invalid multibulk length"),
    (b"*\r\n", "Protocol error: invalid multibulk length"),
    (b"*1\r\n:3\r\n", "Protocol error: expected '$', got ':'"),
    (b"*1\r\n*1\r\n$4\r\nPING\r\n", "Protocol error: expected '$', got '*'"),
    (b"*2\r\n$3\r\nGET\r\n+OK\r\n", "Protocol error: expected '$', got '+'"),
    (b"*1\r\n~0\r\n", "Protocol error: expected '$', got '~'"),
    (b"*1\r\n%0\r\n", "Protocol error: expected '$', got '%'"),
    (b"*1\r\n_\r\n", "Protocol error: expected '$', got '_'"),
    (b"*1\r\n=8\r\ntxt:PING\r\n", "Protocol error: expected '$', got '='"),
    (b"*1\r\n*1\r\n_\r\n", "Protocol error: expected '$', got '*'"),
    (b"*1\r\n+PING\r\n*1\r", "Protocol error: expected '$', got '+'"),
    (b"*1\r\n+PING\r\n*\r\n", "Protocol error: expected '$', got '+'"),
    (b"*1\r\n+0123456789\r\n*1\r\n", "Protocol error: expected '$', got '+'"),
    (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$01\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
    (b"*1\r\n$536870913\r\n", "Protocol error: invalid bulk length"),
    (b'PING "a\r\n', "Protocol error: unbalanced quotes in request"),
    (b"PING 'a\r\n", "Protocol error: unbalanced quotes in request"),
    (b"SET a 'b'c\r\n", "Protocol error: unbalanced quotes in request"),
    (b'SET a "b"c\r\n', "Protocol error: unbalanced quotes in request"),
    (b'SET a "b\\\r\n', "Protocol error: unbalanced quotes in request"),
]


@pytest.mark.parametrize(("data", "error"), MALFORMED)
def test_malformed_requests_are_refused_in_rediss_words_in_every_split(data: bytes, error: str) -> None:
    """The requests before the malformed one are still served, nothing after it is."""
    for before, found in ((b"", []), (SET, [[b"SET", b"k", b"v"]])):
        for pieces in (*every_split(before + data), *every_split(before + data + PING)):
            assert feed(pieces) == (found, error), pieces
    for pieces in every_split(data):
        parser = RequestParser()
        feed(pieces, parser)
        assert parser.is_amiss
        assert parser.feed(PING) == [] and parser.error == error


@pytest.mark.parametrize("first", [b"\r", b"\n", b"\xff"])
def test_any_byte_in_place_of_a_dollar_makes_an_error_of_one_line(first: bytes) -> None:
    """A line end becomes a blank and an odd byte stays itself, as in Redis."""
    _, error = feed([b"*1\r\n" + first + b"3\r\n"])
    assert error is not None
    shown = first if first == b"\xff" else b" "
    sent = encode_error(f"ERR {error}".encode("utf-8", "surrogateescape"))
    assert sent == b"-ERR Protocol error: expected '$', got '" + shown + b"'\r\n"


@pytest.mark.parametrize(
    ("begin", "error"),
    [
        (b"P", "Protocol error: too big inline request"),
        (b"*", "Protocol error: too big mbulk count string"),
        (b"*1\r\n$", "Protocol error: too big bulk count string"),
    ],
)
def test_a_line_without_end_is_refused_after_64_kb(begin: bytes, error: str) -> None:
    """64 kB of it may still be the beginning of something."""
    line = begin[-1:] + b"1" * (INLINE_MAX_BYTES - 1)
    parser = RequestParser()
    assert feed([begin[:-1] + line], parser) == ([], None)
    assert parser.pending_bytes == len(begin) - 1 + INLINE_MAX_BYTES
    assert feed([b"1"], parser) == ([], error)


def test_an_argument_may_be_as_long_as_proto_max_bulk_len_and_no_longer() -> None:
    """The limit counts the argument's bytes, and what is changed at run time holds for the next request."""
    for way in (lambda data: [data], byte_by_byte):
        assert feed(way(encode_command([b"x" * 100])), RequestParser(100)) == ([[b"x" * 100]], None)
        assert feed(way(encode_command([b"x" * 101])), RequestParser(100)) == (
            [],
            "Protocol error: invalid bulk length",
        )
    parser = RequestParser(3)
    parser.max_bulk_bytes = 5
    assert feed([encode_command([b"12345"])], parser) == ([[b"12345"]], None)


def test_a_request_may_have_as_many_arguments_as_redis_7_allows() -> None:
    """One million and more; 2^31 are refused at the header, before anything comes."""
    assert feed([b"*1048577\r\n"])[1] is None
    assert feed([b"*%d\r\n" % ARGUMENTS_MAX])[1] is None
    assert feed([b"*%d\r\n" % (ARGUMENTS_MAX + 1)])[1] == "Protocol error: invalid multibulk length"


@pytest.mark.parametrize(
    "data",
    [
        b"*2000000000\r\n",
        PING + b"*2000000000\r\n",
        b"*1\r\n*4000000000\r\n",
        b"*3\r\n" + b"*100000000\r\n" * 3,
        b"*4294967295\r\n",
        b"PING\r\n*4294967295\r\n",
        PING[:5] + b"*4294967295\r\n",
    ],
)
def test_announcing_many_arguments_takes_neither_memory_nor_time(data: bytes) -> None:
    """A few bytes must not make the server reserve gigabytes."""
    started = time.process_time()
    for pieces in every_split(data):
        feed(pieces)
    assert time.process_time() - started < 1


@pytest.mark.parametrize("count", [9_999, 10_000, 100_001])
def test_requests_of_many_arguments_are_read_whole(count: int) -> None:
    """On both sides of the number from which the fast reader is not asked."""
    words = [b"RPUSH", *(b"%d" % n for n in range(count - 1))]
    found, error = feed(cut(encode_command(words) + PING, range(0, 2_000_000, 65536)))
    assert error is None
    assert found == [words, [b"PING"]]


@pytest.mark.parametrize(
    ("data", "found", "error"),
    [
        (encode_command([b"x"] * 10), [[b"x"] * 10], None),
        (encode_command([b"x"] * 11), [], "Protocol error: unauthenticated multibulk length"),
        (encode_command([b"x" * 16384]), [[b"x" * 16384]], None),
        (encode_command([b"x" * 16385]), [], "Protocol error: unauthenticated bulk length"),
    ],
)
def test_a_client_before_auth_may_send_little(data: bytes, found: list[list[bytes]], error: str | None) -> None:
    """Ten arguments of 16 kB, as in Redis."""
    assert feed([data], unauthenticated()) == (found, error)
    assert feed(cut(data, range(0, len(data), 7)), unauthenticated()) == (found, error)


def test_the_limits_of_a_client_before_auth_end_with_auth() -> None:
    """Requests that come later may be large."""
    parser = unauthenticated()
    assert parser.feed(encode_command([b"AUTH", b"secret"])) == [[b"AUTH", b"secret"]]
    parser.authenticated = True
    assert parser.feed(encode_command([b"x"] * 11)) == [[b"x"] * 11]


def test_an_incomplete_request_is_pending_to_the_byte() -> None:
    """The bytes of complete requests before it do not count; completing it clears them."""
    parser = RequestParser()
    assert not parser.is_amiss
    assert parser.feed(PING + SET[:-3]) == [[b"PING"]]
    assert parser.is_amiss and parser.error is None
    assert parser.pending_bytes == len(SET) - 3
    assert parser.feed(SET[-3:-1]) == []
    assert parser.pending_bytes == len(SET) - 1
    assert parser.feed(SET[-1:]) == [[b"SET", b"k", b"v"]]
    assert not parser.is_amiss and parser.pending_bytes == 0


def test_bytes_that_break_the_protocol_stay_pending() -> None:
    """What came before them was taken: whoever counts bytes knows where the stream broke."""
    for pieces in every_split(SET + b"*x\r\n"):
        parser = RequestParser()
        feed(pieces, parser)
        assert parser.error and parser.pending_bytes == 4


def test_the_memory_of_requests_read_piecewise_is_given_back() -> None:
    """A connection that always splits its requests does not keep what was served."""
    parser = RequestParser()
    request = encode_command([b"SET", b"k", b"x" * 1000])
    data = request * 50
    for start in range(0, len(data), 700):
        parser.feed(data[start : start + 700])
        assert parser.pending_bytes < len(request)


def test_inline_words_split_as_rediss_do() -> None:
    """`sdssplitargs`, with what comes after a NUL byte left out."""
    assert split_words(b"") == []
    assert split_words(b" \t\r\n\v\f ") == []
    assert split_words(b"a\0b") == [b"a"]
    assert split_words(b"a'b'") == [b"ab"]


# -- any requests in any split --------------------------------------------------------------------------------------

words = st.one_of(st.binary(max_size=24), st.sampled_from([b"", b"\r\n", b"*1\r\n$1\r\na\r\n", b"\n~1", b"x" * 1500]))
commands = st.lists(words, min_size=1, max_size=6)


@settings(deadline=None)
@given(st.lists(commands, max_size=12), cuts())
def test_encoded_commands_come_back_from_any_split(sent: list[list[bytes]], places: list[int]) -> None:
    """And their sizes add up to the bytes received."""
    data = b"".join(map(encode_command, sent))
    found, error = feed(cut(data, places))
    assert (found, error) == (sent, None)
    assert [request_size(argv) for argv in found] == [len(encode_command(argv)) for argv in sent]


@settings(deadline=None)
@given(st.lists(commands, min_size=1, max_size=8), st.integers(150, 400), cuts(200_000))
def test_encoded_commands_come_back_from_large_reads(sent: list[list[bytes]], times: int, places: list[int]) -> None:
    """Reads that fill the buffer end within a request; none is lost, doubled or reordered."""
    data = b"".join(map(encode_command, sent)) * times
    found, error = feed(cut(data, [*places, *range(0, len(data), 65536)]))
    assert error is None
    assert found == sent * times


@pytest.mark.parametrize("tail", [b"*1\r", b"*\r\n", b"*1\r\n"])
def test_a_large_read_does_not_hide_a_simple_string_either(tail: bytes) -> None:
    """What a simple string lacks to the bulk string of the same length is not made up for by what follows it."""
    for word in (b"PING", b"0123456789"):
        data = PING * 2000 + b"*1\r\n+" + word + b"\r\n" + tail
        assert feed([data]) == ([[b"PING"]] * 2000, "Protocol error: expected '$', got '+'")
        assert feed([b"*", data[1:] + PING]) == ([[b"PING"]] * 2000, "Protocol error: expected '$', got '+'")


plain_word = st.text("abcXYZ09_:", min_size=1, max_size=8).map(str.encode)
odd = st.one_of(
    st.lists(plain_word, min_size=1, max_size=4).map(lambda parts: (b" ".join(parts) + b"\r\n", parts)),
    st.sampled_from([(b"\r\n", []), (b"\n", []), (b"*0\r\n", []), (b"*-1\r\n", [])]),
)
mixed = st.one_of(commands.map(lambda argv: (encode_command(argv), argv)), odd)


@settings(deadline=None)
@given(st.lists(mixed, max_size=12), cuts(), st.booleans())
def test_odd_and_canonical_requests_mix_in_any_split(
    sent: list[tuple[bytes, list[bytes]]], places: list[int], authenticated: bool
) -> None:
    """Each request's size is what it took, inline ones too, before AUTH and after."""
    parser = RequestParser()
    parser.authenticated = authenticated
    found, error = feed(cut(b"".join(raw for raw, _ in sent), places), parser)
    assert error is None
    assert found == [argv for _, argv in sent]
    assert [request_size(argv) for argv in found] == [len(raw) for raw, _ in sent]
    assert all(
        isinstance(argv, OddRequest) == (raw != encode_command(argv))
        for argv, (raw, _) in zip(found, sent, strict=True)
        if argv
    )


fragments = st.sampled_from(
    [b"*", b"$", b"1", b"2", b"3", b"-", b"\r\n", b"\n", b"\r", b"a", b" ", b"'", b'"', b"\\", b"~", b"%", b"=", b">",
     b"_", b"#t", b",", b"(", b"|", b"!", b":", b"+", b"*1\r\n", b"*2\r\n", b"$1\r\na\r\n", b"$0\r\n\r\n", b"\0"]
)  # fmt: skip


@settings(deadline=None)
@given(st.lists(fragments, max_size=40).map(b"".join), cuts(80))
@example(b"*1\r\n%1\r\n+a\r\n+b\r\n*1\r\n$1\r\na\r\n", [])
def test_whatever_comes_is_read_the_same_whole_and_byte_by_byte(data: bytes, places: list[int]) -> None:
    """Both readers agree on what is a request and on where and how the bytes break the protocol."""
    exact = unauthenticated()
    expected = feed(byte_by_byte(data), exact)
    for pieces in ([data], cut(data, places)):
        parser = RequestParser()
        assert feed(pieces, parser) == expected
        assert parser.error is not None or parser.pending_bytes == exact.pending_bytes
