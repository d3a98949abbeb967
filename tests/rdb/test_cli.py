"""`python -m txrepl.rdb`: what it prints, and how it ends."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.rdb.support import SAMPLES, expectations, write
from tests.rdb.test_reader import every_value
from txrepl.keyspace.streams import Consumer, ConsumerGroup, PendingEntry, StreamValue
from txrepl.keyspace.values import (
    HashValue,
    ListValue,
    SortedSetValue,
)
from txrepl.rdb import RdbWriter
from txrepl.rdb.__main__ import ProgressBar, main
from txrepl.rdb.export import commands, json_line, module_name, text

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The program, as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "txrepl.rdb", *words], input=stdin, capture_output=True, check=False, cwd=REPOSITORY
    )


def lines(capfdbinary: pytest.CaptureFixture[bytes], *words: str) -> list[str]:
    """The program's output, run in this process; it must succeed in silence."""
    assert main(words) == 0
    captured = capfdbinary.readouterr()
    assert captured.err == b""
    return captured.out.decode().splitlines()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with two databases, a key with a deadline and one of each type."""
    out: list[bytes] = []
    writer = RdbWriter(out.append, version=12)
    writer.header({b"redis-ver": b"7.2.4", b"repl-id": b"f" * 40})
    writer.function(b"#!lua name=lib\n\xff")
    writer.select_db(0)
    for key, value in every_value():
        writer.key(key, value)
    writer.select_db(9)
    writer.key(b"\xff\x00\n", b"\x80binary", 4102444800000)
    writer.end()
    path = tmp_path / "small.rdb"
    path.write_bytes(b"".join(out))
    return path


def test_json_is_one_object_a_line_and_bytes_are_marked(small: Path) -> None:
    """Every line parses; what is not UTF-8 is base64 and says so."""
    done = run(str(small))
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows[0] == {"function": {"base64": base64.b64encode(b"#!lua name=lib\n\xff").decode()}}
    assert rows[1] == {"db": 0, "key": "string", "type": "string", "value": "value"}
    assert rows[-1] == {
        "db": 9,
        "key": {"base64": "/wAK"},
        "type": "string",
        "expire_ms": 4102444800000,
        "value": {"base64": base64.b64encode(b"\x80binary").decode()},
    }
    by_key = {row["key"]: row["value"] for row in rows[1:-1]}
    assert by_key["set"] == ["x", "y"]
    assert by_key["zset"] == [{"member": "n", "score": -0.0}, {"member": "m", "score": 1.5}]
    assert by_key["deadlines"][0] == {"field": "f", "value": "v", "expire_ms": 4102444800000}
    assert by_key["stream"]["entries"][1]["fields"] == [{"field": "b", "value": "2"}, {"field": "c", "value": "3"}]
    assert by_key["module"]["payload"] == {"base64": base64.b64encode(b"\x02\x05\x05\x02hi\x00").decode()}


def test_standard_input_gives_the_same(small: Path) -> None:
    """`-` is a file, too; bytes behind the RDB are not looked at."""
    assert run("-", stdin=small.read_bytes() + b"trailing").stdout == run(str(small)).stdout


def test_keys_are_selected_by_pattern_database_and_type(small: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Filters add up."""

    def keys(*words: str) -> list[Any]:
        return [json.loads(line)["key"] for line in lines(capfdbinary, *words, str(small))]

    assert keys("--match", "s*") == ["string", "set", "stream"]
    assert keys("--match", "s*", "--type", "set") == ["set"]
    assert keys("--db", "9") == [{"base64": "/wAK"}]
    assert keys("--db", "9", "--type", "hash") == []


