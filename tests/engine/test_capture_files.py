"""What paths lead to, as the units of a run."""

from pathlib import Path

import pytest
from support.made_captures import pcap

from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.engine.capture_files import divided, find_units
from netwatch.engine.jobs import observations
from netwatch.logs import LogOptions

LINE = "Mar 20 09:00:00 dnsmasq[1]: query[A] www.tiktok.com from 10.20.1.7\n"


def test_files_with_names_of_captures_are_not_opened() -> None:
    files = [CaptureFile("none.pcap"), CaptureFile("none.pcapng.gz")]
    assert divided(files, LogOptions()) == (files, ())
    assert divided(files, LogOptions(only="logs")) == ([], ())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.pcap", "b.pcap"):
        (tmp_path / name).write_bytes(pcap([]))
    (tmp_path / "dnsmasq.log").write_text(LINE * 3)
    return tmp_path


def test_captures_and_logs_are_units(folder: Path) -> None:
    captures, logs = find_units([str(folder)], LogOptions(), counts_flows=True)
    assert [len(files) for files in captures] == [1, 1]
    assert [unit.log.formats for unit in logs] == [("dnsmasq",)]
    assert logs[0].counts_flows


def test_continuous_files_are_one_unit(folder: Path) -> None:
    captures, logs = find_units([str(folder / "*.pcap")], LogOptions(), continuous=True)
    found = [[Path(file.path).name for file in files] for files in captures]
    assert (found, logs) == ([["a.pcap", "b.pcap"]], [])


def test_observations_of_paths(folder: Path) -> None:
    statistics = RunStatistics()
    found = [batch.count for batch in observations([str(folder), "none.pcap"], statistics)]
    assert sum(found) == 3
    assert statistics.unread == ["none.pcap: no such file or folder"]
