"""txrepl between real servers, as their replica, as their primary and in the middle."""

from __future__ import annotations

import json
import random
import urllib.parse
import urllib.request

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.servers import CutProxy, Directive, RealServer, free_port, wait_until
from tests.interop.topology import (
    BIG_BACKLOG,
    NO_PINGS,
    SYNC_TIMEOUT_S,
    assert_equal,
    follow,
    in_sync,
    load,
    stand_still,
    stat,
    write,
)

SUBJECT = "txrepl"
WRITES = 20_000

TRANSFERS: dict[str, dict[str, Directive]] = {
    "disk": {"repl_diskless_sync": "no"},
    "diskless": {"repl_diskless_sync": "yes"},
}


@pytest.fixture(params=sorted(TRANSFERS))
def transfer(request: pytest.FixtureRequest) -> dict[str, Directive]:
    """The primary's way to send its snapshot."""
    return TRANSFERS[request.param]


# Equal after a full sync and after the stream.


def test_txrepl_as_replica_is_equal_to_its_primary(run: Run, kind: str, transfer: dict[str, Directive]) -> None:
    """Full sync of every core type, then 20,000 writes, from each real primary."""
    primary, replica = run(kind, **transfer), run(SUBJECT)
    load(primary, 1)
    follow(replica, primary)
    assert_equal(primary, replica)
    write(primary, 2, WRITES)
    assert_equal(primary, replica)
    assert stat(primary, "sync_full") == 1


def test_a_real_replica_of_txrepl_is_equal_to_it(run: Run, kind: str, transfer: dict[str, Directive]) -> None:
    """Full sync of every core type, then 20,000 writes, to each real replica."""
    primary, replica = run(SUBJECT, **transfer), run(kind)
    load(primary, 3)
    follow(replica, primary)
    assert_equal(primary, replica)
    write(primary, 4, WRITES)
    assert_equal(primary, replica)
    assert stat(primary, "sync_full") == 1


def test_a_chain_through_txrepl_shares_one_history(run: Run, kind: str, transfer: dict[str, Directive]) -> None:
    """primary → txrepl → replica: one replication id, one offset, one digest at both ends and in the middle."""
    primary, middle, end = run(kind, **transfer), run(SUBJECT, **transfer), run(kind)
    load(primary, 5)
    follow(end, middle)
    follow(middle, primary)
    assert_equal(primary, middle, end)
    write(primary, 6, WRITES)
    assert_equal(primary, middle, end)


def test_writes_during_the_transfer_arrive_too(run: Run, kind: str, transfer: dict[str, Directive]) -> None:
    """What is written while the snapshot is made, sent and loaded is in neither twice nor missing."""
    primary, middle, end = run(kind, **transfer), run(SUBJECT, **transfer), run(kind)
    load(primary, 7)
    follow(middle, primary)
    write(primary, 8, 8_000)
    wait_until(lambda: middle.info("replication")["master_link_status"] == "up", SYNC_TIMEOUT_S, "the first link is up")
    follow(end, middle)
    write(primary, 9, 8_000)
    assert_equal(primary, middle, end)


def test_streams_and_functions_reach_the_end_of_a_chain(run: Run, kind: str) -> None:
    """With their groups and sources: functions too."""
    primary, middle, end = run(kind), run(SUBJECT), run(kind)
    for number in range(300):
        primary.command("XADD", "stream", f"{number + 1}-0", "field", number, "other", "x" * (number % 50))
    primary.command("XDEL", "stream", "7-0")
    primary.command("XGROUP", "CREATE", "stream", "group", 0)
    primary.command("XREADGROUP", "GROUP", "group", "consumer", "COUNT", 20, "STREAMS", "stream", ">")
    if kind != "redis62":
        library = "#!lua name=mylib\nredis.register_function('myfunc', function(keys, args) return args[1] end)"
        primary.command("FUNCTION", "LOAD", library)
    follow(middle, primary)
    follow(end, middle)
    wait_until(lambda: in_sync(primary, middle), SYNC_TIMEOUT_S, "the middle is in sync")
    assert_equal(primary, end)
    assert end.command("XPENDING", "stream", "group") == primary.command("XPENDING", "stream", "group")
    if kind != "redis62":
        wanted = ("FUNCTION", "LIST", "LIBRARYNAME", "mylib", "WITHCODE")
        assert end.command(*wanted) == primary.command(*wanted) != []


