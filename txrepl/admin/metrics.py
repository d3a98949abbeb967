"""The node as Prometheus metrics.

`redis_*` are those of redis_exporter, made of the same fields of INFO, with its names, types and labels, so that
dashboards and alerts made for it work; `txrepl_*` are what it has no name for. Nothing is counted here: every value is
read when it is asked for. Two replicas with the same address and port are one series, as nothing tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from txrepl import __version__
from txrepl.admin import views
from txrepl.admin.views import printable
from txrepl.commands.durations import doubling, percentiles_ns
from txrepl.commands.info import Section, read_process, sections
from txrepl.commands.stalls import BOUNDS_S
from txrepl.node import Node

GAUGES: Final = {
    "uptime_in_seconds": "uptime_in_seconds",
    "process_id": "process_id",
    "connected_clients": "connected_clients",
    "blocked_clients": "blocked_clients",
    "tracking_clients": "tracking_clients",
    "client_recent_max_output_buffer": "client_recent_max_output_buffer_bytes",
    "client_recent_max_input_buffer": "client_recent_max_input_buffer_bytes",
    "used_memory": "memory_used_bytes",
    "used_memory_rss": "memory_used_rss_bytes",
    "used_memory_peak": "memory_used_peak_bytes",
    "used_memory_overhead": "memory_used_overhead_bytes",
    "used_memory_dataset": "memory_used_dataset_bytes",
    "maxmemory": "memory_max_bytes",
    "mem_fragmentation_ratio": "mem_fragmentation_ratio",
    "mem_clients_normal": "mem_clients_normal",
    "mem_clients_slaves": "mem_clients_slaves",
    "loading": "loading_dump_file",
    "rdb_changes_since_last_save": "rdb_changes_since_last_save",
    "rdb_bgsave_in_progress": "rdb_bgsave_in_progress",
    "rdb_last_save_time": "rdb_last_save_timestamp_seconds",
    "rdb_last_bgsave_status": "rdb_last_bgsave_status",
    "rdb_last_bgsave_time_sec": "rdb_last_bgsave_duration_sec",
    "rdb_current_bgsave_time_sec": "rdb_current_bgsave_duration_sec",
    "aof_enabled": "aof_enabled",
    "pubsub_channels": "pubsub_channels",
    "pubsub_patterns": "pubsub_patterns",
    "latest_fork_usec": "latest_fork_usec",
    "connected_slaves": "connected_slaves",
    "repl_backlog_size": "replication_backlog_bytes",
    "repl_backlog_active": "repl_backlog_is_active",
    "repl_backlog_first_byte_offset": "repl_backlog_first_byte_offset",
    "repl_backlog_histlen": "repl_backlog_history_bytes",
    "master_repl_offset": "master_repl_offset",
    "second_repl_offset": "second_repl_offset",
    "slave_expires_tracked_keys": "slave_expires_tracked_keys",
    "slave_priority": "slave_priority",
    "sync_full": "replica_resyncs_full",
    "sync_partial_ok": "replica_partial_resync_accepted",
    "sync_partial_err": "replica_partial_resync_denied",
}
"""Fields of INFO that are gauges, and the metric's name behind `redis_`."""

COUNTERS: Final = {
    "total_connections_received": "connections_received",
    "total_commands_processed": "commands_processed",
    "rejected_connections": "rejected_connections",
    "total_net_input_bytes": "net_input_bytes",
    "total_net_output_bytes": "net_output_bytes",
    "expired_keys": "expired_keys",
    "evicted_keys": "evicted_keys",
    "keyspace_hits": "keyspace_hits",
    "keyspace_misses": "keyspace_misses",
    "used_cpu_sys": "cpu_sys_seconds",
    "used_cpu_user": "cpu_user_seconds",
    "used_cpu_sys_children": "cpu_sys_children_seconds",
    "used_cpu_user_children": "cpu_user_children_seconds",
}
"""Fields of INFO that are counters, and the metric's name between `redis_` and `_total`."""

INSTANCE: Final = (
    "role",
    "redis_version",
    "redis_build_id",
    "redis_mode",
    "os",
    "maxmemory_policy",
    "tcp_port",
    "run_id",
    "process_id",
    "master_replid",
)
_SLAVE: Final = ("slave_ip", "slave_port", "slave_state")
_MASTER: Final = ("master_host", "master_port")
_WORDS: Final = {"ok": 1.0, "err": 0.0}


