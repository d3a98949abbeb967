"""One attached replica: its name in the log and its lag."""

from __future__ import annotations

import pytest

from txrepl.replication.replica import Replica
from txrepl.replication.states import ReplicaState


@pytest.mark.parametrize(
    ("address", "announced", "port", "name"),
    [
        ("10.0.0.2", "", 6380, "10.0.0.2:6380"),
        ("10.0.0.2", "", 0, "10.0.0.2:<unknown-replica-port>"),
        ("10.0.0.2", "replica.example", 6380, "replica.example:6380"),
        ("", "", 6380, "client id #7"),
        ("", "replica.example", 6380, "replica.example:6380"),
    ],
)
def test_a_replica_is_named_by_what_is_known_of_it(address: str, announced: str, port: int, name: str) -> None:
    """As `replicationGetSlaveName` does."""
    replica = Replica(7, address)
    replica.announced = announced
    replica.port = port
    assert replica.name == name


def test_lag_is_whole_seconds_since_the_last_acknowledgement() -> None:
    """Never negative, even if the clock goes back."""
    replica = Replica(7, "10.0.0.2")
    replica.ack_ms = 10_000
    assert [replica.lag_seconds(now_ms) for now_ms in (9_000, 10_000, 10_999, 11_000)] == [0, 0, 0, 1]


def test_a_replica_is_live_when_it_is_online_and_has_acknowledged() -> None:
    """Between the end of a diskless bulk and the first ack it is online only."""
    replica = Replica(7, "10.0.0.2")
    assert not replica.is_online and not replica.is_live
    replica.state = ReplicaState.ONLINE
    replica.awaits_ack = True
    assert replica.is_online and not replica.is_live
    replica.awaits_ack = False
    assert replica.is_live
