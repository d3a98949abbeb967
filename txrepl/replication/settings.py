"""The directives that replication heeds, as plain values with their units."""

from __future__ import annotations


class Settings:
    """Values of the `repl-*` and `replica-*` directives (Redis 7.2's defaults).

    Whoever owns the configuration keeps them current.
    """

    __slots__ = (
        "announce_ip",
        "announce_port",
        "backlog_bytes",
        "backlog_ttl_s",
        "diskless",
        "diskless_delay_s",
        "diskless_max_replicas",
        "listening_port",
        "min_replicas",
        "min_replicas_max_lag_s",
        "output_hard_bytes",
        "output_soft_bytes",
        "output_soft_s",
        "password",
        "ping_period_s",
        "priority",
        "read_only",
        "serve_stale",
        "timeout_s",
        "user",
    )

    def __init__(self) -> None:
        self.announce_ip: str = ""
        self.announce_port: int = 0
        self.backlog_bytes: int = 1024 * 1024
        self.backlog_ttl_s: int = 3600
        self.diskless: bool = True
        self.diskless_delay_s: int = 5
        self.diskless_max_replicas: int = 0
        self.listening_port: int = 6379
        self.min_replicas: int = 0
        self.min_replicas_max_lag_s: int = 10
        self.output_hard_bytes: int = 256 * 1024 * 1024
        self.output_soft_bytes: int = 64 * 1024 * 1024
        self.output_soft_s: int = 60
        self.password: str = ""
        self.ping_period_s: int = 10
        self.priority: int = 100
        self.read_only: bool = True
        self.serve_stale: bool = True
        self.timeout_s: int = 60
        self.user: str = ""
