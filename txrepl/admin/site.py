"""The site that a port serves: bounded requests, the guard in front, the app behind it.

A body over the bound is thrown away as it comes and answered with 413; one that goes on and on is answered at once
and cut off. Idle connections end after a minute, requests that trickle in after two; connections are counted.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any, Final, Protocol
from urllib.parse import unquote_to_bytes

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from txrepl.admin import static_files
from txrepl.admin.answers import refuse
from txrepl.admin.app import Admin
from txrepl.admin.asking import Ask, ask
from txrepl.admin.auth import Asked, Guard
from txrepl.admin.bodies import BODY_MAX_BYTES
from txrepl.admin.encoder_process import StartEncoder
from txrepl.admin.problems import MalformedError, RefusedError, TooLargeError, problem_of
from txrepl.node import Node
from txrepl.peers.dialing import Dial

DRAINED_MAX_BYTES: Final = 1024 * 1024
"""How much of a body that is too large is read and dropped, so that its sender gets to read the answer."""
IDLE_MAX_S: Final = 60
RECEIVE_MAX_S: Final = 120
"""How long a request may take to come, however steadily its bytes trickle in."""
CONNECTIONS_MAX: Final = 768
"""More than all streams together may have; one more is closed at once."""
_TOO_LARGE: Final = TooLargeError(f"a body has at most {BODY_MAX_BYTES} bytes here")


class BoundedRequest(Request):
    """A request whose body takes bounded memory."""

    body_bytes: int = 0
    cut_off: bool = False

    def __init__(self, channel: Any, *more: Any, **options: Any) -> None:
        super().__init__(channel, *more, **options)
        self._deadline = channel.callLater(RECEIVE_MAX_S, channel.loseConnection)

    def _received(self) -> None:
        if self._deadline.active():
            self._deadline.cancel()

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        """The connection is gone."""
        self._received()
        super().connectionLost(reason)

    @property
    def is_too_large(self) -> bool:
        """The body went over the bound."""
        return self.body_bytes > BODY_MAX_BYTES

    def gotLength(self, length: int | None) -> None:  # noqa: N802
        """The headers are complete, and announce a body of so many bytes; None = unknown."""
        self.content = self._kept = BytesIO()
        if length is not None and length > DRAINED_MAX_BYTES:
            self._cut_off()

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """A piece of the body came."""
        self.body_bytes += len(data)
        if not self.is_too_large:
            self._kept.write(data)
        elif self.body_bytes > DRAINED_MAX_BYTES:
            self._cut_off()

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:  # noqa: N802
        """The request is complete."""
        self._received()
        if not self.cut_off:
            super().requestReceived(command, path, version)

    def _cut_off(self) -> None:
        """Answer before the body is complete, and close."""
        if self.cut_off:
            return
        self.cut_off = True
        self._received()
        self.requestHeaders.removeHeader(b"expect")
        problem = problem_of(_TOO_LARGE)
        body = problem.body()
        head = (
            f"HTTP/1.1 {problem.kind.status} Request Entity Too Large\r\n"
            f"Content-Type: application/problem+json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        channel: Any = self.channel
        channel.transport.write(head.encode() + body)
        channel.loseConnection()


class Behind(Protocol):
    """A resource as the gate needs it."""

    def render(self, request: Any) -> Any:
        """Answer a request."""


class Gate(Resource):
    """Lets a request through to the app, or refuses it.

    Parameters:
        guard: decides.
        behind: the app.
    """

    isLeaf = True  # noqa: N815

    def __init__(self, guard: Guard, behind: Behind) -> None:
        super().__init__()
        self._guard = guard
        self._behind = behind

    def render(self, request: Request) -> bytes | int:
        """Answer the request."""
        try:
            self._guard.check(_asked(request))
            if isinstance(request, BoundedRequest) and request.is_too_large:
                raise _TOO_LARGE
        except RefusedError as refused:
            return refuse(request, problem_of(refused))
        rendered: bytes | int = self._behind.render(request)
        return rendered


def _asked(request: Request) -> Asked:
    try:
        path = unquote_to_bytes(request.path).decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedError("the path is not UTF-8") from None
    address = request.getHost()

    def header(name: str) -> tuple[str, ...]:
        values = request.requestHeaders.getRawHeaders(name.encode(), [])
        return tuple(value.decode("utf-8", "surrogateescape") for value in values)

    method = request.method.decode("latin-1")
    return Asked(
        method=method,
        path=path,
        hosts=header("host"),
        origins=header("origin"),
        authorizations=header("authorization"),
        local_address=address.host if isinstance(address, IPv4Address | IPv6Address) else "",
        tells_nothing=static_files.is_wanted(method, path, ",".join(header("accept"))),
    )


class AdminSite(Site):
    """The site.

    Parameters:
        resource: the gate.
        clock: the time.

    Attributes:
        connections: how many there are.
    """

    requestFactory = BoundedRequest  # noqa: N815
    noisy = False

    def __init__(self, resource: Resource, clock: IReactorTime) -> None:
        super().__init__(resource, timeout=IDLE_MAX_S, reactor=clock)
        self.connections = 0

    def buildProtocol(self, addr: Any) -> Any:  # noqa: N802
        """A client connects; None for one too many."""
        if self.connections >= CONNECTIONS_MAX:
            return None
        protocol: Any = super().buildProtocol(addr)
        lost = protocol.connectionLost

        def connection_lost(reason: Failure) -> None:
            self.connections -= 1
            lost(reason)

        protocol.connectionLost = connection_lost
        self.connections += 1
        return protocol

    def log(self, request: Any) -> None:
        """No line per request: what changes anything is logged by the node, in its own words."""


def make_site(
    node: Node,
    clock: IReactorTime,
    *,
    token: str,
    bound_host: str,
    ask: Ask = ask,
    dial: Dial | None = None,
    start_encoder: StartEncoder | None = None,
) -> AdminSite:
    """Everything that a port needs to serve a node's HTTP interface.

    Parameters:
        node: what is shown and steered.
        clock: the reactor's time.
        token: the bearer token (`http-token`); empty = none is needed.
        bound_host: the address or name that the port is bound to; see `check_exposure`.
        ask: asks another server where it stands.
        dial: opens connections to other servers; as the clock, a reactor, does if there is none.
        start_encoder: starts what writes the change stream's events; see `Admin`.
    """
    guard = Guard(token, bound_host)
    admin = Admin(node, clock, needs_token=guard.needs_token, ask=ask, dial=dial, start_encoder=start_encoder)
    return AdminSite(Gate(guard, admin.app.resource()), clock)
