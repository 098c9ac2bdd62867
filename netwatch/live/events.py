"""What happens in a live capture, as values for the log, the metrics and the view; and what is
repeated at fixed intervals: the report of dropped packets and of the amount of traffic.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from netwatch.core.alert import Alert
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.worker_pool import WorkerPool


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
    """A sentence about an interface, the state file or an output. `warning` is False where
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
    """The traffic of the last `seconds`, and how many incidents are open now. `records` are those
    of logs, None where packets are read."""

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
        """Run the actions whose interval has passed. One that is late is not made up for."""
        for number, (action, interval) in enumerate(self._tasks):
            if now >= self._due[number]:
                self._due[number] = now + interval
                action()


class TrafficReporter:
    """Compares the counters of `pool` with those of its last reports, with `of_logs` those of
    records."""

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
