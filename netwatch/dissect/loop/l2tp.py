# cython: language_level=3, boundscheck=True, wraparound=False
"""L2TP: version 2 with PPP, version 3 with whatever link its pseudowire is of.

A data message of version 3 does not say what is in it: the ends agreed on the length of the cookie
(0, 4 or 8 bytes), on whether a sublayer of four bytes follows, and on the link when they set up the
session, which a capture rarely contains. So the header of an IP packet is looked for where it would
be in each of these cases, and it is accepted only if the packet ends where the message does.
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


def l2tp(cursor: Cursor) -> cython.int:
    """A data message over UDP: of L2TP version 2 (RFC 2661 section 3.1) with PPP, or of version 3
    (RFC 3931 section 4.1.2.2)."""
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
    """The layer at the cursor, `layout.LAYER_STOPPED` where there is none that ends with the
    message: Ethernet with up to two tags, PPP, Cisco's HDLC, or IP."""
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
    """Whether an IP packet at `at` ends where the bytes on the wire do; or before, if these are no
    more than `room` from `at` on."""
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
