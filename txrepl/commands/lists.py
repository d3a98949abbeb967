"""The list commands that never wait; `blocking_lists` has the others.

A list is a deque: work at an end is free of the list's length, and what has to reach into the middle goes
there from the nearer end. Whoever takes the last element deletes the key.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Final

from txrepl.commands.arguments import integer, integer_between
from txrepl.commands.picks import signed_count
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.errors import NO_SUCH_KEY, OUT_OF_RANGE, SYNTAX, CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.numbers import INT64_MAX
from txrepl.keyspace.values import ListValue
from txrepl.resp.replies import NULL_ARRAY, OK, Reply

family = Family("list")

LIST: Final = int(Event.LIST)
GENERIC: Final = int(Event.GENERIC)

NOT_POSITIVE: Final = "ERR value is out of range, must be positive"
RANK_ZERO: Final = (
    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
    "or use negative to start from the end of the list"
)
STEP_LIMIT: Final = 64
"""A deque's block: so many elements are passed in one step when it is indexed, one at a time when iterated."""


# -- shared with blocking_lists -----------------------------------------------------------------------------------


def from_left(word: bytes) -> bool:
    """True for LEFT, False for RIGHT (`getListPositionFromObjectOrReply`).

    Raises:
        CommandError: syntax error.
    """
    side = word.upper()
    if side == b"LEFT":
        return True
    if side == b"RIGHT":
        return False
    raise CommandError(SYNTAX)


def take(s: Session, key: bytes, value: ListValue, left: bool, count: int) -> list[bytes]:
    """Remove up to `count` (≥ 1) elements from one end, announce it, delete the key if none is left.

    Parameters:
        left: from the head; else from the tail.

    Returns:
        The elements in the order in which they were taken (`listPopRangeAndReplyWithKey`).
    """
    db = s.db
    items = value.items
    if count >= len(items):
        taken = list(items) if left else list(reversed(items))
        db.remove(key)
        db.changed(key, LIST, b"lpop" if left else b"rpop", len(taken))
        db.notify(GENERIC, b"del", key)
        return taken
    pop = items.popleft if left else items.pop
    taken = [pop() for _ in range(count)]
    db.changed(key, LIST, b"lpop" if left else b"rpop", count)
    return taken


def move(s: Session, source_key: bytes, target_key: bytes, pop_left: bool, push_left: bool) -> bytes | None:
    """Take an element from one list and put it into another, or the same (`lmoveGenericCommand`).

    Returns:
        The element; None if there is no source.

    Raises:
        CommandError: WRONGTYPE of either.
    """
    db = s.db
    source = db.write_list(source_key)
    if source is None:
        return None
    target = db.write_list(target_key)
    if target is None:
        target = ListValue()
        db.put(target_key, target)
    elif db.waiting:
        db.signal_ready(target_key)
    element = source.items.popleft() if pop_left else source.items.pop()
    if push_left:
        target.items.appendleft(element)
    else:
        target.items.append(element)
    db.changed(target_key, LIST, b"lpush" if push_left else b"rpush", 0)
    emptied = not source.items
    if emptied:
        db.remove(source_key)
    db.changed(source_key, LIST, b"lpop" if pop_left else b"rpop")
    if emptied:
        db.notify(GENERIC, b"del", source_key)
    return element


def _clip(start: int, stop: int, size: int) -> tuple[int, int]:
    """First position and number of elements that an inclusive range with negative indexes means."""
    if start < 0:
        start = max(start + size, 0)
    if stop < 0:
        stop += size
    stop = min(stop, size - 1)
    return (start, stop - start + 1) if start <= stop else (0, 0)


def _slice(items: deque[bytes], start: int, count: int) -> list[bytes]:
    """`count` elements from `start` on, reached from the nearer end."""
    behind = len(items) - start - count
    if count < STEP_LIMIT and min(start, behind) > STEP_LIMIT * count:
        return [items[position] for position in range(start, start + count)]
    if start <= behind:
        return list(islice(items, start, start + count))
    found = list(islice(reversed(items), behind, behind + count))
    found.reverse()
    return found


