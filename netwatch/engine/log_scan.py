"""Logs as captures of another kind: what their records report goes the way of stored events.

The records of a log become events (`netwatch.engine.log_events`), and these become contacts
(`netwatch.engine.replay`), flows in the coverage, rows of the store, or observations to write.

For some clients a log only has the host name. The inventory tells which device has a name, and
lease files which address it had at that time. If neither knows it, or several devices have it,
there is no guess: such a client has no address.

Logs that are judged as they are written go the same way, without an end. All of them are judged
together, so that a device that one of them names is known to the others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from netwatch.capture.block import Named
from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, Flow, FlowClient, NameStatus
from netwatch.core.message import Observation
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import EVIDENCE
from netwatch.core.statistics import RunStatistics, TableUsage
from netwatch.core.verdict import Contact, Network
from netwatch.coverage.counts import Coverage, FlowCounter
from netwatch.coverage.flow_visibility import FLOW_RECORD_LOGS, visibility_of
from netwatch.coverage.judged import BY_VENDOR, HOUR
from netwatch.engine.capture_files import LogUnit
from netwatch.engine.contact_flows import ContactCollector
from netwatch.engine.judging import ConfiguredDirectory
from netwatch.engine.log_events import LogEvents
from netwatch.engine.recorded_flows import RecordedFlowCounter, RecordedFlows, one_by_one
from netwatch.engine.replay import BATCH_ROWS, Event, EventBatch, Replay
from netwatch.flow_export.conversations import to_servers
from netwatch.incidents.contacts import ContactProgress
from netwatch.inventory.bindings import are_different_hosts
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.lease_table import Lease
from netwatch.logs.log_files import LogItem, items, items_and_sink
from netwatch.logs.ordering import RowSink

if TYPE_CHECKING:
    from netwatch.engine.record_facts import EventRecorder

CACHE_LIMIT = 65_536
"""Host names whose owners are cached; a full cache is emptied as a whole."""

Progress = Callable[[RunStatistics, Named, int], None]

NoteOneOf = Callable[[Network, int, int], None]
"""Takes the network of a flow record that is ``one-of-k``, the hour since the epoch, and k; or
`BY_VENDOR` of one that is ``vendor-network``."""

_DNS = 53

FLOW_AGE = 6 * 3_600_000_000_000
"""How long to wait for the end of a flow with a contact, ns."""


class ClientHosts:
    """Finds the addresses of host names by the inventory and the lease files of a configuration."""

    def __init__(self, config: Config) -> None:
        self._entries = config.devices.entries
        self._leases = config.devices.leases
        self._by_label: dict[str, list[Lease]] | None = None
        # Rows of the inventory by the first label of their host name.
        self._rows: dict[str, list[int]] | None = None
        self._cache: dict[str, list[Lease]] = {}

    def address(self, host: str, time: int) -> bytes | None:
        """The packed address that the only device with a host name, with or without its domain, had
        at a time (ns); None if that is not known."""
        name = host.lower().removesuffix(".")
        if not name:
            return None
        label = name.partition(".")[0]
        entries = self._listed(label, time)
        equal = [entry for entry in entries if (entry.hostname or "").lower() == name]
        found = equal or [
            entry
            for entry in entries
            if not are_different_hosts((entry.hostname or "").lower(), name)
        ]
        if found:
            return self._of_entry(found[0], time) if len(found) == 1 else None
        active = {
            (lease.mac, lease.ip)
            for lease in self._leased(name, label)
            if lease.since <= time < lease.until
        }
        if len({mac for mac, _ in active}) != 1:
            return None
        return min((ip for _, ip in active), key=lambda ip: (len(ip), ip))

    def _listed(self, label: str, time: int) -> list[Entry]:
        """The valid entries with a host name that begins with a label."""
        if self._rows is None:
            self._rows = {}
            for row, entry in enumerate(self._entries):
                if entry.hostname:
                    of = entry.hostname.lower().partition(".")[0]
                    self._rows.setdefault(of, []).append(row)
        found = [self._entries[row] for row in self._rows.get(label, ())]
        return [
            entry
            for entry in found
            if (entry.since is None or entry.since <= time)
            and (entry.until is None or time < entry.until)
        ]

    def _of_entry(self, entry: Entry, time: int) -> bytes | None:
        for mac in entry.macs:
            leased = self._leases.address_of(mac, time)
            if leased is not None:
                return leased
        return min(entry.ips, key=lambda ip: (len(ip), ip), default=None)

    def _leased(self, name: str, label: str) -> list[Lease]:
        known = self._cache.get(name)
        if known is None:
            if self._by_label is None:
                self._by_label = {}
                for ip in self._leases.addresses():
                    for lease in self._leases.leases_of(ip):
                        if lease.hostname:
                            of = lease.hostname.lower().partition(".")[0]
                            self._by_label.setdefault(of, []).append(lease)
            if len(self._cache) >= CACHE_LIMIT:
                self._cache.clear()
            known = self._cache[name] = [
                lease
                for lease in self._by_label.get(label, ())
                if not are_different_hosts(lease.hostname.lower(), name)
            ]
        return known


class LogJudge:
    """Judges the events of one log. Contacts go to `collector`, flows are counted in `coverage`
    unless that is None; `note_one_of` takes flow records that may be of several apps. Unless it
    `has_records`, the log has no flow records."""

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        collector: ContactCollector,
        coverage: Coverage | None,
        *,
        note_one_of: NoteOneOf | None = None,
        has_records: bool = True,
    ) -> None:
        self._statistics = statistics
        self._note_one_of = note_one_of
        self._replay = Replay(
            config,
            collector,
            statistics.without_verdict,
            self.settle,
            has_records=has_records,
        )
        self._coverage = coverage
        self._count_for(config)

    @property
    def domains_of_interest(self) -> tuple[bytes, ...]:
        """The domains outside which no name matters."""
        return self._replay.domains_of_interest

    def judge(self, events: Iterable[Event | RecordedFlows]) -> None:
        """Judge events, in their order. Flows that flow records show are in the coverage once
        `settle` was called."""
        self._replay.add(self._counted(events))

    def learn(self, events: Iterable[Event | RecordedFlows]) -> None:
        """Take events that were counted before, in their order."""
        self._replay.add(one_by_one(events))

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on."""
        self.settle()
        self._replay.reload(config)
        self._count_for(config)

    def forget_flows(self, before: int) -> None:
        """Forget the flows without a contact since `before`, ns since the epoch."""
        self._replay.forget_flows(before)

    def anomalies(self) -> Counter[str]:
        """The counts of the tables so far."""
        return self._replay.anomalies()

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._replay.table_usage()

    def _count_for(self, config: Config) -> None:
        """Count flows for the networks, devices and apps of a configuration from now on."""
        self._catalog = config.catalog
        self._networks = config.networks
        self._addresses: dict[bytes, NameStatus] | None = None
        self._recorded: RecordedFlowCounter | None = None
        self._counter: FlowCounter | None = None
        if self._coverage is not None:
            self._directory = ConfiguredDirectory(
                config, self._replay.learned, by_device=self._coverage.by_device
            )
            self._counter = FlowCounter(self._coverage, self._directory)

    def _categories(self) -> dict[bytes, NameStatus]:
        """The categories of apps that hide names, by the addresses of their servers."""
        if self._addresses is None:
            self._addresses = {
                address: category
                for address, app in self._catalog.apps_by_address().items()
                for category in BYPASS_CATEGORIES
                if category == app.category
            }
        return self._addresses

    def _to_judge(self, flows: RecordedFlows) -> Iterator[Flow]:
        """Those of recorded flows that may be contacts; the others are counted."""
        addresses = self._replay.addresses_of_interest()
        if self._counter is None:
            found = to_servers(flows.conversations, addresses)
        else:
            if self._recorded is None:
                self._recorded = RecordedFlowCounter(
                    self._counter, self._directory, self._categories()
                )
            found = self._recorded.add(flows.conversations, addresses)
        return map(flows.flow, found)

    def settle(self) -> None:
        """Count the flows that wait, before anything changes of what is known of clients."""
        if self._recorded is not None:
            self._recorded.settle()

    def finish(self) -> None:
        """The log has ended."""
        self._replay.finish()
        self.settle()
        self._statistics.anomalies.update(+self._replay.anomalies())

    def _counted(self, events: Iterable[Event | RecordedFlows]) -> Iterator[Event]:
        """The events, of which observations and flows are counted; of flows that were recorded only
        those that may be contacts."""
        for event in events:
            if isinstance(event, RecordedFlows):
                for flow in self._to_judge(event):
                    self._count(flow)
                    yield flow
                continue
            if isinstance(event, Observation):
                self._statistics.observations[event.evidence] += 1
            elif isinstance(event, Flow):
                self._count(self._replay.with_name_status(event, is_last=False))
            yield event

    def _count(self, flow: Flow) -> None:
        """Count a flow in the coverage. If the log does not name its client, nothing is known about
        it: it is counted outside all networks."""
        is_record = flow.log in FLOW_RECORD_LOGS
        if self._coverage is None and (self._note_one_of is None or not is_record):
            return
        visibility = visibility_of(flow, self._categories().get(flow.server_ip, "none"))
        if visibility == "flow-record":
            if names := self._replay.one_of(flow):
                visibility = "one-of-k"
                self._note(flow, names)
                if self._coverage is not None:
                    self._coverage.add_one_of(names)
            elif self._replay.is_to_vendor(flow):
                visibility = "vendor-network"
                self._note(flow, BY_VENDOR)
        if self._counter is None:
            return
        client = FlowClient(flow.client_ip, flow.vlan, flow.client_mac)
        self._counter.add(client, visibility, 1, (flow.first,))

    def _note(self, flow: Flow, names: int) -> None:
        if (
            self._note_one_of is None
            or not flow.client_ip
            or _DNS in (flow.client_port, flow.server_port)
        ):
            return  # The hours of the store leave out lookups.
        network = self._networks.find(flow.client_ip, flow.vlan)
        if network is not None:
            self._note_one_of(network, flow.first // HOUR, names)


def scan_log(
    unit: LogUnit,
    config: Config,
    statistics: RunStatistics,
    collector: ContactCollector,
    *,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_records: bool = False,
    recorder: "EventRecorder | None" = None,
) -> None:
    """Judge one log. Its contacts go to `collector`, its flows are counted in `coverage`, if given
    and the unit `counts_flows`; with `keep_records` the contacts come with the records that prove
    them. Its events go to `recorder`, if given."""
    if not unit.counts_flows:
        coverage = None
    has_records = not FLOW_RECORD_LOGS.isdisjoint(unit.log.formats)
    judge = LogJudge(
        config,
        statistics,
        collector,
        coverage,
        note_one_of=recorder.note_one_of if recorder is not None else None,
        has_records=has_records,
    )
    made = LogEvents(ClientHosts(config).address, keep_records=keep_records)
    found = items(
        unit.log,
        replace(unit.options, exporters=config.exporters),
        statistics,
        zones=judge.domains_of_interest if recorder is None and coverage is None else None,
        all_flows=False,
        progress=progress,
    )
    events = made.events(found)
    judge.judge(events if recorder is None else recorder.recorded(one_by_one(events)))
    judge.finish()
    _note(made, unit, statistics, coverage)
    if recorder is not None:
        recorder.finish()


def names_of_log(
    unit: LogUnit,
    statistics: RunStatistics,
    progress: Progress | None = None,
    recorder: "EventRecorder | None" = None,
) -> Iterator[ObservationBatch]:
    """Every observation of one log. A batch is valid until the next one is requested. The events of
    the log go to `recorder`, if given."""
    made, rows = LogEvents(), EventBatch()
    batch = rows.batch
    sink = RowSink(batch, rows.number_of, BATCH_ROWS)
    events: Iterable[Event | RowSink]
    if recorder is None:
        found = items_and_sink(unit.log, unit.options, statistics, sink, progress=progress)
        events = made.names(found)
    else:
        read = items(unit.log, unit.options, statistics, zones=None, progress=progress)
        events = recorder.recorded(one_by_one(made.events(read)))
    for event in events:
        if event is sink:
            _count_rows(sink, statistics)
            yield batch
            batch.clear()
            continue
        if not isinstance(event, Observation):
            continue
        if batch.count >= BATCH_ROWS:
            yield batch
            batch.clear()
        statistics.observations[event.evidence] += 1
        batch.add_span(*rows.append(event))
    _count_rows(sink, statistics)
    if batch.count:
        yield batch
    if recorder is not None:
        recorder.finish()


def _count_rows(sink: RowSink, statistics: RunStatistics) -> None:
    """Count the rows that came since the last call by their evidence."""
    for number, count in enumerate(sink.evidence):
        if count:
            statistics.observations[EVIDENCE[number]] += count
            sink.evidence[number] = 0


def _note(
    made: LogEvents, unit: LogUnit, statistics: RunStatistics, coverage: Coverage | None
) -> None:
    """Count what tables evicted, and note where the coverage is unknown."""
    if made.evicted:
        statistics.anomalies["log-flows-full"] += made.evicted
    if coverage is not None and not made.has_flows and made.has_names:
        path = unit.files[0].path
        statistics.notes.append(
            f"{path}: this log has no flows, so that nothing is known of traffic without a name"
        )


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
        """Hand on which client a frame's sender sends packets for."""
        if self.is_open:
            self._collector.add_sender(contact)

    def add_progress(
        self, contact: Contact, progress: ContactProgress, bans: frozenset[str] | None = None
    ) -> None:
        """Hand on outcomes of contacts."""
        if self.is_open:
            self._collector.add_progress(contact, progress, bans)


class LiveLogs:
    """Judges what logs report by `config`. Contacts go to `collector`, with `keep_records` with the
    records that prove them; flows are counted in `coverage`, and the rest in `statistics`. With a
    `recorder` everything also goes to the store."""

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
        self._judge = LogJudge(
            config, statistics, self._gate, coverage, note_one_of=self._found_one_of
        )
        self._hosts = ClientHosts(config)
        self._events = LogEvents(
            lambda host, time: self._hosts.address(host, time), keep_records=keep_records
        )
        self._counted = Counter[str]()

    def judge(self, items: Iterable[LogItem]) -> None:
        """Judge what records report, in order of time."""
        events = self._events.events(items)
        if self.recorder is None:
            self._judge.judge(events)
        else:
            self._judge.judge(self.recorder.recorded(one_by_one(events)))

    def _found_one_of(self, network: Network, hour: int, names: int) -> None:
        if self.recorder is not None:
            self.recorder.note_one_of(network, hour, names)

    def learn(self, items: Iterable[LogItem]) -> None:
        """Take what records reported that were judged in an earlier run, only as context for later
        ones."""
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
        """Nothing more follows: store the rest."""
        self.update_statistics()
        if self.recorder is not None:
            self.recorder.finish()

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics and the coverage."""
        self._judge.settle()
        anomalies = self._judge.anomalies()
        anomalies["log-flows-full"] += self._events.evicted
        self._statistics.anomalies.update(anomalies - self._counted)
        self._counted = anomalies

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._judge.table_usage()
