"""Malformed, oversized, hostile bytes from clients: txrepl answers what Redis 7.0 answers, and closes where that does.

Each case goes to both servers over fresh connections. What ends a case is an answer (ECHO's, after what is tested) or
the end of the connection, so that "stays open" and "is closed" are both seen and never guessed from silence.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.interop.servers import RawClient, RealServer, encode, redis70, txrepl, wait_until

END = encode("ECHO", "the end")
END_REPLY = b"$7\r\nthe end\r\n"
MEGABYTE = 1024 * 1024

LIMITS: dict[str, str | int] = {"proto_max_bulk_len": "4mb", "client_query_buffer_limit": "1mb", "loglevel": "verbose"}

Pair = tuple[RealServer, RealServer]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Redis 7.0 and txrepl with the same directives; in the end neither has lost a client to an accident."""
    with redis70(**LIMITS) as real, txrepl(**LIMITS) as subject:
        yield real, subject
        assert_no_accident(subject)


@pytest.fixture(scope="module")
def locked_pair() -> Iterator[Pair]:
    """The same with a password, which the clients do not know."""
    with redis70(requirepass="secret") as real, txrepl(requirepass="secret") as subject:
        yield real, subject
        assert_no_accident(subject)


def assert_no_accident(server: RealServer) -> None:
    """No traceback, no error that nobody expected."""
    text = server.log_text()
    for sign in ("Traceback", "Unexpected error", "Internal error", '  File "'):
        assert sign not in text, text[-3000:]


def told(server: RealServer, data: bytes, end: bytes = END_REPLY, *, split: bool = False) -> tuple[bytes, bool]:
    """Send the bytes; everything up to `end`, and whether the connection was closed before it."""
    with RawClient(server.port, 20) as client:
        try:
            for at in range(len(data)) if split else (0,):
                client.send(data[at : at + 1] if split else data)
        except OSError:
            pass  # closed while we were sending
        seen = bytearray()
        try:
            while not seen.endswith(end):
                piece = client.socket.recv(65536)
                if not piece:
                    return bytes(seen), True
                seen += piece
        except ConnectionError:
            return bytes(seen), True
        return bytes(seen), False


def assert_alike(pair: Pair, data: bytes, end: bytes = END_REPLY) -> tuple[bytes, bool]:
    """Both servers give the same bytes and close alike; short data is tried byte by byte too. What they gave."""
    real, subject = pair
    expected = told(real, data, end)
    assert told(subject, data, end) == expected
    if len(data) < 400:
        assert told(subject, data, end, split=True) == expected
    return expected


SURVIVED = {
    "*-1": b"*-1\r\n",
    "*0": b"*0\r\n",
    "a very negative count": b"*-99999999999999\r\n",
    "an empty bulk for a name": b"*1\r\n$0\r\n\r\n",
    "other bytes for the CRLF of a bulk": b"*1\r\n$4\r\nPINGxx",
    "other bytes for LF": b"*1\rx$4\rxPING\rx",
    "inline with LF alone": b"PING\n",
    "inline with blanks": b"   PING  \r\n",
    "inline with a tab": b"PING\tx\r\n",
    "empty lines": b"\r\n\n\r\n",
    "escapes": b'ECHO "\\x41\\n\\"\\q"\r\n',
    "bytes over 127": bytes(range(128, 256)) + b"\r\n",
    "control characters": bytes(range(1, 10)) + b"\r\n",
    "a reply for a request": b"+OK\r\n:1\r\n",
    "RESP3 for a request": b"%1\r\n$1\r\na\r\n",
    "a bulk for a request": b"$4\r\nPING\r\n",
    "CRLF in a name": encode("a\r\nb"),
    "NUL in a bulk": encode("ECHO", b"\0\r\0"),
    "NUL in a name": encode(b"PI\0NG", b"a\0b"),
    "long words": encode("x" * 300, "y" * 300, "z"),
    "bytes of any kind": encode(b"\xff\xfe\0\r\n", b"\x01\n"),
    "an unknown subcommand": encode("CONFIG", b"\xff\0", "x"),
    "garbage after good commands": encode("SET", "a", "1") * 3 + b"garbage here\r\n",
    "the longest bulk": encode("ECHO", b"e" * 300_000),
}

