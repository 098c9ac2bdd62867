# cython: language_level=3, boundscheck=True, wraparound=False
"""Tunnels and labels directly over IP and Ethernet.

Each function reads one header at the cursor and answers which layer follows. Tunnels over UDP are
in `netwatch.dissect.loop.udp_tunnels`.
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


def pppoe(cursor: Cursor) -> cython.int:
    """A PPPoE session (RFC 2516): version and type, code, session, length."""
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 6
    return layout.LAYER_PPP


def etherip(cursor: Cursor) -> cython.int:
    """EtherIP (RFC 3378)."""
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.at += 2
    return layout.LAYER_ETHERNET


def mpls(cursor: Cursor) -> cython.int:
    """A label stack (RFC 3032); under it IP, or Ethernet with or without a control
    word (RFC 4448). Nothing tells which but the bytes (RFC 4928 section 3)."""
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
    if (
        first == 0
        and cursor.has(18)
        and not (framed and not looks_like_frame(cursor, cursor.at + 4))
    ):
        cursor.at += 4
    return layout.LAYER_ETHERNET


def looks_like_frame(cursor: Cursor, at: cython.Py_ssize_t) -> cython.bint:
    """Whether what stands at `at` looks like an Ethernet frame with something to read."""
    kind: cython.longlong
    if cursor.end - at < 15:
        return False
    kind = cursor.u16(at + 12)
    if kind == 0x0800:
        return cursor.data[at + 14] >> 4 == 4
    if kind == 0x86DD:
        return cursor.data[at + 14] >> 4 == 6
    return kind == 0x8100 or kind == 0x88A8 or kind == 0x8847 or kind == 0x8864


def ppp(cursor: Cursor) -> cython.int:
    """PPP (RFC 1661), with or without address and control, its protocol field in one
    byte or two."""
    kind: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.u16(cursor.at) == 0xFF03:
        cursor.at += 2
    if cursor.data[cursor.at] & 1:
        kind = cursor.data[cursor.at]
        cursor.at += 1
    else:
        kind = cursor.u16(cursor.at)
        cursor.at += 2
    if kind == 0x21:
        return layout.LAYER_IPV4
    if kind == 0x57:
        return layout.LAYER_IPV6
    if kind == 0x281 or kind == 0x283:
        return layout.LAYER_MPLS
    if kind == 0x3D or kind == 0x53 or kind == 0xFD:  # multilink, encrypted, compressed
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return cursor.fail(layout.ANOMALY_NOT_IP)


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
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def gre(cursor: Cursor) -> cython.int:
    """GRE (RFC 2784, RFC 2890) with IP, Ethernet, ERSPAN I to III, MPLS or NSH in it;
    version 1 as PPTP has it (RFC 2637), with PPP."""
    flags: cython.longlong
    kind: cython.longlong
    if not cursor.has(8):
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
        return layout.LAYER_PPP if kind == 0x880B else cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if flags & 0x4007:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # source routes (RFC 1701) are history
    if kind == 0x88BE:
        # Type I has no header of its own and no sequence number, type II has both.
        if flags & 0x1000:
            cursor.at += 8
        return layout.LAYER_ETHERNET
    if kind == 0x22EB:
        if not cursor.has(12):
            return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
        cursor.at += 20 if cursor.data[cursor.at + 11] & 1 else 12
        return layout.LAYER_ETHERNET
    if (
        kind == 0x0800
        or kind == 0x86DD
        or kind == 0x6558
        or kind == 0x8847
        or kind == 0x8848
        or kind == 0x894F
        or kind == 0x8100
    ):
        cursor.ether_type = kind
        return layout.LAYER_ETHER_TYPE
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
