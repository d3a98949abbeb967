"""SET with IFEQ, DELIFEQ, MSETEX, XREAD with `+`, scans of names alone, beside the only live server that has them."""

from __future__ import annotations

import random

import pytest

from tests.interop.conftest import Run
from tests.interop.differential import Words, run_both
from txrepl.commands import (
    comparisons,
    expire,
    hashes,
    keys,
    lists,
    scan,
    sets,
    sorted_sets,
    streams,
    streams_reads,
    strings,
)

FAMILIES = [
    *(strings.family, comparisons.family, expire.family, keys.family, lists.family),
    *(streams.family, streams_reads.family),
]
FAR_MS = 4_102_444_800_000
KEYS = ["a", "b", "c", "list"]


def random_command(rng: random.Random) -> Words:
    key, value = rng.choice(KEYS), rng.choice("xyz")
    options: Words = []
    names = ["NX", "xx", "GET", "KEEPTTL", "EX", "PXAT", "IFEQ", "ifeq", "bad"]
    for option in rng.sample(names, rng.choice([0, 1, 1, 2, 3])):
        options = [*options, option]
        if option in ("EX", "PXAT", "IFEQ", "ifeq"):
            arguments = {"EX": ["1000", "0", "x"], "PXAT": [FAR_MS, FAR_MS + 1, -1]}.get(option, list("xyz"))
            options = [*options, rng.choice(arguments)]  # type: ignore[arg-type]
    pairs = [word for name in rng.sample(KEYS[:3], rng.randint(1, 3)) for word in (name, rng.choice("xyz"))]
    count = len(pairs) // 2 if rng.random() < 0.9 else rng.choice(["0", "-1", "x", "7", "2147483648"])
    several = [word for word in options if word not in ("IFEQ", "ifeq", "GET")]
    choices: list[Words] = [
        ["SET", key, value, *options],
        ["SET", key, value, *options],
        ["DELIFEQ", key, value],
        ["MSETEX", count, *pairs, *several],
        ["PEXPIRETIME", key],
        ["GET", key],
        ["RPUSH", "list", value],
        ["XADD", "stream", f"{rng.randint(1, 10**6)}-{rng.randint(0, 3)}", "f", value],
        ["XREAD", "COUNT", rng.randint(1, 3), "STREAMS", "stream", "none", "+", "+"],
        ["XTRIM", "stream", "MAXLEN", rng.randint(0, 3)],
    ]
    return rng.choice(choices)


def without_conditions(stream: list[list[bytes]]) -> list[list[bytes]]:
    """Valkey's stream as txrepl writes it: without the conditions that were met, MSETEX as older servers know it."""
    found: list[list[bytes]] = []
    for command in stream:
        upper = [word.upper() for word in command]
        if b"IFEQ" in upper[3:]:
            at = upper.index(b"IFEQ", 3)
            command = command[:at] + command[at + 2 :]
        if command[0] != b"MSETEX":
            found.append(command)
            continue
        end = 2 + 2 * int(command[1])
        option = [word for word in command[end:] if word.upper() not in (b"NX", b"XX")]
        if not option:
            found.append([b"MSET", *command[2:end]])
        else:
            pairs = zip(command[2:end:2], command[3:end:2], strict=True)
            found += [[b"SET", key, value, *option] for key, value in pairs]
    return found


@pytest.mark.parametrize("proto", [2, 3])
def test_random_conditions_are_met_as_on_valkey(run: Run, proto: int) -> None:
    """Replies, errors, data and events are the same; so is the stream, but for the conditions in Valkey's."""
    rng = random.Random(60 + proto)
    commands = [random_command(rng) for _ in range(1500)]
    run_both(run("valkey9"), FAMILIES, commands, proto, written=without_conditions)


@pytest.mark.parametrize("proto", [2, 3])
def test_scans_of_fields_and_members_alone_are_those_of_valkey(run: Run, proto: int) -> None:
    """NOVALUES is HSCAN's, NOSCORES ZSCAN's, and of no other scan."""
    options = ([], ["NOVALUES"], ["noscores"], ["NOVALUES", "COUNT", 5], ["MATCH", "a*", "NoScores"], ["NOVALUES", "x"])
    scans = [[name, key, 0] for name in ("HSCAN", "ZSCAN", "SSCAN") for key in ("h", "z", "s", "none")]
    commands: list[Words] = [
        ["HSET", "h", "a", 1, "b", 2, "ab", 3],
        ["ZADD", "z", 1, "a", 2, "b"],
        ["SADD", "s", "a"],
        *([*words, *more] for words in [*scans, ["SCAN", 0]] for more in options if more or words[0] != "SCAN"),
    ]
    families = [hashes.family, sorted_sets.family, sets.family, scan.family]
    run_both(run("valkey9"), families, commands, proto)
