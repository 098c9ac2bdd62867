# cython: language_level=3, boundscheck=True, wraparound=False
"""The one hot loop: of all packets in a block, the few that can carry a name.

It walks the records of a block, peels headers, asks what the payload looks like, keeps
count of the flows that are owed more bytes, and writes a row of integers for each
packet that is worth a parser's while. It allocates nothing per packet and holds no
lock. Written in Cython's pure Python mode: the same file runs interpreted, to the same
rows, where no compiler was at hand.
"""

from array import array
from collections.abc import Iterator

import cython

from netwatch.capture.block import FIELDS, Block

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows import Flows
    from cython.cimports.netwatch.dissect.tunnels import Tunnels
else:
    from netwatch.dissect.flows import Flows
    from netwatch.dissect.tunnels import Tunnels

from netwatch.dissect.glimpse import PASSED
from netwatch.dissect.headers import ODDITIES

COMPILED: bool = cython.compiled
"""Whether this is the compiled form; the interpreted one is some hundred times slower."""

COLUMNS = 16
"""Integers a row: kind, index of the record in its block, offset and length of the
payload as captured, its length on the wire, source and destination port, offset of the
source address (the destination's follows it), length of an address, offsets of the
source and destination MAC address (-1: none), VLAN id (-1: none), TCP sequence number,
flow, side of the flow that sent, IP protocol."""

MORE = 6
"""The kind of a segment that looks like nothing but is owed; the others are those of
the protocol table."""

FRAGMENT = 7
"""The kind of a fragment of an IP packet: sequence number and flow are its offset and
identification (see `netwatch.dissect.fragments`)."""

CAPACITY = cython.declare(cython.longlong, 4096)
MARGIN = cython.declare(cython.longlong, 64)
WIDTH = cython.declare(cython.longlong, 16)
RECORD = cython.declare(cython.longlong, 6)
CUT = cython.declare(cython.int, 12)
TRANSPORT_UNKNOWN = cython.declare(cython.int, 8)
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
KIND_TCP_DNS = cython.declare(cython.longlong, 5)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)
SHORT_NEED = cython.declare(cython.longlong, 16384)
KIND_FRAGMENT = cython.declare(cython.longlong, 7)
KIND_MORE = cython.declare(cython.longlong, 6)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)
KEY_MASK = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFE00)


