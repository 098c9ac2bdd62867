"""The store of a live capture, as seen by its main process.

The workers send facts to the writer themselves. Decisions (incidents, evidence captures, the
coverage of each hour) are queued here, and a thread sends them, because nothing in the main loop
may wait for the store while packets come. Irreplaceable data go first: incidents, several of which
make one message. Of a record that replaces the previous one (the coverage of an hour, the status of
the sensor) only the newest waits. Losses of the store are logged at most once a minute.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence

from netwatch.config import Config
from netwatch.core.alert import EVIDENCE_KEYS, Alert, AlertRecord
from netwatch.core.text import quantity
from netwatch.coverage.counts import Coverage
from netwatch.engine.facts_process import Recording, described
from netwatch.engine.live_facts import Destination, LiveFacts
from netwatch.formats import jsonl
from netwatch.formats.bypass import BypassRecord
from netwatch.formats.coverage import report_record
from netwatch.formats.values import json_line
from netwatch.live.worker_pool import WorkerPool
from netwatch.store import messages
from netwatch.store.messages import (
    EvidenceFile,
    HourCoverage,
    Incidents,
    SensorStatus,
    records_in,
)
from netwatch.watch.health import Thresholds, status_record
from netwatch.watch.snapshot import Snapshot, StoreStatus

INTERVAL = 60.0
"""Seconds between two lines."""

QUEUE_LIMIT = 10_000
"""Records of incidents to queue for the writer; further ones are lost and counted."""

BATCH = 200
"""Incidents per message."""

HOUR = 3600.0
"""Seconds of a record of coverage."""

COVERAGE_INTERVAL = 2.5
"""Seconds after which the coverage of the present hour is written again; a large record is written
less often."""

COVERAGE_BYTES = 50_000
"""Bytes of coverage to write per second, at most."""

STATUS_INTERVAL = 10.0
"""Seconds between two records of the status of the sensor."""

STALL_TIMEOUT = 25.0
"""How long the end of the capture waits for a writer that makes no progress, in s."""

_POLL = 0.5


class LossReports:
    """Compares losses with those last reported. `report` takes sentences, `what` names the
    store."""

    def __init__(self, what: str, report: Callable[[str], None]) -> None:
        self._what = what
        self._report = report
        self._reported = StoreStatus()
        self._next = 0.0

    def look_at(self, status: StoreStatus, now: float) -> None:
        """Report losses since the last line, unless that was just now."""
        if now < self._next:
            return
        parts = [*_lost(status, self._reported)]
        if not parts:
            return
        self._next = now + INTERVAL
        self._reported = status
        self._report(f"{self._what} does not have all that was seen: {', '.join(parts)}")


def _lost(status: StoreStatus, before: StoreStatus) -> Iterator[str]:
    """Losses since an earlier state, and in total."""
    for new, total, one, what in (
        (status.skipped - before.skipped, status.skipped, "packet", "not recorded"),
        (status.lost - before.lost, status.lost, "row", "lost"),
        (status.decisions_lost - before.decisions_lost, status.decisions_lost, "record", "lost"),
    ):
        if new > 0:
            in_all = f" ({total:,} in total)" if total != new else ""
            yield f"{quantity(new, one)} {what}{in_all}"


class StoreQueue:
    """The queue, of `limit` records of incidents; for several threads."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._decided = deque[object]()
        self._newest: dict[tuple[type, int], object] = {}
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._decided) + len(self._newest)

    def put(self, message: object) -> bool:
        """Queue a message; False if it does not fit."""
        with self._changed:
            part = message.part if isinstance(message, messages.HourCoverage) else 0
            if isinstance(message, messages.HourCoverage | messages.SensorStatus):
                self._newest.pop((type(message), part), None)
                self._newest[type(message), part] = message
            elif len(self._decided) >= self._limit:
                return False
            else:
                self._decided.append(message)
            self._changed.notify_all()
            return True

    def wait_for_room(self, timeout: float) -> bool:
        """Wait until a record fits, at most `timeout` s; returns whether it does."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._decided) < self._limit, timeout)

    def take(self, timeout: float = 0.0) -> object | None:
        """The next message; None if none comes within `timeout` s."""
        with self._changed:
            self._changed.wait_for(lambda: self._decided or self._newest, timeout)
            found = self._next()
            self._changed.notify_all()
            return found

    def _next(self) -> object | None:
        if not self._decided:
            return self._newest.pop(next(iter(self._newest))) if self._newest else None
        first = self._decided.popleft()
        if not isinstance(first, messages.Incidents):
            return first
        lines = [*first.lines]
        while self._decided and len(lines) < BATCH:
            following = self._decided[0]
            if not isinstance(following, messages.Incidents):
                break
            lines += following.lines
            self._decided.popleft()
        return messages.Incidents(lines)


def _nothing() -> None:
    """Does nothing."""


class LiveStore:
    """Starts the writer of a store, or of the spool of a sensor; no thread may run yet. `begin`
    starts the thread, once the workers are forked. `report` takes sentences about problems, from
    any thread. Raises `ConfigError` and `NetwatchError` if the destination cannot be opened."""

    def __init__(
        self, destination: Destination, config: Config, report: Callable[[str], None]
    ) -> None:
        self._report = report
        self._hours = _Hours()
        self._process = LiveFacts(destination, config, report, self._hours.clock, self._tell)
        self._queue = StoreQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._is_ending = threading.Event()
        self._decisions_lost = self._lost_unsaid = 0
        self._recorded = self._lost = 0
        self._skipped = 0
        self._bypasses = 0
        self.deliver: Callable[..., None] | None = None
        """Takes records for the outputs, each once; None without outputs."""
        self.print: Callable[[AlertRecord], bool] = lambda record: True
        """Writes a record where those of alerts go; false if that is closed."""
        self._may_wait = False
        self._loss_reports = LossReports(self._process.what, report)
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
        """Keep the present state of an incident, and the place of its evidence capture."""
        self._put(Incidents([json_line(jsonl.alert_record(alert))]))
        for key in EVIDENCE_KEYS:
            if alert.status == "closed" and key in alert.extra:
                self._put(EvidenceFile(alert.id, str(alert.extra[key])))

    def reconfigured(self, config: Config) -> None:
        """Describe clients by another configuration from now on."""
        self._put(described(config, "live"))

    def look_at(self, pool: WorkerPool) -> None:
        """Note the workers' counts, and keep the coverage of the present hour."""
        statistics = pool.statistics()
        self._recorded, self._lost = statistics.recorded_rows, statistics.lost_rows
        self._skipped = statistics.unrecorded_packets
        times = [report.packet_time for report in pool.reports if report is not None]
        self._hours.see([at for at in times if at is not None])
        now = time.monotonic()
        if self._hours.is_due(now):
            self._put(self._hours.take(pool, now))
        self._loss_reports.look_at(self.status(), now)

    def report_status(self, snapshot: Snapshot) -> None:
        """Keep the status of the capture, now and then."""
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
            bypasses=self._bypasses,
        )

    def _tell(self, found: Sequence[BypassRecord]) -> bool:
        """Tell records, outputs and log of devices that hid their lookups; the log names nobody.
        False if the records are closed: then the next run tells."""
        if not all(self.print(each) for each in found):
            return False
        self._bypasses += len(found)
        if self.deliver is not None:
            self.deliver(*found, once=True)
        for day, count in Counter(each["day"] for each in found).items():
            self._report(
                f"{quantity(count, 'device')} hid lookups on {day}: netwatch store query bypasses"
            )
        return True

    def expect_end(self) -> None:
        """The capture has ended: from now on `alert` waits for a writer that makes progress."""
        self._may_wait = True

    def end(self, pool: WorkerPool, progress: Callable[[], None] = _nothing) -> None:
        """End the run, which takes as long as the writer makes progress; `progress` is called as
        long as it does. Losses are reported."""
        self.look_at(pool)
        self._put(self._hours.take(pool, time.monotonic(), is_last=True))
        self._is_ending.set()
        stalled = _Stall(self._progress)
        while self._thread.is_alive():
            self._thread.join(_POLL)
            if stalled.is_over(time.monotonic()):
                self._process.kill(f"its writer made no progress for {STALL_TIMEOUT:g} s")
                self._thread.join()
            elif stalled.has_moved:
                progress()
        what, lost = self._process.what, self._recorded - self._process.stored
        if lost > 0:
            self._report(f"{what}: {quantity(lost, 'row')} of this capture were lost")
        if records := self.status().decisions_lost:
            self._report(f"{what}: {quantity(records, 'record')} lost")
        if self._skipped:
            skipped = quantity(self._skipped, "packet")
            self._report(f"{what}: {skipped} of this capture were judged and not recorded")

    @property
    def missing(self) -> int:
        """Rows and records missing in the store, once the capture has ended."""
        lost = max(0, self._recorded - self._process.stored)
        return lost + self.status().decisions_lost

    def close(self) -> None:
        """Stop the writer."""
        self._process.__exit__()

    def _put(self, message: object) -> None:
        if self._queue.put(message) or (self._wait_for_room() and self._queue.put(message)):
            return
        self._decisions_lost += records_in(message)

    def _wait_for_room(self) -> bool:
        """Whether there is room for a record. Once the capture has ended, it is waited for, as long
        as the writer makes progress."""
        stalled = _Stall(self._progress)
        while self._may_wait and not self._queue.wait_for_room(_POLL):
            # The next one will not wait in vain again.
            self._may_wait = not stalled.is_over(time.monotonic())
        return self._may_wait

    def _progress(self) -> tuple[int, ...]:
        return *self._process.progress, len(self._queue)

    def _run(self) -> None:
        while not self._is_ending.is_set():
            self._note_losses()
            if self._process.is_down:
                # Decisions wait in the queue.
                self._is_ending.wait(_POLL)
                self._process.poll()
                continue
            message = self._queue.take(_POLL)
            if message is not None:
                self._process.send(message)
            self._process.poll()
        while (message := self._queue.take()) is not None:
            self._process.send(message)
        self._note_losses()
        self._process.end(self._recorded)

    def _note_losses(self) -> None:
        lost = self._decisions_lost
        if lost > self._lost_unsaid:
            self._process.lose(lost - self._lost_unsaid)
            self._lost_unsaid = lost


