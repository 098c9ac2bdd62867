"""What devices are learned from, in generated captures: tshark reads the same in them."""

import random
from collections.abc import Sequence
from pathlib import Path

import leases
import pytest
from craft import Host, Wire
from leases import Segment
from scapy.layers.dhcp6 import DHCP6_Reply, DHCP6_Request
from scapy.layers.inet import UDP
from scapy.layers.inet6 import IPv6
from support import tshark
from support.captures import Frames, block, dissector, pcap

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.message import LEARNING_SOURCES, AddressClaim

pytestmark = tshark.needed

SERVER = Host("10.20.6.1", "02:00:5e:00:20:01")
RELAY = Host("2001:db8:20:6::1", "02:00:5e:00:20:01")


def hosts(seed: int) -> list[tuple[Host, Host, str]]:
    """Clients with both addresses and a name."""
    rng = random.Random(seed)
    found = []
    for number in range(1, 25):
        mac = f"02:00:00:20:{number:02x}:{rng.randrange(256):02x}"
        six = f"2001:db8:20:6::{rng.randrange(1, 1 << 16):x}"
        name = f"ws-{number}" + rng.choice(["", ".corp.example"])
        found.append((Host(f"10.20.6.{10 + number}", mac), Host(six, mac), name))
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Frames]:
    link = Segment(Wire("2023-04-03T10:00:00+02:00", 9), SERVER)
    for number, (host, six, name) in enumerate(hosts(4)):
        link.lease = 600 + number
        link.obtain(host, name)
        link.obtain6(six, name)
        link.renew(host, name)
        relay(link, six, name, hops=number % 4)
        link.arp(host, SERVER.ip, answers=SERVER.mac)
        link.advertise(six)
        link.solicit(six, RELAY.ip)
        link.announce(host, name.partition(".")[0], six.ip)
        if number % 3 == 0:
            link.release(host)
            link.release6(six)
    path = tmp_path_factory.mktemp("leases") / "leases.pcap"
    path.write_bytes(pcap(link.wire.frames))
    return path, link.wire.frames


def relay(link: Segment, client: Host, name: str, hops: int) -> None:
    """A request and its reply as a row of relays passes them on."""
    options = [leases.association(client.ip, link.lease), leases.called(name)]
    for kind, reply in ((DHCP6_Request, False), (DHCP6_Reply, True)):
        message = leases.dhcpv6(kind, client.mac, options=options)
        for hop in range(hops + 1):
            reported = client.mac if hop == 0 and not reply else None
            near = leases.link_local(client.mac)
            message = leases.relayed(message, near, RELAY.ip, reported, reply=reply)
        ports = UDP(sport=547, dport=547)
        link.put(SERVER, SERVER.mac, IPv6(src=RELAY.ip, dst=RELAY.ip) / ports / message)


def claims(frames: Frames) -> list[tuple[int, AddressClaim]]:
    """What is claimed, with the number of the packet."""
    by = dissector(learn_from=LEARNING_SOURCES)
    found = by.messages(block(frames), "test")
    reported = [(packet.number, claim) for packet, message in found for claim in message.claims]
    assert set(by.anomalies()) <= {"not-ip", "transport-unknown"}
    return reported


def read(path: Path, which: str, *fields: str) -> list[list[str]]:
    """Number and fields of each packet that a display filter matches."""
    return tshark.fields(path, ["frame.number", *fields], display_filter=which)


def addresses(claim: AddressClaim) -> str:
    return ",".join(map(ip_text, claim.addresses))


def same(ours: Sequence[Sequence[object]], theirs: Sequence[Sequence[str]]) -> None:
    assert len(theirs) > 10
    assert [list(map(str, row)) for row in ours] == [list(row) for row in theirs]


def test_leases_of_ipv4(made: tuple[Path, Frames]) -> None:
    path, frames = made
    fields = ("dhcp.hw.mac_addr", "dhcp.ip.your", "dhcp.option.ip_address_lease_time")
    ours = [
        (number, mac_text(claim.mac), addresses(claim), claim.lifetime)
        for number, claim in claims(frames)
        if claim.kind == "lease" and len(claim.addresses[0]) == 4
    ]
    same(ours, read(path, "dhcp.option.dhcp == 5", *fields))


def test_names_of_clients(made: tuple[Path, Frames]) -> None:
    path, frames = made
    ours = [
        (number, mac_text(claim.mac), claim.hostname)
        for number, claim in claims(frames)
        if claim.kind == "request" and claim.mac and len(claim.client_id) == 6
    ]
    fields = ("dhcp.hw.mac_addr", "dhcp.option.hostname")
    same(ours, read(path, "dhcp.option.dhcp == 1 or dhcp.option.dhcp == 3", *fields))


@pytest.mark.parametrize(("kind", "number"), [("request", 3), ("lease", 7), ("release", 8)])
def test_dhcp_of_ipv6(made: tuple[Path, Frames], kind: str, number: int) -> None:
    path, frames = made
    ours = [
        (packet, claim.client_id.hex(), addresses(claim), claim.hostname)
        for packet, claim in claims(frames)
        if claim.kind == kind and len(claim.client_id) > 6
    ]
    fields = ("dhcpv6.duid.bytes", "dhcpv6.iaaddr.ip", "dhcpv6.client_domain", "dhcpv6.tld")
    theirs = [
        [row[0], row[1].split(",")[0], row[2], (row[3] or row[4]).rstrip(".")]
        for row in read(path, f"dhcpv6.msgtype == {number}", *fields)
    ]
    assert len(theirs) > 5
    assert [list(map(str, row)) for row in ours] == theirs


def announced(frames: Frames, size: int) -> list[tuple[int, str, str]]:
    """The announcements of an address of so many bytes."""
    return [
        (number, mac_text(claim.mac), addresses(claim))
        for number, claim in claims(frames)
        if claim.kind == "announcement"
        and claim.mac
        and claim.addresses
        and len(claim.addresses[0]) == size
    ]


def test_arp(made: tuple[Path, Frames]) -> None:
    path, frames = made
    ours = announced(frames, 4)
    which = "arp and arp.src.proto_ipv4 != 0.0.0.0"
    same(ours, read(path, which, "arp.src.hw_mac", "arp.src.proto_ipv4"))


def test_neighbour_advertisements(made: tuple[Path, Frames]) -> None:
    path, frames = made
    ours = announced(frames, 16)
    fields = ("icmpv6.opt.linkaddr", "icmpv6.nd.na.target_address")
    same(ours, read(path, "icmpv6.type == 136 and icmpv6.nd.na.flag.o == 1", *fields))


def test_names_of_mdns(made: tuple[Path, Frames]) -> None:
    path, frames = made
    ours = [
        (number, f"{claim.hostname}.local", *map(ip_text, claim.addresses))
        for number, claim in claims(frames)
        if claim.kind == "announcement" and claim.hostname
    ]
    theirs = [
        [row[0], row[1].split(",")[0], *row[2:]]
        for row in read(path, "mdns", "dns.resp.name", "dns.a", "dns.aaaa")
    ]
    same(ours, theirs)