@cython.cclass
class Kernel(Tunnels):
    """One capture's walk. `slots` is the size of the flow table, a power of two; `seed`
    varies how flows spread over it, so that nobody can aim at a set. With `filtering`,
    messages with nothing but names that were learned are counted and give no row. With
    `recording`, flows that are over are kept until `flows.take` is called, which must be
    after each list of rows."""

    def __init__(
        self, slots: int = 65536, seed: int = 0, filtering: bool = False, recording: bool = False
    ) -> None:
        self.flows = Flows(slots, recording)
        self.odd = array("q", bytes(8 * len(ODDITIES)))
        self.rows = array("q", bytes(8 * (CAPACITY + MARGIN) * WIDTH))
        self.out = self.rows
        self.seed = seed & 0x7FFFFFFF
        self.salt = self.seed + 1
        self.filtering = filtering
        self.passed = array("q", bytes(8 * len(PASSED)))
        self.forget()
        self.packets = 0
        self.octets = 0
        self.candidates = 0

    def walk(self, block: Block, source: int = 0) -> Iterator[list[int]]:
        """Yield the block's rows as flat lists of whole rows (``COLUMNS`` integers each).

        `source` is a small number that flows keep with the number of their first packet.
        Offsets are into the block's buffer, valid as long as the block is.
        """
        links = array("q", [interface.link_type for interface in block.interfaces] or [0])
        start = 0
        self.first_number = source << 40 | block.first
        assert RECORD == FIELDS
        assert WIDTH == COLUMNS
        while start < block.count:
            start = self._walk(block.data, block.records, links, start, block.count)
            if self.count or self.flows.over:
                yield self.rows[: self.count * COLUMNS].tolist()

    def oddities(self) -> dict[str, int]:
        """How often each thing of `headers.ODDITIES` was met; those never met left out."""
        return {name: self.odd[i] for i, name in enumerate(ODDITIES) if self.odd[i]}

    def shown(self) -> dict[str, int]:
        """How many names were counted here and gave no row, by evidence."""
        return {name: self.passed[i] for i, name in enumerate(PASSED) if self.passed[i]}

    def _walk(
        self,
        data: cython.const[cython.uchar][::1],
        records: cython.longlong[::1],
        links: cython.longlong[::1],
        start: cython.longlong,
        stop: cython.longlong,
    ) -> int:
        """Walk records from `start` on until all are done or the rows are full; the
        number of the record to go on with."""
        i: cython.longlong
        at: cython.longlong
        self.data = data
        self.count = 0
        with cython.nogil:
            i = start
            while i < stop and self.count < CAPACITY and self.flows.over < CAPACITY:
                at = i * RECORD
                self.record = i
                i += 1
                self.now = records[at]
                self.at = records[at + 1]
                self.end = self.at + records[at + 2]
                self.wire_end = self.at + max(records[at + 2], records[at + 3])
                self.packets += 1
                self.octets += records[at + 3]
                self.vlan = records[at + 5]
                if self.vlan >= 0:
                    self.vlan &= 0xFFF
                if self.link(links[records[at + 4]]):
                    self.transport()
                while self.subframes and self.count < CAPACITY + MARGIN:
                    if self.subframe():
                        self.transport()
        return i

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def transport(self) -> cython.void:
        """What stands at `at`: a fragment, TCP, or UDP with what may be wrapped in it."""
        while True:
            if self.fragment >= 0:
                self.piece()
                return
            if self.proto == 6:
                self.tcp()
                return
            if not self.udp():
                return

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def piece(self) -> cython.void:
        """Write a row for a fragment of an IP packet: no ports, as sequence number its
        offset in bytes (bit 16: more follow), as flow its identification."""
        self.side = 0
        self.emit(KIND_FRAGMENT, self.at, self.fragment, self.fragment_id)

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
    def emit(
        self,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        seq: cython.longlong,
        flow: cython.longlong,
    ) -> cython.void:
        """Write a row for the payload at `at`."""
        row: cython.longlong = self.count * WIDTH
        self.out[row] = kind
        self.out[row + 1] = self.record
        self.out[row + 2] = at
        self.out[row + 3] = self.end - at
        self.out[row + 4] = self.wire_end - at
        self.out[row + 5] = 0 if kind == KIND_FRAGMENT else self.u16(self.at)
        self.out[row + 6] = 0 if kind == KIND_FRAGMENT else self.u16(self.at + 2)
        self.out[row + 7] = self.addr
        self.out[row + 8] = self.addr_len
        self.out[row + 9] = self.src_mac
        self.out[row + 10] = self.dst_mac
        self.out[row + 11] = self.vlan
        self.out[row + 12] = seq
        self.out[row + 13] = flow
        self.out[row + 14] = self.side
        self.out[row + 15] = self.proto
        self.count += 1
        self.candidates += 1

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
                self.flows.syn(slot, self.side, seq)
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
        behind = self.proxy(payload, self.end)
        if behind > payload:
            size -= behind - payload
            seq = (seq + behind - payload) & SEQ
            payload = behind
            if payload >= self.end:
                return
        if dns_port:
            kind = KIND_MORE
            if self.flows.first(slot, self.side, seq) or self.dns(
                payload + 2, self.end, self.wire_end
            ):
                kind = KIND_TCP_DNS
        elif self.tls(payload, self.end) and (
            self.end - payload > 5 or self.flows.may_begin(slot, self.side, seq)
        ):
            # Less than the record header and the message type may be any byte of data.
            kind = 2
            need = self.tls_need(payload, self.end)
        elif self.http(payload, self.end) or (
            self.flows.first(slot, self.side, seq) and self.http_begun(payload, self.end)
        ):
            kind = 4
            need = self.http_need(payload, self.end)
        elif self.http2(payload, self.end):
            kind = 11
            need = SHORT_NEED
        elif self.server_hello(payload, self.end):
            kind = 10
            need = SHORT_NEED
        elif self.socks(payload, self.end):
            kind = 9
        elif (
            size > 20
            and self.u16(payload) == size - 2
            and self.dns(payload + 2, self.end, self.wire_end)
        ):
            kind = KIND_TCP_DNS
        elif self.flows.wants(slot, self.side, seq, size):
            kind = KIND_MORE
        else:
            return
        if kind == 2 or kind == 4 or need:
            if need:
                self.flows.owe(slot, self.side, seq, need)
            elif self.flows.repeated(slot, self.side, seq):
                self.odd[REPEATED] += 1
                return
            else:
                self.flows.finish(slot, self.side, seq)
                if kind == 2 and self.tls_known(payload, self.end):
                    self.flows.client(slot, self.side, False)
                    self.flows.tell(slot, NAMED)
                    return
        if kind == 2 or kind == 4 or kind == 9 or kind == 11:
            self.flows.client(slot, self.side, False)
        elif kind == 10:
            self.flows.client(slot, 1 - self.side, False)
        self.emit(kind, payload, seq, self.flows.name(slot))

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
        """Write into a new slot who its two sides are."""
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
            if self.end < self.wire_end or not self.dns_known(payload, self.end):
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
        if self.quic(payload, self.end):
            kind = 3
            self.flows.wait(slot, self.side)
        elif self.gquic(payload, self.end):
            kind = 12
            self.flows.wait(slot, self.side)
        elif self.dtls(payload, self.end):
            kind = 8
        elif src != 137 and dst != 137 and self.dns(payload, self.end, self.wire_end):
            # NetBIOS names (RFC 1002) come in the same frame, and are names of hosts in
            # a workgroup.
            kind = 1
        else:
            return False
        self.emit(kind, payload, 0, key)
        return False
