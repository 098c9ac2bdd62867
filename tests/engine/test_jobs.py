"""Several captures at once give the same result as one after the other, to the byte."""

import io
import sys
from pathlib import Path

import pytest
from craft import Wire
from support.captures import pcap, timed
from support.frames import ETHERNET, udp
from support.observing import observations
from support.office import (
    DURING,
    FAR,
    PERSONAL,
    SERVICE,
    capture,
    configured,
    hello,
    lookup,
    one_hello,
)
from support.traffic import mixed

from netwatch import config
from netwatch.capture.files import CaptureFile, find_captures
from netwatch.core.alert import Sensor
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.engine.capture_files import group_files
from netwatch.engine.observe import BATCH_ROWS
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents

SENSOR = Sensor("test", "0")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captures of different lengths with incidents that overlap; one is broken, one truncated."""
    made = tmp_path_factory.mktemp("captures")
    for number in range(4):
        wire = Wire(DURING, number)
        wire.wait(600 * (3 - number))
        for _ in range(20 * (4 - number)):
            lookup(wire, SERVICE, name=f"n{number}.example.org")
        hello(wire, SERVICE, FAR)
        lookup(wire, PERSONAL)
        capture(made / f"{number}.pcap", wire)
    capture(made / "mixed.pcap", mixed())
    (made / "broken.pcap").write_bytes(b"nothing of the kind")
    whole = (made / "0.pcap").read_bytes()
    (made / "cut.pcap").write_bytes(whole[:-9])
    (made / "notes.txt").write_text("not a capture")
    return made


def captures(folder: Path) -> list[list[CaptureFile]]:
    return [list(files) for files in group_files(find_captures([str(folder)]), continuous=False)]


ROWS = [FORMATS[kind] for kind in ("jsonl", "csv", "table")]


def test_names_come_in_the_order_of_the_captures(folder: Path) -> None:
    out = {}
    for workers in (1, 2):
        streams, statistics = [io.StringIO() for _ in ROWS], RunStatistics()
        writers = [row.writer(stream) for row, stream in zip(ROWS, streams, strict=True)]
        for batch in jobs.names(captures(folder), statistics, workers=workers):
            for writer in writers:
                writer.observations(batch)
        for writer in writers:
            writer.end()
        out[workers] = ([stream.getvalue() for stream in streams], statistics)
    assert out[1] == out[2]
    assert all(text.count("n0.example.org") >= 80 for text in out[1][0])


def test_alerts_are_the_same(folder: Path, tmp_path: Path) -> None:
    site = config.load(configured(tmp_path))
    out = {}
    for workers in (1, 2, 50):
        streams, statistics = [io.StringIO() for _ in ROWS], RunStatistics()
        incidents = ScanIncidents(site.quiet_gap)
        jobs.scan(captures(folder), site, statistics, incidents, workers=workers)
        result = incidents.result(site.geo, SENSOR)
        writers = [row.writer(stream) for row, stream in zip(ROWS, streams, strict=True)]
        for alert in result.alerts:
            for writer in writers:
                writer.alert(alert)
        for writer in writers:
            writer.end()
        out[workers] = ([stream.getvalue() for stream in streams], statistics, result.by_verdict)
    assert out[1] == out[2] == out[50]
    assert out[1][2] == {"advisory": 1, "violation": 1}
    assert len(out[1][1].unread) == 1


def test_more_observations_than_a_batch(tmp_path: Path) -> None:
    query = ETHERNET.frame(udp(mixed().frames[0][1][42:]))
    paths = []
    for number, count in enumerate((BATCH_ROWS, 2 * BATCH_ROWS + 1, 0)):
        path = tmp_path / f"{number}.pcap"
        path.write_bytes(pcap(timed([query] * count)))
        paths.append([CaptureFile(str(path))])
    statistics = RunStatistics()
    found = list(observations(jobs.names(paths, statistics, workers=2)))
    assert [each.packet for each in found] == [
        *range(1, BATCH_ROWS + 1),
        *range(1, 2 * BATCH_ROWS + 2),
    ]
    assert statistics.packets == 3 * BATCH_ROWS + 1


def test_no_captures_give_no_results(tmp_path: Path) -> None:
    assert list(jobs.names([], RunStatistics(), workers=4)) == []
    office = config.load(configured(tmp_path))
    incidents = ScanIncidents(office.quiet_gap)
    jobs.scan([], office, RunStatistics(), incidents, workers=4)
    assert list(incidents.result(None, SENSOR).alerts) == []


def test_a_consumer_that_stops_early_leaves_no_files_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    found = jobs.names(captures(folder), RunStatistics(), workers=2)
    next(found)
    assert list(place.iterdir()) != []
    found.close()
    assert list(place.iterdir()) == []


def test_standard_input_is_read_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = capture(tmp_path / "a.pcap", one_hello(DURING))
    with Path(path).open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        found = list(
            observations(
                jobs.names(
                    [find_captures(["-"]), find_captures([path])], RunStatistics(), workers=2
                )
            )
        )
    assert [each.source for each in found] == ["-", path]
