"""What is said of a log before it is followed."""

import os
import shutil
import socket
from datetime import UTC
from ipaddress import ip_network
from pathlib import Path

import pytest
from support.resolver_logs import SAMPLES

from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.flow_export.known_exporters import Exporters, KnownExporter
from netwatch.live.source_openers import log_opener
from netwatch.logs import LogOptions
from netwatch.logs.live.feed import examine
from netwatch.logs.records import LogFlow

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


def test_followed_files_name_exporters_of_the_configuration(tmp_path: Path) -> None:
    router = KnownExporter()
    router.address, router.sampling = ip_network("10.0.0.1"), 64
    path = tmp_path / "flows.json"
    record = (
        '{{"type":"FLOW","first":"2026-11-29T11:00:00.000","last":"2026-11-29T11:00:01.000",'
        '"in_packets":5,"in_bytes":717,"proto":6,"src4_addr":"10.20.6.20","src_port":{port},'
        '"dst4_addr":"192.0.2.81","dst_port":443,"ip4_router":"{router}"}}\n'
    )
    path.touch()
    opener = log_opener([str(path)], LogOptions(zone=UTC), Exporters([router]))
    feed = opener.open({}, RunStatistics())
    items = [*feed.read(0.1)]
    path.write_text(
        record.format(port=40100, router="10.0.0.1") + record.format(port=40101, router="10.0.0.2")
    )
    for _ in range(10):
        items += feed.read(0.1)
    items += feed.finish(resuming=False)
    feed.close()
    found = {
        each.entry.client.port: each.entry.sampling
        for each in items
        if isinstance(each.entry, LogFlow)
    }
    assert found == {40100: 64, 40101: 1}
