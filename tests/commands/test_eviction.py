"""What happens at the limit of memory, with a clock and randomness of the test's own."""

from __future__ import annotations

import gc
from dataclasses import replace
from time import thread_time_ns

import pytest

from tests.commands.nodes import Caller, Place, refusal
from txrepl.commands.memory import diagnosis
from txrepl.commands.memory_use import CLIENT_BYTES
from txrepl.keyspace import memory as keyspace_memory
from txrepl.keyspace.memory import blob_bytes
from txrepl.keyspace.sampler import Sampler
from txrepl.node.memory import time_limit_ns

OOM = refusal("OOM command not allowed when used memory > 'maxmemory'.")
OOM_EXEC = refusal(
    "EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'."
)


def filled(policy: str, keys: int = 100, **directives: str) -> tuple[Place, Caller]:
    """A place with so many keys, the later ones used later, whose limit is what they take."""
    place = Place(maxmemory_policy=policy, **directives)
    client = place.client()
    for number in range(keys):
        place.now_ms += 1_000
        client.say(f"SET key:{number:03d} {'x' * 500}")
    place.node.tick()
    client.say("CONFIG SET maxmemory 1gb")
    client.say(f"CONFIG SET maxmemory {place.node.memory.used_bytes()}")
    return place, client


def settle(place: Place) -> None:
    """Let a tick pass, and all that follows from it at once."""
    place.advance(100)
    while place.run_timers():
        pass


def keys_of(place: Place, database: int = 0) -> set[bytes]:
    """What is there."""
    return set(place.node.keyspace.databases[database].data)


def shown(client: Caller, field: str) -> int:
    """A number of INFO."""
    text = client.say("INFO everything").decode()
    return int(next(line.split(":")[1] for line in text.splitlines() if line.startswith(field + ":")))


# -- refusing ---------------------------------------------------------------------------------------------------


def test_without_a_policy_what_needs_memory_is_refused_and_all_else_runs() -> None:
    """Commands with the flag denyoom, by themselves and at EXEC; inside of MULTI every one that would be queued."""
    place, client = filled("noeviction")
    client.say("SET over the-limit")
    assert client.say("SET more x") == OOM
    assert client.say("GET over", "DEL nothing", "EXPIRE over 100", "LPUSH list x") == (
        b"$9\r\nthe-limit\r\n:0\r\n:1\r\n" + OOM
    )
    assert client.say("MULTI", "GET over", "DISCARD") == b"+OK\r\n" + OOM + b"+OK\r\n"
    assert client.say("MULTI", "GET over", "EXEC") == (
        b"+OK\r\n" + OOM + refusal("EXECABORT Transaction discarded because of previous errors.")
    )
    assert place.node.out_of_memory
    assert shown(client, "evicted_keys") == 0
    client.say("DEL over key:001")
    assert client.say("SET more x") == b"+OK\r\n"
    assert not place.node.out_of_memory


def test_exec_is_refused_for_what_was_queued_before_memory_ran_out() -> None:
    """With something that needs memory in it; else it runs."""
    place, client = filled("noeviction")
    reader, writer = place.client(), place.client()
    reader.say("MULTI", "GET key:001")
    writer.say("MULTI", "APPEND key:001 y")
    client.say("CONFIG SET maxmemory 1000")
    assert writer.say("EXEC") == OOM_EXEC
    assert reader.say("EXEC").startswith(b"*1\r\n$500\r\n")


def test_the_limit_is_met_at_the_byte() -> None:
    """The command that passes it still runs, the next one does not: not one key earlier."""
    place = Place()
    client = place.client()
    place.node.tick()
    client.say("CONFIG SET maxmemory 100kb")
    replies = [client.say(f"SET k:{number:04d} {'x' * 100}") for number in range(2_000)]
    stored = replies.count(b"+OK\r\n")
    assert replies == [b"+OK\r\n"] * stored + [OOM] * (2_000 - stored)
    each = blob_bytes(6) + blob_bytes(100) + 2 * keyspace_memory.ENTRY_BYTES
    assert stored == (100 * 1024 - CLIENT_BYTES) // each + 1
    assert shown(client, "used_memory") == CLIENT_BYTES + stored * each


