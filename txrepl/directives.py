"""What the directives do to a running node: at start, and again whenever CONFIG SET changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from txrepl.commands.access.loading import Declared, UserLinesError
from txrepl.commands.acl import read_acl_file
from txrepl.commands.notifications import event_flags
from txrepl.config import fatal
from txrepl.config.quoting import to_bytes, to_text
from txrepl.errors import StartError
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
    "lazyfree-lazy-eviction": "lazy_eviction",
    "lazyfree-lazy-expire": "lazy_expire",
    "lazyfree-lazy-user-del": "lazy_user_del",
    "lazyfree-lazy-user-flush": "lazy_user_flush",
}

_OBSERVED: Final = (
    "slowlog-log-slower-than",
    "slowlog-max-len",
    "latency-monitor-threshold",
    "latency-tracking",
    "latency-tracking-info-percentiles",
)


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
    copy("tracking-table-max-keys", node.tracking, "max_keys")

    def notifications() -> None:
        node.keyspace.notify_flags = event_flags(config.keyspace_events)

    def output_limits() -> None:
        limit = config.buffer_limits.replica
        node.settings.output_hard_bytes = limit.hard_bytes
        node.settings.output_soft_bytes = limit.soft_bytes
        node.settings.output_soft_s = limit.soft_seconds

    def policy() -> None:
        name = config.get_str("maxmemory-policy")
        node.keyspace.count_uses(name.endswith("lfu"))
        node.keyspace.saves_uses = name.endswith(("lfu", "lru"))
        node.memory.evictor.set_policy(name)

    def save_points() -> None:
        node.saver.points = config.save_points

    def backlog_size() -> None:
        if node.feed.backlog is not None:
            node.feed.backlog.resize(config.get_int("repl-backlog-size"))

    def delay() -> None:
        node.delay.set_delay(config.get_int("replica-delay") * 1000)
        node.delaying.follow_delay()

    def may_use_all_channels() -> None:
        node.users.new_may_use_all_channels = config.get_str("acl-pubsub-default") == "allchannels"

    follow("acl-pubsub-default", may_use_all_channels)

    def observations() -> None:
        noted = node.observations
        noted.slow_log.slower_than_us = config.get_int("slowlog-log-slower-than")
        noted.slow_log.length_max = config.get_int("slowlog-max-len")
        noted.latency.threshold_ms = config.get_int("latency-monitor-threshold")
        noted.counts_durations = config.get_bool("latency-tracking")
        noted.percentiles = config.latency_percentiles
        node.dispatcher.follow_observations()

    for name in _OBSERVED:
        follow(name, observations)
    follow("notify-keyspace-events", notifications)
    follow("client-output-buffer-limit", output_limits)
    follow("save", save_points)
    follow("maxmemory-policy", policy)
    follow("maxmemory", lambda: node.memory.set_limit(config.get_int("maxmemory")))
    copy("maxmemory-samples", node.memory.evictor, "samples")
    copy("maxmemory-eviction-tenacity", node.memory, "tenacity")
    copy("maxmemory-clients", node.memory, "clients_limit")
    copy("replica-ignore-maxmemory", node.memory, "replica_ignores")
    copy("lfu-log-factor", node.keyspace.lfu, "log_factor")
    copy("lfu-decay-time", node.keyspace.lfu, "decay_minutes")
    follow("repl-backlog-size", backlog_size)
    follow("replica-delay", delay)
    follow("replica-delay-stop-before", lambda: node.delaying.hold_before(config.get_int("replica-delay-stop-before")))
    follow(
        "replica-empty-primary-guard",
        lambda: node.full_sync.guard_empty_primary(config.get_bool("replica-empty-primary-guard")),
    )
    copy("busy-reply-threshold", node.scripting, "busy_ms")
    copy("replica-delay-max-bytes", node.delay, "max_bytes")
    for name in (
        "replica-read-only",
        "replica-serve-stale-data",
        "min-replicas-to-write",
        "min-replicas-max-lag",
        "stop-writes-on-bgsave-error",
    ):
        follow(name, node.refresh_gate)


def load_users(node: Node) -> None:
    """Make the users of the configuration's `user` lines, or of the ACL file (`ACLLoadUsersAtStartup`).

    Raises:
        ConfigError: a line of the configuration is wrong.
        StartError: both ways are used, a user cannot be made, or the file is wrong.
    """
    config = node.config
    declared = Declared()
    for directive in config.file_only:
        if directive.name == "user":
            try:
                declared.add(node.users, [to_bytes(word) for word in directive.words])
            except UserLinesError as error:
                raise fatal(directive, str(error)) from None
    has_file = bool(config.get_str("aclfile"))
    if has_file and declared.rules:
        raise StartError(
            "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. "
            "This setup is very likely to lead to configuration errors and security holes, please define either an "
            "ACL file or declare users directly in your redis.conf, but not both."
        )
    try:
        disabled = declared.apply(node.users)
    except UserLinesError as error:
        node.log("warning", str(error))
        raise StartError("Critical error while loading ACLs. Exiting.") from None
    for user in disabled:
        node.log(
            "notice",
            f"The user '{to_text(user.name)}' is disabled (there is no 'on' modifier in the user description). Make "
            "sure this is not a configuration error.",
        )
    if has_file:
        try:
            read_acl_file(node)
        except UserLinesError as error:
            raise StartError(f"Aborting Redis startup because of ACL errors: {error}") from None
