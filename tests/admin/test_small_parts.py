"""Whether an address is our own."""

from __future__ import annotations

import pytest

from txrepl.admin.selves import is_ourselves
from txrepl.config import Config
from txrepl.replication.settings import Settings


@pytest.mark.parametrize(
    ("bind", "host", "ours"),
    [
        ("127.0.0.1 -::1", "127.0.0.1", True),
        ("127.0.0.1 -::1", "LOCALHOST", True),
        ("127.0.0.1 -::1", "0:0:0:0:0:0:0:1", True),
        ("127.0.0.1", "10.0.0.1", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "127.0.0.1", False),
        ("* -::*", "localhost", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("* -::*", "10.0.0.1", False),
        ("127.0.0.1", "node.example", False),
        ("127.0.0.1", "localhost.example", False),
    ],
)
def test_what_we_listen_on_is_ourselves(bind: str, host: str, ours: bool) -> None:
    """Loopback only where we listen on it; another port never."""
    config, settings = Config(), Settings()
    config.set_many({"bind": bind})
    assert is_ourselves(config, settings, host, settings.listening_port) is ours
    assert not is_ourselves(config, settings, host, settings.listening_port + 1)


def test_what_we_announce_is_ourselves() -> None:
    """Behind a translated address and port, too."""
    settings = Settings()
    settings.announce_ip, settings.announce_port = "198.51.100.1", 7000
    assert is_ourselves(Config(), settings, "198.51.100.1", 7000)
    assert not is_ourselves(Config(), settings, "198.51.100.1", 6379)
