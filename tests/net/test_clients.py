"""Client connections in memory: batches, blocking, limits, and the ways in which they end."""

from __future__ import annotations

import pytest

from tests.net.support import Bench, Transport
from txrepl.net.clients import DENIED, QUEUED_MAX, Client, printable
from txrepl.resp.requests import encode_command

PING = encode_command([b"PING"])
BLPOP = encode_command([b"BLPOP", b"list", b"0"])


@pytest.fixture
def bench() -> Bench:
    """A node without clients."""
    return Bench()


def lpush(bench: Bench) -> None:
    """Another client serves the one that waits."""
    bench.run(b"LPUSH", b"list", b"x")


POPPED = b"*2\r\n$4\r\nlist\r\n$1\r\nx\r\n"


def test_the_replies_of_a_batch_go_out_in_one_write(bench: Bench) -> None:
    """However many requests came in one read."""
    client, transport = bench.connect()
    client.dataReceived(PING * 3 + b"PING\r\n" + PING[:5])
    assert transport.writes == [b"+PONG\r\n" * 4]
    client.dataReceived(PING[5:])
    assert transport.writes == [b"+PONG\r\n" * 4, b"+PONG\r\n"]
    assert client.pending_input() == 0


def test_requests_behind_a_blocking_one_wait_for_it(bench: Bench) -> None:
    """Those in the same read and those that come later, in order."""
    client, transport = bench.connect()
    client.dataReceived(PING + BLPOP + encode_command([b"ECHO", b"1"]))
    client.dataReceived(encode_command([b"ECHO", b"2"]) + PING[:4])
    assert transport.take() == b"+PONG\r\n"
    lpush(bench)
    assert transport.take() == POPPED + b"$1\r\n1\r\n$1\r\n2\r\n"
    client.dataReceived(PING[4:])
    assert transport.take() == b"+PONG\r\n"


def test_a_queue_that_blocks_again_goes_on_waiting(bench: Bench) -> None:
    """Each element serves one request."""
    client, transport = bench.connect()
    client.dataReceived(BLPOP * 2 + PING)
    lpush(bench)
    assert transport.take() == POPPED
    lpush(bench)
    assert transport.take() == POPPED + b"+PONG\r\n"


def test_a_client_served_by_one_that_its_own_batch_has_served_goes_on(bench: Bench) -> None:
    """The element comes back before its batch has returned: what stands behind must not wait for another read."""
    other, heard = bench.connect()
    other.dataReceived(BLPOP + encode_command([b"LPUSH", b"back", b"y"]))
    client, transport = bench.connect()
    client.dataReceived(encode_command([b"LPUSH", b"list", b"x"]) + encode_command([b"BLPOP", b"back", b"0"]) + PING)
    assert heard.take() == POPPED + b":1\r\n"
    assert transport.take() == b":1\r\n*2\r\n$4\r\nback\r\n$1\r\ny\r\n+PONG\r\n"
    client.dataReceived(PING)
    assert transport.take() == b"+PONG\r\n"


def test_what_a_blocked_client_sent_ahead_is_not_run_when_its_server_becomes_a_replica(bench: Bench) -> None:
    """Its connection is closed with an error: a write behind that would be lost, or part the histories."""
    client, transport = bench.connect()
    client.dataReceived(BLPOP + encode_command([b"SET", b"k", b"v"]))
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    assert transport.take().startswith(b"-UNBLOCKED ")
    assert transport.ended == "closed"
    assert bench.node.keyspace.databases[0].data == {}


def test_a_blocked_client_is_read_no_further_when_it_sends_too_much_ahead(bench: Bench) -> None:
    """And again when it is served."""
    client, transport = bench.connect()
    client.dataReceived(BLPOP + PING * QUEUED_MAX)
    assert transport.producerState == "producing"
    client.dataReceived(PING)
    assert transport.producerState == "paused"
    lpush(bench)
    assert transport.producerState == "producing"
    assert transport.take() == POPPED + b"+PONG\r\n" * (QUEUED_MAX + 1)


