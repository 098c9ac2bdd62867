# cython: language_level=3, boundscheck=True, wraparound=False
"""The position of the packet loop in a packet.

The functions of `headers`, `link_types`, `tunnels` and `udp_tunnels` read one layer each: they move
`Cursor.at` past its header, narrow `Cursor.end` by its length field, and return the layer that
follows (`layout.LAYER_ETHERNET` and the like). `headers.read_layers` calls one after the other. If
a layer cannot be read, an anomaly is counted and the packet ends there.
"""

from array import array
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Octets, Words
from netwatch.core.encapsulation import (
    ETHER_TYPES,
    GRE_PROTOCOLS,
    IP_PROTOCOLS,
    LINK_TYPES,
    UDP_TUNNELS,
    Encapsulation,
    tunnel_number,
)
from netwatch.dissect.loop import layout as numbers
from netwatch.dissect.loop.layout import ANOMALIES

SAVED = cython.declare(cython.Py_ssize_t, 10)


def layer_number(name: str) -> int:
    """The number of a layer from its name in a table."""
    number: int = getattr(numbers, f"LAYER_{name.upper()}")
    return number


def layers_by_number(
    rows: Iterable[Encapsulation], size: int, missing: int = numbers.LAYER_STOPPED
) -> bytes:
    """The layer that follows each of `size` numbers; `missing` for numbers without a row."""
    layers = bytearray([missing]) * size
    for row in rows:
        layers[row.number] = layer_number(row.layer)
    return bytes(layers)


def layers_by_gre_protocol() -> bytes:
    """The layer that follows each GRE protocol type, which may be an EtherType that carries
    packets."""
    layers = bytearray(65536)
    for row in ETHER_TYPES:
        if row.layer != "stopped":
            layers[row.number] = layout.LAYER_ETHER_TYPE
    for row in GRE_PROTOCOLS:
        layers[row.number] = layer_number(row.layer)
    return bytes(layers)


def tunnels_by_port() -> bytes:
    """For each UDP port the number of the function that reads its tunnel; plus 128 if the port also
    counts as a source port."""
    tunnels = bytearray(65536)
    for row in UDP_TUNNELS:
        tunnels[row.port] = tunnel_number(row.function) + (128 if row.either else 0)
    return bytes(tunnels)


# All cursors of a process share these tables, which never change.
_ETHER_TYPES = layers_by_number(ETHER_TYPES, 65536, numbers.LAYER_UNKNOWN_ETHER_TYPE)
_LINK_TYPES = layers_by_number(LINK_TYPES, 512, numbers.LAYER_UNKNOWN_LINK)
_IP_PROTOCOLS = layers_by_number(IP_PROTOCOLS, 256)
_GRE_PROTOCOLS = layers_by_gre_protocol()
_UDP_TUNNELS = tunnels_by_port()


def tables() -> tuple[bytes, bytes]:
    """The layer that follows each EtherType, and the tunnel of each UDP port."""
    return _ETHER_TYPES, _UDP_TUNNELS


