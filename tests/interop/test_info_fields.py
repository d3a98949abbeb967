"""INFO, ROLE and CLIENT LIST as Redis 7.0 gives them in the same state, field by field.

Each state is made twice, once with Redis 7.0 and once with txrepl as the server looked at; whoever is at the other
end is the same in both. Names and their order must be equal but for the short lists below, and so must values; what
depends on time, on the machine or on how often a test asked has to have the same form.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.interop.conftest import Run
from tests.interop.fake_primary import FakePrimary, answer
from tests.interop.servers import Directive, RawClient, RealServer, encode, free_port, wait_until
from tests.interop.topology import NO_PINGS, SYNC_TIMEOUT_S, follow

MODEL, SUBJECT = "redis70", "txrepl"
WAIT_S = 10.0

NEWER = frozenset(
    (
        # 7.2's, as which txrepl presents itself
        "acl_access_denied_auth",
        "acl_access_denied_channel",
        "acl_access_denied_cmd",
        "acl_access_denied_key",
        "client_output_buffer_limit_disconnections",
        "client_query_buffer_limit_disconnections",
        "lib-name",
        "lib-ver",
        "listener0",
        "total_blocking_keys",
        "total_blocking_keys_on_nokey",
        # of Valkey 9
        "expired_fields",
        # its own
        "python_version",
        "txrepl_version",
    )
)
"""What txrepl has more."""

COUNT, SIGNED, RATE = r"\d+", r"-?\d+", r"\d+\.\d\d"
FORMS = {
    # how often the test asked, and what that cost
    "total_commands_processed": COUNT,
    "total_connections_received": COUNT,
    "total_net_input_bytes": COUNT,
    "total_net_output_bytes": COUNT,
    "total_reads_processed": COUNT,
    "total_writes_processed": COUNT,
    "keyspace_hits": COUNT,
    "keyspace_misses": COUNT,
    "reply_buffer_shrinks": COUNT,
    "reply_buffer_expands": COUNT,
    "total_error_replies": COUNT,
    # time and machine
    "instantaneous_ops_per_sec": COUNT,
    "instantaneous_input_kbps": RATE,
    "instantaneous_output_kbps": RATE,
    "instantaneous_input_repl_kbps": RATE,
    "instantaneous_output_repl_kbps": RATE,
    "expired_stale_perc": RATE,
    "expire_cycle_cpu_milliseconds": COUNT,
    "latest_fork_usec": COUNT,
    "current_cow_peak": COUNT,
    "current_cow_size": COUNT,
    "current_cow_size_age": COUNT,
    "current_fork_perc": RATE,
    "current_save_keys_processed": COUNT,
    "rdb_last_cow_size": COUNT,
    "rdb_last_save_time": r"\d{10}",
    # sizes of RDB files, whose encodings differ, and how far a transfer has come
    "total_net_repl_input_bytes": COUNT,
    "total_net_repl_output_bytes": COUNT,
    "master_sync_read_bytes": COUNT,
    "master_sync_left_bytes": SIGNED,
}
"""What each value looks like where it need not be equal."""

SECONDS = frozenset(
    (
        "master_last_io_seconds_ago",
        "master_link_down_since_seconds",
        "master_sync_last_io_seconds_ago",
        "rdb_current_bgsave_time_sec",
        "rdb_last_bgsave_time_sec",
    )
)
"""Whole seconds that have just begun: 0, or a few on a busy machine; -1 is another thing."""

SAME_CLIENT = ("flags", "db", "sub", "psub", "ssub", "multi", "cmd", "user", "redir", "resp")


# -- states -----------------------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """Where a state is made, for one server: what starts servers, and what closes the rest."""

    start: Run
    stack: ExitStack
    others: list[RealServer] = field(default_factory=list)

    def run(self, kind: str, **directives: Directive) -> RealServer:
        """A server whose offset stands still."""
        return self.start(kind, **{**NO_PINGS, **directives})


@pytest.fixture
def scene(run: Run) -> Iterator[Scene]:
    """A scene for one test."""
    with ExitStack() as stack:
        yield Scene(run, stack)


def replication(server: RealServer) -> dict[str, str]:
    """INFO replication."""
    return server.info("replication")


def link_word(server: RealServer) -> str:
    """How ROLE calls the link to the primary."""
    word: bytes = server.command("ROLE")[3]
    return word.decode()


def await_replica(primary: RealServer, state: str) -> None:
    """Wait until the primary shows its replica in a state."""
    wait_until(lambda: f",state={state}," in replication(primary).get("slave0", ""), SYNC_TIMEOUT_S, state)


def await_acknowledgement(primary: RealServer) -> None:
    """Wait until the primary has heard its replica after the sync, of everything so far."""
    wait_until(lambda: f",offset={primary.offset()}," in replication(primary)["slave0"], WAIT_S, "it acknowledges")
    heard = ["replconf"]
    wait_until(lambda: [one["cmd"] for one in clients(primary) if one["flags"] == "S"] == heard, WAIT_S, "and is heard")


def a_fresh_primary(scene: Scene, kind: str) -> RealServer:
    """Nothing has happened."""
    return scene.run(kind)


def a_primary_with_a_replica(scene: Scene, kind: str) -> RealServer:
    """Online, with all writes acknowledged."""
    primary, replica = scene.run(kind), scene.run(MODEL)
    scene.others.append(replica)
    primary.command("SET", "k", "before")
    follow(replica, primary)
    await_replica(primary, "online")
    primary.command("SET", "k", "v")
    await_acknowledgement(primary)
    return primary


def a_primary_whose_replica_waits(scene: Scene, kind: str) -> RealServer:
    """For a snapshot on disk, which takes its time."""
    primary, replica = scene.run(kind, rdb_key_save_delay=200_000, repl_diskless_sync="no"), scene.run(MODEL)
    primary.command("DEBUG", "POPULATE", 100)
    follow(replica, primary)
    await_replica(primary, "wait_bgsave")
    return primary


def a_primary_that_sends_a_bulk(scene: Scene, kind: str) -> RealServer:
    """To a replica that does not read it."""
    primary = scene.run(kind, repl_diskless_sync="no", rdbcompression="no")
    primary.command("DEBUG", "POPULATE", 2_000, "key", 10_000)
    replica = scene.stack.enter_context(RawClient(primary.port))
    replica.command("REPLCONF", "listening-port", 7777)
    replica.command("REPLCONF", "capa", "eof", "capa", "psync2")
    replica.send(encode("PSYNC", "?", "-1"))
    await_replica(primary, "send_bulk")
    return primary


def a_primary_whose_replica_left(scene: Scene, kind: str) -> RealServer:
    """The backlog stays."""
    primary = a_primary_with_a_replica(scene, kind)
    scene.others.pop().command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: replication(primary)["connected_slaves"] == "0", WAIT_S, "it is gone")
    return primary


def a_primary_with_min_replicas(scene: Scene, kind: str) -> RealServer:
    """One good replica is wanted, and there."""
    primary, replica = scene.run(kind, min_replicas_to_write=1), scene.run(MODEL)
    follow(replica, primary)
    wait_until(lambda: replication(primary).get("min_slaves_good_slaves") == "1", SYNC_TIMEOUT_S, "it is good")
    await_acknowledgement(primary)
    return primary


def a_primary_in_bgsave(scene: Scene, kind: str) -> RealServer:
    """For itself."""
    primary = scene.run(kind, rdb_key_save_delay=200_000)
    primary.command("DEBUG", "POPULATE", 100)
    primary.command("BGSAVE")
    return primary


def a_replica_of_nobody(scene: Scene, kind: str) -> RealServer:
    """Nobody listens where its primary should be."""
    replica = scene.run(kind)
    replica.command("REPLICAOF", "127.0.0.1", free_port())
    wait_until(lambda: link_word(replica) == "connect", WAIT_S, "it was refused")
    return replica


def a_replica_that_connects(scene: Scene, kind: str) -> RealServer:
    """Its primary's queue of connections is full, so that nothing answers."""
    listening = scene.stack.enter_context(socket.socket())
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    for _ in range(3):
        filler = scene.stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(listening.getsockname())
    replica = scene.run(kind)
    replica.command("REPLICAOF", "127.0.0.1", listening.getsockname()[1])
    wait_until(lambda: link_word(replica) == "connecting", WAIT_S, "it connects")
    return replica


