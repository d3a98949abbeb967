"""Files that real servers wrote are read to the digest that real servers print for them."""

from __future__ import annotations

import pytest

from tests.rdb.support import (
    SAMPLES,
    Fill,
    copy_of,
    expectations,
    read_every_way,
    read_pieces,
)
from txrepl.keyspace.digest import dataset_digest
from txrepl.keyspace.values import type_name
from txrepl.rdb import RdbReader


def digests(rdb: bytes) -> tuple[str, str]:
    """DEBUG DIGEST of a file's data, in the form of 7.2 and in that of 7.0."""
    reader, sink = RdbReader(), Fill()
    for at in range(0, len(rdb), 16384):
        reader.feed(rdb[at : at + 16384], sink)
    reader.finish()
    return dataset_digest(sink.keyspace), dataset_digest(sink.keyspace, legacy=True)


@pytest.mark.parametrize("name", sorted(expectations()))
def test_samples_are_read_with_an_equal_digest(name: str) -> None:
    """Redis 5.0, 7.2 and 7.4; in every split; and so is what we write of them."""
    known = expectations()[name]
    rdb = (SAMPLES / name).read_bytes()
    record = read_every_way(rdb)
    types: dict[str, int] = {}
    for value in record.values:
        types[type_name(value)] = types.get(type_name(value), 0) + 1
    assert len(record.keys) == known["keys"] and types == known["types"]
    assert digests(rdb)[0] == known["digest"]
    if "digest_legacy" in known:
        assert digests(rdb)[1] == known["digest_legacy"]
    for version in (12, 80):
        anew = copy_of(rdb, version=version, dialect="valkey" if version == 80 else "redis")
        assert read_pieces([anew])[0].keys == record.keys
    assert any(other[0] == "function" for other in record.others) == ("5.0" not in name)
