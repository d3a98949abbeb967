"""MIGRATE against a host that plays the target, and WAITAOF against replicas that are only said to be there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.commands.test_server_families import Client, World, error
from txrepl.commands.migration import CHUNK_BYTES, UNKNOWN_DATABASE, Migration, Order, chunks
from txrepl.commands.session import REPLICA
from txrepl.errors import MigrationError
from txrepl.rdb.dump import restore
from txrepl.replication.replica import Replica
from txrepl.replication.states import ReplicaState
from txrepl.resp.replies import encode
from txrepl.resp.requests import RequestParser

TARGET = "MIGRATE 10.0.0.1 7000"
IO_ERROR = "IOERR error or timeout {} to target instance"


class FakeWire:
    """A connection that ends in a list; its answers are given beforehand, one for each command."""

    def __init__(self, answers: Iterator[bytes | MigrationError], moments: Iterator[Callable[[], object]]) -> None:
        self.database = UNKNOWN_DATABASE
        self.commands: list[list[bytes]] = []
        self._answers = answers
        self._moments = moments

    async def send(self, pieces: Iterator[bytes]) -> None:
        """Keep the commands."""
        parser = RequestParser()
        for piece in pieces:
            self.commands.extend(list(argv) for argv in parser.feed(piece))

    async def line(self) -> bytes:
        """The next answer; what happens meanwhile happens before it."""
        next(self._moments, _nothing)()
        answer = next(self._answers)
        if isinstance(answer, MigrationError):
            raise answer
        return answer


class MigratingWorld(World):
    """A node whose migrations are run when the test says so, to a target that answers as the test says."""

    def __init__(self, *answers: bytes | MigrationError, **directives: str) -> None:
        super().__init__(**directives)
        self.wires: list[FakeWire] = []
        self.kept: list[FakeWire] = []
        self.orders: list[Order] = []
        self.begun: list[Migration] = []
        self.moments: Iterator[Callable[[], object]] = iter(())
        self.refuses: MigrationError | None = None
        self._answers = iter(answers)
        self.node.feed.open_backlog(1 << 20)

    def migrate(self, migration: Migration) -> None:
        """Keep it until `run`."""
        self.begun.append(migration)

    def migrate_now(self, migration: Migration) -> None:
        """Run it at once."""
        _drive(migration, self)

    def run(self) -> None:
        """Let the oldest migration go its way, and end."""
        migration = self.begun.pop(0)
        _drive(migration, self)
        self.node.migrating.migrated(migration)

    async def open(self, order: Order) -> FakeWire:
        """A kept connection or a new one."""
        self.orders.append(order)
        if self.refuses is not None:
            raise self.refuses
        if self.kept:
            return self.kept.pop()
        wire = FakeWire(self._answers, self.moments)
        self.wires.append(wire)
        return wire

    def keep(self, order: Order, wire: FakeWire) -> None:
        """For the next one."""
        self.kept.append(wire)

    def drop(self, wire: FakeWire) -> None:
        """Forget it."""

    def stream(self) -> list[list[bytes]]:
        """What replicas were told, without SELECT."""
        backlog = self.node.feed.backlog
        assert backlog is not None
        data = backlog.read(backlog.first_offset, 1 << 20) if backlog.end_offset > backlog.first_offset else b""
        return [list(argv) for argv in RequestParser().feed(data) if argv[0] != b"SELECT"]

    def data(self, database: int = 0) -> dict[bytes, object]:
        """The keys of a database."""
        return dict(self.node.keyspace.databases[database].data)


def _nothing() -> None:
    """What happens at most moments."""


def _drive(migration: Migration, target: MigratingWorld) -> None:
    try:
        migration.run(target).send(None)
    except StopIteration:
        return
    raise AssertionError("the conversation waits for something else than its wire")


def filled(*answers: bytes | MigrationError, **directives: str) -> tuple[MigratingWorld, Client]:
    """A world with the keys a, b and c, and a client of it; the stream is empty."""
    world = MigratingWorld(*answers, **directives)
    client = world.client()
    client.say("MSET a 1 b 2 c 3")
    return world, client


# -- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MIGRATE h 1", "ERR wrong number of arguments for 'migrate' command"),
        (f"{TARGET} a 0 x", "ERR value is not an integer or out of range"),
        (f"{TARGET} a x 10", "ERR value is not an integer or out of range"),
        (f"{TARGET} a 0 10 FOO", "ERR syntax error"),
        (f"{TARGET} a 0 10 AUTH", "ERR syntax error"),
        (f"{TARGET} a 0 10 AUTH2 user", "ERR syntax error"),
        (
            f"{TARGET} a 0 10 KEYS a",
            "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
        ),
    ],
)
def test_wrong_arguments_are_refused_in_redis_words(command: str, reply: str) -> None:
    """Nothing is begun."""
    world, client = filled()
    assert client.say(command) == error(reply)
    assert not world.begun


@pytest.mark.parametrize("command", [f"{TARGET} missing 0 10", f"{TARGET}  0 10 KEYS x y", f"{TARGET}  0 10 KEYS"])
def test_without_a_key_there_is_nothing_to_do(command: str) -> None:
    """NOKEY at once, without a connection."""
    world, client = filled()
    assert client.say(command) == b"+NOKEY\r\n"
    assert not world.begun


def test_options_reach_the_order() -> None:
    """Timeouts that are none mean a second; the last of AUTH and AUTH2 counts; a port is what atoi makes of it."""
    world, client = filled(*[b"+OK"] * 9)
    client.say(f"{TARGET} a 3 -5 COPY REPLACE AUTH one AUTH2 user two")
    world.run()
    client.say("MIGRATE h 99999 a 3 70000000000 COPY")
    world.run()
    client.say("MIGRATE h 12x a 3 7 COPY")
    world.run()
    assert world.orders == [
        Order("10.0.0.1", 7000, 3, 1000, copy=True, replace=True, credentials=(b"user", b"two")),
        Order("h", 0, 3, 2**31 - 1, copy=True),
        Order("h", 12, 3, 7, copy=True),
    ]


# -- moving -----------------------------------------------------------------------------------------------------------


def test_a_moved_key_is_deleted_and_replicas_are_told_del() -> None:
    """The target gets SELECT and RESTORE with the value; the reply comes when it has answered."""
    world, client = filled(b"+OK", b"+OK")
    assert client.say(f"{TARGET} a 3 10", "ECHO x") == b""
    assert client.queue == [[b"ECHO", b"x"]]
    world.run()
    assert b"+OK\r\n" in client.sent
    assert b"$1\r\nx\r\n" in client.sent
    select, restored = world.wires[0].commands
    assert select == [b"SELECT", b"3"]
    assert restored[:3] == [b"RESTORE", b"a", b"0"]
    assert restore(restored[3]) == b"1"
    assert len(restored) == 4
    assert world.data() == {b"b": b"2", b"c": b"3"}
    assert world.stream()[1:] == [[b"DEL", b"a"]]


def test_a_time_to_live_goes_with_the_key() -> None:
    """It is what is left when the key is sent, never 0, which would mean for ever; a due key is not sent."""
    world, client = filled(*[b"+OK"] * 3)
    client.say("PEXPIRE a 5000", "PEXPIRE b 1000", "PEXPIRE c 999", f"{TARGET}  0 10 KEYS a b c")
    world.now_ms += 1000
    world.run()
    assert client.sent.endswith(b"+OK\r\n")
    assert [words[1:3] for words in world.wires[0].commands[1:]] == [[b"a", b"4000"], [b"b", b"1"]]


def test_only_acknowledged_keys_are_deleted() -> None:
    """The first refusal is what the client reads; one DEL names the keys that went."""
    world, client = filled(b"+OK", b"+OK", b"-BUSYKEY Target key name already exists.", b"+OK")
    client.say(f"{TARGET}  0 10 KEYS a b c missing")
    world.run()
    assert client.sent == error("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
    assert world.data() == {b"b": b"2"}
    assert world.stream()[1:] == [[b"DEL", b"a", b"c"]]
    assert world.node.stats.errors == {"ERR": 1}
    assert b"cmdstat_migrate:calls=1," in (stats := client.say("INFO commandstats"))
    assert stats.split(b"cmdstat_migrate:")[1].split(b"\r\n")[0].endswith(b"rejected_calls=0,failed_calls=1")


def test_copy_keeps_everything_and_tells_replicas_nothing() -> None:
    """With REPLACE in the RESTORE if asked for."""
    world, client = filled(b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10 COPY REPLACE")
    world.run()
    assert client.sent == b"+OK\r\n"
    assert world.wires[0].commands[1][4:] == [b"REPLACE"]
    assert len(world.data()) == 3
    assert len(world.stream()) == 1


@pytest.mark.parametrize(
    "answers", [(b"-WRONGPASS no", b"+OK"), (b"+OK", b"-ERR DB index is out of range")], ids=["AUTH", "SELECT"]
)
def test_no_key_is_sent_where_auth_or_select_was_refused(answers: tuple[bytes, bytes]) -> None:
    """A key would be restored in another database, or twice: it stays where it is."""
    world, client = filled(*answers)
    client.say(f"{TARGET} a 99 10 AUTH pw")
    world.run()
    refused = next(answer for answer in answers if answer.startswith(b"-"))[1:].decode()
    assert client.sent == error(f"ERR Target instance replied with error: {refused}")
    assert world.wires[0].commands == [[b"AUTH", b"pw"], [b"SELECT", b"99"]]
    assert world.wires[0].database == UNKNOWN_DATABASE
    assert len(world.data()) == 3


def test_a_kept_connection_selects_only_when_the_database_changes() -> None:
    """AUTH is said each time, as the connection may have been another user's."""
    world, client = filled(*[b"+OK"] * 6)
    for command in (f"{TARGET} a 3 10", f"{TARGET} b 3 10", f"{TARGET} c 3 10 AUTH2 u p"):
        client.say(command)
        world.run()
    (wire,) = world.wires
    assert [words[0] for words in wire.commands] == [b"SELECT", b"RESTORE", b"RESTORE", b"AUTH", b"RESTORE"]