def a_replica_in_handshake(scene: Scene, kind: str) -> RealServer:
    """Its primary does not answer the PING."""
    primary = scene.stack.enter_context(FakePrimary(answer("ping", b"")))
    replica = scene.run(kind)
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: link_word(replica) == "handshake", WAIT_S, "it waits")
    return replica


def _in_transfer(scene: Scene, kind: str, diskless: str) -> RealServer:
    primary = scene.run(MODEL, rdb_key_save_delay=100_000, repl_diskless_sync=diskless, rdbcompression="no")
    replica = scene.run(kind)
    primary.command("DEBUG", "POPULATE", 100, "key", 20_000)
    follow(replica, primary)
    wait_until(lambda: link_word(replica) == "sync", WAIT_S, "it receives")
    return replica


def a_replica_that_waits_for_a_snapshot(scene: Scene, kind: str) -> RealServer:
    """Promised, and not begun: its size is not known."""
    return _in_transfer(scene, kind, "no")


def a_replica_in_transfer(scene: Scene, kind: str) -> RealServer:
    """Of a stream without a size."""
    replica = _in_transfer(scene, kind, "yes")
    wait_until(lambda: int(replication(replica)["master_sync_read_bytes"]) > 0, WAIT_S, "something has come")
    return replica


def a_replica_in_sync(scene: Scene, kind: str) -> RealServer:
    """The stream flows."""
    primary, replica = scene.run(MODEL), scene.run(kind)
    scene.others.append(primary)
    follow(replica, primary)
    await_replica(primary, "online")
    primary.command("SET", "k", "v")
    wait_until(lambda: replica.command("GET", "k") == b"v", WAIT_S, "a write has come")
    return replica


