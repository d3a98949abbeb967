"""`maxmemory`: what is used, what is done about it, and who is refused. Follows evict.c of Redis 7.2.

The rule: `out_of_memory` is what is true of the last look, and a look costs a few µs; it is taken before each batch,
and before each command that may need memory once a batch could pass the limit (`MARGIN_BYTES`). Far below the limit,
commands run as without one; without one, nothing here runs at all.

While the keys that are there already are being counted, in slices of `SLICE_NS`, nothing is evicted or refused: what is
used is not known yet. An eviction that would take longer than `maxmemory-eviction-tenacity` allows goes on between the
requests of other clients (`startEvictionTimeProc`).

Connections are bounded likewise (`maxmemory-clients`): ten times a second, or once if there are many, the largest are
closed until the rest fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter_ns
from typing import Final

from txrepl.commands.client_lines import client_line
from txrepl.commands.memory_use import (
    CLIENT_BYTES,
    DatabaseUse,
    MemoryUse,
    backlog_bytes,
    data_and_tables_bytes,
    not_counted_bytes,
)
from txrepl.commands.session import NO_EVICT, REPLICA, Session
from txrepl.keyspace.eviction import Evictor
from txrepl.node.core import Core

MARGIN_BYTES: Final = 1024 * 1024
"""What a batch of requests may add before it is looked at each of them."""
MANY_CLIENTS: Final = 1000
"""More connections than that are weighed once a second only: 1 ms for a thousand."""
SLICE_NS: Final = 2_000_000
_LOOK_EVERY: Final = 16
"""Evictions between two looks at the clock."""


def time_limit_ns(tenacity: int) -> int | None:
    """How long evicting may hold up a command, None for as long as it takes (`evictionTimeLimitUs`).

    Parameters:
        tenacity: 0 to 100; up to 10 the time grows by 50 µs each, above by 15 % each.
    """
    if tenacity <= 10:
        return tenacity * 50_000
    return None if tenacity >= 100 else int(1.15 ** (tenacity - 10) * 500_000)


class Memory:
    """The limits of memory of a node.

    Parameters:
        core: the node.
        sessions: its connections.
        disconnect: closes one.

    Attributes:
        limit_bytes: `maxmemory`; 0 = none.
        clients_limit: `maxmemory-clients` in bytes, or a percentage of `maxmemory` as a negative number; 0 = none.
        tenacity: `maxmemory-eviction-tenacity`.
        replica_ignores: a replica leaves evicting to its primary (`replica-ignore-maxmemory`).
        evictor: chooses keys.
        out_of_memory: at the last look, more was used than may be, and it could not be freed.
        base_bytes: what the process took before it had data.
        timer: monotonic time in ns.
    """

    def __init__(self, core: Core, sessions: dict[int, Session], disconnect: Callable[[Session], None]) -> None:
        self._core = core
        self._keyspace = core.keyspace
        self._sessions = sessions
        self._disconnect = disconnect
        self.limit_bytes: int = 0
        self.clients_limit: int = 0
        self.tenacity: int = 10
        self.replica_ignores: bool = True
        self.evictor = Evictor(core.keyspace)
        self.out_of_memory: bool = False
        self.base_bytes: int = 0
        self.timer: Callable[[], int] = perf_counter_ns
        self._ticks = 0
        self._counting = False
        self._evicting = False
        self._is_near = False
        self._clients_bytes = 0
        self._scripts_bytes = 0
        self._peak_bytes = 0
        self._exceeded_since_ms: int | None = None

    # -- directives ---------------------------------------------------------------------------------------------

    def set_limit(self, limit_bytes: int) -> None:
        """`maxmemory` is set, at start or by CONFIG SET."""
        had, self.limit_bytes = self.limit_bytes, limit_bytes
        if not limit_bytes:
            self._keyspace.end_count()
            self._note(out_of_memory=False, near=False)
            return
        self._weigh()
        if not had:
            self._keyspace.begin_count()
            self._count_slice()
        if self._keyspace.count is None:
            self._limited()

    def _limited(self) -> None:
        """What is used is known, and so is whether it is too much."""
        used = self.used_bytes()
        if used > self.limit_bytes:
            self._core.log(
                "warning",
                f"WARNING: the new maxmemory value set via CONFIG SET ({self.limit_bytes}) is smaller than the current "
                f"memory usage ({used}). This will result in key eviction and/or the inability to accept new write "
                "commands depending on the maxmemory-policy.",
            )
            self._go_on_later()

    # -- counting -----------------------------------------------------------------------------------------------

    def _count_slice(self) -> None:
        """Count on for a while; the rest follows between other work."""
        self._counting = False
        count, until = self._keyspace.count, self.timer() + SLICE_NS
        while count is not None and self.timer() < until:
            try:
                next(count)
            except StopIteration:
                self._keyspace.count = None
                return
        if count is not None:
            self._counting = True
            self._core.later(0, self._count_on)

    def _count_on(self) -> None:
        if self._counting:
            self._count_slice()
            if self._keyspace.count is None:
                self._limited()

    # -- looking ------------------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """What counts against the limit."""
        core = self._core
        used = data_and_tables_bytes(self._keyspace) + self._clients_bytes + self._scripts_bytes
        return used + backlog_bytes(core.feed) - not_counted_bytes(core.feed, core.settings.backlog_bytes)

    def use(self) -> MemoryUse:
        """All sizes, as they are now."""
        core, keyspace = self._core, self._keyspace
        self._weigh()
        replicas = sum(bool(session.flags & REPLICA) for session in self._sessions.values())
        filled = [db for db in keyspace.databases if db.data]
        found = MemoryUse(
            keys=sum(len(db.data) for db in filled),
            data=sum(db.data_bytes() for db in filled),
            databases=tuple(DatabaseUse(db.number, db.table_bytes(), db.deadline_bytes()) for db in filled),
            backlog=backlog_bytes(core.feed),
            not_counted=not_counted_bytes(core.feed, core.settings.backlog_bytes),
            clients=self._clients_bytes - replicas * CLIENT_BYTES,
            replicas=replicas * CLIENT_BYTES,
            scripts=core.scripting.scripts.size_bytes,
            functions=core.scripting.libraries.size_bytes,
        )
        self._peak_bytes = max(self._peak_bytes, found.total)
        return replace(found, base=self.base_bytes, peak=self._peak_bytes)

    @property
    def exceeded_ms(self) -> int:
        """For how long the limit has been passed, in ms; 0 when it is not."""
        since_ms = self._exceeded_since_ms
        return 0 if since_ms is None else max(0, self._keyspace.now_ms - since_ms)

    def before_batch(self) -> None:
        """Requests are about to run, and there is a limit."""
        if self._keyspace.count is not None:
            if not self._counting:
                self._count_slice()
            return
        used = self.used_bytes()
        if used > self.limit_bytes:
            self.free()
        else:
            self._exceeded(False)
            self._note(out_of_memory=False, near=used + MARGIN_BYTES > self.limit_bytes)

    def _note(self, *, out_of_memory: bool, near: bool) -> None:
        self.out_of_memory = out_of_memory
        if near != self._is_near:
            self._is_near = near
            self._core.dispatcher.set_memory_gate(near)

    def _may_evict(self) -> bool:
        """Whether evicting is for us to do, and safe now (`isSafeToPerformEvictions`)."""
        core = self._core
        follows = bool(core.link.host) and self.replica_ignores
        busy = core.loading is not None or core.dispatcher.pause_flags or core.scripting.busy_refusal() is not None
        return not (follows or busy or self._keyspace.count is not None)

    # -- evicting -----------------------------------------------------------------------------------------------

    def free(self) -> bool:
        """Evict keys if more is used than may be (`performEvictions`).

        Returns:
            False when too much is used and nothing can be done about it: commands that need memory are refused.
        """
        if not self.limit_bytes or not self._may_evict():
            self._exceeded(False)
            self.out_of_memory = False
            return True
        freed = True
        if self.used_bytes() > self.limit_bytes:
            started = self.timer()
            freed = self._evict()
            taken_ms = (self.timer() - started) / 1_000_000
            self._core.observations.latency.note("eviction-cycle", taken_ms, self._keyspace.now_ms)
        else:
            self._exceeded(False)
        self._note(out_of_memory=not freed, near=True)
        return freed

    def _evict(self) -> bool:
        """Evict until enough is free or time is up; False if the policy has no key to give."""
        core, choose, stats = self._core, self.evictor.choose, self._core.stats
        allowed_ns = time_limit_ns(self.tenacity)
        until = None if allowed_ns is None else self.timer() + allowed_ns
        found = choose()
        evicted = 0
        while found is not None:
            db, key = found
            db.evict_now(key)
            stats.evicted_keys += 1
            evicted += 1
            if self.used_bytes() <= self.limit_bytes:
                break
            if evicted % _LOOK_EVERY == 0 and until is not None and self.timer() > until:
                self._go_on_later()
                break
            found = choose()
        core.propagation.flush(atomic=False)
        self._exceeded(found is None or self._evicting)
        return found is not None

    def _go_on_later(self) -> None:
        if not self._evicting:
            self._evicting = True
            self._core.later(0, self._go_on)

    def _go_on(self) -> None:
        self._evicting = False
        self.free()

    def _exceeded(self, exceeded: bool) -> None:
        if exceeded:
            if self._exceeded_since_ms is None:
                self._exceeded_since_ms = self._keyspace.now_ms
        elif self._exceeded_since_ms is not None:
            self._core.stats.eviction_exceeded_ms += self.exceeded_ms
            self._exceeded_since_ms = None

    # -- connections --------------------------------------------------------------------------------------------

    def _weigh(self) -> None:
        """What takes long to weigh is weighed ten times a second."""
        scripting = self._core.scripting
        self._scripts_bytes = scripting.scripts.size_bytes + scripting.libraries.size_bytes
        self._clients_bytes = sum(CLIENT_BYTES + session.buffer_bytes() for session in self._sessions.values())

    def _limit_of_clients(self) -> int:
        limit = self.clients_limit
        return limit if limit >= 0 else self.limit_bytes * -limit // 100

    def _evict_clients(self, limit: int) -> None:
        """Close the largest connections until the rest is below the limit (`evictClients`).

        Those with CLIENT NO-EVICT stay, and count.
        """
        weighed = sorted(
            (
                (CLIENT_BYTES + session.buffer_bytes(), session.number, session)
                for session in self._sessions.values()
                if not session.flags & REPLICA
            ),
            key=lambda entry: entry[:2],
        )
        total = sum(size for size, _, _ in weighed)
        while weighed and total >= limit:
            size, _, session = weighed.pop()
            if session.flags & NO_EVICT:
                continue
            total -= size
            self._core.log("notice", f"Evicting client: {client_line(session)}")
            self._core.stats.evicted_clients += 1
            self._disconnect(session)

    def tick(self) -> None:
        """Called ten times a second."""
        if not self.limit_bytes and not self.clients_limit:
            return
        self._ticks += 1
        if len(self._sessions) <= MANY_CLIENTS or self._ticks % 10 == 0:
            self._weigh()
        limit = self._limit_of_clients()
        if limit and self._clients_bytes >= limit:
            self._evict_clients(limit)
        if self.limit_bytes:
            self.before_batch()
            self._peak_bytes = max(self._peak_bytes, self.used_bytes())
