# cython: language_level=3, boundscheck=True, wraparound=False
"""Link types that wrap more than Ethernet and IP: radio frames, PPP, logs of a firewall.

A frame of IEEE 802.11 may hold several packets (A-MSDU): the kernel asks for them one
after the other.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.udp_tunnels import Overlays
else:
    from netwatch.dissect.loop.udp_tunnels import Overlays

NOT_IP = cython.declare(cython.int, 0)
LINK_UNKNOWN = cython.declare(cython.int, 1)
LINK_CUT = cython.declare(cython.int, 2)
UNKNOWN = cython.declare(cython.int, 6)
PROTECTED = cython.declare(cython.int, 16)
AMSDU = cython.declare(cython.int, 18)


@cython.cclass
class Links(Overlays):
    """The rarer link types; each answers as `Headers.link` does."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other_link(self, link_type: cython.longlong) -> cython.int:
        """802.11 with and without radiotap, PPP and PPPoE, netfilter log, FDDI, mPackets."""
        if link_type == 127:
            return self.radiotap()
        if link_type == 105:
            return self.wlan()
        if link_type == 9 or link_type == 50:
            return self.ppp()
        if link_type == 51:
            return self.other_type(0x8864)
        if link_type == 239:
            return self.nflog()
        if link_type == 10:
            # FDDI: frame control, both addresses, LLC.
            if not self.has(13):
                return self.fail(LINK_CUT)
            self.dst_mac = self.at + 1
            self.src_mac = self.at + 7
            self.at += 13
            return self.llc()
        if link_type == 274:
            # Ethernet as mPackets: a preamble of eight bytes comes first.
            if not self.has(8):
                return self.fail(LINK_CUT)
            self.at += 8
            return self.ethernet()
        return self.fail(LINK_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def radiotap(self) -> cython.int:
        """Radiotap: its length is little-endian at offset 2."""
        size: cython.Py_ssize_t
        if not self.has(8):
            return self.fail(LINK_CUT)
        size = self.data[self.at + 2] | (self.data[self.at + 3] << 8)
        if size < 8 or not self.has(size):
            return self.fail(LINK_CUT)
        self.at += size
        return self.wlan()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wlan(self) -> cython.int:
        """A data frame of IEEE 802.11 (section 9.3.2) that is not protected: the addresses
        by direction, QoS and HT control stepped over, LLC or an A-MSDU behind."""
        control: cython.longlong
        amsdu: cython.bint = False
        if not self.has(24):
            return self.fail(LINK_CUT)
        control = self.u16(self.at)
        if control & 0x0C00 != 0x0800 or control & 0x4000:
            return self.fail(NOT_IP)  # management, control, or no data in it
        if control & 0x0040:
            return self.fail(PROTECTED)
        if self.u16(self.at + 22) & 0x0F00:
            return self.fail(UNKNOWN)  # a later fragment of a frame
        self.dst_mac = self.at + 16 if control & 1 else self.at + 4
        self.src_mac = self.at + 16 if control & 2 else self.at + 10
        if control & 3 == 3:
            if not self.has(30):
                return self.fail(LINK_CUT)
            self.src_mac = self.at + 24
            self.at += 6
        self.at += 24
        if control & 0x8000:
            if not self.has(2):
                return self.fail(LINK_CUT)
            amsdu = self.data[self.at] & 0x80 != 0
            self.at += 6 if control & 0x0080 else 2
        if amsdu:
            self.subframes = self.at
            self.frame_end = self.end
            self.frame_wire_end = self.wire_end
            self.frame_vlan = self.vlan
            return self.subframe()
        return self.llc()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def subframe(self) -> cython.int:
        """The next frame of an A-MSDU (IEEE 802.11 section 9.3.2.2), which starts at
        `subframes`; moves that to the one behind, or to 0."""
        size: cython.Py_ssize_t
        self.at = self.subframes
        self.end = self.frame_end
        self.wire_end = self.frame_wire_end
        self.vlan = self.frame_vlan
        self.subframes = 0
        self.depth = 0
        self.layers = 0
        self.fragment = -1
        if not self.has(14):
            return self.fail(AMSDU if self.end == self.wire_end else LINK_CUT)
        size = self.u16(self.at + 12)
        if size < 8 or self.at + 14 + size > self.wire_end:
            return self.fail(AMSDU)
        # Each but the last is padded to four bytes.
        if self.at + ((14 + size + 3) & -4) + 14 <= self.wire_end:
            self.subframes = self.at + ((14 + size + 3) & -4)
        self.dst_mac = self.at
        self.src_mac = self.at + 6
        self.at += 14
        return self.llc()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def nflog(self) -> cython.int:
        """Linux netfilter log (LINKTYPE_NFLOG): type-length-value fields in the byte order
        of the machine, of which number 9 holds the packet."""
        size: cython.Py_ssize_t
        kind: cython.longlong
        if not self.has(4):
            return self.fail(LINK_CUT)
        self.at += 4
        while self.has(4):
            # Types are small numbers, so their zero byte tells the order.
            size = self.data[self.at] | (self.data[self.at + 1] << 8)
            kind = self.data[self.at + 2]
            if kind == 0:
                size = self.u16(self.at)
                kind = self.data[self.at + 3]
            if size < 4:
                return self.fail(LINK_CUT)
            if kind == 9:
                self.at += 4
                return self.raw()
            self.at += (size + 3) & -4
        if self.at > self.end or self.end < self.wire_end:
            return self.fail(LINK_CUT)
        return self.fail(NOT_IP)
