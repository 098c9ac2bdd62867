"""Blocks of packets in, messages out: the candidates of the packet loop, parsed.

A dissector reads one capture: it has its flows, its unfinished messages and its counts. The parsers
are passed in, so that this package knows bytes and flows but no protocol.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.core.errors import ParseError
from netwatch.core.flow import Flow, FlowProgress, Frame
from netwatch.core.message import LEARNING_SOURCES, Message, Observation, Packet
from netwatch.core.statistics import TableUsage
from netwatch.dissect.candidate import Candidate, Row
from netwatch.dissect.consumer import Consumer, DissectorOptions
from netwatch.dissect.flows.accounting import FlowAccounting, FlowOptions
from netwatch.dissect.flows.records import (
    CountedFlows,
    FlowRecords,
    acknowledged,
    side_checksums,
    side_sent,
)
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.loop import Loop
from netwatch.dissect.multi_packet import MessageFilter, MultiPacketReader, Parser
from netwatch.dissect.provenance import Frames, PacketProvenance
from netwatch.dissect.reassembly.fragments import (
    DatagramKey,
    Defragmenter,
    Reassembled,
    datagram_key,
)

END_OF_TIME = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, in ns since the epoch."""

Found = tuple[Packet, Message]
"""A message that a parser has read, with its packet."""


@dataclass(frozen=True, slots=True)
class LoopRows:
    """Rows of the observation batch, from `start` up to `stop`, which the packet loop has written
    and which come next. With `last`, no row written by the loop is left."""

    start: int
    stop: int
    last: bool


MAX_NESTED_DATAGRAMS = 8
"""How deep reassembled datagrams may be nested, in tunnels."""


