"""Judges logs as they are written: what the records of all of them say, as it comes.

It goes the way of a log that is scanned (`netwatch.engine.log_events`, `netwatch.engine.replay`),
without an end. All logs are judged together, so that a device that one of them names is known to
the others.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from netwatch.config import Config
from netwatch.core.observation import Observation
from netwatch.core.statistics import RunStatistics, TableUsage
from netwatch.core.verdict import Contact
from netwatch.engine.contact_flows import ContactCollector
from netwatch.engine.log_clients import ClientHosts
from netwatch.engine.log_events import LogEvents
from netwatch.engine.replay import Event, Replay
from netwatch.incidents.progress import ContactProgress
from netwatch.logs.log_reader import LogItem

FLOW_AGE = 6 * 3_600_000_000_000
"""How long the end of a flow with a contact is waited for, ns."""


class _Gate:
    """Hands contacts on to a collector while it `is_open`."""

    def __init__(self, collector: ContactCollector) -> None:
        self._collector = collector
        self.is_open = True

    def add(self, contact: Contact) -> None:
        """Hand on a contact."""
        if self.is_open:
            self._collector.add(contact)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Hand on what became of contacts."""
        if self.is_open:
            self._collector.add_progress(contact, progress, bans)


class LiveLogs:
    """Judges what logs say by `config`. Contacts go to `collector`, with `keep_records` with the
    records that prove them, and counts to `statistics`."""

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        collector: ContactCollector,
        *,
        keep_records: bool,
    ) -> None:
        self._statistics = statistics
        self._gate = _Gate(collector)
        self._without_verdict = Counter[str]()
        self._replay = Replay(config, self._gate, self._without_verdict)
        self._hosts = ClientHosts(config)
        self._events = LogEvents(
            lambda host, time: self._hosts.address(host, time), keep_records=keep_records
        )
        self._counted = Counter[str]()

    def judge(self, items: Iterable[LogItem]) -> None:
        """Judge what records say, in order of time."""
        self._replay.add(self._observed(self._events.events(items)))
        self._statistics.without_verdict.update(self._without_verdict)
        self._without_verdict.clear()

    def learn(self, items: Iterable[LogItem]) -> None:
        """Take what records said that were judged in an earlier run, only to know what later ones
        belong to."""
        self._gate.is_open = False
        self._replay.add(self._events.events(items))
        self._without_verdict.clear()
        self._gate.is_open = True

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on."""
        self._replay.reload(config)
        self._hosts = ClientHosts(config)

    def checkpoint(self, now: int) -> None:
        """Forget flows whose end has not come by `now`, ns since the epoch."""
        self._replay.forget_flows(now - FLOW_AGE)

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        anomalies = self._replay.anomalies()
        anomalies["log-flows-full"] += self._events.evicted
        self._statistics.anomalies.update(anomalies - self._counted)
        self._counted = anomalies

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._replay.table_usage()

    def _observed(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Observation):
                self._statistics.observations[event.evidence] += 1
            yield event
