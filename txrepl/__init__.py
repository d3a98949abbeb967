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
    config        one declarative table of directives
    resp          bytes ↔ values, RESP2 and RESP3, exact byte counts
    keyspace      databases, value types, expiry, digest
    rdb           incremental reader, writer, command line; usable alone
    replication   history, backlog, states, psync, handshake, full sync, acks: one concept each
    commands      table, dispatch, one module per command family
    persistence   what to save and when
    node          the server as a value: cores joined, no IO
    net           Twisted shells: clients, replicas, the link to the primary, the snapshot child
    admin         the HTTP interface (Klein)
    service, cli  composition: the only places that build everything
"""

from __future__ import annotations

__version__ = "0.1.0"