REFUSED = {
    "a count beyond an int": b"*3000000000\r\n",
    "a count beyond 64 bits": b"*99999999999999999999999\r\n",
    "a count that is no number": b"*abc\r\n",
    "no count": b"*\r\n",
    "a blank in a count": b"* 1\r\n$4\r\nPING\r\n",
    "a count with a zero before it": b"*01\r\n$4\r\nPING\r\n",
    "a count with a plus": b"*+1\r\n$4\r\nPING\r\n",
    "two stars": b"**\r\n",
    "$-1": b"*1\r\n$-1\r\n",
    "$abc": b"*1\r\n$abc\r\n",
    "no length": b"*1\r\n$\r\n",
    "a length with a zero before it": b"*1\r\n$04\r\nPING\r\n",
    "a bulk over proto-max-bulk-len": b"*1\r\n$4194305\r\n",
    ":5 for a bulk": b"*1\r\n:5\r\n",
    "CR for a bulk": b"*1\r\n\r\nPING\r\n",
    "LF for a bulk": b"*1\r\n\n\r\n",
    "a byte over 127 for a bulk": b"*1\r\n\xff\r\n",
    "CR alone": b"*1\r$4\rPING\r",
    "nested arrays": b"*2\r\n*1\r\n$4\r\nPING\r\n$1\r\na\r\n",
    "a null array in an array": b"*1\r\n*-1\r\n",
    "an open double quote": b'SET k "abc\r\n',
    "an open single quote": b"SET k 'abc\r\n",
    "more after a closing quote": b'SET k "abc"d\r\n',
    "garbage after good commands": encode("SET", "a", "1") + encode("INCR", "a") + b"*1\r\n$x\r\n",
    "QUIT": encode("QUIT"),
    "inline QUIT": b"quit\r\n",
    "HTTP's POST": b"POST / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("data", SURVIVED.values(), ids=SURVIVED.keys())
def test_what_redis_survives_txrepl_survives_with_the_same_answer(pair: Pair, data: bytes) -> None:
    """The next command is answered over the same connection."""
    assert assert_alike(pair, data + END)[1] is False


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_redis_refuses_txrepl_refuses_in_the_same_words_and_closes(pair: Pair, data: bytes) -> None:
    """Nothing that follows is run."""
    assert assert_alike(pair, data + END)[1] is True


def test_a_browsers_request_is_closed_without_an_answer_and_said_in_the_log(pair: Pair) -> None:
    """Not even what came before its Host line is answered: a web page is not to use us through its reader."""
    data = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + encode("SET", "a", "stolen") + END
    for server in pair:
        server.command("DEL", "a")
        assert told(server, data) == (b"", True)
        assert "Possible SECURITY ATTACK detected" in server.log_text()
        assert server.command("GET", "a") is None


INCOMPLETE = {
    "LF alone is no end of a header": (b"*1\n$4\nPING\n", b"\r\n"),
    "NUL hides the end of an inline command": (b"PING\0 x\r\n", b"x" * 70_000),
    "NUL hides the end of a bulk's header": (b"*1\r\n\0\r\n", b"x" * 70_000),
    "a count of a thousand million": (b"*1000000000\r\n", b"$x\r\n"),
}


@pytest.mark.parametrize(("start", "rest"), INCOMPLETE.values(), ids=INCOMPLETE.keys())
def test_what_redis_waits_for_txrepl_waits_for(pair: Pair, start: bytes, rest: bytes) -> None:
    """Nothing is answered, as later bytes show that go the same way in both."""
    seen, closed = assert_alike(pair, start + rest)
    assert closed
    assert seen.count(b"\r\n") <= 1


TOO_BIG = {
    "inline": (b"x" * 65536, b"x"),
    "count": (b"*" + b"1" * 65535, b"1"),
    "bulk length": (b"*1\r\n$" + b"1" * 65535, b"1"),
}


@pytest.mark.parametrize(("most", "more"), TOO_BIG.values(), ids=TOO_BIG.keys())
def test_a_line_of_64_kilobytes_without_end_is_refused_at_the_same_byte(pair: Pair, most: bytes, more: bytes) -> None:
    """One byte less is still waited for: the line then ends, and is answered for what it is."""
    seen, closed = assert_alike(pair, most + more)
    assert closed and seen.startswith(b"-ERR Protocol error: too big ")
    assert assert_alike(pair, most[:-1] + b"\r\n" + END)[0] != seen


def test_a_query_buffer_beyond_its_limit_closes_the_connection_without_a_word(pair: Pair) -> None:
    """`client-query-buffer-limit`, and a line in the log."""
    data = b"*2\r\n$4\r\nECHO\r\n$3000000\r\n" + b"a" * 2 * MEGABYTE
    assert assert_alike(pair, data) == (b"", True)
    for server in pair:
        assert "Closing client that reached max query buffer length" in server.log_text()
    assert pair[1].command("PING") == "PONG"


UNAUTHENTICATED = {
    "eleven arguments": b"*11\r\n",
    "a bulk over 16 kilobytes": b"*2\r\n$4\r\nAUTH\r\n$16385\r\n",
    "garbage": b"*1\r\n:1\r\n",
    "eleven arguments after a refused command": encode("SET", "a", "1") + b"*11\r\n",
}
LOCKED = {
    "a command": encode("GET", "a"),
    "ten arguments": encode("MSET", *"abcdefghi"),
    "a bulk of 16 kilobytes": encode("AUTH", "x" * 16384),
    "a wrong password": encode("AUTH", "wrong"),
    "a wrong user": encode("AUTH", "nobody", "secret"),
    "an unknown command": encode("NOSUCH"),
    "PSYNC": encode("PSYNC", "?", "-1"),
    "REPLCONF": encode("REPLCONF", "listening-port", "1"),
    "SUBSCRIBE": encode("SUBSCRIBE", "c"),
    "MULTI": encode("MULTI"),
}


@pytest.mark.parametrize("data", UNAUTHENTICATED.values(), ids=UNAUTHENTICATED.keys())
def test_who_has_not_given_the_password_may_send_little(locked_pair: Pair, data: bytes) -> None:
    """Counts and lengths are bounded much lower, before anything is kept of them."""
    seen, closed = assert_alike(locked_pair, data)
    assert closed and b"-ERR Protocol error: " in seen


@pytest.mark.parametrize("data", LOCKED.values(), ids=LOCKED.keys())
def test_who_has_not_given_the_password_may_do_little(locked_pair: Pair, data: bytes) -> None:
    """Every command is refused, and the connection stays for AUTH."""
    end = encode("AUTH", "secret") + END
    seen, closed = assert_alike(locked_pair, data + end)
    assert not closed
    assert seen.startswith(b"-") and seen.endswith(b"+OK\r\n" + END_REPLY)


WRONG = [
    "GET", "GET a b", "SET", "SET k", "SET k v EX", "SET k v EX 0", "SET k v EX abc", "SET k v PX -1", "SET k v NX XX",
    "SET k v EX 9223372036854775807", "INCRBY k 1.5", "INCRBY k 9223372036854775808", "INCRBYFLOAT k abc", "EXPIRE k",
    "EXPIRE k x", "EXPIRE k 9223372036854775807", "EXPIRE k 1 NX XX", "SETRANGE k -1 x", "SETRANGE k 999999999999 x",
    "GETRANGE k a b", "LPUSH k", "LRANGE l 0", "LRANGE l 0 x", "LSET l x y", "LINDEX l 1.0", "LINSERT l MIDDLE a b",
    "LPOP l -1", "LPOP l 1 2", "RPOPLPUSH a", "LMPOP 0 l LEFT", "HSET h f", "HINCRBY h f x", "HRANDMEMBER h x",
    "SADD s", "SPOP s -1", "SRANDMEMBER s x", "SINTERCARD 0 s", "SINTERCARD x s", "ZADD z", "ZADD z x m",
    "ZADD z NX XX 1 m", "ZADD z nan m", "ZRANGE z 0", "ZRANGE z a b", "ZRANGEBYSCORE z ( 1", "ZRANGEBYLEX z a b",
    "ZUNIONSTORE d 0 z", "ZPOPMIN z -1", "SETBIT k -1 1", "SETBIT k 4294967296 1", "SETBIT k 1 2",
    "SELECT", "SELECT x", "SELECT 16", "SELECT -1", "SWAPDB 0 99", "MOVE k 99", "COPY k", "RENAME nosuch x", "SCAN x",
    "SCAN 0 COUNT 0", "SCAN 0 FOO 1", "DUMP", "RESTORE k x y", "RESTORE k -1 y", "OBJECT FOO k", "WAIT x 0", "WAIT 0 x",
    "CLIENT FOO", "CLIENT KILL", "CLIENT SETNAME", "CONFIG", "CONFIG GET", "CONFIG SET x", "CONFIG SET maxmemory abc",
    "CONFIG SET nosuch 1", "DEBUG", "EXEC", "DISCARD", "HELLO 9", "HELLO x", "SUBSCRIBE", "REPLICAOF a",
    "REPLICAOF a b",    "REPLICAOF a 99999", "PSYNC", "PSYNC ?", "SYNC x", "REPLCONF x", "AUTH", "AUTH x",
    "FAILOVER TO", "FAILOVER FOO",
]  # fmt: skip


def test_wrong_arity_and_bad_numbers_get_the_same_error(pair: Pair) -> None:
    """A sample over all families, on keys that are not there."""
    real, subject = pair
    for server in pair:
        server.command("FLUSHALL")
    with real.connect() as expected, subject.connect() as got:
        different = {
            line: (wanted, seen)
            for line in WRONG
            if (seen := got.raw_command(*line.split())) != (wanted := expected.raw_command(*line.split()))
        }
    assert not different


def test_clients_that_come_and_go_in_the_middle_of_a_request_leave_nothing_behind(pair: Pair) -> None:
    """Half a request, then a reset or an end; the server counts its clients right and answers the others."""
    subject = pair[1]
    before = int(subject.info("clients")["connected_clients"])
    for data in (b"*2\r\n$3\r\nGE", b"PIN", b"*1000000\r\n", b"*1\r\n$1000000\r\nabc", b""):
        for how in (socket.SHUT_WR, socket.SHUT_RDWR):
            with RawClient(subject.port) as client:
                client.send(data)
                client.socket.shutdown(how)
    wait_until(lambda: int(subject.info("clients")["connected_clients"]) <= max(before, 1), 5, "they are gone")


def test_a_client_that_never_reads_is_dropped_and_costs_bounded_memory(pair: Pair) -> None:
    """With a limit on its output buffer; the log names it."""
    subject = pair[1]
    subject.command("CONFIG", "SET", "client-output-buffer-limit", "normal 4mb 0 0")
    subject.command("SET", "large", b"v" * MEGABYTE)
    with RawClient(subject.port, 5) as client:
        try:
            for _ in range(200):
                client.send(encode("GET", "large"))
                assert subject.command("PING") == "PONG"
        except OSError:
            pass  # dropped
        wait_until(
            lambda: "scheduled to be closed ASAP for overcoming of output buffer limits" in subject.log_text(),
            5,
            "it is dropped",
        )
    assert int(subject.info("stats")["client_output_buffer_limit_disconnections"]) == 1
