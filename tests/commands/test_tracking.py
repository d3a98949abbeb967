"""Tracking without a server: what is remembered, who is told what and when, and what is given up."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txrepl.commands.tracking import Mode, Tracking
from txrepl.commands.tracking_table import TrackingTable, overlap
from txrepl.keyspace.database import Event, Keyspace
from txrepl.resp.replies import Push, encode


class Client:
    """A client of tracking that keeps what it is told."""

    def __init__(self, number: int, proto: int = 3) -> None:
        self.number = number
        self.proto = proto
        self.tracking: Mode | None = None
        self.channels: set[bytes] | None = None
        self.patterns: set[bytes] | None = None
        self.shard_channels: set[bytes] | None = None
        self.told: list[bytes] = []

    @property
    def outlet(self) -> Client:
        return self

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def take(self) -> list[bytes]:
        taken, self.told = self.told, []
        return taken


class World:
    """A keyspace, some clients, and what is to be done soon."""

    def __init__(self, count: int = 3) -> None:
        self.keyspace = Keyspace(16, random.Random(1))
        self.clients = {number: Client(number) for number in range(1, count + 1)}
        self.soon: list[Callable[[], None]] = []
        self.tracking = Tracking(self.keyspace, self.clients, self.soon.append)

    def start(self, client: Client, mode: Mode) -> None:
        """A client starts to track by a command that is over then."""
        self.tracking.start(client, mode)
        self.tracking.current = 0

    def change(self, *keys: bytes, by: int = 0) -> None:
        """Keys change by a command of a client, 0 for one that does not track."""
        self.tracking.current = by
        for key in keys:
            self.keyspace.databases[0].changed(key, Event.STRING, b"set")
        self.tracking.current = 0

    def later(self) -> None:
        """What was to be done soon is done."""
        actions, self.soon[:] = list(self.soon), []
        for action in actions:
            action()


def invalid(*keys: bytes) -> bytes:
    return encode(Push([b"invalidate", [*keys]]), 3)


@pytest.fixture
def world() -> World:
    """Three clients that speak RESP3."""
    return World()


def test_who_read_a_key_is_told_once(world: World) -> None:
    """Until it is read again; those who read another key, or do not track, hear nothing."""
    one, two, _ = world.clients.values()
    for client in (one, two):
        world.start(client, Mode())
    world.tracking.remember(one, [b"a", b"b"])
    world.tracking.remember(two, [b"b"])
    world.change(b"a", b"b", b"c")
    assert one.take() == [invalid(b"a"), invalid(b"b")]
    assert two.take() == [invalid(b"b")]
    world.change(b"a", b"b")
    assert one.take() == two.take() == []
    assert world.tracking.table.items == world.tracking.table.keys == 0


def test_nothing_is_reported_while_nobody_tracks(world: World) -> None:
    """The keyspace's one test of the hot path stays false, notifications or not."""
    one = world.clients[1]
    assert world.keyspace.attention == 0
    world.start(one, Mode())
    assert world.keyspace.attention
    assert world.keyspace.notify_flags == 0
    world.tracking.stop(one)
    assert world.keyspace.attention == 0
    world.keyspace.notify_flags = int(Event.STRING)
    world.start(one, Mode())
    world.tracking.stop(one)
    assert world.keyspace.notify_flags == world.keyspace.attention == int(Event.STRING)


def test_an_own_change_is_told_after_the_reply(world: World) -> None:
    """Unless it is not wanted at all (NOLOOP)."""
    one, two, _ = world.clients.values()
    world.start(one, Mode())
    world.start(two, Mode(no_loop=True))
    for client in (one, two):
        world.tracking.remember(client, [b"k"])
    world.change(b"k", by=1)
    assert one.take() == []
    assert two.take() == [invalid(b"k")]
    assert world.tracking.own_messages(one) == [Push([b"invalidate", [b"k"]])]
    assert world.tracking.own_messages(one) == []
    world.tracking.remember(two, [b"k"])
    world.change(b"k", by=2)
    assert world.tracking.own_messages(two) == two.take() == []


def test_opt_in_and_opt_out_reverse_each_other(world: World) -> None:
    """CLIENT CACHING was said, or not."""
    one, two, _ = world.clients.values()
    world.start(one, Mode(opt_in=True))
    world.start(two, Mode(opt_out=True))
    for caching, key in ((False, b"unsaid"), (True, b"said")):
        for client in (one, two):
            assert client.tracking is not None
            client.tracking.caching = caching
            world.tracking.remember(client, [key])
    world.change(b"said", b"unsaid")
    assert one.take() == [invalid(b"said")]
    assert two.take() == [invalid(b"unsaid")]


def test_followers_of_prefixes_hear_of_all_changes_at_once(world: World) -> None:
    """Sorted, each key once; not of their own with NOLOOP; what they read does not matter."""
    one, two, three = world.clients.values()
    world.start(one, Mode(broadcast=True, prefixes={b"a", b"b"}))
    world.start(two, Mode(broadcast=True, prefixes={b""}, no_loop=True))
    world.start(three, Mode())
    world.tracking.remember(one, [b"c"])
    world.change(b"b2", b"a1", b"c", b"b1", b"b2")
    world.change(b"b1", by=2)
    assert one.take() == two.take() == []
    assert len(world.soon) == 1
    world.later()
    assert one.take() == [invalid(b"a1"), invalid(b"b1", b"b2")]
    assert two.take() == [invalid(b"a1", b"b2", b"c")]
    assert three.take() == []
    world.change(b"x", by=2)
    world.later()
    assert two.take() == []


