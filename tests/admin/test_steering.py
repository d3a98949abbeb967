"""Steering a node over HTTP besides its role: directives, the backlog's size, a failover; and handshakes read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.admin.support import Bench, FakeOutlet
from txrepl.directives import follow_directives
from txrepl.replication.failover import FailoverState
from txrepl.replication.handshake import Introduction, handshake
from txrepl.replication.states import LinkState
from txrepl.replication.transcripts import EXCHANGES_MAX, LINE_SHOWN_BYTES, TRANSCRIPTS_MAX, Recorded


def directed() -> Bench:
    """A node that follows its directives."""
    bench = Bench()
    follow_directives(bench.node)
    return bench


# -- directives ---------------------------------------------------------------------------------------------------


def test_all_directives_are_listed_under_their_modern_names() -> None:
    """Values are texts as CONFIG GET has them."""
    found = Bench().get("/v1/config").json["config"]
    assert found["repl-backlog-size"] == "1048576"
    assert found["replica-read-only"] == "yes"
    assert "slave-read-only" not in found


def test_a_directive_is_found_by_its_old_name_in_any_case() -> None:
    """As CONFIG GET does."""
    found = Bench().get("/v1/config/Slave-Read-Only").json
    assert (found["name"], found["alias"], found["value"]) == ("replica-read-only", "slave-read-only", "yes")
    assert found["is_default"] and found["mutable"] and found["honoured"]
    assert Bench().get("/v1/config/nonsense").refuses(404)


def test_directives_change_together() -> None:
    """Texts, numbers, true and false; what has changed is named, and the log says who asked."""
    bench = directed()
    answer = bench.ask(
        "PATCH", "/v1/config", json={"repl-timeout": 7, "replica-read-only": False, "repl-backlog-size": "2mb"}
    )
    assert answer.status == 200
    assert sorted(answer.json["changed"]) == ["repl-backlog-size", "repl-timeout", "replica-read-only"]
    assert [one["value"] for one in answer.json["directives"]] == ["7", "no", "2097152"]
    settings = bench.node.settings
    assert (settings.timeout_s, settings.read_only, settings.backlog_bytes) == (7, False, 2097152)
    assert any("user request from 'HTTP client" in line for line in bench.lines)


@pytest.mark.parametrize(
    ("more", "status", "field"),
    [
        ({"nonsense": 1}, 422, "nonsense"),
        ({"repl-backlog-size": "much"}, 422, "repl-backlog-size"),
        ({"repl-backlog-size": None}, 422, "repl-backlog-size"),
        ({"repl-backlog-size": [1]}, 422, "repl-backlog-size"),
        ({"repl-backlog-size": 1.5}, 422, "repl-backlog-size"),
        ({"masterauth": "a\0b"}, 422, "masterauth"),
        ({"REPL-TIMEOUT": 9}, 422, "REPL-TIMEOUT"),
        ({"http-port": 1}, 409, None),
        ({"dir": "/"}, 409, None),
    ],
)
def test_one_bad_directive_changes_none(more: dict[str, Any], status: int, field: str | None) -> None:
    """All or nothing, and the refusal names the one."""
    bench = directed()
    assert bench.ask("PATCH", "/v1/config", json={"repl-timeout": 7, **more}).refuses(status, field=field)
    assert bench.node.settings.timeout_s == bench.node.config.get_int("repl-timeout") == 60


def test_a_form_changes_directives_too() -> None:
    """curl -d name=value."""
    bench = directed()
    answer = bench.ask("PATCH", "/v1/config", data={"repl-timeout": "8"})
    assert answer.json["changed"] == ["repl-timeout"]
    assert bench.ask("PATCH", "/v1/config", data={"repl-timeout": "8"}).json["changed"] == []
    assert bench.ask("PATCH", "/v1/config", json={}).refuses(422, field="body")


# -- the backlog --------------------------------------------------------------------------------------------------


def test_the_backlog_is_resized() -> None:
    """The size counts at once; what is held stays as far as it fits, and less than 16 kB is 16 kB."""
    bench = directed()
    bench.attach()
    bench.write("SET", "k", "v" * 50_000)
    answer = bench.ask("PATCH", "/v1/backlog", json={"size_bytes": 2**25})
    assert (answer.status, answer.json["size_bytes"]) == (200, 2**25)
    backlog = bench.node.feed.backlog
    assert backlog is not None and backlog.size == 2**25
    assert bench.ask("PATCH", "/v1/backlog", data={"size_bytes": "1"}).json["size_bytes"] == 16384


@pytest.mark.parametrize("body", [{}, {"size_bytes": 0}, {"size_bytes": "16mb"}, {"size_bytes": 2**63}])
def test_a_size_that_is_none_is_refused(body: dict[str, Any]) -> None:
    """Missing, zero, not a number, too large."""
    assert directed().ask("PATCH", "/v1/backlog", json=body).refuses(422, field="size_bytes")


# -- failover -----------------------------------------------------------------------------------------------------


def online() -> tuple[Bench, FakeOutlet]:
    """A primary with one replica online that has not acknowledged everything."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "k", "v")
    _, outlet = bench.attach(6385, replid=bench.node.feed.history.replid, offset=1)
    return bench, outlet


