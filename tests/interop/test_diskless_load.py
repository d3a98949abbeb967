"""What each value of repl-diskless-load does while a full sync comes in, is loaded, and goes wrong.

A fake primary sends half of an RDB and holds the rest until the test has looked, so that nothing depends on time.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.conftest import Run
from tests.interop.fake_primary import OFFSET, REPLID, FakePrimary, Script, Talk, bulk, full_resync, speak
from tests.interop.servers import RealServer, ReplyError, txrepl, wait_until

KEYS = 400
BODY = b"".join(b"\x00\x05k%04d\x20" % number + b"v" * 32 for number in range(KEYS))
RDB = b"REDIS0009\xfe\x00" + BODY + b"\xff" + bytes(8)
"""An RDB of 400 short strings, without a checksum."""

BROKEN = b"REDIS0009\xfe\x00" + BODY + b"\x21nonsense" + bytes(40)
OLD = b"REDIS0009\xfe\x00\x00\x03old\x04data\xff" + bytes(8)
OTHER_REPLID = "cd" * 20
TIMEOUT_S = 10.0
LOADING = ReplyError("LOADING Redis is loading the dataset in memory")
MODES = ("disabled", "on-empty-db", "swapdb", "flush-before-load")


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    """One txrepl for all tests here; its slices of a load are short."""
    with txrepl(loading_process_events_interval_bytes=1024, enable_protected_configs="yes") as node:
        yield node
        assert "Traceback" not in node.log_text()


@pytest.fixture
def node(server: RealServer) -> Iterator[RealServer]:
    """The server as a primary with one key, its dump file removed; a primary again afterwards."""
    become_primary(server)
    server.command("CONFIG", "SET", "key-load-delay", 0, "repl-diskless-load", "disabled", "rdb-del-sync-files", "no")
    server.command("FLUSHALL")
    server.command("SET", "old", "data")
    (server.dir / "dump.rdb").unlink(missing_ok=True)
    yield server
    become_primary(server)


def become_primary(server: RealServer) -> None:
    """REPLICAOF NO ONE, once no load goes on."""
    wait_until(lambda: server.command("REPLICAOF", "NO", "ONE") == "OK", TIMEOUT_S, "it is a primary")


class Held:
    """A script that sends the first half of a bulk at once and the rest when `go` is set."""

    def __init__(self, rdb: bytes, replid: str = REPLID) -> None:
        self.go = threading.Event()
        self._data = bulk(rdb)
        self._replid = replid

    def __call__(self, talk: Talk) -> None:
        half = len(self._data) // 2
        talk.until("psync")
        talk.send(full_resync(self._replid, OFFSET + 100) + self._data[:half])
        self.go.wait(TIMEOUT_S)
        talk.send(self._data[half:])
        talk.until_closed()


def follow(node: RealServer, primary: FakePrimary, mode: str) -> None:
    """REPLICAOF, with this repl-diskless-load."""
    node.command("CONFIG", "SET", "repl-diskless-load", mode)
    node.command("REPLICAOF", "127.0.0.1", primary.port)


def follow_then_resync(node: RealServer, primary: FakePrimary, mode: str, script: Script) -> None:
    """Be in sync with `speak(OLD)`, and then meet the next script after a lost link."""
    follow(node, primary, mode)
    wait_until(lambda: is_up(node), TIMEOUT_S, "the first sync")
    primary.script = script
    primary.talks[-1].close()


def is_up(node: RealServer) -> bool:
    """Whether the stream flows."""
    return node.info("replication").get("master_link_status") == "up"


def receives(node: RealServer, count: int = 1) -> bool:
    """Whether part of a bulk has come."""
    return int(node.info("replication").get("master_sync_read_bytes", 0)) >= count


def standing(node: RealServer) -> tuple[str, str, str]:
    """Data and history."""
    told = node.info("replication")
    return node.digest(), told["master_replid"], told["master_repl_offset"]


def temporary_files(node: RealServer) -> list[Path]:
    """Files of transfers under way."""
    return list(node.dir.glob("temp-*.rdb"))


def refused(node: RealServer, *words: str | int) -> ReplyError | None:
    """The error that a command gets, None if none."""
    with node.connect() as client:
        reply = client.execute(*words)
    return reply if isinstance(reply, ReplyError) else None


def said(node: RealServer, since: int) -> list[str]:
    """The log's lines about full syncs from a place on, without numbers and ids."""
    lines = [line for line in node.log_text()[since:].splitlines() if "MASTER <-> REPLICA sync:" in line]
    return [re.sub(r"\d+ bytes", "N bytes", line.partition("MASTER <-> REPLICA sync: ")[2]) for line in lines]


