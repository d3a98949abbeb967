"""Answers that go on: events as server-sent events, the page every second; resumed, filtered, bounded."""

from __future__ import annotations

import re
from typing import Any

import pytest
from twisted.internet.task import Clock

from tests.admin.support import Bench, Following
from txrepl.admin import streaming, views
from txrepl.admin.streaming import WAITING_MAX_BYTES, Stream
from txrepl.admin.text import COLUMNS
from txrepl.replication.events import EVENTS_MAX, EventKind


def happen(bench: Bench, *texts: str) -> None:
    """Events with these texts, and the turn in which they are sent."""
    for text in texts:
        bench.node.events.note(EventKind.LINK_DOWN, text, host="h", port=1)
    bench.clock.advance(0)


# -- events -------------------------------------------------------------------------------------------------------


def test_events_come_as_they_happen() -> None:
    """Each with its id, its kind, a sentence and its facts; what happened before is not repeated."""
    bench = Bench()
    happen(bench, "before")
    following = Following(bench, "/v1/events")
    assert following.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert following.take().startswith(": txrepl events\n")
    bench.node.replicate_from("10.0.0.9", 6379, "a test")
    bench.clock.advance(0)
    ((id, name, body),) = following.take_events()
    assert (id, name) == (f"{bench.node.run_id}:2", "role_changed")
    assert body == {
        "id": id,
        "at_ms": bench.node.now(),
        "event": "role_changed",
        "text": "a replica of 10.0.0.9:6379",
        "facts": {"role": "replica", "host": "10.0.0.9", "port": 6379},
    }


def test_a_reader_comes_back_with_the_last_id_that_it_has_seen() -> None:
    """Nothing is lost, nothing comes twice, whatever is on its way; the header counts more than `from`."""
    bench = Bench()
    happen(bench, "1", "2", "3")
    last = Following(bench, "/v1/events?from=0").take_events()[1][0]
    bench.node.events.note(EventKind.LINK_UP, "4")  # not sent to the first reader yet
    following = Following(bench, "/v1/events?from=0", headers={"Last-Event-ID": last})
    happen(bench, "5")
    assert [body["text"] for _, _, body in following.take_events()] == ["3", "4", "5"]


def test_a_reader_is_told_what_it_has_missed() -> None:
    """Events that are not held any more, and those of another run of the server."""
    bench = Bench()
    run = bench.node.run_id
    happen(bench, *map(str, range(EVENTS_MAX + 10)))
    (missed, first, *_) = Following(bench, "/v1/events", headers={"Last-Event-ID": f"{run}:3"}).take_events()
    assert (missed[0], missed[1]) == ("", "missed")
    assert missed[2]["text"] == "events 4 to 10 are not held any more"
    assert first[2]["text"] == "10"
    (missed, *rest) = Following(bench, f"/v1/events?from={'f' * 40}:9999").take_events()
    assert "started anew" in missed[2]["text"]
    assert len(rest) == EVENTS_MAX


@pytest.mark.parametrize("bad", ["x", "1:2", "-1", "99", "f" * 40, "1" * 19, "%00"])
def test_an_id_that_is_none_is_refused(bad: str) -> None:
    """Not an id, or of an event that has not happened; in the query as in the header."""
    bench = Bench()
    assert bench.get(f"/v1/events?from={bad}").refuses(422, field="from")
    if "%" not in bad:
        answer = bench.get("/v1/events", headers={"Last-Event-ID": bad})
        assert answer.refuses(422, field="Last-Event-ID")


def test_events_are_filtered_by_kind() -> None:
    """A list of kinds; one that is none is refused by name."""
    bench = Bench()
    following = Following(bench, "/v1/events?event=link_down,link_up&from=0")
    happen(bench, "down")
    bench.node.events.note(EventKind.LINK_FAILED, "failed")
    bench.node.events.note(EventKind.LINK_UP, "up")
    bench.clock.advance(0)
    assert [name for _, name, _ in following.take_events()] == ["link_down", "link_up"]
    answer = bench.get("/v1/events?event=link_down,nonsense")
    assert answer.refuses(422, field="event")
    assert "nonsense" in answer.json["errors"][0]["detail"]


def test_a_silent_stream_shows_life() -> None:
    """A comment every ten seconds, as long as somebody reads."""
    bench = Bench()
    following = Following(bench, "/v1/events")
    following.take()
    bench.clock.advance(10)
    assert following.take() == ": alive\n\n"


def test_what_a_peer_said_cannot_break_the_stream() -> None:
    """Line ends and control characters in an error text come escaped, in one line of data."""
    bench = Bench()
    following = Following(bench, "/v1/events")
    happen(bench, "a\n\ndata: {}\r\n\x1b[31m\udcff")
    (event,) = following.take_events()
    assert event[2]["text"] == r"a\n\ndata: {}\r\n\x1b[31m\xff"


def test_readers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused and can come later; HEAD takes no place."""
    monkeypatch.setattr(streaming, "STREAMS_MAX", 2)
    for path in ("/v1/events", "/watch", "/v1/live"):
        bench = Bench()
        for _ in range(5):
            assert bench.ask("HEAD", path).status == 200
        kept = [Following(bench, path) for _ in range(2)]
        assert bench.get(path).refuses(503)
        assert all(one.status == 200 for one in kept)


class Connection:
    """A request whose connection is full when the test says so."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.channel = self.transport = self
        self.aborted = False
        self.producer: Any = None

    def getClientAddress(self) -> None:  # noqa: N802
        """No address."""

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        self.producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True


