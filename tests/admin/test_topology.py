"""The tree of replication: found from any place in it, bounded, and honest about what it could not see."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from tests.admin.support import Bench
from txrepl.admin.asking import ASK_S, REPLICAS_MAX, Standing, Told, told
from txrepl.admin.features.topology import DEPTH_MAX, SERVERS_MAX

UPPER = "10.1.0.1"


def a_server(run_id: str, *replicas: int, primary: tuple[str, int] | None = None) -> Told:
    """What a server would tell that has replicas on these ports."""
    below = tuple(Standing("10.2.0.1", port, "online", 90, 10, 0) for port in replicas)
    return Told(run_id, "7.0.15", "a" * 40, 100, primary, True if primary else None, below)


def outline(server: Any) -> Any:
    """The shape of a tree: name, and those below it."""
    name = "this" if server["this"] else f"{server['host']}:{server['port']}"
    return (name if server["reachable"] else f"{name}?", [outline(one) for one in server["replicas"]])


def tree(bench: Bench) -> Any:
    """What the node finds."""
    answer = bench.get("/v1/topology")
    assert answer.status == 200
    return answer.json


def test_a_lonely_primary_is_a_tree_of_one() -> None:
    """Nobody is asked."""
    bench = Bench()
    found = tree(bench)
    assert outline(found["root"]) == ("this", [])
    assert found["root"]["role"] == "primary" and not found["truncated"]
    assert bench.asked == []


def test_a_replica_in_the_middle_sees_above_beside_and_below() -> None:
    """Primary, sibling, and what is attached here; each with its edge; asked with masteruser and masterauth."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.attach(6390)
    settings = bench.node.settings
    settings.listening_port, settings.user, settings.password = 7001, "u", "p"
    primary = a_server("r", 7001, 7002)
    bench.servers = {
        (UPPER, 6379): primary,
        ("10.2.0.1", 7001): a_server(bench.node.run_id, 6390, primary=(UPPER, 6379)),
        ("10.2.0.1", 7002): a_server("s", primary=(UPPER, 6379)),
    }
    root = tree(bench)["root"]
    assert outline(root) == (
        f"{UPPER}:6379",
        [("this", [("10.0.0.140:6390?", [])]), ("10.2.0.1:7002", [])],
    )
    here = root["replicas"][0]
    assert (here["host"], here["port"], here["role"], here["link_up"]) == ("10.2.0.1", 7001, "replica", True)
    assert here["edge"] == {"state": "online", "offset": 90, "lag_bytes": 10, "lag_seconds": 0}
    assert here["replicas"][0]["error"] == "Connection refused"
    assert all(asked[2:] == ("u", "p") for asked in bench.asked)


def test_a_primary_that_cannot_be_asked_stays_the_root() -> None:
    """With this node below it, and what is below this node."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.attach(6390)
    bench.servers = {("10.0.0.140", 6390): a_server("below")}
    root = tree(bench)["root"]
    assert outline(root) == (f"{UPPER}:6379?", [("this", [("10.0.0.140:6390", [])])])
    assert (root["error"], root["role"], root["offset"]) == ("Connection refused", None, None)


def test_a_node_behind_another_address_is_put_in_its_place() -> None:
    """Its primary knows it by an address at which it does not answer."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.node.settings.listening_port = 7001
    bench.servers = {(UPPER, 6379): a_server("r", 7001, 7002), ("10.2.0.1", 7002): a_server("s")}
    root = tree(bench)["root"]
    assert outline(root) == (f"{UPPER}:6379", [("this", []), ("10.2.0.1:7002", [])])
    assert root["replicas"][0]["edge"]["offset"] == 90


def test_a_circle_ends() -> None:
    """Servers that follow each other are shown once."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.servers = {
        (UPPER, 6379): a_server("r", primary=("10.1.0.2", 6379)),
        ("10.1.0.2", 6379): a_server(bench.node.run_id, primary=(UPPER, 6379)),
    }
    root = tree(bench)["root"]
    assert root["error"] == "its primary follows it, over others"


def test_the_walk_is_bounded_in_number_and_depth() -> None:
    """A server that tells of more and more replicas, for ever."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    numbers = iter(range(10_000_000))

    class Endless(dict[tuple[str, int], Told]):
        def __contains__(self, _: object) -> bool:
            return True

        def __getitem__(self, _: object) -> Told:
            number = next(numbers)
            return a_server(f"run {number}", *range(2, 2 + 5))

    bench.servers = Endless()
    found = tree(bench)
    assert found["truncated"]
    assert len(bench.asked) <= SERVERS_MAX + DEPTH_MAX


