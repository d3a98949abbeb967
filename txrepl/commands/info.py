"""INFO: what the server tells of itself, section by section.

`sections` makes plain names and texts out of the server's state and of `Process`, what the operating system
knows; the same is served as text to clients and as JSON over HTTP. Names, order and units are Redis 7.2's
(`genRedisInfoString`). What has no counterpart here (an append-only file, clusters, modules, an allocator's
inner life) is zero or left out.
"""

from __future__ import annotations

import hashlib
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from txrepl import __version__
from txrepl.commands.durations import percentiles_ns
from txrepl.commands.session import BLOCKED, REPLICA, Server, Session
from txrepl.commands.table import Family
from txrepl.config import PRESENTED_VERSION
from txrepl.keyspace.database import Database
from txrepl.replication.states import LinkState
from txrepl.resp.replies import Reply, Verbatim

family = Family("server")

Section = dict[str, str]
TTL_SAMPLE: Final = 100
"""Keys whose remaining time makes `avg_ttl`."""

_BUILD_ID: Final = hashlib.sha256(f"{__version__} {sys.version}".encode()).hexdigest()[:16]
_MONOTONIC_CLOCK: Final = f"POSIX {time.get_clock_info('monotonic').implementation.partition('(')[0]}"
_UNITS: Final = ((1024**4, "T"), (1024**3, "G"), (1024**2, "M"), (1024, "K"))


def human(size_bytes: int) -> str:
    """A size with a unit, two decimals (`bytesToHuman`)."""
    for factor, unit in _UNITS:
        if size_bytes >= factor:
            return f"{size_bytes / factor:.2f}{unit}"
    return f"{size_bytes}B"


@dataclass(frozen=True, slots=True)
class Process:
    """What the operating system knows of the process; sizes in bytes, times in seconds."""

    pid: int
    resident: int
    resident_peak: int
    system_memory: int
    cpu_system: float
    cpu_user: float
    children_system: float
    children_user: float
    thread_system: float
    thread_user: float


