"""Messages that may span several packets: in TCP segments, or in datagrams of a handshake; which of
them are handed to the consumer, and how the others are counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Protocol

from netwatch.capture.block import FIELDS, TIME, Block
from netwatch.core.message import Message, Packet
from netwatch.core.statistics import TableUsage
from netwatch.dissect.candidate import Candidate, Row
from netwatch.dissect.consumer import Consumer
from netwatch.dissect.flows.records import FlowRecords
from netwatch.dissect.loop import layout
from netwatch.dissect.loop.loop import Loop
from netwatch.dissect.provenance import PacketProvenance
from netwatch.dissect.reassembly.handshakes import Connection, HandshakeTable, IsUninteresting
from netwatch.dissect.reassembly.stream import Segment
from netwatch.dissect.reassembly.stream_parsers import StreamParsers
from netwatch.dissect.reassembly.streams import StreamReassembler


class MessageFilter:
    """Asks `consumer` which messages it wants, and counts what all of them show.

    With `flow_records`, each message updates the name status of its flow. `prefiltered` is set
    while reading a candidate whose hello the packet loop has already judged. The filter of flows
    that another worker counts (`counting` is false) has counts of its own.
    """

    def __init__(
        self,
        consumer: Consumer,
        loop: Loop,
        flow_records: FlowRecords | None,
        *,
        counting: bool = True,
    ) -> None:
        self._wanted = consumer.wanted
        self._name_status = consumer.name_status
        self.counting = counting
        prefilter = loop.prefilter
        self._hellos = prefilter.messages if counting else prefilter.uncounted_messages()
        self._flow_records = flow_records
        self._flows = loop.flows
        self.prefiltered = False
        self.anomalies: Counter[str] = Counter()
        self.names_by_evidence: Counter[str] = Counter()

    def accepts(self, message: Message, flow: int, *, is_stray: bool = False) -> bool:
        """Count what a message of a flow shows; returns whether to hand it over. One that
        `is_stray` reaches no server, so it reveals nothing about its flow."""
        if message.anomalies:
            self.anomalies.update(message.anomalies)
        for shown in message.names:
            self.names_by_evidence[shown.evidence] += 1
        if self._flow_records is not None and not is_stray:
            self._flow_records.set_name_status(flow, self._name_status(message))
        if message.claims:
            return True
        return bool(message.names) and self._wanted(message)

    def is_uninteresting(self, kind: int, flow: int, message: bytes) -> bool:
        """Whether the bytes of a complete message show only names outside the domains of interest.
        The packet loop then counts the names, and no parser reads them. It did not pass on a hello
        that it judged to be uninteresting, so no hello is judged twice."""
        if self.prefiltered or not self._hellos.uninteresting(kind, message):
            return False
        if self._flow_records is not None:
            self._flow_records.set_name_status(flow, layout.NAME_NAMED)
        return True

    def unread(self, flow: int) -> None:
        """Note that something unreadable came at the place of a message of a flow: the name in that
        message may not be the flow's."""
        if self._flow_records is not None:
            self._flow_records.forget_name(flow)

    def contest(self, flow: int, side: int) -> None:
        """Note that it is unknown which bytes of a side the receiver took."""
        self._flows.contest_flow(flow, side)

    def truncated(self, flow: int) -> None:
        """Note that a message of a flow was not captured to its end. The name status that the
        message itself gives, if any, takes precedence."""
        if self._flow_records is not None:
            self._flow_records.set_name_status(flow, layout.NAME_TRUNCATED)


Found = tuple[Candidate, Message]


class Parser(Protocol):
    """How one kind of candidate is parsed: a row of the table of protocols.

    Exactly one of the four functions is not None. `parse_datagram` parses a datagram of whole
    messages, `parse_stream` the start of a byte stream (true: no more bytes will come),
    `new_conversation` makes a parser that remembers the previous messages, and `new_handshake`
    makes the state of the handshake of one client.
    """

    @property
    def parse_datagram(self) -> Callable[[bytes], Message] | None: ...  # noqa: D102

    @property
    def parse_stream(self) -> Callable[[bytes, bool], Message] | None: ...  # noqa: D102

    @property
    def new_conversation(self) -> Callable[[], Callable[[bytes, bool], Message]] | None: ...  # noqa: D102

    @property
    def new_handshake(self) -> Callable[[IsUninteresting], Connection] | None: ...  # noqa: D102

    @property
    def persistent(self) -> bool:
        """Whether the next message of a stream starts where the last one ends."""
        ...


