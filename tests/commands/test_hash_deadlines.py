"""Deadlines of fields without a server: what is seen, what goes into the stream, active expiry and its index."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import hash_deadlines, hashes, keys, serialization, sets, sort
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event, Expiry
from txrepl.keyspace.values import HashValue

Words = list[str | bytes | int | float]


@pytest.fixture
def bench() -> FamilyBench:
    """The hash commands, and those that move keys, over an empty keyspace."""
    return new_bench()


def new_bench() -> FamilyBench:
    return FamilyBench(
        hashes.family, hash_deadlines.family, keys.family, serialization.family, sort.family, sets.family
    )


def value_of(bench: FamilyBench, key: bytes = b"h") -> HashValue:
    value = bench.keyspace.databases[0].data[key]
    assert isinstance(value, HashValue)
    return value


def with_deadlines(bench: FamilyBench, **in_ms: int) -> None:
    """Make the hash `h` of f=1, g=2 with deadlines so many ms from now; nothing of that is in the stream."""
    bench.run("HSET", "h", "f", 1, "g", 2)
    now_ms = bench.keyspace.now_ms
    bench.keyspace.expiry = int(Expiry.IGNORE)
    for name, ms in in_ms.items():
        assert bench.run("HPEXPIREAT", "h", now_ms + ms, "FIELDS", 1, name) == [1]
    bench.keyspace.expiry = int(Expiry.DELETE)
    bench.effects()


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


def expire(bench: FamilyBench, limit: int = 400) -> list[bytes]:
    """One tick of active expiry; returns the keys looked at."""
    db = bench.keyspace.databases[0]
    looked_at = db.due_volatile(limit)
    for key in looked_at:
        db.expire_fields(key, limit)
    return looked_at


def events_of(bench: FamilyBench) -> list[bytes]:
    """A list that the names of events will be added to."""
    events: list[bytes] = []
    bench.keyspace.notify_flags = Event.HASH | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, db: events.append(event)
    return events


# -- what is seen ---------------------------------------------------------------------------------------------------

READS: list[tuple[Words, object]] = [
    (["HGET", "h", "f"], None),
    (["HMGET", "h", "f", "g"], [None, b"2"]),
    (["HEXISTS", "h", "f"], 0),
    (["HSTRLEN", "h", "f"], 0),
    (["HLEN", "h"], 2),
    (["HGETALL", "h"], {b"g": b"2"}),
    (["HKEYS", "h"], [b"g"]),
    (["HVALS", "h"], [b"2"]),
    (["HRANDFIELD", "h", 5], [b"g"]),
    (["HRANDFIELD", "h"], b"g"),
    (["HSCAN", "h", 0], [b"0", [b"g", b"2"]]),
    (["HTTL", "h", "FIELDS", 2, "f", "g"], [-2, -1]),
    (["HGETEX", "h", "FIELDS", 1, "f"], [None]),
]


@pytest.mark.parametrize("expiry", [Expiry.DELETE, Expiry.HIDE], ids=["primary", "replica"])
@pytest.mark.parametrize(("words", "reply"), READS, ids=lambda value: str(value[0]) if isinstance(value, list) else "")
def test_a_due_field_is_hidden_and_reading_writes_nothing(
    bench: FamilyBench, words: Words, reply: object, expiry: Expiry
) -> None:
    """HLEN alone counts it until it is deleted; while the primary's stream is applied all is seen."""
    with_deadlines(bench, f=-1)
    bench.keyspace.expiry = int(expiry)
    dirty = bench.keyspace.dirty
    assert bench.run(*words) == reply
    assert (bench.effects(), bench.keyspace.dirty) == ([], dirty)
    assert value_of(bench).fields == {b"f": b"1", b"g": b"2"}
    bench.keyspace.expiry = int(Expiry.IGNORE)
    assert bench.run("HGETALL", "h") == {b"f": b"1", b"g": b"2"}


def test_a_hash_of_hidden_fields_only_is_there_and_empty(bench: FamilyBench) -> None:
    """HRANDFIELD finds nothing to give."""
    with_deadlines(bench, f=-1, g=-1)
    assert bench.run("EXISTS", "h") == 1
    assert bench.run("HGETALL", "h") == {}
    assert bench.run("HRANDFIELD", "h") is None
    assert bench.run("HRANDFIELD", "h", -3, "WITHVALUES") == []


def test_sort_does_not_see_a_hidden_field(bench: FamilyBench) -> None:
    """GET key->field gives nothing for it."""
    with_deadlines(bench, f=-1)
    bench.run("SADD", "s", "h")
    assert bench.run("SORT", "s", "BY", "nosort", "GET", "*->f", "GET", "*->g") == [None, b"2"]


