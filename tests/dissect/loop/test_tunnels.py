"""Wrappings over IP and by EtherType: peeled one in another, and named where they are bad."""

import struct
from collections.abc import Sequence

import messages
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import layers
from support.captures import dissector, observed, timed
from support.frames import CLIENT, CLIENT6, SERVER, SERVER6, ip, tcp, udp
from support.wrappings import CARRIERS, WRAPPINGS, Carrier, Wrapped, Wrapping

from netwatch.core.addresses import ip_text
from netwatch.core.encapsulation import UDP_TUNNELS
from netwatch.core.message import Observation

NAME = "www.example.org"
QUERY = messages.query(1, NAME, "A")
BARE = QUERY[:10] + b"\0\0" + QUERY[12:-11]
ANSWER = messages.answer(1, NAME, "A", [(NAME, "A", 60, SERVER)])
ENDS = {4: (CLIENT, SERVER), 6: (CLIENT6, SERVER6)}
ETHERNET = CARRIERS[0]
BY_NAME = {each.name: each for each in WRAPPINGS}
EVERY_WRAPPING = pytest.mark.parametrize("wrapping", WRAPPINGS, ids=lambda each: each.name)


SHARE = 24
"""Of how many wrappings one meets a link or another wrapping, for each change. All of them meet in
`make test-long`: a header is read without knowledge of what is around it."""


def share(wrappings: Sequence[Wrapping], number: int) -> Sequence[Wrapping]:
    """One of `SHARE` parts of the wrappings. The parts of successive numbers are all of them."""
    return wrappings[number % SHARE :: SHARE]


def asked(version: int = 4) -> bytes:
    client, server = ENDS[version]
    return udp(QUERY, src=client, sport=4242, dst=server)


def read(frames: list[bytes], link: int = 1, snap: int = 1 << 18) -> tuple[list[Observation], dict]:
    by = dissector()
    found = observed(timed(frames), link, snap=snap, by=by)
    return found, dict(by.anomalies())


def carried(packet: bytes) -> tuple[list[str], dict]:
    """The names in an IP packet on Ethernet, and the anomalies."""
    found, anomalies = read([ETHERNET.frame(packet)])
    return [each.name for each in found], anomalies


def assert_told(carrier: Carrier, *compositions: tuple[Wrapping, ...]) -> None:
    """In each of these wrappings the query is told once, by its own client."""
    given = [(Wrapped(carrier, each), version) for each in compositions for version in (4, 6)]
    frames = [frame for each, version in given for frame in each.frames(asked(version))]
    told, anomalies = read(frames, carrier.number)
    assert anomalies == {}
    assert [found.packet for found in told] == list(range(1, len(given) + 1))
    for found, (wrapped, version) in zip(told, given, strict=True):
        client, server = ENDS[version]
        assert (found.evidence, found.name) == ("dns-query", NAME), wrapped.name
        assert (ip_text(found.client_ip), found.client_port) == (client, 4242), wrapped.name
        assert (ip_text(found.server_ip), found.server_port) == (server, 53), wrapped.name
        assert (found.client_mac, found.vlan) == (wrapped.mac, wrapped.vlan), wrapped.name


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda each: each.name)
def test_some_wrappings_on_every_link(carrier: Carrier) -> None:
    assert_told(carrier, (), *((each,) for each in share(WRAPPINGS, CARRIERS.index(carrier))))


@pytest.mark.long
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda each: each.name)
def test_every_wrapping_on_every_link(carrier: Carrier) -> None:
    assert_told(carrier, (), *((each,) for each in WRAPPINGS))


@EVERY_WRAPPING
def test_every_wrapping_in_some_others(wrapping: Wrapping) -> None:
    others = share(WRAPPINGS, WRAPPINGS.index(wrapping))
    assert_told(ETHERNET, (wrapping, wrapping), *((wrapping, other) for other in others))


