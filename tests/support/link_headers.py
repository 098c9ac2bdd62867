"""The rarer link types byte by byte: serial lines, old local networks, headers of captures.

`RARE_LINKS` has one form of each, `FORMS` further ones that some of them have.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

from support.layers import (
    CLIENT_MAC,
    GATEWAY_MAC,
    IPV4,
    IPV6,
    frame,
    inner_mac,
    ipv4,
    kind_of,
    mpls,
    on_ethernet,
    ppp,
    pppoe,
    snap,
    wlan,
)


@dataclass(frozen=True)
class RareLink:
    """A link by its LINKTYPE_ number, how it carries an IP packet, and the sender that it tells."""

    number: int
    frame: Callable[[bytes], bytes]
    mac: bytes | None = None
    takes: tuple[int, ...] = (IPV4, IPV6)


def typed(packet: bytes) -> bytes:
    """An IP packet behind its EtherType."""
    return struct.pack(">H", kind_of(packet)) + packet


def framed(packet: bytes) -> bytes:
    """An IP packet on Ethernet."""
    return on_ethernet((kind_of(packet), packet))


def bare_ppp(packet: bytes) -> bytes:
    return ppp(packet, control=False)


def nlpid(packet: bytes) -> bytes:
    """The control field of an unnumbered frame, and the NLPID (RFC 2427 section 3)."""
    return b"\3" + (b"\xcc" if kind_of(packet) == IPV4 else b"\x8e") + packet


def hdlc(packet: bytes, address: int = 0x0F) -> bytes:
    """Cisco HDLC (RFC 1547 section 4.3.1)."""
    return bytes([address, 0]) + typed(packet)


def token_ring(packet: bytes, *, route: bytes = b"") -> bytes:
    """IEEE 802.5: a route sets the highest bit of the sender's address."""
    sender = bytes([CLIENT_MAC[0] | (0x80 if route else 0)]) + CLIENT_MAC[1:]
    return b"\x10\x40" + GATEWAY_MAC + sender + route + snap(packet)


def arcnet(packet: bytes, before: bytes = b"") -> bytes:
    """RFC 1201: addresses, what else the system has before the protocol, split flag, sequence."""
    proto = b"\xd4" if kind_of(packet) == IPV4 else b"\xc4"
    return b"\1\2" + before + proto + b"\0\0\1" + packet


def pktap(link: int, content: bytes, size: int = 108, record: int = 1) -> bytes:
    """Apple's PKTAP: its size, kind of record and link type."""
    return struct.pack("<III", size, record, link) + bytes(size - 12) + content


def ppi(link: int, content: bytes, fields: bytes = b"") -> bytes:
    """Per-packet information with fields."""
    return struct.pack("<BBHI", 0, 0, 8 + len(fields), link) + fields + content


def erf(kind: int, content: bytes, *, extensions: int = 0) -> bytes:
    """An Endace record; all but the last extension header say that another follows."""
    more = b"".join(
        bytes([0x83 if at < extensions - 1 else 3]) + bytes(7) for at in range(extensions)
    )
    size = 16 + len(more) + len(content)
    first = kind | (0x80 if extensions else 0)
    return bytes(8) + struct.pack(">BBHHH", first, 4, size, 0, len(content)) + more + content


def ipnet(packet: bytes) -> bytes:
    """Solaris: version, family, hook, length, interfaces and zones."""
    family = 2 if kind_of(packet) == IPV4 else 26
    return struct.pack(">BBHIIIII", 1, family, 1, len(packet), 2, 0, 0, 0) + packet


def gfp(kind: int, content: bytes, extension: bool = False) -> bytes:
    """ITU-T G.7041: length, type, both with a checksum; a linear extension header."""
    kind |= 0x0100 if extension else 0
    more = bytes(4) if extension else b""
    return struct.pack(">HHHH", 4 + len(more) + len(content), 0, kind, 0) + more + content


def redback(kind: int, content: bytes, ethernet: bool = False) -> bytes:
    """Redback SmartEdge: protocol, offsets of packet and data."""
    data = 40 if ethernet else 26
    return bytes(16) + struct.pack(">HHHH", 26 + len(content), kind, 26, data) + bytes(2) + content


def symantec(packet: bytes, *, later: bool = False) -> bytes:
    kind = struct.pack(">H", kind_of(packet))
    if later:
        return bytes(22) + kind + bytes(32) + packet
    return bytes(6) + kind + bytes(36) + packet


