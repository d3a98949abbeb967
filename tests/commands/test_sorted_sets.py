"""Sorted-set commands without a server: what the differential tests cannot see, and the rules in words."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import sorted_sets, zset_algebra, zset_pops, zset_ranges
from txrepl.commands.session import DENY_BLOCKING, PRIMARY, Blocked
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import ORDERED_FROM, SetValue, SortedSetValue
from txrepl.resp.replies import NULL_ARRAY, Pairs, encode

FAMILIES = (sorted_sets.family, zset_ranges.family, zset_algebra.family, zset_pops.family)


@pytest.fixture
def bench() -> FamilyBench:
    """The sorted-set commands over an empty keyspace."""
    return FamilyBench(*FAMILIES)


def listen(bench: FamilyBench) -> list[tuple[bytes, bytes]]:
    """Collect keyspace events as (name, key)."""
    events: list[tuple[bytes, bytes]] = []
    bench.keyspace.notify_flags = Event.ZSET | Event.GENERIC
    bench.keyspace.notify = lambda _, event, key, db: events.append((event, key))
    return events


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


# -- ZADD -------------------------------------------------------------------------------------------------------


def test_zadd_counts_added_members_and_with_ch_updated_ones_too(bench: FamilyBench) -> None:
    """CH adds the changed to the new; a score set to what it was counts nowhere."""
    assert bench.run("ZADD", "z", 1, "a", 2, "b") == 2
    assert bench.run("ZADD", "z", 1, "a", 3, "b", 4, "c") == 1
    assert bench.run("ZADD", "z", "CH", 1, "a", 5, "b", 6, "d") == 2


def test_zadd_gt_and_lt_move_scores_one_way_and_still_add(bench: FamilyBench) -> None:
    """GT never lowers, LT never raises, both add what is new unless XX is there."""
    bench.run("ZADD", "z", 5, "a")
    bench.run("ZADD", "z", "GT", 3, "a", 1, "new")
    assert bench.run("ZMSCORE", "z", "a", "new") == [5.0, 1.0]
    bench.run("ZADD", "z", "LT", "XX", 3, "a", 1, "other")
    assert bench.run("ZMSCORE", "z", "a", "other") == [3.0, None]


def test_zadd_incr_answers_the_score_or_null_when_nothing_was_done(bench: FamilyBench) -> None:
    """INCR replies as ZINCRBY; refused by NX, XX, GT or LT it replies null."""
    assert bench.run("ZADD", "z", "INCR", 2, "a") == 2.0
    assert bench.run("ZADD", "z", "INCR", "XX", 2, "a") == 4.0
    assert bench.run("ZADD", "z", "INCR", "NX", 2, "a") is None
    assert bench.run("ZADD", "z", "INCR", "GT", -2, "a") is None
    assert bench.run("ZADD", "none", "INCR", "XX", 2, "a") is None


def test_infinities_of_both_signs_do_not_add_up(bench: FamilyBench) -> None:
    """inf + -inf is refused, and the score stays."""
    bench.run("ZADD", "z", "inf", "a")
    assert error(bench.run("ZINCRBY", "z", "-inf", "a")) == "ERR resulting score is not a number (NaN)"
    assert bench.run("ZSCORE", "z", "a") == inf


@pytest.mark.parametrize("text", ["nan", "", " 1", "1e400", "-1e400", "1e-400", "0x1p-2000", "1x", "++1"])
def test_a_score_that_is_no_double_is_refused_and_nothing_is_added(bench: FamilyBench, text: str) -> None:
    """All scores are read before the first member is added."""
    assert error(bench.run("ZADD", "z", 1, "a", text, "b")) == "ERR value is not a valid float"
    assert bench.run("ZCARD", "z") == 0


@pytest.mark.parametrize(("text", "score"), [("0x10", 16.0), ("0e5", 0.0), ("-Infinity", -inf), (".5", 0.5)])
def test_spellings_of_scores_that_strtod_reads(bench: FamilyBench, text: str, score: float) -> None:
    """Hexadecimal numbers, words for infinity and bare fractions are scores."""
    bench.run("ZADD", "z", text, "a")
    assert bench.run("ZSCORE", "z", "a") == score


def test_minus_zero_keeps_its_sign_only_in_the_large_encoding(bench: FamilyBench) -> None:
    """A small encoding stores an integer 0, as a listpack does."""
    bench.run("ZADD", "small", "-0", "a")
    bench.run("ZADD", "large", 1, "x" * 65)
    bench.run("ZADD", "large", "-0", "a")
    assert encode(bench.run("ZSCORE", "small", "a"), 3) == b",0\r\n"
    assert encode(bench.run("ZSCORE", "large", "a"), 3) == b",-0\r\n"


def test_the_encoding_turns_large_with_the_limits_and_stays(bench: FamilyBench) -> None:
    """More than 128 members, or one of more than 64 bytes; removing brings no small encoding back."""
    for i in range(128):
        bench.run("ZADD", "z", i, f"m{i}")
    value = bench.session.db.data[b"z"]
    assert isinstance(value, SortedSetValue) and not value.large
    bench.run("ZADD", "z", 1, "m1", 128, "m128")
    assert value.large
    bench.run("ZREMRANGEBYRANK", "z", 0, 99)
    assert value.large


def test_a_long_member_in_the_command_makes_the_encoding_large_first(bench: FamilyBench) -> None:
    """So a -0 before it keeps its sign, and so it is even where XX adds nothing."""
    bench.run("ZADD", "z", "-0", "a", 1, "x" * 65)
    assert encode(bench.run("ZSCORE", "z", "a"), 2) == b"$2\r\n-0\r\n"
    bench.run("ZADD", "y", 1, "a")
    bench.run("ZADD", "y", "XX", 1, "x" * 65)
    value = bench.session.db.data[b"y"]
    assert isinstance(value, SortedSetValue) and value.large


# -- ranges -----------------------------------------------------------------------------------------------------

ZSET = st.dictionaries(st.binary(max_size=3), st.sampled_from([-inf, -2.0, -0.0, 0.0, 0.5, 1.0, 1.5, inf]), max_size=12)
BOUND = st.tuples(st.sampled_from([-inf, -2.0, 0.0, 0.5, 1.0, 3.0, inf]), st.booleans())


def filled(scores: dict[bytes, float], large: bool = False) -> FamilyBench:
    bench = FamilyBench(*FAMILIES)
    if scores:
        value = SortedSetValue(dict(scores))
        value.large = large
        bench.session.db.put(b"z", value)
    return bench


def spelled(bound: tuple[float, bool]) -> str:
    return f"{'(' if bound[1] else ''}{bound[0]}"


@given(ZSET, BOUND, BOUND, st.booleans())
@settings(max_examples=100, deadline=None)
def test_a_score_range_is_what_comparing_each_score_gives(
    scores: dict[bytes, float], low: tuple[float, bool], high: tuple[float, bool], reverse: bool
) -> None:
    """Open and closed bounds, infinities included, in both directions; ZCOUNT counts the same."""
    wanted = sorted(
        (score, member)
        for member, score in scores.items()
        if (score > low[0] or (score == low[0] and not low[1]))
        and (score < high[0] or (score == high[0] and not high[1]))
    )
    bench = filled(scores)
    if reverse:
        reply = bench.run("ZREVRANGEBYSCORE", "z", spelled(high), spelled(low))
        wanted.reverse()
    else:
        reply = bench.run("ZRANGEBYSCORE", "z", spelled(low), spelled(high))
    assert reply == [member for _, member in wanted]
    assert bench.run("ZCOUNT", "z", spelled(low), spelled(high)) == len(wanted)


@given(
    st.sets(st.binary(max_size=2), max_size=12),
    st.binary(max_size=2),
    st.binary(max_size=2),
    st.booleans(),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_lex_range_is_what_comparing_each_member_gives(
    members: set[bytes], low: bytes, high: bytes, open_low: bool, large: bool
) -> None:
    """With equal scores the small and the large encoding find the same members."""
    bench = filled(dict.fromkeys(members, 0.0), large)
    wanted = sorted(m for m in members if (m > low if open_low else m >= low) and m <= high)
    bounds = ((b"(" if open_low else b"[") + low, b"[" + high)
    assert bench.run("ZRANGEBYLEX", "z", *bounds) == wanted
    assert bench.run("ZRANGE", "z", *reversed(bounds), "BYLEX", "REV") == wanted[::-1]
    assert bench.run("ZLEXCOUNT", "z", *bounds) == len(wanted)
    assert bench.run("ZREMRANGEBYLEX", "z", *bounds) == len(wanted)
    assert bench.run("ZCARD", "z") == len(members) - len(wanted)


@given(ZSET, st.integers(-15, 15), st.integers(-15, 15), st.integers(0, 4), st.integers(-1, 4))
@settings(max_examples=100, deadline=None)
def test_rank_ranges_and_limits_are_slices(
    scores: dict[bytes, float], first: int, last: int, offset: int, limit: int
) -> None:
    """Ranks count from either end; LIMIT skips and cuts in the direction of walking."""
    order = [member for _, member in sorted((score, member) for member, score in scores.items())]
    size = len(order)
    start = max(first + size if first < 0 else first, 0)
    stop = (last + size if last < 0 else last) + 1
    bench = filled(scores)
    assert bench.run("ZRANGE", "z", first, last) == order[start : max(stop, 0)]
    assert bench.run("ZREVRANGE", "z", first, last) == order[::-1][start : max(stop, 0)]
    wanted = order[::-1][offset:]
    wanted = wanted if limit < 0 else wanted[:limit]
    assert bench.run("ZRANGE", "z", "inf", "-inf", "BYSCORE", "REV", "LIMIT", offset, limit) == wanted


def test_a_negative_offset_finds_nothing(bench: FamilyBench) -> None:
    """As up to Redis 7.2, whatever the encoding."""
    bench.run("ZADD", "z", 1, "a", 2, "x" * 65)
    assert bench.run("ZRANGEBYSCORE", "z", "-inf", "inf", "LIMIT", -1, 5) == []


def test_a_lex_range_over_mixed_scores_walks_as_a_listpack_is_walked(bench: FamilyBench) -> None:
    """Forward it runs from the first member in range to the first out of it, backward from the other end."""
    bench.run("ZADD", "z", 1, "b", 2, "z", 3, "c", 4, "a")
    assert bench.run("ZRANGEBYLEX", "z", "[b", "[d") == []
    bench.run("ZADD", "z", 5, "c2")
    assert bench.run("ZRANGEBYLEX", "z", "[b", "[d") == [b"b"]
    assert bench.run("ZREVRANGEBYLEX", "z", "[d", "[b") == [b"c2"]


def test_zrank_with_score(bench: FamilyBench) -> None:
    """WITHSCORE gives rank and score, a null array when the member is absent."""
    bench.run("ZADD", "z", 1, "a", 2.5, "b")
    assert bench.run("ZRANK", "z", "b", "WITHSCORE") == [1, 2.5]
    assert bench.run("ZREVRANK", "z", "b", "withscore") == [0, 2.5]
    assert bench.run("ZRANK", "z", "c", "WITHSCORE") is NULL_ARRAY
    assert bench.run("ZRANK", "z", "c") is None
    assert error(bench.run("ZRANK", "z", "b", "WITHSCORES")) == "ERR syntax error"
    assert error(bench.run("ZRANK", "z", "b", "x", "y")) == "ERR wrong number of arguments for 'zrank' command"


# -- set operations ---------------------------------------------------------------------------------------------


def test_what_is_not_a_number_becomes_zero(bench: FamilyBench) -> None:
    """inf - inf as a sum, inf * 0 as a weighted score."""
    bench.run("ZADD", "a", "inf", "m")
    bench.run("ZADD", "b", "-inf", "m")
    assert bench.run("ZUNION", 2, "a", "b", "WITHSCORES") == [(b"m", 0.0)]
    assert bench.run("ZINTER", 1, "a", "WEIGHTS", 0, "WITHSCORES") == [(b"m", 0.0)]


def test_plain_sets_take_part_with_one_each(bench: FamilyBench) -> None:
    """A set's members count 1, times the weight."""
    bench.run("ZADD", "z", 2, "m", 5, "n")
    bench.session.db.put(b"s", SetValue({b"m", b"o"}))
    assert bench.run("ZUNION", 2, "z", "s", "WEIGHTS", 1, 10, "WITHSCORES") == [(b"n", 5.0), (b"o", 10.0), (b"m", 12.0)]
    assert bench.run("ZINTER", 2, "s", "z", "AGGREGATE", "MAX", "WITHSCORES") == [(b"m", 2.0)]
    assert bench.run("ZDIFF", 2, "z", "s", "WITHSCORES") == [(b"n", 5.0)]
    assert bench.run("ZINTERCARD", 2, "z", "s") == 1


