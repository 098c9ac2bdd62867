"""The main process of a live capture: it turns the workers' findings into alerts.

It runs one loop, which only waits for messages of the workers. Anything that may take long is done
elsewhere: packets are read by the workers, receivers are served by the threads of the delivery, and
a changed configuration is read in a thread of its own.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.live.config_update import ConfigUpdate, Reloader
from netwatch.live.events import Event, Listener, Note, Schedule, Started, Stopped, TrafficReporter
from netwatch.live.findings_receiver import DELAY, FindingsReceiver
from netwatch.live.messages import Resume, StatusReport
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.record_output import AlertDelivery, AlertEvidence, AlertSender, RecordOutput
from netwatch.live.service import ServiceManager, Stopping
from netwatch.live.state_file import StateFile, StateSaver
from netwatch.live.worker_pool import WorkerPool

RECEIVE_TIMEOUT = 0.25
"""Seconds that the loop waits for messages before it does its other work."""

WORKER_SILENCE_LIMIT = 20.0
"""Seconds without a message of a worker after which the watchdog is no longer notified."""

START_TIMEOUT = 60.0
"""Seconds that workers have to begin to read logs; lines of large files are counted meanwhile."""

STOP_TIMEOUT = 60.0
"""Seconds within which workers that were asked to end must send something."""


def _nothing() -> None:
    """Does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of an aggregator.

    `evidence` writes the packets of alerts, see `netwatch.live.record_output`. `listeners` get
    every event; `watchers` are called once a second with the aggregator. `reads_logs`: the workers
    read logs, and continue where the last run ended. `user` is the user that the process became
    when it dropped its privileges, empty if it did not. `stopping` gets the progress at the end,
    and `capture_ended` is called when only closed incidents follow.
    """

    pool: WorkerPool
    reloader: Reloader
    output: RecordOutput
    service_manager: ServiceManager
    state_file: StateFile | None = None
    delivery: AlertDelivery | None = None
    evidence: AlertEvidence | None = None
    listeners: Sequence[Listener] = ()
    watchers: Sequence[Callable[["Aggregator"], None]] = ()
    reads_logs: bool = False
    user: str = ""
    stopping: Stopping
    capture_ended: Callable[[], None] = _nothing


class Aggregator:
    """Aggregates the findings of `parts.pool` until all workers have ended.

    `interfaces` are named in messages. `live` says that packets are stamped as they arrive,
    not read from a file.
    """

    def __init__(
        self, parts: Parts, config: Config, interfaces: Sequence[str], *, live: bool
    ) -> None:
        self.pool = parts.pool
        self.alerts = AlertSender(parts.output, parts.delivery, parts.evidence, self._emit)
        self.incidents = OpenIncidents(config.quiet_gap, config.geo, self._send)
        self.incidents.unknown.limit = config.client_limit
        self.receiver = FindingsReceiver(
            parts.pool, self.incidents, self._emit, config.sensor, live=live
        )
        self.updates = ConfigUpdate(
            config,
            parts.reloader,
            pool=parts.pool,
            receiver=self.receiver,
            incidents=self.incidents,
            emit=self._emit,
        )
        self.state = StateSaver(parts.state_file, self.incidents, of_logs=parts.reads_logs)
        self._traffic = TrafficReporter(
            parts.pool, self.incidents, self._emit, of_logs=parts.reads_logs
        )
        self._parts = parts
        self._interfaces = tuple(interfaces)
        self._live = live
        self._save_soon = False
        self._reload_requested = False
        self._stop_reason = ""
        self._stop_deadline: float | None = None
        self._has_progress = self._was_late = False
        self._to_close = self._closed = 0
        self.stop_problem = ""

    def stop(self, reason: str) -> None:
        """End soon; may be called from a signal handler."""
        self._stop_reason = self._stop_reason or reason

    def reload(self) -> None:
        """Reload the configuration and reopen files; may be called from a signal handler."""
        self._reload_requested = True

    def run(self) -> None:
        """Aggregate until all workers have ended, then close the open incidents."""
        self._start()
        schedule = self._schedule(time.monotonic())
        while not self.pool.has_ended and not self._is_stop_overdue():
            timeout = DELAY if self.receiver.has_delayed else RECEIVE_TIMEOUT
            for worker, message in self.pool.receive(timeout):
                self.receiver.receive(worker, message, time.monotonic_ns())
                self._has_progress |= not isinstance(message, StatusReport)
            self._release(time.monotonic())
            self._handle_stop()
            self._handle_reload()
            if self._save_soon:
                self._save()
            self.alerts.flush()
            schedule.run_due(time.monotonic())
        self._finish()

    def _start(self) -> None:
        config = self.updates.config
        restored = self.state.restore(config.quiet_gap)
        if self._parts.reads_logs:
            self.pool.broadcast(Resume(self.state.positions()))
            self._await_reports()
        self._emit(
            Started(
                interfaces=self._interfaces,
                workers=len(self.pool),
                policy=config.version,
                signatures=config.catalog.version,
                restored=restored,
            )
        )
        for text in config.notes:
            self._emit(Note(text, warning=False))
        self._notify_ready()
        if self._parts.user:
            self.updates.try_reload(self._parts.user)

    def _await_reports(self) -> None:
        """Wait until the workers know where in the logs they begin, so that everything written from
        now on is read."""
        end = time.monotonic() + START_TIMEOUT
        while None in self.pool.reports and not self.pool.has_ended and not self._stop_reason:
            for worker, message in self.pool.receive(RECEIVE_TIMEOUT):
                self.receiver.receive(worker, message, time.monotonic_ns())
            if time.monotonic() > end:
                return

    def _schedule(self, now: float) -> Schedule:
        schedule = Schedule()
        schedule.every(1.0, self._close_quiet_incidents, now)
        schedule.every(2.0, self._look_for_changed_files, now)
        schedule.every(1.0, self._save, now)
        schedule.every(1.0, self._call_watchers, now)
        schedule.every(5.0, self._traffic.report_drops, now)
        if self._parts.evidence is not None:
            schedule.every(5.0, self._parts.evidence.retry, now)
        schedule.every(60.0, self._traffic.report_traffic, now)
        watchdog_interval = self._parts.service_manager.watchdog_interval
        if watchdog_interval is not None:
            schedule.every(watchdog_interval, self._notify_watchdog, now)
        return schedule

    def _release(self, now: float) -> None:
        self.receiver.release(now)
        self.state.note(self.receiver.take_positions())

    def _handle_stop(self) -> None:
        if self.alerts.reader_gone:
            self.stop("the reader of the records has gone away")
        if self.receiver.worker_error is not None:
            self.stop(self.receiver.worker_error)
        if self._stop_reason and self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + STOP_TIMEOUT
            self._parts.service_manager.stopping()
            self.pool.stop()

    def _is_stop_overdue(self) -> bool:
        """Whether workers that were asked to end have sent nothing for too long. Then they get a
        last look: this process may itself have been stopped, and have something to receive."""
        if self._stop_deadline is None:
            return False
        if self._has_progress:
            self._has_progress = False
            self._stop_deadline = time.monotonic() + STOP_TIMEOUT
            self._parts.stopping.progress("waiting for the last findings")
        is_late = time.monotonic() >= self._stop_deadline
        was_late, self._was_late = self._was_late, is_late
        return is_late and was_late

    def _handle_reload(self) -> None:
        if self._reload_requested:
            self._reload_requested = False
            self.alerts.reopen()
            self._start_reload()
        if self.updates.poll():
            self._notify_ready()

    def _look_for_changed_files(self) -> None:
        if self._parts.reloader.has_changed():
            self._start_reload()

    def _start_reload(self) -> None:
        self._parts.service_manager.reloading()
        self._parts.reloader.start()

    def _close_quiet_incidents(self) -> None:
        now = self.receiver.clock.continuous(time.monotonic_ns())
        if now is not None:
            self.incidents.close_quiet(now)

    def _save(self) -> None:
        self._save_soon = False
        self.state.save()

    def _call_watchers(self) -> None:
        for watcher in self._parts.watchers:
            watcher(self)

    def _notify_ready(self) -> None:
        what = "reading" if self._parts.reads_logs else "capturing on"
        self._parts.service_manager.ready(f"{what} {', '.join(self._interfaces)}")

    def _notify_watchdog(self) -> None:
        if not self._live or self.pool.longest_silence() < WORKER_SILENCE_LIMIT:
            self._parts.service_manager.watchdog()

    def _send(self, alert: Alert) -> None:
        self._save_soon = True
        self.alerts.send(alert)
        if self._to_close:
            self._closed += 1
            self._parts.stopping.progress(
                f"{self._closed:,} of {self._to_close:,} open incidents closed"
            )

    def _emit(self, event: Event) -> None:
        for listener in self._parts.listeners:
            listener(event)

    def _finish(self) -> None:
        """Close all open incidents. After a failure they stay open if there is a state
        file, so that the next run continues them."""
        self._parts.service_manager.stopping()
        if not self.pool.has_ended:
            self.stop_problem = (
                f"not all workers ended: data they had not sent after {STOP_TIMEOUT:g} s is lost"
            )
            self._emit(Note(self.stop_problem))
        self._release(float("inf"))
        self._traffic.report_drops()
        self._parts.capture_ended()
        self.alerts.expect_end()
        if self.receiver.worker_error is None or not self.state.has_file:
            self._to_close = len(self.incidents)
            self.incidents.close_all()
        self.alerts.flush()
        self.state.save(limit=len(self.incidents))
        self._emit(Stopped(self._stop_reason or "the capture has ended"))
