"""The same commands sent to a live server and to command families without a server, and all that comes of them.

Compared are the replies' bytes, the replication stream, the keyspace events, and in the end the dataset's digest.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence

import pytest

from tests.interop.servers import RealServer
from tests.support import FamilyBench
from txrepl.commands.session import Blocked
from txrepl.commands.table import Family
from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.digest import dataset_digest
from txrepl.resp.replies import encode

Words = Sequence[str | bytes | int]
Compare = Callable[[Words, bytes], object]

_MARKER = "the end of the differential"
_NOT_WRITES = {b"SELECT", b"PING", b"MULTI", b"EXEC"}
_NEAR_MS = 10 * 24 * 3600 * 1000
_TIMES = re.compile(rb"(?<![0-9])[0-9]{13}(?![0-9])")


def _bytes(words: Words) -> list[bytes]:
    return [word if isinstance(word, bytes) else str(word).encode() for word in words]


def without_now(data: bytes) -> bytes:
    """The bytes with every unix time in ms within ten days of now masked: two servers read two clocks."""
    now_ms = time.time() * 1000

    def mask(found: re.Match[bytes]) -> bytes:
        return b"<near now>" if abs(int(found[0]) - now_ms) < _NEAR_MS else found[0]

    return _TIMES.sub(mask, data)


class LiveSide:
    """A live server with its stream and its events recorded.

    Parameters:
        server: Redis or Valkey; it is emptied.
        proto: 2 or 3.
    """

    def __init__(self, server: RealServer, proto: int) -> None:
        self._client = server.connect()
        client = self._client
        for name in ("lazyfree-lazy-expire", "lazyfree-lazy-user-del", "lazyfree-lazy-server-del"):
            client.command("CONFIG", "SET", name, "no")
        client.command("CONFIG", "SET", "notify-keyspace-events", "EAmn")
        client.command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        client.command("FLUSHALL")
        if proto == 3:
            client.execute("HELLO", 3)
        self._replica = server.connect()
        self._replica.send(b"PSYNC ? -1\r\n")
        line = b"\n"
        while line == b"\n":
            line = self._replica.read_line()
        assert line.startswith(b"+FULLRESYNC"), line
        line = b"\n"
        while line == b"\n":
            line = self._replica.read_line()
        self._replica.read_exactly(int(line[1:]))
        self._events = server.connect()
        self._events.command("PSUBSCRIBE", "__keyevent@*")

    def run(self, words: Words) -> bytes:
        """The reply's bytes."""
        return self._client.raw_command(*words)

    def digest(self) -> bytes:
        """DEBUG DIGEST."""
        answer = self._client.command("DEBUG", "DIGEST")
        return answer if isinstance(answer, bytes) else str(answer).encode()

    def stream(self) -> list[list[bytes]]:
        """The writes in the stream so far."""
        self._client.command("SET", _MARKER, "")
        found: list[list[bytes]] = []
        while True:
            command = self._replica.read_reply()
            if command[0].upper() in _NOT_WRITES:
                continue
            if command[1] == _MARKER.encode():
                return found
            found.append(command)

    def events(self) -> list[tuple[bytes, bytes]]:
        """The events so far, as (channel, key)."""
        self._client.command("DEL", _MARKER)
        found: list[tuple[bytes, bytes]] = []
        while True:
            message = self._events.read_reply()
            channel, key = message[2], message[3]
            if key == _MARKER.encode():
                if channel.endswith(b":del"):
                    return found
                continue
            found.append((channel, key))

    def close(self) -> None:
        """Close the connections."""
        for client in (self._client, self._replica, self._events):
            client.close()


