"""The set commands.

A set knows only whether it is large (a hash table); a small one is an intset if all its members are integers,
else a listpack, and which of the two is asked of the members when it matters. What SPOP takes by chance goes
into the stream by name: SREM, or DEL when it took everything.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from txrepl.commands.arguments import integer_between
from txrepl.commands.picks import pick, pick_distinct, pick_repeatedly, signed_count, take
from txrepl.commands.scan import scan_cursor, scan_members, scan_options
from txrepl.commands.session import Session
from txrepl.commands.table import Family, counted_keys, key_at, keys_from
from txrepl.errors import SYNTAX, WRONG_TYPE, CommandError
from txrepl.keyspace.database import Event, Limits
from txrepl.keyspace.numbers import INT64_MAX, parse_integer
from txrepl.keyspace.scan import INDEXED_FROM, ScanIndex
from txrepl.keyspace.values import SetValue, equip
from txrepl.resp.replies import Reply, SetReply

family = Family("set")

SET: Final = int(Event.SET)
GENERIC: Final = int(Event.GENERIC)

NOT_POSITIVE: Final = "ERR value is out of range, must be positive"
SREM_BATCH: Final = 1024
"""Members that one SREM names when SPOP took many (as Redis 7.2 batches them)."""


# -- encoding -----------------------------------------------------------------------------------------------------


def _all_integers(members: Collection[bytes]) -> bool:
    return all(parse_integer(member) is not None for member in members)


def _too_large(members: set[bytes], added: Collection[bytes], before: int, limits: Limits) -> bool:
    """Whether a small set of `before` members needs a hash table now that `added` went in (`setTypeAddAux`)."""
    size = len(members)
    if size > limits.set_entries:
        if size > limits.set_intset_entries:
            return True
        return not _all_integers(added if before > limits.set_entries else members)
    longest = limits.set_value
    if max(map(len, added)) <= longest:
        return False
    return any(len(member) > longest and parse_integer(member) is None for member in added)


def _hint_too_large(members: set[bytes], words: Sequence[bytes], limits: Limits) -> bool:
    """Whether so many words to add make a hash table at once (`setTypeCreate`, `setTypeMaybeConvert`)."""
    integers = _all_integers(members or words[:1])
    return len(words) > (limits.set_intset_entries if integers else limits.set_entries)


def _members_reply(members: set[bytes], limits: Limits) -> SetReply:
    """All members; in numerical order where Redis would keep them as an intset."""
    if len(members) <= limits.set_intset_entries and _all_integers(members):
        ordered = sorted(members, key=int)
        return SetReply(ordered)
    return SetReply(members)


# -- adding, removing ---------------------------------------------------------------------------------------------


@family.command(
    "sadd",
    -3,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="1.0.0",
    summary="Adds members to a set, making the set if there is none.",
    complexity="O(1) for each member added",
)
def sadd(s: Session, argv: list[bytes]) -> Reply:
    """SADD key member [member …]"""
    db = s.db
    key = argv[1]
    value = db.write_set(key)
    if value is None:
        value = SetValue()
        db.put(key, value)
    if len(argv) > 3:
        added = _add_many(value, argv[2:], s.keyspace.limits)
    else:
        added = _add_one(value, argv[2], s.keyspace.limits)
    if added:
        db.changed(key, SET, b"sadd", added)
    return added


def _add_one(value: SetValue, member: bytes, limits: Limits) -> int:
    """Add a member; 0 if it was there."""
    members = value.members
    if member in members:
        return 0
    members.add(member)
    if value.index is not None:
        value.index.added(member)
    elif len(members) == INDEXED_FROM:
        value.index = ScanIndex(members)
    if not value.large and _too_large(members, (member,), len(members) - 1, limits):
        value.large = True
    return 1


def _add_many(value: SetValue, words: list[bytes], limits: Limits) -> int:
    """Add members; returns how many were not there."""
    members, index = value.members, value.index
    before = len(members)
    if not value.large and len(words) > limits.set_entries and _hint_too_large(members, words, limits):
        value.large = True
    if index is None:
        members.update(words)
        if before < INDEXED_FROM <= len(members):
            value.index = ScanIndex(members)
    else:
        for member in words:
            if member not in members:
                members.add(member)
                index.added(member)
    if not value.large and len(members) > before and _too_large(members, words, before, limits):
        value.large = True
    return len(members) - before


@family.command(
    "srem",
    -3,
    "write fast",
    key_at(1, "RW DELETE"),
    since="1.0.0",
    summary="Removes members from a set.",
    complexity="O(N), N being the number of members to remove",
)
def srem(s: Session, argv: list[bytes]) -> Reply:
    """SREM key member [member …]"""
    db = s.db
    key = argv[1]
    value = db.write_set(key)
    if value is None:
        return 0
    members = value.members
    before = len(members)
    members.difference_update(argv[2:])
    removed = before - len(members)
    if removed:
        if not members:
            db.remove(key)
        db.changed(key, SET, b"srem", removed)
        if not members:
            db.notify(GENERIC, b"del", key)
    return removed


@family.command(
    "smove",
    4,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    key_at(2, "RW INSERT"),
    since="1.0.0",
    summary="Moves a member from one set to another.",
)
def smove(s: Session, argv: list[bytes]) -> Reply:
    """SMOVE source destination member"""
    db = s.db
    _, source_key, target_key, member = argv
    source, target = db.write(source_key), db.write(target_key)
    if source is None:
        return 0
    if not isinstance(source, SetValue) or not (target is None or isinstance(target, SetValue)):
        raise CommandError(WRONG_TYPE)
    if source is target:
        return int(member in source.members)
    if member not in source.members:
        return 0
    source.members.remove(member)
    if not source.members:
        db.remove(source_key)
    db.changed(source_key, SET, b"srem")
    if not source.members:
        db.notify(GENERIC, b"del", source_key)
    if target is None:
        target = SetValue()
        db.put(target_key, target)
    if _add_one(target, member, s.keyspace.limits):
        db.changed(target_key, SET, b"sadd")
    return 1


# -- reading ------------------------------------------------------------------------------------------------------


@family.command(
    "sismember", 3, "readonly fast", key_at(1, "RO"), since="1.0.0", summary="Tells whether a set has a member."
)
def sismember(s: Session, argv: list[bytes]) -> Reply:
    """SISMEMBER key member"""
    value = s.db.read_set(argv[1])
    return 1 if value is not None and argv[2] in value.members else 0


@family.command(
    "smismember",
    -3,
    "readonly fast",
    key_at(1, "RO ACCESS"),
    since="6.2.0",
    summary="Tells of each of several members whether a set has it.",
    complexity="O(N), N being the number of members asked for",
)
def smismember(s: Session, argv: list[bytes]) -> Reply:
    """SMISMEMBER key member [member …]"""
    value = s.db.read_set(argv[1])
    members: set[bytes] = set() if value is None else value.members
    return [1 if member in members else 0 for member in argv[2:]]


@family.command(
    "scard", 2, "readonly fast", key_at(1, "RO"), since="1.0.0", summary="Gives the number of members of a set."
)
def scard(s: Session, argv: list[bytes]) -> Reply:
    """SCARD key"""
    value = s.db.read_set(argv[1])
    return 0 if value is None else len(value.members)


@family.command(
    "smembers",
    2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives all members of a set.",
    complexity="O(N), N being the number of members",
    tips=("nondeterministic_output_order",),
)
def smembers(s: Session, argv: list[bytes]) -> Reply:
    """SMEMBERS key"""
    value = s.db.read_set(argv[1])
    if value is None:
        return SetReply()
    return SetReply(value.members) if value.large else _members_reply(value.members, s.keyspace.limits)


@family.command(
    "sscan",
    -3,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="2.8.0",
    summary="Goes through the members of a set step by step.",
    complexity="O(1) for every call, O(N) for a whole pass",
    tips=("nondeterministic_output",),
)
def sscan(s: Session, argv: list[bytes]) -> Reply:
    """SSCAN key cursor [MATCH pattern] [COUNT count]"""
    cursor = scan_cursor(argv[2])
    value = s.db.read_set(argv[1])
    if value is None:
        return [b"0", []]
    options = scan_options(argv, 3)
    cursor, found, value.index = scan_members(value.members, value.index, value.large, cursor, options)
    return [b"%d" % cursor, [*found]]


# -- by chance ----------------------------------------------------------------------------------------------------


@family.command(
    "spop",
    -2,
    "write fast",
    key_at(1, "RW ACCESS DELETE"),
    since="1.0.0",
    summary="Removes and gives random members of a set.",
    complexity="O(1) without a count, else O(N), N being the count",
    tips=("nondeterministic_output",),
)
def spop(s: Session, argv: list[bytes]) -> Reply:
    """SPOP key [count]"""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    if len(argv) == 3:
        return _spop_several(s, argv[1], integer_between(argv[2], 0, INT64_MAX, NOT_POSITIVE))
    db = s.db
    key = argv[1]
    value = db.write_set(key)
    if value is None:
        return None
    members = value.members
    member = take(value, members, s.keyspace.rng)
    members.remove(member)
    if not members:
        db.remove(key)
    db.changed(key, SET, b"spop")
    if not members:
        db.notify(GENERIC, b"del", key)
    s.propagate(b"SREM", key, member)
    return member


def _spop_several(s: Session, key: bytes, count: int) -> Reply:
    db = s.db
    value = db.write_set(key)
    if value is None or count == 0:
        return SetReply()
    members = value.members
    if count >= len(members):
        db.remove(key)
        db.changed(key, SET, b"spop", len(members))
        db.notify(GENERIC, b"del", key)
        s.propagate(b"DEL", key)
        return _members_reply(members, s.keyspace.limits)
    taken = pick_distinct(value, members, count, s.keyspace.rng)
    members.difference_update(taken)
    db.changed(key, SET, b"spop", count)
    for start in range(0, count, SREM_BATCH):
        s.propagate(b"SREM", key, *taken[start : start + SREM_BATCH])
    return SetReply(taken)


@family.command(
    "srandmember",
    -2,
    "readonly",
    key_at(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives random members of a set.",
    complexity="O(1) without a count, else O(N), N being the absolute count",
    tips=("nondeterministic_output",),
)
def srandmember(s: Session, argv: list[bytes]) -> Reply:
    """SRANDMEMBER key [count]"""
    if len(argv) > 3:
        raise CommandError(SYNTAX)
    count = signed_count(argv[2]) if len(argv) == 3 else None
    value = s.db.read_set(argv[1])
    if value is None:
        return None if count is None else []
    rng = s.keyspace.rng
    if count is None:
        return pick(value, value.members, rng)
    if count < 0:
        return [*pick_repeatedly(value, value.members, -count, rng)]
    return [*pick_distinct(value, value.members, count, rng)]


# -- several sets -------------------------------------------------------------------------------------------------


def _read_all(s: Session, keys: Sequence[bytes]) -> list[set[bytes] | None]:
    """The members of each set, None for an absent one; every key's type is checked."""
    values = [s.db.read_set(key) for key in keys]
    return [None if value is None else value.members for value in values]


