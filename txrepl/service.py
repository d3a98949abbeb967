"""The composition root: builds a node and everything around it, starts it, stops it."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from twisted.application import service
from twisted.internet import defer, task, tcp
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.python.failure import Failure

from txrepl import __version__
from txrepl.commands.info import read_process
from txrepl.commands.migration import Migration
from txrepl.commands.session import Timer
from txrepl.commands.stats import Loading
from txrepl.config import Config
from txrepl.directives import follow_directives, load_users
from txrepl.errors import RdbError, StartError
from txrepl.net.bulk import load_file
from txrepl.net.clients import ClientFactory
from txrepl.net.garbage import PacedCollector
from txrepl.net.log import Log
from txrepl.net.migration import Migrator
from txrepl.net.others import OtherClients
from txrepl.net.primary_link import PrimaryLink
from txrepl.net.snapshots import SnapshotShell
from txrepl.net.stall_watch import StallWatch
from txrepl.net.transport import WriteThroughPort, WriteThroughServer
from txrepl.node import Node
from txrepl.persistence.snapshot import Loader

PRESENTED: Final = "7.2.4"
TICK_S: Final = 0.1


def now_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


def random_id() -> str:
    """40 random hexadecimal digits."""
    return secrets.token_hex(20)


class Cancellable:
    """A reactor's timer that may be cancelled when it has fired, too."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> None:
        """Make it not happen."""
        if self._call.active():
            self._call.cancel()


