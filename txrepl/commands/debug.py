"""DEBUG: looking inside and forcing events, for operators' drills and tests; behind `enable-debug-command`.

A subcommand is known together with its number of words, as in Redis: a wrong number is an unknown subcommand.
What only makes sense in a C server (its allocator, crashes on purpose) is refused in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import Final

from txrepl.commands.arguments import integer, positive
from txrepl.commands.config import config_rewrite
from txrepl.commands.help import help_reply
from txrepl.commands.session import DENY_BLOCKING, Session
from txrepl.commands.table import Family
from txrepl.config.kinds import parse_memory
from txrepl.errors import NO_SUCH_KEY, CommandError
from txrepl.keyspace.database import Database
from txrepl.keyspace.digest import dataset_digest, value_digest
from txrepl.keyspace.encoding import encoding_name, reference_count
from txrepl.keyspace.glob import compile_glob
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value
from txrepl.rdb.dump import dump
from txrepl.resp.replies import OK, Attributed, BigNumber, Many, Push, Reply, SetReply, Verbatim
from txrepl.resp.requests import encode_command

family = Family("server")

NOT_ALLOWED: Final = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a '
    "local connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
_DUMP_FRAME_BYTES: Final = 11
"""Type, version and checksum around a value in a DUMP payload."""


@dataclass(frozen=True, slots=True)
class _Subcommand:
    """A subcommand: how many words a call has at least and at most, DEBUG included, and what it does."""

    least: int
    most: int | None
    run: Callable[[Session, list[bytes]], Reply]


_SUBCOMMANDS: dict[bytes, _Subcommand] = {}
_Run = Callable[[Session, list[bytes]], Reply]


def _sub(name: str, least: int, most: int | None) -> Callable[[_Run], _Run]:
    def register(run: _Run) -> _Run:
        _SUBCOMMANDS[name.encode()] = _Subcommand(least, most, run)
        return run

    return register


@family.command(
    "debug",
    -2,
    "admin noscript loading stale",
    since="1.0.0",
    summary="Looks inside the server and forces events in it.",
    complexity="Depends on subcommand.",
)
def debug(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG subcommand …"""
    if not s.server.config.allows("enable-debug-command", s.is_local):
        raise CommandError(NOT_ALLOWED)
    found = _SUBCOMMANDS.get(argv[1].lower())
    if found is None or len(argv) < found.least or (found.most is not None and len(argv) > found.most):
        raise CommandError(
            b"ERR unknown subcommand or wrong number of arguments for '%b'. Try DEBUG HELP." % argv[1][:128]
        )
    return found.run(s, argv)


def _switch(text: bytes) -> bool:
    """0 or 1, read as C's `atoi` does."""
    match = re.match(rb"\s*[+-]?\d+", text)
    return match is not None and int(match[0]) != 0


def _value(s: Session, key: bytes) -> Value:
    """The value of a key, due or not; no hit or miss is counted."""
    value = s.db.data.get(key)
    if value is None:
        raise CommandError(NO_SUCH_KEY)
    return value


# -- digests ----------------------------------------------------------------------------------------------------


_FORMS: dict[bytes, tuple[bool, bool]] = {b"legacy": (True, True), b"valkey": (False, False)}
"""Word → whether scores are printed as before 7.2, whether deadlines of fields count: to compare with other servers."""


