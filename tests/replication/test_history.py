"""The pair of ids and the offset, through the changes that a node's history can take."""

from __future__ import annotations

import itertools

import pytest

from txrepl.replication.history import NO_REPLID, History

Fields = tuple[str, str, int, int]


@pytest.fixture
def history() -> History:
    """A history whose ids are 1, 2, 3 …, 100 bytes long."""
    ids = itertools.count(1)
    made = History(lambda: f"{next(ids):040x}")
    made.offset = 100
    return made


def named(number: int) -> str:
    """The id of that number."""
    return f"{number:040x}"


def fields(history: History) -> Fields:
    """What INFO shows."""
    return history.replid, history.replid2, history.second_offset, history.offset


def test_a_new_history_has_an_id_and_no_past(history: History) -> None:
    """Forty zeros and -1 mean none."""
    assert NO_REPLID == "0" * 40
    assert fields(history) == (named(1), NO_REPLID, -1, 100)


def test_shifting_keeps_the_old_id_up_to_the_next_byte(history: History) -> None:
    """What a replica of the old history may still ask for is second_offset, and no more (PSYNC2)."""
    history.shift()
    assert fields(history) == (named(2), named(1), 101, 100)
    history.offset = 150
    history.shift()
    assert fields(history) == (named(3), named(2), 151, 150)


def test_taking_over_an_id_makes_ours_the_second(history: History) -> None:
    """`+CONTINUE` with another id."""
    history.take_over("a" * 40)
    assert fields(history) == ("a" * 40, named(1), 101, 100)


def test_adopting_a_history_forgets_ours(history: History) -> None:
    """After a full sync nothing of the old is left to go on with."""
    history.shift()
    history.adopt("a" * 40, 7)
    assert fields(history) == ("a" * 40, NO_REPLID, -1, 7)


def test_changing_the_id_cuts_off_whoever_followed(history: History) -> None:
    """Neither the id before nor the one before that is accepted any more; the offset goes on."""
    history.shift()
    history.change_id()
    assert fields(history) == (named(3), NO_REPLID, -1, 100)


def test_the_second_id_can_be_forgotten_alone(history: History) -> None:
    """`clearReplicationId2`."""
    history.shift()
    history.clear_second()
    assert fields(history) == (named(2), NO_REPLID, -1, 100)
