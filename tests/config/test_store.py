"""CONFIG GET and SET on the table: names, all or nothing, subscribers, warnings, secrets."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.config.conftest import Start
from txrepl.config import Config, parse_text
from txrepl.errors import ConfigError


def glob(pattern: bytes) -> Callable[[bytes], bool]:
    """A stand-in for the keyspace's globs, which the configuration does not know."""
    return lambda name: fnmatch.fnmatchcase(name.decode(), pattern.decode())


def loaded(text: str) -> Config:
    config = Config()
    config.load(parse_text(text, "test.conf"))
    return config


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def test_values_have_python_types() -> None:
    config = loaded(
        "maxmemory 1gb\nreplica-read-only no\nsave 10 2\nbind 127.0.0.1 -::1\nreplicaof h 7\nunixsocketperm 700"
    )
    assert config.get_int("maxmemory") == config["maxmemory"] == 2**30
    assert config.get_bool("replica-read-only") is False
    assert config.get_str("loglevel") == "notice"
    assert config.save_points == ((10, 2),)
    assert config.bind == ("127.0.0.1", "-::1")
    assert config.replicaof == ("h", 7)
    assert config.get_int("unixsocketperm") == 0o700
    assert config.latency_percentiles == (50.0, 99.0, 99.9)


def test_old_and_new_names_are_one_directive() -> None:
    config = Config()
    assert config.set_many({"slave-read-only": "no", "MIN-SLAVES-TO-WRITE": "3", "primaryauth": "x"}) == [
        "replica-read-only",
        "min-replicas-to-write",
        "masterauth",
    ]
    assert config.get_int("min-replicas-to-write") == 3
    assert config.get_str("masterauth") == "x"


def test_get_answers_names_as_asked_and_globs_by_both_names(start_redis: Start) -> None:
    live = start_redis()
    for patterns in (
        ["SLAVE-Read-Only"],
        ["MaxMem*"],
        ["*read-only", "hz", "HZ"],
        ["rdb-key-*"],
        ["key-load-delay"],
        ["nosuch"],
    ):
        encoded = [pattern.encode() for pattern in patterns]
        expected = {k.encode(): v.encode() for k, v in live.config_get(*patterns).items()}
        assert Config().get_matching(encoded, glob) == expected


def test_one_bad_value_leaves_everything_as_it_was() -> None:
    config = Config()
    text = refusal(lambda: config.set_many([("repl-timeout", "5"), ("save", "60 1"), ("hz", "x")]))
    assert (
        text
        == "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer"
    )
    assert config.get_int("repl-timeout") == 60
    assert config.save_points == ((3600, 1), (300, 100), (60, 10000))


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("hz", "1"), ("NoSuch", "1")], "Unknown option or number of arguments for CONFIG SET - 'NoSuch'"),
        ([("HZ", "1"), ("hz", "2")], "CONFIG SET failed (possibly related to argument 'hz') - duplicate parameter"),
        (
            [("Databases", "3"), ("x", "1")],
            "CONFIG SET failed (possibly related to argument 'Databases') - can't set immutable config",
        ),
        ([("dir", "/")], "CONFIG SET failed (possibly related to argument 'dir') - can't set protected config"),
    ],
)
def test_names_are_judged_before_values(start_redis: Start, pairs: list[tuple[str, str]], text: str) -> None:
    assert refusal(lambda: Config().set_many(pairs)) == "ERR " + text
    live = start_redis()
    with pytest.raises(Exception, match="CONFIG SET") as caught:
        live.execute_command("CONFIG", "SET", *[word for pair in pairs for word in pair])
    assert str(caught.value) == text


def test_protected_directives_open_to_whom_enable_protected_configs_names(tmp_path: Path) -> None:
    config = loaded("enable-protected-configs local")
    assert "protected" in refusal(lambda: config.set_many({"dir": str(tmp_path)}, is_local=False))
    assert config.set_many({"dir": str(tmp_path)}, is_local=True) == ["dir"]
    assert config.get_str("dir") == str(tmp_path)


def test_while_loading_some_directives_are_refused_with_the_loading_error() -> None:
    config = Config()
    assert refusal(lambda: config.set_many({"appendonly": "yes"}, is_loading=True)).startswith("LOADING ")
    assert config.set_many({"hz": "20"}, is_loading=True) == ["hz"]


