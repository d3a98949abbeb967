"""DEBUG DIGEST gives what live servers gave for the same data; the numbers here are theirs."""

from __future__ import annotations

import random
from collections import deque

import pytest

from tests.support import stream_of
from txrepl.keyspace.database import Keyspace
from txrepl.keyspace.digest import dataset_digest, dataset_digest_steps, value_digest, value_digest_steps
from txrepl.keyspace.streams import StreamValue
from txrepl.keyspace.values import HashValue, ListValue, SetValue, SortedSetValue, Value

FAR_MS = 32_503_680_000_000


def stream() -> StreamValue:
    return stream_of({(1, 1): (b"f", b"v"), (2, 0): (b"a", b"1", b"b", b"2")})


def values() -> dict[bytes, Value]:
    return {
        b"string": b"hello",
        b"number": b"12345",
        b"list": ListValue(deque([b"a", b"b", b"1"])),
        b"set": SetValue({b"x", b"y", b"7"}),
        b"zset": SortedSetValue({b"a": 1.0, b"b": 0.1, b"c": 1e22, b"d": float("inf"), b"e": 3e-05}),
        b"hash": HashValue({b"f": b"v", b"g": b"1"}),
        b"stream": stream(),
    }


VALUE_DIGESTS = {
    b"string": "36b23a1456b2dce2c3ed252c456761301dba8060",
    b"number": "e1cf90774e995ae03de66e8109dc5cb9d9c2dc83",
    b"list": "981fd62c1655c074205cff40b800bd5a5bfdcd41",
    b"set": "a6afcc473373536adb071da403abcb70a693d104",
    b"zset": "09194f5fe3db90454b9ab5db5675dff7a5bfa8a1",
    b"hash": "6679ee22f89ed8001eeb5309d0900265ea56c03a",
    b"stream": "d21821590082695f7625884f502b6400de6c9196",
}
ZSET_BEFORE_72 = "cef6e115f207ac08c8fd79b37f5094e7594ba453"
EXPIRING_STRING = "d037c4eb8a8b36b602fbced4000daeab0714c1e3"
DATASET = "403cced0a6832fc403868622fdd736c7c5eac4e5"
DATASET_BEFORE_72 = "86e6d279c44926d043814a835e4b5b8787cbec5e"


def keyspace() -> Keyspace:
    made = Keyspace(16, random.Random(1))
    for number in (0, 9):
        for key, value in values().items():
            made.databases[number].put(key, value)
    made.databases[9].set_expire(b"string", FAR_MS)
    return made


@pytest.mark.parametrize("name", sorted(VALUE_DIGESTS))
def test_every_type_has_the_digest_of_live_servers(name: bytes) -> None:
    """DEBUG DIGEST-VALUE as Redis 7.0 and Valkey 9 printed it."""
    assert value_digest(values()[name]) == VALUE_DIGESTS[name]


def test_scores_are_printed_in_the_older_form_when_asked() -> None:
    """Redis 7.0 prints 0.1 with 17 digits before it hashes it."""
    assert value_digest(values()[b"zset"], legacy=True) == ZSET_BEFORE_72


def test_a_deadline_counts_but_not_its_time() -> None:
    """Two keys that expire at different times have one digest, a key that does not has another."""
    assert value_digest(b"hello", FAR_MS) == value_digest(b"hello", FAR_MS + 1) == EXPIRING_STRING
    assert value_digest(b"hello") != EXPIRING_STRING


def test_a_dataset_of_two_databases_has_the_digest_of_live_servers() -> None:
    """DEBUG DIGEST as Valkey 9 and, in the older form, Redis 7.0 printed it."""
    assert dataset_digest(keyspace()) == DATASET
    assert dataset_digest(keyspace(), legacy=True) == DATASET_BEFORE_72


def test_an_empty_dataset_is_forty_zeros() -> None:
    """No key, no digest."""
    assert dataset_digest(Keyspace(16, random.Random(1))) == "0" * 40


def test_the_order_of_keys_does_not_matter() -> None:
    """The same keys put in the other order give the same digest."""
    there, back = Keyspace(1, random.Random(1)), Keyspace(1, random.Random(1))
    for key, value in values().items():
        there.databases[0].put(key, value)
    for key, value in reversed(values().items()):
        back.databases[0].put(key, value)
    assert dataset_digest(there) == dataset_digest(back)


def test_fields_that_expire_count_as_in_redis_74_unless_told_otherwise() -> None:
    """Valkey leaves them out: then the hash has the digest of one without deadlines."""
    plain, expiring = HashValue({b"f": b"v"}), HashValue({b"f": b"v"}, {b"f": FAR_MS})
    assert value_digest(expiring) != value_digest(plain)
    assert value_digest(expiring, field_deadlines=False) == value_digest(plain)


@pytest.mark.parametrize("every", [1, 3, 1000])
def test_slices_count_every_key_once_and_end_in_the_same_digest(every: int) -> None:
    """The generator yields at most `every` keys at a time."""
    steps = dataset_digest_steps(keyspace(), every=every)
    counted = []
    while True:
        try:
            counted.append(next(steps))
        except StopIteration as stop:
            assert stop.value == DATASET
            break
    assert sum(counted) == 14 and max(counted) <= every


def run_steps(value: Value, every: int) -> tuple[str, int]:
    """The digest that the slices give, and how many there were."""
    steps = value_digest_steps(value, every=every)
    for count in range(1_000_000):
        try:
            next(steps)
        except StopIteration as stop:
            return f"{stop.value:040x}", count
    raise AssertionError("it never ends")


@pytest.mark.parametrize("name", VALUE_DIGESTS)
def test_a_value_in_slices_has_the_same_digest(name: bytes) -> None:
    """One element at a time, or all at once."""
    for every in (1, 1000):
        assert run_steps(values()[name], every)[0] == VALUE_DIGESTS[name]


def test_large_values_come_in_as_many_slices_as_they_need() -> None:
    """Elements are counted, and the KiB of a string."""
    large = ListValue(deque(b"%d" % number for number in range(2500)))
    assert run_steps(large, 1000) == (value_digest(large), 3)
    text = bytes(range(256)) * 40
    assert run_steps(text, 4) == (value_digest(text), 3)


def test_a_value_that_grows_between_slices_says_so() -> None:
    """Its digest would be of no state that it ever had."""
    value = SetValue({b"%d" % number for number in range(100)})
    steps = value_digest_steps(value, every=10)
    next(steps)
    value.members.add(b"more")
    with pytest.raises(RuntimeError):
        next(steps)
