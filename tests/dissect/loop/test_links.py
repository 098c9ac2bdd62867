"""The rarer link types: radio frames and aggregates of them, PPP, logs of a firewall."""

import struct

import messages
import pytest
from support import layers
from support.captures import block, dissector, observed, timed
from support.frames import CLIENT6, SERVER6, tcp, udp
from support.wrappings import CARRIERS, Carrier, Wrapped

NAMES = ("one.example.org", "two.example.org", "three.example.org", "four.example.org")
PACKETS = [udp(messages.query(number, name, "A")) for number, name in enumerate(NAMES)]
WLAN, RADIOTAP, NFLOG, FDDI, MPACKETS, PPP, PPPOE = 105, 127, 239, 10, 274, 9, 51
SOURCE, OTHER = b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b"


def read(frame: bytes, link: int, snap: int = 1 << 18) -> tuple[list[str], dict[str, int]]:
    by = dissector()
    found = observed(timed([frame]), link, snap=snap, by=by)
    return [each.name for each in found], dict(by.anomalies())


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda each: each.name)
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


OTHERS = {
    "fddi-cut": (b"\x50" + bytes(11), FDDI, "link-header-cut"),
    "fddi-snap-cut": (b"\x50" + bytes(12) + b"\xaa\xaa\3" + bytes(4), FDDI, "link-header-cut"),
    "fddi-llc-cut": (b"\x50" + bytes(14), FDDI, "link-header-cut"),
    "mpackets-cut": (b"\x55" * 7, MPACKETS, "link-header-cut"),
    "ppp-cut": (b"\xff\3\0", PPP, "link-header-cut"),
    "ppp-lcp": (b"\xff\3\xc0\x21" + bytes(8), PPP, "not-ip"),
    "pppoe-cut": (bytes(7), PPPOE, "link-header-cut"),
    "pppoe-lcp": (layers.pppoe(b"\xc0\x21" + bytes(8))[1], PPPOE, "not-ip"),
}


@pytest.mark.parametrize(("frame", "link", "anomaly"), OTHERS.values(), ids=OTHERS.keys())
def test_what_is_bad_elsewhere_is_named(frame: bytes, link: int, anomaly: str) -> None:
    assert read(frame, link) == ([], {anomaly: 1})
