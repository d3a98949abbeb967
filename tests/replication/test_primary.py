"""The primary's side with connections and snapshots that only note what is asked of them."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from txrepl.replication.feed import PING, Feed
from txrepl.replication.history import History
from txrepl.replication.primary import FAILED, Primary
from txrepl.replication.replica import Replica, ReplicaOutlet
from txrepl.replication.settings import Settings
from txrepl.replication.snapshot_kind import Reads, SnapshotKind
from txrepl.replication.states import Capability, ReplicaState
from txrepl.resp.requests import encode_command

BOTH = Capability.EOF | Capability.PSYNC2
SET = encode_command([b"SET", b"k", b"v"])
RAISED = OSError(12, "Cannot allocate memory")


class Connection(ReplicaOutlet):
    """A replica's connection: keeps what was written, in order with what else was asked for."""

    def __init__(self) -> None:
        self.written = b""
        self.streams_from: int | None = None
        self.files: list[tuple[str, int]] = []
        self.closed: str = ""

    def write(self, data: bytes) -> None:
        """Bytes beside the stream."""
        self.written += data

    def stream_from(self, offset: int) -> None:
        """The stream begins."""
        assert self.streams_from is None
        self.streams_from = offset

    def send_file(self, path: str, size_bytes: int) -> None:
        """A snapshot file."""
        self.files.append((path, size_bytes))

    def close(self, *, flush: bool) -> None:
        """Closed, after pending output or at once."""
        self.closed = self.closed or ("flushed" if flush else "aborted")


class Children:
    """Snapshots that are started, and end when a test says so."""

    def __init__(self) -> None:
        self.busy = False
        self.to_sockets = False
        self.started: list[tuple[bool, list[int]]] = []
        self.killed = 0
        self.error: OSError | None = None

    def objection(self, kind: SnapshotKind) -> str:
        """Everyone can read everything here."""
        return ""

    def suited(self, kind: SnapshotKind) -> SnapshotKind:
        """One snapshot suits all readers here."""
        return replace(kind, reads=Reads.PORTABLE)

    def start_for_replicas(self, *, to_sockets: bool, replicas: list[Replica], kind: SnapshotKind) -> None:
        """Fork."""
        if self.error is not None:
            raise self.error
        self.busy = True
        self.to_sockets = to_sockets
        self.started.append((to_sockets, [replica.number for replica in replicas]))

    def kill(self) -> None:
        """End the child."""
        self.killed += 1


class Bench:
    """A primary on a clock."""

    def __init__(self) -> None:
        ids = itertools.count(1)
        self.now_ms = 1_000_000
        self.lines: list[str] = []
        self.settings = Settings()
        self.settings.diskless_delay_s = 0
        self.feed = Feed(History(lambda: f"{next(ids):040x}"))
        self.primary = Primary(self.feed, self.settings, lambda _, text: self.lines.append(text), lambda: self.now_ms)
        self.children = Children()
        self.primary.snapshots = self.children
        self._numbers = itertools.count(1)

    def replica(self, capabilities: Capability = BOTH, *, rdb_only: bool = False) -> tuple[Replica, Connection]:
        """A replica has connected and introduced itself."""
        replica = Replica(next(self._numbers), "10.0.0.2")
        replica.port = 6379 + replica.number
        replica.capabilities = capabilities
        replica.rdb_only = rdb_only
        connection = Connection()
        replica.outlet = connection
        return replica, connection

    def ask(
        self, replid: str = "?", offset: int = -1, capabilities: Capability = BOTH, *, rdb_only: bool = False
    ) -> tuple[Replica, Connection]:
        """A replica comes and asks for synchronization."""
        replica, connection = self.replica(capabilities, rdb_only=rdb_only)
        self.primary.psync(replica, replid, offset)
        return replica, connection

    def online(self) -> tuple[Replica, Connection]:
        """A replica that came by a diskless full sync and acknowledged it."""
        replica, connection = self.ask()
        self.streamed(replica)
        self.primary.acknowledged(replica, replica.start_offset)
        return replica, connection

    def streamed(self, *replicas: Replica) -> None:
        """The diskless snapshot under way is done."""
        for replica in replicas:
            self.primary.snapshot_streamed(replica)
        self.ended()

    def saved(self) -> None:
        """The disk snapshot under way is done."""
        self.primary.snapshot_saved("temp.rdb", 123)
        self.ended()

    def ended(self) -> None:
        """The child has exited."""
        self.children.busy = self.children.to_sockets = False
        self.primary.snapshot_ended()

    def write(self, count: int = 1) -> None:
        """Commands are executed."""
        for _ in range(count):
            self.feed.write(0, SET)
        self.feed.flush()

    def grow(self, size_bytes: int) -> None:
        """The stream grows by that much."""
        self.feed.raw(b"x" * size_bytes)
        self.feed.flush()

    def wait(self, seconds: int) -> None:
        """Time passes, tick by tick."""
        for _ in range(seconds):
            self.now_ms += 1000
            self.primary.tick()

    def said(self, text: str) -> int:
        """In how many lines a text was logged."""
        return sum(text in line for line in self.lines)

    def fullresync(self, offset: int) -> bytes:
        """The promise of a full sync."""
        return f"+FULLRESYNC {self.feed.history.replid} {offset}\r\n".encode()


