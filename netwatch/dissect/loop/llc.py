# cython: language_level=3, boundscheck=True, wraparound=False
"""Logical link control (IEEE 802.2) and what stands for an EtherType in it: SNAP and NLPID.

Each function reads one header at the cursor and answers which layer follows.
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


def llc(cursor: Cursor) -> cython.int:
    """The header of LLC: both access points, and the control field of an unnumbered frame. What
    else there is (spanning tree, IS-IS, NetBIOS, IPX) is no IP."""
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
    """SNAP (IEEE 802 section 9.2, RFC 1042): who assigned the protocol number, and the number.

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
    """Whether an Ethernet header that ends at the cursor is addressed as an inter-switch link of
    Cisco addresses its frames."""
    at: cython.Py_ssize_t = cursor.destination_mac
    if at < 0 or at + 14 != cursor.at:
        return False
    return (
        cursor.u16(at) & 0xFDFF == 0x0100
        and cursor.u16(at + 2) == 0x0C00
        and (cursor.data[at + 4] == 0)
    )


def isl(cursor: Cursor) -> cython.int:
    """Cisco's inter-switch link: 26 bytes before the whole frame, of which 14 stand where an
    Ethernet header does. The type of the frame is in the address, the VLAN behind the OUI."""
    kind: cython.int = cursor.data[cursor.destination_mac + 5] >> 4
    if not cursor.has(12):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.vlan = (cursor.u16(cursor.at + 6) >> 1) & 0xFFF
    cursor.at += 12
    if kind == 0:
        return layout.LAYER_ETHERNET
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