def _intersection(s: Session, keys: Sequence[bytes]) -> set[bytes]:
    sets = _read_all(s, keys)
    present = [members for members in sets if members is not None]
    if len(present) < len(sets):
        return set()
    present.sort(key=len)
    return present[0].intersection(*present[1:])


def _union(s: Session, keys: Sequence[bytes]) -> set[bytes]:
    found: set[bytes] = set()
    return found.union(*(members for members in _read_all(s, keys) if members is not None))


def _difference(s: Session, keys: Sequence[bytes]) -> set[bytes]:
    first, *others = _read_all(s, keys)
    if first is None:
        return set()
    left = first.copy()
    for members in others:
        if not left:
            break
        if members is not None:
            left = left - members
    return left


def _store(s: Session, key: bytes, members: set[bytes], event: bytes) -> int:
    """Make `key` a set of these members, or delete it if there are none; its deadline goes either way."""
    db = s.db
    if not members:
        if db.remove(key):  # also one that has expired: replicas get the command
            db.changed(key, GENERIC, b"del")
        return 0
    db.write(key)
    value = SetValue(members)
    value.large = _too_large(members, members, 0, s.keyspace.limits)
    equip(value)
    db.put(key, value)
    db.persist(key)
    db.changed(key, SET, event)
    return len(members)


