"""The list commands that look at several lists or wait for one to have elements.

The words are checked before anything is looked up, so that a command that waits can no longer be wrong. What
was taken goes into the stream as the command that needs no waiting: `LPOP key`, `RPOP key 3`, `LMOVE …`.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.arguments import integer_between, timeout_ms
from txrepl.commands.lists import from_left, move, take
from txrepl.commands.session import Blocked, Session
from txrepl.commands.table import Family, counted_keys, key_at, keys_from
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.resp.replies import NULL_ARRAY, Reply

family = Family("list")

POP_NAMES: Final = (b"RPOP", b"LPOP")


# -- BLPOP, BRPOP -------------------------------------------------------------------------------------------------


def _blocking_pop(s: Session, argv: list[bytes], left: bool) -> Reply:
    patience_ms = timeout_ms(argv[-1])
    keys = argv[1:-1]
    for key in keys:
        value = s.db.write_list(key)
        if value is not None:
            (element,) = take(s, key, value, left, 1)
            s.propagate(POP_NAMES[left], key)
            return [key, element]
    return Blocked(keys, patience_ms) if s.may_block else NULL_ARRAY


@family.command(
    "blpop",
    -3,
    "write blocking",
    keys_from(1, "RW ACCESS DELETE", last=-2),
    since="2.0.0",
    summary="Removes and gives the first element of the first list that has one, waiting until one does.",
    complexity="O(N), N being the number of keys",
)
def blpop(s: Session, argv: list[bytes]) -> Reply:
    """BLPOP key [key …] timeout"""
    return _blocking_pop(s, argv, True)


@family.command(
    "brpop",
    -3,
    "write blocking",
    keys_from(1, "RW ACCESS DELETE", last=-2),
    since="2.0.0",
    summary="Removes and gives the last element of the first list that has one, waiting until one does.",
    complexity="O(N), N being the number of keys",
)
def brpop(s: Session, argv: list[bytes]) -> Reply:
    """BRPOP key [key …] timeout"""
    return _blocking_pop(s, argv, False)


# -- LMPOP, BLMPOP ------------------------------------------------------------------------------------------------


def _several_options(argv: list[bytes], position: int) -> tuple[list[bytes], bool, int]:
    """Keys, side and COUNT of `numkeys key [key …] LEFT|RIGHT [COUNT count]`, numkeys standing at `position`."""
    numkeys = integer_between(argv[position], 1, INT64_MAX, "ERR numkeys should be greater than 0")
    where = position + 1 + numkeys
    if where >= len(argv):
        raise CommandError(SYNTAX)
    left = from_left(argv[where])
    rest = argv[where + 1 :]
    if not rest:
        return argv[position + 1 : where], left, 1
    if len(rest) == 1 or rest[0].upper() != b"COUNT":
        raise CommandError(SYNTAX)
    count = integer_between(rest[1], 1, INT64_MAX, "ERR count should be greater than 0")
    if len(rest) > 2:
        raise CommandError(SYNTAX)
    return argv[position + 1 : where], left, count


def _pop_several(s: Session, keys: list[bytes], left: bool, count: int) -> list[Reply] | None:
    """Take from the first list that is there: its key and the elements; None if there is none."""
    for key in keys:
        value = s.db.write_list(key)
        if value is not None:
            taken = take(s, key, value, left, count)
            s.propagate(POP_NAMES[left], key, b"%d" % len(taken))
            return [key, [*taken]]
    return None


@family.command(
    "lmpop",
    -4,
    "write",
    counted_keys(1, "RW ACCESS DELETE"),
    since="7.0.0",
    summary="Removes and gives elements from the first list that has some.",
    complexity="O(N+M), N being the number of keys and M the number of elements given",
)
def lmpop(s: Session, argv: list[bytes]) -> Reply:
    """LMPOP numkeys key [key …] LEFT|RIGHT [COUNT count]"""
    popped = _pop_several(s, *_several_options(argv, 1))
    return NULL_ARRAY if popped is None else popped


@family.command(
    "blmpop",
    -5,
    "write blocking",
    counted_keys(2, "RW ACCESS DELETE"),
    since="7.0.0",
    summary="Removes and gives elements from the first list that has some, waiting until one does.",
    complexity="O(N+M), N being the number of keys and M the number of elements given",
)
def blmpop(s: Session, argv: list[bytes]) -> Reply:
    """BLMPOP timeout numkeys key [key …] LEFT|RIGHT [COUNT count]"""
    keys, left, count = _several_options(argv, 2)
    patience_ms = timeout_ms(argv[1])
    popped = _pop_several(s, keys, left, count)
    if popped is not None:
        return popped
    return Blocked(keys, patience_ms) if s.may_block else NULL_ARRAY


# -- BLMOVE, BRPOPLPUSH -------------------------------------------------------------------------------------------


@family.command(
    "blmove",
    6,
    "write denyoom blocking",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "RW INSERT"),
    since="6.2.0",
    summary="Takes an element from a list, puts it into another and gives it, waiting until there is one.",
)
def blmove(s: Session, argv: list[bytes]) -> Reply:
    """BLMOVE source destination LEFT|RIGHT LEFT|RIGHT timeout"""
    pop_left, push_left = from_left(argv[3]), from_left(argv[4])
    patience_ms = timeout_ms(argv[5])
    element = move(s, argv[1], argv[2], pop_left, push_left)
    if element is None:
        return Blocked([argv[1]], patience_ms) if s.may_block else None
    s.propagate(b"LMOVE", *argv[1:5])
    return element


@family.command(
    "brpoplpush",
    4,
    "write denyoom blocking",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "RW INSERT"),
    since="2.2.0",
    summary="Takes the last element of a list, puts it at the head of another and gives it, waiting for it.",
)
def brpoplpush(s: Session, argv: list[bytes]) -> Reply:
    """BRPOPLPUSH source destination timeout"""
    patience_ms = timeout_ms(argv[3])
    element = move(s, argv[1], argv[2], False, True)
    if element is None:
        return Blocked([argv[1]], patience_ms) if s.may_block else None
    s.propagate(b"RPOPLPUSH", argv[1], argv[2])
    return element
