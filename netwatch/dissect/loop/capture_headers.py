# cython: language_level=3, boundscheck=True, wraparound=False
"""Headers that the capturing system puts before a packet: what it knows about the packet.

Each function reads one header at the cursor and returns the layer that follows. Some headers name
the link type of what follows, and are read inside one another.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.wlan_tunnels import tzsp
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.wlan_tunnels import tzsp


def read_capture_header(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the header of this layer."""
    if layer == layout.LAYER_PKTAP:
        return pktap(cursor)
    if layer == layout.LAYER_PPI:
        return ppi(cursor)
    if layer == layout.LAYER_PFLOG:
        return pflog(cursor)
    if layer == layout.LAYER_ENC:
        return fixed(cursor, 12, layout.LAYER_IP)
    if layer == layout.LAYER_IPNET:
        return fixed(cursor, 24, layout.LAYER_IP)
    if layer == layout.LAYER_EPON:
        return fixed(cursor, 8, layout.LAYER_ETHERNET)
    if layer == layout.LAYER_PRISM:
        return prism(cursor)
    if layer == layout.LAYER_AVS:
        return avs(cursor)
    if layer == layout.LAYER_ERF:
        return erf(cursor)
    if layer == layout.LAYER_NETANALYZER:
        return netanalyzer(cursor)
    if layer == layout.LAYER_REDBACK:
        return redback(cursor)
    if layer == layout.LAYER_TZSP:
        return tzsp_link(cursor)
    return symantec(cursor)


def little(cursor: Cursor, at: cython.Py_ssize_t) -> cython.longlong:
    """Four bytes with the lowest first."""
    low: cython.longlong = cursor.data[at] | (cursor.data[at + 1] << 8)
    high: cython.longlong = cursor.data[at + 2] | (cursor.data[at + 3] << 8)
    return (high << 16) | low


def of_link_type(cursor: Cursor, number: cython.longlong) -> cython.int:
    """The layer of a link type that a header names."""
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if number >= len(cursor.link_types):
        return layout.LAYER_UNKNOWN_LINK
    return cursor.link_types[number]


def fixed(cursor: Cursor, size: cython.Py_ssize_t, layer: cython.int) -> cython.int:
    """A header of a fixed size: OpenBSD's enc(4), Solaris' IPNET, the preamble of EPON."""
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layer


def pktap(cursor: Cursor) -> cython.int:
    """Apple's PKTAP: its length, kind of record and link type in little-endian words, then
    information about the process."""
    size: cython.longlong
    kind: cython.longlong
    if not cursor.has(12):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = little(cursor, cursor.at)
    if size < 108:
        return cursor.fail(layout.ANOMALY_LINK_TYPE_UNKNOWN)
    if little(cursor, cursor.at + 4) != 1:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # without a packet
    if size > cursor.end - cursor.at:
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = little(cursor, cursor.at + 8)
    cursor.at += size
    return of_link_type(cursor, kind)


def ppi(cursor: Cursor) -> cython.int:
    """Per-packet information (PPI header format 1.0.10): little-endian length and link type."""
    size: cython.Py_ssize_t
    kind: cython.longlong
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = cursor.data[cursor.at + 2] | (cursor.data[cursor.at + 3] << 8)
    if size < 8 or not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = little(cursor, cursor.at + 4)
    cursor.at += size
    return of_link_type(cursor, kind)


def pflog(cursor: Cursor) -> cython.int:
    """The log of a BSD packet filter: its length, which is padded to four bytes."""
    size: cython.Py_ssize_t
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = (cursor.data[cursor.at] + 3) & -4
    if size < 4 or not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_IP


def prism(cursor: Cursor) -> cython.int:
    """The header of Prism drivers, its length at offset 4 in the byte order of the machine, before
    IEEE 802.11; an AVS header has the same link type."""
    size: cython.longlong
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.u16(cursor.at) == 0x8021:
        return avs(cursor)
    size = little(cursor, cursor.at + 4)
    if size > 0xFFFF:
        size = cursor.u16(cursor.at + 6)
    if size < 8 or size > cursor.end - cursor.at:
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_WLAN


