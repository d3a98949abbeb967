"""A node with guard rails, a clock of its own and no IO: the delay, its stop, the guard against empty primaries."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.admin.support import FakeHost, NoTimer
from tests.replication.test_delay import REPLID, TRANSACTION, A, B, C, command
from txrepl.config import Config
from txrepl.directives import follow_directives
from txrepl.errors import ReplicationError
from txrepl.node import Node
from txrepl.persistence.snapshot import Loader
from txrepl.replication.delay import SLICE_MS
from txrepl.replication.handshake import Outcome, Resync


class Host(FakeHost):
    """Notes acknowledgements and timers."""

    def __init__(self) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self.soon: list[Callable[[], None]] = []

    def later(self, delay_ms: int, action: Callable[[], None]) -> NoTimer:
        self.soon.append(action)
        return NoTimer()

    def acknowledge(self, offset: int) -> None:
        self.acknowledged.append(offset)

    def cut_primary(self) -> None:
        self.asked.append("cut")


class World:
    """A replica that has just had a full sync, and the time.

    Parameters:
        step_ms: how far the clock goes on each time that it is looked at.
    """

    def __init__(self, **directives: Any) -> None:
        self.now_ms = 1_700_000_000_000
        self.step_ms = 0
        self.lines: list[str] = []
        self.host = Host()
        self.node = Node(Config(), self.now, random.Random(1), lambda: "e" * 40, self.log)
        self.node.host = self.host  # type: ignore[assignment]
        follow_directives(self.node)
        self.set(**directives)
        self.node.replicate_from("10.0.0.1", 6379, "a test")
        self.sync()

    def now(self) -> int:
        self.now_ms += self.step_ms
        return self.now_ms

    def log(self, level: str, line: str) -> None:
        self.lines.append(line)

    def set(self, **directives: Any) -> None:
        self.node.config.set_many({name.replace("_", "-"): str(value) for name, value in directives.items()})

    def sync(self, replid: str = REPLID, offset: int = 1000, *keys: bytes) -> None:
        """A full sync; keys are what is in it."""
        node, outcome = self.node, Outcome(Resync.FULL, replid, offset)
        node.full_sync.promised(outcome)
        loader = Loader(16, self.now_ms, node.keyspace.limits, drop_expired=False)
        for key in keys:
            loader.key(key, b"1", None, None, None)
        node.full_sync.resynchronized(loader, outcome)

    def value(self, key: bytes) -> Any:
        return self.node.keyspace.databases[0].data.get(key)

    def wait(self, ms: int) -> None:
        """Time passes, and the node's tick comes."""
        self.now_ms += ms
        self.node.tick()
        self.run_soon()

    def run_soon(self) -> None:
        """What was to be done at once."""
        while self.host.soon:
            self.host.soon.pop(0)()


def test_a_node_acknowledges_what_came_and_applies_it_later() -> None:
    """GETACK is answered when it comes, with the received offset, and not again when it is applied."""
    world = World(replica_delay=10)
    data = A + command("REPLCONF", "GETACK", "*")
    world.node.delaying.receive_stream(data)
    assert world.host.acknowledged == [1000 + len(data)]
    assert world.node.delay.received_offset == 1000 + len(data)
    assert (world.value(b"a"), world.node.feed.history.offset) == (None, 1000)
    assert world.node.following.behind().least_bytes == len(data)
    world.wait(9_999)
    assert world.value(b"a") is None
    world.wait(1)
    assert (world.value(b"a"), world.node.feed.history.offset) == (b"aaa", 1000 + len(data))
    assert world.host.acknowledged == [1000 + len(data)]


def test_what_waits_is_applied_in_its_time_while_the_link_is_down_and_not_asked_for_again() -> None:
    """PSYNC asks from what was received; SELECT is remembered over the gap."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(command("SELECT", "3") + A + B[:4])
    world.node.following.link_lost("a test")
    asked = world.node.following.introduction()
    assert (asked.replid, asked.offset) == (REPLID, 1000 + len(command("SELECT", "3") + A) + 4 + 1)
    world.wait(10_000)
    assert world.node.keyspace.databases[3].data == {b"a": b"aaa"}
    world.node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    world.node.delaying.receive_stream(B[4:] + C)
    world.wait(10_000)
    assert world.node.keyspace.databases[3].data == {b"a": b"aaa", b"b": b"bbb", b"c": b"ccc"}
    assert world.node.feed.history.offset == 1000 + len(command("SELECT", "3") + A + B + C)


def test_a_delay_that_is_switched_on_takes_back_what_is_half_received() -> None:
    """A transaction that is open, and the beginning of a command, are applied once, whole, and later."""
    world = World()
    half = command("MULTI") + A + B[:6]
    world.node.delaying.receive_stream(C + half)
    assert world.value(b"c") == b"ccc"
    world.set(replica_delay=10)
    assert world.node.delay.pending_bytes == len(half)
    world.node.delaying.receive_stream(B[6:] + command("EXEC"))
    world.wait(9_999)
    assert world.value(b"a") is None
    world.wait(1)
    assert (world.value(b"a"), world.value(b"b")) == (b"aaa", b"bbb")
    assert world.node.feed.history.offset == 1000 + len(C + TRANSACTION)


def test_a_delay_that_is_switched_off_lets_everything_go_on_and_the_rest_at_once() -> None:
    """Half a command goes to the stream, and what follows is not looked at any more."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A + B[:6])
    world.set(replica_delay=0)
    world.run_soon()
    assert world.value(b"a") == b"aaa"
    assert not world.node.delay.is_active
    world.node.delaying.receive_stream(B[6:] + C)
    assert (world.value(b"b"), world.value(b"c")) == (b"bbb", b"ccc")
    assert world.node.feed.history.offset == 1000 + len(A + B + C)


