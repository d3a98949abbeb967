"""What a node looks like from outside: node → plain dicts, pure.

Every fact that HTTP shows is taken here, once, with its unit last in the name; `text` lays the same dicts out for a
terminal. What a peer or a client chose (host names, error texts) is made printable, so that it can neither break
JSON nor move a cursor. No secret is read here.
"""

from __future__ import annotations

from typing import Any, Final

from txrepl import __version__
from txrepl.config import PRESENTED_VERSION
from txrepl.node import Node
from txrepl.replication.advice import Loop
from txrepl.replication.decisions import Decision
from txrepl.replication.events import Event
from txrepl.replication.history import NO_REPLID
from txrepl.replication.link import Link, Transfer
from txrepl.replication.replica import Replica
from txrepl.replication.states import CAPABILITY_NAMES, LinkState

Json = dict[str, Any]

_PRINTABLE_MAX: Final = 1024


def printable(text: str) -> str:
    """The text with everything that is not printable escaped, and bounded in length."""
    clean = text[:_PRINTABLE_MAX].encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    if clean.isprintable():
        return clean
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in clean)


def seconds_since(then_ms: int, now_ms: int) -> float:
    """Seconds with three decimals, never negative."""
    return max(0, now_ms - then_ms) / 1000


def role(node: Node) -> str:
    """`primary` or `replica`."""
    return "replica" if node.link.host else "primary"


def replication(node: Node, now_ms: int) -> Json:
    """`/v1/replication`: everything about the node's replication."""
    history = node.feed.history
    return {
        "role": role(node),
        "replid": history.replid,
        "replid2": None if history.replid2 == NO_REPLID else history.replid2,
        "offset": history.offset,
        "second_offset": None if history.second_offset < 0 else history.second_offset,
        "link": link(node, now_ms),
        "replicas": replicas(node, now_ms),
        "backlog": backlog(node, now_ms),
    }


def meaning(found: Json) -> Json:
    """What the ids and the offset mean now, a sentence each.

    Parameters:
        found: of `replication`.
    """
    to_primary, until = found["link"], found["second_offset"]
    if to_primary is None:
        first = "This node's own history; its followers go on in it by partial resync."
    elif to_primary["up"] or to_primary["resumable"]:
        first = "Shared with the primary; all who share it can go on from one another."
    else:
        first = "A history of this node's own; a full sync brings the primary's."
    if found["replid2"]:
        second = f"The history before: who followed it may go on here, up to offset {until}."
    else:
        second = "There is no history before this one that a replica could go on with."
    here = "Bytes of the history written so far." if to_primary is None else "Bytes of the history applied here."
    return {"replid": first, "replid2": second, "offset": here}


# -- the link to the primary ------------------------------------------------------------------------------------


def role_now(node: Node, *, changed: bool) -> Json:
    """The role after a request to change it; `changed`: it was another before."""
    return {"changed": changed, "role": role(node), "link": link(node, node.now())}


def link(node: Node, now_ms: int) -> Json | None:
    """The link to the primary; None on a primary."""
    found = node.link
    if not found.host:
        return None
    behind = node.following.behind()
    return {
        "host": printable(found.host),
        "port": found.port,
        "up": found.is_up,
        "state": found.state.role_word,
        "step": found.state.name.lower(),
        "last_io_seconds": seconds_since(found.last_io_ms, now_ms) if found.last_io_ms else None,
        "down_seconds": _down_seconds(found, now_ms),
        "failures": found.failures,
        "last_error": printable(found.last_error) or None,
        "resumable": found.resumable,
        "behind": {"least_bytes": behind.least_bytes, "most_ms": behind.most_ms},
        "guard": guard(node),
        "delay": delay(node, now_ms),
        "sync": _sync(found.transfer, now_ms),
        "handshake": [{"step": step.state.name.lower(), "at_ms": step.at_ms} for step in found.steps],
    }


def guard(node: Node) -> Json:
    """Whether a full sync was not taken, and why."""
    found, stop = node.guard, node.guard.stop
    return {
        "state": "stopped" if stop is not None else "watching" if found.is_on else "off",
        "cause": None if stop is None else stop.cause.value,
        "reason": None if stop is None else printable(stop.reason),
        "at_ms": None if stop is None else stop.at_ms,
        "keys": None if stop is None else stop.keys,
        "primary_replid": None if stop is None or stop.replid is None else printable(stop.replid),
        "primary_offset": None if stop is None or stop.offset < 0 else stop.offset,
    }


