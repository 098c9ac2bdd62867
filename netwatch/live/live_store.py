"""The store of a live capture, as its main process sees it.

The workers send facts to the writer by themselves. What is decided (incidents, evidence
captures, the coverage of each hour) is queued here, and a thread sends it, because nothing in the
main loop may wait for the store.
"""

import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

from netwatch.config import Config
from netwatch.core.alert import EVIDENCE_KEYS, Alert
from netwatch.core.statistics import RunStatistics
from netwatch.core.text import quantity
from netwatch.coverage.counts import Coverage
from netwatch.engine.client_description import described
from netwatch.engine.facts_process import Recording
from netwatch.engine.live_facts import Destination, LiveFacts
from netwatch.formats import jsonl
from netwatch.formats.coverage import report_record
from netwatch.formats.values import json_line
from netwatch.live.worker_pool import WorkerPool
from netwatch.store.messages import (
    EvidenceFile,
    HourCoverage,
    Incidents,
    SensorStatus,
)
from netwatch.watch.health import Thresholds
from netwatch.watch.snapshot import Snapshot, StoreStatus
from netwatch.watch.status_record import status_record

HOUR = 3600.0
"""Seconds of a record of coverage."""

STATUS_INTERVAL = 10.0
"""Seconds between two records of the status of the sensor."""

QUEUE_LIMIT = 10_000
"""Messages that wait for the writer; further ones are lost and counted."""

END_TIMEOUT = 25.0
"""How long the end of the capture waits for the writer, in s."""

_POLL = 0.5


class LiveStore:
    """Starts the writer of a store, or of the spool of a sensor; no thread may run yet. `begin`
    starts the thread, once the workers are forked. `report` takes sentences about problems, from
    any thread. Raises `ConfigError` and `NetwatchError` where the destination cannot be opened."""

    def __init__(
        self, destination: Destination, config: Config, report: Callable[[str], None]
    ) -> None:
        self._report = report
        self._process = LiveFacts(destination, config, report)
        self._queue = queue.Queue[object](QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_ending = threading.Event()
        self._decisions_lost = 0
        self._recorded = self._lost = 0
        self._skipped = 0
        self._hours = _Hours()
        self._sensor = config.sensor_name
        self._thresholds = config.metrics.thresholds if config.metrics else Thresholds()
        self._reported: Snapshot | None = None

    @property
    def recording(self) -> Recording:
        """Where the workers send facts."""
        return self._process.recording

    def begin(self) -> None:
        """Start the thread."""
        self._thread.start()

    def alert(self, alert: Alert) -> None:
        """Keep the present state of an incident, and where its evidence capture is."""
        self._put(Incidents([json_line(jsonl.alert_record(alert))]))
        for key in EVIDENCE_KEYS:
            if alert.status == "closed" and key in alert.extra:
                self._put(EvidenceFile(alert.id, str(alert.extra[key])))

    def reconfigured(self, config: Config) -> None:
        """Describe clients by another configuration from now on."""
        self._put(described(config, "live"))

    def look_at(self, pool: WorkerPool) -> None:
        """Note what the workers count, and keep the coverage of an hour that has ended."""
        statistics = pool.statistics()
        self._recorded, self._lost = statistics.recorded_rows, statistics.lost_rows
        self._skipped = statistics.unrecorded_packets
        times = [report.packet_time for report in pool.reports if report is not None]
        self._hours.see([at for at in times if at is not None])
        if self._hours.has_ended(time.monotonic()):
            self._put(self._hours.take(pool.coverage(), statistics))

    def report_status(self, snapshot: Snapshot) -> None:
        """Keep what the capture says of itself, now and then."""
        before = self._reported
        if before is None or snapshot.now - before.now >= STATUS_INTERVAL:
            record = status_record(snapshot, before, self._thresholds)
            self._put(SensorStatus(self._sensor, record))
            self._reported = snapshot

    def status(self) -> StoreStatus:
        """What is stored and what was lost so far."""
        return StoreStatus(
            rows=self._process.stored,
            lost=self._lost + self._process.lost,
            skipped=self._skipped,
            decisions_lost=self._decisions_lost + self._process.decisions_lost,
            restarts=self._process.restarts,
            problem=self._process.problem,
        )

    def end(self, pool: WorkerPool) -> None:
        """End the run, in at most `END_TIMEOUT`; what is lost is reported."""
        self.look_at(pool)
        self._put(self._hours.take(pool.coverage(), pool.statistics()))
        self._is_ending.set()
        self._thread.join(END_TIMEOUT)
        if self._thread.is_alive():
            self._process.kill()
            self._thread.join()
        lost = self._recorded - self._process.stored
        if lost > 0:
            self._report(f"{self._process.what}: {quantity(lost, 'row')} of this capture were lost")
        decisions_lost = self._decisions_lost + self._process.decisions_lost
        if decisions_lost:
            self._report(f"{self._process.what}: {quantity(decisions_lost, 'record')} lost")

    def close(self) -> None:
        """Stop the writer."""
        self._process.__exit__()

    def _put(self, message: object) -> None:
        try:
            self._queue.put_nowait(message)
        except queue.Full:
            self._decisions_lost += 1

    def _run(self) -> None:
        while not self._is_ending.is_set():
            if self._process.is_down:
                # What was decided waits in the queue.
                self._is_ending.wait(_POLL)
                self._process.poll()
                continue
            with suppress(queue.Empty):
                self._process.send(self._queue.get(timeout=_POLL))
            self._process.poll()
        while not self._queue.empty():
            self._process.send(self._queue.get())
        self._process.end(self._recorded)


class _Hours:
    """Takes the coverage of one hour after the other from counts that go on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._part = 0
        self._first: int | None = None
        self._last = 0
        self._coverage = Coverage()
        self._packets = 0
        self._anomalies = Counter[str]()
        self._without_verdict = Counter[str]()

    def has_ended(self, now: float) -> bool:
        """Whether an hour is over."""
        return now - self._began >= HOUR

    def see(self, times: Sequence[int]) -> None:
        """Note the present packet times, ns since the epoch."""
        if times:
            self._first = min(times) if self._first is None else self._first
            self._last = max(self._last, *times)

    def take(self, coverage: Coverage, statistics: RunStatistics) -> HourCoverage:
        """What was counted since the last call."""
        part = coverage.since(self._coverage)
        anomalies = statistics.anomalies - self._anomalies
        unjudged = statistics.without_verdict - self._without_verdict
        report = part.report(statistics.packets - self._packets, anomalies, unjudged)
        record = HourCoverage(
            self._part,
            self._first or self._last,
            self._last,
            json_line(report_record(report)),
        )
        self._began, self._part = time.monotonic(), self._part + 1
        self._first = None
        self._coverage, self._packets = coverage, statistics.packets
        self._anomalies = Counter(statistics.anomalies)
        self._without_verdict = Counter(statistics.without_verdict)
        return record
