"""Changes of role, and what they do to history, clients and replicas; no connection is real."""

from __future__ import annotations

import pytest

from tests.admin.support import Bench, FakeOutlet
from txrepl.commands.session import Session
from txrepl.errors import ReplicationError
from txrepl.persistence.snapshot import Loader
from txrepl.replication.handshake import Outcome, Resync
from txrepl.replication.history import NO_REPLID
from txrepl.replication.states import LinkState, ReplicaState
from txrepl.resp.requests import encode_command

THEIRS, OTHERS = "b" * 40, "c" * 40
SET = encode_command([b"SET", b"k", b"v"])
SELECT = encode_command([b"SELECT", b"0"])


@pytest.fixture
def bench() -> Bench:
    """A node that has written something to a backlog."""
    made = Bench()
    made.attach()
    made.write("SET", "k", "v")
    return made


def client(bench: Bench) -> tuple[Session, FakeOutlet]:
    """A client that stays."""
    outlet = FakeOutlet()
    session = bench.node.open_session(outlet, "127.0.0.1:40000", "127.0.0.1:6379")
    outlet.on_close = lambda: bench.node.close_session(session)
    return session, outlet


def loaded(bench: Bench) -> Loader:
    """A snapshot of a primary that is complete, and holds nothing."""
    return Loader(len(bench.node.keyspace.databases), bench.node.now(), bench.node.keyspace.limits, drop_expired=False)


def full_sync(bench: Bench, outcome: Outcome) -> None:
    """Follow a primary and be connected with it by a full sync."""
    node = bench.node
    if not node.link.host:
        node.replicate_from("10.0.0.1", 6379, "a test")
    node.following.link_entered(LinkState.CONNECTING)
    node.full_sync.promised(outcome)
    assert node.link.state is LinkState.TRANSFER
    node.full_sync.resynchronized(loaded(bench), outcome)


def said(bench: Bench, text: str) -> int:
    """In how many lines a text was logged."""
    return sum(text in line for line in bench.lines)


# -- becoming a replica ---------------------------------------------------------------------------------------------


def test_a_primary_that_becomes_a_replica_offers_its_own_history(bench: Bench) -> None:
    """It may be able to go on with a partial resync (`replicationCacheMasterUsingMyself`)."""
    node = bench.node
    history = node.feed.history
    before = (history.replid, history.offset)
    assert node.replicate_from("10.0.0.1", 6379, "a test")
    introduction = node.following.introduction()
    assert (introduction.replid, introduction.offset) == (before[0], before[1] + 1)
    assert (node.link.host, node.link.port, node.link.state) == ("10.0.0.1", 6379, LinkState.CONNECT)
    assert bench.host.asked == ["drop", "connect"]
    assert said(bench, "REPLICAOF 10.0.0.1:6379 enabled (user request from 'a test')") == 1
    assert said(bench, "using my own master parameters to synthesize a cached master") == 1


def test_its_replicas_are_disconnected_and_learn_the_new_history(bench: Bench) -> None:
    """They come back by PSYNC."""
    _, outlet = bench.attach(6381)
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    assert outlet.closed and bench.node.primary.replicas == {}


def test_clients_that_block_are_told_and_closed_others_stay(bench: Bench) -> None:
    """What they wait for may never come on a replica."""
    waiting, outlet = client(bench)
    _, idle = client(bench)
    assert bench.run(waiting, "BLPOP", "list", 0) == b""
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    assert outlet.written == (
        b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
    )
    assert outlet.closed and not idle.closed


def test_the_same_primary_again_changes_nothing(bench: Bench) -> None:
    """Whatever the case of its name; another port is another primary."""
    node = bench.node
    node.replicate_from("primary.example", 6379, "a test")
    asked = list(bench.host.asked)
    assert not node.replicate_from("PRIMARY.example", 6379, "a test")
    assert bench.host.asked == asked
    assert node.replicate_from("primary.example", 6380, "a test")
    assert bench.host.asked == [*asked, "drop", "connect"]


def test_a_replica_refuses_writes_and_a_primary_takes_them(bench: Bench) -> None:
    """From the very moment of the change."""
    session, _ = client(bench)
    bench.become_replica()
    assert bench.run(session, "SET", "k", "w").startswith(b"-READONLY ")
    bench.node.promote("a test")
    assert bench.run(session, "SET", "k", "w") == b"+OK\r\n"


