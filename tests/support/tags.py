"""Tags and headers between an Ethernet header and its content, byte by byte.

Each function puts its own before what it is given, and gives a pair of its EtherType and the bytes
(`support.layers.Typed`), so that one may be put in another.
"""

import struct

from support.layers import IPV6, Typed, ethernet, on_ethernet, wlan

METADATA, FABRICPATH, VN_TAG, E_TAG, PBB, MACSEC, TRILL = (
    0x8909,
    0x8903,
    0x8926,
    0x893F,
    0x88E7,
    0x88E5,
    0x22F3,
)


def typed(inside: Typed) -> bytes:
    """The EtherType of what is inside, and that itself."""
    return struct.pack(">H", inside[0]) + inside[1]


def vlan(inside: Typed, number: int = 42, kind: int = 0x8100) -> Typed:
    """IEEE 802.1Q section 9.6, with priority 3."""
    return kind, struct.pack(">H", 0x6000 | number) + typed(inside)


def metadata(inside: Typed, options: int = 1, *, wrong: int | None = None) -> Typed:
    """Cisco MetaData: version 1, number of options, each of four bytes: type 1 and the security
    group. `wrong` is a number of options that is not so."""
    head = bytes([1, options if wrong is None else wrong])
    return METADATA, head + b"\0\1\0\x2a" * options + typed(inside)


def fabricpath(inside: Typed) -> Typed:
    """FabricPath: tree and time to live, before the frame 90."""
    return FABRICPATH, b"\0\x60" + ethernet(inside, 90)[1]


def vn_tag(inside: Typed) -> Typed:
    """VN-Tag: direction, pointer, destination, version and source in four bytes."""
    return VN_TAG, b"\x80\1\0\2" + typed(inside)


def e_tag(inside: Typed) -> Typed:
    """IEEE 802.1BR section 7.5: six bytes."""
    return E_TAG, b"\0\1\x10\2\0\0" + typed(inside)


def pbb(inside: Typed) -> Typed:
    """The I-TAG (IEEE 802.1Q section 9.7) before the customer's frame 91."""
    return PBB, b"\0\0\0\x2a" + ethernet(inside, 91)[1]


def macsec(
    inside: Typed, control: int = 0, *, length: int = 0, version: int = 0, behind: bytes = b""
) -> Typed:
    """A SecTAG (IEEE 802.1AE section 9.3), with the channel identifier where `control` says so;
    `length` is the short length, and `behind` follows the integrity check value of 16 bytes."""
    head = struct.pack(">BBI", version << 7 | control, length, 7)
    head += bytes(8) if control & 0x20 else b""
    return MACSEC, head + typed(inside) + b"\xee" * 16 + behind


def trill(inside: Typed, options: int = 0) -> Typed:
    """RFC 6325 section 3.1 with options of four bytes each, before the frame 92."""
    head = struct.pack(">HHH", options << 6 | 0x3F, 1, 2) + bytes(4 * options)
    return TRILL, head + ethernet(inside, 92)[1]


def redundancy(inside: Typed, kind: int = 0x892F) -> Typed:
    """HSR (IEC 62439-3), or with another EtherType the R-TAG of IEEE 802.1CB."""
    return kind, b"\0\x20\0\7" + typed(inside)


def fine_grained(inside: Typed) -> Typed:
    """A label of TRILL in two halves (RFC 7172 section 2.3)."""
    return 0x893B, b"\0\1" + typed((0x893B, b"\0\2" + typed(inside)))


def batman(inside: Typed, kind: int = 0x40, *, version: int = 15) -> Typed:
    """B.A.T.M.A.N. advanced: unicast 0x40, with four addresses 0x42, broadcast 0x01, before the
    frame 93."""
    size = {0x40: 10, 0x42: 18, 0x01: 14}[kind]
    return 0x4305, bytes([kind, version]) + bytes(size - 2) + ethernet(inside, 93)[1]


def gigamon(inside: Typed) -> Typed:
    """A Gigamon header: its length, the port (type 2) and the size (type 1) of the packet."""
    fields = b"\2\3\x08\0\1" + b"\1\2\0\x60"
    return 0x22E5, bytes([1 + len(fields)]) + fields + typed(inside)


def arista(inside: Typed, version: int = 0x0010) -> Typed:
    """An Arista time stamp of 64 (0x0010, 0x0111) or 48 bits (0x0020)."""
    size = 8 if version & 0xF0 == 0x10 else 6
    return 0xD28B, struct.pack(">HH", 1, version) + b"\0" * size + typed(inside)


def lab_manager(inside: Typed, flags: int = 0) -> Typed:
    """VMware Lab Manager: the addresses 94 of two machines behind the bridge's."""
    ends = ethernet(inside, 94)[1][:12]
    return 0x88DE, bytes([flags, 1, 0, 0]) + bytes(6) + ends + typed(inside)


def jumbo(inside: Typed) -> Typed:
    """LLC and SNAP by the EtherType of jumbo frames."""
    return 0x8870, b"\xaa\xaa\3\0\0\0" + typed(inside)


def ppp_by_type(inside: Typed) -> Typed:
    """PPP by its EtherType."""
    return 0x880B, (b"\0\x57" if inside[0] == IPV6 else b"\0\x21") + inside[1]


def centrino(inside: Typed) -> Typed:
    """A frame of IEEE 802.11 by the EtherType of an old driver."""
    return 0x2452, wlan(b"\xaa\xaa\3\0\0\0" + typed(inside))


# What an Ethernet frame has instead of an EtherType.


def by_length(content: bytes, *, ends: bytes | None = None, most: int = 0x05FF) -> bytes:
    """An IEEE 802.3 frame: its length instead of an EtherType, `most` where it is longer."""
    frame = on_ethernet((min(len(content), most), content))
    return frame if ends is None else ends + frame[12:]


def snap_of(oui: int, content: bytes) -> bytes:
    """A frame with LLC and SNAP; the protocol number is the first of the content."""
    return by_length(b"\xaa\xaa\3" + oui.to_bytes(3) + content)


def isl(
    inside: Typed, kind: int = 0, prefix: bytes = b"\1\0\x0c\0\0", *, most: int = 0x05FF
) -> bytes:
    """Cisco's inter-switch link with VLAN 21 before the frame 95, with both checksums."""
    content = ethernet(inside, 95)[1] + bytes(4)
    head = b"\xaa\xaa\3" + b"\2\0\0" + struct.pack(">HHH", 21 << 1, 0, 0)
    ends = prefix + bytes([kind << 4]) + b"\2\0\0\0\0\7"
    return by_length(head + content, ends=ends, most=most) + bytes(4)


def bridged(inside: Typed, *, padded: bool) -> bytes:
    """The frame 96 behind SNAP (RFC 2684 section 5.2)."""
    return snap_of(0x0080C2, b"\0\7" + b"\0\0" * padded + ethernet(inside, 96)[1])
