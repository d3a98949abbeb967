"""What tests of change streams share: readers of the HTTP stream, and a mirror that what they read is applied to."""

from __future__ import annotations

import http.client
import json
import queue
import random
import threading
from base64 import b64decode
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from tests.interop.fake_primary import FakePrimary, Talk
from tests.interop.servers import RealServer, encode

REPLID = "cd" * 20


def word(shown: Any) -> bytes:
    """The bytes that a word of an event stands for."""
    return b64decode(shown["base64"]) if isinstance(shown, dict) else shown.encode()


def key_commands(event: dict[str, Any]) -> Iterator[list[bytes]]:
    """The commands that make a key of a dataset as JSON shows it."""
    key, value = word(event["key"]), event["value"]
    match event["type"]:
        case "string":
            yield [b"SET", key, word(value)]
        case "list":
            yield [b"RPUSH", key, *map(word, value)]
        case "set":
            yield [b"SADD", key, *map(word, value)]
        case "hash":
            yield [b"HSET", key, *(word(row[part]) for row in value for part in ("field", "value"))]
        case "zset":
            pairs = ((str(row["score"]).encode(), word(row["member"])) for row in value)
            yield [b"ZADD", key, *(part for pair in pairs for part in pair)]
        case kind:
            raise AssertionError(f"a {kind}")
    if "expire_ms" in event:
        yield [b"PEXPIREAT", key, b"%d" % event["expire_ms"]]


def empty_rdb() -> bytes:
    """A dataset without keys, as Redis 5.0 and later load it."""
    return b"REDIS0009\xff" + bytes(8)


class Mirror:
    """Makes an empty server a copy: a snapshot, then changes, as its primary would send them.

    Keys that are due must go when the DEL for them comes, and not before: only a replica keeps to that.

    Parameters:
        server: the empty one.
        rdb: the snapshot.
    """

    def __init__(self, server: RealServer, rdb: bytes) -> None:
        self._rdb = rdb
        self._queue: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._db = -1
        self._primary = FakePrimary(self._play)
        server.command("REPLICAOF", "127.0.0.1", self._primary.port)

    def __enter__(self) -> Mirror:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.put(b"")
        self._primary.close()

    def apply(self, db: int, *words: bytes) -> None:
        """Run a command in a database."""
        if db != self._db:
            self._db = db
            self._queue.put(encode("SELECT", db))
        self._queue.put(encode(*words))

    def take(self, event: dict[str, Any]) -> None:
        """Apply an event if it is a key, a change, or one end of a transaction; a full sync begins anew."""
        if event["event"] == "change":
            self.apply(event["db"], event["command"].encode(), *map(word, event["args"]))
        elif event["event"] in ("begin", "end"):
            self._queue.put(encode("MULTI" if event["event"] == "begin" else "EXEC"))
        elif event["event"] == "full_sync":
            self.apply(0, b"FLUSHALL")
        elif event["event"] == "key":
            for words in key_commands(event):
                self.apply(event["db"], *words)

    def _play(self, talk: Talk) -> None:
        talk.until("psync")
        talk.send(b"+FULLRESYNC %b 1\r\n$%d\r\n" % (REPLID.encode(), len(self._rdb)) + self._rdb)
        while data := self._queue.get():
            talk.send(data)


def get(port: int, path: str, **headers: str) -> http.client.HTTPResponse:
    """Ask a node's HTTP interface; the answer, not read yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    return connection.getresponse()


def ndjson(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The events of an answer, one a line; heartbeats are left out."""
    while line := answer.readline():
        if line.strip():
            yield json.loads(line)


def sse(answer: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """The events of an answer as a browser reads them; the id is that of the block."""
    id, data = "", ""
    while line := answer.readline().decode():
        name, _, value = line.rstrip("\n").partition(": ")
        if name == "id":
            id = value
        elif name == "data":
            data = value
        elif line == "\n" and id:
            yield {**json.loads(data), "id": id} if data else {"event": "position", "id": id}
            data = ""


class CutReader(threading.Thread):
    """Reads changes into a mirror over connections that it cuts at random, resuming by Last-Event-ID.

    Parameters:
        id: where to begin.
        seed: of the cuts.

    Attributes:
        offset: of the last event.
        cuts: how often it has cut its connection.
        failure: what ended it.
    """

    def __init__(self, port: int, mirror: Mirror, id: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._mirror = mirror
        self._source = random.Random(seed)
        self._id = id
        self.offset = 0
        self.cuts = 0
        self.stopped = False
        self.failure: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Read until told to stop."""
        try:
            while not self.stopped:
                self._read_some()
        except BaseException as error:
            if not self.stopped:
                self.failure = error

    def _read_some(self) -> None:
        accept, read = self._source.choice([("text/event-stream", sse), ("application/x-ndjson", ndjson)])
        left = self._source.randrange(1, 1500)
        answer = get(self._port, "/v1/changes?from=" + "0" * 40 + ":0", Accept=accept, Last_Event_ID=self._id)
        assert answer.status == 200, answer.read()
        try:
            for event in read(answer):
                offset = int(event["id"].split(":")[1])
                if event["event"] in ("change", "begin", "end"):
                    assert offset > self.offset, f"{event} again, after {self.offset}"
                    self._mirror.take(event)
                assert event["event"] != "closed", event
                self._id, self.offset = event["id"], offset
                left -= 1
                if not left or self.stopped:
                    break
        finally:
            answer.close()
        self.cuts += 1
