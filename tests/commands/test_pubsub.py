"""Publish and subscribe without a server: registry, replies, messages in both protocols, notifications."""

from __future__ import annotations

import pytest

from tests.support import FamilyBench
from txrepl.commands import pubsub
from txrepl.commands.session import SUBSCRIBED, Session
from txrepl.commands.subscriptions import PubSub, publish_keyspace_event
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.resp.replies import Many, encode


class Written:
    """An outlet that keeps what was written; `react` is called before each write."""

    def __init__(self) -> None:
        self.data = b""
        self.react = lambda: None

    def write(self, data: bytes) -> None:
        self.react()
        self.data += data

    def close(self, *, flush: bool) -> None:
        """Nothing to close."""

    def resume(self) -> None:
        """Nothing waits."""


class Bench(FamilyBench):
    """Several clients of one server."""

    def __init__(self) -> None:
        super().__init__(pubsub.family)
        self.registry = PubSub()
        self.server.pubsub = self.registry
        self.numbers = 1

    def client(self, proto: int = 2) -> Session:
        """A new client."""
        self.numbers += 1
        session = Session(self.server, self.numbers, Written())
        session.proto = proto
        return session

    def on(self, session: Session, *words: str | bytes) -> bytes:
        """Run a command for a client: the reply's bytes."""
        self.session = session
        return encode(self.run(*words), session.proto)


@pytest.fixture
def bench() -> Bench:
    """The pub/sub commands and no client."""
    return Bench()


def bulks(*words: bytes | int | None, mark: bytes = b"*", null: bytes = b"$-1\r\n") -> bytes:
    """A message as it goes over the wire."""
    parts = [b"%b%d\r\n" % (mark, len(words))]
    for word in words:
        if isinstance(word, int):
            parts.append(b":%d\r\n" % word)
        else:
            parts.append(null if word is None else b"$%d\r\n%b\r\n" % (len(word), word))
    return b"".join(parts)


@pytest.mark.parametrize(("proto", "mark"), [(2, b"*"), (3, b">")])
def test_each_channel_is_confirmed_on_its_own(bench: Bench, proto: int, mark: bytes) -> None:
    """Arrays in RESP2, pushes in RESP3; the count goes over channels and patterns together."""
    client = bench.client(proto)
    assert bench.on(client, "SUBSCRIBE", "a", "b", "a") == b"".join(
        bulks(b"subscribe", name, count, mark=mark) for name, count in ((b"a", 1), (b"b", 2), (b"a", 2))
    )
    assert bench.on(client, "PSUBSCRIBE", "p*") == bulks(b"psubscribe", b"p*", 3, mark=mark)
    assert bench.on(client, "SSUBSCRIBE", "s") == bulks(b"ssubscribe", b"s", 1, mark=mark)
    assert bench.on(client, "UNSUBSCRIBE", "none", "a") == b"".join(
        bulks(b"unsubscribe", name, count, mark=mark) for name, count in ((b"none", 3), (b"a", 2))
    )


@pytest.mark.parametrize("kind", ["unsubscribe", "punsubscribe", "sunsubscribe"])
def test_unsubscribing_from_nothing_is_confirmed_with_null(bench: Bench, kind: str) -> None:
    """No name given and none subscribed: one message with a null in place of the name."""
    assert bench.on(bench.client(2), kind) == bulks(kind.encode(), None, 0)
    assert bench.on(bench.client(3), kind) == bulks(kind.encode(), None, 0, mark=b">", null=b"_\r\n")


def test_unsubscribing_without_names_ends_all_of_that_kind(bench: Bench) -> None:
    """The other kinds stay, and the session counts as subscribed until the last one ends."""
    client = bench.client()
    bench.on(client, "SUBSCRIBE", "a", "b")
    bench.on(client, "PSUBSCRIBE", "p*")
    bench.on(client, "SSUBSCRIBE", "s")
    assert bench.on(client, "UNSUBSCRIBE").count(b"unsubscribe") == 2
    assert client.flags & SUBSCRIBED and bench.registry.channels == {}
    bench.on(client, "PUNSUBSCRIBE")
    assert client.flags & SUBSCRIBED and bench.registry.patterns == {}
    bench.on(client, "SUNSUBSCRIBE", "s")
    assert not client.flags & SUBSCRIBED and bench.registry.shard_channels == {}


def test_a_message_reaches_channel_and_pattern_listeners_in_their_protocol(bench: Bench) -> None:
    """One who listens by channel and by pattern hears it twice; shard channels are apart."""
    old, new = bench.client(2), bench.client(3)
    for client in (old, new):
        bench.on(client, "SUBSCRIBE", "news.a")
    bench.on(new, "PSUBSCRIBE", "news.[ab]", "other*")
    bench.on(old, "SSUBSCRIBE", "news.a")
    assert bench.on(bench.client(), "PUBLISH", "news.a", "hi") == b":3\r\n"
    assert old.outlet.data == bulks(b"message", b"news.a", b"hi")
    assert new.outlet.data == bulks(b"message", b"news.a", b"hi", mark=b">") + bulks(
        b"pmessage", b"news.[ab]", b"news.a", b"hi", mark=b">"
    )
    assert bench.on(bench.client(), "SPUBLISH", "news.a", "hi") == b":1\r\n"
    assert old.outlet.data.endswith(bulks(b"smessage", b"news.a", b"hi"))
    assert bench.on(bench.client(), "PUBLISH", "none", "hi") == b":0\r\n"


