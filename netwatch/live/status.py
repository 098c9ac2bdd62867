"""A running capture as its metrics, its health check and its view see it.

The keeper makes a snapshot once a second, in its own thread; others get the last one.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from netwatch import __version__
from netwatch.core.alert import Alert
from netwatch.delivery.outbox import Status as OutputStatus
from netwatch.dissect.loop.loop import COMPILED
from netwatch.incidents.aggregate import INCIDENT_LIMIT
from netwatch.live.aggregator import Keeper
from netwatch.live.events import Event, Told
from netwatch.live.open_incidents import ENDED_LIMIT
from netwatch.watch.snapshot import RECENT, TOP, Backlog, Queue, Ranked, Snapshot, Table, Written

RANK_LIMIT = 256
"""Apps, and devices, that are counted; of more the least frequent gives way."""


class Ranking:
    """The most frequent of any number of names, by the space-saving algorithm: a new name
    takes the place of the least frequent one with its count, so a count is never too low.
    """

    def __init__(self, limit: int = RANK_LIMIT) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()
        self._incidents: Counter[str] = Counter()

    def add(self, name: str, contacts: int, incidents: int) -> None:
        """Count contacts and incidents of a name."""
        before = 0
        if name not in self._counts and len(self._counts) >= self._limit:
            least = min(self._counts, key=self._counts.__getitem__)
            before = self._counts.pop(least)
            self._incidents.pop(least, None)
        self._counts[name] += before + contacts
        self._incidents[name] += incidents

    def top(self, limit: int = TOP) -> tuple[Ranked, ...]:
        """The first of them, the most frequent first."""
        return tuple(
            Ranked(name, contacts, self._incidents[name])
            for name, contacts in self._counts.most_common(limit)
        )


class Reports(Protocol):
    """Tells what became of alerts, as `netwatch.delivery.delivery.Delivery` does."""

    def status(self) -> Sequence[OutputStatus]: ...  # noqa: D102


class Proves(Protocol):
    """Tells what it wrote, as `netwatch.incidents.evidence_folder.EvidenceFolder` does."""

    files: int
    octets: int
    left_out: Counter[str]


class Board:
    """The last snapshot of a keeper; a listener of its events. `look` may be called from
    any thread."""

    def __init__(
        self,
        interfaces: Sequence[str],
        deliver: Reports | None = None,
        evidence: Proves | None = None,
    ) -> None:
        self._deliver = deliver
        self._evidence = evidence
        self._recent: deque[Alert] = deque(maxlen=RECENT)
        self._apps, self._devices = Ranking(), Ranking()
        self._told: dict[str, int] = {}
        self._dropped = 0
        self._last_drop: float | None = None
        now = time.time()
        self._last = Snapshot(now, now, __version__, tuple(interfaces), compiled=COMPILED)

    def look(self) -> Snapshot:
        """The last snapshot, as of now."""
        return replace(self._last, now=time.time())

    def __call__(self, event: Event) -> None:
        """Note what was told of an incident."""
        if not isinstance(event, Told):
            return
        alert = event.alert
        kept = [each for each in self._recent if each.id != alert.id]
        self._recent.clear()
        self._recent.extend([*kept, alert][-RECENT:])
        total = sum(item.count for item in alert.evidence)
        contacts = total - self._told.pop(alert.id, 0)
        for ranking, name in ((self._apps, alert.app.name), (self._devices, alert.device.id)):
            ranking.add(name, contacts, alert.status == "open")
        if alert.status != "closed":
            self._told[alert.id] = total

    def update(self, keeper: Keeper) -> None:
        """Take a snapshot."""
        crew, ledger = keeper.crew, keeper.ledger
        standings = [each for each in crew.standings if each is not None]
        statistics = crew.statistics()
        if crew.dropped > self._dropped:
            self._dropped, self._last_drop = crew.dropped, time.time()
        tables = Counter[str]()
        limits = Counter[str]()
        evicted = Counter[str]()
        for standing in standings:
            for name, (entries, limit, gone) in standing.tables.items():
                tables[name] += entries
                limits[name] += limit
                evicted[name] += gone
        held = {name: Table(tables[name], limits[name], evicted[name]) for name in tables}
        held["incidents"] = Table(len(ledger), INCIDENT_LIMIT, ledger.refused)
        held["ended_incidents"] = Table(ledger.remembered, ENDED_LIMIT, 0)
        events: Counter[str] = Counter()
        for standing in standings:
            # Every worker looks at the interfaces, and sees the same.
            events |= Counter(standing.events)
        packets = [each.last_packet for each in standings if each.last_packet is not None]
        opened: Counter[str] = Counter(entry.key[3] for entry in ledger if entry.id)
        self._last = Snapshot(
            now=time.time(),
            started=self._last.started,
            version=__version__,
            interfaces=self._last.interfaces,
            down=tuple(sorted({name for each in standings for name in each.down})),
            signatures=keeper.config.catalog.version,
            compiled=COMPILED,
            packets=statistics.packets,
            octets=statistics.wire_bytes,
            candidates=statistics.candidates,
            dropped=crew.dropped,
            freezes=crew.freezes,
            events=events,
            clock_steps=keeper.clock.steps,
            state_failures=keeper.store.failures if keeper.store is not None else 0,
            last_packet=max(packets, default=None),
            last_drop=self._last_drop,
            reloads=keeper.reloads,
            refused_reloads=keeper.refused,
            last_reload=keeper.last_reload,
            observations=statistics.observations,
            anomalies=statistics.anomalies,
            without_verdict=statistics.without_verdict,
            flows={str(told): count for told, count in crew.flows().counts.items()},
            incidents=ledger.by_verdict,
            opened=dict(opened),
            tables=held,
            backlogs={
                "findings": Backlog(sum(each.waiting for each in standings), crew.untold),
                "records": Backlog(keeper.output.waiting, keeper.output.left_out),
            },
            outputs=self._queues(),
            evidence=self._written(),
            recent=tuple(reversed(self._recent)),
            apps=self._apps.top(),
            devices=self._devices.top(),
        )

    def _written(self) -> Written:
        kept = self._evidence
        return Written(kept.files, kept.octets, dict(kept.left_out)) if kept else Written()

    def _queues(self) -> dict[str, Queue]:
        if self._deliver is None:
            return {}
        return {
            each.name: Queue(
                each.queued, each.oldest, each.sent, each.retried, each.dead + each.dropped
            )
            for each in self._deliver.status()
        }