# -- adding -------------------------------------------------------------------------------------------------------


def _push(s: Session, argv: list[bytes], left: bool, create: bool) -> int:
    db = s.db
    key = argv[1]
    value = db.write_list(key)
    if value is None:
        if not create:
            return 0
        value = ListValue()
        db.put(key, value)
    elif db.waiting:
        db.signal_ready(key)
    items = value.items
    added = len(argv) - 2
    if added == 1:
        if left:
            items.appendleft(argv[2])
        else:
            items.append(argv[2])
    elif left:
        items.extendleft(argv[2:])
    else:
        items.extend(argv[2:])
    db.changed(key, LIST, b"lpush" if left else b"rpush", added)
    return len(items)


@family.command(
    "lpush",
    -3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="1.0.0",
    summary="Adds elements at the head of a list, making the list if there is none.",
    complexity="O(1) for each element added",
)
def lpush(s: Session, argv: list[bytes]) -> Reply:
    """LPUSH key element [element …]"""
    return _push(s, argv, True, True)


@family.command(
    "rpush",
    -3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="1.0.0",
    summary="Adds elements at the tail of a list, making the list if there is none.",
    complexity="O(1) for each element added",
)
def rpush(s: Session, argv: list[bytes]) -> Reply:
    """RPUSH key element [element …]"""
    return _push(s, argv, False, True)


@family.command(
    "lpushx",
    -3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="2.2.0",
    summary="Adds elements at the head of a list that exists.",
    complexity="O(1) for each element added",
)
def lpushx(s: Session, argv: list[bytes]) -> Reply:
    """LPUSHX key element [element …]"""
    return _push(s, argv, True, False)


@family.command(
    "rpushx",
    -3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="2.2.0",
    summary="Adds elements at the tail of a list that exists.",
    complexity="O(1) for each element added",
)
def rpushx(s: Session, argv: list[bytes]) -> Reply:
    """RPUSHX key element [element …]"""
    return _push(s, argv, False, False)


@family.command(
    "linsert",
    5,
    "write denyoom",
    key_at(1, "RW INSERT"),
    since="2.2.0",
    summary="Inserts an element before or after the first one equal to a pivot.",
    complexity="O(N), N being the distance of the pivot from the head",
)
def linsert(s: Session, argv: list[bytes]) -> Reply:
    """LINSERT key BEFORE|AFTER pivot element"""
    _, key, where, pivot, element = argv
    side = where.upper()
    if side not in (b"BEFORE", b"AFTER"):
        raise CommandError(SYNTAX)
    value = s.db.write_list(key)
    if value is None:
        return 0
    items = value.items
    try:
        position = items.index(pivot)
    except ValueError:
        return -1
    items.insert(position if side == b"BEFORE" else position + 1, element)
    s.db.changed(key, LIST, b"linsert")
    return len(items)


@family.command(
    "lset",
    4,
    "write denyoom",
    key_at(1, "RW UPDATE"),
    since="1.0.0",
    summary="Replaces the element at an index.",
    complexity="O(N), N being the length of the list; O(1) at either end",
)
def lset(s: Session, argv: list[bytes]) -> Reply:
    """LSET key index element"""
    key = argv[1]
    value = s.db.write_list(key)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    index = integer(argv[2])
    items = value.items
    if not -len(items) <= index < len(items):
        raise CommandError(OUT_OF_RANGE)
    items[index] = argv[3]
    s.db.changed(key, LIST, b"lset")
    return OK


# -- reading ------------------------------------------------------------------------------------------------------


@family.command(
    "llen", 2, "readonly fast", key_at(1, "RO"), since="1.0.0", summary="Gives the number of elements of a list."
)
def llen(s: Session, argv: list[bytes]) -> Reply:
    """LLEN key"""
    value = s.db.read_list(argv[1])
    return 0 if value is None else len(value.items)


