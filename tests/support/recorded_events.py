"""The events of a capture as an engine meets them, and every scan of a test judged again by them.

A module of tests that imports `replay_all` has `pipeline.scan` replaced: each capture that a test
scans is also recorded and replayed, and both have to give the same bytes. As a plugin of pytest
(``-p support.recorded_events``) it does so for any tests. With ``NETWATCH_TEST_STORE=1`` captures
go through a store instead. ``NETWATCH_TEST_PART=n`` leaves one in n of the tests.
"""

import io
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest

from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.core.flow import Flow
from netwatch.core.message import LEARNING_SOURCES, LOOKUPS, Message, Packet
from netwatch.core.observation_columns import WORD_FLOW
from netwatch.core.statistics import RunStatistics
from netwatch.coverage.flow_visibility import message_name_status
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.engine import jobs, pipeline
from netwatch.engine.capture_files import LogUnit, capture_seed, read_blocks
from netwatch.engine.observe import Observer
from netwatch.engine.replay import ClaimEvent, Event, Replay
from netwatch.formats.registry import FORMATS
from netwatch.incidents.scan import ScanIncidents


class _Recorder(WantsEverything):
    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def name_status(self, message: Message) -> int:
        return message_name_status(message, lambda name: None)

    def address_claimed(self, packet: Packet, message: Message) -> None:
        self._events.append(ClaimEvent(packet, message.claims))

    def flow_ended(self, flow: Flow) -> None:
        self._events.append(flow)


def recorded(files: Sequence[CaptureFile]) -> list[Event]:
    """The events of one capture."""
    events: list[Event] = []
    observer = None
    for block, source in read_blocks(files, RunStatistics()):
        observer = observer or Observer(
            _Recorder(events),
            RunStatistics(),
            DissectorOptions(
                learn_from=LEARNING_SOURCES,
                flows=FlowOptions(report_all=True),
                fingerprints=True,
            ),
            seed=capture_seed(block),
        )
        _take(observer, observer.rows(block, source), events)
    if observer is not None:
        _take(observer, observer.flush_rows(), events)
        observer.close()
    return events


def _take(observer: Observer, rows: Iterator[tuple[int, int]], events: list[Event]) -> None:
    for start, stop in rows:
        for row in range(start, stop):
            shown = observer.batch.observation(row)
            if shown.evidence not in LOOKUPS:
                # A flow whose name is known is reported by itself only if that is asked for.
                observer.dissector.report_end_of(observer.batch.word(row, WORD_FLOW))
            events.append(shown)


def replayed(captures: Sequence[Sequence[Event]], config: Config) -> str:
    """The alerts of captures as JSON lines, from their events."""
    with ScanIncidents(config.quiet_gap) as incidents:
        for events in captures:
            replay = Replay(config, incidents, Counter())
            replay.add(events)
            replay.finish()
        return lines_of(incidents.result(config.geo, config.sensor).alerts)


def stored_and_judged(files: Sequence[CaptureFile], config: Config) -> str:
    """The alerts of a capture as JSON lines, judged again from a store."""
    from netwatch.engine.facts_process import FactsProcess
    from netwatch.rejudge.again import Again
    from netwatch.store.options import StoreOptions

    with tempfile.TemporaryDirectory(prefix="netwatch-test-") as folder:
        options, statistics = StoreOptions(f"{folder}/store"), RunStatistics()
        with (
            FactsProcess(options, "scan", config, pytest.fail) as process,
            ScanIncidents(config.quiet_gap) as incidents,
        ):
            jobs.scan([files], config, statistics, incidents, recording=process.recording)
            assert process.end(statistics.recorded_rows) is not None
        with Again(options, config) as again:
            return lines_of(again.alerts())


def lines_of(alerts: Iterable[Alert]) -> str:
    """Alerts as JSON lines."""
    stream = io.StringIO()
    writer = FORMATS["jsonl"].writer(stream)
    writer.begin("alerts")
    for alert in alerts:
        writer.alert(alert)
    writer.end()
    return stream.getvalue()


@pytest.fixture(autouse=True)
def replay_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge again what `pipeline.scan` has judged."""
    scan = pipeline.scan

    def scan_twice(
        files: Sequence[CaptureFile],
        config: Config,
        statistics: RunStatistics,
        collector: Any,
        **options: Any,
    ) -> None:
        scan(files, config, statistics, collector, **options)
        if Replayed.busy or isinstance(files, LogUnit) or any(file.path == "-" for file in files):
            return
        Replayed.busy = True
        try:
            with ScanIncidents(config.quiet_gap) as alone:
                scan(files, config, RunStatistics(), alone)
                expected = lines_of(alone.result(config.geo, config.sensor).alerts)
            if os.environ.get("NETWATCH_TEST_STORE") == "1":
                found = stored_and_judged(files, config)
            else:
                found = replayed([recorded(files)], config)
        finally:
            Replayed.busy = False
        Replayed.captures += 1
        Replayed.different += found != expected
        Replayed.alerts += expected.count("\n")
        assert found == expected

    monkeypatch.setattr(pipeline, "scan", scan_twice)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave one in so many of the tests."""
    items[:] = items[:: int(os.environ.get("NETWATCH_TEST_PART", "1"))]


class Replayed:
    """How many captures were judged again, with how many alerts, and how many differed."""

    busy = False
    captures = alerts = different = 0


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was compared."""
    terminalreporter.write_line(
        f"{Replayed.captures} captures with {Replayed.alerts} alerts judged again,"
        f" {Replayed.different} differ"
    )
