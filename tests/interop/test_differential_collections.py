"""Lists, hashes and sets against real servers: replies, effects on the stream, events, counts of changes, digests.

Random sequences of valid and invalid commands run on a real server and on the families alone. Where Redis
promises no order, order is not compared; where it picks by chance, the shape is compared and the key emptied.
"""

from __future__ import annotations

import random
from contextlib import closing
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RealServer
from tests.interop.wire import RawClient, encode
from tests.support import FamilyBench
from txrepl.commands import blocking_lists, hashes, lists, sets
from txrepl.commands.session import DENY_BLOCKING
from txrepl.keyspace.digest import dataset_digest
from txrepl.keyspace.values import HashValue, SetValue
from txrepl.resp.replies import encode as encode_reply

Words = list[bytes]

LENGTH = 1500
MARKER = [b"marker:end", b"x"]
LISTS = [b"l1", b"l2", b"l3"]
HASHES = [b"h1", b"h2"]
SETS = [b"s1", b"s2", b"s3", b"s4"]
TEXTS = [b"a", b"b", b"c", b"d", b"", b"\x00\xff\r\n", b"x" * 64, b"y" * 65, b"-0", b"007"]
NUMBERS = [b"0", b"1", b"2", b"3", b"17", b"-1", b"-2", b"-5", b"9223372036854775807", b"-9223372036854775808"]
BAD_NUMBERS = [b"", b"abc", b"1.5", b" 1", b"9223372036854775808", b"+1", b"01"]
FLOATS = [b"0", b"1", b"-1.5", b"3.0e3", b"0.1", b"10.25", b"1e5", b"-7"]
BAD_FLOATS = [b"", b"abc", b"1 ", b"inf", b"-inf", b"nan"]
BLOCKING = {b"BLPOP", b"BRPOP", b"BLMPOP", b"BLMOVE", b"BRPOPLPUSH"}
UNORDERED = {b"SMEMBERS", b"SINTER", b"SUNION", b"SDIFF", b"HGETALL", b"HKEYS", b"HVALS", b"HSCAN", b"SSCAN"}
BY_CHANCE = {b"SPOP", b"SRANDMEMBER", b"HRANDFIELD"}


