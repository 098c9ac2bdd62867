# cython: language_level=3, boundscheck=True, wraparound=False
"""UDP datagrams: are they tunnels, which worker's are they, and is their payload worth a parser?"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.answers import Answers
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates, Learning
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.dns_addresses import DnsAddresses
    from cython.cimports.netwatch.dissect.loop.dns_messages import DnsMessages
    from cython.cimports.netwatch.dissect.loop.flow_lookup import FlowLookup
    from cython.cimports.netwatch.dissect.loop.headers import read_layers
    from cython.cimports.netwatch.dissect.loop.hellos import QuicHellos
    from cython.cimports.netwatch.dissect.loop.observation_rows import ObservationRows
    from cython.cimports.netwatch.dissect.loop.prefilter import Prefilter
    from cython.cimports.netwatch.dissect.loop.share import Share
    from cython.cimports.netwatch.dissect.loop.udp_tunnels import find_tunnel, read_tunnel
else:
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.answers import Answers
    from netwatch.dissect.loop.candidates import Candidates, Learning
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.dns_addresses import DnsAddresses
    from netwatch.dissect.loop.dns_messages import DnsMessages
    from netwatch.dissect.loop.flow_lookup import FlowLookup
    from netwatch.dissect.loop.headers import read_layers
    from netwatch.dissect.loop.hellos import QuicHellos
    from netwatch.dissect.loop.observation_rows import ObservationRows
    from netwatch.dissect.loop.prefilter import Prefilter
    from netwatch.dissect.loop.share import Share
    from netwatch.dissect.loop.udp_tunnels import find_tunnel, read_tunnel

DNS = cython.declare(cython.longlong, 53)
NETBIOS = cython.declare(cython.longlong, 137)
MDNS = cython.declare(cython.longlong, 5353)
LLMNR = cython.declare(cython.longlong, 5355)


@cython.final
@cython.cclass
class UdpDatagrams:
    """Reads the UDP header at the cursor and emits a row if the payload may show a name."""

    def __init__(
        self,
        cursor: Cursor,
        prefilter: Prefilter,
        *,
        rows: ObservationRows,
        messages: DnsMessages,
        lookup: FlowLookup,
        candidates: Candidates,
        state: TcpState,
        addresses: DnsAddresses,
        learning: Learning,
        quic_hellos: QuicHellos,
        share: Share,
        answers: Answers,
    ) -> None:
        self.cursor = cursor
        self.prefilter = prefilter
        self.rows = rows
        self.messages = messages
        self.flows = lookup.flows
        self.lookup = lookup
        self.candidates = candidates
        self.state = state
        self.addresses = addresses
        self.learning = learning
        self.quic_hellos = quic_hellos
        self.share = share
        self.answers = answers

    def datagram(self) -> cython.bint:
        """Read a datagram. True if it was a tunnel with another transport header inside, which is
        then at the cursor."""
        at: cython.Py_ssize_t
        source: cython.longlong
        destination: cython.longlong
        if not self.header():
            return False
        at = self.cursor.at + 8
        source = self.cursor.u16(self.cursor.at)
        destination = self.cursor.u16(self.cursor.at + 2)
        if destination in (DNS, MDNS, LLMNR) or source in (DNS, MDNS, LLMNR):
            if not self.share.active or self.share.takes_lookup():
                self.lookup_message(at, source)
            elif source == MDNS and self.learning.sources & layout.LEARN_MDNS:
                self.candidates.emit(layout.KIND_MDNS, at, 0, 0)
            self.cursor.checksum = layout.CHECKSUM_UNKNOWN
            return False
        if self.tunnel(at):
            return True
        if not self.share.active or self.share.takes_datagram():
            self.payload(at, source, destination)
        elif self.learning.dhcp(source, destination):
            self.candidates.emit(self.learning.dhcp(source, destination), at, 0, 0)
            self.cursor.checksum = layout.CHECKSUM_UNKNOWN
        return False

    def header(self) -> cython.bint:
        """Read the header (RFC 768); returns whether a payload follows."""
        length: cython.Py_ssize_t
        if not self.cursor.has(8):
            self.cursor.fail(layout.ANOMALY_TRANSPORT_HEADER_CUT)
            return False
        length = self.cursor.u16(self.cursor.at + 4)
        if length != 0:
            if length < 8:
                self.cursor.fail(layout.ANOMALY_UDP_LENGTH_BAD)
                return False
            if self.cursor.at + length < self.cursor.wire_end:
                self.cursor.wire_end = self.cursor.at + length
                self.cursor.end = min(self.cursor.end, self.cursor.wire_end)
        if self.cursor.at + 8 >= self.cursor.wire_end:
            return False
        if self.cursor.at + 8 >= self.cursor.end:
            self.cursor.fail(layout.ANOMALY_PAYLOAD_CUT)
            return False
        return True

    def tunnel(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the payload at `at` is a tunnel with a transport header inside, which is then at
        the cursor; otherwise the cursor has not moved."""
        tunnel: cython.int = find_tunnel(self.cursor, at)
        if tunnel == 0:
            return False
        self.cursor.save()
        self.cursor.at = at
        if read_layers(self.cursor, read_tunnel(self.cursor, tunnel)):
            return True
        if self.cursor.non_ip >= 0:
            self.learning.non_ip()
        self.cursor.restore()
        return False

    def lookup_message(self, at: cython.Py_ssize_t, source: cython.longlong) -> cython.void:
        """A message on a port of DNS, mDNS (RFC 6762) or LLMNR (RFC 4795)."""
        flow: cython.longlong
        if source == MDNS and self.learning.sources & layout.LEARN_MDNS:
            self.candidates.emit(layout.KIND_MDNS, at, 0, self.lookup.key())
            return
        if self.cursor.end < self.cursor.wire_end:
            self.candidates.emit(layout.KIND_DNS, at, 0, self.lookup.key())
            return
        if self.prefilter.dns.uninteresting(at, self.cursor.end):
            self.addresses.remember_message(self.prefilter.dns, self.cursor)
            return
        flow = self.lookup.key()
        if self.rows.can_add() and self.messages.message(at, self.cursor.end, flow):
            self.candidates.total += 1
        else:
            self.candidates.emit(layout.KIND_DNS, at, 0, flow)

    def payload(
        self,
        at: cython.Py_ssize_t,
        source: cython.longlong,
        destination: cython.longlong,
    ) -> cython.void:
        """Find the flow and decide what to do with the payload at `at`."""
        key: cython.longlong = self.lookup.key()
        slot: cython.Py_ssize_t = self.flows.find(key, self.cursor.time)
        side: cython.int = self.candidates.side
        kind: cython.longlong
        first: cython.bint = self.flows.table[slot + layout.FLOW_BYTES + side] == 0
        if self.flows.is_new:
            self.lookup.describe(slot)
            self.flows.set_client(slot, 1 - side if source < 1024 <= destination else side, True)
        # Most datagrams are in the middle of a transfer and answer nothing, so that is checked
        # first.
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        if (
            (first or state & ((layout.NAMED_0 << (1 - side)) | (layout.VERIFY_0 << side)))
            and (self.state.answer(slot, side) or first)
            and self.lookup.openings
        ):
            self.candidates.emit_answer(self.flows.name(slot))
        if first or (self.flows.table[slot + layout.FLOW_STATE] >> (layout.UNANSWERED + side)) & 1:
            self.answers.datagram(slot, side, at)
        self.flows.add_bytes(slot, side, self.cursor.wire_end - at)
        kind = self.learning.dhcp(source, destination)
        if kind == 0:
            kind = self.kind_of(at)
            if kind:
                self.state.expect_datagram(slot, side)
            if (
                kind == layout.KIND_QUIC or kind == layout.KIND_GQUIC or kind == layout.KIND_DTLS
            ) and self.candidates.is_due():
                self.quic_hellos.hellos.catch_up(key)
            if kind == layout.KIND_QUIC and self.quic_hellos.datagram(slot, at):
                self.note_checksum(slot)
                return
            if kind == layout.KIND_DNS:
                # NetBIOS names (RFC 1002) have the same format, and name hosts in a workgroup.
                if source == NETBIOS or destination == NETBIOS:
                    return
            elif kind:
                self.state.expect_datagrams(slot, side)
        if kind:
            self.candidates.emit(kind, at, 0, key)
            self.note_checksum(slot)

    def note_checksum(self, slot: cython.Py_ssize_t) -> cython.void:
        """Note the checksum state of the datagram in the flow, if it was checked."""
        if self.cursor.checksum:
            self.state.note_checksum(slot, self.candidates.side)

    def kind_of(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The kind of the payload at `at`, 0 if it matches no mask."""
        end: cython.Py_ssize_t = self.cursor.end
        if self.prefilter.masks.quic(at, end):
            return layout.KIND_QUIC
        if self.prefilter.prefaces.gquic(at, end):
            return layout.KIND_GQUIC
        if self.prefilter.prefaces.dtls(at, end):
            return layout.KIND_DTLS
        return self.prefilter.masks.dns(at, end, self.cursor.wire_end)
