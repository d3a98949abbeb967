"""Metrics: what prometheus_client's own parser reads, under the names and labels that redis_exporter has for them."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from tests.admin.support import Bench
from tests.admin.test_openapi import busy_replica, failing_replica, primary_with_replicas, syncing_replica
from txrepl.admin.metrics import COUNTERS, GAUGES
from txrepl.commands.durations import count
from txrepl.commands.stalls import BOUNDS_S, RECENT_S, Stalls
from txrepl.net.stall_watch import StallWatch
from txrepl.replication.decisions import Direction

STATES = [Bench, busy_replica, syncing_replica, failing_replica, primary_with_replicas]

SLAVE = {"slave_ip", "slave_port", "slave_state"}
MASTER = {"master_host", "master_port"}
#: What redis_exporter (its exporter.go and info.go) calls what it makes of INFO, with the labels; those that are here.
EXPORTER: dict[str, set[str]] = {
    "redis_up": set(),
    "redis_instance_info": {
        "role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy", "tcp_port", "run_id",
        "process_id", "master_replid",
    },
    "redis_start_time_seconds": set(),
    "redis_config_maxclients": set(),
    "redis_config_maxmemory": set(),
    "redis_uptime_in_seconds": set(),
    "redis_process_id": set(),
    "redis_connected_clients": set(),
    "redis_blocked_clients": set(),
    "redis_tracking_clients": set(),
    "redis_client_recent_max_output_buffer_bytes": set(),
    "redis_client_recent_max_input_buffer_bytes": set(),
    "redis_memory_used_bytes": set(),
    "redis_memory_used_rss_bytes": set(),
    "redis_memory_used_peak_bytes": set(),
    "redis_memory_used_overhead_bytes": set(),
    "redis_memory_used_dataset_bytes": set(),
    "redis_memory_max_bytes": set(),
    "redis_mem_fragmentation_ratio": set(),
    "redis_mem_clients_normal": set(),
    "redis_mem_clients_slaves": set(),
    "redis_loading_dump_file": set(),
    "redis_rdb_changes_since_last_save": set(),
    "redis_rdb_bgsave_in_progress": set(),
    "redis_rdb_last_save_timestamp_seconds": set(),
    "redis_rdb_last_bgsave_status": set(),
    "redis_rdb_last_bgsave_duration_sec": set(),
    "redis_rdb_current_bgsave_duration_sec": set(),
    "redis_aof_enabled": set(),
    "redis_pubsub_channels": set(),
    "redis_pubsub_patterns": set(),
    "redis_latest_fork_usec": set(),
    "redis_connected_slaves": set(),
    "redis_replication_backlog_bytes": set(),
    "redis_repl_backlog_is_active": set(),
    "redis_repl_backlog_first_byte_offset": set(),
    "redis_repl_backlog_history_bytes": set(),
    "redis_master_repl_offset": set(),
    "redis_second_repl_offset": set(),
    "redis_slave_expires_tracked_keys": set(),
    "redis_slave_priority": set(),
    "redis_replica_resyncs_full": set(),
    "redis_replica_partial_resync_accepted": set(),
    "redis_replica_partial_resync_denied": set(),
    "redis_slowlog_length": set(),
    "redis_slowlog_last_id": set(),
    "redis_last_slow_execution_duration_seconds": set(),
    "redis_latency_spike_last": {"event_name"},
    "redis_latency_spike_duration_seconds": {"event_name"},
    "redis_latency_percentiles_usec": {"cmd", "quantile"},
    "redis_latency_percentiles_usec_sum": {"cmd"},
    "redis_latency_percentiles_usec_count": {"cmd"},
    "redis_commands_latencies_usec_bucket": {"cmd", "le"},
    "redis_commands_latencies_usec_sum": {"cmd"},
    "redis_commands_latencies_usec_count": {"cmd"},
    "redis_connections_received_total": set(),
    "redis_commands_processed_total": set(),
    "redis_rejected_connections_total": set(),
    "redis_net_input_bytes_total": set(),
    "redis_net_output_bytes_total": set(),
    "redis_expired_keys_total": set(),
    "redis_evicted_keys_total": set(),
    "redis_keyspace_hits_total": set(),
    "redis_keyspace_misses_total": set(),
    "redis_cpu_sys_seconds_total": set(),
    "redis_cpu_user_seconds_total": set(),
    "redis_cpu_sys_children_seconds_total": set(),
    "redis_cpu_user_children_seconds_total": set(),
    "redis_connected_slave_offset_bytes": SLAVE,
    "redis_connected_slave_lag_seconds": SLAVE,
    "redis_master_link_up": MASTER,
    "redis_master_last_io_seconds_ago": MASTER,
    "redis_master_sync_in_progress": MASTER,
    "redis_slave_repl_offset": MASTER,
    "redis_slave_info": MASTER | {"read_only"},
    "redis_commands_total": {"cmd"},
    "redis_commands_duration_seconds_total": {"cmd"},
    "redis_commands_rejected_calls_total": {"cmd"},
    "redis_commands_failed_calls_total": {"cmd"},
    "redis_errors_total": {"err"},
    "redis_db_keys": {"db"},
    "redis_db_keys_expiring": {"db"},
    "redis_db_avg_ttl_seconds": {"db"},
}  # fmt: skip


class Samples(dict[str, list[Any]]):
    """Samples by the name of the metric, as Prometheus reads them; no series comes twice."""

    def __init__(self, bench: Bench) -> None:
        answer = bench.get("/metrics")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        seen = set()
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                series = (sample.name, *sorted(sample.labels.items()))
                assert series not in seen, series
                seen.add(series)
                self.setdefault(sample.name, []).append(sample)

    def value(self, name: str, **labels: str) -> float:
        """The one value of that name with these labels among its own."""
        (found,) = [one for one in self.get(name, []) if labels.items() <= one.labels.items()]
        return float(found.value)


@pytest.mark.parametrize("make", STATES)
def test_names_and_labels_are_those_of_redis_exporter(make: type[Bench]) -> None:
    """Nothing is called `redis_` that it does not know, and every label is there and no other."""
    bench = make()
    bench.write("SET", "k", "v") if not bench.node.link.host else None
    for name, samples in Samples(bench).items():
        if name.startswith("redis_"):
            assert {frozenset(one.labels) for one in samples} == {frozenset(EXPORTER[name])}, name
        else:
            assert name.startswith("txrepl_")


def test_all_of_them_are_there_in_one_state_or_another() -> None:
    """The list has no name that is never shown."""
    bench = busy_replica()
    bench.run(bench.attach(6395)[0], "NONSENSE")
    bench.node.observations.latency.threshold_ms = 1
    bench.node.stalled(0.5, 1.0)
    found = set(Samples(bench)) | set(Samples(primary_with_replicas()))
    assert set(EXPORTER) <= found
    assert len(GAUGES) == len(set(GAUGES.values())) and len(COUNTERS) == len(set(COUNTERS.values()))


def test_a_primary_shows_its_replicas() -> None:
    """Offsets and lag by address, port and state; what is written; keys of each database."""
    bench = primary_with_replicas()
    bench.write("SET", "k2", "v", "EX", "100")
    bench.clock.advance(2)
    found = Samples(bench)
    assert found.value("redis_up") == 1
    assert found.value("redis_connected_slaves") == 4
    assert found.value("redis_master_repl_offset") == bench.node.feed.history.offset
    online = {"slave_ip": "10.0.0.133", "slave_port": "6383"}
    assert found.value("redis_connected_slave_lag_seconds", slave_state="online", **online) == 2
    assert found.value("txrepl_replica_lag_milliseconds", **online) == pytest.approx(2000, abs=100)
    assert found.value("txrepl_replica_lag_bytes", **online) > 0
    assert found.value("redis_db_keys", db="db0") == 2
    assert found.value("redis_db_keys_expiring", db="db0") == 1
    assert found.value("redis_commands_total", cmd="set") == 2
    assert found.value("redis_instance_info", role="master", redis_mode="standalone") == 1
    assert "redis_master_link_up" not in found


def test_a_replica_shows_its_primary_and_the_progress_of_a_full_sync() -> None:
    """Up or not, and how far; nothing of it where it does not apply."""
    bench = syncing_replica()
    found = Samples(bench)
    primary = {"master_host": "10.0.0.1", "master_port": "6379"}
    assert found.value("redis_master_link_up", **primary) == 0
    assert found.value("redis_master_sync_in_progress", **primary) == 1
    assert found.value("txrepl_full_sync_read_bytes") == 250
    assert found.value("txrepl_full_sync_total_bytes") == 1000
    assert found.value("txrepl_full_sync_eta_seconds") == 6
    assert found.value("txrepl_ready") == 0
    found = Samples(busy_replica())
    assert found.value("redis_master_link_up", **primary) == 1
    assert found.value("txrepl_link_behind_milliseconds") == 0
    assert "txrepl_full_sync_read_bytes" not in found


def test_sync_decisions_are_counted_by_direction_answer_and_condition() -> None:
    """Given and received; repeated refusals count too, although they are one entry of /v1/syncs."""
    bench = primary_with_replicas()
    found = Samples(bench)
    assert found.value("txrepl_sync_decisions_total", direction="given", answer="partial", condition="none") == 1
    assert found.value("txrepl_sync_decisions_total", answer="full", condition="replid_mismatch") == 1
    assert found.value("txrepl_events_total", event="replica_attached") == 4
    bench = Bench()
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    for _ in range(3):
        bench.node.following.sync_refused("later")
    assert len(list(bench.node.primary.decisions)) == 1
    assert Samples(bench).value("txrepl_sync_decisions_total", direction="received", answer="refused") == 3
    assert bench.node.primary.decisions.last(Direction.RECEIVED) is not None


def test_slow_commands_spikes_and_durations() -> None:
    """The newest entry of the slow log, the last spike of each event, percentiles and a histogram for each command."""
    bench = Bench()
    observations = bench.node.observations
    found = Samples(bench)
    assert found.value("redis_slowlog_length") == found.value("redis_slowlog_last_id") == 0
    for duration_ns in (20_000_000, 30_000_000):
        observations.slow_log.note([b"KEYS", b"*"], duration_ns, 1_000_000, "h:1", b"")
    observations.latency.threshold_ms = 1
    observations.latency.note("fork", 40.0, 1_700_000_000_999)
    command = bench.node.table.commands["keys"]
    for duration_ns in (5_000, 5_000, 900_000):
        count(command.durations, duration_ns)
        command.nanoseconds += duration_ns
    found = Samples(bench)
    assert (found.value("redis_slowlog_length"), found.value("redis_slowlog_last_id")) == (2, 1)
    assert found.value("redis_last_slow_execution_duration_seconds") == 0.03
    assert found.value("redis_latency_spike_last", event_name="fork") == 1_700_000_000
    assert found.value("redis_latency_spike_duration_seconds", event_name="fork") == 0.04
    assert found.value("redis_latency_percentiles_usec", cmd="keys", quantile="50") == 5.023
    assert found.value("redis_latency_percentiles_usec", cmd="keys", quantile="99.9") == 901.119
    assert found.value("redis_latency_percentiles_usec_sum", cmd="keys") == 910
    buckets = found["redis_commands_latencies_usec_bucket"]
    assert [(one.labels["le"], one.value) for one in buckets if one.labels["cmd"] == "keys"] == [
        ("8.0", 2),
        ("1056.0", 3),
        ("+Inf", 3),
    ]


def test_two_replicas_that_look_the_same_do_not_break_the_page() -> None:
    """Nothing tells them apart for redis_exporter's labels; ours have the id."""
    bench = Bench()
    bench.attach(6381)
    bench.attach(6381)
    found = Samples(bench)
    assert len(found["redis_connected_slave_offset_bytes"]) == 1
    assert len(found["txrepl_replica_full_sync_sent_bytes"]) == 2


