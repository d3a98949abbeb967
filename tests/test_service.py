"""The composed server on a clock, without a reactor that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.task import Clock

from txrepl.config import Config
from txrepl.net.log import Log
from txrepl.service import Cancellable, RedisService, now_ms


def test_periodic_work_goes_on_after_a_tick_that_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One error nobody thought of must not end timeouts, expiry and acknowledgements for good."""
    log = Log(now_ms)
    config = Config()
    config.assign("dir", str(tmp_path))
    config.assign("logfile", str(tmp_path / "log"))
    clock = Clock()
    server = RedisService(config, clock, log, lambda message: None)
    ticks: list[int] = []

    def sample(moment_ms: int) -> None:
        ticks.append(moment_ms)
        if len(ticks) == 2:
            raise ZeroDivisionError("who would have thought")

    monkeypatch.setattr(type(server.node.stats), "sample", lambda stats, moment_ms: sample(moment_ms))
    server.startService()
    clock.pump([0.1] * 5)
    server._close()
    assert len(ticks) == 5
    assert (tmp_path / "log").read_text().count("periodic work: ZeroDivisionError: who would have thought") == 1


def test_a_timer_may_be_cancelled_before_and_after_it_has_fired() -> None:
    """Whoever waits need not know which."""
    clock = Clock()
    fired: list[str] = []
    early = Cancellable(clock.callLater(1, fired.append, "early"))
    late = Cancellable(clock.callLater(3, fired.append, "late"))
    clock.advance(2)
    early.cancel()
    late.cancel()
    clock.advance(2)
    assert fired == ["early"]
