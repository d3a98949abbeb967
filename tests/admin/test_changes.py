"""The stream over HTTP: what readers get, how they resume, why they are refused, and what becomes of slow ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from tests.admin.schemas import faults
from tests.admin.support import Bench, result_of
from txrepl.admin import changes as streams
from txrepl.admin.changes import GATHER_S, HEARTBEAT_TICKS, IDLE_S, RESTART_S
from txrepl.admin.downloads import KEPT_S, POLL_S
from txrepl.admin.openapi import SCHEMAS
from txrepl.node import Node
from txrepl.replication.handshake import Outcome, Resync

NDJSON = {"Accept": "application/x-ndjson"}
OTHER = "f" * 40


class Body(Protocol):
    """Collects an answer that does not end."""

    def __init__(self) -> None:
        self.data = b""
        self.ended = False

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.data += data

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        self.ended = True


class Reading:
    """A client that reads a stream."""

    def __init__(self, bench: Bench, sent: Deferred[Any]) -> None:
        self._bench = bench
        bench.stub.flush()
        self.response = result_of(sent)
        self.body = Body()
        if self.response.code == 200:
            self.response.deliverBody(self.body)

    def turn(self) -> None:
        """Let what was written reach the client."""
        self._bench.clock.advance(GATHER_S)
        for _ in range(8):  # to the encoder, and back
            self._bench.clock.advance(0)
            self._bench.stub.flush()

    @property
    def text(self) -> str:
        self.turn()
        return self.body.data.decode()

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, each of which fits the contract, without those of how far the stream is."""
        found = [json.loads(line) for line in self.text.splitlines() if line]
        assert not [fault for event in found for fault in faults(event, SCHEMAS["Event"], SCHEMAS)]
        return [event for event in found if event["event"] != "position"]

    @property
    def seen(self) -> list[list[Any]]:
        """Command and arguments of the changes so far."""
        return [[event["command"], *event["args"]] for event in self.events if event["event"] == "change"]

    def leave(self) -> None:
        """Close the connection."""
        self.body.transport.loseConnection()
        self._bench.stub.flush()


def read(bench: Bench, query: str = "", headers: dict[str, str] = NDJSON) -> Reading:
    return Reading(bench, bench.begin("GET", f"/v1/changes{query}", headers=headers))


def place(node: Node) -> str:
    return f"{node.feed.history.replid}:{node.feed.history.offset}"


@pytest.fixture
def bench() -> Bench:
    """A primary with a history, and no replica any more that pins any of it."""
    bench = Bench()
    session, _ = bench.attach()
    bench.node.close_session(session)
    return bench


def test_the_first_reader_begins_a_history_and_gets_what_is_written_from_then_on() -> None:
    """A node to which no replica ever came writes no stream until then."""
    bench = Bench()
    bench.write("SET", "before", 1)
    reading = read(bench)
    bench.write("SET", "a", 1)
    bench.write("EXPIRE", "a", 100)
    bench.write("SET", "b", 2)
    assert [words[:2] for words in reading.seen] == [["SET", "a"], ["PEXPIREAT", "a"], ["SET", "b"]]


def test_events_of_a_browser_have_the_id_that_it_resumes_by(bench: Bench) -> None:
    """Server-sent events are the form where nothing else is asked for."""
    reading = read(bench, headers={})
    assert reading.response.headers.getRawHeaders("content-type") == ["text/event-stream"]
    bench.write("SET", "a", "x")
    node = bench.node
    blocks = reading.text.split("\n\n")
    id = f"{place(node)}:0"
    assert blocks[0].startswith(": ") and f"\nid: {node.feed.history.replid}:" in blocks[0]
    assert blocks[1].splitlines()[0] == f"id: {id}"
    assert json.loads(blocks[1].splitlines()[1].removeprefix("data: "))["id"] == id


def test_a_reader_that_comes_back_gets_exactly_what_it_has_not_seen(bench: Bench) -> None:
    """By `from`, and by Last-Event-ID, which counts more."""
    bench.write("SET", "a", 1)
    first = read(bench, f"?from={place(bench.node)}:0")
    bench.write("SET", "b", 2)
    bench.write("SET", "c", 3)
    ids = [event["id"] for event in first.events]
    first.leave()
    bench.write("SET", "d", 4)
    assert read(bench, f"?from={ids[0]}").seen == [["SET", "c", "3"], ["SET", "d", "4"]]
    again = read(bench, f"?from={ids[0]}", {**NDJSON, "Last-Event-ID": ids[1]})
    assert again.seen == [["SET", "d", "4"]]


