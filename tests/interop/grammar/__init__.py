"""Random sequences of commands of every family: who makes which command is declared here once, for every test."""

from __future__ import annotations

import random

from tests.interop.grammar.collections import hashes, lists, sets
from tests.interop.grammar.keys import databases, hyperloglog, keys
from tests.interop.grammar.maker import CALLS, Grammar, Maker, Words, as_words, called
from tests.interop.grammar.newer import conditions, deadlines
from tests.interop.grammar.scripting import functions, scripting
from tests.interop.grammar.server import connection, transactions
from tests.interop.grammar.sorted_sets import geo, sorted_sets
from tests.interop.grammar.streams import streams
from tests.interop.grammar.strings import bits, strings

__all__ = ["GRAMMARS", "NOT_MADE", "Grammar", "Words", "as_words", "called", "made", "sequence"]

GRAMMARS: tuple[Grammar, ...] = (
    strings,
    bits,
    lists,
    hashes,
    sets,
    sorted_sets,
    geo,
    streams,
    hyperloglog,
    keys,
    databases,
    deadlines,
    conditions,
    scripting,
    functions,
    transactions,
    connection,
)

_IN_FOCUS = 0.7
_QUEUED = frozenset((b"MULTI", b"WATCH"))


def sequence(rng: random.Random, length: int, *, focus: Grammar | None = None, modern: bool = False) -> list[Words]:
    """Commands that mostly belong to one family, with all the others among them.

    Parameters:
        rng: decides everything.
        length: at least so many commands.
        focus: the family; None takes any.
        modern: with what Redis 7.0 does not have.
    """
    maker = Maker(rng, modern)
    grammars = [grammar for grammar in GRAMMARS if modern or not grammar.modern]
    weights = [grammar.weight for grammar in grammars]
    focus = focus or rng.choices(grammars, weights=weights)[0]
    commands: list[Words] = []
    while len(commands) < length:
        grammar = focus if maker.chance(_IN_FOCUS) else rng.choices(grammars, weights=weights)[0]
        if maker.chance(0.02):
            commands += _transaction(maker, grammar)
        elif maker.chance(0.02):
            how = maker.some("GETKEYS", "GETKEYSANDFLAGS")
            commands += [as_words(["COMMAND", how, *words]) for words in grammar.make(maker)]
        elif maker.chance(0.02):
            script = maker.some(*CALLS)
            passing = grammar.make(maker)
            if all(words[0].upper() != b"DEBUG" for words in passing):  # a script cannot wait for an expiry
                passing = [as_words(["EVAL", script, 0, *words]) for words in passing]
            commands += passing
        else:
            commands += grammar.make(maker)
    return commands


def made() -> set[str]:
    """The names of all commands that some grammar makes."""
    return {entry.name for grammar in GRAMMARS for entry in grammar.entries} | {
        "COMMAND GETKEYS",
        "COMMAND GETKEYSANDFLAGS",
    }


NOT_MADE: dict[str, str] = {
    **dict.fromkeys(
        ("ACL", "AUTH", "CLIENT", "CONFIG", "HELLO", "LATENCY", "MODULE", "RESET", "SLOWLOG", "QUIT", "COMMAND DOCS"),
        "state of the server or the connection that sequences share: compared in test files of its own",
    ),
    **dict.fromkeys(("ASKING", "CLUSTER", "READONLY", "READWRITE"), "of a cluster: compared in a test file of its own"),
    **dict.fromkeys(
        (
            "BGSAVE",
            "BGREWRITEAOF",
            "DEBUG",
            "SAVE",
            "SHUTDOWN",
            "INFO",
            "LOLWUT",
            "MEMORY",
            "MONITOR",
            "ROLE",
            "PFSELFTEST",
        ),
        "about the server itself: compared in test_differential_server and others",
    ),
    **dict.fromkeys(
        ("FAILOVER", "MIGRATE", "PSYNC", "REPLCONF", "REPLICAOF", "SLAVEOF", "SYNC"),
        "needs peers: the replication and migration tests",
    ),
    **dict.fromkeys(
        ("PSUBSCRIBE", "PUNSUBSCRIBE", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "UNSUBSCRIBE"),
        "no single reply: test_differential_pubsub",
    ),
    **dict.fromkeys(
        ("COMMAND COUNT", "COMMAND INFO", "COMMAND LIST"), "facts of every command: compared in test_command_metadata"
    ),
    **dict.fromkeys(
        ("DELEX", "DIGEST", "MSETEX", "XACKDEL", "XDELEX"),
        "commands of Redis 8.2 and 8.4: neither live server has them",
    ),
    "SCRIPT DEBUG": "only outside a pipeline",
    "RESTORE-ASKING": "RESTORE by another name, of a cluster",
    **dict.fromkeys(
        (
            "COMMAND HELP",
            "FUNCTION HELP",
            "OBJECT HELP",
            "PUBSUB HELP",
            "SCRIPT HELP",
            "XGROUP HELP",
            "XINFO HELP",
        ),
        "help texts are our own words, but for their frame",
    ),
}
"""Commands without a generator, each (or its container) with the reason."""


def _transaction(maker: Maker, grammar: Grammar) -> list[Words]:
    """A few commands of a family between MULTI and EXEC."""
    queued = [words for _ in range(maker.rng.randint(0, 5)) for words in grammar.make(maker)]
    return [*as_words_of("MULTI"), *queued, *as_words_of(maker.mostly(("EXEC",), ("DISCARD",)))]


def as_words_of(*names: str) -> list[Words]:
    """Commands without arguments."""
    return [as_words([name]) for name in names]
