"""A client of a server's HTTP interface."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.interop.servers import RealServer


def request(server: RealServer, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
    """Send a request, with a JSON body if there is one; status, headers in lower case, and the JSON that comes back."""
    url = f"http://127.0.0.1:{server.directives['http-port']}{path}"
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, {name.lower(): value for name, value in refused.headers.items()}, json.load(refused)