def test_within_a_batch_the_limit_is_met_too() -> None:
    """A pipeline of writes is looked at one by one when the limit is near."""
    place = Place()
    client = place.client()
    client.say("CONFIG SET maxmemory 100kb")
    answer = client.say(*(f"SET k:{number:04d} {'x' * 100}" for number in range(1_000)))
    assert 300 < answer.count(b"+OK") < 400 and answer.count(b"-OOM") == 1_000 - answer.count(b"+OK")


def test_far_from_the_limit_commands_take_the_short_way() -> None:
    """Only who comes near is looked at for each command."""
    place = Place(maxmemory="100mb")
    client = place.client()
    client.say("SET k v")
    assert place.node.dispatcher.gate == 0
    client.say("CONFIG SET maxmemory 1mb", "SET k v")
    assert client.say("SET k v") == b"+OK\r\n" and place.node.dispatcher.gate
    client.say("CONFIG SET maxmemory 0")
    assert place.node.dispatcher.gate == 0


# -- choosing ---------------------------------------------------------------------------------------------------


def test_lru_evicts_what_was_not_used_for_longest() -> None:
    """With as many samples as keys it is exact."""
    place, client = filled("allkeys-lru", maxmemory_samples="400")
    client.say(*(f"GET key:{number:03d}" for number in range(10)))
    client.say(*(f"SET new:{number} {'y' * 500}" for number in range(20)), "PING")
    gone = {b"key:%03d" % number for number in range(100)} - keys_of(place)
    assert 19 <= len(gone) <= 21
    assert not any(b"key:%03d" % number in gone for number in range(10))
    assert max(gone) <= b"key:040"


def test_lfu_evicts_what_was_used_least() -> None:
    """However lately that was."""
    place, client = filled("allkeys-lfu", maxmemory_samples="400", lfu_log_factor="0")
    for _ in range(3):
        client.say(*(f"GET key:{number:03d}" for number in range(50)))
    place.advance(1_000)
    client.say(*(f"STRLEN key:{number:03d}" for number in range(50, 100)))
    client.say(*(f"SET new:{number} {'y' * 500}" for number in range(20)), "PING")
    gone = {b"key:%03d" % number for number in range(100)} - keys_of(place)
    assert all(key >= b"key:050" for key in gone)


def test_ttl_evicts_what_ends_first() -> None:
    """And nothing without a deadline."""
    place, client = filled("volatile-ttl", maxmemory_samples="400")
    client.say(*(f"EXPIRE key:{number:03d} {100_000 - number}" for number in range(0, 100, 2)), "PING")
    client.say(*(f"SET new:{number} y" for number in range(3)), "PING")
    gone = {b"key:%03d" % number for number in range(100)} - keys_of(place)
    assert gone and all(int(key[4:]) % 2 == 0 for key in gone)
    assert min(gone) >= b"key:%03d" % (98 - 2 * len(gone))


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_volatile_policies_leave_keys_without_deadline_and_refuse_when_only_those_are_left(policy: str) -> None:
    """What has a deadline goes first; when nothing has one any more, memory is out."""
    place, client = filled(policy)
    client.say(*(f"EXPIRE key:{number:03d} 100000" for number in range(0, 100, 10)))
    replies = [client.say(f"SET new:{number} {'y' * 500}") for number in range(30)]
    assert replies[0] == b"+OK\r\n" and replies[-1] == OOM
    assert {b"key:%03d" % number for number in range(100) if number % 10} <= keys_of(place)
    assert not {b"key:%03d" % number for number in range(0, 100, 10)} & keys_of(place)


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_allkeys_policies_take_from_every_database(policy: str) -> None:
    """Down to the last key, if need be; then memory is out."""
    place = Place(maxmemory_policy=policy)
    client = place.client()
    client.say(*(f"SET a{number} x" for number in range(20)), "SELECT 3", *(f"SET b{number} x" for number in range(20)))
    client.say("CONFIG SET maxmemory 100")
    settle(place)
    assert keys_of(place) == keys_of(place, 3) == set()
    assert client.say("SET c x") == OOM
    assert shown(client, "evicted_keys") == 40