def test_the_configuration_follows_the_role(bench: Bench) -> None:
    """So that CONFIG REWRITE keeps it."""
    bench.node.replicate_from("10.0.0.1", 6379, "a test")
    assert bench.node.config.replicaof == ("10.0.0.1", 6379)
    bench.node.promote("a test")
    assert bench.node.config.replicaof is None


# -- promotion ------------------------------------------------------------------------------------------------------


def test_a_promoted_replica_shifts_its_history(bench: Bench) -> None:
    """Siblings may go on with the old id up to here (`replicationUnsetMaster`)."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(SET)
    assert node.promote("a test")
    history = node.feed.history
    offset = 500 + len(SET)
    assert (history.replid2, history.second_offset, history.offset) == (THEIRS, offset + 1, offset)
    assert history.replid not in (THEIRS, NO_REPLID)
    assert (node.link.host, node.link.state) == ("", LinkState.NONE)
    assert said(bench, f"Setting secondary replication ID to {THEIRS}, valid up to offset: {offset + 1}.") == 1
    assert said(bench, "MASTER MODE enabled (user request from 'a test')") == 1
    _, sibling = bench.attach(6381, replid=THEIRS, offset=offset + 1)
    assert sibling.streams_from == offset + 1


def test_a_promoted_replica_selects_the_database_of_its_first_write(bench: Bench) -> None:
    """Whatever its primary had selected."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(SELECT + SET)
    node.promote("a test")
    offset = node.feed.history.offset
    bench.write("SET", "k", "w")
    assert node.feed.backlog is not None
    assert node.feed.backlog.read(offset + 1, len(SELECT)) == SELECT


def test_a_promoted_replica_disconnects_its_replicas(bench: Bench) -> None:
    """They must learn the new id."""
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    _, outlet = bench.attach(6381, replid=THEIRS, offset=501)
    assert not outlet.closed
    bench.node.promote("a test")
    assert outlet.closed


def test_promoting_a_primary_changes_nothing(bench: Bench) -> None:
    """Neither ids nor link."""
    replid = bench.node.feed.history.replid
    assert not bench.node.promote("a test")
    assert bench.node.feed.history.replid == replid and bench.host.asked == []


def test_promotion_in_the_middle_of_a_transaction_of_the_stream_drops_it(bench: Bench) -> None:
    """It was neither applied nor counted; the next primary's stream does not begin inside of it."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(encode_command([b"MULTI"]) + SET)
    node.promote("a test")
    assert node.feed.history.offset == 500
    assert b"k" not in node.keyspace.databases[0].data
    full_sync(bench, Outcome(Resync.FULL, OTHERS, 900))
    node.delaying.receive_stream(SET)
    assert node.keyspace.databases[0].data[b"k"] == b"v"
    assert node.feed.history.offset == 900 + len(SET)


# -- resyncs --------------------------------------------------------------------------------------------------------


def test_a_full_sync_replaces_history_data_and_replicas(bench: Bench) -> None:
    """Our own second id is forgotten with it."""
    node = bench.node
    bench.become_replica()
    _, outlet = bench.attach(6381, replid=node.feed.history.replid, offset=node.feed.history.offset + 1)
    node.following.link_lost("a test")
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    history = node.feed.history
    assert (history.replid, history.replid2, history.second_offset, history.offset) == (THEIRS, NO_REPLID, -1, 500)
    assert node.keyspace.databases[0].data == {}
    assert outlet.closed
    assert node.feed.backlog is not None and node.feed.backlog.first_offset == 501
    assert node.following.introduction().replid == THEIRS and node.following.introduction().offset == 501


@pytest.mark.parametrize(
    "outcome", [Outcome(Resync.SYNC, NO_REPLID, -1), Outcome(Resync.FULL, NO_REPLID, -1)], ids=["SYNC", "bad id"]
)
def test_a_full_sync_without_a_history_cannot_be_gone_on_with(bench: Bench, outcome: Outcome) -> None:
    """We still have an id of our own for our replicas, which nobody else has."""
    node = bench.node
    replid = node.feed.history.replid
    full_sync(bench, outcome)
    assert node.link.state is LinkState.CONNECTED
    assert node.feed.history.replid not in (replid, NO_REPLID)
    node.delaying.receive_stream(SET)
    node.following.link_lost("a test")
    assert node.following.introduction().replid is None


def test_a_promised_full_sync_that_fails_leaves_the_data_in_place(bench: Bench) -> None:
    """And served."""
    node = bench.node
    bench.become_replica()
    node.following.link_lost("a test")
    node.following.link_entered(LinkState.CONNECTING)
    node.full_sync.promised(Outcome(Resync.FULL, THEIRS, 500))
    node.following.link_failed("the connection was lost")
    assert node.link.state is LinkState.CONNECT and node.link.transfer is None and node.loading is None
    session, _ = client(bench)
    assert bench.run(session, "GET", "k") == b"$1\r\nv\r\n"


def test_a_partial_sync_under_the_same_id_keeps_history_and_replicas(bench: Bench) -> None:
    """Nothing changed for anybody."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    _, outlet = bench.attach(6381, replid=THEIRS, offset=501)
    node.following.link_lost("a test")
    assert said(bench, "Caching the disconnected master state.") == 1
    node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    history = node.feed.history
    assert (history.replid, history.replid2, history.offset) == (THEIRS, NO_REPLID, 500)
    assert not outlet.closed and node.link.state is LinkState.CONNECTED


