# cython: language_level=3, boundscheck=True, wraparound=False
"""ICMP errors: packets that say that another one was refused, by its server or on the way.

An error quotes the beginning of the packet that it answers (RFC 792, RFC 4443 section 3.1). Only
errors are read that end an attempt: no such port or protocol, and prohibited by a filter. That a
host or network cannot be reached may pass.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.flow_lookup import FlowLookup
else:
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.flow_lookup import FlowLookup

ICMP = cython.declare(cython.longlong, 1)
ICMPV6 = cython.declare(cython.longlong, 58)
TCP = cython.declare(cython.longlong, 6)
UDP = cython.declare(cython.longlong, 17)

UNREACHABLE = cython.declare(cython.int, 3)
"""The type of ICMP's Destination Unreachable; that of ICMPv6 is 1."""

UNREACHABLE_V6 = cython.declare(cython.int, 1)

HEADER = cython.declare(cython.Py_ssize_t, 8)
"""Bytes of an error before the packet that it quotes."""

PORTS = cython.declare(cython.Py_ssize_t, 4)
"""Bytes of a transport header that name its ports."""


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
        """Read the packet at the cursor, which ended behind an IP header, if it is an error. The
        cursor is at the transport header of the quoted packet afterwards."""
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
            # Protocol, port; and three that say that a filter prohibits it (RFC 1122, RFC 1812).
            return kind == UNREACHABLE and code in (2, 3, 9, 10, 13)
        if self.cursor.protocol == ICMPV6 and self.cursor.address_size == 16:
            # Prohibited, port, source address failed the policy, route rejected.
            return kind == UNREACHABLE_V6 and code in (1, 4, 5, 6)
        return False

    def quoted(self) -> cython.bint:
        """Go to the transport header of the quoted packet; false where there is none with ports."""
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