def opened() -> tuple[Connection, Stream, list[Stream], Clock]:
    """A stream on such a connection, and those that have left."""
    connection, left, clock = Connection(), [], Clock()
    stream = Stream(connection, clock, left.append)  # type: ignore[arg-type]
    stream.begin()
    return connection, stream, left, clock


def test_a_slow_reader_gets_what_waited_in_order() -> None:
    """While its connection is full nothing is written to it."""
    connection, stream, _, _ = opened()
    assert stream.send(b"1")
    connection.producer.pauseProducing()
    assert stream.send(b"2") and stream.send(b"3")
    assert connection.written == [b"1"]
    connection.producer.resumeProducing()
    assert connection.written == [b"1", b"2", b"3"]


def test_a_reader_that_is_too_slow_is_let_go_with_a_last_word() -> None:
    """What waits is bounded; the connection is cut if the last word is not read either; and it leaves only once."""
    connection, stream, left, clock = opened()
    connection.producer.pauseProducing()
    sent = 0
    while stream.send(b"x" * 1000):
        sent += 1
    assert sent == WAITING_MAX_BYTES // 1000
    stream.drop(b"too slow")
    assert connection.written == [b"too slow"]
    assert stream.ended.called and left == [stream]
    stream.stopProducing()
    assert stream.send(b"more") and connection.written == [b"too slow"] and left == [stream]
    clock.advance(streaming.LINGER_S)
    assert connection.aborted


def test_a_reader_that_leaves_is_forgotten() -> None:
    """Its handler's deferred is cancelled."""
    _, stream, left, _ = opened()
    stream.ended.addErrback(lambda _: None)
    stream.ended.cancel()
    assert stream.gone and left == [stream]


def test_a_dropped_reader_is_named_in_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudly: a last event `dropped` without an id, and a warning."""
    bench = Bench()
    following = Following(bench, "/v1/events")
    following.take()
    monkeypatch.setattr(Stream, "send", lambda self, data: False)
    happen(bench, "too much")
    ((id, name, body),) = following.take_events()
    assert (id, name, body["number"]) == ("", "dropped", 1)
    assert following.ended
    assert any("reads events too slowly and is dropped" in line for line in bench.lines)


# -- the page, every second ---------------------------------------------------------------------------------------


def test_the_page_comes_again_every_second() -> None:
    """The present facts each time; plain text unless colours are asked for."""
    bench = Bench()
    following = Following(bench, "/watch")
    first = following.take()
    assert "role       primary\n" in first and first.endswith("=" * COLUMNS + "\n")
    assert "\x1b" not in first
    bench.become_replica("10.0.0.1", 6379)
    bench.clock.advance(1)
    assert "role       replica of 10.0.0.1:6379\n" in following.take()
    bench.clock.advance(0.5)
    assert following.take() == ""


def test_those_who_see_the_same_page_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many spectators cost one page a second; others, reached by another name or with colours, have their own."""
    bench = Bench()
    plain = [Following(bench, "/watch") for _ in range(5)]
    others = [Following(bench, "/watch?color=1"), Following(bench, "http://127.0.0.1:8379/watch")]
    for one in (*plain, *others):
        one.take()
    made = []
    overview = views.overview
    monkeypatch.setattr(views, "overview", lambda *facts: made.append(1) or overview(*facts))
    bench.clock.advance(1)
    pages = [one.take() for one in (*plain, *others)]
    assert len(set(pages[:5])) == 1 and len(set(pages)) == 3
    assert "curl -X POST 127.0.0.1:8379" in pages[-1]
    assert len(made) == 3


def test_a_coloured_page_takes_the_place_of_the_one_before() -> None:
    """The screen is cleared once, then each page begins at its top; without the colours it is the same text."""
    bench = Bench()
    bench.become_replica()
    following = Following(bench, "/watch?color=1")
    first = following.take()
    assert first.startswith("\x1b[2J\x1b[H")
    assert "\x1b[32mup\x1b[0m" in first and "\x1b[32myes\x1b[0m" in first
    bench.clock.advance(1)
    second = following.take()
    assert second.startswith("\x1b[H") and "\x1b[2J" not in second
    assert re.sub(r"\x1b\[\d*[A-Zm]", "", second) == bench.get("/").text


@pytest.mark.parametrize("path", ["/", "/replicas.txt", "/backlog.txt", "/syncs.txt"])
def test_colours_come_only_when_asked_for(path: str) -> None:
    """And change nothing else."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "k", "v")
    bench.attach(6384, replid=bench.node.feed.history.replid, offset=1)
    plain, painted = bench.get(path).text, bench.get(f"{path}?color=1").text
    assert "\x1b" not in plain
    assert "\x1b[" in painted
    assert re.sub(r"\x1b\[\d+m", "", painted) == plain
    assert bench.get(f"{path}?color=2").refuses(422, field="color")
    assert all(len(line) <= COLUMNS for line in plain.split("\n"))


def test_each_block_has_its_page_with_the_line_that_acts() -> None:
    """Replicas: disconnect, change places; backlog: resize, and what each replica has left."""
    bench = Bench()
    bench.attach()
    bench.write("SET", "k", "v")
    bench.attach(6384, replid=bench.node.feed.history.replid, offset=1)
    page = bench.get("/replicas.txt").text
    assert "curl -X DELETE localhost:8379/v1/replicas/1" in page
    assert "curl -X POST localhost:8379/v1/failover" in page
    page = bench.get("/backlog.txt").text
    assert "curl -X PATCH localhost:8379/v1/backlog -d size_bytes=" in page
    assert re.search(r"10\.0\.0\.134:6384 +0 +1024\.0 KiB", page), page
