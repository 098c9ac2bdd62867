"""What a store does not have of a run is known: how much, of what kind, and when."""

import json
import pickle
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import parquet
from sqlalchemy import delete
from support.paths import PCAPS
from support.stored_facts import catalogue_rows

from netwatch.capture.files import CaptureFile
from netwatch.cli import main
from netwatch.core.addresses import ip_text
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.judged import HOUR, QUARTER, bits_of
from netwatch.engine import record_facts
from netwatch.engine.capture_files import read_blocks
from netwatch.engine.engine import FLOW_TIMEOUT
from netwatch.engine.record_facts import EventRecorder, Recorder
from netwatch.engine.replay import LossEvent
from netwatch.store import catalogue_tables as tables
from netwatch.store import messages
from netwatch.store.hour_rows import LossCounter, shifted
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.messages import ClientKey
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.status import status
from netwatch.store.writer import RunDescription, Writer

CAPTURE = CaptureFile(str(PCAPS / "five-kinds.pcap"))
LIVE = RunDescription("live", "gate", None)


class Direct:
    """A sink that hands everything to a writer in this process, and loses what is told to."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.loses = False

    def send(self, message: object) -> bool:
        if self.loses and isinstance(message, messages.Chunk):
            return False
        self.writer.take(message)
        return True

    def close(self) -> None:
        pass


def located(key: ClientKey) -> ClientAddress:
    return ClientAddress(ip_text(key.ip) if key.ip else "", None, "hq", "service")


def opened(folder: Path) -> Writer:
    return Writer(StoreOptions(str(folder)), LIVE, located)


def record(writer: Writer, *, skips: int = 0, loses: bool = False) -> RunStatistics:
    """Record a capture, but for some packets, or without any row of it."""
    statistics, sink = RunStatistics(), Direct(writer)
    recorder = Recorder(sink, 0, (), statistics)
    ((block, source), *_) = read_blocks([CAPTURE], RunStatistics())
    recorder.process(replace(block, count=block.count - skips), source)
    recorder.skip(replace(block, count=skips))
    sink.loses = loses
    recorder.finish()
    return statistics


def kept(folder: Path) -> tuple[str, int]:
    """The state of the only capture, and the rows that are known to be lost."""
    ((state, lost),) = catalogue_rows(folder, "SELECT state, lost_rows FROM capture")
    return state, lost


def test_packets_that_are_skipped_make_a_capture_partial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are counted, with the time, and no hour with them counts as captured as a whole."""
    writer = opened(tmp_path)
    statistics = record(writer, skips=7)
    assert statistics.unrecorded_packets == 7
    writer.end(statistics.recorded_rows)
    writer.close()
    assert kept(tmp_path) == ("partial", 0)
    with open_catalogue(StoreOptions(str(tmp_path))) as catalogue:
        assert status(catalogue).losses == {"skipped": 7}
        coverage = judged_coverage(catalogue)
        assert coverage.lost_at_all.bit_count() == 1
        assert coverage.lost_at_all & coverage.captured_at_all
    assert main(["store", "status", "--store-path", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "skipped packets 7" in shown
    assert "with losses" in shown
    assert main(["store", "query", "coverage", "--hours", "--format", "jsonl",
                 "--store-path", str(tmp_path)]) == 0  # fmt: skip
    hours = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert max(each["lost"] for each in hours) == 0.25


def test_nothing_but_skipped_packets_is_a_capture_too(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    ((block, _), *_) = read_blocks([CAPTURE], RunStatistics())
    recorder = Recorder(Direct(writer), 0, (), RunStatistics())
    recorder.skip(block)
    recorder.checkpoint(0)
    recorder.finish()
    writer.end(0)
    writer.close()
    assert kept(tmp_path) == ("partial", 0)
    ((first, last),) = catalogue_rows(tmp_path, "SELECT first, last FROM capture")
    assert 0 < first <= last


def test_a_whole_capture_is_complete(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    writer.end(record(writer).recorded_rows)
    writer.close()
    assert kept(tmp_path) == ("complete", 0)
    assert catalogue_rows(tmp_path, "SELECT count(*) FROM loss") == [(0,)]
    assert not list(tmp_path.glob("run-*"))


def test_rows_that_do_not_fit_and_rows_that_come_too_late(tmp_path: Path) -> None:
    """Both are counted once, with the time of their packets."""
    writer = opened(tmp_path)
    statistics = record(writer, loses=True)
    assert statistics.lost_rows > 0
    writer.end(statistics.recorded_rows + 5)
    writer.close()
    assert kept(tmp_path) == ("partial", statistics.lost_rows + 5)
    found = dict(catalogue_rows(tmp_path, "SELECT kind, sum(count) FROM loss GROUP BY kind"))
    assert found == {"rows": statistics.lost_rows, "late": 5}


def test_a_run_whose_process_is_gone_is_marked_by_the_next_one(tmp_path: Path) -> None:
    """Its captures are not whole, from its last facts on; one that goes on is left alone."""
    killed, running = opened(tmp_path), opened(tmp_path)
    for each in (killed, running):
        ((block, source), *_) = read_blocks([CAPTURE], RunStatistics())
        recorder = Recorder(Direct(each), 0, (), RunStatistics())
        recorder.process(block, source)
        recorder.checkpoint(1 << 62)
        each.flush()
    states = "SELECT state FROM capture ORDER BY run"
    assert catalogue_rows(tmp_path, states) == [("open",), ("open",)]
    # What a process leaves that is killed.
    killed._lock.close()
    killed._catalogue.close()
    following = opened(tmp_path)
    assert catalogue_rows(tmp_path, states) == [("partial",), ("open",)]
    found = catalogue_rows(tmp_path, "SELECT run, kind, quarter FROM loss ORDER BY quarter")
    ((first, last),) = catalogue_rows(tmp_path, "SELECT first, last FROM capture WHERE run = 1")
    # Flows that went on were in memory.
    quarters = range((last - FLOW_TIMEOUT) // QUARTER, last // QUARTER + 1)
    assert found == [(1, "killed", quarter) for quarter in quarters]
    assert first < last
    for each in (running, following):
        each.end()
        each.close()
    killed._hashing.shutdown()


def test_a_live_capture_that_nobody_ended_lacks_its_flows(tmp_path: Path) -> None:
    """Its worker was killed, and had them in memory."""
    writer = opened(tmp_path)
    ((block, source), *_) = read_blocks([CAPTURE], RunStatistics())
    recorder = Recorder(Direct(writer), 0, (), RunStatistics())
    recorder.process(block, source)
    recorder.send_waiting()
    writer.end()
    writer.close()
    ((last,),) = catalogue_rows(tmp_path, "SELECT last FROM capture")
    found = catalogue_rows(tmp_path, "SELECT position, kind, max(quarter) FROM loss")
    assert found == [(0, "killed", last // QUARTER)]
    assert catalogue_rows(tmp_path, "SELECT state FROM capture") == [("partial",)]


def test_counts_are_totals_by_quarter() -> None:
    counter = LossCounter()
    counter.add("skipped", 5, 2)
    counter.add("skipped", QUARTER - 1, 1)
    counter.add_time("killed", 3 * QUARTER, 5 * QUARTER, 9)
    assert counter.is_new
    assert counter.take() == {"skipped": {0: 3}, "killed": {3: 9, 4: 0, 5: 0}}
    assert not counter.is_new
    assert (counter.total("skipped"), counter.total("rows")) == (3, 0)


def test_a_clock_that_is_ahead_moves_losses() -> None:
    losses = {"rows": {8: 3, 9: 4}}
    assert shifted(losses, 0) == losses
    assert shifted(losses, 4 * QUARTER) == {"rows": {4: 3, 5: 4}}
    assert shifted(losses, QUARTER // 2) == {"rows": {7: 3, 8: 4, 9: 0}}
    assert bits_of(shifted(losses, -QUARTER)["rows"]) == bits_of([9, 10])


def test_times_at_which_packets_were_sampled_are_not_whole(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    ((block, source), *_) = read_blocks([CAPTURE], RunStatistics())
    statistics = RunStatistics()
    recorder = Recorder(Direct(writer), 0, (), statistics)
    recorder.note_sampled(replace(block, count=0))
    recorder.process(block, source)
    recorder.note_sampled(block)
    recorder.finish()
    writer.end(statistics.recorded_rows)
    writer.close()
    # All that was seen is stored.
    assert kept(tmp_path) == ("complete", 0)
    with open_catalogue(StoreOptions(str(tmp_path))) as catalogue:
        assert status(catalogue).losses == {"sampled": block.count}
        coverage = judged_coverage(catalogue)
        assert coverage.lost_at_all & coverage.captured_at_all


def test_a_log_cannot_lie_about_more_times_than_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_facts, "MAX_LOST_QUARTERS", 3)
    writer = opened(tmp_path)
    recorder = EventRecorder(Direct(writer), 0, (), RunStatistics())
    lies = [LossEvent(each * HOUR, each * HOUR, 1 << 62) for each in range(1, 9)]
    lies.append(LossEvent(0, 400_000 * HOUR, 1))
    assert list(recorder.recorded(lies)) == lies
    recorder.finish()
    writer.end(0)
    writer.close()
    with open_catalogue(StoreOptions(str(tmp_path))) as catalogue:
        (lost,) = status(catalogue).losses.values()
        assert 0 < lost < 1 << 50


def test_a_client_that_another_process_deleted_gets_a_number_again(tmp_path: Path) -> None:
    writer = opened(tmp_path)
    record(writer)
    writer.flush()
    before = catalogue_rows(tmp_path, "SELECT count(*) FROM client")
    with closing(open_catalogue(StoreOptions(str(tmp_path)))) as other:
        with other.database.writing() as connection:
            connection.execute(delete(tables.client))
        other.add_journal("root", "erase", {})
    record(writer)
    writer.flush()
    assert catalogue_rows(tmp_path, "SELECT count(*) FROM client") == before
    used = {
        row["client"]
        for file in (tmp_path / "observation").rglob("*.parquet")
        for row in parquet.read_table(file, columns=["client"]).to_pylist()
    }
    numbers = {number for (number,) in catalogue_rows(tmp_path, "SELECT number FROM client")}
    # The rows of the first time have the deleted numbers, those of the second the new ones.
    assert used & numbers
    assert len(used) == 2 * len(used & numbers)
    writer.close()


@pytest.mark.parametrize(
    "clients",
    [(), (ClientKey(b"\n\0\0\1", None, None), ClientKey(b"", b"\2\0\0\0\0\1", 7))],
)
def test_a_chunk_arrives_as_it_was_sent(clients: tuple[ClientKey, ...]) -> None:
    sent = messages.Chunk(1, "flow", 2, b"stream", clients)
    arrived = pickle.loads(pickle.dumps(sent))
    assert arrived == sent
    assert {type(key) for key in arrived.clients} <= {ClientKey}
