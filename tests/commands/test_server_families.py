"""The commands about connections, the server and its configuration, against a node without IO."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.commands.nodes import NOW_MS, Scheduled
from txrepl.commands import info
from txrepl.commands.command import categories, key_range
from txrepl.commands.notifications import event_flags
from txrepl.commands.session import Session, Timer
from txrepl.config import Config
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.values import ListValue
from txrepl.node import Node
from txrepl.persistence.snapshot import Loader
from txrepl.replication.replica import Replica
from txrepl.replication.snapshot_kind import Reads, SnapshotKind
from txrepl.resp.replies import Reply, encode


class FakeSnapshots:
    """Snapshots that are only counted."""

    def __init__(self) -> None:
        self.busy = False
        self.to_sockets = False
        self.saved = 0
        self.killed = 0

    def objection(self, kind: SnapshotKind) -> str:
        """Everyone can read everything here."""
        return ""

    def suited(self, kind: SnapshotKind) -> SnapshotKind:
        """One snapshot suits all readers here."""
        return replace(kind, reads=Reads.PORTABLE)

    def start_for_replicas(self, *, to_sockets: bool, replicas: list[Replica], kind: SnapshotKind) -> None:
        """A child for replicas."""
        self.busy = True

    def start_save(self) -> None:
        """A child for ourselves."""
        self.busy = True

    def save_now(self) -> None:
        """In the foreground."""
        self.saved += 1

    def load_now(self) -> Loader:
        """No file is there."""
        raise OSError("no such file")

    def kill(self) -> None:
        """The child is to end."""
        self.killed += 1


class World:
    """A node, its host and its clock."""

    def __init__(self, **directives: str) -> None:
        config = Config()
        config.set_many({name.replace("_", "-"): value for name, value in directives.items()})
        config.assign("enable-debug-command", "local")
        self.now_ms = NOW_MS
        self.lines: list[str] = []
        ids = iter(range(1, 1000))
        self.snapshots = FakeSnapshots()
        self.timers: list[Scheduled] = []
        self.stopped: list[tuple[bool, bool]] = []
        self.dropped = 0
        self.cut = 0
        self.connected = 0
        self.node = Node(
            config,
            lambda: self.now_ms,
            random.Random(1),
            lambda: f"{next(ids):040d}",
            lambda level, text: self.lines.append(text),
        )
        self.node.host = self
        self.node.primary.snapshots = self.snapshots
        self.node.refresh_gate()

    def client(self, address: str = "127.0.0.1:5000") -> Client:
        """A new connection."""
        return Client(self.node, address)

    def advance(self, ms: int) -> None:
        """Let time pass, and happen what is due."""
        self.now_ms += ms
        due = [timer for timer in self.timers if timer.at_ms <= self.now_ms and not timer.cancelled]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer.action()

    def later(self, delay_ms: int, action: Callable[[], None]) -> Timer:
        """What the node asks of its host."""
        timer = Scheduled(self.now_ms + delay_ms, action)
        self.timers.append(timer)
        return timer

    def connect_primary(self) -> None:
        """Counted."""
        self.connected += 1

    def drop_primary(self) -> None:
        """Counted."""
        self.dropped += 1

    def cut_primary(self) -> None:
        """Counted."""
        self.cut += 1

    def acknowledge(self, offset: int) -> None:
        """Nobody listens."""

    def stop(self, *, save: bool, force: bool) -> None:
        """Noted."""
        self.stopped.append((save, force))


class Client:
    """A connection that keeps what it is sent, and what it sent ahead while it was blocked."""

    def __init__(self, node: Node, address: str) -> None:
        self.node = node
        self.sent = b""
        self.closed: bool | None = None
        self.queue: list[list[bytes]] = []
        self.session: Session = node.open_session(self, address, "127.0.0.1:6379")

    def write(self, data: bytes) -> None:
        """Bytes for the client."""
        self.sent += data

    def close(self, *, flush: bool) -> None:
        """The server closes."""
        self.closed = flush

    def resume(self) -> None:
        """Run what came meanwhile."""
        queue, self.queue = self.queue, []
        self._run(queue)

    def pending_input(self) -> int:
        """Bytes of half a request."""
        return 7

    def pending_output(self) -> int:
        """Bytes that were not taken."""
        return 0

    def say(self, *lines: str) -> bytes:
        """Send commands in one batch; the bytes that came back for them."""
        self.sent = b""
        self._run([[word.encode() for word in line.split(" ")] for line in lines])
        return self.sent

    def _run(self, batch: list[list[bytes]]) -> None:
        out: list[bytes] = []
        used = self.node.serve(self.session, batch, out)
        self.queue = batch[used:]
        self.sent = b"".join(out) + self.sent if out else self.sent


def error(text: str) -> bytes:
    """An error's bytes."""
    return encode(CommandError(text), 2)


