# cython: language_level=3, boundscheck=True, wraparound=False
"""PPP, in PPPoE and in tunnels, with what it may be wrapped in by itself.

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


def pppoe(cursor: Cursor) -> cython.int:
    """A PPPoE session (RFC 2516): version and type, code, session, length."""
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 6
    return layout.LAYER_PPP


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
    if kind == 0x31:
        return bridged(cursor)
    if kind == 0x3D:
        return multilink(cursor)
    if kind == 0x53 or kind == 0xFD:  # encrypted, compressed
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if kind == 0x2D or kind == 0x2F or 0x61 <= kind <= 0x69:  # with compressed headers
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return cursor.fail(layout.ANOMALY_NOT_IP)


def bridged(cursor: Cursor) -> cython.int:
    """A frame that PPP bridges (RFC 3518 section 4.2), behind flags and its kind."""
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 1] != 1:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # not of Ethernet
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    cursor.at += 2
    return layout.LAYER_ETHERNET


def multilink(cursor: Cursor) -> cython.int:
    """A packet of multilink PPP that is not in fragments (RFC 1990 section 3): the bits of both its
    ends are set. Sequence numbers end the first four bytes, or the first two where the ends agreed
    on that, which the protocol behind them tells."""
    if not cursor.has(6):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at] & 0xC0 != 0xC0:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # a fragment
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if cursor.data[cursor.at] & 0x3F == 0 and is_ip(cursor, cursor.at + 4):
        cursor.at += 4
        return layout.LAYER_PPP
    if cursor.data[cursor.at] & 0x30 == 0 and is_ip(cursor, cursor.at + 2):
        cursor.at += 2
        return layout.LAYER_PPP
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def is_ip(cursor: Cursor, at: cython.Py_ssize_t) -> cython.bint:
    """Whether the protocol field at `at`, of which two bytes are there, is that of IPv4 or IPv6."""
    if cursor.data[at] == 0:
        at += 1
    return cursor.data[at] == 0x21 or cursor.data[at] == 0x57