def a_replica_whose_primary_died(scene: Scene, kind: str) -> RealServer:
    """It was in sync."""
    replica = a_replica_in_sync(scene, kind)
    scene.others.pop().kill()
    wait_until(lambda: replication(replica)["master_link_status"] == "down", WAIT_S, "the link is down")
    wait_until(lambda: link_word(replica) == "connect", WAIT_S, "it was refused")
    return replica


def a_promoted_replica(scene: Scene, kind: str) -> RealServer:
    """It was in sync."""
    replica = a_replica_in_sync(scene, kind)
    replica.command("REPLICAOF", "NO", "ONE")
    return replica


STATES: tuple[Callable[[Scene, str], RealServer], ...] = (
    a_fresh_primary,
    a_primary_with_a_replica,
    a_primary_whose_replica_waits,
    a_primary_that_sends_a_bulk,
    a_primary_whose_replica_left,
    a_primary_with_min_replicas,
    a_primary_in_bgsave,
    a_replica_of_nobody,
    a_replica_that_connects,
    a_replica_in_handshake,
    a_replica_that_waits_for_a_snapshot,
    a_replica_in_transfer,
    a_replica_in_sync,
    a_replica_whose_primary_died,
    a_promoted_replica,
)


# -- what a server shows ----------------------------------------------------------------------------------------------


def sections(server: RealServer, *words: str) -> dict[str, dict[str, str]]:
    """INFO's sections by their headings, fields in order."""
    text: bytes = server.command("INFO", *words)
    found: dict[str, dict[str, str]] = {}
    for line in text.decode().split("\r\n"):
        if line.startswith("# "):
            found[line[2:]] = {}
        elif line:
            name, value = line.split(":", 1)
            found[list(found)[-1]][name] = value
    return found


def clients(server: RealServer) -> list[dict[str, str]]:
    """CLIENT LIST, fields in order."""
    text: bytes = server.command("CLIENT", "LIST")
    return [dict(word.split("=", 1) for word in line.split(" ")) for line in text.decode().splitlines()]


def comparable(name: str, value: str) -> str:
    """A value without what can differ: ids, ports, a second more or less; or its form."""
    if name in FORMS:
        return "well-formed" if re.fullmatch(FORMS[name], value) else f"malformed: {value}"
    if name in SECONDS:
        return "a moment" if value.isdigit() and int(value) < 5 else value
    if name == "master_port":
        return "PORT" if value.isdigit() else value
    value = re.sub(r"\b(?!0{40})[0-9a-f]{40}\b", "ID", value)
    return re.sub(r"port=\d+(.*),lag=[0-4]$", r"port=PORT\1,lag=LOW", value)


