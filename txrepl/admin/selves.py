"""Whether an address is our own, told without asking any name server."""

from __future__ import annotations

import ipaddress

from txrepl.admin.auth import is_loopback
from txrepl.config import Config
from txrepl.replication.settings import Settings

_EVERY = frozenset({"*", "::*", "0.0.0.0", "::"})


def is_ourselves(config: Config, settings: Settings, host: str, port: int) -> bool:
    """Whether a replica that connects to host:port would reach this very server.

    Parameters:
        config: for the addresses that we listen on (`bind`).
        settings: for the port, and for what we announce.
        host, port: of the primary that is asked for. A name that only a resolver could tell is taken as foreign.
    """
    wanted = _normal(host)
    announced = settings.announce_port or settings.listening_port
    if settings.announce_ip and (wanted, port) == (_normal(settings.announce_ip), announced):
        return True
    if port != settings.listening_port:
        return False
    bound = {_normal(address.removeprefix("-")) for address in config.bind}
    if wanted in _EVERY:  # connecting to "any address" reaches this machine
        return True
    if is_loopback(wanted):
        return bool(bound & _EVERY) or any(is_loopback(address) for address in bound)
    return wanted in bound


def _normal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().rstrip(".")
