"""Each path: what it tells of a node, and what it does to one."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError

from tests.admin.support import START_MS, Bench, FakeOutlet
from txrepl.admin.openapi import ROUTES
from txrepl.commands.stats import Loading
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.states import LinkState

TARGET = {"host": "10.0.0.9", "port": 6379}


# -- facts --------------------------------------------------------------------------------------------------------


def test_a_fresh_node_is_a_primary_without_anything() -> None:
    """Nothing is made up: what is not there is null or empty."""
    bench = Bench()
    found = bench.get("/v1/replication").json
    history = bench.node.feed.history
    assert found["backlog"].pop("size_bytes") == 1024 * 1024
    assert found == {
        "role": "primary",
        "replid": history.replid,
        "replid2": None,
        "offset": 0,
        "second_offset": None,
        "link": None,
        "replicas": [],
        "backlog": {
            "active": False,
            "length_bytes": 0,
            "first_offset": None,
            "next_offset": None,
            "bytes_per_second": None,
            "held_seconds": None,
            "covers_seconds": None,
            "recommended_bytes": 1024 * 1024,
        },
    }


def test_a_replica_shows_its_primary() -> None:
    """The link's state is shown with what leads to it."""
    bench = Bench()
    bench.become_replica("10.0.0.1", 6379)
    bench.clock.advance(1.5)
    found = bench.get("/v1/replication").json
    assert found["role"] == "replica"
    link = found["link"]
    assert (link["host"], link["port"], link["up"], link["state"]) == ("10.0.0.1", 6379, True, "connected")
    assert link["last_io_seconds"] == 1.5
    assert [step["step"] for step in link["handshake"]] == ["connecting", "receive_pong", "connected"]
    assert all(step["at_ms"] == START_MS for step in link["handshake"])
    assert link["last_error"] is link["down_seconds"] is link["sync"] is None


def test_a_promotion_shows_the_history_before() -> None:
    """replid2 and the offset up to which it is good."""
    bench = Bench()
    bench.become_replica()
    before = bench.node.feed.history.replid
    bench.post("/v1/replicaof", {"no_one": True})
    found = bench.get("/v1/replication").json
    assert found["role"] == "primary"
    assert found["replid2"] == before != found["replid"]
    assert found["second_offset"] == found["offset"] + 1


def test_a_broken_link_shows_why_and_since_when() -> None:
    """The last error in words, the attempts, the seconds."""
    bench = Bench()
    bench.become_replica()
    bench.node.following.link_lost("Connection closed")
    bench.clock.advance(2)
    bench.node.following.link_failed("Connection refused")
    link = bench.get("/v1/replication").json["link"]
    assert (link["up"], link["state"], link["down_seconds"]) == (False, "connect", 2.0)
    assert (link["failures"], link["last_error"], link["resumable"]) == (1, "Connection refused", True)


def test_a_full_sync_shows_its_progress() -> None:
    """Bytes, share, rate and time left, from the first byte on."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.clock.advance(5)
    sync = bench.get("/v1/replication").json["link"]["sync"]
    assert (sync["read_bytes"], sync["total_bytes"], sync["bytes_per_second"]) == (0, None, None)
    bench.node.full_sync.transfer_begun(1000)
    bench.clock.advance(2)
    bench.node.full_sync.transfer_moved(250)
    bench.clock.advance(0.5)
    sync = bench.get("/v1/replication").json["link"]["sync"]
    assert sync == {
        "total_bytes": 1000,
        "read_bytes": 250,
        "percent": 25.0,
        "bytes_per_second": 100,
        "eta_seconds": 7.5,
        "elapsed_seconds": 7.5,
        "last_io_seconds": 0.5,
    }


def test_a_diskless_sync_has_no_end_in_sight() -> None:
    """Without a length there is no share and no time left, but a rate."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(0)
    bench.clock.advance(2)
    bench.node.full_sync.transfer_moved(250)
    sync = bench.get("/v1/replication").json["link"]["sync"]
    assert (sync["total_bytes"], sync["percent"], sync["eta_seconds"]) == (None, None, None)
    assert sync["bytes_per_second"] == 125


