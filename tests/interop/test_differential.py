"""Random sequences of every family do on txrepl, in step, what they do on a live Redis 7.0 and a live Valkey 9.

Replies, replication stream, keyspace events, counts of changes, digests and encodings are compared; see `instep`.
`TXREPL_DIFFERENTIAL_EXAMPLES=5000` runs so many sequences of each kind, other ones each time, instead of a few
fixed ones; a failure prints the shortest sequence found.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from tests.interop.grammar import GRAMMARS, NOT_MADE, Grammar, Words, as_words, made, sequence
from tests.interop.instep import DEFAULTS, PROFILES, Trio, minimized, trio
from txrepl.commands.registry import build_table

EXAMPLES = int(os.environ.get("TXREPL_DIFFERENTIAL_EXAMPLES", "0"))
LENGTH = 40


@pytest.fixture(scope="module")
def servers() -> Iterator[Trio]:
    """One of each for the module."""
    with trio() as running:
        yield running


def check(servers: Trio, commands: Sequence[Words], proto: int, directives: dict[str, str | int], modern: bool) -> None:
    """Fail with the shortest sequence that shows the same difference."""
    found = servers.run(commands, proto, directives, modern=modern)
    if found is None:
        return
    where = found.where

    def fails(shorter: Sequence[Words]) -> bool:
        again = servers.run(shorter, proto, directives, modern=modern)
        return again is not None and again.where == where

    commands = minimized(commands, fails)
    found = servers.run(commands, proto, directives, modern=modern) or found
    for words in commands:
        note(repr(words))
    pytest.fail(f"{found.text} after {commands}")


CASES = [
    pytest.param(grammar, modern, id=f"{grammar.name}, {'without Redis 7.0' if modern else 'all three'}")
    for grammar in GRAMMARS
    for modern in ([True] if grammar.modern else [False, True])
]


@pytest.mark.parametrize(("grammar", "modern"), CASES)
def test_random_sequences_do_alike(servers: Trio, grammar: Grammar, modern: bool) -> None:
    """A family's commands mostly, right and wrong, with those of all others among them."""

    @settings(
        max_examples=EXAMPLES or 5,
        derandomize=not EXAMPLES,
        database=None,
        report_multiple_bugs=False,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32), st.sampled_from([2, 3]), st.sampled_from(PROFILES))
    def in_step(seed: int, proto: int, profile: dict[str, str | int]) -> None:
        rng = random.Random(f"{grammar.name} {seed}")
        commands = sequence(rng, LENGTH, focus=grammar, modern=modern)
        check(servers, commands, proto, {**DEFAULTS, **profile}, modern)

    in_step()


FOUND: dict[str, list[str]] = {
    "a pipelined command sees the time after DEBUG SLEEP": [
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "EXISTS s1",
    ],
    "so does one behind a transaction": [
        "SET s1 a", "MULTI", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "EXISTS s1", "EXEC", "EXISTS s1",
    ],
    "a string changed in place is raw": [
        "SET s1 1", "APPEND s1 2", "OBJECT ENCODING s1", "COPY s1 s2", "OBJECT ENCODING s2",
    ],
    "also when the bit was set already": ["SET s1 a", "SETBIT s1 1 1", "SET s2 a", "BITFIELD s2 SET u8 0 97"],
    "a sum of floats is no integer": [
        "SET s1 1", "INCRBYFLOAT s1 2", "OBJECT ENCODING s1", "TYPE s1", "SCAN 0 TYPE string",
    ],
    "a number far too small is huge to a field": [
        "BITFIELD s1 OVERFLOW SAT SET u16 0 -1 SET i1 16 -9223372036854775808 SET i8 24 -200", "GET s1",
    ],
    "BITPOS looks at the first byte when its range ends before the string": [
        "SET s1 -5", "BITPOS s1 1 -2 -3", "BITCOUNT s1 -2 -3",
    ],
    "ZRANGE by rank takes LIMIT with a count of -1 for none": ["ZADD z1 0 a 0 b", "ZRANGE z1 0 -1 LIMIT 1 -1"],
    "ZSCAN of a skiplist prints 17 digits": [f"ZADD z1 0.1 {'x' * 65}", "ZSCAN z1 0", "ZADD z2 0.5 a", "ZSCAN z2 0"],
    "a cursor may be -0": ["SSCAN t1 -0", "SCAN -0", "SCAN -1x"],
    "an option is shown up to a NUL": ["EXPIRE s1 100 a\0b"],
    "an element that begins with a NUL sorts as 0": ["RPUSH l1 1 -1 \0x", "SORT l1 ASC LIMIT 1 1", "SORT l1 STORE l2"],
    "PFMERGE without sources has no keys to tell": [
        "COMMAND GETKEYS PFMERGE p1", "COMMAND GETKEYS ZINTERSTORE z1 0 z2",
    ],
    "RESTORE keeps its spelling": [r"restore s1 100000 \0\5hello\t\0\xb3\x80\x8e\xba1\xb2C\xbb"],
    "RESTORE with a time to live that overflows leaves nothing": [
        r"restore s1 9223372036854775807 \0\5hello\t\0\xb3\x80\x8e\xba1\xb2C\xbb REPLACE", "EXISTS s1",
    ],
    "an id given whole stays as it was written": ["XADD x1 MAXLEN ~ 22 +7-01 f v"],
    "WATCH deletes nothing": [
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "WATCH s1", "GET s1", "MULTI", "PING", "EXEC",
    ],
    "a key that had expired may not come back": [
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "WATCH s1", "GET s1", "SET s1 b", "MULTI", "PING", "EXEC",
    ],
    "a result that is empty deletes what had expired, and the command says so": [
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "SINTERSTORE s1 t1 t2",
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "ZUNIONSTORE s1 1 t1",
        "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "GEOSEARCHSTORE s1 g1 FROMLONLAT 1 1 BYRADIUS 1 m",
    ],
    "a result that is not replaces it, behind its DEL": [
        "ZADD z1 1 a", "SET s1 a", "PEXPIRE s1 1", "DEBUG SLEEP 0.004", "ZUNIONSTORE s1 1 z1",
    ],
}  # fmt: skip
"""Differences that random sequences found."""


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_mended(servers: Trio, what: str) -> None:
    """Each as it was found."""
    commands = [
        as_words([word.encode("latin-1").decode("unicode_escape").encode("latin-1") for word in line.split(" ")])
        for line in FOUND[what]
    ]
    check(servers, commands, 2, DEFAULTS, modern=False)


def test_every_command_is_made_by_some_grammar_or_has_a_reason_not_to_be() -> None:
    """A command that is added to the table needs a generator."""
    known = set()
    for command in build_table().commands.values():
        known |= {sub.name.replace("|", " ").upper() for sub in command.subcommands.values()} or {command.name.upper()}
    without_reason = {name for name in known if name not in NOT_MADE and name.split()[0] not in NOT_MADE}
    assert without_reason - made() == set(), "neither made nor with a reason"
    assert {name for name in made() if name not in known} == set(), "made but not in the table"
    assert {name for name in NOT_MADE if not any(f"{one} ".startswith(f"{name} ") for one in known)} == set(), (
        "not there"
    )
