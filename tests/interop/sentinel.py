"""Groups of servers under real Sentinels: one primary, its replicas, and three `redis-sentinel` that watch them.

    with Group(directory, ("redis70", "txrepl", "txrepl")) as group:
        group.wait_until_settled()
        group.primary.kill()
        successor = group.wait_for_successor()

Sentinel's periods are shortened (`SENTINEL DEBUG`), its rules are not. Every server has a configuration file, which
`CONFIG REWRITE` keeps.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from tests.interop.servers import RealServer, ReplyError, require, start, wait_until
from tests.interop.topology import in_sync

NAME = "group"
SENTINELS = 3
QUORUM = 2
DOWN_AFTER_MS = 700
FAILOVER_TIMEOUT_MS = 3_000
FAILOVER_WAIT_S = 40.0
"""Bound of a whole failover: long enough for two elections without a winner."""

SHORT_PERIODS = ("INFO-PERIOD", 600, "PUBLISH-PERIOD", 300, "PING-PERIOD", 500, "ASK-PERIOD", 200)
"""Milliseconds; none too short: with an answer to PING five periods old, or to INFO three, no replica is promoted."""


def start_sentinel(config_file: Path) -> RealServer:
    """A Sentinel that reads (and rewrites) this file, with short periods."""
    sentinel = RealServer("redis-sentinel", [require("redis-sentinel"), str(config_file)], False, {})
    shorten_periods(sentinel)
    return sentinel


def shorten_periods(sentinel: RealServer) -> None:
    """Have a Sentinel ask and tell more often; a restart forgets it."""
    sentinel.command("SENTINEL", "DEBUG", *SHORT_PERIODS)


def _start_together(stack: ExitStack, starts: Sequence[Callable[[], RealServer]]) -> list[RealServer]:
    """Start servers at the same time; the stack ends those that did start, also if another did not."""
    with ThreadPoolExecutor(len(starts)) as pool:
        futures = [pool.submit(one) for one in starts]
    for future in futures:
        if future.exception() is None:
            stack.enter_context(future.result())
    return [future.result() for future in futures]


class Writer:
    """A client that sets one key after the other and has all replicas acknowledge each.

    Attributes:
        acknowledged: keys whose write every replica acknowledged.
    """

    def __init__(self, server: RealServer, replicas: int, prefix: str) -> None:
        self.acknowledged: list[str] = []
        self._prefix = prefix
        self._replicas = replicas
        self._client = server.connect(timeout_s=5.0)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def _write(self) -> None:
        number = 0
        with contextlib.suppress(ReplyError, OSError):
            while True:
                number += 1
                key = f"{self._prefix}:{number}"
                self._client.command("SET", key, number)
                if self._client.command("WAIT", self._replicas, 500) >= self._replicas:
                    self.acknowledged.append(key)

    def stop(self) -> list[str]:
        """End it; the keys acknowledged."""
        self._client.close()
        self._thread.join(10)
        assert not self._thread.is_alive()
        return self.acknowledged


class Group:
    """One primary and its replicas, watched by three Sentinels that know all of them.

    Parameters:
        directory: where the configuration files go.
        kinds: the primary's and the replicas'.

    Attributes:
        servers, sentinels: all of them.
        primary: which of the servers it is.
    """

    def __init__(self, directory: Path, kinds: Sequence[str]) -> None:
        require("redis-sentinel")
        self.servers: list[RealServer] = []
        self.sentinels: list[RealServer] = []
        self._files: dict[int, Path] = {}
        with ExitStack() as stack:
            self._start_servers(stack, directory, kinds[:1])
            self.primary = self.servers[0]
            self._start_servers(stack, directory, kinds[1:])
            self.wait_until_level()
            self._start_sentinels(stack, directory)
            self._stack = stack.pop_all()

    def _start_servers(self, stack: ExitStack, directory: Path, kinds: Sequence[str]) -> None:
        follows = f"replicaof 127.0.0.1 {self.primary.port}\n" if self.servers else ""
        files = [directory / f"server-{len(self.servers) + number}.conf" for number in range(len(kinds))]
        for file in files:
            file.write_text(follows)
        started = _start_together(
            stack, [partial(start, kind, config_file=file) for kind, file in zip(kinds, files, strict=True)]
        )
        self.servers += started
        self._files.update((server.port, file) for server, file in zip(started, files, strict=True))

    def _start_sentinels(self, stack: ExitStack, directory: Path) -> None:
        files = [directory / f"sentinel-{number}.conf" for number in range(SENTINELS)]
        for file in files:
            file.write_text(
                f"sentinel monitor {NAME} 127.0.0.1 {self.primary.port} {QUORUM}\n"
                f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
                f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n"
                f"sentinel parallel-syncs {NAME} 1\n"
            )
        self.sentinels = _start_together(stack, [partial(start_sentinel, file) for file in files])

    def __enter__(self) -> Group:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def last_lines(self) -> str:
        """The end of everybody's log."""
        return "\n".join(
            line[:300]
            for one in (*self.servers, *self.sentinels)
            for line in (f"-- {one!r}", *one.log_text().splitlines()[-40:], "")
        )

    @property
    def replicas(self) -> list[RealServer]:
        """All but the primary."""
        return [server for server in self.servers if server is not self.primary]

    # What Sentinels say.

    def wait_until_settled(self) -> None:
        """Wait until every Sentinel knows everybody and has nothing to complain of."""
        for sentinel in self.sentinels:
            wait_until(lambda sentinel=sentinel: self._knows_all(sentinel), FAILOVER_WAIT_S, f"{sentinel!r} knows all")

    def prefer(self, chosen: RealServer) -> None:
        """Have this one promoted rather than another (`replica-priority`), and wait until the Sentinels know."""
        wanted = {}
        for server in self.servers:
            wanted[str(server.port)] = priority = "10" if server is chosen else "100"
            server.command("CONFIG", "SET", "replica-priority", priority)
        for sentinel in self.sentinels:
            wait_until(
                lambda sentinel=sentinel: all(
                    one["slave-priority"] == wanted[one["port"]] for one in replicas(sentinel)
                ),
                FAILOVER_WAIT_S,
                f"{sentinel!r} knows the priorities",
            )

    def _knows_all(self, sentinel: RealServer) -> bool:
        state = master(sentinel)
        return (
            state["flags"] == "master"
            and int(state["num-slaves"]) == len(self.replicas)
            and int(state["num-other-sentinels"]) == SENTINELS - 1
            and all((one["flags"], one["master-link-status"]) == ("slave", "ok") for one in replicas(sentinel))
        )

    def _elected(self) -> RealServer | None:
        """The server that every Sentinel names as the primary, if it is another one than before."""
        ports = {int(master(sentinel)["port"]) for sentinel in self.sentinels}
        return next((one for one in self.replicas if ports == {one.port}), None)

    def wait_for_successor(self) -> RealServer:
        """Wait until all Sentinels name another primary and it is one; it is `primary` from then on."""
        successor: RealServer = wait_until(self._elected, FAILOVER_WAIT_S, "the Sentinels agree on a new primary")
        wait_until(
            lambda: successor.info("replication")["role"] == "master", FAILOVER_WAIT_S, f"{successor!r} is a primary"
        )
        self.primary = successor
        return successor

    def file_of(self, server: RealServer) -> str:
        """The text of a server's configuration file."""
        return self._files[server.port].read_text()

    def wait_until_rewritten(self) -> None:
        """Wait until each server's file names the role that it has by now."""
        line = f"replicaof 127.0.0.1 {self.primary.port}"
        for replica in self.replicas:
            wait_until(
                lambda replica=replica: line in self.file_of(replica).splitlines(),
                FAILOVER_WAIT_S,
                f"{replica!r} has rewritten its file",
            )
        assert "replicaof" not in self.file_of(self.primary)

    def kill_and_start_all(self) -> None:
        """kill -9 everybody, and start them again with their files as they are."""
        for one in (*self.sentinels, *self.servers):
            one.kill()
        for together in (self.servers, self.sentinels):
            with ThreadPoolExecutor(len(together)) as pool:
                list(pool.map(RealServer.start, together))
        for sentinel in self.sentinels:
            shorten_periods(sentinel)

    def wait_until_level(self) -> None:
        """Wait until every other server follows the primary and has all that it has."""
        for replica in self.replicas:
            wait_until(
                lambda replica=replica: in_sync(self.primary, replica),
                FAILOVER_WAIT_S,
                f"{replica!r} follows {self.primary!r}",
            )


def _pairs(words: Sequence[bytes]) -> dict[str, str]:
    texts = [word.decode() for word in words]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def master(sentinel: RealServer, name: str = NAME) -> dict[str, str]:
    """What a Sentinel knows of the group's primary."""
    return _pairs(sentinel.command("SENTINEL", "MASTER", name))


def replicas(sentinel: RealServer, name: str = NAME) -> list[dict[str, str]]:
    """What a Sentinel knows of the group's replicas."""
    return [_pairs(one) for one in sentinel.command("SENTINEL", "REPLICAS", name)]