def test_an_attached_replica_shows_its_state_and_lag() -> None:
    """From waiting for a snapshot to online, with bytes and seconds behind."""
    bench = Bench()
    waiting, _ = bench.attach(6381)
    online, outlet = bench.attach(6382, replid=bench.node.feed.history.replid, offset=1)
    assert outlet.written.startswith(b"+CONTINUE")
    bench.write("SET", "key", "value")
    offset = bench.node.feed.history.offset
    bench.run(online, "REPLCONF", "ACK", offset - 10)
    bench.clock.advance(0.25)
    first, second = bench.get("/v1/replicas").json["replicas"]
    assert (first["id"], first["port"], first["state"]) == (waiting.number, 6381, "wait_bgsave_start")
    assert first["lag_bytes"] is first["lag_seconds"] is None
    assert (second["id"], second["port"], second["state"]) == (online.number, 6382, "online")
    assert (second["offset"], second["lag_bytes"], second["lag_seconds"]) == (offset - 10, 10, 0.25)
    assert second["capabilities"] == ["eof", "psync2"]


def test_the_backlog_shows_what_it_holds() -> None:
    """Offsets from the first that can be read to the next that will be written."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "key", "value")
    held = bench.get("/v1/backlog").json
    assert held["active"] is True
    assert held["first_offset"] == 1
    assert held["next_offset"] == bench.node.feed.history.offset + 1 == held["length_bytes"] + 1


def test_sync_decisions_are_shown_newest_first_with_reasons() -> None:
    """What was asked, what was answered, and why."""
    bench = Bench()
    bench.attach(6381)
    bench.attach(6382, replid=bench.node.feed.history.replid, offset=1)
    bench.attach(6383, replid="b" * 40, offset=7)
    found = bench.get("/v1/syncs").json
    assert (found["full"], found["partial_ok"], found["partial_err"]) == (2, 1, 1)
    foreign, partial, new = found["decisions"]
    assert foreign["asked"] == {"replid": "b" * 40, "offset": 7}
    assert (foreign["answer"], partial["answer"], new["answer"]) == ("full", "partial", "full")
    assert "is not ours" in foreign["reason"]
    assert new["asked"]["replid"] is None
    conditions = [one["condition"] for one in found["decisions"]]
    assert conditions == ["replid_mismatch", None, "first_sync"]
    assert {one["direction"] for one in found["decisions"]} == {"given"}
    assert "SHUTDOWN SAVE" in foreign["avoidance"]
    assert partial["avoidance"] is new["avoidance"] is None
    assert found["advice"] == []


def test_a_backlog_that_fell_short_names_the_size_that_would_have_done() -> None:
    """What would have avoided it is a number, to the byte and as one sets it, and where we stood is shown."""
    bench = Bench()
    session, _ = bench.attach(6381)
    bench.node.disconnect(session)
    backlog = bench.node.feed.backlog
    assert backlog is not None
    backlog.resize(16 * 1024)
    bench.node.settings.backlog_bytes = 16 * 1024
    for number in range(100):
        bench.write("SET", f"key{number}", "x" * 1000)
    missing = backlog.first_offset - 1
    assert missing > 0
    bench.attach(6382, replid=bench.node.feed.history.replid, offset=1)
    decision = bench.get("/v1/syncs").json["decisions"][0]
    offset = bench.node.feed.history.offset
    assert (decision["condition"], decision["missing_bytes"]) == ("backlog_short", missing)
    assert decision["saving_backlog_bytes"] == offset
    assert decision["avoidance"] == f"`repl-backlog-size 1mb` ({offset} bytes would have done)"
    assert decision["ours"]["backlog_first_offset"] == missing + 1
    assert decision["ours"]["backlog_next_offset"] == offset + 1
    assert decision["ours"]["backlog_size_bytes"] == 16 * 1024


def test_what_a_primary_answered_is_shown_too() -> None:
    """A partial resync, a full one with its cost, and a refusal that is counted, not repeated."""
    bench = Bench()
    bench.become_replica("10.0.0.1", 6379)
    bench.node.following.link_lost("a test")
    bench.clock.advance(1)
    bench.node.full_sync.promised(Outcome(Resync.FULL, "c" * 40, 1000))
    bench.node.full_sync.transfer_begun(500)
    bench.node.full_sync.transfer_moved(200)
    bench.clock.advance(0.25)
    bench.node.following.link_failed("a test")
    for _ in range(3):
        bench.clock.advance(1)
        bench.node.following.sync_refused("-LOADING a test")
    refused, full, partial = bench.get("/v1/syncs").json["decisions"]
    assert [one["answer"] for one in (refused, full, partial)] == ["refused", "full", "partial"]
    assert {one["direction"] for one in (refused, full, partial)} == {"received"}
    assert (full["condition"], full["peer"]) == ("replid_mismatch", "10.0.0.1:6379")
    assert full["cost"] == {"bytes": 200, "duration_ms": 250, "stage": "broken"}
    assert (refused["condition"], refused["times"]) == ("try_later", 3)
    assert refused["last_ms"] == refused["at_ms"] + 2000


def test_a_replica_that_loses_one_full_sync_after_the_other_is_named_with_the_remedy() -> None:
    """The third within ten minutes makes it advice, with a value to set, in JSON and on both pages."""
    bench = Bench()
    assert "!" not in bench.get("/syncs.txt").text
    for _ in range(3):
        _, outlet = bench.attach(6381)
        outlet.close(flush=False)
        bench.clock.advance(10)
    advice = bench.get("/v1/syncs").json["advice"]
    assert [(one["replica"], one["cause"], one["full_syncs"]) for one in advice] == [
        ("10.0.0.131:6381", "transfer_broken", 3)
    ]
    assert (advice[0]["setting"], advice[0]["value"], advice[0]["on_replica"]) == ("repl-timeout", "120", True)
    for path in ("/", "/syncs.txt"):
        assert "  ! Replica 10.0.0.131:6381 needs one full sync after the other: 3 in 20" in bench.get(path).text
    assert bench.get("/syncs.txt").text.count("transfer_broken") == 5


def test_lag_is_told_in_milliseconds() -> None:
    """Nothing while acknowledgements come and say all is there; the age of the first byte that is missing when not."""
    bench = Bench()
    bench.attach(6382)
    session, _ = bench.attach(6383, replid=bench.node.feed.history.replid, offset=1)

    def lag() -> int:
        return int(bench.get("/v1/replicas").json["replicas"][-1]["lag_ms"])

    def pass_time(seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            bench.clock.advance(0.1)
            bench.node.tick()

    pass_time(1)
    bench.run(session, "REPLCONF", "ACK", bench.node.feed.history.offset)
    assert lag() == 0
    bench.write("SET", "key", "value")
    pass_time(1)
    assert lag() == 0
    pass_time(2)
    assert 2900 <= lag() <= 3100
    bench.run(session, "REPLCONF", "ACK", bench.node.feed.history.offset)
    assert lag() == 0


def test_what_peers_chose_cannot_break_the_output() -> None:
    """Escape sequences and bytes that are no text come out as visible escapes, in JSON and on the page."""
    bench = Bench()
    bench.node.replicate_from("\x1b[2Jevil\udcff", 6379, "a test")
    bench.node.following.link_failed("bad\r\nreply \x07")
    link = bench.get("/v1/replication").json["link"]
    assert link["host"] == "\\x1b[2Jevil\\xff"
    assert link["last_error"] == "bad\\r\\nreply \\x07"
    assert all(line.isprintable() for line in bench.get("/").text.split("\n"))


# -- INFO ---------------------------------------------------------------------------------------------------------


def test_info_is_json_with_numbers() -> None:
    """Sections by name; numbers are numbers, ids and versions are text, packed fields are taken apart."""
    bench = Bench()
    bench.attach(6381)
    bench.write("SET", "key", "value")
    found = bench.get("/v1/info?section=everything").json
    assert found["replication"]["connected_slaves"] == 1
    assert found["replication"]["master_replid"] == bench.node.feed.history.replid
    assert found["replication"]["slave0"] == {
        "ip": "10.0.0.131",
        "port": 6381,
        "state": "wait_bgsave",
        "offset": 0,
        "lag": 0,
    }
    assert found["server"]["redis_version"] == "7.2.4"
    assert isinstance(found["memory"]["mem_fragmentation_ratio"], float)
    assert found["keyspace"]["db0"]["keys"] == 1
    assert found["commandstats"]["cmdstat_set"]["calls"] == 1


def test_info_as_text_is_what_the_command_answers() -> None:
    """Byte for byte, where the client prefers text."""
    bench = Bench()
    answer = bench.get("/v1/info?section=replication", headers={"Accept": "text/plain"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    client = bench.node.open_session(FakeOutlet(), "127.0.0.1:40000", "127.0.0.1:6379")
    assert bench.run(client, "INFO", "replication") == b"$%d\r\n%s\r\n" % (len(answer.body), answer.body)


@pytest.mark.parametrize(
    ("query", "sections"),
    [
        ("section=replication", {"replication"}),
        ("section=Replication,SERVER", {"replication", "server"}),
        ("section=cpu&section=memory", {"cpu", "memory"}),
    ],
)
def test_info_gives_the_sections_asked_for(query: str, sections: set[str]) -> None:
    """One, a list, or the parameter repeated; in any case."""
    assert set(Bench().get(f"/v1/info?{query}").json) == sections


def test_info_gives_the_default_sections_where_nothing_is_asked() -> None:
    """As the command does: without the statistics of commands."""
    found = Bench().get("/v1/info").json
    assert "replication" in found
    assert "commandstats" not in found
    assert Bench().get("/v1/info?section=default").json.keys() == found.keys()


@pytest.mark.parametrize("accept", ["application/json", "text/plain"])
def test_an_unknown_section_is_refused_with_those_known(accept: str) -> None:
    """A misspelt section is not silently empty."""
    answer = Bench().get("/v1/info?section=replicaton", headers={"Accept": accept})
    assert answer.refuses(422, field="section")
    assert "replication" in answer.json["detail"]


# -- probes -------------------------------------------------------------------------------------------------------


def test_a_primary_is_ready() -> None:
    """And alive."""
    bench = Bench()
    assert bench.get("/healthz").json == {"status": "alive"}
    assert bench.get("/readyz").json == {"status": "ready"}


def test_a_replica_is_ready_while_its_link_is_up() -> None:
    """Alive it is always; 503 says in words why it is not ready."""
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    answer = bench.get("/readyz")
    assert answer.refuses(503)
    assert "link to the primary is down" in answer.json["detail"]
    assert answer.headers["retry-after"] == "1"
    assert bench.get("/healthz").status == 200
    bench.come_online()
    assert bench.get("/readyz").status == 200


def test_a_loading_node_is_not_ready() -> None:
    """From disk and from the primary alike, each in its own words."""
    bench = Bench()
    bench.node.loading = Loading(START_MS)
    assert "loading the dataset" in bench.get("/readyz").json["detail"]
    bench.node.loading = None
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(1000)
    assert "full sync" in bench.get("/readyz").json["detail"]


# -- replicaof ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/replicaof", "/v1/slaveof"])
def test_it_follows_at_once(path: str) -> None:
    """202, the role has changed, the connection has begun, and the log says who."""
    bench = Bench()
    answer = bench.post(path, TARGET)
    assert answer.status == 202
    assert answer.json["changed"] is True
    assert answer.json["role"] == "replica"
    assert (answer.json["link"]["host"], answer.json["link"]["port"]) == ("10.0.0.9", 6379)
    assert bench.host.asked == ["drop", "connect"]
    assert bench.lines[-1] == (
        "notice REPLICAOF 10.0.0.9:6379 enabled (user request from 'HTTP client 127.0.0.1:31337')"
    )


def test_a_form_does_as_well() -> None:
    """As `curl -d host=… -d port=…` sends it."""
    bench = Bench()
    answer = bench.ask("POST", "/v1/replicaof", data={"host": "10.0.0.9", "port": "6379"})
    assert answer.status == 202
    assert bench.node.link.host == "10.0.0.9"


def test_no_one_promotes() -> None:
    """The form that curl sends; doing it again changes nothing and says so."""
    bench = Bench()
    bench.become_replica()
    answer = bench.ask("POST", "/v1/replicaof", data={"no_one": "true"})
    assert (answer.status, answer.json) == (202, {"changed": True, "role": "primary", "link": None})
    assert bench.node.link.host == ""
    assert bench.post("/v1/replicaof", {"no_one": True}).json["changed"] is False


def test_the_primary_that_it_has_already_is_kept() -> None:
    """The link is not touched."""
    bench = Bench()
    bench.become_replica("10.0.0.9", 6379)
    bench.host.asked.clear()
    assert bench.post("/v1/replicaof", TARGET).json["changed"] is False
    assert bench.host.asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0"])
def test_a_node_cannot_follow_itself(host: str) -> None:
    """409, and it stays a primary; another port of the same machine is fine."""
    bench = Bench()
    port = bench.node.settings.listening_port
    assert bench.post("/v1/replicaof", {"host": host, "port": port}).refuses(409)
    assert bench.node.link.host == ""
    assert bench.post("/v1/replicaof", {"host": host, "port": port + 1}).status == 202


def test_the_role_does_not_change_while_a_failover_is_under_way() -> None:
    """409 for another primary and for a promotion alike, until it is over."""
    bench = Bench()
    bench.attach()
    bench.node.failover.begin(None, 0, force=False)
    assert bench.post("/v1/replicaof", TARGET).refuses(409)
    assert bench.post("/v1/replicaof", {"no_one": True}).refuses(409)
    bench.node.failover.abort("a test")
    assert bench.post("/v1/replicaof", TARGET).status == 202


def test_the_role_does_not_change_while_the_file_is_loaded() -> None:
    """503, to be tried again; a full sync that goes on does not hinder."""
    bench = Bench()
    bench.node.loading = Loading(START_MS)
    assert bench.post("/v1/replicaof", TARGET).refuses(503)
    assert bench.node.link.host == ""
    bench.node.loading = None
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    bench.node.full_sync.promised(Outcome(Resync.FULL, "a" * 40, 10))
    bench.node.full_sync.transfer_begun(1000)
    assert bench.post("/v1/replicaof", TARGET).status == 202
    assert bench.node.link.host == "10.0.0.9"


@pytest.mark.parametrize(
    ("more", "status", "field"),
    [
        ({"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, None),
        ({"data": b"x", "headers": {"Content-Type": "text/plain"}}, 415, None),
        ({}, 415, None),
        ({"json": {"host": "h"}}, 422, "port"),
        ({"json": {"host": "h", "port": "1"}}, 422, "port"),
        ({"json": {"host": "h", "port": 1, "typo": 1}}, 422, "typo"),
        ({"json": TARGET, "params": {"wait": "soon"}}, 422, "wait"),
        ({"json": TARGET, "params": {"wiat": "1"}}, 422, "wiat"),
    ],
)
def test_what_cannot_be_read_changes_nothing(more: dict[str, Any], status: int, field: str | None) -> None:
    """The body and the query are checked before anything is done."""
    bench = Bench()
    assert bench.ask("POST", "/v1/replicaof", **more).refuses(status, field=field)
    assert bench.node.link.host == ""
    assert bench.host.asked == []


def test_waiting_ends_when_the_link_is_up() -> None:
    """200 with the link as it is then, and not before."""
    bench = Bench()
    sent = bench.begin("POST", "/v1/replicaof?wait=30", json=TARGET)
    bench.clock.advance(1)
    assert not bench.is_answered(sent)
    bench.come_online()
    bench.clock.advance(0.1)
    answer = bench.end(sent)
    assert (answer.status, answer.json["link"]["up"]) == (200, True)
    assert not bench.clock.getDelayedCalls()


def test_waiting_in_vain_tells_the_state_reached() -> None:
    """504 when time is up, with the link and its last error; the node goes on trying."""
    bench = Bench()
    sent = bench.begin("POST", "/v1/replicaof?wait=0.5", json=TARGET)
    bench.node.following.link_entered(LinkState.CONNECTING)
    bench.node.following.link_failed("Connection refused")
    for _ in range(8):
        bench.clock.advance(0.05)
    assert not bench.is_answered(sent)
    bench.clock.advance(0.2)
    answer = bench.end(sent)
    assert answer.refuses(504)
    assert "Connection refused" in answer.json["detail"]
    assert answer.json["link"]["state"] == "connect"
    assert bench.node.link.host == "10.0.0.9"
    assert not bench.clock.getDelayedCalls()


def test_waiting_ends_when_somebody_else_changes_the_role() -> None:
    """409: what was asked for will not come."""
    bench = Bench()
    sent = bench.begin("POST", "/v1/replicaof?wait=30", json=TARGET)
    bench.post("/v1/replicaof", {"host": "10.0.0.7", "port": 6379})
    bench.clock.advance(0.1)
    answer = bench.end(sent)
    assert answer.refuses(409)
    assert answer.json["link"]["host"] == "10.0.0.7"


def test_waiting_for_what_is_so_already_ends_at_once() -> None:
    """A promotion, and a primary that is followed already."""
    bench = Bench()
    bench.become_replica("10.0.0.9", 6379)
    assert bench.post("/v1/replicaof?wait=30", TARGET).status == 200
    assert bench.post("/v1/replicaof?wait=30", {"no_one": True}).status == 200


def test_a_client_that_goes_away_ends_the_waiting() -> None:
    """Nothing stays scheduled for it."""
    bench = Bench()
    sent = bench.begin("POST", "/v1/replicaof?wait=30", json=TARGET)
    bench.stub.flush()
    assert len(bench.clock.getDelayedCalls()) == 1
    sent.addErrback(lambda failure: failure.trap(CancelledError, Exception) and None)
    sent.cancel()
    bench.stub.flush()
    assert not bench.clock.getDelayedCalls()


# -- replicas -----------------------------------------------------------------------------------------------------


def test_a_replica_is_disconnected() -> None:
    """Its connection is closed, it is no longer listed, and the log says who asked."""
    bench = Bench()
    session, outlet = bench.attach(6381)
    _, other = bench.attach(6382)
    answer = bench.ask("DELETE", f"/v1/replicas/{session.number}")
    assert answer.status == 200
    assert answer.json["disconnected"]["id"] == session.number
    assert outlet.closed
    assert not other.closed
    assert [one["port"] for one in bench.get("/v1/replicas").json["replicas"]] == [6382]
    assert any("user request from 'HTTP client 127.0.0.1:31337'" in line for line in bench.lines)
    assert bench.ask("DELETE", f"/v1/replicas/{session.number}").refuses(404)


def test_only_replicas_are_disconnected() -> None:
    """The id of an ordinary client is no replica's."""
    bench = Bench()
    outlet = FakeOutlet()
    session = bench.node.open_session(outlet, "127.0.0.1:40000", "127.0.0.1:6379")
    for number in (session.number, "x", "1.5", "-1"):
        assert bench.ask("DELETE", f"/v1/replicas/{number}").refuses(404)
    assert not outlet.closed


