"""`txrepl-server`: started as a redis-server is, with the same arguments and the same configuration file."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Sequence
from typing import Any

from txrepl import __version__
from txrepl.config import PRESENTED_VERSION, USAGE, Config, build_config, parse_args
from txrepl.errors import CommandError, ConfigError, StartError
from txrepl.net.log import Log
from txrepl.service import RedisService, now_ms


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server until it is told to stop; the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parse_args(words)
        if arguments.show == "version":
            print(f"txrepl server v={__version__} (as Redis server v={PRESENTED_VERSION})")  # noqa: T201
            return 0
        if arguments.show == "help":
            print(USAGE)  # noqa: T201
            return 0
        config = build_config(arguments, sys.stdin.read() if arguments.from_stdin else None)
    except (ConfigError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return run(config)


def run(config: Config) -> int:
    """Run a configured server."""
    if config.get_bool("daemonize"):
        _daemonize()
    reactor = _reactor()

    log = Log(now_ms)
    log.hear_twisted()
    failures: list[str] = []

    def fatal(message: str) -> None:
        failures.append(message)
        reactor.callWhenRunning(reactor.stop)  # a short file may prove bad before the reactor runs

    try:
        server = RedisService(config, reactor, log, fatal)
        for warning in config.take_warnings():
            log("warning", warning)
        server.privilegedStartService()
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    except StartError as error:
        log("warning", str(error))
        return 1
    pidfile = config.get_str("pidfile")
    if pidfile:
        _write_pid(pidfile, log)
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    _catch_signals(server, reactor)
    reactor.run(installSignalHandlers=False)
    if pidfile and os.path.exists(pidfile):
        os.unlink(pidfile)
    for message in failures:
        log("warning", message)
    return 1 if failures else 0


def _reactor() -> Any:
    """Twisted's reactor; imported late, because importing makes it, and it must be made after daemonizing."""
    if hasattr(select, "epoll"):
        from txrepl.net import polling  # noqa: PLC0415

        polling.install()
    from twisted.internet import reactor  # noqa: PLC0415

    return reactor


def _write_pid(path: str, log: Log) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log("warning", f"Failed to write PID file: {error.strerror}")


def _catch_signals(server: RedisService, reactor: Any) -> None:
    """SIGTERM and SIGINT shut down as SHUTDOWN does, as `shutdown-on-*` says; a second SIGINT ends at once."""
    seen: list[int] = []

    def caught(number: int, frame: object) -> None:
        if number == signal.SIGINT and signal.SIGINT in seen:
            server.log("warning", "You insist... exiting now.")
            os._exit(1)
        seen.append(number)
        name = "SIGINT" if number == signal.SIGINT else "SIGTERM"
        server.log("warning", f"Received {name} scheduling shutdown...")
        reactor.callFromThread(_shut_down, server, server.config[f"shutdown-on-{name.lower()}"])

    signal.signal(signal.SIGTERM, caught)
    signal.signal(signal.SIGINT, caught)


def _shut_down(server: RedisService, words: Sequence[str]) -> None:
    save = True if "save" in words else False if "nosave" in words else None
    try:
        server.node.ending.shut_down(save=save, now="now" in words, force="force" in words)
    except CommandError:
        pass  # the log tells, and the server goes on


def _daemonize() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


if __name__ == "__main__":
    sys.exit(main())