def shared(fields: dict[str, str]) -> dict[str, str]:
    """What Redis 7.0 has too, as far as it can be equal."""
    return {name: comparable(name, value) for name, value in fields.items() if name not in NEWER}


def role(server: RealServer) -> Any:
    """ROLE without ports."""
    reply = server.command("ROLE")
    if reply[0] == b"master":
        return [*reply[:2], [[address, offset] for address, _, offset in reply[2]]]
    return [*reply[:2], *reply[3:]]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_state_looks_as_in_redis(scene: Scene, state: Callable[[Scene, str], RealServer]) -> None:
    """Replication, Stats and Persistence of INFO, ROLE, and the flags of CLIENT LIST."""
    with ThreadPoolExecutor() as both:
        made = [both.submit(state, Scene(scene.start, scene.stack), kind) for kind in (MODEL, SUBJECT)]
    model, subject = (each.result() for each in made)
    wanted, shown = sections(model, "everything"), sections(subject, "everything")
    for heading in ("Replication", "Stats", "Persistence"):
        assert list(shared(shown[heading]).items()) == list(shared(wanted[heading]).items()), heading
    assert role(subject) == role(model)
    assert [[each[name] for name in SAME_CLIENT] for each in clients(subject)] == [
        [each[name] for name in SAME_CLIENT] for each in clients(model)
    ]


def test_every_other_section_has_the_fields_of_redis_in_their_order(run: Run) -> None:
    """Names only, but for the keyspace: what they count is each server's own."""
    model, subject = run(MODEL), run(SUBJECT)
    for server in (model, subject):
        server.command("SET", "k", "v", "EX", 1_000)
        server.command("SET", "l", "v")
        with pytest.raises(Exception, match="WRONGTYPE"):
            server.command("LPUSH", "k", "v")
    wanted, shown = sections(model, "everything"), sections(subject, "everything")
    for heading in ("Server", "Clients", "Memory", "CPU", "Errorstats", "Cluster"):
        assert [name for name in shown[heading] if name not in NEWER] == list(wanted[heading]), heading
    assert shown["Server"]["multiplexing_api"] == wanted["Server"]["multiplexing_api"]
    assert shown["Server"]["monotonic_clock"].startswith("POSIX clock_gettime")
    assert re.fullmatch("[0-9a-f]{16}", shown["Server"]["redis_build_id"])
    without_ttl = re.compile(r"avg_ttl=\d+")
    assert {name: without_ttl.sub("", value) for name, value in shown["Keyspace"].items()} == {
        name: without_ttl.sub("", value) for name, value in wanted["Keyspace"].items()
    }


@pytest.mark.parametrize(
    "words",
    [(), ("default",), ("all",), ("everything",), ("replication", "server"), ("modules",), ("nosuch",)],
    ids=lambda words: "+".join(words) or "none",
)
def test_info_has_the_sections_of_redis_in_their_order(scene: Scene, words: tuple[str, ...]) -> None:
    """Headings, for each way to ask."""
    model, subject = scene.run(MODEL), scene.run(SUBJECT)
    assert list(sections(subject, *words)) == list(sections(model, *words))


# -- counters that are counted ----------------------------------------------------------------------------------------


def counted(server: RealServer, *names: str) -> list[int]:
    """Counters of INFO stats."""
    stats = sections(server, "stats")["Stats"]
    return [int(stats[name]) for name in names]


@pytest.mark.parametrize("kind", [MODEL, SUBJECT])
def test_reads_and_writes_of_clients_are_counted(run: Run, kind: str) -> None:
    """Each request that comes alone is a read and its reply a write, and all their bytes count."""
    server = run(kind)
    names = ("total_reads_processed", "total_writes_processed", "total_net_input_bytes", "total_commands_processed")
    asking = len(encode("INFO", "stats"))
    before = counted(server, *names)
    with server.connect() as client:
        for _ in range(100):
            client.command("SET", "k", "v")
        after = counted(server, *names)
    grown = [new - old for old, new in zip(before, after, strict=True)]
    assert grown[0] in (101, 102)  # Redis counts the end of a connection as a read, when it sees it
    assert grown[1:] == [101, 100 * len(encode("SET", "k", "v")) + asking, 101]


