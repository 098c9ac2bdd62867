"""DHCP, ARP, neighbour discovery and mDNS announcements as frames, for captures and tests.

scapy builds them all. A `Segment` is one link with its DHCP server: it puts frames on a
`Wire`, from hosts that may have no address yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from craft import Host, Wire
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_RelayForward,
    DHCP6_RelayReply,
    DHCP6_Release,
    DHCP6_Reply,
    DHCP6_Request,
    DHCP6OptClientFQDN,
    DHCP6OptClientId,
    DHCP6OptClientLinkLayerAddr,
    DHCP6OptIA_NA,
    DHCP6OptIAAddress,
    DHCP6OptRelayMsg,
    DHCP6OptServerId,
)
from scapy.layers.dns import DNS, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet

BROADCAST = "ff:ff:ff:ff:ff:ff"
SERVERS6 = "ff02::1:2"
"""All_DHCP_Relay_Agents_and_Servers (RFC 8415 section 7.1)."""

LL_PREFIX = "fe80::"


def link_local(mac: str) -> str:
    """The link-local address with the modified EUI-64 of a MAC (RFC 4291 appendix A)."""
    octets = bytearray(bytes.fromhex(mac.replace(":", "")))
    octets[0] ^= 2
    words = (octets[:3] + b"\xff\xfe" + octets[3:]).hex(":", 2)
    return LL_PREFIX + ":".join(word.lstrip("0") or "0" for word in words.split(":"))


def dhcp(
    kind: str,
    mac: str,
    *,
    xid: int = 7,
    ciaddr: str = "0.0.0.0",
    yiaddr: str = "0.0.0.0",
    giaddr: str = "0.0.0.0",
    options: Sequence[tuple[object, ...]] = (),
) -> Packet:
    """A DHCP message, its type by scapy's name for it: ``discover``, ``ack`` …"""
    return BOOTP(
        op=2 if kind in ("offer", "ack", "nak") else 1,
        xid=xid,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        giaddr=giaddr,
        chaddr=bytes.fromhex(mac.replace(":", "")),
        hops=int(giaddr != "0.0.0.0"),
    ) / DHCP(options=[("message-type", kind), *options, "end"])


def dhcpv6(kind: type[Packet], mac: str, *, xid: int = 7, options: Sequence[Packet] = ()) -> Packet:
    """A DHCPv6 message of a client whose DUID is made of its MAC (DUID-LL)."""
    message = kind(trid=xid) / DHCP6OptClientId(duid=DUID_LL(lladdr=mac))
    for option in options:
        message /= option
    return message


def association(ip: str, lifetime: int) -> Packet:
    """A non-temporary association of one address (RFC 8415 section 21.4)."""
    given = DHCP6OptIAAddress(addr=ip, preflft=lifetime, validlft=lifetime)
    return DHCP6OptIA_NA(iaid=1, T1=0, T2=0, ianaopts=[given])


def called(name: str) -> Packet:
    """The client's name (RFC 4704)."""
    return DHCP6OptClientFQDN(fqdn=name.encode("ascii"))


def server_id(mac: str) -> Packet:
    """The server's DUID."""
    return DHCP6OptServerId(duid=DUID_LL(lladdr=mac))


def relayed(message: Packet, peer: str, link: str, mac: str | None, *, reply: bool) -> Packet:
    """A message as a relay passes it on, with the client's address on the link where
    `mac` is given (RFC 6939)."""
    wrapping = (DHCP6_RelayReply if reply else DHCP6_RelayForward)(linkaddr=link, peeraddr=peer)
    if mac is not None:
        wrapping /= DHCP6OptClientLinkLayerAddr(lltype=1, clladdr=mac)
    return wrapping / DHCP6OptRelayMsg(message=message)