# -- writing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "reply", "stream", "events"),
    [
        (["HSET", "h", "f", 9], 1, [], [b"hexpired", b"hset"]),
        (["HSETNX", "h", "f", 9], 1, [(b"HSET", b"h", b"f", b"9")], [b"hexpired", b"hset"]),
        (["HINCRBY", "h", "f", 9], 9, [(b"HSET", b"h", b"f", b"9")], [b"hexpired", b"hincrby"]),
        (["HINCRBYFLOAT", "h", "f", "0.5"], b"0.5", [(b"HSET", b"h", b"f", b"0.5")], [b"hexpired", b"hincrbyfloat"]),
        (
            ["HSETEX", "h", "KEEPTTL", "FIELDS", 1, "f", 9],
            1,
            [(b"HDEL", b"h", b"f"), (b"HSETEX", b"h", b"KEEPTTL", b"FIELDS", b"1", b"f", b"9")],
            [b"hexpired", b"hset"],
        ),
        (["HDEL", "h", "f"], 0, [], []),
        (["HPERSIST", "h", "FIELDS", 1, "f"], [-2], [], []),
        (["HEXPIRE", "h", 5, "FIELDS", 1, "f"], [-2], [], []),
        (["HGETDEL", "h", "FIELDS", 1, "f"], [None], [], []),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) and value and isinstance(value[0], str) else "",
)
def test_a_write_over_a_due_field_finds_none(
    bench: FamilyBench, words: Words, reply: object, stream: list[tuple[bytes, ...]], events: list[bytes]
) -> None:
    """What goes into the stream does the same at a replica, which sees the field all the while."""
    with_deadlines(bench, f=-1)
    seen = events_of(bench)
    assert bench.run(*words) == reply
    assert [command for _, command in bench.effects()] == stream
    assert seen == events
    assert bench.keyspace.expired_fields == (b"hexpired" in events)


def test_setting_a_field_takes_its_deadline_away_and_counting_keeps_it(bench: FamilyBench) -> None:
    """Counting goes into the stream as HSETEX with the deadline, or HSET for a field beside one that has any."""
    with_deadlines(bench, f=1000)
    at = b"%d" % (bench.keyspace.now_ms + 1000)
    assert bench.run("HINCRBY", "h", "f", 1) == 2
    assert bench.run("HINCRBYFLOAT", "h", "f", "0.5") == b"2.5"
    assert bench.run("HINCRBY", "h", "g", 1) == 3
    assert [command for _, command in bench.effects()] == [
        (b"HSETEX", b"h", b"PXAT", at, b"FIELDS", b"1", b"f", b"2"),
        (b"HSETEX", b"h", b"PXAT", at, b"FIELDS", b"1", b"f", b"2.5"),
        (b"HSET", b"h", b"g", b"3"),
    ]
    assert set(value_of(bench).deadlines or {}) == {b"f"}
    assert bench.run("HSET", "h", "f", 5) == 0
    assert value_of(bench).deadlines is None
    assert not bench.keyspace.has_field_deadlines


def test_a_key_may_be_called_fields_and_options_may_stand_behind_the_fields(bench: FamilyBench) -> None:
    """As Redis 8 allows; in the stream they stand where every server looks for them."""
    assert bench.run("HSETEX", "fields", "FIELDS", 1, "fields", 1, "EX", 5) == 1
    assert bench.run("HEXPIRE", "fields", 5, "FIELDS", 1, "fields", "GT") == [0]
    assert bench.run("HGETEX", "fields", "FIELDS", 1, "fields", "PERSIST") == [b"1"]
    at = b"%d" % (bench.keyspace.now_ms + 5000)
    assert [command for _, command in bench.effects()] == [
        (b"HSETEX", b"fields", b"PXAT", at, b"FIELDS", b"1", b"fields", b"1"),
        (b"HPERSIST", b"fields", b"FIELDS", b"1", b"fields"),
    ]
    assert error(bench.run("HEXPIRE", "fields", 5, "FIELDS", 1, "fields", "ZZ")).startswith("ERR numfields should be")
    assert error(bench.run("HSETEX", "fields", "FIELDS", 1, "fields", 1, "EX")) == "ERR syntax error"


def test_a_repeated_option_means_its_last_value_in_the_stream_too(bench: FamilyBench) -> None:
    """What is written must be what a replica can read."""
    bench.run("HSETEX", "h", "EX", 5, "EX", 7, "FIELDS", 1, "f", 1)
    at = b"%d" % (bench.keyspace.now_ms + 7000)
    assert bench.effects() == [(0, (b"HSETEX", b"h", b"PXAT", at, b"FIELDS", b"1", b"f", b"1"))]


