# cython: language_level=3, boundscheck=True, wraparound=False
"""Captures of Juniper routers: a link type for each kind of interface card.

All except virtual networks begin with a JUNOS header (a magic number, flags, extensions), which
releases before 7 leave out. It is followed by a cookie of the card and the frame of the link. Only
the bytes tell which of several forms a cookie has.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.lan_links import nlpid
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.lan_links import nlpid

INCOMING = cython.declare(cython.int, 0x01)
NO_LINK_HEADER = cython.declare(cython.int, 0x02)
EXTENSIONS = cython.declare(cython.int, 0x80)


def read_juniper(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the JUNOS header, then what follows it in this layer."""
    flags: cython.int = 0
    size: cython.Py_ssize_t = 4
    if layer == layout.LAYER_JUNIPER_VN:
        return virtual_network(cursor)
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.u16(cursor.at) == 0x4D47 and cursor.data[cursor.at + 2] == 0x43:
        flags = cursor.data[cursor.at + 3]
        if flags & EXTENSIONS:
            if not cursor.has(6):
                return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
            size = 6 + cursor.u16(cursor.at + 4)
        cursor.at += size
        if flags & NO_LINK_HEADER:
            return by_protocol(cursor, 4)
    return card(cursor, layer, flags)


def card(cursor: Cursor, layer: cython.int, flags: cython.int) -> cython.int:
    """What follows the JUNOS header, by the kind of card."""
    if layer == layout.LAYER_JUNIPER_ETHERNET:
        return layout.LAYER_ETHERNET
    if layer == layout.LAYER_JUNIPER_PPP:
        return layout.LAYER_PPP
    if layer == layout.LAYER_JUNIPER_FRAME_RELAY:
        return layout.LAYER_FRAME_RELAY
    if layer == layout.LAYER_JUNIPER_HDLC:
        return layout.LAYER_CISCO_HDLC
    if layer == layout.LAYER_JUNIPER_GGSN:
        return by_protocol(cursor, 2)
    if layer == layout.LAYER_JUNIPER_SERVICES:
        return ipv4_behind(cursor, 16 if flags & INCOMING else 12)
    if layer == layout.LAYER_JUNIPER_VOICE:
        return ipv4_behind(cursor, 18)
    if layer == layout.LAYER_JUNIPER_TUNNEL:
        return secure_tunnel(cursor)
    if layer == layout.LAYER_JUNIPER_ATM1 or layer == layout.LAYER_JUNIPER_ATM2:
        return atm(cursor, layer == layout.LAYER_JUNIPER_ATM2, flags)
    return multilink(cursor, layer == layout.LAYER_JUNIPER_MLPPP, flags)


def by_protocol(cursor: Cursor, size: cython.Py_ssize_t) -> cython.int:
    """A JUNOS protocol number, of four bytes or of two and two others, the lowest first."""
    kind: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at] | (cursor.data[cursor.at + 1] << 8)
    if size == 4 and cursor.u16(cursor.at + 2) != 0:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    cursor.at += 4
    if kind == 2 or kind == 3:
        return layout.LAYER_IPV4
    if kind == 6 or kind == 7:
        return layout.LAYER_IPV6
    if kind == 4 or kind == 5 or kind == 8 or kind == 32:
        return layout.LAYER_MPLS
    if kind == 200:
        return layout.LAYER_PPP
    if kind == 201:
        return nlpid(cursor)
    if kind == 202 or kind == 203:
        return layout.LAYER_LLC
    if kind == 204:
        return layout.LAYER_ETHERNET
    if kind == 207:
        return layout.LAYER_FRAME_RELAY
    if kind == 208:
        return layout.LAYER_CISCO_HDLC
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def ipv4_behind(cursor: Cursor, size: cython.Py_ssize_t) -> cython.int:
    """A cookie of a fixed size before IPv4."""
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_IPV4


def secure_tunnel(cursor: Cursor) -> cython.int:
    """Headers of Ethernet, IPv4 and ESP of a tunnel, and 16 bytes more, before the packet as it
    was before encryption."""
    size: cython.Py_ssize_t
    if not cursor.has(14 + 20):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    size = 14 + 4 * (cursor.data[cursor.at + 14] & 15) + 8 + 16
    if cursor.u16(cursor.at + 12) != 0x0800 or cursor.data[cursor.at + 14 + 9] != 50:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_IP


