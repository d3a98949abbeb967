"""The table says of each directive what a live Redis 7.0 says."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.config.conftest import Start
from txrepl.config import TABLE, Config
from txrepl.errors import ConfigError

#: Names of Redis 7.2 that 7.0 does not have yet, and our own.
NOT_IN_7_0 = {
    "server-cpulist",
    "bio-cpulist",
    "aof-rewrite-cpulist",
    "bgsave-cpulist",
    "set-max-listpack-entries",
    "set-max-listpack-value",
    "locale-collate",
    "cluster-announce-human-nodename",
    "replica-delay",
    "replica-delay-max-bytes",
    "replica-delay-stop-before",
    "replica-empty-primary-guard",
    "http-port",
    "http-bind",
    "http-token",
    "http",
    "event-webhook",
    "event-webhook-secret",
    "event-webhook-timeout",
    "event-webhook-queue",
}
#: txrepl listens on loopback unless told otherwise; the rest is how the Redis of these tests is started.
OTHER_DEFAULTS = {"bind", "port", "unixsocket", "dir"}


def shown_names() -> dict[str, str]:
    """Every name that CONFIG GET * lists, with the modern one."""
    return {name: spec.name for spec in TABLE if not spec.hidden for name in (spec.name, spec.alias) if name}


def test_names_are_those_of_a_live_redis(start_redis: Start) -> None:
    live = set(start_redis().config_get("*"))
    assert set(shown_names()) - live == NOT_IN_7_0
    assert live - set(shown_names()) == set()


def test_hidden_names_are_answered_by_redis_only_when_spelled_out(start_redis: Start) -> None:
    live = start_redis()
    for spec in TABLE:
        if spec.hidden:
            assert live.config_get(spec.name) == {spec.name: Config().text(spec.name)}
            assert live.config_get(spec.name + "*") == {}


def test_defaults_are_those_of_a_live_redis(start_redis: Start, tmp_path: Path) -> None:
    live = start_redis().config_get("*")
    ours = Config()
    differing = {
        name: (ours.text(modern), live[name])
        for name, modern in shown_names().items()
        if name in live and modern not in OTHER_DEFAULTS and ours.text(modern) != live[name]
    }
    assert differing == {}


def test_what_config_set_may_change_is_what_a_live_redis_lets_change(start_redis: Start) -> None:
    live = start_redis()
    names = [spec for spec in TABLE if spec.name in live.config_get("*") and spec.name not in OTHER_DEFAULTS]
    for spec in names:
        ours, value = Config(), Config().text(spec.name)
        assert _outcome_live(live, spec.name, value) == _outcome_ours(ours, spec.name, value), spec.name


BAD_AND_ODD_VALUES = [
    "",
    "x",
    "-1",
    "07",
    "+1",
    "1.5",
    "99999999999999999999",
    "1k",
    "1KB",
    "2gb",
    "1tb",
    "5%",
    "101%",
    "yes",
    "NO",
    "save force",
    "save nosave",
    "default",
    "save  now",
    "900 1",
    "900 1 60",
    "0 1",
    "normal 1mb 2k 3",
    "slave 1 1 x",
    "replica 1 1 1 pubsub 0 0 0",
    "master 1 1 1",
    "0 1 9000",
    "-1 0 1",
    "KEA",
    "mKn$dt",
    "KEQ",
    "50 99.99 1e1",
    "101",
    "{title} {port",
    "{port}{title}",
    "{foo}",
    "a_b",
    "a.b-c",
    "relative",
    "é\x00\n",
    "local",
    "panic-on-replicas",
    "everysec",
    "-101",
    "2147483648",
    "1024",
]
#: Setting these on the live server has an effect outside of it, or needs what the machine may not have.
NOT_TRIED = OTHER_DEFAULTS | {
    "maxclients",
    "oom-score-adj",
    "oom-score-adj-values",
    "activedefrag",
    "appendonly",
    "requirepass",
    "bind-source-addr",
    "watchdog-period",
    "crash-log-enabled",
    "proc-title-template",
}


@pytest.mark.parametrize("value", BAD_AND_ODD_VALUES)
def test_each_value_is_taken_or_refused_in_the_words_of_a_live_redis(start_redis: Start, value: str) -> None:
    live = start_redis()
    known = live.config_get("*")
    for spec in TABLE:
        if spec.mutable and spec.name in known and spec.name not in NOT_TRIED and not spec.name.startswith("tls-"):
            used = spec.alias or spec.name
            ours = Config()
            expected, got = _outcome_live(live, used, value), _outcome_ours(ours, used, value)
            assert got == expected, spec.name
            if got == "OK" and "\x00" not in value:
                assert ours.text(spec.name) == live.config_get(spec.name)[spec.name], spec.name


def _outcome_live(live: redis.Redis, name: str, value: str) -> str:
    try:
        live.config_set(name, value)
    except redis.ResponseError as error:
        return str(error)
    return "OK"


def _outcome_ours(config: Config, name: str, value: str) -> str:
    try:
        config.set_many({name: value})
    except ConfigError as error:
        return str(error).removeprefix("ERR ")
    return "OK"