def test_half_a_command_is_dropped_when_the_link_is_down_and_asked_for_again() -> None:
    """There is no stream that it could wait in."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A + B[:6])
    world.node.following.link_lost("a test")
    world.set(replica_delay=0)
    world.run_soon()
    assert world.node.following.introduction().offset == 1000 + len(A) + 1
    world.node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    world.node.delaying.receive_stream(B)
    assert (world.value(b"a"), world.value(b"b")) == (b"aaa", b"bbb")


def test_much_is_applied_in_slices_of_time() -> None:
    """Others get their turn in between, and every slice does something."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A * 20_000)
    world.step_ms = 1
    world.set(replica_delay=0)
    slices = 0
    while world.host.soon:
        before_ms, before = world.now_ms, world.node.feed.history.offset
        world.host.soon.pop(0)()
        slices += 1
        assert world.node.feed.history.offset > before or not world.host.soon
        assert world.now_ms - before_ms <= 3 * SLICE_MS
    assert slices > 5
    assert world.node.feed.history.offset == 1000 + len(A) * 20_000


def test_a_tick_does_not_begin_a_second_row_of_slices() -> None:
    """One timer at a time."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A * 20_000)
    world.step_ms = 1
    world.set(replica_delay=0)
    for _ in range(5):
        world.node.tick()
    assert len(world.host.soon) == 1


def test_promotion_at_a_stop_is_exactly_what_is_applied() -> None:
    """The rest is dropped, the stop is over, and the second id is good up to there."""
    world = World(replica_delay=3600)
    world.node.delaying.receive_stream(A + command("FLUSHALL") + B)
    world.set(replica_delay_stop_before=1000 + len(A) + 1)
    world.node.delay.apply_now()
    world.wait(0)
    assert world.node.delay.is_held
    assert world.node.promote("a test")
    history = world.node.feed.history
    assert (history.offset, history.replid2, history.second_offset) == (1000 + len(A), REPLID, 1001 + len(A))
    assert world.value(b"a") == b"aaa"
    assert world.node.config.get_int("replica-delay-stop-before") == 0
    assert world.node.delay.pending_bytes == 0
    world.wait(10**8)
    assert world.value(b"a") == b"aaa" and world.value(b"b") is None


def test_a_full_sync_ends_what_waited() -> None:
    """It is of the history before."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A)
    world.node.following.link_lost("a test")
    world.sync("f" * 40, 77, b"new")
    assert world.node.delay.pending_bytes == 0
    world.wait(20_000)
    assert world.node.keyspace.databases[0].data == {b"new": b"1"}
    world.node.delaying.receive_stream(B)
    assert world.value(b"b") is None
    world.wait(10_000)
    assert world.value(b"b") == b"bbb" and world.node.feed.history.offset == 77 + len(B)


def test_nothing_is_applied_while_a_full_sync_is_received() -> None:
    """What waits is about to be replaced; if it is not, it goes on."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A)
    world.node.following.link_lost("a test")
    world.node.full_sync.promised(Outcome(Resync.FULL, "f" * 40, 5))
    world.wait(20_000)
    assert world.value(b"a") is None
    world.node.following.link_failed("a test")
    world.wait(1)
    assert world.value(b"a") == b"aaa"


def test_bytes_that_are_no_commands_end_the_link_when_their_time_has_come() -> None:
    """What came before them is applied, the next sync is full, nothing is applied twice."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A + b"nonsense\r\n" + B)
    world.wait(10_000)
    assert world.value(b"a") == b"aaa" and world.value(b"b") is None
    assert world.host.asked[-1] == "cut"
    assert not world.node.link.resumable
    assert any("inline protocol" in line for line in world.lines)
    with pytest.raises(ReplicationError):
        world.node.delaying.receive_stream(B)