class OurSide:
    """The families on a bare keyspace, with what they would propagate and notify.

    Parameters:
        families: what is in the command table.
        proto: 2 or 3.
    """

    def __init__(self, families: Sequence[Family], proto: int) -> None:
        self.bench = FamilyBench(*families)
        self.bench.session.proto = proto
        self._proto = proto
        self._stream: list[list[bytes]] = []
        self._events: list[tuple[bytes, bytes]] = []
        keyspace = self.bench.keyspace
        keyspace.notify_flags = (1 << 15) - 1
        keyspace.notify = lambda _, event, key, db: self._events.append((b"__keyevent@%d__:%b" % (db, event), key))

    def run(self, words: Words) -> bytes:
        """The reply's bytes; a command that would wait answers as at its timeout."""
        keyspace = self.bench.keyspace
        keyspace.now_ms = int(time.time() * 1000)
        dirty = keyspace.dirty
        reply = self.bench.run(*words)
        if isinstance(reply, Blocked):
            reply = reply.on_timeout()
        self._stream += [list(command) for _, command in self.bench.effects()]
        if keyspace.verbatim and keyspace.dirty != dirty:
            self._stream.append(_bytes(words))
        return encode(reply, self._proto)

    def digest(self, like: str) -> bytes:
        """DEBUG DIGEST as a server of that kind counts."""
        legacy, field_deadlines = like == "redis70", like != "valkey9"
        return dataset_digest(self.bench.keyspace, legacy, field_deadlines).encode()

    def stream(self) -> list[list[bytes]]:
        """The writes in the stream so far."""
        return self._stream

    def events(self) -> list[tuple[bytes, bytes]]:
        """The events so far, as (channel, key)."""
        return self._events


def _masked(stream: list[list[bytes]]) -> list[list[bytes]]:
    return [_canonical([without_now(word) for word in command]) for command in stream]


def _canonical(command: list[bytes]) -> list[bytes]:
    """The name in upper case, and a SET with PXAT without other options: servers differ in rewriting these."""
    command = [command[0].upper(), *command[1:]]
    options = [word.upper() for word in command]
    if command[0] == b"SET" and b"PXAT" in options[3:]:
        return [*command[:3], b"PXAT", command[options.index(b"PXAT", 3) + 1]]
    return command


def _promised(events: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The events but for misses of keys that SORT made up (in any order); Valkey 9 says expired where Redis del."""
    return [
        (channel.replace(b":expired", b":del"), key)
        for channel, key in events
        if not (channel.endswith(b":keymiss") and b"_" in key)
    ]


def _same(what: str, mine: Sequence[object], theirs: Sequence[object]) -> None:
    for number, (our_item, their_item) in enumerate(zip(mine, theirs, strict=False)):
        if our_item != their_item:
            before = theirs[max(0, number - 3) : number]
            pytest.fail(f"{what} differ at {number}: {our_item}, the live server {their_item}, both after {before}")
    if len(mine) != len(theirs):
        pytest.fail(f"{len(mine)} {what}, the live server has {len(theirs)}")


def run_both(
    server: RealServer,
    families: Sequence[Family],
    commands: Iterable[Words],
    proto: int,
    shown: Compare = lambda words, raw: raw,
    *,
    prepare: Callable[[Keyspace], None] = lambda keyspace: None,
    written: Callable[[list[list[bytes]]], list[list[bytes]]] = lambda stream: stream,
) -> None:
    """Run the commands on both sides and assert that replies, stream, events and data are equal.

    Parameters:
        server: the live server.
        families: ours.
        commands: in order; what two clocks would tell apart within a run must not be among them. A generator may wait
            between two.
        proto: 2 or 3.
        shown: what of a reply is compared (for replies in no promised order).
        prepare: makes our side as the live server is configured.
        written: what of the stream is compared.
    """
    live = LiveSide(server, proto)
    try:
        ours = OurSide(families, proto)
        prepare(ours.bench.keyspace)
        for number, words in enumerate(commands):
            theirs, mine = without_now(live.run(words)), without_now(ours.run(words))
            if shown(words, mine) != shown(words, theirs):
                pytest.fail(f"command {number} {words}: {mine!r}, the live server {theirs!r}")
        _same("writes", written(_masked(ours.stream())), written(_masked(live.stream())))
        _same("events", _promised(ours.events()), _promised(live.events()))
        assert ours.digest(server.kind) == live.digest(), "the datasets differ"
    finally:
        live.close()
