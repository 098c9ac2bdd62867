"""The writer of a live capture: what it keeps, what it drops, its maintenance, and what becomes of
the run where it dies."""

import multiprocessing
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from support.made_alerts import record
from support.paths import PCAPS
from support.stored_facts import catalogue_rows, facts, on_disk
from support.waiting import wait_until

from netwatch import config as configuration
from netwatch.capture.files import CaptureFile
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.engine import live_facts
from netwatch.engine.capture_files import read_blocks
from netwatch.engine.facts_process import new_counts
from netwatch.engine.live_facts import LiveFacts
from netwatch.engine.record_facts import Recorder
from netwatch.formats.values import json_line
from netwatch.store import messages, service
from netwatch.store.catalogue import Catalogue, FileRow
from netwatch.store.options import Retention, StoreOptions
from netwatch.store.writer import Writer

CAPTURE = CaptureFile(str(PCAPS / "five-kinds.pcap"))


class Live:
    """The writer of a live capture with the store in `folder`, and what it reported."""

    def __init__(self, folder: Path, retention: Retention | None = None) -> None:
        self.store = folder
        self.reported: list[str] = []
        options = StoreOptions(str(folder), retention=retention or Retention())
        config = configuration.load()
        destination = live_facts.store_destination(options, config)
        self.process = LiveFacts(destination, config, self.reported.append)
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
        host = self.process._host._process.pid
        return int(Path(f"/proc/{host}/task/{host}/children").read_text().split()[0])


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
        live.process.end(live.statistics.recorded_rows)
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
        live.process.end(live.statistics.recorded_rows)
    monkeypatch.setattr(service, "MAINTENANCE_INTERVAL", 0.1)
    merging = Live(tmp_path)
    with merging.process:
        wait_until(lambda: _landing(tmp_path) == 2)
        merging.process.end(0)
    assert len(facts(tmp_path, "observation")) == 2 * 192
    pruning = Live(tmp_path, Retention(observations=86_400))
    with pruning.process:
        wait_until(lambda: _landing(tmp_path) == 0)
        pruning.process.end(0)
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
        live.process.end(live.statistics.recorded_rows)
    assert live.reported[-1] == "the store is written to again"


def _incident(number: int, status: str) -> str:
    """The line of a made alert."""
    return json_line(record(number, status=status))


def kill(live: Live) -> None:
    """Kill the writer, and notice it."""
    os.kill(live.writer, signal.SIGKILL)
    wait_until(lambda: live.process.poll() or live.process.is_down)


@pytest.mark.usefixtures("quick")
def test_another_writer_goes_on_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its captures are of the same run, and partial; what waited meanwhile is stored."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.5,))
    live = Live(tmp_path)
    with live.process as process:
        recorder = live.record()
        recorded = live.statistics.recorded_rows
        wait_until(lambda: process.stored == recorded)
        kill(live)
        assert live.reported == [
            f"the store cannot be written to: the writer of the store {tmp_path} died"
            " unexpectedly (exit status -9)"
        ]
        for block, source in read_blocks([CAPTURE], RunStatistics()):
            recorder.process(block, source)
        process.send(messages.Incidents([_incident(1, "open")]))
        wait_until(lambda: process.poll() or process.restarts == 1)
        assert process.problem == ""
        assert live.reported[1:] == ["the store is written to again"]
        recorder.finish()
        process.end(live.statistics.recorded_rows)
    assert live.statistics.recorded_rows > recorded
    assert process.stored == live.statistics.recorded_rows
    assert (process.lost, process.decisions_lost) == (0, 0)
    rows = [len(facts(tmp_path, table)) for table in ("observation", "flow", "claim")]
    assert sum(rows) == process.stored
    assert catalogue_rows(tmp_path, "SELECT id, ended > 0 FROM run") == [(1, 1)]
    assert catalogue_rows(tmp_path, "SELECT state, lost_rows FROM capture") == [("partial", 0)]
    assert catalogue_rows(tmp_path, "SELECT status FROM incident") == [("open",)]


def _work(live: Live, end: Connection) -> None:
    """A worker, which notices later than the writer that the main process is gone."""
    statistics = RunStatistics()
    recorder = live.process.recording.recorder(0, (), statistics)
    for block, source in read_blocks([CAPTURE], RunStatistics()):
        recorder.process(block, source)
    recorder.send_waiting()
    end.send(statistics.recorded_rows)
    end.recv()
    recorder.finish()
    end.send(statistics.recorded_rows)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_second", [False, True])