@family.command(
    "lindex",
    3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the element at an index.",
    complexity="O(N), N being the distance from the nearer end",
)
def lindex(s: Session, argv: list[bytes]) -> Reply:
    """LINDEX key index"""
    value = s.db.read_list(argv[1])
    if value is None:
        return None
    index = integer(argv[2])
    items = value.items
    return items[index] if -len(items) <= index < len(items) else None


@family.command(
    "lrange",
    4,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the elements between two indexes, both included.",
    complexity="O(S+N), S being the distance from the nearer end and N the number of elements given",
)
def lrange(s: Session, argv: list[bytes]) -> Reply:
    """LRANGE key start stop"""
    start, stop = integer(argv[2]), integer(argv[3])
    value = s.db.read_list(argv[1])
    if value is None:
        return []
    start, count = _clip(start, stop, len(value.items))
    return [*_slice(value.items, start, count)]


@family.command(
    "lpos",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="6.0.6",
    summary="Gives the indexes of elements equal to a given one.",
    complexity="O(N), N being the number of elements looked at",
)
def lpos(s: Session, argv: list[bytes]) -> Reply:
    """LPOS key element [RANK rank] [COUNT count] [MAXLEN len]"""
    rank, count, most = _lpos_options(argv)
    value = s.db.read_list(argv[1])
    if value is None:
        return None if count is None else []
    found = _positions(value.items, argv[2], rank, 1 if count is None else count, most)
    if count is None:
        return found[0] if found else None
    return [*found]


def _lpos_options(argv: list[bytes]) -> tuple[int, int | None, int]:
    """RANK, COUNT (None if not given) and MAXLEN (0: no bound)."""
    rank, count, most = 1, None, 0
    for position in range(3, len(argv), 2):
        option = argv[position].upper()
        if position + 1 == len(argv) or option not in (b"RANK", b"COUNT", b"MAXLEN"):
            raise CommandError(SYNTAX)
        word = argv[position + 1]
        if option == b"RANK":
            rank = signed_count(word)
            if rank == 0:
                raise CommandError(RANK_ZERO)
        elif option == b"COUNT":
            count = integer_between(word, 0, INT64_MAX, "ERR COUNT can't be negative")
        else:
            most = integer_between(word, 0, INT64_MAX, "ERR MAXLEN can't be negative")
    return rank, count, most


def _positions(items: deque[bytes], wanted: bytes, rank: int, count: int, most: int) -> list[int]:
    """Up to `count` (0: all) positions of an element, from the match number `rank` on, among `most` elements."""
    size = len(items)
    looked_at = islice(items if rank > 0 else reversed(items), most if 0 < most < size else size)
    matches = (step for step, item in enumerate(looked_at) if item == wanted)
    skip = abs(rank) - 1
    if skip >= size:
        return []
    found = list(islice(matches, skip, skip + count if 0 < count < size else None))
    return found if rank > 0 else [size - 1 - step for step in found]


# -- removing -----------------------------------------------------------------------------------------------------


def _pop(s: Session, argv: list[bytes], left: bool) -> Reply:
    db = s.db
    key = argv[1]
    if len(argv) == 2:
        value = db.write_list(key)
        if value is None:
            return None
        items = value.items
        element = items.popleft() if left else items.pop()
        if items:
            db.changed(key, LIST, b"lpop" if left else b"rpop")
        else:
            db.remove(key)
            db.changed(key, LIST, b"lpop" if left else b"rpop")
            db.notify(GENERIC, b"del", key)
        return element
    if len(argv) > 3:
        name = "lpop" if left else "rpop"
        raise CommandError(f"ERR wrong number of arguments for '{name}' command")
    count = integer_between(argv[2], 0, INT64_MAX, NOT_POSITIVE)
    value = db.write_list(key)
    if value is None:
        return NULL_ARRAY
    return [*take(s, key, value, left, count)] if count else []


