"""From the link layer to the payload: every header that is peeled, and every bad one."""

import struct

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP
from scapy.packet import Packet, Raw
from support.captures import START, block, dissector, observed, timed
from support.frames import (
    CLIENT,
    CLIENT6,
    ETHERNET,
    LINKS,
    MAC,
    SERVER,
    SERVER6,
    Link,
    ip,
    tcp,
    udp,
)

from netwatch.capture.block import VLAN
from netwatch.core.addresses import ip_text, mac_text

NAME = "www.example.org"
QUERY = messages.query(1, NAME, "A")
BARE = QUERY[:10] + b"\0\0" + QUERY[12:-11]
"""The query without its EDNS record: on a port that is not DNS's it is believed only when
nothing is behind it."""
ANSWER = messages.answer(1, NAME, "A", [(NAME, "A", 60, SERVER)])
ENDS = {4: (CLIENT, SERVER), 6: (CLIENT6, SERVER6)}
ON_EVERY_LINK = pytest.mark.parametrize(
    ("link", "version"),
    [
        pytest.param(link, version, id=f"{link.name}-ipv{version}")
        for link in LINKS
        for version in link.before
    ],
)


def names_and_anomalies(frame: bytes, link: int = 1, snap: int = 1 << 18) -> tuple[list[str], dict]:
    by = dissector()
    names = [each.name for each in observed(timed([frame]), link, snap=snap, by=by)]
    return names, dict(by.anomalies())


def only_anomaly(frame: bytes, link: int = 1, snap: int = 1 << 18) -> str:
    """The one anomaly of a frame that shows no name."""
    names, anomalies = names_and_anomalies(frame, link, snap)
    assert names == []
    assert list(anomalies.values()) == [1]
    return next(iter(anomalies))


@ON_EVERY_LINK
def test_a_query_tells_its_client_on_every_link(link: Link, version: int) -> None:
    client, resolver = ENDS[version]
    packet = udp(QUERY, src=client, sport=4242, dst=resolver)
    (found,) = observed(timed([link.frame(packet)]), link.number)
    assert (found.evidence, found.name) == ("dns-query", NAME)
    assert (ip_text(found.client_ip), found.client_port) == (client, 4242)
    assert (ip_text(found.server_ip), found.server_port) == (resolver, 53)
    assert found.client_mac == (bytes.fromhex(link.mac.replace(":", "")) if link.mac else None)
    assert (found.vlan, found.packet, found.time) == (link.vlan, 1, START)


@ON_EVERY_LINK
def test_an_answer_tells_the_client_it_goes_to(link: Link, version: int) -> None:
    client, resolver = ENDS[version]
    packet = udp(ANSWER, src=resolver, sport=53, dst=client, dport=4242)
    (found,) = observed(timed([link.frame(packet)]), link.number)
    assert (found.evidence, ip_text(found.client_ip)) == ("dns-answer", client)
    assert (found.client_port, found.server_port) == (4242, 53)


@ON_EVERY_LINK
@pytest.mark.parametrize("extra", [1, 6, 46])
def test_padding_behind_the_packet_is_no_payload(link: Link, version: int, extra: int) -> None:
    client, resolver = ENDS[version]
    packet = udp(BARE, src=client, dst=resolver, dport=5300)
    names, anomalies = names_and_anomalies(link.frame(packet) + b"\xa5" * extra, link.number)
    assert (names, anomalies) == ([NAME], {})


@ON_EVERY_LINK
def test_cut_anywhere_by_the_snap_length(link: Link, version: int) -> None:
    client, resolver = ENDS[version]
    frame = link.frame(udp(QUERY, src=client, dst=resolver))
    question = len(frame) - len(QUERY) + 12 + len(NAME) + 2 + 4
    by = dissector()
    whole = 0
    for snap in range(len(frame) + 1):
        names = [each.name for each in observed(timed([frame]), link.number, snap=snap, by=by)]
        assert names == ([NAME] if snap >= question else [])
        whole += snap >= question
        assert sum(by.anomalies().values()) == snap + 1 - whole
    assert not set(by.anomalies()) & {"ip-header-bad", "tcp-header-bad", "udp-length-bad"}


