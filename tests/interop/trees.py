"""A replication tree under write load, and things that happen to it; each says how many resyncs it may cost.

Every follower connects through the gate (a proxy) of the node it follows, so that a test can cut links. The tree
keeps count of the full and partial resyncs that the histories ask for; `assert_at_rest` compares them with what the
nodes counted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random

from tests.interop.dataset import random_writes
from tests.interop.servers import CutProxy, Directive, RealServer, start, wait_until
from tests.interop.topology import SYNC_TIMEOUT_S, digest_like, in_sync, load, stat
from tests.interop.wire import RawClient

DIRECTIVES: dict[str, Directive] = {
    "save": ("86400", "100000000"),  # only so that SIGTERM saves
    "repl_backlog_size": "32mb",
    "repl_ping_replica_period": 3600,
}
_BATCH = 40
_GENERATION = {"redis62": 1, "redis70": 2, "valkey9": 3}
_LINK_TIMEOUT_S = 30.0


def can_feed(upper: str, lower: str) -> bool:
    """Whether a full sync from one kind loads in the other: never from a newer server into an older one."""
    return "txrepl" in (upper, lower) or _GENERATION[upper] <= _GENERATION[lower]


class Load:
    """Random writes to a server, from a thread, until it is stopped; a lost connection is opened anew."""

    def __init__(self, target: RealServer, seed: int) -> None:
        self.target = target
        self.batches = 0
        self._source = Random(seed)
        self._gate = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(20)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing is written meanwhile."""
        with self._gate:
            yield

    def wait_for_more(self, batches: int) -> None:
        """Wait until so many more batches were written."""
        goal = self.batches + batches
        wait_until(lambda: self.batches >= goal, 20, f"{batches} more batches are written")

    def _run(self) -> None:
        client: RawClient | None = None
        connected_to: RealServer | None = None
        while not self._stopped.is_set():
            with self._gate:
                try:
                    if client is None or connected_to is not self.target:
                        client, connected_to = self.target.connect(5), self.target
                    client.pipeline(random_writes(self._source, _BATCH))
                    self.batches += 1
                except OSError:
                    client = None
            self._stopped.wait(0.005)