class Script:
    """Makes random commands.

    Parameters:
        seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def some(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def text(self) -> bytes:
        return self.rng.choice(TEXTS + NUMBERS)

    def texts(self, most: int = 4) -> Words:
        if self.rng.random() < 0.02:
            return [b"%d" % n for n in range(self.rng.choice((100, 130, 300, 520)))]
        if self.rng.random() < 0.02:
            return [b"m%d" % n for n in range(self.rng.choice((100, 130, 300)))]
        return [self.text() for _ in range(self.rng.randint(1, most))]

    def integer(self) -> bytes:
        return self.rng.choice(BAD_NUMBERS if self.rng.random() < 0.1 else NUMBERS)

    def count(self) -> bytes:
        return self.rng.choice(BAD_NUMBERS + NUMBERS[-4:] if self.rng.random() < 0.1 else NUMBERS[:5])

    def side(self) -> bytes:
        return self.rng.choice([b"LEFT", b"right", b"Right", b"left"] * 4 + [b"up"])

    def key(self, own: list[bytes]) -> bytes:
        return self.rng.choice(LISTS + HASHES + SETS if self.rng.random() < 0.06 else own)

    def keys(self, own: list[bytes]) -> Words:
        return [self.key(own) for _ in range(self.rng.randint(1, 3))]

    def maybe(self, *words: bytes) -> Words:
        return list(words) if self.rng.random() < 0.4 else []

    def counted(self, own: list[bytes]) -> Words:
        keys = self.keys(own)
        number = b"%d" % len(keys) if self.rng.random() < 0.9 else self.count()
        return [number, *keys]

    def list_command(self) -> Words:
        key, rng = self.key(LISTS), self.rng
        other = self.key(LISTS)
        timeout = self.some(b"0.01", b"1", b"0", b"0.01", b"1", b"-1", b"abc")
        lpos: Words = []
        for name in (b"RANK", b"COUNT", b"MAXLEN"):
            lpos += self.maybe(name, self.integer())
        pops = [
            [rng.choice([b"LPOP", b"RPOP"]), key, *self.maybe(self.count())],
            [b"LMPOP", *self.counted(LISTS), self.side(), *self.maybe(b"COUNT", self.count())],
            [b"BLMPOP", timeout, *self.counted(LISTS), self.side(), *self.maybe(b"COUNT", self.count())],
            [rng.choice([b"BLPOP", b"BRPOP"]), *self.keys(LISTS), timeout],
            [b"LTRIM", key, self.integer(), self.integer()],
            [b"LREM", key, self.integer(), self.text()],
        ]
        others = [
            [rng.choice([b"LPUSHX", b"RPUSHX"]), key, *self.texts()],
            [b"LLEN", key],
            [b"LINDEX", key, self.integer()],
            [b"LSET", key, self.integer(), self.text()],
            [b"LINSERT", key, self.some(b"before", b"AFTER", b"mid"), self.text(), self.text()],
            [b"LRANGE", key, self.integer(), self.integer()],
            [b"LRANGE", key, b"%d" % rng.randint(-9, 9), b"%d" % rng.randint(-9, 9)],
            [b"LPOS", key, self.text(), *lpos],
            [b"LMOVE", key, other, self.side(), self.side()],
            [b"RPOPLPUSH", key, other],
            [b"BLMOVE", key, other, self.side(), self.side(), timeout],
            [b"BRPOPLPUSH", key, other, timeout],
        ]
        push: Words = [rng.choice([b"LPUSH", b"RPUSH"]), key, *self.texts()]
        roll = rng.random()
        chosen: Words = push if roll < 0.25 else rng.choice(pops) if roll < 0.5 else rng.choice(others)
        return chosen

    def hash_command(self) -> Words:
        key, rng = self.key(HASHES), self.rng
        fields = self.texts()
        pairs = [word for field in fields for word in (field, self.text())]
        if rng.random() < 0.05:
            pairs = pairs[:-1]
        by_float = rng.choice(BAD_FLOATS if rng.random() < 0.15 else FLOATS)
        commands: list[Words] = [
            [rng.choice([b"HSET", b"HMSET"]), key, *pairs],
            [b"HSETNX", key, self.text(), self.text()],
            [b"HGET", key, self.text()],
            [b"HMGET", key, *fields],
            [b"HGETALL", key],
            [b"HDEL", key, *fields],
            [b"HLEN", key],
            [b"HEXISTS", key, self.text()],
            [b"HKEYS", key],
            [b"HVALS", key],
            [b"HINCRBY", key, self.text(), self.integer()],
            [b"HINCRBYFLOAT", key, self.some(b"f1", b"f2", b"f3"), by_float],
            [b"HINCRBYFLOAT", key, self.some(b"a", b"c"), by_float],
            [b"HSTRLEN", key, self.text()],
            [b"HRANDFIELD", key, *self.some([], [self.count()], [self.some(b"-3", b"2"), b"withvalues"], [b"1", b"x"])],
            [b"HSCAN", key, b"0", b"COUNT", b"100000", *self.maybe(b"MATCH", self.some(b"*", b"[abc]", b"?"))],
            [b"HSCAN", key, *self.some([b"0", b"count", b"0"], [b"x"], [b"0", b"match"], [b"0", b"LIMIT", b"1"])],
        ]
        return rng.choice(commands)

    def set_command(self) -> Words:
        key, rng = self.key(SETS), self.rng
        keys = self.keys(SETS)
        commands: list[Words] = [
            [b"SADD", key, *self.texts()],
            [b"SADD", key, *(self.integer() for _ in range(rng.randint(1, 5)))],
            [b"SREM", key, *self.texts()],
            [b"SISMEMBER", key, self.text()],
            [b"SMISMEMBER", key, *self.texts()],
            [b"SCARD", key],
            [b"SMEMBERS", key],
            [b"SPOP", key, *self.maybe(self.count())],
            [b"SRANDMEMBER", key, *self.maybe(self.some(b"3", b"-4", b"0", b"2000", b"x", NUMBERS[-1]))],
            [b"SMOVE", key, self.key(SETS), self.text()],
            [rng.choice([b"SINTER", b"SUNION", b"SDIFF"]), *keys],
            [rng.choice([b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"]), key, *keys],
            [b"SINTERCARD", *self.counted(SETS), *self.maybe(b"LIMIT", self.count())],
            [b"SSCAN", key, b"0", b"COUNT", b"100000", *self.maybe(b"MATCH", self.some(b"*", b"[abc]", b"?"))],
            [b"SSCAN", key, *self.some([b"0", b"count", b"0"], [b"x"], [b"0", b"match"], [b"0", b"LIMIT", b"1"])],
        ]
        return rng.choice(commands)

    def command(self, family: str) -> Words:
        """The next command of a family."""
        return {"lists": self.list_command, "hashes": self.hash_command, "sets": self.set_command}[family]()


class Ours:
    """The families on a bare keyspace, with everything that a real server would show of them.

    Parameters:
        proto: 2 or 3.
    """

    def __init__(self, proto: int) -> None:
        self.bench = FamilyBench(lists.family, blocking_lists.family, hashes.family, sets.family)
        self.bench.session.flags |= DENY_BLOCKING
        self.proto = proto
        self.events: list[tuple[bytes, bytes]] = []
        self.stream: list[Words] = []
        keyspace = self.bench.keyspace
        keyspace.notify_flags = 0x7FFF & ~(1 << 11) & ~(1 << 14)
        keyspace.notify = self._notify

    def _notify(self, event_class: int, event: bytes, key: bytes, database: int) -> None:
        self.events.append((event, key))

    def run(self, words: Words) -> bytes:
        """The bytes of the reply."""
        keyspace = self.bench.keyspace
        dirty = keyspace.dirty
        reply = self.bench.run(*words)
        self.stream += [list(command) for _, command in self.bench.effects()]
        if keyspace.dirty != dirty and keyspace.verbatim:
            self.stream.append(words)
        return encode_reply(reply, self.proto)

    def hash_tables(self) -> list[bytes]:
        """The hashes and sets that are encoded as hash tables."""
        data = self.bench.keyspace.databases[0].data
        return [
            key for key in HASHES + SETS if isinstance(value := data.get(key), HashValue | SetValue) and value.large
        ]


class Theirs:
    """A real server, its replication stream and its keyspace events.

    Parameters:
        port: where it listens.
        proto: 2 or 3.
    """

    def __init__(self, port: int, proto: int) -> None:
        self.client = RawClient(port)
        for name in ("server-del", "user-del", "expire"):
            self.client.command("CONFIG", "SET", f"lazyfree-lazy-{name}", "no")
        self.client.command("CONFIG", "SET", "repl-diskless-sync-delay", "0")
        self.client.command("CONFIG", "SET", "notify-keyspace-events", "EA")
        self.client.command("HELLO", proto)
        self.listener = RawClient(port)
        self.listener.command("PSUBSCRIBE", "__keyevent@0__:*")
        self.replica = RawClient(port)
        self.replica.send(encode("SYNC"))
        while (line := self.replica.read_line()) == b"\n":
            pass
        self.replica.read_exactly(int(line[1:]))

    def run(self, words: Words) -> bytes:
        """The bytes of the reply; a blocking command runs in a transaction, where it does not wait."""
        if words[0] not in BLOCKING:
            return self.client.raw_command(*words)
        self.client.command("MULTI")
        self.client.command(*words)
        return self.client.raw_command("EXEC").split(b"\r\n", 1)[1]

    def hash_tables(self) -> list[bytes]:
        """The hashes and sets that are encoded as hash tables."""
        return [key for key in HASHES + SETS if self.client.execute("OBJECT", "ENCODING", key) == b"hashtable"]

    def close(self) -> None:
        """Close the connections: a server that shuts down waits for replicas."""
        for connection in (self.client, self.listener, self.replica):
            connection.close()

    def finish(self) -> tuple[list[Words], list[tuple[bytes, bytes]]]:
        """The stream and the events so far."""
        self.client.command("SET", *MARKER)
        self.client.command("DEL", MARKER[0])
        stream: list[Words] = []
        while (words := self.replica.read_reply()) != [b"SET", *MARKER]:
            if words[0].upper() not in (b"SELECT", b"PING", b"MULTI", b"EXEC"):
                stream.append(words)
        events: list[tuple[bytes, bytes]] = []
        while (message := self.listener.read_reply())[3] != MARKER[0]:
            events.append((message[2].split(b":", 1)[1], message[3]))
        return stream, events


def elements(reply: bytes) -> list[bytes]:
    """The bytes of each element of an array, set or map; of every key and value for a map."""
    found: list[bytes] = []
    start = reply.index(b"\n") + 1
    while start < len(reply):
        end = reply.index(b"\n", start) + 1
        if reply[start : start + 1] == b"$" and reply[start + 1 : start + 2] != b"-":
            end += int(reply[start + 1 : end]) + 2
        found.append(reply[start:end])
        start = end
    return found


def shape(words: Words, reply: bytes) -> Any:
    """What of a reply must be equal."""
    name = words[0]
    if reply[:1] in b"-:_" or (name not in UNORDERED and name not in BY_CHANCE):
        return reply
    head = reply.split(b"\n", 1)[0]
    if name in BY_CHANCE:
        return head if head[:1] != b"$" or head == b"$-1\r" else b"$"
    parts = elements(reply)
    if name in (b"HSCAN", b"SSCAN"):
        head, parts = b"".join(parts[:2]), parts[2:]
    if name in (b"HSCAN", b"HGETALL"):
        return head, sorted(zip(parts[::2], parts[1::2], strict=True))
    return head, sorted(parts)


@pytest.mark.parametrize("family", ["lists", "hashes", "sets"])
@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("server_kind", ["redis70", "valkey9"])
def test_random_commands_do_what_they_do_on_a_real_server(run: Run, server_kind: str, proto: int, family: str) -> None:
    server = run(server_kind)
    with closing(Theirs(server.port, proto)) as theirs:
        compare(server, theirs, Ours(proto), family)


def compare(server: RealServer, theirs: Theirs, ours: Ours, family: str) -> None:
    """Run a random script on both and compare all that can be seen."""
    theirs.client.command("CONFIG", "SET", "hash-max-listpack-entries", ours.bench.keyspace.limits.hash_entries)
    script = Script(seed=20_000 + ours.proto)
    said: list[Words] = []
    dirty_before = int(server.info()["rdb_changes_since_last_save"])
    for step in range(LENGTH):
        family_now = family if step % 10 else script.some("lists", "hashes", "sets")
        words = script.command(family_now)
        commands = [words, [b"SPOP", words[1], b"100000"]] if words[0] == b"SPOP" else [words]
        for command in commands:
            if differs_by_version(server.kind, command):
                continue
            said.append(command)
            real, own = theirs.run(command), ours.run(command)
            assert shape(command, own) == shape(command, real), said[-5:]
    dirty = int(server.info()["rdb_changes_since_last_save"]) - dirty_before
    stream, events = theirs.finish()
    assert events == ours.events
    assert counted(stream) == counted(ours.stream)
    assert dirty == ours.bench.keyspace.dirty
    assert server.digest() == dataset_digest(ours.bench.keyspace)
    if server.kind == "valkey9":
        assert theirs.hash_tables() == ours.hash_tables()


def differs_by_version(server_kind: str, words: Words) -> bool:
    """Extreme numbers on which the versions are known to differ: 7.0's LPOS and LREM, Valkey's truncated indexes."""
    if server_kind == "redis70":
        return words[0] in (b"LPOS", b"LREM") and NUMBERS[-1] in words
    return words[0] in (b"LSET", b"LINDEX") and words[2] in NUMBERS[-2:]


def counted(stream: list[Words]) -> list[Any]:
    """The stream with SREMs of one key joined and their members only counted: SPOP took them by chance."""
    found: list[Any] = []
    for words in stream:
        if words[0] != b"SREM":
            found.append(words)
        elif found and found[-1][0] == b"SREM" and found[-1][1] == words[1]:
            found[-1] = (b"SREM", words[1], found[-1][2] + len(words) - 2)
        else:
            found.append((b"SREM", words[1], len(words) - 2))
    return found