def atm(cursor: Cursor, second: cython.bint, flags: cython.int) -> cython.int:
    """The AAL5 packet after the cookie of a first or second generation ATM card: LLC, a bridged
    frame, PPP, an NLPID in Cisco's form, or IP."""
    kind: cython.longlong
    gap: cython.int
    size: cython.Py_ssize_t = 8 if second else 4
    if not cursor.has(size + 3):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    gap = cursor.data[cursor.at + 3] & 0x3F
    if second:
        if cursor.data[cursor.at + 7] & 0x70:  # a cell that maintains the circuit
            return cursor.fail(layout.ANOMALY_NOT_IP)
    elif cursor.data[cursor.at] == 0x80:
        return cursor.fail(layout.ANOMALY_NOT_IP)
    cursor.at += size
    kind = cursor.u16(cursor.at)
    if (kind == 0xFEFE or kind == 0xAAAA) and cursor.data[cursor.at + 2] == 3:
        return layout.LAYER_LLC
    if second and not flags & INCOMING and gap:
        return layout.LAYER_ETHERNET
    if second and is_ppp(kind):
        return layout.LAYER_PPP
    if kind >> 8 == 3:
        cursor.at += 1
        return nlpid(cursor)
    if kind >> 12 == 6 or (kind >> 12 == 4 and (kind >> 8) & 15 >= 5):
        return layout.LAYER_IP
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def is_ppp(kind: cython.longlong) -> cython.bint:
    """Whether a number is a PPP protocol that JUNOS speaks."""
    return (
        kind == 0x0021
        or kind == 0x0023
        or kind == 0x003D
        or kind == 0x0057
        or kind == 0x0281
        or kind == 0x0283
        or kind == 0x8021
        or kind == 0x8023
        or kind == 0x8057
        or kind == 0x8281
        or kind == 0xC021
        or kind == 0xC023
        or kind == 0xC223
    )


def multilink(cursor: Cursor, with_ppp: cython.bint, flags: cython.int) -> cython.int:
    """A packet of a bundle of PPP or frame relay links: a cookie of a services card (8 bytes), of a
    link services card (4), or another one or none."""
    first: cython.int
    kind: cython.int
    towards: cython.int
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    first = cursor.data[cursor.at]
    if first == 0x54:
        cursor.at += 4
        return layout.LAYER_PPP if with_ppp else after_control(cursor)
    if first != 0x40 and first != 0x47:
        return member_link(cursor, with_ppp)
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at + 5] & 0xF0
    towards = cursor.data[cursor.at + 4] & 3
    cursor.at += 8
    if kind == 0x00:
        if with_ppp:
            if flags & INCOMING and towards != 3:
                return layout.LAYER_PPP
            return layout.LAYER_IPV4
        return after_control(cursor) if towards == 3 else layout.LAYER_IPV4
    if kind == 0x10:
        return layout.LAYER_IPV6
    if kind == 0x20:
        return layout.LAYER_MPLS
    if kind == 0x30:
        return nlpid(cursor)
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def member_link(cursor: Cursor, with_ppp: cython.bint) -> cython.int:
    """A packet of a link in a bundle, or of a bundle with a cookie of two bytes."""
    if with_ppp:
        if cursor.u16(cursor.at) == 0xFF03 or is_ppp(cursor.u16(cursor.at)):
            return layout.LAYER_PPP
        if is_ppp(cursor.u16(cursor.at + 2)):
            cursor.at += 2
            return layout.LAYER_PPP
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    cursor.at += 2
    return after_control(cursor)


def after_control(cursor: Cursor) -> cython.int:
    """The NLPID after the control field of an unnumbered frame, which may be padded."""
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.u16(cursor.at) == 3:
        cursor.at += 2
        return nlpid(cursor)
    if cursor.data[cursor.at] == 3:
        cursor.at += 1
        return nlpid(cursor)
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def virtual_network(cursor: Cursor) -> cython.int:
    """Fields of a type, a length and a value (host, flags, names of both networks) up to the type
    255, before an Ethernet frame."""
    kind: cython.int = 0
    while kind != 255:
        if not cursor.has(2):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        kind = cursor.data[cursor.at]
        if kind == 0 or 4 < kind < 255:
            return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
        cursor.at += 2 + cursor.data[cursor.at + 1]
    return layout.LAYER_ETHERNET
