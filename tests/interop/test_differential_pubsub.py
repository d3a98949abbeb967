"""Publish and subscribe: every client of a live server and of txrepl reads the same bytes, and replicas too."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.interop.servers import RawClient, RealServer, start
from tests.support import FamilyBench
from txrepl.commands import pubsub
from txrepl.commands.session import Session
from txrepl.commands.subscriptions import PubSub
from txrepl.resp.replies import encode

NAMES = ["a", "b", "news.1", "news.2", "é"]
PATTERNS = ["*", "news.*", "news.[12]", "[^a]", "?", "\\*", "b"]
PROTOCOLS = [2, 3, 2, 3]
ROUNDS = 150
_END = b"$5\r\n~END~\r\n"
_ENDS = (b"*2\r\n$4\r\npong\r\n" + _END, b">2\r\n$4\r\npong\r\n" + _END, _END)


class Written:
    """An outlet that keeps what was written."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self, *, flush: bool) -> None:
        """Nothing to close."""

    def resume(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        """What was written since the last call."""
        data, self.data = self.data, b""
        return data


class Ours:
    """The clients on our side; the last one publishes and asks."""

    def __init__(self) -> None:
        self.bench = FamilyBench(pubsub.family)
        self.bench.server.pubsub = PubSub()
        self.outlets = [Written() for _ in PROTOCOLS]
        self.sessions = [Session(self.bench.server, number, outlet) for number, outlet in enumerate(self.outlets)]
        for session, proto in zip(self.sessions, PROTOCOLS, strict=True):
            session.proto = proto

    def run(self, client: int, words: list[str]) -> list[bytes]:
        """Run a command for one client; what each client reads."""
        self.bench.session = self.sessions[client]
        reply = encode(self.bench.run(*words), PROTOCOLS[client])
        read = [outlet.take() for outlet in self.outlets]
        read[client] += reply
        return read


class Theirs:
    """The clients of a live server."""

    def __init__(self, server: RealServer) -> None:
        self.clients = [server.connect() for _ in PROTOCOLS]
        for client, proto in zip(self.clients, PROTOCOLS, strict=True):
            client.execute("HELLO", proto)

    def run(self, client: int, words: list[str]) -> list[bytes]:
        """Run a command for one client; what each client reads."""
        own = self.clients[client].raw_command(*words)
        read = [self.rest(other) for other in self.clients]
        read[client] = own + read[client]
        return read

    @staticmethod
    def rest(client: RawClient) -> bytes:
        """What a client has to read now: everything before the answer to a PING."""
        client.send(b"*2\r\n$4\r\nPING\r\n$5\r\n~END~\r\n")
        data = b""
        while not data.endswith(_END):
            data += client.read_raw_reply()
        return next(data.removesuffix(end) for end in _ENDS if data.endswith(end))


def command(rng: random.Random) -> tuple[int, list[str]]:
    """Who says what: three clients listen, the last one publishes and asks."""
    if rng.random() < 0.5:
        listens = rng.choice(["subscribe", "unsubscribe", "ssubscribe", "SUNSUBSCRIBE", "psubscribe", "punsubscribe"])
        names = rng.sample(PATTERNS if listens[0] == "p" else NAMES, rng.randint(1, 2))
        if "uns" in listens.lower() and rng.random() < 0.2:
            names = []
        return rng.randrange(3), [listens, *names]
    name, payload = rng.choice(NAMES), rng.choice(["hello", "", "\r\n"])
    questions = [
        ["publish", name, payload],
        ["publish", name, payload],
        ["spublish", name, payload],
        ["pubsub", "channels", *rng.choice([[], ["news*"], ["*"], ["x", "y"]])],
        ["pubsub", "shardchannels", *rng.choice([[], ["news*"]])],
        ["pubsub", "numsub", *rng.sample(NAMES, 2)],
        ["pubsub", "shardnumsub", *rng.sample(NAMES, 2)],
        ["pubsub", "numpat"],
    ]
    return 3, rng.choice(questions)


@pytest.fixture(scope="module", params=("redis70", "valkey9"))
def server(request: pytest.FixtureRequest) -> Iterator[RealServer]:
    """A live server to compare with."""
    with start(request.param) as running:
        yield running


@pytest.mark.parametrize("seed", range(3))
def test_all_clients_read_the_same(server: RealServer, seed: int) -> None:
    """Order is compared only within a message: neither side promises it between names or listeners' patterns."""
    rng = random.Random(seed)
    mine, theirs = Ours(), Theirs(server)
    try:
        for number in range(ROUNDS):
            who, words = command(rng)
            where = f"seed {seed}, command {number}: client {who}: {words}"
            pairs = zip(mine.run(who, words), theirs.run(who, words), strict=True)
            for client, (ours, live) in enumerate(pairs):
                assert sorted(ours.split(b"\r\n")) == sorted(live.split(b"\r\n")), f"{where}, read by client {client}"
    finally:
        for client in theirs.clients:
            client.close()


def test_help_is_the_same() -> None:
    """PUBSUB HELP, as Redis words it."""
    with start("redis70") as server, server.connect() as client:
        assert Ours().run(3, ["pubsub", "help"])[3] == client_in(client, 3).raw_command("pubsub", "help")


def client_in(client: RawClient, proto: int) -> RawClient:
    """The client after it has said which protocol it speaks."""
    client.execute("HELLO", proto)
    return client
