# cython: language_level=3, boundscheck=True, wraparound=False
"""Link types other than Ethernet and IP: cooked captures, radio frames, PPP, logs of a firewall.

Each function reads one header at the cursor and returns the layer that follows. A frame of IEEE
802.11 may contain several packets (A-MSDU): the loop asks for them one after the other.
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


def loopback(cursor: Cursor) -> cython.int:
    """BSD loopback: the address family is in the byte order of the capturing machine, and its
    number for IPv6 differs by system. The IP version nibble tells as well."""
    if not cursor.has(5):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 4
    return layout.LAYER_IP


def linux_sll(cursor: Cursor) -> cython.int:
    """Linux cooked capture (LINKTYPE_LINUX_SLL)."""
    if not cursor.has(16):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.u16(cursor.at + 4) == 6:
        cursor.source_mac = cursor.at + 6
    cursor.at += 16
    return by_protocol(cursor, cursor.u16(cursor.at - 2))


def linux_sll2(cursor: Cursor) -> cython.int:
    """Linux cooked capture v2 (LINKTYPE_LINUX_SLL2)."""
    if not cursor.has(20):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 11] == 6:
        cursor.source_mac = cursor.at + 12
    cursor.at += 20
    return by_protocol(cursor, cursor.u16(cursor.at - 20))


def by_protocol(cursor: Cursor, kind: cython.longlong) -> cython.int:
    """The layer of a Linux protocol number (linux/if_ether.h): an EtherType, or a number below all
    of them."""
    cursor.ether_type = kind
    if kind == 3:  # all protocols: the frame of the device
        return layout.LAYER_ETHERNET
    if kind == 7:
        return layout.LAYER_PPP
    return layout.LAYER_ETHER_TYPE


def fddi(cursor: Cursor) -> cython.int:
    """FDDI: frame control, both addresses, LLC."""
    if not cursor.has(13):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.destination_mac = cursor.at + 1
    cursor.source_mac = cursor.at + 7
    cursor.at += 13
    return layout.LAYER_LLC


def mpacket(cursor: Cursor) -> cython.int:
    """Ethernet as mPackets (IEEE 802.3br): a preamble of eight bytes comes first."""
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 8
    return layout.LAYER_ETHERNET


def radiotap(cursor: Cursor) -> cython.int:
    """Radiotap: its length is little-endian at offset 2."""
    size: cython.Py_ssize_t
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = cursor.data[cursor.at + 2] | (cursor.data[cursor.at + 3] << 8)
    if size < 8 or not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_WLAN


def wlan(cursor: Cursor) -> cython.int:
    """A data frame of IEEE 802.11 (section 9.3.2) that is not protected: the addresses by
    direction, QoS and HT control skipped, then LLC or an A-MSDU."""
    if not cursor.has(24):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    return wlan_frame(cursor, cursor.u16(cursor.at), cursor.data[cursor.at + 22] & 15)


def wlan_frame(cursor: Cursor, control: cython.longlong, fragment: cython.longlong) -> cython.int:
    """The same with this frame control field and fragment number, which the sender of a tunnel may
    store differently; 24 bytes are there."""
    amsdu: cython.bint = False
    if control & 0x0C00 != 0x0800 or control & 0x4000:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # management, control, or no data in it
    if control & 0x0040:
        return cursor.fail(layout.ANOMALY_WLAN_PROTECTED)
    if fragment:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # a later fragment of a frame
    cursor.destination_mac = cursor.at + 16 if control & 1 else cursor.at + 4
    cursor.source_mac = cursor.at + 16 if control & 2 else cursor.at + 10
    if control & 3 == 3:
        if not cursor.has(30):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        cursor.source_mac = cursor.at + 24
        cursor.at += 6
    cursor.at += 24
    if control & 0x8000:
        if not cursor.has(2):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        amsdu = cursor.data[cursor.at] & 0x80 != 0
        cursor.at += 6 if control & 0x0080 else 2
    if amsdu:
        if cursor.subframe:
            # An aggregate in a tunnel in an aggregate: only one is walked.
            return cursor.fail(layout.ANOMALY_WRAPPED_TOO_DEEP)
        cursor.subframe = cursor.at
        cursor.frame_ip_headers = cursor.ip_headers
        cursor.frame_other_headers = cursor.other_headers
        cursor.frame_end = cursor.end
        cursor.frame_wire_end = cursor.wire_end
        cursor.frame_vlan = cursor.vlan
        return next_subframe(cursor)
    return layout.LAYER_LLC


def next_subframe(cursor: Cursor) -> cython.int:
    """The next frame of an A-MSDU (IEEE 802.11 section 9.3.2.2), at `Cursor.subframe`, which is
    moved to the following frame, or set to 0."""
    size: cython.Py_ssize_t
    cursor.at = cursor.subframe
    cursor.end = cursor.frame_end
    cursor.wire_end = cursor.frame_wire_end
    cursor.vlan = cursor.frame_vlan
    cursor.subframe = 0
    cursor.start_frame()
    cursor.ip_headers = cursor.frame_ip_headers
    cursor.other_headers = cursor.frame_other_headers
    if not cursor.has(14):
        return cursor.fail(
            layout.ANOMALY_AMSDU_BAD
            if cursor.end == cursor.wire_end
            else layout.ANOMALY_LINK_HEADER_CUT
        )
    size = cursor.u16(cursor.at + 12)
    if size < 8 or cursor.at + 14 + size > cursor.wire_end:
        return cursor.fail(layout.ANOMALY_AMSDU_BAD)
    # Each but the last is padded to four bytes.
    if cursor.at + ((14 + size + 3) & -4) + 14 <= cursor.wire_end:
        cursor.subframe = cursor.at + ((14 + size + 3) & -4)
    cursor.destination_mac = cursor.at
    cursor.source_mac = cursor.at + 6
    cursor.at += 14
    return layout.LAYER_LLC


def nflog(cursor: Cursor) -> cython.int:
    """Linux netfilter log (LINKTYPE_NFLOG): type-length-value fields in the byte order
    of the machine, of which number 9 holds the packet."""
    size: cython.Py_ssize_t
    kind: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 4
    while cursor.has(4):
        # Types are small numbers, so their zero byte tells the order.
        size = cursor.data[cursor.at] | (cursor.data[cursor.at + 1] << 8)
        kind = cursor.data[cursor.at + 2]
        if kind == 0:
            size = cursor.u16(cursor.at)
            kind = cursor.data[cursor.at + 3]
        if size < 4:
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        if kind == 9:
            cursor.at += 4
            return layout.LAYER_IP
        cursor.at += (size + 3) & -4
    if cursor.at > cursor.end or cursor.end < cursor.wire_end:
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    return cursor.fail(layout.ANOMALY_NOT_IP)