def junos(content: bytes, flags: int = 1, *, extensions: bytes | None = None) -> bytes:
    """The header of JUNOS: magic number, flags (1 incoming, 2 no link header, 0x80 extensions)."""
    more = b""
    if extensions is not None:
        flags |= 0x80
        more = struct.pack(">H", len(extensions)) + extensions
    return b"MGC" + bytes([flags]) + more + content


def protocol(packet: bytes) -> bytes:
    """The number of JUNOS for IPv4 or IPv6, before the packet."""
    return struct.pack("<I", 2 if kind_of(packet) == IPV4 else 6) + packet


def cookie(packet: bytes, kind: int | None = None, towards: int = 0) -> bytes:
    """The cookie of a services card, with a protocol and a direction."""
    if kind is None:
        kind = 0x00 if kind_of(packet) == IPV4 else 0x10
    return b"\x47\0\0\0" + bytes([towards, kind, 0, 0])


def secure(packet: bytes) -> bytes:
    """The headers of a secure tunnel before a packet that is not encrypted yet."""
    return on_ethernet((IPV4, ipv4(50, bytes(24) + packet)))


def network(packet: bytes) -> bytes:
    """Host, flags and names of both networks before a frame."""
    fields = b"\1\4\x0a\0\0\1" + b"\2\4\0\0\0\x20" + b"\3\2ab" + b"\4\3cde"
    return fields + b"\xff\0" + framed(packet)


RARE_LINKS: dict[str, RareLink] = {
    "token-ring": RareLink(6, token_ring, CLIENT_MAC),
    "arcnet": RareLink(7, arcnet),
    "arcnet-linux": RareLink(129, lambda p: arcnet(p, b"\0\0")),
    "atm-llc-11": RareLink(11, snap),
    "atm-llc": RareLink(100, snap),
    "enc-13": RareLink(13, lambda p: struct.pack("<III", 2, 0, 0) + p),
    "enc": RareLink(109, lambda p: struct.pack(">III", 2, 7, 0x800) + p),
    "clip-16": RareLink(16, lambda p: p),
    "clip-18": RareLink(18, lambda p: p),
    "clip-19": RareLink(19, lambda p: p),
    "clip": RareLink(106, lambda p: p),
    "redback": RareLink(32, lambda p: redback(3, framed(p)), CLIENT_MAC),
    "symantec": RareLink(99, symantec),
    "hdlc": RareLink(104, hdlc),
    "hdlc-112": RareLink(112, lambda p: hdlc(p, 0x8F)),
    "frame-relay": RareLink(107, lambda p: b"\x18\x41" + nlpid(p)),
    "pflog": RareLink(117, lambda p: bytes([61, 2]) + bytes(62) + p),
    "prism": RareLink(
        119,
        lambda p: struct.pack("<II", 0x44, 144) + bytes(136) + wlan(snap(p)),
        CLIENT_MAC,
    ),
    "avs": RareLink(
        163, lambda p: struct.pack(">II", 0x80211001, 64) + bytes(56) + wlan(snap(p)), CLIENT_MAC
    ),
    "fibre-channel": RareLink(
        122, lambda p: b"\x10\0" + GATEWAY_MAC + b"\x10\0" + CLIENT_MAC + snap(p), CLIENT_MAC
    ),
    "sun-atm": RareLink(123, lambda p: b"\2\0\0\x20" + snap(p)),
    "tzsp": RareLink(128, lambda p: b"\1\0\0\1\0\x0a\1\0\1" + framed(p), CLIENT_MAC),
    "ieee1394": RareLink(138, lambda p: bytes(16) + typed(p)),
    "pktap-149": RareLink(149, lambda p: pktap(1, framed(p)), CLIENT_MAC),
    "pktap": RareLink(258, lambda p: pktap(1, framed(p), 156), CLIENT_MAC),
    "gfp-t": RareLink(170, lambda p: gfp(1, framed(p)), CLIENT_MAC),
    "gfp-f": RareLink(171, lambda p: gfp(1, framed(p), True), CLIENT_MAC),
    "ppi": RareLink(192, lambda p: ppi(105, wlan(snap(p))), CLIENT_MAC),
    "erf": RareLink(197, lambda p: erf(2, b"\0\0" + framed(p)), CLIENT_MAC),
    "ppp-directed": RareLink(204, lambda p: b"\1" + ppp(p)),
    "hdlc-directed": RareLink(205, lambda p: b"\0" + hdlc(p)),
    "frame-relay-directed": RareLink(206, lambda p: b"\1\x18\x41" + nlpid(p)),
    "ipnet": RareLink(226, ipnet),
    "netanalyzer": RareLink(240, lambda p: b"\0\x04\x40\0" + framed(p) + bytes(4), CLIENT_MAC),
    "ipoib": RareLink(242, lambda p: bytes(40) + typed(p)[:2] + bytes(2) + p),
    "epon": RareLink(259, lambda p: b"\x55\x55\xd5\x55\x55\0\1\x9a" + framed(p), CLIENT_MAC),
    "juniper-mlppp": RareLink(130, lambda p: junos(cookie(p) + p, 0)),
    "juniper-mlfr": RareLink(131, lambda p: junos(cookie(p) + p)),
    "juniper-ggsn": RareLink(133, lambda p: junos(protocol(p))),
    "juniper-atm2": RareLink(135, lambda p: junos(bytes(8) + snap(p))),
    "juniper-services": RareLink(136, lambda p: junos(bytes(16) + p), takes=(IPV4,)),
    "juniper-atm1": RareLink(137, lambda p: junos(bytes(4) + snap(p))),
    "juniper-pppoe": RareLink(167, lambda p: junos(on_ethernet(pppoe(bare_ppp(p)))), CLIENT_MAC),
    "juniper-ethernet": RareLink(178, lambda p: junos(framed(p)), CLIENT_MAC),
    "juniper-ppp": RareLink(179, lambda p: junos(ppp(p))),
    "juniper-frame-relay": RareLink(180, lambda p: junos(b"\x18\x41" + nlpid(p))),
    "juniper-hdlc": RareLink(181, lambda p: junos(hdlc(p))),
    "juniper-voice": RareLink(183, lambda p: junos(bytes(18) + p), takes=(IPV4,)),
    "juniper-network": RareLink(184, network, CLIENT_MAC),
    "juniper-tunnel": RareLink(200, lambda p: junos(secure(p))),
}
"""One form of each rarer link type."""

