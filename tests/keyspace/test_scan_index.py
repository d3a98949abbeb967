"""Scanning and picking while members come and go."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from txrepl.keyspace.scan import ScanIndex


@given(st.integers(0, 2**32))
def test_a_scan_meets_who_stays_whatever_comes_and_goes(seed: int) -> None:
    """Dead entries are tidied up, picked away and taken meanwhile, and the index is made anew."""
    rng = random.Random(seed)
    staying = {b"stay:%d" % number for number in range(rng.randrange(1, 60))}
    members = set(staying)
    index = ScanIndex(members)
    met: set[bytes] = set()
    cursor, calls = 0, 0
    while calls == 0 or cursor:
        cursor, found = index.scan(cursor, rng.randrange(1, 12))
        assert members.issuperset(found)
        met.update(found)
        for _ in range(rng.randrange(12)):
            going = b"come:%d" % rng.randrange(30)
            if going in members:
                members.remove(going)
            elif calls < 30:
                members.add(going)
                index.added(going)
            assert index.pick(rng.random) in members
        calls += 1
    assert staying <= met


def test_every_member_is_picked_about_as_often() -> None:
    """Also where dead entries are between the living."""
    rng = random.Random(7)
    members = {b"%d" % number for number in range(100)}
    index = ScanIndex(members)
    members -= {b"%d" % number for number in range(0, 100, 3)}
    counts = dict.fromkeys(members, 0)
    for _ in range(6600):
        counts[index.pick(rng.random)] += 1
    assert min(counts.values()) > 50 and max(counts.values()) < 160


def test_taking_empties_a_set_without_a_trace() -> None:
    """What SPOP does: each member once, and no entry is left."""
    rng = random.Random(3)
    members = {b"%d" % number for number in range(500)}
    index = ScanIndex(members)
    taken: list[bytes] = []
    while members:
        taken.append(index.take(rng.random))
        members.remove(taken[-1])
    assert len(set(taken)) == 500 and index.entries == []


def test_the_entries_stay_bounded_however_often_members_return() -> None:
    """New members, and the same ones over and over."""
    members = {b"%d" % number for number in range(100)}
    index = ScanIndex(members)
    for step in range(20_000):
        for member in (b"same:%d" % (step % 7), b"new:%d" % step):
            members.add(member)
            index.added(member)
            members.remove(member)
        assert len(index.entries) <= 4 * 102 + 64


def test_a_cursor_from_before_the_index_was_made_anew_begins_again() -> None:
    """Its position means nothing any more, and nobody is to be missed."""
    members = {b"%d" % number for number in range(40)}
    index = ScanIndex(members)
    cursor, _ = index.scan(0, 39)
    while index.scan(0, 1)[0] >> 40 == 0:
        index.added(b"0")
    met: list[bytes] = []
    while cursor:
        cursor, found = index.scan(cursor, 10)
        met += found
    assert set(met) == members