def test_the_innermost_tag_counts_and_a_stripped_one_stands_in() -> None:
    plain, tagged = LINKS[0], LINKS[2]
    for link, stripped, expected in ((plain, 0x6005, 5), (tagged, 0x6005, 31), (plain, -1, None)):
        given = block(timed([link.frame(udp(QUERY))]))
        given.records[VLAN] = stripped
        ((packet, _),) = dissector().messages(given, "test")
        assert packet.vlan == expected


def test_both_mac_addresses_on_ethernet_and_the_sender_alone_on_cooked() -> None:
    for link, both in ((LINKS[0], True), (LINKS[10], False)):
        ((packet, _),) = dissector().messages(
            block(timed([link.frame(udp(QUERY))]), link.number), "test"
        )
        assert packet.src_mac is not None
        assert mac_text(packet.src_mac) == MAC
        assert (packet.dst_mac is not None) == both


@pytest.mark.parametrize("words", range(1, 11))
def test_ipv4_options_are_stepped_over(words: int) -> None:
    options = [b"\x01"] * (4 * words)
    packet = bytes(ip(options=b"".join(options)) / UDP(sport=5, dport=53) / Raw(QUERY))
    assert packet[0] & 15 == 5 + words
    assert names_and_anomalies(ETHERNET.frame(packet)) == ([NAME], {})


def six(*headers: Packet) -> bytes:
    packet: Packet = ip(CLIENT6, SERVER6)
    for header in headers:
        packet /= header
    return ETHERNET.frame(bytes(packet / UDP(sport=5, dport=53) / Raw(QUERY)))


EXTENSIONS = {
    "hop-by-hop": [IPv6ExtHdrHopByHop()],
    "routing": [IPv6ExtHdrRouting(addresses=["2001:db8::1", "2001:db8::2"], segleft=0)],
    "destination": [IPv6ExtHdrDestOpt()],
    "atomic-fragment": [IPv6ExtHdrFragment(offset=0, m=0, id=7)],
    "authentication": [AH(nh=17, payloadlen=4, spi=1, seq=1, icv=b"i" * 12)],
    "all": [
        IPv6ExtHdrHopByHop(),
        IPv6ExtHdrDestOpt(),
        IPv6ExtHdrRouting(addresses=["2001:db8::1"], segleft=0),
        IPv6ExtHdrFragment(offset=0, m=0, id=7),
        IPv6ExtHdrDestOpt(),
    ],
}


@pytest.mark.parametrize("headers", EXTENSIONS.values(), ids=EXTENSIONS.keys())
def test_ipv6_extension_headers_are_stepped_over(headers: list[Packet]) -> None:
    assert names_and_anomalies(six(*headers)) == ([NAME], {})


def test_extension_headers_without_end_are_given_up() -> None:
    frame = six(*[IPv6ExtHdrDestOpt()] * 40)
    assert only_anomaly(frame) == "ipv6-extensions-many"


def test_length_zero_of_an_offloaded_packet_means_all_that_is_there() -> None:
    for packet, at in ((udp(QUERY), 2), (udp(QUERY, src=CLIENT6, dst=SERVER6), 4)):
        data = bytearray(packet)
        data[at : at + 2] = b"\0\0"
        assert names_and_anomalies(ETHERNET.frame(bytes(data))) == ([NAME], {})


def changed(packet: bytes, at: int, value: bytes) -> bytes:
    return ETHERNET.before[4] + packet[:at] + value + packet[at + len(value) :]


