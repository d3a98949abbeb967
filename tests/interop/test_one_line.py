"""`twistd -n txrepl` with a configuration of one line: everything over HTTP is there with no further set-up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.interop.conftest import Run
from tests.interop.following import get, ndjson
from tests.interop.servers import free_port, wait_until

TIMEOUT_S = 30.0


def test_a_configuration_of_one_line_shows_everything(run: Run, tmp_path: Path) -> None:
    """Dashboard, text, snapshot, metrics, topology, contract, stream; ports are chosen, as tests share a machine."""
    primary = run("redis70", repl_diskless_sync_delay=0)
    primary.command("SET", "before", "1")
    (tmp_path / "node.conf").write_text(f"replicaof 127.0.0.1 {primary.port}\n")
    http = free_port()
    argv = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "txrepl", "--config", "node.conf"]
    argv += ["--port", "0", "--http", f"tcp:{http}:interface=127.0.0.1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path)
        try:
            wait_until(lambda: get(http, "/readyz").status == 200, TIMEOUT_S, "it is in sync")
            assert b"<title>txrepl" in get(http, "/", Accept="text/html").read()
            assert f"replica of 127.0.0.1:{primary.port}".encode() in get(http, "/").read()
            assert get(http, "/v1/snapshot").read().startswith(b"REDIS")
            assert b"redis_master_link_up" in get(http, "/metrics").read()
            assert f":{primary.port}".encode() in get(http, "/v1/topology").read().replace(b'"port": ', b'":')
            assert json.load(get(http, "/openapi.json"))["openapi"].startswith("3.1")
            stream = get(http, "/v1/changes", Accept="application/x-ndjson")
            primary.command("SET", "after", "2")
            changes = (event for event in ndjson(stream) if event["event"] == "change")
            assert next(changes)["args"] == ["after", "2"]
            stream.close()
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
