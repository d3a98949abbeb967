"""Deadlines of fields beside a live Valkey 9: replies, stream, events and data; as its replica and its primary."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, run_both
from tests.interop.servers import RealServer, start, wait_until
from tests.interop.topology import NO_PINGS, SYNC_TIMEOUT_S, follow, in_sync
from txrepl.commands import hash_deadlines, hashes, keys, serialization, strings

FAMILIES = [hashes.family, hash_deadlines.family, keys.family, serialization.family, strings.family]
KEYS = ["h1", "h2", "h3"]
NAMES = ["a", "b", "c", "d", "e"]
FAR_MS = 4_102_444_800_000


@pytest.fixture(scope="module")
def valkey() -> Iterator[RealServer]:
    """One Valkey 9 for the comparisons."""
    with start("valkey9") as server:
        yield server


class Script:
    """Random commands about fields, good and bad.

    Parameters:
        seed: decides everything.
        deadlines: words of relative deadlines in ms that may be used beside the absolute ones.
    """

    def __init__(self, seed: int, deadlines: tuple[int, ...] = ()) -> None:
        self.rng = random.Random(seed)
        self._relative_ms = deadlines

    def fields(self) -> Words:
        names = [self.rng.choice(NAMES) for _ in range(self.rng.randint(1, 3))]
        count = len(names) if self.rng.random() < 0.95 else self.rng.choice(["0", "-1", "x", "7"])
        return [self.rng.choice(["FIELDS", "fields"]), count, *names]

    def pairs(self) -> Words:
        names = self.rng.sample(NAMES, self.rng.randint(1, 3))
        return ["FIELDS", len(names), *(word for name in names for word in (name, self.rng.randint(0, 9)))]

    def far(self, unit_ms: int) -> Words:
        if self.rng.random() < 0.08:
            return [self.rng.choice(["x", "-1", "9223372036854775807", "", "1.5"])]
        return [(FAR_MS + self.rng.randrange(4) * 5000) // unit_ms if self.rng.random() < 0.8 else 1]

    def option(self, *others: str) -> Words:
        words: Words = []
        for other in others:
            words = [*words, *([other] if self.rng.random() < 0.15 else [])]
        if self.rng.random() < 0.6:
            name, unit_ms = self.rng.choice([("EXAT", 1000), ("PXAT", 1), ("exat", 1000)])
            words = [*words, name, *self.far(unit_ms)]
        elif self._relative_ms and self.rng.random() < 0.5:
            words = [*words, "PX", self.rng.choice(self._relative_ms)]
        return words

    def command(self) -> Words:
        rng = self.rng
        key = rng.choice(KEYS) if rng.random() < 0.97 else "text"
        conditions = [rng.choice(["NX", "XX", "GT", "lt"]) for _ in range(rng.choice([0, 0, 0, 1, 1, 2]))]
        choices: list[Words] = [
            ["HSET", key, *(word for name in rng.sample(NAMES, 2) for word in (name, rng.randint(0, 9)))],
            ["HEXPIREAT", key, *self.far(1000), *conditions, *self.fields()],
            ["HPEXPIREAT", key, *self.far(1), *conditions, *self.fields()],
            ["HSETEX", key, *self.option("NX", "XX", "FNX", "fxx", "KEEPTTL"), *self.pairs()],
            ["HGETEX", key, *self.option("PERSIST"), *self.fields()],
            ["HPERSIST", key, *self.fields()],
            [rng.choice(["HEXPIRETIME", "HPEXPIRETIME"]), key, *self.fields()],
            ["HSETNX", key, rng.choice(NAMES), 5],
            ["HINCRBY", key, rng.choice(NAMES), rng.randint(-5, 5)],
            ["HINCRBYFLOAT", key, rng.choice(NAMES), "0.5"],
            ["HDEL", key, *rng.sample(NAMES, rng.randint(1, 2))],
            ["HMGET", key, *NAMES],
            ["HLEN", key],
            ["HEXISTS", key, rng.choice(NAMES)],
            ["COPY", key, rng.choice(KEYS), "REPLACE"],
            ["RENAME", key, rng.choice(KEYS)],
            ["TYPE", key],
            ["DEL", key],
        ]
        if self._relative_ms:
            choices += [["HPEXPIRE", key, rng.choice(self._relative_ms), *conditions, *self.fields()]] * 3
            choices += [["HGETDEL", key, *self.fields()]]
        return rng.choice(choices)


@pytest.mark.parametrize("proto", [2, 3])
def test_random_commands_about_fields_do_what_they_do_on_valkey(valkey: RealServer, proto: int) -> None:
    """Replies, errors, what goes into the stream, events and data are the same to the byte."""
    script = Script(40 + proto)
    commands: list[Words] = [["SET", "text", "x"], *(script.command() for _ in range(1500))]
    run_both(valkey, FAMILIES, commands, proto)


def _with_hidden_fields() -> Iterator[Words]:
    """Fields whose deadline passes while nobody deletes them, and every command over them."""
    names = [f"f{n}" for n in range(12)]
    for key in ("h", "g", "all"):
        yield ["HSET", key, *(word for name in names for word in (name, 1))]
        when_ms = int(time.time() * 1000) + 40
        yield ["HPEXPIREAT", key, when_ms, "FIELDS", 12 if key == "all" else 8, *names[: 12 if key == "all" else 8]]
        wait_until(lambda when_ms=when_ms: time.time() * 1000 > when_ms + 5, 5, "the deadline passes")  # type: ignore[misc]
    for key in ("h", "all"):
        yield from (
            ["HGET", key, "f0"],
            ["HMGET", key, *names],
            ["HEXISTS", key, "f0"],
            ["HSTRLEN", key, "f0"],
            ["HLEN", key],
            ["HGETALL", key] if key == "all" else ["HGET", key, "f9"],
            ["HKEYS", "all"],
            ["HRANDFIELD", "all", 3],
            ["HRANDFIELD", "all"],
            ["HSCAN", "all", 0, "COUNT", 1000],
            ["HPTTL", key, "FIELDS", 2, "f0", "f11"],
            ["HGETEX", key, "PERSIST", "FIELDS", 1, "f0"],
            ["HPERSIST", key, "FIELDS", 1, "f0"],
            ["HPEXPIREAT", key, FAR_MS, "FIELDS", 1, "f0"],
            ["HSETEX", key, "FXX", "FIELDS", 1, "f0", 2],
            ["HDEL", key, "f0"],
            ["EXISTS", key],
            ["TYPE", key],
            ["HSET", key, "f0", 5],
            ["HSETNX", key, "f1", 5],
            ["HINCRBY", key, "f2", 5],
            ["HINCRBYFLOAT", key, "f3", 5],
            ["HSETEX", key, "KEEPTTL", "FIELDS", 2, "f4", 5, "f9", 6],
            ["HSETEX", key, "FNX", "PXAT", FAR_MS, "FIELDS", 1, "f5", 5],
            ["HSETEX", key, "PXAT", 1, "FIELDS", 2, "f6", 5, "none", 5],
            ["HSETEX", key, "FIELDS", 1, "f7", 5],
            ["HLEN", key],
        )
    yield ["RENAME", "g", "renamed"]
    yield ["HLEN", "renamed"]
    yield ["DEL", "renamed", "all"]


def test_hidden_fields_are_met_as_on_valkey(valkey: RealServer) -> None:
    """Replies, stream and events of every command over fields that are due and not yet deleted."""
    run_both(valkey, FAMILIES, _with_hidden_fields(), 2)


@pytest.mark.parametrize(("primary_kind", "replica_kind"), [("valkey9", "txrepl"), ("txrepl", "valkey9")])
def test_fields_expire_alike_on_both_sides_of_a_link(run: Run, primary_kind: str, replica_kind: str) -> None:
    """Two thousand commands, many with deadlines of a few ms; then offsets, data and every deadline are equal."""
    primary, replica = run(primary_kind, **NO_PINGS), run(replica_kind, **NO_PINGS)
    primary.command("HSETEX", "before", "PX", 50, "FIELDS", 2, "a", 1, "b", 2)
    primary.command("HSETEX", "before", "PXAT", FAR_MS, "FIELDS", 1, "c", 3)
    follow(replica, primary)
    script = Script(50, deadlines=(1, 3, 10, 40, 100_000))
    with primary.connect() as client:
        for _ in range(2000):
            client.execute(*script.command())
        client.command("HSET", "last", *(word for n in range(700) for word in (f"f{n}", n)))
        client.command("HPEXPIRE", "last", 1, "FIELDS", 700, *(f"f{n}" for n in range(700)))
    wait_until(lambda: primary.command("EXISTS", "last") == 0, 20, "active expiry deletes the last hash")
    wait_until(lambda: _no_field_is_due(primary), 20, "no field is due")
    wait_until(lambda: in_sync(primary, replica), SYNC_TIMEOUT_S, "the replica has it all")
    assert _state(primary) == _state(replica)
    assert _digest(primary) == _digest(replica)
    assert int(primary.info("stats")["expired_fields"]) > 700
    assert int(replica.info("stats")["expired_fields"]) == 0
    assert "== CRITICAL ==" not in replica.log_text()


def _digest(server: RealServer) -> str:
    """Valkey's digest leaves the deadlines of fields out; txrepl is asked for that form."""
    words = ["VALKEY"] if server.kind == "txrepl" else []
    answer = server.command("DEBUG", "DIGEST", *words)
    return answer.decode() if isinstance(answer, bytes) else str(answer)


def _no_field_is_due(server: RealServer) -> bool:
    """HLEN counts the hidden fields, HKEYS does not."""
    return all(server.command("HLEN", key) == len(server.command("HKEYS", key)) for key in [*KEYS, "before"])


def _state(server: RealServer) -> dict[bytes, object]:
    state: dict[bytes, object] = {}
    for key in [*KEYS, "before"]:
        fields = sorted(server.command("HKEYS", key))
        if fields:
            deadlines = server.command("HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
            state[key.encode()] = [fields, deadlines, server.command("HMGET", key, *fields)]
    return state
