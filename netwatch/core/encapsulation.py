"""What a packet may be wrapped in: link types, EtherTypes, IP protocols and UDP tunnels, as tables.

The packet loop, the kernel filter and the generated reference read these tables. A row names the
layer that follows (a ``LAYER_`` constant of `netwatch.dissect.loop.layout`, in lower case), or
the function of `netwatch.dissect.loop.udp_tunnels` that reads the tunnel. A number without a row
carries nothing that is read: it is counted as ``link-type-unknown``, ``not-ip`` or
``transport-unknown``.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encapsulation:
    """A row: its number in its registry, its name, where it is specified, the layer that follows,
    and what the packet loop does with it."""

    number: int
    name: str
    source: str
    layer: str
    action: str = "the packet inside is read"


@dataclass(frozen=True, slots=True)
class UdpTunnel:
    """A tunnel over UDP: its port, its name, where it is specified, and the function that reads
    it. The port is that of the destination, with `either` that of the source as well."""

    port: int
    name: str
    source: str
    function: str
    either: bool = False


_READ_FRAME = "the frame inside is read"
_READ_TRANSPORT = "its payload is read"
_STEPPED_OVER = "it is stepped over"
_UNSUPPORTED = "counted as `wrapping-unknown`"
_ENCRYPTED = "counted as `encrypted-ip`"
_ENCRYPTED_LINK = "counted as `encrypted-link`"
_DEVICES = "counted as `not-ip`; devices may be learned from it"

LINK_TYPES: tuple[Encapsulation, ...] = (
    Encapsulation(0, "BSD loopback", "tcpdump.org, LINKTYPE_NULL", "loopback"),
    Encapsulation(1, "Ethernet", "IEEE 802.3", "ethernet", _READ_FRAME),
    Encapsulation(9, "PPP", "RFC 1661", "ppp"),
    Encapsulation(10, "FDDI", "ANSI INCITS 239", "fddi"),
    Encapsulation(12, "raw IP", "tcpdump.org, DLT_RAW", "ip"),
    Encapsulation(14, "raw IP of OpenBSD", "tcpdump.org, DLT_RAW", "ip"),
    Encapsulation(50, "PPP in HDLC-like framing", "RFC 1662", "ppp"),
    Encapsulation(51, "PPPoE session", "RFC 2516", "pppoe"),
    Encapsulation(101, "raw IP", "tcpdump.org, LINKTYPE_RAW", "ip"),
    Encapsulation(105, "IEEE 802.11", "IEEE 802.11", "wlan", _READ_FRAME),
    Encapsulation(108, "OpenBSD loopback", "tcpdump.org, LINKTYPE_LOOP", "loopback"),
    Encapsulation(113, "Linux cooked capture", "tcpdump.org, LINKTYPE_LINUX_SLL", "linux_sll"),
    Encapsulation(127, "IEEE 802.11 with radiotap", "radiotap.org", "radiotap", _READ_FRAME),
    Encapsulation(228, "IPv4", "RFC 791", "ipv4"),
    Encapsulation(229, "IPv6", "RFC 8200", "ipv6"),
    Encapsulation(239, "netfilter log", "tcpdump.org, LINKTYPE_NFLOG", "nflog"),
    Encapsulation(274, "Ethernet mPackets", "IEEE 802.3br", "mpacket", _READ_FRAME),
    Encapsulation(276, "Linux cooked capture v2", "tcpdump.org, LINKTYPE_LINUX_SLL2", "linux_sll2"),
)
"""By LINKTYPE_ number."""

ETHER_TYPES: tuple[Encapsulation, ...] = (
    Encapsulation(0x0800, "IPv4", "RFC 894", "ipv4"),
    Encapsulation(0x0806, "ARP", "RFC 826", "stopped", _DEVICES),
    Encapsulation(0x22F3, "TRILL", "RFC 6325", "unsupported", _UNSUPPORTED),
    Encapsulation(0x6558, "transparent Ethernet bridging", "RFC 1701", "ethernet", _READ_FRAME),
    Encapsulation(0x8100, "VLAN tag", "IEEE 802.1Q", "vlan"),
    Encapsulation(0x86DD, "IPv6", "RFC 2464", "ipv6"),
    Encapsulation(0x8847, "MPLS", "RFC 3032", "mpls"),
    Encapsulation(0x8848, "MPLS with upstream-assigned label", "RFC 5332", "mpls"),
    Encapsulation(0x8864, "PPPoE session", "RFC 2516", "pppoe"),
    Encapsulation(0x88A8, "VLAN service tag", "IEEE 802.1ad", "vlan"),
    Encapsulation(0x88E5, "MACsec", "IEEE 802.1AE", "macsec", _ENCRYPTED_LINK),
    Encapsulation(0x88E7, "provider backbone bridge", "IEEE 802.1ah", "unsupported", _UNSUPPORTED),
    Encapsulation(0x894F, "network service header", "RFC 8300", "nsh"),
    Encapsulation(0x9100, "VLAN tag of Q-in-Q before 802.1ad", "vendors", "vlan"),
)
"""By EtherType."""

IP_PROTOCOLS: tuple[Encapsulation, ...] = (
    Encapsulation(0, "IPv6 hop-by-hop options", "RFC 8200", "extension", _STEPPED_OVER),
    Encapsulation(4, "IPv4 in IP", "RFC 2003", "ipv4"),
    Encapsulation(6, "TCP", "RFC 9293", "transport", _READ_TRANSPORT),
    Encapsulation(17, "UDP", "RFC 768", "transport", _READ_TRANSPORT),
    Encapsulation(41, "IPv6 in IP", "RFC 4213", "ipv6"),
    Encapsulation(43, "IPv6 routing header", "RFC 8200", "extension", _STEPPED_OVER),
    Encapsulation(44, "IPv6 fragment header", "RFC 8200", "fragment", "fragments are reassembled"),
    Encapsulation(47, "GRE", "RFC 2784", "gre"),
    Encapsulation(50, "ESP", "RFC 4303", "esp", _ENCRYPTED),
    Encapsulation(51, "authentication header", "RFC 4302", "ah"),
    Encapsulation(60, "IPv6 destination options", "RFC 8200", "extension", _STEPPED_OVER),
    Encapsulation(97, "EtherIP", "RFC 3378", "etherip", _READ_FRAME),
    Encapsulation(108, "IPComp", "RFC 3173", "unsupported", _UNSUPPORTED),
    Encapsulation(115, "L2TP version 3", "RFC 3931", "unsupported", _UNSUPPORTED),
    Encapsulation(135, "IPv6 mobility header", "RFC 6275", "extension", _STEPPED_OVER),
    Encapsulation(137, "MPLS in IP", "RFC 4023", "mpls"),
    Encapsulation(139, "host identity protocol", "RFC 7401", "extension", _STEPPED_OVER),
    Encapsulation(140, "Shim6", "RFC 5533", "extension", _STEPPED_OVER),
)
"""By IP protocol number. Extension headers are read behind an IPv6 header alone."""

UDP_TUNNELS: tuple[UdpTunnel, ...] = (
    UdpTunnel(4789, "VXLAN", "RFC 7348", "vxlan"),
    UdpTunnel(8472, "VXLAN on Linux's old port", "RFC 7348", "vxlan"),
    UdpTunnel(4790, "VXLAN-GPE", "draft-ietf-nvo3-vxlan-gpe", "vxlan"),
    UdpTunnel(6081, "Geneve", "RFC 8926", "geneve"),
    UdpTunnel(2152, "GTP-U", "3GPP TS 29.281", "gtp", either=True),
    UdpTunnel(3544, "Teredo", "RFC 4380", "teredo", either=True),
    UdpTunnel(1701, "L2TP version 2", "RFC 2661", "l2tp"),
    UdpTunnel(4754, "GRE in UDP", "RFC 8086", "gre_in_udp"),
    UdpTunnel(6635, "MPLS in UDP", "RFC 7510", "mpls_in_udp"),
    UdpTunnel(4341, "LISP", "RFC 9300", "lisp"),
)
"""By port. Where both ports of a datagram are listed, the first of the two rows applies. Teredo
between a client and a relay uses any ports and is recognized by its addresses."""

TUNNEL_FUNCTIONS = tuple(dict.fromkeys(row.function for row in UDP_TUNNELS))
"""The functions that read tunnels, each once."""


def tunnel_number(function: str) -> int:
    """The number of such a function, from 1."""
    return 1 + TUNNEL_FUNCTIONS.index(function)
