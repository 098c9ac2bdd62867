# cython: language_level=3, boundscheck=True, wraparound=False
"""What packets come wrapped in: tunnels and labels.

Each wrapping is peeled to the Ethernet frame or IP packet inside, which then goes
through `netwatch.dissect.headers` again, eight IP headers deep at most. Wrappings over
UDP are known by the port that IANA gave them and by how they start; a datagram that
does not start so is a plain one.
"""

import cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.headers import Headers
else:
    from netwatch.dissect.headers import Headers

NOT_IP = cython.declare(cython.int, 0)
LINK_CUT = cython.declare(cython.int, 2)
UNKNOWN = cython.declare(cython.int, 6)
TRANSPORT_UNKNOWN = cython.declare(cython.int, 8)
CUT = cython.declare(cython.int, 15)
ENCRYPTED = cython.declare(cython.int, 17)


@cython.cclass
class Tunnels(Headers):
    """The wrappings; each answers, as `Headers.link` does, whether a TCP or UDP header
    stands at `at` when it is through."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other_type(self, kind: cython.longlong) -> cython.int:
        """MPLS, PPPoE sessions (RFC 2516), NSH, bridged Ethernet."""
        if kind == 0x8847 or kind == 0x8848:
            return self.mpls()
        if kind == 0x8864:
            # Version and type, code, session, length.
            if not self.has(8):
                return self.fail(LINK_CUT)
            self.at += 6
            return self.ppp()
        if kind == 0x894F:
            return self.nsh()
        if kind == 0x6558:
            return self.ethernet()
        return self.fail(NOT_IP)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def inner(self) -> cython.int:
        """Go on by IP protocol number: 4 and 41 (RFC 2003, RFC 4213), 47 GRE, 97 EtherIP
        (RFC 3378), 137 MPLS (RFC 4023), 51 AH (RFC 4302)."""
        size: cython.Py_ssize_t
        if self.proto == 6 or self.proto == 17:
            return 1
        if self.proto == 4:
            return self.ipv4()
        if self.proto == 41:
            return self.ipv6()
        if self.proto == 47:
            return self.gre()
        if self.proto == 97:
            if not self.has(2):
                return self.fail(CUT)
            self.at += 2
            return self.ethernet()
        if self.proto == 137:
            return self.mpls()
        if self.proto == 51 and self.has(12):
            size = 8 + 4 * self.data[self.at + 1]
            if not self.has(size):
                return self.fail(CUT)
            self.proto = self.data[self.at]
            self.at += size
            self.depth += 1
            return self.inner() if self.depth < 9 else self.fail(UNKNOWN)
        if self.proto == 50:
            return self.fail(ENCRYPTED)
        return self.fail(TRANSPORT_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def mpls(self) -> cython.int:
        """A label stack (RFC 3032); under it IP, or Ethernet with or without a control
        word (RFC 4448)."""
        first: cython.int
        while True:
            if not self.has(5):
                return self.fail(CUT)
            self.at += 4
            if self.data[self.at - 2] & 1:
                break
        first = self.data[self.at] >> 4
        if first == 4:
            return self.ipv4()
        if first == 6:
            return self.ipv6()
        if first == 0 and self.has(18):
            self.at += 4
            return self.ethernet()
        return self.ethernet()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def ppp(self) -> cython.int:
        """PPP (RFC 1661), with or without address and control, its protocol field in one
        byte or two."""
        kind: cython.longlong
        if not self.has(4):
            return self.fail(LINK_CUT)
        if self.u16(self.at) == 0xFF03:
            self.at += 2
        if self.data[self.at] & 1:
            kind = self.data[self.at]
            self.at += 1
        else:
            kind = self.u16(self.at)
            self.at += 2
        if kind == 0x21:
            return self.ipv4()
        if kind == 0x57:
            return self.ipv6()
        if kind == 0x281 or kind == 0x283:
            return self.mpls()
        return self.fail(NOT_IP)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def nsh(self) -> cython.int:
        """Network service header (RFC 8300)."""
        size: cython.Py_ssize_t
        kind: cython.int
        if not self.has(8):
            return self.fail(CUT)
        size = (self.data[self.at + 1] & 63) * 4
        kind = self.data[self.at + 3]
        if size < 8 or not self.has(size):
            return self.fail(CUT)
        self.at += size
        if kind == 1:
            return self.ipv4()
        if kind == 2:
            return self.ipv6()
        if kind == 3:
            return self.ethernet()
        return self.fail(UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def gre(self) -> cython.int:
        """GRE (RFC 2784, RFC 2890) with IP, Ethernet, ERSPAN I to III, MPLS or NSH in it;
        version 1 as PPTP has it (RFC 2637), with PPP."""
        flags: cython.longlong
        kind: cython.longlong
        if not self.has(8):
            return self.fail(CUT)
        flags = self.u16(self.at)
        kind = self.u16(self.at + 2)
        self.at += 4
        if flags & 0xC000:
            self.at += 4
        if flags & 0x2000:
            self.at += 4
        if flags & 0x1000:
            self.at += 4
        if flags & 7 == 1:
            if flags & 0x0080:
                self.at += 4
            return self.ppp() if kind == 0x880B else self.fail(UNKNOWN)
        if flags & 0x4007:
            return self.fail(UNKNOWN)  # source routes (RFC 1701) are history
        if kind == 0x88BE:
            # Type I has no header of its own and no sequence number, type II has both.
            if flags & 0x1000:
                self.at += 8
            return self.ethernet()
        if kind == 0x22EB:
            if not self.has(12):
                return self.fail(CUT)
            self.at += 20 if self.data[self.at + 11] & 1 else 12
            return self.ethernet()
        if (
            kind == 0x0800
            or kind == 0x86DD
            or kind == 0x6558
            or kind == 0x8847
            or kind == 0x8848
            or kind == 0x894F
            or kind == 0x8100
        ):
            return self.ether_type(kind)
        return self.fail(UNKNOWN)

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
        elif dst == 4754 and self.has(8) and self.u16(payload) & 0x4FFF == 0:
            found = self.gre()
        elif dst == 6635 and self.has(8):
            found = self.mpls()
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
        self.proto = 17
        self.fragment = -1
        return False

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def vxlan(self) -> cython.int:
        """VXLAN (RFC 7348) and its generic protocol extension. Reserved bits are let be:
        some senders set them."""
        flags: cython.int
        kind: cython.int = 3
        if not self.has(8 + 14):
            return 0
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
        if not self.has(8) or self.data[self.at] >> 6:
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
            return 0
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
        if not self.has(40) or self.data[self.at] >> 4 != 6:
            return 0
        return self.ipv6()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def l2tp(self) -> cython.int:
        """A data message of L2TP version 2 (RFC 2661 section 3.1), with PPP."""
        flags: cython.longlong
        size: cython.Py_ssize_t = 6
        if not self.has(8):
            return 0
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
