"""The features of the HTTP interface, one a module. To add one: write its module, and name it in the table here."""

from __future__ import annotations

from typing import Final

from txrepl.admin.contract import Feature
from txrepl.admin.features import (
    changes,
    compare,
    config,
    dashboard,
    events,
    failover,
    guard_rails,
    handshakes,
    info,
    live,
    metrics,
    pages,
    preflight,
    probes,
    replication,
    roles,
    syncs,
    topology,
)

FEATURES: Final[tuple[Feature, ...]] = (
    pages.FEATURE,
    dashboard.FEATURE,
    probes.FEATURE,
    replication.FEATURE,
    changes.FEATURE,
    syncs.FEATURE,
    info.FEATURE,
    guard_rails.FEATURE,
    roles.FEATURE,
    failover.FEATURE,
    config.FEATURE,
    handshakes.FEATURE,
    events.FEATURE,
    topology.FEATURE,
    metrics.FEATURE,
    preflight.FEATURE,
    compare.FEATURE,
    live.FEATURE,
)
