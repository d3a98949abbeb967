"""How a connection to another server is opened, and why it could not be, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from twisted.internet import defer, protocol
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError, TimeoutError

from txrepl.errors import ReplicationError

CONNECT_S: Final = 5.0
"""How long a server may take to accept a connection."""

_Made = TypeVar("_Made", bound=protocol.Protocol)


class UnreachableError(ReplicationError):
    """Nobody could be connected to.

    Parameters:
        reason: why, in words.
        refused: there is such a machine, and nobody listens there.
        unknown: the name is not known.
    """

    def __init__(self, reason: str, *, refused: bool = False, unknown: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused
        self.unknown = unknown


class Dial:
    """Opens connections.

    Parameters:
        reactor: Twisted's reactor.
        endpoint: makes an endpoint of host and port; for tests.
    """

    def __init__(self, reactor: Any, endpoint: Callable[[str, int], Any] | None = None) -> None:
        self.clock = reactor
        self._endpoint = endpoint or (lambda host, port: HostnameEndpoint(reactor, host, port, timeout=CONNECT_S))

    async def open(self, host: str, port: int, made: _Made) -> _Made:
        """Connect a protocol.

        Raises:
            UnreachableError: it is not connected.
        """
        factory: Any = protocol.Factory.forProtocol(lambda: made)
        factory.noisy = False
        connecting = self._endpoint(host, port).connect(factory)
        try:
            await connecting.addTimeout(CONNECT_S, self.clock)
        except ConnectionRefusedError:
            raise UnreachableError(f"nobody listens on {host}:{port}", refused=True) from None
        except DNSLookupError:
            raise UnreachableError(f"the name {host} is not known here", unknown=True) from None
        except (TimeoutError, defer.TimeoutError):
            raise UnreachableError(f"{host}:{port} did not answer within {CONNECT_S:g} s") from None
        except (ConnectError, OSError, ValueError) as error:
            raise UnreachableError(f"{host}:{port} cannot be reached: {error}") from None
        transport: Any = made.transport
        transport.setTcpNoDelay(True)
        return made
