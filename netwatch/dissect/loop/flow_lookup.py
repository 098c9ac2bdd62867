# cython: language_level=3, boundscheck=True, wraparound=False
"""From a packet to its flow: the key in the flow table, and who the two sides are."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
else:
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor

HAS_MAC = cython.declare(cython.longlong, 1 << 48)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
KEY_MASK = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFE00)


@cython.final
@cython.cclass
class FlowLookup:
    """Computes flow keys and describes new flows in `flows`.

    `seed` (62 bits) varies the keys, so that nobody can choose flows that share a set of the
    table. With `openings` the first packet of each flow has a row. `first_packet` is the number
    of the first packet of the block, and from bit 40 on that of its source.
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

    def key(self) -> cython.longlong:
        """The flow key of the packet at the cursor, the same for both directions. Sets
        `Candidates.side` to 1 where the source is the greater end, by address and then by port.

        VLAN tags are not part of the key: a mirror often shows the two directions, or the copies,
        of one conversation with different tags.
        """
        a: cython.ulonglong = self.seed + 1
        b: cython.ulonglong = self.seed + 1
        side: cython.int = -1
        at: cython.Py_ssize_t = self.cursor.addresses
        size: cython.Py_ssize_t = self.cursor.address_size
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
        src = self.cursor.u16(self.cursor.at)
        dst = self.cursor.u16(self.cursor.at + 2)
        if side < 0:
            side = src > dst
        a = ((a ^ src) * MIX) & LOW63
        b = ((b ^ dst) * MIX) & LOW63
        self.candidates.side = side
        a = ((((a ^ (a >> 29)) + (b ^ (b >> 29))) ^ self.cursor.protocol) * MIX) & LOW63
        a = ((a ^ (a >> 31)) * MIX) & LOW63
        return ((a ^ (a >> 29)) & KEY_MASK) | 0x100

    def mac(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The MAC address at `at` as a number, with bit 48 set, so that it is not 0."""
        return HAS_MAC | (self.cursor.u16(at) << 32) | self.cursor.u32(at + 2)

    def describe(self, slot: cython.Py_ssize_t) -> cython.void:
        """Write into a new slot who its two sides are, and a row for the packet where first packets
        are asked for."""
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
