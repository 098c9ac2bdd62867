# cython: language_level=3, boundscheck=True, wraparound=False
"""Candidates: the packets that the loop hands to the parsers, as rows of integers.

A row contains offsets into its packet (``ROW_`` in `netwatch.dissect.loop.layout`). The row of a
packet that was copied to the hello buffer has a negative number as its record, by which the packet
is found there, and its offsets count from the packet's start. Packets that devices are learned from
are also candidates.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.seen_marks import mark_of
else:
    from netwatch.core.observation_batch import ObservationBatch
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.seen_marks import mark_of

from netwatch.core.buffers import Words, zeroed

FAR = cython.declare(cython.longlong, 1 << 31)
"""XOR with this bit moves a position half of all numbers away."""

FULL = cython.declare(cython.longlong, 4096)
"""Rows after which a list is handed over, before the next packet."""

MARGIN = cython.declare(cython.longlong, 128)
"""Rows that the packets in one A-MSDU may add to a full list."""

BUFFERED = cython.declare(cython.longlong, layout.MAX_HELLOS * layout.MAX_PIECES + 16)
"""Further rows that one packet may add, for packets before it in the hello buffer."""

PARSER_TIMEOUT = cython.declare(cython.longlong, 60_000_000_000)
"""Time without a packet after which the parsers drop an incomplete message, ns, as in
`netwatch.dissect.reassembly`."""

LATEST = cython.declare(cython.longlong, 0x7FFFFFFFFFFFFFFF)

ARP = cython.declare(cython.longlong, 0x0806)
ICMPV6 = cython.declare(cython.int, 58)
FRAGMENT = cython.declare(cython.int, 44)


@cython.final
@cython.cclass
class Candidates:
    """Writes rows for the packet at the cursor. The list has `count` rows. `total` counts the
    packets so far that may carry a name: rows other than `layout.KIND_OPENING`, and messages that
    the loop has read itself; without those that another worker counts.

    Of the packet, `side` is the side of its flow that sent it, and `prefiltered` tells whether the
    prefilter has read the hello that it completes, so that it is not read again; `owner`
    (``OWNER_``) is the worker it belongs to. What the loop reads itself is in `batch`; each row
    tells how much of it comes before the row.

    An incomplete message times out in its parser when the next message comes, but the parser does
    not see messages that the loop reads. So while the loop is `filling`, `due` is the time (ns)
    after which something may time out: the parser is then told the time before a message, and the
    list is `full` with its packet, so that a new `due` can be set.
    """

    def __init__(self, cursor: Cursor, batch: ObservationBatch, filling: bool) -> None:
        size = FULL + MARGIN + BUFFERED
        self.cursor = cursor
        self.batch = batch
        self.buffer = zeroed("q", size * layout.ROW_COLUMNS)
        self.rows: Words = self.buffer
        self.count = 0
        self.total = 0
        self.side = 0
        self.prefiltered = False
        self.filling = filling
        self.due = LATEST
        self.full = FULL
        self.owner = layout.OWNER_SELF

    def write(
        self,
        out: Words,
        row: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
        flow: cython.longlong,
    ) -> cython.void:
        """Write a row of `kind` for the payload at `at`, at `row` of `out`."""
        ported: cython.bint = (
            kind != layout.KIND_FRAGMENT and kind != layout.KIND_ARP and kind != layout.KIND_ND
        )
        out[row + layout.ROW_KIND] = kind
        out[row + layout.ROW_RECORD] = self.cursor.record
        out[row + layout.ROW_PAYLOAD] = at
        out[row + layout.ROW_CAPTURED] = self.cursor.end - at
        out[row + layout.ROW_WIRE] = self.cursor.wire_end - at
        out[row + layout.ROW_SOURCE_PORT] = self.cursor.u16(self.cursor.at) if ported else 0
        out[row + layout.ROW_DESTINATION_PORT] = (
            self.cursor.u16(self.cursor.at + 2) if ported else 0
        )
        out[row + layout.ROW_ADDRESSES] = self.cursor.addresses
        out[row + layout.ROW_ADDRESS_SIZE] = self.cursor.address_size
        out[row + layout.ROW_SOURCE_MAC] = self.cursor.source_mac
        out[row + layout.ROW_DESTINATION_MAC] = self.cursor.destination_mac
        out[row + layout.ROW_VLAN] = self.cursor.vlan
        out[row + layout.ROW_SEQUENCE] = sequence
        out[row + layout.ROW_FLOW] = flow
        out[row + layout.ROW_SIDE] = self.side
        out[row + layout.ROW_PROTOCOL] = self.cursor.protocol
        out[row + layout.ROW_PREFILTERED] = self.prefiltered
        out[row + layout.ROW_OBSERVATIONS] = self.batch.count
        out[row + layout.ROW_OWNER] = self.owner
        out[row + layout.ROW_MARK] = (
            mark_of(self.cursor)
            if ported
            and kind != layout.KIND_OPENING
            and kind != layout.KIND_ANSWER
            and kind != layout.KIND_CLOCK
            else 0
        )
        if self.side & layout.SIDE_STRAY:
            # Far from what the server may acknowledge.
            out[row + layout.ROW_MARK] ^= FAR
        self.due = min(self.due, self.cursor.time + PARSER_TIMEOUT)

    def set_due(self, due: cython.longlong, buffered: cython.longlong) -> cython.void:
        """Something in the parsers may time out after the time `due`, and the oldest buffered hello
        began at the time `buffered`."""
        self.due = due
        if buffered < due:
            self.due = min(due, buffered + PARSER_TIMEOUT)

    def is_due(self) -> cython.bint:
        """Whether something may time out in a parser if a message comes now."""
        return self.filling and self.cursor.time > self.due

    def emit_clock(self, flow: cython.longlong) -> cython.void:
        """Add a row that tells the parsers the time before a message of a flow. The list is full
        with this packet."""
        self.due = LATEST
        self.emit(layout.KIND_CLOCK, self.cursor.at, 0, flow)
        self.total -= self.owner == layout.OWNER_SELF
        self.full = 0

    def emit(
        self,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        sequence: cython.longlong,
        flow: cython.longlong,
    ) -> cython.void:
        """Add a row for the payload at `at`. The list is full after a DNS answer that may have an
        ECH configuration, since later hellos are read with it."""
        if (kind == layout.KIND_DNS or kind == layout.KIND_DNS_TCP) and self.has_ech(at):
            self.full = 0
        self.write(self.rows, self.count * layout.ROW_COLUMNS, kind, at, sequence, flow)
        self.count += 1
        self.total += self.owner == layout.OWNER_SELF

    def has_ech(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the payload at `at` contains the version of an ECH configuration (RFC 9849
        section 4) anywhere."""
        end: cython.Py_ssize_t = self.cursor.end - 1
        while at < end:
            if self.cursor.data[at] == 0xFE and self.cursor.data[at + 1] == 0x0D:
                return True
            at += 1
        return False

    def emit_opening(self, flow: cython.longlong) -> cython.void:
        """Add a row for the first packet of a flow."""
        self.emit(layout.KIND_OPENING, self.cursor.at, 0, flow)
        self.total -= self.owner == layout.OWNER_SELF

    def emit_answer(self, flow: cython.longlong) -> cython.void:
        """Add a row for a packet that acknowledges or refuses what the other side of a flow has
        sent, or is the first of its side."""
        self.emit(layout.KIND_ANSWER, self.cursor.at, 0, flow)
        self.total -= self.owner == layout.OWNER_SELF

    def emit_buffered(self, rows: Words, row: cython.Py_ssize_t) -> cython.void:
        """Add a row that was written to the hello buffer before, at `row` of `rows`."""
        i: cython.Py_ssize_t
        to: cython.Py_ssize_t = self.count * layout.ROW_COLUMNS
        for i in range(layout.ROW_COLUMNS):
            self.rows[to + i] = rows[row + i]
        self.rows[to + layout.ROW_OBSERVATIONS] = self.batch.count
        self.due = min(self.due, rows[row + layout.BUFFERED_TIME] + PARSER_TIMEOUT)
        self.count += 1
        self.total += rows[row + layout.ROW_OWNER] == layout.OWNER_SELF

    def listed(self) -> list[int]:
        """The rows of the list, as one flat list."""
        rows: list[int] = self.buffer[: self.count * layout.ROW_COLUMNS].tolist()
        return rows


