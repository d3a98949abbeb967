"""A schema fuzzer lives on the contract of a live server, and finds nothing; the server lives on, too."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from tests.interop.conftest import Run
from tests.interop.servers import free_port
from txrepl.admin.openapi import ROUTES

TOKEN = "token-hush"
STARTED_S = 20
BOUND_S = 240

#: Where a schema cannot say all that a body must be: the syntax of a directive's value, fields that go or do not go
#: together, what this node can do. A request that fits the schema may be refused there, with 422.
BEYOND_SCHEMAS = ("/v1/config", "/v1/delay", "/v1/failover", "/v1/preflight", "/v1/compare")

#: Waits would only make the run long; where nothing waits, there is nothing to wait for. An offset that the backlog
#: does not hold any more is gone, as one that is not written yet is a conflict: that depends on when it is asked for.
SETTINGS = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", 503, 504]

[[operations]]
include-path-regex = "^/v1/(replicaof|slaveof)$"
parameters = { wait = 0.01 }

[[operations]]
include-path = "/v1/backlog/commands"
checks.positive_data_acceptance.expected-statuses = ["2xx", 409, 410]
"""


def settings() -> str:
    """The fuzzer's configuration."""
    beyond = "".join(
        f'\n[[operations]]\ninclude-path = "{path}"\nchecks.positive_data_acceptance.enabled = false\n'
        for path in BEYOND_SCHEMAS
    )
    return SETTINGS + beyond


def ask(port: int, path: str) -> Any:
    """The JSON at a path."""
    url = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def test_a_schema_fuzzer_finds_nothing(run: Run, tmp_path: Path) -> None:
    """Undocumented statuses, answers that do not fit, bad input taken for good, a token that is ignored, a crash."""
    port = free_port()
    server = run("txrepl", http_port=port, http_token=TOKEN, save="")
    (tmp_path / "settings.toml").write_text(settings())
    streams = [word for route in ROUTES if route.streams for word in ("--exclude-path", route.path)]
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "settings.toml"),
        "run", f"http://127.0.0.1:{port}/openapi.json", "-H", f"Authorization: Bearer {TOKEN}",
        "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--max-time", str(STARTED_S), "--seed", "1",
        "--generation-database", "none", "--request-timeout", "20", "--warnings", "off", "--no-color", *streams,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_S, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Fuzzing" in done.stdout and " passed" in done.stdout
    assert ask(port, "/healthz") == {"status": "alive"}
    assert server.command("PING") in (b"PONG", "PONG")
    log = server.log_text()
    assert "Traceback" not in log and "HTTP request failed" not in log and "hush" not in log
