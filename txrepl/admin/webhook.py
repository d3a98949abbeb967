"""Posts the node's events to `event-webhook`, as JSON, signed.

    POST URL
    Content-Type: application/json
    X-Txrepl-Event: KIND
    X-Txrepl-Id: RUN_ID:NUMBER                        the same when it is tried again
    X-Txrepl-Timestamp: UNIX_SECONDS                  of this try
    X-Txrepl-Signature: sha256=HEX                    only with event-webhook-secret

The signature is HMAC-SHA256, with the secret as its key, of the timestamp, a dot, and the body. Any 2xx accepts the
event; 4xx refuses it for good, save 408, 425 and 429; everything else, redirects too, is tried again (`deliveries`).
What the other side answers is read and forgotten.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, Final, Protocol

import treq
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TookTooLongError
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool

from txrepl import __version__
from txrepl.admin import views
from txrepl.node import Node
from txrepl.replication.events import Event

_TRY_AGAIN: Final = frozenset({408, 425, 429})


class Poster(Protocol):
    """What posts: treq's client."""

    def post(self, url: str, **more: Any) -> Deferred[Any]:
        """Send a POST."""


class Webhook:
    """Delivers events for as long as there is a URL.

    Parameters:
        node: whose events; its directives say where to and how.
        reactor: time, and connections.
        poster: posts; treq's client if None.
    """

    def __init__(self, node: Node, reactor: Any, poster: Poster | None = None) -> None:
        self._node = node
        self._reactor = reactor
        self._poster: Poster | None = poster
        self._running: Deferred[None] | None = None
        self._is_open = False
        node.events.listeners.append(self._happened)
        for name in ("event-webhook", "event-webhook-queue"):
            node.config.subscribe(name, self._follow)

    def start(self) -> None:
        """Deliver what happens from now on."""
        self._is_open = True
        self._follow()

    def stop(self) -> None:
        """Deliver no more."""
        self._is_open = False
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    @property
    def _url(self) -> str:
        return self._node.config.get_str("event-webhook") if self._is_open else ""

    def _follow(self) -> None:
        self._node.deliveries.queue_max = self._node.config.get_int("event-webhook-queue")
        if not self._url:
            self._node.deliveries.clear()

    def _happened(self, event: Event) -> None:
        if not self._url:
            return
        deliveries = self._node.deliveries
        if not deliveries.add(event) and deliveries.untold == 1:
            self._node.log("warning", "The event webhook is too slow, or does not answer: events are dropped")
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._deliver_all())
            self._running.addErrback(self._broke)

    def _broke(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._running = None
            self._node.log("warning", f"The event webhook ended unexpectedly: {failure.getErrorMessage()}")

    async def _deliver_all(self) -> None:
        """Until nothing waits; begins in a turn of its own, as what happens is not over yet."""
        await deferLater(self._reactor, 0)
        deliveries = self._node.deliveries
        while (event := deliveries.begin()) is not None:
            url = self._url
            error, for_good = await self._deliver(url, event)
            if deliveries.head is not event:
                continue  # the URL was taken away meanwhile
            if not error:
                deliveries.accepted()
                continue
            if not deliveries.last_error:
                self._node.log("warning", f"The event webhook does not accept events: {error}")
            wait_s = deliveries.failed(error, for_good=for_good)
            if wait_s is None:
                self._node.log("warning", f"The event webhook has not got {event.kind.value}: {error}")
            else:
                await deferLater(self._reactor, wait_s)
        self._running = None

    async def _deliver(self, url: str, event: Event) -> tuple[str, bool]:
        """Try once; why it failed, or nothing, and whether it will for ever."""
        if self._poster is None:
            agent: Any = Agent(self._reactor, pool=HTTPConnectionPool(self._reactor, persistent=False))
            client: Any = HTTPClient(agent)
            self._poster = client
        timeout_s = self._node.config.get_int("event-webhook-timeout")
        try:
            posted = Deferred.fromCoroutine(self._post(self._poster, url, event))
            status = await posted.addTimeout(timeout_s, self._reactor)
        except TookTooLongError:
            return f"no answer within {timeout_s} s", False
        except CancelledError:
            raise
        except Exception as failed:
            return _reason(failed), False
        if 200 <= status < 300:
            return "", False
        return f"status {status}", 400 <= status < 500 and status not in _TRY_AGAIN

    async def _post(self, poster: Poster, url: str, event: Event) -> int:
        node = self._node
        body = json.dumps(
            {
                **views.event(node, event),
                "node": {"run_id": node.run_id, "port": node.settings.listening_port, "role": views.role(node)},
                "dropped": node.deliveries.untold,
            }
        ).encode()
        timestamp = str(node.now() // 1000)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"txrepl/{__version__}",
            "X-Txrepl-Event": event.kind.value,
            "X-Txrepl-Id": f"{node.run_id}:{event.number}",
            "X-Txrepl-Timestamp": timestamp,
        }
        secret = node.config.get_str("event-webhook-secret")
        if secret:
            headers["X-Txrepl-Signature"] = sign(secret, timestamp, body)
        response = await poster.post(url, data=body, headers=headers, allow_redirects=False, unbuffered=True)
        await treq.collect(response, _forget)
        return int(response.code)


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature of a try."""
    key = secret.encode("utf-8", "surrogateescape")
    return "sha256=" + hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _forget(data: bytes) -> None:
    """What is answered is of no interest."""


def _reason(error: Exception) -> str:
    """Why a try failed, without the URL, which may hold a secret."""
    reasons = getattr(error, "reasons", None)  # Twisted wraps what a connection ended with
    if reasons:
        return _reason(reasons[0].value)
    return views.printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
