# cython: language_level=3, boundscheck=True, wraparound=False
"""Tags and headers between an Ethernet header and what the frame carries.

Switches, fabrics and packet brokers add them, and a mirror port shows them. Each function reads
one, which begins after its EtherType at the cursor, and returns the layer that follows. VLAN tags
are in `netwatch.dissect.loop.headers`: they are on the path of ordinary frames.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.lan_links import is_isl, isl
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.lan_links import is_isl, isl

ICV = cython.declare(cython.Py_ssize_t, 16)
"""Bytes of the integrity check value of MACsec, in every cipher suite that leaves text clear."""


def read_tag(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read the tag or header of this layer."""
    if layer == layout.LAYER_TAG_2:
        return tag(cursor, 2)
    if layer == layout.LAYER_TAG_4:
        return tag(cursor, 4)
    if layer == layout.LAYER_TAG_6:
        return tag(cursor, 6)
    if layer == layout.LAYER_CISCO_METADATA:
        return cisco_metadata(cursor)
    if layer == layout.LAYER_FABRICPATH:
        return before_ethernet(cursor, 2)
    if layer == layout.LAYER_PBB:
        return before_ethernet(cursor, 4)
    if layer == layout.LAYER_TRILL:
        return trill(cursor)
    if layer == layout.LAYER_MACSEC:
        return macsec(cursor)
    if layer == layout.LAYER_BATMAN:
        return batman(cursor)
    if layer == layout.LAYER_GIGAMON:
        return gigamon(cursor)
    if layer == layout.LAYER_ARISTA:
        return arista(cursor)
    if layer == layout.LAYER_LAB_MANAGER:
        return lab_manager(cursor)
    if is_isl(cursor):  # a giant frame, whose length looks like an EtherType
        return isl(cursor)
    return unknown_ether_type(cursor)


def tag(cursor: Cursor, size: cython.Py_ssize_t) -> cython.int:
    """A tag of `size` bytes that ends with the EtherType of what follows."""
    if not cursor.has(size + 2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.ether_type = cursor.u16(cursor.at + size)
    cursor.at += size + 2
    return layout.LAYER_ETHER_TYPE


def before_ethernet(cursor: Cursor, size: cython.Py_ssize_t) -> cython.int:
    """A tag of `size` bytes before an Ethernet frame: FabricPath, whose own addresses are switches,
    and the I-TAG of provider backbone bridges (IEEE 802.1Q section 9.7)."""
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    cursor.at += size
    return layout.LAYER_ETHERNET


def cisco_metadata(cursor: Cursor) -> cython.int:
    """Cisco MetaData: version, number of options, and an option of four bytes with the security
    group; there may be further options of that size."""
    options: cython.Py_ssize_t
    if not cursor.has(8):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    options = cursor.data[cursor.at + 1]
    # Some write another number there than the number of options, so a known EtherType after the
    # first option counts more.
    if options > 1 and not is_known(cursor, cursor.u16(cursor.at + 6)):
        return tag(cursor, 2 + 4 * options)
    return tag(cursor, 6)


def is_known(cursor: Cursor, ether_type: cython.longlong) -> cython.bint:
    """Whether a number is an EtherType in a table."""
    return ether_type >= 0x600 and (
        cursor.ether_types[ether_type] != layout.LAYER_UNKNOWN_ETHER_TYPE
    )


def trill(cursor: Cursor) -> cython.int:
    """TRILL (RFC 6325 section 3): options in four-byte words, then an Ethernet frame."""
    first: cython.longlong
    if not cursor.has(6):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    first = cursor.u16(cursor.at)
    if first & 0xC000:  # a later version
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return before_ethernet(cursor, 6 + 4 * ((first >> 6) & 31))


def macsec(cursor: Cursor) -> cython.int:
    """A SecTAG (IEEE 802.1AE section 9) of a frame with integrity protection only.

    The bits E and C mean that the text was encrypted or changed. A short length covers the
    EtherType and its data, after which padding follows the integrity check value.
    """
    control: cython.int
    length: cython.Py_ssize_t
    size: cython.Py_ssize_t = 6
    if not cursor.has(6):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    control = cursor.data[cursor.at]
    length = cursor.data[cursor.at + 1] & 63
    if control & 0x80:  # a later version
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if control & 0x0C:
        return cursor.fail(layout.ANOMALY_ENCRYPTED_LINK)
    if control & 0x20:
        size = 14  # with the secure channel identifier
    if length == 0:
        length = cursor.wire_end - cursor.at - size - ICV
    if length >= 2 and cursor.at + size + length < cursor.wire_end:
        cursor.wire_end = cursor.at + size + length
        cursor.end = min(cursor.end, cursor.wire_end)
    return tag(cursor, size)


def batman(cursor: Cursor) -> cython.int:
    """B.A.T.M.A.N. advanced, compatibility version 15 (include/uapi/linux/batadv_packet.h): the
    packet types that carry a whole Ethernet frame; the others maintain the mesh."""
    kind: cython.int
    if not cursor.has(2):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at + 1] != 15:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    kind = cursor.data[cursor.at]
    if kind == 0x40:
        return before_ethernet(cursor, 10)
    if kind == 0x42:
        return before_ethernet(cursor, 18)
    if kind == 0x01:
        return before_ethernet(cursor, 14)
    if kind == 0x02 or kind == 0x41:  # network coded, a fragment
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return cursor.fail(layout.ANOMALY_NOT_IP)