def delay(node: Node, now_ms: int) -> Json:
    """What a delayed replica holds back."""
    found = node.delay
    oldest_ms, due_ms = found.oldest_ms, found.next_due_ms
    return {
        "state": "held" if found.is_held else "running" if found.is_active else "off",
        "delay_seconds": found.delay_ms // 1000,
        "stop_before": found.stop_before or None,
        "applied_offset": node.feed.history.offset,
        "received_offset": found.received_offset,
        "pending_bytes": found.pending_bytes,
        "max_bytes": found.max_bytes,
        "full": found.is_full,
        "oldest_seconds": None if oldest_ms is None else seconds_since(oldest_ms, now_ms),
        "next_in_seconds": None if due_ms is None else seconds_since(now_ms, due_ms),
    }


def _down_seconds(found: Link, now_ms: int) -> float | None:
    if found.is_up or not found.down_since_ms:
        return None
    return seconds_since(found.down_since_ms, now_ms)


def _sync(transfer: Transfer | None, now_ms: int) -> Json | None:
    """Progress of the full sync that is going on; the rate counts from the bulk's first byte."""
    if transfer is None:
        return None
    elapsed = seconds_since(transfer.bulk_ms, now_ms) if transfer.bulk_ms else 0.0
    rate = transfer.read_bytes / elapsed if elapsed else None
    total = transfer.total_bytes or None
    missing = None if total is None else max(0, total - transfer.read_bytes)
    return {
        "total_bytes": total,
        "read_bytes": transfer.read_bytes,
        "percent": None if total is None else round(100 * transfer.read_bytes / total, 2),
        "bytes_per_second": None if rate is None else round(rate),
        "eta_seconds": None if missing is None or not rate else round(missing / rate, 1),
        "elapsed_seconds": seconds_since(transfer.started_ms, now_ms),
        "last_io_seconds": seconds_since(transfer.last_io_ms, now_ms),
    }


# -- what a primary has -----------------------------------------------------------------------------------------


def replicas(node: Node, now_ms: int) -> list[Json]:
    """The attached replicas, by id."""
    return [replica(node, found, now_ms) for _, found in sorted(node.primary.replicas.items())]


def replica(node: Node, found: Replica, now_ms: int) -> Json:
    """One attached replica."""
    offset = node.feed.history.offset
    reached = max(found.ack_offset, found.start_offset)
    return {
        "id": found.number,
        "address": printable(found.host),
        "port": found.port,
        "state": found.state.value if found.state is not None else None,
        "offset": found.ack_offset,
        "sent_offset": found.sent_offset if found.streaming else None,
        "lag_bytes": max(0, offset - reached) if found.is_live else None,
        "lag_ms": node.feed.timeline.behind_ms(reached, found.ack_ms, now_ms, offset) if found.is_live else None,
        "lag_seconds": seconds_since(found.ack_ms, now_ms) if found.is_live else None,
        "attached_seconds": seconds_since(found.since_ms, now_ms),
        "capabilities": [name.decode() for name, bit in CAPABILITY_NAMES.items() if found.capabilities & bit],
        "version": printable(found.version) or None,
    }


def backlog(node: Node, now_ms: int) -> Json:
    """The backlog: what it covers in bytes, and in seconds at the present rate of writes."""
    held = node.feed.backlog
    rate = node.feed.timeline.bytes_per_second(now_ms, node.feed.history.offset)
    size = node.settings.backlog_bytes if held is None else held.size
    length = 0 if held is None else held.length
    return {
        "active": held is not None,
        "size_bytes": size,
        "length_bytes": length,
        "first_offset": None if held is None else held.first_offset,
        "next_offset": None if held is None else held.end_offset,
        "bytes_per_second": None if rate is None else round(rate, 1),
        "held_seconds": _held_seconds(node, now_ms),
        "covers_seconds": round(max(size, length) / rate, 1) if rate and held is not None else None,
        "recommended_bytes": node.primary.advisor.backlog_bytes(now_ms),
    }


def _held_seconds(node: Node, now_ms: int) -> float | None:
    """The age of the oldest byte that the backlog holds."""
    held = node.feed.backlog
    if held is None or not held.length:
        return None
    return seconds_since(node.feed.timeline.written_ms(held.first_offset, now_ms, node.feed.history.offset), now_ms)


