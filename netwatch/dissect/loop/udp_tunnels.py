# cython: language_level=3, boundscheck=True, wraparound=False
"""What packets come wrapped in over UDP: overlays of data centres, mobile and home tunnels.

Wrappings over UDP are known by the port that IANA gave them and by how they start; a
datagram that does not start so is a plain one. Teredo between clients and relays has no
port, and is known by its addresses.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.tunnels import Tunnels
else:
    from netwatch.dissect.loop.tunnels import Tunnels

CUT = cython.declare(cython.int, 15)


@cython.cclass
class Overlays(Tunnels):
    """The wrappings over UDP; each answers as `Headers.link` does, 0 also where the
    datagram is none."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def wrapped(self, payload: cython.Py_ssize_t) -> cython.bint:
        """Peel a wrapping over UDP whose bytes start at `payload`; false, and all as it
        was, where the datagram is none or holds nothing that can be read."""
        src: cython.longlong = self.u16(self.at)
        dst: cython.longlong = self.u16(self.at + 2)
        at: cython.Py_ssize_t = self.at
        end: cython.Py_ssize_t = self.end
        wire_end: cython.Py_ssize_t = self.wire_end
        addr: cython.Py_ssize_t = self.addr
        addr_len: cython.Py_ssize_t = self.addr_len
        src_mac: cython.Py_ssize_t = self.src_mac
        dst_mac: cython.Py_ssize_t = self.dst_mac
        vlan: cython.longlong = self.vlan
        depth: cython.int = self.depth
        layers: cython.int = self.layers
        found: cython.int
        self.at = payload
        if dst == 4789 or dst == 8472 or dst == 4790:
            found = self.vxlan()
        elif dst == 6081:
            found = self.geneve()
        elif dst == 2152 or src == 2152:
            found = self.gtp()
        elif dst == 3544 or src == 3544:
            found = self.teredo()
        elif dst == 1701:
            found = self.l2tp()
        elif dst == 4754:
            if not self.has(8):
                found = self.short()
            else:
                found = self.gre() if self.u16(payload) & 0x4FFF == 0 else 0
        elif dst == 6635:
            found = self.mpls() if self.has(8) else self.short()
        elif self.data[payload] >> 4 == 6 and self.is_teredo():
            found = self.ipv6()
        else:
            found = 0
        if found:
            return True
        self.at = at
        self.end = end
        self.wire_end = wire_end
        self.addr = addr
        self.addr_len = addr_len
        self.src_mac = src_mac
        self.dst_mac = dst_mac
        self.vlan = vlan
        self.depth = depth
        self.layers = layers
        self.proto = 17
        self.fragment = -1
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def short(self) -> cython.int:
        """Too few bytes for a wrapping, which is counted where the capture cut them off."""
        return self.fail(CUT) if self.end < self.wire_end else 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def vxlan(self) -> cython.int:
        """VXLAN (RFC 7348) and its generic protocol extension. Reserved bits are let be:
        some senders set them."""
        flags: cython.int
        kind: cython.int = 3
        if not self.has(8 + 14):
            return self.short()
        flags = self.data[self.at]
        if flags & 8 == 0:
            return 0
        if flags & 4:
            kind = self.data[self.at + 3]
        self.at += 8
        if kind == 1:
            return self.ipv4()
        if kind == 2:
            return self.ipv6()
        if kind == 4:
            return self.nsh()
        return self.ethernet()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def geneve(self) -> cython.int:
        """Geneve (RFC 8926) with its options."""
        size: cython.Py_ssize_t
        kind: cython.longlong
        if not self.has(8):
            return self.short()
        if self.data[self.at] >> 6:
            return 0
        size = 8 + 4 * (self.data[self.at] & 63)
        kind = self.u16(self.at + 2)
        if kind != 0x6558 and kind != 0x0800 and kind != 0x86DD:
            return 0
        if not self.has(size):
            return self.fail(CUT)
        self.at += size
        return self.ether_type(kind)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def gtp(self) -> cython.int:
        """GTP-U (3GPP TS 29.281 section 5): a G-PDU, its extension headers stepped over."""
        flags: cython.int
        following: cython.int
        size: cython.Py_ssize_t
        if not self.has(8 + 20):
            return self.short()
        flags = self.data[self.at]
        if flags & 0xF0 != 0x30 or self.data[self.at + 1] != 255:
            return 0
        self.at += 8
        if flags & 7:
            following = self.data[self.at + 3] if flags & 4 else 0
            self.at += 4
            while following:
                if not self.has(4):
                    return self.fail(CUT)
                size = 4 * self.data[self.at]
                if size == 0 or not self.has(size):
                    return self.fail(CUT)
                following = self.data[self.at + size - 1]
                self.at += size
        return self.raw()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def teredo(self) -> cython.int:
        """Teredo (RFC 4380 section 5.1.1): IPv6, after an authentication and an origin
        indication where they are."""
        if self.has(13) and self.u16(self.at) == 1:
            self.at += 13 + self.data[self.at + 2] + self.data[self.at + 3]
        if self.has(8) and self.u16(self.at) == 0:
            self.at += 8
        if not self.has(40):
            return self.short()
        if self.data[self.at] >> 4 != 6:
            return 0
        return self.ipv6()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def is_teredo(self) -> cython.bint:
        """Whether a datagram between any ports is what a Teredo client and a relay or
        another client send each other (RFC 4380 section 5.4): IPv6 that fills it, one
        address in 2001::/32."""
        if not self.has(40) or self.u16(self.at + 4) + 40 != self.wire_end - self.at:
            return False
        return self.u32(self.at + 8) == 0x20010000 or self.u32(self.at + 24) == 0x20010000

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def l2tp(self) -> cython.int:
        """A data message of L2TP version 2 (RFC 2661 section 3.1), with PPP."""
        flags: cython.longlong
        size: cython.Py_ssize_t = 6
        if not self.has(8):
            return self.short()
        flags = self.u16(self.at)
        if flags & 0x800F != 2:
            return 0
        if flags & 0x4000:
            size += 2
        if flags & 0x0800:
            size += 4
        if flags & 0x0200:
            if not self.has(size + 2):
                return self.fail(CUT)
            size += 2 + self.u16(self.at + size)
        if not self.has(size):
            return self.fail(CUT)
        self.at += size
        return self.ppp()
