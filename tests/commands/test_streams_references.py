"""Deleting with regard to groups: what each policy leaves, and that older servers come to the same by the effects."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import streams, streams_claims, streams_groups, streams_reads, streams_references
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.streams import StreamValue

FAMILIES = (
    streams.family,
    streams_claims.family,
    streams_groups.family,
    streams_reads.family,
    streams_references.family,
)
OLD_COMMANDS = {b"XADD", b"XDEL", b"XACK", b"XTRIM", b"XGROUP", b"XCLAIM"}


@pytest.fixture
def bench() -> FamilyBench:
    """Entries 1-0 to 4-0: group `a` has read all and acknowledged 1-0, `b` has read and acknowledged 1-0 and 2-0."""
    bench = FamilyBench(*FAMILIES)
    for number in range(1, 5):
        bench.run("XADD", "s", f"{number}-0", "f", "v")
    for group in ("a", "b"):
        bench.run("XGROUP", "CREATE", "s", group, 0)
    bench.run("XREADGROUP", "GROUP", "a", "c", "STREAMS", "s", ">")
    bench.run("XACK", "s", "a", "1-0")
    bench.run("XREADGROUP", "GROUP", "b", "c", "COUNT", 2, "STREAMS", "s", ">")
    bench.run("XACK", "s", "b", "1-0", "2-0")
    bench.effects()
    return bench


def value(bench: FamilyBench) -> StreamValue:
    found = bench.keyspace.databases[0].data[b"s"]
    assert isinstance(found, StreamValue)
    return found


def left(bench: FamilyBench) -> tuple[list[int], dict[bytes, list[int]]]:
    """The ids that are left, and those pending in each group, without their zeros."""
    stream = value(bench)
    return [ms for ms, _ in stream.ids()], {name: [ms for ms, _ in g.pending] for name, g in stream.groups.items()}


def effects(bench: FamilyBench) -> list[bytes]:
    return [b" ".join(command) for _, command in bench.effects()]


ALL = (b"IDS", 5, "1-0", "2-0", "3-0", "4-0", "9-0")


def test_keepref_deletes_and_leaves_what_is_pending(bench: FamilyBench) -> None:
    """As XDEL does; it is what is meant when nothing is said."""
    assert bench.run("XDELEX", "s", "IDS", 2, "2-0", "9-0") == [1, -1]
    assert left(bench) == ([1, 3, 4], {b"a": [2, 3, 4], b"b": []})
    assert effects(bench) == [b"XDEL s 2-0"]


def test_delref_takes_the_entries_out_of_every_group(bench: FamilyBench) -> None:
    """Those that are gone already as well."""
    bench.run("XDEL", "s", "3-0")
    assert bench.run("XDELEX", "s", *ALL, "delref") == [1, 1, -1, 1, -1]
    assert left(bench) == ([], {b"a": [], b"b": []})
    assert effects(bench) == [b"XACK s a 2-0 3-0 4-0", b"XDEL s 1-0 2-0 4-0"]


def test_acked_deletes_only_what_all_groups_are_done_with(bench: FamilyBench) -> None:
    """Neither what is pending nor what a group has not read."""
    assert bench.run("XDELEX", "s", "ACKED", *ALL) == [1, 2, 2, 2, -1]
    assert left(bench)[0] == [2, 3, 4]
    assert effects(bench) == [b"XDEL s 1-0"]


def test_xackdel_acknowledges_and_then_deletes_by_the_same_rules(bench: FamilyBench) -> None:
    """What is not pending in the group is not touched."""
    assert bench.run("XACKDEL", "s", "a", "ACKED", *ALL) == [-1, 1, 2, 2, -1]
    assert left(bench) == ([1, 3, 4], {b"a": [], b"b": []})
    assert effects(bench) == [b"XACK s a 2-0 3-0 4-0", b"XDEL s 2-0"]
    bench.run("XREADGROUP", "GROUP", "b", "c", "STREAMS", "s", ">")
    bench.effects()
    assert bench.run("XACKDEL", "s", "b", "DELREF", "IDS", 1, "3-0") == [1]
    assert effects(bench) == [b"XACK s b 3-0", b"XDEL s 3-0"]


def test_a_key_or_group_that_is_absent_has_no_such_entries(bench: FamilyBench) -> None:
    """One -1 for each id."""
    assert bench.run("XDELEX", "none", "ACKED", "IDS", 2, "1-0", "2-0") == [-1, -1]
    assert bench.run("XACKDEL", "s", "none", "IDS", 1, "1-0") == [-1]
    assert bench.effects() == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((b"IDS", 0, "1-0"), "ERR Number of IDs must be a positive integer"),
        ((b"IDS", "x", "1-0"), "ERR Number of IDs must be a positive integer"),
        ((b"IDS", 3, "1-0"), "ERR The `numids` parameter must match the number of arguments"),
        ((b"IDS", 1, "1-0", "2-0"), "ERR syntax error"),
        ((b"ACKED", "DELREF", "IDS", 1, "1-0"), "ERR syntax error"),
        ((b"ACKED", "1-0", "2-0"), "ERR syntax error"),
        ((b"IDS", 1, "x"), "ERR Invalid stream ID specified as stream command argument"),
    ],
)
def test_wrong_words_change_nothing(bench: FamilyBench, words: tuple[bytes | str | int, ...], text: str) -> None:
    """All or nothing, as Redis has it."""
    error = bench.run("XDELEX", "s", *words)
    assert isinstance(error, CommandError) and error.message.decode() == text
    assert left(bench)[0] == [1, 2, 3, 4]


def test_trimming_by_policy(bench: FamilyBench) -> None:
    """ACKED skips what is needed, DELREF releases it, KEEPREF is plain trimming; events are those of trimming."""
    events: list[bytes] = []
    bench.keyspace.notify_flags = Event.STREAM
    bench.keyspace.notify = lambda _, event, key, db: events.append(event)
    assert bench.run("XTRIM", "s", "MAXLEN", 0, "ACKED") == 1
    assert effects(bench) == [b"XDEL s 1-0"]
    assert bench.run("XADD", "s", "ACKED", "MAXLEN", "~", 1, "5-0", "f", "v") == b"5-0"
    assert effects(bench) == [b"XADD s 5-0 f v"]
    assert left(bench)[0] == [2, 3, 4, 5]
    assert bench.run("XADD", "s", "MAXLEN", 3, "DELREF", "6-0", "f", "v") == b"6-0"
    assert left(bench) == ([4, 5, 6], {b"a": [4], b"b": []})
    assert effects(bench) == [b"XACK s a 2-0 3-0", b"XADD s MAXLEN 3 6-0 f v"]
    assert bench.run("XTRIM", "s", "KEEPREF", "MINID", "=", "5-0") == 1
    assert left(bench) == ([5, 6], {b"a": [4], b"b": []})
    assert effects(bench) == [b"XTRIM s MINID = 5-0"]
    assert events == [b"xtrim", b"xadd", b"xadd", b"xtrim", b"xtrim"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("ack"), st.sampled_from("ab"), st.integers(1, 12)),
        st.tuples(st.just("xdelex"), st.sampled_from(["KEEPREF", "DELREF", "ACKED"]), st.integers(1, 12)),
        st.tuples(st.just("xackdel"), st.sampled_from(["KEEPREF", "DELREF", "ACKED"]), st.integers(1, 12)),
        st.tuples(st.just("xtrim"), st.sampled_from(["KEEPREF", "DELREF", "ACKED"]), st.integers(0, 6)),
        st.tuples(st.just("minid"), st.sampled_from(["KEEPREF", "DELREF", "ACKED"]), st.integers(0, 12)),
        st.tuples(st.just("xadd"), st.sampled_from(["KEEPREF", "DELREF", "ACKED"]), st.integers(0, 6)),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.sampled_from(["=", "~"]))
def test_who_knows_only_older_commands_comes_to_the_same(steps: list[tuple[str, str, int]], how: str) -> None:
    """Whatever is done, its effects make an equal stream, with equal groups and counters."""
    ours, theirs = FamilyBench(*FAMILIES), FamilyBench(*FAMILIES)
    for bench in (ours, theirs):
        bench.keyspace.limits.stream_node_entries = 3
        for number in range(1, 7):
            bench.run("XADD", "s", f"{number}-0", "f", "v")
        for group in "ab":
            bench.run("XGROUP", "CREATE", "s", group, 0)
    ours.effects()
    added = 6
    for name, word, number in steps:
        if name == "read":
            words = ["XREADGROUP", "GROUP", word, "c", "COUNT", number, "STREAMS", "s", ">"]
        elif name == "ack":
            words = ["XACK", "s", word, f"{number}-0"]
        elif name == "xdelex":
            words = ["XDELEX", "s", word, "IDS", 2, f"{number}-0", f"{number + 1}-0"]
        elif name == "xackdel":
            words = ["XACKDEL", "s", "a", "IDS", 2, f"{number}-0", f"{number + 1}-0", word]
        elif name == "xadd":
            added += 1
            words = ["XADD", "s", word, "MAXLEN", how, number, f"{added}-0", "f", "v"]
        else:
            strategy, bound = ("MAXLEN", str(number)) if name == "xtrim" else ("MINID", f"{number}-0")
            words = ["XTRIM", "s", strategy, how, bound, word]
        dirty = ours.keyspace.dirty
        ours.run(*words)
        told = [command for _, command in ours.effects()]
        if ours.keyspace.verbatim and ours.keyspace.dirty != dirty:
            told.append(tuple(str(word).encode() for word in words))
        for command in told:
            assert command[0].upper() in OLD_COMMANDS
            assert not {word.upper() for word in command} & {b"KEEPREF", b"DELREF", b"ACKED"}
            theirs.run(*command)
        assert left(theirs) == left(ours), words
        assert value(theirs).max_deleted_id == value(ours).max_deleted_id
