# cython: language_level=3
"""Blocks of packets in, observations out: one for each name that a device showed.

This is where the dissector meets the protocols. Apps and bans are not known yet.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import Block
from netwatch.core.flow import NAME_STATUSES
from netwatch.core.message import Message, Packet
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.consumer import Consumer, DissectorOptions
from netwatch.dissect.dissector import END_OF_TIME, Dissector, Found, LoopRows
from netwatch.dissect.ech_keys import EchKeys
from netwatch.protocols import PROTOCOLS, detect_stream_kind

if not cython.compiled:
    from netwatch.core.observation_batch import ObservationBatch
else:
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch

_ECH = NAME_STATUSES.index("ech")

BATCH_ROWS = 2048
"""Rows after which a batch is handed over within a block."""


class Observer:
    """The observations of one capture, block by block, as rows of `batch`.

    What the packets show besides names goes to `consumer`: ended flows, and messages that claim
    addresses. Flows and unfinished messages continue from one block to the next until `close`.
    `listed` is the number of rows of the batch that the batch methods have returned so far. `seed`
    (62 bits) varies how flows and addresses spread over tables.
    """

    def __init__(
        self,
        consumer: Consumer,
        statistics: RunStatistics,
        options: DissectorOptions,
        *,
        seed: int,
    ) -> None:
        self.dissector = Dissector(PROTOCOLS, detect_stream_kind, consumer, options, seed=seed)
        self.batch: ObservationBatch = self.dissector.loop.batch
        self.listed = 0
        self._keys = EchKeys(self.dissector.loop.prefilter.given)
        self._fingerprints = options.fingerprints
        self._consumer = consumer
        self._statistics = statistics
        self._counted_names: Counter[str] = Counter()
        self._counted_anomalies: Counter[str] = Counter()

    def rows(self, block: Block, source: str) -> Iterator[tuple[int, int]]:
        """The next rows of `batch`, as ranges, from messages completed by the packets of a block. A
        range is valid until the next one is requested.

        `source` is the file or interface of the block. The block's ended flows are handed over once
        its observations were consumed.
        """
        for start, stop, _ in self._block_rows(block, source):
            yield start, stop

    def flush_rows(self) -> Iterator[tuple[int, int]]:
        """The same for messages that are incomplete at the end of the capture."""
        for start, stop, _ in self._rows(self.dissector.flush()):
            yield start, stop

    def batches(self, block: Block, source: str, at_least: int = 0) -> Iterator[ObservationBatch]:
        """Like `rows`, as batches: the rows of each are its `spans`. A batch is valid until the
        next one is requested. Fewer rows than `at_least` wait for those of later blocks."""
        return self._batches(self._block_rows(block, source, at_least))

    def waiting(self) -> Iterator[ObservationBatch]:
        """The rows that wait for those of later blocks, as at most one batch."""
        return self._batches(self._rows(()))

    def flush(self) -> Iterator[ObservationBatch]:
        """The same for messages that are incomplete at the end of the capture."""
        return self._batches(self._rows(self.dissector.flush()))

    def end_flows(self, before: int) -> None:
        """End and hand over the flows without a packet since `before`, in ns since the epoch."""
        for flow in self.dissector.end_flows(before):
            self._consumer.flow_ended(flow)

    def close(self) -> None:
        """End all flows and add the last counts to the statistics: the capture has ended."""
        self.end_flows(END_OF_TIME)
        self.update_statistics()

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        names, anomalies = self.dissector.names_by_evidence(), self.dissector.anomalies()
        if self._keys.evicted:
            anomalies["ech-keys-full"] += self._keys.evicted
        self._statistics.observations.update(names - self._counted_names)
        self._statistics.anomalies.update(anomalies - self._counted_anomalies)
        self._counted_names, self._counted_anomalies = names, anomalies

    def _batches(self, rows: Iterable[tuple[int, int, bool]]) -> Iterator[ObservationBatch]:
        for start, stop, full in rows:
            self.batch.add_span(start, stop)
            self.listed += stop - start
            if full and self.batch.spans:
                yield self.batch

    def _block_rows(
        self, block: Block, source: str, at_least: int = 0
    ) -> Iterator[tuple[int, int, bool]]:
        """The rows of a block (see `_rows`), whose flows and counts are then handed over."""
        loop, statistics = self.dissector.loop, self._statistics
        packets, octets, candidates = loop.packets, loop.octets, loop.candidates.total
        yield from self._rows(self.dissector.messages(block, source), at_least)
        for flow in self.dissector.flows():
            self._consumer.flow_ended(flow)
        self.dissector.hand_over_named_flows()
        statistics.packets += loop.packets - packets
        statistics.wire_bytes += loop.octets - octets
        statistics.candidates += loop.candidates.total - candidates

    def _rows(
        self, messages: Iterable[Found | LoopRows], at_least: int = 0
    ) -> Iterator[tuple[int, int, bool]]:
        """Ranges of rows in the order of packets, and whether the batch is cleared when the next
        one is requested, as it is at the end unless it has fewer rows than `at_least`."""
        batch = self.batch
        most = max(at_least, BATCH_ROWS)
        for found in messages:
            if isinstance(found, LoopRows):
                full = found.last and batch.count >= most
                yield found.start, found.stop, full
                if full:
                    self._clear()
                continue
            packet, message = found
            if message.claims:
                self._consumer.address_claimed(packet, message)
            if message.dns is not None:
                self._keys.add(packet, message.dns)
            elif message.tls is not None and message.tls.ech_config_id is not None:
                message = self._read_hello(packet, message)
            number = self.dissector.source_number(packet.source)
            start, stop = batch.append(packet, message, number, self._fingerprints)
            yield start, stop, False
        if batch.count >= at_least:
            yield batch.count, batch.count, True
            self._clear()

    def _read_hello(self, packet: Packet, message: Message) -> Message:
        """A hello with ECH, with what its client was given. That may reveal more about its flow."""
        read = self._keys.read(packet, message)
        if read is not message:
            self.dissector.set_name_status(packet.flow_id, _ECH)
        return read

    def _clear(self) -> None:
        self.batch.clear()
        self.listed = 0