def read_process() -> Process:
    """The facts of now; resident memory is that of `/proc/self/statm`, or the peak where there is no `/proc`."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    thread = resource.getrusage(resource.RUSAGE_THREAD) if hasattr(resource, "RUSAGE_THREAD") else own
    page = os.sysconf("SC_PAGE_SIZE")
    peak = own.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    try:
        with open("/proc/self/statm", "rb") as file:
            resident = int(file.read().split()[1]) * page
    except OSError:
        resident = peak
    return Process(
        pid=os.getpid(),
        resident=resident,
        resident_peak=max(peak, resident),
        system_memory=os.sysconf("SC_PHYS_PAGES") * page,
        cpu_system=own.ru_stime,
        cpu_user=own.ru_utime,
        children_system=children.ru_stime,
        children_user=children.ru_utime,
        thread_system=thread.ru_stime,
        thread_user=thread.ru_utime,
    )


# -- sections ---------------------------------------------------------------------------------------------------


def _server(server: Server, process: Process) -> Section:
    config = server.config
    now_ms = server.keyspace.now_ms
    uptime_s = max(0, now_ms - server.started_ms) // 1000
    port = config.get_int("port")
    section = {
        "redis_version": PRESENTED_VERSION,
        "txrepl_version": __version__,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": "0",
        "redis_build_id": _BUILD_ID,
        "redis_mode": "standalone",
        "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        "arch_bits": "64" if sys.maxsize > 2**32 else "32",
        "monotonic_clock": _MONOTONIC_CLOCK,
        "multiplexing_api": server.multiplexing_api,
        "atomicvar_api": "none",
        "python_version": platform.python_version(),
        "gcc_version": platform.python_compiler().removeprefix("GCC "),
        "process_id": str(process.pid),
        "process_supervised": "no",
        "run_id": server.run_id,
        "tcp_port": str(port),
        "server_time_usec": str(now_ms * 1000),
        "uptime_in_seconds": str(uptime_s),
        "uptime_in_days": str(uptime_s // 86400),
        "hz": str(config.get_int("hz")),
        "configured_hz": str(config.get_int("hz")),
        "lru_clock": str(now_ms // 1000 & 0xFFFFFF),
        "executable": sys.executable,
        "config_file": config.file_path or "",
        "io_threads_active": "0",
    }
    if server.shutdown.deadline_ms is not None:
        section["shutdown_in_milliseconds"] = str(max(0, server.shutdown.deadline_ms - now_ms))
    listeners = []
    if port:
        addresses = "".join(f",bind={address}" for address in config.bind)
        listeners.append(f"name=tcp{addresses},port={port}")
    if config.get_str("unixsocket"):
        listeners.append(f"name=unix,bind={config.get_str('unixsocket')}")
    section.update({f"listener{number}": text for number, text in enumerate(listeners)})
    return section


def _clients(server: Server, process: Process) -> Section:
    sessions = server.sessions.values()
    databases = server.keyspace.databases
    return {
        "connected_clients": str(sum(not session.flags & REPLICA for session in sessions)),
        "cluster_connections": "0",
        "maxclients": str(server.config.get_int("maxclients")),
        "client_recent_max_input_buffer": str(max((x.outlet.pending_input() for x in sessions), default=0)),
        "client_recent_max_output_buffer": str(max((x.outlet.pending_output() for x in sessions), default=0)),
        "blocked_clients": str(sum(bool(session.flags & BLOCKED) for session in sessions)),
        "tracking_clients": str(server.tracking.count),
        "clients_in_timeout_table": str(sum(session.timer is not None for session in sessions)),
        "total_blocking_keys": str(sum(len(db.waiting) for db in databases)),
        "total_blocking_keys_on_nokey": "0",
    }


def _scripting(server: Server) -> Section:
    engine = server.scripting
    libraries = engine.libraries
    scripts_vm, functions_vm = engine.script_memory_bytes, engine.function_memory_bytes
    scripts_bytes = engine.scripts.size_bytes
    total = scripts_bytes + libraries.size_bytes
    return {
        "used_memory_lua": str(scripts_vm),
        "used_memory_vm_eval": str(scripts_vm),
        "used_memory_lua_human": human(scripts_vm),
        "used_memory_scripts_eval": str(scripts_bytes),
        "number_of_cached_scripts": str(len(engine.scripts)),
        "number_of_functions": str(len(libraries.functions)),
        "number_of_libraries": str(len(libraries.by_name)),
        "used_memory_vm_functions": str(functions_vm),
        "used_memory_vm_total": str(scripts_vm + functions_vm),
        "used_memory_vm_total_human": human(scripts_vm + functions_vm),
        "used_memory_functions": str(libraries.size_bytes),
        "used_memory_scripts": str(total),
        "used_memory_scripts_human": human(total),
    }


def _memory(server: Server, process: Process) -> Section:
    use = server.memory_use()
    used, peak, resident = use.total, use.peak, process.resident
    limit = server.config.get_int("maxmemory")
    return {
        "used_memory": str(used),
        "used_memory_human": human(used),
        "used_memory_rss": str(resident),
        "used_memory_rss_human": human(resident),
        "used_memory_peak": str(peak),
        "used_memory_peak_human": human(peak),
        "used_memory_peak_perc": f"{use.peak_percentage:.2f}%",
        "used_memory_overhead": str(use.overhead),
        "used_memory_startup": "0",  # the interpreter is not in used_memory
        "used_memory_dataset": str(use.data),
        "used_memory_dataset_perc": f"{use.data_percentage:.2f}%",
        "allocator_allocated": str(used),
        "allocator_active": str(resident),  # as Redis has it where the allocator tells nothing, as libc's
        "allocator_resident": str(resident),
        "total_system_memory": str(process.system_memory),
        "total_system_memory_human": human(process.system_memory),
        **_scripting(server),
        "maxmemory": str(limit),
        "maxmemory_human": human(limit),
        "maxmemory_policy": server.config.get_str("maxmemory-policy"),
        "allocator_frag_ratio": f"{use.fragmentation(resident):.2f}",
        "allocator_frag_bytes": str(use.fragmentation_bytes(resident)),
        "allocator_rss_ratio": "1.00",
        "allocator_rss_bytes": "0",
        "rss_overhead_ratio": "1.00",
        "rss_overhead_bytes": "0",
        "mem_fragmentation_ratio": f"{use.fragmentation(resident):.2f}",
        "mem_fragmentation_bytes": str(use.fragmentation_bytes(resident)),
        "mem_not_counted_for_evict": str(use.not_counted),
        "mem_replication_backlog": str(use.backlog - use.not_counted),
        "mem_total_replication_buffers": str(use.backlog),
        "mem_clients_slaves": str(use.replicas),
        "mem_clients_normal": str(use.clients),
        "mem_cluster_links": "0",
        "mem_aof_buffer": "0",
        "mem_allocator": "python",
        "active_defrag_running": "0",
        "lazyfree_pending_objects": str(server.keyspace.lazyfree.pending),
        "lazyfreed_objects": str(server.keyspace.lazyfree.freed),
    }


def _persistence(server: Server, process: Process) -> Section:
    saver, loading = server.saver, server.loading
    now_ms = server.keyspace.now_ms
    running_s = -1 if saver.child_since_ms is None else (now_ms - saver.child_since_ms) // 1000
    section = {
        "loading": str(int(loading is not None and not loading.served)),
        "async_loading": str(int(loading is not None and loading.served)),
        "current_cow_peak": "0",
        "current_cow_size": "0",
        "current_cow_size_age": "0",
        "current_fork_perc": "0.00",
        "current_save_keys_processed": "0",
        "current_save_keys_total": str(server.keyspace.counts()[0] if running_s >= 0 else 0),
        "rdb_changes_since_last_save": str(saver.changes(server.keyspace.dirty)),
        "rdb_bgsave_in_progress": str(int(running_s >= 0)),
        "rdb_last_save_time": str(saver.last_save_ms // 1000),
        "rdb_last_bgsave_status": "ok" if saver.last_ok else "err",
        "rdb_last_bgsave_time_sec": str(saver.last_duration_s),
        "rdb_current_bgsave_time_sec": str(running_s),
        "rdb_saves": str(saver.saves),
        "rdb_last_cow_size": "0",
        "rdb_last_load_keys_expired": str(saver.loaded_expired),
        "rdb_last_load_keys_loaded": str(saver.loaded_keys),
        "aof_enabled": "0",
        "aof_rewrite_in_progress": "0",
        "aof_rewrite_scheduled": "0",
        "aof_last_rewrite_time_sec": "-1",
        "aof_current_rewrite_time_sec": "-1",
        "aof_last_bgrewrite_status": "ok",
        "aof_rewrites": "0",
        "aof_rewrites_consecutive_failures": "0",
        "aof_last_write_status": "ok",
        "aof_last_cow_size": "0",
        "module_fork_in_progress": "0",
        "module_fork_last_cow_size": "0",
    }
    if loading is not None:
        section |= _loading(loading.started_ms, loading.read_bytes, loading.total_bytes, now_ms)
    return section


def _loading(started_ms: int, read: int, total: int, now_ms: int) -> Section:
    elapsed_s = max(0, now_ms - started_ms) / 1000
    eta_s = int(elapsed_s * (total - read) / read) if read and total else 1
    return {
        "loading_start_time": str(started_ms // 1000),
        "loading_total_bytes": str(total),
        "loading_rdb_used_mem": "0",
        "loading_loaded_bytes": str(read),
        "loading_loaded_perc": f"{100 * read / total if total else 0:.2f}",
        "loading_eta_seconds": str(eta_s),
    }


def _stats(server: Server, process: Process) -> Section:
    stats, keyspace, primary, pubsub = server.stats, server.keyspace, server.primary, server.pubsub
    replicated_in, replicated_out = stats.primary_input_bytes, stats.replica_output_bytes
    return {
        "total_connections_received": str(stats.connections),
        "total_commands_processed": str(stats.commands),
        "instantaneous_ops_per_sec": f"{stats.commands_rate.per_second:.0f}",
        "total_net_input_bytes": str(stats.input_bytes + replicated_in),
        "total_net_output_bytes": str(stats.output_bytes + replicated_out),
        "total_net_repl_input_bytes": str(replicated_in),
        "total_net_repl_output_bytes": str(replicated_out),
        "instantaneous_input_kbps": f"{stats.input_rate.per_second / 1024:.2f}",
        "instantaneous_output_kbps": f"{stats.output_rate.per_second / 1024:.2f}",
        "instantaneous_input_repl_kbps": f"{stats.primary_input_rate.per_second / 1024:.2f}",
        "instantaneous_output_repl_kbps": f"{stats.replica_output_rate.per_second / 1024:.2f}",
        "rejected_connections": str(stats.rejected_connections),
        "sync_full": str(primary.full_syncs),
        "sync_partial_ok": str(primary.partial_ok),
        "sync_partial_err": str(primary.partial_err),
        "expired_keys": str(keyspace.expired_keys),
        "expired_fields": str(keyspace.expired_fields),
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": "0",
        "expire_cycle_cpu_milliseconds": str(stats.expire_cycle_us // 1000),
        "evicted_keys": str(stats.evicted_keys),
        "evicted_clients": str(stats.evicted_clients),
        "total_eviction_exceeded_time": str(stats.eviction_exceeded_ms + server.exceeded_ms),
        "current_eviction_exceeded_time": str(server.exceeded_ms),
        "keyspace_hits": str(keyspace.hits),
        "keyspace_misses": str(keyspace.misses),
        "pubsub_channels": str(len(pubsub.channels)),
        "pubsub_patterns": str(len(pubsub.patterns)),
        "pubsubshard_channels": str(len(pubsub.shard_channels)),
        "latest_fork_usec": str(stats.last_fork_us),
        "total_forks": str(stats.forks),
        "migrate_cached_sockets": str(server.migrations.cached_sockets),
        "slave_expires_tracked_keys": str(len(keyspace.local_expires or ())),
        "active_defrag_hits": "0",
        "active_defrag_misses": "0",
        "active_defrag_key_hits": "0",
        "active_defrag_key_misses": "0",
        "total_active_defrag_time": "0",
        "current_active_defrag_time": "0",
        "tracking_total_keys": str(server.tracking.table.keys),
        "tracking_total_items": str(server.tracking.table.items),
        "tracking_total_prefixes": str(len(server.tracking.table.prefixes)),
        "unexpected_error_replies": str(stats.unexpected_errors),
        "total_error_replies": str(stats.error_replies),
        "dump_payload_sanitizations": "0",
        "total_reads_processed": str(stats.reads),
        "total_writes_processed": str(stats.writes),
        "io_threaded_reads_processed": "0",
        "io_threaded_writes_processed": "0",
        "reply_buffer_shrinks": "0",  # no client has one that changes its size
        "reply_buffer_expands": "0",
        "client_query_buffer_limit_disconnections": str(stats.query_limit_disconnections),
        "client_output_buffer_limit_disconnections": str(stats.output_limit_disconnections),
        "acl_access_denied_auth": str(stats.denials["auth"]),
        "acl_access_denied_cmd": str(stats.denials["command"]),
        "acl_access_denied_key": str(stats.denials["key"]),
        "acl_access_denied_channel": str(stats.denials["channel"]),
    }


def _replication(server: Server, process: Process) -> Section:
    section = {"role": "slave" if server.link.host else "master"}
    if server.link.host:
        section |= _as_replica(server)
    replicas = [replica for replica in server.primary.replicas.values() if replica.state is not None]
    section["connected_slaves"] = str(len(replicas))
    if server.settings.min_replicas and server.settings.min_replicas_max_lag_s:
        section["min_slaves_good_slaves"] = str(server.primary.good_replicas())
    now_ms = server.keyspace.now_ms
    for number, replica in enumerate(replicas):
        state = replica.state
        assert state is not None
        lag = replica.lag_seconds(now_ms) if replica.is_online else 0
        section[f"slave{number}"] = (
            f"ip={replica.host},port={replica.port},state={state.info_name},offset={replica.ack_offset},lag={lag}"
        )
    history, backlog = server.feed.history, server.feed.backlog
    return section | {
        "master_failover_state": server.failover.state.value,
        "master_replid": history.replid,
        "master_replid2": history.replid2,
        "master_repl_offset": str(history.offset),
        "second_repl_offset": str(history.second_offset),
        "repl_backlog_active": str(int(backlog is not None)),
        "repl_backlog_size": str(server.settings.backlog_bytes),
        "repl_backlog_first_byte_offset": str(backlog.first_offset if backlog is not None else 0),
        "repl_backlog_histlen": str(backlog.length if backlog is not None else 0),
    }


def _as_replica(server: Server) -> Section:
    link, settings, offset = server.link, server.settings, server.feed.history.offset
    now_ms = server.keyspace.now_ms
    session = server.primary_session()
    silent_s = max(0, now_ms - link.last_io_ms) // 1000 if session is not None else -1
    section = {
        "master_host": link.host,
        "master_port": str(link.port),
        "master_link_status": "up" if link.is_up else "down",
        "master_last_io_seconds_ago": str(silent_s),
        "master_sync_in_progress": str(int(link.state is LinkState.TRANSFER)),
        "slave_read_repl_offset": str(max(offset, link.read_offset, server.delay.received_offset)),
        "slave_repl_offset": str(offset),
    }
    transfer = link.transfer
    if transfer is not None:
        total = transfer.total_bytes if transfer.bulk_ms else -1  # unknown until the bulk begins
        read = transfer.read_bytes
        section |= {
            "master_sync_total_bytes": str(total),
            "master_sync_read_bytes": str(read),
            "master_sync_left_bytes": str(total - read),
            "master_sync_perc": f"{100 * read / total if total else 0:.2f}",
            "master_sync_last_io_seconds_ago": str(max(0, now_ms - transfer.last_io_ms) // 1000),
        }
    if not link.is_up:
        down_s = max(0, now_ms - link.down_since_ms) // 1000 if link.down_since_ms else -1
        section["master_link_down_since_seconds"] = str(down_s)
    section |= _guard_rails(server)
    return section | {
        "slave_priority": str(settings.priority),
        "slave_read_only": str(int(settings.read_only)),
        "replica_announced": str(int(server.config.get_bool("replica-announced"))),
    }


def _guard_rails(server: Server) -> Section:
    """What a replica with `replica-delay` or `replica-empty-primary-guard` has more; nothing for others."""
    delay, stop = server.delay, server.guard.stop
    section: Section = {}
    if delay.is_active:
        oldest_ms = delay.oldest_ms
        section["replica_delay"] = str(delay.delay_ms // 1000)
        section["replica_delay_state"] = "held" if delay.is_held else "running"
        section["replica_delay_pending_bytes"] = str(delay.pending_bytes)
        section["replica_delay_oldest_ms"] = str(max(0, server.keyspace.now_ms - oldest_ms) if oldest_ms else 0)
        section["replica_delay_stop_before"] = str(delay.stop_before)
    if server.guard.is_on or stop is not None:
        section["replica_guard"] = "watching" if stop is None else "stopped"
    if stop is not None:
        section["replica_guard_cause"] = stop.cause.value
        section["replica_guard_reason"] = stop.reason
    return section


def _cpu(server: Server, process: Process) -> Section:
    return {
        "used_cpu_sys": f"{process.cpu_system:.6f}",
        "used_cpu_user": f"{process.cpu_user:.6f}",
        "used_cpu_sys_children": f"{process.children_system:.6f}",
        "used_cpu_user_children": f"{process.children_user:.6f}",
        "used_cpu_sys_main_thread": f"{process.thread_system:.6f}",
        "used_cpu_user_main_thread": f"{process.thread_user:.6f}",
    }


def _empty(server: Server, process: Process) -> Section:
    return {}


def _commandstats(server: Server, process: Process) -> Section:
    section: Section = {}
    for entry in server.table.every():
        if entry.calls or entry.failed or entry.rejected:
            usec = entry.nanoseconds // 1000
            each = usec / entry.calls if entry.calls else 0.0
            section[f"cmdstat_{entry.name}"] = (
                f"calls={entry.calls},usec={usec},usec_per_call={each:.2f},"
                f"rejected_calls={entry.rejected},failed_calls={entry.failed}"
            )
    return section


def _latencystats(server: Server, process: Process) -> Section:
    """Percentiles of what the calls of each command took, in µs; nothing unless durations are counted."""
    observations = server.observations
    if not observations.counts_durations:
        return {}
    percents = observations.percentiles
    return {
        f"latency_percentiles_usec_{entry.name}": ",".join(
            f"p{percent:.6f}".rstrip("0").rstrip(".") + f"={duration_ns / 1000:.3f}"
            for percent, duration_ns in zip(percents, percentiles_ns(entry.durations, percents), strict=True)
        )
        for entry in server.table.every()
        if any(entry.durations)
    }


def _errorstats(server: Server, process: Process) -> Section:
    return {f"errorstat_{code}": f"count={count}" for code, count in sorted(server.stats.errors.items())}


def _cluster(server: Server, process: Process) -> Section:
    return {"cluster_enabled": "0"}


def _keyspace(server: Server, process: Process) -> Section:
    return {
        f"db{db.number}": f"keys={len(db.data)},expires={len(db.expires)},avg_ttl={_mean_ttl_ms(db)}"
        + (f",keys_with_volatile_items={len(db.volatile)}" if db.volatile else "")
        for db in server.keyspace.databases
        if db.data or db.expires
    }


def _mean_ttl_ms(db: Database) -> int:
    """The mean of what some keys have left; keys that are due count as none."""
    now_ms = db.keyspace.now_ms
    left = [max(0, deadline - now_ms) for deadline in islice(db.expires.values(), TTL_SAMPLE)]
    return sum(left) // len(left) if left else 0


_SECTIONS: Final[dict[str, tuple[str, Callable[[Server, Process], Section]]]] = {
    "server": ("Server", _server),
    "clients": ("Clients", _clients),
    "memory": ("Memory", _memory),
    "persistence": ("Persistence", _persistence),
    "stats": ("Stats", _stats),
    "replication": ("Replication", _replication),
    "cpu": ("CPU", _cpu),
    "modules": ("Modules", _empty),
    "commandstats": ("Commandstats", _commandstats),
    "errorstats": ("Errorstats", _errorstats),
    "latencystats": ("Latencystats", _latencystats),
    "cluster": ("Cluster", _cluster),
    "keyspace": ("Keyspace", _keyspace),
}

_DEFAULT: Final = frozenset(_SECTIONS) - {"commandstats", "latencystats"}


def chosen(words: Iterable[str]) -> list[str]:
    """The sections that INFO's arguments name, each once, in Redis's order; unknown ones are ignored.

    Parameters:
        words: section names, `default`, `all` or `everything`, in any case; none means `default`.
    """
    wanted: set[str] = set()
    for word in [word.lower() for word in words] or ["default"]:
        if word == "default":
            wanted |= _DEFAULT
        elif word in ("all", "everything"):
            wanted |= frozenset(_SECTIONS)
        else:
            wanted.add(word)
    return [name for name in _SECTIONS if name in wanted]


def sections(server: Server, process: Process, words: Iterable[str] = ()) -> dict[str, Section]:
    """Sections by lower-case name, each with its fields in order.

    Parameters:
        server: whose state it is; `keyspace.now_ms` is the time.
        process: what the operating system knows.
        words: which ones, as `chosen` reads them.
    """
    return {name: _SECTIONS[name][1](server, process) for name in chosen(words)}


def as_text(found: dict[str, Section]) -> bytes:
    """Sections as INFO shows them."""
    blocks = []
    for name, section in found.items():
        lines = [f"# {_SECTIONS[name][0]}", *(f"{field}:{value}" for field, value in section.items())]
        blocks.append("".join(line + "\r\n" for line in lines))
    return "\r\n".join(blocks).encode("utf-8", "surrogateescape")


@family.command(
    "info",
    -1,
    "loading stale",
    since="1.0.0",
    summary="Tells the state of the server, in sections.",
    categories="dangerous",
    tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
)
def info(s: Session, argv: list[bytes]) -> Reply:
    """INFO [section …]."""
    words = [word.decode("latin-1") for word in argv[1:]]
    return Verbatim(as_text(sections(s.server, read_process(), words)))
