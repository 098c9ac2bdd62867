"""Takes snapshots of a running capture for its metrics, its health check and its view.

The aggregator takes one once a second in its own thread; other threads get the last one.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from netwatch import __version__
from netwatch.core.alert import Alert
from netwatch.core.statistics import RunStatistics, limit_ether_types
from netwatch.delivery.outbox import OutputStatus
from netwatch.dissect.loop.loop import COMPILED
from netwatch.incidents.aggregate import INCIDENT_LIMIT
from netwatch.live.aggregator import Aggregator
from netwatch.live.events import (
    AlertSent,
    Event,
    PacketsDropped,
    Reloaded,
    ReloadRefused,
    is_warning,
    lines,
)
from netwatch.live.messages import StatusReport
from netwatch.live.open_incidents import ENDED_LIMIT, OpenIncidents
from netwatch.watch.snapshot import (
    MESSAGES,
    RECENT,
    TOP,
    Backlog,
    ContactCount,
    EvidenceFiles,
    FleetStatus,
    Message,
    OutboxBacklog,
    OutputQueue,
    Snapshot,
    StoreStatus,
    TableUsage,
    UpdateStatus,
)

RANKING_LIMIT = 256
"""Apps, and devices, whose contacts to count."""


class Ranking:
    """The most frequent of any number of names, by the space-saving algorithm (Metwally et al.,
    2005): once `limit` names are counted, a new one replaces the least frequent and starts from its
    count. So a count may be too high, but never too low."""

    def __init__(self, limit: int = RANKING_LIMIT) -> None:
        self._limit = limit
        self._contacts: Counter[str] = Counter()
        self._incidents: Counter[str] = Counter()

    def add(self, name: str, contacts: int, incidents: int) -> None:
        """Count contacts and incidents of a name."""
        inherited = 0
        if name not in self._contacts and len(self._contacts) >= self._limit:
            least = min(self._contacts, key=self._contacts.__getitem__)
            inherited = self._contacts.pop(least)
            self._incidents.pop(least, None)
        self._contacts[name] += inherited + contacts
        self._incidents[name] += incidents

    def top(self, limit: int = TOP) -> tuple[ContactCount, ...]:
        """The names with most contacts, the most frequent first."""
        return tuple(
            ContactCount(name, contacts, self._incidents[name])
            for name, contacts in self._contacts.most_common(limit)
        )


class DeliveryStatus(Protocol):
    """The state of outputs and outbox, as in `netwatch.delivery.delivery.Delivery`."""

    @property
    def problem(self) -> str: ...  # noqa: D102

    @property
    def unwritten(self) -> int: ...  # noqa: D102

    @property
    def lost(self) -> int: ...  # noqa: D102

    def status(self) -> Sequence[OutputStatus]: ...  # noqa: D102


class EvidenceCounters(Protocol):
    """What was written, as counted by `netwatch.incidents.evidence_folder.EvidenceFolder`."""

    files: int
    octets: int
    left_out: Counter[str]

    @property
    def problem(self) -> str: ...  # noqa: D102


class MessageCounters(Protocol):
    """What is in the queue of messages and what did not fit, as counted by
    `netwatch.live.display.MessageStream`."""

    discarded: int

    @property
    def queued(self) -> int: ...  # noqa: D102


class Snapshots:
    """Has the last snapshot of an aggregator, whose events it must get."""

    def __init__(
        self,
        interfaces: Sequence[str],
        delivery: DeliveryStatus | None = None,
        evidence: EvidenceCounters | None = None,
        messages: MessageCounters | None = None,
        updates: Callable[[], UpdateStatus] = UpdateStatus,
        store: Callable[[], StoreStatus] = StoreStatus,
        fleet: Callable[[], FleetStatus] = FleetStatus,
    ) -> None:
        self._delivery = delivery
        self._evidence = evidence
        self._message_counters = messages
        self._update_status = updates
        self._store_status = store
        self._fleet_status = fleet
        self._messages: deque[Message] = deque(maxlen=MESSAGES)
        self._reload_error = ""
        self._recent: deque[Alert] = deque(maxlen=RECENT)
        self._apps, self._devices = Ranking(), Ranking()
        self._counted_contacts: dict[str, int] = {}
        self._dropped = 0
        self._last_drop: float | None = None
        self._lost = 0
        self._last_loss: float | None = None
        now = time.time()
        self._last = Snapshot(now, now, __version__, tuple(interfaces), compiled=COMPILED)

    def last(self) -> Snapshot:
        """The last snapshot, with the current time; may be called from any thread."""
        return replace(self._last, now=time.time())

    def __call__(self, event: Event) -> None:
        """Take an event. Notes may come from any thread, all others from the aggregator's."""
        if isinstance(event, AlertSent):
            self._count_contacts(event.alert)
        elif _is_shown(event):
            texts = lines(event)
            if isinstance(event, ReloadRefused):
                # The mistakes are shown separately, until a configuration is applied.
                del texts[1:]
            # One call, because `take` may iterate in another thread.
            self._messages.extend([Message(time.time(), text) for text in texts])
        if isinstance(event, Reloaded | ReloadRefused):
            self._reload_error = event.error if isinstance(event, ReloadRefused) else ""

    def _count_contacts(self, alert: Alert) -> None:
        """Count the contacts of a reported incident."""
        others = [recent for recent in self._recent if recent.id != alert.id]
        self._recent.clear()
        self._recent.extend([*others, alert][-RECENT:])
        total = sum(item.count for item in alert.evidence)
        new = total - self._counted_contacts.pop(alert.id, 0)
        for ranking, name in ((self._apps, alert.app.name), (self._devices, alert.device.id)):
            ranking.add(name, new, alert.status == "open")
        if alert.status != "closed":
            self._counted_contacts[alert.id] = total

    def take(self, aggregator: Aggregator) -> None:
        """Take a snapshot."""
        pool, incidents, updates = aggregator.pool, aggregator.incidents, aggregator.updates
        output = aggregator.alerts.output
        reports = [report for report in pool.reports if report is not None]
        statistics = pool.statistics()
        aggregator.updates.config.geo.note_damaged(statistics.anomalies)
        statistics.anomalies.update(incidents.anomalies)
        if pool.dropped > self._dropped:
            self._dropped, self._last_drop = pool.dropped, time.time()
        store = self._store_status()
        if store.all_lost > self._lost:
            self._lost, self._last_loss = store.all_lost, time.time()
        arrivals = [report.last_packet for report in reports if report.last_packet is not None]
        queued = sum(report.bytes_queued for report in reports)
        self._last = Snapshot(
            now=time.time(),
            started=self._last.started,
            version=__version__,
            interfaces=self._last.interfaces,
            interfaces_down=tuple(sorted({n for r in reports for n in r.interfaces_down})),
            signatures=updates.config.catalog.version,
            compiled=COMPILED,
            packets=statistics.packets,
            wire_bytes=statistics.wire_bytes,
            records=statistics.records,
            unread_records=_unread_records(statistics),
            log_events=sum((Counter(report.log_events) for report in reports), Counter()),
            log_lag=max((r.log_lag for r in reports if r.log_lag is not None), default=None),
            logs_unreadable={p: w for r in reports for p, w in r.logs_unreadable.items()},
            candidates=statistics.candidates,
            dropped=pool.dropped,
            ring_freezes=pool.ring_freezes,
            interface_events=_interface_events(reports),
            clock_steps=aggregator.receiver.clock.steps,
            state_failures=aggregator.state.failures,
            last_packet=max(arrivals, default=None),
            last_drop=self._last_drop,
            last_loss=self._last_loss,
            reloads=updates.applied,
            refused_reloads=updates.refused,
            last_reload=updates.last_applied,
            observations=statistics.observations,
            anomalies=limit_ether_types(statistics.anomalies),
            without_verdict=statistics.without_verdict,
            flows={str(reading): count for reading, count in pool.flows().counts.items()},
            incidents=incidents.by_verdict,
            judged=dict(incidents.judged),
            open_incidents=Counter(entry.key[3] for entry in incidents if entry.id),
            tables=_tables(reports, incidents),
            backlogs={
                "findings": Backlog(queued, pool.findings_lost),
                "records": Backlog(output.buffered, output.discarded),
                **self._message_backlog(),
            },
            outputs=self._outputs(),
            outbox=self._outbox(),
            evidence=self._evidence_files(),
            updates=self._update_status(),
            store=store,
            fleet=self._fleet_status(),
            records_problem=output.problem,
            reload_error=self._reload_error,
            messages=tuple(self._messages),
            recent=tuple(reversed(self._recent)),
            apps=self._apps.top(),
            devices=self._devices.top(),
        )

    def _evidence_files(self) -> EvidenceFiles:
        evidence = self._evidence
        if evidence is None:
            return EvidenceFiles()
        return EvidenceFiles(
            evidence.files, evidence.octets, dict(evidence.left_out), evidence.problem
        )

    def _message_backlog(self) -> dict[str, Backlog]:
        counters = self._message_counters
        return {"messages": Backlog(counters.queued, counters.discarded)} if counters else {}

    def _outbox(self) -> OutboxBacklog:
        delivery = self._delivery
        if delivery is None:
            return OutboxBacklog()
        return OutboxBacklog(delivery.problem, delivery.unwritten, delivery.lost)

    def _outputs(self) -> dict[str, OutputQueue]:
        if self._delivery is None:
            return {}
        return {
            output.name: OutputQueue(
                waiting=output.queued,
                oldest=output.oldest,
                delivered=output.sent,
                failed=output.retried,
                lost=output.dead + output.dropped,
            )
            for output in self._delivery.status()
        }


