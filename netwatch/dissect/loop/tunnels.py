# cython: language_level=3, boundscheck=True, wraparound=False
"""What packets come wrapped in: tunnels and labels.

Each wrapping is peeled to the Ethernet frame or IP packet inside, which then goes
through `netwatch.dissect.loop.headers` again, eight IP headers deep at most. What comes over
UDP is in `netwatch.dissect.loop.udp_tunnels`.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.headers import Headers
else:
    from netwatch.dissect.loop.headers import Headers

NOT_IP = cython.declare(cython.int, 0)
LINK_CUT = cython.declare(cython.int, 2)
UNKNOWN = cython.declare(cython.int, 6)
CUT = cython.declare(cython.int, 15)
ENCRYPTED = cython.declare(cython.int, 17)
ENCRYPTED_LINK = cython.declare(cython.int, 20)


@cython.cclass
class Tunnels(Headers):
    """The wrappings; each answers, as `Headers.link` does, whether a TCP or UDP header
    stands at `at` when it is through."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def other_type(self, kind: cython.longlong) -> cython.int:
        """MPLS, PPPoE sessions (RFC 2516), NSH, bridged Ethernet."""
        if not self.deeper():
            return 0
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
        return self.fail(self.unread(kind)) if self.unread(kind) else self.beside(kind)

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
        if self.proto == 51:
            if not self.has(12):
                return self.fail(CUT)
            size = 8 + 4 * self.data[self.at + 1]
            if not self.has(size):
                return self.fail(CUT)
            self.proto = self.data[self.at]
            self.at += size
            return self.inner() if self.deeper() else 0
        if self.proto == 50:
            return self.fail(ENCRYPTED)
        return self.fail(UNKNOWN) if self.unread(-self.proto) else self.beside(0)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def unread(self, kind: cython.longlong) -> cython.int:
        """The anomaly of what wraps packets and is not read, 0 where it is not known to: by
        EtherType, IP protocol below 0, or PPP protocol from bit 16 on."""
        if kind == 0x88E5:  # MACsec
            return ENCRYPTED_LINK
        if (
            kind == 0x88E7  # provider backbone bridges
            or kind == 0x22F3  # TRILL
            or kind == -108  # IPComp
            or kind == -115  # L2TP version 3
            or kind == 0x3D << 16  # PPP multilink
            or kind == 0x53 << 16  # encrypted
            or kind == 0xFD << 16  # compressed
        ):
            return UNKNOWN
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def mpls(self) -> cython.int:
        """A label stack (RFC 3032); under it IP, or Ethernet with or without a control
        word (RFC 4448). Nothing tells which but the bytes (RFC 4928 section 3)."""
        first: cython.int
        framed: cython.bint
        left: cython.Py_ssize_t
        while True:
            if not self.has(5):
                return self.fail(CUT)
            self.at += 4
            if self.data[self.at - 2] & 1:
                break
        first = self.data[self.at] >> 4
        framed = self.framed(self.at)
        left = self.wire_end - self.at
        if first == 4 and not (framed and self.u16(self.at + 2) > left):
            return self.ipv4()
        if first == 6 and not (framed and self.u16(self.at + 4) + 40 > left):
            return self.ipv6()
        if first == 0 and self.has(18) and not (framed and not self.framed(self.at + 4)):
            self.at += 4
        return self.ethernet()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def framed(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether what stands at `at` looks like an Ethernet frame with something to read."""
        kind: cython.longlong
        if self.end - at < 15:
            return False
        kind = self.u16(at + 12)
        if kind == 0x0800:
            return self.data[at + 14] >> 4 == 4
        if kind == 0x86DD:
            return self.data[at + 14] >> 4 == 6
        return kind == 0x8100 or kind == 0x88A8 or kind == 0x8847 or kind == 0x8864

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
        return self.fail(self.unread(kind << 16) or NOT_IP)

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