# Links that break.


def test_txrepl_comes_back_by_partial_resync_when_its_link_is_cut(run: Run, proxy: Proxy, kind: str) -> None:
    """Cuts at random moments of the stream cost no full sync while the backlog reaches."""
    primary, replica = run(kind, **BIG_BACKLOG), run(SUBJECT)
    link = proxy(primary.port)
    load(primary, 10)
    follow(replica, primary, link.port)
    assert_equal(primary, replica)
    _write_with_cuts(primary, link, random.Random(11))
    assert_equal(primary, replica)
    assert stat(primary, "sync_full") == 1
    assert stat(primary, "sync_partial_ok") == 4


def test_a_real_replica_of_txrepl_comes_back_by_partial_resync(run: Run, proxy: Proxy, kind: str) -> None:
    """txrepl's backlog goes on where the real replica's link was cut, at any byte."""
    primary, replica = run(SUBJECT, **BIG_BACKLOG), run(kind)
    link = proxy(primary.port)
    load(primary, 12)
    follow(replica, primary, link.port)
    assert_equal(primary, replica)
    _write_with_cuts(primary, link, random.Random(13))
    assert_equal(primary, replica)
    assert stat(primary, "sync_full") == 1
    assert stat(primary, "sync_partial_ok") == 4


def _write_with_cuts(primary: RealServer, link: CutProxy, source: random.Random) -> None:
    """Four cuts, each at a random byte of what follows; the next begins when the link is back."""
    for number in range(4):
        _cut_once(primary, link, source.randrange(1, 60_000), 100 + number)


def _cut_once(primary: RealServer, link: CutProxy, after_bytes: int, seed: int) -> None:
    cuts, connections, answers = link.cuts, link.connections, _psync_answers(primary)
    link.cut_after(after_bytes)
    write(primary, seed, 3_000)
    wait_until(lambda: link.cuts == cuts + 1, SYNC_TIMEOUT_S, "the link was cut")
    wait_until(lambda: link.connections > connections, SYNC_TIMEOUT_S, "the replica connects again")
    wait_until(lambda: _psync_answers(primary) > answers, SYNC_TIMEOUT_S, "the primary answered its PSYNC")


def _psync_answers(primary: RealServer) -> int:
    return stat(primary, "sync_full") + stat(primary, "sync_partial_ok")


def test_txrepl_starts_a_transfer_again_that_was_cut(
    run: Run, proxy: Proxy, kind: str, transfer: dict[str, Directive]
) -> None:
    """A full sync cut in the handshake, early, in the middle and late ends equal all the same."""
    primary, replica = run(kind, **transfer), run(SUBJECT)
    link = proxy(primary.port)
    load(primary, 14)
    link.cut_after(30, 2_000, 350_000)
    follow(replica, primary, link.port)
    wait_until(lambda: link.cuts == 3, SYNC_TIMEOUT_S, "three cuts")
    write(primary, 15, 3_000)
    assert_equal(primary, replica)


def test_a_real_replica_starts_a_transfer_from_txrepl_again(
    run: Run, proxy: Proxy, kind: str, transfer: dict[str, Directive]
) -> None:
    """A replica lost in the middle of a snapshot leaves txrepl ready to make the next one."""
    primary, replica = run(SUBJECT, **transfer), run(kind)
    link = proxy(primary.port)
    load(primary, 16)
    link.cut_after(2_000, 350_000)
    follow(replica, primary, link.port)
    wait_until(lambda: link.cuts == 2, SYNC_TIMEOUT_S, "two cuts")
    write(primary, 17, 3_000)
    assert_equal(primary, replica)


def test_a_gap_longer_than_the_backlog_costs_a_full_sync(run: Run, proxy: Proxy, kind: str) -> None:
    """Where the backlog no longer reaches, both roles of txrepl end with a full sync and equal data."""
    primary, middle, end = (run(one, repl_backlog_size="16kb") for one in (kind, SUBJECT, kind))
    upper, lower = proxy(primary.port), proxy(middle.port)
    load(primary, 18)
    follow(middle, primary, upper.port)
    follow(end, middle, lower.port)
    assert_equal(primary, middle, end)
    lower.refuse()
    write(primary, 19, 3_000)
    assert_equal(primary, middle)
    lower.accept()
    assert_equal(primary, middle, end)
    upper.refuse()
    write(primary, 20, 3_000)
    upper.accept()
    assert_equal(primary, middle, end)
    assert stat(middle, "sync_full") >= 2
    assert stat(primary, "sync_full") == 2