# -- disabled -------------------------------------------------------------------------------------------------------


def test_disabled_receives_to_a_file_and_serves_the_old_data_meanwhile(node: RealServer) -> None:
    """The file is in `dir`, INFO tells how far it is, nothing is loaded; then the file becomes the dump file."""
    held = Held(RDB)
    with FakePrimary(held) as primary:
        follow(node, primary, "disabled")
        wait_until(lambda: receives(node, 1000), TIMEOUT_S, "half of the bulk")
        (path,) = temporary_files(node)
        assert re.fullmatch(rf"temp-\d+\.{node.pid}\.rdb", path.name)
        told = node.info("everything")
        total, read = int(told["master_sync_total_bytes"]), int(told["master_sync_read_bytes"])
        assert (total, told["master_sync_in_progress"], told["loading"]) == (len(RDB), "1", "0")
        assert int(told["master_sync_left_bytes"]) == total - read
        assert told["master_sync_perc"] == f"{100 * read / total:.2f}"
        assert node.command("GET", "old") == b"data"
        held.go.set()
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert node.command("DBSIZE") == KEYS
        assert temporary_files(node) == []
        assert (node.dir / "dump.rdb").read_bytes() == RDB


def test_a_transfer_that_is_given_up_leaves_no_file_and_the_old_data(node: RealServer) -> None:
    """REPLICAOF NO ONE half-way through: data and offset are as they were."""
    digest, replid, offset = standing(node)
    with FakePrimary(Held(RDB)) as primary:
        follow(node, primary, "disabled")
        wait_until(lambda: receives(node), TIMEOUT_S, "a part of the bulk")
        node.command("REPLICAOF", "NO", "ONE")
        assert temporary_files(node) == []
        told = node.info("replication")
        assert standing(node)[::2] == (digest, offset)
        assert told["master_replid2"] == replid
        assert not (node.dir / "dump.rdb").exists()


def test_disabled_loads_the_file_in_slices_during_which_clients_are_told_so(node: RealServer) -> None:
    """loading:1 and -LOADING, also for REPLICAOF and CONFIG SET repl-diskless-load; key-load-delay holds the load."""
    node.command("CONFIG", "SET", "key-load-delay", 10_000)
    with FakePrimary(speak(RDB)) as primary:
        follow(node, primary, "disabled")
        told = wait_until(lambda: (i := node.info("everything"))["loading"] == "1" and i, TIMEOUT_S, "it loads")
        assert told["async_loading"] == "0"
        assert told["loading_total_bytes"] == str(len(RDB))
        assert refused(node, "GET", "old") == LOADING
        assert refused(node, "REPLICAOF", "NO", "ONE") == LOADING
        assert refused(node, "CONFIG", "SET", "repl-diskless-load", "swapdb") == LOADING
        assert refused(node, "CONFIG", "SET", "key-load-delay", 0) is None
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert node.command("DBSIZE") == KEYS