@pytest.fixture
def bench() -> Bench:
    """A primary whose diskless snapshots start without delay."""
    return Bench()


# -- full syncs -----------------------------------------------------------------------------------------------------


def test_a_diskless_full_sync_begins_to_stream_with_the_first_ack(bench: Bench) -> None:
    """Nothing is sent after the marker before it; then the stream goes on where the snapshot stands."""
    replica, connection = bench.ask()
    assert connection.written == bench.fullresync(0)
    assert bench.children.started == [(True, [1])]
    assert replica.state is ReplicaState.WAIT_BGSAVE_END
    bench.write(3)
    bench.streamed(replica)
    assert replica.is_online and not replica.is_live
    assert connection.streams_from is None
    bench.primary.acknowledged(replica, 0)
    assert connection.streams_from == 1 and replica.is_live
    bench.primary.acknowledged(replica, 5)
    assert bench.said("Synchronization with replica 10.0.0.2:6380 succeeded") == 1


def test_a_full_sync_from_disk_streams_when_the_file_is_sent(bench: Bench) -> None:
    """Through wait, bulk and online; no ack is needed."""
    bench.settings.diskless = False
    replica, connection = bench.ask()
    assert bench.children.started == [(False, [1])]
    bench.write()
    bench.saved()
    assert replica.state is ReplicaState.SEND_BULK
    assert connection.files == [("temp.rdb", 123)] and connection.streams_from is None
    bench.primary.file_sent(replica)
    assert replica.is_live and connection.streams_from == 1


def test_the_first_replica_begins_the_backlog_under_a_new_id(bench: Bench) -> None:
    """What was before it was not counted, so that no one may go on from it."""
    before = bench.feed.history.replid
    bench.ask()
    assert bench.feed.backlog is not None and bench.feed.backlog.size == bench.settings.backlog_bytes
    assert bench.feed.history.replid != before
    assert bench.said("Replication backlog created, my new replication IDs are") == 1
    bench.ask()
    assert bench.said("Replication backlog created") == 1


def test_all_who_wait_share_one_snapshot(bench: Bench) -> None:
    """Those who come during a diskless one wait for the next, together."""
    first, _ = bench.ask()
    connections = [bench.ask()[1] for _ in range(3)]
    assert [connection.written for connection in connections] == [b""] * 3
    assert bench.said("Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC") == 3
    bench.write()
    offset = bench.feed.history.offset
    bench.streamed(first)
    assert bench.children.started == [(True, [1]), (True, [2, 3, 4])]
    assert [connection.written for connection in connections] == [bench.fullresync(offset)] * 3


def test_a_replica_joins_a_disk_snapshot_that_others_wait_for(bench: Bench) -> None:
    """It gets the offset that the snapshot has, however far the stream has gone, and the stream from there."""
    bench.settings.diskless = False
    bench.feed.open_backlog(10**6)
    bench.write()
    offset = bench.feed.history.offset
    _, _ = bench.ask()
    bench.write(5)
    second, connection = bench.ask()
    assert connection.written == bench.fullresync(offset)
    assert second.state is ReplicaState.WAIT_BGSAVE_END
    assert bench.said("Waiting for end of BGSAVE for SYNC") == 1
    assert len(bench.children.started) == 1
    bench.saved()
    bench.primary.file_sent(second)
    assert connection.files == [("temp.rdb", 123)] and connection.streams_from == offset + 1