def test_what_a_peer_chose_cannot_break_the_page() -> None:
    """A host with a quote, a backslash and a line end, and an odd error code."""
    bench = Bench()
    bench.become_replica('h"\\\n{}', 6379)
    bench.node.stats.count_error('E"\n')
    found = Samples(bench)
    assert found["redis_master_link_up"][0].labels["master_host"] == 'h"\\\\n{}'
    assert found["redis_errors_total"][0].labels["err"] == 'E"\\n'


# -- stalls of the event loop -------------------------------------------------------------------------------------


def test_stalls_are_counted_in_buckets_with_the_longest_of_the_last_minute() -> None:
    """On a bound counts below it; what is longer than all has a bucket too; a minute later it is forgotten."""
    stalls = Stalls()
    for late_s in (-1.0, 0.001, 0.0011, 99.0):
        stalls.note(late_s, 1000.0)
    assert stalls.counts[:2] == [2, 1] and stalls.counts[-1] == 1 and sum(stalls.counts) == 4
    assert (stalls.recent_longest_s, stalls.longest_s) == (99.0, 99.0)
    stalls.note(0.5, 1000.0 + RECENT_S)
    assert (stalls.recent_longest_s, stalls.longest_s) == (0.5, 99.0)
    for second in range(10_000):
        stalls.note(0.1, 2000.0 + second)
    assert len(stalls._recent) == RECENT_S


