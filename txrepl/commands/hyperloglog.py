"""HyperLogLog commands. A HyperLogLog is a string; its bytes are `keyspace.hyperloglog`'s matter.

PFCOUNT of one key and PFDEBUG write too: what they change (the kept estimate, the encoding) is part of the string,
so it goes into the stream as the command itself.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import Final

from txrepl.commands.session import Session
from txrepl.commands.table import Family, KeySpec, key_at, keys_from
from txrepl.errors import CommandError
from txrepl.keyspace.database import Event
from txrepl.keyspace.hyperloglog import REGISTERS, HyperLogLog, estimate, greatest, pack
from txrepl.keyspace.values import changed_in_place
from txrepl.resp.replies import OK, Reply

family = Family("hyperloglog")


@family.command(
    "pfadd",
    -2,
    "write denyoom fast",
    key_at(1, "RW INSERT"),
    since="2.8.9",
    summary="Counts elements in a HyperLogLog.",
    complexity="O(1) for each element.",
)
def pfadd(s: Session, argv: list[bytes]) -> Reply:
    """PFADD key [element …]; a new key counts as a change. What was added before a corrupt place is met stays."""
    db, key = s.db, argv[1]
    value = db.write_string(key)
    sketch = HyperLogLog() if value is None else HyperLogLog(value)
    limit = s.keyspace.limits.hll_sparse_bytes
    updated = int(value is None)
    try:
        for i in range(2, len(argv)):
            updated += sketch.add(argv[i], limit)
    except CommandError:
        if updated:
            db.put(key, changed_in_place(sketch.data))
        raise
    if not updated:
        return 0
    sketch.invalidate()
    db.put(key, changed_in_place(sketch.data))
    db.changed(key, Event.STRING, b"pfadd", updated)
    return 1


@family.command(
    "pfcount",
    -2,
    "readonly may_replicate",
    KeySpec(
        "RW ACCESS",
        1,
        last=-1,
        note="RW because it may change the internal representation of the key, and propagate to replicas",
    ),
    since="2.8.9",
    summary="Estimates how many different elements were counted.",
    complexity="O(1) for one key whose estimate is kept, else O(N), N being the number of keys.",
)
def pfcount(s: Session, argv: list[bytes]) -> Reply:
    """PFCOUNT key [key …]; of several keys it is the union's, of one it is kept in the string."""
    if len(argv) > 2:
        return estimate(_union(s, argv[1:])[0])
    db, key = s.db, argv[1]
    value = db.read_string(key)
    if value is None:
        return 0
    sketch = HyperLogLog(value)
    kept = sketch.cardinality
    if kept is not None:
        return kept
    cardinality = estimate(sketch.registers())
    sketch.keep(cardinality)
    db.put(key, changed_in_place(sketch.data))
    db.touch(key)
    s.keyspace.dirty += 1
    return cardinality


def _union(s: Session, keys: list[bytes]) -> tuple[bytes, bool]:
    """The registers of all keys together, and whether one of them is dense; absent keys are empty.

    Raises:
        CommandError: a key holds no HyperLogLog, or a corrupt one.
    """
    registers, dense = bytes(REGISTERS), False
    for key in keys:
        value = s.db.read_string(key)
        if value is not None:
            sketch = HyperLogLog(value)
            dense = dense or sketch.is_dense
            registers = greatest(registers, sketch.registers())
    return registers, dense


@family.command(
    "pfmerge",
    -2,
    "write denyoom",
    key_at(1, "RW ACCESS INSERT"),
    keys_from(2, "RO ACCESS"),
    since="2.8.9",
    summary="Unites HyperLogLogs in the first one.",
    complexity="O(N), N being the number of keys.",
)
def pfmerge(s: Session, argv: list[bytes]) -> Reply:
    """PFMERGE destkey [sourcekey …]; the result is dense if one of them is."""
    db, key = s.db, argv[1]
    registers, dense = _union(s, argv[1:])
    value = db.write_string(key)
    sketch = HyperLogLog() if value is None else HyperLogLog(value)
    if dense:
        sketch.make_dense()
    sketch.raise_all(registers, s.keyspace.limits.hll_sparse_bytes)
    sketch.invalidate()
    db.put(key, changed_in_place(sketch.data))
    db.changed(key, Event.STRING, b"pfadd")
    return OK