@pytest.mark.parametrize("middle_is", ["real", "txrepl"])
def test_a_full_sync_from_the_middle_goes_on_in_the_selected_database(run: Run, kind: str, middle_is: str) -> None:
    """The middle forwards its primary's bytes: no SELECT precedes the next write, the snapshot names the database."""
    primary = run(kind, **NO_PINGS)
    middle, end = (run(one, **NO_PINGS) for one in ((kind, SUBJECT) if middle_is == "real" else (SUBJECT, kind)))
    follow(middle, primary)
    assert_equal(primary, middle)
    with primary.connect() as client:
        client.command("SELECT", 9)
        client.command("SET", "before", "the snapshot")
        assert_equal(primary, middle)
        follow(end, middle)
        assert_equal(primary, end)
        client.command("SET", "after", "the snapshot")
    assert_equal(primary, middle, end)
    with end.connect() as client:
        client.command("SELECT", 9)
        assert client.command("GET", "after") == b"the snapshot"


# Roles that change.


def test_promoted_txrepl_keeps_its_replica_by_partial_resync(run: Run, kind: str) -> None:
    """REPLICAOF NO ONE on txrepl: its replica goes on from the second replication id and follows the new one."""
    primary, middle, end = (run(one, **NO_PINGS) for one in (kind, SUBJECT, kind))
    load(primary, 21)
    follow(middle, primary)
    assert_equal(primary, middle)
    follow(end, middle)
    assert_equal(primary, middle, end)
    old_id = primary.info("replication")["master_replid"]
    offset = primary.offset()
    assert middle.command("REPLICAOF", "NO", "ONE") == "OK"
    write(middle, 22, 3_000)
    assert_equal(middle, end)
    promoted = middle.info("replication")
    assert promoted["role"] == "master"
    assert promoted["master_replid"] != old_id
    assert (promoted["master_replid2"], promoted["second_repl_offset"]) == (old_id, str(offset + 1))
    assert end.info("replication")["master_replid2"] == old_id
    assert (stat(middle, "sync_full"), stat(middle, "sync_partial_ok")) == (1, 1)


def test_txrepl_follows_a_promoted_sibling_by_partial_resync(run: Run, kind: str) -> None:
    """Of two replicas the real one is promoted and txrepl goes on behind it without a full sync."""
    primary, sibling, replica = (run(one, **NO_PINGS) for one in (kind, kind, SUBJECT))
    load(primary, 23)
    follow(sibling, primary)
    follow(replica, primary)
    stand_still(primary)
    assert_equal(primary, sibling, replica)
    sibling.command("REPLICAOF", "NO", "ONE")
    follow(replica, sibling)
    write(sibling, 24, 3_000)
    assert_equal(sibling, replica)
    assert (stat(sibling, "sync_full"), stat(sibling, "sync_partial_ok")) == (0, 1)
    assert replica.info("replication")["master_replid2"] == primary.info("replication")["master_replid"]


@pytest.mark.parametrize("subject_was", ["primary", "replica"])
def test_a_demoted_primary_joins_its_former_replica_by_partial_resync(run: Run, kind: str, subject_was: str) -> None:
    """Primary and replica change places, with txrepl on either side; nobody needs a full sync."""
    kinds = (SUBJECT, kind) if subject_was == "primary" else (kind, SUBJECT)
    first, second = (run(one, **NO_PINGS) for one in kinds)
    load(first, 25)
    follow(second, first)
    stand_still(first)
    assert_equal(first, second)
    second.command("REPLICAOF", "NO", "ONE")
    follow(first, second)
    write(second, 26, 3_000)
    assert_equal(second, first)
    assert (stat(second, "sync_full"), stat(second, "sync_partial_ok")) == (0, 1)


def test_wait_counts_replicas_in_both_directions(run: Run, kind: str) -> None:
    """WAIT on a real primary counts txrepl's acks, and WAIT on txrepl counts a real replica's."""
    for upper, lower in ((kind, SUBJECT), (SUBJECT, kind)):
        primary, replica = run(upper), run(lower)
        follow(replica, primary)
        assert_equal(primary, replica)
        with primary.connect() as client:
            client.command("SET", "k", "v")
            assert client.command("WAIT", 1, 5_000) == 1
            replica.pause()
            client.command("SET", "k", "w")
            assert client.command("WAIT", 1, 100) == 0
            replica.resume()
            assert client.command("WAIT", 1, 5_000) == 1


