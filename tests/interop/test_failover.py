"""FAILOVER: a primary and its replica change places, txrepl on either side or on both, and no write is lost."""

from __future__ import annotations

import threading

import pytest

from tests.interop.conftest import Run
from tests.interop.servers import RealServer, ReplyError, encode, wait_until
from tests.interop.topology import NO_PINGS, assert_equal, attach, load, stat, write

SUBJECT = "txrepl"
TIMEOUT_S = 20.0

PAIRS = [(SUBJECT, SUBJECT)] + [
    pair for kind in ("redis62", "redis70", "valkey9") for pair in ((SUBJECT, kind), (kind, SUBJECT))
]


class Counter:
    """A client that increments a counter as fast as it can until it is refused.

    Attributes:
        acknowledged: increments that were answered.
        refusal: the error that ended it.
    """

    def __init__(self, server: RealServer, key: str) -> None:
        self.acknowledged = 0
        self.refusal = ""
        self._client = server.connect(timeout_s=TIMEOUT_S)
        self._key = key
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        try:
            while True:
                self.acknowledged = self._client.command("INCR", self._key)
        except (ReplyError, OSError) as error:
            self.refusal = str(error)

    def join(self) -> None:
        """Wait until it was refused."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        self._client.close()


def failover_state(server: RealServer) -> str:
    return server.info("replication")["master_failover_state"]


def wait_for_roles(primary: RealServer, replica: RealServer) -> None:
    wait_until(
        lambda: (
            primary.info("replication")["role"] == "master"
            and replica.info("replication")["role"] == "slave"
            and replica.info("replication")["master_link_status"] == "up"
        ),
        TIMEOUT_S,
        f"{replica!r} follows {primary!r}",
    )


@pytest.mark.parametrize(("above", "below"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_primary_and_replica_change_places_and_back_while_clients_write(run: Run, above: str, below: str) -> None:
    """FAILOVER there and back under writes: every acknowledged write is kept, and no full sync is needed for it."""
    first, second = run(above, **NO_PINGS), run(below, **NO_PINGS)
    load(first, 1)
    attach(second, first)
    counters = [Counter(first, f"counter:{number}") for number in range(3)]
    wait_until(lambda: all(counter.acknowledged > 100 for counter in counters), TIMEOUT_S, "the clients write")
    assert first.command("FAILOVER", "TO", "127.0.0.1", second.port, "TIMEOUT", 15_000) == "OK"
    for counter in counters:
        counter.join()
        assert counter.refusal.startswith("READONLY"), counter.refusal
    wait_for_roles(second, first)
    for number, counter in enumerate(counters):
        assert second.command("GET", f"counter:{number}") == b"%d" % counter.acknowledged
    write(second, 2, 1_000)
    assert_equal(second, first)
    assert second.command("FAILOVER") == "OK"
    wait_for_roles(first, second)
    write(first, 3, 1_000)
    assert_equal(first, second)
    assert (failover_state(first), failover_state(second)) == ("no-failover", "no-failover")
    assert [stat(server, "sync_full") for server in (first, second)] == [1, 0]
    assert [stat(server, "sync_partial_ok") for server in (first, second)] == [1, 1]


def test_siblings_follow_by_partial_resync(run: Run) -> None:
    """A replica that is not the target stays behind the old primary and learns the new history by partial resync."""
    first, second, sibling = (run(SUBJECT, **NO_PINGS) for _ in range(3))
    load(first, 4)
    attach(second, first)
    attach(sibling, first)
    first.command("FAILOVER", "TO", "127.0.0.1", second.port)
    wait_for_roles(second, first)
    wait_until(lambda: sibling.info("replication")["master_link_status"] == "up", TIMEOUT_S, "the sibling is back")
    write(second, 5, 1_000)
    assert_equal(second, first)
    assert_equal(first, sibling)
    assert [stat(server, "sync_full") for server in (first, second, sibling)] == [2, 0, 0]


# What Redis does in these cases is shown by the same test on Redis itself.

ALIKE = pytest.mark.parametrize("who", [SUBJECT, "redis70"])


def error(server: RealServer, *words: str | int) -> str:
    """The error reply to a command, or the reply in parentheses."""
    try:
        return f"({server.command(*words)})"
    except ReplyError as reply:
        return str(reply)


@ALIKE
def test_bad_requests_are_refused_in_the_words_of_redis(run: Run, who: str) -> None:
    """Syntax, targets, roles, and what FORCE needs."""
    primary, replica = run(who), run(who)
    refused = lambda *words: error(primary, "FAILOVER", *words)  # noqa: E731
    assert refused("ABORT") == "ERR No failover in progress."
    assert refused("ABORT", "now") == refused("TO") == refused("TO", "h") == refused("later") == "ERR syntax error"
    assert refused("TO", "h", 1, "TO", "h", 1) == refused("FORCE", "FORCE") == "ERR syntax error"
    assert refused("TO", "h", "p") == refused("TIMEOUT", "t") == "ERR value is not an integer or out of range"
    assert refused("TIMEOUT", 0) == refused("TIMEOUT", -1) == "ERR FAILOVER timeout must be greater than 0"
    assert refused() == "ERR FAILOVER requires connected replicas."
    attach(replica, primary)
    needs = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
    assert refused("FORCE") == refused("FORCE", "TIMEOUT", 1) == refused("TO", "h", 1, "FORCE") == needs
    assert refused("TO", "h", 1) == "ERR FAILOVER target HOST and PORT is not a replica."
    assert error(replica, "FAILOVER") == "ERR FAILOVER is not valid when server is a replica."
    psync = error(primary, "PSYNC", "0" * 40, 1, "FAILOVER")
    assert psync == "ERR PSYNC FAILOVER can't be sent to a master."
    assert error(replica, "PSYNC", "0" * 40, 1, "failover") == "ERR PSYNC FAILOVER replid must match my replid."
    assert replica.info("replication")["role"] == "slave"


def stop_replica(primary: RealServer, replica: RealServer) -> None:
    """A replica that is attached, behind, and silent."""
    attach(replica, primary)
    replica.pause()
    primary.command("SET", "written", "after it stopped")


@ALIKE
def test_writes_wait_and_go_on_when_the_failover_is_aborted(run: Run, who: str) -> None:
    """While it waits for sync, writes and PUBLISH are held back, reads are not, due keys stay; ABORT ends it all."""
    primary, replica = run(who), run(who)
    primary.command("SET", "due", "v", "PX", 600)
    stop_replica(primary, replica)
    assert primary.command("FAILOVER") == "OK"
    assert failover_state(primary) == "waiting-for-sync"
    offset = primary.offset()
    with primary.connect() as writer, primary.connect() as publisher:
        writer.send(encode("INCR", "k") + encode("GET", "k"))
        publisher.send(encode("PUBLISH", "channel", "m"))
        wait_until(lambda: primary.info("clients")["blocked_clients"] == "2", TIMEOUT_S, "both are held back")
        assert primary.command("GET", "written") == b"after it stopped"
        assert error(primary, "FAILOVER") == "ERR FAILOVER already in progress."
        assert error(primary, "REPLICAOF", "NO", "ONE") == "ERR REPLICAOF not allowed while failing over."
        assert error(primary, "PSYNC", "?", -1) == "NOMASTERLINK Can't SYNC while failing over"
        wait_until(lambda: primary.command("EXISTS", "due") == 0, TIMEOUT_S, "the key is due")
        assert primary.command("CLIENT", "UNPAUSE") == "OK"
        assert primary.info("clients")["blocked_clients"] == "2"
        assert primary.offset() == offset
        assert primary.command("FAILOVER", "ABORT") == "OK"
        assert (writer.read_reply(), writer.read_reply(), publisher.read_reply()) == (1, b"1", 0)
    assert failover_state(primary) == "no-failover"
    wait_until(lambda: primary.command("DBSIZE") == 2, TIMEOUT_S, "the due key is deleted")
    assert_log(
        primary, "FAILOVER requested to any replica.", "FAILOVER to any replica aborted: Failover manually aborted"
    )
    replica.resume()


def assert_log(server: RealServer, *texts: str) -> None:
    """Each line is in the log, once, in this order."""
    lines = [line.split(" ", 6)[-1] for line in server.log_text().splitlines() if line.count(" ") >= 6]
    found = [line for line in lines if line in texts]
    assert found == list(texts)


@ALIKE
def test_time_is_up_before_the_replica_has_everything(run: Run, who: str) -> None:
    """Without FORCE the failover ends where it began, and the writes held back are run."""
    primary, replica = run(who), run(who)
    stop_replica(primary, replica)
    with primary.connect() as writer:
        assert primary.command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 300) == "OK"
        assert writer.command("SET", "k", "v") == "OK"
    assert (failover_state(primary), primary.info("replication")["role"]) == ("no-failover", "master")
    place = f"127.0.0.1:{replica.port}"
    reason = "Replica never caught up before timeout"
    assert_log(primary, f"FAILOVER requested to {place}.", f"FAILOVER to {place} aborted: {reason}")
    replica.resume()
    assert_equal(primary, replica)


@ALIKE
def test_force_hands_over_to_a_replica_that_is_behind(run: Run, who: str) -> None:
    """At its deadline FORCE goes on with what the replica has; the old primary comes in by a full resync."""
    primary, replica = run(who, repl_timeout=5), run(who)
    stop_replica(primary, replica)
    place = f"127.0.0.1:{replica.port}"
    assert primary.command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 100, "FORCE") == "OK"
    wait_until(lambda: failover_state(primary) == "failover-in-progress", TIMEOUT_S, "it hands over")
    assert primary.info("replication")["role"] == "slave"
    replica.resume()
    wait_for_roles(replica, primary)
    assert_equal(replica, primary)
    assert failover_state(primary) == "no-failover"
    assert_log(primary, f"FAILOVER requested to {place}.", f"FAILOVER to {place} time out exceeded, failing over.")


@ALIKE
def test_abort_in_progress_makes_it_a_primary_again(run: Run, who: str) -> None:
    """ABORT while the target does not answer: primary again, under a new id, with every write and its replica."""
    primary, replica = run(who), run(who)
    stop_replica(primary, replica)
    before = primary.info("replication")
    primary.command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 100, "FORCE")
    wait_until(lambda: failover_state(primary) == "failover-in-progress", TIMEOUT_S, "it hands over")
    assert primary.command("FAILOVER", "ABORT") == "OK"
    after = primary.info("replication")
    assert (after["role"], after["master_failover_state"]) == ("master", "no-failover")
    assert after["master_replid2"] == before["master_replid"]
    assert primary.command("SET", "k", "v") == "OK"
    replica.resume()
    assert_equal(primary, replica)
    assert stat(primary, "sync_partial_ok") == 1


@ALIKE
def test_a_target_that_refuses_leaves_the_primary_what_it_was(run: Run, who: str) -> None:
    """A target that is a primary of its own by now says no; nothing is lost and writes go on."""
    primary, replica = run(who), run(who)
    stop_replica(primary, replica)
    with replica.connect() as client:
        client.send(encode("REPLICAOF", "NO", "ONE"))  # it reads this when it goes on
        primary.command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 100, "FORCE")
        wait_until(lambda: failover_state(primary) == "failover-in-progress", TIMEOUT_S, "it hands over")
        replica.resume()
        assert client.read_reply() == "OK"
    place = f"127.0.0.1:{replica.port}"
    wait_until(lambda: failover_state(primary) == "no-failover", TIMEOUT_S, "it is refused")
    assert primary.info("replication")["role"] == "master"
    assert primary.command("SET", "k", "v") == "OK"
    assert_log(
        primary,
        f"FAILOVER requested to {place}.",
        f"FAILOVER to {place} time out exceeded, failing over.",
        f"FAILOVER to {place} aborted: Failover target rejected psync request",
    )


@ALIKE
def test_both_sides_log_the_steps(run: Run, who: str) -> None:
    """The lines that people look for, on either side."""
    primary, replica = run(who), run(who)
    attach(replica, primary)
    replid = primary.info("replication")["master_replid"]
    primary.command("FAILOVER")
    wait_for_roles(replica, primary)
    target = f"Failover target 127.0.0.1:{replica.port} is synced, failing over."
    assert_log(primary, "FAILOVER requested to any replica.", target)
    assert_log(replica, f"Failover request received for replid {replid}.")
    assert replica.log_text().count("MASTER MODE enabled (failover request from 'id=") == 1


def test_wait_during_a_failover_does_not_move_the_offset(run: Run) -> None:
    """WAIT asks for no acknowledgement while the offset must stand still; it asks when the failover is aborted."""
    primary, replica = run(SUBJECT, **NO_PINGS), run(SUBJECT)
    stop_replica(primary, replica)
    with primary.connect() as waiter:
        waiter.command("SET", "k", "v")
        primary.command("FAILOVER")
        offset = primary.offset()
        waiter.send(encode("WAIT", 1, 0))
        wait_until(lambda: primary.info("clients")["blocked_clients"] == "1", TIMEOUT_S, "it waits")
        assert primary.offset() == offset
        primary.command("FAILOVER", "ABORT")
        assert primary.offset() == offset + 37
        replica.resume()
        assert waiter.read_reply() == 1