class Tree:
    """Servers that follow one another.

    Parameters:
        shape: for each node the index of the node that it follows; the first is the root (-1).
        kinds: what each node is.
        source: randomness for the choices.

    Attributes:
        steps: what happened, in words; a failed test prints it.
        full, partial: resyncs that the histories ask for.
    """

    def __init__(self, stack: ExitStack, shape: list[int], kinds: list[str], source: Random, seed: int) -> None:
        self.steps: list[str] = []
        self.full = 0
        self.partial = 0
        self._counted = {"sync_full": 0, "sync_partial_ok": 0}
        self._source = source
        self.nodes = [stack.enter_context(start(kind, **DIRECTIVES)) for kind in kinds]
        self.gates = [stack.enter_context(CutProxy(node.port)) for node in self.nodes]
        self.parent = list(shape)
        load(self.root, seed)
        for index, parent in enumerate(shape):
            if parent >= 0:
                self._follow(index, parent)
                self._await_link(index)
        self.full += len(shape) - 1
        self.load = Load(self.root, seed)
        stack.callback(self.load.stop)

    # -- who is where

    @property
    def root_index(self) -> int:
        """The primary's index."""
        return self.parent.index(-1)

    @property
    def root(self) -> RealServer:
        """The primary."""
        return self.nodes[self.root_index]

    def followers(self, index: int) -> list[int]:
        """Who follows a node."""
        return [child for child, parent in enumerate(self.parent) if parent == index]

    @property
    def replicas(self) -> list[int]:
        """Everyone but the primary."""
        return [index for index, parent in enumerate(self.parent) if parent >= 0]

    def _name(self, index: int) -> str:
        return f"{index}:{self.nodes[index].kind}"

    def _follow(self, index: int, parent: int) -> None:
        self.nodes[index].command("REPLICAOF", "127.0.0.1", self.gates[parent].port)
        self.parent[index] = parent

    def _await_links(self) -> None:
        for index in self.replicas:
            self._await_link(index)

    def _await_link(self, index: int) -> None:
        node = self.nodes[index]
        wait_until(
            lambda: node.info("replication").get("master_link_status") == "up",
            _LINK_TIMEOUT_S,
            f"{self._name(index)} is linked",
        )

    def _await_in_sync(self) -> None:
        for index in self.replicas:
            wait_until(
                lambda index=index: in_sync(self.root, self.nodes[index]),
                _LINK_TIMEOUT_S,
                f"{self._name(index)} is in sync",
            )

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Nobody writes, the primary expires nothing by itself, and all have everything."""
        primary = self.root
        with self.load.still():
            primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
            self._await_in_sync()
            yield
            self._await_links()
            primary.command("DEBUG", "SET-ACTIVE-EXPIRE", 1)

    def _count(self, index: int) -> None:
        """Add a node's counters to the sum, for it is about to lose them."""
        for name in self._counted:
            self._counted[name] += stat(self.nodes[index], name)

    # -- what happens

    def happen(self) -> None:
        """Something happens, by chance; afterwards every link is up again."""
        kinds = (self.cut, self.cut, self.pause, self.restart, self.kill_leaf, self.change_roles)
        self._source.choice(kinds)()
        self._await_links()
        self.load.wait_for_more(2)

    def cut(self) -> None:
        """All links to one node are cut; every follower goes on partially."""
        index = self._source.choice([i for i in range(len(self.nodes)) if self.followers(i)])
        self.steps.append(f"cut the links to {self._name(index)}")
        gate, followers = self.gates[index], len(self.followers(index))
        goal = gate.connections + followers
        gate.cut()
        self.partial += followers
        wait_until(lambda: gate.connections >= goal, _LINK_TIMEOUT_S, "the followers are back")

    def pause(self) -> None:
        """A replica stands still while the others go on; it catches up by its link alone."""
        index = self._source.choice(self.replicas)
        self.steps.append(f"pause {self._name(index)}")
        self.nodes[index].pause()
        try:
            self.load.wait_for_more(10)
        finally:
            self.nodes[index].resume()

    def restart(self) -> None:
        """A replica ends as SIGTERM does and starts again: it and its followers go on partially."""
        index = self._source.choice(self.replicas)
        self.steps.append(f"restart {self._name(index)}")
        with self._quiet():
            self._count(index)
            self._stay_behind(index)
            self.nodes[index].restart()
            self.partial += 1 + len(self.followers(index))

    def kill_leaf(self) -> None:
        """A replica without followers is killed and starts empty: one full sync. Without such a one a link is cut."""
        leaves = [index for index in self.replicas if self._may_lose_all(index)]
        if not leaves:
            self.cut()
            return
        index = self._source.choice(leaves)
        self.steps.append(f"kill {self._name(index)}")
        self._count(index)
        self.nodes[index].kill()
        self._stay_behind(index)
        self.nodes[index].start()
        self.full += 1

    def _may_lose_all(self, index: int) -> bool:
        upper, node = self.nodes[self.parent[index]], self.nodes[index]
        saved = (node.dir / "dump.rdb").exists()
        return not self.followers(index) and not saved and can_feed(upper.kind, node.kind)

    def _stay_behind(self, index: int) -> None:
        """The next start follows whom the node follows now."""
        self.nodes[index].directives["replicaof"] = ("127.0.0.1", self.gates[self.parent[index]].port)

    def change_roles(self) -> None:
        """A replica of the primary takes its place; the old primary and its siblings follow it, partially."""
        old = self.root_index
        new = self._source.choice(self.followers(old))
        self.steps.append(f"promote {self._name(new)} over {self._name(old)}")
        with self._quiet():
            siblings = [index for index in self.followers(old) if index != new]
            # Whoever learns of a new id sends its own followers away, so that they learn it too.
            told = [new, *siblings]
            self.partial += sum(len(self.followers(index)) for index in told) + len(siblings) + 1
            self.nodes[new].command("REPLICAOF", "NO", "ONE")
            self.parent[new] = -1
            for index in (*siblings, old):
                self._follow(index, new)
            self.load.target = self.nodes[new]

    # -- at rest

    def assert_at_rest(self) -> None:
        """Without load all nodes are equal, and nobody resynchronized more, or less, than the histories ask for."""
        self.load.stop()
        self._await_in_sync()
        # Servers of two generations print scores differently in their digests; txrepl prints either form.
        witness = next(node for node in self.nodes if node.kind == "txrepl")
        for node in self.nodes:
            wait_until(
                lambda node=node: digest_like(node, node) == digest_like(witness, node),
                SYNC_TIMEOUT_S,
                f"{node!r} has the data of {witness!r} after {self.steps}",
            )
        self._await_in_sync()
        for index in range(len(self.nodes)):
            self._count(index)
        counted = (self._counted["sync_full"], self._counted["sync_partial_ok"])
        assert counted == (self.full, self.partial), f"{counted} instead of {(self.full, self.partial)}: {self.steps}"
