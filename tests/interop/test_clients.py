"""redis-py, valkey-py and txredisapi work against txrepl unmodified."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import valkey

from tests.interop.servers import RealServer, txrepl, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    """One txrepl for all tests of the module."""
    with txrepl() as started:
        yield started


@pytest.fixture(params=["redis-py RESP2", "redis-py RESP3", "valkey-py RESP2", "valkey-py RESP3"])
def client(request: pytest.FixtureRequest, server: RealServer) -> Iterator[Any]:
    """Each library with each protocol, on an empty server."""
    name, protocol = str(request.param).split(" RESP")
    library: Any = redis.Redis if name == "redis-py" else valkey.Valkey
    with library(host="127.0.0.1", port=server.port, protocol=int(protocol), decode_responses=True) as opened:
        opened.flushall()
        yield opened


def test_each_type_goes_in_and_comes_out(client: Any) -> None:
    """Strings, hashes, lists, sets, sorted sets and deadlines through a library's own methods."""
    assert client.set("s", "value", ex=100) is True
    assert client.get("s") == "value"
    assert 0 < client.ttl("s") <= 100
    assert client.incrbyfloat("f", 1.5) == 1.5
    assert client.hset("h", mapping={"a": "1", "b": "2"}) == 2
    assert client.hgetall("h") == {"a": "1", "b": "2"}
    assert client.rpush("l", "x", "y", "z") == 3
    assert client.lrange("l", 0, -1) == ["x", "y", "z"]
    assert client.blpop("l", timeout=1) in (("l", "x"), ["l", "x"])
    assert client.sadd("set", "m", "n") == 2
    assert set(client.smembers("set")) == {"m", "n"}
    assert client.zadd("z", {"one": 1, "two": 2.5}) == 2
    assert [tuple(pair) for pair in client.zrange("z", 0, -1, withscores=True)] == [("one", 1.0), ("two", 2.5)]
    assert sorted(client.scan_iter("*", count=2)) == ["f", "h", "l", "s", "set", "z"]
    assert client.type("z") == "zset"


def test_transactions_and_optimistic_locks(client: Any) -> None:
    """A pipeline is a transaction, and one whose watched key changed is refused."""
    with client.pipeline() as pipe:
        assert pipe.set("k", "1").incr("k").get("k").execute() == [True, 2, "2"]
        pipe.watch("k")
        client.set("k", "changed")
        pipe.multi()
        pipe.set("k", "lost")
        with pytest.raises((redis.WatchError, valkey.WatchError)):
            pipe.execute()
    assert client.get("k") == "changed"


def test_errors_arrive_as_the_library_s_exceptions(client: Any) -> None:
    """A wrong type and an unknown command raise the library's own ResponseError with Redis's text."""
    client.lpush("list", "x")
    errors = (redis.ResponseError, valkey.ResponseError)
    with pytest.raises(errors, match="wrong kind of value"):
        client.get("list")
    with pytest.raises(errors, match="unknown command"):
        client.execute_command("NOSUCHCOMMAND")


def test_publish_and_subscribe(client: Any) -> None:
    """A subscription and a pattern get their messages."""
    with client.pubsub() as listener:
        listener.subscribe("news")
        listener.psubscribe("n*")
        assert [listener.get_message(timeout=5)["type"] for _ in range(2)] == ["subscribe", "psubscribe"]
        assert client.publish("news", "hello") == 2
        messages = [listener.get_message(timeout=5) for _ in range(2)]
        assert {(message["type"], message["data"]) for message in messages} == {
            ("message", "hello"),
            ("pmessage", "hello"),
        }


def test_what_operators_read(client: Any) -> None:
    """INFO, CONFIG, CLIENT, COMMAND and ROLE parse with the library's own parsers."""
    info = client.info()
    assert info["redis_version"] == "7.2.4"
    assert info["role"] == "master"
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_set("hz", 20) is True
    assert client.client_setname("me") is True
    assert "me" in [one["name"] for one in client.client_list()]
    assert client.command_count() > 150
    assert client.role()[0] in (b"master", "master")
    assert client.dbsize() == 0


_TXREDISAPI = """
import sys
import txredisapi
from twisted.internet import defer, task

async def talk(port):
    link = await txredisapi.Connection("127.0.0.1", port, reconnect=False)
    assert await link.set("k", "value") == "OK"
    assert await link.get("k") == "value"
    assert await link.hmset("h", {"a": 1, "b": 2}) == "OK"
    assert await link.hgetall("h") == {"a": 1, "b": 2}
    await link.rpush("l", ["x", "y"])
    assert await link.lrange("l", 0, -1) == ["x", "y"]
    await link.zadd("z", 1.5, "m")
    assert await link.zrange("z", 0, -1, withscores=True) == [("m", 1.5)]
    transaction = await link.multi("k")
    await transaction.incr("n")
    await transaction.incr("n")
    assert await transaction.commit() == [1, 2]
    pipe = await link.pipeline()
    pipe.set("a", 1)
    pipe.get("a")
    assert await pipe.execute_pipeline() == ["OK", 1]
    assert (await link.info("replication"))["role"] == "master"
    try:
        await link.get("l")
    except txredisapi.ResponseError as error:
        assert "WRONGTYPE" in str(error)
    else:
        raise AssertionError("GET of a list was answered")
    await link.disconnect()
    print("txredisapi is content")

task.react(lambda reactor: defer.ensureDeferred(talk(int(sys.argv[1]))))
"""


def test_txredisapi_talks_to_it(server: RealServer) -> None:
    """The Twisted client, in a process of its own because a test has no reactor."""
    server.command("FLUSHALL")
    argv = [sys.executable, "-c", _TXREDISAPI, str(server.port)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout) == (0, "txredisapi is content\n"), ended.stderr


def test_a_library_s_connection_survives_a_kill(server: RealServer) -> None:
    """CLIENT KILL closes the connection; the library opens another and goes on."""
    with redis.Redis(host="127.0.0.1", port=server.port, client_name="victim") as victim:
        victim.ping()
        number = victim.client_id()
        assert server.command("CLIENT", "KILL", "ID", number) == 1
        wait_until(lambda: str(number) not in _client_ids(server), 5, "the connection is gone")
        assert victim.ping() is True


def _client_ids(server: RealServer) -> list[str]:
    text: bytes = server.command("CLIENT", "LIST")
    return [line.split()[0].removeprefix("id=") for line in text.decode("utf-8").splitlines()]
