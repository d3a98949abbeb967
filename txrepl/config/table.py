"""Every directive that txrepl knows: one line each.

The names, defaults, bounds and changeability are those of Redis 7.2. A directive with `honoured=False` is read,
checked, shown and rewritten like any other, and gives one warning when it is set to something else than its
default, since it has no effect here. Flipping that flag is all it takes when the effect arrives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from txrepl.config.kinds import (
    INT_MAX,
    INT_MIN,
    LONG_MAX,
    UINT_MAX,
    ULONG_MAX,
    Choice,
    Flags,
    Integer,
    Kind,
    Memory,
    Octal,
    Text,
    YesNo,
)
from txrepl.config.special import (
    Addresses,
    BufferLimit,
    BufferLimits,
    Directory,
    KeyspaceEvents,
    OomScores,
    OutputLimits,
    Percentiles,
    PrimaryAddress,
    SavePoints,
    check_append_directory,
    check_append_name,
    check_hostname,
    check_snapshot_name,
    check_title,
    check_web_address,
)


@dataclass(frozen=True)
class Spec:
    """What is known of one directive.

    Parameters:
        name: the modern name, under which its value is held.
        kind: how its values are read and shown.
        default: the value when nobody sets it.
        alias: the old name; CONFIG GET answers by either.
        quiet_alias: a further name (Valkey's) that is accepted but not listed by a pattern.
        mutable: CONFIG SET may change it.
        protected: CONFIG SET needs `enable-protected-configs`.
        hidden: CONFIG GET lists it only by its exact name.
        secret: its value is masked everywhere but in CONFIG GET.
        deny_loading: CONFIG SET is refused while a dataset is being loaded.
        honoured: it has an effect here.
        note: what the lack of effect means for the operator, for the warning.
    """

    name: str
    kind: Kind[Any]
    default: Any
    alias: str | None = None
    quiet_alias: str | None = None
    mutable: bool = True
    protected: bool = False
    hidden: bool = False
    secret: bool = False
    deny_loading: bool = False
    honoured: bool = True
    note: str = ""


_BOOL: Final = YesNo()
_INT: Final = Integer()
_PORT: Final = Integer(0, 65535)
_LONG: Final = Integer(0, LONG_MAX)
_BYTES: Final = Memory(0, LONG_MAX)
_TEXT: Final = Text()
_OPTIONAL: Final = Text(may_be_empty=False)
_ALLOWED: Final = Choice(("no", "yes", "local"))
_SHUTDOWN: Final = Flags(
    ("default", "save", "nosave", "now", "force"),
    ("save", "nosave"),
    "shutdown options SAVE and NOSAVE can't be used simultaneously",
)

_NETWORK: Final = (
    Spec("bind", Addresses(), ("127.0.0.1",)),
    Spec("bind-source-addr", _OPTIONAL, "", honoured=False),
    Spec("port", _PORT, 6379),
    Spec("unixsocket", _OPTIONAL, "", mutable=False),
    Spec("unixsocketperm", Octal(0, 0o777), 0, mutable=False),
    Spec("tcp-backlog", _INT, 511, mutable=False),
    Spec("tcp-keepalive", _INT, 300),
    Spec("timeout", _INT, 0),
    Spec("maxclients", Integer(1, UINT_MAX), 10000),
    Spec("protected-mode", _BOOL, True),
    Spec("proto-max-bulk-len", Memory(1024 * 1024, LONG_MAX), 512 * 1024 * 1024),
    Spec("client-query-buffer-limit", Memory(1024 * 1024, LONG_MAX), 1024**3),
    Spec(
        "client-output-buffer-limit",
        OutputLimits(),
        BufferLimits(
            normal=BufferLimit(0, 0, 0),
            replica=BufferLimit(256 * 1024 * 1024, 64 * 1024 * 1024, 60),
            pubsub=BufferLimit(32 * 1024 * 1024, 8 * 1024 * 1024, 60),
        ),
    ),
    Spec("socket-mark-id", Integer(0, UINT_MAX), 0, mutable=False, honoured=False),
    Spec("io-threads", Integer(1, 128), 1, mutable=False, honoured=False),
    Spec("io-threads-do-reads", _BOOL, False, mutable=False, honoured=False),
)

_HTTP: Final = (
    Spec("http-port", _PORT, 0, mutable=False),
    Spec("http-bind", _TEXT, "127.0.0.1", mutable=False),
    Spec("http-token", _OPTIONAL, "", secret=True, mutable=False),
    Spec("http", _OPTIONAL, "", mutable=False),
    Spec("event-webhook", Text(check_web_address, may_be_empty=False), "", secret=True),
    Spec("event-webhook-secret", _OPTIONAL, "", secret=True),
    Spec("event-webhook-timeout", Integer(1, 3600), 10),
    Spec("event-webhook-queue", Integer(1, 100_000), 1024),
)

_NO_TLS: Final = "connections are not encrypted"
_TLS: Final = (
    Spec("tls-port", _PORT, 0, honoured=False, note="no TLS port is opened"),
    Spec("tls-replication", _BOOL, False, honoured=False, note="the link to the primary is not encrypted"),
    Spec("tls-cluster", _BOOL, False, honoured=False),
    Spec("tls-auth-clients", Choice(("no", "yes", "optional")), "yes", honoured=False, note=_NO_TLS),
    Spec("tls-cert-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-key-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-key-file-pass", _OPTIONAL, "", secret=True, honoured=False, note=_NO_TLS),
    Spec("tls-client-cert-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-client-key-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-client-key-file-pass", _OPTIONAL, "", secret=True, honoured=False, note=_NO_TLS),
    Spec("tls-dh-params-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-ca-cert-file", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-ca-cert-dir", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-protocols", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-ciphers", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-ciphersuites", _OPTIONAL, "", honoured=False, note=_NO_TLS),
    Spec("tls-prefer-server-ciphers", _BOOL, False, honoured=False, note=_NO_TLS),
    Spec("tls-session-caching", _BOOL, True, honoured=False),
    Spec("tls-session-cache-size", _INT, 20 * 1024, honoured=False),
    Spec("tls-session-cache-timeout", _INT, 300, honoured=False),
)

_PROCESS: Final = (
    Spec("daemonize", _BOOL, False, mutable=False),
    Spec("supervised", Choice(("upstart", "systemd", "auto", "no")), "no", mutable=False, honoured=False),
    Spec("pidfile", _OPTIONAL, "", mutable=False),
    Spec("databases", Integer(1, INT_MAX), 16, mutable=False),
    Spec("hz", Integer(0, INT_MAX, clamp_low=1, clamp_high=500), 10),
    Spec("dynamic-hz", _BOOL, True, honoured=False),
    Spec("always-show-logo", _BOOL, False, mutable=False),
    Spec("set-proc-title", _BOOL, True, mutable=False, honoured=False),
    Spec("proc-title-template", Text(check_title), "{title} {listen-addr} {server-mode}", honoured=False),
    Spec("locale-collate", _TEXT, "", honoured=False),
    Spec("shutdown-timeout", _INT, 10),
    Spec("shutdown-on-sigint", _SHUTDOWN, ()),
    Spec("shutdown-on-sigterm", _SHUTDOWN, ()),
    Spec(
        "oom-score-adj",
        Choice(("no", "yes", "relative", "absolute"), (("relative", "yes"),)),
        "no",
        honoured=False,
    ),
    Spec("oom-score-adj-values", OomScores(), (0, 200, 800), honoured=False),
    Spec("disable-thp", _BOOL, True, mutable=False, honoured=False),
    Spec("jemalloc-bg-thread", _BOOL, True, honoured=False),
    Spec("server-cpulist", _OPTIONAL, "", alias="server_cpulist", mutable=False, honoured=False),
    Spec("bio-cpulist", _OPTIONAL, "", alias="bio_cpulist", mutable=False, honoured=False),
    Spec("aof-rewrite-cpulist", _OPTIONAL, "", alias="aof_rewrite_cpulist", mutable=False, honoured=False),
    Spec("bgsave-cpulist", _OPTIONAL, "", alias="bgsave_cpulist", mutable=False, honoured=False),
    Spec("ignore-warnings", _TEXT, "", honoured=False),
    Spec("crash-log-enabled", _BOOL, True, honoured=False),
    Spec("crash-memcheck-enabled", _BOOL, True, honoured=False),
    Spec("use-exit-on-panic", _BOOL, False, hidden=True, honoured=False),
    Spec("watchdog-period", _INT, 0, hidden=True, honoured=False),
)

_LOGGING: Final = (
    Spec("loglevel", Choice(("debug", "verbose", "notice", "warning")), "notice"),
    Spec("logfile", _TEXT, "", mutable=False),
    Spec("syslog-enabled", _BOOL, False, mutable=False, honoured=False),
    Spec("syslog-ident", _TEXT, "redis", mutable=False, honoured=False),
    Spec(
        "syslog-facility",
        Choice(("user", *(f"local{n}" for n in range(8)))),
        "local0",
        mutable=False,
        honoured=False,
    ),
    Spec("slowlog-log-slower-than", Integer(-1, LONG_MAX), 10000),
    Spec("slowlog-max-len", _LONG, 128),
    Spec("latency-monitor-threshold", _LONG, 0),
    Spec("latency-tracking", _BOOL, True),
    Spec("latency-tracking-info-percentiles", Percentiles(), (50.0, 99.0, 99.9)),
)

_SNAPSHOTS: Final = (
    Spec("save", SavePoints(), ((3600, 1), (300, 100), (60, 10000))),
    Spec("dir", Directory(), "", protected=True, deny_loading=True),
    Spec("dbfilename", Text(check_snapshot_name), "dump.rdb", protected=True),
    Spec("rdbcompression", _BOOL, True),
    Spec("rdbchecksum", _BOOL, True, mutable=False),
    Spec("rdb-del-sync-files", _BOOL, False),
    Spec("rdb-save-incremental-fsync", _BOOL, True),
    Spec("rdb-key-save-delay", Integer(INT_MIN, INT_MAX), 0, hidden=True),
    Spec("key-load-delay", Integer(INT_MIN, INT_MAX), 0, hidden=True),
    Spec("loading-process-events-interval-bytes", Integer(1024, INT_MAX), 2 * 1024 * 1024, hidden=True),
    Spec("sanitize-dump-payload", Choice(("no", "yes", "clients")), "no", honoured=False),
    Spec("stop-writes-on-bgsave-error", _BOOL, True),
)

_FREED_IN_SLICES: Final = "what is large is always freed in slices, between the clients' commands"
_REPLICATION: Final = (
    Spec("replicaof", PrimaryAddress(), None, alias="slaveof", mutable=False),
    Spec("masterauth", _OPTIONAL, "", quiet_alias="primaryauth", secret=True),
    Spec("masteruser", _OPTIONAL, "", quiet_alias="primaryuser", secret=True),
    Spec("replica-serve-stale-data", _BOOL, True, alias="slave-serve-stale-data"),
    Spec("replica-read-only", _BOOL, True, alias="slave-read-only"),
    Spec("replica-lazy-flush", _BOOL, False, alias="slave-lazy-flush", honoured=False, note=_FREED_IN_SLICES),
    Spec("replica-priority", _INT, 100, alias="slave-priority"),
    Spec("replica-announced", _BOOL, True),
    Spec("replica-announce-ip", _OPTIONAL, "", alias="slave-announce-ip"),
    Spec("replica-announce-port", _PORT, 0, alias="slave-announce-port"),
    Spec("replica-ignore-disk-write-errors", _BOOL, False),
    Spec("replica-ignore-maxmemory", _BOOL, True, alias="slave-ignore-maxmemory"),
    Spec("replica-delay", _INT, 0),
    Spec("replica-delay-max-bytes", Memory(1, LONG_MAX), 1024**3),
    Spec("replica-delay-stop-before", _LONG, 0),
    Spec("replica-empty-primary-guard", _BOOL, False),
    Spec("repl-timeout", Integer(1, INT_MAX), 60),
    Spec("repl-ping-replica-period", Integer(1, INT_MAX), 10, alias="repl-ping-slave-period"),
    Spec("repl-disable-tcp-nodelay", _BOOL, False),
    Spec("repl-diskless-sync", _BOOL, True),
    Spec("repl-diskless-sync-delay", _INT, 5),
    Spec("repl-diskless-sync-max-replicas", _INT, 0),
    Spec(
        "repl-diskless-load",
        Choice(("disabled", "on-empty-db", "swapdb"), quiet=("flush-before-load",)),
        "disabled",
        deny_loading=True,
    ),
    Spec("repl-backlog-size", Memory(1, LONG_MAX, clamp_low=16 * 1024), 1024 * 1024),
    Spec("repl-backlog-ttl", _LONG, 3600),
    Spec("min-replicas-to-write", _INT, 0, alias="min-slaves-to-write"),
    Spec("min-replicas-max-lag", _INT, 10, alias="min-slaves-max-lag"),
    Spec("propagation-error-behavior", Choice(("ignore", "panic", "panic-on-replicas")), "ignore"),
)

_SECURITY: Final = (
    Spec("requirepass", _OPTIONAL, "", secret=True),
    Spec("aclfile", _TEXT, "", mutable=False),
    Spec("acllog-max-len", _LONG, 128),
    Spec("acl-pubsub-default", Choice(("allchannels", "resetchannels")), "resetchannels"),
    Spec("enable-protected-configs", _ALLOWED, "no", mutable=False),
    Spec("enable-debug-command", _ALLOWED, "no", mutable=False),
    Spec("enable-module-command", _ALLOWED, "no", mutable=False),
)

_MEMORY: Final = (
    Spec("maxmemory", Memory(0, ULONG_MAX), 0),
    Spec(
        "maxmemory-policy",
        Choice(
            (
                "volatile-lru",
                "volatile-lfu",
                "volatile-random",
                "volatile-ttl",
                "allkeys-lru",
                "allkeys-lfu",
                "allkeys-random",
                "noeviction",
            )
        ),
        "noeviction",
    ),
    Spec("maxmemory-samples", Integer(1, INT_MAX), 5),
    Spec("maxmemory-eviction-tenacity", Integer(0, 100), 10),
    Spec("maxmemory-clients", Memory(-100, LONG_MAX, percent=True), 0),
    Spec("lfu-log-factor", _INT, 10),
    Spec("lfu-decay-time", _INT, 1),
    Spec("active-expire-effort", Integer(1, 10), 1, honoured=False),
    Spec("lazyfree-lazy-eviction", _BOOL, False),
    Spec("lazyfree-lazy-expire", _BOOL, False),
    Spec("lazyfree-lazy-server-del", _BOOL, False, honoured=False, note=_FREED_IN_SLICES),
    Spec("lazyfree-lazy-user-del", _BOOL, False),
    Spec("lazyfree-lazy-user-flush", _BOOL, False),
    Spec("activerehashing", _BOOL, True, honoured=False),
    Spec("activedefrag", _BOOL, False, honoured=False),
    Spec("active-defrag-ignore-bytes", Memory(1, LONG_MAX), 100 * 1024 * 1024, honoured=False),
    Spec("active-defrag-threshold-lower", Integer(0, 1000), 10, honoured=False),
    Spec("active-defrag-threshold-upper", Integer(0, 1000), 100, honoured=False),
    Spec("active-defrag-cycle-min", Integer(1, 99), 1, honoured=False),
    Spec("active-defrag-cycle-max", Integer(1, 99), 25, honoured=False),
    Spec("active-defrag-max-scan-fields", Integer(1, LONG_MAX), 1000, honoured=False),
    Spec("tracking-table-max-keys", _LONG, 1000000),
)

_TYPES: Final = (
    Spec("hash-max-listpack-entries", _LONG, 512, alias="hash-max-ziplist-entries"),
    Spec("hash-max-listpack-value", _BYTES, 64, alias="hash-max-ziplist-value"),
    Spec("list-max-listpack-size", Integer(INT_MIN, INT_MAX), -2, alias="list-max-ziplist-size"),
    Spec("list-compress-depth", _INT, 0, honoured=False),
    Spec("set-max-intset-entries", _LONG, 512),
    Spec("set-max-listpack-entries", _LONG, 128),
    Spec("set-max-listpack-value", _LONG, 64),
    Spec("zset-max-listpack-entries", _LONG, 128, alias="zset-max-ziplist-entries"),
    Spec("zset-max-listpack-value", _BYTES, 64, alias="zset-max-ziplist-value"),
    Spec("hll-sparse-max-bytes", _BYTES, 3000),
    Spec("stream-node-max-bytes", _BYTES, 4096),
    Spec("stream-node-max-entries", _LONG, 100),
    Spec("notify-keyspace-events", KeyspaceEvents(), frozenset[str]()),
    Spec("busy-reply-threshold", _LONG, 5000, alias="lua-time-limit"),
)

_NO_AOF: Final = "no append-only file is written"
_APPEND_ONLY: Final = (
    Spec(
        "appendonly",
        _BOOL,
        False,
        deny_loading=True,
        honoured=False,
        note="no append-only file is written or loaded; writes since the last snapshot are lost when the process dies",
    ),
    Spec("appendfilename", Text(check_append_name), "appendonly.aof", mutable=False, honoured=False, note=_NO_AOF),
    Spec("appenddirname", Text(check_append_directory), "appendonlydir", mutable=False, honoured=False, note=_NO_AOF),
    Spec("appendfsync", Choice(("everysec", "always", "no")), "everysec", honoured=False, note=_NO_AOF),
    Spec("no-appendfsync-on-rewrite", _BOOL, False, honoured=False, note=_NO_AOF),
    Spec("auto-aof-rewrite-percentage", _INT, 100, honoured=False, note=_NO_AOF),
    Spec("auto-aof-rewrite-min-size", _BYTES, 64 * 1024 * 1024, honoured=False, note=_NO_AOF),
    Spec("aof-load-truncated", _BOOL, True, honoured=False, note=_NO_AOF),
    Spec("aof-use-rdb-preamble", _BOOL, True, honoured=False, note=_NO_AOF),
    Spec("aof-timestamp-enabled", _BOOL, False, honoured=False, note=_NO_AOF),
    Spec("aof-rewrite-incremental-fsync", _BOOL, True, honoured=False, note=_NO_AOF),
    Spec("aof-disable-auto-gc", _BOOL, False, honoured=False, note=_NO_AOF),
)

_NO_CLUSTER: Final = "cluster mode is not available"
_CLUSTER: Final = (
    Spec("cluster-enabled", _BOOL, False, mutable=False, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-config-file", _TEXT, "nodes.conf", mutable=False, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-port", _PORT, 0, mutable=False, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-node-timeout", _LONG, 15000, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-migration-barrier", _INT, 1, honoured=False, note=_NO_CLUSTER),
    Spec(
        "cluster-replica-validity-factor",
        _INT,
        10,
        alias="cluster-slave-validity-factor",
        honoured=False,
        note=_NO_CLUSTER,
    ),
    Spec(
        "cluster-replica-no-failover",
        _BOOL,
        False,
        alias="cluster-slave-no-failover",
        honoured=False,
        note=_NO_CLUSTER,
    ),
    Spec("cluster-require-full-coverage", _BOOL, True, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-allow-reads-when-down", _BOOL, False, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-allow-pubsubshard-when-down", _BOOL, True, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-allow-replica-migration", _BOOL, True, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-link-sendbuf-limit", Memory(0, ULONG_MAX), 0, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-announce-ip", _OPTIONAL, "", honoured=False, note=_NO_CLUSTER),
    Spec("cluster-announce-port", _PORT, 0, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-announce-tls-port", _PORT, 0, honoured=False, note=_NO_CLUSTER),
    Spec("cluster-announce-bus-port", _PORT, 0, honoured=False, note=_NO_CLUSTER),
    Spec(
        "cluster-announce-hostname",
        Text(check_hostname, may_be_empty=False),
        "",
        honoured=False,
        note=_NO_CLUSTER,
    ),
    Spec("cluster-announce-human-nodename", _OPTIONAL, "", honoured=False, note=_NO_CLUSTER),
    Spec(
        "cluster-preferred-endpoint-type",
        Choice(("ip", "hostname", "unknown-endpoint")),
        "ip",
        honoured=False,
        note=_NO_CLUSTER,
    ),
)

TABLE: Final[tuple[Spec, ...]] = (
    *_NETWORK,
    *_HTTP,
    *_TLS,
    *_PROCESS,
    *_LOGGING,
    *_SNAPSHOTS,
    *_REPLICATION,
    *_SECURITY,
    *_MEMORY,
    *_TYPES,
    *_APPEND_ONLY,
    *_CLUSTER,
)


@dataclass(frozen=True)
class FileOnly:
    """A word that only a file or the command line knows: it has no value to get or set.

    Parameters:
        least, most: how many words may follow it; `most` None means any number.
        honoured: it has an effect here.
        note: what the lack of effect means, for the warning.
        kept: CONFIG REWRITE keeps its lines as they are.
    """

    least: int
    most: int | None
    honoured: bool = False
    note: str = ""
    kept: bool = True


FILE_ONLY: Final[dict[str, FileOnly]] = {
    "include": FileOnly(1, 1, honoured=True),
    "rename-command": FileOnly(2, 2, note="the command keeps its name"),
    "user": FileOnly(1, None, honoured=True),
    "loadmodule": FileOnly(1, None, note="the module is not loaded"),
    "list-max-ziplist-entries": FileOnly(1, 1, kept=False, note="use list-max-listpack-size"),
    "list-max-ziplist-value": FileOnly(1, 1, kept=False, note="use list-max-listpack-size"),
    "lua-replicate-commands": FileOnly(1, 1, kept=False),
}

BY_NAME: Final[dict[str, Spec]] = {
    name: spec for spec in TABLE for name in (spec.name, spec.alias, spec.quiet_alias) if name is not None
}


def find(name: str) -> Spec | None:
    """The directive of that name, modern or old, in any case."""
    return BY_NAME.get(name.lower())