def test_flows_that_go_on_are_stored_when_the_main_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_second: bool
) -> None:
    """Workers send them at their end, to a second writer, too, which has heard nothing of them."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.1,))
    closed = service._Service._closed

    def noted(self: service._Service, connection: Connection) -> None:
        closed(self, connection)
        self._counts.decided += 1

    monkeypatch.setattr(service._Service, "_closed", noted)
    live = Live(tmp_path)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    with live.process as process:
        worker = context.Process(target=_work, args=(live, theirs))
        worker.start()
        before = ours.recv()
        wait_until(lambda: process.stored == before)
        if is_second:
            kill(live)
            wait_until(lambda: process.poll() or process.restarts == 1)
        assert process._control is not None
        for each in (process._control, process._host._process.connection, process._host._senders):
            each.close()
        # The first writer cannot know: workers that were forked later have that end, too.
        wait_until(lambda: process._counts.decided == is_second)
        ours.send(None)
        recorded = ours.recv()
        wait_until(lambda: catalogue_rows(tmp_path, "SELECT ended > 0 FROM run") == [(1,)])
        worker.join()
    assert process.stored == recorded > before
    assert len(facts(tmp_path, "flow")) == recorded - before
    assert catalogue_rows(tmp_path, "SELECT state FROM capture") == [("partial",)]
    assert catalogue_rows(tmp_path, "SELECT kind, count FROM loss") == [("killed", 0)]


def test_what_a_writer_had_in_memory_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the counts immediately, and in the catalogue at the end."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.1,))
    live = Live(tmp_path)
    with live.process as process:
        recorder = live.record()
        recorded = live.statistics.recorded_rows
        wait_until(lambda: process._counts.received == recorded)
        kill(live)
        assert (process.lost, process.stored) == (recorded, 0)
        wait_until(lambda: process.poll() or process.restarts == 1)
        recorder.finish()
        process.end(live.statistics.recorded_rows)
    lost = live.statistics.recorded_rows - process.stored
    assert lost == recorded
    assert catalogue_rows(tmp_path, "SELECT state, lost_rows FROM capture") == [("partial", lost)]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("is_committed", [True, False])
def test_what_a_writer_was_about_to_make_visible_is_counted_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_committed: bool
) -> None:
    """It may be killed behind the transaction and before it can say so: then nothing is lost."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.1,))
    register = Catalogue.register_files
    may_write, was_killed = tmp_path / "may-write", tmp_path / "killed"

    def killed_once(self: Catalogue, files: Sequence[FileRow]) -> None:
        if not may_write.exists():
            raise NetwatchError("not yet")
        if was_killed.exists():
            register(self, files)
            return
        was_killed.write_text(str(sum(file.rows for file in files)))
        if is_committed:
            register(self, files)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Catalogue, "register_files", killed_once)
    live = Live(tmp_path / "store")
    with live.process as process:
        recorder = live.record()
        wait_until(lambda: process._counts.received == live.statistics.recorded_rows)
        may_write.touch()
        wait_until(lambda: process.poll() or process.restarts == 1)
        recorder.finish()
        process.end(live.statistics.recorded_rows)
    rows = live.statistics.recorded_rows
    lost = rows - process.stored
    assert process.lost == lost
    # What came behind the last file that it wrote was in its memory, and is lost in both cases.
    registered = int(was_killed.read_text())
    assert lost <= rows - registered if is_committed else lost >= registered
    counted = catalogue_rows(tmp_path / "store", "SELECT count FROM loss WHERE kind = 'killed'")
    assert sum(count for (count,) in counted) == lost


def test_a_store_that_stays_away_is_tried_more_and_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, and what was decided is stored when it is back."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.0, 0.1, 0.2))
    live = Live(tmp_path / "store")
    starts = []
    start = live.process._start
    monkeypatch.setattr(live.process, "_start", lambda: (starts.append(1), start())[1])
    with live.process as process:
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "store").write_text("")
        kill(live)
        process.send(messages.Incidents([_incident(1, "open")]))
        wait_until(lambda: process.poll() or len(starts) >= 4)
        assert process._retry_at - time.monotonic() > 0.1
        assert (process.restarts, len(live.reported)) == (0, 1)
        (tmp_path / "store").unlink()
        (tmp_path / "away").rename(tmp_path / "store")
        wait_until(lambda: process.poll() or process.restarts == 1)
        process.end(0)
    assert live.reported[1:] == ["the store is written to again"]
    assert catalogue_rows(tmp_path / "store", "SELECT status FROM incident") == [("open",)]


def test_a_decision_that_writers_die_of_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """After some writers; what follows it is stored."""
    monkeypatch.setattr(live_facts, "RESTART_DELAYS", (0.1,))
    live = Live(tmp_path)
    with live.process as process:
        process.send(messages.Incidents(["no JSON"]))
        process.send(messages.Incidents([_incident(1, "open")]))
        wait_until(lambda: process.poll() or process.decisions_lost == 1)
        wait_until(lambda: process.poll() or not process.is_down)
        process.end(0)
    assert process.restarts == live_facts.RESENT + 1
    assert catalogue_rows(tmp_path, "SELECT status FROM incident") == [("open",)]
    assert "JSONDecodeError" in capfd.readouterr().err


def test_without_a_host_nothing_is_started(tmp_path: Path) -> None:
    live = Live(tmp_path)
    with live.process as process:
        writer = live.writer
        os.kill(process._host._process.pid or 0, signal.SIGKILL)
        os.kill(writer, signal.SIGKILL)
        wait_until(lambda: process.poll() or process.is_down)
        process.poll()
        process.end(0)
        assert (process.is_down, process.restarts) == (True, 0)


class Accepting:
    """A writer that accepts everything, and notes how it was ended."""

    def __init__(self) -> None:
        self.run, self.stored, self.calls = 7, 0, list[str]()

    def __getattr__(self, name: str) -> object:
        return lambda *values: self.calls.append(name)


def no_store() -> Writer:
    raise NetwatchError("no such store")


@pytest.mark.parametrize("is_live", [True, False])
@pytest.mark.parametrize("opens", [True, False])
def test_a_writer_whose_reader_died_while_it_began_ends_without_an_error(
    opens: bool, is_live: bool
) -> None:
    """The main process was killed between its start and what it waits for first."""
    writer = Accepting()
    ours, theirs = multiprocessing.Pipe()
    senders, other = multiprocessing.Pipe(duplex=False)
    ours.close()
    other.close()
    with socket.create_server(("127.0.0.1", 0)) as listener, theirs, senders:
        service.serve(
            theirs,
            listener,
            new_counts(),
            (lambda: writer) if opens else no_store,  # type: ignore[arg-type,return-value]
            *((lambda: None, senders) if is_live else ()),
        )
    assert ("end" in writer.calls, "close" in writer.calls) == (opens, opens)
