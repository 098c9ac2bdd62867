"""Packets as dpkt reads them.

dpkt knows fewer link types and tunnels than scapy; what it does not know, it does not read, and
only the other reader counts.
"""

import io
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

import dpkt  # type: ignore[import-untyped]
from cryptography import x509
from cryptography.x509.oid import NameOID

from netwatch.verify.flows import Binding, DnsMessage, Fragment, IpPacket, Link, Segment

_RAW_IP = (12, 14, 101, 228, 229)
_LINKS = {
    0: dpkt.loopback.Loopback,
    1: dpkt.ethernet.Ethernet,
    9: dpkt.ppp.PPP,
    108: dpkt.loopback.Loopback,
    113: dpkt.sll.SLL,
    276: dpkt.sll2.SLL2,
}
_A, _CNAME, _AAAA = 1, 5, 28
_UNREAD = (39, 64, 65)  # DNAME, SVCB, HTTPS
_SERVER_NAME = 0
_MAX_LAYERS = 64


class DpktReader:
    """Reads by dpkt, see `netwatch.verify.flows.Reader`."""

    name = "dpkt"

    def ip_packet(self, link_type: int, data: bytes) -> IpPacket | None:
        """The innermost IP packet of a frame."""
        senders, receivers, vlans = set(), set(), []
        found: Any = None
        for layer in _layers(link_type, data):
            if isinstance(layer, dpkt.icmp.ICMP | dpkt.icmp6.ICMP6):
                break  # an error may quote a packet
            if isinstance(layer, dpkt.ip.IP | dpkt.ip6.IP6):
                found = layer
            elif isinstance(layer, dpkt.ethernet.Ethernet):
                senders.add(layer.src.hex(":"))
                receivers.add(layer.dst.hex(":"))
                vlans += [int(tag.id) for tag in getattr(layer, "vlan_tags", ())]
            elif isinstance(layer, dpkt.sll.SLL | dpkt.sll2.SLL2):
                senders.add(layer.hdr[:6].hex(":"))
        if found is None:
            return None
        ends = _text(found.src), _text(found.dst)
        link = Link(frozenset(senders), frozenset(receivers), tuple(vlans))
        payload = bytes(found.data)
        if isinstance(found, dpkt.ip.IP):
            fragment = None
            if found.offset or found.mf:
                fragment = Fragment(int(found.id), int(found.offset) * 8, bool(found.mf))
            size = int(found.len) - int(found.hl) * 4
            return IpPacket(*ends, int(found.p), payload, link, fragment, size)
        size = int(found.plen) - sum(header.length for header in found.all_extension_headers)
        extension = found.extension_hdrs.get(44)
        if extension is None:
            return IpPacket(*ends, int(found.p), payload, link, size=size)
        fragment = Fragment(int(extension.id), int(extension.frag_off) * 8, bool(extension.m_flag))
        whole = not fragment.offset and not fragment.more
        protocol = int(extension.nxt)
        return IpPacket(*ends, protocol, payload, link, None if whole else fragment, size)

    def segment(self, protocol: int, payload: bytes) -> Segment | None:
        """TCP or UDP."""
        if protocol == 17:
            udp = dpkt.udp.UDP(payload)
            end = udp.ulen if udp.ulen >= 8 else len(payload)
            return Segment(udp.sport, udp.dport, payload[8:end])
        if protocol != 6:
            return None
        tcp = dpkt.tcp.TCP(payload)
        begins = bool(tcp.flags & dpkt.tcp.TH_SYN)
        acknowledges = tcp.ack if tcp.flags & dpkt.tcp.TH_ACK else None
        return Segment(tcp.sport, tcp.dport, bytes(tcp.data), tcp.seq, begins, acknowledges)

    def dns(self, payload: bytes) -> DnsMessage | None:
        """A DNS message; dpkt does not read the targets of SVCB and HTTPS records, and in a message
        with a record that it does not know only the questions."""
        try:
            message = dpkt.dns.DNS(payload)
        except dpkt.UnpackError:
            asked = dpkt.dns.DNS(payload[:6] + bytes(6) + payload[12:])
            questions = tuple(each.name.encode() for each in asked.qd)
            return DnsMessage(bool(asked.qr), questions, (), (), partly=True)
        aliases, addresses = [], []
        for record in message.an:
            owner = record.name.encode()
            if record.type == _CNAME:
                aliases.append((owner, record.cname.encode()))
            elif record.type in (_A, _AAAA):
                addresses.append((owner, _text(bytes(record.rdata))))
        questions = tuple(each.name.encode() for each in message.qd)
        partly = any(record.type in _UNREAD for record in message.an)
        return DnsMessage(bool(message.qr), questions, tuple(aliases), tuple(addresses), partly)

    def server_name(self, hello: bytes) -> bytes | None:
        """The server name of a ClientHello. dpkt returns the bytes of the extension, which are a
        list of one entry (RFC 6066 section 3)."""
        read = dpkt.ssl.TLSHandshake(hello).data
        for kind, value in getattr(read, "extensions", ()):
            if kind == _SERVER_NAME and value[2:3] == b"\0":
                return bytes(value[5 : 5 + int.from_bytes(value[3:5])])
        return None

    def request_names(self, head: bytes) -> Sequence[bytes]:
        """Host, and the authority of the target. dpkt's own class of requests needs the body too,
        so only its reader of fields is used."""
        stream = io.BytesIO(head)
        method, target, *_ = stream.readline().decode("ascii", "ignore").split()
        host = dpkt.http.parse_headers(stream).get("host", "")
        names = [host if isinstance(host, str) else host[0]] if host else []
        if method == "CONNECT":
            names.append(target)
        elif "://" in target:
            names.append(urlsplit(target).netloc)
        return [name.encode() for name in names]

    def certificate_names(self, message: bytes) -> Sequence[bytes]:
        """The host names of the first certificate, which `cryptography` reads: dpkt returns its
        bytes."""
        chain = dpkt.ssl.TLSHandshake(message).data.certificates
        if not chain:
            return ()
        certificate = x509.load_der_x509_certificate(bytes(chain[0]))
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            return [str(each.value).encode() for each in common]
        return [each.encode() for each in names.value.get_values_for_type(x509.DNSName)]

    def bindings(self, link_type: int, data: bytes) -> Sequence[Binding]:
        """ARP and DHCP of IPv4; dpkt does not read the others."""
        found: list[Binding] = []
        for layer in _layers(link_type, data):
            if isinstance(layer, dpkt.arp.ARP):
                found.append(Binding(_text(layer.spa), layer.sha.hex(":")))
                if layer.op == 2:
                    found.append(Binding(_text(layer.tpa), layer.tha.hex(":")))
            elif isinstance(layer, dpkt.udp.UDP) and {layer.sport, layer.dport} & {67, 68}:
                found += _leased(dpkt.dhcp.DHCP(bytes(layer.data)))
        return found


def _layers(link_type: int, data: bytes) -> Iterator[Any]:
    if link_type in _RAW_IP:
        layer = (dpkt.ip6.IP6 if data[0] >> 4 == 6 else dpkt.ip.IP)(data)
    elif link_type in _LINKS:
        layer = _LINKS[link_type](data)
    else:
        return
    for _ in range(_MAX_LAYERS):
        if not isinstance(layer, dpkt.Packet):
            return
        yield layer
        layer = layer.data


def _leased(message: Any) -> Iterator[Binding]:
    mac = message.chaddr[:6].hex(":")
    options = dict(message.opts)
    name = bytes(options.get(12, b"")).decode("ascii", "replace")
    for packed in (message.yiaddr, message.ciaddr):
        yield Binding(_text(int(packed).to_bytes(4)), mac, name)
    if len(options.get(50, b"")) == 4:
        yield Binding(_text(bytes(options[50])), mac, name)


def _text(packed: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