def test_csv_has_a_row_of_sizes_per_key(small: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Sizes are those of the contents."""
    rows = list(csv.reader(io.StringIO("\n".join(lines(capfdbinary, "--format", "csv", str(small))))))
    assert rows[0] == ["db", "type", "key", "bytes", "elements", "largest_element_bytes", "expire_ms"]
    assert ["0", "string", "compressed", "60", "1", "60", ""] in rows
    assert ["0", "hash", "hash", "4", "2", "2", ""] in rows
    assert len(rows) >= 11 and rows[-1][-1] == "4102444800000"


def test_stats_count_and_measure_per_type(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """Of a real file: the counts that are known of it."""
    for name, known in expectations().items():
        output = lines(capfdbinary, "--stats", str(SAMPLES / name))
        assert output[0].startswith(
            f"version {({'5': 9, '7.2': 11, '7.4': 12})[name[6] if name[6] == '5' else name[6:9]]} "
        )
        table = [line.split() for line in output if line[:1].isdigit()]
        counted: dict[str, int] = {}
        for row in table:
            counted[row[1]] = counted.get(row[1], 0) + int(row[2])
        assert counted == known["types"]
        assert output[-1].split()[:2] == ["all", str(known["keys"])]


def test_a_bad_file_ends_in_one_line_and_exit_code_1(small: Path, tmp_path: Path) -> None:
    """Truncated, corrupt, of the future, absent, a directory: never a traceback."""
    good = small.read_bytes()
    cases = {
        "truncated": (good[:-20], b"truncated (at byte"),
        "crc": (good[:-1] + bytes((good[-1] ^ 1,)), b"CRC error"),
        "future": (b"REDIS0099" + good[9:], b"Can't handle RDB format version 99 (at byte 0)"),
        "no-rdb": (b"hello, world", b"Wrong signature"),
        "empty": (b"", b"truncated (at byte 0)"),
    }
    for name, (data, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        done = run(str(path))
        assert done.returncode == 1 and message in done.stderr and done.stderr.count(b"\n") == 1, done.stderr
    for path in (tmp_path, tmp_path / "absent"):
        done = run(str(path))
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"Traceback" not in done.stderr


def test_keys_before_the_damage_are_printed(small: Path) -> None:
    """What could be read is not withheld."""
    done = run("-", stdin=small.read_bytes()[:-30])
    assert done.returncode == 1 and b'"key":"string"' in done.stdout


def test_a_reader_that_leaves_early_is_no_error_message(tmp_path: Path) -> None:
    """`| head` ends it without a word."""
    path = tmp_path / "many.rdb"
    path.write_bytes(write([(b"key %d" % n, b"x" * 50) for n in range(30_000)]))
    with subprocess.Popen(
        [sys.executable, "-m", "txrepl.rdb", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_the_progress_bar_is_drawn_on_a_terminal_only(small: Path) -> None:
    """On a terminal it is drawn and taken away; elsewhere nothing is written."""
    assert run(str(small)).stderr == b""
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", 0) as screen:
        done = subprocess.run(
            [sys.executable, "-m", "txrepl.rdb", str(small)],
            stdout=subprocess.DEVNULL,
            stderr=slave,
            check=False,
            cwd=REPOSITORY,
        )
        os.close(slave)
        assert done.returncode == 0
        assert select.select([screen], [], [], 0)[0]
        drawn = screen.read(4096)
    assert b"100%" in drawn and drawn.endswith(b"\r\x1b[K")


def test_the_progress_bar_knows_no_percentage_of_a_pipe() -> None:
    """It shows what it has read."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    bar = ProgressBar(0, terminal)
    bar.update(2_500_000)
    bar.clear()
    assert terminal.getvalue() == "\r2.5 MB\r\x1b[K"


def test_infinite_scores_are_text_in_json() -> None:
    """JSON has no infinity."""
    row = json.loads(json_line(0, b"z", SortedSetValue({b"a": float("inf"), b"b": float("-inf")}), None))
    assert [one["score"] for one in row["value"]] == ["-inf", "inf"]
    assert text(b"\xc3\xa4") == "ä"


def test_module_names_are_spelled_from_their_ids() -> None:
    """Nine characters of six bits; the rest is an encoding version."""
    packed = 0
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for letter in "ReJSON-RL":
        packed = packed << 6 | alphabet.index(letter)
    assert module_name(packed << 10 | 3) == "ReJSON-RL"


def test_commands_come_in_batches_and_name_absolute_times() -> None:
    """As Redis's own rewrite does; a pending entry that is gone needs RESTORE."""
    many = ListValue()
    many.items.extend(b"%d" % n for n in range(130))
    assert [len(words) - 2 for words in commands(b"l", many, None, True)] == [64, 64, 2]
    expiring = HashValue({b"f": b"v", b"g": b"w"}, {b"f": 5, b"g": 5})
    assert list(commands(b"h", expiring, 7, True)) == [
        [b"HSET", b"h", b"f", b"v", b"g", b"w"],
        [b"HPEXPIREAT", b"h", b"5", b"FIELDS", b"2", b"f", b"g"],
        [b"PEXPIREAT", b"h", b"7"],
    ]
    stream = StreamValue()
    group = stream.groups[b"g"] = ConsumerGroup((1, 1))
    consumer = group.consumers[b"c"] = Consumer(b"c", 1)
    group.pending[1, 1] = consumer.pending[1, 1] = PendingEntry(consumer, 1, 1)
    assert [words[0] for words in commands(b"s", stream, 9, False)] == [b"RESTORE"]