def _is_shown(event: Event) -> bool:
    """Whether the view shows an event as a message. It shows dropped packets as a rate."""
    return isinstance(event, Reloaded) or (
        is_warning(event) and not isinstance(event, PacketsDropped)
    )


def _tables(reports: Sequence[StatusReport], incidents: OpenIncidents) -> dict[str, TableUsage]:
    """The tables of all workers, summed up, and those of the aggregator."""
    entries, limits, evicted = Counter[str](), Counter[str](), Counter[str]()
    for report in reports:
        for name, (used, limit, removed) in report.tables.items():
            entries[name] += used
            limits[name] += limit
            evicted[name] += removed
    tables = {name: TableUsage(entries[name], limits[name], evicted[name]) for name in entries}
    tables["incidents"] = TableUsage(
        incidents.in_memory, INCIDENT_LIMIT, incidents.rejected_contacts
    )
    tables["ended_incidents"] = TableUsage(incidents.ended_count, ENDED_LIMIT)
    return tables


def _unread_records(statistics: RunStatistics) -> Counter[str]:
    """The unreadable log records, by reason."""
    reasons = Counter[str]()
    for (_, reason), count in statistics.unread_records.items():
        reasons[reason] += count
    return reasons


def _interface_events(reports: Sequence[StatusReport]) -> Counter[str]:
    """The largest count of each event, not the sum: all workers watch the same interfaces."""
    events: Counter[str] = Counter()
    for report in reports:
        events |= Counter(report.interface_events)
    return events