def test_a_candidate_that_was_used_meanwhile_is_passed_over() -> None:
    """The pool keeps the best from one eviction to the next."""
    place, client = filled("allkeys-lru", keys=50, maxmemory_samples="50")
    evictor = place.node.memory.evictor
    first = evictor.choose()
    assert first is not None and first[1] == b"key:000"
    client.say("GET key:000", "GET key:001")
    second = evictor.choose()
    assert second is not None and second[1] == b"key:002"


def test_a_sampler_draws_every_live_key_and_no_dead_one() -> None:
    """Whatever came and went since it was made."""
    place = Place()
    keyspace = place.node.keyspace
    members = {b"%d" % number: 0 for number in range(300)}
    sampler = Sampler(members, keyspace.rng.random)
    for number in range(0, 300, 2):
        del members[b"%d" % number]
    for number in range(1000, 1500):
        members[b"%d" % number] = 0
        sampler.added(b"%d" % number)
    assert {sampler.draw() for _ in range(20_000)} == members.keys()
    members.clear()
    assert sampler.draw() is None


# -- what follows from an eviction ------------------------------------------------------------------------------


@pytest.mark.parametrize(("lazy", "word"), [("no", b"DEL"), ("yes", b"UNLINK")])
def test_an_eviction_goes_into_the_stream_alone_before_the_command(lazy: str, word: bytes) -> None:
    """As DEL, or UNLINK with lazyfree-lazy-eviction; several are no transaction."""
    place, client = filled("allkeys-lru", lazyfree_lazy_eviction=lazy)
    feed = place.node.feed
    feed.open_backlog(1024 * 1024)
    client.say(f"SET new {'y' * 2000}", "SET last x")
    assert feed.backlog is not None
    stream = feed.backlog.read(feed.backlog.first_offset, 100_000)
    words = [part for part in stream.split(b"\r\n") if part in (b"SELECT", b"SET", b"MULTI", b"DEL", b"UNLINK")]
    assert words[0] == b"SELECT" and set(words[1:]) == {b"SET", word}
    assert words.count(word) > 3 and words[-2:] == [word, b"SET"]


def test_an_eviction_is_an_event_and_a_change_to_watchers() -> None:
    """The class `e`; WATCH sees the key go."""
    place, client = filled("allkeys-random", keys=1)
    watcher, listener = place.client(), place.client()
    watcher.say("WATCH key:000", "MULTI", "PING")
    client.say("CONFIG SET notify-keyspace-events Ee")
    listener.say("SUBSCRIBE __keyevent@0__:evicted")
    client.say("CONFIG SET maxmemory 100")
    settle(place)
    assert listener.pushed.endswith(b"$7\r\nkey:000\r\n")
    assert watcher.say("EXEC") == b"*-1\r\n"


def test_evicting_ends_when_its_time_is_up_and_goes_on_later() -> None:
    """The command is not held up for long, and not refused either."""
    place, client = filled("allkeys-lru", keys=400)
    memory = place.node.memory
    clock = iter(range(0, 10**15, 300_000))  # ns: every look at it costs 0.3 ms
    memory.timer = lambda: next(clock)
    client.say("CONFIG SET maxmemory 20000")
    assert client.say("SET new x") == b"+OK\r\n"
    assert 300 < len(keys_of(place)) < 401
    assert shown(client, "current_eviction_exceeded_time") == 0
    place.now_ms += 50
    assert shown(client, "current_eviction_exceeded_time") == 50
    rounds = 0
    while place.run_timers():
        rounds += 1
    assert rounds > 3
    assert memory.used_bytes() <= 20_000
    assert shown(client, "current_eviction_exceeded_time") == 0
    assert shown(client, "total_eviction_exceeded_time") == 50