@pytest.mark.parametrize("pieces", [[BLPOP + PING + b"*x\r\n"], [BLPOP + PING, b"*x\r\n"], [BLPOP, PING + b"*x\r\n"]])
def test_malformed_bytes_behind_a_blocking_request_are_refused_when_it_is_served(
    bench: Bench, pieces: list[bytes]
) -> None:
    """Not before, and not only when more comes: as Redis does."""
    client, transport = bench.connect()
    for piece in pieces:
        client.dataReceived(piece)
    assert transport.take() == b"" and not transport.ended
    lpush(bench)
    assert transport.take() == POPPED + b"+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"
    assert transport.ended == "closed"


def test_malformed_bytes_are_refused_after_the_requests_before_them(bench: Bench) -> None:
    """And nothing that comes later is answered."""
    client, transport = bench.connect()
    client.dataReceived(PING + b"*1\r\n:1\r\n" + PING)
    client.dataReceived(PING)
    assert transport.take() == b"+PONG\r\n-ERR Protocol error: expected '$', got ':'\r\n"
    assert transport.ended == "closed"


@pytest.mark.parametrize("behind", [PING, b"*x\r\n", b"PING 'x\r\n"])
def test_nothing_behind_quit_is_answered(bench: Bench, behind: bytes) -> None:
    """Requests or nonsense, in the same read or later."""
    client, transport = bench.connect()
    client.dataReceived(b"QUIT\r\n" + behind)
    client.dataReceived(behind)
    assert transport.take() == b"+OK\r\n"
    assert transport.ended == "closed"


def test_a_request_that_grows_beyond_the_query_buffer_ends_the_connection(bench: Bench) -> None:
    """`client-query-buffer-limit`, which has a least value."""
    bench.node.config.assign("client-query-buffer-limit", 1000)
    client, transport = bench.connect()
    client.dataReceived(b"*2\r\n$4\r\nECHO\r\n$5000\r\n" + b"x" * 900)
    assert not transport.ended
    client.dataReceived(b"x" * 100)
    assert transport.ended == "aborted"
    assert bench.said("Closing client that reached max query buffer length") == 1


def limited(bench: Bench, limit: str) -> tuple[Client, Transport]:
    """A client whose socket takes nothing, under an output buffer limit."""
    bench.node.config.set_many([("client-output-buffer-limit", limit)])
    client, transport = bench.connect()
    return client, transport


def test_a_client_that_does_not_read_is_dropped_at_the_hard_limit(bench: Bench) -> None:
    """The bytes that wait for the socket count."""
    client, transport = limited(bench, "normal 1000 0 0")
    transport.pending_bytes = 1000
    client.dataReceived(PING)
    assert not transport.ended
    transport.pending_bytes = 1001
    client.dataReceived(PING)
    assert transport.ended == "aborted"
    assert bench.said("omem=1001 scheduled to be closed ASAP for overcoming of output buffer limits.") == 1


def test_a_client_may_pass_the_soft_limit_for_a_while(bench: Bench) -> None:
    """Falling below it begins the time anew."""
    client, transport = limited(bench, "normal 0 1000 5")
    for pending, seconds in ((1001, 0), (1001, 5), (1000, 1), (1001, 1), (1001, 5)):
        bench.clock.advance(seconds)
        transport.pending_bytes = pending
        client.dataReceived(PING)
        assert not transport.ended
    bench.clock.advance(1)
    client.dataReceived(PING)
    assert transport.ended == "aborted"


def test_a_subscriber_has_limits_of_its_own(bench: Bench) -> None:
    """Messages count as replies do."""
    client, transport = limited(bench, "pubsub 1000 0 0")
    transport.pending_bytes = 5000
    client.dataReceived(PING)
    assert not transport.ended, "a normal client has none"
    client.dataReceived(encode_command([b"SUBSCRIBE", b"ch"]))
    assert transport.ended == "aborted"


