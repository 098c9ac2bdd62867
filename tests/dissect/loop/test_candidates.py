"""What the packet loop passes on for devices to be learned from, and what it does not."""

import pytest
from craft import Host, Wire
from leases import Segment
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from support.captures import Frames, block, dissector, rows, timed
from support.frames import LINKS

from netwatch.core.message import AddressClaim, Message
from netwatch.dissect.dissector import Dissector
from netwatch.dissect.loop.loop import Loop
from netwatch.protocols import ARP as ARP_KIND
from netwatch.protocols import DHCP, DHCPV6, DNS, MDNS, ND

HOST = Host("10.20.6.20", "02:00:00:20:06:14")
SIX = Host("2001:db8:20:6::14", HOST.mac)
DHCP_BIT, MDNS_BIT, ARP_BIT = 1, 2, 4


def made() -> Frames:
    link = Segment(Wire("2023-04-03T10:00:00+02:00", 1), Host("10.20.6.1", "02:00:00:20:06:01"))
    link.obtain(HOST, "ws-014")
    link.obtain6(SIX, "ws-014")
    link.advertise(SIX)
    link.solicit(SIX, "2001:db8:20:6::1")
    link.announce(HOST, "ws-014")
    return link.wire.frames


FRAMES = made()


@pytest.mark.parametrize(
    ("learning", "kinds"),
    [
        (0, {DNS: 1}),
        (DHCP_BIT, {DHCP: 4, DHCPV6: 2, DNS: 1}),
        (MDNS_BIT, {MDNS: 1}),
        (ARP_BIT, {ARP_KIND: 2, ND: 3, DNS: 1}),
        (7, {DHCP: 4, DHCPV6: 2, ARP_KIND: 2, ND: 3, MDNS: 1}),
    ],
    ids=["none", "dhcp", "mdns", "arp", "all"],
)
def test_each_source_is_passed_on_where_it_is_wanted(learning: int, kinds: dict[int, int]) -> None:
    loop = Loop(64, learning=learning)
    found = [row.kind for row in rows(loop, FRAMES)]
    assert {kind: found.count(kind) for kind in found} == kinds
    assert loop.anomalies() == {"not-ip": 2, "transport-unknown": 3}


def test_rows_have_their_payload_and_macs() -> None:
    for row in rows(Loop(64, learning=7), FRAMES):
        start = sum(len(frame) for _, frame in FRAMES[: row.record])
        assert row.at + row.size == start + len(FRAMES[row.record][1])
        assert (row.src_mac, row.dst_mac) == (start + 6, start)
        if row.kind == ARP_KIND:
            assert (row.at - start, row.addr_size, row.sport, row.dport) == (14, 0, 0, 0)
        elif row.kind == ND:
            assert (row.at - start, row.addr_size, row.sport, row.dport) == (54, 16, 0, 0)
        else:
            assert row.sport in (67, 68, 546, 547, 5353)


def kinds(*packets: bytes, learning: int = 7) -> list[int]:
    return [row.kind for row in rows(Loop(64, learning=learning), timed(packets))]


ETHER = Ether(src=HOST.mac, dst="02:00:00:20:06:01")


@pytest.mark.parametrize(
    ("packet", "found"),
    [
        (ETHER / IP() / UDP(sport=68, dport=67) / b"x", [DHCP]),
        (ETHER / IP() / UDP(sport=67, dport=67) / b"x", [DHCP]),
        (ETHER / IP() / UDP(sport=67, dport=68) / b"x", [DHCP]),
        (ETHER / IP() / UDP(sport=50000, dport=67) / b"x", []),
        (ETHER / IP() / UDP(sport=547, dport=546) / b"x", []),
        (ETHER / IPv6() / UDP(sport=68, dport=67) / b"x", []),
        (ETHER / IPv6() / UDP(sport=546, dport=547) / b"x", [DHCPV6]),
        (ETHER / IPv6() / UDP(sport=50000, dport=546) / b"x", [DHCPV6]),
        (ETHER / IPv6(hlim=255) / ICMPv6EchoRequest(), []),
        (ETHER / IPv6(hlim=255) / ICMPv6ND_NS(), [ND]),
    ],
)
def test_what_is_taken_for_what(packet: Ether, found: list[int]) -> None:
    assert kinds(bytes(packet)) == found
    assert kinds(bytes(packet), learning=0) == []


def test_what_a_router_passed_on_proves_nothing() -> None:
    loop = Loop(64, learning=7)
    packet = bytes(ETHER / IPv6(hlim=254) / ICMPv6ND_NS())
    assert rows(loop, timed([packet])) == []
    assert loop.anomalies() == {"nd-hop-limit": 1, "transport-unknown": 1}


@pytest.mark.parametrize(
    "headers",
    [
        IPv6ExtHdrFragment(),
        IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(),
        IPv6ExtHdrFragment() / IPv6ExtHdrDestOpt(),
    ],
    ids=["alone", "behind-options", "before-options"],
)
def test_neighbour_discovery_with_the_header_of_a_fragment(headers: Packet) -> None:
    """No host takes it, even whole (RFC 6980 section 5)."""
    loop = Loop(64, learning=7)
    packet = bytes(ETHER / IPv6(hlim=255) / headers / ICMPv6ND_NS())
    assert rows(loop, timed([packet])) == []
    assert loop.anomalies() == {"nd-fragmented": 1, "transport-unknown": 1}


def test_neighbour_discovery_behind_options() -> None:
    assert kinds(bytes(ETHER / IPv6(hlim=255) / IPv6ExtHdrHopByHop() / ICMPv6ND_NS())) == [ND]


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_neighbour_discovery_on_every_link(link: object) -> None:
    packet = bytes(IPv6(hlim=255) / ICMPv6ND_NS())
    if link.carries(6):
        loop = Loop(64, learning=7)
        assert [row.kind for row in rows(loop, timed([link.frame(packet)]), link.number)] == [ND]


def test_arp_behind_a_tag() -> None:
    tagged = ETHER.copy()
    tagged.type = 0x8100
    frame = bytes(tagged) + b"\0\x1e\x08\x06" + bytes(ARP())
    (row,) = rows(Loop(64, learning=7), timed([frame]))
    assert (row.kind, row.vlan) == (ARP_KIND, 30)


def claims(by: Dissector) -> list[AddressClaim]:
    return [claim for _, message in by.messages(block(FRAMES), "test") for claim in message.claims]


def test_claims_are_told_whether_names_are_wanted_or_not() -> None:
    def unwanted(message: Message) -> bool:
        return False

    wanted = [dissector(which, learn_from=("dhcp", "mdns", "arp")) for which in (None, unwanted)]
    found = [claims(each) for each in wanted]
    assert found[0] == found[1]
    assert [claim.kind for claim in found[0]] == [
        *("request", "request", "lease"),
        "announcement",
        *("request", "lease"),
        *("announcement", "announcement", "announcement"),
    ]
    assert claims(dissector()) == []


def test_what_cannot_be_read_is_counted() -> None:
    by = dissector(learn_from=("dhcp", "arp"))
    cut = [frame[:60] for _, frame in FRAMES]
    ((_, announcement),) = by.messages(block(timed(cut)), "test")
    assert announcement.claims[0].addresses == (bytes([10, 20, 6, 20]),)
    found = by.anomalies()
    assert (found["dhcp-cut"], found["nd-cut"]) == (4, 3)
