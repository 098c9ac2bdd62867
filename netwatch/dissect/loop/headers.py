# cython: language_level=3, boundscheck=True, wraparound=False
"""The headers of a packet, one after the other: Ethernet and IP here, the others in their modules.

Each function reads one header at the cursor and returns the layer that follows (see
`netwatch.dissect.loop.cursor`); `read_layers` calls them until a transport header is reached. What
is wrapped in a tunnel comes through here again, so addresses, VLAN and MACs are those of the
innermost header that has them.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.capture_headers import read_capture_header
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.frame_tags import read_tag
    from cython.cimports.netwatch.dissect.loop.juniper import read_juniper
    from cython.cimports.netwatch.dissect.loop.lan_links import llc, read_lan
    from cython.cimports.netwatch.dissect.loop.link_types import (
        fddi,
        linux_sll,
        linux_sll2,
        loopback,
        mpacket,
        nflog,
        radiotap,
        wlan,
    )
    from cython.cimports.netwatch.dissect.loop.serial_links import ppp, pppoe, read_serial
    from cython.cimports.netwatch.dissect.loop.tunnels import etherip, gre, l2tpv3, mpls, nsh
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.capture_headers import read_capture_header
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.frame_tags import read_tag
    from netwatch.dissect.loop.juniper import read_juniper
    from netwatch.dissect.loop.lan_links import llc, read_lan
    from netwatch.dissect.loop.link_types import (
        fddi,
        linux_sll,
        linux_sll2,
        loopback,
        mpacket,
        nflog,
        radiotap,
        wlan,
    )
    from netwatch.dissect.loop.serial_links import ppp, pppoe, read_serial
    from netwatch.dissect.loop.tunnels import etherip, gre, l2tpv3, mpls, nsh


def read_layers(cursor: Cursor, layer: cython.int) -> cython.bint:
    """Read layers from this one on, which is at the cursor. Returns whether the cursor is then at a
    TCP or UDP header, or a fragment."""
    while layer > layout.LAYER_TRANSPORT:
        layer = read_layer(cursor, layer)
    return layer == layout.LAYER_TRANSPORT


def read_layer(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read one layer; returns the one that follows, or why none does."""
    if layer == layout.LAYER_ETHERNET:
        return ethernet(cursor)
    if layer == layout.LAYER_IPV4:
        return ipv4(cursor)
    if layer == layout.LAYER_IPV6:
        return ipv6(cursor)
    if layer == layout.LAYER_ETHER_TYPE:
        return ether_type(cursor)
    if layer == layout.LAYER_IP:
        return ip(cursor)
    if layer == layout.LAYER_LLC:
        return llc(cursor)
    if layer == layout.LAYER_MPLS:
        return mpls(cursor)
    if layer == layout.LAYER_PPPOE:
        return pppoe(cursor)
    if layer == layout.LAYER_PPP:
        return ppp(cursor)
    if layer == layout.LAYER_NSH:
        return nsh(cursor)
    if layer == layout.LAYER_GRE:
        return gre(cursor)
    if layer == layout.LAYER_ETHERIP:
        return etherip(cursor)
    if layer == layout.LAYER_AH:
        return ah(cursor)
    if layer == layout.LAYER_ESP:
        return cursor.fail(layout.ANOMALY_ENCRYPTED_IP)
    if layer == layout.LAYER_MACSEC or (
        layout.LAYER_UNKNOWN_ETHER_TYPE <= layer <= layout.LAYER_LAB_MANAGER
    ):
        return read_tag(cursor, layer)
    if layer == layout.LAYER_UNSUPPORTED:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if layer == layout.LAYER_LOOPBACK:
        return loopback(cursor)
    if layer == layout.LAYER_LINUX_SLL:
        return linux_sll(cursor)
    if layer == layout.LAYER_LINUX_SLL2:
        return linux_sll2(cursor)
    if layer == layout.LAYER_RADIOTAP:
        return radiotap(cursor)
    if layer == layout.LAYER_WLAN:
        return wlan(cursor)
    if layer == layout.LAYER_NFLOG:
        return nflog(cursor)
    if layer == layout.LAYER_FDDI:
        return fddi(cursor)
    if layer == layout.LAYER_MPACKET:
        return mpacket(cursor)
    if layer == layout.LAYER_L2TPV3:
        return l2tpv3(cursor)
    return read_rare_link(cursor, layer)


