"""What happens in a live capture, as values for the log, the metrics and the view; what is repeated
at fixed intervals: the report of dropped packets and of the amount of traffic; and the log itself:
one line per event on standard error, for people and journald.

Only as many alerts have a line of their own as a reader can follow. The others are counted.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netwatch.core.alert import Alert
from netwatch.core.text import quantity
from netwatch.formats.values import LogFormat, log_line
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.worker_pool import WorkerPool

LINES = 60
"""Alerts with a line of their own per minute, at most."""

MINUTE = 60_000_000_000
"""A minute in ns."""

_STATUS_WORDS: Mapping[str, str] = {"open": "opened", "update": "raised", "closed": "closed"}
"""The first word of an alert's line, by the alert's status."""


@dataclass(frozen=True, slots=True)
class Started:
    """The capture runs: `workers` processes read `interfaces`. `policy` and `signatures` are
    versions; `restored` counts the open incidents that were read from the state file."""

    interfaces: tuple[str, ...]
    workers: int
    policy: str
    signatures: str
    restored: int


@dataclass(frozen=True, slots=True)
class AlertSent:
    """An incident was opened, updated or closed, and this alert was sent."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence about an interface, the state file or an output. `warning` is False if
    it is for information only."""

    text: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class PacketsDropped:
    """Packets that the kernel dropped since the last such event, and in total."""

    packets: int
    total: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """A new configuration is in use; `policy` and `signatures` are its versions."""

    policy: str
    signatures: str


@dataclass(frozen=True, slots=True)
class ReloadRefused:
    """A new configuration has mistakes, one per line of `error`; the old one stays in use."""

    error: str


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The traffic of the last `seconds`, and how many incidents are open now. `records` are log
    records, None if packets are read."""

    seconds: float
    packets: int
    wire_bytes: int
    dropped: int
    open_incidents: int
    records: int | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The capture has ended; `reason` is for people."""

    reason: str


Event = (
    Started | AlertSent | Note | PacketsDropped | Reloaded | ReloadRefused | TrafficReport | Stopped
)
Listener = Callable[[Event], None]


class Schedule:
    """Actions with their intervals, in the order in which they were added. Times are in
    seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._tasks: list[tuple[Callable[[], None], float]] = []
        self._due: list[float] = []

    def every(self, interval: float, action: Callable[[], None], now: float) -> None:
        """Run `action` for the first time one interval after `now`."""
        self._tasks.append((action, interval))
        self._due.append(now + interval)

    def run_due(self, now: float) -> None:
        """Run the actions whose interval has passed. A late one is not made up for."""
        for number, (action, interval) in enumerate(self._tasks):
            if now >= self._due[number]:
                self._due[number] = now + interval
                action()


class TrafficReporter:
    """Compares the counters of `pool` with its last reports; with `of_logs` those of records."""

    def __init__(
        self, pool: WorkerPool, incidents: OpenIncidents, emit: Listener, *, of_logs: bool = False
    ) -> None:
        self._pool = pool
        self._incidents = incidents
        self._emit = emit
        self._dropped = 0
        self._of_logs = of_logs
        self._last = (time.monotonic(), 0, 0, 0, 0)

    def report_drops(self) -> None:
        """Report the packets that the kernel dropped since the last call, if any."""
        dropped = self._pool.dropped
        if dropped > self._dropped:
            self._emit(PacketsDropped(dropped - self._dropped, dropped))
        self._dropped = dropped

    def report_traffic(self) -> None:
        """Report packets, bytes and drops since the last call."""
        since, packets, wire_bytes, dropped, records = self._last
        statistics = self._pool.statistics()
        counts = statistics.packets, statistics.wire_bytes, self._pool.dropped, statistics.records
        self._last = time.monotonic(), *counts
        now, *totals = self._last
        report = TrafficReport(
            seconds=now - since,
            packets=totals[0] - packets,
            wire_bytes=totals[1] - wire_bytes,
            dropped=totals[2] - dropped,
            open_incidents=len(self._incidents),
            records=totals[3] - records if self._of_logs else None,
        )
        self._emit(report)