def test_an_id_without_a_database_is_good_where_the_database_is_known(bench: Bench) -> None:
    """A SELECT follows, or none has followed since; in between it is refused, with what to give instead."""
    start = place(bench.node)
    bench.write("SET", "a", 1)  # SELECT 0 before it
    middle = place(bench.node)
    bench.write("SET", "b", 2)
    assert len(read(bench, f"?from={start}").seen) == 2
    assert [event["db"] for event in read(bench, f"?from={middle}").events] == [0]
    session = bench.node.open_session(bench.attach(6381)[1], "127.0.0.1:1", "127.0.0.1:2")
    bench.run(session, "SELECT", 3)
    bench.run(session, "SET", "c", 3)
    refused = bench.get(f"/v1/changes?from={middle}")
    assert refused.refuses(409) and "REPLID:OFFSET:DB" in refused.json["detail"]
    assert [event["db"] for event in read(bench, f"?from={middle}:0").events] == [0, 3]


def test_filters_leave_out_what_is_not_wanted(bench: Bench) -> None:
    """By database, glob of keys and command; several databases and commands are joined by commas."""
    reading = {
        query: read(bench, query)
        for query in ("?db=1", "?db=0,1", "?match=a*", "?command=DEL,incr", "?match=b&command=DEL")
    }
    session = bench.node.open_session(bench.attach(6381)[1], "127.0.0.1:1", "127.0.0.1:2")
    for words in (("SET", "a1", 1), ("SET", "b", 1), ("DEL", "a1"), ("SELECT", 1), ("INCR", "b"), ("DEL", "b")):
        bench.run(session, *words)
    seen = {query: [" ".join(words[:2]) for words in one.seen] for query, one in reading.items()}
    assert seen == {
        "?db=1": ["INCR b", "DEL b"],
        "?db=0,1": ["SET a1", "SET b", "DEL a1", "INCR b", "DEL b"],
        "?match=a*": ["SET a1", "DEL a1"],
        "?command=DEL,incr": ["DEL a1", "INCR b", "DEL b"],
        "?match=b&command=DEL": ["DEL b"],
    }


def test_transactions_are_told_by_their_begin_and_end(bench: Bench) -> None:
    """All changes of one name it."""
    reading = read(bench)
    session = bench.node.open_session(bench.attach(6381)[1], "127.0.0.1:1", "127.0.0.1:2")
    for words in (("MULTI",), ("SET", "a", 1), ("SET", "b", 1), ("EXEC",), ("SET", "c", 1)):
        bench.run(session, *words)
    events = reading.events
    assert [event["event"] for event in events] == ["begin", "change", "change", "end", "change"]
    assert len({event["tx"] for event in events[:4]}) == 1 and events[4]["tx"] is None


@pytest.mark.parametrize(
    ("asked", "condition"),
    [
        (lambda node: f"{OTHER}:50", "replid_mismatch"),
        (lambda node: f"{node.feed.history.replid}:999999", "beyond_end"),
        (lambda node: f"{node.feed.history.replid}:{node.feed.backlog.first_offset - 2}", "backlog_short"),
    ],
)
def test_what_cannot_be_resumed_is_gone_with_the_reason_and_the_way_out(
    bench: Bench, asked: Callable[[Node], str], condition: str
) -> None:
    """The conditions are those of PSYNC."""
    bench.node.feed.open_backlog(0).resize(16384)
    for _ in range(60):
        bench.write("SET", "a", "x" * 1000)
    answer = bench.get(f"/v1/changes?from={asked(bench.node)}")
    assert answer.refuses(410)
    assert answer.json["condition"] == condition and answer.json["snapshot"] == "/v1/snapshot"
    assert not faults(answer.json, SCHEMAS["Problem"], SCHEMAS)