def read_rare_link(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the header of a link type that few captures have."""
    if layout.LAYER_CISCO_HDLC <= layer <= layout.LAYER_SUN_ATM:
        return read_serial(cursor, layer)
    if layout.LAYER_TOKEN_RING <= layer <= layout.LAYER_IEEE1394:
        return read_lan(cursor, layer)
    if layout.LAYER_PKTAP <= layer <= layout.LAYER_TZSP:
        return read_capture_header(cursor, layer)
    if layout.LAYER_JUNIPER_ETHERNET <= layer <= layout.LAYER_JUNIPER_VN:
        return read_juniper(cursor, layer)
    return cursor.fail(layout.ANOMALY_LINK_TYPE_UNKNOWN)


def ethernet(cursor: Cursor) -> cython.int:
    """IEEE 802.3 clause 3."""
    if not cursor.has(14):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.destination_mac = cursor.at
    cursor.source_mac = cursor.at + 6
    cursor.at += 14
    cursor.ether_type = cursor.u16(cursor.at - 2)
    return ether_type(cursor)


def ether_type(cursor: Cursor) -> cython.int:
    """The layer of an EtherType, with VLAN tags (802.1Q, 802.1ad, 0x9100) stepped over."""
    layer: cython.int = cursor.ether_types[cursor.ether_type]
    while layer == layout.LAYER_VLAN:
        if not cursor.has(4):
            return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
        cursor.vlan = cursor.u16(cursor.at) & 0xFFF
        cursor.ether_type = cursor.u16(cursor.at + 2)
        cursor.at += 4
        layer = cursor.ether_types[cursor.ether_type]
    if layer == layout.LAYER_IPV4 or layer == layout.LAYER_IPV6 or layer == layout.LAYER_PPPOE:
        return layer
    if cursor.ether_type < 0x600:
        return layout.LAYER_LLC
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    if layer == layout.LAYER_STOPPED:
        cursor.non_ip = cursor.ether_type
        return cursor.fail(layout.ANOMALY_NOT_IP)
    return layer


def ip(cursor: Cursor) -> cython.int:
    """IP of the version in its first nibble."""
    version: cython.int
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
    version = cursor.data[cursor.at] >> 4
    if version == 4:
        return layout.LAYER_IPV4
    if version == 6:
        return layout.LAYER_IPV6
    return cursor.fail(layout.ANOMALY_NOT_IP)


def ipv4(cursor: Cursor) -> cython.int:
    """RFC 791 section 3.1."""
    header: cython.Py_ssize_t
    total: cython.Py_ssize_t
    fragment: cython.longlong
    if not cursor.deeper_ip():
        return layout.LAYER_STOPPED
    if not cursor.has(20):
        return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
    header = (cursor.data[cursor.at] & 15) * 4
    if cursor.data[cursor.at] >> 4 != 4 or header < 20:
        return cursor.fail(layout.ANOMALY_IP_HEADER_BAD)
    if not cursor.has(header):
        return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
    total = cursor.u16(cursor.at + 2)
    # A packet captured before the card segmented it may have the length 0.
    if total != 0:
        if total < header:
            return cursor.fail(layout.ANOMALY_IP_LENGTH_BAD)
        if cursor.at + total < cursor.wire_end:
            cursor.wire_end = cursor.at + total
            cursor.end = min(cursor.end, cursor.wire_end)
    cursor.addresses = cursor.at + 12
    cursor.address_size = 4
    cursor.protocol = cursor.data[cursor.at + 9]
    fragment = cursor.u16(cursor.at + 6) & 0x3FFF
    if fragment:
        cursor.fragment = ((fragment & 0x1FFF) << 3) | ((fragment & 0x2000) << 3)
        cursor.fragment_id = cursor.u16(cursor.at + 4)
        cursor.at += header
        return layout.LAYER_TRANSPORT
    cursor.at += header
    return ip_payload(cursor)


def ipv6(cursor: Cursor) -> cython.int:
    """RFC 8200 sections 3 and 4."""
    length: cython.Py_ssize_t
    if not cursor.deeper_ip():
        return layout.LAYER_STOPPED
    if not cursor.has(40):
        return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
    if cursor.data[cursor.at] >> 4 != 6:
        return cursor.fail(layout.ANOMALY_IP_HEADER_BAD)
    length = cursor.u16(cursor.at + 4)
    if length != 0 and cursor.at + 40 + length < cursor.wire_end:
        cursor.wire_end = cursor.at + 40 + length
        cursor.end = min(cursor.end, cursor.wire_end)
    cursor.addresses = cursor.at + 8
    cursor.address_size = 16
    cursor.protocol = cursor.data[cursor.at + 6]
    cursor.at += 40
    return ipv6_extensions(cursor)


def ipv6_extensions(cursor: Cursor) -> cython.int:
    """Step over extension headers, up to a fragment header or the upper layer."""
    layer: cython.int
    length: cython.Py_ssize_t
    field: cython.longlong
    following: cython.int
    _: cython.int
    for _ in range(layout.MAX_EXTENSIONS):
        layer = cursor.ip_protocols[cursor.protocol]
        if (
            layer != layout.LAYER_EXTENSION
            and layer != layout.LAYER_AH
            and layer != layout.LAYER_FRAGMENT
        ):
            return ip_payload(cursor)
        if not cursor.has(8):
            return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
        following = cursor.data[cursor.at]
        if layer == layout.LAYER_EXTENSION:
            length = 8 + 8 * cursor.data[cursor.at + 1]
        elif layer == layout.LAYER_AH:
            length = 8 + 4 * cursor.data[cursor.at + 1]
        else:
            length = 8
            field = cursor.u16(cursor.at + 2)
            if field & 0xFFF9:
                cursor.protocol = following
                cursor.fragment = (field & 0xFFF8) | ((field & 1) << 16)
                cursor.fragment_id = cursor.u32(cursor.at + 4)
                cursor.at += 8
                return layout.LAYER_TRANSPORT
        if not cursor.has(length):
            return cursor.fail(layout.ANOMALY_IP_HEADER_CUT)
        cursor.protocol = following
        cursor.at += length
    return cursor.fail(layout.ANOMALY_IPV6_EXTENSIONS_MANY)


def ip_payload(cursor: Cursor) -> cython.int:
    """The layer after an IP header, by its protocol number."""
    layer: cython.int = cursor.ip_protocols[cursor.protocol]
    if (
        layer == layout.LAYER_STOPPED
        or layer == layout.LAYER_EXTENSION
        or layer == layout.LAYER_FRAGMENT
    ):
        cursor.non_ip = 0
        return cursor.fail(layout.ANOMALY_TRANSPORT_UNKNOWN)
    return layer


def ah(cursor: Cursor) -> cython.int:
    """An authentication header (RFC 4302) after IPv4."""
    size: cython.Py_ssize_t
    if not cursor.has(12):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    size = 8 + 4 * cursor.data[cursor.at + 1]
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    cursor.protocol = cursor.data[cursor.at]
    cursor.at += size
    if not cursor.deeper():
        return layout.LAYER_STOPPED
    return ip_payload(cursor)
