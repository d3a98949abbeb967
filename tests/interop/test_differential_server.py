"""The commands about connection, server and configuration answer, and propagate, as live servers do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.interop.servers import RawClient, RealServer, encode, start, txrepl, wait_until

COMMANDS = r"""
PING
PING a
PING a b
ECHO
ECHO hello
SELECT x
SELECT 16
SELECT -1
SELECT 9999999999
SELECT 3
SELECT 0
AUTH
AUTH a
AUTH a b
AUTH a b c
AUTH default x
HELLO x
HELLO 4
HELLO 1
HELLO 3 AUTH
HELLO 3 AUTH a b
HELLO 2 SETNAME "a b"
HELLO 2 FOO
HELLO 2 AUTH default
CLIENT
CLIENT FOO
CLIENT ID x
CLIENT GETNAME
CLIENT SETNAME a b
CLIENT SETNAME "a b"
CLIENT SETNAME me
CLIENT GETNAME
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT LIST TYPE slave
CLIENT LIST TYPE foo
CLIENT LIST ID
CLIENT LIST FOO
CLIENT LIST TYPE
CLIENT KILL 1.2.3.4:5
CLIENT KILL
CLIENT KILL ID 0
CLIENT KILL ID 777
CLIENT KILL TYPE foo
CLIENT KILL USER foo
CLIENT KILL USER default SKIPME maybe
CLIENT KILL ADDR 1.2.3.4:5 LADDR 1.2.3.4:6
CLIENT KILL FOO bar
CLIENT KILL ID 1 FOO
CLIENT KILL ID
CLIENT KILL ID -1
CLIENT KILL ID 9999
CLIENT KILL TYPE pubsub
CLIENT KILL SKIPME yes
CLIENT KILL SKIPME yes TYPE replica
CLIENT KILL ID 1 ADDR
CLIENT LIST ID 99 100
CLIENT LIST TYPE normal pubsub
CLIENT LIST TYPE master
CLIENT KILL MAXAGE x
CLIENT KILL MAXAGE 0
CLIENT KILL MAXAGE 100000
CLIENT KILL ID 900 901 TYPE normal
CLIENT LIST IDLE x
CLIENT LIST IDLE 0
CLIENT LIST IDLE 100000
CLIENT LIST DB x
CLIENT LIST DB 16
CLIENT LIST DB 9
CLIENT LIST FLAGS ?
CLIENT LIST FLAGS xb
CLIENT LIST CAPA x
CLIENT LIST CAPA r
CLIENT LIST USER nobody
CLIENT LIST NOT-USER nobody
CLIENT LIST NOT-TYPE normal
CLIENT LIST NOT-TYPE x
CLIENT LIST NOT-DB 0
CLIENT LIST NOT-FLAGS N
CLIENT LIST NOT-IP 127.0.0.1
CLIENT LIST NAME x
CLIENT LIST LIB-NAME x LIB-VER y
CLIENT LIST SKIPME yes
CLIENT LIST SKIPME no ID 10000
CLIENT LIST NOT-SKIPME yes
CLIENT LIST NOT-IDLE 5
CLIENT LIST NOT-MAXAGE 5
CLIENT LIST TYPE normal TYPE pubsub
CLIENT CAPA
CLIENT CAPA foo
CLIENT IMPORT-SOURCE
CLIENT IMPORT-SOURCE on
CLIENT IMPORT-SOURCE off
CLIENT PAUSE
CLIENT PAUSE x
CLIENT PAUSE -1
CLIENT PAUSE 1 FOO
CLIENT PAUSE 1 WRITE x
CLIENT UNBLOCK 1 ERROR x
CLIENT UNPAUSE
CLIENT UNBLOCK 77
CLIENT UNBLOCK x
CLIENT UNBLOCK 77 FOO
CLIENT UNBLOCK 77 ERROR
CLIENT REPLY
CLIENT REPLY FOO
CLIENT REPLY ON
CLIENT NO-EVICT
CLIENT NO-EVICT foo
CLIENT NO-EVICT on
CLIENT NO-EVICT off
CLIENT GETREDIR
CLIENT TRACKINGINFO
DBSIZE
FLUSHDB foo
FLUSHDB async sync
FLUSHALL FOO
FLUSHALL SYNC
SWAPDB 0 x
SWAPDB x 0
SWAPDB 0 16
SWAPDB 0 -1
SWAPDB 0 1
SWAPDB 16 x
SWAPDB 9999999999999 1
BGSAVE FOO
BGSAVE SCHEDULE x
SHUTDOWN FOO
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT
SHUTDOWN ABORT NOW
SHUTDOWN SAVE NOSAVE ABORT
LOLWUT VERSION x
LOLWUT VERSION 5 x
LOLWUT VERSION 6 3 x
CLUSTER
CLUSTER INFO
CLUSTER SLOTS
CLUSTER NODES
CLUSTER MYID
CLUSTER SHARDS
CLUSTER LINKS
CLUSTER HELP
CLUSTER HELP x
CLUSTER FOO
CLUSTER KEYSLOT
CLUSTER KEYSLOT a
CLUSTER COUNTKEYSINSLOT 1
CLUSTER MYSHARDID
CLUSTER RESET HARD
ASKING
READONLY
READWRITE
READONLY x
MODULE
MODULE FOO
MODULE LIST
MODULE LOAD
MODULE LOAD /x
MODULE LOADEX /x
MODULE UNLOAD x
BGREWRITEAOF x
SLOWLOG
SLOWLOG FOO
SLOWLOG GET x
SLOWLOG GET -2
SLOWLOG GET 1 2
SLOWLOG GET 0
SLOWLOG LEN x
SLOWLOG RESET
SLOWLOG LEN
SLOWLOG GET -1
LATENCY
LATENCY FOO
LATENCY LATEST
LATENCY HISTORY
LATENCY HISTORY foo
LATENCY GRAPH foo
LATENCY RESET
LATENCY RESET a b
LATENCY DOCTOR x
LATENCY HISTOGRAM foo foo|bar
CONFIG
CONFIG GET
CONFIG FOO
CONFIG SET a
CONFIG SET a b
CONFIG SET a b c
CONFIG SET maxmemory x
CONFIG SET maxmemory 100 maxmemory 200
CONFIG SET port-x 1 hz 10
CONFIG SET databases 3
CONFIG GET hz
CONFIG GET zzz
CONFIG REWRITE
CONFIG RESETSTAT
CONFIG RESETSTAT x
COMMAND COUNT x
COMMAND FOO
COMMAND INFO foo
COMMAND INFO config|get
COMMAND INFO config|foo get|foo
COMMAND LIST FOO
COMMAND LIST FILTERBY
COMMAND LIST FILTERBY FOO x
COMMAND LIST FILTERBY MODULE x
COMMAND LIST FILTERBY ACLCAT foo
COMMAND LIST FILTERBY PATTERN zrangeb*
COMMAND GETKEYS
COMMAND GETKEYS get k
COMMAND GETKEYS GET k v
COMMAND GETKEYS config get a
COMMAND GETKEYS config foo a
COMMAND GETKEYS zunion 0
COMMAND GETKEYS zunion 0 a
COMMAND GETKEYS zunionstore d 2 a b
COMMAND GETKEYS zunionstore d 3 a b
COMMAND GETKEYS sort a
COMMAND GETKEYS sort a store b
COMMAND GETKEYS mset a b c d
COMMAND GETKEYS mset a b c
COMMAND GETKEYS object encoding k
COMMAND GETKEYS publish a b
COMMAND GETKEYS spublish a b
COMMAND GETKEYS subscribe a
COMMAND GETKEYSANDFLAGS set a b
COMMAND GETKEYSANDFLAGS set a b get
COMMAND GETKEYSANDFLAGS sort a store b
COMMAND GETKEYSANDFLAGS bitfield a get u8 0
COMMAND GETKEYSANDFLAGS bitfield a set u8 0 1
COMMAND GETKEYSANDFLAGS lmove a b left right
COMMAND DOCS foo
COMMAND HELP x
INFO foo
DEBUG
DEBUG FOO
DEBUG DIGEST x
DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE a
DEBUG SLEEP x
DEBUG SLEEP
DEBUG SLEEP 0
DEBUG POPULATE x
DEBUG POPULATE 3
DEBUG POPULATE 2 p 3
DEBUG POPULATE 2 q 20
DEBUG POPULATE 2 p x
DEBUG POPULATE 2 p 3 4
DEBUG POPULATE -2
DEBUG DIGEST
DEBUG DIGEST-VALUE key:0 q:1 none
MGET key:0 key:1 p:0 p:1 q:0
DEBUG RELOAD
DEBUG DIGEST
DEBUG RELOAD NOSAVE NOFLUSH MERGE
DEBUG DIGEST
DEBUG RELOAD FOO
DEBUG SET-ACTIVE-EXPIRE x
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG SET-ACTIVE-EXPIRE
DEBUG OBJECT
DEBUG OBJECT nokey
DEBUG QUICKLIST nokey
DEBUG LISTPACK nokey
DEBUG LISTPACK key:0
DEBUG QUICKLIST key:0
DEBUG REPLICATE
DEBUG LOG
DEBUG LOG foo
DEBUG PROTOCOL
DEBUG PROTOCOL foo
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL bignum
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL true
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL false
DEBUG AOF-FLUSH-SLEEP 0
DEBUG SET-DISABLE-DENY-SCRIPTS 1
DEBUG SET-DISABLE-DENY-SCRIPTS 0
DEBUG CONFIG-REWRITE-FORCE-ALL
DEBUG ERROR foo bar
DEBUG ERROR "foo bar"
DEBUG CHANGE-REPL-ID x
DEBUG QUICKLIST-PACKED-THRESHOLD x
DEBUG QUICKLIST-PACKED-THRESHOLD 100
DEBUG QUICKLIST-PACKED-THRESHOLD 5gb
DEBUG QUICKLIST-PACKED-THRESHOLD 0
DEBUG HTSTATS
DEBUG HTSTATS x
DEBUG HTSTATS 16
DEBUG HTSTATS-KEY nokey
DEBUG REPLYBUFFER
DEBUG REPLYBUFFER FOO x
DEBUG REPLYBUFFER PEAK-RESET-TIME x
DEBUG REPLYBUFFER PEAK-RESET-TIME never
DEBUG REPLYBUFFER RESIZING 1
DEBUG PAUSE-CRON
DEBUG PAUSE-CRON 0
RESET x
MULTI
CLIENT SETNAME a
SELECT 2
SAVE
EXEC
MULTI
SELECT 2
CLIENT SETNAME queued
CONFIG GET hz
EXEC
CLIENT GETNAME
RESET
CLIENT GETNAME
CONFIG SET requirepass foo
AUTH a
AUTH default foo
AUTH default bar
AUTH joe bar
HELLO 3 AUTH default bar
RESET
PING
HELLO 2
HELLO 2 AUTH default foo SETNAME "x y"
AUTH foo
CONFIG SET requirepass ""
CLIENT REPLY SKIP
PING dropped
PING kept
CLIENT REPLY OFF
PING dropped
CLIENT REPLY ON
QUIT
"""

SILENT = ("CLIENT REPLY SKIP", "PING dropped", "CLIENT REPLY OFF")

OTHERWISE: dict[str, dict[str, str]] = {
    "redis70": {
        "HELLO 2": "without a password: the text named no <proto> before 7.2",
        "CLUSTER MYSHARDID": "since 7.2",
        **dict.fromkeys(
            (
                line
                for line in COMMANDS.splitlines()
                if re.match(
                    r"CLIENT (CAPA|IMPORT)|CLIENT (LIST|KILL) (MAXAGE|IDLE|DB|FLAGS|CAPA|USER n|NOT-|NAME|LIB|SKIPME "
                    r"(yes$|no)|TYPE normal TYPE|ID 900)",
                    line,
                )
            ),
            "a filter of Redis 7.4 or Valkey",
        ),
    },
    "valkey9": {
        **dict.fromkeys(("CLIENT PAUSE 1 WRITE x", "CLIENT UNBLOCK 1 ERROR x"), "what is too much is ignored"),
        "COMMAND INFO config|get": "no subcommands are an array in RESP3, where Redis says a set",
        "SAVE": "inside a transaction: the text names the command",
        "CLUSTER KEYSLOT a": "answered without a cluster too, since Valkey 9",
        "READONLY": "accepted without a cluster, since Valkey 8",
        "READWRITE": "accepted without a cluster, since Valkey 8",
        "MODULE LIST": "Lua is a module that is built in",
    },
}
"""Commands to which the live server has another answer than Redis 7.2, and why."""


@pytest.fixture(scope="module")
def ours() -> Iterator[RealServer]:
    """One txrepl for the module."""
    with txrepl() as server:
        yield server


def answers(server: RealServer, proto: int, commands: list[str]) -> list[bytes]:
    """The bytes of every reply; empty for a command that gets none."""
    with server.connect() as client:
        if proto == 3:
            client.command("HELLO", "3")
        client.command("FLUSHALL")
        got = []
        for line in commands:
            words = shlex.split(line)
            if line in SILENT:
                client.send(encode(*words))
                got.append(b"")
            else:
                got.append(client.raw_command(*words))
        assert client.read_to_end() == b"", "QUIT closes the connection"
        return got


@pytest.mark.parametrize("proto", [2, 3])
@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_replies_are_the_live_servers(kind: str, proto: int, ours: RealServer) -> None:
    """Valid and invalid calls get the same bytes, RESP2 and RESP3."""
    commands = [line for line in COMMANDS.strip().splitlines() if line not in OTHERWISE[kind]]
    if proto == 3:
        commands = [line for line in commands if not line.startswith("HELLO 2")]
    with start(kind) as live:
        theirs = answers(live, proto, commands)
    mine = answers(ours, proto, commands)
    different = [
        f"{line}: ours {own[:300]!r}, {kind} {other[:300]!r}"
        for line, own, other in zip(commands, mine, theirs, strict=True)
        if _comparable(line, own) != _comparable(line, other)
    ]
    assert not different, "\n" + "\n".join(different)


def _comparable(line: str, raw: bytes) -> bytes:
    """The members of sets, and lists of commands, in one order: they have none."""
    if b"\r\n~" in raw or line.startswith("COMMAND LIST"):
        return b"\r\n".join(sorted(raw.split(b"\r\n")))
    return raw


@pytest.mark.parametrize("container", ["CLIENT", "CONFIG", "COMMAND", "DEBUG", "MODULE", "SLOWLOG", "LATENCY"])
def test_help_has_redis_frame(container: str, ours: RealServer) -> None:
    """HELP begins and ends as Redis's does."""
    with start("redis70") as live:
        theirs = live.command(container, "HELP")
    mine = ours.command(container, "HELP")
    assert mine[0] == theirs[0]
    assert mine[-2] == theirs[-2] == "HELP"
    assert all(line.startswith("    ") for line in mine[2::2])


