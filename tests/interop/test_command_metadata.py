"""What COMMAND says of each command is what real servers say, but for the differences listed here with their reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.servers import start
from txrepl.commands.command import docs, facts
from txrepl.commands.registry import build_table
from txrepl.resp.replies import Reply

ARITY, FLAGS, FIRST, LAST, STEP, CATEGORIES, TIPS, KEYS = range(1, 9)
NAMES = ("", "arity", "flags", "first key", "last key", "step", "categories", "tips", "key specifications")


def plain(reply: Any) -> Any:
    """A reply of either side as values that compare: text as str, sets as sorted lists."""
    if isinstance(reply, bytes):
        return reply.decode()
    if isinstance(reply, dict):
        return {plain(key): plain(value) for key, value in reply.items()}
    if isinstance(reply, list | tuple):
        return [plain(item) for item in reply]
    return reply


def flattened(entry: list[Any]) -> list[list[Any]]:
    """The entry of COMMAND INFO and those of its subcommands, sets sorted."""
    entry = plain(entry)
    own = [*entry[:9]]
    for position in (FLAGS, CATEGORIES, TIPS):
        own[position] = sorted(own[position])
    for spec in own[KEYS]:
        spec["flags"] = sorted(spec["flags"])
        spec.pop("notes", None)  # prose
    return [own, *(line for sub in entry[9] for line in flattened(sub))]


def ours() -> dict[str, list[Any]]:
    """Our entries by name."""
    table = build_table()
    entries: list[Reply] = [facts(command) for command in table.commands.values()]
    return {line[0]: line for entry in entries for line in flattened(entry)}  # type: ignore[arg-type]


_STORED = "Valkey tells that the flags of a key to store in vary"
_SCRIPTS = "blocking commands may be called from scripts since 7.2"
_BUSY = "allowed while a script is busy since Valkey 8"
_NOT_NESTED = "not allowed inside a transaction since Valkey 8"
_TIPS = "tips added in 7.2"

DIFFERENT: dict[str, dict[tuple[str, int], str]] = {
    "redis70": {
        **{(name, FLAGS): _SCRIPTS for name in ("blmove", "blpop", "brpop", "brpoplpush", "bzpopmax", "bzpopmin")},
        ("wait", FLAGS): _SCRIPTS,
        ("wait", CATEGORIES): "blocking since 7.2",
        ("zrank", ARITY): "WITHSCORE since 7.2",
        ("zrevrank", ARITY): "WITHSCORE since 7.2",
        ("command|getkeys", ARITY): "a command without arguments is accepted since 7.2",
        ("command|getkeysandflags", ARITY): "a command without arguments is accepted since 7.2",
        ("msetnx", TIPS): "tips taken back in 7.2",
        **{
            (name, TIPS): _TIPS
            for name in (
                "acl|deluser",
                "acl|save",
                "acl|setuser",
                "randomkey",
                "scan",
                "client|setname",
                "config|resetstat",
                "config|rewrite",
            )
        },
    },
    "valkey9": {
        **{
            (name, FLAGS): _BUSY
            for name in (
                "select",
                "client|caching",
                "client|getname",
                "client|getredir",
                "client|id",
                "client|no-evict",
                "client|no-touch",
                "client|reply",
                "client|setinfo",
                "client|setname",
            )
        },
        **{
            (f"cluster|{name}", FLAGS): "allowed while loading since Valkey 8"
            for name in ("info", "myid", "nodes", "shards", "slots")
        },
        **{(f"memory|{name}", FLAGS): "allowed while loading since Valkey 8" for name in ("malloc-stats", "purge")},
        ("latency|reset", TIPS): "the numbers are added up since Valkey 8",
        ("cluster|replicate", ARITY): "NO ONE since Valkey 9",
        ("sinterstore", KEYS): "Valkey tells that the destination is overwritten",
        ("georadius", KEYS): _STORED,
        ("georadiusbymember", KEYS): _STORED,
        ("multi", FLAGS): _NOT_NESTED,
        ("watch", FLAGS): _NOT_NESTED,
        ("exec", FLAGS): "Valkey calls the slow log the command log",
        **{(f"script|{name}", FLAGS): "allowed while stale in Valkey 9" for name in ("exists", "flush")},
        ("script|debug", ARITY): "Valkey 9 takes an engine's name",
    },
}
"""(name, element) → why ours is another than the live server's."""

_FIELD_DEADLINES = {
    *("hexpire", "hpexpire", "hexpireat", "hpexpireat", "hpersist", "httl", "hpttl", "hexpiretime", "hpexpiretime"),
    *("hsetex", "hgetex", "hgetdel"),
}

