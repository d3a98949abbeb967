"""Events of a real promotion, posted to a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import free_port, wait_until
from txrepl.admin.webhook import sign

SECRET = "secret-hush"


class Receiver(ThreadingHTTPServer):
    """Takes posts; answers 500 to the first."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any, bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, self.headers, body))
        self.send_response(500 if len(self.server.posts) == 1 else 204)
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.shutdown()
    found.server_close()


def test_a_real_server_gets_the_events_of_a_promotion(run: Run, receiver: Receiver) -> None:
    """Signed, in order, the one that failed tried again; the log has neither the secret nor the path."""
    primary = run("redis70")
    url = f"http://127.0.0.1:{receiver.server_address[1]}/hook-hush?token=hush"
    replica = run(
        "txrepl", replicaof=("127.0.0.1", primary.port), http_port=free_port(), event_webhook=url,
        event_webhook_secret=SECRET,
    )  # fmt: skip
    wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30.0, "the link")
    replica.command("REPLICAOF", "NO", "ONE")

    def kinds() -> list[str]:
        return [json.loads(body)["event"] for _, _, body in receiver.posts]

    wait_until(lambda: "role_changed" in kinds(), 30.0, "the promotion")
    assert kinds() == ["sync_started", "sync_started", "sync_done", "link_up", "role_changed"]
    for path, headers, body in receiver.posts:
        assert path == "/hook-hush?token=hush"
        assert headers["X-Txrepl-Signature"] == sign(SECRET, headers["X-Txrepl-Timestamp"], body)
    assert "hush" not in replica.log_text()