def test_the_commands_keys_are_found() -> None:
    """COMMAND GETKEYS, also behind a password that looks like the option."""
    client = MigratingWorld().client()
    for arguments, keys in (
        ("h 1 k 0 1", [b"k"]),
        ("h 1  0 1 KEYS a b", [b"a", b"b"]),
        ("h 1  0 1 AUTH KEYS KEYS a", [b"a"]),
        ("h 1  0 1 COPY AUTH2 u KEYS keys a", [b"a"]),
        ("h 1  0 1 KEYS", [b""]),
    ):
        assert client.say(f"COMMAND GETKEYS MIGRATE {arguments}") == encode(list(keys), 2)
    refused = error("ERR Invalid arguments specified for command")
    assert client.say("COMMAND GETKEYS MIGRATE h 1 k 0 1 KEYS a") == refused


# -- the connection breaks --------------------------------------------------------------------------------------------


def test_a_target_that_cannot_be_reached_keeps_the_key() -> None:
    """Redis's words, which speak of a client there."""
    world, client = filled()
    world.refuses = MigrationError("connecting")
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == error("IOERR error or timeout connecting to the client")
    assert len(world.data()) == 3


@pytest.mark.parametrize("doing", ["reading", "writing"])
def test_a_broken_connection_is_tried_once_more(doing: str) -> None:
    """It may have been a kept one that the target had closed; the second time is the last."""
    world, client = filled(b"+OK", MigrationError(doing), b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == b"+OK\r\n"
    assert len(world.wires) == 2
    world, client = filled(MigrationError("reading"), MigrationError(doing))
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == error(IO_ERROR.format(doing))
    assert len(world.data()) == 3


def test_a_silent_target_is_not_tried_again() -> None:
    """The client has waited for its timeout already."""
    world, client = filled(MigrationError("reading", timed_out=True))
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == error(IO_ERROR.format("reading"))
    assert len(world.wires) == 1


def test_keys_acknowledged_before_the_connection_broke_are_gone_the_rest_stays() -> None:
    """Nothing is sent twice."""
    world, client = filled(b"+OK", b"+OK", MigrationError("reading"))
    client.say(f"{TARGET}  0 10 KEYS a b c")
    world.run()
    assert client.sent == error(IO_ERROR.format("reading"))
    assert len(world.wires) == 1
    assert world.data() == {b"b": b"2", b"c": b"3"}


def test_something_that_is_no_redis_takes_no_key() -> None:
    """Only a line that begins with + is an acknowledgement."""
    world, client = filled(b"+OK", b"*4", b"+OK", b"HTTP/1.1 400 Bad Request")
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == error(IO_ERROR.format("reading"))
    assert len(world.data()) == 3


def test_a_conversation_that_fails_in_our_own_code_says_no_ok() -> None:
    """The client is answered, the key stays."""
    world, client = filled()
    world.moments = iter((lambda: 1 // 0,))
    client.say(f"{TARGET} a 0 10")
    with pytest.raises(ZeroDivisionError):
        _drive(world.begun[0], world)
    world.node.migrating.migrated(world.begun[0])
    assert client.sent == error(IO_ERROR.format("reading"))
    assert len(world.data()) == 3


# -- meanwhile --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "left"),
    [
        ("SET a 1", b"1"),
        ("APPEND a 0", b"10"),
        ("PEXPIREAT a 1800000000000", b"1"),
        ("DEL a", None),
        ("FLUSHALL", None),
        ("RENAME b a", b"2"),
    ],
)
def test_a_key_written_meanwhile_stays(write: str, left: bytes | None) -> None:
    """The target holds the older copy; the write, and nothing else, is in the stream."""
    world, client = filled(b"+OK", b"+OK")
    other = world.client("127.0.0.1:5001")
    client.say("SET a 1", f"{TARGET} a 0 10")
    before = len(world.stream())
    world.moments = iter((_nothing, partial(other.say, write)))
    world.run()
    assert client.sent.endswith(b"+OK\r\n")
    assert world.data().get(b"a") == left
    assert world.stream()[before:] == [write.encode().split(b" ")]


def test_a_collection_changed_in_place_stays() -> None:
    """The value is the same object, with another content."""
    world, client = filled(b"+OK", b"+OK", b"+OK")
    client.say("RPUSH l x", "RPUSH m x", f"{TARGET}  0 10 KEYS l m")
    other = world.client("127.0.0.1:5001")
    world.moments = iter((_nothing, partial(other.say, "RPUSH l y")))
    world.run()
    assert other.say("LRANGE l 0 -1", "EXISTS m") == encode([b"x", b"y"], 2) + b":0\r\n"


def test_a_write_before_the_key_is_sent_goes_with_it() -> None:
    """What counts is what the payload was made of."""
    world, client = filled(b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10")
    world.client("127.0.0.1:5001").say("SET a new", "DEL b")
    world.run()
    assert restore(world.wires[0].commands[1][3]) == b"new"
    assert world.data() == {b"c": b"3"}


def test_watchers_see_a_moved_key_change_and_none_is_left_behind() -> None:
    """WATCH of a moved key breaks EXEC; the migration's own watches are gone."""
    world, client = filled(b"+OK", b"+OK")
    other = world.client("127.0.0.1:5001")
    other.say("WATCH a", "MULTI", "PING")
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert other.say("EXEC") == b"*-1\r\n"
    assert not world.node.keyspace.databases[0].watched


def test_a_second_migrate_of_a_key_waits_for_the_first() -> None:
    """It then finds what the first has left; other keys need not wait, nor do copies keep others waiting."""
    world, client = filled(*[b"+OK"] * 4)
    second, third = world.client("127.0.0.1:5001"), world.client("127.0.0.1:5002")
    client.say(f"{TARGET} a 0 10")
    assert second.say(f"{TARGET}  0 10 KEYS a b") == b""
    third.say(f"{TARGET} c 0 10")
    assert len(world.begun) == 2
    world.run()
    assert client.sent == b"+OK\r\n"
    assert [migration.keys for migration in world.begun] == [[b"c"], [b"b"]]
    world.run()
    world.run()
    assert second.sent == third.sent == b"+OK\r\n"
    assert world.data() == {}


def test_a_client_that_left_does_not_stop_its_migration() -> None:
    """The key is at the target: it must not stay here too."""
    world, client = filled(b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10")
    world.node.close_session(client.session)
    world.run()
    assert client.sent == b""
    assert b"a" not in world.data()


def test_client_unblock_does_not_reach_a_migrate() -> None:
    """In Redis such a client is not blocked, but the server busy."""
    world, client = filled(b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10")
    other = world.client("127.0.0.1:5001")
    assert other.say(f"CLIENT UNBLOCK {client.session.number}") == b":0\r\n"
    world.run()
    assert client.sent == b"+OK\r\n"


def test_a_pause_postpones_the_deletion() -> None:
    """CLIENT PAUSE promises that the dataset does not change; the reply comes after it, and UNPAUSE is no write."""
    world, client = filled(b"+OK", b"+OK")
    other = world.client("127.0.0.1:5001")
    client.say(f"{TARGET} a 0 10")
    other.say("CLIENT PAUSE 5000 WRITE")
    before = len(world.stream())
    world.run()
    assert client.sent == b""
    assert len(world.data()) == 3
    other.say("CLIENT UNPAUSE")
    world.advance(0)
    assert client.sent == b"+OK\r\n"
    assert b"a" not in world.data()
    assert world.stream()[before:] == [[b"DEL", b"a"]]


def test_a_server_that_became_a_replica_keeps_its_keys() -> None:
    """Its dataset is another's now; the client was told so when that happened."""
    world, client = filled(b"+OK", b"+OK")
    client.say(f"{TARGET} a 0 10")
    world.node.replicate_from("10.0.0.2", 7001, "a test")
    assert client.sent.startswith(b"-UNBLOCKED")
    world.run()
    assert len(world.data()) == 3


def test_a_writable_replica_migrates_as_it_writes() -> None:
    """Locally, and without a word in the stream of its primary."""
    world, client = filled(b"+OK", b"+OK", replica_read_only="no")
    world.node.settings.read_only = False
    world.node.replicate_from("10.0.0.2", 7001, "a test")
    before = world.node.feed.history.offset
    client = world.client("127.0.0.1:5001")
    client.say(f"{TARGET} a 0 10")
    world.run()
    assert client.sent == b"+OK\r\n"
    assert b"a" not in world.data()
    assert world.node.feed.history.offset == before


def test_inside_a_transaction_the_server_waits() -> None:
    """EXEC's replies are complete, the DEL is in the transaction, a failure is one reply of several."""
    world, client = filled(b"+OK", b"+OK", b"-BUSYKEY no")
    client.say("MULTI", f"{TARGET} a 0 10", "SET d 4", f"{TARGET} b 0 10")
    refused = error("ERR Target instance replied with error: BUSYKEY no")
    assert client.say("EXEC") == b"*3\r\n+OK\r\n+OK\r\n" + refused
    assert not world.begun
    assert world.stream()[1:] == [[b"MULTI"], [b"DEL", b"a"], [b"SET", b"d", b"4"], [b"EXEC"]]


def test_info_tells_how_many_connections_are_kept() -> None:
    """What the shell counts."""
    world = MigratingWorld()
    world.node.migrations.cached_sockets = 3
    assert b"\r\nmigrate_cached_sockets:3\r\n" in world.client().say("INFO stats")


@pytest.mark.parametrize("sizes", [[], [1], [CHUNK_BYTES], [CHUNK_BYTES + 1], [10, 3 * CHUNK_BYTES, 10], [1000] * 200])
def test_pieces_are_sent_in_chunks_of_bounded_size(sizes: list[int]) -> None:
    """The same bytes, in no more chunks than needed, and none much longer than the aim."""
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    made = list(chunks(iter(pieces)))
    assert b"".join(made) == b"".join(pieces)
    assert all(0 < len(chunk) <= 2 * CHUNK_BYTES for chunk in made)
    assert len(made) <= sum(sizes) // CHUNK_BYTES + 2


# -- WAITAOF ----------------------------------------------------------------------------------------------------------


def attached(world: MigratingWorld) -> Client:
    """An online replica."""
    client = world.client("127.0.0.1:6000")
    client.say("REPLCONF listening-port 7001")
    replica = client.session.replica
    assert isinstance(replica, Replica)
    replica.state = ReplicaState.ONLINE
    client.session.flags |= REPLICA
    world.node.primary.replicas[replica.number] = replica
    return client


@pytest.mark.parametrize(
    ("arguments", "reply"),
    [
        ("1 0 0", "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        ("2 0 0", "ERR value is out of range, value must between 0 and 1"),
        ("x 0 0", "ERR value is not an integer or out of range"),
        ("0 -1 0", "ERR value is out of range, must be positive"),
        ("0 x 0", "ERR value is out of range, must be positive"),
        ("0 0 x", "ERR timeout is not an integer or out of range"),
        ("0 0 1.5", "ERR timeout is not an integer or out of range"),
        ("1 0 -1", "ERR timeout is negative"),
        ("0 0", "ERR wrong number of arguments for 'waitaof' command"),
    ],
)
def test_waitaof_refuses_in_redis_words(arguments: str, reply: str) -> None:
    """The arguments are read before anything else is looked at."""
    assert MigratingWorld().client().say(f"WAITAOF {arguments}") == error(reply)


def test_waitaof_is_not_for_replicas() -> None:
    """Whatever is asked for, if it can be read."""
    world = MigratingWorld()
    world.node.replicate_from("10.0.0.2", 7001, "a test")
    refused = error(
        "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local "
        "and are not propagated."
    )
    client = world.client()
    assert client.say("WAITAOF 0 0 0", "WAITAOF 1 0 0") == refused * 2
    assert client.say("WAITAOF x 0 0") == error("ERR value is not an integer or out of range")


def test_waitaof_counts_what_replicas_have_in_their_files() -> None:
    """An ACK alone is not enough, FACK of the offset is; the replicas are asked as WAIT asks them."""
    world, client = filled()
    replica = attached(world)
    offset = world.node.feed.history.offset
    assert client.say("WAITAOF 0 1 0") == b""
    assert world.stream()[-1] == [b"REPLCONF", b"GETACK", b"*"]
    assert replica.say(f"REPLCONF ACK {offset}") == b""
    assert replica.say(f"REPLCONF ACK {offset} FACK {offset - 1}") == b""
    assert replica.say(f"REPLCONF ACK {offset} FACK x", f"REPLCONF ACK {offset} OTHER {offset}") == b""
    assert client.sent == b""
    assert replica.say(f"REPLCONF ACK {offset} fack {offset}") == b""
    assert client.sent == b"*2\r\n:0\r\n:1\r\n"
    record = replica.session.replica
    assert record is not None
    assert (record.ack_offset, record.aof_ack_offset) == (offset, offset)


def test_waitaof_answers_what_it_has_when_time_is_up() -> None:
    """And by CLIENT UNBLOCK; without a timeout it goes on waiting."""
    world, client = filled()
    attached(world)
    client.say("WAITAOF 0 1 100")
    world.advance(99)
    assert client.sent == b""
    world.advance(1)
    assert client.sent == b"*2\r\n:0\r\n:0\r\n"
    client.say("WAITAOF 0 1 0")
    world.advance(1_000_000)
    assert client.sent == b""
    world.client("127.0.0.1:5001").say(f"CLIENT UNBLOCK {client.session.number}")
    assert client.sent == b"*2\r\n:0\r\n:0\r\n"


def test_waitaof_in_a_transaction_answers_at_once() -> None:
    """What there is, or the error."""
    _, client = filled()
    client.say("MULTI", "WAITAOF 0 1 0", "WAITAOF 1 0 0")
    refused = error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
    assert client.say("EXEC") == b"*2\r\n*2\r\n:0\r\n:0\r\n" + refused


def test_wait_still_counts_plain_acknowledgements() -> None:
    """WAIT beside WAITAOF: each is served by its own count."""
    world, client = filled()
    replica = attached(world)
    other = world.client("127.0.0.1:5001")
    client.say("SET mine 1", "WAIT 1 0")
    client.sent = b""
    other.say("SET theirs 1", "WAITAOF 0 1 0")
    other.sent = b""
    offset = world.node.feed.history.offset
    replica.say(f"REPLCONF ACK {offset}")
    assert (client.sent, other.sent) == (b":1\r\n", b"")
    replica.say(f"REPLCONF ACK {offset} FACK {offset}")
    assert other.sent == b"*2\r\n:0\r\n:1\r\n"