# -- who is who -------------------------------------------------------------------------------------------------


def test_a_password_is_asked_for_and_taken_back() -> None:
    """With requirepass nothing but AUTH, HELLO, QUIT and RESET runs before the right password; without, all does."""
    world = World(requirepass="secret")
    client = world.client()
    assert client.say("PING") == error("NOAUTH Authentication required.")
    assert client.say("AUTH wrong").startswith(b"-WRONGPASS")
    assert client.say("AUTH default secret", "PING") == b"+OK\r\n+PONG\r\n"
    assert client.say("RESET", "PING") == b"+RESET\r\n" + error("NOAUTH Authentication required.")
    assert world.node.stats.denials["auth"] == 1
    world.node.config.set_many({"requirepass": ""})
    assert client.say("PING") == b"+PONG\r\n"


def test_hello_switches_the_protocol_only_when_all_is_right() -> None:
    """A wrong password or name leaves protocol and name as they were."""
    client = World(requirepass="secret").client()
    client.say("HELLO 3 AUTH default wrong SETNAME x")
    assert (client.session.proto, client.session.name) == (2, b"")
    assert client.say("HELLO 3 AUTH default secret SETNAME x").startswith(b"%7\r\n")
    assert (client.session.proto, client.session.name) == (3, b"x")


def test_ping_in_subscriber_mode_is_a_message() -> None:
    """RESP2 subscribers get an array, RESP3 ones the usual reply."""
    client = World().client()
    client.say("SUBSCRIBE c")
    assert client.say("PING", "PING a") == b"*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\na\r\n"
    assert client.say("RESET", "HELLO 3", "SUBSCRIBE c", "PING").endswith(b"+PONG\r\n")


def test_reset_makes_a_connection_new() -> None:
    """Transaction, watches, subscriptions, database, name and modes are gone; what the library is stays."""
    world = World()
    client = world.client()
    client.say("CLIENT SETNAME n", "CLIENT SETINFO LIB-NAME lib", "CLIENT NO-TOUCH on", "SELECT 3", "WATCH k")
    assert client.say("MULTI", "RESET") == b"+OK\r\n+RESET\r\n"
    session = client.session
    assert (session.name, session.lib_name, session.db.number, session.watched) == (b"", b"lib", 0, {})
    assert session.flags == 0
    assert not world.node.keyspace.databases[3].watched


def test_quit_closes_after_its_reply() -> None:
    """QUIT answers, and nothing that was sent after it is run."""
    world = World()
    client = world.client()
    assert client.say("QUIT", "SET k v") == b"+OK\r\n"
    assert client.closed is True
    assert not world.node.keyspace.databases[0].data


# -- CLIENT -----------------------------------------------------------------------------------------------------


def fields(line: bytes) -> dict[str, str]:
    """The fields of a line of CLIENT LIST."""
    return dict(word.split("=", 1) for word in line.decode().split(" "))


def described(client: Client, of: Client) -> dict[str, str]:
    """CLIENT LIST's line about a client."""
    text = client.say(f"CLIENT LIST ID {of.session.number}").split(b"\r\n")[1]
    return fields(text.strip())


