"""A snapshot as Prometheus metrics.

Names and units are by Prometheus's rules: one prefix, base units, ``_total`` for what only
rises. Every label has a bounded set of values: names from the code or from the
configuration, never from packets; of more than `MAX_SERIES` those that sort first are told
by themselves and the rest is added up under ``other``, so that no count ever falls.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from netwatch.watch.health import TROUBLES, Thresholds, troubles
from netwatch.watch.snapshot import Backlog, Look, Queue, Snapshot, Table, Written

MAX_SERIES = 256
"""Values that a label has at most, `OTHER` among them."""

OTHER = "other"
"""The label of what is added up beyond `MAX_SERIES`."""


class Metrics(Collector):
    """Reads a snapshot each time that Prometheus asks."""

    def __init__(self, look: Look, limits: Thresholds) -> None:
        self._look = look
        self._limits = limits

    def describe(self) -> Iterable[Metric]:
        """Nothing: to know the names the registry need not ask for a snapshot."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All metrics of one snapshot."""
        seen = self._look()
        yield from _process(seen)
        yield from _wire(seen)
        yield from _judged(seen)
        yield from _tables(seen.tables)
        yield from _backlogs(seen.backlogs)
        yield from _outputs(seen.outputs, seen.now)
        yield from _evidence(seen.evidence)
        wrong = Counter(trouble.kind for trouble in troubles(seen, self._limits))
        unwell = GaugeMetricFamily(
            "netwatch_troubles", "What is wrong now, as /healthz tells it.", labels=["trouble"]
        )
        for kind in TROUBLES:
            unwell.add_metric([kind], wrong[kind])
        yield unwell


def _process(seen: Snapshot) -> Iterator[Metric]:
    build = GaugeMetricFamily(
        "netwatch_build_info",
        "What runs here; always 1.",
        labels=["version", "signatures", "python", "compiled"],
    )
    compiled = "true" if seen.compiled else "false"
    build.add_metric([seen.version, seen.signatures, platform.python_version(), compiled], 1)
    yield build
    yield _gauge("netwatch_start_time_seconds", "When the capture was started.", seen.started)
    reloads = CounterMetricFamily(
        "netwatch_reloads", "Configurations read again while running.", labels=["outcome"]
    )
    reloads.add_metric(["applied"], seen.reloads)
    reloads.add_metric(["refused"], seen.refused_reloads)
    yield reloads
    if seen.last_reload is not None:
        told = "When a configuration was last read again and applied."
        yield _gauge("netwatch_last_reload_timestamp_seconds", told, seen.last_reload)
    told = "Times that what is open could not be stored."
    yield _counter("netwatch_state_failures", told, seen.state_failures)


def _wire(seen: Snapshot) -> Iterator[Metric]:
    yield _counter("netwatch_packets", "Packets seen.", seen.packets)
    yield _counter("netwatch_packet_bytes", "Bytes of them on the wire.", seen.octets)
    yield _counter(
        "netwatch_packets_dropped", "Packets that the kernel lost before they came.", seen.dropped
    )
    yield _counter("netwatch_ring_freezes", "Times that the kernel's ring was full.", seen.freezes)
    yield _counter("netwatch_candidates", "Packets that could carry a name.", seen.candidates)
    if seen.last_packet is not None:
        told = "When the last packet came."
        yield _gauge("netwatch_last_packet_timestamp_seconds", told, seen.last_packet)
    up = GaugeMetricFamily("netwatch_interface_up", "Whether it is up.", labels=["interface"])
    for name in seen.interfaces:
        up.add_metric([name], float(name not in seen.down))
    yield up
    told = "What became of interfaces."
    yield _counters("netwatch_interface_events", told, "event", seen.events)
    told = "Times that the clock of the packets was set."
    yield _counter("netwatch_clock_steps", told, seen.clock_steps)
    yield _counters(
        "netwatch_observations", "Names shown, by evidence.", "evidence", seen.observations
    )
    yield _counters("netwatch_oddities", "What was not as it should be.", "oddity", seen.anomalies)
    yield _counters(
        "netwatch_flows", "Flows that are over, by what is known of their name.", "reading",
        seen.flows,
    )  # fmt: skip