def test_an_emptied_database_is_told_to_all_who_track(world: World) -> None:
    """As one null in place of keys."""
    one, two, three = world.clients.values()
    world.start(one, Mode())
    world.start(two, Mode(broadcast=True, prefixes={b"p"}))
    world.tracking.remember(one, [b"k"])
    world.tracking.current = 2
    world.keyspace.emptied()
    world.tracking.current = 0
    assert one.take() == [encode(Push([b"invalidate", None]), 3)]
    assert world.tracking.own_messages(two) == [Push([b"invalidate", None])]
    assert world.tracking.table.keys == 0
    assert three.take() == []


def test_messages_go_to_another_client_until_it_is_gone(world: World) -> None:
    """To a RESP2 client as messages of a channel, once it listens to any; then the client hears that it is alone."""
    one, two, three = world.clients.values()
    two.proto = 2
    world.start(one, Mode(redirect=2))
    world.tracking.remember(one, [b"k"])
    world.change(b"k")
    assert two.take() == []
    two.channels = {b"__redis__:invalidate"}
    world.tracking.remember(one, [b"k"])
    world.change(b"k", by=1)
    assert world.tracking.own_messages(one) == []
    assert two.take() == [b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n"]
    world.start(one, Mode(redirect=3))
    world.tracking.remember(one, [b"k"])
    world.change(b"k")
    assert three.take() == [invalid(b"k")]
    del world.clients[3]
    world.tracking.remember(one, [b"k"])
    world.change(b"k")
    assert one.take() == [encode(Push([b"tracking-redir-broken", 3]), 3)]
    assert one.tracking is not None and one.tracking.is_broken


def test_a_resp2_client_that_redirects_nowhere_hears_nothing(world: World) -> None:
    """It tracks all the same."""
    one = world.clients[1]
    one.proto = 2
    world.start(one, Mode())
    world.tracking.remember(one, [b"k"])
    world.change(b"k")
    assert one.take() == []
    assert world.tracking.count == 1


def test_beyond_the_limit_the_oldest_keys_are_given_up(world: World) -> None:
    """Whoever holds them is told to drop them."""
    one = world.clients[1]
    world.tracking.max_keys = 3
    world.start(one, Mode())
    for number in range(5):
        world.tracking.remember(one, [b"%d" % number])
    assert one.take() == [invalid(b"0"), invalid(b"1")]
    assert (world.tracking.table.keys, world.tracking.table.items) == (3, 3)
    world.tracking.max_keys = 1
    world.tracking.remember(one, [b"m%d" % number for number in range(250)])
    assert world.tracking.table.keys == 253 - 100
    world.tracking.remember(one, [b"more"])
    assert world.tracking.table.keys == 1


def test_a_client_that_left_is_forgotten_when_its_keys_change(world: World) -> None:
    """Its prefixes at once; a new client with other keys is not told in its stead."""
    one, two, _ = world.clients.values()
    world.start(one, Mode(broadcast=True, prefixes={b"p"}))
    world.tracking.stop(one)
    assert world.tracking.table.prefixes == {}
    for client in (one, two):
        world.start(client, Mode())
    world.tracking.remember(one, [b"k", b"l"])
    world.tracking.stop(one)
    assert world.tracking.table.items == 2
    world.change(b"k")
    assert one.take() == two.take() == []
    assert world.tracking.table.items == 1
    world.tracking.stop(two)
    assert world.tracking.table.items == 0


PREFIXES = st.lists(st.text("ab", max_size=3).map(str.encode), max_size=4)


@settings(max_examples=200, deadline=None)
@given(PREFIXES, PREFIXES)
def test_overlap_finds_what_could_be_told_twice(asked: list[bytes], followed: list[bytes]) -> None:
    """Exactly if there is a key below two of the prefixes."""
    keys = [b"".join(letters) for letters in _words(4)]
    twice = any(
        key.startswith(first) and key.startswith(second)
        for key in keys
        for position, first in enumerate(asked)
        for second in [*asked[position + 1 :], *followed]
    )
    assert (overlap(asked, followed) is not None) == twice


def _words(length: int) -> list[tuple[bytes, ...]]:
    if length == 0:
        return [()]
    return [(letter, *rest) for letter in (b"a", b"b") for rest in _words(length - 1)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 3), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just("change"), st.just(0), st.sampled_from([b"a", b"b", b"c"])),
        st.tuples(st.just("forget"), st.just(0), st.just(b"")),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_the_table_is_a_set_of_pairs(steps: list[tuple[str, int, bytes]]) -> None:
    """Against a model; its counts never go astray."""
    table, model = TrackingTable(), set[tuple[int, bytes]]()
    for name, client, key in steps:
        if name == "read":
            table.remember(client, [key, key])
            model.add((client, key))
        elif name == "change":
            assert set(table.readers_of(key)) == {number for number, known in model if known == key}
            model = {pair for pair in model if pair[1] != key}
        else:
            table.forget_keys()
            model.clear()
        assert (table.items, table.keys) == (len(model), len({known for _, known in model}))
