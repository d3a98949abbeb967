"""The states of both ends of a link: Redis's numbers and words, and every state with every event."""

from __future__ import annotations

from itertools import product

import pytest

from txrepl.errors import ReplicationError
from txrepl.replication.replica import Replica
from txrepl.replication.states import CAPABILITY_NAMES, Capability, LinkState, ReplicaEvent, ReplicaState, next_state

LINK_STATES = [
    ("NONE", 0, "none"),
    ("CONNECT", 1, "connect"),
    ("CONNECTING", 2, "connecting"),
    ("RECEIVE_PONG", 3, "handshake"),
    ("SEND_AUTH", 4, "handshake"),
    ("RECEIVE_AUTH", 5, "handshake"),
    ("SEND_PORT", 6, "handshake"),
    ("RECEIVE_PORT", 7, "handshake"),
    ("SEND_IP", 8, "handshake"),
    ("RECEIVE_IP", 9, "handshake"),
    ("SEND_CAPA", 10, "handshake"),
    ("RECEIVE_CAPA", 11, "handshake"),
    ("SEND_PSYNC", 12, "handshake"),
    ("RECEIVE_PSYNC", 13, "handshake"),
    ("TRANSFER", 14, "sync"),
    ("CONNECTED", 15, "connected"),
]


def test_the_states_of_a_link_have_rediss_names_numbers_and_role_words() -> None:
    """`REPL_STATE_*`, and what ROLE answers in each; there are no others."""
    assert [(state.name, state.value, state.role_word) for state in LinkState] == LINK_STATES


def test_states_3_to_13_are_the_handshake() -> None:
    """`slaveIsInHandshakeState`."""
    assert [state.value for state in LinkState if state.in_handshake] == list(range(3, 14))


WAIT_START, WAIT_END, BULK, ONLINE = ReplicaState
STARTED, TRANSFER, TRANSFERRED, CONTINUED = ReplicaEvent
ALLOWED = {
    (WAIT_START, STARTED): WAIT_END,
    (WAIT_START, CONTINUED): ONLINE,
    (WAIT_END, TRANSFER): BULK,
    (WAIT_END, TRANSFERRED): ONLINE,
    (BULK, TRANSFERRED): ONLINE,
}


@pytest.mark.parametrize(("state", "event"), list(product(ReplicaState, ReplicaEvent)), ids=lambda value: value.name)
def test_every_event_in_every_state_moves_a_replica_or_is_refused(state: ReplicaState, event: ReplicaEvent) -> None:
    """A refused event says what cannot happen in which state, and leaves the replica where it is."""
    replica = Replica(1, "10.0.0.1")
    replica.state = state
    if (state, event) in ALLOWED:
        assert next_state(state, event) is ALLOWED[state, event]
        replica.happen(event)
        assert replica.state is ALLOWED[state, event]
        return
    with pytest.raises(ReplicationError, match=f"{event.value} cannot happen to a replica in state {state.value}"):
        replica.happen(event)
    assert replica.state is state


def test_info_has_one_word_for_both_kinds_of_waiting() -> None:
    """As in INFO replication's `state=`."""
    assert [state.info_name for state in ReplicaState] == ["wait_bgsave", "wait_bgsave", "send_bulk", "online"]


def test_capabilities_have_rediss_numbers() -> None:
    """`SLAVE_CAPA_*`."""
    assert (Capability.NONE, Capability.EOF, Capability.PSYNC2, Capability.RDB_CHANNEL) == (0, 1, 2, 4)
    assert CAPABILITY_NAMES == {
        b"eof": Capability.EOF,
        b"psync2": Capability.PSYNC2,
        b"rdb-channel-repl": Capability.RDB_CHANNEL,
    }
