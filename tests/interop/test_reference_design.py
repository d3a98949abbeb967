"""The replication design of Redis, piece by piece: each function of it by its name, and what it must do, seen working.

A test's name begins with the Redis function (or the piece) that it shows, and its docstring names all functions that
the piece consists of. The other end is a live Redis 7.0; where only the bytes tell, it is a scripted peer.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.fake_primary import OFFSET, REPLID, STEPS, FakePrimary, Talk, answer, bulk, full_resync, speak
from tests.interop.servers import (
    KINDS,
    RawClient,
    RealServer,
    ReplyError,
    encode,
    free_port,
    redis70,
    require,
    wait_until,
)
from tests.interop.topology import NO_PINGS, assert_equal, attach, follow, in_sync, stat
from txrepl.replication.states import Capability, LinkState

SUBJECT, REAL = "txrepl", "redis70"
WAIT_S = 15.0
NO_ID = "0" * 40
PING = encode("PING")


@pytest.fixture(scope="module")
def rdb() -> bytes:
    """One key, `k`, by Redis."""
    with redis70() as server:
        server.command("SET", "k", "v")
        server.command("SAVE")
        return (server.dir / "dump.rdb").read_bytes()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what is entered into it."""
    with ExitStack() as entered:
        yield entered


def replication(server: RealServer) -> dict[str, str]:
    """INFO replication."""
    return server.info("replication")


