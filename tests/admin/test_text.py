"""The page for people: aligned, 80 columns, and every curl line in it works."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admin.support import Bench, Following
from tests.admin.test_openapi import busy_replica, failing_replica, primary_with_replicas, syncing_replica
from txrepl.admin.text import COLUMNS, bar, duration, size

STATES = [Bench, busy_replica, syncing_replica, failing_replica, primary_with_replicas]


def curl_lines(page: str) -> list[list[str]]:
    """The commands on a page, continuation lines joined, as words."""
    joined = re.sub(r" \\\n +", " ", page)
    return [shlex.split(line) for line in joined.split("\n") if line.startswith("  curl ")]


@pytest.mark.parametrize("make", STATES)
def test_the_page_is_80_columns_of_plain_text(make: type[Bench]) -> None:
    """In every state; no trailing blanks, no tabs."""
    answer = make().get("/")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    for line in answer.text.split("\n"):
        assert len(line) <= COLUMNS, line
        assert line == line.rstrip() and line.isprintable()


@pytest.mark.parametrize("token", ["", "t"])
@pytest.mark.parametrize("host", ["localhost:8379", "rather-long-name.of-a-machine.in-some.example:8379"])
def test_every_curl_line_on_the_page_is_answered(token: str, host: str) -> None:
    """Sent as they stand, they do what they say."""

    def fresh() -> tuple[Bench, int]:
        bench = Bench(token, bound_host=host.partition(":")[0])
        return bench, bench.attach()[0].number

    bench, number = fresh()
    headers = {"Host": host, **({"Authorization": f"Bearer {token}"} if token else {})}
    page = bench.get("/", headers=headers).text
    assert all(len(line) <= COLUMNS for line in page.split("\n"))
    seen = []
    for words in curl_lines(page):
        assert words.count("Authorization: Bearer $TOKEN") == (1 if token else 0)
        path = next(word for word in words if word.startswith(host)).removeprefix(host)
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        fields = dict(words[i + 1].split("=") for i, word in enumerate(words) if word == "-d")
        seen.append(f"{method} {path}")
        more = {"data": {**fields, **({"port": "6379"} if "port" in fields else {})}} if fields else {}
        bench, _ = fresh()
        if "-N" in words:
            assert Following(bench, path, headers=headers).take(), words
        else:
            assert bench.ask(method, path, headers=headers, **more).status in {200, 202}, words
    assert seen[:3] == ["POST /v1/replicaof", "POST /v1/replicaof", f"DELETE /v1/replicas/{number}"]
    assert seen[3:5] == ["POST /v1/failover", "PATCH /v1/backlog"]
    assert seen[5:7] == ["GET /watch?color=1", "GET /v1/events?from=0"]
    assert len(seen) == 15


def test_a_replicas_page_shows_the_link() -> None:
    """Who is followed, in what state, with the offset and both ids explained."""
    page = busy_replica().get("/").text
    assert "role       replica of 10.0.0.1:6379\n" in page
    assert re.search(r"^link       up, last heard 0 s ago$", page, re.MULTILINE)
    assert re.search(r"^replid     [0-9a-f]{40}\n           Shared with the primary; all", page, re.MULTILINE)
    assert re.search(r"^replid2    none\n", page, re.MULTILINE)


def test_a_syncing_replicas_page_shows_the_progress() -> None:
    """Bytes, share, rate, time left, and a bar."""
    page = syncing_replica().get("/").text
    assert "ready      no: receiving a full sync from the primary\n" in page
    assert "sync       250 B of 1000 B (25.0 %), 125 B/s, 6 s left\n" in page
    assert "[############......................................]  25.0 %\n" in page


def test_a_failing_replicas_page_shows_the_error() -> None:
    """Since when, how often tried, and the last error."""
    page = failing_replica().get("/").text
    assert "link       down, lost 3 s ago, 1 failed attempt\n" in page
    assert "last error Connection refused\n" in page


def test_a_primarys_page_shows_replicas_and_decisions() -> None:
    """A table with one line a replica, and the reasons of the last syncs."""
    page = primary_with_replicas().get("/").text
    rows = re.findall(r"^ +\d+  10\.0\.0\.\d+:\d+ +(\w+)", page, re.MULTILINE)
    assert rows == ["wait_bgsave_start", "wait_bgsave_start", "online", "wait_bgsave_start"]
    assert "syncs      3 full, 1 partial, 1 partial refused (given by this node)\n" in page
    assert "    first_sync: the replica has no history to go on with\n" in page
    assert "  full     to 10.0.0.131:6381\n" in page
    assert re.search(r"^backlog    \d+ B of 1\.0 MiB\n +\[\.+\]   0\.0 %\n +offsets 1 to \d+\n", page, re.MULTILINE)


def test_the_history_before_is_explained() -> None:
    """After a promotion the page says up to where it may be followed."""
    bench = Bench()
    bench.become_replica()
    bench.node.promote("a test")
    assert f"up to offset {bench.node.feed.history.second_offset}." in bench.get("/").text


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1, "1 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (2**20, "1.0 MiB"),
     (2**30, "1.0 GiB"), (2**50, "1024.0 TiB")],
)  # fmt: skip
def test_sizes_have_units(count: int, shown: str) -> None:
    """Powers of 1024, one decimal."""
    assert size(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.04, "0.0 s"), (1.5, "1.5 s"), (59.9, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3600, "1 h"),
     (3661, "1 h 1 min"), (90000, "1 d 1 h"), (86400 * 400, "400 d")],
)  # fmt: skip
def test_durations_have_two_units(seconds: float, shown: str) -> None:
    """As people read them."""
    assert duration(seconds) == shown


@given(st.floats(0, 1), st.integers(1, 60))
def test_a_bar_has_its_width(share: float, width: int) -> None:
    """Full and empty cells together are the width, in the share's proportion."""
    drawn = bar(share, width)
    cells = drawn[1 : drawn.index("]")]
    assert len(cells) == width
    assert cells.count("#") == round(share * width)
    assert cells == "#" * cells.count("#") + "." * cells.count(".")