def test_rdb_del_sync_files_removes_the_file_where_nothing_is_to_persist(node: RealServer) -> None:
    """With no save points there is no dump file after the sync."""
    node.command("CONFIG", "SET", "rdb-del-sync-files", "yes")
    with FakePrimary(speak(RDB)) as primary:
        follow(node, primary, "disabled")
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert not (node.dir / "dump.rdb").exists()
        assert temporary_files(node) == []
        assert "Removing the RDB file obtained from the master" in node.log_text()


def test_a_directory_that_takes_no_file_is_named_in_the_log(node: RealServer) -> None:
    """The sync fails with the reason, changes nothing, and succeeds once the directory is back."""
    gone = node.dir / "gone"
    gone.mkdir()
    node.command("CONFIG", "SET", "dir", str(gone))
    gone.rmdir()
    before, since = standing(node), len(node.log_text())
    with FakePrimary(speak(RDB)) as primary:
        follow(node, primary, "disabled")
        line = "Opening the temp file needed for MASTER <-> REPLICA synchronization: No such file or directory"
        wait_until(lambda: line in node.log_text()[since:], TIMEOUT_S, "the log names the reason")
        assert standing(node) == before
        node.command("CONFIG", "SET", "dir", str(node.dir))
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")


def test_a_restart_goes_on_from_the_file_of_the_full_sync(run: Run) -> None:
    """The received file names the primary's history, so a killed replica comes back with a partial resync."""
    primary, replica = run("redis70"), run("txrepl")
    primary.command("SET", "a", 1)
    replica.command("REPLICAOF", "127.0.0.1", primary.port)
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up")
    replica.kill()
    primary.command("SET", "b", 2)
    replica.directives["replicaof"] = ("127.0.0.1", primary.port)
    replica.start()
    wait_until(lambda: is_up(replica), TIMEOUT_S, "the link is up again")
    assert replica.command("MGET", "a", "b") == [b"1", b"2"]
    assert (primary.info("stats")["sync_full"], primary.info("stats")["sync_partial_ok"]) == ("1", "1")


# -- swapdb ---------------------------------------------------------------------------------------------------------


def test_swapdb_serves_the_old_data_of_the_same_history_until_the_new_is_complete(node: RealServer, run: Run) -> None:
    """async_loading:1, reads go on, REPLICAOF is refused, and a replica of ours stays until the new data is there."""
    below, held = run("redis70", replicaof=("127.0.0.1", node.port)), Held(RDB)
    with FakePrimary(speak(OLD)) as primary:
        follow(node, primary, "swapdb")
        wait_until(lambda: is_up(node) and is_up(below), TIMEOUT_S, "both links are up")
        primary.script = held
        primary.talks[-1].close()
        wait_until(lambda: receives(node), TIMEOUT_S, "a part of the bulk")
        told = node.info("everything")
        assert (told["async_loading"], told["loading"]) == ("1", "0")
        assert node.command("GET", "old") == b"data"
        assert refused(node, "REPLICAOF", "NO", "ONE") == LOADING
        assert refused(node, "CONFIG", "SET", "repl-diskless-load", "disabled") == LOADING
        assert told["connected_slaves"] == "1"
        assert is_up(below)
        assert temporary_files(node) == []
        held.go.set()
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up again")
        assert node.command("DBSIZE") == KEYS
        wait_until(lambda: is_up(below) and below.command("DBSIZE") == KEYS, TIMEOUT_S, "the replica below follows")


def test_swapdb_does_not_serve_data_of_another_history(node: RealServer) -> None:
    """As in Redis 7.0, where the old data is no earlier state of the new."""
    held = Held(RDB, OTHER_REPLID)
    with FakePrimary(speak(OLD)) as primary:
        follow_then_resync(node, primary, "swapdb", held)
        wait_until(lambda: receives(node), TIMEOUT_S, "a part of the bulk")
        assert node.info("persistence")["loading"] == "1"
        assert refused(node, "GET", "old") == LOADING
        held.go.set()
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up again")


# -- on-empty-db and flush-before-load ------------------------------------------------------------------------------


