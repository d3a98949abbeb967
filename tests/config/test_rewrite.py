"""CONFIG REWRITE writes what a live Redis writes on the same file after the same changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.config.conftest import Start
from txrepl.config import Config, build_config, overwrite_file, parse_args, rewrite
from txrepl.config.rewrite import SIGNATURE

CASES: list[tuple[str, dict[str, str]]] = [
    ("", {}),
    ("\n", {"hz": "20"}),
    ("# head\n\n\n\nhz 10\n  Slave-Read-Only yes\nhash-max-ziplist-entries 100\n", {"hz": "20"}),
    ("save 900 1\nSAVE 60 5\n\n# tail", {"save": ""}),
    ("save 900 1\n", {"save": "5 6 7 8"}),
    ("maxmemory 100mb\nmaxmemory 200MB\nloglevel notice\nloglevel verbose\n", {"maxmemory": "1000"}),
    ('masterauth "a b\\x01"\nrequirepass ""\nmasteruser \'it\\\'s\'\n', {"masterauth": 'é "x" \n'}),
    ("client-output-buffer-limit slave 1mb 2mb 3\nclient-output-buffer-limit pubsub 0 0 0\n", {}),
    ("client-output-buffer-limit normal 0 0 0\n", {"client-output-buffer-limit": "replica 1gb 1k 7"}),
    ('list-max-ziplist-value 5\nrename-command KEYS ""\n# include x\nlogfile ""\nunixsocketperm 700\n', {}),
    ("hash-max-ziplist-value 5\nhash-max-listpack-value 6\n", {"hash-max-ziplist-value": "7"}),
    ('shutdown-on-sigterm save force\nmaxmemory-clients 5%\nnotify-keyspace-events "Kl"\n', {"maxmemory-clients": "0"}),
    ("maxmemory-clients 0\n", {"maxmemory-clients": "7%", "notify-keyspace-events": "KEA", "slave-priority": "7"}),
    ("latency-tracking-info-percentiles ''\noom-score-adj-values 0 200 800\n", {"lua-time-limit": "9"}),
    (f"hz 50\n{SIGNATURE}\ntimeout 3\n", {"hz": "10", "timeout": "0", "repl-timeout": "61"}),
    ("save '900 1 60 5'\nlatency-tracking-info-percentiles \"50 99\"\n", {"hz": "11"}),
    ("bind 127.0.0.2\nsave ''", {"shutdown-on-sigint": "now nosave", "repl-backlog-size": "3mb"}),
]


@pytest.mark.parametrize(("text", "changes"), CASES)
def test_the_rewritten_file_is_that_of_a_live_redis(
    start_redis: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, changes: dict[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "redis.conf"
    path.write_text(text)
    config = build_config(parse_args([str(path), "--port", "0", "--unixsocket", str(tmp_path / "redis.sock")]))
    live = start_redis(str(path))
    for name, value in changes.items():
        live.config_set(name, value)
    config.set_many(changes)
    live.config_rewrite()
    ours = rewrite(text, config)
    assert _comparable(ours) == _comparable(path.read_text())
    again = build_config(parse_args(["-"]), ours)
    assert [again.text(name) for name in changes] == [config.text(name) for name in changes]


def _comparable(text: str) -> tuple[list[str], list[str]]:
    """The old part in order, the appended part sorted (Redis appends in the order of a hash table).

    Redis adds its ACL users, which txrepl has none of.
    """
    lines = [line for line in text.split("\n") if not line.startswith("user default ")]
    at = lines.index(SIGNATURE)
    return lines[:at], sorted(line for line in lines[at:] if line)


def _loaded(text: str) -> Config:
    return build_config(parse_args(["-"]), text)


def test_lines_without_a_value_stay_and_unknown_ones_become_comments(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("databases 3\n")
    kept = f'include {tmp_path}/more.conf\nuser alice on\nrename-command KEYS ""\nloadmodule /x.so a b'
    text = rewrite(kept + '\nfrom-the-future 1\n"odd', _loaded(kept))
    assert text.startswith(kept + '\n# ??? from-the-future 1\n# ??? "odd\n' + SIGNATURE + "\n")
    assert "databases 3\n" in text


def test_replicaof_is_written_by_state() -> None:
    config = _loaded("slaveof a 1\nhz 20")
    assert rewrite("slaveof a 1\nhz 20", config).startswith("replicaof a 1\nhz 20\n")
    config.assign("replicaof", ("b", 2))
    assert rewrite("slaveof a 1\nhz 20", config).startswith("replicaof b 2\nhz 20\n")
    config.assign("replicaof", None)
    assert rewrite("slaveof a 1\nhz 20", config).startswith("\nhz 20\n")
    assert "replicaof c 3\n" in rewrite("hz 20", config, {"replicaof": ["c 3"]})
    users = rewrite("user alice on\nuser carol on\nuser dave on", config, {"user": ["bob on", "eve on"]})
    assert users.startswith("user bob on\nuser eve on\n\n" + SIGNATURE)


def test_rewriting_twice_changes_nothing_more() -> None:
    config = _loaded("hz 20\n\n\nsave 5 6")
    once = rewrite("hz 20\n\n\nsave 5 6", config)
    twice = rewrite(once, config)
    assert twice.rstrip("\n") == once.rstrip("\n")
    assert rewrite(twice, config) == twice


def test_without_an_old_file_only_what_differs_is_written() -> None:
    config = _loaded("hz 20\nloglevel notice")
    lines = rewrite(None, config).split("\n")
    assert lines[0] == SIGNATURE
    assert "hz 20" in lines
    assert not any(line.startswith("loglevel") for line in lines)


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("old")
    overwrite_file(str(path), "new \udcff")
    assert path.read_bytes() == b"new \xff"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644 & ~mask
    assert os.listdir(tmp_path) == ["x.conf"]
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        overwrite_file(str(tmp_path / "directory"), "text")
    assert sorted(os.listdir(tmp_path)) == ["directory", "x.conf"]
