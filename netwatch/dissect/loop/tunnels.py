# cython: language_level=3, boundscheck=True, wraparound=False
"""Tunnels and labels directly over IP and Ethernet.

Each function reads one header at the cursor and returns the layer that follows. Tunnels over UDP
are in `netwatch.dissect.loop.udp_tunnels`; L2TP, which runs over both, is here: version 2 with PPP,
version 3 with any pseudowire.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.wlan_tunnels import has_packet
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.wlan_tunnels import has_packet


def etherip(cursor: Cursor) -> cython.int:
    """EtherIP (RFC 3378)."""
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.at += 2
    return layout.LAYER_ETHERNET


def mpls(cursor: Cursor) -> cython.int:
    """A label stack (RFC 3032); under it IP, or Ethernet with or without a control word (RFC 4448).
    Only the bytes tell which (RFC 4928 section 3)."""
    first: cython.int
    framed: cython.bint
    left: cython.Py_ssize_t
    while True:
        if not cursor.has(5):
            return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
        cursor.at += 4
        if cursor.data[cursor.at - 2] & 1:
            break
    first = cursor.data[cursor.at] >> 4
    framed = looks_like_frame(cursor, cursor.at)
    left = cursor.wire_end - cursor.at
    if first == 4 and not (framed and cursor.u16(cursor.at + 2) > left):
        return layout.LAYER_IPV4
    if first == 6 and not (framed and cursor.u16(cursor.at + 4) + 40 > left):
        return layout.LAYER_IPV6
    if first == 5 and not framed:
        return bier(cursor)
    if first == 1 and not framed:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # an associated channel (RFC 5586)
    if (
        first == 0
        and cursor.has(18)
        and not (framed and not looks_like_frame(cursor, cursor.at + 4))
    ):
        cursor.at += 4
    return layout.LAYER_ETHERNET


def bier(cursor: Cursor) -> cython.int:
    """A header of bit index explicit replication after its label (RFC 8296 section 2.1): lengths,
    next protocol, and a string of bits."""
    size: cython.Py_ssize_t
    kind: cython.int
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    size = cursor.data[cursor.at + 1] >> 4
    kind = cursor.data[cursor.at + 5] & 63
    if cursor.data[cursor.at] & 15 or size < 1 or size > 7:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # another version or length
    size = 8 + (4 << size)
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    cursor.at += size
    if kind == 1 or kind == 2:
        return layout.LAYER_MPLS
    if kind == 3:
        return layout.LAYER_ETHERNET
    if kind == 4:
        return layout.LAYER_IPV4
    if kind == 6:
        return layout.LAYER_IPV6
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def looks_like_frame(cursor: Cursor, at: cython.Py_ssize_t) -> cython.bint:
    """Whether the bytes at `at` look like an Ethernet frame with something to read."""
    kind: cython.longlong
    if cursor.end - at < 15:
        return False
    kind = cursor.u16(at + 12)
    if kind == 0x0800:
        return cursor.data[at + 14] >> 4 == 4
    if kind == 0x86DD:
        return cursor.data[at + 14] >> 4 == 6
    return kind == 0x8100 or kind == 0x88A8 or kind == 0x8847 or kind == 0x8864


def nsh(cursor: Cursor) -> cython.int:
    """Network service header (RFC 8300)."""
    size: cython.Py_ssize_t
    kind: cython.int
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    size = (cursor.data[cursor.at + 1] & 63) * 4
    kind = cursor.data[cursor.at + 3]
    if size < 8 or not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.at += size
    if kind == 1:
        return layout.LAYER_IPV4
    if kind == 2:
        return layout.LAYER_IPV6
    if kind == 3:
        return layout.LAYER_ETHERNET
    if kind == 4 or kind == 5:
        if not cursor.deeper():
            return layout.LAYER_STOPPED
        return layout.LAYER_NSH if kind == 4 else layout.LAYER_MPLS
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def gre(cursor: Cursor) -> cython.int:
    """GRE (RFC 2784, RFC 2890) with its source routes (RFC 1701); version 1 in the forms of PPTP
    (RFC 2637) and EoIP."""
    flags: cython.longlong
    kind: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    flags = cursor.u16(cursor.at)
    kind = cursor.u16(cursor.at + 2)
    cursor.at += 4
    if flags & 0xC000:
        cursor.at += 4
    if flags & 0x2000:
        cursor.at += 4
    if flags & 0x1000:
        cursor.at += 4
    if flags & 7 == 1:
        if flags & 0x0080:
            cursor.at += 4
        if kind == 0x880B:
            return layout.LAYER_PPP
        if kind != 0x6400:
            return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    elif flags & 7:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if flags & 0x4000 and not source_routes(cursor):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    return gre_payload(cursor, kind, flags & 0x1000 != 0)


def source_routes(cursor: Cursor) -> cython.bint:
    """Step over the routing field of GRE (RFC 1701 section 4); false if it does not end."""
    last: cython.bint
    while cursor.has(4):
        last = cursor.u16(cursor.at) == 0 and cursor.data[cursor.at + 3] == 0
        cursor.at += 4 + cursor.data[cursor.at + 3]
        if last:
            return True
    return False


def gre_payload(cursor: Cursor, kind: cython.longlong, sequenced: cython.bint) -> cython.int:
    """The layer of a GRE protocol type; `sequenced` if there was a sequence number."""
    layer: cython.int = cursor.gre_protocols[kind]
    if layer == layout.LAYER_ETHER_TYPE:
        cursor.ether_type = kind
    elif layer == layout.LAYER_ERSPAN:
        # Type I has no header of its own and no sequence number, type II has both.
        cursor.at += 8 if sequenced else 0
        return layout.LAYER_ETHERNET
    elif layer == layout.LAYER_ERSPAN_3:
        return erspan_3(cursor)
    elif layer == layout.LAYER_WCCP:
        return wccp(cursor)
    elif layer == layout.LAYER_CONTROL or (kind == 0x6400 and cursor.at == cursor.wire_end):
        return cursor.fail(layout.ANOMALY_NOT_IP)  # including the keep-alive of EoIP
    elif layer == layout.LAYER_STOPPED:
        return further_aruba(cursor, kind)
    return layer


def further_aruba(cursor: Cursor, kind: cython.longlong) -> cython.int:
    """A data frame of IEEE 802.11 after one of Aruba's numbers that are not in the table."""
    if kind < 0x8200 or kind > 0x9000 or kind & 0xF:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if cursor.end < cursor.wire_end and not cursor.has(layout.WLAN_TO_PACKET):
        return cursor.cut_short()
    if cursor.has(24) and has_packet(cursor, cursor.at, cursor.u16(cursor.at), True):
        return layout.LAYER_WLAN
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def wccp(cursor: Cursor) -> cython.int:
    """A packet that WCCP redirects (draft-wilson-wrec-wccp-v2-01 section 4.12.2). Version 2 puts a
    redirect header of four bytes before it, whose first byte has no more than three bits, the
    highest, set."""
    first: cython.int
    if not cursor.has(6):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    first = cursor.data[cursor.at]
    if not (0x45 <= first <= 0x4F or (first >> 4 == 6 and cursor.fills())):
        cursor.at += 4
    return layout.LAYER_IP