class AlertLines:
    """Counts alerts, by the first word of their line."""

    def __init__(self) -> None:
        self._began = 0
        self._shown = 0
        self._left_out: Counter[str] = Counter()

    def is_shown(self, word: str, now: int) -> bool:
        """Whether an alert at a time (ns) has a line of its own; otherwise it is counted."""
        if now - self._began >= MINUTE:
            self._began, self._shown = now, 0
        self._shown += 1
        if self._shown > LINES:
            self._left_out[word] += 1
        return self._shown <= LINES

    def left_out(self, now: int, *, at_end: bool = False) -> str:
        """What was left out, in words, once a minute is over or the capture has ended; empty before
        that, and if nothing was."""
        if not self._left_out or (now - self._began < MINUTE and not at_end):
            return ""
        found, self._left_out = self._left_out, Counter()
        words = ", ".join(f"{count:,} {word}" for word, count in sorted(found.items()))
        return f"{quantity(found.total(), 'more alert')}: {words}; the records have all of them"


class Log:
    """Passes log lines to `write`, which is called once per line.

    A line starts with its time, except where journald adds its own (``JOURNAL_STREAM`` is
    set); with the format ``json`` it is an object. With `quiet` only warnings are logged. Of many
    alerts only some have a line.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        quiet: bool = False,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], int] = time.time_ns,
        *,
        form: LogFormat = "text",
    ) -> None:
        self._form = form
        self._write = write
        self._quiet = quiet
        self._journal = "JOURNAL_STREAM" in environ
        self._clock = clock
        self._alerts = AlertLines()

    def __call__(self, event: Event) -> None:
        """Log an event."""
        if self._quiet and not is_warning(event):
            return
        now = self._clock()
        for text in self._texts(event, now):
            line = log_line(
                text, now, self._form, warning=is_warning(event), stamped=not self._journal
            )
            self._write(line)

    def _texts(self, event: Event, now: int) -> list[str]:
        """The lines for an event, after what was left out before it."""
        left_out = self._alerts.left_out(now, at_end=isinstance(event, Stopped))
        before = [left_out] if left_out else []
        if isinstance(event, AlertSent):
            word = _STATUS_WORDS[event.alert.status]
            return [*before, *lines(event)] if self._alerts.is_shown(word, now) else before
        return [*before, *lines(event)]


def is_warning(event: Event) -> bool:
    """Whether an event is logged with ``--quiet`` too."""
    if isinstance(event, Note):
        return event.warning
    return isinstance(event, PacketsDropped | ReloadRefused)


def lines(event: Event) -> list[str]:
    """An event in words, one line or more."""
    match event:
        case Started():
            return [_started(event)]
        case AlertSent():
            return [_alert(event.alert)]
        case Note():
            return [event.text]
        case PacketsDropped():
            return [f"dropped {quantity(event.packets, 'packet')}, {event.total:,} in total"]
        case Reloaded():
            return [f"reloaded: policy {event.policy}, signatures {event.signatures}"]
        case ReloadRefused():
            mistakes = event.error.splitlines()
            return ["reload refused, the previous configuration stays in use", *mistakes]
        case TrafficReport():
            open_now = quantity(event.open_incidents, "open incident")
            return [f"{_traffic(event)}, {event.dropped:,} dropped, {open_now}"]
        case Stopped():
            return [f"stopped: {event.reason}"]


def _traffic(event: TrafficReport) -> str:
    if event.records is not None:
        return f"{event.records / event.seconds:,.0f} records/s"
    return (
        f"{event.packets / event.seconds:,.0f} packets/s,"
        f" {8e-6 * event.wire_bytes / event.seconds:,.1f} Mbit/s"
    )


def _started(event: Started) -> str:
    workers = f" with {event.workers} workers" if event.workers > 1 else ""
    rules = f"policy {event.policy}, signatures {event.signatures}"
    restored = f", restored {quantity(event.restored, 'open incident')}" if event.restored else ""
    return f"started on {', '.join(event.interfaces)}{workers}: {rules}{restored}"


def _alert(alert: Alert) -> str:
    """An alert without the device: more people read a log than the records, and it is kept
    longer."""
    if alert.status == "closed":
        contacts = quantity(sum(item.count for item in alert.evidence), "contact")
        counts = alert.counts
        what = f"{contacts}, {quantity(counts.bytes_out, 'byte')} out, {counts.bytes_in:,} in"
    else:
        last = max(alert.evidence, key=lambda item: item.time)
        what = f"{last.type} {last.name}"
    return (
        f"{_STATUS_WORDS[alert.status]} {alert.verdict} {alert.confidence}: {alert.app.name} in"
        f" {alert.network.name} ({what}), ban {alert.ban.id}, id {alert.id}"
    )