@pytest.mark.parametrize("kind", [MODEL, SUBJECT])
def test_bytes_of_the_stream_are_counted_at_both_ends(scene: Scene, kind: str) -> None:
    """As replication's output by the primary, as its input by the replica, to the byte."""
    writes = [("SET", "k", "x" * size) for size in range(100)]
    expected = sum(len(encode(*write)) for write in writes)
    for primary, replica in ((scene.run(kind), scene.run(MODEL)), (scene.run(MODEL), scene.run(kind))):
        follow(replica, primary)
        await_replica(primary, "online")
        with primary.connect() as client:
            client.command("SET", "k", "v")
            assert client.command("WAIT", 1, 5_000) == 1
            sent, received = (
                counted(primary, "total_net_repl_output_bytes"),
                counted(replica, "total_net_repl_input_bytes"),
            )
            at = primary.offset()
            for write in writes:
                client.command(*write)
            wait_until(lambda r=replica, o=at + expected: r.offset() == o, WAIT_S, "the replica has them")  # type: ignore[misc]
        assert counted(primary, "total_net_repl_output_bytes") == [sent[0] + expected]
        assert counted(replica, "total_net_repl_input_bytes") == [received[0] + expected]


# -- clients ----------------------------------------------------------------------------------------------------------


def test_the_primary_is_a_client_like_others(scene: Scene) -> None:
    """Real id, both ends of the connection, age and user, in the fields of Redis; CLIENT KILL finds it by its id."""
    listed = []
    for kind in (MODEL, SUBJECT):
        replica = a_replica_in_sync(scene, kind)
        found = clients(replica)
        listed.append([name for name in found[-1] if name not in NEWER])
        asker, primary = found
        assert (primary["flags"], primary["user"], primary["cmd"]) == ("M", "(superuser)", "set")
        assert int(primary["id"]) > int(asker["id"])
        assert primary["addr"] == f"127.0.0.1:{replication(replica)['master_port']}"
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d+", primary["laddr"]) and primary["laddr"] != asker["laddr"]
        assert int(primary["age"]) < 30 and int(primary["idle"]) < 30
        assert replica.command("CLIENT", "KILL", "ID", primary["id"]) == 1
        wait_until(lambda r=replica: "Successful partial" in r.log_text(), WAIT_S, "it is linked again")  # type: ignore[misc]
    assert listed[0] == listed[1]


def test_the_sizes_of_clients_are_told_where_they_are_known(scene: Scene) -> None:
    """Words of the running command, of a queue, of a blocked command; what was sent and is no whole request yet."""
    server = scene.run(SUBJECT)
    queueing, blocked, slow = (scene.stack.enter_context(server.connect()) for _ in range(3))
    for client, name in ((queueing, "queueing"), (blocked, "blocked"), (slow, "slow")):
        client.command("CLIENT", "SETNAME", name)
    queueing.command("MULTI")
    queueing.command("SET", "key", "x" * 100)
    blocked.send(encode("BLPOP", "list", 0))
    slow.send(b"*2\r\n$3\r\nGET\r\n$1000\r\n" + b"x" * 500)
    wait_until(lambda: {each["name"]: each for each in clients(server)}["slow"]["qbuf"] != "0", WAIT_S, "it has come")
    wait_until(lambda: server.info("clients")["blocked_clients"] == "1", WAIT_S, "it is blocked")
    found = {each["name"]: each for each in clients(server)}
    assert found["queueing"]["multi"] == "1" and int(found["queueing"]["multi-mem"]) == len("SETkey") + 100
    assert int(found["blocked"]["argv-mem"]) == len("BLPOPlist0") and found["blocked"]["flags"] == "b"
    assert int(found["slow"]["qbuf"]) >= 500
    assert int(found[""]["argv-mem"]) >= len("LIST")
    for each in found.values():
        assert int(each["tot-mem"]) == sum(int(each[name]) for name in ("qbuf", "argv-mem", "multi-mem", "omem"))