def test_a_partial_sync_under_a_new_id_keeps_the_old_one_as_the_second(bench: Bench) -> None:
    """And makes our own replicas learn it."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    _, outlet = bench.attach(6381, replid=THEIRS, offset=501)
    node.following.link_lost("a test")
    node.following.resumed(Outcome(Resync.PARTIAL, OTHERS, -1))
    history = node.feed.history
    assert (history.replid, history.replid2, history.second_offset) == (OTHERS, THEIRS, 501)
    assert outlet.closed


def test_a_stream_that_goes_on_has_its_database_still_selected(bench: Bench) -> None:
    """CONTINUE brings no SELECT."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(encode_command([b"SELECT", b"3"]))
    node.following.link_lost("a test")
    node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    node.delaying.receive_stream(SET)
    assert node.keyspace.databases[3].data == {b"k": b"v"}


def test_a_lost_link_is_down_since_then_until_the_stream_flows(bench: Bench) -> None:
    """Failed attempts do not move that moment."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    assert node.link.down_since_ms == 0 and node.link.is_up
    bench.clock.advance(10)
    node.following.link_lost("a test")
    lost_ms = node.now()
    bench.clock.advance(5)
    node.following.link_failed("refused")
    node.following.link_failed("refused")
    assert (node.link.down_since_ms, node.link.failures, node.link.last_error) == (lost_ms, 2, "refused")
    node.following.resumed(Outcome(Resync.PARTIAL, "", -1))
    assert (node.link.down_since_ms, node.link.failures, node.link.last_error) == (0, 0, "")


# -- the stream -----------------------------------------------------------------------------------------------------


def test_the_primarys_bytes_go_on_verbatim(bench: Bench) -> None:
    """A chain shares one history: odd spellings and all, without a SELECT or a PING of ours."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    stream = encode_command([b"set", b"k", b"1"]) + encode_command([b"PING"]) + encode_command([b"InCr", b"k"])
    node.delaying.receive_stream(stream)
    bench.clock.advance(100)
    for _ in range(20):
        node.tick()
    assert node.feed.backlog is not None
    assert node.feed.backlog.read(501, 1000) == stream
    assert node.keyspace.databases[0].data[b"k"] == b"2"


