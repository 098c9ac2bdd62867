"""The pipeline: packets become messages, names, verdicts, contacts and incidents.

Each walk through the code follows one path:

- **A DNS query.** `capture_files.read_blocks` yields blocks of packets, `Engine.process` takes
  them one by one. `observe.Observer` hands a block to `dissect.dissector.Dissector`. Its packet
  loop finds the query; if its name is in a domain of interest, it writes a row of the observation
  batch for each name. A query that is not laid out as usual is read as a `Message` by a parser of
  `netwatch.protocols`; `Engine.wanted` says whether a rule matches, and the observer appends its
  rows. `contact_groups.ContactGroups` counts rows that are alike as one `Contact`, of which
  `judge.Judge` says who it is of, and which bans apply. The contact ends in `netwatch.incidents`.
- **A TLS hello.** The same path; in the dissector, `dissect.reassembly` puts the hello together
  where it spans several segments. Because a hello shows that its flow goes to the host of that
  name, `contact_flows.ContactFlows` reports the flow's bytes and what its server answered. When
  the flow has ended, `Engine.flow_ended` reports what is left, and `Engine.flows_counted` counts
  it in the coverage.
- **An alert.** A `ContactCollector` takes the contacts. For `netwatch scan` it is
  `netwatch.incidents`, asked for its alerts at the end; in a live capture it sends them to the
  process that aggregates incidents (`netwatch.live`), whose alerts go through
  `netwatch.delivery` to a module of `netwatch.sinks`.

Captures that end and live captures take the same path.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from netwatch.capture.block import Block
from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.flow import Flow, FlowClient
from netwatch.core.message import Message
from netwatch.core.observation import Observation
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    EVIDENCE_DNS_ANSWER,
    WORD_CLIENT_IP,
    WORD_EVIDENCE,
    WORD_SERVER_IP,
)
from netwatch.core.packet import Packet
from netwatch.core.statistics import RunStatistics, TableUsage
from netwatch.core.verdict import RESET
from netwatch.coverage.counts import Coverage
from netwatch.coverage.flow_counter import FlowCounter
from netwatch.coverage.visibility import Visibility
from netwatch.dissect.consumer import DissectorOptions, WantsEverything
from netwatch.dissect.loop.division import Division
from netwatch.engine.capture_files import Progress, capture_seed, read_blocks
from netwatch.engine.contact_flows import ContactCollector, ContactFlows, outcome_of
from netwatch.engine.contact_groups import ContactGroups
from netwatch.engine.directory import ConfiguredDirectory, flow_options
from netwatch.engine.judge import Judge
from netwatch.engine.observe import Observer
from netwatch.engine.resolved_addresses import LIMIT, ResolvedAddresses
from netwatch.incidents.contacts import strip_frames
from netwatch.incidents.progress import ContactProgress
from netwatch.inventory.binding_tables import ENTRY_LIMIT as LEARNED_LIMIT
from netwatch.inventory.learned import LearnedBindings

FLOW_TIMEOUT = 600_000_000_000
"""Time without packets after which a flow of a live capture has ended, in ns."""


def names(
    files: Sequence[CaptureFile], statistics: RunStatistics, progress: Progress | None = None
) -> Iterator[ObservationBatch]:
    """Every observation of one capture, whether a rule matches it or not. A batch is valid until
    the next one is asked for."""
    observer = None
    for block, source in read_blocks(files, statistics, progress):
        observer = observer or Observer(
            WantsEverything(),
            statistics,
            DissectorOptions(fingerprints=True),
            seed=capture_seed(block),
        )
        yield from observer.batches(block, source)
    if observer is not None:
        yield from observer.flush()
        observer.close()


def scan(
    files: Sequence[CaptureFile],
    config: Config,
    statistics: RunStatistics,
    collector: ContactCollector,
    *,
    progress: Progress | None = None,
    coverage: Coverage | None = None,
    keep_frames: bool = False,
) -> None:
    """Judge one capture. Its contacts go to `collector`, its flows are counted in `coverage`; with
    `keep_frames` the contacts come with the captured frames that prove them."""
    coverage = Coverage() if coverage is None else coverage
    # Without a block there is no engine: its tables take longer to make than to skip a file.
    engine = None
    for block, source in read_blocks(files, statistics, progress):
        engine = engine or Engine(
            config,
            statistics,
            collector,
            coverage,
            seed=capture_seed(block),
            keep_frames=keep_frames,
        )
        engine.process(block, source)
    if engine is not None:
        engine.finish()
        engine.free_tables()


class Engine:
    """Judges one capture, block by block. Contacts go to `collector`, flows to `coverage`.

    `seed` (62 bits) varies how flows and addresses spread over tables, so that nobody can send
    packets that fill one part of a table. With `keep_frames` contacts come with the captured
    frames that prove them. `share_claim` is called with each message that claims addresses, so that
    the engines of other captures can learn it too. Where `division` is given, several engines read
    the same packets, and this one judges the clients of the worker with the number `worker`. The
    engine is the `netwatch.dissect.consumer.Consumer` of its capture.
    """

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        collector: ContactCollector,
        coverage: Coverage,
        *,
        seed: int,
        keep_frames: bool = False,
        share_claim: Callable[[Packet, Message], None] | None = None,
        division: Division | None = None,
        worker: int = 0,
    ) -> None:
        self._config = config
        self._statistics = statistics
        self._collector = collector
        self._coverage = coverage
        self._share_claim = share_claim
        self._keep_frames = keep_frames
        self._learned = self._learning() if config.learn else None
        self._judge = Judge(config, self._learned)
        self._flow_counter = FlowCounter(coverage, ConfiguredDirectory(config, self._learned))
        options = DissectorOptions(
            domains=self._judge.domains_of_interest(),
            learn_from=config.learn,
            flows=flow_options(config, report_all=keep_frames),
            keep_frames=keep_frames,
            division=division,
            worker=worker,
        )
        self._division, self._worker = division, worker
        self._observer = Observer(self, statistics, options, seed=seed)
        self._dissector = self._observer.dissector
        self._contact_flows = ContactFlows(self._dissector, collector, config.quiet_gap)
        self._contacts = ContactGroups(
            self._judge, collector, statistics.without_verdict, self._contact_flows
        )
        assert self._dissector.accounting is not None
        self._accounting = self._dissector.accounting
        self._resolved = ResolvedAddresses(
            self._dissector.loop.addresses, self._accounting.resolved
        )
        self._counted: Counter[str] = Counter()

    def process(self, block: Block, source: str) -> None:
        """Judge the next block of `source` (file or interface)."""
        self._judge_all(self._observer.rows(block, source))

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on. Flows, unfinished messages, resolved
        addresses and what was learned of devices stay."""
        self._dissector.hand_over_other_flows()
        self._config = config
        self._contact_flows.quiet_gap = config.quiet_gap
        if not config.learn:
            self._learned = None
        elif self._learned is None:
            self._learned = self._learning()
        self._judge.reload(config, self._learned)
        self._flow_counter = FlowCounter(self._coverage, ConfiguredDirectory(config, self._learned))
        self._dissector.reload(
            self._judge.domains_of_interest(),
            config.learn,
            flow_options(config, report_all=self._keep_frames),
        )

    def checkpoint(self, now: int) -> None:
        """Report the bytes so far, end flows that time out at `now` (ns of packet time), and
        update the statistics."""
        self._contact_flows.report()
        self._observer.end_flows(now - FLOW_TIMEOUT)
        self.update_statistics()

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        self._observer.update_statistics()
        anomalies = self._anomalies()
        self._statistics.anomalies.update(anomalies - self._counted)
        self._counted = anomalies

    def finish(self) -> None:
        """Judge incomplete messages, end all flows and update the statistics: the capture has
        ended."""
        self._judge_all(self._observer.flush_rows())
        self._contact_flows.report()
        self._observer.close()
        self.update_statistics()

    def free_tables(self) -> None:
        """Free the tables of a capture that was finished; the engine cannot be used any more.

        The engine and its dissector refer to each other. Without this call their tables, tens of
        megabytes for each capture, stay in memory until the garbage collector happens to run.
        """
        del self._observer, self._dissector, self._accounting
        del self._contacts, self._contact_flows, self._resolved

    def learn(self, packet: Packet, message: Message) -> None:
        """Learn which device has which address from a message that claims addresses."""
        if self._learned is not None:
            self._learned.record(packet, message)
            for claim in message.claims:
                for address in (*claim.addresses, packet.src):
                    self._accounting.learned.add(address)

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        learned = len(self._learned) if self._learned is not None else 0
        flows, resolved = self._contact_flows, self._resolved
        return self._dissector.table_usage() | {
            "learned_addresses": TableUsage(learned, LEARNED_LIMIT, self._counted["devices-full"]),
            "contact_flows": TableUsage(len(flows), flows.limit, flows.rejected),
            "resolved_addresses": TableUsage(len(resolved), LIMIT, resolved.evicted),
        }

    def wanted(self, message: Message) -> bool:
        """Want messages with a name that a rule matches, and answers with addresses."""
        return self._judge.wanted(message) or self._resolved.has_addresses(message)

    def name_status(self, message: Message) -> int:
        """What a message tells of the name of its flow."""
        return self._judge.name_status(message)

    def keeps_frames_for(self, address: bytes) -> bool:
        """Keep the first frame of flows to addresses that were resolved for an app."""
        return self._resolved.is_of_interest(address)

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Learn from a message that claims addresses, and share it."""
        self.learn(packet, message)
        if self._share_claim is not None:
            self._share_claim(packet, message)

    def flow_ended(self, flow: Flow) -> None:
        """Judge a flow that has ended by its server's address if it has no name."""
        self._contacts.flush()
        self._contact_flows.flow_ended(flow)
        if not self._judges(flow.client_ip, flow.server_ip):
            return
        observation = self._resolved.identify(flow, self._is_same_device)
        if observation is None:
            return
        contact = self._contacts.add_late(observation)
        if contact is None:
            return
        if contact.outcome == "attempted":
            outcome = outcome_of(flow)
            blocked_by = RESET if outcome == "blocked" else ""
            contact = replace(contact, outcome=outcome, blocked_by=blocked_by)
        self._collector.add(contact)
        progress = ContactProgress(flow.first, flow.bytes_out, flow.bytes_in, flow.last)
        self._collector.add_progress(strip_frames(contact), progress)

    def flows_counted(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Count flows that have ended."""
        self._flow_counter.add(client, visibility, flows, times)

    def _judge_all(self, rows: Iterable[tuple[int, int]]) -> None:
        """Collect the contacts of rows of the observation batch, and remember the addresses they
        resolved."""
        batch = self._observer.batch
        for start, stop in self._judged(rows):
            self._contacts.add_rows(batch, start, stop)
            for row in range(start, stop):
                if batch.word(row, WORD_EVIDENCE) == EVIDENCE_DNS_ANSWER:
                    answer = batch.observation(row)
                    self._resolved.add(answer, self._judge.app_of_answer(answer))
        self._contacts.flush()

    def _judged(self, rows: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Of these rows those of clients that this engine judges."""
        if self._division is None:
            yield from rows
            return
        batch = self._observer.batch
        for start, stop in rows:
            for row in range(start, stop):
                client = batch.packed(batch.word(row, WORD_CLIENT_IP))
                if self._judges(client, batch.packed(batch.word(row, WORD_SERVER_IP))):
                    yield row, row + 1

    def _learning(self) -> LearnedBindings:
        """What is learned from now on. Flows that ended before something is learned are counted
        by what was known then."""
        return LearnedBindings(
            self._network_name,
            self._config.quiet_gap,
            before_change=lambda: self._dissector.hand_over_other_flows(),
        )

    def _judges(self, client: bytes, server: bytes) -> bool:
        """Whether this engine judges a client that it saw with this server."""
        return self._division is None or self._division.is_client(self._worker, client, server)

    def _network_name(self, ip: bytes, vlan: int | None) -> str | None:
        network = self._config.networks.find(ip, vlan)
        return network.name if network is not None else None

    def _is_same_device(self, answer: Observation, flow: Flow) -> bool:
        """Whether the client of a flow is the device that got a DNS answer before."""
        ip, mac, vlan = answer.client_ip, answer.client_mac, answer.vlan
        if not self._config.devices.leases.is_same_device(ip, answer.time, flow.first):
            return False
        if self._learned is None:
            return True
        return self._learned.is_same_device(ip, mac, vlan, answer.time, flow.first)

    def _anomalies(self) -> Counter[str]:
        """What the tables of this engine counted so far."""
        anomalies = Counter(
            {
                "contact-flows-full": self._contact_flows.rejected,
                "resolved-address-shared": self._resolved.shared,
                "resolved-addresses-full": self._resolved.evicted,
            }
        )
        learned = self._learned
        if learned is not None:
            anomalies["device-address-shared"] = learned.shared_addresses
            anomalies["device-mac-shared"] = learned.shared_macs
            anomalies["device-claim-refused"] = learned.refused
            anomalies["devices-full"] = learned.evicted
            anomalies["proof-device-lost"] = learned.evidence_dropped
        return anomalies
