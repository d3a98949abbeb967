"""The site on the wire: bounds on bodies, odd request lines and headers, slow clients. Bytes in, bytes out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.admin.support import Bench
from txrepl.admin import site
from txrepl.admin.bodies import BODY_MAX_BYTES
from txrepl.admin.site import DRAINED_MAX_BYTES, IDLE_MAX_S, RECEIVE_MAX_S

BODY = b'{"host": "10.0.0.9", "port": 6379}'


class Wire:
    """One connection to a bench's site."""

    def __init__(self, bench: Bench) -> None:
        self.transport = StringTransport(
            hostAddress=IPv4Address("TCP", "192.0.2.1", 8379), peerAddress=IPv4Address("TCP", "192.0.2.7", 40000)
        )
        self.transport.abortConnection = self.transport.loseConnection
        channel = bench.site.buildProtocol(self.transport.getPeer())
        assert channel is not None
        self.channel = channel
        channel.makeConnection(self.transport)

    def send(self, data: bytes) -> bytes:
        """Everything that was answered so far."""
        self.channel.dataReceived(data)
        return self.transport.value()

    @property
    def closed(self) -> bool:
        return self.transport.disconnecting


def request(*headers: bytes, line: bytes = b"POST /v1/replicaof HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join([line, *headers, b"", body])


def post(body: bytes, *headers: bytes) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return request(b"Host: localhost", b"Content-Type: application/json", length, *headers, body=body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def test_a_body_of_the_greatest_size_is_read() -> None:
    """The bound itself is allowed."""
    bench = Bench()
    assert status(Wire(bench).send(post(BODY.ljust(BODY_MAX_BYTES)))) == 202
    assert bench.node.link.host == "10.0.0.9"


@pytest.mark.parametrize("size", [BODY_MAX_BYTES + 1, DRAINED_MAX_BYTES])
def test_a_body_over_the_bound_is_refused_and_the_connection_goes_on(size: int) -> None:
    """413; nothing is done; the next request on the connection is answered."""
    bench = Bench()
    wire = Wire(bench)
    answer = wire.send(post(BODY.ljust(size)))
    assert status(answer) == 413
    assert b"problem+json" in answer
    assert bench.node.link.host == ""
    assert not wire.closed
    wire.transport.clear()
    assert status(wire.send(post(BODY))) == 202


def test_a_huge_announced_body_is_cut_off_before_it_comes() -> None:
    """The answer is there when the headers are; what comes after it is dropped."""
    bench = Bench()
    wire = Wire(bench)
    headers = (b"Host: localhost", b"Content-Type: application/json", b"Content-Length: 99999999999")
    answer = wire.send(request(*headers, b"Expect: 100-continue"))
    assert status(answer) == 413
    assert wire.closed
    head, _, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["status"] == 413
    assert b"Content-Length: %d" % len(body) in head
    assert wire.send(BODY * 1000) == answer


def test_an_endless_chunked_body_is_cut_off() -> None:
    """Memory stays bounded while it comes; once is answered, and no more."""
    bench = Bench()
    wire = Wire(bench)
    wire.send(request(b"Host: localhost", b"Content-Type: application/json", b"Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(DRAINED_MAX_BYTES // 65536 + 3):
        assert wire.channel._channel.requests[0]._kept.tell() <= BODY_MAX_BYTES
        answer = wire.send(chunk)
    assert wire.closed
    assert answer.count(b"HTTP/1.1 413") == 1
    assert wire.send(b"0\r\n\r\n") == answer
    assert bench.node.link.host == ""


def test_a_chunked_body_within_the_bound_is_read() -> None:
    """A client need not know the length beforehand."""
    bench = Bench()
    wire = Wire(bench)
    wire.send(request(b"Host: localhost", b"Content-Type: application/json", b"Transfer-Encoding: chunked"))
    assert status(wire.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY))) == 202


def test_a_slow_body_ends_after_a_minute_of_silence() -> None:
    """A half-sent request does not hold a connection for ever."""
    bench = Bench()
    wire = Wire(bench)
    wire.send(post(BODY)[:-5])
    bench.clock.advance(IDLE_MAX_S - 1)
    assert not wire.closed
    bench.clock.advance(2)
    assert wire.closed
    assert bench.node.link.host == ""


def test_a_request_that_trickles_in_ends_too() -> None:
    """A byte now and then keeps no connection beyond two minutes; one that is complete may take as long as it likes."""
    bench = Bench()
    trickling, waiting = Wire(bench), Wire(bench)
    waiting.send(request(b"Host: localhost", line=b"GET /v1/events HTTP/1.1"))
    trickling.send(post(BODY)[:-30])
    for _ in range(RECEIVE_MAX_S // 10 - 1):
        bench.clock.advance(10)
        trickling.send(b" ")
    assert not trickling.closed
    bench.clock.advance(10)
    assert trickling.closed and not waiting.closed
    assert bench.node.link.host == ""


def test_connections_are_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed at once; one that leaves, in whatever state, makes room."""
    monkeypatch.setattr(site, "CONNECTIONS_MAX", 2)
    bench = Bench()
    first, second = Wire(bench), Wire(bench)
    first.send(post(BODY)[:-5])
    assert bench.site.buildProtocol(first.transport.getPeer()) is None
    first.channel.connectionLost(Failure(ConnectionDone()))
    second.channel.connectionLost(Failure(ConnectionDone()))
    assert bench.site.connections == 0
    assert status(Wire(bench).send(post(BODY))) == 202
    assert not [call for call in bench.clock.getDelayedCalls() if call.getTime() > bench.clock.seconds() + IDLE_MAX_S]


def test_the_connections_own_address_is_a_host_that_is_ours() -> None:
    """Bound to every interface, the address that a client came in by is ours; others are not."""
    for host, expected in ((b"192.0.2.1:8379", 202), (b"192.0.2.2:8379", 403)):
        bench = Bench(token="t", bound_host="0.0.0.0")
        answer = Wire(bench).send(post(BODY, b"Authorization: Bearer t").replace(b"localhost", host))
        assert status(answer) == expected


@pytest.mark.parametrize("hosts", [(), (b"Host: localhost", b"Host: evil.example"), (b"Host:",)])
def test_exactly_one_host_is_needed(hosts: tuple[bytes, ...]) -> None:
    """None, two, an empty one: malformed."""
    answer = Wire(Bench()).send(request(*hosts, line=b"GET /v1/replication HTTP/1.1"))
    assert status(answer) == 400


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"GET /%ff HTTP/1.1", 400),
        (b"GET //v1//replication HTTP/1.1", 404),
        (b"GET /v1/replication/ HTTP/1.1", 404),
        (b"GET /v1/../healthz HTTP/1.1", 404),
        (b"GET /v1/replicas/%2e%2e HTTP/1.1", 405),
        (b"DELETE /v1/replicas/%00 HTTP/1.1", 404),
        (b"DELETE /v1/replicas/99999999999999999999999 HTTP/1.1", 404),
        (b"DELETE /v1/replicas/-1 HTTP/1.1", 404),
        (b"DELETE /v1/replicas/%d9%a1 HTTP/1.1", 404),
        (b"GET http://[/ HTTP/1.1", 404),
        (b"GET /v1/replication?%ff=1 HTTP/1.1", 400),
        (b"GET /v1/replication?x HTTP/1.1", 400),
        (b"get /v1/replication HTTP/1.1", 400),
        (b"G\x00T / HTTP/1.1", 400),
        (b"BREW / HTTP/1.1", 405),
        (b"GET / HTTP/9.9", 400),
        (b"nonsense", 400),
    ],
)
def test_odd_request_lines_are_refused(line: bytes, expected: int) -> None:
    """Paths, queries and methods that are none, or none of ours; never a 500."""
    answer = Wire(Bench()).send(request(b"Host: localhost", line=line))
    assert status(answer) == expected


def test_a_flood_of_headers_is_cut_off() -> None:
    """Bounded memory before any request is even complete."""
    wire = Wire(Bench())
    answer = wire.send(request(*[b"X-%d: y" % number for number in range(5000)], line=b"GET / HTTP/1.1"))
    assert status(answer) == 400
    assert wire.closed


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"GET /", b"POST /v1/replicaof HTTP/1.1\r\nHost: localhost\r\n"]))
def test_any_bytes_leave_the_node_unharmed(noise: bytes, start: bytes) -> None:
    """Whatever comes: an answer that is no 500, a close, or waiting for more."""
    bench = Bench()
    answer = Wire(bench).send(start + noise + b"\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 5")
    assert b"Traceback" not in answer
    assert bench.node.link.host == ""


def test_requests_in_a_row_are_answered_in_order() -> None:
    """A connection is kept, and requests may be sent without waiting."""
    wire = Wire(Bench())
    get = request(b"Host: localhost", line=b"GET /healthz HTTP/1.1")
    assert wire.send(get + get.replace(b"healthz", b"readyz") + get).count(b"HTTP/1.1 200 OK") == 3
    assert wire.transport.value().index(b'"alive"') < wire.transport.value().index(b'"ready"')