class Dissector:
    """The messages of one capture that `consumer` wants, with their packets.

    `parsers` are by the kinds of the packet loop; `detect_kind` tells the kind of a byte stream
    from its first bytes, 0 if it is none of them. `seed` (62 bits) varies the hashes of the flow
    table, so that it cannot be attacked.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parser],
        detect_kind: Callable[[bytes], int],
        consumer: Consumer,
        options: DissectorOptions,
        *,
        seed: int = 0,
    ) -> None:
        self.loop = Loop(
            seed=seed,
            domains=options.domains,
            recording=options.flows is not None,
            openings=options.keep_frames,
            learning=_learning_bits(options.learn_from),
            filling=not (options.keep_frames or options.parse_all),
            asking=options.knows_bypasses,
            fingerprints=options.fingerprints,
            division=options.division,
            worker=options.worker,
        )
        self._provenance = (
            PacketProvenance(consumer.keeps_frames_for) if options.keep_frames else None
        )
        self._sources: list[str] = []
        self._source_numbers: dict[str, int] = {}
        self.loop.batch.sources = self._sources
        self.accounting: FlowAccounting | None = None
        self._flow_records: FlowRecords | None = None
        if options.flows is not None:
            self.accounting = FlowAccounting(
                options.flows,
                (seed & 0x3FFFFFFFFFFFFFFF) + 1,
                division=options.division,
                worker=options.worker,
            )
            self._flow_records = FlowRecords(
                self.loop.flows,
                self._sources,
                self.accounting,
                consumer.flows_counted,
                options.flows.slots_ended,
            )
        self._datagram_parsers = {
            kind: each.parse_datagram
            for kind, each in parsers.items()
            if each.parse_datagram is not None
        }
        # A flow that another worker counts is read as well; its counts are dropped.
        self._filters = [
            MessageFilter(consumer, self.loop, self._flow_records, counting=counting)
            for counting in ([True] if options.division is None else [True, False])
        ]
        self._readers = [
            MultiPacketReader(parsers, detect_kind, each, self._provenance, self.loop.kept_messages)
            for each in self._filters
        ]
        self._defragmenter = Defragmenter()
        self._nested = 0
        self._latest = 0
        self._is_first_worker = options.worker == 0
        self._anomalies: Counter[str] = Counter()

    def reload(
        self,
        domains: Sequence[bytes],
        learn_from: Collection[str],
        flows: FlowOptions | None = None,
    ) -> None:
        """Change the domains of interest, the sources to learn from, and how flows are counted (see
        `DissectorOptions`)."""
        if self.accounting is not None and flows is not None:
            self.accounting.replace(flows)
        self.loop.prefilter.domains.replace(domains)
        self.loop.learning.sources = _learning_bits(learn_from)

    def source_number(self, source: str) -> int:
        """The number of a file or interface in the observation batch."""
        number = self._source_numbers.get(source)
        if number is None:
            number = self._source_numbers[source] = len(self._sources)
            self._sources.append(source)
        return number

    def messages(self, block: Block, source: str) -> Iterator[Found | LoopRows]:
        """The messages completed by the packets of a block, in order; messages read by the packet
        loop are rows of its batch."""
        number = self.source_number(source)
        if block.count:
            last = block.records[(block.count - 1) * FIELDS + TIME]
            self._latest = max(self._latest, last)
        return self._read(self.loop.walk(block, number), block, source)

    def flush(self) -> Iterator[Found | LoopRows]:
        """What messages show that are still incomplete at the end of the capture."""
        yield from self._read_all_reassembled(self._defragmenter.flush())
        yield from self._read(self.loop.finish(), None, "")
        for reader in self._readers:
            yield from reader.flush(self._latest)

    def flows(self) -> Iterator[Flow]:
        """Count the flows that have ended since the last call, and yield those to report
        individually."""
        for flow in self._flow_records.flows() if self._flow_records is not None else ():
            yield flow if self._provenance is None else self._provenance.with_first_packet(flow)

    def hand_over_named_flows(self) -> None:
        """Hand the counts of named flows to the consumer if there are many."""
        if self._flow_records is not None:
            self._flow_records.hand_over_named()

    def hand_over_other_flows(self) -> None:
        """Hand the counts of all other flows to the consumer. Needed before the devices of
        addresses change."""
        if self._flow_records is not None:
            self._flow_records.hand_over_others()

    def hand_over_all_flows(self) -> None:
        """Hand all counts to the consumer. Needed before networks change: whether a client is
        outside all of them was decided when its flow ended."""
        if self._flow_records is not None:
            self._flow_records.hand_over_named(all_=True)
            self._flow_records.hand_over_others()

    def count_open_flows(self, counted: CountedFlows) -> None:
        """Hand the counts of the open flows to `counted`, as if they ended now."""
        if self._flow_records is not None:
            self._collect()
            self._flow_records.count_open(counted)

    def report_end_of(self, flow: int) -> None:
        """Let `flows` report this flow individually when it has ended."""
        if self._flow_records is not None:
            self._flow_records.report_individually(flow)
        if self._provenance is not None:
            self._provenance.follow(flow)

    def set_name_status(self, flow: int, name_status: int) -> None:
        """Note what a message has revealed about the name of its flow, an index in
        `NAME_STATUSES`."""
        if self._flow_records is not None:
            self._flow_records.set_name_status(flow, name_status)

    def end_flows(self, before: int = END_OF_TIME) -> Iterator[Flow]:
        """End the flows without a packet since `before` (ns since the epoch), by default all, and
        yield what `flows` reports; then hand all counts to the consumer. Their bytes are not
        available after this."""
        done = self._flow_records is None
        while not done:
            done = self.loop.flows.close_flows(before)
            self._collect()
            yield from self.flows()
        self.hand_over_all_flows()

    def _collect(self) -> None:
        """Take the flows that have ended from the packet loop."""
        if self._flow_records is not None:
            self._flow_records.collect()

    def progress_of(self, observation: Observation) -> FlowProgress | None:
        """The flow of an observation so far; None if it has no payload, for example because the
        flow table has evicted it."""
        counts = self.loop.flows.bytes_of(observation.flow_id)
        if counts == (0, 0):
            return None
        last, state = self.loop.flows.condition_of(observation.flow_id)
        client = observation.client_ip, observation.client_port
        side = int(client > (observation.server_ip, observation.server_port))
        bytes_in = counts[1 - side]
        return FlowProgress(
            counts[side],
            bytes_in,
            last,
            side_sent(1 - side, bytes_in, state),
            acknowledged(self.loop.flows.acknowledged_of(observation.flow_id, side)),
            side_checksums(side, state),
        )

    def answers_in(self, flow: int) -> tuple[Frame, ...]:
        """The packets that acknowledge what a flow sent, if frames are kept."""
        return () if self._provenance is None else self._provenance.answers(flow)

    def names_by_evidence(self) -> Counter[str]:
        """How many names the packets showed, wanted or not, by evidence."""
        return self._filters[0].names_by_evidence + Counter(self.loop.prefilter.names())

    def anomalies(self) -> Counter[str]:
        """How often each anomaly occurred, by its name."""
        total = self._anomalies + self._filters[0].anomalies
        total += self._readers[0].anomalies()
        if self._is_first_worker:
            # All workers reassemble fragments.
            total += self._defragmenter.anomalies
        total.update(self.loop.anomalies())
        if self.loop.flows.evicted:
            total["flow-table-full"] += self.loop.flows.evicted
        if self.loop.addresses.evicted:
            total["resolved-addresses-full"] += self.loop.addresses.evicted
        if self._provenance is not None:
            total += self._provenance.anomalies(self._is_first_worker)
        return total

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        entries, limit = self.loop.flows.usage()
        return {
            "flows": TableUsage(entries, limit, self.loop.flows.evicted),
            "fragments": self._defragmenter.usage(),
            **self._readers[0].table_usage(),
        }

    def _read(
        self, lists: Iterable[list[int]], block: Block | None, source: str
    ) -> Iterator[Found | LoopRows]:
        """The messages of candidate rows, which refer to packets of `block` or, with a negative
        record, to packets that the loop has buffered since an earlier block; in between come the
        rows that the loop has read itself."""
        filling, batch = self.loop.rows.active, self.loop.batch
        for rows in lists:
            done, stop = self.loop.rows.start, batch.count
            self._collect()
            for row in zip(*[iter(rows)] * layout.ROW_COLUMNS, strict=True):
                if filling and row[layout.ROW_OBSERVATIONS] > done:
                    yield LoopRows(done, row[layout.ROW_OBSERVATIONS], False)
                    done = row[layout.ROW_OBSERVATIONS]
                yield from self._read_row(row, block, source)
            if filling:
                yield LoopRows(done, stop, self._nested == 0)
                self.loop.set_due(min(reader.next_timeout() for reader in self._readers))

    def _read_row(self, row: Row, block: Block | None, source: str) -> Iterator[Found | LoopRows]:
        """The messages completed by the packet of a candidate row."""
        provenance = self._provenance
        row_block, row_source = block, source
        number = int(row[layout.ROW_OWNER] == layout.OWNER_OTHER)
        self._readers[number].is_late = row[layout.ROW_RECORD] < 0
        if row[layout.ROW_RECORD] < 0:
            row, row_block, row_number = self.loop.buffered_packet(row)
            row_source = self._sources[row_number]
        assert row_block is not None
        datagram_frames = None
        if provenance is not None:
            # A buffered packet is as captured, even if the others of this list are reassembled from
            # fragments.
            datagram_frames = provenance.datagram_frames
            provenance.datagram_frames = datagram_frames if row_block is block else None
        self._filters[number].prefiltered = row[layout.ROW_PREFILTERED] != 0
        kind = row[layout.ROW_KIND]
        if kind in self._datagram_parsers:
            found = self._read_datagram(row, row_block, row_source)
            if found is not None:
                yield found
        elif kind in (layout.KIND_FRAGMENT, layout.KIND_TUNNEL_FRAGMENT):
            yield from self._read_fragment(row, row_block, row_source)
        elif kind == layout.KIND_CLOCK:
            for reader in self._readers:
                yield from reader.expire(row, row_block, row_source)
        elif kind == layout.KIND_ANSWER:
            if provenance is not None:
                provenance.add_answer(row, row_block, row_source)
        elif kind != layout.KIND_OPENING:
            yield from self._readers[number].read(row, row_block, row_source)
        elif provenance is not None:
            provenance.add_first_packet(row, row_block, row_source)
        if provenance is not None:
            provenance.datagram_frames = datagram_frames

    def _read_datagram(self, row: Row, block: Block, source: str) -> Found | None:
        """Parse a candidate that is a message by itself; None if it is not handed over."""
        owner = row[layout.ROW_OWNER]
        try:
            message = self._datagram_parsers[row[layout.ROW_KIND]](_payload(row, block))
        except ParseError as error:
            self._anomalies[error.anomaly] += owner == layout.OWNER_SELF
            return None
        if owner == layout.OWNER_EVERYONE:
            if not message.claims:
                return None
            message = replace(message, names=())
        elif not self._filters[owner].accepts(message, row[layout.ROW_FLOW]):
            return None
        provenance = self._provenance
        frames = () if provenance is None else provenance.frames_of(row, block, source)
        return Candidate(row, block, source).to_packet(frames), message

    def _read_fragment(self, row: Row, block: Block, source: str) -> Iterator[Found | LoopRows]:
        """Buffer an IP fragment; returns the messages of datagrams that it completed."""
        packet = Candidate(row, block, source).to_packet()
        # A datagram that times out now is read before the frames of this fragment are added, which
        # may be of another one with the same key.
        yield from self._read_all_reassembled(self._defragmenter.expire(packet.time))
        if self._provenance is not None:
            frames = self._provenance.frames_of(row, block, source)
            self._provenance.add_fragment(datagram_key(row, packet), packet.time, frames)
        yield from self._read_all_reassembled(
            self._defragmenter.feed(row, _payload(row, block), packet)
        )

    def _read_all_reassembled(self, datagrams: Iterable[Reassembled]) -> Iterator[Found | LoopRows]:
        """Walk the packets of reassembled datagrams. Two with the same key were reassembled from
        the same fragments, which prove both."""
        provenance = self._provenance
        frames: dict[DatagramKey, Frames] = {}
        for datagram in datagrams:
            if provenance is not None and datagram.key not in frames:
                frames[datagram.key] = provenance.pop_fragments(datagram.key)
            yield from self._read_reassembled(datagram, frames.get(datagram.key))

    def _read_reassembled(
        self, datagram: Reassembled, frames: Frames | None
    ) -> Iterator[Found | LoopRows]:
        """Walk the packet of a reassembled datagram; `frames` are the frames of its fragments, if
        frames are kept. Its fragments were counted as packets, so it is not."""
        if self._nested >= MAX_NESTED_DATAGRAMS:
            self._anomalies["wrapped-too-deep"] += self._is_first_worker
            return
        loop, provenance = self.loop, self._provenance
        packets, octets = loop.packets, loop.octets
        self._nested += 1
        loop.hellos.buffering = False
        outer_frames = None
        if provenance is not None:
            outer_frames = provenance.datagram_frames
            provenance.datagram_frames = frames
        yield from self.messages(datagram.block, datagram.source)
        if provenance is not None:
            provenance.datagram_frames = outer_frames
        self._nested -= 1
        loop.hellos.buffering = self._nested == 0
        loop.packets, loop.octets = packets, octets


def _payload(row: Row, block: Block) -> bytes:
    start = row[layout.ROW_PAYLOAD]
    return bytes(block.data[start : start + row[layout.ROW_CAPTURED]])


def _learning_bits(learn_from: Collection[str]) -> int:
    """Words of `LEARNING_SOURCES` as bits for the packet loop."""
    return sum(1 << bit for bit, word in enumerate(LEARNING_SOURCES) if word in learn_from)
