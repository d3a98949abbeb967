"""What the sorted-set commands share: inserting as Redis's encodings do, and settling what a change leaves.

A sorted set that became empty is deleted here and nowhere else; a result that is stored replaces whatever
the destination held, its deadline too.
"""

from __future__ import annotations

import re
from math import isinf
from typing import Final

from txrepl.commands.arguments import number
from txrepl.commands.session import Session
from txrepl.errors import NOT_A_FLOAT, CommandError
from txrepl.keyspace.database import Database, Event, Limits
from txrepl.keyspace.ranking import Scored
from txrepl.keyspace.values import SortedSetValue, equip
from txrepl.resp.replies import Pairs, Reply

_HAS_DIGIT: Final = re.compile(rb"0x[0.]*[1-9a-f]|[0.]*[1-9]", re.IGNORECASE)
"""What begins a number that is not 0."""


def score_argument(text: bytes, error: str = NOT_A_FLOAT) -> float:
    """A score, increment or weight; one that a double can only hold as 0 or infinity is refused (`string2d`).

    Raises:
        CommandError: with `error`.
    """
    if text.isdigit() and len(text) < 300:
        return float(text)
    value = number(text, error)
    if (value == 0 and _HAS_DIGIT.match(text.lstrip(b"+-"))) or (isinf(value) and b"n" not in text.lower()):
        raise CommandError(error)
    return value


def insert(value: SortedSetValue, limits: Limits, member: bytes, score: float) -> None:
    """Set a member's score (`zsetAdd`'s effect on the value).

    A small encoding stores whole numbers as integers, so -0 becomes 0 there; a large one keeps the sign.
    """
    if not value.large:
        if len(member) > limits.zset_value or (len(value.scores) >= limits.zset_entries and member not in value.scores):
            value.large = True
        elif score == 0:
            score = 0.0
    value.set_score(member, score)


def settle_removal(db: Database, key: bytes, value: SortedSetValue, event: bytes, count: int) -> None:
    """Say that `count` members were removed from the key, and delete it if it is empty now."""
    if value.scores:
        db.changed(key, Event.ZSET, event, count)
        return
    db.remove(key)
    db.changed(key, Event.ZSET, event, count)
    db.notify(Event.GENERIC, b"del", key)


def store(s: Session, key: bytes, scores: dict[bytes, float], event: bytes, changes: int = 1) -> int:
    """Make the key hold these members, or nothing; returns how many there are.

    Parameters:
        changes: what storing members counts as.
    """
    db = s.db
    if not scores:
        if db.remove(key):  # also one that has expired: replicas get the command
            db.changed(key, Event.GENERIC, b"del")
        return 0
    db.write(key)
    limits = s.keyspace.limits
    value = SortedSetValue(scores)
    value.large = len(scores) > limits.zset_entries or any(len(member) > limits.zset_value for member in scores)
    if not value.large:
        for member, score in scores.items():
            if score == 0:
                scores[member] = 0.0
    equip(value)
    db.put(key, value)
    db.persist(key)
    db.changed(key, Event.ZSET, event, changes)
    return len(scores)


def scored_reply(found: list[Scored], with_scores: bool) -> Reply:
    """Members, or members with scores, as the range commands answer them."""
    if with_scores:
        return Pairs((member, score) for score, member in found)
    return [member for _, member in found]