def test_waitaof_counts_replicas_that_keep_an_append_only_file(run: Run) -> None:
    """Valkey's replicas acknowledge what they have fsynced; one without a file only counts for WAIT."""
    primary = run(SUBJECT)
    durable, volatile = run("valkey9", appendonly="yes"), run("valkey9")
    for replica in (durable, volatile):
        follow(replica, primary)
    assert_equal(primary, durable, volatile)
    with primary.connect() as client:
        client.command("SET", "k", "v")
        assert client.command("WAITAOF", 0, 1, 10_000) == [0, 1]
        assert client.command("WAIT", 2, 10_000) == 2
        assert client.command("WAITAOF", 0, 2, 5_000) == [0, 1]  # the file is synced once a second
        durable.pause()
        client.command("SET", "k", "w")
        assert client.command("WAITAOF", 0, 1, 100) == [0, 0]
        durable.resume()
        assert client.command("WAITAOF", 0, 1, 10_000) == [0, 1]


def test_waitaof_answers_like_valkey_without_an_append_only_file(run: Run) -> None:
    """Word for word, on a primary, in a transaction, and on a replica."""
    questions = [
        ("1", "0", "0"),
        ("2", "0", "0"),
        ("x", "0", "0"),
        ("0", "-1", "0"),
        ("0", "x", "0"),
        ("0", "0", "x"),
        ("0", "0", "1.5"),
        ("1", "0", "-1"),
        ("0", "0", "0"),
        ("0", "1", "20"),
        ("0", "0"),
    ]
    answers: list[list[str]] = []
    for kind in (SUBJECT, "valkey9"):
        server = run(kind)
        with server.connect() as client:
            said = [repr(client.execute("WAITAOF", *words)) for words in questions]
            client.command("MULTI")
            for words in (("0", "1", "0"), ("1", "0", "0")):
                client.command("WAITAOF", *words)
            said.append(repr(client.command("EXEC")))
            client.command("REPLICAOF", "127.0.0.1", free_port())
            said += [repr(client.execute("WAITAOF", *words)) for words in questions]
        answers.append(said)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("upper", ["redis70", SUBJECT])
def test_wait_is_for_the_clients_own_writes(run: Run, upper: str) -> None:
    """Another client's write that no replica has does not hold back one whose writes are acknowledged."""
    primary = run(upper, **NO_PINGS)
    replica = run("redis70", replicaof=("127.0.0.1", primary.port))
    assert_equal(primary, replica)
    with primary.connect() as first, primary.connect() as second:
        first.command("SET", "k", "first")
        assert first.command("WAIT", 1, 5_000) == 1
        replica.pause()
        second.command("SET", "k", "second")
        assert first.command("WAIT", 1, 0) == 1
        assert second.command("WAIT", 1, 50) == 0
        replica.resume()
        assert second.command("WAIT", 1, 5_000) == 1


def test_http_repoints_and_promotes_a_running_replica(run: Run, kind: str) -> None:
    """POST /v1/replicaof moves txrepl to another primary, then to none, and its replica follows by partial resync."""
    first, second = run(kind), run(kind)
    http_port = free_port()
    middle, end = run(SUBJECT, http_port=http_port), run(kind)
    load(first, 27)
    load(second, 28)
    follow(middle, first)
    assert_equal(first, middle)
    follow(end, middle)
    assert_equal(first, middle, end)
    _post(http_port, host="127.0.0.1", port=second.port)
    assert_equal(second, middle, end)
    partial = stat(middle, "sync_partial_ok")
    _post(http_port, no_one="true")
    wait_until(lambda: middle.info("replication")["role"] == "master", 5, "txrepl is a primary")
    write(middle, 29, 2_000)
    assert_equal(middle, end)
    assert stat(middle, "sync_partial_ok") == partial + 1
    shown = json.load(urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/replication", timeout=10))
    assert shown["role"] == "primary"
    assert shown["replid"] == middle.info("replication")["master_replid"]


def _post(http_port: int, **fields: object) -> None:
    body = urllib.parse.urlencode(fields).encode("ascii")
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/replicaof", body, timeout=10) as answer:
        assert answer.status == 202