def metrics(node: Node) -> Iterator[Metric]:
    """All metrics of a node, as they are now."""
    now_ms = node.keyspace.now_ms = node.now()
    found = sections(node, read_process(), ["everything"])
    fields = {name: text for section in found.values() for name, text in section.items()}
    yield from _of_fields(fields)
    yield from _of_instance(node, fields)
    yield from _of_replicas(found["replication"])
    yield from _of_primary(fields)
    yield from _of_commands(found["commandstats"], found["errorstats"])
    yield from _of_slow_commands(node)
    yield from _of_durations(node)
    yield from _of_databases(found["keyspace"])
    yield from _of_own_replicas(node, now_ms)
    yield from _of_link(node, now_ms)
    yield from _of_backlog(node, now_ms)
    yield from _of_decisions(node)
    yield from _of_loop(node)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)


# -- as redis_exporter ------------------------------------------------------------------------------------------


def _of_fields(fields: Section) -> Iterator[Metric]:
    yield _gauge("redis_up", "The server answers.", 1)
    for field, name in GAUGES.items():
        if field in fields:
            text = fields[field]
            yield _gauge(f"redis_{name}", f"INFO's {field}.", _WORDS[text] if text in _WORDS else float(text))
    for field, name in COUNTERS.items():
        yield CounterMetricFamily(f"redis_{name}", f"INFO's {field}.", value=float(fields[field]))


def _of_instance(node: Node, fields: Section) -> Iterator[Metric]:
    instance = GaugeMetricFamily("redis_instance_info", "What runs here, in its labels.", labels=INSTANCE)
    instance.add_metric([printable(fields[name]) for name in INSTANCE], 1)
    yield instance
    yield _gauge("redis_start_time_seconds", "When the server started, unix time.", node.started_ms / 1000)
    yield _gauge("redis_config_maxclients", "The directive maxclients.", node.config.get_int("maxclients"))
    yield _gauge("redis_config_maxmemory", "The directive maxmemory.", node.config.get_int("maxmemory"))


def _of_replicas(section: Section) -> Iterator[Metric]:
    offsets = GaugeMetricFamily("redis_connected_slave_offset_bytes", "What a replica acknowledged.", labels=_SLAVE)
    lags = GaugeMetricFamily("redis_connected_slave_lag_seconds", "Since it last acknowledged.", labels=_SLAVE)
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, text in section.items():
        if re.fullmatch(r"slave\d+", name):
            values = _pairs(text)
            found[values["ip"], values["port"], values["state"]] = values
    for labels, values in found.items():
        offsets.add_metric([printable(label) for label in labels], float(values["offset"]))
        lags.add_metric([printable(label) for label in labels], float(values["lag"]))
    yield offsets
    yield lags


def _of_primary(fields: Section) -> Iterator[Metric]:
    if fields["role"] != "slave":
        return
    labels = [printable(fields["master_host"]), fields["master_port"]]
    for name, says, value in (
        ("master_link_up", "The primary's stream flows.", fields["master_link_status"] == "up"),
        ("master_last_io_seconds_ago", "Since the primary was last heard.", fields["master_last_io_seconds_ago"]),
        ("master_sync_in_progress", "A full sync is being received.", fields["master_sync_in_progress"]),
        ("slave_repl_offset", "What is applied of the primary's history.", fields["slave_repl_offset"]),
    ):
        family = GaugeMetricFamily(f"redis_{name}", says, labels=_MASTER)
        family.add_metric(labels, float(value))
        yield family
    info = GaugeMetricFamily("redis_slave_info", "Whom this replica follows.", labels=[*_MASTER, "read_only"])
    info.add_metric([*labels, fields["slave_read_only"]], 1)
    yield info


def _of_commands(commands: Section, errors: Section) -> Iterator[Metric]:
    families = {
        "calls": CounterMetricFamily("redis_commands", "Calls of a command.", labels=["cmd"]),
        "usec": CounterMetricFamily("redis_commands_duration_seconds", "Time spent in a command.", labels=["cmd"]),
        "rejected_calls": CounterMetricFamily(
            "redis_commands_rejected_calls", "Refused before it ran.", labels=["cmd"]
        ),
        "failed_calls": CounterMetricFamily("redis_commands_failed_calls", "Ended in an error.", labels=["cmd"]),
    }
    for name, text in commands.items():
        values = _pairs(text)
        for field, family in families.items():
            family.add_metric([name.removeprefix("cmdstat_")], float(values[field]) / (1e6 if field == "usec" else 1))
    yield from families.values()
    family = CounterMetricFamily("redis_errors", "Errors answered, by their code.", labels=["err"])
    for name, text in errors.items():
        family.add_metric([printable(name.removeprefix("errorstat_"))], float(_pairs(text)["count"]))
    yield family


