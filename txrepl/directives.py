"""What the directives do to a running node: at start, and again whenever CONFIG SET changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.commands.notifications import event_flags
from txrepl.node import Node

_LIMITS: Final = {
    "hash-max-listpack-entries": "hash_entries",
    "hash-max-listpack-value": "hash_value",
    "hll-sparse-max-bytes": "hll_sparse_bytes",
    "list-max-listpack-size": "list_size",
    "set-max-listpack-entries": "set_entries",
    "set-max-listpack-value": "set_value",
    "set-max-intset-entries": "set_intset_entries",
    "stream-node-max-bytes": "stream_node_bytes",
    "stream-node-max-entries": "stream_node_entries",
    "zset-max-listpack-entries": "zset_entries",
    "zset-max-listpack-value": "zset_value",
}

_SETTINGS: Final = {
    "masterauth": "password",
    "masteruser": "user",
    "min-replicas-max-lag": "min_replicas_max_lag_s",
    "min-replicas-to-write": "min_replicas",
    "repl-backlog-size": "backlog_bytes",
    "repl-backlog-ttl": "backlog_ttl_s",
    "repl-diskless-sync": "diskless",
    "repl-diskless-sync-delay": "diskless_delay_s",
    "repl-diskless-sync-max-replicas": "diskless_max_replicas",
    "repl-ping-replica-period": "ping_period_s",
    "repl-timeout": "timeout_s",
    "replica-announce-ip": "announce_ip",
    "replica-announce-port": "announce_port",
    "replica-priority": "priority",
    "replica-read-only": "read_only",
    "replica-serve-stale-data": "serve_stale",
}

_KEYSPACE: Final = {
    "lazyfree-lazy-expire": "lazy_expire",
    "lazyfree-lazy-user-del": "lazy_user_del",
    "lazyfree-lazy-user-flush": "lazy_user_flush",
}


def follow_directives(node: Node) -> None:
    """Make the node as its configuration says, and keep it so."""
    config = node.config

    def follow(name: str, apply: Callable[[], None]) -> None:
        apply()
        config.subscribe(name, apply)

    def copy(name: str, target: object, attribute: str) -> None:
        follow(name, lambda: setattr(target, attribute, config[name]))

    for name, attribute in _LIMITS.items():
        copy(name, node.keyspace.limits, attribute)
    for name, attribute in _SETTINGS.items():
        copy(name, node.settings, attribute)
    for name, attribute in _KEYSPACE.items():
        copy(name, node.keyspace, attribute)

    def notifications() -> None:
        node.keyspace.notify_flags = event_flags(config.keyspace_events)

    def output_limits() -> None:
        limit = config.buffer_limits.replica
        node.settings.output_hard_bytes = limit.hard_bytes
        node.settings.output_soft_bytes = limit.soft_bytes
        node.settings.output_soft_s = limit.soft_seconds

    def save_points() -> None:
        node.saver.points = config.save_points

    def backlog_size() -> None:
        if node.feed.backlog is not None:
            node.feed.backlog.resize(config.get_int("repl-backlog-size"))

    def delay() -> None:
        node.delay.set_delay(config.get_int("replica-delay") * 1000)
        node.delaying.follow_delay()

    follow("notify-keyspace-events", notifications)
    follow("client-output-buffer-limit", output_limits)
    follow("save", save_points)
    follow("repl-backlog-size", backlog_size)
    follow("replica-delay", delay)
    follow("replica-delay-stop-before", lambda: node.delaying.hold_before(config.get_int("replica-delay-stop-before")))
    follow(
        "replica-empty-primary-guard",
        lambda: node.full_sync.guard_empty_primary(config.get_bool("replica-empty-primary-guard")),
    )
    copy("replica-delay-max-bytes", node.delay, "max_bytes")
    for name in (
        "replica-read-only",
        "replica-serve-stale-data",
        "min-replicas-to-write",
        "min-replicas-max-lag",
        "stop-writes-on-bgsave-error",
    ):
        follow(name, node.refresh_gate)