def test_a_failover_begins_and_is_given_up() -> None:
    """202 with its state; then DELETE, and the node is a primary as before."""
    bench, _ = online()
    replica = bench.get("/v1/replicas").json["replicas"][-1]
    order = {"host": replica["address"], "port": replica["port"], "timeout_ms": 5000}
    answer = bench.post("/v1/failover", order)
    assert answer.status == 202
    assert {name: answer.json[name] for name in ("state", "host", "port", "left_ms", "force")} == {
        "state": "waiting-for-sync",
        "host": order["host"],
        "port": order["port"],
        "left_ms": 5000,
        "force": False,
    }
    assert bench.post("/v1/failover", {}).refuses(409)
    bench.clock.advance(2)
    assert bench.get("/v1/failover").json["left_ms"] == 3000
    assert bench.ask("DELETE", "/v1/failover").json["state"] == "no-failover"
    assert bench.node.failover.state is FailoverState.NONE
    assert bench.ask("DELETE", "/v1/failover").refuses(409)


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"host": "10.0.0.1"}, 422, "port"),
        ({"port": 1}, 422, "host"),
        ({"host": "10.0.0.1", "port": 0}, 422, "port"),
        ({"host": "a b", "port": 1}, 422, "host"),
        ({"timeout_ms": 0}, 422, "timeout_ms"),
        ({"force": True}, 422, "host"),
        ({"force": "yes"}, 422, "force"),
        ({"force": True, "host": "10.0.0.1", "port": 1}, 422, "timeout_ms"),
        ({"to": "x"}, 422, "to"),
        ({"host": "10.9.9.9", "port": 1}, 409, None),
    ],
)
def test_a_failover_that_cannot_be_is_refused(body: dict[str, Any], status: int, field: str | None) -> None:
    """Fields that make no sense, and a replica that is none; nothing has begun."""
    bench, _ = online()
    assert bench.post("/v1/failover", body).refuses(status, field=field)
    assert not bench.node.failover.is_under_way


def test_a_replica_has_no_failover_to_begin() -> None:
    """Only a primary with replicas has."""
    bench = Bench()
    assert bench.post("/v1/failover", {}).refuses(409)
    bench.become_replica()
    assert bench.post("/v1/failover", {}).refuses(409)


# -- handshakes ---------------------------------------------------------------------------------------------------


class Scripted:
    """A wire with a primary that says what is written down."""

    def __init__(self, *lines: bytes) -> None:
        self.lines = list(lines)
        self.sent: list[tuple[bytes, ...]] = []

    def send(self, *words: bytes) -> None:
        self.sent.append(words)

    async def line(self) -> bytes:
        return self.lines.pop(0)


def run(coroutine: Any) -> Any:
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def test_a_handshake_is_written_down_without_its_password() -> None:
    """Each command with the answer, the step and how long it took; AUTH's arguments are masked."""
    bench = Bench()
    node = bench.node
    transcript = node.transcripts.begin("10.0.0.1", 6379, node.now())
    wire = Scripted(b"", b"+PONG", b"+OK", b"+OK", b"+OK", b"-ERR what", b"+CONTINUE")
    introduction = Introduction(6380, user="alice-hush", password="pass-hush", replid="a" * 40, offset=7)
    node.link.state = LinkState.CONNECTING
    outcome = run(
        handshake(
            Recorded(wire, transcript, lambda: node.link.state, node.now),
            introduction,
            node.following.link_entered,
            node.log,
        )
    )
    bench.clock.advance(0.25)
    transcript.ended(node.now(), outcome=outcome.resync.value)
    assert (b"AUTH", b"alice-hush", b"pass-hush") in wire.sent
    answer = bench.get("/v1/handshakes")
    assert "hush" not in answer.text
    shown = answer.json["handshakes"][0]
    assert (shown["host"], shown["port"], shown["outcome"], shown["error"]) == ("10.0.0.1", 6379, "partial", None)
    assert shown["took_ms"] == 250
    assert [(one["step"], one["sent"], one["received"]) for one in shown["exchanges"]] == [
        ("receive_pong", "PING", "+PONG"),
        ("send_auth", "AUTH *** ***", "+OK"),
        ("send_port", "REPLCONF listening-port 6380", "+OK"),
        ("send_capa", "REPLCONF capa eof capa psync2", "+OK"),
        ("receive_capa", "REPLCONF version 9.0.0", "-ERR what"),
        ("send_psync", f"PSYNC {'a' * 40} 7", "+CONTINUE"),
    ]


def test_a_failed_attempt_says_why() -> None:
    """The error of the link is the transcript's; a later one changes nothing."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.transcripts.begin("10.0.0.1", 6379, bench.node.now())
    bench.node.following.link_failed("Connection refused")
    bench.node.following.link_failed("something else")
    shown = bench.get("/v1/handshakes").json["handshakes"]
    assert [(one["outcome"], one["error"], one["exchanges"]) for one in shown] == [(None, "Connection refused", [])]


def test_transcripts_are_bounded() -> None:
    """In number, in lines, and in the length of a line."""
    bench = Bench()
    transcripts = bench.node.transcripts
    for number in range(TRANSCRIPTS_MAX + 5):
        transcript = transcripts.begin("h", number, 0)
    wire = Scripted(*[b"+" + b"x" * 10_000] * 100)
    recorded = Recorded(wire, transcript, lambda: LinkState.CONNECTING, bench.node.now)
    for _ in range(100):
        recorded.send(b"PING", b"y" * 10_000)
        run(recorded.line())
    shown = bench.get("/v1/handshakes").json["handshakes"]
    assert len(shown) == TRANSCRIPTS_MAX
    assert shown[0]["port"] == TRANSCRIPTS_MAX + 4
    assert len(shown[0]["exchanges"]) == EXCHANGES_MAX
    assert max(len(one["received"]) for one in shown[0]["exchanges"]) == LINE_SHOWN_BYTES
