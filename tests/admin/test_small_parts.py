"""The pace of a history, and whether an address is our own."""

from __future__ import annotations

import pytest

from txrepl.admin.pace import WINDOW_SAMPLES, Pace
from txrepl.admin.selves import is_ourselves
from txrepl.config import Config
from txrepl.replication.settings import Settings


def test_pace_is_unknown_before_two_samples() -> None:
    """Nothing is guessed."""
    pace = Pace()
    assert pace.bytes_per_second() is None
    pace.sample(0, "a", 100)
    assert pace.bytes_per_second() is None
    pace.sample(1, "a", 150)
    assert pace.bytes_per_second() == 50


def test_pace_forgets_what_is_older_than_the_window() -> None:
    """A burst long ago does not count."""
    pace = Pace()
    pace.sample(0, "a", 0)
    for second in range(1, WINDOW_SAMPLES + 1):
        pace.sample(second, "a", 1_000_000)
    assert pace.bytes_per_second() == 0


@pytest.mark.parametrize(("replid", "offset"), [("b", 5000), ("a", 10)])
def test_pace_begins_anew_with_another_history(replid: str, offset: int) -> None:
    """After a full sync the offset jumps; that was not written."""
    pace = Pace()
    pace.sample(0, "a", 100)
    pace.sample(1, "a", 200)
    pace.sample(2, replid, offset)
    assert pace.bytes_per_second() is None
    pace.sample(3, replid, offset + 7)
    assert pace.bytes_per_second() == 7


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
