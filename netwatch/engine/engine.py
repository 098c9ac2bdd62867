"""The engine: judges one capture, or one worker's share of a live capture, block by block."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from netwatch.capture.block import Block
from netwatch.config import Config
from netwatch.core.flow import Flow, FlowClient
from netwatch.core.message import Message, Packet
from netwatch.core.observation_columns import (
    WORD_CLIENT_IP,
    WORD_SERVER_IP,
)
from netwatch.core.statistics import RunStatistics, TableUsage
from netwatch.coverage.counts import Coverage, FlowCounter
from netwatch.coverage.flow_visibility import Visibility
from netwatch.dissect.consumer import DissectorOptions
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.loop.division import Division
from netwatch.dissect.loop.domain_filter import hash_table
from netwatch.engine.contact_flows import ContactCollector
from netwatch.engine.judge import Judge
from netwatch.engine.judging import CaptureTables, ConfiguredDirectory, Judging, flow_options
from netwatch.engine.observe import Observer
from netwatch.engine.resolved_addresses import EchCandidates, ResolvedAddresses

FLOW_TIMEOUT = 600_000_000_000
"""Time without packets after which a flow of a live capture has ended, in ns."""


def prepare(config: Config) -> None:
    """Make the tables that all engines of a configuration share, so that workers which are forked
    later already have them."""
    hash_table(Judge(config).domains_of_interest())
    flow_options(config, report_all=False)


class Engine:
    """Judges one capture, block by block. Contacts go to `collector`; flows are counted in
    `coverage` unless that is None.

    `seed` (62 bits) varies how flows and addresses spread over tables, so that packets cannot be
    crafted to fill one part of a table. With `keep_frames` contacts come with the captured frames
    that prove them. `share_claim` is called with each message that claims addresses, so that the
    engines of other captures can learn it too. If `division` is given, several engines read the
    same packets, and this one judges the clients of the worker with the number `worker`. The engine
    is the `netwatch.dissect.consumer.Consumer` of its capture.
    """

    def __init__(
        self,
        config: Config,
        statistics: RunStatistics,
        collector: ContactCollector,
        coverage: Coverage | None,
        *,
        seed: int,
        keep_frames: bool = False,
        share_claim: Callable[[Packet, Message], None] | None = None,
        division: Division | None = None,
        worker: int = 0,
    ) -> None:
        self._statistics = statistics
        self._coverage = coverage
        self._share_claim = share_claim
        self._keep_frames = keep_frames
        self._judging = Judging(
            config,
            collector,
            statistics.without_verdict,
            before_change=self._before_change,
        )
        self._judge = self._judging.judge
        self._flow_counter = self._counter(config)
        options = DissectorOptions(
            domains=self._judge.domains_of_interest(),
            learn_from=config.learn,
            flows=self._flow_options(config),
            keep_frames=keep_frames,
            division=division,
            worker=worker,
            fingerprints=True,
        )
        self._division, self._worker = division, worker
        self._observer = Observer(self, statistics, options, seed=seed)
        self._dissector = self._observer.dissector
        accounting, addresses = self._dissector.accounting, self._dissector.loop.addresses
        assert accounting is not None
        self._judging.connect(
            CaptureTables(self._dissector, addresses, accounting.resolved, accounting.learned)
        )
        self._counted: Counter[str] = Counter()
        # The sources whose packets are sampled, and how few of them at the least.
        self._sampled: dict[str, int] = {}

    def process(self, block: Block, source: str) -> None:
        """Judge the next block of `source` (file or interface)."""
        self._judging.sampled(block.sampling)
        if block.sampling > 1:
            self._sampled[source] = max(block.sampling, self._sampled.get(source, 1))
        self._judging.add_rows(
            self._observer.batch, self._judged(self._observer.rows(block, source))
        )

    def reload(self, config: Config) -> None:
        """Judge by another configuration from now on. Flows, unfinished messages, resolved
        addresses and learned devices stay."""
        self._dissector.hand_over_all_flows()
        self._judging.reload(config)
        self._flow_counter = self._counter(config)
        self._dissector.reload(
            self._judge.domains_of_interest(),
            config.learn,
            self._flow_options(config),
        )

    def report_recent(self) -> None:
        """Report the outcome of contacts of devices that had another one since the last report."""
        self._judging.report_recent()

    def checkpoint(self, now: int) -> None:
        """Report the bytes so far, end flows that time out at `now` (ns of packet time), and
        update the statistics."""
        self._judging.report_progress()
        self._observer.end_flows(now - FLOW_TIMEOUT)
        self.update_statistics()

    def open_flows(self) -> Coverage:
        """The open flows, counted as if they ended now."""
        found = Coverage()
        if self._flow_counter is not None:
            self._dissector.count_open_flows(self._flow_counter.apart(found).add)
        return found

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        self._observer.update_statistics()
        anomalies = self._judging.anomalies(with_claims=self._worker == 0)
        self._statistics.anomalies.update(anomalies - self._counted)
        self._counted = anomalies

    def finish(self) -> None:
        """Judge incomplete messages, end all flows and update the statistics: the capture has
        ended."""
        self._judging.add_rows(self._observer.batch, self._judged(self._observer.flush_rows()))
        self._judging.report_progress()
        self._observer.close()
        self.update_statistics()

    def free_tables(self) -> None:
        """Free the tables of a finished capture; the engine cannot be used any more.

        The engine and its dissector refer to each other. Without this call their tables, tens of
        megabytes for each capture, stay in memory until the garbage collector happens to run.
        """
        del self._observer, self._dissector, self._judging

    def learn(self, packet: Packet, message: Message) -> None:
        """Learn which device has which address from a message that claims addresses."""
        self._judging.learn(packet, message)

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        return self._dissector.table_usage() | self._judging.table_usage()

    def wanted(self, message: Message) -> bool:
        """Whether to hand over a message: one with a name that a rule matches, an answer with
        addresses, or one that tells which names a hello with ECH can have."""
        return (
            self._judge.wanted(message)
            or ResolvedAddresses.has_addresses(message)
            or EchCandidates.is_concerned(message)
        )

    def name_status(self, message: Message) -> int:
        """What a message reveals about the name of its flow."""
        return self._judge.name_status(message)

    def keeps_frames_for(self, address: bytes) -> bool:
        """Keep the first frame of flows to addresses that were resolved for an app."""
        return self._judging.resolved.is_of_interest(address)

    def address_claimed(self, packet: Packet, message: Message) -> None:
        """Learn from a message that claims addresses, and share it."""
        self.learn(packet, message)
        if self._share_claim is not None:
            self._share_claim(packet, message)

    def flow_ended(self, flow: Flow) -> None:
        """Judge an ended flow by its server's address if it has no name."""
        if flow.source in self._sampled:
            flow = replace(flow, sampling=self._sampled[flow.source])
        self._judging.flow_ended(flow, identify=self._judges(flow.client_ip, flow.server_ip))

    def flows_counted(
        self, client: FlowClient, visibility: Visibility, flows: int, times: Sequence[int]
    ) -> None:
        """Count ended flows."""
        if self._flow_counter is not None:
            self._flow_counter.add(client, visibility, flows, times)

    def _judged(self, rows: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """The rows among these whose clients this engine judges."""
        if self._division is None:
            yield from rows
            return
        batch = self._observer.batch
        for start, stop in rows:
            for row in range(start, stop):
                client = batch.packed(batch.word(row, WORD_CLIENT_IP))
                if self._judges(client, batch.packed(batch.word(row, WORD_SERVER_IP))):
                    yield row, row + 1
                else:
                    # The server may be a client that this engine judges.
                    self._judging.note_request(batch, row)

    def _before_change(self) -> None:
        """Count the flows so far by the devices that are known until now."""
        if self._coverage is not None and self._coverage.by_device:
            self._dissector.hand_over_other_flows()

    def _flow_options(self, config: Config) -> FlowOptions:
        return flow_options(
            config,
            report_all=self._keep_frames,
            counting=self._coverage is not None,
            by_device=self._coverage is None or self._coverage.by_device,
        )

    def _counter(self, config: Config) -> FlowCounter | None:
        if self._coverage is None:
            return None
        directory = ConfiguredDirectory(
            config, self._judging.learned, by_device=self._coverage.by_device
        )
        return FlowCounter(self._coverage, directory)

    def _judges(self, client: bytes, server: bytes) -> bool:
        """Whether this engine judges a client that it saw with this server."""
        return self._division is None or self._division.is_client(self._worker, client, server)
