"""Makes `twistd txrepl` known."""

from twisted.application.service import ServiceMaker

txrepl = ServiceMaker(
    "txrepl",
    "txrepl.tap",
    "A Redis-compatible server whose first-class job is replication.",
    "txrepl",
)