def test_client_list_has_the_fields_of_7_2() -> None:
    """Names and order are Redis 7.2's, and the values are the client's."""
    world = World()
    client, other = world.client(), world.client("[::1]:6000")
    other.say("HELLO 3 SETNAME bob", "SELECT 2", "SUBSCRIBE c", "MULTI", "GET a", "get b")
    world.now_ms += 5000
    line = described(client, other)
    assert " ".join(line) == (
        "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll "
        "omem tot-mem events cmd user redir resp lib-name lib-ver"
    )
    assert line["addr"] == "[::1]:6000"
    assert (line["name"], line["db"], line["sub"], line["multi"], line["resp"]) == ("bob", "2", "1", "2", "3")
    assert (line["flags"], line["cmd"], line["age"], line["idle"], line["qbuf"]) == ("Px", "get", "5", "5", "7")
    assert described(client, client)["cmd"] == "client|list"


def test_client_flags_tell_the_state() -> None:
    """Blocked, broken watch, kept from eviction, untouched access times, a Unix socket, nothing."""
    world = World()
    client, other = world.client(), world.client("/run/redis.sock:0")
    assert described(client, client)["flags"] == "N"
    other.say("CLIENT NO-EVICT on", "CLIENT NO-TOUCH on", "WATCH k")
    client.say("SET k v")
    assert described(client, other)["flags"] == "dUeT"
    other.say("BLPOP l 0")
    assert described(client, other)["flags"] == "bdUeT"


def test_client_kill_filters_and_spares_the_asking_one() -> None:
    """Filters add up; without SKIPME no the asker lives; the old form kills by address, itself too."""
    world = World()
    client, second, third = world.client(), world.client("127.0.0.1:5001"), world.client("127.0.0.1:5002")
    second.say("SUBSCRIBE c")
    assert client.say("CLIENT KILL TYPE pubsub ADDR 127.0.0.1:5002") == b":0\r\n"
    assert client.say("CLIENT KILL TYPE pubsub") == b":1\r\n"
    assert (second.closed, third.closed, client.closed) == (False, None, None)
    assert client.say("CLIENT KILL USER default") == b":1\r\n"
    assert third.closed is False
    assert client.say("CLIENT KILL 127.0.0.1:5000") == b"+OK\r\n"
    assert client.closed is True


def test_client_kill_of_the_primary_opens_the_link_anew() -> None:
    """CLIENT KILL TYPE master cuts the connection; the history is kept for a partial resync when that is noticed."""
    world = World()
    client = world.client()
    world.node.replicate_from("localhost", 7000, "test")
    world.node.link.resumable = True
    world.node.following.begin_stream(0)
    assert b"flags=M " in client.say("CLIENT LIST TYPE master")
    assert client.say("CLIENT KILL TYPE master") == b":1\r\n"
    assert world.cut == 1
    world.node.following.link_lost("the connection was closed")
    assert world.node.primary_session() is None
    assert world.node.link.resumable


def test_client_unblock_answers_as_asked() -> None:
    """TIMEOUT gives the timeout's reply, ERROR an error; the commands sent meanwhile run then, in order."""
    world = World()
    client, other = world.client(), world.client("127.0.0.1:5001")
    other.say("BLPOP l 0", "PING")
    number = other.session.number
    other.sent = b""
    assert client.say(f"CLIENT UNBLOCK {number}") == b":1\r\n"
    assert sorted(other.sent.split(b"\r\n")) == [b"", b"*-1", b"+PONG"]
    other.say("BLPOP l 0")
    other.sent = b""
    assert client.say(f"CLIENT UNBLOCK {number} ERROR") == b":1\r\n"
    assert other.sent == error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
    assert client.say(f"CLIENT UNBLOCK {number}") == b":0\r\n"


