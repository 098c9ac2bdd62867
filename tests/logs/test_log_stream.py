"""Runs of NUL bytes in a log, as a loss of power leaves them: skipped, counted, the rest read."""

import gzip
from pathlib import Path

import pytest
from support.logs import items_of, sample_files

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.logs.recognise import recognise
from netwatch.logs.registry import LOG_FORMATS
from netwatch.verify.log_contents import look_up

(SQUID,) = [path for path in sample_files("squid") if path.name == "native.log"]
LINES = SQUID.read_bytes().splitlines(keepends=True)
LOGS = {
    "at the head": (bytes(300), *LINES),
    "far at the head": (bytes(3_000_000), *LINES),
    "behind a line that was cut": (LINES[0], LINES[1][:30], bytes(3_000_000), *LINES),
    "at the end of a line": (*LINES, LINES[0][:-1], bytes(10), b"\n"),
    "at the end": (*LINES, bytes(2_000_000)),
}


@pytest.mark.parametrize("pieces", LOGS.values(), ids=LOGS)
def test_the_rest_of_a_log_is_read(pieces: tuple[bytes, ...], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(pieces))
    assert recognise(CaptureFile(str(path))).format == "squid"
    statistics = RunStatistics()
    found = items_of(path, "squid", statistics=statistics)
    whole = [(item.entry, item.record) for item in items_of(SQUID, "squid")]
    assert [each for each in whole if each not in [(i.entry, i.record) for i in found]] == []
    assert statistics.anomalies == {"log-nul-bytes": 1}
    assert (statistics.unread, statistics.unread_records) == ([], {})
    # The second reader finds the same records under these numbers.
    wanted = {item.line: item.record for item in found}
    contents = look_up(path, wanted)
    assert not isinstance(contents, str)
    assert {number: each.record for number, each in contents.items()} == wanted


def test_a_compressed_log_too(tmp_path: Path) -> None:
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(bytes(100_000) + SQUID.read_bytes()))
    assert recognise(CaptureFile(str(path))).format == "squid"
    assert len(items_of(path, "squid")) == len(items_of(SQUID, "squid"))


RECOGNISED = [
    name for name, row in LOG_FORMATS.items() if row.container == "lines" and not row.only_if_named
]


@pytest.mark.parametrize("name", RECOGNISED)
def test_each_format_is_recognised_behind_them(name: str, tmp_path: Path) -> None:
    for path in sample_files(name):
        changed = tmp_path / path.name
        changed.write_bytes(bytes(64) + path.read_bytes())
        assert recognise(CaptureFile(str(changed))).format == name


def test_other_bytes_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(32)) + SQUID.read_bytes())
    assert recognise(CaptureFile(str(path))).format is None


def test_utf_16_without_a_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(SQUID.read_text().encode("utf-16-le"))
    assert "iconv -f UTF-16LE" in recognise(CaptureFile(str(path))).doubt