# -- keys that move -------------------------------------------------------------------------------------------------


def test_deadlines_move_with_the_hash(bench: FamilyBench) -> None:
    """RENAME, COPY, MOVE, SWAPDB and RESTORE: each hash expires where it then is, and nowhere else."""
    with_deadlines(bench, f=1000)
    bench.run("RENAME", "h", "r")
    bench.run("COPY", "r", "c")
    bench.run("RESTORE", "d", 0, bench.run("DUMP", "r"))  # type: ignore[arg-type]
    bench.run("COPY", "r", "m")
    bench.run("MOVE", "m", 1)
    found = bench.keyspace.keys_with_volatile_fields()
    assert sorted(found) == [(0, b"c"), (0, b"d"), (0, b"r"), (1, b"m")]
    bench.keyspace.swap(0, 1)
    assert sorted(bench.keyspace.keys_with_volatile_fields()) == [(0, b"m"), (1, b"c"), (1, b"d"), (1, b"r")]
    bench.keyspace.now_ms += 5000
    bench.effects()
    assert expire(bench) == [b"m"]
    assert bench.effects() == [(0, (b"HDEL", b"m", b"f"))]
    bench.keyspace.swap(0, 1)
    assert sorted(expire(bench)) == [b"c", b"d", b"r"]


# -- active expiry --------------------------------------------------------------------------------------------------


def test_active_expiry_deletes_due_fields_and_then_the_empty_hash(bench: FamilyBench) -> None:
    """HDEL, and DEL or UNLINK of the hash; events hexpired and del; the primary's clients see one change of the key."""
    with_deadlines(bench, f=10, g=2000)
    seen = events_of(bench)
    broken: list[bool] = []
    bench.session.watch(b"h")
    bench.keyspace.databases[0].watched[b"h"][1] = lambda: broken.append(True)
    bench.keyspace.now_ms += 1000
    assert expire(bench) == [b"h"]
    assert bench.effects() == [(0, (b"HDEL", b"h", b"f"))]
    assert (seen, broken) == ([b"hexpired"], [True])
    assert expire(bench) == []
    bench.keyspace.now_ms += 3000
    bench.keyspace.lazy_expire = True
    assert expire(bench) == [b"h"]
    assert bench.effects() == [(0, (b"HDEL", b"h", b"g")), (0, (b"UNLINK", b"h"))]
    assert seen == [b"hexpired", b"hexpired", b"del"]
    assert bench.keyspace.expired_fields == 2
    assert not bench.keyspace.has_field_deadlines


def test_many_due_fields_go_over_several_ticks(bench: FamilyBench) -> None:
    """A tick deletes no more than it may, the earliest first."""
    bench.run("HSET", "h", *(word for n in range(10) for word in (f"f{n}", n)))
    for n in range(10):
        bench.run("HPEXPIRE", "h", 100 - n, "FIELDS", 1, f"f{n}")
    bench.keyspace.now_ms += 1000
    bench.effects()
    for _ in range(4):
        expire(bench, 3)
        bench.keyspace.now_ms += 300
    commands = [command for _, command in bench.effects()]
    assert commands[:2] == [(b"HDEL", b"h", b"f9", b"f8", b"f7"), (b"HDEL", b"h", b"f6", b"f5", b"f4")]
    assert commands[-1] == (b"DEL", b"h")
    assert not bench.keyspace.databases[0].exists(b"h")


def test_no_key_without_due_fields_is_looked_at(bench: FamilyBench) -> None:
    """Among a thousand hashes with deadlines one is due: one is looked at; one whose deadline moved, once."""
    for n in range(1000):
        bench.run("HSETEX", f"h{n}", "EX", 3600, "FIELDS", 1, "f", 1)
    bench.run("HPEXPIRE", "h7", 5, "FIELDS", 1, "f")
    bench.run("HPEXPIRE", "h8", 5, "FIELDS", 1, "f")
    bench.run("HEXPIRE", "h8", 60, "FIELDS", 1, "f")
    bench.keyspace.now_ms += 2000
    assert sorted(expire(bench)) == [b"h7", b"h8"]
    assert expire(bench) == []
    bench.keyspace.now_ms += 60_000
    assert expire(bench) == [b"h8"]
    assert len(bench.keyspace.databases[0].data) == 998


