"""Set commands without a server: encodings, chance, stored results, what goes into the stream."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import sets
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import SetValue
from txrepl.resp.replies import Reply, SetReply

MEMBERS = st.sets(st.sampled_from([b"%d" % n for n in range(12)]), max_size=12)


@pytest.fixture
def bench() -> FamilyBench:
    """The set commands over an empty keyspace."""
    return FamilyBench(sets.family)


def value_of(bench: FamilyBench, key: str) -> SetValue:
    value = bench.keyspace.databases[0].data[key.encode()]
    assert isinstance(value, SetValue)
    return value


def as_set(reply: Reply) -> set[object]:
    assert isinstance(reply, SetReply)
    assert len(set(reply)) == len(reply)
    return set(reply)


def numbers(start: int, stop: int) -> list[int]:
    return list(range(start, stop))


# -- encodings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("additions", "large"),
    [
        ([numbers(0, 512)], False),
        ([numbers(0, 512), [512]], True),
        ([numbers(0, 513)], True),
        ([numbers(0, 128), ["x"]], True),
        ([["x", *numbers(0, 127)]], False),
        ([["x", *numbers(0, 127)], [127]], True),
        ([numbers(0, 128), [128]], False),
        ([["y" * 64]], False),
        ([["y" * 65]], True),
        ([[1], ["y" * 65]], True),
        ([["x"] * 129], True),
        ([[1] + ["x"] * 129], False),
        ([["x"], ["x"] * 129], True),
    ],
    ids=range(13),
)
def test_a_set_becomes_a_hash_table_where_redis_makes_one(
    bench: FamilyBench, additions: list[list[object]], large: bool
) -> None:
    """Integers have room for 512, others for 128 of up to 64 bytes; so many words at once count beforehand."""
    for words in additions:
        bench.run("SADD", "s", *words)  # type: ignore[arg-type]
    assert value_of(bench, "s").large is large


def test_a_hash_table_stays_one_when_members_go(bench: FamilyBench) -> None:
    """The large encoding is sticky, as in Redis."""
    bench.run("SADD", "s", "a", "y" * 65)
    bench.run("SREM", "s", "y" * 65)
    assert value_of(bench, "s").large


def test_an_intset_is_listed_in_numerical_order(bench: FamilyBench) -> None:
    """SMEMBERS of integers is sorted by value, not by text."""
    bench.run("SADD", "s", 10, 9, -3, 100)
    assert bench.run("SMEMBERS", "s") == [b"-3", b"9", b"10", b"100"]


def test_smove_may_make_the_target_a_hash_table(bench: FamilyBench) -> None:
    """A moved member counts as an added one."""
    bench.run("SADD", "a", "y" * 65)
    bench.run("SADD", "b", "x")
    assert bench.run("SMOVE", "a", "b", "y" * 65) == 1
    assert value_of(bench, "b").large
    assert bench.run("SCARD", "a") == 0


# -- by chance ----------------------------------------------------------------------------------------------------


def test_spop_goes_into_the_stream_by_the_name_of_what_it_took(bench: FamilyBench) -> None:
    """One member is SREM, many are SREMs of at most 1024, all are DEL."""
    bench.run("SADD", "s", *numbers(0, 5000))
    member = bench.run("SPOP", "s")
    assert bench.effects() == [(0, (b"SREM", b"s", member))]
    taken = as_set(bench.run("SPOP", "s", 2500))
    effects = bench.effects()
    assert [len(command) - 2 for _, command in effects] == [1024, 1024, 452]
    assert {member for _, command in effects for member in command[2:]} == taken
    assert len(as_set(bench.run("SPOP", "s", 2499))) == 2499
    assert bench.effects() == [(0, (b"DEL", b"s"))]
    assert not bench.keyspace.databases[0].exists(b"s")


def test_spop_of_the_last_member_is_srem_and_deletes_the_key(bench: FamilyBench) -> None:
    """The events are spop and del."""
    bench.run("SADD", "s", "a")
    events: list[bytes] = []
    bench.keyspace.notify_flags = Event.SET | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, db: events.append(event)
    assert bench.run("SPOP", "s") == b"a"
    assert bench.effects() == [(0, (b"SREM", b"s", b"a"))]
    assert events == [b"spop", b"del"]
    assert bench.run("SPOP", "s") is None
    assert bench.effects() == []


@pytest.mark.parametrize("size", [10, 1000])
@pytest.mark.parametrize("count", [1, 5, 900])
def test_spop_takes_different_members_and_leaves_the_others(bench: FamilyBench, size: int, count: int) -> None:
    """Whatever way the members are picked, taken and left are parts of the whole."""
    bench.run("SADD", "s", *numbers(0, size))
    taken = as_set(bench.run("SPOP", "s", count))
    assert len(taken) == min(count, size)
    assert taken | as_set(bench.run("SMEMBERS", "s")) == {b"%d" % n for n in range(size)}
    assert bench.run("SCARD", "s") == size - len(taken)


@pytest.mark.parametrize("size", [10, 1000])
def test_srandmember_repeats_only_with_a_negative_count(bench: FamilyBench, size: int) -> None:
    """A positive count is bounded by the size of the set."""
    bench.run("SADD", "s", *numbers(0, size))
    everything = {b"%d" % n for n in range(size)}
    for count in (1, 3, size - 1, size, size + 5):
        found = bench.run("SRANDMEMBER", "s", count)
        assert isinstance(found, list)
        assert len(set(found)) == len(found) == min(count, size)
        assert everything.issuperset(found)
    repeated = bench.run("SRANDMEMBER", "s", -3 * size)
    assert isinstance(repeated, list) and len(repeated) == 3 * size and everything.issuperset(repeated)
    assert bench.run("SRANDMEMBER", "s") in everything
    assert bench.run("SRANDMEMBER", "s", 0) == []


@pytest.mark.parametrize("size", [8, 100])
def test_every_member_has_its_chance(bench: FamilyBench, size: int) -> None:
    """4000 picks meet each of a few members, through the copy and through the index."""
    bench.run("SADD", "s", *numbers(0, size))
    seen = Counter(bench.run("SRANDMEMBER", "s") for _ in range(4000))
    assert len(seen) == size
    assert max(seen.values()) < 4 * 4000 // size


def test_members_added_after_a_pick_are_picked_too(bench: FamilyBench) -> None:
    """SADD, SMOVE and the stored results keep the index of a set that has one."""
    bench.run("SADD", "s", *numbers(0, 200))
    bench.run("SRANDMEMBER", "s")
    bench.run("SADD", "s", "new")
    bench.run("SADD", "other", "moved")
    bench.run("SMOVE", "other", "s", "moved")
    bench.run("SREM", "s", *numbers(0, 200))
    assert {bench.run("SPOP", "s"), bench.run("SPOP", "s")} == {b"new", b"moved"}


# -- several sets -------------------------------------------------------------------------------------------------


@given(st.lists(MEMBERS, min_size=1, max_size=4))
def test_inter_union_diff_are_those_of_mathematics(given_sets: list[set[bytes]]) -> None:
    """Answered, counted and stored alike; an absent set is an empty one."""
    bench = FamilyBench(sets.family)
    keys = [f"k{n}" for n in range(len(given_sets))]
    for key, members in zip(keys, given_sets, strict=True):
        if members:
            bench.run("SADD", key, *members)
    wanted = {
        "SINTER": set.intersection(*given_sets),
        "SUNION": set.union(*given_sets),
        "SDIFF": given_sets[0].difference(*given_sets[1:]),
    }
    for name, members in wanted.items():
        assert as_set(bench.run(name, *keys)) == members
        assert bench.run(f"{name}STORE", "target", *keys) == len(members)
        assert as_set(bench.run("SMEMBERS", "target")) == members
    common = len(wanted["SINTER"])
    assert bench.run("SINTERCARD", len(keys), *keys) == common
    for limit in (1, 2, 100):
        assert bench.run("SINTERCARD", len(keys), *keys, "LIMIT", limit) == min(common, limit)


def test_a_stored_result_takes_the_place_of_anything_and_its_deadline(bench: FamilyBench) -> None:
    """Whatever type the target had; an empty result deletes it."""
    db = bench.keyspace.databases[0]
    bench.run("SADD", "a", "x", "y")
    db.put(b"t", b"a string")
    db.set_expire(b"t", bench.keyspace.now_ms + 1000)
    assert bench.run("SUNIONSTORE", "t", "a", "no") == 2
    assert b"t" not in db.expires
    db.put(b"t", b"a string")
    dirty = bench.keyspace.dirty
    assert bench.run("SINTERSTORE", "t", "a", "no") == 0
    assert not db.exists(b"t")
    assert bench.keyspace.dirty == dirty + 1
    assert bench.run("SINTERSTORE", "t", "a", "no") == 0
    assert bench.keyspace.dirty == dirty + 1


def test_a_target_may_be_one_of_the_sources(bench: FamilyBench) -> None:
    """The result is made before the target is replaced, and the sources are not changed."""
    bench.run("SADD", "a", 1, 2, 3)
    bench.run("SADD", "b", 2, 3, 4)
    assert bench.run("SDIFFSTORE", "a", "a", "b") == 1
    assert bench.run("SUNIONSTORE", "c", "b") == 3
    bench.run("SADD", "c", 5)
    assert bench.run("SCARD", "b") == 3


def test_every_source_is_checked_even_when_the_result_is_known(bench: FamilyBench) -> None:
    """An absent first set does not hide a wrong type behind it, and nothing is stored."""
    db = bench.keyspace.databases[0]
    db.put(b"str", b"x")
    bench.run("SADD", "t", "old")
    for name in ("SINTERSTORE", "SDIFFSTORE", "SUNIONSTORE"):
        reply = bench.run(name, "t", "no", "str")
        assert isinstance(reply, CommandError) and reply.code == "WRONGTYPE"
    assert bench.run("SMEMBERS", "t") == [b"old"]


# -- scanning -----------------------------------------------------------------------------------------------------


def test_sscan_meets_all_who_stay_while_others_come_and_go(bench: FamilyBench) -> None:
    """A large set in small steps, changed at every one."""
    bench.run("SADD", "s", *(f"stay{n}" for n in range(300)))
    met: set[object] = set()
    cursor, step = b"0", 0
    while True:
        reply = bench.run("SSCAN", "s", cursor, "COUNT", 7)
        assert isinstance(reply, list)
        cursor, found = reply  # type: ignore[assignment]
        met.update(found)  # type: ignore[arg-type]
        if cursor == b"0":
            break
        step += 1
        bench.run("SADD", "s", f"new{step}")
        bench.run("SREM", "s", f"new{step - 1}")
    assert step > 20
    assert {b"stay%d" % n for n in range(300)} <= met


def test_sscan_of_a_member_that_went_and_came_back_names_it_once_a_call(bench: FamilyBench) -> None:
    """Its old place in the index does not count."""
    bench.run("SADD", "s", *(f"m{n}" for n in range(200)))
    bench.run("SSCAN", "s", 0)
    for _ in range(3):
        bench.run("SREM", "s", "m7")
        bench.run("SADD", "s", "m7")
    reply = bench.run("SSCAN", "s", 0, "COUNT", 1000, "MATCH", "m7")
    assert reply == [b"0", [b"m7"]]


def test_sscan_of_an_absent_set_answers_before_it_looks_at_options(bench: FamilyBench) -> None:
    """As Redis: the cursor is checked first, then the key, then the rest."""
    assert bench.run("SSCAN", "no", 0, "BAD") == [b"0", []]
    reply = bench.run("SSCAN", "no", "x")
    assert isinstance(reply, CommandError) and reply.message == b"ERR invalid cursor"