@pytest.mark.parametrize(("keys", "target"), [(0, "parser"), (1, "disk")])
def test_on_empty_db_parses_at_once_only_where_there_is_no_key(node: RealServer, keys: int, target: str) -> None:
    """One key, and the bulk goes to a file first."""
    if not keys:
        node.command("FLUSHALL")
    since, held = len(node.log_text()), Held(RDB)
    with FakePrimary(held) as primary:
        follow(node, primary, "on-empty-db")
        wait_until(lambda: receives(node), TIMEOUT_S, "a part of the bulk")
        assert said(node, since)[0] == f"receiving N bytes from master to {target}"
        assert bool(temporary_files(node)) == (target == "disk")
        assert node.info("persistence")["loading"] == ("1" if target == "parser" else "0")
        held.go.set()
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert node.command("DBSIZE") == KEYS


def test_flush_before_load_drops_the_old_data_first(node: RealServer) -> None:
    """For want of memory for both: while the new data comes the old is gone, and stays gone if it breaks off."""
    with FakePrimary(Held(RDB)) as primary:
        follow(node, primary, "flush-before-load")
        wait_until(lambda: receives(node), TIMEOUT_S, "a part of the bulk")
        assert node.info("keyspace") == {}
        primary.script = speak(OLD)
        primary.talks[-1].close()
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert node.command("KEYS", "*") == [b"old"]


# -- what goes wrong, and what is said ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_failed_load_leaves_data_and_history_as_they_were(node: RealServer, mode: str) -> None:
    """An RDB broken near its end; the next one is loaded. Only flush-before-load has lost the old data."""
    if mode == "on-empty-db":
        node.command("FLUSHALL")
    before, since = standing(node), len(node.log_text())
    with FakePrimary(speak(BROKEN)) as primary:
        follow(node, primary, mode)
        source = "disk" if mode == "disabled" else "socket"
        line = f"Failed trying to load the MASTER synchronization DB from {source}"
        wait_until(lambda: line in node.log_text()[since:], TIMEOUT_S, "the load fails")
        wait_until(lambda: node.info("persistence")["loading"] == "0", TIMEOUT_S, "nothing is being loaded")
        if mode == "flush-before-load":
            assert node.command("DBSIZE") == 0
        else:
            assert standing(node) == before
        assert temporary_files(node) == []
        assert not (node.dir / "dump.rdb").exists()
        primary.script = speak(RDB)
        wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
        assert node.command("DBSIZE") == KEYS


def test_a_parsed_rdb_that_another_mark_follows_is_not_loaded(node: RealServer) -> None:
    """Where the RDB is read as it comes, the 40 bytes behind it must be those announced before it."""

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + b"$EOF:" + b"0123456789" * 4 + b"\r\n" + RDB + b"x" * 40)
        talk.until_closed()

    before, since = standing(node), len(node.log_text())
    with FakePrimary(script) as primary:
        follow(node, primary, "swapdb")
        line = "the RDB is not followed by the announced end mark"
        wait_until(lambda: line in node.log_text()[since:], TIMEOUT_S, "the log tells")
        assert standing(node) == before


@pytest.mark.parametrize("mode", MODES[:3])
@pytest.mark.parametrize("diskless", ["yes", "no"])
def test_the_log_tells_of_a_full_sync_as_redis_does(run: Run, mode: str, diskless: str) -> None:
    """The same lines in the same order as Redis 7.0, for each mode and both kinds of transfer."""
    primary = run("redis70", repl_diskless_sync=diskless)
    replicas = [
        run(kind, repl_diskless_load=mode, replicaof=("127.0.0.1", primary.port)) for kind in ("redis70", "txrepl")
    ]
    for replica in replicas:
        wait_until(lambda replica=replica: is_up(replica), TIMEOUT_S, "the link is up")
    real, ours = (said(replica, 0) for replica in replicas)
    assert [line for line in ours if line != "Master accepted a Partial Resynchronization."] == real
