"""Judges logs as they are written: what the records of all of them say, as it comes.

It goes the way of a log that is scanned (`netwatch.engine.log_events`, `netwatch.engine.replay`),
without an end. All logs are judged together, so that a device that one of them names is known to
the others.
"""

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from netwatch.config import Config
from netwatch.core.statistics import RunStatistics, TableUsage
from netwatch.core.verdict import Contact
from netwatch.coverage.counts import Coverage
from netwatch.engine.contact_flows import ContactCollector
from netwatch.engine.log_events import LogEvents
from netwatch.engine.log_scan import ClientHosts, LogJudge
from netwatch.incidents.contacts import ContactProgress
from netwatch.logs.log_reader import LogItem

if TYPE_CHECKING:
    from netwatch.engine.record_events import EventRecorder

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

    def add_sender(self, contact: Contact) -> None:
        """Hand on whose packet a frame had."""
        if self.is_open:
            self._collector.add_sender(contact)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Hand on what became of contacts."""
        if self.is_open:
            self._collector.add_progress(contact, progress, bans)


class LiveLogs:
    """Judges what logs say by `config`. Contacts go to `collector`, with `keep_records` with the
    records that prove them; flows are counted in `coverage`, and the rest in `statistics`. With a
    `recorder` all goes to the store, too.
    """

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        collector: ContactCollector,
        coverage: Coverage,
        *,
        keep_records: bool,
    ) -> None:
        self.recorder: EventRecorder | None = None
        self._statistics = statistics
        self._gate = _Gate(collector)
        self._judge = LogJudge(config, statistics, self._gate, coverage)
        self._hosts = ClientHosts(config)
        self._events = LogEvents(
            lambda host, time: self._hosts.address(host, time), keep_records=keep_records
        )
        self._counted = Counter[str]()

    def judge(self, items: Iterable[LogItem]) -> None:
        """Judge what records say, in order of time."""
        events = self._events.events(items)
        self._judge.judge(events if self.recorder is None else self.recorder.recorded(events))

    def learn(self, items: Iterable[LogItem]) -> None:
        """Take what records said that were judged in an earlier run, only to know what later ones
        belong to."""
        without_verdict = Counter(self._statistics.without_verdict)
        self._gate.is_open = False
        self._judge.learn(self._events.events(items))
        self._gate.is_open = True
        self._statistics.without_verdict.clear()
        self._statistics.without_verdict.update(without_verdict)

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on."""
        self._judge.reload(config)
        self._hosts = ClientHosts(config)

    def checkpoint(self, now: int) -> None:
        """Forget flows whose end has not come by `now`, ns since the epoch, and send what waits to
        be stored."""
        self._judge.forget_flows(now - FLOW_AGE)
        if self.recorder is not None:
            self.recorder.checkpoint()

    def finish(self) -> None:
        """Nothing follows: store the rest."""
        self.update_statistics()
        if self.recorder is not None:
            self.recorder.finish()

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        anomalies = self._judge.anomalies()
        anomalies["log-flows-full"] += self._events.evicted
        self._statistics.anomalies.update(anomalies - self._counted)
        self._counted = anomalies

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._judge.table_usage()