@family.command(
    "lpop",
    -2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="1.0.0",
    summary="Removes and gives elements from the head of a list.",
    complexity="O(N), N being the number of elements given",
)
def lpop(s: Session, argv: list[bytes]) -> Reply:
    """LPOP key [count]"""
    return _pop(s, argv, True)


@family.command(
    "rpop",
    -2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="1.0.0",
    summary="Removes and gives elements from the tail of a list.",
    complexity="O(N), N being the number of elements given",
)
def rpop(s: Session, argv: list[bytes]) -> Reply:
    """RPOP key [count]"""
    return _pop(s, argv, False)


@family.command(
    "ltrim",
    4,
    "write",
    key_at(1, "RW DELETE"),
    since="1.0.0",
    summary="Removes all but the elements between two indexes.",
    complexity="O(N), N being the number of elements removed",
)
def ltrim(s: Session, argv: list[bytes]) -> Reply:
    """LTRIM key start stop"""
    start, stop = integer(argv[2]), integer(argv[3])
    db, key = s.db, argv[1]
    value = db.write_list(key)
    if value is None:
        return OK
    items = value.items
    size = len(items)
    start, kept = _clip(start, stop, size)
    if kept == 0:
        db.remove(key)
    elif kept < size - kept:
        value.items = deque(_slice(items, start, kept))
    else:
        for _ in range(start):
            items.popleft()
        for _ in range(size - start - kept):
            items.pop()
    db.changed(key, LIST, b"ltrim", size - kept)
    if kept == 0:
        db.notify(GENERIC, b"del", key)
    return OK


@family.command(
    "lrem",
    4,
    "write",
    key_at(1, "RW DELETE"),
    since="1.0.0",
    summary="Removes elements equal to a given one.",
    complexity="O(N), N being the length of the list",
)
def lrem(s: Session, argv: list[bytes]) -> Reply:
    """LREM key count element"""
    count = signed_count(argv[2])
    db, key = s.db, argv[1]
    value = db.write_list(key)
    if value is None:
        return 0
    removed = _remove_equal(value, argv[3], count)
    if removed:
        if not value.items:
            db.remove(key)
        db.changed(key, LIST, b"lrem", removed)
        if not value.items:
            db.notify(GENERIC, b"del", key)
    return removed


def _remove_equal(value: ListValue, element: bytes, count: int) -> int:
    """Remove `count` (0: all; negative: from the tail) elements equal to one; returns how many went."""
    items = value.items
    if count == 1:
        try:
            items.remove(element)
        except ValueError:
            return 0
        return 1
    present = items.count(element)
    going = min(abs(count), present) if count else present
    if going == 0:
        return 0
    if going == present:
        value.items = deque(item for item in items if item != element)
        return going
    left = going
    kept: deque[bytes] = deque()
    keep = kept.append if count > 0 else kept.appendleft
    for item in items if count > 0 else reversed(items):
        if left and item == element:
            left -= 1
        else:
            keep(item)
    value.items = kept
    return going


# -- moving -------------------------------------------------------------------------------------------------------


@family.command(
    "lmove",
    5,
    "write denyoom",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "RW INSERT"),
    since="6.2.0",
    summary="Takes an element from an end of a list, puts it at an end of another, and gives it.",
)
def lmove(s: Session, argv: list[bytes]) -> Reply:
    """LMOVE source destination LEFT|RIGHT LEFT|RIGHT"""
    pop_left, push_left = from_left(argv[3]), from_left(argv[4])
    return move(s, argv[1], argv[2], pop_left, push_left)


@family.command(
    "rpoplpush",
    3,
    "write denyoom",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "RW INSERT"),
    since="1.2.0",
    summary="Takes the last element of a list, puts it at the head of another, and gives it.",
)
def rpoplpush(s: Session, argv: list[bytes]) -> Reply:
    """RPOPLPUSH source destination"""
    return move(s, argv[1], argv[2], False, True)
