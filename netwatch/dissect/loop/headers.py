# cython: language_level=3, boundscheck=True, wraparound=False
"""From the link layer to the transport header, one offset carried down the layers.

Each layer moves `at` behind its header and narrows `end` by its length field; on
trouble it counts a named anomaly and the packet ends there. `end` is where the captured
bytes end, `wire_end` where the packet's own would: they differ when a snap length cut.
What is wrapped in something else (`netwatch.dissect.loop.tunnels`) comes through here again,
so addresses, VLAN and MACs are those of the innermost layer that has them.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.prefilter_http import Requests
else:
    from netwatch.dissect.loop.prefilter_http import Requests

ANOMALIES = (
    "not-ip",
    "link-type-unknown",
    "link-header-cut",
    "ip-header-cut",
    "ip-header-bad",
    "ip-length-bad",
    "wrapping-unknown",
    "ipv6-extensions-many",
    "transport-unknown",
    "transport-header-cut",
    "tcp-header-bad",
    "udp-length-bad",
    "payload-cut",
    "tcp-retransmission",
    "wrapped-too-deep",
    "wrapping-header-cut",
    "wlan-protected",
    "encrypted-ip",
    "amsdu-bad",
    "nd-hop-limit",
    "encrypted-link",
    "http2-long",
)
"""Names of what is counted while peeling, by number."""

INNOCENT = frozenset({"not-ip", "transport-unknown"})
"""What is counted and is no fault: ARP, ICMP and the like, which carry no name."""

NOT_IP = cython.declare(cython.int, 0)
LINK_UNKNOWN = cython.declare(cython.int, 1)
LINK_CUT = cython.declare(cython.int, 2)
IP_CUT = cython.declare(cython.int, 3)
IP_BAD = cython.declare(cython.int, 4)
IP_LENGTH = cython.declare(cython.int, 5)
EXTENSIONS = cython.declare(cython.int, 7)
TRANSPORT_UNKNOWN = cython.declare(cython.int, 8)
TOO_DEEP = cython.declare(cython.int, 14)

MAX_DEPTH = cython.declare(cython.int, 8)
"""IP headers in one packet, the outermost counted."""

MAX_LAYERS = cython.declare(cython.int, 16)
"""Other wrappings in one packet: by EtherType, LLC, and authentication headers."""


@cython.cclass
class Headers(Requests):
    """The layers of one packet after the other; `link` starts, and answers whether a
    TCP or UDP header stands at `at`."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def fail(self, anomaly: cython.int) -> cython.int:
        """Count what ended the packet; the answer that no transport header was found."""
        self.odd[anomaly] += 1
        return 0

    if not cython.compiled:
        # as `Payloads.u16`

        def has(self, size: int) -> bool:
            """Whether `size` bytes are left from `at` on."""
            return self.end - self.at >= size

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def deeper(self) -> cython.bint:
        """Count a wrapping that is no IP header; false where that is one too many."""
        self.layers += 1
        if self.layers > MAX_LAYERS:
            self.fail(TOO_DEEP)
            return False
        return True

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def link(self, link_type: cython.longlong) -> cython.int:
        """Peel by LINKTYPE_ number (tcpdump.org)."""
        self.src_mac = -1
        self.dst_mac = -1
        self.depth = 0
        self.layers = 0
        self.fragment = -1
        self.subframes = 0
        if link_type == 1:
            return self.ethernet()
        if link_type == 101 or link_type == 12 or link_type == 14:
            return self.raw()
        if link_type == 228:
            return self.ipv4()
        if link_type == 229:
            return self.ipv6()
        if link_type == 0 or link_type == 108:
            # The address family is in the byte order of the machine that captured, and
            # its number for IPv6 differs by system: the IP version nibble tells as well.
            if not self.has(5):
                return self.fail(LINK_CUT)
            self.at += 4
            return self.raw()
        if link_type == 113:
            if not self.has(16):
                return self.fail(LINK_CUT)
            if self.u16(self.at + 4) == 6:
                self.src_mac = self.at + 6
            self.at += 16
            return self.ether_type(self.u16(self.at - 2))
        if link_type == 276:
            if not self.has(20):
                return self.fail(LINK_CUT)
            if self.data[self.at + 11] == 6:
                self.src_mac = self.at + 12
            self.at += 20
            return self.ether_type(self.u16(self.at - 20))
        return self.other_link(link_type)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other_link(self, link_type: cython.longlong) -> cython.int:
        """Peel a link type that wraps more than Ethernet and IP."""
        return self.fail(LINK_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other_type(self, kind: cython.longlong) -> cython.int:
        """Peel by an EtherType that is neither IP nor a VLAN tag."""
        return self.fail(NOT_IP)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def inner(self) -> cython.int:
        """Go on by the number of the protocol in IP."""
        if self.proto == 6 or self.proto == 17:
            return 1
        return self.fail(TRANSPORT_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def beside(self, kind: cython.longlong) -> cython.int:
        """What carries no names: a packet of the EtherType `kind` that is no IP, or, where
        that is 0, of an IP protocol that is no transport."""
        return self.fail(NOT_IP if kind else TRANSPORT_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def ethernet(self) -> cython.int:
        """IEEE 802.3 clause 3."""
        if not self.has(14):
            return self.fail(LINK_CUT)
        self.dst_mac = self.at
        self.src_mac = self.at + 6
        self.at += 14
        return self.ether_type(self.u16(self.at - 2))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def llc(self) -> cython.int:
        """IEEE 802.2 with SNAP, which says the EtherType."""
        if not self.deeper():
            return 0
        if not self.has(8):
            return self.fail(LINK_CUT)
        if self.u16(self.at) != 0xAAAA or self.data[self.at + 2] != 3:
            return self.fail(NOT_IP)
        self.at += 8
        return self.ether_type(self.u16(self.at - 2))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def ether_type(self, kind: cython.longlong) -> cython.int:
        """Peel by EtherType, through any VLAN tags (802.1Q, 802.1ad, 0x9100)."""
        while kind == 0x8100 or kind == 0x88A8 or kind == 0x9100:
            if not self.has(4):
                return self.fail(LINK_CUT)
            self.vlan = self.u16(self.at) & 0xFFF
            kind = self.u16(self.at + 2)
            self.at += 4
        if kind == 0x0800:
            return self.ipv4()
        if kind == 0x86DD:
            return self.ipv6()
        if kind < 0x600:
            return self.llc()
        return self.other_type(kind)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def raw(self) -> cython.int:
        """Peel IP of the version that its first nibble says."""
        version: cython.int
        if not self.has(1):
            return self.fail(IP_CUT)
        version = self.data[self.at] >> 4
        if version == 4:
            return self.ipv4()
        if version == 6:
            return self.ipv6()
        return self.fail(NOT_IP)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def ipv4(self) -> cython.int:
        """RFC 791 section 3.1."""
        header: cython.Py_ssize_t
        total: cython.Py_ssize_t
        fragment: cython.longlong
        self.depth += 1
        if self.depth > MAX_DEPTH:
            return self.fail(TOO_DEEP)
        if not self.has(20):
            return self.fail(IP_CUT)
        header = (self.data[self.at] & 15) * 4
        if self.data[self.at] >> 4 != 4 or header < 20:
            return self.fail(IP_BAD)
        if not self.has(header):
            return self.fail(IP_CUT)
        total = self.u16(self.at + 2)
        # Captured before the card cut it into segments, a packet may say length 0.
        if total != 0:
            if total < header:
                return self.fail(IP_LENGTH)
            if self.at + total < self.wire_end:
                self.wire_end = self.at + total
                self.end = min(self.end, self.wire_end)
        self.addr = self.at + 12
        self.addr_len = 4
        self.proto = self.data[self.at + 9]
        fragment = self.u16(self.at + 6) & 0x3FFF
        if fragment:
            self.fragment = ((fragment & 0x1FFF) << 3) | ((fragment & 0x2000) << 3)
            self.fragment_id = self.u16(self.at + 4)
            self.at += header
            return 1
        self.at += header
        return self.inner()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def ipv6(self) -> cython.int:
        """RFC 8200 section 3 and 4: extension headers are stepped over."""
        following: cython.int
        length: cython.Py_ssize_t
        field: cython.longlong
        _: cython.int
        self.depth += 1
        if self.depth > MAX_DEPTH:
            return self.fail(TOO_DEEP)
        if not self.has(40):
            return self.fail(IP_CUT)
        if self.data[self.at] >> 4 != 6:
            return self.fail(IP_BAD)
        length = self.u16(self.at + 4)
        if length != 0 and self.at + 40 + length < self.wire_end:
            self.wire_end = self.at + 40 + length
            self.end = min(self.end, self.wire_end)
        self.addr = self.at + 8
        self.addr_len = 16
        following = self.data[self.at + 6]
        self.at += 40
        for _ in range(12):
            if (
                following == 0
                or following == 43
                or following == 60
                or following == 135
                or following == 139
                or following == 140
            ):
                if not self.has(8):
                    return self.fail(IP_CUT)
                length = 8 + 8 * self.data[self.at + 1]
            elif following == 51:
                if not self.has(8):
                    return self.fail(IP_CUT)
                length = 8 + 4 * self.data[self.at + 1]
            elif following == 44:
                if not self.has(8):
                    return self.fail(IP_CUT)
                length = 8
                field = self.u16(self.at + 2)
                if field & 0xFFF9:
                    self.proto = self.data[self.at]
                    self.fragment = (field & 0xFFF8) | ((field & 1) << 16)
                    self.fragment_id = self.u32(self.at + 4)
                    self.at += 8
                    return 1
            else:
                self.proto = following
                return self.inner()
            following = self.data[self.at]
            if not self.has(length):
                return self.fail(IP_CUT)
            self.at += length
        return self.fail(EXTENSIONS)
