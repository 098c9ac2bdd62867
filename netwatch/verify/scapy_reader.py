"""Packets as scapy reads them.

scapy dissects a frame as deep as it can, including tunnels. A layer keeps the bytes that it was
read from (`Packet.original`), which are used instead of what scapy would build again.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from netwatch.verify.flows import Binding, DnsMessage, Fragment, IpPacket, Link, Segment

logging.getLogger("scapy").setLevel(logging.CRITICAL)
with warnings.catch_warnings():
    # Algorithms that `cryptography` will drop, which scapy names for old TLS versions.
    warnings.simplefilter("ignore")
    import scapy.contrib.chdlc
    import scapy.contrib.erspan
    import scapy.contrib.etherip
    import scapy.contrib.geneve
    import scapy.contrib.gtp
    import scapy.contrib.mpls
    import scapy.contrib.nsh
    import scapy.contrib.tzsp
    import scapy.layers.dot11
    import scapy.layers.l2tp
    import scapy.layers.pflog
    import scapy.layers.ppi
    import scapy.layers.ppp
    import scapy.layers.vxlan  # noqa: F401 - each binds its layer to its port or EtherType
    from scapy.config import conf
    from scapy.layers.dhcp import BOOTP, DHCP
    from scapy.layers.dhcp6 import DHCP6OptClientFQDN, DHCP6OptClientId, DHCP6OptIAAddress
    from scapy.layers.dns import DNS
    from scapy.layers.http import HTTPRequest
    from scapy.layers.inet import IP, TCP, UDP, IPerror
    from scapy.layers.inet6 import (
        ICMPv6ND_NA,
        ICMPv6ND_NS,
        ICMPv6NDOptDstLLAddr,
        ICMPv6NDOptSrcLLAddr,
        IPerror6,
        IPv6,
        IPv6ExtHdrFragment,
    )
    from scapy.layers.l2 import ARP, Dot1Q, Ether
    from scapy.layers.tls.extensions import TLS_Ext_ServerName
    from scapy.layers.tls.handshake import TLSCertificate, TLSClientHello
    from scapy.layers.x509 import X509_Cert, X509_DNSName

# A small body may unpack to gigabytes.
conf.contribs["http"]["auto_compression"] = False

_RAW_IP = (12, 14, 101, 228, 229)
_A, _CNAME, _AAAA, _DNAME, _SVCB, _HTTPS = 1, 5, 28, 39, 64, 65
_MAX_LAYERS = 64
_TLS_HELLO: Any = TLSClientHello
_TLS_CERTIFICATE: Any = TLSCertificate


def dissect(link_type: int, data: bytes) -> Any:
    """The frame as scapy's layers; None if scapy does not know its link type."""
    if link_type in _RAW_IP:
        return (IPv6 if data[:1] and data[0] >> 4 == 6 else IP)(data)
    layer = conf.l2types.num2layer.get(link_type)
    return None if layer is None else layer(data)


def hello_layers(hello: bytes) -> Any:
    """A ClientHello as scapy's layers."""
    return _TLS_HELLO(hello)


class ScapyReader:
    """Reads by scapy, see `netwatch.verify.flows.Reader`."""

    name = "scapy"

    def ip_packet(self, link_type: int, data: bytes) -> IpPacket | None:
        """The innermost IP packet of a frame."""
        frame = dissect(link_type, data)
        found: list[Any] = []
        senders, receivers, vlans = set(), set(), []
        for layer in _layers(frame):
            if isinstance(layer, IPerror | IPerror6):
                break  # a packet that an error quotes
            if isinstance(layer, IP | IPv6):
                found = [layer]
            elif isinstance(layer, Ether):
                senders.add(layer.src)
                receivers.add(layer.dst)
            elif isinstance(layer, Dot1Q):
                vlans.append(int(layer.vlan))
            elif layer.name == "802.11":
                senders |= {layer.addr2, layer.addr3, layer.addr4}
                receivers |= {layer.addr1, layer.addr3}
            elif layer.name in ("cooked linux", "cooked linux v2"):
                senders.add(bytes(layer.src)[:6].hex(":"))
            elif found:
                found.append(layer)
        if not found:
            return None
        link = Link(frozenset(senders - {None}), frozenset(receivers - {None}), tuple(vlans))
        ip = found[0]
        if isinstance(ip, IP):
            fragment = None
            if ip.frag or ip.flags.MF:
                fragment = Fragment(int(ip.id), int(ip.frag) * 8, bool(ip.flags.MF))
            payload = bytes(ip.payload.original)
            size = int(ip.len or 0) - int(ip.ihl) * 4
            return IpPacket(ip.src, ip.dst, int(ip.proto), payload, link, fragment, size)
        return _version_6(found, link)

    def segment(self, protocol: int, payload: bytes) -> Segment | None:
        """TCP or UDP."""
        if protocol == 17:
            udp = UDP(payload)
            end = udp.len if udp.len and udp.len >= 8 else len(payload)
            return Segment(int(udp.sport), int(udp.dport), payload[8:end])
        if protocol != 6:
            return None
        tcp = TCP(payload)
        start = int(tcp.dataofs) * 4
        ports = int(tcp.sport), int(tcp.dport)
        acknowledges = int(tcp.ack) if tcp.flags.A else None
        return Segment(*ports, payload[start:], int(tcp.seq), bool(tcp.flags.S), acknowledges)

    def dns(self, payload: bytes) -> DnsMessage | None:
        """A DNS message."""
        message = DNS(payload)
        aliases, addresses = [], []
        for record in message.an or ():
            kind, owner = getattr(record, "type", 0), _dotless(getattr(record, "rrname", b""))
            if kind in (_CNAME, _DNAME):
                aliases.append((owner, _dotless(record.rdata)))
            elif kind in (_A, _AAAA):
                addresses.append((owner, str(record.rdata)))
            elif kind in (_SVCB, _HTTPS):
                aliases.append((owner, _dotless(record.target_name)))
        questions = tuple(_dotless(each.qname) for each in message.qd or ())
        return DnsMessage(bool(message.qr), questions, tuple(aliases), tuple(addresses))

    def server_name(self, hello: bytes) -> bytes | None:
        """The server name of a ClientHello."""
        for extension in _TLS_HELLO(hello).ext or ():
            if isinstance(extension, TLS_Ext_ServerName) and extension.servernames:
                return bytes(extension.servernames[0].servername)
        return None

    def request_names(self, head: bytes) -> Sequence[bytes]:
        """Host, and the authority of the target."""
        request = HTTPRequest(head)
        names = [request.Host] if request.Host else []
        target = request.Path or b""
        if request.Method == b"CONNECT":
            names.append(target)
        elif b"://" in target:
            names.append(urlsplit(target).netloc)
        return names

    def certificate_names(self, message: bytes) -> Sequence[bytes]:
        """The host names of the first certificate: subject alternative names, and the common name
        if there are none."""
        chain = _TLS_CERTIFICATE(message).certs
        if not chain:
            return ()
        certificate = X509_Cert(bytes(chain[0][1].der))
        names = []
        for extension in certificate.tbsCertificate.extensions or ():
            if extension.extnID.oidname == "subjectAltName":
                names += [
                    bytes(each.generalName.dNSName.val)
                    for each in extension.extnValue.subjectAltName
                    if isinstance(each.generalName, X509_DNSName)
                ]
        if names:
            return names
        return [
            bytes(part.value.val)
            for relative in certificate.tbsCertificate.subject
            for part in relative.rdn
            if part.type.oidname == "commonName"
        ]

    def bindings(self, link_type: int, data: bytes) -> Sequence[Binding]:
        """ARP, neighbour discovery, DHCP and mDNS."""
        return [each for layer in _layers(dissect(link_type, data)) for each in _bound(layer)]