def test_without_a_backlog_an_id_is_gone_and_no_history_is_begun() -> None:
    """It would be another one, in vain."""
    bench = Bench()
    answer = bench.get(f"/v1/changes?from={place(bench.node)}")
    assert answer.refuses(410) and answer.json["condition"] == "no_backlog"
    assert bench.node.feed.backlog is None


def test_an_offset_inside_of_a_command_is_refused_with_its_neighbours(bench: Bench) -> None:
    """An offset that a reader made up must not give it garbage."""
    bench.write("SET", "a", "*1\r\n$4\r\nPING\r\n")
    begins = bench.node.feed.history.offset + 1
    bench.write("SET", "b", "*1\r\n$4\r\nPING\r\n")
    after = bench.node.feed.history.offset + 1
    replid = bench.node.feed.history.replid
    for offset in range(begins, after):
        answer = bench.get(f"/v1/changes?from={replid}:{offset}:0")
        if offset + 1 < after:
            assert answer_is_inside(answer, begins, after)
        assert bench.get(f"/v1/backlog/commands?from={offset + 1}").status == (200 if offset + 1 == after else 409)
        if offset + 1 == after - 1:
            break
    assert read(bench, f"?from={replid}:{begins - 1}:0").seen == [["SET", "b", "*1\r\n$4\r\nPING\r\n"]]


def answer_is_inside(answer: Any, begins: int, after: int) -> bool:
    assert answer.refuses(409)
    assert (answer.json["command_offset"], answer.json["next_offset"]) == (begins, after)
    return True


@pytest.mark.parametrize("query", ["from=x", "db=x", "db=", "db=1,", "command=", "command=a,,b", "no=1", "db=0&db=1"])
def test_parameters_that_make_no_sense_are_named(bench: Bench, query: str) -> None:
    """With 422, before any stream begins."""
    assert bench.get(f"/v1/changes?{query}").refuses(422, field=query.partition("=")[0])


def test_a_replica_without_its_first_sync_has_no_history_to_read() -> None:
    """503 until it has."""
    bench = Bench()
    bench.node.link.host = "10.0.0.1"
    assert bench.get("/v1/changes").refuses(503) and bench.get("/v1/snapshot").refuses(503)


def test_a_stream_goes_on_across_a_promotion_and_says_so() -> None:
    """Ids of before it resume by replid2, up to where the histories parted."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "a", 1)
    bench.become_replica()
    reading = read(bench)
    before = place(bench.node)
    bench.node.roles.promote("a test")
    bench.write("SET", "b", 2)
    bench.clock.advance(1)
    history, change = reading.events
    assert history["event"] == "history" and history["before"] == before.split(":", maxsplit=1)[0]
    assert change["id"].startswith(bench.node.feed.history.replid)
    assert read(bench, f"?from={before}").seen == [["SET", "b", "2"]]
    beyond = bench.get(f"/v1/changes?from={before.split(':', maxsplit=1)[0]}:{bench.node.feed.history.offset}")
    assert beyond.refuses(410) and beyond.json["condition"] == "second_offset"


def test_a_full_sync_of_the_node_ends_the_stream_with_the_reason() -> None:
    """What follows is another history: it would be a gap."""
    bench = Bench()
    bench.attach()
    bench.become_replica()
    reading = read(bench)
    outcome = Outcome(Resync.FULL, OTHER, 1000)
    bench.node.full_sync.promised(outcome)
    bench.node.full_sync.transfer_begun(0)
    bench.node.full_sync.resynchronized(bench.node.full_sync.load_begun(0, outcome), outcome)
    bench.clock.advance(1)
    (closed,) = reading.events
    assert (closed["event"], closed["cause"]) == ("closed", "history_ended")
    assert OTHER in closed["reason"] and reading.body.ended


def test_a_backlog_lives_as_long_as_somebody_reads_it(bench: Bench) -> None:
    """Its time to live begins when the last reader leaves, as with replicas."""
    bench = Bench()
    bench.node.settings.backlog_ttl_s = 5
    reading = read(bench)
    for _ in range(30):
        bench.clock.advance(1)
        bench.node.primary.tick()
    assert bench.node.feed.backlog is not None
    reading.leave()
    for _ in range(4):
        bench.clock.advance(1)
        bench.node.primary.tick()
    assert bench.node.feed.backlog is not None
    bench.clock.advance(3)
    bench.node.primary.tick()
    assert bench.node.feed.backlog is None
    assert not bench.node.feed.listeners and not bench.encoders[0].closed
    bench.clock.advance(IDLE_S)
    assert bench.encoders[0].closed and not bench.clock.getDelayedCalls()


def test_a_heartbeat_says_how_far_the_stream_is(bench: Bench) -> None:
    """A reader whose filter lets nothing through still gets ids that resume."""
    reading = read(bench, "?command=NONE", headers={})
    bench.write("SET", "a", 1)
    reading.turn()
    for _ in range(HEARTBEAT_TICKS):
        bench.clock.advance(1)
    assert reading.text.endswith(f"id: {place(bench.node)}:0\n\n")
    for _ in range(HEARTBEAT_TICKS):
        bench.clock.advance(1)
    assert reading.text.endswith(": alive\n\n")


def test_there_are_no_more_streams_than_allowed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is told to come later; one that left makes room."""
    monkeypatch.setattr("txrepl.admin.features.changes.READERS_MAX", 2)
    assert streams.READERS_MAX >= 200
    first, _ = read(bench), read(bench)
    assert bench.get("/v1/changes").refuses(503)
    first.leave()
    assert read(bench).response.code == 200


