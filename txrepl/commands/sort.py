"""SORT and SORT_RO. Follows sort.c of Redis 7.2; text compares byte by byte, as in the C locale.

BY and GET read other keys: the pattern's `*` is replaced by the element, and `->` names a field of a hash.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from txrepl.commands.access.checks import may_read_every_key
from txrepl.commands.arguments import integer
from txrepl.commands.hash_values import visible
from txrepl.commands.session import RESTRICTED, Session
from txrepl.commands.table import Family, KeySpec, key_at
from txrepl.errors import SYNTAX, WRONG_TYPE, CommandError
from txrepl.keyspace.database import Database, Event
from txrepl.keyspace.numbers import parse_float
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value
from txrepl.resp.replies import Reply

family = Family("generic")

_NOT_NUMERIC: Final = "ERR One or more scores can't be converted into double"
_COMPLEXITY: Final = "O(N+M*log(M)) for N elements of which M are given back."
_BY_GET: Final = KeySpec(
    "RO ACCESS",
    incomplete=True,
    note=(
        "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of "
        "the key we sort"
    ),
)
_STORE: Final = KeySpec(
    "OW UPDATE",
    incomplete=True,
    note=(
        "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the "
        "argument array"
    ),
)


@dataclass(slots=True)
class _Sorting:
    """The arguments of a SORT.

    Attributes:
        by: the pattern of the weights; None sorts by the elements themselves.
        unsorted: BY has no `*`: the native order stays.
        get: patterns of what is given back for each element; empty gives the element.
        store: where the result goes; None answers it.
    """

    descending: bool = False
    alpha: bool = False
    offset: int = 0
    count: int = -1
    by: bytes | None = None
    unsorted: bool = False
    get: list[bytes] = field(default_factory=list)
    store: bytes | None = None


_UNREADABLE: Final = "ERR %s option of SORT denied due to insufficient ACL permissions."


def _parse(argv: list[bytes], *, may_store: bool, may_refer: bool) -> _Sorting:
    """SORT's options.

    Parameters:
        may_store: STORE is an option.
        may_refer: BY and GET may read other keys.

    Raises:
        CommandError: an unknown option, a limit that is no integer, or what the user may not do.
    """
    sorting = _Sorting()
    i = 2
    while i < len(argv):
        word, left = argv[i].lower(), len(argv) - i - 1
        if word in (b"asc", b"desc"):
            sorting.descending = word == b"desc"
        elif word == b"alpha":
            sorting.alpha = True
        elif word == b"limit" and left >= 2:
            sorting.offset, sorting.count = integer(argv[i + 1]), integer(argv[i + 2])
            i += 2
        elif word == b"store" and may_store and left >= 1:
            i += 1
            sorting.store = argv[i]
        elif word == b"by" and left >= 1:
            i += 1
            sorting.by = argv[i]
            if b"*" not in argv[i]:
                sorting.unsorted = True
            elif not may_refer:
                raise CommandError(_UNREADABLE % "BY")
        elif word == b"get" and left >= 1:
            if not may_refer:
                raise CommandError(_UNREADABLE % "GET")
            i += 1
            sorting.get.append(argv[i])
        else:
            raise CommandError(SYNTAX)
        i += 1
    return sorting


def _find_keys(argv: list[bytes]) -> list[int]:
    """Positions of the keys that can be named: the one sorted and the last STORE (`sortGetKeys`)."""
    positions = [1]
    skip = {b"limit": 2, b"get": 1, b"by": 1}
    i = 2
    while i < len(argv):
        word = argv[i].lower()
        if word == b"store" and i + 1 < len(argv):
            positions[1:] = [i + 1]
            i += 1
        i += skip.get(word, 0) + 1
    return positions


def _referred(db: Database, pattern: bytes, element: bytes) -> bytes | None:
    """What a BY or GET pattern gives for an element (`lookupKeyByPattern`)."""
    if pattern == b"#":
        return element
    head, star, tail = pattern.partition(b"*")
    if not star:
        return None
    before, arrow, name = tail.partition(b"->")
    is_field = bool(arrow and name)
    value = db.read(head + element + (before if is_field else tail))
    if is_field:
        return visible(db.keyspace, value, name) if isinstance(value, HashValue) else None
    return value if isinstance(value, bytes) else None


_BLANKS: Final = b" \t\n\v\f\r"
_SMALLEST_NORMAL: Final = 2.2250738585072014e-308
_ZERO: Final = re.compile(rb"[+-]?(?:0x)?[0.]*(?:[ep].*)?\Z", re.IGNORECASE)


def _weight(text: bytes) -> float:
    """`strtod` of the whole text up to a NUL; nothing at all counts as 0.

    Raises:
        CommandError: it is no number, or none that a double can hold.
    """
    text = text.partition(b"\0")[0]
    if not text:
        return 0.0
    number = text.lstrip(_BLANKS)
    value = parse_float(number)
    if value is None:
        raise CommandError(_NOT_NUMERIC)
    out_of_range = abs(value) == float("inf") and b"inf" not in number.lower()
    underflown = abs(value) < _SMALLEST_NORMAL and _ZERO.match(number) is None
    if out_of_range or underflown:
        raise CommandError(_NOT_NUMERIC)
    return value


def _elements(value: Value | None, sorting: _Sorting) -> list[bytes]:
    """What is to be sorted; where nothing is, in the native order.

    Raises:
        CommandError: WRONGTYPE.
    """
    if value is None:
        return []
    if isinstance(value, ListValue):
        elements = list(value.items)
    elif isinstance(value, SetValue):
        return list(value.members)
    elif isinstance(value, SortedSetValue):
        value.large = True  # Redis converts it to read it
        elements = [member for _, member in value.order()] if sorting.unsorted else list(value.scores)
    else:
        raise CommandError(WRONG_TYPE)
    if sorting.unsorted and sorting.descending:
        elements.reverse()
    return elements


def _order(db: Database, elements: list[bytes], sorting: _Sorting) -> None:
    """Sort in place. Equal weights are ordered by the element, equal texts of BY keep their order."""
    if not sorting.alpha:
        weights: dict[bytes, float] = {}
        for element in elements:
            text = element if sorting.by is None else _referred(db, sorting.by, element)
            weights[element] = 0.0 if text is None else _weight(text)
        elements.sort(key=lambda element: (weights[element], element), reverse=sorting.descending)
    elif sorting.by is None:
        elements.sort(reverse=sorting.descending)
    else:
        texts = {element: _referred(db, sorting.by, element) for element in elements}
        elements.sort(key=lambda element: texts[element] or b"", reverse=sorting.descending)
        elements.sort(key=lambda element: texts[element] is not None, reverse=sorting.descending)


def _limited(elements: list[bytes], sorting: _Sorting) -> list[bytes]:
    start = max(sorting.offset, 0)
    return elements[start:] if sorting.count < 0 else elements[start : start + sorting.count]


def _may_refer(s: Session, argv: list[bytes]) -> bool:
    """Whether a restricted user may read every key, since which ones BY and GET read is in the data."""
    command = s.server.table.find(argv[0])
    return command is not None and may_read_every_key(s.user, command, argv)


def _sorted(s: Session, argv: list[bytes], *, may_store: bool) -> Reply:
    """`sortCommandGeneric`."""
    sorting = _parse(argv, may_store=may_store, may_refer=not s.flags & RESTRICTED or _may_refer(s, argv))
    db = s.db
    value = db.read(argv[1])
    elements = _elements(value, sorting)
    if sorting.unsorted and sorting.store is not None and isinstance(value, SetValue):
        # a set has no order that a replica would share
        sorting.unsorted, sorting.alpha, sorting.by = False, True, None
    if not sorting.unsorted:
        _order(db, elements, sorting)
    chosen = _limited(elements, sorting)
    if not sorting.get:
        result: list[bytes | None] = [*chosen]
    else:
        result = [_referred(db, pattern, element) for element in chosen for pattern in sorting.get]
    if sorting.store is None:
        return [*result]
    return _store(db, sorting.store, [b"" if item is None else item for item in result])


def _store(db: Database, key: bytes, items: list[bytes]) -> int:
    """Keep the result as a list, or delete the key when there is none."""
    if items:
        if db.expires:
            db.write(key)
            db.persist(key)
        db.put(key, ListValue(deque(items)))
        db.signal_ready(key)
        db.changed(key, Event.LIST, b"sortstore", len(items))
    elif db.remove(key):
        db.changed(key, Event.GENERIC, b"del")
    return len(items)


@family.command(
    "sort",
    -2,
    "write denyoom",
    key_at(1, "RO ACCESS"),
    _BY_GET,
    _STORE,
    since="1.0.0",
    summary="Sorts a list, set or sorted set and answers or keeps the result.",
    complexity=_COMPLEXITY,
    categories="set sortedset list dangerous",
    find_keys=_find_keys,
)
def sort(s: Session, argv: list[bytes]) -> Reply:
    """SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA] [STORE destination]."""
    return _sorted(s, argv, may_store=True)


@family.command(
    "sort_ro",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    _BY_GET,
    since="7.0.0",
    summary="Sorts a list, set or sorted set and answers the result.",
    complexity=_COMPLEXITY,
    categories="set sortedset list dangerous",
    find_keys=lambda argv: [1],
)
def sort_ro(s: Session, argv: list[bytes]) -> Reply:
    """SORT_RO key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC | DESC] [ALPHA]."""
    return _sorted(s, argv, may_store=False)
