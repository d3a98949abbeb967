"""`GET /v1/live`: whole states, once a second and when something happens; bounded; and nothing done for nobody."""

from __future__ import annotations

import json

import pytest
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tests.admin.schemas import faults
from tests.admin.support import Bench, Following
from tests.admin.test_openapi import busy_replica, failing_replica, primary_with_replicas, syncing_replica
from tests.admin.test_site import Wire, request, status
from txrepl.admin.features import live
from txrepl.admin.features.live import DECISIONS_SHOWN, PATIENCE_S
from txrepl.admin.openapi import SCHEMAS
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.states import LinkState

GET = request(b"Host: localhost", line=b"GET /v1/live HTTP/1.1")


def test_a_state_comes_at_once_and_then_every_second() -> None:
    """Nothing in between while nothing happens."""
    bench = Bench()
    following = Following(bench, "/v1/live")
    assert following.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert following.headers["cache-control"] == "no-store"
    ((_, name, first),) = following.take_events()
    assert (name, first["at_ms"]) == ("state", bench.node.now())
    for _ in range(9):
        bench.clock.advance(0.1)
    assert following.take() == ""
    bench.clock.advance(0.1)
    ((_, _, second),) = following.take_events()
    assert second["at_ms"] == pytest.approx(first["at_ms"] + 1000, abs=1)


@pytest.mark.parametrize("make", [Bench, busy_replica, syncing_replica, failing_replica, primary_with_replicas])
def test_every_state_fits_its_schema(make: type[Bench]) -> None:
    """The stream's states and the single one, in whatever condition the node is."""
    bench = make()
    ((_, _, streamed),) = Following(bench, "/v1/live").take_events()
    single = bench.get("/v1/live", headers={"Accept": "application/json"}).json
    assert not faults(streamed, SCHEMAS["Live"], SCHEMAS)
    assert not faults(single, SCHEMAS["Live"], SCHEMAS)
    assert streamed["replication"] == bench.get("/v1/replication").json == single["replication"]


def test_what_happens_is_told_within_a_tenth_of_a_second() -> None:
    """A role that changes, and each step of a handshake; what happens together is one state."""
    bench = Bench()
    following = Following(bench, "/v1/live")
    following.take()
    bench.node.replicate_from("10.0.0.9", 6379, "a test")
    bench.clock.advance(0.1)
    ((_, _, body),) = following.take_events()
    assert body["replication"]["link"]["host"] == "10.0.0.9"
    for state in (LinkState.CONNECTING, LinkState.RECEIVE_PONG, LinkState.SEND_PORT):
        bench.node.following.link_entered(state)
        bench.clock.advance(0.1)
        ((_, _, body),) = following.take_events()
        assert body["replication"]["link"]["step"] == state.name.lower()
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(1000)
    bench.clock.advance(0.1)
    ((_, _, body),) = following.take_events()
    assert body["replication"]["link"]["sync"]["total_bytes"] == 1000


def test_a_state_has_the_load_and_what_the_ids_mean() -> None:
    """The figures of INFO; the sentences of the text page."""
    bench = Bench()
    bench.write("SET", "k", "v" * 1_000_000)
    client, _ = bench.attach()
    bench.node.disconnect(client)
    bench.node.open_session(client.outlet, "127.0.0.1:1", "127.0.0.1:2")
    found = bench.get("/v1/live", headers={"Accept": "application/json"}).json
    assert found["load"]["clients"] == 1
    assert found["load"]["memory_bytes"] > 1_000_000
    page = " ".join(bench.get("/").text.split())
    assert all(sentence in page for sentence in found["meaning"].values())


def test_only_the_last_decisions_are_in_a_state() -> None:
    """A state stays small; /v1/syncs has all of them."""
    bench = Bench()
    for port in range(6400, 6400 + DECISIONS_SHOWN + 5):
        bench.attach(port)
    ((_, _, body),) = Following(bench, "/v1/live").take_events()
    every = bench.get("/v1/syncs").json["decisions"]
    assert body["syncs"]["decisions"] == every[:DECISIONS_SHOWN]
    assert len(every) > DECISIONS_SHOWN


def test_what_peers_chose_cannot_break_the_stream() -> None:
    """Line ends in an error text stay within the line of data."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.9", 6379, "a test")
    bench.node.following.link_failed("a\n\nevent: state\ndata: {}\r\n\udcff")
    ((_, _, body),) = Following(bench, "/v1/live").take_events()
    assert body["replication"]["link"]["last_error"] == r"a\n\nevent: state\ndata: {}\r\n\xff"


def test_one_state_is_made_for_all_readers_and_none_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node is looked at once a second, however many look on, and not at all when the last has left."""
    bench = Bench()
    made = []
    monkeypatch.setattr(live, "state", lambda node: made.append(node) or {})
    bench.clock.advance(5)
    assert made == []
    wires = [Wire(bench) for _ in range(3)]
    for wire in wires:
        assert status(wire.send(GET)) == 200
    made.clear()
    bench.clock.pump([0.1] * 20)
    assert len(made) == 2
    for wire in wires:
        wire.channel.connectionLost(Failure(ConnectionDone()))
    made.clear()
    bench.clock.pump([0.1] * 20)
    assert made == []


def test_a_reader_that_takes_nothing_is_dropped() -> None:
    """Nothing is queued for it meanwhile; the log names it; the others go on."""
    bench = Bench()
    slow, brisk = Wire(bench), Wire(bench)
    slow.send(GET)
    brisk.send(GET)
    slow.transport.producer.pauseProducing()
    before = slow.transport.value()
    bench.clock.pump([0.1] * (int(PATIENCE_S * 10) - 5))
    assert slow.transport.value() == before
    assert not any("too slowly" in line for line in bench.lines)
    bench.clock.pump([0.1] * 20)
    assert [line for line in bench.lines if "reads /v1/live too slowly and is dropped" in line]
    assert slow.transport.value().removeprefix(before).count(b"event: state") == 0
    assert b"event: dropped" in slow.transport.value()
    brisk.transport.clear()
    bench.clock.advance(1)
    assert b"event: state" in brisk.transport.value()


def test_a_reader_that_pauses_for_a_while_gets_the_state_of_then() -> None:
    """What it did not take is left out, not sent later."""
    bench = Bench()
    wire = Wire(bench)
    wire.send(GET)
    wire.transport.producer.pauseProducing()
    bench.clock.pump([0.1] * 50)
    paused_ms = bench.node.now()
    wire.transport.clear()
    wire.transport.producer.resumeProducing()
    assert wire.transport.value() == b""
    bench.clock.pump([0.1] * 10)
    data = wire.transport.value().split(b"data: ")[1].split(b"\n\n")[0]
    assert wire.transport.value().count(b"event: state") == 1
    assert json.loads(data)["at_ms"] > paused_ms