def erspan_3(cursor: Cursor) -> cython.int:
    """ERSPAN III (draft-foschiano-erspan-03 section 4.3) with Ethernet or IP."""
    kind: cython.longlong
    if not cursor.has(12):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    kind = (cursor.u16(cursor.at + 10) >> 10) & 31
    cursor.at += 20 if cursor.data[cursor.at + 11] & 1 else 12
    if kind == 0:
        return layout.LAYER_ETHERNET
    if kind == 2:
        return layout.LAYER_IP
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def l2tp(cursor: Cursor) -> cython.int:
    """A data message over UDP: L2TP version 2 (RFC 2661 section 3.1) with PPP, or version 3 (RFC
    3931 section 4.1.2.2)."""
    flags: cython.longlong
    size: cython.Py_ssize_t = 6
    if not cursor.has(8):
        return cursor.cut_short()
    flags = cursor.u16(cursor.at)
    if flags == 3:
        cursor.at += 4
        return l2tpv3(cursor) if cursor.u32(cursor.at) else layout.LAYER_STOPPED
    if flags & 0x800F != 2:
        return layout.LAYER_STOPPED
    if flags & 0x4000:
        size += 2
    if flags & 0x0800:
        size += 4
    if flags & 0x0200:
        if not cursor.has(size + 2):
            return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
        size += 2 + cursor.u16(cursor.at + size)
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_PPP