class RedisService(service.Service):
    """A txrepl server: RESP, replication, snapshots, HTTP.

    Parameters:
        config: the directives.
        reactor: Twisted's reactor.
        on_fatal: called with a message when the server cannot go on; it ends the process.
    """

    def __init__(self, config: Config, reactor: Any, log: Log, on_fatal: Callable[[str], None]) -> None:
        self.config = config
        self.log = log
        self._reactor = reactor
        self._on_fatal = on_fatal
        log.level = config.get_str("loglevel")
        log.path = config.get_str("logfile")
        self.node = Node(config, now_ms, random.Random(secrets.randbits(64)), random_id, log)
        log.role = lambda: "S" if self.node.link.host else "M"
        self.snapshots = SnapshotShell(self.node, reactor)
        self.link = PrimaryLink(self.node, reactor)
        self.migrator = Migrator(self.node, reactor)
        self._others = OtherClients(reactor)
        self.node.host = self
        self.node.memory.base_bytes = read_process().resident
        self.node.multiplexing_api = type(reactor).__name__.removesuffix("Reactor").lower()
        self.node.primary.snapshots = self.snapshots
        self._ticker = task.LoopingCall(self.node.tick)
        self._ticker.clock = reactor
        self._stall_watch = StallWatch(self.node.stalled, reactor)
        self._collector = PacedCollector(reactor)
        self._webhook: Any = None
        config.subscribe("event-webhook", self._want_webhook)
        self._ports: list[Any] = []
        self._unix_path = ""
        self.stopping = False
        self._left: defer.Deferred[None] | None = None
        follow_directives(self.node)
        config.subscribe("loglevel", self._log_level)
        self.resp_port = 0

    def _log_level(self) -> None:
        self.log.level = self.config.get_str("loglevel")

    # -- starting

    def privilegedStartService(self) -> None:  # noqa: N802
        """Listen; whoever connects before the data is loaded is told so."""
        super().privilegedStartService()
        self._enter_directory()
        load_users(self.node)
        follow = self.config.replicaof
        self.node.loading = Loading(now_ms())
        if follow is not None:
            self.node.link.host, self.node.link.port = follow
        self.node.refresh_gate()
        self._listen()
        self.log("notice", f"txrepl {__version__} (as Redis {PRESENTED}) starting, PID: {os.getpid()}")
        self.log("notice", f"Running mode=standalone, port={self.resp_port}.")

    def startService(self) -> None:  # noqa: N802
        """Load the data, then serve and follow."""
        super().startService()
        self._start_ticking()
        self._stall_watch.start()
        self._collector.start()
        self._want_webhook()
        loaded = defer.Deferred.fromCoroutine(self._load())
        loaded.addErrback(lambda failure: self._fail(failure.getErrorMessage()))

    def _start_ticking(self) -> None:
        self._ticker.start(TICK_S, now=False).addErrback(self._tick_broke)

    def _tick_broke(self, failure: Failure) -> None:
        """A tick raised what it must not: the log tells, and the next ones follow."""
        self.log("warning", f"Unexpected error in periodic work: {type(failure.value).__name__}: {failure.value}")
        self._start_ticking()

    def _fail(self, message: str) -> None:
        """The server cannot go on; there is nothing to shut down in good order."""
        self.stopping = True
        self._on_fatal(message)

    def _enter_directory(self) -> None:
        path = self.config.get_str("dir")
        if not os.path.isdir(path) or not os.access(path, os.R_OK | os.X_OK):
            raise StartError(f"Can't chdir to '{path}': no such directory, or it cannot be read")

    def _listen(self) -> None:
        config = self.config
        factory: Any = ClientFactory(self.node)
        for address in config.bind or ("127.0.0.1",):
            optional = address.startswith("-")
            host = address.removeprefix("-")
            interface = {"*": "0.0.0.0", "::*": "::"}.get(host, host)
            port = WriteThroughPort(
                self.resp_port or config.get_int("port"),
                factory,
                config.get_int("tcp-backlog"),
                interface,
                self._reactor,
            )
            try:
                port.startListening()
            except CannotListenError as error:
                if optional:
                    continue
                reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
                place = f"{interface}:{error.port}"
                self.log("warning", f"Warning: Could not create server TCP listening socket {place}: {reason}")
                raise StartError(f"Failed listening on port {error.port} (tcp), aborting.") from error
            self.resp_port = port.getHost().port
            self._ports.append(port)
        self.node.settings.listening_port = self.resp_port
        config.assign("port", self.resp_port)
        self._listen_unix(factory)
        self._listen_http()

    def _listen_unix(self, factory: Any) -> None:
        path = self.config.get_str("unixsocket")
        if path:
            mode = self.config.get_int("unixsocketperm") or 0o777
            try:
                if os.path.exists(path):
                    os.unlink(path)
                self._ports.append(self._reactor.listenUNIX(path, factory, mode=mode))
            except (CannotListenError, OSError) as error:
                refused = error.socketError if isinstance(error, CannotListenError) else error
                reason = getattr(refused, "strerror", None) or refused
                self.log("warning", f"Failed opening Unix socket: bind: {reason}")
                raise StartError("Failed listening on Unix socket, aborting.") from error

    def _listen_http(self) -> None:
        config = self.config
        endpoint = config.get_str("http")
        token = config.get_str("http-token")
        port = config.get_int("http-port")
        if not endpoint and not port:
            return
        # Not before it is known that there is HTTP: it takes as long to import as all the rest.
        from txrepl.admin import check_exposure, endpoint_host, make_site  # noqa: PLC0415

        host = endpoint_host(endpoint) if endpoint else config.get_str("http-bind")
        check_exposure(host, token)
        if not endpoint:
            escaped = host.replace(":", r"\:")
            endpoint = f"{'tcp6' if ':' in host else 'tcp'}:{port}:interface={escaped}"
        site = make_site(self.node, self._reactor, token=token, bound_host=host)
        listening = serverFromString(self._reactor, endpoint).listen(site)
        listening.addCallbacks(self._http_listens, lambda failure: self._fail(failure.getErrorMessage()))

    def _want_webhook(self) -> None:
        """Have somebody who posts events as soon as there is somewhere to post them."""
        if self._webhook is None and self.running and self.config.get_str("event-webhook"):
            from txrepl.admin import Webhook  # noqa: PLC0415 - as above

            self._webhook = Webhook(self.node, self._reactor)
            self._webhook.start()

    def _http_listens(self, port: Any) -> None:
        if isinstance(port, tcp.Port):
            port.transport = WriteThroughServer  # an endpoint makes its port itself
        self._ports.append(port)
        address = port.getHost()
        self.log("notice", f"HTTP on http://{getattr(address, 'host', address)}:{getattr(address, 'port', 0)}/")

    async def _load(self) -> None:
        """Load the dump file in slices, so that the server answers meanwhile."""
        node = self.node
        path = self.snapshots.path
        if os.path.exists(path):
            started = time.perf_counter()
            loader = Loader(
                len(node.keyspace.databases),
                now_ms(),
                node.keyspace.limits,
                drop_expired=not node.link.host,
                checksum=self.config.get_bool("rdbchecksum"),
                counts_uses=node.keyspace.counts_uses,
            )
            try:
                loading = node.loading
                assert loading is not None
                loading.total_bytes = os.path.getsize(path)
                with open(path, "rb") as file:
                    await load_file(file, loader, self.config, self._reactor, node.storage.load_moved)
            except (RdbError, OSError) as error:
                raise StartError(f"Fatal error loading the DB {path}: {_reason(error)}. Exiting.") from error
            node.keyspace.adopt(loader.keyspace)
            node.storage.restore_origin(loader)
            node.saver.saved_dirty = node.keyspace.dirty
            self.log("notice", f"DB loaded from disk: {time.perf_counter() - started:.3f} seconds")
        node.loading = None
        node.refresh_gate()
        self.log("notice", "Ready to accept connections tcp")
        if node.link.host:
            node.following.begin()

    # -- what the node asks for

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """Call `action` after a while."""
        return Cancellable(self._reactor.callLater(delay_ms / 1000, action))

    def connect_primary(self) -> None:
        """Begin to connect to the primary."""
        self.link.start()

    def drop_primary(self) -> None:
        """Close the link."""
        self.link.stop()

    def cut_primary(self) -> None:
        """Close the connection to the primary; the link opens it anew."""
        self.link.cut()

    def acknowledge(self, offset: int) -> None:
        """Send `REPLCONF ACK offset`."""
        self.link.acknowledge(offset)

    def migrate(self, migration: Migration) -> None:
        """Run a migration."""
        self.migrator.migrate(migration)

    def migrate_now(self, migration: Migration) -> None:
        """Run a migration, and nothing else meanwhile."""
        self.migrator.migrate_now(migration)

    def serve_others(self) -> bool:
        """Serve the clients that are ready, from within a busy script."""
        self._others.serve()
        return not self.stopping

    def stop(self, *, save: bool, force: bool) -> None:
        """End the server; what had to be saved is saved."""
        self.stopping = True
        self.log("warning", "Redis is now ready to exit, bye bye...")
        self._reactor.callLater(0, self._end)

    def panic(self, reason: str) -> None:
        """End the process on the spot: nothing is saved, nobody is told."""
        self.log("warning", reason)
        if self.snapshots.busy:
            self.snapshots.kill()
        os._exit(1)

    def _end(self) -> None:
        waiting, self._left = self._left, None
        if waiting is not None:
            waiting.callback(None)
        elif self._reactor.running:
            self._reactor.stop()

    # -- stopping

    def stopService(self) -> Any:  # noqa: N802
        """Shut down as SHUTDOWN does if that was not done (`twistd` is ending), then close everything."""
        if self.stopping or not self._ticker.running:
            return self._close()
        self._left = defer.Deferred()
        left = self._left.addCallback(lambda _: self._close())
        self.node.ending.shut_down(save=None, now=False, force=True, final=True)
        return left

    def _close(self) -> Any:
        if self._ticker.running:
            self._ticker.stop()
        self._stall_watch.stop()
        self._collector.stop()
        if self._webhook is not None:
            self._webhook.stop()
        self.link.stop()
        self.migrator.stop()
        if self.snapshots.busy:
            self.snapshots.kill()
        for session in list(self.node.sessions.values()):
            session.outlet.close(flush=True)
        closing = [defer.maybeDeferred(port.stopListening) for port in self._ports]
        self._ports.clear()
        super().stopService()
        return defer.gatherResults(closing)


def _reason(error: RdbError | OSError) -> str:
    return str(error) if isinstance(error, RdbError) else error.strerror or str(error)
