"""redis.conf's syntax and redis-server's command line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txrepl.config import build_config, parse_args, parse_text
from txrepl.config.quoting import quote_word, split_words
from txrepl.errors import ConfigError


def words(text: str) -> list[tuple[str, ...]]:
    return [(directive.name, *directive.words) for directive in parse_text(text, "test.conf")]


def error_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_and_load(text)
    return str(caught.value).split("\n")


def build_and_load(text: str) -> None:
    build_config(parse_args(["-"]), text)


def test_comments_blank_lines_and_case() -> None:
    assert words("# c\n\n \t PORT 1 \r\n  # x\nloglevel debug") == [("port", "1"), ("loglevel", "debug")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'a "b c" d', [b"a", b"b c", b"d"]),
        (rb'"\x41\xff\n\q\""', [b'A\xff\nq"']),
        (rb"'a\'b\x41' \x41", [rb"a'b\x41", rb"\x41"]),
        (b'a""', [b"a"]),
        (b'ab"cd"', [b"abcd"]),
        (b"''", [b""]),
        (b"  ", []),
        (b'"a', None),
        (b"'a", None),
        (b'"a"b', None),
        (b"'a'b", None),
        (b'"\\', None),
    ],
)
def test_quotes_follow_the_rules_of_redis(line: bytes, expected: list[bytes] | None) -> None:
    assert split_words(line) == expected


@given(st.lists(st.binary()))
def test_quoted_words_come_back(given_words: list[bytes]) -> None:
    assert split_words(" ".join(map(quote_word, given_words)).encode()) == given_words


@given(st.binary())
def test_any_line_gives_words_or_none(line: bytes) -> None:
    found = split_words(line)
    assert found is None or sum(map(len, found)) <= len(line)


def test_include_puts_the_directives_of_files_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "b.conf").write_text("port 2")
    (tmp_path / "a.conf").write_text("port 1\nhz 3")
    text = f"port 0\ninclude {tmp_path}/*.conf\ninclude {tmp_path}/none*\nport 4"
    assert words(text) == [("port", "0"), ("port", "1"), ("hz", "3"), ("port", "2"), ("port", "4")]


def test_an_include_that_cannot_be_read_or_never_ends_stops_the_start(tmp_path: Path) -> None:
    assert error_of(f"include {tmp_path}/none.conf") == [
        f"Fatal error, can't open config file '{tmp_path}/none.conf': No such file or directory"
    ]
    (tmp_path / "loop.conf").write_text(f"include {tmp_path}/loop.conf")
    assert "the file includes itself" in error_of(f"include {tmp_path}/loop.conf")


def test_an_unknown_directive_names_file_line_and_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("port 1\nreplica-red-only yes\n")
    with pytest.raises(ConfigError) as caught:
        build_config(parse_args([str(path)]))
    assert str(caught.value).split("\n") == [
        "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***",
        "Reading the configuration file, at line 2",
        ">>> 'replica-red-only yes'",
        "Bad directive or wrong number of arguments",
        f"({path}, line 2: unknown directive 'replica-red-only'; the nearest known name is 'replica-read-only')",
    ]
    assert error_of("zzzzqqqq 1")[-1] == "(standard input, line 1: unknown directive 'zzzzqqqq')"


@pytest.mark.parametrize(
    "text",
    [
        "port 21733\nfoo bar",
        "port",
        'port 0\nsave "',
        "hz x",
        "maxmemory 1x # comment",
        "rename-command get",
        "save 1 2 3",
        "sentinel monitor a",
        "user",
        '"hz" 10 11',
        "databases 0",
        "dir /nosuch",
        "loadmodule",
        "list-max-ziplist-entries 5 6",
        "repl-ping-slave-period 0",
        "replicaof a b",
        "slaveof a",
        "unixsocketperm 999",
        "unixsocketperm 1777",
        "supervised foo",
        "bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        'appendfilename ""',
        "shutdown-on-sigterm save nosave",
        "loglevel a b",
        "oom-score-adj-values 1 2",
        "appenddirname a/b",
    ],
)
def test_a_bad_file_is_refused_in_the_words_of_a_live_redis(tmp_path: Path, text: str) -> None:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs redis-server (Debian package redis-server)")
    (tmp_path / "bad.conf").write_text(text)
    done = subprocess.run([binary, "bad.conf"], cwd=tmp_path, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert error_of(text)[1:-1] == done.stderr.strip().split("\n")[1:]


ARGUMENTS = [
    ["--port", "7000", "--save", ""],
    ["--save", "--port", "7000"],
    ["--port", "7000", "--save"],
    ["--save", "900 1", "--save", "60 5"],
    ["--save", "900", "1", "60", "5"],
    ["--port 7000", "--hz 33"],
    ["--loglevel", "--debug"],
    ["--proc-title-template", "--x", "--hz", "33"],
    ["--repl-timeout", "7", "--hz"],
    ["--client-output-buffer-limit", "slave", "1mb", "2mb", "3"],
    ["--port", "1", "2"],
    ["--nosuch", "1"],
    ["-x"],
    ["x.conf", "--hz", "44"],
    ["x.conf", "stray"],
    ["--shutdown-on-sigint", "nosave", "now", "--hz", "40"],
    ["--masterauth", "a b\"'\\\n"],
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_arguments_mean_what_they_mean_to_a_live_redis(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs redis-server (Debian package redis-server)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.conf").write_text("hz 22\nrepl-timeout 5\n")
    live = _live_values(binary, tmp_path, arguments)
    try:
        config = build_config(parse_args(arguments))
    except ConfigError as error:
        assert isinstance(live, str), f"only we refuse: {error}"
        assert str(error).split("\n")[2:-1] == live.split("\n")[2:]
        return
    assert not isinstance(live, str), live
    names = ("hz", "repl-timeout", "loglevel", "save", "client-output-buffer-limit", "masterauth", "shutdown-on-sigint")
    assert {name: config.text(name) for name in names} == {name: live[name] for name in names}


def _live_values(binary: str, directory: Path, arguments: list[str]) -> dict[str, str] | str:
    """What CONFIG GET says on a Redis started so, or its error. A bind to a bare socket keeps it off the network."""
    import redis

    socket = str(directory / "redis.sock")
    more = ["--unixsocket", socket, "--bind", "", "--tcp-backlog", "5"]
    command = [binary, *arguments, *more] if arguments[-1] not in ("--save", "--hz") else [binary, *more, *arguments]
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    seen = ""
    try:
        for line in process.stdout:
            seen += line
            if "The server is now ready to accept connections at" in line:
                return redis.Redis(unix_socket_path=socket, decode_responses=True).config_get("*")
        return seen[seen.index("***") :].strip()
    finally:
        process.kill()
        process.communicate()


def test_the_command_line_wins_over_standard_input_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_text("port 1\nhz 20\ntimeout 1")
    arguments = parse_args([str(path), "--port", "3", "-"])
    assert arguments.from_stdin
    config = build_config(arguments, "port 2\nhz 30")
    assert [config.get_int(name) for name in ("port", "hz", "timeout")] == [3, 30, 1]
    assert config.file_path == str(path)


def test_version_and_help_count_only_as_the_first_argument() -> None:
    assert parse_args(["-v"]).show == parse_args(["--version", "x"]).show == "version"
    assert parse_args(["-h"]).show == parse_args(["--help"]).show == "help"
    assert parse_args([]).show is None
    with pytest.raises(ConfigError):
        parse_args(["--port", "1", "--version"])


def test_a_dash_in_the_middle_is_a_value() -> None:
    arguments = parse_args(["--logfile", "-", "--port", "1"])
    assert not arguments.from_stdin
    assert arguments.directives[0].words == ("-",)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^Fatal error, can't open config file '.*none.conf': No such file or directory$"
    ):
        build_config(parse_args([str(tmp_path / "none.conf")]))