def test_dir_must_exist_and_is_kept_absolute(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "sub").mkdir()
    assert Config().get_str("dir") == os.getcwd()
    assert loaded(f"dir {tmp_path}\ndir sub").get_str("dir") == str(tmp_path / "sub")
    assert "No such file or directory" in refusal(lambda: loaded(f"dir {tmp_path}/none"))
    assert "Not a directory" in refusal(lambda: loaded(f"dir {tmp_path}/file"))


def test_subscribers_are_told_once_after_all_values_are_in_place() -> None:
    config, seen = Config(), []
    told = lambda: seen.append((config.get_int("hz"), config.get_int("repl-timeout")))  # noqa: E731
    config.subscribe("hz", told)
    config.subscribe("repl-timeout", told)
    config.set_many({"hz": "20", "repl-timeout": "7"})
    config.set_many({"hz": "20"})
    assert seen == [(20, 7)]


def test_a_subscriber_that_refuses_undoes_the_whole_change() -> None:
    config, ports = Config(), []

    def refuse() -> None:
        if config.get_int("hz") == 50:
            raise ConfigError("Unable to do it.")

    config.subscribe("port", lambda: ports.append(config.get_int("port")))
    config.subscribe("hz", refuse)
    text = refusal(lambda: config.set_many({"port": "7000", "hz": "50"}))
    assert text == "ERR CONFIG SET failed (possibly related to argument 'hz') - Unable to do it."
    assert ports == [7000, 6379]
    assert config.get_int("hz") == 10
    with pytest.raises(KeyError):
        config.subscribe("slave-read-only", refuse)


def test_buffer_limits_that_are_not_named_stay() -> None:
    config = Config()
    config.set_many({"client-output-buffer-limit": "slave 1mb 2k 3"})
    assert config.buffer_limits.replica == (1048576, 2000, 3)
    assert config.buffer_limits.pubsub == (33554432, 8388608, 60)


def test_save_lines_add_up_and_an_empty_one_clears() -> None:
    assert loaded("save 900 1\nsave 60 5 30 2").save_points == ((900, 1), (60, 5), (30, 2))
    assert loaded("save 900 1\nsave ''").save_points == ()
    assert loaded("save ''\nsave 5 6").save_points == ((5, 6),)


def test_a_directive_without_effect_warns_once_and_only_off_its_default() -> None:
    config = loaded(
        "appendonly yes\nappendfsync everysec\nlazyfree-lazy-expire yes\nrename-command KEYS ''\nappendonly yes"
    )
    first, second = config.take_warnings()
    assert first.startswith("WARNING: the directive 'appendonly' is accepted but has no effect here: ")
    assert "lost" in first
    assert "'rename-command'" in second
    config.set_many({"appendonly": "no"})
    config.set_many({"appendonly": "yes", "activedefrag": "yes"})
    (third,) = config.take_warnings()
    assert "'activedefrag'" in third
    assert [directive.words for directive in config.file_only] == [("KEYS", "")]


def test_secrets_are_masked_except_where_config_get_shows_them() -> None:
    config = loaded("masterauth hidden\nhttp-token hidden2")
    assert config.text("masterauth") == "hidden"
    assert config.masked_text("masterauth") == config.masked_text("http-token") == "***"
    assert config.masked_text("requirepass") == ""
    assert config.masked_text("hz") == "10"
    for text in ("masterauth hidden more", 'requirepass "hidden', "masterauht hidden"):
        assert "hidden" not in refusal(lambda text=text: loaded(text))


def test_bytes_survive_that_are_no_text() -> None:
    config = loaded('requirepass "\\xff\\x00\\xc3\\xa9"')
    assert config.get_matching([b"requirepass"], glob) == {b"requirepass": b"\xff\x00\xc3\xa9"}


def test_debug_is_open_to_whom_its_directive_names() -> None:
    for word, local, remote in (("no", False, False), ("local", True, False), ("yes", True, True)):
        config = loaded(f"enable-debug-command {word}")
        assert (config.allows("enable-debug-command", True), config.allows("enable-debug-command", False)) == (
            local,
            remote,
        )


def test_assign_records_what_the_server_decided() -> None:
    config = loaded("replicaof a 1")
    config.assign("replicaof", None)
    assert config.text("slaveof") == ""
    with pytest.raises(KeyError):
        config.assign("nosuch", 1)