def test_unblocking_does_not_mix_two_clients_commands() -> None:
    """What an unblocked client had sent ahead is propagated once, as its own, and not as the unblocker's."""
    world = World()
    world.node.feed.open_backlog(1 << 20)
    client, other = world.client(), world.client("127.0.0.1:5001")
    other.say("BLPOP l 0", "SET k v")
    client.say(f"CLIENT UNBLOCK {other.session.number}", "SET a b")
    stream = world.node.feed.backlog
    assert stream is not None
    words = stream.read(stream.first_offset, 1 << 20)
    assert words.count(b"SET\r\n") == 2
    assert b"CLIENT" not in words


def test_client_reply_off_and_skip() -> None:
    """SKIP drops the next reply, OFF all until ON."""
    client = World().client()
    assert client.say("CLIENT REPLY SKIP", "PING a", "PING b") == b"$1\r\nb\r\n"
    assert client.say("CLIENT REPLY OFF", "PING a", "CLIENT REPLY SKIP", "PING b") == b""
    assert client.say("CLIENT REPLY ON", "PING c") == b"+OK\r\n$1\r\nc\r\n"


def test_pause_write_lets_readers_pass() -> None:
    """Writes, PUBLISH, and EXEC of writes wait until the end of the pause; then they run in order."""
    world = World()
    client, other = world.client(), world.client("127.0.0.1:5001")
    other.say("MULTI", "SET m 1")
    assert client.say("CLIENT PAUSE 1000 WRITE", "GET k") == b"+OK\r\n$-1\r\n"
    assert client.say("SET k v", "GET k") == b""
    assert other.say("EXEC") == b""
    assert not world.node.keyspace.databases[0].data
    world.advance(999)
    assert client.sent == other.sent == b""
    world.advance(1)
    assert client.sent == b"+OK\r\n$1\r\nv\r\n"
    assert other.sent == b"*1\r\n+OK\r\n"


def test_pause_all_holds_everybody_and_is_never_shortened() -> None:
    """Even PING waits, and the longer of two pauses counts; what was held back is counted once."""
    world = World()
    client, other = world.client(), world.client("127.0.0.1:5001")
    before = world.node.stats.commands
    client.say("CLIENT PAUSE 5000", "PING")
    other.say("PING")
    world.advance(4000)
    assert client.sent == b"+OK\r\n"
    assert other.sent == b""
    world.advance(1000)
    assert other.sent == b"+PONG\r\n"
    assert world.node.stats.commands - before == 3


def test_pause_keeps_due_keys_until_its_end() -> None:
    """During a pause a due key reads as gone and is not deleted; after it, it is."""
    world = World()
    client = world.client()
    client.say("SET k v PX 10", "CLIENT PAUSE 10000 WRITE")
    world.now_ms += 5000
    assert client.say("GET k") == b"$-1\r\n"
    world.node.tick()
    assert b"k" in world.node.keyspace.databases[0].data
    client.say("CLIENT UNPAUSE")
    world.node.tick()
    assert b"k" not in world.node.keyspace.databases[0].data


# -- the dataset ------------------------------------------------------------------------------------------------


def test_flush_and_swap_break_watches_of_keys_that_changed() -> None:
    """A watched key that existed is touched by FLUSHDB and SWAPDB, one that never was is not."""
    world = World()
    client, other = world.client(), world.client("127.0.0.1:5001")
    for change, broken in (("FLUSHDB", True), ("FLUSHALL", True), ("SWAPDB 0 1", True), ("SWAPDB 1 2", False)):
        client.say("SET k v")
        other.say("WATCH k none")
        client.say(change)
        other.say("MULTI")
        assert (other.say("EXEC") == b"*-1\r\n") is broken, change
        client.say("FLUSHALL")


def test_swapdb_serves_those_who_wait() -> None:
    """A list that comes into a database by SWAPDB serves the client blocked on it."""
    world = World()
    client, other = world.client(), world.client("127.0.0.1:5001")
    other.say("BLPOP l 0")
    client.say("SELECT 1", "RPUSH l x")
    other.sent = b""
    client.say("SWAPDB 0 1")
    assert other.sent == b"*2\r\n$1\r\nl\r\n$1\r\nx\r\n"