# -- every path ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/nowhere", "/v1", "/v1/", "/v2/replication", "/v1/replication/x", "/index.html"])
def test_an_unknown_path_is_not_found(path: str) -> None:
    """404, and where to look."""
    answer = Bench().get(path)
    assert answer.refuses(404)
    assert "/openapi.json" in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/replication", "GET, HEAD"),
        ("GET", "/v1/replicaof", "POST"),
        ("PUT", "/v1/replicaof", "POST"),
        ("HEAD", "/v1/slaveof", "POST"),
        ("GET", "/v1/replicas/1", "DELETE"),
        ("DELETE", "/v1/replicas", "GET, HEAD"),
        ("OPTIONS", "/v1/replicaof", "POST"),
        ("DELETE", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_names_the_right_ones(method: str, path: str, allow: str) -> None:
    """405 with Allow."""
    answer = Bench().ask(method, path)
    assert answer.status == 405
    assert answer.headers["allow"] == allow
    assert method == "HEAD" or answer.refuses(405)


@pytest.mark.parametrize("path", ["/", "/v1/replication", "/v1/backlog", "/v1/replicas", "/v1/syncs", "/v1/info"])
def test_an_unknown_parameter_is_refused(path: str) -> None:
    """A misspelt parameter is not silently ignored."""
    assert Bench().get(f"{path}?nonsense=1").refuses(422, field="nonsense")


@pytest.mark.parametrize("path", ["/", "/v1/replication", "/v1/info?section=keyspace", "/healthz", "/openapi.json"])
def test_head_is_get_without_a_body(path: str) -> None:
    """The headers are the same, the length too."""
    bench = Bench()
    head, get = bench.ask("HEAD", path), bench.get(path)
    assert head.status == 200
    assert head.body == b""
    assert head.headers["content-type"] == get.headers["content-type"]
    assert int(head.headers["content-length"]) == len(get.body)


def test_answers_are_not_cached_or_guessed_at() -> None:
    """Facts are of now; a browser takes the type as given."""
    for path in ("/", "/v1/replication", "/nowhere"):
        headers = Bench().get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_an_error_nobody_expected_tells_nothing() -> None:
    """500 as a problem: no traceback, no text of the exception; the log has it."""
    bench = Bench()
    bench.node.primary.replicas[7] = None  # type: ignore[assignment]  # breaks every view of replicas
    answer = bench.get("/v1/replicas")
    assert answer.refuses(500)
    assert "NoneType" not in answer.text


def test_no_secret_is_shown_anywhere() -> None:
    """Passwords and tokens that the node knows are in no answer of any path, and in no line of the log."""
    bench = Bench(token="token-hush")
    bench.node.settings.password = "primary-hush"
    bench.node.config.assign("http-token", "token-hush")
    headers = {"Authorization": "Bearer token-hush"}
    secrets = {"requirepass": "client-hush", "masterauth": "primary-hush", "masteruser": "user-hush"}
    answers = [bench.ask("PATCH", "/v1/config", json=secrets, headers=headers).text]
    bench.become_replica()
    bench.attach()
    for route in ROUTES:
        if route.method == "get" and not route.streams:
            path = route.path.replace("{name}", "masterauth")
            for accept in ("text/plain", "application/json"):
                answers.append(bench.get(path, headers={**headers, "Accept": accept}).text)
    for name in secrets:
        answers.append(bench.get(f"/v1/config/{name}", headers=headers).text)
        assert bench.get(f"/v1/config/{name}", headers=headers).json["value"] == "***"
    assert not [text for text in answers + bench.lines if "hush" in text]