def test_evicting_for_long_is_an_event_of_latency() -> None:
    """Each round that takes as long as the monitor wants; none while it is off."""
    place, client = filled("allkeys-lru", keys=50)
    clock = iter(range(0, 10**15, 40_000_000))  # ns
    place.node.memory.timer = lambda: next(clock)
    client.say("CONFIG SET maxmemory 20000")
    settle(place)
    assert client.say("LATENCY LATEST") == b"*0\r\n"
    place.node.observations.latency.threshold_ms = 50
    client.say("CONFIG SET maxmemory 1000")
    settle(place)
    event = place.node.observations.latency.events["eviction-cycle"]
    assert event.longest_ms >= 80


@pytest.mark.parametrize(("tenacity", "limit"), [(0, 0), (1, 50_000), (10, 500_000), (11, 575_000), (100, None)])
def test_tenacity_is_time(tenacity: int, limit: int | None) -> None:
    """50 µs each up to 10, above 15 % more each, at 100 without bound."""
    assert time_limit_ns(tenacity) == limit


def test_a_replica_leaves_evicting_to_its_primary_unless_told_otherwise() -> None:
    """And gives no OOM, neither to the stream nor to its own clients, as it ignores the limit."""
    place, client = filled("allkeys-lru")
    client.say("REPLICAOF 127.0.0.1 1", "CONFIG SET replica-read-only no", "CONFIG SET maxmemory 1000")
    place.advance(100)
    assert client.say("SET own x") == b"+OK\r\n"
    assert len(keys_of(place)) == 101
    client.say("CONFIG SET replica-ignore-maxmemory no")
    settle(place)
    assert keys_of(place) == set()


def test_nothing_is_evicted_while_writes_are_paused_or_data_is_counted() -> None:
    """A pause promises that the dataset stands still; what is used is not known before it is counted."""
    place, client = filled("allkeys-lru")
    client.say("CLIENT PAUSE 10000 WRITE", "CONFIG SET maxmemory 1000")
    place.advance(100)
    assert len(keys_of(place)) == 100
    client.say("CLIENT UNPAUSE")
    settle(place)
    assert keys_of(place) == set()