def test_flushall_stops_a_stale_snapshot_and_saves_nothing() -> None:
    """With save points the empty dataset is saved at once; a save under way is abandoned without being a failure."""
    world = World(save="60 1")
    world.node.saver.points = ((60, 1),)
    client = world.client()
    client.say("SET k v", "BGSAVE")
    assert world.snapshots.busy
    client.say("FLUSHALL")
    assert (world.snapshots.killed, world.snapshots.saved) == (1, 1)
    world.node.storage.save_ended(False)
    assert world.node.saver.last_ok


def test_time_and_lastsave() -> None:
    """TIME is the server's clock, LASTSAVE the time of the last save."""
    world = World()
    world.now_ms += 123
    assert world.client().say("TIME") == b"*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n"
    assert world.client().say("LASTSAVE") == b":1700000000\r\n"


def test_shutdown_saves_as_told() -> None:
    """SAVE, NOSAVE, or by the save points; no reply comes, the connection will end."""
    for words, saved in (("SHUTDOWN NOSAVE", 0), ("SHUTDOWN SAVE FORCE", 1), ("SHUTDOWN", 0)):
        world = World(save="")
        world.node.saver.points = ()
        assert world.client().say(words) == b""
        assert world.snapshots.saved == saved, words
        assert world.stopped


# -- CONFIG -----------------------------------------------------------------------------------------------------


def test_config_rewrite_keeps_the_file_and_its_comments(tmp_path: Path) -> None:
    """CONFIG REWRITE writes changed values into the file that the server was started with."""
    path = tmp_path / "redis.conf"
    path.write_text("# mine\nhz 10\n")
    world = World()
    world.node.config.file_path = str(path)
    assert world.client().say("CONFIG SET hz 50", "CONFIG REWRITE") == b"+OK\r\n+OK\r\n"
    assert path.read_text().startswith("# mine\nhz 50\n")
    assert "CONFIG REWRITE executed with success." in world.lines
    path.unlink()
    assert world.client().say("CONFIG REWRITE").startswith(b"-ERR Rewriting config file: ")


def test_config_resetstat_clears_every_counter() -> None:
    """Calls, hits, errors and the rest begin at zero again."""
    world = World()
    client = world.client()
    client.say("GET a", "SET a b", "GET a", "LPUSH a x", "NONSENSE")
    client.say("CONFIG RESETSTAT")
    shown = info.sections(world.node, info.read_process(), ["stats", "commandstats", "errorstats"])
    stats = shown["stats"]
    assert (stats["keyspace_hits"], stats["keyspace_misses"], stats["total_error_replies"]) == ("0", "0", "0")
    assert not shown["errorstats"]
    assert list(shown["commandstats"]) == ["cmdstat_config|resetstat"]


def test_keyspace_event_letters_are_event_classes() -> None:
    """Letters become bits; without K or E nothing is published."""
    config = Config()
    config.set_many({"notify-keyspace-events": "KEA"})
    every = (1 << 15) - 1
    assert event_flags(config.keyspace_events) == every & ~(Event.KEYMISS | Event.NEW | Event.LOADED)
    assert event_flags("Kg") == Event.KEYSPACE | Event.GENERIC
    assert event_flags("g$l") == 0


# -- COMMAND ----------------------------------------------------------------------------------------------------


def test_key_ranges_follow_from_specifications() -> None:
    """One range, a range with a step, two consecutive keys, a counted list: as clients without specifications use."""
    commands = World().node.table.commands
    wanted = {"get": (1, 1, 1), "mset": (1, -1, 2), "lmove": (1, 2, 1), "del": (1, -1, 1), "zunion": (0, 0, 0)}
    assert {name: key_range(commands[name]) for name in wanted} == wanted
    assert key_range(commands["bitop"]) == (2, -1, 1)
    assert key_range(commands["zunionstore"]) == (1, 1, 1)