@pytest.mark.long
@EVERY_WRAPPING
def test_every_wrapping_in_every_other(wrapping: Wrapping) -> None:
    assert_told(ETHERNET, *((wrapping, other) for other in WRAPPINGS))


@EVERY_WRAPPING
def test_cut_anywhere_by_the_snap_length(wrapping: Wrapping) -> None:
    (frame,) = Wrapped(ETHERNET, (wrapping,)).frames(asked(6))
    question = len(frame) - len(QUERY) + 12 + len(NAME) + 2 + 4
    by = dissector()
    for snap in range(len(frame)):
        before = by.anomalies()
        found = observed(timed([frame]), snap=snap, by=by)
        assert [each.name for each in found] == ([NAME] if snap >= question else [])
        anomalies = by.anomalies() - before
        assert sum(anomalies.values()) == (snap < question)
        assert not anomalies or next(iter(anomalies)).endswith("-cut")


def test_the_innermost_of_what_is_told_twice_counts() -> None:
    outer = next(each for each in CARRIERS if each.vlan == 30)
    both = (BY_NAME["gre-0000-ethernet"], BY_NAME["vxlan-vlan"])
    for wrappings, number, vlan in ((both, 0, 7), (both[::-1], 0, 7), (both[:1], 0, 30)):
        (found,), _ = read(Wrapped(outer, wrappings).frames(asked()))
        assert (found.client_mac, found.vlan) == (layers.inner_mac(number), vlan)


# how deep


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize(("headers", "anomaly"), [(8, {}), (9, {"wrapped-too-deep": 1})])
def test_ip_headers_up_to_the_limit(version: int, headers: int, anomaly: dict) -> None:
    packet = asked(version)
    for _ in range(headers - 1):
        packet = layers.ipv4(4 if packet[0] >> 4 == 4 else 41, packet)
    assert carried(packet) == ([] if anomaly else [NAME], anomaly)


def nested(kind: int, times: int) -> bytes:
    """The query in wrappings of one kind, with frames between them."""
    make = {
        layers.ETHERNET: layers.ethernet,
        layers.MPLS: layers.mpls,
        layers.NSH: layers.nsh,
    }[kind]
    inside = make((layers.IPV4, asked()))
    for _ in range(times - 1):
        inside = make(inside if kind == layers.ETHERNET else layers.ethernet(inside))
    return layers.on_ethernet(inside)


@pytest.mark.parametrize("kind", [layers.ETHERNET, layers.MPLS, layers.NSH])
@pytest.mark.parametrize(("times", "anomaly"), [(16, {}), (17, {"wrapped-too-deep": 1})])
def test_other_wrappings_up_to_the_limit(kind: int, times: int, anomaly: dict) -> None:
    found, anomalies = read([nested(kind, times)])
    assert ([each.name for each in found], anomalies) == ([] if anomaly else [NAME], anomaly)


@pytest.mark.parametrize(
    "unit",
    [
        layers.ethernet((layers.ETHERNET, b""))[1],
        b"\0\0\1\x40" + layers.ethernet((layers.MPLS, b""))[1],
        b"\0\2\0\3\0\0\1\xff" + layers.ethernet((layers.NSH, b""))[1],
        b"\xaa\xaa\3\0\0\0\0\5",
        b"\x33\1\0\0" + bytes(8),
    ],
    ids=["bridged", "mpls", "nsh", "llc", "ah"],
)
def test_wrappings_that_never_end_are_given_up(unit: bytes) -> None:
    kinds = (layers.ETHERNET, layers.MPLS, layers.NSH, 5)
    frames = [layers.on_ethernet((kind, unit * 4000)) for kind in kinds]
    found, anomalies = read([*frames, ETHERNET.frame(layers.ipv4(51, unit * 2000))])
    assert found == []
    assert anomalies["wrapped-too-deep"] == 1


# what a datagram on a tunnel's port may be besides