def test_keys_that_come_and_go_leave_nothing_in_the_index(bench: FamilyBench) -> None:
    """Deleted, or written over by another type."""
    db = bench.keyspace.databases[0]
    for n in range(100):
        bench.run("HSETEX", f"h{n}", "EX", 3600, "FIELDS", 1, "f", 1)
        bench.run("DEL", f"h{n}")
    assert db.volatile == {}
    bench.run("HSETEX", "h", "EX", 3600, "FIELDS", 1, "f", 1)
    db.put(b"h", b"a string")
    assert bench.keyspace.keys_with_volatile_fields() == []
    assert db.volatile == {}


FIELDS = st.sampled_from(["a", "b", "c", "d"])
STEPS = st.one_of(
    st.tuples(st.just("HSET"), FIELDS),
    st.tuples(st.just("HDEL"), FIELDS),
    st.tuples(st.just("HPERSIST"), FIELDS),
    st.tuples(st.just("HINCRBY"), FIELDS),
    st.tuples(st.just("HPEXPIRE"), FIELDS, st.integers(1, 2000)),
    st.tuples(st.just("HSETEX"), FIELDS, st.integers(1, 2000)),
    st.tuples(st.just("time"), st.integers(1, 900)),
    st.tuples(st.just("tick")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_the_hash_is_what_a_list_of_deadlines_says_it_is(steps: list[tuple[object, ...]]) -> None:
    """A model that knows nothing of indexes: after every step the same fields are seen, and in the end all are gone."""
    bench = new_bench()
    model: dict[str, int | None] = {}

    def live() -> set[bytes]:
        now_ms = bench.keyspace.now_ms
        return {name.encode() for name, at in model.items() if at is None or at >= now_ms}

    for step in steps:
        name, now_ms = step[0], bench.keyspace.now_ms
        field = str(step[1]) if len(step) > 1 else ""
        seen = field.encode() in live()
        if name == "time":
            bench.keyspace.now_ms += int(field)
        elif name == "tick":
            expire(bench)
        elif name == "HSET":
            bench.run("HSET", "h", field, 1)
            model[field] = None
        elif name == "HINCRBY":
            bench.run("HINCRBY", "h", field, 1)
            model[field] = model[field] if seen else None
        elif name == "HDEL" and seen:
            bench.run("HDEL", "h", field)
            del model[field]
        elif name == "HPERSIST" and seen:
            bench.run("HPERSIST", "h", "FIELDS", 1, field)
            model[field] = None
        elif name == "HPEXPIRE" and seen:
            bench.run("HPEXPIRE", "h", step[2], "FIELDS", 1, field)  # type: ignore[arg-type]
            model[field] = now_ms + step[2]  # type: ignore[operator]
        elif name == "HSETEX":
            bench.run("HSETEX", "h", "PX", step[2], "FIELDS", 1, field, 1)  # type: ignore[arg-type]
            model[field] = now_ms + step[2]  # type: ignore[operator]
        assert set(bench.run("HKEYS", "h")) == live()  # type: ignore[arg-type]
    bench.keyspace.now_ms += 10_000
    expire(bench)
    lasting = {name.encode() for name, at in model.items() if at is None}
    value = bench.keyspace.databases[0].data.get(b"h")
    assert (set() if value is None else set(value.fields)) == lasting  # type: ignore[union-attr]


def test_hints_of_deadlines_that_moved_stay_few(bench: FamilyBench) -> None:
    """A field whose deadline is moved ten thousand times costs no more than one that has it."""
    with_deadlines(bench, f=10)
    for n in range(10_000):
        bench.run("HPEXPIRE", "h", 100_000 + n, "FIELDS", 1, "f")
    order = value_of(bench)._order
    assert order is None or len(order) < 100


def test_a_scan_of_a_large_hash_with_hidden_fields_comes_to_an_end(bench: FamilyBench) -> None:
    """The index stays with the real hash, so the cursor means the same in every call."""
    bench.run("HSET", "h", *(word for n in range(1000) for word in (f"f{n}", n)))
    bench.keyspace.expiry = int(Expiry.IGNORE)
    bench.run("HPEXPIREAT", "h", bench.keyspace.now_ms - 1, "FIELDS", 500, *(f"f{n}" for n in range(0, 1000, 2)))
    bench.keyspace.expiry = int(Expiry.HIDE)
    met: set[object] = set()
    cursor, calls = b"0", 0
    while calls == 0 or cursor != b"0":
        reply = bench.run("HSCAN", "h", cursor, "COUNT", 50)
        assert isinstance(reply, list)
        cursor, found = reply  # type: ignore[assignment]
        met.update(found[::2])  # type: ignore[index, arg-type]
        calls += 1
    assert met == {b"f%d" % n for n in range(1, 1000, 2)}
    assert calls == 20
