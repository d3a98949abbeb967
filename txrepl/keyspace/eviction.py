"""Which key goes when memory is short: the policies of `maxmemory-policy`. Follows evict.c of Redis 7.2.

The LRU, LFU and TTL policies look at some random keys of each database and keep the best candidates seen so far in a
pool, from one eviction to the next (`evictionPoolPopulate`). A candidate that was used since it came into the pool is
passed over. The random policies take a key of one database after the other.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Final

from txrepl.keyspace.access import MOST_COUNTS
from txrepl.keyspace.database import Database, Keyspace
from txrepl.keyspace.sampler import Sampler

POOL_KEYS: Final = 16
NO_EVICTION: Final = "noeviction"


def _idleness(db: Database, key: bytes) -> int:
    return db.idle_ms(key)


def _rarity(db: Database, key: bytes) -> int:
    return MOST_COUNTS - db.frequency(key)


def _nearness(db: Database, key: bytes) -> int:
    return -db.expires[key]


_SCORES: Final[dict[str, Callable[[Database, bytes], int]]] = {"lru": _idleness, "lfu": _rarity, "ttl": _nearness}
"""How much better than others a key is to evict."""


class Evictor:
    """Chooses keys to evict.

    Parameters:
        keyspace: whose keys they are.

    Attributes:
        policy: a value of `maxmemory-policy`.
        samples: keys looked at in each database for one eviction (`maxmemory-samples`).
    """

    def __init__(self, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._pool: list[tuple[int, int, bytes]] = []  # (score, database, key), the best to evict last
        self._next_database = 0
        self.policy: str = NO_EVICTION
        self._volatile = False
        self._score: Callable[[Database, bytes], int] = _idleness
        self.samples: int = 5

    def set_policy(self, policy: str) -> None:
        """Go by another policy; candidates of the one so far are forgotten."""
        self.policy = policy
        self._volatile = policy.startswith("volatile")
        self._score = _SCORES.get(policy[-3:], _idleness)
        self._pool.clear()

    def choose(self) -> tuple[Database, bytes] | None:
        """The key to evict, None when the policy admits none."""
        if self.policy == NO_EVICTION:
            return None
        return self._choose_any() if self.policy.endswith("random") else self._choose_best()

    def _choose_any(self) -> tuple[Database, bytes] | None:
        databases = self._keyspace.databases
        for _ in databases:
            db = databases[self._next_database]
            self._next_database = (self._next_database + 1) % len(databases)
            key = self._sampler(db).draw() if self._candidates(db) else None
            if key is not None:
                return db, key
        return None

    def _choose_best(self) -> tuple[Database, bytes] | None:
        pool, databases = self._pool, self._keyspace.databases
        while True:
            populated = [db for db in databases if self._candidates(db)]
            if not populated:
                return None
            for db in populated:
                self._populate(db)
            while pool:
                score, number, key = pool.pop()
                db = databases[number]
                if key in self._candidates(db) and self._score(db, key) >= score:
                    return db, key

    def _populate(self, db: Database) -> None:
        pool, draw, score = self._pool, self._sampler(db).draw, self._score
        for _ in range(min(self.samples, len(self._candidates(db)))):
            key = draw()
            if key is None:
                return
            candidate = (score(db, key), db.number, key)
            if (len(pool) < POOL_KEYS or candidate > pool[0]) and candidate not in pool:
                insort(pool, candidate)
                if len(pool) > POOL_KEYS:
                    del pool[0]

    def _candidates(self, db: Database) -> dict[bytes, int] | dict[bytes, object]:
        """The keys that may go: those with a deadline, or all."""
        return db.expires if self._volatile else db.data  # type: ignore[return-value]

    def _sampler(self, db: Database) -> Sampler:
        if self._volatile:
            if db.deadline_sampler is None:
                db.deadline_sampler = Sampler(db.expires, self._keyspace.rng.random)
            return db.deadline_sampler
        if db.key_sampler is None:
            db.key_sampler = Sampler(db.data, self._keyspace.rng.random)
        return db.key_sampler