def _of_slow_commands(node: Node) -> Iterator[Metric]:
    slow_log, latency = node.observations.slow_log, node.observations.latency
    yield _gauge("redis_slowlog_length", "Entries of the slow log.", len(slow_log.entries))
    yield _gauge("redis_slowlog_last_id", "The number of its newest entry.", max(0, slow_log.last_number))
    seconds = slow_log.last_duration_us / 1e6
    yield _gauge("redis_last_slow_execution_duration_seconds", "How long that command took.", seconds)
    last = GaugeMetricFamily("redis_latency_spike_last", "When it last happened, unix time.", labels=["event_name"])
    took = GaugeMetricFamily("redis_latency_spike_duration_seconds", "How long it then took.", labels=["event_name"])
    for name, event in latency.events.items():
        at_s, duration_ms = event.samples[-1]
        last.add_metric([name], at_s)
        took.add_metric([name], duration_ms / 1000)
    yield from (last, took)


def _of_durations(node: Node) -> Iterator[Metric]:
    """What the calls of each command took: the histogram in powers of two, and the percentiles of INFO."""
    steps = HistogramMetricFamily("redis_commands_latencies_usec", "Durations of calls, in us.", labels=["cmd"])
    shares = Metric("redis_latency_percentiles_usec", "Percentiles of the durations of calls, in us.", "summary")
    percents = node.observations.percentiles if node.observations.counts_durations else ()
    for command in node.table.every():
        calls = sum(command.durations)
        if not calls:
            continue
        us = command.nanoseconds // 1000
        buckets = [(str(float(step)), float(count)) for step, count in doubling(command.durations)]
        steps.add_metric([command.name], [*buckets, ("+Inf", float(calls))], us)
        labels = {"cmd": command.name}
        for percent, duration_ns in zip(percents, percentiles_ns(command.durations, percents), strict=True):
            shares.add_sample(shares.name, {**labels, "quantile": f"{percent:g}"}, duration_ns / 1000)
        shares.add_sample(f"{shares.name}_sum", labels, us)
        shares.add_sample(f"{shares.name}_count", labels, calls)
    yield from (steps, shares)


def _of_databases(section: Section) -> Iterator[Metric]:
    keys = GaugeMetricFamily("redis_db_keys", "Keys of a database.", labels=["db"])
    expiring = GaugeMetricFamily("redis_db_keys_expiring", "Those with a deadline.", labels=["db"])
    ttl = GaugeMetricFamily("redis_db_avg_ttl_seconds", "What these have left, on average.", labels=["db"])
    for name, text in section.items():
        values = _pairs(text)
        keys.add_metric([name], float(values["keys"]))
        expiring.add_metric([name], float(values["expires"]))
        ttl.add_metric([name], float(values["avg_ttl"]) / 1000)
    yield from (keys, expiring, ttl)


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.partition("=")[::2] for pair in text.split(","))


# -- our own ----------------------------------------------------------------------------------------------------


def _of_own_replicas(node: Node, now_ms: int) -> Iterator[Metric]:
    labels = ["slave_ip", "slave_port", "slave_id"]
    lag_ms = GaugeMetricFamily(
        "txrepl_replica_lag_milliseconds", "How long ago the first byte was written that it has not got.", labels=labels
    )
    lag_bytes = GaugeMetricFamily("txrepl_replica_lag_bytes", "What it has not acknowledged.", labels=labels)
    sent = GaugeMetricFamily("txrepl_replica_full_sync_sent_bytes", "Sent of the snapshot it waits for.", labels=labels)
    for one in views.replicas(node, now_ms):
        values = [one["address"], str(one["port"]), str(one["id"])]
        if one["lag_ms"] is not None:
            lag_ms.add_metric(values, one["lag_ms"])
            lag_bytes.add_metric(values, one["lag_bytes"])
        decision = node.primary.replicas[one["id"]].decision
        if one["state"] != "online" and decision is not None and decision.cost is not None:
            sent.add_metric(values, decision.cost.bytes_moved)
    yield from (lag_ms, lag_bytes, sent)