def test_head_of_a_stream_is_its_headers(bench: Bench) -> None:
    """And it ends."""
    answer = bench.ask("HEAD", "/v1/changes")
    assert (answer.status, answer.body) == (200, b"")


class FakeFlow:
    """Notes what is asked of a snapshot's child."""

    def __init__(self, received: Callable[[bytes], None], ended: Callable[[bool], None]) -> None:
        self.received = received
        self.ended = ended
        self.asked: list[str] = []

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def stop(self) -> None:
        self.asked.append("stop")


@pytest.fixture
def flows(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[FakeFlow]:
    """The children that were started for downloads."""
    found: list[FakeFlow] = []

    def start(received: Callable[[bytes], None], ended: Callable[[bool], None]) -> FakeFlow:
        found.append(FakeFlow(received, ended))
        return found[-1]

    bench.host.snapshots.busy = False
    monkeypatch.setattr(bench.host.snapshots, "start_stream", start, raising=False)
    return found


def download(bench: Bench) -> Reading:
    return Reading(bench, bench.begin("GET", "/v1/snapshot"))


def test_a_snapshot_says_where_the_stream_goes_on(bench: Bench, flows: list[FakeFlow]) -> None:
    """On a primary the next write selects its database, so that two parts are enough."""
    bench.write("SET", "a", 1)
    sent = bench.begin("GET", "/v1/snapshot")
    flows[0].received(b"REDIS")
    reading = Reading(bench, sent)
    bench.write("SET", "b", 2)
    flows[0].ended(True)
    assert reading.text == "REDIS" and reading.body.ended
    (id,) = reading.response.headers.getRawHeaders("x-replication-id")
    assert read(bench, f"?from={id}").seen == [["SET", "b", "2"]]


def test_one_child_serves_all_who_wait_for_it(bench: Bench, flows: list[FakeFlow]) -> None:
    """Who comes while it works gets the next one."""
    bench.host.snapshots.busy = True
    waiting = [bench.begin("GET", "/v1/snapshot") for _ in range(2)]
    bench.clock.advance(POLL_S)
    assert not flows
    bench.host.snapshots.busy = False
    bench.clock.advance(POLL_S)
    late = bench.begin("GET", "/v1/snapshot")
    bench.clock.advance(POLL_S)
    assert len(flows) == 1
    flows[0].received(b"one")
    both = [Reading(bench, sent) for sent in waiting]
    flows[0].ended(True)
    assert [reading.text for reading in both] == ["one", "one"]
    bench.clock.advance(POLL_S)
    assert len(flows) == 2 and not bench.is_answered(late)


def test_the_child_is_killed_when_the_last_reader_leaves(bench: Bench, flows: list[FakeFlow]) -> None:
    """And not before."""
    bench.host.snapshots.busy = True
    waiting = [bench.begin("GET", "/v1/snapshot") for _ in range(2)]
    bench.host.snapshots.busy = False
    bench.clock.advance(POLL_S)
    flows[0].received(b"one")
    first, second = (Reading(bench, sent) for sent in waiting)
    first.leave()
    assert "stop" not in flows[0].asked
    second.leave()
    assert "stop" in flows[0].asked


def test_what_follows_a_snapshot_is_kept_until_its_reader_can_have_come(bench: Bench, flows: list[FakeFlow]) -> None:
    """Beyond the backlog's size; a while after it was sent no longer."""
    backlog = bench.node.feed.backlog
    assert backlog is not None
    backlog.resize(16384)
    bench.begin("GET", "/v1/snapshot")
    offset = bench.node.feed.history.offset + 1
    for _ in range(100):
        bench.write("SET", "a", "x" * 1000)
    bench.clock.advance(1)
    assert backlog.covers(offset)
    flows[0].ended(True)
    for _ in range(KEPT_S + 1):
        bench.clock.advance(1)
    assert not backlog.covers(offset)


def test_the_backlog_is_listed_command_by_command(bench: Bench) -> None:
    """Page by page, with what the replicas are sent beside the writes."""
    backlog = bench.node.feed.backlog
    assert backlog is not None
    for number in range(5):
        bench.write("SET", "a", number)
    found: list[Any] = []
    query = ""
    while True:
        page = bench.get(f"/v1/backlog/commands?limit=2{query}").json
        assert not faults(page, SCHEMAS["BacklogCommands"], SCHEMAS)
        found += page["commands"]
        query = f"&from={page['next_offset']}"
        if not page["more"]:
            break
    assert [one["command"] for one in found] == ["SELECT", *["SET"] * 5]
    assert found[0]["offset"] == backlog.first_offset and found[-1]["end_offset"] == bench.node.feed.history.offset
    assert [one["db"] for one in found[:2]] == [0, 0]
    assert found[-1]["db"] is None  # its page has seen no SELECT


def test_offsets_that_the_backlog_does_not_hold_are_refused_in_words(bench: Bench) -> None:
    """Gone, or not written yet; and no backlog at all."""
    assert bench.get("/v1/backlog/commands?from=0").refuses(410)
    assert bench.get("/v1/backlog/commands?from=99999").refuses(409)
    assert bench.get("/v1/backlog/commands?from=-1").refuses(422, field="from")
    assert Bench().get("/v1/backlog/commands").refuses(409)


def test_a_burst_of_more_than_the_backlog_loses_no_reader_that_has_room(bench: Bench) -> None:
    """It is served at once when half of the backlog is in danger, and not when the time for it comes."""
    backlog = bench.node.feed.backlog
    assert backlog is not None
    backlog.resize(32 * 1024)
    reading = read(bench)
    reading.turn()
    for number in range(200):
        bench.write("SET", number, "x" * 1000)
        if number % 8 == 0:
            bench.stub.flush()  # the client reads; no time passes
    assert [words[1] for words in reading.seen] == [str(number) for number in range(200)]


def lanes(bench: Bench) -> list[list[Any]]:
    """The readers of each lane."""
    return [lane.readers for lane in bench.encoders[-1].streams.lanes.values()]


def test_readers_who_want_the_same_are_written_for_once(bench: Bench) -> None:
    """They stand in one lane as soon as they stand at the same place; others have one of their own."""
    readings = [read(bench), read(bench), read(bench, "?match=a*"), read(bench), read(bench, headers={})]
    readings[0].turn()  # all have come to the end of the stream
    bench.write("SET", "a", 1)
    bench.write("SET", "b", 2)
    seen = [[["SET", "a", "1"], ["SET", "b", "2"]]] * 2
    assert [one.seen for one in readings[:2]] == seen and readings[2].seen == [["SET", "a", "1"]]
    assert sorted(len(readers) for readers in lanes(bench)) == [1, 1, 3]
    fed = [message for message in bench.encoders[0].asked if message.startswith(b"F") and b"SET" in message]
    assert len(fed) == 1
    readings[0].leave()
    bench.write("SET", "a", 3)
    assert readings[1].seen[2:] == readings[3].seen[2:] == [["SET", "a", "3"]]


def test_a_reader_that_takes_no_more_falls_out_of_its_lane_and_catches_up(bench: Bench) -> None:
    """The others go on; it gets each change once, from the backlog, when there is room again."""
    slow, fast = read(bench), read(bench)
    fast.turn()
    bench.write("SET", "first", 0)
    assert len(fast.seen) == len(slow.seen) == 1
    [[stuck, _]] = lanes(bench)
    stuck.pauseProducing()
    for number in range(30):
        bench.write("SET", f"k{number}", "x" * 20_000)
        fast.turn()
    assert len(fast.seen) == 31 and len(slow.seen) == 1
    assert sorted(len(readers) for readers in lanes(bench)) == [1, 1]
    stuck.resumeProducing()
    for _ in range(10):
        slow.turn()
    bench.write("SET", "last", 0)
    fast.turn()
    assert slow.seen == fast.seen and len(fast.seen) == 32
    assert [len(readers) for readers in lanes(bench)] == [2]


def test_an_encoder_that_is_lost_is_started_anew_and_nothing_is(bench: Bench) -> None:
    """Inside of a transaction too: each reader goes on after the last event that it was sent."""
    reading, filtered = read(bench), read(bench, "?match=b*")
    bench.write("SET", "a", 1)
    assert len(reading.seen) == 1
    bench.write("MSET", "b", 2, "c", 3)
    bench.encoders[0].die()
    assert any("process for readers of changes has ended" in line for line in bench.lines)
    bench.write("SET", "b", 4)
    reading.turn()
    assert len(bench.encoders) == 1
    bench.clock.advance(RESTART_S)
    wanted = [["MSET", "b", "2", "c", "3"], ["SET", "b", "4"]]
    assert reading.seen == [["SET", "a", "1"], *wanted] and filtered.seen == wanted
    assert len(bench.encoders) == 2


def test_a_promotion_while_the_encoder_is_lost_is_told_all_the_same(bench: Bench) -> None:
    """The new name of the history, before what was written under it."""
    bench.become_replica()
    reading = read(bench)
    reading.turn()
    bench.encoders[0].die()
    bench.node.promote("a test")
    bench.write("SET", "a", 1)
    reading.turn()
    bench.clock.advance(RESTART_S)
    events = reading.events
    assert [event["event"] for event in events] == ["history", "change"]
    assert {event["id"].partition(":")[0] for event in events} == {bench.node.feed.history.replid}


def test_without_an_encoder_readers_wait_and_the_log_says_why(bench: Bench) -> None:
    """Until one can be started."""
    bench.no_encoder = True
    reading = read(bench)
    bench.write("SET", "a", 1)
    assert not reading.seen
    assert any("Can't start a process for readers of changes: Resource temp" in line for line in bench.lines)
    bench.no_encoder = False
    bench.clock.advance(RESTART_S)
    assert reading.seen == [["SET", "a", "1"]]


def test_the_next_reader_finds_the_encoder_of_the_last(bench: Bench) -> None:
    """Its start costs more than its stay."""
    read(bench).leave()
    bench.clock.advance(IDLE_S / 2)
    reading = read(bench)
    bench.clock.advance(IDLE_S)
    bench.write("SET", "a", 1)
    assert reading.seen == [["SET", "a", "1"]] and len(bench.encoders) == 1


def test_a_reader_that_is_let_go_gets_what_it_was_given_before_the_last_event(bench: Bench) -> None:
    """The id of the last event is that of the last change, although both waited for the connection."""
    reading, other = read(bench), read(bench)
    reading.turn()
    bench.write("SET", "first", 0)
    reading.turn()
    [[reader, _]] = lanes(bench)  # the other one keeps the lane going
    reader.pauseProducing()
    bench.write("SET", "a", 1)
    assert len(reading.seen) == 1 and len(other.seen) == 2
    backlog = bench.node.feed.backlog
    assert backlog is not None
    backlog.resize(16 * 1024)
    for _ in range(10):
        bench.write("SET", "b", "x" * 60_000)
        reading.turn()
    bench.clock.advance(1)
    *changes, closed = reading.events
    assert (closed["event"], closed["cause"]) == ("closed", "too_slow")
    assert changes[1]["args"] == ["a", "1"] and changes[-1]["id"] == closed["id"]