def test_categories_are_derived_from_flags_and_group() -> None:
    """A container has none but its speed; admin commands are dangerous."""
    commands = World().node.table.commands
    assert categories(commands["get"]) == ["read", "string", "fast"]
    assert categories(commands["config"]) == ["slow"]
    assert categories(commands["config"].subcommands[b"get"]) == ["admin", "slow", "dangerous"]


def test_a_command_with_subcommands_runs_the_right_one() -> None:
    """COMMAND alone and COMMAND COUNT are two, counted apart, in any case."""
    world = World()
    client = world.client()
    total = b":%d\r\n" % len(world.node.table.commands)
    assert client.say("COMMAND COUNT", "command count", "CoMmAnD cOuNt") == total * 3
    assert client.say("COMMAND").startswith(b"*%d\r\n" % len(world.node.table.commands))
    command = world.node.table.commands["command"]
    assert (command.calls, command.subcommands[b"count"].calls) == (1, 3)


# -- INFO -------------------------------------------------------------------------------------------------------


def test_info_sections_are_chosen_once_in_order() -> None:
    """Names in any case and order, groups of them, and unknown ones."""
    assert info.chosen(["KEYSPACE", "server", "Server", "nonsense"]) == ["server", "keyspace"]
    assert "commandstats" not in info.chosen([])
    assert info.chosen(["all"]) == info.chosen(["everything"])
    assert "commandstats" in info.chosen(["default", "commandstats"])


def test_info_text_and_values() -> None:
    """A header, lines, a blank line between sections; the values are the state's."""
    world = World()
    client = world.client()
    client.say("SET a 1 PX 5000", "SET b 2", "GET a")
    text = info.as_text(info.sections(world.node, info.read_process(), ["replication", "keyspace"])).decode()
    assert text.startswith("# Replication\r\nrole:master\r\nconnected_slaves:0\r\n")
    assert text.endswith("\r\n\r\n# Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=5000\r\n")
    shown = info.sections(world.node, info.read_process(), ["server", "clients", "commandstats", "memory"])
    assert shown["server"]["redis_version"] == "7.2.4"
    assert shown["server"]["run_id"] == world.node.run_id
    assert shown["clients"]["connected_clients"] == "1"
    assert shown["commandstats"]["cmdstat_set"].startswith("calls=2,usec=")
    assert int(shown["memory"]["used_memory_rss"]) > 1_000_000
    assert int(shown["memory"]["used_memory"]) > int(shown["memory"]["used_memory_dataset"]) > 100
    assert int(shown["memory"]["used_memory_peak"]) >= int(shown["memory"]["used_memory"])


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1536 * 1024, "1.50M")])
def test_human_sizes(size: int, text: str) -> None:
    """Units are powers of 1024."""
    assert info.human(size) == text


# -- DEBUG ------------------------------------------------------------------------------------------------------


def test_debug_is_for_those_who_may() -> None:
    """`local` lets loopback and Unix sockets through, nobody else."""
    world = World()
    assert world.client("10.0.0.1:77").say("DEBUG SLEEP 0").startswith(b"-ERR DEBUG command not allowed.")
    for address in ("127.0.0.1:1", "[::1]:1", "/run/r.sock:0"):
        assert world.client(address).say("DEBUG SLEEP 0") == b"+OK\r\n"


def test_debug_populate_is_not_propagated_and_keeps_what_is_there() -> None:
    """Existing keys stay; sizes are cut or filled; the stream and the count of changes know nothing of it."""
    world = World()
    world.node.feed.open_backlog(1 << 20)
    client = world.client()
    client.say("SET p:0 mine")
    offset, dirty = world.node.feed.history.offset, world.node.keyspace.dirty
    client.say("DEBUG POPULATE 3 p 9")
    data: dict[bytes, Any] = world.node.keyspace.databases[0].data
    assert data == {b"p:0": b"mine", b"p:1": b"value:1\0\0", b"p:2": b"value:2\0\0"}
    assert (world.node.feed.history.offset, world.node.keyspace.dirty) == (offset, dirty)