def test_a_chain_upwards_is_bounded() -> None:
    """Primaries above primaries, for ever."""
    bench = Bench()
    bench.become_replica("h0", 6379)
    bench.servers = {
        (f"h{number}", 6379): a_server(f"run {number}", primary=(f"h{number + 1}", 6379)) for number in range(100)
    }
    found = tree(bench)
    assert found["truncated"] and len(bench.asked) == DEPTH_MAX


def test_a_replica_that_did_not_say_its_port_is_not_asked() -> None:
    """It is shown, with the reason."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.servers = {(UPPER, 6379): a_server("r", 0)}
    found = tree(bench)["root"]["replicas"]
    assert found[0]["error"] == "it did not say where it listens"
    assert [asked[:2] for asked in bench.asked] == [(UPPER, 6379)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"role": "slave"},
        {"role": "slave", "master_host": "h", "master_port": "x"},
        {"slave0": "nonsense", "slave1": "ip=1,port=-1,offset=1e9,lag=x,state", "slavex": "a=b", "slave2": "="},
        {"master_repl_offset": "9" * 40, "run_id": "\n"},
    ],
)
def test_nonsense_from_a_server_counts_as_not_said(fields: dict[str, str]) -> None:
    """No field has to be there, or to be of any form."""
    found = told(fields)
    assert found.offset == 0
    assert all(one.port == 0 and one.lag_seconds is None for one in found.replicas)


def test_what_a_real_server_tells_is_understood() -> None:
    """INFO of Redis 7.0, a primary with one replica online and one that waits."""
    found = told(
        {
            "redis_version": "7.0.15",
            "run_id": "r",
            "role": "master",
            "master_replid": "a" * 40,
            "master_repl_offset": "1000",
            "slave0": "ip=127.0.0.1,port=7001,state=online,offset=900,lag=1",
            "slave1": "ip=127.0.0.1,port=7002,state=wait_bgsave,offset=0,lag=0",
        }
    )
    assert (found.version, found.offset, found.primary, found.link_up) == ("7.0.15", 1000, None, None)
    assert found.replicas == (
        Standing("127.0.0.1", 7001, "online", 900, 100, 1),
        Standing("127.0.0.1", 7002, "wait_bgsave", 0, None, 0),
    )
    many = told({f"slave{number}": "ip=1,port=2" for number in range(1000)})
    assert len(many.replicas) == REPLICAS_MAX


def test_requests_share_a_walk() -> None:
    """Whoever asks while one is under way gets its answer; one that leaves does not end it."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)
    bench.servers = {(UPPER, 6379): a_server("r")}
    waiting: list[Any] = []

    async def slow(host: str, port: int, user: str, password: str) -> Told:
        waiting.append(host)
        await deferLater(bench.clock, 1)
        return bench.servers[host, port]

    bench.answer_with = slow
    first, second = bench.begin("GET", "/v1/topology"), bench.begin("GET", "/v1/topology")
    assert not bench.is_answered(first)
    bench.clock.advance(1)
    assert bench.end(first).json == bench.end(second).json
    assert waiting == [UPPER]


def test_a_server_that_never_answers_is_given_up() -> None:
    """After a few seconds the tree comes without it."""
    bench = Bench()
    bench.become_replica(UPPER, 6379)

    async def silent(host: str, port: int, user: str, password: str) -> Told:
        await Deferred()
        raise AssertionError("it was not given up")

    bench.answer_with = silent
    sent = bench.begin("GET", "/v1/topology")
    assert not bench.is_answered(sent)
    bench.clock.advance(2 * ASK_S)
    assert bench.end(sent).json["root"]["error"] == "it does not answer in time"