def test_a_replica_that_knows_less_does_not_join_the_snapshot_of_one_that_knows_more(bench: Bench) -> None:
    """A full sync serves the least capable of its group, and the group is made already."""
    bench.settings.diskless = False
    bench.ask()
    second, connection = bench.ask(capabilities=Capability.NONE)
    assert second.state is ReplicaState.WAIT_BGSAVE_START and connection.written == b""
    assert bench.said("Can't attach the replica to the current BGSAVE") == 1
    third, _ = bench.ask(capabilities=BOTH)
    assert third.state is ReplicaState.WAIT_BGSAVE_END
    bench.saved()
    assert bench.children.started == [(False, [1]), (False, [2])]


def test_a_snapshot_of_our_own_is_not_shared(bench: Bench) -> None:
    """BGSAVE is under way, and no replica waits for it."""
    bench.settings.diskless = False
    bench.children.busy = True
    replica, connection = bench.ask()
    assert replica.state is ReplicaState.WAIT_BGSAVE_START and connection.written == b""
    bench.ended()
    assert bench.children.started == [(False, [1])]


def test_one_replica_without_the_marker_sends_its_group_to_disk(bench: Bench) -> None:
    """It would not understand `$EOF:`."""
    bench.children.busy = True
    bench.ask()
    bench.ask(capabilities=Capability.PSYNC2)
    bench.ended()
    assert bench.children.started == [(False, [1, 2])]
    assert bench.said("Starting BGSAVE for SYNC with target: disk") == 1


def test_the_old_sync_gets_the_bulk_without_a_promise(bench: Bench) -> None:
    """No `+FULLRESYNC`, and from disk."""
    replica, connection = bench.replica(Capability.NONE)
    bench.primary.sync(replica)
    assert connection.written == b"" and bench.children.started == [(False, [1])]
    bench.saved()
    bench.primary.file_sent(replica)
    assert connection.streams_from == 1
    bench.wait(200)
    assert not connection.closed, "one that came by SYNC never acknowledges"


@pytest.mark.parametrize("diskless", [True, False])
def test_an_rdb_only_replica_gets_no_stream(bench: Bench, diskless: bool) -> None:
    """`redis-cli --rdb`."""
    bench.settings.diskless = diskless
    replica, connection = bench.ask(rdb_only=True)
    if diskless:
        bench.streamed(replica)
    else:
        bench.saved()
        bench.primary.file_sent(replica)
    assert connection.closed == "flushed" and connection.streams_from is None
    assert bench.said("RDB transfer completed, rdb only replica (10.0.0.2:6380) should be disconnected asap") == 1


def test_the_backlog_keeps_what_a_replica_in_full_sync_will_need(bench: Bench) -> None:
    """However small it is, until the replica is gone."""
    bench.settings.backlog_bytes = 16384
    replica, _ = bench.ask()
    backlog = bench.feed.backlog
    assert backlog is not None
    for _ in range(50):
        bench.grow(10_000)
    assert backlog.covers(replica.start_offset + 1)
    bench.primary.detach(replica)
    assert backlog.length < 100_000


def test_a_full_sync_makes_the_next_write_select_its_database(bench: Bench) -> None:
    """The new replica has none selected; going on partially forgets nothing."""
    bench.online()
    bench.write()
    assert bench.feed.selected_db == 0
    bench.ask(bench.feed.history.replid, bench.feed.history.offset + 1)
    assert bench.feed.selected_db == 0
    bench.ask()
    assert bench.feed.selected_db == -1


# -- snapshots that fail --------------------------------------------------------------------------------------------


def test_a_snapshot_that_cannot_be_started_is_told_to_all_who_waited(bench: Bench) -> None:
    """They are closed after the error, and nothing is kept of them."""
    bench.children.error = RAISED
    _, connection = bench.ask()
    assert connection.written.endswith(FAILED) and connection.closed == "flushed"
    assert bench.primary.replicas == {}
    assert bench.said("BGSAVE for replication failed: Cannot allocate memory") == 1