def test_the_watch_sees_how_late_the_clock_is() -> None:
    """Beats in time are no stall; one that comes late is, by how much; and then it beats in time again."""
    stalls, clock = Stalls(), Clock()
    watch = StallWatch(stalls.note, clock)
    watch.start()
    clock.pump([0.125] * 8)
    assert stalls.longest_s == 0 and sum(stalls.counts) == 8
    clock.advance(0.375)
    assert stalls.longest_s == stalls.total_s == 0.25
    clock.pump([0.0625] * 9)
    assert stalls.total_s == 0.25 and sum(stalls.counts) > 9
    watch.stop()
    clock.advance(5)
    assert stalls.total_s == 0.25


def test_the_histogram_is_one() -> None:
    """Buckets add up, to the count."""
    bench = Bench()
    bench.node.stalls.note(0.004, 1.0)
    bench.node.stalls.note(0.3, 1.0)
    found = Samples(bench)
    buckets = found["txrepl_loop_stall_seconds_bucket"]
    assert [one.value for one in buckets] == sorted(one.value for one in buckets)
    assert len(buckets) == len(BOUNDS_S) + 1
    assert buckets[-1].labels == {"le": "+Inf"} and buckets[-1].value == 2
    assert found.value("txrepl_loop_stall_seconds_count") == 2
    assert found.value("txrepl_loop_stall_seconds_sum") == pytest.approx(0.304)
    assert found.value("txrepl_loop_stall_recent_max_seconds") == 0.3
