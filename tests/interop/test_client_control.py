"""Pausing, unblocking and killing clients, over sockets."""

from __future__ import annotations

from tests.interop.servers import encode, redis70, txrepl, wait_until


def test_killing_the_link_to_the_primary_ends_in_a_partial_resync() -> None:
    """CLIENT KILL TYPE master cuts the link; it comes back by +CONTINUE and misses nothing."""
    with redis70() as primary, txrepl(replicaof=("127.0.0.1", primary.port)) as replica:
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 10, "the link is up")
        primary.command("SET", "before", "1")
        wait_until(lambda: replica.command("GET", "before") == b"1", 5, "the first write arrives")
        assert b" flags=M " in replica.command("CLIENT", "LIST", "TYPE", "master")
        assert replica.command("CLIENT", "KILL", "TYPE", "master") == 1
        primary.command("SET", "after", "2")
        wait_until(lambda: replica.command("GET", "after") == b"2", 10, "the second write arrives")
        assert primary.info("stats")["sync_partial_ok"] == "1"
        assert primary.info("stats")["sync_full"] == "1"


def test_pause_ends_by_itself_and_replies_come_in_order() -> None:
    """A pipeline is held back at its first write; all of its replies come after the pause."""
    with txrepl() as server, server.connect() as client, server.connect() as other:
        assert client.command("CLIENT", "PAUSE", 300, "WRITE") == "OK"
        for words in (("SET", "k", "1"), ("INCR", "k"), ("GET", "k")):
            client.send(encode(*words))
        assert other.command("EXISTS", "k") == 0
        assert [client.read_reply() for _ in range(3)] == ["OK", 2, b"2"]


def test_unblock_lets_the_pipeline_go_on() -> None:
    """What a blocked client sent ahead is run after its reply, in order."""
    with txrepl() as server, server.connect() as client, server.connect() as other:
        number = client.command("CLIENT", "ID")
        client.send(b"BLPOP nothing 0\r\nSET k v\r\nGET k\r\n")
        wait_until(lambda: server.info("clients")["blocked_clients"] == "1", 5, "the client waits")
        assert other.command("CLIENT", "UNBLOCK", number, "ERROR") == 1
        assert str(client.read_reply()) == "UNBLOCKED client unblocked via CLIENT UNBLOCK"
        assert [client.read_reply(), client.read_reply()] == ["OK", b"v"]


def test_flushall_during_a_background_save() -> None:
    """The save is stopped without being a failure, and the empty dataset is on disk when the server comes back."""
    with txrepl(save=("3600", "1"), rdb_key_save_delay=10_000) as server:
        server.command("DEBUG", "POPULATE", 1000)
        assert server.command("BGSAVE") == "Background saving started"
        assert server.command("FLUSHALL") == "OK"
        wait_until(lambda: server.info("persistence")["rdb_bgsave_in_progress"] == "0", 10, "the child is gone")
        assert server.info("persistence")["rdb_last_bgsave_status"] == "ok"
        assert server.command("SET", "k", "v") == "OK"
        server.kill()
        server.start()
        assert server.command("DBSIZE") == 0