STREAM = r"""
SET a 1
SELECT 2
FLUSHDB
SET b 1
FLUSHDB ASYNC
FLUSHALL
FLUSHALL ASYNC
SELECT 0
SET x 1
SWAPDB 0 2
SWAPDB 3 3
MULTI
SET y 1
FLUSHALL
SWAPDB 1 2
EXEC
MULTI
FLUSHDB
EXEC
DEBUG REPLICATE set from nowhere
SELECT 5
PUBLISH c m
SET end 1
"""


def stream_of(server: RealServer) -> list[list[bytes]]:
    """The commands that a replica gets while `STREAM` runs, the SELECTs too."""
    with server.connect() as replica, server.connect() as client:
        replica.send(b"PSYNC ? -1\r\n")
        assert _line(replica).startswith(b"+FULLRESYNC")
        replica.read_exactly(int(_line(replica)[1:]))
        for line in STREAM.strip().splitlines():
            client.execute(*shlex.split(line))
        found: list[list[bytes]] = []
        while not found or found[-1][1:2] != [b"end"]:
            command: list[bytes] = replica.read_reply()
            if command[0].upper() != b"PING":
                found.append([command[0].upper(), *command[1:]])
        return found


def _line(client: RawClient) -> bytes:
    """The next line that is no keepalive."""
    line = b"\n"
    while line == b"\n":
        line = client.read_line()
    return line


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_stream_is_the_live_servers(kind: str, ours: RealServer) -> None:
    """Flushes (of nothing too), swaps and DEBUG REPLICATE reach replicas in the same words, SELECTs included."""
    with start(kind) as live:
        theirs = stream_of(live)
    assert stream_of(ours) == theirs


