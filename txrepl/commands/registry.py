"""All command families, joined into one table."""

from __future__ import annotations

from txrepl.commands import (
    bits,
    blocking_lists,
    client,
    command,
    config,
    connection,
    debug,
    expire,
    failover,
    geo,
    hashes,
    hyperloglog,
    info,
    keys,
    lcs,
    lists,
    migrate,
    objects,
    pubsub,
    replication,
    scan,
    serialization,
    server,
    sets,
    sort,
    sorted_sets,
    streams,
    streams_claims,
    streams_groups,
    streams_info,
    streams_reads,
    strings,
    transactions,
    zset_algebra,
    zset_pops,
    zset_ranges,
)
from txrepl.commands.table import CommandTable, Family

FAMILIES: tuple[Family, ...] = tuple(
    module.family
    for module in (
        connection,
        client,
        server,
        config,
        command,
        info,
        debug,
        replication,
        failover,
        transactions,
        pubsub,
        keys,
        expire,
        scan,
        objects,
        serialization,
        migrate,
        sort,
        strings,
        lcs,
        bits,
        lists,
        blocking_lists,
        hashes,
        sets,
        sorted_sets,
        zset_ranges,
        zset_algebra,
        zset_pops,
        hyperloglog,
        geo,
        streams,
        streams_reads,
        streams_groups,
        streams_claims,
        streams_info,
    )
)


def build_table() -> CommandTable:
    """A table of all commands, with counters of its own."""
    return CommandTable(*FAMILIES)
