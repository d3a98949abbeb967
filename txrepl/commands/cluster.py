"""CLUSTER and its companions, as a server that is no member of a cluster answers them.

Redis knows these commands with `cluster-enabled no` too: their arity is checked, then all of them answer with one
error, HELP as well. A client that probes for a cluster is told so in the words that it looks for.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.session import READS_HERE, REDIRECTS, Session
from txrepl.commands.table import Family
from txrepl.errors import CommandError
from txrepl.resp.replies import OK, Reply

family = Family("cluster")
family.container("cluster", since="3.0.0", summary="The cluster that the server would be a member of.")

_ASKING: Final = "stale"
_ADMIN: Final = "admin stale"
_CHANGING: Final = "admin stale no_async_loading"
_VARYING: Final = ("nondeterministic_output",)
_PER_RANGE: Final = "O(N) where N is the total number of the slots between the start slot and end slot arguments."
_PER_SLOT: Final = "O(N) where N is the total number of hash slot arguments"
_PER_NODE: Final = "O(N) where N is the total number of Cluster nodes"

_SUBCOMMANDS: Final = (
    ("addslots", -3, _CHANGING, (), "3.0.0", _PER_SLOT, "Gives slots to the node."),
    ("addslotsrange", -4, _CHANGING, (), "7.0.0", _PER_RANGE, "Gives ranges of slots to the node."),
    ("bumpepoch", 2, _CHANGING, _VARYING, "3.0.0", "O(1)", "Raises the epoch of the cluster's configuration."),
    (
        "count-failure-reports",
        3,
        _ADMIN,
        _VARYING,
        "3.0.0",
        "O(N) where N is the number of failure reports",
        "Counts the reports that a node has failed.",
    ),
    ("countkeysinslot", 3, _ASKING, (), "3.0.0", "O(1)", "Counts the keys of a slot."),
    ("delslots", -3, _CHANGING, (), "3.0.0", _PER_SLOT, "Takes slots from the node."),
    ("delslotsrange", -4, _CHANGING, (), "7.0.0", _PER_RANGE, "Takes ranges of slots from the node."),
    ("failover", -2, _CHANGING, (), "3.0.0", "O(1)", "Makes a replica the primary of its shard."),
    ("flushslots", 2, _CHANGING, (), "3.0.0", "O(1)", "Takes every slot from the node."),
    ("forget", 3, _CHANGING, (), "3.0.0", "O(1)", "Takes a node out of the cluster."),
    (
        "getkeysinslot",
        4,
        _ASKING,
        _VARYING,
        "3.0.0",
        "O(log(N)) where N is the number of requested keys",
        "Lists keys of a slot.",
    ),
    ("help", 2, "loading stale", (), "5.0.0", "O(1)", "Lists the subcommands."),
    ("info", 2, _ASKING, _VARYING, "3.0.0", "O(1)", "Describes the cluster."),
    ("keyslot", 3, _ASKING, (), "3.0.0", "O(N) where N is the number of bytes in the key", "Gives the slot of a key."),
    ("links", 2, _ASKING, _VARYING, "7.0.0", _PER_NODE, "Describes the connections to the other nodes."),
    ("meet", -4, _CHANGING, (), "3.0.0", "O(1)", "Takes a node into the cluster."),
    ("myid", 2, _ASKING, (), "3.0.0", "O(1)", "Gives the id of the node."),
    ("myshardid", 2, "loading stale", _VARYING, "7.2.0", "O(1)", "Gives the id of the node's shard."),
    ("nodes", 2, _ASKING, _VARYING, "3.0.0", _PER_NODE, "Describes the nodes."),
    ("replicas", 3, _ADMIN, _VARYING, "5.0.0", "O(1)", "Describes the replicas of a node."),
    ("replicate", 3, _CHANGING, (), "3.0.0", "O(1)", "Makes the node a replica of another."),
    (
        "reset",
        -2,
        "admin noscript stale",
        (),
        "3.0.0",
        "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
        "Makes the node forget its cluster.",
    ),
    ("saveconfig", 2, _CHANGING, (), "3.0.0", "O(1)", "Writes the cluster's configuration to disk."),
    ("set-config-epoch", 3, _CHANGING, (), "3.0.0", "O(1)", "Sets the epoch of a new node's configuration."),
    ("setslot", -4, _CHANGING, (), "3.0.0", "O(1)", "Says whose a slot is, and where it moves."),
    (
        "shards",
        2,
        _ASKING,
        _VARYING,
        "7.0.0",
        "O(N) where N is the total number of cluster nodes",
        "Describes the shards and their nodes.",
    ),
    ("slaves", 3, _ADMIN, _VARYING, "3.0.0", "O(1)", "Describes the replicas of a node."),
    ("slots", 2, _ASKING, _VARYING, "3.0.0", _PER_NODE, "Tells which nodes have which slots."),
)
"""Name, arity, flags, tips, since, complexity, summary."""


def _refuse(s: Session, argv: list[bytes]) -> Reply:
    """What every one of them answers (`clusterCommand`, `readonlyCommand`, …)."""
    raise CommandError("ERR This instance has cluster support disabled")


for _name, _arity, _flags, _tips, _since, _complexity, _summary in _SUBCOMMANDS:
    family.command(
        f"cluster {_name}", _arity, _flags, since=_since, summary=_summary, complexity=_complexity, tips=_tips
    )(_refuse)

family.command(
    "asking",
    1,
    "fast",
    since="3.0.0",
    summary="Lets the next command go to a slot that is on its way here.",
    categories="connection",
)(_refuse)


@family.command(
    "readonly",
    1,
    "loading stale fast",
    since="3.0.0",
    summary="Lets the connection read from a replica.",
    categories="connection",
)
def readonly(s: Session, argv: list[bytes]) -> Reply:
    """READONLY: refused without a cluster, but for a client that wants to be redirected: its reads stay here."""
    if not s.flags & REDIRECTS:
        return _refuse(s, argv)
    s.flags |= READS_HERE
    return OK


@family.command("readwrite", 1, "loading stale fast", since="3.0.0", summary="Ends READONLY.", categories="connection")
def readwrite(s: Session, argv: list[bytes]) -> Reply:
    """READWRITE."""
    if not s.flags & REDIRECTS:
        return _refuse(s, argv)
    s.flags &= ~READS_HERE
    return OK
