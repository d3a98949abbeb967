"""Transactions of a primary's stream are applied whole or not at all, wherever the link is lost, and what fails in it.

The offset stands at a transaction's start until its EXEC has run; nothing of it is seen, forwarded, or asked for twice.
"""

from __future__ import annotations

import random
import sys

import pytest

from tests.interop.conftest import Proxy, Run
from tests.interop.fake_primary import OFFSET, REPLID, FakePrimary, Script, Talk, bulk, full_resync, speak
from tests.interop.servers import RealServer, encode, wait_until

TIMEOUT_S = 10.0
EMPTY = b"REDIS0009\xff" + bytes(8)
BEFORE = encode("SET", "before", 1)
TRANSACTION = encode("MULTI") + encode("SET", "a", 1) + encode("SET", "b", 2) + encode("EXEC")
AFTER = encode("SET", "after", 3)
PLACES = (len(encode("MULTI")), 40, len(TRANSACTION) - 1)
"""Where the link is cut: behind MULTI, in a command, and in EXEC."""


def is_up(replica: RealServer) -> bool:
    """Whether the stream flows."""
    return replica.info("replication").get("master_link_status") == "up"


def first_part(data: bytes) -> Script:
    """Sync, send this much of the stream, and close when told so."""

    def script(talk: Talk) -> None:
        talk.until("psync")
        talk.send(full_resync() + bulk(EMPTY) + data)
        talk.until_closed()

    return script


def rest(stream: bytes, asked: list[list[bytes]]) -> Script:
    """Go on with the stream where the replica asks for it."""

    def script(talk: Talk) -> None:
        words = talk.until("psync")
        asked.append(words)
        talk.send(b"+CONTINUE\r\n" + stream[int(words[2]) - OFFSET - 1 :])
        talk.until_closed()

    return script


@pytest.mark.parametrize("place", PLACES)
def test_a_link_cut_inside_a_transaction_leaves_nothing_of_it_and_goes_on_at_its_start(run: Run, place: int) -> None:
    """Neither here nor at a replica below is a part to be seen; PSYNC asks from MULTI on, and all is applied once."""
    node, stream, asked = run("txrepl"), BEFORE + TRANSACTION + AFTER, []
    below = run("redis70", replicaof=("127.0.0.1", node.port))
    with FakePrimary(first_part(stream[: len(BEFORE) + place])) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        wait_until(lambda: node.command("GET", "before") == b"1" and is_up(below), TIMEOUT_S, "the first write")
        sent = OFFSET + len(BEFORE) + place
        wait_until(lambda: int(node.info()["slave_read_repl_offset"]) == sent, TIMEOUT_S, "the part of the transaction")
        assert node.offset() == OFFSET + len(BEFORE)
        assert node.command("DBSIZE") == 1
        wait_until(lambda: is_up(below) and below.offset() == node.offset(), TIMEOUT_S, "the replica below is there")
        full_syncs = node.info("stats")["sync_full"]
        primary.script = rest(stream, asked)
        primary.talks[-1].close()
        wait_until(lambda: node.command("GET", "after") == b"3", TIMEOUT_S, "the rest")
        assert asked == [[b"PSYNC", REPLID.encode(), b"%d" % (OFFSET + len(BEFORE) + 1)]]
        assert node.command("MGET", "a", "b") == [b"1", b"2"]
        assert node.offset() == OFFSET + len(stream)
        wait_until(lambda: below.offset() == node.offset(), TIMEOUT_S, "the replica below has it")
        assert below.command("MGET", "before", "a", "b", "after") == [b"1", b"1", b"2", b"3"]
        assert node.info("stats")["sync_full"] == full_syncs


def test_accounts_stay_balanced_whenever_the_link_of_a_real_primary_is_cut(run: Run, proxy: Proxy) -> None:
    """Transfers in MULTI/EXEC between keys whose sum is always the same, under cuts at random bytes of the stream."""
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    source = random.Random(seed)
    primary, node = run("redis70", repl_backlog_size="16mb"), run("txrepl")
    through = proxy(primary.port)
    names = [f"account{number}" for number in range(8)]
    primary.command("MSET", *(word for name in names for word in (name, 1000)))
    node.command("REPLICAOF", "127.0.0.1", through.port)
    wait_until(lambda: is_up(node), TIMEOUT_S, "the link is up")
    through.cut_after(*(source.randrange(200, 6000) for _ in range(6)))
    with primary.connect() as client:
        for _ in range(60):
            commands: list[list[str | int]] = []
            for _ in range(20):
                amount, (giver, taker) = source.randrange(100), source.sample(names, 2)
                commands += [["MULTI"], ["DECRBY", giver, amount], ["INCRBY", taker, amount], ["EXEC"]]
            client.pipeline(commands)
            assert sum(map(int, node.command("MGET", *names))) == 8000
    wait_until(lambda: through.cuts == 6, TIMEOUT_S, "every cut")
    wait_until(lambda: is_up(node) and node.offset() == primary.offset(), TIMEOUT_S, "the node has everything")
    assert node.command("MGET", *names) == primary.command("MGET", *names)
    assert primary.info("stats")["sync_full"] == "1"


FAILING = encode("LPUSH", "after", 1)


@pytest.mark.parametrize(
    ("behavior", "read_only", "lives"),
    [("ignore", "yes", True), ("panic", "yes", False), ("panic-on-replicas", "yes", False), ("panic", "no", True)],
)
def test_propagation_error_behavior_says_whether_a_replica_survives_a_command_that_fails(
    run: Run, behavior: str, read_only: str, lives: bool
) -> None:
    """A list command for a string: logged in any case; with panic a read-only replica ends on the spot."""
    node = run("txrepl", propagation_error_behavior=behavior, replica_read_only=read_only)
    with FakePrimary(speak(EMPTY, AFTER + FAILING + BEFORE)) as primary:
        node.command("REPLICAOF", "127.0.0.1", primary.port)
        line = "== CRITICAL == This replica is sending an error to its master: '-WRONGTYPE"
        wait_until(lambda: line in node.log_text(), TIMEOUT_S, "the log tells")
        if lives:
            wait_until(lambda: node.command("GET", "before") == b"1", TIMEOUT_S, "the stream goes on")
        else:
            assert node.wait_exit() != 0
            words = "This replica panicked sending an error to its master after processing the command 'lpush'"
            assert words in node.log_text()
