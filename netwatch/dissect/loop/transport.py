# cython: language_level=3, boundscheck=True, wraparound=False
"""TCP and UDP: is the payload worth a parser's while, and whose is it.

The last stop of a packet in the hot loop: the masks say what its payload looks like, the
flow table whether its flow is owed bytes, and what remains becomes a row of integers.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.hellos import Hellos
else:
    from netwatch.dissect.loop.hellos import Hellos

NOT_IP = cython.declare(cython.int, 0)
TRANSPORT_UNKNOWN = cython.declare(cython.int, 8)
CUT = cython.declare(cython.int, 12)
TRANSPORT_CUT = cython.declare(cython.int, 9)
ADDRESSES = cython.declare(cython.Py_ssize_t, 9)
PORTS = cython.declare(cython.Py_ssize_t, 17)
ABOUT = cython.declare(cython.Py_ssize_t, 18)
MACS = cython.declare(cython.Py_ssize_t, 20)
NUMBER = cython.declare(cython.Py_ssize_t, 19)
IPV6 = cython.declare(cython.longlong, 1 << 8)
HAS_MAC = cython.declare(cython.longlong, 1 << 48)
TRUNCATED = cython.declare(cython.longlong, 1)
NAMED = cython.declare(cython.longlong, 3)
REPEATED = cython.declare(cython.int, 13)
TCP_BAD = cython.declare(cython.int, 10)
UDP_LENGTH = cython.declare(cython.int, 11)
HTTP2_LONG = cython.declare(cython.int, 21)
KIND_TCP_DNS = cython.declare(cython.longlong, 5)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
HTTP2_LIMIT = cython.declare(cython.longlong, 1048576)
"""How much of an HTTP/2 connection in clear is read, bytes of the client's side."""

SHORT_NEED = cython.declare(cython.longlong, 16384)
KIND_MORE = cython.declare(cython.longlong, 6)
KIND_OPENING = cython.declare(cython.longlong, 0)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
ND_HOPS = cython.declare(cython.int, 19)
LEARN_DHCP = cython.declare(cython.int, 1)
LEARN_MDNS = cython.declare(cython.int, 2)
LEARN_ARP = cython.declare(cython.int, 4)
KIND_DHCP = cython.declare(cython.longlong, 13)
KIND_DHCPV6 = cython.declare(cython.longlong, 14)
KIND_MDNS = cython.declare(cython.longlong, 15)
KIND_ARP = cython.declare(cython.longlong, 16)
KIND_ND = cython.declare(cython.longlong, 17)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
KEY_MASK = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFE00)


