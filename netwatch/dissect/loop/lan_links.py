# cython: language_level=3, boundscheck=True, wraparound=False
"""Local networks other than Ethernet, and logical link control.

Token ring, ARCnet, InfiniBand, Fibre Channel and IEEE 1394; LLC (IEEE 802.2) and its replacements
for an EtherType: SNAP and NLPID. Each function reads one header at the cursor and returns the layer
that follows.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor


def read_lan(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the header of this layer."""
    if layer == layout.LAYER_TOKEN_RING:
        return token_ring(cursor)
    if layer == layout.LAYER_ARCNET:
        return arcnet(cursor, 2)
    if layer == layout.LAYER_ARCNET_LINUX:
        return arcnet(cursor, 4)
    if layer == layout.LAYER_IPOIB:
        return by_type(cursor, 40, 44)
    if layer == layout.LAYER_IP_OVER_FC:
        return ip_over_fc(cursor)
    return by_type(cursor, 16, 18)


def token_ring(cursor: Cursor) -> cython.int:
    """Token ring (IEEE 802.5): access and frame control, both addresses, a route if the highest bit
    of the sender's address is set, LLC."""
    size: cython.Py_ssize_t = 14
    if not cursor.has(14):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 1] & 0xC0 != 0x40:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # a frame that maintains the ring
    cursor.destination_mac = cursor.at + 2
    cursor.source_mac = cursor.at + 8
    if cursor.data[cursor.at + 8] & 0x80:
        cursor.source_mac = -1  # its address is changed by that bit
        if not cursor.has(16):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        size += cursor.data[cursor.at + 14] & 31
        if size < 16 or not cursor.has(size):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_LLC


def arcnet(cursor: Cursor, size: cython.Py_ssize_t) -> cython.int:
    """ARCnet: both addresses, on Linux the offset of the packet, and its protocol (RFC 1051), with
    a split flag and a sequence number (RFC 1201) after that of the later protocols."""
    kind: cython.int
    flag: cython.int
    if not cursor.has(size + 1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at + size]
    cursor.at += size + 1
    if kind == 0xF0:
        return layout.LAYER_IPV4
    if kind != 0xD4 and kind != 0xC4:
        return cursor.fail(layout.ANOMALY_NOT_IP)
    if not cursor.has(3):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    # A frame that would be too short for its size begins with 0xFF, and repeats the protocol.
    if size == 2 and cursor.data[cursor.at] == 0xFF:
        cursor.at += 4
        if not cursor.has(3):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    flag = cursor.data[cursor.at]
    cursor.at += 3
    # The first part of a packet has an odd number there, and is read to its end.
    if flag != 0 and flag & 1 == 0:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return layout.LAYER_IPV4 if kind == 0xD4 else layout.LAYER_IPV6


def by_type(cursor: Cursor, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
    """A header of `size` bytes with an EtherType at `at`: IP over InfiniBand (RFC 4391 section 6)
    after the addresses of LINKTYPE_IPOIB, and Apple's IP over IEEE 1394."""
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.ether_type = cursor.u16(cursor.at + at)
    cursor.at += size
    return layout.LAYER_ETHER_TYPE


def ip_over_fc(cursor: Cursor) -> cython.int:
    """IP over Fibre Channel (RFC 2625 section 3): names of both ports, LLC."""
    if not cursor.has(16):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.destination_mac = cursor.at + 2
    cursor.source_mac = cursor.at + 10
    cursor.at += 16
    return layout.LAYER_LLC


def llc(cursor: Cursor) -> cython.int:
    """The LLC header: both access points, and the control field of an unnumbered frame. Anything
    else (spanning tree, IS-IS, NetBIOS, IPX) is not IP."""
    points: cython.longlong
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if is_isl(cursor):
        return isl(cursor)
    # A frame of three bytes is whole, but no frame that was cut within the header of SNAP is.
    if not cursor.has(8) and (cursor.end < cursor.wire_end or not cursor.has(3)):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    points = cursor.u16(cursor.at)
    if cursor.data[cursor.at + 2] == 3:
        if points == 0xAAAA:
            cursor.at += 3
            return snap(cursor)
        if points == 0x0606:
            cursor.at += 3
            return layout.LAYER_IP
        if points == 0xFEFE:
            cursor.at += 3
            return nlpid(cursor)
    return cursor.fail(layout.ANOMALY_NOT_IP)


def snap(cursor: Cursor) -> cython.int:
    """SNAP (IEEE 802 section 9.2, RFC 1042): the organisation that assigned the protocol number,
    and the number.

    It is an EtherType with the OUI 00-00-00, and with 00-00-F8 (IEEE 802.1H); with 00-80-C2 it may
    be a bridged Ethernet frame (RFC 2684 section 5.2), with padding before it on some links. The
    numbers of others (Cisco, Apple) are protocols of their own.
    """
    oui: cython.longlong
    kind: cython.longlong
    if not cursor.has(5):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    oui = (cursor.u16(cursor.at) << 8) | cursor.data[cursor.at + 2]
    kind = cursor.u16(cursor.at + 3)
    cursor.at += 5
    if oui == 0 or oui == 0x0000F8:
        cursor.ether_type = kind
        return layout.LAYER_ETHER_TYPE
    if oui == 0x0080C2 and (kind == 1 or kind == 7):
        if not cursor.has(2):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        if cursor.u16(cursor.at) == 0:
            cursor.at += 2
        return layout.LAYER_ETHERNET
    return cursor.fail(layout.ANOMALY_NOT_IP)


def nlpid(cursor: Cursor) -> cython.int:
    """A network layer protocol identifier (ISO/IEC TR 9577, RFC 2427 section 3)."""
    kind: cython.int
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at]
    cursor.at += 1
    if kind == 0:  # padding
        if not cursor.has(1):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        kind = cursor.data[cursor.at]
        cursor.at += 1
    if kind == 0xCC:
        return layout.LAYER_IPV4
    if kind == 0x8E:
        return layout.LAYER_IPV6
    if kind == 0xCF:
        return layout.LAYER_PPP
    if kind == 0x80:
        return snap(cursor)
    return cursor.fail(layout.ANOMALY_NOT_IP)


def is_isl(cursor: Cursor) -> cython.bint:
    """Whether an Ethernet header that ends at the cursor has the address of a Cisco inter-switch
    link."""
    at: cython.Py_ssize_t = cursor.destination_mac
    if at < 0 or at + 14 != cursor.at:
        return False
    return (
        cursor.u16(at) & 0xFDFF == 0x0100
        and cursor.u16(at + 2) == 0x0C00
        and (cursor.data[at + 4] == 0)
    )


def isl(cursor: Cursor) -> cython.int:
    """Cisco's inter-switch link: 26 bytes before the whole frame, of which 14 replace an Ethernet
    header. The type of the frame is in the address, the VLAN after the OUI."""
    kind: cython.int = cursor.data[cursor.destination_mac + 5] >> 4
    if not cursor.has(12):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.vlan = (cursor.u16(cursor.at + 6) >> 1) & 0xFFF
    cursor.at += 12
    if kind == 0:
        return layout.LAYER_ETHERNET
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
