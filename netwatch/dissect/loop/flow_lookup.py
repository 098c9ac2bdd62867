# cython: language_level=3, boundscheck=True, wraparound=False
"""From a packet to its flow: the key in the flow table, and who the two sides are.

An ICMP error quotes the beginning of the packet that was refused, by its server or on the way (RFC
792, RFC 4443 section 3.1), and so belongs to the flow of that packet. Only errors that end an
attempt are read: no such port or protocol, and prohibited by a filter. An unreachable host or
network may be temporary.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.octets import fetch_ahead
else:
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.octets import fetch_ahead

from netwatch.core.buffers import Words

HAS_MAC = cython.declare(cython.longlong, 1 << 48)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
SIDE = cython.declare(cython.longlong, 1)
KEY_MASK = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFE00)

ICMP = cython.declare(cython.longlong, 1)
ICMPV6 = cython.declare(cython.longlong, 58)
TCP = cython.declare(cython.longlong, 6)
UDP = cython.declare(cython.longlong, 17)

SYN = cython.declare(cython.int, 2)
SYN_SIZE = cython.declare(cython.longlong, 54)
"""Bytes of a SYN in Ethernet and IPv4 without options."""

IPV4_WITHOUT_OPTIONS = cython.declare(cython.longlong, 0x080045)
"""The EtherType, and the version and length of the header."""

HEADERS_AHEAD = cython.declare(cython.longlong, 16)
SETS_AHEAD = cython.declare(cython.longlong, 8)
SLOTS_AHEAD = cython.declare(cython.longlong, 2)
"""How many packets before they are read their headers are prefetched, and for SYNs their sets of
the flow table and their slots."""

LAST_OPENED = cython.declare(cython.longlong, 15)
"""Keys of coming packets that are remembered, a power of two greater than `SETS_AHEAD`, less 1."""

UNREACHABLE = cython.declare(cython.int, 3)
"""ICMP's type Destination Unreachable; ICMPv6's is 1."""

UNREACHABLE_V6 = cython.declare(cython.int, 1)

HEADER = cython.declare(cython.Py_ssize_t, 8)
"""Bytes of an error before the packet that it quotes."""

PORTS = cython.declare(cython.Py_ssize_t, 4)
"""Bytes of a transport header that name its ports."""


@cython.final
@cython.cclass
class FlowLookup:
    """Computes flow keys and describes new flows in `flows`.

    `seed` (62 bits) varies the keys, so that flows cannot be chosen to share a set of the table.
    With `openings` the first packet of each flow has a row. `first_packet` is the number of the
    first packet of the block and, from bit 40 on, of its source.
    """

    def __init__(
        self,
        cursor: Cursor,
        flows: FlowTable,
        candidates: Candidates,
        *,
        seed: int,
        openings: bool,
    ) -> None:
        self.cursor = cursor
        self.flows = flows
        self.candidates = candidates
        self.seed = seed
        self.openings = openings
        self.first_packet = 0
        self.records: Words = array("q")
        self.opened: Words = array("q", bytes(8 * (LAST_OPENED + 1)))

    def key(self) -> cython.longlong:
        """The flow key of the packet at the cursor, the same for both directions. Sets
        `Candidates.side` to 1 if the source is the greater end, by address and then by port.

        VLAN tags are not part of the key: a mirror often shows the two directions, or the copies,
        of one conversation with different tags.
        """
        key: cython.longlong = self.key_of(
            self.cursor.addresses, self.cursor.address_size, self.cursor.at, self.cursor.protocol
        )
        self.candidates.side = key & SIDE
        return key & ~SIDE

    def key_of(
        self,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        ports: cython.Py_ssize_t,
        protocol: cython.longlong,
    ) -> cython.longlong:
        """The key of a packet with two addresses of `size` bytes at `at`, and the side of the
        source in its lowest bit."""
        a: cython.ulonglong = self.seed + 1
        b: cython.ulonglong = self.seed + 1
        side: cython.int = -1
        stop: cython.Py_ssize_t = at + size
        src: cython.longlong = 0
        dst: cython.longlong = 0
        while at < stop:
            src = self.cursor.u32(at)
            dst = self.cursor.u32(at + size)
            if side < 0 and src != dst:
                side = src > dst
            a = ((a ^ src) * MIX) & LOW63
            b = ((b ^ dst) * MIX) & LOW63
            a ^= a >> 29
            b ^= b >> 29
            at += 4
        src = self.cursor.u16(ports)
        dst = self.cursor.u16(ports + 2)
        if side < 0:
            side = src > dst
        a = ((a ^ src) * MIX) & LOW63
        b = ((b ^ dst) * MIX) & LOW63
        a = ((((a ^ (a >> 29)) + (b ^ (b >> 29))) ^ protocol) * MIX) & LOW63
        a = ((a ^ (a >> 31)) * MIX) & LOW63
        return ((a ^ (a >> 29)) & KEY_MASK) | 0x100 | side

    def look_ahead(self, number: cython.longlong, stop: cython.longlong) -> cython.void:
        """Prefetch what packets need that come soon after the record with this number, up to
        `stop`: their headers, then the set of the flow table where a SYN opens a flow, and at last
        the slot in it."""
        at: cython.Py_ssize_t = (number + HEADERS_AHEAD) * layout.RECORD_FIELDS
        key: cython.longlong = 0
        if number + HEADERS_AHEAD < stop:
            fetch_ahead(self.cursor.data, self.records[at + layout.RECORD_OFFSET])
        number += SETS_AHEAD
        at = number * layout.RECORD_FIELDS
        if number < stop and self.records[at + layout.RECORD_CAPTURED] >= SYN_SIZE:
            key = self.opened_key(self.records[at + layout.RECORD_OFFSET])
            if key:
                self.flows.prefetch_set(key)
        self.opened[number & LAST_OPENED] = key
        key = self.opened[(number - SETS_AHEAD + SLOTS_AHEAD) & LAST_OPENED]
        if key:
            self.flows.prefetch_slot(key)

    def opened_key(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The key of the flow that the frame at `at` opens, if it is a SYN in Ethernet and IPv4
        without options, otherwise 0. At least `SYN_SIZE` bytes of it are there."""
        # Few packets are SYNs, so one comparison of all, which can be foreseen, is the fastest.
        if (
            ((self.cursor.u32(at + 12) >> 8) ^ IPV4_WITHOUT_OPTIONS)
            | (self.cursor.data[at + 23] ^ TCP)
            | (~self.cursor.data[at + 47] & SYN)
        ):
            return 0
        return self.key_of(at + 26, 4, at + 34, TCP) & ~SIDE

    def mac(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The MAC address at `at` as a number, with bit 48 set, so that it is not 0."""
        return HAS_MAC | (self.cursor.u16(at) << 32) | self.cursor.u32(at + 2)

    def describe(self, slot: cython.Py_ssize_t) -> cython.void:
        """Write the two sides into a new slot, and a row for the packet if first packets are
        requested."""
        i: cython.Py_ssize_t = 0
        side: cython.int = self.candidates.side
        low: cython.Py_ssize_t = self.cursor.addresses + (self.cursor.address_size if side else 0)
        high: cython.Py_ssize_t = self.cursor.addresses + (0 if side else self.cursor.address_size)
        src: cython.longlong = self.cursor.u16(self.cursor.at)
        dst: cython.longlong = self.cursor.u16(self.cursor.at + 2)
        if self.cursor.source_mac >= 0:
            self.flows.table[slot + layout.FLOW_MACS + side] = self.mac(self.cursor.source_mac)
        if self.cursor.destination_mac >= 0:
            self.flows.table[slot + layout.FLOW_MACS + 1 - side] = self.mac(
                self.cursor.destination_mac
            )
        while i < self.cursor.address_size >> 2:
            self.flows.table[slot + layout.FLOW_ADDRESSES + i] = self.cursor.u32(low + 4 * i)
            self.flows.table[slot + layout.FLOW_ADDRESSES + 4 + i] = self.cursor.u32(high + 4 * i)
            i += 1
        self.flows.table[slot + layout.FLOW_PACKET] = self.first_packet + self.cursor.record
        self.flows.table[slot + layout.FLOW_PORTS] = (
            (dst << 16) | src if side else (src << 16) | dst
        )
        self.flows.table[slot + layout.FLOW_FLAGS] = (
            self.cursor.protocol
            | (layout.FLAG_IPV6 if self.cursor.address_size == 16 else 0)
            | ((self.cursor.vlan + 1) << 16)
        )
        if self.openings:
            self.candidates.emit_opening(self.flows.name(slot))


@cython.final
@cython.cclass
class IcmpErrors:
    """Notes in the flow table that a flow was refused in the name of its receiver."""

    def __init__(self, cursor: Cursor, lookup: FlowLookup, state: TcpState) -> None:
        self.cursor = cursor
        self.flows = lookup.flows
        self.lookup = lookup
        self.state = state

    def packet(self) -> cython.void:
        """Read the packet at the cursor, which ended after an IP header, if it is an error. The
        cursor is then at the transport header of the quoted packet."""
        slot: cython.Py_ssize_t
        if not (self.is_refusal() and self.quoted()):
            return
        slot = self.flows.seek(self.lookup.key())
        if slot >= 0:
            self.state.refuse(slot, 1 - self.lookup.candidates.side)
            if self.lookup.openings:
                self.lookup.candidates.emit_answer(self.flows.name(slot))

    def is_refusal(self) -> cython.bint:
        """Whether the packet at the cursor is an error that ends an attempt."""
        kind: cython.int
        code: cython.int
        if not self.cursor.has(HEADER):
            return False
        kind = self.cursor.data[self.cursor.at]
        code = self.cursor.data[self.cursor.at + 1]
        if self.cursor.protocol == ICMP and self.cursor.address_size == 4:
            # Protocol, port; and three for prohibition by a filter (RFC 1122, RFC 1812).
            return kind == UNREACHABLE and code in (2, 3, 9, 10, 13)
        if self.cursor.protocol == ICMPV6 and self.cursor.address_size == 16:
            # Prohibited, port, source address failed the policy, route rejected.
            return kind == UNREACHABLE_V6 and code in (1, 4, 5, 6)
        return False

    def quoted(self) -> cython.bint:
        """Move to the transport header of the quoted packet; false if there is none with ports."""
        at: cython.Py_ssize_t = self.cursor.at + HEADER
        size: cython.Py_ssize_t = 20 if self.cursor.address_size == 4 else 40
        if not self.cursor.has(HEADER + size + PORTS):
            return False
        if self.cursor.address_size == 4:
            size = (self.cursor.data[at] & 15) * 4
            if self.cursor.data[at] >> 4 != 4 or size < 20:
                return False
            if not self.cursor.has(HEADER + size + PORTS) or self.cursor.u16(at + 6) & 0x1FFF:
                return False
            self.cursor.protocol = self.cursor.data[at + 9]
            self.cursor.addresses = at + 12
        else:
            if self.cursor.data[at] >> 4 != 6:
                return False
            self.cursor.protocol = self.cursor.data[at + 6]
            self.cursor.addresses = at + 8
        self.cursor.at = at + size
        return self.cursor.protocol in (TCP, UDP)
