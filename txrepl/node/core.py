"""What every part of a node shares: the cores of replication, keyspace and commands, the time, and the way out.

A part changes what is here and asks the parts below it; it never asks a part above it. What follows from a change of
state for the commands that clients may run is in one place, `refresh_gate`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter_ns

from txrepl.commands.access.record import Record
from txrepl.commands.access.users import Users
from txrepl.commands.dispatch import Dispatcher
from txrepl.commands.migration import Migrations
from txrepl.commands.observations import Observations
from txrepl.commands.propagation import Propagation
from txrepl.commands.registry import build_table
from txrepl.commands.session import Timer
from txrepl.commands.stalls import Stalls
from txrepl.commands.stats import Loading, Stats
from txrepl.config import Config
from txrepl.config.quoting import to_bytes
from txrepl.keyspace.database import Expiry, Keyspace
from txrepl.node.host import Host
from txrepl.persistence.saver import Saver
from txrepl.replication.delay import Delay
from txrepl.replication.deliveries import Deliveries
from txrepl.replication.events import EventKind, Events
from txrepl.replication.failover import Failover
from txrepl.replication.feed import Feed
from txrepl.replication.guard import Guard
from txrepl.replication.history import History
from txrepl.replication.link import Link
from txrepl.replication.primary import Primary
from txrepl.replication.settings import Settings
from txrepl.replication.shutdown import Shutdown
from txrepl.replication.transcripts import Transcripts
from txrepl.scripting.engine import Engine


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


@dataclass(slots=True)
class Elapsed:
    """How long something took, in µs, once it is over."""

    microseconds: int = 0


class Core:
    """The state that the parts of a node share.

    Parameters: as `Node`'s.

    Attributes:
        random_id: makes ids of 40 hexadecimal digits.
        run_id: one of them, of this run.
        started_ms: when the server started, unix ms.
        loading: the load that goes on, None if none.
        stalls, observations: what keeps clients waiting.
        host: the shell around the node, which sets it before anything happens.
        dispatcher, failover, shutdown: these ask something of the whole node, which therefore makes them.
    """

    host: Host
    dispatcher: Dispatcher
    failover: Failover
    shutdown: Shutdown

    def __init__(
        self,
        config: Config,
        now: Callable[[], int],
        rng: random.Random,
        random_id: Callable[[], str],
        log: Callable[[str, str], None],
    ) -> None:
        self.config = config
        self.now = now
        self.random_id = random_id
        self.log = log
        self.run_id = random_id()
        self.started_ms = now()
        self.keyspace = Keyspace(config.get_int("databases"), rng)
        self.keyspace.set_time(self.started_ms)
        self.stats = Stats()
        self.stalls = Stalls()
        self.observations = Observations()
        self.saver = Saver(self.started_ms)
        self.settings = Settings()
        self.link = Link()
        self.feed = Feed(History(random_id))
        self.feed.timeline.begin(self.started_ms, self.feed.history.offset)
        self.events = Events(now)
        self.transcripts = Transcripts()
        self.deliveries = Deliveries()
        self.primary = Primary(self.feed, self.settings, log, now, self.events)
        self.migrations = Migrations(now)
        self.table = build_table()
        self.users = Users(self.table, lambda message: log("warning", message))
        self._require_password()
        config.subscribe("requirepass", self._require_password)
        self.denials = Record()
        self.propagation = Propagation(self.keyspace, self.feed)
        self.scripting = Engine(self.keyspace, _monotonic_ms, log)
        self.guard = Guard()
        self.delay = Delay(self.feed.history)
        self.loading: Loading | None = None
        self._last_session = 0

    def _require_password(self) -> None:
        """`requirepass` is another name for the default user's only password."""
        self.users.default.set_password(to_bytes(self.config.get_str("requirepass")))

    def next_session(self) -> int:
        """A new session's client id."""
        self._last_session += 1
        return self._last_session

    @contextmanager
    def timed(self, event: str) -> Iterator[Elapsed]:
        """Time what is done in the block, for the latency monitor.

        Parameters:
            event: its name there.
        """
        elapsed = Elapsed()
        started = perf_counter_ns()
        try:
            yield elapsed
        finally:
            elapsed.microseconds = (perf_counter_ns() - started) // 1000
            self.observations.latency.note(event, elapsed.microseconds / 1000, self.now())

    def stalled(self, late_s: float, now_s: float) -> None:
        """The event loop was away from its clients (see `Stalls.note`)."""
        self.stalls.note(late_s, now_s)
        self.observations.latency.note("event-loop", late_s * 1000, self.now())

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after a while, at the time that then is."""

        def act() -> None:
            self.keyspace.set_time(self.now())
            action()
            self.feed.flush()

        return self.host.later(delay_ms, act)

    def settle_guard(self, how: str) -> None:
        """What the guard has stopped, if anything, is decided; `how` says it in words."""
        if self.guard.stop is not None:
            self.events.note(EventKind.GUARD_SETTLED, how)
        self.guard.settle()

    def refresh_gate(self) -> None:
        """Tell the dispatcher what the server refuses in its present state."""
        link = self.link
        follows = bool(link.host)
        still = follows or self.dispatcher.pause_flags  # a pause promises that the dataset does not change
        self.keyspace.expiry = int(Expiry.HIDE if still else Expiry.DELETE)
        self.propagation.muted = follows
        if not follows or self.settings.read_only:
            self.keyspace.local_expires = None
        elif self.keyspace.local_expires is None:
            self.keyspace.local_expires = []
        self.primary.follows = follows
        self.dispatcher.set_gate(
            read_only=follows and self.settings.read_only,
            stale=follows and not link.is_up and not self.settings.serve_stale,
            loading=self.loading is not None,
            save_failed=not self.saver.last_ok
            and bool(self.saver.points)
            and self.config.get_bool("stop-writes-on-bgsave-error"),
            min_replicas=not follows and bool(self.settings.min_replicas and self.settings.min_replicas_max_lag_s),
        )