def test_info_has_redis_fields(ours: RealServer) -> None:
    """INFO everything has the sections of Redis 7.0 in its order, and all of its fields."""
    with start("redis70") as live:
        theirs = _fields(live)
    mine = _fields(ours)
    assert [name for name in mine if name in theirs] == list(theirs)
    assert not {field for name, fields in theirs.items() for field in fields if field not in mine[name]}


def test_info_of_a_replica_has_redis_fields(ours: RealServer) -> None:
    """INFO replication of a replica, and of its primary, has the fields of Redis 7.0 in its order."""
    with start("redis70") as primary, start("redis70", replicaof=("127.0.0.1", primary.port)) as real:
        wait_until(lambda: real.info("replication")["master_link_status"] == "up", 10, "the real replica is linked")
        with txrepl(replicaof=("127.0.0.1", primary.port)) as own:
            wait_until(lambda: own.info("replication")["master_link_status"] == "up", 10, "txrepl is linked")
            assert list(own.info("replication")) == list(real.info("replication"))
    with start("redis70", replicaof=("127.0.0.1", ours.port)) as replica:
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 10, "the replica is linked")
        shown = ours.info("replication")["slave0"]
        assert re.fullmatch(rf"ip=127\.0\.0\.1,port={replica.port},state=online,offset=\d+,lag=[01]", shown)


def _fields(server: RealServer) -> dict[str, list[str]]:
    """Field names by section, the varying ones left out."""
    text: str = server.command("INFO", "everything").decode()
    found: dict[str, list[str]] = {}
    section: list[str] = []
    for line in text.splitlines():
        if line.startswith("# "):
            section = found.setdefault(line[2:], [])
        elif ":" in line:
            name = line.partition(":")[0]
            if not re.match(r"(cmdstat|errorstat|latency_percentiles)_|db\d|listener\d", name):
                section.append(name)
    return found
