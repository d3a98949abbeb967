"""Random members of a set, hash or sorted set, for SPOP, SRANDMEMBER, HRANDFIELD and ZRANDMEMBER.

Python's containers have no random access. A few picks from a large one go through its `ScanIndex`, which is
made when the first is asked for and stays; many picks, or a small container, take a copy once.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Final, Protocol

from txrepl.commands.arguments import integer
from txrepl.errors import CommandError
from txrepl.keyspace.numbers import INT64_MAX, INT64_MIN
from txrepl.keyspace.scan import ScanIndex

COPY_UP_TO: Final = 64
"""Members up to which a copy is cheaper than an index."""


def signed_count(word: bytes) -> int:
    """A count whose sign has a meaning of its own; all 64-bit integers but the one that has no opposite.

    Raises:
        CommandError: not an integer, or out of range.
    """
    count = integer(word)
    if count == INT64_MIN:
        raise CommandError(f"ERR value is out of range, value must between {-INT64_MAX} and {INT64_MAX}")
    return count


class Indexed(Protocol):
    """A value that may carry an index of its members."""

    index: ScanIndex | None


def index_of(value: Indexed, members: Collection[bytes]) -> ScanIndex:
    """The value's index over its members, made if there was none."""
    index = value.index
    if index is None:
        index = value.index = ScanIndex(members)
    return index


def pick(value: Indexed, members: Collection[bytes], rng: random.Random) -> bytes:
    """One member of a container that is not empty."""
    if len(members) <= COPY_UP_TO:
        return rng.choice(list(members))
    return index_of(value, members).pick(rng.random)


def take(value: Indexed, members: Collection[bytes], rng: random.Random) -> bytes:
    """`pick` for who removes the member then."""
    if len(members) <= COPY_UP_TO:
        return rng.choice(list(members))
    return index_of(value, members).take(rng.random)


def pick_distinct(value: Indexed, members: Collection[bytes], count: int, rng: random.Random) -> list[bytes]:
    """`count` different members, all when there are not more."""
    size = len(members)
    if count >= size:
        return list(members)
    if size <= COPY_UP_TO or count * 4 > size:
        return rng.sample(list(members), count)
    index = index_of(value, members)
    chance = rng.random
    found: dict[bytes, None] = {}
    while len(found) < count:
        found[index.pick(chance)] = None
    return list(found)


def pick_repeatedly(value: Indexed, members: Collection[bytes], count: int, rng: random.Random) -> list[bytes]:
    """`count` members of a container that is not empty, each picked from all."""
    if len(members) <= COPY_UP_TO or count * 4 > len(members):
        return rng.choices(list(members), k=count)
    index = index_of(value, members)
    chance = rng.random
    return [index.pick(chance) for _ in range(count)]