def gigamon(cursor: Cursor) -> cython.int:
    """The header of a Gigamon packet broker: its length in the first byte, and fields."""
    if not cursor.has(1):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at] == 0:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return tag(cursor, cursor.data[cursor.at])


def arista(cursor: Cursor) -> cython.int:
    """The time stamp of an Arista switch, 64 or 48 bits by its version; the EtherType of other
    subtypes carries test traffic."""
    version: cython.longlong
    if not cursor.has(4):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    version = cursor.u16(cursor.at + 2) & 0x00F0
    if cursor.u16(cursor.at) != 1 or (version != 0x10 and version != 0x20):
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return tag(cursor, 12 if version == 0x10 else 10)


def lab_manager(cursor: Cursor) -> cython.int:
    """The header of VMware Lab Manager: flags, port group, and the addresses of the machines; a
    frame with further fragments (0x04) is incomplete."""
    if not cursor.has(24):
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    if cursor.data[cursor.at] & 0x04:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    cursor.destination_mac = cursor.at + 10
    cursor.source_mac = cursor.at + 16
    return tag(cursor, 22)


def unknown_ether_type(cursor: Cursor) -> cython.int:
    """Count the frame by its EtherType, which is in no table.

    If there are more than `layout.MAX_ETHER_TYPES`, the lowest numbers have their own counts,
    whatever the order in which they came; frames of the others are counted together.
    """
    i: cython.Py_ssize_t
    last: cython.Py_ssize_t = 0
    kind: cython.longlong = cursor.ether_type
    for i in range(0, 2 * layout.MAX_ETHER_TYPES, 2):
        if cursor.unknown_ether_types[i + 1] == 0 or cursor.unknown_ether_types[i] == kind:
            cursor.unknown_ether_types[i] = kind
            cursor.unknown_ether_types[i + 1] += 1
            return layout.LAYER_STOPPED
        if cursor.unknown_ether_types[i] > cursor.unknown_ether_types[last]:
            last = i
    if kind > cursor.unknown_ether_types[last]:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    cursor.anomalies[layout.ANOMALY_WRAPPING_UNKNOWN] += cursor.unknown_ether_types[last + 1]
    cursor.unknown_ether_types[last] = kind
    cursor.unknown_ether_types[last + 1] = 1
    return layout.LAYER_STOPPED
