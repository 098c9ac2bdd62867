# cython: language_level=3, boundscheck=True, wraparound=False
"""Serial and carrier links: Cisco HDLC, PPP, frame relay, generic framing, ATM.

PPP is used on the line, in PPPoE and in tunnels. Each function reads one header at the cursor and
returns the layer that follows.
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


def read_serial(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the header of this layer."""
    if layer == layout.LAYER_CISCO_HDLC:
        return cisco_hdlc(cursor)
    if layer == layout.LAYER_FRAME_RELAY:
        return frame_relay(cursor)
    if layer == layout.LAYER_SERIAL_PPP:
        return serial_ppp(cursor)
    if layer == layout.LAYER_DIRECTED_PPP:
        return directed(cursor, layout.LAYER_PPP)
    if layer == layout.LAYER_DIRECTED_HDLC:
        return directed(cursor, layout.LAYER_CISCO_HDLC)
    if layer == layout.LAYER_DIRECTED_FRAME_RELAY:
        return directed(cursor, layout.LAYER_FRAME_RELAY)
    if layer == layout.LAYER_GFP:
        return gfp(cursor)
    if layer == layout.LAYER_CLASSICAL_IP:
        return classical_ip(cursor)
    return sun_atm(cursor)


def cisco_hdlc(cursor: Cursor) -> cython.int:
    """Cisco HDLC: address, control, and an EtherType (RFC 1547 section 4.3.1), or the number of a
    protocol that is not IP: UDLD, spanning tree, IS-IS."""
    kind: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.u16(cursor.at + 2)
    cursor.at += 4
    if kind < 0x600 or kind == 0x4242 or kind == 0xFEFE:
        return cursor.fail(layout.ANOMALY_NOT_IP)
    cursor.ether_type = kind
    return layout.LAYER_ETHER_TYPE


def serial_ppp(cursor: Cursor) -> cython.int:
    """PPP on a serial line, or Cisco HDLC, by its first two bytes (RFC 1547 section 4.3.1)."""
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at] & 0x7F == 0x0F and cursor.data[cursor.at + 1] == 0:
        return layout.LAYER_CISCO_HDLC
    return layout.LAYER_PPP


def directed(cursor: Cursor, layer: cython.int) -> cython.int:
    """A byte that tells who sent the packet, before the header of a layer."""
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += 1
    return layer


def frame_relay(cursor: Cursor) -> cython.int:
    """Frame relay (ITU-T Q.922): an address of two to four bytes, then an NLPID in an unnumbered
    frame (RFC 2427), or an EtherType as Cisco writes it."""
    size: cython.Py_ssize_t = 1
    control: cython.int
    # The lowest bit of each byte of the address marks the last one.
    while size <= 4 and cursor.has(size) and cursor.data[cursor.at + size - 1] & 1 == 0:
        size += 1
    if not cursor.has(size + 2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if size < 2 or size > 4:  # a fragment (FRF.12), or none
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    control = cursor.data[cursor.at + size]
    if control == 3:
        cursor.at += size + 1
        return nlpid(cursor)
    # Signalling, and frames with another control field, carry no IP.
    if control == 0xAF or cursor.u16(cursor.at) & 0xFCF0 == 0:
        return cursor.fail(layout.ANOMALY_NOT_IP)
    # The EtherType is at the same place as in Cisco HDLC.
    cursor.at += size - 2
    return cisco_hdlc(cursor)


def gfp(cursor: Cursor) -> cython.int:
    """The generic framing procedure (ITU-T G.7041): core header, type, and an extension header for
    some types."""
    kind: cython.longlong
    size: cython.Py_ssize_t = 8
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.u16(cursor.at + 4)
    if kind & 0xE000:  # management of the client
        return cursor.fail(layout.ANOMALY_NOT_IP)
    if kind & 0x0F00 == 0x0100:
        size = 12
    elif kind & 0x0F00:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    kind = kind & 0xFF
    if kind == 1:
        return layout.LAYER_ETHERNET
    if kind == 2:
        return layout.LAYER_PPP
    if kind == 0x0D:
        return layout.LAYER_MPLS
    if kind == 0x10:
        return layout.LAYER_IPV4
    if kind == 0x11:
        return layout.LAYER_IPV6
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def classical_ip(cursor: Cursor) -> cython.int:
    """IP over ATM as Linux captures it (RFC 2225): LLC and SNAP, or neither."""
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    return layout.LAYER_LLC if cursor.data[cursor.at] == 0xAA else layout.LAYER_IP


def sun_atm(cursor: Cursor) -> cython.int:
    """ATM as SunATM captures it: flags with the kind of traffic, path and circuit, then the packet
    of AAL5 with LLC (RFC 2684), or of LAN emulation after two bytes of its own."""
    kind: cython.int
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    kind = cursor.data[cursor.at] & 15
    cursor.at += 4
    if kind == 2 or kind == 0:
        return layout.LAYER_LLC
    if kind == 1:
        if not cursor.has(2):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        cursor.at += 2
        return layout.LAYER_ETHERNET
    return cursor.fail(layout.ANOMALY_NOT_IP)  # signalling and management


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
    """A frame that PPP bridges (RFC 3518 section 4.2), after flags and its kind."""
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 1] != 1:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # not of Ethernet
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    cursor.at += 2
    return layout.LAYER_ETHERNET


def multilink(cursor: Cursor) -> cython.int:
    """A multilink PPP packet that is not fragmented (RFC 1990 section 3): the bits of both its ends
    are set. Sequence numbers end the first four bytes, or the first two if the ends agreed on that,
    which the following protocol tells."""
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
    """Whether the protocol field at `at`, of which two bytes are there, is IPv4 or IPv6."""
    if cursor.data[at] == 0:
        at += 1
    return cursor.data[at] == 0x21 or cursor.data[at] == 0x57
