"""Events posted to a URL: signed, in order, tried again, given up; with time in hand."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from tests.admin.support import Bench
from txrepl.admin.webhook import Webhook, sign
from txrepl.errors import ConfigError
from txrepl.replication.events import EventKind

URL = "http://hooks.example/path-hush"
SECRET = "secret-hush"


class Response:
    """A treq response whose body has come."""

    length = 6

    def __init__(self, code: int) -> None:
        self.code = code

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802
        """Hand the body over."""
        protocol.dataReceived(b"thanks")
        protocol.connectionLost(Failure(ResponseDone()))


class Posts:
    """Notes what is posted, and answers as it is told: statuses, exceptions, or None for no answer."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self.answers = list(answers)
        self.seen: list[tuple[str, dict[str, Any]]] = []

    def post(self, url: str, **more: Any) -> Deferred[Any]:
        self.seen.append((url, more))
        answer = self.answers.pop(0) if self.answers else 200
        if answer is None:
            return Deferred()
        return fail(answer) if isinstance(answer, Exception) else succeed(Response(answer))

    @property
    def texts(self) -> list[str]:
        """The sentences of the events, as they were posted."""
        return [json.loads(more["data"])["text"] for _, more in self.seen]


def hooked(posts: Posts, **directives: str) -> tuple[Bench, Webhook]:
    """A node whose events are posted."""
    bench = Bench()
    names = {name.replace("_", "-"): value for name, value in directives.items()}
    bench.node.config.set_many({"event-webhook": URL, **names})
    webhook = Webhook(bench.node, bench.clock, posts)
    webhook.start()
    return bench, webhook


def happen(bench: Bench, *texts: str) -> None:
    """Events, and the turn after them."""
    for text in texts:
        bench.node.events.note(EventKind.LINK_DOWN, text, host="h")
    bench.clock.advance(0)


def test_an_event_is_posted_as_json_and_signed() -> None:
    """The same facts as /v1/events has, with who says so; the signature is of the time and the body."""
    posts = Posts()
    bench, _ = hooked(posts, event_webhook_secret=SECRET)
    happen(bench, "lost")
    ((url, more),) = posts.seen
    assert url == URL and more["allow_redirects"] is False
    body = json.loads(more["data"])
    node = body.pop("node")
    assert node == {"run_id": bench.node.run_id, "port": bench.node.settings.listening_port, "role": "primary"}
    assert body == {
        "id": f"{bench.node.run_id}:1",
        "at_ms": bench.node.now(),
        "event": "link_down",
        "text": "lost",
        "facts": {"host": "h"},
        "dropped": 0,
    }
    headers = more["headers"]
    assert (headers["X-Txrepl-Event"], headers["X-Txrepl-Id"]) == ("link_down", body["id"])
    signed = headers["X-Txrepl-Timestamp"].encode() + b"." + more["data"]
    expected = "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["X-Txrepl-Signature"] == expected
    assert bench.node.deliveries.delivered == 1


def test_without_a_secret_nothing_is_signed() -> None:
    """There is no such header, rather than one that anybody could make."""
    posts = Posts()
    bench, _ = hooked(posts)
    happen(bench, "lost")
    assert "X-Txrepl-Signature" not in posts.seen[0][1]["headers"]


def test_a_signature_can_be_checked_by_others() -> None:
    """A value computed elsewhere: HMAC-SHA256 of `1700000000.{}` under `key`."""
    computed = hmac.new(b"key", b"1700000000.{}", "sha256").hexdigest()
    assert sign("key", "1700000000", b"{}") == f"sha256={computed}"
    assert sign("other", "1700000000", b"{}") != f"sha256={computed}"