def test_a_stored_result_replaces_any_type_and_drops_the_deadline(bench: FamilyBench) -> None:
    """An empty result deletes the destination; a second one changes nothing."""
    events = listen(bench)
    db = bench.session.db
    db.put(b"d", b"text")
    db.set_expire(b"d", 1_800_000_000_000)
    db.put(b"s", SetValue({b"m"}))
    assert bench.run("ZUNIONSTORE", "d", 1, "s") == 1
    assert b"d" not in db.expires and bench.run("ZSCORE", "d", "m") == 1.0
    assert bench.run("ZINTERSTORE", "d", 2, "s", "none") == 0
    assert bench.run("ZRANGESTORE", "d", "none", 0, -1) == 0
    assert not db.exists(b"d")
    assert events == [(b"zunionstore", b"d"), (b"del", b"d")]
    assert bench.keyspace.dirty == 2


# -- pops -------------------------------------------------------------------------------------------------------


def test_a_pop_that_empties_the_key_deletes_it_and_says_so(bench: FamilyBench) -> None:
    """One event for the pop however many members, one for the key."""
    bench.run("ZADD", "z", 1, "a", 2, "b")
    events = listen(bench)
    dirty = bench.keyspace.dirty
    assert bench.run("ZPOPMAX", "z", 5) == [(b"b", 2.0), (b"a", 1.0)]
    assert events == [(b"zpopmax", b"z"), (b"del", b"z")]
    assert bench.keyspace.dirty == dirty + 2
    assert not bench.session.db.exists(b"z")


