"""txrepl: Redis replication as a Twisted service. This page is the map.

Data runs one way:

    client bytes ─ resp ─ commands.dispatch ─ command family ─ keyspace
                                                │ effects
                          node ─ replication.history + backlog ─┬─ replicas (net.replica_sender)
                                                                └─ HTTP (admin)
    primary bytes ─ net.primary_link ─ replication.handshake ─ rdb ─ keyspace
                          └ replication.stream: commands to apply, raw bytes forwarded verbatim

Rooms, from the bottom up; each imports only rooms above it in this list:

    errors        every error type
    config        one declarative table of directives, redis.conf syntax, CONFIG REWRITE
    keyspace      databases, value types, expiry, numbers, digest
    resp          bytes ↔ values, RESP2 and RESP3, exact sizes, bounded
    rdb           incremental reader, writer, command line; usable alone
    replication   history, backlog, lag, states, psync, handshake, transfer, stream, failover, decisions and advice:
                  one concept each
    persistence   a keyspace as an RDB and back; when to save
    scripting     Lua scripts and functions: the language and its sandbox
    commands      table, dispatch, propagation, users and their rights, one module per command family
    changes       the stream as changes: ids that resume, transactions, filters; many readers' events, in a
                  process apart
    node          the server as a value: cores joined, no IO; one part each for the link to the primary, a full sync,
                  storage, roles, pauses … (its docstring is the map of them)
    peers         connections that we open to other servers (Twisted): lines and replies
    directives    what the directives do to a running node
    net           Twisted shells: clients, replicas, the link to the primary, the snapshot child
    admin         the HTTP interface (Klein)
    following     follow a primary's changes from a program, without a server: `follow`, `txrepl-follow`
    service       composition: builds everything and starts it
    cli, tap      `txrepl-server` and `twistd txrepl`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from txrepl.following import follow as follow

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`txrepl.follow`, imported when it is first asked for: nobody else needs to load it."""
    if name == "follow":
        from txrepl.following import follow  # noqa: PLC0415

        return follow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