def avs(cursor: Cursor) -> cython.int:
    """The AVS header (IEEE 802.11 wireless capture header): its length at offset 4."""
    size: cython.longlong
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = cursor.u32(cursor.at + 4)
    if size < 8 or size > cursor.end - cursor.at:
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_WLAN


def erf(cursor: Cursor) -> cython.int:
    """A record of Endace's extensible record format: time stamp, type, lengths, extension headers
    of eight bytes as long as their highest bit announces another one, and the content of the
    type."""
    kind: cython.int
    more: cython.int
    if not cursor.has(16):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at + 8] & 0x7F
    more = cursor.data[cursor.at + 8] & 0x80
    cursor.at += 16
    while more:
        if not cursor.has(8):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        more = cursor.data[cursor.at] & 0x80
        cursor.at += 8
    if kind == 2 or kind == 11 or kind == 16 or kind == 20:
        return fixed(cursor, 2, layout.LAYER_ETHERNET)
    if kind == 1 or kind == 10 or kind == 15 or kind == 19:
        return layout.LAYER_SERIAL_PPP
    if kind == 5 or kind == 17:
        return fixed(cursor, 4, layout.LAYER_SERIAL_PPP)
    if kind == 4 or kind == 9:  # a packet of AAL5 after the header of its cells
        return fixed(cursor, 4 if kind == 4 else 8, layout.LAYER_LLC)
    if kind == 22:
        return layout.LAYER_IPV4
    if kind == 23:
        return layout.LAYER_IPV6
    if kind == 0 or kind == 13 or kind == 14 or kind == 27 or kind == 48:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # padding, counters, metadata
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def tzsp_link(cursor: Cursor) -> cython.int:
    """TZSP as a link type, in which what is not TZSP is also counted."""
    counted: cython.longlong = tzsp_faults(cursor)
    layer: cython.int = tzsp(cursor)
    if layer == layout.LAYER_STOPPED and counted == tzsp_faults(cursor):
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return layer


def tzsp_faults(cursor: Cursor) -> cython.longlong:
    """The count so far of headers such as TZSP's."""
    return (
        cursor.anomalies[layout.ANOMALY_WRAPPING_UNKNOWN]
        + cursor.anomalies[layout.ANOMALY_WRAPPING_HEADER_CUT]
    )


def netanalyzer(cursor: Cursor) -> cython.int:
    """The header of Hilscher's netANALYZER: status, then the version and whether the record is a
    frame or an event of an input."""
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 1] & 1:
        return cursor.fail(layout.ANOMALY_NOT_IP)
    if cursor.data[cursor.at + 1] & 0x3C != 4:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    cursor.at += 4
    return layout.LAYER_ETHERNET


def redback(cursor: Cursor) -> cython.int:
    """The header of Redback SmartEdge routers: at offset 18 a protocol, the offset of the packet
    and the offset of its data, which is greater if an Ethernet header is between them."""
    kind: cython.longlong
    at: cython.longlong
    data: cython.longlong
    if not cursor.has(24):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.u16(cursor.at + 18)
    at = cursor.u16(cursor.at + 20)
    data = cursor.u16(cursor.at + 22)
    if at < 24 or not cursor.has(at):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += at
    if data > at or kind == 3 or kind == 4 or kind == 8:
        return layout.LAYER_ETHERNET
    if kind == 1:
        return layout.LAYER_IP
    return cursor.fail(layout.ANOMALY_NOT_IP)


def symantec(cursor: Cursor) -> cython.int:
    """The header of a Symantec firewall: 44 bytes with the EtherType at offset 6, in later versions
    56 bytes with the EtherType at offset 22."""
    if not cursor.has(44):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.ether_type = cursor.u16(cursor.at + 6)
    if cursor.ether_type != 0:
        cursor.at += 44
        return layout.LAYER_ETHER_TYPE
    cursor.ether_type = cursor.u16(cursor.at + 22)
    return fixed(cursor, 56, layout.LAYER_ETHER_TYPE)