def test_a_snapshot_that_fails_is_told_to_those_it_was_promised_to_only(bench: Bench) -> None:
    """Those who came meanwhile get the next."""
    bench.settings.diskless = False
    _, first = bench.ask()
    _, other = bench.ask(capabilities=Capability.NONE)
    bench.primary.snapshot_failed()
    bench.ended()
    assert first.written.endswith(FAILED) and first.closed == "flushed"
    assert not other.closed and other.written == bench.fullresync(0)
    assert list(bench.primary.replicas) == [2]


def test_the_last_replicas_leaving_kills_a_diskless_child(bench: Bench) -> None:
    """Not while another still waits for it."""
    first, second = (bench.replica()[0] for _ in range(2))
    bench.children.busy = True
    for replica in (first, second):
        bench.primary.psync(replica, "?", -1)
    bench.ended()
    bench.primary.detach(first)
    assert bench.children.killed == 0
    bench.primary.detach(second)
    assert bench.children.killed == 1
    assert bench.said("Diskless rdb transfer, last replica dropped, killing fork child.") == 1


def test_the_last_replicas_leaving_does_not_kill_a_child_that_writes_to_disk(bench: Bench) -> None:
    """Nor one that is not for replicas."""
    bench.settings.diskless = False
    replica, _ = bench.ask()
    bench.primary.detach(replica)
    assert bench.children.killed == 0
    bench.primary.detach(replica)
    assert bench.said("Connection with replica 10.0.0.2:6380 lost.") == 1


# -- the delay of diskless snapshots --------------------------------------------------------------------------------


def test_no_snapshot_is_started_for_a_replica_that_is_being_dropped(bench: Bench) -> None:
    """Its connection is gone a turn later: until then the child of another snapshot may end."""
    bench.children.busy = True
    bench.children.to_sockets = True
    bench.ask()
    bench.primary.drop_all()
    bench.feed.close_backlog()
    bench.children.busy = False
    bench.primary.snapshot_ended()
    assert bench.children.started == []


def test_a_diskless_snapshot_waits_for_more_replicas(bench: Bench) -> None:
    """From the first that came on; all who came within the delay share it."""
    bench.settings.diskless_delay_s = 5
    _, first = bench.ask()
    assert bench.said("Delay next BGSAVE for diskless SYNC") == 1
    bench.wait(4)
    _, second = bench.ask()
    assert bench.children.started == []
    assert first.written == b"\n" * 4, "a sign of life each second"
    bench.wait(1)
    assert bench.children.started == [(True, [1, 2])]
    assert second.written.endswith(bench.fullresync(bench.feed.history.offset))


def test_enough_replicas_end_the_delay(bench: Bench) -> None:
    """`repl-diskless-sync-max-replicas`."""
    bench.settings.diskless_delay_s = 100
    bench.settings.diskless_max_replicas = 2
    bench.ask()
    bench.primary.start_if_due()
    assert bench.children.started == []
    bench.ask()
    bench.primary.start_if_due()
    assert bench.children.started == [(True, [1, 2])]


def test_a_snapshot_to_disk_is_not_delayed(bench: Bench) -> None:
    """Nor one that one of the group needs on disk."""
    bench.settings.diskless_delay_s = 100
    bench.ask(capabilities=Capability.NONE)
    assert bench.children.started == [(False, [1])]


# -- partial syncs --------------------------------------------------------------------------------------------------


def test_a_partial_sync_goes_on_from_the_offset_asked_for(bench: Bench) -> None:
    """The id is told to who understands it; lines and counters say what was done."""
    bench.online()
    bench.write(4)
    history = bench.feed.history
    replica, connection = bench.ask(history.replid, 5)
    assert connection.written == f"+CONTINUE {history.replid}\r\n".encode()
    assert connection.streams_from == 5 and replica.is_live
    assert bench.said(f"Sending {history.offset - 4} bytes of backlog starting from offset 5.") == 1
    _, old = bench.ask(history.replid, history.offset + 1, Capability.EOF)
    assert old.written == b"+CONTINUE\r\n" and old.streams_from == history.offset + 1
    primary = bench.primary
    assert (primary.full_syncs, primary.partial_ok, primary.partial_err) == (1, 2, 0)


def test_a_refused_partial_sync_is_a_full_one_and_counted(bench: Bench) -> None:
    """One that asked for everything is no refusal."""
    bench.online()
    _, connection = bench.ask("f" * 40, 1)
    assert connection.written == bench.fullresync(0)
    primary = bench.primary
    assert (primary.full_syncs, primary.partial_ok, primary.partial_err) == (2, 0, 1)
    assert bench.said("Replication ID mismatch") == 1


