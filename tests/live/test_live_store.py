"""The end of a capture with a store whose disk is slow, or whose writer hangs. What waits for the
writer of a store: incidents first, and of other records the newest.
"""

import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.made_alerts import record
from support.snapshots import OPEN
from support.stored_facts import catalogue_rows

from netwatch import config as configuration
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.engine import live_facts
from netwatch.live import live_store
from netwatch.live.live_store import BATCH, LiveStore, StoreQueue
from netwatch.store.messages import EvidenceFile, HourCoverage, Incidents, SensorStatus, records_in
from netwatch.store.options import StoreOptions
from netwatch.store.writer import Writer


class NoWorkers:
    """A pool whose workers have ended, and saw nothing."""

    reports = ()

    def statistics(self) -> RunStatistics:
        return RunStatistics()

    def coverage(self) -> Coverage:
        return Coverage()

    def open_flows(self) -> Coverage:
        return Coverage()


class Counting(NoWorkers):
    """A pool that has counted flows of a network that have ended, and such that go on."""

    def __init__(self, ended: int, going_on: int) -> None:
        self.ended, self.going_on = ended, going_on

    def coverage(self) -> Coverage:
        return self._counted(self.ended)

    def open_flows(self) -> Coverage:
        return self._counted(self.going_on)

    def _counted(self, flows: int) -> Coverage:
        found = Coverage()
        found.add(Network("hq", "service"), "dev-1", "named", flows)
        return found


def test_flows_that_go_on_are_in_the_coverage_of_the_hour_in_which_they_end() -> None:
    hours = live_store._Hours()
    began = hours._began = 0.0  # seconds since then are exact

    def named(pool: NoWorkers, seconds: float, *, is_last: bool = False) -> tuple[int, int]:
        found = hours.take(pool, began + seconds, is_last=is_last)
        (share,) = json.loads(found.line)["networks"]
        return found.part, share["named"]

    assert named(Counting(0, 3), 5) == (0, 3)
    assert named(Counting(2, 2), 10) == (0, 4)
    # The hour is over: the two that go on belong to the next one.
    assert named(Counting(3, 2), live_store.HOUR) == (0, 3)
    assert named(Counting(3, 2), live_store.HOUR + 5) == (1, 2)
    assert named(Counting(5, 1), 2 * live_store.HOUR, is_last=True) == (1, 3)


class Slow(Writer):
    """A writer that needs a while for each message, or for ever."""

    seconds = 0.1

    def take(self, message: object) -> None:
        if isinstance(message, Incidents):
            time.sleep(self.seconds)
        super().take(message)


class Hanging(Slow):
    """A writer that makes no progress."""

    seconds = 600.0


def _make(kind: type[Writer], options: StoreOptions, run: Any, request: Any) -> Writer:
    how = request.described
    return kind(options, run, how.locate, how.seal, how.hides, resumed=request.run)


def start(folder: Path, kind: type[Writer], said: list[str]) -> LiveStore:
    """The store of a capture, with such a writer."""
    options, config = StoreOptions(str(folder)), configuration.load()
    destination = live_facts.store_destination(options, config)
    run = live_facts.run_description("live", config)
    made = live_facts.Destination(
        destination.what,
        destination.place,
        partial(_make, kind, options, run),
        destination.maintain,
        destination.lock,
    )
    store = LiveStore(made, config, said.append)
    store.begin()
    return store


def test_a_slow_writer_gets_the_time_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it makes progress, of which the service manager is told. Nothing is lost, although
    more is queued than there is room for."""
    monkeypatch.setattr(live_store, "STALL_TIMEOUT", 0.9)
    monkeypatch.setattr("netwatch.live.live_store.BATCH", 5)
    said, told = list[str](), list[bool]()
    store = start(tmp_path, Slow, said)
    store._queue._limit = 20
    store.expect_end()
    for number in range(60):
        store._put(Incidents([_line(number)]))
    store.end(NoWorkers(), lambda: told.append(True))  # type: ignore[arg-type]
    assert store.missing == 0
    store.close()
    assert said == []
    assert catalogue_rows(tmp_path, "SELECT count(*) FROM incident") == [(60,)]
    assert told


def test_a_time_in_which_nobody_looked_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main process may have been stopped itself: then the writer got nothing to do."""
    monkeypatch.setattr(live_store, "STALL_TIMEOUT", 3.0)
    now = time.monotonic()
    stalled = live_store._Stall(lambda: (1,))
    assert not stalled.is_over(now + 100.0)
    looks = [stalled.is_over(now + 100.0 + at / 2) for at in range(1, 6)]
    assert looks == [False, False, False, True, True]


def test_a_writer_that_hangs_is_ended_which_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it had not written is counted."""
    monkeypatch.setattr(live_store, "STALL_TIMEOUT", 0.3)
    said = list[str]()
    store = start(tmp_path, Hanging, said)
    store.alert(OPEN)
    store.end(NoWorkers())  # type: ignore[arg-type]
    assert store.missing >= 1
    store.close()
    assert said[0] == "the store cannot be written to: its writer made no progress for 0.3 s"
    assert said[-1].endswith("lost")


def _line(number: int) -> str:
    from netwatch.formats.values import json_line

    return json_line(record(number))


def test_incidents_come_first_and_together() -> None:
    queue = StoreQueue()
    queue.put(HourCoverage(0, 1, 2, "{}"))
    for number in range(BATCH + 1):
        assert queue.put(Incidents([str(number)]))
    queue.put(EvidenceFile("a", "a.pcap"))
    queue.put(Incidents(["last"]))
    lines = [str(number) for number in range(BATCH + 1)]
    assert queue.take() == Incidents(lines[:BATCH])
    assert queue.take() == Incidents(lines[BATCH:])
    assert queue.take() == EvidenceFile("a", "a.pcap")
    assert queue.take() == Incidents(["last"])
    assert queue.take() == HourCoverage(0, 1, 2, "{}")
    assert queue.take() is None


def test_a_record_replaces_the_one_before() -> None:
    """However long the store cannot be written to, one of each waits."""
    queue = StoreQueue(limit=1)
    for at in range(5):
        assert queue.put(HourCoverage(0, 1, at, "{}"))
        assert queue.put(SensorStatus("gate", {"at": at}))
    assert queue.put(HourCoverage(1, 5, 6, "{}"))
    assert len(queue) == 3
    assert queue.take() == HourCoverage(0, 1, 4, "{}")
    assert queue.take() == SensorStatus("gate", {"at": 4})
    assert queue.take() == HourCoverage(1, 5, 6, "{}")


def test_what_does_not_fit_is_refused_until_there_is_room() -> None:
    queue = StoreQueue(limit=1)
    assert queue.put(Incidents(["1"]))
    assert not queue.put(Incidents(["2"]))
    assert not queue.wait_for_room(0.0)
    taking = threading.Thread(target=queue.take)
    taking.start()
    assert queue.wait_for_room(30.0)
    taking.join()
    assert records_in(Incidents(["1", "2"])) == 2
    assert records_in(SensorStatus("gate", {})) == 1