def over_http(server: RealServer, path: str = "/v1/replication") -> Any:
    """What the server tells over HTTP."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.directives['http-port']}{path}", timeout=10) as reply:
        return json.load(reply)


def says(server: RealServer, text: str, count: int = 1) -> None:
    """Wait until the log has a text so many times."""
    wait_until(lambda: server.log_text().count(text) >= count, WAIT_S, f"{server!r} says '{text}'")


class Replica:
    """A replica on a raw connection: what it is sent is seen byte by byte.

    Parameters:
        primary: whom it follows.
        capabilities: what it says that it understands.
    """

    def __init__(self, primary: RealServer, *capabilities: str) -> None:
        self.wire = RawClient(primary.port)
        self.wire.command("REPLCONF", "listening-port", 7777)
        for name in capabilities:
            self.wire.command("REPLCONF", "capa", name)

    def __enter__(self) -> Replica:
        return self

    def __exit__(self, *_: object) -> None:
        self.wire.close()

    def psync(self, replid: str = "?", offset: int = -1) -> list[bytes]:
        """Ask; the words of the answer."""
        self.wire.send(encode("PSYNC", replid, offset))
        return self.line().split()

    def line(self) -> bytes:
        """The next line that is no keepalive."""
        while (line := self.wire.read_line()) == b"\n":
            pass
        return line.rstrip()

    def bulk(self) -> bytes:
        """The snapshot, in either form, acknowledged."""
        head = self.line()
        if head.startswith(b"$EOF:"):
            data = b""
            while not data.endswith(head[5:]):
                data += self.wire.read_exactly(1)
            return data[:-40]
        return self.wire.read_exactly(int(head[1:]))

    def acknowledge(self, offset: int) -> None:
        """REPLCONF ACK."""
        self.wire.send(encode("REPLCONF", "ACK", offset))

    def full(self) -> int:
        """Go through a full sync; the offset that the stream begins after."""
        words = self.psync()
        assert words[0] == b"+FULLRESYNC"
        self.bulk()
        self.acknowledge(int(words[2]))
        return int(words[2])


# -- states and capabilities ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("announced", [True, False], ids=["with AUTH and ip-address", "without"])
def test_repl_states_of_a_replica_are_gone_through_in_order(run: Run, rdb: bytes, announced: bool) -> None:
    """`REPL_STATE_NONE` … `REPL_STATE_CONNECTED`, `slaveIsInHandshakeState`: each in its turn, seen over HTTP."""
    words = {"masterauth": "secret", "replica_announce_ip": "10.1.2.3"} if announced else {}
    replica = run(SUBJECT, http_port=free_port(), **words)
    seen: list[tuple[str, str]] = []

    def script(talk: Talk) -> None:
        while talk.command()[0] != b"PSYNC":
            link = over_http(replica)["link"]
            seen.append((link["step"], link["state"]))
            talk.send(b"+PONG\r\n" if talk.commands[-1] == [b"PING"] else b"+OK\r\n")
        seen.append((over_http(replica)["link"]["step"], "handshake"))
        talk.send(full_resync() + bulk(rdb)[:-1])
        wait_until(lambda: over_http(replica)["link"]["step"] == "transfer", WAIT_S, "it receives")
        talk.send(rdb[-1:])
        talk.until_closed()

    assert list(LinkState) == list(range(16))
    with FakePrimary(script) as primary:
        replica.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: over_http(replica)["link"]["step"] == "connected", WAIT_S, "it is linked")
        steps = [step["step"] for step in over_http(replica)["link"]["handshake"]]
        commands = primary.talks[0].commands
    assert {state for _, state in seen} == {"handshake"}
    left_out = set() if announced else {"send_auth", "receive_auth", "send_ip", "receive_ip"}
    assert steps == [state.name.lower() for state in LinkState if state >= 2 and state.name.lower() not in left_out]
    assert [step for step, _ in seen if step != "receive_capa"] == [
        step for step in steps if step.startswith("receive_") and step != "receive_capa"
    ]
    assert ([b"AUTH", b"secret"] in commands) == announced
    assert ([b"REPLCONF", b"ip-address", b"10.1.2.3"] in commands) == announced


def test_slave_states_of_an_attached_replica_are_kept_and_shown(run: Run) -> None:
    """`SLAVE_STATE_WAIT_BGSAVE_START`, `_WAIT_BGSAVE_END`, `_SEND_BULK`, `_ONLINE`: in INFO and over HTTP."""
    primary = run(SUBJECT, http_port=free_port(), repl_diskless_sync="yes", repl_diskless_sync_delay=1, **NO_PINGS)

    def shown() -> tuple[str, str]:
        line = replication(primary)["slave0"]
        return line.split("state=")[1].split(",")[0], over_http(primary, "/v1/replicas")["replicas"][0]["state"]

    with Replica(primary, "eof") as waiting:
        waiting.wire.send(encode("PSYNC", "?", -1))
        wait_until(lambda: "slave0" in replication(primary), WAIT_S, "it is attached")
        assert shown() == ("wait_bgsave", "wait_bgsave_start")
    wait_until(lambda: "slave0" not in replication(primary), WAIT_S, "it is gone")
    primary.command("CONFIG", "SET", "repl-diskless-sync", "no", "rdb-key-save-delay", "500", "rdbcompression", "no")
    primary.command("DEBUG", "POPULATE", 1_000, "key", 20_000)
    with Replica(primary) as one:
        assert one.psync()[0] == b"+FULLRESYNC"
        assert shown() == ("wait_bgsave", "wait_bgsave_end")
        wait_until(lambda: shown() == ("send_bulk", "send_bulk"), WAIT_S, "the bulk is sent, and not read")
        one.bulk()
        wait_until(lambda: shown() == ("online", "online"), WAIT_S, "it is online")


def test_slave_capa_the_least_capable_of_a_group_is_served(run: Run) -> None:
    """`SLAVE_CAPA_NONE`, `SLAVE_CAPA_EOF`, `SLAVE_CAPA_PSYNC2`: one without `eof` makes it a bulk with a length."""
    assert [int(flag) for flag in (Capability.NONE, Capability.EOF, Capability.PSYNC2)] == [0, 1, 2]
    primary = run(SUBJECT, repl_diskless_sync="yes", repl_diskless_sync_delay=1, **NO_PINGS)
    with Replica(primary, "eof", "psync2", "never-heard-of") as able, Replica(primary) as old:
        able.wire.send(encode("PSYNC", "?", -1))
        old.wire.send(encode("PSYNC", "?", -1))
        for replica in (able, old):
            assert replica.line().startswith(b"+FULLRESYNC ")
            assert replica.line()[:1] == b"$" and primary.log_text().count("target: disk") == 1
    with Replica(primary, "eof", "psync2") as able:
        assert able.psync()[0] == b"+FULLRESYNC"
        assert able.line().startswith(b"$EOF:")


# -- roles ------------------------------------------------------------------------------------------------------------


def test_replication_set_master_frees_the_link_unblocks_clients_and_drops_replicas(run: Run, stack: ExitStack) -> None:
    """`replicationSetMaster`: and a primary that turns builds a cached primary of itself."""
    subject, replica = run(SUBJECT, **NO_PINGS), run(REAL, **NO_PINGS)
    attach(replica, subject)
    blocked = stack.enter_context(subject.connect())
    blocked.send(encode("BLPOP", "list", 0))
    wait_until(lambda: subject.info("clients")["blocked_clients"] == "1", WAIT_S, "it waits")
    first = stack.enter_context(FakePrimary(answer("ping", b"")))
    assert subject.command("REPLICAOF", "127.0.0.1", first.port) == "OK"
    text = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
    assert blocked.read_reply() == ReplyError(text)
    assert blocked.read_to_end() == b""
    says(replica, "Connection with master lost.")
    says(subject, "Before turning into a replica, using my own master parameters to synthesize a cached master")
    wait_until(lambda: first.talks and first.talks[0].commands, WAIT_S, "the handshake has begun")
    reply = subject.command("REPLICAOF", "127.0.0.1", first.port)
    assert reply == "OK Already connected to specified master"
    second = stack.enter_context(FakePrimary(answer("psync", b"")))
    assert subject.command("REPLICAOF", "127.0.0.1", second.port) == "OK"
    wait_until(
        lambda: any(words[0] == b"PSYNC" for talk in second.talks for words in talk.commands),
        WAIT_S,
        "another handshake",
    )
    assert len(first.talks) == 1
    assert subject.log_text().count("Before turning into a replica") == 1


def test_replication_cache_master_using_myself_lets_a_demoted_primary_go_on_partially(run: Run) -> None:
    """`replicationCacheMasterUsingMyself`: its own id and offset are what it asks to go on from."""
    former, heir = run(SUBJECT, **NO_PINGS), run(REAL, **NO_PINGS)
    former.command("SET", "k", "v")
    attach(heir, former)
    replid, offset = replication(former)["master_replid"], former.offset()
    heir.command("REPLICAOF", "NO", "ONE")
    follow(former, heir)
    assert_equal(heir, former)
    assert f"Trying a partial resynchronization (request {replid}:{offset + 1})." in former.log_text()
    assert (stat(heir, "sync_full"), stat(heir, "sync_partial_ok")) == (0, 1)


def test_replication_unset_master_shifts_the_ids_and_lets_replicas_come_back(run: Run) -> None:
    """`replicationUnsetMaster`: no link, no cached primary, replicas go on under the new id, SELECT comes first."""
    top, middle = run(REAL, **NO_PINGS), run(SUBJECT, **NO_PINGS)
    top.command("SET", "k", "v")
    attach(middle, top)
    replid, offset = replication(middle)["master_replid"], middle.offset()
    with Replica(middle, "eof", "psync2") as below:
        below.full()
        assert middle.command("REPLICAOF", "NO", "ONE") == "OK"
        below.wire.read_to_end()
    assert middle.command("ROLE") == [b"master", offset, []]
    says(middle, "Discarding previously cached master state.", 2)
    wait_until(lambda: replication(top)["connected_slaves"] == "0", WAIT_S, "its primary has lost it")
    with Replica(middle, "psync2") as below:
        assert below.psync(replid, offset + 1) == [b"+CONTINUE", replication(middle)["master_replid"].encode()]
        middle.command("SET", "k", "w")
        expected = encode("SELECT", 0) + encode("SET", "k", "w")
        assert below.wire.read_exactly(len(expected)) == expected


def test_shift_replication_id_keeps_the_old_id_up_to_where_it_went(run: Run) -> None:
    """`shiftReplicationId`, `changeReplicationId`, `clearReplicationId2`: random digits; zeros are none."""
    top, subject = run(REAL, **NO_PINGS), run(SUBJECT, **NO_PINGS)
    fresh = replication(subject)
    assert (fresh["master_replid2"], fresh["second_repl_offset"]) == (NO_ID, "-1")
    top.command("SET", "k", "v")
    attach(subject, top)
    before = replication(subject)
    subject.command("REPLICAOF", "NO", "ONE")
    after = replication(subject)
    assert after["master_replid2"] == before["master_replid"]
    assert int(after["second_repl_offset"]) == int(before["master_repl_offset"]) + 1
    assert len(bytes.fromhex(after["master_replid"])) == 20
    assert after["master_replid"] not in (before["master_replid"], fresh["master_replid"])
    other = run(REAL, **NO_PINGS)
    attach(subject, other)  # a full sync: another history, of which nothing went before
    cleared = replication(subject)
    assert (cleared["master_replid2"], cleared["second_repl_offset"]) == (NO_ID, "-1")


# -- the link ---------------------------------------------------------------------------------------------------------


def test_replication_resurrect_cached_master_goes_on_within_a_command_and_in_its_database(
    run: Run, stack: ExitStack, rdb: bytes
) -> None:
    """`replicationDiscardCachedMaster`, `replicationResurrectCachedMaster`, `replicationCreateMasterClient`.

    A link that is lost within a command goes on at the end of the last whole one, in the database selected before.
    """
    subject = run(SUBJECT, **NO_PINGS)
    whole, half = encode("SELECT", 3) + encode("SET", "a", "1"), encode("SET", "b", "2")

    applied = threading.Event()

    def breaks(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + bulk(rdb) + whole + half[:-5])
        applied.wait(WAIT_S)

    primary = stack.enter_context(FakePrimary(breaks))
    subject.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: subject.offset() == OFFSET + len(whole), WAIT_S, "the whole ones are applied")
    primary.script = answer("psync", b"+CONTINUE\r\n" + half)
    applied.set()
    wait_until(lambda: subject.offset() == OFFSET + len(whole + half), WAIT_S, "it goes on")
    asked = [b"PSYNC", REPLID.encode(), b"%d" % (OFFSET + len(whole) + 1)]
    assert asked in primary.talks[1].commands
    with subject.connect() as client:
        client.command("SELECT", 3)
        assert client.command("MGET", "a", "b") == [b"1", b"2"]


def test_replication_create_master_client_of_a_primary_without_psync_has_no_offset(run: Run, rdb: bytes) -> None:
    """`replicationCreateMasterClient`, initial offset −1: after a SYNC the next resync is full, and no ACK is wrong."""
    subject = run(SUBJECT, **NO_PINGS)
    applied = threading.Event()

    def old(talk: Talk) -> None:
        talk.until("psync")
        talk.send(b"-ERR unknown command 'PSYNC'\r\n")
        assert talk.command() == [b"SYNC"]
        talk.send(bulk(rdb) + encode("SET", "a", "1"))
        applied.wait(WAIT_S)

    with FakePrimary(old) as primary:
        subject.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: subject.command("GET", "a") == b"1", WAIT_S, "the stream flows")
        applied.set()
        wait_until(lambda: len(primary.talks) > 1 and [b"SYNC"] in primary.talks[1].commands, WAIT_S, "again")
        assert [b"PSYNC", b"?", b"-1"] in primary.talks[1].commands


@pytest.mark.parametrize("step", ["ping", "port", "capa", "psync", "transfer"])
def test_cancel_replication_handshake_leaves_nothing_behind(run: Run, step: str) -> None:
    """`cancelReplicationHandshake`, `undoConnectWithMaster`, `replicationAbortSyncTransfer`: from any step."""
    subject = run(SUBJECT, **NO_PINGS)
    word = "psync" if step == "transfer" else step
    closed: list[str] = []

    def script(talk: Talk) -> None:
        try:
            talk.until(word)
            if step == "transfer":
                talk.send(full_resync() + b"$100000\r\nREDIS0009" + b"x" * 1_000)
            talk.until_closed()
        finally:
            closed.append(step)

    with FakePrimary(script) as primary:
        subject.command("REPLICAOF", "127.0.0.1", primary.port)
        wanted = b"sync" if step == "transfer" else b"handshake"
        wait_until(
            lambda: any(STEPS[word] in one for talk in primary.talks for one in talk.commands), WAIT_S, "it asks"
        )
        wait_until(lambda: subject.command("ROLE")[3] == wanted, WAIT_S, "it is there")
        if step == "transfer":
            wait_until(lambda: list(subject.dir.glob("temp*")), WAIT_S, "the bulk goes to a file")
        subject.command("REPLICAOF", "127.0.0.1", free_port())
        wait_until(lambda: closed, WAIT_S, "the socket is closed")
    wait_until(lambda: subject.command("ROLE")[3] == b"connect", WAIT_S, "it tries another")
    assert not list(subject.dir.glob("temp*"))


def test_connect_with_master_neither_blocks_nor_waits_for_ever(run: Run, stack: ExitStack) -> None:
    """`connectWithMaster`, `syncWithMaster`: while nothing answers, clients are served, and repl-timeout ends it."""
    full = stack.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    for _ in range(3):
        filler = stack.enter_context(socket.socket())
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    subject = run(SUBJECT, repl_timeout=1, **NO_PINGS)
    subject.command("REPLICAOF", "127.0.0.1", full.getsockname()[1])
    wait_until(lambda: subject.command("ROLE")[3] == b"connecting", WAIT_S, "it connects")
    began = time.monotonic()
    assert subject.command("PING") == "PONG"
    assert time.monotonic() - began < 1
    says(subject, "Timeout connecting to the MASTER...")


def test_send_synchronous_command_is_an_array_of_bulks_bounded_by_repl_timeout(run: Run) -> None:
    """`sendSynchronousCommand`: the bytes of the first command, and the end of a wait for its answer."""
    subject = run(SUBJECT, repl_timeout=1, **NO_PINGS)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_S)
        subject.command("REPLICAOF", "127.0.0.1", listening.getsockname()[1])
        wire, _ = listening.accept()
        with wire:
            wire.settimeout(WAIT_S)
            assert wire.recv(100) == PING
            with suppress(ConnectionResetError):  # which is an end too
                assert wire.recv(100) == b""
    says(subject, "Timeout connecting to the MASTER...")


# -- resyncs ----------------------------------------------------------------------------------------------------------


def test_slave_try_partial_resynchronization_asks_for_the_next_byte(run: Run, proxy: Proxy) -> None:
    """`slaveTryPartialResynchronization`: `PSYNC replid offset+1` to go on, of whatever history it has."""
    primary, subject = run(REAL, **NO_PINGS), run(SUBJECT, **NO_PINGS)
    link = proxy(primary.port)
    primary.command("SET", "k", "v")
    follow(subject, primary, link.port)
    assert_equal(primary, subject)
    replid = replication(primary)["master_replid"]
    link.cut()
    says(subject, f"Trying a partial resynchronization (request {replid}:{primary.offset() + 1}).")
    says(subject, "Master accepted a Partial Resynchronization")
    assert (stat(primary, "sync_full"), stat(primary, "sync_partial_ok")) == (1, 1)
    with FakePrimary(answer("psync", b"+FULLRESYNC nonsense\r\n")) as liar:
        subject.command("REPLICAOF", "127.0.0.1", liar.port)
        # A connection is there before its first command.
        asked = wait_until(
            lambda: [words for talk in liar.talks[:1] for words in talk.commands if words[0] == b"PSYNC"],
            WAIT_S,
            "it asks",
        )
        assert asked[0][1] == replid.encode()


def test_master_try_partial_resynchronization_accepts_exactly_what_the_backlog_covers(run: Run) -> None:
    """`masterTryPartialResynchronization`: the first byte, the one behind the last, and not one beyond either."""
    answers = []
    for kind in (REAL, SUBJECT):
        primary = run(kind, repl_diskless_sync="no", **NO_PINGS)
        with Replica(primary, "psync2") as keeps:
            keeps.full()
            for value in range(50):
                primary.command("SET", "k", value)
            shown = replication(primary)
            replid, first = shown["master_replid"], int(shown["repl_backlog_first_byte_offset"])
            end = first + int(shown["repl_backlog_histlen"])
            asked = [(replid, first), (replid.upper(), end), (replid, end + 1), (replid, first - 1), ("e" * 40, first)]
            words = []
            for one in asked:
                with Replica(primary, "psync2") as other:
                    words.append(other.psync(*one)[0])
        answers.append(words)
    assert answers[0] == answers[1] == [b"+CONTINUE"] * 2 + [b"+FULLRESYNC"] * 3


def test_replication_setup_slave_for_full_resync_one_snapshot_on_disk_serves_all_who_come(run: Run) -> None:
    """`replicationSetupSlaveForFullResync`, `startBgsaveForReplication`, `updateSlavesWaitingBgsave`,
    `sendBulkToSlave`, `putSlaveOnline`.

    One that comes during the snapshot for another joins it, and gets what was written meanwhile.
    """
    primary = run(SUBJECT, repl_diskless_sync="no", rdb_key_save_delay=20_000, **NO_PINGS)
    primary.command("DEBUG", "POPULATE", 30)
    first, second = run(REAL, **NO_PINGS), run(REAL, **NO_PINGS)
    follow(first, primary)
    says(primary, "Background saving started by pid")
    primary.command("SET", "between", "both")
    follow(second, primary)
    says(primary, "Waiting for end of BGSAVE for SYNC")
    assert_equal(primary, first, second)
    assert primary.log_text().count("Background saving started by pid") == 1
    assert stat(primary, "sync_full") == 2
    assert second.command("GET", "between") == b"both"


def test_rdb_save_to_slaves_sockets_feeds_all_who_wait_from_one_child(run: Run) -> None:
    """`rdbSaveToSlavesSockets`: one transfer for two replicas, no file, the stream only after their first ACK."""
    primary = run(SUBJECT, repl_diskless_sync="yes", repl_diskless_sync_delay=1, **NO_PINGS)
    primary.command("SET", "k", "v")
    with Replica(primary, "eof") as one, Replica(primary, "eof") as two:
        for replica in (one, two):
            replica.wire.send(encode("PSYNC", "?", -1))
        offsets = [int(replica.line().split()[2]) for replica in (one, two)]
        assert one.bulk() == two.bulk()
        primary.command("SET", "k", "w")
        for replica, offset in zip((one, two), offsets, strict=True):
            replica.wire.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                replica.wire.read_exactly(1)
            replica.wire.socket.settimeout(WAIT_S)
            replica.acknowledge(offset)
            expected = encode("SELECT", 0) + encode("SET", "k", "w")
            assert replica.wire.read_exactly(len(expected)) == expected
    assert primary.log_text().count("Background RDB transfer started by pid") == 1
    assert not list(primary.dir.glob("*.rdb"))


def test_start_bgsave_for_replication_that_fails_is_told_and_closed(run: Run) -> None:
    """`startBgsaveForReplication`, `updateSlavesWaitingBgsave`: `-ERR BGSAVE failed, replication can't continue`."""
    primary = run(SUBJECT, repl_diskless_sync="no", rdb_key_save_delay=100_000, **NO_PINGS)
    primary.command("DEBUG", "POPULATE", 100)
    with Replica(primary) as replica:
        assert replica.psync()[0] == b"+FULLRESYNC"
        children = Path(f"/proc/{primary.pid}/task/{primary.pid}/children").read_text("ascii").split()
        os.kill(int(children[0]), 9)
        assert replica.line() == b"-ERR BGSAVE failed, replication can't continue"
        assert replica.wire.read_to_end().strip() == b""


# -- backlog and stream -----------------------------------------------------------------------------------------------


def test_create_replication_backlog_with_the_first_replica_and_free_it_after_its_ttl(run: Run) -> None:
    """`createReplicationBacklog`, `freeReplicationBacklog`, `resizeReplicationBacklog`, `feedReplicationBacklog`,
    `feedReplicationBacklogWithObject`, `addReplyReplicationBacklog`: a ring, and a new id when it is freed."""
    primary = run(SUBJECT, repl_backlog_size="16kb", repl_backlog_ttl=1, **NO_PINGS)
    primary.command("SET", "k", "v")
    assert replication(primary)["repl_backlog_active"] == "0" and primary.offset() == 0
    with Replica(primary, "psync2") as replica:
        offset = replica.full()
        for value in range(200):
            primary.command("SET", "k", f"{value:0500d}")
        shown = {name: int(value) for name, value in replication(primary).items() if name.startswith("repl_backlog_")}
        assert shown["repl_backlog_active"] == 1 and shown["repl_backlog_size"] == 16_384
        assert shown["repl_backlog_histlen"] >= 16_384
        end = shown["repl_backlog_first_byte_offset"] + shown["repl_backlog_histlen"]
        assert end == primary.offset() + 1 and end - offset > shown["repl_backlog_histlen"]
        primary.command("CONFIG", "SET", "repl-backlog-size", "1mb")
        assert replication(primary)["repl_backlog_size"] == "1048576"
        replid = replication(primary)["master_replid"]
        last = encode("SET", "k", "last")
        primary.command("SET", "k", "last")
        with Replica(primary, "psync2") as other:
            assert other.psync(replid, primary.offset() + 1 - len(last))[0] == b"+CONTINUE"
            assert other.wire.read_exactly(len(last)) == last
    wait_until(lambda: replication(primary)["repl_backlog_active"] == "0", WAIT_S, "its time is over")
    assert replication(primary)["master_replid"] != replid


def test_free_replication_backlog_never_on_a_replica(run: Run) -> None:
    """`freeReplicationBacklog`: a replica without replicas may be promoted, and keeps its backlog for that."""
    primary, subject = run(REAL, repl_ping_replica_period=1), run(SUBJECT, repl_backlog_ttl=1)
    attach(subject, primary)
    offset = primary.offset()
    wait_until(lambda: subject.offset() >= offset + 3 * len(PING), WAIT_S, "three seconds have passed")
    assert replication(subject)["repl_backlog_active"] == "1"


def test_replication_feed_slaves_selects_and_wraps_as_redis_does(run: Run) -> None:
    """`replicationFeedSlaves`: SELECT where the database changes, MULTI where more than one write goes together."""
    streams = []
    for kind in (REAL, SUBJECT):
        primary = run(kind, repl_diskless_sync="no", **NO_PINGS)
        with Replica(primary) as replica:
            offset = replica.full()
            with primary.connect() as client:
                client.command("SET", "a", "1")
                client.command("SELECT", 5)
                client.command("SET", "b", "2")
                client.command("GET", "b")
                client.command("MULTI")
                client.command("INCR", "n")
                client.command("SELECT", 0)
                client.command("INCRBYFLOAT", "n", "1.5")
                client.command("EXEC")
                client.command("MULTI")
                client.command("SET", "c", "3")
                client.command("EXEC")
                client.command("DEL", "absent")
                client.command("SADD", "s", "only")
                client.command("SPOP", "s")
            streams.append(replica.wire.read_exactly(primary.offset() - offset))
    assert streams[0] == streams[1]
    assert streams[1].startswith(encode("SELECT", 0) + encode("SET", "a", "1") + encode("SELECT", 5))


def test_replication_feed_slaves_from_master_stream_forwards_the_bytes_as_they_came(run: Run, rdb: bytes) -> None:
    """`replicationFeedSlavesFromMasterStream`: no SELECT and no PING of its own, odd spellings kept."""
    stream = encode("sElEcT", "0") + encode("set", "k", "w") + PING + encode("EXPIRE", "k", "1000")
    middle = run(SUBJECT, repl_ping_replica_period=1, repl_diskless_sync="no")
    begun: list[Talk] = []

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + bulk(rdb))
        begun.append(talk)
        talk.until_closed()

    with FakePrimary(script) as primary:
        middle.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: replication(middle)["master_link_status"] == "up", WAIT_S, "the middle is linked")
        with Replica(middle, "psync2") as end:
            assert end.psync() == [b"+FULLRESYNC", REPLID.encode(), b"%d" % OFFSET]
            end.bulk()
            end.acknowledge(OFFSET)
            begun[0].send(stream)
            assert end.wire.read_exactly(len(stream)) == stream
            end.wire.socket.settimeout(1.5)
            with pytest.raises(TimeoutError):
                end.wire.read_exactly(1)
    assert middle.offset() == OFFSET + len(stream)


# -- acknowledgements -------------------------------------------------------------------------------------------------


def test_replication_send_ack_once_a_second_and_at_once_when_asked(run: Run, rdb: bytes) -> None:
    """`replicationSendAck`, `REPLCONF GETACK *`: the answer to GETACK leaves the GETACK itself out."""
    subject = run(SUBJECT, **NO_PINGS)
    heard: list[tuple[float, bytes]] = []
    getack, write = encode("REPLCONF", "GETACK", "*"), encode("SET", "a", "1")

    def acknowledged(talk: Talk) -> bytes:
        while (words := talk.command())[:2] != [b"REPLCONF", b"ACK"]:
            pass
        heard.append((time.monotonic(), words[2]))
        return words[2]

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + bulk(rdb))
        assert acknowledged(talk) == b"%d" % OFFSET
        for _ in range(2):
            acknowledged(talk)
        talk.send(write + getack)
        acknowledged(talk)
        while acknowledged(talk) != b"%d" % (OFFSET + len(write + getack)):
            pass

    with FakePrimary(script) as primary:
        subject.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: heard and heard[-1][1] == b"%d" % (OFFSET + len(write + getack)), WAIT_S, "all came")
        primary.script = lambda talk: talk.until_closed()
    assert 0.8 < heard[2][0] - heard[1][0] < 2
    assert heard[3][1] == b"%d" % (OFFSET + len(write))


def test_refresh_good_slaves_count_refuses_writes_without_enough_replicas(run: Run) -> None:
    """`refreshGoodSlavesCount`: by min-replicas-to-write and min-replicas-max-lag."""
    primary, replica = run(SUBJECT, min_replicas_to_write=1, min_replicas_max_lag=2), run(REAL)
    refusal = "NOREPLICAS Not enough good replicas to write."
    with primary.connect() as client:
        assert client.execute("SET", "k", "v") == ReplyError(refusal)
        follow(replica, primary)
        wait_until(lambda: client.execute("SET", "k", "v") == "OK", WAIT_S, "there is one")
        assert replication(primary)["min_slaves_good_slaves"] == "1"
        replica.pause()
        wait_until(lambda: client.execute("SET", "k", "v") == ReplyError(refusal), WAIT_S, "it lags")
        assert client.command("GET", "k") == b"v"


def test_wait_counts_acknowledgements_and_does_not_block_in_multi(run: Run) -> None:
    """`WAIT`, `replicationRequestAckFromSlaves`, `replicationCountAcksByOffset`."""
    primary = run(SUBJECT, repl_diskless_sync="no", **NO_PINGS)
    with Replica(primary) as replica, primary.connect() as client:
        offset = replica.full()
        client.command("SET", "k", "v")
        client.send(encode("WAIT", 1, 0))
        written = encode("SELECT", 0) + encode("SET", "k", "v")
        asked = encode("REPLCONF", "GETACK", "*")
        assert replica.wire.read_exactly(len(written + asked)) == written + asked
        replica.acknowledge(offset + len(written))
        assert client.read_reply() == 1
        client.command("SET", "k", "w")
        client.command("MULTI")
        client.command("WAIT", 1, 0)
        assert client.command("EXEC") == [0]
        assert client.command("WAIT", 1, 50) == 0


@pytest.mark.parametrize("kind", [REAL, SUBJECT])
def test_replication_get_slave_name_is_what_the_log_calls_a_replica(run: Run, kind: str) -> None:
    """`replicationGetSlaveName`: `ip:port`, `ip:<unknown-replica-port>`, the announced address, `/unixsocket`."""
    primary = run(kind, repl_diskless_sync="no", unixsocket="s", **NO_PINGS)
    for number, words in enumerate(
        ((), ("listening-port", 7001), ("ip-address", "10.1.2.3", "listening-port", 7002)), 1
    ):
        with RawClient(primary.port) as client:
            if words:
                client.command("REPLCONF", *words)
            client.send(encode("PSYNC", "?", "-1"))
            says(primary, "asks for synchronization", number)
    with socket.socket(socket.AF_UNIX) as local:
        local.connect(str(primary.dir / "s"))
        local.sendall(encode("PSYNC", "?", "-1"))
        says(primary, "asks for synchronization", 4)
    names = [
        line.split("Replica ")[1].split(" asks")[0]
        for line in primary.log_text().splitlines()
        if "asks for synchronization" in line
    ]
    unknown = "<unknown-replica-port>"
    assert names == [f"127.0.0.1:{unknown}", "127.0.0.1:7001", "10.1.2.3:7002", f"/unixsocket:{unknown}"]


def test_replication_cron_pings_times_out_and_keeps_alive(run: Run) -> None:
    """`replicationCron`: PING into the stream, newlines to those who wait, the end of a silent replica."""
    primary = run(SUBJECT, repl_ping_replica_period=1, repl_timeout=2, repl_diskless_sync="no")
    with Replica(primary) as silent:
        silent.full()
        assert silent.wire.read_exactly(len(PING)) == PING
        silent.wire.read_to_end()
        says(primary, "Disconnecting timedout replica (streaming sync): 127.0.0.1:7777")
    primary.command("CONFIG", "SET", "repl-diskless-sync", "yes", "repl-diskless-sync-delay", "2")
    with Replica(primary, "eof") as waiting:
        waiting.wire.send(encode("PSYNC", "?", -1))
        assert waiting.wire.read_exactly(1) == b"\n"
        assert waiting.line().startswith(b"+FULLRESYNC ")


def test_replication_cron_reconnects_a_replica_and_ends_a_silent_link(run: Run, rdb: bytes) -> None:
    """`replicationCron`: a primary that says nothing for repl-timeout is left, and tried again."""
    subject = run(SUBJECT, repl_timeout=1)
    with FakePrimary(speak(rdb)) as primary:
        subject.command("REPLICAOF", "127.0.0.1", primary.port)
        says(subject, "MASTER timeout: no data nor PING received...")
        wait_until(lambda: len(primary.talks) > 1, WAIT_S, "it comes again")


def test_replication_script_cache_flush_is_needless_for_functions_travel_and_scripts_do_not(run: Run) -> None:
    """`replicationScriptCacheFlush`: what a script did is in the stream; a library goes whole."""
    primary, middle, end = run(REAL, **NO_PINGS), run(SUBJECT, **NO_PINGS), run(REAL, **NO_PINGS)
    attach(middle, primary)
    attach(end, middle)
    offset = primary.offset()
    primary.command("SCRIPT", "LOAD", "return redis.call('SET', 'by', 'script')")
    assert primary.offset() == offset
    primary.command("EVAL", "redis.call('SET', KEYS[1], ARGV[1]); return redis.call('INCR', 'n')", 1, "by", "script")
    library = "#!lua name=mylib\nredis.register_function('f', function(keys, args) return 1 end)"
    primary.command("FUNCTION", "LOAD", library)
    assert_equal(primary, middle, end)
    assert middle.command("MGET", "by", "n") == [b"script", b"1"]
    assert end.command("FUNCTION", "LIST", "LIBRARYNAME", "mylib", "WITHCODE") != []


# -- later than that design -------------------------------------------------------------------------------------------


def test_failover_command_hands_over_to_a_replica(run: Run) -> None:
    """`failoverCommand`, `updateFailoverStatus`: writes stand still until the replica has everything and takes over."""
    primary, replica = run(SUBJECT, **NO_PINGS), run(REAL, **NO_PINGS)
    attach(replica, primary)
    primary.command("SET", "k", "v")
    assert primary.command("FAILOVER", "TO", "127.0.0.1", replica.port, "TIMEOUT", 10_000) == "OK"
    wait_until(lambda: in_sync(replica, primary), WAIT_S, "they have changed places")
    assert replica.command("GET", "k") == b"v"
    assert (stat(replica, "sync_full"), stat(replica, "sync_partial_ok")) == (0, 1)
    assert replication(primary)["master_failover_state"] == "no-failover"


@pytest.mark.parametrize("mode", ["disabled", "on-empty-db", "swapdb"])
def test_use_diskless_load_receives_to_a_file_or_to_the_parser(run: Run, mode: str) -> None:
    """`useDisklessLoad`, `readSyncBulkPayload`: by repl-diskless-load, the same dataset in each way."""
    primary, subject = run(REAL, repl_diskless_sync="yes", **NO_PINGS), run(SUBJECT, repl_diskless_load=mode)
    primary.command("DEBUG", "POPULATE", 500)
    if mode == "swapdb":
        subject.command("SET", "old", "data")
    attach(subject, primary)
    assert_equal(primary, subject)
    target = "disk" if mode == "disabled" else "parser"
    assert f"receiving streamed RDB from master with EOF to {target}" in subject.log_text()
    assert ("Swapping active DB with loaded DB" in subject.log_text()) == (mode == "swapdb")
    assert subject.command("EXISTS", "old") == 0


def test_waitaof_command_waits_for_replicas_files(run: Run) -> None:
    """`waitaofCommand`, `replicationCountAOFAcksByOffset`: a FACK counts, an ACK does not."""
    require("valkey9")
    primary, replica = run(SUBJECT), run("valkey9", appendonly="yes")
    attach(replica, primary)
    with primary.connect() as client:
        client.command("SET", "k", "v")
        assert client.command("WAITAOF", 0, 1, 10_000) == [0, 1]


@pytest.mark.parametrize("value", ["yes", "no"])
def test_replica_announced_is_told_to_sentinels(run: Run, value: str) -> None:
    """`replica-announced`: shown in INFO as Redis shows it, so that a Sentinel lists the replica or not."""
    shown = []
    for kind in (REAL, SUBJECT):
        replica = run(kind, replica_announced=value)
        replica.command("REPLICAOF", "127.0.0.1", free_port())
        shown.append(replication(replica)["replica_announced"])
    assert shown == [str(int(value == "yes"))] * 2


@pytest.mark.parametrize("command", [("SYNC",), ("PSYNC", "?", "-1")], ids=["SYNC", "PSYNC"])
def test_replconf_rdb_only_gets_the_rdb_and_a_good_bye(run: Run, command: tuple[str, ...]) -> None:
    """`REPLCONF rdb-only 1` (`SLAVE_FLAG_RDB_ONLY`): the snapshot that Redis loads, no stream, then the end."""
    primary = run(SUBJECT, repl_diskless_sync="no", **NO_PINGS)
    primary.command("SET", "k", "v")
    with Replica(primary) as client:
        client.wire.command("REPLCONF", "rdb-only", 1)
        client.wire.send(encode(*command))
        if command[0] == "PSYNC":
            assert client.line().startswith(b"+FULLRESYNC ")
        snapshot = client.bulk()
        assert client.wire.read_to_end() == b""
    with FakePrimary(speak(snapshot)) as fake:
        reader = run(REAL)
        reader.command("REPLICAOF", "127.0.0.1", fake.port)
        wait_until(lambda: reader.command("GET", "k") == b"v", WAIT_S, "Redis reads it")
    says(primary, "RDB transfer completed, rdb only replica (127.0.0.1:7777) should be disconnected asap")


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_design_holds_a_chain_together_with_each_real_server(run: Run, kind: str) -> None:
    """All of it at once: full sync, stream, promotion and return, with each real server at both ends."""
    top, middle, end = run(kind, **NO_PINGS), run(SUBJECT, **NO_PINGS), run(kind, **NO_PINGS)
    top.command("SET", "k", "v")
    attach(middle, top)
    attach(end, middle)
    top.command("SET", "k", "w")
    assert_equal(top, middle, end)
    middle.command("REPLICAOF", "NO", "ONE")
    follow(top, middle)
    middle.command("SET", "k", "x")
    assert_equal(middle, top, end)
    assert stat(middle, "sync_full") == 1