PORTS = tuple(row.port for row in UDP_TUNNELS)


@pytest.mark.parametrize("port", PORTS)
def test_an_answer_to_a_client_whose_port_is_a_tunnels_is_read(port: int) -> None:
    for answering in (53, 5300):
        packet = udp(ANSWER, src=SERVER, sport=answering, dst=CLIENT, dport=port)
        found, _ = read([ETHERNET.frame(packet)])
        assert [(each.name, ip_text(each.client_ip)) for each in found] == [(NAME, CLIENT)]


@given(st.binary(max_size=60))
def test_what_is_no_wrapping_is_a_plain_datagram(data: bytes) -> None:
    packets = [udp(each, dport=port) for port in PORTS for each in (data, BARE)]
    found, _ = read([ETHERNET.frame(packet) for packet in packets])
    told = [each for each in found if each.name == NAME]
    assert [each.packet for each in told] == list(range(2, 2 * len(PORTS) + 1, 2))
    assert {ip_text(each.client_ip) for each in told} == {CLIENT}


TEREDO = "2001:0:c633:6401:8000:63bf:3fff:fdd2"


@pytest.mark.parametrize("ends", [(TEREDO, SERVER6), (CLIENT6, TEREDO)])
def test_teredo_between_any_ports(ends: tuple[str, str]) -> None:
    packet = udp(QUERY, src=ends[0], dst=ends[1])
    outer = layers.ipv4(17, layers.datagram(32900, packet, 3797))
    (found,), anomalies = read([ETHERNET.frame(outer)])
    assert (ip_text(found.client_ip), anomalies) == (ends[0], {})
    for other in (packet + b"\0", udp(QUERY, src=CLIENT6, dst=SERVER6)):
        found, _ = read([ETHERNET.frame(layers.ipv4(17, layers.datagram(32900, other, 3797)))])
        assert found == []


IP_INSIDE = {
    6080: (b"", b"\1\4\0\1\0\0\0\0"),
    2268: (b"\6\0",),
    30030: (bytes(8),),
}


@pytest.mark.parametrize("port", IP_INSIDE)
def test_what_only_looks_like_ip_in_a_datagram_is_not_read(port: int) -> None:
    """Datagrams to a client whose port is one of these: without the lengths being right."""
    for head in IP_INSIDE[port]:
        for behind in (b"\0", b"more"):
            packet = layers.ipv4(17, layers.datagram(port, head + asked() + behind))
            assert carried(packet)[0] == []


# MPLS, where only bytes tell what is in it


@pytest.mark.parametrize("first", [0x00, 0x02, 0x44, 0x48, 0x60, 0x6C, 0x9C])
@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("version", [4, 6])
def test_a_pseudowire_whatever_the_address_starts_with(
    first: int, control: bool, version: int
) -> None:
    kind, frame = layers.frame(asked(version), vlans=(3,) if first & 4 else ())
    frame = bytes([first]) + b"\x55\x66\x77\x88\x99" + frame[6:]
    (found,), anomalies = read([layers.on_ethernet(layers.mpls((kind, frame), control=control))])
    assert (found.client_mac, anomalies) == (layers.inner_mac(0), {})


# what is bad or cannot be read


def gre(flags: int, kind: int, rest: bytes = bytes(40)) -> bytes:
    return layers.ipv4(47, struct.pack(">HH", flags, kind) + rest)