def test_a_full_queue_is_told_once_until_it_has_gone_down() -> None:
    """Then again."""

    def told() -> int:
        return sum("bytes wait to be applied" in line for line in world.lines)

    world = World(replica_delay=10, replica_delay_max_bytes=len(A) * 4)
    for _ in range(6):
        world.node.delaying.receive_stream(A)
    assert told() == 1
    world.wait(10_000)
    for _ in range(6):
        world.node.delaying.receive_stream(A)
    assert told() == 2


def test_a_stop_that_comes_too_late_holds_and_says_so() -> None:
    """The log tells where."""
    world = World()
    world.set(replica_delay_stop_before=500)
    assert any("offset 1000 is applied already" in line for line in world.lines)
    world.node.delaying.receive_stream(A)
    world.wait(10)
    assert world.node.delay.is_held and world.value(b"a") is None


def test_a_stop_that_was_set_on_a_primary_is_over_when_it_follows_another() -> None:
    """It was an offset of its own history: the first full sync is taken."""
    world = World()
    world.node.promote("a test")
    world.set(replica_delay_stop_before=5000)
    world.node.replicate_from("10.0.0.3", 6379, "a test")
    assert world.node.config.get_int("replica-delay-stop-before") == 0
    world.sync("f" * 40, 9000)
    world.node.delaying.receive_stream(A)
    assert world.value(b"a") == b"aaa"


def test_a_held_replica_takes_no_full_sync_and_one_that_is_accepted_ends_the_stop() -> None:
    """What it is held for stays, with what waits, until somebody decides."""
    world = World(replica_delay=10)
    world.node.delaying.receive_stream(A + B)
    world.set(replica_delay_stop_before=1001 + len(A))
    world.wait(10_000)
    world.node.following.link_lost("a test")
    with pytest.raises(ReplicationError, match="replica-delay-stop-before"):
        world.sync("f" * 40, 5)
    world.node.following.link_failed("a test")
    assert world.node.guard.stop is not None
    assert (world.value(b"a"), world.value(b"b")) == (b"aaa", None)
    assert world.node.delay.pending_bytes == len(B)
    world.node.full_sync.accept_primary("a test")
    world.sync("f" * 40, 5, b"new")
    assert world.node.keyspace.databases[0].data == {b"new": b"1"}
    assert world.node.config.get_int("replica-delay-stop-before") == 0


def test_a_lifted_stop_lets_a_stopped_link_go_on() -> None:
    """It connects again by itself."""
    world = World()
    world.set(replica_delay_stop_before=2000)
    world.node.following.link_lost("a test")
    with pytest.raises(ReplicationError):
        world.sync("f" * 40, 5)
    world.node.following.link_failed("a test")
    world.host.asked.clear()
    world.set(replica_delay_stop_before=0)
    assert world.host.asked == ["connect"]
    assert world.node.guard.stop is None


# The guard in a node.


def test_a_stopped_link_keeps_data_history_and_the_way_back() -> None:
    """Nothing of the full sync stays, and it is asked for a partial one afterwards."""
    world = World(replica_empty_primary_guard="yes")
    world.node.delaying.receive_stream(A)
    world.node.following.link_lost("a test")
    with pytest.raises(ReplicationError, match="the primary is empty") as refused:
        world.sync("f" * 40, 5)
    world.node.following.link_failed(str(refused.value))
    assert world.value(b"a") == b"aaa"
    asked = world.node.following.introduction()
    assert (asked.replid, asked.offset) == (REPLID, 1000 + len(A) + 1)
    assert world.node.loading is None and world.node.link.transfer is None
    assert world.node.guard.stop is not None
    world.host.asked.clear()
    assert world.node.replicate_from("10.0.0.1", 6379, "a test")
    assert world.host.asked == ["connect"]
    world.node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    world.node.delaying.receive_stream(B)
    assert world.value(b"b") == b"bbb"
    assert world.node.guard.is_watching


def test_following_another_primary_or_none_ends_the_stop() -> None:
    """And the next empty primary is refused anew."""
    for turn in (lambda node: node.promote("a test"), lambda node: node.replicate_from("10.0.0.2", 1, "a test")):
        world = World(replica_empty_primary_guard="yes")
        world.node.delaying.receive_stream(A)
        world.node.following.link_lost("a test")
        with pytest.raises(ReplicationError):
            world.sync("f" * 40, 5)
        world.node.following.link_failed("a test")
        assert turn(world.node)
        assert world.node.guard.stop is None
        assert world.node.guard.is_watching
        assert world.value(b"a") == b"aaa"