@dataclass(slots=True)
class Segment:
    """One link and the DHCP server on it."""

    wire: Wire
    server: Host
    lease: int = 3600

    def put(self, src: Host, dst_mac: str, packet: Packet) -> None:
        """One frame of a host, with its VLAN tags."""
        frame = Ether(src=src.mac, dst=dst_mac)
        for tag in src.vlans:
            frame /= Dot1Q(vlan=tag)
        self.wire.frames.append((self.wire.now, bytes(frame / packet)))
        self.wire.wait(self.wire.rng.uniform(0.0005, 0.004))

    def say(self, client: Host, message: Packet, *, bare: bool = False) -> None:
        """A message of a client: broadcast where it has no address (`bare`), else to the
        server."""
        network = IP(src="0.0.0.0", dst="255.255.255.255") if bare else None
        network = network or IP(src=client.ip, dst=self.server.ip)
        to = BROADCAST if bare else self.server.mac
        self.put(client, to, network / UDP(sport=68, dport=67) / message)

    def reply(self, client: Host, message: Packet) -> None:
        """A message of the server to the address that a client has or gets."""
        network = IP(src=self.server.ip, dst=client.ip)
        sender = Host(self.server.ip, self.server.mac, client.vlans)
        self.put(sender, client.mac, network / UDP(sport=67, dport=68) / message)

    def options(self) -> list[tuple[object, ...]]:
        """What the server says with each address."""
        return [("server_id", self.server.ip), ("lease_time", self.lease)]

    def obtain(self, client: Host, name: str) -> None:
        """A client gets its address: four messages (RFC 2131 section 3.1), then the probe
        and the announcement of RFC 5227."""
        xid = self.wire.rng.getrandbits(32)
        named = [("hostname", name)]
        wants = [("requested_addr", client.ip), ("server_id", self.server.ip)]
        given = {"xid": xid, "yiaddr": client.ip, "options": self.options()}
        self.say(client, dhcp("discover", client.mac, xid=xid, options=named), bare=True)
        self.reply(client, dhcp("offer", client.mac, **given))
        asked = dhcp("request", client.mac, xid=xid, options=[*wants, *named])
        self.say(client, asked, bare=True)
        self.reply(client, dhcp("ack", client.mac, **given))
        self.arp(client, client.ip, sender="0.0.0.0")
        self.arp(client, client.ip)

    def renew(self, client: Host, name: str) -> None:
        """A client extends its lease (RFC 2131 section 4.4.5)."""
        xid = self.wire.rng.getrandbits(32)
        named = [("hostname", name)]
        self.say(client, dhcp("request", client.mac, xid=xid, ciaddr=client.ip, options=named))
        given = {"xid": xid, "yiaddr": client.ip, "options": self.options()}
        self.reply(client, dhcp("ack", client.mac, ciaddr=client.ip, **given))

    def release(self, client: Host) -> None:
        """A client gives its address up (RFC 2131 section 4.4.6)."""
        server = [("server_id", self.server.ip)]
        xid = self.wire.rng.getrandbits(32)
        self.say(client, dhcp("release", client.mac, xid=xid, ciaddr=client.ip, options=server))

    def obtain6(self, client: Host, name: str) -> None:
        """A client gets an IPv6 address, the second half of RFC 8415 section 5.3."""
        xid = self.wire.rng.getrandbits(24)
        options = [server_id(self.server.mac), association(client.ip, self.lease)]
        near, far = link_local(client.mac), link_local(self.server.mac)
        asked = dhcpv6(DHCP6_Request, client.mac, xid=xid, options=[*options, called(name)])
        ports = UDP(sport=546, dport=547)
        self.put(client, "33:33:00:01:00:02", IPv6(src=near, dst=SERVERS6, hlim=1) / ports / asked)
        given = dhcpv6(DHCP6_Reply, client.mac, xid=xid, options=options)
        sender = Host(self.server.ip, self.server.mac, client.vlans)
        ports = UDP(sport=547, dport=546)
        self.put(sender, client.mac, IPv6(src=far, dst=near) / ports / given)

    def release6(self, client: Host) -> None:
        """A client gives an IPv6 address up (RFC 8415 section 18.2.7)."""
        xid = self.wire.rng.getrandbits(24)
        options = [server_id(self.server.mac), association(client.ip, 0)]
        message = dhcpv6(DHCP6_Release, client.mac, xid=xid, options=options)
        network = IPv6(src=link_local(client.mac), dst=SERVERS6, hlim=1)
        self.put(client, "33:33:00:01:00:02", network / UDP(sport=546, dport=547) / message)

    def arp(self, host: Host, target: str, *, sender: str | None = None, answers: str = "") -> None:
        """A host asks who has `target`, or tells the MAC `answers` its own address."""
        to = answers or BROADCAST
        packet = ARP(
            op=2 if answers else 1,
            hwsrc=host.mac,
            psrc=host.ip if sender is None else sender,
            hwdst=answers or "00:00:00:00:00:00",
            pdst=target,
        )
        self.put(host, to, packet)

    def advertise(self, host: Host) -> None:
        """An unsolicited neighbour advertisement (RFC 4861 section 7.2.6), behind the probe
        for a duplicate (RFC 4862 section 5.4.2)."""
        probe = IPv6(src="::", dst="ff02::1", hlim=255) / ICMPv6ND_NS(tgt=host.ip)
        self.put(host, "33:33:00:00:00:01", probe)
        told = ICMPv6ND_NA(tgt=host.ip, R=0, S=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=host.mac)
        self.put(host, "33:33:00:00:00:01", IPv6(src=host.ip, dst="ff02::1", hlim=255) / told)

    def solicit(self, host: Host, target: str) -> None:
        """A host asks for the link-layer address of another (RFC 4861 section 4.3)."""
        asked = ICMPv6ND_NS(tgt=target) / ICMPv6NDOptSrcLLAddr(lladdr=host.mac)
        network = IPv6(src=host.ip, dst="ff02::1", hlim=255)
        self.put(host, "33:33:00:00:00:01", network / asked)

    def announce(self, host: Host, name: str, *others: str, ttl: int = 120) -> None:
        """A host tells its name below .local with all its addresses (RFC 6762 section 8.3)."""
        self.put(host, "01:00:5e:00:00:fb", announcement(host.ip, name, *others, ttl=ttl))


def announcement(ip: str, name: str, *others: str, ttl: int = 120) -> Packet:
    """The packet of `Segment.announce`."""
    records = [
        DNSRR(
            rrname=f"{name}.local.",
            type="AAAA" if ":" in each else "A",
            rclass=0x8001,
            ttl=ttl,
            rdata=each,
        )
        for each in (ip, *others)
    ]
    message = DNS(id=0, qr=1, aa=1, rd=0, qd=[], an=records)
    if ":" in ip:
        return IPv6(src=ip, dst="ff02::fb", hlim=255) / UDP(sport=5353, dport=5353) / message
    return IP(src=ip, dst="224.0.0.251", ttl=255) / UDP(sport=5353, dport=5353) / message