class MultiPacketReader:
    """Reads the candidates of one capture whose messages may span several packets.

    `parsers` are by the kinds of the packet loop; `detect_kind` tells the kind of a byte stream
    from its first bytes, 0 if it is none of them. With `provenance`, packets come with all captured
    frames that their message needed. `kept_messages` returns the side, sequence number and bytes of
    messages of a flow that have already been read. While `is_late`, candidates are packets that the
    packet loop has buffered, and that came before others.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parser],
        detect_kind: Callable[[bytes], int],
        message_filter: MessageFilter,
        provenance: PacketProvenance | None,
        kept_messages: Callable[[int], list[tuple[int, int, bytes]]],
    ) -> None:
        self._filter = message_filter
        self._kept_messages = kept_messages
        self._provenance = provenance
        self.is_late = False
        self._unordered = False
        self._streams = StreamReassembler(
            StreamParsers(
                {kind: each.parse_stream for kind, each in parsers.items() if each.parse_stream},
                {
                    kind: each.new_conversation
                    for kind, each in parsers.items()
                    if each.new_conversation
                },
                frozenset(kind for kind, each in parsers.items() if each.persistent),
                lambda kind, side, data: message_filter.is_uninteresting(kind, side[0], data),
            ),
            detect_kind,
            message_filter.unread,
            message_filter.contest,
            kept_messages,
        )
        self._handshakes = {
            kind: HandshakeTable(
                each.new_handshake,
                partial(message_filter.is_uninteresting, kind),
                message_filter.unread,
            )
            for kind, each in parsers.items()
            if each.new_handshake
        }

    def read(self, row: Row, block: Block, source: str) -> Iterator[tuple[Packet, Message]]:
        """The messages completed by a candidate.

        The order matters. Messages that time out now are delivered first, because the frames that
        prove those of the same side are discarded then. The frame of this candidate is added before
        it is parsed, and all frames of its message are discarded after the message was delivered.
        """
        kind, flow, side = row[layout.ROW_KIND], row[layout.ROW_FLOW], row[layout.ROW_SIDE]
        has_other_bytes = side & layout.SIDE_OTHER_BYTES != 0
        side &= ~layout.SIDE_OTHER_BYTES
        if self._unordered and not self.is_late:
            self._restore_order()
        self._unordered = self.is_late
        handshakes = self._handshakes.get(kind)
        if handshakes is not None and handshakes.is_from_server(
            flow, side, block.records[row[layout.ROW_RECORD] * FIELDS + TIME]
        ):
            return
        candidate = Candidate(row, block, source)
        yield from self._deliver(self._expired(candidate))
        if self._provenance is not None:
            if not self._continues(handshakes, flow, side):
                self._provenance.discard(candidate)  # What has timed out left its frames.
            elif not self._provenance.has(candidate):
                # The frames of what came before, on which this builds, are gone.
                self._provenance.mark_incomplete(candidate, counting=self._filter.counting)
            self._provenance.add(candidate, self._provenance.frames_of(row, block, source))
        start, captured = row[layout.ROW_PAYLOAD], row[layout.ROW_CAPTURED]
        payload = bytes(block.data[start : start + captured])
        truncated = captured < row[layout.ROW_WIRE]
        if truncated and kind != layout.KIND_MORE:
            self._filter.truncated(flow)
        if handshakes is not None:
            read = self._kept_messages(flow) if has_other_bytes else ()
            yield from self._deliver(
                handshakes.feed(flow, side, payload, candidate, [data for _, _, data in read])
            )
            expects_more = handshakes.expects_more(flow, side)
        else:
            kind = 0 if kind == layout.KIND_MORE else kind
            seq = row[layout.ROW_SEQUENCE]
            segment = Segment(
                candidate,
                payload,
                kind=kind,
                side=(flow, side),
                seq=seq,
                truncated=truncated,
            )
            if has_other_bytes:
                for other, start_seq, data in self._kept_messages(flow):
                    self._streams.remember((flow, other), start_seq, data)
            yield from self._deliver(self._streams.feed(segment))
            expects_more = self._streams.expects_more((flow, side))
        if self._provenance is not None and not expects_more:
            self._provenance.discard(candidate)

    def _continues(self, handshakes: HandshakeTable | None, flow: int, side: int) -> bool:
        """Whether what a side sends next belongs to what it has sent before."""
        if handshakes is not None:
            return handshakes.expects_more(flow, side)
        return self._streams.expects_more((flow, side)) or self._streams.is_paused((flow, side))

    def expire(self, row: Row, block: Block, source: str) -> Iterator[tuple[Packet, Message]]:
        """What messages show that time out because the packet loop has read a message of a
        candidate's flow itself."""
        if self._unordered:
            self._restore_order()
        yield from self._deliver(self._expired(Candidate(row, block, source)))

    def next_timeout(self) -> int:
        """The time (ns) after which the next message may time out others."""
        first = self._streams.next_timeout()
        for handshakes in self._handshakes.values():
            first = min(first, handshakes.next_timeout())
        return first

    def flush(self, now: int) -> Iterator[tuple[Packet, Message]]:
        """What messages show that are incomplete at the end of the capture, whose last packet came
        at `now` (ns)."""
        if self._unordered:
            self._restore_order()
        yield from self._deliver(self._streams.flush(now))
        for handshakes in self._handshakes.values():
            yield from self._deliver(handshakes.flush())

    def anomalies(self) -> Counter[str]:
        """The counts so far, by name."""
        total = Counter(self._streams.anomalies)
        for handshakes in self._handshakes.values():
            total += handshakes.anomalies
        return total

    def table_usage(self) -> dict[str, TableUsage]:
        """How full the tables are, by name."""
        tables = [handshakes.usage() for handshakes in self._handshakes.values()]
        return {
            "streams": self._streams.usage(),
            "handshakes": TableUsage(
                sum(table.entries for table in tables),
                sum(table.limit for table in tables),
                sum(table.evicted for table in tables),
            ),
        }

    def _restore_order(self) -> None:
        """Sort what waits for packets by its last one, as if the loop had buffered none."""
        self._unordered = False
        self._streams.sort()
        for handshakes in self._handshakes.values():
            handshakes.sort()

    def _expired(self, candidate: Candidate) -> list[Found]:
        """What messages show that time out when a candidate comes, other than its own."""
        found = self._streams.expire((candidate.flow, candidate.side), candidate.time)
        for handshakes in self._handshakes.values():
            found += handshakes.expire(candidate.flow, candidate.time)
        return found

    def _deliver(self, found: Iterable[Found]) -> Iterator[tuple[Packet, Message]]:
        for candidate, message in found:
            is_stray = candidate.side & layout.SIDE_STRAY != 0
            if self._filter.accepts(message, candidate.flow, is_stray=is_stray):
                if self._provenance is None:
                    yield candidate.to_packet(), message
                else:
                    yield self._provenance.packet(candidate), message
