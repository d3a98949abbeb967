"""The tools of the interop tests themselves, against real servers: a broken tool would hide a broken server."""

from __future__ import annotations

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.servers import RawClient, ReplyError, encode, wait_until


def test_a_real_server_answers_values_errors_and_raw_bytes(run: Run, kind: str) -> None:
    server = run(kind)
    assert server.command("SET", "k", b"\x00\r\n") == "OK"
    assert server.command("GET", "k") == b"\x00\r\n"
    assert server.command("DEBUG", "DIGEST") == server.digest()
    assert len(server.digest()) == 40
    with pytest.raises(ReplyError, match="unknown command"):
        server.command("NOSUCH")
    with server.connect() as client:
        assert client.raw_command("GET", "k") == b"$3\r\n\x00\r\n\r\n"
        assert client.command("HELLO", 3)[b"proto"] == 3
        client.command("HSET", "h", "f", "v")
        assert client.raw_command("HGETALL", "h") == b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
        assert client.command("HGETALL", "h") == {b"f": b"v"}
        client.send(b"PING\r\n" + encode("ECHO", "x"))
        assert [client.read_reply(), client.read_reply()] == ["PONG", b"x"]


def test_a_killed_server_starts_again_on_its_port_and_directory(run: Run) -> None:
    server = run("redis62", save=("3600", "1"))
    port = server.port
    server.command("SET", "k", "v")
    server.restart()
    assert server.port == port
    assert server.command("GET", "k") == b"v"
    server.kill()
    assert server.exit_code == -9
    server.start()
    assert server.command("GET", "k") == b"v"


def test_a_paused_server_answers_only_after_resume(run: Run) -> None:
    server = run("redis62")
    server.pause()
    with pytest.raises(TimeoutError), RawClient(server.port, 0.2) as client:
        client.command("PING")
    server.resume()
    assert server.command("PING") == "PONG"


def test_the_proxy_forwards_cuts_stalls_and_refuses(run: Run, proxy: Proxy) -> None:
    server = run("redis62")
    link = proxy(server.port)
    client = RawClient(link.port, 5)
    assert client.command("PING") == "PONG"
    link.cut()
    with pytest.raises(ConnectionError):
        client.command("PING")

    client = RawClient(link.port, 0.2)
    link.stall()
    with pytest.raises(TimeoutError):
        client.command("PING")
    link.flow()
    assert client.read_reply() == "PONG"

    server.command("SET", "big", b"x" * 100_000)
    link.cut_after(50_000)
    client = RawClient(link.port, 5)
    client.send(encode("GET", "big"))
    assert len(client.read_to_end()) <= 50_000
    wait_until(lambda: link.open_links == 0 or RawClient(link.port, 5).command("PING") == "PONG", 5, "the cut is over")

    link.refuse()
    with pytest.raises(ConnectionRefusedError):
        RawClient(link.port, 5)
    link.accept()
    assert RawClient(link.port, 5).command("PING") == "PONG"
