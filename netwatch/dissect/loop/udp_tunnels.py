# cython: language_level=3, boundscheck=True, wraparound=False
"""Tunnels over UDP: overlays of data centres, mobile and home tunnels.

A tunnel is recognized by its port (`netwatch.core.encapsulation.UDP_TUNNELS`) and by how it starts:
a datagram that does not start so is a plain one. Each function reads one header at the cursor and
answers which layer follows, `layout.LAYER_STOPPED` where the datagram is no tunnel. For another
tunnel, add a row to that table, a function here, and its line in `read_tunnel`.
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

from netwatch.core.encapsulation import tunnel_number

VXLAN = cython.declare(cython.int, tunnel_number("vxlan"))
GENEVE = cython.declare(cython.int, tunnel_number("geneve"))
GTP = cython.declare(cython.int, tunnel_number("gtp"))
TEREDO = cython.declare(cython.int, tunnel_number("teredo"))
L2TP = cython.declare(cython.int, tunnel_number("l2tp"))
GRE_IN_UDP = cython.declare(cython.int, tunnel_number("gre_in_udp"))
MPLS_IN_UDP = cython.declare(cython.int, tunnel_number("mpls_in_udp"))
LISP = cython.declare(cython.int, tunnel_number("lisp"))
TEREDO_RELAY = cython.declare(cython.int, 127)


def find_tunnel(cursor: Cursor, payload: cython.Py_ssize_t) -> cython.int:
    """The number of the tunnel that the datagram with its header at the cursor may be, 0 where it
    is none. Its payload is not empty."""
    tunnel: cython.int = cursor.udp_tunnels[cursor.u16(cursor.at + 2)] & 127
    reverse: cython.int = cursor.udp_tunnels[cursor.u16(cursor.at)]
    if reverse > 128 and (tunnel == 0 or reverse - 128 < tunnel):
        return reverse - 128
    if tunnel == 0 and cursor.data[payload] >> 4 == 6 and is_teredo(cursor, payload):
        return TEREDO_RELAY
    return tunnel


def read_tunnel(cursor: Cursor, tunnel: cython.int) -> cython.int:
    """The layer inside a tunnel whose first byte is at the cursor."""
    if tunnel == VXLAN:
        return vxlan(cursor)
    if tunnel == GENEVE:
        return geneve(cursor)
    if tunnel == GTP:
        return gtp(cursor)
    if tunnel == TEREDO:
        return teredo(cursor)
    if tunnel == L2TP:
        return l2tp(cursor)
    if tunnel == GRE_IN_UDP:
        return gre_in_udp(cursor)
    if tunnel == MPLS_IN_UDP:
        return mpls_in_udp(cursor)
    if tunnel == LISP:
        return lisp(cursor)
    if tunnel == TEREDO_RELAY:
        return layout.LAYER_IPV6
    return layout.LAYER_STOPPED


def cut_short(cursor: Cursor) -> cython.int:
    """A tunnel with too few bytes, which is counted where the snap length cut them off."""
    return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT) if cursor.end < cursor.wire_end else 0


def vxlan(cursor: Cursor) -> cython.int:
    """VXLAN (RFC 7348) and its generic protocol extension. Reserved bits are let be:
    some senders set them."""
    flags: cython.int
    kind: cython.int = 3
    if not cursor.has(8 + 14):
        return cut_short(cursor)
    flags = cursor.data[cursor.at]
    if flags & 8 == 0:
        return layout.LAYER_STOPPED
    if flags & 4:
        kind = cursor.data[cursor.at + 3]
    cursor.at += 8
    if kind == 1:
        return layout.LAYER_IPV4
    if kind == 2:
        return layout.LAYER_IPV6
    if kind == 4:
        return layout.LAYER_NSH
    return layout.LAYER_ETHERNET


def geneve(cursor: Cursor) -> cython.int:
    """Geneve (RFC 8926) with its options."""
    size: cython.Py_ssize_t
    kind: cython.longlong
    if not cursor.has(8):
        return cut_short(cursor)
    if cursor.data[cursor.at] >> 6:
        return layout.LAYER_STOPPED
    size = 8 + 4 * (cursor.data[cursor.at] & 63)
    kind = cursor.u16(cursor.at + 2)
    if kind != 0x6558 and kind != 0x0800 and kind != 0x86DD:
        return layout.LAYER_STOPPED
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.at += size
    cursor.ether_type = kind
    return layout.LAYER_ETHER_TYPE


def gtp(cursor: Cursor) -> cython.int:
    """GTP-U (3GPP TS 29.281 section 5): a G-PDU, its extension headers stepped over."""
    flags: cython.int
    following: cython.int
    size: cython.Py_ssize_t
    if not cursor.has(8 + 20):
        return cut_short(cursor)
    flags = cursor.data[cursor.at]
    if flags & 0xF0 != 0x30 or cursor.data[cursor.at + 1] != 255:
        return layout.LAYER_STOPPED
    cursor.at += 8
    if flags & 7:
        following = cursor.data[cursor.at + 3] if flags & 4 else 0
        cursor.at += 4
        while following:
            if not cursor.has(4):
                return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
            size = 4 * cursor.data[cursor.at]
            if size == 0 or not cursor.has(size):
                return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
            following = cursor.data[cursor.at + size - 1]
            cursor.at += size
    return layout.LAYER_IP


def teredo(cursor: Cursor) -> cython.int:
    """Teredo (RFC 4380 section 5.1.1): IPv6, after an authentication and an origin
    indication where they are."""
    if cursor.has(13) and cursor.u16(cursor.at) == 1:
        cursor.at += 13 + cursor.data[cursor.at + 2] + cursor.data[cursor.at + 3]
    if cursor.has(8) and cursor.u16(cursor.at) == 0:
        cursor.at += 8
    if not cursor.has(40):
        return cut_short(cursor)
    if cursor.data[cursor.at] >> 4 != 6:
        return layout.LAYER_STOPPED
    return layout.LAYER_IPV6


def is_teredo(cursor: Cursor, payload: cython.Py_ssize_t) -> cython.bint:
    """Whether a datagram between any ports is one that a Teredo client and a relay or another
    client send each other (RFC 4380 section 5.4): IPv6 that fills it, one address in 2001::/32."""
    if cursor.end - payload < 40 or cursor.u16(payload + 4) + 40 != cursor.wire_end - payload:
        return False
    return cursor.u32(payload + 8) == 0x20010000 or cursor.u32(payload + 24) == 0x20010000


def gre_in_udp(cursor: Cursor) -> cython.int:
    """GRE in UDP (RFC 8086)."""
    if not cursor.has(8):
        return cut_short(cursor)
    if cursor.u16(cursor.at) & 0x4FFF:
        return layout.LAYER_STOPPED
    return layout.LAYER_GRE


def lisp(cursor: Cursor) -> cython.int:
    """LISP data packets (RFC 9300 section 5): flags, nonce or map version, and locator status
    bits or instance ID in eight bytes, then IPv4 or IPv6."""
    if not cursor.has(8 + 20):
        return cut_short(cursor)
    cursor.at += 8
    if cursor.data[cursor.at] >> 4 == 4:
        return layout.LAYER_IPV4
    if cursor.data[cursor.at] >> 4 == 6:
        return layout.LAYER_IPV6
    return layout.LAYER_STOPPED


def mpls_in_udp(cursor: Cursor) -> cython.int:
    """MPLS in UDP (RFC 7510)."""
    return layout.LAYER_MPLS if cursor.has(8) else cut_short(cursor)


def l2tp(cursor: Cursor) -> cython.int:
    """A data message of L2TP version 2 (RFC 2661 section 3.1), with PPP."""
    flags: cython.longlong
    size: cython.Py_ssize_t = 6
    if not cursor.has(8):
        return cut_short(cursor)
    flags = cursor.u16(cursor.at)
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