def test_only_with_a_count_are_popped_members_paired(bench: FamilyBench) -> None:
    """RESP3 shows the difference between one flat pair and a list of pairs."""
    bench.run("ZADD", "z", 1, "a", 2, "b")
    assert encode(bench.run("ZPOPMIN", "z"), 3) == b"*2\r\n$1\r\na\r\n,1\r\n"
    assert encode(bench.run("ZPOPMIN", "z", 1), 3) == b"*1\r\n*2\r\n$1\r\nb\r\n,2\r\n"


@pytest.mark.parametrize(
    ("words", "effect"),
    [
        (["BZPOPMIN", "none", "z", 0], (b"ZPOPMIN", b"z")),
        (["BZPOPMAX", "z", 0], (b"ZPOPMAX", b"z")),
        (["ZMPOP", 2, "none", "z", "MIN", "COUNT", 9], (b"ZPOPMIN", b"z", b"3")),
        (["BZMPOP", 0, 1, "z", "MAX"], (b"ZPOPMAX", b"z", b"1")),
    ],
)
def test_what_a_pop_puts_into_the_stream(bench: FamilyBench, words: list[str | int], effect: tuple[bytes, ...]) -> None:
    """The effect on the one key, with the count that was really popped."""
    bench.run("ZADD", "z", 1, "a", 2, "b", 3, "c")
    bench.effects()
    bench.run(*words)
    assert bench.effects() == [(0, effect)] and not bench.keyspace.verbatim