# -- debugging --------------------------------------------------------------------------------------------------


@family.command(
    "pfdebug",
    3,
    "write denyoom admin",
    key_at(2, "RW ACCESS"),
    since="2.8.9",
    summary="Looks into a HyperLogLog.",
    complexity="N/A",
)
def pfdebug(s: Session, argv: list[bytes]) -> Reply:
    """PFDEBUG GETREG | DECODE | ENCODING | TODENSE key; GETREG makes it dense too."""
    value = s.db.write_string(argv[2])
    if value is None:
        raise CommandError("ERR The specified key does not exist")
    sketch = HyperLogLog(value)
    action = argv[1].lower()
    if action == b"getreg":
        _make_dense(s, argv[2], sketch)
        return [*sketch.registers()]
    if action == b"decode":
        if sketch.is_dense:
            raise CommandError("ERR HLL encoding is not sparse")
        return sketch.decode()
    if action == b"encoding":
        return "dense" if sketch.is_dense else "sparse"
    if action == b"todense":
        return _make_dense(s, argv[2], sketch)
    raise CommandError(b"ERR Unknown PFDEBUG subcommand '%b'" % argv[1].partition(b"\0")[0])


def _make_dense(s: Session, key: bytes, sketch: HyperLogLog) -> int:
    """Make a key's HyperLogLog dense; 1 if it was not. It is a change that nobody is told of but the replicas."""
    if sketch.is_dense:
        return 0
    sketch.make_dense()
    s.db.put(key, changed_in_place(sketch.data))
    s.keyspace.dirty += 1
    return 1


_TEST_ELEMENTS: Final = 10_000
_TOLERATED_ERRORS: Final = 6


@family.command(
    "pfselftest",
    1,
    "admin",
    since="2.8.9",
    summary="Tests the HyperLogLogs.",
    complexity="N/A",
)
def pfselftest(s: Session, argv: list[bytes]) -> Reply:
    """PFSELFTEST: registers at random, and estimates of up to 10^4 elements (Redis: 10^7, which would stall us)."""
    rng = s.keyspace.rng
    limit = s.keyspace.limits.hll_sparse_bytes
    registers = bytes(rng.choices(range(64), k=REGISTERS))
    dense = HyperLogLog()
    dense.make_dense()
    for index, value in enumerate(registers):
        dense.set(index, value, limit)
    if dense.registers() != registers or dense.data[-len(pack(registers)) :] != pack(registers):
        raise CommandError("ERR TESTFAILED a register is not what it was set to")
    dense, sketch = HyperLogLog(), HyperLogLog()
    dense.make_dense()
    seed = rng.getrandbits(64)
    checkpoint = 1
    for number in range(1, _TEST_ELEMENTS + 1):
        element = (number ^ seed).to_bytes(8, "little")
        dense.add(element, limit)
        sketch.add(element, limit)
        if number != checkpoint:
            continue
        if number < limit // 2 and sketch.is_dense:
            raise CommandError("ERR TESTFAILED sparse encoding not used")
        cardinality = estimate(dense.registers())
        if cardinality != estimate(sketch.registers()):
            raise CommandError("ERR TESTFAILED dense/sparse disagree")
        error = abs(number - cardinality)
        tolerated = 1 if number == 10 else ceil(1.04 / sqrt(REGISTERS) * _TOLERATED_ERRORS * number)
        if error > tolerated:
            raise CommandError(f"ERR TESTFAILED Too big error. card:{number} abserr:{error}")
        checkpoint *= 10
    return OK
