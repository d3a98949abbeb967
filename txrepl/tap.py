"""`twistd txrepl`: the same server as a Twisted service, with HTTP on by default."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, NoReturn

from twisted.application import service
from twisted.logger import Logger
from twisted.python import usage

from txrepl.config import Config, build_config, parse_args, parse_text
from txrepl.errors import ConfigError, StartError
from txrepl.net.log import Log
from txrepl.service import RedisService, now_ms

DEFAULT_HTTP_PORT = "8379"


class Options(usage.Options):
    """The options of `twistd txrepl`; every directive can be given with --set."""

    synopsis = "[options]"
    longdesc = "A Redis-compatible server whose first-class job is replication, seen and steered over HTTP."
    optParameters = [  # noqa: N815, RUF012 - Twisted's interface
        ["config", "c", None, "Configuration file in redis.conf syntax."],
        ["port", "p", None, "Port for Redis clients and replicas; 0 lets the kernel pick. [default: 6379]"],
        ["bind", "b", None, "Address for Redis clients and replicas. [default: 127.0.0.1]"],
        ["http", None, None, "Endpoint for HTTP (tcp:8379:interface=127.0.0.1), a port, or 'off'."],
        ["replicaof", "r", None, "HOST:PORT of the primary to follow."],
        ["dir", "d", None, "Directory for the dump file. [default: the current one]"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["directives"] = []

    def opt_set(self, text: str) -> None:
        """A directive and its value, as a line of the configuration file."""
        self["directives"].append(text)

    opt_s = opt_set

    def postOptions(self) -> None:  # noqa: N802
        """Build the configuration; a mistake ends the start with one line that says what it is."""
        try:
            self["built"] = self._build()
        except (ConfigError, OSError) as error:
            _give_up(str(error))

    def _build(self) -> Config:
        words = [self["config"]] if self["config"] else []
        for name in ("port", "bind", "dir"):
            if self[name] is not None:
                words += [f"--{name}", self[name]]
        if self["replicaof"] is not None:
            host, separator, port = self["replicaof"].rpartition(":")
            if not separator:
                raise ConfigError(f"--replicaof wants HOST:PORT, not '{self['replicaof']}'")
            words += ["--replicaof", f"{host.strip('[]')} {port}"]
        for text in self["directives"]:
            name, _, value = text.strip().partition(" ")
            words += [f"--{name}", value.strip()]
        http = self["http"]
        if http is not None and http != "off":
            words += ["--http-port", http] if http.isdigit() else ["--http", http]
        config = build_config(parse_args(words))
        if http is None and not config.get_int("http-port") and not config.get_str("http"):
            config.load(parse_text(f"http-port {DEFAULT_HTTP_PORT}", "the default of twistd txrepl"))
        return config


class TwistedLog(Log):
    """Lines go to Twisted's log, which knows files, rotation and the time."""

    _logger = Logger("txrepl")

    def __call__(self, level: str, message: str) -> None:
        """Write a line; a snapshot child, which must not touch the log's observers, keeps silent."""
        if level == "child" or not self.admits(level):
            return
        emit = {"warning": self._logger.warn, "notice": self._logger.info}.get(level, self._logger.debug)
        emit("{role} {message}", role=self.role(), message=message)


class TwistdService(RedisService):
    """The server under twistd, which ends by SystemExit where it cannot start."""

    def privilegedStartService(self) -> None:  # noqa: N802
        """Listen."""
        for warning in self.config.take_warnings():
            self.log("warning", warning)
        try:
            super().privilegedStartService()
        except (StartError, ConfigError) as error:
            _give_up(str(error))


def _give_up(message: str) -> NoReturn:
    print(message, file=sys.stderr)  # noqa: T201
    raise SystemExit(1)


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)  # noqa: T201
    sys.stdout.flush()
    os._exit(1)


def makeService(options: Any) -> service.Service:  # noqa: N802
    """The service that twistd runs."""
    from twisted.internet import reactor  # the reactor twistd was told to use  # noqa: PLC0415

    log = TwistedLog(now_ms)

    def fatal(message: str) -> None:
        log("warning", message)
        atexit.register(_fail, message)  # twistd itself knows no exit code of a reactor that has run
        looping: Any = reactor
        looping.callWhenRunning(looping.stop)  # a short file may prove bad before the reactor runs

    return TwistdService(options["built"], reactor, log, fatal)