def test_a_limit_at_run_time_is_met_after_a_count_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slice takes as long as it may; commands run in between, and count."""
    monkeypatch.setattr(keyspace_memory, "SLICE_KEYS", 10)
    place = Place(maxmemory_policy="allkeys-random")
    client = place.client()
    client.say(*(f"SET key:{number} {'x' * 100}" for number in range(1_000)))
    memory = place.node.memory
    clock = iter(range(0, 10**15, 500_000))  # ns: a look costs 0.5 ms, so that a slice has four steps
    memory.timer = lambda: next(clock)
    client.say("CONFIG SET maxmemory 100000")
    slices = 0
    while place.node.keyspace.count is not None:
        assert client.say(f"SET key:{slices} y") == b"+OK\r\n"
        assert len(keys_of(place)) == 1_000
        place.run_timers()
        slices += 1
    assert slices > 40
    settle(place)
    assert memory.used_bytes() <= 100_000 < memory.used_bytes() + 1_000
    assert any("smaller than the current memory usage" in line for line in place.lines)


def test_a_limit_on_many_keys_is_met_in_small_steps() -> None:
    """No step of counting or evicting takes longer than 25 ms of the processor, where one count of all takes 60."""
    place = Place(maxmemory_policy="allkeys-random")
    client = place.client()
    db = place.node.keyspace.databases[0]
    for number in range(400_000):
        db.data[b"key:%d" % number] = b"value:%d" % number
    memory = place.node.memory
    memory.timer = thread_time_ns
    limit = memory.use().total * 99 // 100
    gc.disable()  # as the server does
    try:
        began = thread_time_ns()
        client.say(f"CONFIG SET maxmemory {limit}")
        longest = thread_time_ns() - began
        steps = 0
        while memory.used_bytes() > limit or place.node.keyspace.count is not None:
            began = thread_time_ns()
            place.run_timers()
            longest = max(longest, thread_time_ns() - began)
            steps += 1
    finally:
        gc.enable()
    assert steps > 20 and longest < 25_000_000
    assert 2_000 < place.node.stats.evicted_keys < 6_000


# -- connections ------------------------------------------------------------------------------------------------


def test_the_largest_connections_are_closed_until_the_rest_fit() -> None:
    """Pending input, pending output and transactions count, those of connections that said NO-EVICT, too."""
    place = Place(maxmemory_clients="150kb")
    small, large, larger, kept = (place.client() for _ in range(4))
    kept.say("CLIENT NO-EVICT ON")
    kept.pending_out = 70_000
    large.pending_in = 30_000
    larger.say("MULTI", f"SET k {'x' * 60_000}")
    place.advance(100)
    assert [client.closed for client in (small, large, larger, kept)] == [False, False, True, False]
    assert shown(small, "evicted_clients") == 1
    assert any(line.startswith("Evicting client: id=3 ") for line in place.lines)
    kept.pending_out = 200_000
    place.advance(100)
    assert [client.closed for client in (small, large, kept)] == [True, True, False]


def test_the_limit_of_connections_may_be_a_share_of_maxmemory() -> None:
    """A percentage; none without maxmemory."""
    place = Place(maxmemory_clients="5%")
    client, greedy = place.client(), place.client()
    greedy.pending_out = 100_000
    place.advance(100)
    assert not greedy.closed
    client.say("CONFIG SET maxmemory 1mb")
    place.advance(100)
    assert greedy.closed and not client.closed


# -- MEMORY -----------------------------------------------------------------------------------------------------


def test_memory_stats_and_info_tell_the_same() -> None:
    """Field by field; the parts make the whole."""
    place = Place()
    client = place.client()
    client.say("SET k v", "SET m v EX 100", "LPUSH l a b c", "SELECT 2", "SET n v")
    place.node.feed.open_backlog(100_000)
    client.session.proto = 3
    lines = client.say("MEMORY STATS").decode().split("\r\n")

    def stat(name: str) -> float:
        return float(lines[lines.index(name) + 1].lstrip(":,"))

    assert stat("total.allocated") == shown(client, "used_memory")
    assert stat("dataset.bytes") == shown(client, "used_memory_dataset")
    assert stat("overhead.total") == shown(client, "used_memory_overhead")
    assert stat("total.allocated") == stat("dataset.bytes") + stat("overhead.total")
    assert stat("replication.backlog") == shown(client, "mem_replication_backlog") > 0
    assert stat("clients.normal") == shown(client, "mem_clients_normal")
    assert stat("keys.count") == 4
    assert stat("peak.allocated") >= stat("total.allocated")
    assert "db.0" in lines and "db.2" in lines and "db.1" not in lines


def test_memory_usage_grows_with_the_value_and_its_deadline() -> None:
    """Null for no key; it is no use of the key."""
    place = Place()
    client = place.client()
    client.say("SET k v", f"SET long {'x' * 1000}", "SET dying v EX 100", "HSET h " + "f v " * 20)
    sizes = [int(client.say(f"MEMORY USAGE {key}")[1:]) for key in ("k", "long", "dying", "h")]
    assert sizes[1] - sizes[0] == blob_bytes(1000) - blob_bytes(1)
    assert sizes[2] - sizes[0] == keyspace_memory.DEADLINE_BYTES
    assert client.say("MEMORY USAGE none") == b"$-1\r\n"
    place.advance(5_000)
    client.say("MEMORY USAGE k")
    assert client.say("OBJECT IDLETIME k") == b":5\r\n"


def test_the_doctor_names_what_is_amiss() -> None:
    """Nothing for little data, and for much that is well; else the cause and what helps."""
    place = Place()
    use = place.node.memory_use()
    assert "empty" in diagnosis(use, 10**8, 1)
    well = replace(use, data=10**8, peak=10**8)
    assert "can't find any memory issue" in diagnosis(well, 10**8, 1)
    assert "Peak memory" in diagnosis(replace(well, peak=10**9), 10**8, 1)
    assert "High fragmentation" in diagnosis(well, 3 * 10**8, 1)
    assert "Big client buffers" in diagnosis(replace(well, clients=10**7), 10**8, 2)
