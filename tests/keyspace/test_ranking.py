"""The order of sorted sets, compared with a sorted list."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from txrepl.keyspace.ranking import Ranking, Scored

SCORES = st.sampled_from((-1.0, 0.0, 0.5, 2.0, float("inf"), float("-inf")))
STEPS = st.lists(st.tuples(st.sampled_from("aadt"), st.integers(0, 40), SCORES, st.integers(0, 9)), max_size=120)


def check(ranking: Ranking, expected: list[Scored]) -> None:
    """Every way of asking gives what the sorted list gives."""
    size = len(expected)
    assert len(ranking) == size and list(ranking) == expected
    assert [ranking[rank] for rank in range(size)] == expected
    assert [ranking.rank(*pair) for pair in expected] == list(range(size))
    assert ranking.rank(0.5, b"5") == bisect_left(expected, (0.5, b"5"))
    for score in (-1.0, 0.0, 0.25, 2.0, float("inf")):
        assert ranking.below(score) == sum(pair[0] < score for pair in expected)
        assert list(ranking.between(0.0, score)) == [pair for pair in expected if 0.0 <= pair[0] < score]
    for start in range(0, size + 1, 3):
        assert ranking.span(start, start + 7) == expected[start : start + 7]


@given(st.dictionaries(st.integers(0, 40).map(lambda n: b"%d" % n), SCORES, max_size=30), STEPS, st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_a_ranking_is_a_sorted_list_whatever_is_done_to_it(
    first: dict[bytes, float], steps: list[tuple[str, int, float, int]], block: int
) -> None:
    """Members come, go one by one and in ranges; blocks are cut and joined; ranks are asked for in between."""
    scores = dict(first)
    ranking = Ranking(scores, block)
    for what, number, score, count in steps:
        member = b"%d" % number
        if what == "t":
            expected = sorted((value, name) for name, value in scores.items())[number : number + count]
            assert ranking.take(number, number + count) == expected
            for _, name in expected:
                del scores[name]
        elif member in scores:
            ranking.remove(scores.pop(member), member)
        elif what == "a":
            ranking.add(score, member)
            scores[member] = score
        if count < 2:
            check(ranking, sorted((value, name) for name, value in scores.items()))
    check(ranking, sorted((value, name) for name, value in scores.items()))
    assert all(ranking.members), "an emptied block is dropped"


def test_blocks_stay_neither_large_nor_many() -> None:
    """What grew and was thinned out is joined again."""
    ranking = Ranking({}, 8)
    for number in range(1000):
        ranking.add(float(number % 50), b"%d" % number)
    assert max(map(len, ranking.members)) < 16
    for score, member in list(ranking):
        if int(member) % 20:
            ranking.remove(score, member)
    assert len(ranking) == 50 and len(ranking.members) < 25