@pytest.mark.parametrize("name", [b"PUBLISH", b"spublish"])
def test_publishing_always_goes_into_the_stream_as_received(bench: Bench, name: bytes) -> None:
    """With no listener here a replica may still have one; it is no change of the data set."""
    bench.on(bench.client(), name, "channel", b"\x00\xff")
    assert bench.effects() == [(0, (name, b"channel", b"\x00\xff"))]
    assert not bench.keyspace.verbatim and bench.keyspace.dirty == 0


def test_a_listener_that_goes_away_while_being_written_to_harms_nobody(bench: Bench) -> None:
    """A write that overflows an output limit ends that client's subscriptions in the midst of a delivery."""
    clients = [bench.client() for _ in range(3)]
    for client in clients:
        bench.on(client, "SUBSCRIBE", "c")
        bench.on(client, "PSUBSCRIBE", "*")
    clients[1].outlet.react = lambda: bench.registry.forget(clients[1])
    bench.on(bench.client(), "PUBLISH", "c", "hi")
    for client in (clients[0], clients[2]):
        assert client.outlet.data == bulks(b"message", b"c", b"hi") + bulks(b"pmessage", b"*", b"c", b"hi")
    assert clients[1] not in bench.registry.channels[b"c"] and clients[1] not in bench.registry.patterns[b"*"]


def test_a_client_that_is_gone_leaves_nothing_behind(bench: Bench) -> None:
    """Channels that nobody listens to are no channels; twice forgotten is forgotten."""
    client = bench.client()
    for words in (("SUBSCRIBE", "a"), ("PSUBSCRIBE", "b*"), ("SSUBSCRIBE", "c")):
        bench.on(client, *words)
    pubsub.end_subscriptions(client)
    pubsub.end_subscriptions(client)
    assert (bench.registry.channels, bench.registry.patterns, bench.registry.shard_channels) == ({}, {}, {})
    assert not client.flags & SUBSCRIBED
    assert bench.on(client, "SUBSCRIBE", "a") == bulks(b"subscribe", b"a", 1)


def test_what_pubsub_tells(bench: Bench) -> None:
    """Channels by glob, counts for the names asked, patterns counted once however many listen."""
    first, second = bench.client(), bench.client()
    for client in (first, second):
        bench.on(client, "SUBSCRIBE", "news.a")
        bench.on(client, "PSUBSCRIBE", "p*")
    bench.on(first, "SUBSCRIBE", "misc")
    bench.on(first, "SSUBSCRIBE", "shard")
    bench.session = bench.client()
    assert bench.run("PUBSUB", "CHANNELS") == [b"news.a", b"misc"]
    assert bench.run("PUBSUB", "CHANNELS", "news.?") == [b"news.a"]
    assert bench.run("PUBSUB", "NUMSUB", "news.a", "misc", "none") == [b"news.a", 2, b"misc", 1, b"none", 0]
    assert bench.run("PUBSUB", "NUMSUB") == []
    assert bench.run("PUBSUB", "NUMPAT") == 1
    assert bench.run("PUBSUB", "SHARDCHANNELS") == [b"shard"]
    assert bench.run("PUBSUB", "SHARDCHANNELS", "x*") == []
    assert bench.run("PUBSUB", "SHARDNUMSUB", "shard", "news.a") == [b"shard", 1, b"news.a", 0]
    refused = bench.run("PUBSUB", "channels", "a", "b")
    assert isinstance(refused, CommandError)
    assert refused.message == (b"ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP.")


def test_many_is_several_replies_also_within_an_array() -> None:
    """EXEC counts its commands, not their confirmations."""
    many = Many([1, b"x"])
    assert encode(many, 2) == b":1\r\n$1\r\nx\r\n"
    assert encode([many, None], 3) == b"*2\r\n:1\r\n$1\r\nx\r\n_\r\n"
    assert encode(Many(), 2) == b""


def test_keyspace_events_go_to_the_channels_that_the_flags_name(bench: Bench) -> None:
    """By key, by event, by both, or by neither when the event's class is not listened to."""
    client = bench.client()
    bench.on(client, "PSUBSCRIBE", "__key*")

    def heard(flags: int) -> bytes:
        client.outlet.data = b""
        publish_keyspace_event(bench.registry, flags, Event.ZSET, b"zadd", b"k\xff", 3)
        return client.outlet.data

    by_key = bulks(b"pmessage", b"__key*", b"__keyspace@3__:k\xff", b"zadd")
    by_event = bulks(b"pmessage", b"__key*", b"__keyevent@3__:zadd", b"k\xff")
    assert heard(Event.ZSET | Event.KEYSPACE) == by_key
    assert heard(Event.ZSET | Event.KEYEVENT) == by_event
    assert heard(Event.ZSET | Event.KEYEVENT | Event.KEYSPACE) == by_key + by_event
    assert heard(Event.STRING | Event.KEYEVENT | Event.KEYSPACE) == b""
    assert heard(Event.ZSET) == b""
    assert bench.effects() == []
