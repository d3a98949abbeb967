"""Three real Sentinels over groups of txrepl alone and of txrepl with Redis 7.0: no acknowledged write is lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.sentinel import NAME, Group, Writer, master, replicas, start_sentinel
from tests.interop.servers import ReplyError, wait_until
from tests.interop.topology import assert_equal, attach

SAMPLE = Path(__file__).parents[2] / "etc" / "sentinel.conf"

GROUPS = {
    "all txrepl": ("txrepl", "txrepl", "txrepl"),
    "more txrepl": ("redis70", "txrepl", "txrepl"),
    "more Redis": ("txrepl", "redis70", "redis70"),
}


@pytest.fixture(scope="module", params=GROUPS.values(), ids=GROUPS)
def one_group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """Each group in turn, started once: whatever a test does to it, it recovers."""
    with Group(tmp_path_factory.mktemp("group"), request.param) as started:
        yield started


@pytest.fixture
def group(one_group: Group) -> Iterator[Group]:
    """A group in which all is well; a failed test shows the end of everybody's log."""
    one_group.wait_until_settled()
    yield one_group
    sys.stdout.write(one_group.last_lines())


def write_until_many_are_acknowledged(group: Group, prefix: str) -> Writer:
    """A client that goes on writing to the primary; so many writes have reached all replicas."""
    writer = Writer(group.primary, len(group.replicas), prefix)
    wait_until(lambda: len(writer.acknowledged) > 50, 20, "writes are acknowledged")
    return writer


def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(group: Group) -> None:
    """kill -9: the preferred replica takes over, the other follows it, the old primary is demoted when it returns."""
    old, chosen = group.primary, group.replicas[0]
    group.prefer(chosen)
    writer = write_until_many_are_acknowledged(group, "killed")
    old.kill()
    kept = writer.stop()
    new = group.wait_for_successor()
    assert new is chosen
    assert new.command("EXISTS", *kept) == len(kept)
    old.start()
    group.wait_until_level()
    assert_equal(new, *group.replicas)


def test_a_stopped_primary_is_replaced_and_demoted_when_it_goes_on(group: Group) -> None:
    """SIGSTOP, failover, SIGCONT: the old primary still takes itself for one, learns better and catches up."""
    old = group.primary
    writer = write_until_many_are_acknowledged(group, "stopped")
    old.pause()
    new = group.wait_for_successor()
    assert new.command("SET", "after", "the failover") == "OK"
    old.resume()
    kept = writer.stop()
    group.wait_until_level()
    assert new.command("EXISTS", "after", *kept) == len(kept) + 1
    assert_equal(new, *group.replicas)


def test_sentinel_failover_moves_the_role_and_the_files_remember(group: Group) -> None:
    """Asked when all is well: clients are disconnected, and by CONFIG REWRITE all come back in their new roles."""
    chosen = group.replicas[-1]
    group.prefer(chosen)
    clients = [server.connect() for server in group.servers]
    assert group.sentinels[0].command("SENTINEL", "FAILOVER", NAME) == "OK"
    assert group.wait_for_successor() is chosen
    group.wait_until_level()
    group.wait_until_rewritten()
    for client in clients:  # CLIENT KILL TYPE normal: they are to ask Sentinel where the primary is now
        with pytest.raises(ConnectionError), client:
            client.read_reply()
    group.kill_and_start_all()
    assert chosen.info("replication")["role"] == "master"
    group.wait_until_level()


@pytest.mark.parametrize("kinds", [("txrepl", "redis70"), ("redis70", "txrepl")], ids="-".join)
def test_what_a_replica_announces_is_what_sentinel_knows(
    tmp_path: Path, run: Run, proxy: Proxy, kinds: tuple[str, str]
) -> None:
    """replica-announce-ip and -port, replica-priority and replica-announced, from a replica of either side."""
    primary, shown, hidden = run(kinds[0]), run(kinds[1], replica_priority=7), run(kinds[1], replica_announced="no")
    door = proxy(shown.port)
    shown.command("CONFIG", "SET", "replica-announce-ip", "127.0.0.77", "replica-announce-port", door.port)
    attach(shown, primary)
    assert f"ip=127.0.0.77,port={door.port},state=online," in primary.info("replication")["slave0"]
    shown.command("REPLICAOF", "NO", "ONE")
    shown.command("CONFIG", "SET", "replica-announce-ip", "127.0.0.1")
    for replica in (shown, hidden):
        attach(replica, primary)
    file = tmp_path / "sentinel.conf"
    file.write_text(f"sentinel monitor {NAME} 127.0.0.1 {primary.port} 1\n")
    with start_sentinel(file) as sentinel:
        known = wait_until(lambda: only(replicas(sentinel), "master-link-status", "ok"), 20, "it knows but one replica")
        assert (known["ip"], known["port"], known["slave-priority"]) == ("127.0.0.1", str(door.port), "7")
        assert master(sentinel)["num-slaves"] == "2"
        hidden.kill()
        shown.command("CONFIG", "SET", "replica-priority", 0)
        wait_until(lambda: only(replicas(sentinel), "slave-priority", "0"), 20, "it knows the new priority")
        with pytest.raises(ReplyError, match="NOGOODSLAVE"):
            sentinel.command("SENTINEL", "FAILOVER", NAME)


def only(known: list[dict[str, str]], field: str, value: str) -> dict[str, str] | None:
    """The replica, if there is one alone and this is what is known of it."""
    return known[0] if len(known) == 1 and known[0][field] == value else None


def test_the_sample_configuration_fails_over(tmp_path: Path, run: Run) -> None:
    """etc/sentinel.conf, with other ports and directory, finds the replica and moves the role when asked to."""
    primary, replica = run("txrepl"), run("txrepl")
    attach(replica, primary)
    text = SAMPLE.read_text()
    for given, here in (
        ("sentinel monitor txrepl 127.0.0.1 6379 ", f"sentinel monitor txrepl 127.0.0.1 {primary.port} "),
        ("dir /var/lib/txrepl", f"dir {tmp_path}"),
    ):
        assert text.count(given) == 1
        text = text.replace(given, here)
    file = tmp_path / "sentinel.conf"
    file.write_text(text)
    with start_sentinel(file) as sentinel:
        wait_until(lambda: only(replicas(sentinel, "txrepl"), "master-link-status", "ok"), 20, "it knows the replica")
        wait_until(lambda: sentinel.command("SENTINEL", "FAILOVER", "txrepl") == "OK", 20, "it begins")
        wait_until(lambda: master(sentinel, "txrepl")["port"] == str(replica.port), 40, "it is done")
        assert replica.info("replication")["role"] == "master"
