"""Asking another server where it stands: INFO through txredisapi, in bounded time.

The answer of a stranger is not believed to be of any form: what is missing or odd in it counts as not said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from txrepl.errors import ReplicationError

ASK_S: Final = 2.0
"""How long connecting may take, and each answer."""

REPLICAS_MAX: Final = 64
"""How many replicas of one server are looked at."""

_REPLICA: Final = re.compile(r"slave\d{1,5}")


@dataclass(frozen=True, slots=True)
class Standing:
    """A replica as its primary sees it.

    Attributes:
        port: 0 if it did not say where it listens.
        lag_bytes: how much of the primary's history it has not acknowledged; None if unknown.
    """

    host: str
    port: int
    state: str
    offset: int
    lag_bytes: int | None
    lag_seconds: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """What a server told of itself.

    Attributes:
        primary: host and port that it follows; None if it is a primary.
        link_up: whether that link is up; None on a primary.
        replicas: those attached to it.
    """

    run_id: str
    version: str
    replid: str
    offset: int
    primary: tuple[str, int] | None
    link_up: bool | None
    replicas: tuple[Standing, ...]


Ask = Callable[[str, int, str, str], Coroutine[Any, Any, Told]]


async def ask(host: str, port: int, user: str, password: str) -> Told:
    """Ask a server.

    Parameters:
        user, password: for AUTH; none without a password.

    Raises:
        ReplicationError: it cannot be asked; the message has no secret in it.
    """
    import txredisapi  # noqa: PLC0415  # importing it makes the reactor, which must be made after daemonizing

    connection: Any = None
    try:
        connection = await txredisapi.Connection(
            host,
            port,
            reconnect=False,
            charset="utf-8",
            password=password or None,
            username=user or None,
            connectTimeout=ASK_S,
            replyTimeout=ASK_S,
            convertNumbers=False,
        )
        server = await connection.info("server")
        replication = await connection.info("replication")
    except Exception as error:
        raise ReplicationError(_reason(str(error) or type(error).__name__, password)) from None
    finally:
        if connection is not None:
            connection.disconnect()
    if not isinstance(server, dict) or not isinstance(replication, dict):
        raise ReplicationError("it does not answer INFO as a Redis does")
    return told({**server, **replication})


def told(fields: dict[str, Any]) -> Told:
    """What the fields of INFO server and INFO replication say."""
    text = {str(name): str(value) for name, value in fields.items()}
    offset = _whole(text.get("master_repl_offset", ""))
    primary = None
    if text.get("role") == "slave" and text.get("master_host"):
        primary = (text["master_host"], _whole(text.get("master_port", "")))
    return Told(
        run_id=text.get("run_id", ""),
        version=text.get("valkey_version") or text.get("redis_version", ""),
        replid=text.get("master_replid", ""),
        offset=offset,
        primary=primary,
        link_up=None if primary is None else text.get("master_link_status") == "up",
        replicas=tuple(
            _standing(value, offset) for name, value in text.items() if _REPLICA.fullmatch(name) and "=" in value
        )[:REPLICAS_MAX],
    )


def _standing(value: str, offset: int) -> Standing:
    fields = dict(pair.partition("=")[::2] for pair in value.split(","))
    reached, lag = _whole(fields.get("offset", "")), fields.get("lag", "")
    state = fields.get("state", "")
    return Standing(
        host=fields.get("ip", ""),
        port=_whole(fields.get("port", "")),
        state=state,
        offset=reached,
        lag_bytes=max(0, offset - reached) if state == "online" else None,
        lag_seconds=_whole(lag) if lag.isdigit() else None,
    )


def _whole(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else 0


def _reason(text: str, password: str) -> str:
    return text.replace(password, "***") if password else text