def _layers(frame: Any) -> Iterator[Any]:
    layer = frame
    for _ in range(_MAX_LAYERS):
        if not layer:
            return
        yield layer
        layer = layer.payload


def _version_6(found: list[Any], link: Link) -> IpPacket:
    """IPv6 with its extension headers."""
    ip, last = found[0], found[0]
    fragment = None
    for layer in found[1:]:
        if not layer.name.startswith("IPv6 Extension Header"):
            break
        last = layer
        if isinstance(layer, IPv6ExtHdrFragment):
            fragment = Fragment(int(layer.id), int(layer.offset) * 8, bool(layer.m))
            break
    if fragment is not None and not fragment.offset and not fragment.more:
        fragment = None
    payload = bytes(last.payload.original)
    size = int(ip.plen or 0) - (len(ip.payload.original) - len(payload) if last is not ip else 0)
    return IpPacket(ip.src, ip.dst, int(last.nh), payload, link, fragment, size)


def _dotless(name: Any) -> bytes:
    raw = name.encode() if isinstance(name, str) else bytes(name)
    return raw[:-1] if raw.endswith(b".") else raw


def _bound(layer: Any) -> Iterator[Binding]:
    if isinstance(layer, ARP):
        yield Binding(str(layer.psrc), str(layer.hwsrc))
        if layer.op == 2:
            yield Binding(str(layer.pdst), str(layer.hwdst))
    elif isinstance(layer, BOOTP):
        mac = bytes(layer.chaddr)[:6].hex(":")
        options = dict(each[:2] for each in _dhcp_options(layer))
        raw = options.get("hostname", options.get("client_FQDN", b""))
        name = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)
        for ip in {str(layer.yiaddr), str(layer.ciaddr), str(options.get("requested_addr", ""))}:
            yield Binding(ip, mac, name)
    elif isinstance(layer, ICMPv6ND_NA | ICMPv6ND_NS):
        option: Any = layer.payload
        address = option.lladdr if isinstance(option, _LINK_OPTIONS) else ""
        yield Binding(str(layer.tgt), address)
        sender: Any = layer.underlayer
        yield Binding(str(sender.src) if isinstance(sender, IPv6) else "", address)
    elif isinstance(layer, DHCP6OptIAAddress):
        yield Binding(str(layer.addr), "")
    elif isinstance(layer, DHCP6OptClientId):
        yield Binding("", str(getattr(layer.duid, "lladdr", "")))
    elif isinstance(layer, DHCP6OptClientFQDN):
        yield Binding("", "", _dotless(layer.fqdn).decode("ascii", "replace"))
    elif isinstance(layer, DNS) and layer.qr:
        for record in [*(layer.an or ()), *(layer.ar or ())]:
            if getattr(record, "type", 0) in (_A, _AAAA):
                name = _dotless(record.rrname).decode("ascii", "replace")
                yield Binding(str(record.rdata), "", name)


_LINK_OPTIONS = (ICMPv6NDOptSrcLLAddr, ICMPv6NDOptDstLLAddr)


def _dhcp_options(layer: Any) -> list[tuple[Any, ...]]:
    options = layer[DHCP].options if DHCP in layer else ()
    return [option for option in options if isinstance(option, tuple) and len(option) >= 2]
