"""ACL categories: the groups of commands that a rule such as `+@read` names.

They follow from a command's flags and group (`setImplicitACLCategories`), and from what its declaration adds.
"""

from __future__ import annotations

from typing import Final

from txrepl.commands.table import ADMIN, BLOCKING, FAST, PUBSUB, READONLY, WRITE, Command

CATEGORIES: Final = (
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
)
"""Every ACL category, in Redis's order."""

_GROUP_CATEGORIES: Final = {
    "string": "string",
    "bitmap": "bitmap",
    "list": "list",
    "set": "set",
    "sorted-set": "sortedset",
    "hash": "hash",
    "hyperloglog": "hyperloglog",
    "geo": "geo",
    "stream": "stream",
    "connection": "connection",
    "transactions": "transaction",
    "scripting": "scripting",
}


def categories(command: Command) -> list[str]:
    """The ACL categories of a command, in Redis's order.

    A container has none of its own: only its subcommands are run.
    """
    flags = command.flags
    found = set(command.categories.split())
    if command.handler is not None and command.group in _GROUP_CATEGORIES:
        found.add(_GROUP_CATEGORIES[command.group])
    if flags & WRITE:
        found.add("write")
    if flags & READONLY and command.group != "scripting":
        found.add("read")
    if flags & ADMIN:
        found.update(("admin", "dangerous"))
    if flags & PUBSUB:
        found.add("pubsub")
    if flags & BLOCKING:
        found.add("blocking")
    found.add("fast" if flags & FAST else "slow")
    return [name for name in CATEGORIES if name in found]