@cython.final
@cython.cclass
class Cursor(Window):
    """The position in one packet, and the content of the headers before it.

    `record` and `time` (ns) belong to the packet. The captured bytes end at `end`, the packet on
    the wire at `wire_end`; the two differ if a snap length cut the packet. Addresses, MACs (-1:
    none) and VLAN id (-1: none) are from the innermost header that has them; `addresses` is where
    the source address is, followed by the destination's.

    `checksum` is the checksum state (``CHECKSUM_``) of a packet that carries a name, until its flow
    has it. `fragment` is -1 unless `at` is after a fragment header: then its offset, with bit 16
    set if more fragments follow. `non_ip` is -1 unless the packet ended at something that carries
    no names: then its EtherType, or 0 for an IP protocol (`protocol`). `subframe` is where the next
    frame of an A-MSDU starts, 0 if there is none; the ``frame_`` fields describe the frame around
    it. `anomalies` counts by ``ANOMALY_`` number, and `failed` has the last of all `failures` in a
    ring; `unknown_ether_types` has pairs of an EtherType and its count (0: the pair is free).
    """

    def __init__(self) -> None:
        Window.__init__(self)
        self.anomalies: Words = array("q", bytes(8 * len(ANOMALIES)))
        self.failed: Words = array("q", bytes(8 * layout.FAILURES))
        self.failures = 0
        self.ether_types: Octets = _ETHER_TYPES
        self.link_types: Octets = _LINK_TYPES
        self.ip_protocols: Octets = _IP_PROTOCOLS
        self.gre_protocols: Octets = _GRE_PROTOCOLS
        self.udp_tunnels: Octets = _UDP_TUNNELS
        self.unknown_ether_types: Words = array("q", bytes(16 * layout.MAX_ETHER_TYPES))
        self.saved: Words = array("q", bytes(8 * SAVED))
        self.record = 0
        self.time = 0
        self.at = 0
        self.end = 0
        self.wire_end = 0
        self.ether_type = 0
        self.protocol = 0
        self.addresses = 0
        self.address_size = 0
        self.source_mac = -1
        self.destination_mac = -1
        self.vlan = -1
        self.ip_headers = 0
        self.other_headers = 0
        self.fragment = -1
        self.fragment_id = 0
        self.non_ip = -1
        self.subframe = 0
        self.frame_end = 0
        self.frame_wire_end = 0
        self.frame_vlan = -1
        self.frame_ip_headers = 0
        self.frame_other_headers = 0
        self.checksum = 0

    if not cython.compiled:
        # as `Window.u16`

        def fail(self, anomaly: int) -> int:
            """Count what ended the packet; returns that no layer follows."""
            self.anomalies[anomaly] += 1
            self.failed[self.failures & (layout.FAILURES - 1)] = anomaly
            self.failures += 1
            return layout.LAYER_STOPPED

        def has(self, size: int) -> bool:
            """Whether `size` bytes are left from `at` on."""
            return self.end - self.at >= size

        def start_packet(
            self, record: int, time: int, at: int, size: int, wire: int, vlan: int
        ) -> None:
            """Move to the start of another packet: `size` bytes at `at`, of `wire` on the wire."""
            self.record = record
            self.time = time
            self.at = at
            self.end = at + size
            self.wire_end = at + max(size, wire)
            self.vlan = vlan & 0xFFF if vlan >= 0 else -1
            self.source_mac = -1
            self.destination_mac = -1
            self.subframe = 0
            self.start_frame()

        def start_frame(self) -> None:
            """No header of a frame has been read yet."""
            self.ip_headers = 0
            self.other_headers = 0
            self.fragment = -1
            self.non_ip = -1

        def deeper_ip(self) -> bool:
            """Count an IP header; false if it is one too many."""
            self.ip_headers += 1
            if self.ip_headers > layout.MAX_IP_HEADERS:
                self.fail(layout.ANOMALY_WRAPPED_TOO_DEEP)
                return False
            return True

    def forget_failures(self, since: cython.longlong) -> cython.void:
        """Take back the anomalies of this packet counted after the first `since`."""
        while self.failures > since:
            self.failures -= 1
            self.anomalies[self.failed[self.failures & (layout.FAILURES - 1)]] -= 1

    def deeper(self) -> cython.bint:
        """Count a header that wraps something and is not IP; false if it is one too many."""
        self.other_headers += 1
        if self.other_headers > layout.MAX_OTHER_HEADERS:
            self.fail(layout.ANOMALY_WRAPPED_TOO_DEEP)
            return False
        return True

    def cut_short(self) -> cython.int:
        """Give up a tunnel with too few bytes, which is counted if the snap length cut them off;
        returns that no layer follows."""
        if self.end < self.wire_end:
            return self.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
        return layout.LAYER_STOPPED

    def fills(self) -> cython.bint:
        """Whether there is an IP packet at `at` that ends exactly at the end of the bytes on the
        wire."""
        left: cython.Py_ssize_t = self.wire_end - self.at
        if not self.has(6):
            return False
        if self.data[self.at] >> 4 == 4:
            return self.u16(self.at + 2) == left
        return self.data[self.at] >> 4 == 6 and self.u16(self.at + 4) + 40 == left

    def save(self) -> cython.void:
        """Remember the position, before what may be a tunnel is read."""
        self.saved[0] = self.at
        self.saved[1] = self.end
        self.saved[2] = self.wire_end
        self.saved[3] = self.addresses
        self.saved[4] = self.address_size
        self.saved[5] = self.source_mac
        self.saved[6] = self.destination_mac
        self.saved[7] = self.vlan
        self.saved[8] = self.ip_headers
        self.saved[9] = self.other_headers

    def restore(self) -> cython.void:
        """Return to the saved UDP header: its payload was no tunnel, or contains nothing that can
        be read."""
        self.at = self.saved[0]
        self.end = self.saved[1]
        self.wire_end = self.saved[2]
        self.addresses = self.saved[3]
        self.address_size = self.saved[4]
        self.source_mac = self.saved[5]
        self.destination_mac = self.saved[6]
        self.vlan = self.saved[7]
        self.ip_headers = self.saved[8]
        self.other_headers = self.saved[9]
        self.protocol = 17
        self.fragment = -1
        self.non_ip = -1
