"""The rarer link types: radio frames and aggregates of them, PPP, logs of a firewall."""

import struct

import messages
import pytest
from support import layers, link_headers
from support.captures import block, dissector, observed, timed
from support.frames import CLIENT6, SERVER6, tcp, udp
from support.wrappings import CARRIER_FORMS, CARRIERS, Carrier, Wrapped

NAMES = ("one.example.org", "two.example.org", "three.example.org", "four.example.org")
QUERY = messages.query(0, NAMES[0], "A")
PACKETS = [udp(messages.query(number, name, "A")) for number, name in enumerate(NAMES)]
WLAN, RADIOTAP, NFLOG, FDDI, MPACKETS, PPP, PPPOE = 105, 127, 239, 10, 274, 9, 51
SOURCE, OTHER = b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"


def read(frame: bytes, link: int, snap: int = 1 << 18) -> tuple[list[str], dict[str, int]]:
    by = dissector()
    found = observed(timed([frame]), link, snap=snap, by=by)
    return [each.name for each in found], dict(by.anomalies())


@pytest.mark.parametrize("carrier", [*CARRIERS, *CARRIER_FORMS], ids=lambda each: each.name)
def test_cut_anywhere_by_the_snap_length(carrier: Carrier) -> None:
    six = carrier.takes == (layers.IPV6,)
    query = messages.query(1, NAMES[0], "A")
    packet = udp(query, src=CLIENT6, dst=SERVER6) if six else udp(query)
    (frame,) = Wrapped(carrier, ()).frames(packet)
    question = frame.rindex(query) + 12 + len(NAMES[0]) + 2 + 4
    by = dissector()
    for snap in range(len(frame)):
        before = by.anomalies()
        found = observed(timed([frame]), carrier.number, snap=snap, by=by)
        assert [each.name for each in found] == ([NAMES[0]] if snap >= question else [])
        anomalies = by.anomalies() - before
        assert sum(anomalies.values()) == (snap < question)
        assert not anomalies or next(iter(anomalies)).endswith("-cut")


@pytest.mark.parametrize("ways", range(4))
@pytest.mark.parametrize("back", [False, True])
def test_the_ends_of_a_radio_frame_in_each_direction(ways: int, back: bool) -> None:
    ends = (OTHER, SOURCE) if back else (SOURCE, OTHER)
    frame = layers.wlan(
        layers.snap(PACKETS[0]),
        to=bool(ways & 1),
        fro=bool(ways & 2),
        source=ends[0],
        destination=ends[1],
    )
    ((packet, _),) = dissector().messages(block(timed([frame]), WLAN), "test")
    assert (packet.src_mac, packet.dst_mac) == ends


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("behind", [b"", b"\0\0", b"\1\2\3\4"])
def test_every_frame_of_an_aggregate_is_read(count: int, behind: bytes) -> None:
    frame = layers.wlan(layers.amsdu(*PACKETS[:count]), qos=0x80)
    assert read(frame + behind, WLAN) == ([*NAMES[:count]], {})
    assert read(layers.radiotap(frame + behind), RADIOTAP) == ([*NAMES[:count]], {})


def test_frames_of_an_aggregate_know_nothing_of_each_other() -> None:
    tagged = layers.frame(PACKETS[0], vlans=(9,))[1][14:]
    first = b"\xaa\xaa\3\0\0\0\x81\0" + tagged
    second = layers.snap(PACKETS[1])
    out = b""
    for source, content in ((SOURCE, first), (OTHER, second)):
        out += bytes(-len(out) % 4) + layers.GATEWAY_MAC + source
        out += struct.pack(">H", len(content)) + content
    one, two = observed(timed([layers.wlan(out, qos=0x80)]), WLAN)
    assert (one.client_mac, one.vlan) == (SOURCE, 9)
    assert (two.client_mac, two.vlan) == (OTHER, None)


