"""The encapsulations of packets: tables of link types, EtherTypes, IP protocols, GRE and UDP
tunnels.

The packet loop, the kernel filter and the generated reference read these tables. A row names the
layer that follows (a ``LAYER_`` constant of `netwatch.dissect.loop.layout`, in lower case), or the
function of `netwatch.dissect.loop.udp_tunnels` that reads the tunnel. A number without a row is not
read: it is counted as ``link-type-unknown``, ``wrapping-unknown-N`` or ``transport-unknown``.
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
    """A tunnel over UDP: its port, its name, where it is specified, and the function that reads it.
    The port is the destination port, with `either` also the source port."""

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
_INTEGRITY = "the packet inside is read; if it is encrypted, it is counted as `encrypted-link`"
_NOT_IP = "counted as `not-ip`"
_DEVICES = "counted as `not-ip`; devices may be learned from it"

LINK_TYPES: tuple[Encapsulation, ...] = (
    Encapsulation(0, "BSD loopback", "tcpdump.org, LINKTYPE_NULL", "loopback"),
    Encapsulation(1, "Ethernet", "IEEE 802.3", "ethernet", _READ_FRAME),
    Encapsulation(6, "token ring", "IEEE 802.5", "token_ring"),
    Encapsulation(7, "ARCnet", "RFC 1051, RFC 1201", "arcnet"),
    Encapsulation(9, "PPP, or Cisco HDLC", "RFC 1661, RFC 1547", "serial_ppp"),
    Encapsulation(10, "FDDI", "ANSI INCITS 239", "fddi"),
    Encapsulation(11, "LLC over ATM", "RFC 2684", "llc"),
    Encapsulation(12, "raw IP", "tcpdump.org, DLT_RAW", "ip"),
    Encapsulation(13, "OpenBSD enc(4), old number", "tcpdump.org, DLT_ENC", "enc"),
    Encapsulation(14, "raw IP of OpenBSD", "tcpdump.org, DLT_RAW", "ip"),
    Encapsulation(16, "classical IP over ATM, old number", "Linux, DLT_CIP", "classical_ip"),
    Encapsulation(18, "classical IP over ATM, old number", "Linux, DLT_CIP", "classical_ip"),
    Encapsulation(19, "classical IP over ATM, old number", "Linux, DLT_ATM_CLIP", "classical_ip"),
    Encapsulation(32, "Redback SmartEdge", "vendor", "redback"),
    Encapsulation(
        50, "PPP in HDLC-like framing, or Cisco HDLC", "RFC 1662, RFC 1547", "serial_ppp"
    ),
    Encapsulation(51, "PPPoE session", "RFC 2516", "pppoe"),
    Encapsulation(99, "Symantec Enterprise Firewall", "vendor", "symantec"),
    Encapsulation(100, "LLC over ATM", "RFC 2684", "llc"),
    Encapsulation(101, "raw IP", "tcpdump.org, LINKTYPE_RAW", "ip"),
    Encapsulation(104, "Cisco HDLC", "RFC 1547, section 4.3.1", "cisco_hdlc"),
    Encapsulation(105, "IEEE 802.11", "IEEE 802.11", "wlan", _READ_FRAME),
    Encapsulation(106, "classical IP over ATM", "RFC 2225", "classical_ip"),
    Encapsulation(107, "frame relay", "RFC 2427", "frame_relay"),
    Encapsulation(108, "OpenBSD loopback", "tcpdump.org, LINKTYPE_LOOP", "loopback"),
    Encapsulation(109, "OpenBSD enc(4)", "tcpdump.org, LINKTYPE_ENC", "enc"),
    Encapsulation(112, "Cisco HDLC, old number", "NetBSD", "cisco_hdlc"),
    Encapsulation(113, "Linux cooked capture", "tcpdump.org, LINKTYPE_LINUX_SLL", "linux_sll"),
    Encapsulation(117, "log of OpenBSD's packet filter", "tcpdump.org, LINKTYPE_PFLOG", "pflog"),
    Encapsulation(
        119,
        "IEEE 802.11 with Prism header",
        "tcpdump.org, LINKTYPE_IEEE802_11_PRISM",
        "prism",
        _READ_FRAME,
    ),
    Encapsulation(122, "IP over Fibre Channel", "RFC 2625", "ip_over_fc"),
    Encapsulation(123, "SunATM", "tcpdump.org, LINKTYPE_SUNATM", "sun_atm"),
    Encapsulation(127, "IEEE 802.11 with radiotap", "radiotap.org", "radiotap", _READ_FRAME),
    Encapsulation(128, "TZSP", "Network Chemistry", "tzsp"),
    Encapsulation(129, "ARCnet as Linux captures it", "RFC 1051, RFC 1201", "arcnet_linux"),
    Encapsulation(130, "Juniper multilink PPP", "vendor", "juniper_mlppp"),
    Encapsulation(131, "Juniper multilink frame relay", "vendor", "juniper_mlfr"),
    Encapsulation(133, "Juniper GGSN", "vendor", "juniper_ggsn"),
    Encapsulation(135, "Juniper ATM2", "vendor", "juniper_atm2"),
    Encapsulation(136, "Juniper services", "vendor", "juniper_services"),
    Encapsulation(137, "Juniper ATM1", "vendor", "juniper_atm1"),
    Encapsulation(
        138, "Apple IP over IEEE 1394", "tcpdump.org, LINKTYPE_APPLE_IP_OVER_IEEE1394", "ieee1394"
    ),
    Encapsulation(149, "PKTAP of macOS 10.9", "tcpdump.org, LINKTYPE_PKTAP", "pktap"),
    Encapsulation(
        163,
        "IEEE 802.11 with AVS header",
        "tcpdump.org, LINKTYPE_IEEE802_11_AVS",
        "avs",
        _READ_FRAME,
    ),
    Encapsulation(167, "Juniper PPPoE", "vendor", "juniper_ethernet", _READ_FRAME),
    Encapsulation(170, "transparent generic framing", "ITU-T G.7041", "gfp"),
    Encapsulation(171, "frame-mapped generic framing", "ITU-T G.7041", "gfp"),
    Encapsulation(178, "Juniper Ethernet", "vendor", "juniper_ethernet", _READ_FRAME),
    Encapsulation(179, "Juniper PPP", "vendor", "juniper_ppp"),
    Encapsulation(180, "Juniper frame relay", "vendor", "juniper_frame_relay"),
    Encapsulation(181, "Juniper Cisco HDLC", "vendor", "juniper_hdlc"),
    Encapsulation(183, "Juniper voice", "vendor", "juniper_voice"),
    Encapsulation(184, "Juniper virtual network", "vendor", "juniper_vn", _READ_FRAME),
    Encapsulation(192, "per-packet information", "CACE, PPI header format 1.0.10", "ppi"),
    Encapsulation(197, "Endace record", "Endace, ERF", "erf"),
    Encapsulation(200, "Juniper secure tunnel", "vendor", "juniper_tunnel"),
    Encapsulation(204, "PPP with direction", "tcpdump.org, LINKTYPE_PPP_WITH_DIR", "directed_ppp"),
    Encapsulation(
        205, "Cisco HDLC with direction", "tcpdump.org, LINKTYPE_C_HDLC_WITH_DIR", "directed_hdlc"
    ),
    Encapsulation(
        206,
        "frame relay with direction",
        "tcpdump.org, LINKTYPE_FRELAY_WITH_DIR",
        "directed_frame_relay",
    ),
    Encapsulation(226, "Solaris IPNET", "tcpdump.org, LINKTYPE_IPNET", "ipnet"),
    Encapsulation(228, "IPv4", "RFC 791", "ipv4"),
    Encapsulation(229, "IPv6", "RFC 8200", "ipv6"),
    Encapsulation(239, "netfilter log", "tcpdump.org, LINKTYPE_NFLOG", "nflog"),
    Encapsulation(240, "netANALYZER", "Hilscher", "netanalyzer", _READ_FRAME),
    Encapsulation(242, "IP over InfiniBand", "RFC 4391", "ipoib"),
    Encapsulation(258, "PKTAP", "tcpdump.org, LINKTYPE_PKTAP", "pktap"),
    Encapsulation(259, "EPON", "IEEE 802.3, clause 65", "epon", _READ_FRAME),
    Encapsulation(274, "Ethernet mPackets", "IEEE 802.3br", "mpacket", _READ_FRAME),
    Encapsulation(276, "Linux cooked capture v2", "tcpdump.org, LINKTYPE_LINUX_SLL2", "linux_sll2"),
)
"""By LINKTYPE_ number."""

NOT_IP: tuple[tuple[int, str, str], ...] = (
    (0x0600, "XNS", "Xerox"),
    (0x0807, "XNS compatible", "Xerox"),
    (0x0842, "Wake-on-LAN", "AMD, Magic Packet"),
    (0x08F0, "M2M over Ethernet", "vendor"),
    (0x0BAD, "Banyan VINES", "vendor"),
    (0x0BAF, "Banyan VINES echo", "vendor"),
    (0x2000, "CDP", "Cisco"),
    (0x2001, "CGMP", "Cisco"),
    (0x2004, "DTP", "Cisco"),
    (0x22EA, "MSRP", "IEEE 802.1Qat"),
    (0x22F0, "audio and video transport", "IEEE 1722"),
    (0x22F4, "IS-IS", "RFC 7042, appendix B"),
    (0x6000, "DEC", "DEC"),
    (0x6001, "DEC MOP dump and load", "DEC"),
    (0x6002, "DEC MOP remote console", "DEC"),
    (0x6003, "DECnet", "DEC"),
    (0x6004, "DEC LAT", "DEC"),
    (0x6005, "DEC diagnostics", "DEC"),
    (0x6006, "DEC customer use", "DEC"),
    (0x6007, "DEC LAVC", "DEC"),
    (0x8035, "RARP", "RFC 903"),
    (0x8038, "DEC spanning tree", "DEC"),
    (0x809B, "AppleTalk", "Apple"),
    (0x80D5, "SNA over Ethernet", "IBM"),
    (0x80F3, "AARP", "Apple"),
    (0x8102, "SLPP", "Nortel"),
    (0x8103, "VLACP", "Nortel"),
    (0x8137, "IPX", "Novell"),
    (0x8138, "IPX", "Novell"),
    (0x81FD, "ISMP", "Enterasys"),
    (0x8783, "MiNT", "Motorola"),
    (0x8808, "MAC control (pause)", "IEEE 802.3, annex 31"),
    (0x8809, "slow protocols (LACP, OAM)", "IEEE 802.3, annex 57"),
    (0x8819, "CobraNet", "vendor"),
    (0x8863, "PPPoE discovery", "RFC 2516"),
    (0x886C, "HomePNA, Broadcom", "vendor"),
    (0x886D, "Intel ANS probes", "vendor"),
    (0x886F, "Microsoft NLB heartbeat", "vendor"),
    (0x887B, "HomePlug", "HomePlug 1.0"),
    (0x888E, "EAPOL", "IEEE 802.1X"),
    (0x8890, "Fortinet HA heartbeat", "vendor"),
    (0x8891, "Fortinet HA telnet", "vendor"),
    (0x8892, "PROFINET", "IEC 61158"),
    (0x8899, "Realtek remote control", "vendor"),
    (0x889A, "HyperSCSI", "vendor"),
    (0x88A2, "ATA over Ethernet", "Coraid"),
    (0x88A4, "EtherCAT", "IEC 61158"),
    (0x88AB, "Ethernet Powerlink", "IEC 61158"),
    (0x88B4, "WAPI", "GB 15629.11"),
    (0x88B8, "GOOSE", "IEC 61850"),
    (0x88B9, "GSE management", "IEC 61850"),
    (0x88BA, "sampled values", "IEC 61850"),
    (0x88C7, "WLAN pre-authentication", "IEEE 802.11"),
    (0x88CA, "TIPC", "Linux"),
    (0x88CC, "LLDP", "IEEE 802.1AB"),
    (0x88CD, "SERCOS III", "IEC 61784"),
    (0x88D8, "circuit emulation", "MEF 8"),
    (0x88D9, "LLTD", "Microsoft"),
    (0x88DC, "WAVE short messages", "IEEE 1609"),
    (0x88E1, "HomePlug AV", "HomePlug"),
    (0x88E3, "media redundancy", "IEC 62439-2"),
    (0x88EE, "E-LMI", "MEF 16"),
    (0x88F5, "MVRP", "IEEE 802.1Q"),
    (0x88F6, "MMRP", "IEEE 802.1Q"),
    (0x88F7, "PTP", "IEEE 1588"),
    (0x88F8, "NC-SI", "DMTF DSP0222"),
    (0x88FB, "PRP supervision", "IEC 62439-3"),
    (0x8902, "connectivity fault management", "IEEE 802.1ag"),
    (0x8906, "Fibre Channel over Ethernet", "INCITS T11"),
    (0x890D, "IEEE 802.11 over Ethernet (TDLS, fast transition)", "IEEE 802.11"),
    (0x8911, "LINX", "vendor"),
    (0x8914, "FCoE initialization", "INCITS T11"),
    (0x8915, "RDMA over converged Ethernet", "InfiniBand"),
    (0x8917, "media independent handover", "IEEE 802.21"),
    (0x891D, "TTEthernet", "SAE AS6802"),
    (0x8929, "MIRP", "IEEE 802.1Q"),
    (0x892D, "bluecom", "vendor"),
    (0x893A, "IEEE 1905.1", "IEEE 1905.1"),
    (0x8940, "ECP", "IEEE 802.1Q"),
    (0x8942, "LLDP over two ports", "IEEE 802.1"),
    (0x8946, "TRILL RBridge channel", "RFC 7178"),
    (0x8947, "GeoNetworking", "ETSI EN 302 636"),
    (0x9000, "configuration test", "Ethernet v2"),
    (0x9003, "Cisco loopback", "vendor"),
    (0xAEFE, "eCPRI", "eCPRI"),
    (0xB4E3, "CableLabs layer 3", "CableLabs"),
    (0xCAFE, "Veritas LLT", "vendor"),
    (0xD00D, "TDM over Ethernet", "vendor"),
    (0xFBAC, "Allied Telesis", "vendor"),
)
"""EtherTypes of protocols that carry no IP: number, name, and where it is specified."""

ETHER_TYPES: tuple[Encapsulation, ...] = (
    Encapsulation(0x0800, "IPv4", "RFC 894", "ipv4"),
    Encapsulation(0x0806, "ARP", "RFC 826", "stopped", _DEVICES),
    Encapsulation(0x0805, "X.25 layer 3", "ITU-T X.25", "unsupported", _UNSUPPORTED),
    Encapsulation(0x08FF, "AX.25 over Ethernet", "G8BPQ", "unsupported", _UNSUPPORTED),
    Encapsulation(0x22E5, "Gigamon header", "vendor", "gigamon"),
    Encapsulation(0x22F3, "TRILL", "RFC 6325", "trill", _READ_FRAME),
    Encapsulation(
        0x2452, "IEEE 802.11 as an old driver captured it", "vendor", "wlan", _READ_FRAME
    ),
    Encapsulation(0x4305, "B.A.T.M.A.N. advanced", "Linux, batadv_packet.h", "batman", _READ_FRAME),
    Encapsulation(0x6558, "transparent Ethernet bridging", "RFC 1701", "ethernet", _READ_FRAME),
    Encapsulation(0x8100, "VLAN tag", "IEEE 802.1Q", "vlan"),
    Encapsulation(0x86DD, "IPv6", "RFC 2464", "ipv6"),
    Encapsulation(0x880B, "PPP", "RFC 7042, appendix B", "ppp"),
    Encapsulation(0x8847, "MPLS", "RFC 3032", "mpls"),
    Encapsulation(0x8848, "MPLS with upstream-assigned label", "RFC 5332", "mpls"),
    Encapsulation(0x8864, "PPPoE session", "RFC 2516", "pppoe"),
    Encapsulation(0x8870, "LLC in a jumbo frame", "draft-ietf-isis-ext-eth", "llc"),
    Encapsulation(0x88A8, "VLAN service tag", "IEEE 802.1ad", "vlan"),
    Encapsulation(0x88BB, "LWAPP", "RFC 5412", "unsupported", _UNSUPPORTED),
    Encapsulation(0x88DE, "VMware Lab Manager", "vendor", "lab_manager"),
    Encapsulation(0x88E5, "MACsec", "IEEE 802.1AE", "macsec", _INTEGRITY),
    Encapsulation(0x88E7, "provider backbone bridge", "IEEE 802.1ah", "pbb", _READ_FRAME),
    Encapsulation(0x8903, "Cisco FabricPath", "vendor", "fabricpath", _READ_FRAME),
    Encapsulation(0x8909, "Cisco MetaData (security group tag)", "vendor", "cisco_metadata"),
    Encapsulation(0x8926, "VN-Tag", "Cisco, VNTag 101", "tag_4"),
    Encapsulation(0x892F, "HSR", "IEC 62439-3", "tag_4"),
    Encapsulation(0x893B, "TRILL fine-grained label", "RFC 7172", "tag_2"),
    Encapsulation(0x893F, "E-TAG", "IEEE 802.1BR", "tag_6"),
    Encapsulation(0x894F, "network service header", "RFC 8300", "nsh"),
    Encapsulation(0x9100, "VLAN tag of Q-in-Q before 802.1ad", "vendors", "vlan"),
    Encapsulation(0x9200, "VLAN tag of Q-in-Q before 802.1ad", "vendors", "vlan"),
    Encapsulation(0x9300, "VLAN tag of Q-in-Q before 802.1ad", "vendors", "vlan"),
    Encapsulation(0xA0ED, "6LoWPAN over Ethernet", "RFC 7973", "unsupported", _UNSUPPORTED),
    Encapsulation(0xD28B, "Arista time stamp", "vendor", "arista"),
    Encapsulation(0xF1C1, "R-TAG (frame replication)", "IEEE 802.1CB", "tag_4"),
    *(Encapsulation(number, name, source, "stopped", _NOT_IP) for number, name, source in NOT_IP),
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
    Encapsulation(55, "minimal encapsulation", "RFC 2004", "unsupported", _UNSUPPORTED),
    Encapsulation(108, "IPComp", "RFC 3173", "unsupported", _UNSUPPORTED),
    Encapsulation(115, "L2TP version 3", "RFC 3931", "l2tpv3"),
    Encapsulation(135, "IPv6 mobility header", "RFC 6275", "extension", _STEPPED_OVER),
    Encapsulation(137, "MPLS in IP", "RFC 4023", "mpls"),
    Encapsulation(139, "host identity protocol", "RFC 7401", "extension", _STEPPED_OVER),
    Encapsulation(140, "Shim6", "RFC 5533", "extension", _STEPPED_OVER),
    Encapsulation(143, "Ethernet", "RFC 8986", "ethernet", _READ_FRAME),
    Encapsulation(145, "network service header", "RFC 9491", "nsh"),
)
"""By IP protocol number. Extension headers are only read after an IPv6 header."""

GRE_PROTOCOLS: tuple[Encapsulation, ...] = (
    Encapsulation(0x0000, "keep-alive", "Cisco", "control", _NOT_IP),
    Encapsulation(0x00FE, "OSI", "RFC 1701", "control", _NOT_IP),
    Encapsulation(0x0101, "GRE tunnel bonding", "RFC 8157", "control", _NOT_IP),
    Encapsulation(0x0806, "ARP", "RFC 826", "ether_type", _DEVICES),
    Encapsulation(0x2000, "Cisco discovery protocol", "vendors", "control", _NOT_IP),
    Encapsulation(0x2001, "next hop resolution protocol", "RFC 2332", "control", _NOT_IP),
    Encapsulation(0x22EB, "ERSPAN III", "draft-foschiano-erspan", "erspan_3"),
    Encapsulation(0x6400, "EoIP", "MikroTik", "ethernet", _READ_FRAME),
    Encapsulation(0x6559, "frame relay", "RFC 1701", "frame_relay"),
    *(
        Encapsulation(number, "802.11 of access points", "Aruba", "wlan", _READ_FRAME)
        for number in range(0x8200, 0x8380, 0x10)
    ),
    Encapsulation(0x880B, "PPP", "RFC 2637", "ppp"),
    Encapsulation(0x8881, "CDMA2000 byte stream", "3GPP2 A.S0008", "unsupported", _UNSUPPORTED),
    Encapsulation(0x883E, "WCCP", "draft-wilson-wrec-wccp-v2", "wccp"),
    Encapsulation(0x88BE, "ERSPAN I and II", "draft-foschiano-erspan", "erspan", _READ_FRAME),
    Encapsulation(0x88D2, "CDMA2000 3GPP2 packet", "3GPP2 A.S0008", "unsupported", _UNSUPPORTED),
    Encapsulation(0xB7EA, "GRE tunnel bonding", "RFC 8157", "control", _NOT_IP),
)
"""By GRE protocol type, in addition to the EtherTypes above, which mean the same there (RFC 2784
section 2.4)."""

UDP_TUNNELS: tuple[UdpTunnel, ...] = (
    UdpTunnel(4789, "VXLAN", "RFC 7348", "vxlan"),
    UdpTunnel(8472, "VXLAN on Linux's old port", "RFC 7348", "vxlan"),
    UdpTunnel(4790, "VXLAN-GPE", "draft-ietf-nvo3-vxlan-gpe", "vxlan"),
    UdpTunnel(6081, "Geneve", "RFC 8926", "geneve"),
    UdpTunnel(2152, "GTP-U", "3GPP TS 29.281", "gtp", either=True),
    UdpTunnel(3544, "Teredo", "RFC 4380", "teredo", either=True),
    UdpTunnel(1701, "L2TP versions 2 and 3", "RFC 2661, RFC 3931", "l2tp", either=True),
    UdpTunnel(4754, "GRE in UDP", "RFC 8086", "gre_in_udp"),
    UdpTunnel(6635, "MPLS in UDP", "RFC 7510", "mpls_in_udp"),
    UdpTunnel(4341, "LISP, LISP-GPE", "RFC 9300, RFC 9305", "lisp"),
    UdpTunnel(6080, "GUE", "draft-ietf-intarea-gue", "gue"),
    UdpTunnel(5247, "CAPWAP data", "RFC 5415, RFC 5416", "capwap", either=True),
    UdpTunnel(12222, "LWAPP data", "RFC 5412", "lwapp", either=True),
    UdpTunnel(37008, "TZSP", "Network Chemistry", "tzsp"),
    UdpTunnel(5072, "AYIYA", "draft-massar-v6ops-ayiya", "ayiya", either=True),
    UdpTunnel(2268, "AMT", "RFC 7450", "amt", either=True),
    UdpTunnel(30030, "packet mirroring of Juniper", "Juniper", "jmirror"),
    UdpTunnel(5000, "remote capture of access points", "OmniPeek, Aruba", "remote_capture"),
    UdpTunnel(5555, "remote capture of access points", "OmniPeek, Aruba", "remote_capture"),
)
"""By port. If both ports of a datagram are listed, the first of the two rows applies. Teredo
between a client and a relay uses any ports and is recognized by its addresses."""

TUNNEL_FUNCTIONS = tuple(dict.fromkeys(row.function for row in UDP_TUNNELS))
"""The functions that read tunnels, each once."""


def tunnel_number(function: str) -> int:
    """The number of a function that reads tunnels, from 1."""
    return 1 + TUNNEL_FUNCTIONS.index(function)