def test_writes_that_are_pending_count_before_a_partial_sync_is_decided(bench: Bench) -> None:
    """A replica that asks within a batch of commands."""
    bench.online()
    bench.feed.write(0, SET)
    offset = bench.feed.history.offset
    _, connection = bench.ask(bench.feed.history.replid, offset + 1)
    assert connection.streams_from == offset + 1


# -- timeouts and limits --------------------------------------------------------------------------------------------


def test_a_replica_that_acknowledges_nothing_for_repl_timeout_is_dropped(bench: Bench) -> None:
    """Each acknowledgement begins the time anew."""
    replica, connection = bench.online()
    bench.wait(60)
    bench.primary.acknowledged(replica, 3)
    bench.wait(60)
    assert not connection.closed
    bench.wait(1)
    assert connection.closed == "aborted"
    assert bench.said("Disconnecting timedout replica (streaming sync): 10.0.0.2:6380") == 1


def test_a_replica_that_takes_nothing_of_a_diskless_snapshot_is_dropped(bench: Bench) -> None:
    """All others of the transfer wait for it; one that takes it slowly stays."""
    (held, stuck), (_, slow) = bench.ask(), bench.ask()
    held.held_since_ms = bench.now_ms
    bench.wait(60)
    assert not stuck.closed
    bench.wait(1)
    assert (stuck.closed, slow.closed) == ("aborted", "")
    assert bench.said("Disconnecting timedout replica (full sync)") == 1


def test_who_waits_for_a_snapshot_gets_a_newline_each_second(bench: Bench) -> None:
    """Before the promise, and while it is written to disk; nothing into a diskless bulk or a stream."""
    _, live = bench.online()
    bench.settings.diskless = False
    _, on_disk = bench.ask()
    _, waiting = bench.ask(capabilities=Capability.NONE)
    written = live.written
    promised = on_disk.written
    bench.wait(2)
    assert (live.written, on_disk.written, waiting.written) == (written, promised + b"\n\n", b"\n\n")
    bench.children.to_sockets = True
    bench.wait(1)
    assert (on_disk.written, waiting.written) == (promised + b"\n\n", b"\n\n\n")


def test_output_limits_are_never_lower_than_the_backlog(bench: Bench) -> None:
    """A replica that could still go on partially is not worth dropping."""
    bench.settings.output_hard_bytes = 1000
    bench.settings.backlog_bytes = 50_000
    replica, connection = bench.online()
    bench.grow(50_000)
    assert not bench.primary.output_exceeded(replica, bench.now_ms)
    bench.grow(1)
    assert bench.primary.output_exceeded(replica, bench.now_ms)
    assert connection.closed == "aborted"
    assert bench.said("omem=50001 scheduled to be closed ASAP for overcoming of output buffer limits.") == 1


def test_the_hard_limit_counts_what_is_not_sent(bench: Bench) -> None:
    """What the connection has taken is not buffered."""
    bench.settings.output_hard_bytes = 100_000
    bench.settings.backlog_bytes = 1000
    replica, _ = bench.online()
    bench.grow(200_000)
    replica.sent_offset = 100_000
    assert not bench.primary.output_exceeded(replica, bench.now_ms)
    replica.sent_offset = 99_999
    assert bench.primary.output_exceeded(replica, bench.now_ms)


def test_the_soft_limit_may_be_passed_for_its_seconds_only(bench: Bench) -> None:
    """Falling below it begins the time anew."""
    settings = bench.settings
    settings.output_hard_bytes, settings.output_soft_bytes, settings.output_soft_s = 0, 10_000, 5
    settings.backlog_bytes = 1
    replica, connection = bench.online()
    bench.grow(20_000)
    bench.wait(5)
    replica.sent_offset = bench.feed.history.offset
    bench.wait(1)
    bench.grow(20_000)
    bench.wait(6)
    assert not connection.closed
    bench.wait(1)
    assert connection.closed == "aborted"