def test_segments_and_wrappings_in_an_aggregate() -> None:
    request = tcp(messages.request("GET", "/", NAMES[0]), dport=80)
    tunnel = layers.ipv4(47, layers.gre(layers.frame(PACKETS[1])))
    fragments = layers.fragments(PACKETS[2], (2, 4))
    frame = layers.wlan(layers.amsdu(request, fragments[1], tunnel, fragments[2]), qos=0x80)
    late = layers.wlan(layers.snap(fragments[0]))
    found = observed(timed([frame, late]), WLAN)
    assert [each.name for each in found] == [NAMES[0], NAMES[1], NAMES[2]]


def test_an_aggregate_of_very_many_is_read_as_far_as_there_is_room() -> None:
    small = messages.query(1, "a.example", "A")
    aggregate = layers.wlan(layers.amsdu(*[udp(small)] * 2500), qos=0x80)
    by = dissector()
    found = observed(timed([aggregate] * 3), WLAN, by=by)
    assert len(found) == 4096 + 64 + 2500
    assert by.anomalies() == {"amsdu-bad": 1}


BAD = {
    "protected": (layers.wlan(b"x" * 60, protected=True), "wlan-protected"),
    "beacon": (b"\x80\0" + bytes(60), "not-ip"),
    "acknowledgement": (b"\xd4\0" + bytes(60), "not-ip"),
    "null": (b"\x48\1" + bytes(60), "not-ip"),
    "later-fragment": (
        layers.wlan(layers.snap(PACKETS[0])).replace(b"\x10\0\xaa", b"\x11\0\xaa"),
        "wrapping-unknown",
    ),
    "spanning-tree": (layers.wlan(b"\x42\x42\3" + bytes(40)), "not-ip"),
    "aggregate-empty": (layers.wlan(b"", qos=0x80), "amsdu-bad"),
    "aggregate-beyond": (layers.wlan(bytes(12) + b"\0\xff" + bytes(40), qos=0x80), "amsdu-bad"),
    "aggregate-of-nothing": (layers.wlan(bytes(60), qos=0x80), "amsdu-bad"),
    "cut": (layers.wlan(b"")[:23], "link-header-cut"),
}


@pytest.mark.parametrize(("frame", "anomaly"), BAD.values(), ids=BAD.keys())
def test_what_is_bad_on_the_air_is_named(frame: bytes, anomaly: str) -> None:
    assert read(frame, WLAN) == ([], {anomaly: 1})
    assert read(layers.radiotap(frame), RADIOTAP) == ([], {anomaly: 1})


@pytest.mark.parametrize("size", [0, 7, 4000])
def test_a_radiotap_length_that_cannot_be(size: int) -> None:
    frame = b"\0\0" + struct.pack("<H", size) + bytes(60)
    assert read(frame, RADIOTAP) == ([], {"link-header-cut": 1})


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [0, 100, 251, 252, 256, 508, 1400])
def test_a_netfilter_log_of_any_size_in_both_byte_orders(order: str, size: int) -> None:
    request = messages.request("GET", "/" + "x" * size, NAMES[0])
    assert read(layers.nflog(tcp(request, dport=80), order), NFLOG) == ([NAMES[0]], {})


@pytest.mark.parametrize(
    ("fields", "anomaly"),
    [
        (b"", "not-ip"),
        (b"\x08\0\1\0\0\0\0\0", "not-ip"),
        (b"\x03\0\1\0", "link-header-cut"),
        (b"\0\x03\0\1", "link-header-cut"),
        (b"\xff\0\1\0\0\0\0\0", "link-header-cut"),
    ],
)
def test_a_netfilter_log_without_a_packet(fields: bytes, anomaly: str) -> None:
    assert read(b"\2\0\0\0" + fields, NFLOG) == ([], {anomaly: 1})


@pytest.mark.parametrize("carrier", CARRIER_FORMS, ids=lambda each: each.name)
def test_further_forms_of_links(carrier: Carrier) -> None:
    kinds = {layers.IPV4: PACKETS[0], layers.IPV6: udp(QUERY, src=CLIENT6, dst=SERVER6)}
    for kind in carrier.takes:
        (found,) = observed(timed([carrier.frame(kinds[kind])]), carrier.number)
        assert (found.name, found.client_mac) == (NAMES[0], carrier.mac)


