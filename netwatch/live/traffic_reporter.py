"""Reports dropped packets and the amount of traffic as events."""

import time

from netwatch.live.events import Listener, PacketsDropped, TrafficReport
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.worker_pool import WorkerPool


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