def test_limits_bind_during_the_full_sync_too_and_not_before(bench: Bench) -> None:
    """From the snapshot's offset on the stream is kept for it."""
    bench.settings.output_hard_bytes = bench.settings.backlog_bytes = 1000
    bench.online()
    bench.children.busy = bench.children.to_sockets = True
    replica, _ = bench.ask()
    bench.grow(2000)
    assert not bench.primary.output_exceeded(replica, bench.now_ms)
    bench.ended()
    assert replica.state is ReplicaState.WAIT_BGSAVE_END
    bench.grow(1000)
    assert not bench.primary.output_exceeded(replica, bench.now_ms)
    bench.grow(1)
    assert bench.primary.output_exceeded(replica, bench.now_ms)


# -- time -----------------------------------------------------------------------------------------------------------


def test_a_ping_goes_into_the_stream_every_ping_period(bench: Bench) -> None:
    """Only where there are replicas, and never where the stream is another primary's."""
    bench.feed.open_backlog(10**6)
    bench.wait(30)
    assert bench.feed.history.offset == 0
    bench.online()
    bench.wait(1)
    assert bench.feed.history.offset == len(PING)
    bench.wait(9)
    assert bench.feed.history.offset == len(PING)
    bench.wait(1)
    assert bench.feed.history.offset == 2 * len(PING)
    bench.primary.follows = True
    bench.wait(30)
    assert bench.feed.history.offset == 2 * len(PING)


def test_a_backlog_without_replicas_is_freed_after_its_ttl_and_the_id_changes(bench: Bench) -> None:
    """What is written then is in no backlog, so that nobody may go on from the id."""
    bench.settings.backlog_ttl_s = 100
    replica, _ = bench.online()
    replid = bench.feed.history.replid
    bench.primary.detach(replica)
    bench.wait(100)
    assert bench.feed.backlog is not None
    bench.wait(1)
    assert bench.feed.backlog is None and bench.feed.history.replid != replid
    assert bench.said("Replication backlog freed after 100 seconds without connected replicas.") == 1


@pytest.mark.parametrize("reason", ["a replica", "a primary", "no ttl"])
def test_a_backlog_is_kept_for_a_replica_on_a_replica_and_with_a_ttl_of_0(bench: Bench, reason: str) -> None:
    """The time counts from the last replica's leaving."""
    bench.settings.backlog_ttl_s = 0 if reason == "no ttl" else 100
    replica, _ = bench.online()
    bench.primary.detach(replica)
    bench.wait(99)
    if reason == "a replica":
        bench.online()
    bench.primary.follows = reason == "a primary"
    bench.wait(100)
    assert bench.feed.backlog is not None


# -- who acknowledged -----------------------------------------------------------------------------------------------


def test_wait_counts_replicas_online_that_acknowledged_the_offset(bench: Bench) -> None:
    """An acknowledgement never takes an earlier one back."""
    (first, _), (second, _) = bench.online(), bench.online()
    bench.primary.acknowledged(first, 100)
    bench.primary.acknowledged(second, 50)
    counts = [bench.primary.acknowledging(offset) for offset in (50, 51, 100, 101)]
    assert counts == [2, 1, 1, 0]
    bench.primary.acknowledged(first, 60)
    assert bench.primary.acknowledging(100) == 1
    bench.primary.detach(first)
    assert bench.primary.acknowledging(50) == 1


def test_wait_does_not_count_a_replica_in_full_sync(bench: Bench) -> None:
    """Whatever it says."""
    replica, _ = bench.ask()
    bench.primary.acknowledged(replica, 100)
    assert bench.primary.acknowledging(1) == 0


def test_good_replicas_are_online_and_acknowledged_lately(bench: Bench) -> None:
    """`min-replicas-max-lag` seconds at most."""
    bench.settings.min_replicas_max_lag_s = 10
    replica, _ = bench.online()
    bench.online()
    bench.ask()
    assert bench.primary.good_replicas() == 2
    bench.now_ms += 10_000
    assert bench.primary.good_replicas() == 2
    bench.primary.acknowledged(replica, 1)
    bench.now_ms += 1
    assert bench.primary.good_replicas() == 1


def test_dropping_all_replicas_closes_each_at_once(bench: Bench) -> None:
    """In whatever state; they come back and learn the new history."""
    connections = [bench.online()[1], bench.ask()[1], bench.ask()[1]]
    bench.primary.drop_all()
    assert [connection.closed for connection in connections] == ["aborted"] * 3
