"""The file of a full sync, and the delays that hold a load or a snapshot, without a reactor."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from tests.net.support import Bench
from txrepl.errors import ReplicationError
from txrepl.net.bulk import SyncFile, key_delay_s


def test_a_delay_is_microseconds_a_key_or_keys_a_microsecond() -> None:
    """Positive and negative values of key-load-delay and rdb-key-save-delay; 0 holds nothing."""
    assert key_delay_s(500, 4) == pytest.approx(0.002)
    assert key_delay_s(-4, 8) == pytest.approx(0.000002)
    assert key_delay_s(0, 1000) == 0


def test_a_sync_file_is_named_after_time_and_process_and_is_gone_when_closed(tmp_path: Path) -> None:
    """What was written can be read from the beginning; closing twice does no harm."""
    file = SyncFile(str(tmp_path), 1_700_000_000)
    assert [path.name for path in tmp_path.iterdir()] == [f"temp-1700000000.{os.getpid()}.rdb"]
    file.write(b"REDIS")
    file.write(b"0009")
    assert file.size_bytes == 9
    assert file.rewind().read() == b"REDIS0009"
    file.close()
    file.close()
    assert list(tmp_path.iterdir()) == []


def test_a_kept_sync_file_takes_the_place_of_the_dump_file(tmp_path: Path) -> None:
    """The old one is gone, the new one has the bytes, and closing leaves it."""
    dump = tmp_path / "dump.rdb"
    dump.write_bytes(b"old")
    file = SyncFile(str(tmp_path), 1)
    file.write(b"new")
    file.rewind()
    file.keep(str(dump))
    file.close()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("dump.rdb", b"new")]


def test_a_disk_that_takes_no_more_is_an_error_of_the_sync(tmp_path: Path) -> None:
    """In Redis's words, with the system's reason; nothing is left behind."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    file = SyncFile(str(tmp_path), 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(
            ReplicationError, match=r"^Write error or short write writing to the DB dump file .*File too"
        ):
            for _ in range(100):
                file.write(b"x" * 1000)
                file.rewind().seek(0, os.SEEK_END)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
        file.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("directive", "expected"), [(True, [True, False]), (False, [True])])
def test_repl_disable_tcp_nodelay_batches_segments_of_replicas_only(directive: bool, expected: list[bool]) -> None:
    """Every connection begins without delay; with the directive, that of a replica is changed for its full sync."""
    bench = Bench()
    bench.node.config.assign("repl-disable-tcp-nodelay", directive)
    calls: list[bool] = []
    client, transport = bench.connect()
    transport.setTcpNoDelay = calls.append
    client.connectionMade()
    client.begin_bulk(client)
    client.end_bulk()
    assert calls == expected