class _Stall:
    """Notices a lack of progress: numbers that stay the same."""

    def __init__(self, progress: Callable[[], tuple[int, ...]]) -> None:
        self._progress = progress
        self._last = progress()
        self._looked = time.monotonic()
        self._waited = 0.0
        self.has_moved = False

    def is_over(self, now: float) -> bool:
        """Whether they have been the same for too long while this process was looking: it may
        itself have been stopped."""
        numbers = self._progress()
        self.has_moved = numbers != self._last
        self._waited = 0.0 if self.has_moved else self._waited + min(now - self._looked, 2 * _POLL)
        self._last, self._looked = numbers, now
        return self._waited >= STALL_TIMEOUT


class _Hours:
    """Takes the coverage of one hour after the other from running counts: repeatedly during the
    hour, and finally when it is over."""

    def __init__(self) -> None:
        self._began = self._taken = time.monotonic()
        self._interval = COVERAGE_INTERVAL
        self._part = 0
        self._first: int | None = None
        self._last = 0
        self._coverage = Coverage()
        self._packets = 0
        self._anomalies = Counter[str]()
        self._without_verdict = Counter[str]()

    def is_due(self, now: float) -> bool:
        """Whether the coverage should be written again."""
        return now - self._taken >= self._interval

    def clock(self) -> int:
        """The time of the newest packet (ns), by the clock before there was one."""
        return self._last or time.time_ns()

    def see(self, times: Sequence[int]) -> None:
        """Note the present packet times, ns since the epoch."""
        if times:
            self._first = min(times) if self._first is None else self._first
            self._last = max(self._last, *times)

    def take(self, pool: WorkerPool, now: float, *, is_last: bool = False) -> HourCoverage:
        """The counts of the present hour. Open flows are included as if they ended now, so that a
        kill loses no more than those of the last seconds; when the hour is over, they are left to
        the next one, in which they end."""
        coverage, statistics = pool.coverage(), pool.statistics()
        is_over = now - self._began >= HOUR
        part = coverage.since(self._coverage)
        if is_last or not is_over:
            part.merge(pool.open_flows())
        anomalies = statistics.anomalies - self._anomalies
        unjudged = statistics.without_verdict - self._without_verdict
        report = part.report(statistics.packets - self._packets, anomalies, unjudged)
        record = HourCoverage(
            self._part,
            self._first or self._last,
            self._last,
            json_line(report_record(report)),
        )
        self._taken = now
        self._interval = max(COVERAGE_INTERVAL, len(record.line) / COVERAGE_BYTES)
        if is_over:
            self._began, self._part = now, self._part + 1
            self._first = None
            self._coverage, self._packets = coverage, statistics.packets
            self._anomalies = Counter(statistics.anomalies)
            self._without_verdict = Counter(statistics.without_verdict)
        return record
