"""What is said of a log before it is followed."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from support.resolver_logs import SAMPLES

from netwatch.core.errors import NetwatchError
from netwatch.live.source_openers import log_opener
from netwatch.logs.live.feed import examine
from netwatch.logs.times import LogOptions

UNBOUND = "[1795746910] unbound[1:0] info: 10.0.0.12 www.example.org. A IN NOERROR 0.01 0 60\n"


def test_files(tmp_path: Path) -> None:
    log = tmp_path / "unbound.log"
    assert examine(str(log)) == (False, "there is no such file; it is read once it appears", ())
    log.touch()
    assert examine(str(log)) == (True, "is empty so far", ())
    log.write_text(UNBOUND)
    assert examine(str(log)) == (True, "a log of Unbound, queries and replies", ())
    assert examine(str(tmp_path))[:2] == (
        True,
        "unbound.log: a log of Unbound, queries and replies",
    )
    log.write_bytes(b"SQLite format 3\0" + bytes(100))
    is_ok, text, _ = examine(str(log))
    assert not is_ok
    assert text == "it cannot be read as an SQLite database: file is not a database"
    shutil.copy(SAMPLES / "pihole-ftl" / "v22.db", log)
    assert examine(str(log))[:2] == (True, "a log of Pi-hole FTL, the database of queries")
    for head, what in (
        (b"ElfFile\0", "is a Windows event log, which is only scanned: "),
        (b"\x1f\x8b", "is compressed, so that nothing is added to it: "),
    ):
        log.write_bytes(head + bytes(100))
        assert examine(str(log))[0] is False
        assert examine(str(log))[1].startswith(what)
    log.write_bytes(UNBOUND.encode("utf-16"))
    assert examine(str(log)) == (True, "a log of Unbound, queries and replies", ())
    log.write_bytes(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"))
    assert examine(str(log))[:2] == (False, "is a capture, which --source file reads")


def test_receivers(tmp_path: Path) -> None:
    assert examine(f"dnstap+unix://{tmp_path / 'd.sock'}")[0]
    assert not (tmp_path / "d.sock").exists()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        is_ok, text, _ = examine(f"syslog+tcp://:{port}")
    assert (is_ok, text) == (False, "cannot listen: Address already in use")
    assert examine("syslog+tcp://resolver")[0] is False


def test_database_may_be_named_as_a_log(tmp_path: Path) -> None:
    log_opener([str(SAMPLES / "pihole-ftl" / "v22.db")], LogOptions()).release()
    (tmp_path / "other.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    os.utime(tmp_path / "other.db", (1, 1))
    with pytest.raises(NetwatchError, match="it cannot be read as an SQLite database"):
        log_opener([str(tmp_path / "other.db")], LogOptions())
