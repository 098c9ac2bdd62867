# cython: language_level=3, boundscheck=True, wraparound=False
"""Tunnels over UDP: overlays of data centres, mobile and home tunnels.

A tunnel is recognized by its port (`netwatch.core.encapsulation.UDP_TUNNELS`) and by how it starts;
any other datagram on the port is a plain one. Each function reads one header at the cursor and
returns the layer that follows, `layout.LAYER_STOPPED` if the datagram is not a tunnel. To add a
tunnel, add a row to that table, a function here, and its line in `read_tunnel`.

Other senders may use the port too. So if a header has only an IP protocol, or nothing at all, the
packet inside must end where its datagram does.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.tunnels import l2tp
    from cython.cimports.netwatch.dissect.loop.wlan_tunnels import (
        capwap,
        lwapp,
        remote_capture,
        tzsp,
    )
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.tunnels import l2tp
    from netwatch.dissect.loop.wlan_tunnels import capwap, lwapp, remote_capture, tzsp

from netwatch.core.encapsulation import tunnel_number

VXLAN = cython.declare(cython.int, tunnel_number("vxlan"))
GENEVE = cython.declare(cython.int, tunnel_number("geneve"))
GTP = cython.declare(cython.int, tunnel_number("gtp"))
TEREDO = cython.declare(cython.int, tunnel_number("teredo"))
L2TP = cython.declare(cython.int, tunnel_number("l2tp"))
GRE_IN_UDP = cython.declare(cython.int, tunnel_number("gre_in_udp"))
MPLS_IN_UDP = cython.declare(cython.int, tunnel_number("mpls_in_udp"))
LISP = cython.declare(cython.int, tunnel_number("lisp"))
GUE = cython.declare(cython.int, tunnel_number("gue"))
CAPWAP = cython.declare(cython.int, tunnel_number("capwap"))
LWAPP = cython.declare(cython.int, tunnel_number("lwapp"))
TZSP = cython.declare(cython.int, tunnel_number("tzsp"))
AYIYA = cython.declare(cython.int, tunnel_number("ayiya"))
AMT = cython.declare(cython.int, tunnel_number("amt"))
JMIRROR = cython.declare(cython.int, tunnel_number("jmirror"))
REMOTE_CAPTURE = cython.declare(cython.int, tunnel_number("remote_capture"))
TEREDO_RELAY = cython.declare(cython.int, 127)


def gue(cursor: Cursor) -> cython.int:
    """Generic UDP encapsulation (draft-ietf-intarea-gue-09 section 3): variant 1 is an IP packet
    by itself, variant 0 has a header with an IP protocol, flags and fields."""
    first: cython.int
    flags: cython.longlong
    layer: cython.int
    if not cursor.has(8):
        return cursor.cut_short()
    first = cursor.data[cursor.at]
    if first >> 6 == 1:
        return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED
    if first >> 5:
        return layout.LAYER_STOPPED  # another variant, or a control message
    cursor.protocol = cursor.data[cursor.at + 1]
    flags = cursor.u16(cursor.at + 2)
    layer = tunnelled(cursor)
    if layer == layout.LAYER_STOPPED:
        return layout.LAYER_STOPPED
    if not cursor.has(4 + 4 * first):
        return cursor.cut_short()
    cursor.at += 4 + 4 * first
    if flags and not cursor.has(6):
        return cursor.cut_short()
    if flags and not cursor.fills():
        # A fragment, or transformed: the flags for this were never agreed upon.
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return layer


def tunnelled(cursor: Cursor) -> cython.int:
    """The layer of `Cursor.protocol`, if it carries packets."""
    layer: cython.int = cursor.ip_protocols[cursor.protocol]
    if (
        layer == layout.LAYER_TRANSPORT
        or layer == layout.LAYER_EXTENSION
        or layer == layout.LAYER_FRAGMENT
        or layer == layout.LAYER_AH
        or layer == layout.LAYER_ESP
    ):
        return layout.LAYER_STOPPED
    return layer


def ayiya(cursor: Cursor) -> cython.int:
    """Anything in anything (draft-massar-v6ops-ayiya-02 section 4.3): lengths, methods, next
    header, time, identity and signature, then what was forwarded."""
    first: cython.int
    second: cython.int
    third: cython.int
    size: cython.Py_ssize_t
    layer: cython.int
    if not cursor.has(8):
        return cursor.cut_short()
    first = cursor.data[cursor.at]
    second = cursor.data[cursor.at + 1]
    third = cursor.data[cursor.at + 2]
    if first & 15 > 2 or second & 15 > 2 or third >> 4 > 2:
        return layout.LAYER_STOPPED  # no type of identity, hash or authentication that exists
    if third & 15 != 1 and third & 15 != 3:
        return layout.LAYER_STOPPED  # nothing that is forwarded
    cursor.protocol = cursor.data[cursor.at + 3]
    layer = tunnelled(cursor)
    size = 8 + (1 << (first >> 4)) + 4 * (second >> 4)
    if layer == layout.LAYER_STOPPED or cursor.at + size >= cursor.wire_end:
        return layout.LAYER_STOPPED
    if not cursor.has(size):
        return cursor.cut_short()
    cursor.at += size
    return layer


def amt(cursor: Cursor) -> cython.int:
    """Automatic multicast tunneling (RFC 7450 section 5.1.6): a multicast data message."""
    if not cursor.has(8):
        return cursor.cut_short()
    if cursor.data[cursor.at] != 6:
        return layout.LAYER_STOPPED
    cursor.at += 2
    return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED


def jmirror(cursor: Cursor) -> cython.int:
    """Packets that a Juniper router mirrors: identifiers of the intercept and of the session in
    eight bytes, then IP."""
    if not cursor.has(14):
        return cursor.cut_short()
    cursor.at += 8
    return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED


def find_tunnel(cursor: Cursor, payload: cython.Py_ssize_t) -> cython.int:
    """The number of the tunnel that the datagram with its header at the cursor may be, 0 if none.
    Its payload is not empty."""
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
    if tunnel == GUE:
        return gue(cursor)
    if tunnel == CAPWAP:
        return capwap(cursor)
    if tunnel == LWAPP:
        return lwapp(cursor)
    if tunnel == TZSP:
        return tzsp(cursor)
    if tunnel == AYIYA:
        return ayiya(cursor)
    if tunnel == AMT:
        return amt(cursor)
    if tunnel == JMIRROR:
        return jmirror(cursor)
    if tunnel == REMOTE_CAPTURE:
        return remote_capture(cursor)
    if tunnel == TEREDO_RELAY:
        return layout.LAYER_IPV6
    return layout.LAYER_STOPPED


def vxlan(cursor: Cursor) -> cython.int:
    """VXLAN (RFC 7348) and its generic protocol extension. Reserved bits are ignored: some senders
    set them."""
    flags: cython.int
    if not cursor.has(8 + 14):
        return cursor.cut_short()
    flags = cursor.data[cursor.at]
    if flags & 8 == 0:
        return layout.LAYER_STOPPED
    cursor.at += 8
    if flags & 4 and 1 <= cursor.data[cursor.at - 5] <= 5:
        return next_protocol(cursor, cursor.data[cursor.at - 5])
    return layout.LAYER_ETHERNET


def geneve(cursor: Cursor) -> cython.int:
    """Geneve (RFC 8926) with its options."""
    size: cython.Py_ssize_t
    kind: cython.longlong
    if not cursor.has(8):
        return cursor.cut_short()
    if cursor.data[cursor.at] >> 6:
        return layout.LAYER_STOPPED
    size = 8 + 4 * (cursor.data[cursor.at] & 63)
    kind = cursor.u16(cursor.at + 2)
    if cursor.gre_protocols[kind] != layout.LAYER_ETHER_TYPE:
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
        return cursor.cut_short()
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
    """Teredo (RFC 4380 section 5.1.1): IPv6, optionally after an authentication and an origin
    indication."""
    if cursor.has(13) and cursor.u16(cursor.at) == 1:
        cursor.at += 13 + cursor.data[cursor.at + 2] + cursor.data[cursor.at + 3]
    if cursor.has(8) and cursor.u16(cursor.at) == 0:
        cursor.at += 8
    if not cursor.has(40):
        return cursor.cut_short()
    if cursor.data[cursor.at] >> 4 != 6:
        return layout.LAYER_STOPPED
    return layout.LAYER_IPV6


def is_teredo(cursor: Cursor, payload: cython.Py_ssize_t) -> cython.bint:
    """Whether a datagram between any ports is Teredo between a client and a relay or another client
    (RFC 4380 section 5.4): IPv6 that fills it, one address in 2001::/32."""
    if cursor.end - payload < 40 or cursor.u16(payload + 4) + 40 != cursor.wire_end - payload:
        return False
    return cursor.u32(payload + 8) == 0x20010000 or cursor.u32(payload + 24) == 0x20010000


def gre_in_udp(cursor: Cursor) -> cython.int:
    """GRE in UDP (RFC 8086)."""
    if not cursor.has(8):
        return cursor.cut_short()
    if cursor.u16(cursor.at) & 0x4FFF:
        return layout.LAYER_STOPPED
    return layout.LAYER_GRE


def lisp(cursor: Cursor) -> cython.int:
    """LISP data packets (RFC 9300 section 5): flags, nonce or map version, and locator status bits
    or instance ID in eight bytes, then IPv4 or IPv6, or the next protocol of LISP-GPE (RFC 9305
    section 3)."""
    flags: cython.int
    kind: cython.int
    if not cursor.has(8 + 14):
        return cursor.cut_short()
    flags = cursor.data[cursor.at]
    kind = cursor.data[cursor.at + 3]
    cursor.at += 8
    if flags & 3 and not cursor.fills():
        return cursor.fail(layout.ANOMALY_ENCRYPTED_TUNNEL)  # with the key of RFC 8061
    if flags & 4:
        return next_protocol(cursor, kind)
    if cursor.data[cursor.at] >> 4 == 4:
        return layout.LAYER_IPV4
    if cursor.data[cursor.at] >> 4 == 6:
        return layout.LAYER_IPV6
    return layout.LAYER_STOPPED


def next_protocol(cursor: Cursor, kind: cython.int) -> cython.int:
    """The layer of a next protocol of VXLAN-GPE and LISP-GPE (RFC 9305 section 6.1)."""
    if kind == 1:
        return layout.LAYER_IPV4
    if kind == 2:
        return layout.LAYER_IPV6
    if kind == 3:
        return layout.LAYER_ETHERNET
    if kind == 4:
        return layout.LAYER_NSH
    if kind == 5:
        return layout.LAYER_MPLS
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def mpls_in_udp(cursor: Cursor) -> cython.int:
    """MPLS in UDP (RFC 7510)."""
    return layout.LAYER_MPLS if cursor.has(8) else cursor.cut_short()
