"""Strings that change only when they are as expected: conditions, digests, and what goes into the stream."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import FamilyBench
from txrepl.commands import bits, comparisons, lists, strings
from txrepl.errors import CommandError

HELLO_DIGEST = b"9555e8555c62dcfd"
"""XXH3 in 64 bits of `hello`, as the xxHash project prints it."""


@pytest.fixture
def bench() -> FamilyBench:
    """Strings, their bits, and a list to be of the wrong type."""
    return FamilyBench(strings.family, comparisons.family, bits.family, lists.family)


def error(reply: object) -> str:
    assert isinstance(reply, CommandError), reply
    return reply.message.decode()


def commands(bench: FamilyBench) -> list[tuple[bytes, ...]]:
    return [command for _, command in bench.effects()]


def test_digest_is_the_strings_xxh3(bench: FamilyBench) -> None:
    """Sixteen digits; none for an absent key, an error for a list."""
    bench.run("SET", "k", "hello")
    assert bench.run("DIGEST", "k") == HELLO_DIGEST
    assert bench.run("DIGEST", "none") is None
    bench.run("RPUSH", "l", 1)
    assert error(bench.run("DIGEST", "l")).startswith("WRONGTYPE")


CONDITIONS = [
    ("IFEQ", b"hello", True),
    ("IFEQ", b"other", False),
    ("ifne", b"hello", False),
    ("IFNE", b"other", True),
    ("IFDEQ", HELLO_DIGEST, True),
    ("IFDEQ", HELLO_DIGEST.upper(), True),
    ("IFDEQ", b"0" * 16, False),
    ("IFDNE", HELLO_DIGEST, False),
    ("ifdne", b"0" * 16, True),
]


@pytest.mark.parametrize(("name", "other", "is_met"), CONDITIONS)
def test_set_and_delex_heed_a_condition(bench: FamilyBench, name: str, other: bytes, is_met: bool) -> None:
    """In the stream stands what was done, without the condition; nothing where nothing was done."""
    bench.run("SET", "k", "hello")
    assert bench.run("SET", "k", "new", name, other, "GET") == b"hello"
    assert bench.run("GET", "k") == (b"new" if is_met else b"hello")
    assert commands(bench) == ([(b"SET", b"k", b"new")] if is_met else [])
    bench.run("SET", "k", "hello")
    assert bench.run("SET", "k", "new", name, other, "KEEPTTL") == ("OK" if is_met else None)
    assert commands(bench) == ([(b"SET", b"k", b"new", b"KEEPTTL")] if is_met else [])
    bench.run("SET", "k", "hello")
    assert bench.run("DELEX", "k", name, other) == is_met
    assert bench.run("STRLEN", "k") == (0 if is_met else 5)
    assert commands(bench) == ([(b"DEL", b"k")] if is_met else [])


def test_an_absent_key_differs_from_everything(bench: FamilyBench) -> None:
    """SET makes it under IFNE and IFDNE, and under no other condition."""
    assert [bench.run("SET", "k", "v", name, "x") for name in ("IFEQ", "IFDEQ")] == [None, None]
    assert bench.run("SET", "k", "v", "IFNE", "x") == "OK"
    bench.run("DELEX", "k")
    assert bench.run("SET", "k", "v", "IFDNE", "x", "EX", 10) == "OK"
    deadline = b"%d" % (bench.keyspace.now_ms + 10_000)
    assert commands(bench)[-1] == (b"SET", b"k", b"v", b"PXAT", deadline)
    assert bench.run("DELEX", "none", "IFEQ") == 0


def test_conditions_exclude_each_other_and_want_a_string(bench: FamilyBench) -> None:
    """With the errors of Valkey 9 and of Redis 8.4."""
    bench.run("RPUSH", "l", 1)
    for words in (
        ["IFEQ"],
        ["IFEQ", "a", "NX"],
        ["XX", "IFNE", "a"],
        ["IFEQ", "a", "IFEQ", "b"],
        ["IFDEQ", "a", "IFEQ", "b"],
    ):
        assert error(bench.run("SET", "k", "v", *words)) == "ERR syntax error"
    assert error(bench.run("SET", "l", "v", "IFEQ", "a")).startswith("WRONGTYPE")
    assert error(bench.run("DELIFEQ", "l", "a")).startswith("WRONGTYPE")
    assert error(bench.run("DELEX", "l", "IFEQ", "a")) == "ERR Key should be of string type if conditions are specified"
    assert error(bench.run("DELEX", "l", "IF", "a")) == "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"
    assert error(bench.run("DELEX", "l", "IFEQ")) == "ERR wrong number of arguments for 'delex' command"
    assert bench.run("DELEX", "l") == 1


def test_msetex_goes_into_the_stream_as_what_every_server_knows(bench: FamilyBench) -> None:
    """MSET without a deadline; with one, or one that is kept, a SET for each key."""
    assert bench.run("MSETEX", 2, "a", 1, "b", 2) == 1
    assert bench.run("MSETEX", 2, "a", 1, "c", 2, "NX") == 0
    assert bench.run("MSETEX", 2, "a", 1, "c", 2, "XX") == 0
    assert bench.run("MSETEX", 2, "a", 3, "b", 4, "XX", "PX", 500) == 1
    assert bench.run("MSETEX", 1, "a", 5, "KEEPTTL") == 1
    at = b"%d" % (bench.keyspace.now_ms + 500)
    assert commands(bench) == [
        (b"MSET", b"a", b"1", b"b", b"2"),
        (b"SET", b"a", b"3", b"PXAT", at),
        (b"SET", b"b", b"4", b"PXAT", at),
        (b"SET", b"a", b"5", b"KEEPTTL"),
    ]
    assert sorted(bench.keyspace.databases[0].expires) == [b"a", b"b"]
    bench.run("MSETEX", 1, "b", 5)
    assert sorted(bench.keyspace.databases[0].expires) == [b"a"]


BITS = st.lists(st.binary(max_size=5), min_size=2, max_size=5)


@settings(max_examples=60, deadline=None)
@given(BITS)
def test_the_bit_operations_of_redis_8_are_what_their_words_say(sources: list[bytes]) -> None:
    """Bit by bit: in the first and no other; in another and not the first; in the first and another; in one only."""
    bench = FamilyBench(strings.family, bits.family)
    keys = [f"k{n}" for n in range(len(sources))]
    for key, source in zip(keys, sources, strict=True):
        bench.run("SET", key, source)
    size = max(map(len, sources))
    padded = [source.ljust(size, b"\0") for source in sources]
    columns = [[byte >> bit & 1 for byte in column] for column in zip(*padded, strict=True) for bit in range(7, -1, -1)]
    rules = {
        "DIFF": lambda has: has[0] and not any(has[1:]),
        "diff1": lambda has: not has[0] and any(has[1:]),
        "ANDOR": lambda has: has[0] and any(has[1:]),
        "One": lambda has: sum(has) == 1,
    }
    for name, rule in rules.items():
        assert bench.run("BITOP", name, "to", *keys) == size
        expected = int("".join("1" if rule(column) else "0" for column in columns) or "0", 2)
        assert int.from_bytes(bench.run("GET", "to") or b"", "big") == expected, name  # type: ignore[arg-type]


def test_an_operation_that_sets_the_first_apart_wants_another(bench: FamilyBench) -> None:
    """ONE does not."""
    bench.run("SET", "a", "x")
    for name in ("diff", "DIFF1", "andor"):
        text = f"ERR BITOP {name.upper()} must be called with at least two source keys."
        assert error(bench.run("BITOP", name, "to", "a")) == text
    assert bench.run("BITOP", "ONE", "to", "a") == 1
