"""Logs that are not plain text, read anew for evidence: compressed, UTF-16, and binary ones."""

import bz2
import codecs
import gzip
import lzma
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from support import fake_log
from support.resolver_logs import SAMPLES

from netwatch.config import load
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.incidents.scan import ScanIncidents
from netwatch.verify.log_contents import Found, look_up
from netwatch.verify.log_lines import check_lines, read_lines, shows

LINES = b"\xef\xbb\xbffirst\r\n" + b"x" * 100 + b"\nwww.tiktok.com\nlast"


def zstd_in_frames(data: bytes) -> bytes:
    """As ``pzstd`` writes it: a frame to skip, then one for each part."""
    frames = [zstandard.compress(data[:9]), zstandard.compress(data[9:])]
    return b"\x50\x2a\x4d\x18\4\0\0\0abcd" + b"".join(frames)


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, bz2.compress, lzma.compress, zstandard.compress, zstd_in_frames,
     lz4.frame.compress, lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:])],
)  # fmt: skip
def test_lines_of_a_log_however_it_is_packed(
    compress: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(compress(LINES))
    assert look_up(path, dict.fromkeys((1, 3, 4, 5), b"")) == {
        1: Found(b"first\r"), 3: Found(b"www.tiktok.com"), 4: Found(b"last")}  # fmt: skip


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_lines_in_utf_16(mark: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    path.write_bytes(mark + "caf\xe9\r\n\u0a00www\n".encode(encoding))
    assert look_up(path, {1: b"", 2: b""}) == {
        1: Found("caf\xe9\r".encode()), 2: Found("\u0a00www".encode())}  # fmt: skip


def evidence(log: Path, name: str) -> list[tuple[str, str, str]]:
    """What `verify` says of the evidence of a log, and after it was changed by `log`."""
    site = load(None)
    proof = EvidenceFolder(log.parent / "proof", pytest.fail)
    with ScanIncidents(site.quiet_gap) as incidents:
        unit = fake_log.unit(log, name=name)
        jobs.scan([], site, RunStatistics(), incidents, logs=[unit], keep_frames=True)
        for alert in incidents.result(None, site.sensor).alerts:
            proof.write(alert)
    return again(log)


def again(log: Path) -> list[tuple[str, str, str]]:
    files = sorted((log.parent / "proof").glob("*.lines"))
    return [(each.piece.name, each.result, each.found)
            for file in files for each in check_lines(*read_lines(file))]  # fmt: skip


def test_rows_of_a_database_are_found_by_their_key(tmp_path: Path) -> None:
    """Rows that were deleted before do not matter, nor does a log that is still written."""
    log = tmp_path / "pihole-FTL.db"
    shutil.copy(SAMPLES / "pihole-ftl" / "v17.db", log)
    found = evidence(log, "pihole-ftl")
    assert found
    assert {result for _, result, _ in found} == {"shown"}
    with closing(sqlite3.connect(log)) as running:
        running.execute("PRAGMA journal_mode = WAL")
        running.execute("UPDATE query_storage SET status = 10 WHERE id = 2")
        running.commit()
        before = sorted(each.name for each in tmp_path.iterdir())
        changed = again(log)
        assert before == sorted(each.name for each in tmp_path.iterdir())
        assert {text for _, result, text in changed if result == "differs"} == {
            "another record; the log was changed since it was read"}  # fmt: skip
        running.execute("UPDATE domain_by_id SET domain = 'www.example.org'")
        running.execute("DELETE FROM query_storage WHERE id = 2")
        running.commit()
        texts = {text for _, result, text in again(log) if result == "differs"}
        assert "no such record; the log was changed since it was read" in texts
        assert "the record is as it was, and does not have the name" in texts


def test_frames_of_dnstap(tmp_path: Path) -> None:
    log = tmp_path / "x.dnstap"
    shutil.copy(SAMPLES / "dnstap" / "resolver.dnstap", log)
    found = evidence(log, "dnstap")
    assert found
    assert {result for _, result, _ in found} == {"shown"}
    log.write_bytes(re.sub(rb"(?i)\x06tiktok", b"\x06tikt0k", log.read_bytes()))
    for name, result, _ in again(log):
        assert result == ("differs" if ".tiktok." in f".{name}" else "shown")
    log.write_bytes(gzip.compress((SAMPLES / "dnstap" / "resolver.dnstap").read_bytes()))
    assert {result for _, result, _ in again(log)} == {"shown"}


def test_what_is_not_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.log"
    assert look_up(path, {1: b""}) == "the log is not where it was"
    path.write_bytes(gzip.compress(LINES * 1000)[:40])
    assert "cannot be read: Compressed file ended" in str(look_up(path, {4000: b""}))
    path.write_bytes(b"ElfFile\0" + bytes(100))
    assert "the log cannot be read" in str(look_up(path, {1: b""}))
    monkeypatch.setitem(__import__("sys").modules, "evtx", None)
    assert look_up(path, {1: b""}) == "the log cannot be read without the package evtx"
    path.write_bytes(b"SQLite format 3\0" + bytes(100))
    assert "the log cannot be read" in str(look_up(path, {1: b'{"_table":"queries","id":1}'}))
    assert look_up(path, {1: b'{"_table":"x","id":1}'}) == "rows of the table x are not read"
    assert look_up(path, {1: b"[]"}) == "the evidence is no row with a key"


@pytest.mark.parametrize(
    ("record", "kind", "name", "is_shown"),
    [
        (b"query[A] WWW.TikTok.com from", "dns-query", "www.tiktok.com", True),
        (b"(3)www(6)tiktok(3)com(0)", "dns-query", "www.tiktok.com", True),
        (b"(3)www(6)tiktok(3)com(2)de(0)", "dns-query", "www.tiktok.com", False),
        (b'{"log":"\\nwww.tiktok.com."', "dns-query", "www.tiktok.com", True),
        (b"https://www.tiktok.com:443/", "http-host", "www.tiktok.com", True),
        (b"www.tiktok.com.example.org", "dns-query", "www.tiktok.com", False),
        (b"my-www.tiktok.com", "dns-query", "www.tiktok.com", False),
        (b"a.www.tiktok.com", "dns-query", "www.tiktok.com", False),
        (b"www.tiktok.communist", "dns-query", "www.tiktok.com", False),
        ("host=b\xfccher.example".encode(), "dns-query", "xn--bcher-kva.example", True),
        (b'PacketData=0x123401000001000000000000037777770654696B546F6B03636F6D0000010001;',
         "dns-query", "www.tiktok.com", True),
    ],
)  # fmt: skip
def test_which_names_a_record_shows(record: bytes, kind: str, name: str, is_shown: bool) -> None:
    assert shows(record, kind, name) == is_shown


@given(st.binary(max_size=300), st.sampled_from(["dns-query", "dns-cname"]))
def test_any_bytes_as_a_record(record: bytes, kind: str) -> None:
    assert not shows(record, kind, "www.tiktok.com") or b"tiktok" in record.lower()


@given(st.sampled_from([b"", b"\0\0\0\0", b"\xff\xfe", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18",
                        b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"SQLite format 3\0", b"ElfFile\0"]),
       st.binary(max_size=300))  # fmt: skip
def test_any_bytes_as_a_log(tmp_path_factory: pytest.TempPathFactory, head: bytes, rest: bytes
) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "any.log"
    path.write_bytes(head + rest)
    found = look_up(path, {1: b"x", 2: b'{"_table":"queries","id":1}'})
    assert isinstance(found, str) or set(found) <= {1, 2}
