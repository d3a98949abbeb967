"""Sorted sets by member: adding, removing, asking for scores and ranks, picking and scanning.

Ranges are in `zset_ranges`, set operations in `zset_algebra`, pops in `zset_pops`.
"""

from __future__ import annotations

from math import isnan
from typing import Final

from txrepl.commands.arguments import integer
from txrepl.commands.picks import pick, pick_distinct, pick_repeatedly
from txrepl.commands.scan import scan_cursor, scan_members, scan_options
from txrepl.commands.session import Session
from txrepl.commands.table import Family, key_at
from txrepl.commands.zset_values import insert, score_argument, settle_removal
from txrepl.errors import SYNTAX, CommandError
from txrepl.keyspace.database import Event, Limits
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN, format_double, format_double_legacy
from txrepl.keyspace.values import SortedSetValue
from txrepl.resp.replies import NULL_ARRAY, Pairs, Reply

family = Family("sorted-set")

_ZSET: Final = int(Event.ZSET)
_NX: Final = 1
_XX: Final = 2
_GT: Final = 4
_LT: Final = 8
_CH: Final = 16
_INCR: Final = 32
_OPTIONS: Final[dict[bytes, int]] = {b"nx": _NX, b"xx": _XX, b"gt": _GT, b"lt": _LT, b"ch": _CH, b"incr": _INCR}
_NOT_A_NUMBER: Final = "ERR resulting score is not a number (NaN)"


# -- adding and removing ----------------------------------------------------------------------------------------


@family.command(
    "zadd",
    -4,
    "write denyoom fast",
    key_at(1, "RW UPDATE"),
    since="1.2.0",
    summary="Adds members with scores to a sorted set, or changes their scores.",
    complexity="O(log(N)) for each member, N being the size of the sorted set.",
)
def zadd(s: Session, argv: list[bytes]) -> Reply:
    """ZADD key [NX|XX] [GT|LT] [CH] [INCR] score member [score member …] (`zaddGenericCommand`)."""
    words = len(argv)
    if words == 4 and argv[2].isdigit():
        return _add_one(s, argv[1], score_argument(argv[2]), argv[3])
    options = 0
    first = 2
    while first < words:
        option = _OPTIONS.get(argv[first].lower())
        if option is None:
            break
        options |= option
        first += 1
    count, odd = divmod(words - first, 2)
    if odd or not count:
        raise CommandError(SYNTAX)
    if options:
        _check_options(options, count)
    return _add(s, argv[1], options, [(score_argument(argv[i]), argv[i + 1]) for i in range(first, words, 2)])


@family.command(
    "zincrby",
    4,
    "write denyoom fast",
    key_at(1, "RW ACCESS UPDATE"),
    since="1.2.0",
    summary="Adds to a member's score.",
    complexity="O(log(N)), N being the size of the sorted set.",
)
def zincrby(s: Session, argv: list[bytes]) -> Reply:
    """ZINCRBY key increment member."""
    return _add(s, argv[1], _INCR, [(score_argument(argv[2]), argv[3])])


def _check_options(options: int, count: int) -> None:
    """Refuse options that contradict each other."""
    if options & _NX and options & _XX:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if (options & (_GT | _LT | _NX)).bit_count() > 1:
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if options & _INCR and count > 1:
        raise CommandError("ERR INCR option supports a single increment-element pair")


def _add_one(s: Session, key: bytes, score: float, member: bytes) -> int:
    """ZADD in its plainest form, which is the hot one; 1 if the member is new."""
    db = s.db
    value = db.write_zset(key)
    if value is None:
        value = SortedSetValue()
        insert(value, s.keyspace.limits, member, score)
        db.put(key, value)
        db.changed(key, _ZSET, b"zadd")
        return 1
    old = value.scores.get(member)
    if old == score:
        return 0
    insert(value, s.keyspace.limits, member, score)
    db.changed(key, _ZSET, b"zadd")
    return 1 if old is None else 0


def _hints_at_large(pairs: list[tuple[float, bytes]], limits: Limits) -> bool:
    """Whether ZADD takes the large encoding before it adds anything (`zsetTypeMaybeConvert`)."""
    longest = limits.zset_value
    return len(pairs) > limits.zset_entries or any(len(member) > longest for _, member in pairs)


def _add(s: Session, key: bytes, options: int, pairs: list[tuple[float, bytes]]) -> Reply:
    """Add or update the pairs; answers ZADD's counts, or with INCR the new score."""
    db = s.db
    value = db.write_zset(key)
    created = value is None
    if value is None:
        if options & _XX:
            return None if options & _INCR else 0
        value = SortedSetValue()
    limits = s.keyspace.limits
    if not value.large and _hints_at_large(pairs, limits):
        value.large = True
    scores = value.scores
    added = updated = 0
    result: Reply = None
    for score, member in pairs:
        old = scores.get(member)
        if old is None:
            if options & _XX:
                continue
            added += 1
        elif options & ~_CH:
            if options & _NX:
                continue
            if options & _INCR:
                score += old
                if isnan(score):
                    raise CommandError(_NOT_A_NUMBER)
            if (options & _GT and score <= old) or (options & _LT and score >= old):
                continue
        result = score
        if old is None:
            insert(value, limits, member, score)
        elif score != old:
            insert(value, limits, member, score)
            updated += 1
    if added or updated:
        if created:
            db.put(key, value)
        db.changed(key, _ZSET, b"zincr" if options & _INCR else b"zadd", added + updated)
    if options & _INCR:
        return result
    return added + updated if options & _CH else added