BAD = {
    "esp": (bytes(ip(proto=50)) + bytes(40), "encrypted-ip"),
    "ah-cut": (layers.ipv4(51, bytes(11)), "wrapping-header-cut"),
    "ah-beyond": (layers.ipv4(51, b"\x11\xff" + bytes(40)), "wrapping-header-cut"),
    "gre-cut": (layers.ipv4(47, bytes(3)), "wrapping-header-cut"),
    "gre-fields-cut": (layers.ipv4(47, b"\x20\0\x08\0\0\0\0"), "ip-header-cut"),
    "gre-routing-without-end": (
        gre(0x4000, 0x0800, bytes(4) + b"\x08\0\0\4" * 9),
        "wrapping-header-cut",
    ),
    "gre-version-1-no-ppp": (gre(0x2001, 0x0800), "wrapping-unknown"),
    "gre-version-2": (gre(0x0002, 0x0800), "wrapping-unknown"),
    "gre-kind": (gre(0, 0x9000), "wrapping-unknown"),
    "gre-aruba-unlike-a-frame": (gre(0, 0x83A0, b"\x08\1" + bytes(60)), "wrapping-unknown"),
    "gre-cdma2000": (gre(0, 0x88D2), "wrapping-unknown"),
    "gre-nhrp": (gre(0, 0x2001), "not-ip"),
    "gre-arp": (gre(0, 0x0806), "not-ip"),
    "gre-keepalive": (layers.ipv4(47, bytes(4)), "not-ip"),
    "eoip-keepalive": (layers.ipv4(47, layers.eoip(b"")), "not-ip"),
    "eoip-cut": (layers.ipv4(47, layers.eoip(bytes(13))), "link-header-cut"),
    "wccp-cut": (gre(0, 0x883E, bytes(5)), "wrapping-header-cut"),
    "wccp-no-packet": (gre(0, 0x883E), "not-ip"),
    "erspan-3-kind": (
        gre(0, 0x22EB, bytes(10) + b"\x04\0" + bytes(40)),
        "wrapping-unknown",
    ),
    "minimal-encapsulation": (layers.ipv4(55, bytes(40)), "wrapping-unknown"),
    "lisp-encrypted": (
        layers.ipv4(17, layers.datagram(4341, b"\x0b\0\0\1\0\0\1\0" + b"\x45" * 40)),
        "encrypted-tunnel",
    ),
    "lisp-gpe-kind": (
        layers.ipv4(17, layers.datagram(4341, b"\x0c\0\0\x09\0\0\1\0" + bytes(40))),
        "wrapping-unknown",
    ),
    "gue-fragment": (
        layers.ipv4(17, layers.datagram(6080, b"\1\4\x08\0\0\0\0\1\x45" + bytes(40))),
        "wrapping-unknown",
    ),
    "gue-ipcomp": (
        layers.ipv4(17, layers.datagram(6080, b"\0\x6c\0\0" + bytes(40))),
        "wrapping-unknown",
    ),
    "erspan-3-cut": (gre(0, 0x22EB, bytes(11)), "wrapping-header-cut"),
    "etherip-cut": (layers.ipv4(97, b"\x30"), "wrapping-header-cut"),
    "mpls-cut": (layers.ipv4(137, b"\0\0\1"), "wrapping-header-cut"),
    "mpls-without-bottom": (layers.ipv4(137, bytes(400)), "wrapping-header-cut"),
    "ppp-kind": (layers.ipv4(47, layers.pptp(b"\xff\3\xc0\x21" + bytes(30))), "not-ip"),
    "ppp-cut": (layers.ipv4(47, layers.pptp(b"\xff\3\0")), "link-header-cut"),
    "nsh-size": (gre(0, layers.NSH, b"\0\1\0\1" + bytes(40)), "wrapping-header-cut"),
    "nsh-beyond": (gre(0, layers.NSH, b"\0\x3f\0\1" + bytes(40)), "wrapping-header-cut"),
    "nsh-kind": (gre(0, layers.NSH, b"\0\2\0\6" + bytes(40)), "wrapping-unknown"),
    "ipcomp": (layers.ipv4(108, b"\6\0\0\2" + bytes(40)), "wrapping-unknown"),
    "l2tp-3": (layers.ipv4(115, b"\0\0\0\7" + bytes(40)), "wrapping-unknown"),
    "l2tp-3-control": (layers.ipv4(115, bytes(4) + b"\xc8\3" + bytes(40)), "not-ip"),
    "l2tp-3-cut": (layers.ipv4(115, b"\0\0\7"), "wrapping-header-cut"),
    "ppp-multilink": (
        layers.ipv4(47, layers.pptp(b"\0\x3d\xc0\0" + bytes(30))),
        "wrapping-unknown",
    ),
    "ppp-multilink-fragment": (
        layers.ipv4(47, layers.pptp(b"\0\x3d\x80\0\0\1" + layers.ppp(asked()))),
        "wrapping-unknown",
    ),
    "ppp-header-compressed": (
        layers.ipv4(47, layers.pptp(b"\0\x2d" + bytes(30))),
        "wrapping-unknown",
    ),
    "ppp-bridged-other": (
        layers.ipv4(47, layers.pptp(b"\0\x31\0\4" + bytes(30))),
        "wrapping-unknown",
    ),
    "bier-length": (layers.ipv4(137, b"\0\0\1\x40\x50\x80" + bytes(80)), "wrapping-unknown"),
    "bier-beyond": (
        layers.ipv4(137, b"\0\0\1\x40\x50\x70" + bytes(80)),
        "wrapping-header-cut",
    ),
    "bier-kind": (
        layers.ipv4(137, b"\0\0\1\x40\x50\x10\0\0\0\5" + bytes(80)),
        "wrapping-unknown",
    ),
    "mpls-channel": (layers.ipv4(137, b"\0\0\1\x40\x10\0\0\7" + bytes(40)), "not-ip"),
    "ppp-encrypted": (layers.ipv4(47, layers.pptp(b"\x53" + bytes(30))), "wrapping-unknown"),
    "ppp-compressed": (layers.ipv4(47, layers.pptp(b"\0\xfd" + bytes(30))), "wrapping-unknown"),
    "sctp": (layers.ipv4(132, bytes(40)), "transport-unknown"),
    "inner-ip-bad": (layers.ipv4(4, b"\x41" + bytes(30)), "ip-header-bad"),
    "gtp-extension-of-no-size": (
        layers.ipv4(17, layers.datagram(2152, layers.gtp(b"", 0x34, (1,))[:12] + bytes(30))),
        "wrapping-header-cut",
    ),
    "l2tp-offset-beyond": (
        layers.ipv4(17, layers.datagram(1701, b"\2\2" + bytes(4) + b"\xff\xff" + bytes(9))),
        "wrapping-header-cut",
    ),
    "geneve-options-beyond": (
        layers.ipv4(17, layers.datagram(6081, b"\x3f\0\x65\x58" + bytes(30))),
        "wrapping-header-cut",
    ),
}


@pytest.mark.parametrize(("packet", "anomaly"), BAD.values(), ids=BAD.keys())
def test_what_is_bad_is_named(packet: bytes, anomaly: str) -> None:
    assert carried(packet) == ([], {anomaly: 1})


@pytest.mark.parametrize("version", [4, 6])
def test_an_authentication_header_before_tcp(version: int) -> None:
    segment = tcp(messages.request("GET", "/", NAME), dport=80)[20:]
    over = layers.ipv4 if version == 4 else layers.ipv6
    assert carried(over(51, layers.ah(6, segment))) == ([NAME], {})


def test_control_messages_of_tunnels_are_no_names() -> None:
    echo = b"\x32\1\0\4" + bytes(30)
    control = b"\xc8\2\0\x20" + bytes(30)
    heartbeat = b"\x41\x52\x10\x3b" + bytes(60)
    for port, data in (
        (2152, echo),
        (1701, control),
        (3544, b"\0\1\0\0" + bytes(9)),
        (6080, b"\x20\1\0\0" + bytes(40)),
        (5072, heartbeat),
        (2268, b"\3\0" + bytes(20)),
    ):
        assert carried(layers.ipv4(17, layers.datagram(port, data))) == ([], {})