def _of_link(node: Node, now_ms: int) -> Iterator[Metric]:
    yield _gauge("txrepl_ready", "Readers may be sent here, as /readyz says.", views.unready(node) is None)
    link = views.link(node, now_ms)
    if link is None:
        return
    behind, sync, delay = link["behind"], link["sync"], link["delay"]
    if behind["most_ms"] is not None:
        yield _gauge("txrepl_link_behind_milliseconds", "All older writes of the primary are here.", behind["most_ms"])
    if behind["least_bytes"] is not None:
        yield _gauge("txrepl_link_unapplied_bytes", "Received and not applied yet.", behind["least_bytes"])
    yield _gauge("txrepl_link_failures", "Attempts that failed since the link was last up.", link["failures"])
    yield _gauge("txrepl_guard_stopped", "The link waits for a decision.", link["guard"]["state"] == "stopped")
    yield _gauge("txrepl_delay_held", "A delayed replica holds before an offset.", delay["state"] == "held")
    yield _gauge("txrepl_delay_pending_bytes", "Held back by a delayed replica.", delay["pending_bytes"])
    if sync is not None:
        yield _gauge("txrepl_full_sync_read_bytes", "Received of a full sync.", sync["read_bytes"])
        yield _gauge("txrepl_full_sync_elapsed_seconds", "Since it was promised.", sync["elapsed_seconds"])
        if sync["total_bytes"] is not None:
            yield _gauge("txrepl_full_sync_total_bytes", "Its length.", sync["total_bytes"])
        if sync["eta_seconds"] is not None:
            yield _gauge("txrepl_full_sync_eta_seconds", "Left at the present rate.", sync["eta_seconds"])


def _of_backlog(node: Node, now_ms: int) -> Iterator[Metric]:
    found = views.backlog(node, now_ms)
    for name, says, value in (
        (
            "covers_seconds",
            "How long a replica may be away and still go on, at the present rate.",
            found["covers_seconds"],
        ),
        ("held_seconds", "The age of the oldest byte held.", found["held_seconds"]),
        ("bytes_per_second", "The rate of writes of the last minute.", found["bytes_per_second"]),
        ("recommended_bytes", "The repl-backlog-size to set.", found["recommended_bytes"]),
    ):
        if value is not None:
            yield _gauge(f"txrepl_backlog_{name}", says, value)


def _of_decisions(node: Node) -> Iterator[Metric]:
    decisions = CounterMetricFamily(
        "txrepl_sync_decisions",
        "Answers to PSYNC and SYNC, given to replicas and received from primaries, by the condition that failed.",
        labels=["direction", "answer", "condition"],
    )
    for (direction, answer, condition), count in node.primary.decisions.counts.items():
        decisions.add_metric([direction.value, answer.value, condition.value if condition else "none"], count)
    yield decisions
    loops = len(node.primary.advisor.current(node.now()))
    yield _gauge("txrepl_full_sync_loops", "Replicas that need one full sync after the other, see /v1/syncs.", loops)
    events = CounterMetricFamily("txrepl_events", "What happened in the replication, by kind.", labels=["event"])
    for kind, count in node.events.counts.items():
        events.add_metric([kind.value], count)
    yield events
    found = node.deliveries
    for name, says, value in (
        ("delivered_events", "Events that the webhook accepted.", found.delivered),
        ("dropped_events", "Events that it never got.", found.dropped),
        ("failures", "Posts that failed.", found.failures),
    ):
        yield CounterMetricFamily(f"txrepl_webhook_{name}", says, value=value)
    yield _gauge("txrepl_webhook_waiting_events", "Events that wait to be posted.", len(found))


def _of_loop(node: Node) -> Iterator[Metric]:
    info = GaugeMetricFamily("txrepl_info", "The version.", labels=["version"])
    info.add_metric([__version__], 1)
    yield info
    stalls = node.stalls
    yield _gauge("txrepl_loop_stall_recent_max_seconds", "The longest of the last minute.", stalls.recent_longest_s)
    yield _gauge("txrepl_loop_stall_max_seconds", "The longest since the start.", stalls.longest_s)
    histogram = HistogramMetricFamily("txrepl_loop_stall_seconds", "By how much the event loop was late.")
    buckets, total = [], 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), stalls.counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    histogram.add_metric([], buckets=buckets, sum_value=stalls.total_s)
    yield histogram