NEWER: dict[str, set[str]] = {
    "redis70": {
        *("client|setinfo", "client|no-touch", "client|capa", "client|import-source", "cluster|myshardid", "waitaof"),
        *_FIELD_DEADLINES,
        *("delex", "delifeq", "digest", "msetex", "xackdel", "xdelex"),
    },
    "valkey9": {"delex", "digest", "xackdel", "xdelex"},
}
"""Commands of ours that the live server does not have."""


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_metadata_is_that_of_a_real_server(kind: str) -> None:
    """Arity, flags, key positions, categories, tips and key specifications of every command agree."""
    own = ours()
    with start(kind) as server, server.connect() as client:
        client.command("HELLO", "3")
        names = [name for name in own if "|" not in name]
        answers = client.command("COMMAND", "INFO", *names)
    theirs = {line[0]: line for entry in answers if entry is not None for line in flattened(entry)}
    missing = {name for name in own if name not in theirs}
    assert missing == NEWER[kind]
    found = {
        (name, element): (own[name][element], theirs[name][element])
        for name in own
        if name in theirs
        for element in range(ARITY, KEYS + 1)
        if own[name][element] != theirs[name][element]
    }
    unexpected = {place: pair for place, pair in found.items() if place not in DIFFERENT[kind]}
    lines = [
        f"{name} {NAMES[element]}: ours {pair[0]}, {kind} {pair[1]}" for (name, element), pair in unexpected.items()
    ]
    assert not lines, "\n" + "\n".join(lines)
    assert set(DIFFERENT[kind]) == set(found), "a listed difference is gone"


MIGRATES: list[tuple[str, ...]] = [
    ("h", "1", "k", "0", "1"),
    ("h", "1", "", "0", "1"),
    ("h", "1", "", "0", "1", "KEYS"),
    ("h", "1", "", "0", "1", "keys", "a", "b"),
    ("h", "1", "k", "0", "1", "KEYS", "a"),
    ("h", "1", "", "0", "1", "AUTH", "KEYS", "KEYS", "a", "b"),
    ("h", "1", "", "0", "1", "COPY", "REPLACE", "AUTH2", "u", "KEYS", "KEYS", "a"),
]


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_the_keys_of_migrate_are_found_as_a_real_server_finds_them(kind: str) -> None:
    """No specification names them all: behind options, behind a password that looks like one, and not at all."""
    answers = []
    for one in (kind, "txrepl"):
        with start(one) as server, server.connect() as client:
            answers.append(
                [
                    repr(plain(client.execute("COMMAND", how, "MIGRATE", *words)))
                    for how in ("GETKEYS", "GETKEYSANDFLAGS")
                    for words in MIGRATES
                ]
            )
    assert answers[0] == answers[1]


_MORE = "options of newer servers"
_CLEARER = "the same arguments, told otherwise since 7.2"

ARGUMENTS_OTHERWISE: dict[str, dict[str, str]] = {
    "redis70": {
        **dict.fromkeys(
            (
                "client|list",
                "client|kill",
                "geosearch",
                "geosearchstore",
                "set",
                "bitop",
                "xadd",
                "xtrim",
                "zrank",
                "zrevrank",
                "hscan",
                "zscan",
            ),
            _MORE,
        ),
        **dict.fromkeys(
            (
                "config|get",
                "geohash",
                "geopos",
                "georadius",
                "georadiusbymember",
                "migrate",
                "pfmerge",
                "psubscribe",
                "xinfo|stream",
            ),
            _CLEARER,
        ),
        **dict.fromkeys(("command|getkeys", "command|getkeysandflags"), "a command may have no arguments, since 7.2"),
    },
    "valkey9": {
        **dict.fromkeys(
            (
                "bgsave",
                "bitcount",
                "cluster|replicate",
                "cluster|setslot",
                "script|debug",
                "shutdown",
            ),
            "options that Redis 7.2 does not have",
        ),
        **dict.fromkeys(("set", "bitop", "xadd", "xtrim"), "options of Redis 8"),
        "module|loadex": _CLEARER,
    },
}
"""Commands whose arguments the live server tells otherwise, and why."""


def documented(entry: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    """What COMMAND DOCS tells of a command and of its subcommands, by name; prose left out."""
    own = {field: told for field, told in entry.items() if field not in ("subcommands", "summary", "history")}
    found = {name: own}
    for sub, told in entry.get("subcommands", {}).items():
        found |= documented(told, sub)
    return found


def shapes(arguments: list[dict[str, Any]]) -> list[Any]:
    """Arguments as they are read: types, tokens, what is optional or repeated; names and versions left out."""
    return [
        (
            one["type"],
            one.get("token"),
            one.get("key_spec_index"),
            sorted(one.get("flags", ())),
            shapes(one.get("arguments", [])),
        )
        for one in arguments
    ]


@pytest.mark.parametrize("kind", ["redis70", "valkey9"])
def test_documentation_is_that_of_a_real_server(kind: str) -> None:
    """Group, since, flags (as Redis 7.0 has them) and the tree of arguments of every command agree."""
    table = build_table()
    own = {
        name: told
        for command in table.commands.values()
        for name, told in documented(plain(docs(command)), command.name).items()
    }
    with start(kind) as server, server.connect() as client:
        client.command("HELLO", "3")
        answer = plain(client.command("COMMAND", "DOCS"))
    theirs = {name: told for command, entry in answer.items() for name, told in documented(entry, command).items()}
    both = [name for name in own if name in theirs]
    assert len(both) > 300
    differing = {
        name for name in both if shapes(own[name].get("arguments", [])) != shapes(theirs[name].get("arguments", []))
    }
    listed = set(ARGUMENTS_OTHERWISE[kind]) & set(both)
    assert differing == listed
    if kind == "redis70":
        facts_ = ("since", "group", "doc_flags", "deprecated_since")
        assert [(name, one) for name in both for one in facts_ if own[name].get(one) != theirs[name].get(one)] == []
    else:
        unequal = {name for name in both if own[name].get("arguments") != theirs[name].get("arguments")}
        assert unequal - differing == {"flushdb"}, "names and versions too"
