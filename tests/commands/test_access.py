"""When and how often keys were used, with a clock and randomness of the test's own."""

from __future__ import annotations

import random

import pytest

from tests.commands.nodes import NOW_MS, Place, refusal
from txrepl.keyspace.access import FIRST_COUNT, LfuSettings, pack
from txrepl.keyspace.database import Keyspace
from txrepl.persistence.snapshot import Loader, write_snapshot

TAKES_TIME = (
    "Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)


def idle(place: Place, key: str = "k") -> bytes:
    """What OBJECT IDLETIME says."""
    return place.client().say(f"OBJECT IDLETIME {key}")


def frequency(place: Place, key: str = "k") -> bytes:
    """What OBJECT FREQ says."""
    return place.client().say(f"OBJECT FREQ {key}")


@pytest.mark.parametrize(
    "line", ["GET k", "SET k w", "STRLEN k", "APPEND k x", "TOUCH k", "DUMP k", "EXPIRE k 9", "SETNX k w", "MGET k"]
)
def test_a_command_that_looks_at_a_value_uses_it(line: str) -> None:
    """And the key is as if just used."""
    place = Place()
    client = place.client()
    client.say("SET k v")
    place.advance(7_400)
    assert idle(place) == b":7\r\n"
    client.say(line)
    assert idle(place) == b":0\r\n"
    place.advance(2_000)
    assert idle(place) == b":2\r\n"


@pytest.mark.parametrize(
    "line",
    ["EXISTS k", "TYPE k", "TTL k", "OBJECT ENCODING k", "DEBUG OBJECT k", "SCAN 0", "KEYS *", "RANDOMKEY", "WATCH k"],
)
def test_a_command_that_asks_about_a_key_does_not_use_it(line: str) -> None:
    """Redis's LOOKUP_NOTOUCH."""
    place = Place()
    client = place.client()
    client.say("SET k v")
    place.advance(7_000)
    client.say(line)
    assert idle(place) == b":7\r\n"


def test_a_client_that_does_not_touch_leaves_no_trace_but_by_touch() -> None:
    """CLIENT NO-TOUCH, in transactions too; a key that it makes is new for all that."""
    place = Place()
    client = place.client()
    client.say("SET k v", "CLIENT NO-TOUCH ON")
    place.advance(7_000)
    client.say("GET k", "MULTI", "STRLEN k", "EXEC")
    assert idle(place) == b":7\r\n"
    client.say("TOUCH k")
    assert idle(place) == b":0\r\n"
    place.advance(5_000)
    client.say("SET k w", "APPEND k w", "SET other w", "APPEND third w")
    place.advance(3_000)
    assert [idle(place, key) for key in ("k", "other", "third")] == [b":8\r\n", b":3\r\n", b":3\r\n"]
    client.say("CLIENT NO-TOUCH OFF", "GET k")
    assert idle(place) == b":0\r\n"


def test_a_renamed_or_moved_value_keeps_its_use_and_a_copy_is_new() -> None:
    """The uses belong to the value."""
    place = Place(maxmemory_policy="allkeys-lfu", lfu_log_factor="0", lfu_decay_time="0")
    client = place.client()
    client.say("SET k v", "GET k", "GET k", "RENAME k n", "MOVE n 1", "SELECT 1", "COPY n c")
    assert client.say("OBJECT FREQ n", "OBJECT FREQ c") == b":10\r\n:5\r\n"  # looked at for RENAME, MOVE and COPY, too


def test_a_deleted_key_leaves_no_note_behind() -> None:
    """Whatever takes it away; the table is no larger than the dataset."""
    place = Place()
    client = place.client()
    client.say("SET a v", "SET b v PX 5", "LPUSH c v", "SET d v", "SADD e v")
    place.advance(1_000)
    client.say("DEL a", "GET b", "LPOP c", "RENAME d f", "SPOP e")
    assert place.node.keyspace.databases[0].used.keys() == {b"f"}
    client.say("FLUSHALL")
    assert not place.node.keyspace.databases[0].used


def test_swapped_databases_take_their_notes_with_them() -> None:
    """And go on noting in the right one."""
    place = Place()
    client = place.client()
    client.say("SET k v", "SELECT 1", "SET other v")
    place.advance(9_000)
    client.say("SWAPDB 0 1", "SELECT 1")
    assert client.say("OBJECT IDLETIME k", "GET k", "OBJECT IDLETIME k") == b":9\r\n$1\r\nv\r\n:0\r\n"


def test_errors_say_which_fact_is_not_kept() -> None:
    """Either way, as Redis does; and a change of policies begins anew."""
    place = Place()
    client = place.client()
    client.say("SET k v")
    place.advance(60_000)
    assert frequency(place) == refusal(
        f"ERR An LFU maxmemory policy is not selected, access frequency not tracked. {TAKES_TIME}"
    )
    client.say("CONFIG SET maxmemory-policy volatile-lfu")
    assert idle(place) == refusal(f"ERR An LFU maxmemory policy is selected, idle time not tracked. {TAKES_TIME}")
    assert frequency(place) == b":5\r\n"
    client.say("CONFIG SET maxmemory-policy volatile-ttl")
    assert idle(place) == b":0\r\n"


def test_the_counter_moves_as_the_logarithm_and_decays_with_the_minutes() -> None:
    """Redis's LFULogIncr and LFUDecrAndReturn, with chances that the test deals out."""

    class Dealt(random.Random):
        chance = 0.0

        def random(self) -> float:
            return self.chance

    rng = Dealt()
    settings = LfuSettings(rng)
    rng.chance = 0.999
    assert [settings.incremented(count) for count in (0, 4, 5)] == [1, 5, 6]
    assert settings.incremented(6) == 6
    rng.chance = 1 / 11 - 0.001
    assert settings.incremented(6) == 7
    assert settings.incremented(7) == 7
    assert settings.incremented(255) == 255
    counted = pack(200, NOW_MS)
    assert settings.decayed(counted, NOW_MS + 59_000) in (199, 200)
    assert settings.decayed(counted, NOW_MS + 150 * 60_000) == 50
    assert settings.decayed(counted, NOW_MS + 1000 * 60_000) == 0
    settings.decay_minutes = 10
    assert settings.decayed(counted, NOW_MS + 150 * 60_000) == 185
    settings.decay_minutes = 0
    assert settings.decayed(counted, NOW_MS + 10_000 * 60_000) == 200


def test_a_million_uses_saturate_slowly() -> None:
    """The table in redis.conf: with factor 10 a thousand hits make about 18, a hundred thousand about 142."""
    settings = LfuSettings(random.Random(7))
    count, seen = FIRST_COUNT, {}
    for hits in range(1, 100_001):
        count = settings.incremented(count)
        seen[hits] = count
    assert 12 <= seen[1_000] <= 25
    assert 125 <= seen[100_000] <= 160


def test_loaded_keys_take_no_note_until_they_are_used() -> None:
    """They are as old as the load, or as the file says."""
    place = Place()
    loader = Loader(16, NOW_MS, place.node.keyspace.limits, drop_expired=True)
    loader.key(b"plain", b"v", None, None, None)
    loader.key(b"old", b"v", None, 500, None)
    loader.key(b"often", b"v", None, None, 77)
    place.node.keyspace.adopt(loader.keyspace)
    assert place.node.keyspace.databases[0].used.keys() == {b"old"}
    place.advance(4_000)
    assert [idle(place, key) for key in ("plain", "old", "often")] == [b":4\r\n", b":504\r\n", b":4\r\n"]
    place.client().say("GET plain")
    assert idle(place, "plain") == b":0\r\n"


@pytest.mark.parametrize(
    ("policy", "idle_s", "count"), [("allkeys-lru", 300, None), ("volatile-lfu", None, 99), ("noeviction", None, None)]
)
def test_files_say_what_the_policy_goes_by(policy: str, idle_s: int | None, count: int | None) -> None:
    """Idle seconds with an LRU policy, the counter with an LFU one, else nothing; read back, they are the same."""
    place = Place(maxmemory_policy=policy)
    client = place.client()
    client.say("SET k v", "SET k2 v PX 100000")
    keyspace = place.node.keyspace
    for key in (b"k", b"k2"):
        keyspace.databases[0].set_use(key, 300, 99)
    pieces: list[bytes] = []
    write_snapshot(keyspace, pieces.append, {}, kind=None, compress=False, checksum=True, now_s=1)

    noted: list[tuple[bytes, int | None, int | None]] = []

    class Reading(Loader):
        def key(self, key: bytes, value: object, expire_ms: int | None, idle: int | None, freq: int | None) -> None:
            noted.append((key, idle, freq))
            super().key(key, value, expire_ms, idle, freq)  # type: ignore[arg-type]

    loader = Reading(16, NOW_MS, keyspace.limits, drop_expired=True, counts_uses=keyspace.counts_uses)
    loader.feed(b"".join(pieces))
    assert noted == [(b"k", idle_s, count), (b"k2", idle_s, count)]
    place.client().say("FLUSHALL")
    keyspace.adopt(loader.keyspace)
    db = keyspace.databases[0]
    assert count is None or db.frequency(b"k") == count
    assert idle_s is None or db.idle_ms(b"k") == idle_s * 1000


def test_notes_of_the_other_kind_are_not_adopted() -> None:
    """A load that began before the policy changed brings times where counters are kept."""
    mine = Keyspace(1, random.Random(1), NOW_MS)
    theirs = Keyspace(1, random.Random(1), NOW_MS)
    theirs.databases[0].put(b"k", b"v")
    mine.count_uses(True)
    mine.adopt(theirs)
    assert mine.databases[0].frequency(b"k") == FIRST_COUNT


def test_restore_sets_the_fact_that_is_kept() -> None:
    """IDLETIME without an LFU policy, FREQ with one; the other is taken and has no effect."""
    place = Place()
    client = place.client()
    client.say("SET k v")
    dumped = client.say("DUMP k")
    payload = dumped[dumped.index(b"\r\n") + 2 : -2]
    client.say([b"RESTORE", b"r", b"0", payload, b"IDLETIME", b"77"])
    client.say([b"RESTORE", b"f", b"0", payload, b"FREQ", b"77"])
    assert (idle(place, "r"), idle(place, "f")) == (b":77\r\n", b":0\r\n")
    client.say("CONFIG SET maxmemory-policy allkeys-lfu")
    client.say([b"RESTORE", b"r", b"0", payload, b"REPLACE", b"IDLETIME", b"77"])
    client.say([b"RESTORE", b"f", b"0", payload, b"REPLACE", b"FREQ", b"77"])
    assert (frequency(place, "r"), frequency(place, "f")) == (b":5\r\n", b":77\r\n")