@pytest.mark.parametrize("failure", [500, 503, 302, 408, 429, ConnectionRefusedError("refused"), None])
def test_what_fails_is_tried_again_in_order(failure: int | Exception | None) -> None:
    """After one, two, four seconds; later events wait behind it; then all arrive, once."""
    posts = Posts(failure, failure)
    bench, _ = hooked(posts, event_webhook_timeout="5")
    lost_s = 5 if failure is None else 0
    happen(bench, "first", "second")
    bench.clock.advance(lost_s)
    assert posts.texts == ["first"]
    shown = bench.get("/v1/webhook").json
    assert (shown["waiting"], shown["tries"], shown["failures"]) == (2, 1, 1)
    assert shown["last_error"]
    bench.clock.advance(0.9)
    assert posts.texts == ["first"]
    bench.clock.advance(0.1)
    bench.clock.advance(lost_s)
    assert posts.texts == ["first", "first"]
    bench.clock.advance(2)
    assert posts.texts == ["first", "first", "first", "second"]
    assert posts.seen[0][1]["headers"]["X-Txrepl-Id"] == posts.seen[2][1]["headers"]["X-Txrepl-Id"]
    shown = bench.get("/v1/webhook").json
    assert (shown["waiting"], shown["delivered"], shown["dropped"], shown["last_error"]) == (0, 2, 0, None)
    assert sum("does not accept events" in line for line in bench.lines) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_what_is_refused_is_not_tried_again(status: int) -> None:
    """It is dropped, named in the log, counted, and told with the next one that arrives."""
    posts = Posts(status)
    bench, _ = hooked(posts)
    happen(bench, "first")
    happen(bench, "second")
    assert posts.texts == ["first", "second"]
    assert json.loads(posts.seen[1][1]["data"])["dropped"] == 1
    assert bench.get("/v1/webhook").json["dropped"] == 1
    assert any(f"has not got link_down: status {status}" in line for line in bench.lines)


def test_the_queue_is_bounded_and_says_so_once() -> None:
    """The oldest give way, save the one that is on its way."""
    posts = Posts(None)
    bench, _ = hooked(posts, event_webhook_queue="3", event_webhook_timeout="5")
    happen(bench, *map(str, range(10)))
    assert bench.get("/v1/webhook").json["waiting"] == 3
    bench.clock.advance(5)
    bench.clock.advance(1)
    first, *rest = posts.texts
    assert rest[-2:] == ["8", "9"] and first == rest[0]
    assert bench.node.deliveries.dropped == 7
    assert sum("events are dropped" in line for line in bench.lines) == 1


def test_the_webhook_can_be_changed_and_taken_away() -> None:
    """What waits goes to the new one; without any, nothing is kept."""
    posts = Posts(500)
    bench, _ = hooked(posts)
    happen(bench, "first")
    bench.node.config.set_many({"event-webhook": "http://other.example/"})
    bench.clock.advance(1)
    assert [url for url, _ in posts.seen] == [URL, "http://other.example/"]
    bench.node.config.set_many({"event-webhook": ""})
    happen(bench, "second")
    assert len(bench.node.deliveries) == 0 and len(posts.seen) == 2


def test_a_webhook_that_is_stopped_waits_for_nothing() -> None:
    """Whatever it was doing; and it can be stopped again."""
    bench, webhook = hooked(Posts(None))
    happen(bench, "first")
    webhook.stop()
    webhook.stop()
    happen(bench, "second")
    assert not bench.clock.getDelayedCalls()


def test_the_url_and_the_secret_are_in_no_output() -> None:
    """Neither in answers nor in the log, even when posting fails with an error that names them."""
    posts = Posts(RuntimeError("no"), 404)
    bench, _ = hooked(posts, event_webhook_secret=SECRET)
    happen(bench, "first")
    bench.clock.advance(1)
    for path in (
        "/v1/webhook",
        "/v1/config",
        "/v1/config/event-webhook",
        "/metrics",
        "/",
        "/v1/config/event-webhook-secret",
    ):
        assert "hush" not in bench.get(path).text, path
    assert not [line for line in bench.lines if "hush" in line]


@pytest.mark.parametrize(
    "bad",
    ["x", "ftp://h/", "http://", "http://h:99999999/", "http://h/a b", "http://h/\r\nX: y", "http://u:p@h/", "//h"],
)
def test_a_url_that_is_none_is_refused(bad: str) -> None:
    """So that a mistake is seen when it is made; names and passwords belong into no URL."""
    with pytest.raises(ConfigError, match="must be a URL"):
        Bench().node.config.set_many({"event-webhook": bad})