def test_a_command_of_the_stream_that_fails_is_told_to_the_operator_and_not_to_the_primary(bench: Bench) -> None:
    """With its name; the stream goes on."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(SET + encode_command([b"LPUSH", b"k", b"x"]) + encode_command([b"SET", b"k", b"w"]))
    assert said(bench, "== CRITICAL == This replica is sending an error to its master: '-WRONGTYPE") == 1
    assert said(bench, "after processing the command 'lpush'") == 1
    assert node.keyspace.databases[0].data[b"k"] == b"w"


def test_getack_is_answered_with_the_offset_before_it(bench: Bench) -> None:
    """Through the host."""
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    bench.node.delaying.receive_stream(SET + encode_command([b"REPLCONF", b"GETACK", b"*"]))
    assert bench.host.asked[-1] == f"ack {500 + len(SET)}"


def test_bytes_of_a_primary_that_we_left_are_refused(bench: Bench) -> None:
    """They must not get into another history."""
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    bench.node.promote("a test")
    with pytest.raises(ReplicationError):
        bench.node.delaying.receive_stream(SET)
    assert bench.node.feed.history.offset == 500


def test_a_history_that_cannot_be_trusted_is_not_gone_on_with(bench: Bench) -> None:
    """After a corrupt stream."""
    node = bench.node
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.following.discard_history()
    node.following.link_lost("a test")
    assert node.following.introduction().replid is None and node.following.introduction().offset == -1
    assert said(bench, "Caching the disconnected master state.") == 0


def test_a_replica_does_not_delete_expired_keys_and_a_promoted_one_does(bench: Bench) -> None:
    """They read as gone on both."""
    node = bench.node
    session, _ = client(bench)
    full_sync(bench, Outcome(Resync.FULL, THEIRS, 500))
    node.delaying.receive_stream(SET + encode_command([b"PEXPIREAT", b"k", b"%d" % (node.now() + 1000)]))
    bench.clock.advance(2)
    node.tick()
    assert bench.run(session, "GET", "k") == b"$-1\r\n"
    assert b"k" in node.keyspace.databases[0].data
    node.promote("a test")
    node.tick()
    assert b"k" not in node.keyspace.databases[0].data


def test_what_a_transaction_wrote_before_its_replicaof_is_in_the_history_that_is_offered(bench: Bench) -> None:
    """Else a partial resync would go on from an offset that does not hold the write, which is here."""
    session, _ = client(bench)
    backlog = bench.node.feed.backlog
    assert backlog is not None
    before = backlog.end_offset
    for words in (["MULTI"], ["SET", "k", "in"], ["REPLICAOF", "10.0.0.1", "6379"], ["SET", "k", "out"]):
        bench.run(session, *words)
    assert bench.run(session, "EXEC").startswith(b"*3\r\n+OK\r\n+OK\r\n-READONLY ")
    assert backlog.read(before, 1000) == encode_command([b"SET", b"k", b"in"])
    assert bench.node.following.introduction().offset == backlog.end_offset == bench.node.feed.history.offset + 1


def test_role_tells_an_announced_address_that_is_no_text_as_it_came(bench: Bench) -> None:
    """One odd replica costs nobody the answer."""
    outlet = FakeOutlet()
    session = bench.node.open_session(outlet, "10.0.0.9:50000", "127.0.0.1:6379")
    bench.node.serve(session, [[b"REPLCONF", b"ip-address", b"\xff"], [b"PSYNC", b"?", b"-1"]], [])
    assert session.replica is not None
    session.replica.state = ReplicaState.ONLINE
    asking, _ = client(bench)
    assert b"$1\r\n\xff\r\n" in bench.run(asking, "ROLE")


@pytest.mark.parametrize("name", [b"ctime", b"used-mem", b"repl-stream-db", b"repl-offset"])
def test_numbers_without_measure_in_an_rdb_are_passed_over(bench: Bench, name: bytes) -> None:
    """The data is loaded all the same, and its history is not taken over."""
    loader = loaded(bench)
    loader.facts = {b"repl-id": OTHERS.encode(), b"repl-offset": b"7", name: b"9" * 5000}
    bench.node.storage.restore_origin(loader)
    assert loader.stream_database == 0
    assert (bench.node.feed.history.replid2 == OTHERS) is (name != b"repl-offset")


def test_watching_many_keys_compares_none_with_all_others(bench: Bench) -> None:
    """Else one WATCH of some ten thousand keys would stop the server for seconds."""
    compared = 0

    class Key(bytes):
        __hash__ = bytes.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return bytes.__eq__(self, other)  # type: ignore[arg-type]

    session, _ = client(bench)
    keys: list[bytes] = [Key(b"k%d" % number) for number in range(1000)]
    bench.node.serve(session, [[b"WATCH", *keys, *keys]], [])
    assert len(session.watched) == 1000
    assert compared < 20_000
    bench.run(session, "UNWATCH")
    assert not session.watched and not bench.node.keyspace.databases[0].watched
