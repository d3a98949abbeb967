"""A comparison with a server that a test plays: what is certain is reported, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.admin.support import Bench
from txrepl.admin.comparison import ROUNDS, Comparison, Kind, Order, Phase, Shell
from txrepl.errors import CommandError, ReplicationError
from txrepl.keyspace.digest import value_digest
from txrepl.resp.answers import Answer

ALL = Order("10.0.0.1", 6379, "", "", None, 100)


class Played:
    """A Redis 7 with strings in database 0, of this node's history, standing where this node stands.

    Attributes:
        data: what it holds.
        on_read: called when keys are read in a transaction.
        behind: by how many bytes it is.
    """

    def __init__(self, bench: Bench, **data: str) -> None:
        self.bench = bench
        self.data = {name.encode(): text.encode() for name, text in data.items()}
        self.on_read: Callable[[], None] = lambda: None
        self.replid = bench.node.feed.history.replid
        self.behind = 0

    def answer(self, *words: bytes) -> Answer:
        match words:
            case [b"INFO", b"server"]:
                return b"redis_version:7.2.4\r\n"
            case [b"INFO", b"replication"]:
                offset = self.bench.node.feed.history.offset - self.behind
                return f"master_replid:{self.replid}\r\nmaster_repl_offset:{offset}\r\n".encode()
            case [b"INFO", b"keyspace"]:
                return b"db0:keys=%d,expires=0\r\n" % len(self.data)
            case [b"SELECT", number]:
                return "OK" if number == b"0" else CommandError("ERR DB index is out of range")
            case [b"SCAN", *_]:
                return [b"0", list(self.data)]
            case [b"EXISTS", *keys]:
                return sum(key in self.data for key in keys)
            case [b"DEBUG", b"DIGEST-VALUE", *keys]:
                return [value_digest(self.data[key]) if key in self.data else "0" * 40 for key in keys]
            case [b"PEXPIRETIME", key]:
                return -1 if key in self.data else -2
            case [b"TIME"]:
                return [b"1", b"0"]
            case [b"TYPE", key]:
                return "string" if key in self.data else "none"
        raise AssertionError(words)

    async def pipeline(self, commands: list[tuple[bytes, ...]]) -> list[Answer]:
        return [self.answer(*words) for words in commands]

    async def ask(self, *words: bytes) -> Answer:
        found = self.answer(*words)
        if isinstance(found, CommandError):
            raise found
        return found

    async def atomically(self, commands: list[tuple[bytes, ...]]) -> list[Answer]:
        found = [self.answer(*words) for words in commands]
        self.on_read()
        return found


class Run:
    """A comparison that is run to its end; pausing lets time pass.

    Parameters:
        other: the other server.
    """

    def __init__(self, other: Played, order: Order = ALL) -> None:
        self.on_pause: Callable[[], None] = lambda: None
        bench = other.bench

        async def pause(delay_s: float) -> None:
            bench.clock.advance(delay_s)
            self.on_pause()

        async def offload(work: Callable[[], int]) -> int:
            return work()

        self.comparison = Comparison(bench.node, order, Shell(bench.clock.seconds, pause, offload))
        self._other = other

    def end(self) -> Comparison:
        with pytest.raises(StopIteration):
            self.comparison.run(self._other).send(None)
        return self.comparison


def node_with(**data: str) -> Bench:
    bench = Bench()
    for name, text in data.items():
        bench.write("SET", name, text)
    return bench


def kinds(found: Comparison) -> dict[bytes, Kind]:
    return {one.key: one.kind for one in found.differences}


def test_equal_data_is_equal_and_leaves_no_watch_behind() -> None:
    """And a difference is watched for only while it is looked at."""
    bench = node_with(a="1", b="2")
    found = Run(Played(bench, a="1", b="2")).end()
    assert found.equal is True and found.phase is Phase.DONE and found.keys_done == 4
    found = Run(Played(bench, a="1", b="3", c="4")).end()
    assert kinds(found) == {b"b": Kind.VALUE, b"c": Kind.MISSING_HERE}
    assert kinds(Run(Played(bench)).end()) == {b"a": Kind.MISSING_THERE, b"b": Kind.MISSING_THERE}
    assert bench.node.keyspace.databases[0].watched == {}


def test_a_key_that_goes_away_and_comes_back_is_not_taken_for_one_that_stood_still() -> None:
    """It looks the same before and after: nothing is certain of it, and nothing is reported."""
    bench = node_with(a="here", b="1")
    other = Played(bench, a="there", b="2")
    turns: list[None] = []

    def flicker() -> None:
        turns.append(None)
        for text in ("there", "here"):
            bench.write("SET", "a", text)

    other.on_read = flicker
    found = Run(other).end()
    assert kinds(found) == {b"b": Kind.VALUE}
    assert found.undecided == [(0, b"a")] and found.undecided_count == 1
    assert len(turns) == ROUNDS


def test_a_key_that_settles_is_looked_at_until_it_has() -> None:
    """Written during the first look, still different afterwards; and one that has become equal."""
    bench = node_with(a="1", b="1")
    other = Played(bench, a="2", b="2")

    def once() -> None:
        other.on_read = lambda: None
        bench.write("SET", "a", "3")
        bench.write("SET", "b", "2")

    other.on_read = once
    found = Run(other).end()
    assert kinds(found) == {b"a": Kind.VALUE} and not found.undecided


def test_a_server_that_is_behind_is_waited_for_and_named_if_it_does_not_come() -> None:
    """With where each stands."""
    bench = node_with(a="1")
    other = Played(bench, a="1")
    other.behind = 5
    run = Run(other)
    run.on_pause = lambda: setattr(other, "behind", max(0, other.behind - 1))
    assert run.end().equal is True
    other.behind = 5
    with pytest.raises(ReplicationError, match="is the link between them up"):
        Run(other).end()


def test_a_history_that_changes_meanwhile_ends_it() -> None:
    """Offsets mean nothing any more."""
    bench = node_with(a="1")
    bench.node.feed.history.offset = 100
    other = Played(bench, a="2")
    other.on_read = lambda: setattr(other, "replid", "e" * 40)
    with pytest.raises(ReplicationError, match="no longer of one history"):
        Run(other).end()


def test_the_limit_ends_it() -> None:
    """And says that there is more."""
    bench = node_with(a="1", b="1", c="1")
    found = Run(Played(bench, a="2", b="2", c="2"), Order("h", 1, "", "", None, 2)).end()
    assert len(found.differences) == 2 and found.more and found.equal is False


@pytest.mark.parametrize(
    "body", [{}, {"host": "h"}, {"host": "h", "port": 1, "limit": 1001}, {"host": "h", "port": "x"}]
)
def test_orders_that_make_no_sense_are_refused(body: dict[str, Any]) -> None:
    """Of either feature, before anybody is dialled."""
    bench = Bench()
    assert bench.post("/v1/compare", body).refuses(422)
    body.pop("limit", None)
    if "port" not in body or body["port"] == "x":
        assert bench.post("/v1/preflight", body).refuses(422)