@family.command(
    "zrem",
    -3,
    "write fast",
    key_at(1, "RW DELETE"),
    since="1.2.0",
    summary="Removes members from a sorted set.",
    complexity="O(M*log(N)), N being the size of the sorted set and M the number of members removed.",
)
def zrem(s: Session, argv: list[bytes]) -> Reply:
    """ZREM key member [member …]."""
    key = argv[1]
    value = s.db.write_zset(key)
    if value is None:
        return 0
    removed = 0
    for i in range(2, len(argv)):
        if value.discard(argv[i]):
            removed += 1
    if removed:
        settle_removal(s.db, key, value, b"zrem", removed)
    return removed


# -- asking -----------------------------------------------------------------------------------------------------


@family.command(
    "zcard",
    2,
    "readonly fast",
    key_at(1, "RO"),
    since="1.2.0",
    summary="Counts the members of a sorted set.",
)
def zcard(s: Session, argv: list[bytes]) -> Reply:
    """ZCARD key."""
    value = s.db.read_zset(argv[1])
    return 0 if value is None else len(value.scores)


@family.command(
    "zscore",
    3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="1.2.0",
    summary="Tells a member's score.",
)
def zscore(s: Session, argv: list[bytes]) -> Reply:
    """ZSCORE key member."""
    value = s.db.read_zset(argv[1])
    return None if value is None else value.scores.get(argv[2])


@family.command(
    "zmscore",
    -3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="6.2.0",
    summary="Tells the scores of several members.",
    complexity="O(N), N being the number of members asked for.",
)
def zmscore(s: Session, argv: list[bytes]) -> Reply:
    """ZMSCORE key member [member …]."""
    value = s.db.read_zset(argv[1])
    if value is None:
        return [None] * (len(argv) - 2)
    scores = value.scores
    return [scores.get(argv[i]) for i in range(2, len(argv))]


@family.command(
    "zrank",
    -3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Tells a member's position from the lowest score.",
    complexity="O(log(N))",
)
def zrank(s: Session, argv: list[bytes]) -> Reply:
    """ZRANK key member [WITHSCORE]."""
    return _rank(s, argv, reverse=False)


@family.command(
    "zrevrank",
    -3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="2.0.0",
    summary="Tells a member's position from the highest score.",
    complexity="O(log(N))",
)
def zrevrank(s: Session, argv: list[bytes]) -> Reply:
    """ZREVRANK key member [WITHSCORE]."""
    return _rank(s, argv, reverse=True)


def _rank(s: Session, argv: list[bytes], *, reverse: bool) -> Reply:
    if len(argv) > 4:
        name = "zrevrank" if reverse else "zrank"
        raise CommandError(f"ERR wrong number of arguments for '{name}' command")
    with_score = len(argv) == 4
    if with_score and argv[3].lower() != b"withscore":
        raise CommandError(SYNTAX)
    value = s.db.read_zset(argv[1])
    score = None if value is None else value.scores.get(argv[2])
    if value is None or score is None:
        return NULL_ARRAY if with_score else None
    rank = value.order().rank(score, argv[2])
    if reverse:
        rank = len(value.scores) - 1 - rank
    return [rank, score] if with_score else rank


# -- picking and scanning ---------------------------------------------------------------------------------------


@family.command(
    "zrandmember",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="6.2.0",
    summary="Picks random members of a sorted set.",
    complexity="O(N), N being the number of members picked.",
    tips=("nondeterministic_output",),
)
def zrandmember(s: Session, argv: list[bytes]) -> Reply:
    """ZRANDMEMBER key [count [WITHSCORES]]; a negative count may repeat members."""
    if len(argv) == 2:
        single = s.db.read_zset(argv[1])
        return None if single is None else pick(single, single.scores, s.keyspace.rng)
    count = integer(argv[2])
    if count == INT64_MIN:
        raise CommandError(f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}")
    with_scores = len(argv) == 4
    if len(argv) > 4 or (with_scores and argv[3].lower() != b"withscores"):
        raise CommandError(SYNTAX)
    if with_scores and abs(count) > INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    value = s.db.read_zset(argv[1])
    if value is None or count == 0:
        return []
    scores, rng = value.scores, s.keyspace.rng
    members = pick_repeatedly(value, scores, -count, rng) if count < 0 else pick_distinct(value, scores, count, rng)
    return Pairs((member, scores[member]) for member in members) if with_scores else [*members]


@family.command(
    "zscan",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.0",
    summary="Iterates over members and scores, some at a time.",
    complexity="O(1) for a call, O(N) for a whole iteration, N being the size of the sorted set.",
    tips=("nondeterministic_output",),
)
def zscan(s: Session, argv: list[bytes]) -> Reply:
    """ZSCAN key cursor [MATCH pattern] [COUNT count] [NOSCORES]."""
    cursor = scan_cursor(argv[2])
    value = s.db.read_zset(argv[1])
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3, bare="ZSCAN")
    cursor, members, value.index = scan_members(value.scores, value.index, value.large, cursor, options)
    if options.bare:
        return [b"%d" % cursor, [*members]]
    form = format_double_legacy if value.large else format_double
    flat: list[Reply] = []
    for member in members:
        flat += (member, form(value.scores[member]))
    return [b"%d" % cursor, flat]
