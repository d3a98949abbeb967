"""Who may ask: the token, the Host and the Origin of a request.

    token     when one is set, every request carries it (`Authorization: Bearer …`), but for a probe and for the
              dashboard's own files: a browser cannot send it with the first request, and they tell nothing
    Host      must name us in every write, and in every request when no token is set: a page whose name was re-bound
              to our address may neither steer nor read a local node
    Origin    a write that has one comes from a web page: it must be our own

Probes (`/healthz`, `/readyz`) tell nothing that needs guarding and are asked by tools that know no token.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from txrepl.admin.problems import ForbiddenError, MalformedError, UnauthorizedError
from txrepl.errors import ConfigError

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK_NAMES: Final = frozenset({"localhost", "localhost.", "ip6-localhost"})
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(\d{1,5}))?")
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def is_loopback(host: str) -> bool:
    """Whether a name or address (without brackets) can only mean this machine."""
    name = host.lower()
    if name in _LOOPBACK_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def check_exposure(host: str, token: str) -> None:
    """Refuse to serve strangers without a token.

    Parameters:
        host: the address or name that HTTP is to be bound to; empty means every interface.
        token: the value of `http-token`, empty if none.

    Raises:
        ConfigError: others could reach the port, and nothing would stop them.
    """
    if not token and not is_loopback(host.strip("[]")):
        where = host or "every interface"
        raise ConfigError(
            f"http-bind: {where} can be reached from other machines: set http-token, or bind to 127.0.0.1"
        )


def endpoint_host(endpoint: str) -> str:
    """The host that a server endpoint string (Twisted's syntax) binds to, for `check_exposure`.

    Parameters:
        endpoint: such as `tcp:8379:interface=127.0.0.1`. Without an interface it is every one, the empty string; a
            Unix socket is as local as localhost; what cannot be told (`systemd`, `fd`, plugins) is every one too.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in re.split(r"(?<!\\):", endpoint)]
    if words[0] == "unix":
        return "localhost"
    named = [word.removeprefix("interface=") for word in words[1:] if word.startswith("interface=")]
    return named[-1] if named and words[0] in {"tcp", "tcp4", "tcp6", "ssl"} else ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides whether it may pass.

    Attributes:
        method, path: of the request line, the path without its query.
        hosts, origins, authorizations: the values of these headers.
        local_address: our end of the connection.
        tells_nothing: what is asked for is the same for every node.
    """

    method: str
    path: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    authorizations: tuple[str, ...]
    local_address: str
    tells_nothing: bool


class Guard:
    """Decides whether a request may pass.

    Parameters:
        token: the bearer token; empty = none is needed.
        bound_host: the address or name that HTTP is bound to.
    """

    def __init__(self, token: str, bound_host: str) -> None:
        self._token = token.encode()
        self._bound_host = bound_host.strip("[]").lower()

    @property
    def needs_token(self) -> bool:
        """Whether requests need a token."""
        return bool(self._token)

    def check(self, asked: Asked) -> None:
        """Let a request pass.

        Raises:
            MalformedError: its method or Host is none.
            UnauthorizedError: it lacks the token.
            ForbiddenError: it comes from elsewhere.
        """
        if not _METHOD.fullmatch(asked.method):
            raise MalformedError("the method is not one of HTTP's")
        name = self._host_name(asked.hosts)
        if asked.path in OPEN_PATHS:
            return
        if self._token and not asked.tells_nothing:
            self._check_token(asked.authorizations)
        writes = asked.method not in SAFE_METHODS
        if (writes or not self._token) and not self._is_ours(name, asked.local_address):
            raise ForbiddenError("the Host header does not name this server: use its address, or localhost")
        if writes:
            self._check_origin(asked.origins, asked.hosts[0])

    def _host_name(self, hosts: tuple[str, ...]) -> str:
        match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if match is None:
            raise MalformedError("exactly one Host header with a name or address is needed")
        return match[1].strip("[]").lower()

    def _check_token(self, authorizations: tuple[str, ...]) -> None:
        given = authorizations[0] if len(authorizations) == 1 else ""
        scheme, _, token = given.partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not same:
            raise UnauthorizedError("send the header 'Authorization: Bearer TOKEN' with the value of http-token")

    def _is_ours(self, name: str, local_address: str) -> bool:
        return is_loopback(name) or (bool(name) and name in {self._bound_host, local_address.lower()})

    def _check_origin(self, origins: tuple[str, ...], host: str) -> None:
        for origin in origins:
            scheme, separator, place = origin.lower().partition("://")
            if not separator or not place or _with_port(place, scheme) != _with_port(host.lower(), scheme):
                raise ForbiddenError("the Origin header names another site: a web page may not do this")


def _with_port(place: str, scheme: str) -> str:
    match = _HOST.fullmatch(place)
    return place if match is None or match[2] else f"{place}:{_DEFAULT_PORTS.get(scheme, '')}"
