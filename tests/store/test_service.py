"""The writer of a live capture: what it keeps, what it drops, and its maintenance."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import PCAPS
from support.stored_facts import catalogue_rows, facts, on_disk
from support.waiting import wait_until

from netwatch import config as configuration
from netwatch.capture.files import CaptureFile
from netwatch.core.statistics import RunStatistics
from netwatch.engine.capture_files import read_blocks
from netwatch.engine.facts_process import FactsProcess
from netwatch.engine.record_facts import Recorder
from netwatch.store import service
from netwatch.store.options import Retention, StoreOptions

CAPTURE = CaptureFile(str(PCAPS / "five-kinds.pcap"))


class Live:
    """The writer of a live capture with the store in `folder`, and what it reported."""

    def __init__(self, folder: Path, retention: Retention | None = None) -> None:
        self.store = folder
        self.reported: list[str] = []
        options = StoreOptions(str(folder), retention=retention or Retention())
        self.process = FactsProcess(options, "live", configuration.load(), self.reported.append)
        self.statistics = RunStatistics()

    def record(self, position: int = 0) -> Recorder:
        """Record a capture, whose end is not said."""
        recorder = self.process.recording.recorder(position, (), self.statistics)
        for block, source in read_blocks([CAPTURE], RunStatistics()):
            recorder.process(block, source)
        recorder.checkpoint(1 << 62)
        return recorder

    @property
    def writer(self) -> int:
        pid = self.process._process.pid
        assert pid is not None
        return pid


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A writer that does everything soon."""
    monkeypatch.setattr(service, "FLUSH_INTERVAL", 0.1)
    monkeypatch.setattr(service, "RETRY_INTERVAL", 0.1)
    return


def _landing(store: Path) -> int:
    return int(catalogue_rows(store, "SELECT count(*) FROM file")[0][0])


@pytest.mark.usefixtures("quick")
def test_rows_are_written_soon(tmp_path: Path) -> None:
    """However few they are, and while the capture goes on."""
    live = Live(tmp_path)
    with live.process:
        recorder = live.record()
        wait_until(lambda: live.process.stored == live.statistics.recorded_rows > 0)
        assert len(facts(tmp_path, "observation")) == 192
        assert catalogue_rows(tmp_path, "SELECT state FROM capture") == [("open",)]
        recorder.finish()
        live.process.end_live()
    assert catalogue_rows(tmp_path, "SELECT state FROM capture") == [("complete",)]
    assert live.reported == []


@pytest.mark.usefixtures("quick")
def test_files_are_merged_and_pruned_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The maintenance runs beside the writer."""
    with Live(tmp_path).process as process:
        assert process.recording.is_live
    live = Live(tmp_path)
    with live.process:
        first = live.record(0)
        wait_until(lambda: _landing(tmp_path) == 2)
        second = live.record(1)
        wait_until(lambda: live.process.stored == live.statistics.recorded_rows)
        wait_until(lambda: _landing(tmp_path) == 4)
        first.finish()
        second.finish()
        live.process.end_live()
    monkeypatch.setattr(service, "MAINTENANCE_INTERVAL", 0.1)
    merging = Live(tmp_path)
    with merging.process:
        wait_until(lambda: _landing(tmp_path) == 2)
        merging.process.end_live()
    assert len(facts(tmp_path, "observation")) == 2 * 192
    pruning = Live(tmp_path, Retention(observations=86_400))
    with pruning.process:
        wait_until(lambda: _landing(tmp_path) == 0)
        pruning.process.end_live()
    assert on_disk(tmp_path) == set()


@pytest.mark.usefixtures("quick")
def test_what_does_not_fit_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows beyond the limit are lost while nothing can be written, and those kept are written."""
    monkeypatch.setattr(service, "KEPT_ROWS", 300)
    live = Live(tmp_path)
    with live.process:
        resource.prlimit(live.writer, resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        recorders = [live.record(0), live.record(1)]
        wait_until(lambda: live.process.lost > 0)
        live.process.poll()
        assert any("cannot be written to" in text for text in live.reported)
        endless = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(live.writer, resource.RLIMIT_FSIZE, endless)
        recorded = live.statistics.recorded_rows
        wait_until(lambda: live.process.stored + live.process.lost == recorded)
        for recorder in recorders:
            recorder.finish()
        live.process.end_live()
    assert live.reported[-1] == "the store is written to again"