@cython.cclass
class Transport(Hellos):
    """Reads the transport header at `at`, and hands on what may carry a name. `learning`
    has a bit for each of `core.message.LEARNING_SOURCES` that devices are learned from."""

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def key(self) -> cython.longlong:
        """The flow key of the packet at hand, the same for both directions; sets `side`:
        whether the source, address before port, is the greater end.

        VLAN tags are left out of it on purpose: a mirror often shows the directions, or
        the copies, of one conversation under different tags.
        """
        a: cython.ulonglong = self.seed + 1
        b: cython.ulonglong = self.seed + 1
        self.side = -1
        i: cython.Py_ssize_t = 0
        src: cython.longlong = 0
        dst: cython.longlong = 0
        while i < self.addr_len:
            src = self.u32(self.addr + i)
            dst = self.u32(self.addr + self.addr_len + i)
            if self.side < 0 and src != dst:
                self.side = src > dst
            a = ((a ^ src) * MIX) & LOW63
            b = ((b ^ dst) * MIX) & LOW63
            a ^= a >> 29
            b ^= b >> 29
            i += 4
        src = self.u16(self.at)
        dst = self.u16(self.at + 2)
        if self.side < 0:
            self.side = src > dst
        a = ((a ^ src) * MIX) & LOW63
        b = ((b ^ dst) * MIX) & LOW63
        a = ((((a ^ (a >> 29)) + (b ^ (b >> 29))) ^ self.proto) * MIX) & LOW63
        a = ((a ^ (a >> 31)) * MIX) & LOW63
        return ((a ^ (a >> 29)) & KEY_MASK) | 0x100

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def beside(self, kind: cython.longlong) -> cython.int:
        """Pass ARP and neighbour discovery on where devices are learned from them; they are
        counted like all that carries no names."""
        first: cython.int
        if self.learning & LEARN_ARP and self.has(1):
            self.side = 0
            if kind == 0x0806:
                self.addr = self.at
                self.addr_len = 0
                self.proto = 0
                self.emit(KIND_ARP, self.at, 0, 0)
            elif kind == 0 and self.proto == 58 and self.addr_len == 16:
                first = self.data[self.at]
                if first >= 133 and first <= 137:
                    # RFC 4861 section 7.1: what a router could have passed on proves nothing
                    if self.data[self.addr - 1] == 255:
                        self.emit(KIND_ND, self.at, 0, 0)
                    else:
                        self.odd[ND_HOPS] += 1
        return self.fail(NOT_IP if kind else TRANSPORT_UNKNOWN)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def leased(self, src: cython.longlong, dst: cython.longlong) -> cython.longlong:
        """The kind of a datagram between these ports that may be DHCP (RFC 2131 section
        4.1, RFC 8415 section 7.2), 0 where it is none."""
        if self.addr_len == 4:
            if (dst == 67 or dst == 68) and (src == 67 or src == 68):
                return KIND_DHCP
        elif dst == 546 or dst == 547:
            return KIND_DHCPV6
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def tcp(self) -> cython.void:
        """RFC 9293 section 3.1."""
        header: cython.Py_ssize_t
        payload: cython.Py_ssize_t
        behind: cython.Py_ssize_t
        size: cython.longlong
        seq: cython.longlong
        need: cython.longlong = 0
        dns_port: cython.bint
        flags: cython.int
        talk: cython.int
        leads: cython.bint
        alone: cython.bint
        kind: cython.longlong = 0
        slot: cython.Py_ssize_t
        if not self.has(20):
            self.odd[TRANSPORT_CUT] += 1
            return
        header = (self.data[self.at + 12] >> 4) * 4
        if header < 20:
            self.odd[TCP_BAD] += 1
            return
        payload = self.at + header
        size = self.wire_end - payload
        flags = self.data[self.at + 13]
        if size < 0:
            self.odd[TCP_BAD] += 1
            return
        if flags & 2 == 0 and size == 0:
            return
        seq = self.u32(self.at + 4)
        slot = self.flows.find(self.key(), self.now)
        if self.flows.fresh:
            self.describe(slot)
        dns_port = self.u16(self.at) == 53 or self.u16(self.at + 2) == 53
        if flags & 2:
            seq = (seq + 1) & SEQ
            if flags & 16 == 0:
                self.let_go(slot)
                if self.flows.syn(slot, self.side, seq):
                    self.describe(slot)
                self.flows.client(slot, self.side, True)
            else:
                self.flows.client(slot, 1 - self.side, True)
                if dns_port:
                    self.flows.opened(slot, self.side, seq)
                else:
                    self.flows.quiet(slot, self.side)
            if size == 0:
                return
        self.flows.count(slot, self.side, size)
        if payload >= self.end:
            self.odd[CUT] += 1
            self.flows.tell(slot, TRUNCATED)
            return
        leads = self.leads[self.data[payload]] != 0
        if leads:
            behind = self.proxy(payload, self.end)
            if behind > payload:
                size -= behind - payload
                seq = (seq + behind - payload) & SEQ
                payload = behind
                if payload >= self.end:
                    return
        talk = self.flows.talks(slot, self.side, seq)
        if talk == 2:
            self.odd[HTTP2_LONG] += 1
        if dns_port:
            kind = KIND_MORE
            if self.flows.first(slot, self.side, seq) or self.dns(
                payload + 2, self.end, self.wire_end
            ):
                kind = KIND_TCP_DNS
        elif talk == 1:
            kind = KIND_MORE
        elif leads:
            kind = self.begins(slot, payload, seq)
        if kind == 0:
            if (
                size > 20
                and self.u16(payload) == size - 2
                and self.dns(payload + 2, self.end, self.wire_end)
            ):
                kind = KIND_TCP_DNS
            elif self.flows.wants(slot, self.side, seq, size):
                kind = KIND_MORE
            else:
                return
        if kind == 2:
            need = self.tls_need(payload, self.end)
        elif kind == 4:
            need = self.http_need(payload, self.end)
        elif kind == 11:
            need = HTTP2_LIMIT
        elif kind == 10:
            need = SHORT_NEED
        if kind == 2 or kind == 4 or need:
            if (need == 0 or kind == 2) and self.flows.repeated(slot, self.side, seq):
                self.odd[REPEATED] += 1
                return
            if need:
                self.flows.owe(slot, self.side, seq, need)
            else:
                alone = kind == 2 or self.flows.alone(slot, self.side, seq)
                self.flows.finish(slot, self.side, seq)
                if alone and self.first_seen(slot) and self.whole_idle(kind, payload):
                    self.flows.client(slot, self.side, False)
                    self.flows.tell(slot, NAMED)
                    return
        if kind == 2 or kind == 4 or kind == 9 or kind == 11:
            self.flows.client(slot, self.side, False)
        elif kind == 10:
            self.flows.client(slot, 1 - self.side, False)
        if (need and kind == 2) or (kind == KIND_MORE and not dns_port):
            if self.segment(slot, kind, payload, seq):
                return
        else:
            self.let_go(slot)
        self.emit(kind, payload, seq, self.flows.name(slot))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def begins(
        self, slot: cython.Py_ssize_t, payload: cython.Py_ssize_t, seq: cython.longlong
    ) -> cython.longlong:
        """The kind of what a segment looks like the beginning of, 0 where it is nothing."""
        if self.tls(payload, self.end) and (
            self.end - payload > 5 or self.flows.may_begin(slot, self.side, seq)
        ):
            # Less than the record header and the message type may be any byte of data.
            return 2
        if self.http(payload, self.end) or (
            self.flows.first(slot, self.side, seq) and self.http_begun(payload, self.end)
        ):
            return 4
        if self.http2(payload, self.end):
            return 11
        if self.server_hello(payload, self.end):
            return 10
        return self.socks(payload, self.end)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def whole_idle(self, kind: cython.longlong, payload: cython.Py_ssize_t) -> cython.bint:
        """Whether a hello or request that its segment holds all of is of no interest."""
        if kind == 2:
            return self.tls_idle(payload, self.end)
        return self.end == self.wire_end and self.request_idle(payload, self.end)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def mac(self, at: cython.Py_ssize_t) -> cython.longlong:
        """The MAC address at `at` as a number, with bit 48 set to tell it from none."""
        return HAS_MAC | (self.u16(at) << 32) | self.u32(at + 2)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def describe(self, slot: cython.Py_ssize_t) -> cython.void:
        """Write into a new slot who its two sides are, and a row for the packet where the
        first ones are asked for."""
        i: cython.Py_ssize_t = 0
        low: cython.Py_ssize_t = self.addr + (self.addr_len if self.side else 0)
        high: cython.Py_ssize_t = self.addr + (0 if self.side else self.addr_len)
        src: cython.longlong = self.u16(self.at)
        dst: cython.longlong = self.u16(self.at + 2)
        if self.src_mac >= 0:
            self.flows.table[slot + MACS + self.side] = self.mac(self.src_mac)
        if self.dst_mac >= 0:
            self.flows.table[slot + MACS + 1 - self.side] = self.mac(self.dst_mac)
        while i < self.addr_len >> 2:
            self.flows.table[slot + ADDRESSES + i] = self.u32(low + 4 * i)
            self.flows.table[slot + ADDRESSES + 4 + i] = self.u32(high + 4 * i)
            i += 1
        self.flows.table[slot + NUMBER] = self.first_number + self.record
        self.flows.table[slot + PORTS] = (dst << 16) | src if self.side else (src << 16) | dst
        self.flows.table[slot + ABOUT] = (
            self.proto | (IPV6 if self.addr_len == 16 else 0) | ((self.vlan + 1) << 16)
        )
        if self.opening:
            self.emit(KIND_OPENING, self.at, 0, self.flows.name(slot))
            self.candidates -= 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def udp(self) -> cython.bint:
        """RFC 768. True where a wrapping was peeled and another transport header stands
        at `at`."""
        length: cython.Py_ssize_t
        payload: cython.Py_ssize_t
        kind: cython.longlong = 0
        src: cython.longlong
        dst: cython.longlong
        key: cython.longlong
        slot: cython.Py_ssize_t
        if not self.has(8):
            self.odd[TRANSPORT_CUT] += 1
            return False
        length = self.u16(self.at + 4)
        payload = self.at + 8
        if length != 0:
            if length < 8:
                self.odd[UDP_LENGTH] += 1
                return False
            if self.at + length < self.wire_end:
                self.wire_end = self.at + length
                self.end = min(self.end, self.wire_end)
        if payload >= self.wire_end:
            return False
        if payload >= self.end:
            self.odd[CUT] += 1
            return False
        src = self.u16(self.at)
        dst = self.u16(self.at + 2)
        if dst == 53 or src == 53 or dst == 5353 or src == 5353 or dst == 5355 or src == 5355:
            if src == 5353 and self.learning & LEARN_MDNS:
                self.emit(KIND_MDNS, payload, 0, self.key())
            elif not self.lookup(payload):
                self.emit(1, payload, 0, self.key())
            return False
        if self.wrapped(payload):
            return True
        key = self.key()
        slot = self.flows.find(key, self.now)
        if self.flows.fresh:
            self.describe(slot)
            self.flows.client(slot, 1 - self.side if src < 1024 <= dst else self.side, True)
        self.flows.count(slot, self.side, self.wire_end - payload)
        if self.learning & LEARN_DHCP:
            kind = self.leased(src, dst)
            if kind:
                self.emit(kind, payload, 0, key)
                return False
        if self.quic(payload, self.end):
            if self.initial(slot, payload):
                return False
            kind = 3
            self.flows.wait(slot, self.side)
        elif self.gquic(payload, self.end):
            kind = 12
            self.flows.wait(slot, self.side)
        elif self.dtls(payload, self.end):
            kind = 8
            self.flows.wait(slot, self.side)
        elif src != 137 and dst != 137 and self.dns(payload, self.end, self.wire_end):
            # NetBIOS names (RFC 1002) come in the same frame, and are names of hosts in
            # a workgroup.
            kind = 1
        else:
            return False
        self.emit(kind, payload, 0, key)
        return False
