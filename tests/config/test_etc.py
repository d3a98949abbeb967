"""The files in etc/ are complete, valid, and say the truth."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import redis

from txrepl.config import FILE_ONLY, TABLE, Config, find, parse_text

ETC = Path(__file__).parents[2] / "etc"
SAMPLE = (ETC / "txrepl.conf").read_text()
#: Old words that a new file should not have.
OUTDATED = {name for name, extra in FILE_ONLY.items() if not extra.kept}


def blocks() -> dict[str, str]:
    """Each directive of the sample, with the comment before it."""
    found: dict[str, str] = {}
    for block in SAMPLE.split("\n\n"):
        names = re.findall(r"^#([a-z_-]+) ", block, re.MULTILINE)
        if names:
            assert len(set(names)) == 1, block
            found[names[0]] = block
    return found


def test_the_sample_has_every_directive_with_a_sentence() -> None:
    assert set(blocks()) == {spec.name for spec in TABLE} | set(FILE_ONLY) - OUTDATED
    for name, block in blocks().items():
        assert re.match(r"# \S.*\S", block), name


def test_the_sample_without_its_comment_signs_is_valid_and_holds_the_defaults() -> None:
    text = re.sub(r"^#(?=[a-z])", "", SAMPLE, flags=re.MULTILINE)
    config, fresh = Config(), Config()
    config.load(parse_text(text, "txrepl.conf"))
    assert {spec.name: config[spec.name] for spec in TABLE} == {spec.name: fresh[spec.name] for spec in TABLE}
    assert parse_text(SAMPLE, "txrepl.conf") == []


def test_the_sample_says_of_which_directives_there_is_no_effect() -> None:
    for name, block in blocks().items():
        spec = find(name)
        honoured = spec.honoured if spec is not None else FILE_ONLY[name].honoured
        says_none = "No effect." in re.sub(r"\n# ", " ", block)
        assert says_none != honoured, f"{name}: etc/txrepl.conf and the table do not agree whether it has an effect"


def test_sentinel_takes_its_sample_and_watches_the_group(tmp_path: Path) -> None:
    binary = shutil.which("redis-sentinel")
    if binary is None:
        pytest.skip("needs redis-sentinel (Debian package redis-sentinel)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sample = (ETC / "sentinel.conf").read_text()
    text = sample.replace("port 26379", f"port {port}", 1).replace("dir /var/lib/txrepl", f"dir {tmp_path}")
    (tmp_path / "sentinel.conf").write_text(text + "\nbind 127.0.0.1\n")
    command = [binary, str(tmp_path / "sentinel.conf")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        seen = ""
        for line in process.stdout:
            seen += line
            if "+monitor master txrepl" in line:
                break
        assert "+monitor master txrepl" in seen, seen
        (group,) = redis.Redis(port=port, decode_responses=True).execute_command("SENTINEL", "MASTERS")
        state = group if isinstance(group, dict) else dict(zip(group[::2], group[1::2], strict=True))
        assert (state["name"], int(state["quorum"]), int(state["down-after-milliseconds"])) == ("txrepl", 2, 5000)
    finally:
        process.kill()
        process.communicate()


def test_systemd_takes_the_unit() -> None:
    binary = shutil.which("systemd-analyze")
    if binary is None:
        pytest.skip("needs systemd-analyze (Debian package systemd)")
    command = [binary, "verify", str(ETC / "txrepl.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0
    assert "txrepl.service" not in done.stderr
    assert "txrepl-server /etc/txrepl/txrepl.conf" in (ETC / "txrepl.service").read_text()
