# cython: language_level=3, boundscheck=True, wraparound=False
"""The packet loop: of all packets in a block, the few that may show a name.

It walks the records of a block, reads headers, matches payloads against masks and domains, follows
flows that expect more bytes, and writes a row of integers for each packet that is worth a parser.
It allocates nothing per packet and does not hold the GIL while it walks. It is written in Cython's
pure Python mode: without a compiler, the same files run interpreted, with the same rows.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import FIELDS, TIME, Block, Interface

if cython.compiled:
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.answers import Answers
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates, Learning
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.dns_addresses import DnsAddresses
    from cython.cimports.netwatch.dissect.loop.dns_messages import DnsMessages
    from cython.cimports.netwatch.dissect.loop.fill_hello import HelloRows
    from cython.cimports.netwatch.dissect.loop.flow_lookup import FlowLookup, IcmpErrors
    from cython.cimports.netwatch.dissect.loop.headers import read_layers
    from cython.cimports.netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from cython.cimports.netwatch.dissect.loop.hellos import QuicHellos, TlsHellos
    from cython.cimports.netwatch.dissect.loop.http_requests import HttpRequests
    from cython.cimports.netwatch.dissect.loop.link_types import next_subframe
    from cython.cimports.netwatch.dissect.loop.observation_rows import ObservationRows
    from cython.cimports.netwatch.dissect.loop.octets import fetch_ahead
    from cython.cimports.netwatch.dissect.loop.prefilter import Prefilter
    from cython.cimports.netwatch.dissect.loop.share import Share
    from cython.cimports.netwatch.dissect.loop.tcp import TcpSegments
    from cython.cimports.netwatch.dissect.loop.udp import UdpDatagrams
else:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.answers import Answers
    from netwatch.dissect.loop.candidates import Candidates, Learning
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.dns_addresses import DnsAddresses
    from netwatch.dissect.loop.dns_messages import DnsMessages
    from netwatch.dissect.loop.fill_hello import HelloRows
    from netwatch.dissect.loop.flow_lookup import FlowLookup, IcmpErrors
    from netwatch.dissect.loop.headers import read_layers
    from netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from netwatch.dissect.loop.hellos import QuicHellos, TlsHellos
    from netwatch.dissect.loop.http_requests import HttpRequests
    from netwatch.dissect.loop.link_types import next_subframe
    from netwatch.dissect.loop.observation_rows import ObservationRows
    from netwatch.dissect.loop.octets import fetch_ahead
    from netwatch.dissect.loop.prefilter import Prefilter
    from netwatch.dissect.loop.share import Share
    from netwatch.dissect.loop.tcp import TcpSegments
    from netwatch.dissect.loop.udp import UdpDatagrams

from netwatch.core.buffers import Octets, Words
from netwatch.core.encapsulation import LINK_TYPES
from netwatch.dissect.loop.cursor import layer_number
from netwatch.dissect.loop.division import Division
from netwatch.dissect.loop.layout import ANOMALIES, unknown_ether_type

COMPILED: bool = cython.compiled
"""Whether this is the compiled form; the interpreted one is some hundred times slower."""

NUMBERS = 0xFFFFFFFFFF
"""The bits of a packet's number, below its source's."""

LATEST = 0x7FFFFFFFFFFFFFFF
"""Later than any packet, ns."""

MAX_LISTS = 64
"""Lists of interfaces that buffered packets came with: one per source, and one more for each
further list in a section of pcapng."""

LINK_LAYERS = {row.number: layer_number(row.layer) for row in LINK_TYPES}

FULL = cython.declare(cython.longlong, 4096)
"""Rows, or closed flows, after which these are handed over."""

FULL_IN_FRAME = cython.declare(cython.longlong, 4096 + 64)
"""The same within a frame with several packets, the rest of which is then dropped."""

AHEAD = cython.declare(cython.longlong, 12)
"""Packets that another core has read into memory are prefetched so many packets before they are
read."""

COUNTED = cython.declare(cython.longlong, (1 << 39) - 1)


def outermost_layers(interfaces: Sequence[Interface]) -> Words:
    """The outermost layer of the packets of each interface."""
    return array(
        "i",
        [LINK_LAYERS.get(each.link_type, layout.LAYER_UNKNOWN_LINK) for each in interfaces]
        or [layout.LAYER_UNKNOWN_LINK],
    )


@cython.final
@cython.cclass
class Loop:
    """The walk of one capture.

    `slots` is the size of the flow table, a power of two; `seed` (62 bits) varies how flows spread
    over it, so that flows cannot be chosen to collide. With `domains`, messages whose names are all
    outside them are counted and have no row; None wants all names. With `recording`, closed flows
    wait until `flows.take_closed` is called, which must be after each list of rows. With `openings`
    the first packet of each flow has a row. `learning` has a bit for each of
    `core.message.LEARNING_SOURCES` to learn devices from. With `filling`, messages of interest with
    the usual layout have no row: what they show is in `batch`, with `fingerprints` including the
    JA4 of hellos. While `recording`, this includes hellos and requests only without `asking`:
    otherwise the loop does not know what they reveal about the names of their flows. With
    `division` the loop belongs to one of several workers, with the number `worker`, and reads only
    this worker's packets.

    Unset `hellos.buffering` while walking a block that was reassembled from packets of another.
    """

    def __init__(
        self,
        slots: int = 65536,
        *,
        seed: int = 0,
        domains: Iterable[bytes] | None = None,
        recording: bool = False,
        openings: bool = False,
        learning: int = 0,
        filling: bool = False,
        asking: bool = True,
        fingerprints: bool = False,
        division: Division | None = None,
        worker: int = 0,
    ) -> None:
        self.cursor = Cursor()
        self.batch = ObservationBatch()
        self.rows = ObservationRows(self.cursor, self.batch, filling, fingerprints)
        self.prefilter = Prefilter(domains)
        self.flows = FlowTable(slots, recording)
        filling_flows = filling and not (recording and asking)
        self.candidates = Candidates(self.cursor, self.batch, filling_flows)
        self.addresses = DnsAddresses((seed & 0x3FFFFFFFFFFFFFFF) + 1)
        self.learning = Learning(self.cursor, self.candidates, learning)
        self.lookup = FlowLookup(
            self.cursor,
            self.flows,
            self.candidates,
            seed=seed & 0x3FFFFFFFFFFFFFFF,
            openings=openings,
        )
        self.hellos = HelloReassembly(
            self.cursor,
            self.flows,
            self.candidates,
            self.prefilter.hello_prefilter(),
            HelloRows(self.rows, filling_flows),
        )
        state = TcpState(self.flows, self.cursor)
        answers = Answers(self.cursor, self.flows)
        self.icmp_errors = IcmpErrors(self.cursor, self.lookup, state)
        self.quic_hellos = QuicHellos(self.cursor, state, self.hellos)
        self.requests = HttpRequests(
            self.rows, self.prefilter.domains, self.prefilter.counts, filling_flows
        )
        self.share = Share(self.cursor, self.candidates, self.prefilter.counts, division, worker)
        self.tcp = TcpSegments(
            self.cursor,
            self.prefilter,
            lookup=self.lookup,
            candidates=self.candidates,
            hellos=self.hellos,
            state=state,
            tls_hellos=TlsHellos(self.cursor, state, self.hellos),
            requests=self.requests,
            answers=answers,
        )
        self.messages = DnsMessages(self.rows, self.prefilter.counts)
        self.udp = UdpDatagrams(
            self.cursor,
            self.prefilter,
            rows=self.rows,
            messages=self.messages,
            lookup=self.lookup,
            candidates=self.candidates,
            state=state,
            addresses=self.addresses,
            learning=self.learning,
            quic_hellos=self.quic_hellos,
            share=self.share,
            answers=answers,
        )
        self.interface_lists: list[tuple[Interface, ...]] = []
        self.packets = 0
        self.octets = 0

    def walk(self, block: Block, source: int = 0) -> Iterator[list[int]]:
        """Yield the block's rows as flat lists of whole rows (`layout.ROW_COLUMNS` integers each).

        `source` is a small number that flows store with the number of their first packet. Offsets
        are into the block's buffer, valid as long as the block is.
        """
        layers = outermost_layers(block.interfaces)
        start = 0
        assert layout.RECORD_FIELDS == FIELDS
        digits = array("i", [each.time_digits for each in block.interfaces] or [0])
        if self.hellos.buffering:
            if self.hellos.buffer.used:
                # A block without packets means that none have come for a while.
                early = block.count and len(self.interface_lists) < MAX_LISTS
                yield from self._released_before(
                    block.records[TIME] - layout.MAX_AGE if early else LATEST
                )
            if self.hellos.buffer.is_empty():
                self.interface_lists.clear()
            if block.interfaces not in self.interface_lists:
                self.interface_lists.append(block.interfaces)
            self.hellos.interfaces = self.interface_lists.index(block.interfaces)
        if not block.count:
            # Give up the memory of the last block: its source may want to reuse it.
            self._walk(block.data, block.records, layers, b"", 0, 0)
        while start < block.count:
            self.lookup.first_packet = source << 40 | block.first & COUNTED
            self.hellos.first_packet = self.lookup.first_packet
            self.rows.first_packet = self.lookup.first_packet
            self.rows.digits = digits
            start = self._walk(block.data, block.records, layers, block.owners, start, block.count)
            yield from self._listed()

    def finish(self) -> Iterator[list[int]]:
        """Yield rows for all buffered packets: the capture is over."""
        yield from self._released_before(LATEST)

    def set_due(self, due: int) -> None:
        """Something in the parsers may time out after this time, ns."""
        self.candidates.set_due(due, self.hellos.oldest_time())

    def buffered_packet(self, row: tuple[int, ...]) -> tuple[tuple[int, ...], Block, int]:
        """A row of a buffered packet, whose record is negative, as a row of the first record of a
        block; that block, and the number of the source that it came from. Valid until the next list
        of rows is requested."""
        words, data = self.hellos.buffer.packet(-1 - row[layout.ROW_RECORD])
        time, size, wire, interface, tag, number, listed = words
        record = array("q", (time, 0, size, wire, interface, tag))
        block = Block(data, record, 1, self.interface_lists[listed], number & NUMBERS, 0)
        return (row[0], 0, *row[2:]), block, number >> 40

    def kept_messages(self, flow: int) -> list[tuple[int, int, bytes]]:
        """The side, sequence number and bytes of the kept messages of a flow, first one first."""
        return self.hellos.kept.messages_of(self.flows.kept_of(flow))

    def anomalies(self) -> dict[str, int]:
        """How often each of `anomalies.ANOMALIES` occurred, and each EtherType that is in no table;
        without those that did not occur."""
        counts = self.cursor.anomalies
        found = {name: counts[i] for i, name in enumerate(ANOMALIES) if counts[i]}
        if self.share.worker:
            # These are counted before a packet's owner is known, so worker 0 reports them.
            found.pop(ANOMALIES[layout.ANOMALY_WRAPPING_UNKNOWN], None)
            return found
        unknown = self.cursor.unknown_ether_types
        for i in range(0, 2 * layout.MAX_ETHER_TYPES, 2):
            if unknown[i + 1]:
                found[unknown_ether_type(unknown[i])] = unknown[i + 1]
        return found

    def _released_before(self, before: int) -> Iterator[list[int]]:
        """Yield rows for incomplete hellos that began before a time (ns)."""
        self.candidates.count = 0
        self.rows.start = self.batch.count
        self.hellos.release_before(before)
        yield from self._listed()

    def _listed(self) -> Iterator[list[int]]:
        """Yield the rows that there are; afterwards their entries of the hello buffer are free
        again."""
        if (
            self.candidates.count
            or self.flows.closed > self.flows.held
            or self.batch.count > self.rows.start
        ):
            released = self.hellos.buffer.take_released()
            yield self.candidates.listed()
            self.hellos.buffer.free_entries(released)

    def _walk(
        self,
        data: Octets,
        records: Words,
        layers: Words,
        owners: Octets,
        start: cython.longlong,
        stop: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Walk records from `start` on until all are done or the list of rows is full; returns the
        number of the record to continue from. `layers` has the outermost layer for each interface,
        `owners` two bytes for each record whose owner was decided before."""
        i: cython.longlong
        at: cython.longlong
        is_divided: cython.bint = len(owners) > 0
        self.cursor.set_data(data)
        self.prefilter.set_data(data)
        self.messages.set_data(data)
        self.requests.set_data(data)
        self.addresses.packets.set_data(data)
        self.share.division.set_data(data)
        self.share.given = -1
        self.hellos.records = records
        self.lookup.records = records
        self.rows.records = records
        self.candidates.count = 0
        self.candidates.full = FULL
        if self.rows.active:
            self.batch.reserve()
        self.rows.start = self.batch.count
        with cython.nogil:
            i = start
            while (
                i < stop
                and self.candidates.count < self.candidates.full
                and self.flows.closed - self.flows.held < FULL
            ):
                if is_divided:
                    at = i + AHEAD
                    if at < stop and self.share.is_owner(owners[2 * at], owners[2 * at + 1]):
                        fetch_ahead(data, records[at * layout.RECORD_FIELDS + 1])
                    if not self.share.takes_record(owners[2 * i], owners[2 * i + 1]):
                        i += 1
                        continue
                elif cython.compiled:
                    self.lookup.look_ahead(i, stop)
                if self.rows.is_full():
                    break
                at = i * layout.RECORD_FIELDS
                self.cursor.start_packet(
                    i,
                    records[at + layout.RECORD_TIME],
                    records[at + layout.RECORD_OFFSET],
                    records[at + layout.RECORD_CAPTURED],
                    records[at + layout.RECORD_WIRE],
                    records[at + layout.RECORD_VLAN],
                )
                i += 1
                self.packets += 1
                self.octets += records[at + layout.RECORD_WIRE]
                self.packet(layers[records[at + layout.RECORD_INTERFACE]])
        return i

    def packet(self, layer: cython.int) -> cython.void:
        """Read the packet at the cursor, whose outermost layer is `layer`."""
        self.layers(layer)
        while self.cursor.subframe:
            if (
                self.candidates.count >= FULL_IN_FRAME
                or self.flows.closed - self.flows.held >= FULL_IN_FRAME
            ):
                self.cursor.fail(layout.ANOMALY_AMSDU_BAD)
                return
            self.layers(next_subframe(self.cursor))

    def layers(self, layer: cython.int) -> cython.void:
        """Read from this layer on."""
        if self.share.active:
            self.share.begin()
        if read_layers(self.cursor, layer):
            self.transport()
        elif self.cursor.non_ip >= 0:
            self.learning.non_ip()
            if self.cursor.non_ip == 0:
                self.icmp_errors.packet()
        if self.share.active:
            self.share.end()

    def transport(self) -> cython.void:
        """Read what is at the cursor: a fragment, TCP, or UDP with what may be in a tunnel."""
        while True:
            self.candidates.prefiltered = False
            if self.cursor.fragment >= 0:
                self.fragment()
                return
            if self.cursor.protocol == 6:
                if not self.share.active or self.share.takes_segment():
                    self.tcp.segment()
                return
            if not self.udp.datagram():
                return

    def fragment(self) -> cython.void:
        """Emit a row for a fragment of an IP packet, or for one that a tunnel over UDP made. The
        list is full with it: a datagram that it completes is read before the next packet."""
        at: cython.Py_ssize_t = self.cursor.at
        self.candidates.full = 0
        self.candidates.side = 0
        if self.cursor.protocol == layout.PROTOCOL_TUNNEL_FRAGMENT:
            self.cursor.protocol = 17
            self.cursor.at = self.cursor.saved[0]  # the header with the ports
            self.candidates.emit(
                layout.KIND_TUNNEL_FRAGMENT, at, self.cursor.fragment, self.cursor.fragment_id
            )
            return
        self.candidates.emit(
            layout.KIND_FRAGMENT, at, self.cursor.fragment, self.cursor.fragment_id
        )