ROUTE = b"\x06\x90\0\x11\0\x22"

FORMS: dict[str, RareLink] = {
    "token-ring-route": RareLink(6, lambda p: token_ring(p, route=ROUTE)),
    "arcnet-rfc1051": RareLink(7, lambda p: b"\1\2\xf0" + p, takes=(IPV4,)),
    "arcnet-exception": RareLink(7, lambda p: b"\1\2\xd4\xff\0\0\xd4\0\0\1" + p, takes=(IPV4,)),
    "arcnet-linux-rfc1051": RareLink(129, lambda p: b"\1\2\0\0\xf0" + p, takes=(IPV4,)),
    "frame-relay-padded": RareLink(107, lambda p: b"\x18\x41\3\0" + nlpid(p)[1:]),
    "frame-relay-snap": RareLink(107, lambda p: b"\x18\x41\3\0\x80\0\0\0" + typed(p)),
    "frame-relay-bridged": RareLink(
        107, lambda p: b"\x18\x41\3\0\x80\0\x80\xc2\0\7" + frame(p, 9)[1], inner_mac(9)
    ),
    "frame-relay-ppp": RareLink(107, lambda p: b"\x18\x41\3\xcf" + bare_ppp(p)),
    "frame-relay-cisco": RareLink(107, lambda p: b"\x18\x41" + typed(p)),
    "frame-relay-three": RareLink(107, lambda p: b"\x18\x40\x05" + nlpid(p)),
    "frame-relay-four": RareLink(107, lambda p: b"\x18\x40\x80\x01" + nlpid(p)),
    "frame-relay-four-cisco": RareLink(107, lambda p: b"\x18\x40\x80\x01" + typed(p)),
    "ppp-as-hdlc": RareLink(9, hdlc),
    "ppp-serial-as-hdlc": RareLink(50, lambda p: hdlc(p, 0x8F)),
    "tzsp-wlan": RareLink(128, lambda p: b"\1\0\0\x12\1" + wlan(snap(p)), CLIENT_MAC),
    "enc-little": RareLink(109, lambda p: struct.pack("<III", 2, 0, 0) + p),
    "pflog-old": RareLink(117, lambda p: bytes([45, 2]) + bytes(46) + p),
    "prism-as-avs": RareLink(
        119, lambda p: struct.pack(">II", 0x80211001, 64) + bytes(56) + wlan(snap(p)), CLIENT_MAC
    ),
    "pktap-raw": RareLink(258, lambda p: pktap(101, p)),
    "pktap-raw-12": RareLink(258, lambda p: pktap(12, p)),
    "pktap-null": RareLink(
        258,
        lambda p: pktap(0, struct.pack("<I", 2 if kind_of(p) == IPV4 else 30) + p),
    ),
    "ppi-ethernet": RareLink(192, lambda p: ppi(1, framed(p)), CLIENT_MAC),
    "ppi-fields": RareLink(
        192, lambda p: ppi(1, framed(p), struct.pack("<HH", 2, 4) + bytes(4)), CLIENT_MAC
    ),
    "erf-extensions": RareLink(
        197, lambda p: erf(2, b"\0\0" + framed(p), extensions=3), CLIENT_MAC
    ),
    "erf-hdlc": RareLink(197, lambda p: erf(1, hdlc(p) + bytes(4))),
    "erf-ppp": RareLink(197, lambda p: erf(1, ppp(p) + bytes(4))),
    "erf-ip": RareLink(197, lambda p: erf(22 if kind_of(p) == IPV4 else 23, p)),
    "erf-multichannel": RareLink(197, lambda p: erf(5, bytes(4) + hdlc(p) + bytes(4))),
    "erf-aal5": RareLink(197, lambda p: erf(4, bytes(4) + snap(p))),
    "erf-multichannel-aal5": RareLink(197, lambda p: erf(9, bytes(8) + snap(p))),
    "sll-ethernet": RareLink(
        113, lambda p: struct.pack(">HHH8xH", 0, 1, 6, 3) + framed(p), CLIENT_MAC
    ),
    "sll-ppp": RareLink(113, lambda p: struct.pack(">HHH8xH", 0, 512, 0, 7) + ppp(p)),
    "sll-llc": RareLink(113, lambda p: struct.pack(">HHH8xH", 0, 1, 0, 4) + snap(p)),
    "redback-ip": RareLink(32, lambda p: redback(1, p), takes=(IPV4,)),
    "redback-behind-ethernet": RareLink(
        32, lambda p: redback(1, framed(p), ethernet=True), CLIENT_MAC
    ),
    "juniper-extensions": RareLink(
        178, lambda p: junos(framed(p), extensions=b"\1\1\0\2\1\0"), CLIENT_MAC
    ),
    "juniper-without-link": RareLink(178, lambda p: junos(protocol(p), 3)),
    "juniper-without-link-mpls": RareLink(
        137, lambda p: junos(struct.pack("<I", 4) + mpls((kind_of(p), p))[1], 3)
    ),
    "juniper-before-7": RareLink(178, framed, CLIENT_MAC),
    "juniper-ppp-before-7": RareLink(179, ppp),
    "juniper-mlppp-incoming": RareLink(
        130, lambda p: junos(cookie(p, 0) + bare_ppp(p)), takes=(IPV4,)
    ),
    "juniper-mlppp-link": RareLink(130, lambda p: junos(b"\x54\0\0\0" + bare_ppp(p))),
    "juniper-mlppp-member": RareLink(130, lambda p: junos(ppp(p))),
    "juniper-mlppp-member-bare": RareLink(130, lambda p: junos(bare_ppp(p))),
    "juniper-mlppp-two": RareLink(130, lambda p: junos(b"\0\1" + bare_ppp(p))),
    "juniper-mlfr-link": RareLink(131, lambda p: junos(b"\x54\0\0\0" + nlpid(p))),
    "juniper-mlfr-two": RareLink(131, lambda p: junos(b"\1\1" + nlpid(p))),
    "juniper-atm2-ethernet": RareLink(
        135, lambda p: junos(b"\0\0\0\1" + bytes(4) + framed(p), 0), CLIENT_MAC
    ),
    "juniper-atm2-ppp": RareLink(135, lambda p: junos(bytes(8) + bare_ppp(p))),
    "juniper-atm2-ip": RareLink(135, lambda p: junos(bytes(8) + p)),
    "juniper-atm2-nlpid": RareLink(135, lambda p: junos(bytes(8) + nlpid(p))),
    "juniper-atm2-llc-nlpid": RareLink(135, lambda p: junos(bytes(8) + b"\xfe\xfe" + nlpid(p))),
    "juniper-atm1-ip": RareLink(137, lambda p: junos(bytes(4) + p)),
    "juniper-services-outgoing": RareLink(136, lambda p: junos(bytes(12) + p, 0), takes=(IPV4,)),
}
"""Further forms of these and of other link types."""