def syncs(node: Node) -> Json:
    """`/v1/syncs`: the last decisions on resyncs, given and received, newest first, each explained; and what to set."""
    primary = node.primary
    return {
        "full": primary.full_syncs,
        "partial_ok": primary.partial_ok,
        "partial_err": primary.partial_err,
        "advice": [_loop(one) for one in primary.advisor.current(node.now())],
        "decisions": [_decision(one) for one in primary.decisions],
    }


def _decision(made: Decision) -> Json:
    ours, cost, end = made.ours, made.cost, made.end
    return {
        "at_ms": made.at_ms,
        "direction": made.direction.value,
        "peer": printable(made.peer),
        "asked": {"replid": None if made.replid is None else printable(made.replid), "offset": made.offset},
        "answer": made.answer.value,
        "condition": None if made.condition is None else made.condition.value,
        "reason": printable(made.reason),
        "avoidance": made.avoidance or None,
        "missing_bytes": made.missing_bytes,
        "saving_backlog_bytes": made.saving_bytes,
        "ours": {
            "replid": ours.replid,
            "replid2": ours.replid2,
            "second_offset": ours.second_offset,
            "offset": ours.offset,
            "backlog_first_offset": ours.backlog_first,
            "backlog_next_offset": ours.backlog_end,
            "backlog_size_bytes": ours.backlog_bytes,
        },
        "times": made.times,
        "last_ms": made.last_ms,
        "cost": None
        if cost is None
        else {"bytes": cost.bytes_moved, "duration_ms": cost.duration_ms, "stage": cost.stage.value},
        "end": None
        if end is None
        else {"cause": end.cause.value, "at_ms": end.at_ms, "behind_bytes": max(0, end.behind_bytes)},
    }


def _loop(found: Loop) -> Json:
    return {
        "replica": printable(found.replica),
        "cause": found.cause.value,
        "full_syncs": found.full_syncs,
        "since_ms": found.since_ms,
        "last_ms": found.last_ms,
        "setting": found.setting,
        "value": found.value,
        "on_replica": found.on_replica,
        "text": printable(found.text),
    }


# -- events -----------------------------------------------------------------------------------------------------


def event(node: Node, found: Event) -> Json:
    """An event as programs get it, by `/v1/events` and by webhook."""
    facts = {name: printable(value) if isinstance(value, str) else value for name, value in found.facts.items()}
    return {
        "id": f"{node.run_id}:{found.number}",
        "at_ms": found.at_ms,
        "event": found.kind.value,
        "text": printable(found.text),
        "facts": facts,
    }


def webhook(node: Node) -> Json:
    """What became of the events for the webhook; its URL is as secret as a password."""
    found = node.deliveries
    return {
        "configured": bool(node.config.get_str("event-webhook")),
        "signed": bool(node.config.get_str("event-webhook-secret")),
        "waiting": len(found),
        "waiting_max": node.config.get_int("event-webhook-queue"),
        "delivered": found.delivered,
        "dropped": found.dropped,
        "failures": found.failures,
        "tries": found.tries,
        "last_error": printable(found.last_error) or None,
    }


# -- the server -------------------------------------------------------------------------------------------------


def unready(node: Node) -> str | None:
    """Why the node should not be sent readers now; None if it should."""
    if node.link.transfer is not None:
        return "receiving a full sync from the primary"
    if node.loading is not None:
        return "loading the dataset"
    if node.guard.stop is not None:
        return "the link to the primary is stopped, see /v1/guard"
    if node.delay.is_held and node.link.host:
        return f"held before offset {node.delay.stop_before} (replica-delay-stop-before)"
    if node.link.host and not node.link.is_up:
        return f"the link to the primary is down ({node.link.state.role_word})"
    return None


def is_loading_file(node: Node) -> bool:
    """The dataset is being loaded from disk, when no role may change."""
    return node.loading is not None and node.link.transfer is None


def has_role(node: Node, host: str, port: int) -> bool:
    """The node is what a request asked for: a replica of host:port whose link is up, or a primary if host is empty."""
    found = node.link
    if not host:
        return found.state is LinkState.NONE
    return found.is_up and (found.host, found.port) == (host, port)


def overview(node: Node, now_ms: int) -> Json:
    """All that the text page shows."""
    return {
        "version": __version__,
        "redis_version": PRESENTED_VERSION,
        "port": node.settings.listening_port,
        "uptime_seconds": seconds_since(node.started_ms, now_ms),
        "unready": unready(node),
        "replication": replication(node, now_ms),
        "syncs": syncs(node),
    }
