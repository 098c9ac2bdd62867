# cython: language_level=3, boundscheck=True, wraparound=False
"""How the packets of one capture are divided among several workers: by their clients.

What is learned about a client, the addresses it has resolved and its incidents belong together, so
all packets of one client go to one worker, its owner. Before a flow is read, its client is known
only if exactly one end is inside the networks. If both are inside or both outside, the owners of
both read the flow; the owner of its lower end counts it, the owner of its client judges it. For a
DNS message, the QR bit tells the client. If no rule is applied, packets are divided by flow
instead.

The process that reads the capture decides for packets with ordinary headers (`divide`), so that a
worker skips the others without reading them. All workers get the rest, such as tunnels and
fragments, and decide for themselves after the headers (`netwatch.dissect.loop.share`), with the
same functions.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.octets import AddressHash
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.octets import AddressHash

from netwatch.core.buffers import Buffer, Octets, Words
from netwatch.dissect.loop.cursor import tables

MAX_WORKERS = 128
"""Workers that one capture is divided among, at most."""

OWNER_BITS = 8
"""`Division.of_ends` returns the owner of the lower end in the bits below, and the owner of the
greater end in those above."""

_V4 = cython.declare(cython.int, 1)
_V6_BY_16 = cython.declare(cython.int, 2)
_V6_BY_32 = cython.declare(cython.int, 4)
_V6_BY_48 = cython.declare(cython.int, 8)
_OWNER_BITS = cython.declare(cython.int, OWNER_BITS)

DNS = cython.declare(cython.longlong, 53)
MDNS = cython.declare(cython.longlong, 5353)
LLMNR = cython.declare(cython.longlong, 5355)
MIX = cython.declare(cython.ulonglong, 0x1E3779B97F4A7C15)
LOW63 = cython.declare(cython.ulonglong, 0x7FFFFFFFFFFFFFFF)


def inside_table(ranges: Iterable[IPv4Network | IPv6Network]) -> bytes:
    """Which addresses are inside any range, for `Division`: a table of 65,536 bytes.

    Ranges are rounded up to a 16-bit prefix for IPv4 and a 48-bit prefix for IPv6; IPv6 prefixes
    longer than 16 bits are hashed. An address near a range may thus count as inside, which costs
    time and changes no result.
    """
    table = bytearray(65536)
    for span in ranges:
        first, length = int(span.network_address), span.prefixlen
        if span.version == 4:
            for prefix in _prefixes(first >> 16, length, 16):
                table[prefix] |= 1
        elif length <= 16:
            for prefix in _prefixes(first >> 112, length, 16):
                table[prefix] |= 2
        elif length <= 32:
            for prefix in _prefixes(first >> 96, length, 32):
                table[_place(prefix, 0)] |= 4
        else:
            for prefix in _prefixes(first >> 80, length, 48):
                table[_place(prefix >> 16, prefix & 0xFFFF)] |= 8
    return bytes(table)


def _prefixes(first: int, length: int, bits: int) -> range:
    """All prefixes of `bits` bits in the range that begins at `first`."""
    return range(first, first + (1 << max(0, bits - length)))


def _place(word: cython.ulonglong, half: cython.ulonglong) -> cython.ulonglong:
    """The position of an IPv6 prefix in the table: 32 bits of it, and the next 16."""
    hash_: cython.ulonglong = ((word ^ (half << 32)) * MIX) & LOW63
    return (hash_ >> 40) & 0xFFFF


@cython.final
@cython.cclass
class Division(AddressHash):
    """Which of `workers` workers a packet belongs to, as its number.

    `inside` is a table from `inside_table`; `salt` (62 bits) varies how clients are spread, so that
    clients cannot be chosen to overload one worker. With `by_flow` packets are divided by flow. Set
    the bytes to read by `set_data` before any call with an offset.
    """

    def __init__(
        self, workers: int, inside: bytes, *, salt: int = 0, by_flow: bool = False
    ) -> None:
        AddressHash.__init__(self)
        if not 1 <= workers <= MAX_WORKERS:
            raise ValueError(f"workers must be between 1 and {MAX_WORKERS}")
        self.workers = workers
        self.salt = (salt & 0x3FFFFFFFFFFFFFFF) + 1
        self.by_flow = by_flow
        self.inside: Octets = inside
        self.ether_types, self.udp_tunnels = tables()

    def owner(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """The owner of the client with the address of `size` bytes at `at`."""
        return self.reduced(self.hashed(self.salt, at, size))

    def reduced(self, hash_: cython.ulonglong) -> cython.int:
        """The worker of a hash."""
        workers: cython.ulonglong = self.workers
        share: cython.ulonglong = (((hash_ * MIX) & LOW63) >> 31) * workers
        return share >> 32

    def is_inside(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Whether an address is inside the networks."""
        first: cython.longlong = self.u16(at)
        if size == 4:
            return self.inside[first] & _V4 != 0
        return (
            self.inside[first] & _V6_BY_16 != 0
            or self.inside[_place(self.u32(at), 0)] & _V6_BY_32 != 0
            or self.inside[_place(self.u32(at), self.u16(at + 4))] & _V6_BY_48 != 0
        )

    def of_ends(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """The owners of the flow between the two addresses at `at`: of its lower end and, from bit
        `OWNER_BITS` on, of its greater one. They are the same if only one end can be judged."""
        source: cython.int
        destination: cython.int
        inside: cython.bint = self.is_inside(at, size)
        i: cython.Py_ssize_t
        if inside != self.is_inside(at + size, size):
            source = self.owner(at if inside else at + size, size)
            return source | source << _OWNER_BITS
        source = self.owner(at, size)
        destination = self.owner(at + size, size)
        for i in range(at, at + size):
            if self.data[i] != self.data[i + size]:
                if self.data[i] < self.data[i + size]:
                    return source | destination << _OWNER_BITS
                break
        return destination | source << _OWNER_BITS

    def of_flow(
        self, at: cython.Py_ssize_t, size: cython.Py_ssize_t, ports: cython.Py_ssize_t
    ) -> cython.int:
        """The same for a TCP segment or a datagram that is not a lookup, with its two ports at
        `ports`."""
        a: cython.ulonglong
        b: cython.ulonglong
        owner: cython.int
        if not self.by_flow:
            return self.of_ends(at, size)
        a = self.hashed(self.salt ^ self.u16(ports), at, size)
        b = self.hashed(self.salt ^ self.u16(ports + 2), at + size, size)
        owner = self.reduced((a + b) & LOW63)
        return owner | owner << _OWNER_BITS

    def of_lookup(
        self,
        at: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        ports: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
    ) -> cython.int:
        """The same for a datagram on a DNS port, whose header is at `ports` and which was captured
        up to `end`. One that is too short to tell is a query."""
        owner: cython.int
        if self.by_flow:
            return self.of_flow(at, size, ports)
        if end - ports > 10 and self.data[ports + 10] & 0x80:
            at += size
        owner = self.owner(at, size)
        return owner | owner << _OWNER_BITS

    def is_client(self, worker: cython.int, client: bytes, other: bytes) -> bool:
        """Whether a worker judges a client with a flow or message to or from another packed
        address."""
        owners: cython.int
        size: cython.Py_ssize_t = len(client)
        if self.by_flow or not size:
            return True
        self.set_data(client + other)
        if self.is_inside(0, size) != self.is_inside(size, size):
            owners = self.of_ends(0, size)
            if owners & 255 == worker:
                return True
        return self.owner(0, size) == worker

    def is_counted(self, worker: cython.int, one: bytes, other: bytes) -> bool:
        """Whether a worker counts the flow between two packed addresses."""
        if self.by_flow:
            return True
        self.set_data(one + other)
        return self.of_ends(0, len(one)) & 255 == worker

    def divide(
        self,
        data: Octets,
        records: Words,
        count: cython.Py_ssize_t,
        layers: Words,
        out: Words,
        owners: Buffer,
    ) -> int:
        """Copy `count` records of a block to `out` and write the two owners of each packet into
        `owners`, `layout.EVERYONE` if its headers are not ordinary; returns the bytes of all
        packets on the wire. `layers` has the outermost layer for each interface."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        field: cython.Py_ssize_t
        pair: cython.int
        octets: cython.longlong = 0
        self.set_data(data)
        with cython.nogil:
            for i in range(count):
                at = i * layout.RECORD_FIELDS
                for field in range(layout.RECORD_FIELDS):
                    out[at + field] = records[at + field]
                octets += records[at + layout.RECORD_WIRE]
                pair = -1
                if layers[records[at + layout.RECORD_INTERFACE]] == layout.LAYER_ETHERNET:
                    pair = self.of_frame(
                        records[at + layout.RECORD_OFFSET],
                        records[at + layout.RECORD_CAPTURED],
                        records[at + layout.RECORD_WIRE],
                    )
                owners[2 * i] = layout.EVERYONE if pair < 0 else pair & 255
                owners[2 * i + 1] = layout.EVERYONE if pair < 0 else pair >> _OWNER_BITS
        return octets

    def of_frame(
        self, at: cython.Py_ssize_t, captured: cython.Py_ssize_t, wire: cython.Py_ssize_t
    ) -> cython.int:
        """The owners of an Ethernet frame; -1 unless it is one whole header of IP, directly
        followed by TCP or UDP outside a tunnel, in which the packet loop can find no anomaly."""
        end: cython.Py_ssize_t = at + captured
        wire_end: cython.Py_ssize_t = at + max(captured, wire)
        kind: cython.longlong
        header: cython.Py_ssize_t
        total: cython.Py_ssize_t
        protocol: cython.int
        if captured < 14 + 20:
            return -1
        kind = self.u16(at + 12)
        at += 14
        while self.ether_types[kind] == layout.LAYER_VLAN:
            if end - at < 4:
                return -1
            kind = self.u16(at + 2)
            at += 4
        if self.ether_types[kind] == layout.LAYER_IPV4:
            if end - at < 20 or self.data[at] >> 4 != 4 or self.u16(at + 6) & 0x3FFF:
                return -1
            header = (self.data[at] & 15) * 4
            total = self.u16(at + 2)
            if header < 20 or end - at < header or (total != 0 and total < header):
                return -1
            protocol = self.data[at + 9]
            if total != 0 and at + total < wire_end:
                wire_end = at + total
                end = min(end, wire_end)
            return self.of_transport(protocol, at + 12, 4, at + header, end, wire_end)
        if self.ether_types[kind] == layout.LAYER_IPV6:
            if end - at < 40 or self.data[at] >> 4 != 6:
                return -1
            total = self.u16(at + 4)
            protocol = self.data[at + 6]
            if total != 0 and at + 40 + total < wire_end:
                wire_end = at + 40 + total
                end = min(end, wire_end)
            return self.of_transport(protocol, at + 8, 16, at + 40, end, wire_end)
        return -1

    def of_transport(
        self,
        protocol: cython.int,
        addresses: cython.Py_ssize_t,
        size: cython.Py_ssize_t,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        wire_end: cython.Py_ssize_t,
    ) -> cython.int:
        """The owners of a packet with its transport header at `at`; -1 as in `of_frame`."""
        length: cython.Py_ssize_t
        source: cython.longlong
        destination: cython.longlong
        if protocol == 6:
            return self.of_flow(addresses, size, at) if end - at >= 20 else -1
        if protocol != 17 or end - at <= 8:
            return -1
        length = self.u16(at + 4)
        if length != 0:
            if length <= 8:
                return -1
            if at + length < wire_end:
                wire_end = at + length
                end = min(end, wire_end)
        source = self.u16(at)
        destination = self.u16(at + 2)
        if self.is_lookup(source, destination):
            if source == MDNS:
                return -1  # Everyone may learn from it.
            return self.of_lookup(addresses, size, at, end)
        if self.udp_tunnels[source] or self.udp_tunnels[destination]:
            return -1
        if (
            self.data[at + 8] >> 4 == 6
            and end - at >= 48
            and self.u16(at + 12) + 40 == wire_end - at - 8
        ):
            return -1  # It may be IPv6 in a tunnel between any ports (`udp_tunnels.is_teredo`).
        if 67 <= source <= 68 or 546 <= destination <= 547:
            return -1  # DHCP, which everyone may learn from.
        return self.of_flow(addresses, size, at)

    def is_lookup(self, source: cython.longlong, destination: cython.longlong) -> cython.bint:
        """Whether a datagram is on a port of DNS, mDNS or LLMNR."""
        return destination in (DNS, MDNS, LLMNR) or source in (DNS, MDNS, LLMNR)