OTHERS = {
    "fddi-cut": (b"\x50" + bytes(11), FDDI, "link-header-cut"),
    "fddi-snap-cut": (b"\x50" + bytes(12) + b"\xaa\xaa\3" + bytes(4), FDDI, "link-header-cut"),
    "fddi-llc-cut": (b"\x50" + bytes(14), FDDI, "link-header-cut"),
    "mpackets-cut": (b"\x55" * 7, MPACKETS, "link-header-cut"),
    "hdlc-cut": (b"\x0f\0\x08", 104, "link-header-cut"),
    "hdlc-keepalive": (b"\x8f\0\x80\x35" + bytes(14), 104, "not-ip"),
    "hdlc-discovery": (b"\x0f\0\x20\0" + bytes(14), 104, "not-ip"),
    "hdlc-udld": (b"\x0f\0\1\x11" + bytes(14), 104, "not-ip"),
    "hdlc-spanning-tree": (b"\x0f\0\x42\x42" + bytes(14), 104, "not-ip"),
    "hdlc-isis": (b"\x0f\0\xfe\xfe\3\x83" + bytes(14), 104, "not-ip"),
    "hdlc-unknown": (b"\x0f\0\x77\x77" + bytes(14), 104, "wrapping-unknown-0x7777"),
    "frame-relay-fragment": (b"\x19\x41\3\xcc" + bytes(14), 107, "wrapping-unknown"),
    "frame-relay-endless": (b"\x18\x40\2\2\2\2" + bytes(14), 107, "wrapping-unknown"),
    "frame-relay-lmi": (b"\0\1\3\x09" + bytes(14), 107, "not-ip"),
    "frame-relay-signalling": (b"\0\1\0\0" + bytes(14), 107, "not-ip"),
    "frame-relay-xid": (b"\x18\x41\xaf\x82" + bytes(14), 107, "not-ip"),
    "frame-relay-nlpid": (b"\x18\x41\3\x81" + bytes(14), 107, "not-ip"),
    "token-ring-maintenance": (b"\x10\0" + bytes(30), 6, "not-ip"),
    "token-ring-route-short": (
        b"\x10\x40" + b"\x80" * 12 + b"\1\0" + bytes(9),
        6,
        "link-header-cut",
    ),
    "arcnet-later-part": (b"\1\2\xd4\2\0\1" + bytes(40), 7, "wrapping-unknown"),
    "arcnet-arp": (b"\1\2\xd5" + bytes(40), 7, "not-ip"),
    "ipoib-arp": (bytes(40) + b"\x08\6\0\0" + bytes(56), 242, "not-ip"),
    "ipoib-unknown": (bytes(40) + b"\x77\x77\0\0" + bytes(56), 242, "wrapping-unknown-0x7777"),
    "pktap-short": (link_headers.pktap(1, bytes(60), 20), 258, "link-type-unknown"),
    "pktap-without-packet": (link_headers.pktap(1, b"", record=0), 258, "not-ip"),
    "pktap-unknown": (link_headers.pktap(147, bytes(60)), 258, "link-type-unknown"),
    "pktap-large": (link_headers.pktap(0xFFFFFFFF, bytes(60)), 258, "link-type-unknown"),
    "pktap-beyond": (b"\xff\xff\xff\xff\1\0\0\0\1\0\0\0" + bytes(99), 258, "link-header-cut"),
    "ppi-short": (b"\0\0\7\0\1\0\0\0" + bytes(60), 192, "link-header-cut"),
    "ppi-in-ppi": (b"\0\0\x08\0\xc0\0\0\0" * 99, 192, "wrapped-too-deep"),
    "erf-counters": (link_headers.erf(14, bytes(60)), 197, "not-ip"),
    "erf-cells": (link_headers.erf(3, bytes(60)), 197, "wrapping-unknown"),
    "erf-extensions-endless": (link_headers.erf(2, b"\xff" * 80), 197, "wrapping-unknown-0xffff"),
    "netanalyzer-event": (b"\0\x05\0\0" + bytes(60), 240, "not-ip"),
    "netanalyzer-version": (b"\0\x08\0\0" + bytes(60), 240, "wrapping-unknown"),
    "redback-clnp": (link_headers.redback(2, bytes(60)), 32, "not-ip"),
    "redback-offset": (bytes(60), 32, "link-header-cut"),
    "symantec-nothing": (bytes(80), 99, "not-ip"),
    "gfp-management": (link_headers.gfp(0x8001, bytes(60)), 171, "not-ip"),
    "gfp-ring": (link_headers.gfp(0x0201, bytes(60)), 171, "wrapping-unknown"),
    "gfp-storage": (link_headers.gfp(3, bytes(60)), 171, "wrapping-unknown"),
    "tzsp-version": (b"\2\0\0\1\1" + bytes(60), 128, "wrapping-unknown"),
    "tzsp-content": (b"\1\0\0\7\1" + bytes(60), 128, "wrapping-unknown"),
    "tzsp-endless": (b"\1\0\0\1" + bytes(60), 128, "wrapping-unknown"),
    "sun-atm-signalling": (b"\6\0\0\5" + bytes(60), 123, "not-ip"),
    "clip-neither": (b"\x10" + bytes(60), 106, "not-ip"),
    "pflog-nothing": (bytes(60), 117, "link-header-cut"),
    "prism-length": (struct.pack("<II", 0x44, 5) + bytes(60), 119, "link-header-cut"),
    "avs-length": (struct.pack(">II", 0x80211001, 4000) + bytes(60), 163, "link-header-cut"),
    "juniper-cut": (b"MGC", 178, "link-header-cut"),
    "juniper-extensions-beyond": (b"MGC\x81\xff\xff" + bytes(60), 178, "link-header-cut"),
    "juniper-protocol": (b"MGC\3\x63\0\0\0" + bytes(60), 178, "wrapping-unknown"),
    "juniper-protocol-large": (b"MGC\3\2\0\1\0" + bytes(60), 178, "wrapping-unknown"),
    "juniper-atm-maintenance": (b"MGC\1" + bytes(7) + b"\x10" + bytes(60), 135, "not-ip"),
    "juniper-atm1-maintenance": (b"MGC\1\x80" + bytes(60), 137, "not-ip"),
    "juniper-atm-unknown": (b"MGC\1" + bytes(8) + b"\x99" * 60, 135, "wrapping-unknown"),
    "juniper-bundle-unknown": (b"MGC\1" + b"\x99" * 60, 130, "wrapping-unknown"),
    "juniper-bundle-mlfr-unknown": (b"MGC\1" + b"\x99" * 60, 131, "wrapping-unknown"),
    "juniper-cookie-kind": (b"MGC\1\x47\0\0\0\0\x70\0\0" + bytes(60), 130, "wrapping-unknown"),
    "juniper-network-field": (b"\7\4" + bytes(60), 184, "wrapping-unknown"),
    "juniper-network-endless": (b"\1\0" * 60, 184, "link-header-cut"),
    "juniper-tunnel-other": (b"MGC\1" + bytes(80), 200, "wrapping-unknown"),
    "ppp-cut": (b"\xff\3\0", PPP, "link-header-cut"),
    "ppp-lcp": (b"\xff\3\xc0\x21" + bytes(8), PPP, "not-ip"),
    "pppoe-cut": (bytes(7), PPPOE, "link-header-cut"),
    "pppoe-lcp": (layers.pppoe(b"\xc0\x21" + bytes(8))[1], PPPOE, "not-ip"),
}


@pytest.mark.parametrize(("frame", "link", "anomaly"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_bad_elsewhere_is_named(frame: bytes, link: int, anomaly: str) -> None:
    assert read(frame, link) == ([], {anomaly: 1})
