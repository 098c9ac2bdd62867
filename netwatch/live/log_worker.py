"""The worker process of a capture that reads logs: it sends the contacts that records make.

Unlike a worker that reads packets, it may wait: a log waits, packets do not. So nothing that it
sends is ever discarded; if the aggregator is behind, no records are read. The findings of records
are sent with how far the logs were read, so that both are saved together.
"""

import time
from types import FrameType

from netwatch.config import Config
from netwatch.core.statistics import RunStatistics
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.engine.log_scan import LiveLogs
from netwatch.live.messages import (
    COMMAND_PATIENCE,
    Channel,
    Findings,
    FindingsBuffer,
    FollowUp,
    Reload,
    Resume,
    StatusReport,
    Stop,
    WorkerEnded,
    WorkerOptions,
)
from netwatch.live.packet_clock import PacketClock
from netwatch.live.source_openers import LogOpener
from netwatch.logs.live.feed import LogFeed
from netwatch.logs.log_files import LogItem
from netwatch.logs.records import time_of

READ_TIMEOUT = 0.1
"""Seconds for which a read waits for records before commands are checked."""

QUEUE_LIMIT = 8 << 20
"""Bytes queued for the aggregator beyond which no records are read."""

REPORT_INTERVAL = 1.0
"""Seconds between two status reports, and between two positions without findings."""

SETTLE_REPORTS = 2
"""Every so many reports flows are forgotten and the coverage is sent."""


class LogWorker:
    """Reads the logs of `opener` until it is stopped."""

    def __init__(
        self, opener: LogOpener, config: Config, channel: Channel, options: WorkerOptions
    ) -> None:
        self._opener = opener
        self._channel = channel
        self._statistics = RunStatistics()
        self._coverage = Coverage()
        self._findings = FindingsBuffer()
        self._judge = LiveLogs(
            config,
            self._statistics,
            self._findings,
            self._coverage,
            keep_records=options.keep_frames,
        )
        self._recording = options.recording
        self._clock = PacketClock(live=True)
        self._config_serial = 0
        self._saved: dict[str, str] | None = None
        self._positions: dict[str, str | None] = {}
        self._last_record: float | None = None
        self._record_time = 0
        self._next_report = 0.0
        self._reports = 0
        self._stopping = False
        self._feed: LogFeed | None = None

    def run(self) -> None:
        """Read until the end, then send the last findings and a final report."""
        while self._saved is None and not self._stopping:
            self._handle_commands()
            time.sleep(0.01)
        feed = self._feed = self._opener.open(self._saved or {}, self._statistics)
        if self._recording is not None:
            # It has a thread, which can only be started by the process that has it.
            self._judge.recorder = self._recording.event_recorder(0, (), self._statistics)
        try:
            self._report(feed, required=True)
            self._judge.learn(feed.context())
            while not self._stopping:
                self._handle_commands()
                self._step(feed)
            self._judge_items(feed.finish(resuming=True))
            # Findings come first: the log can be read again.
            self._send_findings(feed, at_end=True)
            self._channel.finish()
            self._judge.finish()
            self._report(feed, required=True)
        finally:
            feed.close()
        self._channel.send(WorkerEnded(), required=True)
        self._channel.finish()

    def stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End soon; may be called from a signal handler."""
        self._stopping = True

    def _step(self, feed: LogFeed) -> None:
        """Read and judge what there is, and send the results."""
        if self._channel.queued > QUEUE_LIMIT:
            time.sleep(READ_TIMEOUT / 10)
        else:
            self._judge_items(feed.read(READ_TIMEOUT))
            self._send_findings(feed)
        if time.monotonic() >= self._next_report:
            self._next_report = time.monotonic() + REPORT_INTERVAL
            self._settle(feed)

    def _judge_items(self, items: list[LogItem]) -> None:
        if not items:
            return
        self._judge.judge(items)
        self._last_record = time.time()
        # A record with a future time does not make time pass.
        self._record_time = min(time_of(items[-1].entry), time.time_ns())
        self._clock.update(self._record_time, time.monotonic_ns())

    def _send_findings(self, feed: LogFeed, *, at_end: bool = False) -> None:
        self._positions.update(feed.take_positions())
        items = self._findings.take()
        if items or (at_end and self._positions):
            self._send(items)

    def _send(self, items: tuple[Contact | FollowUp, ...]) -> None:
        positions, self._positions = self._positions, {}
        findings = Findings(self._config_serial, self._record_time, items, positions)
        self._channel.send(findings, required=True)

    def _settle(self, feed: LogFeed) -> None:
        now = self._clock.now(time.monotonic_ns())
        if now is None and not feed.is_behind:
            # There was nothing to read: from here on time passes as on the clock.
            now = time.time_ns()
            self._clock.update(now, time.monotonic_ns())
        if self._reports % SETTLE_REPORTS == 0 and now is not None:
            self._judge.checkpoint(now)
        self._judge.update_statistics()
        if self._positions:
            self._record_time = self._record_time or time.time_ns()
            self._send(())
        self._report(feed, required=False)
        self._reports += 1

    def _report(self, feed: LogFeed, *, required: bool) -> None:
        notes, feed.notes = feed.notes, []
        behind = time.time_ns() - self._record_time if feed.is_behind else 0
        self._channel.send(
            StatusReport(
                config_serial=self._config_serial,
                packet_time=self._clock.now(time.monotonic_ns()),
                statistics=self._statistics,
                dropped=feed.dropped,
                notes=tuple(notes),
                logs_unreadable=feed.unreadable,
                log_events=dict(feed.events),
                log_lag=max(0, behind) / 1e9,
                clock_steps=self._clock.steps,
                bytes_queued=self._channel.queued,
                last_packet=self._last_record,
                tables={**self._judge.table_usage(), **feed.tables},
                coverage=self._coverage if self._reports % SETTLE_REPORTS == 0 else None,
            ),
            required=required,
        )

    def _handle_commands(self) -> None:
        self._channel.flush()
        messages, is_open = self._channel.receive(COMMAND_PATIENCE)
        for message in messages:
            if isinstance(message, Reload):
                self._config_serial = message.config_serial
                self._judge.reload(message.config)
                self._opener.receivers.exporters = message.config.exporters
                if self._feed is not None:
                    self._feed.reload(message.config.exporters)
            elif isinstance(message, Resume):
                self._saved = dict(message.positions)
            elif isinstance(message, Stop):
                self.stop()
        if not is_open:
            # The aggregator has died.
            self.stop()