def l2tpv3(cursor: Cursor) -> cython.int:
    """A data message of L2TP version 3 from its session header on (RFC 3931 section 4.1): session,
    cookie, sublayer, and a frame or packet."""
    offset: cython.Py_ssize_t
    start: cython.Py_ssize_t
    layer: cython.int
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    if cursor.u32(cursor.at) == 0:
        return cursor.fail(layout.ANOMALY_NOT_IP)  # a control message
    start = cursor.at + 4
    for offset in range(0, 16, 4):
        cursor.at = start + offset
        layer = payload(cursor)
        if layer != layout.LAYER_STOPPED:
            return layer
    if cursor.end < cursor.wire_end and cursor.end - start < 12 + 14 + 8 + 28:
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def payload(cursor: Cursor) -> cython.int:
    """The layer at the cursor, `layout.LAYER_STOPPED` if none ends with the message: Ethernet with
    up to two tags, PPP, Cisco HDLC, or IP."""
    at: cython.Py_ssize_t = cursor.at
    kind: cython.longlong
    tags: cython.int = 0
    if is_ip(cursor, at, 0):
        return layout.LAYER_IP
    if not cursor.has(4):
        return layout.LAYER_STOPPED
    kind = cursor.u16(at)
    if (kind == 0x0F00 or kind == 0x8F00) and is_ip(cursor, at + 4, 0):
        cursor.at += 4
        return layout.LAYER_IP
    if kind == 0xFF03 and is_ip(cursor, at + 4, 0):
        return layout.LAYER_PPP
    if (kind == 0x0021 or kind == 0x0057) and is_ip(cursor, at + 2, 0):
        return layout.LAYER_PPP
    at += 12
    while cursor.end - at >= 2:
        kind = cursor.u16(at)
        at += 2
        if kind == 0x0800 or kind == 0x86DD:
            # A frame of 64 bytes or less, with its check sequence, may be padded.
            return (
                layout.LAYER_ETHERNET
                if is_ip(cursor, at, 64 - (at - cursor.at))
                else layout.LAYER_STOPPED
            )
        if kind == 0x0806:
            return layout.LAYER_ETHERNET if is_arp(cursor, at) else layout.LAYER_STOPPED
        if (kind != 0x8100 and kind != 0x88A8) or tags == 2:
            break
        tags += 1
        at += 2
    return layout.LAYER_STOPPED


def is_ip(cursor: Cursor, at: cython.Py_ssize_t, room: cython.Py_ssize_t) -> cython.bint:
    """Whether an IP packet at `at` ends with the bytes on the wire; or before, if these are at most
    `room` from `at` on."""
    left: cython.Py_ssize_t = cursor.wire_end - at
    size: cython.longlong
    if cursor.end - at < 6:
        return False
    if 0x45 <= cursor.data[at] <= 0x4F:
        size = cursor.u16(at + 2)
    elif cursor.data[at] >> 4 == 6:
        size = cursor.u16(at + 4) + 40
    else:
        return False
    return size == left or (20 <= size <= left <= room)


def is_arp(cursor: Cursor, at: cython.Py_ssize_t) -> cython.bint:
    """Whether ARP for IPv4 over Ethernet (RFC 826) is at `at`."""
    if cursor.end - at < 28:
        return False
    return cursor.u32(at) == 0x00010800 and cursor.u16(at + 4) == 0x0604
