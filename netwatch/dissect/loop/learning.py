# cython: language_level=3, boundscheck=True, wraparound=False
"""Packets that devices are learned from: which of them are candidates, too."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor

ARP = cython.declare(cython.longlong, 0x0806)
ICMPV6 = cython.declare(cython.int, 58)
FRAGMENT = cython.declare(cython.int, 44)


@cython.final
@cython.cclass
class Learning:
    """`sources` has a bit for each of `core.message.LEARNING_SOURCES` that devices are learned from
    (``LEARN_`` in `layout`)."""

    def __init__(self, cursor: Cursor, candidates: Candidates, sources: int) -> None:
        self.cursor = cursor
        self.candidates = candidates
        self.sources = sources

    def non_ip(self) -> cython.void:
        """Emit a row where a packet ended at ARP or neighbor discovery, if devices are learned
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
        """Whether the IPv6 packet at the cursor has the header of a fragment, if only that of a
        whole packet: then no host takes neighbour discovery (RFC 6980 section 5)."""
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
        8415 section 7.2), if devices are learned from it; else 0."""
        if self.sources & layout.LEARN_DHCP == 0:
            return 0
        if self.cursor.address_size == 4:
            if (destination == 67 or destination == 68) and (source == 67 or source == 68):
                return layout.KIND_DHCP
        elif destination == 546 or destination == 547:
            return layout.KIND_DHCPV6
        return 0