@_sub("digest", 2, 3)
def digest(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG DIGEST [LEGACY | VALKEY]."""
    form = (False, True) if len(argv) == 2 else _FORMS.get(argv[2].lower())
    if form is None:
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'DIGEST'. Try DEBUG HELP.")
    return dataset_digest(s.keyspace, *form)


@_sub("digest-value", 2, None)
def digest_value(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG DIGEST-VALUE [LEGACY | VALKEY] key …"""
    keys = argv[2:]
    form = (False, True)
    if len(keys) > 1 and keys[0].lower() in _FORMS:
        form = _FORMS[keys.pop(0).lower()]
    reply: list[Reply] = []
    for key in keys:
        value = s.db.data.get(key)
        reply.append("0" * 40 if value is None else value_digest(value, s.db.expires.get(key), *form))
    return reply


# -- the dataset ------------------------------------------------------------------------------------------------


@_sub("populate", 3, 5)
def populate(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG POPULATE count [prefix [size]]: keys that are there already stay; nothing goes into the stream."""
    count = positive(argv[2], "ERR value is out of range, must be positive")
    prefix = argv[3] if len(argv) > 3 else b"key"
    size = positive(argv[4], "ERR value is out of range, must be positive") if len(argv) > 4 else 0
    db = s.db
    for number in range(count):
        key = b"%b:%d" % (prefix, number)
        if db.write(key) is not None:
            continue
        value = b"value:%d" % number
        db.put(key, value[:size].ljust(size, b"\0") if size else value)
        db.touch(key)
    return OK


@_sub("reload", 2, None)
def reload(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG RELOAD [NOSAVE | NOFLUSH | MERGE …]."""
    options = {word.lower() for word in argv[2:]}
    if not options <= {b"nosave", b"noflush", b"merge"}:
        raise CommandError("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    s.server.reload(save=b"nosave" not in options, flush=b"noflush" not in options, merge=b"merge" in options)
    return OK


@_sub("loadaof", 2, None)
def loadaof(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG LOADAOF: there is no append-only file to load."""
    s.server.log("warning", "DEBUG LOADAOF: no append-only file is written")
    raise CommandError("ERR Error trying to load the AOF files, check server logs.")


@_sub("set-active-expire", 3, 3)
def set_active_expire(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG SET-ACTIVE-EXPIRE 0|1."""
    s.server.expires_actively = _switch(argv[2])
    return OK


@_sub("object", 3, 4)
def object_(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG OBJECT key [FAST]; with an LFU policy every key is as if just used."""
    value = _value(s, argv[2])
    encoding = encoding_name(value, s.keyspace.limits)
    idle_s = 0 if s.keyspace.counts_uses else s.db.idle_ms(argv[2]) // 1000
    clock = s.keyspace.now_ms // 1000 - idle_s & 0xFFFFFF
    length = "" if len(argv) == 4 else f" serializedlength:{len(dump(value)) - _DUMP_FRAME_BYTES}"
    return (
        f"Value at:{id(value):#x} refcount:{reference_count(value)} encoding:{encoding}{length} "
        f"lru:{clock} lru_seconds_idle:{idle_s}"
    )


def _elements(value: Value) -> list[bytes]:
    """The elements as a listpack holds them: pairs flattened."""
    if isinstance(value, ListValue):
        return list(value.items)
    if isinstance(value, SetValue):
        return list(value.members)
    if isinstance(value, HashValue):
        return [word for pair in value.fields.items() for word in pair]
    if isinstance(value, SortedSetValue):
        return [word for score, member in value.order() for word in (member, b"%.17g" % score)]
    return []


def _log_elements(s: Session, what: str, value: Value) -> None:
    elements = _elements(value)
    s.server.log("notice", f"{what}: {len(elements)} elements, {sum(map(len, elements))} bytes")
    for position, element in enumerate(elements):
        s.server.log("notice", f"{what} {position}: {element[:128].decode('utf-8', 'backslashreplace')}")


@_sub("listpack", 3, 3)
def listpack(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG LISTPACK key: the elements of a small value, into the log."""
    value = _value(s, argv[2])
    if encoding_name(value, s.keyspace.limits) != "listpack":
        raise CommandError("ERR Not a listpack encoded object.")
    _log_elements(s, "listpack", value)
    return "Listpack structure printed on stdout"


@_sub("quicklist", 3, 4)
def quicklist(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG QUICKLIST key [0|1]: the elements of a large list, into the log."""
    value = _value(s, argv[2])
    if encoding_name(value, s.keyspace.limits) != "quicklist":
        raise CommandError("ERR Not a quicklist encoded object.")
    _log_elements(s, "quicklist", value)
    return "Quicklist structure printed on stdout"


@_sub("quicklist-packed-threshold", 3, 3)
def quicklist_packed_threshold(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG QUICKLIST-PACKED-THRESHOLD size: checked; a list here has no nodes to pack."""
    size = parse_memory(argv[2].decode("latin-1"))
    if size is None or size > 4 * 1024**3:
        raise CommandError("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    return OK


@_sub("htstats", 3, 4)
def htstats(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG HTSTATS dbid [FULL]."""
    number = integer(argv[2])
    if not 0 <= number < len(s.keyspace.databases):
        raise CommandError("ERR Out of range database")
    db: Database = s.keyspace.databases[number]
    text = f"[Dictionary HT]\n{_table_stats(len(db.data))}[Expires HT]\n{_table_stats(len(db.expires))}"
    return Verbatim(text.encode())


@_sub("htstats-key", 3, 4)
def htstats_key(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG HTSTATS-KEY key [FULL]."""
    value = _value(s, argv[2])
    if encoding_name(value, s.keyspace.limits) not in ("hashtable", "skiplist"):
        raise CommandError("ERR The value stored at the specified key is not represented using an hash table")
    size = len(_elements(value)) // (2 if isinstance(value, HashValue | SortedSetValue) else 1)
    return Verbatim(_table_stats(size).encode())


def _table_stats(size: int) -> str:
    """The facts of a hash table of so many keys, as far as Python's dict knows them."""
    head = "Hash table 0 stats (main hash table):\n"
    if not size:
        return head + "No stats available for empty dictionaries\n"
    return f"{head} table size: {1 << max(2, (size - 1).bit_length())}\n number of elements: {size}\n"


# -- the server -------------------------------------------------------------------------------------------------


@_sub("sleep", 3, 3)
def sleep_(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG SLEEP seconds: the whole server stands still, which is what it is for.

    The next commands see the later time, unless they belong to the same transaction.
    """
    match = re.match(rb"\s*\+?(\d+\.?\d*|\.\d+)", argv[2])
    sleep(float(match[1]) if match else 0.0)
    if not s.flags & DENY_BLOCKING:
        s.keyspace.now_ms = s.server.now()
    return OK


@_sub("pause-cron", 3, 3)
def pause_cron(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG PAUSE-CRON 0|1."""
    s.server.cron_paused = _switch(argv[2])
    return OK


@_sub("log", 3, 3)
def log(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG LOG message."""
    s.server.log("warning", f"DEBUG LOG: {argv[2].decode('utf-8', 'backslashreplace')}")
    return OK


@_sub("error", 3, 3)
def error(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG ERROR text: that text as an error reply."""
    return CommandError(argv[2])


@_sub("change-repl-id", 2, 2)
def change_repl_id(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG CHANGE-REPL-ID."""
    s.server.log("notice", "Changing replication IDs after receiving DEBUG change-repl-id")
    s.server.feed.flush()
    s.server.feed.history.change_id()
    return OK


@_sub("replicate", 3, None)
def replicate(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG REPLICATE [REPLICA | ALL] command …: the words go into the stream and are not run here.

    They go as they are, without a SELECT (`replicationFeedSlaves` with database -1).
    """
    words = argv[2:]
    if len(words) > 1 and words[0].lower() in (b"replica", b"all"):
        words = words[1:]
    if not s.server.link.host:
        s.server.feed.raw(encode_command(words))
    return OK


@_sub("stringmatch-len", 4, 4)
def stringmatch_len(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG STRINGMATCH-LEN pattern text: 1 if the glob matches."""
    return int(compile_glob(argv[2])(argv[3]))


_KINDS: dict[bytes, Reply] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"double": 3.141,
    b"bignum": BigNumber(b"1234567999999999999999999999999999999"),
    b"null": None,
    b"array": [0, 1, 2],
    b"set": SetReply([0, 1, 2]),
    b"map": {0: False, 1: True, 2: False},
    b"attrib": Attributed({b"key-popularity": [b"key:123", 90]}, b"Some real reply following the attribute"),
    b"push": Many([b"Some real reply following the push reply", Push([b"server-cpu-usage", 42])]),
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    b"true": True,
    b"false": False,
}


@_sub("protocol", 3, 3)
def protocol(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG PROTOCOL type: a reply of each type that there is, for those who write clients."""
    kind = argv[2].lower()
    if kind not in _KINDS:
        raise CommandError(
            "ERR Wrong protocol type name. Please use one of the following: "
            "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
        )
    if kind == b"push" and s.proto == 2:
        raise CommandError("ERR RESP2 is not supported by this command")
    return _KINDS[kind]


@_sub("config-rewrite-force-all", 2, 2)
def config_rewrite_force_all(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG CONFIG-REWRITE-FORCE-ALL: like CONFIG REWRITE, which writes every directive that has a value of its own."""
    if s.server.config.file_path is None:
        raise CommandError("ERR CONFIG-REWRITE-FORCE-ALL failed: Bad address")
    return config_rewrite(s, argv)


def _accept(s: Session, argv: list[bytes]) -> Reply:
    """What servers written in C do otherwise after it has no counterpart: accepted, so that tests go on."""
    return OK


for _name in ("aof-flush-sleep", "client-enforce-reply-list", "dict-resizing", "set-disable-deny-scripts"):
    _sub(_name, 3, 3)(_accept)


@_sub("replybuffer", 4, 4)
def replybuffer(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER|RESET|ms, or RESIZING 0|1: checked; there is no such buffer here."""
    option = argv[2].lower()
    if option == b"peak-reset-time":
        if argv[3].lower() not in (b"never", b"reset"):
            integer(argv[3])
    elif option != b"resizing":
        raise CommandError("ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.")
    return OK


# -- what has no counterpart ------------------------------------------------------------------------------------


def _refuse(s: Session, argv: list[bytes]) -> Reply:
    name = argv[1].decode("latin-1").upper()
    raise CommandError(f"ERR DEBUG {name} concerns the inside of a server written in C and does nothing here")


for _name in (
    "assert",
    "client-eviction",
    "crash-and-recover",
    "jmap",
    "leak",
    "mallctl",
    "mallctl-str",
    "oom",
    "panic",
    "restart",
    "sdslen",
    "segfault",
    "stringmatch-test",
    "structsize",
):
    _sub(_name, 2, None)(_refuse)


@_sub("help", 2, 2)
def debug_help(s: Session, argv: list[bytes]) -> Reply:
    """DEBUG HELP."""
    return help_reply(
        "DEBUG",
        ("CHANGE-REPL-ID", "Begin a new replication history; replicas need a full resync."),
        (
            "DIGEST [LEGACY | VALKEY]",
            "40 hex digits that are equal for equal data; LEGACY as Redis before 7.2 counts, VALKEY without "
            "deadlines of fields.",
        ),
        ("DIGEST-VALUE [LEGACY] <key> [<key> ...]", "The same for the values of keys."),
        ("ERROR <string>", "Answer with this error."),
        ("LOG <message>", "Write a line to the log."),
        ("PROTOCOL <type>", "A reply of a type: string, integer, double, bignum, null, array, set, map, attrib, ..."),
        ("CONFIG-REWRITE-FORCE-ALL", "The same as CONFIG REWRITE."),
        (
            "AOF-FLUSH-SLEEP | CLIENT-ENFORCE-REPLY-LIST | DICT-RESIZING | SET-DISABLE-DENY-SCRIPTS <value>",
            "Accepted without effect.",
        ),
        ("HTSTATS <dbid>", "Sizes of a database's tables."),
        ("HTSTATS-KEY <key>", "Size of the table of a large value."),
        ("LISTPACK <key>", "Write the elements of a small value to the log."),
        ("LOADAOF", "Refused: no append-only file is written."),
        ("OBJECT <key> [FAST]", "Facts about a value."),
        ("PAUSE-CRON <0|1>", "Stop periodic work."),
        ("POPULATE <count> [<prefix>] [<size>]", "Make string keys, which replicas are not told of."),
        ("QUICKLIST <key> [<0|1>]", "Write the elements of a large list to the log."),
        ("QUICKLIST-PACKED-THRESHOLD <size>", "Accepted without effect."),
        ("RELOAD [NOSAVE] [NOFLUSH] [MERGE]", "Save the dataset to its file and load it again."),
        ("REPLICATE [REPLICA|ALL] <command> [<arg> ...]", "Put a command into the stream without running it."),
        ("REPLYBUFFER <PEAK-RESET-TIME|RESIZING> <value>", "Accepted without effect."),
        ("SET-ACTIVE-EXPIRE <0|1>", "Whether due keys are deleted before somebody looks at them."),
        ("SLEEP <seconds>", "Stop the whole server for so long."),
        ("STRINGMATCH-LEN <pattern> <text>", "Whether a glob matches a text."),
    )