def test_one_client_too_many_is_told_so(bench: Bench) -> None:
    """`maxclients`; who is gone makes room."""
    bench.node.config.assign("maxclients", 1)
    _, first = bench.connect()
    client, second = bench.connect()
    client.dataReceived(PING)
    assert second.take() == b"-ERR max number of clients reached\r\n" and second.ended == "closed"
    second.lose()
    first.lose()
    client, third = bench.connect()
    client.dataReceived(PING)
    assert third.take() == b"+PONG\r\n"


@pytest.mark.parametrize(("peer", "password", "answer"), [
    ("127.0.0.1", "", b"+PONG\r\n"),
    ("10.0.0.9", "", b"-" + DENIED + b"\r\n"),
    ("10.0.0.9", "secret", b"-NOAUTH Authentication required.\r\n"),
])  # fmt: skip
def test_protected_mode_keeps_others_out_until_there_is_a_password(
    bench: Bench, peer: str, password: str, answer: bytes
) -> None:
    """Loopback is never kept out."""
    bench.node.config.set_many({"requirepass": password})
    client, transport = bench.connect(peer)
    client.dataReceived(PING)
    assert transport.take() == answer


def test_a_client_before_auth_may_send_little_and_after_it_much(bench: Bench) -> None:
    """In Redis's words; AUTH in the same read does not lift the limits for what is already parsed."""
    bench.node.config.set_many({"requirepass": "secret"})
    long = encode_command([b"PING", b"x" * 20_000])
    client, transport = bench.connect()
    client.dataReceived(long)
    assert transport.take() == b"-ERR Protocol error: unauthenticated bulk length\r\n"
    client, transport = bench.connect()
    client.dataReceived(encode_command([b"AUTH", b"secret"]))
    client.dataReceived(long)
    assert transport.take().startswith(b"+OK\r\n$20000\r\n")


def test_what_is_written_beside_the_replies_keeps_its_place(bench: Bench) -> None:
    """The promise of a full sync stands between the replies before and what follows."""
    bench.node.settings.diskless_delay_s = 0
    client, transport = bench.connect()
    client.dataReceived(PING + encode_command([b"REPLCONF", b"capa", b"eof"]) + encode_command([b"PSYNC", b"?", b"-1"]))
    replid = bench.node.feed.history.replid.encode()
    assert transport.take() == b"+PONG\r\n+OK\r\n+FULLRESYNC " + replid + b" 0\r\n"


def test_a_lost_connection_ends_its_session(bench: Bench) -> None:
    """And what it waited for; later bytes are for nobody."""
    client, transport = bench.connect()
    client.dataReceived(BLPOP)
    assert len(bench.node.sessions) == 1
    transport.lose()
    assert bench.node.sessions == {}
    client.dataReceived(PING)
    lpush(bench)
    assert bench.run(b"LLEN", b"list") == b":1\r\n"
    assert transport.take() == b""


def test_a_killed_client_gets_nothing_more(bench: Bench) -> None:
    """CLIENT KILL by another."""
    client, transport = bench.connect()
    client.dataReceived(encode_command([b"CLIENT", b"ID"]))
    number = transport.take()[1:-2]
    assert bench.run(b"CLIENT", b"KILL", b"ID", number) == b":1\r\n"
    client.dataReceived(PING)
    assert transport.ended and transport.take() == b""


@pytest.mark.parametrize(("host", "text"), [("10.0.0.9", "10.0.0.9:1"), ("::1", "[::1]:1"), (None, "/run/x:0")])
def test_addresses_read_as_in_client_list(host: str | None, text: str) -> None:
    """IPv6 in brackets; a Unix socket has none."""

    class Address:
        port = 1

    Address.host = host  # type: ignore[attr-defined]
    assert printable(Address, "/run/x") == text