@cython.final
@cython.cclass
class Learning:
    """`sources` has a bit for each of `core.message.LEARNING_SOURCES` to learn devices from
    (``LEARN_`` in `layout`)."""

    def __init__(self, cursor: Cursor, candidates: Candidates, sources: int) -> None:
        self.cursor = cursor
        self.candidates = candidates
        self.sources = sources

    def non_ip(self) -> cython.void:
        """Emit a row for a packet that ended at ARP or neighbor discovery, if devices are learned
        from these. The packet was counted as one that carries no names."""
        first: cython.int
        if self.sources & layout.LEARN_ARP == 0 or not self.cursor.has(1):
            return
        self.candidates.side = 0
        if self.cursor.non_ip == ARP:
            self.cursor.addresses = self.cursor.at
            self.cursor.address_size = 0
            self.cursor.protocol = 0
            self.candidates.emit(layout.KIND_ARP, self.cursor.at, 0, 0)
        elif (
            self.cursor.non_ip == 0
            and self.cursor.protocol == ICMPV6
            and self.cursor.address_size == 16
        ):
            first = self.cursor.data[self.cursor.at]
            if 133 <= first <= 137:
                if self.has_fragment_header():
                    self.cursor.fail(layout.ANOMALY_ND_FRAGMENTED)
                    return
                # RFC 4861 section 7.1: a packet that a router may have forwarded proves nothing.
                if self.cursor.data[self.cursor.addresses - 1] == 255:
                    self.candidates.emit(layout.KIND_ND, self.cursor.at, 0, 0)
                else:
                    self.cursor.fail(layout.ANOMALY_ND_HOP_LIMIT)

    def has_fragment_header(self) -> cython.bint:
        """Whether the IPv6 packet at the cursor has a fragment header, even of a whole packet: then
        no host accepts neighbor discovery (RFC 6980 section 5)."""
        at: cython.Py_ssize_t = self.cursor.addresses + 2 * self.cursor.address_size
        following: cython.int = self.cursor.data[self.cursor.addresses - 2]
        while at + 8 <= self.cursor.at:
            if following == FRAGMENT:
                return True
            following = self.cursor.data[at]
            at += 8 + 8 * self.cursor.data[at + 1]
        return False

    def dhcp(self, source: cython.longlong, destination: cython.longlong) -> cython.longlong:
        """The kind of a datagram between these ports that may be DHCP (RFC 2131 section 4.1, RFC
        8415 section 7.2), if devices are learned from it; otherwise 0."""
        if self.sources & layout.LEARN_DHCP == 0:
            return 0
        if self.cursor.address_size == 4:
            if (destination == 67 or destination == 68) and (source == 67 or source == 68):
                return layout.KIND_DHCP
        elif destination == 546 or destination == 547:
            return layout.KIND_DHCPV6
        return 0