@family.command(
    "sinter",
    -2,
    "readonly",
    keys_from(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the members that several sets have in common.",
    complexity="O(N*M) at worst, N being the size of the smallest set and M the number of sets",
    tips=("nondeterministic_output_order",),
)
def sinter(s: Session, argv: list[bytes]) -> Reply:
    """SINTER key [key …]"""
    return _members_reply(_intersection(s, argv[1:]), s.keyspace.limits)


@family.command(
    "sintercard",
    -3,
    "readonly",
    counted_keys(1, "RO ACCESS"),
    since="7.0.0",
    summary="Gives the number of members that several sets have in common.",
    complexity="O(N*M) at worst, N being the size of the smallest set and M the number of sets",
)
def sintercard(s: Session, argv: list[bytes]) -> Reply:
    """SINTERCARD numkeys key [key …] [LIMIT limit]"""
    numkeys = integer_between(argv[1], 1, INT64_MAX, "ERR numkeys should be greater than 0")
    if numkeys > len(argv) - 2:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    limit = 0
    for position in range(2 + numkeys, len(argv), 2):
        if argv[position].upper() != b"LIMIT" or position + 1 == len(argv):
            raise CommandError(SYNTAX)
        limit = integer_between(argv[position + 1], 0, INT64_MAX, "ERR LIMIT can't be negative")
    return _intersection_size(_read_all(s, argv[2 : 2 + numkeys]), limit)


def _intersection_size(sets: Sequence[set[bytes] | None], limit: int) -> int:
    """How many members the sets share, counted up to `limit` (0: all)."""
    present = [members for members in sets if members is not None]
    if len(present) < len(sets):
        return 0
    smallest, *others = sorted(present, key=len)
    if not limit or limit >= len(smallest):
        return len(smallest.intersection(*others))
    found = 0
    for member in smallest:
        if all(member in other for other in others):
            found += 1
            if found == limit:
                break
    return found


@family.command(
    "sinterstore",
    -3,
    "write denyoom",
    key_at(1, "RW UPDATE"),
    keys_from(2, "RO ACCESS"),
    since="1.0.0",
    summary="Stores the members that several sets have in common.",
    complexity="O(N*M) at worst, N being the size of the smallest set and M the number of sets",
)
def sinterstore(s: Session, argv: list[bytes]) -> Reply:
    """SINTERSTORE destination key [key …]"""
    return _store(s, argv[1], _intersection(s, argv[2:]), b"sinterstore")


@family.command(
    "sunion",
    -2,
    "readonly",
    keys_from(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the members that any of several sets has.",
    complexity="O(N), N being the number of members of all sets",
    tips=("nondeterministic_output_order",),
)
def sunion(s: Session, argv: list[bytes]) -> Reply:
    """SUNION key [key …]"""
    return _members_reply(_union(s, argv[1:]), s.keyspace.limits)


@family.command(
    "sunionstore",
    -3,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    keys_from(2, "RO ACCESS"),
    since="1.0.0",
    summary="Stores the members that any of several sets has.",
    complexity="O(N), N being the number of members of all sets",
)
def sunionstore(s: Session, argv: list[bytes]) -> Reply:
    """SUNIONSTORE destination key [key …]"""
    return _store(s, argv[1], _union(s, argv[2:]), b"sunionstore")


@family.command(
    "sdiff",
    -2,
    "readonly",
    keys_from(1, "RO ACCESS"),
    since="1.0.0",
    summary="Gives the members of the first set that none of the others has.",
    complexity="O(N), N being the number of members of all sets",
    tips=("nondeterministic_output_order",),
)
def sdiff(s: Session, argv: list[bytes]) -> Reply:
    """SDIFF key [key …]"""
    return _members_reply(_difference(s, argv[1:]), s.keyspace.limits)


@family.command(
    "sdiffstore",
    -3,
    "write denyoom",
    key_at(1, "OW UPDATE"),
    keys_from(2, "RO ACCESS"),
    since="1.0.0",
    summary="Stores the members of the first set that none of the others has.",
    complexity="O(N), N being the number of members of all sets",
)
def sdiffstore(s: Session, argv: list[bytes]) -> Reply:
    """SDIFFSTORE destination key [key …]"""
    return _store(s, argv[1], _difference(s, argv[2:]), b"sdiffstore")