@pytest.mark.parametrize(
    "words", [["BZPOPMIN", "a", "b", 1.5], ["BZPOPMAX", "a", "b", 1.5], ["BZMPOP", 1.5, 2, "a", "b", "MIN"]]
)
def test_with_nothing_to_pop_a_client_waits_unless_it_may_not(bench: FamilyBench, words: list[str | float]) -> None:
    """It waits for all keys, for so many ms; inside EXEC and in the primary's stream it gets null at once."""
    waiting = bench.run(*words)
    assert isinstance(waiting, Blocked)
    assert (waiting.keys, waiting.timeout_ms, waiting.on_timeout()) == ([b"a", b"b"], 1500, NULL_ARRAY)
    for flag in (DENY_BLOCKING, PRIMARY):
        bench.session.flags = flag
        assert bench.run(*words) is NULL_ARRAY


@pytest.mark.parametrize("command", [["ZADD", "z", 1, "a"], ["ZINCRBY", "z", 1, "a"], ["ZUNIONSTORE", "z", 1, "from"]])
def test_adding_members_wakes_who_waits_for_the_key(bench: FamilyBench, command: list[str | int]) -> None:
    """A key that was not there; replacing a value of another type wakes nobody, as in Redis."""
    bench.session.db.put(b"from", SetValue({b"m"}))
    bench.session.db.waiting[b"z"] = 1
    bench.run(*command)
    assert list(bench.keyspace.ready) == [(0, b"z")]
    bench.keyspace.ready.clear()
    bench.session.db.put(b"z", b"text")
    bench.run("ZUNIONSTORE", "z", 1, "from")
    assert not bench.keyspace.ready