def test_debug_switches() -> None:
    """Active expiry and periodic work stop and go on."""
    world = World()
    client = world.client()
    client.say("SET k v PX 10", "DEBUG SET-ACTIVE-EXPIRE 0")
    world.now_ms += 5000
    world.node.tick()
    assert b"k" in world.node.keyspace.databases[0].data
    client.say("DEBUG SET-ACTIVE-EXPIRE 1", "DEBUG PAUSE-CRON 1")
    world.node.tick()
    assert b"k" in world.node.keyspace.databases[0].data
    client.say("DEBUG PAUSE-CRON 0")
    world.node.tick()
    assert b"k" not in world.node.keyspace.databases[0].data


def test_debug_digest_legacy_prints_scores_as_before_7_2() -> None:
    """The two forms differ where a score has no short form in 17 digits, and only there."""
    client = World().client()
    client.say("SET a b")
    assert client.say("DEBUG DIGEST") == client.say("DEBUG DIGEST LEGACY")
    client.say("ZADD z 0.1 m")
    assert client.say("DEBUG DIGEST") != client.say("DEBUG DIGEST LEGACY")
    assert client.say("DEBUG DIGEST-VALUE z") != client.say("DEBUG DIGEST-VALUE LEGACY z")


def test_debug_change_repl_id_begins_a_new_history() -> None:
    """The id is another, and there is no second one."""
    world = World()
    world.node.feed.history.shift()
    before = world.node.feed.history.replid
    world.client().say("DEBUG CHANGE-REPL-ID")
    history = world.node.feed.history
    assert history.replid != before
    assert history.second_offset == -1


def test_debug_reload_without_a_file_keeps_the_data() -> None:
    """What cannot be loaded changes nothing."""
    world = World()
    client = world.client()
    client.say("SET k v")
    assert client.say("DEBUG RELOAD NOSAVE").startswith(b"-ERR Error trying to load the RDB dump")
    assert client.say("GET k") == b"$1\r\nv\r\n"


def test_debug_reload_merges_or_refuses_keys_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """NOFLUSH without MERGE refuses a key that is there already, and then changes nothing at all."""
    world = World()
    client = world.client()
    client.say("SET k mine", "SET other 1")

    def load() -> Loader:
        loader = Loader(16, NOW_MS, world.node.keyspace.limits, drop_expired=True)
        loader.keyspace.databases[0].put(b"k", b"file's")
        loader.keyspace.databases[0].put(b"new", ListValue())
        return loader

    monkeypatch.setattr(world.snapshots, "load_now", load)
    assert client.say("DEBUG RELOAD NOSAVE NOFLUSH").startswith(b"-ERR Error trying to load the RDB dump")
    assert sorted(world.node.keyspace.databases[0].data) == [b"k", b"other"]
    assert client.say("DEBUG RELOAD NOSAVE NOFLUSH MERGE") == b"+OK\r\n"
    assert client.say("GET k") == b"$6\r\nfile's\r\n"
    assert sorted(world.node.keyspace.databases[0].data) == [b"k", b"new", b"other"]


def test_debug_refuses_what_only_a_c_server_has() -> None:
    """Crashes on purpose and allocator's knobs are refused in words."""
    client = World().client()
    for name in ("SEGFAULT", "JMAP", "MALLCTL", "PANIC", "OOM"):
        assert client.say(f"DEBUG {name}").startswith(b"-ERR DEBUG " + name.encode())


def test_debug_error_is_the_text_given() -> None:
    """DEBUG ERROR answers with exactly that error."""
    world = World()
    client = world.client()
    out: list[bytes] = []
    world.node.serve(client.session, [[b"DEBUG", b"ERROR", b"OOPS all wrong"]], out)
    reply: Reply = b"".join(out)
    assert reply == b"-OOPS all wrong\r\n"