def _judged(seen: Snapshot) -> Iterator[Metric]:
    yield _counters("netwatch_incidents", "Incidents told.", "verdict", seen.incidents)
    opened = GaugeMetricFamily(
        "netwatch_incidents_open", "Incidents that are open.", labels=["verdict"]
    )
    for verdict, count in sorted(seen.opened.items()):
        opened.add_metric([verdict], count)
    yield opened
    told = "Contacts that no ban says anything of, by the reason."
    yield _counters("netwatch_contacts_without_verdict", told, "reason", seen.without_verdict)


def _tables(tables: Mapping[str, Table]) -> Iterator[Metric]:
    entries = GaugeMetricFamily("netwatch_table_entries", "Entries now.", labels=["table"])
    limit = GaugeMetricFamily("netwatch_table_entries_limit", "At most.", labels=["table"])
    evicted = CounterMetricFamily(
        "netwatch_table_evictions", "Entries that had to go.", labels=["table"]
    )
    for name, table in sorted(tables.items()):
        entries.add_metric([name], table.entries)
        limit.add_metric([name], table.limit)
        evicted.add_metric([name], table.evicted)
    yield from (entries, limit, evicted)


def _backlogs(backlogs: Mapping[str, Backlog]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "netwatch_backlog_bytes", "Bytes that wait in memory.", labels=["queue"]
    )
    lost = CounterMetricFamily(
        "netwatch_backlog_left_out", "Items that found no room there.", labels=["queue"]
    )
    for name, backlog in sorted(backlogs.items()):
        waiting.add_metric([name], backlog.octets)
        lost.add_metric([name], backlog.left_out)
    yield from (waiting, lost)


def _outputs(outputs: Mapping[str, Queue], now: float) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "netwatch_output_waiting", "Alerts not delivered yet.", labels=["output"]
    )
    oldest = GaugeMetricFamily(
        "netwatch_output_oldest_seconds", "Age of the oldest of them.", labels=["output"]
    )
    delivered = CounterMetricFamily(
        "netwatch_output_delivered", "Alerts delivered.", labels=["output"]
    )
    failed = CounterMetricFamily(
        "netwatch_output_failures", "Attempts that failed.", labels=["output"]
    )
    lost = CounterMetricFamily(
        "netwatch_output_lost", "Alerts refused for good or dropped.", labels=["output"]
    )
    for name, queue in sorted(outputs.items()):
        waiting.add_metric([name], queue.waiting)
        oldest.add_metric([name], 0 if queue.oldest is None else max(0.0, now - queue.oldest))
        delivered.add_metric([name], queue.delivered)
        failed.add_metric([name], queue.failed)
        lost.add_metric([name], queue.lost)
    yield from (waiting, oldest, delivered, failed, lost)


def _evidence(kept: Written) -> Iterator[Metric]:
    yield _counter("netwatch_evidence_files", "Files of packets written.", kept.files)
    yield _counter("netwatch_evidence_bytes", "Bytes of them.", kept.octets)
    told = "Packets that limits kept out of them, and files not written, by the reason."
    yield _counters("netwatch_evidence_left_out", told, "reason", kept.left_out)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def _counter(name: str, told: str, value: int) -> Metric:
    return CounterMetricFamily(name, told, value=value)


def _counters(name: str, told: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, told, labels=[label])
    ranked = sorted(counts.items())
    rest = ranked[MAX_SERIES - 1 :] if len(ranked) > MAX_SERIES else []
    for value, count in ranked[: MAX_SERIES - 1] if rest else ranked:
        family.add_metric([value], count)
    if rest:
        family.add_metric([OTHER], sum(count for _, count in rest))
    return family