def test_a_client_that_waited_is_served_past_a_key_of_another_type(bench: FamilyBench) -> None:
    """The first key became a string while the client waited for both."""
    waiting = bench.run("BZPOPMIN", "a", "b", 0)
    assert isinstance(waiting, Blocked)
    bench.session.waiting = waiting
    bench.session.db.put(b"a", b"text")
    assert isinstance(bench.run("BZPOPMIN", "a", "b", 0), Blocked)
    bench.run("ZADD", "b", 1, "m")
    assert bench.run("BZPOPMIN", "a", "b", 0) == [b"b", b"m", 1.0]


def test_a_failing_command_leaves_no_trace(bench: FamilyBench) -> None:
    """Refusals change neither data nor the counter of changes."""
    bench.session.db.put(b"text", b"value")
    for words in (["ZADD", "text", 1, "a"], ["BZPOPMIN", "none", "text", 0], ["ZUNIONSTORE", "d", 1, "text"]):
        assert error(bench.run(*words)).startswith("WRONGTYPE")
    assert bench.keyspace.dirty == 0 and set(bench.session.db.data) == {b"text"}


# -- random members, scanning, and large sets -------------------------------------------------------------------


def test_random_members_repeat_only_for_a_negative_count(bench: FamilyBench) -> None:
    """A positive count gives different members, at most all; a negative one exactly so many."""
    for i in range(200):
        bench.run("ZADD", "z", i, f"m{i}")
    few = bench.run("ZRANDMEMBER", "z", 10)
    assert isinstance(few, list) and len(set(few)) == 10
    everything = bench.run("ZRANDMEMBER", "z", 500)
    assert isinstance(everything, list) and len(set(everything)) == len(everything) == 200
    many = bench.run("ZRANDMEMBER", "z", -500, "WITHSCORES")
    assert isinstance(many, Pairs) and len(many) == 500
    assert all(member == b"m%d" % score for member, score in many)
    assert bench.run("ZRANDMEMBER", "z") in everything


def test_a_scan_meets_every_member_that_stays(bench: FamilyBench) -> None:
    """Members are added and removed between the calls."""
    for i in range(300):
        bench.run("ZADD", "z", i, f"m{i}")
    met: dict[bytes, bytes] = {}
    cursor = b"0"
    for step in range(1000):
        cursor, flat = bench.run("ZSCAN", "z", cursor, "COUNT", 7)
        met.update(zip(flat[::2], flat[1::2], strict=True))
        if cursor == b"0":
            break
        bench.run("ZADD", "z", step, f"new{step}")
        bench.run("ZREM", "z", f"m{200 + step}")
    assert cursor == b"0"
    assert {b"m%d" % i: b"%d" % i for i in range(200)}.items() <= met.items()


@given(st.lists(st.tuples(st.sampled_from("adr"), st.integers(0, 60), st.integers(-3, 3)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_both_views_of_a_large_set_stay_equal(steps: list[tuple[str, int, int]]) -> None:
    """Adding, removing and taking ranges keep the order equal to the scores, above the size that keeps it."""
    value = SortedSetValue()
    for i in range(ORDERED_FROM + 10):
        value.set_score(b"%d" % i, float(i % 7))
    for what, number, score in steps:
        if what == "a":
            value.set_score(b"%d" % number, float(score))
        elif what == "d":
            value.discard(b"%d" % number)
        else:
            value.take(number, number + score + 3)
    assert list(value.order()) == sorted((score, member) for member, score in value.scores.items())