REQUEST = messages.request("GET", "/", NAME)
BAD = {
    "ipv4-header-length": (changed(udp(QUERY), 0, b"\x44"), "ip-header-bad"),
    "ipv4-total-length": (changed(udp(QUERY), 2, b"\0\x13"), "ip-length-bad"),
    "ipv4-version": (changed(udp(QUERY), 0, b"\x55"), "ip-header-bad"),
    "ipv4-options-cut": (ETHERNET.frame(b"\x4f" + udp(b"")[1:]), "ip-header-cut"),
    "ipv6-version": (
        ETHERNET.before[6] + b"\x40" + udp(QUERY, src=CLIENT6, dst=SERVER6)[1:],
        "ip-header-bad",
    ),
    "ipv6-extension-beyond": (
        ETHERNET.frame(bytes(ip(CLIENT6, SERVER6, nh=60) / Raw(b"\x11\xff" + bytes(30)))),
        "ip-header-cut",
    ),
    "udp-length": (changed(udp(QUERY), 24, b"\0\x07"), "udp-length-bad"),
    "udp-header-cut": (
        ETHERNET.frame(bytes(ip(proto=17) / Raw(b"\0" * 7))),
        "transport-header-cut",
    ),
    "tcp-offset": (changed(tcp(REQUEST), 32, b"\x40"), "tcp-header-bad"),
    "tcp-offset-beyond": (changed(tcp(b""), 32, b"\xf0"), "tcp-header-bad"),
    "tcp-header-cut": (
        ETHERNET.frame(bytes(ip(proto=6) / Raw(b"\0" * 19))),
        "transport-header-cut",
    ),
    "tag-cut": (LINKS[1].before[4][:15], "link-header-cut"),
    "ethernet-cut": (b"\0" * 13, "link-header-cut"),
    "arp": (ETHERNET.before[4][:12] + b"\x08\x06" + bytes(ARP()), "not-ip"),
    "icmp": (ETHERNET.frame(bytes(ip(proto=1) / Raw(b"\x08\0" + bytes(20)))), "transport-unknown"),
    "no-next-header": (ETHERNET.frame(bytes(ip(CLIENT6, SERVER6, nh=59))), "transport-unknown"),
}


@pytest.mark.parametrize(("frame", "anomaly"), BAD.values(), ids=BAD.keys())
def test_what_is_bad_is_named(frame: bytes, anomaly: str) -> None:
    assert only_anomaly(frame) == anomaly


def test_payload_behind_the_snap_length_is_told() -> None:
    assert only_anomaly(ETHERNET.frame(tcp(REQUEST)), snap=54) == "payload-cut"
    assert only_anomaly(ETHERNET.frame(udp(QUERY)), snap=42) == "payload-cut"


def test_the_udp_length_ends_the_payload_within_a_longer_packet() -> None:
    longer = bytearray(udp(BARE + b"behind", dport=5300))
    assert names_and_anomalies(ETHERNET.frame(bytes(longer))) == ([], {})
    longer[24:26] = struct.pack(">H", 8 + len(BARE))
    assert names_and_anomalies(ETHERNET.frame(bytes(longer))) == ([NAME], {})


def test_a_link_type_that_nobody_reads_is_named_for_each_packet() -> None:
    by = dissector()
    assert observed(timed([udp(QUERY)] * 3), 147, by=by) == []
    assert by.anomalies() == {"link-type-unknown": 3}


def test_lengths_beyond_the_capture_do_not_lose_what_is_there() -> None:
    longer = bytearray(udp(QUERY))
    longer[2:4] = struct.pack(">H", len(longer) + 400)
    longer[24:26] = struct.pack(">H", len(QUERY) + 408)
    assert names_and_anomalies(ETHERNET.frame(bytes(longer)))[0] == [NAME]


@given(
    st.sampled_from([*(link.number for link in LINKS), 999]),
    st.lists(st.tuples(st.sampled_from([b"", *ETHERNET.before.values()]), st.binary(max_size=200))),
)
def test_any_bytes_on_any_link_end_in_a_count(link: int, parts: list[tuple[bytes, bytes]]) -> None:
    by = dissector()
    observed(timed([head + rest for head, rest in parts]), link, by=by)
    assert by.loop.packets == len(parts)
    assert by.loop.octets == sum(len(head) + len(rest) for head, rest in parts)
